//! Making what is planned, finding what is missing of it, and taking it down.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use rustix::io::Errno;

use super::plan::{BRIDGE_LINK, Cable, PRIMARY_LINK, Plan, PlannedRoute, Room, SERVICE_LINK};
use super::{HostFault, Part};
use crate::{
    Link, LinkIndex, Namespace, NamespaceFault, Netlink, NetlinkFault, Route, RouteTarget, VethEnd,
};

/// Where the settings of a network namespace are, for threads in it.
const SETTINGS: &str = "/proc/sys/net";

/// Returns whether the system knows IPv6. Where it was switched off when the system started, no
/// namespace can have it.
pub(super) fn has_ipv6() -> bool {
    Path::new(SETTINGS).join("ipv6/conf/all").exists()
}

/// A namespace that is being furnished.
struct Site<'a> {
    room: &'a Room,
    netlink: Netlink,
}

/// Makes all that is planned, and says in `made` which namespaces there are of it.
pub(super) fn build(plan: &Plan, made: &mut Vec<String>) -> Result<(), HostFault> {
    let mut namespaces = BTreeMap::new();
    let mut sites = BTreeMap::new();
    for room in &plan.rooms {
        let namespace = Namespace::create(&room.name)?;
        made.push(room.name.clone());
        namespace.run(|| write_settings(room))??;
        let netlink = namespace.run(Netlink::open)?.map_err(|fault| refused(room, fault))?;
        namespaces.insert(room.place, namespace);
        sites.insert(room.place, Site { room, netlink });
    }
    for cable in &plan.cables {
        let near = sites.get_mut(&cable.near.place);
        if let (Some(near), Some(far)) = (near, namespaces.get(&cable.far.place)) {
            lay(cable, &mut near.netlink, far).map_err(|fault| refused(near.room, fault))?;
        }
    }
    for site in sites.values_mut() {
        furnish(site).map_err(|fault| refused(site.room, fault))?;
    }
    Ok(())
}

fn refused(room: &Room, source: NetlinkFault) -> HostFault {
    HostFault::Netlink { namespace: room.name.clone(), source }
}

fn path_of(setting: &str) -> PathBuf {
    Path::new(SETTINGS).join(setting)
}

/// Writes the settings of the namespace that the calling thread is in.
fn write_settings(room: &Room) -> Result<(), HostFault> {
    room.settings.iter().try_for_each(|(setting, value)| {
        std::fs::write(path_of(setting), value).map_err(|source| HostFault::Setting {
            namespace: room.name.clone(),
            setting,
            source,
        })
    })
}

/// Makes a pair of links.
fn lay(cable: &Cable, near: &mut Netlink, far: &Namespace) -> Result<(), NetlinkFault> {
    let [near_end, far_end] =
        [&cable.near, &cable.far].map(|end| VethEnd { name: end.link, mac: end.mac });
    near.add_veth(near_end, far_end, far)
}

/// Switches links on, and gives them their addresses; then the routes, which need them.
fn furnish(site: &mut Site<'_>) -> Result<(), NetlinkFault> {
    let Site { room, netlink } = site;
    let indices = Indices::of(netlink.links()?);
    for link in &room.links {
        netlink.set_up(indices.index(link))?;
    }
    for (link, address) in &room.addresses {
        netlink.add_address(indices.index(link), *address)?;
    }
    room.routes.iter().try_for_each(|route| netlink.add_route(indices.route(route)))
}

/// The numbers of links, by name.
struct Indices(BTreeMap<String, LinkIndex>);

impl Indices {
    fn of(links: Vec<Link>) -> Self {
        Self(links.into_iter().map(|link| (link.name, link.index)).collect())
    }

    /// Returns a link's number. For a link that is not there it is 0, which none has: the kernel
    /// refuses what is to be done with it, and finds nothing that belongs to it.
    fn index(&self, link: &str) -> LinkIndex {
        self.0.get(link).copied().unwrap_or(LinkIndex::from_number(0))
    }

    fn route(&self, (link, destination, gateway): &PlannedRoute) -> Route {
        let index = self.index(link);
        let target = match *gateway {
            Some(gateway) => RouteTarget::Gateway(gateway, Some(index)),
            None => RouteTarget::Link(index),
        };
        Route { destination: *destination, target }
    }
}

/// Returns what should be in a namespace, and is not.
pub(super) fn missing_in(room: &Room, namespace: &Namespace) -> Result<Vec<Part>, HostFault> {
    let fault = |fault| refused(room, fault);
    let name = || room.name.clone();
    let mut netlink = namespace.run(Netlink::open)?.map_err(fault)?;
    let mut links = netlink.links().map_err(fault)?;
    links.retain(|link| link.is_up);
    let indices = Indices::of(links);
    let addresses = netlink.addresses().map_err(fault)?;
    let routes = netlink.routes().map_err(fault)?;

    let settings = namespace.run(|| unwritten_settings(room))?;
    let settings = settings.into_iter().map(|setting| Part::Setting { namespace: name(), setting });
    let is_absent = |link: &&&str| !indices.0.contains_key(**link);
    let links = room.links.iter().filter(is_absent);
    let links = links.map(|link| Part::Link { namespace: name(), link });
    let is_absent = |(link, address): &&(&str, IpNet)| {
        let index = indices.index(link);
        !addresses.iter().any(|found| found.link == index && found.address == *address)
    };
    let addresses = room.addresses.iter().filter(is_absent);
    let addresses = addresses.map(|(link, address)| Part::Address {
        namespace: name(),
        link,
        address: *address,
    });
    let absent_routes = room.routes.iter().filter(|route| !routes.contains(&indices.route(route)));
    let routes = absent_routes
        .map(|(_, destination, _)| Part::Route { namespace: name(), destination: *destination });
    Ok(settings.chain(links).chain(addresses).chain(routes).collect())
}

/// Returns the settings of the namespace that the calling thread is in which are not as planned.
fn unwritten_settings(room: &Room) -> Vec<&'static str> {
    let is_otherwise = |(setting, value): &&(&str, &str)| {
        let found = std::fs::read_to_string(path_of(setting));
        !found.is_ok_and(|found| found.trim() == *value)
    };
    room.settings.iter().filter(is_otherwise).map(|(setting, _)| *setting).collect()
}

/// Removes what there is of one namespace of a host. Its links go first and at once, whatever
/// keeps the namespace itself.
pub(super) fn take_down(name: &str) -> Result<(), HostFault> {
    let cut = match Namespace::named(name) {
        Ok(namespace) => cut_links(&namespace, name),
        // Nothing, or half of something, to be deleted below.
        Err(NamespaceFault::Absent(_) | NamespaceFault::NotANamespace(_)) => Ok(()),
        Err(fault) => Err(fault.into()),
    };
    let deleted = Namespace::delete(name).map_err(HostFault::from);
    cut.and(deleted)
}

fn cut_links(namespace: &Namespace, name: &str) -> Result<(), HostFault> {
    let fault = |source| HostFault::Netlink { namespace: name.into(), source };
    let mut netlink = namespace.run(Netlink::open)?.map_err(fault)?;
    for link in netlink.links().map_err(fault)? {
        let is_of_host = [SERVICE_LINK, PRIMARY_LINK, BRIDGE_LINK].contains(&&*link.name);
        if !is_of_host || link.kind.as_deref() != Some("veth") {
            continue;
        }
        match netlink.delete_link(link.index) {
            // Gone in the meantime, with its other end.
            Err(gone) if gone.errno() == Some(Errno::NODEV) => {}
            outcome => outcome.map_err(fault)?,
        }
    }
    Ok(())
}
