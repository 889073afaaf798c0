//! Machines that the server makes itself: whole or not at all, whatever interrupts it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::alone::alone;
use crate::chance::Chance;
use crate::machines::{EC2, Heard, Machine, has_link, ip, socket_count};
use crate::running::{DEFAULT_INSTANCE, Home, Killed, Running, long_run, tell};
use crate::waiting::{wait_until, wait_within};

const A: &str = "i-0000000000000000a";

/// The names of an instance's namespaces: its own, the service's, and its container's.
fn names_of(id: &str) -> [String; 3] {
    [id.to_owned(), format!("{id}-imds"), format!("{id}-container")]
}

fn entries(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn namespaces() -> BTreeSet<String> {
    entries("/run/netns".as_ref())
}

fn journal(home: &Home) -> BTreeSet<String> {
    entries(&home.state().join("hosts"))
}

/// The instances that were launched.
fn instances(home: &Home) -> BTreeSet<String> {
    states(home).into_keys().collect()
}

/// The same, once something has become of each: all that are there run.
fn settled_instances(home: &Home) -> BTreeSet<String> {
    wait_until("nothing is under way", || {
        let states = states(home);
        let has_settled = states.values().all(|state| state == "running");
        has_settled.then(|| states.into_keys().collect())
    })
}

fn states(home: &Home) -> BTreeMap<String, String> {
    let listed = home.result(&["instance", "list", "--json"]);
    let state = |line: &str| {
        let instance: serde_json::Value = serde_json::from_str(line).unwrap();
        let state = instance.get("state").map_or("running", |state| state.as_str().unwrap());
        (instance["instance_id"].as_str().unwrap().to_owned(), state.to_owned())
    };
    listed.lines().map(state).filter(|(id, _)| id != DEFAULT_INSTANCE).collect()
}

/// What a program in an instance's machine, or in its container, is told that it is.
fn found_in(home: &Home, id: &str, container: &[&str]) -> String {
    let imds = env!("CARGO_BIN_EXE_imds");
    let get = ["--", imds, "get", "latest/meta-data/instance-id"];
    home.result(&[&["exec", id], container, &get].concat())
}

#[test]
fn a_machine_is_made_and_its_end_leaves_nothing() {
    alone(|| {
        let home = Home::new();
        let server = home.start(&[]);
        let before = socket_count(server.id());
        let alone = home.result(&["instance", "launch", "--driver", "netns"]);
        let with_container =
            home.result(&["instance", "launch", "--driver", "netns", "--container"]);
        let (alone, with_container) = (alone.trim(), with_container.trim());
        assert_eq!(found_in(&home, alone, &[]), alone);
        assert_eq!(found_in(&home, with_container, &[]), with_container);
        assert_eq!(found_in(&home, with_container, &["--container"]), with_container);
        let command = ["exec", alone, "--container", "--", "true"];
        let ended = home.run(&command);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("--container"), "{ended:?}");
        let mut names: BTreeSet<_> = names_of(with_container).into();
        names.extend(names_of(alone).into_iter().take(2));
        assert_eq!(namespaces(), names);
        for id in [alone, with_container] {
            home.result(&["instance", "terminate", id]);
        }
        assert_eq!(namespaces(), BTreeSet::new());
        assert_eq!(journal(&home), BTreeSet::new());
        assert_eq!(instances(&home), BTreeSet::new());
        assert_eq!(socket_count(server.id()), before);
        server.stop();
    });
}

#[test]
fn a_launch_that_fails_midway_leaves_nothing_and_harms_nobody() {
    alone(|| {
        let home = Home::new();
        let server = home.start(&[]);
        let launch = ["instance", "launch", "--id", A, "--driver", "netns", "--container"];
        for name in names_of(A) {
            // Someone else's namespace has the name.
            let other = Machine::made(&name);
            ip(&format!("link add outer type veth peer name inner netns {name}"));
            let ended = home.run(&launch);
            assert_eq!(ended.code, Some(1), "{ended:?}");
            for part in
                [A, &format!("`{name}` exists already"), "choose another", "ip netns delete"]
            {
                assert!(ended.stderr.contains(part), "lacks {part}: {ended:?}");
            }
            assert_eq!(namespaces(), [name.clone()].into());
            assert_eq!(journal(&home), BTreeSet::new());
            assert_eq!(instances(&home), BTreeSet::new());
            other.ip("link delete inner");
            other.delete();
        }
        // What is found to be wrong last of all.
        home.result(&["instance", "attach", DEFAULT_INSTANCE, "listener=127.0.0.1:8080"]);
        let ended = home.run(&[&launch[..], &["--attach", "listener=127.0.0.1:8080"]].concat());
        assert!(ended.stderr.contains("imds instance detach"), "{ended:?}");
        assert_eq!((namespaces(), journal(&home)), (BTreeSet::new(), BTreeSet::new()));
        home.result(&launch);
        assert_eq!(found_in(&home, A, &["--container"]), A);
        server.stop();
    });
}

