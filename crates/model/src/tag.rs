//! Tags of an instance.

use std::fmt;
use std::str::FromStr;

use crate::serial::written_as_text;

/// The key of a tag: 1 to 128 characters of any kind but control characters.
///
/// A key that is to be shown in metadata must also be [path safe](Self::is_path_safe).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagKey(Box<str>);

/// Why a text is not a tag key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a tag key has 1 to 128 characters and no control character")]
pub struct TagRefusal;

impl TagKey {
    /// LIMIT: the tag key length of the EC2 API.
    pub const CHARACTERS_MAX: usize = 128;

    /// Returns the key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the key may stand in a metadata path (data plane, 8).
    pub fn is_path_safe(&self) -> bool {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_+=,.@:".contains(&b);
        self.0.bytes().all(plain) && !matches!(&*self.0, "." | ".." | "_index")
    }
}

impl FromStr for TagKey {
    type Err = TagRefusal;

    fn from_str(text: &str) -> Result<Self, TagRefusal> {
        let length = text.chars().count();
        if (1..=Self::CHARACTERS_MAX).contains(&length) && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(TagRefusal)
        }
    }
}

impl fmt::Display for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

written_as_text!(TagKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_keys_cannot_stand_in_a_path() {
        for (key, safe) in [
            ("Name", true),
            ("aws:autoscaling:groupName", true),
            ("a+b=c,d.e@f", true),
            ("my key", false),
            ("a/b", false),
            ("ключ", false),
            ("..", false),
            ("_index", false),
        ] {
            assert_eq!(key.parse::<TagKey>().unwrap().is_path_safe(), safe, "{key}");
        }
    }
}
