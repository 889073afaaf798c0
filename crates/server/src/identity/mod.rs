//! The keys that sign instance identity documents, and the three signatures they make.
//!
//! ```text
//! mod.rs          the three signers, their record, the text of a signature
//!  └ signer.rs        a key with its certificate
//!     ├ certificate.rs    self-signed, names the key
//!     ├ cms.rs            a document and its signature in one message
//!     └ key.rs            RSA with SHA-256, DSA with SHA-1
//!        ber.rs               the bytes below all of them
//! ```
//!
//! INVARIANT: nothing random shows in a signature. The same keys, document and time give the same
//! text. RSA blinds its arithmetic with the system's randomness, against a guest who times many
//! answers, and the result does not depend on it. DSA takes its nonces from RFC 6979.
//!
//! EC2: verifying clients have Amazon's certificates built in and cannot know these keys. Whoever
//! verifies against this server must be given [`IdentityKeys::certificates`].

mod ber;
mod certificate;
mod cms;
mod key;
mod signer;
#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use metadata::Signatures;
use rsa::pkcs8::{self, der, spki};
use rsa::rand_core::CryptoRng;
use rsa::signature;
use zeroize::Zeroizing;

use key::{Dsa, Rsa};
use signer::Signer;

/// The three private keys behind `/latest/dynamic/instance-identity`, each with the self-signed
/// certificate by which clients verify. The keys are wiped when dropped, as far as the `rsa` and
/// `dsa` crates do so.
pub struct IdentityKeys {
    signature: Signer<Rsa<1024>>,
    pkcs7: Signer<Dsa>,
    rsa2048: Signer<Rsa<2048>>,
}

impl IdentityKeys {
    /// Makes three new keys and their certificates, valid from a day before `now_unix_seconds`
    /// for thirty years.
    ///
    /// The search for primes takes up to a few seconds of computing: not for a thread that serves.
    ///
    /// # Errors
    ///
    /// - [`KeyFault::Encoding`] if the validity leaves the years 1970 to 9999.
    /// - [`KeyFault::Generation`] is a defect of this module.
    pub fn generate<R: CryptoRng + ?Sized>(
        rng: &mut R,
        now_unix_seconds: i64,
    ) -> Result<Self, KeyFault> {
        Ok(Self {
            signature: Signer::generate(SIGNATURE, rng, now_unix_seconds)?,
            pkcs7: Signer::generate(PKCS7, rng, now_unix_seconds)?,
            rsa2048: Signer::generate(RSA2048, rng, now_unix_seconds)?,
        })
    }

    /// Reads what [`to_record`](Self::to_record) wrote.
    ///
    /// # Errors
    ///
    /// - [`KeyFault::CertificateOfAnotherKey`] if a certificate does not go with its key.
    /// - [`KeyFault::CertificateUnreadable`] or [`KeyFault::KeyUnreadable`] if that is damaged or
    ///   is something else.
    /// - [`KeyFault::RecordIncomplete`] if the record is cut short.
    /// - [`KeyFault::RecordUnknown`] if it is of another version, or goes on after its end.
    pub fn from_record(record: &str) -> Result<Self, KeyFault> {
        let mut rest = record.strip_prefix(RECORD_VERSION).ok_or(KeyFault::RecordUnknown)?;
        let keys = Self {
            signature: Signer::take(SIGNATURE, &mut rest)?,
            pkcs7: Signer::take(PKCS7, &mut rest)?,
            rsa2048: Signer::take(RSA2048, &mut rest)?,
        };
        if rest.is_empty() { Ok(keys) } else { Err(KeyFault::RecordUnknown) }
    }

    /// Writes the keys and certificates in their durable form: a line that names the version, then
    /// the PKCS#8 key and the certificate of `signature`, of `pkcs7` and of `rsa2048`, in PEM.
    ///
    /// The record is as secret as the keys.
    ///
    /// # Errors
    ///
    /// [`KeyFault::Encoding`] is a defect of this module.
    pub fn to_record(&self) -> Result<Zeroizing<String>, KeyFault> {
        // `concat` measures first, so that no shorter copy of a key is left behind unwiped.
        let record = [
            RECORD_VERSION,
            &self.signature.key_to_pem()?,
            self.signature.certificate_as_pem(),
            &self.pkcs7.key_to_pem()?,
            self.pkcs7.certificate_as_pem(),
            &self.rsa2048.key_to_pem()?,
            self.rsa2048.certificate_as_pem(),
        ]
        .concat();
        Ok(Zeroizing::new(record))
    }

