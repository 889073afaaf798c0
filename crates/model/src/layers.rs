//! Which layer sets each metadata option (control plane, 3).
//!
//! Every option is resolved on its own: the first layer that has a value wins.
//!
//! ```text
//! launch ▶ launch template ▶ account (or declarative policy) ▶ image ▶ instance type ▶ platform
//! ```

use serde::{Deserialize, Serialize};

use crate::serial::spelled;
use crate::{HopLimit, HttpTokens, MetadataOptions, OptionsChange, Switch};

spelled! {
    /// What set an option.
    OptionLayer, "a layer of options" {
        /// The account's default for the region.
        Account = "account",
        /// The config file.
        ConfigFile = "config-file",
        /// The image.
        Image = "image",
        /// The instance type.
        InstanceType = "instance-type",
        /// The launch request.
        Launch = "launch",
        /// The version of the launch template.
        LaunchTemplate = "launch-template",
        /// A change after the launch.
        Modify = "modify",
        /// A declarative policy of the organization, in the place of the account's default.
        Organization = "organization",
        /// Nothing: it is as EC2 has it where nobody says otherwise.
        Platform = "platform",
    }
}

/// What set each option of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptionLayers {
    /// What set [`MetadataOptions::http_tokens`].
    pub http_tokens: OptionLayer,
    /// What set [`MetadataOptions::http_put_response_hop_limit`].
    pub http_put_response_hop_limit: OptionLayer,
    /// What set [`MetadataOptions::http_endpoint`].
    pub http_endpoint: OptionLayer,
    /// What set [`MetadataOptions::http_protocol_ipv6`].
    pub http_protocol_ipv6: OptionLayer,
    /// What set [`MetadataOptions::instance_metadata_tags`].
    pub instance_metadata_tags: OptionLayer,
}

impl Default for OptionLayers {
    /// Those of [`MetadataOptions::default`]: an image marked `imds-support=v2.0` and nothing else.
    fn default() -> Self {
        MetadataOptions::resolve(&[(OptionLayer::Image, OptionsChange::IMDS_SUPPORT_V2)]).1
    }
}

impl OptionLayers {
    /// Returns these layers after a change by `layer`.
    #[must_use]
    pub fn after(self, change: OptionsChange, layer: OptionLayer) -> Self {
        let or = |is_set: bool, before| if is_set { layer } else { before };
        Self {
            http_tokens: or(change.http_tokens.is_some(), self.http_tokens),
            http_put_response_hop_limit: or(
                change.http_put_response_hop_limit.is_some(),
                self.http_put_response_hop_limit,
            ),
            http_endpoint: or(change.http_endpoint.is_some(), self.http_endpoint),
            http_protocol_ipv6: or(change.http_protocol_ipv6.is_some(), self.http_protocol_ipv6),
            instance_metadata_tags: or(
                change.instance_metadata_tags.is_some(),
                self.instance_metadata_tags,
            ),
        }
    }
}

impl OptionsChange {
    /// What an image marked `imds-support=v2.0` sets.
    pub const IMDS_SUPPORT_V2: Self = Self {
        http_tokens: Some(HttpTokens::Required),
        http_put_response_hop_limit: HopLimit::new(2),
        http_endpoint: None,
        http_protocol_ipv6: None,
        instance_metadata_tags: None,
    };
}

impl MetadataOptions {
    /// What EC2 has where nothing sets an option.
    pub const PLATFORM: Self = Self {
        http_tokens: HttpTokens::Optional,
        http_put_response_hop_limit: HopLimit::MIN,
        http_endpoint: Switch::Enabled,
        http_protocol_ipv6: Switch::Disabled,
        instance_metadata_tags: Switch::Disabled,
    };

