//! The whole measurement, as `make bench` runs it.

use std::fs;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::args::RunArgs;
use crate::calm::Patience;
use crate::cores::{self, Cores};
use crate::kernel::CpuTime;
use crate::load::{Mistakes, Pace};
use crate::memory::Footprint;
use crate::report::{self, Findings};
use crate::request::Kind;
use crate::sample::{DISTURBED, Sample};
use crate::servers::{Brand, Programs, Server};
use crate::{Fault, change, cpu, fleet, latency, memory, start, verdicts};

/// Processes of each server whose memory is measured.
const FOOTPRINTS: usize = 3;

/// How much is measured, and how much of it was disturbed.
#[derive(Debug)]
pub(crate) struct Effort {
    pub(crate) cost_rounds: usize,
    pub(crate) cost_time: Duration,
    pub(crate) latency_rounds: usize,
    pub(crate) latency_time: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) change_rounds: usize,
    /// LIMIT: how often one sample is taken again because of a disturbance.
    repeats_max: u32,
    patience: Patience,
    pub(crate) samples: u32,
    pub(crate) repeated: u32,
    /// Samples that count although other programs disturbed them.
    pub(crate) disturbed: u32,
}

impl Effort {
    /// About four minutes, six if much is disturbed.
    fn full(cores: Cores) -> Self {
        Self {
            cost_rounds: 51,
            cost_time: Duration::from_millis(300),
            latency_rounds: 41,
            latency_time: Duration::from_millis(150),
            warm_up: Duration::from_millis(150),
            change_rounds: 31,
            repeats_max: 3,
            patience: Patience::new(cores, Duration::from_mins(1)),
            samples: 0,
            repeated: 0,
            disturbed: 0,
        }
    }

    /// About half a minute.
    fn quick(cores: Cores) -> Self {
        Self {
            cost_rounds: 9,
            cost_time: Duration::from_millis(200),
            latency_rounds: 9,
            latency_time: Duration::from_millis(100),
            warm_up: Duration::from_millis(50),
            change_rounds: 5,
            repeats_max: 1,
            patience: Patience::new(cores, Duration::from_secs(5)),
            ..Self::full(cores)
        }
    }

    /// Takes a sample of what is done one after the other, and takes it again if other programs
    /// disturbed it.
    pub(crate) fn calmly_in_turn<T>(
        &mut self,
        server: &Server,
        mut take: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.samples += 1;
        let mut tries = 0;
        loop {
            let (before, began) = (waited(server)?, Instant::now());
            let taken = take()?;
            let elapsed = began.elapsed();
            let waited = waited(server)?.saturating_sub(before);
            if waited.as_secs_f64() <= DISTURBED * elapsed.as_secs_f64() {
                return Ok(taken);
            }
            if tries == self.repeats_max {
                self.disturbed += 1;
                return Ok(taken);
            }
            tries += 1;
            self.patience.await_calm()?;
            self.repeated += 1;
        }
    }

    /// Takes a sample, and takes it again if other programs disturbed it.
    pub(crate) fn calmly(
        &mut self,
        server: &Server,
        kind: Kind,
        pace: Pace,
        time: Duration,
        mistakes: &mut Mistakes,
    ) -> Result<Sample, Fault> {
        self.samples += 1;
        let mut tries = 0;
        loop {
            let (address, request) = (server.address()?, server.request(kind)?);
            let mut sample = Sample::take(Some(server.pid()), address, &request, pace, time)?;
            let part = format!("{}, {}", server.brand.name(), kind.title());
            mistakes.absorb(&part, std::mem::take(&mut sample.outcome.wrong));
            if !sample.is_disturbed() {
                return Ok(sample);
            }
            if tries == self.repeats_max {
                self.disturbed += 1;
                return Ok(sample);
            }
            tries += 1;
            self.patience.await_calm()?;
            self.repeated += 1;
        }
    }
}

/// How long server and load have waited for their cores.
fn waited(server: &Server) -> Result<Duration, Fault> {
    let (server, load) = (CpuTime::of_process(server.pid())?, CpuTime::of_this_thread()?);
    Ok(server.waited + load.waited)
}

/// `openimds-bench run`.
pub(crate) fn command(args: &RunArgs) -> Result<ExitCode, Fault> {
    let cores = Cores::choose(args.load_cpu, args.server_cpu)?;
    cores::raise_open_files()?;
    cores::pin_this_thread(cores.load)?;
    let programs = Programs::new(args, cores);
    let nginx = programs.nginx_version()?;
    let mut effort = if args.quick { Effort::quick(cores) } else { Effort::full(cores) };
    let mut mistakes = Mistakes::default();

    let costs = cpu::measure(&programs, &mut effort, &mut mistakes)?;
    let latencies = latency::measure(&programs, &costs, &mut effort, &mut mistakes)?;
    let mut footprints = footprints(&programs, Brand::Nginx)?;
    let (mut starts, mut changes, mut fleets) = (None, None, Vec::new());
    if programs.imds.is_some() {
        footprints.extend(self::footprints(&programs, Brand::Imds)?);
        starts = Some(start::measure(&programs)?);
        changes = Some(change::measure(&programs, &mut effort, &mut mistakes)?);
        let sizes: Vec<u32> = args.fleet.iter().copied().filter(|size| *size > 0).collect();
        fleets = fleet::measure(&programs, &sizes, &mut effort, &mut mistakes)?;
    }

    let verdicts = verdicts::measure()?;
    let findings = Findings {
        costs,
        latencies,
        footprints,
        starts,
        changes,
        fleets,
        verdicts,
        effort,
        mistakes,
    };
    let report = report::render(&findings, cores, &nginx);
    print!("{report}");
    if let Some(file) = &args.save {
        fs::write(file, report)?;
    }
    Ok(match findings.mistakes.count {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// `openimds-bench verdicts`.
pub(crate) fn verdicts() -> Result<ExitCode, Fault> {
    print!("{}", report::verdicts(&verdicts::measure()?));
    Ok(ExitCode::SUCCESS)
}

fn footprints(programs: &Programs, brand: Brand) -> Result<Vec<Footprint>, Fault> {
    (0..FOOTPRINTS).map(|_| memory::measure(programs, brand)).collect()
}
