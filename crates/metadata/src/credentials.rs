//! Role credentials: those handed to us, and those we make.
//!
//! The built-in source makes credentials when they are read: instance, role, delivery and hour always
//! give the same bytes, so a million instances hold none, and what was read without a token is never
//! what was read with one. They are accepted by our own APIs, which learn from their session token who
//! read them, and how ([`crate::session`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Instance, Line, Role, RoleDelivery, Secret, SessionLife, SessionName, Timestamp};

use crate::issuer::IssuerKey;
use crate::json::Object;
use crate::session::{Actor, INSTANCE_ROLE, RoleSession, Session, SessionPolicies, SourceInstance};

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
    /// To be made with the issuer's key.
    BuiltIn {
        /// The role.
        role: Arc<Role>,
        /// How long they live, if not as long as EC2's.
        life: Option<SessionLife>,
    },
    /// Held ready.
    Held(Arc<Credentials>),
    /// None to be had. EC2: this too is a 200 (data plane, 5.6).
    Unavailable {
        /// The `Code` of the document.
        code: Line,
        /// Its `Message`.
        message: Line,
    },
}

/// Built-in credentials change every hour and last six hours and some minutes more, as EC2's do.
const ROTATION_SECONDS: i64 = 3600;
const LIFE_SECONDS_MIN: i64 = 6 * 3600 + 2 * 60;
const LIFE_SECONDS_SPREAD: i64 = 32 * 60;

/// Makes the credentials of `role` that `instance` reads by `delivery` at `now`.
///
/// INVARIANT: they have more than five hours left, or half of their life if that is said.
pub(crate) fn of_role(
    key: &IssuerKey,
    instance: &Instance,
    role: &Role,
    life: Option<SessionLife>,
    delivery: RoleDelivery,
    now: Timestamp,
) -> Credentials {
    let (issued_at, expiration) = times(key, instance, role.name.as_str(), life, now);
    let session = Session {
        account_id: instance.account_id,
        issued_at,
        expiration,
        actor: Actor::Role(RoleSession {
            role: role.name.clone(),
            role_id: role.unique_id(),
            name: SessionName::from(instance.id),
            source: Some(SourceInstance::new(instance, delivery)),
            policies: SessionPolicies::default(),
            tags: BTreeMap::new(),
        }),
    };
    key.seal(&session, 0)
}

/// Makes the credentials that `instance` reads as itself, by `delivery` at `now`.
pub(crate) fn of_instance(
    key: &IssuerKey,
    instance: &Instance,
    delivery: RoleDelivery,
    now: Timestamp,
) -> Credentials {
    let (issued_at, expiration) = times(key, instance, INSTANCE_ROLE, None, now);
    let actor = Actor::Instance(SourceInstance::new(instance, delivery));
    key.seal(&Session { account_id: instance.account_id, issued_at, expiration, actor }, 0)
}

