//! The way from programs on this machine to the service, and what is at its end.

use std::net::IpAddr;

use crate::doctor::facts::{
    Answer, EC2_V4, EC2_V6, Endpoint, Facts, Heard, Machine, Network, Route, Served, Server, ToldBy,
};
use crate::doctor::finding::{Check, Finding, Severity};

const WAY: Check = Check {
    id: "DOC-09",
    name: "route",
    why: "a request that takes another way ends at a router that does not know the service, or at \
          another service than the one meant",
    derivation: "addresses and routes of this network namespace, and whether the kernel would send",
};

const REACHED: Check = Check {
    id: "DOC-10",
    name: "service",
    why: "this is what SDKs, CLIs and cloud-init on this machine find",
    derivation: "three requests to where programs look: a token, a read with it, a read without",
};

/// Looks at the way to the service.
pub(crate) fn way(facts: &Facts) -> Vec<Finding> {
    let Some(machine) = &facts.machine else { return Vec::new() };
    let Endpoint { url, address, told_by } = &machine.endpoint;
    if *told_by == ToldBy::Nobody {
        let what = "programs on this machine are not to be served at EC2's addresses";
        return vec![WAY.pass("machine", what)];
    }
    let Some(address) = address.map(|address| address.ip()) else {
        let reason = format!("{url} names its host: no route is looked at for a name");
        return vec![WAY.not_assessed("machine", reason)];
    };
    let found = match &machine.network {
        _ if address.is_loopback() => {
            WAY.pass(address.to_string(), format!("{address} never leaves this machine"))
        }
        Err(reason) => WAY.not_assessed(address.to_string(), reason.clone()),
        Ok(network) => match network.holders(address).next() {
            Some(name) => {
                let what = format!("{address} is an address of this machine, on `{name}`");
                WAY.pass(address.to_string(), what)
            }
            None => by_route(machine, network, address),
        },
    };
    vec![found]
}

/// Looks at the route to an address of another machine.
fn by_route(machine: &Machine, network: &Network, address: IpAddr) -> Finding {
    let fail = |what: String| WAY.fail(Severity::High, address.to_string(), what);
    let Some(route) = best(&network.routes, address) else {
        let what = format!("there is no route to {address}");
        return fail(what).mend(adding(network, address));
    };
    let shown = shown(network, route);
    if !route.is_unicast {
        let what = format!("{shown} forbids packets to {address}");
        let mend = format!("take it away, if the service is to be reached:\n  {}", removing(route));
        return fail(what).mend(mend);
    }
    if let Some(Err(reason)) = &machine.way {
        let what = format!(
            "the kernel sends nothing to {address} ({reason}), although {shown} leads \
             there"
        );
        let mend = "see what says otherwise:\n  ip rule\n  ip route show table all";
        return fail(what).mend(mend);
    }
    let answers = machine.answer.silence().is_none();
    match (route.to, answers) {
        (None, false) => {
            let what = format!("only the default route leads to {address}: {shown}");
            fail(what)
                .because(
                    "a router on the way to everywhere does not know a link-local address, and may \
                     send the request to whoever claims it",
                )
                .mend(adding(network, address))
        }
        (None, true) => {
            let what = format!("{shown} leads to {address}, which answers there");
            WAY.pass(address.to_string(), what)
        }
        (Some(_), _) => WAY.pass(address.to_string(), format!("{shown} leads to {address}")),
    }
}

/// Returns the route that the kernel takes: the one to the smallest network.
fn best(routes: &[Route], address: IpAddr) -> Option<&Route> {
    let is_of = |route: &&Route| {
        route.is_ipv6 == address.is_ipv6()
            && route.to.is_none_or(|(to, prefix)| is_within(address, to, prefix))
    };
    routes.iter().filter(is_of).max_by_key(|route| route.to.map_or(0, |(_, prefix)| prefix))
}

