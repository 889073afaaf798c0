//! What a command ends with when it cannot do its work.

use std::fmt;

use model::in_full;

/// A failure, told in full: each cause after the other, and what to do.
#[derive(Debug)]
pub(crate) struct Fault {
    message: String,
    exit_code: u8,
}

impl Fault {
    /// Something failed.
    pub(crate) fn failed(fault: &dyn std::error::Error) -> Self {
        Self::told(in_full(fault))
    }

    /// Something failed, in these words.
    pub(crate) fn told(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 1 }
    }

    /// The command was not written right.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), exit_code: 2 }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_code
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
