//! Roles, and where their credentials come from.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::serial::{spelled, written_as_text};
use crate::{
    AccountId, IamName, IamPath, Line, Permissions, PolicyDocument, Secret, SessionLife, StsSource,
    TagKey, Timestamp,
};

/// The name of an IAM role or instance profile: 1 to 64 letters, digits and `+=,.@_-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(Box<str>);

impl RoleName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
        // `.` and `..` could not be fetched: clients resolve them before they ask.
        if (1..=64).contains(&text.len()) && text.bytes().all(plain) && !matches!(text, "." | "..")
        {
            Ok(Self(text.into()))
        } else {
            let text = crate::id::quoted(text);
            Err(format!("`{text}` is not a name: use 1 to 64 letters, digits and `+=,.@_-`"))
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

written_as_text!(RoleName);

spelled! {
    /// How role credentials were fetched: the value of the condition key `ec2:RoleDelivery`.
    RoleDelivery, "a role delivery" {
        /// Without a session token.
        V1 = "1.0",
        /// With a session token.
        V2 = "2.0",
    }
}

spelled! {
    /// Whether an attached instance profile still exists.
    InstanceProfileStatus, "an instance profile status" {
        /// It exists.
        Active = "active",
        /// It was deleted after it had been attached.
        Deleted = "deleted",
    }
}

/// The instance profile attached to an instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceProfile {
    /// The profile's name.
    pub name: IamName,
    /// The profile's id, such as `AIPAABCDEFGHIJKLMNOPQ`.
    #[serde(default = "unset_profile_id")]
    pub id: Line,
    /// The role in the profile; its name is what metadata shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<RoleName>,
    /// Whether the profile still exists.
    #[serde(default = "active")]
    pub status: InstanceProfileStatus,
}

impl InstanceProfile {
    /// Makes the profile that the console makes for a role: with the role's name.
    pub fn of_role(role: RoleName) -> Self {
        Self {
            name: IamName::from(role.clone()),
            id: unset_profile_id(),
            role: Some(role),
            status: active(),
        }
    }
}

fn unset_profile_id() -> Line {
    #[expect(clippy::expect_used, reason = "a constant that the tests parse")]
    "AIPAABCDEFGHIJKLMNOPQ".parse().expect("is a line")
}

fn active() -> InstanceProfileStatus {
    InstanceProfileStatus::Active
}

/// Long-term or borrowed keys that are handed out as they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticCredentials {
    /// The access key id.
    pub access_key_id: Line,
    /// The secret access key.
    pub secret_access_key: Secret<String>,
    /// The session token, which most consumers expect.
    pub session_token: Secret<String>,
    /// When they end; without it, each answer names a time six hours ahead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Timestamp>,
}

/// Where the credentials of a role come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "kebab-case", deny_unknown_fields)]
pub enum CredentialSource {
    /// Made here, from a key of this server.
    BuiltIn {
        /// How long they live; without it, some minutes more than six hours, as on EC2, and they
        /// change every hour.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        life_seconds: Option<SessionLife>,
    },
    /// None to be had: the role document says so, as EC2 does when a role cannot be assumed.
    Error {
        /// The `Code` of the document, such as `AssumeRoleUnauthorizedAccess`.
        code: Line,
        /// The `Message`.
        message: Line,
    },
    /// From a program that prints AWS `credential_process` JSON.
    Process {
        /// The program and its arguments; no shell reads it.
        command: Vec<String>,
    },
    /// From the settings.
    Static(StaticCredentials),
    /// From STS, elsewhere: the role is assumed for each instance that has it.
    Sts(StsSource),
}

impl CredentialSource {
    /// Returns the word that the source goes by.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::BuiltIn { .. } => "built-in",
            Self::Error { .. } => "error",
            Self::Process { .. } => "process",
            Self::Static(_) => "static",
            Self::Sts(_) => "sts",
        }
    }
}

