//! The organization as its API shows it, and what its policies come to.

mod declared;
mod guardrails;
mod whole;

use model::{AccountId, User};
use serde_json::{Value, json};

use super::ACTIONS;
use crate::ec2::site::{Site, administrator_of};

/// A site whose account manages an organization.
pub(super) struct Managed {
    pub(super) site: Site,
    pub(super) root: String,
}

impl Managed {
    pub(super) fn new() -> Self {
        let site = Site::new();
        let this = Self { site, root: String::new() };
        this.ask("CreateOrganization", &json!({"FeatureSet": "ALL"}));
        let root = text(&this.ask("ListRoots", &json!({}))["Roots"][0]["Id"]);
        Self { root, ..this }
    }

    /// Asks as the administrator of the management account.
    pub(super) fn try_ask(&self, action: &str, request: &Value) -> Result<Value, (String, String)> {
        self.ask_as(self.site.administrator(), action, request)
    }

    pub(super) fn ask_as(
        &self,
        user: User,
        action: &str,
        request: &Value,
    ) -> Result<Value, (String, String)> {
        let answer = self.site.organizations(user, action, request);
        answer
            .map_err(|fault| (fault.code.into_owned(), fault.reason.unwrap_or_default().to_owned()))
    }

    pub(super) fn ask(&self, action: &str, request: &Value) -> Value {
        self.try_ask(action, request).unwrap_or_else(|fault| panic!("{action}: {fault:?}"))
    }

    /// The code of what is refused, and its reason behind a slash if it has one.
    pub(super) fn refusal(&self, action: &str, request: &Value) -> String {
        let (code, reason) = self.try_ask(action, request).unwrap_err();
        if reason.is_empty() { code } else { format!("{code}/{reason}") }
    }

    pub(super) fn unit(&self, parent: &str, name: &str) -> String {
        let made = self.ask("CreateOrganizationalUnit", &json!({"ParentId": parent, "Name": name}));
        text(&made["OrganizationalUnit"]["Id"])
    }

    pub(super) fn account(&self, name: &str, parent: &str) -> AccountId {
        let email = format!("{name}@example.org");
        let made = self.ask("CreateAccount", &json!({"AccountName": name, "Email": email}));
        let id = text(&made["CreateAccountStatus"]["AccountId"]);
        if parent != self.root {
            let source = &self.root;
            self.ask(
                "MoveAccount",
                &json!({"AccountId": id, "SourceParentId": source, "DestinationParentId": parent}),
            );
        }
        id.parse().unwrap()
    }

    pub(super) fn policy(&self, type_: &str, name: &str, content: &Value) -> String {
        let request = json!({"Type": type_, "Name": name, "Description": "",
            "Content": content.to_string()});
        text(&self.ask("CreatePolicy", &request)["Policy"]["PolicySummary"]["Id"])
    }

    pub(super) fn attach(&self, policy: &str, target: &str) {
        self.ask("AttachPolicy", &json!({"PolicyId": policy, "TargetId": target}));
    }

    pub(super) fn detach(&self, policy: &str, target: &str) {
        self.ask("DetachPolicy", &json!({"PolicyId": policy, "TargetId": target}));
    }

