//! What makes the machine of an instance, and what it is to do next.

use serde::{Deserialize, Serialize};

use crate::serial::spelled;
use crate::{Instance, InstanceState};

/// What makes the machine that an instance describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Driver {
    /// A program of the operator's, which is told of each event and says how the instance is
    /// attached.
    Exec,
    /// Nothing: whoever asks at an address of its own is the instance.
    Listener,
    /// A network namespace on this machine, with a service namespace behind it.
    Netns {
        /// Whether it has a container: one more network namespace, which it forwards for.
        container: bool,
    },
    /// Nothing: whoever asks from the instance's own address is the instance.
    Source,
}

spelled! {
    /// What a driver has to do with a machine.
    LifecycleEvent, "a lifecycle event" {
        /// It is made, and runs.
        Launch = "launch",
        /// It is started anew while it runs.
        Reboot = "reboot",
        /// It runs again.
        Start = "start",
        /// It runs no more, and is kept.
        Stop = "stop",
        /// It is no more.
        Terminate = "terminate",
    }
}

spelled! {
    /// What has become of the machine that a driver makes.
    Machine, "what has become of a machine" {
        /// It has not been made, as far as is known.
        Absent = "absent",
        /// It has been made.
        Made = "made",
        /// It has been made, and is to be started anew.
        Rebooting = "rebooting",
    }
}

impl Instance {
    /// Returns what its driver has to do next; nothing where all is as its state says.
    pub fn due(&self) -> Option<LifecycleEvent> {
        match (self.state, self.attributes.machine) {
            (InstanceState::Pending, Machine::Absent) => Some(LifecycleEvent::Launch),
            (InstanceState::Pending, Machine::Made | Machine::Rebooting) => {
                Some(LifecycleEvent::Start)
            }
            (InstanceState::Running, Machine::Rebooting) => Some(LifecycleEvent::Reboot),
            (InstanceState::Stopping, _) => Some(LifecycleEvent::Stop),
            (InstanceState::ShuttingDown, _) => Some(LifecycleEvent::Terminate),
            (InstanceState::Running, Machine::Absent | Machine::Made)
            | (InstanceState::Stopped | InstanceState::Terminated, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_follows_from_the_state_and_the_machine() {
        use {InstanceState as State, LifecycleEvent as Event};
        for (state, machine, due) in [
            (State::Pending, Machine::Absent, Some(Event::Launch)),
            (State::Pending, Machine::Made, Some(Event::Start)),
            (State::Running, Machine::Absent, None),
            (State::Running, Machine::Made, None),
            (State::Running, Machine::Rebooting, Some(Event::Reboot)),
            (State::Stopping, Machine::Rebooting, Some(Event::Stop)),
            (State::Stopped, Machine::Made, None),
            (State::ShuttingDown, Machine::Absent, Some(Event::Terminate)),
            (State::Terminated, Machine::Made, None),
        ] {
            let mut instance = Instance::default_instance();
            instance.state = state;
            instance.attributes.machine = machine;
            assert_eq!(instance.due(), due, "{state} {machine}");
        }
    }

    #[test]
    fn a_driver_is_written_as_in_journals_of_before() {
        for (driver, text) in [
            (Driver::Netns { container: true }, r#"{"netns":{"container":true}}"#),
            (Driver::Exec, r#""exec""#),
        ] {
            assert_eq!(serde_json::to_string(&driver).unwrap(), text);
            assert_eq!(serde_json::from_str::<Driver>(text).unwrap(), driver);
        }
    }
}
