//! Why a server does not start.

use model::{Attachment, IamKey, InstanceId, Line, RoleName};

/// Why a server does not start with these settings.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartRefusal {
    /// The store is not new, and lacks keys.
    #[error(
        "the state has lost keys that it had: restore it from a backup, or move it away to start \
         afresh (tokens and keys are then new)"
    )]
    KeysLost,
    /// The instance that `--listen` is to serve is not there.
    #[error(
        "`default_instance` is `{0}`, and there is no such instance: describe it in an \
         [[instance]] table"
    )]
    NoDefaultInstance(InstanceId),
    /// An instance's role has no source of credentials.
    #[error(
        "{instance} has the role `{role}`, and nothing says where its credentials come from: add \
         a [[role]] table with name = \"{role}\" and source = \"built-in\", \"static\" or \
         \"process\""
    )]
    RoleWithoutSource {
        /// The instance.
        instance: InstanceId,
        /// The role.
        role: RoleName,
    },
    /// Two instances claim one attachment.
    #[error("{first} and {second} both have the attachment {attachment}: give each its own")]
    SharedAttachment {
        /// The attachment.
        attachment: Attachment,
        /// One instance.
        first: InstanceId,
        /// The other.
        second: InstanceId,
    },
    /// An instance claims an address that all share.
    #[error(
        "{instance} has the attachment {attachment}, and `shared_listen` names that address too: \
         leave one of them out"
    )]
    ListenerIsShared {
        /// The attachment.
        attachment: Attachment,
        /// The instance.
        instance: InstanceId,
    },
    /// A source address is attached, and there is no address to ask at.
    #[error(
        "{instance} has the attachment {attachment}, and there is no address for instances told by \
         their source: name one, such as shared_listen = [\"169.254.169.254:80\"]"
    )]
    NoSharedListener {
        /// The attachment.
        attachment: Attachment,
        /// The instance.
        instance: InstanceId,
    },
    /// Two users have one access key, or one has the administrator's.
    #[error(
        "`{user}` has the access key {access_key_id}, and so has {holder}: who signs with \
         it could not be told. Give each user keys of its own"
    )]
    SharedAccessKey {
        /// The user.
        user: IamKey,
        /// The key's id.
        access_key_id: Line,
        /// Who has it already.
        holder: String,
    },
    /// A user has the administrator's name.
    #[error("`{0}` is the administrator, whom the server makes itself: choose another name")]
    UserIsAdministrator(IamKey),
    /// One thing is described twice.
    #[error("{0} is described twice: keep one of the tables")]
    Twice(String),
}
