//! How an instance reaches the service.

use std::net::SocketAddr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// One way in which an instance is attached, and so recognized.
///
/// Who asks comes from the kernel and never from a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attachment {
    /// The instance is whoever reaches this address and port. Port 0 lets the kernel choose.
    #[serde(deserialize_with = "address_and_port")]
    Listener(SocketAddr),
}

fn address_and_port<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        let text = crate::id::quoted(&text);
        D::Error::custom(format_args!(
            "listener: `{text}` is not an address and port: use 127.0.0.1:1340 or [::1]:0"
        ))
    })
}
