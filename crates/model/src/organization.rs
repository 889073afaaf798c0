//! An organization: its accounts in a tree of units, and the policies that are attached to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::serial::{spelled, written_as_text};
use crate::{AccountId, Line, PolicyDocument, TagKey, Timestamp};

macro_rules! organization_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $example:literal, $is:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Returns the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let is: fn(&str) -> bool = $is;
                if is(text) {
                    Ok(Self(text.into()))
                } else {
                    let text = crate::id::quoted(text);
                    Err(format!("`{text}` is not {}: use one such as `{}`", $what, $example))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        written_as_text!($name);
    };
}

/// Whether a text has so many lower-case letters and digits, and nothing else.
fn is_plain(text: &str, min: usize, max: usize) -> bool {
    let is_known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (min..=max).contains(&text.len()) && text.bytes().all(is_known)
}

organization_id! {
    /// The id of an organization: `o-` and 10 to 32 lower-case letters and digits.
    OrganizationId, "the id of an organization", "o-exampleorgid",
    |text| text.strip_prefix("o-").is_some_and(|rest| is_plain(rest, 10, 32))
}

organization_id! {
    /// The id of a root: `r-` and 4 to 32 lower-case letters and digits.
    RootId, "the id of a root", "r-examplerootid",
    |text| text.strip_prefix("r-").is_some_and(|rest| is_plain(rest, 4, 32))
}

organization_id! {
    /// The id of an organizational unit: `ou-`, what stands in the root's id, `-`, and 8 to 32
    /// lower-case letters and digits.
    OrganizationalUnitId, "the id of an organizational unit", "ou-examplerootid-exampleouid",
    |text| {
        let parts = text.strip_prefix("ou-").and_then(|rest| rest.split_once('-'));
        parts.is_some_and(|(root, unit)| is_plain(root, 4, 32) && is_plain(unit, 8, 32))
    }
}

organization_id! {
    /// The id of a policy: `p-` and 8 to 128 letters, digits and `_`.
    PolicyId, "the id of a policy", "p-examplepolicyid",
    |text| {
        let is_known = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let rest = text.strip_prefix("p-");
        rest.is_some_and(|rest| (8..=128).contains(&rest.len()) && rest.bytes().all(is_known))
    }
}

organization_id! {
    /// The id of a request for an account: `car-` and 8 to 32 lower-case letters and digits.
    AccountRequestId, "the id of a request for an account", "car-examplecarid111",
    |text| text.strip_prefix("car-").is_some_and(|rest| is_plain(rest, 8, 32))
}

/// What policies of an organization are attached to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// An account.
    Account(AccountId),
    /// The root.
    Root(RootId),
    /// An organizational unit.
    Unit(OrganizationalUnitId),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = |_| {
            let text = crate::id::quoted(text);
            format!("`{text}` is neither a root, nor an organizational unit, nor an account")
        };
        if text.starts_with("r-") {
            text.parse().map(Self::Root)
        } else if text.starts_with("ou-") {
            text.parse().map(Self::Unit)
        } else {
            text.parse().map(Self::Account).map_err(refused)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(id) => id.fmt(f),
            Self::Root(id) => id.fmt(f),
            Self::Unit(id) => id.fmt(f),
        }
    }
}

written_as_text!(Target);

spelled! {
    /// The types of an organization's policies that we know.
    PolicyType, "a type of policy" {
        /// Attributes of EC2 that the service itself enforces.
        DeclarativePolicyEc2 = "DECLARATIVE_POLICY_EC2",
        /// What may be done with the resources of accounts.
        ResourceControlPolicy = "RESOURCE_CONTROL_POLICY",
        /// What users and roles of accounts may do.
        ServiceControlPolicy = "SERVICE_CONTROL_POLICY",
    }
}

/// An organizational unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganizationalUnit {
    /// Its name, unique below its parent.
    pub name: Line,
    /// What it is in: a unit, or the root if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<OrganizationalUnitId>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<TagKey, Box<str>>,
    /// Whether the config file describes it: then it goes when the file no longer does. What an API
    /// made stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub described: bool,
}

/// An account of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name.
    pub name: Line,
    /// Its electronic mail address, unique in the organization.
    pub email: Line,
    /// What it is in: a unit, or the root if none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<OrganizationalUnitId>,
    /// When it joined.
    #[serde(default)]
    pub joined: Timestamp,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<TagKey, Box<str>>,
    /// Whether the config file describes it, as with units.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub described: bool,
}

/// A request for an account, as it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountRequest {
    /// The name that was asked for.
    pub name: Line,
    /// When.
    pub requested: Timestamp,
    /// The account that was made; none if another has its electronic mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_id: Option<AccountId>,
}

