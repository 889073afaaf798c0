//! Sessions that are begun by request, and what comes of the requests signed with them.

use std::collections::BTreeMap;

use model::{AccessKey, CredentialSource, Iam, PolicyDocument, Role, Secret, User};
use store::{Change, Origin};

use crate::api::route::Service;
use crate::api::{ApiRequest, Signer};
use crate::ec2::site::{NOW, Site, elements};

const ALLOW_ALL: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

fn keep(site: &Site, kept: impl Into<Iam>) {
    let put = Change::PutIam(kept.into(), Origin::Api);
    site.store.transact(|_| Ok::<_, std::convert::Infallible>((vec![put], ()))).unwrap();
}

/// A user of an account with a key, and these inline policies.
fn user(site: &Site, account_id: &str, name: &str, documents: &[&str]) -> AccessKey {
    let mut user = User::described(account_id.parse().unwrap(), name.parse().unwrap());
    let id = format!("AKIA{account_id}{name}").to_uppercase();
    let key = AccessKey::new(id.parse().unwrap(), Secret::new("secret".to_owned()), NOW);
    user.access_keys.push(key.clone());
    user.permissions.inline = inline(documents);
    keep(site, user);
    key
}

fn inline(documents: &[&str]) -> BTreeMap<model::IamName, PolicyDocument> {
    let named = documents.iter().enumerate();
    named.map(|(n, text)| (format!("p{n}").parse().unwrap(), PolicyDocument::new(text))).collect()
}

/// A role of the first account that these principals may assume, with these inline policies.
fn role(site: &Site, name: &str, trusted: &str, documents: &[&str]) {
    let source = CredentialSource::BuiltIn { life_seconds: None };
    let mut role = Role::described(name.parse().unwrap(), source);
    role.assume_role_policy_document = PolicyDocument::new(&format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{trusted},
        "Action":["sts:AssumeRole","sts:TagSession"]}}]}}"#
    ));
    role.permissions.inline = inline(documents);
    keep(site, role);
}

/// Signs a form, and returns status and body.
fn ask(site: &Site, key: &AccessKey, service: Service, form: &str) -> (u16, String) {
    let region = "us-east-1".parse().unwrap();
    let body = format!("{form}&Version={}", service.version());
    let signer = Signer { key, region: &region, service };
    let now = site.now.get();
    let lines = signer.sign_form("localhost", body.as_bytes(), now).unwrap();
    let headers = lines.iter().map(|(name, value)| (*name, &**value)).collect();
    let body = body.as_bytes();
    let request = ApiRequest { method: "POST", path: "/", query: "", headers, body, source: None };
    let response = crate::answer(&request, &site.store, site, now);
    (response.status, String::from_utf8(response.body).unwrap())
}

fn assume(role: &str, more: &str) -> String {
    format!(
        "Action=AssumeRole&RoleArn=arn:aws:iam::123456789012:role/{role}&RoleSessionName=work{more}"
    )
}

/// The key that an answer gives.
fn key_of(answer: &str) -> AccessKey {
    let one = |name: &str| elements(answer, name).remove(0);
    let id = one("AccessKeyId").parse().unwrap();
    let key = AccessKey::new(id, Secret::new(one("SecretAccessKey")), NOW);
    AccessKey { session_token: Some(Secret::new(one("SessionToken"))), ..key }
}

const OWN: &str = r#"{"AWS":"123456789012"}"#;

#[test]
fn whoever_is_trusted_and_may_becomes_the_role() {
    let site = Site::new();
    let may = user(&site, "123456789012", "may", &[ALLOW_ALL]);
    role(&site, "reader", OWN, &[ALLOW_ALL]);
    let (status, answer) = ask(&site, &may, Service::Sts, &assume("reader", ""));
    assert_eq!(status, 200, "{answer}");
    let arn = "arn:aws:sts::123456789012:assumed-role/reader/work";
    assert_eq!(elements(&answer, "Arn"), [arn]);
    assert_eq!(elements(&answer, "Expiration"), [NOW.plus_seconds(3600).to_string()]);
    assert!(elements(&answer, "PackedPolicySize").is_empty());
    let key = key_of(&answer);
    let (_, who) = ask(&site, &key, Service::Sts, "Action=GetCallerIdentity");
    assert_eq!(elements(&who, "Arn"), [arn]);
    assert_eq!(elements(&who, "UserId"), elements(&answer, "AssumedRoleId"));
    assert_eq!(ask(&site, &key, Service::Ec2, "Action=DescribeInstances").0, 200);
    // It ends when it says.
    site.now.set(NOW.plus_seconds(3600));
    assert_eq!(ask(&site, &key, Service::Sts, "Action=GetCallerIdentity").0, 403);
}

