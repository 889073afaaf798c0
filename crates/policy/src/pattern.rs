//! Patterns: literal text, `*`, `?` and variables, against a text.
//!
//! INVARIANT: matching allocates nothing. A part between two `*` is searched for once, from the
//! left, and never given back: time is linear in the text for each part of plain text, and bounded
//! by the product of their lengths for one that begins with `?` or a variable.

use crate::request::Context;

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Literal(Box<str>),
    /// `?`: exactly one character.
    One,
    /// `${key, 'default'}`; the key is in lower case.
    Variable {
        key: Box<str>,
        default: Option<Box<str>>,
    },
}

/// A pattern, cut at its `*`.
///
/// INVARIANT: there is at least one segment; between two segments stands one `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(Box<[Box<[Piece]>]>);

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
        let mut segments = Vec::new();
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let behind = rest.get(character.len_utf8()..).unwrap_or_default();
            if syntax.variables == Variables::Special
                && let Some(inside) = rest.strip_prefix("${")
            {
                let (variable, behind) = variable(inside).ok_or(BadVariable)?;
                match variable {
                    Piece::Literal(text) => literal.push_str(&text),
                    Piece::One | Piece::Variable { .. } => {
                        flush(&mut literal, &mut pieces);
                        pieces.push(variable);
                    }
                }
                rest = behind;
                continue;
            }
            match (syntax.wildcards, character) {
                (Wildcards::Special, '?') => {
                    flush(&mut literal, &mut pieces);
                    pieces.push(Piece::One);
                }
                (Wildcards::Special, '*') => {
                    flush(&mut literal, &mut pieces);
                    segments.push(std::mem::take(&mut pieces).into_boxed_slice());
                }
                _ => literal.push(character),
            }
            rest = behind;
        }
        flush(&mut literal, &mut pieces);
        segments.push(pieces.into_boxed_slice());
        // `**` is `*`: an empty segment in the middle stands for nothing.
        let last = segments.len() - 1;
        let mut at = 0;
        segments.retain(|segment| {
            at += 1;
            at == 1 || at == last + 1 || !segment.is_empty()
        });
        Ok(Self(segments.into_boxed_slice()))
    }

    /// Whether the pattern stands for the whole text. One with a variable that has no value stands
    /// for nothing.
    pub(crate) fn matches(&self, text: &str, context: &Context) -> bool {
        let (first, rest) = match &*self.0 {
            [] => return false,
            [only] => return strip_start(only, text, context) == Some(""),
            [first, rest @ ..] => (first, rest),
        };
        let Some((last, middle)) = rest.split_last() else { return false };
        let Some(mut text) = strip_start(first, text, context) else { return false };
        for segment in middle {
            let Some(behind) = find(segment, text, context) else { return false };
            text = behind;
        }
        strip_end(last, text, context)
    }

    /// Whether the pattern stands for the whole text, the case of letters aside.
    ///
    /// For patterns without wildcards: those have one segment.
    pub(crate) fn equals_ignoring_case(&self, text: &str, context: &Context) -> bool {
        let Some(pieces) = self.0.first() else { return false };
        if pieces.iter().any(|piece| literal(piece, context).is_none()) {
            return false;
        }
        pieces
            .iter()
            .filter_map(|piece| literal(piece, context))
            .flat_map(str::chars)
            .flat_map(char::to_lowercase)
            .eq(text.chars().flat_map(char::to_lowercase))
    }

    /// The one variable that the pattern consists of.
    pub(crate) fn is_one_variable(&self) -> bool {
        matches!(&*self.0, [only] if matches!(&**only, [Piece::Variable { .. }]))
    }
}

fn flush(literal: &mut String, pieces: &mut Vec<Piece>) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal).into_boxed_str()));
    }
}

/// Reads what follows `${`, and returns what is behind its `}`.
fn variable(inside: &str) -> Option<(Piece, &str)> {
    for (sign, text) in [("*}", "*"), ("?}", "?"), ("$}", "$")] {
        if let Some(behind) = inside.strip_prefix(sign) {
            return Some((Piece::Literal(text.into()), behind));
        }
    }
    let end = inside.find([',', '}'])?;
    let (key, behind) = inside.split_at_checked(end)?;
    let key = key.trim();
    if !is_key(key) {
        return None;
    }
    let key = key.to_lowercase().into_boxed_str();
    if let Some(behind) = behind.strip_prefix('}') {
        return Some((Piece::Variable { key, default: None }, behind));
    }
    let quoted = behind.strip_prefix(',')?.trim_start().strip_prefix('\'')?;
    let (default, behind) = quoted.split_once('\'')?;
    let behind = behind.trim_start().strip_prefix('}')?;
    Some((Piece::Variable { key, default: Some(default.into()) }, behind))
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

/// The text that a piece stands for, unless it is a wildcard or a variable without a value.
fn literal<'a>(piece: &'a Piece, context: &'a Context) -> Option<&'a str> {
    match piece {
        Piece::Literal(text) => Some(text),
        Piece::One => None,
        Piece::Variable { key, default } => context.single(key).or(default.as_deref()),
    }
}

/// Takes the segment from the start of a text.
fn strip_start<'t>(segment: &[Piece], mut text: &'t str, context: &Context) -> Option<&'t str> {
    for piece in segment {
        text = match piece {
            Piece::One => text.get(text.chars().next()?.len_utf8()..)?,
            Piece::Literal(_) | Piece::Variable { .. } => {
                text.strip_prefix(literal(piece, context)?)?
            }
        };
    }
    Some(text)
}

/// Whether the text ends with the segment.
fn strip_end(segment: &[Piece], mut text: &str, context: &Context) -> bool {
    for piece in segment.iter().rev() {
        let before = match piece {
            Piece::One => {
                text.chars().next_back().and_then(|c| text.get(..text.len() - c.len_utf8()))
            }
            Piece::Literal(_) | Piece::Variable { .. } => {
                literal(piece, context).and_then(|end| text.strip_suffix(end))
            }
        };
        let Some(before) = before else { return false };
        text = before;
    }
    true
}

/// Finds the leftmost place of the segment, and returns what is behind it.
fn find<'t>(segment: &[Piece], text: &'t str, context: &Context) -> Option<&'t str> {
    let (first, rest) = segment.split_first()?;
    let mut text = text;
    loop {
        // A literal at the front is searched for in linear time.
        if let Some(literal) = literal(first, context) {
            text = text.get(position(literal, text)?..)?;
        } else if matches!(first, Piece::Variable { .. }) {
            return None;
        }
        let behind = strip_start(std::slice::from_ref(first), text, context)?;
        if let Some(behind) = strip_start(rest, behind, context) {
            return Some(behind);
        }
        text = text.get(text.chars().next()?.len_utf8()..)?;
    }
}

// LIMIT: below it, comparing at every place costs less than preparing a search in linear time.
const SHORT_LITERAL_BYTES: usize = 16;

/// Finds the leftmost place of a literal.
fn position(literal: &str, text: &str) -> Option<usize> {
    let bytes = literal.as_bytes();
    let Some(first) = bytes.first().filter(|_| bytes.len() <= SHORT_LITERAL_BYTES) else {
        return text.find(literal);
    };
    memchr::memchr_iter(*first, text.as_bytes())
        .find(|at| text.as_bytes().get(*at..).is_some_and(|rest| rest.starts_with(bytes)))
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
