//! The IAM API (control plane, 7): groups, instance profiles, managed policies, roles, users, and what
//! belongs to them.
//!
//! ```text
//! request ─ words ─▶ Named ─┬─ asks ─▶ authorize
//!                           └─ act ── find / change in the snapshot ─▶ Change::PutIam
//!                                         │ elements, listing
//!                                         ▼
//!                                       Answer
//! ```
//!
//! Documents are compiled when they are written, and references are checked: what is wrong is refused
//! then, and not when it is used. What the config file describes is shown, and not changed.

mod elements;
mod limits;
mod listing;
mod named;
mod words;

pub(crate) mod aws_managed;

use crate::action::{Desk, actions};
use crate::api::route::{Arrival, unknown_action};
use crate::api::{Answer, ApiFault};

/// Does what is asked.
///
/// # Errors
///
/// [`ApiFault`]; then nothing has changed.
pub(crate) fn answer(arrival: &Arrival, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
    actions(arrival, desk).unwrap_or_else(|| Err(unknown_action(&arrival.route)))
}

actions! {
    access_keys: CreateAccessKey, DeleteAccessKey, ListAccessKeys, UpdateAccessKey;
    attachments: AttachGroupPolicy, AttachRolePolicy, AttachUserPolicy,
        DeleteRolePermissionsBoundary, DeleteUserPermissionsBoundary, DetachGroupPolicy,
        DetachRolePolicy, DetachUserPolicy, ListAttachedGroupPolicies, ListAttachedRolePolicies,
        ListAttachedUserPolicies, PutRolePermissionsBoundary, PutUserPermissionsBoundary;
    groups: AddUserToGroup, CreateGroup, DeleteGroup, GetGroup, ListGroups, ListGroupsForUser,
        RemoveUserFromGroup;
    inline_policies: DeleteGroupPolicy, DeleteRolePolicy, DeleteUserPolicy, GetGroupPolicy,
        GetRolePolicy, GetUserPolicy, ListGroupPolicies, ListRolePolicies, ListUserPolicies,
        PutGroupPolicy, PutRolePolicy, PutUserPolicy;
    instance_profiles: AddRoleToInstanceProfile, CreateInstanceProfile, DeleteInstanceProfile,
        GetInstanceProfile, ListInstanceProfiles, ListInstanceProfilesForRole,
        RemoveRoleFromInstanceProfile;
    managed_policies: CreatePolicy, DeletePolicy, GetPolicy, ListPolicies;
    policy_use: ListEntitiesForPolicy;
    policy_versions: CreatePolicyVersion, DeletePolicyVersion, GetPolicyVersion, ListPolicyVersions,
        SetDefaultPolicyVersion;
    roles: CreateRole, DeleteRole, GetRole, ListRoles, UpdateAssumeRolePolicy, UpdateRole,
        UpdateRoleDescription;
    tags: ListInstanceProfileTags, ListPolicyTags, ListRoleTags, ListUserTags, TagInstanceProfile,
        TagPolicy, TagRole, TagUser, UntagInstanceProfile, UntagPolicy, UntagRole, UntagUser;
    users: CreateUser, DeleteUser, GetUser, ListUsers, UpdateUser;
}

#[cfg(test)]
mod tests;
