//! Paths in the one form that is compared.
//!
//! INVARIANT: two spellings of a path have equal canonical forms or one of them is refused.

use std::borrow::Cow;

/// A path: percent-decoded once, without its query, split into non-empty segments.
///
/// EC2: several slashes count as one; `.` and `..` are names like any other, and nothing has
/// them (data plane, 1.9).
#[derive(Clone, Debug)]
pub struct Path<'a> {
    decoded: Cow<'a, str>,
}

/// Why a path leads nowhere, before it is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathRefusal {
    /// A percent sign without two hexadecimal digits behind it.
    #[error("a percent sign is not followed by two hexadecimal digits")]
    BrokenEscape,
    /// A control character, NUL among them.
    #[error("the path holds a control character")]
    Control,
    /// Bytes that are not UTF-8.
    #[error("the path is not UTF-8")]
    NotUtf8,
}

impl<'a> Path<'a> {
    /// Brings the path of a request target into canonical form.
    ///
    /// # Errors
    ///
    /// [`PathRefusal`] if it has none.
    pub fn parse(target: &'a [u8]) -> Result<Self, PathRefusal> {
        let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let decoded = if path.contains(&b'%') {
            let bytes = percent_decode(path)?;
            Cow::Owned(String::from_utf8(bytes).map_err(|_| PathRefusal::NotUtf8)?)
        } else {
            Cow::Borrowed(std::str::from_utf8(path).map_err(|_| PathRefusal::NotUtf8)?)
        };
        if decoded.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(PathRefusal::Control);
        }
        Ok(Self { decoded })
    }

    /// Returns the segments, in order; none for `/`.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.decoded.split('/').filter(|segment| !segment.is_empty())
    }

    /// Whether the path ends in a slash.
    pub fn ends_in_slash(&self) -> bool {
        self.decoded.ends_with('/')
    }

    /// Whether this is the path that grants tokens. Unlike any other, it must not end in a slash.
    pub(crate) fn is_token_path(&self) -> bool {
        !self.ends_in_slash() && self.segments().eq(["latest", "api", "token"])
    }
}

/// Two paths are equal if they lead to the same thing: a final slash counts on the token path only.
impl PartialEq for Path<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.segments().eq(other.segments()) && self.is_token_path() == other.is_token_path()
    }
}

impl Eq for Path<'_> {}

/// Decodes once: what comes out is not decoded again.
fn percent_decode(path: &[u8]) -> Result<Vec<u8>, PathRefusal> {
    let digit = |byte: Option<&u8>| byte.and_then(|b| char::from(*b).to_digit(16));
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.iter();
    while let Some(&byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or_default(),
                _ => return Err(PathRefusal::BrokenEscape),
            },
            plain => plain,
        });
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn segments(text: &str) -> Result<Vec<String>, PathRefusal> {
        Path::parse(text.as_bytes()).map(|path| path.segments().map(str::to_owned).collect())
    }

    #[test]
    fn spellings_of_one_path() {
        for text in [
            "/latest/meta-data/instance-id",
            "//latest///meta-data/instance-id/",
            "/latest/meta-data/instance%2Did",
            "/latest/meta%2ddata%2finstance-id",
            "/latest/meta-data/instance-id?x=1",
            "/latest/meta-data/instance-id?x=%",
        ] {
            assert_eq!(segments(text).unwrap(), ["latest", "meta-data", "instance-id"], "{text}");
        }
    }

    #[test]
    fn dots_are_names() {
        assert_eq!(segments("/a/../b/.").unwrap(), ["a", "..", "b", "."]);
    }

    #[test]
    fn decoding_happens_once() {
        assert_eq!(segments("/%252e").unwrap(), ["%2e"]);
    }

    #[test]
    fn what_has_no_canonical_form_is_refused() {
        for (text, refusal) in [
            ("/%", PathRefusal::BrokenEscape),
            ("/%4", PathRefusal::BrokenEscape),
            ("/%zz", PathRefusal::BrokenEscape),
            ("/%00", PathRefusal::Control),
            ("/a%0ab", PathRefusal::Control),
            ("/%ff", PathRefusal::NotUtf8),
        ] {
            assert_eq!(segments(text), Err(refusal), "{text}");
        }
    }

    #[test]
    fn only_one_spelling_of_the_final_slash_grants_tokens() {
        let is_token_path = |text: &str| Path::parse(text.as_bytes()).unwrap().is_token_path();
        assert!(is_token_path("/latest/api/token"));
        assert!(is_token_path("/latest//api/token"));
        assert!(is_token_path("/latest/api/tok%65n"));
        assert!(!is_token_path("/latest/api/token/"));
        assert!(!is_token_path("/2021-07-15/api/token"));
    }

    proptest! {
        /// Spelling a path otherwise leads to the same place.
        #[test]
        fn escaping_and_doubling_slashes_change_nothing(
            names in prop::collection::vec("[a-z0-9.:=+-]{1,8}", 0..6),
            escape in any::<bool>(),
            slashes in 1_usize..4,
        ) {
            let escaped = |byte| format!("%{byte:02x}");
            let spell = |name: &String| {
                if escape { name.bytes().map(escaped).collect() } else { name.clone() }
            };
            let plain = names.iter().flat_map(|name| ["/", name]).collect::<String>();
            let odd = names
                .iter()
                .flat_map(|name| ["/".repeat(slashes), spell(name)])
                .collect::<String>();
            let plain = Path::parse(plain.as_bytes()).unwrap();
            let odd = Path::parse(odd.as_bytes()).unwrap();
            prop_assert_eq!(plain, odd);
        }

        #[test]
        fn canonical_form_is_its_own_canonical_form(text in "/[a-z/.]{0,30}") {
            let path = Path::parse(text.as_bytes()).unwrap();
            let again: String = path.segments().flat_map(|segment| ["/", segment]).collect();
            let again = Path::parse(again.as_bytes()).unwrap();
            prop_assert!(path.segments().eq(again.segments()));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Path::parse(&bytes).map(|path| path.segments().count());
        }
    }
}
