//! The thread, with a store that changes under it.

#[expect(clippy::duplicate_mod, reason = "each module of tests waits in this way")]
#[path = "../../../../network/tests/kernel/waiting.rs"]
mod waiting;

use std::convert::Infallible;

use metadata::RoleCredentials;
use model::{InstanceId, Role, RoleDelivery};
use store::{Change, Memory, Origin};

use self::waiting::wait_until;
use super::*;
use crate::credentials::exposition;
use crate::run;
use crate::service::ServiceSettings;

/// The thread, which ends with the test.
struct Running {
    service: Arc<Service>,
    store: Arc<Store>,
    clock: Clock,
    notices: mpsc::Receiver<run::Event>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    first: oneshot::Receiver<()>,
}

impl Running {
    fn new(changes: Vec<Change>) -> Self {
        let store = Arc::new(Store::open(Box::new(Memory::default())).unwrap());
        store.transact(|_| Ok::<_, Infallible>((changes, ()))).unwrap();
        let service = Arc::new(Service::new(ServiceSettings::default()));
        let (clock, (stop, stopped)) = (Clock::start(), watch::channel(()));
        let (sender, notices) = mpsc::channel(16);
        let (thread, first) = start(&service, &store, &clock, &Notices(sender), stopped).unwrap();
        let (stop, thread) = (Some(stop), Some(thread));
        Self { service, store, clock, notices, stop, thread, first }
    }

    fn change(&self, change: Change) {
        self.store.transact(|_| Ok::<_, Infallible>((vec![change], ()))).unwrap();
    }

    /// The id of the key that a guest would read now, or the code of the document.
    fn served(&self) -> String {
        let (snapshot, now) = (self.store.snapshot(), self.clock.now().wall);
        let account_id = model::Instance::default_instance().account_id;
        let role = snapshot.role(account_id, &"app".parse().unwrap());
        let instance = InstanceId::from_number(1);
        match self.service.credentials.find(role, instance, RoleDelivery::V2, now) {
            RoleCredentials::Held(held) => held.access_key_id.clone(),
            RoleCredentials::Unavailable { code, .. } => code.to_string(),
            RoleCredentials::BuiltIn { .. } => "built-in".to_owned(),
        }
    }

    fn serves(&self, expected: &str) {
        wait_until(expected, || (self.served() == expected).then_some(()));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.take();
        let ended = self.thread.take().unwrap().join();
        assert!(std::thread::panicking() || ended.is_ok());
    }
}

/// Puts the role `app`, whose credentials this program prints.
fn put(command: &[&str]) -> Change {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    let source = CredentialSource::Process { command };
    Change::PutIam(Role::described("app".parse().unwrap(), source).into(), Origin::Api)
}

fn printed(id: &str) -> String {
    format!(
        r#"{{"Version":1,"AccessKeyId":"{id}","SecretAccessKey":"s","SessionToken":"t",
        "Expiration":"2099-01-01T00:00:00Z"}}"#
    )
}

#[test]
fn a_role_that_appears_changes_and_goes_while_it_runs_is_taken_up_at_once() {
    let mut running = Running::new(Vec::new());
    wait_until("there is nothing to wait for", || running.first.try_recv().ok());
    running.change(put(&["echo", &printed("ASIAFIRST")]));
    running.serves("ASIAFIRST");
    running.change(put(&["echo", &printed("ASIASECOND")]));
    assert_ne!(running.served(), "ASIAFIRST", "not for a moment");
    running.serves("ASIASECOND");
    running.change(Change::DeleteIam(
        Role::described("app".parse().unwrap(), CredentialSource::Process { command: Vec::new() })
            .key(),
    ));
    assert_eq!(running.served(), "Failed");
    let exposed = || exposition(&running.service.credentials, running.clock.now().wall);
    wait_until("it is forgotten", || (!exposed().contains("role=\"app\"")).then_some(()));
}

#[test]
fn a_source_that_fails_is_asked_again_and_told_of_once() {
    let mut running = Running::new(vec![put(&["false"])]);
    wait_until("it has been tried", || running.first.try_recv().ok());
    let sample = "imds_role_credentials_fetch_failures_total\
                  {account_id=\"123456789012\",role=\"app\",source=\"process\",reason=\"program\"} 2\n";
    wait_until("it fails again", || {
        let text = exposition(&running.service.credentials, running.clock.now().wall);
        text.contains(sample).then_some(())
    });
    assert_eq!(running.served(), "Failed");
    let told = running.notices.try_recv().unwrap();
    assert!(matches!(told, run::Event::Notice(Notice::CredentialsNotFetched { .. })), "{told:?}");
    assert!(running.notices.try_recv().is_err(), "once");
    running.change(put(&["echo", &printed("ASIAMENDED")]));
    running.serves("ASIAMENDED");
}
