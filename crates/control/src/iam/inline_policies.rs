//! Policies that are written into groups, roles and users.

use model::{IamKind, IamName, Permissions, PolicyDocument};
use policy::DocumentKind;
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::elements::encoded;
use super::listing::Asked;
use super::named::{Named, permissions, permissions_mut};
use super::words;
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

fn parse_policy_name(text: &str) -> Result<IamName, ApiFault> {
    words::parse_name(IamKind::Policy, text)
}

const fn document_kind(kind: IamKind) -> DocumentKind {
    match kind {
        IamKind::Group => DocumentKind::GroupInline,
        IamKind::Role => DocumentKind::RoleInline,
        IamKind::InstanceProfile | IamKind::Policy | IamKind::User => DocumentKind::UserInline,
    }
}

fn not_found(kind: IamKind, name: &IamName) -> ApiFault {
    ApiFault::no_such_entity(format!("The {kind} policy with name {name} cannot be found."))
}

fn put(desk: &Desk<'_>, named: &Named, name: &str, document: &str) -> Result<Answer, ApiFault> {
    let (name, kind) = (parse_policy_name(name)?, document_kind(named.key.kind));
    let document = words::parse_document(kind, document)?;
    named.change(desk, |_, kept| {
        let Some(Permissions { inline, .. }) = permissions_mut(kept) else { return Ok(()) };
        inline.insert(name, document);
        words::check_inline_size(kind, &named.key, inline.values())
    })
}

fn delete(desk: &Desk<'_>, named: &Named, name: &str) -> Result<Answer, ApiFault> {
    let name = parse_policy_name(name)?;
    named.change(desk, |_, kept| {
        let removed = permissions_mut(kept).and_then(|of| of.inline.remove(&name));
        removed.map(drop).ok_or_else(|| not_found(named.key.kind, &name))
    })
}

fn find(desk: &Desk<'_>, named: &Named, name: &str) -> Result<(String, String), ApiFault> {
    let name = parse_policy_name(name)?;
    let kept = named.find(desk, &desk.store.snapshot())?;
    let document: Option<&PolicyDocument> =
        permissions(&kept).and_then(|of| of.inline.get(&name));
    let document = document.ok_or_else(|| not_found(named.key.kind, &name))?;
    Ok((name.to_string(), encoded(document)))
}

fn list(
    desk: &Desk<'_>,
    named: &Named,
    action: &'static str,
    asked: &Asked<'_>,
) -> Result<Answer, ApiFault> {
    let kept = named.find(desk, &desk.store.snapshot())?;
    let inline = permissions(&kept).into_iter().flat_map(|of| of.inline.keys());
    asked.answer(action, "PolicyNames", inline.map(|name| (name.to_string(), name.to_string())))
}

/// Declares the actions on the inline policies of a kind, which requests call by the name `$named`.
macro_rules! inline_policies {
    ($($kind:ident $named:ident: $put:ident, $get:ident, $list:ident, $delete:ident;)+) => { $(
        /// Writes a policy, in place of the one with its name.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $put {
            $named: String,
            policy_name: String,
            policy_document: String,
        }

        /// Shows a policy.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $get {
            $named: String,
            policy_name: String,
        }

        /// Lists the names of policies.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $list {
            $named: String,
            marker: Option<String>,
            max_items: Option<i64>,
        }

        /// Deletes a policy.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $delete {
            $named: String,
            policy_name: String,
        }

        impl Action for $put {
            fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                Ok(vec![named.ask_with_boundary(desk, snapshot)])
            }

            fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                put(desk, &named, &self.policy_name, &self.policy_document)
            }
        }

        impl Action for $get {
            fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
                Ok(vec![Named::new(desk, IamKind::$kind, &self.$named)?.ask(desk, snapshot)])
            }

            fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
                #[derive(Serialize)]
                #[serde(rename_all = "PascalCase")]
                struct Found {
                    $named: String,
                    policy_name: String,
                    policy_document: String,
                }

                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                let (policy_name, policy_document) = find(desk, &named, &self.policy_name)?;
                Ok(Answer::of(Found { $named: self.$named, policy_name, policy_document }))
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

        impl Action for $delete {
            fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                Ok(vec![named.ask_with_boundary(desk, snapshot)])
            }

            fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                delete(desk, &named, &self.policy_name)
            }
        }
    )+ };
}

inline_policies! {
    Group group_name: PutGroupPolicy, GetGroupPolicy, ListGroupPolicies, DeleteGroupPolicy;
    Role role_name: PutRolePolicy, GetRolePolicy, ListRolePolicies, DeleteRolePolicy;
    User user_name: PutUserPolicy, GetUserPolicy, ListUserPolicies, DeleteUserPolicy;
}
