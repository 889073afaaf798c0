//! Hosts: an instance reaches the service, and its container as far as the hop limit says.

use std::fs::read_dir;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use network::{
    DIRECTORY, Host, HostFault, LinkEvent, LinkWatch, Namespace, NamespaceFault, Netlink, Part,
    Place, VethEnd,
};
use rustix::event::PollFlags;
use rustix::net::sockopt::{set_ip_ttl, set_ipv6_unicast_hops};

use crate::alone::alone;
use crate::readiness::is_ready;
use crate::waiting::{PATIENCE, wait_until};

const SERVICE: [&str; 2] = ["169.254.169.254:80", "[fd00:ec2::254]:80"];

/// An instance with an IPv4 address and no other, and a container on it.
fn host() -> Host {
    Host {
        instance: "i-1234567890abcdef0".parse().unwrap(),
        mac: "02:29:96:8f:6a:2d".parse().unwrap(),
        ipv4: Some("10.0.1.10/16".parse().unwrap()),
        ipv6: Vec::new(),
        has_container: true,
    }
}

fn namespace(host: &Host, place: Place) -> Namespace {
    Namespace::named(&place.namespace_of(host.instance)).unwrap()
}

fn listen(host: &Host, address: &str) -> TcpListener {
    namespace(host, Place::Service).run(|| TcpListener::bind(address)).unwrap().unwrap()
}

/// Connects from a place of the host to a service that listens, and returns both ends.
fn connect(host: &Host, place: Place, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let address = listener.local_addr().unwrap();
    let client = namespace(host, place).run(|| TcpStream::connect_timeout(&address, PATIENCE));
    let client = client.unwrap().unwrap_or_else(|fault| panic!("{place:?} {address}: {fault}"));
    (client, listener.accept().unwrap().0)
}

/// Has the service send something that may travel `hops` hops.
fn send(service: &mut TcpStream, hops: u8) {
    match service.local_addr().unwrap() {
        SocketAddr::V4(_) => set_ip_ttl(&*service, hops.into()).unwrap(),
        SocketAddr::V6(_) => set_ipv6_unicast_hops(&*service, Some(hops)).unwrap(),
    }
    service.write_all(b"answer").unwrap();
}

/// Waits for what the service sends.
fn receive(client: &mut TcpStream) {
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = [0; 6];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"answer");
}

/// How many packets the instance did not forward because they had come far enough.
fn expired(host: &Host, address: SocketAddr) -> u64 {
    let instance = namespace(host, Place::Instance);
    let read = |path| instance.run(|| std::fs::read_to_string(path)).unwrap().unwrap();
    if address.is_ipv6() {
        let table = read("/proc/thread-self/net/snmp6");
        let line = table.lines().find(|line| line.starts_with("Icmp6OutTimeExcds")).unwrap();
        return line.split_whitespace().nth(1).unwrap().parse().unwrap();
    }
    // A line of names, and a line of numbers.
    let table = read("/proc/thread-self/net/snmp");
    let mut lines = table.lines().filter(|line| line.starts_with("Icmp:"));
    let (names, numbers) = (lines.next().unwrap(), lines.next().unwrap());
    let found = names.split(' ').zip(numbers.split(' ')).find(|(name, _)| *name == "OutTimeExcds");
    found.unwrap().1.parse().unwrap()
}

