//! Role credentials: those handed to us, and those we make.
//!
//! The built-in source derives credentials from a key when they are read: instance, role, delivery
//! and hour always give the same bytes, so a million instances hold none, and what was read without
//! a token is never what was read with one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use model::{InstanceId, Line, RoleDelivery, Secret, Timestamp};
use sha2::Sha256;

use crate::json::Object;

/// Credentials, with the two times that their document shows.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret access key.
    pub secret_access_key: Secret<String>,
    /// The session token.
    pub session_token: Secret<String>,
    /// When they were fetched.
    pub last_updated: Timestamp,
    /// When they end.
    pub expiration: Timestamp,
}

/// What is known of a role's credentials when someone reads them.
#[derive(Clone, Debug)]
pub enum RoleCredentials {
    /// To be derived with the issuer's key.
    BuiltIn,
    /// Held ready.
    Held(std::sync::Arc<Credentials>),
    /// None to be had. EC2: this too is a 200 (data plane, 5.6).
    Unavailable {
        /// The `Code` of the document.
        code: Line,
        /// Its `Message`.
        message: Line,
    },
}

/// The key that built-in credentials are derived from.
#[derive(Clone, Debug)]
pub struct IssuerKey(Secret<[u8; 32]>);

/// Built-in credentials change every hour and last six hours and some minutes more, as EC2's do.
const ROTATION_SECONDS: i64 = 3600;
const LIFE_SECONDS_MIN: i64 = 6 * 3600 + 2 * 60;
const LIFE_SECONDS_SPREAD: i64 = 32 * 60;

/// The beginning of every session token of AWS, once in base64.
const TOKEN_START: &[u8; 12] = b"!\n\torigin_ec";
const TOKEN_RANDOM_BYTES: usize = 348;

impl IssuerKey {
    /// Takes charge of `key`.
    pub fn new(key: [u8; 32]) -> Self {
        Self(Secret::new(key))
    }

    /// Returns the key itself.
    pub fn secret(&self) -> &Secret<[u8; 32]> {
        &self.0
    }

    /// Derives the credentials of `role` that `instance` reads by `delivery` at `now`.
    ///
    /// INVARIANT: they have more than five hours left.
    pub(crate) fn derive(
        &self,
        instance: InstanceId,
        role: &str,
        delivery: RoleDelivery,
        now: Timestamp,
    ) -> Credentials {
        let instance = instance.text();
        // Instances rotate at different minutes.
        let [a, b, c, d, ..] = self.block(&["phase", &instance, role], 0);
        let phase = i64::from(u16::from_be_bytes([a, b])) % ROTATION_SECONDS;
        let spread = i64::from(u16::from_be_bytes([c, d])) % LIFE_SECONDS_SPREAD;
        let updated = now.as_seconds() - (now.as_seconds() - phase).rem_euclid(ROTATION_SECONDS);

        let updated_text = updated.to_string();
        let bytes = |part: &str, length: usize| -> Vec<u8> {
            let context = [part, &instance, role, delivery.as_str(), &updated_text];
            (0..).flat_map(|number| self.block(&context, number)).take(length).collect()
        };
        let session_token = [&TOKEN_START[..], &bytes("token", TOKEN_RANDOM_BYTES)].concat();
        Credentials {
            access_key_id: access_key_id(&bytes("id", 16)),
            secret_access_key: Secret::new(STANDARD.encode(bytes("secret", 30))),
            session_token: Secret::new(STANDARD.encode(session_token)),
            last_updated: Timestamp::from_seconds(updated),
            expiration: Timestamp::from_seconds(updated + LIFE_SECONDS_MIN + spread),
        }
    }

    /// Returns block `number` of the pseudo-random stream that belongs to `context`.
    fn block(&self, context: &[&str], number: u32) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("any key length");
        for part in context {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.update(&number.to_be_bytes());
        mac.finalize().into_bytes().into()
    }
}

/// `ASIA` and sixteen letters and digits.
fn access_key_id(random: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letters = random.iter().filter_map(|byte| ALPHABET.get(usize::from(byte % 32)));
    "ASIA".chars().chain(letters.map(|letter| char::from(*letter))).collect()
}

/// Renders the document of a role with credentials.
pub(crate) fn document(credentials: &Credentials) -> String {
    Object::new()
        .text("Code", "Success")
        .text("LastUpdated", &credentials.last_updated.to_string())
        .text("Type", "AWS-HMAC")
        .text("AccessKeyId", &credentials.access_key_id)
        .text("SecretAccessKey", credentials.secret_access_key.expose())
        .text("Token", credentials.session_token.expose())
        .text("Expiration", &credentials.expiration.to_string())
        .end()
}

/// Renders the document of a role without.
pub(crate) fn error_document(code: &str, message: &str, updated: Timestamp) -> String {
    Object::new()
        .text("Code", code)
        .text("Message", message)
        .text("LastUpdated", &updated.to_string())
        .end()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn derive(instance: u128, delivery: RoleDelivery, now: i64) -> Credentials {
        let instance = InstanceId::from_number(instance);
        IssuerKey::new([1; 32]).derive(instance, "app", delivery, Timestamp::from_seconds(now))
    }

    #[test]
    fn credentials_have_the_shape_of_awss() {
        let credentials = derive(1, RoleDelivery::V2, 1_741_082_400);
        assert_eq!(credentials.access_key_id.len(), 20);
        assert!(credentials.access_key_id.starts_with("ASIA"));
        assert_eq!(credentials.secret_access_key.expose().len(), 40);
        let token = credentials.session_token.expose();
        assert!(token.starts_with("IQoJb3JpZ2luX2Vj") && token.len() == 480, "{token}");
    }

    #[test]
    fn instance_and_delivery_make_a_difference() {
        let key = |instance, delivery| derive(instance, delivery, 1_741_082_400).access_key_id;
        let base = key(1, RoleDelivery::V2);
        assert_ne!(base, key(2, RoleDelivery::V2));
        assert_ne!(base, key(1, RoleDelivery::V1));
    }

    #[test]
    fn the_document_has_ec2s_layout() {
        let credentials = Credentials {
            access_key_id: "ASIAIOSFODNN7EXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
            session_token: Secret::new("IQoJ".to_owned()),
            last_updated: "2025-03-04T09:42:26Z".parse().unwrap(),
            expiration: "2025-03-04T16:16:53Z".parse().unwrap(),
        };
        assert_eq!(
            document(&credentials),
            "{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \"2025-03-04T09:42:26Z\",\n  \
             \"Type\" : \"AWS-HMAC\",\n  \"AccessKeyId\" : \"ASIAIOSFODNN7EXAMPLE\",\n  \
             \"SecretAccessKey\" : \"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\",\n  \
             \"Token\" : \"IQoJ\",\n  \"Expiration\" : \"2025-03-04T16:16:53Z\"\n}"
        );
    }

    proptest! {
        #[test]
        fn they_hold_for_an_hour_and_last_for_six(now in 0_i64..4_000_000_000, number in 0_u128..99) {
            let credentials = derive(number, RoleDelivery::V2, now);
            let updated = credentials.last_updated.as_seconds();
            prop_assert!(updated <= now && now < updated + ROTATION_SECONDS);
            let again = derive(number, RoleDelivery::V2, updated);
            prop_assert_eq!(document(&again), document(&credentials));
            let next = derive(number, RoleDelivery::V2, updated + ROTATION_SECONDS);
            prop_assert_ne!(&next.access_key_id, &credentials.access_key_id);
            let life = credentials.expiration.as_seconds() - updated;
            prop_assert!((21_720..=23_640).contains(&life), "{}", life);
        }
    }
}
