//! Everything that both planes read, of one generation.

use std::sync::Arc;

use metadata::{IssuerKey, TokenKeys};
use model::{Generation, Instance, InstanceId, Role, RoleName};
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

use crate::Change;
use crate::keys::{Administrator, IdentityKeyRecord, TokenKeyRing};

/// Where a thing was described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Through the management plane, or made at the first start.
    Api,
    /// In the config file: it goes when the file no longer names it.
    Config,
}

/// Everything that both planes read, of one generation. It never changes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    generation: Generation,
    instances: HashTrieMapSync<InstanceId, (Arc<Instance>, Origin)>,
    roles: RedBlackTreeMapSync<RoleName, (Arc<Role>, Origin)>,
    token_keys: Option<(Arc<TokenKeys>, Arc<TokenKeyRing>)>,
    issuer_key: Option<IssuerKey>,
    administrator: Option<Administrator>,
    identity_keys: Option<IdentityKeyRecord>,
}

impl Snapshot {
    pub(crate) fn empty(generation: Generation) -> Self {
        Self {
            generation,
            instances: HashTrieMapSync::new_sync(),
            roles: RedBlackTreeMapSync::new_sync(),
            token_keys: None,
            issuer_key: None,
            administrator: None,
            identity_keys: None,
        }
    }

    /// The same, one generation on.
    pub(crate) fn successor(&self) -> Self {
        Self { generation: self.generation.next(), ..self.clone() }
    }

    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::DeleteInstance(id) => {
                self.instances.remove_mut(&id);
            }
            Change::DeleteRole(name) => {
                self.roles.remove_mut(&name);
            }
            Change::PutAdministrator(administrator) => self.administrator = Some(administrator),
            Change::PutIdentityKeys(keys) => self.identity_keys = Some(keys),
            Change::PutInstance(instance, origin) => {
                self.instances.insert_mut(instance.id, (instance, origin));
            }
            Change::PutIssuerKey(key) => self.issuer_key = Some(key),
            Change::PutRole(role, origin) => {
                self.roles.insert_mut(role.name.clone(), (role, origin));
            }
            Change::PutTokenKeys(ring) => {
                self.token_keys = Some((Arc::new(ring.token_keys()), ring));
            }
        }
    }

    /// Returns the generation.
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// Finds an instance.
    pub fn instance(&self, id: InstanceId) -> Option<&Arc<Instance>> {
        self.instances.get(&id).map(|(instance, _)| instance)
    }

    /// Returns how many instances there are.
    pub fn instance_count(&self) -> usize {
        self.instances.size()
    }

    /// Returns the instances and where each was described, in no particular order.
    pub fn instances(&self) -> impl Iterator<Item = (&Arc<Instance>, Origin)> {
        self.instances.values().map(|(instance, origin)| (instance, *origin))
    }

    /// Returns where an instance was described.
    pub fn origin(&self, id: InstanceId) -> Option<Origin> {
        self.instances.get(&id).map(|(_, origin)| *origin)
    }

    /// Finds a role.
    pub fn role(&self, name: &RoleName) -> Option<&Arc<Role>> {
        self.roles.get(name).map(|(role, _)| role)
    }

    /// Returns the roles and where each was described, by name.
    pub fn roles(&self) -> impl Iterator<Item = (&Arc<Role>, Origin)> {
        self.roles.values().map(|(role, origin)| (role, *origin))
    }

    /// Returns the keys of session tokens; none before the first start is done.
    pub fn token_keys(&self) -> Option<&Arc<TokenKeys>> {
        self.token_keys.as_ref().map(|(keys, _)| keys)
    }

    /// Returns the same keys with their history.
    pub fn token_key_ring(&self) -> Option<&Arc<TokenKeyRing>> {
        self.token_keys.as_ref().map(|(_, ring)| ring)
    }

    /// Returns the key of the built-in credential source; none before the first start is done.
    pub fn issuer_key(&self) -> Option<&IssuerKey> {
        self.issuer_key.as_ref()
    }

    /// Returns the administrator; none before the first start is done.
    pub fn administrator(&self) -> Option<&Administrator> {
        self.administrator.as_ref()
    }

    /// Returns the keys that sign identity documents; none until they have been made.
    pub fn identity_keys(&self) -> Option<&IdentityKeyRecord> {
        self.identity_keys.as_ref()
    }
}
