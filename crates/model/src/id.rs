//! Names that EC2 gives to things.
//!
//! INVARIANT: a resource id is its prefix and 8 or 17 lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use arrayvec::ArrayString;

use crate::Shared;
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

/// Spreads names over numbers, always in the same way (64-bit Fowler–Noll–Vo), so that ids and
/// addresses can be drawn from names. It keeps no secret.
pub fn spread(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Draws the unique id of an IAM entity from its name: the prefix of its kind, such as `AIDA`, and 17
/// letters and digits. The same name always has the same one.
pub fn unique_id(prefix: &str, name: &str) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let number = u128::from(spread(name)) << 64 | u128::from(spread(&format!("{name}/id")));
    let digit = |place: u32| {
        let index = usize::try_from(number >> (5 * place) & 31).unwrap_or(0);
        char::from(DIGITS.get(index).copied().unwrap_or(b'A'))
    };
    prefix.chars().chain((0..17).map(digit)).collect()
}

/// The text of a resource id; the longest is that of an association.
pub type IdText = ArrayString<27>;

/// The digits of a resource id, four bits each, the first one first. The last four bits are 1 if
/// there are 17 digits, and 0 if there are 8, with zeros behind them.
///
/// A million instances hold several million ids. The order is that of the texts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Digits([u8; 9]);

impl Digits {
    const fn long(number: u128) -> Self {
        Self::of(number << 4 | 1)
    }

    const fn of(bits: u128) -> Self {
        match bits.to_be_bytes().last_chunk() {
            Some(digits) => Self(*digits),
            None => Self([0; 9]), // sixteen bytes have a last nine
        }
    }

    fn parse(digits: &str) -> Option<Self> {
        let mut number = 0;
        for digit in digits.bytes() {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            number = number << 4 | u128::from(value);
        }
        match digits.len() {
            8 => Some(Self::of(number << (4 * (17 - 8 + 1)))),
            17 => Some(Self::long(number)),
            _ => None,
        }
    }

    fn text(self, prefix: &str) -> IdText {
        let [.., last] = self.0;
        let length = if last & 1 == 1 { 17 } else { 8 };
        let digits = self.0.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).take(length);
        let mut text = IdText::new();
        // It fits: the longest prefix and 17 digits are 27 bytes.
        let _ = text.try_push_str(prefix);
        for digit in digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)) {
            let _ = text.try_push(digit);
        }
        text
    }
}

macro_rules! resource_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Digits);

        impl $name {
            /// What every id of this kind starts with.
            pub const PREFIX: &'static str = $prefix;

            /// Returns the id as text, prefix included.
            pub fn text(self) -> IdText {
                self.0.text($prefix)
            }

            /// Makes the 17-digit id whose digits are those of `number`, from the lowest.
            pub const fn from_number(number: u128) -> Self {
                Self(Digits::long(number))
            }
        }

        impl FromStr for $name {
            type Err = IdRefusal;

            fn from_str(text: &str) -> Result<Self, IdRefusal> {
                text.strip_prefix($prefix).and_then(Digits::parse).map(Self).ok_or_else(|| {
                    IdRefusal::Resource { what: $what, prefix: $prefix, text: quoted(text) }
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.text())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.text())
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
    /// The association of an instance profile, such as `iip-assoc-0123456789abcdef0`.
    AssociationId, "iip-assoc-", "an association id"
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
    /// A launch template, such as `lt-0123456789abcdef0`.
    LaunchTemplateId, "lt-", "a launch template id"
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
pub struct Region(Shared<Box<str>>);

impl Region {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn shared_text(&mut self) -> &mut Shared<Box<str>> {
        &mut self.0
    }

    /// Returns the partition, as `services/partition` shows it.
    pub fn partition(&self) -> &'static str {
        match self.as_str() {
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
        if shaped {
            Ok(Self(Shared::from(Box::from(text))))
        } else {
            Err(IdRefusal::Region(quoted(text)))
        }
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
            assert_eq!(&*good.parse::<InstanceId>().unwrap().text(), good);
        }
        for bad in
            ["", "i-", "i-1234567890abcdef", "i-1234567890ABCDEF0", "ami-1234abcd", "i-1234abcg"]
        {
            assert!(bad.parse::<InstanceId>().is_err(), "{bad:?}");
        }
        let longest: AssociationId = "iip-assoc-0123456789abcdef0".parse().unwrap();
        assert_eq!(longest.text().len(), 27);
    }

    #[test]
    fn numbers_make_17_digits() {
        assert_eq!(&*InstanceId::from_number(0xabc).text(), "i-00000000000000abc");
        let most = SubnetId::from_number(u128::MAX);
        assert_eq!(most.text().parse::<SubnetId>(), Ok(most));
        assert_eq!(&*most.text(), "subnet-fffffffffffffffff");
    }

    #[test]
    fn ids_are_small_and_in_the_order_of_their_texts() {
        assert_eq!(size_of::<InstanceId>(), 9);
        let texts = [
            "i-00000000",
            "i-00000000000000000",
            "i-00000000000000001",
            "i-00000001",
            "i-1234abcd",
        ];
        let ids: Vec<InstanceId> = texts.iter().map(|text| text.parse().unwrap()).collect();
        assert!(ids.is_sorted());
        assert!(ids.iter().zip(texts).all(|(id, text)| id.to_string() == text));
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
