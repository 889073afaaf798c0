//! Session tokens of credentials: opened only if issued in this run, with this key, and with the access
//! key id that belongs to them; and then always, as they were.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use metadata::session::{
    Actor, RoleSession, Session, SessionPolicies, SourceInstance, UserSession,
};
use metadata::{Credentials, IssuerKey};
use model::{InstanceId, RoleDelivery, Secret, Timestamp, VpcId};
use sha2::{Digest as _, Sha256};

use crate::input::Input;

/// Issues credentials for two sessions, spoils a token, and shows it with an access key id to a key.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    // The keys follow from the whole input: no fuzzer can learn a token from another run.
    let secret: [u8; 32] = Sha256::digest(data).into();
    let keys = [IssuerKey::new(secret), IssuerKey::new(secret.map(|byte| !byte))];
    let issued =
        [issue(&mut input, &keys), issue(&mut input, &keys)].map(Option::unwrap_or_default);
    let text = spoil(&mut input, &issued);
    let choice = input.byte();
    let id = match (&issued[usize::from(choice & 1)].made, choice & 2) {
        (Some(made), 0) => made.access_key_id.clone(),
        _ => String::from_utf8_lossy(&input.bytes::<20>()).into_owned(),
    };
    let number = usize::from(choice >> 2 & 1);
    let good = issued.iter().find(|issued| {
        let is_shown = |made: &Credentials| {
            made.session_token.expose().as_bytes() == text && made.access_key_id == id
        };
        issued.key == number && issued.made.as_ref().is_some_and(is_shown)
    });
    let token = Secret::new(String::from_utf8_lossy(&text).into_owned());
    match (keys[number].open(&token, &id), good) {
        (Some((session, key)), Some(issued)) => {
            let made = issued.made.as_ref().expect("it was shown");
            assert_eq!(Some(&session), issued.session.as_ref());
            assert_eq!(key.secret, made.secret_access_key);
            assert_eq!((&*key.id, key.expiration), (&*id, Some(session.expiration)));
        }
        (None, None) => {}
        (opened, good) => panic!("{opened:?} of {good:?}"),
    }
}

/// A session, the key that it was issued with, and what came of it.
#[derive(Debug, Default)]
struct Issued {
    session: Option<Session>,
    key: usize,
    made: Option<Credentials>,
}

fn issue(input: &mut Input<'_>, keys: &[IssuerKey; 2]) -> Option<Issued> {
    let session = session(input)?;
    let key = usize::from(input.byte() & 1);
    let number = u128::from(input.byte());
    let made = keys[key].issue(&session, number);
    let percent = session.packed_percent();
    assert_eq!(made.is_ok(), percent <= 100, "{percent} %");
    if let Ok(made) = &made {
        assert_eq!((made.access_key_id.len(), made.secret_access_key.expose().len()), (20, 40));
        let again = keys[key].issue(&session, number).expect("it was issued before");
        assert_eq!(again.session_token, made.session_token);
        let other = keys[key].issue(&session, number + 1).expect("it is no longer");
        assert_ne!(other.session_token, made.session_token);
        assert_ne!(other.access_key_id, made.access_key_id);
    }
    Some(Issued { session: Some(session), key, made: made.ok() })
}

/// Draws a session; none, if a word of it is none.
fn session(input: &mut Input<'_>) -> Option<Session> {
    let account_id = format!("{:012}", input.short()).parse().ok()?;
    let (issued_at, expiration) = (input.millis(), input.millis());
    let actor = match input.byte() % 4 {
        0 => Actor::Instance(source(input)?),
        1 => Actor::User(UserSession {
            name: text(input).parse().ok()?,
            id: "AIDAUVHR6YTTZRKBC3ZEJ".parse().ok()?,
        }),
        _ => Actor::Role(RoleSession {
            role: text(input).parse().ok()?,
            role_id: text(input).parse().ok()?,
            name: text(input).parse().ok()?,
            source: source(input),
            policies: SessionPolicies {
                document: match input.byte() {
                    0 => None,
                    many => Some(text(input).repeat(usize::from(many)).into()),
                },
                arns: (0..input.byte() % 16).map_while(|_| text(input).parse().ok()).collect(),
            },
            tags: (0..input.byte() % 64)
                .map_while(|_| Some((text(input).parse().ok()?, text(input).into())))
                .collect::<BTreeMap<_, _>>(),
        }),
    };
    let (issued_at, expiration) =
        (Timestamp::from_millis(issued_at), Timestamp::from_millis(expiration));
    Some(Session { account_id, issued_at, expiration, actor })
}

fn source(input: &mut Input<'_>) -> Option<SourceInstance> {
    let has = input.byte();
    (has & 1 != 0).then(|| ())?;
    Some(SourceInstance {
        id: match has & 2 {
            0 => InstanceId::from_number(input.short().into()),
            _ => "i-1234abcd".parse().ok()?,
        },
        region: text(input).parse().unwrap_or_else(|_| "us-east-1".parse().expect("is a region")),
        delivery: if has & 4 == 0 { RoleDelivery::V1 } else { RoleDelivery::V2 },
        vpc_id: (has & 8 != 0).then(|| VpcId::from_number(input.short().into())),
        ipv4: (has & 16 != 0).then(|| Ipv4Addr::from(input.bytes::<4>())),
        ipv6: (has & 32 != 0).then(|| Ipv6Addr::from(input.bytes::<16>())),
    })
}

/// Draws a text: a byte of length, and the bytes.
fn text(input: &mut Input<'_>) -> String {
    let length = input.byte() % 80;
    let bytes: Vec<u8> = (0..length).map(|_| input.byte()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Chooses a text: a token, one with changes, parts of two, or anything.
fn spoil(input: &mut Input<'_>, issued: &[Issued; 2]) -> Vec<u8> {
    let [one, two] = issued.each_ref().map(|issued| {
        let made = issued.made.as_ref();
        made.map(|made| made.session_token.expose().clone().into_bytes()).unwrap_or_default()
    });
    let (choice, at, letter) = (input.byte(), usize::from(input.short()), input.byte());
    let mut text = one.clone();
    let at = at % (text.len() + 1);
    match choice % 6 {
        0 => {}
        1 => text = two,
        2 => {
            if let Some(known) = text.get_mut(at) {
                *known ^= letter;
            }
        }
        3 => text.truncate(at),
        4 => {
            text.truncate(at);
            text.extend_from_slice(two.get(at..).unwrap_or_default());
        }
        _ => text.insert(at, letter),
    }
    text
}
