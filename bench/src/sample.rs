//! One load, and what the kernel said that it cost.

use std::fmt;
use std::net::SocketAddrV4;
use std::time::Duration;

use crate::Fault;
use crate::kernel::{self, CpuTime};
use crate::load::{self, Outcome, Pace};
use crate::request::Request;
use crate::stats::{micros, number, percentile};

/// A share of the time that server and load waited for their cores, above which other programs
/// were at work there. The kernel's own threads and each waking up make up half of it.
pub(crate) const DISTURBED: f64 = 0.08;

/// What a load came to.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) outcome: Outcome,
    /// CPU time of the server; `None` if none was accounted.
    server: Option<CpuTime>,
    /// CPU time of the load's one thread.
    load: CpuTime,
}

impl Sample {
    /// Puts the load on a server, and accounts the process `pid` meanwhile.
    ///
    /// The figures are read while nothing is in flight, so the time slice that the kernel has not
    /// yet booked is that of an idle thread.
    pub(crate) fn take(
        pid: Option<u32>,
        to: SocketAddrV4,
        request: &Request,
        pace: Pace,
        time: Duration,
    ) -> Result<Self, Fault> {
        let before = pid.map(account).transpose()?;
        let load_before = CpuTime::of_this_thread()?;
        let outcome = load::put(to, request, pace, time)?;
        let load = CpuTime::of_this_thread()?.since(load_before);
        let after = pid.map(account).transpose()?;
        let server = before.zip(after).map(|(before, after)| after.since(before)).transpose()?;
        Ok(Self { outcome, server, load })
    }

    /// CPU time of the server per request, in microseconds.
    pub(crate) fn micros_per_request(&self) -> Option<f64> {
        let server = self.server.filter(|_| self.outcome.answers > 0)?;
        Some(micros(server.used) / number(self.outcome.answers))
    }

    /// Requests a second.
    pub(crate) fn rate(&self) -> f64 {
        number(self.outcome.answers) / self.outcome.elapsed.as_secs_f64()
    }

    /// Share of the time that the server was on its core.
    pub(crate) fn server_busy(&self) -> f64 {
        self.share(self.server.map_or(Duration::ZERO, |server| server.used))
    }

    /// Share of the time that the load was on its core.
    pub(crate) fn load_busy(&self) -> f64 {
        self.share(self.load.used)
    }

    /// Whether other programs took so much of the two cores that the figures are worth little.
    pub(crate) fn is_disturbed(&self) -> bool {
        self.waited() > DISTURBED
    }

    fn waited(&self) -> f64 {
        let server = self.server.map_or(Duration::ZERO, |server| server.waited);
        self.share(server + self.load.waited)
    }

    fn share(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.outcome.elapsed.as_secs_f64()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "answers         {}", self.outcome.answers)?;
        writeln!(f, "wrong           {}", self.outcome.wrong.count)?;
        writeln!(f, "rate            {:.0} /s", self.rate())?;
        for (name, per_mille) in [("p50", 500), ("p99", 990), ("p99.9", 999)] {
            let time = percentile(&self.outcome.times, per_mille).unwrap_or_default();
            writeln!(f, "{name:<15} {:.1} us", micros(time))?;
        }
        if let Some(micros) = self.micros_per_request() {
            writeln!(f, "server CPU      {micros:.3} us a request")?;
            writeln!(f, "server busy     {:.1} %", self.server_busy() * 100.0)?;
        }
        writeln!(f, "load busy       {:.1} %", self.load_busy() * 100.0)?;
        writeln!(f, "waited for core {:.1} %", self.waited() * 100.0)
    }
}

/// Both of the kernel's accounts of a process.
#[derive(Clone, Copy)]
struct Account {
    exact: CpuTime,
    /// With the threads that ended, but in clock ticks.
    coarse: Duration,
}

impl Account {
    /// # Errors
    ///
    /// If threads ended in between and took their time with them.
    fn since(self, earlier: Self) -> Result<CpuTime, Fault> {
        let exact = self.exact.since(earlier.exact);
        let coarse = self.coarse.saturating_sub(earlier.coarse);
        // Two readings of two figures in ticks of a hundredth of a second.
        let slack = Duration::from_millis(40) + exact.used / 50;
        if coarse > exact.used + slack {
            return Err("the server ended threads while it was measured".into());
        }
        Ok(exact)
    }
}

fn account(pid: u32) -> Result<Account, Fault> {
    Ok(Account { exact: CpuTime::of_process(pid)?, coarse: kernel::ticks(pid)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(exact: u64, coarse: u64) -> Account {
        let used = Duration::from_millis(exact);
        Account {
            exact: CpuTime { used, waited: Duration::ZERO },
            coarse: Duration::from_millis(coarse),
        }
    }

    #[test]
    fn time_of_ended_threads_is_missed() {
        assert_eq!(account(612, 600).since(account(5, 0)).unwrap().used.as_millis(), 607);
        assert!(account(300, 600).since(account(5, 0)).is_err());
    }

    #[test]
    fn shares_are_of_the_time_that_passed() {
        let sample = Sample {
            outcome: Outcome {
                answers: 1000,
                elapsed: Duration::from_millis(100),
                ..Outcome::default()
            },
            server: Some(CpuTime { used: Duration::from_millis(25), ..CpuTime::default() }),
            load: CpuTime { waited: Duration::from_millis(9), ..CpuTime::default() },
        };
        assert_eq!(sample.micros_per_request(), Some(25.0));
        assert!((sample.server_busy() - 0.25).abs() < 1e-9);
        assert!((sample.rate() - 10_000.0).abs() < 1e-9);
        assert!(sample.is_disturbed());
    }
}
