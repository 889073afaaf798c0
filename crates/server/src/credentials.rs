//! Credentials of roles from outside: settings and programs.
//!
//! They are fetched ahead, never in a guest's request; what was fetched is served until it really
//! ends, and nothing that has ended is served.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use metadata::{Credentials, RoleCredentials};
use model::{CredentialSource, Line, Role, RoleName, Secret, StaticCredentials, Timestamp};
use serde::Deserialize;

use crate::program::{Ended, NotEnded, Program};

/// LIMIT: how long a credential program may run.
const PROGRAM_DEADLINE: Duration = Duration::from_secs(30);

/// LIMIT: what a credential program may print.
const PROGRAM_OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// LIMIT: programs are not run more often than this, however soon what they give ends.
const REFRESH_SECONDS_MIN: i64 = 15;

/// Keys without an end are shown as ending this much later, from the hour they are read in.
const ENDLESS_SECONDS: i64 = 6 * 3600;

/// What was fetched for roles. Reading never waits.
#[derive(Debug, Default)]
pub struct HeldCredentials {
    held: ArcSwap<HashMap<RoleName, Arc<Credentials>>>,
}

impl HeldCredentials {
    /// Returns what is known of a role's credentials at `now`; of no role, that it has none.
    pub(crate) fn find(&self, role: Option<&Arc<Role>>, now: Timestamp) -> RoleCredentials {
        let Some(role) = role else {
            return unavailable("the role has no source of credentials");
        };
        match &role.credentials {
            CredentialSource::BuiltIn { life_seconds } => {
                RoleCredentials::BuiltIn { role: Arc::clone(role), life: *life_seconds }
            }
            CredentialSource::Error { code, message } => {
                RoleCredentials::Unavailable { code: code.clone(), message: message.clone() }
            }
            CredentialSource::Process { .. } => match self.held.load().get(&role.name) {
                Some(held) if held.expiration > now => RoleCredentials::Held(Arc::clone(held)),
                Some(_) => unavailable("the role's credentials have ended and no new ones came"),
                None => unavailable("the role's credentials have not been fetched yet"),
            },
            CredentialSource::Static(fixed) => fixed_credentials(fixed, now),
        }
    }

    /// Keeps what was fetched for a role.
    pub fn keep(&self, role: &RoleName, credentials: Credentials) {
        let credentials = Arc::new(credentials);
        self.held.rcu(|held| {
            let mut held = HashMap::clone(held);
            held.insert(role.clone(), Arc::clone(&credentials));
            held
        });
    }
}

fn fixed_credentials(fixed: &StaticCredentials, now: Timestamp) -> RoleCredentials {
    let hour = Timestamp::from_seconds(now.as_seconds() - now.as_seconds().rem_euclid(3600));
    let expiration = fixed.expiration.unwrap_or(hour.plus_seconds(ENDLESS_SECONDS + 3600));
    if expiration <= now {
        return unavailable("the role's static credentials have ended");
    }
    RoleCredentials::Held(Arc::new(Credentials {
        access_key_id: fixed.access_key_id.to_string(),
        secret_access_key: fixed.secret_access_key.clone(),
        session_token: fixed.session_token.clone(),
        last_updated: hour,
        expiration,
    }))
}

/// Says that the trust policy of a role does not let EC2 assume it.
pub(crate) fn unauthorized(role: &RoleName) -> RoleCredentials {
    let message = format!(
        "EC2 cannot assume the role {role}: its trust policy does not let ec2.amazonaws.com do so."
    );
    #[expect(clippy::expect_used, reason = "made of words that are lines")]
    let line = |text: &str| -> Line { text.parse().expect("is a line") };
    RoleCredentials::Unavailable {
        code: line("AssumeRoleUnauthorizedAccess"),
        message: line(&message),
    }
}

/// EC2: trouble is a document too (data plane, 5.6).
fn unavailable(message: &str) -> RoleCredentials {
    let line = |text: &str| -> Line {
        #[expect(clippy::expect_used, reason = "constants of this module, each a plain line")]
        text.parse().expect("is a line")
    };
    RoleCredentials::Unavailable { code: line("Failed"), message: line(message) }
}

