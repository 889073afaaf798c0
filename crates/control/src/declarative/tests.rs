use model::{HttpTokens, Switch};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Content, Effective};

/// The example of control plane, 5.8.
const EXAMPLE: &str = r#"{"ec2_attributes":{
   "instance_metadata_defaults":{
     "http_tokens":{"@@assign":"required"},
     "http_put_response_hop_limit":{"@@assign":"2"},
     "http_endpoint":{"@@assign":"enabled"},
     "instance_metadata_tags":{"@@assign":"no_preference"},
     "http_tokens_enforced":{"@@assign":"enabled"}},
   "exception_message":{"@@assign":"Ask the platform team."}}}"#;

fn read(content: &Value) -> Content {
    Content::parse(&content.to_string()).unwrap()
}

fn defaults(settings: &Value) -> Value {
    json!({"ec2_attributes": {"instance_metadata_defaults": settings}})
}

/// What comes of policies, one for each level.
fn merged(levels: &[Value]) -> Value {
    let levels: Vec<_> = levels.iter().map(|content| vec![read(content)]).collect();
    let effective: Value = serde_json::from_str(&Effective::of(&levels).to_json()).unwrap();
    effective["ec2_attributes"].clone()
}

#[test]
fn the_example_is_read() {
    let effective = Effective::of(&[vec![Content::parse(EXAMPLE).unwrap()]]);
    let set = effective.metadata_defaults().unwrap();
    assert_eq!(set.options.http_tokens, Some(HttpTokens::Required));
    assert_eq!(set.options.http_put_response_hop_limit.unwrap().as_hops(), 2);
    assert_eq!(set.options.http_endpoint, Some(Switch::Enabled));
    assert_eq!(set.options.instance_metadata_tags, None);
    assert_eq!(set.options.http_protocol_ipv6, None);
    assert_eq!(set.http_tokens_enforced, Some(Switch::Enabled));
    assert_eq!(effective.exception_message(), "Ask the platform team.");
}

