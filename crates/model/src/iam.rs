//! What IAM keeps of an account: groups, instance profiles, policies, and what they have in common
//! with roles and users.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::serial::{spelled, written_as_text};
use crate::{AccountId, Line, Role, RoleName, TagKey, Timestamp, User, spread};

/// The name of a group, an instance profile or a policy: 1 to 128 letters, digits and `+=,.@_-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IamName(Box<str>);

impl IamName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IamName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
        if (1..=128).contains(&text.len()) && text.bytes().all(plain) {
            Ok(Self(text.into()))
        } else {
            let text = crate::id::quoted(text);
            Err(format!("`{text}` is not a name: use 1 to 128 letters, digits and `+=,.@_-`"))
        }
    }
}

impl From<RoleName> for IamName {
    /// Names of roles and users are shorter.
    fn from(name: RoleName) -> Self {
        Self(name.as_str().into())
    }
}

impl fmt::Display for IamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

written_as_text!(IamName);

/// The path of what IAM keeps: `/`, or words between slashes, such as `/division/team/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IamPath(Box<str>);

impl IamPath {
    /// LIMIT: IAM's.
    const BYTES_MAX: usize = 512;

    /// Returns the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for IamPath {
    fn default() -> Self {
        Self("/".into())
    }
}

impl FromStr for IamPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_framed =
            text == "/" || (text.len() > 2 && text.starts_with('/') && text.ends_with('/'));
        // `*` and `?` would be wildcards in the ARNs of policies.
        let is_plain = |b: u8| b.is_ascii_graphic() && !b"*?:".contains(&b);
        if is_framed && text.len() <= Self::BYTES_MAX && text.bytes().all(is_plain) {
            Ok(Self(text.into()))
        } else {
            let text = crate::id::quoted(text);
            Err(format!("`{text}` is not a path: use `/`, or one such as `/division/team/`"))
        }
    }
}

impl fmt::Display for IamPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

written_as_text!(IamPath);

/// The text of a policy document, as it was given. Whoever keeps one has compiled it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyDocument(Arc<str>);

impl PolicyDocument {
    /// Takes a text.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trust policy of roles for instances: EC2 may assume them.
    pub fn trust_of_ec2() -> Self {
        Self::new(
            "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\
             \"Principal\":{\"Service\":\"ec2.amazonaws.com\"},\"Action\":\"sts:AssumeRole\"}]}",
        )
    }
}

/// The ARN of a managed policy: AWS's, such as `arn:aws:iam::aws:policy/AdministratorAccess`, or an
/// account's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyArn {
    text: Box<str>,
    account_id: Option<AccountId>,
    name: IamName,
}

impl PolicyArn {
    /// Returns the ARN.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the account that keeps the policy; none if it is AWS's.
    pub fn account_id(&self) -> Option<AccountId> {
        self.account_id
    }

    /// Returns the name, without the path.
    pub fn name(&self) -> &IamName {
        &self.name
    }
}

impl FromStr for PolicyArn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            let text = crate::id::quoted(text);
            format!(
                "`{text}` is not the ARN of a policy: use one such as \
                 `arn:aws:iam::aws:policy/AdministratorAccess`"
            )
        };
        let rest = text.strip_prefix("arn:aws").and_then(|rest| rest.split_once(":iam::"));
        let (partition, rest) = rest.ok_or_else(refused)?;
        let (account, rest) = rest.split_once(":policy").ok_or_else(refused)?;
        let (path, name) = rest.rsplit_once('/').ok_or_else(refused)?;
        let path: IamPath = format!("{path}/").parse().map_err(|_| refused())?;
        let is_partition = partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        let account_id = match account {
            "aws" => None,
            account => Some(account.parse().map_err(|_| refused())?),
        };
        let name = name.parse().map_err(|_| refused())?;
        if !is_partition || path.as_str().contains("//") {
            return Err(refused());
        }
        Ok(Self { text: text.into(), account_id, name })
    }
}

impl fmt::Display for PolicyArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

written_as_text!(PolicyArn);

/// The policies of a group, a role or a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Permissions {
    /// The managed policies that are attached.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub attached: BTreeSet<PolicyArn>,
    /// The policies that are written into it, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub inline: BTreeMap<IamName, PolicyDocument>,
    /// The managed policy that bounds the others. A group has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boundary: Option<PolicyArn>,
}