/// Returns when the credentials of a role that an instance reads at `now` were made, and when they
/// end. Instances change theirs at different minutes.
fn times(
    key: &IssuerKey,
    instance: &Instance,
    role: &str,
    life: Option<SessionLife>,
    now: Timestamp,
) -> (Timestamp, Timestamp) {
    let [a, b, c, d, ..] = key.phase(&[&instance.id.text(), role]);
    let spread = i64::from(u16::from_be_bytes([c, d])) % LIFE_SECONDS_SPREAD;
    let (rotation, life) = match life.map(|life| i64::from(life.as_seconds())) {
        None => (ROTATION_SECONDS, LIFE_SECONDS_MIN + spread),
        Some(life) => (life / 2, life),
    };
    let phase = i64::from(u16::from_be_bytes([a, b])) % rotation;
    let issued_at = now.as_seconds() - (now.as_seconds() - phase).rem_euclid(rotation);
    (Timestamp::from_seconds(issued_at), Timestamp::from_seconds(issued_at + life))
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
    use model::InstanceId;
    use proptest::prelude::*;

    use super::*;

    fn role(name: &str) -> Role {
        Role::described(
            name.parse().unwrap(),
            model::CredentialSource::BuiltIn { life_seconds: None },
        )
    }

    fn read(
        number: u128,
        delivery: RoleDelivery,
        life: Option<SessionLife>,
        now: i64,
    ) -> Credentials {
        let instance = Instance::described(InstanceId::from_number(number));
        let (key, now) = (IssuerKey::new([1; 32]), Timestamp::from_seconds(now));
        of_role(&key, &instance, &role("app"), life, delivery, now)
    }

    #[test]
    fn credentials_have_the_shape_of_awss() {
        let credentials = read(1, RoleDelivery::V2, None, 1_741_082_400);
        assert_eq!(credentials.access_key_id.len(), 20);
        assert!(credentials.access_key_id.starts_with("ASIA"));
        assert_eq!(credentials.secret_access_key.expose().len(), 40);
        let token = credentials.session_token.expose();
        assert!(token.starts_with("IQoJb3JpZ2luX2Vj"), "{token}");
        assert!((300..400).contains(&token.len()), "{token}");
    }

    #[test]
    fn the_longest_token_of_an_instance_is_of_a_length_that_clients_have_seen() {
        let mut instance = Instance::default_instance();
        instance.region = "x-".repeat(16).parse().unwrap();
        instance.interfaces[0].ipv6 = vec!["fd00::5".parse().unwrap()].into();
        let (key, role) = (IssuerKey::new([1; 32]), role(&"r".repeat(64)));
        let now = Timestamp::from_seconds(1_741_082_400);
        let credentials = of_role(&key, &instance, &role, None, RoleDelivery::V2, now);
        let length = credentials.session_token.expose().len();
        assert!(length < 700, "{length}");
    }

    /// Opens what was read.
    fn opened(credentials: &Credentials) -> Session {
        let key = IssuerKey::new([1; 32]);
        let (session, opened) =
            key.open(&credentials.session_token, &credentials.access_key_id).unwrap();
        assert_eq!(opened.secret, credentials.secret_access_key);
        assert_eq!(opened.expiration, Some(credentials.expiration));
        session
    }

    #[test]
    fn they_say_who_read_them_and_how() {
        let instance = Instance::described(InstanceId::from_number(7));
        for delivery in [RoleDelivery::V1, RoleDelivery::V2] {
            let credentials = read(7, delivery, None, 1_741_082_400);
            let session = opened(&credentials);
            assert_eq!(session.account_id, instance.account_id);
            assert_eq!(session.issued_at, credentials.last_updated);
            let source = session.source().unwrap();
            assert_eq!((source.id, source.delivery), (instance.id, delivery));
            assert_eq!(source.ipv4, instance.interfaces[0].primary_ipv4());
            assert_eq!(
                source.arn(session.account_id),
                "arn:aws:ec2:us-east-1:123456789012:instance/i-00000000000000007"
            );
            let Actor::Role(actor) = session.actor else { panic!("it is a role's") };
            assert_eq!(actor.role.as_str(), "app");
            assert_eq!(actor.name.as_str(), "i-00000000000000007");
            assert_eq!(actor.policies, SessionPolicies::default());
        }
    }

    #[test]
    fn an_instance_is_itself_beside_its_roles() {
        let instance = Instance::described(InstanceId::from_number(7));
        let now = Timestamp::from_seconds(1_741_082_400);
        let credentials = of_instance(&IssuerKey::new([1; 32]), &instance, RoleDelivery::V1, now);
        let source = SourceInstance::new(&instance, RoleDelivery::V1);
        assert_eq!(opened(&credentials).actor, Actor::Instance(source));
    }

    #[test]
    fn whatever_they_say_makes_a_difference() {
        let instance = Instance::described(InstanceId::from_number(7));
        let (key, now) = (IssuerKey::new([1; 32]), Timestamp::from_seconds(1_741_082_400));
        let read = |instance: &Instance, name, delivery| {
            of_role(&key, instance, &role(name), None, delivery, now).access_key_id
        };
        let base = read(&instance, "app", RoleDelivery::V2);
        assert_eq!(base, read(&instance, "app", RoleDelivery::V2));
        assert_ne!(base, read(&instance, "app", RoleDelivery::V1));
        assert_ne!(base, read(&instance, "apq", RoleDelivery::V2));
        let other = Instance::described(InstanceId::from_number(8));
        assert_ne!(base, read(&other, "app", RoleDelivery::V2));
        let mut moved = instance.clone();
        moved.interfaces[0].ipv4[0].private = [10, 1, 2, 3].into();
        assert_ne!(base, read(&moved, "app", RoleDelivery::V2));
        let mut taken = instance;
        taken.account_id = "210987654321".parse().unwrap();
        assert_ne!(base, read(&taken, "app", RoleDelivery::V2));
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
            let credentials = read(number, RoleDelivery::V2, None, now);
            let updated = credentials.last_updated.as_seconds();
            prop_assert!(updated <= now && now < updated + ROTATION_SECONDS);
            let again = read(number, RoleDelivery::V2, None, updated);
            prop_assert_eq!(document(&again), document(&credentials));
            let next = read(number, RoleDelivery::V2, None, updated + ROTATION_SECONDS);
            prop_assert_ne!(&next.access_key_id, &credentials.access_key_id);
            let life = credentials.expiration.as_seconds() - updated;
            prop_assert!((21_720..=23_640).contains(&life), "{}", life);
        }

        #[test]
        fn a_life_that_is_said_is_at_least_half_left(
            now in 0_i64..4_000_000_000, number in 0_u128..99, seconds in 60_u32..=43_200,
        ) {
            let life = Some(SessionLife::try_from(seconds).unwrap());
            let credentials = read(number, RoleDelivery::V2, life, now);
            let updated = credentials.last_updated.as_seconds();
            let end = credentials.expiration.as_seconds();
            prop_assert_eq!(end - updated, i64::from(seconds));
            prop_assert!(updated <= now && end - now > i64::from(seconds / 2) - 1);
            let next = read(number, RoleDelivery::V2, life, updated + i64::from(seconds / 2));
            prop_assert_ne!(&next.access_key_id, &credentials.access_key_id);
        }
    }
}
