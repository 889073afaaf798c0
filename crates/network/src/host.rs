//! The network of an instance that has no machine of its own: namespaces in place of hosts.
//!
//! Three namespaces and not two, because a reply is bounded by the hops that *forward* it: where the
//! service's socket lives in the namespace that a container hangs on, the reply starts there, and a
//! hop limit has no effect.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::{InstanceId, MacAddress};
use rustix::io::Errno;

use crate::namespace::{Namespace, NamespaceFault};
use crate::netlink::{Netlink, NetlinkFault, VethEnd, index_of};

/// EC2: where an instance finds the service (data plane, 1.1).
const SERVICE: (Ipv4Addr, Ipv6Addr) =
    (Ipv4Addr::new(169, 254, 169, 254), Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254));

/// What an instance asks from over IPv6, should it have no address of its own. Nobody but the
/// service sees it.
const INSTANCE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 1, 0, 0, 0, 0, 1);

/// The network of containers, as container engines choose it: the instance is the first on it, and
/// its container the second.
const CONTAINERS: (Ipv4Addr, u8) = (Ipv4Addr::new(172, 17, 0, 0), 16);
const BRIDGE: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 1);
const CONTAINER: Ipv4Addr = Ipv4Addr::new(172, 17, 0, 2);
const CONTAINERS_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0xfd00, 0xec2, 2, 0, 0, 0, 0, 0), 64);
const BRIDGE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 2, 0, 0, 0, 0, 1);
const CONTAINER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 2, 0, 0, 0, 0, 2);

/// Names of interfaces.
const AT_SERVICE: &str = "imds0";
const AT_INSTANCE: &str = "eth0";
const TO_CONTAINER: &str = "container0";
const AT_CONTAINER: &str = "eth0";

/// What has the instance forward for its container.
const FORWARDING: [&str; 2] =
    ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"];

/// Why the network of an instance could not be made.
#[derive(Debug, thiserror::Error)]
pub enum HostFault {
    /// A namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceFault),
    /// Something in one.
    #[error(transparent)]
    Netlink(#[from] NetlinkFault),
    /// Forwarding could not be turned on.
    #[error("`{path}` cannot be written: {reason}")]
    Forwarding {
        /// The setting.
        path: &'static str,
        /// What the system says.
        reason: String,
    },
}

/// The network of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The instance.
    pub instance: InstanceId,
    /// The Ethernet address of its interface.
    pub mac: MacAddress,
    /// Its address, and how many bits of it are its network's.
    pub ipv4: (Ipv4Addr, u8),
    /// Its IPv6 addresses.
    pub ipv6: Vec<Ipv6Addr>,
    /// Whether there is a container behind it.
    pub has_container: bool,
}

impl Host {
    /// Returns the name of the namespace that the service listens in.
    pub fn service_namespace(&self) -> String {
        service_namespace_of(self.instance)
    }

    /// Returns the name of the namespace of an instance's container.
    pub fn container_namespace_of(instance: InstanceId) -> String {
        format!("{instance}-container")
    }

    /// Makes the namespaces, the links between them, and what is on the links.
    ///
    /// # Errors
    ///
    /// [`HostFault`]; then nothing of it is left.
    pub fn make(&self) -> Result<(), HostFault> {
        let mut made = Vec::new();
        let result = self.make_all(&mut made);
        if result.is_err() {
            for name in made.iter().rev() {
                // What cannot be taken away now, `remove` can later.
                let _ = Namespace::delete(name);
            }
        }
        result
    }

    /// Takes away everything that [`make`](Self::make) makes, as far as it is there.
    ///
    /// # Errors
    ///
    /// [`NamespaceFault`]; then some of it may be left.
    pub fn remove(instance: InstanceId) -> Result<(), NamespaceFault> {
        names_of(instance).iter().try_for_each(|name| Namespace::delete(name))
    }

    /// Returns whether all namespaces are there.
    pub fn is_complete(&self) -> bool {
        let count = if self.has_container { 3 } else { 2 };
        let is_there = |name: &String| Namespace::open(&Namespace::path_of(name)).is_ok();
        names_of(self.instance).iter().take(count).all(is_there)
    }

    fn make_all(&self, made: &mut Vec<String>) -> Result<(), HostFault> {
        let mut create = |name: String| {
            let namespace = Namespace::create(&name)?;
            made.push(name);
            Ok::<_, NamespaceFault>(namespace)
        };
        let [instance_name, service_name, container_name] = names_of(self.instance);
        let service = create(service_name)?;
        let instance = create(instance_name)?;
        service.run(|| self.furnish_service(&instance))??;
        instance.run(|| self.furnish_instance())??;
        if self.has_container {
            let container = create(container_name)?;
            instance.run(|| link_container(&container))??;
            container.run(furnish_container)??;
        }
        Ok(())
    }

