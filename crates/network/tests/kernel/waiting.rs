//! Waiting for a condition, with a deadline; the one place of these tests that sleeps.

use std::time::{Duration, Instant};

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until `condition` gives something, and returns it.
///
/// Fails the test, naming `what`, if it gives nothing for as long as [`PATIENCE`] lasts.
pub(crate) fn wait_until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait_within(PATIENCE, condition).unwrap_or_else(|| panic!("{what}: not within {PATIENCE:?}"))
}

/// Waits until `condition` gives something, or `limit` has passed.
#[expect(
    clippy::disallowed_methods,
    reason = "a pause between two looks at a condition, which alone decides"
)]
pub(crate) fn wait_within<T>(
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let found = condition();
        if found.is_some() || Instant::now() >= deadline {
            return found;
        }
        std::thread::sleep(PAUSE); // between two looks at the condition, which alone decides
    }
}
