//! Tests that are alone, in a network that may be lied in.

use crate::unshared::alone_after;

/// A caller that lies about its address is to be stopped by the server, not by the kernel; and
/// nobody else can have an IPv6 address, so that there is nobody to ask about it for a second.
const LIES: &str = "ip link set lo up && \
                    for which in all default; do \
                    echo 0 > /proc/sys/net/ipv4/conf/$which/rp_filter && \
                    echo 0 > /proc/sys/net/ipv6/conf/$which/accept_dad || exit; done &&";

/// Runs `test`, the closure that is all of a test.
pub(crate) fn alone<F: FnOnce()>(test: F) {
    alone_after(LIES, test);
}
