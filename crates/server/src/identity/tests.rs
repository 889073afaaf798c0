//! The real `openssl` judges the signatures; a machine without it fails these tests.

mod judge;

use std::convert::Infallible;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rsa::rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};

use super::*;
use judge::Scratch;

const DOCUMENT: &str = r#"{
  "accountId" : "123456789012",
  "architecture" : "x86_64",
  "availabilityZone" : "us-west-2a",
  "billingProducts" : null,
  "devpayProductCodes" : null,
  "marketplaceProductCodes" : null,
  "imageId" : "ami-1a2b3c4d",
  "instanceId" : "i-1234567890abcdef0",
  "instanceType" : "t3.micro",
  "kernelId" : null,
  "pendingTime" : "2025-03-04T09:40:24Z",
  "privateIp" : "10.0.100.100",
  "ramdiskId" : null,
  "region" : "us-west-2",
  "version" : "2017-09-30"
}"#;

/// 2026-09-21T14:13:20Z.
const NOW: i64 = 1_790_000_000;

static KEYS: LazyLock<IdentityKeys> =
    LazyLock::new(|| IdentityKeys::generate(&mut Numbers::from_seed(1), NOW).unwrap());

// --- as users verify ---

#[test]
fn signature_verifies_as_users_do() {
    let scratch = Scratch::new("signature");
    let signatures = KEYS.sign(DOCUMENT.as_bytes(), NOW).unwrap();
    scratch.write("base64", format!("{}\n", signatures.signature));
    scratch.write("document", DOCUMENT);
    scratch.write("forged", DOCUMENT.replace("t3.micro", "t3.large"));
    scratch.write("certificate", certificate("signature"));
    scratch.openssl("base64 -d -in base64 -out signature");
    scratch.openssl("x509 -in certificate -pubkey -noout -out key");

    scratch.openssl("dgst -sha256 -verify key -signature signature document");
    scratch.openssl_refuses("dgst -sha256 -verify key -signature signature forged");
}

#[test]
fn pkcs7_and_rsa2048_verify_as_users_do() {
    for (name, time) in [
        ("pkcs7", NOW),
        ("rsa2048", NOW),
        ("pkcs7", 2_600_000_000), // Past 2049, when `UTCTime` ends.
        ("rsa2048", 2_600_000_000),
    ] {
        let scratch = Scratch::new("embedded");
        scratch.write("f", armored(&text(name, time)));
        scratch.write("document", DOCUMENT);
        scratch.write("cert", certificate(name));

        scratch.openssl(
            "smime -verify -in f -inform PEM -content document -certfile cert -noverify -out out",
        );
        assert_eq!(scratch.read("out"), DOCUMENT.as_bytes(), "{name}");
    }
}

#[test]
fn embedded_document_suffices_and_its_forgery_is_refused() {
    for (name, other) in [("pkcs7", "rsa2048"), ("rsa2048", "pkcs7")] {
        let scratch = Scratch::new("forgery");
        let message = decoded(&text(name, NOW));
        let forged = replaced(&message, b"t3.micro", b"t3.large");
        scratch.write("message", &message);
        scratch.write("forged", forged);
        scratch.write("cert", certificate(name));
        scratch.write("other", certificate(other));

        let verify = "smime -verify -inform DER -noverify -out out";
        scratch.openssl(&format!("{verify} -in message -certfile cert"));
        assert_eq!(scratch.read("out"), DOCUMENT.as_bytes(), "{name}");
        scratch.openssl_refuses(&format!("{verify} -in forged -certfile cert"));
        scratch.openssl_refuses(&format!("{verify} -in message -certfile other"));
    }
}

#[test]
fn another_document_is_refused() {
    for name in ["pkcs7", "rsa2048"] {
        let scratch = Scratch::new("another");
        scratch.write("f", armored(&text(name, NOW)));
        scratch.write("document", DOCUMENT.replace("t3.micro", "t3.large"));
        scratch.write("cert", certificate(name));

        scratch.openssl_refuses(
            "smime -verify -in f -inform PEM -content document -certfile cert -noverify -out out",
        );
    }
}

// --- layout ---

