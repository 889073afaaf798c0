//! The management listener, asked what nobody should ask: each is answered, or the connection ends,
//! and guests notice nothing of it.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::exchange::{Answer, connect, read_to_close, read_tokenless, send_and_end, value};
use crate::management::{CLOSE, Operator};
use crate::running::{DEFAULT_INSTANCE, Home, Running};
use crate::waiting::PATIENCE;

const DESCRIBE: &str = "Action=DescribeInstances";

/// The longest body that is read.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A server with its operator.
struct Asked {
    server: Running,
    operator: Operator,
    _home: Home,
}

impl Asked {
    fn new() -> Self {
        let home = Home::new();
        let server = home.start(&[]);
        Self { operator: Operator::administrator(&home), server, _home: home }
    }

    /// Sends bytes of whatever kind, and reads the one answer.
    fn answer(&self, bytes: &[u8]) -> Answer {
        let told = send(self.server.management, bytes);
        Answer::parse(&told).unwrap_or_else(|fault| panic!("{fault}"))
    }

    /// Sees that operators and guests are served as ever.
    fn assert_well(&self) {
        let told = self.operator.ask(&self.server, DESCRIBE);
        assert_eq!(told.all("instanceId"), [DEFAULT_INSTANCE]);
        let id = value(self.server.address(), "/latest/meta-data/instance-id");
        assert_eq!(id, DEFAULT_INSTANCE);
        assert_eq!(self.server.page("/healthz"), "ok\n");
        assert!(!self.server.said().contains("panicked"), "{}", self.server.said());
    }
}

/// Sends bytes, and reads whatever comes until the server closes. It may close before it has all.
fn send(to: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(to).unwrap();
    let _ = stream.write_all(bytes);
    read_to_close(&mut stream)
}

fn code(answer: &Answer) -> &str {
    let (_, rest) = answer.text().split_once("<Code>").unwrap_or_else(|| panic!("{answer:?}"));
    rest.split('<').next().unwrap()
}

