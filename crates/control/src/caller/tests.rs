//! Requests signed with what instances read, in every way that is no good and the one that is.

use std::collections::BTreeMap;

use metadata::Credentials;
use metadata::session::{RoleSession, SessionPolicies, SourceInstance, UserSession};
use model::{InstanceId, Role, RoleDelivery, SessionName, Timestamp};
use store::{Change, IssuerKey, Origin};

use super::*;
use crate::api::route::Service;
use crate::api::{ApiRequest, Signer};
use crate::ec2::site::{NOW, Site};

/// The role that a first start gives to the default instance.
const ROLE: &str = "example-role";

/// A session of an instance in a role of the site, which ends a minute from now.
fn of_role(site: &Site, role: &str) -> Session {
    let account_id = site.scope.account_id;
    let source = model::CredentialSource::BuiltIn { life_seconds: None };
    let described = Role::described(role.parse().unwrap(), source);
    let kept = site.store.snapshot().role(account_id, &described.name).cloned();
    let known = kept.map_or(described, |kept| Role::clone(&kept));
    let instance = Instance::described(InstanceId::from_number(7));
    Session {
        account_id,
        issued_at: NOW,
        expiration: NOW.plus_seconds(60),
        actor: Actor::Role(RoleSession {
            role_id: known.unique_id(),
            role: known.name,
            name: SessionName::from(instance.id),
            source: Some(SourceInstance::new(&instance, RoleDelivery::V1)),
            policies: SessionPolicies::default(),
            tags: BTreeMap::new(),
        }),
    }
}

/// A session of a user of this name, whether there is one or not.
fn user_session(site: &Site, name: &str) -> UserSession {
    let user = User::described(site.scope.account_id, name.parse().unwrap());
    UserSession { id: user.unique_id(), name: user.name }
}

/// A site whose role may do everything.
fn site() -> Site {
    let site = Site::new();
    let role = site.store.snapshot().role(site.scope.account_id, &ROLE.parse().unwrap()).cloned();
    let mut role = Role::clone(&role.unwrap());
    role.permissions.attached.extend(store::Administrator::POLICY.parse());
    let put = Change::PutIam(role.into(), Origin::Api);
    site.store.transact(|_| Ok::<_, std::convert::Infallible>((vec![put], ()))).unwrap();
    site
}

fn issue(site: &Site, session: &Session) -> Credentials {
    site.store.snapshot().issuer_key().unwrap().issue(session, 5).unwrap()
}

fn key(credentials: &Credentials) -> AccessKey {
    let id = credentials.access_key_id.parse().unwrap();
    let key = AccessKey::new(id, credentials.secret_access_key.clone(), NOW);
    AccessKey { session_token: Some(credentials.session_token.clone()), ..key }
}

/// Asks who asks, signed with a key at a time: status and body.
fn who(site: &Site, key: &AccessKey, service: Service, now: Timestamp) -> (u16, String) {
    let region = "us-east-1".parse().unwrap();
    let is_ec2 = matches!(service, Service::Ec2);
    let action = if is_ec2 { "DescribeInstances" } else { "GetCallerIdentity" };
    let body = format!("Action={action}&Version={}", service.version());
    let signer = Signer { key, region: &region, service };
    let lines = signer.sign_form("localhost", body.as_bytes(), now).unwrap();
    let headers = lines.iter().map(|(name, value)| (*name, &**value)).collect();
    let request = ApiRequest {
        method: "POST",
        path: "/",
        query: "",
        headers,
        body: body.as_bytes(),
        source: None,
    };
    let response = crate::answer(&request, &site.store, site, now);
    (response.status, String::from_utf8(response.body).unwrap())
}

