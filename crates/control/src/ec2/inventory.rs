//! What a launch refers to: images, networks, security groups and key pairs.
//!
//! Outside EC2 these are labels of other systems. A scope has a default network and two images from
//! the beginning; a well-formed id that nobody knows is adopted, which is to say recorded and
//! listed, unless the settings are strict. What is built in is not stored until it is changed.

use std::net::Ipv4Addr;

use ipnet::{Ipv4Net, Ipv6Net};
use model::{
    AmiId, Architecture, Image, ImdsSupport, Instance, Line, RegisteredKeyPair,
    RegisteredSecurityGroup, Scope, SecurityGroupId, Subnet, SubnetId, Switch, Timestamp, Vpc,
    VpcId, spread,
};
use store::Snapshot;

/// The zones of a region that has not been heard of before.
const ZONES: [char; 3] = ['a', 'b', 'c'];

/// What a scope has, built in or stored.
#[derive(Clone, Copy)]
pub(crate) struct Inventory<'a> {
    snapshot: &'a Snapshot,
    scope: &'a Scope,
}

impl<'a> Inventory<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot, scope: &'a Scope) -> Self {
        Self { snapshot, scope }
    }

    pub(crate) fn image(&self, id: AmiId) -> Option<Image> {
        let built_in = || images(self.scope).into_iter().find(|image| image.id == id);
        self.snapshot.image(self.scope, id).cloned().or_else(built_in)
    }

    pub(crate) fn images(&self) -> impl Iterator<Item = Image> + use<'a> {
        let Self { snapshot, scope } = *self;
        let is_as_built = |image: &Image| snapshot.image(scope, image.id).is_none();
        images(scope).into_iter().filter(is_as_built).chain(snapshot.images(scope).cloned())
    }

    pub(crate) fn vpc(&self, id: VpcId) -> Option<Vpc> {
        let built_in = || vpcs(self.scope).into_iter().find(|vpc| vpc.id == id);
        self.snapshot.vpc(self.scope, id).cloned().or_else(built_in)
    }

    pub(crate) fn vpcs(&self) -> impl Iterator<Item = Vpc> + use<'a> {
        let Self { snapshot, scope } = *self;
        let is_as_built = |vpc: &Vpc| snapshot.vpc(scope, vpc.id).is_none();
        vpcs(scope).into_iter().filter(is_as_built).chain(snapshot.vpcs(scope).cloned())
    }

    pub(crate) fn subnet(&self, id: SubnetId) -> Option<Subnet> {
        let built_in = || subnets(self.scope).into_iter().find(|subnet| subnet.id == id);
        self.snapshot.subnet(self.scope, id).cloned().or_else(built_in)
    }

    pub(crate) fn subnets(&self) -> impl Iterator<Item = Subnet> + use<'a> {
        let Self { snapshot, scope } = *self;
        let is_as_built = |subnet: &Subnet| snapshot.subnet(scope, subnet.id).is_none();
        subnets(scope).into_iter().filter(is_as_built).chain(snapshot.subnets(scope).cloned())
    }

    pub(crate) fn security_group(&self, id: SecurityGroupId) -> Option<RegisteredSecurityGroup> {
        let built_in = || security_groups(self.scope).into_iter().find(|group| group.id == id);
        self.snapshot.security_group(self.scope, id).cloned().or_else(built_in)
    }

    pub(crate) fn security_groups(
        &self,
    ) -> impl Iterator<Item = RegisteredSecurityGroup> + use<'a> {
        let Self { snapshot, scope } = *self;
        let is_as_built =
            |group: &RegisteredSecurityGroup| snapshot.security_group(scope, group.id).is_none();
        let stored = snapshot.security_groups(scope).cloned();
        security_groups(scope).into_iter().filter(is_as_built).chain(stored)
    }

    pub(crate) fn key_pair(&self, name: &Line) -> Option<RegisteredKeyPair> {
        let built_in = || key_pair(self.scope).filter(|pair| pair.name == *name);
        self.snapshot.key_pair(self.scope, name.clone()).cloned().or_else(built_in)
    }

    /// Key pairs: those that are kept, and the one that came with the default instance.
    pub(crate) fn key_pairs(&self) -> impl Iterator<Item = RegisteredKeyPair> + use<'a> {
        let Self { snapshot, scope } = *self;
        let is_as_built =
            |pair: &RegisteredKeyPair| snapshot.key_pair(scope, pair.name.clone()).is_none();
        key_pair(scope).into_iter().filter(is_as_built).chain(snapshot.key_pairs(scope).cloned())
    }

    /// The default subnet of a zone, or of any.
    pub(crate) fn default_subnet(&self, zone: Option<&str>) -> Option<Subnet> {
        self.subnets().find(|subnet| {
            subnet.is_default && zone.is_none_or(|zone| *subnet.availability_zone == *zone)
        })
    }

    /// The security group of an instance for which none is named.
    pub(crate) fn default_security_group(&self, vpc_id: VpcId) -> Option<RegisteredSecurityGroup> {
        let is_its =
            |group: &RegisteredSecurityGroup| group.vpc_id == vpc_id && &*group.name == "default";
        self.security_groups().find(is_its)
    }

    /// Describes an image that nobody knows.
    pub(crate) fn adopt_image(&self, id: AmiId, now: Timestamp) -> Image {
        let name = line(&format!("adopted-{id}"));
        Image { owner_id: self.scope.account_id, created: now, ..image(id, name, None) }
    }

    /// Describes a subnet that nobody knows: a block of its own in the default VPC.
    pub(crate) fn adopt_subnet(&self, id: SubnetId, zone: Option<&Line>) -> Subnet {
        let [.., net, block] = spread(&id.text()).to_be_bytes();
        let letter = zone.and_then(|zone| zone.chars().last()).unwrap_or('a');
        Subnet {
            id,
            vpc_id: default_vpc_id(self.scope),
            ipv4_cidr: ipv4_net(Ipv4Addr::new(10, net, block, 0), 24),
            ipv6_cidrs: vec![ipv6_net(self.scope, u16::from_be_bytes([net, block]))],
            availability_zone: zone.cloned().unwrap_or_else(|| zone_name(self.scope, letter)),
            availability_zone_id: zone_id(self.scope, letter),
            map_public_ip_on_launch: Switch::Disabled,
            is_default: false,
        }
    }

    /// Describes a security group that nobody knows.
    pub(crate) fn adopt_security_group(
        id: SecurityGroupId,
        vpc_id: VpcId,
    ) -> RegisteredSecurityGroup {
        let name = line(&id.text());
        RegisteredSecurityGroup { id, name, description: line("adopted at a launch"), vpc_id }
    }

    /// Describes a key pair of which only the name is known.
    pub(crate) fn adopt_key_pair(name: Line, now: Timestamp) -> RegisteredKeyPair {
        RegisteredKeyPair { name, public_key: None, created: now }
    }
}

