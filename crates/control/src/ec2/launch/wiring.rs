//! How a launch is wired: its subnet, its security groups, and an interface for each instance.

use model::{
    Instance, Interface, InterfaceId, Ipv4Address, Line, MacAddress, Placement,
    RegisteredSecurityGroup, Resource, Scope, SecurityGroup, Shared, Subnet, Switch,
};

use super::Launch;
use super::addresses::{Addresses, fresh_ipv6, parse_ipv6};
use crate::api::ApiFault;
use crate::ec2::inventory;
use crate::ec2::launch_parameters::InterfaceParameter;
use crate::ec2::security_groups::{named_groups, refuse_more_groups};
use crate::ec2::text::parse_line;

/// LIMIT: addresses of one interface; that of the largest types of EC2.
const ADDRESSES_MAX: usize = 50;

/// LIMIT: interfaces of an instance. The largest types of EC2 have fewer.
const INTERFACES_MAX: usize = 64;

/// What the interfaces of all instances have in common.
pub(super) struct Wiring<'a> {
    parameter: InterfaceAsked<'a>,
    device_number: u16,
    network_card: Option<u8>,
    pub(super) subnet: Subnet,
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

/// Subnets, groups and addresses.
impl<'a> Launch<'a> {
    /// Looks up what the interfaces of all instances have in common.
    pub(super) fn wiring(&mut self, count: u32) -> Result<Vec<Wiring<'a>>, ApiFault> {
        let parameters = self.parameters;
        let named = &parameters.network_interface;
        let has_own = parameters.subnet_id.is_some() || !parameters.security_group_id.is_empty();
        if !named.is_empty() && has_own {
            return Err(ApiFault::invalid_parameter_combination(
                "Network interfaces and an instance-level subnet ID or security groups may not be \
                 specified on the same request",
            ));
        }
        if named.len() > INTERFACES_MAX {
            return Err(ApiFault::attachment_limit_exceeded(format!(
                "An instance has at most {INTERFACES_MAX} network interfaces."
            )));
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
    pub(super) fn placement(&self, subnet: &Subnet) -> Result<Placement, ApiFault> {
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
        let adopted = self.adopted.iter().find_map(|resource| {
            let Resource::Subnet(subnet) = resource else { return None };
            (subnet.id == id).then(|| subnet.clone())
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
        refuse_more_groups(ids.len() + names.len())?;
        let (by_id, adopted) = named_groups(self.desk, &self.inventory, ids, subnet.vpc_id)?;
        self.adopted.extend(adopted);
        let of = |group: RegisteredSecurityGroup| SecurityGroup { id: group.id, name: group.name };
        let mut groups: Vec<_> = by_id.into_iter().map(of).collect();
        for name in names {
            let found = self.inventory.security_groups().find(|group| *group.name == **name);
            groups.push(of(found.ok_or_else(|| ApiFault::group_not_found(name))?));
        }
        if groups.is_empty() {
            let default = self.inventory.default_security_group(subnet.vpc_id);
            groups.extend(default.map(of));
        }
        Ok(groups)
    }

    /// Gives one instance its interfaces.
    pub(super) fn interfaces(
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
        let is_public = is_primary && parameter.public.unwrap_or(by_subnet);
        if let Some(first) = ipv4.first_mut().filter(|_| is_public) {
            first.public = Some(addresses.next_public(self.desk.fresh_number()?)?);
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

fn parse_zone(scope: &Scope, text: &str) -> Result<Line, ApiFault> {
    let known = inventory::zones(scope).into_iter().map(|(name, _)| name);
    known.into_iter().find(|name| **name == *text).ok_or_else(|| {
        ApiFault::invalid_value_for(text, "availabilityZone", "The zone does not exist.")
    })
}
