//! `imds policy check`: verdicts, their reasons, and documents that are none.

use std::fs::File;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::running::{Ended, Home};

const INSTANCES: &str = "arn:aws:ec2:us-east-1:123456789012:instance/*";

const ADMINISTRATOR: &str = r#"{"Version": "2012-10-17", "Statement":
    {"Sid": "All", "Effect": "Allow", "Action": "*", "Resource": "*"}}"#;

const REQUIRE_V2: &str = r#"{"Version": "2012-10-17", "Statement":
    {"Sid": "RequireImdsV2", "Effect": "Deny", "Action": "ec2:RunInstances",
     "Resource": "arn:aws:ec2:*:*:instance/*",
     "Condition": {"StringNotEquals": {"ec2:MetadataHttpTokens": "required"}}}}"#;

const FEW_HOPS: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"},
    {"Sid": "Launch", "Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*",
     "Condition": {"Bool": {"aws:SecureTransport": "true"},
                   "NumericLessThan": {"ec2:MetadataHttpPutResponseHopLimit": "3"}}}]}"#;

fn home() -> Home {
    let home = Home::new();
    home.write("admin.json", ADMINISTRATOR);
    home.write("require-v2.json", REQUIRE_V2);
    home.write("few-hops.json", FEW_HOPS);
    home
}

/// Runs `imds policy check` about launching an instance.
fn check(home: &Home, arguments: &[&str]) -> Ended {
    let about = ["policy", "check", "--action", "ec2:RunInstances", "--resource", INSTANCES];
    home.run(&[&about, arguments].concat())
}

