//! Points in time, and the two ways HTTP and AWS write them.

use std::fmt;
use std::str::FromStr;

use crate::serial::written_as_text;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
///
/// Written to the second, as AWS does: `2025-03-04T09:41:12Z`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text is not a point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time: use UTC to the second, such as `2025-03-04T09:41:12Z`")]
pub struct TimestampRefusal(String);

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

impl Timestamp {
    /// Makes a timestamp from milliseconds since 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Makes a timestamp from whole seconds since 1970.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Returns the milliseconds since 1970.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the whole seconds since 1970, rounded down.
    pub const fn as_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the time `seconds` later, or earlier if negative.
    #[must_use]
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Returns the form of HTTP dates (RFC 1123): `Tue, 04 Mar 2025 10:00:00 GMT`.
    pub fn http_date(self) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            let civil = Civil::of(self);
            let (weekday, month) = (civil.weekday(), civil.month_name());
            let Civil { year, day, hour, minute, second, .. } = civil;
            write!(f, "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
        })
    }

    /// Returns the form of scheduled events: `21 Jan 2019 09:00:43 GMT`.
    pub fn event_date(self) -> impl fmt::Display {
        fmt::from_fn(move |f| {
            let civil = Civil::of(self);
            let month = civil.month_name();
            let Civil { year, day, hour, minute, second, .. } = civil;
            write!(f, "{day} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
        })
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second, .. } = Civil::of(*self);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl FromStr for Timestamp {
    type Err = TimestampRefusal;

    fn from_str(text: &str) -> Result<Self, TimestampRefusal> {
        parse(text).ok_or_else(|| TimestampRefusal(crate::id::quoted(text)))
    }
}

written_as_text!(Timestamp);

/// Reads `2025-03-04T09:41:12Z`, and nothing else.
fn parse(text: &str) -> Option<Timestamp> {
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
    };
    let separators = [(4, "-"), (7, "-"), (10, "T"), (13, ":"), (16, ":"), (19, "Z")];
    let shaped = text.len() == 20
        && separators.iter().all(|&(at, sign)| text.get(at..).is_some_and(|t| t.starts_with(sign)));
    if !shaped {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    // A day that the month does not have comes back as another day: refuse it.
    let time = Timestamp::from_seconds(seconds);
    let civil = Civil::of(time);
    ((civil.year, civil.month, civil.day) == (year, month, day)).then_some(time)
}

/// The proleptic Gregorian calendar in UTC.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    /// 0 is Monday.
    weekday: i64,
}

impl Civil {
    fn of(time: Timestamp) -> Self {
        let seconds = time.as_seconds();
        let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // Count from 0000-03-01, so that the leap day ends the year and 400 years are one era.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            hour: of_day / 3600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            // 1970-01-01 was a Thursday.
            weekday: (days + 3).rem_euclid(7),
        }
    }

    fn weekday(&self) -> &'static str {
        usize::try_from(self.weekday).ok().and_then(|day| DAYS.get(day)).copied().unwrap_or("???")
    }

    fn month_name(&self) -> &'static str {
        usize::try_from(self.month - 1)
            .ok()
            .and_then(|month| MONTHS.get(month))
            .copied()
            .unwrap_or("???")
    }
}

/// Days since 1970-01-01 of a date, the inverse of the arithmetic in [`Civil::of`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_dates() {
        for (seconds, iso, http) in [
            (0, "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (1_741_082_472, "2025-03-04T10:01:12Z", "Tue, 04 Mar 2025 10:01:12 GMT"),
            (1_709_164_799, "2024-02-28T23:59:59Z", "Wed, 28 Feb 2024 23:59:59 GMT"),
            (1_709_164_800, "2024-02-29T00:00:00Z", "Thu, 29 Feb 2024 00:00:00 GMT"),
            (4_102_444_800, "2100-01-01T00:00:00Z", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ] {
            let time = Timestamp::from_seconds(seconds);
            assert_eq!(time.to_string(), iso);
            assert_eq!(time.http_date().to_string(), http);
            assert_eq!(iso.parse(), Ok(time));
        }
        let event: Timestamp = "2019-01-21T09:00:43Z".parse().unwrap();
        assert_eq!(event.event_date().to_string(), "21 Jan 2019 09:00:43 GMT");
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "2025-03-04",
            "2025-03-04T09:41:12",
            "2025-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-03-04T24:00:00Z",
            "2025-03-04T09:41:12+00:00",
            "+025-03-04T09:41:12Z",
            "2025-03-04é09:41:1Z",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parse_undoes_display(seconds in -62_167_219_200_i64..253_402_300_799) {
            let time = Timestamp::from_seconds(seconds);
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }
    }
}
