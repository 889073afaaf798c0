//! Keeps a door open for every attachment: what the store says, with what is there.
//!
//! One thread, `imds-attachments`, compares the attachments in the store with the doors that are
//! open, whenever the store, a network interface or a network namespace changes. Something that is
//! not there yet is waited for; something that has gone is let go at once, since a socket would
//! keep a namespace alive that nobody can reach any more.
//!
//! Sources need no door of their own: they share one, and are told apart by the snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::{Attachment, Generation, InstanceId, InterfaceName, NetnsName};
use network::{
    LinkEvent, LinkWatch, NameEvent, NameWatch, Namespace, NamespaceFault, NamespaceIdentity,
    Netlink,
};
use store::Store;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime;
use tokio::sync::{Notify, mpsc, watch};

use crate::driver::{Door, DoorNumber};
use crate::exchange::Entrance;
use crate::link_local;
use crate::listener::{For, Listening, listen_at, listen_at_link_local};
use crate::run::{Notice, Notices};
use crate::surroundings::in_full;
use crate::sys;
use crate::workers::Workers;

/// How often it is looked for what no event tells of: paths that stand for namespaces, and reasons
/// to wait that have gone away.
const LOOK: Duration = Duration::from_secs(1);

/// LIMIT: time for an operator's change to be taken up, should the thread be busy with thousands.
const SETTLE_DEADLINE: Duration = Duration::from_secs(4);

/// LIMIT: attachments that are told of one by one at a time, so that thousands which wait for the
/// same do not drown everything else.
const TOLD_MAX: usize = 16;

