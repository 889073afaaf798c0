//! The plan of a launch: everything that a request names is looked up or adopted, every option is
//! resolved, and each instance gets ids and addresses of its own.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{
    AmiId, AssociationId, Attributes, BlockDevice, HostnameType, HttpTokens, Image, ImdsSupport,
    Instance, InstanceId, InstanceProfile, InstanceState, Interface, InterfaceId, Ipv4Address,
    KeyPair, LifeCycle, Line, MacAddress, MetadataOptions, OptionLayer, OptionLayers,
    OptionsChange, Placement, RegisteredKeyPair, ReservationId, Resource, Scope, SecurityGroup,
    Shared, StateReason, Subnet, Switch, TemplateUsed, UserData,
};
use store::{Change, Snapshot};

use super::Desk;
use super::instance_profiles::{find_profile, parse_profile};
use super::inventory::Inventory;
use super::launch_parameters::{InterfaceParameter, LaunchParameters};
use super::metadata_options::refuse_if_enforced;
use super::tags::{self, Tags};
use super::text::parse_line;
use crate::References;
use crate::api::ApiFault;

/// LIMIT: instances of one request. EC2 bounds an account's instances instead.
const INSTANCES_MAX: i64 = 1000;

/// LIMIT: addresses of one interface; that of the largest types of EC2.
const ADDRESSES_MAX: usize = 50;

/// What a launch template gives to a launch.
pub(crate) struct Templated {
    /// The version.
    pub(crate) used: TemplateUsed,
    /// The options that it sets.
    pub(crate) options: OptionsChange,
}

/// A planned launch.
pub(crate) struct Launched {
    pub(crate) reservation_id: ReservationId,
    pub(crate) instances: Vec<Instance>,
}

/// Plans a launch. `parameters` are those of the request, laid over those of the template;
/// `requested` are the options of the request alone.
pub(crate) fn plan(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    parameters: &LaunchParameters,
    requested: OptionsChange,
    templated: Option<Templated>,
) -> Result<(Vec<Change>, Launched), ApiFault> {
    let count = count(parameters)?;
    let inventory = Inventory::new(snapshot, &desk.scope);
    let mut launch = Launch { desk, snapshot, inventory, parameters, adopted: Vec::new() };
    let image = launch.image()?;
    let (options, option_layers) = launch.options(&image, requested, templated.as_ref())?;
    let mut prototype = launch.prototype(&image)?;
    prototype.options = options;
    prototype.option_layers = option_layers;
    prototype.options_since = snapshot.generation().next();
    let reservation_id = ReservationId::from_number(desk.fresh_number()?);
    prototype.reservation_id = reservation_id;
    prototype.attributes.launch_template = templated.map(|templated| templated.used);
    let mut addresses = Addresses::in_use(snapshot, &desk.scope);
    let wiring = launch.wiring(count)?;
    let subnet = wiring.first().map(|wiring| &wiring.subnet);
    let placement = subnet.map(|subnet| launch.placement(subnet)).transpose()?;
    if let Some(placement) = placement {
        prototype.placement = placement.into();
    }
    let mut instances = Vec::new();
    for index in 0..count {
        let id = InstanceId::from_number(desk.fresh_number()?);
        let mut instance = Instance { id, ami_launch_index: index, ..prototype.clone() };
        if instance.instance_profile.is_some() {
            let association = AssociationId::from_number(desk.fresh_number()?);
            instance.attributes.profile_association = Some(association);
        }
        instance.interfaces = launch.interfaces(&wiring, &mut addresses)?;
        instances.push(instance);
    }
    let mut changes: Vec<_> = launch.adopted.into_iter().map(|new| desk.put(new)).collect();
    for instance in &instances {
        changes.extend(other_tags(desk, parameters, instance)?);
        changes.push(super::put(snapshot, instance.clone()));
    }
    Ok((changes, Launched { reservation_id, instances }))
}

/// How many instances are asked for: as many as can be, up to the larger number.
fn count(parameters: &LaunchParameters) -> Result<u32, ApiFault> {
    let number = |given: Option<i64>, name| given.ok_or_else(|| ApiFault::missing_parameter(name));
    let min = number(parameters.min_count, "MinCount")?;
    let max = number(parameters.max_count, "MaxCount")?;
    if min < 1 || max < min {
        return Err(ApiFault::invalid_parameter_value(format!(
            "MinCount ({min}) must be at least 1, and MaxCount ({max}) not below it"
        )));
    }
    if min > INSTANCES_MAX {
        return Err(ApiFault::new(
            "InstanceLimitExceeded",
            400,
            format!(
                "You have requested {min} instances, and {INSTANCES_MAX} can be launched at once."
            ),
        ));
    }
    Ok(u32::try_from(max.min(INSTANCES_MAX)).unwrap_or(u32::MAX))
}

