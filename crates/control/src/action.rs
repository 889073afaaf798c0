//! What every action of every service has in common.
//!
//! ```text
//! Arrival ─ read ─▶ request ─ asks ─▶ authorize ─▶ DryRun? ─▶ act ─▶ Answer
//!                                                             │ transact: plan(&Snapshot) ─▶ changes
//!                                                             ▼
//!                                                   durable, and in force on the data plane
//! ```
//!
//! The order of checks is that of the control plane, 1.9: signature, form and required parameters,
//! authorization, dry run, then what is asked for.

use std::net::IpAddr;
use std::sync::Arc;

use model::{Generation, InstanceRefusal, Resource, Scope, Timestamp};
use serde::de::DeserializeOwned;
use store::{Change, Snapshot, Store, TransactFault};

use crate::api::form::Tree;
use crate::api::route::Arrival;
use crate::api::{Answer, ApiFault};
use crate::authorize::{Ask, authorize};
use crate::caller::Caller;
use crate::ec2::limits;
use crate::native::Surroundings;

/// What one request is handled with.
#[derive(Clone)]
pub(crate) struct Desk<'a> {
    pub(crate) store: &'a Store,
    pub(crate) surroundings: &'a dyn Surroundings,
    pub(crate) caller: Caller,
    /// The caller's account, in the region that the request was signed for.
    pub(crate) scope: Scope,
    pub(crate) now: Timestamp,
    /// The parameters of the request, if it is a form.
    pub(crate) parameters: &'a Tree,
    /// What is known of the call besides who signed it.
    pub(crate) call: Call<'a>,
    /// What the request was authorized in; nothing for what an operator does, who is not asked.
    pub(crate) authorized: Option<Authorized<'a>>,
}

/// What a request was authorized in, and how that is done again.
#[derive(Clone, Copy)]
pub(crate) struct Authorized<'a> {
    generation: Generation,
    arrival: &'a Arrival,
    again: fn(&Arrival, &Desk<'_>, &Snapshot) -> Result<(), ApiFault>,
}

/// What is known of a call besides who signed it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Call<'a> {
    /// Where it comes from.
    pub(crate) source: Option<IpAddr>,
    /// What the client calls itself.
    pub(crate) user_agent: Option<&'a str>,
}

/// An action: the type is its request.
pub(crate) trait Action: DeserializeOwned {
    /// Sees that the request holds what is required, as far as its type does not say so.
    ///
    /// # Errors
    ///
    /// `MissingParameter`.
    fn check_form(&self) -> Result<(), ApiFault> {
        Ok(())
    }

    /// Says what it wants to do, all of which must be allowed. Of several that are not, the first
    /// is told.
    ///
    /// What is not there is asked for all the same: nobody learns from a refusal what there is.
    ///
    /// # Errors
    ///
    /// Ids and names that are none.
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault>;

    /// Plans what is asked for, commits it, and says what it came to.
    ///
    /// # Errors
    ///
    /// [`ApiFault`]; then nothing has changed.
    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault>;
}

/// Does what is asked.
///
/// # Errors
///
/// [`ApiFault`]; then nothing has changed.
pub(crate) fn run<'a, A: Action>(
    arrival: &'a Arrival,
    desk: &Desk<'a>,
) -> Result<Answer, ApiFault> {
    let request: A = arrival.read()?;
    request.check_form()?;
    let snapshot = desk.store.snapshot();
    authorize(desk, &snapshot, &arrival.route, request.asks(desk, &snapshot)?)?;
    if arrival.common.dry_run {
        return Err(ApiFault::dry_run());
    }
    let (generation, again) = (snapshot.generation(), authorize_again::<A>);
    let authorized = Some(Authorized { generation, arrival, again });
    request.act(&Desk { authorized, ..desk.clone() })
}

/// Authorizes a request against another snapshot than the one that it was authorized in.
fn authorize_again<A: Action>(
    arrival: &Arrival,
    desk: &Desk<'_>,
    snapshot: &Snapshot,
) -> Result<(), ApiFault> {
    let request: A = arrival.read()?;
    // Who asks may be somebody else by now: other policies, other groups, or nobody.
    let caller = desk.caller.now(snapshot).ok_or_else(|| ApiFault::unauthorized(""))?;
    let desk = Desk { caller, ..desk.clone() };
    authorize(&desk, snapshot, &arrival.route, request.asks(&desk, snapshot)?)
}

