//! Looks into network namespaces.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use control::native::{Diagnosis, Place};
use model::Attachment;
use network::{LinkIndex, Namespace, Netlink, RouteTarget};

use crate::doctor::facts::{Address, Link, Network, Route};

/// LIMIT: how long it is looked into the namespaces that instances are attached to, be they
/// thousands.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// What can be seen of the networks that a server serves in.
#[derive(Debug)]
pub(crate) struct NetworksSeen {
    pub(crate) network: Result<Network, String>,
    pub(crate) namespaces: BTreeMap<String, Result<Network, String>>,
}

impl NetworksSeen {
    pub(crate) fn look(diagnosis: &Diagnosis, is_here: bool) -> Self {
        let network = match &diagnosis.place {
            Some(place) if !is_here => read_of(place),
            Some(_) | None => read(),
        };
        let name = |text: &String| match text.parse() {
            Ok(Attachment::Netns(name)) => Some(name),
            Ok(Attachment::Interface(_) | Attachment::Listener(_) | Attachment::Source { .. })
            | Err(_) => None,
        };
        let serving = diagnosis.attached.iter().filter(|(_, view)| view.waiting.is_none());
        let start = Instant::now();
        let seen = serving.filter_map(|(_, view)| name(&view.attachment)).map(|name| {
            let network = if start.elapsed() < PATIENCE {
                inside(Path::new(&name.path()))
            } else {
                Err("there are more network namespaces than there is time to look into".to_owned())
            };
            (name.to_string(), network)
        });
        Self { network, namespaces: seen.collect() }
    }
}

/// Looks into the namespace that the calling thread is in.
pub(crate) fn read() -> Result<Network, String> {
    let read = || -> Result<Network, network::NetlinkFault> {
        let mut netlink = Netlink::open()?;
        Ok(Network {
            links: netlink.links()?.into_iter().map(link).collect(),
            addresses: netlink.addresses()?.into_iter().map(address).collect(),
            routes: netlink.routes()?.into_iter().map(route).collect(),
            has_ipv6: has_ipv6(),
        })
    };
    read().map_err(|fault| fault.to_string())
}

fn link(found: network::Link) -> Link {
    let network::Link { index, name, mac, is_up, master, .. } = found;
    let controller = master.map(LinkIndex::as_number);
    Link { index: index.as_number(), name, mac, is_up, controller }
}

fn address(found: network::InterfaceAddress) -> Address {
    Address { index: found.link.as_number(), address: found.address.addr() }
}

fn route(found: network::Route) -> Route {
    let network::Route { destination, target } = found;
    let (via, out) = match target {
        RouteTarget::Gateway(via, out) => (Some(via), out.map(LinkIndex::as_number)),
        RouteTarget::Link(out) => (None, Some(out.as_number())),
        RouteTarget::Local | RouteTarget::Nowhere | RouteTarget::Other => (None, None),
    };
    let prefix = destination.prefix_len();
    Route {
        to: (prefix > 0).then(|| (destination.addr(), prefix)),
        is_ipv6: destination.addr().is_ipv6(),
        via,
        out,
        is_unicast: target != RouteTarget::Nowhere,
    }
}

/// Whether IPv6 is on, in the namespace that the calling thread is in.
fn has_ipv6() -> bool {
    // No such file: a kernel without it.
    fs::read_to_string("/proc/sys/net/ipv6/conf/all/disable_ipv6")
        .is_ok_and(|value| value.trim() == "0")
}

fn inside(path: &Path) -> Result<Network, String> {
    let look = || Namespace::open(path)?.run(read);
    look().map_err(|fault| fault.to_string())?
}

/// Returns whether a server is in the namespace that this program is in.
pub(crate) fn is_own_namespace(place: &Place) -> bool {
    let own = fs::read_link("/proc/self/ns/net");
    own.is_ok_and(|own| own.as_os_str() == place.network_namespace.as_str())
}

/// Opens the namespace that a server is in.
pub(crate) fn open_of(place: &Place) -> Result<Namespace, String> {
    let path = path_of(place);
    let elsewhere = |reason: String| {
        format!(
            "the server is in another network namespace, {}, and that cannot be looked into: \
             {reason}. Run this command there, or as root",
            place.network_namespace
        )
    };
    let found = fs::read_link(&path).map_err(|fault| elsewhere(fault.to_string()))?;
    if found.as_os_str() != place.network_namespace.as_str() {
        // The server counts processes in another way, as in a container.
        return Err(elsewhere(format!("`{}` is not its process here", path.display())));
    }
    Namespace::open(&path).map_err(|fault| elsewhere(fault.to_string()))
}

fn path_of(place: &Place) -> PathBuf {
    PathBuf::from(format!("/proc/{}/ns/net", place.process_id))
}

fn read_of(place: &Place) -> Result<Network, String> {
    open_of(place)?.run(read).map_err(|fault| fault.to_string())?
}
