//! The native API: what `imds` commands ask a running server through its admin socket.
//!
//! One JSON object a line each way: a [`Request`], then an [`Answer`]. Whoever can open the socket
//! may do everything; the file mode and the peer's user id decide who can.

mod policies;
mod refusal;
mod surroundings;
mod views;

use std::convert::Infallible;
use std::sync::Arc;

use model::{
    Attachment, Instance, InstanceId, InstanceState, OptionsChange, Resource, ResourceKind,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use store::{Change, Snapshot, Store, TransactFault};

pub use self::policies::{ControlView, NamedDocument, PoliciesInForce, PolicyQuestion};
pub use self::refusal::NativeRefusal;
pub use self::surroundings::{NoServer, Surroundings};
pub use self::views::{
    AttachmentView, Diagnosis, Environment, InstanceView, Place, UndeliveredView, Wanted,
};
use crate::action::Call;
use crate::api::form::Tree;
use crate::caller::Caller;
use crate::instances::{self, Launch, find};
use crate::lifecycle::{self, Moved};
use crate::{ec2, events};

/// LIMIT: the longest request line. An instance with 16 KiB of user data and 50 long tags stays
/// well below.
pub const LINE_BYTES_MAX: usize = 256 * 1024;

/// What is asked of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Gives an instance one more attachment.
    Attach {
        /// The instance.
        instance_id: InstanceId,
        /// The attachment.
        attachment: Attachment,
        /// Whether it may be of something that is not there yet.
        #[serde(default)]
        later: bool,
    },
    /// Takes an attachment from an instance.
    Detach {
        /// The instance.
        instance_id: InstanceId,
        /// The attachment.
        attachment: Attachment,
    },
    // Braces, or unknown keys beside `action` would be accepted without a word.
    /// How instances are attached, and what went wrong.
    Diagnose {},
    /// What a client needs to use this server.
    Environment {},
    /// The certificates that verify identity documents.
    IdentityCertificates {},
    /// Launches an instance.
    LaunchInstance(Box<Launch>),
    /// All instances.
    ListInstances {},
    /// Changes some of an instance's metadata options.
    ModifyOptions {
        /// The instance.
        instance_id: InstanceId,
        /// The options to change.
        options: OptionsChange,
    },
    /// Raises or clears a notice that an instance reads of itself.
    Notice {
        /// The instance.
        instance_id: InstanceId,
        /// The notice.
        notice: events::Notice,
    },
    /// The documents that are in force for a question.
    PoliciesInForce(Box<PolicyQuestion>),
    /// Keeps an instance, in place of the one with its id.
    PutInstance {
        /// The instance.
        instance: Box<Instance>,
    },
    /// Has the machine of an instance started anew.
    RebootInstance {
        /// The instance.
        instance_id: InstanceId,
    },
    /// One instance, also one that has ended, for a while.
    ShowInstance {
        /// The instance.
        instance_id: InstanceId,
    },
    /// Has an instance that was stopped run again.
    StartInstance {
        /// The instance.
        instance_id: InstanceId,
    },
    /// Stops an instance, and its machine if a driver made it.
    StopInstance {
        /// The instance.
        instance_id: InstanceId,
    },
    /// Ends an instance, and its machine if a driver made it.
    TerminateInstance {
        /// The instance.
        instance_id: InstanceId,
    },
}

/// What comes back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was not done.
    Error {
        /// Why, and what to do.
        message: String,
    },
    /// It was done.
    Result(serde_json::Value),
}