#[test]
fn what_an_instance_read_is_accepted_and_says_who_it_is() {
    let site = site();
    let key = key(&issue(&site, &of_role(&site, ROLE)));
    let (status, text) = who(&site, &key, Service::Sts, NOW);
    assert_eq!(status, 200, "{text}");
    for part in [
        "<Arn>arn:aws:sts::123456789012:assumed-role/example-role/i-00000000000000007</Arn>",
        "<Account>123456789012</Account>",
        "<UserId>AROA",
        ":i-00000000000000007</UserId>",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(who(&site, &key, Service::Ec2, NOW).0, 200);
}

#[test]
fn an_instance_as_itself_and_a_user_with_a_session() {
    let site = Site::new();
    let source = SourceInstance::new(&Instance::default_instance(), RoleDelivery::V2);
    let id = source.id;
    for (actor, arn, user_id) in [
        (
            Actor::Instance(source),
            format!("arn:aws:sts::123456789012:assumed-role/aws:ec2-instance/{id}"),
            format!("<UserId>123456789012:aws:ec2-instance:{id}<"),
        ),
        (
            Actor::User(user_session(&site, "admin")),
            "arn:aws:iam::123456789012:user/admin".to_owned(),
            "<UserId>AIDA".to_owned(),
        ),
    ] {
        let session = Session { actor, ..of_role(&site, ROLE) };
        let (status, text) = who(&site, &key(&issue(&site, &session)), Service::Sts, NOW);
        assert_eq!(status, 200, "{text}");
        assert!(text.contains(&format!("<Arn>{arn}</Arn>")), "{text}");
        assert!(text.contains(&user_id), "{text}");
    }
}

/// Credentials, the time that they are shown, and the codes of EC2 and STS for it.
#[test]
fn whatever_is_wrong_with_them_is_told_as_aws_tells_it() {
    let site = site();
    let good = key(&issue(&site, &of_role(&site, ROLE)));
    let with_token = |token: &str| AccessKey {
        session_token: Some(Secret::new(token.to_owned())),
        ..good.clone()
    };
    let token = good.session_token.as_ref().unwrap().expose();
    let other = issue(&site, &of_role(&site, ROLE));
    let foreign = IssuerKey::new([9; 32]).issue(&of_role(&site, ROLE), 5).unwrap();
    let gone = issue(&site, &of_role(&site, "other-role"));
    let nobody = user_session(&site, "nobody");
    let nobody = Session { actor: Actor::User(nobody), ..of_role(&site, ROLE) };
    let mut namesake = of_role(&site, ROLE);
    if let Actor::Role(session) = &mut namesake.actor {
        session.role_id = "AROACKCEVSQ6C2EXAMPLE".parse().unwrap();
    }
    let wrong_secret = AccessKey { secret: Secret::new("wrong".to_owned()), ..good.clone() };
    let no_token = AccessKey { session_token: None, ..good.clone() };
    let invalid = ("AuthFailure", "InvalidClientTokenId");
    for (what, key, after, codes) in [
        ("good to the last second", good.clone(), 59, None),
        ("ended", good.clone(), 60, Some(("RequestExpired", "ExpiredToken"))),
        ("no token", no_token, 0, Some(invalid)),
        ("an empty one", with_token(""), 0, Some(invalid)),
        ("garbage", with_token("IQoJb3JpZ2luX2Vjgarbage"), 0, Some(invalid)),
        ("one cut short", with_token(&token[..token.len() - 4]), 0, Some(invalid)),
        (
            "another's",
            AccessKey { id: "ASIAIOSFODNN7EXAMPLE".parse().unwrap(), ..key(&other) },
            0,
            Some(invalid),
        ),
        ("of another server", key(&foreign), 0, Some(invalid)),
        ("of a role that is gone", key(&gone), 0, Some(invalid)),
        ("of an older role of the name", key(&issue(&site, &namesake)), 0, Some(invalid)),
        ("of a user that is gone", key(&issue(&site, &nobody)), 0, Some(invalid)),
        ("another secret", wrong_secret, 0, Some(("AuthFailure", "SignatureDoesNotMatch"))),
    ] {
        let now = NOW.plus_seconds(after);
        let answers = [Service::Ec2, Service::Sts].map(|service| who(&site, &key, service, now));
        match codes {
            None => assert_eq!(answers.map(|(status, _)| status), [200, 200], "{what}"),
            Some((ec2, sts)) => {
                for ((status, text), code) in answers.iter().zip([ec2, sts]) {
                    assert_ne!(*status, 200, "{what}");
                    assert!(text.contains(&format!("<Code>{code}</Code>")), "{what}: {text}");
                    assert!(!text.contains("IQoJ"), "{what}: {text}");
                }
            }
        }
    }
}

/// A key that is kept is not looked for in a token, and must not come with one.
#[test]
fn a_token_does_not_make_another_of_a_user() {
    let site = Site::new();
    let snapshot = site.store.snapshot();
    let user = snapshot.administrator().unwrap().user();
    let token = issue(&site, &of_role(&site, ROLE)).session_token;
    let key = AccessKey { session_token: Some(token), ..user.access_keys[0].clone() };
    assert_eq!(who(&site, &key, Service::Sts, NOW).0, 403);
}

#[test]
fn a_session_ends_with_its_role() {
    let site = Site::new();
    let key = key(&issue(&site, &of_role(&site, "app")));
    assert_eq!(who(&site, &key, Service::Sts, NOW).0, 403);
    let credentials = model::CredentialSource::BuiltIn { life_seconds: None };
    let role = Role::described("app".parse().unwrap(), credentials);
    let put = Change::PutIam(role.into(), Origin::Api);
    let plan = |_: &Snapshot| -> Result<_, std::convert::Infallible> { Ok((vec![put], ())) };
    site.store.transact(plan).unwrap();
    assert_eq!(who(&site, &key, Service::Sts, NOW).0, 200);
}
