//! A server in a network namespace of its own, and the instances that it launches there, each with
//! a container behind it:
//!
//! ```text
//!  service namespace ──── instance ──── container
//!  i-…-imds               i-…           i-…-container
//!                         one hop       two hops away: the instance forwards
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::Command;

use serde_json::Value;

use crate::capture::Capture;
use crate::exchange::{Answer, exchange_over, tokenless_request};
use crate::namespace::Namespace;
use crate::running::{Home, Running, output_of, sample_in};
use crate::sockets::{MAKE_SOCKETS, Sockets};

/// Where an instance finds the service.
pub(crate) const SERVICE: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
pub(crate) const SERVICE_V6: SocketAddr =
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), 80);

/// The link to its container, as a launched instance sees it.
pub(crate) const TO_CONTAINER: &str = "container0";

/// A server in a namespace.
pub(crate) struct Site {
    home: Home,
    namespace: Namespace,
    server: Running,
    /// Where the management listener is.
    outside: Sockets,
}

impl Site {
    /// Starts a server with more arguments.
    pub(crate) fn new(arguments: &[&str]) -> Self {
        let home = Home::new();
        let namespace = Namespace::new(&home);
        let serve = ["serve", "--listen", "127.0.0.1:0", "--manage", "127.0.0.1:0"];
        let server = Running::of(namespace.imds(&home, &[&serve[..], arguments].concat()));
        let outside = Sockets::of(namespace.inside(&home, &MAKE_SOCKETS));
        Self { home, namespace, server, outside }
    }

    /// Launches an instance and its container.
    pub(crate) fn launch(&self, arguments: &[&str]) -> Launched<'_> {
        let launch = ["instance", "launch", "--driver", "netns", "--container"];
        let id = self.home.result(&[&launch[..], arguments].concat());
        let mut launched =
            Launched { site: self, id: id.trim().to_owned(), container: <[String; 2]>::default() };
        launched.container = ["-4", "-6"].map(|family| launched.address_of_container(family));
        launched
    }

    /// Runs a command of the program, which must succeed.
    pub(crate) fn command(&self, arguments: &[&str]) {
        self.home.result(arguments);
    }

    /// Reads a sample of `/metrics`, named as it stands there, labels included.
    pub(crate) fn sample(&self, name: &str) -> i64 {
        let management = self.outside.connect(self.server.management);
        let answer = exchange_over(management, tokenless_request("/metrics").as_bytes());
        sample_in(answer.text(), name)
    }

    /// How many connections wait for a token to be acknowledged.
    pub(crate) fn under_way(&self) -> i64 {
        self.sample("imds_connections{phase=\"deliver\"}")
    }

    /// How many tokens were granted.
    pub(crate) fn granted(&self) -> i64 {
        self.sample("imds_requests_total{version=\"token\",outcome=\"ok\"}")
    }

    /// How many tokens did not arrive, for each reason: hop limit, reset, time-out.
    pub(crate) fn undelivered(&self) -> [i64; 3] {
        ["hop_limit", "reset", "timeout"].map(|reason| {
            self.sample(&format!("imds_token_undelivered_total{{reason=\"{reason}\"}}"))
        })
    }

    /// Does something while the server is asleep and answers nobody: the kernel takes connections
    /// and requests for it.
    pub(crate) fn while_asleep<T>(&self, action: impl FnOnce() -> T) -> T {
        self.server.while_asleep(action)
    }

    /// The lines that the server has said on standard error with `part` in them.
    pub(crate) fn said(&self, part: &str) -> Vec<String> {
        let said = self.server.said();
        said.lines().filter(|line| line.contains(part)).map(str::to_owned).collect()
    }
}

/// An instance that was launched, and its container.
pub(crate) struct Launched<'s> {
    site: &'s Site,
    pub(crate) id: String,
    /// The addresses of its container.
    pub(crate) container: [String; 2],
}

impl Launched<'_> {
    fn address_of_container(&self, family: &str) -> String {
        let show = ["ip", "-o", family, "address", "show", "dev", "eth0", "scope", "global"];
        let shown = output_of(self.on(&["--container"], &show));
        let address = shown.split_whitespace().nth(3).and_then(|net| net.split('/').next());
        address.unwrap_or_else(|| panic!("no address: {shown}")).to_owned()
    }

    /// Changes metadata options.
    pub(crate) fn set(&self, options: &[&str]) {
        self.site.command(&[&["instance", "options", &self.id], options].concat());
    }

    /// Changes the hop limit.
    pub(crate) fn limit_hops(&self, limit: u8) {
        self.set(&["--http-put-response-hop-limit", &limit.to_string()]);
    }

    /// A program on the instance, where `place` is empty, or in its container.
    fn on(&self, place: &[&str], command: &[&str]) -> Command {
        let exec = [&["exec", self.id.as_str()], place, &["--"], command].concat();
        self.site.namespace.imds(&self.site.home, &exec)
    }

    /// Runs a program on the instance, which must succeed.
    pub(crate) fn run(&self, command: &[&str]) {
        output_of(self.on(&[], command));
    }

    /// Sockets of the instance.
    pub(crate) fn instance(&self) -> Sockets {
        Sockets::of(self.on(&[], &MAKE_SOCKETS))
    }

    /// Sockets of the container.
    pub(crate) fn container(&self) -> Sockets {
        Sockets::of(self.on(&["--container"], &MAKE_SOCKETS))
    }

    fn in_service(&self, command: &[&str]) -> Command {
        let namespace = format!("--net=/run/netns/{}-imds", self.id);
        let enter = [&["nsenter", &namespace], command].concat();
        self.site.namespace.inside(&self.site.home, &enter)
    }

    /// Begins to see the packets on the service's end of the link.
    pub(crate) fn capture(&self) -> Capture {
        Capture::of(&Sockets::of(self.in_service(&MAKE_SOCKETS)))
    }

    /// How many sockets of the service have to do with the container, those included that no
    /// process has any more.
    pub(crate) fn sockets_of_container(&self) -> usize {
        let show = ["ss", "-Htan", "state", "connected", "exclude", "time-wait"];
        let shown = output_of(self.in_service(&show));
        let is_of_container =
            |line: &&str| self.container.iter().any(|address| line.contains(&**address));
        shown.lines().filter(is_of_container).count()
    }

    /// How often the service's kernel has been told that something cannot be reached, over IPv4 and
    /// IPv6.
    pub(crate) fn reports(&self) -> [u64; 2] {
        let names = ["IcmpInDestUnreachs", "Icmp6InDestUnreachs"];
        let show = [&["nstat", "--json", "-a", "-s", "-z"], &names[..]].concat();
        let shown: Value = serde_json::from_str(&output_of(self.in_service(&show))).unwrap();
        names.map(|name| shown["kernel"][name].as_u64().unwrap())
    }

    /// Loses whatever is sent to the container from now on, without a word: packets go to an
    /// Ethernet address that nobody has.
    pub(crate) fn lose_silently(&self) {
        for address in &self.container {
            let nobody = ["lladdr", "02:00:00:00:00:99", "nud", "permanent", "dev", TO_CONTAINER];
            self.run(&[&["ip", "neighbour", "replace", address], &nobody[..]].concat());
        }
    }
}

/// Sends `bytes` to the service over a connection of its own, and reads the one answer.
pub(crate) fn ask(from: &Sockets, service: SocketAddr, bytes: &str) -> Answer {
    exchange_over(from.connect(service), bytes.as_bytes())
}

/// Where this end of a connection is.
pub(crate) fn own_address(stream: &TcpStream) -> SocketAddr {
    stream.local_addr().unwrap()
}
