//! Who may use the management APIs.

use serde::{Deserialize, Serialize};

use crate::{AccountId, Line, RoleName, Secret, Timestamp};

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
}

/// An IAM user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Its name. EC2: the characters are those of a role's name.
    pub name: RoleName,
    /// The account it is of.
    pub account_id: AccountId,
    /// Its keys.
    #[serde(default)]
    pub access_keys: Vec<AccessKey>,
}
