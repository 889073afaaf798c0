//! Session tokens: stateless, sealed, and bound to their instance.
//!
//! A token is 40 bytes, written in 56 characters of padded URL-safe base64:
//!
//! ```text
//! 01 00 04 00 │ key id (1) │ random (11) │ sealed expiry (8) │ tag (16)
//! └ prefix ───┘ └ nonce ─────────────────┘
//! ```
//!
//! AES-256-GCM seals the expiry (milliseconds since 1970) under the nonce, with prefix and instance
//! id as associated data. So a token of another instance, or one with any bit changed, does not
//! open; and since nothing is stored, no flood of token requests can grow anything.
//!
//! INVARIANT: [`TokenKeys::verify`] accepts a token only if [`TokenKeys::mint`] made it with one of
//! these keys, for that instance, and its time is not over.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _, Nonce, Tag};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use model::{InstanceId, Secret, Timestamp, TokenTtl};

use crate::TokenRefusal;

/// Length of a token in characters.
pub const TOKEN_CHARACTERS: usize = 56;

/// Random bytes that each token needs.
pub const NONCE_BYTES: usize = 11;

const PREFIX_BYTES: usize = 4;
const SEALED_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
const TOKEN_BYTES: usize = PREFIX_BYTES + 1 + NONCE_BYTES + SEALED_BYTES + TAG_BYTES;

/// Room for prefix and the longest instance id.
const ASSOCIATED_BYTES_MAX: usize = PREFIX_BYTES + 24;

/// A session token as sent: 56 characters.
pub type Token = [u8; TOKEN_CHARACTERS];

/// Which of EC2's two token forms is minted. Both are accepted.
///
/// EC2: Nitro tokens start `AQAEA`, those of older systems `AQAAA` (data plane, 3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenFormat {
    /// `AQAAA…`
    Legacy,
    /// `AQAEA…`
    #[default]
    Nitro,
}

impl TokenFormat {
    const fn prefix(self) -> [u8; PREFIX_BYTES] {
        match self {
            Self::Legacy => [1, 0, 0, 0],
            Self::Nitro => [1, 0, 4, 0],
        }
    }
}

/// A key that seals tokens.
#[derive(Clone)]
pub struct TokenKey {
    /// Names the key within the token.
    id: u8,
    secret: Secret<[u8; 32]>,
    cipher: Aes256Gcm,
}

impl TokenKey {
    /// Prepares the key `secret`, to be named `id` in tokens.
    pub fn new(id: u8, secret: [u8; 32]) -> Self {
        let cipher = Aes256Gcm::new(&secret.into());
        Self { id, secret: Secret::new(secret), cipher }
    }

    /// Returns the number that names the key in tokens.
    pub fn id(&self) -> u8 {
        self.id
    }

    /// Returns the key itself.
    pub fn secret(&self) -> &Secret<[u8; 32]> {
        &self.secret
    }
}

impl std::fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TokenKey({})", self.id)
    }
}

/// The keys that tokens are verified with; the newest mints.
#[derive(Clone, Debug)]
pub struct TokenKeys {
    newest: TokenKey,
    older: Vec<TokenKey>,
}

impl TokenKeys {
    /// Keeps `newest` for minting and verifying, and `older` for verifying.
    pub fn new(newest: TokenKey, older: Vec<TokenKey>) -> Self {
        Self { newest, older }
    }

    /// Makes a token for `instance` that ends `ttl` after `now`. `nonce` is random and used once.
    pub fn mint(
        &self,
        format: TokenFormat,
        instance: InstanceId,
        ttl: TokenTtl,
        now: Timestamp,
        nonce: [u8; NONCE_BYTES],
    ) -> Option<Token> {
        let prefix = format.prefix();
        let mut nonce_with_key = [self.newest.id; NONCE_BYTES + 1];
        nonce_with_key.iter_mut().skip(1).zip(nonce).for_each(|(byte, random)| *byte = random);
        let mut expiry = now.as_millis().saturating_add(ttl.as_millis()).to_be_bytes();
        let associated = Associated::new(prefix, instance);
        let tag = self
            .newest
            .cipher
            .encrypt_inout_detached(
                &Nonce::<Aes256Gcm>::from(nonce_with_key),
                associated.as_bytes(),
                expiry.as_mut_slice().into(),
            )
            .ok()?;
        let mut bytes = [0; TOKEN_BYTES];
        let parts = [&prefix[..], &nonce_with_key, &expiry, &tag];
        bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        let mut token = [0; TOKEN_CHARACTERS];
        URL_SAFE.encode_slice(bytes, &mut token).ok().map(|_| token)
    }

