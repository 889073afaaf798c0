//! Requests for accounts. An account is there at once, with a role that the management account assumes.

use std::collections::BTreeSet;

use model::{
    AccountId, AccountRequest, AccountRequestId, CredentialSource, Iam, Line, Member, Organization,
    PolicyDocument, Role, RoleName, Target,
};
use serde::{Deserialize, Serialize};
use store::{Change, Origin, Snapshot};

use super::pages::{listing, page};
use super::standing::{TagMember, Tags, managed, put, set_tags, with_requested_tags};
use super::{full_access, ids};
use crate::action::{Action, Desk};
use crate::api::xml::Time;
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// LIMIT: accounts of an organization. AWS begins with ten, and gives more on request.
const ACCOUNTS_MAX: usize = 1000;

/// LIMIT: how many requests are remembered: the newest. AWS remembers those of 90 days.
const REQUESTS_MAX: usize = 2000;

/// LIMIT: the length of an account's name, as AWS documents it.
const NAME_CHARACTERS_MAX: usize = 50;

/// LIMIT: the length of an electronic mail address, as AWS documents it.
const EMAIL_BYTES: std::ops::RangeInclusive<usize> = 6..=64;

/// Makes an account.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateAccount {
    email: Line,
    account_name: Line,
    role_name: Option<RoleName>,
    #[expect(dead_code, reason = "read for its words: nothing here bills")]
    iam_user_access_to_billing: Option<Billing>,
    #[serde(default)]
    tags: Vec<TagMember>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Billing {
    Allow,
    Deny,
}

/// Shows what a request came to.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DescribeCreateAccountStatus {
    create_account_request_id: AccountRequestId,
}

