//! Where an instance stands between its launch and its end.

use crate::serial::spelled;

spelled! {
    /// Where an instance stands (control plane, 4.1).
    InstanceState, "an instance state" {
        /// Its machine is being made, or started.
        Pending = "pending",
        /// It runs.
        Running = "running",
        /// Its end has begun.
        ShuttingDown = "shutting-down",
        /// Its machine is kept, and does not run.
        Stopped = "stopped",
        /// Its machine is being stopped.
        Stopping = "stopping",
        /// It is gone, and shown for a while.
        Terminated = "terminated",
    }
}

impl InstanceState {
    /// Returns the number that the EC2 API gives the state.
    pub const fn code(self) -> u16 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
            Self::Stopping => 64,
            Self::Stopped => 80,
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    pub(crate) const fn is_running(&self) -> bool {
        matches!(self, Self::Running)
    }

    /// Whether its machine may ask for metadata: one that is being stopped still may.
    pub const fn may_ask(self) -> bool {
        match self {
            Self::Pending | Self::Running | Self::Stopping => true,
            Self::ShuttingDown | Self::Stopped | Self::Terminated => false,
        }
    }
}
