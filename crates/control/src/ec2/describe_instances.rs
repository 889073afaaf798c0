//! `DescribeInstances` (control plane, 4.2).

use std::collections::BTreeMap;

use model::Instance;
use serde::{Deserialize, Serialize};

use super::instance_element::{GroupElement, InstanceElement};
use super::instances::{find_all, parse_instance_ids};
use super::{Action, Desk};
use crate::api::{Answer, ApiFault};

/// Describes instances; those that are gone, for a while.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeInstances {
    instance_id: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInstancesAnswer {
    reservation_set: Vec<ReservationElement>,
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
    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let snapshot = desk.store.snapshot();
        let ids = parse_instance_ids(&self.instance_id)?;
        let mut found = find_all(&snapshot, &desk.scope, &ids)?;
        if ids.is_empty() {
            let living = snapshot.instances().map(|(instance, _)| &**instance);
            let gone = snapshot.terminated_instances(&desk.scope).map(|instance| &**instance);
            found = living.chain(gone).filter(|instance| instance.is_in(&desk.scope)).collect();
        }
        Ok(Answer::of(DescribeInstancesAnswer { reservation_set: reservations(desk, found) }))
    }
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
