//! Instance profiles. What becomes of a profile is seen in the metadata of the instances that have it,
//! from the same moment on.

use std::sync::Arc;

use model::{
    Iam, IamKind, Instance, InstanceProfile, InstanceProfileStatus, RegisteredInstanceProfile,
    RoleName, unique_id,
};
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::elements::{ProfileElement, Shown};
use super::limits::ROLES_OF_PROFILE;
use super::listing::Asked;
use super::named::{Named, ask_to_list, ask_to_make, check_new, put, with_request_tags};
use super::words::{self, TagParameter};
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;
use crate::ec2;

/// Makes an instance profile.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateInstanceProfile {
    instance_profile_name: String,
    path: Option<String>,
    #[serde(default)]
    tags: Vec<TagParameter>,
}

/// Shows an instance profile.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetInstanceProfile {
    instance_profile_name: String,
}

/// Lists instance profiles.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListInstanceProfiles {
    path_prefix: Option<String>,
    marker: Option<String>,
    max_items: Option<i64>,
}

/// Lists the instance profiles that hold a role.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListInstanceProfilesForRole {
    role_name: String,
    marker: Option<String>,
    max_items: Option<i64>,
}

/// Puts a role into an instance profile that has none.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AddRoleToInstanceProfile {
    instance_profile_name: String,
    role_name: String,
}

/// Takes its role out of an instance profile.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RemoveRoleFromInstanceProfile {
    instance_profile_name: String,
    role_name: String,
}

/// Deletes an instance profile that holds no role.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteInstanceProfile {
    instance_profile_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProfileAnswer {
    instance_profile: ProfileElement,
}

fn named(desk: &Desk<'_>, name: &str) -> Result<Named, ApiFault> {
    Named::new(desk, IamKind::InstanceProfile, name)
}

fn ask(desk: &Desk<'_>, snapshot: &Snapshot, name: &str) -> Result<Vec<Ask>, ApiFault> {
    Ok(vec![named(desk, name)?.ask(desk, snapshot)])
}

/// The profile among what IAM keeps.
fn profile_of(named: &Named, kept: Iam) -> Result<Arc<RegisteredInstanceProfile>, ApiFault> {
    match kept {
        Iam::InstanceProfile(profile) => Ok(profile),
        Iam::Group(_) | Iam::Policy(_) | Iam::Role(_) | Iam::User(_) => {
            Err(ApiFault::not_kept(&named.key))
        }
    }
}

/// Plans another role in a profile, or none, for the instances too that have it.
fn with_role(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    profile: &RegisteredInstanceProfile,
    role: Option<RoleName>,
) -> Vec<Change> {
    let changed = RegisteredInstanceProfile { role: role.clone(), ..profile.clone() };
    let mut changes = vec![put(changed)];
    changes.extend(on_instances(desk, snapshot, profile, |copy| copy.role.clone_from(&role)));
    changes
}

/// Plans a change to the copies of a profile that instances have.
fn on_instances(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    profile: &RegisteredInstanceProfile,
    change: impl Fn(&mut InstanceProfile),
) -> Vec<Change> {
    // One that was deleted is not that of the same name which was made later.
    let is_it = |copy: &InstanceProfile| {
        copy.name == profile.name && copy.status == InstanceProfileStatus::Active
    };
    let all = snapshot.instances().map(|(instance, _)| instance);
    let have_it = all.filter_map(|instance| {
        let copy = instance.instance_profile.as_deref()?;
        (instance.account_id == profile.account_id && is_it(copy)).then_some((instance, copy))
    });
    let changed = have_it.map(|(instance, copy)| {
        let mut copy = copy.clone();
        change(&mut copy);
        let instance_profile = Some(copy.into());
        let last_modified = desk.now;
        ec2::put(snapshot, Instance { instance_profile, last_modified, ..(**instance).clone() })
    });
    changed.collect()
}

impl Action for CreateInstanceProfile {
    fn asks(&self, desk: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let path = words::parse_path(self.path.as_deref())?;
        let key = named(desk, &self.instance_profile_name)?.key;
        Ok(vec![with_request_tags(ask_to_make(desk, &key, &path), &self.tags)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let key = named(desk, &self.instance_profile_name)?.key;
        let profile = RegisteredInstanceProfile {
            name: key.name.clone(),
            account_id: key.account_id,
            path: words::parse_path(self.path.as_deref())?,
            id: Some(unique_id(IamKind::InstanceProfile, desk.fresh_number()?)),
            created: desk.now,
            role: None,
            tags: words::parse_tags(&self.tags)?,
        };
        desk.transact(|snapshot| {
            check_new(snapshot, &key)?;
            let partition = desk.scope.region.partition();
            let instance_profile =
                ProfileElement::new(snapshot, &profile, partition, Shown::Fully);
            Ok((vec![put(profile)], Answer::of(ProfileAnswer { instance_profile })))
        })
    }
}

impl Action for GetInstanceProfile {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.instance_profile_name)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = named(desk, &self.instance_profile_name)?;
        let (snapshot, partition) = (desk.store.snapshot(), desk.scope.region.partition());
        let profile = profile_of(&named, named.find(desk, &snapshot)?)?;
        let instance_profile = ProfileElement::new(&snapshot, &profile, partition, Shown::Fully);
        Ok(Answer::of(ProfileAnswer { instance_profile }))
    }
}

