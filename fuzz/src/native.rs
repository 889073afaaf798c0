//! The native API: any text is refused, or is a request that means what it says; and what it leaves
//! in the store can be read again, and served.

use std::sync::Arc;

use control::native::{NoServer, Request, handle};
use metadata::ContentType;
use model::{
    Attachment, Instance, InstanceId, InstanceState, OptionLayer, OptionLayers, OptionsChange,
    Switch,
};
use store::{Snapshot, Store};

use crate::scene::{full, started};
use crate::tree::{self, NOW, Table, crawl};

/// Reads `data` as a request and does what it asks.
pub fn check(data: &[u8]) {
    let Ok(request) = serde_json::from_slice::<Request>(data) else {
        return;
    };
    says_what_it_means(data, &request);

    let store = started(&[full()]);
    let before = store.snapshot();
    let result = handle(request.clone(), &store, &NoServer, NOW);
    let after = store.snapshot();
    let Ok(result) = result else {
        assert_eq!(before.generation(), after.generation(), "a refusal changes nothing");
        return;
    };
    match request {
        Request::ShowInstance { instance_id } => {
            assert_eq!(before.generation(), after.generation(), "asking changes nothing");
            shows(&result, after.instance(instance_id));
        }
        Request::PoliciesInForce(_) => {
            assert_eq!(before.generation(), after.generation(), "asking changes nothing");
        }
        Request::ModifyOptions { instance_id, options } => {
            let (old, new) = (before.instance(instance_id), after.instance(instance_id));
            let (old, new) = (old.expect("it was there"), new.expect("it is there"));
            assert_eq!(new.options, options.apply(old.options));
            assert_eq!(new.option_layers, layers_after(old.option_layers, options));
            let mut same = Instance::clone(new);
            (same.options, same.last_modified) = (old.options, old.last_modified);
            if (new.options, new.option_layers) != (old.options, old.option_layers) {
                assert_eq!(new.options_since, after.generation(), "in force from now on");
                (same.option_layers, same.options_since) = (old.option_layers, old.options_since);
            }
            assert_eq!(same, **old, "nothing else changes");
            shows(&result, Some(new));
        }
        Request::Notice { instance_id, .. } => {
            let (old, new) = (before.instance(instance_id), after.instance(instance_id));
            let (old, new) = (old.expect("it was there"), new.expect("it is there"));
            let mut same = Instance::clone(new);
            (same.events, same.last_modified) = (old.events.clone(), old.last_modified);
            assert_eq!(same, **old, "nothing else changes");
            shows(&result, Some(new));
            can_be_served(new);
        }
        Request::PutInstance { instance } => {
            let kept = after.instance(instance.id).expect("it is there");
            let mut same = Instance::clone(kept);
            same.last_modified = instance.last_modified;
            assert_eq!(same, *instance, "it is kept as it was put");
            assert_eq!(kept.check(), Ok(()));
            shows(&result, Some(kept));
            can_be_put_again(&store, kept);
            can_be_served(kept);
        }
        Request::Attach { instance_id, attachment, .. } => {
            assert!(has(&after, instance_id, &attachment));
            assert_eq!(after.holder(&attachment).unwrap_or(instance_id), instance_id);
        }
        Request::Detach { instance_id, attachment } => {
            assert!(has(&before, instance_id, &attachment));
            let is_free = attachment.is_exclusive() && after.holder(&attachment).is_none();
            assert!(is_free || !attachment.is_exclusive());
        }
        Request::LaunchInstance(launch) => {
            let id = launch.instance_id.expect("no server draws one");
            assert!(before.instance(id).is_none(), "it is new");
            let launched = after.instance(id).expect("it is there");
            assert_eq!(launched.check(), Ok(()));
            can_be_served(launched);
        }
        Request::TerminateInstance { instance_id } => {
            assert!(before.instance(instance_id).is_some());
            // No server has its machine removed.
            let state = after.instance(instance_id).map(|instance| instance.state);
            assert_eq!(state, Some(InstanceState::ShuttingDown));
        }
        Request::RebootInstance { instance_id }
        | Request::StartInstance { instance_id }
        | Request::StopInstance { instance_id } => {
            let (old, new) = (before.instance(instance_id), after.instance(instance_id));
            let (old, new) = (old.expect("it was there"), new.expect("it is there"));
            assert_eq!((new.options, &new.attachments), (old.options, &old.attachments));
            let is_asked_for = new.state == old.state || new.due().is_some();
            assert!(is_asked_for, "{} to {}", old.state, new.state);
        }
        Request::Diagnose {}
        | Request::Environment {}
        | Request::IdentityCertificates {}
        | Request::ListInstances {} => {
            assert_eq!(before.generation(), after.generation(), "asking changes nothing");
        }
    }
}

