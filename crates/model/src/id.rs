//! Names that EC2 gives to things.
//!
//! INVARIANT: a resource id is its prefix and 8 or 17 lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;

use crate::serial::written_as_text;

/// Why a text is not an id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdRefusal {
    /// A resource id with another prefix, or with digits that are not hexadecimal, or too few.
    #[error("`{text}` is not {what}: use `{prefix}` and 8 or 17 lower-case hexadecimal digits")]
    Resource {
        /// What was expected, with its article.
        what: &'static str,
        /// The prefix that was expected.
        prefix: &'static str,
        /// The offending text, shortened and escaped.
        text: String,
    },
    /// An account id that is not twelve digits.
    #[error("`{0}` is not an account id: use twelve digits")]
    Account(String),
    /// A region name with other than lower-case letters, digits and hyphens.
    #[error("`{0}` is not a region: use a name such as `us-east-1`")]
    Region(String),
}

/// Shortens and escapes a rejected text for a message.
pub(crate) fn quoted(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

macro_rules! resource_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(ArrayString<24>);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Returns the id as text, prefix included.
            pub fn as_str(&self) -> &str {
                self.0.as_str()
            }

            /// Makes the 17-digit id whose digits are those of `number`, from the lowest.
            pub fn from_number(number: u128) -> Self {
                // 17 hexadecimal digits are 68 bits.
                let text = format!("{}{:017x}", $prefix, number & ((1 << 68) - 1));
                Self(ArrayString::from(&text).unwrap_or_default())
            }
        }

        impl FromStr for $name {
            type Err = IdRefusal;

            fn from_str(text: &str) -> Result<Self, IdRefusal> {
                text.strip_prefix($prefix)
                    .filter(|digits| matches!(digits.len(), 8 | 17))
                    .filter(|digits| digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
                    .and_then(|_| ArrayString::from(text).ok())
                    .map(Self)
                    .ok_or_else(|| IdRefusal::Resource {
                        what: $what,
                        prefix: $prefix,
                        text: quoted(text),
                    })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        written_as_text!($name);
    };
}

resource_id!(
    /// An image, such as `ami-0abcdef1234567890`.
    AmiId, "ami-", "an image id"
);
resource_id!(
    /// An instance, such as `i-1234567890abcdef0`.
    InstanceId, "i-", "an instance id"
);
resource_id!(
    /// A network interface, such as `eni-0123456789abcdef0`.
    InterfaceId, "eni-", "a network interface id"
);
resource_id!(
    /// A kernel of a paravirtual image, such as `aki-0123abcd`.
    KernelId, "aki-", "a kernel id"
);
resource_id!(
    /// A RAM disk of a paravirtual image, such as `ari-0123abcd`.
    RamdiskId, "ari-", "a RAM disk id"
);
resource_id!(
    /// The reservation of one launch request, such as `r-0123456789abcdef0`.
    ReservationId, "r-", "a reservation id"
);
resource_id!(
    /// A security group, such as `sg-0123456789abcdef0`.
    SecurityGroupId, "sg-", "a security group id"
);
resource_id!(
    /// A subnet, such as `subnet-0123456789abcdef0`.
    SubnetId, "subnet-", "a subnet id"
);
resource_id!(
    /// A virtual private cloud, such as `vpc-0123456789abcdef0`.
    VpcId, "vpc-", "a VPC id"
);

/// An AWS account: twelve digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(ArrayString<12>);

impl AccountId {
    /// Returns the twelve digits.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for AccountId {
    type Err = IdRefusal;

    fn from_str(text: &str) -> Result<Self, IdRefusal> {
        match ArrayString::from(text) {
            Ok(digits) if digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(Self(digits))
            }
            _ => Err(IdRefusal::Account(quoted(text))),
        }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

written_as_text!(AccountId);

/// A region, such as `us-east-1`; partition and domain names follow from it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Box<str>);

impl Region {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the partition, as `services/partition` shows it.
    pub fn partition(&self) -> &'static str {
        match &*self.0 {
            name if name.starts_with("cn-") => "aws-cn",
            name if name.starts_with("us-gov-") => "aws-us-gov",
            name if name.starts_with("us-isob-") => "aws-iso-b",
            name if name.starts_with("us-iso-") => "aws-iso",
            _ => "aws",
        }
    }

    /// Returns the domain of AWS services, as `services/domain` shows it.
    pub fn service_domain(&self) -> &'static str {
        match self.partition() {
            "aws-cn" => "amazonaws.com.cn",
            "aws-iso" => "c2s.ic.gov",
            "aws-iso-b" => "sc2s.sgov.gov",
            _ => "amazonaws.com",
        }
    }
}

impl FromStr for Region {
    type Err = IdRefusal;

    fn from_str(text: &str) -> Result<Self, IdRefusal> {
        let shaped = (3..=32).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && text.contains('-');
        if shaped { Ok(Self(text.into())) } else { Err(IdRefusal::Region(quoted(text))) }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

written_as_text!(Region);

/// Counts the changes of the store; it only grows.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(transparent)]
pub struct Generation(u64);

impl Generation {
    /// Makes a generation from its number.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn as_number(self) -> u64 {
        self.0
    }

    /// Returns the generation after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_ids_are_prefix_and_8_or_17_hex_digits() {
        for good in ["i-1234567890abcdef0", "i-1234abcd"] {
            assert_eq!(good.parse::<InstanceId>().unwrap().as_str(), good);
        }
        for bad in
            ["", "i-", "i-1234567890abcdef", "i-1234567890ABCDEF0", "ami-1234abcd", "i-1234abcg"]
        {
            assert!(bad.parse::<InstanceId>().is_err(), "{bad:?}");
        }
        assert_eq!("subnet-0123456789abcdef0".parse::<SubnetId>().unwrap().as_str().len(), 24);
    }

    #[test]
    fn numbers_make_17_digits() {
        assert_eq!(InstanceId::from_number(0xabc).as_str(), "i-00000000000000abc");
        let most = SubnetId::from_number(u128::MAX);
        assert_eq!(most.as_str().parse::<SubnetId>(), Ok(most));
    }

    #[test]
    fn a_refusal_says_what_would_be_right() {
        let refusal = "i-xyz".parse::<InstanceId>().unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "`i-xyz` is not an instance id: use `i-` and 8 or 17 lower-case hexadecimal digits"
        );
    }

    #[test]
    fn partitions_follow_from_the_region() {
        for (region, partition, domain) in [
            ("us-east-1", "aws", "amazonaws.com"),
            ("cn-north-1", "aws-cn", "amazonaws.com.cn"),
            ("us-gov-west-1", "aws-us-gov", "amazonaws.com"),
            ("us-iso-east-1", "aws-iso", "c2s.ic.gov"),
            ("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov"),
        ] {
            let region: Region = region.parse().unwrap();
            assert_eq!((region.partition(), region.service_domain()), (partition, domain));
        }
    }
}
