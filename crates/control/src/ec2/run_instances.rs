//! `RunInstances` (control plane, 4.2).

mod asked;

use model::{Instance, OptionsChange};
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use self::asked::AskedLaunch;
use super::client_token::Once;
use super::instance_element::{GroupElement, InstanceElement};
use super::instances::{find_all, parse_instance_ids};
use super::launch::{self, Asked, Templated};
use super::launch_parameters::{LaunchParameters, overlaid};
use super::launch_template_versions::find_version;
use super::metadata_options::{OptionsParameter, OptionsState};
use super::{Action, Desk};
use crate::api::form::Tree;
use crate::api::route::Service;
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

const ACTION: &str = "RunInstances";

/// Launches instances.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct RunInstances(LaunchParameters);

/// A reservation: EC2 answers it without a list around it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunInstancesAnswer {
    reservation_id: String,
    owner_id: String,
    group_set: Vec<GroupElement>,
    instances_set: Vec<InstanceElement>,
}

impl Action for RunInstances {
    fn check_form(&self) -> Result<(), ApiFault> {
        let Self(LaunchParameters { image_id, launch_template, max_count, min_count, .. }) = self;
        let has_image = image_id.is_some() || launch_template.is_some();
        let required = [
            ("ImageId", has_image),
            ("MaxCount", max_count.is_some()),
            ("MinCount", min_count.is_some()),
        ];
        match required.iter().find(|(_, is_there)| !is_there) {
            Some((name, _)) => Err(ApiFault::missing_parameter(name)),
            None => Ok(()),
        }
    }

    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let Self(request) = self;
        let requested = request.metadata_options.as_ref().map(OptionsParameter::parse);
        // What cannot be read is refused once it is known who may read that it is.
        let requested = requested.and_then(Result::ok);
        let merged = merged(desk, snapshot, request).ok().flatten();
        let (parameters, templated) = match &merged {
            Some((parameters, templated)) => (parameters, Some(templated)),
            None => (request, None),
        };
        let options = [requested, templated.map(|templated| templated.options)];
        let template = templated.map(|templated| templated.used.launch_template_id.to_string());
        Ok(AskedLaunch { desk, snapshot, parameters, options, template, own: request }.asks())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let Self(request) = self;
        let requested = request.metadata_options.as_ref().map(OptionsParameter::parse);
        let requested = requested.transpose()?.unwrap_or_default();
        let (reservation_id, instances) =
            desk.transact(|snapshot| launch_once(desk, snapshot, &request, requested))?;
        let ids: Vec<_> = instances.iter().map(|instance| instance.id).collect();
        // Where a machine takes long, it is pending for longer.
        let _ = desk.surroundings.settles_states(&ids);
        let element = |instance| InstanceElement::new(instance, OptionsState::Pending);
        Ok(Answer::of(RunInstancesAnswer {
            reservation_id,
            owner_id: desk.scope.account_id.to_string(),
            group_set: Vec::new(),
            instances_set: instances.iter().map(element).collect(),
        }))
    }
}

type Launched = (Vec<Change>, (String, Vec<Instance>));

/// Plans a launch, unless its client token stands for one that has been made.
fn launch_once(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    request: &LaunchParameters,
    requested: OptionsChange,
) -> Result<Launched, ApiFault> {
    let token = match desk.once(snapshot, ACTION, request.client_token.as_deref())? {
        Once::Done(outcome) => return launched_before(desk, snapshot, &outcome),
        Once::New(token) => token,
    };
    let merged = merged(desk, snapshot, request)?;
    let (parameters, templated) = match merged {
        Some((ref parameters, templated)) => (parameters, Some(templated)),
        None => (request, None),
    };
    let asked = Asked { parameters, options: requested, templated, operator: None };
    let planned = launch::plan(desk, snapshot, asked);
    let (mut changes, launched) = planned?;
    let reservation_id = launched.reservation_id.to_string();
    let made = launched.instances.iter().map(|instance| instance.id.to_string());
    changes.extend(desk.done(ACTION, token, [reservation_id.clone()].into_iter().chain(made))?);
    Ok((changes, (reservation_id, launched.instances)))
}

/// Lays what the request says over what its launch template says; nothing if it names none.
fn merged(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    request: &LaunchParameters,
) -> Result<Option<(LaunchParameters, Templated)>, ApiFault> {
    let Some(template) = &request.launch_template else { return Ok(None) };
    let version = find_version(snapshot, &desk.scope, template)?;
    let of_template = version.parameters.iter().map(|(name, value)| (&**name, &**value));
    let own = desk.parameters.parameters();
    let own = own.iter().map(|(name, value)| (name.as_str(), *value));
    let merged = read(overlaid(of_template.clone(), own))?;
    let used = model::TemplateUsed {
        launch_template_id: version.launch_template_id,
        version: version.version,
    };
    Ok(Some((merged, Templated { used, options: options_of(read(of_template)?)? })))
}

/// What a launch with the same client token made: its reservation, then its instances.
fn launched_before(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    outcome: &[model::Line],
) -> Result<Launched, ApiFault> {
    let mut outcome = outcome.iter().map(ToString::to_string);
    let reservation_id = outcome.next().unwrap_or_default();
    let ids = parse_instance_ids(&outcome.collect::<Vec<_>>())?;
    let instances = find_all(snapshot, &desk.scope, &ids)?.into_iter().cloned().collect();
    Ok((Vec::new(), (reservation_id, instances)))
}

fn read<'a>(
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<LaunchParameters, ApiFault> {
    Ok(Tree::from_parameters(parameters)?.read(Service::Ec2.dialect())?)
}

fn options_of(parameters: LaunchParameters) -> Result<OptionsChange, ApiFault> {
    let options = parameters.metadata_options.map(|options| options.parse());
    Ok(options.transpose()?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
