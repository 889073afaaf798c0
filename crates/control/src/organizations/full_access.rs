//! The policies of AWS that allow everything: while a type of control policies is enabled, every target
//! has one until another takes its place.

use std::collections::{BTreeMap, BTreeSet};

use model::{ControlPolicy, Organization, PolicyDocument, PolicyId, PolicyType, Target};
use store::{Change, Snapshot};

use super::standing::put_policy;

struct ByAws {
    type_: PolicyType,
    name: &'static str,
    description: &'static str,
    content: &'static str,
}

const BY_AWS: [ByAws; 2] = [
    ByAws {
        type_: PolicyType::ServiceControlPolicy,
        name: "FullAWSAccess",
        description: "Allows access to every operation",
        content: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    },
    ByAws {
        type_: PolicyType::ResourceControlPolicy,
        name: "RCPFullAWSAccess",
        description: "Allows all access to every resource",
        content: r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}"#,
    },
];

/// Whether a policy is AWS's: it can be attached, and not be changed.
pub(super) fn is_by_aws(id: &PolicyId) -> bool {
    BY_AWS.iter().any(|by| id.as_str().strip_prefix("p-") == Some(by.name))
}

/// The policy of a type that allows everything, attached to nothing; none for declarative ones, which
/// allow nothing.
pub(crate) fn of_type(type_: PolicyType) -> Option<ControlPolicy> {
    let by = BY_AWS.iter().find(|by| by.type_ == type_)?;
    let id = format!("p-{}", by.name).parse().ok()?;
    Some(ControlPolicy {
        id,
        name: by.name.parse().ok()?,
        description: by.description.parse().ok(),
        type_,
        content: PolicyDocument::new(by.content),
        targets: BTreeSet::new(),
        tags: BTreeMap::new(),
    })
}

/// Attaches the policy of a type to targets.
pub(super) fn attach(
    snapshot: &Snapshot,
    type_: PolicyType,
    targets: impl IntoIterator<Item = Target>,
) -> Option<Change> {
    let mut policy = of_type(type_)?;
    if let Some(kept) = snapshot.control_policy(&policy.id) {
        policy = (**kept).clone();
    }
    policy.targets.extend(targets);
    Some(put_policy(snapshot, policy))
}

/// Attaches to a new target the policies of all types that are enabled.
pub(super) fn welcome<'a>(
    snapshot: &'a Snapshot,
    organization: &'a Organization,
    target: &'a Target,
) -> impl Iterator<Item = Change> + 'a {
    let types = organization.policy_types.iter();
    types.filter_map(move |type_| attach(snapshot, *type_, [target.clone()]))
}

/// Detaches every policy from a target that is to be no more.
pub(super) fn forget(snapshot: &Snapshot, target: &Target) -> Vec<Change> {
    let attached = snapshot.control_policies().map(|(policy, _)| policy);
    let attached = attached.filter(|policy| policy.targets.contains(target));
    attached
        .map(|policy| {
            let mut policy = (**policy).clone();
            policy.targets.remove(target);
            put_policy(snapshot, policy)
        })
        .collect()
}

/// Every target of an organization.
pub(crate) fn targets(organization: &Organization) -> impl Iterator<Item = Target> {
    let units = organization.units.keys().cloned().map(Target::Unit);
    let accounts = organization.accounts.keys().copied().map(Target::Account);
    std::iter::once(Target::Root(organization.root_id.clone())).chain(units).chain(accounts)
}

#[cfg(test)]
mod tests {
    use policy::{DocumentKind, Policy};

    use super::*;

    #[test]
    fn all_can_be_read() {
        for (type_, kind) in [
            (PolicyType::ServiceControlPolicy, DocumentKind::ServiceControl),
            (PolicyType::ResourceControlPolicy, DocumentKind::ResourceControl),
        ] {
            let policy = of_type(type_).unwrap();
            assert!(is_by_aws(&policy.id));
            assert!(policy.description.is_some());
            Policy::compile(&policy.name, kind, policy.content.as_str()).unwrap();
        }
        assert!(of_type(PolicyType::DeclarativePolicyEc2).is_none());
    }
}
