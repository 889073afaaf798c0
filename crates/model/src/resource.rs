//! What an account has in a region besides instances: images, networks, keys, launch templates and
//! defaults.
//!
//! Outside EC2 most of these are labels of other systems: they name what an instance is launched
//! with, and metadata shows the names.

use std::collections::BTreeMap;
use std::fmt;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::serial::spelled;
use crate::{
    AccountId, AmiId, Architecture, Instance, InstanceId, LaunchTemplateId, Line, OptionsChange,
    Region, SecurityGroupId, SubnetId, Switch, TagKey, Timestamp, VpcId,
};

/// An account in a region: what is in one scope is neither seen nor changed from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// The account.
    pub account_id: AccountId,
    /// The region.
    pub region: Region,
}

impl fmt::Display for Scope {
    /// Writes the account and the region, parted by `/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account_id, self.region)
    }
}

spelled! {
    /// The versions of the metadata service that the software of an image is made for.
    ImdsSupport, "a value of `ImdsSupport`" {
        /// `IMDSv2`: instances require tokens, and their answers travel two hops.
        V2 = "v2.0",
    }
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The image's id.
    pub id: AmiId,
    /// The account that owns it.
    pub owner_id: AccountId,
    /// Its name.
    pub name: Line,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Line>,
    /// The processor architecture.
    pub architecture: Architecture,
    /// What its software is made for; none if nobody has said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imds_support: Option<ImdsSupport>,
    /// The root device, such as `/dev/xvda`.
    pub root_device_name: Line,
    /// The snapshots that its block devices are made from, by device name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub snapshots: BTreeMap<Line, Line>,
    /// When it was registered.
    pub created: Timestamp,
}

/// A key pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredKeyPair {
    /// Its name.
    pub name: Line,
    /// The public key, type and base64; none if only the name is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<Line>,
    /// When it was registered.
    pub created: Timestamp,
}

/// A virtual private cloud.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vpc {
    /// Its id.
    pub id: VpcId,
    /// Its IPv4 blocks, the primary one first.
    pub ipv4_cidrs: Vec<Ipv4Net>,
    /// Its IPv6 blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ipv6_cidrs: Vec<Ipv6Net>,
    /// Whether it is the one that instances are launched into where nothing else is said.
    pub is_default: bool,
}

/// A subnet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// The VPC it is in.
    pub vpc_id: VpcId,
    /// Its IPv4 block.
    pub ipv4_cidr: Ipv4Net,
    /// Its IPv6 blocks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ipv6_cidrs: Vec<Ipv6Net>,
    /// The name of its zone, such as `us-east-1a`.
    pub availability_zone: Line,
    /// The id of its zone, such as `use1-az4`.
    pub availability_zone_id: Line,
    /// Whether its instances get a public address where nothing else is said.
    pub map_public_ip_on_launch: Switch,
    /// Whether it is its zone's default.
    pub is_default: bool,
}

/// A security group, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredSecurityGroup {
    /// Its id.
    pub id: SecurityGroupId,
    /// Its name.
    pub name: Line,
    /// What it is for.
    pub description: Line,
    /// The VPC it is in.
    pub vpc_id: VpcId,
}

/// A launch template; its versions are resources of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchTemplate {
    /// Its id.
    pub id: LaunchTemplateId,
    /// Its name, unique in its scope.
    pub name: Line,
    /// When it was created.
    pub created: Timestamp,
    /// The ARN of who created it.
    pub created_by: Line,
    /// The version that a launch takes which names none.
    pub default_version: u32,
    /// The highest version there ever was.
    pub latest_version: u32,
}

/// A version of a launch template. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaunchTemplateVersion {
    /// The template.
    pub launch_template_id: LaunchTemplateId,
    /// The number of the version, from 1.
    pub version: u32,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Line>,
    /// When it was created.
    pub created: Timestamp,
    /// The ARN of who created it.
    pub created_by: Line,
    /// The parameters of a launch, as they stand in a request: `MetadataOptions.HttpTokens` and its
    /// value. EC2: most are looked at when something is launched.
    pub parameters: BTreeMap<Box<str>, Box<str>>,
}

/// The defaults of an account for the metadata options of what is launched in a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataDefaults {
    /// The options that have one. EC2: there is none for `HttpProtocolIpv6`.
    pub options: OptionsChange,
    /// Whether a launch or change to `HttpTokens=optional` is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_tokens_enforced: Option<Switch>,
}

/// The tags of a resource that is no instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceTags {
    /// The resource's id, such as `ami-0abcdef1234567890`.
    pub resource_id: Line,
    /// Its tags.
    pub tags: BTreeMap<TagKey, Box<str>>,
}

/// What a request with a client token came to: the same request again gets it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// The action.
    pub action: Line,
    /// The client token.
    pub client_token: Line,
    /// A digest of the request's other parameters.
    pub digest: Line,
    /// The ids of what it made, as the action writes them.
    pub outcome: Vec<Line>,
    /// When that was.
    pub made: Timestamp,
}

