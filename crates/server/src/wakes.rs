//! What wakes the thread of the attachments: changes of the store, interfaces and namespaces that come
//! and go, and time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use network::{LinkEvent, LinkWatch, NameEvent, NameWatch};
use store::Store;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::board::Board;
use crate::sys;

/// How often it is looked for what no event tells of: paths that stand for namespaces, and reasons
/// to wait that have gone away.
const LOOK: Duration = Duration::from_secs(1);

/// LIMIT: events that wait; they only say that there is something to look at.
const WAKES_MAX: usize = 1_024;

/// Something that may have changed.
#[derive(Debug)]
pub(crate) enum Wake {
    /// What stands for namespaces, and everything that waits.
    Look,
    Links(Vec<LinkEvent>),
    Names(BTreeSet<String>),
    Store,
}

/// Starts to watch, in tasks of the runtime.
pub(crate) fn watch(store: &Store, board: &Arc<Board>) -> mpsc::Receiver<Wake> {
    let (sender, wakes) = mpsc::channel(WAKES_MAX);
    watch_store(store, sender.clone());
    watch_links(sender.clone());
    watch_names(sender.clone());
    let board = Arc::clone(board);
    tokio::spawn(async move {
        while sender.send(Wake::Look).await.is_ok() {
            let _ = tokio::time::timeout(LOOK, board.asked()).await;
        }
    });
    wakes
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
