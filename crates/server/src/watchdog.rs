//! Whether the server still serves, for a service manager that starts anew what does not.
//!
//! That the process lives says little: a worker that is stuck still has its sockets, and the kernel
//! goes on accepting connections that nobody will answer. So every thread that guests depend on is
//! asked, and the service manager hears something only once all have answered.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use crate::board::Board;
use crate::run::{Notice, Notices};
use crate::workers::Pulse;

/// How often it is looked within the time that the service manager gives: one look may come late,
/// and what is stuck is told while there is someone to tell it.
const LOOKS: u32 = 3;

/// Starts to say, at least every `limit`, that the server serves, for as long as that is so; not at
/// all if nobody wants to hear it.
///
/// A thread that does not answer is told once. Should it answer after all, all is well again.
pub(crate) fn start(limit: Option<Duration>, pulse: Pulse, board: &Arc<Board>, notices: &Notices) {
    if let Some(limit) = limit {
        tokio::spawn(watch(limit, pulse, Arc::clone(board), notices.clone()));
    }
}

async fn watch(limit: Duration, pulse: Pulse, board: Arc<Board>, notices: Notices) {
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Mutex, PoisonError};
    use std::task::{Context, Wake, Waker};
    use std::thread::JoinHandle;

    use model::InstanceId;
    use store::{Memory, Store};
    use tokio::sync::{mpsc, watch};
    use tokio::time::timeout;

    use super::*;
    use crate::admission::Admission;
    use crate::attachments::{self, Attachments};
    use crate::clock::Clock;
    use crate::delivery::Reporter;
    use crate::driver::{DoorNumber, Worker};
    use crate::run::Event;
    use crate::signer::Signer;
    use crate::workers::Workers;

    /// A thread has a third of it to answer, which it has on a busy machine too.
    const LIMIT: Duration = Duration::from_millis(1_500);

    /// How long the whole may take.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// The threads of a server that guests depend on.
    struct Threads {
        workers: Workers,
        board: Arc<Board>,
        events: mpsc::Receiver<Event>,
        stop: watch::Sender<()>,
        running: Vec<JoinHandle<()>>,
    }

    impl Threads {
        fn start() -> Self {
            let (sender, events) = mpsc::channel(64);
            let notices = Notices(sender);
            let store = Arc::new(Store::open(Box::new(Memory::default())).unwrap());
            let admission = Arc::new(Admission::new(1, 1));
            let (clock, counters) = (Clock::start(), Arc::default());
            let worker = || Worker {
                service: Arc::default(),
                store: Arc::clone(&store),
                clock: clock.clone(),
                counters: Arc::clone(&counters),
                admission: Arc::clone(&admission),
                signer: Signer::without_keys(),
                notices: notices.clone(),
                reporter: Reporter::new(&clock, &counters, &Arc::default(), &notices),
                explained: Arc::default(),
            };
            let workers = vec![worker(), worker()];
            let (workers, mut running) =
                Workers::start(workers, Arc::clone(&admission), &notices).unwrap();
            let board = Arc::<Board>::default();
            let own = (Arc::clone(&store), workers.clone(), Arc::clone(&board));
            let kept = Attachments::new(own.0, own.1, own.2, notices.clone(), false);
            let (stop, stopped) = watch::channel(());
            running.push(attachments::start(kept, stopped).unwrap());
            super::start(Some(LIMIT), workers.pulse(), &board, &notices);
            Self { workers, board, events, stop, running }
        }

        /// Waits until it is said that they serve.
        async fn serve(&mut self) {
            self.hear(|event| matches!(event, Event::Serving)).await;
        }

        async fn hear(&mut self, is_meant: impl Fn(&Event) -> bool) {
            let hear = async {
                while let Some(event) = self.events.recv().await {
                    if is_meant(&event) {
                        return;
                    }
                }
                panic!("nobody speaks any more");
            };
            timeout(PATIENCE, hear).await.expect("it is said");
        }

        /// Waits until a thread is said to be stuck; then nothing is said any more.
        async fn are_stuck(&mut self, name: &str) {
            let is_named = |told: &String| told.starts_with(name);
            self.hear(
                |event| matches!(event, Event::Notice(Notice::ThreadStuck(told)) if is_named(told)),
            )
            .await;
            let more = timeout(2 * LIMIT, self.events.recv()).await;
            assert!(more.is_err(), "{more:?}");
        }

        fn end(self) {
            let Self { workers, stop, running, .. } = self;
            drop((workers, stop));
            for thread in running {
                thread.join().unwrap();
            }
        }
    }

    /// Blocks the thread that wakes it, until it is released.
    struct Trap {
        caught: Mutex<Sender<()>>,
        released: Mutex<Receiver<()>>,
    }

    impl Wake for Trap {
        fn wake(self: Arc<Self>) {
            self.caught.lock().unwrap_or_else(PoisonError::into_inner).send(()).unwrap();
            // The sender is dropped to release.
            let _ = self.released.lock().unwrap_or_else(PoisonError::into_inner).recv();
        }
    }

    /// Blocks a thread that completes a future of this kind, for as long as what comes back is kept.
    fn trap<F: Future<Output = ()>>(future: impl Fn() -> F) -> Sender<()> {
        let (caught, is_caught) = channel();
        let (release, released) = channel();
        let trap = Trap { caught: Mutex::new(caught), released: Mutex::new(released) };
        let waker = Waker::from(Arc::new(trap));
        let mut context = Context::from_waker(&waker);
        loop {
            let mut future = std::pin::pin!(future());
            // One that is complete before it is waited for wakes nobody.
            if future.as_mut().poll(&mut context).is_pending() {
                is_caught.recv_timeout(PATIENCE).expect("a thread is caught");
                return release;
            }
        }
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn while_every_thread_answers_it_is_said_at_the_pace_that_was_asked_for() {
        run(async {
            let mut threads = Threads::start();
            let start = Instant::now();
            for _ in 0..4 {
                threads.serve().await;
            }
            // One for each look, and no more.
            assert!(start.elapsed() >= 4 * LIMIT / LOOKS, "{:?}", start.elapsed());
            threads.end();
        });
    }

    #[test]
    fn while_a_worker_is_stuck_nothing_is_said() {
        run(async {
            let mut threads = Threads::start();
            threads.serve().await;
            let nobody = InstanceId::from_number(1);
            let release = trap(|| threads.workers.close(nobody, DoorNumber::new(1)));
            threads.are_stuck("imds-worker-").await;
            drop(release);
            threads.serve().await;
            threads.end();
        });
    }

    #[test]
    fn while_the_thread_of_the_attachments_is_stuck_nothing_is_said() {
        run(async {
            let mut threads = Threads::start();
            threads.serve().await;
            let board = Arc::clone(&threads.board);
            let release = trap(|| board.step());
            threads.are_stuck("imds-attachments").await;
            drop(release);
            threads.serve().await;
            threads.end();
        });
    }
}