/// The names and ids of a scope's zones.
pub(crate) fn zones(scope: &Scope) -> [(Line, Line); 3] {
    ZONES.map(|letter| (zone_name(scope, letter), zone_id(scope, letter)))
}

fn zone_name(scope: &Scope, letter: char) -> Line {
    line(&format!("{}{letter}", scope.region))
}

/// Makes the id of a zone: `use1-az4` is the zone `us-east-1a` of the default instance.
fn zone_id(scope: &Scope, letter: char) -> Line {
    let parts: Vec<&str> = scope.region.as_str().split('-').collect();
    let mut id = String::new();
    for part in &parts {
        id.push_str(match *part {
            "central" => "c",
            "east" => "e",
            "gov" => "g",
            "north" => "n",
            "northeast" => "ne",
            "northwest" => "nw",
            "south" => "s",
            "southeast" => "se",
            "southwest" => "sw",
            "west" => "w",
            other => other,
        });
    }
    // EC2: zone names are shuffled between accounts, and zone ids are not.
    let number = match (scope.region.as_str(), letter) {
        ("us-east-1", 'a') => 4,
        ("us-east-1", 'b') => 6,
        (_, 'b') => 2,
        ("us-east-1", _) | (_, 'a') => 1,
        _ => 3,
    };
    line(&format!("{id}-az{number}"))
}

