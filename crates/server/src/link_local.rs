//! The link-local addresses of the metadata service, put on the loopback interface and taken off
//! again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use network::{LinkIndex, Netlink, NetlinkFault};
use rustix::io::Errno;

/// EC2: where instances find the service (data plane, 1.1).
pub(crate) const ADDRESSES: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), 80),
];

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
    #[error("the loopback interface cannot have the addresses of the metadata service")]
    Other(#[source] NetlinkFault),
}

/// The addresses, for as long as this is kept.
#[derive(Debug)]
pub(crate) struct LinkLocal {
    netlink: Netlink,
    added: Vec<IpAddr>,
}

impl LinkLocal {
    /// Adds the addresses. One that a killed server left behind is taken over.
    ///
    /// # Errors
    ///
    /// [`LinkLocalFault`]; then none is left behind.
    pub(crate) fn add() -> Result<Self, LinkLocalFault> {
        let netlink = Netlink::open().map_err(LinkLocalFault::Other)?;
        let mut this = Self { netlink, added: Vec::new() };
        for address in ADDRESSES {
            if TcpStream::connect_timeout(&address, PROBE_DEADLINE).is_ok() {
                return Err(LinkLocalFault::Answered(address));
            }
            let address = address.ip();
            let outcome = this.netlink.add_address(LinkIndex::LOOPBACK, address.into());
            match outcome.as_ref().map_err(NetlinkFault::errno) {
                Ok(()) | Err(Some(Errno::EXIST)) => this.added.push(address),
                // IPv6 is off in this network namespace: what cannot be reached needs no service.
                Err(Some(Errno::ACCESS | Errno::OPNOTSUPP | Errno::AFNOSUPPORT))
                    if address.is_ipv6() && !this.added.is_empty() => {}
                Err(Some(Errno::PERM | Errno::ACCESS)) => {
                    return Err(LinkLocalFault::PermissionDenied(address));
                }
                Err(_) => outcome.map_err(LinkLocalFault::Other)?,
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
            let _ = self.netlink.remove_address(LinkIndex::LOOPBACK, (*address).into());
        }
    }
}