    /// Verifies a token and returns when it ends.
    ///
    /// # Errors
    ///
    /// [`TokenRefusal`]; a caller must not be told which.
    pub fn verify(
        &self,
        token: &[u8],
        instance: InstanceId,
        now: Timestamp,
    ) -> Result<Timestamp, TokenRefusal> {
        let mut bytes = [0; TOKEN_BYTES];
        if token.len() != TOKEN_CHARACTERS
            || URL_SAFE.decode_slice(token, &mut bytes) != Ok(TOKEN_BYTES)
        {
            return Err(TokenRefusal::Malformed);
        }
        let (prefix, rest) = split::<PREFIX_BYTES>(&bytes)?;
        let (nonce, rest) = split::<{ NONCE_BYTES + 1 }>(rest)?;
        let (mut expiry, rest) = split::<SEALED_BYTES>(rest)?;
        let (tag, _) = split::<TAG_BYTES>(rest)?;

        let key = self.find(nonce[0]).ok_or(TokenRefusal::UnknownKey)?;
        let associated = Associated::new(prefix, instance);
        key.cipher
            .decrypt_inout_detached(
                &Nonce::<Aes256Gcm>::from(nonce),
                associated.as_bytes(),
                expiry.as_mut_slice().into(),
                &Tag::<Aes256Gcm>::from(tag),
            )
            .map_err(|_| TokenRefusal::Forged)?;

        let expiry = Timestamp::from_millis(i64::from_be_bytes(expiry));
        let remaining_millis = expiry.as_millis().saturating_sub(now.as_millis());
        // A life longer than the longest means that the clock was set back since: the token must
        // not gain by that.
        if remaining_millis <= 0 || remaining_millis > TokenTtl::MAX.as_millis() {
            return Err(TokenRefusal::Expired);
        }
        Ok(expiry)
    }

    fn find(&self, id: u8) -> Option<&TokenKey> {
        std::iter::once(&self.newest).chain(&self.older).find(|key| key.id == id)
    }
}

/// What a token is bound to besides its key: the form it has and the instance it was made for.
struct Associated {
    bytes: [u8; ASSOCIATED_BYTES_MAX],
    length: usize,
}

impl Associated {
    fn new(prefix: [u8; PREFIX_BYTES], instance: InstanceId) -> Self {
        let mut bytes = [0; ASSOCIATED_BYTES_MAX];
        let mut length = 0;
        for (to, from) in bytes.iter_mut().zip(prefix.iter().chain(instance.text().as_bytes())) {
            *to = *from;
            length += 1;
        }
        Self { bytes, length }
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&self.bytes)
    }
}

