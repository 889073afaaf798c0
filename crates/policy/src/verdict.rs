//! A verdict, and what it says.

use std::fmt;

use crate::condition::{Failure, Test};
use crate::policy::Source;

/// What is decided, and why.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict<'p> {
    /// It may be done.
    Allowed(Grant<'p>),
    /// A statement denies it, whatever allows it.
    ExplicitDeny(Denial<'p>),
    /// Something that must allow it does not.
    ImplicitDeny(Shortfall<'p>),
}

/// What allows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grant<'p> {
    /// The action needs no permission.
    NoPermissionNeeded,
    /// It is the root user, who needs no identity policy.
    RootUser,
    /// A statement. All that must allow as well do.
    Statement {
        /// The layer that it is in: identity or resource policies.
        layer: Layer,
        /// The statement.
        source: Source<'p>,
    },
}

/// What denies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Denial<'p> {
    /// The layer.
    pub layer: Layer,
    /// The level of the organization, for control policies.
    pub level: Option<&'p str>,
    /// The statement, or the policy that cannot be read.
    pub source: Source<'p>,
}

/// What is missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shortfall<'p> {
    /// The first layer that must allow and does not.
    pub layer: Layer,
    /// The level of the organization, for control policies.
    pub level: Option<&'p str>,
    /// Why it does not.
    pub cause: Cause<'p>,
}

/// Why a layer does not allow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause<'p> {
    /// A statement about this action and resource would allow, but for its condition.
    Condition {
        /// The statement: the first such.
        source: Source<'p>,
        /// The line of its condition that does not hold: the first such.
        test: &'p Test,
        /// Why it does not.
        failure: Failure,
    },
    /// There is no policy.
    NoPolicy,
    /// No statement that allows is about this action on this resource by this principal.
    NoStatement,
}

/// The layers, in the order in which they are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Resource control policies.
    ResourceControl,
    /// Service control policies.
    ServiceControl,
    /// Policies of the resource.
    Resource,
    /// Policies of who asks.
    Identity,
    /// The permissions boundary.
    Boundary,
    /// Policies of the session.
    Session,
}

impl Layer {
    /// Every layer.
    pub const ALL: [Self; 6] = [
        Self::ResourceControl,
        Self::ServiceControl,
        Self::Resource,
        Self::Identity,
        Self::Boundary,
        Self::Session,
    ];

    /// Returns what AWS calls a policy of this layer, with its article and without.
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::ResourceControl => ("a resource control policy", "resource control policy"),
            Self::ServiceControl => ("a service control policy", "service control policy"),
            Self::Resource => ("a resource-based policy", "resource-based policy"),
            Self::Identity => ("an identity-based policy", "identity-based policy"),
            Self::Boundary => ("a permissions boundary", "permissions boundary"),
            Self::Session => ("a session policy", "session policy"),
        }
    }
}

impl Verdict<'_> {
    /// Whether it may be done.
    pub const fn is_allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }

    /// Returns the reason as AWS words it at the end of a refusal, such as `with an explicit deny in
    /// an identity-based policy`; `None` if it is allowed.
    pub fn aws_reason<'a>(&self, action: &'a str) -> Option<impl fmt::Display + 'a> {
        let (is_explicit, layer) = match self {
            Self::Allowed(_) => return None,
            Self::ExplicitDeny(denial) => (true, denial.layer),
            Self::ImplicitDeny(shortfall) => (false, shortfall.layer),
        };
        let (with_article, bare) = layer.names();
        Some(fmt::from_fn(move |f| {
            if is_explicit {
                write!(f, "with an explicit deny in {with_article}")
            } else {
                write!(f, "because no {bare} allows the {action} action")
            }
        }))
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(Grant::NoPermissionNeeded) => {
                f.write_str("allowed: the action needs no permission")
            }
            Self::Allowed(Grant::RootUser) => {
                f.write_str("allowed: the root user needs no identity-based policy")
            }
            Self::Allowed(Grant::Statement { layer, source }) => {
                write!(f, "allowed by {} in {}", source, layer.names().0)
            }
            Self::ExplicitDeny(Denial { layer, level, source }) => {
                write!(f, "denied by {source} in {}{}", layer.names().0, At(*level))
            }
            Self::ImplicitDeny(Shortfall { layer, level, cause }) => {
                write!(f, "denied: no {}{} allows it: {cause}", layer.names().1, At(*level))
            }
        }
    }
}

struct At<'a>(Option<&'a str>);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |level| write!(f, " at `{level}`"))
    }
}

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPolicy => f.write_str("there is none"),
            Self::NoStatement => f.write_str("no statement is about this action and resource"),
            Self::Condition { source, test, failure } => {
                write!(f, "{source} would, but {test}: {failure}")
            }
        }
    }
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.policy.name();
        match (self.statement, self.policy.refusal()) {
            (Some(statement), _) => match statement.sid() {
                Some(sid) => write!(f, "statement `{sid}` of `{name}`"),
                None => write!(f, "statement {} of `{name}`", statement.index()),
            },
            (None, Some(refusal)) => write!(f, "`{name}`, which cannot be read ({refusal}),"),
            (None, None) => write!(f, "`{name}`"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.operator(), self.key())?;
        for (index, value) in self.values().enumerate() {
            write!(f, "{}\"{}\"", if index == 0 { "" } else { ", " }, value.escape_debug())?;
        }
        Ok(())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyMissing => "the request does not have the key",
            Self::KeyPresent => "the request has the key",
            Self::Values => "the request has another value than it asks for",
        })
    }
}
