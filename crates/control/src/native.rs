//! The native API: what `imds` commands ask a running server through its admin socket.
//!
//! One JSON object a line each way: a [`Request`], then an [`Answer`]. Whoever can open the socket
//! may do everything; the file mode and the peer's user id decide who can.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use model::{
    Attachment, Generation, HopLimit, Instance, InstanceId, Interface, MacAddress, MetadataOptions,
    OptionsChange, Region, Secret, Timestamp, UndeliveredReason,
};
use serde::{Deserialize, Serialize};
use store::{AttachmentTaken, Change, Snapshot, Store, TransactFault};

use crate::instances::{self, Driver, Launch, find};

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

/// An instance, with how it is served.
#[derive(Debug, Serialize, Deserialize)]
pub struct InstanceView {
    /// URLs of the service, as this instance reaches it.
    pub endpoints: Vec<String>,
    /// Its attachments, and whether they serve.
    pub attached: Vec<AttachmentView>,
    /// The instance.
    #[serde(flatten)]
    pub instance: Arc<Instance>,
}

/// An attachment, and whether it serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachmentView {
    /// The attachment, as text.
    pub attachment: String,
    /// What it waits for, and what can be done; none while it serves.
    pub waiting: Option<String>,
    /// Whether a hop limit can hold: whether whoever is behind the instance is reached only by
    /// packets that the instance forwards.
    pub limits_hops: bool,
}

/// How instances are attached, and what went wrong.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Diagnosis {
    /// Where the server runs; none if no server does.
    pub place: Option<Place>,
    /// The default instance.
    pub default_instance: InstanceId,
    /// The addresses that serve it.
    pub listen: Vec<SocketAddr>,
    /// The addresses that all instances share.
    pub shared_listen: Vec<SocketAddr>,
    /// How many source addresses are attached.
    pub sources: usize,
    /// All other attachments, and whose each is.
    pub attached: Vec<(InstanceId, AttachmentView)>,
    /// The default instance, and those of `attached`, as they ask to be served.
    pub instances: Vec<Wanted>,
    /// The last tokens that did not arrive, one for each instance and source.
    pub undelivered: Vec<UndeliveredView>,
}

/// Where a server runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Its process.
    pub process_id: u32,
    /// Its network namespace, as `/proc/PID/ns/net` names it: `net:[4026531840]`.
    pub network_namespace: String,
}

/// An instance as it asks to be served: what its attachments must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The instance.
    pub instance_id: InstanceId,
    /// The options in force.
    pub options: MetadataOptions,
    /// The Ethernet address of its primary interface.
    pub mac: Option<MacAddress>,
    /// The address of its primary interface.
    pub ipv4: Option<Ipv4Addr>,
}

impl Wanted {
    /// Returns what `instance` asks for.
    pub fn of(instance: &Instance) -> Self {
        let interface = instance.primary_interface();
        Self {
            instance_id: instance.id,
            options: instance.options,
            mac: interface.map(|interface| interface.mac),
            ipv4: interface.and_then(Interface::primary_ipv4),
        }
    }
}

/// Tokens of an instance that did not arrive at a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndeliveredView {
    /// The instance.
    pub instance_id: InstanceId,
    /// Who asked.
    pub source: IpAddr,
    /// How the last one was lost.
    pub reason: UndeliveredReason,
    /// How many hops away the source is, if its packets tell.
    pub hops: Option<u8>,
    /// The hop limit that the last one was sent with.
    pub hop_limit: HopLimit,
    /// How many were lost.
    pub count: u64,
    /// When the last one was.
    pub last: Timestamp,
}

/// What a client needs to use this server.
#[derive(Debug, Serialize, Deserialize)]
pub struct Environment {
    /// URL of the metadata service, for the default instance.
    pub metadata_endpoint: String,
    /// URL of the management APIs.
    pub management_endpoint: String,
    /// The region.
    pub region: Region,
    /// The administrator's access key id.
    pub access_key_id: String,
    /// The administrator's secret access key.
    pub secret_access_key: Secret<String>,
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

/// What the server knows and does besides the store.
pub trait Surroundings {
    /// URLs at which an instance reaches the service.
    fn endpoints(&self, instance: &Instance) -> Vec<String>;

