//! Links: the interfaces of a network namespace.

use std::fmt;
use std::os::fd::{AsFd as _, AsRawFd as _};

use model::MacAddress;
use netlink_packet_core::{Emitable as _, NLM_F_CREATE, NLM_F_EXCL, parse_mac};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkHeader, LinkInfo, LinkMessage,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use super::message::{DELETED_LINK, Message, NEW_LINK, attributes, number, text};
use super::{Netlink, NetlinkFault};
use crate::Namespace;

/// `IFLA_ADDRESS`.
const ADDRESS: u16 = 1;
/// `IFLA_IFNAME`.
const NAME: u16 = 3;
/// `IFLA_MASTER`.
const MASTER: u16 = 10;
/// `IFLA_LINKINFO`, and in it `IFLA_INFO_KIND`.
const INFO: u16 = 18;
const INFO_KIND: u16 = 1;

/// The number of a link in its network namespace; in another one, it is that of another link. No
/// link has the number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkIndex(u32);

impl LinkIndex {
    /// The loopback interface, in every namespace.
    pub const LOOPBACK: Self = Self(1);

    /// Makes an index from its number.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// Returns the number, as socket options and addresses with a scope take it.
    pub const fn as_number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for LinkIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: LinkIndex,
    /// Its name, such as `eth0`.
    pub name: String,
    /// Its Ethernet address, if it has one.
    pub mac: Option<MacAddress>,
    /// Whether it is switched on.
    pub is_up: bool,
    /// Whether packets can travel through it, as far as the kernel has found out: a moment after
    /// both ends of a pair are up.
    pub is_running: bool,
    /// The bridge, bond or the like that it is a port of. Packets that come in on a port of a
    /// bridge arrive at the bridge, not at the port.
    pub master: Option<LinkIndex>,
    /// What makes it, such as `veth`, `bridge`, or `tun` for TUN and TAP; none for hardware and
    /// for the loopback interface.
    pub kind: Option<String>,
}

/// One end of a pair of virtual Ethernet interfaces.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Its name: 15 bytes at most.
    pub name: &'a str,
    /// Its Ethernet address; if none, the kernel draws one.
    pub mac: Option<MacAddress>,
}

/// A link that is there, or one that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Gone(Link),
    There(Link),
}

/// Reads a message about a link. None if it is about something else, for instance about the part
/// that a link has in a bridge; an error if it cannot be read.
pub(crate) fn read(message: &Message<'_>) -> Result<Option<Word>, ()> {
    let word = match message.kind {
        NEW_LINK => Word::There,
        DELETED_LINK => Word::Gone,
        _ => return Ok(None),
    };
    let header = LinkHeader::parse(message.payload).map_err(|_| ())?;
    // A port that leaves its bridge is announced as a deleted link, of the bridge's family.
    if header.interface_family != AddressFamily::Unspec {
        return Ok(None);
    }
    let mut link = Link {
        index: LinkIndex(header.index),
        name: String::new(),
        mac: None,
        is_up: header.flags.contains(LinkFlags::Up),
        is_running: header.flags.contains(LinkFlags::Running),
        master: None,
        kind: None,
    };
    for (kind, value) in message.attributes(header.buffer_len()) {
        match kind {
            ADDRESS => link.mac = parse_mac(value).ok().map(MacAddress::from_bytes),
            NAME => link.name = text(value),
            MASTER => link.master = number(value).map(LinkIndex),
            INFO => link.kind = kind_in(value),
            _ => {}
        }
    }
    Ok(Some(word(link)))
}

fn kind_in(info: &[u8]) -> Option<String> {
    attributes(info).find(|(kind, _)| *kind == INFO_KIND).map(|(_, value)| text(value))
}

/// The same for an answer, which is only about links that are there.
fn read_there(request: &str, message: &Message<'_>) -> Result<Option<Link>, NetlinkFault> {
    match read(message) {
        Ok(Some(Word::There(link))) => Ok(Some(link)),
        Ok(Some(Word::Gone(_)) | None) => Ok(None),
        Err(()) => Err(NetlinkFault::unreadable(request)),
    }
}

impl Netlink {
    /// Returns all links.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`]; also if the list never stands still.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkFault> {
        let request = "listing links";
        let message = RouteNetlinkMessage::GetLink(LinkMessage::default());
        self.list(request, &message, |message| read_there(request, message))
    }

    /// Returns the link `name`, if there is one.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`].
    pub fn link_named(&mut self, name: &str) -> Result<Option<Link>, NetlinkFault> {
        let request = format!("looking for the link `{name}`");
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.into()));
        let mut found = None;
        let outcome = self.ask(&request, RouteNetlinkMessage::GetLink(message), |message| {
            found = found.take().or(read_there(&request, message)?);
            Ok(())
        });
        match outcome {
            Err(NetlinkFault::Refused { errno: Errno::NODEV, .. }) => Ok(None),
            outcome => outcome.map(|()| found),
        }
    }

    /// Makes a pair of virtual Ethernet interfaces: what goes in at one comes out of the other.
    /// `near` is in this namespace, `far` in the other one. Both are switched off.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`], for instance with [`Errno::EXIST`] if one of the names is taken.
    pub fn add_veth(
        &mut self,
        near: VethEnd<'_>,
        far: VethEnd<'_>,
        far_namespace: &Namespace,
    ) -> Result<(), NetlinkFault> {
        let mut peer = end(far);
        peer.attributes.push(LinkAttribute::NetNsFd(far_namespace.as_fd().as_raw_fd()));
        let mut message = end(near);
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
        ]));
        let request = format!("adding the links `{}` and `{}`", near.name, far.name);
        let message = RouteNetlinkMessage::NewLink(message);
        self.change(&request, message, NLM_F_CREATE | NLM_F_EXCL)
    }

    /// Deletes a link, and with an end of a pair the other end.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`], with [`Errno::NODEV`] if it is gone already.
    pub fn delete_link(&mut self, link: LinkIndex) -> Result<(), NetlinkFault> {
        let message = RouteNetlinkMessage::DelLink(about(link));
        self.change(&format!("deleting link {link}"), message, 0)
    }

    /// Switches a link on.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`].
    pub fn set_up(&mut self, link: LinkIndex) -> Result<(), NetlinkFault> {
        let mut message = about(link);
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.change(&format!("switching link {link} on"), RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Gives a link an Ethernet address.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`].
    pub fn set_mac(&mut self, link: LinkIndex, mac: MacAddress) -> Result<(), NetlinkFault> {
        let mut message = about(link);
        message.attributes.push(LinkAttribute::Address(mac.as_bytes().into()));
        let request = format!("giving link {link} the address {mac}");
        self.change(&request, RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Gives a link another name. Some kinds must be switched off for that on older kernels.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault`].
    pub fn rename(&mut self, link: LinkIndex, name: &str) -> Result<(), NetlinkFault> {
        let mut message = about(link);
        message.attributes.push(LinkAttribute::IfName(name.into()));
        let request = format!("naming link {link} `{name}`");
        self.change(&request, RouteNetlinkMessage::SetLink(message), 0)
    }
}

fn about(link: LinkIndex) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = link.0;
    message
}

fn end(end: VethEnd<'_>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::IfName(end.name.into()));
    message.attributes.extend(end.mac.map(|mac| LinkAttribute::Address(mac.as_bytes().into())));
    message
}