/// A role: what its sessions may do, who may begin one, and where the credentials come from that
/// instances read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Role {
    /// The role's name.
    pub name: RoleName,
    /// The account it is of.
    #[serde(default = "first_account")]
    pub account_id: AccountId,
    /// Its path.
    #[serde(default)]
    pub path: IamPath,
    /// Its unique id, such as `AROA…`; none if it is drawn from account and name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Line>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Line>,
    /// When it was created.
    #[serde(default)]
    pub created: Timestamp,
    /// Who may assume it: its trust policy.
    #[serde(default = "PolicyDocument::trust_of_ec2")]
    pub assume_role_policy_document: PolicyDocument,
    /// How many seconds a session may last at most.
    #[serde(default = "an_hour")]
    pub max_session_duration: u32,
    /// What its sessions may do.
    #[serde(default, skip_serializing_if = "Permissions::is_empty")]
    pub permissions: Permissions,
    /// Its tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<TagKey, Box<str>>,
    /// Where its credentials come from.
    #[serde(flatten)]
    pub credentials: CredentialSource,
}

impl Role {
    /// Makes a role that EC2 may assume and that may do nothing, as a description that says nothing
    /// else means it.
    pub fn described(name: RoleName, credentials: CredentialSource) -> Self {
        Self {
            name,
            account_id: first_account(),
            path: IamPath::default(),
            id: None,
            description: None,
            created: Timestamp::default(),
            assume_role_policy_document: PolicyDocument::trust_of_ec2(),
            max_session_duration: an_hour(),
            permissions: Permissions::default(),
            tags: BTreeMap::new(),
            credentials,
        }
    }
}

/// The account of whatever is described without one.
fn first_account() -> AccountId {
    crate::Instance::default_instance().account_id
}

fn an_hour() -> u32 {
    3600
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_names_can_stand_in_a_path() {
        assert!("example-role".parse::<RoleName>().is_ok());
        for bad in ["", "a/b", "a b", ".", "..", &*"x".repeat(65)] {
            assert!(bad.parse::<RoleName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_default_profile_id_is_a_line() {
        assert_eq!(&*unset_profile_id(), "AIPAABCDEFGHIJKLMNOPQ");
    }

    #[test]
    fn a_role_is_written_flat() {
        let text = r#"{"name":"app","source":"process","command":["get-keys","--json"]}"#;
        let role: Role = serde_json::from_str(text).unwrap();
        let written = serde_json::to_string(&role).unwrap();
        assert!(
            written.ends_with(r#""source":"process","command":["get-keys","--json"]}"#),
            "{written}"
        );
        assert_eq!(serde_json::from_str::<Role>(&written).unwrap(), role);
        let source = concat!(
            r#""source":"sts","role_arn":"arn:aws:iam::123456789012:role/app","#,
            r#""region":"eu-west-1","duration_seconds":900,"base":{"source":"static","#,
            r#""access_key_id":"AKIAEXAMPLE","secret_access_key":"x"#,
        );
        let text = format!(r#"{{"name":"app",{source}"}}}}"#);
        let role: Role = serde_json::from_str(&text).unwrap();
        assert!(serde_json::to_string(&role).unwrap().contains(source));
        assert_eq!(role.credentials.as_str(), "sts");
        let refusal = serde_json::from_str::<Role>(r#"{"name":"app"}"#).unwrap_err();
        assert!(refusal.to_string().contains("missing field `source`"), "{refusal}");
    }

    #[test]
    fn the_life_of_built_in_credentials_may_be_said() {
        for text in [
            r#"{"name":"app","source":"built-in"}"#,
            r#"{"name":"app","source":"built-in","life_seconds":900}"#,
        ] {
            let role: Role = serde_json::from_str(text).unwrap();
            let written = serde_json::to_string(&role).unwrap();
            assert!(written.ends_with(&text[r#"{"name":"app","#.len()..]), "{written}");
        }
        for more in [r#""life_seconds":59"#, r#""life_seconds":43201"#, r#""life":900"#] {
            let text = format!(r#"{{"name":"app","source":"built-in",{more}}}"#);
            assert!(serde_json::from_str::<Role>(&text).is_err(), "{text}");
        }
    }
}
