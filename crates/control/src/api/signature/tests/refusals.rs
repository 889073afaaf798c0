//! What is read in one way only, what is refused by which name, and what clients are told.

use sha2::{Digest as _, Sha256};

use super::signer::Sent;
use super::{ID, describe, hex, signed_at, signer, verify_ec2};
use crate::api::SignatureFault;

/// The parts may stand in any order and spacing; anything else is refused by name.
#[test]
fn the_authorization_header_is_read_in_one_way() {
    use SignatureFault::{Malformed, Missing, Repeated};
    let sent = signer("ec2", None).sign(&describe());
    let value = sent.clone().header("authorization").clone();
    let parts = value.strip_prefix("AWS4-HMAC-SHA256 ").unwrap();
    let [credential, names, signature] = parts.split(", ").collect::<Vec<_>>()[..] else {
        panic!("{value}");
    };
    let with = |one: &str, other: &str| value.replace(one, other);
    let header = |part: &'static str| Err(Malformed { part });
    for (value, expected) in [
        (format!("AWS4-HMAC-SHA256 {signature},{names},{credential}"), Ok(())),
        (format!(" AWS4-HMAC-SHA256\t {names} ,\t{credential}  , {signature} "), Ok(())),
        (with("Signature=", "Signature = "), Ok(())),
        (String::new(), header("Authorization")),
        ("Basic dTpw".to_owned(), header("Authorization")),
        (with("HMAC-SHA256", "ECDSA-P256-SHA256"), header("Authorization")),
        (with("SHA256 ", "SHA256"), header("Authorization")),
        (with(", Sig", " Sig"), Err(Missing { part: "SignedHeaders" })),
        (value.clone() + ",", header("Authorization")),
        (value.clone() + ", a=b", header("Authorization")),
        (value.clone() + ", " + signature, Err(Repeated { part: "Signature" })),
        ("AWS4-HMAC-SHA256".to_owned(), Err(Missing { part: "Credential" })),
        (with(signature, credential), Err(Repeated { part: "Credential" })),
        (format!("AWS4-HMAC-SHA256 {credential},{names}"), Err(Missing { part: "Signature" })),
        (format!("AWS4-HMAC-SHA256 {credential}"), Err(Missing { part: "SignedHeaders" })),
        (with("Credential", "credential"), header("Authorization")),
        (with("aws4_request", "aws5_request"), header("Credential")),
        (with("/ec2/", "/"), header("Credential")),
        (with("/ec2/", "/ec2/ec2/"), header("Credential")),
        (with("/ec2/", "//"), header("Credential")),
        (with(ID, ""), header("Credential")),
        (with(ID, &"A".repeat(129)), header("Credential")),
        (with("us-east-1", "us\neast-1"), header("Credential")),
        (with("20261122/", "2026112/"), header("Credential")),
        (with("host;x-amz-date", "x-amz-date;host"), header("SignedHeaders")),
        (with("host;", "host;host;"), header("SignedHeaders")),
        (with("host;", "Host;"), header("SignedHeaders")),
        (with("host;", ";host;"), header("SignedHeaders")),
        (with("host;", "hos t;"), header("SignedHeaders")),
        (with("Signature=", "Signature=0"), header("Signature")),
        (with(&signature[10..], &signature[10..].to_ascii_uppercase()), header("Signature")),
        (with(&signature[10..12], "zz"), header("Signature")),
        (value.to_ascii_uppercase(), header("Authorization")),
    ] {
        let mut changed = sent.clone();
        changed.header("authorization").clone_from(&value);
        assert_eq!(verify_ec2(&changed).map(|_| ()), expected, "{value:?}");
    }
    let many: String = (0..63).fold("host".to_owned(), |all, at| format!("{all};host{at:02}"));
    for (names, expected) in [
        (many.clone(), Err(SignatureFault::HeaderNotSigned { name: "x-amz-date".to_owned() })),
        (many + ";host99", header("SignedHeaders")),
    ] {
        let mut changed = sent.clone();
        let value = value.replace("content-type;host;x-amz-date", &names);
        *changed.header("authorization") = value;
        assert_eq!(verify_ec2(&changed).map(|_| ()), expected, "{names}");
    }
}

