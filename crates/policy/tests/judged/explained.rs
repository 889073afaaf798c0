//! Explanations as people read them.

use std::path::Path;

use policy::explain;

use crate::scene::Scene;

fn explained(scene: &str, more: &[(&str, &str)]) -> String {
    let scene = Scene::parse(scene);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policies");
    let policies = scene.compile(|name| match more.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => (*text).to_owned(),
        None => std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap(),
    });
    policies.with_layers(|layers| explain(layers, &scene.request()).to_string())
}

#[test]
fn every_statement_says_what_it_is_about() {
    let many = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["a:1", "a:2", "a:3", "a:4", "a:5"], "Resource": "*"},
        {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"},
        {"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:s3:::bucket/*"},
        {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::other/*"}]}"#;
    let text = explained(
        "who user dev@123456789012\nask s3:GetObject on arn:aws:s3:::bucket/a\nidentity many\n\
         resource names-service names-user",
        &[("many", many)],
    );
    let expected = "\
arn:aws:iam::123456789012:user/dev asks for s3:GetObject on arn:aws:s3:::bucket/a
allowed by statement `Named` of `names-user` in a resource-based policy
├─ resource-based policy: allows
│  ├─ Allow, statement `Named` of `names-service`: about other principals
│  └─ Allow, statement `Named` of `names-user`: applies to the user
└─ identity-based policy: nothing allows
   ├─ Allow, statement 0 of `many`: about other actions: a:1, a:2, a:3 and 2 more
   ├─ Allow, statement 1 of `many`: about all but these actions: s3:*
   ├─ Deny, statement 2 of `many`: about all but these resources: arn:aws:s3:::bucket/*
   └─ Deny, statement 3 of `many`: about other resources: arn:aws:s3:::other/*
";
    assert_eq!(text, expected);
}

#[test]
fn every_line_of_a_condition_says_what_it_found() {
    let lines = r#"{"Version": "2012-10-17", "Statement": {"Sid": "Lines", "Effect": "Allow",
        "Action": "*", "Resource": "*", "Condition": {
            "ForAnyValue:StringEquals": {"aws:TagKeys": ["Name", "team"]},
            "Null": {"aws:SourceVpc": "false"},
            "StringLike": {"test:Text": "a\"*"}}}}"#;
    let text = explained(
        "who user dev@123456789012\nask test:It on *\nidentity lines\nwith aws:TagKeys = x | team\n\
         with test:Text = b\"",
        &[("lines", lines)],
    );
    let expected = "\
arn:aws:iam::123456789012:user/dev asks for test:It on *
denied: no identity-based policy allows it: statement `Lines` of `lines` would, but Null aws:SourceVpc \"false\": the request does not have the key
└─ identity-based policy: nothing allows
   └─ Allow, statement `Lines` of `lines`: its condition does not hold
      ├─ holds: ForAnyValue:StringEquals aws:TagKeys \"Name\", \"team\", found \"x\", \"team\"
      ├─ fails: Null aws:SourceVpc \"false\", found no such key
      └─ fails: StringLike test:Text \"a\\\"*\", found \"b\\\"\"
";
    assert_eq!(text, expected);
}

#[test]
fn layers_that_bind_nobody_and_policies_that_cannot_be_read_say_so() {
    let text = explained(
        "who linked svc/one@123456789012\nask ec2:StopInstances on *\nscp root deny-all\n\
         rcp management",
        &[],
    );
    let expected = "\
arn:aws:sts::123456789012:assumed-role/svc/one asks for ec2:StopInstances on *
denied: no identity-based policy allows it: there is none
├─ resource control policy: none binds the management account
├─ service control policy: none binds this principal
└─ identity-based policy: there is none
";
    assert_eq!(text, expected);
    let text = explained("who root@123456789012\nask a:b on *\nidentity broken", &[]);
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("   └─ Deny, `broken`, which cannot be read ("), "{text}");
    assert!(last.ends_with(": denies everything"), "{text}");
}
