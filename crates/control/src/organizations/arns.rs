//! The ARNs of an organization and what is in it.

use model::{AccountId, Organization, OrganizationalUnitId, PolicyId, PolicyType, Target};

use super::full_access;
use crate::action::Desk;

/// Writes the ARNs of an organization: all are of its management account.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arns<'o> {
    partition: &'static str,
    organization: &'o Organization,
}

impl<'o> Arns<'o> {
    pub(super) fn new(desk: &Desk<'_>, organization: &'o Organization) -> Self {
        Self { partition: desk.caller.partition, organization }
    }

    fn of(&self, what: &str, rest: &str) -> String {
        let Self { partition, organization } = self;
        let (account, id) = (organization.management_account_id, &organization.id);
        format!("arn:{partition}:organizations::{account}:{what}/{id}{rest}")
    }

    pub(super) fn organization(&self) -> String {
        self.of("organization", "")
    }

    pub(super) fn root(&self) -> String {
        self.of("root", &format!("/{}", self.organization.root_id))
    }

    pub(super) fn unit(&self, id: &OrganizationalUnitId) -> String {
        self.of("ou", &format!("/{id}"))
    }

    pub(super) fn account(&self, id: AccountId) -> String {
        self.of("account", &format!("/{id}"))
    }

    pub(super) fn target(&self, target: &Target) -> String {
        match target {
            Target::Account(id) => self.account(*id),
            Target::Root(_) => self.root(),
            Target::Unit(id) => self.unit(id),
        }
    }

    pub(super) fn policy(&self, type_: PolicyType, id: &PolicyId) -> String {
        let kind = type_.as_str().to_ascii_lowercase();
        if full_access::is_by_aws(id) {
            return format!("arn:{}:organizations::aws:policy/{kind}/{id}", self.partition);
        }
        self.of("policy", &format!("/{kind}/{id}"))
    }
}
