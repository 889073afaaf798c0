//! One instance floods the service from its machine, in every way that it can; what another one, an
//! ordinary caller at the same worker, notices of it.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, ipproto, recv, send,
    sendto, socket_with, sockopt,
};
use serde_json::json;

use crate::alone::alone;
use crate::exchange::{Answer, connect, read_request, token_request, try_exchange};
use crate::machines::{EC2, Machine};
use crate::running::{Home, long_run, tell};
use crate::waiting::{wait_until, wait_within};

const FLOODER: &str = "i-0000000000000000f";
const ORDINARY: &str = "i-00000000000000001";

/// The most that the slowest hundredth of an ordinary caller's requests may take: seconds are what
/// clients give up after. It is for a machine that is busy with other tests.
const P99_MAX: Duration = Duration::from_millis(200);

/// How long an ordinary caller pauses between its requests.
const PAUSE: Duration = Duration::from_millis(2);

fn ec2() -> SocketAddr {
    EC2[0].parse().unwrap()
}

/// A way to flood: it is run in the flooder's machine, by two threads, until it is to stop. Returns
/// how often it has struck.
type Flood = fn(&AtomicBool) -> usize;

const FLOODS: [(&str, Flood); 7] = [
    ("slow requests", drip_requests),
    ("answers never read", never_read),
    ("heads without end", send_heads_without_end),
    ("connections", connect_and_reset),
    ("tokens", take_tokens),
    ("tokens that are not acknowledged", take_tokens_and_vanish),
    ("first packets", send_first_packets),
];

/// Connections that each of the two threads of a flood holds open.
const HELD: usize = 400;

/// Keeps connections open, and sends a byte on each now and then.
fn drip_requests(stop: &AtomicBool) -> usize {
    let mut held: Vec<TcpStream> = Vec::new();
    let mut opened = 0;
    while !stop.load(Ordering::Relaxed) {
        held.retain(|stream| (&mut &*stream).write_all(b"G").is_ok() && is_open(stream));
        while held.len() < HELD {
            held.extend(connect(ec2()));
            opened += 1;
        }
        wait_within::<()>(Duration::from_millis(50), || None);
    }
    opened
}

fn is_open(stream: &TcpStream) -> bool {
    matches!(recv(stream, &mut [0_u8; 16][..], RecvFlags::DONTWAIT), Err(Errno::WOULDBLOCK))
}

/// Asks for much, and takes nothing of it.
fn never_read(stop: &AtomicBool) -> usize {
    let granted = token();
    let request = read_request("/latest/user-data", &granted);
    let mut held = Vec::new();
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        if held.len() >= HELD {
            held.clear();
        }
        let socket = socket();
        sockopt::set_socket_recv_buffer_size(&socket, 1).unwrap();
        let told = rustix::net::connect(&socket, &ec2());
        if told.and_then(|()| send(&socket, request.as_bytes(), SendFlags::NOSIGNAL)).is_ok() {
            held.push(socket);
            asked += 1;
        }
    }
    asked
}

fn send_heads_without_end(stop: &AtomicBool) -> usize {
    let lines = "X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(1_000);
    let head = format!("GET / HTTP/1.1\r\n{lines}");
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = connect(ec2()) else { continue };
        let _ = stream.write_all(head.as_bytes());
        sent += 1;
    }
    sent
}

/// Connects, and is gone.
fn connect_and_reset(stop: &AtomicBool) -> usize {
    let mut connected = 0;
    while !stop.load(Ordering::Relaxed) {
        let socket = socket();
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).unwrap();
        connected += usize::from(rustix::net::connect(&socket, &ec2()).is_ok());
    }
    connected
}

fn take_tokens(stop: &AtomicBool) -> usize {
    let mut taken = 0;
    while !stop.load(Ordering::Relaxed) {
        taken += usize::from(try_exchange(ec2(), token_request("60").as_bytes()).is_ok());
    }
    taken
}

/// Asks for tokens, and is gone before they come.
fn take_tokens_and_vanish(stop: &AtomicBool) -> usize {
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut stream) = connect(ec2()) else { continue };
        sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        asked += usize::from(stream.write_all(token_request("60").as_bytes()).is_ok());
    }
    asked
}

/// Sends the first packets of connections from addresses of containers that are not there, so that
/// none ever comes to be.
fn send_first_packets(stop: &AtomicBool) -> usize {
    let flags = SocketFlags::CLOEXEC;
    let raw = socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(ipproto::RAW)).unwrap();
    let mut sent = 0_usize;
    while !stop.load(Ordering::Relaxed) {
        let [.., port, other_port, high, low] = sent.to_be_bytes();
        let packet = first_packet(Ipv4Addr::new(172, 17, high, low), [port | 0x80, other_port]);
        sent += usize::from(sendto(&raw, &packet, SendFlags::empty(), &ec2()).is_ok());
    }
    sent
}

