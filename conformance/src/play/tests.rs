use std::path::Path;

use super::*;
use crate::parse;

/// A service of a few lines: it knows one token and one leaf, and its clock obeys.
struct Fake {
    now: Timestamp,
    name: String,
    asked: AtomicUsize,
}

impl Fake {
    fn answer(&self, status: &str, headers: &str, body: &str) -> Vec<u8> {
        let (length, date) = (body.len(), self.now.http_date());
        format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nDate: {date}\r\n\
             Server: EC2ws\r\nConnection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

impl Target for Fake {
    fn exchange(&self, sent: &Sent) -> Received {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let request = String::from_utf8_lossy(&sent.bytes).into_owned();
        let token =
            request.lines().rev().find_map(|line| line.strip_prefix("X-aws-ec2-metadata-token: "));
        let bytes = match (request.lines().next().unwrap_or_default(), token) {
            ("PUT /token HTTP/1.1", _) => self.answer("200 OK", "Ttl: 60\r\n", "ABC"),
            (_, Some(token)) if token != "ABC" => self.answer("401 Unauthorized", "", ""),
            ("GET /until HTTP/1.1", _) => {
                self.answer("200 OK", "", &format!("until {}", self.now.plus_seconds(3600)))
            }
            ("GET /name HTTP/1.1", _) => self.answer("200 OK", "", &self.name),
            ("GET /echo HTTP/1.1", _) => self.answer("200 OK", "", &request),
            ("", _) => Vec::new(),
            _ => self.answer("404 Not Found", "", ""),
        };
        let end = if sent.sender == crate::target::Sender::Ends || !bytes.is_empty() {
            End::Closed
        } else {
            End::Silent
        };
        Received { bytes, end }
    }

    fn advance(&mut self, by: Duration) -> Result<(), String> {
        self.now =
            Timestamp::from_millis(self.now.as_millis() + i64::try_from(by.as_millis()).unwrap());
        Ok(())
    }

    fn change(&mut self, instance: &Instance) -> Result<(), String> {
        self.name = instance.tags.values().map(|value| &**value).collect();
        Ok(())
    }

    fn certificates(&self) -> Result<Vec<(String, String)>, String> {
        Ok(Vec::new())
    }
}

/// Plays one case and returns its failures as `LINE: message`, and how often the service was asked.
fn played(text: &str) -> (Vec<String>, usize) {
    let cases = parse::cases("x.case", &format!("case A\n{text}"), Path::new("/nowhere")).unwrap();
    let states = States::empty();
    let scene = states.scene(Profile::Nitro, &[]).unwrap();
    let mut target = Fake {
        now: "2025-03-04T10:00:00Z".parse().unwrap(),
        name: "first".to_owned(),
        asked: AtomicUsize::new(0),
    };
    let failures = play(&cases[0], &scene, &states, &mut target);
    let failures = failures.iter().map(|f| format!("{}: {}", f.place.line, f.message)).collect();
    (failures, target.asked.into_inner())
}

#[test]
fn a_case_that_holds_has_no_failures() {
    let (failures, asked) = played(
        "PUT /token\n=> 200 OK\n  body as $T\n  Ttl: one of 59 | 60\n  ! ttl-seconds\n\
         GET /name\n  with $T\n  times 20, 4 at once\n=> 200\n  body matches f(?<I>i)rst\n  body is not $T\n\
         GET /name\n  with $T changed at 1\n=> 401\n  body empty\n\
         GET /name\n  X-aws-ec2-metadata-token: $T\n=> 200\n  Date as $D\n\
         advance 1 s\n\
         GET /name\n=> 200\n  Date is not $D\n\
         change { tags = { Name = \"second\" } }\n\
         GET /name\n=> 200\n  body \"second\"\n\
         raw \"\"\n=> closed\n",
    );
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!(asked, 26);
}

#[test]
fn the_clock_moves_to_a_captured_time() {
    let (failures, _) = played(
        "GET /until\n=> 200\n  body matches until (?<A>.*)\nadvance until 300 s before $A\n\
         GET /until\n=> 200\n  Date: Tue, 04 Mar 2025 10:55:00 GMT\n  body matches until (?<B>.*)\n  $B > $A\n\
         GET /name\n=> 200\n  $B is not $A\n  $A > $B\nadvance until 9000 s before $A\n",
    );
    assert_eq!(
        failures,
        [
            "14: 2025-03-04T11:00:00Z is not later than 2025-03-04T11:55:00Z",
            "15: `$A` is 2025-03-04T08:30:00Z and that is past: it is 2025-03-04T10:55:00Z"
        ]
    );
}

#[test]
fn a_host_is_added_unless_one_is_named() {
    let host = |lines: &str, host: &str| {
        format!("GET /echo\n{lines}=> 200\n  body \"GET /echo HTTP/1.1\\r\\n{host}\\r\\n\\r\\n\"\n")
    };
    for text in [
        host("", "Host: 169.254.169.254"),
        host("  over ipv6\n", "Host: [fd00:ec2::254]"),
        host("  host: x\n", "host: x"),
    ] {
        assert_eq!(played(&text).0, Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_does_not_hold_is_told_with_its_line() {
    let (failures, _) = played(
        "GET /name\n=> 200\n  A: b\n  ! Date\n  body \"firsT\"\n  body matches x\n  Date as $D\n  \
         Date is not $D\n  head exactly\n    HTTP/1.1 200 OK\n  check verifies-signature $D\n\
         GET /nope\n=> 200 OK\n  body as $X\n\
         GET /name\n=> 200\n  body is $X\n\
         raw \"\"\n  stays open\n=> closed\n\
         raw \"\"\n=> 200\n\
         GET /name\n=> closed\n",
    );
    let starts = [
        "4: there are 0 headers `A` and not one",
        "5: there is a header `Date`",
        "6: the body is not the expected one from byte 4 on:\n  found    \"first\" (5 bytes)",
        "7: the body does not match: \"first\"",
        "9: `Date` is the same as `$D`",
        "10: the head is\n  HTTP/1.1 200 OK\n  Content-Length: 5\n  Date: ",
        "12: the service has no certificate `signature`",
        "13: answered 404 Not Found, expected 200 OK",
        "18: `$X` was not captured, since an earlier line failed",
        "19: the connection was left open",
        "22: no answer: the connection was closed",
        "24: answered with \"HTTP/1.1 200 OK",
    ];
    for (failure, start) in failures.iter().zip(starts) {
        assert!(failure.starts_with(start), "{failure}\n is not\n{start}");
    }
    assert_eq!(failures.len(), starts.len(), "{failures:#?}");
}

#[test]
fn one_of_a_hundred_alike_failures_is_told() {
    let (failures, asked) = played("GET /nope\n  times 100, 10 at once\n=> 200\n");
    assert_eq!((failures.len(), asked), (1, 100));
}

#[test]
fn nothing_is_played_after_a_change_that_fails() {
    let (failures, asked) = played("change { regoin = \"x\" }\nGET /name\n=> 200\n");
    assert_eq!((failures.len(), asked), (1, 0));
}
