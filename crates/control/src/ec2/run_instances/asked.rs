//! What a launch asks for: every resource that it makes or uses, each on its own (control plane, 5.1).
//!
//! The instance is asked for first, with its options as they are resolved: a policy about
//! `ec2:MetadataHttpTokens` is about what the instance would get, whoever says so.

use std::collections::BTreeSet;

use model::{Image, OptionsChange};
use policy::Value;
use store::Snapshot;

use crate::authorize::{Ask, keys_of_options};
use crate::ec2::Desk;
use crate::ec2::asked::with_request_tags;
use crate::ec2::inventory::Inventory;
use crate::ec2::launch::{instance_type, resolve};
use crate::ec2::launch_parameters::{InterfaceParameter, LaunchParameters, TagParameter};

/// A launch, with what a template says laid under what the request says.
pub(super) struct AskedLaunch<'a> {
    pub(super) desk: &'a Desk<'a>,
    pub(super) snapshot: &'a Snapshot,
    pub(super) parameters: &'a LaunchParameters,
    /// The options of the request, and those of the template.
    pub(super) options: [Option<OptionsChange>; 2],
    /// The template, by its id.
    pub(super) template: Option<String>,
    /// Whether the request says the same of a resource that the template would have said.
    pub(super) own: &'a LaunchParameters,
}

/// What a launch says of an interface.
struct Wired<'a> {
    interface_id: Option<&'a str>,
    subnet_id: Option<&'a str>,
    group_ids: &'a [String],
    group_names: &'a [String],
}

impl<'a> Wired<'a> {
    fn of(interface: &'a InterfaceParameter) -> Self {
        Self {
            interface_id: interface.network_interface_id.as_deref(),
            subnet_id: interface.subnet_id.as_deref(),
            group_ids: &interface.security_group_id,
            group_names: &[],
        }
    }
}

