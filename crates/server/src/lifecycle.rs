//! Has the drivers do what is due, and writes down what it came to.
//!
//! ```text
//!  an API ── pending, stopping … ──▶ store ──▶ imds-lifecycle ──▶ drivers
//!     ▲                               ▲               │ few at a time
//!     └──── waits for its own ────────┴── running, stopped, terminated
//! ```
//!
//! One thread, `imds-lifecycle`, looks at what is due whenever the store changes. It remembers nothing
//! that matters: after a crash what is due is in the store still, and is done once more. What cannot be
//! done, and must be, is tried again in a while.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use control::lifecycle::{Outcome, Settlement, describe_taken, expired, settled};
use model::{Instance, InstanceId, LifecycleEvent};
use store::{Change, Snapshot, Store, TransactFault};
use tokio::runtime;
use tokio::sync::{Notify, watch};
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, timeout_at};

use crate::clock::Clock;
use crate::drivers::Drivers;
use crate::run::{Notice, Notices};

/// LIMIT: machines that something is done with at a time. The kernel makes those who make network
/// namespaces wait for each other, and programs of the operator's should not come by the hundred.
const AT_A_TIME: usize = 8;

/// LIMIT: instances that nothing but a record is made of, in one change.
const BATCH: usize = 256;

/// LIMIT: how long whoever asked for something waits for it. Commands wait no longer for an answer,
/// and what takes longer goes on without them.
const SETTLE_DEADLINE: Duration = Duration::from_secs(4);

/// How long after it failed a thing is tried again that must be done.
const RETRY: Duration = Duration::from_secs(30);

/// How often it is looked for what has ended long ago.
const EXPIRY: Duration = Duration::from_mins(1);

/// How far the drivers have come, for those who wait.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// What failed and is due still, with the time to try it again and what was said of it.
    failed: Mutex<BTreeMap<InstanceId, Failure>>,
    changed: Condvar,
    /// Has the thread look before the store changes.
    asked: Notify,
}

#[derive(Clone, Debug)]
struct Failure {
    event: LifecycleEvent,
    again_at: Instant,
    reason: String,
}

