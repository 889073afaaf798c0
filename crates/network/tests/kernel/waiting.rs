//! Waiting for a condition, with a deadline; the one place of these tests that sleeps.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until `condition` gives something, and returns it.
///
/// Fails the test, naming `what`, if it gives nothing for as long as [`PATIENCE`] lasts.
#[expect(
    clippy::disallowed_methods,
    reason = "a pause between two looks at a condition, which alone decides"
)]
pub(crate) fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(PAUSE);
    }
}

/// Returns whether `file` is ready for `flags`, or becomes so within `limit`.
pub(crate) fn is_ready(file: impl AsFd, flags: PollFlags, limit: Duration) -> bool {
    let limit = Timespec::try_from(limit).unwrap();
    let mut files = [PollFd::new(&file, flags)];
    poll(&mut files, Some(&limit)).unwrap();
    files[0].revents().intersects(flags)
}