/// Changes the signed request, and says what comes of it.
fn refused(change: impl Fn(&mut Sent)) -> SignatureFault {
    let mut sent = signer("ec2", None).sign(&describe());
    change(&mut sent);
    verify_ec2(&sent).unwrap_err()
}

#[test]
fn each_fault_has_its_name() {
    use SignatureFault as Fault;
    let add = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let name = |name: &str| name.to_owned();
    let without =
        |name: &'static str| move |sent: &mut Sent| sent.headers.retain(|(known, _)| known != name);
    assert_eq!(refused(without("authorization")), Fault::NotSigned);
    assert_eq!(refused(|sent| sent.query = "X-Amz-Signature=0".into()), Fault::SignedTwice);
    assert_eq!(refused(|sent| sent.query = "X-Amz-Algorith%6d".into()), Fault::SignedTwice);
    let twice = |name: &'static str| {
        refused(move |sent| {
            let value = sent.header(name).clone();
            sent.headers.push(add(name, &value));
        })
    };
    for part in ["authorization", "x-amz-date"] {
        assert_eq!(twice(part), Fault::Repeated { part });
    }
    assert_eq!(refused(without("x-amz-date")), Fault::Missing { part: "X-Amz-Date" });
    assert_eq!(
        refused(|sent| *sent.header("x-amz-date") = name("2026-11-22T00:29:10Z")),
        Fault::Malformed { part: "X-Amz-Date" }
    );
    let unsigned = |sent: &mut Sent, names: &str| {
        let value = sent.header("authorization");
        *value = value.replace("content-type;host;x-amz-date", names);
    };
    assert_eq!(
        refused(|sent| unsigned(sent, "content-type;x-amz-date")),
        Fault::HeaderNotSigned { name: name("host") }
    );
    assert_eq!(
        refused(|sent| unsigned(sent, "content-type;host")),
        Fault::HeaderNotSigned { name: name("x-amz-date") }
    );
    assert_eq!(
        refused(|sent| sent.headers.push(add("x-amz-target", "a"))),
        Fault::HeaderNotSigned { name: name("x-amz-target") }
    );
    assert_eq!(refused(|sent| unsigned(sent, "host;x-amz-date")), Fault::SignatureDiffers);
    assert_eq!(
        refused(without("content-type")),
        Fault::SignedHeaderAbsent { name: name("content-type") }
    );
    let scope = |one: &'static str, other: &'static str| {
        refused(move |sent| {
            let value = sent.header("authorization");
            *value = value.replace(one, other);
        })
    };
    let (presented, expected) = (name("s3"), name("ec2"));
    assert_eq!(scope("/ec2/", "/s3/"), Fault::ServiceDiffers { presented, expected });
    let (date, time) = (name("20261121"), signed_at());
    assert_eq!(scope("20261122/", "20261121/"), Fault::DateDiffers { scope: date, time });
}

#[test]
fn the_body_is_always_signed() {
    let with_hash = |hash: &str, body: &[u8]| {
        let mut meant = describe();
        meant.headers.push(("x-amz-content-sha256".to_owned(), hash.to_owned()));
        let mut sent = signer("ec2", None).sign(&meant);
        sent.body = body.to_vec();
        verify_ec2(&sent).map(|_| ())
    };
    let body = describe().body;
    let hash = hex(&Sha256::digest(&body));
    assert_eq!(with_hash(&hash, &body), Ok(()));
    assert_eq!(with_hash(&hash, b"other"), Err(SignatureFault::PayloadDiffers));
    assert_eq!(with_hash("UNSIGNED-PAYLOAD", &body), Err(SignatureFault::PayloadUnsigned));
    assert_eq!(with_hash("", &body), Err(SignatureFault::PayloadDiffers));
}

