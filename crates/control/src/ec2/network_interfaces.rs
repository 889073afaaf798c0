//! `DescribeNetworkInterfaces`: those of the instances, since there are no others.

use model::{Instance, Interface, InterfaceId, Switch};
use serde::{Deserialize, Serialize};

use store::Snapshot;

use super::interface_element::{InterfaceElement, attachment_id};
use super::tags::{self, Tags};
use super::{Action, Desk};
use crate::api::filter::{Filter, Filters, Known, Values};
use crate::api::page::{Bounds, Pager};
use crate::api::{Answer, ApiFault};
use crate::authorize::Ask;

/// LIMIT: interfaces of a page. EC2 documents it.
const BOUNDS: Bounds = Bounds { min: 5, max: 1000 };

/// Describes network interfaces.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeNetworkInterfaces {
    filter: Vec<Filter>,
    max_results: Option<i64>,
    network_interface_id: Vec<String>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeNetworkInterfacesAnswer {
    network_interface_set: Vec<InterfaceElement>,
    next_token: Option<String>,
}

/// What filters look at.
#[derive(Clone, Copy)]
struct Item<'a> {
    instance: &'a Instance,
    interface: &'a Interface,
    tags: &'a Tags,
}

impl Action for DescribeNetworkInterfaces {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let ids = self.network_interface_id.iter();
        let ids = ids.map(|text| text.parse().map_err(|_| ApiFault::malformed_interface_id(text)));
        let ids: Vec<InterfaceId> = ids.collect::<Result<_, _>>()?;
        let filters = Filters::new(self.filter, &filters())?;
        let (max, token) = (self.max_results, self.next_token.as_deref());
        let pager = Pager::new("DescribeNetworkInterfaces", BOUNDS, max, token)?;
        let snapshot = desk.store.snapshot();
        let own = snapshot.instances().filter(|(instance, _)| instance.is_in(&desk.scope));
        let all = own.flat_map(|(instance, _)| {
            instance.interfaces.iter().map(|interface| (&**instance, interface))
        });
        let named: Vec<_> = all
            .filter(|(_, interface)| ids.is_empty() || ids.contains(&interface.interface_id))
            .collect();
        let is_there = |id: &InterfaceId| named.iter().any(|(_, own)| own.interface_id == *id);
        if let Some(id) = ids.iter().find(|id| !is_there(id)) {
            return Err(ApiFault::interface_not_found(&id.text()));
        }
        let items = named.into_iter().map(|(instance, interface)| {
            let tags = tags::of(&snapshot, &desk.scope, &interface.interface_id.text());
            Item { instance, interface, tags }
        });
        // Interfaces that were described may have one id.
        let key = |of: &Item<'_>| (of.interface.interface_id, of.instance.id, of.interface.mac);
        let admitted = items.filter(|item| filters.admit(item));
        let page = pager.select(admitted.map(|item| {
            let Item { instance, interface, tags } = item;
            (key(&item), InterfaceElement::described(instance, interface, tags))
        }));
        Ok(Answer::of(DescribeNetworkInterfacesAnswer {
            network_interface_set: page.items,
            next_token: page.next_token,
        }))
    }
}

fn filters<'a>() -> Vec<Known<Item<'a>>> {
    let mut all = of_the_interface();
    all.extend(of_its_addresses());
    all
}

fn of_the_interface<'a>() -> Vec<Known<Item<'a>>> {
    vec![
        Known::tags(|of| tags::pairs(of.tags)),
        Known::new("attachment.attachment-id", |of| Values::shown(&attachment_id(of.interface))),
        Known::new("attachment.delete-on-termination", |_| "true".into()),
        Known::new("attachment.device-index", |of| Values::shown(&of.interface.device_number)),
        Known::new("attachment.instance-id", |of| Values::shown(&of.instance.id)),
        Known::new("attachment.instance-owner-id", |of| of.instance.account_id.as_str().into()),
        Known::new("attachment.status", |_| "attached".into()),
        Known::new("availability-zone", |of| (&*of.instance.placement.availability_zone).into()),
        Known::new("description", |_| "".into()),
        Known::new("group-id", |of| {
            of.interface.security_groups.iter().map(|group| group.id.to_string()).collect()
        }),
        Known::new("group-name", |of| {
            of.interface.security_groups.iter().map(|group| &*group.name).collect()
        }),
        Known::new("interface-type", |_| "interface".into()),
        Known::new("mac-address", |of| Values::shown(&of.interface.mac)),
        Known::new("network-interface-id", |of| Values::shown(&of.interface.interface_id)),
        Known::new("owner-id", |of| {
            Values::shown(&of.interface.owner_id.unwrap_or(of.instance.account_id))
        }),
        Known::new("requester-managed", |_| "false".into()),
        Known::new("source-dest-check", |of| {
            Values::shown(&(of.instance.attributes.source_dest_check == Switch::Enabled))
        }),
        Known::new("status", |_| "in-use".into()),
        Known::new("subnet-id", |of| Values::shown(&of.interface.subnet_id)),
        Known::new("vpc-id", |of| Values::shown(&of.interface.vpc_id)),
    ]
}

fn of_its_addresses<'a>() -> Vec<Known<Item<'a>>> {
    vec![
        Known::new("addresses.association.public-ip", |of| public_addresses(of)),
        Known::new("addresses.private-ip-address", |of| {
            of.interface.ipv4.iter().map(|address| address.private.to_string()).collect()
        }),
        Known::new("association.public-ip", |of| public_addresses(of)),
        Known::new("ipv6-addresses.ipv6-address", |of| {
            of.interface.ipv6.iter().map(ToString::to_string).collect()
        }),
        Known::new("private-dns-name", |of| {
            let name = of.instance.hostname(of.interface);
            name.map_or(Values::None, |name| Values::shown(&name))
        }),
        Known::new("private-ip-address", |of| {
            of.interface.primary_ipv4().map_or(Values::None, |address| Values::shown(&address))
        }),
    ]
}

fn public_addresses<'v>(of: &Item<'_>) -> Values<'v> {
    of.interface.public_ipv4s().map(|address| address.to_string()).collect()
}
