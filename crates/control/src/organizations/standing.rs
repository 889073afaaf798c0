//! Where the caller stands in the organization, and what every action asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{
    ControlPolicy, Member, Organization, OrganizationalUnit, OrganizationalUnitId, PolicyId,
    PolicyType, TagKey, Target,
};
use policy::Value;
use serde::Deserialize;
use store::{Change, Origin, Snapshot};

use super::arns::Arns;
use crate::action::Desk;
use crate::api::ApiFault;
use crate::authorize::Ask;

/// The organization that the caller's account is in.
///
/// # Errors
///
/// `AWSOrganizationsNotInUseException`.
pub(super) fn joined<'s>(
    desk: &Desk<'_>,
    snapshot: &'s Snapshot,
) -> Result<&'s Arc<Organization>, ApiFault> {
    let organization = snapshot.organization();
    organization
        .filter(|organization| organization.accounts.contains_key(&desk.caller.account_id))
        .ok_or_else(ApiFault::organization_not_in_use)
}

/// The organization, which the caller's account manages.
///
/// # Errors
///
/// As [`joined`], and `AccessDeniedException` for all other members.
pub(super) fn managed<'s>(
    desk: &Desk<'_>,
    snapshot: &'s Snapshot,
) -> Result<&'s Arc<Organization>, ApiFault> {
    let organization = joined(desk, snapshot)?;
    if organization.management_account_id == desk.caller.account_id {
        Ok(organization)
    } else {
        Err(ApiFault::no_management_account())
    }
}

/// Keeps the organization, wherever it was described.
pub(super) fn put(snapshot: &Snapshot, organization: Organization) -> Change {
    let origin = snapshot.organization_origin().unwrap_or(Origin::Api);
    Change::PutOrganization(Arc::new(organization), origin)
}

/// Keeps a policy, wherever it was described.
pub(super) fn put_policy(snapshot: &Snapshot, policy: ControlPolicy) -> Change {
    let described = snapshot.control_policies().find(|(old, _)| old.id == policy.id);
    let origin = described.map_or(Origin::Api, |(_, origin)| origin);
    Change::PutControlPolicy(Arc::new(policy), origin)
}

/// What is in the root or in a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parent(pub(super) Option<OrganizationalUnitId>);

impl Parent {
    /// The root or the unit that a target is; none if it is neither, or is not there.
    pub(super) fn of_target(organization: &Organization, target: &Target) -> Option<Self> {
        match target {
            Target::Account(_) => None,
            Target::Root(_) => organization.has(target).then_some(Self(None)),
            Target::Unit(id) => organization.has(target).then(|| Self(Some(id.clone()))),
        }
    }

    pub(super) fn target(&self, organization: &Organization) -> Target {
        match &self.0 {
            None => Target::Root(organization.root_id.clone()),
            Some(id) => Target::Unit(id.clone()),
        }
    }

    pub(super) fn units<'o>(
        &'o self,
        organization: &'o Organization,
    ) -> impl Iterator<Item = (&'o OrganizationalUnitId, &'o OrganizationalUnit)> {
        organization.units.iter().filter(|(_, unit)| unit.parent == self.0)
    }

    pub(super) fn accounts<'o>(
        &'o self,
        organization: &'o Organization,
    ) -> impl Iterator<Item = (&'o model::AccountId, &'o Member)> {
        organization.accounts.iter().filter(|(_, member)| member.parent == self.0)
    }

    /// How many units are above what is in it: 0 for the root.
    pub(super) fn depth(&self, organization: &Organization) -> usize {
        let mut depth = 0;
        let mut parent = self.0.as_ref();
        // Bounded, also if what was stored is damaged.
        while let Some(id) = parent.filter(|_| depth <= organization.units.len()) {
            depth += 1;
            parent = organization.units.get(id).and_then(|unit| unit.parent.as_ref());
        }
        depth
    }
}

