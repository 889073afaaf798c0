//! What was sealed opens, and nothing else does.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use model::{InstanceId, RoleDelivery, Timestamp, VpcId};
use proptest::prelude::*;

use super::*;
use crate::session::{Actor, RoleSession, SessionPolicies, SourceInstance, UserSession};

fn key() -> IssuerKey {
    IssuerKey::new([1; 32])
}

fn source() -> impl Strategy<Value = SourceInstance> {
    (
        any::<u128>(),
        "[a-z]{2}-[a-z0-9-]{1,29}",
        any::<bool>(),
        any::<Option<u128>>(),
        any::<Option<u32>>(),
        any::<Option<u128>>(),
    )
        .prop_map(|(id, region, has_token, vpc, ipv4, ipv6)| SourceInstance {
            id: InstanceId::from_number(id),
            region: region.parse().unwrap(),
            delivery: if has_token { RoleDelivery::V2 } else { RoleDelivery::V1 },
            vpc_id: vpc.map(VpcId::from_number),
            ipv4: ipv4.map(Ipv4Addr::from),
            ipv6: ipv6.map(Ipv6Addr::from),
        })
}

fn role() -> impl Strategy<Value = RoleSession> {
    (
        "[A-Za-z0-9+=,@_-]{1,64}",
        "AROA[A-Z2-7]{17}",
        "[A-Za-z0-9+=,.@_-]{2,64}",
        prop::option::of(source()),
        prop::option::of(any::<String>()),
        prop::collection::vec("arn:aws:iam::[0-9]{12}:policy/[a-z]{1,20}", 0..10),
        prop::collection::btree_map("[^\\p{C}]{1,64}", any::<String>(), 0..10),
    )
        .prop_map(|(role, role_id, name, source, document, arns, tags)| RoleSession {
            role: role.parse().unwrap(),
            role_id: role_id.parse().unwrap(),
            name: name.parse().unwrap(),
            source,
            policies: SessionPolicies {
                document: document.map(Box::from),
                arns: arns.iter().map(|arn| arn.parse().unwrap()).collect(),
            },
            tags: tags
                .iter()
                .map(|(key, value)| (key.parse().unwrap(), Box::from(&**value)))
                .collect(),
        })
}

fn session() -> impl Strategy<Value = Session> {
    let actor = prop_oneof![
        source().prop_map(Actor::Instance),
        role().prop_map(Actor::Role),
        ("[A-Za-z0-9+=,@_-]{1,64}", "AIDA[A-Z2-7]{17}").prop_map(|(name, id)| {
            Actor::User(UserSession { name: name.parse().unwrap(), id: id.parse().unwrap() })
        }),
    ];
    ("[0-9]{12}", any::<i64>(), any::<i64>(), actor).prop_map(
        |(account_id, issued_at, expiration, actor)| Session {
            account_id: account_id.parse().unwrap(),
            issued_at: Timestamp::from_millis(issued_at),
            expiration: Timestamp::from_millis(expiration),
            actor,
        },
    )
}

/// A session of a user, whose name has so many letters.
fn of_user(letters: usize) -> Session {
    Session {
        account_id: "123456789012".parse().unwrap(),
        issued_at: Timestamp::from_seconds(1_741_082_400),
        expiration: Timestamp::from_seconds(1_741_104_000),
        actor: Actor::User(UserSession {
            name: "u".repeat(letters).parse().unwrap(),
            id: "AIDAUVHR6YTTZRKBC3ZEJ".parse().unwrap(),
        }),
    }
}

/// A session of a role with a policy document of so many bytes.
fn with_document(bytes: usize) -> Session {
    let actor = RoleSession {
        role: "app".parse().unwrap(),
        role_id: "AROACKCEVSQ6C2EXAMPLE".parse().unwrap(),
        name: "deploy".parse().unwrap(),
        source: None,
        policies: SessionPolicies { document: Some("x".repeat(bytes).into()), arns: Vec::new() },
        tags: BTreeMap::new(),
    };
    Session { actor: Actor::Role(actor), ..of_user(1) }
}

#[test]
fn two_sessions_that_say_the_same_have_credentials_of_their_own() {
    let one = key().issue(&of_user(5), 1).unwrap();
    let (again, other) =
        (key().issue(&of_user(5), 1).unwrap(), key().issue(&of_user(5), 2).unwrap());
    assert_eq!(one.session_token, again.session_token);
    assert_ne!(one.session_token, other.session_token);
    assert_ne!(one.access_key_id, other.access_key_id);
    assert_ne!(one.secret_access_key, other.secret_access_key);
    // Nor can the one be told from the other's: nothing of them is alike but how tokens start.
    let [one, other] =
        [one, other].map(|made| STANDARD.decode(made.session_token.expose()).unwrap());
    let alike =
        one.iter().zip(&other).skip(START_BYTES).filter(|(one, other)| one == other).count();
    assert!(alike < one.len() / 8, "{alike} of {}", one.len());
}

