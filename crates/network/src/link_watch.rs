//! Word of links that appear, change and vanish.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::SocketFlags;

use crate::netlink::{READ_BYTES, Word, messages, read_link, receive, socket};
use crate::{Link, LinkIndex, NetlinkFault};

/// LIMIT: how many reads one call makes. A guest that switches its end of a link on and off can
/// cause events as fast as they are read, and must not hold up what else its reader does.
const READS_MAX: usize = 256;

/// `RTMGRP_LINK`: what is sent to those who want to know about links.
const LINK_GROUP: u32 = 1;

/// Tells which links appear, change and vanish in one network namespace: the one that the thread
/// was in which opened it. It can be used anywhere.
///
/// Open it first and list the links then, so that none is missed in between. The file descriptor
/// is readable when there is something to [`read`](Self::read), which never waits.
#[derive(Debug)]
pub struct LinkWatch {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

/// What became of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// It appeared, or something about it changed, its name for instance. This is how it is then.
    Changed(Link),
    /// Events were lost, because they were not read in time: list the links again.
    Lost,
    /// It is gone from this namespace.
    Vanished {
        /// Its number.
        index: LinkIndex,
        /// Its last name.
        name: String,
    },
}

impl LinkWatch {
    /// Opens a watch of the namespace that the calling thread is in.
    ///
    /// # Errors
    ///
    /// [`NetlinkFault::Open`].
    pub fn open() -> Result<Self, NetlinkFault> {
        let socket = socket(SocketFlags::NONBLOCK, LINK_GROUP).map_err(NetlinkFault::Open)?;
        Ok(Self { socket, buffer: vec![0; READ_BYTES] })
    }

    /// Returns what happened since the last call, in order. When much happens, it is not all of
    /// it: call again until nothing is returned, and wait for the file descriptor then.
    ///
    /// # Errors
    ///
    /// What the system says of the socket. The watch is of no more use then.
    pub fn read(&mut self) -> std::io::Result<Vec<LinkEvent>> {
        let mut events = Vec::new();
        for _ in 0..READS_MAX {
            match receive(&self.socket, &mut self.buffer) {
                Ok(datagram) => events.extend(messages(datagram).filter_map(|message| {
                    match message.ok_or(()).and_then(|message| read_link(&message)) {
                        Ok(Some(Word::There(link))) => Some(LinkEvent::Changed(link)),
                        Ok(Some(Word::Gone(Link { index, name, .. }))) => {
                            Some(LinkEvent::Vanished { index, name })
                        }
                        Ok(None) => None,
                        Err(()) => Some(LinkEvent::Lost),
                    }
                })),
                Err(Errno::AGAIN) => break,
                Err(Errno::NOBUFS | Errno::MSGSIZE) => events.push(LinkEvent::Lost),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(events)
    }
}

impl AsFd for LinkWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for LinkWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
