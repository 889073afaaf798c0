//! Request heads: what is read is what a plain reader reads, however much of it has come.

use metadata::{
    Admitted, Malformed, NONCE_BYTES, Parsed, Profile, Refusal, Request, TokenFormat, TokenKey,
    TokenKeys, admit, issue,
};
use model::{Instance, Switch};

use crate::naive::{self, Head, Reading, Verdict};
use crate::scene::full;
use crate::tree::NOW;

/// Reads `data` as the beginning of a connection.
pub fn check(data: &[u8]) {
    let read = Request::parse(data);
    match (&read, naive::read(data)) {
        (Ok(Parsed::Complete(request, bytes)), Reading::Head(head)) => {
            assert_eq!(*bytes, head.bytes);
            has_no_control_bytes(&data[..*bytes]);
            same(request, &head);
            same_verdict(request, &head);
        }
        (Ok(Parsed::Incomplete), Reading::Incomplete) | (Err(_), Reading::Refused) => {}
        (read, expected) => panic!("{}: {read:?} and not {expected:?}", data.escape_ascii()),
    }
    prefixes_agree(data, &read);
}

/// What a prefix says, the whole says too; only "incomplete" leaves it open.
fn prefixes_agree(data: &[u8], whole: &Result<Parsed<'_>, Malformed>) {
    let step = data.len() / 200 + 1;
    for length in (0..data.len()).rev().step_by(step) {
        match Request::parse(&data[..length]) {
            Ok(Parsed::Incomplete) => {}
            read => assert_eq!(&read, whole, "{length} of {} bytes", data.len()),
        }
    }
    if let Ok(Parsed::Complete(_, bytes)) = whole {
        assert_eq!(Request::parse(&data[..*bytes]), *whole);
        let less = Request::parse(&data[..bytes - 1]);
        assert_eq!(less, Ok(Parsed::Incomplete), "one byte less");
    }
}

fn has_no_control_bytes(head: &[u8]) {
    for (at, byte) in head.iter().enumerate() {
        let is_line_end = match byte {
            b'\r' => head.get(at + 1) == Some(&b'\n'),
            b'\n' => at > 0 && head[at - 1] == b'\r',
            _ => false,
        };
        let is_plain = *byte == b'\t' || !byte.is_ascii_control();
        assert!(is_line_end || is_plain, "byte {at} of {}", head.escape_ascii());
    }
}

fn same(request: &Request<'_>, head: &Head) {
    assert_eq!(request.method(), head.known_method());
    assert_eq!(request.version(), head.version());
    assert_eq!(Some(request.body()), head.body());
    assert_eq!(request.expects_continue(), head.expects_continue());
    assert_eq!(request.has_token(), head.token().is_some());
    assert_eq!(request.user_agent(), head.all("user-agent").last().copied());
}

/// What cannot be seen of a request decides what it is admitted to.
fn same_verdict(request: &Request<'_>, head: &Head) {
    let mut instance = full();
    for endpoint in [Switch::Enabled, Switch::Disabled] {
        instance.options.http_endpoint = endpoint;
        for profile in [Profile::Ec2, Profile::Strict] {
            if profile == Profile::Strict && head.hosts().any(naive::is_odd) {
                continue;
            }
            let expected = match head.verdict(&instance, profile) {
                // The path is the tree's to judge: see the targets `path` and `connection`.
                Verdict::Read(_) => Verdict::Read(None),
                verdict => verdict,
            };
            assert_eq!(verdict(request, &instance, profile), expected, "{profile:?}");
        }
    }
}

fn verdict(request: &Request<'_>, instance: &Instance, profile: Profile) -> Verdict {
    match admit(request, instance, profile) {
        Ok(Admitted::Methods(allow)) => Verdict::Methods(allow),
        Ok(Admitted::Read(_)) => Verdict::Read(None),
        Ok(Admitted::Token(token)) => {
            let keys = TokenKeys::new(TokenKey::new(0, [0; 32]), Vec::new());
            let grant = issue(&token, &keys, TokenFormat::Nitro, NOW, [0; NONCE_BYTES]);
            Verdict::Token(grant.expect("a token can be minted").ttl.as_seconds())
        }
        Err(refusal @ Refusal::Malformed(_)) => panic!("{refusal:?}"),
        Err(refusal) => Verdict::Refused(refusal),
    }
}
