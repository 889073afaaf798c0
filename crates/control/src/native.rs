//! The native API: what `imds` commands ask a running server through its admin socket.
//!
//! One JSON object a line each way: a [`Request`], then an [`Answer`]. Whoever can open the socket
//! may do everything; the file mode and the peer's user id decide who can.

use std::convert::Infallible;
use std::sync::Arc;

use model::{Instance, InstanceId, OptionsChange, Region, Secret, Switch, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Change, Origin, Snapshot, Store, TransactFault};

/// LIMIT: the longest request line. An instance with 16 KiB of user data and 50 long tags stays
/// well below.
pub const LINE_BYTES_MAX: usize = 256 * 1024;

/// What is asked of a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    // Braces, or unknown keys beside `action` would be accepted without a word.
    /// What a client needs to use this server.
    Environment {},
    /// The certificates that verify identity documents.
    IdentityCertificates {},
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

/// An instance, with the addresses that serve it.
#[derive(Debug, Serialize, Deserialize)]
pub struct InstanceView {
    /// URLs of the service, as this instance reaches it.
    pub endpoints: Vec<String>,
    /// The instance.
    #[serde(flatten)]
    pub instance: Arc<Instance>,
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
    /// Attachments are had at a start.
    #[error(
        "the attachments of {0} cannot change while the server runs: change them in its [[instance]] \
         table, and start the server anew"
    )]
    AttachmentsFixed(InstanceId),
    /// No such instance.
    #[error("there is no instance `{0}`: `imds instance list` shows those there are")]
    InstanceUnknown(InstanceId),
    /// No address serves the instance.
    #[error(
        "no address of the server serves {0}: it takes no IPv6, and --listen names no IPv4 address"
    )]
    NoEndpoint(InstanceId),
    /// Not finished starting.
    #[error("the server is still starting: try again")]
    NotReady,
    /// A role that nobody described.
    #[error("the instance has the role `{0}`, and no [[role]] table of the settings names it")]
    RoleUnknown(model::RoleName),
    /// Could not be stored.
    #[error("the change could not be stored: {0}")]
    Unstored(String),
}

/// What the server knows besides the store.
pub trait Surroundings {
    /// URLs at which an instance reaches the service.
    fn endpoints(&self, instance: InstanceId) -> Vec<String>;

    /// The instance that the `--listen` addresses serve.
    fn default_instance(&self) -> InstanceId;

    /// URL of the management APIs.
    fn management_endpoint(&self) -> String;

    /// Name and PEM text of each certificate that verifies identity documents, once made.
    fn certificates(&self) -> Option<Vec<(String, String)>>;
}

/// Does what is asked.
///
/// # Errors
///
/// [`NativeRefusal`]; then nothing has changed.
pub fn handle(
    request: Request,
    store: &Store,
    surroundings: &impl Surroundings,
    now: Timestamp,
) -> Result<serde_json::Value, NativeRefusal> {
    let snapshot = store.snapshot();
    let view = |instance: &Arc<Instance>| InstanceView {
        endpoints: surroundings.endpoints(instance.id),
        instance: Arc::clone(instance),
    };
    match request {
        Request::Environment {} => environment(&snapshot, surroundings).map(|found| json(&found)),
        Request::IdentityCertificates {} => {
            let certificates = surroundings.certificates().ok_or(NativeRefusal::NotReady)?;
            let named = certificates.into_iter().map(|(name, pem)| (name, pem.into()));
            Ok(serde_json::Value::Object(named.collect()))
        }
        Request::ListInstances {} => {
            let mut instances: Vec<_> = snapshot.instances().map(|(i, _)| view(i)).collect();
            instances.sort_by_key(|view| view.instance.id);
            Ok(json(&instances))
        }
        Request::ModifyOptions { instance_id, options } => {
            modify_options(store, instance_id, options, now)?;
            find(&store.snapshot(), instance_id).map(|instance| json(&view(&instance)))
        }
        Request::PutInstance { instance } => {
            let id = instance.id;
            put_instance(store, *instance, now)?;
            find(&store.snapshot(), id).map(|instance| json(&view(&instance)))
        }
        Request::ShowInstance { instance_id } => {
            find(&snapshot, instance_id).map(|instance| json(&view(&instance)))
        }
    }
}

