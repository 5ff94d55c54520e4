//! The statistics against scipy and statsmodels: `tests/figures/golden.py` made the values.

use serde::Deserialize;

use super::tests::tally;
use super::{Attempt, Ending, Tally, bad_slot, flash_time, p_chart};

#[derive(Deserialize)]
struct Golden {
    fisher: Vec<Fisher>,
    p_chart: Vec<PChart>,
    times: Vec<Times>,
}

#[derive(Deserialize)]
struct Fisher {
    failed: u32,
    visits: u32,
    others_failed: u32,
    others: u32,
    p: f64,
}

#[derive(Deserialize)]
struct PChart {
    centre: f64,
    hours: Vec<PHour>,
}

#[derive(Deserialize)]
struct PHour {
    tried: u32,
    failed: u32,
    lower: f64,
    upper: f64,
}

#[derive(Deserialize)]
struct Times {
    took_ms: Vec<u32>,
    takt_ms: f64,
    mean: f64,
    sigma: f64,
    lower: f64,
    upper: f64,
    cpk_upper: f64,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../tests/figures/golden.json")).expect("golden values")
}

/// Equal within `relative` of the golden value.
fn check(what: &str, ours: f64, golden: f64, relative: f64) {
    let close = (ours - golden).abs() <= relative * golden.abs().max(1e-12);
    assert!(close, "{what}: {ours} here, {golden} there");
}

#[test]
fn a_slots_p_value_is_that_of_scipy() {
    let cases = golden().fisher;
    assert!(cases.len() >= 30, "{} tables", cases.len());
    for case in cases {
        let slot = (case.visits, case.failed);
        let p = bad_slot::fails_more(slot, (case.others, case.others_failed)).expect("a p-value");
        // Two ways of adding up the same tail.
        check(&format!("{slot:?}"), p, case.p, 1e-6);
    }
}

#[test]
fn the_limits_of_the_p_chart_are_those_of_a_binomial_share() {
    for case in golden().p_chart {
        let tallies: Vec<Tally> = (0..)
            .zip(&case.hours)
            .flat_map(|(number, hour)| {
                let at = (number, 1);
                let good = hour.tried - hour.failed;
                [
                    tally(at, Attempt::First, Ending::Pass, None, good),
                    tally(at, Attempt::First, Ending::Fail, Some(("F-13", "verify")), hour.failed),
                ]
            })
            .collect();
        let (hours, centre) = p_chart::hours(&tallies);
        check("centre", centre.expect("a centre"), case.centre, 1e-9);
        for (ours, hour) in hours.iter().zip(&case.hours) {
            check("lower", ours.lower.expect("a limit"), hour.lower, 1e-6);
            check("upper", ours.upper.expect("a limit"), hour.upper, 1e-6);
        }
    }
}

#[test]
fn the_limits_of_the_times_come_from_their_moving_ranges() {
    for case in golden().times {
        let passes: Vec<(i64, u32, u32)> = case.took_ms.iter().map(|&took| (0, 1, took)).collect();
        let chart = flash_time::flash_time(&passes, Some(case.takt_ms)).expect("a chart");
        check("mean", chart.mean_ms, case.mean, 1e-12);
        // d2 is tabled to three decimals.
        check("sigma", chart.sigma_ms, case.sigma, 5e-4);
        check("lower", chart.lower_ms, case.lower, 5e-4);
        check("upper", chart.upper_ms, case.upper, 5e-4);
        check("capability", chart.cpk_upper.expect("a capability"), case.cpk_upper, 5e-4);
    }
}
