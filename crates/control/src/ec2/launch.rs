//! The plan of a launch: everything that a request names is looked up or adopted, every option is
//! resolved, and each instance gets ids and addresses of its own.

pub(crate) mod addresses;
mod wiring;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{
    AmiId, AssociationId, Attachment, Attributes, BlockDevice, Driver, HostnameType, HttpTokens,
    Image, ImdsSupport, Instance, InstanceId, InstanceProfile, KeyPair, LifeCycle, Line,
    MetadataOptions, OptionLayer, OptionLayers, OptionsChange, RegisteredKeyPair, ReservationId,
    Resource, Shared, Switch, TemplateUsed, UserData,
};
use store::{Change, Snapshot};

use self::addresses::Addresses;
use super::Desk;
use super::instance_profiles::{find_profile, parse_profile};
use super::inventory::Inventory;
use super::launch_parameters::LaunchParameters;
use super::metadata_options::refuse_if_enforced;
use super::tags::{self, Tags};
use super::text::parse_line;
use crate::api::ApiFault;
use crate::{References, declarative, lifecycle};

/// LIMIT: instances of one request. EC2 bounds an account's instances instead.
const INSTANCES_MAX: i64 = 1000;

/// LIMIT: block devices of an instance, or an image. EC2 documents it for volumes.
pub(crate) const BLOCK_DEVICES_MAX: usize = 128;

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

/// A launch that is asked for.
pub(crate) struct Asked<'p> {
    /// The parameters of the request, laid over those of the template.
    pub(crate) parameters: &'p LaunchParameters,
    /// The options of the request alone.
    pub(crate) options: OptionsChange,
    /// What a launch template gives.
    pub(crate) templated: Option<Templated>,
    /// What an operator says, which the EC2 API has no words for.
    pub(crate) operator: Option<ByOperator>,
}

/// What an operator says of the one instance that is launched.
pub(crate) struct ByOperator {
    /// Its id.
    pub(crate) instance_id: InstanceId,
    /// What makes its machine, whatever the settings say.
    pub(crate) driver: Option<Driver>,
    /// How it is attached, besides what the driver does.
    pub(crate) attachments: Vec<Attachment>,
}

/// Plans a launch.
pub(crate) fn plan(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    asked: Asked<'_>,
) -> Result<(Vec<Change>, Launched), ApiFault> {
    let Asked { parameters, options: requested, templated, operator } = asked;
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
    let driver = match &operator {
        Some(operator) => operator.driver,
        None => desk.surroundings.launch_settings().driver,
    };
    lifecycle::launch(&mut prototype, driver, desk.now);
    prototype.attributes.launch_template = templated.map(|templated| templated.used);
    let mut addresses = Addresses::in_use(snapshot, &desk.scope, driver);
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
    if let (Some(operator), Some(instance)) = (operator, instances.first_mut()) {
        instance.id = operator.instance_id;
        instance.attachments = operator.attachments;
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
        return Err(ApiFault::instance_limit_exceeded(format!(
            "You have requested {min} instances, and {INSTANCES_MAX} can be launched at once."
        )));
    }
    Ok(u32::try_from(max.min(INSTANCES_MAX)).unwrap_or(u32::MAX))
}

/// Resolves each option (control plane, 3). What is said of it: in the request, and in a template.
pub(crate) fn resolve(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    imds_support: Option<ImdsSupport>,
    instance_type: &str,
    [requested, templated]: [Option<OptionsChange>; 2],
) -> (MetadataOptions, OptionLayers) {
    let mut layers = vec![(OptionLayer::Launch, requested.unwrap_or_default())];
    layers.extend(templated.map(|options| (OptionLayer::LaunchTemplate, options)));
    let account = declarative::in_force(snapshot, &desk.scope);
    layers.push((account.layer(), account.defaults.options));
    if imds_support == Some(ImdsSupport::V2) {
        layers.push((OptionLayer::Image, OptionsChange::IMDS_SUPPORT_V2));
    }
    if desk.surroundings.launch_settings().requires_tokens(instance_type) {
        let http_tokens = Some(HttpTokens::Required);
        let by_type = OptionsChange { http_tokens, ..OptionsChange::default() };
        layers.push((OptionLayer::InstanceType, by_type));
    }
    MetadataOptions::resolve(&layers)
}

/// EC2: the type of a launch that names none.
pub(crate) fn instance_type(parameters: &LaunchParameters) -> &str {
    parameters.instance_type.as_deref().unwrap_or("m1.small")
}

struct Launch<'a> {
    desk: &'a Desk<'a>,
    snapshot: &'a Snapshot,
    inventory: Inventory<'a>,
    parameters: &'a LaunchParameters,
    /// What nobody had known.
    adopted: Vec<Resource>,
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

    /// Resolves each option, and refuses what the account does (control plane, 2.6).
    fn options(
        &self,
        image: &Image,
        requested: OptionsChange,
        templated: Option<&Templated>,
    ) -> Result<(MetadataOptions, OptionLayers), ApiFault> {
        let (desk, snapshot) = (self.desk, self.snapshot);
        let templated = templated.map(|templated| templated.options);
        let (options, by) = resolve(
            desk,
            snapshot,
            image.imds_support,
            self.instance_type(),
            [Some(requested), templated],
        );
        if options.http_tokens == HttpTokens::Optional {
            refuse_if_enforced(snapshot, &desk.scope)?;
        }
        Ok((options, by))
    }

    fn instance_type(&self) -> &str {
        instance_type(self.parameters)
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
            attributes: self.attributes(key_name)?.into(),
            ..Instance::described(Instance::default_id())
        })
    }

    fn attributes(&self, key_name: Option<Line>) -> Result<Attributes, ApiFault> {
        let parameters = self.parameters;
        let behavior = parameters.instance_initiated_shutdown_behavior.as_deref();
        let behavior = behavior.map(super::attributes::parse_shutdown_behavior).transpose()?;
        let client_token = parameters.client_token.as_deref();
        Ok(Attributes {
            client_token: client_token.map(super::client_token::parse).transpose()?,
            key_name,
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
        let pair = Inventory::adopt_key_pair(name, self.desk.now);
        self.adopted.push(Resource::KeyPair(pair.clone()));
        Ok(Some(pair))
    }

    fn profile(&self) -> Result<Option<InstanceProfile>, ApiFault> {
        let Some(parameter) = &self.parameters.iam_instance_profile else {
            return Ok(None);
        };
        let name = parse_profile(&self.desk.scope, parameter, "iamInstanceProfile")?;
        find_profile(self.snapshot, &self.desk.scope, &name, "iamInstanceProfile").map(Some)
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
        if self.parameters.block_device_mapping.len() > BLOCK_DEVICES_MAX {
            return Err(ApiFault::attachment_limit_exceeded(format!(
                "An instance has at most {BLOCK_DEVICES_MAX} block devices."
            )));
        }
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