#[test]
fn after_the_host_was_booted_machines_are_made_again() {
    alone(|| {
        let home = Home::new();
        let server = home.start(&[]);
        let launch = ["instance", "launch", "--driver", "netns", "--container"];
        let ids = [(); 3].map(|()| home.result(&launch).trim().to_owned());
        server.kill();
        // Of the first nothing is left, of the others something.
        for name in names_of(&ids[0]) {
            Machine(&name).delete();
        }
        for (id, lost) in ids[1..].iter().zip([0, 1]) {
            Machine(&names_of(id)[lost]).delete();
        }
        let server = home.start(&[]);
        for id in &ids {
            for container in [&[][..], &["--container"]] {
                assert_eq!(found_in(&home, id, container), *id);
            }
        }
        assert_eq!(namespaces(), ids.iter().flat_map(|id| names_of(id)).collect());
        server.stop();
    });
}

#[test]
fn a_machine_is_kept_while_its_instance_is_stopped_and_made_again_where_it_is_missing() {
    alone(|| {
        let home = Home::new();
        let server = home.start(&[]);
        let launch = ["instance", "launch", "--id", A, "--driver", "netns", "--container"];
        home.result(&launch);
        let names = names_of(A);
        for lost in [None, Some(&names[0]), Some(&names[1])] {
            home.result(&["instance", "stop", A]);
            assert_eq!(namespaces(), names.clone().into());
            for place in [&names[0], &names[2]] {
                assert_eq!(Machine(place).hears(EC2[0]), Heard::Nothing);
            }
            // The host may be booted while it is stopped.
            if let Some(name) = lost {
                Machine(name).delete();
            }
            home.result(&["instance", "start", A]);
            for container in [&[][..], &["--container"]] {
                assert_eq!(found_in(&home, A, container), A);
            }
        }
        home.result(&["instance", "terminate", A]);
        assert_eq!((namespaces(), journal(&home)), (BTreeSet::new(), BTreeSet::new()));
        server.stop();
    });
}

