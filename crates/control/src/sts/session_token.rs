//! `GetSessionToken`.

use metadata::session::{Actor, Session, UserSession};
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::credentials::{CredentialsElement, parse_duration};
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;
use crate::caller::Principal;

/// LIMIT: how long a session lasts, in seconds. AWS documents it.
const SECONDS: (u32, u32) = (900, 129_600);

/// How long it lasts where the request says nothing: twelve hours.
const SECONDS_DEFAULT: u32 = 43_200;

/// Begins a session of the user who asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetSessionToken {
    duration_seconds: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetSessionTokenAnswer {
    credentials: CredentialsElement,
}

impl Action for GetSessionToken {
    /// AWS: a user needs no permission for it.
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Vec::new())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let user = match &desk.caller.principal {
            Principal::User(user) if desk.caller.issued_at.is_none() => user,
            Principal::Instance(_) | Principal::Role(..) | Principal::User(_) => {
                let message = "Cannot call GetSessionToken with session credentials";
                return Err(ApiFault::access_denied(message));
            }
        };
        let seconds = parse_duration(self.duration_seconds, SECONDS, SECONDS_DEFAULT)?;
        let session = Session {
            account_id: user.account_id,
            issued_at: desk.now,
            expiration: desk.now.plus_seconds(seconds.into()),
            actor: Actor::User(UserSession { name: user.name.clone(), id: user.unique_id() }),
        };
        let credentials = CredentialsElement::issue(desk, &desk.store.snapshot(), &session)?;
        Ok(Answer::of(GetSessionTokenAnswer { credentials }))
    }
}
