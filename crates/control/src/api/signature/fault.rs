//! Why a request is not its sender's, and how EC2 and the others say so.

use std::borrow::Cow;

use model::Timestamp;

use super::authorization::{LIFETIME_SECONDS_MAX, SIGNED_HEADERS_MAX};
use super::time::basic;

/// Why a signature is not good. The text is for those who run the server; what a client is told is
/// [`told_by_ec2`](Self::told_by_ec2) or [`told_by_others`](Self::told_by_others).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// The scope is of another day than the request.
    #[error(
        "the signature's scope is of {scope}, but its time is {}: sign with a scope of the same day",
        basic(*time)
    )]
    DateDiffers {
        /// The date in the scope.
        scope: String,
        /// The time of the request.
        time: Timestamp,
    },
    /// It is too old.
    #[error(
        "the signature is of {}, more than {allowed_seconds} s before {}: set the client's clock, or \
         sign anew",
        basic(*time), basic(*now)
    )]
    Expired {
        /// The time of the request.
        time: Timestamp,
        /// The time here.
        now: Timestamp,
        /// How old it may be.
        allowed_seconds: u32,
    },
    /// A header that must be signed is not.
    #[error("the header `{name}` is not signed: name it in SignedHeaders, or leave it out")]
    HeaderNotSigned {
        /// The header.
        name: String,
    },
    /// Nobody here has that access key id.
    #[error("the access key id is not known here: use one that this server issued")]
    KeyUnknown,
    /// A URL that asks to be good for too long, or for no time.
    #[error("X-Amz-Expires is `{text}`: use 1 to {LIFETIME_SECONDS_MAX} seconds")]
    LifetimeOutOfRange {
        /// What it says.
        text: String,
    },
    /// Part of what is said of the signature cannot be read.
    #[error(
        "`{part}` is not formatted correctly: write AWS4-HMAC-SHA256 Credential=KEY/yyyymmdd/region/\
         service/aws4_request, SignedHeaders=a;b (at most {SIGNED_HEADERS_MAX}, sorted, in lower \
         case), Signature=64 hexadecimal digits; times as yyyymmddThhmmssZ"
    )]
    Malformed {
        /// The part.
        part: &'static str,
    },
    /// Part of what is said of the signature is not there.
    #[error("`{part}` is missing: a signature has a credential, signed headers and a time")]
    Missing {
        /// The part.
        part: &'static str,
    },
    /// There is no signature.
    #[error("the request is not signed: give the client an access key")]
    NotSigned,
    /// It is from the future.
    #[error(
        "the signature is of {}, more than {allowed_seconds} s after {}: set the client's clock",
        basic(*time), basic(*now)
    )]
    NotYetValid {
        /// The time of the request.
        time: Timestamp,
        /// The time here.
        now: Timestamp,
        /// How far ahead it may be.
        allowed_seconds: u32,
    },
    /// The body is not the one whose hash is in `X-Amz-Content-SHA256`.
    #[error("the body is not what X-Amz-Content-SHA256 says: it was changed after it was signed")]
    PayloadDiffers,
    /// The body is left out of the signature.
    #[error("the body is not signed: only S3 takes UNSIGNED-PAYLOAD; sign the body's hash")]
    PayloadUnsigned,
    /// Part of what is said of the signature is there more than once.
    #[error("`{part}` is there more than once: send it once")]
    Repeated {
        /// The part.
        part: &'static str,
    },
    /// It was signed for another service.
    #[error("the signature is for the service `{presented}`: sign for `{expected}`")]
    ServiceDiffers {
        /// The service in the scope.
        presented: String,
        /// The signing name of the service that is asked.
        expected: String,
    },
    /// The temporary credentials have ended.
    #[error("the session ended at {at}: fetch new credentials")]
    SessionExpired {
        /// When.
        at: Timestamp,
    },
    /// The session token is of other credentials.
    #[error("the session token is not this key's: use the one that came with it")]
    SessionTokenDiffers,
    /// Temporary credentials were used without their session token.
    #[error("the key is temporary, and there is no session token: send X-Amz-Security-Token")]
    SessionTokenMissing,
    /// A session token was sent with a key that has none.
    #[error("the key is not temporary, and has no session token: send none")]
    SessionTokenSuperfluous,
    /// The signature is not of this request, or not with this key's secret.
    #[error("the signature is not this request's: check the secret access key")]
    SignatureDiffers,
    /// There are two signatures.
    #[error("there is a signature in the Authorization header and one in the query: send one")]
    SignedTwice,
    /// A header that is said to be signed is not there.
    #[error(
        "the header `{name}` is said to be signed, but is not there: a proxy may have removed it"
    )]
    SignedHeaderAbsent {
        /// The header.
        name: String,
    },
}

