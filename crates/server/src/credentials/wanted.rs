//! Which sets of credentials are wanted: by the roles that are there, and by the instances that have
//! them. Pure: it follows snapshots, and looks at what has changed only.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::{CredentialSource, HttpTokens, Iam, IamKey, Instance, InstanceId, Role, RoleDelivery};
use store::Snapshot;

use super::{Session, is_same};

/// What has become different.
#[derive(Debug)]
pub(super) enum Step {
    /// A role is there, or has another source: then all its sets are old.
    PutRole(Arc<Role>),
    /// A role is gone.
    RemoveRole(IamKey),
    /// A set is wanted.
    Want(IamKey, Session),
    /// A set is no longer wanted.
    Unwant(IamKey, Session),
}

/// What is wanted, as far as it was looked.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// The roles whose credentials are fetched.
    roles: BTreeMap<IamKey, Arc<Role>>,
    /// The instances whose own credentials are, the role of each, and whether it is read without a
    /// token too.
    instances: HashMap<InstanceId, (IamKey, bool)>,
}

/// Finds the role that an instance has.
fn role_of<'s>(snapshot: &'s Snapshot, instance: &Instance) -> Option<&'s Arc<Role>> {
    snapshot.role(instance.account_id, instance.instance_profile.as_ref()?.role.as_ref()?)
}

/// Whether each instance has sets of its own.
fn is_of_instances(role: &Role) -> bool {
    matches!(role.credentials, CredentialSource::Sts(_))
}

fn is_fetched(role: &Role) -> bool {
    is_of_instances(role) || matches!(role.credentials, CredentialSource::Process { .. })
}

impl Wanted {
    /// Looks at all roles. Returns whether all instances have to be looked at too.
    pub(super) fn look_at_roles(&mut self, snapshot: &Snapshot, steps: &mut Vec<Step>) -> bool {
        let roles = snapshot.iam().filter_map(|(kept, _)| match kept {
            Iam::Role(role) => Some(role).filter(|role| is_fetched(role)),
            Iam::Group(_) | Iam::InstanceProfile(_) | Iam::Policy(_) | Iam::User(_) => None,
        });
        let found: BTreeMap<_, _> = roles.map(|role| (role.key(), Arc::clone(role))).collect();
        let before = std::mem::take(&mut self.roles);
        for (name, old) in &before {
            let stays = |new: &Arc<Role>| is_of_instances(new) == is_of_instances(old);
            if !found.get(name).is_some_and(stays) {
                self.instances.retain(|_, (role, _)| role != name);
                steps.push(Step::RemoveRole(name.clone()));
            }
        }
        let mut has_new = false;
        for (name, new) in &found {
            let old = before.get(name);
            if old.is_some_and(|old| is_same(old, new)) {
                continue;
            }
            steps.push(Step::PutRole(Arc::clone(new)));
            if is_of_instances(new) {
                has_new |= !old.is_some_and(|old| is_of_instances(old));
            } else {
                steps.push(Step::Want(name.clone(), None));
            }
        }
        self.roles = found;
        has_new
    }

    /// Looks at an instance.
    pub(super) fn look_at(&mut self, snapshot: &Snapshot, id: InstanceId, steps: &mut Vec<Step>) {
        let found = snapshot.instance(id).and_then(|instance| self.wanted_by(snapshot, instance));
        let before = self.instances.get(&id);
        if before.map(|(role, tokenless)| (role, *tokenless))
            == found.as_ref().map(|(role, tokenless)| (role, *tokenless))
        {
            return;
        }
        let before = self.instances.remove(&id);
        let is_among = |sets: &Option<(IamKey, bool)>, name: &IamKey, delivery| {
            sets.as_ref().is_some_and(|(role, tokenless)| {
                role == name && (*tokenless || delivery == RoleDelivery::V2)
            })
        };
        for delivery in RoleDelivery::ALL.iter().copied() {
            let session = Some((id, delivery));
            if let Some((name, _)) = before.as_ref().filter(|(name, _)| {
                is_among(&before, name, delivery) && !is_among(&found, name, delivery)
            }) {
                steps.push(Step::Unwant(name.clone(), session));
            }
            if let Some((name, _)) = found.as_ref().filter(|(name, _)| {
                is_among(&found, name, delivery) && !is_among(&before, name, delivery)
            }) {
                steps.push(Step::Want(name.clone(), session));
            }
        }
        if let Some(found) = found {
            self.instances.insert(id, found);
        }
    }

    /// Looks at all instances.
    pub(super) fn look_at_all(&mut self, snapshot: &Snapshot, steps: &mut Vec<Step>) {
        let gone = |id: &InstanceId| snapshot.instance(*id).is_none();
        let gone: Vec<_> = self.instances.keys().copied().filter(gone).collect();
        for id in gone {
            self.look_at(snapshot, id, steps);
        }
        // A fleet whose roles are all built in costs nothing.
        if self.roles.values().any(|role| is_of_instances(role)) {
            for (id, _) in snapshot.instances_by_id() {
                self.look_at(snapshot, id, steps);
            }
        }
    }

    /// Returns the role whose credentials an instance reads, if they are its own, and whether it does
    /// so without a token too.
    fn wanted_by(&self, snapshot: &Snapshot, instance: &Instance) -> Option<(IamKey, bool)> {
        let role = role_of(snapshot, instance).filter(|role| is_of_instances(role))?;
        // What is not known of a role yet is looked at when it is.
        let known = self.roles.get(&role.key()).filter(|known| is_of_instances(known));
        let tokenless = instance.options.http_tokens == HttpTokens::Optional;
        known.filter(|_| instance.state.may_ask()).map(|known| (known.key(), tokenless))
    }
}

#[cfg(test)]
mod tests;