#[test]
fn a_key_is_good_with_its_own_token_alone() {
    let one = key().issue(&of_user(5), 1).unwrap();
    let other = key().issue(&of_user(5), 2).unwrap();
    assert!(key().open(&one.session_token, &one.access_key_id).is_some());
    for id in [&*other.access_key_id, "", "ASIA", &one.access_key_id.to_lowercase()] {
        assert_eq!(key().open(&one.session_token, id), None, "{id:?}");
    }
}

#[test]
fn another_server_opens_nothing() {
    let made = key().issue(&of_user(5), 1).unwrap();
    let other = IssuerKey::new([2; 32]);
    assert_eq!(other.open(&made.session_token, &made.access_key_id), None);
}

#[test]
fn what_is_no_token_is_refused() {
    let made = key().issue(&of_user(40), 1).unwrap();
    let token = made.session_token.expose();
    assert!(token.ends_with("=="));
    let open = |text: &str| key().open(&Secret::new(text.to_owned()), &made.access_key_id);
    assert!(open(token).is_some());
    let url_safe = token.replace('+', "-").replace('/', "_");
    for text in [
        "",
        "IQoJb3JpZ2luX2Vj",
        &STANDARD.encode(START),
        &STANDARD.encode([&START[..], &[0; NONCE_BYTES + TAG_BYTES]].concat()),
        token.trim_end_matches('='),
        &format!("{token} "),
        &format!("{token}AAAA"),
        &token[4..],
        &"IQoJ".repeat(TOKEN_CHARACTERS_MAX),
    ] {
        assert_eq!(open(text), None, "{text}");
    }
    assert_eq!(open(&url_safe).is_some(), url_safe == *token);
}

#[test]
fn the_length_of_a_token_does_not_tell_that_of_a_name() {
    let length = |letters| key().issue(&of_user(letters), 0).unwrap().session_token.expose().len();
    assert_eq!(length(1), length(17));
    assert!(length(1) < length(64));
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_sealed() {
    let percent = |bytes| match key().issue(&with_document(bytes), 0) {
        Ok(made) => {
            let (token, id) = (&made.session_token, &made.access_key_id);
            let (session, _) = key().open(token, id).unwrap();
            assert_eq!(session, with_document(bytes));
            Ok(session.packed_percent())
        }
        Err(PackedTooLarge { percent }) => Err(percent),
    };
    assert_eq!(percent(100), Ok(5));
    let fits = (3800..4096).take_while(|bytes| percent(*bytes).is_ok()).last().unwrap();
    assert_eq!(percent(fits), Ok(100));
    assert_eq!(percent(fits + 1), Err(102));
    assert!(percent(70_000).is_err_and(|percent| percent > 1600));
}

#[test]
fn nothing_of_a_key_is_printed() {
    assert_eq!(format!("{:?}", key()), "IssuerKey");
}

/// Keys that must not depend on what else there is: those of a fleet, of which none may be twice.
#[test]
fn ids_of_a_fleet_differ() {
    let ids: HashSet<_> =
        (0..10_000).map(|number| key().issue(&of_user(3), number).unwrap().access_key_id).collect();
    assert_eq!(ids.len(), 10_000);
}

proptest! {
    #[test]
    fn what_was_sealed_opens_as_it_was(session in session(), number: u128) {
        let made = key().seal(&session, number);
        prop_assert!(made.session_token.expose().starts_with("IQoJb3JpZ2luX2Vj"));
        if session.packed_percent() <= 100 {
            let (opened, own) = key().open(&made.session_token, &made.access_key_id).unwrap();
            prop_assert_eq!(&opened, &session);
            prop_assert_eq!(&*own.id, &*made.access_key_id);
            prop_assert_eq!(own.secret, made.secret_access_key);
            prop_assert_eq!(own.expiration, Some(session.expiration));
        }
    }

    #[test]
    fn a_changed_bit_is_noticed(session in session(), number: u128, at: prop::sample::Index, bit in 0_u8..8) {
        let made = key().seal(&session, number);
        let mut bytes = STANDARD.decode(made.session_token.expose()).unwrap();
        *at.get_mut(&mut bytes) ^= 1 << bit;
        let token = Secret::new(STANDARD.encode(bytes));
        prop_assert_eq!(key().open(&token, &made.access_key_id), None);
    }

    #[test]
    fn a_changed_letter_is_noticed(number: u128, at: prop::sample::Index, letter in "[ -~]") {
        let made = key().seal(&of_user(9), number);
        let mut text = made.session_token.expose().clone();
        let at = at.index(text.len());
        text.replace_range(at..=at, &letter);
        let is_same = text == *made.session_token.expose();
        let opened = key().open(&Secret::new(text), &made.access_key_id);
        prop_assert_eq!(opened.is_some(), is_same);
    }

    #[test]
    fn what_is_packed_has_one_form(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Some(session) = unpack(&bytes) {
            let again = pack(&session, 0);
            prop_assert_eq!(again.get(16..), bytes.get(16..));
        }
    }
}
