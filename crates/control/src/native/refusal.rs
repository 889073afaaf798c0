//! Why the native API does not do what is asked.

use model::{Attachment, InstanceId};
use store::AttachmentTaken;

use crate::events::NoticeRefusal;
use crate::lifecycle::LifecycleRefusal;

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub enum NativeRefusal {
    /// Another instance has the attachment.
    #[error(
        "{0}. Detach it there first: imds instance detach {holder} {attachment}",
        holder = .0.holder,
        attachment = .0.attachment
    )]
    AttachmentTaken(AttachmentTaken),
    /// What it would be attached to is not there, or may not be used.
    #[error("{0}")]
    CannotAttach(String),
    /// The config file has the say.
    #[error("{0} is described in the config file: change it there, and start the server anew")]
    Described(InstanceId),
    /// The driver of an instance could not do what was due.
    #[error("the machine of {0}: {1}")]
    Machine(InstanceId, String),
    /// Nothing is done with the instance's life.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleRefusal),
    /// The id is in use.
    #[error("there is an instance `{0}` already: choose another id, or none")]
    InstanceExists(InstanceId),
    /// No such instance.
    #[error("there is no instance `{0}`: `imds instance list` shows those there are")]
    InstanceUnknown(InstanceId),
    /// No address serves the instance.
    #[error(
        "no address of the server serves {0}: it takes no IPv6, and --listen names no IPv4 address"
    )]
    NoEndpoint(InstanceId),
    /// No such attachment.
    #[error("{0} has no attachment {1}: `imds instance show {0}` shows those it has")]
    NotAttached(InstanceId, Attachment),
    /// The notice cannot be taken up.
    #[error(transparent)]
    Notice(#[from] NoticeRefusal),
    /// Not finished starting.
    #[error("the server is still starting: try again")]
    NotReady,
    /// Nobody has the name.
    #[error("there is no `{0}`: describe it in the config file, or make it with the IAM API")]
    PrincipalUnknown(model::IamKey),
    /// What the EC2 API would refuse too.
    #[error("{0}")]
    Refused(String),
    /// A role that nobody described.
    #[error("the instance has the role `{0}`, and no [[role]] table of the settings names it")]
    RoleUnknown(model::RoleName),
    /// Stored, and not served so by the time that the command must be answered.
    #[error(
        "the change is stored, but the server has so many others to take up that what was served \
         before may still be, for a while: ask again in a moment"
    )]
    Unsettled,
    /// Could not be stored.
    #[error("the change could not be stored: {0}")]
    Unstored(String),
}
