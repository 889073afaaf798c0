//! Notices that an instance reads of itself: what is going to happen to it, raised and cleared while
//! it runs (data plane, 7: spot interruption, rebalance recommendation, maintenance, Auto Scaling).

use std::sync::Arc;

use model::{
    Events, InstanceId, LifecycleState, Line, MaintenanceCode, MaintenanceEvent, MaintenanceState,
    SpotAction, SpotInterruption, Timestamp,
};
use serde::{Deserialize, Serialize};
use store::{Change, Origin, Snapshot};

/// LIMIT: maintenance events of an instance, those that are over among them. Metadata shows them all
/// in one document.
const MAINTENANCE_MAX: usize = 100;

/// A notice to be raised or cleared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "notice", rename_all = "snake_case", deny_unknown_fields)]
pub enum Notice {
    // Braces, or unknown keys beside `notice` would be accepted without a word.
    /// No rebalance recommendation any more.
    ClearRebalance {},
    /// No spot interruption ahead any more.
    ClearSpot {},
    /// No Auto Scaling state to reach any more.
    ClearTargetState {},
    /// Maintenance, ahead.
    Maintenance {
        /// The id; one is made if none is given.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        event_id: Option<Line>,
        /// The kind.
        code: MaintenanceCode,
        /// What it is, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<Line>,
        /// When it begins at the earliest; now if nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_before: Option<Timestamp>,
        /// When it ends at the latest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_after: Option<Timestamp>,
    },
    /// Maintenance that is called off, or over.
    MaintenanceEnded {
        /// The id.
        event_id: Line,
        /// How it ended.
        state: MaintenanceState,
    },
    /// A rebalance recommendation.
    Rebalance {
        /// When it was sent; now if nothing is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<Timestamp>,
    },
    /// A spot interruption.
    Spot {
        /// What will be done.
        action: SpotAction,
        /// When; in two minutes if nothing is said, as EC2 warns.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        time: Option<Timestamp>,
    },
    /// The state that an Auto Scaling group moves it to.
    TargetState {
        /// The state.
        state: LifecycleState,
    },
}

/// Why a notice is not taken up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoticeRefusal {
    /// There is an event of that id.
    #[error("{0} has a maintenance event `{1}` already: end it, or choose another id")]
    EventExists(InstanceId, Line),
    /// There is none.
    #[error("{0} has no maintenance event `{1}`: `imds instance show {0}` shows those it has")]
    EventUnknown(InstanceId, Line),
    /// The instance is not there.
    #[error("there is no instance `{0}`: `imds instance list` shows those there are")]
    InstanceUnknown(InstanceId),
    /// It ends before it begins.
    #[error("the maintenance would end before it begins: give a later --not-after")]
    EndsEarly,
    /// More events than are kept.
    #[error("{0} has {MAINTENANCE_MAX} maintenance events, and no more are kept")]
    TooMany(InstanceId),
}

/// EC2: the warning that a spot instance gets.
const SPOT_WARNING_SECONDS: i64 = 120;

/// Plans a notice. `fresh` is a number that was not used before.
///
/// # Errors
///
/// [`NoticeRefusal`]; then nothing changes.
pub fn notice(
    snapshot: &Snapshot,
    id: InstanceId,
    notice: Notice,
    fresh: u128,
    now: Timestamp,
) -> Result<(Vec<Change>, ()), NoticeRefusal> {
    let known = snapshot.instance(id).ok_or(NoticeRefusal::InstanceUnknown(id))?;
    let mut instance = (**known).clone();
    apply(&mut instance.events, id, notice, fresh, now)?;
    if instance.events == known.events {
        return Ok((Vec::new(), ()));
    }
    instance.last_modified = now;
    let origin = snapshot.origin(id).unwrap_or(Origin::Api);
    Ok((vec![Change::PutInstance(Arc::new(instance), origin)], ()))
}

fn apply(
    events: &mut Events,
    id: InstanceId,
    notice: Notice,
    fresh: u128,
    now: Timestamp,
) -> Result<(), NoticeRefusal> {
    match notice {
        Notice::ClearRebalance {} => events.rebalance = None,
        Notice::ClearSpot {} => events.spot = None,
        Notice::ClearTargetState {} => events.target_lifecycle_state = None,
        Notice::Rebalance { time } => events.rebalance = Some(time.unwrap_or(now)),
        Notice::Spot { action, time } => {
            let time = time.unwrap_or_else(|| now.plus_seconds(SPOT_WARNING_SECONDS));
            events.spot = Some(SpotInterruption { action, time });
        }
        Notice::TargetState { state } => events.target_lifecycle_state = Some(state),
        Notice::Maintenance { event_id, code, description, not_before, not_after } => {
            let not_before = not_before.unwrap_or(now);
            if not_after.is_some_and(|end| end < not_before) {
                return Err(NoticeRefusal::EndsEarly);
            }
            if events.maintenance.len() >= MAINTENANCE_MAX {
                return Err(NoticeRefusal::TooMany(id));
            }
            let event_id = event_id.unwrap_or_else(|| fresh_event_id(fresh));
            if events.maintenance.iter().any(|event| event.event_id == event_id) {
                return Err(NoticeRefusal::EventExists(id, event_id));
            }
            events.maintenance.push(MaintenanceEvent {
                event_id,
                code,
                description: description.unwrap_or_else(|| described(code)),
                not_before,
                not_after,
                state: MaintenanceState::Active,
            });
        }
        Notice::MaintenanceEnded { event_id, state } => {
            let found = events.maintenance.iter_mut().find(|event| event.event_id == event_id);
            found.ok_or(NoticeRefusal::EventUnknown(id, event_id))?.state = state;
        }
    }
    Ok(())
}

