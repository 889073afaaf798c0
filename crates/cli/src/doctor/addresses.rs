//! Whether the addresses that instances ask at are where they must be.

use std::net::{IpAddr, SocketAddr};

use model::{Attachment, InstanceId};

use crate::doctor::facts::{EC2_V4, EC2_V6, Facts, Network, Served, Server};
use crate::doctor::finding::{Check, Finding, Severity};

const THERE: Check = Check {
    id: "DOC-03",
    name: "addresses",
    why: "a packet to an address that no interface has is forwarded or dropped: the service does \
          not see it, and whoever else has the address may",
    derivation: "the interfaces of the network namespaces that the service listens in",
};

const IPV6: Check = Check {
    id: "DOC-05",
    name: "IPv6",
    why: "an instance whose HttpProtocolIpv6 is enabled may ask over IPv6 alone",
    derivation: "the options of the instances, and the addresses of the server",
};

/// An address that must be there.
struct Needed {
    /// For whom.
    resource: String,
    /// In which named namespace; none for the server's own.
    namespace: Option<String>,
    /// Where to put it if it is missing.
    interface: Option<String>,
    address: IpAddr,
    /// Whether neighbours on that interface ask for it.
    is_on_link: bool,
}

/// Looks at the addresses that the server listens at, and those of attachments.
pub(crate) fn there(facts: &Facts) -> Vec<Finding> {
    let Server::Served(served) = &facts.server else { return Vec::new() };
    let mut needed = listened_at(served);
    needed.extend(
        served.serving().flat_map(|(id, attachment)| of_attachment(served, id, &attachment)),
    );
    let mut findings: Vec<_> = Vec::new();
    for one in &needed {
        match network_of(served, one) {
            Err(reason) => {
                let unknown = THERE.not_assessed(one.resource.clone(), reason.clone());
                // One reason is told once for each namespace, and not for each address.
                if findings.iter().all(|found: &Finding| found.what != unknown.what) {
                    findings.push(unknown);
                }
            }
            Ok(network) => findings.extend(examine(served, one, network)),
        }
    }
    if findings.is_empty() {
        let what = match needed.as_slice() {
            [] => "only loopback addresses are needed, which are always there".to_owned(),
            [one] => format!("{} is there", one.address),
            needed => format!("all {} addresses that are needed are there", needed.len()),
        };
        findings.push(THERE.pass("server", what));
    }
    findings
}

/// The addresses of listeners. Loopback addresses are always there.
fn listened_at(served: &Served) -> Vec<Needed> {
    let diagnosis = &served.diagnosis;
    let addresses = diagnosis.listen.iter().chain(&diagnosis.shared_listen);
    let is_needed = |ip: &IpAddr| !ip.is_loopback() && !ip.is_unspecified();
    let mut seen: Vec<IpAddr> = Vec::new();
    for address in addresses.map(SocketAddr::ip).filter(is_needed) {
        if !seen.contains(&address) {
            seen.push(address);
        }
    }
    let needed = |address: IpAddr| Needed {
        resource: address.to_string(),
        namespace: None,
        interface: Some("lo".to_owned()),
        address,
        is_on_link: false,
    };
    seen.into_iter().map(needed).collect()
}

fn of_attachment(served: &Served, id: InstanceId, attachment: &Attachment) -> Vec<Needed> {
    let v6 = served.takes_ipv6(id).then_some(IpAddr::from(EC2_V6));
    let (namespace, interface, addresses) = match attachment {
        Attachment::Interface(name) => (None, Some(name.to_string()), [Some(EC2_V4.into()), v6]),
        Attachment::Netns(name) => (Some(name.to_string()), None, [Some(EC2_V4.into()), v6]),
        Attachment::Listener(address) => {
            let ip = address.ip();
            let needed = !ip.is_loopback() && !ip.is_unspecified();
            (None, Some("lo".to_owned()), [needed.then_some(ip), None])
        }
        Attachment::Source { .. } => (None, None, [None, None]),
    };
    let needed = |address| Needed {
        resource: format!("{id} {attachment}"),
        namespace: namespace.clone(),
        interface: interface.clone(),
        address,
        is_on_link: matches!(attachment, Attachment::Interface(_) | Attachment::Netns(_)),
    };
    addresses.into_iter().flatten().map(needed).collect()
}

fn network_of<'a>(served: &'a Served, needed: &Needed) -> Result<&'a Network, &'a String> {
    let namespace = needed.namespace.as_ref().and_then(|name| served.namespaces.get(name));
    namespace.unwrap_or(&served.network).as_ref()
}

