//! A board that was taken out in the middle of its visit, and what the tile says after that.
//!
//! To every probe a board that was put back without power is still out; only the worker sees it.
//! Owns when the tile stops saying that the board was taken out. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// How long the tile says that the board was taken out. A worker re-seats it in a few seconds.
const TAKEN_OUT_FOR: Duration = Duration::from_secs(10);

/// What the tile says instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// A board may be there, and nothing answers from it.
    NothingAnswers,
    /// The worker took that back.
    NoBoard,
}

/// One loss, until the next board.
#[derive(Debug)]
pub(super) struct Loss {
    begun: Instant,
    said: Option<Said>,
}

impl Loss {
    /// The board was taken out.
    pub(super) fn begun(now: Instant) -> Self {
        Self { begun: now, said: None }
    }

    /// Nothing answered now, to a touch or to a look of the slot's own; what the tile is to say
    /// from now on, if that is something else than before.
    pub(super) fn unanswered(&mut self, touched: bool, now: Instant) -> Option<Said> {
        let said = match self.said {
            None if touched || now >= self.begun + TAKEN_OUT_FOR => Said::NothingAnswers,
            Some(Said::NoBoard) if touched => Said::NothingAnswers,
            Some(Said::NothingAnswers) if touched => Said::NoBoard,
            None | Some(_) => return None,
        };
        self.said = Some(said);
        Some(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_board_is_not_answered_for_after_a_while_or_a_touch_and_a_touch_takes_that_back() {
        let begun = Instant::now();
        let (before, due) =
            (begun + TAKEN_OUT_FOR - Duration::from_millis(1), begun + TAKEN_OUT_FOR);
        let check = |happened: &[(bool, Instant)], wanted: &[Option<Said>]| {
            let mut loss = Loss::begun(begun);
            let said: Vec<_> =
                happened.iter().map(|(touched, now)| loss.unanswered(*touched, *now)).collect();
            assert_eq!(said, wanted, "{happened:?}");
        };
        let (nothing, no_board) = (Some(Said::NothingAnswers), Some(Said::NoBoard));
        check(&[(false, begun), (false, before)], &[None, None]);
        check(&[(false, due), (false, due)], &[nothing, None]);
        check(&[(true, begun), (false, due)], &[nothing, None]);
        check(&[(true, begun), (true, begun), (false, due)], &[nothing, no_board, None]);
        check(&[(false, due), (true, due), (true, due)], &[nothing, no_board, nothing]);
    }
}
