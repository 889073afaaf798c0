//! Attachments that cannot be had: each refusal says what is wrong and what to do, and leaves
//! everything as it was.

use std::process::Command;

use crate::alone::alone;
use crate::machines::{EC2, Heard, Machine, ip};
use crate::running::{DEFAULT_INSTANCE, Ended, Home, Running, refused};

const A: &str = "i-0000000000000000a";
const B: &str = "i-0000000000000000b";

/// Sees that a command fails with `code` and says all of `parts`.
fn fails(home: &Home, arguments: &[&str], code: i32, parts: &[&str]) {
    let ended = home.run(arguments);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{arguments:?}: {ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "{arguments:?} lacks {part}: {}", ended.stderr);
    }
}

/// How many attachments an instance has.
fn attachment_count(home: &Home, id: &str) -> usize {
    home.instance(id)["attachments"].as_array().map_or(0, Vec::len)
}

#[test]
fn two_described_instances_cannot_claim_one_attachment() {
    let home = Home::new();
    for (of_a, of_b, claim) in [
        (
            "listener = \"127.0.0.1:8080\"",
            "listener = \"127.0.0.1:8080\"",
            "listener=127.0.0.1:8080",
        ),
        ("source = \"10.0.0.5\"", "source = \"10.0.0.5\"", "source=10.0.0.5"),
        (
            "source = \"10.0.0.5\", mac = \"02:00:00:00:00:01\"",
            "source = \"::ffff:10.0.0.5\", mac = \"02:00:00:00:00:02\"",
            "source=10.0.0.5",
        ),
        ("interface = \"tap0\"", "interface = \"tap0\"", "interface=tap0"),
        ("netns = \"blue\"", "netns = \"blue\"", "netns=blue"),
    ] {
        let config = home.write(
            "imds.toml",
            format!(
                "shared_listen = [\"127.0.0.1:0\"]\n[[instance]]\nid = \"{A}\"\nattachments = [{{ \
                 {of_a} }}]\n[[instance]]\nid = \"{B}\"\nattachments = [{{ {of_b} }}]\n"
            ),
        );
        let config = config.to_str().unwrap();
        let place = format!("{config}:7: ");
        let both = format!("{A} and {B} both have the attachment {claim}: give each its own");
        refused(home.serve(&["--config", config]), 2, &[&place, &both]);
        fails(&home, &["serve", "--config", config, "--check"], 2, &[&place, &both]);
    }
}

#[test]
fn who_has_an_attachment_is_told_to_whoever_wants_it_too() {
    alone(|| {
        let home = Home::new();
        let _server = home.start(&["--shared-listen", "127.0.0.1:0"]);
        home.result(&["instance", "launch", "--id", A]);
        home.result(&["instance", "launch", "--id", B]);
        Machine::made("blue");
        ip("link add tap0 type veth peer name tap1");
        for attachment in
            ["listener=127.0.0.1:8080", "source=10.0.0.5", "interface=tap0", "netns=blue"]
        {
            home.result(&["instance", "attach", A, attachment]);
            let cure = format!("imds instance detach {A} {attachment}");
            let claim = format!("{B} cannot have the attachment {attachment}: {A} has it");
            fails(&home, &["instance", "attach", B, attachment], 1, &[&claim, &cure]);
            fails(&home, &["instance", "attach", B, attachment, "--later"], 1, &[&claim, &cure]);
            let launch = ["instance", "launch", "--attach", attachment];
            fails(&home, &launch, 1, &[&cure, "cannot have the attachment"]);
            assert_eq!(attachment_count(&home, B), 0);
            // The cure cures.
            let words: Vec<_> = cure.split(' ').skip(1).collect();
            home.result(&words);
            home.result(&["instance", "attach", B, attachment]);
            // What is there already is no mistake.
            home.result(&["instance", "attach", B, attachment]);
            assert_eq!(attachment_count(&home, B), 1);
            home.result(&["instance", "detach", B, attachment]);
        }
        assert_eq!(home.result(&["instance", "list", "--json"]).lines().count(), 3);
    });
}