/// Who asks, for which role, and whether it is let in: within the account and from another one.
#[test]
fn both_sides_are_asked_and_within_an_account_one_that_names_the_user_is_enough() {
    let site = Site::new();
    let may = user(&site, "123456789012", "may", &[ALLOW_ALL]);
    let none = user(&site, "123456789012", "none", &[]);
    let other = user(&site, "222222222222", "may", &[ALLOW_ALL]);
    let stranger = user(&site, "222222222222", "none", &[]);
    role(&site, "of-account", OWN, &[]);
    role(&site, "of-user", r#"{"AWS":"arn:aws:iam::123456789012:user/none"}"#, &[]);
    role(&site, "of-others", r#"{"AWS":"222222222222"}"#, &[]);
    role(&site, "of-ec2", r#"{"Service":"ec2.amazonaws.com"}"#, &[]);
    for (key, role, is_let_in) in [
        (&may, "of-account", true),
        (&none, "of-account", false),
        (&none, "of-user", true),
        (&may, "of-user", false),
        (&other, "of-others", true),
        (&stranger, "of-others", false),
        (&other, "of-account", false),
        (&may, "of-others", false),
        (&may, "of-ec2", false),
        (&may, "nobodys", false),
    ] {
        let (status, answer) = ask(&site, key, Service::Sts, &assume(role, ""));
        assert_eq!(status, if is_let_in { 200 } else { 403 }, "{} {role}: {answer}", &*key.id);
        assert_eq!(answer.contains("<Code>AccessDenied</Code>"), !is_let_in, "{answer}");
    }
}

#[test]
fn an_external_id_is_held_against_the_trust_policy() {
    let site = Site::new();
    let may = user(&site, "123456789012", "may", &[ALLOW_ALL]);
    let source = CredentialSource::BuiltIn { life_seconds: None };
    let mut known = Role::described("shared".parse().unwrap(), source);
    known.assume_role_policy_document = PolicyDocument::new(
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},
        "Action":"sts:AssumeRole","Condition":{"StringEquals":{"sts:ExternalId":"pact"}}}]}"#,
    );
    keep(&site, known);
    assert_eq!(ask(&site, &may, Service::Sts, &assume("shared", "")).0, 403);
    assert_eq!(ask(&site, &may, Service::Sts, &assume("shared", "&ExternalId=other")).0, 403);
    assert_eq!(ask(&site, &may, Service::Sts, &assume("shared", "&ExternalId=pact")).0, 200);
}

#[test]
fn a_session_is_limited_by_the_policies_it_was_begun_with() {
    let site = Site::new();
    let may = user(&site, "123456789012", "may", &[ALLOW_ALL]);
    role(&site, "all", OWN, &[ALLOW_ALL]);
    let policy = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow",
        "Action":"ec2:DescribeInstances","Resource":"*"}}"#;
    let encoded = policy.replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let encoded = encoded.replace([' ', '\n'], "");
    let form = assume("all", &format!("&Policy={encoded}"));
    let (_, answer) = ask(&site, &may, Service::Sts, &form);
    assert_eq!(elements(&answer, "PackedPolicySize").len(), 1, "{answer}");
    let key = key_of(&answer);
    assert_eq!(ask(&site, &key, Service::Ec2, "Action=DescribeInstances").0, 200);
    let (status, refused) = ask(&site, &key, Service::Ec2, "Action=DescribeImages");
    assert_eq!(status, 403);
    assert!(refused.contains("because no session policy allows"), "{refused}");
    for (more, code) in [
        ("&Policy=%7B", "MalformedPolicyDocument"),
        ("&PolicyArns.member.1.arn=nothing", "ValidationError"),
        ("&PolicyArns.member.1.arn=arn:aws:iam::aws:policy/NoSuch", "MalformedPolicyDocument"),
        ("&DurationSeconds=899", "ValidationError"),
        ("&DurationSeconds=3601", "ValidationError"),
        ("&DurationSeconds=43201", "ValidationError"),
    ] {
        let (status, refused) = ask(&site, &may, Service::Sts, &assume("all", more));
        assert_eq!(status, 400, "{more}: {refused}");
        assert!(refused.contains(&format!("<Code>{code}</Code>")), "{more}: {refused}");
    }
}

