//! What EC2 documents, or was seen to do, between the instance's network and the service: a test for
//! each row, N1 to N9, with the packets as the kernel at the service's end of the link sees them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::capture::{Capture, Flags, Packet};
use crate::exchange::{exchange_over, read_request, token_request, tokenless_request};
use crate::site::{SERVICE, SERVICE_V6, Site, ask, own_address};
use crate::sockets::{Sockets, connected};

/// The TTL of whatever no hop limit bounds: what Linux gives every packet.
const USUAL: u8 = 64;

const ID: &str = "/latest/meta-data/instance-id";

/// How long a client waits for a token before it gives up (`botocore`).
const CLIENT_PATIENCE: Duration = Duration::from_secs(1);

/// Gets a token, which must be granted, and returns it with the packets of the service from its
/// first byte on.
fn token_and_packets(
    from: &Sockets,
    service: SocketAddr,
    capture: &mut Capture,
) -> (String, Vec<Packet>) {
    let stream = from.connect(service);
    let client = own_address(&stream);
    let answer = exchange_over(stream, token_request("21600").as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.head);
    let packets = capture.of_client(client).into_iter();
    let packets =
        packets.filter(|p| p.to == client && (p.bytes > 0 || p.has(Flags::END))).collect();
    (answer.text().to_owned(), packets)
}

fn hops(packets: &[Packet]) -> Vec<u8> {
    let mut hops: Vec<_> = packets.iter().map(|packet| packet.hops).collect();
    hops.dedup();
    hops
}

/// Gets a token from the instance, and sees the TTL of the answer.
fn token_from_the_instance_travels(service: SocketAddr, limit: u8) {
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-protocol-ipv6", "enabled"]);
    launched.limit_hops(limit);
    let mut capture = launched.capture();
    let (_, packets) = token_and_packets(&launched.instance(), service, &mut capture);
    assert!(!packets.is_empty());
    assert_eq!(hops(&packets), [limit], "{packets:?}");
}

#[test]
fn n1_hop_limit_1_a_client_in_the_instance_gets_its_token_in_packets_of_ttl_1() {
    token_from_the_instance_travels(SERVICE, 1);
}

#[test]
fn n2_hop_limit_1_a_client_one_router_away_connects_and_hears_nothing() {
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-tokens", "optional"]);
    launched.limit_hops(1);
    let container = launched.container();
    // It would fail the test if it did not connect.
    let mut put = container.connect(SERVICE);
    put.set_read_timeout(Some(CLIENT_PATIENCE)).unwrap();
    put.write_all(token_request("21600").as_bytes()).unwrap();
    let heard = put.read(&mut [0]).map_err(|fault| fault.kind());
    assert_eq!(heard, Err(ErrorKind::WouldBlock));
    assert_eq!(site.granted(), 1, "the answer was lost on its way, not withheld");
    let read = ask(&container, SERVICE, &tokenless_request(ID));
    assert_eq!((read.status, read.text()), (200, launched.id.as_str()));
}

#[test]
fn n3_hop_limit_2_a_client_one_router_away_gets_its_token() {
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-put-response-hop-limit", "2"]);
    let answer = ask(&launched.container(), SERVICE, &token_request("21600"));
    assert_eq!(answer.status, 200);
}

#[test]
fn n4_hop_limit_64_the_token_comes_with_ttl_64() {
    token_from_the_instance_travels(SERVICE, 64);
}

#[test]
fn n5_hop_limit_1_what_is_read_with_a_token_travels_further() {
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-put-response-hop-limit", "1"]);
    let mut capture = launched.capture();
    let (token, _) = token_and_packets(&launched.instance(), SERVICE, &mut capture);
    let stream = launched.container().connect(SERVICE);
    let client = own_address(&stream);
    let answer = exchange_over(stream, read_request(ID, &token).as_bytes());
    assert_eq!((answer.status, answer.text()), (200, launched.id.as_str()));
    let mut packets = capture.of_client(client);
    packets.retain(|packet| packet.to == client);
    assert_eq!(hops(&packets), [USUAL], "{packets:?}");
}

#[test]
fn n6_hop_limit_1_holds_over_ipv6() {
    token_from_the_instance_travels(SERVICE_V6, 1);
}

