//! What EC2 actions ask for: resources by their ARNs, and what policies know of them (control plane,
//! 5.1 and 5.2).
//!
//! A resource that is not there is asked for like any other, with the keys of the request alone.

use model::{IamName, Instance, InstanceId};
use policy::Value;
use store::Snapshot;

use super::Desk;
use super::instance_profiles::parse_profile;
use super::launch_parameters::{ProfileParameter, TagParameter, TagSpecification};
use super::tags::{self, resource_type};
use crate::authorize::{Ask, keys_of_options};

/// Whose AMIs, snapshots and the like carry no account in their ARNs.
const WITHOUT_ACCOUNT: [&str; 2] = ["image", "snapshot"];

impl Desk<'_> {
    /// The ARN of a resource of EC2, by its type and its id or name.
    pub(crate) fn ec2_arn(&self, resource_type: &str, name: &str) -> String {
        let (partition, region) = (self.scope.region.partition(), &self.scope.region);
        if WITHOUT_ACCOUNT.contains(&resource_type) {
            format!("arn:{partition}:ec2:{region}::{resource_type}/{name}")
        } else {
            let account_id = self.scope.account_id;
            format!("arn:{partition}:ec2:{region}:{account_id}:{resource_type}/{name}")
        }
    }

    /// Asks for a resource that has its tags as a resource of their own.
    pub(crate) fn ask_on(&self, snapshot: &Snapshot, resource_type: &str, id: &str) -> Ask {
        let of = tags::of(snapshot, &self.scope, id);
        with_resource_tags(Ask::on(self.ec2_arn(resource_type, id)), tags::pairs(of))
    }

    /// Asks for an instance.
    pub(crate) fn ask_on_instance(&self, snapshot: &Snapshot, id: &str) -> Ask {
        let ask = Ask::on(self.ec2_arn("instance", id)).with_text("ec2:InstanceID", id);
        let found = id.parse().ok().and_then(|id: InstanceId| snapshot.instance(id));
        match found.filter(|instance| instance.is_in(&self.scope)) {
            Some(instance) => self.with_instance(ask, snapshot, instance),
            None => ask,
        }
    }

    /// Asks for instances.
    pub(crate) fn ask_on_instances(&self, snapshot: &Snapshot, ids: &[String]) -> Vec<Ask> {
        ids.iter().map(|id| self.ask_on_instance(snapshot, id)).collect()
    }

    /// Says all that policies know of an instance as it is.
    fn with_instance(&self, mut ask: Ask, snapshot: &Snapshot, instance: &Instance) -> Ask {
        ask.keys.extend(keys_of_options(instance.options));
        ask = ask
            .with_text("ec2:InstanceType", &instance.instance_type)
            .with_text("ec2:AvailabilityZone", &instance.placement.availability_zone)
            .with_text("ec2:RootDeviceType", "ebs")
            .with_text("ec2:Tenancy", "default")
            .with("ec2:EbsOptimized", Value::bool(instance.attributes.ebs_optimized));
        if let Some(profile) = &instance.instance_profile {
            ask = ask.with_text("ec2:InstanceProfile", &self.profile_arn(snapshot, &profile.name));
        }
        with_resource_tags(ask, instance.tags.iter().map(|(key, value)| (key.as_str(), &**value)))
    }

    /// The ARN of a profile, by its path if it is there.
    fn profile_arn(&self, snapshot: &Snapshot, name: &IamName) -> String {
        let (partition, account_id) = (self.scope.region.partition(), self.scope.account_id);
        match snapshot.instance_profile(account_id, name) {
            Some(profile) => profile.arn(partition),
            None => format!("arn:{partition}:iam::{account_id}:instance-profile/{name}"),
        }
    }

    /// The ARN of a profile that a request names.
    pub(crate) fn arn_of_profile(
        &self,
        snapshot: &Snapshot,
        parameter: &ProfileParameter,
    ) -> Option<String> {
        let name = parse_profile(&self.scope, parameter, "iamInstanceProfile").ok()?;
        Some(self.profile_arn(snapshot, &name))
    }

    /// Asks to hand the role of a profile to EC2, also one that is not there at the moment; nothing if
    /// the profile has none.
    pub(crate) fn ask_to_pass_role(
        &self,
        snapshot: &Snapshot,
        parameter: Option<&ProfileParameter>,
        instance_arn: &str,
    ) -> Option<Ask> {
        let name = parse_profile(&self.scope, parameter?, "iamInstanceProfile").ok()?;
        let profile = snapshot.instance_profile(self.scope.account_id, &name)?;
        let (partition, account_id) = (self.scope.region.partition(), self.scope.account_id);
        let name = profile.role.as_ref()?;
        let role = snapshot.role(account_id, name);
        let arn = match role {
            Some(role) => role.arn(partition),
            None => format!("arn:{partition}:iam::{account_id}:role/{name}"),
        };
        let ask = Ask::also("iam:PassRole", arn)
            .with_text("iam:PassedToService", "ec2.amazonaws.com")
            .with_text("iam:AssociatedResourceArn", instance_arn);
        let tags = role.into_iter().flat_map(|role| &role.tags);
        let of_role = tags.map(|(key, value)| (key.as_str(), &**value));
        Some(with_resource_tags(ask, of_role))
    }

    /// Asks to tag what an action creates.
    pub(crate) fn asks_to_tag(
        &self,
        specifications: &[TagSpecification],
        create_action: &str,
    ) -> Vec<Ask> {
        let specified = specifications.iter().filter(|specification| !specification.tag.is_empty());
        let ask = |specification: &TagSpecification| {
            let resource_type = specification.resource_type.as_deref().unwrap_or_default();
            let ask = Ask::also("ec2:CreateTags", self.ec2_arn(resource_type, "*"));
            let ask = ask.with_text("ec2:CreateAction", create_action);
            with_request_tags(ask, &specification.tag)
        };
        specified.map(ask).collect()
    }

    /// Asks to change the tags of a resource, whatever it is.
    pub(crate) fn ask_to_change_tags(
        &self,
        snapshot: &Snapshot,
        id: &str,
        changed: &[TagParameter],
    ) -> Ask {
        let ask = match resource_type(id) {
            "instance" => self.ask_on_instance(snapshot, id),
            "" => self.ask_on(snapshot, "*", id),
            resource_type => self.ask_on(snapshot, resource_type, id),
        };
        with_request_tags(ask, changed)
    }
}

