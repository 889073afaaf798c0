//! Form-encoded requests as a tree of parameters.
//!
//! `Filter.1.Value.2=x` is the value `x` three levels down: what stands between the dots names a
//! branch. Names are read without regard to their order, since clients differ in it.

mod read;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use model::Secret;
use serde::de::DeserializeOwned;

use super::Dialect;

/// LIMIT: the most parameters of a request. A thousand ids, or fifty filters of two hundred values,
/// stay below.
pub const PARAMETERS_MAX: usize = 12_000;

/// LIMIT: the most levels of a name. The deepest of EC2, in the network interfaces of a launch
/// template, has 7, and the deepest of `CloudWatch` has 9.
pub const DEPTH_MAX: usize = 16;

/// LIMIT: the longest name, in bytes. The longest of the four form services has fewer than 150.
pub const NAME_BYTES_MAX: usize = 256;

/// Why a form is not read.
///
/// Names are given as they are on the wire, in full: `LaunchTemplateData.MetadataOptions.HttpTokens`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormFault {
    /// A name with a value of its own and with parts.
    #[error("parameter `{name}` has a value and parts as well: send one of them")]
    Contradiction {
        /// The parameter.
        name: String,
    },
    /// A name that stands there twice.
    #[error("parameter `{name}` is there twice: send it once")]
    Duplicate {
        /// The parameter.
        name: String,
    },
    /// Percent signs without two hexadecimal digits, or bytes that are no UTF-8.
    #[error("the form is not percent-encoded UTF-8")]
    Encoding,
    /// A list with something else than a number from 1 on behind its dot.
    #[error("parameter `{name}` is no element of a list: number elements from 1 on")]
    Index {
        /// The element.
        name: String,
    },
    /// A required parameter is not there.
    #[error("parameter `{name}` is required")]
    Missing {
        /// The parameter.
        name: String,
    },
    /// A name that is empty between its dots, too long or too deep.
    #[error("`{name}` is no name of a parameter")]
    Name {
        /// The name.
        name: String,
    },
    /// A value where there should be parts.
    #[error("parameter `{name}` is {what}: send its parts, and no value")]
    Shape {
        /// The parameter.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// More parameters than any request has.
    #[error("a request has at most {PARAMETERS_MAX} parameters")]
    TooMany,
    /// A parameter that the action does not have.
    #[error("parameter `{name}` is not known")]
    Unknown {
        /// The parameter.
        name: String,
    },
    /// A value of another kind than the parameter has.
    #[error("parameter `{name}` has an invalid value: {reason}")]
    Value {
        /// The parameter.
        name: String,
        /// The value, if there is one to show.
        value: Option<String>,
        /// What it should be.
        reason: String,
    },
}

/// A parameter's value, or its parts.
///
/// A request type keeps a part of the request as it came with a field of this type, and lets it
/// pass unread with one of [`serde::de::IgnoredAny`].
#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    /// Parts by their names, or by their numbers.
    Branch(BTreeMap<String, Self>),
    /// A value.
    Text(String),
}

/// Values may be user data, or what else is nobody's business: `Debug` shows the names alone.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Branch(branch) => f.debug_map().entries(branch).finish(),
            Self::Text(_) => f.write_str("(value)"),
        }
    }
}

/// The parameters of a request.
///
/// INVARIANT: no deeper than [`DEPTH_MAX`], no more than [`PARAMETERS_MAX`], no branch empty but
/// the root, no dot in the name of a branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    root: BTreeMap<String, Node>,
}

/// What every action takes.
#[derive(Debug, Default)]
pub struct Common {
    /// `Action`: what to do.
    pub action: Option<String>,
    /// `Version`: the date of the API that the client speaks.
    pub version: Option<String>,
    /// `DryRun`: whether only to say if it would be allowed.
    pub dry_run: bool,
    /// `SecurityToken`: where old clients have the session token.
    pub security_token: Option<Secret<String>>,
}

/// Parameters of query-string signing, in versions 2 and 4, and of the request as such. What
/// starts with `X-Amz-` is of them too.
const OF_THE_SIGNATURE: [&str; 6] =
    ["AWSAccessKeyId", "Expires", "Signature", "SignatureMethod", "SignatureVersion", "Timestamp"];

impl Tree {
    /// Reads `application/x-www-form-urlencoded` bytes: a body, or a query string.
    ///
    /// # Errors
    ///
    /// [`FormFault`]: `Contradiction`, `Duplicate`, `Encoding`, `Name` or `TooMany`.
    pub fn parse(form: &[u8]) -> Result<Self, FormFault> {
        Self::parse_parts([form])
    }

