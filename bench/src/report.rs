//! The findings beside the bars, in Markdown.

use crate::args::CONNECTIONS;
use crate::bars::{self, KIB, MIB, spread};
use crate::change::{CHANGES, Changes};
use crate::cores::Cores;
use crate::cpu::Costs;
use crate::fleet::{self, Fleet};
use crate::latency::Latencies;
use crate::load::Mistakes;
use crate::machine;
use crate::memory::{self, Footprint};
use crate::request::Kind;
use crate::run::Effort;
use crate::servers::Brand;
use crate::start::{STARTS, Starts};
use crate::stats::millis;
use crate::table::Table;
use crate::verdicts::{self, Verdicts};
use crate::walk::{PAGE, Walk};

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Findings {
    pub(crate) costs: Costs,
    pub(crate) latencies: Latencies,
    pub(crate) footprints: Vec<Footprint>,
    pub(crate) starts: Option<Starts>,
    pub(crate) changes: Option<Changes>,
    pub(crate) fleets: Vec<Fleet>,
    pub(crate) verdicts: Vec<Verdicts>,
    pub(crate) effort: Effort,
    pub(crate) mistakes: Mistakes,
}

/// Writes the whole report.
pub(crate) fn render(findings: &Findings, cores: Cores, nginx: &str) -> String {
    let sections = [
        "# Benchmarks\n\n\
         What an answer costs, measured by `make bench`: OpenIMDS beside a \
         *floor*, the least that a server on epoll can do (one read, one constant write, close), \
         and nginx answering a constant. The figures hold for the machine below; elsewhere, \
         compare the ratios.\n"
            .to_owned(),
        machine::describe(cores, nginx).to_string(),
        format!("## Bars\n\n{}\n{NOT_HERE}", bars::table(findings)),
        format!("## CPU time per request\n\n{}\n{}", costs(&findings.costs), costs_note(findings)),
        format!(
            "## Latency\n\n{}\n{}",
            latencies(&findings.latencies),
            latency_note(&findings.effort)
        ),
        format!("## Memory\n\n{}\n{}", footprints(findings), memory_note()),
        starts(findings),
        fleets(&findings.fleets),
        changes(findings),
        walks(&findings.fleets),
        verdicts(&findings.verdicts),
        answers(&findings.mistakes),
    ];
    let sections: Vec<String> = sections.into_iter().filter(|text| !text.is_empty()).collect();
    sections.join("\n")
}

const NOT_HERE: &str = "\
Not measured by this command: the io_uring driver.\n";

fn costs(costs: &Costs) -> Table {
    let mut table = Table::new([
        "server",
        "request",
        "CPU µs",
        "× floor",
        "requests/s",
        "server busy",
        "load busy",
    ]);
    for series in &costs.series {
        let ratios = costs.ratios((series.brand, series.kind), (Brand::Floor, Kind::Get));
        let request = match series.brand {
            Brand::Imds => series.kind.title(),
            Brand::Floor | Brand::Nginx => "any (constant answer)",
        };
        table.row([
            series.brand.name().to_owned(),
            request.to_owned(),
            spread(&series.micros, 2),
            spread(&ratios, 2),
            figure(series.rate(), 0),
            percent(series.server_busy()),
            percent(series.load_busy()),
        ]);
    }
    table
}

fn costs_note(findings: &Findings) -> String {
    let effort = &findings.effort;
    format!(
        "{CONNECTIONS} connections in flight, one request each, {} rounds of {} ms; servers are \
         started anew each round and take turns in changing order. CPU time is the kernel's, to \
         the nanosecond (`/proc/PID/task/*/schedstat`), of all threads and processes of a server, \
         user space and kernel. Ratios are formed within a round. Medians of the rounds, and in brackets where \
         they lie with 95 % confidence.\n\n\
         The load has one core. Where it is busy and the server is not, the rate is what the load \
         can do, not what the server can; CPU time per request holds all the same.\n\n\
         A sample during which server or load had to wait for its core, because other programs \
         ran there, is taken again: {} times for {} samples here. {} samples count although they \
         were disturbed.\n",
        effort.cost_rounds,
        effort.cost_time.as_millis(),
        effort.repeated,
        effort.samples,
        effort.disturbed,
    )
}

fn latencies(latencies: &Latencies) -> Table {
    let mut table =
        Table::new(["server", "requests/s", "rate", "p50 µs", "p99 µs", "p99 µs of all rounds"]);
    for series in &latencies.series {
        let rate = if series.own_rate { "half of its own saturating rate" } else { "common" };
        table.row([
            series.brand.name().to_owned(),
            figure(Some(series.rate), 0),
            rate.to_owned(),
            spread(&series.p50, 0),
            spread(&series.p99, 0),
            figure(series.p99_of_all(), 0),
        ]);
    }
    table
}

fn latency_note(effort: &Effort) -> String {
    format!(
        "Requests at fixed distances, whether or not earlier ones were answered; each one's time \
         counts from when it was due until the server has closed the connection. The saturating \
         rate is that of the closed loop above. Medians of {} rounds of {} ms, which a hiccup of \
         the machine in one round does not touch; the last column is touched by all of them.\n",
        effort.latency_rounds,
        effort.latency_time.as_millis(),
    )
}

fn footprints(findings: &Findings) -> Table {
    let mut table = Table::new(["server", "idle, MiB", "per idle connection, KiB"]);
    for brand in [Brand::Nginx, Brand::Imds] {
        let of = |figure: fn(&Footprint) -> f64| -> Vec<f64> {
            let ours = findings.footprints.iter().filter(|footprint| footprint.brand == brand);
            ours.map(figure).collect()
        };
        let idle = of(|footprint| footprint.idle / MIB);
        if !idle.is_empty() {
            let connection = of(|footprint| footprint.per_connection / KIB);
            table.row([brand.name().to_owned(), spread(&idle, 1), spread(&connection, 2)]);
        }
    }
    table
}

