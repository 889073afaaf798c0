//! The accounts of the organization, and where they are in it.

use model::{AccountId, Member, Organization, Target};
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::arns::Arns;
use super::full_access;
use super::pages::{listing, page};
use super::standing::{Parent, ask_on, managed, put};
use crate::action::{Action, Desk};
use crate::api::xml::Time;
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Shows an account.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeAccount {
    account_id: AccountId,
}

/// Puts an account into another unit, or into the root.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the members of the request")]
pub(crate) struct MoveAccount {
    account_id: AccountId,
    source_parent_id: Target,
    destination_parent_id: Target,
}

/// Takes an account out of the organization. It stays, with all that it has.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RemoveAccountFromOrganization {
    account_id: AccountId,
}

listing! {
    /// Lists the accounts.
    ListAccounts {}
}

listing! {
    /// Lists the accounts of a parent, not those of units in it.
    ListAccountsForParent { parent_id: Target }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountAnswer {
    account: AccountMember,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountsAnswer {
    accounts: Vec<AccountMember>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AccountMember {
    id: String,
    arn: String,
    email: String,
    name: String,
    status: &'static str,
    state: &'static str,
    joined_method: &'static str,
    joined_timestamp: Time,
}

impl AccountMember {
    fn new(desk: &Desk<'_>, organization: &Organization, id: AccountId, member: &Member) -> Self {
        let is_management = organization.management_account_id == id;
        Self {
            id: id.to_string(),
            arn: Arns::new(desk, organization).account(id),
            email: member.email.to_string(),
            name: member.name.to_string(),
            status: "ACTIVE",
            state: "ACTIVE",
            // AWS: the management account counts as invited.
            joined_method: if is_management { "INVITED" } else { "CREATED" },
            joined_timestamp: Time(member.joined),
        }
    }
}

impl Action for DescribeAccount {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on(desk, snapshot, &Target::Account(self.account_id))])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let member = organization.accounts.get(&self.account_id);
        let member = member.ok_or_else(ApiFault::account_not_found)?;
        let account = AccountMember::new(desk, organization, self.account_id, member);
        Ok(Answer::of(AccountAnswer { account }))
    }
}

impl Action for ListAccounts {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let accounts = organization.accounts.iter();
        let accounts = accounts
            .map(|(id, member)| (*id, AccountMember::new(desk, organization, *id, member)));
        let page = page(self.turn(), accounts)?;
        Ok(Answer::of(AccountsAnswer { accounts: page.items, next_token: page.next_token }))
    }
}

impl Action for ListAccountsForParent {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on(desk, snapshot, &self.parent_id)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let parent = Parent::of_target(organization, &self.parent_id);
        let parent = parent.ok_or_else(ApiFault::parent_not_found)?;
        let accounts = parent.accounts(organization);
        let accounts = accounts
            .map(|(id, member)| (*id, AccountMember::new(desk, organization, *id, member)));
        let page = page(self.turn(), accounts)?;
        Ok(Answer::of(AccountsAnswer { accounts: page.items, next_token: page.next_token }))
    }
}

impl Action for MoveAccount {
    /// AWS: all three are asked for.
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let account = Target::Account(self.account_id);
        let targets = [&account, &self.source_parent_id, &self.destination_parent_id];
        Ok(targets.into_iter().map(|target| ask_on(desk, snapshot, target)).collect())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        desk.transact(|snapshot| {
            let mut organization = (**managed(desk, snapshot)?).clone();
            let source = Parent::of_target(&organization, &self.source_parent_id);
            let source = source.ok_or_else(ApiFault::source_not_found)?;
            let destination = Parent::of_target(&organization, &self.destination_parent_id);
            let destination = destination.ok_or_else(ApiFault::destination_not_found)?;
            let member = organization.accounts.get_mut(&self.account_id);
            let member = member.ok_or_else(ApiFault::account_not_found)?;
            if member.parent == destination.0 {
                return Err(ApiFault::duplicate_account());
            }
            if member.parent != source.0 {
                return Err(ApiFault::source_not_found());
            }
            member.parent = destination.0;
            Ok((vec![put(snapshot, organization)], ()))
        })?;
        Ok(Answer::done())
    }
}

impl Action for RemoveAccountFromOrganization {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on(desk, snapshot, &Target::Account(self.account_id))])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        desk.transact(|snapshot| {
            let mut organization = (**managed(desk, snapshot)?).clone();
            if organization.management_account_id == self.account_id {
                return Err(ApiFault::management_account_stays());
            }
            if organization.accounts.remove(&self.account_id).is_none() {
                return Err(ApiFault::account_not_found());
            }
            let mut changes = full_access::forget(snapshot, &Target::Account(self.account_id));
            changes.push(put(snapshot, organization));
            Ok((changes, ()))
        })?;
        Ok(Answer::done())
    }
}
