//! Callers that mean harm: they are cut at a limit that is counted, and nobody else notices.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
    sockopt,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exchange::{
    connect, exchange, read, read_request, read_to_close, send_and_end, token, token_request,
    tokenless_request, value,
};
use crate::running::{DEFAULT_INSTANCE, Home, Running, long_run, tell};
use crate::waiting::{PATIENCE, wait_until, wait_within};

/// How long a caller may take to send its request (design, limits).
const HEAD_DEADLINE: Duration = Duration::from_secs(5);

/// The server's default bound on waiting connections of one source.
const PER_SOURCE_MAX: usize = 256;

/// Where the attackers sit, and how many connections each keeps open, as far as the server lets it:
/// 5,000 together. Most want far more than they may; two stay below the bound, so that nothing but
/// the deadline ends what they hold.
const ATTACKERS: [(Ipv4Addr, usize); 8] = [
    (Ipv4Addr::new(127, 0, 0, 2), 765),
    (Ipv4Addr::new(127, 0, 0, 3), 765),
    (Ipv4Addr::new(127, 0, 0, 4), 765),
    (Ipv4Addr::new(127, 0, 0, 5), 765),
    (Ipv4Addr::new(127, 0, 0, 6), 765),
    (Ipv4Addr::new(127, 0, 0, 7), 765),
    (Ipv4Addr::new(127, 0, 0, 8), 205),
    (Ipv4Addr::new(127, 0, 0, 9), 205),
];

/// How often an attacker turns to its connections: to each once a second, to a part at a time.
const TURNS: usize = 20;
const TURN: Duration = Duration::from_millis(50);

/// Lets this process hold the attackers' ends of the connections.
fn make_room_for(connections: u64) {
    let limit = getrlimit(Resource::Nofile);
    let wanted = connections + 1_000;
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).unwrap();
    assert!(
        limit.maximum.is_none_or(|most| most >= wanted),
        "this test holds {wanted} files open, and the limit is {:?}: raise it (ulimit -Hn)",
        limit.maximum
    );
}

/// What became of an attacker's connections.
#[derive(Debug, Default)]
struct Fate {
    opened: usize,
    /// Cut soon after they had been opened.
    turned_away: usize,
    /// Cut after they had been borne for a while.
    timed_out: usize,
    longest: Duration,
}

impl Fate {
    fn count(&mut self, lived: Duration) {
        if lived < HEAD_DEADLINE / 2 {
            self.turned_away += 1;
        } else {
            self.timed_out += 1;
        }
        self.longest = self.longest.max(lived);
    }

    fn add(self, other: &Self) -> Self {
        Self {
            opened: self.opened + other.opened,
            turned_away: self.turned_away + other.turned_away,
            timed_out: self.timed_out + other.timed_out,
            longest: self.longest.max(other.longest),
        }
    }
}

/// A connection of an attacker.
struct Slow {
    socket: OwnedFd,
    opened: Instant,
    sent: usize,
}

impl Slow {
    const REQUEST: &'static [u8] = b"GET /latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n";

    /// Begins to connect.
    fn open(source: Ipv4Addr, address: SocketAddr) -> Result<Self, Errno> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &SocketAddr::from((source, 0)))?;
        match rustix::net::connect(&socket, &address) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Self { socket, opened: Instant::now(), sent: 0 }),
            Err(errno) => Err(errno),
        }
    }

    /// Sends the next byte, and tells whether the connection is still there.
    fn drip(&mut self) -> bool {
        match recv(&self.socket, &mut [0_u8; 16][..], RecvFlags::DONTWAIT) {
            Err(Errno::WOULDBLOCK | Errno::NOTCONN) => {}
            Ok(_) | Err(_) => return false,
        }
        let byte = Self::REQUEST.get(self.sent).copied().unwrap_or(b'a');
        self.sent += 1;
        match send(&self.socket, &[byte], SendFlags::NOSIGNAL) {
            Ok(_) | Err(Errno::WOULDBLOCK) => true,
            Err(_) => false,
        }
    }
}

