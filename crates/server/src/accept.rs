//! Accepting: connections come in at a door and are handed to the driver, a batch at a time.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::io::unix::AsyncFd;

use crate::counters::Limit;
use crate::driver::{Door, Worker};
use crate::listener::BACKLOG;

/// LIMIT: connections taken in one go before other doors, and those that wait, get their turn. A turn
/// costs about as much as a tenth of an answer.
const ACCEPT_BATCH: usize = 16;

/// LIMIT: the pause after an accept that failed for a reason of ours, such as too many open files.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(20);

/// LIMIT: how often that is waited for while an operator waits too.
const EXHAUSTED_PAUSES_MAX: usize = 50;

/// Accepts the connections that come in at a door, until it is aborted.
pub(crate) async fn accept(worker: Arc<Worker>, listener: Arc<AsyncFd<OwnedFd>>, door: Door) {
    loop {
        let Ok(mut ready) = listener.readable().await else {
            return;
        };
        match take(&worker, listener.get_ref(), door) {
            Taken::All => ready.clear_ready(),
            Taken::Batch => {}
            Taken::Exhausted => tokio::time::sleep(EXHAUSTED_PAUSE).await,
        }
        tokio::task::yield_now().await;
    }
}

/// Accepts every connection that waits at a door by now. Returns false if it cannot.
pub(crate) async fn accept_waiting(worker: &Arc<Worker>, listener: &OwnedFd, door: Door) -> bool {
    let mut pauses_left = EXHAUSTED_PAUSES_MAX;
    // The kernel holds one more than it is told to.
    let mut batches_left = BACKLOG.unsigned_abs() as usize / ACCEPT_BATCH + 1;
    while batches_left > 0 && pauses_left > 0 {
        match take(worker, listener, door) {
            Taken::All => return true,
            Taken::Batch => batches_left -= 1,
            Taken::Exhausted => {
                pauses_left -= 1;
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
        tokio::task::yield_now().await;
    }
    batches_left == 0
}

/// What became of a try to accept.
enum Taken {
    /// All connections that waited.
    All,
    /// As many as one go takes.
    Batch,
    /// The process, or the system, has no room for another one.
    Exhausted,
}

/// Accepts connections in one go.
fn take(worker: &Arc<Worker>, listener: &OwnedFd, door: Door) -> Taken {
    const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);
    for _ in 0..ACCEPT_BATCH {
        match acceptfrom_with(listener, FLAGS) {
            Ok((stream, address)) => {
                let address = address.and_then(|address| SocketAddr::try_from(address).ok());
                // Only sockets of other families have peers without an address.
                if let Some(address) = address {
                    worker.serve(stream, door, address.ip());
                }
            }
            Err(Errno::WOULDBLOCK) => return Taken::All,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                worker.counters.hit(Limit::FileDescriptors);
                return Taken::Exhausted;
            }
            // The peer, or the way to it, was gone before it was accepted.
            Err(
                Errno::CONNABORTED
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::INTR
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::NONET
                | Errno::NOPROTOOPT
                | Errno::OPNOTSUPP
                | Errno::PERM
                | Errno::PROTO,
            ) => {}
            Err(_) => return Taken::Exhausted,
        }
    }
    Taken::Batch
}
