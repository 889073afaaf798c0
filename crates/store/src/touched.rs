//! What transactions have changed, for those who follow instances without looking at all of them.

use std::sync::Arc;

use model::{IamKind, InstanceId};
use tokio::sync::broadcast;

use crate::Change;

/// LIMIT: transactions that a follower may be behind. One that is behind further is told so, and looks
/// at everything.
const BEHIND_MAX: usize = 256;

/// Which instances and roles a transaction has changed.
#[derive(Debug)]
pub struct Touched {
    /// The instances that were put or deleted.
    pub instances: Vec<InstanceId>,
    /// Whether a role was.
    pub roles: bool,
}

/// Tells followers of transactions, after they are in force.
pub(crate) struct Feed(broadcast::Sender<Arc<Touched>>);

impl Default for Feed {
    fn default() -> Self {
        Self(broadcast::Sender::new(BEHIND_MAX))
    }
}

impl Feed {
    pub(crate) fn follow(&self) -> broadcast::Receiver<Arc<Touched>> {
        self.0.subscribe()
    }

    /// Tells of the changes of one transaction.
    pub(crate) fn tell(&self, changes: &[Change]) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let (mut instances, mut roles) = (Vec::new(), false);
        for change in changes {
            if let Change::DeleteInstance(id) = change {
                instances.push(*id);
            } else if let Change::PutInstance(instance, _) = change {
                instances.push(instance.id);
            } else {
                roles |= is_about_a_role(change);
            }
        }
        if roles || !instances.is_empty() {
            // Whoever followed may have ended meanwhile.
            let _ = self.0.send(Arc::new(Touched { instances, roles }));
        }
    }
}

fn is_about_a_role(change: &Change) -> bool {
    if let Change::DeleteIam(key) = change {
        key.kind == IamKind::Role
    } else if let Change::PutIam(kept, _) = change {
        kept.key().kind == IamKind::Role
    } else {
        false
    }
}
