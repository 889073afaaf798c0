//! Whom a resource policy names.

use crate::request::{Principal, PrincipalKind};

/// A `Principal`, or a `NotPrincipal`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principals {
    pub(crate) sense: Sense,
    pub(crate) named: Box<[Named]>,
}

/// Whether a list names what it is about, or everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sense {
    These,
    AllButThese,
}

/// One principal, as a document names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Everyone,
    Account(Box<str>),
    /// A user, a role, a session or a federated user.
    Arn(Box<str>),
    Service(Box<str>),
    Federated(Box<str>),
    /// A canonical user of S3's: nobody here has such an id.
    Canonical,
}

/// How closely a statement names who asks: what it allows by itself depends on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Naming {
    /// By the account: what its identity policies allow is left to them.
    Account,
    /// As one of everybody.
    Everyone,
    /// By the role of the session.
    Role,
    /// As the service, or by the provider: there is nobody else behind that name.
    Provider,
    /// As the user.
    User,
    /// As the very session.
    Session,
}

impl Named {
    /// Reads a value of `"AWS"`.
    pub(crate) fn aws(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everyone);
        }
        let is_account = |id: &str| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit());
        if is_account(text) {
            return Some(Self::Account(text.into()));
        }
        let mut parts = text.splitn(6, ':');
        let (arn, partition) = (parts.next()?, parts.next()?);
        let (service, region) = (parts.next()?, parts.next()?);
        let (account, name) = (parts.next()?, parts.next()?);
        let shaped = arn == "arn" && partition.starts_with("aws") && region.is_empty();
        if !shaped || !is_account(account) || text.contains(['*', '?']) {
            return None;
        }
        let kinds: &[&str] = match service {
            "iam" if name == "root" => return Some(Self::Account(account.into())),
            "iam" => &["user/", "role/"],
            "sts" => &["assumed-role/", "federated-user/"],
            _ => return None,
        };
        let named = kinds.iter().find_map(|kind| name.strip_prefix(kind));
        named.is_some_and(|name| !name.is_empty()).then(|| Self::Arn(text.into()))
    }

    fn names(&self, principal: &Principal) -> Option<Naming> {
        match self {
            Self::Everyone => Some(Naming::Everyone),
            Self::Account(account) => {
                let own = principal.account.as_ref()?;
                (own.as_str() == &**account).then_some(Naming::Account)
            }
            Self::Arn(arn) if **arn == *principal.arn => Some(match principal.kind {
                PrincipalKind::User { .. } => Naming::User,
                PrincipalKind::Federated { .. }
                | PrincipalKind::RoleSession { .. }
                | PrincipalKind::ServiceLinkedSession { .. } => Naming::Session,
                PrincipalKind::Anonymous | PrincipalKind::Root | PrincipalKind::Service { .. } => {
                    return None;
                }
            }),
            Self::Arn(arn) => (principal.role()? == &**arn).then_some(Naming::Role),
            Self::Service(service) => match &principal.kind {
                PrincipalKind::Service { name } => {
                    (**service == **name).then_some(Naming::Provider)
                }
                PrincipalKind::Anonymous
                | PrincipalKind::Federated { .. }
                | PrincipalKind::Root
                | PrincipalKind::RoleSession { .. }
                | PrincipalKind::ServiceLinkedSession { .. }
                | PrincipalKind::User { .. } => None,
            },
            Self::Federated(known) => match &principal.kind {
                PrincipalKind::Federated { provider } => {
                    (**known == **provider).then_some(Naming::Provider)
                }
                PrincipalKind::Anonymous
                | PrincipalKind::Root
                | PrincipalKind::RoleSession { .. }
                | PrincipalKind::Service { .. }
                | PrincipalKind::ServiceLinkedSession { .. }
                | PrincipalKind::User { .. } => None,
            },
            Self::Canonical => None,
        }
    }
}

impl Principals {
    /// Says how closely this is about who asks: `None` if it is not.
    pub(crate) fn names(&self, principal: &Principal) -> Option<Naming> {
        match self.sense {
            Sense::These => self.namings(principal).max(),
            Sense::AllButThese => (!self.excepts(principal)).then_some(Naming::Everyone),
        }
    }

    fn namings(&self, principal: &Principal) -> impl Iterator<Item = Naming> {
        self.named.iter().filter_map(|named| named.names(principal))
    }

    /// EC2: a `NotPrincipal` that denies is held against the account, then the role or the user. So
    /// who belongs to an account is excepted only if both are named.
    fn excepts(&self, principal: &Principal) -> bool {
        let has =
            |wanted: &[Naming]| self.namings(principal).any(|naming| wanted.contains(&naming));
        let has_account = || has(&[Naming::Account]);
        has(&[Naming::Everyone])
            || match principal.kind {
                PrincipalKind::Anonymous => false,
                PrincipalKind::Root => has_account(),
                PrincipalKind::Service { .. } | PrincipalKind::Federated { .. } => {
                    has(&[Naming::Provider])
                }
                PrincipalKind::RoleSession { .. }
                | PrincipalKind::ServiceLinkedSession { .. }
                | PrincipalKind::User { .. } => {
                    has_account() && has(&[Naming::Role, Naming::Session, Naming::User])
                }
            }
    }
}
