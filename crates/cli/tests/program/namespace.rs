//! Network namespaces to run programs in. They need `unshare`, `nsenter`, `mount` and `setpriv` of
//! util-linux, `ip` and `ss` of iproute2, and root or user namespaces that an ordinary user may
//! make.
//!
//! Each has a mount namespace of its own too, with an empty `/run`: the names that programs inside
//! give to further namespaces, in `/run/netns`, are seen by nobody else and end with the last of
//! them.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::running::Home;

/// A network namespace with nothing in it but a loopback interface, and a `/run` with nothing in
/// it, kept by a shell that waits for its standard input to end.
pub(crate) struct Namespace {
    keeper: Child,
    /// Whether it is in a user namespace of its own too, in which an ordinary user is root.
    is_of_user: bool,
}

impl Namespace {
    pub(crate) fn new(home: &Home) -> Self {
        let is_of_user = !rustix::process::geteuid().is_root();
        let mut unshare = Command::new("unshare");
        if is_of_user {
            unshare.arg("--map-root-user");
        }
        Self::kept(home.around(unshare, &KEEP), is_of_user)
    }

    /// Makes another one, that interfaces of this one can be moved to, with the same `/run`.
    pub(crate) fn beside(&self, home: &Home) -> Self {
        let keep = [&["unshare"], &KEEP_BESIDE[..]].concat();
        Self::kept(self.inside(home, &keep), self.is_of_user)
    }

    fn kept(mut keep: Command, is_of_user: bool) -> Self {
        let mut keeper = keep
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|fault| panic!("{keep:?} cannot be run: {fault}"));
        let mut line = String::new();
        let mut stdout = BufReader::new(keeper.stdout.take().unwrap());
        let this = Self { keeper, is_of_user };
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, "up\n", "no network namespace could be made: see this file's head");
        this
    }

    /// The process that keeps it.
    pub(crate) fn keeper(&self) -> String {
        self.keeper.id().to_string()
    }

    /// A program inside.
    pub(crate) fn inside(&self, home: &Home, command: &[&str]) -> Command {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--mount", "--net", "--target", &self.keeper()]);
        if self.is_of_user {
            nsenter.args(["--user", "--preserve-credentials"]);
        }
        home.around(nsenter, command)
    }

    /// The program, inside.
    pub(crate) fn imds(&self, home: &Home, arguments: &[&str]) -> Command {
        self.inside(home, &[&[env!("CARGO_BIN_EXE_imds")], arguments].concat())
    }
}

/// What `unshare` is given to keep a namespace.
const KEEP: [&str; 5] = [
    "--mount",
    "--net",
    "sh",
    "-c",
    "mount -t tmpfs tmpfs /run && ip link set lo up && echo up && read -r end",
];

/// The same, with the mount namespace that it is made in.
const KEEP_BESIDE: [&str; 4] = ["--net", "sh", "-c", "ip link set lo up && echo up && read -r end"];

impl Drop for Namespace {
    fn drop(&mut self) {
        // The keeper ends with its input, and the namespace with the last process in it.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
