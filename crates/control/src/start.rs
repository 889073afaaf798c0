//! What a server does to the store before it serves: makes what a first start lacks, and brings
//! what the config file describes up to date.
//!
//! Facts of a described instance follow the file at every start. Its options do not: those that
//! the file names are set like a modify at that moment, the others stay as they were last set.

mod iam;
mod organization;
mod references;
mod refusal;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use model::{
    Attachment, CredentialSource, Generation, Iam, IamKey, IamKind, Instance, InstanceId,
    InstanceProfile, InstanceProfileStatus, Line, OptionLayer, OptionsChange, Role, RoleName,
    Secret, Timestamp,
};
use store::{Administrator, Change, Origin, Snapshot, TokenKeyRing};

pub use self::organization::{
    DescribedAccount, DescribedOrganization, DescribedPolicy, DescribedUnit, OrganizationRefusal,
    OrganizationTable,
};
pub use self::refusal::StartRefusal;

/// What the settings ask of a start.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// The `[[instance]]` tables.
    pub instances: Vec<Described>,
    /// What the tables describe that IAM keeps: `[[role]]`, `[[user]]` and the like.
    pub iam: Vec<Iam>,
    /// The `[organization]` table and those below it.
    pub organization: Option<DescribedOrganization>,
    /// The instance that the `--listen` addresses serve; the built-in one if none is named.
    pub default_instance: Option<InstanceId>,
    /// Set on that instance at this start.
    pub default_options: OptionsChange,
    /// The `--listen` addresses.
    pub listen: Vec<SocketAddr>,
    /// The `--shared-listen` addresses.
    pub shared_listen: Vec<SocketAddr>,
}

/// An instance as the config file describes it.
#[derive(Clone, Debug)]
pub struct Described {
    /// The facts; its options count only if the instance is new.
    pub instance: Instance,
    /// The options that the file names.
    pub options: OptionsChange,
}

/// Random material, used for what is missing.
#[derive(Debug)]
pub struct Fresh {
    /// First key of session tokens.
    pub token_key: [u8; 32],
    /// Key of the built-in credential source.
    pub issuer_key: [u8; 32],
    /// Sixteen random bytes of the administrator's access key id.
    pub access_key_id: [u8; 16],
    /// Thirty random bytes of the administrator's secret access key, in base64.
    pub secret_access_key: Secret<String>,
}

/// What a planned start comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The instance that the `--listen` addresses serve.
    pub default_instance: InstanceId,
    /// The addresses that instances are attached to, and whose each is.
    pub listeners: Vec<(SocketAddr, InstanceId)>,
    /// How many attachments of other kinds need sockets of their own.
    pub others: usize,
}

/// Plans a start. What the file describes moves into the changes: a fleet is there once.
///
/// # Errors
///
/// [`StartRefusal`]; then nothing changes and the server must not start.
pub fn start(
    snapshot: &Snapshot,
    mut configured: Configured,
    fresh: Fresh,
    now: Timestamp,
) -> Result<(Vec<Change>, Started), StartRefusal> {
    let default = configured.default_instance.unwrap_or_else(Instance::default_id);
    let mut changes = missing_keys(snapshot, fresh, now)?;
    let mut planned = Planned::from_snapshot(snapshot);
    let generation = snapshot.generation().next();
    planned.describe(std::mem::take(&mut configured.instances), generation)?;
    let new = changes.iter().find_map(|change| {
        let Change::PutAdministrator(new) = change else { return None };
        Some(new)
    });
    let administrator = new.or(snapshot.administrator());
    planned.describe_iam(std::mem::take(&mut configured.iam), administrator, now)?;
    let organization = organization::organization_changes(
        snapshot,
        std::mem::take(&mut configured.organization),
        now,
    )?;
    planned.make_default_instance(default, now);
    planned.renew_profiles(snapshot);
    let Some((instance, _)) = planned.instances.get_mut(&default) else {
        return Err(StartRefusal::NoDefaultInstance(default));
    };
    let change = configured.default_options;
    if !change.is_empty() {
        Arc::make_mut(instance).set_options(change, OptionLayer::Modify, generation);
    }
    let (listeners, others) = planned.check(&configured, default)?;
    changes.extend(planned.changes(snapshot, now));
    changes.extend(organization);
    Ok((changes, Started { default_instance: default, listeners, others }))
}