/// Returns what is wrong about an address, if anything is.
fn examine(served: &Served, needed: &Needed, network: &Network) -> Option<Finding> {
    let Needed { resource, namespace, interface, address, is_on_link } = needed;
    let holders: Vec<_> = network.holders(*address).collect();
    let is_misplaced = match interface {
        Some(interface) => !holders.contains(interface),
        None => holders.iter().all(|own| own == "lo"),
    };
    let is_misplaced = is_misplaced && *is_on_link && address.is_ipv6();
    let first = || network.first_outward().map_or("lo", |link| link.name.as_str());
    let interface = interface.as_deref().unwrap_or_else(first);
    let place = namespace.as_ref().map(|name| format!(" in the network namespace {name}"));
    let place = place.unwrap_or_default();
    let found = match holders.as_slice() {
        [] => {
            let what = format!("no interface{place} has the address {address}");
            THERE.fail(Severity::High, resource.clone(), what)
        }
        [other, ..] if is_misplaced => {
            let what = format!("{address} is on `{other}`{place}, and not on `{interface}`");
            THERE.fail(Severity::Medium, resource.clone(), what).because(
                "over IPv6, a kernel tells neighbours on a link the addresses of that link alone: \
                 only guests whose packets are routed through this machine find the service",
            )
        }
        _ => return None,
    };
    let prefix = if address.is_ipv4() { 32 } else { 128 };
    let family = if address.is_ipv4() { "" } else { "-6 " };
    let add = format!("address add {address}/{prefix} dev {interface}");
    Some(found.mend(match namespace {
        None => format!("{}ip {family}{add}", served.prefix()),
        Some(path) if path.starts_with('/') => format!("nsenter --net={path} ip {family}{add}"),
        Some(name) => format!("ip {family}-n {name} {add}"),
    }))
}

/// Looks at instances that may ask over IPv6.
pub(crate) fn ipv6(facts: &Facts) -> Vec<Finding> {
    let Server::Served(served) = &facts.server else { return Vec::new() };
    let takes = served.instances().iter().filter(|wanted| served.takes_ipv6(wanted.instance_id));
    let takes: Vec<_> = takes.map(|wanted| wanted.instance_id).collect();
    if takes.is_empty() {
        return vec![IPV6.pass("server", "no instance asks to be served over IPv6")];
    }
    let mut findings: Vec<_> = takes.iter().filter_map(|id| unserved(served, *id)).collect();
    if findings.is_empty() {
        findings
            .push(IPV6.pass("server", format!("{} instances are served over IPv6", takes.len())));
    }
    findings
}

/// Returns why an instance that takes IPv6 has none.
fn unserved(served: &Served, id: InstanceId) -> Option<Finding> {
    let off = |place: &str, mend: &str| {
        let what = format!("{id} is to be served over IPv6, which is off {place}");
        IPV6.fail(Severity::Medium, id.to_string(), what).mend(format!(
            "turn it on, or tell the instance not to expect it:\n  {mend}sysctl -w \
             net.ipv6.conf.all.disable_ipv6=0\n  imds instance options {id} --http-protocol-ipv6 \
             disabled"
        ))
    };
    let mut doors = served.serving().filter(|(own, _)| *own == id).peekable();
    let is_default = id == served.diagnosis.default_instance;
    if doors.peek().is_none() && !is_default {
        return None;
    }
    let mut has_v6 = is_default && served.diagnosis.listen.iter().any(SocketAddr::is_ipv6);
    for (_, attachment) in doors {
        let network = match &attachment {
            Attachment::Netns(name) => served.namespaces.get(name.as_str())?,
            Attachment::Listener(address) if address.is_ipv4() => continue,
            Attachment::Interface(_) | Attachment::Listener(_) | Attachment::Source { .. } => {
                &served.network
            }
        };
        has_v6 = true;
        match (network, &attachment) {
            (Ok(network), Attachment::Netns(name)) if !network.has_ipv6 => {
                let enter = format!("nsenter --net={} ", name.path());
                return Some(off(&format!("in the network namespace {name}"), &enter));
            }
            (Ok(network), _) if !network.has_ipv6 => {
                return Some(off("where the server is", &served.prefix()));
            }
            (Ok(_) | Err(_), _) => {}
        }
    }
    if has_v6 {
        return None;
    }
    let what = format!("{id} is to be served over IPv6, and no IPv6 address of the server is its");
    Some(IPV6.fail(Severity::Low, id.to_string(), what).mend(format!(
        "listen at one, or tell the instance not to expect it:\n  imds serve --listen \
         127.0.0.1:1338 --listen '[::1]:1338'\n  imds instance options {id} --http-protocol-ipv6 \
         disabled"
    )))
}

#[cfg(test)]
mod tests {
    use model::Switch;

    use super::*;
    use crate::doctor::finding::Status;
    use crate::doctor::made_up::{self, ID, attached, only};

    #[test]
    fn loopback_addresses_are_always_there() {
        assert_eq!(only(there(&made_up::facts())).status, Status::Pass);
    }

