//! The server under a service manager: what it tells it, the sockets that it is passed, and how
//! little it may be allowed. The units in `dist/systemd` are checked with `systemd-analyze`;
//! `conformance/systemd/run` runs them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::exchange::{connect, read, token, value};
use crate::namespace::Namespace;
use crate::running::{DEFAULT_INSTANCE, Ended, Home, Running, output_of, refused};
use crate::waiting::{PATIENCE, wait_until};

/// What a service manager is told.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Manager {
    fn new(home: &Home) -> Self {
        let path = home.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    /// A server that tells this one.
    fn start(&self, mut command: Command) -> Running {
        Running::of({
            command.env("NOTIFY_SOCKET", &self.path);
            command
        })
    }

    /// The next message.
    fn told(&self) -> String {
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).expect("the service manager is told something");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// Everything that it has been told by now and not read yet.
    fn told_by_now(&self) -> Vec<String> {
        self.socket.set_nonblocking(true).unwrap();
        let mut message = [0; 4096];
        let mut told = Vec::new();
        while let Ok(length) = self.socket.recv(&mut message) {
            told.push(String::from_utf8(message[..length].to_vec()).unwrap());
        }
        told
    }
}

#[test]
fn the_service_manager_is_told_of_the_start_and_of_the_end() {
    let home = Home::new();
    let manager = Manager::new(&home);
    let server = manager.start(home.serve(&[]));
    let (metadata, management) = (server.address(), server.management);
    let ready = manager.told();
    assert_eq!(
        ready.lines().collect::<Vec<_>>(),
        [
            "READY=1",
            &format!("STATUS=metadata at http://{metadata}/; management at http://{management}/")
        ]
    );
    assert_eq!(manager.told_by_now(), [""; 0]);
    server.stop();
    assert_eq!(manager.told_by_now(), ["STOPPING=1\n"]);
}

#[test]
fn the_watchdog_hears_from_the_server_in_time() {
    // Long enough for a machine that is busy with other tests.
    const LIMIT: Duration = Duration::from_secs(6);
    let home = Home::new();
    let manager = Manager::new(&home);
    let mut command = home.serve(&["--workers", "3"]);
    command.env("WATCHDOG_USEC", LIMIT.as_micros().to_string());
    let start = Instant::now();
    let server = manager.start(command);
    let mut last = Instant::now();
    let mut count = 0;
    while count < 5 {
        match manager.told().as_str() {
            "WATCHDOG=1\n" => {
                assert!(last.elapsed() < LIMIT, "{:?}", last.elapsed());
                last = Instant::now();
                count += 1;
            }
            other => assert!(other.starts_with("READY=1\n"), "{other}"),
        }
    }
    // Nor is anyone told without end.
    assert!(start.elapsed() > LIMIT, "{:?}", start.elapsed());
    server.stop();
}

#[test]
fn where_there_is_no_watchdog_nobody_is_told() {
    // One for another process, one that is off, and one that is no number.
    for (limit, process) in [("1000", "1"), ("0", ""), ("soon", "")] {
        let home = Home::new();
        let manager = Manager::new(&home);
        let mut command = home.serve(&[]);
        command.env("WATCHDOG_USEC", limit);
        if !process.is_empty() {
            command.env("WATCHDOG_PID", process);
        }
        let server = manager.start(command);
        for _ in 0..100 {
            assert_eq!(read(server.address(), "/", &token(server.address())).status, 200);
        }
        server.stop();
        let told = manager.told_by_now();
        assert!(!told.iter().any(|message| message.contains("WATCHDOG")), "{limit}: {told:?}");
    }
}

