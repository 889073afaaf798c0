//! What a start makes and keeps, how the server says that it is ready, and how it ends.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::exchange::{connect, read, read_to_close, read_tokenless, token, value};
use crate::running::{DEFAULT_INSTANCE, Ended, Home, Killed, Running};
use crate::waiting::wait_until;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn it_just_works_and_tells_secrets_to_its_owner_alone() {
    let home = Home::new();
    let server = home.start(&[]);
    let answer = read(server.address(), "/latest/meta-data/instance-id", &token(server.address()));
    assert_eq!((answer.status, answer.text()), (200, DEFAULT_INSTANCE));
    let state = home.state();
    assert_eq!(mode(&state), 0o700);
    let names = fs::read_dir(&state).unwrap();
    let names: BTreeSet<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    let expected = ["administrator", "imds.sock", "state.redb"];
    assert_eq!(names, expected.map(Into::into).into());
    for name in expected {
        assert_eq!(mode(&state.join(name)), 0o600, "{name}");
    }
    let socket = fs::symlink_metadata(state.join("imds.sock")).unwrap();
    assert!(socket.file_type().is_socket());
}

#[test]
fn tokens_are_required_until_the_operator_says_otherwise() {
    let home = Home::new();
    let server = home.start(&[]);
    let refused = read_tokenless(server.address(), "/latest/meta-data/");
    assert_eq!((refused.status, refused.body.len()), (401, 0));
    let explained = wait_until("the refusal is explained", || {
        let said = server.said();
        said.contains("asked without a session token").then_some(said)
    });
    for part in ["401", "PUT /latest/api/token", "--http-tokens optional"] {
        assert!(explained.contains(part), "{explained}");
    }
    // It is told once: a guest must not be able to fill a log.
    read_tokenless(server.address(), "/latest/meta-data/");
    let (status, said) = server.end(Signal::TERM);
    assert!(status.success());
    assert_eq!(said.matches("asked without").count(), 1, "{said}");

    let server = home.start(&["--http-tokens", "optional"]);
    let answer = read_tokenless(server.address(), "/latest/meta-data/instance-id");
    assert_eq!((answer.status, answer.text()), (200, DEFAULT_INSTANCE));
}

#[test]
fn a_restart_keeps_administrator_tokens_instance_and_role_credentials() {
    let home = Home::new();
    let role = "/latest/meta-data/iam/security-credentials/example-role";
    let kept = |server: &Running| {
        let everything = home.json_result(&["instance", "show", DEFAULT_INSTANCE, "--json"]);
        let mut instance = everything.as_object().unwrap().clone();
        instance.remove("attached");
        instance.remove("endpoints"); // The system chooses the ports anew.
        let administrator = fs::read_to_string(home.state().join("administrator")).unwrap();
        (instance, administrator, value(server.address(), role))
    };
    let server = home.start(&[]);
    let (before, granted) = (kept(&server), token(server.address()));
    assert!(before.1.starts_with("[default]\naws_access_key_id = AKIA"));
    server.stop();

    let server = home.start(&[]);
    assert_eq!(kept(&server), before);
    let answer = read(server.address(), "/latest/meta-data/", &granted);
    assert_eq!(answer.status, 200);
    for name in ["administrator", "imds.sock", "state.redb"] {
        assert_eq!(mode(&home.state().join(name)), 0o600, "{name}");
    }
}

#[test]
fn an_administrator_file_that_others_could_read_is_closed_again() {
    let home = Home::new();
    home.start(&[]).stop();
    let path = home.state().join("administrator");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let _server = home.start(&[]);
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn the_memory_store_keeps_nothing() {
    let home = Home::new();
    let server = home.start(&["--store", "memory"]);
    let granted = token(server.address());
    server.stop();
    assert!(!home.state().join("state.redb").exists());
    let server = home.start(&["--store", "memory"]);
    let answer = read(server.address(), "/latest/meta-data/", &granted);
    assert_eq!(answer.status, 401);
}

#[test]
fn sigterm_and_sigint_end_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let server = home.start(&[]);
        let (metadata, management) = (server.address(), server.management);
        let (status, said) = server.end(signal);
        assert_eq!(status.code(), Some(0), "{signal:?}: {said}");
        assert!(!home.state().join("imds.sock").exists(), "{signal:?}");
        for address in [metadata, management] {
            assert!(TcpStream::connect(address).is_err(), "{signal:?}");
        }
    }
}

#[test]
fn connections_that_wait_do_not_hold_up_the_end() {
    use std::io::Write as _;
    let home = Home::new();
    let server = home.start(&[]);
    let mut waiting: Vec<_> = (0..20).map(|_| connect(server.address()).unwrap()).collect();
    for stream in &mut waiting {
        stream.write_all(b"GET /latest/").unwrap();
    }
    wait_until("they wait", || (server.connections() == 20).then_some(()));
    server.stop();
    for stream in &mut waiting {
        assert_eq!(read_to_close(stream), b"");
    }
}

#[test]
fn a_socket_that_a_killed_server_left_is_replaced() {
    let home = Home::new();
    home.start(&[]).kill();
    assert!(home.state().join("imds.sock").exists());
    let server = home.start(&[]);
    assert_eq!(home.json_result(&["env", "--json"])["region"], "us-east-1");
    server.stop();
}

