//! The life of an instance: launched, stopped, started and ended, by every driver that needs no
//! privilege, and through crashes.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::exchange::{read, read_tokenless, send_and_end, token, tokenless_request, try_exchange};
use crate::running::{DEFAULT_INSTANCE, Home, Running, refused};
use crate::waiting::wait_until;

const ID: &str = "/latest/meta-data/instance-id";

/// Where an instance is served, as it is shown.
fn endpoint(shown: &Value) -> SocketAddr {
    let url = shown["endpoints"][0].as_str().unwrap_or_else(|| panic!("no endpoint: {shown}"));
    url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
}

fn show(home: &Home, id: &str) -> Value {
    home.json_result(&["instance", "show", id, "--json"])
}

fn launch(home: &Home, more: &[&str]) -> String {
    let launched = home.result(&[&["instance", "launch"], more].concat());
    launched.trim().to_owned()
}

fn unanswered(server: &Running) -> i64 {
    server.sample("imds_turned_away_total{reason=\"not_running\"}")
}

/// The words of a server with a machine program: this script, which is run in the home.
fn with_program(home: &Home, script: &str) -> String {
    let script = format!("cd '{}'\n{script}", home.path().display());
    home.write_script("machine", &script).display().to_string()
}

#[test]
fn one_that_is_stopped_is_answered_nothing_and_keeps_what_it_has() {
    let home = Home::new();
    let server = home.start(&[]);
    let id = launch(&home, &["--driver", "listener", "--http-tokens", "optional"]);
    let shown = show(&home, &id);
    let (address, options) = (endpoint(&shown), shown["options"].clone());
    assert_eq!(read_tokenless(address, ID).text(), id);
    let granted = token(address);

    home.result(&["instance", "stop", &id]);
    assert_eq!(show(&home, &id)["state"], "stopped");
    assert!(home.result(&["instance", "list"]).contains(" stopped "));
    let before = unanswered(&server);
    assert_eq!(send_and_end(address, tokenless_request(ID).as_bytes()), b"");
    assert_eq!(unanswered(&server), before + 1);
    // Once more changes nothing.
    home.result(&["instance", "stop", &id]);

    home.result(&["instance", "start", &id]);
    let shown = show(&home, &id);
    assert_eq!((shown.get("state"), &shown["options"]), (None, &options));
    assert_ne!(shown["pending_time"], Value::Null);
    assert_eq!(read(endpoint(&shown), ID, &granted).text(), id);
    assert_eq!(shown["attachments"], json!([{ "listener": "127.0.0.1:0" }]));
    home.result(&["instance", "start", &id]);
    home.result(&["instance", "reboot", &id]);
    server.stop();
}

#[test]
fn one_that_is_terminated_is_gone_at_once_and_shown_for_a_while() {
    let home = Home::new();
    let server = home.start(&[]);
    let id = launch(&home, &["--driver", "listener", "--http-tokens", "optional"]);
    let address = endpoint(&show(&home, &id));
    assert_eq!(read_tokenless(address, ID).text(), id);
    home.result(&["instance", "terminate", &id]);
    assert!(try_exchange(address, tokenless_request(ID).as_bytes()).is_err());
    assert!(!home.result(&["instance", "list"]).contains(&id));
    for _ in 0..2 {
        let shown = show(&home, &id);
        assert_eq!((&shown["state"], &shown["attachments"]), (&json!("terminated"), &json!([])));
    }
    let ended = home.run(&["instance", "start", &id]);
    assert!(ended.stderr.contains("there is no instance"), "{ended:?}");
    // The record outlives the server.
    server.kill();
    let _server = home.start(&[]);
    assert_eq!(show(&home, &id)["state"], "terminated");
}

#[test]
fn what_the_file_and_the_server_hold_may_be_stopped_and_not_ended() {
    let home = Home::new();
    let described = "i-0000000000000000a";
    let config = format!("[[instance]]\nid = \"{described}\"\n");
    let server = home.start_with(&config);
    let path = server.address();
    for (id, part) in [(DEFAULT_INSTANCE, "default instance"), (described, "config file")] {
        let ended = home.run(&["instance", "terminate", id]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(part), "{ended:?}");
        home.result(&["instance", "stop", id]);
    }
    assert_eq!(send_and_end(path, tokenless_request(ID).as_bytes()), b"");
    // What was stopped stays so.
    server.kill();
    let server = home.start_with(&config);
    assert_eq!(send_and_end(server.address(), tokenless_request(ID).as_bytes()), b"");
    for id in [DEFAULT_INSTANCE, described] {
        home.result(&["instance", "start", id]);
    }
    assert_eq!(crate::exchange::value(server.address(), ID), DEFAULT_INSTANCE);
}

