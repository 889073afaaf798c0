//! What is durable, and the snapshot that both planes read.
//!
//! **What is this?** One store with a small contract: read a consistent [`Snapshot`], transact
//! against the generation it has, watch for the next. Behind it a [`Backend`]: memory for tests,
//! redb embedded in the server.
//!
//! **What does it never do?** It decides nothing. What may change, and to what, is planned in
//! `control`; the store keeps it, all of it or none, and publishes it.
//!
//! **What is the picture?**
//!
//! ```text
//!  management plane                                        data plane
//!  transact(plan) ──▶ plan(&Snapshot) ──▶ Vec<Change>          │ current()
//!                          │ checked, encoded                  │ one atomic load,
//!                          ▼                                   │ no lock, no wait
//!                     Backend::commit ──▶ durable              ▼
//!                          │                              Arc<Snapshot>
//!                          └────── publish ──────────────────▶ ▲
//! ```
//!
//! A change is first durable, then visible, then acknowledged. A snapshot is a persistent map: one
//! change among a million instances copies a path of the tree and not the fleet.
//!
//! **Where do I start reading?** [`Store::transact`].

mod backend;
mod iam;
mod keys;
mod load;
mod memory;
mod organization;
mod record;
mod redb;
mod resources;
mod snapshot;
mod touched;

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};
use model::{
    Common, ControlPolicy, Generation, Iam, IamKey, Instance, InstanceId, InstanceRefusal,
    Organization, PolicyId, Resource, ResourceKey, Scope,
};
use tokio::sync::{broadcast, watch};

pub use backend::{BATCH_RECORDS, Backend, BackendFault, Record, Write};
pub use metadata::IssuerKey;

pub use keys::{Administrator, IdentityKeyRecord, RingKey, TokenKeyRing};
pub use memory::Memory;
pub use redb::Redb;
pub use snapshot::{AttachmentTaken, Origin, Snapshot};
pub use touched::Touched;

/// The store: the snapshot in force, and the way to change it.
pub struct Store {
    backend: Box<dyn Backend>,
    current: ArcSwap<Snapshot>,
    /// Held while a change is planned and committed: changes come one after the other. What new
    /// instances have in common with the last ones is found in it.
    writing: Mutex<Common>,
    generation: watch::Sender<Generation>,
    feed: touched::Feed,
}

/// One change to what is stored.
#[derive(Clone, Debug)]
pub enum Change {
    /// Forgets a policy of the organization.
    DeleteControlPolicy(PolicyId),
    /// Forgets what IAM keeps.
    DeleteIam(IamKey),
    /// Forgets an instance.
    DeleteInstance(InstanceId),
    /// Forgets the organization.
    DeleteOrganization,
    /// Forgets what an account has in a region.
    DeleteResource(Scope, ResourceKey),
    /// Keeps the administrator.
    PutAdministrator(Administrator),
    /// Keeps a policy of the organization, in place of the one with its id.
    PutControlPolicy(Arc<ControlPolicy>, Origin),
    /// Keeps a group, an instance profile, a policy, a role or a user, in place of the one with its
    /// key.
    PutIam(Iam, Origin),
    /// Keeps the keys that sign identity documents.
    PutIdentityKeys(IdentityKeyRecord),
    /// Keeps an instance, in place of the one with its id.
    PutInstance(Arc<Instance>, Origin),
    /// Keeps the key of the built-in credential source.
    PutIssuerKey(metadata::IssuerKey),
    /// Keeps the organization, in place of the one there is.
    PutOrganization(Arc<Organization>, Origin),
    /// Keeps what an account has in a region, in place of what has the same key.
    PutResource(Scope, Arc<Resource>),
    /// Keeps the keys of session tokens.
    PutTokenKeys(Arc<TokenKeyRing>),
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// The backend could not be read.
    #[error("the state cannot be read")]
    Backend(#[source] BackendFault),
    /// Two records claim one attachment, which no change of ours leaves behind.
    #[error("the state holds two instances with one attachment: restore it from a backup")]
    Attachment(#[from] AttachmentTaken),
    /// A record is damaged, or written by a newer version.
    #[error("the record `{key}` of the state cannot be used")]
    Record {
        /// The record's key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: record::RecordFault,
    },
}

/// Why a transaction did not happen. Nothing of it did.
#[derive(Debug, thiserror::Error)]
pub enum TransactFault<E: std::error::Error + 'static> {
    /// The plan gives two instances one attachment.
    #[error(transparent)]
    Attachment(AttachmentTaken),
    /// The state could not be written.
    #[error("the change could not be stored")]
    Backend(#[source] BackendFault),
    /// The plan leaves an instance whose fields do not go together.
    #[error(transparent)]
    Instance(InstanceRefusal),
    /// The plan refused.
    #[error(transparent)]
    Plan(E),
}

impl Store {
    /// Opens the store that `backend` keeps.
    ///
    /// # Errors
    ///
    /// [`OpenFault`] if anything in it cannot be read and understood: a store is opened whole or
    /// not at all.
    pub fn open(backend: Box<dyn Backend>) -> Result<Self, OpenFault> {
        let snapshot = load::snapshot(&*backend)?;
        let (generation, _) = watch::channel(snapshot.generation());
        Ok(Self {
            backend,
            current: ArcSwap::from_pointee(snapshot),
            writing: Mutex::default(),
            generation,
            feed: touched::Feed::default(),
        })
    }

    /// Returns the snapshot in force. Never waits.
    pub fn current(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// Returns the snapshot in force, to be kept.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Returns a receiver that is told each generation after it is in force.
    pub fn watch(&self) -> watch::Receiver<Generation> {
        self.generation.subscribe()
    }

    /// Returns a receiver that is told what each transaction changes, after it is in force. To miss
    /// nothing, call this first and then look at the snapshot.
    pub fn follow(&self) -> broadcast::Receiver<Arc<Touched>> {
        self.feed.follow()
    }

    /// Plans changes against the snapshot in force and makes them, all or none. When this
    /// returns, they are durable and in force.
    ///
    /// # Errors
    ///
    /// [`TransactFault`]; then nothing has changed.
    pub fn transact<T, E: std::error::Error>(
        &self,
        plan: impl FnOnce(&Snapshot) -> Result<(Vec<Change>, T), E>,
    ) -> Result<T, TransactFault<E>> {
        // The guarded value decides nothing, so a panic of another writer has damaged nothing.
        let mut common = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.snapshot();
        let (mut changes, outcome) = plan(&before).map_err(TransactFault::Plan)?;
        if changes.is_empty() {
            return Ok(outcome);
        }
        for change in &mut changes {
            if let Change::PutInstance(instance, _) = change {
                instance.check().map_err(TransactFault::Instance)?;
                Arc::make_mut(instance).share(&mut common);
            }
        }
        let mut after = before.successor();
        after.apply_all(&changes).map_err(TransactFault::Attachment)?;
        self.backend
            .commit(
                before.generation(),
                after.generation(),
                &mut changes.iter().map(record::encode),
            )
            .map_err(TransactFault::Backend)?;
        let generation = after.generation();
        self.current.store(Arc::new(after));
        self.feed.tell(&changes);
        self.generation.send_replace(generation);
        Ok(outcome)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store(generation {})", self.current().generation())
    }
}

#[cfg(test)]
mod suite;
