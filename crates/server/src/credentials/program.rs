//! Credentials that a program prints.

use std::time::Duration;

use metadata::Credentials;
use model::{AccessKey, Secret, Timestamp};
use serde::Deserialize;

use super::time::read_time;
use crate::program::{Ended, NotEnded, Program};

/// LIMIT: how long a credential program may run.
const DEADLINE: Duration = Duration::from_secs(30);

/// LIMIT: what a credential program may print.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Keys without an end are taken to end this much later.
const ENDLESS_SECONDS: i64 = 6 * 3600;

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
    #[error("`{program}` did not end within {DEADLINE:?}")]
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
    /// It printed a long-term key, which readers of metadata cannot tell from a broken one.
    #[error("`{program}` printed no `SessionToken`, which readers of metadata need")]
    NoSessionToken {
        /// The program.
        program: String,
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

/// Runs a credential program for a key that metadata can show.
///
/// # Errors
///
/// [`ProgramFault`]; no fault shows what the program printed.
pub(super) async fn fetch(command: &[String], now: Timestamp) -> Result<Credentials, ProgramFault> {
    let (key, expiration) = key(command, now).await?;
    let Some(session_token) = key.session_token else {
        let program = command.first().cloned().unwrap_or_default();
        return Err(ProgramFault::NoSessionToken { program });
    };
    Ok(Credentials {
        access_key_id: key.id.to_string(),
        secret_access_key: key.secret,
        session_token,
        last_updated: now,
        expiration,
    })
}

/// Runs a credential program for a key to sign with, and when that ends or is to be had anew.
///
/// # Errors
///
/// [`ProgramFault`]; no fault shows what the program printed.
pub(super) async fn key(
    command: &[String],
    now: Timestamp,
) -> Result<(AccessKey, Timestamp), ProgramFault> {
    let program = command.first().ok_or(ProgramFault::Empty)?.clone();
    let run = Program {
        command,
        input: None,
        deadline: DEADLINE,
        output_bytes_max: OUTPUT_BYTES_MAX,
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
    read(program, &output, now)
}

fn read(
    program: String,
    text: &[u8],
    now: Timestamp,
) -> Result<(AccessKey, Timestamp), ProgramFault> {
    let wrong = |program: String, reason: &str| ProgramFault::NotUnderstood {
        program,
        reason: reason.to_owned(),
    };
    if text.len() > OUTPUT_BYTES_MAX {
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
    let expiration = match printed.expiration.as_deref().map(read_time) {
        None => None,
        Some(Some(time)) if time > now => Some(time),
        Some(Some(_)) => return Err(ProgramFault::Ended { program }),
        Some(None) => return Err(wrong(program, "its `Expiration` is not a UTC time")),
    };
    let Ok(id) = printed.access_key_id.parse() else {
        return Err(wrong(program, "its `AccessKeyId` is not a line of text"));
    };
    let Printed { secret_access_key: secret, session_token, .. } = printed;
    let key = AccessKey { session_token, expiration, ..AccessKey::new(id, secret, now) };
    Ok((key, expiration.unwrap_or(now.plus_seconds(ENDLESS_SECONDS))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);

    fn read_text(text: &str) -> Result<(AccessKey, Timestamp), ProgramFault> {
        read("get-keys".to_owned(), text.as_bytes(), NOW)
    }

    #[test]
    fn keys_without_an_end_are_had_anew_after_hours() {
        let text = r#"{"Version":1,"AccessKeyId":"AKIAEXAMPLE","SecretAccessKey":"s"}"#;
        let (key, end) = read_text(text).unwrap();
        assert_eq!((key.expiration, key.session_token), (None, None));
        assert_eq!(end, NOW.plus_seconds(ENDLESS_SECONDS));
        let ended = text.replace('}', r#","Expiration":"2025-03-04T09:00:00Z"}"#);
        assert!(matches!(read_text(&ended), Err(ProgramFault::Ended { .. })));
    }

    #[test]
    fn faults_do_not_show_what_was_printed() {
        for text in [
            r#"{"Version":1,"AccessKeyId":"ASIA","SecretAccessKey":hunter2}"#,
            r#"{"Version":"hunter2","AccessKeyId":"ASIA","SecretAccessKey":"x"}"#,
            r#"{"Version":1,"AccessKeyId":"ASIA","SecretAccessKey":"x","Expiration":"hunter2"}"#,
            r#"{"Version":1,"AccessKeyId":"hunter2\n","SecretAccessKey":"x","Expiration":"hunter2"}"#,
        ] {
            assert!(!read_text(text).unwrap_err().to_string().contains("hunter2"), "{text}");
        }
    }
}
