//! Word of links and namespaces that come and go.

use std::process::Command;
use std::time::Duration;

use network::{LinkEvent, LinkIndex, LinkWatch, NameEvent, NameWatch, Namespace, Netlink, VethEnd};
use rustix::buffer::spare_capacity;
use rustix::event::{PollFlags, Timespec, epoll};

use crate::alone::alone;
use crate::readiness::is_ready;
use crate::waiting::{PATIENCE, wait_until};

/// Both ends in the namespace of `netlink`.
fn add_veth(netlink: &mut Netlink, near: &str, far: &str, far_namespace: &Namespace) -> LinkIndex {
    let [near, far] = [near, far].map(|name| VethEnd { name, mac: None });
    netlink.add_veth(near, far, far_namespace).unwrap();
    netlink.link_named(near.name).unwrap().unwrap().index
}

/// Reads until there is an event that `is_wanted`.
fn wait_for(watch: &mut LinkWatch, is_wanted: impl Fn(&LinkEvent) -> bool) {
    loop {
        assert!(is_ready(&*watch, PollFlags::IN, PATIENCE), "no event");
        if watch.read().unwrap().iter().any(&is_wanted) {
            return;
        }
    }
}

#[test]
fn links_that_appear_change_and_vanish_are_told() {
    alone(|| {
        let namespaces = [(); 2].map(|()| Namespace::unnamed().unwrap());
        let mut netlink = namespaces[0].run(Netlink::open).unwrap().unwrap();
        let mut watches =
            namespaces.each_ref().map(|namespace| namespace.run(LinkWatch::open).unwrap().unwrap());
        for watch in &mut watches {
            assert_eq!(watch.read().unwrap(), []);
            assert!(!is_ready(&*watch, PollFlags::IN, Duration::ZERO));
        }
        let index = add_veth(&mut netlink, "near0", "far0", &namespaces[1]);
        for (watch, name) in watches.iter_mut().zip(["near0", "far0"]) {
            wait_for(watch, |event| matches!(event, LinkEvent::Changed(link) if link.name == name));
        }
        netlink.set_up(index).unwrap();
        let is_up = |event: &LinkEvent| matches!(event, LinkEvent::Changed(link) if link.index == index && link.is_up);
        wait_for(&mut watches[0], is_up);
        netlink.delete_link(index).unwrap();
        let gone = LinkEvent::Vanished { index, name: "near0".into() };
        wait_for(&mut watches[0], |event| *event == gone);
        wait_for(
            &mut watches[1],
            |event| matches!(event, LinkEvent::Vanished { name, .. } if name == "far0"),
        );
    });
}

#[test]
fn a_port_that_leaves_its_bridge_has_not_vanished() {
    alone(|| {
        let mut netlink = Netlink::open().unwrap();
        let here = Namespace::current().unwrap();
        let index = add_veth(&mut netlink, "near0", "far0", &here);
        let ip = |arguments: &str| {
            let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
            assert!(status.success(), "ip {arguments}");
        };
        ip("link add br0 type bridge");
        let bridge = netlink.link_named("br0").unwrap().unwrap();
        assert_eq!(bridge.kind.as_deref(), Some("bridge"));
        let mut watch = LinkWatch::open().unwrap();
        ip("link set near0 master br0");
        let port = netlink.link_named("near0").unwrap().unwrap();
        assert_eq!(port.master, Some(bridge.index));
        ip("link set near0 nomaster");
        let events = watch.read().unwrap();
        let of_port = |event: &&LinkEvent| match event {
            LinkEvent::Changed(link) => link.index == index,
            LinkEvent::Vanished { index: gone, .. } => *gone == index,
            LinkEvent::Lost => true,
        };
        let of_port: Vec<_> = events.iter().filter(of_port).collect();
        assert!(!of_port.is_empty());
        for event in of_port {
            assert!(matches!(event, LinkEvent::Changed(_)), "{event:?}");
        }
    });
}

#[test]
fn events_that_are_lost_are_told() {
    alone(|| {
        let mut netlink = Netlink::open().unwrap();
        let here = Namespace::current().unwrap();
        let mut watch = LinkWatch::open().unwrap();
        // More than the kernel keeps for one who does not read.
        let index = add_veth(&mut netlink, "near0", "far0", &here);
        for number in 0..2000 {
            netlink.rename(index, &format!("near{number}")).unwrap();
        }
        let mut has_lost = false;
        loop {
            let events = watch.read().unwrap();
            has_lost |= events.contains(&LinkEvent::Lost);
            if events.is_empty() {
                break;
            }
        }
        assert!(has_lost);
        // From here on, it tells again.
        netlink.delete_link(index).unwrap();
        wait_for(&mut watch, |event| matches!(event, LinkEvent::Vanished { .. }));
    });
}

