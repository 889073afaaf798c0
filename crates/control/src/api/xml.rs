//! Answers as XML.
//!
//! Any type that derives `Serialize` can be answered: a struct is an element with an element for
//! each field, a list an element with `<item>` or `<member>` elements, and what is `None` is left
//! out. Maps have elements named by their keys.
//!
//! INVARIANT: what is written is well-formed, whatever the texts hold. A character that XML 1.0
//! cannot hold is replaced by U+FFFD; [`is_xml_safe`] finds it where it would come in.

use std::fmt::{self, Display};

use model::Timestamp;
use serde::ser::{self, Error as _, Impossible, Serialize};

use super::Dialect;

/// An answer that has no form in XML: a defect of its type, which its first test shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not to be written as XML: {0}")]
pub struct XmlFault(String);

impl ser::Error for XmlFault {
    fn custom<T: Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// A point in time in an answer: text in XML, seconds since 1970 in JSON and CBOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

/// How [`Time`] makes itself known to [`Element`].
const TIME: &str = "openimds::Time";

/// The tag of a time in CBOR (RFC 8949, 3.4.2).
const EPOCH_TAG: u64 = 1;

impl Serialize for Time {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[expect(clippy::cast_precision_loss, reason = "exact for 280,000 years")]
        let seconds = self.0.as_millis() as f64 / 1000.0;
        if serializer.is_human_readable() {
            serializer.serialize_newtype_struct(TIME, &seconds)
        } else {
            ciborium::tag::Required::<f64, EPOCH_TAG>(seconds).serialize(serializer)
        }
    }
}

/// Whether XML 1.0 can hold the text. What is stored and shown later is asked this first.
pub fn is_xml_safe(text: &str) -> bool {
    text.chars().all(is_xml_character)
}

/// `Char` of XML 1.0, 2.2.
fn is_xml_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// Writes text as the content of an element.
pub fn write_text(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            // A bare one would be read as a line feed.
            '\r' => out.push_str("&#13;"),
            c if is_xml_character(c) => out.push(c),
            _ => out.push(char::REPLACEMENT_CHARACTER),
        }
    }
}

/// Writes an element that holds text alone.
pub fn write_element(name: &str, text: &str, out: &mut String) {
    out.extend(["<", name, ">"]);
    write_text(text, out);
    out.extend(["</", name, ">"]);
}

/// Writes the fields of a struct, or the entries of a map, as elements.
///
/// # Errors
///
/// [`XmlFault`] if the answer is neither, or holds what has no form in XML: bytes, tuples, or an
/// enum whose variant holds something.
pub fn write_fields<T: Serialize + ?Sized>(
    answer: &T,
    dialect: Dialect,
    out: &mut String,
) -> Result<(), XmlFault> {
    answer.serialize(Element { out, name: None, dialect, kind: Kind::Plain })
}

/// Whether something may stand as the name of an element.
pub(super) fn is_element_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// What the number of an element says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Time,
}

/// Where a value is written: an element, or, without a name, what holds the elements.
struct Element<'a> {
    out: &'a mut String,
    name: Option<&'a str>,
    dialect: Dialect,
    kind: Kind,
}

impl<'a> Element<'a> {
    fn scalar(self, value: impl Display) -> Result<(), XmlFault> {
        let Some(name) = self.name else {
            return Err(XmlFault::custom("a value without a name"));
        };
        write_element(name, &value.to_string(), self.out);
        Ok(())
    }

    fn open(self, child: &'static str) -> Opened<'a> {
        if let Some(name) = self.name {
            self.out.extend(["<", name, ">"]);
        }
        let start = self.out.len();
        let Self { out, name, dialect, .. } = self;
        Opened { out, name, dialect, start, child, key: String::new() }
    }
}

/// An element whose children are being written.
struct Opened<'a> {
    out: &'a mut String,
    name: Option<&'a str>,
    dialect: Dialect,
    /// Where the children start.
    start: usize,
    /// What the elements of a list are called.
    child: &'static str,
    /// What the next entry of a map is called.
    key: String,
}

impl Opened<'_> {
    fn write<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), XmlFault> {
        let (out, dialect) = (&mut *self.out, self.dialect);
        value.serialize(Element { out, name: Some(name), dialect, kind: Kind::Plain })
    }

    fn close(self) {
        let Some(name) = self.name else {
            return;
        };
        if self.out.len() == self.start {
            self.out.pop();
            self.out.push_str("/>");
        } else {
            self.out.extend(["</", name, ">"]);
        }
    }
}