/// Why a credential program gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProgramFault {
    /// No program is named.
    #[error("the command is empty")]
    Empty,
    /// It could not be run.
    #[error("`{program}` cannot be run: {reason}")]
    Unrunnable {
        /// The program.
        program: String,
        /// What the system says.
        reason: String,
    },
    /// It ended with a failure. What it printed is not shown: it may hold secrets.
    #[error("`{program}` ended with {status}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
    },
    /// It ran for too long.
    #[error("`{program}` did not end within {PROGRAM_DEADLINE:?}")]
    Slow {
        /// The program.
        program: String,
    },
    /// It printed something else, or too much.
    #[error("`{program}` did not print `credential_process` JSON ({reason})")]
    NotUnderstood {
        /// The program.
        program: String,
        /// What is wrong, without any of the text.
        reason: String,
    },
    /// What it printed has ended already.
    #[error("`{program}` gave credentials that have ended")]
    Ended {
        /// The program.
        program: String,
    },
}

/// What a credential program prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    version: u32,
    access_key_id: String,
    secret_access_key: Secret<String>,
    session_token: Option<Secret<String>>,
    expiration: Option<String>,
}

/// Runs a credential program.
///
/// # Errors
///
/// [`ProgramFault`]; no fault shows what the program printed.
pub(crate) async fn run_program(
    command: &[String],
    now: Timestamp,
) -> Result<Credentials, ProgramFault> {
    let program = command.first().ok_or(ProgramFault::Empty)?.clone();
    let run = Program {
        command,
        input: None,
        deadline: PROGRAM_DEADLINE,
        output_bytes_max: PROGRAM_OUTPUT_BYTES_MAX,
        // What it says may hold secrets.
        keeps_complaint: false,
    };
    let Ended { status, output, .. } = match run.run().await {
        Ok(ended) => ended,
        Err(NotEnded::Empty) => return Err(ProgramFault::Empty),
        Err(NotEnded::Slow) => return Err(ProgramFault::Slow { program }),
        Err(NotEnded::Unrunnable(reason)) => {
            return Err(ProgramFault::Unrunnable { program, reason });
        }
    };
    if !status.success() {
        return Err(ProgramFault::Failed { program, status });
    }
    read_printed(program, &output, now)
}

fn read_printed(program: String, text: &[u8], now: Timestamp) -> Result<Credentials, ProgramFault> {
    let wrong = |program: String, reason: &str| ProgramFault::NotUnderstood {
        program,
        reason: reason.to_owned(),
    };
    if text.len() > PROGRAM_OUTPUT_BYTES_MAX {
        return Err(wrong(program, "it is too long"));
    }
    let printed: Printed = match serde_json::from_slice(text) {
        Ok(printed) => printed,
        // The message may quote values; the position and kind do not.
        Err(fault) => {
            let reason = format!("line {}, {:?} error", fault.line(), fault.classify());
            return Err(wrong(program, &reason));
        }
    };
    if printed.version != 1 {
        return Err(wrong(program, "its `Version` is not 1"));
    }
    let Some(session_token) = printed.session_token else {
        return Err(wrong(program, "it has no `SessionToken`, which readers of metadata need"));
    };
    let expiration = match printed.expiration.as_deref().map(parse_expiration) {
        None => now.plus_seconds(ENDLESS_SECONDS),
        Some(Some(time)) if time > now => time,
        Some(Some(_)) => return Err(ProgramFault::Ended { program }),
        Some(None) => return Err(wrong(program, "its `Expiration` is not a UTC time")),
    };
    Ok(Credentials {
        access_key_id: printed.access_key_id,
        secret_access_key: printed.secret_access_key,
        session_token,
        last_updated: now,
        expiration,
    })
}

