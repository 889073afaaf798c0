//! What comes of what drivers do, and of what has ended long ago.

use std::sync::Arc;

use model::{
    Attachment, Instance, InstanceId, InstanceState, LifecycleEvent, Machine, Resource,
    ResourceKey, ResourceKind, Scope, Timestamp,
};
use store::{AttachmentTaken, Change, Origin, Snapshot};

use super::{FAILED, asked_for, come_to, failed};

/// LIMIT: how long a terminated instance is shown, in seconds. EC2: usually under an hour.
pub const TERMINATED_SECONDS: i64 = 3600;

/// LIMIT: how long a client token is remembered, in seconds. EC2: a day for most actions.
pub const IDEMPOTENCY_SECONDS: i64 = 24 * 3600;

/// What a driver came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done. The instance is attached so; as it is, where nothing is said of it.
    Done(Option<Vec<Attachment>>),
    /// It could not be done, and why.
    Failed(String),
}

/// What a driver came to with an event of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The instance.
    pub id: InstanceId,
    /// What was due.
    pub event: LifecycleEvent,
    /// What it came to.
    pub outcome: Outcome,
}

/// Plans what comes of the work of drivers. What something else is due of by now is left to the next
/// round.
pub fn settled(snapshot: &Snapshot, settlements: &[Settlement], now: Timestamp) -> Vec<Change> {
    settlements.iter().flat_map(|settlement| settled_one(snapshot, settlement, now)).collect()
}

fn settled_one(snapshot: &Snapshot, settlement: &Settlement, now: Timestamp) -> Vec<Change> {
    let Settlement { id, event, outcome } = settlement;
    let Some(found) = snapshot.instance(*id) else { return Vec::new() };
    let origin = snapshot.origin(*id).unwrap_or(Origin::Api);
    let mut instance = Instance::clone(found);
    if found.due() != Some(*event) {
        // Its end was asked for meanwhile: there is a machine now that must be removed.
        let is_made = *event == LifecycleEvent::Launch && matches!(outcome, Outcome::Done(_));
        let is_ending = found.due() == Some(LifecycleEvent::Terminate);
        if !(is_made && is_ending && found.attributes.driver.is_some()) {
            return Vec::new();
        }
        instance.attributes.machine = Machine::Made;
        return vec![Change::PutInstance(Arc::new(instance), origin)];
    }
    match (event, outcome) {
        (LifecycleEvent::Launch | LifecycleEvent::Start, Outcome::Done(attachments)) => {
            if let Some(attachments) = attachments {
                attach_by_driver(&mut instance, attachments);
            }
            instance.attributes.machine = match instance.attributes.driver {
                Some(_) => Machine::Made,
                None => Machine::Absent,
            };
            instance.attributes.stopped_in = None;
            come_to(&mut instance, InstanceState::Running, None, now);
        }
        // What is left of its machine is removed like any machine.
        (LifecycleEvent::Launch, Outcome::Failed(why)) => {
            come_to(&mut instance, InstanceState::ShuttingDown, Some(failed(why)), now);
        }
        (LifecycleEvent::Start, Outcome::Failed(why)) => {
            come_to(&mut instance, InstanceState::Stopped, Some(failed(why)), now);
        }
        (LifecycleEvent::Reboot, Outcome::Done(_) | Outcome::Failed(_)) => {
            instance.attributes.machine = Machine::Made;
        }
        (LifecycleEvent::Stop, Outcome::Done(_)) => {
            // What is changed from now on is in force at the next start.
            instance.attributes.stopped_in = Some(snapshot.generation().next());
            come_to(&mut instance, InstanceState::Stopped, Some(asked_for()), now);
        }
        (LifecycleEvent::Terminate, Outcome::Done(_)) => return gone(instance, now),
        // Of a machine that never was nothing can be left that matters.
        (LifecycleEvent::Terminate, Outcome::Failed(_))
            if instance.attributes.machine == Machine::Absent =>
        {
            return gone(instance, now);
        }
        // It is tried again: a machine that may run still is not forgotten.
        (LifecycleEvent::Stop | LifecycleEvent::Terminate, Outcome::Failed(why)) => {
            instance.attributes.state_reason = Some(failed(why));
        }
    }
    if instance == **found {
        return Vec::new();
    }
    vec![Change::PutInstance(Arc::new(instance), origin)]
}

