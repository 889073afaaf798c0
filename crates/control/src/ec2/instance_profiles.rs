//! Instance profiles, and the associations that give them to instances (control plane, 4.6).
//!
//! An instance has one profile or none; metadata shows the role of a new one as soon as the change is
//! in force. An association is nothing but an id for that, kept with the instance.

use model::{
    AssociationId, IamName, Instance, InstanceProfile, InstanceProfileStatus, InstanceState, Scope,
};
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::instance_element::{ProfileElement, derived_id};
use super::instances::{find_instance, parse_instance_id};
use super::launch_parameters::ProfileParameter;
use super::{Action, Desk};
use crate::api::filter::{Filter, Filters, Known, Values};
use crate::api::page::{Bounds, Pager};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// LIMIT: associations of a page. EC2 documents it.
const BOUNDS: Bounds = Bounds { min: 5, max: 1000 };

/// Reads which profile is meant: a name, or an ARN of the caller's account.
///
/// # Errors
///
/// `MissingParameter` or `InvalidParameterValue`; `parameter` names it in them.
pub(crate) fn parse_profile(
    scope: &Scope,
    parameter: &ProfileParameter,
    name: &str,
) -> Result<IamName, ApiFault> {
    match (&parameter.name, &parameter.arn) {
        (Some(text), None) => text.parse().map_err(|_| no_such_name(text, name)),
        (None, Some(arn)) => {
            let prefix = format!(
                "arn:{}:iam::{}:instance-profile/",
                scope.region.partition(),
                scope.account_id
            );
            // What stands between is a path.
            let found = arn.strip_prefix(&prefix).and_then(|rest| rest.rsplit('/').next());
            let found = found.and_then(|found| found.parse().ok());
            found.ok_or_else(|| no_such_arn(arn, name))
        }
        (None, None) => Err(ApiFault::missing_parameter(name)),
        (Some(_), Some(_)) => Err(ApiFault::invalid_parameter_combination(
            "The parameter 'iamInstanceProfile.name' may not be used in combination with \
             'iamInstanceProfile.arn'",
        )),
    }
}

/// Finds a profile.
///
/// # Errors
///
/// `InvalidParameterValue` if there is none.
pub(crate) fn find_profile(
    snapshot: &Snapshot,
    scope: &Scope,
    name: &IamName,
    parameter: &str,
) -> Result<InstanceProfile, ApiFault> {
    let found = snapshot.instance_profile(scope.account_id, name);
    let found = found.ok_or_else(|| no_such_name(name.as_str(), parameter))?;
    Ok(InstanceProfile {
        name: name.clone(),
        id: found.unique_id(),
        role: found.role.clone(),
        status: InstanceProfileStatus::Active,
    })
}

fn no_such_name(text: &str, parameter: &str) -> ApiFault {
    let reason = "Invalid IAM Instance Profile name";
    ApiFault::invalid_value_for(text, &format!("{parameter}.name"), reason)
}

fn no_such_arn(text: &str, parameter: &str) -> ApiFault {
    let reason = "Invalid IAM Instance Profile ARN";
    ApiFault::invalid_value_for(text, &format!("{parameter}.arn"), reason)
}

/// Gives a profile to an instance that has none.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct AssociateIamInstanceProfile {
    iam_instance_profile: ProfileParameter,
    instance_id: String,
}

/// Takes its profile from an instance.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct DisassociateIamInstanceProfile {
    association_id: String,
}

/// Gives another profile to an instance that has one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct ReplaceIamInstanceProfileAssociation {
    association_id: String,
    iam_instance_profile: ProfileParameter,
}

/// Describes the profiles of instances.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeIamInstanceProfileAssociations {
    association_id: Vec<String>,
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssociationAnswer {
    iam_instance_profile_association: AssociationElement,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeAssociationsAnswer {
    iam_instance_profile_association_set: Vec<AssociationElement>,
    next_token: Option<String>,
}

/// `iamInstanceProfileAssociation`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssociationElement {
    association_id: String,
    instance_id: String,
    iam_instance_profile: Option<ProfileElement>,
    state: &'static str,
}

impl AssociationElement {
    /// Writes the association of an instance that has a profile.
    fn new(id: AssociationId, instance: &Instance, state: &'static str) -> Self {
        Self {
            association_id: id.to_string(),
            instance_id: instance.id.to_string(),
            iam_instance_profile: ProfileElement::of(instance),
            state,
        }
    }
}

/// What describes an association. EC2: one that has come to an end is not described.
const ASSOCIATED: &str = "associated";

/// The association of an instance's profile. Instances that were described, and not launched, have
/// none kept, and one that is made of their id.
fn association(instance: &Instance) -> Option<AssociationId> {
    instance.instance_profile.as_ref()?;
    let derived = || derived_id(AssociationId::PREFIX, &instance.id.text()).parse().ok();
    instance.attributes.profile_association.or_else(derived)
}

fn parse_association(text: &str) -> Result<AssociationId, ApiFault> {
    let code = "InvalidAssociationID.Malformed";
    text.parse().map_err(|_| ApiFault::malformed_id(code, text, AssociationId::PREFIX))
}

/// The associations of a scope.
fn associations<'s>(
    snapshot: &'s Snapshot,
    scope: &'s Scope,
) -> impl Iterator<Item = (AssociationId, &'s Instance)> {
    let own = snapshot.instances().filter(|(instance, _)| instance.is_in(scope));
    own.filter_map(|(instance, _)| Some((association(instance)?, &**instance)))
}