/// Keeps `connections` open from `source`, a byte a second each, until it is told to stop.
fn attack(source: Ipv4Addr, address: SocketAddr, connections: usize, stop: &Receiver<()>) -> Fate {
    let mut fate = Fate::default();
    let mut held: Vec<Option<Slow>> = (0..connections).map(|_| None).collect();
    for turn in 0.. {
        for slot in held.iter_mut().skip(turn % TURNS).step_by(TURNS) {
            if let Some(slow) = slot {
                if slow.drip() {
                    continue;
                }
                fate.count(slow.opened.elapsed());
                *slot = None;
            }
            // The kernel may have no port left for a moment.
            *slot = Slow::open(source, address).ok();
            fate.opened += usize::from(slot.is_some());
        }
        let next = stop.recv_timeout(TURN);
        if next != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    fate
}

/// Asks again and again, as an ordinary program does, and returns how long each answer took.
fn ask_until(stop: &Receiver<()>, address: SocketAddr) -> Vec<Duration> {
    let mut took = Vec::new();
    let mut granted = token(address);
    while stop.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
        let before = Instant::now();
        if took.len() % 10 == 0 {
            granted = token(address);
        } else {
            let answer = read(address, "/latest/meta-data/instance-id", &granted);
            assert_eq!((answer.status, answer.text()), (200, DEFAULT_INSTANCE));
        }
        took.push(before.elapsed());
    }
    took
}

fn percentile(sorted: &[Duration], hundredths: usize) -> Duration {
    sorted[(sorted.len() - 1) * hundredths / 100]
}

#[test]
fn slow_attackers_are_cut_and_an_ordinary_caller_is_served_throughout() {
    let seconds = long_run("IMDS_TEST_ATTACK_SECONDS", 8);
    make_room_for(5_000);
    let home = Home::new();
    let server = home.start(&[]);
    let address = server.address();
    let allowed = ATTACKERS.map(|(_, connections)| connections.min(PER_SOURCE_MAX));
    let waiting_max: usize = allowed.iter().sum();
    let (mut took, mut fate, mut most) = (Vec::new(), Fate::default(), 0_usize);
    thread::scope(|scope| {
        let (stops, attackers): (Vec<_>, Vec<_>) = ATTACKERS
            .map(|(source, connections)| {
                let (stop, stopped) = sync_channel::<()>(0);
                let attacker = scope.spawn(move || attack(source, address, connections, &stopped));
                (stop, attacker)
            })
            .into_iter()
            .unzip();
        let (stop, stopped) = sync_channel(0);
        let ordinary = scope.spawn(move || ask_until(&stopped, address));
        wait_within::<()>(Duration::from_secs(seconds as u64), || {
            most = most.max(server.connections().try_into().unwrap());
            assert!(!ordinary.is_finished(), "the ordinary caller was not served");
            None
        });
        drop((stop, stops));
        took = ordinary.join().unwrap();
        fate =
            attackers.into_iter().fold(Fate::default(), |sum, one| sum.add(&one.join().unwrap()));
    });
    took.sort_unstable();
    tell(&format!(
        "{seconds} s under attack: {} connections opened, {} turned away, {} cut at the deadline \
         (longest after {:.1?}), at most {most} held; an ordinary caller was answered {} times, \
         p50 {:.2?}, p99 {:.2?}, worst {:.2?}",
        fate.opened,
        fate.turned_away,
        fate.timed_out,
        fate.longest,
        took.len(),
        percentile(&took, 50),
        percentile(&took, 99),
        percentile(&took, 100),
    ));
    assert!(took.len() >= seconds * 20, "it was served throughout");
    assert!(fate.turned_away > 2_500 && fate.timed_out > 200, "{fate:?}");
    // An attacker looks once a second; the rest is for a busy machine.
    assert!(fate.longest < HEAD_DEADLINE + Duration::from_secs(5), "{fate:?}");
    assert!(server.hits("head_deadline") > 200);
    assert!(server.hits("connections_per_source") > 2_500);
    // Whoever is pushed out is closed by the worker that holds it, once that has its turn.
    assert!(most <= 2 * waiting_max, "{most}");
    wait_until("nothing is left of them", || (server.connections() == 0).then_some(()));
    server.stop();
}

#[test]
fn whoever_does_not_ask_is_cut_after_five_seconds() {
    let home = Home::new();
    let server = home.start(&[]);
    let opened = Instant::now();
    let request = token_request("60");
    let mut waiting: Vec<(&str, TcpStream)> = Vec::new();
    for (what, address, sent) in [
        ("silent", server.address(), ""),
        ("in the request line", server.address(), "GET /lat"),
        ("before the last line end", server.address(), &request[..request.len() - 1]),
        ("silent operator", server.management, ""),
        ("operator in the head", server.management, "GET /metrics HTTP/1.1\r\nHo"),
    ] {
        let mut stream = connect(address).unwrap();
        stream.write_all(sent.as_bytes()).unwrap();
        waiting.push((what, stream));
    }
    for (what, stream) in &mut waiting {
        let received = read_to_close(stream);
        let lived = opened.elapsed();
        // Their answer, if any, is that they were too slow.
        assert!(!received.starts_with(b"HTTP/1.1 200"), "{what}");
        let bounds = HEAD_DEADLINE * 9 / 10..HEAD_DEADLINE * 2;
        assert!(bounds.contains(&lived), "{what} lived for {lived:?}");
    }
    assert_eq!(server.hits("head_deadline"), 3);
}

