//! Assertions: the lines indented below `=>`.

use std::fs;
use std::path::Path;

use regex_lite::Regex;

use super::{Block, Captures, Wrong, keyword};
use crate::case::{Assertion, Sameness, Subject};
use crate::check::NamedCheck;
use crate::escape::unquote;

/// Reads all lines below an answer.
pub(super) fn read_all(
    answer: &Block<'_>,
    captures: &mut Captures,
    bodies: &Path,
) -> Result<Vec<(usize, Assertion)>, Wrong> {
    let mut assertions = Vec::new();
    for block in answer.inner() {
        let line = block.head.number;
        let assertion = read(&block, captures, bodies).map_err(|message| (line, message))?;
        assertions.push((line, assertion));
    }
    Ok(assertions)
}

fn read(block: &Block<'_>, captures: &mut Captures, bodies: &Path) -> Result<Assertion, String> {
    let text = block.head.text;
    let below = || block.below.iter().map(|line| line.text);
    if text == "head exactly" {
        return Ok(Assertion::Head(below().map(str::to_owned).collect()));
    }
    if let Some(names) = keyword(text, "body lists") {
        let names = names.split(' ').chain(below().flat_map(|line| line.split(' ')));
        let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
        return Ok(Assertion::Body(names.join("\n").into_bytes()));
    }
    if let Some(start) = keyword(text, "body matches") {
        let pattern: String = std::iter::once(start).chain(below()).collect();
        return read_pattern(&pattern, captures);
    }
    block.stands_alone()?;
    if let Some(body) = keyword(text, "body") {
        return read_body(body, captures, bodies);
    }
    if let Some(name) = keyword(text, "!") {
        return Ok(Assertion::Absent(name.to_owned()));
    }
    if let Some(check) = keyword(text, "check") {
        let (name, capture) = match check.split_once(' ') {
            Some((name, capture)) => (name, Some(captures.used(capture.trim())?)),
            None => (check, None),
        };
        return Ok(Assertion::Check { check: NamedCheck::parse(name)?, capture });
    }
    if text.starts_with('$') {
        return read_capture(text, captures);
    }
    read_header(text, captures)
}

/// Reads what follows `body`.
fn read_body(text: &str, captures: &mut Captures, bodies: &Path) -> Result<Assertion, String> {
    if text == "empty" {
        Ok(Assertion::Body(Vec::new()))
    } else if text.starts_with('"') {
        unquote(text).map(Assertion::Body)
    } else if let Some(name) = keyword(text, "file") {
        fs::read(bodies.join(name))
            .map(Assertion::Body)
            .map_err(|source| format!("{name}: {source}"))
    } else if let Some(assertion) = read_comparison(Subject::Body, text, captures) {
        assertion
    } else {
        Err(format!("`body {text}` is not an assertion"))
    }
}

/// Reads `Name: value` or a comparison of the header's value.
fn read_header(text: &str, captures: &mut Captures) -> Result<Assertion, String> {
    let wrong = || format!("`{text}` is not an assertion");
    if let Some((name, value)) = text.split_once(':').filter(|(name, _)| !name.contains(' ')) {
        let values = match value.trim() {
            "*" => Vec::new(),
            value => match keyword(value, "one of") {
                Some(several) => several.split('|').map(|v| v.trim().to_owned()).collect(),
                None => vec![value.to_owned()],
            },
        };
        let name = name.to_owned();
        return Ok(Assertion::Header { name, values });
    }
    let (name, rest) = text.split_once(' ').ok_or_else(wrong)?;
    read_comparison(Subject::Header(name.to_owned()), rest, captures).ok_or_else(wrong)?
}

/// Reads `$B > $A`, `$B is $A` or `$B is not $A`.
fn read_capture(text: &str, captures: &mut Captures) -> Result<Assertion, String> {
    if let Some((later, earlier)) = text.split_once(" > ") {
        return Ok(Assertion::Later {
            later: captures.used(later)?,
            earlier: captures.used(earlier)?,
        });
    }
    let wrong = || format!("`{text}` is not a comparison such as `$B > $A` or `$B is not $A`");
    let (name, rest) = text.split_once(' ').ok_or_else(wrong)?;
    let subject = Subject::Capture(captures.used(name)?);
    read_comparison(subject, rest, captures).ok_or_else(wrong)?
}

/// Reads `as $X`, `is $X` or `is not $X`, or returns nothing for anything else.
fn read_comparison(
    subject: Subject,
    text: &str,
    captures: &mut Captures,
) -> Option<Result<Assertion, String>> {
    if let Some(name) = keyword(text, "as") {
        let capture = captures.made(name);
        return Some(capture.map(|capture| Assertion::As { subject, capture }));
    }
    let what = keyword(text, "is")?;
    let (same, name) = match keyword(what, "not") {
        Some(name) => (Sameness::Different, name),
        None => (Sameness::Same, what),
    };
    Some(captures.used(name).map(|capture| Assertion::Is { subject, capture, same }))
}

/// Reads a regular expression for a whole body.
fn read_pattern(pattern: &str, captures: &mut Captures) -> Result<Assertion, String> {
    let regex = Regex::new(&format!("^(?:{pattern})$")).map_err(|source| source.to_string())?;
    for name in regex.capture_names().flatten() {
        captures.made(&format!("${name}"))?;
    }
    Ok(Assertion::BodyMatches(regex))
}