fn find_association<'s>(
    snapshot: &'s Snapshot,
    scope: &'s Scope,
    id: AssociationId,
) -> Result<&'s Instance, ApiFault> {
    let found = associations(snapshot, scope).find(|(own, _)| *own == id);
    found.map(|(_, instance)| instance).ok_or_else(|| ApiFault::association_not_found(&id.text()))
}

/// Asks for the instance of an association.
fn ask_on_association(desk: &Desk<'_>, snapshot: &Snapshot, association_id: &str) -> Ask {
    let found = parse_association(association_id)
        .and_then(|id| find_association(snapshot, &desk.scope, id));
    match found {
        Ok(instance) => desk.ask_on_instance(snapshot, &instance.id.text()),
        Err(_) => Ask::on(desk.ec2_arn("instance", "*")),
    }
}

/// Asks to give an instance a profile, and EC2 the role in it.
fn asks_for_profile(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    ask: Ask,
    profile: &ProfileParameter,
) -> Vec<Ask> {
    let pass = desk.ask_to_pass_role(snapshot, Some(profile), &ask.resource);
    let ask = match desk.arn_of_profile(snapshot, profile) {
        Some(arn) => ask.with_text("ec2:NewInstanceProfile", &arn),
        None => ask,
    };
    [ask].into_iter().chain(pass).collect()
}

/// Plans another profile for an instance, or none.
fn associate(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    instance: &Instance,
    new: Option<(AssociationId, InstanceProfile)>,
) -> (Vec<Change>, Instance) {
    let (id, profile) = new.unzip();
    let mut changed = instance.clone();
    changed.attributes.profile_association = id;
    changed.instance_profile = profile.map(Into::into);
    changed.last_modified = desk.now;
    (vec![super::put(snapshot, changed.clone())], changed)
}

impl Action for AssociateIamInstanceProfile {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let ask = desk.ask_on_instance(snapshot, &self.instance_id);
        Ok(asks_for_profile(desk, snapshot, ask, &self.iam_instance_profile))
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let id = parse_instance_id(&self.instance_id)?;
        let name = parse_profile(&desk.scope, &self.iam_instance_profile, PARAMETER)?;
        let association_id = AssociationId::from_number(desk.fresh_number()?);
        let instance = desk.transact(|snapshot| {
            let instance = find_instance(snapshot, &desk.scope, id)?;
            if instance.state == InstanceState::ShuttingDown {
                return Err(ApiFault::incorrect_instance_state(&id.text(), "modified"));
            }
            if association(instance).is_some() {
                return Err(ApiFault::association_exists(&id.text()));
            }
            let profile = find_profile(snapshot, &desk.scope, &name, PARAMETER)?;
            Ok(associate(desk, snapshot, instance, Some((association_id, profile))))
        })?;
        Ok(answer(association_id, &instance, "associating"))
    }
}

impl Action for ReplaceIamInstanceProfileAssociation {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let ask = ask_on_association(desk, snapshot, &self.association_id);
        Ok(asks_for_profile(desk, snapshot, ask, &self.iam_instance_profile))
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let id = parse_association(&self.association_id)?;
        let name = parse_profile(&desk.scope, &self.iam_instance_profile, PARAMETER)?;
        // EC2: the association is another one.
        let association_id = AssociationId::from_number(desk.fresh_number()?);
        let instance = desk.transact(|snapshot| {
            let instance = find_association(snapshot, &desk.scope, id)?;
            let profile = find_profile(snapshot, &desk.scope, &name, PARAMETER)?;
            Ok(associate(desk, snapshot, instance, Some((association_id, profile))))
        })?;
        Ok(answer(association_id, &instance, "associating"))
    }
}

impl Action for DisassociateIamInstanceProfile {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on_association(desk, snapshot, &self.association_id)])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let id = parse_association(&self.association_id)?;
        let instance = desk.transact(|snapshot| {
            let instance = find_association(snapshot, &desk.scope, id)?;
            let (changes, _) = associate(desk, snapshot, instance, None);
            Ok((changes, instance.clone()))
        })?;
        // The profile that it had.
        Ok(answer(id, &instance, "disassociating"))
    }
}

/// How EC2 names the profile of a request in its refusals.
const PARAMETER: &str = "iamInstanceProfile";

fn answer(id: AssociationId, instance: &Instance, state: &'static str) -> Answer {
    let iam_instance_profile_association = AssociationElement::new(id, instance, state);
    Answer::of(AssociationAnswer { iam_instance_profile_association })
}

impl Action for DescribeIamInstanceProfileAssociations {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let ids = self.association_id.iter().map(|text| parse_association(text));
        let ids: Vec<_> = ids.collect::<Result<_, _>>()?;
        let filters = Filters::new(self.filter, &filters())?;
        let (max, token) = (self.max_results, self.next_token.as_deref());
        let pager = Pager::new("DescribeIamInstanceProfileAssociations", BOUNDS, max, token)?;
        let snapshot = desk.store.snapshot();
        for id in &ids {
            find_association(&snapshot, &desk.scope, *id)?;
        }
        let all = associations(&snapshot, &desk.scope);
        let admitted = all
            .filter(|(id, _)| ids.is_empty() || ids.contains(id))
            .filter(|(_, instance)| filters.admit(instance));
        let page = pager.select(
            admitted.map(|(id, instance)| (id, AssociationElement::new(id, instance, ASSOCIATED))),
        );
        Ok(Answer::of(DescribeAssociationsAnswer {
            iam_instance_profile_association_set: page.items,
            next_token: page.next_token,
        }))
    }
}

fn filters() -> [Known<Instance>; 2] {
    [
        Known::new("instance-id", |instance| Values::shown(&instance.id)),
        Known::new("state", |_| ASSOCIATED.into()),
    ]
}

#[cfg(test)]
mod tests;
