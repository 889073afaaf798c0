//! What IAM keeps that the config file describes: roles, users and the like.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::{Iam, IamKey, IamKind, RegisteredInstanceProfile, Role, Timestamp};
use store::{Administrator, Change, Origin, Snapshot};

use super::{Planned, StartRefusal};

impl Planned {
    /// Puts what the file describes in place of what it described before. Each access key leads to
    /// one user, and each role has an instance profile of its name.
    pub(super) fn describe_iam(
        &mut self,
        described: Vec<Iam>,
        administrator: Option<&Administrator>,
        now: Timestamp,
    ) -> Result<(), StartRefusal> {
        let admin = administrator.map(|administrator| administrator.user().key());
        let mut named = BTreeSet::new();
        for kept in described {
            let key = kept.key();
            if admin.as_ref() == Some(&key) {
                return Err(StartRefusal::UserIsAdministrator(key));
            }
            if !named.insert(key.clone()) {
                return Err(StartRefusal::Twice(told(&key)));
            }
            self.put_described(kept, now);
        }
        self.iam.retain(|key, (_, origin)| *origin == Origin::Api || named.contains(key));
        self.give_profiles();
        self.check_references()?;
        self.check_access_keys(administrator)
    }

    /// Gives each described role an instance profile of its name, unless there is one.
    pub(super) fn give_profiles(&mut self) {
        let profiles = self.iam.values().filter_map(|(kept, origin)| {
            let Iam::Role(role) = kept else { return None };
            (*origin == Origin::Config).then(|| profile_of(role))
        });
        for profile in profiles.collect::<Vec<_>>() {
            let key = profile.key();
            self.iam.entry(key).or_insert_with(|| (profile.into(), Origin::Config));
        }
    }

    /// What was there before is as old as it was.
    fn put_described(&mut self, mut kept: Iam, now: Timestamp) {
        let key = kept.key();
        let created = self.iam.get(&key).map_or(now, |(old, _)| created(old));
        set_created(&mut kept, created);
        self.iam.insert(key, (kept, Origin::Config));
    }

    fn check_access_keys(&self, administrator: Option<&Administrator>) -> Result<(), StartRefusal> {
        let mut holders = HashMap::new();
        if let Some(administrator) = administrator {
            holders.insert(administrator.access_key_id.clone(), "the administrator".to_owned());
        }
        for (name, (kept, _)) in &self.iam {
            let Iam::User(user) = kept else { continue };
            for key in &user.access_keys {
                let holder = holders.insert(key.id.clone(), format!("`{name}`"));
                if let Some(holder) = holder {
                    let (user, access_key_id) = (name.clone(), key.id.clone());
                    return Err(StartRefusal::SharedAccessKey { user, access_key_id, holder });
                }
            }
        }
        Ok(())
    }

    /// Whether there is a role of this name in an account.
    pub(super) fn has_role(&self, account_id: model::AccountId, role: &model::RoleName) -> bool {
        let name = role.clone().into();
        self.iam.contains_key(&IamKey { account_id, kind: IamKind::Role, name })
    }

    /// What must change for the store to keep just this.
    pub(super) fn iam_changes(&mut self, snapshot: &Snapshot) -> Vec<Change> {
        let kept = std::mem::take(&mut self.iam);
        let gone = snapshot.iam().map(|(old, _)| old.key()).filter(|key| !kept.contains_key(key));
        let mut changes: Vec<_> = gone.map(Change::DeleteIam).collect();
        let old: HashMap<_, _> =
            snapshot.iam().map(|(old, origin)| (old.key(), (old, origin))).collect();
        changes.extend(kept.into_iter().filter_map(|(key, (kept, origin))| {
            let is_same = old.get(&key).is_some_and(|old| *old == (&kept, origin));
            (!is_same).then_some(Change::PutIam(kept, origin))
        }));
        changes
    }
}

/// The instance profile that the console makes for a role: with its name.
pub(super) fn profile_of(role: &Role) -> RegisteredInstanceProfile {
    RegisteredInstanceProfile {
        name: role.name.clone().into(),
        account_id: role.account_id,
        path: role.path.clone(),
        id: None,
        created: role.created,
        role: Some(role.name.clone()),
        tags: std::collections::BTreeMap::new(),
    }
}

fn told(key: &IamKey) -> String {
    let IamKey { account_id, kind, name } = key;
    format!("{} `{name}` of {account_id}", kind.as_str().replace('-', " "))
}

fn created(kept: &Iam) -> Timestamp {
    match kept {
        Iam::Group(group) => group.created,
        Iam::InstanceProfile(profile) => profile.created,
        Iam::Policy(policy) => policy.created,
        Iam::Role(role) => role.created,
        Iam::User(user) => user.created,
    }
}

fn set_created(kept: &mut Iam, created: Timestamp) {
    match kept {
        Iam::Group(group) => Arc::make_mut(group).created = created,
        Iam::InstanceProfile(profile) => Arc::make_mut(profile).created = created,
        Iam::Policy(policy) => Arc::make_mut(policy).created = created,
        Iam::Role(role) => Arc::make_mut(role).created = created,
        Iam::User(user) => Arc::make_mut(user).created = created,
    }
}
