//! `DecodeAuthorizationMessage`.

use serde::{Deserialize, Serialize};
use store::Snapshot;

use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Shows why a request was not authorized.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DecodeAuthorizationMessage {
    encoded_message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DecodeAuthorizationMessageAnswer {
    decoded_message: String,
}

impl Action for DecodeAuthorizationMessage {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let opened = snapshot.issuer_key().and_then(|key| key.open_message(&self.encoded_message));
        let own = format!("{}\n", desk.caller.account_id);
        let opened = opened.and_then(|text| text.strip_prefix(&own).map(str::to_owned));
        let refused = || {
            let message = "Message is not valid";
            ApiFault::new("InvalidAuthorizationMessageException", 400, message)
        };
        let decoded_message = opened.ok_or_else(refused)?;
        Ok(Answer::of(DecodeAuthorizationMessageAnswer { decoded_message }))
    }
}
