//! The organization as a whole, and its root.

use std::collections::{BTreeMap, BTreeSet};

use model::{Member, Organization, PolicyType, Target};
use serde::{Deserialize, Serialize};
use store::{Change, Origin, Snapshot};

use super::arns::Arns;
use super::pages::{listing, page};
use super::standing::{joined, managed};
use super::{full_access, ids};
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Makes the organization, which the caller's account manages.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateOrganization {
    feature_set: Option<String>,
}

/// Ends the organization. Its accounts stay.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteOrganization {}

/// Shows the organization that the caller's account is in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DescribeOrganization {}

listing! {
    /// Lists the root: there is one.
    ListRoots {}
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OrganizationAnswer {
    organization: OrganizationMember,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct OrganizationMember {
    id: String,
    arn: String,
    feature_set: &'static str,
    master_account_arn: String,
    master_account_id: String,
    master_account_email: String,
    available_policy_types: Vec<PolicyTypeMember>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListRootsAnswer {
    roots: Vec<RootMember>,
    next_token: Option<String>,
}

/// A root.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RootMember {
    id: String,
    arn: String,
    name: &'static str,
    policy_types: Vec<PolicyTypeMember>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyTypeMember {
    #[serde(rename = "Type")]
    type_: &'static str,
    status: &'static str,
}

fn enabled(organization: &Organization) -> Vec<PolicyTypeMember> {
    let types = organization.policy_types.iter();
    types.map(|type_| PolicyTypeMember { type_: type_.as_str(), status: "ENABLED" }).collect()
}

impl RootMember {
    pub(super) fn new(desk: &Desk<'_>, organization: &Organization) -> Self {
        Self {
            id: organization.root_id.to_string(),
            arn: Arns::new(desk, organization).root(),
            name: "Root",
            policy_types: enabled(organization),
        }
    }
}

fn told(desk: &Desk<'_>, organization: &Organization) -> Answer {
    let arns = Arns::new(desk, organization);
    let id = organization.management_account_id;
    let email = organization.accounts.get(&id).map(|member| member.email.to_string());
    let organization = OrganizationMember {
        id: organization.id.to_string(),
        arn: arns.organization(),
        feature_set: "ALL",
        master_account_arn: arns.account(id),
        master_account_id: id.to_string(),
        master_account_email: email.unwrap_or_default(),
        // AWS: this list is no longer kept there; that of the root is.
        available_policy_types: enabled(organization),
    };
    Answer::of(OrganizationAnswer { organization })
}

impl Action for CreateOrganization {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        if let Some(other) = self.feature_set.as_deref().filter(|text| *text != "ALL") {
            let text = format!("the feature set {other} is not here: use ALL");
            return Err(ApiFault::invalid_input_exception("INVALID_ENUM", text));
        }
        let organization = desk.transact(|snapshot| {
            if let Some(there) = snapshot.organization() {
                let is_member = there.accounts.contains_key(&desk.caller.account_id);
                return Err(if is_member {
                    ApiFault::already_in_organization()
                } else {
                    ApiFault::organization_of_others(there.id.as_str())
                });
            }
            plan(desk, snapshot)
        })?;
        Ok(told(desk, &organization))
    }
}

/// Plans an organization with the caller's account in it. AWS: service control policies are enabled.
fn plan(desk: &Desk<'_>, snapshot: &Snapshot) -> Result<(Vec<Change>, Organization), ApiFault> {
    let account_id = desk.caller.account_id;
    let line = |text: String| text.parse().map_err(|_| ApiFault::internal());
    let management = Member {
        name: line("management".to_owned())?,
        // Nobody said it, and it must be one: this domain is nobody's.
        email: line(format!("{account_id}@example.com"))?,
        parent: None,
        joined: desk.now,
        tags: BTreeMap::new(),
        described: false,
    };
    let organization = Organization {
        id: ids::draw(desk, "o-", 10, |_| false)?,
        root_id: ids::draw(desk, "r-", 4, |_| false)?,
        management_account_id: account_id,
        policy_types: BTreeSet::from([PolicyType::ServiceControlPolicy]),
        units: BTreeMap::new(),
        accounts: BTreeMap::from([(account_id, management)]),
        account_requests: BTreeMap::new(),
        root_tags: BTreeMap::new(),
    };
    let targets: Vec<Target> = full_access::targets(&organization).collect();
    let mut changes = vec![super::standing::put(snapshot, organization.clone())];
    changes.extend(full_access::attach(snapshot, PolicyType::ServiceControlPolicy, targets));
    Ok((changes, organization))
}

impl Action for DeleteOrganization {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        desk.transact(|snapshot| {
            if managed(desk, snapshot)?.accounts.len() > 1 {
                return Err(ApiFault::organization_not_empty());
            }
            if snapshot.organization_origin() == Some(Origin::Config) {
                return Err(ApiFault::organization_of_config());
            }
            let policies = snapshot.control_policies().map(|(policy, _)| policy.id.clone());
            let mut changes: Vec<_> = policies.map(Change::DeleteControlPolicy).collect();
            changes.push(Change::DeleteOrganization);
            Ok((changes, ()))
        })?;
        Ok(Answer::done())
    }
}

impl Action for DescribeOrganization {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        Ok(told(desk, joined(desk, &snapshot)?))
    }
}

impl Action for ListRoots {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let root = RootMember::new(desk, organization);
        let page = page(self.turn(), [(organization.root_id.to_string(), root)])?;
        Ok(Answer::of(ListRootsAnswer { roots: page.items, next_token: page.next_token }))
    }
}
