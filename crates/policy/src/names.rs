//! The names in a document: principals, actions and resources.

use crate::condition::parts;
use crate::document::{Object, Read, each, string};
use crate::json::{Place, quoted};
use crate::pattern::{Pattern, Syntax, Variables, Wildcards};
use crate::principals::Named;
use crate::refusal::{DocumentRefusal, Wrong};

/// Reads the members of a `Principal`.
pub(crate) fn named(members: &Object, place: Place<'_>) -> Read<Vec<Named>> {
    let mut named = Vec::new();
    for (provider, node) in members {
        let place = place.key(provider);
        each(node, place, |node, place| {
            let text = string(node, place)?;
            let is_host = !text.is_empty()
                && text.contains('.')
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
            let is_arn = text.starts_with("arn:aws") && text.contains("provider/");
            let read = match provider.as_str() {
                "AWS" => Named::aws(text).ok_or_else(|| Wrong::Principal(quoted(text))),
                "Service" if is_host => Ok(Named::Service(text.into())),
                "Service" => Err(Wrong::Provider(
                    quoted(text),
                    "a service: use its name, such as `ec2.amazonaws.com`",
                )),
                "Federated" if is_host || (is_arn && !text.contains(['*', '?'])) => {
                    Ok(Named::Federated(text.into()))
                }
                "Federated" => Err(Wrong::Provider(
                    quoted(text),
                    "a provider: use its host name, or the ARN of the provider in the account",
                )),
                "CanonicalUser" => Ok(Named::Canonical),
                _ => Err(Wrong::UnknownElement(
                    quoted(provider),
                    "`AWS`, `Service`, `Federated` or `CanonicalUser`",
                )),
            };
            named.push(read.map_err(|wrong| DocumentRefusal::at(place, wrong))?);
            Ok(())
        })?;
    }
    if named.is_empty() {
        return Err(DocumentRefusal::at(place, Wrong::Empty("at least one principal")));
    }
    Ok(named)
}

/// Reads `service:Name` with wildcards in the name, or `*`.
pub(crate) fn action(text: &str) -> Result<Pattern, Wrong> {
    let (service, name) = text.split_once(':').unwrap_or(("", ""));
    let word = |text: &str, more: &[u8]| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    if text != "*" && !(word(service, b"-") && word(name, b"-_*?")) {
        return Err(Wrong::action(text));
    }
    let syntax = Syntax { wildcards: Wildcards::Special, variables: Variables::Literal };
    Pattern::parse(&text.to_ascii_lowercase(), syntax).map_err(|_| Wrong::action(text))
}

/// Reads `*`, or an ARN with wildcards, and with variables behind its fifth colon.
pub(crate) fn resource(text: &str, variables: Variables) -> Result<Pattern, Wrong> {
    let cut: Vec<_> = parts(text, variables).collect();
    let (named, last) = match &*cut {
        [named @ .., last] if cut.len() == 6 => (named, *last),
        _ => (&*cut, "*"),
    };
    // A `*` that ends an ARN early stands for the parts that are missing.
    let is_arn = cut.first() == Some(&"arn") && (cut.len() == 6 || text.ends_with('*'));
    if text != "*" && (!is_arn || cut.len() < 2 || last.is_empty()) {
        return Err(Wrong::Resource(quoted(text)));
    }
    let misplaced = named.iter().any(|part| part.contains("${"));
    let syntax = Syntax { wildcards: Wildcards::Special, variables };
    let pattern = Pattern::parse(text, syntax).ok();
    pattern
        .filter(|_| !misplaced || variables == Variables::Literal)
        .ok_or_else(|| Wrong::Variable(quoted(text)))
}
