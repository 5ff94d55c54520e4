//! Rejected boards on their way into a bin.
//!
//! Where the station has bins, a board that failed for good holds its slot until a bin's label is
//! scanned: which board went into which bin is in the journal, and no board is set in beside one
//! that nobody knows the place of.
//!
//! Promise: what waits for a bin waits across a restart.

use std::collections::{BTreeMap, BTreeSet};

use audit::Event;

use super::Desk;
use super::closures::code_of;
use crate::api::view::{RejectView, ScanAnswer, ScanKind};
use crate::store::{Commit, KeptReject, StoreError};
use crate::trouble::{Act, TroubleCode};

/// The part of the desk that knows about bins.
#[derive(Default)]
pub(super) struct Rejects {
    bins: BTreeSet<String>,
    waiting: BTreeMap<u32, Waiting>,
    /// Counts boards that were taken out.
    taken_out: u64,
}

/// A board that waits for its bin.
struct Waiting {
    kept: KeptReject,
    /// The how manieth it was taken out; none while it lies in its slot.
    out: Option<u64>,
}

/// Whether a failure means that the board goes into a bin.
fn goes_into_a_bin(trouble: &str) -> bool {
    code_of(trouble).meaning().1 == Act::PutInRedBin
}

impl Rejects {
    /// As the store left it: what was in a slot then counts as taken out.
    pub(super) fn load(commit: &Commit<'_>) -> Result<Self, StoreError> {
        let waiting = commit.rejects()?.into_iter().map(|kept| {
            let slot = kept.slot;
            (slot, Waiting { kept, out: Some(0) })
        });
        Ok(Self { waiting: waiting.collect(), ..Self::default() })
    }

    /// The records among these after which a board waits for its bin.
    pub(super) fn among(&self, events: &[Event], at_ms: i64) -> Vec<KeptReject> {
        if self.bins.is_empty() {
            return Vec::new();
        }
        let failed = events.iter().filter_map(|event| {
            let Event::Failed { slot, visit, uid, trouble, .. } = event else { return None };
            if !goes_into_a_bin(trouble) {
                return None;
            }
            let uid_tail = uid.as_ref().map(|uid| {
                let text = hex::encode_upper(&uid.0);
                text[text.len().saturating_sub(4)..].to_owned()
            });
            let (visit, trouble) = (visit.clone(), trouble.clone());
            Some(KeptReject { slot: *slot, visit, trouble, uid_tail, at_ms })
        });
        failed.collect()
    }

    /// These wait from now on.
    pub(super) fn wait(&mut self, rejects: Vec<KeptReject>) {
        for kept in rejects {
            self.waiting.insert(kept.slot, Waiting { kept, out: None });
        }
    }

    /// The board left the slot.
    pub(super) fn taken_out(&mut self, slot: u32) {
        let Some(waiting) = self.waiting.get_mut(&slot).filter(|waiting| waiting.out.is_none())
        else {
            return;
        };
        self.taken_out += 1;
        waiting.out = Some(self.taken_out);
    }

    pub(super) fn view(&self) -> Vec<RejectView> {
        if self.bins.is_empty() {
            return Vec::new();
        }
        let view = |(slot, waiting): (&u32, &Waiting)| RejectView {
            slot: *slot,
            code: code_of(&waiting.kept.trouble),
            uid_tail: waiting.kept.uid_tail.clone(),
            taken_out: waiting.out.is_some(),
        };
        self.waiting.iter().map(view).collect()
    }

    /// Whose board goes into a bin that is scanned now: the one taken out last, or the only one.
    fn next(&self) -> Result<&KeptReject, &'static str> {
        let out = self.waiting.values().filter(|waiting| waiting.out.is_some());
        if let Some(last) = out.max_by_key(|waiting| waiting.out) {
            return Ok(&last.kept);
        }
        let mut waiting = self.waiting.values();
        match (waiting.next(), waiting.next()) {
            (Some(only), None) => Ok(&only.kept),
            (Some(_), Some(_)) => Err("take_out_first"),
            (None, _) => Err("nothing_to_bin"),
        }
    }
}

impl Desk {
    /// The bins of this station; none, and no board waits for one.
    pub fn use_bins(&mut self, bins: &[String]) {
        self.rejects.bins = bins.iter().cloned().collect();
        self.publish();
    }

    /// Whether the slot is held by a board that waits for its bin.
    #[must_use]
    pub fn is_held(&self, slot: u32) -> bool {
        !self.rejects.bins.is_empty() && self.rejects.waiting.contains_key(&slot)
    }

    /// The label of a bin was scanned: the rejected board is in it.
    pub(super) fn bin(&mut self, bin: &str) -> ScanAnswer {
        let answer = |accepted, word: &str| ScanAnswer::to(ScanKind::Bin, accepted, word);
        if self.rejects.bins.is_empty() {
            return answer(false, "not_used_here");
        }
        if !self.rejects.bins.contains(bin) {
            let code = Some(TroubleCode::ScanForeign);
            return ScanAnswer { code, ..answer(false, "bin_unknown") };
        }
        let leave = match self.leave_of_anybody() {
            Ok(leave) => leave,
            Err(refusal) => {
                let code = Some(TroubleCode::from(refusal));
                return ScanAnswer { code, ..answer(false, refusal.word()) };
            }
        };
        let kept = match self.rejects.next() {
            Ok(kept) => kept.clone(),
            Err(word) => return answer(false, word),
        };
        let (slot, visit) = (kept.slot, kept.visit);
        let binned = Event::Binned { slot, visit, bin: bin.to_owned(), operator: leave.operator() };
        if self.record(vec![binned], |commit| commit.drop_reject(slot)).is_err() {
            return answer(false, "not_recorded");
        }
        self.rejects.waiting.remove(&slot);
        ScanAnswer { slot: Some(slot), ..answer(true, "binned") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(slot: u32) -> KeptReject {
        let (visit, trouble) = (format!("v-{slot}"), "F-13".to_owned());
        KeptReject { slot, visit, trouble, uid_tail: None, at_ms: 0 }
    }

    #[test]
    fn the_board_taken_out_last_goes_into_the_bin_and_of_several_in_their_slots_none() {
        let mut rejects = Rejects::default();
        let next = |rejects: &Rejects| rejects.next().map(|kept| kept.slot);
        assert_eq!(next(&rejects), Err("nothing_to_bin"));
        rejects.wait(vec![kept(3)]);
        assert_eq!(next(&rejects), Ok(3), "the only one");
        rejects.wait(vec![kept(1), kept(2)]);
        assert_eq!(next(&rejects), Err("take_out_first"));
        rejects.taken_out(2);
        rejects.taken_out(7);
        assert_eq!(next(&rejects), Ok(2));
        rejects.taken_out(3);
        rejects.taken_out(2);
        assert_eq!(next(&rejects), Ok(3), "taken out once each");
        rejects.waiting.remove(&3);
        assert_eq!(next(&rejects), Ok(2));
    }

    #[test]
    fn only_what_is_the_boards_fault_goes_into_a_bin() {
        let check = |code: TroubleCode, bin: bool| {
            assert_eq!(goes_into_a_bin(&code.text()), bin, "{code:?}");
        };
        check(TroubleCode::ReadBackDiffered, true);
        check(TroubleCode::SelfTestFailed, true);
        check(TroubleCode::NoContact, false);
        check(TroubleCode::BoardUnplugged, false);
        check(TroubleCode::UidDuplicate, false);
        check(TroubleCode::LeaseOver, false);
    }
}
