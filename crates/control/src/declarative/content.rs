//! The content of one policy, read and checked when it is written.

use std::collections::BTreeMap;

use model::{HopLimit, HttpTokens, Switch};
use serde_json::Value;

use super::strict::Strict;

/// LIMIT: the length of a policy's content, as AWS documents it, in characters.
pub(crate) const CHARACTERS_MAX: usize = 10_000;

/// What stands at the top.
pub(super) const ATTRIBUTES: &str = "ec2_attributes";
/// The attribute that has an effect here.
pub(super) const DEFAULTS: &str = "instance_metadata_defaults";
/// What is told to whoever tries to change an attribute.
pub(super) const MESSAGE: &str = "exception_message";

/// The other attributes that AWS documents. They are about what is not here: they are kept, inherited
/// and shown, and have no effect.
const OTHERS: [&str; 5] = [
    "allowed_images_settings",
    "image_block_public_access",
    "serial_console_access",
    "snapshot_block_public_access",
    "vpc_block_public_access",
];

const ALLOWED: &str = "@@operators_allowed_for_child_policies";
const ASSIGN: &str = "@@assign";
const APPEND: &str = "@@append";
const REMOVE: &str = "@@remove";

/// Why a text is not the content of a declarative policy. It says where, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContentRefusal {
    /// A part of it is not what must stand there.
    #[error("at `{path}`: {wrong}")]
    At {
        /// The path of that part, from `$`.
        path: String,
        /// What is wrong with it.
        wrong: String,
    },
    /// No JSON, or an object that has a key twice.
    #[error("not a JSON document whose keys stand once: {0}")]
    NotJson(String),
    /// More characters than there may be.
    #[error("the content has {characters} characters, and may have {CHARACTERS_MAX}: shorten it")]
    TooLong {
        /// How many it has.
        characters: usize,
    },
}

/// The content of a policy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Content(pub(super) Node);

/// A part of a policy: a setting, which has operators, or what settings are in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Node {
    pub(super) assign: Option<Value>,
    pub(super) append: Vec<Value>,
    pub(super) remove: Vec<Value>,
    /// What it lets policies below do here; everything if it says nothing.
    pub(super) allowed: Option<Allowed>,
    pub(super) children: BTreeMap<String, Node>,
}

/// The operators that policies below may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Allowed {
    pub(super) assign: bool,
    pub(super) append: bool,
    pub(super) remove: bool,
}

impl Allowed {
    pub(super) const ALL: Self = Self { assign: true, append: true, remove: true };
    const NONE: Self = Self { assign: false, append: false, remove: false };

    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            assign: self.assign && other.assign,
            append: self.append && other.append,
            remove: self.remove && other.remove,
        }
    }

    /// Whether policies below may bring in what is not there yet.
    pub(super) const fn admits(self) -> bool {
        self.assign || self.append
    }
}

fn at(path: &str, wrong: impl Into<String>) -> ContentRefusal {
    ContentRefusal::At { path: path.to_owned(), wrong: wrong.into() }
}

impl Content {
    /// Reads a content.
    ///
    /// # Errors
    ///
    /// [`ContentRefusal`].
    pub(crate) fn parse(text: &str) -> Result<Self, ContentRefusal> {
        let characters = text.chars().count();
        if characters > CHARACTERS_MAX {
            return Err(ContentRefusal::TooLong { characters });
        }
        let Strict(value) = serde_json::from_str(text)
            .map_err(|fault| ContentRefusal::NotJson(fault.to_string()))?;
        let root = Node::read("$", &value)?;
        root.check_names("$", &[ATTRIBUTES])?;
        let path = format!("$.{ATTRIBUTES}");
        let attributes = root.children.get(ATTRIBUTES);
        let attributes =
            attributes.ok_or_else(|| at("$", format!("`{ATTRIBUTES}` is missing: add it")))?;
        let names: Vec<_> = OTHERS.into_iter().chain([DEFAULTS, MESSAGE]).collect();
        attributes.check_names(&path, &names)?;
        if let Some(defaults) = attributes.children.get(DEFAULTS) {
            let path = format!("{path}.{DEFAULTS}");
            let names: Vec<_> = Setting::ALL.iter().map(|option| option.name()).collect();
            defaults.check_names(&path, &names)?;
            for option in Setting::ALL {
                let Some(node) = defaults.children.get(option.name()) else { continue };
                let path = format!("{path}.{}", option.name());
                let value = node.single(&path)?;
                value
                    .map_or(Ok(()), |value| option.read(value).map(drop))
                    .map_err(|wrong| at(&format!("{path}.{ASSIGN}"), wrong))?;
            }
        }
        if let Some(message) = attributes.children.get(MESSAGE) {
            let path = format!("{path}.{MESSAGE}");
            if message.single(&path)?.is_some_and(|value| !value.is_string()) {
                return Err(at(&format!("{path}.{ASSIGN}"), "use a string"));
            }
        }
        Ok(Self(root))
    }
}

impl Node {
    fn read(path: &str, value: &Value) -> Result<Self, ContentRefusal> {
        let Some(members) = value.as_object() else {
            return Err(at(path, format!("use an object, such as {{\"{ASSIGN}\": …}}")));
        };
        let mut node = Self::default();
        for (key, value) in members {
            let path = format!("{path}.{key}");
            match key.as_str() {
                ASSIGN => {
                    check_value(&path, value)?;
                    node.assign = Some(value.clone());
                }
                APPEND => node.append = read_list(&path, value)?,
                REMOVE => node.remove = read_list(&path, value)?,
                ALLOWED => node.allowed = Some(read_allowed(&path, value)?),
                operator if operator.starts_with("@@") => {
                    let known = format!("{ASSIGN}, {APPEND}, {REMOVE} or {ALLOWED}");
                    return Err(at(&path, format!("this is no operator: use {known}")));
                }
                _ => {
                    node.children.insert(key.clone(), Self::read(&path, value)?);
                }
            }
        }
        if node.is_setting() && !node.children.is_empty() {
            return Err(at(path, "it has a value and parts: leave one of them out"));
        }
        Ok(node)
    }

