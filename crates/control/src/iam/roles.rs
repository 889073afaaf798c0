//! Roles. What is made here has its credentials from this server.

use std::sync::Arc;

use model::{CredentialSource, Iam, IamKind, Role, unique_id};
use policy::DocumentKind;
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::attachments::find_attachable;
use super::elements::{RoleElement, Shown};
use super::listing::Asked;
use super::named::{
    BOUNDARY_KEY, Named, ask_to_list, ask_to_make, check_new, put, with_request_tags,
};
use super::words::{self, TagParameter};
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Makes a role.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateRole {
    role_name: String,
    path: Option<String>,
    assume_role_policy_document: String,
    description: Option<String>,
    max_session_duration: Option<u32>,
    permissions_boundary: Option<String>,
    #[serde(default)]
    tags: Vec<TagParameter>,
}

/// Shows a role.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetRole {
    role_name: String,
}

/// Lists roles.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListRoles {
    path_prefix: Option<String>,
    marker: Option<String>,
    max_items: Option<i64>,
}

/// Changes what a role is for, or how long its sessions may last.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UpdateRole {
    role_name: String,
    description: Option<String>,
    max_session_duration: Option<u32>,
}

/// Changes what a role is for, and shows it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UpdateRoleDescription {
    role_name: String,
    description: String,
}

/// Changes who may assume a role.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UpdateAssumeRolePolicy {
    role_name: String,
    policy_document: String,
}

/// Deletes a role that nothing needs any more.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteRole {
    role_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoleAnswer {
    role: RoleElement,
}

/// An answer that is there, and has no members.
#[derive(Serialize)]
struct UpdateRoleAnswer {}

fn named(desk: &Desk<'_>, name: &str) -> Result<Named, ApiFault> {
    Named::new(desk, IamKind::Role, name)
}

fn ask(desk: &Desk<'_>, snapshot: &Snapshot, name: &str) -> Result<Vec<Ask>, ApiFault> {
    Ok(vec![named(desk, name)?.ask(desk, snapshot)])
}

/// Changes a role.
fn change(
    desk: &Desk<'_>,
    name: &str,
    change: impl FnOnce(&mut Role) -> Result<(), ApiFault>,
) -> Result<Answer, ApiFault> {
    named(desk, name)?.change(desk, |_, kept| match kept {
        Iam::Role(role) => change(Arc::make_mut(role)),
        Iam::Group(_) | Iam::InstanceProfile(_) | Iam::Policy(_) | Iam::User(_) => Ok(()),
    })
}

fn find(desk: &Desk<'_>, snapshot: &Snapshot, name: &str) -> Result<Arc<Role>, ApiFault> {
    let named = named(desk, name)?;
    match named.find(desk, snapshot)? {
        Iam::Role(role) => Ok(role),
        Iam::Group(_) | Iam::InstanceProfile(_) | Iam::Policy(_) | Iam::User(_) => {
            Err(ApiFault::not_kept(&named.key))
        }
    }
}

fn show(desk: &Desk<'_>, name: &str) -> Result<Answer, ApiFault> {
    let role = find(desk, &desk.store.snapshot(), name)?;
    let role = RoleElement::new(&role, desk.scope.region.partition(), Shown::Fully);
    Ok(Answer::of(RoleAnswer { role }))
}