#[test]
fn a_signed_url_is_read_in_one_way() {
    use SignatureFault::{Malformed, Missing, Repeated};
    let sent = signer("ec2", None).presign(&describe(), Some("60"));
    let verify = |query: String| verify_ec2(&Sent { query, ..sent.clone() }).map(|_| ());
    assert_eq!(verify(sent.query.clone()), Ok(()));
    for part in [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    ] {
        let query = sent.query.replace(part, "X-Other");
        assert_eq!(verify(query), Err(Missing { part }));
        let query = format!("{}&{part}=a", sent.query);
        assert_eq!(verify(query), Err(Repeated { part }));
        let query = sent.query.replace(&format!("{part}="), &format!("{part}=%ff"));
        assert_eq!(verify(query), Err(Malformed { part }));
    }
    let query = sent.query.replace("X-Amz-Expires=60", "X-Amz-Expires=61");
    assert_eq!(verify(query), Err(SignatureFault::SignatureDiffers));
    let query = sent.query.replace("X-Amz-Expires=60&", "");
    assert_eq!(verify(query), Err(SignatureFault::SignatureDiffers));
}

#[test]
fn hostile_values_are_refused_and_no_more() {
    let long = "a".repeat(100_000);
    for value in
        ["\u{0}", "\u{7f}", "ü", "\u{1f600}", "a\r\nhost:b", "%", "=", ";", ",", "/", &long]
    {
        for name in ["authorization", "x-amz-date", "content-type", "host"] {
            let fault = refused(|sent| value.clone_into(sent.header(name)));
            assert!(!fault.to_string().is_empty());
        }
        refused(|sent| sent.method = value.to_owned());
        refused(|sent| sent.query = value.to_owned());
        refused(|sent| sent.path = format!("/x{value}"));
    }
    // A line of its own, within a value or a method, is none of the canonical request.
    let mut meant = describe();
    meant.headers.push(("my-header".to_owned(), "a".to_owned()));
    let sent = signer("ec2", None).sign(&meant);
    let mut folded = sent.clone();
    folded.headers.retain(|(name, _)| name != "my-header");
    *folded.header("host") += "\nmy-header:a";
    let fault = verify_ec2(&folded).unwrap_err();
    assert_eq!(fault, SignatureFault::SignedHeaderAbsent { name: "my-header".to_owned() });
}

#[test]
fn what_clients_are_told() {
    let not_signed = ("MissingAuthenticationToken", 403);
    let malformed = "Authorization header or parameters are not formatted correctly.";
    let name = || "host".to_owned();
    for (fault, ec2, others) in [
        (SignatureFault::NotSigned, not_signed, not_signed),
        (SignatureFault::SignedTwice, ("AuthFailure", 401), ("IncompleteSignature", 400)),
        (
            SignatureFault::HeaderNotSigned { name: name() },
            ("AuthFailure", 401),
            ("SignatureDoesNotMatch", 403),
        ),
        (
            SignatureFault::Missing { part: "Signature" },
            ("AuthFailure", 401),
            ("IncompleteSignature", 400),
        ),
    ] {
        let (code, status, message) = fault.told_by_ec2();
        assert_eq!((code, status), ec2, "{fault}");
        assert_eq!(message == malformed, code == "AuthFailure", "{fault}");
        let (code, status, _) = fault.told_by_others();
        assert_eq!((code, status), others, "{fault}");
    }
    let sts =
        SignatureFault::ServiceDiffers { presented: "ec2".to_owned(), expected: "sts".into() };
    for (fault, text) in [
        (sts, "Credential should be scoped to correct service: 'sts'. "),
        (
            SignatureFault::HeaderNotSigned { name: name() },
            "'host' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            SignatureFault::DateDiffers { scope: "20261121".to_owned(), time: signed_at() },
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP: '20261121' != '20261122', from '20261122T002910Z'.",
        ),
    ] {
        assert_eq!(fault.told_by_others().2, text);
    }
}
