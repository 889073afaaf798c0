//! Times as sources of credentials write them.

use model::Timestamp;

/// Reads ISO 8601 to the second, with or without a fraction, `Z` or an offset, as programs and STS write it.
pub(super) fn read_time(text: &str) -> Option<Timestamp> {
    let seconds = text.get(..19)?;
    let rest = text.get(19..)?;
    let zone = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    let local: Timestamp = format!("{seconds}Z").parse().ok()?;
    let (sign, digits) = match zone.strip_prefix('+').map(|digits| (1, digits)) {
        _ if zone == "Z" => return Some(local),
        Some(east) => east,
        None => (-1, zone.strip_prefix('-')?),
    };
    let digits = digits.replacen(':', "", 1);
    let number = |range: std::ops::Range<usize>| digits.get(range)?.parse::<i64>().ok();
    let is_zone = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit());
    let (hours, minutes) = is_zone.then_some((number(0..2)?, number(2..4)?))?;
    Some(local.plus_seconds(-sign * (hours * 3600 + minutes * 60)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_all_sources_are_read() {
        let eleven = "2025-03-04T11:00:00Z".parse().ok();
        for (text, expected) in [
            ("2025-03-04T11:00:00Z", eleven),
            ("2025-03-04T11:00:00.123Z", eleven),
            ("2025-03-04T11:00:00+00:00", eleven),
            ("2025-03-04T12:00:00+0100", eleven),
            ("2025-03-04T10:00:00-01:00", eleven),
            ("2025-03-04T11:00:00+1", None),
            ("2025-03-04T11:00:00", None),
            ("2025-03-04", None),
            ("soon", None),
        ] {
            assert_eq!(read_time(text), expected, "{text}");
        }
    }
}
