//! Credentials of roles from outside: settings, programs and STS.
//!
//! **What is the picture?**
//!
//! ```text
//!  store ── which instance has which role ──▶ wanted ──▶ schedule: what is due
//!                                                           │
//!  guests ◀── find: never waits ── HeldCredentials ◀── keeper: program, sts
//!                                        │
//!                                     /metrics
//! ```
//!
//! They are fetched ahead, on a thread of their own, `imds-credentials`, and never in a guest's
//! request; what was fetched is served until it really ends, and nothing that has ended is served.

mod answer;
mod keeper;
mod page;
mod post;
mod program;
mod schedule;
mod sts;
mod time;
mod wanted;

use std::sync::Arc;

use arc_swap::ArcSwap;
use metadata::{Credentials, RoleCredentials};
use model::{
    CredentialSource, IamKey, InstanceId, Line, Role, RoleDelivery, RoleName, StaticCredentials,
    Timestamp,
};
use rpds::HashTrieMapSync;

pub(crate) use self::keeper::start;
use self::page::Tally;
pub(crate) use self::page::exposition;
pub use self::post::PostFault;
pub use self::program::ProgramFault;
pub use self::sts::StsFault;

/// Keys without an end are shown as ending this much later, from the hour they are read in.
const ENDLESS_SECONDS: i64 = 6 * 3600;

/// Whose credentials a set is, among those of its role: everyone's, or those that one instance reads in
/// one way.
pub(crate) type Session = Option<(InstanceId, RoleDelivery)>;

