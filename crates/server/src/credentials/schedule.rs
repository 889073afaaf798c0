//! When which set of credentials is fetched: what is due, how many at a time, and how long a source
//! that fails is left alone. Pure: time comes in.
//!
//! A set is never fetched twice at a time, whatever becomes of it meanwhile.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use model::{IamKey, Role, Timestamp};

use super::Session;

/// LIMIT: sets that are fetched at a time, so that a thousand roles come neither as a thousand programs
/// nor as a thousand connections.
pub(super) const AT_A_TIME: usize = 32;

/// LIMIT: sets of one role that are fetched at a time: ten thousand instances are no stampede, and leave
/// room for other roles. STS answers some hundred requests a second of an account.
pub(super) const AT_A_TIME_OF_ROLE: usize = 16;

/// LIMIT: sets of one role that are fetched at a time while its source fails.
const AT_A_TIME_WHILE_FAILING: usize = 1;

/// LIMIT: a set is not fetched more often than this, however soon it ends.
const REFRESH_MILLIS_MIN: i64 = 5_000;

/// How long after its first failure a set is fetched again; twice as long after each further one.
const RETRY_MILLIS: i64 = 1_000;

/// LIMIT: it is never left alone for longer than this.
const RETRY_MILLIS_MAX: i64 = 60_000;

/// Over how long everything is fetched again once the clock was set.
const SPREAD_MILLIS: i64 = 60_000;

/// When sets are due of which there is nothing yet: before all that are renewed.
const AT_ONCE: Timestamp = Timestamp::from_millis(i64::MIN);

/// What has to be fetched, and when.
pub(super) struct Schedule {
    roles: BTreeMap<IamKey, Queue>,
    /// The role that a fetch was begun for last: the next one's turn is after it.
    last: Option<IamKey>,
    under_way: usize,
    /// Sets that no fetch has ended for yet.
    untried: usize,
    random: Box<dyn FnMut() -> u32 + Send>,
}

/// The sets of one role.
struct Queue {
    role: Arc<Role>,
    sets: HashMap<Session, Entry>,
    due: BTreeSet<(Timestamp, Session)>,
    under_way: usize,
    is_failing: bool,
    /// The role is gone; what is under way for it has to end.
    is_removed: bool,
}

struct Entry {
    stage: Stage,
    failures: u32,
    is_untried: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waits(Timestamp),
    UnderWay,
    /// Fetched, but of a source that the role no longer has.
    UnderWayInVain,
    /// Fetched, but nobody wants it any more.
    UnderWayUnwanted,
}

/// A fetch that is to be begun.
#[derive(Clone, Debug)]
pub(super) struct Fetch {
    pub(super) role: Arc<Role>,
    pub(super) session: Session,
}

impl Schedule {
    /// Draws from `random` how far apart things come that would come at once.
    pub(super) fn new(random: impl FnMut() -> u32 + Send + 'static) -> Self {
        Self {
            roles: BTreeMap::new(),
            last: None,
            under_way: 0,
            untried: 0,
            random: Box::new(random),
        }
    }

    /// Takes up a role, or its new source: then all its sets are due.
    pub(super) fn put_role(&mut self, role: &Arc<Role>, now: Timestamp) {
        let new = || Queue {
            role: Arc::clone(role),
            sets: HashMap::new(),
            due: BTreeSet::new(),
            under_way: 0,
            is_failing: false,
            is_removed: false,
        };
        let queue = self.roles.entry(role.key()).or_insert_with(new);
        queue.is_removed = false;
        if super::is_same(&queue.role, role) {
            return;
        }
        queue.role = Arc::clone(role);
        queue.is_failing = false;
        queue.due.clear();
        for (session, entry) in &mut queue.sets {
            entry.failures = 0;
            if let Stage::Waits(_) = entry.stage {
                entry.stage = Stage::Waits(now);
                queue.due.insert((now, *session));
            } else if entry.stage == Stage::UnderWay {
                entry.stage = Stage::UnderWayInVain;
            }
        }
    }

    /// Drops a role. What is under way for it is not wanted.
    pub(super) fn remove_role(&mut self, role: &IamKey) {
        let sessions = self.roles.get(role).map(|queue| queue.sets.keys().copied().collect());
        let sessions: Vec<_> = sessions.unwrap_or_default();
        for session in sessions {
            self.unwant(role, session);
        }
        if let Some(queue) = self.roles.get_mut(role) {
            queue.is_removed = true;
        }
        self.forget_if_over(role);
    }

    fn forget_if_over(&mut self, role: &IamKey) {
        if self.roles.get(role).is_some_and(|queue| queue.is_removed && queue.sets.is_empty()) {
            self.roles.remove(role);
        }
    }

    /// Wants a set of a role that was put. A set that is new is due at once.
    pub(super) fn want(&mut self, role: &IamKey, session: Session) {
        let Some(queue) = self.roles.get_mut(role) else {
            return;
        };
        match queue.sets.get_mut(&session) {
            // Of which source it was is not known any more.
            Some(entry) if entry.stage == Stage::UnderWayUnwanted => {
                entry.stage = Stage::UnderWayInVain;
            }
            Some(_) => {}
            None => {
                let entry = Entry { stage: Stage::Waits(AT_ONCE), failures: 0, is_untried: true };
                queue.sets.insert(session, entry);
                queue.due.insert((AT_ONCE, session));
                self.untried += 1;
            }
        }
    }

