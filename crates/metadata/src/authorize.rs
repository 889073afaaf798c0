//! Session tokens: granting them, and asking for them.

use model::{HttpTokens, Instance, RoleDelivery, Timestamp, TokenTtl};

use crate::admit::{ReadRequest, TokenRequest};
use crate::canonical::Path;
use crate::refusal::Refusal;
use crate::token::{NONCE_BYTES, Token, TokenFormat, TokenKeys};

/// A granted token.
#[derive(Debug)]
pub struct Grant {
    /// The token.
    pub token: Token,
    /// The lifetime granted.
    pub ttl: TokenTtl,
}

/// A request for metadata by someone who may read it.
///
/// INVARIANT: only [`authorize`] builds this, so holding one proves that the token was good, or
/// that the instance needs none.
#[derive(Debug)]
pub struct Authorized<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) path: Option<Path<'a>>,
    pub(crate) delivery: RoleDelivery,
    pub(crate) token_ttl_seconds: Option<u32>,
}

/// Grants a session token. Nothing but a broken cipher could refuse it, which gives nothing.
pub fn issue(
    request: &TokenRequest<'_>,
    keys: &TokenKeys,
    format: TokenFormat,
    now: Timestamp,
    nonce: [u8; NONCE_BYTES],
) -> Option<Grant> {
    let ttl = request.ttl;
    keys.mint(format, request.instance.id, ttl, now, nonce).map(|token| Grant { token, ttl })
}

/// Checks the token of a request, or that the instance needs none.
///
/// # Errors
///
/// - [`Refusal::TokenMissing`] without a token, if the instance requires one.
/// - [`Refusal::TokenRefused`] with a bad one, also where none is required.
pub fn authorize<'a>(
    request: ReadRequest<'a>,
    keys: &TokenKeys,
    now: Timestamp,
) -> Result<Authorized<'a>, Refusal> {
    let ReadRequest { instance, path, token } = request;
    let (delivery, token_ttl_seconds) = match (token, instance.options.http_tokens) {
        (Some(token), _) => {
            let expiry = keys.verify(token, instance.id, now).map_err(Refusal::TokenRefused)?;
            (RoleDelivery::V2, Some(remaining_seconds(expiry, now)))
        }
        (None, HttpTokens::Optional) => (RoleDelivery::V1, None),
        (None, HttpTokens::Required) => return Err(Refusal::TokenMissing),
    };
    Ok(Authorized { instance, path, delivery, token_ttl_seconds })
}

/// Whole seconds, rounded down, and at least one while the token is good (data plane, 3.3).
fn remaining_seconds(expiry: Timestamp, now: Timestamp) -> u32 {
    let millis = expiry.as_millis().saturating_sub(now.as_millis());
    u32::try_from(millis / 1000).unwrap_or(0).max(1)
}
