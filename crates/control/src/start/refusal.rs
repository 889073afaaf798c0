//! Why a server does not start.

use model::{Attachment, IamKey, IamName, InstanceId, Line, PolicyArn, RoleName};

use super::{OrganizationRefusal, OrganizationTable};

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
    /// The role of an instance has a trust policy that EC2 is not in.
    #[error(
        "{instance} has the role `{role}`, and its trust policy does not let EC2 assume it: add \
         \"Principal\": {{\"Service\": \"ec2.amazonaws.com\"}}, \"Action\": \"sts:AssumeRole\" to \
         its `assume_role_policy`, or leave that out"
    )]
    RoleNotForEc2 {
        /// The instance.
        instance: InstanceId,
        /// The role.
        role: RoleName,
    },
    /// An instance profile has a role that is not there.
    #[error(
        "`{profile}` has the role `{role}`, and there is none in its account: add a [[role]] \
         table with name = \"{role}\""
    )]
    RoleUnknown {
        /// The profile.
        profile: IamKey,
        /// The role.
        role: RoleName,
    },
    /// A user is in a group that is not there.
    #[error(
        "`{user}` is in the group `{group}`, and there is none in its account: add a [[group]] \
         table with name = \"{group}\""
    )]
    GroupUnknown {
        /// The user.
        user: IamKey,
        /// The group.
        group: IamName,
    },
    /// A managed policy is attached that is not there.
    #[error(
        "`{holder}` has the policy `{policy}`, and there is none: add a [[policy]] table for it in \
         the same account, or name one of AWS's that this server has, such as AdministratorAccess"
    )]
    PolicyUnknown {
        /// Who has it.
        holder: IamKey,
        /// The policy.
        policy: PolicyArn,
    },
    /// What is described is no organization.
    #[error("{reason}")]
    Organization {
        /// The table.
        table: OrganizationTable,
        /// Why.
        reason: OrganizationRefusal,
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
