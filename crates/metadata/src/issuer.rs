//! The key of our own credentials: it seals sessions into tokens, and opens them.
//!
//! ```text
//! "!\n\torigin_ec" (12) │ version (1) │ nonce (12) │ sealed session │ tag (16)
//! └ as AWS's tokens start ┘
//! ```
//!
//! In base64. AES-256-GCM seals the [packed session](crate::session); the nonce is a keyed hash of the
//! whole of it, so what is sealed twice gives the same token, and two sessions never share a nonce but
//! by chance. Access key id and secret access key are keyed hashes of the same bytes, each under a key
//! of its own: whoever can open a token knows them, and nobody else does.

mod message;

use std::fmt;
use std::sync::Arc;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _, Nonce, Tag};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use model::{AccessKey, Secret};
use sha2::Sha256;

use crate::credentials::Credentials;
use crate::session::packed::{pack, unpack};
use crate::session::{PackedTooLarge, Session};

/// The beginning of every session token of AWS, once in base64, and the version of ours.
const START: &[u8; START_BYTES] = b"!\n\torigin_ec\x01";
const START_BYTES: usize = 13;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;

/// LIMIT: a longer text is not a token of ours, and is not decoded.
const TOKEN_CHARACTERS_MAX: usize =
    (START_BYTES + NONCE_BYTES + Session::PACKED_BYTES_MAX + TAG_BYTES).div_ceil(3) * 4;

/// The key that built-in credentials are sealed with and derived from.
#[derive(Clone)]
pub struct IssuerKey(Arc<Keys>);

/// The key as it is kept, and a key for each use.
struct Keys {
    secret: Secret<[u8; 32]>,
    cipher: Aes256Gcm,
    nonce: Hmac<Sha256>,
    access_key_id: Hmac<Sha256>,
    secret_access_key: Hmac<Sha256>,
    phase: Hmac<Sha256>,
}

impl fmt::Debug for IssuerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuerKey")
    }
}

impl IssuerKey {
    /// Takes charge of `key`.
    pub fn new(key: [u8; 32]) -> Self {
        let secret = Secret::new(key);
        let whole = keyed(secret.expose());
        let part = |label: &[u8]| Secret::new(mac(&whole, label));
        Self(Arc::new(Keys {
            cipher: Aes256Gcm::new(part(b"seal").expose().into()),
            nonce: keyed(part(b"nonce").expose()),
            access_key_id: keyed(part(b"access key id").expose()),
            secret_access_key: keyed(part(b"secret access key").expose()),
            phase: keyed(part(b"phase").expose()),
            secret,
        }))
    }

    /// Returns the key itself.
    pub fn secret(&self) -> &Secret<[u8; 32]> {
        &self.0.secret
    }

    /// Makes credentials for a session. `number` is random, so that two sessions that say the same
    /// have credentials of their own.
    ///
    /// # Errors
    ///
    /// [`PackedTooLarge`] if it says more than a token can carry.
    pub fn issue(&self, session: &Session, number: u128) -> Result<Credentials, PackedTooLarge> {
        match session.packed_percent() {
            percent @ 101.. => Err(PackedTooLarge { percent }),
            _ => Ok(self.seal(session, number)),
        }
    }

    /// Makes credentials for a session that is known to be short.
    pub(crate) fn seal(&self, session: &Session, number: u128) -> Credentials {
        let packed = pack(session, number);
        let (access_key_id, secret_access_key) = self.access_key(&packed);
        Credentials {
            access_key_id,
            secret_access_key,
            session_token: self.token(&packed),
            last_updated: session.issued_at,
            expiration: session.expiration,
        }
    }

    /// Opens a session token that came with an access key id. Gives the session and the key that
    /// requests of it are signed with; nothing, if this key did not seal it, or not for that id.
    ///
    /// Whether the session has ended is for those to say who have a clock.
    pub fn open(
        &self,
        token: &Secret<String>,
        access_key_id: &str,
    ) -> Option<(Session, AccessKey)> {
        let packed = self.packed(token.expose())?;
        let (own_id, secret) = self.access_key(&packed);
        // In constant time: an id is not secret, but it is derived as secrets are.
        if Secret::new(own_id) != Secret::new(access_key_id.to_owned()) {
            return None;
        }
        let session = unpack(&packed)?;
        let key = AccessKey {
            session_token: Some(token.clone()),
            expiration: Some(session.expiration),
            ..AccessKey::new(access_key_id.parse().ok()?, secret, session.issued_at)
        };
        Some((session, key))
    }

    /// Returns 32 bytes that always are the same for the same parts, and tell nothing of them.
    pub(crate) fn phase(&self, parts: &[&str]) -> [u8; 32] {
        let mut mac = self.0.phase.clone();
        for part in parts {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.finalize().into_bytes().into()
    }

    /// Derives the access key of a packed session: its id and its secret.
    fn access_key(&self, packed: &[u8]) -> (String, Secret<String>) {
        let id = mac(&self.0.access_key_id, packed);
        let secret = Secret::new(mac(&self.0.secret_access_key, packed));
        let secret = STANDARD.encode(secret.expose().first_chunk::<30>().unwrap_or(&[0; 30]));
        (access_key_id(&id), Secret::new(secret))
    }

    fn token(&self, packed: &[u8]) -> Secret<String> {
        let nonce = mac(&self.0.nonce, packed);
        let nonce: &[u8; NONCE_BYTES] = nonce.first_chunk().unwrap_or(&[0; NONCE_BYTES]);
        let mut token = Vec::with_capacity(START_BYTES + NONCE_BYTES + packed.len() + TAG_BYTES);
        token.extend_from_slice(START);
        token.extend_from_slice(nonce);
        token.extend_from_slice(packed);
        let sealed = token.get_mut(START_BYTES + NONCE_BYTES..).unwrap_or_default();
        #[expect(clippy::expect_used, reason = "GCM seals up to 64 GiB")]
        let tag = self
            .0
            .cipher
            .encrypt_inout_detached(&Nonce::<Aes256Gcm>::from(*nonce), START, sealed.into())
            .expect("is short");
        token.extend_from_slice(&tag);
        Secret::new(STANDARD.encode(token))
    }

    fn packed(&self, token: &str) -> Option<Vec<u8>> {
        if token.len() > TOKEN_CHARACTERS_MAX {
            return None;
        }
        let mut bytes = STANDARD.decode(token).ok()?;
        let (start, rest) = bytes.split_first_chunk_mut::<START_BYTES>()?;
        let (nonce, rest) = rest.split_first_chunk_mut::<NONCE_BYTES>()?;
        let (sealed, tag) = rest.split_last_chunk_mut::<TAG_BYTES>()?;
        if start != START {
            return None;
        }
        self.0
            .cipher
            .decrypt_inout_detached(
                &Nonce::<Aes256Gcm>::from(*nonce),
                START,
                (&mut *sealed).into(),
                &Tag::<Aes256Gcm>::from(*tag),
            )
            .ok()?;
        Some(sealed.to_vec())
    }
}

/// Makes a keyed hash ready.
fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    Hmac::<Sha256>::new_from_slice(key).expect("any key length")
}

/// Computes the keyed hash of `bytes`.
fn mac(key: &Hmac<Sha256>, bytes: &[u8]) -> [u8; 32] {
    let mut mac = key.clone();
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// Writes `ASIA` and sixteen letters and digits.
fn access_key_id(random: &[u8; 32]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letters = random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32)));
    "ASIA".chars().chain(letters.take(16).map(|letter| char::from(*letter))).collect()
}

#[cfg(test)]
mod tests;
