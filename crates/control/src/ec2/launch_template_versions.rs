//! Versions of launch templates (control plane, 4.8). A version never changes, and its number never
//! comes again.

use std::collections::BTreeSet;

use model::{
    LaunchTemplate, LaunchTemplateId, LaunchTemplateVersion, Line, Resource, ResourceKey, Scope,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::client_token::Once;
use super::launch_parameters::{LaunchParameters, TemplateParameter};
use super::launch_template_data::{self, Element};
use super::launch_templates::WarningElement;
use super::text::parse_description;
use super::{Action, Desk};
use crate::api::xml::Time;
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// LIMIT: versions of a template. EC2 documents it.
const VERSIONS_MAX: usize = 10_000;

/// LIMIT: versions of one request to delete them. EC2 documents it.
const DELETED_MAX: usize = 200;

/// Adds a version to a template.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(dead_code, reason = "what is let pass is not read")]
pub(crate) struct CreateLaunchTemplateVersion {
    client_token: Option<String>,
    /// Looked at here for its form, and kept word for word.
    #[serde(rename = "LaunchTemplateData")]
    _data: LaunchParameters,
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    resolve_alias: Option<IgnoredAny>,
    source_version: Option<String>,
    version_description: Option<String>,
}

/// Forgets versions, but not the default one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names of the parameters")]
pub(crate) struct DeleteLaunchTemplateVersions {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    launch_template_version: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateLaunchTemplateVersionAnswer {
    launch_template_version: VersionElement,
    warning: Option<WarningElement>,
}

/// A version as the EC2 API shows it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionElement {
    launch_template_id: String,
    launch_template_name: String,
    version_number: u32,
    version_description: Option<String>,
    create_time: Time,
    created_by: String,
    default_version: bool,
    launch_template_data: Element,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeleteLaunchTemplateVersionsAnswer {
    successfully_deleted_launch_template_version_set: Vec<DeletedElement>,
    unsuccessfully_deleted_launch_template_version_set: Vec<DeletedElement>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeletedElement {
    launch_template_id: String,
    launch_template_name: String,
    version_number: Option<u32>,
    response_error: Option<DeletionError>,
}

#[derive(Serialize)]
struct DeletionError {
    code: &'static str,
    message: String,
}

impl VersionElement {
    /// Shows a version of a template.
    ///
    /// # Errors
    ///
    /// An internal one if it holds what creation refuses.
    pub(crate) fn new(
        template: &LaunchTemplate,
        version: &LaunchTemplateVersion,
    ) -> Result<Self, ApiFault> {
        Ok(Self {
            launch_template_id: template.id.to_string(),
            launch_template_name: template.name.to_string(),
            version_number: version.version,
            version_description: version.description.as_ref().map(ToString::to_string),
            create_time: Time(version.created),
            created_by: version.created_by.to_string(),
            default_version: version.version == template.default_version,
            launch_template_data: launch_template_data::shown(&version.parameters)?,
        })
    }
}

/// Asks for the template that is meant.
pub(crate) fn ask_on_template(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    id: Option<&str>,
    name: Option<&str>,
) -> Ask {
    match find_template(snapshot, &desk.scope, id, name) {
        Ok(template) => desk.ask_on(snapshot, "launch-template", &template.id.text()),
        Err(_) => Ask::on(desk.ec2_arn("launch-template", id.unwrap_or("*"))),
    }
}

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
    version_of(snapshot, scope, template, text)
}

/// Finds a version by what a request calls it.
///
/// # Errors
///
/// `InvalidLaunchTemplateId.VersionNotFound`.
pub(crate) fn version_of<'s>(
    snapshot: &'s Snapshot,
    scope: &Scope,
    template: &LaunchTemplate,
    text: &str,
) -> Result<&'s LaunchTemplateVersion, ApiFault> {
    let number = number_of(snapshot, scope, template, text);
    let found = number.and_then(|at| snapshot.launch_template_version(scope, template.id, at));
    found.ok_or_else(|| ApiFault::launch_template_version_not_found(&template.id.text(), text))
}

/// Reads a version: a number, `$Default` or `$Latest`.
pub(crate) fn number_of(
    snapshot: &Snapshot,
    scope: &Scope,
    template: &LaunchTemplate,
    text: &str,
) -> Option<u32> {
    match text {
        "$Default" => Some(template.default_version),
        "$Latest" => Some(latest_of(snapshot, scope, template)),
        number => parse_number(number),
    }
}

/// Reads the number of a version.
pub(crate) fn parse_number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.starts_with(|c: char| c.is_ascii_digit()))
}

/// The highest version that a template has. The default one cannot be deleted, so there is one.
pub(crate) fn latest_of(snapshot: &Snapshot, scope: &Scope, template: &LaunchTemplate) -> u32 {
    let is_there = |number: &u32| {
        snapshot.launch_template_version(scope, template.id, *number).is_some()
    };
    let numbers = template.default_version..=template.latest_version;
    numbers.rev().find(is_there).unwrap_or(template.default_version)
}

