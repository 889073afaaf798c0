//! The Organizations API: accounts in a tree of units, and the policies that bind them.
//!
//! ```text
//! root r-…  ◀─ policies p-…        a service control policy binds every account below its targets,
//!   ├─ unit ou-…  ◀─ policies      but for the management account
//!   │    └─ account  ◀─ policies
//!   └─ management account
//! ```
//!
//! Whatever changes the organization is planned against one snapshot and leaves it whole: the invariant
//! of [`model::Organization`] holds, no policy is attached to what is not there, and while a type of
//! control policies is enabled, every target has one.
//!
//! Only the management account may ask, but for `DescribeOrganization`.

mod arns;
pub(crate) mod full_access;
mod ids;
mod pages;
mod standing;

use crate::action::{Desk, actions};
use crate::api::route::{Arrival, unknown_action};
use crate::api::{Answer, ApiFault};

actions! {
    account_requests: CreateAccount, DescribeCreateAccountStatus, ListCreateAccountStatus;
    accounts: DescribeAccount, ListAccounts, ListAccountsForParent, MoveAccount,
        RemoveAccountFromOrganization;
    attachments: AttachPolicy, DetachPolicy, ListPoliciesForTarget, ListTargetsForPolicy;
    organization: CreateOrganization, DeleteOrganization, DescribeOrganization, ListRoots;
    policies: CreatePolicy, DeletePolicy, DescribePolicy, ListPolicies, UpdatePolicy;
    policy_types: DescribeEffectivePolicy, DisablePolicyType, EnablePolicyType;
    tags: ListTagsForResource, TagResource, UntagResource;
    tree: ListChildren, ListParents;
    units: CreateOrganizationalUnit, DeleteOrganizationalUnit, DescribeOrganizationalUnit,
        ListOrganizationalUnitsForParent, UpdateOrganizationalUnit;
}

/// Does what is asked.
///
/// # Errors
///
/// [`ApiFault`]; then nothing has changed.
pub(crate) fn answer(arrival: &Arrival, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
    actions(arrival, desk).unwrap_or_else(|| Err(unknown_action(&arrival.route)))
}

#[cfg(test)]
mod tests;
