//! The threads that serve guests: one a core, each with its own runtime and its own sockets.
//!
//! Doors open and close while the server runs: a [`Door`] is a number and who comes in there; its
//! sockets belong to the workers that they were given to.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::Interest;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, AbortHandle};
use tokio::time::{Instant, sleep};

use crate::admission::Admission;
use crate::driver::{self, Door, DoorNumber, Worker};
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

    /// Closes a door. When this is done, nobody who came in there is answered any more, and no
    /// socket of it is open.
    pub(crate) async fn close(&self, door: DoorNumber) {
        for orders in &self.orders {
            let (sender, closed) = oneshot::channel();
            if orders.send(Order::Close(door, sender)).is_ok() {
                let _ = closed.await;
            }
        }
        // Only now, when no more of them can begin to wait.
        let cut = self.admission.close_all(door);
        while !cut.iter().all(AbortHandle::is_finished) {
            sleep(CLOSE_CHECK).await;
        }
    }
}

impl std::fmt::Debug for Order {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open(door, _) => write!(f, "Open({door:?})"),
            Self::Close(door, _) => write!(f, "Close({door:?})"),
        }
    }
}

/// Does what is ordered, until there can be no more orders; then lets those who wait be served.
async fn work(worker: Arc<Worker>, mut orders: mpsc::UnboundedReceiver<Order>, notices: Notices) {
    let mut open: HashMap<DoorNumber, Vec<task::JoinHandle<()>>> = HashMap::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Open(door, socket) => match sys::watch(socket, Interest::READABLE) {
                Ok(socket) => {
                    let accepting = accept(Arc::clone(&worker), socket, door, notices.clone());
                    open.entry(door.number).or_default().push(tokio::spawn(accepting));
                }
                Err(_) => notices.break_down("a worker could not watch a socket").await,
            },
            Order::Close(door, closed) => {
                for accepting in open.remove(&door).into_iter().flatten() {
                    accepting.abort();
                    let _ = accepting.await;
                }
                let _ = closed.send(());
            }
        }
    }
    open.values().flatten().for_each(task::JoinHandle::abort);
    let deadline = Instant::now() + STOP_DEADLINE;
    while worker.counters.waiting_count() > 0 && Instant::now() < deadline {
        sleep(STOP_CHECK).await;
    }
}

/// Accepting never ends by itself.
async fn accept(
    worker: Arc<Worker>,
    socket: tokio::io::unix::AsyncFd<OwnedFd>,
    door: Door,
    notices: Notices,
) {
    driver::accept(worker, socket, door).await;
    notices.break_down("a worker stopped accepting connections").await;
}