impl Action for CreateLaunchTemplateVersion {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on_template(desk, snapshot, self.launch_template_id.as_deref(), self.launch_template_name.as_deref())])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let answer = desk.transact(|snapshot| {
            let (id, name) = (&self.launch_template_id, &self.launch_template_name);
            let template = find_template(snapshot, &desk.scope, id.as_deref(), name.as_deref())?;
            let token = self.client_token.as_deref();
            let (changes, version) = match desk.once(snapshot, VERSION_ACTION, token)? {
                Once::Done(outcome) => {
                    let text = outcome.get(1).map_or("", |number| &**number);
                    let version = version_of(snapshot, &desk.scope, template, text)?;
                    (Vec::new(), version.clone())
                }
                Once::New(token) => self.create(desk, snapshot, template, token)?,
            };
            let warning = WarningElement::of(&version);
            let launch_template_version = VersionElement::new(template, &version)?;
            Ok((changes, CreateLaunchTemplateVersionAnswer { launch_template_version, warning }))
        })?;
        Ok(Answer::of(answer))
    }
}

const VERSION_ACTION: &str = "CreateLaunchTemplateVersion";

impl CreateLaunchTemplateVersion {
    fn create(
        &self,
        desk: &Desk<'_>,
        snapshot: &Snapshot,
        template: &LaunchTemplate,
        token: Option<Line>,
    ) -> Result<(Vec<Change>, LaunchTemplateVersion), ApiFault> {
        let source = self.source_version.as_deref();
        let source = source.map(|text| version_of(snapshot, &desk.scope, template, text));
        let parameters = launch_template_data::taken(desk.parameters, source.transpose()?)?;
        let description = self.version_description.as_deref().map(parse_description).transpose()?;
        // There are no more than there have been numbers.
        let is_near = usize::try_from(template.latest_version).is_ok_and(|n| n >= VERSIONS_MAX);
        let own = |version: &&LaunchTemplateVersion| version.launch_template_id == template.id;
        let count = || snapshot.launch_template_versions(&desk.scope).filter(own).count();
        if is_near && count() >= VERSIONS_MAX {
            return Err(ApiFault::new(
                "VersionLimitExceeded",
                400,
                "The launch template has 10000 versions, as many as it may have. Delete some.",
            ));
        }
        let number = template.latest_version.checked_add(1).ok_or_else(ApiFault::internal)?;
        let version = LaunchTemplateVersion {
            launch_template_id: template.id,
            version: number,
            description: description.flatten(),
            created: desk.now,
            created_by: desk.caller.line(),
            parameters,
        };
        let template = LaunchTemplate { latest_version: number, ..template.clone() };
        let outcome = [template.id.to_string(), number.to_string()];
        let mut changes = vec![
            desk.put(Resource::LaunchTemplate(template)),
            desk.put(Resource::LaunchTemplateVersion(version.clone())),
        ];
        changes.extend(desk.done(VERSION_ACTION, token, outcome)?);
        Ok((changes, version))
    }
}

impl Action for DeleteLaunchTemplateVersions {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on_template(desk, snapshot, self.launch_template_id.as_deref(), self.launch_template_name.as_deref())])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        if self.launch_template_version.len() > DELETED_MAX {
            return Err(ApiFault::invalid_parameter_value(
                "A request deletes at most 200 versions of a launch template.",
            ));
        }
        let (id, name) = (&self.launch_template_id, &self.launch_template_name);
        let answer = desk.transact(|snapshot| {
            let template = find_template(snapshot, &desk.scope, id.as_deref(), name.as_deref())?;
            let mut changes = Vec::new();
            let (mut deleted, mut kept) = (Vec::new(), Vec::new());
            let mut seen = BTreeSet::new();
            for text in &self.launch_template_version {
                let element = |version_number, response_error| DeletedElement {
                    launch_template_id: template.id.to_string(),
                    launch_template_name: template.name.to_string(),
                    version_number,
                    response_error,
                };
                match deletable(desk, snapshot, template, text) {
                    Ok(number) if seen.insert(number) => {
                        let key = ResourceKey::LaunchTemplateVersion(template.id, number);
                        changes.push(Change::DeleteResource(desk.scope.clone(), key));
                        deleted.push(element(Some(number), None));
                    }
                    Ok(_) => {}
                    Err(error) => kept.push(element(parse_number(text), Some(error))),
                }
            }
            let answer = DeleteLaunchTemplateVersionsAnswer {
                successfully_deleted_launch_template_version_set: deleted,
                unsuccessfully_deleted_launch_template_version_set: kept,
            };
            Ok((changes, answer))
        })?;
        Ok(Answer::of(answer))
    }
}

fn deletable(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    template: &LaunchTemplate,
    text: &str,
) -> Result<u32, DeletionError> {
    let version = version_of(snapshot, &desk.scope, template, text).map_err(|fault| {
        DeletionError { code: "launchTemplateVersionDoesNotExist", message: fault.message }
    })?;
    if version.version == template.default_version {
        let message = "The default version of a launch template cannot be deleted: make another \
                       version the default one first";
        return Err(DeletionError { code: "unexpectedError", message: message.to_owned() });
    }
    Ok(version.version)
}
