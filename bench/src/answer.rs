//! Is this answer the whole of the answer that was expected?

use std::fmt;

/// A complete HTTP/1 answer, as read until the server closed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// Why bytes are no complete answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The blank line after the headers never came.
    HeadUnfinished,
    /// No `Content-Length`, so nobody can tell whether the body is whole.
    LengthMissing,
    /// More or fewer body bytes than announced.
    LengthWrong { announced: usize, came: usize },
    /// The first line is not an HTTP/1 status line.
    NotHttp,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HeadUnfinished => write!(f, "the head is cut off"),
            Self::LengthMissing => write!(f, "no content length"),
            Self::LengthWrong { announced, came } => {
                write!(f, "{came} body bytes came where {announced} were announced")
            }
            Self::NotHttp => write!(f, "not an HTTP/1 answer"),
        }
    }
}

/// Reads an answer from everything that came on a connection.
pub(crate) fn parse(bytes: &[u8]) -> Result<Answer<'_>, Broken> {
    let status = status_of(bytes).ok_or(Broken::NotHttp)?;
    let mut rest = after_line(bytes).ok_or(Broken::HeadUnfinished)?;
    let mut length = None;
    loop {
        if let Some(body) = rest.strip_prefix(b"\r\n") {
            let announced = length.ok_or(Broken::LengthMissing)?;
            return if announced == body.len() {
                Ok(Answer { status, body })
            } else {
                Err(Broken::LengthWrong { announced, came: body.len() })
            };
        }
        length = length.or_else(|| content_length(rest));
        rest = after_line(rest).ok_or(Broken::HeadUnfinished)?;
    }
}

fn status_of(bytes: &[u8]) -> Option<u16> {
    let text = bytes.strip_prefix(b"HTTP/1.1 ").or_else(|| bytes.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, rest) = text.split_at_checked(3)?;
    let ended = matches!(rest.first(), Some(b' ' | b'\r'));
    if ended { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// The value of the header that `line` starts with, if that is `Content-Length`.
fn content_length(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let end = value.iter().position(|b| *b == b'\r')?;
    std::str::from_utf8(value.get(..end)?).ok()?.trim().parse().ok()
}

fn after_line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    bytes.get(end + 1..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_answers_are_read() {
        for (bytes, status, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, "abc"),
            ("HTTP/1.1 401 Unauthorized\r\ncontent-length:0\r\nServer: x\r\n\r\n", 401, ""),
            ("HTTP/1.0 404\r\nDate: now\r\nCONTENT-LENGTH: 4 \r\n\r\n\r\n\r\n", 404, "\r\n\r\n"),
        ] {
            let expected = Answer { status, body: body.as_bytes() };
            assert_eq!(parse(bytes.as_bytes()), Ok(expected), "{bytes:?}");
        }
    }

    #[test]
    fn anything_less_is_broken() {
        use Broken::{HeadUnfinished, LengthMissing, LengthWrong, NotHttp};

        for (bytes, expected) in [
            ("", NotHttp),
            ("HTTP/2 200\r\n\r\n", NotHttp),
            ("HTTP/1.1 2000\r\n\r\n", NotHttp),
            ("HTTP/1.1 20", NotHttp),
            ("HTTP/1.1 200 OK", HeadUnfinished),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", HeadUnfinished),
            ("HTTP/1.1 200 OK\r\n\r\nabc", LengthMissing),
            ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc", LengthMissing),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
                LengthWrong { announced: 4, came: 3 },
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc",
                LengthWrong { announced: 2, came: 3 },
            ),
        ] {
            assert_eq!(parse(bytes.as_bytes()), Err(expected), "{bytes:?}");
        }
    }
}
