//! Starting, stopping, rebooting and terminating instances (control plane, 4.3).

use model::{InstanceId, LifecycleEvent};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::instance_element::StateElement;
use super::instances::parse_instance_ids;
use super::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;
use crate::lifecycle::{self, LifecycleRefusal, Meant, Moved, Transition};

/// Starts instances that are stopped.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is let pass is not read")]
pub(crate) struct StartInstances {
    instance_id: Vec<String>,
    additional_info: Option<IgnoredAny>,
}

/// Stops instances that run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is let pass is not read")]
pub(crate) struct StopInstances {
    instance_id: Vec<String>,
    force: Option<IgnoredAny>,
    hibernate: Option<IgnoredAny>,
    skip_os_shutdown: Option<IgnoredAny>,
}

/// Ends instances.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is let pass is not read")]
pub(crate) struct TerminateInstances {
    instance_id: Vec<String>,
    force: Option<IgnoredAny>,
    skip_os_shutdown: Option<IgnoredAny>,
}

/// Starts instances anew while they run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RebootInstances {
    instance_id: Vec<String>,
}

/// EC2: one name for what the CLI calls `StartingInstances`, `StoppingInstances` and so on.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransitionsAnswer {
    instances_set: Vec<TransitionElement>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TransitionElement {
    instance_id: String,
    current_state: StateElement,
    previous_state: StateElement,
}

impl From<Transition> for TransitionElement {
    fn from(moved: Transition) -> Self {
        Self {
            instance_id: moved.id.to_string(),
            current_state: moved.after.into(),
            previous_state: moved.before.into(),
        }
    }
}

impl Action for StartInstances {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(desk.ask_on_instances(snapshot, &self.instance_id))
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        transitions(desk, &self.instance_id, |snapshot, meant| {
            lifecycle::start(snapshot, meant, desk.now)
        })
    }
}

impl Action for StopInstances {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(desk.ask_on_instances(snapshot, &self.instance_id))
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        transitions(desk, &self.instance_id, |snapshot, meant| {
            lifecycle::stop(snapshot, meant, desk.now)
        })
    }
}

impl Action for TerminateInstances {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(desk.ask_on_instances(snapshot, &self.instance_id))
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let default = desk.surroundings.default_instance();
        transitions(desk, &self.instance_id, |snapshot, meant| {
            lifecycle::terminate(snapshot, meant, default, desk.now)
        })
    }
}

impl Action for RebootInstances {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(desk.ask_on_instances(snapshot, &self.instance_id))
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        transitions(desk, &self.instance_id, lifecycle::reboot).map(|_| Answer::done())
    }
}

/// Makes a change of states, and waits for the machines for a while.
fn transitions(
    desk: &Desk<'_>,
    instance_ids: &[String],
    plan: impl FnOnce(&Snapshot, Meant<'_>) -> Moved,
) -> Result<Answer, ApiFault> {
    let ids: Vec<InstanceId> = parse_instance_ids(instance_ids)?;
    let meant = Meant { ids: &ids, scope: Some(&desk.scope) };
    let moved = desk.transact(|snapshot| plan(snapshot, meant).map_err(|refusal| fault(&refusal)))?;
    let _ = desk.surroundings.settles_states(&ids);
    let instances_set = moved.into_iter().map(TransitionElement::from).collect();
    Ok(Answer::of(TransitionsAnswer { instances_set }))
}

fn fault(refusal: &LifecycleRefusal) -> ApiFault {
    match refusal {
        LifecycleRefusal::Unknown(id) => ApiFault::instance_not_found(&id.text()),
        LifecycleRefusal::Protected { id, event: LifecycleEvent::Terminate } => {
            ApiFault::termination_protected(&id.text())
        }
        LifecycleRefusal::Protected { id, event: _ } => {
            ApiFault::operation_not_permitted(format!(
                "The instance '{id}' may not be stopped. Modify its 'disableApiStop' instance \
                 attribute and try again."
            ))
        }
        LifecycleRefusal::State { id, state: _, event } => {
            ApiFault::incorrect_instance_state(&id.text(), participle(*event))
        }
        LifecycleRefusal::DefaultInstance(_) | LifecycleRefusal::Described(_) => {
            ApiFault::operation_not_permitted(refusal.to_string())
        }
    }
}

fn participle(event: LifecycleEvent) -> &'static str {
    match event {
        LifecycleEvent::Launch => "launched",
        LifecycleEvent::Reboot => "rebooted",
        LifecycleEvent::Start => "started",
        LifecycleEvent::Stop => "stopped",
        LifecycleEvent::Terminate => "terminated",
    }
}
