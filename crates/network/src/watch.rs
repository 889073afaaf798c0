//! Noticing what comes and goes: interfaces of a namespace, and names of namespaces.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use model::NetnsName;
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, protocols::NETLINK_ROUTE};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;

use crate::netlink::{Link, split};

/// The multicast group of interfaces (`RTNLGRP_LINK`).
const LINKS: u32 = 1;

/// LIMIT: events read at a time.
const BYTES: usize = 16 * 1024;

/// What became of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// It is there, as it is now.
    Present(Link),
    /// It has gone.
    Vanished(Link),
    /// Some events were lost: look at everything.
    Overrun,
}

/// Tells of the interfaces of the namespace that it was opened in. Never blocks.
pub struct LinkWatch(Socket);

impl LinkWatch {
    /// Starts to watch the namespace that the calling thread is in.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.set_non_blocking(true)?;
        socket.bind_auto()?;
        socket.add_membership(LINKS)?;
        Ok(Self(socket))
    }

    /// Returns what has happened since the last call.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn read(&self) -> io::Result<Vec<LinkEvent>> {
        let mut events = Vec::new();
        loop {
            match self.0.recv_from_full() {
                Ok((bytes, _)) => read_events(&bytes, &mut events),
                Err(fault) => match Errno::from_io_error(&fault) {
                    Some(Errno::WOULDBLOCK) => return Ok(events),
                    Some(Errno::NOBUFS) => events.push(LinkEvent::Overrun),
                    Some(Errno::INTR) => {}
                    _ => return Err(fault),
                },
            }
        }
    }
}

fn read_events(mut rest: &[u8], events: &mut Vec<LinkEvent>) {
    while let Some((message, after)) = split(rest) {
        rest = after;
        if let NetlinkPayload::InnerMessage(message) = message.payload
            && let Some(link) = Link::read(&message)
        {
            let has_gone = matches!(message, RouteNetlinkMessage::DelLink(_));
            events.push(if has_gone {
                LinkEvent::Vanished(link)
            } else {
                LinkEvent::Present(link)
            });
        }
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for LinkWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Tells which names under [`NetnsName::DIRECTORY`] came or went. Never blocks.
///
/// A name comes a moment before its namespace: whoever makes one makes the file first.
pub struct NameWatch(OwnedFd);

impl NameWatch {
    /// Starts to watch. Makes the directory if there is none.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open() -> io::Result<Self> {
        fs::create_dir_all(NetnsName::DIRECTORY)?;
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let flags = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::MOVE;
        inotify::add_watch(&watch, NetnsName::DIRECTORY, flags)?;
        Ok(Self(watch))
    }

    /// Returns the names that something has happened to since the last call; none if events were
    /// lost, and everything must be looked at.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn read(&self) -> io::Result<Option<BTreeSet<String>>> {
        let mut buffer = [MaybeUninit::uninit(); BYTES];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let (mut names, mut is_whole) = (BTreeSet::new(), true);
        loop {
            match reader.next() {
                Ok(event) => {
                    is_whole &= !event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW);
                    let name = event.file_name().and_then(|name| name.to_str().ok());
                    names.extend(name.map(str::to_owned));
                }
                Err(Errno::WOULDBLOCK) => return Ok(is_whole.then_some(names)),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for NameWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for NameWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