/// Returns whether an address is one of a network.
pub(crate) fn is_within(address: IpAddr, network: IpAddr, prefix: u8) -> bool {
    let (address, network, bits) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            (u128::from(address.to_bits()), u128::from(network.to_bits()), 32)
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let rest = u32::from(bits - prefix.min(bits));
    address.checked_shr(rest).unwrap_or(0) == network.checked_shr(rest).unwrap_or(0)
}

fn shown(network: &Network, route: &Route) -> String {
    let to = route.to.map_or_else(|| "default".to_owned(), |(to, prefix)| format!("{to}/{prefix}"));
    let via = route.via.map(|via| format!(" via {via}")).unwrap_or_default();
    let out = route.out.map(|out| format!(" dev {}", network.name_of(out))).unwrap_or_default();
    format!("the route `{to}{via}{out}`")
}

fn removing(route: &Route) -> String {
    let family = if route.is_ipv6 { "-6 " } else { "" };
    let to = route.to.map_or_else(|| "default".to_owned(), |(to, prefix)| format!("{to}/{prefix}"));
    format!("ip {family}route del {to}")
}

/// How a machine is given a route, for now and by DHCP.
fn adding(network: &Network, address: IpAddr) -> String {
    let interface = network.first_outward().map_or("eth0", |link| link.name.as_str());
    if address.is_ipv6() {
        return format!(
            "now:\n  ip -6 route add {address}/128 dev {interface}\nat every boot, have router \
             advertisements, or cloud-init's network configuration, bring that route"
        );
    }
    format!(
        "now:\n  ip route add {address}/32 dev {interface}\nat every boot, have DHCP hand out option \
         121 (clients that get it ignore option 3, so it\nmust bring the default route too); \
         dnsmasq:\n  \
         dhcp-option=option:classless-static-route,{address}/32,0.0.0.0,0.0.0.0/0,ROUTER"
    )
}

/// Looks at what programs on this machine find.
pub(crate) fn reached(facts: &Facts) -> Vec<Finding> {
    let Some(machine) = &facts.machine else { return Vec::new() };
    let served = match &facts.server {
        Server::Served(served) if served.is_here => Some(served.as_ref()),
        Server::Absent { .. }
        | Server::Closed { .. }
        | Server::Served(_)
        | Server::Silent { .. } => None,
    };
    let Machine { endpoint, answer, .. } = machine;
    let found = match (endpoint.told_by, served) {
        (ToldBy::Nobody, served) => beside(endpoint, answer, served),
        (ToldBy::Default | ToldBy::Flag | ToldBy::Variable, _) => {
            let own = endpoint.address.and_then(|address| served?.instance_at(address));
            meant(endpoint, answer, own.map(|id| id.to_string()).as_deref())
        }
    };
    vec![found]
}

/// A server of ours runs here, but not for programs of this machine, as far as they know.
fn beside(endpoint: &Endpoint, answer: &Answer, served: Option<&Served>) -> Finding {
    let url = &endpoint.url;
    if answer.silence().is_some() {
        let what = format!(
            "programs on this machine find no service at {url}, unless they are told: \
             eval \"$(imds env)\""
        );
        return REACHED.pass(url.clone(), what);
    }
    let who = answer.id().map_or_else(|| "another".to_owned(), |id| format!("that of {id}"));
    let what = format!("a metadata service answers at {url} that is not this server's: {who}");
    let attached = served
        .is_some_and(|served| served.diagnosis.sources > 0 || served.serving().next().is_some());
    if !attached {
        return REACHED.pass(url.clone(), what);
    }
    REACHED
        .fail(Severity::Medium, url.clone(), what)
        .because(
            "this machine is an instance itself. A guest of it whose packets are forwarded, and not \
             taken in here, reaches that service, and gets the credentials of this machine",
        )
        .mend(
            "keep packets of guests from being forwarded there:\n  iptables -I FORWARD -d \
             169.254.169.254 -j DROP\n  ip6tables -I FORWARD -d fd00:ec2::254 -j DROP",
        )
}

