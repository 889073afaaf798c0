//! Policies of the organization: their documents, which are compiled when they are written.

mod content;

use std::collections::BTreeSet;

use model::{ControlPolicy, Line, Organization, PolicyDocument, PolicyId, PolicyType};
use serde::{Deserialize, Serialize};
use store::{Change, Origin, Snapshot};

use super::arns::Arns;
use super::pages::{listing, page};
use super::standing::{
    TagMember, Tags, ask_on_policy, managed, put_policy, set_tags, with_requested_tags, with_type,
};
use super::{full_access, ids};
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// LIMIT: policies of a type. AWS has more, for larger organizations.
const POLICIES_MAX: usize = 1000;

/// LIMIT: the length of a policy's name, as AWS documents it.
const NAME_CHARACTERS_MAX: usize = 128;

/// LIMIT: the length of a policy's description, as AWS documents it.
const DESCRIPTION_CHARACTERS_MAX: usize = 512;

/// Makes a policy, attached to nothing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreatePolicy {
    content: String,
    description: String,
    name: Line,
    #[serde(rename = "Type")]
    type_: PolicyType,
    #[serde(default)]
    tags: Vec<TagMember>,
}

/// Changes a policy; what the request leaves out stays.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UpdatePolicy {
    policy_id: PolicyId,
    content: Option<String>,
    description: Option<String>,
    name: Option<Line>,
}

/// Shows a policy with its content.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribePolicy {
    policy_id: PolicyId,
}

/// Ends a policy that is attached to nothing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeletePolicy {
    policy_id: PolicyId,
}

