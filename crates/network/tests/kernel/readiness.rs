//! Whether a file descriptor is ready.

use std::os::fd::AsFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

/// Returns whether `file` is ready for `flags`, or becomes so within `limit`.
pub(crate) fn is_ready(file: impl AsFd, flags: PollFlags, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).unwrap();
    let mut files = [PollFd::new(&file, flags)];
    poll(&mut files, Some(&limit)).unwrap();
    files[0].revents().intersects(flags)
}