    /// Reads several forms as one: the query string and the body of a POST.
    ///
    /// # Errors
    ///
    /// As [`Tree::parse`]; a name that stands in two of the forms is a `Duplicate`.
    pub fn parse_parts<'a>(forms: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, FormFault> {
        let mut tree = Self::default();
        let pairs = forms.into_iter().flat_map(|form| form.split(|byte| *byte == b'&'));
        for (count, pair) in pairs.filter(|pair| !pair.is_empty()).enumerate() {
            if count >= PARAMETERS_MAX {
                return Err(FormFault::TooMany);
            }
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(equals);
            let value = value.strip_prefix(b"=").unwrap_or_default();
            tree.insert(&decode(name)?, decode(value)?.into_owned())?;
        }
        Ok(tree)
    }

    /// Makes the tree of parameters that were read before.
    ///
    /// # Errors
    ///
    /// [`FormFault`]: `Contradiction`, `Duplicate` or `Name`.
    pub fn from_parameters<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, FormFault> {
        let mut tree = Self::default();
        for (name, value) in parameters {
            tree.insert(name, value.to_owned())?;
        }
        Ok(tree)
    }

    fn insert(&mut self, name: &str, value: String) -> Result<(), FormFault> {
        let named = || name.to_owned();
        let depth = name.split('.').count();
        if name.len() > NAME_BYTES_MAX || depth > DEPTH_MAX || name.split('.').any(str::is_empty) {
            return Err(FormFault::Name { name: named() });
        }
        let mut branch = &mut self.root;
        let mut segments = name.split('.').map(str::to_owned);
        let last = segments.next_back().unwrap_or_default();
        for segment in segments {
            match branch.entry(segment).or_insert_with(|| Node::Branch(BTreeMap::new())) {
                Node::Branch(below) => branch = below,
                Node::Text(_) => return Err(FormFault::Contradiction { name: named() }),
            }
        }
        match branch.entry(last) {
            Entry::Vacant(place) => {
                place.insert(Node::Text(value));
                Ok(())
            }
            Entry::Occupied(taken) => Err(match taken.get() {
                Node::Branch(_) => FormFault::Contradiction { name: named() },
                Node::Text(_) => FormFault::Duplicate { name: named() },
            }),
        }
    }

    /// Returns the value of a parameter that has no dot in its name.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.root.get(name) {
            Some(Node::Text(text)) => Some(text),
            Some(Node::Branch(_)) | None => None,
        }
    }

    /// Takes out what every action has.
    ///
    /// # Errors
    ///
    /// [`FormFault::Value`] if `DryRun` is neither `true` nor `false`.
    pub fn take_common(&mut self) -> Result<Common, FormFault> {
        self.root.retain(|name, _| {
            !name.starts_with("X-Amz-") && !OF_THE_SIGNATURE.contains(&name.as_str())
        });
        let dry_run = match self.take("DryRun").as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(other) => return Err(read::no_boolean().about(other).within("DryRun")),
        };
        Ok(Common {
            action: self.take("Action"),
            version: self.take("Version"),
            dry_run,
            security_token: self.take("SecurityToken").map(Secret::new),
        })
    }

    fn take(&mut self, name: &str) -> Option<String> {
        match self.root.remove(name)? {
            Node::Text(text) => Some(text),
            // What has parts is another parameter, which whoever reads the rest will refuse.
            branch @ Node::Branch(_) => {
                self.root.insert(name.to_owned(), branch);
                None
            }
        }
    }

    /// Reads the parameters as a request type: a struct that derives `Deserialize` with
    /// `rename_all = "PascalCase", deny_unknown_fields`, and `default` on its lists.
    ///
    /// # Errors
    ///
    /// [`FormFault`]: `Index`, `Missing`, `Shape`, `Unknown` or `Value`.
    pub fn read<T: DeserializeOwned>(&self, dialect: Dialect) -> Result<T, FormFault> {
        read::read(&self.root, dialect)
    }

    /// Returns every parameter with a value, by its full name, in the order of the tree.
    pub fn parameters(&self) -> Vec<(String, &str)> {
        let mut found = Vec::new();
        gather(&self.root, "", &mut found);
        found
    }

    /// Returns the same text for the same parameters, and another one for others. Two requests
    /// with one `ClientToken` are the same if their texts are: so the token is not in it, and
    /// neither is what [`Tree::take_common`] takes out.
    pub fn canonical(&self) -> String {
        let escape = |text: &str| text.replace('%', "%25").replace('=', "%3D").replace('\n', "%0A");
        let mut text = String::new();
        for (name, value) in self.parameters() {
            if name != "ClientToken" {
                text.extend([&escape(&name), "=", &escape(value), "\n"]);
            }
        }
        text
    }
}

fn gather<'a>(
    branch: &'a BTreeMap<String, Node>,
    prefix: &str,
    found: &mut Vec<(String, &'a str)>,
) {
    for (segment, node) in branch {
        let name = if prefix.is_empty() { segment.clone() } else { format!("{prefix}.{segment}") };
        match node {
            Node::Branch(below) => gather(below, &name, found),
            Node::Text(text) => found.push((name, text)),
        }
    }
}

/// Undoes the percent-encoding of a name or a value. A plus sign is a space.
fn decode(encoded: &[u8]) -> Result<Cow<'_, str>, FormFault> {
    let text = if encoded.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        let mut decoded = Vec::with_capacity(encoded.len());
        let mut bytes = encoded.iter().copied();
        while let Some(byte) = bytes.next() {
            decoded.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let mut digit = || {
                        char::from(bytes.next()?).to_digit(16).and_then(|d| u8::try_from(d).ok())
                    };
                    let (high, low) = digit().zip(digit()).ok_or(FormFault::Encoding)?;
                    high << 4 | low
                }
                plain => plain,
            });
        }
        String::from_utf8(decoded).ok().map(Cow::Owned)
    } else {
        std::str::from_utf8(encoded).ok().map(Cow::Borrowed)
    };
    text.ok_or(FormFault::Encoding)
}

#[cfg(test)]
mod tests;