#[test]
fn rsa2048_is_what_openssl_makes_to_the_byte() {
    let scratch = Scratch::new("rsa-layout");
    let before = unix_seconds();
    let expected = signed_by_openssl(&scratch, "rsa2048", "sha256");
    let after = unix_seconds();

    // OpenSSL signs at the time it reads from its clock.
    let found = (before..=after).any(|time| decoded(&text("rsa2048", time)) == expected);
    assert!(found, "signed at none of {before}..={after}");
}

#[test]
fn pkcs7_is_laid_out_as_openssl_does() {
    let scratch = Scratch::new("dsa-layout");
    let expected = signed_by_openssl(&scratch, "pkcs7", "sha1");
    let actual = decoded(&text("pkcs7", NOW));

    let expected = scratch.outline(&expected);
    assert_eq!(scratch.outline(&actual), expected);
    assert!(expected.contains("d=5 inf cons: OCTET STRING"), "{expected}");
}

#[test]
fn no_certificate_is_inside() {
    for name in ["pkcs7", "rsa2048"] {
        let scratch = Scratch::new("bare");
        scratch.write("message", decoded(&text(name, NOW)));
        let listed = scratch.openssl("pkcs7 -inform DER -in message -print_certs");
        assert!(!listed.contains("CERTIFICATE"), "{name}: {listed}");
    }
}

#[test]
fn sizes_are_those_of_ec2() {
    // EC2: a document of 467 bytes has a `signature` of 174 characters, and an `rsa2048` of 1052
    // octets under an issuer whose organization is `Amazon Web Services LLC`.
    assert_eq!(DOCUMENT.len(), 467);
    let shorter_name = "Amazon Web Services LLC".len() - "OpenIMDS".len();

    let signatures = KEYS.sign(DOCUMENT.as_bytes(), NOW).unwrap();
    assert_eq!(signatures.signature.len(), 174);
    assert_eq!(decoded(&signatures.rsa2048).len(), 1052 - shorter_name);
    // The two integers of a DSA signature are 20 octets each, less zeros, plus signs.
    let pkcs7 = decoded(&signatures.pkcs7).len() + shorter_name;
    assert!((816 - 4..=818).contains(&pkcs7), "{pkcs7}");
}

#[test]
fn text_is_base64_in_76_columns() {
    for octets in [0, 1, 56, 57, 58, 114, 115, 1037] {
        let text = base64_lines(&vec![0xa5; octets]);
        let lines: Vec<_> = text.split('\n').collect();
        let (last, full) = lines.split_last().unwrap();
        assert!(full.iter().all(|line| line.len() == 76), "{octets} octets");
        assert!(last.len() <= 76, "{octets} octets");
        assert_eq!(last.is_empty(), octets == 0, "{octets} octets");
        assert_eq!(decoded(&text), vec![0xa5; octets]);
    }
}

#[test]
fn signing_is_repeatable_and_shows_its_time() {
    let signed = KEYS.sign(DOCUMENT.as_bytes(), NOW).unwrap();
    assert_eq!(KEYS.sign(DOCUMENT.as_bytes(), NOW).unwrap(), signed);

    let later = KEYS.sign(DOCUMENT.as_bytes(), NOW + 1).unwrap();
    assert_eq!(later.signature, signed.signature);
    assert_ne!(later.pkcs7, signed.pkcs7);
    assert_ne!(later.rsa2048, signed.rsa2048);
    assert!(!positions(&decoded(&later.rsa2048), b"260921141321Z").is_empty());
}

#[test]
fn time_outside_the_calendar_is_a_fault() {
    for time in [i64::MIN, -1, i64::MAX] {
        let fault = KEYS.sign(DOCUMENT.as_bytes(), time).unwrap_err();
        assert!(matches!(fault, SignFault::Encoding(_)), "{time}: {fault:?}");
        let fault = IdentityKeys::generate(&mut Numbers::from_seed(1), time).unwrap_err();
        assert!(matches!(fault, KeyFault::Encoding(_)), "{time}: {fault:?}");
    }
}

// --- keys and certificates ---

