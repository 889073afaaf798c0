//! Instances shown and changed while the server runs: in force for the next request, and durable.

use serde_json::{Value, json};

use crate::exchange::{exchange, read, read_tokenless, token, token_request, value};
use crate::running::{DEFAULT_INSTANCE, Home};

/// `imds instance options` of the default instance, with JSON back.
fn modify(home: &Home, options: &[&str]) -> Value {
    let command = ["instance", "options", DEFAULT_INSTANCE, "--json"];
    home.json_result(&[&command[..], options].concat())
}

#[test]
fn tokens_become_optional_and_required_for_the_very_next_request() {
    let home = Home::new();
    let server = home.start(&[]);
    let path = "/latest/meta-data/instance-id";
    for _ in 0..50 {
        assert_eq!(read_tokenless(server.address(), path).status, 401);
        let shown = modify(&home, &["--http-tokens", "optional"]);
        assert_eq!(shown["options"]["http_tokens"], "optional");
        assert_eq!(read_tokenless(server.address(), path).status, 200);
        modify(&home, &["--http-tokens", "required"]);
    }
}

#[test]
fn a_change_outlives_the_death_of_the_server() {
    let home = Home::new();
    for (tokens, status) in [("optional", 200), ("required", 401), ("optional", 200)] {
        let server = home.start(&[]);
        modify(&home, &["--http-tokens", tokens]);
        server.kill();
        let server = home.start(&[]);
        assert_eq!(read_tokenless(server.address(), "/latest/").status, status);
        server.kill();
    }
}

#[test]
fn a_later_change_wins_over_the_one_made_at_start() {
    let home = Home::new();
    let server = home.start(&["--http-tokens", "optional"]);
    assert_eq!(read_tokenless(server.address(), "/latest/").status, 200);
    modify(&home, &["--http-tokens", "required"]);
    assert_eq!(read_tokenless(server.address(), "/latest/").status, 401);
    server.stop();
    let server = home.start(&[]);
    assert_eq!(read_tokenless(server.address(), "/latest/").status, 401);
}

#[test]
fn a_disabled_endpoint_answers_403_and_nothing_else() {
    let home = Home::new();
    let server = home.start(&[]);
    let granted = token(server.address());
    modify(&home, &["--http-endpoint", "disabled"]);
    let address = server.address();
    for answer in [
        exchange(address, token_request("60").as_bytes()),
        read(address, "/latest/meta-data/", &granted),
        read_tokenless(address, "/latest/meta-data/"),
    ] {
        assert_eq!((answer.status, answer.body.len()), (403, 0));
    }
    modify(&home, &["--http-endpoint", "enabled"]);
    assert_eq!(read(address, "/latest/meta-data/", &granted).status, 200);
}

#[test]
fn tags_are_shown_once_they_are_enabled() {
    let home = Home::new();
    let server = home.start_with(
        "default_instance = \"i-0000000000000000a\"\n[[instance]]\nid = \"i-0000000000000000a\"\n\
         tags = { Name = \"web\" }\n",
    );
    let path = "/latest/meta-data/tags/instance/Name";
    let granted = token(server.address());
    assert_eq!(read(server.address(), path, &granted).status, 404);
    let command = ["instance", "options", "i-0000000000000000a"];
    home.result(&[&command[..], &["--instance-metadata-tags", "enabled"]].concat());
    assert_eq!(value(server.address(), path), "web");
}

#[test]
fn what_one_change_leaves_out_another_keeps() {
    let home = Home::new();
    let _server = home.start(&[]);
    modify(&home, &["--http-put-response-hop-limit", "64"]);
    modify(&home, &["--http-tokens", "optional", "--http-protocol-ipv6", "enabled"]);
    let expected = json!({
        "http_tokens": "optional",
        "http_put_response_hop_limit": 64,
        "http_endpoint": "enabled",
        "http_protocol_ipv6": "enabled",
        "instance_metadata_tags": "disabled",
    });
    // No option named: they are shown.
    assert_eq!(modify(&home, &[])["options"], expected);
    let text = home.result(&["instance", "options", DEFAULT_INSTANCE]);
    let rows: Vec<Vec<_>> = text
        .lines()
        .map(|l| l.split_whitespace().filter(|word| !matches!(*word, "set" | "by:")).collect())
        .collect();
    assert_eq!(
        rows,
        [
            ["http-tokens", "optional", "modify"],
            ["http-put-response-hop-limit", "64", "modify"],
            ["http-endpoint", "enabled", "platform"],
            ["http-protocol-ipv6", "enabled", "modify"],
            ["instance-metadata-tags", "disabled", "platform"],
        ]
    );
}

