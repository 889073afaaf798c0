//! Keeps a door open for every attachment: what the store says, with what is there.
//!
//! One thread, `imds-attachments`, compares the attachments in the store with the doors that are
//! open, whenever the store, a network interface or a network namespace changes. Something that is
//! not there yet is waited for; something that has gone is let go at once, since a socket would
//! keep a namespace alive that nobody can reach any more.
//!
//! Sources need no door of their own: they share one, and are told apart by the snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use model::{Attachment, Generation, InstanceId};
use network::{LinkEvent, NamespaceIdentity, Netlink};
use store::Store;
use tokio::runtime;
use tokio::sync::watch;

use crate::board::{Board, State};
use crate::driver::{Door, DoorNumber};
use crate::exchange::Entrance;
use crate::opening::{Hinge, Opened, open};
use crate::run::{Notice, Notices};
use crate::wakes::{self, Wake};
use crate::workers::Workers;

/// LIMIT: attachments that are told of one by one at a time, so that thousands which wait for the
/// same do not drown everything else.
const TOLD_MAX: usize = 16;

/// Starts the thread that keeps the doors in step, until the sender of `stopped` is dropped.
///
/// # Errors
///
/// What the system says.
pub(crate) fn start(
    attachments: Attachments,
    mut stopped: watch::Receiver<()>,
) -> std::io::Result<JoinHandle<()>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let work = move || {
        runtime.block_on(async move {
            tokio::spawn(attachments.keep());
            // The sender is dropped to stop; nothing is ever sent.
            let _ = stopped.changed().await;
        });
    };
    thread::Builder::new().name("imds-attachments".to_owned()).spawn(work)
}

/// A door that is open.
#[derive(Debug)]
struct Held {
    number: DoorNumber,
    hinge: Hinge,
}

/// How many attachments have been told of: those that serve now, and those that do not.
#[derive(Debug, Default)]
struct Told {
    serve: usize,
    wait: usize,
}

/// The doors of one server, and what is needed to open and close them.
pub(crate) struct Attachments {
    store: Arc<Store>,
    workers: Workers,
    board: Arc<Board>,
    notices: Notices,
    /// Whether EC2's addresses are listened at for other instances too.
    is_shared: bool,
    held: BTreeMap<(Attachment, InstanceId), Held>,
    waiting: BTreeMap<(Attachment, InstanceId), String>,
    next: DoorNumber,
    /// The attachments that the doors are in step with.
    followed: Option<Generation>,
    /// The last loss of a source address since which nobody waits to be accepted.
    drained: Generation,
    /// What has been told since the last wake.
    told: Told,
}

impl Drop for Attachments {
    fn drop(&mut self) {
        self.board.end();
    }
}

impl Attachments {
    /// Starts with the doors that were opened before anyone was served.
    pub(crate) fn new(
        store: Arc<Store>,
        workers: Workers,
        board: Arc<Board>,
        notices: Notices,
        is_shared: bool,
    ) -> Self {
        let (held, waiting) = (BTreeMap::new(), BTreeMap::new());
        let next = DoorNumber::new(1);
        // Nobody has been served so far.
        let drained = store.current().sources_released();
        let (followed, told) = (None, Told::default());
        Self {
            store,
            workers,
            board,
            notices,
            is_shared,
            held,
            waiting,
            next,
            followed,
            drained,
            told,
        }
    }

    /// Gives the workers a door that no attachment stands behind.
    pub(crate) fn open_for(&mut self, entrance: Entrance, sockets: Vec<OwnedFd>) {
        let number = self.number();
        self.workers.open_at_each(Door { number, entrance }, sockets);
    }

