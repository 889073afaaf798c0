//! Who asks, as the signature says.
//!
//! A key is kept with its user, or it is of a session. Of sessions nothing is kept: the token that comes
//! with the request says whose it is, and gives the key to verify the signature with.

use std::borrow::Cow;

use metadata::session::{Actor, INSTANCE_ROLE, Session};
use model::{AccessKey, AccountId, Instance, Line, Region, RoleName, Secret, User, unique_id};
use store::Snapshot;

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The account.
    pub(crate) account_id: AccountId,
    /// Who it is in the account.
    pub(crate) principal: Principal,
    /// The partition of the region that is asked.
    partition: &'static str,
}

/// Who acts in an account.
#[derive(Clone, Debug)]
pub(crate) enum Principal {
    /// Whoever has temporary credentials: somebody in a role, a user, an instance.
    Session(Box<Session>),
    /// A user with a key of its own.
    User(RoleName),
}

/// Whose an access key is.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    /// The account.
    pub(crate) account_id: AccountId,
    /// Who it is in the account.
    pub(crate) principal: Principal,
    /// The key that must have signed.
    pub(crate) key: Cow<'a, AccessKey>,
}

/// Finds whose an access key id is, with the session token that came with it.
///
/// A session is nobody's once its role or user is gone; one of the same name is another.
pub(crate) fn find<'a>(
    snapshot: &'a Snapshot,
    access_key_id: &str,
    session_token: Option<&Secret<String>>,
) -> Option<Known<'a>> {
    if let Some((user, key)) = snapshot.access_key(access_key_id) {
        let principal = Principal::User(user.name.clone());
        return Some(Known { account_id: user.account_id, principal, key: Cow::Borrowed(key) });
    }
    let (session, key) = snapshot.issuer_key()?.open(session_token?, access_key_id)?;
    let account_id = session.account_id;
    let is_there = match &session.actor {
        Actor::Instance(_) => true,
        Actor::Role(session) => snapshot
            .role(&session.role)
            .is_some_and(|role| role.unique_id(account_id) == session.role_id),
        Actor::User(name) => has_user(snapshot, account_id, name),
    };
    let principal = Principal::Session(Box::new(session));
    is_there.then_some(Known { account_id, principal, key: Cow::Owned(key) })
}

fn has_user(snapshot: &Snapshot, account_id: AccountId, name: &RoleName) -> bool {
    let is_it = |user: &User| user.account_id == account_id && user.name == *name;
    snapshot.users().any(|(user, _)| is_it(user))
        || snapshot.administrator().is_some_and(|administrator| is_it(&administrator.user()))
}

impl Caller {
    /// Somebody of an account, in the partition of a region.
    pub(crate) fn new(account_id: AccountId, principal: Principal, region: &Region) -> Self {
        Self { account_id, principal, partition: region.partition() }
    }

    /// A user, in the partition of a region.
    pub(crate) fn of_user(user: &User, region: &Region) -> Self {
        Self::new(user.account_id, Principal::User(user.name.clone()), region)
    }

    /// The administrator, whom whoever may use the admin socket is; none before the first start.
    pub(crate) fn operator(snapshot: &Snapshot) -> Option<Self> {
        let user = snapshot.administrator()?.user();
        Some(Self::of_user(&user, &Instance::default_instance().region))
    }

    /// The ARN, such as `arn:aws:iam::123456789012:user/admin` or
    /// `arn:aws:sts::123456789012:assumed-role/app/i-1234567890abcdef0`.
    pub(crate) fn arn(&self) -> String {
        let Self { account_id, partition, .. } = self;
        let in_role = |role: &str, session: &str| {
            format!("arn:{partition}:sts::{account_id}:assumed-role/{role}/{session}")
        };
        match &self.principal {
            Principal::User(name) => self.user_arn(name),
            Principal::Session(session) => match &session.actor {
                Actor::Instance(source) => in_role(INSTANCE_ROLE, &source.id.text()),
                Actor::Role(session) => in_role(session.role.as_str(), session.name.as_str()),
                Actor::User(name) => self.user_arn(name),
            },
        }
    }

    /// The unique id, such as `AIDACKCEVSQ6C2EXAMPLE` or `AROACKCEVSQ6C2EXAMPLE:i-1234567890abcdef0`.
    pub(crate) fn user_id(&self) -> String {
        match &self.principal {
            Principal::User(name) => unique_id("AIDA", &self.user_arn(name)),
            Principal::Session(session) => match &session.actor {
                Actor::Instance(source) => {
                    format!("{}:{INSTANCE_ROLE}:{}", self.account_id, source.id)
                }
                Actor::Role(session) => format!("{}:{}", session.role_id, session.name),
                Actor::User(name) => unique_id("AIDA", &self.user_arn(name)),
            },
        }
    }

    /// The ARN as it is kept with what the caller makes.
    pub(crate) fn line(&self) -> Line {
        #[expect(clippy::expect_used, reason = "made of words that are lines")]
        self.arn().parse().expect("is a line")
    }

    fn user_arn(&self, name: &RoleName) -> String {
        format!("arn:{}:iam::{}:user/{name}", self.partition, self.account_id)
    }
}

#[cfg(test)]
mod tests;
