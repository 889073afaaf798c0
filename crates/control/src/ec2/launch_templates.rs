//! Launch templates (control plane, 4.8).

use std::collections::BTreeSet;

use model::{
    LaunchTemplate, LaunchTemplateId, LaunchTemplateVersion, Line, Resource, ResourceKey,
};
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot};

use super::client_token::Once;
use super::instance_element::{TagElement, tag_elements};
use super::launch_parameters::{LaunchParameters, TagSpecification};
use super::launch_template_versions::{ask_on_template, find_template, latest_of, number_of};
use super::text::parse_description;
use super::{Action, Desk, launch_template_data, tags};
use crate::api::filter::{Filter, Filters, Known, Values};
use crate::api::page::{Bounds, Page, Pager};
use crate::api::xml::{Time, written_time};
use crate::api::{Answer, ApiFault, Dialect};
use crate::authorize::Ask;

/// LIMIT: templates, or versions, of a page. EC2 documents it.
pub(crate) const BOUNDS: Bounds = Bounds { min: 1, max: 200 };

/// Creates a template and its first version.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct CreateLaunchTemplate {
    client_token: Option<String>,
    /// Looked at here for its form, and kept word for word.
    #[serde(rename = "LaunchTemplateData")]
    _data: LaunchParameters,
    launch_template_name: String,
    #[serde(default)]
    tag_specification: Vec<TagSpecification>,
    version_description: Option<String>,
}

/// Makes another version the default one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct ModifyLaunchTemplate {
    client_token: Option<String>,
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    set_default_version: Option<String>,
}

/// Forgets a template and its versions.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DeleteLaunchTemplate {
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
}

/// Describes templates, but not what they hold.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeLaunchTemplates {
    filter: Vec<Filter>,
    launch_template_id: Vec<String>,
    launch_template_name: Vec<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LaunchTemplateAnswer {
    launch_template: LaunchTemplateElement,
    warning: Option<WarningElement>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeLaunchTemplatesAnswer {
    launch_templates: Vec<LaunchTemplateElement>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LaunchTemplateElement {
    launch_template_id: String,
    launch_template_name: String,
    create_time: Time,
    created_by: String,
    default_version_number: u32,
    latest_version_number: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tag_set: Vec<TagElement>,
}

/// What is wrong with what was kept all the same.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WarningElement {
    error_set: Vec<ErrorElement>,
}

#[derive(Serialize)]
struct ErrorElement {
    code: String,
    message: String,
}

impl WarningElement {
    pub(crate) fn of(version: &LaunchTemplateVersion) -> Option<Self> {
        let fault = launch_template_data::objection(&version.parameters)?;
        let error = ErrorElement { code: fault.code.into_owned(), message: fault.message };
        Some(Self { error_set: vec![error] })
    }
}

impl LaunchTemplateElement {
    fn new(desk: &Desk<'_>, snapshot: &Snapshot, template: &LaunchTemplate) -> Self {
        let latest = latest_of(snapshot, &desk.scope, template);
        Self::with_latest(template, latest, tags::of(snapshot, &desk.scope, &template.id.text()))
    }

    fn with_latest(template: &LaunchTemplate, latest: u32, tags: &tags::Tags) -> Self {
        Self {
            launch_template_id: template.id.to_string(),
            launch_template_name: template.name.to_string(),
            create_time: Time(template.created),
            created_by: template.created_by.to_string(),
            default_version_number: template.default_version,
            latest_version_number: latest,
            tag_set: tag_elements(tags),
        }
    }
}

impl Action for CreateLaunchTemplate {
    fn asks(&self, desk: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        let mut asks = vec![Ask::on(desk.ec2_arn("launch-template", "*"))];
        asks.extend(desk.asks_to_tag(&self.tag_specification, "CreateLaunchTemplate"));
        Ok(asks)
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let answer = desk.transact(|snapshot| {
            let token = self.client_token.as_deref();
            match desk.once(snapshot, "CreateLaunchTemplate", token)? {
                Once::Done(outcome) => Ok((Vec::new(), created_before(desk, snapshot, &outcome)?)),
                Once::New(token) => self.create(desk, snapshot, token),
            }
        })?;
        Ok(Answer::of(answer))
    }
}

impl CreateLaunchTemplate {
    fn create(
        &self,
        desk: &Desk<'_>,
        snapshot: &Snapshot,
        token: Option<Line>,
    ) -> Result<(Vec<Change>, LaunchTemplateAnswer), ApiFault> {
        let name = parse_name(&self.launch_template_name)?;
        let description = self.version_description.as_deref().map(parse_description).transpose()?;
        let data = launch_template_data::taken(desk.parameters, None)?;
        let tags = tags::specified_for(&self.tag_specification, &["launch-template"])?;
        if snapshot.launch_templates(&desk.scope).any(|other| other.name == name) {
            return Err(ApiFault::launch_template_name_exists(&name));
        }
        let id = LaunchTemplateId::from_number(desk.fresh_number()?);
        let template = LaunchTemplate {
            id,
            name,
            created: desk.now,
            created_by: desk.caller.line(),
            default_version: 1,
            latest_version: 1,
        };
        let version = LaunchTemplateVersion {
            launch_template_id: id,
            version: 1,
            description: description.flatten(),
            created: desk.now,
            created_by: desk.caller.line(),
            parameters: data,
        };
        let answer = LaunchTemplateAnswer {
            launch_template: LaunchTemplateElement::with_latest(&template, 1, &tags),
            warning: WarningElement::of(&version),
        };
        let mut changes = vec![
            desk.put(Resource::LaunchTemplate(template)),
            desk.put(Resource::LaunchTemplateVersion(version)),
        ];
        if !tags.is_empty() {
            changes.extend(tags::put(desk, &id.text(), tags));
        }
        changes.extend(desk.done("CreateLaunchTemplate", token, [id.to_string()])?);
        Ok((changes, answer))
    }
}

/// Shows what a request with the same client token created.
fn created_before(
    desk: &Desk<'_>,
    snapshot: &Snapshot,
    outcome: &[Line],
) -> Result<LaunchTemplateAnswer, ApiFault> {
    let id = outcome.first().map(|id| &**id);
    let template = find_template(snapshot, &desk.scope, id, None)?;
    let first = snapshot.launch_template_version(&desk.scope, template.id, 1);
    Ok(LaunchTemplateAnswer {
        launch_template: LaunchTemplateElement::new(desk, snapshot, template),
        warning: first.and_then(WarningElement::of),
    })
}

/// Reads a name (control plane, 4.8).
fn parse_name(text: &str) -> Result<Line, ApiFault> {
    let fits = (3..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"().-/_".contains(&byte));
    let name = if fits { text.parse().ok() } else { None };
    name.ok_or_else(|| ApiFault::launch_template_name_malformed(text))
}

impl Action for ModifyLaunchTemplate {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on_template(desk, snapshot, self.launch_template_id.as_deref(), self.launch_template_name.as_deref())])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        const ACTION: &str = "ModifyLaunchTemplate";
        let (id, name) = (self.launch_template_id.as_deref(), self.launch_template_name.as_deref());
        let launch_template = desk.transact(|snapshot| {
            let found = find_template(snapshot, &desk.scope, id, name)?;
            let token = match desk.once(snapshot, ACTION, self.client_token.as_deref())? {
                Once::Done(_) => {
                    return Ok((Vec::new(), LaunchTemplateElement::new(desk, snapshot, found)));
                }
                Once::New(token) => token,
            };
            let text = self.set_default_version.as_deref();
            let text = text.ok_or_else(|| ApiFault::missing_parameter("SetDefaultVersion"))?;
            let number = number_of(snapshot, &desk.scope, found, text).filter(|number| {
                snapshot.launch_template_version(&desk.scope, found.id, *number).is_some()
            });
            let default_version = number.ok_or_else(|| {
                ApiFault::launch_template_version_not_found(&found.id.text(), text)
            })?;
            let modified = LaunchTemplate { default_version, ..found.clone() };
            let element = LaunchTemplateElement::new(desk, snapshot, &modified);
            let mut changes = vec![desk.put(Resource::LaunchTemplate(modified))];
            changes.extend(desk.done(ACTION, token, [found.id.to_string()])?);
            Ok((changes, element))
        })?;
        Ok(Answer::of(LaunchTemplateAnswer { launch_template, warning: None }))
    }
}