fn split<const N: usize>(bytes: &[u8]) -> Result<([u8; N], &[u8]), TokenRefusal> {
    bytes.split_first_chunk().map(|(first, rest)| (*first, rest)).ok_or(TokenRefusal::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);

    fn keys() -> TokenKeys {
        TokenKeys::new(TokenKey::new(7, [7; 32]), vec![TokenKey::new(6, [6; 32])])
    }

    fn instance(number: u128) -> InstanceId {
        InstanceId::from_number(number)
    }

    fn ttl(seconds: u32) -> TokenTtl {
        TokenTtl::parse(seconds.to_string().as_bytes()).unwrap()
    }

    fn mint(keys: &TokenKeys, seconds: u32) -> Token {
        keys.mint(TokenFormat::Nitro, instance(1), ttl(seconds), NOW, [9; NONCE_BYTES]).unwrap()
    }

    #[test]
    fn a_token_has_the_shape_of_ec2s() {
        for (format, start) in [(TokenFormat::Nitro, b"AQAEA"), (TokenFormat::Legacy, b"AQAAA")] {
            let token = keys().mint(format, instance(1), ttl(60), NOW, [0; NONCE_BYTES]).unwrap();
            assert!(token.starts_with(start) && token.ends_with(b"=="));
            assert!(keys().verify(&token, instance(1), NOW).is_ok());
        }
    }

    #[test]
    fn a_token_lives_for_its_ttl_to_the_millisecond() {
        let token = mint(&keys(), 60);
        let at = |millis: i64| {
            let now = Timestamp::from_millis(NOW.as_millis() + millis);
            keys().verify(&token, instance(1), now).map(|_| ())
        };
        assert_eq!(at(0), Ok(()));
        assert_eq!(at(59_999), Ok(()));
        assert_eq!(at(60_000), Err(TokenRefusal::Expired));
    }

    #[test]
    fn a_clock_set_back_does_not_lengthen_a_life() {
        let token = mint(&keys(), 21_600);
        let earlier = NOW.plus_seconds(-3600);
        assert_eq!(keys().verify(&token, instance(1), earlier), Err(TokenRefusal::Expired));
    }

    #[test]
    fn a_token_is_no_good_for_another_instance() {
        let token = mint(&keys(), 60);
        assert_eq!(keys().verify(&token, instance(2), NOW), Err(TokenRefusal::Forged));
    }

    #[test]
    fn rotation_keeps_older_tokens_good_while_their_key_is_kept() {
        let token = mint(&keys(), 60);
        let rotated = TokenKeys::new(TokenKey::new(8, [8; 32]), vec![TokenKey::new(7, [7; 32])]);
        assert!(rotated.verify(&token, instance(1), NOW).is_ok());
        let forgotten = TokenKeys::new(TokenKey::new(8, [8; 32]), Vec::new());
        assert_eq!(forgotten.verify(&token, instance(1), NOW), Err(TokenRefusal::UnknownKey));
    }

    #[test]
    fn the_same_moment_gives_two_tokens() {
        let mint = |nonce| keys().mint(TokenFormat::Nitro, instance(1), ttl(60), NOW, nonce);
        assert_ne!(mint([1; NONCE_BYTES]), mint([2; NONCE_BYTES]));
    }

    #[test]
    fn other_spellings_of_the_same_bytes_are_refused() {
        let token = mint(&keys(), 60);
        let text = String::from_utf8(token.to_vec()).unwrap();
        let unpadded = text.trim_end_matches('=');
        // The last character before the padding carries four bits that must be zero.
        let last = unpadded.chars().last().unwrap();
        let loose = char::from(last as u8 + 1);
        let trailing = format!("{}{loose}==", &unpadded[..unpadded.len() - 1]);
        for spelling in [unpadded.to_owned(), format!("{text} "), text.clone(), trailing] {
            let verdict = keys().verify(spelling.as_bytes(), instance(1), NOW);
            assert_eq!(verdict.is_ok(), spelling == text, "{spelling}");
        }
    }

    proptest! {
        #[test]
        fn a_changed_bit_is_noticed(byte in 0..TOKEN_CHARACTERS, bit in 0_u8..8) {
            let mut token = mint(&keys(), 60);
            token[byte] ^= 1 << bit;
            prop_assert!(keys().verify(&token, instance(1), NOW).is_err());
        }

        #[test]
        fn what_was_not_minted_is_refused(bytes in prop::collection::vec(any::<u8>(), 40)) {
            let mut bytes = bytes;
            bytes[..5].copy_from_slice(&[1, 0, 4, 0, 7]);
            let token = URL_SAFE.encode(&bytes);
            prop_assert!(keys().verify(token.as_bytes(), instance(1), NOW).is_err());
        }

        #[test]
        fn what_was_minted_is_accepted_until_it_ends(
            seconds in 1_u32..=21_600, nonce: [u8; NONCE_BYTES], elapsed in 0_i64..30_000,
        ) {
            let keys = keys();
            let token = keys
                .mint(TokenFormat::Nitro, instance(3), ttl(seconds), NOW, nonce)
                .unwrap();
            let verdict = keys.verify(&token, instance(3), NOW.plus_seconds(elapsed));
            prop_assert_eq!(verdict.is_ok(), elapsed < i64::from(seconds));
        }
    }
}
