//! How an instance is attached: each way of it, while the server runs and from the config file, and
//! what becomes of it as interfaces and network namespaces come and go.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::alone::alone;
use crate::machines::{EC2, Facts, Heard, Machine, has_link, ip, lay_cable, lead, run_at};
use crate::running::{DEFAULT_INSTANCE, Home, Running};
use crate::waiting::wait_until;

const A: &str = "i-0000000000000000a";
const B: &str = "i-0000000000000000b";

/// What comes or goes is taken up within a second or so; the rest is for a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// Launches an instance that takes IPv6.
fn launch(home: &Home, id: &str) {
    home.result(&["instance", "launch", "--id", id, "--http-protocol-ipv6", "enabled"]);
}

/// Attaches an instance; what comes back is how it is shown.
fn attach(home: &Home, id: &str, attachment: &str) -> Value {
    home.json_result(&["instance", "attach", id, attachment, "--json"])
}

fn attach_later(home: &Home, id: &str, attachment: &str) -> Value {
    home.json_result(&["instance", "attach", id, attachment, "--later", "--json"])
}

fn detach(home: &Home, id: &str, attachment: &str) -> Value {
    home.json_result(&["instance", "detach", id, attachment, "--json"])
}

/// The addresses that an instance is shown to be served at.
fn endpoints(shown: &Value) -> Vec<SocketAddr> {
    let address = |url: &Value| {
        let url = url.as_str().unwrap();
        url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
    };
    shown["endpoints"].as_array().unwrap().iter().map(address).collect()
}

/// What an attachment of an instance waits for, if it does.
fn waits_for(home: &Home, id: &str, attachment: &str) -> Option<String> {
    let shown = home.json_result(&["instance", "show", id, "--json"]);
    let views = shown["attached"].as_array().unwrap().clone();
    let view = views.into_iter().find(|view| view["attachment"] == attachment).unwrap();
    view["waiting"].as_str().map(str::to_owned)
}

/// Waits until this is heard, which must be soon.
fn wait_to_hear(what: &str, expected: &Heard, mut hear: impl FnMut() -> Heard) {
    let asked = Instant::now();
    let mut last = Heard::Nothing;
    wait_until(&format!("{what}: {expected:?}"), || {
        last = hear();
        (last == *expected).then_some(())
    });
    let took = asked.elapsed();
    assert!(took < SOON, "{what}: {expected:?} after {took:?}");
}

/// How many callers have been turned away for this reason.
pub(crate) fn turned_away(server: &Running, reason: &str) -> i64 {
    server.sample(&format!("imds_turned_away_total{{reason=\"{reason}\"}}"))
}

#[test]
fn a_listener_comes_and_goes() {
    alone(|| {
        let home = Home::new();
        let server = home.start(&[]);
        launch(&home, A);
        launch(&home, B);
        let chosen = endpoints(&attach(&home, A, "listener=127.0.0.1:0"))[0];
        assert_ne!(chosen.port(), 0);
        let shown = attach(&home, A, "listener=127.0.0.1:8080");
        let fixed: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(endpoints(&shown), [chosen, fixed]);
        let six: SocketAddr = "[::1]:8080".parse().unwrap();
        assert_eq!(endpoints(&attach(&home, B, "listener=[::1]:8080")), [six]);
        for (address, id) in
            [(chosen, A), (fixed, A), (six, B), (server.address(), DEFAULT_INSTANCE)]
        {
            assert_eq!(Heard::at(address), Heard::instance(id));
        }
        detach(&home, A, "listener=127.0.0.1:0");
        assert_eq!(Heard::at(chosen), Heard::NoConnection);
        assert_eq!(Heard::at(fixed), Heard::instance(A));
        for id in [B, A, B] {
            let holder = if id == A { B } else { A };
            assert_eq!(endpoints(&detach(&home, holder, "listener=127.0.0.1:8080")).len(), {
                usize::from(holder == B)
            });
            assert_eq!(Heard::at(fixed), Heard::NoConnection);
            attach(&home, id, "listener=127.0.0.1:8080");
            assert_eq!(Heard::at(fixed), Heard::instance(id));
        }
        // An attachment lasts, whichever way the server ends.
        server.kill();
        let server = home.start(&[]);
        assert_eq!(Heard::at(fixed), Heard::instance(B));
        server.stop();
        let _server = home.start(&[]);
        assert_eq!(Heard::at(fixed), Heard::instance(B));
        home.result(&["instance", "terminate", B]);
        assert_eq!(Heard::at(fixed), Heard::NoConnection);
        assert_eq!(Heard::at(six), Heard::NoConnection);
    });
}

/// A machine on a cable, and a server with a listener there that all sources share.
fn with_shared_listener(home: &Home, machine: Machine<'_>, facts: &Facts) -> Running {
    lay_cable("tap0", machine, facts);
    lead("tap0", machine, facts);
    home.start(&["--shared-listen", EC2[0], "--shared-listen", EC2[1]])
}

