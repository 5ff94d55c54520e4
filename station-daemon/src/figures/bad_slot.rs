//! Which slot fails more often than its neighbours.

use std::collections::BTreeMap;

use statrs::stats_tests::Alternative;
use statrs::stats_tests::fisher::fishers_exact;

use super::report::{CauseCount, SlotFigures};
use super::{Ending, Tally, is_contact};

/// Visits a slot must have had before it is judged.
pub const SLOT_VISITS_MIN: u32 = 30;
/// A slot is suspect below this p, divided by the number of slots that are judged (Bonferroni):
/// with sixteen slots and nothing wrong, a look names a slot in one of twenty cases at most.
pub const SUSPECT_BELOW: f64 = 0.05;

/// Every slot with its failures, in the order of their numbers. A slot is held against all the
/// others together by Fisher's exact test, one-sided.
pub(super) fn slots(tallies: &[Tally]) -> Vec<SlotFigures> {
    let mut slots: BTreeMap<u32, SlotFigures> = BTreeMap::new();
    for tally in tallies.iter().filter(|tally| tally.ending != Ending::SeenBefore) {
        let slot = slots.entry(tally.slot).or_insert_with(|| empty(tally.slot));
        slot.visits += tally.visits;
        if tally.ending == Ending::Fail {
            slot.failed += tally.visits;
            if is_contact(tally.trouble.as_deref()) {
                slot.reseats += tally.visits;
            }
            let code = tally.trouble.clone().unwrap_or_default();
            match slot.causes.iter_mut().find(|cause| cause.code == code) {
                Some(cause) => cause.count += tally.visits,
                None => slot.causes.push(CauseCount { code, count: tally.visits }),
            }
        }
    }
    let mut slots: Vec<SlotFigures> = slots.into_values().collect();
    let visits: u32 = slots.iter().map(|slot| slot.visits).sum();
    let failed: u32 = slots.iter().map(|slot| slot.failed).sum();
    for slot in &mut slots {
        slot.causes.sort_by(|a, b| a.code.cmp(&b.code));
        let others = (visits - slot.visits, failed - slot.failed);
        if slot.visits >= SLOT_VISITS_MIN && others.0 > 0 {
            slot.p_value = fails_more((slot.visits, slot.failed), others);
        }
    }
    let judged = slots.iter().filter(|slot| slot.p_value.is_some()).count();
    for slot in &mut slots {
        slot.suspect = slot.p_value.is_some_and(|p| p < SUSPECT_BELOW / judged as f64);
    }
    slots
}

const fn empty(slot: u32) -> SlotFigures {
    SlotFigures {
        slot,
        visits: 0,
        failed: 0,
        reseats: 0,
        causes: Vec::new(),
        p_value: None,
        suspect: false,
    }
}

/// One-sided p that `(visits, failed)` fails no more often than the others; none where the test
/// says nothing.
pub(super) fn fails_more(slot: (u32, u32), others: (u32, u32)) -> Option<f64> {
    let good = |(visits, failed): (u32, u32)| u64::from(visits.saturating_sub(failed));
    let table = [u64::from(slot.1), good(slot), u64::from(others.1), good(others)];
    fishers_exact(&table, Alternative::Greater).ok().map(|p| p.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Attempt;
    use crate::figures::tests::tally;

    fn slot(number: u32, passed: u32, failed: u32) -> [Tally; 2] {
        [
            tally((0, number), Attempt::First, Ending::Pass, None, passed),
            tally((0, number), Attempt::First, Ending::Fail, Some(("F-10", "identify")), failed),
        ]
    }

    #[test]
    fn a_slot_with_a_failing_pin_is_named_and_its_neighbours_are_not() {
        let visits: Vec<Tally> =
            [slot(1, 98, 2), slot(2, 99, 1), slot(3, 85, 15), slot(4, 97, 3)].concat();
        let suspects: Vec<u32> =
            slots(&visits).iter().filter(|slot| slot.suspect).map(|slot| slot.slot).collect();
        assert_eq!(suspects, [3]);
    }

    #[test]
    fn a_slot_is_judged_only_by_enough_visits_and_only_among_others() {
        let few: Vec<Tally> = [slot(1, 20, 9), slot(2, 300, 3)].concat();
        let judged = slots(&few);
        assert_eq!((judged[0].p_value, judged[0].suspect), (None, false), "29 visits");
        let alone = slots(&slot(1, 50, 50));
        assert_eq!((alone[0].p_value, alone[0].suspect), (None, false));
    }

    #[test]
    fn a_line_on_which_nothing_fails_has_no_suspect() {
        let visits: Vec<Tally> = [slot(1, 100, 0), slot(2, 100, 0)].concat();
        assert!(slots(&visits).iter().all(|slot| !slot.suspect && slot.p_value == Some(1.0)));
    }
}
