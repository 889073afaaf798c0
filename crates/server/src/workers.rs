//! The threads that serve guests: one a core, each with its own runtime and its own sockets.
//!
//! Doors open and close while the server runs: a [`Door`] is a number and who comes in there; its
//! sockets belong to the workers that they were given to.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::InstanceId;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, AbortHandle};
use tokio::time::{Instant, sleep, timeout_at};

use crate::accept;
use crate::admission::Admission;
use crate::driver::{Door, DoorNumber, Worker};
use crate::run::Notices;
use crate::sys;

/// LIMIT: time for connections that wait when the server is told to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// How often it is looked whether connections that were closed have ended.
const CLOSE_CHECK: Duration = Duration::from_millis(1);

/// How often it is looked whether any still wait.
const STOP_CHECK: Duration = Duration::from_millis(10);

/// What a worker is told to do.
enum Order {
    Open(Door, OwnedFd),
    /// Let nobody in at a door any more; the sender is used once that is so.
    Close(DoorNumber, oneshot::Sender<()>),
    /// Accept every connection that waits at a door of many instances by now; the sender is used
    /// once that is done, or could not be.
    Drain(oneshot::Sender<bool>),
    /// Show that orders are still taken.
    Ping(oneshot::Sender<()>),
}

/// The way to the threads. They end when it is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Workers {
    orders: Vec<mpsc::UnboundedSender<Order>>,
    admission: Arc<Admission>,
}

impl Workers {
    /// Starts a thread for each worker. One that ends by itself breaks the server, which `notices`
    /// is told.
    ///
    /// # Errors
    ///
    /// What the system says; the threads started so far end.
    pub(crate) fn start(
        workers: Vec<Worker>,
        admission: Arc<Admission>,
        notices: &Notices,
    ) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let (mut orders, mut threads) = (Vec::new(), Vec::new());
        for (number, worker) in workers.into_iter().enumerate() {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (sender, receiver) = mpsc::unbounded_channel();
            let notices = notices.clone();
            let work = move || runtime.block_on(work(Arc::new(worker), receiver, notices));
            orders.push(sender);
            threads.push(thread::Builder::new().name(format!("imds-worker-{number}")).spawn(work)?);
        }
        Ok((Self { orders, admission }, threads))
    }

    /// Returns how many there are.
    pub(crate) fn count(&self) -> usize {
        self.orders.len()
    }

    /// Opens a door with a socket for each worker.
    pub(crate) fn open_at_each(&self, door: Door, sockets: Vec<OwnedFd>) {
        for (orders, socket) in self.orders.iter().cycle().zip(sockets) {
            // A worker that is gone has broken the server down already.
            let _ = orders.send(Order::Open(door, socket));
        }
    }

    /// Opens a door with all its sockets at one worker: whoever floods it has that one to wait for,
    /// and instances at the others do not.
    pub(crate) fn open_at_one(&self, door: Door, sockets: Vec<OwnedFd>) {
        let orders = self.orders.get(door.number.spread(self.count()));
        for (orders, socket) in orders.into_iter().cycle().zip(sockets) {
            let _ = orders.send(Order::Open(door, socket));
        }
    }

    /// Closes a door of an instance. When this is done, nobody who came in there is answered any
    /// more, and no socket of it is open.
    pub(crate) async fn close(&self, instance: InstanceId, door: DoorNumber) {
        for orders in &self.orders {
            let (sender, closed) = oneshot::channel();
            if orders.send(Order::Close(door, sender)).is_ok() {
                let _ = closed.await;
            }
        }
        // Only now, when no more of them can begin to wait.
        let cut = self.admission.close_all(instance, door);
        while !cut.iter().all(AbortHandle::is_finished) {
            sleep(CLOSE_CHECK).await;
        }
    }

    /// Has every connection that waits at the doors of many instances by now accepted: each is from
    /// then on of the instance that had its address, or of none. Returns false if a worker has no
    /// room for them.
    pub(crate) async fn drain(&self) -> bool {
        let mut are_drained = true;
        for orders in &self.orders {
            let (sender, drained) = oneshot::channel();
            if orders.send(Order::Drain(sender)).is_ok() {
                are_drained &= drained.await.unwrap_or(true);
            }
        }
        are_drained
    }

    /// Returns a way to see whether they still work, which does not keep them from ending.
    pub(crate) fn pulse(&self) -> Pulse {
        Pulse(self.orders.iter().map(mpsc::UnboundedSender::downgrade).collect())
    }
}

