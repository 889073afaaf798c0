//! The operators of conditions, and the types of the keys that have one.

use std::fmt;

/// What an operator compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// ARNs, part by part: `ArnEquals` and `ArnLike` are one.
    Arn,
    /// Bytes.
    Binary,
    /// Truth.
    Bool,
    /// Points in time.
    Date(Order),
    /// Addresses, with blocks of them.
    Ip,
    /// Whether there is a key at all.
    Null,
    /// Numbers.
    Numeric(Order),
    /// Texts.
    String,
    /// Texts, the case of letters aside.
    StringIgnoreCase,
    /// Texts, with `*` and `?`.
    StringLike,
}

/// How numbers and times compare: the request's to the policy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Equal.
    Equal,
    /// Greater, or later.
    Greater,
    /// Greater or equal.
    GreaterEqual,
    /// Less, or earlier.
    Less,
    /// Less or equal.
    LessEqual,
}

/// Whether an operator says yes to a match, or to its absence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// One of the values must match.
    Positive,
    /// None of the values may match. A missing key matches none.
    Negated,
}

/// How the values of a key are taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// `ForAllValues:`, and so for none.
    All,
    /// `ForAnyValue:`.
    Any,
    /// Neither: the key is meant to have one value. Of several, one must match, or none.
    Single,
}

/// What a missing key makes of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// What follows from its polarity and quantifier.
    Follows,
    /// True: `…IfExists`.
    IsTrue,
}

/// An operator with its prefix and suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// What it compares.
    pub comparison: Comparison,
    /// Whether it wants a match or none.
    pub polarity: Polarity,
    /// How it takes several values.
    pub quantifier: Quantifier,
    /// What it makes of a missing key.
    pub missing: Missing,
}

use Comparison::{
    Arn, Binary, Bool, Date, Ip, Null, Numeric, String, StringIgnoreCase, StringLike,
};
use Order::{Equal, Greater, GreaterEqual, Less, LessEqual};
use Polarity::{Negated, Positive};

/// Every operator by its bare name.
pub const OPERATORS: [(&str, Comparison, Polarity); 27] = [
    ("ArnEquals", Arn, Positive),
    ("ArnLike", Arn, Positive),
    ("ArnNotEquals", Arn, Negated),
    ("ArnNotLike", Arn, Negated),
    ("BinaryEquals", Binary, Positive),
    ("Bool", Bool, Positive),
    ("DateEquals", Date(Equal), Positive),
    ("DateGreaterThan", Date(Greater), Positive),
    ("DateGreaterThanEquals", Date(GreaterEqual), Positive),
    ("DateLessThan", Date(Less), Positive),
    ("DateLessThanEquals", Date(LessEqual), Positive),
    ("DateNotEquals", Date(Equal), Negated),
    ("IpAddress", Ip, Positive),
    ("NotIpAddress", Ip, Negated),
    ("Null", Null, Positive),
    ("NumericEquals", Numeric(Equal), Positive),
    ("NumericGreaterThan", Numeric(Greater), Positive),
    ("NumericGreaterThanEquals", Numeric(GreaterEqual), Positive),
    ("NumericLessThan", Numeric(Less), Positive),
    ("NumericLessThanEquals", Numeric(LessEqual), Positive),
    ("NumericNotEquals", Numeric(Equal), Negated),
    ("StringEquals", String, Positive),
    ("StringEqualsIgnoreCase", StringIgnoreCase, Positive),
    ("StringLike", StringLike, Positive),
    ("StringNotEquals", String, Negated),
    ("StringNotEqualsIgnoreCase", StringIgnoreCase, Negated),
    ("StringNotLike", StringLike, Negated),
];