listing! {
    /// Lists the policies of a type.
    ListPolicies { filter: PolicyType }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyAnswer {
    policy: PolicyMember,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyMember {
    policy_summary: PolicySummary,
    content: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListPoliciesAnswer {
    policies: Vec<PolicySummary>,
    next_token: Option<String>,
}

/// A policy without its content.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PolicySummary {
    id: String,
    arn: String,
    name: String,
    description: String,
    #[serde(rename = "Type")]
    type_: &'static str,
    aws_managed: bool,
}

impl PolicySummary {
    pub(super) fn new(arns: Arns<'_>, policy: &ControlPolicy) -> Self {
        Self {
            id: policy.id.to_string(),
            arn: arns.policy(policy.type_, &policy.id),
            name: policy.name.to_string(),
            description: policy.description.as_deref().unwrap_or_default().to_owned(),
            type_: policy.type_.as_str(),
            aws_managed: full_access::is_by_aws(&policy.id),
        }
    }
}

fn told(desk: &Desk<'_>, organization: &Organization, policy: &ControlPolicy) -> PolicyAnswer {
    let policy_summary = PolicySummary::new(Arns::new(desk, organization), policy);
    let content = policy.content.as_str().to_owned();
    PolicyAnswer { policy: PolicyMember { policy_summary, content } }
}

/// Finds a policy, AWS's among them whether they are attached or not.
///
/// # Errors
///
/// `PolicyNotFoundException`.
pub(super) fn find(snapshot: &Snapshot, id: &PolicyId) -> Result<ControlPolicy, ApiFault> {
    if let Some(policy) = snapshot.control_policy(id) {
        return Ok((**policy).clone());
    }
    let by_aws = PolicyType::ALL.iter().filter_map(|type_| full_access::of_type(*type_));
    by_aws.into_iter().find(|policy| policy.id == *id).ok_or_else(ApiFault::control_policy_not_found)
}

/// The same, of those that can be changed.
fn find_own(snapshot: &Snapshot, id: &PolicyId) -> Result<ControlPolicy, ApiFault> {
    if full_access::is_by_aws(id) {
        let text = "AWS manages this policy: it can't be changed";
        return Err(ApiFault::invalid_input_exception("IMMUTABLE_POLICY", text));
    }
    refuse_described(snapshot, id)?;
    find(snapshot, id)
}

/// Refuses what would not last: the file has the say on the policies that it describes, and on what they
/// are attached to.
pub(super) fn refuse_described(snapshot: &Snapshot, id: &PolicyId) -> Result<(), ApiFault> {
    let found = snapshot.control_policies().find(|(policy, _)| policy.id == *id);
    match found {
        Some((_, Origin::Config)) => Err(ApiFault::policy_of_config(id.as_str())),
        Some((_, Origin::Api)) | None => Ok(()),
    }
}

/// Reads a description, which may be empty.
fn parse_description(text: &str) -> Result<Option<Line>, ApiFault> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.chars().count() > DESCRIPTION_CHARACTERS_MAX {
        let text = "the description of a policy has at most 512 characters";
        return Err(ApiFault::invalid_input_exception("MAX_LENGTH_EXCEEDED", text));
    }
    let refused = |fault: model::LineRefusal| {
        ApiFault::invalid_input_exception("INVALID_PATTERN", format!("in the description: {fault}"))
    };
    text.parse().map(Some).map_err(refused)
}

/// Sees that a name does, and that no other policy of the type has it.
fn check_name(
    snapshot: &Snapshot,
    type_: PolicyType,
    own: Option<&PolicyId>,
    name: &Line,
) -> Result<(), ApiFault> {
    if name.chars().count() > NAME_CHARACTERS_MAX {
        let text = "the name of a policy has at most 128 characters";
        return Err(ApiFault::invalid_input_exception("MAX_LENGTH_EXCEEDED", text));
    }
    let by_aws = full_access::of_type(type_);
    let is_by_aws = by_aws.is_some_and(|policy| policy.name == *name);
    let is_taken = |policy: &ControlPolicy| {
        policy.type_ == type_ && policy.name == *name && Some(&policy.id) != own
    };
    if is_by_aws || snapshot.control_policies().any(|(policy, _)| is_taken(policy)) {
        return Err(ApiFault::duplicate_policy());
    }
    Ok(())
}

impl Action for CreatePolicy {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let ask = with_type(Ask::on("*".to_owned()), self.type_);
        Ok(vec![with_requested_tags(ask, &self.tags)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let Self { content, description, name, type_, tags: set } = self;
        let description = parse_description(&description)?;
        let mut tags = Tags::new();
        set_tags(&mut tags, &set)?;
        let answer = desk.transact(|snapshot| {
            let organization = managed(desk, snapshot)?;
            content::check(type_, &name, &content)?;
            check_name(snapshot, type_, None, &name)?;
            let of_type =
                snapshot.control_policies().filter(|(policy, _)| policy.type_ == type_);
            if of_type.count() >= POLICIES_MAX {
                let text = "The organization has as many policies of this type as it may have.";
                return Err(ApiFault::constraint_violation("POLICY_NUMBER_LIMIT_EXCEEDED", text));
            }
            let is_used = |id: &PolicyId| snapshot.control_policy(id).is_some();
            let policy = ControlPolicy {
                id: ids::draw(desk, "p-", 8, is_used)?,
                name,
                description,
                type_,
                content: PolicyDocument::new(&content),
                targets: BTreeSet::new(),
                tags,
            };
            let answer = told(desk, organization, &policy);
            Ok((vec![put_policy(snapshot, policy)], answer))
        })?;
        Ok(Answer::of(answer))
    }
}

impl Action for UpdatePolicy {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on_policy(desk, snapshot, &self.policy_id)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let Self { policy_id, content, description, name } = self;
        let description = description.as_deref().map(parse_description).transpose()?;
        let answer = desk.transact(|snapshot| {
            let organization = managed(desk, snapshot)?;
            let mut policy = find_own(snapshot, &policy_id)?;
            if let Some(name) = name {
                check_name(snapshot, policy.type_, Some(&policy_id), &name)?;
                policy.name = name;
            }
            if let Some(description) = description {
                policy.description = description;
            }
            if let Some(content) = content {
                content::check(policy.type_, &policy.name, &content)?;
                policy.content = PolicyDocument::new(&content);
            }
            let answer = told(desk, organization, &policy);
            Ok((vec![put_policy(snapshot, policy)], answer))
        })?;
        Ok(Answer::of(answer))
    }
}

impl Action for DescribePolicy {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on_policy(desk, snapshot, &self.policy_id)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let policy = find(&snapshot, &self.policy_id)?;
        Ok(Answer::of(told(desk, organization, &policy)))
    }
}

impl Action for DeletePolicy {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on_policy(desk, snapshot, &self.policy_id)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        desk.transact(|snapshot| {
            managed(desk, snapshot)?;
            let policy = find_own(snapshot, &self.policy_id)?;
            if !policy.targets.is_empty() {
                return Err(ApiFault::policy_in_use());
            }
            Ok((vec![Change::DeleteControlPolicy(self.policy_id)], ()))
        })?;
        Ok(Answer::done())
    }
}

impl Action for ListPolicies {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![with_type(Ask::on("*".to_owned()), self.filter)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let arns = Arns::new(desk, organization);
        let kept = snapshot.control_policies().map(|(policy, _)| policy);
        let kept = kept.filter(|policy| policy.type_ == self.filter);
        let by_aws = full_access::of_type(self.filter);
        // One that is kept comes again with its key, and is the same.
        let all = by_aws.iter().chain(kept.map(|policy| &**policy));
        let all = all.map(|policy| (policy.id.to_string(), PolicySummary::new(arns, policy)));
        let page = page(self.turn(), all)?;
        Ok(Answer::of(ListPoliciesAnswer { policies: page.items, next_token: page.next_token }))
    }
}
