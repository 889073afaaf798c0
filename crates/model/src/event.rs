//! What is going to happen, or has happened, to an instance.

use serde::{Deserialize, Serialize};

use crate::serial::spelled;
use crate::{Line, Timestamp};

spelled! {
    /// The kind of a scheduled maintenance event.
    MaintenanceCode, "a maintenance code" {
        /// The instance restarts on the same host.
        InstanceReboot = "instance-reboot",
        /// The instance is retired.
        InstanceRetirement = "instance-retirement",
        /// The instance is stopped.
        InstanceStop = "instance-stop",
        /// The host's network or power is maintained.
        SystemMaintenance = "system-maintenance",
        /// The host restarts.
        SystemReboot = "system-reboot",
    }
}

spelled! {
    /// Where a maintenance event stands.
    MaintenanceState, "a maintenance state" {
        /// Ahead or under way: `events/maintenance/scheduled` shows it.
        Active = "active",
        /// Called off: `events/maintenance/history` shows it.
        Canceled = "canceled",
        /// Over: `events/maintenance/history` shows it.
        Completed = "completed",
    }
}

spelled! {
    /// What is done to an interrupted spot instance.
    SpotAction, "a spot action" {
        /// It hibernates.
        Hibernate = "hibernate",
        /// It is stopped.
        Stop = "stop",
        /// It is terminated.
        Terminate = "terminate",
    }
}

spelled! {
    /// The state that an Auto Scaling group moves an instance to.
    LifecycleState, "a lifecycle state" {
        /// Leaving the group.
        Detached = "Detached",
        /// At work.
        InService = "InService",
        /// Set aside.
        Standby = "Standby",
        /// Going away.
        Terminated = "Terminated",
        /// In the warm pool, hibernated.
        WarmedHibernated = "Warmed:Hibernated",
        /// In the warm pool, running.
        WarmedRunning = "Warmed:Running",
        /// In the warm pool, stopped.
        WarmedStopped = "Warmed:Stopped",
        /// In the warm pool, going away.
        WarmedTerminated = "Warmed:Terminated",
    }
}

/// A scheduled maintenance event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceEvent {
    /// The event's id, such as `instance-event-0d59937288b749b32`.
    pub event_id: Line,
    /// The kind.
    pub code: MaintenanceCode,
    /// The description, without the `[Completed]` that history adds.
    pub description: Line,
    /// When it begins at the earliest.
    pub not_before: Timestamp,
    /// When it ends at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// Where it stands.
    pub state: MaintenanceState,
}

/// The two-minute notice of a spot interruption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpotInterruption {
    /// What will be done.
    pub action: SpotAction,
    /// When.
    pub time: Timestamp,
}

/// The events of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    /// Scheduled and past maintenance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<MaintenanceEvent>,
    /// When a rebalance recommendation was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rebalance: Option<Timestamp>,
    /// The spot interruption ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spot: Option<SpotInterruption>,
    /// The Auto Scaling state the instance is to reach; none for those outside a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_lifecycle_state: Option<LifecycleState>,
}
