//! What the kernel says that a process costs.
//!
//! CPU time is the sum of the first figures of `/proc/PID/task/*/schedstat`: the nanoseconds that
//! each thread was on a core, in user space and in the kernel. Over loopback that includes the
//! packets that the thread sends being received at the other end, for every server alike.
//! The second figures tell how long threads waited for a core, which is how a disturbance by
//! other programs shows.
//! Threads that ended are in neither, so whoever measures compares with [`ticks`], which has them,
//! but coarsely.

use std::fs;
use std::time::Duration;

use crate::Fault;

/// Time that threads had, since they began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// On a core.
    pub(crate) used: Duration,
    /// Ready to run, while another program was on the core.
    pub(crate) waited: Duration,
}

impl CpuTime {
    /// Of all threads of `pid` and of its child processes.
    pub(crate) fn of_process(pid: u32) -> Result<Self, Fault> {
        let mut sum = Self::default();
        for pid in family(pid)? {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                // A thread may end between the listing and the reading.
                let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                    continue;
                };
                let time = Self::parse(&text).ok_or("the kernel keeps no schedstat")?;
                sum.used += time.used;
                sum.waited += time.waited;
            }
        }
        Ok(sum)
    }

    /// Of the calling thread.
    pub(crate) fn of_this_thread() -> Result<Self, Fault> {
        let text = fs::read_to_string("/proc/thread-self/schedstat")?;
        Ok(Self::parse(&text).ok_or("the kernel keeps no schedstat")?)
    }

    /// What came on top of `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            used: self.used.saturating_sub(earlier.used),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }

    fn parse(schedstat: &str) -> Option<Self> {
        let mut figures = schedstat.split_whitespace().map(str::parse);
        let used = Duration::from_nanos(figures.next()?.ok()?);
        let waited = Duration::from_nanos(figures.next()?.ok()?);
        Some(Self { used, waited })
    }
}

/// The ticks that `pid` and its children used, those of ended threads included.
pub(crate) fn ticks(pid: u32) -> Result<Duration, Fault> {
    let mut ticks = 0;
    for pid in family(pid)? {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        ticks += ticks_of(&stat).ok_or("unreadable /proc/PID/stat")?;
    }
    Ok(Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second()))
}

/// Memory of `pid` and its children that is in RAM, shared pages included, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64, Fault> {
    let mut sum = 0;
    for pid in family(pid)? {
        let status = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        sum += kibibytes(&status, "Rss:").ok_or("no Rss in /proc/PID/smaps_rollup")?;
    }
    Ok(sum)
}

/// Forgets how much memory `pid` had at most.
pub(crate) fn forget_peak(pid: u32) -> Result<(), Fault> {
    Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

/// The most memory that `pid` had in RAM since then, shared pages included, in bytes.
pub(crate) fn peak_bytes(pid: u32) -> Result<u64, Fault> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(kibibytes(&status, "VmHWM:").ok_or("no VmHWM in /proc/PID/status")?)
}

/// Descriptors that `pid` and its children hold.
pub(crate) fn open_files(pid: u32) -> Result<usize, Fault> {
    let mut sum = 0;
    for pid in family(pid)? {
        sum += fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    }
    Ok(sum)
}

/// `pid` and its children. None of the measured servers has grandchildren.
pub(crate) fn family(pid: u32) -> Result<Vec<u32>, Fault> {
    let mut pids = vec![pid];
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        if let Ok(children) = fs::read_to_string(task?.path().join("children")) {
            pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
    }
    Ok(pids)
}

/// User and system time of a `stat`, in clock ticks. The program's name may hold anything.
fn ticks_of(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut times = after_name.split_whitespace().skip(11);
    let user: u64 = times.next()?.parse().ok()?;
    let system: u64 = times.next()?.parse().ok()?;
    user.checked_add(system)
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_texts_are_read() {
        let time = CpuTime::parse("4121961438 465440 19\n").unwrap();
        assert_eq!(time.used, Duration::from_nanos(4_121_961_438));
        assert_eq!(time.waited, Duration::from_nanos(465_440));
        assert_eq!(CpuTime::parse("7"), None);
        let stat = "17 (a) b) S 1 17 17 0 -1 4194304 99 0 0 0 250 50 0 0 20 0 1 0 5 0 0";
        assert_eq!(ticks_of(stat), Some(300));
        let text = "5-7 ---p [rollup]\nRss:   1234 kB\nPss: 7 kB\n";
        assert_eq!(kibibytes(text, "Rss:"), Some(1234 * 1024));
        assert_eq!(kibibytes(text, "VmHWM:"), None);
    }

    #[test]
    fn this_process_has_figures() {
        let pid = std::process::id();
        let (own, all) = (CpuTime::of_this_thread().unwrap(), CpuTime::of_process(pid).unwrap());
        assert!(all.used >= own.used);
        assert!(resident_bytes(pid).unwrap() > 0);
        forget_peak(pid).unwrap();
        assert!(peak_bytes(pid).unwrap() > 0);
        assert!(open_files(pid).unwrap() > 2);
    }
}
