//! Why a document is not a policy.

use crate::json::{Place, quoted};
use crate::kind::DocumentKind;

/// Why a text is not a policy document. It says where, and what would be right there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentRefusal {
    /// More characters than a document of this kind may have.
    #[error(
        "the document has {characters} characters without white space, and {} may have {}: \
         split it",
        .kind.what(),
        .kind.characters_max()
    )]
    TooLong {
        /// What the document was to be.
        kind: DocumentKind,
        /// How many characters it has.
        characters: usize,
    },
    /// More bytes than are read at all.
    #[error("the document has {bytes} bytes: {max} are read at most, white space included")]
    TooManyBytes {
        /// How many bytes it has.
        bytes: usize,
        /// How many are read.
        max: usize,
    },
    /// No JSON, or an object that has a key twice. The text has line and column.
    #[error("not a JSON document whose keys stand once: {0}")]
    NotJson(String),
    /// A part of the document is not what must stand there.
    #[error("at `{path}`: {wrong}")]
    At {
        /// The JSON path of that part, from `$`.
        path: String,
        /// What is wrong with it.
        wrong: Wrong,
    },
}

impl DocumentRefusal {
    pub(crate) fn at(place: Place<'_>, wrong: Wrong) -> Self {
        Self::At { path: place.to_string(), wrong }
    }
}

/// What is wrong with a part of a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// An action is no `service:Name`.
    #[error("`{0}` is not an action: use `service:Name`, with `*` and `?` in the name, or `*`")]
    Action(String),
    /// Two elements of which a statement may have one.
    #[error("`{0}` and `{1}` exclude each other: keep one of them")]
    Both(&'static str, &'static str),
    /// A list or an object without anything in it.
    #[error("it is empty: give {0}")]
    Empty(&'static str),
    /// Another value than those that may stand there.
    #[error("`{found}` may not stand here: use {allowed}")]
    NotOneOf {
        /// What stands there.
        found: String,
        /// What may.
        allowed: &'static str,
    },
    /// An element that the kind of the document must not have.
    #[error("{} has no `{element}`: leave it out", .kind.what())]
    Forbidden {
        /// The element.
        element: &'static str,
        /// The kind of the document.
        kind: DocumentKind,
    },
    /// The key's type is known, and the operator compares another.
    #[error(
        "`{operator}` cannot compare `{key}`, which is {type_}: use `{fit}` or another that can"
    )]
    KeyType {
        /// The operator as written.
        operator: String,
        /// The key as written.
        key: String,
        /// What the key holds, with its article.
        type_: &'static str,
        /// An operator that can.
        fit: &'static str,
    },
    /// A key of a condition is not `prefix:Name`.
    #[error("`{0}` is not a condition key: use one such as `aws:SourceIp`")]
    Key(String),
    /// A mandatory element is not there.
    #[error("`{element}` is missing, and {} needs it: add it", .kind.what())]
    Missing {
        /// The element, or the two of which one is needed.
        element: &'static str,
        /// The kind of the document.
        kind: DocumentKind,
    },
    /// What nobody named would be allowed to whoever comes.
    #[error("`NotPrincipal` stands with `Deny` alone: name those who are allowed in a `Principal`")]
    NotPrincipalAllows,
    /// No operator has this name.
    #[error("`{0}` is not a condition operator: see docs/decisions/0016-policy-engine.md")]
    Operator(String),
    /// A principal that names nobody.
    #[error(
        "`{0}` names no principal: use `*`, twelve digits, or the ARN of an account's root, of a \
         user, a role or a session, without wildcards"
    )]
    Principal(String),
    /// A provider or a service that cannot be one.
    #[error("`{0}` is not {1}")]
    Provider(String, &'static str),
    /// A resource is neither `*` nor an ARN.
    #[error("`{0}` is not a resource: use `*`, or an ARN of six parts, with `*` and `?` in it")]
    Resource(String),
    /// A `Sid` with other characters, or one that another statement has.
    #[error("`{0}` is not a statement id: use letters and digits, and each id once")]
    Sid(String),
    /// A value of another JSON type.
    #[error("{found} stands where {expected} must: change it")]
    Type {
        /// What must stand there.
        expected: &'static str,
        /// What does.
        found: &'static str,
    },
    /// An element that the grammar does not know.
    #[error("`{0}` is not an element: use {1}")]
    UnknownElement(String, &'static str),
    /// A `${…}` that cannot be read, or stands where none may.
    #[error(
        "`{0}` is not a variable here: use `${{key}}` or `${{key, 'default'}}`, in a resource behind its fifth colon"
    )]
    Variable(String),
}

impl Wrong {
    pub(crate) fn action(text: &str) -> Self {
        Self::Action(quoted(text))
    }

    pub(crate) fn not_one_of(found: &str, allowed: &'static str) -> Self {
        Self::NotOneOf { found: quoted(found), allowed }
    }
}