#[test]
fn an_operator_who_keeps_the_connection_does_not_keep_it_for_ever() {
    let home = Home::new();
    let server = home.start(&[]);
    let mut stream = connect(server.management).unwrap();
    let request = b"GET /healthz HTTP/1.1\r\nHost: imds\r\n\r\n";
    stream.write_all(request).unwrap();
    let opened = Instant::now();
    let received = read_to_close(&mut stream);
    assert!(received.starts_with(b"HTTP/1.1 200"));
    assert!(opened.elapsed() < HEAD_DEADLINE * 2);
}

/// Opens connections that begin a request and do not end it.
fn begin(source: Ipv4Addr, address: SocketAddr, connections: usize) -> Vec<TcpStream> {
    let begin = |_| {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
        bind(&socket, &SocketAddr::from((source, 0))).unwrap();
        rustix::net::connect(&socket, &address).unwrap();
        let mut stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"G").unwrap();
        stream
    };
    (0..connections).map(begin).collect()
}

/// Waits until this many connections wait.
fn wait_for_waiting(server: &Running, connections: i64) {
    let what = format!("{connections} connections wait");
    wait_until(&what, || (server.connections() == connections).then_some(()));
}

/// Sees that a connection is closed well before its deadline.
fn assert_pushed_out(stream: &mut TcpStream) {
    let asked = Instant::now();
    assert_eq!(read_to_close(stream), b"");
    assert!(asked.elapsed() < HEAD_DEADLINE / 2, "after {:?}", asked.elapsed());
}

#[test]
fn a_source_with_too_many_connections_pushes_out_its_own() {
    let home = Home::new();
    // One worker, so that connections are accepted in the order in which they come.
    let server = home.start(&["--max-connections-per-source", "3", "--workers", "1"]);
    let [(one, _), (other, _), ..] = ATTACKERS;
    let _other = begin(other, server.address(), 1);
    wait_for_waiting(&server, 1);
    let mut idle = begin(one, server.address(), 3);
    wait_for_waiting(&server, 4);
    let _newest = begin(one, server.address(), 1);
    assert_pushed_out(&mut idle[0]);
    wait_for_waiting(&server, 4);
    assert_eq!(server.hits("connections_per_source"), 1);
    assert_eq!(server.hits("connections"), 0);
}

#[test]
fn when_all_places_are_taken_the_source_with_most_makes_room() {
    let home = Home::new();
    let server = home.start(&["--max-connections", "10", "--workers", "1"]);
    let [(one, _), (other, _), (third, _), ..] = ATTACKERS;
    let _other = begin(other, server.address(), 1);
    wait_for_waiting(&server, 1);
    let mut idle = begin(one, server.address(), 9);
    wait_for_waiting(&server, 10);
    let _newest = begin(third, server.address(), 1);
    assert_pushed_out(&mut idle[0]);
    wait_for_waiting(&server, 10);
    assert_eq!(server.hits("connections"), 1);
    assert_eq!(server.hits("connections_per_source"), 0);
    drop(idle);
    wait_for_waiting(&server, 2);
}

#[test]
fn an_ordinary_caller_is_served_although_all_places_are_taken() {
    let home = Home::new();
    let server = home.start(&["--max-connections", "24"]);
    let address = server.address();
    let many: Vec<_> = ATTACKERS.iter().map(|(source, _)| begin(*source, address, 3)).collect();
    wait_for_waiting(&server, 24);
    for _ in 0..200 {
        let answer = exchange(address, token_request("60").as_bytes());
        assert_eq!(answer.status, 200);
    }
    drop(many);
}

#[test]
fn the_bound_on_requests_a_second_holds() {
    let home = Home::new();
    let server = home.start(&["--requests-per-second", "5"]);
    let mut statuses: BTreeMap<u16, i64> = BTreeMap::new();
    for _ in 0..40 {
        let answer = exchange(server.address(), token_request("60").as_bytes());
        *statuses.entry(answer.status).or_default() += 1;
    }
    let throttled = statuses.get(&503).copied().unwrap_or_default();
    assert!(throttled > 0, "{statuses:?}");
    assert_eq!(statuses.len(), 2, "{statuses:?}");
    assert_eq!(server.hits("request_rate"), throttled);
    wait_until("the second is over", || {
        let answer = exchange(server.address(), token_request("60").as_bytes());
        (answer.status == 200).then_some(())
    });
}

