//! What a host consists of, and where: worked out from the instance's addresses alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::MacAddress;

use super::{Host, HostFault, Place};

/// EC2: where instances find the service (data plane, 1.1).
const SERVICE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
];

/// The networks that a container may be in: the first that leaves the instance's alone. The first
/// of all is what container engines use.
const CONTAINER_NETWORKS: [Ipv4Net; 3] = [
    Ipv4Net::new_assert(Ipv4Addr::new(172, 17, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(10, 117, 0, 0), 16),
    Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 117, 0), 24),
];

/// The unique local networks of a host: the instance's, and its container's.
const OWN_NETWORK: u16 = 0;
const CONTAINER_NETWORK: u16 = 1;
const UNIQUE_LOCAL_PREFIX: u8 = 64;

/// The links, by the sides they are on.
pub(super) const SERVICE_LINK: &str = "imds0";
pub(super) const PRIMARY_LINK: &str = "eth0";
pub(super) const BRIDGE_LINK: &str = "container0";

/// Settings that a new namespace has from the system, which may have been set so that these
/// addresses would not be answered, or that differ from what the system starts with.
const ANSWERING: [(&str, &str); 2] =
    [("ipv4/conf/all/arp_ignore", "0"), ("ipv4/conf/default/arp_ignore", "0")];
const WITH_IPV6: [(&str, &str); 4] = [
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/disable_ipv6", "0"),
    // The kernel waits for seconds otherwise, in case that somebody else has an address, and
    // forwards nothing meanwhile. Nobody else is on these links.
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
];
/// What the service hears of routers comes from guests.
const DEAF_TO_ROUTERS: (&str, &str) = ("ipv6/conf/default/accept_ra", "0");
const FORWARDING_IPV4: &str = "ipv4/ip_forward";
const FORWARDING_IPV6: &str = "ipv6/conf/all/forwarding";

/// All of a host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// In the order in which they are made.
    pub(super) rooms: Vec<Room>,
    pub(super) cables: Vec<Cable>,
}

/// One namespace.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Room {
    pub(super) place: Place,
    pub(super) name: String,
    /// Below `/proc/sys/net`, and their values.
    pub(super) settings: Vec<(&'static str, &'static str)>,
    pub(super) links: Vec<&'static str>,
    /// Links and their addresses.
    pub(super) addresses: Vec<(&'static str, IpNet)>,
    pub(super) routes: Vec<PlannedRoute>,
}

/// A link, where it leads, and the gateway there.
pub(super) type PlannedRoute = (&'static str, IpNet, Option<IpAddr>);

/// A pair of links.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cable {
    pub(super) near: End,
    pub(super) far: End,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) place: Place,
    pub(super) link: &'static str,
    pub(super) mac: Option<MacAddress>,
}

impl Plan {
    /// Plans `host`, with IPv6 if the system has it.
    pub(super) fn new(host: &Host, has_ipv6: bool) -> Result<Self, HostFault> {
        let is_had = |address: &IpAddr| has_ipv6 || address.is_ipv4();
        let own: Vec<IpNet> = own_addresses(host).filter(|own| is_had(&own.addr())).collect();
        let room = |place: Place| Room {
            place,
            name: place.namespace_of(host.instance),
            settings: [&ANSWERING[..], if has_ipv6 { &WITH_IPV6 } else { &[] }].concat(),
            links: Vec::new(),
            addresses: Vec::new(),
            routes: Vec::new(),
        };
        let (mut service, mut instance) = (room(Place::Service), room(Place::Instance));
        service.settings.push((FORWARDING_IPV4, "0"));
        if has_ipv6 {
            service.settings.push(DEAF_TO_ROUTERS);
        }
        service.links.push(SERVICE_LINK);
        instance.links.push(PRIMARY_LINK);
        for address in SERVICE.into_iter().filter(is_had) {
            service.addresses.push((SERVICE_LINK, address.into()));
            instance.routes.push((PRIMARY_LINK, address.into(), None));
        }
        for address in &own {
            instance.addresses.push((PRIMARY_LINK, *address));
            service.routes.push((SERVICE_LINK, address.addr().into(), None));
        }
        let mut plan = Self {
            rooms: Vec::new(),
            cables: vec![Cable {
                near: End { place: Place::Service, link: SERVICE_LINK, mac: None },
                far: End { place: Place::Instance, link: PRIMARY_LINK, mac: Some(host.mac) },
            }],
        };
        if host.has_container {
            let mut container = room(Place::Container);
            container.links.push(PRIMARY_LINK);
            instance.links.push(BRIDGE_LINK);
            instance.settings.push((FORWARDING_IPV4, "1"));
            if has_ipv6 {
                instance.settings.push((FORWARDING_IPV6, "1"));
            }
            let networks = container_networks(host)?;
            for [bridge, inside] in networks.into_iter().filter(|[one, _]| is_had(&one.addr())) {
                instance.addresses.push((BRIDGE_LINK, bridge));
                container.addresses.push((PRIMARY_LINK, inside));
                let everywhere = everywhere(bridge);
                container.routes.push((PRIMARY_LINK, everywhere, Some(bridge.addr())));
                // The first address of each family is one that the service has a route to.
                let is_like = |own: &&IpNet| own.addr().is_ipv4() == bridge.addr().is_ipv4();
                let gateway = own.iter().find(is_like).map(IpNet::addr);
                service.routes.push((SERVICE_LINK, bridge.trunc(), gateway));
            }
            plan.cables.push(Cable {
                near: End { place: Place::Instance, link: BRIDGE_LINK, mac: None },
                far: End { place: Place::Container, link: PRIMARY_LINK, mac: None },
            });
            plan.rooms.push(container);
        }
        plan.rooms.extend([instance, service]);
        Ok(plan)
    }
}

