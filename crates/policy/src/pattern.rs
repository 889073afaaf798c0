//! Patterns: literal text, `*`, `?` and variables, against a text.
//!
//! INVARIANT: matching allocates nothing. A part between two `*` is searched for once, from the
//! left, and never given back: time is linear in the text for each part of plain text, and bounded
//! by the product of their lengths for one that begins with `?` or a variable.

use crate::request::{Context, Key};

/// A pattern. Most have one of the plain forms, which compare at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// `*`.
    Anything,
    /// A text that begins with this one, as `ec2:*` says.
    Beginning(Box<str>),
    /// This text and no other.
    Exact(Box<str>),
    /// Whatever else there is.
    Pieces(Box<Pieces>),
}

/// The pieces of a pattern, close together: a verdict goes through hundreds of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// In order. No [`Piece::Run`] follows another.
    pieces: Vec<Piece>,
    /// The text of all literals, one behind the other.
    text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// From one place of the text of all literals to another.
    Literal(usize, usize),
    /// `?`: exactly one character.
    One,
    /// `*`: any text.
    Run,
    /// `${key, 'default'}`.
    Variable(Box<Variable>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    key: Key,
    default: Option<Box<str>>,
}

/// Which characters of a text mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    pub(crate) wildcards: Wildcards,
    pub(crate) variables: Variables,
}

/// Whether `*` and `?` are wildcards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wildcards {
    Literal,
    Special,
}

/// Whether `${…}` is a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variables {
    Literal,
    Special,
}

/// A `${…}` that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadVariable;

impl Pattern {
    /// Reads a pattern.
    pub(crate) fn parse(text: &str, syntax: Syntax) -> Result<Self, BadVariable> {
        let mut pieces = Pieces::default();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let behind = rest.get(character.len_utf8()..).unwrap_or_default();
            rest = match (character, syntax.wildcards) {
                ('$', _) if syntax.variables == Variables::Special && behind.starts_with('{') => {
                    pieces.variable(behind.get(1..).unwrap_or_default()).ok_or(BadVariable)?
                }
                ('?', Wildcards::Special) => {
                    pieces.pieces.push(Piece::One);
                    behind
                }
                ('*', Wildcards::Special) => {
                    // `**` is `*`.
                    if pieces.pieces.last() != Some(&Piece::Run) {
                        pieces.pieces.push(Piece::Run);
                    }
                    behind
                }
                (character, _) => {
                    pieces.literal(character.encode_utf8(&mut [0; 4]));
                    behind
                }
            };
        }
        Ok(pieces.into())
    }

    /// Whether the pattern stands for the whole text. One with a variable that has no value stands
    /// for nothing.
    pub(crate) fn matches(&self, text: &str, context: &Context) -> bool {
        match self {
            Self::Anything => true,
            Self::Beginning(start) => text.starts_with(&**start),
            Self::Exact(exact) => *text == **exact,
            Self::Pieces(pieces) => pieces.matches(text, context),
        }
    }

    /// Whether the pattern, which has no wildcards, stands for the whole text, the case of letters
    /// aside.
    pub(crate) fn equals_ignoring_case(&self, text: &str, context: &Context) -> bool {
        match self {
            Self::Anything | Self::Beginning(_) => false,
            Self::Exact(exact) => same_letters(std::iter::once(&**exact), text),
            Self::Pieces(pieces) => {
                let texts = || pieces.pieces.iter().map(|piece| pieces.fixed(piece, context));
                texts().all(|text| text.is_some()) && same_letters(texts().flatten(), text)
            }
        }
    }

    /// Whether the pattern consists of one variable.
    pub(crate) fn is_one_variable(&self) -> bool {
        matches!(self, Self::Pieces(pieces) if matches!(&*pieces.pieces, [Piece::Variable(_)]))
    }
}

