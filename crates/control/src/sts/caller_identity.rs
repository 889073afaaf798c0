//! `GetCallerIdentity`.

use serde::{Deserialize, Serialize};
use store::Snapshot;

use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Says who asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetCallerIdentity {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetCallerIdentityAnswer {
    user_id: String,
    account: String,
    arn: String,
}

impl Action for GetCallerIdentity {
    /// It needs no permission, and cannot be denied.
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Vec::new())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        Ok(Answer::of(GetCallerIdentityAnswer {
            user_id: desk.caller.user_id(),
            account: desk.caller.account_id.to_string(),
            arn: desk.caller.arn(),
        }))
    }
}
