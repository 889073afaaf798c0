use model::Switch;
use proptest::prelude::*;

use super::*;
use crate::canonical::Path;

fn look_up<'a>(instance: &'a Instance, path: &str) -> Option<Value<'a>> {
    find(instance, Path::parse(path.as_bytes()).unwrap().segments())
}

fn read(instance: &Instance, path: &str) -> Option<String> {
    let value = look_up(instance, path)?;
    if let Value::Text(text) = value { Some(text.into_owned()) } else { Some(format!("{value:?}")) }
}

/// An instance with something of everything.
fn full() -> Instance {
    let mut instance = Instance::default_instance();
    instance.options.instance_metadata_tags = Switch::Enabled;
    instance.tags.insert("Name".parse().unwrap(), "web 1".into());
    instance.tags.insert("Empty".parse().unwrap(), "".into());
    instance.hibernation = Some(Switch::Enabled);
    instance.kernel_id = "aki-0123abcd".parse().ok();
    instance.ramdisk_id = "ari-0123abcd".parse().ok();
    instance.ancestor_ami_ids = vec!["ami-0aaaa0000aaaa0000".parse().unwrap()].into();
    instance.product_codes = vec!["3iplms73etrdhxdepv72l6ywj".parse().unwrap()].into();
    instance.placement.group_name = "cluster".parse().ok();
    instance.placement.host_id = "h-0da999999f9999fb9".parse().ok();
    instance.placement.partition_number = Some(1);
    instance.events.rebalance = "2020-11-05T08:22:00Z".parse().ok();
    instance.events.target_lifecycle_state = "InService".parse().ok();
    instance.events.spot = Some(model::SpotInterruption {
        action: model::SpotAction::Terminate,
        time: "2017-09-18T08:22:00Z".parse().unwrap(),
    });
    for interface in &mut instance.interfaces {
        interface.network_card = Some(0);
        interface.ipv6 = vec!["2001:db8:1234:1a00::10".parse().unwrap()].into();
        interface.ipv4_prefixes = vec!["10.0.1.16/28".parse().unwrap()].into();
        interface.ipv6_prefixes = vec!["2001:db8:1234:1a00:1::/80".parse().unwrap()].into();
        interface.subnet_ipv6_cidrs = vec!["2001:db8:1234:1a00::/64".parse().unwrap()].into();
        interface.vpc_ipv6_cidrs = vec!["2001:db8:1234:1a00::/56".parse().unwrap()].into();
    }
    instance
}

/// Fetches every name that is listed at or below `path`; returns how many there were.
fn crawl(instance: &Instance, path: &str) -> usize {
    let listing = read(instance, path).unwrap_or_else(|| panic!("{path} is listed"));
    listing
        .lines()
        .map(|name| match (path, name.split_once('=')) {
            ("/", _) => crawl(instance, &format!("/{name}/")),
            (_, Some((index, _))) if path.ends_with("public-keys/") => {
                crawl(instance, &format!("{path}{index}/"))
            }
            _ if name.ends_with('/') => crawl(instance, &format!("{path}{name}")),
            _ if name == "user-data" => 1,
            _ if matches!(name, "meta-data" | "dynamic") => {
                crawl(instance, &format!("{path}{name}/"))
            }
            _ => {
                assert!(look_up(instance, &format!("{path}{name}")).is_some(), "{path}{name}");
                1
            }
        })
        .sum()
}

#[test]
fn every_listed_name_can_be_fetched() {
    assert!(crawl(&full(), "/") > 1000);
    crawl(&Instance::default_instance(), "/");
    crawl(&Instance::described(Instance::default_id()), "/");
}

#[test]
fn the_table_stands_in_listing_order() {
    fn check(nodes: &[Node]) {
        let names: Vec<_> = nodes
            .iter()
            .filter_map(|node| match (&node.name, &node.kind) {
                (Name::Fixed(name), Kind::Directory(_)) => Some(format!("{name}/")),
                (Name::Fixed(name), Kind::Leaf(..)) => Some((*name).to_owned()),
                (Name::Labelled(..) | Name::Each { .. }, _) => None,
            })
            .collect();
        assert!(names.is_sorted(), "{names:?}");
        for node in nodes {
            if let Kind::Directory(nodes) = node.kind {
                check(nodes);
            }
        }
    }
    check(categories::META_DATA);
}

