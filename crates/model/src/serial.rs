//! One written form for each word: what `Display` prints and `FromStr` parses is also how the word
//! stands in the config file, in the store and in JSON.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::Visitor;

/// Gives a type with `Display` and `FromStr` the matching `serde` implementations.
macro_rules! written_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str($crate::serial::Word::new())
            }
        }
    };
}

/// Reads a word from a text where the text is: a fleet is millions of words.
pub(crate) struct Word<T>(PhantomData<T>);

impl<T> Word<T> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Word<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Declares an enum whose variants have fixed spellings, with `as_str`, `Display`, `FromStr` and
/// the written form. The refusal names the value and every spelling that would be right.
macro_rules! spelled {
    (
        $(#[$outer:meta])*
        $name:ident, $what:literal {
            $( $(#[$inner:meta])* $variant:ident = $text:literal, )+
        }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $( $(#[$inner])* $variant, )+
        }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )+];

            /// Returns the spelling that EC2 and our files use.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $( Self::$variant => $text, )+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $( $text => Ok(Self::$variant), )+
                    _ => Err($crate::serial::unknown_spelling($what, text, &[$( $text, )+])),
                }
            }
        }

        $crate::serial::written_as_text!($name);
    };
}

/// Gives the functions that `serde` calls for fields that a description leaves out: each returns
/// the field of one value, so that what can be shared is.
macro_rules! default_fields {
    ($defaults:ident; $($field:ident: $type:ty,)+) => {
        $(
            pub(super) fn $field() -> $type {
                $defaults.$field.clone()
            }
        )+
    };
}

/// Says that `text` is no `what`, and what would be.
pub(crate) fn unknown_spelling(what: &str, text: &str, spellings: &[&str]) -> String {
    let spellings: Vec<String> = spellings.iter().map(|s| format!("`{s}`")).collect();
    format!("`{}` is not {what}: use {}", text.escape_debug(), spellings.join(" or "))
}

pub(crate) use {default_fields, spelled, written_as_text};
