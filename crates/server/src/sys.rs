//! The one place of this crate where the compiler has to take our word.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::unix::AsyncFd;

/// Lets the runtime tell when a socket is ready.
///
/// # Errors
///
/// What the system says.
#[expect(
    unsafe_code,
    reason = "the runtime has no safe way to watch a socket that it did not open"
)]
pub(crate) fn watch(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open, and the same file, until it is dropped; the `AsyncFd` owns it
    // and ends its registration first.
    unsafe { AsyncFd::register(socket) }.map_err(io::Error::from)
}