impl From<Pieces> for Pattern {
    fn from(pieces: Pieces) -> Self {
        let text = || pieces.text.as_str().into();
        match &*pieces.pieces {
            [] | [Piece::Literal(..)] => Self::Exact(text()),
            [Piece::Run] => Self::Anything,
            [Piece::Literal(..), Piece::Run] => Self::Beginning(text()),
            [Piece::One | Piece::Variable(_)] | [_, _, ..] => Self::Pieces(Box::new(pieces)),
        }
    }
}

impl Pieces {
    fn literal(&mut self, text: &str) {
        let start = self.text.len();
        self.text.push_str(text);
        match self.pieces.last_mut() {
            Some(Piece::Literal(_, end)) => *end = self.text.len(),
            _ => self.pieces.push(Piece::Literal(start, self.text.len())),
        }
    }

    /// Reads what follows `${`, and returns what is behind its `}`.
    fn variable<'t>(&mut self, inside: &'t str) -> Option<&'t str> {
        for (sign, text) in [("*}", "*"), ("?}", "?"), ("$}", "$")] {
            if let Some(behind) = inside.strip_prefix(sign) {
                self.literal(text);
                return Some(behind);
            }
        }
        let (key, behind) = inside.split_at_checked(inside.find([',', '}'])?)?;
        let key = key.trim();
        if !is_key(key) {
            return None;
        }
        let (default, behind) = if let Some(behind) = behind.strip_prefix('}') {
            (None, behind)
        } else {
            let quoted = behind.strip_prefix(',')?.trim_start().strip_prefix('\'')?;
            let (default, behind) = quoted.split_once('\'')?;
            (Some(default.into()), behind.trim_start().strip_prefix('}')?)
        };
        self.pieces.push(Piece::Variable(Box::new(Variable { key: Key::of(key), default })));
        Some(behind)
    }

    /// The text that a piece stands for, unless it is a wildcard or a variable without a value.
    fn fixed<'a>(&'a self, piece: &'a Piece, context: &'a Context) -> Option<&'a str> {
        match piece {
            Piece::Literal(start, end) => self.text.get(*start..*end),
            Piece::One | Piece::Run => None,
            Piece::Variable(variable) => {
                context.single(&variable.key).or(variable.default.as_deref())
            }
        }
    }

    fn matches(&self, text: &str, context: &Context) -> bool {
        let is_run = |piece: &Piece| *piece == Piece::Run;
        let mut segments = self.pieces.split(is_run);
        let Some(first) = segments.next() else { return false };
        let Some(text) = self.strip_start(first, text, context) else { return false };
        // The ends are looked at first: they differ more often than what is between them.
        let Some(last) = segments.next_back() else { return text.is_empty() };
        let Some(mut text) = self.strip_end(last, text, context) else { return false };
        for segment in segments {
            let Some(behind) = self.find(segment, text, context) else { return false };
            text = behind;
        }
        true
    }

    /// Takes a segment, which has no `*`, from the start of a text.
    fn strip_start<'t>(
        &self,
        segment: &[Piece],
        mut text: &'t str,
        context: &Context,
    ) -> Option<&'t str> {
        for piece in segment {
            text = match piece {
                Piece::One => text.get(text.chars().next()?.len_utf8()..)?,
                Piece::Literal(..) | Piece::Run | Piece::Variable(_) => {
                    text.strip_prefix(self.fixed(piece, context)?)?
                }
            };
        }
        Some(text)
    }

    /// Takes a segment from the end of a text.
    fn strip_end<'t>(
        &self,
        segment: &[Piece],
        mut text: &'t str,
        context: &Context,
    ) -> Option<&'t str> {
        for piece in segment.iter().rev() {
            text = match piece {
                Piece::One => text.get(..text.len() - text.chars().next_back()?.len_utf8())?,
                Piece::Literal(..) | Piece::Run | Piece::Variable(_) => {
                    text.strip_suffix(self.fixed(piece, context)?)?
                }
            };
        }
        Some(text)
    }

    /// Finds the leftmost place of a segment, and returns what is behind it.
    fn find<'t>(&self, segment: &[Piece], mut text: &'t str, context: &Context) -> Option<&'t str> {
        let (first, rest) = segment.split_first()?;
        loop {
            let behind = match (first, self.fixed(first, context)) {
                // A literal at the front is searched for in linear time.
                (_, Some(literal)) => {
                    text = text.get(position(literal, text)?..)?;
                    text.get(literal.len()..)?
                }
                (Piece::One, None) => text.get(text.chars().next()?.len_utf8()..)?,
                (Piece::Literal(..) | Piece::Run | Piece::Variable(_), None) => return None,
            };
            if let Some(behind) = self.strip_start(rest, behind, context) {
                return Some(behind);
            }
            text = text.get(text.chars().next()?.len_utf8()..)?;
        }
    }
}

