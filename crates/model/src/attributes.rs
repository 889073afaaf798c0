//! What the EC2 API shows of an instance, and its metadata does not.

use serde::{Deserialize, Serialize};

use crate::serial::spelled;
use crate::{
    AssociationId, Attachment, Driver, Generation, LaunchTemplateId, Line, Machine, Switch,
    Timestamp,
};

spelled! {
    /// What becomes of an instance that shuts itself down.
    ShutdownBehavior, "a shutdown behavior" {
        /// It is stopped.
        Stop = "stop",
        /// It is terminated.
        Terminate = "terminate",
    }
}

/// The version of a launch template that an instance was launched from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateUsed {
    /// The template.
    pub launch_template_id: LaunchTemplateId,
    /// Its version.
    pub version: u32,
}

/// Why an instance is in its state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateReason {
    /// The code, such as `Client.UserInitiatedShutdown`.
    pub code: Line,
    /// The same for people.
    pub message: Line,
}

/// What the EC2 API shows of an instance, and its metadata does not.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attributes {
    /// The client token of the launch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_token: Option<Line>,
    /// What makes its machine; none where an operator does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// Those of its attachments that the driver has given it: what the driver gives at the next
    /// start takes their place, and what an operator attached stays.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub driver_attachments: Vec<Attachment>,
    /// The key pair named at launch, whether or not its public key is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_name: Option<Line>,
    /// The launch template it was launched from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launch_template: Option<TemplateUsed>,
    /// What has become of the machine that the driver makes.
    pub machine: Machine,
    /// The association of its instance profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile_association: Option<AssociationId>,
    /// Why it is in its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<StateReason>,
    /// When it came into its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_since: Option<Timestamp>,
    /// The generation in which it was stopped; none while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_in: Option<Generation>,
    /// Whether the API refuses to stop it.
    pub disable_api_stop: bool,
    /// Whether the API refuses to terminate it.
    pub disable_api_termination: bool,
    /// Whether it is optimized for EBS.
    pub ebs_optimized: bool,
    /// What becomes of it when it shuts itself down.
    pub instance_initiated_shutdown_behavior: ShutdownBehavior,
    /// Whether the network drops packets that are not its own.
    pub source_dest_check: Switch,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            client_token: None,
            driver: None,
            driver_attachments: Vec::new(),
            key_name: None,
            launch_template: None,
            machine: Machine::Absent,
            profile_association: None,
            state_reason: None,
            state_since: None,
            stopped_in: None,
            disable_api_stop: false,
            disable_api_termination: false,
            ebs_optimized: false,
            instance_initiated_shutdown_behavior: ShutdownBehavior::Stop,
            source_dest_check: Switch::Enabled,
        }
    }
}
