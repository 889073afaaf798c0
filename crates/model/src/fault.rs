//! Faults in words.

use std::error::Error;

/// Returns what a fault says, and each of its causes after it.
pub fn in_full(fault: &dyn Error) -> String {
    let mut message = fault.to_string();
    let mut source = fault.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the state cannot be read")]
    struct Unread(#[source] std::fmt::Error);

    #[test]
    fn causes_follow_what_they_cause() {
        let words = in_full(&Unread(std::fmt::Error));
        assert_eq!(words, format!("the state cannot be read: {}", std::fmt::Error));
    }
}
