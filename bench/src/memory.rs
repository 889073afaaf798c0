//! What a server holds in RAM when idle, and for each connection that says nothing more.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{self, AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use crate::request::Kind;
use crate::servers::{Brand, Programs, Server};
use crate::stats::number;
use crate::{Fault, client, kernel};

/// Connections that are opened and left idle.
pub(crate) const CONNECTIONS: u16 = 2000;

/// Source addresses that these come from, since servers limit connections per source.
pub(crate) const SOURCES: u8 = 40;

/// LIMIT: how long a server may take to accept them.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first half of a request: the server must keep it, and wait.
const HALF_REQUEST: &[u8] = b"GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: 169.254.";

/// Memory of one server process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Footprint {
    pub(crate) brand: Brand,
    /// Right after the start.
    pub(crate) idle: f64,
    /// Added by each idle connection, the kernel's share not counted.
    pub(crate) per_connection: f64,
}

/// Measures a freshly started server.
pub(crate) fn measure(programs: &Programs, brand: Brand) -> Result<Footprint, Fault> {
    let server = programs.start(brand)?;
    let idle = kernel::resident_bytes(server.pid())?;
    let request = server.request(Kind::Get)?;
    client::ask(server.address()?, &request)?;
    let before = kernel::resident_bytes(server.pid())?;
    let connections = open_idle(&server)?;
    // Its answer proves that a server of one thread is through with what came before.
    client::ask(server.address()?, &request)?;
    let after = kernel::resident_bytes(server.pid())?;
    let lost = closed_by_server(&connections)?;
    if lost > 0 {
        return Err(format!(
            "{} closed {lost} of {CONNECTIONS} idle connections: its limits are too low for this",
            brand.name()
        )
        .into());
    }
    let added = number(after.saturating_sub(before));
    Ok(Footprint { brand, idle: number(idle), per_connection: added / f64::from(CONNECTIONS) })
}

/// Opens the connections, sends half a request on each, and waits until all are accepted.
fn open_idle(server: &Server) -> Result<Vec<OwnedFd>, Fault> {
    let before = kernel::open_files(server.pid())?;
    let connections = (0..CONNECTIONS)
        .map(|number| half_ask(server.address()?, number))
        .collect::<Result<Vec<_>, Fault>>()?;
    let deadline = Instant::now() + PATIENCE;
    while kernel::open_files(server.pid())? < before + connections.len() {
        if Instant::now() > deadline {
            let name = server.brand.name();
            return Err(format!("{name} did not accept {CONNECTIONS} idle connections").into());
        }
        // Looks again once something happens on a connection, or a little later.
        let soon = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
        poll(&mut [], Some(&soon))?;
    }
    Ok(connections)
}

fn half_ask(to: SocketAddrV4, number: u16) -> Result<OwnedFd, Fault> {
    let flags = SocketFlags::CLOEXEC;
    let connection =
        net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    // The first few addresses are left to others.
    let source = Ipv4Addr::new(127, 0, 1, u8::try_from(number % u16::from(SOURCES))? + 1);
    sockopt::set_socket_reuseaddr(&connection, true)?;
    net::bind(&connection, &SocketAddrV4::new(source, 0))?;
    net::connect(&connection, &to)?;
    net::send(&connection, HALF_REQUEST, SendFlags::NOSIGNAL)?;
    Ok(connection)
}

/// How many of the connections have something to read, which can only be their end.
fn closed_by_server(connections: &[OwnedFd]) -> Result<usize, Fault> {
    let mut watched: Vec<PollFd<'_>> =
        connections.iter().map(|connection| PollFd::new(connection, PollFlags::IN)).collect();
    Ok(poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?)
}
