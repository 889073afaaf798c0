//! What is served of what was fetched.

use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);
const ONE: InstanceId = InstanceId::from_number(1);
const TWO: InstanceId = InstanceId::from_number(2);

fn role(source: &str) -> Arc<Role> {
    Arc::new(serde_json::from_str(&format!("{{\"name\":\"app\",{source}}}")).unwrap())
}

fn process() -> Arc<Role> {
    role(r#""source":"process","command":["get-keys"]"#)
}

fn sts(name: &str) -> Arc<Role> {
    role(&format!(
        r#""source":"sts","role_arn":"arn:aws:iam::123456789012:role/{name}",
        "region":"eu-west-1","base":{{"source":"web-identity","token_file":"/t"}}"#
    ))
}

fn credentials(id: &str, seconds: i64) -> Credentials {
    Credentials {
        access_key_id: id.to_owned(),
        secret_access_key: model::Secret::new("s".to_owned()),
        session_token: model::Secret::new("t".to_owned()),
        last_updated: NOW,
        expiration: NOW.plus_seconds(seconds),
    }
}

/// The id of the key that is served, or the code of the document.
fn served(
    held: &HeldCredentials,
    role: &Arc<Role>,
    (instance, delivery): (InstanceId, RoleDelivery),
    now: Timestamp,
) -> String {
    match held.find(Some(role), instance, delivery, now) {
        RoleCredentials::BuiltIn { .. } => "built-in".to_owned(),
        RoleCredentials::Held(held) => held.access_key_id.clone(),
        RoleCredentials::Unavailable { code, .. } => code.to_string(),
    }
}

fn refused() -> SourceFault {
    let endpoint = "https://sts.example.com".parse().unwrap();
    SourceFault::Sts(StsFault::Refused {
        endpoint,
        code: "AccessDenied".to_owned(),
        message: String::new(),
    })
}

#[test]
fn what_was_fetched_is_served_until_it_ends_whatever_the_source_says_since() {
    let (held, role) = (HeldCredentials::default(), process());
    let find = |now| served(&held, &role, (ONE, RoleDelivery::V2), now);
    assert_eq!(find(NOW), "Failed");
    held.follow(&role);
    held.expect(&role.key(), None);
    assert_eq!(find(NOW), "Failed");
    held.keep(&role.key(), None, credentials("first", 3600));
    assert_eq!(find(NOW), "first");
    held.keep_trouble(&role.key(), None, refused().trouble(role.name.as_str()));
    assert_eq!(find(NOW.plus_seconds(3599)), "first");
    assert_eq!(find(NOW.plus_seconds(3600)), "AssumeRoleUnauthorizedAccess");
    held.keep_trouble(&role.key(), None, SourceFault::Broken.trouble(role.name.as_str()));
    assert_eq!(find(NOW.plus_seconds(3600)), "Failed");
    held.keep(&role.key(), None, credentials("second", 7200));
    assert_eq!(find(NOW.plus_seconds(3600)), "second");
    held.forget_role(&role.key());
    assert_eq!(find(NOW), "Failed");
}

#[test]
fn each_instance_has_its_own_of_sts_and_others_without_a_token() {
    let (held, role) = (HeldCredentials::default(), sts("app"));
    held.follow(&role);
    for (name, instance, delivery) in [
        ("one-1", ONE, RoleDelivery::V1),
        ("one-2", ONE, RoleDelivery::V2),
        ("two-2", TWO, RoleDelivery::V2),
    ] {
        held.keep(&role.key(), Some((instance, delivery)), credentials(name, 3600));
    }
    let find = |instance, delivery| served(&held, &role, (instance, delivery), NOW);
    assert_eq!(find(ONE, RoleDelivery::V1), "one-1");
    assert_eq!(find(ONE, RoleDelivery::V2), "one-2");
    assert_eq!(find(TWO, RoleDelivery::V1), "Failed");
    assert_eq!(find(TWO, RoleDelivery::V2), "two-2");
    held.forget(&role.key(), Some((ONE, RoleDelivery::V1)));
    assert_eq!(find(ONE, RoleDelivery::V1), "Failed");
    assert_eq!(find(ONE, RoleDelivery::V2), "one-2");
}

#[test]
fn what_came_of_another_source_is_not_served_from_the_moment_the_role_has_changed() {
    let (held, old, new) = (HeldCredentials::default(), sts("old"), sts("new"));
    let session = (ONE, RoleDelivery::V2);
    held.follow(&old);
    held.keep(&old.key(), Some(session), credentials("old", 3600));
    assert_eq!(served(&held, &sts("old"), session, NOW), "old", "the same, written again");
    assert_eq!(served(&held, &new, session, NOW), "Failed", "before anyone has taken it up");
    held.follow(&new);
    assert_eq!(served(&held, &new, session, NOW), "Failed");
    assert_eq!(served(&held, &old, session, NOW), "Failed");
}

#[test]
fn static_credentials_without_an_end_always_have_six_hours() {
    let fixed = StaticCredentials {
        access_key_id: "AKIAEXAMPLE".parse().unwrap(),
        secret_access_key: model::Secret::new("s".to_owned()),
        session_token: model::Secret::new("t".to_owned()),
        expiration: None,
    };
    for seconds in [0, 3599, 3600, 1_000_000] {
        let now = NOW.plus_seconds(seconds);
        let RoleCredentials::Held(held) = fixed_credentials(&fixed, now) else {
            panic!("they are served");
        };
        assert!(held.expiration >= now.plus_seconds(6 * 3600) && held.last_updated <= now);
    }
}

#[test]
fn metrics_tell_the_worst_of_a_roles_sets() {
    let (held, role) = (HeldCredentials::default(), sts("app"));
    let tally = held.follow(&role);
    held.expect(&role.key(), Some((TWO, RoleDelivery::V2)));
    for (instance, seconds) in [(1, 900), (3, 600), (4, -1)] {
        let session = Some((InstanceId::from_number(instance), RoleDelivery::V2));
        held.keep(&role.key(), session, credentials("x", seconds));
    }
    (0..3).for_each(|_| tally.succeeded());
    tally.failed(&refused());
    let text = exposition(&held, NOW);
    let labels = "account_id=\"123456789012\",role=\"app\",source=\"sts\"";
    for line in [
        format!("imds_role_credentials_sets{{{labels},state=\"living\"}} 2\n"),
        format!("imds_role_credentials_sets{{{labels},state=\"missing\"}} 2\n"),
        format!("imds_role_credentials_fetched_timestamp_seconds{{{labels}}} 1741082400\n"),
        format!("imds_role_credentials_expiration_timestamp_seconds{{{labels}}} 1741083000\n"),
        format!("imds_role_credentials_fetches_total{{{labels}}} 4\n"),
        format!("imds_role_credentials_fetch_failures_total{{{labels},reason=\"refused\"}} 1\n"),
        format!("imds_role_credentials_fetch_failures_total{{{labels},reason=\"timeout\"}} 0\n"),
    ] {
        assert!(text.contains(&line), "{line}{text}");
    }
    assert!(!text.contains("i-"), "instances are no labels: {text}");
}
