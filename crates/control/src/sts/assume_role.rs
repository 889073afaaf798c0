//! `AssumeRole`.

use std::collections::{BTreeMap, BTreeSet};

use metadata::session::{Actor, RoleSession, Session, SessionPolicies};
use model::{AccountId, PolicyArn, Role, RoleName, SessionName, TagKey};
use policy::{DocumentKind, Policy};
use serde::Deserialize;
use serde::Serialize;
use store::Snapshot;

use super::credentials::{CredentialsElement, parse_duration};
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;
use crate::caller::Principal;
use crate::iam::aws_managed;

/// LIMIT: managed policies of a session. AWS documents it.
const POLICY_ARNS_MAX: usize = 10;

/// LIMIT: tags of a session. AWS documents it.
const TAGS_MAX: usize = 50;

/// LIMIT: how long a session lasts, in seconds, whatever the role says. AWS documents it.
const SECONDS: (u32, u32) = (900, 43_200);

/// LIMIT: how long a session lasts that was begun in a session, in seconds. AWS documents it.
const CHAINED_SECONDS_MAX: u32 = 3600;

/// Begins a session of a role.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssumeRole {
    role_arn: String,
    role_session_name: String,
    duration_seconds: Option<u32>,
    policy: Option<String>,
    #[serde(default)]
    policy_arns: Vec<PolicyArnParameter>,
    #[serde(default)]
    tags: Vec<TagParameter>,
    external_id: Option<String>,
}

/// `PolicyArns.member.N`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyArnParameter {
    arn: String,
}

/// `Tags.member.N`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct TagParameter {
    key: String,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumeRoleAnswer {
    assumed_role_user: AssumedRoleUser,
    credentials: CredentialsElement,
    /// Of sessions with policies or tags alone.
    packed_policy_size: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AssumedRoleUser {
    assumed_role_id: String,
    arn: String,
}

impl AssumeRole {
    /// Finds the role that is meant: its ARN is the one that was asked for, letter by letter.
    fn role<'s>(&self, desk: &Desk<'_>, snapshot: &'s Snapshot) -> Result<&'s Role, ApiFault> {
        let (account_id, name) = parse_role_arn(&self.role_arn)?;
        let found = snapshot.role(account_id, &name);
        let found = found.filter(|role| role.arn(desk.caller.partition) == self.role_arn);
        // AWS: what is not there, nobody may assume, and it is told as what trusts somebody else.
        found.map(|role| &**role).ok_or_else(|| {
            ApiFault::access_denied(format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {} because no \
                 resource-based policy allows the sts:AssumeRole action",
                desk.caller.arn(),
                self.role_arn
            ))
        })
    }

    fn policies(&self, snapshot: &Snapshot, role: &Role) -> Result<SessionPolicies, ApiFault> {
        if self.policy_arns.len() > POLICY_ARNS_MAX {
            return Err(ApiFault::validation_error(format!(
                "A session has at most {POLICY_ARNS_MAX} managed policies."
            )));
        }
        if let Some(text) = &self.policy {
            let kind = DocumentKind::Session;
            let refused = |refusal: policy::DocumentRefusal| {
                ApiFault::new("MalformedPolicyDocument", 400, refusal.to_string())
            };
            Policy::compile("session policy", kind, text).map_err(refused)?;
        }
        let arn = |parameter: &PolicyArnParameter| {
            let arn: PolicyArn = parameter.arn.parse().map_err(ApiFault::validation_error)?;
            let is_there = match arn.account_id() {
                // AWS: of the account that the session is of.
                Some(id) if id == role.account_id => snapshot.policy_in_force(&arn).is_some(),
                Some(_) => false,
                None => aws_managed::find(&arn).is_some(),
            };
            let refused = || {
                let message = format!("The policy {arn} does not exist or is not attachable.");
                ApiFault::new("MalformedPolicyDocument", 400, message)
            };
            let line = arn.as_str().parse().ok().filter(|_| is_there);
            line.ok_or_else(refused)
        };
        Ok(SessionPolicies {
            document: self.policy.as_deref().map(Box::from),
            arns: self.policy_arns.iter().map(arn).collect::<Result<_, _>>()?,
        })
    }

    fn tags(&self) -> Result<BTreeMap<TagKey, Box<str>>, ApiFault> {
        if self.tags.len() > TAGS_MAX {
            return Err(ApiFault::validation_error(format!("A session has at most {TAGS_MAX} tags.")));
        }
        let (mut tags, mut seen) = (BTreeMap::new(), BTreeSet::new());
        for TagParameter { key, value } in &self.tags {
            let name = key.parse::<TagKey>().map_err(|refusal| ApiFault::validation_error(refusal.to_string()))?;
            // Condition keys know no case: two that differ in it would hide one another.
            if !seen.insert(key.to_lowercase()) {
                let message = format!("The tag key {key} is there twice, but for its case.");
                return Err(ApiFault::validation_error(message));
            }
            tags.insert(name, value.as_str().into());
        }
        Ok(tags)
    }

    fn seconds(&self, role: &Role, desk: &Desk<'_>) -> Result<u32, ApiFault> {
        let is_chained = matches!(desk.caller.principal, Principal::Role(..));
        let most = if is_chained { CHAINED_SECONDS_MAX } else { role.max_session_duration };
        let seconds = parse_duration(self.duration_seconds, SECONDS, most.min(3600))?;
        match seconds > most {
            false => Ok(seconds),
            true if is_chained => Err(ApiFault::validation_error(
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed \
                 by role chaining.",
            )),
            true => Err(ApiFault::validation_error(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            )),
        }
    }
}

