//! What a key can do: RSA with SHA-256, and DSA with SHA-1.
//!
//! Algorithms and sizes are those that clients of EC2 expect, not those one would choose today.
//! RSA-1024, DSA-1024 and SHA-1 resist no determined forger, so nothing else may trust these keys.

use dsa::Components;
use rsa::pkcs1v15;
use rsa::pkcs8::der::AnyRef;
use rsa::pkcs8::spki::AlgorithmIdentifierRef as Algorithm;
use rsa::pkcs8::{
    self, Document, EncodePrivateKey as _, EncodePublicKey as _, KeyError, ObjectIdentifier,
    PrivateKeyInfoRef, SecretDocument,
};
use rsa::rand_core::CryptoRng;
use rsa::signature::{
    self, Keypair as _, SignatureEncoding as _, Signer as _, Verifier as _,
    hazmat::PrehashVerifier as _,
};
use rsa::traits::PublicKeyParts as _;
use rsa::{RsaPrivateKey, pkcs1};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// The domain of every DSA key here: 1024 bits with a subgroup of 160 bits, as FIPS 186-4 makes it
/// from a seed, so that nobody can have chosen it for a weakness. The seed is the SHA-1 of
/// `OpenIMDS DSA-1024/160 domain parameters 12`, 12 being the first number that leads to primes:
///
/// ```text
/// openssl genpkey -genparam -algorithm DSA -pkeyopt type:fips186_4 -pkeyopt digest:SHA1 \
///     -pkeyopt pbits:1024 -pkeyopt qbits:160 -pkeyopt gindex:1 \
///     -pkeyopt hexseed:f19b372fc3107a0f3de596daeeb9928dd87b2ff7
/// ```
///
/// A domain may be public and shared. In a given one a key is made at once, and a key of any other
/// is refused.
pub(super) const DSA_DOMAIN: &str = "\
-----BEGIN DSA PARAMETERS-----
MIIBHgKBgQDLIRRV1o1v8+jbki+D0MH21qpxhy2Sc4DyGo2PlXyewqlR6fODrCL0
Ln4x5uBfGhy9OIqAyKv0wIV+LuibFwol0/L5597Z5yKDAk5kmPY/3LfY3YyRLgoY
mO9bHMslMr/fqGXE4xVjtUBHD8wtfqLvTfOWD43x4WWDMUFmeWPfQwIVAJq8QPoA
Gs3FgHc69nmF4pdN2kefAoGAaWuNd3pDw0rHik/TJsp8jVW/jET+/ERhB7AF19tA
TeP3FUuf43i3jqs7hiYZbQPrfx2xLpvNWOTESLdMvgoQQ4j3HumdmlCtUprXsFHW
7+KqmpKaYgug+DwC7aprdVBTwx3MU4mmJkt3My1pRnIZ+hcB7AuVpL02hPBoYZ1U
kak=
-----END DSA PARAMETERS-----
";

/// What a signer asks of its key.
pub(super) trait Key: Sized {
    /// The digest of messages.
    const DIGEST: Algorithm<'static>;
    /// The signature algorithm, as a certificate names it.
    const IN_CERTIFICATE: Algorithm<'static>;
    /// The signature algorithm, as CMS names it.
    const IN_CMS: Algorithm<'static>;

    /// Makes a new key.
    ///
    /// # Errors
    ///
    /// Any error is a defect of this module: all parameters are fixed.
    fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> signature::Result<Self>;

    /// Reads a key of this kind and size, and no other.
    fn parse(pkcs8: &[u8]) -> pkcs8::Result<Self>;

    /// Writes the key in PKCS#8 form.
    fn to_pkcs8(&self) -> pkcs8::Result<SecretDocument>;

    /// Writes the public half as a `SubjectPublicKeyInfo`.
    fn to_public_key(&self) -> pkcs8::spki::Result<Document>;

    /// Digests a message.
    fn digest(message: &[u8]) -> Vec<u8>;

    /// Signs the digest of a message.
    fn sign(&self, message: &[u8]) -> signature::Result<Vec<u8>>;

    /// Checks a signature over the digest of a message.
    fn verify(&self, message: &[u8], signature: &[u8]) -> signature::Result<()>;
}

/// An RSA key that signs SHA-256 digests with PKCS#1 v1.5 padding.
///
/// INVARIANT: the modulus has exactly `BITS` bits.
pub(super) struct Rsa<const BITS: usize>(pkcs1v15::SigningKey<Sha256>);

