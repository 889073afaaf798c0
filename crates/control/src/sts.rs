//! The STS API: who a caller is, and sessions.

mod credentials;

use crate::action::{Desk, actions};
use crate::api::route::{Arrival, unknown_action};
use crate::api::{Answer, ApiFault};

actions! {
    assume_role: AssumeRole;
    authorization_message: DecodeAuthorizationMessage;
    caller_identity: GetCallerIdentity;
    session_token: GetSessionToken;
}

/// Does what is asked.
///
/// # Errors
///
/// [`ApiFault`]; then nothing has changed.
pub(crate) fn answer<'a>(arrival: &'a Arrival, desk: &Desk<'a>) -> Result<Answer, ApiFault> {
    actions(arrival, desk).unwrap_or_else(|| Err(unknown_action(&arrival.route)))
}

#[cfg(test)]
mod tests;
