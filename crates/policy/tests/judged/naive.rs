//! A second evaluator, written from the rules alone: slow, plain, on the JSON itself, and without a
//! line of the first one. The documents are taken to be well formed.

use std::collections::BTreeMap;

use serde_json::Value;

/// Who asks for what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    /// `user`, `root`, `session`, `linked`, `service`, `federated` or `anonymous`.
    pub(crate) kind: &'static str,
    pub(crate) account: String,
    pub(crate) arn: String,
    /// The ARN of the role, the name of the service or of the provider.
    pub(crate) behind: String,
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) resource_account: String,
    /// Keys in lower case.
    pub(crate) keys: BTreeMap<String, Vec<String>>,
}

/// What is in force.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    pub(crate) rcp: Option<Vec<Vec<Value>>>,
    pub(crate) scp: Option<Vec<Vec<Value>>>,
    pub(crate) resource: Vec<Value>,
    pub(crate) trust: Option<Value>,
    pub(crate) identity: Vec<Value>,
    pub(crate) boundary: Option<Value>,
    pub(crate) session: Option<Vec<Value>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

pub(crate) fn decide(world: &World, ask: &Ask) -> Answer {
    if ask.action.eq_ignore_ascii_case("sts:GetCallerIdentity") {
        return Answer::Allowed;
    }
    let scp =
        if ["user", "root", "session"].contains(&ask.kind) { world.scp.clone() } else { None };
    let guards: Vec<_> = world.rcp.iter().chain(&scp).flatten().cloned().collect();
    let resource: Vec<_> = world.resource.iter().chain(&world.trust).cloned().collect();
    let mut everything: Vec<_> = guards.iter().flatten().cloned().collect();
    everything.extend(resource.iter().cloned());
    everything.extend(world.identity.iter().cloned());
    everything.extend(world.boundary.iter().cloned());
    everything.extend(world.session.iter().flatten().cloned());
    if speaks(&everything, "Deny", ask) {
        return Answer::ExplicitDeny;
    }
    if guards.iter().any(|level| !speaks(level, "Allow", ask)) {
        return Answer::ImplicitDeny;
    }
    let closeness = closeness(&resource, ask);
    if ["service", "federated", "anonymous"].contains(&ask.kind) {
        return if closeness.is_empty() { Answer::ImplicitDeny } else { Answer::Allowed };
    }
    let same = ask.account == ask.resource_account;
    if (!same || world.trust.is_some()) && closeness.is_empty() {
        return Answer::ImplicitDeny;
    }
    let by_itself = same && closeness.iter().any(|name| *name != "account");
    let identity = speaks(&world.identity, "Allow", ask) || ask.kind == "root";
    let skips_boundary = same && closeness.iter().any(|name| ["user", "session"].contains(name));
    let skips_session = same && closeness.contains(&"session");
    let boundary = match &world.boundary {
        Some(policy) => skips_boundary || speaks(std::slice::from_ref(policy), "Allow", ask),
        None => true,
    };
    let session = match &world.session {
        Some(policies) => skips_session || speaks(policies, "Allow", ask),
        None => true,
    };
    if (by_itself || identity) && boundary && session {
        Answer::Allowed
    } else {
        Answer::ImplicitDeny
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn texts(value: &Value) -> Vec<String> {
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    list(value).iter().map(text).collect()
}

fn applying<'a>(policies: &'a [Value], effect: &str, ask: &Ask) -> Vec<(Value, &'a Value)> {
    let mut found = Vec::new();
    for policy in policies {
        for statement in list(&policy["Statement"]) {
            if statement["Effect"] == effect && applies(&statement, policy, ask) {
                found.push((statement, policy));
            }
        }
    }
    found
}

fn speaks(policies: &[Value], effect: &str, ask: &Ask) -> bool {
    !applying(policies, effect, ask).is_empty()
}

/// All the ways in which statements that allow name who asks.
fn closeness(policies: &[Value], ask: &Ask) -> Vec<&'static str> {
    let mut found = Vec::new();
    for (statement, _) in applying(policies, "Allow", ask) {
        found.extend(names(&statement["Principal"], ask));
    }
    found
}

fn names(principal: &Value, ask: &Ask) -> Vec<&'static str> {
    let mut found = Vec::new();
    if principal == "*" {
        found.push("everyone");
    }
    for name in principal.get("AWS").map(texts).unwrap_or_default() {
        let root = format!("arn:aws:iam::{}:root", ask.account);
        if name == "*" {
            found.push("everyone");
        } else if !ask.account.is_empty() && (name == ask.account || name == root) {
            found.push("account");
        } else if name == ask.arn && ask.kind == "user" {
            found.push("user");
        } else if name == ask.arn && ["session", "linked"].contains(&ask.kind) {
            found.push("session");
        } else if name == ask.behind && ["session", "linked"].contains(&ask.kind) {
            found.push("role");
        }
    }
    for (provider, kind) in [("Service", "service"), ("Federated", "federated")] {
        let named = principal.get(provider).map(texts).unwrap_or_default();
        if ask.kind == kind && named.contains(&ask.behind) {
            found.push("provider");
        }
    }
    found
}

