//! Tests against the kernel, in namespaces that each test has for itself.
//!
//! [`unshared`] and [`waiting`] serve the tests of the program too (`crates/cli/tests`).

#![cfg(test)]

mod alone;
mod hosts;
mod links;
mod names;
mod namespaces;
mod readiness;
mod unshared;
mod waiting;
mod watches;
