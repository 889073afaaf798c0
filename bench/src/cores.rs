//! Which core runs what.

use std::fs;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Fault;

/// One core for the servers, another for the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cores {
    pub(crate) load: usize,
    pub(crate) server: usize,
}

impl Cores {
    /// Takes the cores that were asked for; else the first that this process may use for the load,
    /// and for the servers the next that is not the same core's other thread.
    pub(crate) fn choose(load: Option<usize>, server: Option<usize>) -> Result<Self, Fault> {
        let allowed = sched_getaffinity(None)?;
        let allowed: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
        let load = load
            .or_else(|| allowed.iter().copied().find(|cpu| Some(*cpu) != server))
            .ok_or("no core to run on")?;
        let siblings = siblings_of(load);
        let mut others = allowed.iter().copied().filter(|cpu| *cpu != load);
        let apart = others.clone().find(|cpu| !siblings.contains(cpu));
        let server = server
            .or(apart)
            .or_else(|| others.next())
            .ok_or("two cores are needed, one for the servers and one for the load")?;
        if load == server {
            return Err("servers and load need a core each".into());
        }
        Ok(Self { load, server })
    }
}

/// Keeps this thread, and whatever it starts from now on, on one core.
pub(crate) fn pin_this_thread(cpu: usize) -> Result<(), Fault> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(format!("there is no core {cpu}").into());
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|errno| format!("cannot run on core {cpu}: {errno}"))?;
    Ok(())
}

/// Allows this process and those it starts as many open files as may be had.
pub(crate) fn raise_open_files() -> Result<(), Fault> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

fn siblings_of(cpu: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    fs::read_to_string(path).map_or_else(|_| Vec::new(), |text| parse_list(&text))
}

/// Reads a list like `0-2,8`.
fn parse_list(text: &str) -> Vec<usize> {
    text.trim()
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse::<usize>().ok()?..=last.parse::<usize>().ok()?)
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read() {
        for (text, expected) in
            [("0\n", &[0][..]), ("0-2,8\n", &[0, 1, 2, 8][..]), ("3,7", &[3, 7][..]), ("", &[][..])]
        {
            assert_eq!(parse_list(text), expected, "{text:?}");
        }
    }
}
