//! Everything that both planes read, of one generation.

use std::net::IpAddr;
use std::sync::Arc;

use metadata::{IssuerKey, TokenKeys};
use model::{Attachment, Generation, Instance, InstanceId, MacAddress};
use rpds::{HashTrieMapSync, RedBlackTreeMapSync, RedBlackTreeSetSync};

use crate::Change;
use crate::iam::IamStore;
use crate::keys::{Administrator, IdentityKeyRecord, TokenKeyRing};
use crate::organization::OrganizationStore;
use crate::resources::Resources;

/// Where a thing was described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Through the management plane, or made at the first start.
    Api,
    /// In the config file: it goes when the file no longer names it.
    Config,
}

/// Two instances with one attachment: who asks could not be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{claimant} cannot have the attachment {attachment}: {holder} has it")]
pub struct AttachmentTaken {
    /// What both claim.
    pub attachment: Attachment,
    /// Who has it.
    pub holder: InstanceId,
    /// Who wants it too.
    pub claimant: InstanceId,
}

/// Everything that both planes read, of one generation. It never changes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    generation: Generation,
    instances: HashTrieMapSync<InstanceId, (Arc<Instance>, Origin)>,
    /// Whose each source address is, and the MAC that it must come from.
    sources: HashTrieMapSync<IpAddr, (InstanceId, Option<MacAddress>)>,
    /// All other attachments, which need sockets of their own: those that only one can have, and
    /// listeners whose port the kernel chooses.
    entrances: RedBlackTreeMapSync<Attachment, InstanceId>,
    any_ports: RedBlackTreeSetSync<(Attachment, InstanceId)>,
    /// The generation that changed either of them last.
    entrances_since: Generation,
    /// The generation that took a source address from an instance last.
    sources_released: Generation,
    /// The instances whose drivers have something to do.
    in_transition: RedBlackTreeSetSync<InstanceId>,
    pub(crate) iam: IamStore,
    pub(crate) organization: OrganizationStore,
    pub(crate) resources: Resources,
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
            sources: HashTrieMapSync::new_sync(),
            entrances: RedBlackTreeMapSync::new_sync(),
            any_ports: RedBlackTreeSetSync::new_sync(),
            entrances_since: generation,
            sources_released: generation,
            in_transition: RedBlackTreeSetSync::new_sync(),
            iam: IamStore::default(),
            organization: OrganizationStore::default(),
            resources: Resources::default(),
            token_keys: None,
            issuer_key: None,
            administrator: None,
            identity_keys: None,
        }
    }

    /// The same, of this generation.
    pub(crate) fn at(self, generation: Generation) -> Self {
        Self { generation, ..self }
    }

    /// The same, one generation on.
    pub(crate) fn successor(&self) -> Self {
        Self { generation: self.generation.next(), ..self.clone() }
    }

    /// Makes all changes. What an instance no longer has is free for another one of them, in
    /// whichever order they come.
    pub(crate) fn apply_all(&mut self, changes: &[Change]) -> Result<(), AttachmentTaken> {
        for change in changes {
            if let Change::DeleteInstance(id) = change {
                self.release(*id);
            } else if let Change::PutInstance(instance, _) = change {
                let attached = |old: &Arc<Instance>| old.attachments == instance.attachments;
                if !self.instance(instance.id).is_some_and(attached) {
                    self.release(instance.id);
                }
            }
        }
        changes.iter().cloned().try_for_each(|change| self.apply(change))
    }

    pub(crate) fn apply(&mut self, change: Change) -> Result<(), AttachmentTaken> {
        match change {
            Change::DeleteInstance(id) => {
                self.instances.remove_mut(&id);
                self.in_transition.remove_mut(&id);
            }
            Change::DeleteControlPolicy(id) => self.organization.delete_policy(&id),
            Change::DeleteIam(key) => self.iam.delete(&key),
            Change::DeleteOrganization => self.organization.put(None),
            Change::DeleteResource(scope, key) => self.resources.delete(scope, &key),
            Change::PutAdministrator(administrator) => {
                self.iam.know_keys_of(&Arc::new(administrator.user()));
                self.administrator = Some(administrator);
            }
            Change::PutControlPolicy(policy, origin) => {
                self.organization.put_policy(policy, origin);
            }
            Change::PutIam(kept, origin) => self.iam.put(kept, origin),
            Change::PutIdentityKeys(keys) => self.identity_keys = Some(keys),
            Change::PutInstance(instance, origin) => {
                self.claim(&instance)?;
                if instance.due().is_some() {
                    self.in_transition.insert_mut(instance.id);
                } else {
                    self.in_transition.remove_mut(&instance.id);
                }
                self.instances.insert_mut(instance.id, (instance, origin));
            }
            Change::PutIssuerKey(key) => self.issuer_key = Some(key),
            Change::PutOrganization(organization, origin) => {
                self.organization.put(Some((organization, origin)));
            }
            Change::PutResource(scope, resource) => self.resources.put(scope, resource),
            Change::PutTokenKeys(ring) => {
                self.token_keys = Some((Arc::new(ring.token_keys()), ring));
            }
        }
        Ok(())
    }

    fn release(&mut self, id: InstanceId) {
        let Some((instance, _)) = self.instances.get(&id) else {
            return;
        };
        for attachment in instance.attachments.iter().map(Attachment::claim) {
            if let Attachment::Source { address, .. } = attachment {
                self.sources.remove_mut(&address);
                self.sources_released = self.generation;
                continue;
            }
            self.entrances_since = self.generation;
            if attachment.is_exclusive() {
                self.entrances.remove_mut(&attachment);
            } else {
                self.any_ports.remove_mut(&(attachment, id));
            }
        }
    }

    fn claim(&mut self, instance: &Instance) -> Result<(), AttachmentTaken> {
        let id = instance.id;
        for attachment in &instance.attachments {
            match self.holder(attachment) {
                Some(holder) if holder == id => continue,
                Some(holder) => {
                    let attachment = attachment.claim();
                    return Err(AttachmentTaken { attachment, holder, claimant: id });
                }
                None if self.any_ports.contains(&(attachment.clone(), id)) => continue,
                None => {}
            }
            if let Attachment::Source { address, mac } = attachment {
                self.sources.insert_mut(address.to_canonical(), (id, *mac));
                continue;
            }
            self.entrances_since = self.generation;
            if attachment.is_exclusive() {
                self.entrances.insert_mut(attachment.clone(), id);
            } else {
                self.any_ports.insert_mut((attachment.clone(), id));
            }
        }
        Ok(())
    }

    /// Returns who has an attachment that only one instance can have.
    pub fn holder(&self, attachment: &Attachment) -> Option<InstanceId> {
        if let Attachment::Source { address, .. } = attachment {
            self.source(*address).map(|(id, _)| id)
        } else {
            self.entrances.get(attachment).copied()
        }
    }

    /// Finds whose a source address is, and the MAC that it must come from.
    pub fn source(&self, address: IpAddr) -> Option<(InstanceId, Option<MacAddress>)> {
        self.sources.get(&address).copied()
    }

    /// Returns how many source addresses are attached.
    pub fn source_count(&self) -> usize {
        self.sources.size()
    }

    /// Returns the generation that took a source address from an instance last.
    pub fn sources_released(&self) -> Generation {
        self.sources_released
    }

    /// Returns the generation since which [`entrances`](Self::entrances) are as they are.
    pub fn entrances_since(&self) -> Generation {
        self.entrances_since
    }

    /// Returns the last generation that changed what has to be taken up before it is in force: the
    /// attachments that need sockets of their own, or whose a source address is no more.
    pub fn attachments_since(&self) -> Generation {
        self.entrances_since.max(self.sources_released)
    }

    /// Returns the attachments that need sockets of their own, and whose each is.
    pub fn entrances(&self) -> impl Iterator<Item = (&Attachment, InstanceId)> {
        let any_ports = self.any_ports.iter().map(|(attachment, id)| (attachment, *id));
        self.entrances.iter().map(|(attachment, id)| (attachment, *id)).chain(any_ports)
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

    /// Returns all instances with their ids, which tell without a look at the instance whether it
    /// is wanted.
    pub fn instances_by_id(&self) -> impl Iterator<Item = (InstanceId, &Instance)> {
        self.instances.iter().map(|(id, (instance, _))| (*id, &**instance))
    }

    /// Returns where an instance was described.
    pub fn origin(&self, id: InstanceId) -> Option<Origin> {
        self.instances.get(&id).map(|(_, origin)| *origin)
    }

    /// Returns the instances whose drivers have something to do, by id.
    pub fn in_transition(&self) -> impl Iterator<Item = &Arc<Instance>> {
        self.in_transition.iter().filter_map(|id| self.instance(*id))
    }

    /// Returns whether the driver of an instance has something to do.
    pub fn is_in_transition(&self, id: InstanceId) -> bool {
        self.in_transition.contains(&id)
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
