//! The share of first attempts that fail, hour by hour, and whether it moved.

use std::collections::BTreeMap;

use super::report::Hour;
use super::{Attempt, Ending, HOUR_MS, Tally};

/// Standard deviations between the centre and a limit (Shewhart).
const SIGMAS: f64 = 3.0;

/// Every hour with a visit, oldest first, and the centre: the mean share over all of them. Limits
/// are the centre ± 3 √(p (1 − p) / n) with the hour's own n, within 0..=1 (p-chart, NIST/SEMATECH
/// e-Handbook 6.3.3.2).
pub(super) fn hours(tallies: &[Tally]) -> (Vec<Hour>, Option<f64>) {
    let mut hours: BTreeMap<i64, Hour> = BTreeMap::new();
    for tally in tallies {
        let hour = hours.entry(tally.hour).or_insert_with(|| Hour {
            from_ms: tally.hour.saturating_mul(HOUR_MS),
            passed: 0,
            tried: 0,
            failed: 0,
            lower: None,
            upper: None,
            outside: false,
        });
        if tally.ending == Ending::Pass {
            hour.passed += tally.visits;
        }
        if tally.attempt == Attempt::First && tally.ending != Ending::SeenBefore {
            hour.tried += tally.visits;
            if tally.ending == Ending::Fail {
                hour.failed += tally.visits;
            }
        }
    }
    let mut hours: Vec<Hour> = hours.into_values().collect();
    let tried: u32 = hours.iter().map(|hour| hour.tried).sum();
    let failed: u32 = hours.iter().map(|hour| hour.failed).sum();
    let centre = super::share(failed, tried);
    if let Some(centre) = centre {
        for hour in hours.iter_mut().filter(|hour| hour.tried > 0) {
            let (lower, upper) = limits(centre, hour.tried);
            let share = f64::from(hour.failed) / f64::from(hour.tried);
            hour.outside = share < lower || share > upper;
            (hour.lower, hour.upper) = (Some(lower), Some(upper));
        }
    }
    (hours, centre)
}

/// Lower and upper limit of a share over `n` attempts.
pub(super) fn limits(centre: f64, n: u32) -> (f64, f64) {
    let width = SIGMAS * (centre * (1.0 - centre) / f64::from(n)).sqrt();
    ((centre - width).max(0.0), (centre + width).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::tests::tally;

    fn hour(number: i64, passed: u32, failed: u32) -> [Tally; 2] {
        [
            tally((number, 1), Attempt::First, Ending::Pass, None, passed),
            tally((number, 1), Attempt::First, Ending::Fail, Some(("F-13", "verify")), failed),
        ]
    }

    #[test]
    fn an_hour_that_fails_more_than_chance_allows_lies_outside() {
        let visits = [hour(5, 98, 2), hour(6, 97, 3), hour(7, 80, 20), hour(8, 99, 1)].concat();
        let (hours, centre) = hours(&visits);
        assert_eq!(centre, Some(26.0 / 400.0));
        let outside: Vec<i64> =
            hours.iter().filter(|hour| hour.outside).map(|hour| hour.from_ms / HOUR_MS).collect();
        assert_eq!(outside, [7]);
    }

    #[test]
    fn later_attempts_count_as_output_and_not_as_first_attempts() {
        let again = tally((5, 1), Attempt::Recovering, Ending::Pass, None, 4);
        let (hours, centre) = hours(&[again]);
        assert_eq!((hours[0].passed, hours[0].tried, centre), (4, 0, None));
    }
}