impl Action for CreateRole {
    fn asks(&self, desk: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let path = words::parse_path(self.path.as_deref())?;
        let mut ask = ask_to_make(desk, &named(desk, &self.role_name)?.key, &path);
        if let Some(boundary) = &self.permissions_boundary {
            ask = ask.with_text(BOUNDARY_KEY, boundary);
        }
        Ok(vec![with_request_tags(ask, &self.tags)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let key = named(desk, &self.role_name)?.key;
        let name = words::parse_short_name(IamKind::Role, &self.role_name)?;
        let source = CredentialSource::BuiltIn { life_seconds: None };
        let mut role = Role::described(name, source);
        role.account_id = key.account_id;
        role.path = words::parse_path(self.path.as_deref())?;
        role.id = Some(unique_id(IamKind::Role, desk.fresh_number()?));
        role.created = desk.now;
        role.description = words::parse_description(self.description.as_deref().unwrap_or(""))?;
        role.assume_role_policy_document =
            words::parse_document(DocumentKind::Trust, &self.assume_role_policy_document)?;
        if let Some(seconds) = self.max_session_duration {
            role.max_session_duration = words::parse_session_duration(seconds)?;
        }
        role.tags = words::parse_tags(&self.tags)?;
        desk.transact(|snapshot| {
            check_new(snapshot, &key)?;
            if let Some(arn) = &self.permissions_boundary {
                role.permissions.boundary = Some(find_attachable(desk, snapshot, arn)?);
            }
            let shown = RoleElement::new(&role, desk.scope.region.partition(), Shown::Fully);
            Ok((vec![put(role)], Answer::of(RoleAnswer { role: shown })))
        })
    }
}

impl Action for GetRole {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.role_name)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        show(desk, &self.role_name)
    }
}

impl Action for ListRoles {
    fn asks(&self, desk: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask_to_list(desk, IamKind::Role, self.path_prefix.as_deref())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let prefix = words::parse_prefix(self.path_prefix.as_deref())?;
        let (snapshot, partition) = (desk.store.snapshot(), desk.scope.region.partition());
        let roles = snapshot.roles(desk.caller.account_id);
        let roles = roles.filter(|role| role.path.as_str().starts_with(prefix)).map(|role| {
            (role.name.to_string(), RoleElement::new(role, partition, Shown::InList))
        });
        Asked { marker: self.marker.as_deref(), max_items: self.max_items }
            .answer("ListRoles", "Roles", roles)
    }
}

impl Action for UpdateRole {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.role_name)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let description = self.description.as_deref().map(words::parse_description).transpose()?;
        let seconds = self.max_session_duration.map(words::parse_session_duration).transpose()?;
        change(desk, &self.role_name, |role| {
            if let Some(description) = description {
                role.description = description;
            }
            role.max_session_duration = seconds.unwrap_or(role.max_session_duration);
            Ok(())
        })?;
        Ok(Answer::of(UpdateRoleAnswer {}))
    }
}

impl Action for UpdateRoleDescription {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.role_name)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let description = words::parse_description(&self.description)?;
        change(desk, &self.role_name, |role| {
            role.description = description;
            Ok(())
        })?;
        show(desk, &self.role_name)
    }
}

impl Action for UpdateAssumeRolePolicy {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.role_name)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let document = words::parse_document(DocumentKind::Trust, &self.policy_document)?;
        change(desk, &self.role_name, |role| {
            role.assume_role_policy_document = document;
            Ok(())
        })
    }
}

impl Action for DeleteRole {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.role_name)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = named(desk, &self.role_name)?;
        desk.transact(|snapshot| {
            named.find_to_change(desk, snapshot)?;
            let role = find(desk, snapshot, &self.role_name)?;
            let left = if is_on_instances(snapshot, &role) {
                Some("remove roles from instance profile first")
            } else {
                super::attachments::left(&role.permissions)
            };
            match left {
                Some(first) => Err(ApiFault::delete_conflict(format!(
                    "Cannot delete entity, must {first}."
                ))),
                None => Ok((vec![Change::DeleteIam(named.key.clone())], Answer::done())),
            }
        })
    }
}

/// Whether a profile holds a role, or an instance shows it that was described with it.
fn is_on_instances(snapshot: &Snapshot, role: &Role) -> bool {
    let mut profiles = snapshot.instance_profiles(role.account_id);
    let mut instances = snapshot.instances().filter(|(i, _)| i.account_id == role.account_id);
    profiles.any(|profile| profile.role.as_ref() == Some(&role.name))
        || instances.any(|(instance, _)| {
            let profile = instance.instance_profile.as_ref();
            profile.is_some_and(|profile| profile.role.as_ref() == Some(&role.name))
        })
}
