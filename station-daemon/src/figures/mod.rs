//! The lead's figures of one order, from the visits that ended here.
//!
//! Owns the statistics: what a first-pass yield counts, when a slot is suspect, where the limits of
//! a chart lie. Every function is pure; the sums come from the store
//! ([`Tally`]), which keeps them as the visits end, so that a million visits cost no more to read
//! than a day. Leaves drawing and words to the page.
//!
//! Promise: the same visits give the same figures, whenever and however often they are asked for.

mod bad_slot;
mod flash_time;
#[cfg(test)]
mod golden;
mod p_chart;
mod pareto;
mod read;
mod report;

pub use bad_slot::{SLOT_VISITS_MIN, SUSPECT_BELOW};
pub(crate) use read::PAGE_VISITS;
pub use read::{Figures, VisitFilter};
pub use report::{
    BurnDown, CauseCount, FlashTime, Hour, OrderFigures, ParetoRow, SlotFigures, TimePoint,
    VisitRow, YieldCounts,
};

/// Milliseconds of an hour, the width of a column in every chart over time.
pub const HOUR_MS: i64 = 3_600_000;

/// Which of its unit's visits for an order one was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Attempt {
    /// The unit's first: what first-pass yield counts.
    First,
    /// A later one that brought a unit through which had not passed before.
    Recovering,
    /// Any other later one.
    Again,
    /// The chip told nobody who it is.
    Unnamed,
}

impl Attempt {
    /// The word the store keeps.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Recovering => "recovering",
            Self::Again => "again",
            Self::Unnamed => "unnamed",
        }
    }

    /// The attempt behind a word; none for another word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::First, Self::Recovering, Self::Again, Self::Unnamed]
            .into_iter()
            .find(|attempt| attempt.word() == word)
    }
}

/// How a visit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// Flashed and proven.
    Pass,
    /// Failed.
    Fail,
    /// Compared only: the unit had passed before.
    SeenBefore,
}

impl Ending {
    /// The word the store keeps.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SeenBefore => "seen_before",
        }
    }

    /// The ending behind a word; none for another word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        [Self::Pass, Self::Fail, Self::SeenBefore].into_iter().find(|ending| ending.word() == word)
    }
}

/// Visits of one order that are alike in everything but the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Hours since the Unix epoch, of station time, in which they ended.
    pub hour: i64,
    /// Slot.
    pub slot: u32,
    /// Which attempt they were.
    pub attempt: Attempt,
    /// How they ended.
    pub ending: Ending,
    /// The trouble's code, for failures.
    pub trouble: Option<String>,
    /// The step that failed, for failures.
    pub step: Option<String>,
    /// How many.
    pub visits: u32,
}

/// Counts what passed, was tried and came back.
#[must_use]
pub fn yield_counts(tallies: &[Tally]) -> YieldCounts {
    let sum = |is: &dyn Fn(&Tally) -> bool| -> u32 {
        tallies.iter().filter(|tally| is(tally)).map(|tally| tally.visits).sum()
    };
    let units = sum(&|t| t.attempt == Attempt::First && t.ending != Ending::SeenBefore);
    let first_pass = sum(&|t| t.attempt == Attempt::First && t.ending == Ending::Pass);
    let recovered = sum(&|t| t.attempt == Attempt::Recovering && t.ending == Ending::Pass);
    let visits = sum(&|t| t.ending != Ending::SeenBefore);
    let failed_visits = sum(&|t| t.ending == Ending::Fail);
    YieldCounts {
        units,
        first_pass,
        first_pass_yield: share(first_pass, units),
        recovered,
        still_failed: units.saturating_sub(first_pass).saturating_sub(recovered),
        unnamed: sum(&|t| t.attempt == Attempt::Unnamed && t.ending == Ending::Fail),
        visits,
        failed_visits,
        visit_yield: share(visits.saturating_sub(failed_visits), visits),
        seen_before: sum(&|t| t.ending == Ending::SeenBefore),
        reseats: sum(&|t| t.ending == Ending::Fail && is_contact(t.trouble.as_deref())),
    }
}

/// Whether a failure was one of contact, so that seating the board again is the cure.
#[must_use]
pub fn is_contact(trouble: Option<&str>) -> bool {
    matches!(trouble, Some("F-10" | "F-11" | "F-12"))
}

/// A part of a whole, 0..=1; none of nothing.
fn share(part: u32, whole: u32) -> Option<f64> {
    (whole > 0).then(|| f64::from(part) / f64::from(whole))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Visits of one kind.
    pub(crate) fn tally(
        (hour, slot): (i64, u32),
        attempt: Attempt,
        ending: Ending,
        why: Option<(&str, &str)>,
        visits: u32,
    ) -> Tally {
        let (trouble, step) = why.map_or((None, None), |(trouble, step)| {
            (Some(trouble.to_owned()), Some(step.to_owned()))
        });
        Tally { hour, slot, attempt, ending, trouble, step, visits }
    }

    #[test]
    fn first_pass_yield_counts_units_by_their_first_attempt() {
        let tallies = [
            tally((1, 1), Attempt::First, Ending::Pass, None, 90),
            tally((1, 1), Attempt::First, Ending::Fail, Some(("F-13", "verify")), 10),
            tally((2, 1), Attempt::Recovering, Ending::Pass, None, 7),
            tally((2, 1), Attempt::Again, Ending::Fail, Some(("F-11", "program")), 5),
            tally((2, 1), Attempt::Again, Ending::SeenBefore, None, 30),
            tally((2, 2), Attempt::Unnamed, Ending::Fail, Some(("F-10", "identify")), 4),
        ];
        let counts = yield_counts(&tallies);
        assert_eq!(counts.units, 100);
        assert_eq!(counts.first_pass_yield, Some(0.9));
        assert_eq!((counts.recovered, counts.still_failed, counts.unnamed), (7, 3, 4));
        assert_eq!((counts.visits, counts.failed_visits, counts.seen_before), (116, 19, 30));
        assert_eq!(counts.reseats, 9, "F-10 and F-11");
    }

    #[test]
    fn an_order_without_visits_has_no_yield_rather_than_none_of_it() {
        let counts = yield_counts(&[]);
        assert_eq!((counts.first_pass_yield, counts.visit_yield), (None, None));
    }

    #[test]
    fn words_of_the_store_come_back_as_what_they_were() {
        for attempt in [Attempt::First, Attempt::Recovering, Attempt::Again, Attempt::Unnamed] {
            assert_eq!(Attempt::of(attempt.word()), Some(attempt));
        }
        for ending in [Ending::Pass, Ending::Fail, Ending::SeenBefore] {
            assert_eq!(Ending::of(ending.word()), Some(ending));
        }
        assert_eq!((Attempt::of("late"), Ending::of("")), (None, None));
    }
}
