//! Versions of launch templates (control plane, 4.8).

use model::{LaunchTemplate, LaunchTemplateId, LaunchTemplateVersion, Scope};
use store::Snapshot;

use super::launch_parameters::TemplateParameter;
use crate::api::ApiFault;

/// Finds the template that is meant: by its id or by its name, and by one of them alone.
///
/// # Errors
///
/// `MissingParameter`, `InvalidParameterCombination`, and the codes of launch templates.
pub(crate) fn find_template<'s>(
    snapshot: &'s Snapshot,
    scope: &Scope,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<&'s LaunchTemplate, ApiFault> {
    match (id, name) {
        (Some(text), None) => {
            let id: LaunchTemplateId =
                text.parse().map_err(|_| ApiFault::launch_template_id_malformed(text))?;
            let found = snapshot.launch_template(scope, id);
            found.ok_or_else(|| ApiFault::launch_template_id_not_found(text))
        }
        (None, Some(name)) => {
            let found = snapshot.launch_templates(scope).find(|of| *of.name == *name);
            found.ok_or_else(|| ApiFault::launch_template_name_not_found(name))
        }
        (None, None) => Err(ApiFault::missing_parameter("LaunchTemplateId or LaunchTemplateName")),
        (Some(_), Some(_)) => Err(ApiFault::invalid_parameter_combination(
            "Specify either a launch template ID or a launch template name, and not both",
        )),
    }
}

/// Finds the version that a launch means: `$Default` if it says none.
///
/// # Errors
///
/// As [`find_template`], and `InvalidLaunchTemplateId.VersionNotFound`.
pub(crate) fn find_version<'s>(
    snapshot: &'s Snapshot,
    scope: &Scope,
    parameter: &TemplateParameter,
) -> Result<&'s LaunchTemplateVersion, ApiFault> {
    let (id, name) = (&parameter.launch_template_id, &parameter.launch_template_name);
    let template = find_template(snapshot, scope, id.as_deref(), name.as_deref())?;
    let text = parameter.version.as_deref().unwrap_or("$Default");
    let number = number_of(template, text);
    let found = number.and_then(|at| snapshot.launch_template_version(scope, template.id, at));
    let template_id = template.id.text();
    found.ok_or_else(|| ApiFault::launch_template_version_not_found(&template_id, text))
}

/// Reads a version: a number, `$Default` or `$Latest`.
pub(crate) fn number_of(template: &LaunchTemplate, text: &str) -> Option<u32> {
    match text {
        "$Default" => Some(template.default_version),
        "$Latest" => Some(template.latest_version),
        number => number.parse().ok(),
    }
}
