//! The access keys of users. A secret is told once: when its key is made.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::{AccessKey, Iam, IamKind, KeyStatus, Line, Secret, User};
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::limits::KEYS_OF_USER;
use super::listing::Asked;
use super::named::Named;
use crate::action::{Action, Desk};
use crate::api::xml::Time;
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// Makes a key for a user: for the caller, if none is named.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateAccessKey {
    user_name: Option<String>,
}

/// Lists the keys of a user.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ListAccessKeys {
    user_name: Option<String>,
    marker: Option<String>,
    max_items: Option<i64>,
}

/// Makes a key good for nothing, or for something again.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UpdateAccessKey {
    user_name: Option<String>,
    access_key_id: String,
    status: String,
}

/// Deletes a key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DeleteAccessKey {
    user_name: Option<String>,
    access_key_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CreateAccessKeyAnswer {
    access_key: NewKeyElement,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct NewKeyElement {
    user_name: String,
    access_key_id: String,
    status: &'static str,
    secret_access_key: Secret<String>,
    create_date: Time,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct KeyElement {
    user_name: String,
    access_key_id: String,
    status: &'static str,
    create_date: Time,
}

fn ask(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    user_name: Option<&str>,
) -> Result<Vec<Ask>, ApiFault> {
    Ok(vec![Named::user_or_caller(desk, user_name)?.ask(desk, snapshot)])
}

/// Changes the keys of a user.
fn change_keys(
    desk: &Desk<'_>,
    user_name: Option<&str>,
    change: impl FnOnce(&mut Vec<AccessKey>) -> Result<(), ApiFault>,
) -> Result<Answer, ApiFault> {
    Named::user_or_caller(desk, user_name)?.change(desk, |_, kept| {
        let Iam::User(user) = kept else { return Err(ApiFault::internal()) };
        change(&mut Arc::make_mut(user).access_keys)
    })
}

fn no_such_key(id: &str) -> ApiFault {
    let id: String = id.chars().take(128).collect();
    ApiFault::no_such_entity(format!("The Access Key with id {id} cannot be found."))
}

impl Action for CreateAccessKey {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, self.user_name.as_deref())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = Named::user_or_caller(desk, self.user_name.as_deref())?;
        let key = AccessKey::new(fresh_id(desk)?, fresh_secret(desk)?, desk.now);
        let shown = NewKeyElement {
            user_name: named.key.name.to_string(),
            access_key_id: key.id.to_string(),
            status: key.status.as_str(),
            secret_access_key: key.secret.clone(),
            create_date: Time(key.created),
        };
        named.change(desk, |_, kept| {
            let Iam::User(user) = kept else { return Err(ApiFault::internal()) };
            let User { access_keys, .. } = Arc::make_mut(user);
            if access_keys.len() >= KEYS_OF_USER.most {
                return Err(ApiFault::quota_exceeded(KEYS_OF_USER.name, KEYS_OF_USER.most));
            }
            access_keys.push(key);
            Ok(())
        })?;
        Ok(Answer::of(CreateAccessKeyAnswer { access_key: shown }))
    }
}

/// `AKIA` and sixteen letters and digits.
fn fresh_id(desk: &Desk<'_>) -> Result<Line, ApiFault> {
    let drawn = model::unique_id(IamKind::User, desk.fresh_number()?);
    let text: String = "AKIA".chars().chain(drawn.chars().skip(4).take(16)).collect();
    text.parse().map_err(|_| ApiFault::internal())
}

/// 240 bits, in forty characters.
fn fresh_secret(desk: &Desk<'_>) -> Result<Secret<String>, ApiFault> {
    let [first, second] = [desk.fresh_number()?, desk.fresh_number()?].map(u128::to_le_bytes);
    let bytes: Vec<u8> = first.into_iter().take(15).chain(second.into_iter().take(15)).collect();
    Ok(Secret::new(STANDARD.encode(bytes)))
}

impl Action for ListAccessKeys {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, self.user_name.as_deref())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let named = Named::user_or_caller(desk, self.user_name.as_deref())?;
        let Iam::User(user) = named.find(desk, &desk.store.snapshot())? else {
            return Err(ApiFault::not_kept(&named.key));
        };
        // Temporary keys are no user's to list.
        let lasting = user.access_keys.iter().filter(|key| key.session_token.is_none());
        let keys = lasting.map(|key| {
            let element = KeyElement {
                user_name: user.name.to_string(),
                access_key_id: key.id.to_string(),
                status: key.status.as_str(),
                create_date: Time(key.created),
            };
            (key.id.to_string(), element)
        });
        Asked { marker: self.marker.as_deref(), max_items: self.max_items }.answer(
            "ListAccessKeys",
            "AccessKeyMetadata",
            keys,
        )
    }
}

impl Action for UpdateAccessKey {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, self.user_name.as_deref())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let status: KeyStatus = self.status.parse().map_err(|_| {
            ApiFault::validation_error(
                "1 validation error detected: Value at 'status' failed to satisfy constraint: \
                 Member must satisfy enum value set: [Active, Inactive]",
            )
        })?;
        change_keys(desk, self.user_name.as_deref(), |keys| {
            let key = keys.iter_mut().find(|key| *key.id == *self.access_key_id);
            key.ok_or_else(|| no_such_key(&self.access_key_id))?.status = status;
            Ok(())
        })
    }
}

impl Action for DeleteAccessKey {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        ask(desk, snapshot, self.user_name.as_deref())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        change_keys(desk, self.user_name.as_deref(), |keys| {
            let place = keys.iter().position(|key| *key.id == *self.access_key_id);
            keys.remove(place.ok_or_else(|| no_such_key(&self.access_key_id))?);
            Ok(())
        })
    }
}
