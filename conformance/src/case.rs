//! A case, as its file says it: what is sent, and what must come back.

use std::fmt;
use std::time::Duration;

use regex_lite::Regex;

use crate::check::NamedCheck;
use crate::state::Patch;
use crate::target::{Family, Profile, Sender, Whom};

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    /// The id of the row it covers, or one of our own.
    pub(crate) id: String,
    /// What it says, in words.
    pub(crate) title: String,
    /// Where it starts.
    pub(crate) place: Place,
    /// The states it starts from, in order.
    pub(crate) given: Vec<String>,
    /// The server's wire profile.
    pub(crate) profile: Profile,
    /// What happens, in order.
    pub(crate) steps: Vec<Step>,
}

impl Case {
    /// Whether the case moves the clock.
    pub(crate) fn moves_time(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::Advance(_)))
    }

    /// Whether the case leaves the service other than it found it.
    pub(crate) fn needs_a_target_of_its_own(&self) -> bool {
        self.moves_time() || self.steps.iter().any(|step| matches!(step.action, Action::Change(_)))
    }
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file, as the suite names it.
    pub(crate) file: String,
    /// The line, from 1.
    pub(crate) line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One step of a case.
#[derive(Debug)]
pub(crate) struct Step {
    /// The line it starts on.
    pub(crate) line: usize,
    /// What it is.
    pub(crate) action: Action,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum Action {
    /// Moves the clock.
    Advance(Advance),
    /// Changes the instance while the service runs.
    Change(Patch),
    /// Fetches every name that is listed anywhere.
    Crawl(Exchange),
    /// Sends a request and looks at the answer.
    Exchange(Exchange),
}

/// How far the clock moves.
#[derive(Debug)]
pub(crate) enum Advance {
    /// By this much.
    By(Duration),
    /// To this many seconds before a captured time.
    UntilBefore {
        /// How many.
        seconds: i64,
        /// The name of the capture.
        capture: String,
    },
}

/// A request and what must come back.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// What is sent.
    pub(crate) request: Request,
    /// How it is sent.
    pub(crate) manner: Manner,
    /// What the answer is, in short.
    pub(crate) expected: Expected,
    /// What else must be true of it.
    pub(crate) assertions: Vec<(usize, Assertion)>,
}

/// What is sent.
#[derive(Debug)]
pub(crate) enum Request {
    /// A well-formed request.
    Http {
        /// The method.
        method: String,
        /// The target, as written.
        target: String,
        /// The version, as written.
        version: &'static str,
        /// The header lines, in order.
        fields: Vec<Field>,
    },
    /// Any bytes.
    Raw(Vec<u8>),
}

/// A header line of a request.
#[derive(Debug)]
pub(crate) enum Field {
    /// A line as written, where `$NAME` stands for a capture.
    Line {
        /// The name.
        name: String,
        /// The value.
        value: String,
    },
    /// The token header with a captured token.
    Token {
        /// The name of the capture.
        capture: String,
        /// The character to change, from 0.
        changed_at: Option<usize>,
    },
}

/// How a request is sent.
#[derive(Debug)]
pub(crate) struct Manner {
    /// Over which address family.
    pub(crate) over: Family,
    /// To which instance's address.
    pub(crate) to: Whom,
    /// How many times.
    pub(crate) times: usize,
    /// How many of them at once.
    pub(crate) at_once: usize,
    /// What follows the last byte.
    pub(crate) sender: Sender,
}

/// What the answer is, in short.
#[derive(Debug)]
pub(crate) enum Expected {
    /// The connection ends without one.
    Closed,
    /// A status.
    Status {
        /// The code.
        code: u16,
        /// The reason phrase, where it matters.
        reason: Option<String>,
    },
}

/// What must be true of an answer.
#[derive(Debug)]
pub(crate) enum Assertion {
    /// No header of this name, in any case of letters.
    Absent(String),
    /// The body is exactly this.
    Body(Vec<u8>),
    /// The whole body matches; named groups become captures.
    BodyMatches(Regex),
    /// A check with a name of its own.
    Check {
        /// Which.
        check: NamedCheck,
        /// The capture it looks at beside the body.
        capture: Option<String>,
    },
    /// The header line is there, with one of these values; with none, any value will do.
    Header {
        /// The name, letter for letter.
        name: String,
        /// The values.
        values: Vec<String>,
    },
    /// Something becomes a capture.
    As {
        /// What.
        subject: Subject,
        /// The name of the capture.
        capture: String,
    },
    /// Something is, or is not, a capture.
    Is {
        /// What.
        subject: Subject,
        /// The name of the capture.
        capture: String,
        /// Whether they must be equal.
        same: Sameness,
    },
    /// The status line and the header lines are these, in this order; a value `*` is any.
    Head(Vec<String>),
    /// One captured time is later than another.
    Later {
        /// The capture that must be later.
        later: String,
        /// The capture that must be earlier.
        earlier: String,
    },
}

/// A part of an answer, or of what was kept of earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The body.
    Body,
    /// A capture.
    Capture(String),
    /// The value of the header with this name.
    Header(String),
}

/// Whether two things must be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sameness {
    /// They must differ.
    Different,
    /// They must be equal.
    Same,
}
