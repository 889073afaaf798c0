//! The last tokens that did not arrive.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::{InstanceId, Timestamp, TokenUndelivered, UndeliveredReason};

use crate::admission::one_sender;

/// LIMIT: sources whose losses are remembered; the one that has lost none for longest makes room.
const SOURCES_MAX: usize = 1_024;

/// LIMIT: sources of one instance whose losses are remembered, so that one that asks from ever new
/// addresses neither pushes out what others have lost, nor makes news for ever.
const SOURCES_OF_INSTANCE_MAX: usize = 64;

/// The last tokens that did not arrive, by instance and source.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    losses: Mutex<HashMap<Place, Losses>>,
}

/// Whose losses, and where.
type Place = (InstanceId, IpAddr);

/// The tokens of one instance that did not arrive at one source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Losses {
    pub(crate) last: TokenUndelivered,
    pub(crate) count: u64,
    pub(crate) when: Timestamp,
    /// How tokens were lost there since the hop limit was last another: each way is news once.
    told: [bool; UndeliveredReason::ALL.len()],
}

impl Losses {
    /// Begins with none, of which nothing is news if `is_told`.
    fn begin(last: TokenUndelivered, when: Timestamp, is_told: bool) -> Self {
        Self { last, count: 0, when, told: [is_told; UndeliveredReason::ALL.len()] }
    }

    /// Adds a loss. Returns whether it is news.
    fn add(&mut self, lost: TokenUndelivered, when: Timestamp) -> bool {
        if lost.hop_limit != self.last.hop_limit {
            self.told = [false; UndeliveredReason::ALL.len()];
        }
        self.last = lost;
        self.count = self.count.saturating_add(1);
        self.when = when;
        let told = self.told.get_mut(lost.reason as usize);
        told.is_some_and(|told| !std::mem::replace(told, true))
    }
}

impl Ledger {
    /// Keeps a loss. Returns whether it is news: the first of its source for its reason, of an
    /// instance that has not made too much news already.
    pub(crate) fn record(&self, lost: TokenUndelivered, now: Timestamp) -> bool {
        let place = (lost.instance, one_sender(lost.source));
        let mut losses = self.lock();
        let is_new = !losses.contains_key(&place);
        let is_of_instance = |other: &Place| other.0 == lost.instance;
        let is_full = is_new
            && losses.keys().filter(|other| is_of_instance(other)).count()
                >= SOURCES_OF_INSTANCE_MAX;
        if is_full {
            forget_oldest(&mut losses, is_of_instance);
        } else if is_new && losses.len() >= SOURCES_MAX {
            forget_oldest(&mut losses, |_| true);
        }
        let kept = losses.entry(place).or_insert_with(|| Losses::begin(lost, now, is_full));
        kept.add(lost, now)
    }

    /// Returns all that is remembered, the latest first.
    pub(crate) fn losses(&self) -> Vec<Losses> {
        let mut losses: Vec<_> = self.lock().values().copied().collect();
        losses.sort_by_key(|losses| std::cmp::Reverse(losses.when));
        losses
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Place, Losses>> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn forget_oldest(losses: &mut HashMap<Place, Losses>, is_meant: impl Fn(&Place) -> bool) {
    let meant = losses.iter().filter(|(place, _)| is_meant(place));
    let oldest = meant.min_by_key(|(_, losses)| losses.when).map(|(place, _)| *place);
    oldest.map(|place| losses.remove(&place));
}

#[cfg(test)]
mod tests {
    use model::HopLimit;

    use super::*;

    fn lost(instance: u128, source: u16, reason: UndeliveredReason) -> TokenUndelivered {
        let [high, low] = source.to_be_bytes();
        TokenUndelivered {
            instance: InstanceId::from_number(instance),
            source: IpAddr::from([10, 0, high, low]),
            reason,
            hops: Some(2),
            hop_limit: HopLimit::MIN,
        }
    }

    fn at(seconds: impl Into<i64>) -> Timestamp {
        Timestamp::from_seconds(seconds.into())
    }

    #[test]
    fn each_way_of_losing_is_news_once_for_each_source() {
        use UndeliveredReason::{HopLimit as TooFar, Reset, Timeout};
        let ledger = Ledger::default();
        for (when, (reason, is_news)) in (1..).zip([
            (TooFar, true),
            (TooFar, false),
            (Reset, true),
            // A caller that takes turns does not fill the log.
            (TooFar, false),
            (Reset, false),
            (Timeout, true),
            (Timeout, false),
        ]) {
            assert_eq!(ledger.record(lost(1, 1, reason), at(when)), is_news, "{when}");
        }
        assert!(ledger.record(lost(1, 2, TooFar), at(8)), "another source");
        assert!(ledger.record(lost(2, 1, TooFar), at(9)), "another instance");
        let last = lost(1, 1, TooFar);
        let raised = TokenUndelivered { hop_limit: "2".parse().unwrap(), ..last };
        assert!(ledger.record(raised, at(10)), "another limit");
        assert_eq!((ledger.losses()[0].last, ledger.losses()[0].count), (raised, 8));
    }

    #[test]
    fn an_instance_with_ever_new_addresses_pushes_out_its_own_and_makes_no_more_news() {
        let ledger = Ledger::default();
        let reason = UndeliveredReason::Timeout;
        ledger.record(lost(2, 0, reason), at(0));
        let news = (1..=2_000_u16).filter(|n| ledger.record(lost(1, *n, reason), at(*n))).count();
        assert_eq!(news, SOURCES_OF_INSTANCE_MAX);
        assert!(!ledger.record(lost(1, 2_000, UndeliveredReason::Reset), at(2_000)));
        let losses = ledger.losses();
        assert_eq!(losses.len(), SOURCES_OF_INSTANCE_MAX + 1);
        assert_eq!(losses[0].when, at(2_000));
        assert_eq!(losses[SOURCES_OF_INSTANCE_MAX].last, lost(2, 0, reason));
    }

    #[test]
    fn of_too_many_sources_in_all_the_oldest_makes_room() {
        let ledger = Ledger::default();
        for n in 0..2_000_u16 {
            let lost = lost(u128::from(n), 0, UndeliveredReason::Timeout);
            assert!(ledger.record(lost, at(n)));
        }
        let losses = ledger.losses();
        assert_eq!(losses.len(), SOURCES_MAX);
        assert_eq!(losses[SOURCES_MAX - 1].when, at(976));
    }

    #[test]
    fn addresses_of_one_subnet_are_one_source() {
        let ledger = Ledger::default();
        let from = |source: &str| TokenUndelivered {
            source: source.parse().unwrap(),
            ..lost(1, 0, UndeliveredReason::Reset)
        };
        assert!(ledger.record(from("fd00::1"), at(1)));
        assert!(!ledger.record(from("fd00::2"), at(2)));
        assert!(ledger.record(from("fd00:0:0:1::1"), at(3)));
    }
}
