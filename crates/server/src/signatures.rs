//! Signatures over identity documents: made once, on a thread of their own, and kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use metadata::Signatures;
use model::InstanceId;

/// LIMIT: instances whose signatures are kept, about 3 KiB each. Beyond, an arbitrary one is
/// dropped; it is signed again when it is asked for.
const KEPT_MAX: usize = 10_000;

/// The signatures that have been made, each with the document that it is over.
#[derive(Debug, Default)]
pub struct SignatureCache {
    kept: Mutex<HashMap<InstanceId, (String, Arc<Signatures>)>>,
}

impl SignatureCache {
    /// Finds the signatures over `document`, the identity document of `instance`.
    pub(crate) fn find(&self, instance: InstanceId, document: &str) -> Option<Arc<Signatures>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (signed, signatures) = kept.get(&instance)?;
        (signed == document).then(|| Arc::clone(signatures))
    }

    /// Keeps signatures.
    pub fn keep(&self, instance: InstanceId, document: String, signatures: Arc<Signatures>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let other = kept.keys().next().copied().filter(|_| kept.len() >= KEPT_MAX);
        if let Some(other) = other.filter(|_| !kept.contains_key(&instance)) {
            kept.remove(&other);
        }
        kept.insert(instance, (document, signatures));
    }
}
