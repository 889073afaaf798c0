//! What STS answers, in XML.

use metadata::Credentials;
use model::{Secret, Timestamp};
use serde::Deserialize;

use super::time::read_time;

/// LIMIT: bytes of a text in an answer. Session tokens have some hundred to two thousand.
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// LIMIT: letters of what STS says that are told to the operator.
const COMPLAINT_LETTERS_MAX: usize = 300;

#[derive(Deserialize)]
struct Response {
    #[serde(rename = "AssumeRoleResult", alias = "AssumeRoleWithWebIdentityResult")]
    result: ResultOf,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResultOf {
    credentials: Issued,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Issued {
    access_key_id: String,
    secret_access_key: Secret<String>,
    session_token: Secret<String>,
    expiration: String,
}

/// STS has the error at the top; those who speak of `Errors` say it as EC2 does.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorResponse {
    error: Option<ErrorOf>,
    errors: Option<Errors>,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(rename = "Error")]
    first: ErrorOf,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorOf {
    code: String,
    #[serde(default)]
    message: String,
}

/// What STS refuses, in its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) code: String,
    pub(super) message: String,
}

/// Reads credentials, or says what is wrong with the answer, without any of its text.
pub(super) fn read_credentials(body: &[u8], now: Timestamp) -> Result<Credentials, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "it is not UTF-8")?;
    let Response { result } =
        quick_xml::de::from_str(text).map_err(|_| "it is not the XML of an AssumeRole answer")?;
    let Issued { access_key_id, secret_access_key, session_token, expiration } = result.credentials;
    // In the examples of its documentation, long texts stand on lines of their own.
    let trimmed = |secret: &Secret<String>| Secret::new(secret.expose().trim().to_owned());
    let (secret_access_key, session_token) = (trimmed(&secret_access_key), trimmed(&session_token));
    let access_key_id = access_key_id.trim().to_owned();
    let texts = [&access_key_id, secret_access_key.expose(), session_token.expose()];
    let is_plain = |text: &&String| {
        (1..=TEXT_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    if !texts.iter().all(is_plain) {
        return Err("its credentials are empty, too long or not plain text");
    }
    let expiration = read_time(expiration.trim()).ok_or("its `Expiration` is not a UTC time")?;
    Ok(Credentials {
        access_key_id,
        secret_access_key,
        session_token,
        last_updated: now,
        expiration,
    })
}

/// Reads an error. What signs requests may be quoted in the message of some: theirs is left out.
pub(super) fn read_error(body: &[u8]) -> Option<Complaint> {
    let text = std::str::from_utf8(body).ok()?;
    let ErrorResponse { error, errors } = quick_xml::de::from_str(text).ok()?;
    let error = error.or(errors.map(|errors| errors.first))?;
    let plain = |text: &str| -> String {
        let first = text.trim().lines().next().unwrap_or_default();
        let shown = first.chars().filter(|letter| !letter.is_control());
        shown.take(COMPLAINT_LETTERS_MAX).collect()
    };
    let code = plain(&error.code);
    let may_quote = ["Signature", "Token"].iter().any(|word| code.contains(word));
    let message = if may_quote { String::new() } else { plain(&error.message) };
    Some(Complaint { code, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);

    fn issued(name: &str, expiration: &str, token: &str) -> String {
        format!(
            r#"<{name}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
              <{name}Result>
                <AssumedRoleUser>
                  <AssumedRoleId>AROA3XFRBF535PLBIFPI4:i-1</AssumedRoleId>
                  <Arn>arn:aws:sts::123456789012:assumed-role/app/i-1</Arn>
                </AssumedRoleUser>
                <Credentials>
                  <AccessKeyId>ASIAEXAMPLE</AccessKeyId>
                  <SecretAccessKey>a&#47;b&amp;c</SecretAccessKey>
                  <SessionToken>
                    {token}
                  </SessionToken>
                  <Expiration>{expiration}</Expiration>
                </Credentials>
                <PackedPolicySize>6</PackedPolicySize>
              </{name}Result>
              <ResponseMetadata><RequestId>c6104cbe</RequestId></ResponseMetadata>
            </{name}Response>"#
        )
    }

    #[test]
    fn credentials_of_both_actions_are_read() {
        for action in ["AssumeRole", "AssumeRoleWithWebIdentity"] {
            let text = issued(action, "2025-03-04T11:00:00.123Z", "AQoDYXdzEPT//EXAMPLE==");
            let credentials = read_credentials(text.as_bytes(), NOW).unwrap();
            assert_eq!(credentials.access_key_id, "ASIAEXAMPLE");
            assert_eq!(credentials.secret_access_key.expose(), "a/b&c");
            assert_eq!(credentials.session_token.expose(), "AQoDYXdzEPT//EXAMPLE==");
            assert_eq!(credentials.expiration.to_string(), "2025-03-04T11:00:00Z");
        }
    }

    #[test]
    fn anything_else_is_not_taken_for_credentials() {
        let whole = issued("AssumeRole", "2025-03-04T11:00:00Z", "token");
        for text in [
            String::new(),
            "{}".to_owned(),
            "<html><body>Service Unavailable</body></html>".to_owned(),
            whole.replace("AssumeRoleResult", "GetSessionTokenResult"),
            whole.replace("SecretAccessKey", "Secret"),
            whole.replace("token", ""),
            whole.replace("token", "to ken"),
            whole.replace("token", "to\u{e9}ken"),
            whole.replace("2025-03-04T11:00:00Z", "soon"),
            issued("AssumeRole", "2025-03-04T11:00:00Z", &"x".repeat(TEXT_BYTES_MAX + 1)),
        ] {
            assert!(read_credentials(text.as_bytes(), NOW).is_err(), "{text}");
        }
        assert!((0..whole.len() - 1).all(|end| {
            let part = whole.get(..end).unwrap();
            // What comes after the credentials may be missing.
            part.contains("</Credentials>") || read_credentials(part.as_bytes(), NOW).is_err()
        }));
        assert!(read_credentials(b"\xff", NOW).is_err());
    }

    #[test]
    fn errors_are_told_in_one_line_without_what_may_be_secret() {
        let error = |code: &str, message: &str| {
            let text = format!(
                "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>{code}</Code>\
                 <Message>{message}</Message></Error><RequestId>r</RequestId></ErrorResponse>"
            );
            read_error(text.as_bytes()).unwrap()
        };
        let denied = error("AccessDenied", "User: x is not authorized\nsecond\u{7}");
        assert_eq!(denied.code, "AccessDenied");
        assert_eq!(denied.message, "User: x is not authorized");
        assert_eq!(error("SignatureDoesNotMatch", "x-amz-security-token:hunter2").message, "");
        assert_eq!(error("Throttling", &"x".repeat(999)).message.len(), COMPLAINT_LETTERS_MAX);
        let nested =
            "<Response><Errors><Error><Code>AccessDenied</Code></Error></Errors></Response>";
        assert_eq!(read_error(nested.as_bytes()).unwrap().code, "AccessDenied");
        assert_eq!(read_error(b"<html>"), None);
        assert_eq!(read_error(b"<html></html>"), None);
    }
}
