//! Groups, and who is in them.

use std::sync::Arc;

use model::{Group, Iam, IamKey, IamKind, Permissions, User, unique_id};
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::elements::{GroupElement, Shown, UserElement};
use super::limits::GROUPS_OF_USER;
use super::listing::Asked;
use super::named::{Named, all, ask_to_list, ask_to_make, check_new, put};
use super::words;
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Makes a group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateGroup {
    group_name: String,
    path: Option<String>,
}

/// Shows a group and who is in it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetGroup {
    group_name: String,
    marker: Option<String>,
    max_items: Option<i64>,
}

/// Lists groups.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListGroups {
    path_prefix: Option<String>,
    marker: Option<String>,
    max_items: Option<i64>,
}

/// Deletes a group that nobody is in, and that has no policies.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteGroup {
    group_name: String,
}

/// Puts a user into a group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AddUserToGroup {
    group_name: String,
    user_name: String,
}

/// Takes a user out of a group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct RemoveUserFromGroup {
    group_name: String,
    user_name: String,
}

/// Lists the groups that a user is in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListGroupsForUser {
    user_name: String,
    marker: Option<String>,
    max_items: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupAnswer {
    group: GroupElement,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GetGroupAnswer {
    group: GroupElement,
    users: Vec<UserElement>,
    is_truncated: bool,
    marker: Option<String>,
}

/// The users of an account who are in a group.
fn members(snapshot: &Snapshot, group: &IamKey) -> impl Iterator<Item = Arc<User>> {
    all(snapshot, group.account_id, IamKind::User).filter_map(|kept| {
        let Iam::User(user) = kept else { return None };
        user.groups.contains(&group.name).then_some(user)
    })
}

impl Action for CreateGroup {
    fn asks(&self, desk: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let path = words::parse_path(self.path.as_deref())?;
        let named = Named::new(desk, IamKind::Group, &self.group_name)?;
        Ok(vec![ask_to_make(desk, &named.key, &path)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let key = Named::new(desk, IamKind::Group, &self.group_name)?.key;
        let group = Group {
            name: key.name.clone(),
            account_id: key.account_id,
            path: words::parse_path(self.path.as_deref())?,
            id: Some(unique_id(IamKind::Group, desk.fresh_number()?)),
            created: desk.now,
            permissions: Permissions::default(),
        };
        let shown = GroupElement::new(&group, desk.scope.region.partition());
        desk.transact(|snapshot| {
            check_new(snapshot, &key)?;
            Ok((vec![put(group)], Answer::of(GroupAnswer { group: shown })))
        })
    }
}

impl Action for GetGroup {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![Named::new(desk, IamKind::Group, &self.group_name)?.ask(desk, snapshot)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = Named::new(desk, IamKind::Group, &self.group_name)?;
        let (snapshot, partition) = (desk.store.snapshot(), desk.scope.region.partition());
        let Iam::Group(group) = named.find(desk, &snapshot)? else {
            return Err(ApiFault::not_kept(&named.key));
        };
        let users = members(&snapshot, &named.key).map(|user| {
            (user.name.to_string(), UserElement::new(&user, partition, Shown::InList))
        });
        let asked = Asked { marker: self.marker.as_deref(), max_items: self.max_items };
        let page = asked.page("GetGroup", users)?;
        Ok(Answer::of(GetGroupAnswer {
            group: GroupElement::new(&group, partition),
            users: page.items,
            is_truncated: page.next_token.is_some(),
            marker: page.next_token,
        }))
    }
}

/// Groups by their names, as they are listed.
fn elements<'g>(
    groups: impl Iterator<Item = &'g Arc<Group>>,
    partition: &'static str,
) -> impl Iterator<Item = (String, GroupElement)> {
    groups.map(move |group| (group.name.to_string(), GroupElement::new(group, partition)))
}

impl Action for ListGroups {
    fn asks(&self, desk: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask_to_list(desk, IamKind::Group, self.path_prefix.as_deref())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let prefix = words::parse_prefix(self.path_prefix.as_deref())?;
        let snapshot = desk.store.snapshot();
        let groups = snapshot.groups(desk.caller.account_id);
        let groups = groups.filter(|group| group.path.as_str().starts_with(prefix));
        Asked { marker: self.marker.as_deref(), max_items: self.max_items }.answer(
            "ListGroups",
            "Groups",
            elements(groups, desk.scope.region.partition()),
        )
    }
}

impl Action for DeleteGroup {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![Named::new(desk, IamKind::Group, &self.group_name)?.ask(desk, snapshot)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = Named::new(desk, IamKind::Group, &self.group_name)?;
        desk.transact(|snapshot| {
            let kept = named.find_to_change(desk, snapshot)?;
            let left = if members(snapshot, &named.key).next().is_some() {
                Some("remove users from group first")
            } else {
                super::named::permissions(&kept).and_then(super::attachments::left)
            };
            match left {
                Some(first) => Err(ApiFault::delete_conflict(format!(
                    "Cannot delete entity, must {first}."
                ))),
                None => Ok((vec![Change::DeleteIam(named.key.clone())], Answer::done())),
            }
        })
    }
}

impl Action for AddUserToGroup {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![Named::new(desk, IamKind::Group, &self.group_name)?.ask(desk, snapshot)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let group = Named::new(desk, IamKind::Group, &self.group_name)?;
        let user = Named::new(desk, IamKind::User, &self.user_name)?;
        user.change(desk, |snapshot, kept| {
            group.find(desk, snapshot)?;
            let Iam::User(user) = kept else { return Ok(()) };
            let groups = &mut Arc::make_mut(user).groups;
            if groups.insert(group.key.name.clone()) && groups.len() > GROUPS_OF_USER.most {
                return Err(ApiFault::quota_exceeded(GROUPS_OF_USER.name, GROUPS_OF_USER.most));
            }
            Ok(())
        })
    }
}

impl Action for RemoveUserFromGroup {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![Named::new(desk, IamKind::Group, &self.group_name)?.ask(desk, snapshot)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let group = Named::new(desk, IamKind::Group, &self.group_name)?;
        let user = Named::new(desk, IamKind::User, &self.user_name)?;
        user.change(desk, |snapshot, kept| {
            group.find(desk, snapshot)?;
            let Iam::User(user) = kept else { return Ok(()) };
            // IAM: it is no fault if the user is not in it.
            Arc::make_mut(user).groups.remove(&group.key.name);
            Ok(())
        })
    }
}

impl Action for ListGroupsForUser {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![Named::new(desk, IamKind::User, &self.user_name)?.ask(desk, snapshot)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = Named::new(desk, IamKind::User, &self.user_name)?;
        let snapshot = desk.store.snapshot();
        let Iam::User(user) = named.find(desk, &snapshot)? else {
            return Err(ApiFault::not_kept(&named.key));
        };
        let groups = user.groups.iter().filter_map(|name| snapshot.group(user.account_id, name));
        Asked { marker: self.marker.as_deref(), max_items: self.max_items }.answer(
            "ListGroupsForUser",
            "Groups",
            elements(groups, desk.scope.region.partition()),
        )
    }
}
