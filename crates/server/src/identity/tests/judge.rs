//! The judge of the tests: `openssl`, in a directory of its own.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory of one test, gone at its end, in which `openssl` runs.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(test: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("openimds-identity-{}-{count}-{test}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(super) fn write(&self, file: &str, contents: impl AsRef<[u8]>) {
        fs::write(self.0.join(file), contents).unwrap();
    }

    pub(super) fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.0.join(file)).unwrap()
    }

    /// Runs a command that must succeed, and returns what it prints.
    pub(super) fn openssl(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "openssl {arguments}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail.
    pub(super) fn openssl_refuses(&self, arguments: &str) {
        let output = self.run(arguments);
        assert!(!output.status.success(), "openssl {arguments}: {output:?}");
    }

    fn run(&self, arguments: &str) -> Output {
        Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.0)
            .output()
            .expect("these tests need the `openssl` program")
    }

    /// Lists the elements of a message: depth, whether the length is definite, tag and value. Left
    /// out is what differs from one signature to the next.
    pub(super) fn outline(&self, message: &[u8]) -> String {
        self.write("outlined", message);
        let listed = self.openssl("asn1parse -inform DER -in outlined");
        let mut outline = String::new();
        for line in listed.lines() {
            // Either "  545:d=5  hl=2 l=   1 prim: INTEGER           :01" or a line of a value.
            let Some((_offset, element)) = line.split_once(":d=") else {
                outline.push_str(line);
                continue;
            };
            let (depth, rest) = element.split_once("hl=").unwrap();
            let (length, tag) = rest.split_at(rest.find(['c', 'p']).unwrap());
            let length = if length.contains("inf") { "inf" } else { "def" };
            let is_signature = depth.trim() == "5" && tag.contains("HEX DUMP");
            let tag = match tag.split_once(':') {
                Some(_) if is_signature || tag.contains("UTCTIME") => &tag[..20],
                _ => tag,
            };
            outline.extend(["\nd=", depth.trim(), " ", length, " ", tag.trim()]);
        }
        outline
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
