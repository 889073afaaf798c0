//! Random policies and requests: both evaluators agree, and more denial never allows more.
//!
//! `POLICY_CASES` sets how many are tried.

use crate::scene::Scene;
use crate::{naive, scene};
use policy::{DocumentKind, Layers, OPERATORS, Policy, decide};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const ACCOUNT: &str = "123456789012";
const STRANGER: &str = "210987654321";

fn pick(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(texts).prop_map(str::to_owned)
}

fn some(texts: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        pick(texts).prop_map(Value::from),
        proptest::collection::vec(pick(texts), 1..3).prop_map(Value::from),
    ]
}

const KEYS: &[&str] = &["test:A", "TEST:a", "test:B", "test:C", "aws:username"];
const TEXTS: &[&str] = &[
    "a",
    "A",
    "a*",
    "*",
    "?b",
    "ab",
    "",
    "2",
    "2.0",
    "-3.5",
    "10",
    "true",
    "FALSE",
    "QUJD",
    "2025-03-04T00:00:00Z",
    "2026-03-04T00:00:00Z",
    "1741046400",
    "10.0.0.1",
    "10.0.0.0/8",
    "2001:db8::1",
    "2001:db8::/32",
    "arn:aws:s3:::b/a",
    "arn:*:s3:::?/*",
    "arn:aws:s3:::b/*",
    "${test:B}",
    "${test:C, 'a'}",
    "${*}",
    "a${aws:username}",
    "arn:aws:s3:::b/${test:B}",
    "dev",
];
const VALUES: &[&str] = &[
    "a",
    "A",
    "ab",
    "xb",
    "a*",
    "*",
    "2",
    "2.0",
    "3",
    "-3.5",
    "true",
    "false",
    "QUJD",
    "dev",
    "adev",
    "2025-03-04T00:00:00Z",
    "1741046400",
    "10.0.0.1",
    "11.0.0.1",
    "2001:db8::1",
    "arn:aws:s3:::b/a",
    "arn:aws:s3:::b/c/d",
    "arn:aws:s3",
    "",
];

fn operator() -> impl Strategy<Value = String> {
    let prefix = pick(&["", "", "ForAllValues:", "ForAnyValue:"]);
    let suffix = pick(&["", "", "IfExists"]);
    (prefix, 0..OPERATORS.len(), suffix).prop_map(|(prefix, at, suffix)| match OPERATORS[at].0 {
        "Null" => "Null".to_owned(),
        name => format!("{prefix}{name}{suffix}"),
    })
}

fn condition() -> impl Strategy<Value = Value> {
    let line = (operator(), pick(KEYS), some(TEXTS), any::<bool>());
    proptest::collection::vec(line, 0..3).prop_map(|lines| {
        let mut condition = Map::new();
        for (operator, key, values, truth) in lines {
            let values = if operator == "Null" { json!(truth.to_string()) } else { values };
            condition.insert(operator, json!({ key: values }));
        }
        Value::Object(condition)
    })
}

const ACTIONS: &[&str] = &["*", "s3:*", "s3:Get*", "S3:GETOBJECT", "s3:?etObject", "ec2:*"];
const RESOURCES: &[&str] =
    &["*", "*", "arn:aws:s3:::b/*", "arn:aws:s3:::b/${aws:username}", "arn:aws:s3:::?/a", "arn:*"];
const NAMES: &[&str] = &[
    "*",
    ACCOUNT,
    "arn:aws:iam::123456789012:root",
    "arn:aws:iam::123456789012:user/dev",
    "arn:aws:iam::123456789012:role/app",
    "arn:aws:sts::123456789012:assumed-role/app/one",
    STRANGER,
];

fn principal() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(json!("*")),
        4 => some(NAMES).prop_map(|names| json!({ "AWS": names })),
        1 => Just(json!({ "Service": "ec2.amazonaws.com" })),
        1 => Just(json!({ "Federated": "accounts.example.com" })),
    ]
}

