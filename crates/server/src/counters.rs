//! Counters: a fold over observations, and the limits that were hit.
//!
//! Each worker counts for itself, so that counting never makes one wait for another; `/metrics`
//! adds up.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use model::{Observation, Outcome, RequestVersion, UndeliveredReason};

use crate::connection::Unanswered;

const VERSIONS: usize = RequestVersion::ALL.len();
const OUTCOMES: usize = Outcome::ALL.len();

/// A limit, named for the metric that counts when it bites.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of the body of an operator's request.
    BodyBytes,
    /// Time for the body of an operator's request.
    BodyDeadline,
    /// Connections waiting, in all.
    Connections,
    /// Connections waiting, of one source address.
    ConnectionsPerSource,
    /// Bytes read and forgotten after an answer, or the time for it.
    Drain,
    /// File descriptors of the process.
    FileDescriptors,
    /// Bytes of a request head.
    HeadBytes,
    /// Time for a request head.
    HeadDeadline,
    /// Header lines of a request.
    HeaderFields,
    /// Connections of operators and scrapers.
    OperatorConnections,
    /// Requests a second of one instance.
    RequestRate,
    /// Documents waiting to be signed, or the time for it.
    Signing,
    /// Time for the peer to take its answer.
    WriteDeadline,
}

impl Limit {
    const ALL: [Self; 13] = [
        Self::BodyBytes,
        Self::BodyDeadline,
        Self::Connections,
        Self::ConnectionsPerSource,
        Self::Drain,
        Self::FileDescriptors,
        Self::HeadBytes,
        Self::HeadDeadline,
        Self::HeaderFields,
        Self::OperatorConnections,
        Self::RequestRate,
        Self::Signing,
        Self::WriteDeadline,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::BodyBytes => "body_bytes",
            Self::BodyDeadline => "body_deadline",
            Self::Connections => "connections",
            Self::ConnectionsPerSource => "connections_per_source",
            Self::Drain => "drain",
            Self::FileDescriptors => "file_descriptors",
            Self::HeadBytes => "head_bytes",
            Self::HeadDeadline => "head_deadline",
            Self::HeaderFields => "header_fields",
            Self::OperatorConnections => "operator_connections",
            Self::RequestRate => "request_rate",
            Self::Signing => "signing",
            Self::WriteDeadline => "write_deadline",
        }
    }
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The peer to acknowledge the answer to its PUT.
    Deliver,
    /// The peer to end.
    Drain,
    /// A request.
    Head,
    /// Signatures.
    Sign,
    /// The peer to take its answer.
    Write,
}

impl Phase {
    const ALL: [Self; 5] = [Self::Deliver, Self::Drain, Self::Head, Self::Sign, Self::Write];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::Drain => "drain",
            Self::Head => "head",
            Self::Sign => "sign",
            Self::Write => "write",
        }
    }
}

/// What one worker has counted.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    requests: [[AtomicU64; OUTCOMES]; VERSIONS],
    limits: [AtomicU64; Limit::ALL.len()],
    phases: [AtomicI64; Phase::ALL.len()],
    turned: [AtomicU64; Unanswered::ALL.len()],
    undelivered: [AtomicU64; UndeliveredReason::ALL.len()],
}

