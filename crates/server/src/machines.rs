//! Starts what has to do with the machines of instances: the thread that has drivers do what is due,
//! and the work that puts right what a crash or a boot left behind.

use std::sync::Arc;
use std::thread::JoinHandle;

use store::Store;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::drivers::{Drivers, PROGRAM_DEADLINE};
use crate::hosts::Hosts;
use crate::lifecycle::{self, Lifecycle, Progress};
use crate::run::{Notice, Notices, Ready, ServerSettings};

/// What has been started.
pub(crate) struct Machines<F> {
    /// How far drivers have come.
    pub(crate) progress: Arc<Progress>,
    pub(crate) thread: JoinHandle<()>,
    /// Ends when every machine is as its instance says.
    pub(crate) in_order: F,
}

/// Starts it, until the sender of `stopped` is dropped.
///
/// # Errors
///
/// What the system says.
pub(crate) fn start(
    settings: &ServerSettings,
    ready: &Ready,
    store: &Arc<Store>,
    clock: &Clock,
    notices: &Notices,
    stopped: watch::Receiver<()>,
) -> std::io::Result<Machines<impl Future<Output = ()> + use<>>> {
    let hosts = Arc::new(Hosts::new(&settings.data_dir));
    let progress = Arc::<Progress>::default();
    let lifecycle = Lifecycle {
        store: Arc::clone(store),
        drivers: Drivers {
            hosts: Arc::clone(&hosts),
            program: settings.machine_program.clone().into(),
            program_deadline: PROGRAM_DEADLINE,
            has_shared_listener: !ready.shared.is_empty(),
        },
        clock: clock.clone(),
        notices: notices.clone(),
        progress: Arc::clone(&progress),
    };
    let recovered = recover(hosts, store, notices, stopped.clone());
    let driven = driven(store, &progress);
    let in_order = async move {
        recovered.await;
        driven.await;
    };
    Ok(Machines { progress, thread: lifecycle::start(lifecycle, stopped)?, in_order })
}

/// Puts machines right, in the background and until the server ends.
fn recover(
    hosts: Arc<Hosts>,
    store: &Arc<Store>,
    notices: &Notices,
    stopped: watch::Receiver<()>,
) -> impl Future<Output = ()> + use<> {
    // Before any is launched, whose machine would not be ours to put right.
    let ids = hosts.known();
    let (store, notices) = (Arc::clone(store), notices.clone());
    let work = tokio::task::spawn_blocking(move || {
        // The sender is dropped to stop.
        let is_over = || stopped.has_changed().is_err();
        let failed = |id, reason| notices.tell(Notice::HostNotRecovered(id, reason));
        hosts.recover(&ids, &store, is_over, failed);
    });
    async move {
        // It fails if the server ends meanwhile.
        let _ = work.await;
    }
}

/// Waits until what was due when the server started is done.
fn driven(store: &Arc<Store>, progress: &Arc<Progress>) -> impl Future<Output = ()> + use<> {
    let (store, progress) = (Arc::clone(store), Arc::clone(progress));
    let due: Vec<_> = store.current().in_transition().map(|instance| instance.id).collect();
    let settles = move || progress.settles(&store, &due);
    async move {
        // It fails if the server ends meanwhile.
        let _ = tokio::task::spawn_blocking(settles).await;
    }
}
