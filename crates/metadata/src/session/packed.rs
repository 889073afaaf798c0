//! A session in few bytes.
//!
//! ```text
//! number (16) │ issued at (8) │ expiration (8) │ account (12) │ actor (1 and its parts) │ zeros
//! ```
//!
//! A text is two bytes of length and UTF-8; a part that may be missing is a byte 0, or 1 and the part;
//! times are milliseconds since 1970, and all numbers big-endian. Zeros fill up to whole blocks, so
//! that the length of a token does not tell the length of a name.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use model::{RoleDelivery, Timestamp};

use super::{Actor, RoleSession, Session, SessionPolicies, SourceInstance, UserSession};

/// What packed sessions are whole multiples of.
const BLOCK_BYTES: usize = 64;

const INSTANCE: u8 = 1;
const ROLE: u8 = 2;
const USER: u8 = 3;

/// Packs a session. `number` tells it from others that say the same.
///
/// A text of more than 65,535 bytes is cut off there: what is that long is over
/// [`Session::PACKED_BYTES_MAX`] in any case.
pub(crate) fn pack(session: &Session, number: u128) -> Vec<u8> {
    // Three blocks hold what the role of an instance says, four with long names and IPv6.
    let mut packed = Packing(Vec::with_capacity(4 * BLOCK_BYTES));
    packed.bytes(&number.to_be_bytes());
    for time in [session.issued_at, session.expiration] {
        packed.bytes(&time.as_millis().to_be_bytes());
    }
    packed.bytes(session.account_id.as_str().as_bytes());
    match &session.actor {
        Actor::Instance(source) => {
            packed.bytes(&[INSTANCE]);
            packed.source(source);
        }
        Actor::Role(session) => {
            packed.bytes(&[ROLE]);
            packed.role(session);
        }
        Actor::User(session) => {
            packed.bytes(&[USER]);
            packed.text(session.name.as_str());
            packed.text(&session.id);
        }
    }
    let Packing(mut bytes) = packed;
    bytes.resize(bytes.len().next_multiple_of(BLOCK_BYTES), 0);
    bytes
}

struct Packing(Vec<u8>);

impl Packing {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn count(&mut self, count: usize) -> usize {
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        self.bytes(&count.to_be_bytes());
        count.into()
    }

    fn text(&mut self, text: &str) {
        let length = self.count(text.len());
        self.bytes(text.as_bytes().get(..length).unwrap_or_default());
    }

    fn option<T>(&mut self, part: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bytes(&[u8::from(part.is_some())]);
        if let Some(part) = part {
            write(self, part);
        }
    }

    fn source(&mut self, source: &SourceInstance) {
        let SourceInstance { id, region, delivery, vpc_id, ipv4, ipv6 } = source;
        self.text(&id.text());
        self.text(region.as_str());
        self.bytes(&[match delivery {
            RoleDelivery::V1 => 1,
            RoleDelivery::V2 => 2,
        }]);
        self.option(*vpc_id, |packed, id| packed.text(&id.text()));
        self.option(*ipv4, |packed, address| packed.bytes(&address.octets()));
        self.option(*ipv6, |packed, address| packed.bytes(&address.octets()));
    }

    fn role(&mut self, session: &RoleSession) {
        let RoleSession { role, role_id, name, source, policies, tags } = session;
        for text in [role.as_str(), role_id, name.as_str()] {
            self.text(text);
        }
        self.option(source.as_ref(), Self::source);
        let SessionPolicies { document, arns } = policies;
        self.option(document.as_deref(), Self::text);
        let count = self.count(arns.len());
        for arn in arns.iter().take(count) {
            self.text(arn);
        }
        let count = self.count(tags.len());
        for (key, value) in tags.iter().take(count) {
            self.text(key.as_str());
            self.text(value);
        }
    }
}

/// Unpacks what [`pack`] wrote; nothing of anything else.
pub(crate) fn unpack(packed: &[u8]) -> Option<Session> {
    Unpacking(packed).session().ok()
}

/// These bytes are not what [`pack`] writes.
struct NotPacked;

type Unpacked<T> = Result<T, NotPacked>;

struct Unpacking<'a>(&'a [u8]);

impl<'a> Unpacking<'a> {
    fn session(mut self) -> Unpacked<Session> {
        let _number: [u8; 16] = self.bytes()?;
        let issued_at = self.time()?;
        let expiration = self.time()?;
        let account_id = parsed(&self.bytes::<12>()?)?;
        let actor = match self.bytes()? {
            [INSTANCE] => Actor::Instance(self.source()?),
            [ROLE] => Actor::Role(self.role()?),
            [USER] => Actor::User(UserSession { name: self.word()?, id: self.word()? }),
            _ => return Err(NotPacked),
        };
        let Self(zeros) = self;
        let is_end = zeros.len() < BLOCK_BYTES && zeros.iter().all(|byte| *byte == 0);
        if is_end {
            Ok(Session { account_id, issued_at, expiration, actor })
        } else {
            Err(NotPacked)
        }
    }

    fn bytes<const N: usize>(&mut self) -> Unpacked<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk().ok_or(NotPacked)?;
        self.0 = rest;
        Ok(*bytes)
    }

    fn time(&mut self) -> Unpacked<Timestamp> {
        self.bytes().map(|bytes| Timestamp::from_millis(i64::from_be_bytes(bytes)))
    }

    fn count(&mut self) -> Unpacked<usize> {
        self.bytes().map(|bytes| u16::from_be_bytes(bytes).into())
    }

    fn text(&mut self) -> Unpacked<&'a [u8]> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(NotPacked)?;
        self.0 = rest;
        Ok(text)
    }

    fn word<T: FromStr>(&mut self) -> Unpacked<T> {
        parsed(self.text()?)
    }

    fn free_text(&mut self) -> Unpacked<Box<str>> {
        str::from_utf8(self.text()?).map(Box::from).map_err(|_| NotPacked)
    }

    fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Unpacked<T>) -> Unpacked<Option<T>> {
        match self.bytes()? {
            [0] => Ok(None),
            [1] => read(self).map(Some),
            _ => Err(NotPacked),
        }
    }

    fn source(&mut self) -> Unpacked<SourceInstance> {
        Ok(SourceInstance {
            id: self.word()?,
            region: self.word()?,
            delivery: match self.bytes()? {
                [1] => RoleDelivery::V1,
                [2] => RoleDelivery::V2,
                _ => return Err(NotPacked),
            },
            vpc_id: self.option(Self::word)?,
            ipv4: self.option(|rest| rest.bytes::<4>().map(Ipv4Addr::from))?,
            ipv6: self.option(|rest| rest.bytes::<16>().map(Ipv6Addr::from))?,
        })
    }

    fn role(&mut self) -> Unpacked<RoleSession> {
        Ok(RoleSession {
            role: self.word()?,
            role_id: self.word()?,
            name: self.word()?,
            source: self.option(Self::source)?,
            policies: SessionPolicies {
                document: self.option(Self::free_text)?,
                arns: (0..self.count()?).map(|_| self.word()).collect::<Unpacked<_>>()?,
            },
            tags: (0..self.count()?)
                .map(|_| Ok((self.word()?, self.free_text()?)))
                .collect::<Unpacked<_>>()?,
        })
    }
}

fn parsed<T: FromStr>(text: &[u8]) -> Unpacked<T> {
    str::from_utf8(text).map_err(|_| NotPacked)?.parse().map_err(|_| NotPacked)
}