impl<const BITS: usize> Key for Rsa<BITS> {
    const DIGEST: Algorithm<'static> = Algorithm {
        oid: ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1"), // id-sha256
        parameters: Some(AnyRef::NULL),
    };
    const IN_CERTIFICATE: Algorithm<'static> = Algorithm {
        oid: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"), // sha256WithRSAEncryption
        parameters: Some(AnyRef::NULL),
    };
    const IN_CMS: Algorithm<'static> = pkcs1::ALGORITHM_ID; // rsaEncryption

    fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> signature::Result<Self> {
        Ok(Self(pkcs1v15::SigningKey::new(RsaPrivateKey::new(rng, BITS)?)))
    }

    fn parse(pkcs8: &[u8]) -> pkcs8::Result<Self> {
        let key = RsaPrivateKey::try_from(PrivateKeyInfoRef::try_from(pkcs8)?)?;
        if usize::try_from(key.n().bits()) != Ok(BITS) {
            return Err(KeyError::Invalid.into());
        }
        Ok(Self(pkcs1v15::SigningKey::new(key)))
    }

    fn to_pkcs8(&self) -> pkcs8::Result<SecretDocument> {
        self.0.to_pkcs8_der()
    }

    fn to_public_key(&self) -> pkcs8::spki::Result<Document> {
        self.0.verifying_key().to_public_key_der()
    }

    fn digest(message: &[u8]) -> Vec<u8> {
        Sha256::digest(message).to_vec()
    }

    fn sign(&self, message: &[u8]) -> signature::Result<Vec<u8>> {
        Ok(self.0.try_sign(message)?.to_vec())
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> signature::Result<()> {
        let signature = pkcs1v15::Signature::try_from(signature)?;
        self.0.verifying_key().verify(message, &signature)
    }
}

/// A DSA key that signs SHA-1 digests, with the nonces of RFC 6979.
///
/// INVARIANT: the key lies in [`DSA_DOMAIN`].
pub(super) struct Dsa(dsa::SigningKey);

/// dsaWithSHA1, which never has parameters (RFC 3279 section 2.2.2).
const DSA_WITH_SHA1: Algorithm<'static> =
    Algorithm { oid: ObjectIdentifier::new_unwrap("1.2.840.10040.4.3"), parameters: None };

impl Key for Dsa {
    const DIGEST: Algorithm<'static> = Algorithm {
        oid: ObjectIdentifier::new_unwrap("1.3.14.3.2.26"), // id-sha1
        parameters: Some(AnyRef::NULL),
    };
    const IN_CERTIFICATE: Algorithm<'static> = DSA_WITH_SHA1;
    const IN_CMS: Algorithm<'static> = DSA_WITH_SHA1;

    fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> signature::Result<Self> {
        let domain = dsa_domain().map_err(signature::Error::from_source)?;
        let Ok(key) = dsa::SigningKey::try_generate_from_rng_with_components(rng, domain);
        Ok(Self(key))
    }

    fn parse(pkcs8: &[u8]) -> pkcs8::Result<Self> {
        let key = dsa::SigningKey::try_from(PrivateKeyInfoRef::try_from(pkcs8)?)?;
        if *key.verifying_key().components() != dsa_domain()? {
            return Err(KeyError::Invalid.into());
        }
        Ok(Self(key))
    }

    fn to_pkcs8(&self) -> pkcs8::Result<SecretDocument> {
        self.0.to_pkcs8_der()
    }

    fn to_public_key(&self) -> pkcs8::spki::Result<Document> {
        self.0.verifying_key().to_public_key_der()
    }

    fn digest(message: &[u8]) -> Vec<u8> {
        Sha1::digest(message).to_vec()
    }

    fn sign(&self, message: &[u8]) -> signature::Result<Vec<u8>> {
        let digest = Self::digest(message);
        Ok(self.0.sign_prehashed_rfc6979::<Sha1>(&digest)?.to_vec())
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> signature::Result<()> {
        let signature = dsa::Signature::try_from(signature)?;
        let digest = Self::digest(message);
        self.0.verifying_key().verify_prehash(&digest, &signature)
    }
}

fn dsa_domain() -> pkcs8::der::Result<Components> {
    let (_label, domain) = Document::from_pem(DSA_DOMAIN)?;
    domain.decode_msg()
}
