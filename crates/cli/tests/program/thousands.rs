//! Instances by the thousand on one machine, each in a network namespace of its own: how long a
//! start takes, one attachment more, and what it costs to wait.

use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::alone::alone;
use crate::machines::{EC2, Heard, Machine, has_link, ip, socket_count};
use crate::running::{DEFAULT_INSTANCE, Home, Running, long_run, tell};
use crate::waiting::{wait_until, wait_within};

/// Runs many commands of `ip` at once.
fn ip_batch(commands: &str) {
    let mut ip = Command::new("ip");
    let mut child = ip.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn id(number: usize) -> String {
    format!("i-{number:017x}")
}

/// The processor time that a process has used, in clock ticks of a hundredth of a second.
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name of the program, in parentheses, may hold anything.
    let after = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<_> = after.split(' ').collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

/// The share of a core that a server uses while nobody asks.
fn idle_share(server: &Running, time: Duration) -> f64 {
    let before = ticks(server.id());
    wait_within::<()>(time, || None);
    let used = u32::try_from(ticks(server.id()) - before).unwrap();
    f64::from(used) / 100.0 / time.as_secs_f64()
}

fn make_namespaces(numbers: Range<usize>) {
    let names: Vec<_> = numbers.map(|n| format!("netns add n{n}")).collect();
    ip_batch(&names.join("\n"));
}

/// Instances that are attached each to a thing of this kind and its own number.
fn tables(kind: &str, numbers: Range<usize>) -> String {
    let table = |n: usize| {
        let id = id(n);
        format!("[[instance]]\nid = \"{id}\"\nattachments = [{{ {kind} = \"n{n}\" }}]\n")
    };
    numbers.map(table).collect::<Vec<_>>().concat()
}

/// Has one listener attached or detached, and returns how long that took.
fn ask(home: &Home, action: &str) -> Duration {
    let before = Instant::now();
    let attachment = json!({ "listener": "127.0.0.1:8080" });
    let question = json!({
        "action": action, "instance_id": DEFAULT_INSTANCE, "attachment": attachment,
    });
    home.ask(&question).unwrap();
    before.elapsed()
}

#[test]
fn thousands_are_attached_at_a_time() {
    let count = long_run("IMDS_TEST_NAMESPACES", 500);
    alone(|| {
        let home = Home::new();
        let (names, waiting) = (0..count, count..count + count / 2);
        make_namespaces(names.clone());
        let config = tables("netns", names.clone());
        let before = Instant::now();
        let server = home.start_with(&config);
        let ready = before.elapsed();
        for n in names.clone().step_by(count / 20) {
            assert_eq!(hears_at(n), Heard::instance(&id(n)));
        }
        let idle = idle_share(&server, Duration::from_secs(3));
        let held = socket_count(server.id());

        let mut took: Vec<_> =
            (0..100).map(|_| (ask(&home, "attach"), ask(&home, "detach"))).collect();
        took.sort_unstable();
        let (one_more, one_less) = took[took.len() / 2];

        ip("link add outer type veth peer name inner netns n0");
        let before = Instant::now();
        ip("netns delete n0");
        wait_until("it is let go", || (!has_link("outer")).then_some(()));
        let let_go = before.elapsed();
        ip("netns add n0");
        wait_until("it is served", || (hears_at(0) == Heard::instance(&id(0))).then_some(()));
        server.stop();

        // As many more that wait, for namespaces and for interfaces.
        let interfaces = waiting.start + count..waiting.end + count;
        let more = [tables("netns", waiting.clone()), tables("interface", interfaces)];
        let config = config + &more.concat();
        let before = Instant::now();
        let server = home.start_with(&config);
        let ready_to_wait = before.elapsed();
        let said = server.said();
        assert!(said.contains("more attachments") && said.lines().count() < 50, "{said}");
        let waiting_share = idle_share(&server, Duration::from_secs(3));
        let before = Instant::now();
        make_namespaces(waiting);
        let last = count + count / 2 - 1;
        wait_until("the last is served", || {
            (hears_at(last) == Heard::instance(&id(last))).then_some(())
        });
        let all_served = before.elapsed();
        tell(&format!(
            "{count} network namespaces: ready after {ready:.2?}, {:.0?} each, {held} sockets; one \
             attachment more in {one_more:.2?}, one less in {one_less:.2?}; one that vanishes is \
             let go after {let_go:.2?}; idle, {:.1} % of a core. With as many more that wait: ready \
             after {ready_to_wait:.2?}, {:.1} % of a core; {} that come at once are served after \
             {all_served:.2?}",
            ready / u32::try_from(count).unwrap(),
            idle * 100.0,
            waiting_share * 100.0,
            count / 2,
        ));
        server.stop();
    });
}

fn hears_at(n: usize) -> Heard {
    let name = format!("n{n}");
    let machine = Machine(&name);
    machine.ip("link set lo up");
    let mut add = Command::new("ip");
    add.args(["-netns", &name, "address", "add", "169.254.169.254/32", "dev", "lo"]);
    // It may have it already.
    let _ = add.stderr(Stdio::null()).status();
    machine.hears(EC2[0])
}