/// Makes keys for a store that has none. One that has lost some is damaged: new ones would let
/// tokens and credentials that were granted go without a word.
fn missing_keys(
    snapshot: &Snapshot,
    fresh: Fresh,
    now: Timestamp,
) -> Result<Vec<Change>, StartRefusal> {
    let has_all = snapshot.token_keys().is_some()
        && snapshot.issuer_key().is_some()
        && snapshot.administrator().is_some();
    if !has_all && snapshot.generation() != Generation::default() {
        return Err(StartRefusal::KeysLost);
    }
    let mut changes = Vec::new();
    if snapshot.token_keys().is_none() {
        let ring = TokenKeyRing::new(fresh.token_key, now);
        changes.push(Change::PutTokenKeys(Arc::new(ring)));
    }
    if snapshot.issuer_key().is_none() {
        changes.push(Change::PutIssuerKey(store::IssuerKey::new(fresh.issuer_key)));
    }
    if snapshot.administrator().is_none() {
        changes.push(Change::PutAdministrator(Administrator {
            account_id: Instance::default_instance().account_id,
            access_key_id: access_key_id(fresh.access_key_id),
            secret_access_key: fresh.secret_access_key,
        }));
    }
    Ok(changes)
}

/// `AKIA` and sixteen letters and digits.
fn access_key_id(random: [u8; 16]) -> Line {
    let letter = |byte: u8| char::from_digit(u32::from(byte % 32), 32).unwrap_or('a');
    // Base 32 has the digits 0 to v; AWS uses A to Z and 2 to 7.
    let aws = |digit: char| match digit {
        '0' => 'W',
        '1' => 'X',
        '8' => 'Y',
        '9' => 'Z',
        other => other.to_ascii_uppercase(),
    };
    let text: String = "AKIA".chars().chain(random.map(|byte| aws(letter(byte)))).collect();
    #[expect(clippy::expect_used, reason = "letters and digits")]
    text.parse().expect("is a line")
}

/// Instances and roles as they are to be.
struct Planned {
    instances: BTreeMap<InstanceId, (Arc<Instance>, Origin)>,
    iam: BTreeMap<IamKey, (Iam, Origin)>,
}

impl Planned {
    fn from_snapshot(snapshot: &Snapshot) -> Self {
        let instances = snapshot.instances().map(|(i, origin)| (i.id, (Arc::clone(i), origin)));
        let iam = snapshot.iam().map(|(kept, origin)| (kept.key(), (kept.clone(), origin)));
        Self { instances: instances.collect(), iam: iam.collect() }
    }

    /// Puts what the file describes in place of what it described before.
    fn describe(
        &mut self,
        instances: Vec<Described>,
        generation: Generation,
    ) -> Result<(), StartRefusal> {
        let mut described = BTreeSet::new();
        for Described { mut instance, options } in instances {
            let id = instance.id;
            if !described.insert(id) {
                return Err(StartRefusal::Twice(id.to_string()));
            }
            let last = self.instances.get(&id).map(|(last, _)| last);
            if let Some(last) = last {
                instance.options = last.options;
                instance.option_layers = last.option_layers;
                instance.options_since = last.options_since;
                instance.state = last.state;
                instance.attributes = last.attributes.clone();
                instance.last_modified = last.last_modified;
            }
            instance.set_options(options, OptionLayer::ConfigFile, generation);
            // One that is as it was stays the very same.
            let planned = match last {
                Some(last) if **last == instance => Arc::clone(last),
                _ => Arc::new(instance),
            };
            self.instances.insert(id, (planned, Origin::Config));
        }
        self.instances.retain(|id, (_, origin)| *origin == Origin::Api || described.contains(id));
        Ok(())
    }

    fn make_default_instance(&mut self, default: InstanceId, now: Timestamp) {
        let built_in = Instance::default_instance();
        let role = built_in.instance_profile.as_ref().and_then(|profile| profile.role.clone());
        if let Some(name) = role {
            let credentials = CredentialSource::BuiltIn { life_seconds: None };
            let role = Role { created: now, ..Role::described(name, credentials) };
            let profile = iam::profile_of(&role);
            for kept in [Iam::from(role), Iam::from(profile)] {
                self.iam.entry(kept.key()).or_insert((kept, Origin::Api));
            }
        }
        if default == Instance::default_id() {
            let made = || (Arc::new(built_in), Origin::Api);
            self.instances.entry(default).or_insert_with(made);
        }
    }

