//! What virtual machines are made of, and the tools that run them. Nothing is fetched here: what is
//! missing fails the test, which says how to get it.

use std::fs;
use std::path::{Path, PathBuf};

/// Where `make parts` and `make debian` put them.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/vm");

/// Where tools are that only root has in its search path.
const TOOL_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// Returns the path of a part, which must be there.
fn part(name: &str, how: &str) -> PathBuf {
    let path = Path::new(DIRECTORY).join(name);
    assert!(path.exists(), "{} is missing: run `{how}`", path.display());
    path
}

/// The kernel, as Debian's package has it.
pub(crate) fn kernel() -> PathBuf {
    part("kernel", "make parts")
}

/// A busybox that needs no library.
pub(crate) fn busybox() -> Vec<u8> {
    fs::read(part("busybox", "make parts")).unwrap()
}

/// The root file system of a whole Debian.
pub(crate) fn debian() -> PathBuf {
    part("debian.ext4", "make debian")
}

/// A module of the kernel, or the list of what needs what.
pub(crate) struct ModuleFile {
    /// Within the root directory.
    pub(crate) path: String,
    pub(crate) bytes: Vec<u8>,
}

/// Returns kernel modules with all that they need, and the list by which `modprobe` finds them.
pub(crate) fn modules(names: &[&str]) -> Vec<ModuleFile> {
    let modules = part("modules", "make parts");
    let mut versions = fs::read_dir(&modules).unwrap();
    let directory = versions.next().unwrap().unwrap().path();
    let dependencies = fs::read_to_string(directory.join("modules.dep")).unwrap();
    let mut wanted = vec!["modules.dep"];
    for name in names {
        let file = format!("/{name}.ko");
        let line = dependencies
            .lines()
            .find_map(|line| line.split_once(':').filter(|(module, _)| module.ends_with(&file)));
        let (module, needed) = line.unwrap_or_else(|| panic!("the kernel has no module {name}"));
        wanted.extend([module].into_iter().chain(needed.split_whitespace()));
    }
    wanted.sort_unstable();
    wanted.dedup();
    let version = directory.file_name().unwrap().to_str().unwrap();
    let file = |module: &str| ModuleFile {
        path: format!("lib/modules/{version}/{module}"),
        bytes: fs::read(directory.join(module)).unwrap(),
    };
    wanted.into_iter().map(file).collect()
}

/// Returns the path of an installed tool, which must be there.
pub(crate) fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path).chain(TOOL_DIRECTORIES.map(PathBuf::from));
    let found = directories.map(|directory| directory.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed: run `make tools`"))
}
