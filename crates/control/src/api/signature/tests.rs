//! The recorded request, step by step; keys, sessions and clocks.

mod properties;
mod refusals;
mod signer;
mod vectors;

use hmac::Mac as _;
use model::{Secret, Timestamp};
use sha2::{Digest as _, Sha256};

use super::{Presented, SignatureFault, Verified, canonical, hex, signature};
use model::AccessKey;
use signer::{Meant, Sent, Signer};

const ID: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "IQoJb3JpZ2luX2VjEXAMPLE//////////wEaCXVzLWVhc3QtMSJHMEUCIQDx+EXAMPLE==";
const MINUTES: u32 = 60;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// When the requests here are signed.
fn signed_at() -> Timestamp {
    at("2026-11-22T00:29:10Z")
}

fn access_key(secret: &str, token: Option<&str>) -> AccessKey {
    let secret = Secret::new(secret.to_owned());
    AccessKey {
        session_token: token.map(|token| Secret::new(token.to_owned())),
        expiration: token.map(|_| at("2026-11-22T06:00:00Z")),
        ..AccessKey::new(ID.parse().unwrap(), secret, Timestamp::default())
    }
}

fn signer(service: &'static str, token: Option<&'static str>) -> Signer {
    let time = "20261122T002910Z".to_owned();
    Signer { id: ID, secret: SECRET, token, time, region: "us-east-1", service }
}

fn describe() -> Meant {
    let content_type = "application/x-www-form-urlencoded; charset=utf-8";
    Meant {
        method: "POST",
        segments: Vec::new(),
        parameters: Vec::new(),
        headers: vec![("content-type".to_owned(), content_type.to_owned())],
        body: b"Action=DescribeInstances&Version=2016-11-15".to_vec(),
    }
}

fn verify(
    sent: &Sent,
    key: Option<&AccessKey>,
    service: &str,
    now: Timestamp,
) -> Result<Verified, SignatureFault> {
    Presented::parse(&sent.request())?.verify(key, service, 15 * MINUTES, now)
}

/// Verifies a request for EC2, when it is signed, with the key that signed it.
fn verify_ec2(sent: &Sent) -> Result<Verified, SignatureFault> {
    verify(sent, Some(&access_key(SECRET, None)), "ec2", signed_at())
}

/// Recorded from a client, and recomputed by hand.
#[test]
fn the_recorded_request_step_by_step() {
    let mut meant = describe();
    meant.body = b"Action=ModifyInstanceMetadataOptions&Version=2016-11-15&InstanceId=\
        i-034109c70aaa4b055&HttpTokens=required&HttpPutResponseHopLimit=1&HttpEndpoint=enabled"
        .to_vec();
    let sent = signer("ec2", None).sign(&meant);
    let request = sent.request();
    let presented = Presented::parse(&request).unwrap();
    assert_eq!((presented.access_key_id(), presented.service()), (ID, "ec2"));
    assert_eq!(presented.signed_headers, ["content-type", "host", "x-amz-date"]);
    let hash = presented.payload_hash().unwrap();
    assert_eq!(hash, "caf756e5ae11ee9d231b39a87dbb431f120b00ebec2dcd429bb621531f8df89c");
    let canonical = canonical::request(&presented, &hash).unwrap();
    let digest = hex(&Sha256::digest(&canonical));
    assert_eq!(digest, "e1483dfa0da08a5aa6d818b8b84dbb8bfd6f84c1371e853abdb7d3613975e7c9");
    let text = presented.text_to_sign(&canonical);
    let scope = "20261122/us-east-1/ec2/aws4_request";
    assert_eq!(text, format!("AWS4-HMAC-SHA256\n20261122T002910Z\n{scope}\n{digest}"));
    let key = presented.signing_key(SECRET);
    let expected = "068a3daa560d9333d4392edb40fb16d672e25a4f1792ae7b209e566263f67eae";
    assert_eq!(hex(key.expose()), expected);
    let expected = "951adec2d9113e019efa75f3d216c7151a45f0c91867b3469c493774cbea05d5";
    assert_eq!(hex(&signature(&key, &text).finalize().into_bytes()), expected);
    assert_eq!(hex(&presented.signature), expected);
    let verified = verify_ec2(&sent).unwrap();
    assert_eq!((verified.access_key_id(), verified.region()), (ID, "us-east-1"));
}

