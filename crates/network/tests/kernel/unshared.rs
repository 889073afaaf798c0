//! Runs a test alone: in a process, a network namespace and a mount namespace of its own, with an
//! empty `/run`. What it makes there, named namespaces included, ends with it. It needs `unshare`
//! and `mount` of util-linux, and root or user namespaces that an ordinary user may make.

use std::any::type_name;
use std::io::Write as _;
use std::process::Command;

/// Tells the process in which the test is alone.
const ALONE: &str = "IMDS_TEST_ALONE";

/// Runs `test`, the closure that is all of a test, after commands of a shell that end with `&&`, or
/// none.
pub(crate) fn alone_after<F: FnOnce()>(commands: &str, test: F) {
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
    // Then the shell, which is root there, becomes the test.
    let setup = format!("mount -t tmpfs tmpfs /run && {commands} exec \"$@\"");
    unshare.args(["--mount", "--net", "sh", "-c", &setup, "sh"]);
    unshare.arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]);
    let output = unshare
        .env(ALONE, "1")
        .output()
        .unwrap_or_else(|fault| panic!("{unshare:?} cannot be run: {fault}"));
    let said = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (said(&output.stdout), said(&output.stderr));
    let is_passed = output.status.success() && stdout.contains("1 passed");
    assert!(is_passed, "{name}: {}\n{stdout}{stderr}", output.status);
    // Figures are told past the harness, which shows what tests print only where they fail.
    std::io::stderr().write_all(stderr.as_bytes()).unwrap();
}