/// `imds serve` with `arguments`, and its standard input and output passed to it as sockets that a
/// service manager opened, with these names.
fn passing(home: &Home, names: &str, arguments: &[&str]) -> Command {
    const PASS: &str = "exec 3<&0 </dev/null; \
         case $LISTEN_FDS in 2) exec 4>&1 >/dev/null;; esac; \
         LISTEN_PID=$$ exec \"$@\"";
    let imds = [env!("CARGO_BIN_EXE_imds"), "serve"];
    let pass = ["-c", PASS, "pass"];
    let mut command = home.around(Command::new("sh"), &[&pass, &imds[..], arguments].concat());
    command
        .env("LISTEN_FDS", names.split(':').count().to_string())
        .env("LISTEN_FDNAMES", names)
        .env("IMDS_MANAGE", "127.0.0.1:0");
    command
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn first(mut command: Command, socket: impl Into<OwnedFd>) -> Command {
    command.stdin(socket.into());
    command
}

#[test]
fn a_socket_that_is_passed_stands_in_for_addresses_that_nobody_set() {
    let home = Home::new();
    let (socket, address) = listener();
    let server = Running::of(first(passing(&home, "metadata", &["--workers", "3"]), socket));
    assert_eq!(server.metadata, [address]);
    let granted = token(address);
    // Every worker takes its share, and none is left waiting.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let answer = read(address, "/latest/meta-data/instance-id", &granted);
                    assert_eq!(answer.text(), DEFAULT_INSTANCE);
                }
            });
        }
    });
    assert_eq!(server.sample(r#"imds_requests_total{version="v2",outcome="ok"}"#), 400);
    server.stop();
}

#[test]
fn addresses_that_are_set_are_served_beside_those_that_are_passed() {
    let home = Home::new();
    let (socket, address) = listener();
    let own = address.to_string();
    // The one that is both is one.
    let listen = ["--listen", "127.0.0.2:0", "--listen", &own];
    let server = Running::of(first(passing(&home, "metadata", &listen), socket));
    let [other, same] = server.metadata[..] else { panic!("{:?}", server.metadata) };
    assert_eq!((other.ip().to_string().as_str(), same), ("127.0.0.2", address));
    for at in [other, same] {
        assert_eq!(value(at, "/latest/meta-data/instance-id"), DEFAULT_INSTANCE);
    }
}

#[test]
fn a_socket_named_shared_serves_whoever_is_told_by_the_source() {
    let home = Home::new();
    let config = home.write(
        "imds.toml",
        "listen = [\"127.0.0.2:0\"]\n[[instance]]\nid = \"i-0000000000000000b\"\n\
         attachments = [{ source = \"127.0.0.1\" }]\n",
    );
    let (socket, address) = listener();
    let arguments = ["--config", config.to_str().unwrap()];
    let server = Running::of(first(passing(&home, "shared", &arguments), socket));
    assert_eq!(server.metadata[1], address);
    assert_eq!(value(address, "/latest/meta-data/instance-id"), "i-0000000000000000b");
    assert_eq!(value(server.metadata[0], "/latest/meta-data/instance-id"), DEFAULT_INSTANCE);
}

#[test]
fn a_socket_named_manage_is_the_management_listener() {
    let home = Home::new();
    let ((manage, management), (metadata, address)) = (listener(), listener());
    let mut command = passing(&home, "manage:metadata", &[]);
    command.env_remove("IMDS_MANAGE").stdin(OwnedFd::from(manage));
    let server = Running::with_stdout(command, OwnedFd::from(metadata).into());
    assert_eq!((server.management, &server.metadata[..]), (management, &[address][..]));
    assert_eq!(server.page("/healthz"), "ok\n");
    assert_eq!(value(address, "/latest/meta-data/instance-id"), DEFAULT_INSTANCE);
    server.stop();

    let ((manage, management), other) = (listener(), "127.0.0.1:1");
    let mut command = first(passing(&home, "manage", &["--listen", "127.0.0.1:0"]), manage);
    command.env("IMDS_MANAGE", other);
    refused(command, 2, &["manage", &management.to_string(), other]);
}

#[test]
fn a_management_socket_that_others_reach_is_refused_like_an_address() {
    let home = Home::new();
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    let mut command = first(passing(&home, "manage", &["--listen", "127.0.0.1:0"]), socket);
    command.env_remove("IMDS_MANAGE");
    refused(command, 2, &["manage", "--insecure-manage"]);
}

#[test]
fn who_asks_while_the_server_is_started_anew_is_answered_by_the_next() {
    let home = Home::new();
    let (socket, address) = listener();
    let start = || {
        let socket = socket.try_clone().unwrap();
        Running::of(first(passing(&home, "metadata", &[]), socket))
    };
    let server = start();
    let granted = token(address);
    server.stop();
    // An upgrade: nobody runs, and the service manager holds the socket.
    let mut waiting = connect(address).unwrap();
    let request = format!(
        "GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: {address}\r\n\
         X-aws-ec2-metadata-token: {granted}\r\n\r\n"
    );
    waiting.write_all(request.as_bytes()).unwrap();
    let _server = start();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with(DEFAULT_INSTANCE), "{answer}");
}

#[test]
fn what_was_passed_and_cannot_be_served_stops_the_start() {
    let home = Home::new();
    let udp = || OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap());
    let tcp = || OwnedFd::from(listener().0);
    let listen = ["--listen", "127.0.0.1:0"];
    for (names, socket, parts) in [
        ("metadata", udp(), ["`metadata`", "does not listen for TCP", "ListenStream="]),
        ("imds.socket", tcp(), ["`imds.socket`", "FileDescriptorName=", "`shared`"]),
    ] {
        refused(first(passing(&home, names, &listen), socket), 2, &parts);
    }
    for (variable, value) in [("LISTEN_FDS", "one"), ("LISTEN_FDNAMES", "metadata:shared")] {
        let mut command = first(passing(&home, "metadata", &listen), tcp());
        command.env(variable, value);
        refused(command, 2, &[variable, "sd_listen_fds(3)"]);
    }
}

