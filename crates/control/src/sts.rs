//! The STS API: who a caller is.

use serde::{Deserialize, Serialize};

use crate::api::route::{Arrival, Service, unknown_action};
use crate::api::{Answer, ApiFault};
use crate::caller::Caller;

/// Does what is asked.
///
/// # Errors
///
/// [`ApiFault`]
pub(crate) fn answer(arrival: &Arrival, caller: &Caller) -> Result<Answer, ApiFault> {
    match arrival.route.action.as_str() {
        "GetCallerIdentity" => {
            let GetCallerIdentity {} = arrival.parameters.read(Service::Sts.dialect())?;
            Ok(Answer::of(GetCallerIdentityAnswer {
                user_id: caller.user_id(),
                account: caller.account_id.to_string(),
                arn: caller.arn(),
            }))
        }
        _ => Err(unknown_action(&arrival.route)),
    }
}

/// Says who asks. It needs no permission, and cannot be denied.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GetCallerIdentity {}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetCallerIdentityAnswer {
    user_id: String,
    account: String,
    arn: String,
}