    /// Gives what an API launched the roles that its profiles have now: the file may say another, or
    /// describe a profile no more.
    fn renew_profiles(&mut self, snapshot: &Snapshot) {
        let launched = self.instances.values_mut().filter(|(_, origin)| *origin == Origin::Api);
        for (instance, _) in launched {
            let Some(own) = instance.instance_profile.as_deref() else { continue };
            if own.status == InstanceProfileStatus::Deleted {
                continue;
            }
            let (account_id, name) = (instance.account_id, own.name.clone());
            let was_there = snapshot.instance_profile(account_id, &name).is_some();
            let kind = IamKind::InstanceProfile;
            let renewed = match self.iam.get(&IamKey { account_id, kind, name }) {
                Some((Iam::InstanceProfile(profile), _)) if profile.role != own.role => {
                    InstanceProfile { role: profile.role.clone(), ..own.clone() }
                }
                None if was_there => InstanceProfile {
                    role: None,
                    status: InstanceProfileStatus::Deleted,
                    ..own.clone()
                },
                Some(_) | None => continue,
            };
            Arc::make_mut(instance).instance_profile = Some(renewed.into());
        }
    }

    /// Checks what goes together. Returns the listeners, and how many attachments of other kinds
    /// need sockets of their own.
    fn check(
        &self,
        configured: &Configured,
        default: InstanceId,
    ) -> Result<(Vec<(SocketAddr, InstanceId)>, usize), StartRefusal> {
        let of_default = configured.listen.iter().map(|at| (Attachment::Listener(*at), default));
        let mut holders: HashMap<Attachment, InstanceId> =
            of_default.filter(|(attachment, _)| attachment.is_exclusive()).collect();
        let (mut listeners, mut others) = (Vec::new(), 0);
        for (id, (instance, origin)) in &self.instances {
            let instance_id = *id;
            let role = instance.instance_profile.as_ref().and_then(|p| p.role.as_ref());
            // One that was launched with a role which the file no longer describes is served without
            // credentials: whoever may launch must not be able to keep the server from starting.
            let is_described = *origin == Origin::Config;
            let has_role = |role: &RoleName| self.has_role(instance.account_id, role);
            if let Some(role) = role.filter(|role| is_described && !has_role(role)) {
                let role = role.clone();
                return Err(StartRefusal::RoleWithoutSource { instance: instance_id, role });
            }
            let is_kept = |role: &RoleName| self.is_kept_from_ec2(instance.account_id, role);
            if let Some(role) = role.filter(|role| is_described && is_kept(role)) {
                let role = role.clone();
                return Err(StartRefusal::RoleNotForEc2 { instance: instance_id, role });
            }
            for attachment in &instance.attachments {
                check_shared(configured, attachment, (instance_id, *origin))?;
                match attachment {
                    Attachment::Listener(address) => listeners.push((*address, instance_id)),
                    Attachment::Interface(_) | Attachment::Netns(_) => others += 1,
                    // All sources come to the same sockets.
                    Attachment::Source { .. } => {}
                }
                let claim = attachment.claim();
                if !claim.is_exclusive() {
                    continue;
                }
                if let Some(first) = holders.insert(claim.clone(), instance_id) {
                    let (attachment, second) = (claim, instance_id);
                    return Err(StartRefusal::SharedAttachment { attachment, first, second });
                }
            }
        }
        Ok((listeners, others))
    }

    /// What must change for the store to hold just this.
    fn changes(mut self, snapshot: &Snapshot, now: Timestamp) -> Vec<Change> {
        let gone_instances = snapshot.instances().filter_map(|(instance, _)| {
            let is_gone = !self.instances.contains_key(&instance.id);
            is_gone.then_some(Change::DeleteInstance(instance.id))
        });
        let gone: Vec<_> = gone_instances.collect();
        let iam = self.iam_changes(snapshot);
        let instances = self.instances.into_values().filter_map(|(mut instance, origin)| {
            let id = instance.id;
            let old = snapshot.instance(id);
            let is_same = old.is_some_and(|old| Arc::ptr_eq(old, &instance) || *old == instance);
            if is_same && snapshot.origin(id) == Some(origin) {
                return None;
            }
            Arc::make_mut(&mut instance).last_modified = now;
            Some(Change::PutInstance(instance, origin))
        });
        gone.into_iter().chain(instances).chain(iam).collect()
    }
}

/// Checks an attachment against the addresses that all instances share.
fn check_shared(
    configured: &Configured,
    attachment: &Attachment,
    (instance, origin): (InstanceId, Origin),
) -> Result<(), StartRefusal> {
    let attachment = attachment.clone();
    match &attachment {
        Attachment::Listener(at) if at.port() != 0 && configured.shared_listen.contains(at) => {
            Err(StartRefusal::ListenerIsShared { attachment, instance })
        }
        // One that was attached while the server ran with other settings can wait.
        Attachment::Source { .. }
            if configured.shared_listen.is_empty() && origin == Origin::Config =>
        {
            Err(StartRefusal::NoSharedListener { attachment, instance })
        }
        Attachment::Interface(_)
        | Attachment::Listener(_)
        | Attachment::Netns(_)
        | Attachment::Source { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests;
