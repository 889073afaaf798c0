//! Sockets in a network namespace, for tests that are not in it: a socket stays in the namespace
//! that it was made in, whoever uses it. A program inside, in Python, makes them and hands them
//! over. So what a test sends, holds back, sees and resets, it does itself, byte by byte.

use std::io::{IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketType, recvmsg,
};

use crate::running::Killed;
use crate::waiting::PATIENCE;

/// Reads `FAMILY TYPE PROTOCOL` from its standard input, a socket, and sends back what it made.
const MAKER: &str = "\
import socket
door = socket.socket(fileno=0)
while asked := door.recv(64):
    with socket.socket(*map(int, asked.split())) as made:
        socket.send_fds(door, [b'.'], [made.fileno()])
";

/// How to run [`MAKER`]: without whatever the surroundings have for Python.
pub(crate) const MAKE_SOCKETS: [&str; 5] = ["python3", "-I", "-S", "-c", MAKER];

/// The number of all protocols in a packet socket, in network byte order.
const ALL_PROTOCOLS: u16 = 3_u16.to_be();

/// Makes sockets in the namespace that it was started in.
pub(crate) struct Sockets {
    door: Mutex<UnixStream>,
    _maker: Killed,
}

impl Sockets {
    /// Runs `maker`, which is [`MAKE_SOCKETS`] brought into a namespace.
    pub(crate) fn of(mut maker: Command) -> Self {
        let (door, inside) = UnixStream::pair().unwrap();
        door.set_read_timeout(Some(PATIENCE)).unwrap();
        let started = maker.stdin(Stdio::from(OwnedFd::from(inside))).stdout(Stdio::null()).spawn();
        let maker = started.unwrap_or_else(|fault| panic!("{maker:?} cannot be run: {fault}"));
        Self { door: Mutex::new(door), _maker: Killed(maker) }
    }

    fn socket(&self, family: AddressFamily, kind: SocketType, protocol: u16) -> OwnedFd {
        let mut door = self.door.lock().unwrap();
        // In one piece, so that it is read in one.
        let asked = format!("{} {} {protocol}", family.as_raw(), kind.as_raw());
        door.write_all(asked.as_bytes()).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let into = &mut [IoSliceMut::new(&mut byte)];
        recvmsg(&*door, into, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
        let handed_over = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        });
        handed_over.expect("the namespace gives sockets: see what the maker says above")
    }

    /// A socket that is to be connected to `address`, and does not wait for ever.
    pub(crate) fn unconnected(&self, address: SocketAddr) -> TcpStream {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let stream = TcpStream::from(self.socket(family, SocketType::STREAM, 0));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Opens a connection from inside.
    pub(crate) fn connect(&self, address: SocketAddr) -> TcpStream {
        connected(self.unconnected(address), address)
    }

    /// Sees every packet that comes or goes inside from now on, from its link-layer header on.
    pub(crate) fn see_packets(&self) -> OwnedFd {
        self.socket(AddressFamily::PACKET, SocketType::RAW, ALL_PROTOCOLS)
    }
}

/// Connects a socket.
pub(crate) fn connected(stream: TcpStream, address: SocketAddr) -> TcpStream {
    let connected = rustix::net::connect(&stream, &address);
    connected.unwrap_or_else(|errno| panic!("no connection to {address}: {errno}"));
    stream
}
