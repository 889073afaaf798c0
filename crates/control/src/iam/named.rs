//! What a request names: found, changed, and asked for.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{AccountId, Iam, IamKey, IamKind, IamPath, Permissions, PolicyArn, TagKey};
use policy::Value;
use store::{Change, Origin, Snapshot};

use super::limits;
use super::words::{self, TagParameter};
use crate::action::Desk;
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;
use crate::caller::Principal;

/// One thing of the caller's account that a request names.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) key: IamKey,
    /// Of a managed policy: its ARN, which tells its path too.
    arn: Option<PolicyArn>,
}

impl Named {
    /// Reads what is named: by its ARN if it is a managed policy, and by its name otherwise.
    ///
    /// # Errors
    ///
    /// `ValidationError` or `InvalidInput`.
    pub(crate) fn new(desk: &Desk<'_>, kind: IamKind, text: &str) -> Result<Self, ApiFault> {
        let account_id = desk.caller.account_id;
        if kind == IamKind::Policy {
            let arn = words::parse_policy_arn(text)?;
            let key = IamKey { account_id, kind, name: arn.name().clone() };
            return Ok(Self { key, arn: Some(arn) });
        }
        let key = IamKey { account_id, kind, name: words::parse_name(kind, text)? };
        Ok(Self { key, arn: None })
    }

    /// Reads which user is named: the caller, if none is.
    ///
    /// # Errors
    ///
    /// `ValidationError`, also if the caller is no user.
    pub(crate) fn user_or_caller(desk: &Desk<'_>, text: Option<&str>) -> Result<Self, ApiFault> {
        match (text, &desk.caller.principal) {
            (Some(text), _) => Self::new(desk, IamKind::User, text),
            (None, Principal::User(user)) => Ok(Self { key: user.key(), arn: None }),
            (None, Principal::Instance(_) | Principal::Role(..)) => Err(ApiFault::user_not_named()),
        }
    }

