//! What one described thing says of others: policies, groups, roles, and who may assume them.

use model::{AccountId, CredentialSource, Iam, IamKey, IamKind, Permissions, PolicyArn, Role};
use policy::{
    Cause, Context, DocumentKind, Guardrail, Layers, Policy, Principal, PrincipalKind, Request,
    ResourcePolicies, Verdict, decide,
};
use store::Origin;

use super::{Planned, StartRefusal};
use crate::iam::aws_managed;

/// What EC2 is, to trust policies.
const EC2: &str = "ec2.amazonaws.com";

impl Planned {
    /// Sees that what the file describes names nothing that is not there. What an API made was seen to
    /// then.
    pub(super) fn check_references(&self) -> Result<(), StartRefusal> {
        let described = self.iam.iter().filter(|(_, (_, origin))| *origin == Origin::Config);
        for (key, (kept, _)) in described {
            match kept {
                Iam::Group(group) => self.check_permissions(key, &group.permissions)?,
                Iam::InstanceProfile(profile) => {
                    let role = profile.role.as_ref();
                    if let Some(role) = role.filter(|role| !self.has_role(key.account_id, role)) {
                        let (profile, role) = (key.clone(), role.clone());
                        return Err(StartRefusal::RoleUnknown { profile, role });
                    }
                }
                Iam::Policy(_) => {}
                Iam::Role(role) => self.check_permissions(key, &role.permissions)?,
                Iam::User(user) => {
                    self.check_permissions(key, &user.permissions)?;
                    let is_there = |group: &model::IamName| {
                        let (account_id, name) = (key.account_id, group.clone());
                        let key = IamKey { account_id, kind: IamKind::Group, name };
                        self.iam.contains_key(&key)
                    };
                    if let Some(group) = user.groups.iter().find(|group| !is_there(group)) {
                        let (user, group) = (key.clone(), group.clone());
                        return Err(StartRefusal::GroupUnknown { user, group });
                    }
                }
            }
        }
        Ok(())
    }

    fn check_permissions(
        &self,
        holder: &IamKey,
        permissions: &Permissions,
    ) -> Result<(), StartRefusal> {
        for arn in permissions.attached.iter().chain(&permissions.boundary) {
            if !self.has_policy(holder.account_id, arn) {
                let (holder, policy) = (holder.clone(), arn.clone());
                return Err(StartRefusal::PolicyUnknown { holder, policy });
            }
        }
        Ok(())
    }

    /// Whether a managed policy is there: one of AWS's, or of the account itself.
    fn has_policy(&self, account_id: AccountId, arn: &PolicyArn) -> bool {
        let Some(of) = arn.account_id() else { return aws_managed::find(arn).is_some() };
        let key = IamKey { account_id, kind: IamKind::Policy, name: arn.name().clone() };
        let Some((Iam::Policy(policy), _)) = self.iam.get(&key) else { return false };
        let place = format!(":policy{}{}", policy.path, policy.name);
        of == account_id && arn.as_str().ends_with(&place)
    }

    /// Returns whether EC2 may not assume a role that is described, and that has no credentials but
    /// those that are made here for whoever may.
    pub(super) fn is_kept_from_ec2(&self, account_id: AccountId, role: &model::RoleName) -> bool {
        let key = IamKey { account_id, kind: IamKind::Role, name: role.clone().into() };
        let Some((Iam::Role(role), Origin::Config)) = self.iam.get(&key) else { return false };
        matches!(role.credentials, CredentialSource::BuiltIn { .. }) && !trusts_ec2(role)
    }
}

/// Whether EC2 may assume a role, at least under some condition.
fn trusts_ec2(role: &Role) -> bool {
    let text = role.assume_role_policy_document.as_str();
    let trust = Policy::compile_or_deny("trust policy", DocumentKind::Trust, text);
    let principal = Principal {
        kind: PrincipalKind::Service { name: EC2.to_owned() },
        account: None,
        arn: EC2.to_owned(),
        tags: Vec::new(),
    };
    let (arn, account) = (role.arn("aws"), role.account_id);
    let request = Request::new(principal, "sts:AssumeRole", &arn, account, Context::default());
    let Ok(request) = request else { return false };
    let layers = Layers {
        resource_control: Guardrail::NotInForce,
        service_control: Guardrail::NotInForce,
        resource: ResourcePolicies::Decisive(&trust),
        identity: &[],
        boundary: None,
        session: None,
    };
    match decide(&layers, &request) {
        Verdict::Allowed(_) => true,
        // Which conditions hold is known once an instance asks.
        Verdict::ImplicitDeny(shortfall) => matches!(shortfall.cause, Cause::Condition { .. }),
        Verdict::ExplicitDeny(_) => false,
    }
}