/// Declares the actions of a service: the modules that they are in, and the way from name to action.
macro_rules! actions {
    ($($module:ident: $($action:ident),+;)+) => {
        $( pub(crate) mod $module; )+

        /// Every action. None if there is no such.
        fn actions<'a>(
            arrival: &'a crate::api::route::Arrival,
            desk: &crate::action::Desk<'a>,
        ) -> Option<Result<crate::api::Answer, crate::api::ApiFault>> {
            match arrival.route.action.as_str() {
                $( $(
                    stringify!($action) => {
                        Some(crate::action::run::<$module::$action>(arrival, desk))
                    }
                )+ )+
                _ => None,
            }
        }

        /// The names of all of them.
        #[cfg(test)]
        pub(crate) const ACTIONS: &[&str] = &[$( $( stringify!($action), )+ )+];
    };
}

pub(crate) use actions;

impl Desk<'_> {
    /// Makes what is planned durable, and waits until the data plane has it in force.
    ///
    /// INVARIANT: what is stored was authorized in the very snapshot that it was planned in.
    ///
    /// # Errors
    ///
    /// What the plan refuses, or that the change could not be stored. Nothing has changed then.
    pub(crate) fn transact<T>(
        &self,
        plan: impl FnOnce(&Snapshot) -> Result<(Vec<Change>, T), ApiFault>,
    ) -> Result<T, ApiFault> {
        let plan = |snapshot: &Snapshot| {
            self.authorize_in(snapshot)?;
            let (changes, outcome) = plan(snapshot)?;
            limits::check(snapshot, &self.scope, &changes)?;
            Ok((changes, outcome))
        };
        let outcome = self.store.transact(plan).map_err(|fault| self.fault_of(fault))?;
        // Where it takes long, it is pending for longer: what was stored is not undone.
        let _ = self.surroundings.settles(self.store.current().generation());
        Ok(outcome)
    }

    /// Authorizes the request in a snapshot, unless that is the one that it was authorized in.
    fn authorize_in(&self, snapshot: &Snapshot) -> Result<(), ApiFault> {
        match self.authorized {
            Some(Authorized { generation, arrival, again })
                if generation != snapshot.generation() =>
            {
                again(arrival, self, snapshot)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Returns a snapshot that the request is authorized in, for what is answered and not stored.
    ///
    /// # Errors
    ///
    /// The request is not authorized any more.
    pub(crate) fn authorized_snapshot(&self) -> Result<Arc<Snapshot>, ApiFault> {
        let snapshot = self.store.snapshot();
        self.authorize_in(&snapshot)?;
        Ok(snapshot)
    }

    fn fault_of(&self, fault: TransactFault<ApiFault>) -> ApiFault {
        match fault {
            TransactFault::Plan(fault) => fault,
            TransactFault::Attachment(taken) => {
                ApiFault::invalid_parameter_value(taken.to_string())
            }
            TransactFault::Instance(refusal) => instance_fault(&refusal),
            TransactFault::Backend(fault) => {
                self.surroundings.tell_unstored(&fault.to_string());
                ApiFault::internal()
            }
        }
    }

    /// Keeps a resource of the caller's scope.
    pub(crate) fn put(&self, resource: Resource) -> Change {
        Change::PutResource(self.scope.clone(), Arc::new(resource))
    }

    /// Returns a number that has not been used before.
    pub(crate) fn fresh_number(&self) -> Result<u128, ApiFault> {
        self.surroundings.fresh_number().map_err(|_| ApiFault::internal())
    }

    /// The newest generation that the data plane has in force.
    pub(crate) fn in_force(&self) -> Generation {
        self.surroundings.in_force()
    }
}

/// Says what EC2 says of an instance whose fields do not go together (control plane, 2.4).
fn instance_fault(refusal: &InstanceRefusal) -> ApiFault {
    match refusal {
        InstanceRefusal::TagNotPathSafe { key, .. } => ApiFault::invalid_parameter_value(format!(
            "'{key}' is not a valid tag key. Tag keys must match pattern \
             ([0-9a-zA-Z\\\\-_+=,.@:]{{1,255}}), and must not be a reserved name ('.', '..', \
             '_index')"
        )),
        InstanceRefusal::TooManyTags(_) => ApiFault::tag_limit_exceeded(),
        InstanceRefusal::BlockDevice { .. }
        | InstanceRefusal::NoInterface(_)
        | InstanceRefusal::NoPrimaryInterface(_)
        | InstanceRefusal::TagValueTooLong { .. }
        | InstanceRefusal::TooManyAttachments(_)
        | InstanceRefusal::TwinAttachments { .. }
        | InstanceRefusal::TwinInterfaces { .. } => {
            ApiFault::invalid_parameter_value(refusal.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn each_service_has_an_action_once() {
        use crate::{ec2, iam, organizations, sts};
        for actions in [ec2::ACTIONS, iam::ACTIONS, organizations::ACTIONS, sts::ACTIONS] {
            let mut names = actions.to_vec();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), actions.len());
        }
    }
}