impl AskedLaunch<'_> {
    /// Asks for everything.
    pub(super) fn asks(&self) -> Vec<Ask> {
        let (desk, parameters) = (self.desk, self.parameters);
        let inventory = Inventory::new(self.snapshot, &desk.scope);
        let image = parameters.image_id.as_deref();
        let found = image.and_then(|id| inventory.image(id.parse().ok()?));
        let mut asks = vec![self.instance(found.as_ref())];
        if let Some(id) = image {
            let ask = desk.ask_on(self.snapshot, "image", id).with_text("ec2:ImageID", id);
            let ask = match &found {
                Some(image) => ask.with_text("ec2:Owner", image.owner_id.as_str()),
                None => ask,
            };
            asks.push(self.of_template(ask, self.own.image_id.is_none()));
        }
        asks.extend(self.network(&inventory));
        let volume = Ask::on(desk.ec2_arn("volume", "*"));
        asks.push(self.of_template(volume, self.own.block_device_mapping.is_empty()));
        if let Some(name) = &parameters.key_name {
            let ask = Ask::on(desk.ec2_arn("key-pair", name)).with_text("ec2:KeyPairName", name);
            asks.push(self.of_template(ask, self.own.key_name.is_none()));
        }
        let group = parameters.placement.as_ref().and_then(|of| of.group_name.as_deref());
        if let Some(name) = group {
            let ask = Ask::on(desk.ec2_arn("placement-group", name));
            asks.push(self.of_template(ask, self.own.placement.is_none()));
        }
        if let Some(id) = &self.template {
            let ask = desk.ask_on(self.snapshot, "launch-template", id);
            asks.push(self.of_template(ask, false));
        }
        asks.extend(desk.asks_to_tag(&parameters.tag_specification, "RunInstances"));
        let (profile, instance) = (&parameters.iam_instance_profile, desk.ec2_arn("instance", "*"));
        asks.extend(desk.ask_to_pass_role(self.snapshot, profile.as_ref(), &instance));
        asks
    }

    /// The instance: every option resolved.
    fn instance(&self, image: Option<&Image>) -> Ask {
        let (desk, parameters) = (self.desk, self.parameters);
        let instance_type = instance_type(parameters);
        let imds_support = image.and_then(|image| image.imds_support);
        let (options, _) = resolve(desk, self.snapshot, imds_support, instance_type, self.options);
        let mut ask = Ask::on(desk.ec2_arn("instance", "*")).with_text("ec2:InstanceID", "*");
        ask.keys.extend(keys_of_options(options));
        let market = parameters.instance_market_options.as_ref();
        let market = market.and_then(|market| market.market_type.as_deref());
        ask = ask
            .with_text("ec2:InstanceType", instance_type)
            .with_text("ec2:RootDeviceType", "ebs")
            .with_text("ec2:Tenancy", "default")
            .with_text("ec2:InstanceMarketType", market.unwrap_or("on-demand"))
            .with("ec2:ebsOptimized", Value::bool(parameters.ebs_optimized.unwrap_or(false)));
        if let Some(profile) = &parameters.iam_instance_profile
            && let Some(arn) = desk.arn_of_profile(self.snapshot, profile)
        {
            ask = ask.with_text("ec2:InstanceProfile", &arn);
        }
        if let Some(zone) = self.zone_of_instance() {
            ask = ask.with_text("ec2:AvailabilityZone", &zone);
        }
        let ask = self.tagged(ask, "instance");
        self.of_template(ask, self.own.instance_type.is_none())
    }

    /// The interfaces, security groups and subnets: of each interface those that are named for it, or the
    /// defaults that it would get.
    fn network(&self, inventory: &Inventory<'_>) -> Vec<Ask> {
        let desk = self.desk;
        let (mut interfaces, mut groups, mut subnets) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for wired in self.wired() {
            interfaces.insert(wired.interface_id.unwrap_or("*").to_owned());
            let subnet = match wired.subnet_id {
                Some(id) => id.parse().ok().and_then(|id| inventory.subnet(id)),
                None => inventory.default_subnet(self.zone()),
            };
            let found = subnet.as_ref().map(|subnet| subnet.id.to_string());
            subnets.extend(wired.subnet_id.map(str::to_owned).or(found));
            groups.extend(wired.group_ids.iter().cloned());
            for name in wired.group_names {
                let found = inventory.security_groups().find(|group| *group.name == **name);
                groups.extend(found.map(|group| group.id.to_string()));
            }
            let is_default = wired.group_ids.is_empty() && wired.group_names.is_empty();
            if let Some(subnet) = subnet.filter(|_| is_default) {
                let found = inventory.default_security_group(subnet.vpc_id);
                groups.extend(found.map(|group| group.id.to_string()));
            }
        }
        let is_templated = self.own.network_interface.is_empty() && self.own.subnet_id.is_none();
        let kinds = [
            ("network-interface", interfaces),
            ("security-group", groups),
            ("subnet", subnets),
        ];
        let of_kind = |(resource_type, ids): (&'static str, BTreeSet<String>)| {
            ids.into_iter().map(move |id| desk.ask_on(self.snapshot, resource_type, &id))
        };
        let asks = kinds.into_iter().flat_map(of_kind);
        asks.map(|ask| self.of_template(ask, is_templated)).collect()
    }

    /// What is said of each interface; of one alone by the launch itself, if it names none.
    fn wired(&self) -> Vec<Wired<'_>> {
        let parameters = self.parameters;
        if parameters.network_interface.is_empty() {
            return vec![Wired {
                interface_id: None,
                subnet_id: parameters.subnet_id.as_deref(),
                group_ids: &parameters.security_group_id,
                group_names: &parameters.security_group,
            }];
        }
        parameters.network_interface.iter().map(Wired::of).collect()
    }

    /// The zone that the launch names.
    fn zone(&self) -> Option<&str> {
        let placement = self.parameters.placement.as_ref();
        placement.and_then(|of| of.availability_zone.as_deref())
    }

    /// The zone of the instance: that of its first subnet.
    fn zone_of_instance(&self) -> Option<String> {
        let inventory = Inventory::new(self.snapshot, &self.desk.scope);
        let first = self.parameters.network_interface.first();
        let named = first.and_then(|of| of.subnet_id.as_ref()).or(self.parameters.subnet_id.as_ref());
        let subnet = match named {
            Some(id) => inventory.subnet(id.parse().ok()?),
            None => inventory.default_subnet(self.zone()),
        };
        let of_subnet = subnet.map(|subnet| subnet.availability_zone.to_string());
        of_subnet.or_else(|| self.zone().map(str::to_owned))
    }

    /// Says which tags the launch gives to what it makes.
    fn tagged(&self, ask: Ask, resource_type: &str) -> Ask {
        let specifications = self.parameters.tag_specification.iter();
        let of_type = specifications.filter(|of| of.resource_type.as_deref() == Some(resource_type));
        let tags: Vec<TagParameter> = of_type.flat_map(|of| of.tag.iter().cloned()).collect();
        with_request_tags(ask, &tags)
    }

    /// Says which template is used, and whether the resource comes from it.
    fn of_template(&self, ask: Ask, is_templated: bool) -> Ask {
        match &self.template {
            Some(id) => ask
                .with_text("ec2:LaunchTemplate", &self.desk.ec2_arn("launch-template", id))
                .with("ec2:IsLaunchTemplateResource", Value::bool(is_templated)),
            None => ask,
        }
    }
}
