//! A whole Debian on a stock kernel: its cloud-init finds EC2 by itself, and sets the machine up
//! from what it reads there.

use std::time::{Duration, Instant};

use crate::host::{Host, Lease, Network};
use crate::initramfs;
use crate::machine::{Description, Machine};
use crate::parts;
use crate::running::{Home, tell};

/// How long it may take to start, be set up and end, emulated, on a slow machine.
const PATIENCE: Duration = Duration::from_mins(15);

const MAC: &str = "02:00:00:00:00:0d";

/// The first line, and the last, of what the user data tells.
const REPORT: [&str; 2] = ["report begins", "report ends"];

/// Runs last in cloud-init's course, with everything else done.
const USER_DATA: &str = r#"#!/bin/sh
{
  echo "report begins"
  echo "name: $(hostname)"
  echo "cloud: $(cloud-id)"
  echo "platform: $(cloud-init query subplatform)"
  echo "instance: $(cloud-init query instance_id)"
  echo "failed: $(systemctl --failed --plain --no-legend)"
  echo "key: $(cat /home/debian/.ssh/authorized_keys)"
  echo "report ends"
} >/dev/ttyS0
poweroff
"#;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBswqpG6MXaQnflcqcxrBqGZdU85CZiQLiXidmld+IPV";

#[test]
#[ignore = "boots a whole Debian, which takes minutes: `make test-all` runs it"]
fn cloud_init_finds_ec2_and_sets_the_machine_up() {
    let start = Instant::now();
    let home = Home::new();
    let host = Host::new(&home);
    let network = Network {
        interface: "tap-d",
        addresses: &["10.0.4.1/24"],
        leases: &[Lease { mac: MAC, address: "10.0.4.13" }],
    };
    host.add_tap("tap-d");
    host.add_addresses(&network);
    home.write("set-up.sh", USER_DATA);
    let _server = host.serve(&format!(
        r#"
listen = []
[[instance]]
id = "i-0000000000000000d"
region = "eu-west-1"
attachments = [{{ interface = "tap-d" }}]
interfaces = [{{ mac = "{MAC}", ipv4 = [{{ private = "10.0.4.13" }}] }}]
key_pair = {{ name = "my-key", public_key = "{KEY}" }}
user_data = {{ file = "set-up.sh" }}
"#
    ));
    let _dhcp = host.lease(&[network]);
    let modules = ["virtio_pci", "virtio_blk", "virtio_net"];
    let initramfs = initramfs::packed(&modules, &[("init", include_str!("guest/root"))]);
    // Changes go to a file that is gone with the machine.
    let disk = format!("file={},format=raw,if=virtio,snapshot=on", parts::debian().display());
    let options = ["-m", "1024", "-smp", "2", "-drive", &disk, "-serial", "stdio"];
    let description = Description {
        name: "debian",
        tap: "tap-d",
        mac: MAC,
        initramfs: &initramfs,
        options: &options,
    };
    let mut machine = Machine::start(&host, &description);
    let report = machine.wait_for("cloud-init runs the user data", PATIENCE, |said| {
        // The serial line ends lines with a carriage return too.
        let said = String::from_utf8_lossy(said).replace('\r', "");
        let (_, rest) = said.split_once(&format!("{}\n", REPORT[0]))?;
        rest.split_once(REPORT[1]).map(|(report, _)| report.to_owned())
    });
    let set_up = start.elapsed();
    for expected in [
        "name: ip-10-0-4-13",
        "cloud: aws",
        "platform: metadata (http://169.254.169.254)",
        "instance: i-0000000000000000d",
        "failed: ",
        &format!("key: {KEY} my-key"),
    ] {
        assert!(report.lines().any(|line| line == expected), "no `{expected}`:\n{report}");
    }
    machine.wait_for_end(PATIENCE);
    tell(&format!(
        "vm: a whole Debian, set up after {set_up:.1?}, off after {:.1?}",
        start.elapsed()
    ));
}