/// Reads ISO 8601 to the second, with or without a fraction, `Z` or an offset, as programs print it.
fn parse_expiration(text: &str) -> Option<Timestamp> {
    let seconds = text.get(..19)?;
    let rest = text.get(19..)?;
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let local: Timestamp = format!("{seconds}Z").parse().ok()?;
    let (sign, digits) = match zone.strip_prefix('+').map(|digits| (1, digits)) {
        _ if zone == "Z" => return Some(local),
        Some(east) => east,
        None => (-1, zone.strip_prefix('-')?),
    };
    let digits = digits.replacen(':', "", 1);
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i64>().ok();
    let is_zone = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit());
    let (hours, minutes) = is_zone.then_some((number(0..2)?, number(2..4)?))?;
    Some(local.plus_seconds(-sign * (hours * 3600 + minutes * 60)))
}

/// Returns when to fetch again: half way to the end, but at least five minutes before it.
pub(crate) fn refresh_at(credentials: &Credentials, now: Timestamp) -> Timestamp {
    let left = credentials.expiration.as_seconds().saturating_sub(now.as_seconds());
    now.plus_seconds((left / 2).min(left - 300).max(REFRESH_SECONDS_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);

    fn read(text: &str) -> Result<Credentials, ProgramFault> {
        read_printed("get-keys".to_owned(), text.as_bytes(), NOW)
    }

    fn printed(expiration: &str) -> String {
        format!(
            r#"{{"Version":1,"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"s","SessionToken":"t",
            "Expiration":"{expiration}"}}"#
        )
    }

    #[test]
    fn what_programs_print() {
        for (expiration, is_good) in [
            ("2025-03-04T11:00:00Z", true),
            ("2025-03-04T11:00:00.123Z", true),
            ("2025-03-04T11:00:00+00:00", true),
            ("2025-03-04T13:00:00+0100", true),
            ("2025-03-04T11:00:00-01:00", true),
            ("2025-03-04T11:00:00+01:00", false),
            ("2025-03-04T11:00:00+1", false),
            ("2025-03-04T11:00:00", false),
            ("2025-03-04T09:00:00Z", false),
            ("soon", false),
        ] {
            assert_eq!(read(&printed(expiration)).is_ok(), is_good, "{expiration}");
        }
    }

    #[test]
    fn faults_do_not_show_what_was_printed() {
        let text = r#"{"Version":1,"AccessKeyId":"ASIA","SecretAccessKey":hunter2}"#;
        assert!(!read(text).unwrap_err().to_string().contains("hunter2"));
        let text = r#"{"Version":"hunter2","AccessKeyId":"ASIA","SecretAccessKey":"x"}"#;
        assert!(!read(text).unwrap_err().to_string().contains("hunter2"));
    }

    #[test]
    fn fetched_credentials_are_served_until_they_end() {
        let held = HeldCredentials::default();
        let source = CredentialSource::Process { command: vec!["get-keys".to_owned()] };
        let role = Arc::new(Role::described("app".parse().unwrap(), source));
        let find = |now| held.find(Some(&role), now);
        assert!(matches!(find(NOW), RoleCredentials::Unavailable { .. }));
        held.keep(&role.name, read(&printed("2025-03-04T11:00:00Z")).unwrap());
        assert!(matches!(find(NOW), RoleCredentials::Held(_)));
        let end: Timestamp = "2025-03-04T11:00:00Z".parse().unwrap();
        assert!(matches!(find(end), RoleCredentials::Unavailable { .. }));
    }

    #[test]
    fn static_credentials_without_an_end_always_have_six_hours() {
        let fixed = StaticCredentials {
            access_key_id: "AKIAEXAMPLE".parse().unwrap(),
            secret_access_key: Secret::new("s".to_owned()),
            session_token: Secret::new("t".to_owned()),
            expiration: None,
        };
        for offset in [0, 1, 1800, 3599, 3600] {
            let now = NOW.plus_seconds(offset);
            let RoleCredentials::Held(credentials) = fixed_credentials(&fixed, now) else {
                panic!("they are held");
            };
            assert!(credentials.expiration >= now.plus_seconds(ENDLESS_SECONDS));
        }
    }
}
