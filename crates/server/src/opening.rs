//! What it takes from the system to serve an attachment: sockets, and what tells that they must go.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use model::{Attachment, InterfaceName, NetnsName, in_full};
use network::{Namespace, NamespaceFault, NamespaceIdentity, Netlink};

use crate::link_local;
use crate::listener::{For, Listening, listen_at, listen_at_link_local};

/// What holds a door open: it is let go when this goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hinge {
    /// Nothing but the door itself.
    Address,
    /// The interface with this index.
    Interface(u32),
    /// This namespace.
    Namespace(NamespaceIdentity),
}

/// A door that is had from the system, not yet given to a worker.
pub(crate) struct Opened {
    pub(crate) hinge: Hinge,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) sockets: Vec<OwnedFd>,
}

impl From<Listening> for Opened {
    fn from(Listening { address, sockets }: Listening) -> Self {
        Self { hinge: Hinge::Address, addresses: vec![address], sockets }
    }
}

/// Opens a door for an attachment. `workers` is how many share a listener; `is_shared` says whether
/// EC2's addresses are listened at for other instances too.
///
/// # Errors
///
/// In words: what is missing, and the cure.
pub(crate) fn open(
    attachment: &Attachment,
    workers: usize,
    is_shared: bool,
) -> Result<Opened, String> {
    match attachment {
        Attachment::Interface(name) => open_at_interface(*name, is_shared),
        Attachment::Listener(address) => {
            let listening = listen_at(*address, For::Anyone, workers);
            listening.map(Opened::from).map_err(|fault| fault.to_string())
        }
        Attachment::Netns(name) => open_in_namespace(name),
        Attachment::Source { .. } => {
            Ok(Opened { hinge: Hinge::Address, addresses: Vec::new(), sockets: Vec::new() })
        }
    }
}

fn open_at_interface(name: InterfaceName, is_shared: bool) -> Result<Opened, String> {
    let found = Netlink::open().and_then(|mut netlink| netlink.link_named(name.as_str()));
    let link = found.map_err(|fault| in_full(&fault))?.ok_or_else(|| {
        format!("there is no network interface `{name}`: it is served once there is one")
    })?;
    if link.mac.is_none() {
        return Err(format!(
            "interface `{name}` has no MAC address, so nobody's can be checked on it: use a TAP or \
             another Ethernet interface, or attach by `source`"
        ));
    }
    let index = link.index.as_number();
    let sockets = listen_at_link_local(For::Interface(index), is_shared)
        .map_err(|fault| format!("on interface `{name}`: {fault}"))?;
    Ok(Opened { hinge: Hinge::Interface(index), addresses: ec2_addresses(&sockets), sockets })
}

fn open_in_namespace(name: &NetnsName) -> Result<Opened, String> {
    let namespace = Namespace::open(name.path().as_ref()).map_err(|fault| {
        // While `ip netns` makes or deletes one, its name is that of an empty file.
        let is_half = matches!(fault, NamespaceFault::NotANamespace(_)) && !name.is_path();
        if is_half || matches!(fault, NamespaceFault::Absent(_)) {
            return format!(
                "there is no network namespace `{name}`: it is served once there is one (`ip netns \
                 add` makes one)"
            );
        }
        in_full(&fault)
    })?;
    let listened = namespace.run(|| listen_at_link_local(For::Netns, false));
    let sockets = listened
        .map_err(|fault| in_full(&fault))?
        .map_err(|fault| format!("in network namespace `{name}`: {fault}"))?;
    let identity = namespace.identity();
    Ok(Opened { hinge: Hinge::Namespace(identity), addresses: ec2_addresses(&sockets), sockets })
}

fn ec2_addresses(sockets: &[OwnedFd]) -> Vec<SocketAddr> {
    link_local::ADDRESSES.into_iter().take(sockets.len()).collect()
}