#[test]
fn n7_with_ipv6_disabled_there_is_no_service_at_its_address() {
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-tokens", "optional"]);
    let instance = launched.instance();
    for request in [token_request("60"), tokenless_request(ID), "what?\r\n\r\n".to_owned()] {
        assert_eq!(heard(&instance, SERVICE_V6, &request), b"", "{request}");
    }
    assert_eq!(site.sample("imds_turned_away_total{reason=\"ipv6_disabled\"}"), 3);
    assert_eq!(ask(&instance, SERVICE, &token_request("60")).status, 200);
    launched.set(&["--http-protocol-ipv6", "enabled"]);
    assert_eq!(ask(&instance, SERVICE_V6, &token_request("60")).status, 200);
    launched.set(&["--http-protocol-ipv6", "disabled"]);
    assert_eq!(heard(&instance, SERVICE_V6, &token_request("60")), b"");
}

/// Everything that comes back until the connection ends, however it does.
fn heard(from: &Sockets, service: SocketAddr, request: &str) -> Vec<u8> {
    let mut stream = from.connect(service);
    let mut heard = Vec::new();
    // It may have ended before anything was sent.
    let _ = stream.write_all(request.as_bytes());
    match stream.read_to_end(&mut heard) {
        Err(fault) if fault.kind() != ErrorKind::ConnectionReset => panic!("{fault}"),
        Ok(_) | Err(_) => heard,
    }
}

#[test]
fn n8_the_server_closes_behind_every_answer() {
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-tokens", "optional"]);
    let (instance, mut capture) = (launched.instance(), launched.capture());
    let token = ask(&instance, SERVICE, &token_request("60")).text().to_owned();
    for (request, status) in [
        (token_request("60"), 200),
        (token_request("0"), 400),
        (read_request(ID, &token), 200),
        (read_request(ID, "bad"), 401),
        (tokenless_request(ID), 200),
        (tokenless_request("/latest/nothing"), 404),
        (token_request("60").replace("PUT /latest", "PUT /old"), 403),
        (token_request("60").replace("PUT", "DELETE"), 405),
        ("what?\r\n\r\n".to_owned(), 400),
    ] {
        let request = request.replace("Connection: close", "Connection: keep-alive");
        assert_closed_behind_the_answer(&instance, &mut capture, &request, status);
    }
}

/// The client asks, reads until the server closes, and only then closes itself.
fn assert_closed_behind_the_answer(
    from: &Sockets,
    capture: &mut Capture,
    request: &str,
    status: u16,
) {
    let stream = from.connect(SERVICE);
    let client = own_address(&stream);
    // It is not closed before the packets have been looked at.
    let kept = stream.try_clone().unwrap();
    let answer = exchange_over(stream, request.as_bytes());
    assert_eq!(answer.status, status, "{request}");
    let bytes = answer.head.len() + "\r\n\r\n".len() + answer.body.len();
    let packets = capture.of_client(client);
    drop(kept);
    let sent = |packets: &[Packet]| packets.iter().map(|packet| packet.bytes).sum::<usize>();
    let (own, others): (Vec<Packet>, Vec<Packet>) =
        packets.into_iter().partition(|packet| packet.to == client);
    let end = own.iter().position(|packet| packet.has(Flags::END)).expect("the server closes");
    assert_eq!((sent(&own[..=end]), sent(&own)), (bytes, bytes), "{request}: {own:?}");
    assert!(!own.iter().any(|packet| packet.has(Flags::RESET)), "{request}: {own:?}");
    assert!(!others.iter().any(|packet| packet.has(Flags::END)), "{request}: {others:?}");
}

#[test]
fn n9_a_hundred_reads_at_once_are_served_each_within_a_second() {
    const READERS: usize = 100;
    let site = Site::new(&[]);
    let launched = site.launch(&["--http-tokens", "optional", "--role", "example-role"]);
    let instance = launched.instance();
    let request = tokenless_request("/latest/meta-data/iam/security-credentials/");
    let start = Barrier::new(READERS);
    let read = |socket| {
        start.wait();
        let began = Instant::now();
        let answer = exchange_over(connected(socket, SERVICE), request.as_bytes());
        (answer.status, answer.text().to_owned(), began.elapsed())
    };
    let sockets: Vec<_> = (0..READERS).map(|_| instance.unconnected(SERVICE)).collect();
    let answers: Vec<_> = thread::scope(|scope| {
        let read = &read;
        let spawn = |socket| scope.spawn(move || read(socket));
        let readers: Vec<_> = sockets.into_iter().map(spawn).collect();
        readers.into_iter().map(|reader| reader.join().unwrap()).collect()
    });
    for (status, text, took) in answers {
        assert_eq!((status, text.as_str()), (200, "example-role"));
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
}
