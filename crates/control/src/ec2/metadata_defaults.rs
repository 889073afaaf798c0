//! The defaults of an account for metadata options, one set for each region (control plane, 2.5).
//!
//! They matter at the next launch, and never to an instance that is there.

use std::str::FromStr;

use model::{HopLimit, HttpTokens, MetadataDefaults, OptionsChange, Resource, Switch};
use serde::{Deserialize, Serialize};

use store::Snapshot;

use super::asked::with_attributes;
use super::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;
use crate::declarative;

/// Changes some of the defaults; what the request leaves out keeps its value.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct ModifyInstanceMetadataDefaults {
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<String>,
    http_endpoint: Option<String>,
    instance_metadata_tags: Option<String>,
    http_tokens_enforced: Option<String>,
}

/// Shows the defaults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetInstanceMetadataDefaults {}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GetInstanceMetadataDefaultsAnswer {
    account_level: DefaultsElement,
}

/// An option without a default is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DefaultsElement {
    http_tokens: Option<HttpTokens>,
    http_put_response_hop_limit: Option<HopLimit>,
    http_endpoint: Option<Switch>,
    instance_metadata_tags: Option<Switch>,
    managed_by: &'static str,
    managed_exception_message: Option<String>,
    http_tokens_enforced: Option<Switch>,
}

impl Action for ModifyInstanceMetadataDefaults {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let given = [
            ("HttpTokens", &self.http_tokens),
            ("HttpPutResponseHopLimit", &self.http_put_response_hop_limit),
            ("HttpEndpoint", &self.http_endpoint),
            ("InstanceMetadataTags", &self.instance_metadata_tags),
            ("HttpTokensEnforced", &self.http_tokens_enforced),
        ];
        let given = given.iter().filter_map(|(name, value)| Some((*name, Some(value.as_deref()?))));
        Ok(vec![with_attributes(Ask::on("*".to_owned()), given)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let switches = &["enabled", "disabled"];
        let http_tokens = word(self.http_tokens.as_deref(), "HttpTokens", &["optional", "required"])?;
        let hop_limit = hop_limit(self.http_put_response_hop_limit.as_deref())?;
        let http_endpoint = word(self.http_endpoint.as_deref(), "HttpEndpoint", switches)?;
        let tags = word(self.instance_metadata_tags.as_deref(), "InstanceMetadataTags", switches)?;
        let enforced = word(self.http_tokens_enforced.as_deref(), "HttpTokensEnforced", switches)?;
        desk.transact(|snapshot| {
            if let Some(text) = declarative::in_force(snapshot, &desk.scope).exception_message {
                return Err(ApiFault::operation_not_permitted(text));
            }
            let MetadataDefaults { options, http_tokens_enforced } =
                snapshot.metadata_defaults(&desk.scope);
            let defaults = MetadataDefaults {
                options: OptionsChange {
                    http_tokens: http_tokens.over(options.http_tokens),
                    http_put_response_hop_limit: hop_limit
                        .over(options.http_put_response_hop_limit),
                    http_endpoint: http_endpoint.over(options.http_endpoint),
                    instance_metadata_tags: tags.over(options.instance_metadata_tags),
                    ..options
                },
                http_tokens_enforced: enforced.over(http_tokens_enforced),
            };
            Ok((vec![desk.put(Resource::MetadataDefaults(defaults))], ()))
        })?;
        Ok(Answer::done())
    }
}

impl Action for GetInstanceMetadataDefaults {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let in_force = declarative::in_force(&desk.store.snapshot(), &desk.scope);
        let managed_by = in_force.managed_by();
        let MetadataDefaults { options, http_tokens_enforced } = in_force.defaults;
        Ok(Answer::of(GetInstanceMetadataDefaultsAnswer {
            account_level: DefaultsElement {
                http_tokens: options.http_tokens,
                http_put_response_hop_limit: options.http_put_response_hop_limit,
                http_endpoint: options.http_endpoint,
                instance_metadata_tags: options.instance_metadata_tags,
                managed_by,
                managed_exception_message: in_force.exception_message,
                http_tokens_enforced,
            },
        }))
    }
}

/// What a request says of a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said<T> {
    /// There is to be none.
    Forget,
    /// Nothing.
    Nothing,
    /// There is to be this one.
    Set(T),
}

impl<T> Said<T> {
    fn over(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Forget => None,
            Self::Nothing => before,
            Self::Set(value) => Some(value),
        }
    }
}

/// What stands for no default among words. EC2: instances never show it.
const NO_PREFERENCE: &str = "no-preference";

fn word<T: FromStr>(
    text: Option<&str>,
    name: &str,
    words: &[&'static str; 2],
) -> Result<Said<T>, ApiFault> {
    let Some(text) = text else {
        return Ok(Said::Nothing);
    };
    if text == NO_PREFERENCE {
        return Ok(Said::Forget);
    }
    let [one, other] = *words;
    let refused = |_| ApiFault::not_one_of(text, name, &[one, other, NO_PREFERENCE]);
    text.parse().map(Said::Set).map_err(refused)
}

/// EC2: the number -1 stands for no default.
fn hop_limit(text: Option<&str>) -> Result<Said<HopLimit>, ApiFault> {
    match text {
        None => Ok(Said::Nothing),
        Some("-1") => Ok(Said::Forget),
        Some(text) => {
            let refused = |_| ApiFault::not_between(text, "HttpPutResponseHopLimit", 1, 64);
            text.parse().map(Said::Set).map_err(refused)
        }
    }
}

#[cfg(test)]
mod tests;
