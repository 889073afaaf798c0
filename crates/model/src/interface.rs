//! The network interfaces of an instance.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::serial::written_as_text;
use crate::{
    AccountId, InstanceId, InterfaceId, Line, SecurityGroupId, Shared, SubnetId, VpcId, spread,
};

/// An Ethernet address, written in lower case with colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// Makes an address from its six bytes.
    pub const fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Returns the six bytes.
    pub const fn as_bytes(self) -> [u8; 6] {
        self.0
    }

    /// Returns the link-local IPv6 address that is made from this one (RFC 4291, appendix A).
    pub fn link_local(self) -> Ipv6Addr {
        let [first, second, third, rest @ ..] = self.0;
        let [fourth, fifth, sixth] = rest;
        let pair = u16::from_be_bytes;
        let (maker, device) = (pair([first ^ 2, second]), pair([fifth, sixth]));
        Ipv6Addr::new(0xfe80, 0, 0, 0, maker, pair([third, 0xff]), pair([0xfe, fourth]), device)
    }
}

impl FromStr for MacAddress {
    type Err = String;

    /// Reads six pairs of hexadecimal digits joined by colons.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            *byte = parts
                .next()
                .filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
                .and_then(|part| u8::from_str_radix(part, 16).ok())
                .ok_or_else(|| not_a_mac(text))?;
        }
        if parts.next().is_some() { Err(not_a_mac(text)) } else { Ok(Self(bytes)) }
    }
}

fn not_a_mac(text: &str) -> String {
    let text = crate::id::quoted(text);
    format!("`{text}` is not a MAC address: use six pairs such as `02:29:96:8f:6a:2d`")
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|byte| write!(f, ":{byte:02x}"))
    }
}

written_as_text!(MacAddress);

/// A private IPv4 address of an interface, and the public address that leads to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ipv4Address {
    /// The address on the interface.
    pub private: Ipv4Addr,
    /// The public or Elastic IP address associated with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public: Option<Ipv4Addr>,
}

/// A security group of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityGroup {
    /// The group's id.
    pub id: SecurityGroupId,
    /// The group's name.
    pub name: Line,
}

/// A network interface. The one with device number 0 gives the instance its address and names.
///
/// An interface without any address is one for EFA only: it has no host name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// The interface's Ethernet address; unique within the instance.
    pub mac: MacAddress,
    /// The interface's id.
    #[serde(default = "defaults::interface_id")]
    pub interface_id: InterfaceId,
    /// The position at which it is attached; 0 is the first.
    #[serde(default)]
    pub device_number: u16,
    /// The network card it is on, where the instance type has more than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_card: Option<u8>,
    /// The account that owns the interface, if not the instance's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<AccountId>,
    /// IPv4 addresses, the primary one first; none on an IPv6-only interface.
    #[serde(default)]
    pub ipv4: Vec<Ipv4Address>,
    /// IPv6 addresses.
    #[serde(default = "defaults::ipv6", skip_serializing_if = "Vec::is_empty")]
    pub ipv6: Shared<Vec<Ipv6Addr>>,
    /// Delegated IPv4 prefixes.
    #[serde(default = "defaults::ipv4_prefixes", skip_serializing_if = "Vec::is_empty")]
    pub ipv4_prefixes: Shared<Vec<Ipv4Net>>,
    /// Delegated IPv6 prefixes.
    #[serde(default = "defaults::ipv6_prefixes", skip_serializing_if = "Vec::is_empty")]
    pub ipv6_prefixes: Shared<Vec<Ipv6Net>>,
    /// Security groups.
    #[serde(default = "defaults::security_groups")]
    pub security_groups: Shared<Vec<SecurityGroup>>,
    /// The subnet.
    #[serde(default = "defaults::subnet_id")]
    pub subnet_id: SubnetId,
    /// The subnet's IPv4 block; none for an IPv6-only subnet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet_ipv4_cidr: Option<Ipv4Net>,
    /// The subnet's IPv6 blocks.
    #[serde(default = "defaults::subnet_ipv6_cidrs", skip_serializing_if = "Vec::is_empty")]
    pub subnet_ipv6_cidrs: Shared<Vec<Ipv6Net>>,
    /// The VPC.
    #[serde(default = "defaults::vpc_id")]
    pub vpc_id: VpcId,
    /// The VPC's IPv4 blocks, the primary one first.
    #[serde(default = "defaults::vpc_ipv4_cidrs")]
    pub vpc_ipv4_cidrs: Shared<Vec<Ipv4Net>>,
    /// The VPC's IPv6 blocks.
    #[serde(default = "defaults::vpc_ipv6_cidrs", skip_serializing_if = "Vec::is_empty")]
    pub vpc_ipv6_cidrs: Shared<Vec<Ipv6Net>>,
}

impl Interface {
    /// Makes the interface that an instance gets when its description names none: device 0 in the
    /// default network, with a MAC, an id and an address of `10.0.0.0/16` drawn from the instance
    /// id, so that they are the same at every start.
    pub fn derived(instance: InstanceId) -> Self {
        let digest = spread(&instance.text());
        let [_, _, mac @ .., net, host] = digest.to_be_bytes();
        let [mac1, mac2, mac3, mac4] = mac;
        // Host 10 and up: the first addresses of a subnet are reserved.
        let address = Ipv4Addr::new(10, 0, net, host.clamp(10, 254));
        Self {
            mac: MacAddress([0x02, mac1, mac2, mac3, mac4, net]),
            interface_id: InterfaceId::from_number(u128::from(digest)),
            ipv4: vec![Ipv4Address { private: address, public: None }],
            ..defaults::derived()
        }
    }

