//! Two guests whose TAPs are ports of one bridge, told apart by address and MAC. A bridge lets a
//! guest take both from another, unless its ports are set as `docs/guide/virtual-machines.md` says.

use std::time::Instant;

use crate::exchange::Answer;
use crate::guest::Reply;
use crate::host::{Host, Network, SERVICE, SERVICE_IPV6};
use crate::neighbours::{Neighbour, Place, TRIES, Wear, config};
use crate::running::{Home, tell};

const A: Place = Place {
    id: "i-0000000000000000a",
    tap: "tap-a",
    wears: Wear { mac: "02:00:00:00:00:0a", ipv4: "10.0.0.10", ipv6: "fd00::a" },
};

const B: Place = Place {
    id: "i-0000000000000000b",
    tap: "tap-b",
    wears: Wear { mac: "02:00:00:00:00:0b", ipv4: "10.0.0.11", ipv6: "fd00::b" },
};

/// Makes the bridge hold each guest to its port, its MAC and its addresses.
fn hold(host: &Host<'_>, Place { tap, wears: Wear { mac, ipv4, ipv6 }, .. }: &Place) {
    // Only frames from this MAC come in, and they go to the host alone.
    host.run(&["bridge", "fdb", "replace", mac, "dev", tap, "master", "static"]);
    let port = ["learning", "off", "locked", "on", "isolated", "on"];
    host.run(&[&["bridge", "link", "set", "dev", tap], &port[..]].concat());
    // What is for its addresses goes to this MAC, whoever else claims them.
    for address in [ipv4, ipv6] {
        let entry = ["lladdr", mac, "dev", "br0", "nud", "permanent"];
        host.run(&[&["ip", "neighbour", "replace", address], &entry[..]].concat());
    }
}

#[test]
fn on_a_bridge_nobody_reads_as_another_if_its_ports_are_held() {
    let start = Instant::now();
    let home = Home::new();
    let host = Host::new(&home);
    host.run(&["ip", "link", "add", "br0", "type", "bridge"]);
    host.run(&["ip", "link", "set", "dev", "br0", "up"]);
    for place in [A, B] {
        host.add_tap(place.tap);
        host.run(&["ip", "link", "set", "dev", place.tap, "master", "br0"]);
    }
    let network = Network {
        interface: "br0",
        addresses: &["10.0.0.1/24", "fd00::1/64"],
        leases: &[A.wears.lease(), B.wears.lease()],
    };
    host.add_addresses(&network);
    let attached = |Place { wears: Wear { mac, ipv4, ipv6 }, .. }: &Place| {
        let source = |address| format!("{{ source = \"{address}\", mac = \"{mac}\" }}");
        format!("{}, {}", source(ipv4), source(ipv6))
    };
    let head = format!("shared_listen = [\"{SERVICE}:80\", \"[{SERVICE_IPV6}]:80\"]");
    let server = host.serve(&config(&head, [(&A, &attached(&A)), (&B, &attached(&B))]));
    let _dhcp = host.lease(&[network]);
    let [mut a, mut b] = [A, B].map(|place| Neighbour::start(&host, place));
    for guest in [&mut a, &mut b] {
        guest.settle();
    }
    let up = start.elapsed();
    for guest in [&mut a, &mut b] {
        guest.is_itself();
    }
    let tokens = [a.token(SERVICE), b.token(SERVICE)];
    let tokens = tokens.each_ref().map(String::as_str);

    // Half a disguise is seen through by the server.
    let [its_addresses, its_mac, both] = A.wears.disguises(B.wears);
    for disguise in [its_addresses, its_mac] {
        a.gets_nothing_as(disguise, tokens);
    }
    assert_eq!(host.turned_away(&server), 2 * i64::try_from(TRIES).unwrap());
    // In a whole one, it is the other, for all that anyone on a plain bridge can tell.
    let is_other = |reply: &Reply| matches!(reply, Ok(Answer { status: 200, body, .. }) if body == B.id.as_bytes());
    assert!(a.try_as(both, tokens).iter().any(is_other));

    for place in [A, B] {
        hold(&host, &place);
    }
    for disguise in [its_addresses, its_mac, both] {
        a.gets_nothing_as(disguise, tokens);
        b.is_itself();
    }
    a.put_on(A.wears);
    a.is_itself();
    a.is_refused(tokens[1]);
    for guest in [a, b] {
        guest.power_off();
    }
    tell(&format!("vm: two bridged, up after {up:.1?}, done after {:.1?}", start.elapsed()));
}
