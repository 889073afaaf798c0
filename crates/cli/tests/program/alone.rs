//! Runs a test alone: in a process, a network namespace and a mount namespace of its own, with an
//! empty `/run`. What it makes there, named namespaces included, ends with it. It needs `unshare`
//! and `mount` of util-linux, and root or user namespaces that an ordinary user may make.

use std::any::type_name;
use std::process::Command;

use crate::running::tell;

/// Tells the process in which the test is alone.
const ALONE: &str = "IMDS_TEST_ALONE";

/// Makes an empty `/run`, as at the start of a system, and becomes the program that the arguments
/// name. A caller that lies about its address is to be stopped by the server, not by the kernel; and
/// nobody else can have an IPv6 address, so that there is nobody to ask about it for a second.
const SETUP: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && \
                     for which in all default; do \
                     echo 0 > /proc/sys/net/ipv4/conf/$which/rp_filter && \
                     echo 0 > /proc/sys/net/ipv6/conf/$which/accept_dad || exit; done && \
                     exec \"$@\"";

/// Runs `test`, the closure that is all of a test.
pub(crate) fn alone<F: FnOnce()>(test: F) {
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    // Such as `program::attachments::a_test::{{closure}}`: in the middle is the name of the test.
    let path = type_name::<F>();
    let name = path.split_once("::").and_then(|(_, rest)| rest.strip_suffix("::{{closure}}"));
    let name = name.unwrap_or_else(|| panic!("`{path}` is not the closure of a test"));
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    unshare.args(["--mount", "--net", "sh", "-c", SETUP, "sh"]);
    unshare.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    let output = unshare
        .env(ALONE, "1")
        .output()
        .unwrap_or_else(|fault| panic!("{unshare:?} cannot be run: {fault}"));
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (said(&output.stdout), said(&output.stderr));
    let is_passed = output.status.success() && stdout.contains("1 passed");
    assert!(is_passed, "{name}: {}\n{stdout}{stderr}", output.status);
    if !stderr.is_empty() {
        tell(stderr.trim_end());
    }
}
