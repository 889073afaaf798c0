//! Writes BER: elements of definite length, which are DER too, and elements of indefinite length.

use std::time::Duration;

use rsa::pkcs8::der::asn1::{GeneralizedTime, UtcTime};
use rsa::pkcs8::der::{self, Encode as _, ErrorKind};

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const PRINTABLE_STRING: u8 = 0x13;
/// An octet string made of pieces that are octet strings themselves.
pub(super) const OCTET_STRING_IN_PIECES: u8 = 0x24;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;
/// Context-specific, constructed, number 0.
pub(super) const CONTEXT_0: u8 = 0xa0;
/// Context-specific, constructed, number 3.
pub(super) const CONTEXT_3: u8 = 0xa3;

/// The length octet of an element that ends with [`END_OF_CONTENTS`]. With a count in its low bits,
/// it announces that many octets of length.
const LENGTH_INDEFINITE: u8 = 0x80;
const END_OF_CONTENTS: [u8; 2] = [0x00, 0x00];

/// Writes an element of definite length around `parts`.
pub(super) fn definite(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    [&[tag], length(contents.len()).as_slice(), &contents].concat()
}

/// Writes a constructed element of indefinite length around `parts`, which must be elements.
pub(super) fn indefinite(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    [&[tag, LENGTH_INDEFINITE], parts.concat().as_slice(), &END_OF_CONTENTS].concat()
}

/// Writes a time as CMS and X.509 ask for it: `UTCTime` until the end of 2049, `GeneralizedTime`
/// from then on (RFC 5652 section 11.3, RFC 5280 section 4.1.2.5).
///
/// # Errors
///
/// [`ErrorKind::DateTime`] before 1970 and after 9999.
pub(super) fn time(unix_seconds: i64) -> der::Result<Vec<u8>> {
    let seconds = u64::try_from(unix_seconds).map_err(|_| ErrorKind::DateTime)?;
    let since_1970 = Duration::from_secs(seconds);
    match UtcTime::from_unix_duration(since_1970) {
        Ok(time) => time.to_der(),
        Err(_) => GeneralizedTime::from_unix_duration(since_1970)?.to_der(),
    }
}

/// Writes the shortest length octets for `bytes` of contents.
fn length(bytes: usize) -> Vec<u8> {
    let octets: Vec<u8> = bytes.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
    match octets.as_slice() {
        [] => vec![0],
        [short @ 0..=0x7f] => vec![*short],
        #[expect(clippy::cast_possible_truncation, reason = "a length has eight octets at most")]
        long => [&[LENGTH_INDEFINITE | long.len() as u8], long].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_the_shortest() {
        for (bytes, expected) in [
            (0, &[0x00][..]),
            (0x7f, &[0x7f]),
            (0x80, &[0x81, 0x80]),
            (0xff, &[0x81, 0xff]),
            (0x100, &[0x82, 0x01, 0x00]),
            (0x01_0000, &[0x83, 0x01, 0x00, 0x00]),
        ] {
            assert_eq!(length(bytes), expected, "{bytes} bytes");
        }
    }

    #[test]
    fn elements_wrap_their_parts() {
        assert_eq!(definite(SET, &[&[1], &[2, 3]]), [0x31, 3, 1, 2, 3]);
        assert_eq!(indefinite(SEQUENCE, &[&[5, 0], &[5, 0]]), [0x30, 0x80, 5, 0, 5, 0, 0, 0]);
    }

    #[test]
    fn times_change_form_in_2050() {
        for (unix_seconds, expected) in [
            (0, &b"\x17\x0d700101000000Z"[..]),
            (2_524_607_999, b"\x17\x0d491231235959Z"),
            (2_524_608_000, b"\x18\x0f20500101000000Z"),
        ] {
            assert_eq!(time(unix_seconds).unwrap(), expected, "{unix_seconds}");
        }
        for unix_seconds in [i64::MIN, -1, i64::MAX] {
            assert!(time(unix_seconds).is_err(), "{unix_seconds}");
        }
    }
}
