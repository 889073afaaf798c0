//! What can be set, and where from.
//!
//! [`register`] declares each setting once; flags, variables, keys of the config file, the
//! reference and `serve --check` come from that. [`written`] is what the user gave, layer by layer;
//! [`Settings`](register::Settings) is what it means. [`mod@file`] reads the config file.

pub(crate) mod file;
mod instance_tables;
pub(crate) mod kind;
#[cfg(test)]
mod reference;
pub(crate) mod register;
mod role_tables;
pub(crate) mod written;
