//! Medians, percentiles and ratios.

use std::time::Duration;

/// The middle value; with an even count, the mean of the two in the middle. `None` of nothing.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *sorted.get(middle.checked_sub(1)?)?;
    Some(f64::midpoint(lower, upper))
}

/// Where the true median lies, with 95 % confidence, whatever the values' distribution: between
/// two of the values, by their ranks. Of few values, the smallest and the greatest.
pub(crate) fn interval(values: &[f64]) -> Option<(f64, f64)> {
    const WIDTH: f64 = 1.96; // Standard deviations either side, of a normal distribution.

    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = number(sorted.len() as u64);
    let cut = ((count - WIDTH * count.sqrt()) / 2.0).max(0.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between nothing and half of the count"
    )]
    let cut = cut as usize;
    let low = *sorted.get(cut)?;
    let high = *sorted.get(sorted.len().checked_sub(cut + 1)?)?;
    Some((low, high))
}

/// Each value divided by that of the same round. A round that either side lacks is left out.
pub(crate) fn ratios(values: &[f64], bases: &[f64]) -> Vec<f64> {
    values
        .iter()
        .zip(bases)
        .filter(|(value, base)| value.is_finite() && **base > 0.0)
        .map(|(value, base)| value / base)
        .collect()
}

/// The smallest value that at least `per_mille` thousandths of all do not exceed (nearest rank).
///
/// INVARIANT: `sorted` ascends.
pub(crate) fn percentile(sorted: &[Duration], per_mille: usize) -> Option<Duration> {
    let rank = sorted.len().checked_mul(per_mille)?.div_ceil(1000).max(1);
    sorted.get(rank - 1).copied()
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
pub(crate) fn number(count: u64) -> f64 {
    count as f64
}

/// Time in microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Time in milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_even_and_none() {
        for (values, expected) in [
            (&[][..], None),
            (&[3.0][..], Some(3.0)),
            (&[9.0, 1.0][..], Some(5.0)),
            (&[9.0, 1.0, 2.0][..], Some(2.0)),
            (&[4.0, 9.0, 1.0, 2.0][..], Some(3.0)),
        ] {
            assert_eq!(median(values), expected, "{values:?}");
        }
    }

    #[test]
    fn the_interval_of_the_median_narrows_with_the_number_of_values() {
        let values = |count: u32| (1..=count).map(f64::from).rev().collect::<Vec<_>>();
        for (count, expected) in
            [(0, None), (1, Some((1.0, 1.0))), (3, Some((1.0, 3.0))), (100, Some((41.0, 60.0)))]
        {
            assert_eq!(interval(&values(count)), expected, "of {count}");
        }
    }

    #[test]
    fn percentiles_take_the_nearest_rank() {
        let hundred: Vec<Duration> = (1..=100).map(Duration::from_micros).collect();
        for (per_mille, expected) in [(0, 1), (500, 50), (990, 99), (991, 100), (1000, 100)] {
            let expected = Some(Duration::from_micros(expected));
            assert_eq!(percentile(&hundred, per_mille), expected, "{per_mille} per mille");
        }
        let one = [Duration::from_micros(7)];
        assert_eq!(percentile(&one, 990), Some(one[0]));
        assert_eq!(percentile(&[], 990), None);
    }

    #[test]
    fn ratios_pair_the_rounds() {
        assert_eq!(ratios(&[2.0, 9.0], &[1.0, 3.0]), [2.0, 3.0]);
        assert_eq!(ratios(&[2.0, 9.0], &[0.0, 3.0]), [3.0], "a round without a base");
        assert_eq!(ratios(&[2.0], &[]), [0.0; 0]);
    }

    #[test]
    fn the_median_of_ratios_is_not_the_ratio_of_medians() {
        let (values, bases) = ([10.0, 20.0, 90.0], [10.0, 10.0, 100.0]);
        assert_eq!(median(&ratios(&values, &bases)), Some(1.0));
        assert_eq!(median(&values).zip(median(&bases)).map(|(v, b)| v / b), Some(2.0));
    }
}
