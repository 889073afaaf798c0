//! Listening sockets that the service manager opened for the server (`sd_listen_fds`).
//!
//! So a server without any privilege serves `169.254.169.254:80`, and callers who come while it is
//! started anew wait in the socket's queue and are not refused. The name of a socket says what it
//! is for: `metadata` is one of `--listen`, `shared` one of `--shared-listen`, `manage` that of
//! `--manage`. Whatever is anything else stops the start: it would be held open and served by
//! nobody.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use rustix::io::{Errno, ioctl_fionbio};
use rustix::net::{AddressFamily, SocketType, getsockname, ipproto, sockopt};

use crate::listener::{For, Listening, prepare};
use crate::sys;

/// Why the sockets that were passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedFault {
    /// One takes IPv4 too, and what is set for IPv6 would have no effect there: the hop limit.
    #[error(
        "the socket `{name}` at {address} that was passed takes both IPv6 and IPv4: give each its \
         own, with BindIPv6Only=ipv6-only"
    )]
    BothFamilies {
        /// Its name.
        name: String,
        /// Where it listens.
        address: SocketAddr,
    },
    /// Its options cannot be set.
    #[error("the socket `{name}` that was passed cannot be used: {reason}")]
    Other {
        /// Its name.
        name: String,
        /// What the system says.
        reason: io::Error,
    },
    /// It is not a socket that listens for TCP connections.
    #[error(
        "what was passed as `{name}` does not listen for TCP connections: name an address and a \
         port in ListenStream=, and leave Accept= out"
    )]
    NotListening {
        /// Its name.
        name: String,
    },
    /// Its name says nothing.
    #[error(
        "the name of the passed socket `{name}` does not say what it is for: name it `metadata`, \
         `shared` or `manage` with FileDescriptorName="
    )]
    Unnamed {
        /// Its name.
        name: String,
    },
    /// `LISTEN_FDS` and its fellows make no sense.
    #[error(
        "LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID do not tell of sockets that were passed \
         ({0}): whoever starts the program has to set them as sd_listen_fds(3) says"
    )]
    Unreadable(io::Error),
    /// There is one management listener.
    #[error("two sockets `manage` were passed: leave one out")]
    TwiceManage,
    /// Nobody could tell them apart.
    #[error("two sockets at {0} were passed: leave one out")]
    TwiceThere(SocketAddr),
}

/// A socket that was passed.
#[derive(Debug)]
struct Socket {
    address: SocketAddr,
    socket: OwnedFd,
}

/// The sockets that were passed to the server: none, in most cases.
#[derive(Debug, Default)]
pub struct Passed {
    metadata: Vec<Socket>,
    shared: Vec<Socket>,
    manage: Option<Socket>,
}

impl Passed {
    /// Takes the sockets that the variables `LISTEN_FDS`, `LISTEN_FDNAMES` and `LISTEN_PID` tell
    /// of. To be called once, before the program opens any file: they are told by number.
    ///
    /// # Errors
    ///
    /// [`PassedFault`]
    pub fn take() -> Result<Self, PassedFault> {
        Self::sort(sys::passed_files().map_err(PassedFault::Unreadable)?)
    }

    fn sort(files: Vec<(OwnedFd, String)>) -> Result<Self, PassedFault> {
        let mut passed = Self::default();
        for (file, name) in files {
            let address = listening_address(&file, &name)?;
            let socket = Socket { address, socket: file };
            match name.as_str() {
                "manage" if passed.manage.is_some() => return Err(PassedFault::TwiceManage),
                "manage" => passed.manage = Some(socket),
                "metadata" => passed.metadata.push(socket),
                "shared" => passed.shared.push(socket),
                _ => return Err(PassedFault::Unnamed { name }),
            }
        }
        let mut seen = BTreeSet::new();
        let twice = passed.all().map(|socket| socket.address).find(|at| !seen.insert(*at));
        twice.map_or(Ok(passed), |address| Err(PassedFault::TwiceThere(address)))
    }

    /// Where those listen that serve the default instance.
    pub fn metadata(&self) -> impl Iterator<Item = SocketAddr> {
        self.metadata.iter().map(|socket| socket.address)
    }

    /// Where those listen that serve every instance told by its source.
    pub fn shared(&self) -> impl Iterator<Item = SocketAddr> {
        self.shared.iter().map(|socket| socket.address)
    }

    /// Where the management listener listens.
    pub fn manage(&self) -> Option<SocketAddr> {
        self.manage.as_ref().map(|socket| socket.address)
    }

    fn all(&self) -> impl Iterator<Item = &Socket> {
        self.metadata.iter().chain(&self.shared).chain(&self.manage)
    }

    /// Gives each of the workers the socket at an address that serves the default instance
    /// ([`For::Anyone`]) or instances told by their source, if one was passed.
    ///
    /// # Errors
    ///
    /// [`PassedFault`]
    pub(crate) fn listen_at(
        &self,
        address: SocketAddr,
        what_for: For,
        workers: usize,
    ) -> Option<Result<Listening, PassedFault>> {
        let (name, sockets) = match what_for {
            For::Anyone => ("metadata", &self.metadata),
            For::Sources => ("shared", &self.shared),
            For::Interface(_) | For::Netns => return None,
        };
        let found = sockets.iter().find(|socket| socket.address == address)?;
        Some(found.listen(what_for, workers).map_err(|reason| other(name, reason)))
    }

