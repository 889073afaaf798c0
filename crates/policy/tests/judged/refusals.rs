//! What is no policy: each refusal says where, and what is wrong there.

use policy::{
    Context, DOCUMENT_BYTES_MAX, DocumentKind, DocumentRefusal, Policy, Principal, PrincipalKind,
    Request, RequestRefusal, Value,
};

fn refusal(kind: DocumentKind, text: &str) -> String {
    match Policy::compile("p", kind, text) {
        Ok(_) => format!("{text} was accepted"),
        Err(refusal) => refusal.to_string(),
    }
}

/// A document of one statement, without its braces.
fn of(statement: &str) -> String {
    format!(r#"{{"Version": "2012-10-17", "Statement": [{{{statement}}}]}}"#)
}

#[test]
fn a_refusal_says_where_and_what() {
    let all = r#""Effect": "Allow", "Action": "*", "Resource": "*""#;
    let with = |more: &str| of(&format!("{all}, {more}"));
    let condition = |lines: &str| with(&format!(r#""Condition": {{{lines}}}"#));
    for (text, place, words) in [
        ("[]".to_owned(), "at `$`", "a list stands where an object must"),
        (r#"{"Version": "2020-01-01"}"#.to_owned(), "at `$.Version`", "use `2012-10-17`"),
        (r#"{"Version": "2012-10-17"}"#.to_owned(), "at `$`", "`Statement` is missing"),
        (r#"{"Statement": []}"#.to_owned(), "at `$.Statement`", "it is empty"),
        (r#"{"Statement": [], "Extra": 1}"#.to_owned(), "at `$`", "`Extra` is not an element"),
        (r#"{"Id": "x", "Statement": []}"#.to_owned(), "at `$.Id`", "has no `Id`"),
        (of(r#""Action": "*", "Resource": "*""#), "at `$.Statement[0]`", "`Effect` is missing"),
        (of(r#""Effect": "allow""#), "at `$.Statement[0].Effect`", "use `Allow` or `Deny`"),
        (of(r#""Effect": "Allow""#), "at `$.Statement[0]`", "`Action or NotAction` is missing"),
        (of(r#""Effect": "Allow", "Action": "*""#), "at `$.Statement[0]`", "NotResource"),
        (with(r#""NotAction": "a:b""#), "at `$.Statement[0]`", "exclude each other"),
        (with(r#""Principal": "*""#), "at `$.Statement[0].Principal`", "leave it out"),
        (with(r#""Sid": "a b""#), "at `$.Statement[0].Sid`", "not a statement id"),
        (with(r#""Effect": "Deny""#), "`$.Statement[0].Effect` stands there twice", "line 1"),
        (
            of(r#""Effect": "Allow", "Action": ["a:b", "a*:b"], "Resource": "*""#),
            "at `$.Statement[0].Action[1]`",
            "`a*:b` is not an action",
        ),
        (
            of(r#""Effect": "Allow", "Action": "*", "Resource": ["*", "bucket"]"#),
            "at `$.Statement[0].Resource[1]`",
            "use `*`, or an ARN",
        ),
        (
            of(r#""Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:${aws:x}::b""#),
            "at `$.Statement[0].Resource`",
            "behind its fifth colon",
        ),
        (condition(r#""StringIs": {}"#), "`$.Statement[0].Condition.StringIs`", "no"),
        (condition(r#""NullIfExists": {"a:b": true}"#), ".NullIfExists`", "condition operator"),
        (condition(r#""Bool": {}"#), ".Condition.Bool`", "at least one key"),
        (condition(r#""Bool": {"a:b": []}"#), ".Bool['a:b']`", "at least one value"),
        (condition(r#""Bool": {"a:b": null}"#), ".Bool['a:b']`", "null stands where"),
        (condition(r#""Bool": {"ab": true}"#), ".Bool.ab`", "not a condition key"),
        (condition(r#""Null": {"a:b": "no"}"#), ".Null['a:b']`", "use `true` or `false`"),
        (condition(r#""StringLike": {"a:b": "${"}"#), "['a:b']`", "not a variable"),
        (
            condition(r#""NumericEquals": {"ec2:MetadataHttpTokens": 1}"#),
            "['ec2:MetadataHttpTokens']`",
            "which is a text: use `StringEquals`",
        ),
    ] {
        let said = refusal(DocumentKind::Managed, &text);
        assert!(said.contains(place) && said.contains(words), "{text}\n{said}\n{place} {words}");
    }
}

#[test]
fn each_kind_has_its_size_and_elements() {
    for kind in DocumentKind::ALL {
        let long = format!("{{\"Id\": \"{}\"}}", "x".repeat(kind.characters_max()));
        let refusal = Policy::compile("p", kind, &long);
        assert!(matches!(refusal, Err(DocumentRefusal::TooLong { .. })), "{kind:?}");
        let white = format!("{{}}{}", " ".repeat(DOCUMENT_BYTES_MAX));
        let refusal = Policy::compile("p", kind, &white);
        assert!(matches!(refusal, Err(DocumentRefusal::TooManyBytes { .. })), "{kind:?}");
    }
    let all = r#""Effect": "Allow", "Action": "*", "Resource": "*""#;
    let named = |who: &str| of(&format!(r#"{all}, "Principal": {who}"#));
    let trust = of(r#""Effect": "Deny", "Action": "*", "NotPrincipal": {"AWS": "123456789012"}"#);
    for (kind, text, words) in [
        (DocumentKind::Resource, of(all), "`Principal` is missing"),
        (DocumentKind::Trust, named("\"*\""), "has no `Resource`"),
        (DocumentKind::ServiceControl, named("\"*\""), "has no `Principal`"),
        (DocumentKind::Trust, trust, "has no `NotPrincipal`"),
        (DocumentKind::Resource, of(&format!(r#"{all}, "NotPrincipal": "*""#)), "`Deny` alone"),
        (DocumentKind::ResourceControl, named(r#"{"AWS": "123456789012"}"#), "\"*\""),
        (DocumentKind::Resource, named("\"everyone\""), "`AWS`, `Service`"),
        (DocumentKind::Resource, named("{}"), "at least one principal"),
        (DocumentKind::Resource, named(r#"{"AWS": "arn:aws:iam::*:root"}"#), "no principal"),
        (DocumentKind::Resource, named(r#"{"Service": "ec2"}"#), "not a service"),
        (DocumentKind::Resource, named(r#"{"Federated": "*"}"#), "not a provider"),
        (DocumentKind::Resource, named(r#"{"Other": "*"}"#), "not an element"),
    ] {
        let said = refusal(kind, &text);
        assert!(said.contains(words), "{text}\n{said}");
    }
}

#[test]
fn a_value_that_matches_nothing_is_a_doubt() {
    let text = of(r#""Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {"NotIpAddress": {"aws:SourceIp": ["10.0.0.0/33", "10.0.0.0/8"]}}"#);
    let policy = Policy::compile("p", DocumentKind::Managed, &text).unwrap();
    let doubts: Vec<_> = policy.doubts().map(|doubt| (doubt.key, doubt.value)).collect();
    assert_eq!(doubts, [("aws:SourceIp", "10.0.0.0/33")]);
}

#[test]
fn a_request_has_limits() {
    let mut context = Context::default();
    let long = Value::text(&"x".repeat(policy::VALUE_BYTES_MAX + 1));
    assert!(matches!(context.insert("a:b", vec![long]), Err(RequestRefusal::Long(_))));
    let many = vec![Value::number(1); policy::KEY_VALUES_MAX + 1];
    assert!(matches!(context.insert("a:b", many), Err(RequestRefusal::Values(_))));
    for key in 0..policy::CONTEXT_KEYS_MAX {
        context.insert(&format!("a:{key}"), Vec::new()).unwrap();
    }
    assert_eq!(context.insert("a:more", Vec::new()), Err(RequestRefusal::Keys));
    let nobody = Principal {
        kind: PrincipalKind::Anonymous,
        account: None,
        arn: String::new(),
        tags: Vec::new(),
    };
    let account = "123456789012".parse().unwrap();
    let request = Request::new(nobody, "ec2:*", "*", account, Context::default());
    assert!(matches!(request, Err(RequestRefusal::Action(_))));
}
