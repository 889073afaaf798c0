//! Policy documents: the first line is what is asked, and what follows is the document.
//!
//! The line has an action, a resource, and keys as `key=value`, between blanks.

use policy::{
    Context, DocumentKind, Layers, Policy, Principal, PrincipalKind, Request, Value, Verdict,
    decide, explain,
};
use serde_json::Value as Json;

/// Compiles the document as every kind, and decides the request with it.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (line, document) = text.split_once('\n').unwrap_or(("a:b *", &text));
    for kind in DocumentKind::ALL {
        if let Err(refusal) = Policy::compile("fuzz", kind, document) {
            assert!(!refusal.to_string().is_empty());
            let denies = Policy::compile_or_deny("fuzz", kind, document);
            if let Some(request) = ask(line) {
                let verdict = verdict(&denies, &request);
                assert_eq!(verdict, Said::ExplicitDeny, "{document}");
            }
        }
    }
    let Ok(policy) = Policy::compile("fuzz", DocumentKind::Managed, document) else { return };
    let Some(request) = ask(line) else { return };
    let said = verdict(&policy, &request);
    let json: Json = serde_json::from_str(document).expect("what is accepted is JSON");

    // The order of keys and the white space between them mean nothing.
    if let Ok(again) = Policy::compile("fuzz", DocumentKind::Managed, &json.to_string()) {
        assert_eq!(verdict(&again, &request), said, "{document}");
    }
    assert_eq!(one_by_one(&json, &request), said, "{document}");
    // What allows would deny if it said so, and what only denies never allows.
    let mut denying = json.clone();
    let statements = match &mut denying["Statement"] {
        Json::Array(statements) => statements.iter_mut().collect::<Vec<_>>(),
        single => vec![single],
    };
    let mut has_allow = false;
    for statement in statements {
        has_allow |= statement["Effect"] == "Allow";
        statement["Effect"] = Json::from("Deny");
    }
    assert!(has_allow || said != Said::Allowed, "{document}");
    if let Ok(denying) = Policy::compile("fuzz", DocumentKind::Managed, &denying.to_string()) {
        let denied = verdict(&denying, &request) == Said::ExplicitDeny;
        assert_eq!(denied, said != Said::ImplicitDeny, "{document}");
    }
}

/// What the statements say, each in a document of its own.
fn one_by_one(json: &Json, request: &Request) -> Said {
    let statements = match &json["Statement"] {
        Json::Array(statements) => statements.clone(),
        single => vec![single.clone()],
    };
    let said = |statement: &Json| {
        let mut alone = json.clone();
        alone["Statement"] = statement.clone();
        let policy = Policy::compile("fuzz", DocumentKind::Managed, &alone.to_string());
        verdict(&policy.expect("a statement alone is one too"), request)
    };
    let all: Vec<_> = statements.iter().map(said).collect();
    let has = |one| all.contains(&one);
    match (has(Said::ExplicitDeny), has(Said::Allowed)) {
        (true, _) => Said::ExplicitDeny,
        (false, true) => Said::Allowed,
        (false, false) => Said::ImplicitDeny,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

fn verdict(policy: &Policy, request: &Request) -> Said {
    let identity = [policy];
    let layers = Layers { identity: &identity, ..Layers::EMPTY };
    let explanation = explain(&layers, request);
    assert_eq!(decide(&layers, request), explanation.verdict);
    assert!(explanation.to_string().contains(request.action()));
    match explanation.verdict {
        Verdict::Allowed(_) => Said::Allowed,
        Verdict::ExplicitDeny(_) => Said::ExplicitDeny,
        Verdict::ImplicitDeny(_) => Said::ImplicitDeny,
    }
}

fn ask(line: &str) -> Option<Request> {
    let mut words = line.split_whitespace();
    let (action, resource) = (words.next()?, words.next()?);
    if action.eq_ignore_ascii_case("sts:GetCallerIdentity") {
        return None;
    }
    let mut context = Context::default();
    for word in words {
        let (key, value) = word.split_once('=')?;
        context.insert(key, vec![Value::text(value)]).ok()?;
    }
    let account = "123456789012".parse().ok()?;
    let principal = Principal {
        kind: PrincipalKind::User { name: "dev".to_owned() },
        account: Some(account),
        arn: "arn:aws:iam::123456789012:user/dev".to_owned(),
        tags: Vec::new(),
    };
    Request::new(principal, action, resource, account, context).ok()
}