/// An organization: a root, units below it, and accounts in them. There is one, or none.
///
/// INVARIANT: every parent is a unit of the organization, following parents ends at the root, and the
/// management account is one of the accounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// The id of its root.
    pub root_id: RootId,
    /// The account that the organization belongs to. No control policy binds it.
    pub management_account_id: AccountId,
    /// The types of policies that are in force.
    #[serde(default)]
    pub policy_types: BTreeSet<PolicyType>,
    /// Its units.
    #[serde(default)]
    pub units: BTreeMap<OrganizationalUnitId, OrganizationalUnit>,
    /// Its accounts.
    pub accounts: BTreeMap<AccountId, Member>,
    /// The newest requests for accounts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub account_requests: BTreeMap<AccountRequestId, AccountRequest>,
    /// The tags of its root.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub root_tags: BTreeMap<TagKey, Box<str>>,
}

impl Organization {
    // LIMIT: AWS's.
    /// How many units may be below each other.
    pub const DEPTH_MAX: usize = 5;

    /// Returns the way to an account: the root, the units, the account. Empty if it is no member.
    pub fn way_to(&self, account_id: AccountId) -> Vec<Target> {
        let Some(member) = self.accounts.get(&account_id) else {
            return Vec::new();
        };
        let mut way = vec![Target::Account(account_id)];
        let mut parent = member.parent.as_ref();
        // Bounded, also if what was stored is damaged.
        for _ in 0..=self.units.len() {
            let Some(id) = parent else { break };
            way.push(Target::Unit(id.clone()));
            parent = self.units.get(id).and_then(|unit| unit.parent.as_ref());
        }
        way.push(Target::Root(self.root_id.clone()));
        way.reverse();
        way
    }

    /// Returns whether it has a target.
    pub fn has(&self, target: &Target) -> bool {
        match target {
            Target::Account(id) => self.accounts.contains_key(id),
            Target::Root(id) => *id == self.root_id,
            Target::Unit(id) => self.units.contains_key(id),
        }
    }
}

/// A policy of an organization.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlPolicy {
    /// Its id.
    pub id: PolicyId,
    /// Its name, unique among those of its type.
    pub name: Line,
    /// What it is for; often empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Line>,
    /// Its type.
    #[serde(rename = "type")]
    pub type_: PolicyType,
    /// Its content.
    pub content: PolicyDocument,
    /// What it is attached to.
    #[serde(default)]
    pub targets: BTreeSet<Target>,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<TagKey, Box<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_an_account_begins_at_the_root() {
        let line = |text: &str| -> Line { text.parse().unwrap() };
        let unit = |name: &str, parent: Option<&str>| OrganizationalUnit {
            name: line(name),
            parent: parent.map(|id| id.parse().unwrap()),
            tags: BTreeMap::new(),
            described: false,
        };
        let member = |name: &str, parent: Option<&str>| Member {
            name: line(name),
            email: line("a@example.org"),
            parent: parent.map(|id| id.parse().unwrap()),
            joined: Timestamp::default(),
            tags: BTreeMap::new(),
            described: false,
        };
        let first: AccountId = "111111111111".parse().unwrap();
        let second: AccountId = "222222222222".parse().unwrap();
        let organization = Organization {
            id: "o-exampleorgid".parse().unwrap(),
            root_id: "r-ab12".parse().unwrap(),
            management_account_id: first,
            policy_types: BTreeSet::new(),
            units: BTreeMap::from([
                ("ou-ab12-aaaaaaaa".parse().unwrap(), unit("outer", None)),
                ("ou-ab12-bbbbbbbb".parse().unwrap(), unit("inner", Some("ou-ab12-aaaaaaaa"))),
            ]),
            accounts: BTreeMap::from([
                (first, member("management", None)),
                (second, member("work", Some("ou-ab12-bbbbbbbb"))),
            ]),
            account_requests: BTreeMap::new(),
            root_tags: BTreeMap::new(),
        };
        let way = |id| -> Vec<String> {
            organization.way_to(id).iter().map(ToString::to_string).collect()
        };
        assert_eq!(way(first), ["r-ab12", "111111111111"]);
        assert_eq!(way(second), ["r-ab12", "ou-ab12-aaaaaaaa", "ou-ab12-bbbbbbbb", "222222222222"]);
        assert!(way("333333333333".parse().unwrap()).is_empty());
        for target in organization.way_to(second) {
            assert!(organization.has(&target));
            assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }
    }

    #[test]
    fn ids_have_their_shapes() {
        assert!("p-FullAWSAccess".parse::<PolicyId>().is_ok());
        for bad in ["p-short", "p-with-dash-in-it", "x-FullAWSAccess", ""] {
            assert!(bad.parse::<PolicyId>().is_err(), "{bad}");
        }
        for bad in ["ou-ab12", "ou-ab12-short", "ou-AB12-aaaaaaaa", "r-ab12-aaaaaaaa"] {
            assert!(bad.parse::<OrganizationalUnitId>().is_err(), "{bad}");
        }
        assert!("r-ab1".parse::<RootId>().is_err());
        assert!("o-short".parse::<OrganizationId>().is_err());
    }
}