    /// What an administrator of an account is told by EC2: `allowed`, or a message.
    pub(super) fn ec2(&self, account_id: AccountId, form: &str) -> String {
        match self.site.ask_as(administrator_of(account_id), form) {
            Ok(_) => "allowed".to_owned(),
            Err(fault) if fault.code == "DryRunOperation" => "allowed".to_owned(),
            Err(fault) => fault.message,
        }
    }
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

const SCP: &str = "SERVICE_CONTROL_POLICY";

#[test]
fn there_is_none_until_it_is_made() {
    let site = Site::new();
    let managed = Managed { site, root: String::new() };
    assert_eq!(
        managed.refusal("DescribeOrganization", &json!({})),
        "AWSOrganizationsNotInUseException"
    );
    let bad = json!({"FeatureSet": "CONSOLIDATED_BILLING"});
    assert_eq!(managed.refusal("CreateOrganization", &bad), "InvalidInputException/INVALID_ENUM");
    let made = managed.ask("CreateOrganization", &json!({}));
    assert_eq!(made, managed.ask("DescribeOrganization", &json!({})));
    let id = text(&made["Organization"]["Id"]);
    assert_eq!(
        made["Organization"]["MasterAccountArn"],
        json!(format!("arn:aws:organizations::123456789012:account/{id}/123456789012"))
    );
    assert_eq!(made["Organization"]["AvailablePolicyTypes"][0]["Type"], SCP);
    assert_eq!(managed.refusal("CreateOrganization", &json!({})), "AlreadyInOrganizationException");
    let stranger = administrator_of("999999999999".parse().unwrap());
    let fault = managed.ask_as(stranger.clone(), "DescribeOrganization", &json!({}));
    assert_eq!(fault.unwrap_err().0, "AWSOrganizationsNotInUseException");
    let fault = managed.ask_as(stranger, "CreateOrganization", &json!({}));
    assert_eq!(fault.unwrap_err().0, "ConstraintViolationException");
    managed.ask("DeleteOrganization", &json!({}));
    assert_eq!(managed.site.store.snapshot().control_policies().count(), 0);
    assert_eq!(managed.refusal("ListRoots", &json!({})), "AWSOrganizationsNotInUseException");
}

#[test]
fn an_account_is_there_at_once_with_a_role_for_the_management_account() {
    let managed = Managed::new();
    let request = json!({"AccountName": "work", "Email": "work@example.org",
        "IamUserAccessToBilling": "ALLOW", "Tags": [{"Key": "team", "Value": "a"}]});
    let status = managed.ask("CreateAccount", &request)["CreateAccountStatus"].clone();
    assert_eq!(status["State"], "SUCCEEDED");
    assert!(status["RequestedTimestamp"].is_number());
    let id = text(&status["AccountId"]);
    let described = managed
        .ask("DescribeCreateAccountStatus", &json!({"CreateAccountRequestId": status["Id"]}));
    assert_eq!(described["CreateAccountStatus"], status);
    let account = managed.ask("DescribeAccount", &json!({"AccountId": id}))["Account"].clone();
    assert_eq!((&account["Name"], &account["Status"]), (&json!("work"), &json!("ACTIVE")));
    let tags = managed.ask("ListTagsForResource", &json!({"ResourceId": id}));
    assert_eq!(tags["Tags"], json!([{"Key": "team", "Value": "a"}]));

    let snapshot = managed.site.store.snapshot();
    let name = "OrganizationAccountAccessRole".parse().unwrap();
    let role = snapshot.role(id.parse().unwrap(), &name).unwrap();
    let trust = role.assume_role_policy_document.as_str();
    assert!(trust.contains(r#""AWS":"arn:aws:iam::123456789012:root""#), "{trust}");
    assert_eq!(snapshot.trust_policy(&role.key()).unwrap().refusal(), None);
    let attached: Vec<_> = role.permissions.attached.iter().map(ToString::to_string).collect();
    assert_eq!(attached, ["arn:aws:iam::aws:policy/AdministratorAccess"]);

    let again = json!({"AccountName": "again", "Email": "WORK@example.org"});
    let failed = managed.ask("CreateAccount", &again)["CreateAccountStatus"].clone();
    assert_eq!(failed["State"], "FAILED");
    assert_eq!(failed["FailureReason"], "EMAIL_ALREADY_EXISTS");
    let list = managed.ask("ListCreateAccountStatus", &json!({"States": ["FAILED"]}));
    assert_eq!(list["CreateAccountStatuses"], json!([failed]));
    for (email, reason) in [
        ("work", "INVALID_EMAIL_ADDRESS_TARGET"),
        ("a@b@c.d", "INVALID_EMAIL_ADDRESS_TARGET"),
        ("a@bcdefg", "INVALID_EMAIL_ADDRESS_TARGET"),
        ("", "INVALID_PATTERN"),
    ] {
        let request = json!({"AccountName": "bad", "Email": email});
        let expected = format!("InvalidInputException/{reason}");
        assert_eq!(managed.refusal("CreateAccount", &request), expected, "{email}");
    }
    let missing = managed.refusal("CreateAccount", &json!({"Email": "a@example.org"}));
    assert_eq!(missing, "InvalidInputException/INPUT_REQUIRED");
}

/// Whoever is of another member account may see the organization, and nothing else.
#[test]
fn members_see_the_organization_alone() {
    let managed = Managed::new();
    let member = managed.account("work", &managed.root.clone());
    let unit = managed.unit(&managed.root, "unit");
    for action in ACTIONS {
        let request = match *action {
            "DescribeOrganization" => {
                managed.ask_as(administrator_of(member), action, &json!({})).unwrap();
                continue;
            }
            "CreateOrganization" => {
                let fault = managed.ask_as(administrator_of(member), action, &json!({}));
                assert_eq!(fault.unwrap_err().0, "AlreadyInOrganizationException");
                continue;
            }
            "AttachPolicy" | "DetachPolicy" => {
                json!({"PolicyId": "p-FullAWSAccess", "TargetId": unit})
            }
            "CreateAccount" => json!({"AccountName": "x", "Email": "x@example.org"}),
            "CreateOrganizationalUnit" => json!({"ParentId": unit, "Name": "x"}),
            "CreatePolicy" => json!({"Name": "x", "Description": "", "Type": SCP, "Content": "{}"}),
            "DescribeAccount" | "RemoveAccountFromOrganization" => json!({"AccountId": member}),
            "DescribeCreateAccountStatus" => json!({"CreateAccountRequestId": "car-12345678"}),
            "DescribeEffectivePolicy" => {
                json!({"PolicyType": "DECLARATIVE_POLICY_EC2", "TargetId": "123456789012"})
            }
            "DisablePolicyType" | "EnablePolicyType" => {
                json!({"RootId": managed.root, "PolicyType": SCP})
            }
            "DeleteOrganizationalUnit"
            | "DescribeOrganizationalUnit"
            | "UpdateOrganizationalUnit" => json!({"OrganizationalUnitId": unit}),
            "DeletePolicy" | "DescribePolicy" | "ListTargetsForPolicy" | "UpdatePolicy" => {
                json!({"PolicyId": "p-FullAWSAccess"})
            }
            "ListAccountsForParent" | "ListOrganizationalUnitsForParent" => {
                json!({"ParentId": unit})
            }
            "ListChildren" => json!({"ParentId": unit, "ChildType": "ACCOUNT"}),
            "ListParents" => json!({"ChildId": unit}),
            "ListPolicies" => json!({"Filter": SCP}),
            "ListPoliciesForTarget" => json!({"TargetId": unit, "Filter": SCP}),
            "ListTagsForResource" => json!({"ResourceId": unit}),
            "MoveAccount" => json!({"AccountId": member, "SourceParentId": managed.root,
                "DestinationParentId": unit}),
            "TagResource" => json!({"ResourceId": unit, "Tags": []}),
            "UntagResource" => json!({"ResourceId": unit, "TagKeys": []}),
            _ => json!({}),
        };
        let fault = managed.ask_as(administrator_of(member), action, &request).unwrap_err();
        assert_eq!(fault.0, "AccessDeniedException", "{action}");
        // Whoever has no permissions may not even ask.
        let mut nobody = administrator_of(managed.site.scope.account_id);
        nobody.permissions.attached.clear();
        let fault = managed.ask_as(nobody, action, &request).unwrap_err();
        assert_eq!(fault.0, "AccessDeniedException", "{action}");
    }
}

#[test]
fn pages_have_everything_once() {
    let managed = Managed::new();
    let mut units: Vec<_> =
        (0..7).map(|at| managed.unit(&managed.root, &format!("unit {at}"))).collect();
    units.sort();
    let (mut seen, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut request = json!({"ParentId": managed.root, "MaxResults": 3});
        if !token.is_null() {
            request["NextToken"] = token;
        }
        let page = managed.ask("ListOrganizationalUnitsForParent", &request);
        let listed = page["OrganizationalUnits"].as_array().unwrap().clone();
        assert!((1..=3).contains(&listed.len()));
        seen.extend(listed.iter().map(|unit| text(&unit["Id"])));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, units);
    for (request, reason) in [
        (json!({"MaxResults": 0}), "MIN_VALUE_EXCEEDED"),
        (json!({"MaxResults": 21}), "MAX_VALUE_EXCEEDED"),
        (json!({"NextToken": "x"}), "INVALID_NEXT_TOKEN"),
        (json!({"Nonsense": "x"}), "INVALID_PATTERN"),
    ] {
        let refusal = managed.refusal("ListAccounts", &request);
        assert_eq!(refusal, format!("InvalidInputException/{reason}"));
    }
}

/// What a policy allows is about the resources and keys of Organizations.
#[test]
fn actions_ask_for_what_they_are_about() {
    use model::{IamName, PolicyDocument};
    let managed = Managed::new();
    let (one, other) = (managed.unit(&managed.root, "one"), managed.unit(&managed.root, "other"));
    managed.ask("TagResource", &json!({"ResourceId": other, "Tags": [{"Key": "a", "Value": "b"}]}));
    let organization = managed.ask("DescribeOrganization", &json!({}));
    let id = text(&organization["Organization"]["Id"]);
    let may = |statement: Value| {
        let mut user = managed.site.administrator();
        user.permissions.attached.clear();
        let document = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        let name: IamName = "inline".parse().unwrap();
        user.permissions.inline.insert(name, PolicyDocument::new(&document));
        let put = store::Change::PutIam(model::Iam::from(user.clone()), store::Origin::Api);
        let kept =
            managed.site.store.transact(|_| Ok::<_, std::convert::Infallible>((vec![put], ())));
        kept.unwrap();
        user
    };
    let allowed = |user: &User, action: &str, request: Value| {
        managed.ask_as(user.clone(), action, &request).is_ok()
    };
    let arn = format!("arn:aws:organizations::123456789012:ou/{id}/{one}");
    let user =
        may(json!({"Effect": "Allow", "Action": "organizations:Describe*", "Resource": arn}));
    assert!(allowed(&user, "DescribeOrganizationalUnit", json!({"OrganizationalUnitId": one})));
    assert!(!allowed(&user, "DescribeOrganizationalUnit", json!({"OrganizationalUnitId": other})));
    assert!(!allowed(&user, "DescribeOrganization", json!({})));
    let user = may(json!({"Effect": "Allow", "Action": "organizations:*", "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/a": "b"}}}));
    assert!(allowed(&user, "DescribeOrganizationalUnit", json!({"OrganizationalUnitId": other})));
    assert!(!allowed(&user, "DescribeOrganizationalUnit", json!({"OrganizationalUnitId": one})));
    let user = may(json!({"Effect": "Allow", "Action": "organizations:*", "Resource": "*",
        "Condition": {"StringEquals": {"organizations:PolicyType": SCP}}}));
    assert!(allowed(&user, "ListPolicies", json!({"Filter": SCP})));
    assert!(!allowed(&user, "ListPolicies", json!({"Filter": "DECLARATIVE_POLICY_EC2"})));
}

#[test]
fn the_readme_names_every_action() {
    let readme = include_str!("../../../../README.md");
    let missing: Vec<_> =
        ACTIONS.iter().filter(|action| !readme.contains(&format!("`{action}`"))).collect();
    assert_eq!(missing, Vec::<&&str>::new());
}
