//! The canonical request: one text for all the ways of writing a request that mean the same.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{Presented, SignatureFault};

/// The parameter that a signature in the query is in, and which it cannot be over.
pub(super) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";

/// Writes the canonical form of the request that `presented` came with.
///
/// # Errors
///
/// [`SignatureFault::SignedHeaderAbsent`] if a header that is said to be signed is not there.
pub(super) fn request(
    presented: &Presented<'_>,
    payload_hash: &str,
) -> Result<String, SignatureFault> {
    let request = presented.request;
    let names = presented.signed_headers.join(";");
    let headers: String = presented
        .signed_headers
        .iter()
        .map(|name| header(presented, name))
        .collect::<Result<_, _>>()?;
    // A method that is none cannot pretend to be the lines below it.
    let method = encode(request.method.as_bytes());
    let (path, query) = (path(request.path), query(request.query));
    Ok(format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{payload_hash}"))
}

/// Writes the line of a header: its values in the order sent, each trimmed, and runs of blanks in
/// them as one.
fn header(presented: &Presented<'_>, name: &str) -> Result<String, SignatureFault> {
    let lines = presented.request.headers.iter().filter(|(known, _)| *known == name);
    let values: Vec<_> = lines
        .map(|(_, value)| value.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    if values.is_empty() {
        return Err(SignatureFault::SignedHeaderAbsent { name: name.to_owned() });
    }
    Ok(format!("{name}:{}\n", values.join(",")))
}

/// Normalizes a path and encodes it once more than it is. EC2: all services but S3 do.
fn path(sent: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in sent.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            name => segments.push(name),
        }
    }
    let segments: Vec<_> = segments.iter().map(|name| encode(name.as_bytes())).collect();
    let end = if sent.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

/// Sorts the parameters by name, then value, each decoded and encoded in the one way.
fn query(sent: &str) -> String {
    if sent.is_empty() {
        return String::new();
    }
    let mut sorted: Vec<_> = parameters(sent)
        .filter(|(name, _)| *name != SIGNATURE_PARAMETER.as_bytes())
        .map(|(name, value)| (encode(&name), encode(&value)))
        .collect();
    sorted.sort_unstable();
    let written: Vec<_> = sorted.iter().map(|(name, value)| format!("{name}={value}")).collect();
    written.join("&")
}

/// Reads the parameters of a query or a form, in the order sent.
///
/// One without `=` has an empty value, and nothing between two `&` is a parameter without a name.
pub(super) fn parameters(sent: &str) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    sent.split('&').map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (decode(name), decode(value))
    })
}

/// Decodes `%` with two digits, and `+`, which is a space. Any other `%` is itself.
fn decode(text: &str) -> Cow<'_, [u8]> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [first, behind @ ..] = rest {
        let (byte, behind) = match (first, behind) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', behind),
            },
            (b'+', _) => (b' ', behind),
            _ => (*first, behind),
        };
        decoded.push(byte);
        rest = behind;
    }
    Cow::Owned(decoded)
}

/// Reads a hexadecimal digit.
pub(super) fn digit(letter: u8) -> Option<u8> {
    char::from(letter).to_digit(16).and_then(|number| u8::try_from(number).ok())
}

/// Encodes every byte but RFC 3986's unreserved ones.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalized_and_encoded_once_more() {
        for (sent, canonical) in [
            ("", "/"),
            ("/", "/"),
            ("//", "/"),
            ("/.", "/"),
            ("/..", "/"),
            ("/a/..", "/"),
            ("/a/../b", "/b"),
            ("/../../b", "/b"),
            ("//a//b/", "/a/b/"),
            ("/a/./b", "/a/b"),
            ("/a b", "/a%20b"),
            ("/a%20b", "/a%2520b"),
            ("/%2e%2E/b", "/%252e%252E/b"),
            ("/ሴ", "/%E1%88%B4"),
            ("/-._~Az09", "/-._~Az09"),
            ("/a:b+c", "/a%3Ab%2Bc"),
        ] {
            assert_eq!(path(sent), canonical, "{sent:?}");
        }
    }

    #[test]
    fn queries_are_sorted_and_encoded_in_one_way() {
        for (sent, canonical) in [
            ("", ""),
            ("b=2&a=1", "a=1&b=2"),
            ("a=2&a=1", "a=1&a=2"),
            // By name, not by what stands before the next `&`: `-` is below `=`.
            ("a-=1&a=2", "a=2&a-=1"),
            ("B=1&a=2", "B=1&a=2"),
            ("a", "a="),
            ("a=", "a="),
            ("a=b=c", "a=b%3Dc"),
            ("a=%2f&b=/", "a=%2F&b=%2F"),
            ("a=+&b=%20", "a=%20&b=%20"),
            ("a=%2B", "a=%2B"),
            ("a=%&b=%4&c=%zz", "a=%25&b=%254&c=%25zz"),
            ("a=%+1", "a=%25%201"),
            ("%61=%7e", "a=~"),
            ("a=%ff%00", "a=%FF%00"),
            ("a=ሴ", "a=%E1%88%B4"),
            ("a=1&", "=&a=1"),
            ("X-Amz-Signature=00&a=1", "a=1"),
        ] {
            assert_eq!(query(sent), canonical, "{sent:?}");
        }
    }
}
