//! Requests about links, addresses and routes, in the namespace of the thread that opened them.

use std::fmt::Display;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd as _};

use model::MacAddress;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use rustix::io::Errno;
use rustix::net::{AddressFamily as Family, SocketType, netdevice};

use crate::Namespace;

/// A request that the kernel refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{request}: {errno}{cure}", cure = cure(*.errno))]
pub struct NetlinkFault {
    /// What was asked.
    pub request: String,
    /// Why not.
    pub errno: Errno,
}

fn cure(errno: Errno) -> &'static str {
    match errno {
        Errno::PERM | Errno::ACCESS => " (run as root, or with CAP_NET_ADMIN)",
        _ => "",
    }
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number, which no other interface of the namespace has had.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address, if it has one.
    pub mac: Option<MacAddress>,
    /// Whether it is up.
    pub is_up: bool,
    /// The bridge or bond that it is a port of.
    pub controller: Option<u32>,
}

/// An address of a network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface's number.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// How many of its bits are the network's.
    pub prefix: u8,
}

/// A route of the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to; none for everywhere.
    pub to: Option<(IpAddr, u8)>,
    /// Whether it is of IPv6.
    pub is_ipv6: bool,
    /// The next router.
    pub via: Option<IpAddr>,
    /// The number of the interface it leads out of.
    pub out: Option<u32>,
    /// Whether it leads anywhere: a prohibiting or unreachable route does not.
    pub is_unicast: bool,
}

/// One end of a virtual Ethernet cable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VethEnd<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its Ethernet address; one that the kernel draws if none is given.
    pub mac: Option<MacAddress>,
}

/// Returns the number of the interface with a name, in the namespace of the calling thread.
///
/// # Errors
///
/// [`NetlinkFault`]
pub fn index_of(name: &str) -> Result<Option<u32>, NetlinkFault> {
    let request = || format!("looking for interface `{name}`");
    let socket = rustix::net::socket(Family::INET, SocketType::DGRAM, None)
        .map_err(|errno| NetlinkFault { request: request(), errno })?;
    match netdevice::name_to_index(&socket, name) {
        Ok(index) => Ok(Some(index)),
        Err(Errno::NODEV) => Ok(None),
        Err(errno) => Err(NetlinkFault { request: request(), errno }),
    }
}

/// A conversation with the kernel about one namespace.
pub struct Netlink(Socket);

