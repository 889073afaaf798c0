//! Requests to the kernel about links, addresses and routes, over rtnetlink.

mod address;
mod link;
mod message;
mod route;

use std::os::fd::OwnedFd;
use std::time::Duration;

use netlink_packet_core::{NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send,
    socket_with,
};

use message::{Message, Verdict};

pub(crate) use link::{Word, read as read_link};
pub(crate) use message::messages;

pub use address::InterfaceAddress;
pub use link::{Link, LinkIndex, VethEnd};
pub use route::{Route, RouteTarget};

/// LIMIT: the bytes of one read. The kernel fills no more than 32 KiB at a time.
pub(crate) const READ_BYTES: usize = 64 * 1024;

/// LIMIT: how long the kernel may take to answer. It has done what was asked before it takes the
/// request off our hands, so only an answer that it could not queue is ever missed.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// LIMIT: how often a list is asked for again that changed while it was read.
const READS_MAX: usize = 16;

/// A way to ask about, and change, the links, addresses and routes of one network namespace: the
/// one that the thread was in which opened it. It can be used anywhere.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// Why the kernel did not do, or not answer, what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkFault {
    /// There is no socket to ask with.
    #[error("no netlink socket can be opened")]
    Open(#[source] Errno),
    /// No privilege.
    #[error("{request} needs root, or CAP_NET_ADMIN in the network namespace")]
    PermissionDenied {
        /// What was asked, such as `adding 10.0.0.1/24 to link 2`.
        request: String,
        /// What the kernel says.
        errno: Errno,
    },
    /// The kernel refused.
    #[error("{request} failed")]
    Refused {
        /// What was asked.
        request: String,
        /// What the kernel says.
        #[source]
        errno: Errno,
    },
    /// The kernel's answer makes no sense to us.
    #[error("{request} got an answer from the kernel that cannot be read")]
    Unreadable {
        /// What was asked.
        request: String,
    },
}

impl NetlinkFault {
    /// Returns what the kernel said, if it said something.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Open(errno)
            | Self::PermissionDenied { errno, .. }
            | Self::Refused { errno, .. } => Some(*errno),
            Self::Unreadable { .. } => None,
        }
    }

    fn new(request: &str, errno: Errno) -> Self {
        let request = request.into();
        match errno {
            Errno::PERM | Errno::ACCESS => Self::PermissionDenied { request, errno },
            errno => Self::Refused { request, errno },
        }
    }

    fn unreadable(request: &str) -> Self {
        Self::Unreadable { request: request.into() }
    }
}

impl Netlink {
    /// Opens a way into the namespace that the calling thread is in.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault::Open`].
    pub fn open() -> Result<Self, NetlinkFault> {
        let open = || {
            let socket = socket(SocketFlags::empty(), 0)?;
            set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_DEADLINE))?;
            Ok(socket)
        };
        let socket = open().map_err(NetlinkFault::Open)?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; READ_BYTES] })
    }

    /// Asks for a change, and waits for the verdict. `request` says what is asked, for messages.
    fn change(
        &mut self,
        request: &str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<(), NetlinkFault> {
        self.exchange(request, message, NLM_F_ACK | flags, |_| Ok(()))?;
        Ok(())
    }

    /// Asks for one thing, and hands the answer to `read`.
    fn ask(
        &mut self,
        request: &str,
        message: RouteNetlinkMessage,
        read: impl FnMut(&Message<'_>) -> Result<(), NetlinkFault>,
    ) -> Result<(), NetlinkFault> {
        self.exchange(request, message, NLM_F_ACK, read)?;
        Ok(())
    }

    /// Asks for a list, and returns what `read` makes of its items.
    fn list<T>(
        &mut self,
        request: &str,
        message: &RouteNetlinkMessage,
        mut read: impl FnMut(&Message<'_>) -> Result<Option<T>, NetlinkFault>,
    ) -> Result<Vec<T>, NetlinkFault> {
        for _ in 0..READS_MAX {
            let mut found = Vec::new();
            let whole = self.exchange(request, message.clone(), NLM_F_DUMP, |item| {
                found.extend(read(item)?);
                Ok(())
            })?;
            if whole {
                return Ok(found);
            }
        }
        Err(NetlinkFault::new(request, Errno::INTR))
    }

    /// Sends a request and hands all that comes in answer to `read`, up to the verdict. Returns
    /// whether the answer was of one moment.
    fn exchange(
        &mut self,
        request: &str,
        message: RouteNetlinkMessage,
        flags: u16,
        mut read: impl FnMut(&Message<'_>) -> Result<(), NetlinkFault>,
    ) -> Result<bool, NetlinkFault> {
        let fault = |errno| NetlinkFault::new(request, errno);
        self.sequence = self.sequence.wrapping_add(1);
        let mut message = NetlinkMessage::from(message);
        message.header.flags = NLM_F_REQUEST | flags;
        message.header.sequence_number = self.sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        send(&self.socket, &bytes, SendFlags::empty()).map_err(fault)?;
        let (mut whole, mut outcome) = (true, Ok(()));
        loop {
            let datagram =
                receive(&self.socket, &mut self.buffer).map_err(|errno| match errno {
                    Errno::AGAIN => fault(Errno::TIMEDOUT),
                    errno => fault(errno),
                })?;
            for message in messages(datagram) {
                let message = message.ok_or_else(|| NetlinkFault::unreadable(request))?;
                // An answer to an earlier request that was given up.
                if message.sequence != self.sequence {
                    continue;
                }
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.verdict() {
                    Some(Verdict::Done) => return outcome.map(|()| whole),
                    Some(Verdict::Refused(errno)) => return Err(fault(errno)),
                    Some(Verdict::Unreadable) => return Err(NetlinkFault::unreadable(request)),
                    // All is taken off the socket, whatever comes of it.
                    None => outcome = outcome.and_then(|()| read(&message)),
                }
            }
        }
    }
}

/// Opens a netlink socket that gets what is sent to `groups` (a mask).
pub(crate) fn socket(flags: SocketFlags, groups: u32) -> Result<OwnedFd, Errno> {
    let flags = flags | SocketFlags::CLOEXEC;
    // Without a protocol, it is `NETLINK_ROUTE`.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, groups))?;
    // To the kernel: then no other process can send anything to the socket.
    connect(&socket, &SocketAddrNetlink::new(0, 0))?;
    Ok(socket)
}

/// Reads one datagram.
pub(crate) fn receive<'a>(socket: &OwnedFd, buffer: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    loop {
        match recv(socket, &mut *buffer, RecvFlags::TRUNC) {
            Ok((_, sent)) => return buffer.get(..sent).ok_or(Errno::MSGSIZE),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}
