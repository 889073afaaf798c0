//! Requests per second of an instance: a token bucket for each, and none unless asked for.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use model::{InstanceId, Timestamp};

/// Bounds the request rate of each instance.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// Requests a second, and as many at once.
    rate: Option<u32>,
    buckets: Mutex<HashMap<InstanceId, Bucket>>,
}

/// LIMIT: buckets kept. Beyond, those that are full again are dropped, which changes nothing, or an
/// arbitrary one.
const BUCKETS_MAX: usize = 100_000;

#[derive(Debug)]
struct Bucket {
    /// Requests left, in thousandths.
    left_millis: i64,
    filled: Timestamp,
}

impl Throttle {
    pub(crate) fn new(rate: Option<u32>) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Whether the instance may make a request now; if so, it has made it.
    pub(crate) fn admits(&self, instance: InstanceId, now: Timestamp) -> bool {
        let Some(rate) = self.rate.map(i64::from) else {
            return true;
        };
        // A bucket is one number and one time: a panic of another holder left it whole.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| bucket.fill(rate, now) < rate * 1000);
            let other = buckets.keys().next().copied().filter(|_| buckets.len() >= BUCKETS_MAX);
            if let Some(other) = other {
                buckets.remove(&other);
            }
        }
        let full = || Bucket { left_millis: rate * 1000, filled: now };
        let bucket = buckets.entry(instance).or_insert_with(full);
        if bucket.fill(rate, now) < 1000 {
            return false;
        }
        bucket.left_millis -= 1000;
        true
    }
}

impl Bucket {
    fn fill(&mut self, rate: i64, now: Timestamp) -> i64 {
        let elapsed_millis = now.as_millis().saturating_sub(self.filled.as_millis()).max(0);
        let gained = elapsed_millis.saturating_mul(rate);
        self.left_millis = self.left_millis.saturating_add(gained).min(rate * 1000);
        self.filled = self.filled.max(now);
        self.left_millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instance_has_its_own_rate() {
        let throttle = Throttle::new(Some(2));
        let start = Timestamp::from_seconds(1000);
        let (one, two) = (InstanceId::from_number(1), InstanceId::from_number(2));
        assert!(throttle.admits(one, start) && throttle.admits(one, start));
        assert!(!throttle.admits(one, start));
        assert!(throttle.admits(two, start));
        assert!(throttle.admits(one, Timestamp::from_millis(1_000_500)));
        assert!(!throttle.admits(one, Timestamp::from_millis(1_000_500)));
    }

    #[test]
    fn without_a_rate_everything_is_admitted() {
        let throttle = Throttle::default();
        let id = InstanceId::from_number(1);
        assert!((0..1000).all(|_| throttle.admits(id, Timestamp::from_seconds(0))));
    }
}
