//! A small guest: a stock kernel, a busybox, and a shell that does what the test says.

use std::time::Duration;

use crate::exchange::Answer;
use crate::host::Host;
use crate::initramfs;
use crate::machine::{Description, Machine, second_line};

/// How long anything may take in an emulated machine, on one that is busy with other tests.
const PATIENCE: Duration = Duration::from_mins(3);

/// How long a guest waits for an answer: longer than any SDK.
const ANSWER_SECONDS: u32 = 5;

/// Its programs.
const PROGRAMS: [(&str, &str); 3] = [
    ("init", include_str!("guest/init")),
    ("bin/lease", include_str!("guest/lease")),
    ("bin/obey", include_str!("guest/obey")),
];

pub(crate) struct Guest {
    machine: Machine,
    /// How many commands it has been given.
    commands: u32,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: i32,
    pub(crate) output: Vec<u8>,
}

/// What came of a request: an answer, or none, because there was no connection, or it was cut, or
/// nothing came for as long as the guest waited; then the text is what there was instead.
pub(crate) type Reply = Result<Answer, String>;

impl Guest {
    /// Starts a machine. It is ready when it has done its first command.
    pub(crate) fn start(host: &Host<'_>, name: &str, tap: &str, mac: &str) -> Self {
        let initramfs = initramfs::packed(&["virtio_pci", "virtio_net"], &PROGRAMS);
        // The kernel has a line of its own, so that nothing comes between what the shell says.
        let kernel_line = format!("file:{}", second_line(host, name).display());
        let options = ["-m", "192", "-serial", &kernel_line, "-serial", "stdio"];
        let description = Description { name, tap, mac, initramfs: &initramfs, options: &options };
        Self { machine: Machine::start(host, &description), commands: 0 }
    }

    /// Waits until its shell is there.
    pub(crate) fn wait_until_up(&mut self) {
        let obeys = |said: &[u8]| find(said, b"obeying\n").map(drop);
        self.machine.wait_for("the guest is up", PATIENCE, obeys);
    }

    /// Runs a command of the shell.
    pub(crate) fn run(&mut self, command: &str) -> Done {
        self.commands += 1;
        let number = self.commands;
        self.machine
            .tell(&format!("echo '<{number}>'; ({command}) 2>&1; printf '\\n<{number}:%d>\\n' $?"));
        let (begin, end) = (format!("<{number}>\n"), format!("\n<{number}:"));
        self.machine.wait_for(command, PATIENCE, |said| {
            let output = &said[find(said, begin.as_bytes())? + begin.len()..];
            let length = find(output, end.as_bytes())?;
            let status = &output[length + end.len()..];
            let status = &status[..find(status, b">\n")?];
            let status = std::str::from_utf8(status).unwrap().parse().unwrap();
            Some(Done { status, output: output[..length].to_vec() })
        })
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub(crate) fn result(&mut self, command: &str) -> String {
        let Done { status, output } = self.run(command);
        let output = String::from_utf8_lossy(&output).into_owned();
        assert_eq!(status, 0, "{command}: {output}");
        output
    }

    /// Asks for its address, and the routes, as any machine does when it starts.
    pub(crate) fn take_lease(&mut self) {
        self.result("ip link set dev eth0 up");
        self.result("udhcpc -i eth0 -s /bin/lease -O staticroutes -n -q -T 1 -t 30");
    }

    /// Sends a request to a service, and returns what comes back.
    pub(crate) fn ask(&mut self, service: &str, request: &str) -> Reply {
        let [reply] = self.ask_all([(service, request)]);
        reply
    }

    /// Sends requests, each to a service and all at once: of those that get nothing, one waits as
    /// long as all.
    pub(crate) fn ask_all<const N: usize>(&mut self, requests: [(&str, &str); N]) -> [Reply; N] {
        let ask = |(number, (service, request)): (usize, &(&str, &str))| {
            let request = request.replace("\r\n", "\\r\\n");
            let ask = format!("printf '{request}' | timeout {ANSWER_SECONDS} nc {service} 80");
            format!("({ask}) >/tmp/{number} 2>&1 & ")
        };
        let command: String = requests.iter().enumerate().map(ask).collect();
        self.result(&format!("{command} wait"));
        std::array::from_fn(|number| {
            let Done { output, .. } = self.run(&format!("cat /tmp/{number}"));
            Answer::parse(&output).map_err(|_| String::from_utf8_lossy(&output).into_owned())
        })
    }

    /// Switches it off, and waits until it is off.
    pub(crate) fn power_off(mut self) {
        self.machine.tell("poweroff -f");
        self.machine.wait_for_end(PATIENCE);
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
