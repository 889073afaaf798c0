//! The types of policies that are in force.

use model::{AccountId, PolicyType, RootId, Target};
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::full_access;
use super::organization::RootMember;
use super::standing::{ask_on, joined, managed, put, put_policy, with_type};
use crate::action::{Action, Desk};
use crate::api::xml::Time;
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;
use crate::declarative;

/// Puts a type in force.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct EnablePolicyType {
    root_id: RootId,
    policy_type: PolicyType,
}

/// Puts a type out of force. AWS: all its policies are detached, and stay so.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DisablePolicyType {
    root_id: RootId,
    policy_type: PolicyType,
}

/// Shows what comes of all policies of a type that an account is under.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeEffectivePolicy {
    policy_type: PolicyType,
    target_id: Option<AccountId>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EffectivePolicyAnswer {
    effective_policy: EffectivePolicyMember,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EffectivePolicyMember {
    policy_content: String,
    last_updated_timestamp: Time,
    target_id: String,
    policy_type: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootAnswer {
    root: RootMember,
}

fn asks(desk: &Desk<'_>, snapshot: &Snapshot, root_id: &RootId, type_: PolicyType) -> Vec<Ask> {
    vec![with_type(ask_on(desk, snapshot, &Target::Root(root_id.clone())), type_)]
}

impl Action for EnablePolicyType {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(asks(desk, snapshot, &self.root_id, self.policy_type))
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let root = desk.transact(|snapshot| {
            let mut organization = (**managed(desk, snapshot)?).clone();
            if organization.root_id != self.root_id {
                return Err(ApiFault::root_not_found());
            }
            if !organization.policy_types.insert(self.policy_type) {
                return Err(ApiFault::policy_type_already_enabled());
            }
            let targets: Vec<_> = full_access::targets(&organization).collect();
            let mut changes: Vec<_> =
                full_access::attach(snapshot, self.policy_type, targets).into_iter().collect();
            let root = RootMember::new(desk, &organization);
            changes.push(put(snapshot, organization));
            Ok((changes, root))
        })?;
        Ok(Answer::of(RootAnswer { root }))
    }
}

impl Action for DisablePolicyType {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(asks(desk, snapshot, &self.root_id, self.policy_type))
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let root = desk.transact(|snapshot| {
            let mut organization = (**managed(desk, snapshot)?).clone();
            if organization.root_id != self.root_id {
                return Err(ApiFault::root_not_found());
            }
            if !organization.policy_types.remove(&self.policy_type) {
                return Err(ApiFault::policy_type_not_enabled());
            }
            let mut changes = detach_all(snapshot, self.policy_type);
            let root = RootMember::new(desk, &organization);
            changes.push(put(snapshot, organization));
            Ok((changes, root))
        })?;
        Ok(Answer::of(RootAnswer { root }))
    }
}

impl Action for DescribeEffectivePolicy {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let account_id = self.target_id.unwrap_or(desk.caller.account_id);
        let ask = ask_on(desk, snapshot, &Target::Account(account_id));
        Ok(vec![with_type(ask, self.policy_type)])
    }

    /// Each account may see its own.
    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let account_id = self.target_id.unwrap_or(desk.caller.account_id);
        let organization = if account_id == desk.caller.account_id {
            joined(desk, &snapshot)?
        } else {
            managed(desk, &snapshot)?
        };
        if self.policy_type != PolicyType::DeclarativePolicyEc2 {
            let text = "control policies are not merged: use DECLARATIVE_POLICY_EC2";
            return Err(ApiFault::invalid_input_exception("INVALID_ENUM_POLICY_TYPE", text));
        }
        if !organization.accounts.contains_key(&account_id) {
            return Err(ApiFault::target_not_found());
        }
        let effective = declarative::effective_for(&snapshot, account_id);
        let effective = effective.ok_or_else(ApiFault::effective_policy_not_found)?;
        Ok(Answer::of(EffectivePolicyAnswer {
            effective_policy: EffectivePolicyMember {
                policy_content: effective.to_json(),
                // It is merged anew each time.
                last_updated_timestamp: Time(desk.now),
                target_id: account_id.to_string(),
                policy_type: self.policy_type.as_str(),
            },
        }))
    }
}

fn detach_all(snapshot: &Snapshot, type_: PolicyType) -> Vec<Change> {
    let policies = snapshot.control_policies().map(|(policy, _)| policy);
    let attached = policies.filter(|of| of.type_ == type_ && !of.targets.is_empty());
    attached
        .map(|policy| {
            let mut policy = (**policy).clone();
            policy.targets.clear();
            put_policy(snapshot, policy)
        })
        .collect()
}
