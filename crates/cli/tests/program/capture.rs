//! The TCP packets that come and go in a network namespace, as its kernel sees them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::sockets::Sockets;

/// LIMIT: longer than any packet here: 64 KiB, with an Ethernet header.
const PACKET_BYTES_MAX: usize = 66_000;

/// What has come and gone since it began.
pub(crate) struct Capture {
    socket: OwnedFd,
    packets: Vec<Packet>,
}

/// What a TCP packet says besides its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(u8);

impl Flags {
    /// This is the last of what I send.
    pub(crate) const END: Self = Self(0x01);
    /// This is the first.
    pub(crate) const START: Self = Self(0x02);
    /// There is no such connection any more.
    pub(crate) const RESET: Self = Self(0x04);
    /// So much I have received.
    pub(crate) const ACK: Self = Self(0x10);
}

/// A TCP packet.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    /// The TTL or hop limit that it left with, or that was left of it when it came.
    pub(crate) hops: u8,
    pub(crate) number: u32,
    pub(crate) flags: Flags,
    /// How many bytes it carries.
    pub(crate) bytes: usize,
}

impl Packet {
    /// Whether it says this.
    pub(crate) fn has(&self, flag: Flags) -> bool {
        self.flags.0 & flag.0 != 0
    }

    /// Reads an Ethernet frame. None if it carries something other than TCP.
    fn read(frame: &[u8]) -> Option<Self> {
        let (ethernet, packet) = frame.split_at_checked(14)?;
        let (addresses, hops, segment) = match *ethernet.last_chunk()? {
            [0x08, 0x00] => read_v4(packet)?,
            [0x86, 0xdd] => read_v6(packet)?,
            _ => return None,
        };
        let header = segment.first_chunk::<20>()?;
        let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        Some(Self {
            from: SocketAddr::new(addresses[0], port(0)),
            to: SocketAddr::new(addresses[1], port(2)),
            hops,
            number: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            flags: Flags(header[13]),
            bytes: segment.len() - usize::from(header[12] >> 4) * 4,
        })
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TTL {} number {} with {} bytes", self.hops, self.number, self.bytes)?;
        for (flag, name) in
            [(Flags::START, "SYN"), (Flags::ACK, "ACK"), (Flags::END, "FIN"), (Flags::RESET, "RST")]
        {
            if self.has(flag) {
                write!(f, " {name}")?;
            }
        }
        Ok(())
    }
}

/// Source and destination, TTL, and what is inside.
type Read<'p> = ([IpAddr; 2], u8, &'p [u8]);

const TCP: u8 = 6;

fn read_v4(packet: &[u8]) -> Option<Read<'_>> {
    let header = packet.first_chunk::<20>()?;
    let (start, length) = (usize::from(header[0] & 0xf) * 4, [header[2], header[3]]);
    let segment = packet.get(start..usize::from(u16::from_be_bytes(length)))?;
    let address = |at: usize| -> [u8; 4] { header[at..at + 4].try_into().unwrap() };
    let addresses = [12, 16].map(|at| Ipv4Addr::from(address(at)).into());
    (header[9] == TCP).then_some((addresses, header[8], segment))
}

fn read_v6(packet: &[u8]) -> Option<Read<'_>> {
    let (header, rest) = packet.split_first_chunk::<40>()?;
    let segment = rest.get(..usize::from(u16::from_be_bytes([header[4], header[5]])))?;
    let address = |at: usize| -> [u8; 16] { header[at..at + 16].try_into().unwrap() };
    let addresses = [8, 24].map(|at| Ipv6Addr::from(address(at)).into());
    (header[6] == TCP).then_some((addresses, header[7], segment))
}

impl Capture {
    /// Begins.
    pub(crate) fn of(sockets: &Sockets) -> Self {
        Self { socket: sockets.see_packets(), packets: Vec::new() }
    }

    /// Takes what the kernel has seen. It holds some hundred packets and drops more, so that whoever
    /// waits for many takes them meanwhile.
    pub(crate) fn take(&mut self) {
        let mut frame = vec![0; PACKET_BYTES_MAX];
        loop {
            match recv(&self.socket, &mut *frame, RecvFlags::DONTWAIT) {
                Ok((length, _)) => self.packets.extend(Packet::read(&frame[..length])),
                Err(Errno::WOULDBLOCK) => break,
                Err(errno) => panic!("packets are no longer seen: {errno}"),
            }
        }
    }

    /// Returns the packets so far of the connection of `client`, both ways, in their order.
    pub(crate) fn of_client(&mut self, client: SocketAddr) -> Vec<Packet> {
        self.take();
        let is_of_client = |packet: &&Packet| packet.from == client || packet.to == client;
        self.packets.iter().filter(is_of_client).copied().collect()
    }
}
