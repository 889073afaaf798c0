//! Waiting until other programs leave the two cores alone.

use std::fs;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, poll};

use crate::Fault;
use crate::cores::Cores;

/// What is looked at, at once: ten or more of the kernel's clock ticks.
const WINDOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 120_000_000 };

/// Share of the window for which a calm core is idle.
const IDLE: f64 = 0.9;

/// A limited patience.
#[derive(Debug)]
pub(crate) struct Patience {
    cores: Cores,
    left: Duration,
}

impl Patience {
    pub(crate) fn new(cores: Cores, left: Duration) -> Self {
        Self { cores, left }
    }

    /// Waits until both cores were idle for a moment, or patience is used up.
    pub(crate) fn await_calm(&mut self) -> Result<(), Fault> {
        let start = Instant::now();
        while start.elapsed() < self.left && !self.is_calm()? {}
        self.left = self.left.saturating_sub(start.elapsed());
        Ok(())
    }

    fn is_calm(&self) -> Result<bool, Fault> {
        let before = self.ticks()?;
        poll(&mut [], Some(&WINDOW))?;
        let after = self.ticks()?;
        Ok(before.iter().zip(&after).all(|(before, after)| {
            let idle = f64::from(after.idle.wrapping_sub(before.idle));
            idle >= IDLE * f64::from(after.all.wrapping_sub(before.all))
        }))
    }

    fn ticks(&self) -> Result<[Ticks; 2], Fault> {
        let stat = fs::read_to_string("/proc/stat")?;
        let of = |core| ticks(&stat, core).ok_or("a core is missing in /proc/stat");
        Ok([of(self.cores.server)?, of(self.cores.load)?])
    }
}

/// Clock ticks of one core since the machine started, wrapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ticks {
    idle: u32,
    all: u32,
}

/// Reads `cpuN user nice system idle iowait irq softirq steal …`.
fn ticks(stat: &str, core: usize) -> Option<Ticks> {
    let name = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name))?;
    let mut ticks = Ticks { idle: 0, all: 0 };
    for (place, figure) in line.split_whitespace().take(8).enumerate() {
        let figure = u32::try_from(figure.parse::<u64>().ok()? & u64::from(u32::MAX)).ok()?;
        ticks.all = ticks.all.wrapping_add(figure);
        if place == 3 || place == 4 {
            ticks.idle = ticks.idle.wrapping_add(figure);
        }
    }
    Some(ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cores_ticks_are_read() {
        let stat = "cpu  9 9 9 9\ncpu1 1 2 3 40 5 6 7 8 100 0\ncpu11 0 0 0 1 0 0 0 0 0 0\n";
        assert_eq!(ticks(stat, 1), Some(Ticks { idle: 45, all: 72 }));
        assert_eq!(ticks(stat, 11), Some(Ticks { idle: 1, all: 1 }));
        assert_eq!(ticks(stat, 2), None);
    }
}