#[test]
fn a_body_that_is_too_long_is_refused_in_the_protocol_of_the_request() {
    let asked = Asked::new();
    let long = "a".repeat(BODY_BYTES_MAX);
    let told = asked.operator.try_ask(asked.server.management, &format!("{DESCRIBE}&Long={long}"));
    let told = told.unwrap();
    assert_eq!((told.0.status, told.one("Code").as_str()), (413, "RequestEntityTooLarge"));
    assert!(told.text().contains("<Response><Errors><Error>") && !told.one("RequestID").is_empty());
    for (head, part) in [
        ("POST /?Action=GetCallerIdentity&Version=2011-06-15", "<ErrorResponse xmlns="),
        ("POST /", "<Response><Errors>"),
    ] {
        let answer = asked.answer(&with_body(head, "", long.as_bytes(), 1));
        assert_eq!((answer.status, code(&answer)), (413, "RequestEntityTooLarge"), "{head}");
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    let target = "X-Amz-Target: AWSOrganizationsV20161128.ListRoots\r\n";
    let answer = asked.answer(&with_body("POST /", target, long.as_bytes(), 1));
    assert_eq!(answer.status, 413);
    assert!(answer.text().contains("#RequestEntityTooLarge\""), "{}", answer.text());
    let path = "POST /service/GraniteServiceVersion20100801/operation/ListMetrics";
    let answer = asked.answer(&with_body(path, "", long.as_bytes(), 1));
    assert_eq!((answer.status, answer.header("content-type")), (413, Some("application/cbor")));
    assert_eq!(asked.server.hits("body_bytes"), 5);
    asked.assert_well();
}

/// A request with `more` bytes in its body than are in `body`.
fn with_body(start: &str, lines: &str, body: &[u8], more: usize) -> Vec<u8> {
    let length = body.len() + more;
    let head =
        format!("{start} HTTP/1.1\r\nHost: imds\r\n{CLOSE}{lines}Content-Length: {length}\r\n\r\n");
    [head.as_bytes(), body, &vec![b'a'; more]].concat()
}

#[test]
fn a_body_that_never_ends_is_given_up() {
    let asked = Asked::new();
    // More than is read to be forgotten, in chunks that say nothing of how many there are.
    let chunk = [b"10000\r\n".to_vec(), vec![b'a'; 0x10000], b"\r\n".to_vec()].concat();
    let mut stream = connect(asked.server.management).unwrap();
    let head =
        format!("POST / HTTP/1.1\r\nHost: imds\r\n{CLOSE}Transfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let sent = (0..10_000).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    assert!(sent < 10_000, "650 MB were taken");
    assert_eq!(asked.server.hits("body_bytes"), 1);
    assert!(asked.server.memory_kib("VmHWM") < 64 * 1024, "none of it was kept");
    asked.assert_well();
}

#[test]
fn a_body_that_does_not_come_is_waited_for_so_long() {
    let asked = Asked::new();
    let head =
        format!("POST /?{DESCRIBE} HTTP/1.1\r\nHost: imds\r\nContent-Length: 100\r\n\r\nVer");
    let mut slow: Vec<_> = (0..20).map(|_| connect(asked.server.management).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(head.as_bytes()).unwrap();
    }
    // The others are not kept waiting.
    asked.assert_well();
    for mut stream in slow {
        let answer = Answer::parse(&read_to_close(&mut stream)).unwrap();
        assert_eq!((answer.status, code(&answer)), (408, "RequestTimeout"));
    }
    assert_eq!(asked.server.hits("body_deadline"), 20);
    asked.assert_well();
}

#[test]
fn more_connections_than_there_are_places_wait_for_one() {
    const CONNECTIONS: usize = 400;
    let asked = Asked::new();
    let mut held: Vec<TcpStream> =
        (0..CONNECTIONS).map(|_| connect(asked.server.management).unwrap()).collect();
    for stream in &mut held {
        stream.write_all(b"POST / HT").unwrap();
    }
    // Guests notice nothing, while operators wait for those who say nothing to be turned away.
    let began = Instant::now();
    for _ in 0..50 {
        value(asked.server.address(), "/latest/meta-data/instance-id");
    }
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    let told = asked.operator.ask(&asked.server, DESCRIBE);
    assert_eq!(told.all("instanceId"), [DEFAULT_INSTANCE]);
    assert!(asked.server.hits("operator_connections") > 0);
    drop(held);
    asked.assert_well();
}

#[test]
fn garbage_is_answered_or_not_and_harms_nobody() {
    let asked = Asked::new();
    let mut chance = Chance::new();
    for round in 0..300 {
        let length = chance.below(2000);
        let mut bytes: Vec<u8> =
            (0..length).map(|_| u8::try_from(chance.below(256)).unwrap()).collect();
        if round % 3 == 0 {
            bytes
                .splice(..0, *b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1500\r\n\r\nAction=");
        } else if round % 3 == 1 {
            // A good request with some of it overwritten.
            let mut good = asked.operator.request(asked.server.management, DESCRIBE, CLOSE);
            for _ in 0..4 {
                let at = chance.below(good.len());
                good[at] = u8::try_from(chance.below(256)).unwrap();
            }
            bytes = good;
        }
        let told = send_and_end(asked.server.management, &bytes);
        if !told.is_empty() {
            assert!(told.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&told));
        }
    }
    asked.assert_well();
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let asked = Asked::new();
    let many = "X-More: 1\r\n".repeat(1000);
    let long = "a".repeat(300 * 1024);
    for head in [
        format!("GET / HTTP/1.1\r\nHost: imds\r\n{many}\r\n"),
        format!("GET / HTTP/1.1\r\nHost: imds\r\nX-Long: {long}\r\n\r\n"),
        format!("GET /?{long} HTTP/1.1\r\nHost: imds\r\n\r\n"),
    ] {
        let told = send(asked.server.management, head.as_bytes());
        if !told.is_empty() {
            let status = Answer::parse(&told).unwrap().status;
            assert!([414, 431].contains(&status), "{status}");
        }
    }
    asked.assert_well();
}

#[test]
fn whoever_looks_without_an_action_is_told_so() {
    let asked = Asked::new();
    let answer = read_tokenless(asked.server.management, "/");
    assert_eq!((answer.status, code(&answer)), (400, "MissingAction"));
    let answer = read_tokenless(asked.server.management, "/?Version=2016-11-15");
    assert_eq!((answer.status, code(&answer)), (400, "MissingAction"));
    // A browser shows a page that says what this is.
    let looks = format!(
        "GET / HTTP/1.1\r\nHost: imds\r\n{CLOSE}Accept: text/html,application/xhtml+xml\r\n\r\n"
    );
    let answer = asked.answer(looks.as_bytes());
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    assert!(answer.text().contains("/metrics"));
    for (request, status) in [
        ("HEAD /", 400),
        ("HEAD /metrics", 200),
        ("PUT /", 405),
        ("DELETE /", 405),
        ("OPTIONS *", 404),
        ("GET /nothing", 404),
        ("GET /service/x", 405),
        ("GET //", 404),
        ("GET /../metrics", 404),
    ] {
        let bytes = format!("{request} HTTP/1.1\r\nHost: imds\r\n{CLOSE}\r\n");
        let told = send(asked.server.management, bytes.as_bytes());
        let told = String::from_utf8(told).unwrap();
        assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {told}");
        if request.starts_with("HEAD") {
            assert!(told.ends_with("\r\n\r\n"), "no body: {told}");
        }
    }
    asked.assert_well();
}

#[test]
fn who_expects_to_be_told_to_go_on_is_told() {
    let asked = Asked::new();
    let bytes = asked.operator.request(
        asked.server.management,
        DESCRIBE,
        &format!("{CLOSE}Expect: 100-continue\r\n"),
    );
    let body = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let mut stream = connect(asked.server.management).unwrap();
    stream.write_all(&bytes[..body]).unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&bytes[body..]).unwrap();
    let answer = Answer::parse(&read_to_close(&mut stream)).unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains(DEFAULT_INSTANCE));
    // Or not, and then the body need not be sent.
    let expects = format!(
        "POST / HTTP/1.1\r\nHost: imds\r\n{CLOSE}Expect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        BODY_BYTES_MAX + 1
    );
    let answer = asked.answer(expects.as_bytes());
    assert_eq!((answer.status, code(&answer)), (413, "RequestEntityTooLarge"));
    asked.assert_well();
}

