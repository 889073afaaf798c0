//! A host for an instance to live in, made of network namespaces.
//!
//! ```text
//!  ID-imds                     ID                                    ID-container
//!  imds0 ◀── link ──▶ eth0 (the instance's MAC and addresses)
//!  169.254.169.254             container0 ◀── link ──▶ eth0
//!  fd00:ec2::254               172.17.0.1                            172.17.0.2
//! ```
//!
//! The service answers in a namespace that holds nothing but its end of the link, so that whoever
//! reaches it is the instance, whatever address it comes from. What a container of the instance
//! asks and is answered is forwarded by the instance, as on EC2: an answer that may travel one hop
//! reaches the instance and not the container. Containers keep their address on the way, where
//! EC2's masquerade; the service has a route back to them.
//!
//! Nothing is kept of a host but what the kernel and `/run/netns` know, and its names tell all of
//! it.

mod plan;
mod work;

use std::fmt;
use std::io;
use std::net::Ipv6Addr;

use ipnet::{IpNet, Ipv4Net};
use model::{InstanceId, MacAddress};

use crate::{Namespace, NamespaceFault, NetlinkFault};
use plan::Plan;

/// A host: what its namespaces, links, addresses and routes follow from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The instance, for which everything is named.
    pub instance: InstanceId,
    /// The Ethernet address of the instance's primary interface.
    pub mac: MacAddress,
    /// Its primary private IPv4 address, with the prefix of its subnet. An instance without one
    /// gets a link-local address, by which it can reach the service.
    pub ipv4: Option<Ipv4Net>,
    /// Its IPv6 addresses. An instance without any gets a unique local address, by which it can
    /// reach the service.
    pub ipv6: Vec<Ipv6Addr>,
    /// Whether a container runs on the instance, in a namespace of its own.
    pub has_container: bool,
}

/// One of the namespaces of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// A container on the instance.
    Container,
    /// The instance.
    Instance,
    /// Where the service listens.
    Service,
}

impl Place {
    /// All of them, in the order in which they are taken down.
    pub const ALL: [Self; 3] = [Self::Container, Self::Instance, Self::Service];

    /// Returns the name of the namespace in `/run/netns`.
    pub fn namespace_of(self, instance: InstanceId) -> String {
        match self {
            Self::Container => format!("{instance}-container"),
            Self::Instance => instance.to_string(),
            Self::Service => format!("{instance}-imds"),
        }
    }
}

/// Something that a host consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// An address of a link.
    Address {
        /// The namespace that the link is in.
        namespace: String,
        /// The link.
        link: &'static str,
        /// The address.
        address: IpNet,
    },
    /// A link that is there and switched on.
    Link {
        /// The namespace that it is in.
        namespace: String,
        /// The link.
        link: &'static str,
    },
    /// A namespace.
    Namespace(String),
    /// A route.
    Route {
        /// The namespace that it is in.
        namespace: String,
        /// Where it leads.
        destination: IpNet,
    },
    /// A setting of the kernel.
    Setting {
        /// The namespace that it is of.
        namespace: String,
        /// Its name below `/proc/sys/net`.
        setting: &'static str,
    },
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { namespace, link, address } => {
                write!(f, "the address {address} of `{link}` in `{namespace}`")
            }
            Self::Link { namespace, link } => write!(f, "the link `{link}` in `{namespace}`"),
            Self::Namespace(namespace) => write!(f, "the network namespace `{namespace}`"),
            Self::Route { namespace, destination } => {
                write!(f, "the route to {destination} in `{namespace}`")
            }
            Self::Setting { namespace, setting } => {
                write!(f, "the setting `{setting}` of `{namespace}`")
            }
        }
    }
}

/// Why a host could not be made, looked at or removed.
#[derive(Debug, thiserror::Error)]
pub enum HostFault {
    /// A namespace cannot be made, opened, entered or deleted.
    #[error(transparent)]
    Namespace(#[from] NamespaceFault),
    /// The kernel refused what a link, address or route needs.
    #[error("the network namespace `{namespace}` cannot be as the instance needs it")]
    Netlink {
        /// The namespace.
        namespace: String,
        /// What the kernel says.
        #[source]
        source: NetlinkFault,
    },
    /// There is no room for a container's network beside the instance's.
    #[error("{0} leaves no private network to a container: use the prefix of a subnet, /16 to /28")]
    NoContainerNetwork(Ipv4Net),
    /// It could not be made, and then what had been made could not be removed.
    #[error("the host is half made, and half removed: {undoing}; remove it again")]
    Remains {
        /// Why it could not be made.
        #[source]
        cause: Box<HostFault>,
        /// Why it could not be removed.
        undoing: Box<HostFault>,
    },
    /// A setting cannot be read or written.
    #[error(
        "`/proc/sys/net/{setting}` of the network namespace `{namespace}` cannot be set: it takes \
         root, and a `/proc/sys` that is not mounted read-only"
    )]
    Setting {
        /// The namespace.
        namespace: String,
        /// The setting.
        setting: &'static str,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl Host {
    /// Makes the host. Whoever is told that this has succeeded can run programs in the instance's
    /// namespace that reach the service's.
    ///
    /// # Errors
    ///
    /// [`HostFault`], for instance [`NamespaceFault::Exists`] if a part of such a host is there
    /// already. Then nothing of this one is left, and what was there is as it was.
    pub fn make(&self) -> Result<(), HostFault> {
        let plan = Plan::new(self, work::has_ipv6())?;
        let mut made = Vec::new();
        work::build(&plan, &mut made).map_err(|cause| {
            // What was made last is removed first.
            let undone =
                made.iter().rev().map(|name| work::take_down(name)).fold(Ok(()), Result::and);
            match undone {
                Ok(()) => cause,
                Err(undoing) => {
                    HostFault::Remains { cause: Box::new(cause), undoing: Box::new(undoing) }
                }
            }
        })
    }

    /// Returns what the host should have and has not: nothing if it is whole, for instance after
    /// [`make`](Self::make); all of its namespaces after a restart of the system. Of what is in a
    /// namespace that is missing nothing is said.
    ///
    /// # Errors
    ///
    /// [`HostFault`].
    pub fn missing(&self) -> Result<Vec<Part>, HostFault> {
        let plan = Plan::new(self, work::has_ipv6())?;
        let mut missing = Vec::new();
        for room in &plan.rooms {
            match Namespace::named(&room.name) {
                Ok(namespace) => missing.extend(work::missing_in(room, &namespace)?),
                Err(NamespaceFault::Absent(_) | NamespaceFault::NotANamespace(_)) => {
                    missing.push(Part::Namespace(room.name.clone()));
                }
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(missing)
    }

    /// Removes whatever there is of the host of `instance`: nothing, some, or all. Its links are
    /// gone and its names are free when this returns, even where processes or sockets keep a
    /// namespace itself.
    ///
    /// It goes by the names: who calls this must know that they are of a host.
    ///
    /// # Errors
    ///
    /// [`HostFault`], the first one; the rest has been removed nevertheless.
    pub fn remove(instance: InstanceId) -> Result<(), HostFault> {
        Place::ALL
            .map(|place| work::take_down(&place.namespace_of(instance)))
            .into_iter()
            .fold(Ok(()), Result::and)
    }
}
