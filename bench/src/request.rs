//! The requests that are measured, byte for byte, and the status each deserves.

use clap::ValueEnum;

/// What a caller may want of a metadata service, as far as it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A leaf, with a token
    Get,
    /// A new token
    Put,
    /// A leaf, without a token
    Tokenless,
    /// A new token, through a proxy
    Forwarded,
    /// A path that does not exist, with a token
    Unknown,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Get, Self::Put, Self::Tokenless, Self::Forwarded, Self::Unknown];

    /// What the tables call it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Get => "GET leaf with token",
            Self::Put => "PUT token",
            Self::Tokenless => "GET without token (401)",
            Self::Forwarded => "PUT through a proxy (403)",
            Self::Unknown => "GET unknown path with token (404)",
        }
    }

    /// The status that an instance which requires tokens answers with.
    fn status(self) -> u16 {
        match self {
            Self::Get | Self::Put => 200,
            Self::Tokenless => 401,
            Self::Forwarded => 403,
            Self::Unknown => 404,
        }
    }

    fn needs_token(self) -> bool {
        match self {
            Self::Get | Self::Unknown => true,
            Self::Put | Self::Tokenless | Self::Forwarded => false,
        }
    }

    fn first_line(self) -> &'static str {
        match self {
            Self::Get | Self::Tokenless => "GET /latest/meta-data/instance-id HTTP/1.1",
            Self::Put | Self::Forwarded => "PUT /latest/api/token HTTP/1.1",
            Self::Unknown => "GET /latest/meta-data/no-such-thing HTTP/1.1",
        }
    }
}

/// A text of a token's length, for servers that look at none.
pub(crate) const ANY_TOKEN: &str = "AQAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==";

/// One request, ready to be sent again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) bytes: Vec<u8>,
    /// The only status that counts as a right answer.
    pub(crate) status: u16,
}

impl Request {
    pub(crate) fn new(kind: Kind, token: &str) -> Self {
        let mut text = format!(
            "{}\r\nHost: 169.254.169.254\r\nUser-Agent: openimds-bench\r\nAccept: */*\r\n",
            kind.first_line()
        );
        if kind.needs_token() {
            text.push_str("X-aws-ec2-metadata-token: ");
            text.push_str(token);
            text.push_str("\r\n");
        }
        if matches!(kind, Kind::Put | Kind::Forwarded) {
            text.push_str("X-aws-ec2-metadata-token-ttl-seconds: 21600\r\n");
        }
        if kind == Kind::Forwarded {
            text.push_str("X-Forwarded-For: 192.0.2.1\r\n");
        }
        text.push_str("\r\n");
        Self { bytes: text.into_bytes(), status: kind.status() }
    }

    /// The same request to a server that answers everything with one 200.
    pub(crate) fn of_constant(kind: Kind) -> Self {
        Self { status: 200, ..Self::new(kind, ANY_TOKEN) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_carries_what_its_answer_depends_on() {
        for (kind, token, proxy, status) in [
            (Kind::Get, true, false, 200),
            (Kind::Put, false, false, 200),
            (Kind::Tokenless, false, false, 401),
            (Kind::Forwarded, false, true, 403),
            (Kind::Unknown, true, false, 404),
        ] {
            let request = Request::new(kind, "SECRET");
            let text = String::from_utf8(request.bytes).unwrap();
            assert_eq!(text.contains("-token: SECRET\r\n"), token, "{kind:?}");
            assert_eq!(text.contains("X-Forwarded-For"), proxy, "{kind:?}");
            assert_eq!(request.status, status, "{kind:?}");
            assert!(text.ends_with("\r\n\r\n"), "{kind:?}");
        }
    }

    #[test]
    fn the_stand_in_token_is_as_long_as_a_token() {
        assert_eq!(ANY_TOKEN.len(), 56);
    }
}
