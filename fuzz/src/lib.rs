//! What hostile bytes can do to OpenIMDS.
//!
//! **What is this?** One module for each fuzz target, with a function `check` that panics if the
//! bytes it is given make a promise untrue. The programs in `fuzz_targets/` only call it, and
//! `tests/seeds.rs` calls it with every committed seed.
//!
//! **What does it never do?** It does not stop at "does not panic": each target has a judge that
//! shares no code with what it judges. [`naive`] reads requests and paths slowly and plainly,
//! [`tree`] knows what there is to read because it has followed every listing, and [`framing`]
//! reads answers as a strict client does.
//!
//! **Where do I start reading?** [`connection`] is the whole path of a request; the other targets
//! look closer at a part of it.

pub mod connection;
pub mod filter;
pub mod form;
pub mod framing;
pub mod input;
pub mod naive;
pub mod native;
pub mod path;
pub mod policy;
pub mod records;
pub mod request;
pub mod scene;
pub mod session;
pub mod signature;
pub mod token;
pub mod tree;
pub mod ttl;
