//! Tags: `CreateTags`, `DeleteTags`, and how tags are read and kept (control plane, 4.4).
//!
//! An instance has its tags itself, since metadata shows them. The tags of all else are resources of
//! their own, by the id of what has them.

mod kinds;

use std::collections::BTreeMap;

use model::{Instance, InstanceId, Line, Resource, ResourceKey, ResourceTags, Scope, TagKey};
use serde::Deserialize;
use store::{Change, Snapshot};

use self::kinds::Tagged;
pub(crate) use self::kinds::resource_type;
use super::instances::find_instance;
use super::launch_parameters::{TagParameter, TagSpecification};
use super::{Action, Desk};
use crate::api::xml::is_xml_safe;
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// What keys start with that only AWS itself sets.
const RESERVED: &str = "aws:";

/// LIMIT: the length of a key that a user sets (control plane, 4.4).
const KEY_CHARACTERS_MAX: usize = 127;

/// Tags by their keys.
pub(crate) type Tags = BTreeMap<TagKey, Box<str>>;

/// Reads the tags that a request wants set. A tag without a value has an empty one.
///
/// # Errors
///
/// `MissingParameter`, `InvalidParameterValue` or `TagLimitExceeded`.
pub(crate) fn parse(parameters: &[TagParameter]) -> Result<Tags, ApiFault> {
    let mut tags = Tags::new();
    for parameter in parameters {
        let text = parameter.key.as_deref();
        let key = parse_key(text.ok_or_else(|| ApiFault::missing_parameter("Tag.Key"))?)?;
        let value = parse_value(parameter.value.as_deref().unwrap_or_default())?;
        if tags.insert(key, value).is_some() {
            let text = text.unwrap_or_default();
            return Err(ApiFault::invalid_parameter_value(format!(
                "Duplicate tag key '{text}' specified."
            )));
        }
    }
    if tags.len() > Instance::TAGS_MAX {
        return Err(ApiFault::tag_limit_exceeded());
    }
    Ok(tags)
}

/// Reads a key that a user may set.
pub(crate) fn parse_key(text: &str) -> Result<TagKey, ApiFault> {
    if text.starts_with(RESERVED) {
        return Err(ApiFault::invalid_parameter_value(
            "Tag keys starting with 'aws:' are reserved for internal use",
        ));
    }
    let refused = || ApiFault::invalid_value_for(text, "key", "Tag keys have 1 to 127 characters.");
    let fits = text.chars().count() <= KEY_CHARACTERS_MAX;
    let key: TagKey = text.parse().map_err(|_| refused())?;
    if fits && is_xml_safe(text) { Ok(key) } else { Err(refused()) }
}

fn parse_value(text: &str) -> Result<Box<str>, ApiFault> {
    let fits = text.chars().count() <= Instance::TAG_VALUE_CHARACTERS_MAX;
    if fits && is_xml_safe(text) && !text.chars().any(char::is_control) {
        Ok(text.into())
    } else {
        let reason = "Tag values have at most 256 characters, and no control characters.";
        Err(ApiFault::invalid_value_for(text, "value", reason))
    }
}

/// Reads the tags for one type of resource among tag specifications.
pub(crate) fn specified(
    specifications: &[TagSpecification],
    resource_type: &str,
) -> Result<Tags, ApiFault> {
    let mut all = Vec::new();
    for specification in specifications {
        let text = specification.resource_type.as_deref();
        let text =
            text.ok_or_else(|| ApiFault::missing_parameter("TagSpecification.ResourceType"))?;
        if text == resource_type {
            all.extend(specification.tag.iter().cloned());
        }
    }
    parse(&all)
}

/// Keeps the tags of something that is no instance.
pub(crate) fn put(desk: &Desk<'_>, resource_id: &str, tags: Tags) -> Option<Change> {
    let resource_id: Line = resource_id.parse().ok()?;
    Some(if tags.is_empty() {
        Change::DeleteResource(desk.scope.clone(), ResourceKey::Tags(resource_id))
    } else {
        desk.put(Resource::Tags(ResourceTags { resource_id, tags }))
    })
}

/// Reads the tags for what a request makes, where it makes nothing but `resource_types`: the tags
/// of the first of them.
///
/// # Errors
///
/// As [`parse`], and `InvalidParameterValue` for another type.
pub(crate) fn specified_for(
    specifications: &[TagSpecification],
    resource_types: &[&str],
) -> Result<Tags, ApiFault> {
    let types = specifications.iter().filter_map(|of| of.resource_type.as_deref());
    if let Some(other) = types.into_iter().find(|other| !resource_types.contains(other)) {
        let reason = "It is not a valid taggable resource type for this operation.";
        return Err(ApiFault::invalid_value_for(other, "resourceType", reason));
    }
    specified(specifications, resource_types.first().copied().unwrap_or_default())
}

