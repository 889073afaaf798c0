//! `DescribeVpcs` and `DescribeSubnets`.

use std::collections::HashMap;

use model::{Subnet, SubnetId, Switch, Vpc, VpcId};
use serde::{Deserialize, Serialize};
use store::Snapshot;

use super::instance_element::{TagElement, derived_id, tag_elements};
use super::inventory::Inventory;
use super::launch::addresses::usable;
use super::tags::{self, Tags};
use super::{Action, Desk};
use crate::api::filter::{Filter, Filters, Known, Values};
use crate::api::page::{Bounds, Pager};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// LIMIT: VPCs or subnets of a page. EC2 documents it.
const BOUNDS: Bounds = Bounds { min: 5, max: 1000 };

/// Describes VPCs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeVpcs {
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    vpc_id: Vec<String>,
}

/// Describes subnets.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeSubnets {
    filter: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
    subnet_id: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeVpcsAnswer {
    vpc_set: Vec<VpcElement>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeSubnetsAnswer {
    subnet_set: Vec<SubnetElement>,
    next_token: Option<String>,
}

/// `vpcSet/item`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VpcElement {
    vpc_id: String,
    owner_id: String,
    state: &'static str,
    cidr_block: String,
    cidr_block_association_set: Vec<BlockElement>,
    ipv6_cidr_block_association_set: Vec<Ipv6BlockElement>,
    instance_tenancy: &'static str,
    is_default: bool,
    tag_set: Vec<TagElement>,
}

/// `subnetSet/item`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubnetElement {
    subnet_id: String,
    subnet_arn: String,
    owner_id: String,
    state: &'static str,
    vpc_id: String,
    cidr_block: String,
    ipv6_cidr_block_association_set: Vec<Ipv6BlockElement>,
    available_ip_address_count: usize,
    availability_zone: String,
    availability_zone_id: String,
    default_for_az: bool,
    map_public_ip_on_launch: bool,
    assign_ipv6_address_on_creation: bool,
    tag_set: Vec<TagElement>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockElement {
    association_id: String,
    cidr_block: String,
    cidr_block_state: BlockState,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ipv6BlockElement {
    association_id: String,
    ipv6_cidr_block: String,
    ipv6_cidr_block_state: BlockState,
}

#[derive(Serialize)]
struct BlockState {
    state: &'static str,
}

const ASSOCIATED: BlockState = BlockState { state: "associated" };

/// What filters look at: a VPC or a subnet, where it is, and its tags.
struct Item<'a, T> {
    desk: &'a Desk<'a>,
    thing: T,
    tags: &'a Tags,
}

impl Action for DescribeVpcs {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let ids = self.vpc_id.iter();
        let ids = ids.map(|text| text.parse().map_err(|_| ApiFault::malformed_vpc_id(text)));
        let ids: Vec<VpcId> = ids.collect::<Result<_, _>>()?;
        let filters = Filters::new(self.filter, &of_vpcs())?;
        let token = self.next_token.as_deref();
        let pager = Pager::new("DescribeVpcs", BOUNDS, self.max_results, token)?;
        let snapshot = desk.store.snapshot();
        let inventory = Inventory::new(&snapshot, &desk.scope);
        if let Some(id) = ids.iter().find(|id| inventory.vpc(**id).is_none()) {
            return Err(ApiFault::vpc_not_found(&id.text()));
        }
        let named = inventory.vpcs().filter(|vpc| ids.is_empty() || ids.contains(&vpc.id));
        let items = named.map(|thing| {
            let tags = tags::of(&snapshot, &desk.scope, &thing.id.text());
            Item { desk, thing, tags }
        });
        let admitted = items.filter(|item| filters.admit(item));
        let page = pager.select(admitted.map(|item| (item.thing.id, item.element())));
        let (vpc_set, next_token) = (page.items, page.next_token);
        Ok(Answer::of(DescribeVpcsAnswer { vpc_set, next_token }))
    }
}

