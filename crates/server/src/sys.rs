//! The one place of this crate where the compiler has to take our word.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::io::Errno;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What owns its file descriptor: it is open, and the same file, until the value is dropped.
pub(crate) trait Owner: AsRawFd {}

impl Owner for OwnedFd {}
impl Owner for network::LinkWatch {}
impl Owner for network::NameWatch {}

/// Lets the runtime tell when a socket is ready for what is asked.
///
/// # Errors
///
/// What the system says.
#[expect(
    unsafe_code,
    reason = "the runtime has no safe way to watch a socket that it did not open"
)]
pub(crate) fn watch<T: Owner>(socket: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: an `Owner` keeps its file descriptor open, and the same file, until it is dropped;
    // the `AsyncFd` owns it and ends its registration first.
    unsafe { AsyncFd::register_with_interest(socket, interest) }.map_err(io::Error::from)
}

/// Takes the files that whoever started the program left open for it, with their names. There are
/// none a second time.
///
/// # Errors
///
/// What is wrong with the variables that tell of them.
pub(crate) fn passed_files() -> io::Result<Vec<(OwnedFd, String)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    // Names for another process would be too many for none.
    if sd_notify::listen_fds()?.len() == 0 || TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let files = sd_notify::listen_fds_with_names()?;
    let own = |(number, name)| {
        // SAFETY: it is open, which `sd_notify` has seen; the variables say that it is there for
        // this very process, which has opened nothing yet; and it is taken once.
        #[expect(unsafe_code, reason = "files that are passed are told by their number")]
        (unsafe { OwnedFd::from_raw_fd(number) }, name)
    };
    Ok(files.map(own).collect())
}

/// Has the kernel keep the first packet of each connection that comes in at a listening socket,
/// from its link-layer header on (Linux 5.10: `TCP_SAVE_SYN` = 2).
///
/// # Errors
///
/// What the system says.
pub(crate) fn save_first_packets(listener: impl AsFd) -> Result<(), Errno> {
    set_option(listener, libc::IPPROTO_TCP, libc::TCP_SAVE_SYN, 2)
}

/// Returns the first packet of a connection, as far as it fits, if it was kept. It can be had once.
pub(crate) fn first_packet(stream: impl AsFd, packet: &mut [u8]) -> Option<&[u8]> {
    let mut length = libc::socklen_t::try_from(packet.len()).ok()?;
    // SAFETY: `packet` is writable and `length` is its length, which the kernel does not exceed.
    #[expect(unsafe_code, reason = "no library has this option")]
    let result = unsafe {
        libc::getsockopt(
            stream.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_SAVED_SYN,
            packet.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let length = usize::try_from(length).ok().filter(|length| result == 0 && *length > 0)?;
    packet.get(..length)
}

/// Has a socket take nothing that did not come in on the interface with this index.
///
/// # Errors
///
/// What the system says.
pub(crate) fn bind_to_interface(socket: impl AsFd, index: u32) -> Result<(), Errno> {
    let index = i32::try_from(index).map_err(|_| Errno::INVAL)?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_BINDTOIFINDEX, index)
}

/// Has connections report what routers say about their packets, at once.
///
/// # Errors
///
/// What the system says.
pub(crate) fn report_errors(listener: impl AsFd, is_ipv6: bool) -> Result<(), Errno> {
    if is_ipv6 {
        set_option(listener, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1)
    } else {
        set_option(listener, libc::IPPROTO_IP, libc::IP_RECVERR, 1)
    }
}

/// Returns how many bytes that were sent have not been acknowledged.
///
/// # Errors
///
/// What the system says.
pub(crate) fn unacknowledged(stream: impl AsFd) -> Result<u32, Errno> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ, which has the number of TIOCOUTQ, writes one int where it is told to.
    #[expect(unsafe_code, reason = "no library has this request")]
    let result = unsafe { libc::ioctl(stream.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == 0 { Ok(u32::try_from(bytes).unwrap_or(0)) } else { Err(last_error()) }
}

fn set_option(socket: impl AsFd, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(size_of::<i32>()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the kernel reads `length` bytes of `value`, which is that long.
    #[expect(unsafe_code, reason = "no library has these options")]
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}
