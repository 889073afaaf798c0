//! One guest, and what it reads: its own metadata, as it is on the server.

use std::time::Instant;

use crate::exchange::{Answer, read_request, token_request};
use crate::guest::Guest;
use crate::host::{Host, Lease, Network, SERVICE};
use crate::machine::smbios;
use crate::running::{Home, tell};
use crate::waiting::wait_until;

const MAC: &str = "02:00:00:00:00:0a";

const NETWORK: Network<'_> = Network {
    interface: "tap-a",
    addresses: &["10.0.1.1/24"],
    leases: &[Lease { mac: MAC, address: "10.0.1.10" }],
};

/// The instance. The listener is another door to it, where the test reads what the guest must read.
const CONFIG: &str = r#"
listen = []
[[role]]
name = "app"
source = "built-in"
[[instance]]
id = "i-0000000000000000a"
attachments = [{ interface = "tap-a" }, { listener = "127.0.0.1:1338" }]
interfaces = [{ mac = "02:00:00:00:00:0a", ipv4 = [{ private = "10.0.1.10" }] }]
instance_profile = { name = "app", role = "app" }
user_data = { base64 = "IyEvYmluL3NoCmVjaG8gaGkACv8=" }
"#;

/// What the base64 above is: bytes that are no text.
const USER_DATA: &[u8] = b"#!/bin/sh\necho hi\0\n\xff";

#[test]
fn a_stock_kernel_gets_its_address_a_token_and_its_own_metadata() {
    let start = Instant::now();
    let home = Home::new();
    let host = Host::new(&home);
    host.add_tap("tap-a");
    host.add_addresses(&NETWORK);
    let _server = host.serve(CONFIG);
    let dhcp = host.lease(&[NETWORK]);
    let mut guest = Guest::start(&host, "a", "tap-a", MAC);
    guest.wait_until_up();
    let up = start.elapsed();

    // What cloud-init's ds-identify looks at first.
    let shown = guest.result("cd /sys/class/dmi/id; cat product_uuid product_serial");
    let [uuid, serial] = shown.split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("not a UUID and a serial number: {shown}")
    };
    assert!(uuid.starts_with("ec2") && uuid == serial, "{shown}");
    assert!(smbios(MAC).contains(uuid), "{shown}");

    guest.take_lease();
    wait_until("the lease is told", || dhcp.said().contains("DHCPACK").then_some(()));
    let shown = guest.result("ip -4 -o address show dev eth0; ip route");
    for part in ["10.0.1.10/24", "169.254.169.254 dev eth0", "default via 10.0.1.1"] {
        assert!(shown.contains(part), "{shown}");
    }

    let token = ask(&mut guest, &token_request("60"));
    assert_eq!(token.status, 200, "{}", token.head);
    let mut read = |path: &str| {
        let answer = ask(&mut guest, &read_request(&format!("/{path}"), token.text()));
        assert_eq!(answer.status, 200, "{path}: {}", answer.head);
        answer
    };
    let on_the_host = |path| host.get("http://127.0.0.1:1338", path);
    let id = "latest/meta-data/instance-id";
    assert_eq!(read(id).text(), "i-0000000000000000a");
    assert_eq!(on_the_host(id), "i-0000000000000000a");
    let credentials = "latest/meta-data/iam/security-credentials/app";
    assert!(read(credentials).text().contains(r#""Code" : "Success""#));
    for path in [credentials, "latest/meta-data/", "latest/dynamic/instance-identity/document"] {
        assert_eq!(read(path).text(), on_the_host(path), "{path}");
    }
    assert_eq!(read("latest/user-data").body, USER_DATA);

    let tokenless = "GET /latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n";
    assert_eq!(ask(&mut guest, tokenless).status, 401);
    guest.power_off();
    tell(&format!("vm: one guest, up after {up:.1?}, done after {:.1?}", start.elapsed()));
}

fn ask(guest: &mut Guest, request: &str) -> Answer {
    let instead = |instead| panic!("{instead:?} to {request}");
    guest.ask(SERVICE, request).unwrap_or_else(instead)
}
