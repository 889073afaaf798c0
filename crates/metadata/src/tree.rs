//! The metadata tree: what there is to ask for, since when, and when it is absent.
//!
//! `tree/categories.rs` is the one table; this module walks it. A directory is there if anything in it
//! is, so absence is said once, at the leaf.
//!
//! INVARIANT: every name that a listing shows can be fetched, but for `user-data` at the root of a
//! version, which EC2 lists even where there is none (data plane, 1.10).

use std::borrow::Cow;

use model::{Instance, RoleDelivery, RoleName};

use crate::authorize::Authorized;
use crate::refusal::Refusal;
use crate::version::Version;
use categories::Scope;

mod categories;

/// What was found at a path.
#[derive(Debug)]
pub struct Leaf<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) value: Value<'a>,
    pub(crate) delivery: RoleDelivery,
    pub(crate) token_ttl_seconds: Option<u32>,
}

/// A value of the tree. What takes time or keys to make is only named; `render` makes it.
#[derive(Debug)]
pub(crate) enum Value<'a> {
    IdentityDocument,
    InstanceCredentials,
    RoleCredentials(&'a RoleName),
    Signature(SignatureKind),
    Text(Cow<'a, str>),
    UserData(&'a [u8]),
}

/// The signatures over the identity document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignatureKind {
    Pkcs7,
    Rsa2048,
    Signature,
}

/// A name in the tree, and what is behind it.
struct Node {
    name: Name,
    kind: Kind,
}

enum Name {
    /// One name.
    Fixed(&'static str),
    /// One name, which the listing shows otherwise.
    Labelled(&'static str, for<'a> fn(Scope<'a>) -> String),
    /// As many names as the instance has things of a kind.
    Each {
        keys: for<'a> fn(Scope<'a>) -> Vec<Cow<'a, str>>,
        enter: for<'a> fn(Scope<'a>, &str) -> Option<Scope<'a>>,
    },
}

enum Kind {
    /// A value, from this version on; none if it is absent.
    Leaf(Version, for<'a> fn(Scope<'a>) -> Option<Value<'a>>),
    /// Names, in the order of their listing.
    Directory(&'static [Node]),
}

/// Finds what is at the path of a request.
///
/// # Errors
///
/// [`Refusal::PathUnknown`] if there is nothing, or nothing now.
pub fn resolve(authorized: Authorized<'_>) -> Result<Leaf<'_>, Refusal> {
    let Authorized { instance, path, delivery, token_ttl_seconds } = authorized;
    path.and_then(|path| find(instance, path.segments()))
        .map(|value| Leaf { instance, value, delivery, token_ttl_seconds })
        .ok_or(Refusal::PathUnknown { token_ttl_seconds })
}

fn find<'a, 'p>(
    instance: &'a Instance,
    mut segments: impl Iterator<Item = &'p str>,
) -> Option<Value<'a>> {
    let scope = Scope::new(instance);
    let Some(version) = segments.next() else {
        return Some(listing(&Version::names().map(Cow::Borrowed).collect::<Vec<_>>()));
    };
    let version = Version::find(version)?;
    match segments.next() {
        None => Some(version_root(scope, version)),
        Some("dynamic") => walk(categories::DYNAMIC, scope, version, segments),
        Some("meta-data") => walk(categories::META_DATA, scope, version, segments),
        // A leaf has nothing below it.
        Some("user-data") if segments.next().is_none() => {
            instance.user_data.as_ref().map(|data| Value::UserData(data.as_bytes()))
        }
        Some(_) => None,
    }
}

/// EC2: bare names, and `user-data` whether or not there is any.
fn version_root(scope: Scope<'_>, version: Version) -> Value<'_> {
    let has_dynamic = !names(categories::DYNAMIC, scope, version).is_empty();
    Value::Text(Cow::Borrowed(if has_dynamic {
        "dynamic\nmeta-data\nuser-data"
    } else {
        "meta-data\nuser-data"
    }))
}

/// Follows `segments` down from a directory.
fn walk<'a, 'p>(
    mut directory: &'static [Node],
    mut scope: Scope<'a>,
    version: Version,
    mut segments: impl Iterator<Item = &'p str>,
) -> Option<Value<'a>> {
    while let Some(segment) = segments.next() {
        let (node, entered) = directory
            .iter()
            .find_map(|node| node.enter(scope, segment).map(|scope| (node, scope)))?;
        scope = entered;
        match node.kind {
            Kind::Directory(nodes) => directory = nodes,
            Kind::Leaf(since, value) if since <= version && segments.next().is_none() => {
                return value(scope);
            }
            Kind::Leaf(..) => return None,
        }
    }
    match names(directory, scope, version) {
        names if names.is_empty() => None,
        names => Some(listing(&names)),
    }
}

/// Lists a directory: one name a line, no line end after the last.
fn listing<'a>(names: &[Cow<'_, str>]) -> Value<'a> {
    Value::Text(Cow::Owned(names.join("\n")))
}

/// Returns the names that a directory shows, directories with a final slash.
fn names<'a>(directory: &'static [Node], scope: Scope<'a>, version: Version) -> Vec<Cow<'a, str>> {
    directory.iter().flat_map(|node| node.shown(scope, version)).collect()
}

impl Node {
    /// Steps into this node by the path segment that names it.
    fn enter<'a>(&self, scope: Scope<'a>, segment: &str) -> Option<Scope<'a>> {
        match self.name {
            Name::Fixed(name) | Name::Labelled(name, _) => (name == segment).then_some(scope),
            Name::Each { enter, .. } => enter(scope, segment),
        }
    }

    /// Returns what a listing shows for this node: nothing if it is absent.
    fn shown<'a>(&self, scope: Scope<'a>, version: Version) -> Vec<Cow<'a, str>> {
        match self.name {
            Name::Fixed(name) if self.is_present(scope, version) => match self.kind {
                Kind::Leaf(..) => vec![Cow::Borrowed(name)],
                Kind::Directory(_) => vec![Cow::Owned(format!("{name}/"))],
            },
            Name::Labelled(_, label) if self.is_present(scope, version) => {
                vec![Cow::Owned(label(scope))]
            }
            Name::Fixed(_) | Name::Labelled(..) => Vec::new(),
            Name::Each { keys, enter } => {
                let mut keys = keys(scope);
                keys.sort_unstable();
                keys.retain(|key| {
                    enter(scope, key).is_some_and(|scope| self.is_present(scope, version))
                });
                if matches!(self.kind, Kind::Directory(_)) {
                    for key in &mut keys {
                        key.to_mut().push('/');
                    }
                }
                keys
            }
        }
    }

    /// Whether anything is at, or below, this node.
    fn is_present(&self, scope: Scope<'_>, version: Version) -> bool {
        match self.kind {
            Kind::Leaf(since, value) => since <= version && value(scope).is_some(),
            Kind::Directory(nodes) => {
                nodes.iter().any(|node| !node.shown(scope, version).is_empty())
            }
        }
    }
}

#[cfg(test)]
mod tests;