fn memory_note() -> String {
    format!(
        "Resident memory (`/proc/PID/smaps_rollup`) of all processes of a server: right after its \
         start, and what {} connections from {} addresses add that sent half a request each, the \
         kernel's share not counted.\n",
        memory::CONNECTIONS,
        memory::SOURCES,
    )
}

fn starts(findings: &Findings) -> String {
    let Some(starts) = &findings.starts else {
        return String::new();
    };
    let mut table = Table::new(["instances", "first start, ms", "later starts, ms"]);
    let mut row = |instances: u32, starts: &Starts| {
        table.row([
            instances.to_string(),
            format!("{:.1}", millis(starts.first)),
            spread(&starts.warm, 1),
        ]);
    };
    row(1, starts);
    for fleet in findings.fleets.iter().filter(|fleet| fleet.instances > 1) {
        row(fleet.instances, &fleet.starts);
    }
    format!(
        "## Start\n\n{table}\nFrom starting the process to the end of the first answer with \
         metadata, a token fetched before it, with the embedded store. The first start fills an \
         empty state directory; of later ones the median of {STARTS}.\n"
    )
}

fn fleets(fleets: &[Fleet]) -> String {
    if fleets.is_empty() {
        return String::new();
    }
    let titles = fleet::KINDS.map(|kind| format!("{}, CPU µs", kind.title()));
    let [get, put] = titles.each_ref().map(String::as_str);
    let mut table = Table::new(["instances", "resident, MiB", "per instance, KiB", get, put]);
    for Fleet { instances, starts, micros, walk: _ } in fleets {
        let per_instance = fleet::per_instance(fleets).find(|(count, _)| count == instances);
        let [get, put] = micros.each_ref().map(|micros| spread(micros, 2));
        table.row([
            instances.to_string(),
            figure(Some(starts.resident / MIB), 1),
            figure(per_instance.map(|(_, bytes)| bytes / KIB), 2),
            get,
            put,
        ]);
    }
    format!(
        "## Instances held\n\n{table}\nInstances with an id, a MAC, an address and an attachment of \
         their own and everything else alike, told apart by the address they ask from. Resident \
         memory after the last start and its first answers; per instance, what is more than with \
         the fewest. CPU time per request as above, in interleaved rounds, with all these servers \
         running.\n"
    )
}

fn changes(findings: &Findings) -> String {
    let Some(changes) = &findings.changes else {
        return String::new();
    };
    let mut table = Table::new(["change of options", "p50 ms", "p99 ms"]);
    for (what, times) in [
        ("until it is answered", &changes.acknowledged),
        ("from there until a guest sees it", &changes.in_force),
    ] {
        table.row([what.to_owned(), spread(&times.p50, 2), spread(&times.p99, 2)]);
    }
    format!(
        "## Changes\n\n{table}\n`ModifyInstanceMetadataOptions`, signed and over a connection of \
         its own, with the embedded store on a disk: it is answered when it is on the disk and in \
         force. Then requests without a token, one after the other, until one has the new status: \
         the time includes that request. {} had the old one. {} rounds of {CHANGES} changes, \
         one after the other, disturbed rounds taken again as above; medians of the rounds.\n",
        changes.late, findings.effort.change_rounds,
    )
}

fn walks(fleets: &[Fleet]) -> String {
    let mut table = Table::new([
        "instances",
        "a page, ms",
        "longest page, MiB",
        "all pages, ms",
        "by a tag, ms",
        "resident, MiB",
        "at most, MiB",
    ]);
    let walks: Vec<&Walk> = fleets.iter().filter_map(|fleet| fleet.walk.as_ref()).collect();
    if walks.is_empty() {
        return String::new();
    }
    for walk in walks {
        table.row([
            walk.instances.to_string(),
            spread(&walk.pages, 1),
            figure(Some(walk.page_bytes / MIB), 2),
            spread(&walk.whole, 0),
            spread(&walk.finds, 1),
            figure(Some(walk.resident / MIB), 1),
            figure(Some(walk.peak / MIB), 1),
        ]);
    }
    format!(
        "## Instances described\n\n{table}\n`DescribeInstances` of fleets as above, in pages of {PAGE}, \
         and of the one instance that has a tag, each over a connection of its own. Resident memory \
         of the server before, and the most meanwhile.\n"
    )
}

/// Writes what verdicts cost, with their bar.
pub(crate) fn verdicts(verdicts: &[Verdicts]) -> String {
    let mut table = Table::new(["policies", "statements", "ns a verdict", "bar, ns"]);
    for shape in verdicts {
        table.row([
            shape.shape.to_owned(),
            shape.statements.to_string(),
            spread(&shape.nanos, 0),
            if shape.has_bar() { format!("≤ {:.0}", verdicts::BAR) } else { String::new() },
        ]);
    }
    format!(
        "## Verdicts\n\n{table}\nOne launch by the role of an instance, with the condition keys that \
         EC2 has for it, decided by the policy engine in this process, on one core: ten documents \
         of ten statements that deny, each of which is held against the request because none \
         applies, and one that allows; then the documented examples, the first of which to deny \
         ends it. Deciding allocates nothing, which a test of the engine holds.\n"
    )
}

fn answers(mistakes: &Mistakes) -> String {
    match &mistakes.first {
        None => "Every answer was checked for its status and its length; none was wrong.\n".into(),
        Some(first) => format!("**{} answers were wrong.** The first: {first}.\n", mistakes.count),
    }
}

fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.decimals$}"))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0))
}
