//! Two guests on one host, each on a TAP of its own. Whoever is root in a guest can take any MAC
//! and any address, and may learn the other's token: it never gets anything but its own metadata.

use std::time::Instant;

use crate::exchange::{Answer, read_request, token_request};
use crate::guest::{Guest, Reply};
use crate::host::{Host, Lease, Network, SERVICE, SERVICE_IPV6};
use crate::running::{Home, tell};

/// How many tries [`Neighbour::try_as`] makes.
pub(crate) const TRIES: usize = 6;

const ID_PATH: &str = "/latest/meta-data/instance-id";

/// What is a guest's own.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) id: &'static str,
    pub(crate) tap: &'static str,
    pub(crate) wears: Wear,
}

/// What others know a guest by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wear {
    pub(crate) mac: &'static str,
    pub(crate) ipv4: &'static str,
    pub(crate) ipv6: &'static str,
}

impl Wear {
    /// Everything that this guest can pretend to be: it takes the other's MAC, the other's
    /// addresses, or both.
    pub(crate) fn disguises(self, other: Self) -> [Self; 3] {
        [Self { mac: self.mac, ..other }, Self { mac: other.mac, ..self }, other]
    }

    pub(crate) fn lease(&self) -> Lease<'static> {
        Lease { mac: self.mac, address: self.ipv4 }
    }
}

const A: Place = Place {
    id: "i-0000000000000000a",
    tap: "tap-a",
    wears: Wear { mac: "02:00:00:00:00:0a", ipv4: "10.0.1.10", ipv6: "fd00::a" },
};

const B: Place = Place {
    id: "i-0000000000000000b",
    tap: "tap-b",
    wears: Wear { mac: "02:00:00:00:00:0b", ipv4: "10.0.2.10", ipv6: "fd00::b" },
};

/// A guest at its place.
pub(crate) struct Neighbour {
    place: Place,
    guest: Guest,
}

impl Neighbour {
    pub(crate) fn start(host: &Host<'_>, place: Place) -> Self {
        let guest = Guest::start(host, place.tap, place.tap, place.wears.mac);
        Self { place, guest }
    }

    /// Waits until it is up, and has what it is leased.
    pub(crate) fn settle(&mut self) {
        self.guest.wait_until_up();
        // Nobody else can have its addresses, and asking takes a second.
        self.guest.result("cd /proc/sys/net/ipv6/conf; echo 0 | tee */accept_dad");
        self.guest.take_lease();
        self.add_ipv6(self.place.wears.ipv6);
    }

    /// Puts on what is its own, or another's.
    pub(crate) fn put_on(&mut self, Wear { mac, ipv4, ipv6 }: Wear) {
        self.guest.result(&format!(
            "ip link set dev eth0 down; ip address flush dev eth0; \
             ip link set dev eth0 address {mac} && ip link set dev eth0 up && \
             ip address add {ipv4}/24 dev eth0 && ip route add {SERVICE} dev eth0"
        ));
        self.add_ipv6(ipv6);
    }

    fn add_ipv6(&mut self, address: &str) {
        self.guest.result(&format!(
            "ip -6 address add {address}/64 dev eth0 && ip -6 route add {SERVICE_IPV6} dev eth0"
        ));
    }

    /// Gets a token; that the service gives one at all shows that it knows the guest.
    pub(crate) fn token(&mut self, service: &str) -> String {
        let answer = self.answer(service, &token_request("21600"));
        assert_eq!(answer.status, 200, "{}", answer.head);
        answer.text().to_owned()
    }

    /// Reads its id, which must be its own, over IPv4 and IPv6.
    pub(crate) fn is_itself(&mut self) {
        for service in [SERVICE, SERVICE_IPV6] {
            let token = self.token(service);
            let answer = self.answer(service, &read_request(ID_PATH, &token));
            assert_eq!((answer.status, answer.text()), (200, self.place.id), "{}", answer.head);
        }
    }

    /// Reads with a token that is not its own, which must be refused.
    pub(crate) fn is_refused(&mut self, foreign: &str) {
        for service in [SERVICE, SERVICE_IPV6] {
            let answer = self.answer(service, &read_request(ID_PATH, foreign));
            assert_eq!((answer.status, answer.text()), (401, ""), "{}", answer.head);
        }
    }