struct Launch<'a> {
    desk: &'a Desk<'a>,
    snapshot: &'a Snapshot,
    inventory: Inventory<'a>,
    parameters: &'a LaunchParameters,
    /// What nobody had known.
    adopted: Vec<Resource>,
}

/// What the interfaces of all instances have in common.
struct Wiring<'a> {
    parameter: InterfaceAsked<'a>,
    device_number: u16,
    network_card: Option<u8>,
    subnet: Subnet,
    vpc_blocks: (Shared<Vec<ipnet::Ipv4Net>>, Shared<Vec<ipnet::Ipv6Net>>),
    groups: Shared<Vec<SecurityGroup>>,
}

/// The addresses that an interface is to have.
struct InterfaceAsked<'a> {
    private: Vec<&'a str>,
    more_private: usize,
    public: Option<bool>,
    ipv6: Vec<&'a str>,
    more_ipv6: usize,
}

impl Launch<'_> {
    fn adopts(&self) -> bool {
        self.desk.surroundings.launch_settings().references == References::Adopt
    }

    fn image(&mut self) -> Result<Image, ApiFault> {
        let text = self.parameters.image_id.as_deref();
        let text = text.ok_or_else(|| ApiFault::missing_parameter("ImageId"))?;
        let id: AmiId = text.parse().map_err(|_| ApiFault::malformed_image_id(text))?;
        if let Some(image) = self.inventory.image(id) {
            return Ok(image);
        }
        if !self.adopts() {
            return Err(ApiFault::image_not_found(text));
        }
        let image = self.inventory.adopt_image(id, self.desk.now);
        self.adopted.push(Resource::Image(image.clone()));
        Ok(image)
    }

    /// Resolves each option (control plane, 3), and refuses what the account does (2.6).
    fn options(
        &self,
        image: &Image,
        requested: OptionsChange,
        templated: Option<&Templated>,
    ) -> Result<(MetadataOptions, OptionLayers), ApiFault> {
        let mut layers = vec![(OptionLayer::Launch, requested)];
        layers.extend(templated.map(|by| (OptionLayer::LaunchTemplate, by.options)));
        let account = self.snapshot.metadata_defaults(&self.desk.scope);
        layers.push((OptionLayer::Account, account.options));
        if image.imds_support == Some(ImdsSupport::V2) {
            layers.push((OptionLayer::Image, OptionsChange::IMDS_SUPPORT_V2));
        }
        if self.desk.surroundings.launch_settings().requires_tokens(self.instance_type()) {
            let http_tokens = Some(HttpTokens::Required);
            let by_type = OptionsChange { http_tokens, ..OptionsChange::default() };
            layers.push((OptionLayer::InstanceType, by_type));
        }
        let (options, by) = MetadataOptions::resolve(&layers);
        if options.http_tokens == HttpTokens::Optional {
            refuse_if_enforced(self.snapshot, &self.desk.scope)?;
        }
        Ok((options, by))
    }

    /// EC2: the type of a launch that names none.
    fn instance_type(&self) -> &str {
        self.parameters.instance_type.as_deref().unwrap_or("m1.small")
    }

    /// What all instances have in common, but for options and interfaces.
    fn prototype(&mut self, image: &Image) -> Result<Instance, ApiFault> {
        let desk = self.desk;
        let parameters = self.parameters;
        let key_pair = self.key_pair()?;
        let of_instances = tags::specified(&parameters.tag_specification, "instance")?;
        let public_key = key_pair.as_ref().and_then(|pair| pair.public_key.clone());
        let key_name = key_pair.map(|pair| pair.name);
        let described = key_name.clone().zip(public_key);
        let described = described.map(|(name, public_key)| KeyPair { name, public_key });
        let monitored = parameters.monitoring.as_ref().and_then(|monitoring| monitoring.enabled);
        let configured = parameters.hibernation_options.as_ref().and_then(|of| of.configured);
        Ok(Instance {
            account_id: desk.scope.account_id,
            region: desk.scope.region.clone(),
            instance_type: parse_line(self.instance_type(), "InstanceType")?,
            architecture: image.architecture,
            life_cycle: self.life_cycle()?,
            ami_id: image.id,
            pending_time: desk.now,
            last_modified: desk.now,
            hostname_type: self.hostname_type()?,
            key_pair: described.map(Shared::from),
            block_devices: self.block_devices(image)?.into(),
            instance_profile: self.profile()?.map(Shared::from),
            user_data: parameters.user_data.as_deref().map(parse_user_data).transpose()?,
            tags: of_instances.into(),
            monitoring: if monitored == Some(true) { Switch::Enabled } else { Switch::Disabled },
            hibernation: configured.filter(|is| *is).map(|_| Switch::Enabled),
            state: InstanceState::Pending,
            attributes: self.attributes(key_name)?.into(),
            ..Instance::described(Instance::default_id())
        })
    }

    fn attributes(&self, key_name: Option<Line>) -> Result<Attributes, ApiFault> {
        let parameters = self.parameters;
        let pending: Line = parse_line("pending", "State")?;
        let behavior = parameters.instance_initiated_shutdown_behavior.as_deref();
        let behavior = behavior.map(super::attributes::parse_shutdown_behavior).transpose()?;
        let client_token = parameters.client_token.as_deref();
        Ok(Attributes {
            client_token: client_token.map(super::client_token::parse).transpose()?,
            driver: self.desk.surroundings.launch_settings().driver,
            key_name,
            state_reason: Some(StateReason { code: pending.clone(), message: pending }),
            state_since: Some(self.desk.now),
            disable_api_stop: parameters.disable_api_stop.unwrap_or(false),
            disable_api_termination: parameters.disable_api_termination.unwrap_or(false),
            ebs_optimized: parameters.ebs_optimized.unwrap_or(false),
            instance_initiated_shutdown_behavior: behavior.unwrap_or(model::ShutdownBehavior::Stop),
            ..Attributes::default()
        })
    }

    fn key_pair(&mut self) -> Result<Option<RegisteredKeyPair>, ApiFault> {
        let Some(text) = self.parameters.key_name.as_deref() else {
            return Ok(None);
        };
        let name = parse_line(text, "KeyName")?;
        if let Some(pair) = self.inventory.key_pair(&name) {
            return Ok(Some(pair));
        }
        if !self.adopts() {
            return Err(ApiFault::key_pair_not_found(text));
        }
        let pair = self.inventory.adopt_key_pair(name, self.desk.now);
        self.adopted.push(Resource::KeyPair(pair.clone()));
        Ok(Some(pair))
    }

    fn profile(&self) -> Result<Option<InstanceProfile>, ApiFault> {
        let Some(parameter) = &self.parameters.iam_instance_profile else {
            return Ok(None);
        };
        let name = parse_profile(&self.desk.scope, parameter, "iamInstanceProfile")?;
        find_profile(self.snapshot, &name, "iamInstanceProfile").map(Some)
    }

    fn life_cycle(&self) -> Result<LifeCycle, ApiFault> {
        let market = self.parameters.instance_market_options.as_ref();
        match market.and_then(|market| market.market_type.as_deref()) {
            None => Ok(LifeCycle::OnDemand),
            Some("spot") => Ok(LifeCycle::Spot),
            Some("capacity-block") => Ok(LifeCycle::CapacityBlock),
            Some(other) => {
                Err(ApiFault::not_one_of(other, "MarketType", &["spot", "capacity-block"]))
            }
        }
    }

    fn hostname_type(&self) -> Result<HostnameType, ApiFault> {
        let options = self.parameters.private_dns_name_options.as_ref();
        let text = options.and_then(|options| options.hostname_type.as_deref());
        let refused =
            |text| ApiFault::not_one_of(text, "HostnameType", &["ip-name", "resource-name"]);
        text.map_or(Ok(HostnameType::IpName), |text| text.parse().map_err(|_| refused(text)))
    }

    /// The root device under its two names, then what the request maps.
    fn block_devices(&self, image: &Image) -> Result<Vec<BlockDevice>, ApiFault> {
        let device = |name: &str, device: &Line| {
            Ok(BlockDevice { name: parse_line(name, "VirtualName")?, device: device.clone() })
        };
        let root = &image.root_device_name;
        let mut devices: Vec<BlockDevice> = ["ami", "root"]
            .iter()
            .map(|name| device(name, root))
            .collect::<Result<_, ApiFault>>()?;
        let mut volumes = 0;
        for mapping in &self.parameters.block_device_mapping {
            let text = mapping.device_name.as_deref();
            let text = text.ok_or_else(|| ApiFault::missing_parameter("deviceName"))?;
            let name = parse_line(text, "deviceName")?;
            if name == *root || mapping.no_device.is_some() {
                continue;
            }
            let is_known = |known: &BlockDevice| known.device == name;
            if devices.iter().any(is_known) {
                return Err(ApiFault::new(
                    "InvalidBlockDeviceMapping",
                    400,
                    format!("The device '{text}' is used in more than one block device mapping"),
                ));
            }
            let what = mapping.virtual_name.clone().unwrap_or_else(|| {
                volumes += 1;
                format!("ebs{volumes}")
            });
            devices.push(device(&what, &name)?);
        }
        Ok(devices)
    }
}

