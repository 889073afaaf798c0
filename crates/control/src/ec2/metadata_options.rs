//! `ModifyInstanceMetadataOptions`, and how metadata options stand in requests and answers.

use model::{
    HopLimit, HttpTokens, Instance, InstanceState, MetadataOptions, OptionLayer, OptionsChange,
    Switch, Timestamp,
};
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::asked::with_attributes;
use super::instances::{find_instance, parse_instance_id};
use super::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;
use crate::declarative;

/// Metadata options as a request holds them, word for word.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct OptionsParameter {
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<String>,
    http_endpoint: Option<String>,
    http_protocol_ipv6: Option<String>,
    instance_metadata_tags: Option<String>,
}

impl OptionsParameter {
    /// Reads the words (control plane, 2.4).
    ///
    /// # Errors
    ///
    /// `InvalidParameterValue` for the first that is none.
    pub(crate) fn parse(&self) -> Result<OptionsChange, ApiFault> {
        let switch = |text: &Option<String>, name| switch(text.as_deref(), name);
        let hop_limit = self.http_put_response_hop_limit.as_deref();
        Ok(OptionsChange {
            http_tokens: http_tokens(self.http_tokens.as_deref())?,
            http_put_response_hop_limit: hop_limit.map(parse_hop_limit).transpose()?,
            http_endpoint: switch(&self.http_endpoint, "HttpEndpoint")?,
            http_protocol_ipv6: switch(&self.http_protocol_ipv6, "HttpProtocolIpv6")?,
            instance_metadata_tags: switch(&self.instance_metadata_tags, "InstanceMetadataTags")?,
        })
    }
}

fn http_tokens(text: Option<&str>) -> Result<Option<HttpTokens>, ApiFault> {
    let refused = |text| ApiFault::not_one_of(text, "HttpTokens", &["optional", "required"]);
    text.map(|text| text.parse().map_err(|_| refused(text))).transpose()
}

fn switch(text: Option<&str>, name: &str) -> Result<Option<Switch>, ApiFault> {
    let refused = |text| ApiFault::not_one_of(text, name, &["enabled", "disabled"]);
    text.map(|text| text.parse().map_err(|_| refused(text))).transpose()
}

fn parse_hop_limit(text: &str) -> Result<HopLimit, ApiFault> {
    let refused = || ApiFault::not_between(text, "HttpPutResponseHopLimit", 1, 64);
    text.parse().map_err(|_| refused())
}

/// Whether options are in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OptionsState {
    /// They are.
    Applied,
    /// They are not yet, or will be at the next start.
    Pending,
}

impl OptionsState {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Pending => "pending",
        }
    }
}

impl OptionsState {
    /// Whether an instance's options are in force (control plane, 2.3; design: a stopped instance
    /// has nothing in force that was changed since).
    pub(crate) fn of(instance: &Instance, desk: &Desk<'_>) -> Self {
        let is_known = instance.options_since <= desk.in_force();
        let has_run = match instance.state {
            InstanceState::Pending => false,
            InstanceState::Stopped => {
                let stopped = instance.attributes.stopped_in;
                stopped.is_none_or(|stopped| instance.options_since <= stopped)
            }
            InstanceState::Running
            | InstanceState::ShuttingDown
            | InstanceState::Stopping
            | InstanceState::Terminated => true,
        };
        if is_known && has_run { Self::Applied } else { Self::Pending }
    }
}

/// `instanceMetadataOptions`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OptionsElement {
    state: OptionsState,
    http_tokens: HttpTokens,
    http_put_response_hop_limit: HopLimit,
    http_endpoint: Switch,
    http_protocol_ipv6: Switch,
    instance_metadata_tags: Switch,
}

impl OptionsElement {
    pub(crate) fn new(options: MetadataOptions, state: OptionsState) -> Self {
        let MetadataOptions {
            http_tokens,
            http_put_response_hop_limit,
            http_endpoint,
            http_protocol_ipv6,
            instance_metadata_tags,
        } = options;
        Self {
            state,
            http_tokens,
            http_put_response_hop_limit,
            http_endpoint,
            http_protocol_ipv6,
            instance_metadata_tags,
        }
    }
}

