//! The path of a request to the management APIs.
//!
//! ```text
//! decode ─▶ authenticate ─▶ read, authorize, plan, commit (action.rs) ─▶ encode
//! ```

use model::{Instance, Region, Scope, Timestamp};
use store::{Snapshot, Store};

use crate::action::{Call, Desk};
use crate::api::route::{Arrival, Service, route, unknown_action};
use crate::api::{Answer, ApiFault, ApiRequest, ApiResponse, Presented, SignatureFault, respond};
use crate::caller::{self, Caller};
use crate::ec2;
use crate::iam;
use crate::native::Surroundings;
use crate::organizations;
use crate::sts;

/// Answers a request. When this returns, what it asked for is durable, and the data plane has it in
/// force unless it takes long.
pub fn answer(
    request: &ApiRequest<'_>,
    store: &Store,
    surroundings: &dyn Surroundings,
    now: Timestamp,
) -> ApiResponse {
    let request_id = surroundings.fresh_number().map_or_else(|_| String::new(), uuid);
    match route(request) {
        Err(misrouted) => respond(&misrouted.route, &request_id, Err(misrouted.fault)),
        Ok(arrival) => {
            let result = act(request, &arrival, store, surroundings, now);
            respond(&arrival.route, &request_id, result)
        }
    }
}

/// Refuses a request whose body did not come, or not in whole: in its protocol, as far as its head
/// tells that.
pub fn refuse(
    request: &ApiRequest<'_>,
    surroundings: &dyn Surroundings,
    fault: ApiFault,
) -> ApiResponse {
    let request_id = surroundings.fresh_number().map_or_else(|_| String::new(), uuid);
    let route = route(request).map_or_else(|misrouted| misrouted.route, |arrival| arrival.route);
    respond(&route, &request_id, Err(fault))
}

fn act(
    request: &ApiRequest<'_>,
    arrival: &Arrival,
    store: &Store,
    surroundings: &dyn Surroundings,
    now: Timestamp,
) -> Result<Answer, ApiFault> {
    let service = arrival.route.service;
    let snapshot = store.snapshot();
    let home = home_of(&snapshot, surroundings);
    let (caller, scope) = authenticate(request, arrival, &snapshot, &home, now)?;
    let desk = Desk {
        store,
        surroundings,
        caller,
        scope,
        now,
        parameters: &arrival.parameters,
        call: Call { source: request.source, user_agent: request.header("user-agent") },
        authorized: None,
    };
    match service {
        Service::Ec2 => ec2::answer(arrival, &desk),
        Service::Iam => iam::answer(arrival, &desk),
        Service::Sts => sts::answer(arrival, &desk),
        Service::Organizations => organizations::answer(arrival, &desk),
        Service::CloudWatch => Err(unknown_action(&arrival.route)),
    }
}

/// The region of the default instance: its partition is that of the server.
fn home_of(snapshot: &Snapshot, surroundings: &dyn Surroundings) -> Region {
    let default = snapshot.instance(surroundings.default_instance());
    let region = default.map(|instance| instance.region.clone());
    region.unwrap_or_else(|| Instance::default_instance().region)
}

/// Tells who signed a request, and the account and region that it is for.
fn authenticate(
    request: &ApiRequest<'_>,
    arrival: &Arrival,
    snapshot: &Snapshot,
    home: &Region,
    now: Timestamp,
) -> Result<(Caller, Scope), ApiFault> {
    let service = arrival.route.service;
    let refused = |fault: &SignatureFault| {
        let (code, status, message) = match service {
            Service::Ec2 => fault.told_by_ec2(),
            Service::CloudWatch | Service::Iam | Service::Organizations | Service::Sts => {
                fault.told_by_others()
            }
        };
        ApiFault::new(code, status, message)
    };
    let presented = Presented::parse(request).map_err(|fault| refused(&fault))?;
    let known = caller::find(snapshot, presented.access_key_id(), presented.session_token());
    let (key, skew) = (known.as_ref().map(|known| &*known.key), service.skew_seconds());
    let verified = presented.verify(key, service.signing_name(), skew, now);
    let verified = verified.map_err(|fault| refused(&fault))?;
    let known = known.ok_or_else(|| refused(&SignatureFault::KeyUnknown))?;
    let region: Region = verified.region().parse().map_err(|_| wrong_region(service))?;
    // Policies name ARNs with their partition: who asks does not choose it.
    if region.partition() != home.partition() {
        return Err(wrong_region(service));
    }
    let caller = Caller::of_key(known, &region);
    if !caller.may_ask(&arrival.route) {
        return Err(refused(&SignatureFault::KeyUnknown));
    }
    let account_id = caller.account_id;
    Ok((caller, Scope { account_id, region }))
}

fn wrong_region(service: Service) -> ApiFault {
    let text = "Credential should be scoped to a valid region.";
    match service {
        Service::Ec2 => ApiFault::new("AuthFailure", 401, text),
        Service::CloudWatch | Service::Iam | Service::Organizations | Service::Sts => {
            ApiFault::new("SignatureDoesNotMatch", 403, text)
        }
    }
}

/// Writes a number as a random UUID (RFC 9562, 5.4).
fn uuid(number: u128) -> String {
    let number = number & !(0xf << 76) & !(3 << 62) | 4 << 76 | 2 << 62;
    let text = format!("{number:032x}");
    let part = |from, to| text.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_ids_are_uuids_of_version_4() {
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
    }
}
