//! Interfaces and network namespaces that come and go under an attachment: what comes is served, what
//! goes is let go at once, and what only changes disturbs nobody.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::alone::alone;
use crate::attachments::{attach, detach, launch};
use crate::machines::{
    EC2, Facts, Heard, Machine, Nameless, has_link, ip, lay_cable, lead, run_at,
};
use crate::running::Home;
use crate::waiting::wait_until;

const A: &str = "i-0000000000000000a";
const B: &str = "i-0000000000000000b";

/// What comes or goes is taken up within a second or so; the rest is for a busy machine.
const SOON: Duration = Duration::from_secs(5);

/// Attaches an instance to what need not be there.
fn attach_later(home: &Home, id: &str, attachment: &str) {
    home.result(&["instance", "attach", id, attachment, "--later"]);
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
        // The doors of the two protocols are opened one after the other.
        wait_to_hear("an interface, by IPv6", &Heard::instance(A), || green.hears(EC2[1]));
        for (name, id) in [("blue", A), ("red", B)] {
            let machine = Machine::made(name);
            wait_to_hear("a namespace", &Heard::instance(id), || machine.hears(EC2[0]));
            wait_to_hear("a namespace, by IPv6", &Heard::instance(id), || machine.hears(EC2[1]));
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
