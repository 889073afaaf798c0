//! User data: bytes that the instance's owner hands to it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::Shared;

/// Raw user data, at most 16,384 bytes and never empty.
///
/// It is opaque to us and may hold secrets, so `Debug` shows its length only. In files it is a
/// text, or a table `{ base64 = "…" }` for other bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct UserData(Shared<Box<[u8]>>);

/// Why bytes are not accepted as user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserDataRefusal {
    /// EC2: an instance without user data answers 404; empty user data would be the same.
    #[error("user data is empty: leave it out instead")]
    Empty,
    /// More than [`UserData::BYTES_MAX`].
    #[error("user data is {bytes} bytes long, and 16384 is the limit (before base64)")]
    Long {
        /// How long it is.
        bytes: usize,
    },
}

impl UserData {
    /// LIMIT: 16 KB before base64, as EC2 has it (data plane, 7).
    pub const BYTES_MAX: usize = 16_384;

    /// Takes `bytes` as they are.
    ///
    /// # Errors
    ///
    /// [`UserDataRefusal`] if there are none, or too many.
    pub fn new(bytes: Vec<u8>) -> Result<Self, UserDataRefusal> {
        match bytes.len() {
            0 => Err(UserDataRefusal::Empty),
            length if length > Self::BYTES_MAX => Err(UserDataRefusal::Long { bytes: length }),
            _ => Ok(Self(Shared::from(bytes.into_boxed_slice()))),
        }
    }

    pub(crate) fn shared_bytes(&mut self) -> &mut Shared<Box<[u8]>> {
        &mut self.0
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

/// How user data is written down.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a text, or a table such as { base64 = \"…\" }")]
enum Written {
    Text(String),
    Encoded(Encoded),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    base64: String,
}

impl Serialize for UserData {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.as_bytes()) {
            Ok(text) => Written::Text(text.to_owned()),
            Err(_) => Written::Encoded(Encoded { base64: STANDARD.encode(self.as_bytes()) }),
        }
        .serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for UserData {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = match Written::deserialize(deserializer)? {
            Written::Text(text) => text.into_bytes(),
            Written::Encoded(Encoded { base64 }) => STANDARD.decode(&base64).map_err(|source| {
                serde::de::Error::custom(format_args!("user data is not base64: {source}"))
            })?,
        };
        Self::new(bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_16384_raw_bytes() {
        assert!(UserData::new(vec![0; 16_384]).is_ok());
        assert_eq!(UserData::new(vec![0; 16_385]), Err(UserDataRefusal::Long { bytes: 16_385 }));
        assert_eq!(UserData::new(Vec::new()), Err(UserDataRefusal::Empty));
    }

    #[test]
    fn any_bytes_survive_being_written_down() {
        for bytes in [b"#!/bin/sh\necho hi\n".to_vec(), vec![0, 255, 128, 10]] {
            let data = UserData::new(bytes).unwrap();
            let written = serde_json::to_string(&data).unwrap();
            assert_eq!(serde_json::from_str::<UserData>(&written).unwrap(), data);
        }
    }
}
