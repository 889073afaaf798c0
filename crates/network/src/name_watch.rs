//! Word of network namespaces that appear and vanish in `/run/netns`.
//!
//! What `ip netns add` does has three steps: it creates a file, makes a namespace, and mounts it on
//! the file. Watching the directory would tell of the first and the kernel tells nobody of the
//! last, so that a reader would have to try again, and again. What the kernel does tell is that
//! the table of mounts changed. Then the directory is looked through: a namespace has appeared
//! when it can be entered, and not before.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::path::Path;

use crate::{DIRECTORY, Namespace, NamespaceFault, NamespaceIdentity};

/// The mounts of the process's mount namespace. The file tells those who wait for an exceptional
/// condition of it (`POLLPRI`) that the table has changed.
const MOUNT_TABLE: &str = "/proc/self/mountinfo";

/// Tells which network namespaces appear and vanish in `/run/netns`, whoever makes and deletes
/// them. The directory need not exist.
///
/// Wait for priority readiness (`POLLPRI`, `EPOLLPRI`) of the file descriptor, not for plain
/// readability, which it always has; then [`read`](Self::read), which never waits. It is ready
/// with every change of a mount, so often nothing has happened.
#[derive(Debug)]
pub struct NameWatch {
    mount_table: File,
    /// All namespaces are files of one device; this is one.
    one: NamespaceIdentity,
    known: BTreeMap<String, NamespaceIdentity>,
}

/// What became of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameEvent {
    /// A namespace has the name. The identity tells whether it is still the same one when it is
    /// opened.
    Appeared {
        /// The name.
        name: String,
        /// Which namespace it is.
        identity: NamespaceIdentity,
    },
    /// The namespace does not have the name any more. If another one has it now, word of that
    /// follows.
    Vanished {
        /// The name.
        name: String,
        /// Which namespace it was.
        identity: NamespaceIdentity,
    },
}

impl NameWatch {
    /// Opens a watch. What is there already is told first.
    ///
    /// # Errors
    ///
    /// [`NamespaceFault::Other`], for instance if `/proc` is not mounted.
    pub fn open() -> Result<Self, NamespaceFault> {
        let mount_table = File::open(MOUNT_TABLE)
            .map_err(|fault| NamespaceFault::new(format!("opening `{MOUNT_TABLE}`"), fault))?;
        let one = Namespace::current()?.identity();
        Ok(Self { mount_table, one, known: BTreeMap::new() })
    }

    /// Returns what happened since the last call; nothing if nothing did. A name that came and
    /// went between two calls is not told of, and one that was given to another namespace first
    /// vanishes and then appears.
    ///
    /// # Errors
    ///
    /// What the system says if the directory cannot be read. Nothing is forgotten then.
    pub fn read(&mut self) -> io::Result<Vec<NameEvent>> {
        let found = self.look()?;
        let mut events = Vec::new();
        for (name, identity) in &self.known {
            if found.get(name) != Some(identity) {
                events.push(NameEvent::Vanished { name: name.clone(), identity: *identity });
            }
        }
        for (name, identity) in &found {
            if self.known.get(name) != Some(identity) {
                events.push(NameEvent::Appeared { name: name.clone(), identity: *identity });
            }
        }
        self.known = found;
        Ok(events)
    }

    /// Returns the names that are namespaces.
    fn look(&self) -> io::Result<BTreeMap<String, NamespaceIdentity>> {
        let entries = match Path::new(DIRECTORY).read_dir() {
            Ok(entries) => entries,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(fault) => return Err(fault),
        };
        let mut found = BTreeMap::new();
        for entry in entries {
            let entry = entry?;
            // A name that is not UTF-8 is one that nobody can ask us for.
            let Ok(name) = entry.file_name().into_string() else { continue };
            match entry.metadata().map(|metadata| NamespaceIdentity::of_file(&metadata)) {
                Ok(identity) if identity.is_beside(self.one) => {
                    found.insert(name, identity);
                }
                Ok(_) => {}
                // Gone since.
                Err(fault) if fault.kind() == io::ErrorKind::NotFound => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(found)
    }
}

impl AsFd for NameWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mount_table.as_fd()
    }
}

impl AsRawFd for NameWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.mount_table.as_raw_fd()
    }
}
