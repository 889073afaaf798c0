//! `DescribeInstanceStatus`, and detailed monitoring (control plane, 4.3).

use model::{Instance, InstanceId, InstanceState, MaintenanceEvent, MaintenanceState, Switch};
use serde::{Deserialize, Serialize};

use store::Snapshot;

use super::instance_element::{MonitoringElement, StateElement};
use super::instances::{all, find_all, find_instance, parse_described, parse_instance_ids};
use super::{Action, Desk};
use crate::api::filter::{Filter, Filters, Known, Values};
use crate::api::page::{Bounds, Page, Pager};
use crate::api::xml::{Time, written_time};
use crate::api::{Answer, ApiFault, Dialect};
use crate::authorize::Ask;

/// LIMIT: instances of a page. EC2 documents it.
const BOUNDS: Bounds = Bounds { min: 5, max: 1000 };

/// Describes whether instances are well, and what is going to happen to them: those that run, unless
/// all are asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields, default)]
pub(crate) struct DescribeInstanceStatus {
    filter: Vec<Filter>,
    include_all_instances: Option<bool>,
    instance_id: Vec<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInstanceStatusAnswer {
    instance_status_set: Vec<StatusElement>,
    next_token: Option<String>,
}

/// `instanceStatusSet/item`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusElement {
    instance_id: String,
    availability_zone: String,
    availability_zone_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    events_set: Vec<EventElement>,
    instance_state: StateElement,
    instance_status: Summary,
    system_status: Summary,
}

/// `eventsSet/item`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventElement {
    instance_event_id: String,
    code: &'static str,
    description: String,
    not_before: Time,
    not_after: Option<Time>,
}

/// `instanceStatus` and `systemStatus`
#[derive(Serialize)]
struct Summary {
    status: &'static str,
    details: Vec<Detail>,
}

#[derive(Serialize)]
struct Detail {
    name: &'static str,
    status: &'static str,
}

impl StatusElement {
    fn new(instance: &Instance) -> Self {
        let zone = &instance.placement;
        Self {
            instance_id: instance.id.to_string(),
            availability_zone: zone.availability_zone.to_string(),
            availability_zone_id: zone.availability_zone_id.to_string(),
            events_set: instance.events.maintenance.iter().map(EventElement::new).collect(),
            instance_state: instance.state.into(),
            instance_status: Summary::of(instance),
            system_status: Summary::of(instance),
        }
    }
}

impl EventElement {
    fn new(event: &MaintenanceEvent) -> Self {
        Self {
            instance_event_id: event.event_id.to_string(),
            code: event.code.as_str(),
            description: description(event),
            not_before: Time(event.not_before),
            not_after: event.not_after.map(Time),
        }
    }
}

/// EC2: the description of an event that is over starts with how it ended.
fn description(event: &MaintenanceEvent) -> String {
    match event.state {
        MaintenanceState::Active => event.description.to_string(),
        MaintenanceState::Canceled => format!("[Canceled] {}", event.description),
        MaintenanceState::Completed => format!("[Completed] {}", event.description),
    }
}

impl Summary {
    /// Nobody looks into the machine: it is well while it runs.
    fn of(instance: &Instance) -> Self {
        let details = reachability(instance);
        Self {
            status: status(instance),
            details: details
                .map(|status| Detail { name: "reachability", status })
                .into_iter()
                .collect(),
        }
    }
}

fn status(instance: &Instance) -> &'static str {
    if instance.state == InstanceState::Running { "ok" } else { "not-applicable" }
}

fn reachability(instance: &Instance) -> Option<&'static str> {
    (instance.state == InstanceState::Running).then_some("passed")
}