    /// Gives the workers the door of an attachment.
    pub(crate) fn hold(&mut self, key: (Attachment, InstanceId), opened: Opened) {
        let Opened { hinge, addresses, sockets } = opened;
        let (attachment, instance) = &key;
        let entrance = match attachment {
            Attachment::Interface(_) => Entrance::Interface(*instance),
            Attachment::Listener(_) | Attachment::Netns(_) => Entrance::Instance(*instance),
            Attachment::Source { .. } => return,
        };
        let number = self.number();
        let door = Door { number, entrance };
        match hinge {
            Hinge::Address => self.workers.open_at_each(door, sockets),
            Hinge::Interface(_) | Hinge::Namespace(_) => self.workers.open_at_one(door, sockets),
        }
        self.board.show(key.clone(), State::Serves(addresses));
        self.held.insert(key, Held { number, hinge });
    }

    fn number(&mut self) -> DoorNumber {
        let next = self.next.next();
        std::mem::replace(&mut self.next, next)
    }

    /// Keeps the doors in step, for as long as the runtime lives.
    pub(crate) async fn keep(mut self) {
        let mut wakes = wakes::watch(&self.store, &self.board);
        self.follow_store().await;
        self.sum_up();
        while let Some(wake) = wakes.recv().await {
            self.board.count_step();
            match wake {
                Wake::Look => {
                    self.look().await;
                    self.follow_store().await;
                    self.board.count_look();
                }
                Wake::Links(events) => self.follow_links(&events).await,
                Wake::Names(names) => self.follow_names(&names).await,
                Wake::Store => self.follow_store().await,
            }
            self.sum_up();
        }
    }

    /// Tells how many there were that have not been told of.
    fn sum_up(&mut self) {
        let Told { serve, wait } = std::mem::take(&mut self.told);
        let [serve, wait] = [serve, wait].map(|count| count.saturating_sub(TOLD_MAX));
        if serve + wait > 0 {
            self.notices.tell(Notice::Attachments { serve, wait });
        }
    }

    /// Closes what the store no longer has, and opens what it has more.
    async fn follow_store(&mut self) {
        let snapshot = self.store.snapshot();
        if self.drained != snapshot.sources_released() {
            // Whoever has connected while the address was another's must not be accepted as whoever
            // gets it next. It is tried again in a while.
            if !self.workers.drain().await {
                return;
            }
            self.drained = snapshot.sources_released();
        }
        if self.followed == Some(snapshot.entrances_since()) {
            return self.board.settle(snapshot.generation());
        }
        let mut wanted: Vec<_> = snapshot.entrances().collect();
        let known = self.held.keys().chain(self.waiting.keys());
        let mut known: Vec<_> = known.map(|(attachment, id)| (attachment, *id)).collect();
        // Each is two sorted rows, one after the other.
        wanted.sort();
        known.sort();
        let (gone, new) = (without(&known, &wanted), without(&wanted, &known));
        for key in gone {
            self.close(&key).await;
            self.waiting.remove(&key);
            self.board.forget(&key);
        }
        for key in new {
            self.try_open(key);
        }
        self.followed = Some(snapshot.entrances_since());
        self.board.settle(snapshot.generation());
    }

    async fn follow_links(&mut self, events: &[LinkEvent]) {
        for event in events {
            match event {
                LinkEvent::Vanished { index, .. } => {
                    let index = index.as_number();
                    self.close_where(|_, hinge| hinge == Hinge::Interface(index)).await;
                }
                LinkEvent::Changed(link) => {
                    let (index, name) = (link.index.as_number(), link.name.as_str());
                    // Renamed: it is not what the attachment names any more.
                    let is_other = |attachment: &Attachment, hinge| {
                        hinge == Hinge::Interface(index) && !is_interface(attachment, name)
                    };
                    self.close_where(is_other).await;
                    self.retry(|attachment| is_interface(attachment, name));
                }
                LinkEvent::Lost => self.look_at_links().await,
            }
        }
    }

    /// Closes the doors of interfaces that are no longer what their name stands for, and tries those
    /// that wait for one.
    async fn look_at_links(&mut self) {
        let links = Netlink::open().and_then(|mut netlink| netlink.links());
        // What cannot be listed is looked at again with the next event.
        let Ok(links) = links else { return };
        let names: HashMap<u32, String> =
            links.into_iter().map(|link| (link.index.as_number(), link.name)).collect();
        let has_gone = |attachment: &Attachment, hinge| match hinge {
            Hinge::Interface(index) => {
                !names.get(&index).is_some_and(|name| is_interface(attachment, name))
            }
            Hinge::Address | Hinge::Namespace(_) => false,
        };
        self.close_where(has_gone).await;
        self.retry(|attachment| matches!(attachment, Attachment::Interface(_)));
    }

