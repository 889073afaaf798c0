//! The words of OpenIMDS.
//!
//! **What is this?** The types that every other crate speaks in. Each is parsed once, at the edge,
//! into a form that cannot be wrong; below that edge nothing is checked again.
//!
//! **What does it never do?** No sockets, files, clocks, randomness or environment. Time comes in
//! as a [`Timestamp`].
//!
//! # Glossary
//!
//! | word | meaning |
//! |---|---|
//! | *instance* | the machine, virtual machine, container or process that metadata describes |
//! | *scope* | an account in a region: what is in one is not seen from another ([`Scope`]) |
//! | *layer* | what set an option of an instance: its launch, the account, the image … ([`OptionLayer`]) |
//! | *driver* | what makes the machine of an instance ([`Driver`]) |
//! | *attachment* | how an instance reaches the service, and so how the service knows who asks |
//! | *peer* | the other end of a connection, as the kernel reports it |
//! | *token* | the session token of `IMDSv2`: bound to an instance, good for a [`TokenTtl`] |
//! | *options* | the instance's metadata options ([`MetadataOptions`]), as the EC2 API names them |
//! | *snapshot* | everything the data plane reads, of one generation |
//! | *generation* | a number that grows by one with each change ([`Generation`]) |
//! | *refusal* | an answer without data; the caller's to mend |
//! | *fault* | a failure of ours; logged, answered without detail |
//! | *observation* | what one request was and what became of it ([`Observation`]) |
//!
//! Start reading at [`Instance`]: the metadata tree is drawn from it and from nothing else.

mod attachment;
mod attributes;
mod driver;
mod event;
mod fault;
mod iam;
mod id;
mod instance;
mod interface;
mod layers;
mod line;
mod observation;
mod options;
mod organization;
mod resource;
mod role;
mod secret;
mod serial;
mod session;
mod shared;
mod state;
mod tag;
mod time;
mod token;
mod user;
mod user_data;

pub use attachment::{Attachment, InterfaceName, NetnsName};
pub use attributes::{Attributes, ShutdownBehavior, StateReason, TemplateUsed};
pub use driver::{Driver, LifecycleEvent, Machine};
pub use event::{
    Events, LifecycleState, MaintenanceCode, MaintenanceEvent, MaintenanceState, SpotAction,
    SpotInterruption,
};
pub use fault::in_full;
pub use iam::{
    Group, Iam, IamKey, IamKind, IamName, IamPath, ManagedPolicy, Permissions, PolicyArn,
    PolicyDocument, PolicyVersion, RegisteredInstanceProfile, unique_id,
};
pub use id::{
    AccountId, AmiId, AssociationId, Generation, IdRefusal, IdText, InstanceId, InterfaceId,
    KernelId, LaunchTemplateId, RamdiskId, Region, ReservationId, SecurityGroupId, SubnetId, VpcId,
    spread,
};
pub use instance::{
    Architecture, BlockDevice, HostnameType, Instance, InstanceAction, InstanceRefusal, KeyPair,
    LifeCycle, Placement, System,
};
pub use interface::{Interface, Ipv4Address, MacAddress, SecurityGroup};
pub use layers::{OptionLayer, OptionLayers};
pub use line::{Line, LineRefusal};
pub use observation::{Observation, Outcome, RequestVersion, TokenUndelivered, UndeliveredReason};
pub use options::{HopLimit, HttpTokens, MetadataOptions, OptionsChange, Switch};
pub use organization::{
    AccountRequest, AccountRequestId, ControlPolicy, Member, Organization, OrganizationId,
    OrganizationalUnit, OrganizationalUnitId, PolicyId, PolicyType, RootId, Target,
};
pub use resource::{
    Idempotency, Image, ImdsSupport, LaunchTemplate, LaunchTemplateVersion, MetadataDefaults,
    RegisteredKeyPair, RegisteredSecurityGroup, Resource, ResourceKey, ResourceKind, ResourceTags,
    Scope, Subnet, Vpc,
};
pub use role::{
    CredentialSource, InstanceProfile, InstanceProfileStatus, Role, RoleDelivery, RoleName,
    StaticCredentials,
};
pub use secret::Secret;
pub use session::{SessionLife, SessionLifeRefusal, SessionName};
pub use shared::{Common, Shared};
pub use state::InstanceState;
pub use tag::{TagKey, TagRefusal};
pub use time::{Timestamp, TimestampRefusal};
pub use token::{TokenTtl, TtlRefusal};
pub use user::{AccessKey, KeyStatus, User};
pub use user_data::{UserData, UserDataRefusal};