/// Subnets, groups and addresses.
impl<'a> Launch<'a> {
    /// Looks up what the interfaces of all instances have in common.
    fn wiring(&mut self, count: u32) -> Result<Vec<Wiring<'a>>, ApiFault> {
        let parameters = self.parameters;
        let named = &parameters.network_interface;
        let has_own = parameters.subnet_id.is_some() || !parameters.security_group_id.is_empty();
        if !named.is_empty() && has_own {
            return Err(ApiFault::invalid_parameter_combination(
                "Network interfaces and an instance-level subnet ID or security groups may not be \
                 specified on the same request",
            ));
        }
        if named.is_empty() {
            let subnet = self.subnet(parameters.subnet_id.as_deref())?;
            let groups =
                self.groups(&parameters.security_group_id, &parameters.security_group, &subnet)?;
            let asked = InterfaceAsked {
                private: parameters.private_ip_address.as_deref().into_iter().collect(),
                more_private: 0,
                public: None,
                ipv6: parameters
                    .ipv6_address
                    .iter()
                    .filter_map(|of| of.ipv6_address.as_deref())
                    .collect(),
                more_ipv6: parameters.ipv6_address_count.unwrap_or(0),
            };
            return Ok(vec![self.wired(asked, subnet, groups, count)?]);
        }
        let mut wired = Vec::new();
        for (position, parameter) in (0_u16..).zip(named) {
            if let Some(id) = &parameter.network_interface_id {
                let message = format!("The networkInterface ID '{id}' does not exist");
                return Err(ApiFault::new("InvalidNetworkInterfaceID.NotFound", 400, message));
            }
            let subnet = self.subnet(parameter.subnet_id.as_deref())?;
            let groups = self.groups(&parameter.security_group_id, &[], &subnet)?;
            let mut wiring = self.wired(asked_by(parameter), subnet, groups, count)?;
            wiring.device_number = parameter.device_index.unwrap_or(position);
            wiring.network_card = parameter.network_card_index;
            wired.push(wiring);
        }
        Ok(wired)
    }

    fn wired<'p>(
        &self,
        parameter: InterfaceAsked<'p>,
        subnet: Subnet,
        groups: Vec<SecurityGroup>,
        count: u32,
    ) -> Result<Wiring<'p>, ApiFault> {
        if count > 1 && !(parameter.private.is_empty() && parameter.ipv6.is_empty()) {
            return Err(ApiFault::invalid_parameter_combination(
                "An address may be specified for one instance only",
            ));
        }
        let wanted = [
            parameter.private.len() + parameter.more_private,
            parameter.ipv6.len() + parameter.more_ipv6,
        ];
        if wanted.into_iter().any(|wanted| wanted > ADDRESSES_MAX) {
            return Err(ApiFault::new(
                "PrivateIpAddressLimitExceeded",
                400,
                format!("A network interface has at most {ADDRESSES_MAX} addresses."),
            ));
        }
        let vpc = self.inventory.vpc(subnet.vpc_id);
        let (ipv4, ipv6) = vpc.map(|vpc| (vpc.ipv4_cidrs, vpc.ipv6_cidrs)).unwrap_or_default();
        Ok(Wiring {
            parameter,
            device_number: 0,
            network_card: None,
            subnet,
            vpc_blocks: (ipv4.into(), ipv6.into()),
            groups: groups.into(),
        })
    }

    /// Where instances of a subnet run.
    fn placement(&self, subnet: &Subnet) -> Result<Placement, ApiFault> {
        let asked = self.parameters.placement.as_ref();
        let line =
            |text: Option<&String>, name| text.map(|text| parse_line(text, name)).transpose();
        Ok(Placement {
            availability_zone: subnet.availability_zone.clone(),
            availability_zone_id: subnet.availability_zone_id.clone(),
            group_name: line(asked.and_then(|of| of.group_name.as_ref()), "groupName")?,
            host_id: line(asked.and_then(|of| of.host_id.as_ref()), "hostId")?,
            partition_number: asked.and_then(|of| of.partition_number),
        })
    }

    /// The subnet that is named, or the default one of the zone that is.
    fn subnet(&mut self, named: Option<&str>) -> Result<Subnet, ApiFault> {
        let zone =
            self.parameters.placement.as_ref().and_then(|of| of.availability_zone.as_deref());
        let Some(text) = named else {
            return self.inventory.default_subnet(zone).ok_or_else(|| {
                ApiFault::invalid_value_for(
                    zone.unwrap_or_default(),
                    "availabilityZone",
                    "Subnets can currently only be created in the zones that \
                     DescribeAvailabilityZones lists.",
                )
            });
        };
        let id = text.parse().map_err(|_| ApiFault::malformed_subnet_id(text))?;
        let adopted = self.adopted.iter().find_map(|resource| match resource {
            Resource::Subnet(subnet) if subnet.id == id => Some(subnet.clone()),
            _ => None,
        });
        if let Some(subnet) = adopted.or_else(|| self.inventory.subnet(id)) {
            return match zone.filter(|zone| **zone != *subnet.availability_zone) {
                None => Ok(subnet),
                Some(zone) => Err(ApiFault::invalid_parameter_combination(format!(
                    "The availability zone '{zone}' is not that of the subnet '{text}'"
                ))),
            };
        }
        if !self.adopts() {
            return Err(ApiFault::subnet_not_found(text));
        }
        let zone = zone.map(|zone| parse_zone(&self.desk.scope, zone)).transpose()?;
        let subnet = self.inventory.adopt_subnet(id, zone.as_ref());
        self.adopted.push(Resource::Subnet(subnet.clone()));
        Ok(subnet)
    }

    /// The security groups that are named, or the VPC's default.
    fn groups(
        &mut self,
        ids: &[String],
        names: &[String],
        subnet: &Subnet,
    ) -> Result<Vec<SecurityGroup>, ApiFault> {
        let known = self.inventory.security_groups();
        let mut groups = Vec::new();
        for text in ids {
            let id = text.parse().map_err(|_| ApiFault::malformed_group_id(text))?;
            let group = match known.iter().find(|group| group.id == id) {
                Some(group) => group.clone(),
                None if self.adopts() => {
                    let group = self.inventory.adopt_security_group(id, subnet.vpc_id);
                    self.adopted.push(Resource::SecurityGroup(group.clone()));
                    group
                }
                None => return Err(ApiFault::group_not_found(text)),
            };
            groups.push(SecurityGroup { id: group.id, name: group.name });
        }
        for name in names {
            let found = known.iter().find(|group| *group.name == **name);
            let group = found.ok_or_else(|| ApiFault::group_not_found(name))?;
            groups.push(SecurityGroup { id: group.id, name: group.name.clone() });
        }
        if groups.is_empty() {
            let default = self.inventory.default_security_group(subnet.vpc_id);
            groups.extend(default.map(|group| SecurityGroup { id: group.id, name: group.name }));
        }
        Ok(groups)
    }

    /// Gives one instance its interfaces.
    fn interfaces(
        &self,
        wiring: &[Wiring<'_>],
        addresses: &mut Addresses,
    ) -> Result<Vec<Interface>, ApiFault> {
        wiring.iter().map(|wiring| self.interface(wiring, addresses)).collect()
    }

    fn interface(
        &self,
        wiring: &Wiring<'_>,
        addresses: &mut Addresses,
    ) -> Result<Interface, ApiFault> {
        let Wiring { parameter, subnet, .. } = wiring;
        let mut private = Vec::new();
        for text in &parameter.private {
            private.push(addresses.take(text, subnet)?);
        }
        let more = parameter.more_private + usize::from(private.is_empty());
        for _ in 0..more {
            private.push(addresses.next(subnet, self.desk.fresh_number()?)?);
        }
        let mut ipv4: Vec<_> =
            private.into_iter().map(|private| Ipv4Address { private, public: None }).collect();
        let by_subnet = subnet.map_public_ip_on_launch == Switch::Enabled;
        let is_primary = wiring.device_number == 0;
        if let Some(first) = ipv4.first_mut().filter(|_| is_primary) {
            if parameter.public.unwrap_or(by_subnet) {
                first.public = Some(addresses.next_public(self.desk.fresh_number()?)?);
            }
        }
        let mut ipv6 = Vec::new();
        for text in &parameter.ipv6 {
            ipv6.push(parse_ipv6(text, subnet)?);
        }
        for _ in 0..parameter.more_ipv6 {
            ipv6.push(fresh_ipv6(subnet, self.desk.fresh_number()?)?);
        }
        let random = self.desk.fresh_number()?.to_be_bytes();
        let [first, second, third, fourth, fifth, sixth, ..] = random;
        Ok(Interface {
            // A unicast address that nobody has assigned.
            mac: MacAddress::from_bytes([first & 0xfc | 2, second, third, fourth, fifth, sixth]),
            interface_id: InterfaceId::from_number(self.desk.fresh_number()?),
            device_number: wiring.device_number,
            network_card: wiring.network_card,
            ipv4,
            ipv6: ipv6.into(),
            security_groups: wiring.groups.clone(),
            subnet_id: subnet.id,
            subnet_ipv4_cidr: Some(subnet.ipv4_cidr),
            subnet_ipv6_cidrs: subnet.ipv6_cidrs.clone().into(),
            vpc_id: subnet.vpc_id,
            vpc_ipv4_cidrs: wiring.vpc_blocks.0.clone(),
            vpc_ipv6_cidrs: wiring.vpc_blocks.1.clone(),
            ..Interface::derived(Instance::default_id())
        })
    }
}