/// Puts what the driver gives in place of what it gave before. What an operator attached stays.
fn attach_by_driver(instance: &mut Instance, given: &[Attachment]) {
    for before in &std::mem::take(&mut instance.attributes.driver_attachments) {
        if let Some(place) = instance.attachments.iter().position(|has| has == before) {
            instance.attachments.remove(place);
        }
    }
    for attachment in given {
        let claim = attachment.claim();
        let has = instance.attachments.iter().any(|has| has.claim() == claim);
        if !(has && claim.is_exclusive()) {
            instance.attachments.push(attachment.clone());
        }
    }
    instance.attributes.driver_attachments = given.to_vec();
}

/// Says why an instance cannot have what its driver gave it. Whoever may see the instance reads that,
/// and is told nothing of an instance in another account or region.
pub fn describe_taken(snapshot: &Snapshot, taken: &AttachmentTaken) -> String {
    let scope = |id| snapshot.instance(id).map(|instance| instance.scope());
    if scope(taken.holder) == scope(taken.claimant) {
        return taken.to_string();
    }
    let AttachmentTaken { attachment, claimant, .. } = taken;
    format!("{claimant} cannot have the attachment {attachment}: it is taken")
}

/// Plans that an instance is gone: what is left is a record.
fn gone(mut instance: Instance, now: Timestamp) -> Vec<Change> {
    // One that failed is gone for that reason, unless somebody asked for its end.
    if instance.attributes.machine != Machine::Absent {
        instance.attributes.state_reason = Some(asked_for());
    }
    instance.state = InstanceState::Terminated;
    instance.attributes.state_since = Some(now);
    instance.attributes.machine = Machine::Absent;
    instance.attributes.driver_attachments = Vec::new();
    instance.attachments = Vec::new();
    let scope = instance.scope();
    vec![
        Change::DeleteInstance(instance.id),
        Change::PutResource(scope, Arc::new(Resource::TerminatedInstance(Box::new(instance)))),
    ]
}

/// Plans that instances that have been gone for long are forgotten, and client tokens that nobody
/// sends again.
pub fn expired(snapshot: &Snapshot, now: Timestamp) -> Vec<Change> {
    const KINDS: [ResourceKind; 2] = [ResourceKind::Idempotency, ResourceKind::TerminatedInstance];
    let is_over = |resource: &Resource| {
        if let Resource::Idempotency(made) = resource {
            made.made.plus_seconds(IDEMPOTENCY_SECONDS) <= now
        } else if let Resource::TerminatedInstance(gone) = resource {
            let since = gone.attributes.state_since.unwrap_or(gone.last_modified);
            since.plus_seconds(TERMINATED_SECONDS) <= now
        } else {
            false
        }
    };
    let kept = snapshot.resources_of(&KINDS);
    let over = kept.filter(|(_, resource)| is_over(resource));
    over.map(|(scope, resource)| Change::DeleteResource(scope.clone(), resource.key())).collect()
}

/// Plans that an instance that is gone is forgotten now, for a new one with its id.
pub fn forgotten(snapshot: &Snapshot, scope: Scope, id: InstanceId) -> Option<Change> {
    snapshot.terminated_instance(&scope, id)?;
    Some(Change::DeleteResource(scope, ResourceKey::TerminatedInstance(id)))
}

/// Returns why the driver failed last, if the instance is in its state for that.
pub fn failure(instance: &Instance) -> Option<&str> {
    let reason = instance.attributes.state_reason.as_ref()?;
    let is_failure = &*reason.code == FAILED;
    is_failure.then(|| reason.message.strip_prefix(&format!("{FAILED}: ")).unwrap_or_default())
}
