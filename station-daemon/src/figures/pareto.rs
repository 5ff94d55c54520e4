//! Failures by what they have in common, most frequent first.

use std::collections::BTreeMap;

use super::report::ParetoRow;
use super::{Ending, Tally};

/// Bars of a Pareto chart over all failures, keyed by `key`; equal counts in the order of the keys.
pub(super) fn pareto(tallies: &[Tally], key: impl Fn(&Tally) -> Option<&str>) -> Vec<ParetoRow> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for tally in tallies.iter().filter(|tally| tally.ending == Ending::Fail) {
        if let Some(key) = key(tally) {
            *counts.entry(key).or_default() += tally.visits;
        }
    }
    let all: u32 = counts.values().sum();
    let mut rows: Vec<(&str, u32)> = counts.into_iter().collect();
    // Stable: equal counts stay in the order of their keys.
    rows.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut above = 0;
    rows.into_iter()
        .map(|(key, count)| {
            above += count;
            let of = |part: u32| f64::from(part) / f64::from(all);
            ParetoRow { key: key.to_owned(), count, share: of(count), cumulative: of(above) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Attempt;
    use crate::figures::tests::tally;

    #[test]
    fn causes_are_ordered_by_how_often_they_fail_and_add_up_to_all_of_them() {
        let fail = |trouble: &str, step: &str, visits| {
            tally((0, 1), Attempt::First, Ending::Fail, Some((trouble, step)), visits)
        };
        let tallies = [
            fail("F-11", "program", 2),
            fail("F-10", "identify", 5),
            fail("F-11", "verify", 1),
            fail("F-13", "verify", 2),
            tally((0, 1), Attempt::First, Ending::Pass, None, 90),
        ];
        let rows = pareto(&tallies, |tally| tally.trouble.as_deref());
        let seen: Vec<_> = rows.iter().map(|row| (row.key.as_str(), row.count)).collect();
        assert_eq!(seen, [("F-10", 5), ("F-11", 3), ("F-13", 2)]);
        assert_eq!(rows[1].cumulative, 0.8);
        assert_eq!(rows[2].cumulative, 1.0);
        let steps = pareto(&tallies, |tally| tally.step.as_deref());
        assert_eq!(steps[1].key, "verify", "{steps:?}");
    }

    #[test]
    fn nothing_failed_is_an_empty_chart() {
        assert!(pareto(&[], |tally| tally.trouble.as_deref()).is_empty());
    }
}