/// Does what is asked. When this returns, it is durable, and the data plane serves it.
///
/// # Errors
///
/// [`NativeRefusal`]; then nothing has changed, but for [`NativeRefusal::Unsettled`].
pub fn handle(
    request: Request,
    store: &Store,
    surroundings: &impl Surroundings,
    now: Timestamp,
) -> Result<serde_json::Value, NativeRefusal> {
    let desk = Desk { store, surroundings, now };
    let snapshot = store.snapshot();
    match request {
        Request::Attach { instance_id, attachment, later } => {
            desk.attach(instance_id, &attachment, later)?;
            desk.show(instance_id)
        }
        Request::Detach { instance_id, attachment } => {
            desk.transact(|snapshot| instances::detach(snapshot, instance_id, &attachment))?;
            desk.show(instance_id)
        }
        Request::Diagnose {} => Ok(json(&surroundings.diagnosis(&snapshot))),
        Request::Environment {} => environment(&snapshot, surroundings).map(|found| json(&found)),
        Request::IdentityCertificates {} => {
            let certificates = surroundings.certificates().ok_or(NativeRefusal::NotReady)?;
            let named = certificates.into_iter().map(|(name, pem)| (name, pem.into()));
            Ok(serde_json::Value::Object(named.collect()))
        }
        Request::LaunchInstance(launch) => desk.launch(*launch),
        Request::ListInstances {} => {
            let mut instances: Vec<_> = snapshot.instances().map(|(i, _)| desk.view(i)).collect();
            instances.sort_by_key(|view| view.instance.id);
            Ok(json(&instances))
        }
        Request::ModifyOptions { instance_id, options } => {
            desk.transact(|snapshot| {
                instances::modify_options(snapshot, instance_id, options, now)
            })?;
            desk.show(instance_id)
        }
        Request::Notice { instance_id, notice } => {
            let fresh = surroundings.fresh_number().map_err(NativeRefusal::Unstored)?;
            desk.transact(|snapshot| {
                Ok(events::notice(snapshot, instance_id, notice, fresh, now)?)
            })?;
            desk.show(instance_id)
        }
        Request::PoliciesInForce(question) => {
            policies::policies_in_force(&snapshot, &question).map(|found| json(&found))
        }
        Request::PutInstance { instance } => {
            let id = instance.id;
            desk.transact(|snapshot| instances::put(snapshot, *instance, now))?;
            desk.show(id)
        }
        Request::ShowInstance { instance_id } => desk.show(instance_id),
        Request::RebootInstance { instance_id } => desk.lead(instance_id, lifecycle::reboot),
        Request::StartInstance { instance_id } => {
            desk.lead(instance_id, |snapshot, meant| lifecycle::start(snapshot, meant, now))
        }
        Request::StopInstance { instance_id } => {
            desk.lead(instance_id, |snapshot, meant| lifecycle::stop(snapshot, meant, now))
        }
        Request::TerminateInstance { instance_id } => desk.lead(instance_id, |snapshot, meant| {
            lifecycle::terminate(snapshot, meant, surroundings.default_instance(), now)
        }),
    }
}

/// What one request is handled with.
struct Desk<'a, S> {
    store: &'a Store,
    surroundings: &'a S,
    now: Timestamp,
}

impl<S: Surroundings> Desk<'_, S> {
    fn view(&self, instance: &Arc<Instance>) -> InstanceView {
        InstanceView {
            endpoints: self.surroundings.endpoints(instance),
            attached: self.surroundings.attached(instance),
            instance: Arc::clone(instance),
        }
    }

    fn show(&self, id: InstanceId) -> Result<serde_json::Value, NativeRefusal> {
        let instance = known(&self.store.snapshot(), id);
        let instance = instance.ok_or(NativeRefusal::InstanceUnknown(id))?;
        Ok(json(&self.view(&instance)))
    }

    /// Makes what is planned durable, and sees it served.
    fn transact(
        &self,
        plan: impl FnOnce(&Snapshot) -> Result<(Vec<Change>, ()), NativeRefusal>,
    ) -> Result<(), NativeRefusal> {
        self.store(plan)?;
        self.settle()
    }

    fn store(
        &self,
        plan: impl FnOnce(&Snapshot) -> Result<(Vec<Change>, ()), NativeRefusal>,
    ) -> Result<(), NativeRefusal> {
        self.store.transact(plan).map_err(unwrap_plan)
    }

    fn settle(&self) -> Result<(), NativeRefusal> {
        let generation = self.store.current().generation();
        if self.surroundings.settles(generation) { Ok(()) } else { Err(NativeRefusal::Unsettled) }
    }

    /// Makes what adds an attachment durable, and has it served. Where that takes too long, the
    /// attachment is shown as one that waits.
    fn add(
        &self,
        plan: impl FnOnce(&Snapshot) -> Result<(Vec<Change>, ()), NativeRefusal>,
    ) -> Result<(), NativeRefusal> {
        self.store(plan)?;
        let _ = self.settle();
        Ok(())
    }

    fn attach(
        &self,
        id: InstanceId,
        attachment: &Attachment,
        later: bool,
    ) -> Result<(), NativeRefusal> {
        find(&self.store.snapshot(), id)?;
        let is_free = || self.store.current().holder(attachment).is_none();
        if is_free() && !later {
            let tried = self.surroundings.try_attachment(attachment);
            // What somebody has taken in the meantime cannot be tried.
            if let Some(reason) = tried.err().filter(|_| is_free()) {
                return Err(NativeRefusal::CannotAttach(reason));
            }
        }
        self.add(|snapshot| instances::attach(snapshot, id, attachment))
    }

    /// Launches as the EC2 API does, in the account and region of the default instance.
    fn launch(&self, launch: Launch) -> Result<serde_json::Value, NativeRefusal> {
        let fresh = || self.surroundings.fresh_number().map_err(NativeRefusal::Unstored);
        let fresh = || fresh().map(InstanceId::from_number);
        let id = launch.instance_id.map_or_else(fresh, Ok)?;
        let desk = ec2::Desk {
            store: self.store,
            surroundings: self.surroundings,
            caller: Caller::operator(&self.store.snapshot()).ok_or(NativeRefusal::NotReady)?,
            scope: find(&self.store.snapshot(), self.surroundings.default_instance())?.scope(),
            now: self.now,
            parameters: &Tree::default(),
            call: Call::default(),
            authorized: None,
        };
        self.store(|snapshot| instances::launch(snapshot, &desk, id, launch))?;
        self.see_through(id, InstanceState::Running)?;
        // Where that takes too long, the attachments are shown as those that wait.
        let _ = self.settle();
        self.show(id)
    }

    /// Has something done with the machine of an instance, and sees it through.
    fn lead(
        &self,
        id: InstanceId,
        plan: impl Fn(&Snapshot, lifecycle::Meant<'_>) -> Moved,
    ) -> Result<serde_json::Value, NativeRefusal> {
        let plan = |snapshot: &Snapshot| -> Result<_, NativeRefusal> {
            let (changes, moved) = plan(snapshot, lifecycle::Meant::from(&[id][..]))?;
            Ok((changes, moved.first().map(|moved| moved.after)))
        };
        let after = self.store.transact(plan).map_err(unwrap_plan)?;
        let aim = match after {
            Some(InstanceState::Pending | InstanceState::Running) => InstanceState::Running,
            Some(InstanceState::Stopped | InstanceState::Stopping) => InstanceState::Stopped,
            Some(InstanceState::ShuttingDown | InstanceState::Terminated) | None => {
                InstanceState::Terminated
            }
        };
        self.see_through(id, aim)?;
        self.settle()?;
        self.show(id)
    }

    /// Waits for the driver of an instance, for as long as a command can. One that takes longer goes on
    /// with it, and the instance is shown as it is.
    fn see_through(&self, id: InstanceId, aim: InstanceState) -> Result<(), NativeRefusal> {
        if self.store.current().is_in_transition(id) {
            self.surroundings.settles_states(&[id]);
        }
        let snapshot = self.store.snapshot();
        let instance = known(&snapshot, id).ok_or(NativeRefusal::InstanceUnknown(id))?;
        match lifecycle::failure(&instance).filter(|_| instance.state != aim) {
            Some(reason) => Err(NativeRefusal::Machine(id, reason.to_owned())),
            None => Ok(()),
        }
    }
}

