//! Quoted text: bytes that a line can hold.

use std::fmt::Write as _;

/// Reads `"…"` with the escapes `\r`, `\n`, `\t`, `\xNN`, `\\`, `\"` and `\{N TEXT}`, which stands
/// for N times the text.
pub(crate) fn unquote(text: &str) -> Result<Vec<u8>, String> {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .ok_or_else(|| format!("`{text}` is not in double quotes"))?;
    let mut bytes = Vec::new();
    let mut rest = inner;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain(before)?);
        rest = unescape(after, &mut bytes)?;
    }
    bytes.extend_from_slice(plain(rest)?);
    Ok(bytes)
}

fn plain(text: &str) -> Result<&[u8], String> {
    if text.contains('"') {
        Err("a double quote inside quotes is written `\\\"`".to_owned())
    } else {
        Ok(text.as_bytes())
    }
}

/// Reads what follows a backslash and returns what follows that.
fn unescape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Result<&'a str, String> {
    let wrong = || {
        let shown: String = text.chars().take(3).collect();
        format!("`\\{shown}` is not an escape: use \\r \\n \\t \\xNN \\\\ \\\" or \\{{N TEXT}}")
    };
    let mut characters = text.chars();
    match characters.next() {
        Some('r') => bytes.push(b'\r'),
        Some('n') => bytes.push(b'\n'),
        Some('t') => bytes.push(b'\t'),
        Some(same @ ('\\' | '"')) => bytes.extend(same.to_string().bytes()),
        Some('x') => {
            let digits = text.get(1..3).ok_or_else(wrong)?;
            bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
            return text.get(3..).ok_or_else(wrong);
        }
        Some('{') => {
            let (repeat, rest) = characters.as_str().split_once('}').ok_or_else(wrong)?;
            let (count, what) = repeat.split_once(' ').ok_or_else(wrong)?;
            let count: usize = count.parse().map_err(|_| wrong())?;
            bytes.extend(what.bytes().cycle().take(count * what.len()));
            return Ok(rest);
        }
        _ => return Err(wrong()),
    }
    Ok(characters.as_str())
}

/// Writes bytes so that they fit on a line and can be read back.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\r' => text.push_str("\\r"),
                '\n' => text.push_str("\\n"),
                '\t' => text.push_str("\\t"),
                '\\' | '"' => text.extend(['\\', character]),
                _ if character.is_ascii_control() => {
                    let _ = write!(text, "\\x{:02x}", u32::from(character));
                }
                _ => text.push(character),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_for_bytes() {
        assert_eq!(unquote(r#""a\r\n\t\x00\xff\\\"b""#).unwrap(), b"a\r\n\t\x00\xff\\\"b");
        assert_eq!(unquote(r#""<\{3 ab}>""#).unwrap(), b"<ababab>");
        assert_eq!(unquote(r#""""#).unwrap(), b"");
    }

    #[test]
    fn what_is_no_escape_is_refused() {
        for bad in [r"a", r#""a"b""#, r#""\q""#, r#""\x1""#, r#""\xgg""#, r#""\{x a}""#, r#""\""#] {
            assert!(unquote(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn quoted_bytes_are_read_back() {
        for bytes in [&b"plain"[..], b"\r\n\t\"\\\x00\xff\xc3\xa9", b""] {
            assert_eq!(unquote(&quote(bytes)).unwrap(), bytes);
        }
    }
}
