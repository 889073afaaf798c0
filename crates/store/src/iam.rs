//! What IAM keeps, with every document compiled once, when it is kept.

use std::sync::Arc;

use model::{
    AccessKey, AccountId, Group, Iam, IamKey, IamKind, IamName, Line, ManagedPolicy, Permissions,
    PolicyArn, RegisteredInstanceProfile, Role, RoleName, User,
};
use policy::{
    Context, DocumentKind, Layers, Policy, Principal, PrincipalKind, Request, ResourcePolicies,
    decide,
};
use rpds::RedBlackTreeMapSync;

use crate::Snapshot;
use crate::snapshot::Origin;

/// Everything that IAM keeps, of all accounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct IamStore {
    all: RedBlackTreeMapSync<IamKey, Held>,
    /// Whose each access key is. The administrator's are among them.
    access_keys: RedBlackTreeMapSync<Line, Arc<User>>,
}

/// One thing, with what was compiled of it.
#[derive(Clone, Debug)]
struct Held {
    kept: Iam,
    origin: Origin,
    compiled: Arc<Compiled>,
}

/// The documents of one thing. One that cannot be read denies everything.
#[derive(Debug, Default)]
struct Compiled {
    /// Those that are written into a group, a role or a user; or the managed policy itself.
    policies: Box<[Policy]>,
    /// The trust policy of a role.
    trust: Option<Policy>,
    /// Whether that lets EC2 assume the role for instances.
    trusts_ec2: bool,
}

impl Compiled {
    fn of(kept: &Iam) -> Self {
        match kept {
            Iam::Group(group) => Self::inline(&group.permissions, DocumentKind::GroupInline),
            Iam::InstanceProfile(_) => Self::default(),
            Iam::Policy(policy) => Self {
                policies: [Policy::compile_or_deny(
                    policy.name.as_str(),
                    DocumentKind::Managed,
                    policy.document(),
                )]
                .into(),
                ..Self::default()
            },
            Iam::Role(role) => {
                let text = role.assume_role_policy_document.as_str();
                let name = format!("trust policy of {}", role.name);
                let trust = Policy::compile_or_deny(&name, DocumentKind::Trust, text);
                let trusts_ec2 = trusts_ec2(&trust, role.account_id);
                let inline = Self::inline(&role.permissions, DocumentKind::RoleInline);
                Self { trust: Some(trust), trusts_ec2, ..inline }
            }
            Iam::User(user) => Self::inline(&user.permissions, DocumentKind::UserInline),
        }
    }

    fn inline(permissions: &Permissions, kind: DocumentKind) -> Self {
        let compile = |(name, document): (&IamName, &model::PolicyDocument)| {
            Policy::compile_or_deny(name.as_str(), kind, document.as_str())
        };
        Self { policies: permissions.inline.iter().map(compile).collect(), ..Self::default() }
    }
}

/// Whether a trust policy lets EC2 assume its role.
fn trusts_ec2(trust: &Policy, account_id: AccountId) -> bool {
    let name = "ec2.amazonaws.com".to_owned();
    let principal = Principal {
        kind: PrincipalKind::Service { name: name.clone() },
        account: None,
        arn: name,
        tags: Vec::new(),
    };
    let context = Context::default();
    let request = Request::new(principal, "sts:AssumeRole", "*", account_id, context);
    let layers = Layers { resource: ResourcePolicies::Decisive(trust), ..Layers::EMPTY };
    request.is_ok_and(|request| decide(&layers, &request).is_allowed())
}

impl IamStore {
    pub(crate) fn put(&mut self, kept: Iam, origin: Origin) {
        let key = kept.key();
        self.forget_keys_of(&key);
        if let Iam::User(user) = &kept {
            self.know_keys_of(user);
        }
        let compiled = Arc::new(Compiled::of(&kept));
        self.all.insert_mut(key, Held { kept, origin, compiled });
    }

    pub(crate) fn delete(&mut self, key: &IamKey) {
        self.forget_keys_of(key);
        self.all.remove_mut(key);
    }

    pub(crate) fn know_keys_of(&mut self, user: &Arc<User>) {
        for key in &user.access_keys {
            self.access_keys.insert_mut(key.id.clone(), Arc::clone(user));
        }
    }

    fn forget_keys_of(&mut self, key: &IamKey) {
        let Some(Held { kept: Iam::User(user), .. }) = self.all.get(key).cloned() else {
            return;
        };
        for key in &user.access_keys {
            // Another user may have it by now.
            if self.access_keys.get(&key.id).is_some_and(|holder| Arc::ptr_eq(holder, &user)) {
                self.access_keys.remove_mut(&key.id);
            }
        }
    }

    fn held(&self, account_id: AccountId, kind: IamKind, name: IamName) -> Option<&Held> {
        self.all.get(&IamKey { account_id, kind, name })
    }
}

