//! How long `imds` takes from being started to its first answer.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::request::Kind;
use crate::servers::{Programs, Scratch, Server};
use crate::stats::{millis, number};
use crate::{Fault, client, kernel};

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
    let (starts, _) = starts(programs, dir.path(), &[], STARTS)?;
    Ok(starts)
}

/// Starts a first time and so many times after it, and leaves the last server running.
pub(crate) fn starts(
    programs: &Programs,
    dir: &Path,
    more: &[OsString],
    count: usize,
) -> Result<(Starts, Server), Fault> {
    let (first, mut server) = once(programs, dir, more)?;
    let mut warm = Vec::new();
    for _ in 0..count {
        // The state directory has room for one.
        drop(server);
        let (time, started) = once(programs, dir, more)?;
        warm.push(millis(time));
        server = started;
    }
    let resident = number(kernel::resident_bytes(server.pid())?);
    Ok((Starts { first, warm, resident }, server))
}

/// Starts, and gets a token and a leaf with it.
fn once(programs: &Programs, dir: &Path, more: &[OsString]) -> Result<(Duration, Server), Fault> {
    let mut arguments = vec!["--store".into(), "redb".into()];
    arguments.extend_from_slice(more);
    let start = Instant::now();
    let server = programs.start_imds(dir, &arguments)?;
    let request = server.request(Kind::Get)?;
    client::ask(server.address()?, &request)?;
    Ok((start.elapsed(), server))
}
