//! What comes of all policies on the way to an account.

use std::collections::{BTreeMap, BTreeSet};

use model::MetadataDefaults;
use serde_json::Value;

use super::content::{ATTRIBUTES, Allowed, Content, DEFAULTS, MESSAGE, Node, Said, Setting};

/// What is told where no policy says it (control plane, 5.8).
const DEFAULT_MESSAGE: &str = "This action is denied due to an organizational policy in effect";

/// The effective policy of an account: settings with their values, without operators.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Effective(Inherited);

/// A part of it, with what policies further below may do there.
#[derive(Clone, Debug, PartialEq)]
struct Inherited {
    value: Option<Value>,
    allowed: Allowed,
    children: BTreeMap<String, Inherited>,
}

impl Default for Inherited {
    fn default() -> Self {
        Self { value: None, allowed: Allowed::ALL, children: BTreeMap::new() }
    }
}

impl Effective {
    /// Merges policies: those of the root, then of each unit, then of the account. Each level has its
    /// policies in an order; of two that assign one setting, the first counts.
    pub(crate) fn of(levels: &[Vec<Content>]) -> Self {
        let mut root = Inherited::default();
        for level in levels {
            let nodes: Vec<_> = level.iter().map(|Content(node)| node).collect();
            root.inherit(&nodes);
        }
        Self(root)
    }

    /// Returns whether nothing is set.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.shown().is_none()
    }

    /// Writes it as JSON.
    pub(crate) fn to_json(&self) -> String {
        self.0.shown().unwrap_or_else(|| Value::Object(serde_json::Map::new())).to_string()
    }

    /// Returns the defaults that it sets, if it sets any.
    pub(crate) fn metadata_defaults(&self) -> Option<MetadataDefaults> {
        let node = self.0.children.get(ATTRIBUTES)?.children.get(DEFAULTS)?;
        node.shown()?;
        let mut defaults = MetadataDefaults::default();
        let MetadataDefaults { options, http_tokens_enforced } = &mut defaults;
        for option in Setting::ALL {
            let value = node.children.get(option.name()).and_then(|node| node.value.as_ref());
            // Values were checked when they were written.
            let Some(Ok(said)) = value.map(|value| option.read(value)) else { continue };
            match (option, said) {
                (Setting::HttpTokens, Said::Tokens(tokens)) => options.http_tokens = tokens,
                (Setting::HopLimit, Said::HopLimit(hops)) => {
                    options.http_put_response_hop_limit = hops;
                }
                (Setting::HttpEndpoint, Said::Switch(switch)) => options.http_endpoint = switch,
                (Setting::MetadataTags, Said::Switch(switch)) => {
                    options.instance_metadata_tags = switch;
                }
                (Setting::TokensEnforced, Said::Switch(switch)) => *http_tokens_enforced = switch,
                _ => {}
            }
        }
        Some(defaults)
    }

    /// Returns what is told to whoever tries to change what it sets.
    pub(crate) fn exception_message(&self) -> &str {
        let attributes = self.0.children.get(ATTRIBUTES);
        let node = attributes.and_then(|attributes| attributes.children.get(MESSAGE));
        let text = node.and_then(|node| node.value.as_ref()).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).unwrap_or(DEFAULT_MESSAGE)
    }
}

impl Inherited {
    /// Lays the policies of one level over what is inherited. What a policy above forbids is passed
    /// over, and no policy gets it back.
    fn inherit(&mut self, level: &[&Node]) {
        if self.allowed.assign
            && let Some(value) = level.iter().find_map(|node| node.assign.as_ref())
        {
            self.value = Some(value.clone());
        }
        if self.allowed.append {
            level.iter().flat_map(|node| &node.append).for_each(|value| self.append(value));
        }
        if self.allowed.remove {
            level.iter().flat_map(|node| &node.remove).for_each(|value| self.remove(value));
        }
        let names: BTreeSet<_> = level.iter().flat_map(|node| node.children.keys()).collect();
        for name in names {
            if !self.allowed.admits() && !self.children.contains_key(name) {
                continue;
            }
            let nodes: Vec<_> = level.iter().filter_map(|node| node.children.get(name)).collect();
            self.children.entry(name.clone()).or_default().inherit(&nodes);
        }
        // It binds the levels below, not the policies beside it.
        let said = level.iter().filter_map(|node| node.allowed);
        self.allowed = said.fold(self.allowed, Allowed::and);
    }

    fn append(&mut self, value: &Value) {
        let list = match self.value.take() {
            Some(Value::Array(list)) => list,
            one => one.into_iter().collect(),
        };
        let is_there = list.contains(value);
        let new = (!is_there).then(|| value.clone());
        self.value = Some(Value::Array(list.into_iter().chain(new).collect()));
    }

    fn remove(&mut self, value: &Value) {
        if let Some(Value::Array(list)) = &mut self.value {
            list.retain(|one| one != value);
        }
    }

    /// What is set; none if nothing is.
    fn shown(&self) -> Option<Value> {
        if self.value.is_some() {
            return self.value.clone();
        }
        let children = self.children.iter();
        let children = children.filter_map(|(name, node)| Some((name.clone(), node.shown()?)));
        let members: serde_json::Map<_, _> = children.collect();
        (!members.is_empty()).then_some(Value::Object(members))
    }
}
