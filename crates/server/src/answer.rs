//! From a reply to the bytes on the wire: status, header lines in EC2's order, body.
//!
//! This is the one place that knows status codes. EC2: the forms are N1 to N9 and the legacy images
//! of data plane, 1.3 to 1.5.

use std::fmt::Write as _;
use std::io::Write as _;

use metadata::{Allow, Content, ContentType, Grant, Method, Refusal};
use model::{Outcome, Timestamp};

/// Which of EC2's two wire personalities is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    /// That of Xen instances: HTTP/1.0 and XHTML errors.
    Legacy,
    /// That of Nitro instances.
    #[default]
    Nitro,
}

/// What a request came to.
#[derive(Debug)]
pub(crate) enum Reply<'a> {
    Content(Content<'a>),
    Granted(Grant),
    Methods(Allow),
    Refused(Refusal),
    /// Over the instance's request rate.
    Throttled,
    /// The answer cannot be made now.
    Unready,
}

impl Reply<'_> {
    /// Returns what the reply counts as.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Content(_) | Self::Granted(_) | Self::Methods(_) => Outcome::Ok,
            Self::Refused(refusal) => match refusal {
                Refusal::EndpointDisabled
                | Refusal::Forwarded
                | Refusal::Proxied
                | Refusal::PutElsewhere => Outcome::Forbidden,
                Refusal::ExpectationFailed
                | Refusal::ForeignHost
                | Refusal::Malformed(_)
                | Refusal::TtlRefused(_) => Outcome::BadRequest,
                Refusal::MethodNotAllowed(_) => Outcome::MethodNotAllowed,
                Refusal::PathUnknown { .. } => Outcome::NotFound,
                Refusal::TokenMissing | Refusal::TokenRefused(_) => Outcome::Unauthorized,
            },
            Self::Throttled => Outcome::Throttled,
            Self::Unready => Outcome::Unavailable,
        }
    }
}

/// A status code with EC2's reason phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Status(&'static str);

const OK: Status = Status("200 OK");
const BAD_REQUEST: Status = Status("400 Bad Request");
const UNAUTHORIZED: Status = Status("401 Unauthorized");
const FORBIDDEN: Status = Status("403 Forbidden");
const NOT_FOUND: Status = Status("404 Not Found");
const NOT_ALLOWED: Status = Status("405 Not Allowed");
const EXPECTATION_FAILED: Status = Status("417 Expectation Failed");
const UNAVAILABLE: Status = Status("503 Service Unavailable");

/// The status of a refusal. There is no `_`: a new refusal must choose.
fn status_of(refusal: Refusal) -> Status {
    match refusal {
        Refusal::ForeignHost | Refusal::Malformed(_) | Refusal::TtlRefused(_) => BAD_REQUEST,
        Refusal::TokenMissing | Refusal::TokenRefused(_) => UNAUTHORIZED,
        Refusal::EndpointDisabled
        | Refusal::Forwarded
        | Refusal::Proxied
        | Refusal::PutElsewhere => FORBIDDEN,
        Refusal::PathUnknown { .. } => NOT_FOUND,
        Refusal::MethodNotAllowed(_) => NOT_ALLOWED,
        Refusal::ExpectationFailed => EXPECTATION_FAILED,
    }
}

/// Writes answers; remembers the text of the second it is in.
#[derive(Debug)]
pub(crate) struct Writer {
    second: i64,
    date: String,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self { second: i64::MIN, date: String::new() }
    }

    /// Writes `reply` to the end of `out`; without its body if the method is `HEAD`.
    pub(crate) fn write(
        &mut self,
        out: &mut Vec<u8>,
        wire: Wire,
        reply: &Reply<'_>,
        method: Method,
        now: Timestamp,
    ) {
        if self.second != now.as_seconds() {
            self.second = now.as_seconds();
            self.date.clear();
            // Writing to a string does not fail.
            let _ = write!(self.date, "{}", now.http_date());
        }
        let mut answer = Answer { out, date: &self.date, method };
        match wire {
            Wire::Legacy => legacy(&mut answer, reply),
            Wire::Nitro => nitro(&mut answer, reply),
        }
    }
}

