//! What tables say of an organization, and why that may be none.

use std::collections::{BTreeMap, BTreeSet};

use model::{
    AccountId, Line, Organization, OrganizationId, OrganizationalUnitId, PolicyDocument, PolicyId,
    PolicyType, RootId, TagKey,
};
use serde::Deserialize;

/// An organization, as tables say it.
#[derive(Clone, Debug)]
pub struct DescribedOrganization {
    /// Its id; drawn from the management account if none is said.
    pub id: Option<OrganizationId>,
    /// The id of its root, likewise.
    pub root_id: Option<RootId>,
    /// The account that it belongs to.
    pub management_account_id: AccountId,
    /// The types of policies that are in force; those of its policies if none are said.
    pub policy_types: Option<BTreeSet<PolicyType>>,
    /// Its units.
    pub units: Vec<DescribedUnit>,
    /// Its accounts; the management account need not be among them.
    pub accounts: Vec<DescribedAccount>,
    /// Its policies.
    pub policies: Vec<DescribedPolicy>,
}

/// An organizational unit.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedUnit {
    /// Its id; drawn from its place if none is said.
    #[serde(default)]
    pub id: Option<OrganizationalUnitId>,
    /// Its name.
    pub name: Line,
    /// The unit that it is in, by name, path or id; the root if none is named.
    #[serde(default)]
    pub parent: Option<String>,
}

/// An account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedAccount {
    /// Its id.
    pub id: AccountId,
    /// Its name; its id if none is said.
    #[serde(default)]
    pub name: Option<Line>,
    /// Its electronic mail address; one of example.com if none is said.
    #[serde(default)]
    pub email: Option<Line>,
    /// The unit that it is in, by name, path or id; the root if none is named.
    #[serde(default)]
    pub parent: Option<String>,
}

/// A policy.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DescribedPolicy {
    /// Its id; drawn from its name if none is said.
    #[serde(default)]
    pub id: Option<PolicyId>,
    /// Its name.
    pub name: Line,
    /// What it is for.
    #[serde(default)]
    pub description: Option<Line>,
    /// Its type.
    #[serde(rename = "type")]
    pub type_: PolicyType,
    /// Its content. The policies of AWS have theirs.
    #[serde(default)]
    pub content: Option<PolicyDocument>,
    /// What it is attached to: `root`, units by name, path or id, and accounts by id.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: BTreeMap<TagKey, Box<str>>,
}

/// The table that says something, by its place among those of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrganizationTable {
    /// `[organization]` itself.
    Head,
    /// `[[organization.account]]`.
    Account(usize),
    /// `[[organization.policy]]`.
    Policy(usize),
    /// `[[organization.unit]]`.
    Unit(usize),
}

/// Why a description is not that of an organization.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrganizationRefusal {
    /// A name that several units have.
    #[error("several units have the name `{0}`: use a path, such as `Workloads/{0}`, or an id")]
    Ambiguous(String),
    /// A unit that is below itself.
    #[error("the unit `{0}` is below itself: leave out the `parent` of one of the units above it")]
    Circle(Line),
    /// Content for a policy that has its own.
    #[error("`{0}` is a policy of AWS, which has its content: leave out `content`")]
    ContentOfAws(Line),
    /// A policy without content.
    #[error(
        "the policy `{0}` has no `content`: write a document, or name a file with {{ file = \"…\" }}"
    )]
    NoContent(Line),
    /// Another root or management account, and accounts that only the old one binds.
    #[error(
        "the state has the account {0}, which an API made, in an organization with another root or \
         management account: its policies would bind it no more. Describe the account here, or keep \
         `root_id` and `management_account_id` as they were"
    )]
    Frees(AccountId),
    /// A declarative policy that cannot be read.
    #[error("the policy `{0}` is no declarative policy: {1}")]
    BadContent(Line, String),
    /// A name that no unit has.
    #[error(
        "there is no unit `{0}`: name one of the [[organization.unit]] tables, by its name, its \
         path such as `Workloads/Production`, or its id; or `root`"
    )]
    NoUnit(String),
    /// A name that no target has.
    #[error(
        "there is no target `{0}`: use `root`, the name, path or id of a unit, or the id of an \
         account of the organization"
    )]
    NoTarget(String),
    /// The id of a unit of another root.
    #[error("`{unit}` is not an id of a unit below the root `{root}`: it begins with `ou-{}-`",
        .root.as_str().trim_start_matches("r-"))]
    OtherRoot {
        /// The id.
        unit: OrganizationalUnitId,
        /// The root.
        root: RootId,
    },
    /// Too many units above each other.
    #[error(
        "the unit `{0}` has too many units above it: AWS has {max} below each other at most",
        max = Organization::DEPTH_MAX
    )]
    TooDeep(Line),
    /// Something that stands there twice.
    #[error("{0} is described twice: keep one of the tables")]
    Twice(String),
    /// A policy is attached whose type is not in force.
    #[error(
        "the policy `{name}` is attached, and `policy_types` does not name {type_}: add it there, \
         or leave out `targets`"
    )]
    TypeNotInForce {
        /// The policy.
        name: Line,
        /// Its type.
        type_: PolicyType,
    },
}