impl Action for DeleteLaunchTemplate {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(vec![ask_on_template(desk, snapshot, self.launch_template_id.as_deref(), self.launch_template_name.as_deref())])
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let (id, name) = (self.launch_template_id.as_deref(), self.launch_template_name.as_deref());
        let launch_template = desk.transact(|snapshot| {
            let template = find_template(snapshot, &desk.scope, id, name)?;
            let delete = |key| Change::DeleteResource(desk.scope.clone(), key);
            let versions = snapshot.launch_template_versions(&desk.scope);
            let mut changes: Vec<_> = versions
                .filter(|version| version.launch_template_id == template.id)
                .map(|of| ResourceKey::LaunchTemplateVersion(template.id, of.version))
                .map(delete)
                .collect();
            changes.push(delete(ResourceKey::LaunchTemplate(template.id)));
            changes.extend(tags::forget(desk, snapshot, &template.id.text()));
            Ok((changes, LaunchTemplateElement::new(desk, snapshot, template)))
        })?;
        Ok(Answer::of(LaunchTemplateAnswer { launch_template, warning: None }))
    }
}

/// What filters look at.
struct Item<'a> {
    template: &'a LaunchTemplate,
    tags: tags::Tags,
}

fn filters<'a>() -> [Known<Item<'a>>; 3] {
    [
        Known::tags(|item| {
            item.tags.iter().map(|(key, value)| (key.as_str(), &**value)).collect()
        }),
        Known::new("create-time", |item| {
            Values::shown(&written_time(item.template.created, Dialect::Ec2))
        }),
        Known::new("launch-template-name", |item| (&*item.template.name).into()),
    ]
}

impl Action for DescribeLaunchTemplates {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let filters = Filters::new(self.filter, &filters())?;
        let token = self.next_token.as_deref();
        let pager = Pager::new("DescribeLaunchTemplates", BOUNDS, self.max_results, token)?;
        let snapshot = desk.store.snapshot();
        let find = |id, name| find_template(&snapshot, &desk.scope, id, name);
        let mut named = BTreeSet::new();
        for text in &self.launch_template_id {
            named.insert(find(Some(text.as_str()), None)?.id);
        }
        for text in &self.launch_template_name {
            named.insert(find(None, Some(text.as_str()))?.id);
        }
        let items = snapshot
            .launch_templates(&desk.scope)
            .filter(|template| named.is_empty() || named.contains(&template.id))
            .map(|template| {
                Item { template, tags: tags::of(&snapshot, &desk.scope, &template.id.text()).clone() }
            })
            .filter(|item| filters.admit(item));
        let Page { items, next_token } = pager.select(items.map(|item| (item.template.id, item)));
        let launch_templates = items
            .into_iter()
            .map(|item| {
                let latest = latest_of(&snapshot, &desk.scope, item.template);
                LaunchTemplateElement::with_latest(item.template, latest, &item.tags)
            })
            .collect();
        Ok(Answer::of(DescribeLaunchTemplatesAnswer { launch_templates, next_token }))
    }
}

#[cfg(test)]
mod tests;