/// An answer being written.
struct Answer<'a> {
    out: &'a mut Vec<u8>,
    date: &'a str,
    method: Method,
}

impl Answer<'_> {
    fn status(&mut self, version: &str, status: Status) -> &mut Self {
        self.text(version).text(" ").text(status.0).text("\r\n")
    }

    fn line(&mut self, line: &str) -> &mut Self {
        self.text(line).text("\r\n")
    }

    fn length(&mut self, bytes: usize) -> &mut Self {
        self.number("Content-Length: ", bytes as u64)
    }

    fn date(&mut self) -> &mut Self {
        let date = self.date;
        self.text("Date: ").text(date).text("\r\n")
    }

    fn last_modified(&mut self, time: Timestamp) -> &mut Self {
        // Writing to a vector does not fail.
        let _ = write!(self.out, "Last-Modified: {}\r\n", time.http_date());
        self
    }

    fn token_ttl(&mut self, seconds: Option<u32>) -> &mut Self {
        match seconds {
            Some(seconds) => {
                self.number("X-Aws-Ec2-Metadata-Token-Ttl-Seconds: ", u64::from(seconds))
            }
            None => self,
        }
    }

    fn body(&mut self, body: &[u8]) {
        self.text("\r\n");
        if self.method != Method::Head {
            self.out.extend_from_slice(body);
        }
    }

    fn number(&mut self, name: &str, number: u64) -> &mut Self {
        self.text(name);
        let _ = write!(self.out, "{number}\r\n");
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.out.extend_from_slice(text.as_bytes());
        self
    }
}

const SERVER: &str = "Server: EC2ws\r\nConnection: close";
const SERVER_LAST: &str = "Connection: close\r\nServer: EC2ws";
const TEXT: &str = "Content-Type: text/plain";
const HTML: &str = "Content-Type: text/html";
const OCTETS: &str = "Content-Type: application/octet-stream";

fn content_type(content: &Content<'_>) -> &'static str {
    match content.content_type {
        ContentType::Octets => OCTETS,
        ContentType::Text => TEXT,
    }
}

fn allow(methods: Allow) -> &'static str {
    match methods {
        Allow::Metadata => "Allow: GET, HEAD, OPTIONS",
        Allow::Token => "Allow: OPTIONS, PUT",
    }
}

fn nitro(answer: &mut Answer<'_>, reply: &Reply<'_>) {
    let http = "HTTP/1.1";
    match reply {
        // N1
        Reply::Granted(Grant { token, ttl }) => answer
            .status(http, OK)
            .token_ttl(Some(ttl.as_seconds()))
            .length(token.len())
            .date()
            .line(SERVER)
            .line(TEXT)
            .body(token),
        // N2, N3, N4
        Reply::Content(content) => answer
            .status(http, OK)
            .token_ttl(content.token_ttl_seconds)
            .line(content_type(content))
            .line("Accept-Ranges: none")
            .last_modified(content.last_modified)
            .length(content.body.len())
            .date()
            .line(SERVER)
            .body(&content.body),
        // N6
        Reply::Refused(Refusal::PathUnknown { token_ttl_seconds }) => {
            let page = xhtml(NOT_FOUND, "\t\t ");
            answer
                .status(http, NOT_FOUND)
                .token_ttl(*token_ttl_seconds)
                .line(HTML)
                .length(page.len())
                .date()
                .line(SERVER)
                .body(page.as_bytes());
        }
        // N7
        Reply::Refused(refusal @ Refusal::MethodNotAllowed(methods)) => {
            answer.status(http, status_of(*refusal)).line(allow(*methods));
            nitro_empty(answer);
        }
        Reply::Methods(methods) => {
            answer.status(http, OK).line(allow(*methods));
            nitro_empty(answer);
        }
        // N5, N8, N9
        Reply::Refused(refusal) => {
            answer.status(http, status_of(*refusal));
            nitro_empty(answer);
        }
        Reply::Throttled | Reply::Unready => {
            answer.status(http, UNAVAILABLE);
            nitro_empty(answer);
        }
    }
}