impl Progress {
    /// Waits until nothing is due for these instances, or what is due has failed. What had failed
    /// before is tried again at once: whoever waits may have mended it. Returns false if something is
    /// due still.
    pub(crate) fn settles(&self, store: &Store, instances: &[InstanceId]) -> bool {
        let now = Instant::now();
        let mut failed = self.lock();
        for id in instances {
            if let Some(failure) = failed.get_mut(id) {
                failure.again_at = now;
            }
        }
        self.asked.notify_one();
        let waited = self.changed.wait_timeout_while(failed, SETTLE_DEADLINE, |failed| {
            let snapshot = store.current();
            let is_early = |id: &InstanceId| {
                let due = snapshot.instance(*id).and_then(|instance| instance.due());
                let has_failed = |failure: &Failure| {
                    Some(failure.event) == due && failure.again_at > Instant::now()
                };
                due.is_some() && !failed.get(id).is_some_and(has_failed)
            };
            instances.iter().any(is_early)
        });
        drop(waited);
        let snapshot = store.current();
        !instances.iter().any(|id| snapshot.is_in_transition(*id))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<InstanceId, Failure>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what failed and is due still, and forgets what is not. Returns what has not been said.
    fn note(&self, snapshot: &Snapshot, settlements: &[Settlement]) -> Vec<(InstanceId, Failure)> {
        let mut failed = self.lock();
        let mut news = Vec::new();
        for Settlement { id, event, outcome } in settlements {
            let before = failed.remove(id);
            let Outcome::Failed(reason) = outcome else { continue };
            let again_at = Instant::now() + RETRY;
            let failure = Failure { event: *event, again_at, reason: reason.clone() };
            if before.is_none_or(|before| before.reason != *reason) {
                news.push((*id, failure.clone()));
            }
            if snapshot.instance(*id).and_then(|instance| instance.due()) == Some(*event) {
                failed.insert(*id, failure);
            }
        }
        failed.retain(|id, _| snapshot.is_in_transition(*id));
        drop(failed);
        self.changed.notify_all();
        news
    }
}

/// What has the drivers do what is due.
pub(crate) struct Lifecycle {
    pub(crate) store: Arc<Store>,
    pub(crate) drivers: Drivers,
    pub(crate) clock: Clock,
    pub(crate) notices: Notices,
    pub(crate) progress: Arc<Progress>,
}

/// Starts the thread, until the sender of `stopped` is dropped. What is under way then is broken off
/// where it can be, and done once more after the next start.
///
/// # Errors
///
/// What the system says.
pub(crate) fn start(
    lifecycle: Lifecycle,
    mut stopped: watch::Receiver<()>,
) -> std::io::Result<JoinHandle<()>> {
    let name = "imds-lifecycle";
    let runtime = runtime::Builder::new_current_thread().thread_name(name).enable_all().build()?;
    let work = move || {
        let lifecycle = Arc::new(lifecycle);
        runtime.block_on(async move {
            tokio::spawn(Arc::clone(&lifecycle).forget_what_is_over());
            tokio::spawn(lifecycle.keep());
            // The sender is dropped to stop; nothing is ever sent.
            let _ = stopped.changed().await;
        });
    };
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

impl Lifecycle {
    /// Has everything done that is due, for as long as the runtime lives.
    async fn keep(self: Arc<Self>) {
        tokio::spawn(Arc::clone(&self).follow_store());
        let (mut work, mut under_way) = (JoinSet::new(), HashMap::new());
        loop {
            let again_at = self.begin(&mut work, &mut under_way).await;
            let mut asked = pin!(self.progress.asked.notified());
            let wake = poll_fn(|context| {
                let mut is_awake = asked.as_mut().poll(context).is_ready();
                while let Poll::Ready(Some(ended)) = work.poll_join_next_with_id(context) {
                    // What is due for one that panicked is due still.
                    let task = ended.map_or_else(|fault| fault.id(), |(task, ())| task);
                    under_way.remove(&task);
                    is_awake = true;
                }
                if is_awake { Poll::Ready(()) } else { Poll::Pending }
            });
            // Whichever comes first: it is looked at everything.
            let _ = timeout_at(again_at, wake).await;
        }
    }

    async fn follow_store(self: Arc<Self>) {
        let mut generations = self.store.watch();
        while generations.changed().await.is_ok() {
            self.progress.asked.notify_one();
        }
    }

    /// Begins with what is due and not under way. Returns when to look again, whatever happens.
    async fn begin(
        self: &Arc<Self>,
        work: &mut JoinSet<()>,
        under_way: &mut HashMap<task::Id, InstanceId>,
    ) -> Instant {
        loop {
            let (snapshot, now) = (self.store.snapshot(), Instant::now());
            let mut again_at = now + EXPIRY;
            let mut at_once = Vec::new();
            for instance in snapshot.in_transition() {
                let is_under_way = under_way.values().any(|id| *id == instance.id);
                let Some(event) = instance.due().filter(|_| !is_under_way) else { continue };
                let failed = self.progress.lock().get(&instance.id).cloned();
                let waits = failed.filter(|last| last.event == event && last.again_at > now);
                if let Some(failure) = waits {
                    again_at = again_at.min(failure.again_at);
                    continue;
                }
                if let Some(outcome) = self.drivers.at_once(instance, event) {
                    at_once.push(Settlement { id: instance.id, event, outcome });
                    if at_once.len() == BATCH {
                        break;
                    }
                } else if work.len() < AT_A_TIME {
                    let task = work.spawn(Arc::clone(self).see_to(Arc::clone(instance), event));
                    under_way.insert(task.id(), instance.id);
                }
            }
            if at_once.is_empty() {
                return again_at;
            }
            if !self.settle(at_once).await {
                return now + RETRY;
            }
        }
    }

    /// Has a driver do what is due, and writes down what it came to.
    async fn see_to(self: Arc<Self>, instance: Arc<Instance>, event: LifecycleEvent) {
        let id = instance.id;
        let outcome = self.drivers.drive(instance, event, self.clock.now().wall).await;
        self.settle(vec![Settlement { id, event, outcome }]).await;
    }

    /// Returns false if that broke down; then all of it is due still.
    async fn settle(self: &Arc<Self>, settlements: Vec<Settlement>) -> bool {
        let this = Arc::clone(self);
        // A commit waits for the disk.
        task::spawn_blocking(move || this.write_down(settlements)).await.is_ok()
    }

    fn write_down(&self, mut settlements: Vec<Settlement>) {
        let committed = self.commit(|snapshot, now| settled(snapshot, &settlements, now));
        match committed {
            Ok(()) => {}
            // What a driver gave cannot be had: another instance has it, or it is too much.
            Err(TransactFault::Attachment(_) | TransactFault::Instance(_))
                if settlements.len() > 1 =>
            {
                return settlements.into_iter().for_each(|one| self.write_down(vec![one]));
            }
            Err(fault @ (TransactFault::Attachment(_) | TransactFault::Instance(_))) => {
                let reason = if let TransactFault::Attachment(taken) = &fault {
                    describe_taken(&self.store.current(), taken)
                } else {
                    control::native::describe_fault(&fault)
                };
                for settlement in &mut settlements {
                    settlement.outcome = Outcome::Failed(reason.clone());
                }
                if let Err(fault) =
                    self.commit(|snapshot, now| settled(snapshot, &settlements, now))
                {
                    self.notices.tell(Notice::NotStored(control::native::describe_fault(&fault)));
                }
            }
            // It stays due, and is done once more.
            Err(fault) => {
                let reason = control::native::describe_fault(&fault);
                for settlement in &mut settlements {
                    settlement.outcome = Outcome::Failed(reason.clone());
                }
            }
        }
        for (id, Failure { event, reason, .. }) in
            self.progress.note(&self.store.current(), &settlements)
        {
            self.notices.tell(Notice::MachineFailed(id, event, reason));
        }
    }

    fn commit(
        &self,
        plan: impl FnOnce(&Snapshot, model::Timestamp) -> Vec<Change>,
    ) -> Result<(), TransactFault<Infallible>> {
        let now = self.clock.now().wall;
        self.store.transact(|snapshot| Ok((plan(snapshot, now), ())))
    }

    /// Forgets what has ended long ago.
    async fn forget_what_is_over(self: Arc<Self>) {
        let mut told = None;
        loop {
            let this = Arc::clone(&self);
            let forgotten = task::spawn_blocking(move || this.commit(expired)).await;
            let reason = match forgotten {
                Ok(Err(fault)) => Some(control::native::describe_fault(&fault)),
                Ok(Ok(())) | Err(_) => None,
            };
            // A full disk stays full for a while: it is told once.
            if let Some(reason) = reason.clone().filter(|_| reason != told) {
                self.notices.tell(Notice::NotStored(reason));
            }
            told = reason;
            tokio::time::sleep(EXPIRY).await;
        }
    }
}

#[cfg(test)]
mod tests;
