//! Chance, for tests that look for moments at which something goes wrong.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

/// Draws numbers: another row of them in each run.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new() -> Self {
        Self(RandomState::new().build_hasher().finish())
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // SplitMix64: a step of a counter, and its bits stirred.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    /// Whether one of `several` falls to us.
    pub(crate) fn one_in(&mut self, several: usize) -> bool {
        self.below(several) == 0
    }

    /// A time below `bound`.
    pub(crate) fn time_below(&mut self, bound: Duration) -> Duration {
        Duration::from_micros(self.below(usize::try_from(bound.as_micros()).unwrap()) as u64)
    }
}
