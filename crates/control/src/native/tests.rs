use model::{Generation, HttpTokens, LifecycleEvent, Secret};
use store::Memory;

use super::*;
use crate::LaunchSettings;
use crate::lifecycle::{Outcome, Settlement, settled};
use crate::start::{Configured, Fresh, start};

const NOW: Timestamp = Timestamp::from_seconds(1_741_082_400);

/// A server that serves nobody, in its own time. Its driver is quick, and fails where it is told to.
struct Nowhere<'s> {
    store: &'s Store,
    is_slow: bool,
    failure: Option<&'static str>,
}

impl<'s> Nowhere<'s> {
    fn of(store: &'s Store) -> Self {
        Self { store, is_slow: false, failure: None }
    }

    fn drive(&self, instance: &Instance, event: LifecycleEvent) {
        let outcome = match (event, self.failure) {
            (LifecycleEvent::Launch, None) => {
                let attachment = format!("netns={}-imds", instance.id).parse().unwrap();
                Outcome::Done(Some(vec![attachment]))
            }
            (_, None) => Outcome::Done(None),
            (_, Some(why)) => Outcome::Failed(why.to_owned()),
        };
        let settlement = Settlement { id: instance.id, event, outcome };
        let plan = |snapshot: &Snapshot| -> Result<_, Infallible> {
            Ok((settled(snapshot, &[settlement], NOW), ()))
        };
        self.store.transact(plan).unwrap();
    }
}

impl Surroundings for Nowhere<'_> {
    fn endpoints(&self, _: &Instance) -> Vec<String> {
        vec!["http://127.0.0.1:1338/".to_owned()]
    }

    fn attached(&self, instance: &Instance) -> Vec<AttachmentView> {
        NoServer.attached(instance)
    }

    fn diagnosis(&self, snapshot: &Snapshot) -> Diagnosis {
        NoServer.diagnosis(snapshot)
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

    fn fresh_number(&self) -> Result<u128, String> {
        Ok(7)
    }

    fn in_force(&self) -> Generation {
        NoServer.in_force()
    }

    fn settles_states(&self, ids: &[InstanceId]) -> bool {
        for id in ids {
            // A launch that fails is followed by an end.
            for _ in 0..2 {
                let snapshot = self.store.snapshot();
                let due = snapshot.instance(*id).and_then(|found| Some((found, found.due()?)));
                if let Some((instance, event)) = due {
                    self.drive(instance, event);
                }
            }
        }
        let snapshot = self.store.snapshot();
        !ids.iter().any(|id| snapshot.is_in_transition(*id))
    }

    fn tell_unstored(&self, _: &str) {}

    fn launch_settings(&self) -> &LaunchSettings {
        NoServer.launch_settings()
    }

    fn default_instance(&self) -> InstanceId {
        NoServer.default_instance()
    }

    fn management_endpoint(&self) -> String {
        NoServer.management_endpoint()
    }

    fn certificates(&self) -> Option<Vec<(String, String)>> {
        NoServer.certificates()
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
    handle(request, store, &Nowhere::of(store), NOW.plus_seconds(5))
        .map_err(|refusal| refusal.to_string())
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
    let refusal =
        ask(&started(), r#"{"action":"show_instance","instance_id":"i-00000000"}"#).unwrap_err();
    assert!(refusal.contains("there is no instance `i-00000000`"), "{refusal}");
}

#[test]
fn an_instance_can_be_put_back_as_it_was_shown() {
    let store = started();
    let mut shown =
        ask(&store, r#"{"action":"show_instance","instance_id":"i-1234567890abcdef0"}"#).unwrap();
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
    let refusal = handle(request, &store, &Nowhere::of(&store), NOW).unwrap_err();
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
    let terminated = terminate(id).unwrap();
    assert_eq!(
        (&terminated["instance_id"], &terminated["state"]),
        (&id.into(), &"terminated".into())
    );
    assert!(terminate(id).unwrap_err().contains("there is no instance"));
    assert!(terminate(default).unwrap_err().contains("default instance"));
    assert_eq!(store.current().source_count(), 0);
}

#[test]
fn whoever_is_told_that_something_has_ended_can_rely_on_it() {
    let store = started();
    let ask = |request: serde_json::Value, is_slow| {
        let request = serde_json::from_value(request).unwrap();
        handle(request, &store, &Nowhere { is_slow, ..Nowhere::of(&store) }, NOW)
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

#[test]
fn an_instance_is_stopped_and_started_and_shown_when_it_has_ended() {
    let store = started();
    let launch = r#"{"action":"launch_instance","driver":{"netns":{"container":false}}}"#;
    ask(&store, launch).unwrap();
    let lead = |action: &str| {
        let id = "i-00000000000000007";
        let request = serde_json::json!({ "action": action, "instance_id": id });
        ask(&store, &request.to_string())
    };
    assert_eq!(lead("stop_instance").unwrap()["state"], "stopped");
    let refusal = lead("reboot_instance").unwrap_err();
    assert!(refusal.contains("is stopped, and not in a state for `reboot`"), "{refusal}");
    assert_eq!(lead("start_instance").unwrap().get("state"), None, "it runs");
    lead("reboot_instance").unwrap();
    lead("terminate_instance").unwrap();
    assert_eq!(lead("show_instance").unwrap()["state"], "terminated");
    // Its id is free again.
    ask(&store, launch).unwrap();
    let terminated = store.snapshot();
    assert_eq!(terminated.terminated_instances(&Instance::default_instance().scope()).count(), 0);
}

#[test]
fn why_a_machine_could_not_be_made_is_told() {
    let store = started();
    let failing = Nowhere { failure: Some("no room"), ..Nowhere::of(&store) };
    let launch = r#"{"action":"launch_instance","driver":"exec"}"#;
    let refusal = handle(serde_json::from_str(launch).unwrap(), &store, &failing, NOW).unwrap_err();
    assert_eq!(refusal.to_string(), "the machine of i-00000000000000007: no room");
    assert_eq!(store.snapshot().instance_count(), 1);
}