#[test]
fn a_source_comes_and_goes() {
    alone(|| {
        let home = Home::new();
        let blue = Machine::bare("blue");
        let facts = Facts::numbered(10);
        let server = with_shared_listener(&home, blue, &facts);
        let hears = || EC2.map(|address| blue.hears(address));
        assert_eq!(hears(), [Heard::Nothing, Heard::Nothing]);
        assert_eq!(turned_away(&server, "unattached"), 2);
        launch(&home, A);
        launch(&home, B);
        let Facts { mac, ipv4, ipv6 } = &facts;
        let (four, six) = (format!("source={ipv4}"), format!("source={ipv6}"));
        attach(&home, A, &four);
        assert_eq!(hears(), [Heard::instance(A), Heard::Nothing]);
        attach(&home, B, &six);
        assert_eq!(hears(), [Heard::instance(A), Heard::instance(B)]);
        detach(&home, A, &four);
        assert_eq!(hears(), [Heard::Nothing, Heard::instance(B)]);
        detach(&home, B, &six);
        for (id, source) in [(A, &four), (B, &six)] {
            attach(&home, id, &format!("{source},mac={mac}"));
        }
        assert_eq!(hears(), [Heard::instance(A), Heard::instance(B)]);
        assert_eq!(turned_away(&server, "not_its_address"), 0);
        // One address is one claim, and so is detached with or without its MAC.
        for (id, source) in [(A, &four), (B, &six)] {
            detach(&home, id, source);
            attach(&home, id, &format!("{source},mac=02:00:00:00:00:99"));
        }
        assert_eq!(hears(), [Heard::Nothing, Heard::Nothing]);
        assert_eq!(turned_away(&server, "not_its_address"), 2);
        server.stop();
    });
}

#[test]
fn an_interface_comes_and_goes() {
    alone(|| {
        let home = Home::new();
        let server = home.start(&[]);
        let blue = Machine::bare("blue");
        launch(&home, A);
        // Its MAC and addresses are the instance's own: that over IPv6 is the one on the link.
        let facts = Facts::of(&home, A);
        lay_cable("tap0", blue, &facts);
        lead("tap0", blue, &facts);
        let hears = || EC2.map(|address| blue.hears(address));
        assert_eq!(hears(), [Heard::NoConnection, Heard::NoConnection]);
        for _ in 0..3 {
            let shown = attach(&home, A, "interface=tap0");
            assert_eq!(endpoints(&shown), EC2.map(|at| at.parse().unwrap()));
            assert_eq!(hears(), [Heard::instance(A), Heard::instance(A)]);
            assert!(endpoints(&detach(&home, A, "interface=tap0")).is_empty());
            assert_eq!(hears(), [Heard::NoConnection, Heard::NoConnection]);
        }
        server.stop();
    });
}

#[test]
fn a_namespace_comes_and_goes_by_name_and_by_path() {
    alone(|| {
        let home = Home::new();
        let server = home.start(&[]);
        let (blue, red) = (Machine::made("blue"), Nameless::start());
        launch(&home, A);
        launch(&home, B);
        let by_path = format!("netns={}", red.path());
        let blue_hears = || EC2.map(|address| blue.hears(address));
        let red_hears =
            || run_at(&red.path(), || EC2.map(|address| Heard::at(address.parse().unwrap())));
        let silence = [Heard::NoConnection, Heard::NoConnection];
        assert_eq!([blue_hears(), red_hears()], [silence.clone(), silence.clone()]);
        for (of_blue, of_red) in [(A, B), (B, A), (A, A)] {
            attach(&home, of_blue, "netns=blue");
            attach(&home, of_red, &by_path);
            assert_eq!(blue_hears(), [Heard::instance(of_blue), Heard::instance(of_blue)]);
            assert_eq!(red_hears(), [Heard::instance(of_red), Heard::instance(of_red)]);
            detach(&home, of_blue, "netns=blue");
            assert_eq!(blue_hears(), silence);
            assert_eq!(red_hears(), [Heard::instance(of_red), Heard::instance(of_red)]);
            detach(&home, of_red, &by_path);
            assert_eq!(red_hears(), silence);
        }
        server.stop();
    });
}

/// A network namespace without a name, kept by a process.
struct Nameless(Child);

impl Nameless {
    fn start() -> Self {
        let keep = "ip link set lo up && ip address add 169.254.169.254/32 dev lo && \
                    ip address add fd00:ec2::254/128 dev lo nodad && echo up && read -r end";
        let mut unshare = Command::new("unshare");
        unshare.args(["--net", "sh", "-c", keep]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = unshare.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "up\n");
        Self(child)
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.0.id())
    }
}

