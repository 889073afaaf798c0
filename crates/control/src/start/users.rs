//! The users that the config file describes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use model::{AccountId, RoleName, User};
use store::{Administrator, Change, Origin, Snapshot};

use super::{Planned, StartRefusal};

/// A user, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserName {
    /// The account.
    pub account_id: AccountId,
    /// The name in it.
    pub name: RoleName,
}

impl UserName {
    pub(super) fn of(user: &User) -> Self {
        Self { account_id: user.account_id, name: user.name.clone() }
    }
}

impl fmt::Display for UserName {
    /// Writes the account and the name, parted by `/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account_id, self.name)
    }
}

impl Planned {
    /// Puts those that the file describes in place of those it described before. Each key leads to one of them.
    pub(super) fn describe_users(
        &mut self,
        users: Vec<User>,
        administrator: &Administrator,
    ) -> Result<(), StartRefusal> {
        let mut described = BTreeSet::new();
        let admin = UserName::of(&administrator.user());
        for user in users {
            let name = UserName::of(&user);
            if name == admin {
                return Err(StartRefusal::UserIsAdministrator(name));
            }
            if !described.insert(name.clone()) {
                return Err(StartRefusal::Twice(format!("user `{name}`")));
            }
            self.users.insert(name, (Arc::new(user), Origin::Config));
        }
        self.users.retain(|name, (_, origin)| *origin == Origin::Api || described.contains(name));
        let mut holders = HashMap::new();
        holders.insert(administrator.access_key_id.clone(), "the administrator".to_owned());
        for (name, (user, _)) in &self.users {
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
}

/// What must change for the store to hold just these.
pub(super) fn changes(
    users: BTreeMap<UserName, (Arc<User>, Origin)>,
    snapshot: &Snapshot,
) -> Vec<Change> {
    let old: BTreeMap<_, _> =
        snapshot.users().map(|(user, origin)| (UserName::of(user), (user, origin))).collect();
    let gone = old.iter().filter(|(name, _)| !users.contains_key(name)).map(|(name, _)| {
        let UserName { account_id, name } = name.clone();
        Change::DeleteUser(account_id, name)
    });
    let gone: Vec<_> = gone.collect();
    let new = users.into_iter().filter_map(|(name, (user, origin))| {
        let is_same = old.get(&name).is_some_and(|old| *old == (&user, origin));
        (!is_same).then_some(Change::PutUser(user, origin))
    });
    gone.into_iter().chain(new).collect()
}