/// Changes some of an instance's options; what the request leaves out keeps its value.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ModifyInstanceMetadataOptions {
    instance_id: String,
    http_tokens: Option<String>,
    http_put_response_hop_limit: Option<String>,
    http_endpoint: Option<String>,
    http_protocol_ipv6: Option<String>,
    instance_metadata_tags: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModifyInstanceMetadataOptionsAnswer {
    instance_id: String,
    instance_metadata_options: OptionsElement,
}

impl Action for ModifyInstanceMetadataOptions {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let given = [
            ("HttpTokens", &self.http_tokens),
            ("HttpPutResponseHopLimit", &self.http_put_response_hop_limit),
            ("HttpEndpoint", &self.http_endpoint),
            ("HttpProtocolIpv6", &self.http_protocol_ipv6),
            ("InstanceMetadataTags", &self.instance_metadata_tags),
        ];
        let given = given.iter().filter_map(|(name, value)| Some((*name, Some(value.as_deref()?))));
        let ask = desk.ask_on_instance(snapshot, &self.instance_id);
        Ok(vec![with_attributes(ask, given)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let Self {
            instance_id,
            http_tokens,
            http_put_response_hop_limit,
            http_endpoint,
            http_protocol_ipv6,
            instance_metadata_tags,
        } = self;
        let id = parse_instance_id(&instance_id)?;
        let change = OptionsParameter {
            http_tokens,
            http_put_response_hop_limit,
            http_endpoint,
            http_protocol_ipv6,
            instance_metadata_tags,
        };
        let change = change.parse()?;
        let options = desk.transact(|snapshot| {
            let instance = find_instance(snapshot, &desk.scope, id)?;
            modify(snapshot, instance, change, desk.now)
        })?;
        Ok(Answer::of(ModifyInstanceMetadataOptionsAnswer {
            instance_id,
            // EC2: the answer has the new values, and always says that they are pending.
            instance_metadata_options: OptionsElement::new(options, OptionsState::Pending),
        }))
    }
}

/// Plans other options for an instance, which it may have already.
///
/// # Errors
///
/// As [`refuse_if_enforced`].
pub(crate) fn modify(
    snapshot: &Snapshot,
    instance: &Instance,
    change: OptionsChange,
    now: Timestamp,
) -> Result<(Vec<Change>, MetadataOptions), ApiFault> {
    if change.http_tokens == Some(HttpTokens::Optional) {
        refuse_if_enforced(snapshot, &instance.scope())?;
    }
    let mut modified = instance.clone();
    modified.set_options(change, OptionLayer::Modify, snapshot.generation().next());
    let options = modified.options;
    if modified == *instance {
        return Ok((Vec::new(), options));
    }
    modified.last_modified = now;
    Ok((vec![super::put(snapshot, modified)], options))
}

/// Refuses `HttpTokens=optional` where the account, or its organization, enforces tokens (control
/// plane, 2.6).
///
/// # Errors
///
/// `UnsupportedOperation`.
pub(crate) fn refuse_if_enforced(
    snapshot: &Snapshot,
    scope: &model::Scope,
) -> Result<(), ApiFault> {
    let in_force = declarative::in_force(snapshot, scope);
    match in_force.defaults.http_tokens_enforced {
        Some(Switch::Enabled) => {
            let by_organization = in_force.exception_message.map(|text| format!(" {text}"));
            Err(ApiFault::unsupported(format!(
                "You can't launch instances with IMDSv1 because httpTokensEnforced is enabled for \
                 this account. Either launch the instance with httpTokens=required or contact your \
                 account owner to disable httpTokensEnforced using the \
                 ModifyInstanceMetadataDefaults API or the account settings in the EC2 console.{}",
                by_organization.unwrap_or_default()
            )))
        }
        Some(Switch::Disabled) | None => Ok(()),
    }
}
