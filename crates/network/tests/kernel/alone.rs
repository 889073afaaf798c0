//! Tests that are alone, in a network as the kernel makes it.

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::unshared::alone_after;

/// Runs `test`, the closure that is all of a test.
pub(crate) fn alone<F: FnOnce()>(test: F) {
    alone_after("", test);
}

/// Leaves the calling thread without any privilege.
pub(crate) fn give_up_capabilities() {
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).unwrap();
}
