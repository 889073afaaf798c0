//! Who uses a managed policy.

use model::{Iam, IamKind};
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::elements::users_of;
use super::listing::Asked;
use super::managed_policies::{PolicyUsage, find_shown};
use super::named::{Named, path};
use super::words;
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Lists the groups, roles and users that a managed policy is attached to, or that it bounds.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListEntitiesForPolicy {
    policy_arn: String,
    entity_filter: Option<EntityFilter>,
    path_prefix: Option<String>,
    policy_usage_filter: Option<PolicyUsage>,
    marker: Option<String>,
    max_items: Option<i64>,
}

/// What is listed. The other words are of policies, which no policy is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum EntityFilter {
    #[serde(rename = "AWSManagedPolicy")]
    AwsManagedPolicy,
    Group,
    LocalManagedPolicy,
    Role,
    User,
}

impl EntityFilter {
    const fn admits(self, kind: IamKind) -> bool {
        match self {
            Self::Group => matches!(kind, IamKind::Group),
            Self::Role => matches!(kind, IamKind::Role),
            Self::User => matches!(kind, IamKind::User),
            Self::AwsManagedPolicy | Self::LocalManagedPolicy => false,
        }
    }
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListEntitiesAnswer {
    policy_groups: Vec<GroupUsing>,
    policy_users: Vec<UserUsing>,
    policy_roles: Vec<RoleUsing>,
    is_truncated: bool,
    marker: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupUsing {
    group_name: String,
    group_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UserUsing {
    user_name: String,
    user_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RoleUsing {
    role_name: String,
    role_id: String,
}

impl Action for ListEntitiesForPolicy {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![Named::new(desk, IamKind::Policy, &self.policy_arn)?.ask(desk, snapshot)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let prefix = words::parse_prefix(self.path_prefix.as_deref())?;
        let arn = words::parse_policy_arn(&self.policy_arn)?;
        let snapshot = desk.store.snapshot();
        find_shown(desk, &snapshot, &self.policy_arn)?;
        let key = Named::new(desk, IamKind::Policy, &self.policy_arn)?.key;
        let users = users_of(&snapshot, &key, &arn).into_iter();
        let meant = users.filter(|(kept, is_attached, is_bounding)| {
            PolicyUsage::is_meant(self.policy_usage_filter, *is_attached, *is_bounding)
                && self.entity_filter.is_none_or(|filter| filter.admits(kept.key().kind))
                && path(kept).as_str().starts_with(prefix)
        });
        let asked = Asked { marker: self.marker.as_deref(), max_items: self.max_items };
        let by_key = meant.map(|(kept, ..)| (kept.key().to_string(), kept));
        let page = asked.page("ListEntitiesForPolicy", by_key)?;
        let mut answer = ListEntitiesAnswer {
            is_truncated: page.next_token.is_some(),
            marker: page.next_token,
            ..ListEntitiesAnswer::default()
        };
        for kept in &page.items {
            answer.add(kept);
        }
        Ok(Answer::of(answer))
    }
}

impl ListEntitiesAnswer {
    fn add(&mut self, kept: &Iam) {
        match kept {
            Iam::Group(group) => self.policy_groups.push(GroupUsing {
                group_name: group.name.to_string(),
                group_id: group.unique_id().to_string(),
            }),
            Iam::Role(role) => self.policy_roles.push(RoleUsing {
                role_name: role.name.to_string(),
                role_id: role.unique_id().to_string(),
            }),
            Iam::User(user) => self.policy_users.push(UserUsing {
                user_name: user.name.to_string(),
                user_id: user.unique_id().to_string(),
            }),
            // Neither has policies.
            Iam::InstanceProfile(_) | Iam::Policy(_) => {}
        }
    }
}