/// Tells whether the workers still do what they are told.
pub(crate) struct Pulse(Vec<mpsc::WeakUnboundedSender<Order>>);

impl Pulse {
    /// Asks every worker at once, and waits for all of them until `deadline`.
    ///
    /// # Errors
    ///
    /// The number of the first that has not answered.
    pub(crate) async fn feel(&self, deadline: Instant) -> Result<(), usize> {
        let ping = |orders: &mpsc::WeakUnboundedSender<Order>| {
            let (sender, answered) = oneshot::channel();
            // One that takes no orders any more drops the sender, which is no answer.
            let _ = orders.upgrade().map(|orders| orders.send(Order::Ping(sender)));
            answered
        };
        let answers: Vec<_> = self.0.iter().map(ping).collect();
        for (number, answered) in answers.into_iter().enumerate() {
            let Ok(Ok(())) = timeout_at(deadline, answered).await else { return Err(number) };
        }
        Ok(())
    }
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(door, _) => write!(f, "Open({door:?})"),
            Self::Close(door, _) => write!(f, "Close({door:?})"),
            Self::Drain(_) => write!(f, "Drain"),
            Self::Ping(_) => f.write_str("Ping"),
        }
    }
}

/// A listening socket of a door that is open.
struct Listening {
    door: Door,
    socket: Arc<AsyncFd<OwnedFd>>,
    accepting: task::JoinHandle<()>,
}

/// Does what is ordered, until there can be no more orders; then lets those who wait be served.
async fn work(worker: Arc<Worker>, mut orders: mpsc::UnboundedReceiver<Order>, notices: Notices) {
    let mut open: HashMap<DoorNumber, Vec<Listening>> = HashMap::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Open(door, socket) => match sys::watch(socket, Interest::READABLE) {
                Ok(socket) => {
                    let socket = Arc::new(socket);
                    let (worker, notices) = (Arc::clone(&worker), notices.clone());
                    let accepting =
                        tokio::spawn(accept(worker, Arc::clone(&socket), door, notices));
                    let listening = Listening { door, socket, accepting };
                    open.entry(door.number).or_default().push(listening);
                }
                Err(_) => notices.break_down("a worker could not watch a socket").await,
            },
            Order::Close(door, closed) => {
                for Listening { accepting, .. } in open.remove(&door).into_iter().flatten() {
                    accepting.abort();
                    let _ = accepting.await;
                }
                let _ = closed.send(());
            }
            Order::Drain(drained) => {
                let mut are_drained = true;
                let is_shared = |listening: &&Listening| listening.door.is_shared();
                for Listening { door, socket, .. } in open.values().flatten().filter(is_shared) {
                    are_drained &= accept::accept_waiting(&worker, socket.get_ref(), *door).await;
                }
                let _ = drained.send(are_drained);
            }
            Order::Ping(answered) => _ = answered.send(()),
        }
    }
    for Listening { accepting, .. } in open.into_values().flatten() {
        accepting.abort();
    }
    let deadline = Instant::now() + STOP_DEADLINE;
    while worker.counters.waiting_count() > 0 && Instant::now() < deadline {
        sleep(STOP_CHECK).await;
    }
}

/// Accepting never ends by itself.
async fn accept(worker: Arc<Worker>, socket: Arc<AsyncFd<OwnedFd>>, door: Door, notices: Notices) {
    accept::accept(worker, socket, door).await;
    notices.break_down("a worker stopped accepting connections").await;
}
