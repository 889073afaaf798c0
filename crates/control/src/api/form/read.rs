//! A tree of parameters as a source of `serde`.
//!
//! INVARIANT: a fault names its parameter in full. It starts with the name in the struct that found
//! it, and gets what stands before that on its way up.

use std::collections::{BTreeMap, btree_map};
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::{FormFault, Node};
use crate::api::Dialect;

/// Parameters whose values are never repeated, whatever is wrong with them.
const UNSPOKEN: [&str; 3] = ["EncodedMessage", "SecurityToken", "UserData"];

pub(super) fn read<T: DeserializeOwned>(
    root: &BTreeMap<String, Node>,
    dialect: Dialect,
) -> Result<T, FormFault> {
    T::deserialize(Reader { at: At::Branch(root), dialect })
}

/// Says that a value is no boolean.
pub(super) fn no_boolean() -> FormFault {
    de::Error::custom("Specify either 'true' or 'false' and try again.")
}

impl FormFault {
    /// Puts `prefix` before the name of the parameter.
    pub(super) fn within(mut self, prefix: &str) -> Self {
        match &mut self {
            Self::Contradiction { name }
            | Self::Duplicate { name }
            | Self::Index { name }
            | Self::Missing { name }
            | Self::Name { name }
            | Self::Shape { name, .. }
            | Self::Unknown { name } => prepend(name, prefix),
            Self::Value { name, value, .. } => {
                prepend(name, prefix);
                if UNSPOKEN.contains(&prefix) {
                    *value = None;
                }
            }
            Self::Encoding | Self::TooMany => {}
        }
        self
    }

    /// Says which value it was.
    pub(super) fn about(mut self, text: &str) -> Self {
        if let Self::Value { value, .. } = &mut self {
            value.get_or_insert_with(|| text.to_owned());
        }
        self
    }
}

fn prepend(name: &mut String, prefix: &str) {
    if !name.is_empty() {
        name.insert(0, '.');
    }
    name.insert_str(0, prefix);
}

impl de::Error for FormFault {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self::Value { name: String::new(), value: None, reason: reason.to_string() }
    }

    fn unknown_field(field: &str, _: &'static [&'static str]) -> Self {
        Self::Unknown { name: field.to_owned() }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::Missing { name: field.to_owned() }
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        let words: Vec<_> = expected.iter().map(|word| format!("'{word}'")).collect();
        Self::custom(format_args!("Specify {} and try again.", words.join(" or ")))
    }
}

/// A place in the tree that is read.
#[derive(Clone, Copy)]
struct Reader<'de> {
    at: At<'de>,
    dialect: Dialect,
}

#[derive(Clone, Copy)]
enum At<'de> {
    Branch(&'de BTreeMap<String, Node>),
    Text(&'de str),
}

impl<'de> Reader<'de> {
    fn of(node: &'de Node, dialect: Dialect) -> Self {
        let at = match node {
            Node::Branch(branch) => At::Branch(branch),
            Node::Text(text) => At::Text(text),
        };
        Self { at, dialect }
    }

    /// The value here. Where there are parts, the first of them is one that nobody knows.
    fn text(self) -> Result<&'de str, FormFault> {
        match self.at {
            At::Text(text) => Ok(text),
            At::Branch(branch) => {
                let first = branch.keys().next().cloned().unwrap_or_default();
                Err(FormFault::Unknown { name: first })
            }
        }
    }

    fn branch(self, what: &'static str) -> Result<&'de BTreeMap<String, Node>, FormFault> {
        match self.at {
            At::Branch(branch) => Ok(branch),
            At::Text(_) => Err(FormFault::Shape { name: String::new(), what }),
        }
    }

    /// Elements in the order of their numbers; numbers may be left out (control plane, C5).
    fn elements(self) -> Result<Elements<'de>, FormFault> {
        const LIST: &str = "a list";
        let dialect = self.dialect;
        let (branch, prefix) = match (dialect, self.at) {
            (Dialect::Query, At::Text("")) => return Ok(Elements::new(Vec::new(), "", dialect)),
            (Dialect::Ec2, _) => (self.branch(LIST)?, ""),
            (Dialect::Query, _) => {
                let mut below = self.branch(LIST)?.iter();
                match (below.next(), below.next()) {
                    (Some((word, Node::Branch(members))), None) if word == "member" => {
                        (members, "member.")
                    }
                    (Some((word, Node::Text(_))), None) if word == "member" => {
                        return Err(FormFault::Index { name: word.clone() });
                    }
                    (first, second) => {
                        let names = [first, second].into_iter().flatten().map(|(name, _)| name);
                        let other = names.filter(|name| *name != "member").min();
                        return Err(FormFault::Index { name: other.cloned().unwrap_or_default() });
                    }
                }
            }
        };
        let mut found = Vec::with_capacity(branch.len());
        for (digits, node) in branch {
            let index = index(digits)
                .ok_or_else(|| FormFault::Index { name: format!("{prefix}{digits}") })?;
            found.push((index, node));
        }
        found.sort_unstable_by_key(|(index, _)| *index);
        Ok(Elements::new(found, prefix, dialect))
    }

    /// Reads what is here, which the struct or list above knows as `name`.
    fn read<T: DeserializeSeed<'de>>(self, seed: T, name: &str) -> Result<T::Value, FormFault> {
        let about = |fault: FormFault| match self.at {
            At::Branch(_) => fault,
            At::Text(text) => fault.about(text),
        };
        seed.deserialize(self).map_err(|fault| about(fault).within(name))
    }

    /// Reads a number written in decimal digits, with a minus sign at most.
    fn number<T: std::str::FromStr>(self, what: &str) -> Result<T, FormFault> {
        let text = self.text()?;
        let parsed = if text.starts_with('+') { None } else { text.parse().ok() };
        parsed.ok_or_else(|| de::Error::custom(format_args!("Specify {what} and try again.")))
    }
}

