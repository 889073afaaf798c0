//! How an instance is attached: each way of it, while the server runs and from the config file.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::alone::alone;
use crate::exchange::{connect, read_to_close, tokenless_request};
use crate::machines::{
    EC2, Facts, Heard, Machine, Nameless, ip, lay_cable, lead, run_at, socket_count,
};
use crate::running::{DEFAULT_INSTANCE, Home, Running};
use crate::waiting::wait_until;

const A: &str = "i-0000000000000000a";
const B: &str = "i-0000000000000000b";

/// Launches an instance that takes IPv6.
pub(crate) fn launch(home: &Home, id: &str) {
    home.result(&["instance", "launch", "--id", id, "--http-protocol-ipv6", "enabled"]);
}

/// Attaches an instance; what comes back is how it is shown.
pub(crate) fn attach(home: &Home, id: &str, attachment: &str) -> Value {
    home.json_result(&["instance", "attach", id, attachment, "--json"])
}

pub(crate) fn detach(home: &Home, id: &str, attachment: &str) -> Value {
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