    /// Returns the certificates in PEM, each with the name of the metadata file it verifies:
    /// `signature`, `pkcs7` and `rsa2048`.
    pub fn certificates(&self) -> [(&'static str, &str); 3] {
        [
            (SIGNATURE, self.signature.certificate_as_pem()),
            (PKCS7, self.pkcs7.certificate_as_pem()),
            (RSA2048, self.rsa2048.certificate_as_pem()),
        ]
    }

    /// Signs `document` three times, at `signing_time` in seconds after 1970.
    ///
    /// # Errors
    ///
    /// - [`SignFault::Encoding`] if `signing_time` leaves the years 1970 to 9999.
    /// - [`SignFault::Signature`] is a defect of this module.
    pub fn sign(&self, document: &[u8], signing_time: i64) -> Result<Signatures, SignFault> {
        let signature = self.signature.sign(document)?;
        let pkcs7 = self.pkcs7.sign_embedded(document, signing_time)?;
        let rsa2048 = self.rsa2048.sign_embedded(document, signing_time)?;
        Ok(Signatures {
            signature: base64_lines(&signature),
            pkcs7: base64_lines(&pkcs7),
            rsa2048: base64_lines(&rsa2048),
        })
    }
}

impl fmt::Debug for IdentityKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityKeys").finish_non_exhaustive()
    }
}

/// Why keys could not be made, kept or read back.
#[derive(Debug, thiserror::Error)]
pub enum KeyFault {
    /// The certificate holds another key than the one beside it, or is not signed by that.
    #[error("certificate for `{name}` does not go with its key")]
    CertificateOfAnotherKey {
        /// The metadata file that the key signs.
        name: &'static str,
    },
    /// The certificate is damaged, or is no certificate.
    #[error("certificate for `{name}` cannot be read")]
    CertificateUnreadable {
        /// The metadata file that the key signs.
        name: &'static str,
        /// What the reader met.
        source: der::Error,
    },
    /// A key, a certificate or its validity has no written form.
    #[error("identity keys cannot be written")]
    Encoding(#[source] pkcs8::Error),
    /// The search for a key failed, or the key does not sign.
    #[error("identity keys cannot be made")]
    Generation(#[source] signature::Error),
    /// The key is damaged, or is of another kind or size.
    #[error("key for `{name}` cannot be read")]
    KeyUnreadable {
        /// The metadata file that the key signs.
        name: &'static str,
        /// What the reader met.
        source: pkcs8::Error,
    },
    /// The record ends too early.
    #[error("record of identity keys is incomplete")]
    RecordIncomplete,
    /// The record has another version than this program knows, or something follows its end.
    #[error("record of identity keys is of an unknown form")]
    RecordUnknown,
}

impl From<der::Error> for KeyFault {
    fn from(source: der::Error) -> Self {
        Self::Encoding(source.into())
    }
}

impl From<pkcs8::Error> for KeyFault {
    fn from(source: pkcs8::Error) -> Self {
        Self::Encoding(source)
    }
}

impl From<spki::Error> for KeyFault {
    fn from(source: spki::Error) -> Self {
        Self::Encoding(source.into())
    }
}

/// Why a document could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignFault {
    /// The signing time has no written form.
    #[error("signed message cannot be written")]
    Encoding(#[from] der::Error),
    /// The key does not sign.
    #[error("identity key does not sign")]
    Signature(#[from] signature::Error),
}

/// First line of a record. A record of another layout has another.
const RECORD_VERSION: &str = "openimds-identity-keys 1\n";

const PKCS7: &str = "pkcs7";
const RSA2048: &str = "rsa2048";
const SIGNATURE: &str = "signature";

/// As many octets as base64 writes in a line of 76 columns.
const OCTETS_PER_LINE: usize = 57;

/// Writes `octets` in base64, with a line feed between lines.
fn base64_lines(octets: &[u8]) -> Box<str> {
    let lines: Vec<String> =
        octets.chunks(OCTETS_PER_LINE).map(|line| BASE64_STANDARD.encode(line)).collect();
    lines.join("\n").into()
}