#[test]
fn sockets_that_were_passed_to_another_process_are_let_alone() {
    let home = Home::new();
    let mut command = home.serve(&[]);
    command.env("LISTEN_PID", "1").env("LISTEN_FDS", "5").env("LISTEN_FDNAMES", "a:b:c:d:e");
    Running::of(command).stop();
}

/// The line of the kernel's account of a process that tells a set of capabilities.
fn capabilities(status: &str, set: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(set)?.strip_prefix(':'));
    u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
}

fn capabilities_of(server: &Running, set: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.id())).unwrap();
    capabilities(&status, set)
}

/// `CAP_NET_BIND_SERVICE`, by its number.
const NET_BIND_SERVICE: u64 = 1 << 10;

/// A user that has nothing, should the tests be run by root.
const NOBODY: u32 = 65_534;

/// `imds serve` as an ordinary user without any privilege.
fn serve_unprivileged(home: &Home, arguments: &[&str]) -> Command {
    if !rustix::process::geteuid().is_root() {
        return home.serve(arguments);
    }
    // Where it was built, others may have no way to.
    let program = home.path().join("imds");
    // By a process of its own: one of ours that another test starts meanwhile would have the file
    // open for writing for a moment, and it could not be run.
    let mut copy = Command::new("cp");
    copy.arg(env!("CARGO_BIN_EXE_imds")).arg(&program);
    output_of(copy);
    std::os::unix::fs::chown(home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let user = format!("--reuid={NOBODY}");
    let group = format!("--regid={NOBODY}");
    let without = ["--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"];
    let mut setpriv = Command::new("setpriv");
    setpriv.args([user, group]).args(without).arg(&program);
    let served = home.serve(arguments);
    let mut command = home.around(setpriv, &[]);
    command.args(served.get_args());
    command
}

#[test]
fn an_ordinary_user_without_any_privilege_serves_all_that_needs_none() {
    let home = Home::new();
    let config = home.write(
        "imds.toml",
        "shared_listen = [\"127.0.0.1:0\"]\n[[instance]]\nid = \"i-0000000000000000b\"\n\
         attachments = [{ source = \"127.0.0.1\" }]\n",
    );
    let arguments = ["--config", config.to_str().unwrap()];
    let server = Running::of(serve_unprivileged(&home, &arguments));
    for set in ["CapPrm", "CapEff", "CapAmb", "CapInh"] {
        assert_eq!(capabilities_of(&server, set), 0, "{set}");
    }
    let path = "/latest/meta-data/instance-id";
    assert_eq!(value(server.metadata[0], path), DEFAULT_INSTANCE);
    assert_eq!(value(server.metadata[1], path), "i-0000000000000000b");
    let id = home.result(&["instance", "launch", "--attach", "listener=127.0.0.1:0"]);
    let shown = home.json_result(&["instance", "show", id.trim(), "--json"]);
    let endpoint = shown["endpoints"][0].as_str().unwrap();
    let address = endpoint.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    assert_eq!(value(address, path), id.trim());
    // What needs a privilege says so, and changes nothing.
    let refused = home.run(&["instance", "launch", "--driver", "netns"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("privilege") || refused.stderr.contains("CAP_"), "{refused:?}");
    server.stop();
}

/// A program inside a namespace, where root is a user like others but for one privilege.
fn with_ports(namespace: &Namespace, home: &Home, command: &[&str]) -> Command {
    const WITH_PORTS: [&str; 5] = [
        "setpriv",
        "--securebits=+noroot,+noroot_locked",
        "--bounding-set=-all,+net_bind_service",
        "--inh-caps=-all,+net_bind_service",
        "--ambient-caps=+net_bind_service",
    ];
    namespace.inside(home, &[&WITH_PORTS, command].concat())
}

const SERVE: [&str; 5] =
    [env!("CARGO_BIN_EXE_imds"), "serve", "--listen=127.0.0.1:80", "--manage", "127.0.0.1:0"];

#[test]
fn ports_and_interfaces_need_one_privilege_which_credential_programs_do_not_get() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    let other = namespace.beside(&home);
    let peer = ["peer", "name", "guest", "netns", &other.keeper()];
    let add = ["ip", "link", "add", "name", "tap0", "type", "veth"];
    output_of(namespace.inside(&home, &[&add[..], &peer].concat()));
    output_of(namespace.inside(&home, &["ip", "link", "set", "dev", "tap0", "up"]));
    let seen = home.path().join("seen");
    let program =
        format!("cat /proc/self/status > {0}.new; mv {0}.new {0}; exit 1", seen.display());
    let program = home.write_script("get-keys", &program);
    let config = home.write(
        "imds.toml",
        format!(
            "[[instance]]\nid = \"i-0000000000000000b\"\n\
             attachments = [{{ interface = \"tap0\" }}]\n\
             [[role]]\nname = \"app\"\nsource = \"process\"\ncommand = [{program:?}]\n"
        ),
    );
    let arguments = ["--config", config.to_str().unwrap()];
    let server = Running::of(with_ports(&namespace, &home, &[&SERVE[..], &arguments].concat()));
    for (set, expected) in
        [("CapPrm", NET_BIND_SERVICE), ("CapBnd", NET_BIND_SERVICE), ("CapAmb", 0)]
    {
        assert_eq!(capabilities_of(&server, set), expected, "{set}");
    }
    let shown = home.json_result(&["instance", "show", "i-0000000000000000b", "--json"]);
    assert_eq!(shown["endpoints"][0], "http://169.254.169.254:80/", "{shown}");
    let get = ["get", "latest/meta-data/instance-id", "--endpoint", "http://127.0.0.1"];
    let found = Ended::of(namespace.imds(&home, &get));
    assert_eq!(found.stdout, DEFAULT_INSTANCE, "{found:?}");
    let status = wait_until("the credential program is run", || fs::read_to_string(&seen).ok());
    for set in ["CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(capabilities(&status, set), 0, "{set}");
    }
    server.stop();
}

#[test]
fn credential_programs_do_not_speak_for_the_server() {
    let home = Home::new();
    let manager = Manager::new(&home);
    let seen = home.path().join("seen");
    let program = format!("env > {0}.new; mv {0}.new {0}; exit 1", seen.display());
    let program = home.write_script("get-keys", &program);
    let config = home.write(
        "imds.toml",
        format!("[[role]]\nname = \"app\"\nsource = \"process\"\ncommand = [{program:?}]\n"),
    );
    let (socket, _) = listener();
    let arguments = ["--config", config.to_str().unwrap()];
    let mut command = first(passing(&home, "metadata", &arguments), socket);
    command.env("WATCHDOG_USEC", "30000000").env("CREDENTIALS_DIRECTORY", "/run/credentials/x");
    let server = manager.start(command);
    let variables = wait_until("the credential program is run", || fs::read_to_string(&seen).ok());
    for name in ["NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_"] {
        assert!(!variables.contains(name), "{variables}");
    }
    // What is there for it stays.
    assert!(variables.contains("CREDENTIALS_DIRECTORY=/run/credentials/x"), "{variables}");
    server.stop();
}

/// The units, with the built program in place of the installed one, and the drop-ins that are
/// named.
fn units(home: &Home, drop_ins: &[&str]) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/systemd");
    for name in ["imds.service", "imds.socket"] {
        let text = fs::read_to_string(from.join(name)).unwrap();
        home.write(name, text.replace("/usr/local/bin/imds", env!("CARGO_BIN_EXE_imds")));
    }
    let to = home.path().join("imds.service.d");
    fs::create_dir(&to).unwrap();
    for name in drop_ins {
        fs::copy(from.join("drop-ins").join(name), to.join(name)).unwrap();
    }
    home.path().join("imds.service")
}

