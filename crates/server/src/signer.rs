//! The thread that signs identity documents, so that no worker spends the milliseconds it takes.
//!
//! It also makes the keys at the first start, in the background: a server is ready before they are.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use getrandom::SysRng;
use metadata::Signatures;
use model::{InstanceId, Secret};
use rsa::rand_core::UnwrapErr;
use store::{Change, IdentityKeyRecord, Snapshot, Store, TransactFault};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::identity::{IdentityKeys, KeyFault};
use crate::service::Service;

/// LIMIT: documents waiting. The thread signs some hundreds a second, and each instance needs it
/// once.
const QUEUE_MAX: usize = 256;

/// Has documents signed.
#[derive(Clone, Debug)]
pub(crate) struct Signer {
    jobs: SyncSender<Job>,
    keys: Arc<OnceLock<IdentityKeys>>,
}

/// How long after keys could not be made it is tried again.
const KEYS_RETRY: Duration = Duration::from_secs(15);

#[derive(Debug)]
struct Job {
    instance: InstanceId,
    document: String,
    signed: oneshot::Sender<Arc<Signatures>>,
}

impl Job {
    /// Signs, unless another connection has had it signed meanwhile. A failure drops the sender,
    /// which is the answer.
    fn finish(self, keys: &IdentityKeys, service: &Service, clock: &Clock) {
        let Self { instance, document, signed } = self;
        let kept = service.signatures().find(instance, &document);
        let sign = || keys.sign(document.as_bytes(), clock.now().wall.as_seconds());
        if let Some(signatures) = kept.or_else(|| sign().ok().map(Arc::new)) {
            service.signatures().keep(instance, document, Arc::clone(&signatures));
            // The connection may be gone; the signatures are kept all the same.
            let _ = signed.send(signatures);
        }
    }
}

/// Why there are no keys to sign with.
#[derive(Debug, thiserror::Error)]
pub enum SignerFault {
    /// The keys in the store cannot be used, or none could be made.
    #[error("the keys for identity documents cannot be used")]
    Keys(#[source] KeyFault),
    /// New keys could not be stored.
    #[error("the keys for identity documents could not be stored: {0}")]
    Unstored(String),
    /// No thread could be started.
    #[error("no thread could be started")]
    Thread(#[source] std::io::Error),
}

impl Signer {
    /// Starts the thread. Keys that the store has are read at once, so that damage stops the start;
    /// missing ones are made in the background, and `report` is told if that fails.
    ///
    /// # Errors
    ///
    /// [`SignerFault`] if the stored keys cannot be used, or the thread cannot be started.
    pub(crate) fn start(
        service: Arc<Service>,
        store: Arc<Store>,
        clock: Clock,
        report: impl Fn(SignerFault) + Send + 'static,
    ) -> Result<Self, SignerFault> {
        let keys = Arc::new(OnceLock::new());
        if let Some(IdentityKeyRecord(record)) = store.current().identity_keys() {
            let stored = IdentityKeys::from_record(record.expose()).map_err(SignerFault::Keys)?;
            let _ = keys.set(stored);
        }
        let (jobs, queue) = sync_channel::<Job>(QUEUE_MAX);
        let shared = Arc::clone(&keys);
        let work = move || {
            while shared.get().is_none() {
                match make_keys(&store, &clock) {
                    Ok(made) => _ = shared.set(made),
                    Err(fault) => {
                        report(fault);
                        // Who asks meanwhile is told to come back.
                        match queue.recv_timeout(KEYS_RETRY) {
                            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                            Err(RecvTimeoutError::Disconnected) => return,
                        }
                    }
                }
            }
            // The database is closed by whoever is last to hold it: not this thread.
            drop(store);
            for job in queue {
                let Some(keys) = shared.get() else { return };
                job.finish(keys, &service, &clock);
            }
        };
        thread::Builder::new()
            .name("imds-signer".to_owned())
            .spawn(work)
            .map_err(SignerFault::Thread)?;
        Ok(Self { jobs, keys })
    }

    /// One that signs nothing, for tests of what needs no signature.
    #[cfg(test)]
    pub(crate) fn without_keys() -> Self {
        let (jobs, _) = sync_channel(QUEUE_MAX);
        Self { jobs, keys: Arc::default() }
    }

    /// Has `document` signed; nothing comes back if the queue is full or signing fails.
    pub(crate) async fn sign(
        &self,
        instance: InstanceId,
        document: String,
    ) -> Option<Arc<Signatures>> {
        let (signed, signatures) = oneshot::channel();
        self.jobs.try_send(Job { instance, document, signed }).ok()?;
        signatures.await.ok()
    }

    /// Returns name and PEM text of each certificate, once the keys are there.
    pub(crate) fn certificates(&self) -> Option<Vec<(String, String)>> {
        let certificates = self.keys.get()?.certificates();
        Some(certificates.map(|(name, pem)| (name.to_owned(), pem.to_owned())).into())
    }
}

fn make_keys(store: &Store, clock: &Clock) -> Result<IdentityKeys, SignerFault> {
    let keys = IdentityKeys::generate(&mut UnwrapErr(SysRng), clock.now().wall.as_seconds())
        .map_err(SignerFault::Keys)?;
    let record = keys.to_record().map_err(SignerFault::Keys)?;
    let record = IdentityKeyRecord(Secret::new(record.to_string()));
    let plan = |_: &Snapshot| -> Result<_, std::convert::Infallible> {
        Ok((vec![Change::PutIdentityKeys(record)], ()))
    };
    store.transact(plan).map_err(|fault: TransactFault<_>| {
        SignerFault::Unstored(control::native::describe_fault(&fault))
    })?;
    Ok(keys)
}
