//! What a `[[role]]` table says, by the source that it names.

use model::{
    CredentialSource, Line, Role, RoleName, Secret, SessionLife, StaticCredentials, Timestamp,
};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BuiltInRole {
    name: RoleName,
    #[serde(default)]
    life_seconds: Option<SessionLife>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrorRole {
    name: RoleName,
    code: Line,
    message: Line,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProcessRole {
    name: RoleName,
    command: Program,
}

/// A program and its arguments.
#[derive(Deserialize)]
#[serde(try_from = "Vec<String>")]
struct Program(Vec<String>);

impl TryFrom<Vec<String>> for Program {
    type Error = &'static str;

    fn try_from(command: Vec<String>) -> Result<Self, Self::Error> {
        match command.first() {
            Some(program) if !program.is_empty() => Ok(Self(command)),
            _ => Err("`command` names no program: use [\"program\", \"argument\", …]"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StaticRole {
    name: RoleName,
    access_key_id: Line,
    secret_access_key: Secret<String>,
    session_token: Secret<String>,
    #[serde(default)]
    expiration: Option<Timestamp>,
}

impl From<BuiltInRole> for Role {
    fn from(BuiltInRole { name, life_seconds }: BuiltInRole) -> Self {
        Self::described(name, CredentialSource::BuiltIn { life_seconds })
    }
}

impl From<ErrorRole> for Role {
    fn from(ErrorRole { name, code, message }: ErrorRole) -> Self {
        Self::described(name, CredentialSource::Error { code, message })
    }
}

impl From<ProcessRole> for Role {
    fn from(ProcessRole { name, command: Program(command) }: ProcessRole) -> Self {
        Self::described(name, CredentialSource::Process { command })
    }
}

impl From<StaticRole> for Role {
    fn from(role: StaticRole) -> Self {
        let StaticRole { name, access_key_id, secret_access_key, session_token, expiration } = role;
        let fixed =
            StaticCredentials { access_key_id, secret_access_key, session_token, expiration };
        Self::described(name, CredentialSource::Static(fixed))
    }
}
