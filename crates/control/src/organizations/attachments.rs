//! Which policies are attached to which targets.

use model::{Organization, PolicyId, PolicyType, Target};
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::arns::Arns;
use super::pages::{listing, page};
use super::policies::{PolicySummary, find, refuse_described};
use super::standing::{ask_on, ask_on_policy, managed, put_policy, with_type};
use super::full_access;
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// LIMIT: policies of a type that are attached to one target, as AWS documents it.
const fn attached_max(type_: PolicyType) -> usize {
    match type_ {
        PolicyType::DeclarativePolicyEc2 => 10,
        PolicyType::ResourceControlPolicy | PolicyType::ServiceControlPolicy => 5,
    }
}

/// Attaches a policy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AttachPolicy {
    policy_id: PolicyId,
    target_id: Target,
}

/// Detaches a policy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DetachPolicy {
    policy_id: PolicyId,
    target_id: Target,
}

listing! {
    /// Lists the policies of a type that are attached to a target itself.
    ListPoliciesForTarget { target_id: Target, filter: PolicyType }
}

listing! {
    /// Lists the targets of a policy.
    ListTargetsForPolicy { policy_id: PolicyId }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListPoliciesForTargetAnswer {
    policies: Vec<PolicySummary>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListTargetsForPolicyAnswer {
    targets: Vec<TargetMember>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TargetMember {
    target_id: String,
    arn: String,
    name: String,
    #[serde(rename = "Type")]
    type_: &'static str,
}

impl TargetMember {
    fn new(arns: Arns<'_>, organization: &Organization, target: &Target) -> Self {
        let (name, type_) = match target {
            Target::Account(id) => {
                (organization.accounts.get(id).map(|member| member.name.to_string()), "ACCOUNT")
            }
            Target::Root(_) => (Some("Root".to_owned()), "ROOT"),
            Target::Unit(id) => {
                let unit = organization.units.get(id);
                (unit.map(|unit| unit.name.to_string()), "ORGANIZATIONAL_UNIT")
            }
        };
        let (target_id, arn) = (target.to_string(), arns.target(target));
        Self { target_id, arn, name: name.unwrap_or_default(), type_ }
    }
}

/// How many policies of a type are attached to a target.
fn attached(snapshot: &Snapshot, type_: PolicyType, target: &Target) -> usize {
    let all = snapshot.control_policies();
    all.filter(|(policy, _)| policy.type_ == type_ && policy.targets.contains(target)).count()
}

/// AWS: the policy and the target are asked for.
fn asks(desk: &Desk<'_>, snapshot: &Snapshot, policy: &PolicyId, target: &Target) -> Vec<Ask> {
    let ask = ask_on(desk, snapshot, target);
    let type_ = snapshot.control_policy(policy).map(|policy| policy.type_);
    let ask = match type_ {
        Some(type_) => with_type(ask, type_),
        None => ask,
    };
    vec![ask_on_policy(desk, snapshot, policy), ask]
}

impl Action for AttachPolicy {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(asks(desk, snapshot, &self.policy_id, &self.target_id))
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let Self { policy_id, target_id } = self;
        desk.transact(|snapshot| {
            let organization = managed(desk, snapshot)?;
            refuse_described(snapshot, &policy_id)?;
            let mut policy = find(snapshot, &policy_id)?;
            if !organization.has(&target_id) {
                return Err(ApiFault::target_not_found());
            }
            let type_ = policy.type_;
            if !organization.policy_types.contains(&type_) {
                return Err(ApiFault::policy_type_not_enabled());
            }
            let max = attached_max(type_);
            if !policy.targets.insert(target_id.clone()) {
                return Err(ApiFault::duplicate_attachment());
            }
            if attached(snapshot, type_, &target_id) >= max {
                return Err(ApiFault::constraint_violation(
                    "MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
                    format!("A target has at most {max} policies of this type."),
                ));
            }
            Ok((vec![put_policy(snapshot, policy)], ()))
        })?;
        Ok(Answer::done())
    }
}

impl Action for DetachPolicy {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(asks(desk, snapshot, &self.policy_id, &self.target_id))
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let Self { policy_id, target_id } = self;
        desk.transact(|snapshot| {
            let organization = managed(desk, snapshot)?;
            refuse_described(snapshot, &policy_id)?;
            let mut policy = find(snapshot, &policy_id)?;
            if !organization.has(&target_id) {
                return Err(ApiFault::target_not_found());
            }
            if !policy.targets.remove(&target_id) {
                return Err(ApiFault::policy_not_attached());
            }
            let is_last = match policy.type_ {
                PolicyType::DeclarativePolicyEc2 => false,
                // AWS: this one stays where it is.
                PolicyType::ResourceControlPolicy => full_access::is_by_aws(&policy_id),
                PolicyType::ServiceControlPolicy => {
                    attached(snapshot, policy.type_, &target_id) <= 1
                }
            };
            if is_last {
                let (reason, text) = (
                    "MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED",
                    "You cannot remove the last policy attached to the specified target. You must \
                     have at least one attached at all times.",
                );
                return Err(ApiFault::constraint_violation(reason, text));
            }
            Ok((vec![put_policy(snapshot, policy)], ()))
        })?;
        Ok(Answer::done())
    }
}

impl Action for ListPoliciesForTarget {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![with_type(ask_on(desk, snapshot, &self.target_id), self.filter)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        if !organization.has(&self.target_id) {
            return Err(ApiFault::target_not_found());
        }
        let arns = Arns::new(desk, organization);
        let policies = snapshot.control_policies().map(|(policy, _)| policy);
        let policies = policies
            .filter(|of| of.type_ == self.filter && of.targets.contains(&self.target_id))
            .map(|policy| (policy.id.to_string(), PolicySummary::new(arns, policy)));
        let page = page(self.turn(), policies)?;
        let (policies, next_token) = (page.items, page.next_token);
        Ok(Answer::of(ListPoliciesForTargetAnswer { policies, next_token }))
    }
}

impl Action for ListTargetsForPolicy {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on_policy(desk, snapshot, &self.policy_id)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let policy = find(&snapshot, &self.policy_id)?;
        let arns = Arns::new(desk, organization);
        let targets = policy.targets.iter().map(|target| {
            (target.to_string(), TargetMember::new(arns, organization, target))
        });
        let page = page(self.turn(), targets)?;
        let (targets, next_token) = (page.items, page.next_token);
        Ok(Answer::of(ListTargetsForPolicyAnswer { targets, next_token }))
    }
}
