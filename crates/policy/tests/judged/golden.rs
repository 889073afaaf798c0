//! The golden tables: `conditions.txt`, what each operator says, and `verdicts.txt`, what is decided
//! by what. Both evaluators must agree with them, and the tables must leave nothing out.
//!
//! Fields of a case in `verdicts.txt`:
//!
//! | field | meaning |
//! |---|---|
//! | `who` | `user NAME@ACCOUNT`, `root@ACCOUNT`, `session ROLE/NAME@ACCOUNT`, `linked …` (of a service), `service NAME`, `federated PROVIDER`, `anonymous` |
//! | `ask` | `ACTION on RESOURCE`, and `of ACCOUNT` if it is not the caller's |
//! | `with` | a key of the context and its values, between bars |
//! | `identity`, `boundary`, `session`, `resource`, `trust` | policies |
//! | `scp`, `rcp` | a level and its policies, from the root; or `management` |
//! | `=>` | `allowed by LAYER STATEMENT`, `allowed root`, `allowed freely`, `denied by LAYER STATEMENT`, `missing LAYER` and `none`, `nothing` or `condition KEY` |

use std::collections::BTreeSet;
use std::path::Path;

use crate::scene::Scene;
use crate::sys::counting;
use crate::{naive, scene};
use policy::{
    Cause, Context, DocumentKind, Grant, Layer, OPERATORS, Policy, Source, Value, Verdict, decide,
    explain,
};

fn read(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn layer(layer: Layer, level: Option<&str>) -> String {
    let name = match layer {
        Layer::ResourceControl => "rcp",
        Layer::ServiceControl => "scp",
        Layer::Resource => "resource",
        Layer::Identity => "identity",
        Layer::Boundary => "boundary",
        Layer::Session => "session",
    };
    level.map_or(name.to_owned(), |level| format!("{name}@{level}"))
}

fn source(source: &Source<'_>) -> String {
    let name = source.policy.name();
    source.statement.map_or(name.to_owned(), |statement| match statement.sid() {
        Some(sid) => format!("{name}#{sid}"),
        None => format!("{name}#{}", statement.index()),
    })
}

fn words(verdict: &Verdict<'_>) -> String {
    match verdict {
        Verdict::Allowed(Grant::NoPermissionNeeded) => "allowed freely".to_owned(),
        Verdict::Allowed(Grant::RootUser) => "allowed root".to_owned(),
        Verdict::Allowed(Grant::Statement { layer: of, source: by }) => {
            format!("allowed by {} {}", layer(*of, None), source(by))
        }
        Verdict::ExplicitDeny(denial) => {
            format!("denied by {} {}", layer(denial.layer, denial.level), source(&denial.source))
        }
        Verdict::ImplicitDeny(missing) => {
            let cause = match missing.cause {
                Cause::Condition { test, .. } => format!("condition {}", test.key()),
                Cause::NoPolicy => "none".to_owned(),
                Cause::NoStatement => "nothing".to_owned(),
            };
            format!("missing {} {cause}", layer(missing.layer, missing.level))
        }
    }
}

fn cases() -> Vec<Scene> {
    let text = read("verdicts.txt");
    let plain = text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    plain.split("\n\n").filter(|case| !case.trim().is_empty()).map(Scene::parse).collect()
}

#[test]
fn every_verdict_is_as_written() {
    for scene in cases() {
        let policies = scene.compile(|name| read(&format!("policies/{name}.json")));
        let request = scene.request();
        policies.with_layers(|layers| {
            let explanation = explain(layers, &request);
            let (verdict, allocations) = counting(|| decide(layers, &request));
            assert_eq!((verdict, allocations), (explanation.verdict, 0), "{}", scene.title);
            assert_eq!(
                words(&explanation.verdict),
                scene.expected,
                "{}\n{explanation}",
                scene.title
            );
            if policies.all().any(|policy| policy.refusal().is_some()) {
                return;
            }
            let world = scene.world(|name| {
                serde_json::from_str(&read(&format!("policies/{name}.json"))).unwrap()
            });
            let answer = naive::decide(&world, &scene.ask(&request));
            assert_eq!(answer, scene::answer(&explanation.verdict), "{}: the judge", scene.title);
        });
    }
}

#[test]
fn the_table_of_verdicts_leaves_nothing_out() {
    let cases = cases();
    let seen = |text: &str| cases.iter().any(|scene| scene.expected.starts_with(text));
    let layers = ["rcp@", "scp@", "resource ", "identity ", "boundary ", "session "];
    assert_eq!(layers.len(), Layer::ALL.len());
    for layer in layers {
        assert!(seen(&format!("denied by {layer}")), "no case is denied by {layer}");
        assert!(seen(&format!("missing {layer}")), "no case lacks {layer}");
    }
    for text in ["allowed freely", "allowed root", "allowed by identity ", "allowed by resource "] {
        assert!(seen(text), "no case is {text}");
    }
    for cause in [" none", " nothing"] {
        assert!(cases.iter().any(|scene| scene.expected.ends_with(cause)), "no case ends {cause}");
    }
    assert!(cases.iter().any(|scene| scene.expected.contains(" condition ")));
    for kind in ["user", "root", "session", "linked", "service", "federated", "anonymous"] {
        let mut of = cases.iter().filter(|scene| scene.kind == kind);
        assert!(of.any(|scene| scene.expected.starts_with("allowed")), "{kind} is never allowed");
        let mut of = cases.iter().filter(|scene| scene.kind == kind);
        assert!(of.any(|scene| !scene.expected.starts_with("allowed")), "{kind} is always allowed");
    }
    let used: BTreeSet<_> = cases.iter().flat_map(Scene::policy_names).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let name = name.strip_suffix(".json").unwrap().to_owned();
        assert!(used.contains(&name), "no case uses the policy {name}");
    }
}

