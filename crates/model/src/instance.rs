//! The instance: everything that its metadata is drawn from.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use crate::serial::spelled;
use crate::{
    AccountId, AmiId, Attachment, Attributes, Events, Generation, InstanceId, InstanceProfile,
    InstanceState, Interface, KernelId, Line, MacAddress, MetadataOptions, OptionLayer,
    OptionLayers, OptionsChange, RamdiskId, Region, ReservationId, Scope, Shared, Switch, TagKey,
    Timestamp, UserData,
};

spelled! {
    /// The processor architecture, as identity documents name it.
    Architecture, "an architecture" {
        /// 64-bit Arm.
        Arm64 = "arm64",
        /// 32-bit x86.
        I386 = "i386",
        /// 64-bit x86.
        X86_64 = "x86_64",
    }
}

spelled! {
    /// The virtualization system, as `system` shows it.
    System, "a virtualization system" {
        /// Nitro.
        Nitro = "nitro",
        /// Xen.
        Xen = "xen",
        /// A Xen type on Nitro hosts.
        XenOnNitro = "xen-on-nitro",
    }
}

spelled! {
    /// How the instance is paid for.
    LifeCycle, "a life cycle" {
        /// From a capacity block.
        CapacityBlock = "capacity-block",
        /// On demand.
        OnDemand = "on-demand",
        /// By schedule.
        Scheduled = "scheduled",
        /// On the spot market.
        Spot = "spot",
    }
}

spelled! {
    /// What is about to be done to the instance.
    InstanceAction, "an instance action" {
        /// It is being bundled.
        BundlePending = "bundle-pending",
        /// Nothing.
        None = "none",
        /// It is shutting down.
        Shutdown = "shutdown",
    }
}

spelled! {
    /// How the private host name is made.
    HostnameType, "a host name type" {
        /// From the private IPv4 address.
        IpName = "ip-name",
        /// From the instance id. IPv6-only instances always use it.
        ResourceName = "resource-name",
    }
}

/// Where the instance runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// The zone's name, such as `us-east-1a`.
    pub availability_zone: Line,
    /// The zone's id, such as `use1-az4`.
    pub availability_zone_id: Line,
    /// The placement group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_name: Option<Line>,
    /// The dedicated host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_id: Option<Line>,
    /// The partition of the placement group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_number: Option<u8>,
}

/// The key pair named at launch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyPair {
    /// The key pair's name.
    pub name: Line,
    /// The public key: type and base64; metadata adds the name and a line end.
    pub public_key: Line,
}

/// An entry of `block-device-mapping/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockDevice {
    /// The virtual name: `ami`, `root`, `swap`, `ebsN` or `ephemeralN`.
    pub name: Line,
    /// The device, such as `/dev/xvda` or `sdb`.
    pub device: Line,
}

