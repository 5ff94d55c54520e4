//! A worker's progress as tiles: percent and the seconds left at the speed so far.

use std::time::{Duration, Instant};

use flash::{Progress, Step};

use crate::api::view::SlotState;
use crate::desk::{DeskHandle, Tile};

/// Shortest time between two progress tiles.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// Turns the worker's progress into tiles, not more than a screen can use.
pub(super) struct Teller {
    slot: u32,
    desk: DeskHandle,
    step: Option<Step>,
    begun: Instant,
    told: Option<Instant>,
}

impl Teller {
    pub(super) fn new(slot: u32, desk: &DeskHandle) -> Self {
        Self { slot, desk: desk.clone(), step: None, begun: Instant::now(), told: None }
    }

    pub(super) fn tell(&mut self, progress: Progress) {
        let now = Instant::now();
        if self.step != Some(progress.step) {
            self.step = Some(progress.step);
            self.begun = now;
            self.told = None;
        }
        if self.told.is_some_and(|told| now.duration_since(told) < PROGRESS_PAUSE) {
            return;
        }
        let Some(state) = state_while(progress.step) else { return };
        self.told = Some(now);
        let mut tile = Tile::of(state);
        (tile.percent, tile.remaining_s) =
            outlook(progress.done_bytes, progress.total_bytes, now.duration_since(self.begun));
        let slot = self.slot;
        self.desk.tell(move |desk| desk.show(slot, tile));
    }
}

/// Percent done, and the seconds left at the speed so far.
fn outlook(done: u64, total: u64, passed: Duration) -> (Option<u32>, Option<u32>) {
    if total == 0 {
        return (None, None);
    }
    let done = done.min(total);
    let percent = u32::try_from(done * 100 / total).unwrap_or(100);
    if done == 0 {
        return (Some(percent), None);
    }
    let left_ms = passed.as_millis().saturating_mul(u128::from(total - done)) / u128::from(done);
    (Some(percent), Some(u32::try_from(left_ms.div_ceil(1000)).unwrap_or(u32::MAX)))
}

fn state_while(step: Step) -> Option<SlotState> {
    match step {
        Step::Survey | Step::Erase | Step::Program => Some(SlotState::Flashing),
        Step::Verify => Some(SlotState::Verifying),
        Step::SelfTest | Step::Reset => Some(SlotState::Testing),
        Step::Contact
        | Step::Identify
        | Step::Read
        | Step::Protect
        | Step::Unlock
        | Step::Presence => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_left_follow_from_bytes_and_speed() {
        let second = Duration::from_secs(1);
        let check = |done, total, passed, expected| {
            assert_eq!(outlook(done, total, passed), expected, "{done}/{total}");
        };
        check(0, 0, second, (None, None));
        check(0, 100, second, (Some(0), None));
        check(50, 100, second, (Some(50), Some(1)));
        check(25, 100, second * 2, (Some(25), Some(6)));
        check(100, 100, second, (Some(100), Some(0)));
        check(101, 100, second, (Some(100), Some(0)));
    }
}
