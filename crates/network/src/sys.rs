//! The one place of this crate where the compiler has to take our word.

use rustix::io::Errno;
use rustix::thread::UnshareFlags;

/// Gives the calling thread a network namespace of its own, with nothing in it.
///
/// # Errors
///
/// What the system says.
#[expect(
    unsafe_code,
    reason = "sharing file descriptors no more would be unsafe, and is not asked"
)]
pub(crate) fn unshare_network() -> Result<(), Errno> {
    // SAFETY: only unsharing the table of file descriptors can harm other threads.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }
}
