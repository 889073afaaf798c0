#[path = "../../../network/tests/kernel/waiting.rs"]
mod waiting;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Weak;

use control::lifecycle::{Meant, TERMINATED_SECONDS, failure, launch, stop, terminate};
use model::{Driver, InstanceState, Machine, Scope, Timestamp};
use store::{Memory, Origin};
use tempfile::TempDir;
use tokio::sync::mpsc;

use self::waiting::wait_until;
use super::*;
use crate::hosts::Hosts;
use crate::run::Event;

/// A thread of its own, a store, and a directory for programs.
struct Scene {
    directory: TempDir,
    store: Arc<Store>,
    progress: Arc<Progress>,
    notices: mpsc::Receiver<Event>,
    stop: Option<watch::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Scene {
    /// Instances whose driver is this script, which may run for as long as `deadline`.
    fn with_script(script: &str, deadline: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("machine");
        fs::write(&path, format!("#!/bin/sh\ncd '{}'\n{script}\n", directory.path().display()))
            .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let store = Arc::new(Store::open(Box::new(Memory::default())).unwrap());
        Self::over(directory, store, &path, deadline)
    }

    fn over(directory: TempDir, store: Arc<Store>, program: &Path, deadline: Duration) -> Self {
        let (sender, notices) = mpsc::channel(64);
        let (stop, stopped) = watch::channel(());
        let progress = Arc::<Progress>::default();
        let lifecycle = Lifecycle {
            store: Arc::clone(&store),
            drivers: Drivers {
                hosts: Arc::new(Hosts::new(directory.path())),
                program: [program.display().to_string()].into(),
                program_deadline: deadline,
                has_shared_listener: false,
            },
            clock: Clock::start(),
            notices: Notices(sender),
            progress: Arc::clone(&progress),
        };
        let thread = Some(start(lifecycle, stopped).unwrap());
        Self { directory, store, progress, notices, stop: Some(stop), thread }
    }

    fn commit(&self, changes: Vec<Change>) {
        self.store.transact(|_| Ok::<_, Infallible>((changes, ()))).unwrap();
    }

    fn launch(&self, number: u128, driver: Driver) -> InstanceId {
        let mut instance = Instance::described(InstanceId::from_number(number));
        launch(&mut instance, Some(driver), now());
        let id = instance.id;
        self.commit(vec![Change::PutInstance(Arc::new(instance), Origin::Api)]);
        id
    }

    fn instance(&self, id: InstanceId) -> Arc<Instance> {
        Arc::clone(self.store.snapshot().instance(id).unwrap())
    }

    fn gone(&self, id: InstanceId) -> Instance {
        let snapshot = self.store.snapshot();
        Instance::clone(snapshot.terminated_instance(&scope(), id).expect("it has ended"))
    }

    /// Waits until nothing is due, however busy the machine is.
    fn wait(&self, id: InstanceId) {
        wait_until("it settles", || {
            self.progress.settles(&self.store, &[id]);
            (!self.store.current().is_in_transition(id)).then_some(())
        });
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap_or_default()
    }

    /// What has been said of machines so far.
    fn failures(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Ok(event) = self.notices.try_recv() {
            if let Event::Notice(Notice::MachineFailed(_, event, reason)) = event {
                said.push(format!("{event}: {reason}"));
            }
        }
        said
    }
}

fn now() -> Timestamp {
    Clock::start().now().wall
}

fn scope() -> Scope {
    Instance::default_instance().scope()
}

const LONG: Duration = Duration::from_mins(1);

#[test]
fn a_machine_program_is_told_of_every_event_and_says_how_the_instance_is_attached() {
    let script = "cat >event.new; grep -o '^{\"event\":\"[a-z]*\"' event.new >>events\n\
                  mv event.new event; echo '{\"attachments\":[\"interface=tap9\"]}'";
    let mut scene = Scene::with_script(script, LONG);
    let id = scene.launch(7, Driver::Exec);
    scene.wait(id);
    let told: serde_json::Value = serde_json::from_str(&scene.read("event")).unwrap();
    assert_eq!(told["event"], "launch");
    assert_eq!(told["instance"]["instance_id"], id.to_string());
    assert!(told["time"].as_str().unwrap().ends_with('Z'), "{told}");
    let running = scene.instance(id);
    assert_eq!(
        (running.state, running.attributes.machine),
        (InstanceState::Running, Machine::Made)
    );
    assert_eq!(running.attachments, ["interface=tap9".parse().unwrap()]);

    let lead = |plan: &dyn Fn(&Snapshot, Meant<'_>) -> control::lifecycle::Moved| {
        let (changes, _) = plan(&scene.store.snapshot(), Meant::from(&[id][..])).unwrap();
        scene.commit(changes);
        scene.wait(id);
    };
    lead(&|snapshot, meant| stop(snapshot, meant, now()));
    assert_eq!(scene.instance(id).state, InstanceState::Stopped);
    lead(&|snapshot, meant| control::lifecycle::start(snapshot, meant, now()));
    lead(&control::lifecycle::reboot);
    assert_eq!(scene.instance(id).state, InstanceState::Running);
    lead(&|snapshot, meant| terminate(snapshot, meant, Instance::default_id(), now()));
    assert_eq!(scene.gone(id).state, InstanceState::Terminated);
    let names = ["launch", "stop", "start", "reboot", "terminate"];
    let lines = names.map(|event| format!("{{\"event\":\"{event}\"\n"));
    assert_eq!(scene.read("events"), lines.concat());
    assert_eq!(scene.failures(), [""; 0]);
}

#[test]
fn a_launch_that_fails_ends_with_the_reason_of_the_program() {
    for (script, deadline, parts) in [
        ("echo 'no room on host' >&2; exit 4", LONG, &["exit status: 4", ": no room on host"][..]),
        ("echo 'so be it'", LONG, &["printed something else than nothing"]),
        ("echo '{\"attachments\":[\"tap0\"]}'", LONG, &["printed something else", "tap0"]),
        ("echo '{\"attached\":[]}'", LONG, &["printed something else", "attached"]),
        ("yes", LONG, &["more than 65536 bytes"]),
        ("exec sleep 60", Duration::from_millis(300), &["did not end within 300ms"]),
    ] {
        let mut scene = Scene::with_script(script, deadline);
        let id = scene.launch(7, Driver::Exec);
        scene.wait(id);
        let gone = scene.gone(id);
        let reason = failure(&gone).unwrap();
        let said = scene.failures();
        for part in parts {
            assert!(reason.contains(part), "{script}: {reason}");
            assert!(said[0].starts_with("launch: ") && said[0].contains(part), "{said:?}");
        }
        assert!(scene.store.current().instance(id).is_none());
    }
}

#[test]
fn what_a_driver_gives_may_be_another_instances() {
    let scene = Scene::with_script("echo '{\"attachments\":[\"interface=tap0\"]}'", LONG);
    let (first, second) = (scene.launch(1, Driver::Exec), InstanceId::from_number(2));
    scene.wait(first);
    scene.launch(2, Driver::Exec);
    scene.wait(second);
    let gone = scene.gone(second);
    assert!(failure(&gone).unwrap().contains("interface=tap0: i-00000000000000001 has it"));
    assert_eq!(scene.instance(first).state, InstanceState::Running);
}

#[test]
fn many_that_need_nothing_but_a_record_are_launched_in_few_changes() {
    let scene = Scene::with_script("exit 9", LONG);
    let before = scene.store.current().generation().as_number();
    let pending = (1..=1000).map(|number| {
        let mut instance = Instance::described(InstanceId::from_number(number));
        launch(&mut instance, Some(Driver::Listener), now());
        Change::PutInstance(Arc::new(instance), Origin::Api)
    });
    scene.commit(pending.collect());
    wait_until("all run", || (scene.store.current().in_transition().count() == 0).then_some(()));
    assert!(scene.store.current().generation().as_number() <= before + 10);
    let instance = scene.instance(InstanceId::from_number(1000));
    assert_eq!(instance.attachments, ["listener=127.0.0.1:0".parse().unwrap()]);
    // There is no address for those told by their source, here.
    let id = scene.launch(2000, Driver::Source);
    scene.wait(id);
    assert!(failure(&scene.gone(id)).unwrap().contains("--shared-listen"));
}

#[test]
fn an_end_that_fails_is_tried_again_when_somebody_asks_and_told_once() {
    let script = "grep -q '\"event\":\"terminate\"' || exit 0\n\
                  echo x >>tries; [ -e mended ] || { echo busy >&2; exit 1; }";
    let mut scene = Scene::with_script(script, LONG);
    let id = scene.launch(7, Driver::Exec);
    scene.wait(id);
    let plan = |snapshot: &Snapshot| {
        terminate(snapshot, Meant::from(&[id][..]), Instance::default_id(), now())
    };
    scene.store.transact(plan).unwrap();
    wait_until("it fails", || {
        (failure(&scene.instance(id)).is_some_and(|why| why.ends_with(": busy"))).then_some(())
    });
    assert!(!scene.progress.settles(&scene.store, &[id]));
    fs::write(scene.directory.path().join("mended"), "").unwrap();
    scene.wait(id);
    assert_eq!(failure(&scene.gone(id)), None);
    assert!(scene.read("tries").lines().count() >= 2);
    assert_eq!(scene.failures().len(), 1);
}

#[test]
fn what_was_under_way_is_done_once_more_after_a_crash() {
    let scene = Scene::with_script("echo $$ >running; exec sleep 60", LONG);
    let id = scene.launch(7, Driver::Exec);
    wait_until("it runs", || (scene.read("running").ends_with('\n')).then_some(()));
    let process = format!("/proc/{}/stat", scene.read("running").trim());
    let (store, directory) = (Arc::clone(&scene.store), tempfile::tempdir().unwrap());
    // The server ends, and its program with it.
    drop(scene);
    let state = || fs::read_to_string(&process).unwrap_or_default();
    wait_until("it is killed", || (state().is_empty() || state().contains(") Z ")).then_some(()));
    assert_eq!(store.snapshot().instance(id).unwrap().state, InstanceState::Pending);
    let scene = Scene::over(directory, store, "/bin/true".as_ref(), LONG);
    scene.wait(id);
    assert_eq!(scene.instance(id).state, InstanceState::Running);
}

#[test]
fn what_ended_long_ago_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(Box::new(Memory::default())).unwrap());
    let record = |number, seconds_ago: i64| {
        let mut gone = Instance::described(InstanceId::from_number(number));
        gone.state = InstanceState::Terminated;
        gone.attributes.state_since = Some(now().plus_seconds(-seconds_ago));
        let resource = model::Resource::TerminatedInstance(Box::new(gone));
        Change::PutResource(scope(), Arc::new(resource))
    };
    let changes = vec![record(1, TERMINATED_SECONDS + 60), record(2, TERMINATED_SECONDS - 600)];
    store.transact(|_| Ok::<_, Infallible>((changes, ()))).unwrap();
    let scene = Scene::over(directory, store, "/bin/true".as_ref(), LONG);
    let count = || scene.store.snapshot().terminated_instances(&scope()).count();
    wait_until("one is forgotten", || (count() == 1).then_some(()));
    scene.gone(InstanceId::from_number(2));
}

#[test]
fn a_thread_that_is_stopped_holds_nothing() {
    let scene = Scene::with_script("exit 0", LONG);
    let progress: Weak<Progress> = Arc::downgrade(&scene.progress);
    drop(scene);
    assert_eq!(progress.strong_count(), 0);
}
