//! Declarative policies for EC2: what an organization says of its accounts' attributes (control plane,
//! 5.8).
//!
//! ```text
//! root's policies ─┐
//! unit's policies ─┼─ Effective::of ─▶ Effective ─ in_force ─▶ DefaultsInForce ─▶ launches, Get…,
//! account's own   ─┘                                               ▲               Modify…
//!                                        the account's settings ───┘
//! ```
//!
//! The service enforces them, not authorization: a dry run does not find them, and no permission gets
//! around them. While one sets metadata defaults, it stands in the place of all of the account's own
//! settings; these are kept, and are back once it is gone.

mod content;
mod effective;
mod in_force;
mod strict;

pub(crate) use self::content::{Content, ContentRefusal};
use self::effective::Effective;
pub(crate) use self::in_force::{effective_for, in_force};

#[cfg(test)]
mod tests;