impl Operator {
    /// Reads `ForAllValues:StringEqualsIfExists` and the like; `None` is no operator.
    pub fn parse(text: &str) -> Option<Self> {
        let (quantifier, name) = if let Some(name) = text.strip_prefix("ForAllValues:") {
            (Quantifier::All, name)
        } else if let Some(name) = text.strip_prefix("ForAnyValue:") {
            (Quantifier::Any, name)
        } else {
            (Quantifier::Single, text)
        };
        let (missing, name) = match name.strip_suffix("IfExists") {
            Some(name) => (Missing::IsTrue, name),
            None => (Missing::Follows, name),
        };
        let (_, comparison, polarity) = OPERATORS.iter().find(|(known, ..)| *known == name)?;
        let operator = Self { comparison: *comparison, polarity: *polarity, quantifier, missing };
        // Whether a key is there cannot be asked of its values, nor of a key that may be missing.
        let plain = quantifier == Quantifier::Single && missing == Missing::Follows;
        (plain || operator.comparison != Null).then_some(operator)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quantifier {
            Quantifier::All => f.write_str("ForAllValues:")?,
            Quantifier::Any => f.write_str("ForAnyValue:")?,
            Quantifier::Single => {}
        }
        let same = |known: &&(_, Comparison, Polarity)| {
            known.1 == self.comparison && known.2 == self.polarity
        };
        f.write_str(OPERATORS.iter().find(same).map_or("", |(name, ..)| *name))?;
        if self.missing == Missing::IsTrue { f.write_str("IfExists") } else { Ok(()) }
    }
}

/// The type of a key that is documented to have one other than text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyType {
    Arn,
    Bool,
    Date,
    Ip,
    Numeric,
    /// Only texts, which are never numbers, times or addresses.
    Word,
}

impl KeyType {
    /// The type of a key in lower case. Of tags and of keys unknown here, nothing is known.
    pub(crate) fn of(key: &str) -> Option<Self> {
        Some(match key {
            "aws:principalarn"
            | "aws:sourcearn"
            | "ec2:instanceprofile"
            | "ec2:launchtemplate"
            | "ec2:newinstanceprofile"
            | "ec2:sourceinstancearn"
            | "iam:associatedresourcearn" => Self::Arn,
            "aws:multifactorauthpresent"
            | "aws:securetransport"
            | "aws:viaawsservice"
            | "ec2:islaunchtemplateresource" => Self::Bool,
            "aws:currenttime" | "aws:epochtime" | "aws:tokenissuetime" => Self::Date,
            "aws:ec2instancesourceprivateipv4" | "aws:sourceip" | "aws:vpcsourceip" => Self::Ip,
            "aws:multifactorauthage"
            | "ec2:metadatahttpputresponsehoplimit"
            | "ec2:roledelivery" => Self::Numeric,
            "aws:ec2instancesourcevpc"
            | "aws:sourcevpc"
            | "aws:sourcevpce"
            | "ec2:attribute"
            | "ec2:attribute/httpendpoint"
            | "ec2:attribute/httptokens"
            | "ec2:instancemetadatatags"
            | "ec2:metadatahttpendpoint"
            | "ec2:metadatahttptokens"
            | "ec2:region" => Self::Word,
            _ => return None,
        })
    }

    /// Says what the key holds, and what compares it.
    pub(crate) const fn what(self) -> (&'static str, &'static str) {
        match self {
            Self::Arn => ("an ARN", "ArnLike"),
            Self::Bool => ("true or false", "Bool"),
            Self::Date => ("a point in time", "DateLessThan"),
            Self::Ip => ("an address", "IpAddress"),
            Self::Numeric => ("a number", "NumericEquals"),
            Self::Word => ("a text", "StringEquals"),
        }
    }

    /// Whether an operator can compare it. Texts and existence can be compared of every key.
    pub(crate) const fn fits(self, comparison: Comparison) -> bool {
        match comparison {
            Null | String | StringIgnoreCase | StringLike => true,
            Arn => matches!(self, Self::Arn),
            Binary => false,
            Bool => matches!(self, Self::Bool),
            Date(_) => matches!(self, Self::Date),
            Ip => matches!(self, Self::Ip),
            // `aws:EpochTime` is both.
            Numeric(_) => matches!(self, Self::Numeric | Self::Date),
        }
    }
}