/// The names in `/run/netns`.
fn names() -> Vec<String> {
    let Ok(entries) = read_dir(DIRECTORY) else { return Vec::new() };
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn instance_and_container_reach_the_service() {
    alone(|| {
        let instances: [(Option<&str>, &[&str]); 4] = [
            (Some("10.0.1.10/16"), &[]),
            (Some("10.0.1.10/16"), &["2001:db8::7", "2001:db8::8"]),
            (None, &["2001:db8::7"]),
            // Where a container would be.
            (Some("172.17.0.2/16"), &[]),
        ];
        for (ipv4, ipv6) in instances {
            let host = Host {
                ipv4: ipv4.map(|ipv4| ipv4.parse().unwrap()),
                ipv6: ipv6.iter().map(|ipv6| ipv6.parse().unwrap()).collect(),
                ..host()
            };
            host.make().unwrap();
            assert_eq!(host.missing().unwrap(), []);
            for address in SERVICE {
                let listener = listen(&host, address);
                for place in [Place::Instance, Place::Container] {
                    let (mut client, mut service) = connect(&host, place, &listener);
                    send(&mut service, 64);
                    receive(&mut client);
                    // The service sees who asks as he is.
                    assert_eq!(service.peer_addr().unwrap(), client.local_addr().unwrap());
                }
                let (client, _) = connect(&host, Place::Instance, &listener);
                let own = client.local_addr().unwrap().ip();
                let given: Vec<IpAddr> = match own {
                    IpAddr::V4(_) => host.ipv4.iter().map(|net| net.addr().into()).collect(),
                    IpAddr::V6(_) => host.ipv6.iter().map(|own| IpAddr::V6(*own)).collect(),
                };
                assert!(given.is_empty() || given.contains(&own), "{own}: {given:?}");
            }
            Host::remove(host.instance).unwrap();
            assert!(names().is_empty(), "{:?}", names());
        }
    });
}

#[test]
fn an_instance_is_as_it_was_asked_for() {
    alone(|| {
        let host = Host { has_container: false, ..host() };
        host.make().unwrap();
        assert_eq!(names(), ["i-1234567890abcdef0", "i-1234567890abcdef0-imds"]);
        let open = |place| namespace(&host, place).run(Netlink::open).unwrap().unwrap();
        let links = open(Place::Instance).links().unwrap();
        let link = links.iter().find(|link| link.name == "eth0").unwrap();
        assert_eq!((link.mac, link.is_up), (Some(host.mac), true));
        let addresses = open(Place::Instance).addresses().unwrap();
        assert!(addresses.iter().any(|found| {
            found.link == link.index && found.address == "10.0.1.10/16".parse().unwrap()
        }));
        // The service's namespace holds nothing but its end of the link.
        let links = open(Place::Service).links().unwrap();
        let names: Vec<_> = links.iter().map(|link| &*link.name).collect();
        assert!(names.contains(&"imds0") && !names.contains(&"eth0"), "{names:?}");
        assert!(links.iter().filter(|link| link.kind.as_deref() == Some("veth")).count() == 1);
    });
}

#[test]
fn one_hop_reaches_the_instance_and_not_its_container() {
    alone(|| {
        let host = host();
        host.make().unwrap();
        for address in SERVICE {
            let listener = listen(&host, address);
            let address = listener.local_addr().unwrap();
            let (mut client, mut service) = connect(&host, Place::Instance, &listener);
            send(&mut service, 1);
            receive(&mut client);
            assert_eq!(expired(&host, address), 0);

            let (client, mut service) = connect(&host, Place::Container, &listener);
            send(&mut service, 1);
            wait_until("the answer expires", || (expired(&host, address) > 0).then_some(()));
            client.set_nonblocking(true).unwrap();
            let nothing = client.peek(&mut [0]).unwrap_err();
            assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);

            let (mut client, mut service) = connect(&host, Place::Container, &listener);
            send(&mut service, 2);
            receive(&mut client);
        }
    });
}

#[test]
fn a_host_that_cannot_be_made_leaves_nothing() {
    alone(|| {
        // The kernel gives this address to nobody: all but the addresses is made by then.
        let bad = Host { ipv6: vec!["ff02::1".parse().unwrap()], ..host() };
        let fault = bad.make().unwrap_err();
        assert!(matches!(fault, HostFault::Netlink { .. }), "{fault:?}");
        let chain = format!("{fault}: {}", std::error::Error::source(&fault).unwrap());
        assert!(chain.contains("`i-1234567890abcdef0`") && chain.contains("ff02::1"), "{chain}");
        assert!(names().is_empty(), "{:?}", names());

        // One of the names is taken, by something that is not ours to remove.
        for place in Place::ALL {
            let name = place.namespace_of(host().instance);
            let theirs = Namespace::create(&name).unwrap();
            let fault = host().make().unwrap_err();
            let HostFault::Namespace(NamespaceFault::Exists(taken)) = fault else {
                panic!("{fault:?}");
            };
            assert_eq!((taken.as_str(), names()), (name.as_str(), vec![name.clone()]));
            assert_eq!(Namespace::named(&name).unwrap().identity(), theirs.identity());
            Namespace::delete(&name).unwrap();
        }
        host().make().unwrap();
    });
}

#[test]
fn removing_takes_whatever_is_there() {
    alone(|| {
        let host = host();
        Host::remove(host.instance).unwrap();
        host.make().unwrap();
        // Half a host: no container, no link, and a name without a namespace.
        let mut netlink = namespace(&host, Place::Service).run(Netlink::open).unwrap().unwrap();
        let link = netlink.link_named("imds0").unwrap().unwrap();
        netlink.delete_link(link.index).unwrap();
        drop(netlink);
        let container = Place::Container.namespace_of(host.instance);
        Namespace::delete(&container).unwrap();
        std::fs::File::create(Namespace::path_of(&container).unwrap()).unwrap();
        Host::remove(host.instance).unwrap();
        Host::remove(host.instance).unwrap();
        assert!(names().is_empty(), "{:?}", names());
    });
}

