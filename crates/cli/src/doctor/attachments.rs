//! Whether attachments serve, and whether a hop limit can hold for those that do.

use std::net::SocketAddr;

use control::native::AttachmentView;
use model::{Attachment, HopLimit, InstanceId, InterfaceName};

use crate::doctor::facts::{Facts, Network, Served, Server};
use crate::doctor::finding::{Check, Finding, Severity};

const SERVE: Check = Check {
    id: "DOC-04",
    name: "attachments",
    why: "an instance is known by how it is attached: one that is not gets no service",
    derivation: "the server's attachments, and the interfaces of its network namespace",
};

const HOLDS: Check = Check {
    id: "DOC-06",
    name: "hop limits",
    why: "an answer is limited by the hops that forward it. Where the service answers in the network \
          namespace that a container hangs on, its answers start there, and no limit has an effect",
    derivation: "the kinds of the attachments, and the options of their instances",
};

/// Looks at every attachment that is waited for, or that looks as if no packet could come in.
pub(crate) fn serve(facts: &Facts) -> Vec<Finding> {
    let Server::Served(served) = &facts.server else { return Vec::new() };
    let diagnosis = &served.diagnosis;
    let mut findings: Vec<_> =
        diagnosis.attached.iter().filter_map(|(id, view)| waits(*id, view)).collect();
    if diagnosis.sources > 0 && diagnosis.shared_listen.is_empty() {
        let what = format!(
            "{} source addresses are attached, and the server listens at no address for them",
            diagnosis.sources
        );
        let mend = "start the server with one:\n  imds serve --shared-listen 169.254.169.254:80";
        findings.push(SERVE.fail(Severity::High, "server", what).mend(mend));
    }
    let interfaces = interfaces(served);
    match &served.network {
        Ok(network) => findings.extend(
            interfaces.iter().filter_map(|(id, name)| interface(served, network, *id, *name)),
        ),
        Err(reason) if !interfaces.is_empty() => {
            findings.push(SERVE.not_assessed("server", reason.clone()));
        }
        Err(_) => {}
    }
    if findings.is_empty() {
        let what = match diagnosis.attached.len() + diagnosis.sources {
            0 => format!(
                "no instance has an attachment: {} is served at {}",
                diagnosis.default_instance,
                listed(&diagnosis.listen)
            ),
            1 => "the one attachment there is serves".to_owned(),
            count => format!("all {count} attachments serve"),
        };
        findings.push(SERVE.pass("server", what));
    }
    findings
}

fn listed(addresses: &[SocketAddr]) -> String {
    let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    if addresses.is_empty() { "no address".to_owned() } else { addresses.join(" and ") }
}

fn waits(id: InstanceId, view: &AttachmentView) -> Option<Finding> {
    let reason = view.waiting.as_ref()?;
    let what = format!("{id} is not served by {}: {reason}", view.attachment);
    let mend = match view.attachment.parse() {
        Ok(Attachment::Source { .. }) => {
            "start the server with an address for sources:\n  imds serve --shared-listen \
             169.254.169.254:80"
                .to_owned()
        }
        _ => format!(
            "mend that, or take the attachment away:\n  imds instance detach {id} {}",
            view.attachment
        ),
    };
    Some(SERVE.fail(Severity::High, format!("{id} {}", view.attachment), what).mend(mend))
}

/// The interfaces whose attachments serve.
fn interfaces(served: &Served) -> Vec<(InstanceId, InterfaceName)> {
    let interface = |(id, attachment)| match attachment {
        Attachment::Interface(name) => Some((id, name)),
        Attachment::Listener(_) | Attachment::Netns(_) | Attachment::Source { .. } => None,
    };
    served.serving().filter_map(interface).collect()
}

