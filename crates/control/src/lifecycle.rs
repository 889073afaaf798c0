//! The life of an instance: what is asked of it, and what comes of that.
//!
//! ```text
//!            launch            start
//!              │                 │
//!              ▼     done        ▼      stop             done
//!           pending ─────▶ running ──▶ pending   running ───▶ stopping ─────▶ stopped
//!              │ failed                                                         ▲
//!              ▼         done                    a start that failed ───────────┘
//!        shutting-down ─────▶ terminated: a record, for an hour
//! ```
//!
//! Every step has two halves. The first is what an API asks ([`start`], [`stop`], [`reboot`],
//! [`terminate`]): it leaves the instance in a state in which its driver has something to do, which
//! [`Instance::due`] tells. The second is what the driver came to ([`settled`]). Nothing but the state
//! tells what is to be done: whoever is killed between the two finds it again.

mod outcome;

use std::collections::BTreeSet;
use std::sync::Arc;

use model::{
    Driver, Instance, InstanceId, InstanceState, LifecycleEvent, Line, Machine, Scope, StateReason,
    Timestamp,
};
use store::{Change, Origin, Snapshot};

pub use outcome::{
    IDEMPOTENCY_SECONDS, Outcome, Settlement, TERMINATED_SECONDS, describe_taken, expired, failure,
    forgotten, settled,
};

/// LIMIT: bytes of a reason that are kept: a sentence or two.
const REASON_BYTES_MAX: usize = 1000;

/// The code of what the driver could not do.
const FAILED: &str = "Server.InternalError";

/// The code of what a caller asked for.
const ASKED_FOR: &str = "Client.UserInitiatedShutdown";

/// The states of an instance before and after what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The instance.
    pub id: InstanceId,
    /// Its state before.
    pub before: InstanceState,
    /// Its state now; the same where nothing was to be done.
    pub after: InstanceState,
}

/// Why nothing is done. The EC2 API says the same in words of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LifecycleRefusal {
    /// The instance that the `--listen` addresses serve is not to be ended.
    #[error("{0} is the default instance of this server: it ends with the server")]
    DefaultInstance(InstanceId),
    /// The config file has the say of whether there is the instance.
    #[error("{0} is described in the config file: change it there, and start the server anew")]
    Described(InstanceId),
    /// It is protected. EC2: `OperationNotPermitted`.
    #[error(
        "{id} is protected against `{event}`: allow it first, with the EC2 API's \
         ModifyInstanceAttribute"
    )]
    Protected {
        /// The instance.
        id: InstanceId,
        /// What was asked: `stop` or `terminate`.
        event: LifecycleEvent,
    },
    /// It is not in a state for that. EC2: `IncorrectInstanceState`.
    #[error("{id} is {state}, and not in a state for `{event}`")]
    State {
        /// The instance.
        id: InstanceId,
        /// Its state.
        state: InstanceState,
        /// What was asked.
        event: LifecycleEvent,
    },
    /// There is none. EC2: `InvalidInstanceID.NotFound`.
    #[error("there is no instance `{0}`: `imds instance list` shows those there are")]
    Unknown(InstanceId),
}

/// Changes, and what they come to for each instance, in the order of the request.
pub type Moved = Result<(Vec<Change>, Vec<Transition>), LifecycleRefusal>;

/// Which instances are meant.
#[derive(Clone, Copy, Debug)]
pub struct Meant<'a> {
    /// Their ids. One that stands there twice counts once.
    pub ids: &'a [InstanceId],
    /// Where they must be, for callers who see one scope. Instances that are gone are known there for
    /// a while. Without one, those of every scope are meant, and none that is gone.
    pub scope: Option<&'a Scope>,
}

impl<'a> From<&'a [InstanceId]> for Meant<'a> {
    fn from(ids: &'a [InstanceId]) -> Self {
        Self { ids, scope: None }
    }
}

/// Sets an instance out on its life: its driver makes its machine once it is stored.
pub fn launch(instance: &mut Instance, driver: Option<Driver>, now: Timestamp) {
    instance.attributes.driver = driver;
    instance.attributes.machine = Machine::Absent;
    instance.pending_time = now;
    come_to(instance, InstanceState::Pending, Some(reason("pending", "pending")), now);
}

/// Plans a start. One that runs stays as it is.
///
/// # Errors
///
/// The first [`LifecycleRefusal`]; then nothing is to be started.
pub fn start(snapshot: &Snapshot, meant: Meant<'_>, now: Timestamp) -> Moved {
    moved(snapshot, meant, LifecycleEvent::Start, |instance| match instance.state {
        InstanceState::Pending | InstanceState::Running => Step::Stay,
        InstanceState::Stopped => Step::Go(Box::new(move |instance| {
            // EC2: the launch time of a started instance is when it was started.
            instance.pending_time = now;
            instance.last_modified = now;
            come_to(instance, InstanceState::Pending, Some(reason("pending", "pending")), now);
        })),
        InstanceState::ShuttingDown | InstanceState::Stopping | InstanceState::Terminated => {
            Step::WrongState
        }
    })
}

