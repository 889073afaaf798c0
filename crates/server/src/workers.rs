//! The threads that serve guests: one a core, each with its own runtime and its own sockets.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use model::InstanceId;
use tokio::runtime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::driver::{self, Worker};
use crate::exchange::{Family, Peer};
use crate::listener::Listening;
use crate::run::Notices;
use crate::sys;

/// LIMIT: time for connections that wait when the server is told to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(1);

/// How often it is looked whether any still wait.
const STOP_CHECK: Duration = Duration::from_millis(10);

/// Starts a thread for each worker, with its socket of each address. They end when the sender of
/// `stopped` is dropped; one that ends otherwise breaks the server, which `notices` is told.
///
/// # Errors
///
/// What the system says; the threads started so far end with `stopped`.
pub(crate) fn start(
    mut listening: Vec<(Listening, InstanceId)>,
    workers: Vec<Worker>,
    stopped: &watch::Receiver<()>,
    notices: &Notices,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::with_capacity(workers.len());
    for (number, worker) in workers.into_iter().enumerate() {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let mut sockets = Vec::with_capacity(listening.len());
        for (at, instance) in &mut listening {
            let family = if at.address.is_ipv4() { Family::V4 } else { Family::V6 };
            let entered = runtime.enter();
            if let Some(socket) = at.sockets.pop() {
                sockets.push((sys::watch(socket)?, Peer { instance: *instance, family }));
            }
            drop(entered);
        }
        let (mut stopped, notices) = (stopped.clone(), notices.clone());
        let work = move || {
            let worker = Arc::new(worker);
            runtime.block_on(async move {
                let mut accepting = Vec::with_capacity(sockets.len());
                for (socket, peer) in sockets {
                    let accept = tokio::spawn(driver::accept(Arc::clone(&worker), socket, peer));
                    accepting.push(accept.abort_handle());
                    let notices = notices.clone();
                    tokio::spawn(async move {
                        // Accepting never ends by itself.
                        if !accept.await.is_err_and(|ended| ended.is_cancelled()) {
                            notices.break_down("a worker stopped accepting connections").await;
                        }
                    });
                }
                // The sender is dropped to stop; nothing is ever sent.
                let _ = stopped.changed().await;
                accepting.iter().for_each(tokio::task::AbortHandle::abort);
                let deadline = Instant::now() + STOP_DEADLINE;
                while worker.counters.waiting_count() > 0 && Instant::now() < deadline {
                    sleep(STOP_CHECK).await;
                }
            });
        };
        threads.push(thread::Builder::new().name(format!("imds-worker-{number}")).spawn(work)?);
    }
    Ok(threads)
}
