//! Tests against the kernel, in namespaces that each test has for itself.

#![cfg(test)]

mod alone;
mod hosts;
mod links;
mod names;
mod namespaces;
mod waiting;
mod watches;