/// A machine that reads metadata.
///
/// This is also its written form: a `[[instance]]` table of the config file, a record of the store
/// and the answer of `imds instance show --json` have the same keys.
///
/// INVARIANT: what two fields must agree on is held by [`Instance::check`], which the store calls
/// on every write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// The instance's id.
    #[serde(rename = "instance_id", alias = "id")]
    pub id: InstanceId,
    /// How it reaches the service.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// Its metadata options.
    #[serde(default)]
    pub options: MetadataOptions,
    /// What set each of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub option_layers: OptionLayers,
    /// The generation that changed them last. Until it is in force, they are pending.
    #[serde(default, skip_serializing_if = "is_default")]
    pub options_since: Generation,
    /// Where it stands between launch and end.
    #[serde(default = "defaults::state", skip_serializing_if = "InstanceState::is_running")]
    pub state: InstanceState,
    /// What only the EC2 API shows of it.
    #[serde(default = "defaults::attributes", skip_serializing_if = "is_default")]
    pub attributes: Shared<Attributes>,
    /// The account that owns it.
    #[serde(default = "defaults::account_id")]
    pub account_id: AccountId,
    /// The region.
    #[serde(default = "defaults::region")]
    pub region: Region,
    /// The place within the region.
    #[serde(default = "defaults::placement")]
    pub placement: Shared<Placement>,
    /// The type, such as `m5.large`.
    #[serde(default = "defaults::instance_type")]
    pub instance_type: Line,
    /// The architecture.
    #[serde(default = "defaults::architecture")]
    pub architecture: Architecture,
    /// The virtualization system.
    #[serde(default = "defaults::system")]
    pub system: System,
    /// The undocumented `profile` leaf.
    #[serde(default = "defaults::profile")]
    pub profile: Line,
    /// How it is paid for.
    #[serde(default = "defaults::life_cycle")]
    pub life_cycle: LifeCycle,
    /// What is about to be done to it.
    #[serde(default = "defaults::action")]
    pub action: InstanceAction,
    /// The image it was launched from.
    #[serde(default = "defaults::ami_id")]
    pub ami_id: AmiId,
    /// Its number within the launch request.
    #[serde(default)]
    pub ami_launch_index: u32,
    /// The path of an image's manifest; none for images on EBS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ami_manifest_path: Option<Line>,
    /// The images that the image was made from.
    #[serde(default = "defaults::ancestor_ami_ids", skip_serializing_if = "Vec::is_empty")]
    pub ancestor_ami_ids: Shared<Vec<AmiId>>,
    /// Marketplace product codes.
    #[serde(default = "defaults::product_codes", skip_serializing_if = "Vec::is_empty")]
    pub product_codes: Shared<Vec<Line>>,
    /// Billing products, shown in the identity document.
    #[serde(default = "defaults::billing_products", skip_serializing_if = "Vec::is_empty")]
    pub billing_products: Shared<Vec<Line>>,
    /// The kernel of a paravirtual image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_id: Option<KernelId>,
    /// The RAM disk of a paravirtual image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramdisk_id: Option<RamdiskId>,
    /// The reservation it was launched in.
    #[serde(default = "defaults::reservation_id")]
    pub reservation_id: ReservationId,
    /// When it was launched or last started.
    #[serde(default = "defaults::pending_time")]
    pub pending_time: Timestamp,
    /// When anything about it changed last; the `Last-Modified` of its answers.
    #[serde(default = "defaults::pending_time")]
    pub last_modified: Timestamp,
    /// Its network interfaces.
    #[serde(default)]
    pub interfaces: Vec<Interface>,
    /// How its private host name is made.
    #[serde(default = "defaults::hostname_type")]
    pub hostname_type: HostnameType,
    /// The domain of its host names, where DHCP options set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<Line>,
    /// Whether its VPC gives public host names.
    #[serde(default = "defaults::dns_hostnames")]
    pub dns_hostnames: Switch,
    /// The key pair named at launch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_pair: Option<Shared<KeyPair>>,
    /// Block devices at launch.
    #[serde(default = "defaults::block_devices")]
    pub block_devices: Shared<Vec<BlockDevice>>,
    /// The attached instance profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_profile: Option<Shared<InstanceProfile>>,
    /// User data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<UserData>,
    /// Tags.
    #[serde(default = "defaults::tags", skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: Shared<BTreeMap<TagKey, Box<str>>>,
    /// Whether detailed monitoring is on.
    #[serde(default = "defaults::monitoring")]
    pub monitoring: Switch,
    /// Whether it can hibernate; none if it was not set up for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hibernation: Option<Switch>,
    /// What is going to happen to it.
    #[serde(default = "defaults::events")]
    pub events: Shared<Events>,
}