/// Returns the addresses of the instance's primary interface, one IPv4 address and then others.
fn own_addresses(host: &Host) -> impl Iterator<Item = IpNet> {
    let unlike_any = host.ipv6.is_empty().then(|| unique_local_of(host.mac, OWN_NETWORK, 1));
    let ipv6 = host.ipv6.iter().copied().chain(unlike_any);
    std::iter::once(IpNet::V4(own_ipv4(host))).chain(ipv6.map(|own| IpAddr::V6(own).into()))
}

/// Returns the IPv4 address of the instance's primary interface, with its subnet's prefix.
fn own_ipv4(host: &Host) -> Ipv4Net {
    host.ipv4.unwrap_or_else(|| {
        let [.., net, last] = host.mac.as_bytes();
        // The first and the last 256 are reserved; the service's neighbours are best left alone.
        let net = if net == 169 { 170 } else { net.clamp(1, 254) };
        Ipv4Addr::new(169, 254, net, last).into()
    })
}

/// Returns the addresses, with their network's prefix, of the instance and of its container in the
/// networks that they share: one of IPv4 and one of IPv6.
fn container_networks(host: &Host) -> Result<[[IpNet; 2]; 2], HostFault> {
    let own = own_ipv4(host);
    let is_free = |network: &Ipv4Net| !network.contains(&own) && !own.contains(network);
    let network =
        CONTAINER_NETWORKS.into_iter().find(is_free).ok_or(HostFault::NoContainerNetwork(own))?;
    let of_ipv4 = |number: u32| {
        let address = Ipv4Addr::from_bits(network.network().to_bits() | number);
        IpNet::V4(Ipv4Net::new_assert(address, network.prefix_len()))
    };
    let of_ipv6 = |number: u16| {
        let address = unique_local_of(host.mac, CONTAINER_NETWORK, number);
        IpNet::V6(Ipv6Net::new_assert(address, UNIQUE_LOCAL_PREFIX))
    };
    Ok([[of_ipv4(1), of_ipv4(2)], [of_ipv6(1), of_ipv6(2)]])
}

/// Returns an address of the unique local networks of a host. The 40 bits that make them unique
/// are the MAC's: not random, as they should be where networks meet, but these never meet others.
fn unique_local_of(mac: MacAddress, network: u16, number: u16) -> Ipv6Addr {
    let [_, unique1, unique2, unique3, unique4, unique5] = mac.as_bytes();
    Ipv6Addr::new(
        u16::from_be_bytes([0xfd, unique1]),
        u16::from_be_bytes([unique2, unique3]),
        u16::from_be_bytes([unique4, unique5]),
        network,
        0,
        0,
        0,
        number,
    )
}

/// Returns the network of all addresses of the family that `one` is of.
fn everywhere(one: IpNet) -> IpNet {
    match one {
        IpNet::V4(_) => IpNet::V4(Ipv4Net::default()),
        IpNet::V6(_) => IpNet::V6(Ipv6Net::default()),
    }
}

#[cfg(test)]
mod tests;