/// A code, the status that it comes with, and a message.
type Told = (&'static str, u16, Cow<'static, str>);

impl SignatureFault {
    /// Returns what EC2 tells its client: code, status, message.
    ///
    /// EC2: what depends on the key is all one, so that nobody learns which keys there are.
    pub fn told_by_ec2(&self) -> Told {
        let (code, status, message) = match self {
            Self::NotSigned => {
                ("MissingAuthenticationToken", 403, "Request is missing Authentication Token")
            }
            Self::Expired { .. } | Self::NotYetValid { .. } | Self::SessionExpired { .. } => {
                ("RequestExpired", 400, "Request has expired.")
            }
            Self::KeyUnknown
            | Self::PayloadDiffers
            | Self::SessionTokenDiffers
            | Self::SessionTokenMissing
            | Self::SessionTokenSuperfluous
            | Self::SignatureDiffers
            | Self::SignedHeaderAbsent { .. } => {
                ("AuthFailure", 401, "AWS was not able to validate the provided access credentials")
            }
            Self::DateDiffers { .. }
            | Self::HeaderNotSigned { .. }
            | Self::LifetimeOutOfRange { .. }
            | Self::Malformed { .. }
            | Self::Missing { .. }
            | Self::PayloadUnsigned
            | Self::Repeated { .. }
            | Self::ServiceDiffers { .. }
            | Self::SignedTwice => (
                "AuthFailure",
                401,
                "Authorization header or parameters are not formatted correctly.",
            ),
        };
        (code, status, message.into())
    }

    /// Returns what the Query and JSON services tell their clients: code, status, message.
    pub fn told_by_others(&self) -> Told {
        match self {
            Self::NotSigned => self.told_by_ec2(),
            Self::KeyUnknown
            | Self::SessionTokenDiffers
            | Self::SessionTokenMissing
            | Self::SessionTokenSuperfluous => (
                "InvalidClientTokenId",
                403,
                "The security token included in the request is invalid.".into(),
            ),
            Self::SessionExpired { .. } => (
                "ExpiredToken",
                403,
                "The security token included in the request is expired".into(),
            ),
            Self::LifetimeOutOfRange { .. }
            | Self::Malformed { .. }
            | Self::Missing { .. }
            | Self::PayloadUnsigned
            | Self::Repeated { .. }
            | Self::SignedTwice => ("IncompleteSignature", 400, self.to_string().into()),
            Self::DateDiffers { .. }
            | Self::Expired { .. }
            | Self::HeaderNotSigned { .. }
            | Self::NotYetValid { .. }
            | Self::PayloadDiffers
            | Self::ServiceDiffers { .. }
            | Self::SignatureDiffers
            | Self::SignedHeaderAbsent { .. } => {
                ("SignatureDoesNotMatch", 403, self.why_it_does_not_match())
            }
        }
    }

    /// Writes the message of `SignatureDoesNotMatch`, in AWS's words.
    fn why_it_does_not_match(&self) -> Cow<'static, str> {
        if let Self::DateDiffers { scope, time } = self {
            let (time, date) = (basic(*time), basic(*time).chars().take(8).collect::<String>());
            return format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP: '{scope}' != '{date}', from '{time}'."
            )
            .into();
        }
        if let Self::Expired { time, now, allowed_seconds } = self {
            let oldest = basic(now.plus_seconds(-i64::from(*allowed_seconds)));
            let (time, now, allowed) = (basic(*time), basic(*now), duration(*allowed_seconds));
            return format!(
                "Signature expired: {time} is now earlier than {oldest} ({now} - {allowed})"
            )
            .into();
        }
        if let Self::NotYetValid { time, now, allowed_seconds } = self {
            let newest = basic(now.plus_seconds(i64::from(*allowed_seconds)));
            let (time, now, allowed) = (basic(*time), basic(*now), duration(*allowed_seconds));
            return format!(
                "Signature not yet current: {time} is still later than {newest} ({now} + {allowed})"
            )
            .into();
        }
        if let Self::HeaderNotSigned { name } = self {
            return format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.").into();
        }
        if let Self::ServiceDiffers { expected, .. } = self {
            return format!("Credential should be scoped to correct service: '{expected}'. ")
                .into();
        }
        "The request signature we calculated does not match the signature you provided. Check your \
         AWS Secret Access Key and signing method. Consult the service documentation for details."
            .into()
    }
}

/// Writes a number of seconds as AWS does, in minutes if they are whole.
fn duration(seconds: u32) -> String {
    if seconds.is_multiple_of(60) {
        format!("{} min.", seconds / 60)
    } else {
        format!("{seconds} sec.")
    }
}
