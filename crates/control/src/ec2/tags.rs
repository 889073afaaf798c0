//! Tags (control plane, 4.4).

use std::collections::BTreeMap;

use model::{Instance, Resource, ResourceKey, ResourceTags, TagKey};
use store::{Change, Snapshot};

use super::Desk;
use super::launch_parameters::{TagParameter, TagSpecification};
use crate::api::ApiFault;
use crate::api::xml::is_xml_safe;

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
    if text.starts_with("aws:") {
        return Err(ApiFault::invalid_parameter_value(
            "Tag keys starting with 'aws:' are reserved for internal use",
        ));
    }
    let refused = || ApiFault::invalid_value_for(text, "key", "Tag keys have 1 to 127 characters.");
    let key: TagKey = text.parse().map_err(|_| refused())?;
    if is_xml_safe(text) { Ok(key) } else { Err(refused()) }
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
    let resource_id = resource_id.parse().ok()?;
    Some(desk.put(Resource::Tags(ResourceTags { resource_id, tags })))
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

/// Returns the tags of something that is no instance.
pub(crate) fn of(desk: &Desk<'_>, snapshot: &Snapshot, resource_id: &str) -> Tags {
    let id = resource_id.parse().ok();
    let found = id.and_then(|id| snapshot.resource_tags(&desk.scope, id));
    found.map(|found| found.tags.clone()).unwrap_or_default()
}

/// Forgets the tags of something that is no instance, if it has any.
pub(crate) fn forget(desk: &Desk<'_>, snapshot: &Snapshot, resource_id: &str) -> Option<Change> {
    let id: model::Line = resource_id.parse().ok()?;
    snapshot.resource_tags(&desk.scope, id.clone())?;
    Some(Change::DeleteResource(desk.scope.clone(), ResourceKey::Tags(id)))
}