#[test]
fn tags_of_a_session_are_its_principals() {
    let site = Site::new();
    let may = user(&site, "123456789012", "may", &[ALLOW_ALL]);
    let by_tag = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*",
        "Condition":{"StringEquals":{"aws:PrincipalTag/team":"blue"}}}}"#;
    role(&site, "tagged", OWN, &[by_tag]);
    for (team, status) in [("blue", 200), ("red", 403)] {
        let more = format!("&Tags.member.1.Key=team&Tags.member.1.Value={team}");
        let (_, answer) = ask(&site, &may, Service::Sts, &assume("tagged", &more));
        let described = ask(&site, &key_of(&answer), Service::Ec2, "Action=DescribeInstances");
        assert_eq!(described.0, status, "{}", described.1);
    }
}

#[test]
fn a_user_has_sessions_too() {
    let site = Site::new();
    let may = user(&site, "123456789012", "may", &[ALLOW_ALL]);
    let (status, answer) = ask(&site, &may, Service::Sts, "Action=GetSessionToken");
    assert_eq!(status, 200, "{answer}");
    assert_eq!(elements(&answer, "Expiration"), [NOW.plus_seconds(43_200).to_string()]);
    let key = key_of(&answer);
    let (_, who) = ask(&site, &key, Service::Sts, "Action=GetCallerIdentity");
    assert_eq!(elements(&who, "Arn"), ["arn:aws:iam::123456789012:user/may"]);
    assert_eq!(ask(&site, &key, Service::Ec2, "Action=DescribeInstances").0, 200);
    let (status, refused) = ask(&site, &key, Service::Sts, "Action=GetSessionToken");
    assert_eq!(status, 403, "{refused}");
    assert!(refused.contains("<Code>AccessDenied</Code>"), "{refused}");
    // AWS: they are good for nothing in IAM, and for little in STS.
    for (service, form) in [
        (Service::Iam, "Action=GetUser"),
        (Service::Sts, "Action=DecodeAuthorizationMessage&EncodedMessage=x"),
    ] {
        let (status, refused) = ask(&site, &key, service, form);
        assert_eq!(status, 403, "{refused}");
        assert!(refused.contains("<Code>InvalidClientTokenId</Code>"), "{refused}");
    }
}

#[test]
fn why_a_request_was_denied_can_be_decoded_by_who_may() {
    let site = Site::new();
    let may = user(&site, "123456789012", "may", &[ALLOW_ALL]);
    let none = user(&site, "123456789012", "none", &[]);
    let stop = "Action=StopInstances&InstanceId.1=i-1234567890abcdef0";
    let (_, refused) = ask(&site, &none, Service::Ec2, stop);
    let (_, encoded) = refused.split_once("failure message: ").unwrap();
    let encoded = encoded.split('<').next().unwrap();
    let form = format!("Action=DecodeAuthorizationMessage&EncodedMessage={encoded}");
    let (status, answer) = ask(&site, &may, Service::Sts, &form);
    assert_eq!(status, 200, "{answer}");
    let decoded = elements(&answer, "DecodedMessage").remove(0).replace("&quot;", "\"");
    let decoded: serde_json::Value = serde_json::from_str(&decoded).unwrap();
    assert_eq!(decoded["allowed"], false);
    assert_eq!(decoded["context"]["action"], "StopInstances");
    assert_eq!(ask(&site, &none, Service::Sts, &form).0, 403);
    let bad = "Action=DecodeAuthorizationMessage&EncodedMessage=nothing";
    let (status, refused) = ask(&site, &may, Service::Sts, bad);
    assert_eq!(status, 400);
    assert!(refused.contains("InvalidAuthorizationMessageException"), "{refused}");
}

