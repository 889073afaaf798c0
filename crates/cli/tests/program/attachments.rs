//! How an instance is attached: each way of it, while the server runs and from the config file, and
//! what becomes of it as interfaces and network namespaces come and go.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::alone::alone;
use crate::exchange::{connect, read_to_close, tokenless_request};
use crate::machines::{
    EC2, Facts, Heard, Machine, has_link, ip, lay_cable, lead, run_at, socket_count,
};
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
            let open = || TcpStream::connect(EC2[0]).unwrap();
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

#[test]
fn the_namespace_of_a_process_ends_with_it() {
    alone(|| {
        let home = Home::new();
        let server = home.start(&[]);
        launch(&home, A);
        for _ in 0..3 {
            let red = Nameless::start();
            ip(&format!("link add outer type veth peer name inner netns {}", red.0.id()));
            let attachment = format!("netns={}", red.path());
            attach(&home, A, &attachment);
            let heard = run_at(&red.path(), || Heard::at(EC2[0].parse().unwrap()));
            assert_eq!(heard, Heard::instance(A));
            drop(red);
            // No event tells of it.
            let gone = Instant::now();
            wait_until("the namespace ends", || (!has_link("outer")).then_some(()));
            assert!(gone.elapsed() < SOON, "after {:?}", gone.elapsed());
            assert!(waits_for(&home, A, &attachment).is_some());
            detach(&home, A, &attachment);
        }
        server.stop();
    });
}

#[test]
fn an_interface_that_vanishes_is_let_go_and_the_next_of_that_name_is_served() {
    alone(|| {
        let home = Home::new();
        let facts = Facts::numbered(10);
        let server = home.start_with(&facts.described(A, "{ interface = \"tap0\" }"));
        let (blue, elsewhere) = (Machine::bare("blue"), Machine::bare("elsewhere"));
        let is_let_go = || {
            wait_until("it is let go", || waits_for(&home, A, "interface=tap0"));
            // What still has the addresses has nobody who listens.
            assert!(matches!(blue.hears(EC2[0]), Heard::NoConnection));
        };
        let is_served = || {
            wait_to_hear("an interface", &Heard::instance(A), || blue.hears(EC2[0]));
            assert_eq!(blue.hears(EC2[1]), Heard::instance(A));
        };
        for end in ["link delete tap0", "link set tap0 name other", "link set tap0 netns elsewhere"]
        {
            lay_cable("tap0", blue, &facts);
            lead("tap0", blue, &facts);
            is_served();
            ip("link set tap0 down");
            ip(end);
            is_let_go();
            match end.split(' ').next_back().unwrap() {
                "other" => ip("link delete other"),
                "elsewhere" => elsewhere.ip("link delete tap0"),
                _ => {}
            }
        }
        // Another takes the name at once: it is the name that is attached.
        lay_cable("tap0", blue, &facts);
        lead("tap0", blue, &facts);
        is_served();
        ip("link delete tap0");
        lay_cable("tap0", blue, &facts);
        lead("tap0", blue, &facts);
        is_served();
        server.stop();
    });
}

#[test]
fn what_happens_to_an_interface_otherwise_disturbs_nobody() {
    alone(|| {
        let home = Home::new();
        let facts = Facts::numbered(10);
        let server = home.start_with(&facts.described(A, "{ interface = \"tap0\" }"));
        let blue = Machine::bare("blue");
        lay_cable("tap0", blue, &facts);
        lead("tap0", blue, &facts);
        wait_to_hear("an interface", &Heard::instance(A), || blue.hears(EC2[0]));
        ip("link add br0 type bridge");
        let open = || TcpStream::connect(EC2[0]).unwrap();
        let waiting = blue.run(open);
        wait_until("it waits", || (server.connections() == 1).then_some(()));
        // The last of these is told of as the end of a port.
        for change in ["mtu 1400", "alias x", "promisc on", "master br0", "nomaster"] {
            ip(&format!("link set tap0 {change}"));
        }
        // Whatever that did is done once something that follows it is seen.
        launch(&home, B);
        attach_later(&home, B, "interface=tap1");
        ip("link add tap1 type veth peer name tap2");
        wait_until("an interface is seen", || {
            waits_for(&home, B, "interface=tap1").is_none().then_some(())
        });
        assert_eq!(server.connections(), 1);
        assert_eq!(blue.hears(EC2[0]), Heard::instance(A));
        // Once, when the server started.
        let told = server.said().matches("is not served by interface=tap0").count();
        assert_eq!(told, 1, "{}", server.said());
        drop(waiting);
        server.stop();
    });
}

