//! Listening sockets: one for each worker, on one address.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, listen, socket_with,
    sockopt,
};

use crate::{link_local, sys};

/// LIMIT: connections that the kernel holds for us to accept.
pub(crate) const BACKLOG: i32 = 4096;

/// LIMIT: how long the kernel tries to deliver an answer that the peer does not acknowledge.
const USER_TIMEOUT_MILLIS: u32 = 10_000;

/// Why nothing can be served at an address.
#[derive(Debug, thiserror::Error)]
pub enum ListenFault {
    /// Something listens there already.
    #[error(
        "{0} is taken: another program listens there. Stop it, or choose another address (port 0 \
         lets the system choose)"
    )]
    AddressInUse(SocketAddr),
    /// The address is not one of this machine.
    #[error("{0} is not an address of this machine: add it to an interface, or choose another")]
    AddressNotAvailable(SocketAddr),
    /// The port is reserved for root.
    #[error(
        "{0} needs a privilege: run as root, give the program CAP_NET_BIND_SERVICE, or choose a \
         port from 1024 up"
    )]
    PermissionDenied(SocketAddr),
    /// Anything else.
    #[error("{address} cannot be listened at: {reason}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        reason: String,
    },
}

impl ListenFault {
    /// Says what the system's refusal of an address means.
    pub(crate) fn of(address: SocketAddr, refusal: &std::io::Error) -> Self {
        match Errno::from_io_error(refusal) {
            Some(errno) => fault(address, errno),
            None => Self::Other { address, reason: refusal.to_string() },
        }
    }
}

/// Sockets that listen at one address.
#[derive(Debug)]
pub(crate) struct Listening {
    /// The address, with the port that the system chose if it was 0.
    pub(crate) address: SocketAddr,
    pub(crate) sockets: Vec<OwnedFd>,
}

/// What a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum For {
    /// Whoever reaches the address.
    Anyone,
    /// Instances that are told by their address, and perhaps by their MAC.
    Sources,
    /// Whatever comes in on the interface with this index.
    Interface(u32),
    /// Whoever is in the network namespace that it is opened in.
    Netns,
}

/// Listens at an address with as many sockets as there are workers; the kernel spreads
/// connections over them.
///
/// # Errors
///
/// [`ListenFault`], which says what to do.
pub(crate) fn listen_at(
    address: SocketAddr,
    what_for: For,
    workers: usize,
) -> Result<Listening, ListenFault> {
    let fault = |errno| fault(address, errno);
    if address.port() != 0 {
        // Sockets that share a port also share it with another server of the same user. One that
        // does not share it finds out whether someone is there.
        let probe = open(address, what_for).map_err(fault)?;
        bind(&probe, &address).map_err(fault)?;
    }
    let mut sockets = Vec::with_capacity(workers);
    let mut bound = address;
    for _ in 0..workers {
        let socket = open(address, what_for).map_err(fault)?;
        sockopt::set_socket_reuseport(&socket, true).map_err(fault)?;
        bind(&socket, &bound).map_err(fault)?;
        bound = getsockname(&socket)
            .and_then(|name| SocketAddr::try_from(name).map_err(|_| Errno::AFNOSUPPORT))
            .map_err(fault)?;
        sockets.push(socket);
    }
    // Only now, so that no connection waits at a socket whose fellows may not come to be.
    for socket in &sockets {
        listen(socket, BACKLOG).map_err(fault)?;
    }
    Ok(Listening { address: bound, sockets })
}

/// Listens at EC2's addresses with one socket each, whether or not anyone has given them to an
/// interface yet. Where the namespace has no IPv6, there is none for that. `is_shared` says whether
/// this server listens there for others too.
///
/// # Errors
///
/// [`ListenFault`], which says what to do.
pub(crate) fn listen_at_link_local(
    what_for: For,
    is_shared: bool,
) -> Result<Vec<OwnedFd>, ListenFault> {
    let mut sockets = Vec::with_capacity(link_local::ADDRESSES.len());
    for address in link_local::ADDRESSES {
        let opened = open(address, what_for).and_then(|socket| {
            // The kernel prefers the socket of the interface that a connection comes in on.
            sockopt::set_socket_reuseport(&socket, is_shared)?;
            bind(&socket, &address)?;
            listen(&socket, BACKLOG)?;
            Ok(socket)
        });
        match opened {
            Ok(socket) => sockets.push(socket),
            Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
                if address.is_ipv6() && !sockets.is_empty() => {}
            Err(errno) => return Err(fault(address, errno)),
        }
    }
    Ok(sockets)
}

fn open(address: SocketAddr, what_for: For) -> Result<OwnedFd, Errno> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    // Connections that ended a moment ago do not keep the port.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if let For::Interface(index) = what_for {
        sys::bind_to_interface(&socket, index)?;
    }
    prepare(&socket, address, what_for)?;
    match (what_for, address) {
        (For::Anyone | For::Sources, _) => {}
        (For::Interface(_) | For::Netns, SocketAddr::V4(_)) => {
            sockopt::set_ip_freebind(&socket, true)?;
        }
        (For::Interface(_) | For::Netns, SocketAddr::V6(_)) => {
            sockopt::set_ipv6_freebind(&socket, true)?;
        }
    }
    Ok(socket)
}

/// Sets what connections inherit from the socket that they come in at.
///
/// # Errors
///
/// What the system says.
pub(crate) fn prepare(socket: impl AsFd, address: SocketAddr, what_for: For) -> Result<(), Errno> {
    // A peer that stops taking its answer does not hold memory for minutes, and what routers say
    // about an answer is known at once.
    sockopt::set_tcp_user_timeout(&socket, USER_TIMEOUT_MILLIS)?;
    sys::report_errors(&socket, address.is_ipv6())?;
    match what_for {
        For::Anyone | For::Netns => Ok(()),
        For::Sources | For::Interface(_) => sys::save_first_packets(&socket),
    }
}

fn fault(address: SocketAddr, errno: Errno) -> ListenFault {
    match errno {
        Errno::ADDRINUSE => ListenFault::AddressInUse(address),
        Errno::ADDRNOTAVAIL => ListenFault::AddressNotAvailable(address),
        Errno::ACCESS | Errno::PERM => ListenFault::PermissionDenied(address),
        errno => ListenFault::Other { address, reason: errno.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_noticed_although_ports_are_shared() {
        let free: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = listen_at(free, For::Anyone, 2).unwrap();
        assert_eq!(first.sockets.len(), 2);
        let fault = listen_at(first.address, For::Anyone, 2).unwrap_err();
        assert!(matches!(fault, ListenFault::AddressInUse(_)), "{fault}");
        let address = first.address;
        drop(first);
        assert!(listen_at(address, For::Anyone, 2).is_ok());
    }

    #[test]
    fn a_foreign_address_is_refused() {
        let fault = listen_at("192.0.2.1:0".parse().unwrap(), For::Anyone, 1).unwrap_err();
        assert!(matches!(fault, ListenFault::AddressNotAvailable(_)), "{fault}");
    }
}