/// A role with a path is its own ARN alone: no other text that ends like it.
#[test]
fn a_role_is_assumed_by_its_own_arn_alone() {
    let site = Site::new();
    let source = CredentialSource::BuiltIn { life_seconds: None };
    let mut known = Role::described("app".parse().unwrap(), source);
    known.path = "/team/".parse().unwrap();
    known.assume_role_policy_document = PolicyDocument::new(
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"123456789012"},
        "Action":"sts:AssumeRole"}]}"#,
    );
    keep(&site, known);
    let may = user(&site, "123456789012", "may", &[ALLOW_ALL]);
    let form = |arn: &str| format!("Action=AssumeRole&RoleArn={arn}&RoleSessionName=work");
    let own = "arn:aws:iam::123456789012:role/team/app";
    assert_eq!(ask(&site, &may, Service::Sts, &form(own)).0, 200);
    for other in [
        "arn:aws:iam::123456789012:role/app",
        "arn:aws:iam::123456789012:role/dev/role/team/app",
        "arn:aws:iam::123456789012:role/xteam/app",
        "arn:aws-cn:iam::123456789012:role/team/app",
        "arn:aws:x:y:iam::123456789012:role/team/app",
    ] {
        let (status, refused) = ask(&site, &may, Service::Sts, &form(other));
        assert_eq!(status, 403, "{other}: {refused}");
        assert!(refused.contains("because no resource-based policy allows"), "{refused}");
    }
}

/// Condition keys know no case: two tags that differ in it would hide one another.
#[test]
fn tags_that_differ_in_case_alone_are_refused() {
    let site = Site::new();
    let may = user(&site, "123456789012", "may", &[ALLOW_ALL]);
    role(&site, "tagged", OWN, &[]);
    let more = "&Tags.member.1.Key=TEAM&Tags.member.1.Value=admin\
                &Tags.member.2.Key=team&Tags.member.2.Value=blue";
    let (status, refused) = ask(&site, &may, Service::Sts, &assume("tagged", more));
    assert_eq!(status, 400, "{refused}");
    let form = "Action=CreateTags&ResourceId.1=i-1234567890abcdef0&Tag.1.Key=team&Tag.1.Value=red\
                &Tag.2.Key=TEAM&Tag.2.Value=blue";
    let (status, refused) = ask(&site, &may, Service::Ec2, form);
    assert_eq!(status, 400, "{refused}");
    assert!(refused.contains("condition keys know no case"), "{refused}");
}

/// Policies name ARNs with their partition: who signs for a region of another one is nobody here.
#[test]
fn a_region_of_another_partition_is_refused() {
    let site = Site::new();
    let may = user(&site, "123456789012", "may", &[ALLOW_ALL]);
    for (region, status) in [("eu-west-1", 200), ("cn-north-1", 403), ("us-gov-west-1", 403)] {
        let region = region.parse().unwrap();
        let body = format!("Action=GetCallerIdentity&Version={}", Service::Sts.version());
        let signer = Signer { key: &may, region: &region, service: Service::Sts };
        let lines = signer.sign_form("localhost", body.as_bytes(), NOW).unwrap();
        let headers = lines.iter().map(|(name, value)| (*name, &**value)).collect();
        let body = body.as_bytes();
        let request =
            ApiRequest { method: "POST", path: "/", query: "", headers, body, source: None };
        assert_eq!(crate::answer(&request, &site.store, &site, NOW).status, status, "{region}");
    }
}

#[test]
fn a_users_session_ends_with_the_user_and_is_not_the_next_ones() {
    let site = Site::new();
    let may = user(&site, "123456789012", "may", &[ALLOW_ALL]);
    let (_, answer) = ask(&site, &may, Service::Sts, "Action=GetSessionToken");
    let key = key_of(&answer);
    assert_eq!(ask(&site, &key, Service::Ec2, "Action=DescribeInstances").0, 200);
    let mut next = User::described("123456789012".parse().unwrap(), "may".parse().unwrap());
    next.created = NOW;
    next.permissions.inline = inline(&[ALLOW_ALL]);
    keep(&site, next);
    assert_eq!(ask(&site, &key, Service::Ec2, "Action=DescribeInstances").0, 401);
}