#[test]
fn who_waits_where_an_attachment_ends_is_let_go_before_that_is_told() {
    alone(|| {
        let home = Home::new();
        let server = home.start(&["--max-connections-per-source", "1000"]);
        let blue = Machine::made("blue");
        launch(&home, A);
        for _ in 0..3 {
            let before = socket_count(server.id());
            attach(&home, A, "netns=blue");
            let open = || TcpStream::connect(EC2[0]).unwrap();
            let held: Vec<_> = blue.run(|| (0..500).map(|_| open()).collect());
            wait_until("they wait", || (server.connections() == 500).then_some(()));
            detach(&home, A, "netns=blue");
            let after = socket_count(server.id());
            // A few are of operators who ask.
            assert!(after < before + 10, "{before} sockets before, {after} after");
            drop(held);
        }
        server.stop();
    });
}

#[test]
fn a_connection_of_one_instance_never_becomes_one_of_another() {
    alone(|| {
        let home = Home::new();
        let server = home.start(&["--shared-listen", "127.0.0.9:80"]);
        for id in [A, B] {
            let launch = ["instance", "launch", "--id", id, "--http-tokens", "optional"];
            home.result(&launch);
        }
        let source = "source=127.0.0.1";
        attach(&home, A, source);
        let shared: SocketAddr = "127.0.0.9:80".parse().unwrap();
        ip("route replace local 127.0.0.9 dev lo table local src 127.0.0.1");
        let request = tokenless_request("/latest/meta-data/instance-id");
        let (begun, rest) = request.split_at(20);
        let open = || {
            let mut stream = connect(shared).unwrap();
            stream.write_all(begun.as_bytes()).unwrap();
            stream
        };
        let mut streams = [open(), open()];
        wait_until("they wait", || (server.connections() == 2).then_some(()));
        let end = |stream: &mut TcpStream| {
            stream.write_all(rest.as_bytes()).unwrap();
            String::from_utf8(read_to_close(stream)).unwrap()
        };
        assert!(end(&mut streams[0]).ends_with(A));
        // Whoever has the address now, the connection is from the one that had it.
        detach(&home, A, source);
        attach(&home, B, source);
        assert_eq!(end(&mut streams[1]), "");
        assert!(end(&mut open()).ends_with(B));
        server.stop();
    });
}

#[test]
fn events_that_are_lost_lose_no_interface() {
    alone(|| {
        let home = Home::new();
        let facts = Facts::numbered(10);
        let server = home.start_with(&facts.described(A, "{ interface = \"tap0\" }"));
        let blue = Machine::bare("blue");
        lay_cable("tap0", blue, &facts);
        lead("tap0", blue, &facts);
        wait_to_hear("an interface", &Heard::instance(A), || blue.hears(EC2[0]));
        ip("link add noise type veth peer name silence");
        server.signal(Signal::STOP);
        // More than the kernel keeps for a program that does not listen.
        for turn in 0..1000 {
            ip(&format!("link set noise mtu {}", 1400 + turn % 2));
        }
        ip("link delete tap0");
        lay_cable("tap0", blue, &facts);
        lead("tap0", blue, &facts);
        server.signal(Signal::CONT);
        wait_to_hear("the next interface", &Heard::instance(A), || blue.hears(EC2[0]));
        server.stop();
    });
}
