#![expect(clippy::expect_used, reason = "constants; the tests of this module parse each of them")]

use std::net::Ipv4Addr;

use super::{
    AccountId, AmiId, Architecture, BlockDevice, HostnameType, Instance, InstanceAction,
    InstanceId, InstanceProfile, Interface, KeyPair, LifeCycle, Line, MetadataOptions, Placement,
    Region, ReservationId, Shared, Switch, System, Timestamp, UserData,
};
use crate::{InstanceProfileStatus, Ipv4Address};

pub(super) fn account_id() -> AccountId {
    "123456789012".parse().expect("is an account id")
}

pub(super) fn region() -> Region {
    "us-east-1".parse().expect("is a region")
}

pub(super) fn placement() -> Shared<Placement> {
    Shared::from(Placement {
        availability_zone: line("us-east-1a"),
        availability_zone_id: line("use1-az4"),
        group_name: None,
        host_id: None,
        partition_number: None,
    })
}

pub(super) fn instance_type() -> Line {
    line("m5.large")
}

pub(super) fn architecture() -> Architecture {
    Architecture::X86_64
}

pub(super) fn system() -> System {
    System::Nitro
}

pub(super) fn profile() -> Line {
    line("default-hvm")
}

pub(super) fn life_cycle() -> LifeCycle {
    LifeCycle::OnDemand
}

pub(super) fn action() -> InstanceAction {
    InstanceAction::None
}

pub(super) fn ami_id() -> AmiId {
    "ami-0abcdef1234567890".parse().expect("is an image id")
}

pub(super) fn reservation_id() -> ReservationId {
    "r-0123456789abcdef0".parse().expect("is a reservation id")
}

pub(super) fn pending_time() -> Timestamp {
    "2025-03-04T09:40:24Z".parse().expect("is a time")
}

pub(super) fn hostname_type() -> HostnameType {
    HostnameType::IpName
}

pub(super) fn enabled() -> Switch {
    Switch::Enabled
}

pub(super) fn disabled() -> Switch {
    Switch::Disabled
}

pub(super) fn block_devices() -> Shared<Vec<BlockDevice>> {
    let device = |name| BlockDevice { name: line(name), device: line("/dev/xvda") };
    ["ami", "root"].map(device).into_iter().collect()
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
        Self {
            id,
            attachments: Vec::new(),
            options: MetadataOptions::default(),
            account_id: account_id(),
            region: region(),
            placement: placement(),
            instance_type: instance_type(),
            architecture: architecture(),
            system: system(),
            profile: profile(),
            life_cycle: life_cycle(),
            action: action(),
            ami_id: ami_id(),
            ami_launch_index: 0,
            ami_manifest_path: None,
            ancestor_ami_ids: Shared::default(),
            product_codes: Shared::default(),
            billing_products: Shared::default(),
            kernel_id: None,
            ramdisk_id: None,
            reservation_id: reservation_id(),
            pending_time: pending_time(),
            last_modified: pending_time(),
            interfaces: vec![Interface::derived(id)],
            hostname_type: hostname_type(),
            domain: None,
            dns_hostnames: enabled(),
            key_pair: None,
            block_devices: block_devices(),
            instance_profile: None,
            user_data: None,
            tags: Shared::default(),
            monitoring: disabled(),
            hibernation: None,
            events: Shared::default(),
        }
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