#[test]
fn whoever_writes_nonsense_is_told_where() {
    for (text, told) in [
        ("", "not a JSON document whose keys stand once: EOF"),
        (r#"{"ec2_attributes":{},"ec2_attributes":{}}"#, "a key stands twice"),
        ("{}", "at `$`: `ec2_attributes` is missing"),
        ("[]", "at `$`: use an object"),
        (r#"{"tags":{}}"#, "at `$.tags`: it is not known here: use ec2_attributes"),
        (r#"{"ec2_attributes":{"@@assign":"x"}}"#, "at `$.ec2_attributes`: it has no value"),
        (
            r#"{"ec2_attributes":{"instance_metadata_default":{}}}"#,
            "at `$.ec2_attributes.instance_metadata_default`: it is not known here",
        ),
        (
            r#"{"ec2_attributes":{"exception_message":{"@@assign":1}}}"#,
            "at `$.ec2_attributes.exception_message.@@assign`: use a string",
        ),
        (
            r#"{"ec2_attributes":{"exception_message":"x"}}"#,
            "at `$.ec2_attributes.exception_message`: use an object, such as {\"@@assign\": …}",
        ),
        (
            r#"{"ec2_attributes":{"serial_console_access":{"status":{"@@assigned":"x"}}}}"#,
            "this is no operator: use @@assign, @@append, @@remove or",
        ),
        (
            r#"{"ec2_attributes":{"serial_console_access":{"@@assign":"x","status":{}}}}"#,
            "it has a value and parts",
        ),
        (
            r#"{"ec2_attributes":{"serial_console_access":{"@@assign":null}}}"#,
            "use a string, a number, a boolean, or a list of them",
        ),
        (
            r#"{"ec2_attributes":{"@@operators_allowed_for_child_policies":["@@none","@@assign"]}}"#,
            "use a list of @@all, @@none, or some of",
        ),
        (
            r#"{"ec2_attributes":{"@@operators_allowed_for_child_policies":[]}}"#,
            "use a list of @@all, @@none, or some of",
        ),
    ] {
        let refusal = Content::parse(text).unwrap_err().to_string();
        assert!(refusal.contains(told), "{text}: {refusal}");
    }
    for (setting, told) in [
        (json!({"http_token": {}}), "http_token`: it is not known here: use http_tokens, "),
        (json!({"http_tokens": {"@@assign": "on"}}), "use `no_preference`, `optional` or"),
        (json!({"http_tokens": {"@@assign": 1}}), "use `no_preference`, `optional` or"),
        (json!({"http_tokens": {"@@append": ["optional"]}}), "it has one value: use @@assign"),
        (json!({"http_endpoint": {"@@assign": "required"}}), "use `no_preference`, `enabled` or"),
        (json!({"http_endpoint": {"x": {}}}), "it has no parts"),
        (json!({"http_put_response_hop_limit": {"@@assign": "0"}}), "a number from 1 to 64, or -1"),
        (json!({"http_put_response_hop_limit": {"@@assign": 65}}), "a number from 1 to 64, or -1"),
        (json!({"http_put_response_hop_limit": {"@@assign": 1.5}}), "a number from 1 to 64"),
    ] {
        let refusal = Content::parse(&defaults(&setting).to_string()).unwrap_err().to_string();
        assert!(refusal.contains(told), "{setting}: {refusal}");
    }
    let long = format!("{EXAMPLE}{}", " ".repeat(10_000));
    assert!(Content::parse(&long).unwrap_err().to_string().contains("may have 10000"));
    for hops in [json!("-1"), json!(-1), json!("64"), json!(64)] {
        read(&defaults(&json!({"http_put_response_hop_limit": {"@@assign": hops}})));
    }
    // Deeper than any policy is.
    let deep = format!("{}{}", "{\"ec2_attributes\":".repeat(400), "}".repeat(400));
    assert!(Content::parse(&deep).unwrap_err().to_string().contains("recursion limit"));
}

#[test]
fn policies_below_change_what_those_above_let_them() {
    const ALLOWED: &str = "@@operators_allowed_for_child_policies";
    let tokens = |setting: Value| defaults(&json!({"http_tokens": setting}));
    let shown = |tokens: &str| json!({"instance_metadata_defaults": {"http_tokens": tokens}});
    let required = tokens(json!({"@@assign": "required"}));
    let optional = tokens(json!({"@@assign": "optional"}));
    let closed = tokens(json!({"@@assign": "required", ALLOWED: ["@@none"]}));
    let opened = tokens(json!({ALLOWED: ["@@all"]}));
    assert_eq!(merged(&[required.clone(), optional.clone()]), shown("optional"));
    assert_eq!(merged(&[closed.clone(), optional.clone()]), shown("required"));
    assert_eq!(merged(&[closed, opened, optional.clone()]), shown("required"), "not reversed");
    let appends = tokens(json!({"@@assign": "required", ALLOWED: ["@@append"]}));
    assert_eq!(merged(&[appends, optional.clone()]), shown("required"));
    // What is closed takes nothing new, and what is there stays open.
    let branch = json!({"ec2_attributes": {"instance_metadata_defaults":
        {ALLOWED: ["@@none"], "http_tokens": {"@@assign": "required"}}}});
    let more = defaults(&json!({"http_tokens": {"@@assign": "optional"},
        "http_endpoint": {"@@assign": "disabled"}}));
    assert_eq!(merged(&[branch, more]), shown("optional"));
    // Lists.
    let list = |operators: Value| json!({"ec2_attributes": {"allowed_images_settings": {"providers": operators}}});
    let merged_list = |levels: &[Value]| {
        let levels: Vec<_> = levels.iter().map(|operators| list(operators.clone())).collect();
        merged(&levels)["allowed_images_settings"]["providers"].clone()
    };
    let amazon = json!({"@@assign": ["amazon", "self"]});
    for (below, expected) in [
        (json!({"@@append": ["aws", "self"]}), json!(["amazon", "self", "aws"])),
        (json!({"@@append": "aws"}), json!(["amazon", "self", "aws"])),
        (json!({"@@remove": ["self", "other"]}), json!(["amazon"])),
        (json!({"@@assign": ["aws"]}), json!(["aws"])),
    ] {
        assert_eq!(merged_list(&[amazon.clone(), below]), expected);
    }
    assert_eq!(merged_list(&[json!({"@@append": ["a"]})]), json!(["a"]));
}

#[test]
fn of_two_at_one_level_the_first_counts_and_neither_binds_the_other() {
    let tokens = |tokens: &str| {
        read(&defaults(&json!({"http_tokens": {"@@assign": tokens,
            "@@operators_allowed_for_child_policies": ["@@none"]}})))
    };
    let hops = read(&defaults(&json!({"http_put_response_hop_limit": {"@@assign": "3"}})));
    let effective = Effective::of(&[
        vec![tokens("required"), tokens("optional"), hops],
        vec![tokens("optional")],
    ]);
    let set = effective.metadata_defaults().unwrap().options;
    assert_eq!(set.http_tokens, Some(HttpTokens::Required));
    assert_eq!(set.http_put_response_hop_limit.unwrap().as_hops(), 3);
}

#[test]
fn what_sets_no_default_leaves_the_account_its_own() {
    let other = json!({"ec2_attributes": {"serial_console_access": {"status":
        {"@@assign": "disabled"}}, "instance_metadata_defaults": {}}});
    let effective = Effective::of(&[vec![read(&other)]]);
    assert!(!effective.is_empty());
    assert_eq!(effective.metadata_defaults(), None);
    assert!(Effective::of(&[Vec::new(), vec![read(&json!({"ec2_attributes": {}}))]]).is_empty());
}

proptest! {
    /// Without control operators the lowest level that assigns counts; with `@@none` the highest.
    #[test]
    fn the_lowest_level_counts_unless_a_higher_one_is_final(
        levels in prop::collection::vec(prop::option::of((1_u8..=64, any::<bool>())), 0..6),
    ) {
        let contents: Vec<_> = levels.iter().map(|level| match level {
            None => json!({"ec2_attributes": {}}),
            Some((hops, is_final)) => {
                let mut setting = json!({"@@assign": hops.to_string()});
                if *is_final {
                    setting["@@operators_allowed_for_child_policies"] = json!(["@@none"]);
                }
                defaults(&json!({"http_put_response_hop_limit": setting}))
            }
        }).collect();
        let assigned: Vec<_> = levels.iter().flatten().collect();
        let last = assigned.iter().position(|(_, is_final)| *is_final);
        let expected = assigned.get(last.unwrap_or(assigned.len().saturating_sub(1)));
        let levels: Vec<_> = contents.iter().map(|content| vec![read(content)]).collect();
        let set = Effective::of(&levels).metadata_defaults();
        let hops = set.and_then(|set| set.options.http_put_response_hop_limit);
        prop_assert_eq!(hops.map(model::HopLimit::as_hops), expected.map(|(hops, _)| *hops));
    }

    /// Whatever stands there is read or refused.
    #[test]
    fn no_text_is_too_much(text in r#"[{}\[\]":,@a-z0-9\\ _-]{0,80}"#) {
        let _ = Content::parse(&text);
    }
}
