//! Tags of instance profiles, managed policies, roles and users.

use model::IamKind;
use serde::Deserialize;
use store::Snapshot;

use super::elements::TagElement;
use super::elements::tag_elements;
use super::limits::TAGS_MAX;
use super::listing::Asked;
use super::named::{Named, tags, tags_mut, with_request_tags, with_tag_keys};
use super::words::{self, TagParameter};
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

fn set(desk: &Desk<'_>, named: &Named, parameters: &[TagParameter]) -> Result<Answer, ApiFault> {
    let added = words::parse_tags(parameters)?;
    named.change(desk, |_, kept| {
        let Some(tags) = tags_mut(kept) else { return Ok(()) };
        // Keys that differ in case alone are one key.
        tags.retain(|old, _| {
            let is_same = |new: &model::TagKey| folded(new.as_str()) == folded(old.as_str());
            !added.keys().any(is_same)
        });
        tags.extend(added);
        if tags.len() > TAGS_MAX {
            return Err(ApiFault::limit_exceeded(
                "The number of tags has reached the maximum limit.",
            ));
        }
        Ok(())
    })
}

fn folded(key: &str) -> String {
    key.to_lowercase()
}

fn remove(desk: &Desk<'_>, named: &Named, keys: &[String]) -> Result<Answer, ApiFault> {
    for key in keys {
        words::parse_tag_key(key)?;
    }
    named.change(desk, |_, kept| {
        let Some(tags) = tags_mut(kept) else { return Ok(()) };
        tags.retain(|tag, _| !keys.iter().any(|key| folded(key) == folded(tag.as_str())));
        Ok(())
    })
}

fn list(
    desk: &Desk<'_>,
    named: &Named,
    action: &'static str,
    asked: &Asked<'_>,
) -> Result<Answer, ApiFault> {
    let kept = named.find(desk, &desk.store.snapshot())?;
    let all = tags(&kept).cloned().unwrap_or_default();
    let shown: Vec<TagElement> = tag_elements(&all);
    let keys = all.into_keys().map(|key| key.to_string());
    asked.answer(action, "Tags", keys.zip(shown))
}

/// Declares the actions on the tags of a kind, which requests call by the name `$named`.
macro_rules! tagging {
    ($($kind:ident $named:ident: $tag:ident, $untag:ident, $list:ident;)+) => { $(
        /// Sets tags; one with the same key has the new value.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $tag {
            $named: String,
            tags: Vec<TagParameter>,
        }

        /// Removes tags.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $untag {
            $named: String,
            tag_keys: Vec<String>,
        }

        /// Lists tags.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $list {
            $named: String,
            marker: Option<String>,
            max_items: Option<i64>,
        }

        impl Action for $tag {
            fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
                let ask = Named::new(desk, IamKind::$kind, &self.$named)?.ask(desk, snapshot);
                Ok(vec![with_request_tags(ask, &self.tags)])
            }

            fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
                set(desk, &Named::new(desk, IamKind::$kind, &self.$named)?, &self.tags)
            }
        }

        impl Action for $untag {
            fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
                let ask = Named::new(desk, IamKind::$kind, &self.$named)?.ask(desk, snapshot);
                Ok(vec![with_tag_keys(ask, self.tag_keys.iter().map(|key| &**key))])
            }

            fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
                remove(desk, &Named::new(desk, IamKind::$kind, &self.$named)?, &self.tag_keys)
            }
        }

        impl Action for $list {
            fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
                Ok(vec![Named::new(desk, IamKind::$kind, &self.$named)?.ask(desk, snapshot)])
            }

            fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                let asked = Asked { marker: self.marker.as_deref(), max_items: self.max_items };
                list(desk, &named, stringify!($list), &asked)
            }
        }
    )+ };
}

tagging! {
    InstanceProfile instance_profile_name:
        TagInstanceProfile, UntagInstanceProfile, ListInstanceProfileTags;
    Policy policy_arn: TagPolicy, UntagPolicy, ListPolicyTags;
    Role role_name: TagRole, UntagRole, ListRoleTags;
    User user_name: TagUser, UntagUser, ListUserTags;
}
