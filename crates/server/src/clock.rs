//! The time of this process.

use model::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Tells the time: the wall clock's at the start of the process, and what has passed since by the
/// boot clock, which runs through suspends and is never set. So a step of the wall clock neither
/// ends tokens early nor lengthens their life.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Wall clock minus boot clock, in milliseconds.
    offset_millis: i64,
}

impl Clock {
    /// Takes the wall clock's word once.
    pub fn start() -> Self {
        Self { offset_millis: millis(ClockId::Realtime) - millis(ClockId::Boottime) }
    }

    /// Returns the time.
    pub fn now(self) -> Timestamp {
        Timestamp::from_millis(millis(ClockId::Boottime) + self.offset_millis)
    }
}

fn millis(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}
