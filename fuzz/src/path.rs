//! Paths: two spellings lead to the same thing, or one of them to nothing.
//!
//! The first line of the input is a path; the bytes behind it say how to spell it otherwise.

use std::sync::OnceLock;

use metadata::Path;
use model::Instance;

use crate::input::Input;
use crate::naive;
use crate::scene::full;
use crate::tree::{Found, Table, crawl, read};

/// Reads a path and another spelling of it.
pub fn check(data: &[u8]) {
    static WORLD: OnceLock<(Instance, Table)> = OnceLock::new();
    let (instance, table) = WORLD.get_or_init(|| (full(), crawl(&full(), |_| true)));

    let line_end = data.iter().position(|byte| *byte == b'\n');
    let (line, rest) = data.split_at(line_end.unwrap_or(data.len()));
    let path = [b"/", line].concat();
    // A longer one could be too long for a request in one spelling and not in another.
    if path.len() > 1000 {
        return;
    }
    canonical_form(&path);

    let found = read(instance, &path);
    assert_eq!(found, expected(&path, table), "{}", show(&path));
    if !is_target(&path) {
        return;
    }

    let mut choices = Input::new(rest.get(1..).unwrap_or_default());
    let other = respell(&path, &mut choices);
    let mut found_otherwise = read(instance, &other);
    if found == Found::TokenPath && found_otherwise == Found::Nothing {
        let other = naive::Path::read(strip_origin(&other));
        // The one path at which a final slash counts.
        if other.is_some_and(|path| path.ends_in_slash) {
            found_otherwise = Found::TokenPath;
        }
    }
    assert_eq!(found, found_otherwise, "{} and {}", show(&path), show(&other));
}

/// The canonical form is that of the naive reader, and its own canonical form.
fn canonical_form(path: &[u8]) {
    let (read, expected) = (Path::parse(path), naive::Path::read(path));
    let Ok(read) = read else {
        assert_eq!(expected, None, "{}", show(path));
        return;
    };
    let names: Vec<_> = read.segments().map(str::to_owned).collect();
    let ends_in_slash = read.ends_in_slash();
    let expected = expected.expect("both readers find it");
    assert_eq!((&names, ends_in_slash), (&expected.names, expected.ends_in_slash));
    // Written plainly, with what stands for itself escaped, it is read again as it is.
    let mut plain = crate::tree::spell(&names);
    if !ends_in_slash && plain.len() > 1 {
        plain.pop();
    }
    assert!(Path::parse(plain.as_bytes()).is_ok_and(|again| again == read), "{plain}");
}

/// Whether a request line can hold the path.
fn is_target(path: &[u8]) -> bool {
    let is_visible = |byte: &u8| *byte > b' ' && *byte != 0x7f;
    path.iter().all(is_visible) && std::str::from_utf8(path).is_ok()
}

fn expected(path: &[u8], table: &Table) -> Found {
    if !is_target(path) {
        return Found::Nothing;
    }
    match naive::Path::read(path) {
        Some(path) if path.is_token_path() => Found::TokenPath,
        Some(path) => match table.get(&path.names) {
            Some((content_type, body)) => Found::Content(*content_type, body.clone()),
            None => Found::Nothing,
        },
        None => Found::Nothing,
    }
}

/// Spells a path otherwise: escapes, slashes, a query, the absolute form.
fn respell(path: &[u8], choices: &mut Input<'_>) -> Vec<u8> {
    let ending = choices.byte();
    let mut other = Vec::new();
    if ending & 1 != 0 {
        other.extend_from_slice(b"http://169.254.169.254");
    }
    let end = path.iter().position(|byte| *byte == b'?');
    let (mut rest, query) = path.split_at(end.unwrap_or(path.len()));
    // A target begins with a slash that is written as one.
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match (byte, choices.byte() % 8) {
            _ if rest.len() + 1 == path.len() - query.len() => other.push(byte),
            // An escape stays as it is, with what is behind the sign.
            (b'%', _) => {
                let (digits, behind) = rest.split_at(rest.len().min(2));
                other.push(byte);
                other.extend_from_slice(digits);
                rest = behind;
            }
            (_, 1) => other.extend(format!("%{byte:02x}").bytes()),
            (_, 2) => other.extend(format!("%{byte:02X}").bytes()),
            (b'/', 3) => other.extend_from_slice(b"//"),
            (b'/', 4) => other.extend_from_slice(b"/%2f/"),
            (_, _) => other.push(byte),
        }
    }
    if ending & 2 != 0 {
        other.push(b'/');
    }
    other.extend_from_slice(query);
    if ending & 4 != 0 {
        other.extend_from_slice(b"?x=/../%");
    }
    other
}

fn strip_origin(target: &[u8]) -> &[u8] {
    target.strip_prefix(b"http://169.254.169.254").unwrap_or(target)
}

fn show(path: &[u8]) -> String {
    path.escape_ascii().to_string()
}
