use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<Request<'_>, Malformed> {
    match Request::parse(text.as_bytes())? {
        Parsed::Complete(request, length) => {
            assert_eq!(length, text.len());
            Ok(request)
        }
        Parsed::Incomplete => panic!("{text:?} is incomplete"),
    }
}

#[test]
fn a_plain_request() {
    let request = parse("GET /latest/ HTTP/1.1\r\nHost: h\r\nUser-Agent: curl\r\n\r\n").unwrap();
    assert_eq!(request.method, Method::Get);
    assert_eq!(request.target.path, b"/latest/");
    assert_eq!(request.version, HttpVersion::Http11);
    assert_eq!(request.user_agent, Some(&b"curl"[..]));
    assert!(!request.has_token());
}

#[test]
fn header_names_have_no_case_and_values_no_outer_spaces() {
    let request = parse(
        "PUT /latest/api/token HTTP/1.1\r\nx-AWS-ec2-metadata-token-TTL-seconds: \t 60 \r\n\
         x-forwarded-FOR:\r\n\r\n",
    )
    .unwrap();
    assert_eq!(request.ttl, TtlField::Present(b"60"));
    assert!(request.is_forwarded && request.is_proxied);
}

#[test]
fn proxies_betray_themselves() {
    for (line, forwarded) in [
        ("Via: 1.1 squid", false),
        ("Forwarded: for=1.2.3.4", false),
        ("X-Forwarded-Proto: https", false),
        ("X-Forwarded-By: proxy", false),
        ("X-Forwarded: for=1.2.3.4", false),
        ("X-Forwarded-For: 1.2.3.4", true),
    ] {
        let text = format!("GET / HTTP/1.1\r\n{line}\r\n\r\n");
        let request = parse(&text).unwrap();
        assert!(request.is_proxied, "{line}");
        assert_eq!(request.is_forwarded, forwarded, "{line}");
    }
    assert!(!parse("GET / HTTP/1.1\r\nX-Forward: a\r\n\r\n").unwrap().is_proxied);
}

#[test]
fn the_last_token_decides_and_lifetimes_must_agree() {
    let twice = |name: &str, one: &str, two: &str| {
        format!("GET / HTTP/1.1\r\n{name}: {one}\r\n{name}: {two}\r\n\r\n")
    };
    let text = twice(wire::TOKEN_HEADER, "old", "new");
    assert_eq!(parse(&text).unwrap().token, Some(&b"new"[..]));
    let text = twice(wire::TOKEN_TTL_HEADER, "60", "60");
    assert_eq!(parse(&text).unwrap().ttl, TtlField::Present(b"60"));
    let text = twice(wire::TOKEN_TTL_HEADER, "60", "61");
    assert_eq!(parse(&text).unwrap().ttl, TtlField::Conflicting);
}

#[test]
fn targets() {
    let parse_target = |text| target(text).map(|t| (t.authority, t.path));
    assert_eq!(parse_target(b"/a?b"), Ok((None, &b"/a?b"[..])));
    assert_eq!(parse_target(b"http://h:80/a"), Ok((Some(&b"h:80"[..]), &b"/a"[..])));
    assert_eq!(parse_target(b"HTTP://h"), Ok((Some(&b"h"[..]), &b""[..])));
    for bad in ["", "*", "host:443", "https://h/", "http://", "http:///a", "a/b"] {
        assert_eq!(parse_target(bad.as_bytes()), Err(Malformed::Target), "{bad}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    use Malformed::*;
    for (text, refusal) in [
        ("GET / HTTP/1.1\n\n", BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", BareLineFeed),
        ("GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", Field),
        ("GET / HTTP/1.1\r\nA : b\r\n\r\n", Field),
        ("GET / HTTP/1.1\r\n: b\r\n\r\n", Field),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", Field),
        ("GET / HTTP/1.1\r\nA\x01: b\r\n\r\n", Field),
        ("GET / HTTP/1.1\r\nA: b\0c\r\n\r\n", Field),
        ("GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", Field),
        ("GET  / HTTP/1.1\r\n\r\n", RequestLine),
        ("GET /  HTTP/1.1\r\n\r\n", Version),
        ("GET /\tHTTP/1.1\r\n\r\n", RequestLine),
        ("GET / HTTP/1.2\r\n\r\n", Version),
        ("GET / HTTP/2.0\r\n\r\n", Version),
        ("PRI * HTTP/2.0\r\n\r\n", Version),
        ("GET /\r\n\r\n", RequestLine),
        ("CONNECT h:80 HTTP/1.1\r\n\r\n", Target),
        ("GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", ContentLength),
        ("GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", ContentLength),
        ("GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", ContentLength),
        ("GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", ContentLength),
        (
            "PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            ConflictingFraming,
        ),
        ("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", ChunkedBody),
        ("PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", TransferEncoding),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", RepeatedHost),
    ] {
        assert_eq!(parse(text).unwrap_err(), refusal, "{text:?}");
    }
}

#[test]
fn a_bare_line_feed_is_met_before_the_head_ends() {
    assert_eq!(Request::parse(b"GET / HTTP/1.1\n"), Err(Malformed::BareLineFeed));
}

#[test]
fn framing() {
    let body = |lines: &str| parse(&format!("PUT / HTTP/1.1\r\n{lines}\r\n")).map(|r| r.body);
    assert_eq!(body(""), Ok(Body::Absent));
    assert_eq!(body("Content-Length: 0\r\n"), Ok(Body::Absent));
    assert_eq!(body("Content-Length: 5\r\nContent-Length: 5\r\n"), Ok(Body::Sized(5)));
    assert_eq!(body("Transfer-Encoding: Chunked\r\n"), Ok(Body::Chunked));
}

#[test]
fn limits() {
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(HEAD_BYTES_MAX));
    assert_eq!(Request::parse(long.as_bytes()), Err(Malformed::HeadTooLong));
    let endless = "a".repeat(HEAD_BYTES_MAX + 1);
    assert_eq!(Request::parse(endless.as_bytes()), Err(Malformed::HeadTooLong));
    let fields = |n: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(n));
    assert!(parse(&fields(FIELDS_MAX)).is_ok());
    assert_eq!(parse(&fields(FIELDS_MAX + 1)), Err(Malformed::TooManyFields));
}

proptest! {
    /// However a request is cut into pieces, it is read as if it had come in one.
    #[test]
    fn a_prefix_is_incomplete_or_refused_as_the_whole(
        text in "(GET|PUT) /[a-z/%]{0,20} HTTP/1\\.[01]\r\n(A: [a-z ]{0,9}\r\n){0,3}\r\n",
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = text.as_bytes();
        let cut = cut.index(bytes.len());
        prop_assert_eq!(Request::parse(&bytes[..cut]), Ok(Parsed::Incomplete));
        let complete = matches!(Request::parse(bytes), Ok(Parsed::Complete(_, n)) if n == bytes.len());
        prop_assert!(complete);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Request::parse(&bytes);
    }

    /// What follows the head never changes how the head is read.
    #[test]
    fn bytes_behind_the_head_do_not_matter(tail in prop::collection::vec(any::<u8>(), 0..50)) {
        let head = b"GET /latest/ HTTP/1.1\r\nHost: a\r\n\r\n";
        let bytes = [&head[..], &tail].concat();
        prop_assert_eq!(Request::parse(&bytes), Request::parse(head));
    }
}
