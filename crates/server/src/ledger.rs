//! The last tokens that did not arrive.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{InstanceId, Timestamp, TokenUndelivered};

/// LIMIT: sources whose losses are remembered; the one that has lost none for longest makes room.
const SOURCES_MAX: usize = 1_024;

/// The last tokens that did not arrive, by instance and source.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    losses: Mutex<HashMap<(InstanceId, IpAddr), Losses>>,
}

/// The tokens of one instance that did not arrive at one source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Losses {
    pub(crate) last: TokenUndelivered,
    pub(crate) count: u64,
    pub(crate) when: Timestamp,
}

impl Ledger {
    /// Keeps a loss. Returns whether it is news: the first of its source, or another reason.
    pub(crate) fn record(&self, last: TokenUndelivered, now: Timestamp) -> bool {
        let mut losses = self.lock();
        if losses.len() >= SOURCES_MAX && !losses.contains_key(&(last.instance, last.source)) {
            let oldest = losses.iter().min_by_key(|(_, losses)| losses.when).map(|(key, _)| *key);
            oldest.map(|key| losses.remove(&key));
        }
        match losses.entry((last.instance, last.source)) {
            Entry::Vacant(place) => {
                place.insert(Losses { last, count: 1, when: now });
                true
            }
            Entry::Occupied(mut kept) => {
                let Losses { last: before, count, .. } = *kept.get();
                kept.insert(Losses { last, count: count.saturating_add(1), when: now });
                before != last
            }
        }
    }

    /// Returns all that is remembered, the latest first.
    pub(crate) fn losses(&self) -> Vec<Losses> {
        let mut losses: Vec<_> = self.lock().values().copied().collect();
        losses.sort_by_key(|losses| std::cmp::Reverse(losses.when));
        losses
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(InstanceId, IpAddr), Losses>> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use model::{HopLimit, UndeliveredReason};

    use super::*;

    #[test]
    fn the_ledger_keeps_one_line_for_each_source() {
        let ledger = Ledger::default();
        let lost = |last: u16, reason| TokenUndelivered {
            instance: InstanceId::from_number(1),
            source: IpAddr::from([10, 0, last.to_be_bytes()[0], last.to_be_bytes()[1]]),
            reason,
            hops: Some(2),
            hop_limit: HopLimit::MIN,
        };
        let at = Timestamp::from_seconds;
        assert!(ledger.record(lost(1, UndeliveredReason::HopLimit), at(1)));
        assert!(!ledger.record(lost(1, UndeliveredReason::HopLimit), at(2)));
        assert!(ledger.record(lost(1, UndeliveredReason::Reset), at(3)));
        assert_eq!(ledger.losses()[0].count, 3);
        for source in 0..2_000 {
            ledger.record(lost(source, UndeliveredReason::Timeout), at(10 + i64::from(source)));
        }
        assert_eq!(ledger.losses().len(), SOURCES_MAX);
        assert_eq!(ledger.losses()[0].when, at(2_009));
    }
}