/// What an account has in a region besides its instances.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Resource {
    /// What a client token stands for.
    Idempotency(Idempotency),
    /// An image.
    Image(Image),
    /// A key pair.
    KeyPair(RegisteredKeyPair),
    /// A launch template.
    LaunchTemplate(LaunchTemplate),
    /// A version of a launch template.
    LaunchTemplateVersion(LaunchTemplateVersion),
    /// The defaults of metadata options.
    MetadataDefaults(MetadataDefaults),
    /// A security group.
    SecurityGroup(RegisteredSecurityGroup),
    /// A subnet.
    Subnet(Subnet),
    /// Tags of something that is no instance.
    Tags(ResourceTags),
    /// An instance that is gone, and shown for a while.
    TerminatedInstance(Box<Instance>),
    /// A virtual private cloud.
    Vpc(Vpc),
}

spelled! {
    /// The kind of a resource.
    ResourceKind, "a kind of resource" {
        /// See [`Resource::Idempotency`].
        Idempotency = "idempotency",
        /// See [`Resource::Image`].
        Image = "image",
        /// See [`Resource::KeyPair`].
        KeyPair = "key-pair",
        /// See [`Resource::LaunchTemplate`].
        LaunchTemplate = "launch-template",
        /// See [`Resource::LaunchTemplateVersion`].
        LaunchTemplateVersion = "launch-template-version",
        /// See [`Resource::MetadataDefaults`].
        MetadataDefaults = "metadata-defaults",
        /// See [`Resource::SecurityGroup`].
        SecurityGroup = "security-group",
        /// See [`Resource::Subnet`].
        Subnet = "subnet",
        /// See [`Resource::Tags`].
        Tags = "tags",
        /// See [`Resource::TerminatedInstance`].
        TerminatedInstance = "terminated-instance",
        /// See [`Resource::Vpc`].
        Vpc = "vpc",
    }
}

/// What tells a resource from all others of its scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKey {
    /// Action and client token.
    Idempotency(Line, Line),
    /// The image's id.
    Image(AmiId),
    /// The key pair's name.
    KeyPair(Line),
    /// The launch template's id.
    LaunchTemplate(LaunchTemplateId),
    /// The launch template's id and the version's number.
    LaunchTemplateVersion(LaunchTemplateId, u32),
    /// A scope has one.
    MetadataDefaults,
    /// The group's id.
    SecurityGroup(SecurityGroupId),
    /// The subnet's id.
    Subnet(SubnetId),
    /// The tagged resource's id.
    Tags(Line),
    /// The instance's id.
    TerminatedInstance(InstanceId),
    /// The VPC's id.
    Vpc(VpcId),
}

impl Resource {
    /// Returns what tells it from all others of its scope.
    pub fn key(&self) -> ResourceKey {
        match self {
            Self::Idempotency(made) => {
                ResourceKey::Idempotency(made.action.clone(), made.client_token.clone())
            }
            Self::Image(image) => ResourceKey::Image(image.id),
            Self::KeyPair(pair) => ResourceKey::KeyPair(pair.name.clone()),
            Self::LaunchTemplate(template) => ResourceKey::LaunchTemplate(template.id),
            Self::LaunchTemplateVersion(version) => {
                ResourceKey::LaunchTemplateVersion(version.launch_template_id, version.version)
            }
            Self::MetadataDefaults(_) => ResourceKey::MetadataDefaults,
            Self::SecurityGroup(group) => ResourceKey::SecurityGroup(group.id),
            Self::Subnet(subnet) => ResourceKey::Subnet(subnet.id),
            Self::Tags(tags) => ResourceKey::Tags(tags.resource_id.clone()),
            Self::TerminatedInstance(instance) => ResourceKey::TerminatedInstance(instance.id),
            Self::Vpc(vpc) => ResourceKey::Vpc(vpc.id),
        }
    }
}

impl ResourceKey {
    /// Returns the kind.
    pub fn kind(&self) -> ResourceKind {
        match self {
            Self::Idempotency(..) => ResourceKind::Idempotency,
            Self::Image(_) => ResourceKind::Image,
            Self::KeyPair(_) => ResourceKind::KeyPair,
            Self::LaunchTemplate(_) => ResourceKind::LaunchTemplate,
            Self::LaunchTemplateVersion(..) => ResourceKind::LaunchTemplateVersion,
            Self::MetadataDefaults => ResourceKind::MetadataDefaults,
            Self::SecurityGroup(_) => ResourceKind::SecurityGroup,
            Self::Subnet(_) => ResourceKind::Subnet,
            Self::Tags(_) => ResourceKind::Tags,
            Self::TerminatedInstance(_) => ResourceKind::TerminatedInstance,
            Self::Vpc(_) => ResourceKind::Vpc,
        }
    }
}

impl fmt::Display for ResourceKey {
    /// Writes the name among those of its kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idempotency(action, token) => write!(f, "{action}/{token}"),
            Self::Image(id) => id.fmt(f),
            Self::KeyPair(name) => name.fmt(f),
            Self::LaunchTemplate(id) => id.fmt(f),
            Self::LaunchTemplateVersion(id, version) => write!(f, "{id}/{version}"),
            Self::MetadataDefaults => f.write_str("account"),
            Self::SecurityGroup(id) => id.fmt(f),
            Self::Subnet(id) => id.fmt(f),
            Self::Tags(id) => id.fmt(f),
            Self::TerminatedInstance(id) => id.fmt(f),
            Self::Vpc(id) => id.fmt(f),
        }
    }
}
