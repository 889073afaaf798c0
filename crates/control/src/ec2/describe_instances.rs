//! `DescribeInstances` (control plane, 4.2).

use std::collections::BTreeMap;

use model::{Instance, Interface};
use serde::{Deserialize, Serialize};

use store::Snapshot;

use super::instance_element::{GroupElement, InstanceElement, ProfileElement};
use super::instances::{find_all, parse_described};
use super::metadata_options::OptionsState;
use super::{Action, Desk};
use crate::api::filter::{Filter, Filters, Known, Values};
use crate::api::xml::written_time;
use crate::api::page::{Bounds, Page, Pager};
use crate::api::{Answer, ApiFault, Dialect};
use crate::authorize::Ask;

/// LIMIT: instances of a page. EC2 documents it.
const BOUNDS: Bounds = Bounds { min: 5, max: 1000 };

/// Describes instances; those that are gone, for a while.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeInstances {
    filter: Vec<Filter>,
    instance_id: Vec<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInstancesAnswer {
    reservation_set: Vec<ReservationElement>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReservationElement {
    reservation_id: String,
    owner_id: String,
    group_set: Vec<GroupElement>,
    instances_set: Vec<InstanceElement>,
}

impl Action for DescribeInstances {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let ids = parse_described(&self.instance_id, self.max_results)?;
        let filters = Filters::new(self.filter, &filters())?;
        let token = self.next_token.as_deref();
        let pager = Pager::new("DescribeInstances", BOUNDS, self.max_results, token)?;
        let snapshot = desk.store.snapshot();
        let Page { items, next_token } = if ids.is_empty() {
            let gone = snapshot.terminated_instances(&desk.scope);
            let gone = gone.map(|instance| (instance.id, &**instance));
            pager.select_if(snapshot.instances_by_id().chain(gone), |instance| {
                let is_shown = instance.is_in(&desk.scope) && is_admitted(desk, instance, &filters);
                is_shown.then_some(instance)
            })
        } else {
            let mut items = find_all(&snapshot, &desk.scope, &ids)?;
            items.retain(|instance| is_admitted(desk, instance, &filters));
            Page { items, next_token: None }
        };
        let reservation_set = reservations(desk, items);
        Ok(Answer::of(DescribeInstancesAnswer { reservation_set, next_token }))
    }
}

/// What filters look at.
struct Item<'a> {
    instance: &'a Instance,
    options: OptionsState,
}

fn is_admitted<'a>(desk: &Desk<'_>, instance: &'a Instance, filters: &Filters<Item<'a>>) -> bool {
    filters.admit(&Item { instance, options: OptionsState::of(instance, desk) })
}

fn primary<'a>(item: &'a Item<'_>) -> Option<&'a Interface> {
    item.instance.primary_interface()
}

/// Shows a value that an item may have.
fn maybe<'a>(value: Option<impl ToString>) -> Values<'a> {
    value.map_or(Values::None, |value| Values::shown(&value))
}

/// The filters of control plane, 1.6.
fn filters<'a>() -> Vec<Known<Item<'a>>> {
    let mut all = of_instances();
    all.extend(of_options());
    all
}

