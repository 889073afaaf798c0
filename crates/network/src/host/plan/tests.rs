use super::*;

const INSTANCE: &str = "i-1234567890abcdef0";

fn host(ipv4: Option<&str>, ipv6: &[&str], has_container: bool) -> Host {
    Host {
        instance: INSTANCE.parse().unwrap(),
        mac: "02:29:96:8f:6a:2d".parse().unwrap(),
        ipv4: ipv4.map(|ipv4| ipv4.parse().unwrap()),
        ipv6: ipv6.iter().map(|ipv6| ipv6.parse().unwrap()).collect(),
        has_container,
    }
}

/// A room's addresses and routes, as text.
fn shown(plan: &Plan, place: Place) -> (Vec<String>, Vec<String>) {
    let room = plan.rooms.iter().find(|room| room.place == place).unwrap();
    let addresses =
        room.addresses.iter().map(|(link, address)| format!("{link} {address}")).collect();
    let route = |(link, destination, gateway): &(&str, IpNet, Option<IpAddr>)| {
        let via = gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        format!("{destination}{via} on {link}")
    };
    (addresses, room.routes.iter().map(route).collect())
}

fn has_setting(plan: &Plan, place: Place, wanted: (&str, &str)) -> bool {
    let room = plan.rooms.iter().find(|room| room.place == place).unwrap();
    // The last one counts.
    let found = room.settings.iter().rev().find(|(setting, _)| *setting == wanted.0);
    found.is_some_and(|(_, value)| *value == wanted.1)
}

#[test]
fn an_instance_has_its_addresses_and_a_way_to_the_service() {
    let plan = Plan::new(&host(Some("10.0.1.10/16"), &["2001:db8::7"], false), true).unwrap();
    let names: Vec<_> = plan.rooms.iter().map(|room| room.name.as_str()).collect();
    assert_eq!(names, [INSTANCE, "i-1234567890abcdef0-imds"]);
    let (addresses, routes) = shown(&plan, Place::Instance);
    assert_eq!(addresses, ["eth0 10.0.1.10/16", "eth0 2001:db8::7/128"]);
    assert_eq!(routes, ["169.254.169.254/32 on eth0", "fd00:ec2::254/128 on eth0"]);
    let (addresses, routes) = shown(&plan, Place::Service);
    assert_eq!(addresses, ["imds0 169.254.169.254/32", "imds0 fd00:ec2::254/128"]);
    assert_eq!(routes, ["10.0.1.10/32 on imds0", "2001:db8::7/128 on imds0"]);
    assert!(!has_setting(&plan, Place::Instance, (FORWARDING_IPV4, "1")));
    let [cable] = &plan.cables[..] else { panic!("{:?}", plan.cables) };
    assert_eq!(cable.far.mac.unwrap().to_string(), "02:29:96:8f:6a:2d");
}

#[test]
fn an_instance_without_an_address_of_a_family_gets_one_to_ask_from() {
    let plan = Plan::new(&host(None, &[], false), true).unwrap();
    let (addresses, _) = shown(&plan, Place::Instance);
    assert_eq!(addresses, ["eth0 169.254.106.45/32", "eth0 fd29:968f:6a2d::1/128"]);
    let mut host = host(None, &[], false);
    for (mac, expected) in [
        ("02:00:00:00:a9:fe", "169.254.170.254/32"),
        ("02:00:00:00:00:00", "169.254.1.0/32"),
        ("02:00:00:00:ff:ff", "169.254.254.255/32"),
    ] {
        host.mac = mac.parse().unwrap();
        assert_eq!(own_ipv4(&host).to_string(), expected, "{mac}");
    }
}

#[test]
fn a_container_is_behind_the_instance() {
    let plan = Plan::new(&host(Some("10.0.1.10/16"), &[], true), true).unwrap();
    assert_eq!(plan.rooms.len(), 3);
    let (addresses, routes) = shown(&plan, Place::Container);
    assert_eq!(addresses, ["eth0 172.17.0.2/16", "eth0 fd29:968f:6a2d:1::2/64"]);
    assert_eq!(
        routes,
        ["0.0.0.0/0 via 172.17.0.1 on eth0", "::/0 via fd29:968f:6a2d:1::1 on eth0"]
    );
    let (addresses, _) = shown(&plan, Place::Instance);
    assert_eq!(addresses[2..], ["container0 172.17.0.1/16", "container0 fd29:968f:6a2d:1::1/64"]);
    let (_, routes) = shown(&plan, Place::Service);
    assert_eq!(
        routes[2..],
        [
            "172.17.0.0/16 via 10.0.1.10 on imds0",
            "fd29:968f:6a2d:1::/64 via fd29:968f:6a2d::1 on imds0"
        ]
    );
    for setting in [FORWARDING_IPV4, FORWARDING_IPV6] {
        assert!(has_setting(&plan, Place::Instance, (setting, "1")), "{setting}");
        assert!(!has_setting(&plan, Place::Service, (setting, "1")), "{setting}");
    }
}

#[test]
fn a_containers_network_is_none_that_the_instance_is_in() {
    for (own, expected) in [
        ("10.0.1.10/16", "172.17.0.1/16"),
        ("172.17.3.4/20", "10.117.0.1/16"),
        ("172.16.0.1/12", "10.117.0.1/16"),
        ("172.18.0.1/16", "172.17.0.1/16"),
        ("128.0.0.1/1", "10.117.0.1/16"),
    ] {
        let [[bridge, _], _] = container_networks(&host(Some(own), &[], true)).unwrap();
        assert_eq!(bridge.to_string(), expected, "{own}");
    }
    let fault = Plan::new(&host(Some("10.0.1.10/0"), &[], true), true).unwrap_err();
    assert!(matches!(fault, HostFault::NoContainerNetwork(_)), "{fault:?}");
    assert!(Plan::new(&host(Some("10.0.1.10/0"), &[], false), true).is_ok());
}

#[test]
fn where_there_is_no_ipv6_there_is_none_in_the_plan() {
    let plan = Plan::new(&host(Some("10.0.1.10/16"), &["2001:db8::7"], true), false).unwrap();
    for room in &plan.rooms {
        let has_ipv6 = room.addresses.iter().any(|(_, address)| address.addr().is_ipv6())
            || room.routes.iter().any(|(_, destination, _)| destination.addr().is_ipv6())
            || room.settings.iter().any(|(setting, _)| setting.starts_with("ipv6"));
        assert!(!has_ipv6, "{room:?}");
    }
}
