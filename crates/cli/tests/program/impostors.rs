//! Callers who would be someone else: by the address or the MAC that they send from, by the interface
//! that they come in on, or by a connection that the kernel has forgotten the beginning of.

use crate::alone::alone;
use crate::attachments::turned_away;
use crate::machines::{EC2, Facts, Heard, Machine, ip, lay_cable, lead, set};
use crate::running::{DEFAULT_INSTANCE, Home, Running};

const A: &str = "i-0000000000000000a";
const B: &str = "i-0000000000000000b";

/// Two machines, each on a cable of its own that its instance is attached to.
fn with_neighbours(home: &Home) -> (Running, [(Machine<'static>, Facts); 2]) {
    let machines = [("blue", "tap0", 10), ("red", "tap1", 11)].map(|(name, port, number)| {
        let (machine, facts) = (Machine::bare(name), Facts::numbered(number));
        lay_cable(port, machine, &facts);
        lead(port, machine, &facts);
        (machine, facts)
    });
    let [(_, of_a), (_, of_b)] = &machines;
    let config = of_a.described(A, "{ interface = \"tap0\" }")
        + &of_b.described(B, "{ interface = \"tap1\" }");
    let server = home.start_with(&config);
    for (machine, id) in [(machines[0].0, A), (machines[1].0, B)] {
        for address in EC2 {
            assert_eq!(machine.hears(address), Heard::instance(id));
        }
    }
    (server, machines)
}

/// Has a machine take another MAC, and other addresses, on its cable.
fn become_another(machine: Machine<'_>, mac: &str, ipv4: &str, ipv6: &str) {
    machine.ip("link set eth0 down");
    machine.ip("address flush dev eth0");
    machine.ip(&format!("link set eth0 address {mac}"));
    machine.ip("link set eth0 up");
    machine.wait_until_up();
    machine.ip(&format!("address add {ipv4}/32 dev eth0"));
    machine.ip(&format!("address add {ipv6}/128 dev eth0 nodad"));
    find_ec2(machine);
}

/// Leads EC2's addresses out of a machine's cable.
fn find_ec2(machine: Machine<'_>) {
    machine.ip("route add 169.254.169.254/32 dev eth0");
    machine.ip("route add fd00:ec2::254/128 dev eth0");
}

/// Leads addresses out of two interfaces, the first of which is preferred.
fn lead_back(Facts { ipv4, ipv6, .. }: &Facts, ports: [&str; 2]) {
    for (family, address) in [("-4", format!("{ipv4}/32")), ("-6", format!("{ipv6}/128"))] {
        ip(&format!("{family} route flush {address}"));
        for (port, metric) in ports.into_iter().zip([10, 20]) {
            ip(&format!("route add {address} dev {port} metric {metric}"));
        }
    }
}

#[test]
fn whoever_sends_from_another_mac_or_address_than_its_own_gets_nothing() {
    alone(|| {
        let home = Home::new();
        let (server, [(blue, own), _]) = with_neighbours(&home);
        let other = Facts::numbered(99);
        // Nobody else answers to the addresses that it takes.
        ip(&format!("route add {}/32 dev tap0", other.ipv4));
        ip(&format!("route add {}/128 dev tap0", other.ipv6));
        let mut expected = 0;
        for (mac, address) in [(&other, &own), (&own, &other), (&other, &other)] {
            become_another(blue, &mac.mac, &address.ipv4, &address.ipv6);
            for at in EC2 {
                assert_eq!(blue.hears(at), Heard::Nothing, "{mac:?} {address:?} {at}");
                expected += 1;
            }
            assert_eq!(turned_away(&server, "not_its_address"), expected);
        }
        become_another(blue, &own.mac, &own.ipv4, &own.ipv6);
        for at in EC2 {
            assert_eq!(blue.hears(at), Heard::instance(A));
        }
        assert_eq!(turned_away(&server, "not_its_address"), expected);
        server.stop();
    });
}

#[test]
fn a_neighbour_with_the_mac_and_addresses_of_another_never_gets_its_data() {
    alone(|| {
        let home = Home::new();
        let (server, [(blue, of_a), (red, of_b)]) = with_neighbours(&home);
        become_another(red, &of_a.mac, &of_a.ipv4, &of_a.ipv6);
        // First the way back leads to whom the addresses belong to, then to the neighbour.
        for ports in [["tap0", "tap1"], ["tap1", "tap0"]] {
            lead_back(&of_a, ports);
            for at in EC2 {
                let heard = red.hears(at);
                assert!(matches!(heard, Heard::Nothing | Heard::NoConnection), "{heard:?}");
                assert_eq!(blue.hears(at), Heard::instance(A));
            }
        }
        assert!(turned_away(&server, "not_its_address") >= 2);
        // The instance is a neighbour like any other: it is not served at the other's interface.
        become_another(red, &of_b.mac, &of_b.ipv4, &of_b.ipv6);
        for at in EC2 {
            assert_eq!(red.hears(at), Heard::instance(B));
        }
        server.stop();
    });
}

#[test]
fn who_comes_in_at_an_interface_that_nobody_is_attached_to_gets_nothing() {
    alone(|| {
        let home = Home::new();
        let (server, [(blue, own), _]) = with_neighbours(&home);
        let green = Machine::bare("green");
        lay_cable("tap2", green, &own);
        find_ec2(green);
        for ports in [["tap0", "tap2"], ["tap2", "tap0"]] {
            lead_back(&own, ports);
            for at in EC2 {
                assert_eq!(green.hears(at), Heard::NoConnection);
                assert_eq!(blue.hears(at), Heard::instance(A));
            }
        }
        // Nor does the machine that serves, whose own the addresses are, count as one of its guests:
        // to itself it comes in at the loopback interface, or at the one that has the address.
        for at in EC2 {
            let heard = Heard::at(at.parse().unwrap());
            assert!(matches!(heard, Heard::Nothing | Heard::NoConnection), "{at}: {heard:?}");
        }
        assert_eq!(Heard::at(server.address()), Heard::instance(DEFAULT_INSTANCE));
        server.stop();
    });
}

#[test]
fn on_a_bridge_an_address_counts_only_with_its_mac() {
    alone(|| {
        let home = Home::new();
        let own = Facts::numbered(10);
        ip("link add br0 type bridge");
        ip("link set br0 up");
        let [blue, red] = [("blue", "port0"), ("red", "port1")].map(|(name, port)| {
            let machine = Machine::bare(name);
            let facts = if name == "blue" { own.clone() } else { Facts::numbered(11) };
            lay_cable(port, machine, &facts);
            ip(&format!("link set {port} master br0"));
            find_ec2(machine);
            machine
        });
        ip("address add 169.254.169.254/32 dev br0");
        ip("address add fd00:ec2::254/128 dev br0 nodad");
        ip("route add 10.1.0.0/24 dev br0");
        ip("route add fd00:10::/64 dev br0");
        let Facts { mac, ipv4, ipv6 } = &own;
        let sources = format!(
            "{{ source = \"{ipv4}\", mac = \"{mac}\" }}, {{ source = \"{ipv6}\", mac = \"{mac}\" }}"
        );
        let shared = EC2.map(|at| format!("\"{at}\"")).join(", ");
        let config = format!("shared_listen = [{shared}]\n") + &own.described(A, &sources);
        let server = home.start_with(&config);
        for at in EC2 {
            assert_eq!(blue.hears(at), Heard::instance(A));
            assert_eq!(red.hears(at), Heard::Nothing);
        }
        assert_eq!(turned_away(&server, "unattached"), 2);
        blue.ip("link set eth0 down");
        become_another(red, &Facts::numbered(11).mac, ipv4, ipv6);
        ip("neighbour flush dev br0");
        for at in EC2 {
            assert_eq!(red.hears(at), Heard::Nothing);
        }
        assert_eq!(turned_away(&server, "not_its_address"), 2);
        server.stop();
    });
}

#[test]
fn a_connection_whose_beginning_the_kernel_forgot_is_refused_where_the_mac_matters() {
    alone(|| {
        let home = Home::new();
        let (server, [(blue, _), _]) = with_neighbours(&home);
        // With SYN cookies, nothing of a first packet is kept; 2 is for every connection.
        set("net/ipv4/tcp_syncookies", "2");
        for (count, at) in EC2.into_iter().enumerate() {
            assert_eq!(blue.hears(at), Heard::Nothing);
            assert_eq!(turned_away(&server, "mac_unknown"), i64::try_from(count).unwrap() + 1);
        }
        set("net/ipv4/tcp_syncookies", "1");
        for at in EC2 {
            assert_eq!(blue.hears(at), Heard::instance(A));
        }
        server.stop();
    });
}
