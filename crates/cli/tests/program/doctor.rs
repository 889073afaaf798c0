//! `imds doctor`: what it finds in networks that are wired wrong, and that what it says mends them.
//!
//! Whatever might be sent to EC2's addresses is sent in a namespace.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::namespace::Namespace;
use crate::running::{DEFAULT_INSTANCE, Ended, Home, Running, output_of};

/// What `imds doctor` came to.
#[derive(Debug)]
struct Examined {
    code: Option<i32>,
    findings: Vec<Value>,
    stderr: String,
}

impl Examined {
    /// Runs `imds doctor --json`, which must have run.
    fn of(mut doctor: Command) -> Self {
        doctor.arg("--json");
        let Ended { code, stdout, stderr } = Ended::of(doctor);
        let findings = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(matches!(code, Some(0 | 3 | 4)), "{code:?}: {stdout}{stderr}");
        Self { code, findings, stderr }
    }

    fn inside(namespace: &Namespace, home: &Home, arguments: &[&str]) -> Self {
        Self::of(namespace.imds(home, &[&["doctor"], arguments].concat()))
    }

    /// Returns the findings of one check with one status.
    fn with(&self, id: &str, status: &str) -> Vec<&Value> {
        let is_meant = |finding: &&Value| finding["id"] == id && finding["status"] == status;
        self.findings.iter().filter(is_meant).collect()
    }

    /// Returns the one thing that is wrong with what a check looks at.
    fn fault(&self, id: &str) -> &Value {
        let found = self.with(id, "fail");
        assert_eq!(found.len(), 1, "{id}: {self:?}");
        found[0]
    }

    fn passes(&self, id: &str) {
        assert_eq!(self.with(id, "pass").len(), 1, "{id}: {self:?}");
        assert!(self.with(id, "fail").is_empty(), "{id}: {self:?}");
    }

    /// All is well, and all could be looked at.
    fn is_well(&self) {
        assert_eq!(self.code, Some(0), "{self:?}");
        assert!(self.findings.iter().all(|finding| finding["status"] == "pass"), "{self:?}");
    }
}

fn said<'f>(finding: &'f Value, key: &str) -> &'f str {
    finding[key].as_str().unwrap_or_else(|| panic!("no {key}: {finding}"))
}

fn ip(namespace: &Namespace, home: &Home, arguments: &str) {
    let arguments: Vec<_> = arguments.split(' ').collect();
    output_of(namespace.inside(home, &[&["ip"], &arguments[..]].concat()));
}

/// Does what a finding says: the commands that stand on lines of their own.
fn mend(namespace: &Namespace, home: &Home, finding: &Value) {
    let mend = said(finding, "mend");
    let is_command = |line: &&str| line.starts_with("  ") || !mend.contains('\n');
    let program = concat!(env!("CARGO_BIN_EXE_imds"), " ");
    let commands = mend.lines().filter(is_command);
    let script: String = commands.map(|line| line.replace("imds ", program) + "\n").collect();
    output_of(namespace.inside(home, &["sh", "-ec", &script]));
}

fn serve(namespace: &Namespace, home: &Home, arguments: &[&str]) -> Running {
    let serve = ["serve", "--manage", "127.0.0.1:0", "--listen", "127.0.0.1:0"];
    Running::of(namespace.imds(home, &[&serve[..], arguments].concat()))
}

/// Launches an instance in network namespaces, with a container, whose hop limit is 1.
fn launch(namespace: &Namespace, home: &Home) -> String {
    let launch = ["instance", "launch", "--driver", "netns", "--container"];
    let options = ["--http-put-response-hop-limit", "1", "--http-protocol-ipv6", "enabled"];
    let launched = output_of(namespace.imds(home, &[&launch[..], &options].concat()));
    launched.trim().to_owned()
}

#[test]
fn a_healthy_server_passes_every_check() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    let _server = serve(&namespace, &home, &[]);
    let id = launch(&namespace, &home);
    let examined = Examined::inside(&namespace, &home, &[]);
    examined.is_well();
    let ids: Vec<_> = examined.findings.iter().map(|finding| said(finding, "id")).collect();
    let numbers: Vec<_> = (1..=14).map(|number| format!("DOC-{number:02}")).collect();
    assert_eq!(ids, numbers);
    assert!(said(examined.with("DOC-07", "pass")[0], "what").contains("over IPv4 and IPv6"));

    let of_one = Examined::inside(&namespace, &home, &[&id]);
    of_one.is_well();
    assert_eq!(of_one.findings.len(), 8, "the machine is not looked at: {of_one:?}");
    let unknown = Ended::of(namespace.imds(&home, &["doctor", "i-00000000000000009"]));
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.stderr.contains("no instance `i-00000000000000009`"), "{unknown:?}");

    // What people read has a line for each check, and no colour where it goes to a file.
    let report = output_of(namespace.imds(&home, &["doctor"]));
    assert_eq!(report.lines().filter(|line| line.starts_with("ok   DOC-")).count(), 14, "{report}");
    assert!(report.ends_with("\n14 ok, 0 found, 0 not assessed\n"), "{report}");
    assert!(!report.contains('\x1b'), "{report}");
}

