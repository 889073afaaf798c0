//! Who signed a request: AWS Signature Version 4, from the side that verifies.
//!
//! ```text
//! ApiRequest ── Presented::parse ──> Presented ── verify(key, service, skew, now) ──> Verified
//!                 authorization.rs      │            canonical.rs, and the HMACs here
//!                                       └─> access key id: the caller looks its key up
//! ```
//!
//! INVARIANT: what is verified is what is obeyed. The method, the path, the query, the host, AWS's own
//! headers and the body are always signed, and what can be read in two ways is refused. The content
//! type may be unsigned: no body of one protocol is a request of another.
//!
//! INVARIANT: an unknown key costs what a wrong signature costs, since both are verified.

mod authorization;
mod canonical;
mod fault;
mod signing;
#[cfg(test)]
mod tests;
mod time;

use hmac::{Hmac, KeyInit as _, Mac as _};
use model::{AccessKey, Secret, Timestamp};
use sha2::{Digest as _, Sha256};

pub use self::authorization::{LIFETIME_SECONDS_MAX, Presented, SIGNED_HEADERS_MAX};
pub use self::fault::SignatureFault;
pub use self::signing::Signer;

/// Whose request it is.
///
/// INVARIANT: only [`Presented::verify`] makes one, so holding one proves that the signature is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    access_key_id: String,
    region: String,
}

impl Verified {
    /// Returns the id of the key that signed the request.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Returns the region that the request is for. EC2: what is regional is looked up there; the
    /// global services take any.
    pub fn region(&self) -> &str {
        &self.region
    }
}

/// The algorithm, which is also the first line of what is signed.
const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What ends every scope.
const TERMINATOR: &str = "aws4_request";

/// Stands in for the secret of a key that nobody knows, so that looking for one takes as long.
const NOBODYS_SECRET: &str = "0000000000000000000000000000000000000000";

impl Presented<'_> {
    /// Verifies the signature with `key`, which is the one called [`Self::access_key_id`], if there
    /// is one; for the service of signing name `service`, at `now`.
    ///
    /// A request may be `skew_seconds` older or newer than `now`. EC2 allows fifteen minutes, the
    /// other services five. How old a URL signed for some time may be is said by itself.
    ///
    /// # Errors
    ///
    /// One [`SignatureFault`] for each thing that may be wrong. Those that depend on the secret come
    /// last, and the session token is looked at only in a request that is signed.
    pub fn verify(
        &self,
        key: Option<&AccessKey>,
        service: &str,
        skew_seconds: u32,
        now: Timestamp,
    ) -> Result<Verified, SignatureFault> {
        self.check_scope(service)?;
        self.check_time(skew_seconds, now)?;
        let request = canonical::request(self, &self.payload_hash()?)?;
        let key = key.filter(|key| *key.id == *self.access_key_id);
        let secret = key.map_or(NOBODYS_SECRET, |key| key.secret.expose());
        let is_signed = signature(&self.signing_key(secret), &self.text_to_sign(&request))
            .verify_slice(&self.signature)
            .is_ok();
        let key = key.ok_or(SignatureFault::KeyUnknown)?;
        if !is_signed {
            return Err(SignatureFault::SignatureDiffers);
        }
        self.check_session(key, now)?;
        let (access_key_id, region) = (self.access_key_id.clone(), self.scope.region.clone());
        Ok(Verified { access_key_id, region })
    }

    fn check_scope(&self, service: &str) -> Result<(), SignatureFault> {
        if self.scope.service != service {
            let (presented, expected) = (self.scope.service.clone(), service.to_owned());
            return Err(SignatureFault::ServiceDiffers { presented, expected });
        }
        if !time::basic(self.time).starts_with(&self.scope.date) {
            let (scope, time) = (self.scope.date.clone(), self.time);
            return Err(SignatureFault::DateDiffers { scope, time });
        }
        Ok(())
    }

    fn check_time(&self, skew_seconds: u32, now: Timestamp) -> Result<(), SignatureFault> {
        let time = self.time;
        let allowed_seconds = self.lifetime_seconds.unwrap_or(skew_seconds);
        if now > time.plus_seconds(allowed_seconds.into()) {
            return Err(SignatureFault::Expired { time, now, allowed_seconds });
        }
        if time > now.plus_seconds(skew_seconds.into()) {
            let allowed_seconds = skew_seconds;
            return Err(SignatureFault::NotYetValid { time, now, allowed_seconds });
        }
        Ok(())
    }

    /// Hashes the body. EC2: it is always part of the signature; only S3 does without.
    fn payload_hash(&self) -> Result<String, SignatureFault> {
        let hash = hex(&Sha256::digest(self.request.body));
        match self.request.header("x-amz-content-sha256").map(str::trim_ascii) {
            None => Ok(hash),
            Some(claim) if claim == hash => Ok(hash),
            Some("UNSIGNED-PAYLOAD") => Err(SignatureFault::PayloadUnsigned),
            Some(_) => Err(SignatureFault::PayloadDiffers),
        }
    }

    fn check_session(&self, key: &AccessKey, now: Timestamp) -> Result<(), SignatureFault> {
        match (&key.session_token, &self.session_token) {
            (None, Some(_)) => return Err(SignatureFault::SessionTokenSuperfluous),
            (Some(_), None) => return Err(SignatureFault::SessionTokenMissing),
            (Some(own), Some(shown)) if own != shown => {
                return Err(SignatureFault::SessionTokenDiffers);
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        match key.expiration.filter(|end| now >= *end) {
            Some(at) => Err(SignatureFault::SessionExpired { at }),
            None => Ok(()),
        }
    }

    /// Derives the key that signs for this scope.
    fn signing_key(&self, secret: &str) -> Secret<[u8; 32]> {
        let start = Secret::new([b"AWS4", secret.as_bytes()].concat());
        let of_date = sign(start.expose(), &self.scope.date);
        [&*self.scope.region, &self.scope.service, TERMINATOR]
            .iter()
            .fold(of_date, |key, part| sign(key.expose(), part))
    }

    /// Writes the text that the signature is of.
    fn text_to_sign(&self, canonical_request: &str) -> String {
        let scope = &self.scope;
        let (date, region, service) = (&scope.date, &scope.region, &scope.service);
        let time = time::basic(self.time);
        let hash = hex(&Sha256::digest(canonical_request));
        format!("{ALGORITHM}\n{time}\n{date}/{region}/{service}/{TERMINATOR}\n{hash}")
    }
}

/// Begins the HMAC of `text`.
fn hmac(key: &[u8], text: &str) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key length");
    mac.update(text.as_bytes());
    mac
}

/// Computes a key of the chain.
fn sign(key: &[u8], text: &str) -> Secret<[u8; 32]> {
    Secret::new(hmac(key, text).finalize().into_bytes().into())
}

/// Computes the signature, which knows how to be compared in constant time.
fn signature(key: &Secret<[u8; 32]>, text: &str) -> Hmac<Sha256> {
    hmac(key.expose(), text)
}

/// Writes bytes as hexadecimal digits in lower case.
fn hex(bytes: &[u8]) -> String {
    let digit = |number: u8| char::from_digit(number.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
