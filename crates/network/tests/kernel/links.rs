//! Links, addresses and routes.

use std::net::IpAddr;

use ipnet::IpNet;
use model::MacAddress;
use network::{InterfaceAddress, Link, Namespace, Netlink, Route, RouteTarget, VethEnd};
use rustix::io::Errno;

use crate::alone::{alone, give_up_capabilities};

fn mac(text: &str) -> MacAddress {
    text.parse().unwrap()
}

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Two namespaces and a pair of links between them, switched on.
struct Pair {
    near: Netlink,
    far: Netlink,
    near_link: Link,
    far_link: Link,
    _namespaces: [Namespace; 2],
}

impl Pair {
    fn new() -> Self {
        let namespaces = [(); 2].map(|()| Namespace::unnamed().unwrap());
        let [mut near, mut far] =
            namespaces.each_ref().map(|namespace| namespace.run(Netlink::open).unwrap().unwrap());
        near.add_veth(
            VethEnd { name: "near0", mac: Some(mac("02:00:00:00:00:01")) },
            VethEnd { name: "far0", mac: Some(mac("02:00:00:00:00:02")) },
            &namespaces[1],
        )
        .unwrap();
        let near_link = up(&mut near, "near0");
        let far_link = up(&mut far, "far0");
        Self { near, far, near_link, far_link, _namespaces: namespaces }
    }
}

fn up(netlink: &mut Netlink, name: &str) -> Link {
    let link = netlink.link_named(name).unwrap().unwrap();
    assert!(!link.is_up);
    netlink.set_up(link.index).unwrap();
    netlink.link_named(name).unwrap().unwrap()
}

#[test]
fn a_pair_of_links_has_its_ends_in_two_namespaces() {
    alone(|| {
        let mut pair = Pair::new();
        for (netlink, name, address, other) in [
            (&mut pair.near, "near0", "02:00:00:00:00:01", "far0"),
            (&mut pair.far, "far0", "02:00:00:00:00:02", "near0"),
        ] {
            let links = netlink.links().unwrap();
            let link = links.iter().find(|link| link.name == name).unwrap();
            assert_eq!(link.mac, Some(mac(address)));
            assert_eq!((link.kind.as_deref(), link.is_up, link.master), (Some("veth"), true, None));
            // The kernel may find out in between that packets can travel.
            let named = netlink.link_named(name).unwrap().unwrap();
            assert_eq!(Link { is_running: link.is_running, ..named }, *link);
            assert_eq!(netlink.link_named(other).unwrap(), None);
        }
        pair.near.delete_link(pair.near_link.index).unwrap();
        assert_eq!(pair.near.link_named("near0").unwrap(), None);
        assert_eq!(pair.far.link_named("far0").unwrap(), None);
        let fault = pair.near.delete_link(pair.near_link.index).unwrap_err();
        assert_eq!(fault.errno(), Some(Errno::NODEV), "{fault}");
    });
}

#[test]
fn links_get_other_names_and_addresses() {
    alone(|| {
        let mut pair = Pair::new();
        let index = pair.near_link.index;
        pair.near.set_mac(index, mac("02:00:00:00:00:11")).unwrap();
        pair.near.rename(index, "other0").unwrap();
        let link = pair.near.link_named("other0").unwrap().unwrap();
        assert_eq!((link.index, link.mac), (index, Some(mac("02:00:00:00:00:11"))));
        let fault = pair.near.rename(index, "lo").unwrap_err();
        assert_eq!(fault.errno(), Some(Errno::EXIST), "{fault}");
        assert!(fault.to_string().contains("`lo`"), "{fault}");
        let fault = pair.near.rename(index, "sixteen-bytes-00").unwrap_err();
        assert_eq!(fault.errno(), Some(Errno::RANGE), "{fault}");
    });
}

#[test]
fn addresses_are_given_and_taken() {
    alone(|| {
        let mut pair = Pair::new();
        let link = pair.near_link.index;
        let of_link = |netlink: &mut Netlink| -> Vec<InterfaceAddress> {
            let addresses = netlink.addresses().unwrap();
            let is_ours =
                |found: &InterfaceAddress| found.link == link && !is_link_local(found.address);
            addresses.into_iter().filter(is_ours).collect()
        };
        let given = ["10.0.0.1/24", "169.254.169.254/32", "fd00:ec2::254/128", "fd00:1::1/64"];
        for address in given {
            pair.near.add_address(link, net(address)).unwrap();
        }
        let found = of_link(&mut pair.near);
        assert_eq!(found.len(), given.len());
        for address in given {
            // IPv6 addresses too can be used at once.
            let wanted = InterfaceAddress { link, address: net(address), is_tentative: false };
            assert!(found.contains(&wanted), "{address}: {found:?}");
        }
        let fault = pair.near.add_address(link, net(given[0])).unwrap_err();
        assert_eq!(fault.errno(), Some(Errno::EXIST), "{fault}");
        for address in given {
            pair.near.remove_address(link, net(address)).unwrap();
            let fault = pair.near.remove_address(link, net(address)).unwrap_err();
            assert_eq!(fault.errno(), Some(Errno::ADDRNOTAVAIL), "{fault}");
        }
        assert_eq!(of_link(&mut pair.near), []);
    });
}

