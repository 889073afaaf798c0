//! The one place of this crate where the compiler has to take our word.

use std::os::fd::BorrowedFd;

use rustix::io;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// Moves the calling thread, and no other, into a new network namespace.
///
/// # Errors
///
/// What the system says.
#[expect(unsafe_code, reason = "the call can also split the table of file descriptors; see below")]
pub(crate) fn unshare_network() -> io::Result<()> {
    // SAFETY: the danger is in `FILES`, which is not asked for: all threads go on sharing one
    // table of file descriptors.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
}

/// Moves the calling thread, and no other, into a copy of its mount namespace.
///
/// # Errors
///
/// What the system says.
#[expect(unsafe_code, reason = "the call can also split the table of file descriptors; see below")]
pub(crate) fn unshare_mounts() -> io::Result<()> {
    // SAFETY: as in `unshare_network`.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }
}

/// Returns which kind of namespace `file` is: the `CLONE_NEW…` constant that makes one. It must be
/// a file of the namespace file system: to another, the request could mean something else.
///
/// # Errors
///
/// What the system says.
#[expect(unsafe_code, reason = "there is no safe way to ask for the kind of a namespace")]
pub(crate) fn namespace_kind(file: BorrowedFd<'_>) -> io::Result<u32> {
    // SAFETY: the request takes no argument and writes nothing; see `NamespaceKind`.
    unsafe { ioctl(file, NamespaceKind) }
}

/// `NS_GET_NSTYPE`.
struct NamespaceKind;

// SAFETY: `NS_GET_NSTYPE` is `_IO(0xb7, 0x3)` on every architecture. It takes no argument, writes
// nothing to our memory, and answers with its return value, which alone is read.
#[expect(unsafe_code, reason = "the trait is unsafe to implement")]
unsafe impl Ioctl for NamespaceKind {
    type Output = u32;

    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        opcode::none(0xb7, 0x3)
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(
        answer: IoctlOutput,
        _: *mut std::ffi::c_void,
    ) -> io::Result<Self::Output> {
        Ok(answer.cast_unsigned())
    }
}