impl Counters {
    /// Counts a request.
    pub(crate) fn observe(&self, observation: Observation) {
        let version = self.requests.get(observation.version as usize);
        if let Some(counter) = version.and_then(|row| row.get(observation.outcome as usize)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a limit that bit.
    pub(crate) fn hit(&self, limit: Limit) {
        if let Some(counter) = self.limits.get(limit as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a caller that was turned away.
    pub(crate) fn turn_away(&self, why: Unanswered) {
        if let Some(counter) = self.turned.get(why as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a token that did not arrive.
    pub(crate) fn lose(&self, reason: UndeliveredReason) {
        if let Some(counter) = self.undelivered.get(reason as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a connection as waiting until the guard is dropped.
    pub(crate) fn waiting(self: &Arc<Self>, phase: Phase) -> Waiting {
        self.add(phase, 1);
        Waiting { counters: Arc::clone(self), phase }
    }

    fn add(&self, phase: Phase, change: i64) {
        if let Some(gauge) = self.phases.get(phase as usize) {
            gauge.fetch_add(change, Ordering::Relaxed);
        }
    }
}

impl Counters {
    /// Returns how many connections wait.
    pub(crate) fn waiting_count(&self) -> i64 {
        self.phases.iter().map(|gauge| gauge.load(Ordering::Relaxed)).sum()
    }
}

/// A connection that waits.
pub(crate) struct Waiting {
    counters: Arc<Counters>,
    phase: Phase,
}

impl Waiting {
    pub(crate) fn for_phase(&mut self, phase: Phase) {
        self.counters.add(self.phase, -1);
        self.counters.add(phase, 1);
        self.phase = phase;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.counters.add(self.phase, -1);
    }
}

/// Adds up what all workers have counted, in the Prometheus text format.
pub fn exposition(workers: &[Arc<Counters>], instances: usize) -> String {
    let sum = |cell: &dyn Fn(&Counters) -> Option<&AtomicU64>| -> u64 {
        let read = |counters: &Arc<Counters>| cell(counters).map_or(0, load);
        workers.iter().map(read).sum()
    };
    let mut requests = Vec::new();
    for (v, version) in RequestVersion::ALL.iter().enumerate() {
        for (o, outcome) in Outcome::ALL.iter().enumerate() {
            let labels = format!("{{version=\"{version}\",outcome=\"{outcome}\"}}");
            requests.push((labels, sum(&|c| c.requests.get(v)?.get(o))));
        }
    }
    let limits = Limit::ALL.map(|limit| {
        let labels = format!("{{limit=\"{}\"}}", limit.as_str());
        (labels, sum(&|c| c.limits.get(limit as usize)))
    });
    let undelivered: Vec<_> = UndeliveredReason::ALL
        .iter()
        .map(|reason| {
            let labels = format!("{{reason=\"{reason}\"}}");
            (labels, sum(&|c| c.undelivered.get(*reason as usize)))
        })
        .collect();
    let turned = Unanswered::ALL.map(|why| {
        let labels = format!("{{reason=\"{}\"}}", why.as_str());
        (labels, sum(&|c| c.turned.get(why as usize)))
    });
    let phases = Phase::ALL.map(|phase| {
        let gauge = |c: &Arc<Counters>| {
            c.phases.get(phase as usize).map_or(0, |gauge| gauge.load(Ordering::Relaxed))
        };
        let waiting: i64 = workers.iter().map(gauge).sum();
        (format!("{{phase=\"{}\"}}", phase.as_str()), u64::try_from(waiting).unwrap_or(0))
    });
    [
        family("imds_requests_total", "counter", "Requests by version and outcome.", &requests),
        family("imds_limit_hits_total", "counter", "Times that a limit bit.", &limits),
        family(
            "imds_turned_away_total",
            "counter",
            "Connections closed without an answer.",
            &turned,
        ),
        family(
            "imds_token_undelivered_total",
            "counter",
            "Tokens that did not arrive.",
            &undelivered,
        ),
        family("imds_connections", "gauge", "Connections that wait, by what for.", &phases),
        family("imds_instances", "gauge", "Instances held.", &[(String::new(), instances as u64)]),
    ]
    .concat()
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Writes one metric: each sample is its labels, in braces, and its value.
pub(crate) fn family(name: &str, kind: &str, help: &str, samples: &[(String, u64)]) -> String {
    let mut text = format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    for (labels, value) in samples {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name}{labels} {value}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_add_up() {
        let workers = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        for worker in &workers {
            worker.observe(Observation {
                instance: None,
                version: RequestVersion::V2,
                outcome: Outcome::Ok,
            });
            worker.hit(Limit::HeadDeadline);
        }
        let waiting = workers[0].waiting(Phase::Head);
        let text = exposition(&workers, 3);
        assert!(text.contains("imds_requests_total{version=\"v2\",outcome=\"ok\"} 2\n"), "{text}");
        assert!(text.contains("imds_limit_hits_total{limit=\"head_deadline\"} 2\n"));
        assert!(text.contains("imds_connections{phase=\"head\"} 1\n"));
        assert!(text.contains("imds_instances 3\n"));
        drop(waiting);
        assert!(exposition(&workers, 3).contains("imds_connections{phase=\"head\"} 0\n"));
    }
}
