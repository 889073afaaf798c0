//! `DescribeLaunchTemplateVersions` (control plane, 4.8).

use model::{LaunchTemplate, LaunchTemplateVersion, Scope};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::launch_template_versions::{VersionElement, find_template, parse_number, version_of};
use super::launch_templates::BOUNDS;
use super::{Action, Desk};
use crate::api::filter::{Filter, Filters, Known, Values};
use crate::api::page::{Page, Pager};
use crate::api::xml::written_time;
use crate::api::{Answer, ApiFault, Dialect};
use crate::authorize::Ask;

/// Describes versions of one template, or the newest or default ones of all.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeLaunchTemplateVersions {
    filter: Vec<Filter>,
    launch_template_id: Option<String>,
    launch_template_name: Option<String>,
    launch_template_version: Vec<String>,
    max_results: Option<i64>,
    max_version: Option<String>,
    min_version: Option<String>,
    next_token: Option<String>,
    resolve_alias: Option<IgnoredAny>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeLaunchTemplateVersionsAnswer {
    launch_template_version_set: Vec<VersionElement>,
    next_token: Option<String>,
}

/// What filters look at.
struct Item<'a> {
    template: &'a LaunchTemplate,
    version: &'a LaunchTemplateVersion,
}

impl Item<'_> {
    fn parameter(&self, name: &str) -> Values<'_> {
        self.version.parameters.get(name).map(|value| &**value).into()
    }
}

/// EC2: these names have no prefix, as those of instances have.
fn filters<'a>() -> Vec<Known<Item<'a>>> {
    vec![
        Known::new("create-time", |item| {
            Values::shown(&written_time(item.version.created, Dialect::Ec2))
        }),
        Known::new("ebs-optimized", |item| item.parameter("EbsOptimized")),
        Known::new("http-endpoint", |item| item.parameter("MetadataOptions.HttpEndpoint")),
        // EC2: there is the filter, and no such option. IPv4 is there wherever the endpoint is.
        Known::new("http-protocol-ipv4", |item| item.parameter("MetadataOptions.HttpEndpoint")),
        Known::new("http-tokens", |item| item.parameter("MetadataOptions.HttpTokens")),
        Known::new("iam-instance-profile", |item| {
            let parameters = &item.version.parameters;
            let named = ["IamInstanceProfile.Arn", "IamInstanceProfile.Name"];
            named.iter().filter_map(|name| parameters.get(*name)).map(|value| &**value).collect()
        }),
        Known::new("image-id", |item| item.parameter("ImageId")),
        Known::new("instance-type", |item| item.parameter("InstanceType")),
        Known::new("is-default-version", |item| {
            Values::shown(&(item.version.version == item.template.default_version))
        }),
        Known::new("kernel-id", |item| item.parameter("KernelId")),
        Known::new("ram-disk-id", |item| item.parameter("RamDiskId")),
    ]
}

impl Action for DescribeLaunchTemplateVersions {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let items = self.meant(desk, &snapshot)?;
        let filters = Filters::new(self.filter, &filters())?;
        let token = self.next_token.as_deref();
        let pager = Pager::new("DescribeLaunchTemplateVersions", BOUNDS, self.max_results, token)?;
        let items = items.into_iter().filter(|item| filters.admit(item));
        let keyed = items.map(|item| ((item.template.id, item.version.version), item));
        let Page { items, next_token } = pager.select(keyed);
        let elements = items.iter().map(|item| VersionElement::new(item.template, item.version));
        Ok(Answer::of(DescribeLaunchTemplateVersionsAnswer {
            launch_template_version_set: elements.collect::<Result<_, _>>()?,
            next_token,
        }))
    }
}

impl DescribeLaunchTemplateVersions {
    /// The versions that are asked for, each once.
    fn meant<'s>(
        &self,
        desk: &Desk<'_>,
        snapshot: &'s Snapshot,
    ) -> Result<Vec<Item<'s>>, ApiFault> {
        let scope = &desk.scope;
        let texts = &self.launch_template_version;
        let is_range = self.min_version.is_some() || self.max_version.is_some();
        if is_range && !texts.is_empty() {
            return Err(ApiFault::invalid_parameter_combination(
                "Specify either versions, or MinVersion and MaxVersion, and not both",
            ));
        }
        let (id, name) = (self.launch_template_id.as_deref(), self.launch_template_name.as_deref());
        let is_of_all = id.is_none() && name.is_none();
        let is_alias = |text: &String| matches!(text.as_str(), "$Default" | "$Latest");
        if is_of_all && !texts.is_empty() && texts.iter().all(is_alias) {
            let mut all = Vec::new();
            for template in snapshot.launch_templates(scope) {
                all.extend(named(snapshot, scope, template, texts)?);
            }
            return Ok(all);
        }
        let template = find_template(snapshot, scope, id, name)?;
        if !texts.is_empty() {
            return named(snapshot, scope, template, texts);
        }
        let bound = |text: &Option<String>, name| {
            let refused = |text: &str| {
                ApiFault::invalid_value_for(text, name, "Specify the number of a version.")
            };
            text.as_deref().map(|text| parse_number(text).ok_or_else(|| refused(text))).transpose()
        };
        let min = bound(&self.min_version, "MinVersion")?.unwrap_or(0);
        let max = bound(&self.max_version, "MaxVersion")?.unwrap_or(u32::MAX);
        let is_meant = |version: &&LaunchTemplateVersion| {
            version.launch_template_id == template.id && (min..=max).contains(&version.version)
        };
        let versions = snapshot.launch_template_versions(scope).filter(is_meant);
        Ok(versions.map(|version| Item { template, version }).collect())
    }
}

fn named<'s>(
    snapshot: &'s Snapshot,
    scope: &Scope,
    template: &'s LaunchTemplate,
    texts: &[String],
) -> Result<Vec<Item<'s>>, ApiFault> {
    let find = |text: &String| version_of(snapshot, scope, template, text);
    let versions: Vec<_> = texts.iter().map(find).collect::<Result<_, _>>()?;
    let items = versions.into_iter().map(|version| Item { template, version });
    Ok(items.collect())
}
