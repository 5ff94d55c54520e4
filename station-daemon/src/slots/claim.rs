//! A board somebody says is in a slot that nothing answers from.
//!
//! To every probe a board without power is an empty slot; only the worker sees it. Owns whether
//! the slot says so, and for how long. Pure: the time is an argument.

use std::time::{Duration, Instant};

/// How long a tile says that nothing answers before it is EMPTY again.
const STANDS: Duration = Duration::from_secs(60);

/// What became of a worker's touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Touch {
    /// The slot is to be looked into.
    Look,
    /// The worker took the word back.
    TakenBack,
}

/// The worker's word that a board is there, as long as nothing answers.
#[derive(Debug, Default)]
pub(super) struct Claim {
    until: Option<Instant>,
}

impl Claim {
    /// A touch: the first one makes the slot look, the next takes the word back.
    pub(super) fn touch(&mut self, now: Instant) -> Touch {
        let stood = self.stands(now);
        self.until = None;
        if stood { Touch::TakenBack } else { Touch::Look }
    }

    /// The look that was asked for found nothing.
    pub(super) fn unanswered(&mut self, now: Instant) {
        self.until = Some(now + STANDS);
    }

    /// A board made contact, or the slot has something else to say.
    pub(super) fn over(&mut self) {
        self.until = None;
    }

    /// Whether the tile says so now.
    pub(super) fn stands(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stands_until_contact_the_next_touch_or_its_time() {
        let begun = Instant::now();
        let just_before = begun + STANDS - Duration::from_millis(1);
        let claimed = || {
            let mut claim = Claim::default();
            assert_eq!(claim.touch(begun), Touch::Look);
            assert!(!claim.stands(begun), "not before the look");
            claim.unanswered(begun);
            claim
        };
        assert!(claimed().stands(just_before));
        assert!(!claimed().stands(begun + STANDS));

        let mut contact = claimed();
        contact.over();
        assert!(!contact.stands(begun));

        let mut back = claimed();
        assert_eq!(back.touch(just_before), Touch::TakenBack);
        assert!(!back.stands(just_before));
        assert_eq!(back.touch(just_before), Touch::Look);

        let mut late = claimed();
        assert_eq!(late.touch(begun + STANDS), Touch::Look, "its time had passed");
    }
}