/// Every drop-in, with the exposure that `systemd-analyze security` may find with it, in tenths.
const EXPOSURES: [(&[&str], u32); 6] = [
    (&[], 15),
    (&["credential-programs.conf"], 15),
    (&["ports.conf"], 20),
    (&["link-local.conf"], 20),
    (&["netns.conf"], 20),
    (&["netns-driver.conf"], 50),
];

#[test]
fn the_units_mean_something_to_systemd_and_expose_little() {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/systemd/drop-ins");
    assert_eq!(fs::read_dir(from).unwrap().count(), EXPOSURES.len() - 1);
    for (drop_ins, exposure_max) in EXPOSURES {
        let home = Home::new();
        let unit = units(&home, drop_ins);
        let socket = home.path().join("imds.socket");
        let (unit, socket) = (unit.to_str().unwrap(), socket.to_str().unwrap());
        let verify = ["verify", "--man=no", unit, socket];
        let verified = Ended::of(home.around(Command::new("systemd-analyze"), &verify));
        assert_eq!((verified.code, verified.stderr.as_str()), (Some(0), ""), "{drop_ins:?}");
        // systemd counts the threshold in tenths too.
        let threshold = format!("--threshold={exposure_max}");
        let security = ["security", "--no-pager", "--offline=true", &threshold, unit];
        let rated = Ended::of(home.around(Command::new("systemd-analyze"), &security));
        assert_eq!(rated.code, Some(0), "{drop_ins:?}: {}", rated.stdout);
        assert!(rated.stdout.contains("Overall exposure level for imds.service"), "{rated:?}");
    }
}
