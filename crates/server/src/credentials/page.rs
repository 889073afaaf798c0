//! What `/metrics` says of fetched credentials: by role, and of an instance's only the worst of all.

use std::sync::atomic::{AtomicU64, Ordering};

use model::Timestamp;

use super::post::PostFault;
use super::{HeldCredentials, HeldRole, SourceFault, StsFault};
use crate::counters::family;

/// Why a source gave nothing, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// It answers with an error.
    Answered,
    /// What it gives has ended already.
    Ended,
    /// It says something that is not understood.
    NotUnderstood,
    /// A program failed.
    Program,
    /// It does not let the role be assumed.
    Refused,
    /// This server failed.
    Server,
    /// It takes too long.
    Timeout,
    /// There is no web identity token.
    TokenFile,
    /// Nobody is there.
    Unreachable,
    /// Its certificate is not trusted.
    Untrusted,
}

impl Reason {
    const ALL: [Self; 10] = [
        Self::Answered,
        Self::Ended,
        Self::NotUnderstood,
        Self::Program,
        Self::Refused,
        Self::Server,
        Self::Timeout,
        Self::TokenFile,
        Self::Unreachable,
        Self::Untrusted,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Ended => "ended",
            Self::NotUnderstood => "not_understood",
            Self::Program => "program",
            Self::Refused => "refused",
            Self::Server => "server",
            Self::Timeout => "timeout",
            Self::TokenFile => "token_file",
            Self::Unreachable => "unreachable",
            Self::Untrusted => "untrusted",
        }
    }

    fn of(fault: &SourceFault) -> Self {
        match fault {
            SourceFault::Broken | SourceFault::Sts(StsFault::Unsigned(_)) => Self::Server,
            SourceFault::Program(_) | SourceFault::Sts(StsFault::Program(_)) => Self::Program,
            SourceFault::Sts(StsFault::Answered { .. }) => Self::Answered,
            SourceFault::Sts(StsFault::Ended(_)) => Self::Ended,
            SourceFault::Sts(StsFault::Refused { .. }) => Self::Refused,
            SourceFault::Sts(StsFault::TokenFile { .. }) => Self::TokenFile,
            SourceFault::Sts(
                StsFault::NotUnderstood { .. } | StsFault::Post(PostFault::Garbled { .. }),
            ) => Self::NotUnderstood,
            SourceFault::Sts(StsFault::Post(PostFault::Slow(_))) => Self::Timeout,
            SourceFault::Sts(StsFault::Post(PostFault::Unreachable { .. })) => Self::Unreachable,
            SourceFault::Sts(StsFault::Post(PostFault::Untrusted { .. })) => Self::Untrusted,
        }
    }
}

/// What has become of the fetches of one role.
#[derive(Debug, Default)]
pub(super) struct Tally {
    fetches: AtomicU64,
    failures: [AtomicU64; Reason::ALL.len()],
}

impl Tally {
    /// Counts a fetch that gave credentials.
    pub(super) fn succeeded(&self) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a fetch that failed.
    pub(super) fn failed(&self, fault: &SourceFault) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        if let Some(counter) = self.failures.get(Reason::of(fault) as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a role's sets come to.
struct Worst {
    living: u64,
    missing: u64,
    fetched: Option<Timestamp>,
    ends: Option<Timestamp>,
}

impl Worst {
    fn of(held: &HeldRole, now: Timestamp) -> Self {
        let mut worst = Self { living: 0, missing: 0, fetched: None, ends: None };
        let earlier = |one: Option<Timestamp>, other| Some(one.map_or(other, |one| one.min(other)));
        for set in held.sets.values() {
            match set.credentials.as_ref().filter(|credentials| credentials.expiration > now) {
                None => worst.missing += 1,
                Some(credentials) => {
                    worst.living += 1;
                    worst.fetched = earlier(worst.fetched, credentials.last_updated);
                    worst.ends = earlier(worst.ends, credentials.expiration);
                }
            }
        }
        worst
    }
}

type Samples = Vec<(String, u64)>;

/// Writes what is known of fetched credentials, in the Prometheus text format.
pub(crate) fn exposition(held: &HeldCredentials, now: Timestamp) -> String {
    let roles = held.roles.load();
    let mut by_name: Vec<_> = roles.iter().collect();
    by_name.sort_by_key(|(name, _)| *name);
    let (mut sets, mut oldest, mut first_ends) = (Samples::new(), Samples::new(), Samples::new());
    let (mut fetches, mut failures) = (Samples::new(), Samples::new());
    for (name, held) in by_name {
        let (account_id, name) = (name.account_id, &name.name);
        let source = held.role.credentials.as_str();
        let labels = format!("account_id=\"{account_id}\",role=\"{name}\",source=\"{source}\"");
        let worst = Worst::of(held, now);
        sets.push((format!("{{{labels},state=\"living\"}}"), worst.living));
        sets.push((format!("{{{labels},state=\"missing\"}}"), worst.missing));
        for (samples, time) in [(&mut oldest, worst.fetched), (&mut first_ends, worst.ends)] {
            let seconds = time.and_then(|time| u64::try_from(time.as_seconds()).ok());
            samples.extend(seconds.map(|seconds| (format!("{{{labels}}}"), seconds)));
        }
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        fetches.push((format!("{{{labels}}}"), read(&held.tally.fetches)));
        failures.extend(Reason::ALL.iter().zip(&held.tally.failures).map(|(reason, counter)| {
            (format!("{{{labels},reason=\"{}\"}}", reason.as_str()), read(counter))
        }));
    }
    let [name, total] = ["imds_role_credentials", "total"];
    [
        family(
            &format!("{name}_sets"),
            "gauge",
            "Sets of fetched role credentials, by whether they are there.",
            &sets,
        ),
        family(
            &format!("{name}_fetched_timestamp_seconds"),
            "gauge",
            "When the oldest set of the role was fetched.",
            &oldest,
        ),
        family(
            &format!("{name}_expiration_timestamp_seconds"),
            "gauge",
            "When the first set of the role ends.",
            &first_ends,
        ),
        family(&format!("{name}_fetches_{total}"), "counter", "Fetches that have ended.", &fetches),
        family(
            &format!("{name}_fetch_failures_{total}"),
            "counter",
            "Fetches that gave nothing, by reason.",
            &failures,
        ),
    ]
    .concat()
}
