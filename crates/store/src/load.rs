//! Reading everything that a backend keeps.
//!
//! ```text
//!  caller                 a thread per core                one thread
//!  Backend::load ──batch──▶ check, parse, share ──changes──▶ Snapshot::apply
//! ```
//!
//! Few batches are under way at once: a fleet is never there as bytes and as instances. What stays
//! is made by threads of its own, since allocators keep the memory of threads apart: among what the
//! caller has read and will free, it would hold on to pages that are nearly empty.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use model::{Common, Generation};

use crate::backend::{Backend, Record};
use crate::{Change, OpenFault, Snapshot, record};

/// LIMIT: batches that wait between two threads.
const BATCHES_WAITING: usize = 4;

/// Reads the snapshot that a backend keeps, on all cores: with a large fleet, a start is mostly
/// this.
pub(crate) fn snapshot(backend: &dyn Backend) -> Result<Snapshot, OpenFault> {
    thread::scope(|scope| {
        let (batches, read) = sync_channel(BATCHES_WAITING);
        let (changes, decoded) = sync_channel(BATCHES_WAITING);
        let read = Arc::new(Mutex::new(read));
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            let (read, changes) = (Arc::clone(&read), changes.clone());
            scope.spawn(move || decode_batches(&read, &changes));
        }
        // What is left are the ends of those threads: each stops when nobody listens any more.
        drop((read, changes));
        let applied = scope.spawn(move || apply_all(decoded));
        // Nobody listens once something was refused; then what is read is not missed.
        let generation = backend.load(&mut |batch| _ = batches.send(batch));
        drop(batches);
        // A thread that panics is a defect of ours: let it be seen as one.
        let snapshot = applied.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok(snapshot?.at(generation.map_err(OpenFault::Backend)?))
    })
}

fn apply_all(decoded: Receiver<Result<Vec<Change>, OpenFault>>) -> Result<Snapshot, OpenFault> {
    let mut snapshot = Snapshot::empty(Generation::default());
    for changes in decoded {
        for change in changes? {
            snapshot.apply(change)?;
        }
    }
    Ok(snapshot)
}

/// Decodes batch after batch, until there are no more or nobody wants them.
fn decode_batches(
    read: &Mutex<Receiver<Vec<Record>>>,
    changes: &SyncSender<Result<Vec<Change>, OpenFault>>,
) {
    let mut common = Common::default();
    loop {
        // The guard goes at the end of the statement, before the batch is decoded.
        let batch = read.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else {
            return;
        };
        let decoded = batch.iter().map(|record| decode(record, &mut common)).collect();
        if changes.send(decoded).is_err() {
            return;
        }
    }
}

fn decode((key, value): &Record, common: &mut Common) -> Result<Change, OpenFault> {
    record::decode(key, value, common)
        .map_err(|source| OpenFault::Record { key: key.clone(), source })
}