/// An IPv4 packet with the first segment of a connection. The kernel fills in lengths and the
/// checksum of the header.
fn first_packet(source: Ipv4Addr, port: [u8; 2]) -> [u8; 40] {
    let to = [169, 254, 169, 254];
    let mut packet = [0; 40];
    packet[0] = 0x45;
    packet[3] = 40;
    packet[8] = 64;
    packet[9] = 6;
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&to);
    packet[20..22].copy_from_slice(&port);
    packet[23] = 80;
    packet[32] = 5 << 4;
    packet[33] = 0x02;
    packet[34..36].copy_from_slice(&[0xff, 0xff]);
    // Over the addresses, the protocol, the length of the segment, and the segment.
    let words = packet[12..].chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let sum = words.chain([6, 20]).fold(0_u16, |sum, word| {
        let (sum, is_over) = sum.overflowing_add(word);
        sum + u16::from(is_over)
    });
    packet[36..38].copy_from_slice(&(!sum).to_be_bytes());
    packet
}

fn socket() -> OwnedFd {
    socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
}

fn token() -> String {
    try_exchange(ec2(), token_request("600").as_bytes()).unwrap().text().to_owned()
}

/// Asks as an ordinary program does, every time with success, and returns how long each answer took,
/// sorted.
fn ask_for(time: Duration) -> Vec<Duration> {
    let (start, mut took, mut granted) = (Instant::now(), Vec::new(), token());
    while start.elapsed() < time {
        wait_within::<()>(PAUSE, || None);
        let before = Instant::now();
        if took.len() % 10 == 0 {
            granted = token();
        } else {
            let request = read_request("/latest/meta-data/instance-id", &granted);
            let answer: Answer = try_exchange(ec2(), request.as_bytes()).unwrap();
            assert_eq!((answer.status, answer.text()), (200, ORDINARY));
        }
        took.push(before.elapsed());
    }
    took.sort_unstable();
    took
}

fn percentile(sorted: &[Duration], hundredths: usize) -> Duration {
    sorted[(sorted.len() - 1) * hundredths / 100]
}

fn shown(took: &[Duration]) -> String {
    let [p50, p99, worst] = [50, 99, 100].map(|hundredths| percentile(took, hundredths));
    format!("p50 {p50:.2?}, p99 {p99:.2?}, worst {worst:.2?} of {}", took.len())
}

#[test]
fn whoever_floods_the_service_keeps_nobody_else_from_it() {
    alone(|| {
        let time = Duration::from_secs(long_run("IMDS_TEST_ATTACK_SECONDS", 8) as u64) / 4;
        let home = Home::new();
        // One worker: what one makes it do, the other has to wait for.
        let server = home.start(&["--workers", "1"]);
        for id in [FLOODER, ORDINARY] {
            let question = json!({
                "action": "launch_instance", "instance_id": id,
                "driver": { "netns": { "container": id == FLOODER } },
                "user_data": "x".repeat(16_384),
            });
            home.ask(&question).unwrap();
        }
        let (flooder, ordinary) = (Machine(FLOODER), Machine(ORDINARY));
        let at_rest = ordinary.run(|| ask_for(time));
        let mut figures = format!("an ordinary caller at rest: {}", shown(&at_rest));
        for (name, flood) in FLOODS {
            let (stop, strikes) = (AtomicBool::new(false), AtomicUsize::new(0));
            let took = thread::scope(|scope| {
                for _ in 0..2 {
                    let strike = || strikes.fetch_add(flood(&stop), Ordering::Relaxed);
                    scope.spawn(move || flooder.run(strike));
                }
                let took = ordinary.run(|| ask_for(time));
                stop.store(true, Ordering::Relaxed);
                took
            });
            let strikes = strikes.into_inner();
            write!(figures, "\n  beside {strikes} {name}: {}", shown(&took)).unwrap();
            assert!(strikes > 100, "{name}: {strikes}");
            let p99 = percentile(&took, 99);
            assert!(p99 < P99_MAX, "{name}: {p99:?}\n{figures}");
        }
        tell(&figures);
        wait_until("nothing is left of it", || (server.connections() == 0).then_some(()));
        server.stop();
    });
}

#[test]
fn an_instance_that_asks_from_many_addresses_pushes_out_its_own() {
    alone(|| {
        let home = Home::new();
        let shared: SocketAddr = "127.0.0.9:80".parse().unwrap();
        let listen = shared.to_string();
        let server = home.start(&["--shared-listen", &listen, "--max-connections", "40"]);
        let address = |number: u8| Ipv4Addr::new(127, 1, 0, number);
        for (id, numbers) in [(FLOODER, 1..=60), (ORDINARY, 100..=100)] {
            let sources = numbers.map(|number| json!({ "source": address(number).to_string() }));
            let question = json!({
                "action": "launch_instance", "instance_id": id,
                "attachments": sources.collect::<Vec<_>>(),
            });
            home.ask(&question).unwrap();
        }
        let begin = |number: u8| {
            let socket = socket();
            bind(&socket, &SocketAddr::from((address(number), 0))).unwrap();
            rustix::net::connect(&socket, &shared).unwrap();
            let mut stream = TcpStream::from(socket);
            stream.write_all(b"G").unwrap();
            stream
        };
        let ordinary = [(); 3].map(|()| begin(100));
        wait_until("it waits", || (server.connections() == 3).then_some(()));
        // One connection from each address, again and again.
        let _flood: Vec<_> = (1..=60).chain(1..=60).map(begin).collect();
        wait_until("others had to go", || (server.hits("connections") == 83).then_some(()));
        assert!(ordinary.iter().all(is_open));
        server.stop();
    });
}