#[test]
fn one_flipped_bit_and_it_is_another_request() {
    let sent = signer("ec2", None).sign(&describe());
    assert!(verify_ec2(&sent).is_ok());
    let mut changed = sent.clone();
    changed.body[0] ^= 1;
    assert_eq!(verify_ec2(&changed), Err(SignatureFault::SignatureDiffers), "body");
    for (name, one, other) in [
        ("x-amz-date", "T002910Z", "T002911Z"),
        ("host", "8099", "8098"),
        ("authorization", "us-east-1", "us-east-0"),
        ("content-type", "utf-8", "utf-9"),
    ] {
        let mut changed = sent.clone();
        let value = changed.header(name);
        assert!(value.contains(one), "{name}");
        *value = value.replace(one, other);
        assert_eq!(verify_ec2(&changed), Err(SignatureFault::SignatureDiffers), "{name}");
    }
}

#[test]
fn a_clock_may_be_wrong_by_so_much_and_no_more() {
    for (service, minutes) in [("ec2", 15), ("sts", 5)] {
        let sent = signer(service, None).sign(&describe());
        let request = sent.request();
        let presented = Presented::parse(&request).unwrap();
        let key = access_key(SECRET, None);
        let verify = |seconds: i64| {
            let now = signed_at().plus_seconds(seconds);
            presented.verify(Some(&key), service, minutes * MINUTES, now)
        };
        let limit = i64::from(minutes * MINUTES);
        for seconds in [0, limit - 1, limit, 1 - limit, -limit] {
            assert!(verify(seconds).is_ok(), "{service}: {seconds} s");
        }
        let (old, new) = (verify(limit + 1).unwrap_err(), verify(-limit - 1).unwrap_err());
        assert!(matches!(old, SignatureFault::Expired { .. }), "{old}");
        assert!(matches!(new, SignatureFault::NotYetValid { .. }), "{new}");
        for fault in [&old, &new] {
            let told = ("RequestExpired", 400, "Request has expired.".into());
            assert_eq!(fault.told_by_ec2(), told);
        }
        if service == "sts" {
            let text = "Signature expired: 20261122T002910Z is now earlier than 20261122T002911Z \
                        (20261122T003411Z - 5 min.)";
            assert_eq!(old.told_by_others(), ("SignatureDoesNotMatch", 403, text.into()));
            let text = "Signature not yet current: 20261122T002910Z is still later than \
                        20261122T002909Z (20261122T002409Z + 5 min.)";
            assert_eq!(new.told_by_others(), ("SignatureDoesNotMatch", 403, text.into()));
        }
    }
}

#[test]
fn temporary_credentials_need_their_session_token() {
    use SignatureFault::{
        SessionExpired, SessionTokenDiffers, SessionTokenMissing, SessionTokenSuperfluous,
    };
    let ended = at("2026-11-22T06:00:00Z");
    let (lasting, temporary) = (access_key(SECRET, None), access_key(SECRET, Some(TOKEN)));
    for (token, key, expected) in [
        (Some(TOKEN), &temporary, Ok(())),
        (None, &temporary, Err(SessionTokenMissing)),
        (Some("IQoJ"), &temporary, Err(SessionTokenDiffers)),
        (Some(""), &temporary, Err(SessionTokenDiffers)),
        (Some(TOKEN), &lasting, Err(SessionTokenSuperfluous)),
        (None, &lasting, Ok(())),
    ] {
        let signer = signer("ec2", token);
        let mut form = describe();
        if let Some(token) = token {
            form.body.extend(format!("&SecurityToken={}", token.replace('+', "%2B")).bytes());
        }
        let mut form_in_query = describe();
        let parameter = token.map(|token| ("SecurityToken".to_owned(), token.to_owned()));
        form_in_query.parameters.extend(parameter);
        let in_query = Signer { token: None, ..signer.clone() }.sign(&form_in_query);
        let in_form = Signer { token: None, ..signer.clone() }.sign(&form);
        for sent in
            [signer.sign(&describe()), signer.presign(&describe(), Some("60")), in_query, in_form]
        {
            let verified = verify(&sent, Some(key), "ec2", signed_at()).map(|_| ());
            assert_eq!(verified, expected, "{token:?}: {sent:?}");
        }
    }
    let later = Signer { time: "20261122T055959Z".to_owned(), ..signer("ec2", Some(TOKEN)) };
    let sent = later.sign(&describe());
    assert!(verify(&sent, Some(&temporary), "ec2", ended.plus_seconds(-1)).is_ok());
    let fault = verify(&sent, Some(&temporary), "ec2", ended).unwrap_err();
    assert_eq!(fault, SessionExpired { at: ended });
    assert_eq!(fault.told_by_ec2().0, "RequestExpired");
    assert_eq!(fault.told_by_others().0, "ExpiredToken");
}