fn is_link_local(address: IpNet) -> bool {
    matches!(address.addr(), IpAddr::V6(address) if address.is_unicast_link_local())
}

#[test]
fn routes_lead_to_links_and_gateways() {
    alone(|| {
        let mut pair = Pair::new();
        let (netlink, link) = (&mut pair.near, pair.near_link.index);
        let routes = [
            Route { destination: net("192.0.2.1/32"), target: RouteTarget::Link(link) },
            Route { destination: net("2001:db8::1/128"), target: RouteTarget::Link(link) },
            Route {
                destination: net("198.51.100.0/24"),
                target: RouteTarget::Gateway(ip("192.0.2.1"), Some(link)),
            },
            Route {
                destination: net("::/0"),
                target: RouteTarget::Gateway(ip("2001:db8::1"), Some(link)),
            },
        ];
        netlink.add_address(link, net("10.0.0.1/24")).unwrap();
        netlink.add_address(link, net("fd00:1::1/64")).unwrap();
        for route in routes {
            netlink.add_route(route).unwrap();
            let fault = netlink.add_route(route).unwrap_err();
            assert_eq!(fault.errno(), Some(Errno::EXIST), "{fault}");
        }
        // The link of this one follows from the gateway.
        let target = RouteTarget::Gateway(ip("10.0.0.9"), None);
        netlink.add_route(Route { destination: net("0.0.0.0/0"), target }).unwrap();
        let by_default = Route {
            destination: net("0.0.0.0/0"),
            target: RouteTarget::Gateway(ip("10.0.0.9"), Some(link)),
        };
        let found = netlink.routes().unwrap();
        for route in routes.iter().chain([&by_default]) {
            assert!(found.contains(route), "{route}: {found:?}");
        }
        for (address, target) in [
            ("192.0.2.1", routes[0].target),
            ("198.51.100.7", routes[2].target),
            ("8.8.8.8", by_default.target),
            ("2001:db8::2", routes[3].target),
            ("10.0.0.1", RouteTarget::Local),
            ("127.0.0.1", RouteTarget::Local),
            ("::1", RouteTarget::Local),
        ] {
            assert_eq!(netlink.route_to(ip(address)).unwrap(), target, "{address}");
        }
        for unreachable in ["8.8.8.8", "2001:db8::1"] {
            let target = pair.far.route_to(ip(unreachable)).unwrap();
            assert_eq!(target, RouteTarget::Nowhere, "{unreachable}");
        }
        let target = RouteTarget::Gateway(ip("203.0.113.1"), Some(link));
        let fault = pair.near.add_route(Route { destination: net("198.18.0.0/15"), target });
        let fault = fault.unwrap_err();
        assert_eq!(fault.errno(), Some(Errno::NETUNREACH), "{fault}");
        assert!(fault.to_string().contains("198.18.0.0/15 via 203.0.113.1"), "{fault}");
        assert!(pair.far_link.is_up);
    });
}

#[test]
fn long_lists_are_read_whole() {
    alone(|| {
        let mut netlink = Netlink::open().unwrap();
        let loopback = network::LinkIndex::LOOPBACK;
        let here = Namespace::current().unwrap();
        let names: Vec<_> = (0..60).map(|n| (format!("a{n}"), format!("b{n}"))).collect();
        for (near, far) in &names {
            let [near, far] = [near, far].map(|name| VethEnd { name, mac: None });
            netlink.add_veth(near, far, &here).unwrap();
        }
        for number in 0..500_u32 {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number);
            netlink.add_address(loopback, IpAddr::V4(address).into()).unwrap();
        }
        assert_eq!(netlink.links().unwrap().iter().filter(|link| link.kind.is_some()).count(), 120);
        assert_eq!(netlink.addresses().unwrap().len(), 500);
    });
}

#[test]
fn without_the_privilege_it_says_what_it_needs() {
    alone(|| {
        let fault = std::thread::spawn(|| {
            give_up_capabilities();
            Netlink::open().unwrap().set_up(network::LinkIndex::LOOPBACK).unwrap_err()
        });
        let fault = fault.join().unwrap();
        assert_eq!(fault.errno(), Some(Errno::PERM));
        assert_eq!(
            fault.to_string(),
            "switching link 1 on needs root, or CAP_NET_ADMIN in the network namespace"
        );
    });
}
