//! How many connections may wait, in all and of one source.
//!
//! A request that has come whole when it is accepted is answered at once and never gets here. A
//! connection that has to wait is always let in; where that goes over a limit, another is closed in
//! its place: the one that has waited longest, of the same source, or, if all together have too
//! many, of the instance that has the most, and of its source that has the most. So a flood of idle
//! connections pushes out its own, from however many addresses it comes, and an ordinary caller,
//! who needs milliseconds, gets its turn even beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use model::InstanceId;
use tokio::task::AbortHandle;

use crate::counters::Limit;
use crate::driver::DoorNumber;

/// Lets connections wait.
#[derive(Debug)]
pub(crate) struct Admission {
    total_max: usize,
    per_source_max: usize,
    waiting: Mutex<Waiting>,
}

/// Who connections are counted for: those who come in at different doors may share an address.
type Source = (InstanceId, DoorNumber, IpAddr);

#[derive(Debug, Default)]
struct Waiting {
    last_ticket: u64,
    total: usize,
    /// The connections of each source, longest waiting first.
    of_source: BTreeMap<Source, BTreeMap<u64, Option<AbortHandle>>>,
    of_instance: BTreeMap<InstanceId, Share>,
    /// The instances by how many they have.
    by_weight: BTreeSet<(usize, InstanceId)>,
}

/// The connections of an instance.
#[derive(Debug, Default)]
struct Share {
    count: usize,
    /// The sources by how many they have.
    by_weight: BTreeSet<(usize, Source)>,
}

/// The place of one connection, given back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    source: Source,
    ticket: u64,
}

impl Admission {
    pub(crate) fn new(total_max: u32, per_source_max: u32) -> Self {
        let count = |max: u32| usize::try_from(max).unwrap_or(usize::MAX);
        let (total_max, per_source_max) = (count(total_max), count(per_source_max));
        Self { total_max, per_source_max, waiting: Mutex::default() }
    }

    /// Gives a connection of `source` a place, and tells the limit that closed another for it.
    pub(crate) fn admit(
        self: &Arc<Self>,
        instance: InstanceId,
        door: DoorNumber,
        source: IpAddr,
    ) -> (Permit, Option<Limit>) {
        let source = (instance, door, one_sender(source));
        let mut waiting = self.lock();
        let limit =
            if waiting.of_source.get(&source).map_or(0, BTreeMap::len) >= self.per_source_max {
                waiting.close_oldest(source);
                Some(Limit::ConnectionsPerSource)
            } else if waiting.total >= self.total_max {
                let heaviest = waiting.heaviest();
                waiting.close_oldest(heaviest.unwrap_or(source));
                Some(Limit::Connections)
            } else {
                None
            };
        waiting.last_ticket += 1;
        let ticket = waiting.last_ticket;
        waiting.change(source, |places| _ = places.insert(ticket, None));
        (Permit { admission: Arc::clone(self), source, ticket }, limit)
    }

    /// Says how the connection with a place is closed, should another need it.
    pub(crate) fn closes_by(&self, (source, ticket): (Source, u64), handle: AbortHandle) {
        let mut waiting = self.lock();
        let place = waiting.of_source.get_mut(&source).and_then(|places| places.get_mut(&ticket));
        match place {
            Some(place) => *place = Some(handle),
            // It has lost its place meanwhile, or has ended, which aborting does not change.
            None => handle.abort(),
        }
    }

