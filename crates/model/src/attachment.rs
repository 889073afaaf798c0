//! How an instance reaches the service.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// One way in which an instance is attached, and so recognized.
///
/// Who asks comes from the kernel and never from a header.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attachment {
    /// The instance is whoever reaches this address and port. Port 0 lets the kernel choose.
    Listener(SocketAddr),
}
