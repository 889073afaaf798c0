//! Names in `/run/netns`, which we share with `ip netns` of iproute2.

use std::collections::BTreeMap;
use std::fs::File;
use std::process::Command;

use network::{DIRECTORY, Namespace, NamespaceFault};

use crate::alone::alone;

/// Runs `ip netns`, which must succeed, and returns what it prints.
fn ip_netns(arguments: &[&str]) -> String {
    let output = Command::new("ip").arg("netns").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The names that `ip netns list` shows.
fn listed() -> Vec<String> {
    let mut names: Vec<_> = ip_netns(&["list"])
        .lines()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// The mounts of the directory and in it: their numbers, and where they are.
fn mounts() -> BTreeMap<String, String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of_line = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        (words[0].to_owned(), words[4].to_owned())
    };
    table.lines().map(of_line).filter(|(_, point)| point.starts_with(DIRECTORY)).collect()
}

/// Where mounts are that were not there `before`. Those of the system, out of sight under ours,
/// were.
fn mounted_since(before: &BTreeMap<String, String>) -> Vec<String> {
    let mut mounts = mounts();
    mounts.retain(|number, _| !before.contains_key(number));
    mounts.into_values().collect()
}

#[test]
fn ours_are_theirs() {
    alone(|| {
        let ours = Namespace::create("ours").unwrap();
        let other = Namespace::create("other").unwrap();
        assert_ne!(ours.identity(), other.identity());
        assert_eq!(listed(), ["other", "ours"]);
        let shown = ip_netns(&["exec", "ours", "ip", "-o", "link", "show", "up"]);
        assert!(shown.contains("lo:"), "{shown}");
        ip_netns(&["delete", "ours"]);
        let fault = Namespace::named("ours").unwrap_err();
        assert!(matches!(fault, NamespaceFault::Absent(_)), "{fault:?}");
        Namespace::delete("ours").unwrap();
        Namespace::delete("other").unwrap();
        assert!(listed().is_empty());
    });
}

#[test]
fn theirs_are_ours() {
    alone(|| {
        ip_netns(&["add", "theirs"]);
        let namespace = Namespace::named("theirs").unwrap();
        assert_ne!(namespace.identity(), Namespace::current().unwrap().identity());
        Namespace::create("ours").unwrap();
        assert_eq!(listed(), ["ours", "theirs"]);
        Namespace::delete("theirs").unwrap();
        assert_eq!(listed(), ["ours"]);
    });
}

#[test]
fn a_name_is_given_once() {
    alone(|| {
        let first = Namespace::create("one").unwrap();
        let fault = Namespace::create("one").unwrap_err();
        assert!(matches!(fault, NamespaceFault::Exists(_)), "{fault:?}");
        assert!(fault.to_string().contains("ip netns delete one"), "{fault}");
        assert_eq!(Namespace::named("one").unwrap().identity(), first.identity());
        Namespace::delete("one").unwrap();
        let second = Namespace::create("one").unwrap();
        // The first one is still held, so its numbers are not given again.
        assert_ne!(first.identity(), second.identity());
    });
}

#[test]
fn deleting_leaves_nothing_however_little_was_there() {
    alone(|| {
        let before = mounts();
        Namespace::delete("never").unwrap();
        Namespace::create("one").unwrap();
        let mut mounted = mounted_since(&before);
        mounted.sort();
        assert_eq!(mounted, [DIRECTORY, "/run/netns/one"]);
        Namespace::delete("one").unwrap();
        Namespace::delete("one").unwrap();
        // What a creation leaves that is killed half way.
        File::create(Namespace::path_of("half").unwrap()).unwrap();
        let fault = Namespace::named("half").unwrap_err();
        assert!(matches!(fault, NamespaceFault::NotANamespace(_)), "{fault:?}");
        Namespace::delete("half").unwrap();
        assert_eq!(std::fs::read_dir(DIRECTORY).unwrap().count(), 0);
        assert_eq!(mounted_since(&before), [DIRECTORY]);
    });
}

#[test]
fn names_are_given_at_the_same_time() {
    alone(|| {
        let before = mounts();
        let names: Vec<_> = (0..16).map(|number| format!("n{number:02}")).collect();
        std::thread::scope(|scope| {
            for name in &names {
                scope.spawn(|| Namespace::create(name).unwrap());
            }
        });
        assert_eq!(listed(), names);
        // The directory is mounted once, not once for each.
        let mounted = mounted_since(&before);
        let of_directory = mounted.iter().filter(|point| *point == DIRECTORY).count();
        assert_eq!((of_directory, mounted.len()), (1, 17), "{mounted:?}");
        std::thread::scope(|scope| {
            for name in &names {
                scope.spawn(|| Namespace::delete(name).unwrap());
            }
        });
        assert_eq!(std::fs::read_dir(DIRECTORY).unwrap().count(), 0);
    });
}
