//! `DescribeSecurityGroups`, and finding the groups that a request names.
//!
//! Groups are labels here: they have no rules, since other programs than this one filter packets.

use model::{RegisteredSecurityGroup, Resource, SecurityGroupId, VpcId};
use serde::{Deserialize, Serialize};

use store::Snapshot;

use super::instance_element::{TagElement, tag_elements};
use super::inventory::Inventory;
use super::tags::{self, Tags};
use super::{Action, Desk};
use crate::References;
use crate::api::filter::{Filter, Filters, Known, Values};
use crate::api::page::{Bounds, Pager};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// LIMIT: groups of a page. EC2 documents it.
const BOUNDS: Bounds = Bounds { min: 5, max: 1000 };

/// LIMIT: security groups of an interface, as many as EC2 gives on request.
const OF_AN_INTERFACE_MAX: usize = 16;

/// Refuses more groups than an interface may have.
///
/// # Errors
///
/// `SecurityGroupsPerInterfaceLimitExceeded`.
pub(crate) fn refuse_more_groups(count: usize) -> Result<(), ApiFault> {
    if count <= OF_AN_INTERFACE_MAX {
        return Ok(());
    }
    Err(ApiFault::new(
        "SecurityGroupsPerInterfaceLimitExceeded",
        400,
        format!("A network interface has at most {OF_AN_INTERFACE_MAX} security groups."),
    ))
}

/// Finds the groups with these ids; those that nobody knows are adopted into a VPC, and come second,
/// to be kept.
///
/// # Errors
///
/// `InvalidGroupId.Malformed`, as [`refuse_more_groups`], or `InvalidGroup.NotFound` where the
/// settings are strict.
pub(crate) fn named_groups(
    desk: &Desk<'_>,
    inventory: &Inventory<'_>,
    ids: &[String],
    vpc_id: VpcId,
) -> Result<(Vec<RegisteredSecurityGroup>, Vec<Resource>), ApiFault> {
    refuse_more_groups(ids.len())?;
    let (mut groups, mut adopted) = (Vec::new(), Vec::new());
    for text in ids {
        let id = text.parse().map_err(|_| ApiFault::malformed_group_id(text))?;
        let group = match inventory.security_group(id) {
            Some(group) => group,
            None if desk.surroundings.launch_settings().references == References::Adopt => {
                let group = Inventory::adopt_security_group(id, vpc_id);
                adopted.push(Resource::SecurityGroup(group.clone()));
                group
            }
            None => return Err(ApiFault::group_not_found(text)),
        };
        groups.push(group);
    }
    Ok((groups, adopted))
}

/// Describes security groups.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeSecurityGroups {
    filter: Vec<Filter>,
    group_id: Vec<String>,
    group_name: Vec<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeSecurityGroupsAnswer {
    security_group_info: Vec<SecurityGroupElement>,
    next_token: Option<String>,
}

/// `securityGroupInfo/item`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SecurityGroupElement {
    owner_id: String,
    group_id: String,
    group_name: String,
    group_description: String,
    vpc_id: String,
    ip_permissions: Vec<String>,
    ip_permissions_egress: Vec<String>,
    tag_set: Vec<TagElement>,
    security_group_arn: String,
}

/// What filters look at.
struct Item<'a> {
    desk: &'a Desk<'a>,
    group: RegisteredSecurityGroup,
    tags: &'a Tags,
}

impl Action for DescribeSecurityGroups {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let ids = self.group_id.iter();
        let ids = ids.map(|text| text.parse().map_err(|_| ApiFault::malformed_group_id(text)));
        let ids: Vec<SecurityGroupId> = ids.collect::<Result<_, _>>()?;
        let filters = Filters::new(self.filter, &filters())?;
        let token = self.next_token.as_deref();
        let pager = Pager::new("DescribeSecurityGroups", BOUNDS, self.max_results, token)?;
        let snapshot = desk.store.snapshot();
        let inventory = Inventory::new(&snapshot, &desk.scope);
        if let Some(id) = ids.iter().find(|id| inventory.security_group(**id).is_none()) {
            return Err(ApiFault::group_not_found(&id.text()));
        }
        let is_there =
            |name: &&String| inventory.security_groups().any(|group| *group.name == ***name);
        if let Some(name) = self.group_name.iter().find(|name| !is_there(name)) {
            return Err(ApiFault::group_not_found(name));
        }
        let names_none = ids.is_empty() && self.group_name.is_empty();
        let is_named = |group: &RegisteredSecurityGroup| {
            names_none
                || ids.contains(&group.id)
                || self.group_name.iter().any(|name| **name == *group.name)
        };
        let items = inventory.security_groups().filter(is_named).map(|group| {
            let tags = tags::of(&snapshot, &desk.scope, &group.id.text());
            Item { desk, group, tags }
        });
        let admitted = items.filter(|item| filters.admit(item));
        let page = pager.select(admitted.map(|item| (item.group.id, item.element())));
        Ok(Answer::of(DescribeSecurityGroupsAnswer {
            security_group_info: page.items,
            next_token: page.next_token,
        }))
    }
}

impl Item<'_> {
    fn element(&self) -> SecurityGroupElement {
        let (scope, id) = (&self.desk.scope, self.group.id);
        let (partition, region) = (scope.region.partition(), &scope.region);
        let account = scope.account_id;
        SecurityGroupElement {
            owner_id: account.to_string(),
            group_id: id.to_string(),
            group_name: self.group.name.to_string(),
            group_description: self.group.description.to_string(),
            vpc_id: self.group.vpc_id.to_string(),
            ip_permissions: Vec::new(),
            ip_permissions_egress: Vec::new(),
            tag_set: tag_elements(self.tags),
            security_group_arn: format!(
                "arn:{partition}:ec2:{region}:{account}:security-group/{id}"
            ),
        }
    }
}

fn filters<'a>() -> [Known<Item<'a>>; 6] {
    [
        Known::tags(|item| tags::pairs(item.tags)),
        Known::new("description", |item| (&*item.group.description).into()),
        Known::new("group-id", |item| Values::shown(&item.group.id)),
        Known::new("group-name", |item| (&*item.group.name).into()),
        Known::new("owner-id", |item| item.desk.scope.account_id.as_str().into()),
        Known::new("vpc-id", |item| Values::shown(&item.group.vpc_id)),
    ]
}
