//! Request heads: from bytes to [`Request`], strictly.
//!
//! `httparse` finds the parts; what it lets pass and we do not (bare line feeds, conflicting
//! framing, repeated `Host`) is refused here. EC2: the rules are those of data plane, 1.7.
//!
//! INVARIANT: a [`Request`] is unambiguous: no second parser could read other framing into it.

use httparse::{EMPTY_HEADER, Status};

use crate::wire;

/// LIMIT: the longest request line with its header lines. Nothing that a client of this service
/// sends comes near it; it bounds what a connection can hold (data plane, 9).
pub const HEAD_BYTES_MAX: usize = 8 * 1024;

/// LIMIT: header lines of one request; clients send about ten.
pub const FIELDS_MAX: usize = 64;

/// The methods that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `OPTIONS`
    Options,
    /// `PUT`
    Put,
    /// Any other; none is allowed anywhere.
    Other,
}

/// The version in the request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// `HTTP/1.0`
    Http10,
    /// `HTTP/1.1`
    Http11,
}

/// What the head says of a body behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// None.
    Absent,
    /// A chunked body, which only a token request may have, and only an empty one.
    Chunked,
    /// This many bytes, which nobody reads.
    Sized(u64),
}

/// The lifetime that a token request asks for, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TtlField<'a> {
    Absent,
    Conflicting,
    Present(&'a [u8]),
}

/// Where a request is addressed, if it says so in absolute form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// The authority of an absolute-form target.
    pub(crate) authority: Option<&'a [u8]>,
    /// Path and query, as sent.
    pub(crate) path: &'a [u8],
}

/// A request head that can be read in one way only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) target: Target<'a>,
    pub(crate) version: HttpVersion,
    pub(crate) body: Body,
    /// The session token; of several, the last.
    pub(crate) token: Option<&'a [u8]>,
    pub(crate) ttl: TtlField<'a>,
    /// Whether `X-Forwarded-For` is there, whatever its value.
    pub(crate) is_forwarded: bool,
    /// Whether any header line betrays a proxy: `Via`, `Forwarded`, `X-Forwarded-*`.
    pub(crate) is_proxied: bool,
    pub(crate) expects_continue: bool,
    pub(crate) host: Option<&'a [u8]>,
    pub(crate) user_agent: Option<&'a [u8]>,
}

/// What the bytes so far amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// More bytes are needed.
    Incomplete,
    /// A request, and how many bytes its head took.
    Complete(Request<'a>, usize),
}

/// Why bytes are not a request. Each is answered 400 and ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A line that ends in a line feed alone.
    #[error("a line ends in a bare line feed")]
    BareLineFeed,
    /// A chunked body where none may be, or one that is not empty.
    #[error("the chunked body is not allowed, or not empty")]
    ChunkedBody,
    /// A `Content-Length` that is no number, or several that differ.
    #[error("`Content-Length` is not one number")]
    ContentLength,
    /// Both `Content-Length` and `Transfer-Encoding`.
    #[error("both `Content-Length` and `Transfer-Encoding` are given")]
    ConflictingFraming,
    /// A header line without name or colon, with a blank or control character in its name, folded,
    /// or with a control character in its value.
    #[error("a header line is malformed")]
    Field,
    /// More than [`HEAD_BYTES_MAX`].
    #[error("the request head is longer than {HEAD_BYTES_MAX} bytes")]
    HeadTooLong,
    /// More than one `Host` line.
    #[error("`Host` is given more than once")]
    RepeatedHost,
    /// Not `METHOD target HTTP/x.y` with single spaces.
    #[error("the request line is malformed")]
    RequestLine,
    /// Neither a path nor an `http://` URL.
    #[error("the request target is neither a path nor an `http://` URL")]
    Target,
    /// More than [`FIELDS_MAX`].
    #[error("the request has more than {FIELDS_MAX} header lines")]
    TooManyFields,
    /// A transfer coding other than `chunked`.
    #[error("the transfer coding is not `chunked`")]
    TransferEncoding,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("the HTTP version is neither 1.0 nor 1.1")]
    Version,
}

