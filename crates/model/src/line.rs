//! Free text that fits on one line of a listing.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use crate::Shared;
use crate::serial::written_as_text;

/// One non-empty line of text without control characters.
///
/// Metadata lists values line by line, so a value with a line break could forge its neighbour.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Line(Shared<Box<str>>);

/// Why a text is not a [`Line`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineRefusal {
    /// Nothing is not a value; leave the setting out instead.
    #[error("the text is empty: leave the setting out instead")]
    Empty,
    /// A line break or another control character.
    #[error("the text holds a control character: use one line of plain text")]
    Control,
    /// Longer than [`Line::BYTES_MAX`].
    #[error("the text is longer than {} bytes", Line::BYTES_MAX)]
    Long,
}

impl Line {
    /// LIMIT: no EC2 value of this kind is longer; it bounds what one leaf can cost.
    pub const BYTES_MAX: usize = 4096;

    pub(crate) fn shared_text(&mut self) -> &mut Shared<Box<str>> {
        &mut self.0
    }
}

impl FromStr for Line {
    type Err = LineRefusal;

    fn from_str(text: &str) -> Result<Self, LineRefusal> {
        match text {
            "" => Err(LineRefusal::Empty),
            _ if text.len() > Self::BYTES_MAX => Err(LineRefusal::Long),
            _ if text.chars().any(char::is_control) => Err(LineRefusal::Control),
            _ => Ok(Self(Shared::from(Box::from(text)))),
        }
    }
}

impl Deref for Line {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

written_as_text!(Line);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(&*"m5.large".parse::<Line>().unwrap(), "m5.large");
        for (text, refusal) in [
            ("", LineRefusal::Empty),
            ("two\nlines", LineRefusal::Control),
            ("nul\0", LineRefusal::Control),
            (&*"x".repeat(4097), LineRefusal::Long),
        ] {
            assert_eq!(text.parse::<Line>(), Err(refusal), "{text:?}");
        }
    }
}