/// Finds an instance, or what is kept of one that has ended.
fn known(snapshot: &Snapshot, id: InstanceId) -> Option<Arc<Instance>> {
    let gone = || {
        let mut kept = snapshot.resources_of(&[ResourceKind::TerminatedInstance]);
        kept.find_map(|(_, resource)| {
            let Resource::TerminatedInstance(gone) = &**resource else { return None };
            (gone.id == id).then(|| Arc::new(Instance::clone(gone)))
        })
    };
    snapshot.instance(id).cloned().or_else(gone)
}

fn environment(
    snapshot: &Snapshot,
    surroundings: &impl Surroundings,
) -> Result<Environment, NativeRefusal> {
    let default = surroundings.default_instance();
    let administrator = snapshot.administrator().ok_or(NativeRefusal::NotReady)?;
    let instance = find(snapshot, default)?;
    let metadata_endpoint = surroundings.endpoints(&instance).into_iter().next();
    Ok(Environment {
        metadata_endpoint: metadata_endpoint.ok_or(NativeRefusal::NoEndpoint(default))?,
        management_endpoint: surroundings.management_endpoint(),
        region: instance.region.clone(),
        access_key_id: administrator.access_key_id.to_string(),
        secret_access_key: administrator.secret_access_key.clone(),
    })
}

fn unwrap_plan(fault: TransactFault<NativeRefusal>) -> NativeRefusal {
    match fault {
        TransactFault::Attachment(taken) => NativeRefusal::AttachmentTaken(taken),
        TransactFault::Plan(refusal) => refusal,
        TransactFault::Instance(refusal) => NativeRefusal::Unstored(refusal.to_string()),
        TransactFault::Backend(fault) => NativeRefusal::Unstored(fault.to_string()),
    }
}

/// A fault of the store, in words.
pub fn describe_fault(fault: &TransactFault<Infallible>) -> String {
    match fault {
        TransactFault::Attachment(taken) => taken.to_string(),
        TransactFault::Plan(never) => match *never {},
        TransactFault::Instance(refusal) => refusal.to_string(),
        TransactFault::Backend(fault) => fault.to_string(),
    }
}

fn json(value: &impl Serialize) -> serde_json::Value {
    serde_json::to_value(value).unwrap_or_default()
}

#[cfg(test)]
mod tests;
