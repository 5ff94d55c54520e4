//! How fast the order in hand is made: the passes of the last hour, against the line's takt.

use std::collections::VecDeque;

use crate::figures::Ending;
use crate::store::{Commit, EndedVisit, StoreError};

const HOUR_MS: i64 = 3_600_000;
/// Most passes of an hour that are looked at; a pass every two seconds.
const PASSES_MAX: usize = 1800;

/// The passes of the last hour.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Order and station time of each, the oldest first.
    passes: VecDeque<(String, i64)>,
    /// Seconds a unit may take on this line.
    pub(super) takt_s: Option<u32>,
}

/// What a screen shows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PaceNow {
    /// Passes of the last hour.
    pub(super) hour: u32,
    /// Seconds since the last of them.
    pub(super) last_s: Option<u32>,
}

impl Pace {
    /// As the store left it at `now_ms`.
    pub(super) fn load(commit: &Commit<'_>, now_ms: i64) -> Result<Self, StoreError> {
        let mut passes = commit.passes_since(now_ms - HOUR_MS, PASSES_MAX)?;
        passes.reverse();
        Ok(Self { passes: passes.into(), takt_s: None })
    }

    /// Visits ended.
    pub(super) fn ended(&mut self, visits: &[EndedVisit]) {
        for visit in visits.iter().filter(|visit| visit.ending == Ending::Pass) {
            let Some(order) = &visit.order_number else { continue };
            self.passes.push_back((order.clone(), visit.at_ms));
            if self.passes.len() > PASSES_MAX {
                self.passes.pop_front();
            }
        }
    }

    pub(super) fn of(&self, order: &str, now_ms: i64) -> PaceNow {
        let own = self.passes.iter().filter(|(other, _)| other == order);
        let recent = own.filter(|(_, at_ms)| now_ms - at_ms < HOUR_MS);
        let (mut hour, mut last) = (0_u32, None);
        for (_, at_ms) in recent {
            hour += 1;
            last = Some(*at_ms);
        }
        let last_s = last.map(|at_ms| u32::try_from((now_ms - at_ms).max(0) / 1000).unwrap_or(0));
        PaceNow { hour, last_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_orders_own_passes_of_the_last_hour_count() {
        let pass = |order: &str, at_ms| (order.to_owned(), at_ms);
        let passes = [pass("1", 0), pass("1", 10_000), pass("2", 20_000), pass("1", 30_500)];
        let pace = Pace { passes: passes.into(), takt_s: None };
        let check = |order, now_ms, hour, last_s| {
            assert_eq!(pace.of(order, now_ms), PaceNow { hour, last_s }, "{order} {now_ms}");
        };
        check("1", 31_000, 3, Some(0));
        check("1", 42_000, 3, Some(11));
        check("2", 42_000, 1, Some(22));
        check("3", 42_000, 0, None);
        check("1", HOUR_MS + 5000, 2, Some(3574));
        check("1", HOUR_MS * 9, 0, None);
    }
}
