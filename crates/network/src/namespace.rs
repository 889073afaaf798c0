//! A handle of a network namespace, and work done inside.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::{LinkIndex, Netlink, NetlinkFault, sys};

/// The magic number of the file system that namespaces are files of (`NSFS_MAGIC`).
const NAMESPACE_FILE_SYSTEM: u64 = 0x6e73_6673;

/// Where the kernel shows its objects; what it shows of links is of one network namespace.
const SYS: &str = "/sys";

/// A network namespace, held open: it exists for as long as this does.
///
/// To hold one is not to be in it. [`run`](Self::run) is the way in.
#[derive(Debug)]
pub struct Namespace {
    file: OwnedFd,
    identity: NamespaceIdentity,
}

/// What tells a network namespace from all others of this system that exist.
///
/// Once a namespace is gone, the kernel may give its numbers to a new one: hold a [`Namespace`]
/// for as long as its identity must mean something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamespaceIdentity {
    device: u64,
    inode: u64,
}

/// Why something could not be done with a network namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceFault {
    /// Nothing has the name.
    #[error("there is no network namespace at `{}`: `ip netns list` shows which there are", .0.display())]
    Absent(PathBuf),
    /// The name is taken.
    #[error(
        "the network namespace `{0}` exists already: choose another name, or delete it with \
         `ip netns delete {0}` if nothing needs it"
    )]
    Exists(String),
    /// A name that is not one of a file.
    #[error("`{0}` cannot be the name of a network namespace: use a file name, without `/`")]
    Name(String),
    /// The new namespace has no loopback interface to switch on.
    #[error("the new network namespace cannot be made ready")]
    Netlink(#[source] NetlinkFault),
    /// Something else has the name.
    #[error(
        "`{}` is not a network namespace: `ip netns` makes such files, and `/proc/PID/ns/net` is \
         one", .0.display()
    )]
    NotANamespace(PathBuf),
    /// Anything else.
    #[error("{action} failed")]
    Other {
        /// What was tried.
        action: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// No privilege.
    #[error("{action} needs root, or CAP_SYS_ADMIN")]
    PermissionDenied {
        /// What was tried.
        action: String,
    },
    /// The program to become cannot be run.
    #[error("`{program}` cannot be run in the network namespace")]
    Program {
        /// The program.
        program: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The system's bound is reached.
    #[error(
        "there are as many network namespaces as there may be: delete some, or raise \
         /proc/sys/user/max_net_namespaces"
    )]
    TooMany,
}

impl NamespaceFault {
    /// Sorts what the system says when `action` fails.
    pub(crate) fn new(action: impl Into<String>, fault: impl Into<io::Error>) -> Self {
        let (action, source) = (action.into(), fault.into());
        if source.kind() == io::ErrorKind::PermissionDenied {
            Self::PermissionDenied { action }
        } else {
            Self::Other { action, source }
        }
    }
}

