//! The layout of EC2's CMS blobs, as `openssl asn1parse` shows it.

use super::Blob;

/// Returns one line for each element: its depth, its kind, its value where that is fixed, and
/// whether its length is indefinite. The issuer's name and the serial number are left out: they
/// are the server's own.
pub(super) fn of(parsed: &str) -> Vec<String> {
    let mut shape = Vec::new();
    let mut in_issuer = false;
    // The document is printed as it is, over several lines: they have no depth.
    for (depth, length, kind, value) in parsed.lines().filter_map(element) {
        match (depth, kind) {
            (6, "INTEGER") => in_issuer = false,
            (6.., _) if in_issuer => continue,
            (5, "SEQUENCE") => in_issuer = shape.last().is_some_and(|last| last == "5 INTEGER 01"),
            _ => {}
        }
        let value = match (depth, kind) {
            (_, "OBJECT") | (3 | 5, "INTEGER") => format!(" {value}"),
            _ => String::new(),
        };
        let length = if length == "inf" { " inf" } else { "" };
        shape.push(format!("{depth} {kind}{value}{length}"));
    }
    shape
}

/// Reads a line such as `   13:d=1  hl=2 l=inf  cons: cont [ 0 ]        `.
fn element(line: &str) -> Option<(usize, &str, &str, &str)> {
    let (place, what) = line.split_once("cons: ").or_else(|| line.split_once("prim: "))?;
    let (_, depth) = place.split_once(":d=")?;
    let (depth, length) = depth.split_once(" hl=")?;
    let (_, length) = length.split_once("l=")?;
    let (kind, value) = what.split_once(':').unwrap_or((what, ""));
    let kind = kind.trim_end_matches("[HEX DUMP]");
    Some((depth.trim().parse().ok()?, length.trim(), kind.trim(), value.trim()))
}

/// Returns the shape that a blob must have.
pub(super) fn expected(blob: Blob) -> Vec<&'static str> {
    let digest = match blob {
        Blob::Pkcs7 => ["5 OBJECT sha1", "5 NULL"],
        Blob::Rsa2048 => ["5 OBJECT sha256", "5 NULL"],
    };
    let signer_digest = match blob {
        Blob::Pkcs7 => ["6 OBJECT sha1", "6 NULL"],
        Blob::Rsa2048 => ["6 OBJECT sha256", "6 NULL"],
    };
    let signature: &[&str] = match blob {
        Blob::Pkcs7 => &["5 SEQUENCE", "6 OBJECT dsaWithSHA1", "5 OCTET STRING"],
        Blob::Rsa2048 => &["5 SEQUENCE", "6 OBJECT rsaEncryption", "6 NULL", "5 OCTET STRING"],
    };
    let parts: [&[&str]; 7] = [&OUTER, &digest, &CONTENT, &signer_digest, &SIGNED, signature, &END];
    parts.concat()
}

const OUTER: [&str; 7] = [
    "0 SEQUENCE inf",
    "1 OBJECT pkcs7-signedData",
    "1 cont [ 0 ] inf",
    "2 SEQUENCE inf",
    "3 INTEGER 01",
    "3 SET",
    "4 SEQUENCE",
];

const CONTENT: [&str; 14] = [
    "3 SEQUENCE inf",
    "4 OBJECT pkcs7-data",
    "4 cont [ 0 ] inf",
    "5 OCTET STRING inf",
    "6 OCTET STRING",
    "6 EOC",
    "5 EOC",
    "4 EOC",
    // No certificates and no revocation lists stand here.
    "3 SET",
    "4 SEQUENCE",
    "5 INTEGER 01",
    "5 SEQUENCE",
    "6 INTEGER",
    "5 SEQUENCE",
];

const SIGNED: [&str; 13] = [
    "5 cont [ 0 ]",
    "6 SEQUENCE",
    "7 OBJECT contentType",
    "7 SET",
    "8 OBJECT pkcs7-data",
    "6 SEQUENCE",
    "7 OBJECT signingTime",
    "7 SET",
    "8 UTCTIME",
    "6 SEQUENCE",
    "7 OBJECT messageDigest",
    "7 SET",
    "8 OCTET STRING",
];

const END: [&str; 3] = ["3 EOC", "2 EOC", "1 EOC"];