impl Action for DescribeInstanceStatus {
    fn asks(&self, _: &Desk<'_>, _: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(Ask::everything())
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        let ids = parse_described(&self.instance_id, self.max_results)?;
        let filters = Filters::new(self.filter, &filters())?;
        let (max, token) = (self.max_results, self.next_token.as_deref());
        let pager = Pager::new("DescribeInstanceStatus", BOUNDS, max, token)?;
        let snapshot = desk.store.snapshot();
        let shows_all = self.include_all_instances == Some(true);
        let is_shown = |instance: &&Instance| {
            (shows_all || instance.state == InstanceState::Running) && filters.admit(instance)
        };
        let page = if ids.is_empty() {
            let shown = all(&snapshot, &desk.scope).filter(is_shown);
            pager.select(shown.map(|instance| (instance.id, StatusElement::new(instance))))
        } else {
            let named = find_all(&snapshot, &desk.scope, &ids)?.into_iter().filter(is_shown);
            Page { items: named.map(StatusElement::new).collect(), next_token: None }
        };
        Ok(Answer::of(DescribeInstanceStatusAnswer {
            instance_status_set: page.items,
            next_token: page.next_token,
        }))
    }
}

fn filters() -> [Known<Instance>; 12] {
    fn events<'v>(
        instance: &'v Instance,
        of: impl Fn(&'v MaintenanceEvent) -> Option<String>,
    ) -> Values<'v> {
        instance.events.maintenance.iter().filter_map(of).collect()
    }
    fn time(at: model::Timestamp) -> String {
        written_time(at, Dialect::Ec2).to_string()
    }
    [
        Known::new("availability-zone", |of| (&*of.placement.availability_zone).into()),
        Known::new("event.code", |of| events(of, |event| Some(event.code.to_string()))),
        Known::new("event.description", |of| events(of, |event| Some(description(event)))),
        Known::new("event.instance-event-id", |of| {
            events(of, |event| Some(event.event_id.to_string()))
        }),
        Known::new("event.not-after", |of| events(of, |event| event.not_after.map(time))),
        Known::new("event.not-before", |of| events(of, |event| Some(time(event.not_before)))),
        Known::new("instance-state-code", |of| Values::shown(&of.state.code())),
        Known::new("instance-state-name", |of| of.state.as_str().into()),
        Known::new("instance-status.reachability", |of| reachability(of).into()),
        Known::new("instance-status.status", |of| status(of).into()),
        Known::new("system-status.reachability", |of| reachability(of).into()),
        Known::new("system-status.status", |of| status(of).into()),
    ]
}

/// Turns detailed monitoring on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct MonitorInstances {
    instance_id: Vec<String>,
}

/// Turns detailed monitoring off.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(crate) struct UnmonitorInstances {
    instance_id: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MonitoringAnswer {
    instances_set: Vec<InstanceMonitoring>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InstanceMonitoring {
    instance_id: String,
    monitoring: MonitoringElement,
}

impl Action for MonitorInstances {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(desk.ask_on_instances(snapshot, &self.instance_id))
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        monitor(desk, &self.instance_id, Switch::Enabled, "pending")
    }
}

impl Action for UnmonitorInstances {
    fn asks(&self, desk: &Desk<'_>, snapshot: &Snapshot) -> Result<Vec<Ask>, ApiFault> {
        Ok(desk.ask_on_instances(snapshot, &self.instance_id))
    }

    fn act(self, desk: &Desk<'_>) -> Result<Answer, ApiFault> {
        monitor(desk, &self.instance_id, Switch::Disabled, "disabling")
    }
}

/// Turns monitoring on or off. EC2: the answer says that it is under way, and it is so for a moment.
fn monitor(
    desk: &Desk<'_>,
    instance_ids: &[String],
    monitoring: Switch,
    state: &'static str,
) -> Result<Answer, ApiFault> {
    let ids: Vec<InstanceId> = parse_instance_ids(instance_ids)?;
    desk.transact(|snapshot| {
        find_all(snapshot, &desk.scope, &ids)?;
        let mut changes = Vec::new();
        for id in &ids {
            let instance = find_instance(snapshot, &desk.scope, *id)?;
            if instance.monitoring != monitoring {
                let last_modified = desk.now;
                let monitored = Instance { monitoring, last_modified, ..(**instance).clone() };
                changes.push(super::put(snapshot, monitored));
            }
        }
        Ok((changes, ()))
    })?;
    let element = |id: InstanceId| InstanceMonitoring {
        instance_id: id.to_string(),
        monitoring: MonitoringElement { state },
    };
    let instances_set = ids.into_iter().map(element).collect();
    Ok(Answer::of(MonitoringAnswer { instances_set }))
}

#[cfg(test)]
mod tests;