/// Returns what keeps packets from coming in at an interface, if anything does.
fn interface(
    served: &Served,
    network: &Network,
    id: InstanceId,
    name: InterfaceName,
) -> Option<Finding> {
    let link = network.link(name.as_str())?;
    let attachment = Attachment::Interface(name);
    let fail = |what: String| SERVE.fail(Severity::High, format!("{id} {attachment}"), what);
    if let Some(controller) = link.controller {
        let controller = network.name_of(controller);
        let wanted = served.wanted(id);
        let address = wanted.and_then(|wanted| wanted.ipv4);
        let address = address.map_or_else(|| "ADDRESS".to_owned(), |address| address.to_string());
        let mac = wanted.and_then(|wanted| wanted.mac);
        let mac = mac.map_or_else(|| "MAC".to_owned(), |mac| mac.to_string());
        let what = format!("`{name}` is a port of `{controller}`");
        let why = format!(
            "a packet that comes in at a port of a bridge is received by the bridge: nothing ever \
             arrives at `{name}`, and {id} gets no answer"
        );
        return Some(fail(what).because(why).mend(format!(
            "tell the guest by its address and MAC at an address of `{controller}`:\n  imds \
             instance detach {id} {attachment}\n  imds serve --shared-listen 169.254.169.254:80   \
             (when the server starts)\n  imds instance attach {id} source={address},mac={mac}"
        )));
    }
    if link.mac.is_none() {
        let why = "a guest is told by the MAC its packets come from, and there is none here: it \
                   is refused";
        let what = format!("`{name}` is no Ethernet interface: it has no MAC address");
        let mend = format!(
            "give the guest an Ethernet interface (ip tuntap add mode tap), or tell it by its \
             address:\n  imds instance detach {id} {attachment}\n  imds instance attach {id} \
             source=ADDRESS"
        );
        return Some(fail(what).because(why).mend(mend));
    }
    if !link.is_up {
        let mend = format!("{}ip link set {name} up", served.prefix());
        let why = "no packet comes in at an interface that is down";
        return Some(fail(format!("`{name}` is down")).because(why).mend(mend));
    }
    None
}

/// Looks at whether the hop limits of instances can have an effect.
pub(crate) fn hop_limits(facts: &Facts) -> Vec<Finding> {
    let Server::Served(served) = &facts.server else { return Vec::new() };
    let diagnosis = &served.diagnosis;
    let default = diagnosis.listen.iter().map(|address| (diagnosis.default_instance, *address));
    let listener = |(id, attachment)| match attachment {
        Attachment::Listener(address) => Some((id, address)),
        Attachment::Interface(_) | Attachment::Netns(_) | Attachment::Source { .. } => None,
    };
    let mut open: Vec<_> = default.chain(served.serving().filter_map(listener)).collect();
    // Nobody but this machine's own programs reaches a loopback address.
    open.retain(|(_, address)| !address.ip().is_loopback());
    let relies = |id: InstanceId| {
        let wanted = served.wanted(id);
        wanted.is_some_and(|wanted| wanted.options.http_put_response_hop_limit == HopLimit::MIN)
    };
    let (strict, lenient): (Vec<_>, Vec<_>) = open.into_iter().partition(|(id, _)| relies(*id));
    let mut findings: Vec<_> =
        strict.into_iter().map(|(id, address)| has_no_effect(id, address)).collect();
    if findings.is_empty() {
        findings.push(HOLDS.pass("server", note(served, &lenient)));
    }
    findings
}

fn has_no_effect(id: InstanceId, address: SocketAddr) -> Finding {
    let what = format!(
        "the hop limit of {id} is 1, and has no effect on containers of the machine that {address} \
         is an address of: a listener's answers are not forwarded on their way there"
    );
    let ip = address.ip();
    let drop = if ip.is_ipv4() && !ip.is_unspecified() {
        format!("\n  iptables -I INPUT -i docker0 -d {ip} -j DROP")
    } else {
        String::new()
    };
    HOLDS.fail(Severity::Medium, format!("{id} listener={address}"), what).mend(format!(
        "attach it in a way that forwards (interface=NAME, netns=NAME), or keep bridges of containers \
         away from the address:{drop}"
    ))
}