/// Reads names until there is an event, and returns all.
fn next(watch: &mut NameWatch) -> Vec<NameEvent> {
    wait_until("an event of a name", || {
        assert!(is_ready(&*watch, PollFlags::PRI, PATIENCE), "the mount table never changes");
        Some(watch.read().unwrap()).filter(|events| !events.is_empty())
    })
}

#[test]
fn names_that_appear_and_vanish_are_told() {
    alone(|| {
        // Before there is a directory.
        let mut watch = NameWatch::open().unwrap();
        assert_eq!(watch.read().unwrap(), []);
        assert!(!is_ready(&watch, PollFlags::PRI, Duration::ZERO));
        let appeared = |name: &str, namespace: &Namespace| NameEvent::Appeared {
            name: name.into(),
            identity: namespace.identity(),
        };
        let vanished = |name: &str, namespace: &Namespace| NameEvent::Vanished {
            name: name.into(),
            identity: namespace.identity(),
        };
        let ours = Namespace::create("ours").unwrap();
        assert_eq!(next(&mut watch), [appeared("ours", &ours)]);
        let ip_netns = |arguments: [&str; 2]| {
            let status = Command::new("ip").arg("netns").args(arguments).status().unwrap();
            assert!(status.success(), "{arguments:?}");
        };
        ip_netns(["add", "theirs"]);
        let theirs = Namespace::named("theirs").unwrap();
        assert_eq!(next(&mut watch), [appeared("theirs", &theirs)]);
        ip_netns(["delete", "ours"]);
        assert_eq!(next(&mut watch), [vanished("ours", &ours)]);
        // A name that another namespace has by the time one looks.
        Namespace::delete("theirs").unwrap();
        let second = Namespace::create("theirs").unwrap();
        assert_eq!(next(&mut watch), [vanished("theirs", &theirs), appeared("theirs", &second)]);
        Namespace::delete("theirs").unwrap();
        assert_eq!(next(&mut watch), [vanished("theirs", &second)]);
        assert_eq!(watch.read().unwrap(), []);
    });
}

#[test]
fn a_file_is_not_told_of_until_it_is_a_namespace() {
    alone(|| {
        Namespace::create("first").unwrap();
        let mut watch = NameWatch::open().unwrap();
        let events = watch.read().unwrap();
        assert!(matches!(&events[..], [NameEvent::Appeared { name, .. }] if name == "first"));
        // The first step of `ip netns add`, and the last.
        let path = Namespace::path_of("second").unwrap();
        std::fs::File::create(&path).unwrap();
        assert_eq!(watch.read().unwrap(), []);
        let mount = Command::new("mount").args(["--bind", "/proc/self/ns/net"]).arg(&path).status();
        assert!(mount.unwrap().success());
        let identity = Namespace::current().unwrap().identity();
        assert_eq!(next(&mut watch), [NameEvent::Appeared { name: "second".into(), identity }]);
    });
}

#[test]
fn names_can_be_waited_for_by_edges() {
    alone(|| {
        let mut watch = NameWatch::open().unwrap();
        // As runtimes wait.
        let queue = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let flags = epoll::EventFlags::PRI | epoll::EventFlags::ET;
        epoll::add(&queue, &watch, epoll::EventData::new_u64(0), flags).unwrap();
        let is_told = |limit| {
            let mut events = Vec::with_capacity(4);
            let limit = Timespec::try_from(limit).unwrap();
            epoll::wait(&queue, spare_capacity(&mut events), Some(&limit)).unwrap();
            events.iter().any(|event| { event.flags }.contains(epoll::EventFlags::PRI))
        };
        assert!(!is_told(Duration::ZERO));
        for name in ["first", "second"] {
            Namespace::create(name).unwrap();
            let events = wait_until("an event of a name", || {
                assert!(is_told(PATIENCE), "the mount table never changes");
                Some(watch.read().unwrap()).filter(|events| !events.is_empty())
            });
            assert!(
                matches!(&events[..], [NameEvent::Appeared { name: told, .. }] if told == name)
            );
        }
    });
}