impl Item<'_, Vpc> {
    fn element(&self) -> VpcElement {
        let vpc = &self.thing;
        let name = |block: &dyn ToString| format!("{}/{}", vpc.id, block.to_string());
        let blocks = vpc.ipv4_cidrs.iter().map(|block| BlockElement {
            association_id: derived_id("vpc-cidr-assoc-", &name(block)),
            cidr_block: block.to_string(),
            cidr_block_state: ASSOCIATED,
        });
        let ipv6_blocks = vpc.ipv6_cidrs.iter().map(|block| Ipv6BlockElement {
            association_id: derived_id("vpc-cidr-assoc-", &name(block)),
            ipv6_cidr_block: block.to_string(),
            ipv6_cidr_block_state: ASSOCIATED,
        });
        VpcElement {
            vpc_id: vpc.id.to_string(),
            owner_id: self.desk.scope.account_id.to_string(),
            state: "available",
            cidr_block: vpc.ipv4_cidrs.first().map(ToString::to_string).unwrap_or_default(),
            cidr_block_association_set: blocks.collect(),
            ipv6_cidr_block_association_set: ipv6_blocks.collect(),
            instance_tenancy: "default",
            is_default: vpc.is_default,
            tag_set: tag_elements(self.tags),
        }
    }
}

fn of_vpcs<'a>() -> [Known<Item<'a, Vpc>>; 8] {
    [
        Known::tags(|of| tags::pairs(of.tags)),
        Known::new("cidr", |of| of.thing.ipv4_cidrs.first().map(ToString::to_string).into_iter().collect()),
        Known::new("cidr-block-association.cidr-block", |of| {
            of.thing.ipv4_cidrs.iter().map(ToString::to_string).collect()
        }),
        Known::new("ipv6-cidr-block-association.ipv6-cidr-block", |of| {
            of.thing.ipv6_cidrs.iter().map(ToString::to_string).collect()
        }),
        Known::new("is-default", |of| Values::shown(&of.thing.is_default)),
        Known::new("owner-id", |of| of.desk.scope.account_id.as_str().into()),
        Known::new("state", |_| "available".into()),
        Known::new("vpc-id", |of| Values::shown(&of.thing.id)),
    ]
}

impl Action for DescribeSubnets {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let ids = self.subnet_id.iter();
        let ids = ids.map(|text| text.parse().map_err(|_| ApiFault::malformed_subnet_id(text)));
        let ids: Vec<SubnetId> = ids.collect::<Result<_, _>>()?;
        let filters = Filters::new(self.filter, &of_subnets())?;
        let token = self.next_token.as_deref();
        let pager = Pager::new("DescribeSubnets", BOUNDS, self.max_results, token)?;
        let snapshot = desk.store.snapshot();
        let inventory = Inventory::new(&snapshot, &desk.scope);
        if let Some(id) = ids.iter().find(|id| inventory.subnet(**id).is_none()) {
            return Err(ApiFault::subnet_not_found(&id.text()));
        }
        let in_use = in_use(&snapshot, desk);
        let named = inventory.subnets().filter(|subnet| ids.is_empty() || ids.contains(&subnet.id));
        let items = named.map(|subnet| {
            let tags = tags::of(&snapshot, &desk.scope, &subnet.id.text());
            let free = usable(&subnet).map(|range| range.len()).sum::<usize>();
            let used = in_use.get(&subnet.id).copied().unwrap_or(0);
            Item { desk, thing: Counted { subnet, free: free.saturating_sub(used) }, tags }
        });
        let admitted = items.filter(|item| filters.admit(item));
        let page = pager.select(admitted.map(|item| (item.thing.subnet.id, item.element())));
        let (subnet_set, next_token) = (page.items, page.next_token);
        Ok(Answer::of(DescribeSubnetsAnswer { subnet_set, next_token }))
    }
}

/// A subnet, and how many of its addresses are free.
struct Counted {
    subnet: Subnet,
    free: usize,
}