#[test]
fn bodies_may_come_in_chunks_and_by_an_old_protocol() {
    let asked = Asked::new();
    let bytes = asked.operator.request(asked.server.management, DESCRIBE, CLOSE);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let lines = head.lines().filter(|line| !line.starts_with("Content-Length"));
    let mut chunked = lines.collect::<Vec<_>>().join("\r\n");
    chunked.push_str("\r\nTransfer-Encoding: chunked\r\n\r\n");
    for part in body.as_bytes().chunks(7) {
        let part = std::str::from_utf8(part).unwrap();
        write!(chunked, "{:x};name=value\r\n{part}\r\n", part.len()).unwrap();
    }
    chunked.push_str("0\r\nX-Trailer: 1\r\n\r\n");
    let old = text.replacen("HTTP/1.1", "HTTP/1.0", 1);
    for request in [chunked, old] {
        let told = String::from_utf8(send(asked.server.management, request.as_bytes())).unwrap();
        assert!(told.contains(" 200 OK\r\n") && told.contains(DEFAULT_INSTANCE), "{told}");
    }
    asked.assert_well();
}

#[test]
fn header_lines_that_come_twice_let_nobody_in() {
    let asked = Asked::new();
    let text = asked.operator.request(asked.server.management, DESCRIBE, CLOSE);
    let text = String::from_utf8(text).unwrap();
    let (start, rest) = text.split_once("\r\n").unwrap();
    for line in [
        "Host: elsewhere",
        "Content-Length: 3",
        "Transfer-Encoding: chunked",
        "X-Amz-Date: 20200101T000000Z",
        "Content-Type: text/plain",
        "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/20200101/us-east-1/ec2/aws4_request, \
         SignedHeaders=host, Signature=00",
    ] {
        let twice = format!("{start}\r\n{line}\r\n{rest}");
        let told = send(asked.server.management, twice.as_bytes());
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(told.starts_with("HTTP/1.1 4"), "{line}: {told}");
        assert!(!told.contains(DEFAULT_INSTANCE), "{line}: {told}");
    }
    asked.assert_well();
}

/// Everything at once, for a while, and how long guests wait meanwhile.
#[test]
fn guests_are_served_while_operators_are_pestered() {
    let asked = Asked::new();
    let management = asked.server.management;
    let over = Instant::now() + Duration::from_secs(2);
    let mut longest = Duration::ZERO;
    thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || {
                let long = with_body("POST /", "", &vec![b'a'; 100_000], 0);
                while Instant::now() < over {
                    match number {
                        0 => drop(send(management, b"\0\0\0\0\r\n\r\n")),
                        1 => drop(send(management, &long)),
                        2 => drop(connect(management)),
                        _ => drop(send(management, b"GET /metrics HTTP/1.0\r\n\r\n")),
                    }
                }
            });
        }
        while Instant::now() < over {
            let began = Instant::now();
            value(asked.server.address(), "/latest/meta-data/instance-id");
            longest = longest.max(began.elapsed());
        }
    });
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    asked.assert_well();
}
