//! Header names and paths, as text, and nothing else.

/// Asks for a session token of this lifetime; on an answer, the token's remaining life.
pub const TOKEN_TTL_HEADER: &str = "X-aws-ec2-metadata-token-ttl-seconds";

/// Carries a session token.
pub const TOKEN_HEADER: &str = "X-aws-ec2-metadata-token";

/// Added by proxies; its presence refuses a token request.
pub const FORWARDED_FOR_HEADER: &str = "X-Forwarded-For";

/// The one path that grants session tokens.
pub const TOKEN_PATH: &str = "/latest/api/token";
