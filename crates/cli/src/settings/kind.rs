//! Kinds of values that settings have.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use control::{References, TypePattern};
use metadata::Profile;
use model::{Driver, HttpTokens, InstanceId};
use server::Wire;

use super::register::Arity;

/// A kind of value.
pub(crate) trait Kind: Sized {
    const ARITY: Arity = Arity::One;

    /// Reads the values given; none where nothing sets it and it has no default.
    fn read(values: &[String]) -> Result<Self, String>;

    /// Says why a text is no value.
    fn check(text: &str) -> Result<(), String> {
        Self::read(&[text.to_owned()]).map(drop)
    }
}

/// Reads the one value of a kind that has one.
fn one<T>(values: &[String], parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, String> {
    match values {
        [value] => parse(value),
        [] => Err("a value is missing".to_owned()),
        _ => Err("one value is enough".to_owned()),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        format!("`{text}` is not an address and port: use 127.0.0.1:1338 or [::1]:1338")
    })
}

impl Kind for SocketAddr {
    fn read(values: &[String]) -> Result<Self, String> {
        one(values, address)
    }
}

impl Kind for Vec<SocketAddr> {
    const ARITY: Arity = Arity::Many;

    fn read(values: &[String]) -> Result<Self, String> {
        values.iter().map(|text| address(text)).collect()
    }
}

impl Kind for References {
    fn read(values: &[String]) -> Result<Self, String> {
        one(values, str::parse)
    }
}

impl Kind for Vec<TypePattern> {
    const ARITY: Arity = Arity::Many;

    fn read(values: &[String]) -> Result<Self, String> {
        values.iter().map(|text| text.parse()).collect()
    }
}

/// A word of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) String);

impl Kind for Vec<Word> {
    const ARITY: Arity = Arity::Many;

    fn read(values: &[String]) -> Result<Self, String> {
        let word = |text: &String| {
            let has_zero = text.contains('\0');
            let refused = || "a program cannot be given the byte 0".to_owned();
            (!has_zero).then(|| Word(text.clone())).ok_or_else(refused)
        };
        match values.first() {
            Some(program) if program.is_empty() => Err("it names no program".to_owned()),
            _ => values.iter().map(word).collect(),
        }
    }

    fn check(text: &str) -> Result<(), String> {
        // Which word is the first is not known here.
        Self::read(&["program".to_owned(), text.to_owned()]).map(drop)
    }
}

/// What makes machines, as far as one word says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaunchDriver {
    Exec,
    Listener,
    Netns,
    None,
    Source,
}

impl LaunchDriver {
    /// Returns the driver.
    pub(crate) fn with(self, container: bool) -> Option<Driver> {
        match self {
            Self::Exec => Some(Driver::Exec),
            Self::Listener => Some(Driver::Listener),
            Self::Netns => Some(Driver::Netns { container }),
            Self::None => None,
            Self::Source => Some(Driver::Source),
        }
    }
}

impl FromStr for LaunchDriver {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "exec" => Ok(Self::Exec),
            "listener" => Ok(Self::Listener),
            "netns" => Ok(Self::Netns),
            "none" => Ok(Self::None),
            "source" => Ok(Self::Source),
            _ => {
                Err(format!("`{text}` is not a driver: use none, listener, source, netns or exec"))
            }
        }
    }
}

impl Kind for LaunchDriver {
    fn read(values: &[String]) -> Result<Self, String> {
        one(values, str::parse)
    }
}

impl Kind for PathBuf {
    fn read(values: &[String]) -> Result<Self, String> {
        one(
            values,
            |text| {
                if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text.into()) }
            },
        )
    }
}

impl Kind for HttpTokens {
    fn read(values: &[String]) -> Result<Self, String> {
        one(values, str::parse)
    }
}

impl Kind for InstanceId {
    fn read(values: &[String]) -> Result<Self, String> {
        one(values, |text| text.parse().map_err(|refusal: model::IdRefusal| refusal.to_string()))
    }
}

