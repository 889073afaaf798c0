//! Network namespaces of Linux, their links, addresses and routes.
//!
//! **What is this?** What the server and the program ask of the kernel about networks: namespaces
//! under `/run/netns`, where `ip netns` sees them and keeps its own; what is in one, and changes
//! to it, over netlink; and word of links and namespaces that come and go.
//!
//! **What does it never do?** It runs no program, keeps nothing of its own outside the kernel and
//! `/run/netns`, and leaves no thread in another namespace than it was in. It knows no async
//! runtime: what can be waited for is a file descriptor.
//!
//! **What is the picture?**
//!
//! ```text
//!  /run/netns/NAME ◀── create, delete ──┐
//!        │                              │          run(closure): on a thread that enters,
//!        └── open ──▶ Namespace ────────┴────────▶ and ends: Netlink, LinkWatch, sockets and
//!                        │                         child processes made there stay there
//!                        └── exec: the program becomes another one, inside
//!
//!  NameWatch: namespaces that appear and vanish     LinkWatch: links of one namespace
//!
//!  Host: three namespaces, their links, addresses and routes, in which an instance lives
//! ```
//!
//! **Where do I start reading?** [`Namespace::run`], then [`Netlink`]; [`Host`] uses them all.

mod host;
mod link_watch;
mod name_watch;
mod named;
mod namespace;
mod netlink;
mod sys;

pub use host::{Host, HostFault, Part, Place};
pub use link_watch::{LinkEvent, LinkWatch};
pub use name_watch::{NameEvent, NameWatch};
pub use named::DIRECTORY;
pub use namespace::{Namespace, NamespaceFault, NamespaceIdentity};
pub use netlink::{
    InterfaceAddress, Link, LinkIndex, Netlink, NetlinkFault, Route, RouteTarget, VethEnd,
};
