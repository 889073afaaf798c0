//! The ways in which a signed request writes its time.

use std::ops::Range;

use model::Timestamp;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Writes a time in ISO 8601's basic form: `20261122T002910Z`.
pub(super) fn basic(time: Timestamp) -> String {
    time.to_string().replace(['-', ':'], "")
}

/// Reads the basic form, and nothing else.
pub(super) fn read_basic(text: &str) -> Option<Timestamp> {
    let part = |range: Range<usize>| text.get(range);
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let (hour, minute, second) = (part(8..11)?, part(11..13)?, part(13..text.len())?);
    let extended = format!("{year}-{month}-{day}{hour}:{minute}:{second}");
    extended.parse().ok()
}

/// Reads the value of a `Date` header: an HTTP date, or the basic form.
pub(super) fn read_date(text: &str) -> Option<Timestamp> {
    read_basic(text).or_else(|| read_http_date(text))
}

/// Reads `Sun, 22 Nov 2026 00:29:10 GMT`, and nothing else; but for the zone, which Python's clients
/// write as RFC 2822 does.
fn read_http_date(text: &str) -> Option<Timestamp> {
    let (date, zone) = text.rsplit_once(' ')?;
    let mut words = date.split(' ').skip(1);
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|known| *known == month)? + 1;
    let time: Timestamp = format!("{year}-{month:02}-{day}T{}Z", words.next()?).parse().ok()?;
    // The weekday, and that there is nothing else.
    let is_whole = time.http_date().to_string() == format!("{date} GMT");
    (is_whole && ["GMT", "+0000", "-0000"].contains(&zone)).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let time: Timestamp = "2026-11-22T00:29:10Z".parse().unwrap();
        assert_eq!(basic(time), "20261122T002910Z");
        assert_eq!(read_basic("20261122T002910Z"), Some(time));
        assert_eq!(read_date("20261122T002910Z"), Some(time));
        assert_eq!(read_date("Sun, 22 Nov 2026 00:29:10 GMT"), Some(time));
        assert_eq!(read_date("Sun, 22 Nov 2026 00:29:10 -0000"), Some(time));
    }

    #[test]
    fn what_is_not_a_time_is_not_read() {
        for text in [
            "",
            "2026",
            "20261122",
            "2026-11-22T00:29:10Z",
            "20261122T002910",
            "20261122t002910Z",
            "20261122T002910ZZ",
            "20261122T002910+",
            "20261132T002910Z",
            "20261122T242910Z",
            "20261122T00:910Z",
            "2026112éT02910Z",
            "Mon, 22 Nov 2026 00:29:10 GMT",
            "Sun, 22 Nov 2026 00:29:10 GMT ",
            "Sun, 22 Nov 2026 00:29:10 CET",
            "Sun, 22 Nov 2026 00:29:10 +0100",
            "Sun, 22 Nov 2026 00:29:10 a GMT",
            "Sun, 22 nov 2026 00:29:10 GMT",
            "Sun, 22 Nov 2026",
            "Sunday, 22-Nov-26 00:29:10 GMT",
        ] {
            assert_eq!(read_date(text), None, "{text:?}");
        }
    }
}