    /// Returns the primary private IPv4 address.
    pub fn primary_ipv4(&self) -> Option<Ipv4Addr> {
        self.ipv4.first().map(|address| address.private)
    }

    /// Returns the public IPv4 addresses, each once, in order.
    pub fn public_ipv4s(&self) -> impl Iterator<Item = Ipv4Addr> {
        self.ipv4.iter().enumerate().filter_map(|(index, address)| {
            let public = address.public?;
            let seen = self.ipv4.iter().take(index).any(|earlier| earlier.public == Some(public));
            if seen { None } else { Some(public) }
        })
    }
}

/// What a description that leaves a field out gets, and what derived interfaces have in common.
mod defaults {
    use std::sync::LazyLock;

    use super::{
        Interface, InterfaceId, Ipv4Addr, Ipv4Net, Ipv6Addr, Ipv6Net, MacAddress, SecurityGroup,
        SecurityGroupId, Shared, SubnetId, VpcId,
    };
    use crate::serial::default_fields;

    /// The digits of the default network's ids: `0123456789abcdef0`.
    const DIGITS: u128 = 0x1234_5678_9abc_def0;

    /// A described interface with the default of every field. All that take one share it.
    static DEFAULTS: LazyLock<Interface> = LazyLock::new(|| Interface {
        mac: MacAddress([0; 6]),
        interface_id: InterfaceId::from_number(DIGITS),
        device_number: 0,
        network_card: None,
        owner_id: None,
        ipv4: Vec::new(),
        ipv6: Shared::default(),
        ipv4_prefixes: Shared::default(),
        ipv6_prefixes: Shared::default(),
        security_groups: Shared::default(),
        subnet_id: SubnetId::from_number(DIGITS),
        subnet_ipv4_cidr: None,
        subnet_ipv6_cidrs: Shared::default(),
        vpc_id: VpcId::from_number(DIGITS),
        vpc_ipv4_cidrs: Shared::default(),
        vpc_ipv6_cidrs: Shared::default(),
    });

    /// An interface of the default network.
    static DERIVED: LazyLock<Interface> = LazyLock::new(|| {
        let network = Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 16).ok();
        let group = |name| SecurityGroup { id: SecurityGroupId::from_number(DIGITS), name };
        Interface {
            security_groups: "default".parse().map(group).into_iter().collect(),
            subnet_ipv4_cidr: network,
            vpc_ipv4_cidrs: network.into_iter().collect(),
            ..DEFAULTS.clone()
        }
    });

    pub(super) fn derived() -> Interface {
        DERIVED.clone()
    }

    default_fields! {
        DEFAULTS;
        interface_id: InterfaceId,
        ipv6: Shared<Vec<Ipv6Addr>>,
        ipv4_prefixes: Shared<Vec<Ipv4Net>>,
        ipv6_prefixes: Shared<Vec<Ipv6Net>>,
        security_groups: Shared<Vec<SecurityGroup>>,
        subnet_id: SubnetId,
        subnet_ipv6_cidrs: Shared<Vec<Ipv6Net>>,
        vpc_id: VpcId,
        vpc_ipv4_cidrs: Shared<Vec<Ipv4Net>>,
        vpc_ipv6_cidrs: Shared<Vec<Ipv6Net>>,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses_are_written_in_lower_case() {
        let mac: MacAddress = "02:29:96:8F:6A:2D".parse().unwrap();
        assert_eq!(mac.to_string(), "02:29:96:8f:6a:2d");
        for bad in
            ["", "02:29:96:8f:6a", "02:29:96:8f:6a:2d:00", "2:29:96:8f:6a:2d", "02-29-96-8f-6a-2d"]
        {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn link_local_addresses_are_made_from_the_mac() {
        let mac: MacAddress = "02:29:96:8f:6a:2d".parse().unwrap();
        assert_eq!(mac.link_local().to_string(), "fe80::29:96ff:fe8f:6a2d");
    }

    #[test]
    fn derived_interfaces_differ_between_instances_and_not_between_starts() {
        let one = Interface::derived("i-00000000000000001".parse().unwrap());
        let two = Interface::derived("i-00000000000000002".parse().unwrap());
        assert_eq!(one, Interface::derived("i-00000000000000001".parse().unwrap()));
        assert_ne!(one.mac, two.mac);
        assert_ne!(one.primary_ipv4(), two.primary_ipv4());
    }

    #[test]
    fn a_public_address_of_two_private_ones_counts_once() {
        let mut interface = Interface::derived("i-00000000000000001".parse().unwrap());
        let public = Some(Ipv4Addr::new(203, 0, 113, 25));
        interface.ipv4 = vec![
            Ipv4Address { private: Ipv4Addr::new(10, 0, 1, 10), public },
            Ipv4Address { private: Ipv4Addr::new(10, 0, 1, 11), public },
        ];
        assert_eq!(interface.public_ipv4s().collect::<Vec<_>>(), Vec::from_iter(public));
    }
}