    /// Closes every connection that came in at a door of an instance. Each has ended, socket and all, once what is
    /// returned of it says so.
    pub(crate) fn close_all(&self, instance: InstanceId, door: DoorNumber) -> Vec<AbortHandle> {
        let mut waiting = self.lock();
        let of_door = |source: &Source| (source.0, source.1) == (instance, door);
        let first = (instance, door, IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let sources = waiting.of_source.range(first..).map(|(source, _)| *source);
        let sources: Vec<_> = sources.take_while(of_door).collect();
        let mut closed = Vec::new();
        for source in sources {
            while waiting.of_source.contains_key(&source) {
                closed.extend(waiting.close_oldest(source));
            }
        }
        closed
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here panics half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// The source that has the most, of the instance that has the most.
    fn heaviest(&self) -> Option<Source> {
        let (_, instance) = self.by_weight.last()?;
        let (_, source) = self.of_instance.get(instance)?.by_weight.last()?;
        Some(*source)
    }

    fn close_oldest(&mut self, source: Source) -> Option<AbortHandle> {
        let mut oldest = None;
        self.change(source, |places| oldest = places.pop_first());
        oldest.and_then(|(_, handle)| handle).inspect(AbortHandle::abort)
    }

    /// Changes the places of a source, and what follows from how many there are.
    fn change(
        &mut self,
        source: Source,
        change: impl FnOnce(&mut BTreeMap<u64, Option<AbortHandle>>),
    ) {
        let places = self.of_source.entry(source).or_default();
        let before = places.len();
        change(places);
        let after = places.len();
        let (instance, ..) = source;
        let share = self.of_instance.entry(instance).or_default();
        self.by_weight.remove(&(share.count, instance));
        share.by_weight.remove(&(before, source));
        share.count = (share.count + after).saturating_sub(before);
        self.total = (self.total + after).saturating_sub(before);
        if after == 0 {
            self.of_source.remove(&source);
        } else {
            share.by_weight.insert((after, source));
        }
        if share.count == 0 {
            self.of_instance.remove(&instance);
        } else {
            self.by_weight.insert((share.count, instance));
        }
    }
}

impl Permit {
    /// Returns what names the place.
    pub(crate) fn place(&self) -> (Source, u64) {
        (self.source, self.ticket)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.lock().change(self.source, |places| _ = places.remove(&self.ticket));
    }
}

/// A host has a whole /64 of IPv6 addresses to send from: they count as one.
pub(crate) fn one_sender(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    const ONE: InstanceId = InstanceId::from_number(1);
    const OTHER: InstanceId = InstanceId::from_number(2);

    fn held(admission: &Admission) -> Vec<(u8, usize)> {
        let waiting = admission.lock();
        let counts = waiting.of_source.iter().map(|((.., source), places)| match source {
            IpAddr::V4(v4) => (v4.octets()[3], places.len()),
            IpAddr::V6(_) => panic!("only IPv4 here"),
        });
        let mut counts: Vec<_> = counts.collect();
        counts.sort_unstable();
        assert_eq!(waiting.total, counts.iter().map(|(_, count)| count).sum::<usize>());
        counts
    }

    #[test]
    fn a_source_over_its_share_pushes_out_its_own() {
        let admission = Arc::new(Admission::new(10, 2));
        let door = DoorNumber::new(1);
        let admit = |last| admission.admit(ONE, door, source(last));
        let (_first, limit) = admit(2);
        assert_eq!(limit, None);
        let (_second, _) = admit(2);
        let (_other, _) = admit(3);
        let (third, limit) = admit(2);
        assert_eq!(limit, Some(Limit::ConnectionsPerSource));
        assert_eq!(held(&admission), [(2, 2), (3, 1)]);
        drop(third);
        assert_eq!(held(&admission), [(2, 1), (3, 1)]);
    }

    #[test]
    fn the_heaviest_source_makes_room_when_all_is_full() {
        let admission = Arc::new(Admission::new(4, 3));
        let door = DoorNumber::new(1);
        let admit = |last| admission.admit(ONE, door, source(last));
        let _held = [admit(2), admit(2), admit(2), admit(3)];
        let (_fresh, limit) = admit(4);
        assert_eq!(limit, Some(Limit::Connections));
        assert_eq!(held(&admission), [(2, 2), (3, 1), (4, 1)]);
    }

    #[test]
    fn ending_after_losing_the_place_changes_nothing() {
        let admission = Arc::new(Admission::new(1, 1));
        let door = DoorNumber::new(1);
        let (first, _) = admission.admit(ONE, door, source(2));
        let (second, _) = admission.admit(ONE, door, source(2));
        drop(first);
        assert_eq!(held(&admission), [(2, 1)]);
        drop(second);
        assert_eq!(held(&admission), []);
        let waiting = admission.lock();
        assert!(waiting.by_weight.is_empty() && waiting.of_instance.is_empty());
    }

    #[test]
    fn an_instance_with_many_sources_makes_room_for_one_with_few() {
        let admission = Arc::new(Admission::new(8, 8));
        let admit =
            |instance, door, last| admission.admit(instance, DoorNumber::new(door), source(last));
        // The flood has but one connection for each address, and doors on both sides.
        let _own = [(); 3].map(|()| admit(ONE, 2, 100));
        let _flood: Vec<_> =
            (1..=5).map(|last| admit(OTHER, 1 + 2 * u64::from(last % 2), last)).collect();
        let _more: Vec<_> = (6..=50).map(|last| admit(OTHER, 3, last)).collect();
        assert!(held(&admission).contains(&(100, 3)));
        assert_eq!(admission.lock().total, 8);
    }

    #[test]
    fn a_door_that_is_closed_keeps_nobody() {
        let admission = Arc::new(Admission::new(9, 9));
        let admit = |door, last| admission.admit(ONE, DoorNumber::new(door), source(last)).0;
        let _permits = [admit(1, 2), admit(2, 3), admit(2, 3), admit(2, 4), admit(3, 5)];
        assert!(admission.close_all(OTHER, DoorNumber::new(2)).is_empty());
        admission.close_all(ONE, DoorNumber::new(2));
        assert_eq!(held(&admission), [(2, 1), (5, 1)]);
    }

    #[test]
    fn addresses_of_one_subnet_are_one_source() {
        let address = |text: &str| one_sender(text.parse().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
    }
}
