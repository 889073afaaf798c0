//! Patterns of filters: a line is the pattern, and what follows is the text.

use control::api::filter::{Pattern, VALUE_CHARACTERS_MAX};

/// A part of a pattern, as the judge reads it.
enum Part {
    Character(char),
    OneOrNone,
    Run,
}

/// Matches what follows the first line feed with what is before it.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (pattern, text) = text.split_once('\n').unwrap_or((&text, ""));
    if pattern.chars().count() > VALUE_CHARACTERS_MAX {
        return;
    }
    let found = Pattern::parse(pattern).matches(text);
    assert_eq!(found, judge(&parts(pattern), text), "{pattern:?} {text:?}");
    // What is escaped stands for itself.
    let escaped: String = text
        .chars()
        .flat_map(|c| matches!(c, '*' | '?' | '\\').then_some('\\').into_iter().chain([c]))
        .collect();
    assert!(Pattern::parse(&escaped).matches(text), "{escaped:?}");
}

fn parts(pattern: &str) -> Vec<Part> {
    let characters: Vec<_> = pattern.chars().collect();
    let mut parts = Vec::new();
    let mut rest = &characters[..];
    loop {
        let (part, behind) = match rest {
            [] => return parts,
            ['\\', c @ ('*' | '?' | '\\'), behind @ ..] => (Part::Character(*c), behind),
            ['*', behind @ ..] => (Part::Run, behind),
            ['?', behind @ ..] => (Part::OneOrNone, behind),
            [c, behind @ ..] => (Part::Character(*c), behind),
        };
        parts.push(part);
        rest = behind;
    }
}

/// Fills in, from the ends, which rest of the pattern stands for which rest of the text.
fn judge(parts: &[Part], text: &str) -> bool {
    let text: Vec<_> = text.chars().collect();
    // What the empty rest of the pattern stands for: the empty rest of the text.
    let mut fits: Vec<_> = (0..=text.len()).map(|at| at == text.len()).collect();
    for part in parts.iter().rev() {
        let behind = fits.clone();
        for at in (0..=text.len()).rev() {
            let next = |fits: &[bool]| fits.get(at + 1).copied().unwrap_or(false);
            fits[at] = match part {
                Part::Character(c) => text.get(at) == Some(c) && next(&behind),
                Part::OneOrNone => behind[at] || next(&behind),
                Part::Run => behind[at] || next(&fits),
            };
        }
    }
    fits[0]
}