/// How many addresses of each subnet interfaces have.
fn in_use(snapshot: &Snapshot, desk: &Desk<'_>) -> HashMap<SubnetId, usize> {
    let mut in_use = HashMap::new();
    let own = snapshot.instances().filter(|(instance, _)| instance.is_in(&desk.scope));
    for interface in own.flat_map(|(instance, _)| &instance.interfaces) {
        *in_use.entry(interface.subnet_id).or_insert(0) += interface.ipv4.len();
    }
    in_use
}

impl Item<'_, Counted> {
    /// EC2: the ARN has the account and the region.
    fn arn(&self) -> String {
        let (scope, id) = (&self.desk.scope, self.thing.subnet.id);
        let (partition, region) = (scope.region.partition(), &scope.region);
        format!("arn:{partition}:ec2:{region}:{}:subnet/{id}", scope.account_id)
    }

    fn element(&self) -> SubnetElement {
        let Counted { subnet, free } = &self.thing;
        let ipv6_blocks = subnet.ipv6_cidrs.iter().map(|block| Ipv6BlockElement {
            association_id: derived_id("subnet-cidr-assoc-", &format!("{}/{block}", subnet.id)),
            ipv6_cidr_block: block.to_string(),
            ipv6_cidr_block_state: ASSOCIATED,
        });
        SubnetElement {
            subnet_id: subnet.id.to_string(),
            subnet_arn: self.arn(),
            owner_id: self.desk.scope.account_id.to_string(),
            state: "available",
            vpc_id: subnet.vpc_id.to_string(),
            cidr_block: subnet.ipv4_cidr.to_string(),
            ipv6_cidr_block_association_set: ipv6_blocks.collect(),
            available_ip_address_count: *free,
            availability_zone: subnet.availability_zone.to_string(),
            availability_zone_id: subnet.availability_zone_id.to_string(),
            default_for_az: subnet.is_default,
            map_public_ip_on_launch: subnet.map_public_ip_on_launch == Switch::Enabled,
            assign_ipv6_address_on_creation: false,
            tag_set: tag_elements(self.tags),
        }
    }
}

fn of_subnets<'a>() -> Vec<Known<Item<'a, Counted>>> {
    let mut all = vec![
        Known::tags(|of: &Item<'a, Counted>| tags::pairs(of.tags)),
        Known::new("available-ip-address-count", |of| Values::shown(&of.thing.free)),
        Known::new("ipv6-cidr-block-association.ipv6-cidr-block", |of| {
            of.thing.subnet.ipv6_cidrs.iter().map(ToString::to_string).collect()
        }),
        Known::new("map-public-ip-on-launch", |of| {
            Values::shown(&(of.thing.subnet.map_public_ip_on_launch == Switch::Enabled))
        }),
        Known::new("owner-id", |of| of.desk.scope.account_id.as_str().into()),
        Known::new("state", |_| "available".into()),
        Known::new("subnet-arn", |of| Values::shown(&of.arn())),
        Known::new("subnet-id", |of| Values::shown(&of.thing.subnet.id)),
        Known::new("vpc-id", |of| Values::shown(&of.thing.subnet.vpc_id)),
    ];
    // EC2: some have names in the style of older actions too.
    for name in ["availability-zone", "availabilityZone"] {
        all.push(Known::new(name, |of| (&*of.thing.subnet.availability_zone).into()));
    }
    for name in ["availability-zone-id", "availabilityZoneId"] {
        all.push(Known::new(name, |of| (&*of.thing.subnet.availability_zone_id).into()));
    }
    for name in ["cidr-block", "cidr", "cidrBlock"] {
        all.push(Known::new(name, |of| Values::shown(&of.thing.subnet.ipv4_cidr)));
    }
    for name in ["default-for-az", "defaultForAz"] {
        all.push(Known::new(name, |of| Values::shown(&of.thing.subnet.is_default)));
    }
    all
}

#[cfg(test)]
mod tests;