/// Whether every scope has the image from the beginning.
pub(crate) fn is_built_in(scope: &Scope, id: AmiId) -> bool {
    images(scope).iter().any(|image| image.id == id)
}

/// The two images that every scope has: one for `IMDSv2`, and one of which nobody has said so.
fn images(scope: &Scope) -> [Image; 2] {
    let marked = Instance::default_instance().ami_id;
    let unmarked = AmiId::from_number(0xce10_7ae7_af2e_92b5);
    [
        Image {
            owner_id: scope.account_id,
            ..image(marked, line("openimds-imdsv2"), Some(ImdsSupport::V2))
        },
        Image { owner_id: scope.account_id, ..image(unmarked, line("openimds-unmarked"), None) },
    ]
}

fn image(id: AmiId, name: Line, imds_support: Option<ImdsSupport>) -> Image {
    Image {
        id,
        owner_id: Instance::default_instance().account_id,
        name,
        description: None,
        architecture: Architecture::X86_64,
        imds_support,
        root_device_name: line("/dev/xvda"),
        snapshots: std::collections::BTreeMap::new(),
        created: built_in_since(),
    }
}

/// Whether the default instance lives in this scope, in a network of its own.
fn is_default_scope(scope: &Scope) -> bool {
    Instance::default_instance().scope() == *scope
}

fn default_vpc_id(scope: &Scope) -> VpcId {
    VpcId::from_number(spread(&format!("vpc/{scope}")).into())
}

fn vpcs(scope: &Scope) -> Vec<Vpc> {
    let mut vpcs = vec![Vpc {
        id: default_vpc_id(scope),
        // The second block is for the subnets that are adopted.
        ipv4_cidrs: vec![
            ipv4_net(Ipv4Addr::new(172, 31, 0, 0), 16),
            ipv4_net(Ipv4Addr::new(10, 0, 0, 0), 8),
        ],
        ipv6_cidrs: vec![Ipv6Net::new(ipv6_net(scope, 0).network(), 48).unwrap_or_default()],
        is_default: true,
    }];
    if let Some(interface) = default_interface(scope) {
        vpcs.push(Vpc {
            id: interface.vpc_id,
            ipv4_cidrs: interface.vpc_ipv4_cidrs.to_vec(),
            ipv6_cidrs: interface.vpc_ipv6_cidrs.to_vec(),
            is_default: false,
        });
    }
    vpcs
}

fn default_interface(scope: &Scope) -> Option<model::Interface> {
    let default = Instance::default_instance();
    is_default_scope(scope).then(|| default.primary_interface().cloned()).flatten()
}

fn subnets(scope: &Scope) -> Vec<Subnet> {
    let built_in = ZONES.into_iter().zip(0_u8..).map(|(letter, number)| Subnet {
        id: SubnetId::from_number(spread(&format!("subnet/{scope}/{letter}")).into()),
        vpc_id: default_vpc_id(scope),
        ipv4_cidr: ipv4_net(Ipv4Addr::new(172, 31, 16 * number, 0), 20),
        ipv6_cidrs: vec![ipv6_net(scope, number.into())],
        availability_zone: zone_name(scope, letter),
        availability_zone_id: zone_id(scope, letter),
        map_public_ip_on_launch: Switch::Enabled,
        is_default: true,
    });
    let of_default_instance = default_interface(scope).and_then(|interface| {
        Some(Subnet {
            id: interface.subnet_id,
            vpc_id: interface.vpc_id,
            ipv4_cidr: interface.subnet_ipv4_cidr?,
            ipv6_cidrs: interface.subnet_ipv6_cidrs.to_vec(),
            availability_zone: zone_name(scope, 'a'),
            availability_zone_id: zone_id(scope, 'a'),
            map_public_ip_on_launch: Switch::Disabled,
            is_default: false,
        })
    });
    built_in.chain(of_default_instance).collect()
}

