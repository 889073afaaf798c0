//! Who asks, as the signature says.
//!
//! A key is kept with its user, or it is of a session. Of sessions nothing is kept: the token that comes
//! with the request says whose it is, and gives the key to verify the signature with.

use std::borrow::Cow;
use std::sync::Arc;

use metadata::session::{Actor, INSTANCE_ROLE, RoleSession, Session, SourceInstance};
use model::{
    AccessKey, AccountId, Instance, KeyStatus, Line, Region, Role, RoleName, Secret, Timestamp,
    User,
};
use store::Snapshot;

use crate::api::route::{Route, Service};

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The account.
    pub(crate) account_id: AccountId,
    /// Who it is in the account.
    pub(crate) principal: Principal,
    /// When its credentials were issued, if they are temporary ones of ours.
    pub(crate) issued_at: Option<Timestamp>,
    /// The partition of the region that is asked.
    pub(crate) partition: &'static str,
}

/// Who acts in an account.
#[derive(Clone, Debug)]
pub(crate) enum Principal {
    /// An instance as itself, in no role of the account.
    Instance(Box<SourceInstance>),
    /// Somebody in a role.
    Role(Arc<Role>, Box<RoleSession>),
    /// A user.
    User(Arc<User>),
}

/// Whose an access key is.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    /// The account.
    pub(crate) account_id: AccountId,
    /// Who it is in the account.
    pub(crate) principal: Principal,
    /// When it was issued, if it is a temporary one of ours.
    pub(crate) issued_at: Option<Timestamp>,
    /// The key that must have signed.
    pub(crate) key: Cow<'a, AccessKey>,
}

/// Finds whose an access key id is, with the session token that came with it.
///
/// A session is nobody's once its role or user is gone; one of the same name is another. Nor is a key
/// that was made inactive.
pub(crate) fn find<'a>(
    snapshot: &'a Snapshot,
    access_key_id: &str,
    session_token: Option<&Secret<String>>,
) -> Option<Known<'a>> {
    if let Some((user, key)) = snapshot.access_key(access_key_id) {
        let (account_id, principal) = (user.account_id, Principal::User(Arc::clone(user)));
        let known = Known { account_id, principal, issued_at: None, key: Cow::Borrowed(key) };
        return (key.status == KeyStatus::Active).then_some(known);
    }
    let (session, key) = snapshot.issuer_key()?.open(session_token?, access_key_id)?;
    let Session { account_id, issued_at, actor, .. } = session;
    let principal = match actor {
        Actor::Instance(source) => Principal::Instance(Box::new(source)),
        Actor::Role(session) => {
            let role = snapshot.role(account_id, &session.role)?;
            let is_it = role.unique_id() == session.role_id;
            is_it.then(|| Principal::Role(Arc::clone(role), Box::new(session)))?
        }
        Actor::User(session) => {
            let user = find_user(snapshot, account_id, &session.name)?;
            let is_it = user.unique_id() == session.id;
            is_it.then_some(Principal::User(user))?
        }
    };
    Some(Known { account_id, principal, issued_at: Some(issued_at), key: Cow::Owned(key) })
}

fn find_user(snapshot: &Snapshot, account_id: AccountId, name: &RoleName) -> Option<Arc<User>> {
    let administrator = || {
        let user = snapshot.administrator()?.user();
        (user.account_id == account_id && user.name == *name).then(|| Arc::new(user))
    };
    snapshot.user(account_id, name).cloned().or_else(administrator)
}

impl Caller {
    /// Whoever has a key, in the partition of the region that is asked.
    pub(crate) fn of_key(known: Known<'_>, region: &Region) -> Self {
        let Known { account_id, principal, issued_at, .. } = known;
        Self { account_id, principal, issued_at, partition: region.partition() }
    }

    /// A user, in the partition of a region.
    pub(crate) fn of_user(user: User, region: &Region) -> Self {
        let (account_id, principal) = (user.account_id, Principal::User(Arc::new(user)));
        Self { account_id, principal, issued_at: None, partition: region.partition() }
    }

    /// The same one in another snapshot, with the policies, groups and tags that it has there; nothing if
    /// it is no more.
    pub(crate) fn now(&self, snapshot: &Snapshot) -> Option<Self> {
        let principal = match &self.principal {
            Principal::Instance(source) => Principal::Instance(source.clone()),
            Principal::Role(role, session) => {
                let now = snapshot.role(self.account_id, &role.name)?;
                let is_it = now.unique_id() == role.unique_id();
                is_it.then(|| Principal::Role(Arc::clone(now), session.clone()))?
            }
            Principal::User(user) => {
                let now = find_user(snapshot, self.account_id, &user.name)?;
                let is_it = now.unique_id() == user.unique_id();
                is_it.then_some(Principal::User(now))?
            }
        };
        Some(Self { principal, ..self.clone() })
    }

    /// The administrator, whom whoever may use the admin socket is; none before the first start.
    pub(crate) fn operator(snapshot: &Snapshot) -> Option<Self> {
        let user = snapshot.administrator()?.user();
        Some(Self::of_user(user, &Instance::default_instance().region))
    }

    /// Whether credentials of this kind are good for a request at all. AWS: those of `GetSessionToken`
    /// are good for no call of IAM, and of STS for few, unless they were had with a second factor, which
    /// there is not here.
    pub(crate) fn may_ask(&self, route: &Route) -> bool {
        let is_user_session =
            matches!(self.principal, Principal::User(_)) && self.issued_at.is_some();
        match route.service {
            Service::CloudWatch | Service::Ec2 | Service::Organizations => true,
            Service::Iam => !is_user_session,
            Service::Sts => {
                let known = ["AssumeRole", "GetCallerIdentity", "GetSessionToken"];
                !is_user_session || known.contains(&route.action.as_str())
            }
        }
    }

    /// The ARN, such as `arn:aws:iam::123456789012:user/admin` or
    /// `arn:aws:sts::123456789012:assumed-role/app/i-1234567890abcdef0`.
    pub(crate) fn arn(&self) -> String {
        let Self { account_id, partition, .. } = self;
        let in_role = |role: &str, session: &str| {
            format!("arn:{partition}:sts::{account_id}:assumed-role/{role}/{session}")
        };
        match &self.principal {
            Principal::Instance(source) => in_role(INSTANCE_ROLE, &source.id.text()),
            Principal::Role(role, session) => in_role(role.name.as_str(), session.name.as_str()),
            Principal::User(user) => user.arn(partition),
        }
    }

    /// The unique id, such as `AIDACKCEVSQ6C2EXAMPLE` or `AROACKCEVSQ6C2EXAMPLE:i-1234567890abcdef0`.
    pub(crate) fn user_id(&self) -> String {
        match &self.principal {
            Principal::Instance(source) => {
                format!("{}:{INSTANCE_ROLE}:{}", self.account_id, source.id)
            }
            Principal::Role(role, session) => format!("{}:{}", role.unique_id(), session.name),
            Principal::User(user) => user.unique_id().to_string(),
        }
    }

    /// The instance that read the credentials, if one did.
    pub(crate) fn source(&self) -> Option<&SourceInstance> {
        match &self.principal {
            Principal::Instance(source) => Some(source),
            Principal::Role(_, session) => session.source.as_ref(),
            Principal::User(_) => None,
        }
    }

    /// The ARN as it is kept with what the caller makes.
    pub(crate) fn line(&self) -> Line {
        #[expect(clippy::expect_used, reason = "made of words that are lines")]
        self.arn().parse().expect("is a line")
    }
}

#[cfg(test)]
mod tests;