fn has(snapshot: &Snapshot, id: InstanceId, attachment: &Attachment) -> bool {
    let instance = snapshot.instance(id).expect("it is there");
    instance.attachments.iter().any(|has| has.claim() == attachment.claim())
}

/// What is asked for is set by whoever modifies the instance, and nothing else is.
fn layers_after(mut layers: OptionLayers, change: OptionsChange) -> OptionLayers {
    for (is_asked, layer) in [
        (change.http_tokens.is_some(), &mut layers.http_tokens),
        (change.http_put_response_hop_limit.is_some(), &mut layers.http_put_response_hop_limit),
        (change.http_endpoint.is_some(), &mut layers.http_endpoint),
        (change.http_protocol_ipv6.is_some(), &mut layers.http_protocol_ipv6),
        (change.instance_metadata_tags.is_some(), &mut layers.instance_metadata_tags),
    ] {
        if is_asked {
            *layer = OptionLayer::Modify;
        }
    }
    layers
}

/// What is not understood is refused, so that what is written is what was read.
fn says_what_it_means(data: &[u8], request: &Request) {
    let written = serde_json::to_value(request).expect("a request can be written");
    let again: Request = serde_json::from_value(written.clone()).expect("and read");
    assert_eq!(serde_json::to_value(&again).ok(), Some(written.clone()));
    if let Ok(serde_json::Value::Object(asked)) = serde_json::from_slice(data) {
        let known = |key: &String| written.get(key).is_some();
        let unknown: Vec<_> = asked.keys().filter(|key| !known(key)).collect();
        assert_eq!(unknown, Vec::<&String>::new(), "not understood, and not refused");
    }
}

fn shows(result: &serde_json::Value, instance: Option<&Arc<Instance>>) {
    let mut shown = result.clone();
    let shown = shown.as_object_mut().expect("an instance is an object");
    assert!(shown.remove("endpoints").is_some());
    assert!(shown.remove("attached").is_some());
    let shown: Instance =
        serde_json::from_value(shown.clone().into()).expect("an instance is read again");
    assert_eq!(Some(&shown), instance.map(|instance| &**instance));
}

fn can_be_put_again(store: &Store, instance: &Instance) {
    let text = serde_json::to_string(instance).expect("an instance can be written");
    let read: Instance = serde_json::from_str(&text).expect("and read");
    assert_eq!(read, *instance);
    let request = Request::PutInstance { instance: Box::new(read) };
    assert!(handle(request, store, &NoServer, NOW).is_ok());
}

/// Everything that is listed can be fetched, and is what it claims to be.
pub fn can_be_served(instance: &Instance) {
    let mut open = instance.clone();
    open.options.http_endpoint = Switch::Enabled;
    open.options.http_tokens = model::HttpTokens::Optional;
    let table = crawl(&open, |version| matches!(version, "1.0" | "latest"));
    documents_are_json(&table);
    if let Some(data) = &open.user_data {
        let found = tree::read(&open, b"/latest/user-data");
        let data = data.as_bytes().to_vec();
        assert_eq!(found, tree::Found::Content(ContentType::Octets, data));
    }
    let identity = metadata::identity_document(&open);
    let identity: serde_json::Value = serde_json::from_str(&identity).expect("is JSON");
    assert_eq!(identity["instanceId"], &*open.id.text());
    assert_eq!(identity["instanceType"], &*open.instance_type);
    assert_eq!(identity["availabilityZone"], &*open.placement.availability_zone);
}

fn documents_are_json(table: &Table) {
    for (path, (_, body)) in table {
        let names: Vec<_> = path.iter().map(String::as_str).collect();
        let is_document = matches!(
            names[..],
            ["latest", "meta-data", "iam", "info"]
                | ["latest", "meta-data", "iam", "security-credentials", _]
                | ["latest", "meta-data", "identity-credentials", "ec2", "info"]
                | ["latest", "meta-data", "identity-credentials", "ec2", "security-credentials", _]
                | ["latest", "meta-data", "events", "maintenance", _]
                | ["latest", "meta-data", "events", "recommendations", "rebalance"]
                | ["latest", "meta-data", "spot", "instance-action"]
                | ["latest", "dynamic", "instance-identity", "document"]
        );
        if is_document {
            let read = serde_json::from_slice::<serde_json::Value>(body);
            assert!(read.is_ok(), "{path:?}: {}", body.escape_ascii());
        }
    }
}
