//! The lifetime of a session token.

use std::fmt;

/// Lifetime asked for a session token, in whole seconds.
///
/// INVARIANT: within [`MIN`](Self::MIN)`..=`[`MAX`](Self::MAX), so no later code checks it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenTtl(u32);

/// Why a token request's lifetime is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TtlRefusal {
    /// The header is absent.
    #[error("the token request has no `X-aws-ec2-metadata-token-ttl-seconds` header")]
    Absent,
    /// The header is there twice, with different values.
    #[error("the token request has two different lifetimes")]
    Conflicting,
    /// The value is not decimal digits and nothing else.
    #[error("the token lifetime is not a decimal number of seconds")]
    NotANumber,
    /// The number is outside [`TokenTtl::MIN`]`..=`[`TokenTtl::MAX`].
    #[error("the token lifetime is not within 1 and 21600 seconds")]
    OutOfRange,
}

impl TokenTtl {
    /// The shortest lifetime: one second.
    pub const MIN: Self = Self(1);
    /// The longest lifetime: six hours.
    pub const MAX: Self = Self(21_600);

    /// Parses the value of the `X-aws-ec2-metadata-token-ttl-seconds` header, spaces around it
    /// removed.
    ///
    /// EC2: decimal digits only; leading zeros count for nothing (data plane, 3.1).
    ///
    /// # Errors
    ///
    /// - [`TtlRefusal::NotANumber`] unless the value is ASCII digits and nothing else.
    /// - [`TtlRefusal::OutOfRange`] if the number lies outside `MIN..=MAX`.
    pub fn parse(value: &[u8]) -> Result<Self, TtlRefusal> {
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(TtlRefusal::NotANumber);
        }
        let seconds = value.iter().fold(0_u32, |sum, digit| {
            sum.saturating_mul(10).saturating_add(u32::from(digit - b'0'))
        });
        Some(Self(seconds))
            .filter(|ttl| (Self::MIN..=Self::MAX).contains(ttl))
            .ok_or(TtlRefusal::OutOfRange)
    }

    /// Returns the lifetime in seconds.
    pub const fn as_seconds(self) -> u32 {
        self.0
    }

    /// Returns the lifetime in milliseconds.
    pub const fn as_millis(self) -> i64 {
        // At most 21,600,000: `MAX` times a thousand.
        self.0 as i64 * 1000
    }
}

impl fmt::Display for TokenTtl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use TtlRefusal::{NotANumber, OutOfRange};

    #[test]
    fn ttl_header_grammar() {
        for (value, expected) in [
            ("1", Ok(1)),
            ("21600", Ok(21_600)),
            ("060", Ok(60)),
            ("00000000000000000000000060", Ok(60)),
            ("0", Err(OutOfRange)),
            ("21601", Err(OutOfRange)),
            ("4294967297", Err(OutOfRange)), // `u32::MAX` and two
            ("99999999999999999999", Err(OutOfRange)),
            ("", Err(NotANumber)),
            ("-1", Err(NotANumber)),
            ("+60", Err(NotANumber)),
            ("60.0", Err(NotANumber)),
            ("1e3", Err(NotANumber)),
            ("0x3c", Err(NotANumber)),
            ("60, 60", Err(NotANumber)),
            ("٦٠", Err(NotANumber)),
        ] {
            let got = TokenTtl::parse(value.as_bytes()).map(TokenTtl::as_seconds);
            assert_eq!(got, expected, "header value {value:?}");
        }
    }
}
