#![expect(clippy::expect_used, reason = "constants; the tests of this module parse each of them")]

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use super::{
    AccountId, AmiId, Architecture, Attributes, BTreeMap, BlockDevice, Events, Generation,
    HostnameType, Instance, InstanceAction, InstanceId, InstanceProfile, InstanceState, Interface,
    KeyPair, LifeCycle, Line, MetadataOptions, OptionLayers, Placement, Region, ReservationId,
    Shared, Switch, System, TagKey, Timestamp, UserData,
};
use crate::serial::default_fields;
use crate::{InstanceProfileStatus, Ipv4Address};

/// An instance with the default of every field. All that take one share it.
static DEFAULTS: LazyLock<Instance> = LazyLock::new(|| Instance {
    id: Instance::default_id(),
    attachments: Vec::new(),
    options: MetadataOptions::default(),
    option_layers: OptionLayers::default(),
    options_since: Generation::default(),
    state: InstanceState::Running,
    attributes: Shared::default(),
    account_id: "123456789012".parse().expect("is an account id"),
    region: "us-east-1".parse().expect("is a region"),
    placement: Shared::from(Placement {
        availability_zone: line("us-east-1a"),
        availability_zone_id: line("use1-az4"),
        group_name: None,
        host_id: None,
        partition_number: None,
    }),
    instance_type: line("m5.large"),
    architecture: Architecture::X86_64,
    system: System::Nitro,
    profile: line("default-hvm"),
    life_cycle: LifeCycle::OnDemand,
    action: InstanceAction::None,
    ami_id: "ami-0abcdef1234567890".parse().expect("is an image id"),
    ami_launch_index: 0,
    ami_manifest_path: None,
    ancestor_ami_ids: Shared::default(),
    product_codes: Shared::default(),
    billing_products: Shared::default(),
    kernel_id: None,
    ramdisk_id: None,
    reservation_id: "r-0123456789abcdef0".parse().expect("is a reservation id"),
    pending_time: "2025-03-04T09:40:24Z".parse().expect("is a time"),
    last_modified: "2025-03-04T09:40:24Z".parse().expect("is a time"),
    interfaces: Vec::new(),
    hostname_type: HostnameType::IpName,
    domain: None,
    dns_hostnames: Switch::Enabled,
    key_pair: None,
    block_devices: ["ami", "root"]
        .map(|name| BlockDevice { name: line(name), device: line("/dev/xvda") })
        .into_iter()
        .collect(),
    instance_profile: None,
    user_data: None,
    tags: Shared::default(),
    monitoring: Switch::Disabled,
    hibernation: None,
    events: Shared::default(),
});

default_fields! {
    DEFAULTS;
    state: InstanceState,
    attributes: Shared<Attributes>,
    account_id: AccountId,
    region: Region,
    placement: Shared<Placement>,
    instance_type: Line,
    architecture: Architecture,
    system: System,
    profile: Line,
    life_cycle: LifeCycle,
    action: InstanceAction,
    ami_id: AmiId,
    ancestor_ami_ids: Shared<Vec<AmiId>>,
    product_codes: Shared<Vec<Line>>,
    billing_products: Shared<Vec<Line>>,
    reservation_id: ReservationId,
    pending_time: Timestamp,
    hostname_type: HostnameType,
    dns_hostnames: Switch,
    block_devices: Shared<Vec<BlockDevice>>,
    tags: Shared<BTreeMap<TagKey, Box<str>>>,
    monitoring: Switch,
    events: Shared<Events>,
}

fn line(text: &str) -> Line {
    text.parse().expect("is a line")
}

impl Instance {
    /// The id of the default instance.
    pub fn default_id() -> InstanceId {
        "i-1234567890abcdef0".parse().expect("is an instance id")
    }

    /// Describes an instance by its id alone, with one derived network interface.
    pub fn described(id: InstanceId) -> Self {
        Self { id, interfaces: vec![Interface::derived(id)], ..DEFAULTS.clone() }
    }

    /// The instance that a first start makes, so that there is something to ask at once.
    pub fn default_instance() -> Self {
        let id = Self::default_id();
        let primary = Interface {
            mac: "02:29:96:8f:6a:2d".parse().expect("is a MAC address"),
            interface_id: "eni-0123456789abcdef0".parse().expect("is an interface id"),
            ipv4: vec![Ipv4Address {
                private: Ipv4Addr::new(10, 0, 1, 10),
                public: Some(Ipv4Addr::new(203, 0, 113, 25)),
            }],
            subnet_ipv4_cidr: "10.0.1.0/24".parse().ok(),
            ..Interface::derived(id)
        };
        Self {
            interfaces: vec![primary],
            key_pair: Some(Shared::from(KeyPair {
                name: line("my-key"),
                public_key: line(SAMPLE_PUBLIC_KEY),
            })),
            instance_profile: Some(Shared::from(InstanceProfile {
                name: "example-role".parse().expect("is a profile name"),
                id: line("AIPAABCDEFGHIJKLMNOPQ"),
                role: "example-role".parse().ok(),
                status: InstanceProfileStatus::Active,
            })),
            user_data: UserData::new(b"#!/bin/sh\necho hi\n".to_vec()).ok(),
            ..Self::described(id)
        }
    }
}

/// A public key whose private half was thrown away when it was made.
const SAMPLE_PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBswqpG6MXaQnflcqcxrBqGZdU85CZiQLiXidmld+IPV";