fn lines(ended: &Ended) -> Vec<Value> {
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_check_says_what_decided_and_its_exit_code_too() {
    let home = home();
    let policies = ["--policy", "admin.json", "--policy", "require-v2.json", "--context"];
    let of = |tokens: &str| {
        let key = format!("ec2:MetadataHttpTokens={tokens}");
        check(&home, &[&policies[..], &[&key]].concat())
    };
    let denied = of("optional");
    assert_eq!((denied.code, denied.stderr.as_str()), (Some(3), ""), "{denied:?}");
    assert_eq!(
        denied.stdout,
        format!(
            "denied   ec2:RunInstances on {INSTANCES}\n         by statement `RequireImdsV2` of \
             `require-v2.json`, an identity-based policy\n         holds: StringNotEquals \
             ec2:MetadataHttpTokens \"required\", found \"optional\"\n"
        )
    );
    let allowed = of("required");
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
    let by = "by statement `All` of `admin.json`, an identity-based policy\n";
    assert!(allowed.stdout.starts_with("allowed  ") && allowed.stdout.ends_with(by), "{allowed:?}");
}

#[test]
fn an_explanation_is_a_tree_of_everything_that_was_looked_at() {
    let ended = check(
        &home(),
        &[
            "--policy",
            "few-hops.json",
            "--scp",
            "root=FullAWSAccess",
            "--scp",
            "ou-1=FullAWSAccess",
            "--scp",
            "ou-1=require-v2.json",
            "--context",
            "ec2:MetadataHttpTokens=required",
            "--context",
            "ec2:MetadataHttpPutResponseHopLimit=4",
            "--context",
            "aws:SecureTransport=true",
            "--principal",
            "arn:aws:iam::123456789012:user/dev",
            "--explain",
        ],
    );
    let expected = "\
arn:aws:iam::123456789012:user/dev asks for ec2:RunInstances on \
arn:aws:ec2:us-east-1:123456789012:instance/*
denied: no identity-based policy allows it: statement `Launch` of `few-hops.json` would, but \
NumericLessThan ec2:MetadataHttpPutResponseHopLimit \"3\": the request has another value than it asks for
├─ service control policy at `root`: allows
│  └─ Allow, statement 0 of `FullAWSAccess`: applies
├─ service control policy at `ou-1`: allows
│  ├─ Allow, statement 0 of `FullAWSAccess`: applies
│  └─ Deny, statement `RequireImdsV2` of `require-v2.json`: its condition does not hold
│     └─ fails: StringNotEquals ec2:MetadataHttpTokens \"required\", found \"required\"
└─ identity-based policy: nothing allows
   ├─ Allow, statement 0 of `few-hops.json`: about other actions: ec2:Describe*
   └─ Allow, statement `Launch` of `few-hops.json`: its condition does not hold
      ├─ holds: Bool aws:SecureTransport \"true\", found \"true\"
      └─ fails: NumericLessThan ec2:MetadataHttpPutResponseHopLimit \"3\", found \"4\"
";
    assert_eq!(ended.stdout, expected);
    assert_eq!(ended.code, Some(3));
}

#[test]
fn programs_get_an_object_for_each_action_on_each_resource() {
    let image = "arn:aws:ec2:us-east-1::image/ami-0abcdef1234567890";
    let ended = check(
        &home(),
        &[
            "--json",
            "--policy",
            "few-hops.json",
            "--action",
            "ec2:DescribeTags",
            "--resource",
            image,
        ],
    );
    let lines = lines(&ended);
    let asked: Vec<_> = lines.iter().map(|line| (&line["action"], &line["resource"])).collect();
    let (run, describe) = (json!("ec2:RunInstances"), json!("ec2:DescribeTags"));
    let (instances, image) = (json!(INSTANCES), json!(image));
    assert_eq!(
        asked,
        [(&run, &instances), (&run, &image), (&describe, &instances), (&describe, &image)]
    );
    assert_eq!(
        lines[0],
        json!({
            "principal": "arn:aws:iam::123456789012:user/anybody",
            "action": "ec2:RunInstances",
            "resource": INSTANCES,
            "allowed": false,
            "decision": "implicit_deny",
            "reason": "no identity-based policy allows it: statement `Launch` of `few-hops.json` \
                       would, but for its condition",
            "aws_reason": "because no identity-based policy allows the ec2:RunInstances action",
            "layer": "identity_policy",
            "level": null,
            "policy": "few-hops.json",
            "statement": {"index": 1, "sid": "Launch"},
            "missing": "condition",
            "condition": [
                {"operator": "Bool", "key": "aws:SecureTransport", "wanted": ["true"],
                 "found": [], "holds": false, "failure": "key_missing"},
                {"operator": "NumericLessThan", "key": "ec2:MetadataHttpPutResponseHopLimit",
                 "wanted": ["3"], "found": [], "holds": false, "failure": "key_missing"},
            ],
        })
    );
    assert_eq!((&lines[2]["allowed"], &lines[2]["missing"]), (&json!(true), &Value::Null));
    assert_eq!(ended.code, Some(3), "one of them is denied");
}

#[test]
fn a_request_is_kept_in_a_file_beside_its_documents() {
    let home = home();
    std::fs::create_dir(home.path().join("checks")).unwrap();
    home.write("checks/scp.json", REQUIRE_V2);
    let request = json!({
        "policy": "../admin.json",
        "scp": {"root": "FullAWSAccess", "ou-1": ["FullAWSAccess", "scp.json"]},
        "principal": "arn:aws:sts::123456789012:assumed-role/app/i-1",
        "action": ["ec2:RunInstances"],
        "resource": INSTANCES,
        "context": {"ec2:MetadataHttpTokens": "optional", "ec2:MetadataHttpPutResponseHopLimit": 2},
    });
    home.write("checks/launch.json", request.to_string());
    let check = |more: &[&str]| {
        home.run(
            &[&["policy", "check", "--request", "checks/launch.json", "--json"], more].concat(),
        )
    };
    let ended = check(&[]);
    let line = &lines(&ended)[0];
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert_eq!(line["principal"], "arn:aws:sts::123456789012:assumed-role/app/i-1");
    let place = (&line["layer"], &line["level"], &line["policy"]);
    let expected = (json!("service_control_policy"), json!("ou-1"), json!("checks/scp.json"));
    assert_eq!(place, (&expected.0, &expected.1, &expected.2));
    // A flag takes the place of its member.
    let ended = check(&["--context", "EC2:metadatahttptokens=required"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let ended = check(&["--scp", "root=FullAWSAccess", "--scp", "ou-1="]);
    assert_eq!(lines(&ended)[0]["missing"], "policy", "{ended:?}");
}

#[test]
fn each_layer_can_be_given() {
    let home = home();
    let resource = |effect: &str| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "{effect}", "Action": "*",
            "Resource": "*", "Principal": "*"}}}}"#
        )
    };
    home.write("deny-all.json", ADMINISTRATOR.replace("Allow", "Deny"));
    home.write("deny-everyone.json", resource("Deny"));
    home.write("allow-everyone.json", resource("Allow"));
    let session = ["--principal", "arn:aws:iam::123456789012:role/app"];
    for (arguments, layer) in [
        (&["--policy", "deny-all.json"][..], "identity_policy"),
        (&["--boundary", "deny-all.json"], "permissions_boundary"),
        (&["--session-policy", "deny-all.json"], "session_policy"),
        (&["--resource-policy", "deny-everyone.json"], "resource_policy"),
        (&["--scp", "root=deny-all.json"], "service_control_policy"),
        (&["--rcp", "root=deny-everyone.json"], "resource_control_policy"),
    ] {
        let ended = check(&home, &[&session[..], &["--json"], arguments].concat());
        let line = &lines(&ended)[0];
        assert_eq!(line["layer"], layer, "{line}");
        assert_eq!(line["decision"], "explicit_deny", "{line}");
    }
    let ended =
        check(&home, &["--principal", "anonymous", "--resource-policy", "allow-everyone.json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    home.write(
        "trust.json",
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": "ec2.amazonaws.com"}}}"#,
    );
    let role = "arn:aws:iam::123456789012:role/app";
    for (principal, code) in [("ec2.amazonaws.com", 0), ("arn:aws:iam::123456789012:root", 3)] {
        let ended = home.run(&[
            "policy",
            "check",
            "--trust-policy",
            "trust.json",
            "--principal",
            principal,
            "--action",
            "sts:AssumeRole",
            "--resource",
            role,
        ]);
        assert_eq!(ended.code, Some(code), "{ended:?}");
    }
}

