//! The documents that are in force, as a command that decides a question itself needs them.

use std::collections::BTreeMap;

use model::{
    AccountId, IamKey, IamKind, IamName, Permissions, PolicyArn, PolicyDocument, PolicyType,
    RoleName, TagKey, Target,
};
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::NativeRefusal;
use crate::authorize::{Control, organization_keys};
use crate::iam::aws_managed;

/// Whose documents are asked for, and what for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyQuestion {
    /// The account of who asks; a service has none.
    #[serde(default)]
    pub account_id: Option<AccountId>,
    /// The user or the role who asks; none is whoever has no identity policies.
    #[serde(default)]
    pub principal: Option<(IamKind, RoleName)>,
    /// What is asked for, such as `ec2:RunInstances`.
    pub asked: String,
    /// The role that the resource is, if it is one that is to be assumed.
    #[serde(default)]
    pub role: Option<RoleName>,
    /// Whose the resource is.
    pub resource_account_id: AccountId,
}

/// A document, with the name that verdicts call it by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedDocument {
    /// The name.
    pub name: String,
    /// The text; one that is empty cannot be read, and denies.
    pub text: String,
}

/// Control policies of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlView {
    /// Levels from the root, each with its policies.
    Levels(Vec<(String, Vec<NamedDocument>)>),
    /// None binds the management account.
    ManagementAccount,
    /// There is no organization, or the type is not in use there.
    #[default]
    NotInForce,
}

/// What is in force for a question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoliciesInForce {
    /// The tags of who asks.
    pub tags: BTreeMap<TagKey, Box<str>>,
    /// Condition keys that follow from where the account is in the organization.
    pub keys: Vec<(String, String)>,
    /// What is attached to who asks, to its groups or its role.
    pub identity: Vec<NamedDocument>,
    /// The permissions boundary.
    pub boundary: Option<NamedDocument>,
    /// The trust policy of the role that the resource is.
    pub trust: Option<NamedDocument>,
    /// Service control policies on the way to the account of who asks.
    pub service_control: ControlView,
    /// Resource control policies on the way to the account of the resource.
    pub resource_control: ControlView,
}

/// Gathers what is in force for a question.
///
/// # Errors
///
/// [`NativeRefusal::PrincipalUnknown`].
pub(super) fn policies_in_force(
    snapshot: &Snapshot,
    question: &PolicyQuestion,
) -> Result<PoliciesInForce, NativeRefusal> {
    let mut found = PoliciesInForce::default();
    if let Some(account_id) = question.account_id {
        if let Some((kind, name)) = &question.principal {
            found.take_principal(snapshot, account_id, *kind, name)?;
        }
        found.keys = organization_keys(snapshot, account_id);
        let control = Control::of(snapshot, account_id, PolicyType::ServiceControlPolicy);
        let levels = snapshot.organization().map(|of| of.way_to(account_id));
        found.service_control =
            view(snapshot, &control, &levels.unwrap_or_default(), PolicyType::ServiceControlPolicy);
    }
    let of_resource = question.resource_account_id;
    let control = Control::of_resources(snapshot, &question.asked, of_resource);
    let levels = snapshot.organization().map(|of| of.way_to(of_resource)).unwrap_or_default();
    found.resource_control = view(snapshot, &control, &levels, PolicyType::ResourceControlPolicy);
    if let Some(name) = question.role.as_ref() {
        let role = snapshot.role(of_resource, name);
        let role = role.ok_or_else(|| unknown(of_resource, IamKind::Role, name))?;
        let name = format!("trust policy of {name}");
        found.trust = Some(named(name, role.assume_role_policy_document.as_str()));
    }
    Ok(found)
}

fn unknown(account_id: AccountId, kind: IamKind, name: &RoleName) -> NativeRefusal {
    let name = IamName::from(name.clone());
    NativeRefusal::PrincipalUnknown(IamKey { account_id, kind, name })
}

fn named(name: impl Into<String>, text: &str) -> NamedDocument {
    NamedDocument { name: name.into(), text: text.to_owned() }
}

impl PoliciesInForce {
    fn take_principal(
        &mut self,
        snapshot: &Snapshot,
        account_id: AccountId,
        kind: IamKind,
        name: &RoleName,
    ) -> Result<(), NativeRefusal> {
        let refused = || unknown(account_id, kind, name);
        if kind == IamKind::Role {
            let role = snapshot.role(account_id, name).ok_or_else(refused)?;
            self.tags.clone_from(&role.tags);
            self.take(snapshot, &role.permissions);
            return Ok(());
        }
        let administrator = snapshot.administrator().map(store::Administrator::user);
        let administrator =
            administrator.filter(|user| user.account_id == account_id && user.name == *name);
        let user = snapshot.user(account_id, name).map(|user| (**user).clone());
        let user = user.or(administrator).ok_or_else(refused)?;
        self.tags.clone_from(&user.tags);
        self.take(snapshot, &user.permissions);
        for group in user.groups.iter().filter_map(|name| snapshot.group(account_id, name)) {
            let of_group = Permissions { boundary: None, ..group.permissions.clone() };
            let boundary = self.boundary.take();
            self.take(snapshot, &of_group);
            self.boundary = boundary;
        }
        Ok(())
    }

    fn take(&mut self, snapshot: &Snapshot, permissions: &Permissions) {
        let attached = permissions.attached.iter().map(|arn| managed(snapshot, arn));
        let inline = permissions.inline.iter();
        let inline = inline
            .map(|(name, text): (&IamName, &PolicyDocument)| named(name.as_str(), text.as_str()));
        self.identity.extend(attached.chain(inline));
        self.boundary = permissions.boundary.as_ref().map(|arn| managed(snapshot, arn));
    }
}

/// The document of a managed policy, an account's or AWS's.
fn managed(snapshot: &Snapshot, arn: &PolicyArn) -> NamedDocument {
    let text = match arn.account_id() {
        Some(account_id) => {
            let policy = snapshot.managed_policy(account_id, arn.name());
            policy.map(|policy| policy.document().to_owned())
        }
        None => aws_managed::document(arn).map(str::to_owned),
    };
    named(arn.name().as_str(), &text.unwrap_or_default())
}

fn view(
    snapshot: &Snapshot,
    control: &Control<'_>,
    way: &[Target],
    type_: PolicyType,
) -> ControlView {
    let level = |target: &Target| {
        let of_type = snapshot.control_policies().map(|(policy, _)| policy);
        let attached = of_type
            .filter(|policy| policy.type_ == type_ && policy.targets.contains(target))
            .map(|policy| named(&*policy.name, policy.content.as_str()));
        (target.to_string(), attached.collect())
    };
    match control {
        Control::Levels(_) => ControlView::Levels(way.iter().map(level).collect()),
        Control::ManagementAccount => ControlView::ManagementAccount,
        Control::NotInForce => ControlView::NotInForce,
    }
}
