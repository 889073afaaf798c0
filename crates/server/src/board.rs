//! What the rest of the server knows of the attachments: which serve and where, which wait and what
//! for, and how far the thread that opens their doors has come.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::{Attachment, Generation, InstanceId};
use tokio::sync::{Notify, watch};

/// LIMIT: time for an operator's change to be taken up, should the thread be busy with thousands.
const SETTLE_DEADLINE: Duration = Duration::from_secs(4);

/// What the rest of the server knows of the attachments.
#[derive(Debug, Default)]
pub(crate) struct Board {
    shown: Mutex<Shown>,
    changed: Condvar,
    /// Has the thread look before the next second.
    asked: Notify,
    /// Goes up with every step of the thread.
    steps: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Shown {
    /// The generation whose attachments are taken up.
    settled: Generation,
    /// How often it was looked at everything.
    looks: u64,
    /// The thread has ended: there is nothing to wait for any more.
    is_over: bool,
    doors: BTreeMap<(Attachment, InstanceId), State>,
}

/// Whether an attachment serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// At these addresses.
    Serves(Vec<SocketAddr>),
    /// For this reason it does not, yet.
    Waits(String),
}

impl Board {
    /// Waits until the attachments of `generation` are taken up. Returns false if that takes too
    /// long.
    pub(crate) fn settles(&self, generation: Generation) -> bool {
        self.wait_while(self.lock(), |shown| shown.settled < generation).settled >= generation
    }

    /// Returns the newest generation whose attachments are taken up. What is in the snapshot of it is
    /// in force for every request that is read from then on.
    pub(crate) fn settled(&self) -> Generation {
        self.lock().settled
    }

    /// Has it looked at everything that is there by now, and waits for that, though not for ever.
    pub(crate) fn look_again(&self) {
        // The first look may have begun already.
        for _ in 0..2 {
            let shown = self.lock();
            let before = shown.looks;
            self.asked.notify_one();
            drop(self.wait_while(shown, |shown| shown.looks == before));
        }
    }

    fn wait_while<'b>(
        &self,
        shown: MutexGuard<'b, Shown>,
        is_early: impl Fn(&Shown) -> bool,
    ) -> MutexGuard<'b, Shown> {
        let waits = |shown: &mut Shown| !shown.is_over && is_early(shown);
        let waited = self.changed.wait_timeout_while(shown, SETTLE_DEADLINE, waits);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Says that the thread has ended.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    /// Returns the state of an attachment that has a door of its own.
    pub(crate) fn state(&self, attachment: &Attachment, instance: InstanceId) -> State {
        let found = self.lock().doors.get(&(attachment.clone(), instance)).cloned();
        found.unwrap_or_else(|| State::Waits("it has not been looked at yet".to_owned()))
    }

    /// Returns every attachment that has a door of its own, or waits for one.
    pub(crate) fn states(&self) -> Vec<(Attachment, InstanceId, State)> {
        let shown = self.lock();
        let state = |((attachment, id), state): (&(Attachment, InstanceId), &State)| {
            (attachment.clone(), *id, state.clone())
        };
        shown.doors.iter().map(state).collect()
    }

    /// Waits until the thread takes a step, which it does at once unless it is stuck. One that is
    /// busy takes many.
    pub(crate) async fn step(&self) {
        let mut steps = self.steps.subscribe();
        self.asked.notify_one();
        // The sender is ours.
        let _ = steps.changed().await;
    }

    /// Says that the thread has taken a step.
    pub(crate) fn count_step(&self) {
        self.steps.send_modify(|steps| *steps = steps.wrapping_add(1));
    }

    /// Says that the attachments of a generation are taken up.
    pub(crate) fn settle(&self, generation: Generation) {
        self.lock().settled = generation;
        self.changed.notify_all();
    }

    /// Says that everything was looked at.
    pub(crate) fn count_look(&self) {
        self.lock().looks += 1;
        self.changed.notify_all();
    }

    /// Waits until a look is asked for.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Shows the state of an attachment.
    pub(crate) fn show(&self, key: (Attachment, InstanceId), state: State) {
        self.lock().doors.insert(key, state);
    }

    /// Shows an attachment no more.
    pub(crate) fn forget(&self, key: &(Attachment, InstanceId)) {
        self.lock().doors.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
