//! A store that ends with the process, for tests and throw-away servers.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use model::Generation;

use crate::backend::{Backend, BackendFault, Record, Write};

/// Keeps records in memory.
#[derive(Debug, Default)]
pub struct Memory {
    kept: Mutex<(Generation, BTreeMap<String, Vec<u8>>)>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, (Generation, BTreeMap<String, Vec<u8>>)> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Memory {
    fn load(&self, take: &mut dyn FnMut(Vec<Record>)) -> Result<Generation, BackendFault> {
        let (generation, records) = &*self.lock();
        take(records.iter().map(|(key, value)| (key.clone(), value.clone())).collect());
        Ok(*generation)
    }

    fn commit(
        &self,
        from: Generation,
        to: Generation,
        writes: &mut dyn Iterator<Item = Write>,
    ) -> Result<(), BackendFault> {
        let (generation, records) = &mut *self.lock();
        if *generation != from {
            return Err(BackendFault::Conflict { expected: from, found: *generation });
        }
        for Write { key, value } in writes {
            match value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
        *generation = to;
        Ok(())
    }
}
