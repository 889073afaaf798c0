//! The time of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use model::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Tells the time, in two ways.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Wall clock minus boot clock when the process started, in milliseconds.
    steady_offset_millis: i64,
    /// The same now, or shortly ago.
    wall_offset_millis: Arc<AtomicI64>,
}

/// One moment, told in two ways.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The wall clock's time at the start of the process, and what has passed since by the boot
    /// clock, which runs through suspends and is never set. Tokens and deadlines are measured by
    /// it, so that a step of the wall clock neither ends them nor lengthens them within a run.
    pub steady: Timestamp,
    /// The wall clock's time: what answers show, and what other clocks are compared with.
    pub wall: Timestamp,
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self { steady: time, wall: time }
    }
}

impl Clock {
    /// Takes the wall clock's word.
    pub fn start() -> Self {
        let offset = wall_minus_boot_millis();
        Self { steady_offset_millis: offset, wall_offset_millis: Arc::new(AtomicI64::new(offset)) }
    }

    /// Takes the wall clock's word again. To be called every few seconds.
    pub(crate) fn follow_wall(&self) {
        self.wall_offset_millis.store(wall_minus_boot_millis(), Ordering::Relaxed);
    }

    /// Returns this moment.
    pub fn now(&self) -> Moment {
        let boot = millis(ClockId::Boottime);
        let wall_offset = self.wall_offset_millis.load(Ordering::Relaxed);
        Moment {
            steady: Timestamp::from_millis(boot + self.steady_offset_millis),
            wall: Timestamp::from_millis(boot + wall_offset),
        }
    }
}

fn wall_minus_boot_millis() -> i64 {
    millis(ClockId::Realtime) - millis(ClockId::Boottime)
}

fn millis(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}
