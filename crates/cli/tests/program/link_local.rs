//! The addresses of EC2, `169.254.169.254` and `fd00:ec2::254`, in a network namespace of each test.

use rustix::process::Signal;

use crate::namespace::Namespace;
use crate::running::{DEFAULT_INSTANCE, Ended, Home, Running, output_of, refused};

const ADDRESSES: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];

const SERVE: [&str; 6] =
    ["serve", "--link-local", "--listen", "127.0.0.1:0", "--manage", "127.0.0.1:0"];

/// Starts a server inside.
fn start(namespace: &Namespace, home: &Home) -> Running {
    Running::of(namespace.imds(home, &SERVE))
}

/// Which of the addresses are on the loopback interface.
fn addresses(namespace: &Namespace, home: &Home) -> Vec<&'static str> {
    let show = ["ip", "-o", "address", "show", "dev", "lo"];
    let shown = output_of(namespace.inside(home, &show));
    let has = |address: &&str| shown.split([' ', '/']).any(|word| word == *address);
    ADDRESSES.into_iter().filter(has).collect()
}

/// Asks for the instance's id, with `imds get`.
fn instance_id(namespace: &Namespace, home: &Home, where_from: &[&str]) -> Ended {
    let get = ["get", "latest/meta-data/instance-id"];
    Ended::of(namespace.imds(home, &[&get[..], where_from].concat()))
}

#[test]
fn the_addresses_are_added_served_and_removed() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    assert!(addresses(&namespace, &home).is_empty());
    let server = start(&namespace, &home);
    assert_eq!(addresses(&namespace, &home), ADDRESSES);
    let said = server.said();
    for url in ["http://169.254.169.254:80/", "http://[fd00:ec2::254]:80/"] {
        assert!(said.contains(url), "{said}");
    }
    // EC2's address is where clients look when nobody tells them otherwise.
    let found = instance_id(&namespace, &home, &[]);
    assert_eq!(found.stdout, DEFAULT_INSTANCE, "{found:?}");

    let over_ipv6 = ["--endpoint", "http://[fd00:ec2::254]"];
    assert_eq!(instance_id(&namespace, &home, &over_ipv6).code, Some(1));
    let options = ["instance", "options", DEFAULT_INSTANCE, "--http-protocol-ipv6", "enabled"];
    home.result(&options);
    let found = instance_id(&namespace, &home, &over_ipv6);
    assert_eq!(found.stdout, DEFAULT_INSTANCE, "{found:?}");

    let (status, said) = server.end(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(addresses(&namespace, &home).is_empty());
}

#[test]
fn where_something_answers_already_it_does_not_start() {
    let (home, other) = (Home::new(), Home::new());
    let namespace = Namespace::new(&home);
    let server = start(&namespace, &home);
    let parts = ["169.254.169.254:80", "already answers", "--link-local"];
    refused(namespace.imds(&other, &SERVE), 1, &parts);
    // Who was there first has lost nothing.
    assert_eq!(addresses(&namespace, &home), ADDRESSES);
    let found = instance_id(&namespace, &home, &[]);
    assert_eq!(found.stdout, DEFAULT_INSTANCE, "{found:?}");
    server.stop();
}

#[test]
fn a_start_that_fails_later_leaves_no_address_behind() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    let without = SERVE.map(|word| if word == "--link-local" { "--store=memory" } else { word });
    let server = Running::of(namespace.imds(&home, &without));
    let taken = server.management.to_string();
    let other = Home::new();
    let mut arguments = SERVE;
    arguments[5] = &taken;
    refused(namespace.imds(&other, &arguments), 1, &[&taken]);
    assert!(addresses(&namespace, &home).is_empty());
}

#[test]
fn addresses_that_a_killed_server_left_are_taken_over() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    start(&namespace, &home).kill();
    assert_eq!(addresses(&namespace, &home), ADDRESSES);
    let server = start(&namespace, &home);
    let found = instance_id(&namespace, &home, &[]);
    assert_eq!(found.stdout, DEFAULT_INSTANCE, "{found:?}");
    server.stop();
    assert!(addresses(&namespace, &home).is_empty());
}

#[test]
fn without_the_privilege_it_says_what_it_needs() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    let without = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
    let imds = [env!("CARGO_BIN_EXE_imds")];
    let command = namespace.inside(&home, &[&without[..], &imds, &SERVE].concat());
    refused(command, 1, &["169.254.169.254", "root", "CAP_NET_ADMIN"]);
}
