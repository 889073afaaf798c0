//! Answers, read as a strict client does: exactly one, framed so that nobody can read it otherwise.

use server::Wire;

/// An answer that is framed right.
#[derive(Debug)]
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// Name and value of each header line.
    pub fields: Vec<(&'a str, &'a str)>,
    /// The body.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// Reads `bytes`, which must be one answer of this wire and nothing else.
    pub fn read(bytes: &'a [u8], wire: Wire, to_head: bool) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.expect("an answer has a blank line");
        let (head, body) = (&bytes[..end], &bytes[end + 4..]);
        let head = std::str::from_utf8(head).expect("an answer's head is text");
        let is_plain = |c: char| matches!(c, ' '..='~');
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        assert!(status_line.chars().all(is_plain), "{status_line:?}");
        let fields: Vec<_> = lines.map(field).collect();
        let answer = Self { status: status(status_line, wire), fields, body };
        answer.check(to_head);
        answer
    }

    /// Returns the value of the one header line of this name, if there is one.
    pub fn field(&self, name: &str) -> Option<&'a str> {
        let mut values = self.fields.iter().filter(|(known, _)| *known == name);
        let value = values.next().map(|(_, value)| *value);
        assert!(values.next().is_none(), "{name} is there twice");
        value
    }

    fn check(&self, to_head: bool) {
        for (at, (name, _)) in self.fields.iter().enumerate() {
            let is_same = |(other, _): &(&str, &str)| other.eq_ignore_ascii_case(name);
            assert!(!self.fields[..at].iter().any(is_same), "{name} is there twice");
        }
        let length = self.field("Content-Length").expect("a length");
        assert!(length.bytes().all(|b| b.is_ascii_digit()), "{length:?}");
        assert!(length == "0" || !length.starts_with('0'), "{length:?}");
        let length: usize = length.parse().expect("a length is a number");
        assert_eq!(self.body.len(), if to_head { 0 } else { length }, "body");
        assert_eq!(self.field("Server"), Some("EC2ws"));
        assert_eq!(self.field("Connection"), Some("close"));
        assert_eq!(self.field("Transfer-Encoding"), None);
        assert!(self.field("Date").is_some_and(|date| date.ends_with(" GMT")));
        let types = ["text/plain", "text/html", "application/octet-stream"];
        assert!(self.field("Content-Type").is_some_and(|t| types.contains(&t)));
    }
}

fn status(line: &str, wire: Wire) -> u16 {
    let version = match wire {
        Wire::Legacy => "HTTP/1.0 ",
        Wire::Nitro => "HTTP/1.1 ",
    };
    let rest = line.strip_prefix(version).expect("a version");
    let (code, phrase) = rest.split_once(' ').expect("a phrase");
    assert!(!phrase.is_empty() && code.len() == 3, "{line:?}");
    code.parse().expect("a status code")
}

fn field(line: &str) -> (&str, &str) {
    let (name, value) = line.split_once(": ").expect("name and value");
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    assert!(!name.is_empty() && name.bytes().all(is_name), "{line:?}");
    assert!(value.chars().all(|c| matches!(c, ' '..='~')), "{line:?}");
    assert_eq!(value.trim(), value);
    (name, value)
}
