//! From the text of a document to its statements, strictly: what is not understood is refused, and
//! the refusal says where it stands.

use crate::condition::{Test, parts};
use crate::json::{Node, Place, quoted, read};
use crate::kind::{DocumentKind, Presence};
use crate::operator::{Comparison, KeyType, Operator};
use crate::pattern::{BadVariable, Pattern, Syntax, Variables, Wildcards, is_key};
use crate::principals::{Named, Principals, Sense};
use crate::refusal::{DocumentRefusal, Wrong};
use crate::statement::{Effect, Listed, Services, Statement};
use crate::value::truth;

// LIMIT: the longest document of any kind, with several times as much white space.
/// How many bytes of a document are read at all.
pub const DOCUMENT_BYTES_MAX: usize = 131_072;

type Read<T> = Result<T, DocumentRefusal>;
type Object = [(String, Node)];

const ELEMENTS: [&str; 3] = ["Version", "Id", "Statement"];
const STATEMENT_ELEMENTS: [&str; 9] = [
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

/// What holds for a whole document.
struct Reader {
    kind: DocumentKind,
    variables: Variables,
}

/// Reads the statements of a document.
pub(crate) fn statements(kind: DocumentKind, text: &str) -> Read<Vec<Statement>> {
    if text.len() > DOCUMENT_BYTES_MAX {
        let (bytes, max) = (text.len(), DOCUMENT_BYTES_MAX);
        return Err(DocumentRefusal::TooManyBytes { bytes, max });
    }
    let characters = text.chars().filter(|character| !character.is_whitespace()).count();
    if characters > kind.characters_max() {
        return Err(DocumentRefusal::TooLong { kind, characters });
    }
    let node = read(text).map_err(|error| DocumentRefusal::NotJson(error.to_string()))?;
    let root = Place::Root;
    let object = object(&node, root)?;
    let known = "`Version`, `Id` and `Statement`";
    only(object, &ELEMENTS, known, root)?;
    let variables = match member(object, "Version") {
        None => Variables::Literal,
        Some(node) => match string(node, root.key("Version"))? {
            "2008-10-17" => Variables::Literal,
            "2012-10-17" => Variables::Special,
            other => {
                let wrong = Wrong::not_one_of(other, "`2012-10-17` or `2008-10-17`");
                return Err(DocumentRefusal::at(root.key("Version"), wrong));
            }
        },
    };
    if let Some(id) = member(object, "Id") {
        let place = root.key("Id");
        if !kind.has_id() {
            return Err(DocumentRefusal::at(place, Wrong::Forbidden { element: "Id", kind }));
        }
        string(id, place)?;
    }
    let place = root.key("Statement");
    let Some(node) = member(object, "Statement") else {
        return Err(DocumentRefusal::at(root, Wrong::Missing { element: "Statement", kind }));
    };
    let reader = Reader { kind, variables };
    let mut statements = Vec::new();
    match node {
        Node::List(nodes) if nodes.is_empty() => {
            return Err(DocumentRefusal::at(place, Wrong::Empty("at least one statement")));
        }
        Node::List(nodes) => {
            for (index, node) in nodes.iter().enumerate() {
                statements.push(reader.statement(node, place.index(index), &statements)?);
            }
        }
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::Object(_) => {
            statements.push(reader.statement(node, place, &[])?);
        }
    }
    Ok(statements)
}

impl Reader {
    fn statement(&self, node: &Node, place: Place<'_>, before: &[Statement]) -> Read<Statement> {
        let members = object(node, place)?;
        let known = "`Sid`, `Effect`, `Principal`, `Action`, `Resource` and their `Not` forms, or \
                     `Condition`";
        only(members, &STATEMENT_ELEMENTS, known, place)?;
        let sid = self.sid(members, place, before)?;
        let effect = match member(members, "Effect") {
            None => return Err(self.missing("Effect", place)),
            Some(node) => match string(node, place.key("Effect"))? {
                "Allow" => Effect::Allow,
                "Deny" => Effect::Deny,
                other => {
                    let wrong = Wrong::not_one_of(other, "`Allow` or `Deny`");
                    return Err(DocumentRefusal::at(place.key("Effect"), wrong));
                }
            },
        };
        let Some((name, sense, node)) = either(members, ["Action", "NotAction"], place)? else {
            return Err(self.missing("Action or NotAction", place));
        };
        let actions = listed(node, sense, place.key(name), action)?;
        let resources = match either(members, ["Resource", "NotResource"], place)? {
            Some((name, sense, node)) if self.kind.resource() == Presence::Required => {
                let read = |text: &str| resource(text, self.variables);
                Some(listed(node, sense, place.key(name), read)?)
            }
            Some((name, ..)) => return Err(self.forbidden(name, place)),
            None if self.kind.resource() == Presence::Required => {
                return Err(self.missing("Resource or NotResource", place));
            }
            None => None,
        };
        let principals = self.principals(members, effect, place)?;
        let tests = match member(members, "Condition") {
            Some(node) => self.condition(node, place.key("Condition"))?,
            None => Vec::new(),
        };
        let same = |last: &Statement| last.resources == resources;
        Ok(Statement {
            index: before.len(),
            sid,
            effect,
            principals,
            services: Services::of(&actions),
            actions,
            repeats_resources: before.last().is_some_and(same),
            resources,
            tests: tests.into(),
        })
    }

    fn missing(&self, element: &'static str, place: Place<'_>) -> DocumentRefusal {
        DocumentRefusal::at(place, Wrong::Missing { element, kind: self.kind })
    }

    fn forbidden(&self, element: &'static str, place: Place<'_>) -> DocumentRefusal {
        DocumentRefusal::at(place.key(element), Wrong::Forbidden { element, kind: self.kind })
    }

    /// An empty `Sid` is none.
    fn sid(
        &self,
        members: &Object,
        place: Place<'_>,
        before: &[Statement],
    ) -> Read<Option<Box<str>>> {
        let Some(node) = member(members, "Sid") else { return Ok(None) };
        let place = place.key("Sid");
        let sid = string(node, place)?;
        let plain = sid.bytes().all(|b| b.is_ascii_alphanumeric()) || !self.kind.has_plain_sids();
        if sid.is_empty() {
            return Ok(None);
        }
        if !plain || before.iter().any(|statement| statement.sid() == Some(sid)) {
            return Err(DocumentRefusal::at(place, Wrong::Sid(quoted(sid))));
        }
        Ok(Some(sid.into()))
    }

    fn principals(
        &self,
        members: &Object,
        effect: Effect,
        place: Place<'_>,
    ) -> Read<Option<Principals>> {
        let Some((name, sense, node)) = either(members, ["Principal", "NotPrincipal"], place)?
        else {
            return match self.kind.principal() {
                Presence::Forbidden => Ok(None),
                Presence::Required | Presence::Everyone => Err(self.missing("Principal", place)),
            };
        };
        if sense == Sense::AllButThese && self.kind == DocumentKind::Trust {
            return Err(self.forbidden(name, place));
        }
        let place = place.key(name);
        if sense == Sense::AllButThese && effect == Effect::Allow {
            return Err(DocumentRefusal::at(place, Wrong::NotPrincipalAllows));
        }
        let named = match node {
            Node::Text(text) if text == "*" => vec![Named::Everyone],
            Node::Text(text) => {
                let allowed = "`*`, or an object with `AWS`, `Service` or `Federated`";
                return Err(DocumentRefusal::at(place, Wrong::not_one_of(text, allowed)));
            }
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::List(_) | Node::Object(_) => {
                named(object(node, place)?, place)?
            }
        };
        match self.kind.principal() {
            Presence::Forbidden => {
                let wrong = Wrong::Forbidden { element: name, kind: self.kind };
                Err(DocumentRefusal::at(place, wrong))
            }
            Presence::Everyone if sense != Sense::These || named != [Named::Everyone] => {
                let wrong = Wrong::not_one_of("another principal", "`\"Principal\": \"*\"`");
                Err(DocumentRefusal::at(place, wrong))
            }
            Presence::Required | Presence::Everyone => {
                Ok(Some(Principals { sense, named: named.into() }))
            }
        }
    }

    fn condition(&self, node: &Node, place: Place<'_>) -> Read<Vec<Test>> {
        let mut tests = Vec::new();
        for (name, node) in object(node, place)? {
            let place = place.key(name);
            let Some(operator) = Operator::parse(name) else {
                return Err(DocumentRefusal::at(place, Wrong::Operator(quoted(name))));
            };
            let keys = object(node, place)?;
            if keys.is_empty() {
                return Err(DocumentRefusal::at(place, Wrong::Empty("at least one key")));
            }
            for (key, node) in keys {
                tests.push(self.test(operator, key, node, place.key(key))?);
            }
        }
        Ok(tests)
    }

    fn test(&self, operator: Operator, key: &str, node: &Node, place: Place<'_>) -> Read<Test> {
        if !is_key(key) {
            return Err(DocumentRefusal::at(place, Wrong::Key(quoted(key))));
        }
        if let Some(type_) = KeyType::of(&key.to_lowercase())
            && !type_.fits(operator.comparison)
        {
            let (operator, key, (type_, fit)) = (operator.to_string(), quoted(key), type_.what());
            return Err(DocumentRefusal::at(place, Wrong::KeyType { operator, key, type_, fit }));
        }
        let mut texts: Vec<Box<str>> = Vec::new();
        each(node, place, |node, place| {
            let text = scalar(node, place)?;
            if operator.comparison == Comparison::Null && truth(text).is_none() {
                let wrong = Wrong::not_one_of(text, "`true` or `false`");
                return Err(DocumentRefusal::at(place, wrong));
            }
            texts.push(text.into());
            Ok(())
        })?;
        if texts.is_empty() {
            return Err(DocumentRefusal::at(place, Wrong::Empty("at least one value")));
        }
        let written = quoted(&texts.join(" "));
        Test::compile(operator, key, texts, self.variables)
            .map_err(|BadVariable| DocumentRefusal::at(place, Wrong::Variable(written)))
    }
}

/// Reads the members of a `Principal`.
fn named(members: &Object, place: Place<'_>) -> Read<Vec<Named>> {
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
fn action(text: &str) -> Result<Pattern, Wrong> {
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
fn resource(text: &str, variables: Variables) -> Result<Pattern, Wrong> {
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

/// Reads one pattern or a list of them.
fn listed(
    node: &Node,
    sense: Sense,
    place: Place<'_>,
    read: impl Fn(&str) -> Result<Pattern, Wrong>,
) -> Read<Listed> {
    let (mut patterns, mut texts) = (Vec::new(), Vec::new());
    each(node, place, |node, place| {
        let text = string(node, place)?;
        patterns.push(read(text).map_err(|wrong| DocumentRefusal::at(place, wrong))?);
        texts.push(text.into());
        Ok(())
    })?;
    if patterns.is_empty() {
        return Err(DocumentRefusal::at(place, Wrong::Empty("at least one string")));
    }
    Ok(Listed { sense, patterns: patterns.into(), texts: texts.into() })
}

/// Reads what stands in a list, or alone.
fn each<'n>(
    node: &'n Node,
    place: Place<'_>,
    mut read: impl FnMut(&'n Node, Place<'_>) -> Read<()>,
) -> Read<()> {
    let Node::List(nodes) = node else { return read(node, place) };
    nodes.iter().enumerate().try_for_each(|(index, node)| read(node, place.index(index)))
}

/// Finds one of two elements that exclude each other.
fn either<'a>(
    members: &'a Object,
    [name, negated]: [&'static str; 2],
    place: Place<'_>,
) -> Read<Option<(&'static str, Sense, &'a Node)>> {
    match (member(members, name), member(members, negated)) {
        (Some(_), Some(_)) => Err(DocumentRefusal::at(place, Wrong::Both(name, negated))),
        (Some(node), None) => Ok(Some((name, Sense::These, node))),
        (None, Some(node)) => Ok(Some((negated, Sense::AllButThese, node))),
        (None, None) => Ok(None),
    }
}

fn only(members: &Object, known: &[&str], words: &'static str, place: Place<'_>) -> Read<()> {
    match members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        Some((name, _)) => {
            Err(DocumentRefusal::at(place, Wrong::UnknownElement(quoted(name), words)))
        }
        None => Ok(()),
    }
}

fn member<'a>(members: &'a Object, name: &str) -> Option<&'a Node> {
    members.iter().find(|(known, _)| known == name).map(|(_, node)| node)
}

fn object<'a>(node: &'a Node, place: Place<'_>) -> Read<&'a Object> {
    match node {
        Node::Object(members) => Ok(members),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::List(_) => {
            Err(type_of(node, "an object", place))
        }
    }
}

fn string<'a>(node: &'a Node, place: Place<'_>) -> Read<&'a str> {
    match node {
        Node::Text(text) => Ok(text),
        Node::Null | Node::Bool(_) | Node::Number(_) | Node::Object(_) | Node::List(_) => {
            Err(type_of(node, "a string", place))
        }
    }
}

/// Numbers and booleans may be quoted or not.
fn scalar<'a>(node: &'a Node, place: Place<'_>) -> Read<&'a str> {
    match node {
        Node::Text(text) | Node::Number(text) => Ok(text),
        Node::Bool(true) => Ok("true"),
        Node::Bool(false) => Ok("false"),
        Node::Null | Node::Object(_) | Node::List(_) => {
            Err(type_of(node, "a string, a number or a boolean", place))
        }
    }
}

fn type_of(node: &Node, expected: &'static str, place: Place<'_>) -> DocumentRefusal {
    DocumentRefusal::at(place, Wrong::Type { expected, found: node.what() })
}