impl Drop for Nameless {
    fn drop(&mut self) {
        // The process ends with its input.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn several_kinds_serve_one_instance_and_several_instances_one_server() {
    alone(|| {
        let home = Home::new();
        let [blue, red, green] = ["blue", "red", "green"].map(Machine::bare);
        let (of_a, of_b) = (Facts::numbered(10), Facts::numbered(11));
        lay_cable("tap0", blue, &of_a);
        lead("tap0", blue, &of_a);
        lay_cable("tap1", red, &of_b);
        lead("tap1", red, &of_b);
        green.ip("address add 169.254.169.254/32 dev lo");
        let all = "{ listener = \"127.0.0.1:8080\" }, { interface = \"tap0\" }, \
                   { netns = \"green\" }, { source = \"127.0.0.7\" }";
        let config = of_a.described(A, all)
            + &of_b.described(B, "{ interface = \"tap1\" }, { source = \"127.0.0.8\" }");
        let config = format!("shared_listen = [\"127.0.0.9:80\"]\n{config}");
        let server = home.start_with(&config);
        assert_eq!(Heard::at(server.address()), Heard::instance(DEFAULT_INSTANCE));
        assert_eq!(Heard::at("127.0.0.1:8080".parse().unwrap()), Heard::instance(A));
        for (machine, id) in [(blue, A), (red, B)] {
            for address in EC2 {
                assert_eq!(machine.hears(address), Heard::instance(id));
            }
        }
        assert_eq!(green.hears(EC2[0]), Heard::instance(A));
        let shared = "127.0.0.9:80".parse().unwrap();
        // Nobody is attached at 127.0.0.9, which a caller without an address of its own asks from.
        assert_eq!(Heard::at(shared), Heard::Nothing);
        for (source, id) in [("127.0.0.7", A), ("127.0.0.8", B)] {
            let route = format!("route replace local 127.0.0.9 dev lo table local src {source}");
            ip(&route);
            assert_eq!(Heard::at(shared), Heard::instance(id));
        }
        server.stop();
    });
}

#[test]
fn what_is_not_there_yet_is_served_once_it_is() {
    alone(|| {
        let home = Home::new();
        let facts = Facts::numbered(10);
        let config = facts.described(A, "{ interface = \"tap0\" }, { netns = \"blue\" }");
        let server = home.start_with(&config);
        launch(&home, B);
        for (attachment, missing) in [
            ("netns=red", "there is no network namespace `red`"),
            ("interface=tap1", "there is no network interface `tap1`"),
            ("listener=10.9.0.1:80", "10.9.0.1:80 is not an address of this machine"),
        ] {
            attach_later(&home, B, attachment);
            let reason = waits_for(&home, B, attachment).unwrap();
            assert!(reason.contains(missing), "{reason}");
            wait_until("it is told", || server.said().contains(missing).then_some(()));
        }
        let green = Machine::bare("green");
        lay_cable("tap0", green, &facts);
        lead("tap0", green, &facts);
        wait_to_hear("an interface", &Heard::instance(A), || green.hears(EC2[0]));
        assert_eq!(green.hears(EC2[1]), Heard::instance(A));
        for (name, id) in [("blue", A), ("red", B)] {
            let machine = Machine::made(name);
            wait_to_hear("a namespace", &Heard::instance(id), || machine.hears(EC2[0]));
            assert_eq!(machine.hears(EC2[1]), Heard::instance(id));
        }
        // Another one by another name is what it is waited for once it has the name.
        let of_b = Facts::of(&home, B);
        let yellow = Machine::bare("yellow");
        lay_cable("tap9", yellow, &of_b);
        lead("tap9", yellow, &of_b);
        ip("link set tap9 down");
        ip("link set tap9 name tap1");
        ip("link set tap1 up");
        ip(&format!("route replace {}/32 dev tap1", of_b.ipv4));
        wait_to_hear("a renamed interface", &Heard::instance(B), || yellow.hears(EC2[0]));
        ip("address add 10.9.0.1/32 dev lo");
        let address = "10.9.0.1:80".parse().unwrap();
        wait_to_hear("an address", &Heard::instance(B), || Heard::at(address));
        for attachment in ["netns=red", "interface=tap1", "listener=10.9.0.1:80"] {
            assert_eq!(waits_for(&home, B, attachment), None);
            let told = format!("{B} is served: {attachment}");
            wait_until("it is told", || server.said().contains(&told).then_some(()));
        }
        server.stop();
    });
}

#[test]
fn a_namespace_that_loses_its_name_ends_and_the_next_of_that_name_is_served() {
    alone(|| {
        let home = Home::new();
        let server = home.start(&[]);
        launch(&home, A);
        attach_later(&home, A, "netns=blue");
        for round in 0..5 {
            let blue = Machine::made("blue");
            // A cable of which one end is here: it vanishes as the namespace ends.
            ip("link add outer type veth peer name inner netns blue");
            assert!(has_link("outer"));
            wait_to_hear("a namespace", &Heard::instance(A), || blue.hears(EC2[0]));
            // Connections that wait hold a namespace as well.
            let waiting = if round % 2 == 0 { 0 } else { 200 };
            let open = || std::net::TcpStream::connect(EC2[0]).unwrap();
            let held: Vec<_> = blue.run(|| (0..waiting).map(|_| open()).collect());
            wait_until("they wait", || (server.connections() == waiting).then_some(()));
            blue.delete();
            wait_until("they are let go", || (server.connections() == 0).then_some(()));
            // Our ends hold it too.
            drop(held);
            wait_until("the namespace ends", || (!has_link("outer")).then_some(()));
            let reason = waits_for(&home, A, "netns=blue").unwrap();
            assert!(reason.contains("there is no network namespace `blue`"), "{reason}");
        }
        server.stop();
    });
}