#[test]
fn a_machine_program_attaches_what_it_launches() {
    let home = Home::new();
    let script = "cat >>told; echo >>told; echo '{\"attachments\":[\"source=127.77.0.1\"]}'";
    let program = with_program(&home, script);
    let more = ["--shared-listen", "127.0.0.1:0", "--launch-command", &program];
    let server = home.start(&more);
    let id = launch(&home, &["--driver", "exec"]);
    let shown = show(&home, &id);
    assert_eq!(shown["attachments"], json!([{ "source": "127.77.0.1" }]));
    for action in ["stop", "start", "reboot", "terminate"] {
        home.result(&["instance", action, &id]);
    }
    let told = fs::read_to_string(home.path().join("told")).unwrap();
    let told: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = told.iter().map(|told| told["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["launch", "stop", "start", "reboot", "terminate"]);
    let is_same = |told: &Value| told["instance"]["instance_id"] == id.as_str();
    assert!(told.iter().all(is_same));
    server.stop();
}

#[test]
fn why_a_launch_failed_is_told_kept_and_no_reason_to_keep_the_instance() {
    let home = Home::new();
    let program = with_program(&home, "echo 'no room' >&2; exit 3");
    let server = home.start(&["--launch-command", &program]);
    let launch = ["instance", "launch", "--driver"];
    let ended = home.run(&[&launch[..], &["exec"]].concat());
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    for part in ["the machine of i-", "exit status: 3", "no room"] {
        assert!(ended.stderr.contains(part), "{ended:?}");
    }
    let told = || server.said().contains("launch: `") && server.said().contains(": no room");
    wait_until("the operator is told", || told().then_some(()));
    let id = ended.stderr.split_whitespace().find(|word| word.starts_with("i-")).unwrap();
    let shown = show(&home, id.trim_end_matches(':'));
    assert_eq!(shown["state"], "terminated");
    assert_eq!(shown["attributes"]["state_reason"]["code"], "Server.InternalError");
    // Nobody is told by a source where all have addresses of their own.
    let ended = home.run(&[&launch[..], &["source"]].concat());
    assert!(ended.stderr.contains("--shared-listen"), "{ended:?}");
    let listed = home.result(&["instance", "list", "--json"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
}

#[test]
fn an_instance_is_told_by_its_private_address() {
    let home = Home::new();
    let server = home.start(&["--shared-listen", "127.0.0.1:0"]);
    let id = launch(&home, &["--driver", "source"]);
    let shown = show(&home, &id);
    let address = shown["interfaces"][0]["ipv4"][0]["private"].as_str().unwrap();
    assert_eq!(shown["attachments"], json!([{ "source": address }]));
    assert_eq!(shown["attached"][0]["waiting"], Value::Null);
    server.stop();
}

/// Waits until the program has begun, and returns its process.
fn process(path: &Path) -> String {
    wait_until("the program runs", || {
        let text = fs::read_to_string(path).ok()?;
        text.ends_with('\n').then(|| text.trim().to_owned())
    })
}

#[test]
fn a_launch_that_a_crash_breaks_off_is_done_after_the_next_start() {
    let home = Home::new();
    let script = "[ -e ready ] && exit 0; echo $$ >pid.new; mv pid.new pid; exec sleep 60";
    let program = with_program(&home, script);
    let more = ["--launch-command", &program];
    let server = home.start(&more);
    // The command does not wait for ever for what takes long.
    let ended = home.run(&["instance", "launch", "--driver", "exec"]);
    let id = ended.stdout.trim();
    assert!(ended.stderr.contains("is pending: `launch` goes on"), "{ended:?}");
    let left = process(&home.path().join("pid"));
    server.kill();
    home.write("ready", "");
    let server = home.start(&more);
    wait_until("it runs", || show(&home, id).get("state").is_none().then_some(()));
    server.stop();
    // What a kill left behind is ours to end.
    let left = rustix::process::Pid::from_raw(left.parse().unwrap()).unwrap();
    let _ = rustix::process::kill_process(left, rustix::process::Signal::KILL);
}

#[test]
fn programs_end_with_the_server() {
    let home = Home::new();
    let script = "echo $$ >pid.new; mv pid.new pid; exec sleep 60";
    let program = with_program(&home, script);
    let server = home.start(&["--launch-command", &program]);
    home.run(&["instance", "launch", "--driver", "exec"]);
    let left = process(&home.path().join("pid"));
    server.stop();
    let state = || fs::read_to_string(format!("/proc/{left}/stat")).unwrap_or_default();
    let has_ended = || state().is_empty() || state().contains(") Z ");
    wait_until("it has ended", || has_ended().then_some(()));
}

#[test]
fn a_driver_without_its_program_stops_the_start() {
    let home = Home::new();
    let parts = ["launch.driver", "launch.command"];
    refused(home.serve(&["--launch-driver", "exec"]), 2, &parts);
    let server = home.start(&[]);
    let ended = home.run(&["instance", "launch", "--driver", "exec"]);
    assert!(ended.stderr.contains("launch.command"), "{ended:?}");
    let ended = home.run(&["instance", "launch", "--driver", "listener", "--container"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    server.stop();
}