impl Netlink {
    /// Starts one about the namespace that the calling thread is in.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`]
    pub fn open() -> Result<Self, NetlinkFault> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind_auto()?;
            socket.connect(&SocketAddr::new(0, 0))?;
            Ok(socket)
        };
        open().map(Self).map_err(|fault| failed("opening a netlink socket", &fault))
    }

    /// Returns all network interfaces.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`]
    pub fn links(&self) -> Result<Vec<Link>, NetlinkFault> {
        let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let answers = self.dump(request, "listing interfaces")?;
        Ok(answers.into_iter().filter_map(|answer| Link::read(&answer)).collect())
    }

    /// Returns all addresses.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`]
    pub fn addresses(&self) -> Result<Vec<Address>, NetlinkFault> {
        let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = self.dump(request, "listing addresses")?;
        Ok(answers.iter().filter_map(Address::read).collect())
    }

    /// Returns all routes of the main table.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`]
    pub fn routes(&self) -> Result<Vec<Route>, NetlinkFault> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            let answers = self.dump(RouteNetlinkMessage::GetRoute(message), "listing routes")?;
            routes.extend(answers.iter().filter_map(Route::read));
        }
        Ok(routes)
    }

    /// Gives an address to an interface. An IPv6 one is used at once, without asking around first.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`], with `EXIST` if it has it already.
    pub fn add_address(&self, index: u32, address: IpAddr, prefix: u8) -> Result<(), NetlinkFault> {
        let message = RouteNetlinkMessage::NewAddress(address_message(index, address, prefix));
        self.change(message, NLM_F_CREATE | NLM_F_EXCL, format_args!("adding address {address}"))
    }

    /// Takes an address from an interface.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`]
    pub fn remove_address(
        &self,
        index: u32,
        address: IpAddr,
        prefix: u8,
    ) -> Result<(), NetlinkFault> {
        let message = RouteNetlinkMessage::DelAddress(address_message(index, address, prefix));
        self.change(message, 0, format_args!("removing address {address}"))
    }

    /// Brings an interface up.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`]
    pub fn set_up(&self, index: u32) -> Result<(), NetlinkFault> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        let request = format_args!("bringing interface {index} up");
        self.change(RouteNetlinkMessage::SetLink(message), 0, request)
    }

    /// Makes a virtual Ethernet cable, with one end here and the other in another namespace.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`]
    pub fn add_veth(
        &self,
        here: &VethEnd<'_>,
        there: &VethEnd<'_>,
        namespace: &Namespace,
    ) -> Result<(), NetlinkFault> {
        let end = |end: &VethEnd<'_>| {
            let mut message = LinkMessage::default();
            message.attributes.push(LinkAttribute::IfName(end.name.to_owned()));
            let mac = end.mac.map(|mac| LinkAttribute::Address(mac.as_bytes().to_vec()));
            message.attributes.extend(mac);
            message
        };
        let mut far = end(there);
        far.attributes.push(LinkAttribute::NetNsFd(namespace.as_fd().as_raw_fd()));
        let mut near = end(here);
        near.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(far))),
        ]));
        let request = format_args!("making a link from {} to {}", here.name, there.name);
        self.change(RouteNetlinkMessage::NewLink(near), NLM_F_CREATE | NLM_F_EXCL, request)
    }

    /// Adds a route, through a router or out of an interface.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`]
    pub fn add_route(
        &self,
        (to, prefix): (IpAddr, u8),
        via: Option<IpAddr>,
        out: u32,
    ) -> Result<(), NetlinkFault> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(to);
        message.header.destination_prefix_length = prefix;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.scope = match via {
            None if to.is_ipv4() => RouteScope::Link,
            _ => RouteScope::Universe,
        };
        message.header.kind = RouteType::Unicast;
        if prefix > 0 {
            message.attributes.push(RouteAttribute::Destination(RouteAddress::from(to)));
        }
        message.attributes.extend(via.map(|via| RouteAttribute::Gateway(RouteAddress::from(via))));
        message.attributes.push(RouteAttribute::Oif(out));
        let request = format_args!("adding a route to {to}/{prefix}");
        self.change(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_EXCL, request)
    }

    /// Asks for a change, and waits for the kernel's verdict.
    fn change(
        &self,
        request: RouteNetlinkMessage,
        flags: u16,
        what: impl Display,
    ) -> Result<(), NetlinkFault> {
        self.send(request, NLM_F_ACK | flags).map_err(|fault| failed(&what, &fault))?;
        let (bytes, _) = self.0.recv_from_full().map_err(|fault| failed(&what, &fault))?;
        match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&bytes).map(|m| m.payload) {
            Ok(NetlinkPayload::Error(verdict)) => match verdict.code {
                None => Ok(()),
                Some(code) => Err(NetlinkFault {
                    request: what.to_string(),
                    errno: Errno::from_raw_os_error(code.get().saturating_neg()),
                }),
            },
            _ => Err(NetlinkFault { request: what.to_string(), errno: Errno::PROTO }),
        }
    }

    /// Asks for everything of a kind.
    fn dump(
        &self,
        request: RouteNetlinkMessage,
        what: &str,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkFault> {
        let broken = |errno| NetlinkFault { request: what.to_owned(), errno };
        self.send(request, NLM_F_DUMP).map_err(|fault| failed(what, &fault))?;
        let mut answers = Vec::new();
        loop {
            let (bytes, _) = self.0.recv_from_full().map_err(|fault| failed(what, &fault))?;
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let (message, after) = split(rest).ok_or_else(|| broken(Errno::PROTO))?;
                rest = after;
                if let NetlinkPayload::Done(_) = message.payload {
                    return Ok(answers);
                }
                if let NetlinkPayload::Error(verdict) = message.payload {
                    let code = verdict.code.map_or(0, |code| code.get().saturating_neg());
                    return Err(broken(Errno::from_raw_os_error(code)));
                }
                if let NetlinkPayload::InnerMessage(answer) = message.payload {
                    answers.push(answer);
                }
            }
        }
    }

    fn send(&self, request: RouteNetlinkMessage, flags: u16) -> std::io::Result<()> {
        let mut request = NetlinkMessage::from(request);
        request.header.flags = NLM_F_REQUEST | flags;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.0.send(&bytes, 0).map(drop)
    }
}