    /// Makes the link to the instance, and what the service sees of it.
    fn furnish_service(&self, instance: &Namespace) -> Result<(), HostFault> {
        let netlink = Netlink::open()?;
        let here = VethEnd { name: AT_SERVICE, mac: None };
        netlink.add_veth(&here, &VethEnd { name: AT_INSTANCE, mac: Some(self.mac) }, instance)?;
        let out = up(&netlink, AT_SERVICE)?;
        netlink.add_address(out, SERVICE.0.into(), 32)?;
        netlink.add_route((self.ipv4.0.into(), 32), None, out)?;
        let via = Some(self.ipv4.0.into());
        if self.has_container {
            netlink.add_route((CONTAINERS.0.into(), CONTAINERS.1), via, out)?;
        }
        if !takes_ipv6(&netlink, out, SERVICE.1, 128)? {
            return Ok(());
        }
        for address in self.addresses_v6() {
            netlink.add_route((address.into(), 128), None, out)?;
        }
        if self.has_container {
            let to = (IpAddr::from(CONTAINERS_V6.0), CONTAINERS_V6.1);
            netlink.add_route(to, Some(INSTANCE_V6.into()), out)?;
        }
        Ok(())
    }

    fn furnish_instance(&self) -> Result<(), HostFault> {
        let netlink = Netlink::open()?;
        let out = up(&netlink, AT_INSTANCE)?;
        netlink.add_address(out, self.ipv4.0.into(), self.ipv4.1)?;
        netlink.add_route((SERVICE.0.into(), 32), None, out)?;
        for address in self.addresses_v6() {
            if !takes_ipv6(&netlink, out, address, 128)? {
                return Ok(());
            }
        }
        Ok(netlink.add_route((SERVICE.1.into(), 128), None, out)?)
    }

    fn addresses_v6(&self) -> impl Iterator<Item = Ipv6Addr> {
        self.ipv6.iter().copied().chain([INSTANCE_V6])
    }
}

/// Makes the link from the instance to its container, and has the instance forward.
fn link_container(container: &Namespace) -> Result<(), HostFault> {
    let netlink = Netlink::open()?;
    let ends = [TO_CONTAINER, AT_CONTAINER].map(|name| VethEnd { name, mac: None });
    netlink.add_veth(&ends[0], &ends[1], container)?;
    let out = up(&netlink, TO_CONTAINER)?;
    netlink.add_address(out, BRIDGE.into(), CONTAINERS.1)?;
    takes_ipv6(&netlink, out, BRIDGE_V6, CONTAINERS_V6.1)?;
    for path in FORWARDING {
        match fs::write(path, "1") {
            // A kernel without IPv6 has nothing to forward there.
            Err(fault) if fault.kind() != std::io::ErrorKind::NotFound => {
                return Err(HostFault::Forwarding { path, reason: fault.to_string() });
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn furnish_container() -> Result<(), HostFault> {
    let netlink = Netlink::open()?;
    let out = up(&netlink, AT_CONTAINER)?;
    netlink.add_address(out, CONTAINER.into(), CONTAINERS.1)?;
    netlink.add_route((Ipv4Addr::UNSPECIFIED.into(), 0), Some(BRIDGE.into()), out)?;
    if takes_ipv6(&netlink, out, CONTAINER_V6, CONTAINERS_V6.1)? {
        netlink.add_route((Ipv6Addr::UNSPECIFIED.into(), 0), Some(BRIDGE_V6.into()), out)?;
    }
    Ok(())
}

fn up(netlink: &Netlink, name: &str) -> Result<u32, NetlinkFault> {
    let missing = || NetlinkFault { request: format!("finding {name}"), errno: Errno::NODEV };
    let index = index_of(name)?.ok_or_else(missing)?;
    netlink.set_up(index).map(|()| index)
}

/// Adds an IPv6 address. Returns whether the namespace has IPv6 at all.
fn takes_ipv6(
    netlink: &Netlink,
    index: u32,
    address: Ipv6Addr,
    prefix: u8,
) -> Result<bool, NetlinkFault> {
    match netlink.add_address(index, address.into(), prefix) {
        Ok(()) => Ok(true),
        Err(fault)
            if matches!(fault.errno, Errno::ACCESS | Errno::OPNOTSUPP | Errno::AFNOSUPPORT) =>
        {
            Ok(false)
        }
        Err(fault) => Err(fault),
    }
}

fn service_namespace_of(instance: InstanceId) -> String {
    format!("{instance}-imds")
}

/// The instance's own, the service's, and the container's.
fn names_of(instance: InstanceId) -> [String; 3] {
    [instance.to_string(), service_namespace_of(instance), Host::container_namespace_of(instance)]
}