/// Forgets the tags of something that is no instance, if it has any.
pub(crate) fn forget(desk: &Desk<'_>, snapshot: &Snapshot, resource_id: &str) -> Option<Change> {
    let id: Line = resource_id.parse().ok()?;
    snapshot.resource_tags(&desk.scope, id.clone())?;
    Some(Change::DeleteResource(desk.scope.clone(), ResourceKey::Tags(id)))
}

/// The tags of something that is no instance.
pub(crate) fn of<'s>(snapshot: &'s Snapshot, scope: &Scope, resource_id: &str) -> &'s Tags {
    static NONE: Tags = Tags::new();
    let id = resource_id.parse().ok();
    id.and_then(|id| snapshot.resource_tags(scope, id)).map_or(&NONE, |kept| &kept.tags)
}

/// Keys and values, as filters look at them.
pub(crate) fn pairs(tags: &Tags) -> Vec<(&str, &str)> {
    tags.iter().map(|(key, value)| (key.as_str(), &**value)).collect()
}

/// Sets tags; one with the same key has the new value.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateTags {
    resource_id: Vec<String>,
    tag: Vec<TagParameter>,
}

/// Removes tags: without a value whatever they have, with one where they have it, and all tags of
/// the user where none is named.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteTags {
    resource_id: Vec<String>,
    #[serde(default)]
    tag: Vec<TagParameter>,
}

impl Action for CreateTags {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let ask = |id: &String| desk.ask_to_change_tags(snapshot, id, &self.tag);
        Ok(self.resource_id.iter().map(ask).collect())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let resources = parse_resources(&self.resource_id)?;
        let added = parse(&self.tag)?;
        retag(desk, &resources, |tags| tags.extend(added.clone()))
    }
}

impl Action for DeleteTags {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let ask = |id: &String| desk.ask_to_change_tags(snapshot, id, &self.tag);
        Ok(self.resource_id.iter().map(ask).collect())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let resources = parse_resources(&self.resource_id)?;
        let mut removed = Vec::new();
        for TagParameter { key, value } in &self.tag {
            let key = key.as_deref().ok_or_else(|| ApiFault::missing_parameter("Tag.Key"))?;
            removed.push((parse_key(key)?, value.as_deref()));
        }
        retag(desk, &resources, |tags| {
            tags.retain(|key, value| {
                let is_meant = |(named, wanted): &(TagKey, Option<&str>)| {
                    named == key && wanted.is_none_or(|wanted| *wanted == **value)
                };
                let is_removed = removed.is_empty() || removed.iter().any(is_meant);
                key.as_str().starts_with(RESERVED) || !is_removed
            });
        })
    }
}

fn parse_resources(ids: &[String]) -> Result<Vec<Tagged<'_>>, ApiFault> {
    ids.iter().map(|id| kinds::parse(id)).collect()
}

/// Changes the tags of all resources, or of none.
fn retag(
    desk: &Desk<'_>,
    resources: &[Tagged<'_>],
    change: impl Fn(&mut Tags),
) -> Result<Answer, ApiFault> {
    desk.transact(|snapshot| {
        let mut changes = Vec::new();
        for resource in resources {
            resource.check(desk, snapshot)?;
            changes.extend(match resource {
                Tagged::Instance(id) => retag_instance(desk, snapshot, *id, &change)?,
                Tagged::Other(id) => retag_other(desk, snapshot, id, &change)?,
            });
        }
        Ok((changes, Answer::done()))
    })
}

fn retag_instance(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    id: InstanceId,
    change: impl Fn(&mut Tags),
) -> Result<Option<Change>, ApiFault> {
    let instance = find_instance(snapshot, &desk.scope, id)?;
    let mut tags = (*instance.tags).clone();
    change(&mut tags);
    if tags == *instance.tags {
        return Ok(None);
    }
    let tagged = Instance { tags: tags.into(), last_modified: desk.now, ..(**instance).clone() };
    Ok(Some(super::put(snapshot, tagged)))
}

fn retag_other(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    id: &str,
    change: impl Fn(&mut Tags),
) -> Result<Option<Change>, ApiFault> {
    let before = of(snapshot, &desk.scope, id);
    let mut tags = before.clone();
    change(&mut tags);
    if tags.len() > Instance::TAGS_MAX {
        return Err(ApiFault::tag_limit_exceeded());
    }
    Ok(if tags == *before { None } else { put(desk, id, tags) })
}

#[cfg(test)]
mod tests;
