//! Why a caller gets no data.

use model::TtlRefusal;

use crate::{Allow, Malformed};

/// Why a caller gets no data. The caller's to mend; counted, never a fault of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The instance's metadata endpoint is disabled.
    #[error("the metadata endpoint is disabled for this instance")]
    EndpointDisabled,
    /// The request expects `100 Continue`, and the legacy wire does not give it.
    #[error("`Expect` is not met")]
    ExpectationFailed,
    /// `strict`: the `Host` header or the absolute-form target names another host.
    #[error("the request names another host")]
    ForeignHost,
    /// A token request, or a request with a token, came with `X-Forwarded-For`.
    #[error("the request was forwarded by a proxy")]
    Forwarded,
    /// The bytes are not a request.
    #[error("the request is malformed")]
    Malformed(#[source] Malformed),
    /// The method has no business on the path.
    #[error("the method is not allowed here")]
    MethodNotAllowed(Allow),
    /// There is nothing at the path, or nothing now.
    #[error("there is no metadata at the path")]
    PathUnknown {
        /// Remaining life of the token that came with the request, in seconds.
        token_ttl_seconds: Option<u32>,
    },
    /// `strict`: a header line betrays a proxy.
    #[error("the request came through a proxy")]
    Proxied,
    /// A PUT on another path than the token's.
    #[error("PUT is allowed on the token path only")]
    PutElsewhere,
    /// No token, and the instance requires one.
    #[error("the instance requires a session token, and the request has none")]
    TokenMissing,
    /// A token that is no good.
    #[error("the session token is refused")]
    TokenRefused(#[source] TokenRefusal),
    /// A token request whose lifetime is no good.
    #[error("the token request is refused")]
    TtlRefused(#[source] TtlRefusal),
}

/// Why a session token is no good. Callers are not told which it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Not minted here for this instance: forged, damaged, or of another instance.
    #[error("it was not made for this instance with a key of this server")]
    Forged,
    /// Not 56 characters of URL-safe base64.
    #[error("it does not have the form of a token")]
    Malformed,
    /// Minted with a key that is no longer kept.
    #[error("its key is no longer kept")]
    UnknownKey,
}