fn asked_by(parameter: &InterfaceParameter) -> InterfaceAsked<'_> {
    // The primary address first, wherever it stands.
    let mut listed: Vec<_> = parameter.private_ip_addresses.iter().collect();
    listed.sort_by_key(|address| address.primary != Some(true));
    let listed = listed.into_iter().filter_map(|address| address.private_ip_address.as_deref());
    InterfaceAsked {
        private: parameter.private_ip_address.as_deref().into_iter().chain(listed).collect(),
        more_private: parameter.secondary_private_ip_address_count.unwrap_or(0),
        public: parameter.associate_public_ip_address,
        ipv6: parameter.ipv6_addresses.iter().filter_map(|of| of.ipv6_address.as_deref()).collect(),
        more_ipv6: parameter.ipv6_address_count.unwrap_or(0),
    }
}

/// The addresses that instances of a scope have.
struct Addresses {
    private: HashSet<Ipv4Addr>,
    public: HashSet<Ipv4Addr>,
}

/// Where public addresses come from: the block for benchmarks of networks (RFC 2544), which leads
/// nowhere.
const PUBLIC: (u32, u32) = (0xc612_0000, 0x0001_ffff);

impl Addresses {
    fn in_use(snapshot: &Snapshot, scope: &Scope) -> Self {
        let (mut private, mut public) = (HashSet::new(), HashSet::new());
        let own = snapshot.instances().filter(|(instance, _)| instance.is_in(scope));
        for address in own.flat_map(|(instance, _)| &instance.interfaces).flat_map(|of| &of.ipv4) {
            private.insert(address.private);
            public.extend(address.public);
        }
        Self { private, public }
    }

