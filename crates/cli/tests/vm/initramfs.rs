//! The first root file system of a virtual machine: an archive that the kernel unpacks, in cpio's
//! `newc` form.

use std::collections::BTreeSet;

use crate::parts;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// What stands at the end of every archive.
const TRAILER: &str = "TRAILER!!!";

/// Packs a busybox, kernel modules, and `programs`, each a path with its text. `init` is the one
/// that the kernel runs.
pub(crate) fn packed(modules: &[&str], programs: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = Archive::default();
    for mount_point in ["dev", "proc", "root", "run", "sys", "tmp"] {
        archive.directories(&format!("{mount_point}/"));
    }
    archive.file("bin/busybox", &parts::busybox());
    for module in parts::modules(modules) {
        archive.file(&module.path, &module.bytes);
    }
    for (path, text) in programs {
        archive.file(path, text.as_bytes());
    }
    archive.entry(TRAILER, 0, &[]);
    archive.bytes
}

#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    /// Those that are in it already.
    directories: BTreeSet<String>,
    entries: u32,
}

impl Archive {
    /// Adds the directories that `path` leads through.
    fn directories(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            let directory = &path[..end];
            if self.directories.insert(directory.to_owned()) {
                self.entry(directory, DIRECTORY, &[]);
            }
        }
    }

    fn file(&mut self, path: &str, bytes: &[u8]) {
        self.directories(path);
        self.entry(path, PROGRAM, bytes);
    }

    fn entry(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        self.entries += 1;
        let size = |length: usize| u32::try_from(length).unwrap();
        let fields = [
            self.entries, // inode
            mode,
            0, // owner
            0, // group
            1, // links
            0, // time of change
            size(bytes.len()),
            0, // device, major
            0, // device, minor
            0, // device that it is, major
            0, // device that it is, minor
            size(path.len() + 1),
            0, // checksum, which this form has none of
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(bytes);
        self.pad();
    }

    /// Names and contents end on a multiple of four.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}