fn statement() -> impl Strategy<Value = Value> {
    let effect = prop_oneof![3 => Just("Allow"), 1 => Just("Deny")];
    let negations = (prop::bool::weighted(0.15), prop::bool::weighted(0.15));
    (effect, some(ACTIONS), some(RESOURCES), condition(), negations).prop_map(
        |(effect, action, resource, condition, (not_action, not_resource))| {
            let action_name = if not_action { "NotAction" } else { "Action" };
            let resource_name = if not_resource { "NotResource" } else { "Resource" };
            json!({
                "Effect": effect, action_name: action, resource_name: resource,
                "Condition": condition
            })
        },
    )
}

fn document() -> impl Strategy<Value = Value> {
    let version = prop_oneof![4 => Just("2012-10-17"), 1 => Just("2008-10-17")];
    (version, proptest::collection::vec(statement(), 1..4))
        .prop_map(|(version, statements)| json!({ "Version": version, "Statement": statements }))
}

/// One that names principals, or what a statement that denies excepts.
fn naming() -> impl Strategy<Value = Value> {
    (document(), principal(), prop::bool::weighted(0.4)).prop_map(|(mut document, who, not)| {
        for statement in document["Statement"].as_array_mut().unwrap() {
            let not = not && statement["Effect"] == "Deny";
            let name = if not { "NotPrincipal" } else { "Principal" };
            statement.as_object_mut().unwrap().insert(name.to_owned(), who.clone());
        }
        document
    })
}

/// As a trust policy, which has neither resources nor exceptions.
fn trusting(mut document: Value) -> Value {
    for statement in document["Statement"].as_array_mut().unwrap() {
        let members = statement.as_object_mut().unwrap();
        members.remove("Resource");
        members.remove("NotResource");
        if let Some(who) = members.remove("NotPrincipal") {
            members.insert("Principal".to_owned(), who);
        }
    }
    document
}

fn for_everyone(mut document: Value) -> Value {
    for statement in document["Statement"].as_array_mut().unwrap() {
        statement.as_object_mut().unwrap().insert("Principal".to_owned(), json!("*"));
    }
    document
}

/// A case: its policies are named by their place in the list.
#[derive(Clone, Debug)]
struct Case {
    scene: Scene,
    documents: Vec<Value>,
}

impl Case {
    fn document(&self, name: &str) -> &Value {
        &self.documents[name.parse::<usize>().unwrap()]
    }

    fn name(&mut self, document: Value) -> String {
        self.documents.push(document);
        (self.documents.len() - 1).to_string()
    }
}

fn request() -> impl Strategy<Value = Scene> {
    let who = pick(&[
        "user dev@123456789012",
        "user dev@123456789012",
        "session app/one@123456789012",
        "session app/one@123456789012",
        "linked app/one@123456789012",
        "root@123456789012",
        "service ec2.amazonaws.com",
        "federated accounts.example.com",
        "anonymous",
    ]);
    let what = pick(&[
        "s3:GetObject on arn:aws:s3:::b/a",
        "s3:GetObject on arn:aws:s3:::b/dev",
        "s3:PutObject on *",
        "ec2:RunInstances on arn:aws:ec2:us-east-1:123456789012:instance/*",
    ]);
    let of = prop_oneof![3 => Just(ACCOUNT), 1 => Just(STRANGER)];
    let values = proptest::collection::vec(pick(VALUES), 0..3);
    let keys = pick(&["test:a", "test:B", "Test:C"]);
    let keys = proptest::collection::vec((keys, values), 0..3);
    (who, what, of, keys).prop_map(|(who, what, of, keys)| {
        let mut scene = Scene::parse(&format!("who {who}\nask {what} of {of}"));
        let mut seen = std::collections::BTreeSet::new();
        scene.keys = keys;
        scene.keys.retain(|(key, _)| seen.insert(key.to_lowercase()));
        scene
    })
}