    /// Returns the management listener, if it was passed.
    ///
    /// # Errors
    ///
    /// [`PassedFault`]
    pub(crate) fn listen_for_operators(&self) -> Option<Result<TcpListener, PassedFault>> {
        let listener = self.manage.as_ref().map(|Socket { socket, .. }| {
            ioctl_fionbio(socket, true)?;
            Ok(socket.try_clone()?.into())
        });
        listener.map(|listener| listener.map_err(|reason| other("manage", reason)))
    }
}

impl Socket {
    /// One socket, under a number for each worker. A connection wakes all of them and is taken by
    /// one: sockets that the kernel spreads connections over would need the privilege of the port.
    fn listen(&self, what_for: For, workers: usize) -> io::Result<Listening> {
        ioctl_fionbio(&self.socket, true)?;
        prepare(&self.socket, self.address, what_for)?;
        let fellows = (0..workers).map(|_| self.socket.try_clone());
        Ok(Listening { address: self.address, sockets: fellows.collect::<Result<_, _>>()? })
    }
}

fn other(name: &str, reason: io::Error) -> PassedFault {
    PassedFault::Other { name: name.to_owned(), reason }
}

/// Returns where a file listens for TCP connections.
fn listening_address(file: &OwnedFd, name: &str) -> Result<SocketAddr, PassedFault> {
    let name = name.to_owned();
    let listens = || -> Result<bool, Errno> {
        let family = sockopt::socket_domain(file)?;
        Ok(matches!(family, AddressFamily::INET | AddressFamily::INET6)
            && sockopt::socket_type(file)? == SocketType::STREAM
            && sockopt::socket_protocol(file)? == Some(ipproto::TCP)
            && sockopt::socket_acceptconn(file)?)
    };
    let named = getsockname(file).map(SocketAddr::try_from);
    let (Ok(true), Ok(Ok(address))) = (listens(), named) else {
        return Err(PassedFault::NotListening { name });
    };
    if takes_ipv4_too(file, address.ip()) {
        return Err(PassedFault::BothFamilies { name, address });
    }
    Ok(address)
}

fn takes_ipv4_too(file: &OwnedFd, address: IpAddr) -> bool {
    match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => !sockopt::ipv6_v6only(file).unwrap_or(false),
        IpAddr::V6(address) => address.to_ipv4_mapped().is_some(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpStream, UdpSocket};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn listener(address: &str) -> OwnedFd {
        TcpListener::bind(address).unwrap().into()
    }

    fn sort<const N: usize>(files: [(OwnedFd, &str); N]) -> Result<Passed, PassedFault> {
        Passed::sort(files.map(|(file, name)| (file, name.to_owned())).into())
    }

    #[test]
    fn the_name_says_what_a_socket_is_for() {
        let names = ["shared", "metadata", "manage", "metadata"];
        let passed = sort(names.map(|name| (listener("127.0.0.1:0"), name))).unwrap();
        assert_eq!((passed.metadata().count(), passed.shared().count()), (2, 1));
        assert!(passed.manage().is_some());
        for name in ["", "unknown", "imds.socket", "Metadata"] {
            let fault = sort([(listener("127.0.0.1:0"), name)]).unwrap_err();
            assert!(matches!(fault, PassedFault::Unnamed { .. }), "{name}: {fault}");
        }
    }

    #[test]
    fn what_does_not_listen_for_tcp_connections_is_refused() {
        let path = std::env::temp_dir().join(format!("imds-passed-{}", std::process::id()));
        let unix = UnixListener::bind(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let at = TcpListener::bind("127.0.0.1:0").unwrap();
        let connected = TcpStream::connect(at.local_addr().unwrap()).unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        for file in [unix.into(), connected.into(), udp.into(), OwnedFd::from(file)] {
            let fault = sort([(file, "metadata")]).unwrap_err();
            assert!(matches!(fault, PassedFault::NotListening { .. }), "{fault}");
        }
    }

    #[test]
    fn a_socket_for_both_families_is_refused() {
        // The hop limit of an answer to a mapped address would be that of IPv6, which it never uses.
        for address in ["[::]:0", "[::ffff:127.0.0.1]:0"] {
            let fault = sort([(listener(address), "metadata")]).unwrap_err();
            assert!(matches!(fault, PassedFault::BothFamilies { .. }), "{address}: {fault}");
        }
        assert!(sort([(listener("[::1]:0"), "metadata")]).is_ok());
    }

    #[test]
    fn sockets_that_nobody_could_tell_apart_are_refused() {
        let twice = [listener("127.0.0.1:0"), listener("127.0.0.1:0")];
        let fault = sort(twice.map(|socket| (socket, "manage"))).unwrap_err();
        assert!(matches!(fault, PassedFault::TwiceManage), "{fault}");
        let first = listener("127.0.0.1:0");
        let again = first.try_clone().unwrap();
        let fault = sort([(first, "metadata"), (again, "shared")]).unwrap_err();
        assert!(matches!(fault, PassedFault::TwiceThere(_)), "{fault}");
    }
}