#[test]
fn the_silence_of_a_container_behind_its_hop_limit_is_explained() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    let _server = serve(&namespace, &home, &[]);
    let id = launch(&namespace, &home);
    let get = ["get", "latest/meta-data/instance-id"];
    let exec = [&["exec", &id, "--container", "--", env!("CARGO_BIN_EXE_imds")], &get[..]].concat();
    assert_eq!(Ended::of(namespace.imds(&home, &exec)).code, Some(1));

    let examined = Examined::inside(&namespace, &home, &[]);
    assert_eq!(examined.code, Some(3), "{examined:?}");
    let found = examined.fault("DOC-08");
    assert!(said(found, "what").contains("two hops away"), "{found}");
    assert!(said(found, "what").contains("limit is 1"), "{found}");
    assert_eq!(said(found, "resource"), format!("{id} 172.17.0.2"));
    let report = Ended::of(namespace.imds(&home, &["doctor"]));
    assert_eq!(report.code, Some(3), "{report:?}");
    assert!(report.stdout.contains("FAIL DOC-08"), "{report:?}");
    assert!(report.stdout.contains("two hops away"), "{report:?}");

    // The container itself, which knows of no server, can tell too.
    let elsewhere = Home::new();
    let doctor = ["exec", &id, "--container", "--", env!("CARGO_BIN_EXE_imds"), "doctor"];
    let within = Examined::of(namespace.imds(&elsewhere, &doctor));
    let found = within.fault("DOC-10");
    assert!(said(found, "what").contains("token request does not arrive"), "{found}");
    assert!(said(found, "mend").contains("--http-put-response-hop-limit 2"), "{found}");

    mend(&namespace, &home, examined.fault("DOC-08"));
    Examined::inside(&namespace, &home, &[]).is_well();
    Examined::of(namespace.imds(&elsewhere, &doctor)).passes("DOC-10");
}

#[test]
fn an_address_that_is_missing_is_told_and_mended() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    let _server = serve(&namespace, &home, &["--link-local"]);
    Examined::inside(&namespace, &home, &[]).is_well();
    ip(&namespace, &home, "address del 169.254.169.254/32 dev lo");
    let examined = Examined::inside(&namespace, &home, &[]);
    assert_eq!(examined.code, Some(3), "{examined:?}");
    let found = examined.fault("DOC-03");
    assert_eq!(said(found, "mend"), "ip address add 169.254.169.254/32 dev lo");
    assert!(said(examined.fault("DOC-09"), "what").contains("no route"), "{examined:?}");
    examined.fault("DOC-10");
    mend(&namespace, &home, found);
    Examined::inside(&namespace, &home, &[]).is_well();
}

#[test]
fn addresses_inside_namespaces_are_looked_at_from_wherever_root_is() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    let _server = serve(&namespace, &home, &[]);
    let id = launch(&namespace, &home);
    let service = format!("{id}-imds");
    ip(&namespace, &home, &format!("-n {service} address del fd00:ec2::254/128 dev imds0"));
    // From a namespace beside, whose neighbours it does not know, it still finds the server's.
    for inside in [&namespace, &namespace.beside(&home)] {
        let examined = Examined::inside(inside, &home, &[&id]);
        let found = examined.fault("DOC-03");
        assert_eq!(said(found, "resource"), format!("{id} netns={service}"));
        let command = format!("ip -6 -n {service} address add fd00:ec2::254/128 dev imds0");
        assert_eq!(said(found, "mend"), command);
        let silent = examined.fault("DOC-02");
        assert!(said(silent, "resource").contains("[fd00:ec2::254]"), "{silent}");
    }
}

