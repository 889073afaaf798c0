//! What it takes to hold many instances: memory, time to start, and CPU time per request.
//!
//! Each instance of a fleet has an id, a MAC, an address and an attachment of its own; everything
//! else is alike. All are told apart by the address they ask from, at one listener. The load comes
//! from the address of the first.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::net::Ipv4Addr;

use crate::Fault;
use crate::args::CONNECTIONS;
use crate::load::{Mistakes, Pace};
use crate::request::Kind;
use crate::run::Effort;
use crate::servers::{Programs, Scratch, Server};
use crate::start::{self, Starts};
use crate::walk::{self, Walk};

/// The kinds of request that are measured with a fleet.
pub(crate) const KINDS: [Kind; 2] = [Kind::Get, Kind::Put];

/// LIMIT: a fleet larger than this is started once after its first start, since that takes long.
const STARTED_OFTEN_MAX: u32 = 100_000;

/// A server that holds a fleet.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) instances: u32,
    pub(crate) starts: Starts,
    /// CPU time per request, in microseconds, a value a round, for each of [`KINDS`].
    pub(crate) micros: [Vec<f64>; 2],
    /// What it takes to describe it, unless it is too large.
    pub(crate) walk: Option<Walk>,
}

/// Measures fleets of these sizes; their costs in interleaved rounds.
pub(crate) fn measure(
    programs: &Programs,
    sizes: &[u32],
    effort: &mut Effort,
    mistakes: &mut Mistakes,
) -> Result<Vec<Fleet>, Fault> {
    let mut held = Vec::new();
    for instances in sizes {
        eprint!("\rFleet of {instances} instances        ");
        held.push(hold(programs, *instances)?);
    }
    let count = held.len();
    for round in 0..effort.cost_rounds {
        eprint!("\rFleets: round {} of {}        ", round + 1, effort.cost_rounds);
        for turn in 0..count {
            let Some((fleet, server, _)) = held.get_mut((turn + round) % count) else {
                continue;
            };
            for (kind, micros) in KINDS.into_iter().zip(&mut fleet.micros) {
                let pace = Pace::Closed { connections: CONNECTIONS };
                let sample = effort.calmly(server, kind, pace, effort.cost_time, mistakes)?;
                micros.push(sample.micros_per_request().unwrap_or(f64::NAN));
            }
        }
    }
    eprintln!();
    Ok(held.into_iter().map(|(fleet, ..)| fleet).collect())
}

/// Starts a server with a fleet, again and again, and leaves the last one running.
fn hold(programs: &Programs, instances: u32) -> Result<(Fleet, Server, [Scratch; 2]), Fault> {
    let (dir, settings) = (Scratch::new()?, Scratch::new()?);
    let file = settings.path().join("fleet.toml");
    std::fs::write(&file, self::settings(instances))?;
    let mut more: Vec<OsString> = vec!["--config".into(), file.into()];
    more.extend(["--shared-listen".into(), "127.0.0.1:0".into()]);
    let warm = if instances > STARTED_OFTEN_MAX { 1 } else { start::STARTS };
    let (starts, server) = start::starts(programs, dir.path(), &more, warm)?;
    let walk = match &programs.imds {
        Some(imds) if instances <= walk::WALKED_MAX => {
            Some(walk::measure(&server, imds, dir.path(), instances)?)
        }
        _ => None,
    };
    let fleet = Fleet { instances, starts, micros: [Vec::new(), Vec::new()], walk };
    Ok((fleet, server, [dir, settings]))
}

/// Settings with this many instances.
fn settings(instances: u32) -> String {
    let mut text = String::new();
    for number in 1..=instances {
        let [_, mac @ ..] = number.to_be_bytes();
        let [a, b, c] = mac;
        let own = Ipv4Addr::new(10, a, b, c);
        let source = if number == 1 { Ipv4Addr::LOCALHOST } else { own };
        let tags = if number == 1 {
            format!("tags = {{ Name = \"{}\" }}\n", walk::TAG)
        } else {
            String::new()
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "[[instance]]\nid = \"i-{number:017x}\"\n\
             {tags}attachments = [{{ source = \"{source}\" }}]\n\
             interfaces = [{{ mac = \"02:00:00:{a:02x}:{b:02x}:{c:02x}\", \
             ipv4 = [{{ private = \"{own}\" }}] }}]\n\n"
        );
    }
    text
}

/// The fleet of this size, and what each instance beyond the one of the smallest adds to memory.
pub(crate) fn per_instance(fleets: &[Fleet]) -> impl Iterator<Item = (u32, f64)> {
    let smallest = fleets.iter().min_by_key(|fleet| fleet.instances);
    fleets.iter().filter_map(move |fleet| {
        let more = fleet.instances.checked_sub(smallest?.instances).filter(|more| *more > 0)?;
        let bytes = fleet.starts.resident - smallest?.starts.resident;
        Some((fleet.instances, bytes / f64::from(more)))
    })
}

/// The time of a start after the first, if any fleet has this size.
pub(crate) fn warm(fleets: &[Fleet], instances: u32) -> Option<&[f64]> {
    let fleet = fleets.iter().find(|fleet| fleet.instances == instances)?;
    Some(&fleet.starts.warm)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_instance_has_facts_of_its_own() {
        let text = settings(70_000);
        assert_eq!(text.matches("[[instance]]").count(), 70_000);
        for first in
            ["id = \"i-00000000000000001\"\n", "source = \"127.0.0.1\"", "private = \"10.0.0.1\""]
        {
            assert_eq!(text.matches(first).count(), 1, "{first}");
        }
        for last in [
            "id = \"i-00000000000011170\"\n",
            "source = \"10.1.17.112\"",
            "mac = \"02:00:00:01:11:70\"",
        ] {
            assert_eq!(text.matches(last).count(), 1, "{last}");
        }
    }

    #[test]
    fn memory_counts_from_the_smallest_fleet() {
        let fleet = |instances, resident| Fleet {
            instances,
            starts: Starts { first: Duration::ZERO, warm: vec![1.0], resident },
            micros: Default::default(),
            walk: None,
        };
        let fleets = [fleet(1, 1000.0), fleet(11, 6000.0)];
        assert_eq!(per_instance(&fleets).collect::<Vec<_>>(), [(11, 500.0)]);
        assert_eq!(warm(&fleets, 11), Some(&[1.0][..]));
        assert_eq!(warm(&fleets, 12), None);
    }
}
