//! A whole connection: arbitrary bytes, in arbitrary pieces, get the one answer that a plain reader
//! of the rules expects, framed right, or none.
//!
//! The first byte of the input chooses a [`Scene`]; the others of its first line are the lengths of
//! the pieces; what follows is sent, with tokens in place of the words that stand for them.

use metadata::{Body, ContentType, Method, Profile, Refusal};
use model::{HttpTokens, Instance, Outcome, Switch};
use server::{
    Connection, Desk, Ending, Exchange, HEAD_DEADLINE_MILLIS, Peer, Sending, Step, Unanswered, Wire,
};

use crate::framing::Answer;
use crate::naive::{self, Head, Path, Reading, Verdict};
use crate::scene::{Scene, world};
use crate::tree::{NOW, signatures};

/// Longer inputs find nothing new: the head ends, or is refused, well before.
const SENT_BYTES_MAX: usize = 10_000;

/// Sent behind every request: it must not be answered.
const SMUGGLED: &[u8] = b"GET /latest/meta-data/ HTTP/1.1\r\nX-aws-ec2-metadata-token: $T\r\n\r\n";

/// What came back.
#[derive(Debug, PartialEq, Eq)]
struct Played {
    bytes: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// Answered, with this hop limit and outcome.
    Answered(Option<u8>, Outcome),
    /// Closed without an answer.
    Closed(Unanswered),
    /// Waiting for more.
    Waiting,
}

/// What is to come back.
#[derive(Debug)]
enum Expected<'t> {
    Closed(Unanswered),
    /// An answer with this status, and this body if it is given.
    Status(u16, Option<&'t (ContentType, Vec<u8>)>),
    Waiting,
}

/// Plays a connection in several ways and judges what comes back.
pub fn check(data: &[u8]) {
    let line_end = data.iter().position(|byte| *byte == b'\n');
    let (line, rest) = data.split_at(line_end.unwrap_or(data.len()));
    let (scene, lengths) = line.split_first().unwrap_or((&b'@', &[]));
    let scene = Scene::new(*scene);
    let sent = scene.with_tokens(rest.get(1..).unwrap_or_default());
    if sent.is_empty() || sent.len() > SENT_BYTES_MAX {
        return;
    }

    let whole = play(scene, [&sent[..]]);
    judge(scene, &sent, &whole);
    assert_eq!(play(scene, pieces(&sent, lengths)), whole, "in pieces");
    if sent.len() <= 512 {
        assert_eq!(play(scene, sent.chunks(1)), whole, "byte by byte");
    }
    if whole.end != End::Waiting {
        let more = [&sent[..], &scene.with_tokens(SMUGGLED)].concat();
        assert_eq!(play(scene, [&more[..]]), whole, "with more behind it");
    }
}

/// Cuts `sent` after each of these lengths.
fn pieces<'s>(sent: &'s [u8], lengths: &[u8]) -> Vec<&'s [u8]> {
    let mut pieces = Vec::new();
    let mut rest = sent;
    for length in lengths {
        let length = usize::from(*length).clamp(1, rest.len().max(1));
        if length < rest.len() {
            let (piece, behind) = rest.split_at(length);
            pieces.push(piece);
            rest = behind;
        }
    }
    pieces.push(rest);
    pieces
}

fn play<'s>(scene: Scene, pieces: impl IntoIterator<Item = &'s [u8]>) -> Played {
    let snapshot = world().store.snapshot();
    let peer = Peer::of_instance(scene.instance(), scene.address());
    let mut count = 0;
    let mut desk = Desk::new(move || {
        count += 1;
        [count; 11]
    });
    let mut exchange = Exchange::new(scene.service(), &snapshot, peer, NOW, &mut desk);
    let mut connection = Connection::new(NOW);
    let deadline = connection.deadline().as_millis() - NOW.as_millis();
    assert_eq!(deadline, HEAD_DEADLINE_MILLIS);
    let mut bytes = Vec::new();
    for piece in pieces {
        let mut step = connection.receive(piece, &mut exchange, &mut bytes);
        if let Step::Sign { instance, document } = &step {
            assert_eq!(*instance, scene.instance());
            assert!(document.contains(&*scene.instance().text()));
            assert!(bytes.is_empty(), "nothing is answered yet");
            let signed = scene.signs().then(signatures);
            step = connection.resume(signed.as_ref(), &mut exchange, &mut bytes);
        }
        let end = match step {
            Step::Read => {
                assert!(bytes.is_empty(), "nothing is answered yet");
                continue;
            }
            Step::Close(why) => End::Closed(why),
            Step::Sign { .. } => panic!("signed already"),
            Step::Write(sending) => answered(&sending, scene),
        };
        return Played { bytes, end };
    }
    Played { bytes, end: End::Waiting }
}

