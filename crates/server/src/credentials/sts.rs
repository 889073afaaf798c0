//! Credentials of a role that is assumed elsewhere, at an STS endpoint.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use control::api::Signer;
use control::api::route::Service;
use metadata::Credentials;
use model::{AccessKey, BaseCredentials, InstanceId, Secret, StsSource, Timestamp};

use super::answer::{self, Complaint};
use super::post::{PostFault, Posted, Poster};
use super::program::{self, ProgramFault};

/// LIMIT: bytes of a web identity token. STS takes no longer one.
const TOKEN_BYTES_MAX: u64 = 20_000;

/// How long after a program failed whose last key is good still it is run again.
const PROGRAM_RETRY_SECONDS: i64 = 15;

/// Why STS gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum StsFault {
    /// It says something else than yes.
    #[error("{endpoint} answers {status} {code}{}", told(.message))]
    Answered {
        /// Where it is.
        endpoint: model::Endpoint,
        /// The status.
        status: u16,
        /// Its error code.
        code: String,
        /// What it says, or nothing.
        message: String,
    },
    /// What it gave has ended already.
    #[error("{0} gave credentials that have ended: is the clock of this machine right?")]
    Ended(model::Endpoint),
    /// It says something that is no answer of STS.
    #[error("{endpoint} answers {status}, and what it says is not understood: {reason}")]
    NotUnderstood {
        /// Where it is.
        endpoint: model::Endpoint,
        /// The status.
        status: u16,
        /// What is wrong, without any of the text.
        reason: &'static str,
    },
    /// There is no answer.
    #[error(transparent)]
    Post(#[from] PostFault),
    /// There is nobody to assume the role.
    #[error("the credentials to assume the role with: {0}")]
    Program(#[from] ProgramFault),
    /// It does not let the role be assumed.
    #[error("{endpoint} refuses: {code}{}", told(.message))]
    Refused {
        /// Where it is.
        endpoint: model::Endpoint,
        /// Its error code.
        code: String,
        /// What it says, or nothing.
        message: String,
    },
    /// A request cannot be signed.
    #[error("a request to {0} cannot be signed")]
    Unsigned(model::Endpoint),
    /// There is no token.
    #[error("the token file `{path}` {reason}")]
    TokenFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}

fn told(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// What assumes roles.
#[derive(Default)]
pub(super) struct Sts {
    poster: Poster,
    bases: Mutex<Bases>,
}

/// The keys that programs gave, by program, each with a lock that is held while it runs: it is run once
/// for everyone who waits.
type Bases = HashMap<Vec<String>, Arc<tokio::sync::Mutex<Option<Base>>>>;

/// A key that a program gave.
struct Base {
    key: Arc<AccessKey>,
    refresh_at: Timestamp,
    /// When it ends, or is no longer taken for good.
    end: Timestamp,
}

impl Sts {
    /// Assumes the role for an instance, whose id is the name of the session.
    ///
    /// # Errors
    ///
    /// [`StsFault`], which shows no secret.
    pub(super) async fn assume(
        &self,
        source: &StsSource,
        instance: InstanceId,
        now: Timestamp,
    ) -> Result<Credentials, StsFault> {
        let endpoint = source.endpoint();
        let (lines, body) = match &source.base {
            BaseCredentials::Static(key) => signed(source, key, &form(source, instance), now)?,
            BaseCredentials::Process { command } => {
                let key = self.key_of(command, now).await?;
                signed(source, &key, &form(source, instance), now)?
            }
            BaseCredentials::WebIdentity { token_file } => {
                let token = read_token(token_file).await?;
                let lines = vec![
                    ("content-type", "application/x-www-form-urlencoded; charset=utf-8".to_owned()),
                    ("host", endpoint.authority()),
                ];
                (lines, form_with_token(source, instance, &token))
            }
        };
        let posted = self.poster.post(&endpoint, &lines, body.into_bytes()).await?;
        let read = read(&endpoint, &posted, now);
        if let (Err(fault), BaseCredentials::Process { command }) = (&read, &source.base)
            && fault.blames_key()
        {
            self.forget_key_of(command);
        }
        read
    }

    /// Returns the key of a program, which is run if it gave none yet, or one that is past half its
    /// life.
    async fn key_of(
        &self,
        command: &[String],
        now: Timestamp,
    ) -> Result<Arc<AccessKey>, ProgramFault> {
        let place = Arc::clone(self.bases().entry(command.to_vec()).or_default());
        let mut held = place.lock().await;
        if let Some(base) = held.as_ref().filter(|base| base.refresh_at > now) {
            return Ok(Arc::clone(&base.key));
        }
        match (program::key(command, now).await, held.as_mut()) {
            (Ok((key, end)), _) => {
                let key = Arc::new(key);
                let half = (end.as_seconds() - now.as_seconds()) / 2;
                let refresh_at = now.plus_seconds(half);
                *held = Some(Base { key: Arc::clone(&key), refresh_at, end });
                Ok(key)
            }
            (Err(_), Some(base)) if base.end > now => {
                base.refresh_at = now.plus_seconds(PROGRAM_RETRY_SECONDS);
                Ok(Arc::clone(&base.key))
            }
            (Err(fault), _) => Err(fault),
        }
    }

    fn forget_key_of(&self, command: &[String]) {
        self.bases().remove(command);
    }

    /// Forgets all keys of programs: roles have changed, and so may have programs.
    pub(super) fn forget_keys(&self) {
        self.bases().clear();
    }

    fn bases(&self) -> MutexGuard<'_, Bases> {
        self.bases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StsFault {
    /// Whether the key that signed the request is no longer good.
    fn blames_key(&self) -> bool {
        let code = match self {
            Self::Answered { code, .. } | Self::Refused { code, .. } => code,
            Self::Ended(_)
            | Self::NotUnderstood { .. }
            | Self::Post(_)
            | Self::Program(_)
            | Self::TokenFile { .. }
            | Self::Unsigned(_) => return false,
        };
        let blames = ["ExpiredToken", "InvalidAccessKeyId", "InvalidClientTokenId"];
        blames.iter().any(|blame| code.starts_with(blame))
    }
}

type Signed = (Vec<(&'static str, String)>, String);

fn signed(
    source: &StsSource,
    key: &AccessKey,
    body: &str,
    now: Timestamp,
) -> Result<Signed, StsFault> {
    let endpoint = source.endpoint();
    let signer = Signer { key, region: &source.region, service: Service::Sts };
    let lines = signer.sign_form(&endpoint.authority(), body.as_bytes(), now);
    match lines {
        Ok(lines) => Ok((lines, body.to_owned())),
        Err(_) => Err(StsFault::Unsigned(endpoint)),
    }
}

fn form(source: &StsSource, instance: InstanceId) -> String {
    let mut form = form_of("AssumeRole", source, instance);
    if let Some(id) = &source.external_id {
        add(&mut form, "ExternalId", id.as_str());
    }
    form
}

fn form_with_token(source: &StsSource, instance: InstanceId, token: &Secret<String>) -> String {
    let mut form = form_of("AssumeRoleWithWebIdentity", source, instance);
    add(&mut form, "WebIdentityToken", token.expose());
    form
}

fn form_of(action: &str, source: &StsSource, instance: InstanceId) -> String {
    let mut form = format!("Action={action}&Version={}", Service::Sts.version());
    add(&mut form, "RoleArn", source.role_arn.as_str());
    add(&mut form, "RoleSessionName", &instance.text());
    add(&mut form, "DurationSeconds", &source.duration_seconds.get().to_string());
    form
}

/// Adds a field to a form, percent-encoded.
fn add(form: &mut String, name: &str, value: &str) {
    form.push('&');
    form.push_str(name);
    form.push('=');
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            form.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(form, "%{byte:02X}");
        }
    }
}

/// Reads a web identity token: whoever issues it puts another one there before it ends.
async fn read_token(path: &str) -> Result<Secret<String>, StsFault> {
    let file = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_token_file(&file)).await;
    let read = read.unwrap_or_else(|_| Err("cannot be read".to_owned()));
    read.map_err(|reason| StsFault::TokenFile { path: path.to_owned(), reason })
}

fn read_token_file(path: &str) -> Result<Secret<String>, String> {
    use std::io::Read as _;
    let unreadable = |fault: std::io::Error| format!("cannot be read: {fault}");
    // What is no file, a pipe perhaps, could keep whoever opens it for ever.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err("is not a file".to_owned());
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    let outcome = file.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text);
    let text = Secret::new(text);
    outcome.map_err(unreadable)?;
    let token = text.expose().trim();
    let is_token = (4..=TOKEN_BYTES_MAX).contains(&(token.len() as u64));
    if is_token && token.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Secret::new(token.to_owned()))
    } else {
        Err("does not hold a token: use one of 4 to 20000 letters, in one line".to_owned())
    }
}

fn read(
    endpoint: &model::Endpoint,
    posted: &Posted,
    now: Timestamp,
) -> Result<Credentials, StsFault> {
    let Posted { status, body } = posted;
    let (endpoint, status) = (endpoint.clone(), *status);
    if status == 200 {
        let read = answer::read_credentials(body, now);
        return match read {
            Ok(credentials) if credentials.expiration > now => Ok(credentials),
            Ok(_) => Err(StsFault::Ended(endpoint)),
            Err(reason) => Err(StsFault::NotUnderstood { endpoint, status, reason }),
        };
    }
    match answer::read_error(body) {
        Some(Complaint { code, message }) if code == "AccessDenied" => {
            Err(StsFault::Refused { endpoint, code, message })
        }
        Some(Complaint { code, message }) => {
            Err(StsFault::Answered { endpoint, status, code, message })
        }
        None => {
            let reason = "it is not the XML of an error of STS";
            Err(StsFault::NotUnderstood { endpoint, status, reason })
        }
    }
}

#[cfg(test)]
mod tests;
