//! Linux network namespaces, and the links, addresses and routes in them.
//!
//! **What is this?** What the server and the program ask of the kernel's networking, in words of
//! their own: open and make [`Namespace`]s, change and read what is in one ([`Netlink`]), notice
//! what comes and goes ([`LinkWatch`], [`NameWatch`]), and build the network of an instance that
//! has no machine of its own ([`Host`]).
//!
//! **What does it never do?** It never leaves a thread in a namespace that it did not start in:
//! work inside one is done by a thread that ends with it. It runs no program and keeps no state but
//! the kernel's, and names under `/run/netns` as `ip netns` has them.
//!
//! **What is the picture?**
//!
//! ```text
//!  service namespace          instance's namespace             container's namespace
//!  169.254.169.254 imds0 ──── eth0 10.0.x.y   container0 ───── eth0 172.17.0.2
//!  the server's socket        forwards: here a hop is counted
//! ```
//!
//! **Where do I start reading?** [`Namespace::run`], then [`Host::make`].

mod host;
mod namespace;
mod netlink;
mod sys;
mod watch;

pub use host::{Host, HostFault};
pub use namespace::{Namespace, NamespaceFault, NamespaceIdentity};
pub use netlink::{Address, Link, Netlink, NetlinkFault, Route, VethEnd, index_of};
pub use watch::{LinkEvent, LinkWatch, NameWatch};