impl<'a> Request<'a> {
    /// Parses the head at the start of `bytes`.
    ///
    /// # Errors
    ///
    /// The [`Malformed`] that was met first; it is met as soon as the bytes show it.
    pub fn parse(bytes: &'a [u8]) -> Result<Parsed<'a>, Malformed> {
        let Some(head_bytes) = find_end_of_head(bytes)? else {
            return Ok(Parsed::Incomplete);
        };
        let head = bytes.get(..head_bytes).unwrap_or(bytes);
        let mut fields = [EMPTY_HEADER; FIELDS_MAX];
        let mut parsed = httparse::Request::new(&mut fields);
        match parsed.parse(head).map_err(malformed)? {
            Status::Complete(_) => {}
            // The head has a blank line, but not where this grammar wants one.
            Status::Partial => return Err(Malformed::RequestLine),
        }
        let mut request = Self {
            method: method(parsed.method.unwrap_or_default()),
            target: target(parsed.path.unwrap_or_default().as_bytes())?,
            version: match parsed.version {
                Some(0) => HttpVersion::Http10,
                _ => HttpVersion::Http11,
            },
            body: Body::Absent,
            token: None,
            ttl: TtlField::Absent,
            is_forwarded: false,
            is_proxied: false,
            expects_continue: false,
            host: None,
            user_agent: None,
        };
        let mut framing = Framing::default();
        for field in parsed.headers.iter() {
            request.read_field(field.name, field.value, &mut framing)?;
        }
        request.body = framing.body(request.method)?;
        Ok(Parsed::Complete(request, head_bytes))
    }

    fn read_field(
        &mut self,
        name: &str,
        value: &'a [u8],
        framing: &mut Framing,
    ) -> Result<(), Malformed> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match name.len() {
            3 if is("Via") => self.is_proxied = true,
            4 if is("Host") && self.host.is_some() => return Err(Malformed::RepeatedHost),
            4 if is("Host") => self.host = Some(value),
            6 if is("Expect") => {
                self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue");
            }
            9 if is("Forwarded") => self.is_proxied = true,
            11 if is("X-Forwarded") => self.is_proxied = true,
            13.. if name.get(..12).is_some_and(|n| n.eq_ignore_ascii_case("X-Forwarded-")) => {
                self.is_proxied = true;
                self.is_forwarded |= is(wire::FORWARDED_FOR_HEADER);
            }
            10 if is("User-Agent") => self.user_agent = Some(value),
            14 if is("Content-Length") => framing.read_length(value)?,
            17 if is("Transfer-Encoding") => framing.read_coding(value)?,
            24 if is(wire::TOKEN_HEADER) => self.token = Some(value),
            36 if is(wire::TOKEN_TTL_HEADER) => {
                self.ttl = match self.ttl {
                    TtlField::Absent => TtlField::Present(value),
                    TtlField::Present(other) if other == value => self.ttl,
                    TtlField::Present(_) | TtlField::Conflicting => TtlField::Conflicting,
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// Returns the method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns the HTTP version.
    pub fn version(&self) -> HttpVersion {
        self.version
    }

    /// Returns what the head says of a body.
    pub fn body(&self) -> Body {
        self.body
    }

    /// Whether the sender waits for `100 Continue` before it sends a body.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// Whether a token header is there, which makes this a request of `IMDSv2`.
    pub fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Returns the program's claim of what it is. Hostile text.
    pub fn user_agent(&self) -> Option<&'a [u8]> {
        self.user_agent
    }
}

/// Returns the length of the head, blank line included, once it is there.
fn find_end_of_head(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let mut line_start = 0;
    let mut has_request_line = false;
    for feed in memchr::memchr_iter(b'\n', bytes) {
        // First, so that a head is too long whether or not its next line feed has come.
        if feed >= HEAD_BYTES_MAX {
            return Err(Malformed::HeadTooLong);
        }
        let line = bytes.get(line_start..feed).unwrap_or_default();
        let Some((b'\r', line)) = line.split_last() else {
            return Err(Malformed::BareLineFeed);
        };
        line_start = feed + 1;
        // Blank lines before the request line are passed over, as RFC 9112, 2.2 asks.
        match (line.is_empty(), has_request_line) {
            (true, true) => return Ok(Some(line_start)),
            (true, false) => {}
            (false, _) => has_request_line = true,
        }
    }
    if bytes.len() > HEAD_BYTES_MAX { Err(Malformed::HeadTooLong) } else { Ok(None) }
}

fn malformed(fault: httparse::Error) -> Malformed {
    match fault {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => Malformed::Field,
        httparse::Error::TooManyHeaders => Malformed::TooManyFields,
        httparse::Error::Version => Malformed::Version,
        httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => {
            Malformed::RequestLine
        }
    }
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "OPTIONS" => Method::Options,
        "PUT" => Method::Put,
        _ => Method::Other,
    }
}

fn target(text: &[u8]) -> Result<Target<'_>, Malformed> {
    const SCHEME: &[u8] = b"http://";
    match text.split_at_checked(SCHEME.len()) {
        _ if text.first() == Some(&b'/') => Ok(Target { authority: None, path: text }),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => {
            let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
            match rest.split_at_checked(end) {
                Some(([], _)) | None => Err(Malformed::Target),
                Some((authority, path)) => Ok(Target { authority: Some(authority), path }),
            }
        }
        _ => Err(Malformed::Target),
    }
}

/// What the framing header lines say, taken together.
#[derive(Default)]
struct Framing {
    length: Option<u64>,
    is_chunked: bool,
}

impl Framing {
    fn read_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let length = std::str::from_utf8(value)
            .ok()
            .filter(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .ok_or(Malformed::ContentLength)?;
        match self.length.replace(length) {
            Some(other) if other != length => Err(Malformed::ContentLength),
            _ => Ok(()),
        }
    }

    fn read_coding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.is_chunked || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::TransferEncoding);
        }
        self.is_chunked = true;
        Ok(())
    }

    fn body(&self, method: Method) -> Result<Body, Malformed> {
        match (self.length, self.is_chunked, method) {
            (None | Some(0), false, _) => Ok(Body::Absent),
            (Some(bytes), false, _) => Ok(Body::Sized(bytes)),
            (Some(_), true, _) => Err(Malformed::ConflictingFraming),
            (None, true, Method::Put) => Ok(Body::Chunked),
            (None, true, _) => Err(Malformed::ChunkedBody),
        }
    }
}

#[cfg(test)]
mod tests;