/// Asks for the action on a root, a unit or an account.
pub(super) fn ask_on(desk: &Desk<'_>, snapshot: &Snapshot, target: &Target) -> Ask {
    let Some(organization) = snapshot.organization() else { return Ask::on("*".to_owned()) };
    let arn = Arns::new(desk, organization).target(target);
    let tags = match target {
        Target::Account(id) => organization.accounts.get(id).map(|member| &member.tags),
        Target::Root(_) => Some(&organization.root_tags),
        Target::Unit(id) => organization.units.get(id).map(|unit| &unit.tags),
    };
    with_tags(Ask::on(arn), tags)
}

/// Asks for the action on a policy.
pub(super) fn ask_on_policy(desk: &Desk<'_>, snapshot: &Snapshot, id: &PolicyId) -> Ask {
    let Some(organization) = snapshot.organization() else { return Ask::on("*".to_owned()) };
    let arns = Arns::new(desk, organization);
    match snapshot.control_policy(id) {
        Some(policy) => {
            let ask = with_type(Ask::on(arns.policy(policy.type_, id)), policy.type_);
            with_tags(ask, Some(&policy.tags))
        }
        // Its type is not known: it is asked for as if it were of the one that most are of.
        None => Ask::on(arns.policy(PolicyType::ServiceControlPolicy, id)),
    }
}

/// Says which type of policies it is about.
pub(super) fn with_type(ask: Ask, type_: PolicyType) -> Ask {
    ask.with_text("organizations:PolicyType", type_.as_str())
}

fn with_tags(ask: Ask, tags: Option<&BTreeMap<TagKey, Box<str>>>) -> Ask {
    let tags = tags.into_iter().flatten();
    tags.fold(ask, |ask, (key, value)| ask.with_text(format!("aws:ResourceTag/{key}"), value))
}

/// Says which tags are to be set.
pub(super) fn with_requested_tags(ask: Ask, tags: &[TagMember]) -> Ask {
    if tags.is_empty() {
        return ask;
    }
    let keys = tags.iter().map(|tag| Value::text(&tag.key)).collect();
    let ask = ask.with_all("aws:TagKeys", keys);
    tags.iter()
        .fold(ask, |ask, tag| ask.with_text(format!("aws:RequestTag/{}", tag.key), &tag.value))
}

/// A tag of a request.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct TagMember {
    pub(super) key: String,
    pub(super) value: String,
}

/// LIMIT: the tags of a resource, as Organizations documents it.
const TAGS_MAX: usize = 50;

/// LIMIT: the length of a tag's value, as Organizations documents it.
const TAG_VALUE_CHARACTERS_MAX: usize = 256;

/// Tags by their keys.
pub(super) type Tags = BTreeMap<TagKey, Box<str>>;

/// Sets tags among those that there are.
///
/// # Errors
///
/// `InvalidInputException` or `ConstraintViolationException`.
pub(super) fn set_tags(tags: &mut Tags, set: &[TagMember]) -> Result<(), ApiFault> {
    let mut seen = std::collections::BTreeSet::new();
    for TagMember { key, value } in set {
        if key.to_ascii_lowercase().starts_with("aws:") {
            let text = "keys of tags that begin with aws: are AWS's own";
            return Err(ApiFault::invalid_input_exception("INVALID_SYSTEM_TAGS_PARAMETER", text));
        }
        let refused = |fault: model::TagRefusal| {
            ApiFault::invalid_input_exception("INVALID_PATTERN", fault.to_string())
        };
        let parsed: TagKey = key.parse().map_err(refused)?;
        let is_text = !value.chars().any(char::is_control);
        if !is_text || value.chars().count() > TAG_VALUE_CHARACTERS_MAX {
            let text = "the value of a tag has at most 256 characters, none for control";
            return Err(ApiFault::invalid_input_exception("INVALID_PATTERN", text));
        }
        if !seen.insert(key) {
            let text = format!("the key {key} is there twice");
            return Err(ApiFault::invalid_input_exception("DUPLICATE_TAG_KEY", text));
        }
        tags.insert(parsed, value.as_str().into());
    }
    if tags.len() > TAGS_MAX {
        let text = "A resource has at most 50 tags.";
        return Err(ApiFault::constraint_violation("MAX_TAG_LIMIT_EXCEEDED", text));
    }
    Ok(())
}
