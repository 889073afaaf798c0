//! The defaults for metadata options that are in force for an account.

use model::{AccountId, MetadataDefaults, OptionLayer, PolicyType, Scope};
use store::Snapshot;

use super::{Content, Effective};

/// The defaults of an account in a region, and who sets them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DefaultsInForce {
    /// They.
    pub(crate) defaults: MetadataDefaults,
    /// What is told to whoever tries to change them, if the organization sets them.
    pub(crate) exception_message: Option<String>,
}

impl DefaultsInForce {
    /// Returns the layer that they are.
    pub(crate) const fn layer(&self) -> OptionLayer {
        match self.exception_message {
            None => OptionLayer::Account,
            Some(_) => OptionLayer::Organization,
        }
    }

    /// Returns the word of EC2 for who sets them.
    pub(crate) const fn managed_by(&self) -> &'static str {
        match self.exception_message {
            None => "account",
            Some(_) => "declarative-policy",
        }
    }
}

/// Finds out which defaults are in force: those of the organization, or else the account's own.
pub(crate) fn in_force(snapshot: &Snapshot, scope: &Scope) -> DefaultsInForce {
    let effective = effective_for(snapshot, scope.account_id);
    let set = effective.and_then(|effective| {
        let defaults = effective.metadata_defaults()?;
        let exception_message = Some(effective.exception_message().to_owned());
        Some(DefaultsInForce { defaults, exception_message })
    });
    set.unwrap_or_else(|| DefaultsInForce {
        defaults: snapshot.metadata_defaults(scope),
        exception_message: None,
    })
}

/// Merges the policies on the way to an account, the management account among them; none if there is
/// nothing to merge.
pub(crate) fn effective_for(snapshot: &Snapshot, account_id: AccountId) -> Option<Effective> {
    let organization = snapshot.organization()?;
    let type_ = PolicyType::DeclarativePolicyEc2;
    if !organization.policy_types.contains(&type_) {
        return None;
    }
    let level = |target: &model::Target| -> Vec<Content> {
        let policies = snapshot.control_policies().map(|(policy, _)| policy);
        policies
            .filter(|policy| policy.type_ == type_ && policy.targets.contains(target))
            // They were read when they were written.
            .filter_map(|policy| Content::parse(policy.content.as_str()).ok())
            .collect()
    };
    let levels: Vec<_> = organization.way_to(account_id).iter().map(level).collect();
    let effective = Effective::of(&levels);
    (!effective.is_empty()).then_some(effective)
}
