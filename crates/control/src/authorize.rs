//! Whether who asks may do what is asked (control plane, 5).
//!
//! ```text
//! Action::asks ─▶ Vec<Ask> ─┐
//! Caller, call ─ context ───┤ policy::Request ┐
//!                           │                 ├─ policy::decide ─▶ Verdict ─▶ ApiFault
//! Snapshot ──── in_force ───┘ policy::Layers  ┘
//! ```
//!
//! INVARIANT: whatever cannot be asked is denied.

mod context;
mod denial;
mod in_force;

use std::collections::BTreeMap;

use model::{AccountId, IamKey};
use policy::{Context, Principal, Request, RequestRefusal, Value, decide};
use store::Snapshot;

pub(crate) use self::context::{keys_of_options, organization_keys, principal_of};
pub(crate) use self::denial::Denied;
pub(crate) use self::in_force::{Control, InForce};
use crate::action::Desk;
use crate::api::ApiFault;
use crate::api::route::Route;

/// One thing that a request wants to do: an action on a resource.
#[derive(Debug)]
pub(crate) struct Ask {
    /// `service:Name`; that of the request, if none is said.
    pub(crate) action: Option<&'static str>,
    /// The ARN of a resource, or `*`.
    pub(crate) resource: String,
    /// The account that the resource belongs to; the caller's, if none is said.
    pub(crate) resource_account: Option<AccountId>,
    /// The role that is to be assumed: its trust policy must allow it.
    pub(crate) trust_of: Option<IamKey>,
    /// Condition keys besides those that every request has.
    pub(crate) keys: Vec<(String, Vec<Value>)>,
}

impl Ask {
    /// Asks for an action that has no resource types.
    pub(crate) fn everything() -> Vec<Self> {
        vec![Self::on("*".to_owned())]
    }

    /// Asks for the action on a resource.
    pub(crate) fn on(resource: String) -> Self {
        Self { action: None, resource, resource_account: None, trust_of: None, keys: Vec::new() }
    }

    /// Asks for another action on a resource than that of the request.
    pub(crate) fn also(action: &'static str, resource: String) -> Self {
        Self { action: Some(action), ..Self::on(resource) }
    }

    /// Says more of it: a condition key with a value.
    pub(crate) fn with(self, key: impl Into<String>, value: Value) -> Self {
        self.with_all(key, vec![value])
    }

    /// The same with a text.
    pub(crate) fn with_text(self, key: impl Into<String>, text: &str) -> Self {
        self.with(key, Value::text(text))
    }

    /// The same with any number of values.
    pub(crate) fn with_all(mut self, key: impl Into<String>, values: Vec<Value>) -> Self {
        self.keys.push((key.into(), values));
        self
    }
}

/// Sees that all that is asked for may be done.
///
/// # Errors
///
/// The first that may not, in the words of the service (control plane, 5.7).
pub(crate) fn authorize(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    route: &Route,
    asks: Vec<Ask>,
) -> Result<(), ApiFault> {
    let own_action = format!("{}:{}", route.service.action_prefix(), route.action);
    let principal = principal_of(&desk.caller);
    let in_force = InForce::of(snapshot, &desk.caller);
    for ask in asks {
        let action = ask.action.unwrap_or(&own_action);
        let account = ask.resource_account.unwrap_or(desk.caller.account_id);
        let request = request(desk, snapshot, principal.clone(), action, &ask);
        let request = request.map_err(|refusal| ApiFault::unaskable(&refusal))?;
        let resource_control = Control::of_resources(snapshot, action, account);
        let trust = ask.trust_of.as_ref().and_then(|role| snapshot.trust_policy(role));
        in_force.with(&resource_control, trust, |layers| {
            let verdict = decide(layers, &request);
            if verdict.is_allowed() {
                return Ok(());
            }
            let denied = Denied::new(&verdict, &request, &desk.caller, &ask.keys);
            Err(denied.told(snapshot, route.service))
        })?;
    }
    Ok(())
}

/// Puts together what is asked.
///
/// # Errors
///
/// [`RequestRefusal`] if it cannot be asked.
pub(crate) fn request(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    principal: Principal,
    action: &str,
    ask: &Ask,
) -> Result<Request, RequestRefusal> {
    let account = ask.resource_account.unwrap_or(desk.caller.account_id);
    let mut context = Context::default();
    context::describe(desk, snapshot, action, account, &mut context)?;
    for (key, values) in &ask.keys {
        context.insert(key, values.clone())?;
    }
    refuse_twins(&ask.keys)?;
    Request::new(principal, action, &ask.resource, account, context)
}

/// Condition keys know no case. Of two tags that a request sets and that differ in it, policies would see
/// one, and the resource would have both.
fn refuse_twins(keys: &[(String, Vec<Value>)]) -> Result<(), RequestRefusal> {
    let mut seen = BTreeMap::new();
    let tags = keys.iter().filter(|(key, _)| key.starts_with("aws:RequestTag/"));
    for (key, _) in tags {
        // The very same twice is for the action to refuse.
        if seen.insert(key.to_lowercase(), key).is_some_and(|other| other != key) {
            return Err(RequestRefusal::Twins(key.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
