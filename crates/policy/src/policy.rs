//! A document, compiled once and decided with many times.

use crate::condition::{Failure, Test};
use crate::document::statements;
use crate::kind::DocumentKind;
use crate::principals::Naming;
use crate::refusal::DocumentRefusal;
use crate::request::Request;
use crate::statement::{Before, Effect, Match, Statement};

/// A compiled document, with the name that verdicts call it by.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    name: Box<str>,
    kind: DocumentKind,
    body: Body,
}

#[derive(Clone, Debug, PartialEq)]
enum Body {
    Statements(Box<[Statement]>),
    /// Nobody knows what it would have denied.
    Unreadable(DocumentRefusal),
}

/// A value of a document that can match nothing, because its operator cannot read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt<'p> {
    /// The place of the statement, from 0.
    pub statement: usize,
    /// The operator.
    pub operator: crate::Operator,
    /// The key.
    pub key: &'p str,
    /// The value.
    pub value: &'p str,
}

/// What a set of policies says about a request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finding<'p> {
    pub(crate) deny: Option<Source<'p>>,
    /// The statement that names who asks most closely.
    pub(crate) allow: Option<(Source<'p>, Naming)>,
    /// The first statement that would allow, but for its condition.
    pub(crate) miss: Option<(Source<'p>, &'p Test, Failure)>,
}

/// The statement of a policy. An unreadable policy has none, and denies as a whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Source<'p> {
    /// The policy.
    pub policy: &'p Policy,
    /// The statement.
    pub statement: Option<&'p Statement>,
}

impl Policy {
    /// Compiles a document.
    ///
    /// # Errors
    ///
    /// [`DocumentRefusal`] says what is wrong with it, where, and what would be right.
    pub fn compile(name: &str, kind: DocumentKind, text: &str) -> Result<Self, DocumentRefusal> {
        let body = Body::Statements(statements(kind, text)?.into());
        Ok(Self { name: name.into(), kind, body })
    }

    /// Compiles a document that is in force already. One that cannot be read denies everything,
    /// and its verdicts say why.
    pub fn compile_or_deny(name: &str, kind: DocumentKind, text: &str) -> Self {
        Self::compile(name, kind, text).unwrap_or_else(|refusal| Self {
            name: name.into(),
            kind,
            body: Body::Unreadable(refusal),
        })
    }

    /// Returns the name that it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its kind.
    pub fn kind(&self) -> DocumentKind {
        self.kind
    }

    /// Returns its statements: none if it cannot be read.
    pub fn statements(&self) -> &[Statement] {
        match &self.body {
            Body::Statements(statements) => statements,
            Body::Unreadable(_) => &[],
        }
    }

    /// Returns why it cannot be read.
    pub fn refusal(&self) -> Option<&DocumentRefusal> {
        match &self.body {
            Body::Statements(_) => None,
            Body::Unreadable(refusal) => Some(refusal),
        }
    }

    /// Returns what was accepted, and yet can match nothing.
    pub fn doubts(&self) -> impl Iterator<Item = Doubt<'_>> {
        self.statements().iter().flat_map(|statement| {
            statement.tests().iter().flat_map(|test| {
                test.unreadable().map(|value| Doubt {
                    statement: statement.index(),
                    operator: test.operator(),
                    key: test.key(),
                    value,
                })
            })
        })
    }
}

impl<'p> Finding<'p> {
    /// Holds every statement of some policies against a request, up to the first that denies.
    pub(crate) fn of(policies: &[&'p Policy], request: &Request) -> Self {
        let mut finding = Self::default();
        for &policy in policies {
            if policy.refusal().is_some() {
                finding.deny = Some(Source { policy, statement: None });
                return finding;
            }
            let mut before = Before::default();
            for statement in policy.statements() {
                let source = Source { policy, statement: Some(statement) };
                match (statement.hold(request, &mut before), statement.effect()) {
                    (Match::Applies(_), Effect::Deny) => {
                        finding.deny = Some(source);
                        return finding;
                    }
                    (Match::Applies(naming), Effect::Allow) => {
                        if finding.allow.is_none_or(|(_, closest)| naming > closest) {
                            finding.allow = Some((source, naming));
                        }
                    }
                    (Match::Condition(test, failure), Effect::Allow) => {
                        finding.miss.get_or_insert((source, test, failure));
                    }
                    (Match::Condition(..), Effect::Deny)
                    | (Match::Action | Match::Principal | Match::Resource, _) => {}
                }
            }
        }
        finding
    }
}