#[test]
fn dsa_domain_comes_from_its_seed() {
    let scratch = Scratch::new("domain");
    scratch.write("phrase", "OpenIMDS DSA-1024/160 domain parameters 12");
    let digest = scratch.openssl("dgst -sha1 -r phrase");
    let seed = digest.split(' ').next().unwrap();
    scratch.openssl(&format!(
        "genpkey -genparam -algorithm DSA -pkeyopt type:fips186_4 -pkeyopt digest:SHA1 \
         -pkeyopt pbits:1024 -pkeyopt qbits:160 -pkeyopt gindex:1 -pkeyopt hexseed:{seed} -out made"
    ));
    assert_eq!(scratch.read("made"), key::DSA_DOMAIN.as_bytes());

    scratch.write("ours", key::DSA_DOMAIN);
    scratch.openssl("pkeyparam -in ours -check -noout");
}

#[test]
fn certificates_vouch_for_their_own_key_only() {
    let mut serials = Vec::new();
    for (name, pem) in KEYS.certificates() {
        let scratch = Scratch::new("certificate");
        scratch.write("certificate", pem);
        let shown = scratch.openssl("x509 -in certificate -noout -text -nameopt RFC2253");
        for line in [
            "Issuer: O=OpenIMDS,L=Seattle,ST=Washington State,C=US",
            "Subject: O=OpenIMDS,L=Seattle,ST=Washington State,C=US",
            "Not Before: Sep 20 14:13:20 2026 GMT",
            "Not After : Sep 13 14:13:20 2056 GMT",
            "CA:FALSE",
            "Digital Signature",
        ] {
            assert!(shown.contains(line), "{name}: no `{line}` in {shown}");
        }
        scratch.openssl("verify -check_ss_sig -CAfile certificate certificate");
        serials.push(scratch.openssl("x509 -in certificate -noout -serial"));
    }
    serials.sort();
    serials.dedup();
    assert_eq!(serials.len(), 3, "{serials:?}");
    // "serial=", then sixteen digits of which the first sets the highest bit.
    for serial in serials {
        let digits = serial.trim().strip_prefix("serial=").unwrap();
        assert_eq!(digits.len(), 16, "{digits}");
        assert!(digits.as_bytes()[0] >= b'8', "{digits}");
    }
}

#[test]
fn keys_hide_from_debug() {
    assert_eq!(format!("{:?}", *KEYS), "IdentityKeys { .. }");
}

// --- record ---

#[test]
fn record_round_trips() {
    let record = KEYS.to_record().unwrap();
    let read = IdentityKeys::from_record(&record).unwrap();

    assert_eq!(read.to_record().unwrap(), record);
    assert_eq!(read.certificates(), KEYS.certificates());
    assert_eq!(
        read.sign(DOCUMENT.as_bytes(), NOW).unwrap(),
        KEYS.sign(DOCUMENT.as_bytes(), NOW).unwrap()
    );
}

#[test]
fn cut_record_is_refused() {
    let record = KEYS.to_record().unwrap();
    for end in (0..record.len()).step_by(61).chain([record.len() - 1]) {
        let fault = IdentityKeys::from_record(&record[..end]).unwrap_err();
        assert!(
            matches!(fault, KeyFault::RecordIncomplete | KeyFault::RecordUnknown),
            "first {end} bytes: {fault:?}"
        );
    }
    for record in ["", "\n", &format!("{}x", *record)] {
        let fault = IdentityKeys::from_record(record).unwrap_err();
        assert!(matches!(fault, KeyFault::RecordUnknown), "{fault:?}");
    }
}

#[test]
fn damaged_record_is_refused_or_harmless() {
    let record = KEYS.to_record().unwrap();
    for (place, replacement) in (0..record.len()).step_by(7).zip("A/z=-\n 0".chars().cycle()) {
        let mut damaged = record[..place].to_owned();
        damaged.push(replacement);
        damaged.push_str(&record[place + 1..]);
        // Some parts of a private key are redundant and computed anew, so damage there is mended.
        if let Ok(read) = IdentityKeys::from_record(&damaged) {
            assert_eq!(read.to_record().unwrap(), record, "byte {place}");
        }
    }
}

