//! Whether the server still serves, for a service manager that starts anew what does not.
//!
//! That the process lives says little: a worker that is stuck still has its sockets, and the kernel
//! goes on accepting connections that nobody will answer. So every thread that guests depend on is
//! asked, and the service manager hears something only once all have answered.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::attachments::Board;
use crate::run::{Notice, Notices};
use crate::workers::Pulse;

/// How often it is looked within the time that the service manager gives: one look may come late,
/// and what is stuck is told while there is someone to tell it.
const LOOKS: u32 = 3;

/// Says that the server serves, at least every `limit`, for as long as that is so.
///
/// A thread that does not answer is told once. Should it answer after all, all is well again.
pub(crate) async fn watch(limit: Duration, pulse: Pulse, board: Arc<Board>, notices: Notices) {
    let pace = limit / LOOKS;
    let mut told = None;
    loop {
        sleep(pace).await;
        let stuck = stuck_thread(&pulse, &board, Instant::now() + pace).await;
        match &stuck {
            None => notices.serving().await,
            Some(thread) if told.as_ref() != Some(thread) => {
                notices.tell(Notice::ThreadStuck(thread.clone()));
            }
            Some(_) => {}
        }
        told = stuck;
    }
}

/// Returns the name of a thread that has not answered by `deadline`.
async fn stuck_thread(pulse: &Pulse, board: &Board, deadline: Instant) -> Option<String> {
    if let Err(number) = pulse.feel(deadline).await {
        return Some(format!("imds-worker-{number}"));
    }
    // After the workers, which it may be waiting for.
    let stepped = timeout_at(deadline, board.step()).await;
    stepped.is_err().then(|| "imds-attachments".to_owned())
}