/// Fields of an instance that do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstanceRefusal {
    /// One attachment twice.
    #[error("{instance} has the attachment {attachment} twice: keep one")]
    TwinAttachments {
        /// The instance.
        instance: InstanceId,
        /// The attachment.
        attachment: Attachment,
    },
    /// More than [`Instance::ATTACHMENTS_MAX`] attachments.
    #[error("{0} has more than {max} attachments", max = Instance::ATTACHMENTS_MAX)]
    TooManyAttachments(InstanceId),
    /// No interface.
    #[error("{0} has no network interface")]
    NoInterface(InstanceId),
    /// Two interfaces with one MAC address or device number.
    #[error("{instance} has two network interfaces with {what}")]
    TwinInterfaces {
        /// The instance.
        instance: InstanceId,
        /// What they share.
        what: String,
    },
    /// No interface at device number 0.
    #[error("{0} has no network interface with device number 0")]
    NoPrimaryInterface(InstanceId),
    /// Tags are shown in metadata, and a key could not stand in a path.
    #[error(
        "{instance} shows its tags in metadata, but `{key}` is not a valid tag key there: use \
         1 to 128 of the characters 0-9 a-z A-Z - _ + = , . @ : and none of `.`, `..`, `_index`"
    )]
    TagNotPathSafe {
        /// The instance.
        instance: InstanceId,
        /// The key.
        key: String,
    },
    /// More than [`Instance::TAGS_MAX`] tags.
    #[error("{0} has more than {max} tags", max = Instance::TAGS_MAX)]
    TooManyTags(InstanceId),
    /// A tag value longer than [`Instance::TAG_VALUE_CHARACTERS_MAX`].
    #[error(
        "{instance} has a tag `{key}` whose value is longer than {max} characters",
        max = Instance::TAG_VALUE_CHARACTERS_MAX
    )]
    TagValueTooLong {
        /// The instance.
        instance: InstanceId,
        /// The key.
        key: String,
    },
    /// A block device that is none of the names EC2 uses, or there twice.
    #[error(
        "{instance} has a block device named `{name}`: use ami, root, swap, ebsN or ephemeralN, \
         each once"
    )]
    BlockDevice {
        /// The instance.
        instance: InstanceId,
        /// The name.
        name: String,
    },
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Instance {
    /// Returns the account and the region that it is in.
    pub fn scope(&self) -> Scope {
        Scope { account_id: self.account_id, region: self.region.clone() }
    }

    /// Whether it is in this account and region.
    pub fn is_in(&self, scope: &Scope) -> bool {
        self.account_id == scope.account_id && self.region == scope.region
    }

    /// Changes its options by `layer`, in a change that has this generation. An option that is set to
    /// what it is has a new layer all the same.
    pub fn set_options(
        &mut self,
        change: OptionsChange,
        layer: OptionLayer,
        generation: Generation,
    ) {
        let options = change.apply(self.options);
        let layers = self.option_layers.after(change, layer);
        if (options, layers) != (self.options, self.option_layers) {
            self.options = options;
            self.option_layers = layers;
            self.options_since = generation;
        }
    }

    /// LIMIT: an instance has a few interfaces with a few addresses each; more is a mistake.
    pub const ATTACHMENTS_MAX: usize = 64;

    /// LIMIT: tags of one resource in the EC2 API.
    pub const TAGS_MAX: usize = 50;

    /// LIMIT: the length of a tag value in the EC2 API.
    pub const TAG_VALUE_CHARACTERS_MAX: usize = 256;

    /// Checks what the types of the fields cannot hold.
    ///
    /// # Errors
    ///
    /// The first [`InstanceRefusal`] that applies.
    pub fn check(&self) -> Result<(), InstanceRefusal> {
        self.check_attachments()?;
        self.check_interfaces()?;
        if self.tags.len() > Self::TAGS_MAX {
            return Err(InstanceRefusal::TooManyTags(self.id));
        }
        let shown = self.options.instance_metadata_tags == Switch::Enabled;
        if let Some(key) = self.tags.keys().find(|key| shown && !key.is_path_safe()) {
            let key = key.as_str().escape_debug().to_string();
            return Err(InstanceRefusal::TagNotPathSafe { instance: self.id, key });
        }
        if let Some((key, _)) = self
            .tags
            .iter()
            .find(|(_, value)| value.chars().count() > Self::TAG_VALUE_CHARACTERS_MAX)
        {
            let key = key.as_str().escape_debug().to_string();
            return Err(InstanceRefusal::TagValueTooLong { instance: self.id, key });
        }
        let mut names = BTreeSet::new();
        let is_wrong = |name: &str| !is_block_device_name(name);
        match self.block_devices.iter().find(|d| is_wrong(&d.name) || !names.insert(&d.name)) {
            Some(device) => Err(InstanceRefusal::BlockDevice {
                instance: self.id,
                name: device.name.to_string(),
            }),
            None => Ok(()),
        }
    }

    fn check_attachments(&self) -> Result<(), InstanceRefusal> {
        if self.attachments.len() > Self::ATTACHMENTS_MAX {
            return Err(InstanceRefusal::TooManyAttachments(self.id));
        }
        let mut claims = BTreeSet::new();
        let exclusive = self.attachments.iter().filter(|attachment| attachment.is_exclusive());
        match exclusive.map(Attachment::claim).find(|claim| !claims.insert(claim.clone())) {
            Some(attachment) => {
                Err(InstanceRefusal::TwinAttachments { instance: self.id, attachment })
            }
            None => Ok(()),
        }
    }

    /// Returns whether the instance has this MAC on an interface with this address: what comes from
    /// elsewhere is not its own. An address on the link alone is made from the MAC.
    pub fn sends_from(&self, mac: MacAddress, address: IpAddr) -> bool {
        let of_mac = self.interfaces.iter().filter(|interface| interface.mac == mac);
        of_mac.into_iter().any(|interface| match address.to_canonical() {
            IpAddr::V4(v4) => {
                interface.ipv4.iter().any(|own| own.private == v4)
                    || interface.ipv4_prefixes.iter().any(|delegated| delegated.contains(&v4))
            }
            IpAddr::V6(v6) => {
                interface.ipv6.contains(&v6)
                    || interface.ipv6_prefixes.iter().any(|delegated| delegated.contains(&v6))
                    || v6 == mac.link_local()
            }
        })
    }

    fn check_interfaces(&self) -> Result<(), InstanceRefusal> {
        if self.interfaces.is_empty() {
            return Err(InstanceRefusal::NoInterface(self.id));
        }
        let twins = |what| InstanceRefusal::TwinInterfaces { instance: self.id, what };
        let (mut macs, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for interface in &self.interfaces {
            if !macs.insert(interface.mac) {
                return Err(twins(format!("MAC address {}", interface.mac)));
            }
            // EC2: each network card counts its own devices.
            if !numbers.insert((interface.network_card.unwrap_or(0), interface.device_number)) {
                return Err(twins(format!("device number {}", interface.device_number)));
            }
        }
        if numbers.contains(&(0, 0)) {
            Ok(())
        } else {
            Err(InstanceRefusal::NoPrimaryInterface(self.id))
        }
    }

    /// Returns the interface with device number 0 on the first network card.
    pub fn primary_interface(&self) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| {
            interface.device_number == 0 && interface.network_card.unwrap_or(0) == 0
        })
    }

    /// Returns the private host name of an interface: by its address or by the instance's id.
    ///
    /// An interface without any address has none (data plane, 5.8).
    pub fn hostname(&self, interface: &Interface) -> Option<String> {
        let domain = self.domain.as_deref().map_or_else(|| self.default_domain(), str::to_owned);
        match (self.hostname_type, interface.primary_ipv4()) {
            (HostnameType::IpName, Some(address)) => {
                Some(format!("ip-{}.{domain}", dashed(address)))
            }
            (HostnameType::ResourceName, Some(_)) => Some(format!("{}.{domain}", self.id)),
            (_, None) if !interface.ipv6.is_empty() => Some(format!("{}.{domain}", self.id)),
            (_, None) => None,
        }
    }

    /// Returns the public host name of an interface, if it has a public address and its VPC gives
    /// names to such.
    pub fn public_hostname(&self, interface: &Interface) -> Option<String> {
        let address = interface.public_ipv4s().next()?;
        let (dashed, domain) = (dashed(address), self.region.service_domain());
        match (self.dns_hostnames, self.region.as_str()) {
            (Switch::Disabled, _) => None,
            (Switch::Enabled, "us-east-1") => Some(format!("ec2-{dashed}.compute-1.{domain}")),
            (Switch::Enabled, region) => Some(format!("ec2-{dashed}.{region}.compute.{domain}")),
        }
    }

    fn default_domain(&self) -> String {
        match self.region.as_str() {
            "us-east-1" => "ec2.internal".to_owned(),
            region => format!("{region}.compute.internal"),
        }
    }
}

fn dashed(address: Ipv4Addr) -> String {
    address.to_string().replace('.', "-")
}

fn is_block_device_name(name: &str) -> bool {
    let numbered = ["ebs", "ephemeral"].iter().any(|prefix| {
        name.strip_prefix(prefix)
            .is_some_and(|n| (1..=3).contains(&n.len()) && n.bytes().all(|b| b.is_ascii_digit()))
    });
    numbered || matches!(name, "ami" | "root" | "swap")
}

/// What a description that leaves a field out gets: the values of the default instance.
mod defaults;

#[cfg(test)]
mod tests;
