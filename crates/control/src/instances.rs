//! What may be done to an instance: plans of the native API.

use std::sync::Arc;

use model::{
    Attachment, Generation, Instance, InstanceId, InstanceProfile, OptionLayer, OptionsChange,
    RoleName, TagKey, Timestamp, UserData,
};
use serde::{Deserialize, Serialize};
use store::{Change, Origin, Snapshot};

use crate::native::NativeRefusal;

type Planned = Result<(Vec<Change>, ()), NativeRefusal>;

/// What makes the machine that an instance describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// A network namespace on this machine, with a service namespace behind it.
    Netns {
        /// Whether it has a container: one more network namespace, which it forwards for.
        container: bool,
    },
}

/// An instance to be launched.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// Its id; a new one if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<InstanceId>,
    /// What makes its machine; none where an operator does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// How it is attached, besides what the driver does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Its metadata options, where they differ from the defaults.
    #[serde(default)]
    pub options: OptionsChange,
    /// The role whose credentials it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// Its user data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<UserData>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<(TagKey, Box<str>)>,
}

impl Launch {
    /// Describes the instance that this launches as `id`, in a change that has this generation.
    pub fn describe(self, id: InstanceId, generation: Generation, now: Timestamp) -> Instance {
        let mut instance = Instance::described(id);
        instance.set_options(self.options, OptionLayer::Launch, generation);
        instance.pending_time = now;
        instance.last_modified = now;
        instance.user_data = self.user_data;
        instance.tags.extend(self.tags);
        instance.instance_profile = self.role.map(|role| InstanceProfile::of_role(role).into());
        instance.attachments = self.attachments;
        instance
    }
}

/// Plans a new instance.
pub(crate) fn add(snapshot: &Snapshot, instance: Instance) -> Planned {
    if snapshot.instance(instance.id).is_some() {
        return Err(NativeRefusal::InstanceExists(instance.id));
    }
    check_role(snapshot, &instance)?;
    Ok((vec![Change::PutInstance(Arc::new(instance), Origin::Api)], ()))
}

/// Plans an instance in place of the one with its id.
pub(crate) fn put(snapshot: &Snapshot, mut instance: Instance, now: Timestamp) -> Planned {
    instance.last_modified = now;
    check_role(snapshot, &instance)?;
    let origin = snapshot.origin(instance.id).unwrap_or(Origin::Api);
    Ok((vec![Change::PutInstance(Arc::new(instance), origin)], ()))
}

/// Plans an instance's end.
pub(crate) fn terminate(snapshot: &Snapshot, id: InstanceId, default: InstanceId) -> Planned {
    find(snapshot, id)?;
    if id == default {
        return Err(NativeRefusal::DefaultInstance(id));
    }
    if snapshot.origin(id) == Some(Origin::Config) {
        return Err(NativeRefusal::Described(id));
    }
    Ok((vec![Change::DeleteInstance(id)], ()))
}

/// Plans one more attachment.
pub(crate) fn attach(snapshot: &Snapshot, id: InstanceId, attachment: &Attachment) -> Planned {
    let mut instance = (*find(snapshot, id)?).clone();
    refuse_described(snapshot, id)?;
    if instance.attachments.contains(attachment) && attachment.is_exclusive() {
        return Ok((Vec::new(), ()));
    }
    instance.attachments.push(attachment.clone());
    Ok((vec![Change::PutInstance(Arc::new(instance), Origin::Api)], ()))
}

/// Plans one attachment less.
pub(crate) fn detach(snapshot: &Snapshot, id: InstanceId, attachment: &Attachment) -> Planned {
    let mut instance = (*find(snapshot, id)?).clone();
    refuse_described(snapshot, id)?;
    let claim = attachment.claim();
    let Some(place) = instance.attachments.iter().position(|has| has.claim() == claim) else {
        return Err(NativeRefusal::NotAttached(id, attachment.clone()));
    };
    instance.attachments.remove(place);
    Ok((vec![Change::PutInstance(Arc::new(instance), Origin::Api)], ()))
}

/// Plans other options: durable, and in force for the next request.
pub(crate) fn modify_options(
    snapshot: &Snapshot,
    id: InstanceId,
    change: OptionsChange,
    now: Timestamp,
) -> Planned {
    let mut instance = (*find(snapshot, id)?).clone();
    instance.set_options(change, OptionLayer::Modify, snapshot.generation().next());
    if instance == *find(snapshot, id)? {
        return Ok((Vec::new(), ()));
    }
    instance.last_modified = now;
    let origin = snapshot.origin(id).unwrap_or(Origin::Api);
    Ok((vec![Change::PutInstance(Arc::new(instance), origin)], ()))
}

/// Finds an instance.
pub(crate) fn find(snapshot: &Snapshot, id: InstanceId) -> Result<Arc<Instance>, NativeRefusal> {
    snapshot.instance(id).cloned().ok_or(NativeRefusal::InstanceUnknown(id))
}

/// The attachments of a described instance follow the file at every start: what a command did to
/// them would not last.
fn refuse_described(snapshot: &Snapshot, id: InstanceId) -> Result<(), NativeRefusal> {
    match snapshot.origin(id) {
        Some(Origin::Config) => Err(NativeRefusal::Described(id)),
        Some(Origin::Api) | None => Ok(()),
    }
}

fn check_role(snapshot: &Snapshot, instance: &Instance) -> Result<(), NativeRefusal> {
    let role = instance.instance_profile.as_ref().and_then(|profile| profile.role.as_ref());
    match role.filter(|role| snapshot.role(role).is_none()) {
        Some(role) => Err(NativeRefusal::RoleUnknown(role.clone())),
        None => Ok(()),
    }
}