#[test]
fn bad_options_are_usage_errors_and_change_nothing() {
    let home = Home::new();
    let _server = home.start(&[]);
    let before = modify(&home, &[]);
    for (option, given, cure) in [
        ("--http-tokens", "yes", "`optional` or `required`"),
        ("--http-put-response-hop-limit", "0", "1 to 64"),
        ("--http-put-response-hop-limit", "65", "1 to 64"),
        ("--http-put-response-hop-limit", "two", "1 to 64"),
        ("--http-endpoint", "on", "`disabled` or `enabled`"),
        ("--http-protocol-ipv6", "true", "`disabled` or `enabled`"),
        ("--instance-metadata-tags", "", "`disabled` or `enabled`"),
    ] {
        let good = ["--http-tokens", "optional"];
        let command = ["instance", "options", DEFAULT_INSTANCE, option, given];
        let more = if option == good[0] { &[][..] } else { &good };
        let ended = home.run(&[&command[..], more].concat());
        assert_eq!(ended.code, Some(2), "{option} {given}: {ended:?}");
        assert_eq!(ended.stdout, "");
        for part in [option, &format!("`{given}`"), cure] {
            assert!(ended.stderr.contains(part), "lacks {part}: {ended:?}");
        }
    }
    assert_eq!(modify(&home, &[]), before);
}

#[test]
fn an_instance_that_is_not_there_is_told() {
    let home = Home::new();
    let _server = home.start(&[]);
    for command in [
        &["instance", "show", "i-0000000000000000f"][..],
        &["instance", "options", "i-0000000000000000f", "--http-tokens", "optional"],
    ] {
        let ended = home.run(command);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains("there is no instance `i-0000000000000000f`"));
    }
    let ended = home.run(&["instance", "show", "web-1"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("`web-1`"));
}

#[test]
fn list_and_show_have_a_stable_shape() {
    let home = Home::new();
    let server = home.start_with(
        "[[instance]]\nid = \"i-0000000000000000a\"\ninstance_type = \"t3.nano\"\n\
         attachments = [{ listener = \"127.0.0.1:0\" }]\n",
    );
    let urls: Vec<_> = server.metadata.iter().map(|at| format!("http://{at}/")).collect();
    let lines = home.result(&["instance", "list", "--json"]);
    let listed: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed.len(), 2, "one object a line");
    for (instance, (id, endpoint)) in
        listed.iter().zip([("i-0000000000000000a", &urls[1]), (DEFAULT_INSTANCE, &urls[0])])
    {
        assert_eq!(instance["instance_id"], id);
        assert_eq!(instance["endpoints"], json!([endpoint]));
        let shown = home.json_result(&["instance", "show", id, "--json"]);
        assert_eq!(&shown, instance);
        let keys = shown.as_object().unwrap().keys();
        for key in keys {
            assert!(key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{key}");
        }
    }
    assert_eq!(listed[0]["instance_type"], "t3.nano");
    assert_eq!(listed[1]["options"]["http_put_response_hop_limit"], 2);
    // Without --json it is for people.
    let shown = home.result(&["instance", "show", DEFAULT_INSTANCE]);
    assert!(shown.contains("http-put-response-hop-limit  2         set by: image"), "{shown}");
    let table = home.result(&["instance", "list"]);
    assert!(table.starts_with("INSTANCE"), "{table}");
    assert!(table.contains("t3.nano") && table.contains(&urls[0]), "{table}");
}

#[test]
fn user_data_over_the_limit_is_refused_when_it_is_set() {
    let home = Home::new();
    let server = home.start(&[]);
    let mut instance = home.instance(DEFAULT_INSTANCE);
    let path = "/latest/user-data";
    let before = value(server.address(), path);

    instance["user_data"] = "x".repeat(16_385).into();
    let refusal = home.put_instance(&instance).unwrap_err();
    assert!(refusal.contains("16385") && refusal.contains("16384"), "{refusal}");
    assert_eq!(value(server.address(), path), before);

    instance["user_data"] = "x".repeat(16_384).into();
    home.put_instance(&instance).unwrap();
    assert_eq!(value(server.address(), path), "x".repeat(16_384));
}

#[test]
fn what_does_not_hold_together_is_refused_when_it_is_set() {
    let home = Home::new();
    let server = home.start(&[]);
    let good = home.instance(DEFAULT_INSTANCE);
    for (key, bad, part) in [
        ("interfaces", json!([]), "network interface"),
        ("instance_profile", json!({ "name": "x", "role": "x" }), "`x`"),
        ("instance_typ", json!("t3.nano"), "instance_typ"),
        ("pending_time", json!("yesterday"), "yesterday"),
        ("tags", json!({ "": "x" }), "tag"),
    ] {
        let mut instance = good.clone();
        instance[key] = bad;
        let refusal = home.put_instance(&instance).unwrap_err();
        assert!(refusal.contains(part), "{key}: {refusal}");
    }
    assert_eq!(home.instance(DEFAULT_INSTANCE), good);
    server.stop();
}

#[test]
fn what_is_no_question_is_refused_with_a_reason() {
    let home = Home::new();
    let _server = home.start(&[]);
    for question in [json!({ "action": "launch_rockets" }), json!(7), json!({})] {
        assert!(!home.ask(&question).unwrap_err().is_empty());
    }
}
