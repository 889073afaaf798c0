//! An emulated PC. What it writes to its main serial line is kept, and what is written to it is
//! read there.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::host::Host;
use crate::parts;
use crate::running::Killed;
use crate::waiting::wait_within;

/// What every machine gets: a plain PC without any device that is not asked for, emulated.
const PLAIN: [&str; 9] = [
    "-accel",
    "tcg",
    "-machine",
    "pc",
    "-nodefaults",
    "-no-user-config",
    "-no-reboot",
    "-display",
    "none",
];

/// The kernel's command line. One that gives up ends the machine. It does not try whether the timer
/// ticks as fast as the processor runs, as no kernel under KVM does either: that panics when the
/// emulator is kept waiting by other tests.
const KERNEL: [&str; 2] = ["-append", "console=ttyS0 panic=-1 no_timer_check quiet"];

/// What sets a machine apart.
pub(crate) struct Description<'a> {
    /// Names its files.
    pub(crate) name: &'a str,
    /// The TAP that its one network card is on.
    pub(crate) tap: &'a str,
    /// The address of that card.
    pub(crate) mac: &'a str,
    /// Its first root file system.
    pub(crate) initramfs: &'a [u8],
    /// Anything else.
    pub(crate) options: &'a [&'a str],
}

/// Returns what makes a machine look like one of EC2 to software in it: a UUID and a serial number
/// that are the same and begin with `ec2`.
pub(crate) fn smbios(mac: &str) -> String {
    let uuid = format!("ec2e1916-9099-7caf-fd21-{}", mac.replace(':', ""));
    format!("type=1,uuid={uuid},serial={uuid}")
}

/// A machine that runs. It is killed on drop.
pub(crate) struct Machine {
    qemu: Killed,
    /// Its main serial line.
    line: ChildStdin,
    /// What came from that line.
    said: Arc<Mutex<Vec<u8>>>,
    /// What QEMU complained of, and what the machine wrote to a second serial line, if it has one.
    logs: [PathBuf; 2],
}

impl Machine {
    pub(crate) fn start(host: &Host<'_>, description: &Description<'_>) -> Self {
        let Description { name, tap, mac, initramfs, options } = description;
        let home = host.home();
        let initramfs = home.write(&format!("{name}.cpio"), initramfs);
        let complaints = home.path().join(format!("{name}.qemu"));
        let logs = [complaints, second_line(host, name)];
        let kernel = parts::kernel();
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let (kernel, initramfs) = (path(&kernel), path(&initramfs));
        let network = format!("tap,id=network,ifname={tap},script=no,downscript=no");
        // Without a boot ROM: it would look for a boot server first.
        let card = format!("virtio-net-pci,netdev=network,mac={mac},romfile=");
        let smbios = smbios(mac);
        let own = ["-kernel", &kernel, "-initrd", &initramfs, "-smbios", &smbios];
        let network = ["-netdev", &network, "-device", &card];
        let command =
            [&["qemu-system-x86_64"], &PLAIN[..], &KERNEL, &own, &network, options].concat();
        let mut command = host.inside(&command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(File::create(&logs[0]).unwrap());
        let mut qemu = Killed(command.spawn().unwrap());
        let line = qemu.0.stdin.take().unwrap();
        let mut stdout = qemu.0.stdout.take().unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let listener = Arc::clone(&said);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                listener.lock().unwrap().extend(&buffer[..length]);
            }
        });
        Self { qemu, line, said, logs }
    }

    /// Writes a line to it.
    pub(crate) fn tell(&mut self, line: &str) {
        // Where it has ended, the wait for its answer tells.
        let _ = self.line.write_all(format!("{line}\n").as_bytes());
    }

    /// Waits until `find` finds something in all that it has said.
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        find: impl Fn(&[u8]) -> Option<T>,
    ) -> T {
        let found = wait_within(limit, || {
            // Whether it has ended is asked first: then all that it said has been said.
            let ended = self.qemu.0.try_wait().unwrap();
            let found = find(&self.said.lock().unwrap());
            found.map(Ok).or_else(|| ended.map(Err))
        });
        match found {
            Some(Ok(found)) => found,
            Some(Err(status)) => panic!("{what}: it has ended, {status}\n{}", self.account()),
            None => panic!("{what}: not within {limit:?}\n{}", self.account()),
        }
    }

    /// Waits until it has been switched off, from within.
    pub(crate) fn wait_for_end(mut self, limit: Duration) {
        let status = wait_within(limit, || self.qemu.0.try_wait().unwrap());
        assert!(status.is_some_and(|status| status.success()), "{status:?}\n{}", self.account());
    }

    /// Everything that is known of it, for whoever reads of a failure.
    fn account(&self) -> String {
        let said = String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned();
        let [complaints, second] = self.logs.each_ref().map(fs::read);
        let text = |log: io::Result<Vec<u8>>| {
            String::from_utf8_lossy(&log.unwrap_or_default()).into_owned()
        };
        format!("qemu: {}\nits second line: {}\nits line: {said}", text(complaints), text(second))
    }
}

/// The file that a second serial line of a machine may be kept in.
pub(crate) fn second_line(host: &Host<'_>, name: &str) -> PathBuf {
    host.home().path().join(format!("{name}.serial"))
}