/// Lists the profiles of the caller's account that `is_meant` says.
fn list(
    desk: &Desk<'_>,
    action: &'static str,
    asked: &Asked<'_>,
    is_meant: impl Fn(&RegisteredInstanceProfile) -> bool,
) -> Result<Answer, ApiFault> {
    let (snapshot, partition) = (desk.store.snapshot(), desk.scope.region.partition());
    let profiles = snapshot.instance_profiles(desk.caller.account_id);
    let shown = profiles.filter(|profile| is_meant(profile)).map(|profile| {
        let element = ProfileElement::new(&snapshot, profile, partition, Shown::InList);
        (profile.name.to_string(), element)
    });
    asked.answer(action, "InstanceProfiles", shown)
}

impl Action for ListInstanceProfiles {
    fn asks(&self, desk: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask_to_list(desk, IamKind::InstanceProfile, self.path_prefix.as_deref())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let prefix = words::parse_prefix(self.path_prefix.as_deref())?;
        let asked = Asked { marker: self.marker.as_deref(), max_items: self.max_items };
        list(desk, "ListInstanceProfiles", &asked, |profile| {
            profile.path.as_str().starts_with(prefix)
        })
    }
}

impl Action for ListInstanceProfilesForRole {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![Named::new(desk, IamKind::Role, &self.role_name)?.ask(desk, snapshot)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        Named::new(desk, IamKind::Role, &self.role_name)?.find(desk, &desk.store.snapshot())?;
        let asked = Asked { marker: self.marker.as_deref(), max_items: self.max_items };
        list(desk, "ListInstanceProfilesForRole", &asked, |profile| {
            profile.role.as_ref().is_some_and(|role| role.as_str() == self.role_name)
        })
    }
}

impl Action for AddRoleToInstanceProfile {
    /// Whoever puts a role where instances have it passes it to EC2.
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let role = Named::new(desk, IamKind::Role, &self.role_name)?;
        let pass = Ask { action: Some("iam:PassRole"), ..role.ask(desk, snapshot) };
        let pass = pass.with_text("iam:PassedToService", "ec2.amazonaws.com");
        let mut asks = ask(desk, snapshot, &self.instance_profile_name)?;
        asks.push(pass);
        Ok(asks)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = named(desk, &self.instance_profile_name)?;
        let role = Named::new(desk, IamKind::Role, &self.role_name)?;
        let name = words::parse_short_name(IamKind::Role, &self.role_name)?;
        desk.transact(|snapshot| {
            let profile = profile_of(&named, named.find_to_change(desk, snapshot)?)?;
            role.find(desk, snapshot)?;
            if profile.role.is_some() {
                let limit = ROLES_OF_PROFILE;
                return Err(ApiFault::quota_exceeded(limit.name, limit.most));
            }
            Ok((with_role(desk, snapshot, &profile, Some(name)), Answer::done()))
        })
    }
}

impl Action for RemoveRoleFromInstanceProfile {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.instance_profile_name)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = named(desk, &self.instance_profile_name)?;
        let role = Named::new(desk, IamKind::Role, &self.role_name)?;
        desk.transact(|snapshot| {
            let profile = profile_of(&named, named.find_to_change(desk, snapshot)?)?;
            if profile.role.as_ref().is_none_or(|has| has.as_str() != self.role_name) {
                return Err(ApiFault::not_kept(&role.key));
            }
            Ok((with_role(desk, snapshot, &profile, None), Answer::done()))
        })
    }
}

impl Action for DeleteInstanceProfile {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.instance_profile_name)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = named(desk, &self.instance_profile_name)?;
        desk.transact(|snapshot| {
            let profile = profile_of(&named, named.find_to_change(desk, snapshot)?)?;
            if profile.role.is_some() {
                return Err(ApiFault::delete_conflict(
                    "Cannot delete entity, must remove roles from instance profile first.",
                ));
            }
            let mut changes = vec![Change::DeleteIam(named.key.clone())];
            changes.extend(on_instances(desk, snapshot, &profile, |copy| {
                copy.status = InstanceProfileStatus::Deleted;
            }));
            Ok((changes, Answer::done()))
        })
    }
}