    fn is_setting(&self) -> bool {
        self.assign.is_some() || !self.append.is_empty() || !self.remove.is_empty()
    }

    /// Sees that this is no setting, and has no other parts than these.
    fn check_names(&self, path: &str, names: &[&str]) -> Result<(), ContentRefusal> {
        if self.is_setting() {
            return Err(at(path, format!("it has no value: use {}", names.join(", "))));
        }
        match self.children.keys().find(|name| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some(unknown) => {
                let wrong = format!("it is not known here: use {}", names.join(", "));
                Err(at(&format!("{path}.{unknown}"), wrong))
            }
        }
    }

    /// The value of a setting that has one at a time.
    fn single(&self, path: &str) -> Result<Option<&Value>, ContentRefusal> {
        if !self.children.is_empty() {
            return Err(at(path, format!("it has no parts: use {{\"{ASSIGN}\": …}}")));
        }
        if !self.append.is_empty() || !self.remove.is_empty() {
            return Err(at(path, format!("it has one value: use {ASSIGN} alone")));
        }
        Ok(self.assign.as_ref())
    }
}

/// Sees that a value is a plain one, or a list of such.
fn check_value(path: &str, value: &Value) -> Result<(), ContentRefusal> {
    let is_plain = |value: &Value| value.is_string() || value.is_number() || value.is_boolean();
    let is_list = value.as_array().is_some_and(|list| list.iter().all(is_plain));
    if is_plain(value) || is_list {
        Ok(())
    } else {
        Err(at(path, "use a string, a number, a boolean, or a list of them"))
    }
}

fn read_list(path: &str, value: &Value) -> Result<Vec<Value>, ContentRefusal> {
    check_value(path, value)?;
    let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    if list.is_empty() { Err(at(path, "it is empty: name a value")) } else { Ok(list) }
}

fn read_allowed(path: &str, value: &Value) -> Result<Allowed, ContentRefusal> {
    let refused = || {
        let words = format!("@@all, @@none, or some of {ASSIGN}, {APPEND} and {REMOVE}");
        at(path, format!("use a list of {words}"))
    };
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or_else(refused)?;
    let words: Option<Vec<&str>> = list.iter().map(Value::as_str).collect();
    let words = words.ok_or_else(refused)?;
    match *words {
        ["@@all"] => return Ok(Allowed::ALL),
        ["@@none"] => return Ok(Allowed::NONE),
        _ => {}
    }
    if !words.iter().all(|word| [ASSIGN, APPEND, REMOVE].contains(word)) {
        return Err(refused());
    }
    let has = |operator| words.contains(&operator);
    Ok(Allowed { assign: has(ASSIGN), append: has(APPEND), remove: has(REMOVE) })
}

/// A default for metadata options that a policy sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    HttpTokens,
    HopLimit,
    HttpEndpoint,
    MetadataTags,
    TokensEnforced,
}

/// What a policy says of it; no preference is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Tokens(Option<HttpTokens>),
    HopLimit(Option<HopLimit>),
    Switch(Option<Switch>),
}

impl Setting {
    pub(super) const ALL: [Self; 5] = [
        Self::HttpTokens,
        Self::HopLimit,
        Self::HttpEndpoint,
        Self::MetadataTags,
        Self::TokensEnforced,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::HttpTokens => "http_tokens",
            Self::HopLimit => "http_put_response_hop_limit",
            Self::HttpEndpoint => "http_endpoint",
            Self::MetadataTags => "instance_metadata_tags",
            Self::TokensEnforced => "http_tokens_enforced",
        }
    }

    /// Reads its value. AWS: hop limits are strings, and tools write them as numbers too.
    pub(super) fn read(self, value: &Value) -> Result<Said, String> {
        const NO_PREFERENCE: &str = "no_preference";
        let number = value.as_i64().map(|number| number.to_string());
        let text = match (self, value.as_str(), number.as_deref()) {
            (_, Some(text), _) | (Self::HopLimit, None, Some(text)) => text,
            _ => "",
        };
        let found = match (self, text) {
            (Self::HttpTokens, NO_PREFERENCE) => Some(Said::Tokens(None)),
            (Self::HttpTokens, word) => word.parse().ok().map(|word| Said::Tokens(Some(word))),
            (Self::HopLimit, "-1") => Some(Said::HopLimit(None)),
            (Self::HopLimit, word) => word.parse().ok().map(|hops| Said::HopLimit(Some(hops))),
            (_, NO_PREFERENCE) => Some(Said::Switch(None)),
            (_, word) => word.parse().ok().map(|word| Said::Switch(Some(word))),
        };
        found.ok_or_else(|| {
            match self {
                Self::HttpTokens => "use `no_preference`, `optional` or `required`",
                Self::HopLimit => "use a number from 1 to 64, or -1 for no preference",
                Self::HttpEndpoint | Self::MetadataTags | Self::TokensEnforced => {
                    "use `no_preference`, `enabled` or `disabled`"
                }
            }
            .to_owned()
        })
    }
}
