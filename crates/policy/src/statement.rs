//! A statement, compiled, and how it is held against a request.

use crate::condition::{Failure, Test};
use crate::pattern::Pattern;
use crate::principals::{Naming, Principals, Sense};
use crate::request::Request;

/// What a statement does where it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It allows.
    Allow,
    /// It denies, whatever else allows.
    Deny,
}

/// A statement of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub(crate) index: usize,
    pub(crate) sid: Option<Box<str>>,
    pub(crate) effect: Effect,
    /// None in the kinds that have none: they are about whoever they are attached to.
    pub(crate) principals: Option<Principals>,
    /// The services that it can be about.
    pub(crate) services: Services,
    /// In lower case.
    pub(crate) actions: Listed,
    /// None in a trust policy: it is about its role.
    pub(crate) resources: Option<Listed>,
    /// Whether the statement before it is about the very same resources.
    pub(crate) repeats_resources: bool,
    pub(crate) tests: Box<[Test]>,
}

/// An `Action`, a `Resource`, or the opposite of one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Listed {
    pub(crate) sense: Sense,
    pub(crate) patterns: Box<[Pattern]>,
    /// As written, for people.
    pub(crate) texts: Box<[Box<str>]>,
}

/// A set of services, which may seem to have more than it has: a bit for each, shared by some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Services(u64);

/// What the statement before came to, for one that repeats a part of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    is_about_resource: Option<bool>,
}

/// What came of holding a statement against a request. Only the first difference is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Match<'p> {
    /// It is about another action.
    Action,
    /// It applies.
    Applies(Naming),
    /// A line of its condition does not hold.
    Condition(&'p Test, Failure),
    /// It is about somebody else.
    Principal,
    /// It is about another resource.
    Resource,
}

impl Statement {
    /// Returns its place in the document, from 0.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Returns its `Sid`, if it has one.
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// Returns its effect.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Returns its actions as written; of a `NotAction`, those that it is not about.
    pub fn actions(&self) -> impl Iterator<Item = &str> {
        self.actions.texts.iter().map(|text| &**text)
    }

    /// Returns its resources as written; of a `NotResource`, those that it is not about.
    pub fn resources(&self) -> impl Iterator<Item = &str> {
        self.resources.iter().flat_map(|listed| &listed.texts).map(|text| &**text)
    }

    /// Returns the lines of its condition, all of which must hold.
    pub fn tests(&self) -> &[Test] {
        &self.tests
    }

    /// Holds the statement against a request. Statements are held in their order, with one `before`
    /// for all of a policy.
    pub(crate) fn hold<'p>(&'p self, request: &Request, before: &mut Before) -> Match<'p> {
        if !self.repeats_resources {
            before.is_about_resource = None;
        }
        if !self.services.intersect(request.service)
            || !self.actions.has(&request.plain_action, request)
        {
            return Match::Action;
        }
        let is_about =
            || self.resources.as_ref().is_none_or(|listed| listed.has(&request.resource, request));
        if !*before.is_about_resource.get_or_insert_with(is_about) {
            return Match::Resource;
        }
        // Without a principal it is attached to who asks, and names nobody closer than that.
        let naming = match &self.principals {
            Some(principals) => principals.names(&request.principal),
            None => Some(Naming::Account),
        };
        let Some(naming) = naming else { return Match::Principal };
        for test in &self.tests {
            if let Err(failure) = test.check(&request.context) {
                return Match::Condition(test, failure);
            }
        }
        Match::Applies(naming)
    }
}

impl Services {
    const ALL: Self = Self(u64::MAX);

    /// Those of a list of actions.
    pub(crate) fn of(actions: &Listed) -> Self {
        let each = actions.texts.iter().map(|text| Self::of_action(text).0);
        match actions.sense {
            Sense::These => Self(each.fold(0, |all, one| all | one)),
            Sense::AllButThese => Self::ALL,
        }
    }

    /// That of `service:Name`, and all of `*`.
    pub(crate) fn of_action(action: &str) -> Self {
        let Some((service, _)) = action.split_once(':') else { return Self::ALL };
        let add = |sum: u32, byte: u8| {
            sum.wrapping_mul(31).wrapping_add(byte.to_ascii_lowercase().into())
        };
        Self(1 << (service.bytes().fold(0, add) % u64::BITS))
    }

    fn intersect(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Listed {
    fn has(&self, text: &str, request: &Request) -> bool {
        let listed = self.patterns.iter().any(|pattern| pattern.matches(text, &request.context));
        listed == (self.sense == Sense::These)
    }
}
