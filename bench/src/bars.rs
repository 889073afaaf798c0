//! What was promised, beside what was measured.

use crate::fleet;
use crate::report::Findings;
use crate::request::Kind;
use crate::servers::Brand;
use crate::stats::{interval, median};
use crate::table::Table;
use crate::verdicts;

pub(crate) const MIB: f64 = 1024.0 * 1024.0;
pub(crate) const KIB: f64 = 1024.0;

/// One promise and its measurement.
struct Bar {
    what: String,
    /// The most that is allowed.
    limit: f64,
    /// What we would like.
    goal: Option<f64>,
    unit: &'static str,
    decimals: usize,
    /// A figure a round; empty if it was not measured.
    measured: Vec<f64>,
}

impl Bar {
    /// A bar for the CPU time or latency of one thing in units of another's.
    fn ratio(what: &str, limit: f64, unit: &'static str, measured: Vec<f64>) -> Self {
        Self { what: what.to_owned(), limit, goal: None, unit, decimals: 2, measured }
    }

    /// A bar for a figure by itself.
    fn figure(what: &str, limit: f64, unit: &'static str, measured: Vec<f64>) -> Self {
        Self { decimals: 1, ..Self::ratio(what, limit, unit, measured) }
    }

    fn with_goal(self, goal: f64) -> Self {
        Self { goal: Some(goal), ..self }
    }

    fn cells(&self) -> [String; 4] {
        let Self { limit, unit, decimals, .. } = *self;
        let goal = self.goal.map_or_else(String::new, |goal| format!(", goal {goal:.decimals$}"));
        let measured = if self.measured.is_empty() {
            String::new()
        } else {
            format!("{} {unit}", spread(&self.measured, decimals))
        };
        [
            self.what.clone(),
            format!("≤ {limit:.decimals$} {unit}{goal}"),
            measured,
            verdict(&self.measured, limit, self.goal),
        ]
    }
}

/// Says whether a median keeps to its bar, and to its goal if there is one.
fn verdict(measured: &[f64], limit: f64, goal: Option<f64>) -> String {
    let Some((figure, (least, _))) = median(measured).zip(interval(measured)) else {
        return "not measured".to_owned();
    };
    let over = |limit: f64| format!("missed by {:.1} %", (figure / limit - 1.0) * 100.0);
    match goal {
        _ if figure > limit && least <= limit => format!("{}, within the noise", over(limit)),
        _ if figure > limit => format!("**{}**", over(limit)),
        Some(goal) if figure > goal => format!("met; goal {}", over(goal)),
        Some(_) => "met, and the goal".to_owned(),
        None => "met".to_owned(),
    }
}

/// The median, and in brackets where it lies with 95 % confidence.
pub(crate) fn spread(values: &[f64], decimals: usize) -> String {
    match (median(values), interval(values)) {
        (Some(median), Some((least, most))) if least < most => {
            format!("{median:.decimals$} ({least:.decimals$}–{most:.decimals$})")
        }
        (Some(median), _) => format!("{median:.decimals$}"),
        (None, _) => String::new(),
    }
}

/// All bars that this program can measure.
pub(crate) fn table(findings: &Findings) -> Table {
    let mut table = Table::new(["what", "bar", "measured", "verdict"]);
    for bar in answers(findings).iter().chain(&resources(findings)) {
        table.row(bar.cells());
    }
    table
}

/// What an answer costs and how long it takes.
fn answers(findings: &Findings) -> Vec<Bar> {
    let imds = |kind| (Brand::Imds, kind);
    let floor = findings.costs.ratios(imds(Kind::Get), (Brand::Floor, Kind::Get));
    let of_get = |kind: Kind, limit| {
        let ratios = findings.costs.ratios(imds(kind), imds(Kind::Get));
        Bar::ratio(kind.title(), limit, "× GET", ratios)
    };
    let p99 = findings.latencies.p99_ratios();
    vec![
        Bar::ratio(Kind::Get.title(), 1.40, "× floor", floor).with_goal(1.25),
        of_get(Kind::Put, 1.10),
        of_get(Kind::Tokenless, 1.00),
        of_get(Kind::Forwarded, 1.00),
        of_get(Kind::Unknown, 1.00),
        Bar::ratio("p99 at half the saturating rate", 1.10, "× nginx", p99),
    ]
}

/// What the server holds, and how soon it is there.
fn resources(findings: &Findings) -> Vec<Bar> {
    let (mut idle, mut connection) = (Vec::new(), Vec::new());
    for footprint in findings.footprints.iter().filter(|one| one.brand == Brand::Imds) {
        idle.push(footprint.idle / MIB);
        connection.push(footprint.per_connection / KIB);
    }
    let start = findings.starts.as_ref().map(|starts| starts.warm.clone()).unwrap_or_default();
    let seconds = |millis: &[f64]| millis.iter().map(|millis| millis / 1e3).collect();
    let fleet_start = fleet::warm(&findings.fleets, 100_000).map(seconds).unwrap_or_default();
    let changes = findings.changes.as_ref();
    let in_force = changes.map(|changes| changes.in_force.p99.clone()).unwrap_or_default();
    let instances = fleet::per_instance(&findings.fleets).map(|(instances, bytes)| {
        let what = format!("memory per instance held, of {instances}");
        Bar::figure(&what, 1.5, "KiB", vec![bytes / KIB])
    });
    let mut bars = vec![
        Bar::figure("memory, idle", 15.0, "MiB", idle),
        Bar::figure("memory per idle connection", 4.0, "KiB", connection),
        Bar::figure("start to first answer, 1 instance", 50.0, "ms", start),
        Bar {
            decimals: 2,
            ..Bar::figure("start to first answer, 100000 instances", 2.0, "s", fleet_start)
        },
        Bar {
            decimals: 2,
            ..Bar::figure("change of options answered until in force, p99", 5.0, "ms", in_force)
        },
    ];
    let verdict = verdicts::dearest(&findings.verdicts);
    let nanos = verdict.map(|verdict| verdict.nanos.clone()).unwrap_or_default();
    let micros = nanos.iter().map(|nanos| nanos / 1e3).collect();
    bars.push(Bar {
        decimals: 2,
        ..Bar::figure("verdict, ten documents of ten statements", verdicts::BAR / 1e3, "µs", micros)
    });
    bars.splice(2..2, instances.map(|bar| Bar { decimals: 2, ..bar }));
    bars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts() {
        for (measured, limit, goal, expected) in [
            (&[][..], 1.4, None, "not measured"),
            (&[1.4][..], 1.4, None, "met"),
            (&[1.54][..], 1.4, Some(1.25), "**missed by 10.0 %**"),
            (&[1.3, 1.54, 1.6][..], 1.4, None, "missed by 10.0 %, within the noise"),
            (&[1.375][..], 1.4, Some(1.25), "met; goal missed by 10.0 %"),
            (&[1.25][..], 1.4, Some(1.25), "met, and the goal"),
        ] {
            assert_eq!(verdict(measured, limit, goal), expected, "{measured:?} to {limit}");
        }
    }

    #[test]
    fn spreads_show_the_median_first() {
        assert_eq!(spread(&[3.0, 1.0, 2.0], 1), "2.0 (1.0–3.0)");
        assert_eq!(spread(&[2.0], 1), "2.0");
        assert_eq!(spread(&[], 1), "");
    }
}
