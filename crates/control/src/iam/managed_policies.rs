//! Managed policies of an account, and those of AWS as far as they are shown.

use std::collections::BTreeMap;

use model::{
    Iam, IamKey, IamKind, ManagedPolicy, PolicyArn, PolicyVersion, unique_id,
};
use policy::DocumentKind;
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::aws_managed;
use super::elements::{PolicyElement, Shown, Use, users_of};
use super::listing::Asked;
use super::named::{Named, all, ask_to_make, check_new, permissions, put, with_request_tags};
use super::words::{self, TagParameter};
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Makes a managed policy, with its first version.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreatePolicy {
    policy_name: String,
    path: Option<String>,
    policy_document: String,
    description: Option<String>,
    #[serde(default)]
    tags: Vec<TagParameter>,
}

/// Shows a managed policy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetPolicy {
    policy_arn: String,
}

/// Lists managed policies.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListPolicies {
    #[serde(default)]
    scope: PolicyScope,
    #[serde(default)]
    only_attached: bool,
    path_prefix: Option<String>,
    policy_usage_filter: Option<PolicyUsage>,
    marker: Option<String>,
    max_items: Option<i64>,
}

/// Whose policies are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
enum PolicyScope {
    #[default]
    All,
    #[serde(rename = "AWS")]
    Aws,
    Local,
}

/// What policies are used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum PolicyUsage {
    PermissionsBoundary,
    PermissionsPolicy,
}

impl PolicyUsage {
    /// Whether one of these uses is meant.
    pub(crate) fn is_meant(filter: Option<Self>, is_attached: bool, is_bounding: bool) -> bool {
        match filter {
            None => is_attached || is_bounding,
            Some(Self::PermissionsBoundary) => is_bounding,
            Some(Self::PermissionsPolicy) => is_attached,
        }
    }
}

/// Deletes a managed policy that nothing uses, and that has one version.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeletePolicy {
    policy_arn: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PolicyAnswer {
    policy: PolicyElement,
}

/// Finds a managed policy to be shown, of the account or of AWS.
///
/// # Errors
///
/// `InvalidInput` or `NoSuchEntity`.
pub(crate) fn find_shown(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    arn: &str,
) -> Result<ManagedPolicy, ApiFault> {
    let parsed = words::parse_policy_arn(arn)?;
    if parsed.account_id().is_none() {
        let found = aws_managed::find_shown(&parsed);
        let found = found.filter(|found| found.arn(desk.scope.region.partition()) == arn);
        return found.map(|of| of.shown.clone()).ok_or_else(|| ApiFault::policy_not_found(arn));
    }
    match Named::new(desk, IamKind::Policy, arn)?.find(desk, snapshot)? {
        Iam::Policy(policy) => Ok((*policy).clone()),
        Iam::Group(_) | Iam::InstanceProfile(_) | Iam::Role(_) | Iam::User(_) => {
            Err(ApiFault::policy_not_found(arn))
        }
    }
}

/// How often each managed policy is used in an account.
fn uses(snapshot: &Snapshot, account_id: model::AccountId) -> BTreeMap<PolicyArn, Use> {
    let mut uses = BTreeMap::<PolicyArn, Use>::new();
    for kind in [IamKind::Group, IamKind::Role, IamKind::User] {
        for kept in all(snapshot, account_id, kind) {
            let Some(permissions) = permissions(&kept) else { continue };
            for arn in &permissions.attached {
                uses.entry(arn.clone()).or_default().attached += 1;
            }
            if let Some(arn) = &permissions.boundary {
                uses.entry(arn.clone()).or_default().bounding += 1;
            }
        }
    }
    uses
}

fn use_of(uses: &BTreeMap<PolicyArn, Use>, arn: &str) -> Use {
    arn.parse().ok().and_then(|arn: PolicyArn| uses.get(&arn)).copied().unwrap_or_default()
}

impl CreatePolicy {
    fn key(&self, desk: &Desk<'_>) -> Result<IamKey, ApiFault> {
        let (account_id, kind) = (desk.caller.account_id, IamKind::Policy);
        Ok(IamKey { account_id, kind, name: words::parse_name(kind, &self.policy_name)? })
    }
}