    /// No longer wants a set.
    pub(super) fn unwant(&mut self, role: &IamKey, session: Session) {
        let Some(queue) = self.roles.get_mut(role) else {
            return;
        };
        let Some(entry) = queue.sets.get_mut(&session) else {
            return;
        };
        if let Stage::Waits(due) = entry.stage {
            self.untried -= usize::from(entry.is_untried);
            queue.due.remove(&(due, session));
            queue.sets.remove(&session);
        } else {
            entry.stage = Stage::UnderWayUnwanted;
        }
    }

    /// Begins the next fetch that is due, if there is one, and room for it.
    pub(super) fn begin(&mut self, now: Timestamp) -> Option<Fetch> {
        if self.under_way >= AT_A_TIME {
            return None;
        }
        let is_ready = |queue: &Queue| queue.next().is_some_and(|due| due <= now);
        let after = self.last.as_ref().and_then(|last| {
            let others = (std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded);
            self.roles.range::<IamKey, _>(others).find(|(_, queue)| is_ready(queue))
        });
        let (name, _) = after.or_else(|| self.roles.iter().find(|(_, queue)| is_ready(queue)))?;
        let name = name.clone();
        let queue = self.roles.get_mut(&name)?;
        let (_, session) = queue.due.pop_first()?;
        queue.sets.get_mut(&session)?.stage = Stage::UnderWay;
        queue.under_way += 1;
        self.under_way += 1;
        self.last = Some(name);
        Some(Fetch { role: Arc::clone(&queue.role), session })
    }

    /// Ends a fetch that gave credentials with `left_millis` to live. Returns whether they are wanted.
    pub(super) fn succeeded(&mut self, fetch: &Fetch, left_millis: i64, now: Timestamp) -> bool {
        let random = (self.random)();
        // Half way to the end, or up to a tenth of it earlier.
        let pause = (left_millis / 2 - share(left_millis / 10, random)).max(REFRESH_MILLIS_MIN);
        self.end(fetch, now, |queue, _| {
            queue.is_failing = false;
            (0, pause)
        })
    }

    /// Ends a fetch that failed. Returns whether anyone wants to know.
    pub(super) fn failed(&mut self, fetch: &Fetch, now: Timestamp) -> bool {
        let random = (self.random)();
        self.end(fetch, now, |queue, failures| {
            queue.is_failing = true;
            let whole = RETRY_MILLIS.saturating_mul(1 << failures.min(16)).min(RETRY_MILLIS_MAX);
            (failures.saturating_add(1), whole - share(whole / 2, random))
        })
    }

    fn end(
        &mut self,
        fetch: &Fetch,
        now: Timestamp,
        outcome: impl FnOnce(&mut Queue, u32) -> (u32, i64),
    ) -> bool {
        let Fetch { role, session } = fetch;
        let Some(queue) = self.roles.get_mut(&role.key()) else {
            return false;
        };
        let Some(mut entry) = queue.sets.remove(session) else {
            return false;
        };
        self.under_way -= 1;
        queue.under_way -= 1;
        self.untried -= usize::from(std::mem::take(&mut entry.is_untried));
        let pause = match entry.stage {
            Stage::UnderWay => {
                let (failures, pause) = outcome(queue, entry.failures);
                entry.failures = failures;
                pause
            }
            Stage::UnderWayUnwanted => {
                self.forget_if_over(&role.key());
                return false;
            }
            Stage::UnderWayInVain | Stage::Waits(_) => 0,
        };
        let is_wanted = entry.stage == Stage::UnderWay;
        let due = Timestamp::from_millis(now.as_millis().saturating_add(pause));
        entry.stage = Stage::Waits(due);
        queue.due.insert((due, *session));
        queue.sets.insert(*session, entry);
        is_wanted
    }

    /// Has everything fetched again soon: nobody knows any more how long what was fetched is good for.
    pub(super) fn hasten(&mut self, now: Timestamp) {
        let Self { roles, random, .. } = self;
        for queue in roles.values_mut() {
            queue.due.clear();
            for (session, entry) in &mut queue.sets {
                let Stage::Waits(due) = &mut entry.stage else { continue };
                let soon = now.as_millis() + share(SPREAD_MILLIS, random());
                *due = Timestamp::from_millis(soon).min(*due);
                queue.due.insert((*due, *session));
            }
        }
    }

    /// Returns when the next fetch can be begun, unless others have to end first.
    pub(super) fn next(&self) -> Option<Timestamp> {
        if self.under_way >= AT_A_TIME {
            return None;
        }
        self.roles.values().filter_map(Queue::next).min()
    }

    /// Returns whether each set has been tried once.
    pub(super) fn has_tried_all(&self) -> bool {
        self.untried == 0
    }
}

impl Queue {
    /// Returns when the next fetch of this role can be begun, unless others have to end first.
    fn next(&self) -> Option<Timestamp> {
        let room = if self.is_failing { AT_A_TIME_WHILE_FAILING } else { AT_A_TIME_OF_ROLE };
        self.due.first().map(|(due, _)| *due).filter(|_| self.under_way < room)
    }
}

/// A part of `whole`, from none of it to all of it.
fn share(whole: i64, random: u32) -> i64 {
    let part = i128::from(whole) * i128::from(random) / i128::from(u32::MAX);
    i64::try_from(part).unwrap_or(whole)
}

#[cfg(test)]
mod tests;
