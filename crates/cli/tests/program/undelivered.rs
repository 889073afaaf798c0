//! Tokens that were granted and did not arrive: noticed, counted by what became of them, told of
//! once, and soon forgotten by the kernel.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::exchange::{connect, token_request, tokenless_request};
use crate::running::Home;
use crate::site::{Launched, SERVICE, SERVICE_V6, Site, TO_CONTAINER};
use crate::sockets::Sockets;
use crate::waiting::wait_until;

/// How soon it is known that a router has dropped a token. The kernel gives up after three seconds.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How long a token may hold a socket of the service (specification).
const SOCKET_LIFE_MAX: Duration = Duration::from_secs(4);

/// Asks for a token, and leaves the answer where it is. Tells when it was asked, which is some time
/// after the first packet where the neighbours did not know each other yet.
fn ask(from: &Sockets, service: SocketAddr) -> (TcpStream, Instant) {
    let mut stream = from.connect(service);
    let asked = Instant::now();
    stream.write_all(token_request("21600").as_bytes()).unwrap();
    (stream, asked)
}

/// Resets the connection, at once. To close it would do so only once nobody has it any more, and a
/// program that another test is about to run has it for a moment.
fn reset(stream: TcpStream) {
    rustix::net::connect_unspec(&stream).unwrap();
    drop(stream);
}

/// How many bytes that were sent over IPv4 from one port of this network namespace to another are
/// not acknowledged; none once the connection is gone.
fn unacknowledged(from: SocketAddr, to: SocketAddr) -> Option<u32> {
    let [from, to] = [from, to].map(|at| format!(":{:04X}", at.port()));
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let connections = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut own = connections.filter(|row| row[1].ends_with(&from) && row[2].ends_with(&to));
    let queues = own.next()?[4];
    Some(u32::from_str_radix(queues.split(':').next().unwrap(), 16).unwrap())
}

/// Waits until tokens have been lost, so many for each reason: hop limit, reset, time-out.
fn wait_for_losses(site: &Site, losses: [i64; 3]) {
    wait_until(&format!("{losses:?} are lost"), || (site.undelivered() == losses).then_some(()));
}

/// Sees that nothing of what was asked at `asked` is left in time.
fn assert_forgotten(site: &Site, launched: &Launched<'_>, asked: Instant) {
    wait_until("no socket is left", || (launched.sockets_of_container() == 0).then_some(()));
    assert!(asked.elapsed() <= SOCKET_LIFE_MAX, "{:?}", asked.elapsed());
    wait_until("nothing waits", || (site.under_way() == 0).then_some(()));
}

#[test]
fn a_caller_behind_the_limit_is_noticed_at_once_and_told_of_once() {
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-protocol-ipv6", "enabled"]);
    launched.limit_hops(1);
    let container = launched.container();
    let (mut held, mut last) = (Vec::new(), Instant::now());
    for (times, (service, source)) in
        (1..).zip([SERVICE, SERVICE_V6].into_iter().zip(&launched.container))
    {
        let told = format!("a caller two hops away from {}, at {source}, asks", launched.id);
        let (first, asked) = ask(&container, service);
        wait_for_losses(&site, [2 * times - 1, 0, 0]);
        wait_until("it is told", || (!site.said(&told).is_empty()).then_some(()));
        assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
        assert!(site.said(&told)[0].contains("asks for tokens; limit is 1."));
        let (second, asked) = ask(&container, service);
        held.extend([first, second]);
        last = asked;
        wait_for_losses(&site, [2 * times, 0, 0]);
        assert_eq!(site.said(&told).len(), 1);
    }
    assert_forgotten(&site, &launched, last);
    assert_eq!(site.said("two hops away").len(), 2);
}

#[test]
fn behind_a_router_that_says_nothing_the_limit_is_noticed_all_the_same() {
    let site = Site::new(&[]);
    let launched = site.launch(&[]);
    launched.limit_hops(1);
    let container = launched.container();
    // What the instance itself would send to the service is lost; what it forwards is not.
    launched.run(&["ip", "rule", "add", "iif", "lo", "to", "169.254.169.254", "blackhole"]);
    let (_held, asked) = ask(&container, SERVICE);
    wait_for_losses(&site, [1, 0, 0]);
    wait_until("it is told", || (site.said("two hops away").len() == 1).then_some(()));
    assert_forgotten(&site, &launched, asked);
}