fn find(snapshot: &Snapshot, id: InstanceId) -> Result<Arc<Instance>, NativeRefusal> {
    snapshot.instance(id).cloned().ok_or(NativeRefusal::InstanceUnknown(id))
}

fn environment(
    snapshot: &Snapshot,
    surroundings: &impl Surroundings,
) -> Result<Environment, NativeRefusal> {
    let default = surroundings.default_instance();
    let administrator = snapshot.administrator().ok_or(NativeRefusal::NotReady)?;
    let instance = find(snapshot, default)?;
    let takes_ipv6 = instance.options.http_protocol_ipv6 == Switch::Enabled;
    let is_served = |url: &String| takes_ipv6 || !url.starts_with("http://[");
    let metadata_endpoint = surroundings.endpoints(default).into_iter().find(is_served);
    Ok(Environment {
        metadata_endpoint: metadata_endpoint.ok_or(NativeRefusal::NoEndpoint(default))?,
        management_endpoint: surroundings.management_endpoint(),
        region: instance.region.clone(),
        access_key_id: administrator.access_key_id.clone(),
        secret_access_key: administrator.secret_access_key.clone(),
    })
}

/// Changes some options of an instance, durably and for the next request.
fn modify_options(
    store: &Store,
    id: InstanceId,
    change: OptionsChange,
    now: Timestamp,
) -> Result<(), NativeRefusal> {
    let plan = |snapshot: &Snapshot| {
        let mut instance = (*find(snapshot, id)?).clone();
        let options = change.apply(instance.options);
        if options == instance.options {
            return Ok((Vec::new(), ()));
        }
        instance.options = options;
        instance.last_modified = now;
        let origin = snapshot.origin(id).unwrap_or(Origin::Api);
        Ok((vec![Change::PutInstance(Arc::new(instance), origin)], ()))
    };
    store.transact(plan).map_err(unwrap_plan)
}

fn put_instance(
    store: &Store,
    mut instance: Instance,
    now: Timestamp,
) -> Result<(), NativeRefusal> {
    instance.last_modified = now;
    let plan = |snapshot: &Snapshot| {
        let role = instance.instance_profile.as_ref().and_then(|profile| profile.role.as_ref());
        if let Some(role) = role.filter(|role| snapshot.role(role).is_none()) {
            return Err(NativeRefusal::RoleUnknown(role.clone()));
        }
        let attached = snapshot.instance(instance.id).map(|old| &old.attachments[..]);
        if attached.unwrap_or_default() != instance.attachments {
            return Err(NativeRefusal::AttachmentsFixed(instance.id));
        }
        let origin = snapshot.origin(instance.id).unwrap_or(Origin::Api);
        Ok((vec![Change::PutInstance(Arc::new(instance), origin)], ()))
    };
    store.transact(plan).map_err(unwrap_plan)
}

fn unwrap_plan(fault: TransactFault<NativeRefusal>) -> NativeRefusal {
    match fault {
        TransactFault::Plan(refusal) => refusal,
        TransactFault::Instance(refusal) => NativeRefusal::Unstored(refusal.to_string()),
        TransactFault::Backend(fault) => NativeRefusal::Unstored(fault.to_string()),
    }
}

/// A fault of the store, in words.
pub fn describe_fault(fault: &TransactFault<Infallible>) -> String {
    match fault {
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

    struct Nowhere;

    impl Surroundings for Nowhere {
        fn endpoints(&self, _: InstanceId) -> Vec<String> {
            vec!["http://127.0.0.1:1338/".to_owned()]
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
        store.transact(|snapshot| start(snapshot, &Configured::default(), fresh, NOW)).unwrap();
        store
    }

    fn ask(store: &Store, request: &str) -> Result<serde_json::Value, String> {
        let request = serde_json::from_str(request).map_err(|fault| fault.to_string())?;
        handle(request, store, &Nowhere, NOW.plus_seconds(5)).map_err(|refusal| refusal.to_string())
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
        shown.as_object_mut().unwrap().remove("endpoints");
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
        let refusal = handle(request, &store, &Nowhere, NOW).unwrap_err();
        assert!(matches!(refusal, NativeRefusal::RoleUnknown(_)), "{refusal}");
    }
}
