//! The native API: what `imds` commands ask a running server through its admin socket.
//!
//! One JSON object a line each way: a [`Request`], then an [`Answer`]. Whoever can open the socket
//! may do everything; the file mode and the peer's user id decide who can.

mod surroundings;
mod views;

use std::convert::Infallible;
use std::sync::Arc;

use model::{Attachment, Instance, InstanceId, OptionsChange, Timestamp};
use serde::{Deserialize, Serialize};
use store::{AttachmentTaken, Change, Snapshot, Store, TransactFault};

pub use self::surroundings::{NoServer, Surroundings};
pub use self::views::{
    AttachmentView, Diagnosis, Environment, InstanceView, Place, UndeliveredView, Wanted,
};
use crate::instances::{self, Launch, find};

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
    /// Keeps an instance, in place of the one with its id.
    PutInstance {
        /// The instance.
        instance: Box<Instance>,
    },
    /// One instance.
    ShowInstance {
        /// The instance.
        instance_id: InstanceId,
    },
    /// Ends an instance, and its machine if the server made it.
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

/// Why a request is not done.
#[derive(Debug, thiserror::Error)]
pub enum NativeRefusal {
    /// Another instance has the attachment.
    #[error(
        "{0}. Detach it there first: imds instance detach {holder} {attachment}",
        holder = .0.holder,
        attachment = .0.attachment
    )]
    AttachmentTaken(AttachmentTaken),
    /// What it would be attached to is not there, or may not be used.
    #[error("{0}")]
    CannotAttach(String),
    /// The instance that the `--listen` addresses serve.
    #[error("{0} is the default instance of this server: it ends with the server")]
    DefaultInstance(InstanceId),
    /// The config file has the say.
    #[error("{0} is described in the config file: change it there, and start the server anew")]
    Described(InstanceId),
    /// The machine of an instance could not be made or removed.
    #[error("the machine of {0}: {1}")]
    Host(InstanceId, String),
    /// The id is in use.
    #[error("there is an instance `{0}` already: choose another id, or none")]
    InstanceExists(InstanceId),
    /// No such instance.
    #[error("there is no instance `{0}`: `imds instance list` shows those there are")]
    InstanceUnknown(InstanceId),
    /// No address serves the instance.
    #[error(
        "no address of the server serves {0}: it takes no IPv6, and --listen names no IPv4 address"
    )]
    NoEndpoint(InstanceId),
    /// No such attachment.
    #[error("{0} has no attachment {1}: `imds instance show {0}` shows those it has")]
    NotAttached(InstanceId, Attachment),
    /// Not finished starting.
    #[error("the server is still starting: try again")]
    NotReady,
    /// A role that nobody described.
    #[error("the instance has the role `{0}`, and no [[role]] table of the settings names it")]
    RoleUnknown(model::RoleName),
    /// Stored, and not served so by the time that the command must be answered.
    #[error(
        "the change is stored, but the server has so many others to take up that what was served \
         before may still be, for a while: ask again in a moment"
    )]
    Unsettled,
    /// Could not be stored.
    #[error("the change could not be stored: {0}")]
    Unstored(String),
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
        Request::LaunchInstance(launch) => desk.launch(*launch).and_then(|id| desk.show(id)),
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
        Request::PutInstance { instance } => {
            let id = instance.id;
            desk.transact(|snapshot| instances::put(snapshot, *instance, now))?;
            desk.show(id)
        }
        Request::ShowInstance { instance_id } => desk.show(instance_id),
        Request::TerminateInstance { instance_id } => {
            let shown = desk.show(instance_id)?;
            let default = surroundings.default_instance();
            desk.store(|snapshot| instances::terminate(snapshot, instance_id, default))?;
            let settled = desk.settle();
            let removed = surroundings.remove_host(instance_id);
            removed.map_err(|reason| NativeRefusal::Host(instance_id, reason))?;
            settled.map(|()| shown)
        }
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
        find(&self.store.snapshot(), id).map(|instance| json(&self.view(&instance)))
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

    /// Makes the machine first: an instance that is told of is served.
    fn launch(&self, launch: Launch) -> Result<InstanceId, NativeRefusal> {
        let fresh = || self.surroundings.fresh_number().map_err(NativeRefusal::Unstored);
        let fresh = || fresh().map(InstanceId::from_number);
        let id = launch.instance_id.map_or_else(fresh, Ok)?;
        let driver = launch.driver;
        let mut instance = launch.describe(id, self.store.current().generation().next(), self.now);
        // Said before there is anything to undo.
        instances::add(&self.store.snapshot(), instance.clone())?;
        if let Some(driver) = driver {
            let made = self.surroundings.make_host(&instance, driver);
            let attachment = made.map_err(|reason| NativeRefusal::Host(id, reason))?;
            instance.attachments.push(attachment);
        }
        let added = self.add(|snapshot| instances::add(snapshot, instance));
        if added.is_err() && driver.is_some() {
            let removed = self.surroundings.remove_host(id);
            removed.map_err(|reason| NativeRefusal::Host(id, reason))?;
        }
        added.map(|()| id)
    }
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
