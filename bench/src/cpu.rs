//! CPU time of the servers per request, in interleaved rounds.
//!
//! Every round starts every server anew, so that no figure hangs on where one process happened to
//! be placed in memory, and starts with another server, so that none profits from its place in
//! the order.

use std::time::Duration;

use crate::Fault;
use crate::args::CONNECTIONS;
use crate::load::{Mistakes, Pace};
use crate::request::Kind;
use crate::run::Effort;
use crate::sample::Sample;
use crate::servers::{Brand, Programs, Server};
use crate::stats::{median, ratios};

/// One kind of request to one server, a value a round.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) brand: Brand,
    pub(crate) kind: Kind,
    /// CPU time per request, in microseconds.
    pub(crate) micros: Vec<f64>,
    rates: Vec<f64>,
    server_busy: Vec<f64>,
    load_busy: Vec<f64>,
}

impl Series {
    fn new(brand: Brand, kind: Kind) -> Self {
        Self {
            brand,
            kind,
            micros: Vec::new(),
            rates: Vec::new(),
            server_busy: Vec::new(),
            load_busy: Vec::new(),
        }
    }

    fn add(&mut self, sample: &Sample) {
        self.micros.push(sample.micros_per_request().unwrap_or(f64::NAN));
        self.rates.push(sample.rate());
        self.server_busy.push(sample.server_busy());
        self.load_busy.push(sample.load_busy());
    }

    /// Requests a second in a closed loop.
    pub(crate) fn rate(&self) -> Option<f64> {
        median(&self.rates)
    }

    pub(crate) fn server_busy(&self) -> Option<f64> {
        median(&self.server_busy)
    }

    pub(crate) fn load_busy(&self) -> Option<f64> {
        median(&self.load_busy)
    }
}

/// All series, rounds side by side.
#[derive(Debug)]
pub(crate) struct Costs {
    pub(crate) series: Vec<Series>,
}

impl Costs {
    pub(crate) fn of(&self, brand: Brand, kind: Kind) -> Option<&Series> {
        self.series.iter().find(|series| series.brand == brand && series.kind == kind)
    }

    /// What one costs in units of the other, each round by itself.
    pub(crate) fn ratios(&self, one: (Brand, Kind), other: (Brand, Kind)) -> Vec<f64> {
        let micros = |(brand, kind)| self.of(brand, kind).map_or(&[][..], |series| &series.micros);
        ratios(micros(one), micros(other))
    }
}

/// Measures all servers that there are.
pub(crate) fn measure(
    programs: &Programs,
    effort: &mut Effort,
    mistakes: &mut Mistakes,
) -> Result<Costs, Fault> {
    let mut series =
        vec![Series::new(Brand::Floor, Kind::Get), Series::new(Brand::Nginx, Kind::Get)];
    if programs.imds.is_some() {
        series.extend(Kind::ALL.map(|kind| Series::new(Brand::Imds, kind)));
    }
    for round in 0..effort.cost_rounds {
        eprint!("\rCPU time: round {} of {} ", round + 1, effort.cost_rounds);
        let servers = start_all(programs, effort.warm_up, mistakes)?;
        let count = series.len();
        for turn in 0..count {
            let Some(series) = series.get_mut((turn + round) % count) else {
                continue;
            };
            let Some(server) = servers.iter().find(|server| server.brand == series.brand) else {
                continue;
            };
            let pace = Pace::Closed { connections: CONNECTIONS };
            let sample = effort.calmly(server, series.kind, pace, effort.cost_time, mistakes)?;
            series.add(&sample);
        }
    }
    eprintln!();
    Ok(Costs { series })
}

/// Starts floor, nginx and, if given, imds, and warms each up.
pub(crate) fn start_all(
    programs: &Programs,
    warm_up: Duration,
    mistakes: &mut Mistakes,
) -> Result<Vec<Server>, Fault> {
    let mut brands = vec![Brand::Floor, Brand::Nginx];
    if programs.imds.is_some() {
        brands.push(Brand::Imds);
    }
    let mut servers = Vec::new();
    for brand in brands {
        let server = programs.start(brand)?;
        let pace = Pace::Closed { connections: CONNECTIONS };
        let request = server.request(Kind::Get)?;
        let sample = Sample::take(Some(server.pid()), server.address()?, &request, pace, warm_up)?;
        mistakes.absorb(brand.name(), sample.outcome.wrong);
        servers.push(server);
    }
    Ok(servers)
}