fn case() -> impl Strategy<Value = Case> {
    let some = |max| proptest::collection::vec(document(), 0..max);
    let levels = || {
        proptest::option::weighted(
            0.3,
            proptest::collection::vec(proptest::collection::vec(document(), 0..3), 1..3),
        )
    };
    let maybe = || proptest::option::weighted(0.3, document());
    let named = proptest::option::weighted(0.5, naming());
    (request(), some(3), maybe(), maybe(), (named, any::<bool>()), levels(), levels()).prop_map(
        |(scene, identity, boundary, session, (named, trust), scp, rcp)| {
            let mut case = Case { scene, documents: Vec::new() };
            case.scene.identity = identity.into_iter().map(|d| case.name(d)).collect();
            case.scene.boundary = boundary.map(|d| case.name(d));
            case.scene.session = session.map(|d| vec![case.name(d)]);
            match named {
                Some(d) if trust => case.scene.trust = Some(case.name(trusting(d))),
                Some(d) => case.scene.attached = vec![case.name(d)],
                None => {}
            }
            let mut level = |levels: Option<Vec<Vec<Value>>>, change: fn(Value) -> Value| {
                levels.map(|levels| {
                    let mut named = Vec::new();
                    for (at, documents) in levels.into_iter().enumerate() {
                        let level = documents.into_iter().map(|d| case.name(change(d))).collect();
                        named.push((format!("level-{at}"), level));
                    }
                    named
                })
            };
            let (scp, rcp) = (level(scp, |document| document), level(rcp, for_everyone));
            case.scene.scp = scp;
            case.scene.rcp = rcp;
            case
        },
    )
}

fn config() -> ProptestConfig {
    let cases = std::env::var("POLICY_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: cases.unwrap_or(4000),
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn both_evaluators_agree(case in case()) {
        let policies = case.scene.compile(|name| case.document(name).to_string());
        for policy in policies.all() {
            prop_assert!(policy.refusal().is_none(), "{:?}", policy.refusal());
        }
        let request = case.scene.request();
        let world = case.scene.world(|name| case.document(name).clone());
        let judge = naive::decide(&world, &case.scene.ask(&request));
        let explanation = policies.with_layers(|layers| {
            let verdict = decide(layers, &request);
            (scene::answer(&verdict), policy::explain(layers, &request).to_string())
        });
        prop_assert_eq!(explanation.0, judge, "{}", explanation.1);
    }

    #[test]
    fn more_denial_and_less_permission_never_allow(case in case(), mut more in document()) {
        let request = case.scene.request();
        let policies = case.scene.compile(|name| case.document(name).to_string());
        let allowed = policies.with_layers(|layers| decide(layers, &request).is_allowed());
        // Another policy whose every statement denies.
        for statement in more["Statement"].as_array_mut().unwrap() {
            statement["Effect"] = json!("Deny");
        }
        let more = Policy::compile("more", DocumentKind::Managed, &more.to_string()).unwrap();
        let denied = policies.with_layers(|layers| {
            let mut identity = layers.identity.to_vec();
            identity.push(&more);
            decide(&Layers { identity: &identity, ..*layers }, &request).is_allowed()
        });
        prop_assert!(allowed || !denied);
        // Each policy without its statements that allow, or turned into one that is about nothing.
        for name in case.scene.policy_names() {
            let mut less = case.clone();
            let at = name.parse::<usize>().unwrap();
            for statement in less.documents[at]["Statement"].as_array_mut().unwrap() {
                if statement["Effect"] == "Allow" {
                    statement.as_object_mut().unwrap().remove("NotAction");
                    statement["Action"] = json!("none:Such");
                }
            }
            let policies = less.scene.compile(|name| less.document(name).to_string());
            let still = policies.with_layers(|layers| decide(layers, &request).is_allowed());
            prop_assert!(allowed || !still);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[{}\\[\\]\":,$*?a-z0-9 \n]{0,200}", document in document(), at in any::<prop::sample::Index>(), bytes in any::<char>()) {
        for kind in DocumentKind::ALL {
            let _ = Policy::compile("any", kind, &text);
        }
        // A document with one character changed.
        let mut characters: Vec<char> = document.to_string().chars().collect();
        let at = at.index(characters.len());
        characters[at] = bytes;
        let text: String = characters.into_iter().collect();
        if let Err(refusal) = Policy::compile("any", DocumentKind::Managed, &text) {
            prop_assert!(!refusal.to_string().is_empty());
        }
    }
}
