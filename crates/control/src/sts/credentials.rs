//! Temporary credentials, as STS answers them.

use metadata::session::Session;
use serde::Serialize;
use store::Snapshot;

use crate::action::Desk;
use crate::api::ApiFault;
use crate::api::xml::Time;

/// `Credentials`
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CredentialsElement {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    expiration: Time,
}

impl CredentialsElement {
    /// Issues the credentials of a session.
    ///
    /// # Errors
    ///
    /// `PackedPolicyTooLarge` if the session says more than a token can carry.
    pub(super) fn issue(
        desk: &Desk<'_>,
        snapshot: &Snapshot,
        session: &Session,
    ) -> Result<Self, ApiFault> {
        let key = snapshot.issuer_key().ok_or_else(ApiFault::internal)?;
        let refused = |refusal: metadata::session::PackedTooLarge| {
            ApiFault::new("PackedPolicyTooLarge", 400, refusal.to_string())
        };
        let credentials = key.issue(session, desk.fresh_number()?).map_err(refused)?;
        Ok(Self {
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key.expose().clone(),
            session_token: credentials.session_token.expose().clone(),
            expiration: Time(credentials.expiration),
        })
    }
}

/// Reads `DurationSeconds`.
///
/// # Errors
///
/// `ValidationError` beyond the bounds.
pub(super) fn parse_duration(
    given: Option<u32>,
    (min, max): (u32, u32),
    default: u32,
) -> Result<u32, ApiFault> {
    let seconds = given.unwrap_or(default);
    let (value, bound) = match seconds {
        _ if seconds < min => (min, "greater"),
        _ if seconds > max => (max, "less"),
        _ => return Ok(seconds),
    };
    Err(ApiFault::validation_error(format!(
        "1 validation error detected: Value '{seconds}' at 'durationSeconds' failed to satisfy \
         constraint: Member must have value {bound} than or equal to {value}"
    )))
}