    #[test]
    fn an_address_that_is_listened_at_must_be_there() {
        let mut facts = made_up::served(|served| {
            served.diagnosis.listen = vec!["169.254.169.254:80".parse().unwrap()];
        });
        let found = only(there(&facts));
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::High));
        let mend = "ip address add 169.254.169.254/32 dev lo";
        assert_eq!(found.mend.as_deref(), Some(mend));
        made_up::change(&mut facts, |served| {
            let mut network = served.network.clone().unwrap();
            network.addresses.push(made_up::address(1, "169.254.169.254"));
            served.network = Ok(network);
        });
        assert_eq!(only(there(&facts)).status, Status::Pass);
    }

    #[test]
    fn an_interface_needs_them_and_ipv6_only_if_enabled() {
        let mut facts = made_up::served(|served| {
            served.diagnosis.attached = vec![attached("interface=tap0")];
        });
        let found = only(there(&facts));
        let mend = "ip address add 169.254.169.254/32 dev tap0";
        assert_eq!(found.mend.as_deref(), Some(mend));
        made_up::change(&mut facts, |served| {
            served.diagnosis.instances[0].options.http_protocol_ipv6 = Switch::Enabled;
        });
        let found = there(&facts);
        assert_eq!(found.len(), 2);
        let mend = "ip -6 address add fd00:ec2::254/128 dev tap0";
        assert_eq!((found[1].severity, found[1].mend.as_deref()), (Severity::High, Some(mend)));
        // An IPv4 address serves all links, wherever it is. An IPv6 address serves its own.
        made_up::change(&mut facts, |served| {
            let network = served.network.as_mut().unwrap();
            network.links.push(made_up::link(7, "tap0"));
            let ec2 = ["169.254.169.254", "fd00:ec2::254"];
            network.addresses.extend(ec2.map(|address| made_up::address(1, address)));
        });
        let found = only(there(&facts));
        assert_eq!((found.severity, found.mend.as_deref()), (Severity::Medium, Some(mend)));
        made_up::change(&mut facts, |served| {
            let network = served.network.as_mut().unwrap();
            network.addresses.push(made_up::address(7, "fd00:ec2::254"));
        });
        assert_eq!(only(there(&facts)).status, Status::Pass);
    }

    #[test]
    fn a_namespace_needs_them_inside() {
        let namespace = |addresses: &[&str]| Network {
            links: vec![made_up::link(1, "lo"), made_up::link(2, "imds0")],
            addresses: addresses.iter().map(|address| made_up::address(2, address)).collect(),
            ..Network::default()
        };
        let with = |network: Result<Network, String>| {
            only(there(&made_up::served(|served| {
                served.diagnosis.attached = vec![attached("netns=blue")];
                served.namespaces = [("blue".to_owned(), network)].into();
            })))
        };
        assert_eq!(with(Ok(namespace(&["169.254.169.254"]))).status, Status::Pass);
        let found = with(Ok(namespace(&[])));
        let mend = "ip -n blue address add 169.254.169.254/32 dev imds0";
        assert_eq!((found.status, found.mend.as_deref()), (Status::Fail, Some(mend)));
        let mut on_loopback = namespace(&["169.254.169.254"]);
        on_loopback.addresses.push(made_up::address(1, "fd00:ec2::254"));
        assert_eq!(with(Ok(on_loopback)).status, Status::Pass, "IPv6 is not asked for");
        let found = with(Err("it needs a privilege".to_owned()));
        assert_eq!(found.status, Status::NotAssessed);
        assert!(found.resource.contains("netns=blue"), "{found:?}");
    }

    #[test]
    fn a_server_elsewhere_is_mended_there() {
        let facts = made_up::served(|served| {
            served.is_here = false;
            served.diagnosis.listen = vec!["10.0.0.1:80".parse().unwrap()];
        });
        let mend = "nsenter --net=/proc/4711/ns/net ip address add 10.0.0.1/32 dev lo";
        assert_eq!(only(there(&facts)).mend.as_deref(), Some(mend));
    }

    #[test]
    fn ipv6_is_looked_at_where_an_instance_takes_it() {
        let with = |change: fn(&mut Served)| {
            only(ipv6(&made_up::served(|served| {
                served.diagnosis.instances[0].options.http_protocol_ipv6 = Switch::Enabled;
                change(served);
            })))
        };
        assert_eq!(only(ipv6(&made_up::facts())).status, Status::Pass, "none takes it");
        let found = with(|_| {});
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::Low));
        assert!(found.mend.unwrap().contains(ID));
        let found = with(|served| served.diagnosis.listen.push("[::1]:1338".parse().unwrap()));
        assert_eq!(found.status, Status::Pass);
        let found = with(|served| {
            served.diagnosis.attached = vec![attached("interface=tap0")];
            served.network = Ok(Network::default());
        });
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::Medium));
        assert!(found.what.contains("off where the server is"), "{found:?}");
        let found = with(|served| {
            served.diagnosis.attached = vec![attached("netns=blue")];
            served.namespaces = [("blue".to_owned(), Ok(Network::default()))].into();
        });
        assert!(found.mend.unwrap().contains("nsenter --net=/run/netns/blue sysctl"));
    }
}
