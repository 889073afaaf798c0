//! Routes: where packets go.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use netlink_packet_core::{Emitable as _, NLM_F_CREATE, NLM_F_EXCL, parse_ip};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use super::address::family_of;
use super::message::{Message, NEW_ROUTE, number};
use super::{LinkIndex, Netlink, NetlinkFault};

/// `RTA_DST`.
const DESTINATION: u16 = 1;
/// `RTA_OIF`.
const LINK: u16 = 4;
/// `RTA_GATEWAY`.
const GATEWAY: u16 = 5;
/// `RTA_TABLE`: the whole number of the table; the header has room for small ones only.
const TABLE: u16 = 15;

/// A route of the main table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The addresses that it leads to.
    pub destination: IpNet,
    /// How to get there.
    pub target: RouteTarget,
}

/// How packets travel on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteTarget {
    /// To a router, on the link if it is named, else on the one that leads to the router.
    Gateway(IpAddr, Option<LinkIndex>),
    /// To whoever has the address, on this link.
    Link(LinkIndex),
    /// To this namespace itself.
    Local,
    /// Nowhere: there is no way, or none that is allowed.
    Nowhere,
    /// In another way, such as over several links at once.
    Other,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let destination = self.destination;
        match self.target {
            RouteTarget::Gateway(gateway, Some(link)) => {
                write!(f, "{destination} via {gateway} on link {link}")
            }
            RouteTarget::Gateway(gateway, None) => write!(f, "{destination} via {gateway}"),
            RouteTarget::Link(link) => write!(f, "{destination} on link {link}"),
            RouteTarget::Local => write!(f, "{destination} here"),
            RouteTarget::Nowhere => write!(f, "{destination} nowhere"),
            RouteTarget::Other => write!(f, "{destination}"),
        }
    }
}

impl Netlink {
    /// Returns the routes of the main table.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`]; also if the list never stands still.
    pub fn routes(&mut self) -> Result<Vec<Route>, NetlinkFault> {
        let request = "listing routes";
        let message = RouteNetlinkMessage::GetRoute(RouteMessage::default());
        self.list(request, &message, |message| {
            let Some((route, table)) = read(request, message)? else { return Ok(None) };
            Ok((table == u32::from(RouteHeader::RT_TABLE_MAIN)).then_some(route))
        })
    }

    /// Returns how packets from here to `address` travel, with all tables and by all rules.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`].
    pub fn route_to(&mut self, address: IpAddr) -> Result<RouteTarget, NetlinkFault> {
        let request = format!("looking for the route to {address}");
        let message = RouteNetlinkMessage::GetRoute(about(address.into()));
        let mut found = RouteTarget::Nowhere;
        let outcome = self.ask(&request, message, |message| {
            if let Some((route, _)) = read(&request, message)? {
                found = route.target;
            }
            Ok(())
        });
        match outcome.as_ref().err().and_then(NetlinkFault::errno) {
            // There is none, or one that says unreachable, blackhole, prohibited; or no IPv6.
            Some(
                Errno::NETUNREACH
                | Errno::HOSTUNREACH
                | Errno::INVAL
                | Errno::ACCESS
                | Errno::AFNOSUPPORT
                | Errno::OPNOTSUPP,
            ) => Ok(RouteTarget::Nowhere),
            _ => outcome.map(|()| found),
        }
    }

    /// Adds a route by a gateway or on a link to the main table.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`], with `EXIST` if there is one to the same addresses already, and with
    /// `INVAL` or `NODEV` if the target is of another kind.
    pub fn add_route(&mut self, route: Route) -> Result<(), NetlinkFault> {
        let mut message = about(route.destination.trunc());
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.kind = RouteType::Unicast;
        let link = match route.target {
            RouteTarget::Gateway(gateway, link) => {
                message.attributes.push(RouteAttribute::Gateway(address_of(gateway)));
                link
            }
            RouteTarget::Link(link) => {
                if route.destination.addr().is_ipv4() {
                    message.header.scope = RouteScope::Link;
                }
                Some(link)
            }
            RouteTarget::Local | RouteTarget::Nowhere | RouteTarget::Other => None,
        };
        message.attributes.extend(link.map(|link| RouteAttribute::Oif(link.as_number())));
        let message = RouteNetlinkMessage::NewRoute(message);
        self.change(&format!("adding a route to {route}"), message, NLM_F_CREATE | NLM_F_EXCL)
    }
}

/// Reads a message about a route, and the number of its table.
fn read(request: &str, message: &Message<'_>) -> Result<Option<(Route, u32)>, NetlinkFault> {
    if message.kind != NEW_ROUTE {
        return Ok(None);
    }
    let unreadable = || NetlinkFault::unreadable(request);
    let header = RouteHeader::parse(message.payload).map_err(|_| unreadable())?;
    let mut destination: IpAddr = if header.address_family == AddressFamily::Inet {
        Ipv4Addr::UNSPECIFIED.into()
    } else if header.address_family == AddressFamily::Inet6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        // Routes of multicast groups and labels are lists of their own.
        return Ok(None);
    };
    let (mut gateway, mut link, mut table) = (None, None, u32::from(header.table));
    for (kind, value) in message.attributes(header.buffer_len()) {
        match kind {
            DESTINATION => destination = parse_ip(value).map_err(|_| unreadable())?,
            LINK => link = number(value).map(LinkIndex::from_number),
            GATEWAY => gateway = parse_ip(value).ok(),
            TABLE => table = number(value).unwrap_or(table),
            _ => {}
        }
    }
    let target = match (header.kind, gateway, link) {
        (RouteType::Unicast, Some(gateway), link) => RouteTarget::Gateway(gateway, link),
        (RouteType::Unicast, None, Some(link)) => RouteTarget::Link(link),
        (RouteType::Local, ..) => RouteTarget::Local,
        (RouteType::BlackHole | RouteType::Prohibit | RouteType::Unreachable, ..) => {
            RouteTarget::Nowhere
        }
        _ => RouteTarget::Other,
    };
    let destination =
        IpNet::new(destination, header.destination_prefix_length).map_err(|_| unreadable())?;
    Ok(Some((Route { destination, target }, table)))
}

fn about(destination: IpNet) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family_of(destination.addr());
    message.header.destination_prefix_length = destination.prefix_len();
    // A default route is one without a destination.
    if destination.prefix_len() > 0 {
        message.attributes.push(RouteAttribute::Destination(address_of(destination.addr())));
    }
    message
}

fn address_of(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(address) => RouteAddress::Inet(address),
        IpAddr::V6(address) => RouteAddress::Inet6(address),
    }
}