/// Reads the first message of a packet, and returns the rest.
pub(crate) fn split(bytes: &[u8]) -> Option<(NetlinkMessage<RouteNetlinkMessage>, &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?);
    let length = usize::try_from(length).ok().filter(|length| *length >= 16)?;
    let message = NetlinkMessage::deserialize(bytes.get(..length)?).ok()?;
    // Messages are aligned to four bytes.
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((message, rest))
}

fn failed(request: impl Display, fault: &std::io::Error) -> NetlinkFault {
    let errno = Errno::from_io_error(fault).unwrap_or(Errno::IO);
    NetlinkFault { request: request.to_string(), errno }
}

fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}

fn address_message(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = index;
    message.header.family = family(address);
    message.header.prefix_len = prefix;
    message.attributes.push(AddressAttribute::Local(address));
    message.attributes.push(AddressAttribute::Address(address));
    if address.is_ipv6() {
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message
}

impl Link {
    pub(crate) fn read(message: &RouteNetlinkMessage) -> Option<Self> {
        let (RouteNetlinkMessage::NewLink(message) | RouteNetlinkMessage::DelLink(message)) =
            message
        else {
            return None;
        };
        let mut link = Self {
            index: message.header.index,
            name: String::new(),
            mac: None,
            is_up: message.header.flags.contains(LinkFlags::Up),
            controller: None,
        };
        for attribute in &message.attributes {
            if let LinkAttribute::IfName(name) = attribute {
                link.name.clone_from(name);
            } else if let LinkAttribute::Address(bytes) = attribute {
                link.mac = bytes.as_slice().try_into().ok().map(MacAddress::from_bytes);
            } else if let LinkAttribute::Controller(index) = attribute {
                link.controller = Some(*index);
            }
        }
        Some(link)
    }
}

impl Address {
    fn read(message: &RouteNetlinkMessage) -> Option<Self> {
        let RouteNetlinkMessage::NewAddress(message) = message else {
            return None;
        };
        let (mut local, mut plain) = (None, None);
        for attribute in &message.attributes {
            if let AddressAttribute::Local(address) = attribute {
                local = Some(*address);
            } else if let AddressAttribute::Address(address) = attribute {
                plain = Some(*address);
            }
        }
        let (index, prefix) = (message.header.index, message.header.prefix_len);
        // On a point-to-point link the plain address is the peer's.
        Some(Self { index, address: local.or(plain)?, prefix })
    }
}

impl Route {
    fn read(message: &RouteNetlinkMessage) -> Option<Self> {
        let RouteNetlinkMessage::NewRoute(message) = message else {
            return None;
        };
        let header = &message.header;
        if header.table != RouteHeader::RT_TABLE_MAIN {
            return None;
        }
        let mut route = Self {
            to: None,
            is_ipv6: header.address_family == AddressFamily::Inet6,
            via: None,
            out: None,
            is_unicast: header.kind == RouteType::Unicast,
        };
        for attribute in &message.attributes {
            if let RouteAttribute::Destination(to) = attribute {
                route.to = ip(to).map(|to| (to, header.destination_prefix_length));
            } else if let RouteAttribute::Gateway(via) = attribute {
                route.via = ip(via);
            } else if let RouteAttribute::Oif(out) = attribute {
                route.out = Some(*out);
            }
        }
        Some(route)
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        RouteAddress::Mpls(_) | RouteAddress::Other(_) | _ => None,
    }
}