/// A read with `token`, and as many header lines more, of which none is needed.
fn with_lines(token: &str, more: usize) -> String {
    let request = read_request("/latest/meta-data/instance-id", token);
    let lines = "X: x\r\n".repeat(more);
    request.replace("\r\n\r\n", &format!("\r\n{lines}\r\n"))
}

#[test]
fn sixty_four_header_lines_are_read_and_no_more() {
    let home = Home::new();
    let server = home.start(&[]);
    let granted = token(server.address());
    // Two lines are there already.
    let most = exchange(server.address(), with_lines(&granted, 62).as_bytes());
    assert_eq!((most.status, most.text()), (200, DEFAULT_INSTANCE));
    let bomb = exchange(server.address(), with_lines(&granted, 63).as_bytes());
    assert_eq!((bomb.status, bomb.body.len()), (400, 0));
    assert_eq!(server.hits("header_fields"), 1);
}

#[test]
fn a_head_of_eight_kib_is_read_and_no_more() {
    const HEAD_BYTES_MAX: usize = 8 * 1024;
    let home = Home::new();
    let server = home.start(&[]);
    let granted = token(server.address());
    let of_length = |bytes: usize| {
        let request = read_request("/latest/meta-data/instance-id", &granted);
        let rest = bytes - request.len() - "X: \r\n".len();
        request.replace("\r\n\r\n", &format!("\r\nX: {}\r\n\r\n", "a".repeat(rest)))
    };
    for (bytes, status) in
        [(HEAD_BYTES_MAX, 200), (HEAD_BYTES_MAX + 1, 400), (9 * 1024, 400), (60_000, 400)]
    {
        let request = of_length(bytes);
        assert_eq!(request.len(), bytes);
        let answer = exchange(server.address(), request.as_bytes());
        assert_eq!(answer.status, status, "{bytes} bytes");
    }
    assert_eq!(server.hits("head_bytes"), 3);
}

#[test]
fn a_head_without_end_is_refused_and_its_sender_cut() {
    let home = Home::new();
    let server = home.start(&[]);
    let mut stream = connect(server.address()).unwrap();
    let began = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nX: ").unwrap();
    let mut sent = 0_usize;
    while stream.write_all(&[b'a'; 4096]).is_ok() {
        sent += 4096;
        assert!(began.elapsed() < HEAD_DEADLINE, "it is still heard after {sent} bytes");
    }
    wait_until("it is forgotten", || (server.connections() == 0).then_some(()));
    assert_eq!(server.hits("head_bytes"), 1);
    assert_eq!(server.hits("drain"), 1);
}

/// Sends `bytes` and returns how many answers came, and the first status line.
fn answers(server: &Running, bytes: &str) -> (usize, String) {
    let received = send_and_end(server.address(), bytes.as_bytes());
    let received = String::from_utf8(received).unwrap();
    let first = received.lines().next().unwrap_or_default().to_owned();
    (received.matches("HTTP/1.").count(), first)
}

#[test]
fn what_follows_a_request_is_never_answered() {
    let home = Home::new();
    let server = home.start(&[]);
    let granted = token(server.address());
    let good = read_request("/latest/meta-data/instance-id", &granted);
    let put = token_request("60");
    let ok = "HTTP/1.1 200 OK";
    let with =
        |line: &str, body: &str| put.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n{body}"));
    for (what, bytes, status) in [
        ("a second read", format!("{good}{good}"), ok),
        ("a hundred reads", good.repeat(100), ok),
        ("a body that is a request", with(&format!("Content-Length: {}", good.len()), &good), ok),
        ("a request behind a body", with("Content-Length: 4", &format!("body{good}")), ok),
        ("a request behind an empty one", with("Content-Length: 0", &good), ok),
        (
            "a request behind a chunked body",
            with("Transfer-Encoding: chunked", &format!("0\r\n\r\n{good}")),
            ok,
        ),
        (
            "a request in a chunk",
            with("Transfer-Encoding: chunked", &format!("{:x}\r\n{good}\r\n0\r\n\r\n", good.len())),
            "HTTP/1.1 400 Bad Request",
        ),
        (
            "two framings",
            with(&format!("Content-Length: {}\r\nTransfer-Encoding: chunked", good.len()), &good),
            "HTTP/1.1 400 Bad Request",
        ),
        (
            "behind a 401",
            format!("{}{good}", tokenless_request("/latest/")),
            "HTTP/1.1 401 Unauthorized",
        ),
        (
            "behind a 404",
            format!("{}{good}", read_request("/latest/nothing", &granted)),
            "HTTP/1.1 404 Not Found",
        ),
        (
            "behind a 403",
            format!("{}{good}", put.replace("PUT /latest", "PUT /old")),
            "HTTP/1.1 403 Forbidden",
        ),
        (
            "behind a 405",
            format!("{}{good}", put.replace("PUT", "DELETE")),
            "HTTP/1.1 405 Not Allowed",
        ),
        (
            "behind a bad line",
            format!("GET / HTTP/1.1\r\nBad Name: x\r\n\r\n{good}"),
            "HTTP/1.1 400 Bad Request",
        ),
        (
            "behind a bare line feed",
            format!("GET / HTTP/1.1\nX: y\n\n{good}"),
            "HTTP/1.1 400 Bad Request",
        ),
    ] {
        assert_eq!(answers(&server, &bytes), (1, status.to_owned()), "{what}");
    }
    // One read and one PUT for each row that says so: nothing hidden was counted as a request.
    assert_eq!(server.sample("imds_requests_total{version=\"v2\",outcome=\"ok\"}"), 2);
    assert_eq!(server.sample("imds_requests_total{version=\"token\",outcome=\"ok\"}"), 5);
}