/// Says which attributes a request changes, and to what where it is known.
pub(crate) fn with_attributes<'t>(
    ask: Ask,
    attributes: impl IntoIterator<Item = (&'t str, Option<&'t str>)>,
) -> Ask {
    let mut names = Vec::new();
    let mut ask = ask;
    for (name, value) in attributes {
        names.push(Value::text(name));
        if let Some(value) = value {
            ask = ask.with_text(format!("ec2:Attribute/{name}"), value);
        }
    }
    if names.is_empty() { ask } else { ask.with_all("ec2:Attribute", names) }
}

/// Says which tags a request sets or removes.
pub(crate) fn with_request_tags(mut ask: Ask, tags: &[TagParameter]) -> Ask {
    let mut keys = Vec::new();
    for TagParameter { key, value } in tags {
        let Some(key) = key else { continue };
        keys.push(Value::text(key));
        if let Some(value) = value {
            ask = ask.with_text(format!("aws:RequestTag/{key}"), value);
        }
    }
    if keys.is_empty() { ask } else { ask.with_all("aws:TagKeys", keys) }
}

/// Says which tags a resource has.
fn with_resource_tags<'t>(mut ask: Ask, tags: impl IntoIterator<Item = (&'t str, &'t str)>) -> Ask {
    for (key, value) in tags {
        ask = ask
            .with_text(format!("aws:ResourceTag/{key}"), value)
            .with_text(format!("ec2:ResourceTag/{key}"), value);
    }
    ask
}