/// A service is meant to answer here; `own` is the instance that a server of ours has here.
fn meant(endpoint: &Endpoint, answer: &Answer, own: Option<&str>) -> Finding {
    let url = &endpoint.url;
    let fail = |what: String| REACHED.fail(Severity::High, url.clone(), what);
    if let Some(reason) = answer.silence() {
        return fail(format!("{url} does not answer: {reason}")).mend(starting(endpoint));
    }
    if let Some(finding) = without_token(endpoint, answer) {
        return finding;
    }
    let found = answer.id().unwrap_or("an instance that does not tell its id");
    if let Some(own) = own.filter(|own| *own != found) {
        return fail(format!(
            "{url} is {own}'s, and another service answers there: that of {found}"
        ))
        .because(
            "programs that look for the service of this machine get metadata and credentials \
                 of someone else's: of the EC2 instance beneath, or of whoever redirects packets",
        )
        .mend("see who redirects packets:\n  nft list ruleset\n  ss -ltnp");
    }
    let tokens = match answer.tokenless.status() {
        Some(200) => "IMDSv1 is served too",
        Some(401) => "tokens are required",
        Some(_) | None => "a read without a token is refused",
    };
    REACHED.pass(url.clone(), format!("{url} answers for {found}; {tokens}"))
}

/// Returns why nobody gets a token here, or nothing for one.
fn without_token(endpoint: &Endpoint, answer: &Answer) -> Option<Finding> {
    let url = &endpoint.url;
    let fail = |what: String| REACHED.fail(Severity::High, url.clone(), what);
    let foreign = "see who listens there, and whether a proxy stands between:\n  ss -ltnp";
    Some(match (&answer.token, &answer.instance_id) {
        (Heard::Nothing(reason), _) => fail(format!(
            "{url} answers, but its answer to a token request does not arrive ({reason})"
        ))
        .because(
            "an answer to a token request may travel as far as the instance's hop limit says. This \
             is a container, or a machine behind another, one hop further away than that",
        )
        .mend(
            "if programs here may have tokens, raise the limit where the instance is governed:\n  \
             imds instance options ID --http-put-response-hop-limit 2\n  aws ec2 \
             modify-instance-metadata-options --instance-id ID --http-put-response-hop-limit 2",
        ),
        (Heard::Status(403, _), _) => fail(format!(
            "{url} answers 403: metadata is turned off for this instance, or refused to it"
        ))
        .mend("turn it on where the instance is governed:\n  imds instance options ID --http-endpoint enabled"),
        (Heard::Status(200, _), Some(Heard::Status(200, _))) => return None,
        (Heard::Status(200, _), None) => fail(format!(
            "{url} answers a token request with something else: it is no IMDSv2 service"
        ))
        .mend(foreign),
        (Heard::Status(200, _), Some(Heard::Status(status, _))) => {
            fail(format!("{url} grants a token, and answers a read with it {status}")).mend(foreign)
        }
        (Heard::Status(200, _), Some(Heard::Nothing(reason))) => {
            fail(format!("{url} grants a token, and does not answer a read with it: {reason}"))
                .mend(foreign)
        }
        (Heard::Status(status, _), _) => fail(format!(
            "{url} answers a token request with {status}: it is no IMDSv2 service"
        ))
        .mend(foreign),
    })
}

