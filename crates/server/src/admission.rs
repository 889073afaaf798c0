//! How many connections may wait, in all and of one source.
//!
//! A request that comes whole is answered at once and counts for nothing here; only connections
//! that would have to be kept are admitted or not. So a flood of idle connections takes no room
//! from callers who say what they want.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::counters::Limit;

/// Admits connections that wait.
#[derive(Debug)]
pub(crate) struct Admission {
    total_max: u32,
    per_source_max: u32,
    waiting: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: u32,
    per_source: HashMap<IpAddr, u32>,
}

/// Room for one connection, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    source: IpAddr,
}

impl Admission {
    pub(crate) fn new(total_max: u32, per_source_max: u32) -> Self {
        Self { total_max, per_source_max, waiting: Mutex::default() }
    }

    /// Makes room for a connection from `source`.
    ///
    /// # Errors
    ///
    /// The limit that it would go over.
    pub(crate) fn admit(self: &Arc<Self>, source: IpAddr) -> Result<Permit, Limit> {
        let source = one_sender(source);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.total >= self.total_max {
            return Err(Limit::Connections);
        }
        let of_source = waiting.per_source.entry(source).or_default();
        if *of_source >= self.per_source_max {
            return Err(Limit::ConnectionsPerSource);
        }
        *of_source += 1;
        waiting.total += 1;
        Ok(Permit { admission: Arc::clone(self), source })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut waiting = self.admission.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.total = waiting.total.saturating_sub(1);
        if let Some(of_source) = waiting.per_source.get_mut(&self.source) {
            *of_source -= 1;
            if *of_source == 0 {
                waiting.per_source.remove(&self.source);
            }
        }
    }
}

/// A host has a whole /64 of IPv6 addresses to send from: they count as one.
fn one_sender(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_cannot_take_more_than_its_share() {
        let admission = Arc::new(Admission::new(3, 2));
        let source = |last: u8| IpAddr::from([127, 0, 0, last]);
        let first = admission.admit(source(2)).unwrap();
        let _second = admission.admit(source(2)).unwrap();
        assert_eq!(admission.admit(source(2)).unwrap_err(), Limit::ConnectionsPerSource);
        let _other = admission.admit(source(3)).unwrap();
        assert_eq!(admission.admit(source(4)).unwrap_err(), Limit::Connections);
        drop(first);
        assert!(admission.admit(source(4)).is_ok());
    }

    #[test]
    fn addresses_of_one_subnet_are_one_source() {
        let address = |text: &str| one_sender(text.parse().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
    }
}