#[test]
fn values_of_a_full_instance() {
    let instance = full();
    let interface = "/latest/meta-data/network/interfaces/macs/02:29:96:8f:6a:2d";
    for (path, value) in [
        ("/latest/meta-data/public-keys/", "0=my-key"),
        ("/latest/meta-data/tags/instance/", "Empty\nName"),
        ("/latest/meta-data/tags/instance/Empty", ""),
        ("/latest/meta-data/hibernation/configured", "true"),
        ("/latest/meta-data/spot/", "instance-action\ntermination-time"),
        ("/latest/meta-data/placement/partition-number", "1"),
        (&format!("{interface}/ipv4-associations/203.0.113.25"), "10.0.1.10"),
        (&format!("{interface}/subnet-ipv6-cidr-blocks"), "2001:db8:1234:1a00:0:0:0:0/64"),
        (&format!("{interface}/ipv6s"), "2001:db8:1234:1a00::10"),
        ("/latest/dynamic/", "fws/\ninstance-identity/"),
        ("/latest/dynamic/instance-identity", "signature\nrsa2048\ndocument\npkcs7"),
    ] {
        assert_eq!(read(&instance, path).as_deref(), Some(value), "{path}");
    }
}

#[test]
fn old_roots_show_what_there_was() {
    let instance = Instance::default_instance();
    assert_eq!(read(&instance, "/1.0/").as_deref(), Some("meta-data\nuser-data"));
    assert_eq!(
        read(&instance, "/1.0/meta-data/").as_deref(),
        Some(
            "ami-id\nami-launch-index\nami-manifest-path\nhostname\ninstance-id\nlocal-ipv4\n\
             profile\npublic-keys/\nreservation-id\nsecurity-groups"
        )
    );
    for (path, is_there) in [
        ("/1.0/meta-data/mac", false),
        ("/2009-04-04/meta-data/mac", false),
        ("/2011-01-01/meta-data/mac", true),
        ("/2011-01-01/meta-data/iam/", false),
        ("/2012-01-12/meta-data/iam/", true),
        ("/2008-09-01/dynamic/", false),
        ("/2009-04-04/dynamic/", true),
        ("/2009-04-04/meta-data/network/", false),
        ("/2030-01-01/", false),
    ] {
        assert_eq!(look_up(&instance, path).is_some(), is_there, "{path}");
    }
}

#[test]
fn absent_things_are_neither_listed_nor_found() {
    let bare = Instance::described(Instance::default_id());
    let listing = read(&bare, "/latest/meta-data/").unwrap();
    for name in ["iam", "public-keys", "tags", "spot", "public-ipv4", "autoscaling", "hibernation"]
    {
        assert!(!listing.contains(name), "{name}");
        assert!(look_up(&bare, &format!("/latest/meta-data/{name}")).is_none(), "{name}");
    }
    assert!(look_up(&bare, "/latest/user-data").is_none());
    assert_eq!(read(&bare, "/latest").unwrap(), "dynamic\nmeta-data\nuser-data");
}

#[test]
fn nothing_is_below_a_leaf() {
    let instance = full();
    for path in [
        "/latest/meta-data/instance-id/x",
        "/latest/user-data/x",
        "/latest/meta-data/tags/instance/Name/x",
        "/latest/meta-data/iam/security-credentials/example-role/x",
        "/latest/meta-data/public-keys/0=my-key",
    ] {
        assert!(look_up(&instance, path).is_none(), "{path}");
    }
}

proptest! {
    #[test]
    fn no_path_makes_it_panic(path in "(/[a-z0-9:=./-]{0,12}){0,8}") {
        let instance = full();
        let _ = read(&instance, &path);
    }
}
