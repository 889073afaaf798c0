//! The link-local addresses of the metadata service, put on the loopback interface and taken off
//! again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use network::{Netlink, NetlinkFault};
use rustix::io::Errno;

/// EC2: where instances find the service (data plane, 1.1).
pub(crate) const ADDRESSES: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), 80),
];

/// The loopback interface is the first of every network namespace.
const LOOPBACK_INDEX: u32 = 1;

/// How long someone who is there already may take to accept a connection.
const PROBE_DEADLINE: Duration = Duration::from_millis(500);

/// Why the addresses cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LinkLocalFault {
    /// Another metadata service answers.
    #[error(
        "something already answers at {0}: this is an EC2 instance, or another server runs here. \
         Leave --link-local out"
    )]
    Answered(SocketAddr),
    /// No privilege.
    #[error("adding {0} to the loopback interface needs root, or CAP_NET_ADMIN")]
    PermissionDenied(IpAddr),
    /// Anything else.
    #[error("{address} cannot be added to the loopback interface: {reason}")]
    Other {
        /// The address.
        address: IpAddr,
        /// What the system says.
        reason: String,
    },
}

/// The addresses, for as long as this is kept.
#[derive(Debug)]
pub(crate) struct LinkLocal {
    added: Vec<IpAddr>,
}

impl LinkLocal {
    /// Adds the addresses. One that a killed server left behind is taken over.
    ///
    /// # Errors
    ///
    /// [`LinkLocalFault`]; then none is left behind.
    pub(crate) fn add() -> Result<Self, LinkLocalFault> {
        let mut this = Self { added: Vec::new() };
        for address in ADDRESSES {
            if TcpStream::connect_timeout(&address, PROBE_DEADLINE).is_ok() {
                return Err(LinkLocalFault::Answered(address));
            }
            let address = address.ip();
            match change(address, Change::Add).map_err(|fault| fault.errno) {
                Ok(()) | Err(Errno::EXIST) => this.added.push(address),
                // IPv6 is off in this network namespace: what cannot be reached needs no service.
                Err(Errno::ACCESS | Errno::OPNOTSUPP | Errno::AFNOSUPPORT)
                    if address.is_ipv6() && !this.added.is_empty() => {}
                Err(Errno::PERM | Errno::ACCESS) => {
                    return Err(LinkLocalFault::PermissionDenied(address));
                }
                Err(errno) => {
                    return Err(LinkLocalFault::Other { address, reason: errno.to_string() });
                }
            }
        }
        Ok(this)
    }
}

impl LinkLocal {
    /// Returns the addresses to listen at.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        ADDRESSES.into_iter().filter(|address| self.added.contains(&address.ip()))
    }
}

impl Drop for LinkLocal {
    fn drop(&mut self) {
        for address in &self.added {
            // Gone already, or not ours to take away any more: either way there is nothing to do.
            let _ = change(*address, Change::Remove);
        }
    }
}

#[derive(Clone, Copy)]
enum Change {
    Add,
    Remove,
}

fn change(address: IpAddr, change: Change) -> Result<(), NetlinkFault> {
    let netlink = Netlink::open()?;
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    match change {
        Change::Add => netlink.add_address(LOOPBACK_INDEX, address, prefix),
        Change::Remove => netlink.remove_address(LOOPBACK_INDEX, address, prefix),
    }
}