#[test]
fn keys_and_tags_have_the_values_that_are_given() {
    let home = home();
    home.write(
        "tagged.json",
        r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*",
        "Resource": "*", "Condition": {
            "ForAllValues:StringEquals": {"aws:TagKeys": ["Name", "team"]},
            "StringEquals": {"aws:PrincipalTag/team": "web", "aws:username": "dev"},
            "DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}}}"#,
    );
    let dev = ["--policy", "tagged.json", "--principal", "arn:aws:iam::123456789012:user/a/dev"];
    let web =
        [&dev[..], &["--principal-tag", "team=web", "--context", "aws:TagKeys=Name"]].concat();
    assert_eq!(check(&home, &web).code, Some(0));
    assert_eq!(
        check(&home, &[&web[..], &["--context", "aws:tagkeys=owner"]].concat()).code,
        Some(3)
    );
    assert_eq!(
        check(&home, &[&web[..], &["--context", "aws:TagKeys=owner"]].concat()).code,
        Some(3)
    );
    assert_eq!(check(&home, &dev).code, Some(3));
}

#[test]
fn standard_input_is_a_document() {
    let home = home();
    let file = File::open(home.path().join("admin.json")).unwrap();
    let mut command =
        home.imds(&["policy", "check", "--policy", "-", "--action", "ec2:RunInstances"]);
    command.stdin(Stdio::from(file));
    assert_eq!(Ended::of(command).code, Some(0));
    let twice = check(&home, &["--policy", "-", "--boundary", "-"]);
    assert_eq!(twice.code, Some(2));
    assert!(twice.stderr.contains("one document"), "{twice:?}");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let home = home();
    home.write("effect.json", ADMINISTRATOR.replace("Allow", "allow"));
    home.write("comma.json", "{\n  \"Version\": \"2012-10-17\",\n}");
    home.write("bytes.json", b"\xff");
    home.write("long.json", ADMINISTRATOR.replace("All\"", &format!("{}\"", "A".repeat(20_000))));
    home.write("request.json", r#"{"actions": "ec2:RunInstances"}"#);
    let admin = ["--policy", "admin.json"];
    for (arguments, parts) in [
        (&["--policy", "effect.json"][..], &["effect.json: at `$.Statement.Effect`", "`Deny`"][..]),
        (&["--policy", "comma.json"], &["comma.json", "line 3 column 1"]),
        (&["--policy", "bytes.json"], &["bytes.json is not UTF-8"]),
        (&["--policy", "long.json"], &["long.json", "10240", "split it"]),
        (&["--policy", "none.json"], &["none.json cannot be read", "No such file"]),
        (&["--policy", "."], &[". cannot be read"]),
        (&["--trust-policy", "admin.json"], &["admin.json", "a trust policy has no `Resource`"]),
        (&["--resource-policy", "admin.json"], &["`Principal` is missing"]),
        (&["--scp", "admin.json"], &["--scp `admin.json`: write it as LEVEL=FILE"]),
        (&["--request", "request.json"], &["request.json", "unknown field `actions`", "line 1"]),
        (&["--principal", "dev"], &["`dev` is nobody who can ask"]),
        (&["--principal", "ec2.amazonaws.com", "--boundary", "admin.json"], &["--principal"]),
        (&["--session-policy", "admin.json"], &["only the session of a role"]),
        (&["--context", "tokens=optional"], &["`tokens` is not a condition key"]),
        (&["--context", "ec2:Region"], &["write it as KEY=VALUE"]),
        (&["--resource-account", "12"], &["--resource-account `12`"]),
        (&["--action", "RunInstances"], &["`RunInstances` is not an action: use `service:Name`"]),
    ] {
        let ended = check(&home, &[&admin[..], arguments].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?} {ended:?}");
        for part in parts {
            assert!(ended.stderr.contains(part), "{arguments:?}: no `{part}` in {}", ended.stderr);
        }
    }
    let ended = home.run(&["policy", "check", "--policy", "admin.json"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("name an action with --action"), "{ended:?}");
}

#[test]
fn a_value_that_matches_nothing_is_told() {
    let home = home();
    home.write(
        "typo.json",
        ADMINISTRATOR.replace(
            "\"Sid\"",
            r#""Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/33"}}, "Sid""#,
        ),
    );
    let ended = check(&home, &["--policy", "typo.json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = "typo.json, statement 0: NotIpAddress cannot read `10.0.0.0/33`";
    assert!(ended.stderr.contains(said), "{ended:?}");
}

#[test]
fn nothing_that_a_document_holds_steers_a_terminal() {
    let home = home();
    let evil = "\u{1b}[2J";
    for explain in [&[][..], &["--explain"]] {
        let ended = check(&home, &[&["--resource", evil], explain].concat());
        let is_plain = ended.stdout.chars().all(|c| c == '\n' || !c.is_control());
        assert!(is_plain && ended.stdout.contains("\u{fffd}[2J"), "{ended:?}");
    }
}