/// A number from 1 on, as it is written: no sign, no zero in front.
fn index(digits: &str) -> Option<u32> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if plain { digits.parse().ok() } else { None }
}

macro_rules! numbers {
    ($($method:ident $visit:ident,)+) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
                visitor.$visit(self.number("an integer")?)
            }
        )+
    };
}

impl<'de> de::Deserializer<'de> for Reader<'de> {
    type Error = FormFault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        match self.at {
            At::Branch(_) => self.deserialize_map(visitor),
            At::Text(_) => self.deserialize_str(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        match self.text()? {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(no_boolean()),
        }
    }

    numbers! {
        deserialize_i8 visit_i8,
        deserialize_i16 visit_i16,
        deserialize_i32 visit_i32,
        deserialize_i64 visit_i64,
        deserialize_u8 visit_u8,
        deserialize_u16 visit_u16,
        deserialize_u32 visit_u32,
        deserialize_u64 visit_u64,
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        let number: f64 = self.number("a number")?;
        if !number.is_finite() {
            return Err(de::Error::custom("Specify a finite number and try again."));
        }
        visitor.visit_f64(number)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        self.deserialize_str(visitor)
    }

    /// What is absent is not read at all, so what is read is there, even if it is empty.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, FormFault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        visitor.visit_seq(self.elements()?)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, FormFault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, FormFault> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        let rest = self.branch("a structure")?.iter();
        visitor.visit_map(Entries { rest, value: None, dialect: self.dialect })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FormFault> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FormFault> {
        visitor.visit_enum(BorrowedStrDeserializer::new(self.text()?))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FormFault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { bytes byte_buf unit unit_struct identifier }
}

/// The parts of a structure.
struct Entries<'de> {
    rest: btree_map::Iter<'de, String, Node>,
    value: Option<(&'de str, &'de Node)>,
    dialect: Dialect,
}

impl<'de> de::MapAccess<'de> for Entries<'de> {
    type Error = FormFault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, FormFault> {
        let Some((name, node)) = self.rest.next() else {
            return Ok(None);
        };
        self.value = Some((name, node));
        seed.deserialize(BorrowedStrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, FormFault> {
        let Some((name, node)) = self.value.take() else {
            return Err(de::Error::custom("a value is read once, behind its name"));
        };
        Reader::of(node, self.dialect).read(seed, name)
    }
}

/// The elements of a list.
struct Elements<'de> {
    found: std::vec::IntoIter<(u32, &'de Node)>,
    prefix: &'static str,
    dialect: Dialect,
}

impl<'de> Elements<'de> {
    fn new(found: Vec<(u32, &'de Node)>, prefix: &'static str, dialect: Dialect) -> Self {
        Self { found: found.into_iter(), prefix, dialect }
    }
}

impl<'de> de::SeqAccess<'de> for Elements<'de> {
    type Error = FormFault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, FormFault> {
        let Some((index, node)) = self.found.next() else {
            return Ok(None);
        };
        let name = format!("{}{index}", self.prefix);
        Reader::of(node, self.dialect).read(seed, &name).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.found.len())
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KeptNode)
    }
}

/// Reads a part of the tree as it is.
struct KeptNode;

impl<'de> Visitor<'de> for KeptNode {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or parts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut parts: A) -> Result<Node, A::Error> {
        let mut branch = BTreeMap::new();
        while let Some((name, node)) = parts.next_entry()? {
            branch.insert(name, node);
        }
        Ok(Node::Branch(branch))
    }
}

impl Node {
    /// Reads a kept part as what it is, later than the rest of the request.
    ///
    /// # Errors
    ///
    /// As [`super::Tree::read`]; `name` is the full name of the part.
    pub fn read<T: DeserializeOwned>(&self, name: &str, dialect: Dialect) -> Result<T, FormFault> {
        Reader::of(self, dialect).read(PhantomData, name)
    }
}
