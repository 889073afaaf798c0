//! Facts that tests make up: a healthy machine with a healthy server, and ways to change them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use control::native::{AttachmentView, Diagnosis, Place, Wanted};
use model::{InstanceId, MacAddress, MetadataOptions};

use crate::doctor::facts::{
    Address, Answer, EC2_V4, Endpoint, Facts, Family, Heard, Link, Machine, Network, Probe, Route,
    Served, Server, ToldBy, Travelled,
};
use crate::doctor::finding::Finding;
use crate::doctor::firmware::Firmware;

/// The one instance there is.
pub(crate) const ID: &str = "i-1234567890abcdef0";

/// All is well: a server on a loopback address, and a service at EC2's.
pub(crate) fn facts() -> Facts {
    served(|_| {})
}

/// The same, with a server that is not quite so.
pub(crate) fn served(change: impl FnOnce(&mut Served)) -> Facts {
    let id: InstanceId = ID.parse().unwrap();
    let mac = Some("02:29:96:8f:6a:2d".parse().unwrap());
    let ipv4 = Some(Ipv4Addr::new(10, 0, 1, 5));
    let options = MetadataOptions::default();
    let place = Place { process_id: 4711, network_namespace: "net:[4026531840]".to_owned() };
    let mut served = Served {
        directory: "/var/lib/imds".to_owned(),
        diagnosis: Diagnosis {
            place: Some(place),
            default_instance: id,
            listen: vec!["127.0.0.1:1338".parse().unwrap()],
            shared_listen: Vec::new(),
            sources: 0,
            attached: Vec::new(),
            instances: vec![Wanted { instance_id: id, options, mac, ipv4 }],
            undelivered: Vec::new(),
        },
        is_here: true,
        access_key_id: Some("AKIAADMINISTRATOR".to_owned()),
        network: Ok(network()),
        namespaces: BTreeMap::new(),
        asked: Vec::new(),
        unasked: 0,
    };
    change(&mut served);
    Facts {
        server: Server::Served(Box::new(served)),
        machine: Some(machine()),
        hop_limit: Probe::Made(vec![
            (Family::V4, Travelled::AsLimited),
            (Family::V6, Travelled::AsLimited),
        ]),
    }
}

/// Changes what is known of the server.
pub(crate) fn change(facts: &mut Facts, change: impl FnOnce(&mut Served)) {
    match &mut facts.server {
        Server::Served(served) => change(served),
        Server::Absent { .. } | Server::Closed { .. } | Server::Silent { .. } => {
            panic!("no server")
        }
    }
}

/// A machine that finds a service at EC2's address.
pub(crate) fn machine() -> Machine {
    let mut network = network();
    network.links.push(link(2, "eth0"));
    network.routes.push(Route {
        to: Some((EC2_V4.into(), 32)),
        is_ipv6: false,
        via: None,
        out: Some(2),
        is_unicast: true,
    });
    Machine {
        variables: BTreeMap::new(),
        network: Ok(network),
        endpoint: Endpoint {
            url: "http://169.254.169.254".to_owned(),
            address: Some((EC2_V4, 80).into()),
            told_by: ToldBy::Default,
        },
        way: Some(Ok(EC2_V4.into())),
        answer: answer(200, ID, 401),
        firmware: Firmware::default(),
    }
}

/// The same machine, with these variables.
pub(crate) fn variables(set: &[(&str, &str)]) -> Facts {
    let mut facts = facts();
    let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    facts.machine.as_mut().unwrap().variables = set.collect();
    facts
}

fn network() -> Network {
    Network {
        links: vec![link(1, "lo")],
        addresses: vec![address(1, "127.0.0.1"), address(1, "::1")],
        routes: Vec::new(),
        has_ipv6: true,
    }
}

pub(crate) fn link(index: u32, name: &str) -> Link {
    let mac = Some(MacAddress::from_bytes([2, 0, 0, 0, 0, 1]));
    Link { index, name: name.to_owned(), mac, is_up: true, controller: None }
}

pub(crate) fn address(index: u32, address: &str) -> Address {
    let address: IpAddr = address.parse().unwrap();
    Address { index, address }
}

/// An attachment of the one instance, which serves.
pub(crate) fn attached(attachment: &str) -> (InstanceId, AttachmentView) {
    let view = AttachmentView {
        attachment: attachment.to_owned(),
        waiting: None,
        limits_hops: !attachment.starts_with("listener"),
    };
    (ID.parse().unwrap(), view)
}

/// What an instance answers: to a token request, with its id to a read, and to one without a token.
pub(crate) fn answer(token: u16, id: &str, tokenless: u16) -> Answer {
    let nothing = String::new;
    Answer {
        token: Heard::Status(token, nothing()),
        instance_id: Some(Heard::Status(200, id.to_owned())),
        tokenless: Heard::Status(tokenless, nothing()),
    }
}

pub(crate) fn silence() -> Answer {
    let nothing = Heard::Nothing("connection refused".to_owned());
    Answer { token: nothing.clone(), instance_id: None, tokenless: nothing }
}

/// Returns the one finding there is.
pub(crate) fn only(mut findings: Vec<Finding>) -> Finding {
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0)
}