/// Whoever belongs to an account is excepted if the account is, and also the user or the role.
fn excepts(not: &Value, ask: &Ask) -> bool {
    let found = names(not, ask);
    let has_account = found.contains(&"account");
    found.contains(&"everyone")
        || found.contains(&"provider")
        || (has_account && (ask.kind == "root" || found.iter().any(|name| *name != "account")))
}

fn applies(statement: &Value, policy: &Value, ask: &Ask) -> bool {
    let new = policy["Version"] == "2012-10-17";
    let about = |names: [&str; 2], has: &dyn Fn(&str) -> bool| match statement.get(names[0]) {
        Some(these) => texts(these).iter().any(|text| has(text)),
        None => statement.get(names[1]).is_none_or(|not| !texts(not).iter().any(|text| has(text))),
    };
    let lower = ask.action.to_lowercase();
    let action = |text: &str| glob(&wild(&text.to_lowercase()), &lower);
    let resource = |text: &str| {
        pattern(text, new, true, ask).is_some_and(|pattern| glob(&pattern, &ask.resource))
    };
    let principal = match (statement.get("Principal"), statement.get("NotPrincipal")) {
        (Some(these), _) => !names(these, ask).is_empty(),
        (None, Some(not)) => !excepts(not, ask),
        (None, None) => true,
    };
    let none = serde_json::Map::new();
    let condition = statement.get("Condition").and_then(Value::as_object).unwrap_or(&none);
    about(["Action", "NotAction"], &action)
        && about(["Resource", "NotResource"], &resource)
        && principal
        && condition.iter().all(|(operator, keys)| {
            let mut keys = keys.as_object().unwrap().iter();
            keys.all(|(key, values)| holds(operator, key, &texts(values), new, ask))
        })
}

/// Whether one line of a condition holds.
fn holds(operator: &str, key: &str, wanted: &[String], new: bool, ask: &Ask) -> bool {
    let has = ask.keys.get(&key.to_lowercase()).cloned().unwrap_or_default();
    if operator == "Null" {
        return wanted.iter().any(|text| (text == "true") == has.is_empty());
    }
    let (set, name) = operator.split_once(':').unwrap_or(("", operator));
    let name_only = name.strip_suffix("IfExists").unwrap_or(name);
    let negated = name_only.contains("Not");
    if has.is_empty() {
        return name != name_only
            || match set {
                "ForAllValues" => true,
                "ForAnyValue" => false,
                _ => negated,
            };
    }
    let base = name_only.replace("Not", "");
    let each = has
        .iter()
        .map(|value| wanted.iter().any(|text| compare(&base, text, value, new, ask)) != negated);
    let each: Vec<bool> = each.collect();
    match set {
        "ForAllValues" => each.iter().all(|holds| *holds),
        "ForAnyValue" => each.iter().any(|holds| *holds),
        _ if negated => each.iter().all(|holds| *holds),
        _ => each.iter().any(|holds| *holds),
    }
}

fn compare(base: &str, wanted: &str, value: &str, new: bool, ask: &Ask) -> bool {
    let same = |ordering: Option<std::cmp::Ordering>| {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let relation = base.trim_start_matches("Numeric").trim_start_matches("Date");
        matches!(
            (relation, ordering),
            ("Equals" | "LessThanEquals" | "GreaterThanEquals", Some(Equal))
                | ("LessThan" | "LessThanEquals", Some(Less))
                | ("GreaterThan" | "GreaterThanEquals", Some(Greater))
        )
    };
    match base {
        "StringEquals" | "StringEqualsIgnoreCase" => {
            let Some(pattern) = pattern(wanted, new, false, ask) else { return false };
            let wanted: String = pattern.iter().map(|token| token.unwrap_char()).collect();
            if base == "StringEquals" {
                wanted == value
            } else {
                wanted.to_lowercase() == value.to_lowercase()
            }
        }
        "StringLike" => pattern(wanted, new, true, ask).is_some_and(|p| glob(&p, value)),
        "ArnEquals" | "ArnLike" => arn(wanted, value, new, ask),
        "Bool" => {
            let (wanted, value) = (wanted.to_lowercase(), value.to_lowercase());
            wanted == value && ["true", "false"].contains(&wanted.as_str())
        }
        "BinaryEquals" => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"+/=".contains(&b);
            wanted == value && wanted.len().is_multiple_of(4) && wanted.bytes().all(plain)
        }
        "IpAddress" => inside(wanted, value),
        _ if base.starts_with("Numeric") => {
            same(number(value).zip(number(wanted)).and_then(|(a, b)| a.partial_cmp(&b)))
        }
        _ => same(moment(value).zip(moment(wanted)).map(|(a, b)| a.cmp(&b))),
    }
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// In milliseconds.
fn moment(text: &str) -> Option<i64> {
    let whole = text.parse::<model::Timestamp>().ok().map(model::Timestamp::as_millis);
    let seconds = || number(text).filter(|_| text.len() != 4);
    #[expect(clippy::cast_possible_truncation, reason = "the tests use small numbers")]
    whole.or_else(|| seconds().map(|seconds| (seconds * 1000.0).round() as i64))
}