/// LIMIT: events that wait; they only say that there is something to look at.
const WAKES_MAX: usize = 1_024;

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

    fn end(&self) {
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

    fn count_step(&self) {
        self.steps.send_modify(|steps| *steps = steps.wrapping_add(1));
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What holds a door open: it is let go when this goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hinge {
    /// Nothing but the door itself.
    Address,
    /// The interface with this index.
    Interface(u32),
    /// This namespace.
    Namespace(NamespaceIdentity),
}

/// A door that is had from the system, not yet given to a worker.
pub(crate) struct Opened {
    hinge: Hinge,
    addresses: Vec<SocketAddr>,
    sockets: Vec<OwnedFd>,
}

impl From<Listening> for Opened {
    fn from(Listening { address, sockets }: Listening) -> Self {
        Self { hinge: Hinge::Address, addresses: vec![address], sockets }
    }
}

/// Opens a door for an attachment. `workers` is how many share a listener; `is_shared` says whether
/// EC2's addresses are listened at for other instances too.
///
/// # Errors
///
/// In words: what is missing, and the cure.
pub(crate) fn open(
    attachment: &Attachment,
    workers: usize,
    is_shared: bool,
) -> Result<Opened, String> {
    match attachment {
        Attachment::Interface(name) => open_at_interface(*name, is_shared),
        Attachment::Listener(address) => {
            let listening = listen_at(*address, For::Anyone, workers);
            listening.map(Opened::from).map_err(|fault| fault.to_string())
        }
        Attachment::Netns(name) => open_in_namespace(name),
        Attachment::Source { .. } => {
            Ok(Opened { hinge: Hinge::Address, addresses: Vec::new(), sockets: Vec::new() })
        }
    }
}

fn open_at_interface(name: InterfaceName, is_shared: bool) -> Result<Opened, String> {
    let found = Netlink::open().and_then(|mut netlink| netlink.link_named(name.as_str()));
    let link = found.map_err(|fault| in_full(&fault))?.ok_or_else(|| {
        format!("there is no network interface `{name}`: it is served once there is one")
    })?;
    if link.mac.is_none() {
        return Err(format!(
            "interface `{name}` has no MAC address, so nobody's can be checked on it: use a TAP or \
             another Ethernet interface, or attach by `source`"
        ));
    }
    let index = link.index.as_number();
    let sockets = listen_at_link_local(For::Interface(index), is_shared)
        .map_err(|fault| format!("on interface `{name}`: {fault}"))?;
    Ok(Opened { hinge: Hinge::Interface(index), addresses: ec2_addresses(&sockets), sockets })
}

fn open_in_namespace(name: &NetnsName) -> Result<Opened, String> {
    let namespace = Namespace::open(name.path().as_ref()).map_err(|fault| {
        // While `ip netns` makes or deletes one, its name is that of an empty file.
        let is_half = matches!(fault, NamespaceFault::NotANamespace(_)) && !name.is_path();
        if is_half || matches!(fault, NamespaceFault::Absent(_)) {
            return format!(
                "there is no network namespace `{name}`: it is served once there is one (`ip netns \
                 add` makes one)"
            );
        }
        in_full(&fault)
    })?;
    let listened = namespace.run(|| listen_at_link_local(For::Netns, false));
    let sockets = listened
        .map_err(|fault| in_full(&fault))?
        .map_err(|fault| format!("in network namespace `{name}`: {fault}"))?;
    let identity = namespace.identity();
    Ok(Opened { hinge: Hinge::Namespace(identity), addresses: ec2_addresses(&sockets), sockets })
}

fn ec2_addresses(sockets: &[OwnedFd]) -> Vec<SocketAddr> {
    link_local::ADDRESSES.into_iter().take(sockets.len()).collect()
}

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

/// Something that may have changed.
#[derive(Debug)]
enum Wake {
    /// What stands for namespaces, and everything that waits.
    Look,
    Links(Vec<LinkEvent>),
    Names(BTreeSet<String>),
    Store,
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
        self.board.lock().doors.insert(key.clone(), State::Serves(addresses));
        self.held.insert(key, Held { number, hinge });
    }

    fn number(&mut self) -> DoorNumber {
        let next = self.next.next();
        std::mem::replace(&mut self.next, next)
    }

    /// Keeps the doors in step, for as long as the runtime lives.
    pub(crate) async fn keep(mut self) {
        let (sender, mut wakes) = mpsc::channel(WAKES_MAX);
        watch_store(&self.store, sender.clone());
        watch_links(sender.clone());
        watch_names(sender.clone());
        let board = Arc::clone(&self.board);
        tokio::spawn(async move {
            while sender.send(Wake::Look).await.is_ok() {
                let _ = tokio::time::timeout(LOOK, board.asked.notified()).await;
            }
        });
        self.follow_store().await;
        self.sum_up();
        while let Some(wake) = wakes.recv().await {
            self.board.count_step();
            match wake {
                Wake::Look => {
                    self.look().await;
                    self.follow_store().await;
                    self.board.lock().looks += 1;
                    self.board.changed.notify_all();
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
            return self.settle(snapshot.generation());
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
            self.board.lock().doors.remove(&key);
        }
        for key in new {
            self.try_open(key);
        }
        self.followed = Some(snapshot.entrances_since());
        self.settle(snapshot.generation());
    }

    /// Tells those who wait that the attachments of a generation are taken up.
    fn settle(&self, generation: Generation) {
        self.board.lock().settled = generation;
        self.board.changed.notify_all();
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
                self.board.lock().doors.insert(key.clone(), State::Waits(reason.clone()));
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

fn watch_store(store: &Store, wakes: mpsc::Sender<Wake>) {
    let mut generation = store.watch();
    tokio::spawn(async move {
        while generation.changed().await.is_ok() && wakes.send(Wake::Store).await.is_ok() {}
    });
}

fn watch_links(wakes: mpsc::Sender<Wake>) {
    tokio::spawn(async move {
        // Where they cannot be watched, they are listed every second.
        loop {
            let watch = LinkWatch::open().ok();
            // Nobody has watched so far.
            if wakes.send(Wake::Links(vec![LinkEvent::Lost])).await.is_err() {
                return;
            }
            let watch = watch.and_then(|watch| sys::watch(watch, Interest::READABLE).ok());
            if let Some(watch) = watch {
                pass_on_links(watch, &wakes).await;
            }
            tokio::time::sleep(LOOK).await;
        }
    });
}

/// Passes on what happens to interfaces, until that cannot be told any more.
async fn pass_on_links(mut watch: AsyncFd<LinkWatch>, wakes: &mpsc::Sender<Wake>) {
    while let Ok(mut ready) = watch.readable_mut().await {
        let Ok(events) = ready.get_inner_mut().read() else { return };
        if events.is_empty() {
            ready.clear_ready();
        } else if wakes.send(Wake::Links(events)).await.is_err() {
            return;
        }
    }
}

fn watch_names(wakes: mpsc::Sender<Wake>) {
    tokio::spawn(async move {
        let Ok(watch) = NameWatch::open() else { return };
        let Ok(mut watch) = sys::watch(watch, Interest::PRIORITY) else { return };
        while let Ok(mut ready) = watch.ready_mut(Interest::PRIORITY).await {
            // First, or a change that comes while reading would be forgotten.
            ready.clear_ready();
            let Ok(events) = ready.get_inner_mut().read() else { return };
            let name = |event| match event {
                NameEvent::Appeared { name, .. } | NameEvent::Vanished { name, .. } => name,
            };
            let names: BTreeSet<_> = events.into_iter().map(name).collect();
            if !names.is_empty() && wakes.send(Wake::Names(names)).await.is_err() {
                return;
            }
        }
    });
}