    async fn follow_names(&mut self, names: &BTreeSet<String>) {
        let is_named = |attachment: &Attachment| {
            let Attachment::Netns(name) = attachment else { return false };
            !name.is_path() && names.contains(name.as_str())
        };
        self.check_namespaces(is_named).await;
        self.retry(is_named);
    }

    /// Looks at what no event tells of, or events were lost of.
    async fn look(&mut self) {
        self.check_namespaces(|_| true).await;
        self.retry(|_| true);
    }

    /// Closes the doors of namespaces that are no longer what their name stands for.
    async fn check_namespaces(&mut self, is_meant: impl Fn(&Attachment) -> bool) {
        let has_gone = |attachment: &Attachment, hinge| match (attachment, hinge) {
            (Attachment::Netns(name), Hinge::Namespace(identity)) => {
                NamespaceIdentity::of_path(name.path().as_ref()) != Some(identity)
            }
            _ => false,
        };
        self.close_where(|attachment, hinge| is_meant(attachment) && has_gone(attachment, hinge))
            .await;
    }

    /// Closes doors whose hinges have gone; they wait from now on.
    async fn close_where(&mut self, has_gone: impl Fn(&Attachment, Hinge) -> bool) {
        let is_gone =
            |(key, held): &(&(Attachment, InstanceId), &Held)| has_gone(&key.0, held.hinge);
        let gone: Vec<_> = self.held.iter().filter(is_gone).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.close(&key).await;
            self.try_open(key);
        }
    }

    /// Tries those that wait once more.
    fn retry(&mut self, is_meant: impl Fn(&Attachment) -> bool) {
        let waiting = self.waiting.keys().filter(|(attachment, _)| is_meant(attachment));
        let waiting: Vec<_> = waiting.cloned().collect();
        for key in waiting {
            self.try_open(key);
        }
    }

    async fn close(&mut self, key: &(Attachment, InstanceId)) {
        if let Some(held) = self.held.remove(key) {
            self.workers.close(key.1, held.number).await;
        }
        self.board.count_step();
    }

    fn try_open(&mut self, key: (Attachment, InstanceId)) {
        self.board.count_step();
        match open(&key.0, self.workers.count(), self.is_shared) {
            Ok(opened) => {
                if self.waiting.remove(&key).is_some() {
                    self.told.serve += 1;
                    if self.told.serve <= TOLD_MAX {
                        self.notices.tell(Notice::AttachmentServes(key.1, key.0.clone()));
                    }
                }
                self.hold(key, opened);
            }
            Err(reason) => {
                if self.waiting.get(&key) == Some(&reason) {
                    return;
                }
                self.told.wait += 1;
                if self.told.wait <= TOLD_MAX {
                    let (attachment, instance) = key.clone();
                    let notice = Notice::AttachmentWaits(instance, attachment, reason.clone());
                    self.notices.tell(notice);
                }
                self.board.show(key.clone(), State::Waits(reason.clone()));
                self.waiting.insert(key, reason);
            }
        }
    }
}

/// Returns what is in a sorted row and not in another one.
fn without(
    row: &[(&Attachment, InstanceId)],
    other: &[(&Attachment, InstanceId)],
) -> Vec<(Attachment, InstanceId)> {
    let mut other = other.iter().peekable();
    let is_absent = |key: &&(&Attachment, InstanceId)| {
        while other.next_if(|passed| passed < key).is_some() {}
        other.peek() != Some(key)
    };
    let absent = row.iter().filter(is_absent);
    absent.map(|(attachment, id)| ((*attachment).clone(), *id)).collect()
}

fn is_interface(attachment: &Attachment, name: &str) -> bool {
    matches!(attachment, Attachment::Interface(own) if own.as_str() == name)
}
