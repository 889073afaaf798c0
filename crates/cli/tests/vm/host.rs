//! The machine that virtual machines run on: a network namespace with their TAPs, the server, and
//! a DHCP server.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use crate::namespace::Namespace;
use crate::parts;
use crate::running::{Home, Killed, Running, output_of};
use crate::waiting::wait_until;

/// The addresses of the service.
pub(crate) const SERVICE: &str = "169.254.169.254";
pub(crate) const SERVICE_IPV6: &str = "fd00:ec2::254";

/// What a guest is leased.
pub(crate) struct Lease<'a> {
    pub(crate) mac: &'a str,
    pub(crate) address: &'a str,
}

/// A network that guests are on.
pub(crate) struct Network<'a> {
    /// The TAP or the bridge.
    pub(crate) interface: &'a str,
    /// The host's own addresses on it, with the length of the network's prefix.
    pub(crate) addresses: &'a [&'a str],
    /// The guests.
    pub(crate) leases: &'a [Lease<'a>],
}

impl Network<'_> {
    /// The host's own IPv4 address.
    fn gateway(&self) -> &str {
        let is_ipv4 = |address: &&&str| !address.contains(':');
        let address = self.addresses.iter().find(is_ipv4).unwrap();
        address.split('/').next().unwrap()
    }
}

pub(crate) struct Host<'h> {
    home: &'h Home,
    namespace: Namespace,
}

impl<'h> Host<'h> {
    pub(crate) fn new(home: &'h Home) -> Self {
        let this = Self { home, namespace: Namespace::new(home) };
        // The kernel is not to drop packets with a foreign source address before the server sees
        // them.
        for interfaces in ["all", "default"] {
            let file = format!("/proc/sys/net/ipv4/conf/{interfaces}/rp_filter");
            this.run(&["sh", "-c", &format!("echo 0 > {file}")]);
        }
        this
    }

    pub(crate) fn home(&self) -> &'h Home {
        self.home
    }

    /// A program on it, which must be installed.
    pub(crate) fn inside(&self, command: &[&str]) -> Command {
        let program = parts::tool(command[0]);
        let program = program.to_str().unwrap();
        self.namespace.inside(self.home, &[&[program], &command[1..]].concat())
    }

    /// Runs a program on it, which must succeed, and returns what it printed.
    pub(crate) fn run(&self, command: &[&str]) -> String {
        output_of(self.inside(command))
    }

    /// Makes a TAP.
    pub(crate) fn add_tap(&self, name: &str) {
        let tap = self.inside(&["ip", "tuntap", "add", "dev", name, "mode", "tap"]).output();
        let complaint = String::from_utf8(tap.unwrap().stderr).unwrap();
        assert!(complaint.is_empty(), "no TAP (is /dev/net/tun there, and yours?): {complaint}");
        self.run(&["ip", "link", "set", "dev", name, "up"]);
    }

    /// Gives the addresses of the service, and those of the host, to the interface of a network.
    pub(crate) fn add_addresses(&self, network: &Network<'_>) {
        let service = [format!("{SERVICE}/32"), format!("{SERVICE_IPV6}/128")];
        let service = service.each_ref().map(String::as_str);
        for address in service.iter().chain(network.addresses) {
            let mut add = vec!["ip", "address", "add", address, "dev", network.interface];
            // Nobody else can have it, and asking takes a second.
            add.extend(address.contains("::").then_some("nodad"));
            self.run(&add);
        }
    }

    /// Starts a DHCP server, as `docs/guide/virtual-machines.md` has it.
    pub(crate) fn lease(&self, networks: &[Network<'_>]) -> Dhcp {
        let log = self.home.path().join("dnsmasq.log");
        let mut arguments: Vec<_> = [
            "dnsmasq",
            "--no-daemon", // nor another user, which an ordinary one could not become
            "--conf-file=/dev/null",
            "--no-hosts",
            "--port=0", // no DNS
            "--leasefile-ro",
            "--log-dhcp",
            "--bind-interfaces",
            "--dhcp-authoritative",
        ]
        .map(str::to_owned)
        .into();
        for network in networks {
            let (interface, gateway) = (network.interface, network.gateway());
            arguments.push(format!("--interface={interface}"));
            arguments.push(format!("--dhcp-range=set:{interface},{gateway},static"));
            // On the link, and all else by way of the host. A client that takes these routes
            // ignores the router option.
            arguments.push(format!(
                "--dhcp-option=tag:{interface},option:classless-static-route,\
                 {SERVICE}/32,0.0.0.0,0.0.0.0/0,{gateway}"
            ));
            for Lease { mac, address } in network.leases {
                arguments.push(format!("--dhcp-host={mac},{address}"));
            }
        }
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let mut command = self.inside(&arguments);
        command.stderr(File::create(&log).unwrap());
        let mut dhcp = Dhcp { dnsmasq: Killed(command.spawn().unwrap()), log };
        wait_until("dnsmasq has started", || {
            let ended = dhcp.dnsmasq.0.try_wait().unwrap();
            assert!(ended.is_none(), "dnsmasq has ended: {}", dhcp.said());
            dhcp.said().contains("started").then_some(())
        });
        dhcp
    }

    /// Starts the server with a config file.
    pub(crate) fn serve(&self, config: &str) -> Running {
        let config = self.home.write("imds.toml", config);
        let config = config.to_str().unwrap();
        let serve = ["serve", "--manage", "127.0.0.1:0", "--config", config];
        Running::of(self.namespace.imds(self.home, &serve))
    }

    /// Reads a value at another door of an instance, from the host.
    pub(crate) fn get(&self, endpoint: &str, path: &str) -> String {
        output_of(self.namespace.imds(self.home, &["get", path, "--endpoint", endpoint]))
    }

    /// Returns how many callers the server has turned away because they were not what they
    /// pretended to be.
    pub(crate) fn turned_away(&self, server: &Running) -> i64 {
        let metrics = self.run(&["curl", "-sSf", &format!("http://{}/metrics", server.management)]);
        let sample = "imds_turned_away_total{reason=\"not_its_address\"} ";
        let value = metrics.lines().find_map(|line| line.strip_prefix(sample));
        value.unwrap_or_else(|| panic!("no {sample}in {metrics}")).parse().unwrap()
    }
}

/// A DHCP server that runs. It is killed on drop.
pub(crate) struct Dhcp {
    dnsmasq: Killed,
    log: PathBuf,
}

impl Dhcp {
    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}
