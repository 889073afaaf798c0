//! Tries whether this kernel keeps a hop limit: a service, an instance that forwards and a container
//! behind it, in three network namespaces that nobody else is in.
//!
//! The namespaces have no names and end with their handles: however the program ends, nothing of
//! them is left.

use std::fs;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use network::{LinkIndex, Namespace, Netlink, Route, RouteTarget, VethEnd};
use rustix::io::Errno;
use rustix::net::sockopt;

use crate::doctor::facts::{Family, Probe, Travelled};

/// How long an answer may take that must come. It takes less than a millisecond, unless a packet is
/// lost, as on a busy machine: then the kernel sends it again after a second.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long links may take to carry packets. The kernel lets such news wait for a second, if there is
/// much of it.
const SETTLING: Duration = Duration::from_secs(2);

/// How often it is looked whether links carry packets yet.
const PAUSE: Duration = Duration::from_millis(1);

/// How long it is listened for an answer that must not come. The kernel sends it again after a fifth
/// of a second.
const SILENCE: Duration = Duration::from_millis(500);

/// The two links, from the service: the addresses of their ends.
const TO_INSTANCE: [(Ipv4Addr, Ipv6Addr); 2] = [ends(1, 1), ends(1, 2)];
const TO_CONTAINER: [(Ipv4Addr, Ipv6Addr); 2] = [ends(2, 1), ends(2, 2)];
const PREFIXES: (u8, u8) = (24, 64);

const fn ends(link: u8, end: u8) -> (Ipv4Addr, Ipv6Addr) {
    let (link_v6, end_v6) = (link as u16, end as u16);
    (Ipv4Addr::new(10, 0, link, end), Ipv6Addr::new(0xfd00, 0xec2, 0, link_v6, 0, 0, 0, end_v6))
}

/// Names of the ends of a link, each for the side that it is on.
const SIDES: [&str; 2] = ["inner", "outer"];

/// What has the instance forward for its container.
const FORWARDING: [&str; 2] =
    ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"];

/// The three, linked in a row.
struct Row {
    service: Namespace,
    instance: Namespace,
    container: Namespace,
    has_ipv6: bool,
}

/// Tries it, over IPv4 and IPv6 at once.
pub(crate) fn probe() -> Probe {
    let row = match Row::make() {
        Ok(row) => row,
        Err(reason) => {
            return Probe::NotMade(format!("no networks could be made to try it in: {reason}"));
        }
    };
    thread::scope(|scope| {
        let v6 = scope.spawn(|| {
            if row.has_ipv6 { row.travelled(Family::V6) } else { Travelled::NoSuchFamily }
        });
        let v4 = row.travelled(Family::V4);
        let v6 = v6.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Probe::Made(vec![(Family::V4, v4), (Family::V6, v6)])
    })
}

impl Row {
    fn make() -> Result<Self, String> {
        let new = || Namespace::unnamed().map_err(|fault| fault.to_string());
        let (service, instance, container) = (new()?, new()?, new()?);
        let first = cable(&service, &instance, TO_INSTANCE)?;
        let second = cable(&instance, &container, TO_CONTAINER)?;
        inside(&instance, forward)?;
        let has_ipv6 = first && second;
        let (network, gateway) = (ends(2, 0), TO_INSTANCE[1]);
        inside(&service, || routes(network, PREFIXES, gateway, has_ipv6))?;
        let (everywhere, gateway) =
            ((Ipv4Addr::UNSPECIFIED, Ipv6Addr::UNSPECIFIED), TO_CONTAINER[0]);
        inside(&container, || routes(everywhere, (0, 0), gateway, has_ipv6))?;
        for namespace in [&service, &instance] {
            inside(namespace, await_links)?;
        }
        Ok(Self { service, instance, container, has_ipv6 })
    }

    /// Sends three answers: one hop far to the instance, which must arrive; two hops far to the
    /// container, which shows that it can be reached; and one hop far to the container.
    fn travelled(&self, family: Family) -> Travelled {
        let service = match family {
            Family::V4 => IpAddr::V4(TO_INSTANCE[0].0),
            Family::V6 => IpAddr::V6(TO_INSTANCE[0].1),
        };
        let listener = inside(&self.service, || TcpListener::bind((service, 0)));
        let arrives = |at: &Namespace, hops, patience| -> Result<bool, String> {
            arrives(listener.as_ref().map_err(String::clone)?, at, hops, patience)
        };
        match arrives(&self.instance, 1, PATIENCE) {
            Ok(true) => {}
            Ok(false) => return not_far_enough("one hop far did not reach the instance"),
            Err(reason) => return Travelled::NotFarEnough(reason),
        }
        match arrives(&self.container, 2, PATIENCE) {
            Ok(true) => {}
            Ok(false) => return not_far_enough("two hops far did not reach the container"),
            Err(reason) => return Travelled::NotFarEnough(reason),
        }
        match arrives(&self.container, 1, SILENCE) {
            Ok(true) => Travelled::Further,
            Ok(false) => Travelled::AsLimited,
            Err(reason) => Travelled::NotFarEnough(reason),
        }
    }
}

fn not_far_enough(what: &str) -> Travelled {
    Travelled::NotFarEnough(format!("an answer that may travel {what}"))
}

