//! Network namespaces, by handle and by name.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;

use model::NetnsName;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::netlink::Netlink;
use crate::sys;

/// The file system that namespaces stand on (`NSFS_MAGIC`).
const NSFS: i64 = 0x6e73_6673;

/// Why a namespace cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceFault {
    /// There is none.
    #[error("there is no network namespace at `{path}`: `ip netns list` shows those with names")]
    Absent {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// One that was to be made is there already.
    #[error("there is a network namespace at `{path}` already: remove it, or choose another name")]
    Exists {
        /// Where it was to be.
        path: PathBuf,
    },
    /// Something else is there.
    #[error("`{path}` is not a network namespace: name one that `ip netns list` shows")]
    NotANamespace {
        /// What it is.
        path: PathBuf,
    },
    /// No privilege.
    #[error(
        "the network namespace `{path}` needs a privilege: run the program as root, or give it \
         CAP_SYS_ADMIN"
    )]
    PermissionDenied {
        /// Which one.
        path: PathBuf,
    },
    /// Anything else.
    #[error("the network namespace `{path}` cannot be used: {reason}")]
    Other {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
}

impl NamespaceFault {
    fn of(path: &Path, fault: impl Into<io::Error>) -> Self {
        let (path, fault) = (path.to_owned(), fault.into());
        match Errno::from_io_error(&fault) {
            Some(Errno::NOENT) => Self::Absent { path },
            Some(Errno::EXIST) => Self::Exists { path },
            Some(Errno::ACCESS | Errno::PERM) => Self::PermissionDenied { path },
            Some(Errno::INVAL) => Self::NotANamespace { path },
            _ => Self::Other { path, reason: fault.to_string() },
        }
    }
}

/// What tells one namespace from all others, for as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NamespaceIdentity {
    device: u64,
    inode: u64,
}

impl NamespaceIdentity {
    /// Returns the identity of what stands at `path` now, if anything does.
    pub fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self { device: found.dev(), inode: found.ino() })
    }
}

/// A network namespace, kept alive for as long as this is.
#[derive(Debug)]
pub struct Namespace {
    path: PathBuf,
    file: OwnedFd,
    identity: NamespaceIdentity,
}

impl Namespace {
    /// Returns where the namespace of a name is, as `ip netns` has it.
    pub fn path_of(name: &str) -> PathBuf {
        Path::new(NetnsName::DIRECTORY).join(name)
    }

    /// Opens the namespace that the calling thread is in.
    ///
    /// # Errors
    ///
    /// [`NamespaceFault`]
    pub fn current() -> Result<Self, NamespaceFault> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// Opens the namespace at `path`. A name that was made a moment ago may stand for nothing yet:
    /// then it is [`NamespaceFault::NotANamespace`], and worth another try.
    ///
    /// # Errors
    ///
    /// [`NamespaceFault`]
    pub fn open(path: &Path) -> Result<Self, NamespaceFault> {
        let fault = |errno: Errno| NamespaceFault::of(path, errno);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(fault)?;
        let on = rustix::fs::fstatfs(&file).map_err(fault)?;
        if on.f_type != NSFS {
            return Err(NamespaceFault::NotANamespace { path: path.to_owned() });
        }
        let found = rustix::fs::fstat(&file).map_err(fault)?;
        let identity = NamespaceIdentity { device: found.st_dev, inode: found.st_ino };
        Ok(Self { path: path.to_owned(), file, identity })
    }

    /// Makes a namespace with a name, as `ip netns add` does, with nothing in it but a loopback
    /// interface that is up.
    ///
    /// # Errors
    ///
    /// [`NamespaceFault`]; then there is none.
    pub fn create(name: &str) -> Result<Self, NamespaceFault> {
        let path = Self::path_of(name);
        let fault = |fault: io::Error| NamespaceFault::of(&path, fault);
        share_directory().map_err(fault)?;
        let mut options = fs::OpenOptions::new();
        options.create_new(true).write(true).mode(0o444).open(&path).map_err(fault)?;
        let furnish = || -> io::Result<()> {
            sys::unshare_network()?;
            let netlink = Netlink::open().map_err(io::Error::other)?;
            netlink.set_up(LOOPBACK_INDEX).map_err(io::Error::other)?;
            Ok(rustix::mount::mount_bind("/proc/thread-self/ns/net", &path)?)
        };
        let made = thread::scope(|scope| join(scope.spawn(furnish)));
        match made.map_err(fault).and_then(|()| Self::open(&path)) {
            Ok(namespace) => Ok(namespace),
            Err(fault) => {
                let _ = Self::delete(name);
                Err(fault)
            }
        }
    }

    /// Takes away a namespace's name. It ends once nothing uses it any more. No such name is fine.
    ///
    /// # Errors
    ///
    /// [`NamespaceFault`]
    pub fn delete(name: &str) -> Result<(), NamespaceFault> {
        let path = Self::path_of(name);
        match rustix::mount::unmount(&path, UnmountFlags::DETACH) {
            // Not there, or there without a namespace.
            Ok(()) | Err(Errno::NOENT | Errno::INVAL) => {}
            Err(errno) => return Err(NamespaceFault::of(&path, errno)),
        }
        match fs::remove_file(&path) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => {
                Err(NamespaceFault::of(&path, fault))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Returns what tells it from all others.
    pub fn identity(&self) -> NamespaceIdentity {
        self.identity
    }

    /// Does something inside, on a thread of its own that ends with it. Sockets that it opens stay
    /// in the namespace.
    ///
    /// # Errors
    ///
    /// [`NamespaceFault`] if it cannot be entered; then nothing is done.
    pub fn run<T: Send>(&self, action: impl FnOnce() -> T + Send) -> Result<T, NamespaceFault> {
        let inside = || self.move_thread().map(|()| action());
        thread::scope(|scope| {
            let started = thread::Builder::new().name("imds-netns".to_owned());
            let started = started.spawn_scoped(scope, inside);
            started.map_err(|fault| NamespaceFault::of(&self.path, fault)).and_then(join)
        })
    }

    /// Moves the calling thread inside for good: for a process with one thread that is about to
    /// become another program.
    ///
    /// # Errors
    ///
    /// [`NamespaceFault`]
    pub fn enter(self) -> Result<(), NamespaceFault> {
        self.move_thread()
    }

    fn move_thread(&self) -> Result<(), NamespaceFault> {
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
            .map_err(|errno| NamespaceFault::of(&self.path, errno))
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// The loopback interface is the first of every namespace.
const LOOPBACK_INDEX: u32 = 1;

fn join<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    // A thread that panics is a defect of ours: let it be seen as one.
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Makes the directory of names, shared with all mount namespaces, so that a name that is taken
/// away here does not live on there.
fn share_directory() -> io::Result<()> {
    let directory = Path::new(NetnsName::DIRECTORY);
    fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    match rustix::mount::mount_change(directory, shared) {
        // It is no mount point yet.
        Err(Errno::INVAL) => {
            rustix::mount::mount_bind_recursive(directory, directory)?;
            Ok(rustix::mount::mount_change(directory, shared)?)
        }
        changed => Ok(changed?),
    }
}
