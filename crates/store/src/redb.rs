//! The embedded store: one redb file.
//!
//! Two tables. `records` has a row for each record; `meta` has `format` and `generation`. A commit
//! is one redb transaction with immediate durability, generation included. redb locks the file, so
//! that a second process is refused.

use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ::redb::{Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use model::Generation;

use crate::backend::{BATCH_RECORDS, Backend, BackendFault, Record, Write};
use crate::record;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const RECORDS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("records");

/// The format of the records (docs/reference/state.md). A new one needs code here that reads the
/// old.
pub(crate) const FORMAT: u64 = 3;

/// The account that every role was of in formats 1 and 2.
const FIRST_ACCOUNT: &str = "123456789012";

/// LIMIT: what redb keeps of the file in memory: the path to a record or two. Everything is read
/// once, and changes are few; what they need, the system has at hand.
const CACHE_BYTES: usize = 64 * 1024;

/// Keeps records in a file.
pub struct Redb {
    path: PathBuf,
    database: Database,
}

impl Redb {
    /// Opens the file at `path`, and makes it, readable by its owner only, if there is none.
    ///
    /// # Errors
    ///
    /// [`BackendFault`] if another process has it, or it cannot be used.
    pub fn open(path: &Path) -> Result<Self, BackendFault> {
        let unusable = |fault: std::io::Error| BackendFault::Unusable {
            path: path.display().to_string(),
            reason: fault.to_string(),
        };
        if !path.exists() {
            create(path)?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(unusable)?;
        let this = Self::open_file(path)?;
        this.check_format()?;
        Ok(this)
    }

    fn open_file(path: &Path) -> Result<Self, BackendFault> {
        let database = guarded(path, || {
            // The snapshot is the cache.
            Database::builder().set_cache_size(CACHE_BYTES).create(path).map_err(|fault| {
                if matches!(fault, DatabaseError::DatabaseAlreadyOpen) {
                    BackendFault::Busy { path: path.display().to_string() }
                } else {
                    damaged(path, &fault)
                }
            })
        })?;
        Ok(Self { path: path.to_owned(), database })
    }

    fn check_format(&self) -> Result<(), BackendFault> {
        guarded(&self.path, || {
            let write = self.database.begin_write().map_err(|fault| damaged(&self.path, &fault))?;
            let found = {
                let mut meta =
                    write.open_table(META).map_err(|fault| damaged(&self.path, &fault))?;
                let mut records =
                    write.open_table(RECORDS).map_err(|fault| damaged(&self.path, &fault))?;
                let found = meta
                    .get("format")
                    .map_err(|fault| damaged(&self.path, &fault))?
                    .map(|format| format.value());
                if found.is_none_or(|found| found < FORMAT) {
                    name_accounts_of_roles(&mut records)
                        .map_err(|fault| damaged(&self.path, &fault))?;
                    meta.insert("format", FORMAT).map_err(|fault| damaged(&self.path, &fault))?;
                }
                found.unwrap_or(FORMAT)
            };
            if found > FORMAT {
                let path = self.path.display().to_string();
                return Err(BackendFault::NewerFormat { path, found, known: FORMAT });
            }
            write.commit().map_err(|fault| damaged(&self.path, &fault))
        })
    }

    fn read(&self, take: &mut dyn FnMut(Vec<Record>)) -> Result<Generation, ::redb::Error> {
        let read = self.database.begin_read()?;
        let generation = read.open_table(META)?.get("generation")?.map_or(0, |row| row.value());
        let mut batch = Vec::new();
        for row in read.open_table(RECORDS)?.iter()? {
            let (key, value) = row?;
            batch.push((key.value().to_owned(), value.value().to_vec()));
            if batch.len() == BATCH_RECORDS {
                take(std::mem::take(&mut batch));
            }
        }
        take(batch);
        Ok(Generation::from_number(generation))
    }

    /// Returns the generation found if it is not `from`; then nothing was written.
    fn write(
        &self,
        from: Generation,
        to: Generation,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<Result<(), Generation>, ::redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut meta = transaction.open_table(META)?;
            let found = meta.get("generation")?.map_or(0, |row| row.value());
            if found != from.as_number() {
                return Ok(Err(Generation::from_number(found)));
            }
            meta.insert("generation", to.as_number())?;
            let mut records = transaction.open_table(RECORDS)?;
            for Write { key, value } in writes {
                match value {
                    Some(value) => records.insert(key.as_str(), value.as_slice())?,
                    None => records.remove(key.as_str())?,
                };
            }
        }
        transaction.commit()?;
        Ok(Ok(()))
    }
}

impl Backend for Redb {
    fn load(&self, take: &mut dyn FnMut(Vec<Record>)) -> Result<Generation, BackendFault> {
        guarded(&self.path, || self.read(take).map_err(|fault| damaged(&self.path, &fault)))
    }

    fn commit(
        &self,
        from: Generation,
        to: Generation,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), BackendFault> {
        let written = guarded(&self.path, || {
            self.write(from, to, writes).map_err(|fault| BackendFault::Unusable {
                path: self.path.display().to_string(),
                reason: fault.to_string(),
            })
        })?;
        written.map_err(|found| BackendFault::Conflict { expected: from, found })
    }
}

impl std::fmt::Debug for Redb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redb({})", self.path.display())
    }
}

/// Brings records of an older format up to date. Formats 1 and 2 have fewer kinds of records, and
/// those that they have are the same, but for the names of roles: they were all of one account.
fn name_accounts_of_roles(
    records: &mut ::redb::Table<'_, &'static str, &'static [u8]>,
) -> Result<(), ::redb::StorageError> {
    let mut old = Vec::new();
    for row in records.range("role/".."role0")? {
        let (key, value) = row?;
        if let [_, name] = key.value().split('/').collect::<Vec<_>>()[..] {
            old.push((name.to_owned(), value.value().to_vec()));
        }
    }
    for (name, value) in old {
        let write =
            record::moved(&format!("role/{name}"), &format!("role/{FIRST_ACCOUNT}/{name}"), &value);
        records.remove(format!("role/{name}").as_str())?;
        records.insert(write.key.as_str(), write.value.unwrap_or_default().as_slice())?;
    }
    Ok(())
}

/// redb panics on some kinds of damage; a damaged file is no reason to lose more than the call.
fn guarded<T>(
    path: &Path,
    action: impl FnOnce() -> Result<T, BackendFault>,
) -> Result<T, BackendFault> {
    catch_unwind(AssertUnwindSafe(action))
        .unwrap_or_else(|_| Err(damaged(path, &"it is inconsistent")))
}

fn damaged(path: &Path, reason: &dyn std::fmt::Display) -> BackendFault {
    BackendFault::Damaged { path: path.display().to_string(), reason: reason.to_string() }
}

/// Makes a database. It gets its name when it is complete and on the disk, so that a crash on the
/// way leaves nothing that a later start would stumble over.
fn create(path: &Path) -> Result<(), BackendFault> {
    let unusable = |fault: std::io::Error| BackendFault::Unusable {
        path: path.display().to_string(),
        reason: fault.to_string(),
    };
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => return Err(unusable(fault)),
        Ok(()) | Err(_) => {}
    }
    // It holds keys: nobody but its owner may look at it, not even for a moment.
    fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new).map_err(unusable)?;
    Redb::open_file(&new)?.check_format()?;
    fs::rename(&new, path).map_err(unusable)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    fs::File::open(directory.unwrap_or(Path::new("."))).and_then(|d| d.sync_all()).map_err(unusable)
}
