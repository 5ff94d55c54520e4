//! Failures in a row: what tells a bad slot from a bad board.

use crate::trouble::TroubleCode;

/// So many failures of the same cause in a row close a slot.
const CLOSES_AT: u32 = 3;

/// The running streak of one slot.
#[derive(Debug, Default)]
pub(super) struct Streak {
    cause: Option<TroubleCode>,
    count: u32,
}

impl Streak {
    /// A visit went well.
    pub(super) fn good(&mut self) {
        *self = Self::default();
    }

    /// A visit failed. What the station lacks neither counts nor ends a streak.
    pub(super) fn bad(&mut self, code: TroubleCode) {
        if !code.is_about_the_slot() {
            return;
        }
        if self.cause == Some(code) {
            self.count += 1;
        } else {
            *self = Self { cause: Some(code), count: 1 };
        }
    }

    /// The slot was closed for this cause before the daemon started.
    pub(super) fn restored(code: TroubleCode) -> Self {
        Self { cause: Some(code), count: CLOSES_AT }
    }

    /// The cause that closes the slot, if it does.
    pub(super) fn closed(&self) -> Option<TroubleCode> {
        self.cause.filter(|_| self.count >= CLOSES_AT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_failures_of_one_cause_in_a_row_close_a_slot() {
        use TroubleCode::{ContactLost, DiskFull, ReadBackDiffered};
        let check = |codes: &[Option<TroubleCode>], closed: Option<TroubleCode>| {
            let mut streak = Streak::default();
            for code in codes {
                match code {
                    Some(code) => streak.bad(*code),
                    None => streak.good(),
                }
            }
            assert_eq!(streak.closed(), closed, "{codes:?}");
        };
        let (lost, differed, full) = (Some(ContactLost), Some(ReadBackDiffered), Some(DiskFull));
        check(&[lost, lost], None);
        check(&[lost, lost, lost], lost);
        check(&[lost, lost, None, lost], None);
        check(&[lost, differed, lost, lost], None);
        check(&[full, full, full, full], None);
        check(&[lost, full, lost, full, lost], lost);
        assert_eq!(Streak::restored(DiskFull).closed(), Some(DiskFull));
    }
}
