//! What sessions are called, and how long they last.

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;

use crate::InstanceId;
use crate::serial::written_as_text;

/// The name of a role session: 2 to 64 letters, digits and `+=,.@_-`. That of an instance is its id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionName(ArrayString<64>);

impl SessionName {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<InstanceId> for SessionName {
    fn from(instance: InstanceId) -> Self {
        let mut name = ArrayString::new();
        // It fits: an id has 19 characters at most.
        let _ = name.try_push_str(&instance.text());
        Self(name)
    }
}

impl FromStr for SessionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
        match ArrayString::from(text) {
            Ok(name) if name.len() >= 2 && name.bytes().all(plain) => Ok(Self(name)),
            _ => {
                let text = crate::id::quoted(text);
                Err(format!(
                    "`{text}` is not a session name: use 2 to 64 letters, digits and `+=,.@_-`"
                ))
            }
        }
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

written_as_text!(SessionName);

/// How long built-in credentials live, in whole seconds.
///
/// They change at half of it, so that whoever reads them has at least half of it left. Clients have
/// views of their own of when to read again: botocore treats what has less than 17 to 25 minutes left
/// as good for 2 to 10 minutes more, whatever it says. So it never shows credentials that have ended
/// if the life is 20 minutes or longer.
///
/// INVARIANT: within [`MIN`](Self::MIN)`..=`[`MAX`](Self::MAX).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(try_from = "u32", into = "u32")]
pub struct SessionLife(u32);

/// Why a number of seconds is not a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not a life of credentials: use {min} to {max} seconds",
    min = SessionLife::MIN.0, max = SessionLife::MAX.0
)]
pub struct SessionLifeRefusal(u32);

impl SessionLife {
    /// A minute. STS gives no less than fifteen; this little is for tests of clients, which cannot wait
    /// that long to see one read its credentials again.
    pub const MIN: Self = Self(60);
    /// Twelve hours, the longest that a role's sessions last.
    pub const MAX: Self = Self(43_200);

    /// Returns the life in seconds.
    pub const fn as_seconds(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for SessionLife {
    type Error = SessionLifeRefusal;

    fn try_from(seconds: u32) -> Result<Self, SessionLifeRefusal> {
        Some(Self(seconds))
            .filter(|life| (Self::MIN..=Self::MAX).contains(life))
            .ok_or(SessionLifeRefusal(seconds))
    }
}

impl From<SessionLife> for u32 {
    fn from(life: SessionLife) -> Self {
        life.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_names_are_short_and_plain() {
        for good in ["ab", "deploy@example.com", "a=b,c+d.e_f-g", &*"x".repeat(64)] {
            assert_eq!(good.parse::<SessionName>().unwrap().as_str(), good);
        }
        for bad in ["", "a", "a b", "a/b", "a:b", "é1", &*"x".repeat(65)] {
            assert!(bad.parse::<SessionName>().is_err(), "{bad:?}");
        }
        for id in ["i-1234567890abcdef0", "i-1234abcd"] {
            let name = SessionName::from(id.parse::<InstanceId>().unwrap());
            assert_eq!(Ok(name), id.parse());
        }
    }

    #[test]
    fn a_life_is_bounded() {
        for good in [60, 900, 43_200] {
            assert_eq!(SessionLife::try_from(good).map(u32::from), Ok(good));
        }
        for bad in [0, 59, 43_201, u32::MAX] {
            let refusal = SessionLife::try_from(bad).unwrap_err();
            assert!(refusal.to_string().contains("use 60 to 43200 seconds"), "{refusal}");
        }
    }
}