#[test]
fn nobody_else_waits_for_machines_that_are_made_again() {
    alone(|| {
        const MACHINES: usize = 60;
        let home = Home::new();
        let listener = "127.0.0.1:8080";
        let attach = ["instance", "attach", DEFAULT_INSTANCE, &format!("listener={listener}")];
        let server = home.start(&[]);
        home.result(&attach);
        for _ in 0..MACHINES {
            let question = json!({
                "action": "launch_instance", "driver": { "netns": { "container": true } },
            });
            home.ask(&question).unwrap();
        }
        server.kill();
        for name in namespaces() {
            Machine(&name).delete();
        }
        let mut command = home.serve(&[]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let child = Killed(child);
        let address = listener.parse().unwrap();
        wait_until("it answers", || {
            (Heard::at(address) == Heard::instance(DEFAULT_INSTANCE)).then_some(())
        });
        assert!(namespaces().len() < 3 * MACHINES, "all were made before");
        wait_until("all are made", || (namespaces().len() == 3 * MACHINES).then_some(()));
        // One that ends while it is made again has ended.
        drop(child);
        for name in namespaces() {
            Machine(&name).delete();
        }
        let mut command = home.serve(&[]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Killed(child);
        let question = json!({ "action": "diagnose" });
        wait_until("it answers", || home.try_ask(&question).ok()).unwrap();
        for id in journal(&home).iter().rev().take(5) {
            home.result(&["instance", "terminate", id]);
        }
        let left = MACHINES - 5;
        wait_until("the others are made", || (namespaces().len() == 3 * left).then_some(()));
        assert_eq!((journal(&home).len(), instances(&home).len()), (left, left));
        drop(server);
    });
}

#[test]
fn an_instance_ends_while_a_program_runs_in_its_machine() {
    alone(|| {
        let home = Home::new();
        let server = home.start(&[]);
        let launch = ["instance", "launch", "--id", A, "--driver", "netns", "--container"];
        home.result(&launch);
        // What still runs in a machine that was has no way to anyone any more.
        let wait = "echo up; while ip link show eth0; do read -r again; done >&2; ip -o route";
        let run = ["exec", A, "--", "sh", "-c", wait];
        let mut exec = home.imds(&run);
        let child = exec
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut child = Killed(child);
        let mut said = BufReader::new(child.0.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "up");
        home.result(&["instance", "terminate", A]);
        assert_eq!((namespaces(), journal(&home)), (BTreeSet::new(), BTreeSet::new()));
        home.result(&launch);
        assert_eq!(found_in(&home, A, &["--container"]), A);
        let mut again = child.0.stdin.take().unwrap();
        wait_until("it is cut off", || {
            // It has ended by itself, once it hears nobody.
            let _ = again.write_all(b"\n");
            child.0.try_wait().unwrap()
        });
        assert!(said.all(|line| !line.unwrap().contains("169.254.169.254")));
        server.stop();
    });
}

#[test]
fn a_kill_in_the_middle_of_a_launch_harms_no_namespace_that_was_there() {
    alone(|| {
        let home = Home::new();
        let mut chance = Chance::new();
        let names = names_of(A);
        let other = Machine::made(&names[2]);
        ip(&format!("link add outer type veth peer name inner netns {}", other.0));
        for _ in 0..long_run("IMDS_TEST_KILLS", 10) {
            let server = home.start(&[]);
            let stop = AtomicBool::new(false);
            thread::scope(|scope| {
                let launch = || {
                    let driver = json!({ "netns": { "container": true } });
                    let question =
                        json!({ "action": "launch_instance", "instance_id": A, "driver": driver });
                    while !stop.load(Ordering::Relaxed) {
                        let told = home.try_ask(&question);
                        assert!(!told.is_ok_and(|told| told.is_ok()));
                    }
                };
                scope.spawn(launch);
                wait_within::<()>(chance.time_below(Duration::from_millis(50)), || None);
                server.kill();
                stop.store(true, Ordering::Relaxed);
            });
            let server = home.start(&[]);
            // What was broken off is tried once more, and fails: of that nothing is left.
            assert_eq!(settled_instances(&home), BTreeSet::new());
            assert_eq!(namespaces(), [names[2].clone()].into());
            assert!(has_link("outer"));
            assert_eq!(journal(&home), BTreeSet::new());
            server.stop();
        }
    });
}

/// What was acknowledged before the server was killed.
#[derive(Debug, Default)]
struct Acknowledged {
    launched: BTreeSet<String>,
    ended: BTreeSet<String>,
}

/// Launches and ends instances until the server breaks off.
fn change_until(home: &Home, stop: &AtomicBool, acknowledged: &Mutex<Acknowledged>) {
    let mut chance = Chance::new();
    let mut own: Vec<String> = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if own.len() > 2 && chance.one_in(2) {
            let id = own.swap_remove(chance.below(own.len()));
            let question = json!({ "action": "terminate_instance", "instance_id": id });
            // Whether one that was not acknowledged has ended is not known.
            acknowledged.lock().unwrap().launched.remove(&id);
            if home.try_ask(&question).is_ok_and(|told| told.is_ok()) {
                acknowledged.lock().unwrap().ended.insert(id);
            }
        } else {
            let driver = json!({ "netns": { "container": chance.one_in(2) } });
            let question = json!({ "action": "launch_instance", "driver": driver });
            let Ok(told) = home.try_ask(&question) else { continue };
            let launched = told.unwrap()["instance_id"].as_str().unwrap().to_owned();
            acknowledged.lock().unwrap().launched.insert(launched.clone());
            own.push(launched);
        }
    }
}

/// Sees that there is what was acknowledged, and what was under way whole or not at all: without a
/// trace, or running in its machine.
fn check(home: &Home, before: &BTreeSet<String>, acknowledged: &Acknowledged) -> BTreeSet<String> {
    let there = settled_instances(home);
    let Acknowledged { launched, ended } = acknowledged;
    assert!(there.is_superset(launched), "lost: {:?}", launched - &there);
    assert!(there.is_disjoint(ended), "ended and there: {ended:?}, {there:?}");
    assert!(there.is_superset(&(before - ended)), "lost: {:?}", before - &there);
    // A server that has much to put right is ready before that is done.
    let expected: BTreeSet<_> =
        there.iter().flat_map(|id| names_of(id).into_iter().take(2)).collect();
    let containers: BTreeSet<_> = there.iter().map(|id| names_of(id)[2].clone()).collect();
    wait_until(&format!("{there:?} have machines"), || {
        let found = namespaces();
        let others = &found - &containers;
        (journal(home) == there && others == expected).then_some(())
    });
    for id in &there {
        let [own, _, container] = names_of(id);
        let has_container = journal_says_container(home, id);
        for name in [own, container].iter().take(1 + usize::from(has_container)) {
            let is_there =
                || Machine(name).is_there() && Machine(name).hears(EC2[0]) == Heard::instance(id);
            wait_until(&format!("{name} is served"), || is_there().then_some(()));
        }
    }
    let with_container: BTreeSet<_> = there
        .iter()
        .filter(|id| journal_says_container(home, id))
        .map(|id| names_of(id)[2].clone())
        .collect();
    assert_eq!(namespaces(), &expected | &with_container);
    there
}

/// Whether an instance was launched with a container.
fn journal_says_container(home: &Home, id: &str) -> bool {
    let entry = fs::read_to_string(home.state().join("hosts").join(id)).unwrap();
    let driver: serde_json::Value = serde_json::from_str(&entry).unwrap();
    driver["netns"]["container"].as_bool().unwrap()
}

/// Begins a start and kills it at any moment.
fn start_and_kill(home: &Home, chance: &mut Chance) {
    let mut command: Command = home.serve(&[]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let child = Killed(child);
    wait_within::<()>(chance.time_below(Duration::from_millis(60)), || None);
    drop(child);
}

#[test]
fn a_kill_at_any_moment_leaves_every_machine_whole_or_not_at_all() {
    alone(|| {
        let home = Home::new();
        let mut chance = Chance::new();
        let rounds = long_run("IMDS_TEST_KILLS", 10);
        let (mut there, mut counts) = (BTreeSet::<String>::new(), [0; 4]);
        for _ in 0..rounds {
            let server = home.start(&[]);
            // What is kept is ended at times, so that rounds stay short.
            for id in there.iter().skip(6) {
                home.result(&["instance", "terminate", id]);
            }
            there = there.into_iter().take(6).collect();
            let (acknowledged, stop) = (Mutex::default(), AtomicBool::new(false));
            thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| change_until(&home, &stop, &acknowledged));
                }
                wait_within::<()>(chance.time_below(Duration::from_millis(400)), || None);
                server.kill();
                stop.store(true, Ordering::Relaxed);
            });
            let acknowledged = acknowledged.into_inner().unwrap();
            counts[0] += acknowledged.launched.len();
            counts[1] += acknowledged.ended.len();
            if chance.one_in(2) {
                // The host is booted, or an operator is careless.
                for name in namespaces() {
                    if chance.one_in(2) {
                        Machine(&name).delete();
                        counts[2] += 1;
                    }
                }
            }
            for _ in 0..chance.below(4) {
                start_and_kill(&home, &mut chance);
                counts[3] += 1;
            }
            let server: Running = home.start(&[]);
            there = check(&home, &there, &acknowledged);
            assert!(!server.said().contains("the machine of"), "{}", server.said());
            server.stop();
        }
        let [launched, ended, lost, starts] = counts;
        tell(&format!(
            "{rounds} kills while instances were launched and ended: {launched} launched and \
             {ended} ended, as acknowledged; {lost} namespaces deleted behind the server's back; \
             {starts} starts killed; nothing lost and nothing left over"
        ));
        let server = home.start(&[]);
        for id in &there {
            home.result(&["instance", "terminate", id]);
        }
        assert_eq!((namespaces(), journal(&home)), (BTreeSet::new(), BTreeSet::new()));
        wait_until("nothing waits", || (server.connections() == 0).then_some(()));
        server.stop();
    });
}