#[test]
fn a_token_that_nobody_acknowledges_is_told_as_a_time_out() {
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-protocol-ipv6", "enabled"]);
    launched.limit_hops(2);
    let container = launched.container();
    let mut streams = [SERVICE, SERVICE_V6].map(|service| container.connect(service));
    launched.lose_silently();
    let asked = Instant::now();
    for stream in &mut streams {
        stream.write_all(token_request("21600").as_bytes()).unwrap();
    }
    wait_until("both wait", || (site.under_way() == 2).then_some(()));
    wait_for_losses(&site, [0, 0, 2]);
    assert_forgotten(&site, &launched, asked);
    for source in &launched.container {
        let told = format!("a token for {} was never acknowledged by {source}:", launched.id);
        wait_until("it is told", || (site.said(&told).len() == 1).then_some(()));
    }
}

#[test]
fn a_caller_that_resets_while_its_token_is_under_way_is_told_as_one() {
    let site = Site::new(&[]);
    let launched = site.launch(&[]);
    launched.limit_hops(2);
    let container = launched.container();
    let mut stream = container.connect(SERVICE);
    launched.lose_silently();
    stream.write_all(token_request("21600").as_bytes()).unwrap();
    wait_until("the token is under way", || (site.under_way() == 1).then_some(()));
    let asked = Instant::now();
    reset(stream);
    wait_for_losses(&site, [0, 1, 0]);
    assert_forgotten(&site, &launched, asked);
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    let told = "asked for a token and was gone before it arrived";
    wait_until("it is told", || (site.said(told).len() == 1).then_some(()));
}

#[test]
fn a_caller_that_resets_before_it_is_answered_has_lost_its_token_too() {
    let home = Home::new();
    let server = home.start(&[]);
    server.while_asleep(|| {
        let mut stream = connect(server.address()).unwrap();
        stream.write_all(token_request("21600").as_bytes()).unwrap();
        // On a busy machine a reset can overtake what was sent before it.
        let (own, service) = (stream.local_addr().unwrap(), server.address());
        wait_until("the request is there", || {
            (unacknowledged(own, service) == Some(0)).then_some(())
        });
        reset(stream);
    });
    wait_until("it is counted", || {
        let lost = server.sample("imds_token_undelivered_total{reason=\"reset\"}");
        (lost == 1).then_some(())
    });
    assert_eq!(server.sample("imds_requests_total{version=\"token\",outcome=\"ok\"}"), 1);
}

#[test]
fn a_caller_that_resets_once_it_has_its_token_has_lost_nothing() {
    let home = Home::new();
    let server = home.start(&[]);
    for _ in 0..20 {
        let mut stream = connect(server.address()).unwrap();
        stream.write_all(token_request("21600").as_bytes()).unwrap();
        stream.read_exact(&mut [0; 100]).unwrap();
        // Nor may the reset overtake the acknowledgement. The end may be under way still.
        let (own, service) = (stream.local_addr().unwrap(), server.address());
        wait_until("it is acknowledged", || {
            unacknowledged(service, own).is_none_or(|bytes| bytes <= 1).then_some(())
        });
        // Unread bytes of the answer are left behind.
        reset(stream);
    }
    wait_until("nothing waits", || (server.connections() == 0).then_some(()));
    for reason in ["hop_limit", "reset", "timeout"] {
        let sample = format!("imds_token_undelivered_total{{reason=\"{reason}\"}}");
        assert_eq!(server.sample(&sample), 0, "{reason}");
    }
}

