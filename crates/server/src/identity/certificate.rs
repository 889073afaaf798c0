//! The self-signed certificate that goes with a key: it names the key in CMS and hands it to
//! whoever verifies.

use rsa::pkcs8::der::asn1::BitStringRef;
use rsa::pkcs8::der::{self, Decode as _, Encode as _, ErrorKind, Reader as _, SliceReader};
use rsa::pkcs8::{Document, LineEnding, ObjectIdentifier};
use rsa::rand_core::CryptoRng;

use super::KeyFault;
use super::ber::{self, definite};
use super::key::Key;

/// Issuer and subject of every certificate, attribute by attribute.
///
/// EC2: the place and the order are those of the certificates for `pkcs7` and `rsa2048`. The
/// organization is our own, and there is no common name: that of Amazon's certificate for
/// `signature` is `ec2.amazonaws.com`, and to bear it without being Amazon would invite mistaken
/// trust. Verifiers go by the key and do not look at the name.
const NAME: [(ObjectIdentifier, &str); 4] = [
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "US"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "Washington State"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "Seattle"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "OpenIMDS"),
];

/// What the armor of a certificate says it holds.
pub(super) const PEM_LABEL: &str = "CERTIFICATE";

/// A certificate of version 3 counts from 0 (RFC 5280 section 4.1.2.1).
const VERSION_3: u8 = 2;

/// First octet of a bit string made of whole octets.
const NO_UNUSED_BITS: u8 = 0;

/// How long before its making a certificate is valid, for clients whose clock is slow.
const VALID_BEFORE_SECONDS: i64 = 24 * 60 * 60;

/// How long after its making a certificate is valid: thirty years of 365 days. Clients are given
/// the certificate by hand, so none may have to be replaced within the life of a deployment.
const VALID_AFTER_SECONDS: i64 = 30 * 365 * 24 * 60 * 60;

/// Critical extensions `basicConstraints` without CA, and `keyUsage` with `digitalSignature` alone
/// (RFC 5280 sections 4.2.1.9 and 4.2.1.3). Without them, a client that adds the certificate to its
/// trusted roots would let this key vouch for any other.
const EXTENSIONS: &[u8] = &[
    0x30, 0x1e, // Extensions
    0x30, 0x0c, 0x06, 0x03, 0x55, 0x1d, 0x13, 0x01, 0x01, 0xff, // basicConstraints, critical
    0x04, 0x02, 0x30, 0x00, // an empty sequence
    0x30, 0x0e, 0x06, 0x03, 0x55, 0x1d, 0x0f, 0x01, 0x01, 0xff, // keyUsage, critical
    0x04, 0x04, 0x03, 0x02, 0x07, 0x80, // bit 0, digitalSignature
];

/// A certificate for a key this program has.
///
/// INVARIANT: the certificate holds the public half of that key and is signed by it.
pub(super) struct Certificate {
    pem: String,
    issuer_and_serial: Vec<u8>,
}

impl Certificate {
    /// Makes a certificate for `key` at the time `now_unix_seconds`.
    ///
    /// # Errors
    ///
    /// - [`KeyFault::Encoding`] if the validity leaves the years 1970 to 9999.
    /// - Any other is a defect of this module.
    pub(super) fn self_signed<K: Key, R: CryptoRng + ?Sized>(
        name: &'static str,
        key: &K,
        rng: &mut R,
        now_unix_seconds: i64,
    ) -> Result<Self, KeyFault> {
        let algorithm = K::IN_CERTIFICATE.to_der()?;
        let to_be_signed = to_be_signed(key, &algorithm, &serial(rng), now_unix_seconds)?;
        let signature = key.sign(&to_be_signed).map_err(KeyFault::Generation)?;
        let bits = definite(ber::BIT_STRING, &[&[NO_UNUSED_BITS], &signature]);
        let certificate = definite(ber::SEQUENCE, &[&to_be_signed, &algorithm, &bits]);
        Self::parse(name, key, &certificate.try_into()?)
    }