#[test]
fn what_is_missing_is_said() {
    alone(|| {
        let host = host();
        let all = Place::ALL.map(|place| Part::Namespace(place.namespace_of(host.instance)));
        assert_eq!(host.missing().unwrap(), all);
        host.make().unwrap();
        assert_eq!(host.missing().unwrap(), []);

        let instance = namespace(&host, Place::Instance);
        instance.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "0")).unwrap().unwrap();
        let [missing] = &host.missing().unwrap()[..] else { panic!() };
        let expected = "the setting `ipv4/ip_forward` of `i-1234567890abcdef0`";
        assert_eq!(missing.to_string(), expected);
        instance.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")).unwrap().unwrap();

        let mut netlink = instance.run(Netlink::open).unwrap().unwrap();
        let eth0 = netlink.link_named("eth0").unwrap().unwrap().index;
        // With the last address of a link go its routes.
        netlink.remove_address(eth0, "10.0.1.10/16".parse().unwrap()).unwrap();
        let missing: Vec<_> = host.missing().unwrap().iter().map(Part::to_string).collect();
        let expected = [
            "the address 10.0.1.10/16 of `eth0` in `i-1234567890abcdef0`",
            "the route to 169.254.169.254/32 in `i-1234567890abcdef0`",
        ];
        assert_eq!(missing, expected);

        netlink.delete_link(eth0).unwrap();
        let missing: Vec<_> = host.missing().unwrap().iter().map(Part::to_string).collect();
        for expected in [
            "the link `eth0` in `i-1234567890abcdef0`",
            "the link `imds0` in `i-1234567890abcdef0-imds`",
            "the address 169.254.169.254/32 of `imds0` in `i-1234567890abcdef0-imds`",
            "the route to 169.254.169.254/32 in `i-1234567890abcdef0`",
            "the route to 172.17.0.0/16 in `i-1234567890abcdef0-imds`",
        ] {
            assert!(missing.iter().any(|part| part == expected), "{expected}: {missing:?}");
        }
        Namespace::delete(&Place::Container.namespace_of(host.instance)).unwrap();
        let missing = host.missing().unwrap();
        let container = Part::Namespace(Place::Container.namespace_of(host.instance));
        assert!(missing.contains(&container), "{missing:?}");
    });
}

#[test]
fn links_are_cut_even_where_a_socket_keeps_the_namespace() {
    alone(|| {
        let host = host();
        host.make().unwrap();
        let listener = listen(&host, SERVICE[0]);
        let mut watches = [Place::Service, Place::Container]
            .map(|place| namespace(&host, place).run(LinkWatch::open).unwrap().unwrap());
        Host::remove(host.instance).unwrap();
        assert!(names().is_empty(), "{:?}", names());
        for (watch, link) in watches.iter_mut().zip(["imds0", "eth0"]) {
            let events = watch.read().unwrap();
            let is_gone = |event: &LinkEvent| matches!(event, LinkEvent::Vanished { name, .. } if name == link);
            assert!(events.iter().any(is_gone), "{link}: {events:?}");
        }
        // The names are free, and another host is not the one that the socket is in.
        host.make().unwrap();
        let other = listen(&host, SERVICE[0]);
        let (_client, _service) = connect(&host, Place::Instance, &other);
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err());
    });
}

#[test]
fn nothing_is_left_of_many_hosts() {
    alone(|| {
        let count = |path| read_dir(path).unwrap().count();
        let host = host();
        let round = || {
            host.make().unwrap();
            Host::remove(host.instance).unwrap();
        };
        // The first one makes what stays: the directory, and whatever the standard library keeps.
        round();
        let files = count("/proc/self/fd");
        for _ in 0..20 {
            round();
        }
        assert_eq!(count("/proc/self/fd"), files);
        // A thread that has been waited for may take a moment to leave the list.
        let threads = || count("/proc/self/task");
        wait_until("threads are gone", || (threads() <= 2).then_some(()));
        assert!(names().is_empty(), "{:?}", names());
    });
}

#[test]
fn the_namespaces_of_a_removed_host_end() {
    alone(|| {
        let host = host();
        host.make().unwrap();
        let here = Namespace::current().unwrap();
        let mut netlink = Netlink::open().unwrap();
        // A link into each. It is gone when the namespace at its other end is.
        for (number, place) in Place::ALL.into_iter().enumerate() {
            let near = format!("near{number}");
            let [near, far] = [near.as_str(), "probe0"].map(|name| VethEnd { name, mac: None });
            netlink.add_veth(near, far, &namespace(&host, place)).unwrap();
        }
        let mut watch = LinkWatch::open().unwrap();
        Host::remove(host.instance).unwrap();
        let mut gone = 0;
        while gone < Place::ALL.len() {
            assert!(is_ready(&watch, PollFlags::IN, PATIENCE), "{gone} of the namespaces ended");
            let events = watch.read().unwrap();
            let is_gone = |event: &&LinkEvent| matches!(event, LinkEvent::Vanished { .. });
            gone += events.iter().filter(is_gone).count();
        }
        drop(here);
    });
}