/// Why a source gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SourceFault {
    /// The program.
    #[error(transparent)]
    Program(#[from] ProgramFault),
    /// STS.
    #[error(transparent)]
    Sts(#[from] StsFault),
    /// What asks the source broke down.
    #[error("the server failed to ask its source: it is asked again")]
    Broken,
}

/// What guests are told of a fault, once they have no credentials left.
#[derive(Clone, Debug)]
struct Trouble {
    code: Line,
    message: Line,
}

/// A set of credentials of a role, or why there is none.
#[derive(Clone, Debug, Default)]
struct HeldSet {
    credentials: Option<Arc<Credentials>>,
    trouble: Option<Trouble>,
}

/// What is held for a role.
#[derive(Clone, Debug)]
struct HeldRole {
    /// The role as it was when that was fetched: of another source it says nothing.
    role: Arc<Role>,
    sets: HashTrieMapSync<Session, HeldSet>,
    tally: Arc<Tally>,
}

/// What was fetched for roles. Reading never waits.
#[derive(Debug)]
pub struct HeldCredentials {
    roles: ArcSwap<HashTrieMapSync<IamKey, HeldRole>>,
}

impl Default for HeldCredentials {
    fn default() -> Self {
        Self { roles: ArcSwap::from_pointee(HashTrieMapSync::new_sync()) }
    }
}

impl HeldCredentials {
    /// Returns what is known at `now` of the credentials of a role that `instance` has; of no role,
    /// that it has none.
    pub(crate) fn find(
        &self,
        role: Option<&Arc<Role>>,
        instance: InstanceId,
        delivery: RoleDelivery,
        now: Timestamp,
    ) -> RoleCredentials {
        let Some(role) = role else {
            return unavailable("the role has no source of credentials");
        };
        match &role.credentials {
            CredentialSource::BuiltIn { life_seconds } => {
                RoleCredentials::BuiltIn { role: Arc::clone(role), life: *life_seconds }
            }
            CredentialSource::Error { code, message } => {
                RoleCredentials::Unavailable { code: code.clone(), message: message.clone() }
            }
            CredentialSource::Process { .. } => self.find_set(role, None, now),
            CredentialSource::Static(fixed) => fixed_credentials(fixed, now),
            CredentialSource::Sts(_) => self.find_set(role, Some((instance, delivery)), now),
        }
    }

    fn find_set(&self, role: &Arc<Role>, session: Session, now: Timestamp) -> RoleCredentials {
        let roles = self.roles.load();
        let held = roles.get(&role.key()).filter(|held| is_same(&held.role, role));
        let Some(set) = held.and_then(|held| held.sets.get(&session)) else {
            return unavailable("the role's credentials have not been fetched yet");
        };
        match (&set.credentials, &set.trouble) {
            (Some(held), _) if held.expiration > now => RoleCredentials::Held(Arc::clone(held)),
            (_, Some(Trouble { code, message })) => {
                RoleCredentials::Unavailable { code: code.clone(), message: message.clone() }
            }
            (Some(_), None) => {
                unavailable("the role's credentials have ended and no new ones came")
            }
            (None, None) => unavailable("the role's credentials have not been fetched yet"),
        }
    }

    /// Begins to hold sets of a role. What was held of a role of that name with another source is
    /// forgotten.
    fn follow(&self, role: &Arc<Role>) -> Arc<Tally> {
        let before = self.roles.load().get(&role.key()).cloned();
        let tally = before.as_ref().map(|held| Arc::clone(&held.tally)).unwrap_or_default();
        let nothing = |held: HeldRole| -> HashTrieMapSync<_, _> {
            held.sets.keys().map(|session| (*session, HeldSet::default())).collect()
        };
        let sets = match before {
            None => HashTrieMapSync::new_sync(),
            Some(held) if is_same(&held.role, role) => held.sets,
            Some(held) => nothing(held),
        };
        let held = HeldRole { role: Arc::clone(role), sets, tally: Arc::clone(&tally) };
        self.roles.rcu(|roles| roles.insert(role.key(), held.clone()));
        tally
    }

    /// Forgets a role.
    fn forget_role(&self, role: &IamKey) {
        self.roles.rcu(|roles| roles.remove(role));
    }

    /// Changes a set of a role that is followed.
    fn change(&self, role: &IamKey, session: Session, set: Option<&HeldSet>) {
        self.roles.rcu(|roles| {
            let Some(held) = roles.get(role) else {
                return Arc::clone(roles);
            };
            let sets = match set {
                Some(set) => held.sets.insert(session, set.clone()),
                None => held.sets.remove(&session),
            };
            Arc::new(roles.insert(role.clone(), HeldRole { sets, ..held.clone() }))
        });
    }

    /// Keeps what was fetched.
    fn keep(&self, role: &IamKey, session: Session, credentials: Credentials) {
        let credentials = Some(Arc::new(credentials));
        self.change(role, session, Some(&HeldSet { credentials, trouble: None }));
    }

    /// Keeps what guests are told once what was fetched has ended.
    fn keep_trouble(&self, role: &IamKey, session: Session, trouble: Trouble) {
        let roles = self.roles.load();
        let held = roles.get(role).and_then(|held| held.sets.get(&session));
        let credentials = held.and_then(|set| set.credentials.clone());
        self.change(role, session, Some(&HeldSet { credentials, trouble: Some(trouble) }));
    }

    /// Begins to hold a set, of which nothing is known yet.
    fn expect(&self, role: &IamKey, session: Session) {
        let roles = self.roles.load();
        if !roles.get(role).is_some_and(|held| held.sets.contains_key(&session)) {
            self.change(role, session, Some(&HeldSet::default()));
        }
    }

    /// Forgets a set.
    fn forget(&self, role: &IamKey, session: Session) {
        self.change(role, session, None);
    }
}

/// Whether two descriptions of a role of one name are of one source.
fn is_same(one: &Arc<Role>, other: &Arc<Role>) -> bool {
    Arc::ptr_eq(one, other) || one.credentials == other.credentials
}

fn fixed_credentials(fixed: &StaticCredentials, now: Timestamp) -> RoleCredentials {
    let hour = Timestamp::from_seconds(now.as_seconds() - now.as_seconds().rem_euclid(3600));
    let expiration = fixed.expiration.unwrap_or(hour.plus_seconds(ENDLESS_SECONDS + 3600));
    if expiration <= now {
        return unavailable("the role's static credentials have ended");
    }
    RoleCredentials::Held(Arc::new(Credentials {
        access_key_id: fixed.access_key_id.to_string(),
        secret_access_key: fixed.secret_access_key.clone(),
        session_token: fixed.session_token.clone(),
        last_updated: hour,
        expiration,
    }))
}

/// Says that the trust policy of a role does not let EC2 assume it.
pub(crate) fn unauthorized(role: &RoleName) -> RoleCredentials {
    let Trouble { code, message } = untrusted(role.as_str());
    RoleCredentials::Unavailable { code, message }
}

/// EC2: trouble is a document too (data plane, 5.6).
fn untrusted(role: &str) -> Trouble {
    Trouble {
        code: line("AssumeRoleUnauthorizedAccess"),
        message: line(&format!(
            "EC2 cannot assume the role {role}. Please see documentation at \
             https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html"
        )),
    }
}

impl SourceFault {
    /// Returns what guests are told. EC2: trouble is a document too (data plane, 5.6).
    fn trouble(&self, role: &str) -> Trouble {
        match self {
            Self::Sts(StsFault::Refused { .. }) => untrusted(role),
            // What exactly is for the operator: it may name hosts, files and programs.
            Self::Broken | Self::Program(_) | Self::Sts(_) => Trouble {
                code: line("Failed"),
                message: line(&format!(
                    "the credentials of role {role} could not be fetched: they are tried again"
                )),
            },
        }
    }
}

fn unavailable(message: &str) -> RoleCredentials {
    RoleCredentials::Unavailable { code: line("Failed"), message: line(message) }
}

fn line(text: &str) -> Line {
    #[expect(clippy::expect_used, reason = "constants of this module, and names of roles in them")]
    text.parse().expect("is a line")
}

#[cfg(test)]
mod tests;