    /// Takes the address that is asked for.
    fn take(&mut self, text: &str, subnet: &Subnet) -> Result<Ipv4Addr, ApiFault> {
        let invalid = |reason| ApiFault::invalid_value_for(text, "privateIpAddress", reason);
        let address: Ipv4Addr = text.parse().map_err(|_| invalid("It is not an IPv4 address."))?;
        if !usable(subnet).any(|range| range.contains(&u32::from(address))) {
            return Err(invalid("Address does not fall within the subnet's address range."));
        }
        if !self.private.insert(address) {
            let message = format!("Address {address} is in use.");
            return Err(ApiFault::new("InvalidIPAddress.InUse", 400, message));
        }
        Ok(address)
    }

    /// Takes a free address, near one that is drawn.
    fn next(&mut self, subnet: &Subnet, random: u128) -> Result<Ipv4Addr, ApiFault> {
        let full = || {
            ApiFault::new(
                "InsufficientFreeAddressesInSubnet",
                400,
                format!("There are not enough free addresses in subnet '{}'.", subnet.id),
            )
        };
        let range = usable(subnet).next().ok_or_else(full)?;
        free_near(&range, random, &mut self.private).ok_or_else(full)
    }

    fn next_public(&mut self, random: u128) -> Result<Ipv4Addr, ApiFault> {
        let (first, size) = PUBLIC;
        free_near(&(first..first + size), random, &mut self.public).ok_or_else(|| {
            ApiFault::new("InsufficientAddressCapacity", 400, "There is no free public address.")
        })
    }
}

