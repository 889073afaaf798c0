//! The floor: the least that a server on epoll can do for a request on a connection of its own.
//!
//! One thread, level-triggered: accept, wait until readable, one read, one write of a constant
//! answer, close. It looks at nothing it reads, so nothing that answers can be cheaper, short of
//! other system calls.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::{
    self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt,
};

use crate::Fault;
use crate::args::FloorArgs;

/// An answer of the size and look of a metadata leaf.
pub(crate) const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 21575\r\n\
    Content-Type: text/plain\r\n\
    Accept-Ranges: none\r\n\
    Last-Modified: Tue, 04 Mar 2025 09:41:12 GMT\r\n\
    Content-Length: 19\r\n\
    Date: Tue, 04 Mar 2025 10:00:25 GMT\r\n\
    Server: EC2ws\r\n\
    Connection: close\r\n\
    \r\n\
    i-1234567890abcdef0";

/// Connections that may wait to be accepted, for every server that lets us choose.
pub(crate) const BACKLOG: i32 = 4096;

/// LIMIT: events taken at once; more than the load keeps in flight, so that none waits a turn.
const EVENTS_MAX: usize = 512;

/// LIMIT: bytes read of a request; every measured one is a third of it or less.
const REQUEST_BYTES_MAX: usize = 1024;

/// Serves until killed.
pub(crate) fn serve(args: &FloorArgs) -> Result<ExitCode, Fault> {
    // The floor goes when its runner goes, however that ends.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let listener =
        net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    sockopt::set_socket_reuseport(&listener, true)?;
    net::bind(&listener, &args.listen)?;
    net::listen(&listener, BACKLOG)?;
    let address = SocketAddr::try_from(net::getsockname(&listener)?)?;
    writeln!(std::io::stderr(), "floor: ready at {address}")?;
    match Floor::new(listener)?.go_on() {
        Ok(never) => match never {},
        Err(errno) => Err(errno.into()),
    }
}

struct Floor {
    epoll: OwnedFd,
    listener: OwnedFd,
    /// Open connections, each at the index that is its descriptor's number.
    connections: Vec<Option<OwnedFd>>,
}

impl Floor {
    fn new(listener: OwnedFd) -> Result<Self, Errno> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let key = epoll::EventData::new_u64(key_of(&listener));
        epoll::add(&epoll, &listener, key, epoll::EventFlags::IN)?;
        Ok(Self { epoll, listener, connections: Vec::new() })
    }

    fn go_on(mut self) -> Result<std::convert::Infallible, Errno> {
        let listener = key_of(&self.listener);
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
            for event in events.drain(..) {
                let key = event.data.u64();
                if key == listener {
                    self.accept()?;
                } else {
                    self.answer(key);
                }
            }
        }
    }

    /// Accepts one connection; the listener stays readable as long as others wait.
    fn accept(&mut self) -> Result<(), Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let connection = match net::accept_with(&self.listener, flags) {
            Ok(connection) => connection,
            Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => return Ok(()),
            Err(errno) => return Err(errno),
        };
        let key = epoll::EventData::new_u64(key_of(&connection));
        epoll::add(&self.epoll, &connection, key, epoll::EventFlags::IN)?;
        let index = connection.as_raw_fd().unsigned_abs() as usize;
        if self.connections.len() <= index {
            self.connections.resize_with(index + 1, || None);
        }
        if let Some(place) = self.connections.get_mut(index) {
            *place = Some(connection);
        }
        Ok(())
    }

    /// Reads once, writes the answer and closes.
    fn answer(&mut self, key: u64) {
        let place = usize::try_from(key).ok().and_then(|index| self.connections.get_mut(index));
        let Some(connection) = place.and_then(Option::take) else {
            return;
        };
        let mut request = [0; REQUEST_BYTES_MAX];
        if matches!(net::recv(&connection, &mut request, RecvFlags::empty()), Ok((1.., _))) {
            // A caller that is gone already gets nothing, and closing is all that is left to do.
            let _ = net::send(&connection, ANSWER, SendFlags::NOSIGNAL);
        }
    }
}

fn key_of(descriptor: &OwnedFd) -> u64 {
    u64::from(descriptor.as_raw_fd().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constant_is_a_complete_answer() {
        let answer = crate::answer::parse(ANSWER).unwrap();
        assert_eq!((answer.status, answer.body), (200, &b"i-1234567890abcdef0"[..]));
        assert!((250..=350).contains(&ANSWER.len()), "{} bytes", ANSWER.len());
    }
}
