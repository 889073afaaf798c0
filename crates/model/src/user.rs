//! Who may use the management APIs.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::serial::spelled;
use crate::{AccountId, IamName, IamPath, Line, Permissions, RoleName, Secret, TagKey, Timestamp};

spelled! {
    /// Whether an access key is good for anything.
    KeyStatus, "the status of an access key" {
        /// Requests signed with it are let in.
        Active = "Active",
        /// They are refused.
        Inactive = "Inactive",
    }
}

/// A key that requests are signed with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessKey {
    /// Its id, such as `AKIAIOSFODNN7EXAMPLE`.
    #[serde(rename = "access_key_id")]
    pub id: Line,
    /// Its secret.
    #[serde(rename = "secret_access_key")]
    pub secret: Secret<String>,
    /// The token that every request must show which is signed with a temporary key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Secret<String>>,
    /// When a temporary key ends; one that was borrowed elsewhere ends where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Timestamp>,
    /// Whether it is good for anything.
    #[serde(default = "active", skip_serializing_if = "is_active")]
    pub status: KeyStatus,
    /// When it was created.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub created: Timestamp,
}

impl AccessKey {
    /// Makes a lasting key.
    pub fn new(id: Line, secret: Secret<String>, created: Timestamp) -> Self {
        Self { id, secret, session_token: None, expiration: None, status: active(), created }
    }
}

fn active() -> KeyStatus {
    KeyStatus::Active
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls takes a reference")]
fn is_active(status: &KeyStatus) -> bool {
    *status == KeyStatus::Active
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls takes a reference")]
fn is_unknown(time: &Timestamp) -> bool {
    *time == Timestamp::default()
}

/// An IAM user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Its name. EC2: the characters are those of a role's name.
    pub name: RoleName,
    /// The account it is of.
    pub account_id: AccountId,
    /// Its path.
    #[serde(default)]
    pub path: IamPath,
    /// Its unique id, such as `AIDA…`; none if it is drawn from account and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Line>,
    /// When it was created.
    #[serde(default)]
    pub created: Timestamp,
    /// Its keys.
    #[serde(default)]
    pub access_keys: Vec<AccessKey>,
    /// The groups that it is in.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<IamName>,
    /// What it may do.
    #[serde(default, skip_serializing_if = "Permissions::is_empty")]
    pub permissions: Permissions,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<TagKey, Box<str>>,
}

impl User {
    /// Makes a user without keys and policies, as a description that says nothing else means it.
    pub fn described(account_id: AccountId, name: RoleName) -> Self {
        Self {
            name,
            account_id,
            path: IamPath::default(),
            id: None,
            created: Timestamp::default(),
            access_keys: Vec::new(),
            groups: BTreeSet::new(),
            permissions: Permissions::default(),
            tags: BTreeMap::new(),
        }
    }
}
