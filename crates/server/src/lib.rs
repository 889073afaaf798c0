//! Listeners, connections, and what answers them.
//!
//! **What is this?** The data plane's I/O around the pure protocol of `metadata`, and the private
//! listeners of the management plane.
//!
//! **What does it never do?** The guest path waits for nobody: it reads one snapshot and a few
//! caches. It never calls the management plane, and is never called by it.
//!
//! **What is the picture?**
//!
//! ```text
//!  attachments ─▶ workers: the doors that are open, and a socket of each for a worker
//!  lifecycle ─▶ drivers: machines of instances that are launched, stopped, started and ended
//!
//!  accept ─▶ driver ─▶ connection ─▶ exchange ─▶ metadata      one request, pure from
//!  (door)    (tokio)   (state        (snapshot,   (protocol)   `connection` to the right
//!               │       machine)      caches) ─▶ answer (bytes)
//!               │
//!               ├─ delivery ─▶ ledger: tokens that did not arrive
//!               ├─ counters ─▶ manage (/metrics, /healthz, /readyz)
//!               └─ signer, credentials: work done off the path, read from caches
//! ```
//!
//! **Where do I start reading?** [`Exchange`], whose `reply` is the path of a request; then
//! [`Connection`] around it, and `driver` around that.

mod accept;
mod admin;
mod admission;
mod answer;
mod attachments;
mod background;
mod board;
mod clock;
mod connection;
mod counters;
mod credentials;
mod delivery;
mod driver;
mod drivers;
mod exchange;
mod first_packet;
mod hosts;
pub mod identity;
mod ledger;
mod lifecycle;
mod link_local;
mod listener;
mod machines;
mod manage;
mod opening;
mod passed;
mod program;
mod reports;
mod run;
mod service;
mod signatures;
mod signer;
mod surroundings;
mod sys;
mod throttle;
mod wakes;
mod watchdog;
mod workers;

pub use admin::{AskFault, SOCKET_NAME, ask};
pub use answer::Wire;
pub use clock::{Clock, Moment};
pub use connection::{Connection, Ending, HEAD_DEADLINE_MILLIS, Sending, Step, Unanswered};
pub use counters::{Counters, Limit, exposition};
pub use credentials::{HeldCredentials, PostFault, ProgramFault, SourceFault, StsFault};
pub use exchange::{Desk, Entrance, Exchange, Peer};
pub use listener::ListenFault;
pub use passed::{Passed, PassedFault};
pub use run::{Bounds, Notice, Ready, RunFault, ServerSettings, Stage, run};
pub use service::{Service, ServiceSettings};
pub use signatures::SignatureCache;