/// EC2: `instance-event-` and 17 hexadecimal digits.
fn fresh_event_id(fresh: u128) -> Line {
    line(&format!("instance-event-{:017x}", fresh & (u128::MAX >> (128 - 4 * 17))))
}

/// What EC2 says of maintenance of a kind.
fn described(code: MaintenanceCode) -> Line {
    line(match code {
        MaintenanceCode::InstanceReboot => "The instance is scheduled for a reboot",
        MaintenanceCode::InstanceRetirement => {
            "The instance is running on degraded hardware and is scheduled for retirement"
        }
        MaintenanceCode::InstanceStop => "The instance is running on degraded hardware",
        MaintenanceCode::SystemMaintenance => "scheduled maintenance",
        MaintenanceCode::SystemReboot => "scheduled reboot",
    })
}

fn line(text: &str) -> Line {
    #[expect(clippy::expect_used, reason = "plain words, which the tests parse")]
    text.parse().expect("is a line")
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use model::Instance;
    use store::{Memory, Store};

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

    fn site() -> (Store, InstanceId) {
        let store = Store::open(Box::new(Memory::default())).unwrap();
        let put = Change::PutInstance(Arc::new(Instance::default_instance()), Origin::Api);
        store.transact(|_| Ok::<_, Infallible>((vec![put], ()))).unwrap();
        (store, Instance::default_id())
    }

    fn raise(store: &Store, id: InstanceId, raised: Notice) -> Result<Events, NoticeRefusal> {
        let planned = notice(&store.snapshot(), id, raised, 0xabc, NOW)?;
        store.transact(|_| Ok::<_, Infallible>(planned)).unwrap();
        Ok((*store.snapshot().instance(id).unwrap().events).clone())
    }

    #[test]
    fn notices_come_and_go() {
        let (store, id) = site();
        let raised = raise(&store, id, Notice::Spot { action: SpotAction::Stop, time: None });
        assert_eq!(raised.unwrap().spot.unwrap().time, NOW.plus_seconds(120));
        assert_eq!(raise(&store, id, Notice::ClearSpot {}).unwrap().spot, None);
        let raised = raise(&store, id, Notice::Rebalance { time: None }).unwrap();
        assert_eq!(raised.rebalance, Some(NOW));
        assert_eq!(raise(&store, id, Notice::ClearRebalance {}).unwrap().rebalance, None);
        let state = LifecycleState::Terminated;
        let raised = raise(&store, id, Notice::TargetState { state }).unwrap();
        assert_eq!(raised.target_lifecycle_state, Some(state));
        let cleared = raise(&store, id, Notice::ClearTargetState {}).unwrap();
        assert_eq!(cleared, Events::default());
    }

    #[test]
    fn maintenance_is_scheduled_and_ends() {
        let (store, id) = site();
        for code in MaintenanceCode::ALL {
            let event_id = Some(code.as_str().parse().unwrap());
            let (not_before, not_after) = (None, Some(NOW.plus_seconds(1)));
            let maintenance = Notice::Maintenance {
                event_id,
                code: *code,
                description: None,
                not_before,
                not_after,
            };
            raise(&store, id, maintenance.clone()).unwrap();
            let again = raise(&store, id, maintenance).unwrap_err();
            assert!(matches!(again, NoticeRefusal::EventExists(..)));
        }
        let ended = |event_id: &str| Notice::MaintenanceEnded {
            event_id: event_id.parse().unwrap(),
            state: MaintenanceState::Canceled,
        };
        let events = raise(&store, id, ended("instance-stop")).unwrap();
        assert_eq!(events.maintenance[2].state, MaintenanceState::Canceled);
        assert!(matches!(raise(&store, id, ended("x")), Err(NoticeRefusal::EventUnknown(..))));
    }

    #[test]
    fn an_id_is_made_as_ec2_makes_it() {
        assert_eq!(&*fresh_event_id(0xabc), "instance-event-00000000000000abc");
        assert_eq!(fresh_event_id(u128::MAX).len(), 32);
    }
}
