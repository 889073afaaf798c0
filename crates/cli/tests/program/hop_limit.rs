//! How far the answer to a token request travels where an operator has made the network: three
//! network namespaces as EC2 has them, of the service, which listens at an address and a port of its
//! own, of the instance, which forwards, and of a container on it.

use std::process::Command;

use crate::namespace::Namespace;
use crate::running::{DEFAULT_INSTANCE, Ended, Home, Running, output_of};
use crate::waiting::wait_until;

/// Of the service, over IPv4 and IPv6.
const ENDPOINTS: [&str; 2] = ["http://10.0.0.1:1338", "http://[fd00:1::1]:1338"];

struct Network {
    service: Namespace,
    instance: Namespace,
    container: Namespace,
}

impl Network {
    fn new(home: &Home) -> Self {
        let service = Namespace::new(home);
        let (instance, container) = (service.beside(home), service.beside(home));
        for (one, address, other, other_address) in [
            (&service, ["10.0.0.1/24", "fd00:1::1/64"], &instance, ["10.0.0.2/24", "fd00:1::2/64"]),
            (
                &instance,
                ["10.1.0.1/24", "fd00:2::1/64"],
                &container,
                ["10.1.0.2/24", "fd00:2::2/64"],
            ),
        ] {
            // The interface is named for the side that it is on.
            let keeper = other.keeper();
            let pair = ["inner", "type", "veth", "peer", "name", "outer", "netns", &keeper];
            ip(home, one, &[&["link", "add", "name"], &pair[..]].concat());
            for (namespace, name, addresses) in
                [(one, "inner", address), (other, "outer", other_address)]
            {
                for address in addresses {
                    let mut add = vec!["address", "add", address, "dev", name];
                    // Nobody else can have it, and asking takes a second.
                    add.extend(address.contains("::").then_some("nodad"));
                    ip(home, namespace, &add);
                }
                ip(home, namespace, &["link", "set", "dev", name, "up"]);
            }
        }
        for (namespace, to, via) in [
            (&service, "10.1.0.0/24", "10.0.0.2"),
            (&service, "fd00:2::/64", "fd00:1::2"),
            (&container, "default", "10.1.0.1"),
            (&container, "default", "fd00:2::1"),
        ] {
            ip(home, namespace, &["route", "add", to, "via", via]);
        }
        for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            let turn_on = format!("echo 1 > /proc/sys/net/{switch}");
            output_of(instance.inside(home, &["sh", "-c", &turn_on]));
        }
        Self { service, instance, container }
    }
}

fn ip(home: &Home, namespace: &Namespace, arguments: &[&str]) {
    output_of(namespace.inside(home, &[&["ip"], arguments].concat()));
}

/// `imds get` of the instance's id.
fn get(home: &Home, namespace: &Namespace, endpoint: &str) -> Command {
    let path = "latest/meta-data/instance-id";
    namespace.imds(home, &["get", path, "--endpoint", endpoint])
}

#[test]
fn tokens_travel_as_far_as_the_hop_limit_says_and_never_further() {
    let home = Home::new();
    let network = Network::new(&home);
    let serve = ["serve", "--manage", "127.0.0.1:0"];
    let listen = ["--listen", "10.0.0.1:1338", "--listen", "[fd00:1::1]:1338"];
    let _server = Running::of(network.service.imds(&home, &[&serve[..], &listen].concat()));
    let options = |hops| {
        let options = ["--http-protocol-ipv6", "enabled", "--http-put-response-hop-limit", hops];
        home.result(&[&["instance", "options", DEFAULT_INSTANCE], &options[..]].concat());
    };
    let found = |namespace, endpoint: &str| {
        let ended = Ended::of(get(&home, namespace, endpoint));
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), DEFAULT_INSTANCE), "{ended:?}");
    };
    options("2");
    for endpoint in ENDPOINTS {
        found(&network.instance, endpoint);
        found(&network.container, endpoint);
    }
    options("1");
    // The sockets of the service that have to do with the container.
    let sockets = || {
        let show = ["ss", "-Htan", "state", "connected", "exclude", "time-wait"];
        let shown = output_of(network.service.inside(&home, &show));
        let of_container = |line: &&str| line.contains("10.1.0.2") || line.contains("fd00:2::2");
        shown.lines().filter(of_container).count()
    };
    // `get` listens for five seconds, through every retransmission.
    let (home, container) = (&home, &network.container);
    let lost: Vec<_> = std::thread::scope(|scope| {
        let get = |endpoint| scope.spawn(move || Ended::of(get(home, container, endpoint)));
        let gets = ENDPOINTS.map(get);
        wait_until("answers are under way", || (sockets() == 2).then_some(()));
        gets.into_iter().map(|get| get.join().unwrap()).collect()
    });
    for ended in lost {
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains("does not answer"), "{ended:?}");
    }
    for endpoint in ENDPOINTS {
        found(&network.instance, endpoint);
    }
    // Answers that never arrive do not pile up in the kernel.
    wait_until("the kernel has given up", || (sockets() == 0).then_some(()));
}
