//! The text of an explanation: a tree that people read.
//!
//! ```text
//! arn:aws:iam::123456789012:user/dev asks for ec2:RunInstances on …
//! denied: no identity-based policy allows it: …
//! └─ identity-based policy: nothing allows
//!    ├─ Allow, statement `Read` of `dev.json`: about other actions: ec2:Describe*
//!    └─ Allow, statement `Launch` of `dev.json`: its condition does not hold
//!       ├─ holds: Bool aws:SecureTransport "true", found "true"
//!       └─ fails: NumericLessThan ec2:MetadataHttpPutResponseHopLimit "3", found "4"
//! ```

use std::fmt;

use crate::explain::{Branch, Explanation, Leaf, Says, Trial};
use crate::principals::{Naming, Sense};
use crate::statement::{Effect, Match};

/// How many patterns are told of a statement that is about something else.
const TOLD_MAX: usize = 3;

impl fmt::Display for Explanation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.question)?;
        writeln!(f, "{}", self.verdict)?;
        for (is_last, branch) in with_last(&self.branches) {
            let below = twig(f, "", is_last, branch)?;
            for (is_last, leaf) in with_last(&branch.leaves) {
                let below = twig(f, &below, is_last, leaf)?;
                for (is_last, trial) in with_last(&leaf.trials) {
                    twig(f, &below, is_last, trial)?;
                }
            }
        }
        Ok(())
    }
}

/// Writes a line with its corner, and returns what stands before the lines below it.
fn twig(
    f: &mut fmt::Formatter<'_>,
    before: &str,
    is_last: bool,
    what: &dyn fmt::Display,
) -> Result<String, fmt::Error> {
    let (corner, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
    writeln!(f, "{before}{corner}{what}")?;
    Ok(format!("{before}{below}"))
}

fn with_last<T>(all: &[T]) -> impl Iterator<Item = (bool, &T)> {
    all.iter().enumerate().map(|(at, one)| (at + 1 == all.len(), one))
}

impl fmt::Display for Branch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.layer.names().1)?;
        if let Some(level) = self.level {
            write!(f, " at `{level}`")?;
        }
        f.write_str(": ")?;
        f.write_str(match self.says {
            Says::Allows => "allows",
            Says::Denies => "denies",
            Says::Exempt(why) => why,
            Says::NoPolicy => "there is none",
            Says::Nothing => "nothing allows",
        })
    }
}

impl fmt::Display for Leaf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self.effect() {
            Effect::Allow => "Allow",
            Effect::Deny => "Deny",
        };
        write!(f, "{effect}, {}: ", self.source)?;
        let (Some(outcome), Some(statement)) = (self.outcome, self.source.statement) else {
            return f.write_str("denies everything");
        };
        match outcome {
            Match::Action => {
                let texts: Vec<_> = statement.actions().collect();
                write!(f, "about {} actions{}", elsewhere(statement.actions.sense), Told(&texts))
            }
            Match::Resource => {
                let texts: Vec<_> = statement.resources().collect();
                let sense = statement.resources.as_ref().map_or(Sense::These, |all| all.sense);
                write!(f, "about {} resources{}", elsewhere(sense), Told(&texts))
            }
            Match::Principal => f.write_str("about other principals"),
            Match::Condition(..) => f.write_str("its condition does not hold"),
            Match::Applies(naming) => {
                f.write_str("applies")?;
                if statement.principals.is_some() { write!(f, " to {naming}") } else { Ok(()) }
            }
        }
    }
}

/// Says what a list is about that a request is not in.
fn elsewhere(sense: Sense) -> &'static str {
    match sense {
        Sense::These => "other",
        Sense::AllButThese => "all but these",
    }
}

/// The first few of some patterns.
struct Told<'a>(&'a [&'a str]);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.0.iter().take(TOLD_MAX).copied().collect::<Vec<_>>();
        write!(f, ": {}", told.join(", "))?;
        match self.0.len().saturating_sub(TOLD_MAX) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Account => "the account",
            Self::Everyone => "everyone",
            Self::Role => "the role",
            Self::Provider => "the service or provider",
            Self::User => "the user",
            Self::Session => "the session",
        })
    }
}

impl fmt::Display for Trial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holds = if self.failure.is_none() { "holds" } else { "fails" };
        write!(f, "{holds}: {}, found ", self.test)?;
        match &*self.found {
            [] => f.write_str("no such key"),
            values => {
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}\"{}\"", if at == 0 { "" } else { ", " }, value.escape_debug())?;
                }
                Ok(())
            }
        }
    }
}