    /// Reads a certificate that must be the self-signed one of `key`.
    ///
    /// # Errors
    ///
    /// - [`KeyFault::CertificateOfAnotherKey`] if it holds another key or is not signed by `key`.
    /// - [`KeyFault::CertificateUnreadable`] unless `der` is a certificate.
    pub(super) fn parse<K: Key>(
        name: &'static str,
        key: &K,
        der: &Document,
    ) -> Result<Self, KeyFault> {
        let fields = Fields::parse(der.as_bytes())
            .map_err(|source| KeyFault::CertificateUnreadable { name, source })?;
        let goes_with_key = fields.public_key == key.to_public_key()?.as_bytes()
            && fields.algorithm == K::IN_CERTIFICATE.to_der()?
            && key.verify(fields.to_be_signed, fields.signature).is_ok();
        if !goes_with_key {
            return Err(KeyFault::CertificateOfAnotherKey { name });
        }
        let issuer_and_serial = definite(ber::SEQUENCE, &[fields.issuer, fields.serial]);
        Ok(Self { pem: der.to_pem(PEM_LABEL, LineEnding::LF)?, issuer_and_serial })
    }

    /// Returns the certificate in PEM.
    pub(super) fn as_pem(&self) -> &str {
        &self.pem
    }

    /// Returns the `IssuerAndSerialNumber` by which CMS names the certificate.
    pub(super) fn as_issuer_and_serial(&self) -> &[u8] {
        &self.issuer_and_serial
    }
}

/// Writes the `TBSCertificate` (RFC 5280 section 4.1).
fn to_be_signed<K: Key>(
    key: &K,
    algorithm: &[u8],
    serial: &[u8],
    now_unix_seconds: i64,
) -> Result<Vec<u8>, KeyFault> {
    let version = definite(ber::CONTEXT_0, &[&definite(ber::INTEGER, &[&[VERSION_3]])]);
    let issuer = name()?;
    let from = ber::time(now_unix_seconds.saturating_sub(VALID_BEFORE_SECONDS))?;
    let until = ber::time(now_unix_seconds.saturating_add(VALID_AFTER_SECONDS))?;
    let validity = definite(ber::SEQUENCE, &[&from, &until]);
    let subject = &issuer;
    let public_key = key.to_public_key()?;
    let extensions = definite(ber::CONTEXT_3, &[EXTENSIONS]);
    Ok(definite(
        ber::SEQUENCE,
        &[
            &version,
            serial,
            algorithm,
            &issuer,
            &validity,
            subject,
            public_key.as_bytes(),
            &extensions,
        ],
    ))
}

/// Draws a serial number of 64 bits whose first is set: positive, unlikely to repeat, and always
/// nine octets long, as are those of EC2.
fn serial<R: CryptoRng + ?Sized>(rng: &mut R) -> Vec<u8> {
    let number = rng.next_u64() | 1 << 63;
    definite(ber::INTEGER, &[&[0], &number.to_be_bytes()])
}

/// Writes [`NAME`].
fn name() -> der::Result<Vec<u8>> {
    let mut attributes = Vec::new();
    for (kind, text) in NAME {
        let text = definite(ber::PRINTABLE_STRING, &[text.as_bytes()]);
        let attribute = definite(ber::SEQUENCE, &[&kind.to_der()?, &text]);
        attributes.extend(definite(ber::SET, &[&attribute]));
    }
    Ok(definite(ber::SEQUENCE, &[&attributes]))
}

/// What is read of a certificate, each part with its tag and length except for the signature.
struct Fields<'a> {
    to_be_signed: &'a [u8],
    serial: &'a [u8],
    issuer: &'a [u8],
    public_key: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Fields<'a> {
    fn parse(certificate: &'a [u8]) -> der::Result<Self> {
        let mut reader = SliceReader::new(certificate)?;
        let (to_be_signed, algorithm, signature) = reader.sequence(|reader| {
            let to_be_signed = reader.tlv_bytes()?;
            let algorithm = reader.tlv_bytes()?;
            let signature = BitStringRef::decode(reader)?;
            let signature = signature.as_bytes().ok_or(ErrorKind::Failed)?;
            der::Result::Ok((to_be_signed, algorithm, signature))
        })?;
        reader.finish()?;

        let mut reader = SliceReader::new(to_be_signed)?;
        reader.sequence(|reader| {
            let _version = reader.tlv_bytes()?;
            let serial = reader.tlv_bytes()?;
            let _algorithm = reader.tlv_bytes()?;
            let issuer = reader.tlv_bytes()?;
            let _validity = reader.tlv_bytes()?;
            let _subject = reader.tlv_bytes()?;
            let public_key = reader.tlv_bytes()?;
            let _extensions = reader.tlv_bytes()?;
            Ok(Self { to_be_signed, serial, issuer, public_key, algorithm, signature })
        })
    }
}