/// Sends fifty requests from behind the limit, and sees that eight sockets at most are left.
fn fifty_leave_eight(request: &str) -> Site {
    const ASKED: usize = 50;
    const PER_SOURCE_MAX: usize = 8;
    let site = Site::new(&["--max-connections-per-source", "8"]);
    let launched = site.launch(&[]);
    launched.limit_hops(1);
    let container = launched.container();
    let ask = |_| {
        let mut stream = container.connect(SERVICE);
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    // All come at once, so that some have to make room before anything was done for them.
    let held: Vec<_> = site.while_asleep(|| (0..ASKED).map(ask).collect());
    let asked = Instant::now();
    wait_until("the others are pushed out", || {
        let hits = site.sample("imds_limit_hits_total{limit=\"connections_per_source\"}");
        (hits == 42).then_some(())
    });
    let left = wait_until("few enough are left", || {
        Some(launched.sockets_of_container()).filter(|left| *left <= PER_SOURCE_MAX)
    });
    // It did not just take until all were given up.
    assert!(left > 0 && asked.elapsed() < SOCKET_LIFE_MAX, "{left}, {:?}", asked.elapsed());
    assert_forgotten(&site, &launched, asked);
    drop(held);
    site
}

#[test]
fn tokens_that_do_not_arrive_hold_no_more_sockets_than_a_source_may() {
    let site = fifty_leave_eight(&token_request("21600"));
    assert_eq!(site.granted(), 50);
    // Those that were pushed out are lost as well.
    assert_eq!(site.undelivered(), [50, 0, 0]);
    assert_eq!(site.said("two hops away").len(), 1);
}

#[test]
fn refusals_that_do_not_arrive_hold_no_more_sockets_either() {
    let site = fifty_leave_eight(&token_request("0"));
    assert_eq!((site.granted(), site.undelivered()), (0, [0, 0, 0]));
}

/// Has the instance turn back what goes to its container, or let it pass again.
fn turn_back(launched: &Launched<'_>, change: &str) {
    // Over IPv4 it is said that the host cannot be reached, over IPv6 that it must not be.
    for (how, address) in ["unreachable", "prohibit"].into_iter().zip(&launched.container) {
        launched.run(&["ip", "route", change, how, address]);
    }
}

/// Waits until the service has been told, over both protocols, that the container is not reached.
fn wait_for_reports(launched: &Launched<'_>) {
    wait_until("it is told", || launched.reports().iter().all(|count| *count > 0).then_some(()));
}

/// Has the instance ask nothing of where packets come from, whatever the machine's default is.
fn forward_blindly(launched: &Launched<'_>) {
    for interface in ["all", TO_CONTAINER] {
        let switch = format!("echo 0 > /proc/sys/net/ipv4/conf/{interface}/rp_filter");
        launched.run(&["sh", "-c", &switch]);
    }
}

#[test]
fn a_token_that_is_turned_back_for_a_while_arrives() {
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-protocol-ipv6", "enabled"]);
    launched.limit_hops(2);
    forward_blindly(&launched);
    let container = launched.container();
    let mut streams = [SERVICE, SERVICE_V6].map(|service| container.connect(service));
    turn_back(&launched, "add");
    for stream in &mut streams {
        stream.write_all(token_request("21600").as_bytes()).unwrap();
    }
    wait_until("both wait", || (site.under_way() == 2).then_some(()));
    wait_for_reports(&launched);
    turn_back(&launched, "delete");
    for stream in &mut streams {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    }
    wait_until("nothing waits", || (site.under_way() == 0).then_some(()));
    assert_eq!(site.undelivered(), [0, 0, 0]);
}

#[test]
fn what_a_router_says_ends_no_request() {
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-protocol-ipv6", "enabled", "--http-tokens", "optional"]);
    forward_blindly(&launched);
    let container = launched.container();
    let request = tokenless_request("/latest/meta-data/instance-id");
    let (before, after) = request.split_at(30);
    let mut streams = [SERVICE, SERVICE_V6].map(|service| container.connect(service));
    turn_back(&launched, "add");
    // The service acknowledges the first half, which is turned back.
    for stream in &mut streams {
        stream.write_all(before.as_bytes()).unwrap();
    }
    wait_for_reports(&launched);
    turn_back(&launched, "delete");
    for stream in &mut streams {
        stream.write_all(after.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer:?}");
    }
}