fn starting(endpoint: &Endpoint) -> String {
    let is_ec2 = |ip: IpAddr| ip == IpAddr::V4(EC2_V4) || ip == IpAddr::V6(EC2_V6);
    match endpoint.told_by {
        ToldBy::Variable => {
            "start the server there, or forget the variable:\n  imds serve\n  unset \
                             AWS_EC2_METADATA_SERVICE_ENDPOINT"
                .to_owned()
        }
        ToldBy::Default | ToldBy::Flag | ToldBy::Nobody => {
            match endpoint.address.map(|address| address.ip()) {
                Some(ip) if is_ec2(ip) => {
                    "serve this machine, as root, or see where its host attaches it:\n  imds serve \
                     --link-local\n  imds instance list   (on the host)"
                        .to_owned()
                }
                Some(_) | None => "start the server there:\n  imds serve".to_owned(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Status;
    use crate::doctor::made_up::{self, ID, answer, only, silence};

    /// A guest with these routes, whose service answers or not.
    fn guest(routes: Vec<Route>, answers: bool) -> Facts {
        let mut machine = made_up::machine();
        machine.network.as_mut().unwrap().routes = routes;
        machine.answer = if answers { answer(200, ID, 401) } else { silence() };
        Facts { machine: Some(machine), ..made_up::facts() }
    }

    fn route(to: Option<(&str, u8)>) -> Route {
        Route {
            to: to.map(|(to, prefix)| (to.parse().unwrap(), prefix)),
            is_ipv6: false,
            via: to.is_none().then_some([10, 0, 0, 1].into()),
            out: Some(2),
            is_unicast: true,
        }
    }

    #[test]
    fn a_route_of_its_own_is_a_way() {
        let own = route(Some(("169.254.169.254", 32)));
        let found = only(way(&guest(vec![route(None), own], false)));
        assert_eq!(found.status, Status::Pass);
        assert!(found.what.contains("`169.254.169.254/32 dev eth0`"), "{found:?}");
        let zeroconf = route(Some(("169.254.0.0", 16)));
        assert_eq!(only(way(&guest(vec![zeroconf], true))).status, Status::Pass);
    }

    #[test]
    fn the_default_route_is_one_only_if_someone_answers() {
        let found = only(way(&guest(vec![route(None)], true)));
        assert_eq!(found.status, Status::Pass);
        let found = only(way(&guest(vec![route(None)], false)));
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::High));
        assert!(found.what.contains("default via 10.0.0.1 dev eth0"), "{found:?}");
        let mend = found.mend.unwrap();
        assert!(mend.contains("ip route add 169.254.169.254/32 dev eth0"), "{mend}");
        assert!(mend.contains("classless-static-route,169.254.169.254/32,0.0.0.0"), "{mend}");
    }

    #[test]
    fn no_route_or_one_that_forbids_is_told_of() {
        let found = only(way(&guest(Vec::new(), false)));
        assert!(found.what.contains("no route"), "{found:?}");
        let forbids = Route { is_unicast: false, ..route(Some(("169.254.169.254", 32))) };
        let found = only(way(&guest(vec![route(None), forbids], false)));
        assert_eq!(found.status, Status::Fail);
        assert!(found.mend.unwrap().contains("ip route del 169.254.169.254/32"));
        let mut facts = guest(vec![route(Some(("169.254.0.0", 16)))], false);
        facts.machine.as_mut().unwrap().way = Some(Err("permission denied".to_owned()));
        assert!(only(way(&facts)).mend.unwrap().contains("ip rule"));
    }

    #[test]
    fn where_no_route_can_be_looked_at_it_is_not_assessed() {
        let mut facts = guest(Vec::new(), false);
        facts.machine.as_mut().unwrap().network = Err("no netlink".to_owned());
        assert_eq!(only(way(&facts)).status, Status::NotAssessed);
        let mut facts = guest(Vec::new(), false);
        facts.machine.as_mut().unwrap().endpoint.address = None;
        assert_eq!(only(way(&facts)).status, Status::NotAssessed);
    }

    #[test]
    fn an_own_address_and_a_loopback_address_need_no_route() {
        let mut facts = guest(Vec::new(), true);
        let network = facts.machine.as_mut().unwrap().network.as_mut().unwrap();
        network.addresses.push(made_up::address(1, "169.254.169.254"));
        assert!(only(way(&facts)).what.contains("on `lo`"));
        facts.machine.as_mut().unwrap().endpoint.address = "127.0.0.1:1338".parse().ok();
        assert_eq!(only(way(&facts)).status, Status::Pass);
    }

    fn hears(answer: Answer) -> Finding {
        let mut facts = made_up::facts();
        facts.machine.as_mut().unwrap().answer = answer;
        only(reached(&facts))
    }

    #[test]
    fn a_service_that_answers_passes() {
        let found = hears(answer(200, ID, 401));
        assert_eq!(found.status, Status::Pass);
        assert!(found.what.contains("tokens are required"), "{found:?}");
    }

    #[test]
    fn each_way_not_to_be_served_has_its_cure() {
        let found = hears(silence());
        assert!(found.mend.unwrap().contains("imds serve --link-local"));
        let mut far = answer(200, ID, 401);
        (far.token, far.instance_id) = (Heard::Nothing("timeout".to_owned()), None);
        let found = hears(far);
        assert_eq!(found.status, Status::Fail);
        assert!(found.mend.unwrap().contains("--http-put-response-hop-limit 2"));
        let off = Heard::Status(403, String::new());
        let found = hears(Answer { token: off.clone(), instance_id: None, tokenless: off });
        assert!(found.mend.unwrap().contains("--http-endpoint enabled"));
        let none = Heard::Status(405, String::new());
        let found =
            hears(Answer { token: none.clone(), instance_id: None, tokenless: none.clone() });
        assert!(found.what.contains("no IMDSv2 service"), "{found:?}");
        let greeting = Heard::Status(200, "no token".to_owned());
        let found = hears(Answer { token: greeting, instance_id: None, tokenless: none.clone() });
        assert!(found.what.contains("no IMDSv2 service"), "{found:?}");
        let found = hears(Answer { instance_id: Some(none), ..answer(200, ID, 401) });
        assert!(found.what.contains("a read with it 405"), "{found:?}");
    }

    /// A host whose server serves EC2's addresses or not, where `id` answers.
    fn host(listen: &str, told_by: ToldBy, answer: Answer) -> Facts {
        let mut facts = made_up::served(|served| {
            served.diagnosis.listen = vec![listen.parse().unwrap()];
        });
        let machine = facts.machine.as_mut().unwrap();
        machine.endpoint.told_by = told_by;
        machine.answer = answer;
        facts
    }

    #[test]
    fn someone_else_where_this_server_is_to_answer_is_told_of() {
        let own = host("169.254.169.254:80", ToldBy::Default, answer(200, ID, 401));
        assert_eq!(only(reached(&own)).status, Status::Pass);
        let other = answer(200, "i-0fedcba9876543210", 401);
        let found = only(reached(&host("169.254.169.254:80", ToldBy::Default, other)));
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::High));
        assert!(found.what.contains("i-0fedcba9876543210"), "{found:?}");
    }

    #[test]
    fn an_instance_beneath_matters_once_there_are_guests() {
        let found = only(reached(&host("127.0.0.1:1338", ToldBy::Nobody, silence())));
        assert_eq!(found.status, Status::Pass);
        assert!(found.what.contains("imds env"), "{found:?}");
        let beneath = || answer(200, "i-0fedcba9876543210", 401);
        let mut facts = host("127.0.0.1:1338", ToldBy::Nobody, beneath());
        assert_eq!(only(reached(&facts)).status, Status::Pass);
        assert_eq!(only(way(&facts)).status, Status::Pass);
        made_up::change(&mut facts, |served| served.diagnosis.sources = 1);
        let found = only(reached(&facts));
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::Medium));
        assert!(found.mend.unwrap().contains("iptables -I FORWARD"));
    }

    #[test]
    fn networks_hold_their_own_addresses() {
        for (address, network, prefix, expected) in [
            ("169.254.169.254", "169.254.0.0", 16, true),
            ("169.254.169.254", "0.0.0.0", 0, true),
            ("169.253.169.254", "169.254.0.0", 16, false),
            ("fd00:ec2::254", "fd00:ec2::", 32, true),
            ("fd00:ec2::254", "::", 0, true),
            ("fd00:ec3::254", "fd00:ec2::", 32, false),
            ("fd00:ec2::254", "0.0.0.0", 0, false),
        ] {
            let (address, network) = (address.parse().unwrap(), network.parse().unwrap());
            assert_eq!(is_within(address, network, prefix), expected, "{address} {network}");
        }
    }
}