#[test]
fn mixed_up_record_is_refused() {
    let parts = documents(&KEYS.to_record().unwrap());
    let others = IdentityKeys::generate(&mut Numbers::from_seed(2), NOW).unwrap();
    let others = documents(&others.to_record().unwrap());

    let refusal = |change: &dyn Fn(&mut Vec<String>)| {
        let mut parts = parts.clone();
        change(&mut parts);
        IdentityKeys::from_record(&parts.concat()).unwrap_err().to_string()
    };
    for (at, name) in [(1, "signature"), (3, "pkcs7"), (5, "rsa2048")] {
        let of_another = format!("certificate for `{name}` does not go with its key");
        assert_eq!(refusal(&|parts| parts[at + 1] = others[at + 1].clone()), of_another);
        let key_unreadable = format!("key for `{name}` cannot be read");
        assert_eq!(refusal(&|parts| parts.swap(at, at + 1)), key_unreadable);
    }
    // A key of the right algorithm and the wrong size, and one of the wrong algorithm.
    let unreadable = "key for `signature` cannot be read";
    assert_eq!(refusal(&|parts| parts.swap(1, 5)), unreadable);
    assert_eq!(refusal(&|parts| parts.swap(1, 3)), unreadable);
}

// --- what the tests use ---

/// Signs [`DOCUMENT`] with the key and certificate for `name`, as EC2 seems to.
fn signed_by_openssl(scratch: &Scratch, name: &str, digest: &str) -> Vec<u8> {
    let documents = documents(&KEYS.to_record().unwrap());
    let key = match name {
        "pkcs7" => &documents[3],
        "rsa2048" => &documents[5],
        other => panic!("no key `{other}`"),
    };
    scratch.write("key", key);
    scratch.write("cert", certificate(name));
    scratch.write("document", DOCUMENT);
    scratch.openssl(&format!(
        "smime -sign -stream -binary -nodetach -nocerts -nosmimecap -md {digest} \
         -signer cert -inkey key -outform DER -in document -out message"
    ));
    scratch.read("message")
}

fn certificate(name: &str) -> &'static str {
    let certificates = KEYS.certificates();
    certificates.iter().find(|(of, _)| *of == name).unwrap().1
}

/// The line of the version, then each PEM document of a record.
fn documents(record: &str) -> Vec<String> {
    let mut documents: Vec<String> =
        record.split("-----BEGIN ").map(|document| format!("-----BEGIN {document}")).collect();
    documents[0] = RECORD_VERSION.to_owned();
    documents
}

fn text(name: &str, time: i64) -> Box<str> {
    let signatures = KEYS.sign(DOCUMENT.as_bytes(), time).unwrap();
    match name {
        "pkcs7" => signatures.pkcs7,
        "rsa2048" => signatures.rsa2048,
        other => panic!("no text `{other}`"),
    }
}

fn armored(text: &str) -> String {
    format!("-----BEGIN PKCS7-----\n{text}\n-----END PKCS7-----\n")
}

fn decoded(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text.replace('\n', "")).unwrap()
}

fn positions(within: &[u8], of: &[u8]) -> Vec<usize> {
    let windows = within.windows(of.len()).enumerate();
    windows.filter(|(_, part)| *part == of).map(|(at, _)| at).collect()
}

fn replaced(within: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut within = within.to_owned();
    for at in positions(&within, from) {
        within[at..at + to.len()].copy_from_slice(to);
    }
    within
}

fn unix_seconds() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(elapsed.as_secs()).unwrap()
}

/// A repeatable source of numbers, in place of a random one.
struct Numbers {
    seed: u64,
    drawn: u64,
}

impl Numbers {
    fn from_seed(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }
}

impl TryRng for Numbers {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut octets = [0; 4];
        self.try_fill_bytes(&mut octets)?;
        Ok(u32::from_be_bytes(octets))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut octets = [0; 8];
        self.try_fill_bytes(&mut octets)?;
        Ok(u64::from_be_bytes(octets))
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        for part in octets.chunks_mut(32) {
            self.drawn += 1;
            let block = [self.seed.to_be_bytes(), self.drawn.to_be_bytes()].concat();
            part.copy_from_slice(&Sha256::digest(block)[..part.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for Numbers {}