#[test]
fn what_is_not_there_cannot_be_attached_to_unless_later() {
    alone(|| {
        let home = Home::new();
        let _server = home.start(&[]);
        home.result(&["instance", "launch", "--id", A]);
        for (attachment, parts) in [
            ("netns=blue", ["there is no network namespace `blue`", "ip netns add"]),
            ("netns=/etc/passwd", ["`/etc/passwd` is not a network namespace", "`ip netns` makes"]),
            ("interface=tap0", ["there is no network interface `tap0`", "once there is one"]),
            ("listener=192.0.2.1:80", ["192.0.2.1:80 is not an address of this machine", "add it"]),
            ("source=10.0.0.5", ["there is no address for instances", "--shared-listen"]),
        ] {
            fails(&home, &["instance", "attach", A, attachment], 1, &parts);
            assert_eq!(attachment_count(&home, A), 0);
            let ended = home.run(&["instance", "attach", A, attachment, "--later"]);
            assert_eq!(ended.code, Some(0), "{ended:?}");
            assert!(ended.stdout.starts_with(attachment) && ended.stdout.ends_with("waits\n"));
            assert!(ended.stderr.contains(parts[0]), "{ended:?}");
            home.result(&["instance", "detach", A, attachment]);
        }
        for (nonsense, part) in [
            ("tap0", "`tap0` is not an attachment"),
            ("netns=a/b", "is not a network namespace"),
            ("interface=much-too-long-a-name", "is not the name of an interface"),
            ("source=10.0.0.5,mac=2d", "is not a MAC address"),
            ("listener=127.0.0.1", "is not an address and port"),
        ] {
            fails(&home, &["instance", "attach", A, nonsense], 2, &[part]);
        }
    });
}

#[test]
fn the_file_has_the_say_over_what_it_describes() {
    let home = Home::new();
    let server = home.start_with(&format!(
        "[[instance]]\nid = \"{A}\"\nattachments = [{{ listener = \"127.0.0.1:0\" }}]\n"
    ));
    let parts = [A, "is described in the config file", "change it there"];
    fails(&home, &["instance", "attach", A, "listener=127.0.0.1:0"], 1, &parts);
    fails(&home, &["instance", "detach", A, "listener=127.0.0.1:0"], 1, &parts);
    fails(&home, &["instance", "terminate", A], 1, &parts);
    assert_eq!(Heard::at(server.metadata[1]), Heard::instance(A));
}

#[test]
fn what_is_not_attached_or_may_not_end_is_refused() {
    let home = Home::new();
    let server = home.start(&[]);
    home.result(&["instance", "launch", "--id", A]);
    let attachment = "listener=127.0.0.1:8080";
    let parts = [A, "has no attachment listener=127.0.0.1:8080", "imds instance show"];
    fails(&home, &["instance", "detach", A, attachment], 1, &parts);
    let parts = [DEFAULT_INSTANCE, "is the default instance of this server"];
    fails(&home, &["instance", "terminate", DEFAULT_INSTANCE], 1, &parts);
    for command in [
        &["instance", "attach", B, attachment][..],
        &["instance", "detach", B, attachment],
        &["instance", "terminate", B],
    ] {
        fails(&home, command, 1, &[&format!("there is no instance `{B}`"), "imds instance list"]);
    }
    fails(&home, &["instance", "launch", "--id", A], 1, &["there is an instance", "another id"]);
    assert_eq!(Heard::at(server.address()), Heard::instance(DEFAULT_INSTANCE));
}

/// Starts a server that lacks a capability.
fn start_without(home: &Home, capability: &str) -> Running {
    let without = [format!("--bounding-set=-{capability}"), format!("--inh-caps=-{capability}")];
    let mut setpriv = Command::new("setpriv");
    setpriv.args(without).arg(env!("CARGO_BIN_EXE_imds"));
    let serve = ["serve", "--manage", "127.0.0.1:0", "--listen", "127.0.0.1:0"];
    Running::of(home.around(setpriv, &serve))
}

#[test]
fn a_missing_privilege_is_named() {
    alone(|| {
        let home = Home::new();
        let blue = Machine::made("blue");
        ip("link add tap0 type veth peer name tap1");
        let server = start_without(&home, "sys_admin");
        home.result(&["instance", "launch", "--id", A]);
        let parts = ["entering a network namespace", "needs root", "CAP_SYS_ADMIN"];
        fails(&home, &["instance", "attach", A, "netns=blue"], 1, &parts);
        let launch = ["instance", "launch", "--id", B, "--driver", "netns"];
        fails(&home, &launch, 1, &[B, "needs root", "CAP_SYS_ADMIN"]);
        assert_eq!(home.result(&["instance", "list", "--json"]).lines().count(), 2);
        let journal = home.state().join("hosts");
        assert!(!journal.exists() || journal.read_dir().unwrap().next().is_none());
        // What was asked for all the same is told, and served once the server may.
        let ended: Ended = home.run(&["instance", "attach", A, "netns=blue", "--later"]);
        assert!(ended.stderr.contains("CAP_SYS_ADMIN"), "{ended:?}");
        server.stop();
        let server = start_without(&home, "net_bind_service");
        assert_eq!(blue.hears(EC2[0]), Heard::NoConnection);
        let parts = ["interface `tap0`", "169.254.169.254:80", "root", "CAP_NET_BIND_SERVICE"];
        fails(&home, &["instance", "attach", A, "interface=tap0"], 1, &parts);
        server.stop();
        let _server = home.start(&[]);
        assert_eq!(blue.hears(EC2[0]), Heard::instance(A));
    });
}
