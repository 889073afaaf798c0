//! The rules of matching, one by one: `rules.txt`. Both evaluators must agree with it, and every
//! rule named here must have its rows.

use policy::{DocumentKind, Layers, Policy, decide};
use serde_json::{Map, Value, json};

use crate::naive;
use crate::naive::Answer;
use crate::scene::{Scene, answer};
use crate::sys::counting;

const RULES: [&str; 18] = [
    "address",
    "all",
    "and",
    "any",
    "arn",
    "bytes",
    "case",
    "missing",
    "no-resource",
    "nor",
    "not-action",
    "not-resource",
    "null",
    "number",
    "or",
    "several",
    "time",
    "unreadable",
];

/// Rules of which a document can break one.
const STRICT_RULES: [&str; 4] = ["action", "resource", "unknown", "variable"];

struct Row {
    rule: String,
    statement: Map<String, Value>,
    request: Map<String, Value>,
    outcome: String,
}

fn rows() -> Vec<Row> {
    let row = |line: &str| {
        let cells: Vec<_> = line.split(" | ").collect();
        let [rule, statement, request, outcome] = cells[..] else { panic!("{line}") };
        let object = |text| serde_json::from_str(text).unwrap_or_else(|e| panic!("{line}: {e}"));
        Row {
            rule: rule.to_owned(),
            statement: object(statement),
            request: object(request),
            outcome: outcome.to_owned(),
        }
    };
    let lines = include_str!("../rules.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(row).collect()
}

impl Row {
    /// The document, with what a statement must have.
    fn document(&self, effect: &str) -> Value {
        let mut statement = self.statement.clone();
        let version = statement.remove("Version").unwrap_or(json!("2012-10-17"));
        statement.insert("Effect".to_owned(), json!(effect));
        for name in ["Action", "Resource"] {
            if !statement.contains_key(&format!("Not{name}")) {
                statement.entry(name).or_insert(json!("*"));
            }
        }
        let mut document = json!({ "Statement": statement });
        if !version.is_null() {
            document["Version"] = version;
        }
        document
    }

    fn scene(&self) -> Scene {
        let mut keys = self.request.clone();
        let action = keys.remove("Action").unwrap_or(json!("test:It"));
        let resource = keys.remove("Resource").unwrap_or(json!("*"));
        let (action, resource) = (action.as_str().unwrap(), resource.as_str().unwrap());
        let mut scene =
            Scene::parse(&format!("who user dev@123456789012\nask {action} on {resource}"));
        scene.resource_account = "123456789012".to_owned();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        scene.keys.extend(keys.into_iter().map(|(key, values)| match values.as_array() {
            Some(values) => (key, values.iter().map(text).collect()),
            None => (key, vec![text(&values)]),
        }));
        scene
    }
}

#[test]
fn every_rule_is_as_written() {
    for row in rows() {
        let case = format!("{} | {:?} | {:?}", row.rule, row.statement, row.request);
        for (effect, applied) in [("Allow", Answer::Allowed), ("Deny", Answer::ExplicitDeny)] {
            let document = row.document(effect);
            let policy = Policy::compile("row", DocumentKind::Managed, &document.to_string());
            if row.outcome == "refused" {
                assert!(policy.is_err(), "{case} was accepted");
                continue;
            }
            let policy = policy.unwrap_or_else(|refusal| panic!("{case}: {refusal}"));
            let (scene, identity) = (row.scene(), [&policy]);
            let request = scene.request();
            let layers = Layers { identity: &identity, ..Layers::EMPTY };
            let (verdict, allocations) = counting(|| decide(&layers, &request));
            assert_eq!(allocations, 0, "{case}");
            let expected = match row.outcome.as_str() {
                "applies" => applied,
                "not" => Answer::ImplicitDeny,
                other => panic!("`{other}` is no outcome"),
            };
            assert_eq!(answer(&verdict), expected, "{case}");
            let world = naive::World { identity: vec![document], ..naive::World::default() };
            let judged = naive::decide(&world, &scene.ask(&request));
            assert_eq!(judged, expected, "{case}: the judge");
        }
    }
}

#[test]
fn the_table_of_rules_leaves_nothing_out() {
    let rows = rows();
    let has = |rule: &str, outcome: &str| {
        rows.iter().any(|row| row.rule == rule && row.outcome == outcome)
    };
    for rule in RULES.iter().chain(&STRICT_RULES) {
        assert!(has(rule, "applies"), "no row of `{rule}` applies");
        assert!(has(rule, "not"), "every row of `{rule}` applies");
    }
    for rule in STRICT_RULES {
        assert!(has(rule, "refused"), "no row of `{rule}` is refused");
    }
    for Row { rule, .. } in &rows {
        let rule = rule.as_str();
        assert!(RULES.contains(&rule) || STRICT_RULES.contains(&rule), "`{rule}` is no rule");
    }
}