impl Permissions {
    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A group of users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its name.
    pub name: IamName,
    /// The account it is of.
    pub account_id: AccountId,
    /// Its path.
    #[serde(default)]
    pub path: IamPath,
    /// Its unique id, such as `AGPA…`; none if it is drawn from account and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Line>,
    /// When it was created.
    #[serde(default)]
    pub created: Timestamp,
    /// What its users may do.
    #[serde(default, skip_serializing_if = "Permissions::is_empty")]
    pub permissions: Permissions,
}

/// An instance profile, as IAM keeps it. Instances hold what they need of theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredInstanceProfile {
    /// Its name.
    pub name: IamName,
    /// The account it is of.
    pub account_id: AccountId,
    /// Its path.
    #[serde(default)]
    pub path: IamPath,
    /// Its unique id, such as `AIPA…`; none if it is drawn from account and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Line>,
    /// When it was created.
    #[serde(default)]
    pub created: Timestamp,
    /// The role in it. EC2: one at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<TagKey, Box<str>>,
}

/// A managed policy of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManagedPolicy {
    /// Its name.
    pub name: IamName,
    /// The account it is of.
    pub account_id: AccountId,
    /// Its path.
    #[serde(default)]
    pub path: IamPath,
    /// Its unique id, such as `ANPA…`; none if it is drawn from account and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Line>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Line>,
    /// When it was created.
    #[serde(default)]
    pub created: Timestamp,
    /// Its versions, by number; never empty. EC2: five at most.
    pub versions: BTreeMap<u32, PolicyVersion>,
    /// The version in force: one of `versions`.
    pub default_version: u32,
    /// The highest number that a version has had, if that version is gone: none is given twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_version: Option<u32>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<TagKey, Box<str>>,
}

impl ManagedPolicy {
    /// Returns the document in force; an empty text, which allows nothing, if there is none.
    pub fn document(&self) -> &str {
        self.versions.get(&self.default_version).map_or("", |version| version.document.as_str())
    }

    /// Returns the number of the next version.
    pub fn next_version(&self) -> u32 {
        let newest = self.versions.keys().next_back().copied();
        newest.max(self.last_version).unwrap_or(0).saturating_add(1)
    }
}

/// A version of a managed policy. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyVersion {
    /// The document.
    pub document: PolicyDocument,
    /// When it was created.
    #[serde(default)]
    pub created: Timestamp,
}

spelled! {
    /// The kinds of what IAM keeps.
    IamKind, "a kind of what IAM keeps" {
        /// See [`Group`].
        Group = "group",
        /// See [`RegisteredInstanceProfile`].
        InstanceProfile = "instance-profile",
        /// See [`ManagedPolicy`].
        Policy = "policy",
        /// See [`Role`].
        Role = "role",
        /// See [`User`].
        User = "user",
    }
}

impl IamKind {
    /// What the unique ids of this kind start with.
    pub const fn id_prefix(self) -> &'static str {
        match self {
            Self::Group => "AGPA",
            Self::InstanceProfile => "AIPA",
            Self::Policy => "ANPA",
            Self::Role => "AROA",
            Self::User => "AIDA",
        }
    }
}

/// What tells one thing that IAM keeps from all others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IamKey {
    /// The account.
    pub account_id: AccountId,
    /// The kind.
    pub kind: IamKind,
    /// The name, without the path.
    pub name: IamName,
}

impl IamKey {
    /// Returns the unique id that is drawn from account, kind, name, and when it was created: the prefix
    /// of the kind and 17 letters and digits. What comes after it under its name has another one.
    pub fn drawn_id(&self, created: Timestamp) -> Line {
        // Written to the second.
        let since = created.as_seconds();
        let seed = format!("{}/{}/{}/{since}", self.account_id, self.kind, self.name);
        let number = u128::from(spread(&seed)) << 64 | u128::from(spread(&format!("{seed}/id")));
        unique_id(self.kind, number)
    }
}

impl fmt::Display for IamKey {
    /// Writes kind, account and name, parted by `/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.kind, self.account_id, self.name)
    }
}

