//! The conformance suite: what a client of the metadata service must see.
//!
//! **What is this?** A reader and a player for the plain-text cases in `cases/`, whose language the
//! README describes. Each case is played against a [`Target`], a service in one state: in process,
//! where the clock obeys, and over the wire, against the built `imds`.
//!
//! **What does it never do?** It knows nothing of how the service works, and it sends nothing
//! outside the loopback interface.
//!
//! ```text
//!   cases/*.case ── parse ──► Case ─┐
//!   states.toml ─── state ──► Scene ┼── suite ──► play ──► Target ── in_process
//!   gaps.toml ───── ledger ─────────┘               │             └─ over_the_wire
//!                                                   └─ answer, check, crawl
//! ```
//!
//! Start reading at [`Suite::play`].

mod answer;
mod case;
mod check;
mod crawl;
mod escape;
mod in_process;
mod ledger;
mod over_the_wire;
mod parse;
mod play;
mod scratch;
mod state;
mod suite;
mod target;

pub use in_process::InProcess;
pub use over_the_wire::OverTheWire;
pub use suite::{Report, Suite};
pub use target::{End, Family, Profile, Received, Scene, Sender, Sent, Stage, Target, Whom};
