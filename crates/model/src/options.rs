//! The metadata options of an instance, with the names and values of the EC2 API.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::serial::spelled;

spelled! {
    /// Whether a request without a session token is served.
    HttpTokens, "a value of `HttpTokens`" {
        /// Both versions are served.
        Optional = "optional",
        /// Only `IMDSv2` is served; a request without a token is refused.
        Required = "required",
    }
}

spelled! {
    /// The two positions of an option that is either on or off.
    Switch, "a position of a switch" {
        /// Off.
        Disabled = "disabled",
        /// On.
        Enabled = "enabled",
    }
}

/// How many network hops the answer to a token request may take: its IP TTL or IPv6 hop limit.
///
/// INVARIANT: within 1 and 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HopLimit(u8);

impl HopLimit {
    /// The nearest: the answer goes no further than the instance.
    pub const MIN: Self = Self(1);

    /// The furthest that EC2 allows.
    pub const MAX: Self = Self(64);

    /// Returns the hop limit, or nothing for a number outside 1 to 64.
    pub const fn new(hops: u8) -> Option<Self> {
        if hops >= 1 && hops <= 64 { Some(Self(hops)) } else { None }
    }

    /// Returns the number of hops.
    pub const fn as_hops(self) -> u8 {
        self.0
    }
}

impl FromStr for HopLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().ok().and_then(Self::new).ok_or_else(|| {
            format!("`{}` is not a hop limit: use a number from 1 to 64", crate::id::quoted(text))
        })
    }
}

impl fmt::Display for HopLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for HopLimit {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de> Deserialize<'de> for HopLimit {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        number.to_string().parse().map_err(serde::de::Error::custom)
    }
}

/// The options in force for an instance.
///
/// EC2: the defaults are those of an image marked `imds-support=v2.0`, which every current image of
/// AWS is: tokens required, two hops (control plane, 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetadataOptions {
    /// Whether a session token is needed.
    pub http_tokens: HttpTokens,
    /// How far the answer to a token request may travel.
    pub http_put_response_hop_limit: HopLimit,
    /// Whether the service answers the instance at all.
    pub http_endpoint: Switch,
    /// Whether it answers over IPv6 too.
    pub http_protocol_ipv6: Switch,
    /// Whether the instance's tags are shown below `meta-data/tags/`.
    pub instance_metadata_tags: Switch,
}

impl Default for MetadataOptions {
    fn default() -> Self {
        Self {
            http_tokens: HttpTokens::Required,
            http_put_response_hop_limit: HopLimit(2),
            http_endpoint: Switch::Enabled,
            http_protocol_ipv6: Switch::Disabled,
            instance_metadata_tags: Switch::Disabled,
        }
    }
}

/// A partial change of the options: what it leaves out keeps its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptionsChange {
    /// New value of [`MetadataOptions::http_tokens`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_tokens: Option<HttpTokens>,
    /// New value of [`MetadataOptions::http_put_response_hop_limit`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_put_response_hop_limit: Option<HopLimit>,
    /// New value of [`MetadataOptions::http_endpoint`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_endpoint: Option<Switch>,
    /// New value of [`MetadataOptions::http_protocol_ipv6`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_protocol_ipv6: Option<Switch>,
    /// New value of [`MetadataOptions::instance_metadata_tags`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_metadata_tags: Option<Switch>,
}

impl OptionsChange {
    /// Returns `options` with this change made.
    #[must_use]
    pub fn apply(self, options: MetadataOptions) -> MetadataOptions {
        MetadataOptions {
            http_tokens: self.http_tokens.unwrap_or(options.http_tokens),
            http_put_response_hop_limit: self
                .http_put_response_hop_limit
                .unwrap_or(options.http_put_response_hop_limit),
            http_endpoint: self.http_endpoint.unwrap_or(options.http_endpoint),
            http_protocol_ipv6: self.http_protocol_ipv6.unwrap_or(options.http_protocol_ipv6),
            instance_metadata_tags: self
                .instance_metadata_tags
                .unwrap_or(options.instance_metadata_tags),
        }
    }

    /// Whether the change names no option.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hop_limits_are_1_to_64() {
        for (text, expected) in
            [("1", Some(1)), ("64", Some(64)), ("0", None), ("65", None), ("-1", None)]
        {
            assert_eq!(text.parse::<HopLimit>().ok().map(HopLimit::as_hops), expected, "{text}");
        }
    }

    #[test]
    fn a_change_keeps_what_it_leaves_out() {
        let change =
            OptionsChange { http_tokens: Some(HttpTokens::Optional), ..Default::default() };
        let options = change.apply(MetadataOptions::default());
        assert_eq!(options.http_tokens, HttpTokens::Optional);
        assert_eq!(options.http_put_response_hop_limit.as_hops(), 2);
        assert_eq!(OptionsChange::default().apply(options), options);
    }

    #[test]
    fn a_misspelt_value_is_refused_with_the_right_ones() {
        assert_eq!(
            "yes".parse::<HttpTokens>().unwrap_err(),
            "`yes` is not a value of `HttpTokens`: use `optional` or `required`"
        );
    }
}