impl<T: Kind> Kind for Option<T> {
    fn read(values: &[String]) -> Result<Self, String> {
        if values.is_empty() { Ok(None) } else { T::read(values).map(Some) }
    }
}

/// Something that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Switched {
    Off,
    On,
}

impl Switched {
    pub(crate) fn is_on(self) -> bool {
        self == Self::On
    }
}

impl Kind for Switched {
    const ARITY: Arity = Arity::Switch;

    fn read(values: &[String]) -> Result<Self, String> {
        one(values, |text| match text {
            "true" => Ok(Self::On),
            "false" => Ok(Self::Off),
            _ => Err(format!("`{text}` is neither true nor false")),
        })
    }
}

/// A number from 1 up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Positive(NonZeroU32);

impl Positive {
    pub(crate) fn get(self) -> u32 {
        self.0.get()
    }
}

impl Kind for Positive {
    fn read(values: &[String]) -> Result<Self, String> {
        one(values, |text| {
            let number = text.parse().map_err(|_| format!("`{text}` is not a number from 1 up"))?;
            Ok(Self(number))
        })
    }
}

/// A number of threads.
///
/// LIMIT: each has a socket for every address; no machine of today has more cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Threads(Positive);

impl Threads {
    const MAX: u32 = 1024;

    pub(crate) fn get(self) -> u32 {
        self.0.get()
    }
}

impl Kind for Threads {
    fn read(values: &[String]) -> Result<Self, String> {
        let number = Positive::read(values)?;
        if number.get() <= Self::MAX {
            Ok(Self(number))
        } else {
            Err(format!("`{}` is more than {} threads", number.get(), Self::MAX))
        }
    }
}

/// A length of time in seconds, at least two minutes.
///
/// LIMIT: a key is told from 200 others by one byte, and each is kept for six hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Period(i64);

impl Period {
    const SECONDS_MIN: i64 = 120;
    const SECONDS_MAX: i64 = 3650 * 86_400;

    pub(crate) fn as_seconds(self) -> i64 {
        self.0
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is not a time from 2m to 3650d: use 30m, 24h or 7d");
        let unit = text.chars().last().ok_or_else(refused)?;
        let number: i64 =
            text.strip_suffix(unit).and_then(|n| n.parse().ok()).ok_or_else(refused)?;
        let unit_seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return Err(refused()),
        };
        let seconds = number.checked_mul(unit_seconds).ok_or_else(refused)?;
        if (Self::SECONDS_MIN..=Self::SECONDS_MAX).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(refused())
        }
    }
}

impl Kind for Period {
    fn read(values: &[String]) -> Result<Self, String> {
        one(values, str::parse)
    }
}

/// Where the state is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    Memory,
    Redb,
}

impl Kind for StoreKind {
    fn read(values: &[String]) -> Result<Self, String> {
        one(values, |text| match text {
            "memory" => Ok(Self::Memory),
            "redb" => Ok(Self::Redb),
            _ if text.starts_with("etcd://") => {
                Err("this version has no etcd store: use redb or memory".to_owned())
            }
            _ => Err(format!("`{text}` is not a store: use redb or memory")),
        })
    }
}

impl Kind for Profile {
    fn read(values: &[String]) -> Result<Self, String> {
        one(values, |text| match text {
            "ec2" => Ok(Self::Ec2),
            "strict" => Ok(Self::Strict),
            _ => Err(format!("`{text}` is not a profile: use ec2 or strict")),
        })
    }
}

impl Kind for Wire {
    fn read(values: &[String]) -> Result<Self, String> {
        one(values, |text| match text {
            "legacy" => Ok(Self::Legacy),
            "nitro" => Ok(Self::Nitro),
            _ => Err(format!("`{text}` is not a wire: use nitro or legacy")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods() {
        for (text, seconds) in [("2m", 120), ("120s", 120), ("24h", 86_400), ("7d", 604_800)] {
            assert_eq!(text.parse::<Period>().map(Period::as_seconds), Ok(seconds));
        }
        for text in ["", "h", "1m", "24", "-1h", "1.5h", "99999999999999999999d", "5µ"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
