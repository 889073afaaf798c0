//! `ModifyInstanceAttribute` and `ResetInstanceAttribute` (control plane, 4.5).

use model::{Instance, InstanceState, KernelId, RamdiskId, SecurityGroup, Switch};
use serde::Deserialize;
use serde::de::IgnoredAny;
use store::{Change, Snapshot};

use super::asked::with_attributes;
use super::attributes::{parse_shutdown_behavior, unknown_attribute};
use super::instances::{find_instance, parse_instance_id};
use super::inventory::Inventory;
use super::launch::parse_user_data;
use super::text::parse_line;
use super::security_groups::named_groups;
use super::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Changes one attribute of an instance: `UserData.Value=…`, or `Attribute=userData&Value=…`, or the
/// security groups with `GroupId.N`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceAttribute {
    instance_id: String,
    attribute: Option<String>,
    value: Option<String>,
    #[serde(default)]
    group_id: Vec<String>,
    block_device_mapping: Option<IgnoredAny>,
    disable_api_stop: Option<Wrapped>,
    disable_api_termination: Option<Wrapped>,
    ebs_optimized: Option<Wrapped>,
    ena_support: Option<Wrapped>,
    instance_initiated_shutdown_behavior: Option<Wrapped>,
    instance_type: Option<Wrapped>,
    kernel: Option<Wrapped>,
    ramdisk: Option<Wrapped>,
    source_dest_check: Option<Wrapped>,
    sriov_net_support: Option<Wrapped>,
    user_data: Option<Wrapped>,
}

/// A value one level down.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Wrapped {
    value: String,
}

/// Gives an attribute the value that it has where nobody says otherwise.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ResetInstanceAttribute {
    attribute: String,
    instance_id: String,
}

/// An attribute by EC2's name for it, and the value that it is to have.
#[derive(Debug, PartialEq, Eq)]
enum Wanted<'a> {
    Groups(&'a [String]),
    Value(&'static str, &'a str),
}

/// The attributes that can be changed, by the names of the older form.
const NAMES: [&str; 11] = [
    "disableApiStop",
    "disableApiTermination",
    "ebsOptimized",
    "enaSupport",
    "instanceInitiatedShutdownBehavior",
    "instanceType",
    "kernel",
    "ramdisk",
    "sourceDestCheck",
    "sriovNetSupport",
    "userData",
];

/// EC2: these change while the instance is stopped.
const OF_STOPPED: [&str; 7] = [
    "ebsOptimized",
    "enaSupport",
    "instanceType",
    "kernel",
    "ramdisk",
    "sriovNetSupport",
    "userData",
];

impl Action for ModifyInstanceAttribute {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let ask = desk.ask_on_instance(snapshot, &self.instance_id);
        // User data may be nobody's business: its value is held against no policy.
        let changed = match self.wanted() {
            Ok(Wanted::Groups(_)) => Some(("GroupSet".to_owned(), None)),
            Ok(Wanted::Value("userData", _)) => Some(("UserData".to_owned(), None)),
            Ok(Wanted::Value(name, value)) => Some((capitalized(name), Some(value))),
            Err(_) => None,
        };
        let changed = changed.iter().map(|(name, value)| (&**name, *value));
        Ok(vec![with_attributes(ask, changed)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let id = parse_instance_id(&self.instance_id)?;
        let wanted = self.wanted()?;
        desk.transact(|snapshot| {
            let instance = find_instance(snapshot, &desk.scope, id)?;
            let mut modified = (**instance).clone();
            let mut changes = Vec::new();
            match wanted {
                Wanted::Groups(ids) => {
                    changes = regroup(desk, snapshot, &mut modified, ids)?;
                }
                Wanted::Value(name, value) => set(&mut modified, name, value)?,
            }
            changes.extend(changed(desk, snapshot, instance, modified));
            Ok((changes, Answer::done()))
        })
    }
}

/// The name of an attribute as condition keys have it.
fn capitalized(name: &str) -> String {
    let mut characters = name.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

impl ModifyInstanceAttribute {
    /// Finds the one attribute that the request is about.
    fn wanted(&self) -> Result<Wanted<'_>, ApiFault> {
        if self.block_device_mapping.is_some() {
            return Err(ApiFault::unsupported(
                "Volumes are made and deleted with their instances: their mapping does not change.",
            ));
        }
        let wrapped = [
            &self.disable_api_stop,
            &self.disable_api_termination,
            &self.ebs_optimized,
            &self.ena_support,
            &self.instance_initiated_shutdown_behavior,
            &self.instance_type,
            &self.kernel,
            &self.ramdisk,
            &self.source_dest_check,
            &self.sriov_net_support,
            &self.user_data,
        ];
        let given = NAMES.into_iter().zip(wrapped);
        let given = given.filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let mut wanted: Vec<_> =
            given.map(|(name, wrapped)| Wanted::Value(name, &wrapped.value)).collect();
        if !self.group_id.is_empty() {
            wanted.push(Wanted::Groups(&self.group_id));
        }
        match self.attribute.as_deref() {
            // EC2: the groups are never in the value.
            None | Some("groupSet") => {}
            Some(text) => {
                let name = NAMES.into_iter().find(|name| *name == text);
                let name = name.ok_or_else(|| unknown_attribute(text))?;
                let value = self.value.as_deref();
                let value = value.ok_or_else(|| ApiFault::missing_parameter("Value"))?;
                wanted.push(Wanted::Value(name, value));
            }
        }
        let name = |wanted: &Wanted<'_>| match wanted {
            Wanted::Groups(_) => "groupSet",
            Wanted::Value(name, _) => name,
        };
        match wanted.len() {
            0 => Err(ApiFault::invalid_parameter_combination("No attributes specified.")),
            1 => Ok(wanted.remove(0)),
            _ => {
                let names: Vec<_> = wanted.iter().map(name).collect();
                Err(ApiFault::invalid_parameter_combination(format!(
                    "Fields for multiple attribute types specified: {}",
                    names.join(", ")
                )))
            }
        }
    }
}

