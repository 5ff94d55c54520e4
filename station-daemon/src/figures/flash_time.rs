//! How long passes take, and whether that changes: a chart of individual values and moving ranges.

use super::report::{FlashTime, TimePoint};

/// Expected range of two normal values in standard deviations, d2 for n = 2 (ISO 7870-2, table 2).
const D2: f64 = 1.128;
/// Standard deviations between the centre and a limit.
const SIGMAS: f64 = 3.0;

/// The chart of the given passes, oldest first, as `(at_ms, slot, took_ms)`; none for none. The
/// spread is the mean moving range over d2. `takt_ms` is the upper limit that capability is
/// measured against.
pub(super) fn flash_time(passes: &[(i64, u32, u32)], takt_ms: Option<f64>) -> Option<FlashTime> {
    if passes.is_empty() {
        return None;
    }
    let times = || passes.iter().map(|(_, _, took_ms)| f64::from(*took_ms));
    let mean_ms = times().sum::<f64>() / passes.len() as f64;
    let ranges: Vec<f64> = times().zip(times().skip(1)).map(|(a, b)| (b - a).abs()).collect();
    let sigma_ms = match ranges.len() {
        0 => 0.0,
        count => ranges.iter().sum::<f64>() / count as f64 / D2,
    };
    let (lower_ms, upper_ms) =
        ((mean_ms - SIGMAS * sigma_ms).max(0.0), mean_ms + SIGMAS * sigma_ms);
    let cpk_upper =
        takt_ms.filter(|_| sigma_ms > 0.0).map(|takt_ms| (takt_ms - mean_ms) / (3.0 * sigma_ms));
    let points = passes.iter().map(|&(at_ms, slot, took_ms)| TimePoint {
        at_ms,
        slot,
        took_ms,
        outside: f64::from(took_ms) < lower_ms || f64::from(took_ms) > upper_ms,
    });
    Some(FlashTime { mean_ms, sigma_ms, lower_ms, upper_ms, cpk_upper, points: points.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(times: &[u32]) -> Vec<(i64, u32, u32)> {
        times.iter().map(|took_ms| (0, 1, *took_ms)).collect()
    }

    #[test]
    fn one_slow_board_among_equal_ones_lies_outside() {
        let mut times = vec![4_000, 4_010, 3_990, 4_005, 3_995, 4_000, 4_010, 3_990, 4_000, 4_005];
        times.push(9_000);
        times.extend([4_000; 20]);
        let chart = flash_time(&passes(&times), Some(10_000.0)).expect("a chart");
        let outside: Vec<u32> =
            chart.points.iter().filter(|p| p.outside).map(|point| point.took_ms).collect();
        assert_eq!(outside, [9_000]);
        assert!(chart.cpk_upper.is_some_and(|cpk| cpk > 1.0), "{chart:?}");
    }

    #[test]
    fn a_single_pass_and_equal_passes_have_no_spread_and_no_capability() {
        for times in [&[4_000][..], &[4_000, 4_000, 4_000]] {
            let chart = flash_time(&passes(times), Some(5_000.0)).expect("a chart");
            assert_eq!((chart.sigma_ms, chart.cpk_upper), (0.0, None));
            assert!(chart.points.iter().all(|point| !point.outside));
        }
        assert_eq!(flash_time(&[], None), None);
    }
}
