//! A key with its certificate: how both are made, kept and used.

use rsa::pkcs8::der::pem::{self, LineEnding};
use rsa::pkcs8::der::{self, Document};
use rsa::pkcs8::{self, SecretDocument};
use rsa::rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::certificate::{self, Certificate};
use super::key::Key;
use super::{KeyFault, SignFault, cms};

/// What the armor of a PKCS#8 key says it holds.
const KEY_LABEL: &str = "PRIVATE KEY";

/// A key and its certificate.
pub(super) struct Signer<K> {
    key: K,
    certificate: Certificate,
}

impl<K: Key> Signer<K> {
    /// Makes a new key and a certificate for it, which serve the metadata file `name`.
    ///
    /// # Errors
    ///
    /// [`KeyFault::Generation`], and those of [`Certificate::self_signed`].
    pub(super) fn generate<R: CryptoRng + ?Sized>(
        name: &'static str,
        rng: &mut R,
        now_unix_seconds: i64,
    ) -> Result<Self, KeyFault> {
        let key = K::generate(rng).map_err(KeyFault::Generation)?;
        let certificate = Certificate::self_signed(name, &key, rng, now_unix_seconds)?;
        Ok(Self { key, certificate })
    }

    /// Takes a key and its certificate off the front of `record`.
    ///
    /// # Errors
    ///
    /// - [`KeyFault::RecordIncomplete`] if `record` ends before the certificate does.
    /// - [`KeyFault::KeyUnreadable`] unless the first document is a key of kind `K`.
    /// - Those of [`Certificate::parse`].
    pub(super) fn take(name: &'static str, record: &mut &str) -> Result<Self, KeyFault> {
        let key = parse_key(take_document(record)?)
            .map_err(|source| KeyFault::KeyUnreadable { name, source })?;
        let certificate = parse_certificate(take_document(record)?)
            .map_err(|source| KeyFault::CertificateUnreadable { name, source })?;
        let certificate = Certificate::parse(name, &key, &certificate)?;
        Ok(Self { key, certificate })
    }

    /// Writes the key, as [`take`](Self::take) reads it before the certificate.
    ///
    /// # Errors
    ///
    /// [`KeyFault::Encoding`] is a defect of this module.
    pub(super) fn key_to_pem(&self) -> Result<Zeroizing<String>, KeyFault> {
        Ok(self.key.to_pkcs8()?.to_pem(KEY_LABEL, LineEnding::LF)?)
    }

    /// Returns the certificate in PEM.
    pub(super) fn certificate_as_pem(&self) -> &str {
        self.certificate.as_pem()
    }

    /// Signs `document` and returns the bare signature.
    ///
    /// # Errors
    ///
    /// [`SignFault::Signature`] is a defect of this module.
    pub(super) fn sign(&self, document: &[u8]) -> Result<Vec<u8>, SignFault> {
        Ok(self.key.sign(document)?)
    }

    /// Signs `document` and returns a CMS message that embeds it.
    ///
    /// # Errors
    ///
    /// Those of [`cms::signed_data`].
    pub(super) fn sign_embedded(
        &self,
        document: &[u8],
        signing_time: i64,
    ) -> Result<Vec<u8>, SignFault> {
        cms::signed_data(&self.key, &self.certificate, document, signing_time)
    }
}

/// Takes one PEM document off the front of `record`, up to the end of its closing line.
fn take_document<'a>(record: &mut &'a str) -> Result<&'a str, KeyFault> {
    let (document, rest) = record
        .find("-----END ")
        .and_then(|closing| {
            let line = record.get(closing..)?.find('\n')?;
            record.split_at_checked(closing + line + 1)
        })
        .ok_or(KeyFault::RecordIncomplete)?;
    *record = rest;
    Ok(document)
}

fn parse_key<K: Key>(pem: &str) -> pkcs8::Result<K> {
    let (label, document) = SecretDocument::from_pem(pem)?;
    check_label(label, KEY_LABEL)?;
    K::parse(document.as_bytes())
}

fn parse_certificate(pem: &str) -> der::Result<Document> {
    let (label, document) = Document::from_pem(pem)?;
    check_label(label, certificate::PEM_LABEL)?;
    Ok(document)
}

fn check_label(actual: &str, expected: &'static str) -> der::Result<()> {
    if actual == expected {
        Ok(())
    } else {
        Err(pem::Error::UnexpectedTypeLabel { expected }.into())
    }
}
