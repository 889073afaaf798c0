//! Managed policies that are attached to groups, roles and users, or bound them.

use model::{Iam, IamKind, Permissions, PolicyArn};
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::aws_managed;
use super::limits;
use super::listing::Asked;
use super::named::{BOUNDARY_KEY, Named, permissions, permissions_mut};
use super::words;
use crate::action::{Action, Desk};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// The condition key that has the ARN of a policy that is attached or detached.
const POLICY_KEY: &str = "iam:PolicyARN";

/// Finds a policy that is to be attached, or to bound: of AWS, or of the caller's account.
///
/// # Errors
///
/// `InvalidInput`, or `NoSuchEntity`.
pub(crate) fn find_attachable(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    text: &str,
) -> Result<PolicyArn, ApiFault> {
    let arn = words::parse_policy_arn(text)?;
    let is_there = match arn.account_id() {
        None => aws_managed::find(&arn).is_some(),
        Some(_) => Named::new(desk, IamKind::Policy, text)?.find(desk, snapshot).is_ok(),
    };
    let is_here = text.starts_with(&format!("arn:{}:", desk.scope.region.partition()));
    if is_there && is_here { Ok(arn) } else { Err(ApiFault::policy_not_attachable(text)) }
}

/// What must go before something with permissions can be deleted, if anything.
pub(crate) fn left(permissions: &Permissions) -> Option<&'static str> {
    if !permissions.attached.is_empty() {
        Some("detach all policies first")
    } else if !permissions.inline.is_empty() {
        Some("delete policies first")
    } else {
        None
    }
}

fn attach(desk: &Desk<'_>, named: &Named, text: &str) -> Result<Answer, ApiFault> {
    let limits::Quota { name, most } = limits::attached(named.key.kind);
    named.change(desk, |snapshot, kept| {
        let arn = find_attachable(desk, snapshot, text)?;
        let Some(Permissions { attached, .. }) = permissions_mut(kept) else { return Ok(()) };
        if attached.insert(arn) && attached.len() > most {
            return Err(ApiFault::quota_exceeded(name, most));
        }
        Ok(())
    })
}

fn detach(desk: &Desk<'_>, named: &Named, text: &str) -> Result<Answer, ApiFault> {
    let arn = words::parse_policy_arn(text)?;
    named.change(desk, |_, kept| {
        if permissions_mut(kept).is_some_and(|of| of.attached.remove(&arn)) {
            return Ok(());
        }
        Err(ApiFault::policy_not_found(text))
    })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachedElement {
    policy_name: String,
    policy_arn: String,
}

/// The path of a policy, as its ARN tells it.
pub(crate) fn path_of(arn: &PolicyArn) -> &str {
    let rest = arn.as_str().split_once(":policy").map_or("", |(_, rest)| rest);
    rest.strip_suffix(arn.name().as_str()).unwrap_or("/")
}

fn list(
    desk: &Desk<'_>,
    named: &Named,
    action: &'static str,
    prefix: Option<&str>,
    asked: &Asked<'_>,
) -> Result<Answer, ApiFault> {
    let prefix = words::parse_prefix(prefix)?;
    let kept = named.find(desk, &desk.store.snapshot())?;
    let attached = permissions(&kept).into_iter().flat_map(|of| &of.attached);
    let shown = attached.filter(|arn| path_of(arn).starts_with(prefix)).map(|arn| {
        let (policy_name, policy_arn) = (arn.name().to_string(), arn.to_string());
        (policy_arn.clone(), AttachedElement { policy_name, policy_arn })
    });
    asked.answer(action, "AttachedPolicies", shown)
}

/// Declares the actions on the attached policies of a kind, which requests call by the name `$named`.
macro_rules! attachments {
    ($($kind:ident $named:ident: $attach:ident, $detach:ident, $list:ident;)+) => { $(
        /// Attaches a managed policy.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $attach {
            $named: String,
            policy_arn: String,
        }

        /// Detaches a managed policy.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $detach {
            $named: String,
            policy_arn: String,
        }

        /// Lists the managed policies that are attached.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $list {
            $named: String,
            path_prefix: Option<String>,
            marker: Option<String>,
            max_items: Option<i64>,
        }

        impl Action for $attach {
            fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                let ask = named.ask_with_boundary(desk, snapshot);
                Ok(vec![ask.with_text(POLICY_KEY, &self.policy_arn)])
            }

            fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                attach(desk, &named, &self.policy_arn)
            }
        }

        impl Action for $detach {
            fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                let ask = named.ask_with_boundary(desk, snapshot);
                Ok(vec![ask.with_text(POLICY_KEY, &self.policy_arn)])
            }

            fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                detach(desk, &named, &self.policy_arn)
            }
        }

        impl Action for $list {
            fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
                Ok(vec![Named::new(desk, IamKind::$kind, &self.$named)?.ask(desk, snapshot)])
            }

            fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                let asked = Asked { marker: self.marker.as_deref(), max_items: self.max_items };
                list(desk, &named, stringify!($list), self.path_prefix.as_deref(), &asked)
            }
        }
    )+ };
}

attachments! {
    Group group_name: AttachGroupPolicy, DetachGroupPolicy, ListAttachedGroupPolicies;
    Role role_name: AttachRolePolicy, DetachRolePolicy, ListAttachedRolePolicies;
    User user_name: AttachUserPolicy, DetachUserPolicy, ListAttachedUserPolicies;
}

/// Declares the actions on what bounds the permissions of a kind.
macro_rules! boundaries {
    ($($kind:ident $named:ident: $put:ident, $delete:ident;)+) => { $(
        /// Bounds the permissions by a managed policy.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $put {
            $named: String,
            permissions_boundary: String,
        }

        /// Leaves the permissions without bounds.
        #[derive(Debug, Deserialize)]
        #[serde(rename_all = "PascalCase", deny_unknown_fields)]
        pub(crate) struct $delete {
            $named: String,
        }

        impl Action for $put {
            /// The key has what is to bound, not what did.
            fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
                let ask = Named::new(desk, IamKind::$kind, &self.$named)?.ask(desk, snapshot);
                Ok(vec![ask.with_text(BOUNDARY_KEY, &self.permissions_boundary)])
            }

            fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                named.change(desk, |snapshot, kept| {
                    let arn = find_attachable(desk, snapshot, &self.permissions_boundary)?;
                    bound(kept, Some(arn));
                    Ok(())
                })
            }
        }

        impl Action for $delete {
            fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                Ok(vec![named.ask_with_boundary(desk, snapshot)])
            }

            fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
                let named = Named::new(desk, IamKind::$kind, &self.$named)?;
                named.change(desk, |_, kept| {
                    bound(kept, None);
                    Ok(())
                })
            }
        }
    )+ };
}

fn bound(kept: &mut Iam, boundary: Option<PolicyArn>) {
    if let Some(permissions) = permissions_mut(kept) {
        permissions.boundary = boundary;
    }
}

boundaries! {
    Role role_name: PutRolePermissionsBoundary, DeleteRolePermissionsBoundary;
    User user_name: PutUserPermissionsBoundary, DeleteUserPermissionsBoundary;
}
