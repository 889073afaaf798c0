//! How long a change of options takes, and when the data plane has it.
//!
//! ```text
//! ModifyInstanceMetadataOptions ─────▶ answered ──▶ GET without a token ─────▶ the new status
//! └──────────── acknowledged ────────┘ └─────────────── in force ──────────────┘
//! ```
//!
//! The second time is as short as a GET can be if the first GET after the answer has it.

use std::time::{Duration, Instant};

use crate::load::Mistakes;
use crate::operator::Operator;
use crate::request::{Kind, Request};
use crate::run::Effort;
use crate::servers::{Programs, Scratch, Server};
use crate::stats::{millis, percentile};
use crate::{Fault, client};

/// Changes in a round.
pub(crate) const CHANGES: usize = 100;

/// LIMIT: how long a change may take until it is in force.
const PATIENCE: Duration = Duration::from_secs(5);

/// Times, in milliseconds, a value a round.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    pub(crate) acknowledged: Percentiles,
    pub(crate) in_force: Percentiles,
    /// Requests after an answer that saw what was before.
    pub(crate) late: u64,
}

/// The median and the 99th percentile of each round.
#[derive(Debug, Default)]
pub(crate) struct Percentiles {
    pub(crate) p50: Vec<f64>,
    pub(crate) p99: Vec<f64>,
}

impl Percentiles {
    fn add(&mut self, mut times: Vec<Duration>) {
        times.sort_unstable();
        self.p50.extend(percentile(&times, 500).map(millis));
        self.p99.extend(percentile(&times, 990).map(millis));
    }
}

/// Makes tokens optional and required, again and again, with the embedded store.
pub(crate) fn measure(
    programs: &Programs,
    effort: &mut Effort,
    mistakes: &mut Mistakes,
) -> Result<Changes, Fault> {
    let imds = programs.imds.as_ref().ok_or("no imds was given")?;
    let dir = Scratch::new()?;
    let server = programs.start_imds(dir.path(), &["--store".into(), "redb".into()])?;
    let operator = Operator::of(imds, dir.path())?;
    let mut changes = Changes::default();
    for round in 0..effort.change_rounds {
        eprint!("\rChanges: round {} of {}        ", round + 1, effort.change_rounds);
        let times: Vec<_> = effort.calmly_in_turn(&server, || {
            let change = |number| change(&server, &operator, number % 2 == 0, &mut changes.late);
            (0..CHANGES).map(change).collect()
        })?;
        changes.acknowledged.add(times.iter().map(|(acknowledged, _)| *acknowledged).collect());
        changes.in_force.add(times.iter().map(|(_, in_force)| *in_force).collect());
    }
    eprintln!();
    if changes.late > 0 {
        mistakes.add(|| "a request after a change was answered saw what was before it".to_owned());
    }
    Ok(changes)
}

fn change(
    server: &Server,
    operator: &Operator,
    is_optional: bool,
    late: &mut u64,
) -> Result<(Duration, Duration), Fault> {
    let (tokens, status) = if is_optional { ("optional", 200) } else { ("required", 401) };
    let request = operator.request(&format!(
        "Action=ModifyInstanceMetadataOptions&InstanceId=i-1234567890abcdef0&HttpTokens={tokens}"
    ))?;
    let read = Request { status, ..Request::new(Kind::Tokenless, "") };
    let asked = Instant::now();
    operator.send(&request)?;
    let answered = Instant::now();
    while let Err(fault) = client::ask(server.address()?, &read) {
        *late += 1;
        if answered.elapsed() > PATIENCE {
            return Err(fault);
        }
    }
    Ok((answered - asked, answered.elapsed()))
}