/// Plans a stop. One that is stopped stays as it is. Its options stay in any case.
///
/// # Errors
///
/// The first [`LifecycleRefusal`]; then nothing is to be stopped.
pub fn stop(snapshot: &Snapshot, meant: Meant<'_>, now: Timestamp) -> Moved {
    moved(snapshot, meant, LifecycleEvent::Stop, |instance| match instance.state {
        InstanceState::Stopped | InstanceState::Stopping => Step::Stay,
        InstanceState::Running if instance.attributes.disable_api_stop => Step::Protected,
        InstanceState::Running => Step::Go(Box::new(move |instance| {
            come_to(instance, InstanceState::Stopping, Some(asked_for()), now);
        })),
        InstanceState::Pending | InstanceState::ShuttingDown | InstanceState::Terminated => {
            Step::WrongState
        }
    })
}

/// Plans that machines are started anew. One that is gone is passed over, and one without a driver
/// has nobody to do it.
///
/// # Errors
///
/// The first [`LifecycleRefusal`]; then nothing is done.
pub fn reboot(snapshot: &Snapshot, meant: Meant<'_>) -> Moved {
    moved(snapshot, meant, LifecycleEvent::Reboot, |instance| match instance.state {
        InstanceState::Running if instance.attributes.driver.is_some() => {
            Step::Go(Box::new(|instance| instance.attributes.machine = Machine::Rebooting))
        }
        InstanceState::Running | InstanceState::ShuttingDown | InstanceState::Terminated => {
            Step::Stay
        }
        InstanceState::Pending | InstanceState::Stopped | InstanceState::Stopping => {
            Step::WrongState
        }
    })
}

/// Plans an end. One that has ended stays as it is. `default` is the instance of the `--listen`
/// addresses, which ends with the server.
///
/// # Errors
///
/// The first [`LifecycleRefusal`]; then nothing is to be ended.
pub fn terminate(
    snapshot: &Snapshot,
    meant: Meant<'_>,
    default: InstanceId,
    now: Timestamp,
) -> Moved {
    moved(snapshot, meant, LifecycleEvent::Terminate, |instance| match instance.state {
        InstanceState::ShuttingDown | InstanceState::Terminated => Step::Stay,
        InstanceState::Pending
        | InstanceState::Running
        | InstanceState::Stopped
        | InstanceState::Stopping => {
            if instance.id == default {
                Step::Refused(LifecycleRefusal::DefaultInstance(default))
            } else if snapshot.origin(instance.id) == Some(Origin::Config) {
                Step::Refused(LifecycleRefusal::Described(instance.id))
            } else if instance.attributes.disable_api_termination {
                Step::Protected
            } else {
                Step::Go(Box::new(move |instance| {
                    come_to(instance, InstanceState::ShuttingDown, Some(asked_for()), now);
                }))
            }
        }
    })
}

/// What is to be done with an instance.
enum Step<'a> {
    Go(Box<dyn Fn(&mut Instance) + 'a>),
    Protected,
    Refused(LifecycleRefusal),
    Stay,
    WrongState,
}

fn moved<'s>(
    snapshot: &Snapshot,
    meant: Meant<'_>,
    event: LifecycleEvent,
    step: impl Fn(&Instance) -> Step<'s>,
) -> Moved {
    let (mut changes, mut transitions) = (Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for id in meant.ids.iter().copied().filter(|id| seen.insert(*id)) {
        let found = find(snapshot, meant.scope, id).ok_or(LifecycleRefusal::Unknown(id))?;
        let before = found.state;
        let mut after = before;
        match step(found) {
            Step::Go(change) => {
                let mut instance = found.clone();
                change(&mut instance);
                after = instance.state;
                let origin = snapshot.origin(id).unwrap_or(Origin::Api);
                changes.push(Change::PutInstance(Arc::new(instance), origin));
            }
            Step::Protected => return Err(LifecycleRefusal::Protected { id, event }),
            Step::Refused(refusal) => return Err(refusal),
            Step::Stay => {}
            Step::WrongState => return Err(LifecycleRefusal::State { id, state: before, event }),
        }
        transitions.push(Transition { id, before, after });
    }
    Ok((changes, transitions))
}

/// Finds an instance, also one that is gone if a scope says where.
fn find<'s>(snapshot: &'s Snapshot, scope: Option<&Scope>, id: InstanceId) -> Option<&'s Instance> {
    let living = snapshot.instance(id).map(|instance| &**instance);
    match scope {
        None => living,
        Some(scope) => living
            .filter(|found| found.is_in(scope))
            .or_else(|| snapshot.terminated_instance(scope, id).map(|gone| &**gone)),
    }
}

fn come_to(
    instance: &mut Instance,
    state: InstanceState,
    reason: Option<StateReason>,
    now: Timestamp,
) {
    instance.state = state;
    instance.attributes.state_reason = reason;
    instance.attributes.state_since = Some(now);
}

fn asked_for() -> StateReason {
    reason(ASKED_FOR, &format!("{ASKED_FOR}: User initiated shutdown"))
}

fn failed(why: &str) -> StateReason {
    reason(FAILED, &format!("{FAILED}: {why}"))
}

/// Makes one line of whatever a driver said.
fn reason(code: &str, message: &str) -> StateReason {
    let line = |text: &str| -> Line {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let mut plain: String = text.chars().map(plain).collect();
        plain.truncate(plain.floor_char_boundary(REASON_BYTES_MAX));
        #[expect(
            clippy::expect_used,
            reason = "not empty, not long, and without control characters"
        )]
        plain.parse().expect("is a line")
    };
    StateReason { code: line(code), message: line(message) }
}

#[cfg(test)]
mod tests;
