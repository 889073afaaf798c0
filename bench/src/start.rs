//! How long `imds` takes from being started to its first answer.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::request::Kind;
use crate::servers::{Programs, Scratch};
use crate::stats::{millis, number};
use crate::{Fault, client, fleet, kernel};

/// Starts after the first.
pub(crate) const STARTS: usize = 11;

/// What starting takes and leaves in memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Starts {
    /// With an empty state directory, which the server has to fill first.
    pub(crate) first: Duration,
    /// Each with the state directory that the first one left, in milliseconds.
    pub(crate) warm: Vec<f64>,
    /// Bytes resident once ready, in the last of them.
    pub(crate) resident: f64,
}

/// Measures with the one default instance.
pub(crate) fn measure(programs: &Programs) -> Result<Starts, Fault> {
    let dir = Scratch::new()?;
    starts(programs, dir.path(), &[])
}

/// Measures with this many instances more.
pub(crate) fn measure_fleet(programs: &Programs, instances: u32) -> Result<Starts, Fault> {
    let (dir, settings) = (Scratch::new()?, Scratch::new()?);
    let file = settings.path().join("fleet.toml");
    std::fs::write(&file, fleet::settings(instances))?;
    starts(programs, dir.path(), &["--config".into(), file.into()])
}

fn starts(programs: &Programs, dir: &Path, more: &[OsString]) -> Result<Starts, Fault> {
    let (first, _) = once(programs, dir, more)?;
    let mut warm = Vec::new();
    let mut resident = 0;
    for _ in 0..STARTS {
        let (time, bytes) = once(programs, dir, more)?;
        warm.push(millis(time));
        resident = bytes;
    }
    Ok(Starts { first, warm, resident: number(resident) })
}

/// Starts, gets a token and a leaf with it, and stops.
fn once(programs: &Programs, dir: &Path, more: &[OsString]) -> Result<(Duration, u64), Fault> {
    let mut arguments = vec!["--store".into(), "redb".into()];
    arguments.extend_from_slice(more);
    let start = Instant::now();
    let server = programs.start_imds(dir, &arguments)?;
    let request = server.request(Kind::Get)?;
    client::ask(server.address()?, &request)?;
    Ok((start.elapsed(), kernel::resident_bytes(server.pid())?))
}