    /// Resolves each option: the first of the layers that has a value wins, and the platform has
    /// one for all.
    pub fn resolve(layers: &[(OptionLayer, OptionsChange)]) -> (Self, OptionLayers) {
        let platform = OptionLayers {
            http_tokens: OptionLayer::Platform,
            http_put_response_hop_limit: OptionLayer::Platform,
            http_endpoint: OptionLayer::Platform,
            http_protocol_ipv6: OptionLayer::Platform,
            instance_metadata_tags: OptionLayer::Platform,
        };
        // From the weakest: what comes later takes the place of what came before.
        layers.iter().rev().fold((Self::PLATFORM, platform), |(options, by), (layer, change)| {
            (change.apply(options), by.after(*change, *layer))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens(value: Option<HttpTokens>) -> OptionsChange {
        OptionsChange { http_tokens: value, ..Default::default() }
    }

    #[test]
    fn the_truth_table_of_http_tokens() {
        use HttpTokens::{Optional, Required};
        let v2 = OptionsChange::IMDS_SUPPORT_V2;
        let unmarked = OptionsChange::default();
        for (launch, account, image, expected) in [
            (Some(Required), Some(Optional), unmarked, Required),
            (Some(Optional), Some(Required), v2, Optional),
            (None, Some(Required), unmarked, Required),
            (None, Some(Optional), v2, Optional),
            (None, None, v2, Required),
            (None, None, unmarked, Optional),
        ] {
            let layers = [
                (OptionLayer::Launch, tokens(launch)),
                (OptionLayer::Account, tokens(account)),
                (OptionLayer::Image, image),
            ];
            assert_eq!(MetadataOptions::resolve(&layers).0.http_tokens, expected, "{layers:?}");
        }
    }

    #[test]
    fn options_are_resolved_one_by_one() {
        let hop = OptionsChange { http_put_response_hop_limit: HopLimit::new(1), ..tokens(None) };
        let layers =
            [(OptionLayer::Account, hop), (OptionLayer::Image, OptionsChange::IMDS_SUPPORT_V2)];
        let (options, by) = MetadataOptions::resolve(&layers);
        assert_eq!(
            (options.http_tokens, by.http_tokens),
            (HttpTokens::Required, OptionLayer::Image)
        );
        assert_eq!(options.http_put_response_hop_limit.as_hops(), 1);
        assert_eq!(by.http_put_response_hop_limit, OptionLayer::Account);
        assert_eq!(by.http_endpoint, OptionLayer::Platform);
    }

    fn any_change() -> impl Strategy<Value = OptionsChange> {
        use prop::option::of;
        use prop::sample::select;
        (
            of(select(HttpTokens::ALL)),
            of(1_u8..=64),
            of(select(Switch::ALL)),
            of(select(Switch::ALL)),
            of(select(Switch::ALL)),
        )
            .prop_map(|(http_tokens, hops, http_endpoint, ipv6, tags)| OptionsChange {
                http_tokens,
                http_put_response_hop_limit: hops.and_then(HopLimit::new),
                http_endpoint,
                http_protocol_ipv6: ipv6,
                instance_metadata_tags: tags,
            })
    }

    proptest! {
        #[test]
        fn a_layer_below_the_winning_one_never_matters(
            layers in prop::collection::vec(any_change(), 4),
            other in any_change(),
            place in 0_usize..4,
        ) {
            const NAMES: [OptionLayer; 4] = [
                OptionLayer::Launch,
                OptionLayer::LaunchTemplate,
                OptionLayer::Account,
                OptionLayer::Image,
            ];
            let named = |layers: &[OptionsChange]| {
                let layers: Vec<_> = NAMES.into_iter().zip(layers.iter().copied()).collect();
                MetadataOptions::resolve(&layers)
            };
            let (before, by) = named(&layers);
            let mut changed = layers;
            changed[place] = other;
            let (after, _) = named(&changed);
            let won_above = |layer| NAMES.iter().take(place).any(|name| *name == layer);
            if won_above(by.http_tokens) {
                prop_assert_eq!(before.http_tokens, after.http_tokens);
            }
            if won_above(by.http_put_response_hop_limit) {
                prop_assert_eq!(
                    before.http_put_response_hop_limit,
                    after.http_put_response_hop_limit
                );
            }
            if won_above(by.instance_metadata_tags) {
                prop_assert_eq!(before.instance_metadata_tags, after.instance_metadata_tags);
            }
        }
    }
}