/// Rows of `conditions.txt`: operator, values of the policy, values of the request, whether it holds.
fn rows() -> Vec<(String, String, Option<Vec<String>>, bool)> {
    let row = |line: &str| {
        let cells: Vec<_> = line.split(" | ").collect();
        let [operator, wanted, found, holds] = cells[..] else { panic!("{line}") };
        let found = (found != "-").then(|| serde_json::from_str(found).unwrap());
        (operator.to_owned(), wanted.to_owned(), found, holds == "holds")
    };
    let text = read("conditions.txt");
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(row).collect()
}

#[test]
fn every_operator_is_as_written() {
    for (operator, wanted, found, holds) in rows() {
        let document = format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "*",
            "Resource": "*", "Condition": {{"{operator}": {{"Test:Key": {wanted}}}}}}}}}"#
        );
        let policy = Policy::compile("row", DocumentKind::Managed, &document).unwrap();
        let mut scene = Scene::parse(
            "case row\nwho user dev@123456789012\nask test:It on *\nwith test:Two = one | two\n\
             with test:One = 1\nwith test:Star = *\n=> none",
        );
        if let Some(found) = &found {
            scene.keys.push(("test:Key".to_owned(), found.clone()));
        }
        let request = scene.request();
        let identity = [&policy];
        let layers = policy::Layers { identity: &identity, ..policy::Layers::EMPTY };
        let case = format!("{operator} {wanted} {found:?}");
        let (verdict, allocations) = counting(|| decide(&layers, &request));
        assert_eq!((verdict.is_allowed(), allocations), (holds, 0), "{case}");
        let wanted: serde_json::Value = serde_json::from_str(&wanted).unwrap();
        let world = naive::World {
            identity: vec![serde_json::json!({"Version": "2012-10-17", "Statement": {
                "Effect": "Allow", "Action": "*", "Resource": "*",
                "Condition": {operator: {"test:key": wanted}}}})],
            ..naive::World::default()
        };
        let answer = naive::decide(&world, &scene.ask(&request));
        assert_eq!(answer == naive::Answer::Allowed, holds, "{case}: the judge");
    }
}

#[test]
fn the_table_of_conditions_leaves_nothing_out() {
    let rows = rows();
    for (name, ..) in OPERATORS {
        let mut forms = vec![name.to_owned()];
        if name != "Null" {
            for prefix in ["", "ForAllValues:", "ForAnyValue:"] {
                for suffix in ["", "IfExists"] {
                    forms.push(format!("{prefix}{name}{suffix}"));
                }
            }
        }
        for form in forms {
            let of: Vec<_> = rows.iter().filter(|(operator, ..)| *operator == form).collect();
            assert!(of.iter().any(|(.., holds)| *holds), "no row of {form} holds");
            assert!(of.iter().any(|(.., holds)| !holds), "every row of {form} holds");
            assert!(
                of.iter().any(|(_, _, found, _)| found.is_none()),
                "{form} lacks a missing key"
            );
        }
    }
}

#[test]
fn a_context_is_asked_in_any_case() {
    let mut context = Context::default();
    context.insert("AWS:SourceIp", vec![Value::text("10.0.0.1")]).unwrap();
    context.insert("aws:sourceip", vec![Value::text("10.0.0.2")]).unwrap();
    assert_eq!(context.iter().count(), 1);
}

#[test]
fn typed_values_compare_as_what_they_are() {
    let time = model::Timestamp::from_seconds(1_741_046_400);
    for (value, operator, wanted, holds) in [
        (Value::number(2), "NumericEquals", "2.0", true),
        (Value::number(1_741_046_400), "DateEquals", "2025-03-04T00:00:00Z", true),
        (Value::time(time), "DateLessThan", "2025-03-04T00:00:00Z", false),
        (Value::time(time), "NumericEquals", "1741046400", true),
        (Value::bool(true), "Bool", "true", true),
        (Value::bool(true), "NumericEquals", "1", false),
        (Value::address("::ffff:10.0.0.1".parse().unwrap()), "IpAddress", "10.0.0.0/8", true),
        (Value::address("10.0.0.1".parse().unwrap()), "StringEquals", "10.0.0.1", true),
        (Value::bytes(b"ABC"), "BinaryEquals", "QUJD", true),
        (Value::bytes(b"ABC"), "StringEquals", "QUJD", true),
    ] {
        let document = format!(
            r#"{{"Statement": {{"Effect": "Allow", "Action": "*", "Resource": "*",
            "Condition": {{"{operator}": {{"test:Key": "{wanted}"}}}}}}}}"#
        );
        let policy = Policy::compile("row", DocumentKind::Managed, &document).unwrap();
        let scene = Scene::parse("who user dev@123456789012\nask test:It on *");
        let asked = scene.request();
        let mut context = asked.context().clone();
        context.insert("test:Key", vec![value]).unwrap();
        let account = "123456789012".parse().unwrap();
        let principal = asked.principal().clone();
        let request = policy::Request::new(principal, "test:It", "*", account, context).unwrap();
        let identity = [&policy];
        let layers = policy::Layers { identity: &identity, ..policy::Layers::EMPTY };
        let (verdict, allocations) = counting(|| decide(&layers, &request));
        assert_eq!((verdict.is_allowed(), allocations), (holds, 0), "{operator} {wanted}");
    }
}
