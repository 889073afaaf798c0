//! The management API as AWS clients speak it: bytes in, bytes out.
//!
//! **What is the picture?**
//!
//! ```text
//! ApiRequest ─ route ─▶ Arrival: service, protocol, action, form
//!                          │ an action reads its request type, and plans
//!                          ▼
//!                   Answer or ApiFault ─ document::respond ─▶ ApiResponse
//! ```
//!
//! INVARIANT: nothing here opens a socket, reads a clock or looks at what is stored.

pub mod document;
pub mod fault;
pub mod filter;
pub mod form;
pub mod page;
pub mod route;
mod signature;
pub mod xml;

use std::fmt;
use std::net::IpAddr;

pub use self::document::{Answer, ApiResponse, respond};
pub use self::fault::ApiFault;
pub use self::signature::{
    LIFETIME_SECONDS_MAX, Presented, SIGNED_HEADERS_MAX, SignatureFault, Signer, Verified,
};

/// A request to the management listener, as it was sent: signatures are over these bytes.
#[derive(Clone)]
pub struct ApiRequest<'a> {
    /// The method, in capitals.
    pub method: &'a str,
    /// The path, as sent.
    pub path: &'a str,
    /// The query string, as sent, without its question mark.
    pub query: &'a str,
    /// Names in lower case, and values.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The body.
    pub body: &'a [u8],
    /// The address that it came from, if it is known.
    pub source: Option<IpAddr>,
}

impl<'a> ApiRequest<'a> {
    /// Returns the first value of a header; `name` is in lower case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value)
    }
}

/// Session tokens and signatures stand in headers, queries and bodies: none of them is shown.
impl fmt::Debug for ApiRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// The two families of form-encoded services, which differ in their lists, answers and times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// EC2: `X.1` in requests, `<item>` in answers, times to the millisecond.
    Ec2,
    /// The Query services: `X.member.1`, `<member>`, times to the second. An empty list may be sent
    /// as an empty value.
    Query,
}
