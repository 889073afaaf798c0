//! `DescribeTags` (control plane, 4.4).

use serde::{Deserialize, Serialize};

use store::Snapshot;

use super::tags::{self, Tags, resource_type};
use super::{Action, Desk, instances};
use crate::api::filter::{Filter, Filters, Known};
use crate::api::page::{Bounds, Pager};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// LIMIT: tags of a page. EC2 documents it.
const BOUNDS: Bounds = Bounds { min: 5, max: 1000 };

/// Describes the tags of everything in the scope.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeTags {
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeTagsAnswer {
    tag_set: Vec<TagDescription>,
    next_token: Option<String>,
}

/// `tagSet/item`
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct TagDescription {
    resource_id: String,
    resource_type: &'static str,
    key: String,
    value: String,
}

impl Action for DescribeTags {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let filters = Filters::new(self.filter, &filters())?;
        let token = self.next_token.as_deref();
        let pager = Pager::new("DescribeTags", BOUNDS, self.max_results, token)?;
        let snapshot = desk.store.snapshot();
        let of_instances = instances::all(&snapshot, &desk.scope);
        let of_instances = of_instances.flat_map(|of| described(&of.id.text(), &of.tags));
        let others = snapshot.all_resource_tags(&desk.scope);
        let of_others = others.flat_map(|of| described(&of.resource_id, &of.tags));
        let all = of_instances.chain(of_others).filter(|tag| filters.admit(tag));
        let page = pager.select(all.map(|tag| ((tag.resource_id.clone(), tag.key.clone()), tag)));
        let (tag_set, next_token) = (page.items, page.next_token);
        Ok(Answer::of(DescribeTagsAnswer { tag_set, next_token }))
    }
}

fn described(id: &str, tags: &Tags) -> Vec<TagDescription> {
    let describe = |(key, value): (&str, &str)| TagDescription {
        resource_id: id.to_owned(),
        resource_type: resource_type(id),
        key: key.to_owned(),
        value: value.to_owned(),
    };
    tags::pairs(tags).into_iter().map(describe).collect()
}

fn filters() -> [Known<TagDescription>; 5] {
    [
        Known::tags(|tag| vec![(&tag.key, &tag.value)]),
        Known::new("key", |tag| (&*tag.key).into()),
        Known::new("resource-id", |tag| (&*tag.resource_id).into()),
        Known::new("resource-type", |tag| tag.resource_type.into()),
        Known::new("value", |tag| (&*tag.value).into()),
    ]
}