/// Makes a unique id of the lowest 85 bits of a number.
pub fn unique_id(kind: IamKind, number: u128) -> Line {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digit = |place: u32| {
        let index = usize::try_from(number >> (5 * place) & 31).unwrap_or(0);
        char::from(DIGITS.get(index).copied().unwrap_or(b'A'))
    };
    let text: String = kind.id_prefix().chars().chain((0..17).map(digit)).collect();
    #[expect(clippy::expect_used, reason = "letters and digits")]
    text.parse().expect("is a line")
}

/// One thing that IAM keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Iam {
    /// A group.
    Group(Arc<Group>),
    /// An instance profile.
    InstanceProfile(Arc<RegisteredInstanceProfile>),
    /// A managed policy.
    Policy(Arc<ManagedPolicy>),
    /// A role.
    Role(Arc<Role>),
    /// A user.
    User(Arc<User>),
}

macro_rules! kept_by_iam {
    ($($kind:ident($type:ty);)+) => {
        $(
            impl $type {
                /// Returns what tells it from all others.
                pub fn key(&self) -> IamKey {
                    let (account_id, kind) = (self.account_id, IamKind::$kind);
                    IamKey { account_id, kind, name: IamName(self.name.as_str().into()) }
                }

                /// Returns the unique id, drawn from account and name if it has none of its own.
                pub fn unique_id(&self) -> Line {
                    self.id.clone().unwrap_or_else(|| self.key().drawn_id(self.created))
                }

                /// Returns the ARN, in a partition such as `aws`.
                pub fn arn(&self, partition: &str) -> String {
                    let Self { account_id, path, name, .. } = self;
                    format!("arn:{partition}:iam::{account_id}:{}{path}{name}", IamKind::$kind)
                }
            }

            impl From<$type> for Iam {
                fn from(kept: $type) -> Self {
                    Self::$kind(Arc::new(kept))
                }
            }
        )+

        impl Iam {
            /// Returns what tells it from all others.
            pub fn key(&self) -> IamKey {
                match self {
                    $( Self::$kind(kept) => kept.key(), )+
                }
            }
        }
    };
}

kept_by_iam! {
    Group(Group);
    InstanceProfile(RegisteredInstanceProfile);
    Policy(ManagedPolicy);
    Role(Role);
    User(User);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_of_policies() {
        for (text, account) in [
            ("arn:aws:iam::aws:policy/AdministratorAccess", None),
            ("arn:aws:iam::aws:policy/service-role/X", None),
            ("arn:aws-cn:iam::123456789012:policy/team/p", Some("123456789012")),
        ] {
            let arn: PolicyArn = text.parse().unwrap();
            assert_eq!(arn.to_string(), text);
            assert_eq!(arn.account_id().map(|id| id.to_string()).as_deref(), account);
        }
        for bad in [
            "",
            "AdministratorAccess",
            "arn:aws:iam::aws:policy/",
            "arn:aws:iam::aws:policy",
            "arn:aws:iam::aws:policyX/a",
            "arn:aws:iam::1:policy/a",
            "arn:aws:iam::aws:policy//a",
            "arn:aws:iam::aws:policy/a*",
            "arn:aws:iam:us-east-1:aws:policy/a",
            "arn:AWS:iam::aws:policy/a",
        ] {
            assert!(bad.parse::<PolicyArn>().is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_are_framed_by_slashes() {
        for good in ["/", "/a/", "/a/b/"] {
            assert!(good.parse::<IamPath>().is_ok(), "{good}");
        }
        for bad in ["", "a", "/a", "a/", "//", "/a b/", "/*/"] {
            assert!(bad.parse::<IamPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_is_drawn_from_account_kind_and_name() {
        let key = IamKey {
            account_id: "123456789012".parse().unwrap(),
            kind: IamKind::Role,
            name: "app".parse().unwrap(),
        };
        let id = key.drawn_id(Timestamp::default());
        assert_ne!(id, key.drawn_id(Timestamp::from_seconds(1)), "another one of its name");
        assert!(id.starts_with("AROA") && id.len() == 21, "{id:?}");
        assert_ne!(id, IamKey { kind: IamKind::User, ..key }.drawn_id(Timestamp::default()));
    }
}
