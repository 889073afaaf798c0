//! `vectors.txt`: what others signed verifies, by the same canonical form.

use super::signer::Sent;
use super::{SECRET, access_key, verify};
use crate::api::signature::canonical;
use crate::api::{Presented, SignatureFault};
use model::AccessKey;

use sha2::{Digest as _, Sha256};

/// A block of the file.
struct Vector {
    name: String,
    service: String,
    key: AccessKey,
    sent: Sent,
    /// The SHA-256 of the canonical request.
    canonical: String,
}

fn vectors() -> Vec<Vector> {
    let lines = include_str!("../vectors.txt").lines().filter(|line| !line.starts_with('#'));
    let lines: Vec<_> = lines.collect();
    let blocks = lines.split(|line| line.is_empty()).filter(|block| !block.is_empty());
    blocks.map(vector).collect()
}

fn vector(block: &[&str]) -> Vector {
    let all = |word: &str| -> Vec<String> {
        let lines = block.iter().filter_map(|line| line.split_once(' '));
        lines.filter(|(known, _)| *known == word).map(|(_, rest)| rest.to_owned()).collect()
    };
    let one = |word: &str| all(word).pop();
    let name = one("vector").unwrap();
    let request = one("request").unwrap();
    let (method, path) = request.split_once(' ').unwrap();
    let header = |line: String| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.to_owned())
    };
    let sent = Sent {
        method: method.to_owned(),
        path: path.to_owned(),
        query: one("query").unwrap_or_default(),
        headers: all("header").into_iter().map(header).collect(),
        body: one("body").unwrap_or_default().into_bytes(),
    };
    let token = one("credentials").unwrap();
    let token = token.strip_prefix("temporary ");
    let is_of_suite = one("made").as_deref() == Some("suite");
    let mut key = access_key(if is_of_suite { SUITE_SECRET } else { SECRET }, token);
    if is_of_suite {
        key.id = "AKIDEXAMPLE".parse().unwrap();
    }
    let (service, canonical) = (one("service").unwrap(), one("canonical").unwrap());
    Vector { name, service, key, sent, canonical }
}

const SUITE_SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

#[test]
fn what_others_signed_verifies() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 98);
    for Vector { name, service, key, sent, canonical } in &vectors {
        let request = sent.request();
        let presented =
            Presented::parse(&request).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let text = canonical::request(&presented, &presented.payload_hash().unwrap()).unwrap();
        assert_eq!(super::hex(&Sha256::digest(&text)), *canonical, "{name}: {text}");
        let verified = presented.verify(Some(key), service, 0, presented.time);
        let verified = verified.unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(verified.access_key_id(), &*key.id, "{name}");
        assert_eq!(verified.region(), presented.scope.region, "{name}");
    }
}

/// Every bit of every signature, and one bit of everything that is signed.
#[test]
fn what_was_changed_on_the_way_does_not() {
    for Vector { name, service, key, sent, .. } in &vectors() {
        let request = sent.request();
        let presented = Presented::parse(&request).unwrap();
        let now = presented.time;
        let refused = |changed: &Sent, what: &str| {
            let verified = verify(changed, Some(key), service, now);
            assert!(verified.is_err(), "{name}: {what}: {changed:?}");
        };
        for at in 0..256 {
            let mut forged = Presented::parse(&request).unwrap();
            forged.signature[at / 8] ^= 1 << (at % 8);
            let verified = forged.verify(Some(key), service, 0, now);
            assert_eq!(verified, Err(SignatureFault::SignatureDiffers), "{name}: bit {at}");
        }
        let changed = |change: &dyn Fn(&mut Sent), what: &str| {
            let mut other = sent.clone();
            change(&mut other);
            refused(&other, what);
        };
        changed(&|sent| sent.body.push(b'a'), "body");
        changed(&|sent| sent.method = "PUT".to_owned(), "method");
        changed(&|sent| sent.path += "x", "path");
        changed(&|sent| sent.query += "&a=b", "query");
        changed(&|sent| sent.headers.push(("x-amz-a".to_owned(), String::new())), "new header");
        for signed in &presented.signed_headers {
            changed(&|sent| sent.header(signed).push('1'), signed);
            changed(&|sent| sent.headers.retain(|(name, _)| name != signed), signed);
        }
    }
}
