//! Users.

use model::{Iam, IamKey, IamKind, User, unique_id};
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::attachments::find_attachable;
use super::elements::{Shown, UserElement};
use super::listing::Asked;
use super::named::{
    BOUNDARY_KEY, Named, all, ask_to_list, ask_to_make, check_name, check_new, put,
    with_request_tags,
};
use super::words::{self, TagParameter};
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Makes a user, who may do nothing yet.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateUser {
    user_name: String,
    path: Option<String>,
    permissions_boundary: Option<String>,
    #[serde(default)]
    tags: Vec<TagParameter>,
}

/// Shows a user: the caller, if none is named.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct GetUser {
    user_name: Option<String>,
}

/// Lists users.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListUsers {
    path_prefix: Option<String>,
    marker: Option<String>,
    max_items: Option<i64>,
}

/// Gives a user another name or path.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UpdateUser {
    user_name: String,
    new_user_name: Option<String>,
    new_path: Option<String>,
}

/// Deletes a user that has nothing any more.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteUser {
    user_name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct UserAnswer {
    user: UserElement,
}

impl CreateUser {
    fn key(&self, desk: &Desk<'_>) -> Result<IamKey, ApiFault> {
        Ok(Named::new(desk, IamKind::User, &self.user_name)?.key)
    }
}

impl Action for CreateUser {
    fn asks(&self, desk: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let path = words::parse_path(self.path.as_deref())?;
        let mut ask = ask_to_make(desk, &self.key(desk)?, &path);
        if let Some(boundary) = &self.permissions_boundary {
            ask = ask.with_text(BOUNDARY_KEY, boundary);
        }
        Ok(vec![with_request_tags(ask, &self.tags)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let key = self.key(desk)?;
        let name = words::parse_short_name(IamKind::User, &self.user_name)?;
        let mut user = User::described(key.account_id, name);
        user.path = words::parse_path(self.path.as_deref())?;
        user.tags = words::parse_tags(&self.tags)?;
        user.created = desk.now;
        user.id = Some(unique_id(IamKind::User, desk.fresh_number()?));
        desk.transact(|snapshot| {
            check_new(snapshot, &key)?;
            if let Some(arn) = &self.permissions_boundary {
                user.permissions.boundary = Some(find_attachable(desk, snapshot, arn)?);
            }
            let user_shown = UserElement::new(&user, desk.scope.region.partition(), Shown::Fully);
            Ok((vec![put(user)], Answer::of(UserAnswer { user: user_shown })))
        })
    }
}

impl Action for GetUser {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![Named::user_or_caller(desk, self.user_name.as_deref())?.ask(desk, snapshot)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = Named::user_or_caller(desk, self.user_name.as_deref())?;
        let Iam::User(user) = named.find(desk, &desk.store.snapshot())? else {
            return Err(ApiFault::not_kept(&named.key));
        };
        let user = UserElement::new(&user, desk.scope.region.partition(), Shown::Fully);
        Ok(Answer::of(UserAnswer { user }))
    }
}

impl Action for ListUsers {
    fn asks(&self, desk: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask_to_list(desk, IamKind::User, self.path_prefix.as_deref())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let prefix = words::parse_prefix(self.path_prefix.as_deref())?;
        let snapshot = desk.store.snapshot();
        let users = all(&snapshot, desk.caller.account_id, IamKind::User).filter_map(|kept| {
            let Iam::User(user) = kept else { return None };
            let partition = desk.scope.region.partition();
            let element = UserElement::new(&user, partition, Shown::InList);
            user.path.as_str().starts_with(prefix).then(|| (user.name.to_string(), element))
        });
        Asked { marker: self.marker.as_deref(), max_items: self.max_items }
            .answer("ListUsers", "Users", users)
    }
}

impl Action for UpdateUser {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let named = Named::new(desk, IamKind::User, &self.user_name)?;
        let new_name = self.new_user_name.as_deref().unwrap_or(&self.user_name);
        let new = Named::new(desk, IamKind::User, new_name)?;
        // IAM: what the user becomes must be allowed too.
        let path = match (&self.new_path, named.find(desk, snapshot)) {
            (None, Ok(found)) => super::named::path(&found).clone(),
            (path, _) => words::parse_path(path.as_deref())?,
        };
        Ok(vec![named.ask(desk, snapshot), ask_to_make(desk, &new.key, &path)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = Named::new(desk, IamKind::User, &self.user_name)?;
        let new_path = self.new_path.as_deref().map(|path| words::parse_path(Some(path)));
        let new_path = new_path.transpose()?;
        let new_name = self.new_user_name.as_deref();
        let new_name = new_name.map(|name| words::parse_short_name(IamKind::User, name));
        let new_name = new_name.transpose()?;
        desk.transact(|snapshot| {
            let Iam::User(user) = named.find_to_change(desk, snapshot)? else {
                return Err(ApiFault::not_kept(&named.key));
            };
            let mut changed = (*user).clone();
            // It stays the same user.
            changed.id = Some(user.unique_id());
            changed.path = new_path.unwrap_or(changed.path);
            changed.name = new_name.unwrap_or(changed.name);
            let key = changed.key();
            let is_other = !key.name.as_str().eq_ignore_ascii_case(named.key.name.as_str());
            if is_other {
                check_name(snapshot, &key)?;
            }
            let gone = (key != named.key).then(|| Change::DeleteIam(named.key.clone()));
            Ok((gone.into_iter().chain([put(changed)]).collect(), Answer::done()))
        })
    }
}

impl Action for DeleteUser {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![Named::new(desk, IamKind::User, &self.user_name)?.ask(desk, snapshot)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = Named::new(desk, IamKind::User, &self.user_name)?;
        desk.transact(|snapshot| {
            let Iam::User(user) = named.find_to_change(desk, snapshot)? else {
                return Err(ApiFault::not_kept(&named.key));
            };
            let left = if !user.access_keys.is_empty() {
                Some("delete access keys first")
            } else if !user.groups.is_empty() {
                Some("remove users from group first")
            } else {
                super::attachments::left(&user.permissions)
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
