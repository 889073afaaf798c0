//! What a `[[role]]` table says, by the source that it names.

use model::{
    AccessKey, BaseCredentials, CredentialSource, Endpoint, ExternalId, Line, Region, Role,
    RoleArn, RoleName, Secret, SessionLife, SessionSeconds, StaticCredentials, StsSource,
    Timestamp,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StsRole {
    name: RoleName,
    role_arn: RoleArn,
    region: Region,
    #[serde(default)]
    endpoint: Option<Endpoint>,
    #[serde(default)]
    duration_seconds: SessionSeconds,
    #[serde(default)]
    external_id: Option<ExternalId>,
    // Who assumes the role: a key, a program or a file with a token.
    #[serde(default)]
    access_key_id: Option<Line>,
    #[serde(default)]
    secret_access_key: Option<Secret<String>>,
    #[serde(default)]
    session_token: Option<Secret<String>>,
    #[serde(default)]
    credential_process: Option<Vec<String>>,
    #[serde(default)]
    web_identity_token_file: Option<Line>,
}

impl StsRole {
    /// Finds who assumes the role.
    fn base(&mut self) -> Result<BaseCredentials, &'static str> {
        let (id, secret) = (self.access_key_id.take(), self.secret_access_key.take());
        let token = self.session_token.take();
        let has_key = id.is_some() || secret.is_some() || token.is_some();
        match (has_key, self.credential_process.take(), self.web_identity_token_file.take()) {
            (true, None, None) => match (id, secret) {
                (Some(id), Some(secret)) => Ok(BaseCredentials::Static(AccessKey {
                    session_token: token,
                    ..AccessKey::new(id, secret, Timestamp::default())
                })),
                _ => Err("a key to assume the role with has both `access_key_id` and \
                          `secret_access_key`"),
            },
            (false, Some(command), None) => match Program::try_from(command) {
                Ok(Program(command)) => Ok(BaseCredentials::Process { command }),
                Err(_) => Err("`credential_process` names no program: use [\"program\", …]"),
            },
            (false, None, Some(file)) if !file.starts_with('/') => {
                Err("`web_identity_token_file` is not an absolute path")
            }
            (false, None, Some(file)) if self.external_id.is_none() => {
                Ok(BaseCredentials::WebIdentity { token_file: file.to_string() })
            }
            (false, None, Some(_)) => {
                Err("STS takes no `external_id` with a web identity token: leave one of them out")
            }
            (false, None, None) => {
                Err("nobody assumes the role: add `access_key_id` and `secret_access_key`, \
                     `credential_process` or `web_identity_token_file`")
            }
            _ => Err("more than one assumes the role: keep one of `access_key_id`, \
                      `credential_process` and `web_identity_token_file`"),
        }
    }
}

impl TryFrom<StsRole> for Role {
    type Error = &'static str;

    fn try_from(mut role: StsRole) -> Result<Self, Self::Error> {
        let base = role.base()?;
        let StsRole { name, role_arn, region, endpoint, duration_seconds, external_id, .. } = role;
        let source = StsSource { role_arn, region, endpoint, duration_seconds, external_id, base };
        Ok(Self::described(name, CredentialSource::Sts(source)))
    }
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
