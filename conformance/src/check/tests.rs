use super::*;

const DOCUMENT: &[u8] =
    b"{\n  \"accountId\" : \"123456789012\",\n  \"version\" : \"2017-09-30\"\n}";

/// A signer made with `openssl`: a scratch directory with `key`, `crt` and `document`.
fn signer(algorithm: &str) -> Scratch {
    let scratch = Scratch::new().unwrap();
    scratch.write("document", DOCUMENT).unwrap();
    let [key, crt, parameters] = ["key", "crt", "param"].map(|name| scratch.path().join(name));
    match algorithm {
        "dsa" => {
            openssl(&[&"dsaparam", &"-out", &parameters, &"1024"]).unwrap();
            openssl(&[&"gendsa", &"-out", &key, &parameters]).unwrap();
        }
        bits => {
            openssl(&[&"genrsa", &"-out", &key, &bits]).unwrap();
        }
    }
    openssl(&[
        &"req",
        &"-x509",
        &"-new",
        &"-key",
        &key,
        &"-out",
        &crt,
        &"-subj",
        &"/C=US/O=Test/CN=Test",
    ])
    .unwrap();
    scratch
}

fn certificates(name: &str, signer: &Scratch) -> Vec<(String, String)> {
    let pem = std::fs::read_to_string(signer.path().join("crt")).unwrap();
    vec![(name.to_owned(), pem)]
}

/// Signs as data plane, 6.3 says, with further options, and returns the base64 text.
fn blob(signer: &Scratch, digest: &str, further: &[Argument<'_>]) -> Vec<u8> {
    let [key, crt, document, out] =
        ["key", "crt", "document", "out"].map(|name| signer.path().join(name));
    let fixed: [Argument<'_>; 15] = [
        &"smime",
        &"-sign",
        &"-binary",
        &"-nodetach",
        &"-nosmimecap",
        &"-md",
        &digest,
        &"-signer",
        &crt,
        &"-inkey",
        &key,
        &"-outform",
        &"DER",
        &"-in",
        &document,
    ];
    let der = openssl(&[&fixed, further].concat()).unwrap();
    std::fs::write(&out, der).unwrap();
    openssl(&[&"base64", &"-in", &out]).unwrap().trim_ascii().to_owned()
}

fn run(
    name: &str,
    body: &[u8],
    document: &[u8],
    certificates: &[(String, String)],
) -> Result<(), String> {
    NamedCheck::parse(name).unwrap().run(body, Some(document), certificates)
}

#[test]
fn a_signature_verifies_with_its_certificate_and_its_document_only() {
    let signer = signer("1024");
    let [key, document, out] = ["key", "document", "out"].map(|name| signer.path().join(name));
    let signature = openssl(&[&"dgst", &"-sha256", &"-sign", &key, &document]).unwrap();
    std::fs::write(&out, signature).unwrap();
    let text = openssl(&[&"base64", &"-in", &out]).unwrap().trim_ascii().to_owned();
    let certificates = certificates("signature", &signer);
    assert_eq!(run("verifies-signature", &text, DOCUMENT, &certificates), Ok(()));
    assert!(run("verifies-signature", &text, b"another", &certificates).is_err());
    assert!(run("verifies-signature", b"AAAA", DOCUMENT, &certificates).is_err());
    let refusal = run("verifies-signature", &text, DOCUMENT, &[]).unwrap_err();
    assert_eq!(refusal, "the service has no certificate `signature`");
}

#[test]
fn blobs_verify_with_their_certificate_and_their_document_only() {
    for (name, algorithm, digest) in [("rsa2048", "2048", "sha256"), ("pkcs7", "dsa", "sha1")] {
        let signer = signer(algorithm);
        let certificates = certificates(name, &signer);
        let text = blob(&signer, digest, &[&"-nocerts", &"-stream"]);
        let (verifies, shape) = (format!("verifies-{name}"), format!("cms-shape-of-{name}"));
        assert_eq!(run(&verifies, &text, DOCUMENT, &certificates), Ok(()), "{name}");
        assert_eq!(run(&shape, &text, DOCUMENT, &certificates), Ok(()), "{name}");
        assert!(run(&verifies, &text, b"another", &certificates).is_err());
        assert!(run(&verifies, b"AAAA", DOCUMENT, &certificates).is_err());
    }
}

#[test]
fn blobs_of_another_shape_are_told_apart() {
    let signer = signer("2048");
    let certificates = certificates("rsa2048", &signer);
    let with_certificate = blob(&signer, "sha256", &[&"-stream"]);
    let refusal = run("verifies-rsa2048", &with_certificate, DOCUMENT, &certificates).unwrap_err();
    assert_eq!(refusal, "the blob holds a certificate");
    assert!(run("cms-shape-of-rsa2048", &with_certificate, DOCUMENT, &[]).is_err());
    let definite = blob(&signer, "sha256", &[&"-nocerts"]);
    assert_eq!(run("verifies-rsa2048", &definite, DOCUMENT, &certificates), Ok(()));
    let refusal = run("cms-shape-of-rsa2048", &definite, DOCUMENT, &[]).unwrap_err();
    assert!(refusal.contains("`0 SEQUENCE` and not `0 SEQUENCE inf`"), "{refusal}");
    let detached = blob(&signer, "sha256", &[&"-nocerts", &"-stream"]);
    assert!(run("cms-shape-of-pkcs7", &detached, DOCUMENT, &[]).is_err());
}
