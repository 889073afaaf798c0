//! How long answers take at half the rate that saturates.
//!
//! The saturating rate is what came of the closed loop. Requests start at fixed distances, and
//! each one's time counts from when it was due.
//!
//! Rounds are short and many: where a hypervisor takes a core away for milliseconds now and then,
//! that decides the p99 of a long round whatever the server does, but not the median of short
//! ones. What the median hides, stalls of the server among them, the p99 of all rounds together
//! shows.

use std::time::Duration;

use crate::Fault;
use crate::cpu::{self, Costs};
use crate::load::{Mistakes, Pace};
use crate::request::Kind;
use crate::run::Effort;
use crate::servers::{Brand, Programs};
use crate::stats::{micros, percentile, ratios};

/// One server at one rate, a value a round.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) brand: Brand,
    /// Requests a second.
    pub(crate) rate: f64,
    /// Whether the rate is half of the server's own saturating rate, rather than the common one.
    pub(crate) own_rate: bool,
    /// In microseconds.
    pub(crate) p50: Vec<f64>,
    /// In microseconds.
    pub(crate) p99: Vec<f64>,
    /// Of all rounds, in no order.
    times: Vec<Duration>,
}

/// All series, rounds side by side.
#[derive(Debug)]
pub(crate) struct Latencies {
    pub(crate) series: Vec<Series>,
}

impl Latencies {
    /// The p99 of imds in units of nginx's, each at half of its own saturating rate.
    pub(crate) fn p99_ratios(&self) -> Vec<f64> {
        let p99 = |brand| {
            let series = self.series.iter().find(|series| series.brand == brand && series.own_rate);
            series.map_or(&[][..], |series| &series.p99)
        };
        ratios(p99(Brand::Imds), p99(Brand::Nginx))
    }
}

/// Measures each server at half of its own saturating rate, and all at the lowest of these.
pub(crate) fn measure(
    programs: &Programs,
    costs: &Costs,
    effort: &mut Effort,
    mistakes: &mut Mistakes,
) -> Result<Latencies, Fault> {
    let mut series = Vec::new();
    for brand in [Brand::Floor, Brand::Nginx, Brand::Imds] {
        if let Some(rate) = costs.of(brand, Kind::Get).and_then(cpu::Series::rate) {
            series.push(Series::new(brand, rate / 2.0, true));
        }
    }
    if let Some(common) = series.iter().map(|series| series.rate).min_by(f64::total_cmp) {
        let others: Vec<Series> =
            series.iter().map(|series| Series::new(series.brand, common, false)).collect();
        series.extend(others);
    }
    for round in 0..effort.latency_rounds {
        eprint!("\rlatency: round {} of {} ", round + 1, effort.latency_rounds);
        let servers = cpu::start_all(programs, effort.warm_up, mistakes)?;
        let count = series.len();
        for turn in 0..count {
            let Some(series) = series.get_mut((turn + round) % count) else {
                continue;
            };
            let Some(server) = servers.iter().find(|server| server.brand == series.brand) else {
                continue;
            };
            let distance = Duration::try_from_secs_f64(1.0 / series.rate)?;
            let pace = Pace::Open { distance };
            let sample = effort.calmly(server, Kind::Get, pace, effort.latency_time, mistakes)?;
            for (values, per_mille) in [(&mut series.p50, 500), (&mut series.p99, 990)] {
                let time = percentile(&sample.outcome.times, per_mille);
                values.push(time.map_or(f64::NAN, micros));
            }
            series.times.extend(sample.outcome.times);
        }
    }
    eprintln!();
    Ok(Latencies { series })
}

impl Series {
    fn new(brand: Brand, rate: f64, own_rate: bool) -> Self {
        Self { brand, rate, own_rate, p50: Vec::new(), p99: Vec::new(), times: Vec::new() }
    }

    /// The p99 of all rounds together, in microseconds.
    pub(crate) fn p99_of_all(&self) -> Option<f64> {
        let mut sorted = self.times.clone();
        sorted.sort_unstable();
        percentile(&sorted, 990).map(micros)
    }
}