    /// Finds it.
    ///
    /// # Errors
    ///
    /// `NoSuchEntity`, or `InvalidInput` for a policy of AWS.
    pub(crate) fn find(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Iam, ApiFault> {
        let Some(arn) = &self.arn else { return find(snapshot, &self.key) };
        if arn.account_id().is_none() {
            return Err(ApiFault::invalid_input(format!(
                "{arn} is a policy of AWS: only policies of the account can be changed."
            )));
        }
        let found = find(snapshot, &self.key).ok().filter(|found| {
            let Iam::Policy(policy) = found else { return false };
            policy.arn(desk.scope.region.partition()) == arn.as_str()
        });
        found.ok_or_else(|| ApiFault::policy_not_found(arn.as_str()))
    }

    /// Finds it, to be changed or deleted.
    ///
    /// # Errors
    ///
    /// As [`find`](Self::find), and `UnmodifiableEntity` if requests do not change it.
    pub(crate) fn find_to_change(
        &self,
        desk: &Desk<'_>,
        snapshot: &Snapshot,
    ) -> Result<Iam, ApiFault> {
        let found = self.find(desk, snapshot)?;
        refuse_described(snapshot, &self.key)?;
        Ok(found)
    }

    /// Changes it, and answers that it is done.
    ///
    /// # Errors
    ///
    /// As [`find_to_change`](Self::find_to_change), and what `change` refuses.
    pub(crate) fn change(
        &self,
        desk: &Desk<'_>,
        change: impl FnOnce(&Snapshot, &mut Iam) -> Result<(), ApiFault>,
    ) -> Result<Answer, ApiFault> {
        desk.transact(|snapshot| {
            let before = self.find_to_change(desk, snapshot)?;
            let mut after = before.clone();
            change(snapshot, &mut after)?;
            let changes = if after == before { Vec::new() } else { vec![put(after)] };
            Ok((changes, Answer::done()))
        })
    }

    /// Its ARN; of what is not there, that with the path `/`.
    pub(crate) fn arn(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> String {
        let partition = desk.scope.region.partition();
        match (&self.arn, find(snapshot, &self.key)) {
            (Some(arn), _) => arn.to_string(),
            (None, Ok(found)) => arn(&found, partition),
            (None, Err(_)) => arn_of(&self.key, &IamPath::default(), partition),
        }
    }

    /// Asks for the action on it.
    pub(crate) fn ask(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Ask {
        let mut ask = Ask::on(self.arn(desk, snapshot));
        let found = find(snapshot, &self.key).ok();
        for (key, value) in found.as_ref().and_then(tags).into_iter().flatten() {
            ask = ask.with_text(format!("aws:ResourceTag/{key}"), value);
            ask = ask.with_text(format!("iam:ResourceTag/{key}"), value);
        }
        ask
    }

    /// Asks for the action on it, and says what bounds its permissions.
    pub(crate) fn ask_with_boundary(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Ask {
        let ask = self.ask(desk, snapshot);
        let found = find(snapshot, &self.key).ok();
        match found.as_ref().and_then(permissions).and_then(|of| of.boundary.as_ref()) {
            Some(boundary) => ask.with_text(BOUNDARY_KEY, boundary.as_str()),
            None => ask,
        }
    }
}

/// The condition key that has the ARN of a permissions boundary.
pub(crate) const BOUNDARY_KEY: &str = "iam:PermissionsBoundary";

/// Asks to make something of an account.
pub(crate) fn ask_to_make(desk: &Desk<'_>, key: &IamKey, path: &IamPath) -> Ask {
    Ask::on(arn_of(key, path, desk.scope.region.partition()))
}

/// Says which tags a request wants set.
pub(crate) fn with_request_tags(mut ask: Ask, tags: &[TagParameter]) -> Ask {
    for TagParameter { key, value } in tags {
        ask = ask.with_text(format!("aws:RequestTag/{key}"), value);
    }
    with_tag_keys(ask, tags.iter().map(|tag| &*tag.key))
}

/// Says which keys of tags a request names, if it names any.
pub(crate) fn with_tag_keys<'t>(ask: Ask, keys: impl Iterator<Item = &'t str>) -> Ask {
    let keys: Vec<_> = keys.map(Value::text).collect();
    if keys.is_empty() { ask } else { ask.with_all("aws:TagKeys", keys) }
}

/// Asks to list what is of a kind: on the path that is listed, as the denials of IAM name it.
pub(crate) fn ask_to_list(
    desk: &Desk<'_>,
    kind: IamKind,
    prefix: Option<&str>,
) -> Result<Vec<Ask>, ApiFault> {
    let (partition, account_id) = (desk.scope.region.partition(), desk.caller.account_id);
    let prefix = words::parse_prefix(prefix)?;
    Ok(vec![Ask::on(format!("arn:{partition}:iam::{account_id}:{kind}{prefix}"))])
}

/// Finds what a key leads to. The administrator is a user too.
///
/// # Errors
///
/// `NoSuchEntity`.
pub(crate) fn find(snapshot: &Snapshot, key: &IamKey) -> Result<Iam, ApiFault> {
    let kept = snapshot.kept_by_iam(key).map(|(kept, _)| kept.clone());
    let found =
        kept.or_else(|| administrator(snapshot, key.account_id).filter(|a| a.key() == *key));
    found.ok_or_else(|| ApiFault::not_kept(key))
}

/// Everything of a kind that an account has. The administrator is a user too.
pub(crate) fn all(
    snapshot: &Snapshot,
    account_id: AccountId,
    kind: IamKind,
) -> impl Iterator<Item = Iam> {
    let administrator =
        administrator(snapshot, account_id).filter(|_| kind == IamKind::User).into_iter();
    snapshot.all_kept_by_iam(account_id, kind).cloned().chain(administrator)
}

fn administrator(snapshot: &Snapshot, account_id: AccountId) -> Option<Iam> {
    let administrator = snapshot.administrator()?;
    (administrator.account_id == account_id).then(|| administrator.user().into())
}

/// Sees that requests may change something: what the config file describes follows the file, and the
/// administrator is made by the server.
fn refuse_described(snapshot: &Snapshot, key: &IamKey) -> Result<(), ApiFault> {
    match snapshot.kept_by_iam(key) {
        Some((_, Origin::Api)) => Ok(()),
        Some((_, Origin::Config)) => {
            let IamKey { kind, name, .. } = key;
            let kind = kind.as_str().replace('-', " ");
            Err(ApiFault::unmodifiable_entity(format!(
                "The {kind} {name} is described in the config file: change it there, and start the \
                 server anew."
            )))
        }
        None => Err(ApiFault::unmodifiable_entity(format!(
            "The user {} is the administrator, whom the server makes itself: make a user of your own.",
            key.name
        ))),
    }
}

/// Sees that something new has a name of its own, and that there may be one more.
///
/// # Errors
///
/// `EntityAlreadyExists` or `LimitExceeded`.
pub(crate) fn check_new(snapshot: &Snapshot, key: &IamKey) -> Result<(), ApiFault> {
    check_name(snapshot, key)?;
    let limits::Quota { name, most } = limits::of_account(key.kind);
    if snapshot.iam_count(key.account_id, key.kind) >= most {
        return Err(ApiFault::quota_exceeded(name, most));
    }
    Ok(())
}

/// Sees that no other has a name, whatever the case of its letters.
///
/// # Errors
///
/// `EntityAlreadyExists`.
pub(crate) fn check_name(snapshot: &Snapshot, key: &IamKey) -> Result<(), ApiFault> {
    let is_same = |other: &Iam| other.key().name.as_str().eq_ignore_ascii_case(key.name.as_str());
    if all(snapshot, key.account_id, key.kind).any(|other| is_same(&other)) {
        return Err(ApiFault::entity_already_exists(key));
    }
    Ok(())
}

/// Keeps something that requests made.
pub(crate) fn put(kept: impl Into<Iam>) -> Change {
    Change::PutIam(kept.into(), Origin::Api)
}

fn arn_of(IamKey { account_id, kind, name }: &IamKey, path: &IamPath, partition: &str) -> String {
    format!("arn:{partition}:iam::{account_id}:{kind}{path}{name}")
}

/// The ARN of anything.
pub(crate) fn arn(kept: &Iam, partition: &str) -> String {
    arn_of(&kept.key(), path(kept), partition)
}

/// The path of anything.
pub(crate) fn path(kept: &Iam) -> &IamPath {
    match kept {
        Iam::Group(group) => &group.path,
        Iam::InstanceProfile(profile) => &profile.path,
        Iam::Policy(policy) => &policy.path,
        Iam::Role(role) => &role.path,
        Iam::User(user) => &user.path,
    }
}

/// The permissions of a group, a role or a user.
pub(crate) fn permissions(kept: &Iam) -> Option<&Permissions> {
    match kept {
        Iam::Group(group) => Some(&group.permissions),
        Iam::Role(role) => Some(&role.permissions),
        Iam::User(user) => Some(&user.permissions),
        Iam::InstanceProfile(_) | Iam::Policy(_) => None,
    }
}

/// The same, to be changed.
pub(crate) fn permissions_mut(kept: &mut Iam) -> Option<&mut Permissions> {
    match kept {
        Iam::Group(group) => Some(&mut Arc::make_mut(group).permissions),
        Iam::Role(role) => Some(&mut Arc::make_mut(role).permissions),
        Iam::User(user) => Some(&mut Arc::make_mut(user).permissions),
        Iam::InstanceProfile(_) | Iam::Policy(_) => None,
    }
}

/// The tags of anything but a group, which has none.
pub(crate) fn tags(kept: &Iam) -> Option<&BTreeMap<TagKey, Box<str>>> {
    match kept {
        Iam::InstanceProfile(profile) => Some(&profile.tags),
        Iam::Policy(policy) => Some(&policy.tags),
        Iam::Role(role) => Some(&role.tags),
        Iam::User(user) => Some(&user.tags),
        Iam::Group(_) => None,
    }
}

/// The same, to be changed.
pub(crate) fn tags_mut(kept: &mut Iam) -> Option<&mut BTreeMap<TagKey, Box<str>>> {
    match kept {
        Iam::InstanceProfile(profile) => Some(&mut Arc::make_mut(profile).tags),
        Iam::Policy(policy) => Some(&mut Arc::make_mut(policy).tags),
        Iam::Role(role) => Some(&mut Arc::make_mut(role).tags),
        Iam::User(user) => Some(&mut Arc::make_mut(user).tags),
        Iam::Group(_) => None,
    }
}