/// Whether these texts, one behind the other, are the other text but for the case of letters.
fn same_letters<'a>(texts: impl Iterator<Item = &'a str>, other: &str) -> bool {
    let letters = texts.flat_map(str::chars).flat_map(char::to_lowercase);
    letters.eq(other.chars().flat_map(char::to_lowercase))
}

/// Whether this can be the key of a condition or a variable.
pub(crate) fn is_key(key: &str) -> bool {
    let (prefix, name) = key.split_once(':').unwrap_or(("", ""));
    // A tag's key may be behind the slash, and has more characters than others.
    let (name, tag) = name.split_once('/').unwrap_or((name, "-"));
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let is_tag = !tag.is_empty() && !tag.chars().any(|c| c.is_control() || "{}$*?,'".contains(c));
    !prefix.is_empty() && prefix.split(['-', '.']).all(word) && word(name) && is_tag
}

// LIMIT: below it, comparing at every place costs less than preparing a search in linear time.
const SHORT_LITERAL_BYTES: usize = 16;

/// Finds the leftmost place of a literal.
fn position(literal: &str, text: &str) -> Option<usize> {
    let Some((first, rest)) = literal.as_bytes().split_first() else { return Some(0) };
    if rest.len() >= SHORT_LITERAL_BYTES {
        return text.find(literal);
    }
    let text = text.as_bytes();
    memchr::memchr_iter(*first, text)
        .find(|at| rest.is_empty() || text.get(at + 1..).is_some_and(|text| text.starts_with(rest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::Value;

    const LIKE: Syntax = Syntax { wildcards: Wildcards::Special, variables: Variables::Special };

    #[test]
    fn wildcards_and_variables_stand_for_what_they_should() {
        let mut context = Context::default();
        context.insert("aws:username", vec![Value::text("a*b")]).unwrap();
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "abc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("?", "é", true),
            ("*ab", "aab", true),
            ("*a*b*", "xaxbx", true),
            ("ab*ba", "aba", false),
            ("*?b", "b", false),
            ("x*?b?*y", "xabby", true),
            ("${*}", "*", true),
            ("${*}", "a", false),
            ("${?}${$}", "?$", true),
            ("${aws:UserName}", "a*b", true),
            ("${aws:username}", "axb", false),
            ("*${aws:username}*", "1a*b2", true),
            ("${aws:nobody, 'x'}", "x", true),
            ("${aws:nobody}", "", false),
            ("*${aws:nobody}*", "x", false),
        ] {
            let found = Pattern::parse(pattern, LIKE).unwrap().matches(text, &context);
            assert_eq!(found, expected, "{pattern} {text}");
        }
    }

    #[test]
    fn a_variable_that_cannot_be_read_is_refused() {
        for text in ["${", "${}", "${a", "${a:b, c}", "${a:b,'c}", "${a:b 'c'}", "${${a:b}}"] {
            assert_eq!(Pattern::parse(text, LIKE), Err(BadVariable), "{text}");
        }
    }
}