impl Namespace {
    /// Opens the namespace that the calling thread is in.
    ///
    /// # Errors
    ///
    /// [`NamespaceFault::Other`], for instance if `/proc` is not mounted or no more files may be
    /// open.
    pub fn current() -> Result<Self, NamespaceFault> {
        // The thread's, not the process's: they differ inside of `run`.
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// Opens the namespace at `path`: one of [`path_of`](Self::path_of), or that of a process,
    /// `/proc/PID/ns/net`.
    ///
    /// # Errors
    ///
    /// - [`NamespaceFault::Absent`] if nothing is there.
    /// - [`NamespaceFault::NotANamespace`] if it is something else, which is not even opened. That
    ///   holds for a name that is being created by someone: for a moment it is an empty file.
    /// - [`NamespaceFault::PermissionDenied`] if it may not be looked at.
    pub fn open(path: &Path) -> Result<Self, NamespaceFault> {
        let fault = |errno| match errno {
            Errno::NOENT => NamespaceFault::Absent(path.into()),
            // A device or a socket with nobody behind it, or a file used as a directory.
            Errno::NXIO | Errno::NODEV | Errno::NOTDIR | Errno::LOOP => {
                NamespaceFault::NotANamespace(path.into())
            }
            errno => NamespaceFault::new(format!("opening `{}`", path.display()), errno),
        };
        // To open a device or a pipe can have effects, so it is found out first what it is.
        let found =
            rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(fault)?;
        let system = rustix::fs::fstatfs(&found).map_err(fault)?;
        if u64::try_from(system.f_type) != Ok(NAMESPACE_FILE_SYSTEM) {
            return Err(NamespaceFault::NotANamespace(path.into()));
        }
        let same = format!("/proc/self/fd/{}", found.as_raw_fd());
        let file = rustix::fs::open(same, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .map_err(fault)?;
        let kind = sys::namespace_kind(file.as_fd()).map_err(fault)?;
        if kind != LinkNameSpaceType::Network as u32 {
            return Err(NamespaceFault::NotANamespace(path.into()));
        }
        let stat = rustix::fs::fstat(&file).map_err(fault)?;
        let identity = NamespaceIdentity { device: stat.st_dev, inode: stat.st_ino };
        Ok(Self { file, identity })
    }

    /// Makes a namespace without a name. Its loopback interface is up. It is gone when nothing
    /// holds it any more: no handle, no process inside, no socket.
    ///
    /// # Errors
    ///
    /// - [`NamespaceFault::PermissionDenied`] without the privilege to make one.
    /// - [`NamespaceFault::Netlink`] if its loopback interface cannot be switched on.
    /// - [`NamespaceFault::TooMany`] if there are as many as there may be.
    /// - [`NamespaceFault::Other`], for instance if no thread can be started.
    pub fn unnamed() -> Result<Self, NamespaceFault> {
        on_a_thread(|| {
            sys::unshare_network().map_err(|errno| match errno {
                Errno::NOSPC => NamespaceFault::TooMany,
                errno => NamespaceFault::new("making a network namespace", errno),
            })?;
            let up = Netlink::open().and_then(|mut netlink| netlink.set_up(LinkIndex::LOOPBACK));
            up.map_err(NamespaceFault::Netlink)?;
            Self::current()
        })?
    }

    /// Returns what tells this namespace from others.
    pub fn identity(&self) -> NamespaceIdentity {
        self.identity
    }

    /// Runs `work` inside of the namespace, on a thread of its own that ends with it, so that no
    /// thread is ever found in another namespace than it started in.
    ///
    /// What is made inside belongs there for good: sockets, [`Netlink`],
    /// [`LinkWatch`](crate::LinkWatch), child processes. The calling thread waits.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::process::Command;
    /// let namespace = network::Namespace::named("blue")?;
    /// let child = namespace.run(|| Command::new("sleep").arg("1").spawn())??;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// - [`NamespaceFault::PermissionDenied`] without the privilege to enter.
    /// - [`NamespaceFault::Other`] if no thread can be started.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NamespaceFault> {
        on_a_thread(|| {
            self.enter()?;
            Ok(work())
        })?
    }

    /// Becomes another program, inside of the namespace: the process keeps its id, and everything
    /// of ours in it ends. The program sees the namespace's links in `/sys` too, as with
    /// `ip netns exec`; for that, it gets a mount namespace of its own.
    ///
    /// Returns only if that failed; then nothing has changed.
    pub fn exec(&self, command: &mut Command) -> NamespaceFault {
        let program = command.get_program().display().to_string();
        // The thread that calls `exec` is the one that is left. Where that fails, it ends, and
        // nobody else has moved.
        on_a_thread(|| match self.enter().and_then(|()| show_own_links()) {
            Ok(()) => NamespaceFault::Program { source: command.exec(), program },
            Err(fault) => fault,
        })
        .unwrap_or_else(|fault| fault)
    }

    /// Moves the calling thread inside.
    fn enter(&self) -> Result<(), NamespaceFault> {
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| NamespaceFault::new("entering a network namespace", errno))
    }
}

impl fmt::Display for NamespaceIdentity {
    /// Writes it as `/proc/PID/ns/net` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net:[{}]", self.inode)
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Mounts over `/sys`, for the calling thread alone, one that shows the links of the network
/// namespace that it is in.
fn show_own_links() -> Result<(), NamespaceFault> {
    let fault = |errno| NamespaceFault::new("showing the namespace's links in /sys", errno);
    sys::unshare_mounts().map_err(fault)?;
    // What is mounted here stays here; what is mounted outside still comes.
    let inwards = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", inwards).map_err(fault)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("sysfs", SYS, "sysfs", flags, None).map_err(fault)
}

/// Runs `work` on a thread of its own, and waits for it.
fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, NamespaceFault> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .name("imds-namespace".into())
            .spawn_scoped(scope, work)
            .map_err(|fault| NamespaceFault::Other {
                action: "starting a thread".into(),
                source: fault,
            })?;
        // A panic is a defect of the caller's: let it be seen as one.
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

impl NamespaceIdentity {
    /// Returns the identity of the file at `path`, if there is one: that of a namespace while it
    /// stands for one.
    pub fn of_path(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::of_file)
    }

    /// Returns the identity of a file. It is that of a namespace if the file is on the same device
    /// as one.
    pub(crate) fn of_file(metadata: &Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    /// Returns whether both are files of the same file system, as all namespaces are.
    pub(crate) fn is_beside(self, other: Self) -> bool {
        self.device == other.device
    }
}
