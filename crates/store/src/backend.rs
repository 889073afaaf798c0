//! What a backend promises.

use model::Generation;

/// Keeps records durably.
///
/// INVARIANT: [`commit`](Self::commit) makes all of its writes durable or none of them, whatever
/// happens to the process or the machine meanwhile.
pub trait Backend: Send + Sync {
    /// Reads everything, hands it over a batch at a time, and returns the generation of the last
    /// commit; zero if there was none.
    ///
    /// # Errors
    ///
    /// [`BackendFault`] if any of it cannot be read.
    fn load(&self, take: &mut dyn FnMut(Vec<Record>)) -> Result<Generation, BackendFault>;

    /// Writes, if the generation is still `from`; it is `to` afterwards. Writes are made as they
    /// are asked for, so that those of a large fleet are not all there at once.
    ///
    /// # Errors
    ///
    /// [`BackendFault`]; then nothing was written.
    fn commit(
        &self,
        from: Generation,
        to: Generation,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), BackendFault>;
}

/// Key and value of a record.
pub type Record = (String, Vec<u8>);

/// LIMIT: records in a batch: so few that a fleet is never in memory twice, and so many that
/// handing over is nothing beside reading.
pub const BATCH_RECORDS: usize = 256;

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The record's key.
    pub key: String,
    /// Its new value; none deletes it.
    pub value: Option<Vec<u8>>,
}

/// Why a backend failed.
#[derive(Debug, thiserror::Error)]
pub enum BackendFault {
    /// Another process has the state open.
    #[error("another process has `{path}` open: only one server can use a state directory")]
    Busy {
        /// The file.
        path: String,
    },
    /// The generation is not the one that the change was planned against.
    #[error("the state was changed by someone else (generation {found}, expected {expected})")]
    Conflict {
        /// The generation that the change was planned against.
        expected: Generation,
        /// The one in force.
        found: Generation,
    },
    /// The file is damaged, or no database.
    #[error(
        "`{path}` is damaged or no state of ours ({reason}): restore it from a backup, or move it \
         away to start afresh (tokens and keys are then new)"
    )]
    Damaged {
        /// The file.
        path: String,
        /// What the database says.
        reason: String,
    },
    /// Written by a newer version of this program.
    #[error("`{path}` has format {found}, and this program knows format {known}: use a newer one")]
    NewerFormat {
        /// The file.
        path: String,
        /// The format it has.
        found: u64,
        /// The newest format known.
        known: u64,
    },
    /// The disk or the permissions do not allow it.
    #[error("`{path}` cannot be read or written ({reason}): check permissions and free space")]
    Unusable {
        /// The file.
        path: String,
        /// What the system says.
        reason: String,
    },
}