macro_rules! finders {
    ($(
        $(#[$one_doc:meta])* $one:ident($name:ty),
        $(#[$all_doc:meta])* $all:ident:
        $kind:ident -> $type:ty;
    )+) => {
        impl Snapshot {
            $(
                $(#[$one_doc])*
                pub fn $one(&self, account_id: AccountId, name: &$name) -> Option<&Arc<$type>> {
                    let name = IamName::from(name.clone());
                    let Iam::$kind(found) = &self.iam.held(account_id, IamKind::$kind, name)?.kept
                    else {
                        return None;
                    };
                    Some(found)
                }

                $(#[$all_doc])*
                pub fn $all(&self, account_id: AccountId) -> impl Iterator<Item = &Arc<$type>> {
                    self.iam_of(account_id, IamKind::$kind).filter_map(|held| {
                        let Iam::$kind(found) = &held.kept else { return None };
                        Some(found)
                    })
                }
            )+
        }
    };
}

finders! {
    /// Finds a group.
    group(IamName),
    /// Returns the groups of an account, by name.
    groups: Group -> Group;
    /// Finds an instance profile.
    instance_profile(IamName),
    /// Returns the instance profiles of an account, by name.
    instance_profiles: InstanceProfile -> RegisteredInstanceProfile;
    /// Finds a managed policy of an account.
    managed_policy(IamName),
    /// Returns the managed policies of an account, by name.
    managed_policies: Policy -> ManagedPolicy;
    /// Finds a role.
    role(RoleName),
    /// Returns the roles of an account, by name.
    roles: Role -> Role;
    /// Finds a user; the administrator is not among them.
    user(RoleName),
    /// Returns the users of an account, by name; the administrator is not among them.
    users: User -> User;
}

impl Snapshot {
    fn iam_of(&self, account_id: AccountId, kind: IamKind) -> impl Iterator<Item = &Held> {
        let all = self.iam.all.iter();
        all.skip_while(move |(key, _)| (key.account_id, key.kind) < (account_id, kind))
            .take_while(move |(key, _)| (key.account_id, key.kind) == (account_id, kind))
            .map(|(_, held)| held)
    }

    /// Returns everything that IAM keeps, of all accounts, and where each was described.
    pub fn iam(&self) -> impl Iterator<Item = (&Iam, Origin)> {
        self.iam.all.values().map(|held| (&held.kept, held.origin))
    }

    /// Finds anything that IAM keeps, and where it was described. The administrator is not among it.
    pub fn kept_by_iam(&self, key: &IamKey) -> Option<(&Iam, Origin)> {
        self.iam.all.get(key).map(|held| (&held.kept, held.origin))
    }

    /// Returns everything of a kind that IAM keeps for an account, by name.
    pub fn all_kept_by_iam(
        &self,
        account_id: AccountId,
        kind: IamKind,
    ) -> impl Iterator<Item = &Iam> {
        self.iam_of(account_id, kind).map(|held| &held.kept)
    }

    /// Returns how many things of a kind IAM keeps for an account.
    pub fn iam_count(&self, account_id: AccountId, kind: IamKind) -> usize {
        self.iam_of(account_id, kind).count()
    }

    /// Returns where something was described.
    pub fn iam_origin(&self, key: &IamKey) -> Option<Origin> {
        self.iam.all.get(key).map(|held| held.origin)
    }

    /// Returns the policies that are written into a group, a role or a user, by name.
    pub fn inline_policies(&self, key: &IamKey) -> &[Policy] {
        match self.iam.all.get(key) {
            Some(held) if key.kind != IamKind::Policy => &held.compiled.policies,
            Some(_) | None => &[],
        }
    }

    /// Returns the trust policy of a role.
    pub fn trust_policy(&self, role: &IamKey) -> Option<&Policy> {
        self.iam.all.get(role)?.compiled.trust.as_ref()
    }

    /// Returns whether EC2 may assume a role for the instances that have it.
    pub fn trusts_ec2(&self, account_id: AccountId, role: &RoleName) -> bool {
        let held = self.iam.held(account_id, IamKind::Role, role.clone().into());
        held.is_some_and(|held| held.compiled.trusts_ec2)
    }

    /// Returns the document in force of a managed policy of an account.
    pub fn policy_in_force(&self, arn: &PolicyArn) -> Option<&Policy> {
        let held = self.iam.held(arn.account_id()?, IamKind::Policy, arn.name().clone())?;
        held.compiled.policies.first()
    }

    /// Finds who has an access key, and the key. The administrator is a user too.
    pub fn access_key(&self, id: &str) -> Option<(&Arc<User>, &AccessKey)> {
        let user = self.iam.access_keys.get(&id.parse::<Line>().ok()?)?;
        user.access_keys.iter().find(|key| &*key.id == id).map(|key| (user, key))
    }
}
