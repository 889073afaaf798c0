//! Runs a test alone: in a process, a mount namespace and a network namespace of its own, with an
//! empty `/run`. It needs `unshare` and `mount` of util-linux, and root or user namespaces that an
//! ordinary user may make.

use std::any::type_name;
use std::process::Command;

/// Tells the process in which the test is alone.
const ALONE: &str = "OPENIMDS_TEST_ALONE";

/// Makes an empty `/run`, as at the start of a system, and becomes the program named by the
/// arguments. It must be the network namespace's own root that runs it.
const SETUP: &str = "mount -t tmpfs tmpfs /run && exec \"$@\"";

/// Runs `test`, the closure that is all of a test.
pub(crate) fn alone<F: FnOnce()>(test: F) {
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    // Such as `kernel::links::a_test::{{closure}}`: in the middle is the name of the test.
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
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success() && said.contains("1 passed"), "{name}: {said}");
}