    /// The attachments of an instance, and whether they serve.
    fn attached(&self, instance: &Instance) -> Vec<AttachmentView>;

    /// How instances are attached, and what went wrong.
    fn diagnosis(&self, snapshot: &Snapshot) -> Diagnosis;

    /// Sees whether an attachment would serve. What comes back says what is missing, and the cure.
    ///
    /// # Errors
    ///
    /// In words, if it would not.
    fn try_attachment(&self, attachment: &Attachment) -> Result<(), String>;

    /// Waits until the data plane serves what the store holds at `generation`. Returns false if it
    /// takes too long.
    fn settles(&self, generation: Generation) -> bool;

    /// An id that no instance has had.
    ///
    /// # Errors
    ///
    /// In words, if the system gives no random bytes.
    fn fresh_instance_id(&self) -> Result<InstanceId, String>;

    /// Makes an instance's machine, and says how it is attached.
    ///
    /// # Errors
    ///
    /// In words; then nothing is left of it.
    fn make_host(&self, instance: &Instance, driver: Driver) -> Result<Attachment, String>;

    /// Removes an instance's machine, if the server made one.
    ///
    /// # Errors
    ///
    /// In words. The next start tries again.
    fn remove_host(&self, instance: InstanceId) -> Result<(), String>;

    /// The instance that the `--listen` addresses serve.
    fn default_instance(&self) -> InstanceId;

    /// URL of the management APIs.
    fn management_endpoint(&self) -> String;

    /// Name and PEM text of each certificate that verifies identity documents, once made.
    fn certificates(&self) -> Option<Vec<(String, String)>>;
}

/// A store that no server serves: what is planned is kept, and nobody is attached.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoServer;

const NO_SERVER: &str = "no server runs: start one with `imds serve`";

impl Surroundings for NoServer {
    fn endpoints(&self, _: &Instance) -> Vec<String> {
        Vec::new()
    }

    fn attached(&self, _: &Instance) -> Vec<AttachmentView> {
        Vec::new()
    }

    fn diagnosis(&self, snapshot: &Snapshot) -> Diagnosis {
        Diagnosis {
            place: None,
            default_instance: self.default_instance(),
            listen: Vec::new(),
            shared_listen: Vec::new(),
            sources: snapshot.source_count(),
            attached: Vec::new(),
            instances: Vec::new(),
            undelivered: Vec::new(),
        }
    }

    fn try_attachment(&self, _: &Attachment) -> Result<(), String> {
        Ok(())
    }

    fn settles(&self, _: Generation) -> bool {
        true
    }

    fn fresh_instance_id(&self) -> Result<InstanceId, String> {
        Err(NO_SERVER.to_owned())
    }

    fn make_host(&self, _: &Instance, _: Driver) -> Result<Attachment, String> {
        Err(NO_SERVER.to_owned())
    }

    fn remove_host(&self, _: InstanceId) -> Result<(), String> {
        Ok(())
    }

    fn default_instance(&self) -> InstanceId {
        Instance::default_id()
    }

    fn management_endpoint(&self) -> String {
        String::new()
    }

    fn certificates(&self) -> Option<Vec<(String, String)>> {
        None
    }
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
        let fresh = || self.surroundings.fresh_instance_id().map_err(NativeRefusal::Unstored);
        let id = launch.instance_id.map_or_else(fresh, Ok)?;
        let driver = launch.driver;
        let mut instance = launch.describe(id, self.now);
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
        access_key_id: administrator.access_key_id.clone(),
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
mod tests {
    use model::{HttpTokens, Secret};
    use store::Memory;

    use super::*;
    use crate::start::{Configured, Fresh, start};

    const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);

    struct Nowhere {
        is_slow: bool,
    }

    const AT_EASE: Nowhere = Nowhere { is_slow: false };

