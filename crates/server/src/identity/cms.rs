//! A document and its signature in one CMS message (RFC 5652).
//!
//! EC2: the layout is that of `openssl smime -sign -stream -binary -nodetach -nocerts
//! -nosmimecap`: indefinite lengths from outside down to the document, DER inside the `SignerInfo`,
//! no certificates, no revocation lists.

use rsa::pkcs8::ObjectIdentifier;
use rsa::pkcs8::der::{self, Encode as _};

use super::SignFault;
use super::ber::{self, definite, indefinite};
use super::certificate::Certificate;
use super::key::Key;

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");

const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_TIME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.5");

/// Version of `SignedData` that embeds plain data, and of a `SignerInfo` that names its certificate
/// by issuer and serial number (RFC 5652 sections 5.1 and 5.3).
const VERSION_1: u8 = 1;

/// Writes a message that embeds `document` and its signature by `key`.
///
/// # Errors
///
/// - [`SignFault::Encoding`] if `signing_time`, in seconds after 1970, leaves the years 1970 to
///   9999.
/// - [`SignFault::Signature`] is a defect of this module.
pub(super) fn signed_data<K: Key>(
    key: &K,
    certificate: &Certificate,
    document: &[u8],
    signing_time: i64,
) -> Result<Vec<u8>, SignFault> {
    let version = definite(ber::INTEGER, &[&[VERSION_1]]);
    let digest_algorithms = definite(ber::SET, &[&K::DIGEST.to_der()?]);
    let content = embedded(document)?;
    let signer_info = signer_info(key, certificate, document, signing_time)?;
    let signer_infos = definite(ber::SET, &[&signer_info]);

    let signed_data =
        indefinite(ber::SEQUENCE, &[&version, &digest_algorithms, &content, &signer_infos]);
    let signed_data = indefinite(ber::CONTEXT_0, &[&signed_data]);
    Ok(indefinite(ber::SEQUENCE, &[&SIGNED_DATA.to_der()?, &signed_data]))
}

/// Writes the `EncapsulatedContentInfo`: the document as an octet string in one piece.
fn embedded(document: &[u8]) -> der::Result<Vec<u8>> {
    let piece = definite(ber::OCTET_STRING, &[document]);
    let octets = indefinite(ber::OCTET_STRING_IN_PIECES, &[&piece]);
    let octets = indefinite(ber::CONTEXT_0, &[&octets]);
    Ok(indefinite(ber::SEQUENCE, &[&DATA.to_der()?, &octets]))
}

/// Writes the `SignerInfo`, signature included.
fn signer_info<K: Key>(
    key: &K,
    certificate: &Certificate,
    document: &[u8],
    signing_time: i64,
) -> Result<Vec<u8>, SignFault> {
    let digest = definite(ber::OCTET_STRING, &[&K::digest(document)]);
    // DER orders a set by its bytes, and so do the lengths of these three.
    let attributes = [
        attribute(CONTENT_TYPE, &DATA.to_der()?)?,
        attribute(SIGNING_TIME, &ber::time(signing_time)?)?,
        attribute(MESSAGE_DIGEST, &digest)?,
    ]
    .concat();
    // The attributes are sent as `[0]` but signed as the set they are (RFC 5652 section 5.4).
    let signature = key.sign(&definite(ber::SET, &[&attributes]))?;

    let version = definite(ber::INTEGER, &[&[VERSION_1]]);
    let attributes = definite(ber::CONTEXT_0, &[&attributes]);
    let signature = definite(ber::OCTET_STRING, &[&signature]);
    Ok(definite(
        ber::SEQUENCE,
        &[
            &version,
            certificate.as_issuer_and_serial(),
            &K::DIGEST.to_der()?,
            &attributes,
            &K::IN_CMS.to_der()?,
            &signature,
        ],
    ))
}

/// Writes an attribute that has one value.
fn attribute(kind: ObjectIdentifier, value: &[u8]) -> der::Result<Vec<u8>> {
    let values = definite(ber::SET, &[value]);
    Ok(definite(ber::SEQUENCE, &[&kind.to_der()?, &values]))
}