#[test]
fn an_interface_that_no_packet_comes_in_at_is_told_of() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    let _server = serve(&namespace, &home, &["--shared-listen", "127.0.0.1:0"]);
    for command in [
        "link add tap0 type veth peer name guest0",
        "link add br0 type bridge",
        "address add 169.254.169.254/32 dev lo",
    ] {
        ip(&namespace, &home, command);
    }
    let attach = ["instance", "attach", DEFAULT_INSTANCE, "interface=tap0"];
    output_of(namespace.imds(&home, &attach));

    let examined = Examined::inside(&namespace, &home, &[]);
    let found = examined.fault("DOC-04");
    assert_eq!(said(found, "mend"), "ip link set tap0 up");
    mend(&namespace, &home, found);
    Examined::inside(&namespace, &home, &[]).is_well();

    ip(&namespace, &home, "link set tap0 master br0");
    let examined = Examined::inside(&namespace, &home, &[]);
    assert_eq!(examined.code, Some(3), "{examined:?}");
    let found = examined.fault("DOC-04");
    assert!(said(found, "what").contains("`tap0` is a port of `br0`"), "{found}");
    assert!(said(found, "mend").contains(",mac="), "{found}");

    ip(&namespace, &home, "link del tap0");
    let examined = Examined::inside(&namespace, &home, &[]);
    let found = examined.fault("DOC-04");
    assert!(said(found, "what").contains("there is no network interface `tap0`"), "{found}");
}

#[test]
fn a_route_that_forbids_is_told_and_taken_away() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    ip(&namespace, &home, "route add prohibit 169.254.169.254/32");
    let examined = Examined::inside(&namespace, &home, &[]);
    // A guest: nobody expects a server here.
    examined.passes("DOC-01");
    let found = examined.fault("DOC-09");
    assert!(said(found, "what").contains("forbids"), "{found}");
    mend(&namespace, &home, found);
    let examined = Examined::inside(&namespace, &home, &[]);
    let found = examined.fault("DOC-09");
    assert!(said(found, "what").contains("no route"), "{found}");
    assert!(said(found, "mend").contains("classless-static-route"), "{found}");
}

#[test]
fn a_server_that_is_expected_and_does_not_run_is_told_of() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    let named = Examined::inside(&namespace, &home, &["--data-dir", "/nowhere"]);
    assert_eq!(named.code, Some(3), "{named:?}");
    let found = named.fault("DOC-01");
    assert!(said(found, "what").contains("/nowhere/imds.sock"), "{found}");
    assert!(said(found, "mend").contains("imds serve --data-dir /nowhere"), "{found}");

    // One that has run here has left its state.
    serve(&namespace, &home, &[]).stop();
    Examined::inside(&namespace, &home, &[]).fault("DOC-01");
}

#[test]
fn a_proxy_in_the_environment_is_told_of_by_client_and_never_shown() {
    let home = Home::new();
    let server = home.start(&[]);
    let endpoint = format!("http://{}", server.address());
    let examine = |set: &[(&str, &str)]| {
        let mut doctor = home.imds(&["doctor", "--endpoint", &endpoint]);
        doctor.envs(set.iter().copied());
        Examined::of(doctor)
    };
    examine(&[]).passes("DOC-11");
    let proxy = ("http_proxy", "http://user:hush@127.0.0.1:9");
    let examined = examine(&[proxy]);
    assert_eq!(examined.code, Some(3), "{examined:?}");
    let found = examined.fault("DOC-11");
    assert!(said(found, "what").contains("curl (http_proxy)"), "{found}");
    assert!(said(found, "what").contains("boto3 (http_proxy)"), "{found}");
    assert!(
        said(found, "mend").contains("no_proxy=\"127.0.0.1\" NO_PROXY=\"127.0.0.1\""),
        "{found}"
    );
    assert!(!examined.findings.iter().any(|finding| finding.to_string().contains("hush")));
    // It asks no proxy itself, or nothing would be there to answer.
    examined.passes("DOC-10");
    let excepted = [proxy, ("no_proxy", "127.0.0.1"), ("NO_PROXY", "127.0.0.1")];
    examine(&excepted).passes("DOC-11");
}

#[test]
fn variables_that_mislead_sdks_are_told_of() {
    let home = Home::new();
    let server = home.start(&[]);
    let endpoint = format!("http://{}", server.address());
    let mut doctor = home.imds(&["doctor"]);
    doctor.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint).env("AWS_ACCESS_KEY_ID", "AKIAHUSH");
    doctor.env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "IPv6");
    doctor.env("AWS_EC2_METADATA_DISABLED", "true");
    let examined = Examined::of(doctor);
    assert_eq!(examined.code, Some(3), "{examined:?}");
    let found: Vec<_> = examined.with("DOC-12", "fail");
    let about: Vec<_> = found.iter().map(|finding| said(finding, "resource")).collect();
    assert_eq!(about, ["AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"]);
    let shadow = examined.fault("DOC-13");
    assert!(!shadow.to_string().contains("AKIAHUSH"), "{shadow}");
    examined.passes("DOC-10");

    // What `imds env` sets is meant.
    let mut doctor = home.imds(&["doctor"]);
    for line in home.result(&["env"]).lines() {
        let Some(export) = line.strip_prefix("export ") else {
            let unset = line.strip_prefix("unset ").unwrap().split_whitespace();
            unset.for_each(|name| _ = doctor.env_remove(name));
            continue;
        };
        let (name, value) = export.split_once('=').unwrap();
        doctor.env(name, value.trim_matches('\''));
    }
    let examined = Examined::of(doctor);
    for id in ["DOC-10", "DOC-12", "DOC-13"] {
        examined.passes(id);
    }
    let no_url = home.run(&["doctor", "--endpoint", "127.0.0.1:1338"]);
    assert_eq!(no_url.code, Some(2), "{no_url:?}");
}

