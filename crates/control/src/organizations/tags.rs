//! Tags of accounts, policies, units and the root.

use model::{Organization, PolicyId, TagKey, Target};
use policy::Value;
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::pages::page;
use super::policies::find;
use super::standing::{
    TagMember, Tags, ask_on, ask_on_policy, managed, put, put_policy, set_tags, with_requested_tags,
};
use super::{full_access, pages};
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Sets tags.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct TagResource {
    resource_id: Tagged,
    tags: Vec<TagMember>,
}

/// Removes tags.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UntagResource {
    resource_id: Tagged,
    tag_keys: Vec<TagKey>,
}

/// Lists tags. AWS: a page has all of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListTagsForResource {
    resource_id: Tagged,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListTagsForResourceAnswer {
    tags: Vec<TagAnswer>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagAnswer {
    key: String,
    value: String,
}

/// What has tags.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
enum Tagged {
    Policy(PolicyId),
    Target(Target),
}

impl TryFrom<String> for Tagged {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.starts_with("p-") {
            text.parse().map(Self::Policy)
        } else {
            text.parse().map(Self::Target)
        }
    }
}

impl Tagged {
    fn ask(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Ask {
        match self {
            Self::Policy(id) => ask_on_policy(desk, snapshot, id),
            Self::Target(target) => ask_on(desk, snapshot, target),
        }
    }

    fn tags(&self, snapshot: &Snapshot, organization: &Organization) -> Result<Tags, ApiFault> {
        let mut organization = organization.clone();
        match self {
            Self::Policy(id) => find(snapshot, id).map(|policy| policy.tags),
            Self::Target(target) => tags_of(&mut organization, target).cloned(),
        }
    }

    /// Plans other tags. Policies of AWS have none.
    fn change(
        &self,
        snapshot: &Snapshot,
        organization: &Organization,
        change: impl FnOnce(&mut Tags) -> Result<(), ApiFault>,
    ) -> Result<Change, ApiFault> {
        match self {
            Self::Policy(id) if full_access::is_by_aws(id) => {
                let text = "AWS manages this policy: it can't be tagged";
                Err(ApiFault::invalid_input_exception("IMMUTABLE_POLICY", text))
            }
            Self::Policy(id) => {
                let mut policy = find(snapshot, id)?;
                change(&mut policy.tags)?;
                Ok(put_policy(snapshot, policy))
            }
            Self::Target(target) => {
                let mut organization = organization.clone();
                change(tags_of(&mut organization, target)?)?;
                Ok(put(snapshot, organization))
            }
        }
    }
}

fn tags_of<'o>(
    organization: &'o mut Organization,
    target: &Target,
) -> Result<&'o mut Tags, ApiFault> {
    let tags = match target {
        Target::Account(id) => organization.accounts.get_mut(id).map(|member| &mut member.tags),
        Target::Root(id) if *id == organization.root_id => Some(&mut organization.root_tags),
        Target::Root(_) => None,
        Target::Unit(id) => organization.units.get_mut(id).map(|unit| &mut unit.tags),
    };
    tags.ok_or_else(ApiFault::target_not_found)
}

impl Action for TagResource {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![with_requested_tags(self.resource_id.ask(desk, snapshot), &self.tags)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        desk.transact(|snapshot| {
            let organization = managed(desk, snapshot)?;
            let set = |tags: &mut Tags| set_tags(tags, &self.tags);
            Ok((vec![self.resource_id.change(snapshot, organization, set)?], ()))
        })?;
        Ok(Answer::done())
    }
}

impl Action for UntagResource {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let keys = self.tag_keys.iter().map(|key| Value::text(key.as_str())).collect();
        Ok(vec![self.resource_id.ask(desk, snapshot).with_all("aws:TagKeys", keys)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        desk.transact(|snapshot| {
            let organization = managed(desk, snapshot)?;
            let remove = |tags: &mut Tags| {
                tags.retain(|key, _| !self.tag_keys.contains(key));
                Ok(())
            };
            Ok((vec![self.resource_id.change(snapshot, organization, remove)?], ()))
        })?;
        Ok(Answer::done())
    }
}

impl Action for ListTagsForResource {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![self.resource_id.ask(desk, snapshot)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let organization = managed(desk, &snapshot)?;
        let tags = self.resource_id.tags(&snapshot, organization)?;
        let tags = tags.into_iter().map(|(key, value)| {
            let key = key.to_string();
            (key.clone(), TagAnswer { key, value: value.into() })
        });
        let turn = pages::Turn {
            action: "ListTagsForResource",
            max_results: None,
            next_token: self.next_token.as_deref(),
        };
        let page = page(turn, tags)?;
        let (tags, next_token) = (page.items, page.next_token);
        Ok(Answer::of(ListTagsForResourceAnswer { tags, next_token }))
    }
}
