//! What may be done to an instance: plans of the native API.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{
    AmiId, Attachment, Driver, Instance, InstanceId, Line, OptionsChange, RoleName, TagKey,
    Timestamp, UserData,
};
use serde::{Deserialize, Serialize};
use store::{Change, Origin, Snapshot};

use crate::api::ApiFault;
use crate::api::form::Tree;
use crate::api::route::Service;
use crate::ec2::launch::{Asked, ByOperator};
use crate::ec2::launch_parameters::LaunchParameters;
use crate::native::NativeRefusal;
use crate::{ec2, lifecycle};

type Planned = Result<(Vec<Change>, ()), NativeRefusal>;

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
    /// The image; the one for `IMDSv2` that every account has, if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<AmiId>,
    /// The type; that of the default instance if none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<Line>,
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
    /// Says the same in the parameters of `RunInstances`.
    fn parameters(&self) -> Result<LaunchParameters, ApiFault> {
        let default = Instance::default_instance();
        let image_id = self.image_id.unwrap_or(default.ami_id);
        let instance_type = self.instance_type.as_ref().unwrap_or(&default.instance_type);
        let mut said: Vec<(String, String)> = Vec::new();
        let mut say = |name: &str, value: String| said.push((name.to_owned(), value));
        say("ImageId", image_id.to_string());
        say("InstanceType", instance_type.to_string());
        say("MaxCount", "1".to_owned());
        say("MinCount", "1".to_owned());
        if let Some(role) = &self.role {
            say("IamInstanceProfile.Name", role.to_string());
        }
        if let Some(user_data) = &self.user_data {
            say("UserData", STANDARD.encode(user_data.as_bytes()));
        }
        if !self.tags.is_empty() {
            say("TagSpecification.1.ResourceType", "instance".to_owned());
        }
        for (number, (key, value)) in (1..).zip(&self.tags) {
            say(&format!("TagSpecification.1.Tag.{number}.Key"), key.to_string());
            say(&format!("TagSpecification.1.Tag.{number}.Value"), value.to_string());
        }
        let said = said.iter().map(|(name, value)| (&**name, &**value));
        Ok(Tree::from_parameters(said)?.read(Service::Ec2.dialect())?)
    }
}

/// Plans a launch: what `RunInstances` would plan, with an id and attachments that are given.
pub(crate) fn launch(
    snapshot: &Snapshot,
    desk: &ec2::Desk<'_>,
    instance_id: InstanceId,
    launch: Launch,
) -> Planned {
    if snapshot.instance(instance_id).is_some() {
        return Err(NativeRefusal::InstanceExists(instance_id));
    }
    let account_id = desk.scope.account_id;
    let is_unknown = |role: &&RoleName| snapshot.role(account_id, role).is_none();
    if let Some(role) = launch.role.as_ref().filter(is_unknown) {
        return Err(NativeRefusal::RoleUnknown(role.clone()));
    }
    let gone = lifecycle::forgotten(snapshot, desk.scope.clone(), instance_id);
    let refused = |fault: ApiFault| NativeRefusal::Refused(fault.message);
    let parameters = &launch.parameters().map_err(refused)?;
    let Launch { driver, attachments, options, .. } = launch;
    let operator = Some(ByOperator { instance_id, driver, attachments });
    let asked = Asked { parameters, options, templated: None, operator };
    let (changes, _) = ec2::launch::plan(desk, snapshot, asked).map_err(refused)?;
    Ok((gone.into_iter().chain(changes).collect(), ()))
}

/// Plans an instance in place of the one with its id.
pub(crate) fn put(snapshot: &Snapshot, mut instance: Instance, now: Timestamp) -> Planned {
    instance.last_modified = now;
    check_role(snapshot, &instance)?;
    let origin = snapshot.origin(instance.id).unwrap_or(Origin::Api);
    Ok((vec![Change::PutInstance(Arc::new(instance), origin)], ()))
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

/// Plans other options, as the EC2 API does: durable, and in force for the next request.
pub(crate) fn modify_options(
    snapshot: &Snapshot,
    id: InstanceId,
    change: OptionsChange,
    now: Timestamp,
) -> Planned {
    let instance = find(snapshot, id)?;
    let planned = ec2::metadata_options::modify(snapshot, &instance, change, now);
    let (changes, _) = planned.map_err(|fault| NativeRefusal::Refused(fault.message))?;
    Ok((changes, ()))
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
    match role.filter(|role| snapshot.role(instance.account_id, role).is_none()) {
        Some(role) => Err(NativeRefusal::RoleUnknown(role.clone())),
        None => Ok(()),
    }
}
