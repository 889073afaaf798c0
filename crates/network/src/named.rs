//! Network namespaces with names, as `ip netns` has them: files in `/run/netns` on which the
//! namespaces are mounted.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, UnmountFlags, mount_bind, mount_bind_recursive, mount_change, unmount,
};

use crate::{Namespace, NamespaceFault};

/// Where `ip netns` keeps network namespaces.
pub const DIRECTORY: &str = "/run/netns";

/// LIMIT: how many mounts on one file are taken off. One is usual, and who has mounted more has
/// done so by hand.
const MOUNTS_MAX: usize = 16;

impl Namespace {
    /// Returns where the namespace `name` is, if there is one.
    ///
    /// # Errors
    ///
    /// [`NamespaceFault::Name`] if it is not the name of a file.
    pub fn path_of(name: &str) -> Result<PathBuf, NamespaceFault> {
        // LIMIT: what Linux takes for the name of a file.
        let is_file_name = (1..=255).contains(&name.len())
            && !matches!(name, "." | "..")
            && !name.contains(['/', '\0']);
        if is_file_name {
            Ok(Path::new(DIRECTORY).join(name))
        } else {
            Err(NamespaceFault::Name(name.escape_debug().take(64).collect()))
        }
    }

    /// Opens the namespace `name`.
    ///
    /// # Errors
    ///
    /// [`NamespaceFault::Name`], and those of [`open`](Self::open).
    pub fn named(name: &str) -> Result<Self, NamespaceFault> {
        Self::open(&Self::path_of(name)?)
    }

    /// Makes the namespace `name`, as `ip netns add` does. Its loopback interface is up. It stays
    /// until it is deleted, by whomever, or the system ends.
    ///
    /// # Errors
    ///
    /// - [`NamespaceFault::Exists`] if something has the name.
    /// - [`NamespaceFault::Name`] if it is not the name of a file.
    /// - [`NamespaceFault::PermissionDenied`] without the privilege to make one and mount it.
    /// - [`NamespaceFault::Netlink`], [`NamespaceFault::Other`] and [`NamespaceFault::TooMany`] as
    ///   in [`unnamed`](Self::unnamed).
    ///
    /// Then nothing of it is left.
    pub fn create(name: &str) -> Result<Self, NamespaceFault> {
        let path = Self::path_of(name)?;
        prepare_directory().map_err(|fault| {
            NamespaceFault::new(format!("making {DIRECTORY} a place for network namespaces"), fault)
        })?;
        let namespace = Self::unnamed()?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o000).open(&path);
        file.map_err(|fault| {
            if fault.kind() == io::ErrorKind::AlreadyExists {
                NamespaceFault::Exists(name.into())
            } else {
                NamespaceFault::new(format!("creating `{}`", path.display()), fault)
            }
        })?;
        let source = format!("/proc/self/fd/{}", namespace.as_fd().as_raw_fd());
        mount_bind(source, &path).map_err(|errno| {
            // Nothing is mounted on it, and nobody else made it.
            let _ = std::fs::remove_file(&path);
            NamespaceFault::new(format!("mounting on `{}`", path.display()), errno)
        })?;
        Ok(namespace)
    }

    /// Deletes the namespace `name`, as `ip netns delete` does; one that is not there is deleted
    /// already. The name is free at once. The namespace itself lasts for as long as something
    /// holds it: a handle, a process inside, a socket.
    ///
    /// # Errors
    ///
    /// - [`NamespaceFault::Name`] if it is not the name of a file.
    /// - [`NamespaceFault::PermissionDenied`] without the privilege to unmount and remove it.
    /// - [`NamespaceFault::Other`], for instance if it is a directory.
    pub fn delete(name: &str) -> Result<(), NamespaceFault> {
        let path = Self::path_of(name)?;
        let fault = |fault| NamespaceFault::new(format!("deleting `{}`", path.display()), fault);
        for _ in 0..MOUNTS_MAX {
            match unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
                Ok(()) => {}
                // Nothing there, or nothing mounted on it.
                Err(Errno::NOENT | Errno::INVAL) => break,
                Err(errno) => return Err(fault(errno.into())),
            }
        }
        match std::fs::remove_file(&path) {
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(()),
            outcome => outcome.map_err(fault),
        }
    }
}

/// Makes the directory, and a mount of it that is shared: then a namespace which is unmounted here
/// is so wherever else the directory is seen, and its name never keeps it alive elsewhere.
fn prepare_directory() -> io::Result<()> {
    match DirBuilder::new().mode(0o755).create(DIRECTORY) {
        Err(there) if there.kind() == io::ErrorKind::AlreadyExists => {}
        outcome => outcome?,
    }
    let share =
        || mount_change(DIRECTORY, MountPropagationFlags::SHARED | MountPropagationFlags::REC);
    // What is no mount yet is invalid.
    match share() {
        Err(Errno::INVAL) => {}
        outcome => return Ok(outcome?),
    }
    // Two that make it one at once would mount it again and again; `ip netns` takes the same lock.
    // Closing the file gives it back.
    let directory = File::open(DIRECTORY)?;
    flock(&directory, FlockOperation::LockExclusive)?;
    match share() {
        Err(Errno::INVAL) => {
            mount_bind_recursive(DIRECTORY, DIRECTORY)?;
            Ok(share()?)
        }
        outcome => Ok(outcome?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_files() {
        assert_eq!(Namespace::path_of("blue").unwrap(), Path::new("/run/netns/blue"));
        assert!(Namespace::path_of(&"n".repeat(255)).is_ok());
        for bad in ["", ".", "..", "a/b", "/", "../up", "nul\0", &"n".repeat(256)] {
            let fault = Namespace::path_of(bad).unwrap_err();
            assert!(matches!(fault, NamespaceFault::Name(_)), "{bad:?}: {fault:?}");
        }
    }
}