    impl Surroundings for Nowhere {
        fn endpoints(&self, _: &Instance) -> Vec<String> {
            vec!["http://127.0.0.1:1338/".to_owned()]
        }

        fn attached(&self, _: &Instance) -> Vec<AttachmentView> {
            Vec::new()
        }

        fn diagnosis(&self, snapshot: &Snapshot) -> Diagnosis {
            Diagnosis {
                place: None,
                default_instance: self.default_instance(),
                listen: Vec::new(),
                shared_listen: Vec::new(),
                sources: snapshot.source_count(),
                attached: Vec::new(),
                instances: Vec::new(),
                undelivered: Vec::new(),
            }
        }

        fn try_attachment(&self, attachment: &Attachment) -> Result<(), String> {
            if let Attachment::Netns(name) = attachment {
                return Err(format!("there is no namespace {name}"));
            }
            Ok(())
        }

        fn settles(&self, _: Generation) -> bool {
            !self.is_slow
        }

        fn fresh_instance_id(&self) -> Result<InstanceId, String> {
            Ok(InstanceId::from_number(7))
        }

        fn make_host(&self, instance: &Instance, _: Driver) -> Result<Attachment, String> {
            format!("netns={}-imds", instance.id).parse()
        }

        fn remove_host(&self, _: InstanceId) -> Result<(), String> {
            Ok(())
        }

        fn default_instance(&self) -> InstanceId {
            Instance::default_id()
        }

        fn management_endpoint(&self) -> String {
            "http://127.0.0.1:1339/".to_owned()
        }

        fn certificates(&self) -> Option<Vec<(String, String)>> {
            None
        }
    }

    fn started() -> Store {
        let store = Store::open(Box::new(Memory::default())).unwrap();
        let fresh = Fresh {
            token_key: [1; 32],
            issuer_key: [2; 32],
            access_key_id: [3; 16],
            secret_access_key: Secret::new("secret".to_owned()),
        };
        store.transact(|snapshot| start(snapshot, Configured::default(), fresh, NOW)).unwrap();
        store
    }

    fn ask(store: &Store, request: &str) -> Result<serde_json::Value, String> {
        let request = serde_json::from_str(request).map_err(|fault| fault.to_string())?;
        handle(request, store, &AT_EASE, NOW.plus_seconds(5)).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn options_change_in_part_and_at_once() {
        let store = started();
        let answer = ask(
            &store,
            r#"{"action":"modify_options","instance_id":"i-1234567890abcdef0",
                "options":{"http_tokens":"optional"}}"#,
        )
        .unwrap();
        assert_eq!(answer["options"]["http_tokens"], "optional");
        assert_eq!(answer["options"]["http_put_response_hop_limit"], 2);
        assert_eq!(answer["instance_id"], "i-1234567890abcdef0");
        let instance = find(&store.snapshot(), Instance::default_id()).unwrap();
        assert_eq!(instance.options.http_tokens, HttpTokens::Optional);
        assert_eq!(instance.last_modified, NOW.plus_seconds(5));
    }

    #[test]
    fn a_bad_value_is_refused_and_named() {
        let refusal = ask(
            &started(),
            r#"{"action":"modify_options","instance_id":"i-1234567890abcdef0",
                "options":{"http_put_response_hop_limit":65}}"#,
        )
        .unwrap_err();
        assert!(refusal.contains("`65` is not a hop limit"), "{refusal}");
    }