/// Reads the ARN of a role: its account and its name.
fn parse_role_arn(text: &str) -> Result<(AccountId, RoleName), ApiFault> {
    let parse = || {
        let rest = text.strip_prefix("arn:aws")?;
        let (_, rest) = rest.split_once(":iam::")?;
        let (account_id, path_and_name) = rest.split_once(":role/")?;
        let name = path_and_name.rsplit('/').next()?;
        Some((account_id.parse().ok()?, name.parse().ok()?))
    };
    parse().ok_or_else(|| ApiFault::validation_error(format!("{} is invalid", ApiFault::echo(text))))
}

impl Action for AssumeRole {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let role = self.role(desk, snapshot)?;
        let trusting = |ask: Ask| {
            let (resource_account, trust_of) = (Some(role.account_id), Some(role.key()));
            let ask = Ask { resource_account, trust_of, ..ask };
            let ask = ask.with_text("sts:RoleSessionName", &self.role_session_name);
            match &self.external_id {
                Some(id) => ask.with_text("sts:ExternalId", id),
                None => ask,
            }
        };
        // They are held against policies as they will be the session's: as what they are.
        self.tags()?;
        let mut asks = vec![trusting(Ask::on(self.role_arn.clone()))];
        if !self.tags.is_empty() {
            let mut ask = trusting(Ask::also("sts:TagSession", self.role_arn.clone()));
            let keys = self.tags.iter().map(|tag| policy::Value::text(&tag.key)).collect();
            for TagParameter { key, value } in &self.tags {
                ask = ask.with_text(format!("aws:RequestTag/{key}"), value);
            }
            asks.push(ask.with_all("aws:TagKeys", keys));
        }
        Ok(asks)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.authorized_snapshot()?;
        let role = self.role(desk, &snapshot)?;
        let name: SessionName =
            self.role_session_name.parse().map_err(ApiFault::validation_error)?;
        let seconds = self.seconds(role, desk)?;
        let session = RoleSession {
            role: role.name.clone(),
            role_id: role.unique_id(),
            name,
            source: None,
            policies: self.policies(&snapshot, role)?,
            tags: self.tags()?,
        };
        let is_limited =
            session.policies != SessionPolicies::default() || !session.tags.is_empty();
        let session = Session {
            account_id: role.account_id,
            issued_at: desk.now,
            expiration: desk.now.plus_seconds(seconds.into()),
            actor: Actor::Role(session),
        };
        let partition = desk.caller.partition;
        let (account_id, role_name) = (role.account_id, &role.name);
        Ok(Answer::of(AssumeRoleAnswer {
            assumed_role_user: AssumedRoleUser {
                assumed_role_id: format!("{}:{name}", role.unique_id()),
                arn: format!("arn:{partition}:sts::{account_id}:assumed-role/{role_name}/{name}"),
            },
            packed_policy_size: is_limited.then(|| session.packed_percent()),
            credentials: CredentialsElement::issue(desk, &snapshot, &session)?,
        }))
    }
}
