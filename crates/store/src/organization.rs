//! The organization, with every policy compiled once, when it is kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{AccountId, ControlPolicy, Organization, PolicyId, PolicyType, Target};
use policy::{DocumentKind, Policy};

use crate::Snapshot;
use crate::snapshot::Origin;

/// The organization and its policies.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrganizationStore {
    organization: Option<(Arc<Organization>, Origin)>,
    /// There are few, and they change rarely: a change copies pointers to all.
    policies: Arc<BTreeMap<PolicyId, Held>>,
}

#[derive(Clone, Debug)]
struct Held {
    kept: Arc<ControlPolicy>,
    origin: Origin,
    /// None for types that no request is held against.
    compiled: Option<Arc<Policy>>,
}

impl OrganizationStore {
    pub(crate) fn put(&mut self, organization: Option<(Arc<Organization>, Origin)>) {
        self.organization = organization;
    }

    pub(crate) fn put_policy(&mut self, kept: Arc<ControlPolicy>, origin: Origin) {
        let kind = match kept.type_ {
            PolicyType::DeclarativePolicyEc2 => None,
            PolicyType::ResourceControlPolicy => Some(DocumentKind::ResourceControl),
            PolicyType::ServiceControlPolicy => Some(DocumentKind::ServiceControl),
        };
        let compile =
            |kind| Arc::new(Policy::compile_or_deny(&kept.name, kind, kept.content.as_str()));
        let compiled = kind.map(compile);
        Arc::make_mut(&mut self.policies).insert(kept.id.clone(), Held { kept, origin, compiled });
    }

    pub(crate) fn delete_policy(&mut self, id: &PolicyId) {
        Arc::make_mut(&mut self.policies).remove(id);
    }
}

impl Snapshot {
    /// Returns the organization.
    pub fn organization(&self) -> Option<&Arc<Organization>> {
        self.organization.organization.as_ref().map(|(organization, _)| organization)
    }

    /// Returns where the organization was described.
    pub fn organization_origin(&self) -> Option<Origin> {
        self.organization.organization.as_ref().map(|(_, origin)| *origin)
    }

    /// Finds a policy of the organization.
    pub fn control_policy(&self, id: &PolicyId) -> Option<&Arc<ControlPolicy>> {
        self.organization.policies.get(id).map(|held| &held.kept)
    }

    /// Returns the policies of the organization, by id, and where each was described.
    pub fn control_policies(&self) -> impl Iterator<Item = (&Arc<ControlPolicy>, Origin)> {
        self.organization.policies.values().map(|held| (&held.kept, held.origin))
    }

    /// Returns the compiled policies of a type, other than declarative ones, that are attached to a
    /// target, by id.
    pub fn policies_attached_to(
        &self,
        target: &Target,
        type_: PolicyType,
    ) -> impl Iterator<Item = &Policy> {
        let of_type = self.organization.policies.values();
        of_type
            .filter(move |held| held.kept.type_ == type_ && held.kept.targets.contains(target))
            .filter_map(|held| held.compiled.as_deref())
    }

    /// Returns whether an account is the management account of the organization.
    pub fn is_management_account(&self, account_id: AccountId) -> bool {
        self.organization().is_some_and(|of| of.management_account_id == account_id)
    }
}