#[test]
fn a_url_is_good_for_as_long_as_it_says() {
    let key = access_key(SECRET, None);
    let shown_after = |lifetime, seconds| {
        let sent = signer("ec2", None).presign(&describe(), lifetime);
        verify(&sent, Some(&key), "ec2", signed_at().plus_seconds(seconds)).map(|_| ())
    };
    for (lifetime, longest) in [("1", 1), ("90", 90), ("604800", 604_800)] {
        assert_eq!(shown_after(Some(lifetime), longest), Ok(()));
        let fault = shown_after(Some(lifetime), longest + 1).unwrap_err();
        assert!(matches!(fault, SignatureFault::Expired { .. }), "{fault}");
    }
    assert_eq!(shown_after(Some("1"), -900), Ok(()));
    assert!(matches!(shown_after(Some("60"), -901), Err(SignatureFault::NotYetValid { .. })));
    for lifetime in ["", "0", "604801", "4294967297", "-1", "+60", "6e1", "60 "] {
        let text = lifetime.to_owned();
        assert_eq!(
            shown_after(Some(lifetime), 0),
            Err(SignatureFault::LifetimeOutOfRange { text })
        );
    }
    // EC2: its parameter is not among those documented. Without it a URL is as good as a header.
    assert_eq!(shown_after(None, 900), Ok(()));
    assert!(matches!(shown_after(None, 901), Err(SignatureFault::Expired { .. })));
    let text = shown_after(Some("90"), 91).unwrap_err().told_by_others().2;
    assert!(text.ends_with("(20261122T003041Z - 90 sec.)"), "{text}");
}

#[test]
fn an_unknown_key_and_a_wrong_secret_are_told_alike_by_ec2() {
    use SignatureFault::{KeyUnknown, SignatureDiffers};
    let sent = signer("ec2", None).sign(&describe());
    let other = AccessKey { id: "AKIAOTHER".parse().unwrap(), ..access_key(SECRET, None) };
    let wrong = access_key("wrong", None);
    let told = |key| verify(&sent, key, "ec2", signed_at()).unwrap_err();
    let faults = [told(None), told(Some(&other)), told(Some(&wrong))];
    assert_eq!(faults, [KeyUnknown, KeyUnknown, SignatureDiffers]);
    let text = "AWS was not able to validate the provided access credentials";
    for fault in &faults {
        assert_eq!(fault.told_by_ec2(), ("AuthFailure", 401, text.into()));
    }
    let codes = faults.map(|fault| fault.told_by_others().0);
    assert_eq!(codes, ["InvalidClientTokenId", "InvalidClientTokenId", "SignatureDoesNotMatch"]);
    // Nobody's secret is nobody's.
    let nobody = Signer { secret: super::NOBODYS_SECRET, ..signer("ec2", None) };
    let sent = nobody.sign(&describe());
    assert_eq!(verify(&sent, None, "ec2", signed_at()), Err(KeyUnknown));
}

/// Nothing of a secret is in what is printed of a request or a signature.
#[test]
fn session_tokens_are_not_printed() {
    let sent = signer("ec2", Some(TOKEN)).sign(&describe());
    let request = sent.request();
    let presented = Presented::parse(&request).unwrap();
    let printed = format!("{request:?} {presented:?} {:?}", access_key(SECRET, Some(TOKEN)));
    assert!(!printed.contains("IQoJ") && !printed.contains("wJal"), "{printed}");
}