#[test]
fn the_ready_line_names_every_address_in_order() {
    let home = Home::new();
    let server = home.start(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0"]);
    let [v4, v6] = server.metadata[..] else { panic!("there are two: {:?}", server.metadata) };
    assert!(v4.is_ipv4() && v6.is_ipv6() && v4.port() != 0 && v6.port() != 0);
    let said = server.said();
    let expected = format!(
        "imds: ready; metadata at http://{v4}/ and http://{v6}/; management at http://{}/\n",
        server.management
    );
    assert!(said.ends_with(&expected), "{said}");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(server.page(path), "ok\n");
    }
    assert_eq!(value(v4, "/latest/meta-data/instance-id"), DEFAULT_INSTANCE);
    // EC2: an instance takes no IPv6 unless it is told to, and then closes without a word.
    assert_eq!(refused_over(v6), b"");
    let id = ["instance", "options", DEFAULT_INSTANCE, "--http-protocol-ipv6"];
    home.result(&[&id[..], &["enabled"]].concat());
    assert_eq!(value(v6, "/latest/meta-data/instance-id"), DEFAULT_INSTANCE);
    let granted_over_ipv6 = token(v6);
    let answer = read(v4, "/latest/meta-data/instance-id", &granted_over_ipv6);
    assert_eq!(answer.status, 200);
}

fn refused_over(address: SocketAddr) -> Vec<u8> {
    use std::io::Write as _;
    let mut stream = connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    read_to_close(&mut stream)
}

#[test]
fn instances_with_addresses_of_their_own_are_named_after_the_default_one() {
    let home = Home::new();
    let server = home.start_with(
        r#"
        [[instance]]
        id = "i-0000000000000000b"
        attachments = [{ listener = "127.0.0.1:0" }]

        [[instance]]
        id = "i-0000000000000000a"
        attachments = [{ listener = "127.0.0.1:0" }]
        "#,
    );
    let found =
        server.metadata.iter().map(|address| value(*address, "/latest/meta-data/instance-id"));
    let expected = [DEFAULT_INSTANCE, "i-0000000000000000a", "i-0000000000000000b"];
    assert_eq!(found.collect::<Vec<_>>(), expected);
    assert_eq!(server.sample("imds_instances"), 3);
}

#[test]
fn nobody_has_to_listen_to_what_it_says() {
    let home = Home::new();
    let mut command = home.serve(&[]);
    // Whatever is written here fails, as it does once a log's disk is full or its reader is gone.
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut server = Killed(command.stderr(full).spawn().unwrap());
    let found = wait_until("it answers", || {
        assert_eq!(server.0.try_wait().unwrap(), None, "it has ended");
        let asked = home.run(&["env", "--json"]);
        serde_json::from_str::<serde_json::Value>(&asked.stdout).ok()
    });
    let url = found["metadata_endpoint"].as_str().unwrap();
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let address: SocketAddr = address.parse().unwrap();
    // A guest's mistake is explained there.
    assert_eq!(read_tokenless(address, "/latest/").status, 401);
    for _ in 0..100 {
        assert_eq!(read(address, "/latest/", &token(address)).status, 200);
    }
    kill_process(Pid::from_child(&server.0), Signal::TERM).unwrap();
    let status = wait_until("it ends", || server.0.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}

#[test]
fn the_state_directory_is_the_first_that_is_named() {
    let home = Home::new();
    let at = |name: &str| home.path().join(name);
    let text = |name: &str| at(name).to_str().unwrap().to_owned();
    // Each row leaves out the first way of the one before it.
    let ways = [
        ("--data-dir", text("flag"), at("flag")),
        ("IMDS_DATA_DIR", text("variable"), at("variable")),
        ("STATE_DIRECTORY", text("service"), at("service")),
        ("XDG_STATE_HOME", text("xdg"), at("xdg/imds")),
        ("HOME", text(""), home.state()),
    ];
    for first in 0..ways.len() {
        let with_ways = |mut command: Command| {
            for (name, value, _) in &ways[first..] {
                if name.starts_with("--") {
                    command.args([name, value.as_str()]);
                } else {
                    command.env(name, value);
                }
            }
            command
        };
        let (name, _, expected) = &ways[first];
        let server = Running::of(with_ways(home.serve(&[])));
        assert!(expected.join("state.redb").exists(), "{name}");
        for (later, _, path) in &ways[first + 1..] {
            assert!(!path.exists(), "{name} comes before {later}");
        }
        // Commands find the server by the same ways.
        let ended = Ended::of(with_ways(home.imds(&["env", "--json"])));
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
        server.stop();
        fs::remove_dir_all(expected).unwrap();
    }
}

#[test]
fn variables_choose_the_addresses() {
    let home = Home::new();
    let mut command = home.imds(&["serve"]);
    command.env("IMDS_LISTEN", "127.0.0.1:0, 127.0.0.2:0").env("IMDS_MANAGE", "127.0.0.3:0");
    let server = Running::of(command);
    let listening = server.metadata.iter().chain([&server.management]);
    let addresses: Vec<_> = listening.map(|address| address.ip().to_string()).collect();
    assert_eq!(addresses, ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
}

#[test]
fn it_makes_room_for_many_connections() {
    let home = Home::new();
    let imds = home.serve(&[]);
    let mut command = Command::new("prlimit");
    command.arg("--nofile=256:4096").arg(imds.get_program());
    let mut command = home.around(command, &[]);
    command.args(imds.get_args());
    let server = Running::of(command);
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files"));
    let files: Vec<_> = files.unwrap().split_whitespace().skip(3).take(2).collect();
    assert_eq!(files, ["4096", "4096"], "{limits}");
}