fn inside(block: &str, address: &str) -> bool {
    use std::net::IpAddr;
    let bits = |text: &str| -> Option<(u128, u32)> {
        Some(match text.parse().ok()? {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        })
    };
    let (network, prefix) = block.split_once('/').unwrap_or((block, ""));
    let (Some((network, width)), Some((address, other))) = (bits(network), bits(address)) else {
        return false;
    };
    let prefix = if prefix.is_empty() { Some(width) } else { prefix.parse().ok() };
    let Some(prefix) = prefix.filter(|prefix| *prefix <= width) else { return false };
    let shift = width - prefix;
    width == other && (shift == 128 || network >> shift == address >> shift)
}

fn arn(wanted: &str, value: &str, new: bool, ask: &Ask) -> bool {
    let values: Vec<_> = value.splitn(6, ':').collect();
    let only = wanted.starts_with("${") && wanted.find('}') == Some(wanted.len() - 1);
    if values.len() < 6 {
        return false;
    }
    if new && only && wanted.len() > 4 {
        return pattern(wanted, new, true, ask).is_some_and(|p| glob(&p, value));
    }
    // Colons of variables are no borders: hide them.
    let (mut hidden, mut depth) = (String::new(), false);
    for (at, character) in wanted.char_indices() {
        depth = (depth || (new && wanted[at..].starts_with("${"))) && character != '}';
        hidden.push(if depth && character == ':' { '\u{1}' } else { character });
    }
    let parts: Vec<_> = hidden.splitn(6, ':').map(|part| part.replace('\u{1}', ":")).collect();
    let each = |(part, value): (&String, &&str)| {
        pattern(part, new, true, ask).is_some_and(|p| glob(&p, value))
    };
    parts.len() == 6 && parts.iter().zip(&values).all(each)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Is(char),
    One,
    Run,
}

impl Token {
    fn unwrap_char(self) -> char {
        match self {
            Self::Is(character) => character,
            Self::One => '?',
            Self::Run => '*',
        }
    }
}

fn wild(text: &str) -> Vec<Token> {
    let token = |character| match character {
        '*' => Token::Run,
        '?' => Token::One,
        other => Token::Is(other),
    };
    text.chars().map(token).collect()
}

/// Puts the values of variables in, letter by letter; `None` if one has no value.
fn pattern(text: &str, new: bool, wildcards: bool, ask: &Ask) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let plain = |text: &str| text.chars().map(Token::Is).collect::<Vec<_>>();
    let outside = |text: &str| if wildcards { wild(text) } else { plain(text) };
    let mut rest = text;
    while let Some(start) = rest.find("${").filter(|_| new) {
        tokens.extend(outside(&rest[..start]));
        let end = start + rest[start..].find('}')?;
        let inside = &rest[start + 2..end];
        let (key, default) = match inside.split_once(',') {
            Some((key, default)) => (key, Some(default.trim().trim_matches('\''))),
            None => (inside, None),
        };
        if ["*", "?", "$"].contains(&key) {
            tokens.extend(plain(key));
        } else {
            let values = ask.keys.get(&key.trim().to_lowercase());
            let one = values.filter(|values| values.len() == 1).map(|values| values[0].as_str());
            tokens.extend(plain(one.or(default)?));
        }
        rest = &rest[end + 1..];
    }
    tokens.extend(outside(rest));
    Some(tokens)
}

/// Fills in which rest of the pattern stands for which rest of the text.
fn glob(pattern: &[Token], text: &str) -> bool {
    let text: Vec<_> = text.chars().collect();
    let mut fits: Vec<bool> = (0..=text.len()).map(|at| at == text.len()).collect();
    for token in pattern.iter().rev() {
        let behind = fits.clone();
        for at in (0..=text.len()).rev() {
            let next = |fits: &[bool]| fits.get(at + 1).copied().unwrap_or(false);
            fits[at] = match token {
                Token::Is(character) => text.get(at) == Some(character) && next(&behind),
                Token::One => at < text.len() && next(&behind),
                Token::Run => behind[at] || next(&fits),
            };
        }
    }
    fits[0]
}