fn answered(sending: &Sending, scene: Scene) -> End {
    let Sending { hop_limit, ending, observation, limit: _ } = sending;
    assert!(matches!(ending, Ending::Close | Ending::Drain));
    assert_eq!(observation.instance, Some(scene.instance()));
    End::Answered(hop_limit.map(model::HopLimit::as_hops), observation.outcome)
}

fn judge(scene: Scene, sent: &[u8], played: &Played) {
    let reading = naive::read(sent);
    if let Reading::Head(head) = &reading
        && scene.profile() == Profile::Strict
        && head.hosts().any(naive::is_odd)
    {
        return;
    }
    let expected = expect(scene, sent, &reading);
    let show = || format!("{} in {scene:?}", sent.escape_ascii());
    match (&played.end, expected) {
        (End::Closed(why), Expected::Closed(expected)) => {
            assert_eq!(*why, expected);
            assert!(played.bytes.is_empty());
        }
        (End::Waiting, Expected::Waiting) => assert!(played.bytes.is_empty()),
        (End::Answered(hops, outcome), Expected::Status(status, body)) => {
            let method = match &reading {
                Reading::Head(head) => Some(head.known_method()),
                Reading::Incomplete | Reading::Refused => None,
            };
            let to_head = method == Some(Method::Head) && !is_bad_body(sent, &reading);
            let answer = Answer::read(&played.bytes, scene.wire(), to_head);
            assert_eq!(answer.status, status, "{}", show());
            assert!(outcomes(status).contains(outcome), "{outcome:?} is {status}");
            judge_answer(scene, &answer, method, *hops);
            if let Some((content_type, body)) = body {
                let length = body.len().to_string();
                assert_eq!(answer.field("Content-Length"), Some(&*length), "{}", show());
                assert!(to_head || answer.body == body, "{}", show());
                let content_type = match content_type {
                    ContentType::Octets => "application/octet-stream",
                    ContentType::Text => "text/plain",
                };
                assert_eq!(answer.field("Content-Type"), Some(content_type));
            }
        }
        (end, expected) => panic!("{end:?} and not {expected:?}: {}", show()),
    }
}

/// Checks what holds for every answer of its status.
fn judge_answer(scene: Scene, answer: &Answer<'_>, method: Option<Method>, hops: Option<u8>) {
    let ttl = answer.field("X-Aws-Ec2-Metadata-Token-Ttl-Seconds");
    let seconds = ttl.map(|text| text.parse::<u32>().expect("is a number"));
    assert!(seconds.is_none_or(|seconds| (1..=21_600).contains(&seconds)));
    assert_eq!(answer.field("Date"), Some("Tue, 04 Mar 2025 10:00:00 GMT"));
    let is_grant = method == Some(Method::Put) && answer.status == 200;
    if is_grant {
        let snapshot = world().store.snapshot();
        let instance = snapshot.instance(scene.instance()).expect("it asks");
        let allowed = instance.options.http_put_response_hop_limit.as_hops();
        assert_eq!(hops, Some(allowed), "a token travels no further");
        let keys = snapshot.token_keys().expect("there are keys");
        let end = keys.verify(answer.body, scene.instance(), NOW);
        let seconds = i64::from(seconds.expect("a grant tells its lifetime"));
        assert_eq!(end, Ok(NOW.plus_seconds(seconds)));
        assert!(keys.verify(answer.body, Scene::new(0x7f).instance(), NOW).is_err());
    }
    let is_page = answer.field("Content-Type") == Some("text/html");
    if answer.status >= 400 && scene.wire() == Wire::Nitro {
        assert_eq!(is_page, answer.status == 404);
        assert!(is_page || answer.body.is_empty());
    }
    assert_eq!(answer.field("Allow").is_some(), method_is_told(answer, method));
    assert_eq!(
        answer.field("Last-Modified").is_some(),
        answer.status == 200 && matches!(method, Some(Method::Get | Method::Head))
    );
}