#[test]
fn another_service_beneath_is_told_of_once_there_are_guests() {
    let (home, other) = (Home::new(), Home::new());
    let namespace = Namespace::new(&home);
    let beneath = "i-0fedcba9876543210";
    let config = format!("default_instance = \"{beneath}\"\n[[instance]]\nid = \"{beneath}\"\n");
    let config = other.write("imds.toml", config);
    let config = ["--config", config.to_str().unwrap(), "--link-local"];
    let _beneath = serve(&namespace, &other, &config);
    let _server = serve(&namespace, &home, &[]);
    let examined = Examined::inside(&namespace, &home, &[]);
    examined.is_well();
    let found = examined.with("DOC-10", "pass")[0];
    assert!(said(found, "what").contains(beneath), "{found}");
    launch(&namespace, &home);
    let examined = Examined::inside(&namespace, &home, &[]);
    let found = examined.fault("DOC-10");
    assert!(said(found, "why").contains("credentials of this machine"), "{found}");
}

#[test]
fn without_privilege_it_says_what_it_could_not_assess() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    let _server = serve(&namespace, &home, &[]);
    let lacking = "-sys_admin,-net_admin";
    let (bounding, inherited) =
        (format!("--bounding-set={lacking}"), format!("--inh-caps={lacking}"));
    let doctor = ["setpriv", &bounding, &inherited, env!("CARGO_BIN_EXE_imds"), "doctor"];
    let examined = Examined::of(namespace.inside(&home, &doctor));
    assert_eq!(examined.code, Some(4), "{examined:?}");
    let unknown = examined.with("DOC-07", "not_assessed");
    assert!(said(unknown[0], "what").contains("CAP_SYS_ADMIN"), "{unknown:?}");
    for id in ["DOC-02", "DOC-03", "DOC-09"] {
        examined.passes(id);
    }
    launch(&namespace, &home);
    let examined = Examined::of(namespace.inside(&home, &doctor));
    assert_eq!(examined.code, Some(4), "{examined:?}");
    for id in ["DOC-02", "DOC-03"] {
        assert!(!examined.with(id, "not_assessed").is_empty(), "{id}: {examined:?}");
    }
}

#[test]
fn what_it_tries_leaves_nothing_behind() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    let left = || {
        let show = "ip -o link; ip netns list; ls -A /run/netns; cat /proc/self/mountinfo";
        output_of(namespace.inside(&home, &["sh", "-c", show]))
    };
    let before = left();
    let examined = Examined::inside(&namespace, &home, &["--endpoint", "http://127.0.0.1:9"]);
    examined.passes("DOC-07");
    assert_eq!(left(), before);
    assert!(!fs::exists(home.state()).unwrap());
}

#[test]
fn what_does_not_answer_is_waited_for_and_said() {
    let home = Home::new();
    // Takes connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let examined = Examined::of(home.imds(&["doctor", "--endpoint", &endpoint]));
    let found = examined.fault("DOC-10");
    assert!(said(found, "what").contains("no answer within"), "{found}");
    assert!(examined.stderr.contains("waiting a few seconds"), "{examined:?}");
}

#[test]
fn every_finding_has_the_same_keys() {
    let home = Home::new();
    let namespace = Namespace::new(&home);
    let examined = Examined::inside(&namespace, &home, &["--data-dir", "/nowhere"]);
    let keys =
        ["check", "derivation", "id", "mend", "resource", "severity", "status", "what", "why"];
    for finding in &examined.findings {
        let finding = finding.as_object().unwrap();
        let mut own: Vec<_> = finding.keys().map(String::as_str).collect();
        own.sort_unstable();
        assert_eq!(own, keys);
        assert!(["pass", "fail", "not_assessed"].contains(&finding["status"].as_str().unwrap()));
        let severities = ["info", "low", "medium", "high"];
        assert!(severities.contains(&finding["severity"].as_str().unwrap()));
        assert!(finding["mend"].is_null() || finding["mend"].is_string());
    }
}
