//! Versions of managed policies. One is in force; none ever changes.

use std::sync::Arc;

use model::{Iam, IamKind, ManagedPolicy, PolicyVersion};
use policy::DocumentKind;
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::elements::{encoded, version_id};
use super::limits::VERSIONS_MAX;
use super::listing::Asked;
use super::managed_policies::find_shown;
use super::named::Named;
use super::words;
use crate::action::{Action, Desk};
use crate::api::xml::Time;
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Makes one more version.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreatePolicyVersion {
    policy_arn: String,
    policy_document: String,
    #[serde(default)]
    set_as_default: bool,
}

/// Shows a version.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetPolicyVersion {
    policy_arn: String,
    version_id: String,
}

/// Lists the versions of a policy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListPolicyVersions {
    policy_arn: String,
    marker: Option<String>,
    max_items: Option<i64>,
}

/// Puts a version in force.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct SetDefaultPolicyVersion {
    policy_arn: String,
    version_id: String,
}

/// Deletes a version that is not in force.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeletePolicyVersion {
    policy_arn: String,
    version_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionAnswer {
    policy_version: VersionElement,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct VersionElement {
    document: Option<String>,
    version_id: String,
    is_default_version: bool,
    create_date: Time,
}

impl VersionElement {
    fn new(policy: &ManagedPolicy, number: u32, version: &PolicyVersion) -> Self {
        Self {
            document: None,
            version_id: version_id(number),
            is_default_version: policy.default_version == number,
            create_date: Time(version.created),
        }
    }
}

fn ask(desk: &Desk<'_>, snapshot: &Snapshot, arn: &str) -> Result<Vec<Ask>, ApiFault> {
    Ok(vec![Named::new(desk, IamKind::Policy, arn)?.ask(desk, snapshot)])
}

/// Finds the number of a version that a request names.
fn find_version(policy: &ManagedPolicy, arn: &str, id: &str) -> Result<u32, ApiFault> {
    let digits = id.strip_prefix('v').unwrap_or_default();
    if digits.is_empty() || digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ApiFault::validation_error(
            "1 validation error detected: Value at 'versionId' failed to satisfy constraint: Member \
             must satisfy regular expression pattern: v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?",
        ));
    }
    let number = digits.parse().ok().filter(|number| policy.versions.contains_key(number));
    number.ok_or_else(|| ApiFault::policy_version_not_found(arn, id))
}

/// Changes a policy of the account.
fn change(
    desk: &Desk<'_>,
    arn: &str,
    change: impl FnOnce(&mut ManagedPolicy) -> Result<(), ApiFault>,
) -> Result<Answer, ApiFault> {
    Named::new(desk, IamKind::Policy, arn)?.change(desk, |_, kept| match kept {
        Iam::Policy(policy) => change(Arc::make_mut(policy)),
        Iam::Group(_) | Iam::InstanceProfile(_) | Iam::Role(_) | Iam::User(_) => Ok(()),
    })
}

impl Action for CreatePolicyVersion {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.policy_arn)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let document = words::parse_document(DocumentKind::Managed, &self.policy_document)?;
        let version = PolicyVersion { document, created: desk.now };
        let mut number = 0;
        change(desk, &self.policy_arn, |policy| {
            if policy.versions.len() >= VERSIONS_MAX {
                return Err(ApiFault::limit_exceeded(format!(
                    "A managed policy can have up to {VERSIONS_MAX} versions. Before you create a \
                     new version, you must delete an existing version."
                )));
            }
            number = policy.next_version();
            policy.versions.insert(number, version);
            if self.set_as_default {
                policy.default_version = number;
            }
            Ok(())
        })?;
        Ok(Answer::of(VersionAnswer {
            policy_version: VersionElement {
                document: None,
                version_id: version_id(number),
                is_default_version: self.set_as_default,
                create_date: Time(desk.now),
            },
        }))
    }
}

impl Action for GetPolicyVersion {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.policy_arn)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let policy = find_shown(desk, &desk.store.snapshot(), &self.policy_arn)?;
        let number = find_version(&policy, &self.policy_arn, &self.version_id)?;
        let version = policy.versions.get(&number).ok_or_else(ApiFault::internal)?;
        let mut shown = VersionElement::new(&policy, number, version);
        shown.document = Some(encoded(&version.document));
        Ok(Answer::of(VersionAnswer { policy_version: shown }))
    }
}

impl Action for ListPolicyVersions {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.policy_arn)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let policy = find_shown(desk, &desk.store.snapshot(), &self.policy_arn)?;
        // The newest first, as IAM lists them.
        let versions = policy.versions.iter().map(|(number, version)| {
            let place = format!("{:010}", u32::MAX - number);
            (place, VersionElement::new(&policy, *number, version))
        });
        Asked { marker: self.marker.as_deref(), max_items: self.max_items }.answer(
            "ListPolicyVersions",
            "Versions",
            versions,
        )
    }
}

impl Action for SetDefaultPolicyVersion {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.policy_arn)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        change(desk, &self.policy_arn, |policy| {
            policy.default_version = find_version(policy, &self.policy_arn, &self.version_id)?;
            Ok(())
        })
    }
}

impl Action for DeletePolicyVersion {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, &self.policy_arn)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        change(desk, &self.policy_arn, |policy| {
            let number = find_version(policy, &self.policy_arn, &self.version_id)?;
            if number == policy.default_version {
                return Err(ApiFault::delete_conflict(
                    "Cannot delete the default version of a policy.",
                ));
            }
            policy.last_version = policy.next_version().checked_sub(1);
            policy.versions.remove(&number);
            Ok(())
        })
    }
}
