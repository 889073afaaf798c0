//! Namespaces: made, found, entered, and gone again.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use network::{Link, Namespace, NamespaceFault, Netlink, VethEnd};

use crate::alone::{alone, give_up_capabilities};

#[test]
fn a_namespace_is_another_one_than_ours_and_has_a_loopback_interface() {
    alone(|| {
        let here = Namespace::current().unwrap();
        let there = Namespace::unnamed().unwrap();
        assert_ne!(here.identity(), there.identity());
        assert_eq!(here.identity(), Namespace::current().unwrap().identity());
        let inside = there.run(|| Namespace::current().unwrap().identity()).unwrap();
        assert_eq!(inside, there.identity());
        let links = there.run(|| Netlink::open().unwrap().links().unwrap()).unwrap();
        let names: Vec<_> = links.iter().map(|link| (link.name.as_str(), link.is_up)).collect();
        assert!(names.contains(&("lo", true)), "{links:?}");
    });
}

#[test]
fn what_is_opened_inside_stays_there() {
    alone(|| {
        let there = Namespace::unnamed().unwrap();
        let listener = there.run(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap().unwrap();
        let address = listener.local_addr().unwrap();
        assert!(there.run(|| TcpStream::connect(address)).unwrap().is_ok());
        assert!(TcpStream::connect(address).is_err());
        let mut netlink = there.run(Netlink::open).unwrap().unwrap();
        assert!(is_up(&netlink.links().unwrap(), "lo"));
        assert!(!is_up(&Netlink::open().unwrap().links().unwrap(), "lo"));
        let child = there.run(|| Command::new("readlink").arg("/proc/self/ns/net").output());
        let output = child.unwrap().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        let ours = std::fs::read_link("/proc/self/ns/net").unwrap();
        assert!(shown.starts_with("net:[") && shown.trim() != ours.to_str().unwrap(), "{shown}");
    });
}

fn is_up(links: &[Link], name: &str) -> bool {
    links.iter().any(|link| link.name == name && link.is_up)
}

#[test]
fn only_network_namespaces_are_opened() {
    alone(|| {
        let process = std::process::id();
        let of_process = format!("/proc/{process}/ns/net");
        let opened = Namespace::open(Path::new(&of_process)).unwrap();
        assert_eq!(opened.identity(), Namespace::current().unwrap().identity());
        File::create("/run/empty").unwrap();
        // To open this pipe would be to wait for someone to write to it.
        assert!(Command::new("mkfifo").arg("/run/pipe").status().unwrap().success());
        for other in [
            "/run/empty",
            "/run/pipe",
            "/run",
            "/dev/null",
            "/proc/self/ns/mnt",
            "/proc/self/ns/uts",
        ] {
            let fault = Namespace::open(Path::new(other)).unwrap_err();
            assert!(matches!(fault, NamespaceFault::NotANamespace(_)), "{other}: {fault:?}");
            assert!(fault.to_string().contains(other), "{fault}");
        }
        let fault = Namespace::open(Path::new("/run/netns/absent")).unwrap_err();
        assert!(matches!(fault, NamespaceFault::Absent(_)), "{fault:?}");
        assert!(fault.to_string().contains("ip netns list"), "{fault}");
    });
}

#[test]
fn a_panic_inside_is_seen_outside() {
    alone(|| {
        let there = Namespace::unnamed().unwrap();
        let outcome = std::panic::catch_unwind(|| there.run(|| panic!("as it should")));
        assert_eq!(*outcome.unwrap_err().downcast::<&str>().unwrap(), "as it should");
    });
}

/// Has the test, started once more by itself, become another program in the namespace `there`.
const BECOME: &str = "OPENIMDS_TEST_BECOME";

#[test]
fn the_process_becomes_another_program_inside() {
    alone(|| {
        if std::env::var_os(BECOME).is_some() {
            let mut program = Command::new("sh");
            program.args(["-c", "echo $$; readlink /proc/self/ns/net; ls /sys/class/net"]);
            panic!("{}", Namespace::named("there").unwrap().exec(&mut program));
        }
        let there = Namespace::create("there").unwrap();
        let [near, far] = ["near0", "far0"].map(|name| VethEnd { name, mac: None });
        Netlink::open().unwrap().add_veth(near, far, &there).unwrap();
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(std::env::args_os().skip(1)).env(BECOME, "1");
        let again = again.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let process = again.id();
        let output = again.wait_with_output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        // In front is what the test's harness says before it runs a test.
        let lines: Vec<_> = said.lines().collect();
        let start = lines.iter().position(|line| *line == process.to_string()).unwrap();
        assert_eq!(lines[start + 1], there.identity().to_string(), "{said}");
        // What is in /sys is what is in the namespace; some systems add links to each.
        assert!(lines[start + 2..].contains(&"far0"), "{said}");
        assert!(!lines[start + 2..].contains(&"near0"), "{said}");
    });
}

#[test]
fn a_program_that_cannot_be_run_leaves_us_where_we_were() {
    alone(|| {
        let there = Namespace::unnamed().unwrap();
        let seen = || {
            let links = std::fs::read_dir("/sys/class/net").unwrap().count();
            (Namespace::current().unwrap().identity(), links)
        };
        let before = seen();
        let fault = there.exec(&mut Command::new("/run/absent"));
        assert!(matches!(fault, NamespaceFault::Program { .. }), "{fault:?}");
        assert!(fault.to_string().contains("`/run/absent`"), "{fault}");
        assert_eq!(seen(), before);
    });
}

#[test]
fn without_the_privilege_it_says_what_it_needs() {
    alone(|| {
        let there = Namespace::create("there").unwrap();
        // Capabilities are a thread's own.
        let faults = std::thread::scope(|scope| {
            let without = || {
                give_up_capabilities();
                let entering = there.run(|| ()).unwrap_err();
                let making = Namespace::create("another").unwrap_err();
                let deleting = Namespace::delete("there").unwrap_err();
                [entering, making, deleting]
            };
            scope.spawn(without).join().unwrap()
        });
        for fault in faults {
            assert!(matches!(fault, NamespaceFault::PermissionDenied { .. }), "{fault:?}");
            assert!(fault.to_string().contains("needs root, or CAP_SYS_ADMIN"), "{fault}");
        }
        assert!(Namespace::named("there").is_ok());
        assert!(Namespace::named("another").is_err());
    });
}