/// Takes the first free address from a drawn one on, around the range once.
fn free_near(
    range: &std::ops::Range<u32>,
    random: u128,
    used: &mut HashSet<Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let size = u32::try_from(range.len()).ok().filter(|size| *size > 0)?;
    let start = range.start + u32::try_from(random % u128::from(size)).unwrap_or(0);
    (start..range.end).chain(range.start..start).map(Ipv4Addr::from).find(|at| used.insert(*at))
}

/// EC2: the first four addresses of a subnet and the last one are reserved.
fn usable(subnet: &Subnet) -> impl Iterator<Item = std::ops::Range<u32>> + use<> {
    let (first, last) = (subnet.ipv4_cidr.network(), subnet.ipv4_cidr.broadcast());
    let range = u32::from(first).saturating_add(4)..u32::from(last);
    (!range.is_empty()).then_some(range).into_iter()
}

fn parse_ipv6(text: &str, subnet: &Subnet) -> Result<Ipv6Addr, ApiFault> {
    let invalid = |reason| ApiFault::invalid_value_for(text, "ipv6Address", reason);
    let address: Ipv6Addr = text.parse().map_err(|_| invalid("It is not an IPv6 address."))?;
    if subnet.ipv6_cidrs.iter().any(|block| block.contains(&address)) {
        Ok(address)
    } else {
        Err(invalid("Address does not fall within the subnet's address range."))
    }
}