impl Action for CreatePolicy {
    fn asks(&self, desk: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let path = words::parse_path(self.path.as_deref())?;
        Ok(vec![with_request_tags(ask_to_make(desk, &self.key(desk)?, &path), &self.tags)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let key = self.key(desk)?;
        let document = words::parse_document(DocumentKind::Managed, &self.policy_document)?;
        let policy = ManagedPolicy {
            name: key.name.clone(),
            account_id: key.account_id,
            path: words::parse_path(self.path.as_deref())?,
            id: Some(unique_id(IamKind::Policy, desk.fresh_number()?)),
            description: words::parse_description(self.description.as_deref().unwrap_or(""))?,
            created: desk.now,
            versions: BTreeMap::from([(1, PolicyVersion { document, created: desk.now })]),
            default_version: 1,
            last_version: None,
            tags: words::parse_tags(&self.tags)?,
        };
        desk.transact(|snapshot| {
            check_new(snapshot, &key)?;
            let arn = policy.arn(desk.scope.region.partition());
            let shown = PolicyElement::new(&policy, arn, Use::default(), Shown::Fully);
            Ok((vec![put(policy)], Answer::of(PolicyAnswer { policy: shown })))
        })
    }
}

impl Action for GetPolicy {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![Named::new(desk, IamKind::Policy, &self.policy_arn)?.ask(desk, snapshot)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let policy = find_shown(desk, &snapshot, &self.policy_arn)?;
        let used = use_of(&uses(&snapshot, desk.caller.account_id), &self.policy_arn);
        let policy = PolicyElement::new(&policy, self.policy_arn, used, Shown::Fully);
        Ok(Answer::of(PolicyAnswer { policy }))
    }
}

impl Action for ListPolicies {
    /// IAM: it has no resources.
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let prefix = words::parse_prefix(self.path_prefix.as_deref())?;
        let (snapshot, partition) = (desk.store.snapshot(), desk.scope.region.partition());
        let uses = uses(&snapshot, desk.caller.account_id);
        let of_account = snapshot.managed_policies(desk.caller.account_id);
        let of_account = of_account
            .filter(|_| self.scope != PolicyScope::Aws)
            .map(|policy| (&**policy, policy.arn(partition)));
        let of_aws = aws_managed::all()
            .filter(|_| self.scope != PolicyScope::Local)
            .map(|found| (&found.shown, found.arn(partition)));
        let shown = of_account.chain(of_aws).filter_map(|(policy, arn)| {
            let used = use_of(&uses, &arn);
            let (is_attached, is_bounding) = (used.attached > 0, used.bounding > 0);
            let filter = self.policy_usage_filter;
            // IAM: the filter says what attached means.
            let is_used = PolicyUsage::is_meant(filter, is_attached, is_bounding);
            let is_meant = policy.path.as_str().starts_with(prefix)
                && (is_used || !(self.only_attached || filter.is_some()));
            is_meant.then(|| {
                (arn.clone(), PolicyElement::new(policy, arn, used, Shown::InList))
            })
        });
        Asked { marker: self.marker.as_deref(), max_items: self.max_items }
            .answer("ListPolicies", "Policies", shown)
    }
}

impl Action for DeletePolicy {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![Named::new(desk, IamKind::Policy, &self.policy_arn)?.ask(desk, snapshot)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = Named::new(desk, IamKind::Policy, &self.policy_arn)?;
        let arn = words::parse_policy_arn(&self.policy_arn)?;
        desk.transact(|snapshot| {
            let Iam::Policy(policy) = named.find_to_change(desk, snapshot)? else {
                return Err(ApiFault::policy_not_found(&self.policy_arn));
            };
            if !users_of(snapshot, &named.key, &arn).is_empty() {
                return Err(ApiFault::delete_conflict(
                    "Cannot delete a policy attached to entities.",
                ));
            }
            if policy.versions.len() > 1 {
                return Err(ApiFault::delete_conflict(
                    "This policy has more than one version. Before you delete a policy, you must \
                     delete the policy's versions. The default version is deleted with the policy.",
                ));
            }
            Ok((vec![Change::DeleteIam(named.key.clone())], Answer::done()))
        })
    }
}
