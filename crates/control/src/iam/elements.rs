//! How what IAM keeps is shown.

use model::{
    Group, Iam, IamKey, ManagedPolicy, Permissions, PolicyArn, PolicyDocument,
    RegisteredInstanceProfile, Role, User,
};
use serde::Serialize;
use store::Snapshot;

use super::named::all;
use super::words::Tags;
use crate::api::xml::Time;

/// A tag.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TagElement {
    key: String,
    value: String,
}

/// Tags in the order of their keys.
pub(crate) fn tag_elements(tags: &Tags) -> Vec<TagElement> {
    let element = |(key, value): (&model::TagKey, &Box<str>)| TagElement {
        key: key.to_string(),
        value: value.to_string(),
    };
    tags.iter().map(element).collect()
}

/// What bounds permissions.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BoundaryElement {
    permissions_boundary_type: &'static str,
    permissions_boundary_arn: String,
}

fn boundary_element(permissions: &Permissions) -> Option<BoundaryElement> {
    permissions.boundary.as_ref().map(|arn| BoundaryElement {
        permissions_boundary_type: "PermissionsBoundaryPolicy",
        permissions_boundary_arn: arn.to_string(),
    })
}

/// Whether everything is shown. IAM leaves out boundaries and tags where it lists many.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    Fully,
    InList,
}

impl Shown {
    fn tags(self, tags: &Tags) -> Option<Vec<TagElement>> {
        (self == Self::Fully && !tags.is_empty()).then(|| tag_elements(tags))
    }

    fn boundary(self, permissions: &Permissions) -> Option<BoundaryElement> {
        boundary_element(permissions).filter(|_| self == Self::Fully)
    }
}

/// A user.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UserElement {
    path: String,
    user_name: String,
    user_id: String,
    arn: String,
    create_date: Time,
    permissions_boundary: Option<BoundaryElement>,
    tags: Option<Vec<TagElement>>,
}

impl UserElement {
    pub(crate) fn new(user: &User, partition: &str, shown: Shown) -> Self {
        Self {
            path: user.path.to_string(),
            user_name: user.name.to_string(),
            user_id: user.unique_id().to_string(),
            arn: user.arn(partition),
            create_date: Time(user.created),
            permissions_boundary: shown.boundary(&user.permissions),
            tags: shown.tags(&user.tags),
        }
    }
}

/// A group.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GroupElement {
    path: String,
    group_name: String,
    group_id: String,
    arn: String,
    create_date: Time,
}

impl GroupElement {
    pub(crate) fn new(group: &Group, partition: &str) -> Self {
        Self {
            path: group.path.to_string(),
            group_name: group.name.to_string(),
            group_id: group.unique_id().to_string(),
            arn: group.arn(partition),
            create_date: Time(group.created),
        }
    }
}

/// A role.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RoleElement {
    path: String,
    role_name: String,
    role_id: String,
    arn: String,
    create_date: Time,
    assume_role_policy_document: String,
    description: Option<String>,
    max_session_duration: u32,
    permissions_boundary: Option<BoundaryElement>,
    tags: Option<Vec<TagElement>>,
}

impl RoleElement {
    pub(crate) fn new(role: &Role, partition: &str, shown: Shown) -> Self {
        Self {
            path: role.path.to_string(),
            role_name: role.name.to_string(),
            role_id: role.unique_id().to_string(),
            arn: role.arn(partition),
            create_date: Time(role.created),
            assume_role_policy_document: encoded(&role.assume_role_policy_document),
            description: role.description.as_ref().map(ToString::to_string),
            max_session_duration: role.max_session_duration,
            permissions_boundary: shown.boundary(&role.permissions),
            tags: shown.tags(&role.tags),
        }
    }
}

/// An instance profile.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ProfileElement {
    path: String,
    instance_profile_name: String,
    instance_profile_id: String,
    arn: String,
    create_date: Time,
    roles: Vec<RoleElement>,
    tags: Option<Vec<TagElement>>,
}

impl ProfileElement {
    pub(crate) fn new(
        snapshot: &Snapshot,
        profile: &RegisteredInstanceProfile,
        partition: &str,
        shown: Shown,
    ) -> Self {
        let role = profile.role.as_ref().and_then(|name| snapshot.role(profile.account_id, name));
        let role = role.map(|role| RoleElement::new(role, partition, Shown::InList));
        Self {
            path: profile.path.to_string(),
            instance_profile_name: profile.name.to_string(),
            instance_profile_id: profile.unique_id().to_string(),
            arn: profile.arn(partition),
            create_date: Time(profile.created),
            roles: role.into_iter().collect(),
            tags: shown.tags(&profile.tags),
        }
    }
}

/// How often a managed policy is used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Use {
    pub(crate) attached: usize,
    pub(crate) bounding: usize,
}

/// Whoever of an account uses a managed policy, and how: attached, bounding.
pub(crate) fn users_of(
    snapshot: &Snapshot,
    of: &IamKey,
    arn: &PolicyArn,
) -> Vec<(Iam, bool, bool)> {
    let kinds = [model::IamKind::Group, model::IamKind::Role, model::IamKind::User];
    let all = kinds.into_iter().flat_map(|kind| all(snapshot, of.account_id, kind));
    let used = all.filter_map(|kept| {
        let permissions = super::named::permissions(&kept)?;
        let is_attached = permissions.attached.contains(arn);
        let is_bounding = permissions.boundary.as_ref() == Some(arn);
        (is_attached || is_bounding).then_some((kept, is_attached, is_bounding))
    });
    used.collect()
}

/// A managed policy.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PolicyElement {
    policy_name: String,
    policy_id: String,
    arn: String,
    path: String,
    default_version_id: String,
    attachment_count: usize,
    permissions_boundary_usage_count: usize,
    is_attachable: bool,
    description: Option<String>,
    create_date: Time,
    update_date: Time,
    tags: Option<Vec<TagElement>>,
}

impl PolicyElement {
    pub(crate) fn new(policy: &ManagedPolicy, arn: String, used: Use, shown: Shown) -> Self {
        let newest = policy.versions.values().map(|version| version.created).max();
        let description = policy.description.as_ref().filter(|_| shown == Shown::Fully);
        Self {
            policy_name: policy.name.to_string(),
            policy_id: policy.unique_id().to_string(),
            arn,
            path: policy.path.to_string(),
            default_version_id: version_id(policy.default_version),
            attachment_count: used.attached,
            permissions_boundary_usage_count: used.bounding,
            is_attachable: true,
            description: description.map(ToString::to_string),
            create_date: Time(policy.created),
            update_date: Time(newest.unwrap_or(policy.created)),
            tags: shown.tags(&policy.tags),
        }
    }
}

/// The id of a version, such as `v1`.
pub(crate) fn version_id(number: u32) -> String {
    format!("v{number}")
}

/// A document as IAM answers it: percent-encoded, all but what RFC 3986 calls unreserved.
pub(crate) fn encoded(document: &PolicyDocument) -> String {
    use std::fmt::Write as _;

    let text = document.as_str();
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a text does not fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_percent_encoded() {
        let document = PolicyDocument::new("{\"a\": \"b-._~ü\n\"}");
        assert_eq!(encoded(&document), "%7B%22a%22%3A%20%22b-._~%C3%BC%0A%22%7D");
    }
}
