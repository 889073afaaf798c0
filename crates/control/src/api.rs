//! The APIs of EC2 and its neighbours, as unmodified AWS clients speak them: bytes in, bytes out.

mod signature;

use std::fmt;

pub use self::signature::{
    AccessKey, LIFETIME_SECONDS_MAX, Presented, SIGNED_HEADERS_MAX, Session, SignatureFault,
    Verified,
};

/// A request as its sender wrote it: its signature is over these very bytes.
#[derive(Clone)]
pub struct ApiRequest<'a> {
    /// The method, in upper case as sent.
    pub method: &'a str,
    /// The path as sent: nothing in it is decoded.
    pub path: &'a str,
    /// The query string as sent, without its `?`; empty if there is none.
    pub query: &'a str,
    /// Header lines in the order in which they were sent: names in lower case, values as sent.
    pub headers: Vec<(&'a str, &'a str)>,
    /// The body.
    pub body: &'a [u8],
}

impl ApiRequest<'_> {
    /// Returns the value of the first header line called `name`, which is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
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
