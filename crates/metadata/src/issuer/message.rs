//! Messages that only this server can read: why a request was not authorized.
//!
//! ```text
//! version (1) │ nonce (12) │ sealed text │ tag (16)
//! ```
//!
//! In URL-safe base64 without padding. Sealed as session tokens are, under a key of its own.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _, Nonce, Tag};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::Secret;

use super::{IssuerKey, NONCE_BYTES, TAG_BYTES, keyed, mac};

const VERSION: u8 = 1;

/// LIMIT: a longer text is not a message of ours, and is not decoded.
const CHARACTERS_MAX: usize = 64 * 1024;

impl IssuerKey {
    /// Seals a text. The same text always gives the same message.
    pub fn seal_message(&self, text: &str) -> String {
        let hash = mac(&keyed(self.message_key(b"message nonce").expose()), text.as_bytes());
        let nonce: &[u8; NONCE_BYTES] = hash.first_chunk().unwrap_or(&[0; NONCE_BYTES]);
        let mut sealed = text.as_bytes().to_vec();
        #[expect(clippy::expect_used, reason = "GCM seals up to 64 GiB")]
        let tag = self
            .message_cipher()
            .encrypt_inout_detached(
                &Nonce::<Aes256Gcm>::from(*nonce),
                &[VERSION],
                sealed.as_mut_slice().into(),
            )
            .expect("is short");
        URL_SAFE_NO_PAD.encode([&[VERSION], &nonce[..], &sealed, &tag].concat())
    }

    /// Opens a message; nothing, if this key did not seal it.
    pub fn open_message(&self, message: &str) -> Option<String> {
        if message.len() > CHARACTERS_MAX {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(message).ok()?;
        let (version, rest) = bytes.split_first_mut()?;
        let (nonce, rest) = rest.split_first_chunk_mut::<NONCE_BYTES>()?;
        let (sealed, tag) = rest.split_last_chunk_mut::<TAG_BYTES>()?;
        self.message_cipher()
            .decrypt_inout_detached(
                &Nonce::<Aes256Gcm>::from(*nonce),
                &[*version],
                (&mut *sealed).into(),
                &Tag::<Aes256Gcm>::from(*tag),
            )
            .ok()?;
        (*version == VERSION).then(|| String::from_utf8(sealed.to_vec()).ok())?
    }

    /// Messages are rare: their keys are derived when they are needed.
    fn message_key(&self, label: &[u8]) -> Secret<[u8; 32]> {
        Secret::new(mac(&keyed(self.secret().expose()), label))
    }

    fn message_cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new(self.message_key(b"message").expose().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_by_who_sealed_it_and_by_nobody_else() {
        let key = IssuerKey::new([1; 32]);
        let message = key.seal_message("{\"allowed\":false}");
        assert_eq!(key.open_message(&message).as_deref(), Some("{\"allowed\":false}"));
        assert_eq!(IssuerKey::new([2; 32]).open_message(&message), None);
        assert!(message.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
        for place in 0..message.len() {
            let mut changed = message.clone().into_bytes();
            changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_ne!(
                key.open_message(&changed).as_deref(),
                Some("{\"allowed\":false}"),
                "{place}"
            );
        }
        for bad in ["", "A", "IQoJb3JpZ2luX2Vj", "ß"] {
            assert_eq!(key.open_message(bad), None, "{bad}");
        }
    }
}
