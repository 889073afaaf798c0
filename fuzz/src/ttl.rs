//! The lifetime of a token: digits, and a number within one second and six hours.

use metadata::{Admitted, NONCE_BYTES, Profile, Request, TokenFormat, TokenKey, TokenKeys};
use metadata::{Parsed, Refusal, admit, issue};
use model::{TokenTtl, TtlRefusal};

use crate::naive;
use crate::scene::full;
use crate::tree::NOW;

/// Reads `data` as a lifetime, by itself and as the value of the header line.
pub fn check(data: &[u8]) {
    let expected = naive::lifetime(data);
    let read = TokenTtl::parse(data).map(TokenTtl::as_seconds);
    assert_eq!(read, expected, "{data:?}");
    if let Ok(ttl) = TokenTtl::parse(data) {
        assert!((TokenTtl::MIN..=TokenTtl::MAX).contains(&ttl));
        assert_eq!(ttl.as_millis(), i64::from(ttl.as_seconds()) * 1000);
        let shown = ttl.to_string();
        assert_eq!(TokenTtl::parse(shown.as_bytes()), Ok(ttl), "{shown}");
    }

    let is_text = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f);
    if data.len() < 1000 && data.iter().all(is_text) {
        let expected = naive::lifetime(data.trim_ascii());
        assert_eq!(granted(data), expected, "{data:?}");
    }
}

/// Asks for a token of this lifetime and returns the one that is granted.
fn granted(value: &[u8]) -> Result<u32, TtlRefusal> {
    let start = b"PUT /latest/api/token HTTP/1.1\r\nX-aws-ec2-metadata-token-ttl-seconds:";
    let head = [&start[..], value, b"\r\n\r\n"].concat();
    let Ok(Parsed::Complete(request, _)) = Request::parse(&head) else {
        panic!("{value:?} is the value of a header line");
    };
    let instance = full();
    let request = match admit(&request, &instance, Profile::Ec2) {
        Ok(Admitted::Token(request)) => request,
        Err(Refusal::TtlRefused(refusal)) => return Err(refusal),
        other => panic!("{other:?}"),
    };
    let keys = TokenKeys::new(TokenKey::new(0, [0; 32]), Vec::new());
    let grant = issue(&request, &keys, TokenFormat::Nitro, NOW, [0; NONCE_BYTES]);
    let grant = grant.expect("a token can be minted");
    let expiry = keys.verify(&grant.token, instance.id, NOW);
    assert_eq!(expiry, Ok(NOW.plus_seconds(i64::from(grant.ttl.as_seconds()))));
    Ok(grant.ttl.as_seconds())
}
