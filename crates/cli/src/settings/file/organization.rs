//! The tables of the organization: `[organization]`, and `account`, `policy` and `unit` below it.

use std::collections::BTreeSet;

use control::start::{
    DescribedAccount, DescribedOrganization, DescribedPolicy, DescribedUnit, OrganizationTable,
};
use model::{AccountId, OrganizationId, PolicyType, RootId};
use policy::DocumentKind;
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::documents::Wanted;
use super::iam::first_account;
use super::{FileRefusal, Source, plain};

/// The lines in which an organization is described.
#[derive(Debug, Default)]
pub(super) struct OrganizationLines {
    head: usize,
    accounts: Vec<usize>,
    policies: Vec<usize>,
    units: Vec<usize>,
}

impl OrganizationLines {
    pub(super) fn of(&self, table: OrganizationTable) -> Option<usize> {
        match table {
            OrganizationTable::Head => Some(self.head),
            OrganizationTable::Account(place) => self.accounts.get(place).copied(),
            OrganizationTable::Policy(place) => self.policies.get(place).copied(),
            OrganizationTable::Unit(place) => self.units.get(place).copied(),
        }
    }
}

/// What stands in the table itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(default)]
    id: Option<OrganizationId>,
    #[serde(default)]
    root_id: Option<RootId>,
    #[serde(default = "first_account")]
    management_account_id: AccountId,
    #[serde(default)]
    policy_types: Option<BTreeSet<PolicyType>>,
}

impl<'t> Source<'t> {
    /// Reads the organization, with the lines of its tables.
    pub(super) fn organization(
        &self,
        value: Spanned<DeValue<'t>>,
    ) -> Result<(DescribedOrganization, OrganizationLines), FileRefusal> {
        let span = value.span();
        let DeValue::Table(mut table) = value.into_inner() else {
            let message = "write `organization` as an [organization] table";
            return Err(self.wrong(message.to_owned(), &span));
        };
        let mut lines = OrganizationLines { head: self.line(&span), ..Default::default() };
        let units = self.below(&mut table, "unit", &mut lines.units, |unit| {
            self.deserialize::<DescribedUnit>(whole(unit))
        })?;
        let accounts = self.below(&mut table, "account", &mut lines.accounts, |account| {
            self.deserialize::<DescribedAccount>(whole(account))
        })?;
        let policies = self.below(&mut table, "policy", &mut lines.policies, |policy| {
            self.control_policy(policy)
        })?;
        let head = Spanned::new(span, DeValue::Table(table));
        let head: Head = self.deserialize_beside(head, &["account", "policy", "unit"])?;
        let described = DescribedOrganization {
            id: head.id,
            root_id: head.root_id,
            management_account_id: head.management_account_id,
            policy_types: head.policy_types,
            units,
            accounts,
            policies,
        };
        Ok((described, lines))
    }

    /// Reads the tables of an array below the organization.
    fn below<T>(
        &self,
        table: &mut DeTable<'t>,
        key: &str,
        lines: &mut Vec<usize>,
        mut read: impl FnMut(Spanned<DeTable<'t>>) -> Result<T, FileRefusal>,
    ) -> Result<Vec<T>, FileRefusal> {
        let Some(value) = table.remove(key) else { return Ok(Vec::new()) };
        self.tables(&format!("organization.{key}"), value, |table| {
            lines.push(self.line(&table.span()));
            read(table)
        })
    }

    fn control_policy(&self, table: Spanned<DeTable<'t>>) -> Result<DescribedPolicy, FileRefusal> {
        let (span, mut table) = (table.span(), table.into_inner());
        let type_ = table.get("type").and_then(plain).and_then(|text| text.parse().ok());
        let wanted = match type_ {
            Some(PolicyType::ResourceControlPolicy) => {
                Some(Wanted::Policy(DocumentKind::ResourceControl))
            }
            Some(PolicyType::ServiceControlPolicy) => {
                Some(Wanted::Policy(DocumentKind::ServiceControl))
            }
            Some(PolicyType::DeclarativePolicyEc2) => Some(Wanted::Object),
            // Told when the type is read.
            None => table.remove("content").and(None),
        };
        if let Some(wanted) = wanted {
            self.include_document_of(&mut table, "content", wanted)?;
        }
        self.deserialize(Spanned::new(span, DeValue::Table(table)))
    }
}

fn whole(table: Spanned<DeTable<'_>>) -> Spanned<DeValue<'_>> {
    Spanned::new(table.span(), DeValue::Table(table.into_inner()))
}