listing! {
    /// Lists what requests came to.
    ListCreateAccountStatus { states: Option<Vec<String>> }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct StatusAnswer {
    create_account_status: Status,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListCreateAccountStatusAnswer {
    create_account_statuses: Vec<Status>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    id: String,
    account_name: String,
    state: &'static str,
    requested_timestamp: Time,
    completed_timestamp: Time,
    account_id: Option<String>,
    failure_reason: Option<&'static str>,
}

impl Status {
    fn new(id: &AccountRequestId, request: &AccountRequest) -> Self {
        let is_done = request.account_id.is_some();
        Self {
            id: id.to_string(),
            account_name: request.name.to_string(),
            state: state(request),
            requested_timestamp: Time(request.requested),
            completed_timestamp: Time(request.requested),
            account_id: request.account_id.map(|id| id.to_string()),
            failure_reason: (!is_done).then_some("EMAIL_ALREADY_EXISTS"),
        }
    }
}

const fn state(request: &AccountRequest) -> &'static str {
    if request.account_id.is_some() { "SUCCEEDED" } else { "FAILED" }
}

impl Action for CreateAccount {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![with_requested_tags(Ask::on("*".to_owned()), &self.tags)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        if self.account_name.chars().count() > NAME_CHARACTERS_MAX {
            let text = "the name of an account has at most 50 characters";
            return Err(ApiFault::invalid_input_exception("MAX_LENGTH_EXCEEDED", text));
        }
        check_email(&self.email)?;
        let status = desk.transact(|snapshot| self.plan(desk, snapshot))?;
        Ok(Answer::of(StatusAnswer { create_account_status: status }))
    }
}

/// Sees that a text is a name, `@`, and a domain with a dot in it.
fn check_email(email: &Line) -> Result<(), ApiFault> {
    let parts = email.split_once('@');
    let is_email = parts.is_some_and(|(name, domain)| {
        let dotted = domain.split_once('.');
        !name.is_empty()
            && !domain.contains('@')
            && dotted.is_some_and(|(first, rest)| !first.is_empty() && !rest.is_empty())
    });
    let is_plain = email.bytes().all(|byte| byte.is_ascii_graphic());
    if is_email && is_plain && EMAIL_BYTES.contains(&email.len()) {
        return Ok(());
    }
    let text = "use an electronic mail address of 6 to 64 characters";
    Err(ApiFault::invalid_input_exception("INVALID_EMAIL_ADDRESS_TARGET", text))
}

impl CreateAccount {
    /// Plans the account, and the role in it. AWS: a request whose address is taken is one that failed.
    fn plan(self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<(Vec<Change>, Status), ApiFault> {
        let mut organization = (**managed(desk, snapshot)?).clone();
        // One that was removed from the organization has what was made in it, and counts.
        let known: BTreeSet<_> = snapshot.iam().map(|(kept, _)| kept.key().account_id).collect();
        if organization.accounts.len().max(known.len()) >= ACCOUNTS_MAX {
            let text = "The organization has as many accounts as it may have.";
            return Err(ApiFault::constraint_violation("ACCOUNT_NUMBER_LIMIT_EXCEEDED", text));
        }
        let mut tags = Tags::new();
        set_tags(&mut tags, &self.tags)?;
        let mut changes = Vec::new();
        let is_same = |member: &Member| member.email.eq_ignore_ascii_case(&self.email);
        let mut account_id = None;
        if !organization.accounts.values().any(is_same) {
            let id = ids::draw_account(desk, snapshot)?;
            account_id = Some(id);
            let (name, email) = (self.account_name.clone(), self.email);
            let (joined, described) = (desk.now, false);
            let member = Member { name, email, parent: None, joined, tags, described };
            organization.accounts.insert(id, member);
            let target = Target::Account(id);
            changes.extend(full_access::welcome(snapshot, &organization, &target));
            let role = role(desk, &organization, id, self.role_name)?;
            changes.push(Change::PutIam(Iam::from(role), Origin::Api));
        }
        let request =
            AccountRequest { name: self.account_name, requested: desk.now, account_id };
        let is_used = |id: &AccountRequestId| organization.account_requests.contains_key(id);
        let id = ids::draw(desk, "car-", 24, is_used)?;
        let status = Status::new(&id, &request);
        forget_the_oldest(&mut organization);
        organization.account_requests.insert(id, request);
        changes.push(put(snapshot, organization));
        Ok((changes, status))
    }
}

fn forget_the_oldest(organization: &mut Organization) {
    while organization.account_requests.len() >= REQUESTS_MAX {
        let all = organization.account_requests.iter();
        let oldest = all.min_by_key(|(_, request)| request.requested);
        let Some(id) = oldest.map(|(id, _)| id.clone()) else { return };
        organization.account_requests.remove(&id);
    }
}

/// The role that makes the management account the administrator of a new account.
fn role(
    desk: &Desk<'_>,
    organization: &Organization,
    account_id: AccountId,
    name: Option<RoleName>,
) -> Result<Role, ApiFault> {
    let partition = desk.caller.partition;
    let default = || "OrganizationAccountAccessRole".parse().map_err(|_| ApiFault::internal());
    let name = name.map_or_else(default, Ok)?;
    let mut role = Role::described(name, CredentialSource::BuiltIn { life_seconds: None });
    role.account_id = account_id;
    role.created = desk.now;
    role.assume_role_policy_document = PolicyDocument::new(&format!(
        "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":\
         {{\"AWS\":\"arn:{partition}:iam::{}:root\"}},\"Action\":\"sts:AssumeRole\"}}]}}",
        organization.management_account_id
    ));
    let administrator = format!("arn:{partition}:iam::aws:policy/AdministratorAccess");
    let administrator = administrator.parse().map_err(|_| ApiFault::internal())?;
    role.permissions.attached = BTreeSet::from([administrator]);
    Ok(role)
}

impl Action for DescribeCreateAccountStatus {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let id = self.create_account_request_id;
        let request = organization.account_requests.get(&id);
        let request = request.ok_or_else(ApiFault::account_request_not_found)?;
        Ok(Answer::of(StatusAnswer { create_account_status: Status::new(&id, request) }))
    }
}

impl Action for ListCreateAccountStatus {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        const STATES: [&str; 3] = ["FAILED", "IN_PROGRESS", "SUCCEEDED"];
        let states = self.states.as_deref().unwrap_or_default();
        if !states.iter().all(|word| STATES.contains(&word.as_str())) {
            let text = "the state of a request is IN_PROGRESS, SUCCEEDED or FAILED";
            return Err(ApiFault::invalid_input_exception("INVALID_ENUM", text));
        }
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let is_meant = |request: &AccountRequest| {
            states.is_empty() || states.iter().any(|word| word == state(request))
        };
        let requests = organization.account_requests.iter();
        let requests = requests
            .filter(|(_, request)| is_meant(request))
            .map(|(id, request)| (id.to_string(), Status::new(id, request)));
        let page = page(self.turn(), requests)?;
        Ok(Answer::of(ListCreateAccountStatusAnswer {
            create_account_statuses: page.items,
            next_token: page.next_token,
        }))
    }
}