fn of_instances<'a>() -> Vec<Known<Item<'a>>> {
    vec![
        Known::tags(|item| {
            item.instance.tags.iter().map(|(key, value)| (key.as_str(), &**value)).collect()
        }),
        Known::new("architecture", |item| item.instance.architecture.as_str().into()),
        Known::new("availability-zone", |item| {
            (&*item.instance.placement.availability_zone).into()
        }),
        Known::new("client-token", |item| item.instance.attributes.client_token.as_deref().into()),
        Known::new("dns-name", |item| {
            maybe(primary(item).and_then(|own| item.instance.public_hostname(own)))
        }),
        Known::new("group-id", |item| {
            let groups = primary(item).map(|own| &own.security_groups);
            groups.into_iter().flat_map(|all| all.iter()).map(|of| of.id.to_string()).collect()
        }),
        Known::new("iam-instance-profile.arn", |item| {
            maybe(ProfileElement::of(item.instance).map(|profile| profile.arn))
        }),
        Known::new("iam-instance-profile.id", |item| {
            maybe(ProfileElement::of(item.instance).map(|profile| profile.id))
        }),
        Known::new("iam-instance-profile.name", |item| {
            item.instance.instance_profile.as_ref().map(|profile| profile.name.as_str()).into()
        }),
        Known::new("image-id", |item| Values::shown(&item.instance.ami_id)),
        Known::new("instance-id", |item| Values::shown(&item.instance.id)),
        Known::new("instance-state-code", |item| Values::shown(&item.instance.state.code())),
        Known::new("instance-state-name", |item| item.instance.state.as_str().into()),
        Known::new("instance-type", |item| (&*item.instance.instance_type).into()),
        Known::new("ip-address", |item| {
            maybe(primary(item).and_then(|own| own.public_ipv4s().next()))
        }),
        Known::new("key-name", |item| {
            let pair = item.instance.key_pair.as_ref().map(|pair| &*pair.name);
            item.instance.attributes.key_name.as_deref().or(pair).into()
        }),
        Known::new("launch-time", |item| {
            Values::shown(&written_time(item.instance.pending_time, Dialect::Ec2))
        }),
        Known::new("monitoring-state", |item| item.instance.monitoring.as_str().into()),
        Known::new("network-interface.network-interface-id", |item| {
            item.instance.interfaces.iter().map(|own| own.interface_id.to_string()).collect()
        }),
        Known::new("owner-id", |item| item.instance.account_id.as_str().into()),
        Known::new("private-dns-name", |item| {
            maybe(primary(item).and_then(|own| item.instance.hostname(own)))
        }),
        Known::new("private-ip-address", |item| {
            maybe(primary(item).and_then(Interface::primary_ipv4))
        }),
        Known::new("reservation-id", |item| Values::shown(&item.instance.reservation_id)),
        Known::new("subnet-id", |item| maybe(primary(item).map(|own| own.subnet_id))),
        Known::new("vpc-id", |item| maybe(primary(item).map(|own| own.vpc_id))),
    ]
}

fn of_options<'a>() -> Vec<Known<Item<'a>>> {
    vec![
        Known::new("metadata-options.http-endpoint", |item| {
            item.instance.options.http_endpoint.as_str().into()
        }),
        // EC2: there is the filter, and no such option. IPv4 is there wherever the endpoint is.
        Known::new("metadata-options.http-protocol-ipv4", |item| {
            item.instance.options.http_endpoint.as_str().into()
        }),
        Known::new("metadata-options.http-protocol-ipv6", |item| {
            item.instance.options.http_protocol_ipv6.as_str().into()
        }),
        Known::new("metadata-options.http-put-response-hop-limit", |item| {
            Values::shown(&item.instance.options.http_put_response_hop_limit)
        }),
        Known::new("metadata-options.http-tokens", |item| {
            item.instance.options.http_tokens.as_str().into()
        }),
        Known::new("metadata-options.instance-metadata-tags", |item| {
            item.instance.options.instance_metadata_tags.as_str().into()
        }),
        Known::new("metadata-options.state", |item| item.options.as_str().into()),
    ]
}

/// Groups instances by the launch that they came of.
fn reservations(desk: &Desk<'_>, instances: Vec<&Instance>) -> Vec<ReservationElement> {
    let mut reservations: BTreeMap<_, Vec<&Instance>> = BTreeMap::new();
    for instance in instances {
        reservations.entry(instance.reservation_id).or_default().push(instance);
    }
    let element = |(id, instances): (model::ReservationId, Vec<&Instance>)| ReservationElement {
        reservation_id: id.to_string(),
        owner_id: desk.scope.account_id.to_string(),
        group_set: Vec::new(),
        instances_set: instances
            .into_iter()
            .map(|instance| InstanceElement::described(instance, desk))
            .collect(),
    };
    reservations.into_iter().map(element).collect()
}