fn security_groups(scope: &Scope) -> Vec<RegisteredSecurityGroup> {
    let group = |id, vpc_id| RegisteredSecurityGroup {
        id,
        name: line("default"),
        description: line("default VPC security group"),
        vpc_id,
    };
    let id = SecurityGroupId::from_number(spread(&format!("sg/{scope}")).into());
    let of_default_instance = default_interface(scope).and_then(|interface| {
        interface.security_groups.first().map(|first| group(first.id, interface.vpc_id))
    });
    [group(id, default_vpc_id(scope))].into_iter().chain(of_default_instance).collect()
}

/// The key pair of the default instance.
fn key_pair(scope: &Scope) -> Option<RegisteredKeyPair> {
    let pair = Instance::default_instance().key_pair.filter(|_| is_default_scope(scope))?;
    Some(RegisteredKeyPair {
        name: pair.name.clone(),
        public_key: Some(pair.public_key.clone()),
        created: built_in_since(),
    })
}

/// When what is built in says that it was made.
fn built_in_since() -> Timestamp {
    Instance::default_instance().pending_time
}

fn ipv4_net(address: Ipv4Addr, prefix: u8) -> Ipv4Net {
    Ipv4Net::new(address, prefix).unwrap_or_default()
}

/// A block of the scope's unique local addresses (RFC 4193).
fn ipv6_net(scope: &Scope, subnet: u16) -> Ipv6Net {
    let global_id = u128::from(spread(&format!("ipv6/{scope}")) >> 24);
    let network = 0xfd << 120 | global_id << 80 | u128::from(subnet) << 64;
    let network = std::net::Ipv6Addr::from(network);
    Ipv6Net::new(network, 64).unwrap_or_default()
}

/// What is written here, or a word in front of an id, is a line.
fn line(text: &str) -> Line {
    #[expect(clippy::expect_used, reason = "short texts without control characters")]
    text.parse().expect("is a line")
}

#[cfg(test)]
mod tests {
    use store::{Memory, Store};

    use super::*;

    fn scope(region: &str) -> Scope {
        let account_id = "123456789012".parse().unwrap();
        Scope { account_id, region: region.parse().unwrap() }
    }

    #[test]
    fn every_scope_has_two_images_and_a_default_network() {
        let store = Store::open(Box::new(Memory::default())).unwrap();
        let snapshot = store.snapshot();
        for region in ["us-east-1", "ap-northeast-1"] {
            let scope = scope(region);
            let inventory = Inventory::new(&snapshot, &scope);
            let marked = inventory.image("ami-0abcdef1234567890".parse().unwrap()).unwrap();
            assert_eq!(marked.imds_support, Some(ImdsSupport::V2));
            let unmarked = inventory.image("ami-0ce107ae7af2e92b5".parse().unwrap()).unwrap();
            assert_eq!(unmarked.imds_support, None);
            let subnet = inventory.default_subnet(Some(&format!("{region}b"))).unwrap();
            assert!(inventory.vpc(subnet.vpc_id).unwrap().is_default);
            assert!(inventory.default_security_group(subnet.vpc_id).is_some());
        }
    }

    #[test]
    fn the_default_instance_is_in_a_network_that_is_listed() {
        let store = Store::open(Box::new(Memory::default())).unwrap();
        let (snapshot, scope) = (store.snapshot(), scope("us-east-1"));
        let inventory = Inventory::new(&snapshot, &scope);
        let instance = Instance::default_instance();
        let interface = instance.primary_interface().unwrap();
        let subnet = inventory.subnet(interface.subnet_id).unwrap();
        assert_eq!(Some(subnet.ipv4_cidr), interface.subnet_ipv4_cidr);
        assert_eq!(subnet.availability_zone_id, instance.placement.availability_zone_id);
        assert!(inventory.security_group(interface.security_groups[0].id).is_some());
        assert!(inventory.key_pair(&instance.key_pair.unwrap().name).is_some());
    }

    #[test]
    fn zone_ids_are_made_as_ec2_makes_them() {
        for (region, id) in [
            ("us-east-1", "use1-az4"),
            ("ap-northeast-1", "apne1-az1"),
            ("us-gov-west-1", "usgw1-az1"),
            ("eu-central-1", "euc1-az1"),
        ] {
            assert_eq!(&*zones(&scope(region))[0].1, id);
        }
    }
}
