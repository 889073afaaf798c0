//! What operators may change.
//!
//! **What is this?** Plans: functions from a snapshot and a wish to the changes that make it true,
//! or to a refusal that says why not. [`answer`](answer()) is the path of a request by an AWS client,
//! [`api`] its wire; [`native`] is the API of the admin socket; [`lifecycle`] is what is asked of
//! instances and what comes of it; [`start`](start::start) is what a server does before it serves.
//!
//! **What does it never do?** No sockets, no clock, no randomness: time and fresh keys come in as
//! values. It never talks to the data plane; they meet in the store.
//!
//! **Where do I start reading?** [`native::Request`], then [`lifecycle`].

mod action;
mod answer;
pub mod api;
mod authorize;
mod caller;
mod declarative;
mod ec2;
pub mod events;
mod iam;
pub mod instances;
pub mod keys;
mod launch_settings;
pub mod lifecycle;
pub mod native;
mod organizations;
pub mod start;
mod sts;

pub use answer::{answer, refuse};
pub use launch_settings::{LaunchSettings, References, TypePattern};