    fn answer(&mut self, service: &str, request: &str) -> Answer {
        let id = self.place.id;
        let instead = |instead| panic!("{id}, {service}: {instead:?} to {request}");
        self.guest.ask(service, request).unwrap_or_else(instead)
    }

    /// Asks for a token, and for the id with two, over IPv4 and IPv6; returns what came of it.
    pub(crate) fn try_as(&mut self, what: Wear, tokens: [&str; 2]) -> [Reply; TRIES] {
        self.put_on(what);
        let [first, second] = tokens.map(|token| read_request(ID_PATH, token));
        let requests = [token_request("60"), first, second];
        let service = |number| if number < requests.len() { SERVICE } else { SERVICE_IPV6 };
        self.guest.ask_all(std::array::from_fn(|number| {
            (service(number), requests[number % requests.len()].as_str())
        }))
    }

    /// Like [`try_as`](Self::try_as); nothing must come of it.
    pub(crate) fn gets_nothing_as(&mut self, what: Wear, tokens: [&str; 2]) {
        for reply in self.try_as(what, tokens) {
            assert!(reply.is_err(), "{} as {what:?}: {reply:?}", self.place.id);
        }
    }

    pub(crate) fn power_off(self) {
        self.guest.power_off();
    }
}

/// The config file, but for the attachments and what they need.
pub(crate) fn config(head: &str, instances: [(&Place, &str); 2]) -> String {
    let instance = |(place, attachments): (&Place, &str)| {
        let Place { id, wears: Wear { mac, ipv4, ipv6 }, .. } = place;
        format!(
            "[[instance]]\nid = \"{id}\"\nattachments = [{attachments}]\n\
             options = {{ http_protocol_ipv6 = \"enabled\" }}\n\
             interfaces = [{{ mac = \"{mac}\", ipv4 = [{{ private = \"{ipv4}\" }}], \
             ipv6 = [\"{ipv6}\"] }}]\n"
        )
    };
    format!("listen = []\n{head}\n{}", instances.map(instance).concat())
}

#[test]
fn with_a_tap_each_nobody_reads_as_another() {
    let start = Instant::now();
    let home = Home::new();
    let host = Host::new(&home);
    // Both are on one IPv6 network, so that an answer could find its way back to whoever took the
    // other's address; over IPv4 it can as it is.
    let networks = [
        Network {
            interface: A.tap,
            addresses: &["10.0.1.1/24", "fd00::1/64"],
            leases: &[A.wears.lease()],
        },
        Network {
            interface: B.tap,
            addresses: &["10.0.2.1/24", "fd00::2/64"],
            leases: &[B.wears.lease()],
        },
    ];
    for network in &networks {
        host.add_tap(network.interface);
        host.add_addresses(network);
    }
    let attached = |place: &Place| format!("{{ interface = \"{}\" }}", place.tap);
    let server = host.serve(&config("", [(&A, &attached(&A)), (&B, &attached(&B))]));
    let _dhcp = host.lease(&networks);
    let mut guests = [A, B].map(|place| Neighbour::start(&host, place));
    guests.iter_mut().for_each(Neighbour::settle);
    let up = start.elapsed();
    guests.iter_mut().for_each(Neighbour::is_itself);

    let tokens = guests.each_mut().map(|guest| guest.token(SERVICE));
    let tokens = tokens.each_ref().map(String::as_str);
    let mut turned_away = 0;
    for (attacker, own, other) in [(0, A.wears, B.wears), (1, B.wears, A.wears)] {
        for disguise in own.disguises(other) {
            guests[attacker].gets_nothing_as(disguise, tokens);
            // All of it reached the server, which alone kept silent.
            turned_away += i64::try_from(TRIES).unwrap();
            assert_eq!(host.turned_away(&server), turned_away, "{disguise:?}");
        }
        guests[attacker].put_on(own);
        guests[attacker].is_itself();
        guests[attacker].is_refused(tokens[1 - attacker]);
        guests[1 - attacker].is_itself();
    }
    guests.into_iter().for_each(Neighbour::power_off);
    tell(&format!("vm: two guests, up after {up:.1?}, done after {:.1?}", start.elapsed()));
}