fn nitro_empty(answer: &mut Answer<'_>) {
    answer.length(0).date().line(SERVER).line(TEXT).body(b"");
}

fn legacy(answer: &mut Answer<'_>, reply: &Reply<'_>) {
    let http = "HTTP/1.0";
    match reply {
        Reply::Granted(Grant { token, ttl }) => answer
            .status(http, OK)
            .length(token.len())
            .line(TEXT)
            .date()
            .token_ttl(Some(ttl.as_seconds()))
            .line(SERVER_LAST)
            .body(token),
        Reply::Content(content) => answer
            .status(http, OK)
            .line("Accept-Ranges: bytes")
            .length(content.body.len())
            .line(content_type(content))
            .date()
            .last_modified(content.last_modified)
            .token_ttl(content.token_ttl_seconds)
            .line(SERVER_LAST)
            .body(&content.body),
        Reply::Methods(methods) => answer
            .status(http, OK)
            .line(allow(*methods))
            .length(0)
            .line(TEXT)
            .date()
            .line(SERVER_LAST)
            .body(b""),
        Reply::Refused(refusal) => {
            let status = status_of(*refusal);
            answer.status(http, status);
            match refusal {
                Refusal::MethodNotAllowed(methods) => {
                    answer.line(allow(*methods));
                    legacy_page(answer, status, None);
                }
                Refusal::PathUnknown { token_ttl_seconds } => {
                    legacy_page(answer, status, *token_ttl_seconds);
                }
                Refusal::EndpointDisabled
                | Refusal::ExpectationFailed
                | Refusal::ForeignHost
                | Refusal::Forwarded
                | Refusal::Malformed(_)
                | Refusal::Proxied
                | Refusal::PutElsewhere
                | Refusal::TokenMissing
                | Refusal::TokenRefused(_)
                | Refusal::TtlRefused(_) => legacy_page(answer, status, None),
            }
        }
        Reply::Throttled | Reply::Unready => {
            answer.status(http, UNAVAILABLE);
            legacy_page(answer, UNAVAILABLE, None);
        }
    }
}

fn legacy_page(answer: &mut Answer<'_>, status: Status, token_ttl_seconds: Option<u32>) {
    let page = xhtml(status, "\t");
    answer
        .length(page.len())
        .line(HTML)
        .date()
        .token_ttl(token_ttl_seconds)
        .line(SERVER_LAST)
        .body(page.as_bytes());
}

/// EC2: one page for every error; its white space counts (data plane, 1.4).
fn xhtml(status: Status, indent: &str) -> String {
    let title = status.0.replacen(' ', " - ", 1);
    format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n\
         <!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Transitional//EN\"\n\
         {indent}\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n\
         <html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n \
         <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n </body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_pages_have_the_bytes_of_ec2s() {
        let page = xhtml(NOT_FOUND, "\t\t ");
        assert_eq!(page.len(), 339);
        let digest: String = Sha256::digest(&page)
            .iter()
            .flat_map(|byte| [byte >> 4, byte & 15])
            .map(|n| char::from_digit(u32::from(n), 16).unwrap())
            .collect();
        assert_eq!(digest, "3f92bfc0961a4bf4e83938c708afb562018c698f4a2775acc4d59879c33aa39c");
        for (status, bytes) in
            [(UNAUTHORIZED, 343), (BAD_REQUEST, 341), (FORBIDDEN, 337), (NOT_FOUND, 337)]
        {
            assert_eq!(xhtml(status, "\t").len(), bytes);
        }
    }
}