fn note(served: &Served, lenient: &[(InstanceId, SocketAddr)]) -> String {
    let can = |(_, view): &&(InstanceId, AttachmentView)| view.limits_hops;
    let holding = served.diagnosis.attached.iter().filter(can).count() + served.diagnosis.sources;
    match (lenient, holding) {
        ([], 0) => "no hop limit is needed: only this machine's own programs are served".to_owned(),
        ([], 1) => "a hop limit holds for the one attachment there is".to_owned(),
        ([], holding) => format!("a hop limit holds for {holding} attachments"),
        ([(id, address), ..], _) => format!(
            "{id} lets containers in with its limit; no lower one would hold at {address}, whose \
             answers are not forwarded"
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::doctor::facts::Link;

    use super::*;
    use crate::doctor::finding::Status;
    use crate::doctor::made_up::{self, ID, attached, only};

    fn with_interface(change: impl FnOnce(&mut Link)) -> Facts {
        made_up::served(|served| {
            served.diagnosis.attached = vec![attached("interface=tap0")];
            let mut link = made_up::link(7, "tap0");
            change(&mut link);
            let mut network = served.network.clone().unwrap();
            network.links.extend([made_up::link(9, "br0"), link]);
            served.network = Ok(network);
        })
    }

    #[test]
    fn attachments_that_serve_pass() {
        assert_eq!(only(serve(&made_up::facts())).status, Status::Pass);
        assert_eq!(only(serve(&with_interface(|_| {}))).status, Status::Pass);
    }

    #[test]
    fn what_is_waited_for_is_told_with_its_reason() {
        let facts = made_up::served(|served| {
            let mut attached = attached("netns=blue");
            attached.1.waiting = Some("there is no network namespace `blue`".to_owned());
            served.diagnosis.attached = vec![attached];
        });
        let found = only(serve(&facts));
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::High));
        assert!(found.what.contains("no network namespace `blue`"), "{found:?}");
        assert!(found.mend.unwrap().contains("imds instance detach"));
    }

    #[test]
    fn sources_need_an_address_that_they_share() {
        let facts = made_up::served(|served| served.diagnosis.sources = 3);
        let found = only(serve(&facts));
        assert!(found.what.starts_with("3 source addresses"), "{found:?}");
        assert!(found.mend.unwrap().contains("--shared-listen"));
        let facts = made_up::served(|served| {
            served.diagnosis.sources = 3;
            served.diagnosis.shared_listen = vec!["10.0.0.1:80".parse().unwrap()];
        });
        assert_eq!(only(serve(&facts)).status, Status::Pass);
    }

    #[test]
    fn a_port_of_a_bridge_gets_no_packets() {
        let found = only(serve(&with_interface(|link| link.controller = Some(9))));
        assert_eq!(found.status, Status::Fail);
        assert!(found.what.contains("`tap0` is a port of `br0`"), "{found:?}");
        let mend = found.mend.unwrap();
        assert!(mend.contains("source=10.0.1.5,mac=02:29:96:8f:6a:2d"), "{mend}");
    }

    #[test]
    fn an_interface_without_mac_or_down_gets_none_either() {
        let found = only(serve(&with_interface(|link| link.mac = None)));
        assert!(found.what.contains("no Ethernet"), "{found:?}");
        let found = only(serve(&with_interface(|link| link.is_up = false)));
        assert_eq!(found.mend.as_deref(), Some("ip link set tap0 up"));
    }

    #[test]
    fn where_interfaces_cannot_be_seen_they_are_not_assessed() {
        let mut facts = with_interface(|_| {});
        made_up::change(&mut facts, |served| served.network = Err("no root".to_owned()));
        assert_eq!(only(serve(&facts)).status, Status::NotAssessed);
        made_up::change(&mut facts, |served| served.diagnosis.attached = Vec::new());
        assert_eq!(only(serve(&facts)).status, Status::Pass, "there is none to look at");
    }

    fn listening(address: &str, hops: u8) -> Finding {
        only(hop_limits(&made_up::served(|served| {
            served.diagnosis.listen = vec![address.parse().unwrap()];
            let limit = HopLimit::new(hops).unwrap();
            served.diagnosis.instances[0].options.http_put_response_hop_limit = limit;
        })))
    }

    #[test]
    fn a_limit_of_one_is_only_relied_on_where_it_holds() {
        assert_eq!(listening("127.0.0.1:1338", 1).status, Status::Pass, "nobody else gets there");
        let found = listening("169.254.169.254:80", 1);
        assert_eq!((found.status, found.severity), (Status::Fail, Severity::Medium));
        assert!(found.resource.contains(ID), "{found:?}");
        assert!(found.mend.unwrap().contains("-d 169.254.169.254 -j DROP"));
        let found = listening("169.254.169.254:80", 2);
        assert_eq!(found.status, Status::Pass);
        assert!(found.what.contains("no lower one would hold"), "{found:?}");
        let facts =
            made_up::served(|served| served.diagnosis.attached = vec![attached("netns=blue")]);
        assert!(only(hop_limits(&facts)).what.contains("holds for the one attachment"));
    }
}