    #[test]
    fn what_is_not_there_cannot_be_shown() {
        let refusal = ask(&started(), r#"{"action":"show_instance","instance_id":"i-00000000"}"#)
            .unwrap_err();
        assert!(refusal.contains("there is no instance `i-00000000`"), "{refusal}");
    }

    #[test]
    fn an_instance_can_be_put_back_as_it_was_shown() {
        let store = started();
        let mut shown =
            ask(&store, r#"{"action":"show_instance","instance_id":"i-1234567890abcdef0"}"#)
                .unwrap();
        shown.as_object_mut().unwrap().retain(|key, _| key != "endpoints" && key != "attached");
        let request = serde_json::json!({ "action": "put_instance", "instance": shown });
        ask(&store, &request.to_string()).unwrap();
    }

    #[test]
    fn a_role_without_source_is_refused() {
        let store = started();
        let mut instance = Instance::default_instance();
        if let Some(profile) = &mut instance.instance_profile {
            profile.role = "other".parse().ok();
        }
        let request = Request::PutInstance { instance: Box::new(instance) };
        let refusal = handle(request, &store, &AT_EASE, NOW).unwrap_err();
        assert!(matches!(refusal, NativeRefusal::RoleUnknown(_)), "{refusal}");
    }

    #[test]
    fn attachments_come_and_go() {
        let store = started();
        let action = |action: &str, id: &str, attachment: &str| {
            let (kind, value) = attachment.split_once('=').unwrap();
            let request = serde_json::json!({
                "action": action, "instance_id": id, "attachment": { kind: value }
            });
            ask(&store, &request.to_string())
        };
        let launch = r#"{"action":"launch_instance","driver":{"netns":{"container":false}}}"#;
        let launched = ask(&store, launch).unwrap();
        let id = launched["instance_id"].as_str().unwrap();
        assert_eq!(id, "i-00000000000000007");
        let netns = serde_json::json!([{ "netns": "i-00000000000000007-imds" }]);
        assert_eq!(launched["attachments"], netns);
        let refusal = ask(&store, launch).unwrap_err();
        assert!(refusal.contains("there is an instance `i-00000000000000007`"), "{refusal}");

        let default = "i-1234567890abcdef0";
        action("attach", default, "source=10.0.0.5").unwrap();
        let refusal = action("attach", id, "source=10.0.0.5").unwrap_err();
        assert!(refusal.contains("imds instance detach i-1234567890abcdef0"), "{refusal}");
        let refusal = action("attach", id, "netns=blue").unwrap_err();
        assert!(refusal.contains("no namespace blue"), "{refusal}");
        action("detach", default, "source=10.0.0.5").unwrap();
        let refusal = action("detach", default, "source=10.0.0.5").unwrap_err();
        assert!(refusal.contains("no attachment source=10.0.0.5"), "{refusal}");
        action("attach", id, "source=10.0.0.5").unwrap();

        let terminate = |id: &str| {
            let request = serde_json::json!({ "action": "terminate_instance", "instance_id": id });
            ask(&store, &request.to_string())
        };
        assert_eq!(terminate(id).unwrap()["instance_id"], id);
        assert!(terminate(id).unwrap_err().contains("there is no instance"));
        assert!(terminate(default).unwrap_err().contains("default instance"));
        assert_eq!(store.current().source_count(), 0);
    }

    #[test]
    fn whoever_is_told_that_something_has_ended_can_rely_on_it() {
        let store = started();
        let ask = |request: serde_json::Value, is_slow| {
            let request = serde_json::from_value(request).unwrap();
            handle(request, &store, &Nowhere { is_slow }, NOW)
        };
        let attachment = serde_json::json!({ "listener": "127.0.0.1:8080" });
        let request = |action: &str| {
            serde_json::json!({
                "action": action, "instance_id": "i-1234567890abcdef0", "attachment": attachment,
            })
        };
        // What is not served yet is shown so.
        ask(request("attach"), true).unwrap();
        let refusal = ask(request("detach"), true).unwrap_err();
        assert!(matches!(refusal, NativeRefusal::Unsettled), "{refusal}");
        let refusal = ask(request("detach"), false).unwrap_err();
        assert!(matches!(refusal, NativeRefusal::NotAttached(..)), "it is stored: {refusal}");
        let launch = serde_json::json!({ "action": "launch_instance" });
        let launched = ask(launch, true).unwrap();
        let end = serde_json::json!({
            "action": "terminate_instance", "instance_id": launched["instance_id"],
        });
        let refusal = ask(end, true).unwrap_err();
        assert!(matches!(refusal, NativeRefusal::Unsettled), "{refusal}");
    }
}
