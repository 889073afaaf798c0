//! Sessions: what a session token of our own says.
//!
//! Nothing is stored of a session. What there is to know of it travels with whoever has it, sealed in
//! the token that must come with every request; the key and its secret follow from the same bytes.
//!
//! ```text
//! Session ── packed.rs ──▶ packed bytes ── IssuerKey::seal ──▶ token, access key id, secret
//!                               ▲                                │
//!                               └────────── IssuerKey::open ─────┘
//! ```
//!
//! INVARIANT: [`IssuerKey::open`](crate::IssuerKey::open) gives what was sealed with the same key, or
//! nothing.

pub(crate) mod packed;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use model::{
    AccountId, Instance, InstanceId, Line, Region, RoleDelivery, RoleName, SessionName, TagKey,
    Timestamp, VpcId,
};

/// What stands in for a role in the ARN of an instance as itself.
pub const INSTANCE_ROLE: &str = "aws:ec2-instance";

/// What a session token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The account of whoever acts.
    pub account_id: AccountId,
    /// When it began: the value of `aws:TokenIssueTime`.
    pub issued_at: Timestamp,
    /// When it ends. Whoever opens a token asks the clock.
    pub expiration: Timestamp,
    /// Who acts.
    pub actor: Actor,
}

/// Whose session it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// An instance as itself: the credentials of `identity-credentials`, of no role of the account.
    Instance(SourceInstance),
    /// Somebody in a role.
    Role(RoleSession),
    /// A user, as `GetSessionToken` has it.
    User(UserSession),
}

/// A user with a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserSession {
    /// The user's name.
    pub name: RoleName,
    /// Its unique id: another user of the same name is another user.
    pub id: Line,
}

/// Somebody in a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleSession {
    /// The role's name.
    pub role: RoleName,
    /// Its unique id: another role of the same name is another role.
    pub role_id: Line,
    /// What the session is called; that of an instance by the instance's id.
    pub name: SessionName,
    /// The instance that read the credentials, if one did.
    pub source: Option<SourceInstance>,
    /// What limits the session below the role.
    pub policies: SessionPolicies,
    /// The session's tags.
    pub tags: BTreeMap<TagKey, Box<str>>,
}

/// Policies that a session was begun with: it may do what they allow and the role may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionPolicies {
    /// A document.
    pub document: Option<Box<str>>,
    /// The ARNs of managed policies.
    pub arns: Vec<Line>,
}

/// The instance that read credentials, as it was then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInstance {
    /// Its id.
    pub id: InstanceId,
    /// Its region.
    pub region: Region,
    /// How it read them: the value of `ec2:RoleDelivery`.
    pub delivery: RoleDelivery,
    /// The VPC of its primary interface: `aws:Ec2InstanceSourceVpc`.
    pub vpc_id: Option<VpcId>,
    /// The primary private address of that: `aws:Ec2InstanceSourcePrivateIPv4`.
    pub ipv4: Option<Ipv4Addr>,
    /// Its first IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
}

/// A session says more than a token can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session's policies and tags are {percent} % of what fits: shorten them")]
pub struct PackedTooLarge {
    /// How much it is of what fits, in per cent.
    pub percent: usize,
}

impl Session {
    /// LIMIT: packed, in bytes. Every request carries the token, base64 of this and some 50 bytes more,
    /// in a header, and ordinary servers take 8 KiB of those.
    pub const PACKED_BYTES_MAX: usize = 4096;

    /// Returns how much it is of what fits in a token, in per cent, rounded up; `PackedPolicySize` in
    /// the words of STS.
    pub fn packed_percent(&self) -> usize {
        packed::pack(self, 0).len().saturating_mul(100).div_ceil(Self::PACKED_BYTES_MAX)
    }

    /// Returns the instance that read the credentials, if one did.
    pub fn source(&self) -> Option<&SourceInstance> {
        match &self.actor {
            Actor::Instance(source) => Some(source),
            Actor::Role(session) => session.source.as_ref(),
            Actor::User(_) => None,
        }
    }
}

impl SourceInstance {
    /// Takes down what a session says of an instance that reads credentials.
    pub fn new(instance: &Instance, delivery: RoleDelivery) -> Self {
        let primary = instance.primary_interface();
        Self {
            id: instance.id,
            region: instance.region.clone(),
            delivery,
            vpc_id: primary.map(|interface| interface.vpc_id),
            ipv4: primary.and_then(model::Interface::primary_ipv4),
            ipv6: primary.and_then(|interface| interface.ipv6.first().copied()),
        }
    }

    /// Returns its ARN in the account of the session: the value of `ec2:SourceInstanceARN`.
    pub fn arn(&self, account_id: AccountId) -> String {
        let Self { id, region, .. } = self;
        format!("arn:{}:ec2:{region}:{account_id}:instance/{id}", region.partition())
    }
}