fn fresh_ipv6(subnet: &Subnet, random: u128) -> Result<Ipv6Addr, ApiFault> {
    let block = subnet.ipv6_cidrs.first().ok_or_else(|| {
        ApiFault::invalid_parameter_combination(format!(
            "The subnet '{}' has no IPv6 block",
            subnet.id
        ))
    })?;
    let mask = u128::from(block.hostmask());
    Ok(Ipv6Addr::from(u128::from(block.network()) | random & mask))
}

fn parse_zone(scope: &Scope, text: &str) -> Result<Line, ApiFault> {
    let known = super::inventory::zones(scope).into_iter().map(|(name, _)| name);
    known.into_iter().find(|name| **name == *text).ok_or_else(|| {
        ApiFault::invalid_value_for(text, "availabilityZone", "The zone does not exist.")
    })
}

/// Reads user data: base64, in whatever lines.
pub(crate) fn parse_user_data(text: &str) -> Result<UserData, ApiFault> {
    let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let bytes = STANDARD.decode(plain).map_err(|_| {
        let message = "Invalid BASE64 encoding of user data.";
        ApiFault::new("InvalidUserData.Malformed", 400, message)
    })?;
    UserData::new(bytes)
        .map_err(|_| ApiFault::invalid_parameter_value("User data is limited to 16384 bytes"))
}

/// The tags of volumes and interfaces, which are no instances.
fn other_tags(
    desk: &Desk<'_>,
    parameters: &LaunchParameters,
    instance: &Instance,
) -> Result<Vec<Change>, ApiFault> {
    let of = |kind| tags::specified(&parameters.tag_specification, kind);
    let (volumes, interfaces): (Tags, Tags) = (of("volume")?, of("network-interface")?);
    let volume_ids = super::instance_element::volume_ids(instance);
    let interface_ids = instance.interfaces.iter().map(|own| own.interface_id.to_string());
    let tagged = volume_ids.into_iter().map(|id| (id, &volumes));
    let tagged = tagged.chain(interface_ids.map(|id| (id, &interfaces)));
    Ok(tagged
        .filter(|(_, tags)| !tags.is_empty())
        .filter_map(|(id, tags)| tags::put(desk, &id, tags.clone()))
        .collect())
}