/// Has a client ask from `at`, and returns whether an answer that may travel `hops` arrives.
fn arrives(
    listener: &TcpListener,
    at: &Namespace,
    hops: u8,
    patience: Duration,
) -> Result<bool, String> {
    let said = |fault: io::Error| fault.to_string();
    let refused = |errno: Errno| errno.to_string();
    let address = listener.local_addr().map_err(said)?;
    let mut client = inside(at, || TcpStream::connect_timeout(&address, PATIENCE))?;
    client.set_read_timeout(Some(patience)).map_err(said)?;
    // Bounds the wait for a connection too.
    sockopt::set_socket_timeout(listener, sockopt::Timeout::Recv, Some(PATIENCE))
        .map_err(refused)?;
    let (mut answer, _) = listener.accept().map_err(said)?;
    match address {
        SocketAddr::V4(_) => sockopt::set_ip_ttl(&answer, u32::from(hops)),
        SocketAddr::V6(_) => sockopt::set_ipv6_unicast_hops(&answer, Some(hops)),
    }
    .map_err(refused)?;
    // Whatever has not arrived when this is done with is forgotten, and the namespace with it.
    sockopt::set_socket_linger(&answer, Some(Duration::ZERO)).map_err(refused)?;
    answer.write_all(b"!").map_err(said)?;
    match client.read(&mut [0]) {
        Ok(count) => Ok(count == 1),
        Err(fault) if matches!(fault.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok(false)
        }
        Err(fault) => Err(fault.to_string()),
    }
}

/// Does something in a namespace.
fn inside<T: Send, E: ToString + Send>(
    namespace: &Namespace,
    action: impl FnOnce() -> Result<T, E> + Send,
) -> Result<T, String> {
    let done = namespace.run(action).map_err(|fault| fault.to_string())?;
    done.map_err(|fault| fault.to_string())
}

/// Links two namespaces, and returns whether they have IPv6.
fn cable(
    one: &Namespace,
    other: &Namespace,
    ends: [(Ipv4Addr, Ipv6Addr); 2],
) -> Result<bool, String> {
    let names = SIDES.map(|name| VethEnd { name, mac: None });
    inside(one, || Netlink::open()?.add_veth(names[0], names[1], other))?;
    let near = inside(one, || furnish(SIDES[0], ends[0]))?;
    let far = inside(other, || furnish(SIDES[1], ends[1]))?;
    Ok(near && far)
}

fn furnish(name: &str, (v4, v6): (Ipv4Addr, Ipv6Addr)) -> Result<bool, network::NetlinkFault> {
    let mut netlink = Netlink::open()?;
    let index = netlink.link_named(name)?.map_or(LinkIndex::LOOPBACK, |link| link.index);
    netlink.set_up(index)?;
    netlink.add_address(index, net(v4.into(), PREFIXES.0))?;
    match netlink.add_address(index, net(v6.into(), PREFIXES.1)) {
        Ok(()) => Ok(true),
        Err(fault) => match fault.errno() {
            Some(Errno::ACCESS | Errno::OPNOTSUPP | Errno::AFNOSUPPORT) => Ok(false),
            _ => Err(fault),
        },
    }
}

/// Waits until the links that begin in a namespace carry packets. Their far ends were set up last, and
/// do at once; the near ones learn of that a moment later, and what they send before is lost: the
/// kernel would send it again only after a second.
#[expect(
    clippy::disallowed_methods,
    reason = "a pause between two looks at a condition, which alone decides"
)]
fn await_links() -> Result<(), String> {
    let mut netlink = Netlink::open().map_err(|fault| fault.to_string())?;
    let start = Instant::now();
    loop {
        let links = netlink.links().map_err(|fault| fault.to_string())?;
        if links.iter().filter(|link| link.name == SIDES[0]).all(|link| link.is_running) {
            return Ok(());
        }
        if start.elapsed() > SETTLING {
            return Err("the links between them do not carry packets".to_owned());
        }
        thread::sleep(PAUSE); // the kernel tells nobody when a link begins to carry packets
    }
}

fn routes(
    to: (Ipv4Addr, Ipv6Addr),
    prefixes: (u8, u8),
    via: (Ipv4Addr, Ipv6Addr),
    has_ipv6: bool,
) -> Result<(), network::NetlinkFault> {
    let mut netlink = Netlink::open()?;
    let mut add = |to, prefix, via| {
        let target = RouteTarget::Gateway(via, None);
        netlink.add_route(Route { destination: net(to, prefix), target })
    };
    add(to.0.into(), prefixes.0, via.0.into())?;
    if has_ipv6 {
        add(to.1.into(), prefixes.1, via.1.into())?;
    }
    Ok(())
}

/// An address with a prefix that its family has.
fn net(address: IpAddr, prefix: u8) -> IpNet {
    IpNet::new(address, prefix).unwrap_or_else(|_| address.into())
}

fn forward() -> Result<(), String> {
    for path in FORWARDING {
        match fs::write(path, "1") {
            // A kernel without IPv6 has nothing to forward there.
            Err(fault) if fault.kind() != ErrorKind::NotFound => {
                return Err(format!("`{path}` cannot be written: {fault}"));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}
