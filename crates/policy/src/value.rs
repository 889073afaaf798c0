//! How the text of a value is read: numbers, times, truth, addresses, bytes.

use std::net::IpAddr;

use base64::Engine as _;
use ipnet::IpNet;
use model::Timestamp;

/// A decimal number, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Decimal(i128);

// LIMIT: with both, the largest number is far below what the representation holds.
const WHOLE_DIGITS_MAX: usize = 19;
const FRACTION_DIGITS: usize = 18;
const ONE: i128 = 1_000_000_000_000_000_000;

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        Self(i128::from(number) * ONE)
    }
}

impl Decimal {
    /// Reads `-12.50`: a sign, digits, and digits behind a point.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => (-1, digits),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let number = |text: &str, max: usize| -> Option<i128> {
            let fits = (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            if fits { text.parse().ok() } else { None }
        };
        let whole = number(whole, WHOLE_DIGITS_MAX)?;
        let digits = fraction.len();
        let fraction = number(fraction, FRACTION_DIGITS)?;
        let scale =
            10_i128.checked_pow(u32::try_from(FRACTION_DIGITS.checked_sub(digits)?).ok()?)?;
        Some(Self(sign * (whole * ONE + fraction * scale)))
    }

    /// The number as seconds since 1970, for dates.
    pub(crate) fn as_seconds(self) -> Option<Timestamp> {
        i64::try_from(self.0 / (ONE / 1000)).ok().map(Timestamp::from_millis)
    }
}

/// Reads `true` or `false`, whatever the case.
pub(crate) fn truth(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Reads an address or a block of them. Without a prefix it is the address alone.
pub(crate) fn block(text: &str) -> Option<IpNet> {
    if text.contains('/') {
        text.parse().ok()
    } else {
        text.parse::<IpAddr>().ok().map(IpNet::from)
    }
}

/// Reads an address. One of IPv4 within IPv6 is taken for the former.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Whether this is base64, with its padding and without anything left over: the one form that its
/// bytes have.
pub(crate) fn is_base64(text: &str) -> bool {
    base64::engine::general_purpose::STANDARD.decode(text).is_ok()
}

/// Reads a point in time: seconds since 1970, or the W3C's profile of ISO 8601, from the year alone
/// to fractions of a second. Four digits are a year.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit() || b".-".contains(&b));
    if text.len() != 4
        && is_number
        && let Some(number) = Decimal::parse(text)
    {
        return number.as_seconds();
    }
    let (date, clock) = text.split_once('T').map_or((text, None), |(d, c)| (d, Some(c)));
    // What is missing is the first of its kind.
    let mut whole = *b"0000-01-01T00:00:00Z";
    if !matches!(date.len(), 4 | 7 | 10) || (clock.is_some() && date.len() != 10) {
        return None;
    }
    whole.get_mut(..date.len())?.copy_from_slice(date.as_bytes());
    let Some(clock) = clock else { return read(&whole) };
    let (clock, minutes_east) = zone(clock)?;
    let (clock, fraction) = match clock.split_once('.') {
        Some((clock, fraction)) if clock.len() == 8 => (clock, fraction),
        Some(_) => return None,
        None => (clock, "0"),
    };
    if !matches!(clock.len(), 5 | 8) {
        return None;
    }
    whole.get_mut(11..11 + clock.len())?.copy_from_slice(clock.as_bytes());
    let seconds = read(&whole)?.as_seconds().checked_sub(minutes_east.checked_mul(60)?)?;
    let digits = fraction.bytes().all(|b| b.is_ascii_digit());
    if fraction.is_empty() || fraction.len() > 9 || !digits {
        return None;
    }
    let millis =
        fraction.bytes().chain(*b"00").take(3).fold(0, |n, b| n * 10 + i64::from(b - b'0'));
    Some(Timestamp::from_millis(seconds.checked_mul(1000)?.checked_add(millis)?))
}

fn read(whole: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(whole).ok()?.parse().ok()
}

/// Takes the zone from the end of a clock: `Z` or `+hh:mm`, in minutes east.
fn zone(clock: &str) -> Option<(&str, i64)> {
    if let Some(clock) = clock.strip_suffix('Z') {
        return Some((clock, 0));
    }
    let (clock, zone) = clock.split_at_checked(clock.len().checked_sub(6)?)?;
    let (sign, zone) = match zone.strip_prefix('-') {
        Some(zone) => (-1, zone),
        None => (1, zone.strip_prefix('+')?),
    };
    let (hours, minutes) = zone.split_once(':')?;
    let two = |text: &str| -> Option<i64> {
        let digits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        if digits { text.parse().ok() } else { None }
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (hours <= 23 && minutes <= 59).then_some((clock, sign * (hours * 60 + minutes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact() {
        for (left, right, equal) in [
            ("2.0", "2", true),
            ("-0", "0", true),
            ("0.1", "0.10", true),
            ("0.1", "0.100000000000000001", false),
            ("9223372036854775808", "9223372036854775807", false),
        ] {
            assert_eq!(Decimal::parse(left) == Decimal::parse(right), equal, "{left} {right}");
        }
        for text in
            ["", ".", "1.", ".5", "1e3", "--1", "0x1", "1.0.0", "12345678901234567890", " 1"]
        {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn times_have_many_forms() {
        for (text, millis) in [
            ("1970", Some(0)),
            ("1970-01", Some(0)),
            ("1970-01-02", Some(86_400_000)),
            ("1970-01-01T00:01Z", Some(60_000)),
            ("1970-01-01T00:00:01Z", Some(1000)),
            ("1970-01-01T00:00:01.5Z", Some(1500)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1970-01-01T00:00:00-01:30", Some(5_400_000)),
            ("1741081272", Some(1_741_081_272_000)),
            ("0", Some(0)),
            ("-1", Some(-1000)),
            ("1970-01-01T00:00:00", None),
            ("1970-02-30", None),
            ("1970-01-01T00Z", None),
            ("1970-01-01T00:00.5Z", None),
            ("yesterday", None),
            ("é970", None),
            ("", None),
        ] {
            assert_eq!(time(text).map(Timestamp::as_millis), millis, "{text}");
        }
    }

    #[test]
    fn a_block_is_an_address_with_or_without_a_prefix() {
        for (text, expected) in [
            ("10.0.0.0/8", true),
            ("10.1.2.3/8", true),
            ("10.0.0.1", true),
            ("2001:db8::/32", true),
            ("::1", true),
            ("10.0.0.0/33", false),
            ("10.0.0", false),
            ("10.0.0.0/", false),
            ("*", false),
        ] {
            assert_eq!(block(text).is_some(), expected, "{text}");
        }
    }
}