fn method_is_told(answer: &Answer<'_>, method: Option<Method>) -> bool {
    answer.status == 405 || answer.status == 200 && method == Some(Method::Options)
}

fn outcomes(status: u16) -> &'static [Outcome] {
    match status {
        200 => &[Outcome::Ok],
        400 | 417 => &[Outcome::BadRequest],
        401 => &[Outcome::Unauthorized],
        403 => &[Outcome::Forbidden],
        404 => &[Outcome::NotFound],
        405 => &[Outcome::MethodNotAllowed],
        503 => &[Outcome::Unavailable],
        _ => &[],
    }
}

fn expect(scene: Scene, sent: &[u8], reading: &Reading) -> Expected<'static> {
    let snapshot = world().store.snapshot();
    let Some(instance) = snapshot.instance(scene.instance()) else {
        return Expected::Closed(Unanswered::Unattached);
    };
    let takes_ipv6 = instance.options.http_protocol_ipv6 == Switch::Enabled;
    if scene.address().is_ipv6() && !takes_ipv6 {
        return Expected::Closed(Unanswered::Ipv6Disabled);
    }
    let head = match reading {
        Reading::Head(head) => head,
        Reading::Incomplete => return Expected::Waiting,
        Reading::Refused => return Expected::Status(400, None),
    };
    if is_bad_body(sent, reading) {
        return Expected::Status(400, None);
    }
    if awaits_body(sent, head) {
        return Expected::Waiting;
    }
    if scene.wire() == Wire::Legacy && head.expects_continue() {
        return Expected::Status(417, None);
    }
    match head.verdict(instance, scene.profile()) {
        Verdict::Methods(_) | Verdict::Token(_) => Expected::Status(200, None),
        Verdict::Read(path) => expect_read(scene, instance, head, path),
        Verdict::Refused(refusal) => Expected::Status(status_of(refusal), None),
    }
}

fn expect_read(
    scene: Scene,
    instance: &Instance,
    head: &Head,
    path: Option<Path>,
) -> Expected<'static> {
    match (head.token(), instance.options.http_tokens) {
        (Some(token), _) if token != scene.good_token() => return Expected::Status(401, None),
        (None, HttpTokens::Required) => return Expected::Status(401, None),
        (Some(_) | None, _) => {}
    }
    let table = scene.table().expect("the instance is there");
    let Some((found, path)) = path.and_then(|path| Some((table.get(&path.names)?, path))) else {
        return Expected::Status(404, None);
    };
    let name = path.names.last().map_or("", String::as_str);
    let is_signature = ["pkcs7", "rsa2048", "signature"].contains(&name);
    let varies = path.names.iter().any(|name| name == "security-credentials");
    match (is_signature, scene.signs()) {
        (true, false) => Expected::Status(503, None),
        // Credentials depend on how they are asked for, and times on when the store was started.
        _ if varies || name == "info" => Expected::Status(200, None),
        _ => Expected::Status(200, Some(found)),
    }
}

fn status_of(refusal: Refusal) -> u16 {
    match refusal {
        Refusal::ForeignHost | Refusal::Malformed(_) | Refusal::TtlRefused(_) => 400,
        Refusal::TokenMissing | Refusal::TokenRefused(_) => 401,
        Refusal::EndpointDisabled
        | Refusal::Forwarded
        | Refusal::Proxied
        | Refusal::PutElsewhere => 403,
        Refusal::PathUnknown { .. } => 404,
        Refusal::MethodNotAllowed(_) => 405,
        Refusal::ExpectationFailed => 417,
    }
}

/// Returns what has come of a chunked body that must be read; none if none must.
fn chunked_body<'s>(sent: &'s [u8], head: &Head) -> Option<&'s [u8]> {
    let must_be_read = head.body() == Some(Body::Chunked) && !head.expects_continue();
    must_be_read.then(|| &sent[head.bytes..])
}

fn awaits_body(sent: &[u8], head: &Head) -> bool {
    chunked_body(sent, head).is_some_and(|body| body.len() < 5)
}

fn is_bad_body(sent: &[u8], reading: &Reading) -> bool {
    let Reading::Head(head) = reading else {
        return false;
    };
    chunked_body(sent, head).is_some_and(|body| {
        let length = body.len().min(5);
        body[..length] != b"0\r\n\r\n"[..length]
    })
}
