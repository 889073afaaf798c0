//! The policies that are in force for a caller.

use std::sync::LazyLock;

use model::{AccountId, Permissions, PolicyArn, PolicyType};
use policy::{DocumentKind, Guardrail, Layers, Level, Policy, ResourcePolicies};
use store::Snapshot;

use crate::caller::{Caller, Principal};
use crate::iam::aws_managed;

/// The services whose resources resource control policies are about; EC2's are not (control plane,
/// 5.6).
const RESOURCE_CONTROLLED: [&str; 1] = ["sts:"];

/// Stands in for a managed policy that is attached and not there: it cannot be read, so it denies.
static MISSING: LazyLock<Policy> = LazyLock::new(|| {
    Policy::compile_or_deny(
        "a group or a managed policy that is not there",
        DocumentKind::Managed,
        "",
    )
});

/// Everything that is in force for a caller, whatever it asks for.
#[derive(Debug)]
pub(crate) struct InForce<'s> {
    identity: Vec<&'s Policy>,
    boundary: Option<&'s Policy>,
    session: Option<SessionPolicies<'s>>,
    service_control: Control<'s>,
}

/// Policies that a session was begun with.
#[derive(Debug)]
struct SessionPolicies<'s> {
    document: Option<Policy>,
    managed: Vec<&'s Policy>,
}

/// The control policies of one type on the way to an account.
#[derive(Debug)]
pub(crate) enum Control<'s> {
    Levels(Vec<(String, Vec<&'s Policy>)>),
    ManagementAccount,
    NotInForce,
}

impl<'s> InForce<'s> {
    /// Gathers what is in force for a caller.
    pub(crate) fn of(snapshot: &'s Snapshot, caller: &Caller) -> Self {
        let service_control =
            Control::of(snapshot, caller.account_id, PolicyType::ServiceControlPolicy);
        let mut this =
            Self { identity: Vec::new(), boundary: None, session: None, service_control };
        match &caller.principal {
            Principal::Instance(_) => {}
            Principal::Role(role, session) => {
                this.take(snapshot, &role.permissions);
                this.identity.extend(snapshot.inline_policies(&role.key()));
                let policies = &session.policies;
                let document = policies.document.as_deref().map(|text| {
                    Policy::compile_or_deny("session policy", DocumentKind::Session, text)
                });
                let managed: Vec<_> = policies
                    .arns
                    .iter()
                    .map(|arn| arn.parse().map_or(&*MISSING, |arn| managed(snapshot, &arn)))
                    .collect();
                let is_bounded = document.is_some() || !managed.is_empty();
                this.session = is_bounded.then_some(SessionPolicies { document, managed });
            }
            Principal::User(user) => {
                this.take(snapshot, &user.permissions);
                this.identity.extend(snapshot.inline_policies(&user.key()));
                for name in &user.groups {
                    // What a group that is gone would have denied, nobody knows.
                    let Some(group) = snapshot.group(user.account_id, name) else {
                        this.identity.push(&MISSING);
                        continue;
                    };
                    let attached = group.permissions.attached.iter();
                    this.identity.extend(attached.map(|arn| managed(snapshot, arn)));
                    this.identity.extend(snapshot.inline_policies(&group.key()));
                }
            }
        }
        this
    }

    fn take(&mut self, snapshot: &'s Snapshot, permissions: &Permissions) {
        let attached = permissions.attached.iter().map(|arn| managed(snapshot, arn));
        self.identity.extend(attached);
        self.boundary = permissions.boundary.as_ref().map(|arn| managed(snapshot, arn));
    }

    /// Calls `decide` with everything in its layers. `decisive` is the policy of the resource, if it
    /// has one that must allow.
    pub(crate) fn with<T>(
        &self,
        resource_control: &Control<'_>,
        decisive: Option<&Policy>,
        decide: impl FnOnce(&Layers<'_>) -> T,
    ) -> T {
        let session: Option<Vec<&Policy>> = self.session.as_ref().map(|session| {
            session.document.iter().chain(session.managed.iter().copied()).collect()
        });
        let resource = decisive.map_or(ResourcePolicies::None, ResourcePolicies::Decisive);
        let (service_levels, resource_levels) =
            (self.service_control.levels(), resource_control.levels());
        decide(&Layers {
            resource_control: resource_control.guardrail(&resource_levels),
            service_control: self.service_control.guardrail(&service_levels),
            resource,
            identity: &self.identity,
            boundary: self.boundary,
            session: session.as_deref(),
        })
    }
}

/// Finds a managed policy, an account's or AWS's.
fn managed<'s>(snapshot: &'s Snapshot, arn: &PolicyArn) -> &'s Policy {
    match arn.account_id() {
        Some(_) => snapshot.policy_in_force(arn),
        None => aws_managed::find(arn),
    }
    .unwrap_or(&MISSING)
}

impl<'s> Control<'s> {
    /// The resource control policies that an action on a resource of an account is held against.
    pub(crate) fn of_resources(
        snapshot: &'s Snapshot,
        action: &str,
        account_id: AccountId,
    ) -> Self {
        let action = action.to_ascii_lowercase();
        if RESOURCE_CONTROLLED.iter().any(|prefix| action.starts_with(prefix)) {
            Self::of(snapshot, account_id, PolicyType::ResourceControlPolicy)
        } else {
            Self::NotInForce
        }
    }

    /// The control policies of a type on the way to an account.
    pub(crate) fn of(snapshot: &'s Snapshot, account_id: AccountId, type_: PolicyType) -> Self {
        let Some(organization) = snapshot.organization() else { return Self::NotInForce };
        let way = organization.way_to(account_id);
        if way.is_empty() || !organization.policy_types.contains(&type_) {
            return Self::NotInForce;
        }
        if organization.management_account_id == account_id {
            return Self::ManagementAccount;
        }
        let level = |target: &model::Target| {
            let policies = snapshot.policies_attached_to(target, type_).collect();
            (target.to_string(), policies)
        };
        Self::Levels(way.iter().map(level).collect())
    }

    fn levels(&self) -> Vec<Level<'_>> {
        match self {
            Self::Levels(levels) => {
                levels.iter().map(|(name, policies)| Level { name, policies }).collect()
            }
            Self::ManagementAccount | Self::NotInForce => Vec::new(),
        }
    }

    fn guardrail<'l>(&self, levels: &'l [Level<'l>]) -> Guardrail<'l> {
        match self {
            Self::Levels(_) => Guardrail::Levels(levels),
            Self::ManagementAccount => Guardrail::ManagementAccount,
            Self::NotInForce => Guardrail::NotInForce,
        }
    }
}