#[test]
fn whoever_says_that_nothing_more_comes_is_answered_all_the_same() {
    let home = Home::new();
    let server = home.start(&[]);
    assert_eq!(answers(&server, &token_request("60")), (1, "HTTP/1.1 200 OK".to_owned()));
    // Half a request and no more to come: nothing to answer, and nothing to wait for.
    let mut stream = connect(server.address()).unwrap();
    stream.write_all(b"GET /latest/meta-data/ HTT").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let began = Instant::now();
    assert_eq!(read_to_close(&mut stream), b"");
    assert!(began.elapsed() < HEAD_DEADLINE / 2);
}

#[test]
fn a_request_that_comes_byte_by_byte_is_answered() {
    let home = Home::new();
    let server = home.start(&[]);
    let mut stream = connect(server.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    for byte in token_request("60").bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    assert!(read_to_close(&mut stream).starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn callers_who_never_read_their_answer_hold_nothing() {
    let home = Home::new();
    let server = home.start(&[]);
    let mut instance = home.instance(DEFAULT_INSTANCE);
    instance["user_data"] = "x".repeat(16_384).into();
    home.put_instance(&instance).unwrap();
    let address = server.address();
    let request = read_request("/latest/user-data", &token(address));
    let asked: Vec<_> = (0..200).map(|_| ask_and_never_read(address, &request)).collect();
    wait_until("all are served", || {
        let answered = server.sample("imds_requests_total{version=\"v2\",outcome=\"ok\"}");
        (answered == 200).then_some(())
    });
    let let_go = wait_within(HEAD_DEADLINE * 2, || (server.connections() == 0).then_some(()));
    assert!(let_go.is_some(), "{} connections are still held", server.connections());
    assert_eq!(value(address, "/latest/meta-data/instance-id"), DEFAULT_INSTANCE);
    drop(asked);
}

/// Sends a request over a connection that takes next to nothing back.
fn ask_and_never_read(address: SocketAddr, request: &str) -> TcpStream {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap();
    sockopt::set_socket_recv_buffer_size(&socket, 1).unwrap();
    rustix::net::connect(&socket, &address).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[test]
fn garbage_is_refused_and_counted() {
    let home = Home::new();
    let server = home.start(&[]);
    for bytes in [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        b"\r\n\r\n\r\n\r\nGET\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: \0\r\n\r\n",
        b"\xff\xff\xff\xff\r\n\r\n",
    ] {
        let received = send_and_end(server.address(), bytes);
        let received = String::from_utf8_lossy(&received);
        assert!(received.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{bytes:?}: {received}");
    }
    let counted = server.sample("imds_requests_total{version=\"none\",outcome=\"bad_request\"}");
    assert_eq!(counted, 4);
}

#[test]
fn a_reset_in_the_middle_of_anything_is_survived() {
    let home = Home::new();
    let server = home.start(&[]);
    let request = token_request("60");
    for cut in (0..=request.len()).step_by(7) {
        let stream = connect(server.address()).unwrap();
        // Closing now sends a reset in place of an orderly end.
        sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
        (&stream).write_all(&request.as_bytes()[..cut]).unwrap();
        drop(stream);
    }
    wait_until("nothing is left of them", || (server.connections() == 0).then_some(()));
    let mut stream = connect(server.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut status = [0; 15];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
}