macro_rules! scalars {
    ($($method:ident $type:ty,)+) => {
        $(
            fn $method(self, value: $type) -> Result<(), XmlFault> {
                self.scalar(value)
            }
        )+
    };
}

impl<'a> ser::Serializer for Element<'a> {
    type Ok = ();
    type Error = XmlFault;
    type SerializeSeq = Opened<'a>;
    type SerializeTuple = Impossible<(), XmlFault>;
    type SerializeTupleStruct = Impossible<(), XmlFault>;
    type SerializeTupleVariant = Impossible<(), XmlFault>;
    type SerializeMap = Opened<'a>;
    type SerializeStruct = Opened<'a>;
    type SerializeStructVariant = Impossible<(), XmlFault>;

    scalars! {
        serialize_bool bool,
        serialize_i8 i8,
        serialize_i16 i16,
        serialize_i32 i32,
        serialize_i64 i64,
        serialize_u8 u8,
        serialize_u16 u16,
        serialize_u32 u32,
        serialize_u64 u64,
        serialize_char char,
        serialize_str &str,
    }

    fn serialize_f32(self, value: f32) -> Result<(), XmlFault> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), XmlFault> {
        match self.kind {
            Kind::Time => {
                #[expect(clippy::cast_possible_truncation, reason = "whole milliseconds")]
                let time = Timestamp::from_millis((value * 1000.0).round() as i64);
                let dialect = self.dialect;
                self.scalar(written_time(time, dialect))
            }
            // With its point, as the services write it: 12.0.
            Kind::Plain => self.scalar(format_args!("{value:?}")),
        }
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), XmlFault> {
        Err(XmlFault::custom("bytes: encode them as text"))
    }

    fn serialize_none(self) -> Result<(), XmlFault> {
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), XmlFault> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), XmlFault> {
        self.open("").close();
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), XmlFault> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), XmlFault> {
        self.scalar(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), XmlFault> {
        if name == TIME {
            self.kind = Kind::Time;
        }
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), XmlFault> {
        Err(XmlFault::custom("a variant that holds something"))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Opened<'a>, XmlFault> {
        if self.name.is_none() {
            return Err(XmlFault::custom("a list without a name"));
        }
        let child = match self.dialect {
            Dialect::Ec2 => "item",
            Dialect::Query => "member",
        };
        Ok(self.open(child))
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, XmlFault> {
        Err(XmlFault::custom("a tuple"))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, XmlFault> {
        Err(XmlFault::custom("a tuple"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, XmlFault> {
        Err(XmlFault::custom("a variant that holds something"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Opened<'a>, XmlFault> {
        Ok(self.open(""))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Opened<'a>, XmlFault> {
        Ok(self.open(""))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, XmlFault> {
        Err(XmlFault::custom("a variant that holds something"))
    }
}

impl ser::SerializeSeq for Opened<'_> {
    type Ok = ();
    type Error = XmlFault;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), XmlFault> {
        self.write(self.child, value)
    }

    fn end(self) -> Result<(), XmlFault> {
        self.close();
        Ok(())
    }
}

impl ser::SerializeStruct for Opened<'_> {
    type Ok = ();
    type Error = XmlFault;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), XmlFault> {
        self.write(name, value)
    }

    fn end(self) -> Result<(), XmlFault> {
        self.close();
        Ok(())
    }
}

/// Structs with a flattened field come as maps too.
impl ser::SerializeMap for Opened<'_> {
    type Ok = ();
    type Error = XmlFault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), XmlFault> {
        match serde_json::to_value(key) {
            Ok(serde_json::Value::String(name)) if is_element_name(&name) => {
                self.key = name;
                Ok(())
            }
            Ok(other) => Err(XmlFault(format!("an element named {other}"))),
            Err(fault) => Err(XmlFault::custom(fault)),
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), XmlFault> {
        let name = std::mem::take(&mut self.key);
        self.write(&name, value)
    }

    fn end(self) -> Result<(), XmlFault> {
        self.close();
        Ok(())
    }
}

/// `2020-09-26T14:28:58.000Z` in EC2, `2020-09-26T14:28:58Z` in the others.
fn written_time(time: Timestamp, dialect: Dialect) -> impl Display {
    fmt::from_fn(move |f| match dialect {
        Dialect::Ec2 => {
            let seconds = time.to_string();
            let seconds = seconds.strip_suffix('Z').unwrap_or(&seconds);
            write!(f, "{seconds}.{:03}Z", time.as_millis().rem_euclid(1000))
        }
        Dialect::Query => write!(f, "{time}"),
    })
}

#[cfg(test)]
mod tests;
