//! The addresses of links.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_core::{Emitable as _, NLM_F_CREATE, NLM_F_EXCL, parse_ip};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeader, AddressHeaderFlags, AddressMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::message::{NEW_ADDRESS, number};
use super::{LinkIndex, Netlink, NetlinkFault};

/// `IFA_ADDRESS`: the other end's address where there are two, else the address.
const ADDRESS: u16 = 1;
/// `IFA_LOCAL`: the address of this end.
const LOCAL: u16 = 2;
/// `IFA_FLAGS`: all of them; the header has room for the first eight only.
const FLAGS: u16 = 8;

/// An address that a link has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The link.
    pub link: LinkIndex,
    /// The address, with the length of its network's prefix.
    pub address: IpNet,
    /// Whether it may not be used yet, because the kernel is finding out if someone else has it,
    /// or ever, because someone has.
    pub is_tentative: bool,
}

impl Netlink {
    /// Returns the addresses of all links.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`]; also if the list never stands still.
    pub fn addresses(&mut self) -> Result<Vec<InterfaceAddress>, NetlinkFault> {
        let request = "listing addresses";
        let message = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        self.list(request, &message, |message| {
            if message.kind != NEW_ADDRESS {
                return Ok(None);
            }
            let unreadable = || NetlinkFault::unreadable(request);
            let header = AddressHeader::parse(message.payload).map_err(|_| unreadable())?;
            let (mut address, mut local) = (None, None);
            let mut flags = AddressFlags::from_bits_retain(header.flags.bits().into());
            for (kind, value) in message.attributes(header.buffer_len()) {
                match kind {
                    ADDRESS => address = parse_ip(value).ok(),
                    LOCAL => local = parse_ip(value).ok(),
                    FLAGS => flags = AddressFlags::from_bits_retain(number(value).unwrap_or(0)),
                    _ => {}
                }
            }
            // The kernel may have addresses of families that we know nothing of.
            let Some(address) = local.or(address) else { return Ok(None) };
            Ok(Some(InterfaceAddress {
                link: LinkIndex::from_number(header.index),
                address: IpNet::new(address, header.prefix_len).map_err(|_| unreadable())?,
                is_tentative: flags.intersects(AddressFlags::Tentative | AddressFlags::Dadfailed),
            }))
        })
    }

    /// Gives a link an address, which can be used at once: the kernel does not find out first
    /// whether someone else has it. With its prefix comes a route to its network.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`], with `EXIST` if the link has it already.
    pub fn add_address(&mut self, link: LinkIndex, address: IpNet) -> Result<(), NetlinkFault> {
        let mut message = about(link, address);
        if address.addr().is_ipv6() {
            message.header.flags = AddressHeaderFlags::Nodad;
        }
        let request = format!("adding {address} to link {link}");
        let message = RouteNetlinkMessage::NewAddress(message);
        self.change(&request, message, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Takes an address from a link.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`], with `ADDRNOTAVAIL` if the link does not have it.
    pub fn remove_address(&mut self, link: LinkIndex, address: IpNet) -> Result<(), NetlinkFault> {
        let request = format!("removing {address} from link {link}");
        self.change(&request, RouteNetlinkMessage::DelAddress(about(link, address)), 0)
    }
}

fn about(link: LinkIndex, address: IpNet) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.index = link.as_number();
    message.header.family = family_of(address.addr());
    message.header.prefix_len = address.prefix_len();
    message.attributes.push(AddressAttribute::Local(address.addr()));
    message.attributes.push(AddressAttribute::Address(address.addr()));
    message
}

pub(super) fn family_of(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