fn changed(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    before: &Instance,
    mut after: Instance,
) -> Option<Change> {
    if after == *before {
        return None;
    }
    after.last_modified = desk.now;
    Some(super::put(snapshot, after))
}

fn set(instance: &mut Instance, name: &'static str, value: &str) -> Result<(), ApiFault> {
    refuse_unless_stopped(instance, name)?;
    let attributes = &mut *instance.attributes;
    match name {
        "disableApiStop" => attributes.disable_api_stop = boolean(value, name)?,
        "disableApiTermination" => attributes.disable_api_termination = boolean(value, name)?,
        "ebsOptimized" => attributes.ebs_optimized = boolean(value, name)?,
        // Every instance has it.
        "enaSupport" if boolean(value, name)? => {}
        "instanceInitiatedShutdownBehavior" => {
            attributes.instance_initiated_shutdown_behavior = parse_shutdown_behavior(value)?;
        }
        "instanceType" => instance.instance_type = parse_line(value, name)?,
        "kernel" => instance.kernel_id = Some(parse_id::<KernelId>(value, name)?),
        "ramdisk" => instance.ramdisk_id = Some(parse_id::<RamdiskId>(value, name)?),
        "sourceDestCheck" => {
            let is_checked = boolean(value, name)?;
            let check = if is_checked { Switch::Enabled } else { Switch::Disabled };
            attributes.source_dest_check = check;
        }
        "userData" => {
            let data = Some(value).filter(|value| !value.is_empty());
            instance.user_data = data.map(parse_user_data).transpose()?;
        }
        _ => {
            return Err(ApiFault::unsupported(format!(
                "The attribute '{name}' does not change to '{value}' here."
            )));
        }
    }
    Ok(())
}

fn refuse_unless_stopped(instance: &Instance, name: &str) -> Result<(), ApiFault> {
    if OF_STOPPED.contains(&name) && instance.state != InstanceState::Stopped {
        return Err(ApiFault::instance_not_stopped(&instance.id.text()));
    }
    Ok(())
}

fn boolean(text: &str, name: &str) -> Result<bool, ApiFault> {
    text.parse().map_err(|_| ApiFault::not_one_of(text, name, &["true", "false"]))
}

fn parse_id<T: std::str::FromStr<Err: ToString>>(text: &str, name: &str) -> Result<T, ApiFault> {
    text.parse().map_err(|refusal: T::Err| {
        ApiFault::invalid_value_for(text, name, &refusal.to_string())
    })
}

/// Gives the primary interface other security groups.
fn regroup(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    instance: &mut Instance,
    ids: &[String],
) -> Result<Vec<Change>, ApiFault> {
    let inventory = Inventory::new(snapshot, &desk.scope);
    let primary = instance.interfaces.iter_mut().find(|own| own.device_number == 0);
    let Some(primary) = primary else {
        return Ok(Vec::new());
    };
    let (groups, adopted) = named_groups(desk, &inventory, ids, primary.vpc_id)?;
    let named = groups.into_iter().map(|group| SecurityGroup { id: group.id, name: group.name });
    primary.security_groups = named.collect();
    Ok(adopted.into_iter().map(|new| desk.put(new)).collect())
}

impl Action for ResetInstanceAttribute {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let ask = desk.ask_on_instance(snapshot, &self.instance_id);
        Ok(vec![with_attributes(ask, [(&*capitalized(&self.attribute), None)])])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let id = parse_instance_id(&self.instance_id)?;
        desk.transact(|snapshot| {
            let instance = find_instance(snapshot, &desk.scope, id)?;
            refuse_unless_stopped(instance, &self.attribute)?;
            let mut reset = (**instance).clone();
            match self.attribute.as_str() {
                "kernel" => reset.kernel_id = None,
                "ramdisk" => reset.ramdisk_id = None,
                "sourceDestCheck" => reset.attributes.source_dest_check = Switch::Enabled,
                other => return Err(unknown_attribute(other)),
            }
            Ok((changed(desk, snapshot, instance, reset).into_iter().collect(), Answer::done()))
        })
    }
}
