//! One unit's visit to one slot: from contact to saved evidence.
//!
//! Owns the order of the steps and the decision to stop. Owns no port, clock or disk: it is told
//! what happened ([`Event`]) and says what to do next ([`Effect`]), so that every order of events
//! can be tried without a board. What the decision itself is lives in [`decide`].
//!
//! Promises: [`Effect::Release`] answers [`Event::EvidenceSaved`] and nothing else, so a worker may
//! pull the board whenever the tile is green; [`Effect::Program`] answers [`Event::Reserved`] and
//! nothing else, so no chip is written before the journal says so; a failure gives the place in the
//! portion back, and there is no effect that gives a code back.

mod decide;
#[cfg(test)]
mod exhaustive;

pub use decide::{
    BlockSeen, CodeSource, Decision, Facts, History, LeaseFacts, PortionFacts, RecipeFacts,
    ReleaseFacts, Strength, Work, decide,
};

use crate::trouble::TroubleCode;

/// How a visit ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Flashed, proven and recorded now.
    Pass,
    /// Passed in an earlier visit; compared, not written.
    SeenBefore,
}

/// What happened in the slot or on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A board makes steady contact.
    BoardSeen,
    /// Family, part, UID and activation block were read.
    Identified,
    /// The decision about this unit.
    Decided(Decision),
    /// Place, code and the intent to write are journalled and on disk.
    Reserved,
    /// Every byte is written and read back the same.
    Programmed,
    /// The activation block reads back byte for byte.
    BlockMatched,
    /// The firmware said its line in time.
    SelfTested,
    /// Evidence so far and the intent to lock are on disk.
    IntentSaved,
    /// The chip confirms its lock.
    Protected,
    /// The chip holds exactly what it should; nothing was written.
    Compared,
    /// The verdict is journalled and on disk.
    EvidenceSaved,
    /// The failure is journalled and on disk.
    FailureSaved,
    /// The running step did not succeed.
    Failed(TroubleCode),
    /// Nothing is in the slot any more.
    BoardGone,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Look for a board.
    Watch,
    /// Read who the chip is and what lies where its activation block belongs.
    Identify,
    /// Ask for the decision about this unit.
    Decide,
    /// Take a place and a code, journal them with the intent to write, sync.
    Reserve(CodeSource),
    /// Write everything and read it back.
    Program,
    /// Read the activation block back.
    CheckBlock,
    /// Let the firmware run and listen.
    SelfTest,
    /// Save evidence so far and the intent to lock.
    SaveIntent,
    /// Lock the chip and see it confirmed.
    Protect,
    /// Compare without writing.
    Compare,
    /// Save the verdict.
    SaveEvidence(Verdict),
    /// Save the failure.
    SaveFailure {
        /// Why.
        code: TroubleCode,
        /// Whether the visit holds a place in the portion that is free again now.
        gives_place_back: bool,
    },
    /// Green: the board may be taken out.
    Release(Verdict),
    /// Red: say what to do, and wait until the board is gone.
    Reject(TroubleCode),
    /// The event does not belong here; nothing changes.
    Ignore,
}

/// Where a visit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// No board.
    Empty,
    /// The chip is asked who it is.
    Identifying,
    /// The decision is awaited.
    Deciding,
    /// Place and code are being journalled.
    Reserving,
    /// Bytes go onto the chip and are read back.
    Programming,
    /// The block is being compared.
    CheckingBlock,
    /// The firmware's line is awaited.
    Testing,
    /// The intent to lock is being saved.
    SavingIntent,
    /// The chip is being locked.
    Protecting,
    /// The chip is being compared without writing.
    Comparing,
    /// The verdict is being saved.
    SavingEvidence(Verdict),
    /// The failure is being saved.
    SavingFailure(TroubleCode),
    /// Good, and the board is still there.
    Good(Verdict),
    /// Not good.
    Bad(TroubleCode),
}

/// The state of one slot's visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Visit {
    step: Step,
    work: Option<Work>,
    holds_place: bool,
    board_gone: bool,
}

impl Default for Visit {
    fn default() -> Self {
        Self::new()
    }
}

impl Visit {
    /// An empty slot.
    #[must_use]
    pub const fn new() -> Self {
        Self { step: Step::Empty, work: None, holds_place: false, board_gone: false }
    }

    /// Where the visit is.
    #[must_use]
    pub const fn step(&self) -> Step {
        self.step
    }

    /// Whether the board was seen to be gone during this visit.
    #[must_use]
    pub const fn board_gone(&self) -> bool {
        self.board_gone
    }

    /// Takes what happened and says what to do.
    pub fn on(&mut self, event: Event) -> Effect {
        match event {
            Event::BoardSeen => self.board_seen(),
            Event::BoardGone => self.board_left(),
            Event::Failed(code) => self.step_failed(code),
            Event::Decided(decision) => self.decided(decision),
            Event::Identified
            | Event::Reserved
            | Event::Programmed
            | Event::BlockMatched
            | Event::SelfTested
            | Event::IntentSaved
            | Event::Protected
            | Event::Compared
            | Event::EvidenceSaved
            | Event::FailureSaved => self.step_done(event),
        }
    }

    fn board_seen(&mut self) -> Effect {
        let free = match self.step {
            Step::Empty => true,
            // The unit that failed was taken out; this is the next one, or the same one re-seated.
            Step::Bad(_) => self.board_gone,
            Step::Identifying
            | Step::Deciding
            | Step::Reserving
            | Step::Programming
            | Step::CheckingBlock
            | Step::Testing
            | Step::SavingIntent
            | Step::Protecting
            | Step::Comparing
            | Step::SavingEvidence(_)
            | Step::SavingFailure(_)
            | Step::Good(_) => false,
        };
        if !free {
            return Effect::Ignore;
        }
        *self = Self { step: Step::Identifying, ..Self::new() };
        Effect::Identify
    }

    fn board_left(&mut self) -> Effect {
        match self.step {
            Step::Empty => Effect::Ignore,
            // Nothing was promised and nothing written yet.
            Step::Identifying | Step::Good(_) => self.empty(),
            Step::Bad(_) if self.board_gone => Effect::Ignore,
            Step::Bad(_) => self.empty(),
            Step::Programming
            | Step::CheckingBlock
            | Step::Testing
            | Step::Protecting
            | Step::Comparing => {
                self.board_gone = true;
                self.fail(TroubleCode::BoardUnplugged)
            }
            // The disk is busy with this visit; its answer comes first.
            Step::Deciding
            | Step::Reserving
            | Step::SavingIntent
            | Step::SavingEvidence(_)
            | Step::SavingFailure(_) => {
                self.board_gone = true;
                Effect::Ignore
            }
        }
    }

    fn step_failed(&mut self, code: TroubleCode) -> Effect {
        match self.step {
            Step::Empty | Step::Good(_) | Step::Bad(_) => Effect::Ignore,
            // The disk took neither the evidence nor the failure: red without a record of it. The
            // place stays taken until the slot's next record closes this visit.
            Step::SavingFailure(first) => {
                self.step = Step::Bad(first);
                Effect::Reject(first)
            }
            Step::Identifying
            | Step::Deciding
            | Step::Reserving
            | Step::Programming
            | Step::CheckingBlock
            | Step::Testing
            | Step::SavingIntent
            | Step::Protecting
            | Step::Comparing
            | Step::SavingEvidence(_) => self.fail(code),
        }
    }

    fn decided(&mut self, decision: Decision) -> Effect {
        if self.step != Step::Deciding {
            return Effect::Ignore;
        }
        if self.board_gone {
            return self.empty();
        }
        match decision {
            Decision::Flash(work) => {
                self.work = Some(work);
                self.step = Step::Reserving;
                Effect::Reserve(work.code)
            }
            Decision::CompareOnly => {
                self.step = Step::Comparing;
                Effect::Compare
            }
            Decision::Refuse(code) => self.fail(code),
        }
    }

    fn step_done(&mut self, event: Event) -> Effect {
        let work = self.work;
        match (self.step, event) {
            (Step::Identifying, Event::Identified) => {
                self.step = Step::Deciding;
                Effect::Decide
            }
            (Step::Reserving, Event::Reserved) => {
                self.holds_place = true;
                if self.board_gone {
                    return self.fail(TroubleCode::BoardUnplugged);
                }
                self.step = Step::Programming;
                Effect::Program
            }
            (Step::Programming, Event::Programmed) => {
                if work.is_some_and(|work| work.code != CodeSource::NotActivated) {
                    self.step = Step::CheckingBlock;
                    Effect::CheckBlock
                } else {
                    self.after_block()
                }
            }
            (Step::CheckingBlock, Event::BlockMatched) => self.after_block(),
            (Step::Testing, Event::SelfTested) => self.after_test(),
            (Step::SavingIntent, Event::IntentSaved) => {
                if self.board_gone {
                    return self.fail(TroubleCode::BoardUnplugged);
                }
                self.step = Step::Protecting;
                Effect::Protect
            }
            (Step::Protecting, Event::Protected) => self.save_evidence(Verdict::Pass),
            (Step::Comparing, Event::Compared) => self.save_evidence(Verdict::SeenBefore),
            (Step::SavingEvidence(verdict), Event::EvidenceSaved) => {
                self.holds_place = false;
                self.step = Step::Good(verdict);
                Effect::Release(verdict)
            }
            (Step::SavingFailure(code), Event::FailureSaved) => {
                self.holds_place = false;
                self.step = Step::Bad(code);
                Effect::Reject(code)
            }
            (_, _) => Effect::Ignore,
        }
    }

    fn after_block(&mut self) -> Effect {
        if self.work.is_some_and(|work| work.self_test) {
            self.step = Step::Testing;
            Effect::SelfTest
        } else {
            self.after_test()
        }
    }

    fn after_test(&mut self) -> Effect {
        if self.work.is_some_and(|work| work.protect) {
            self.step = Step::SavingIntent;
            Effect::SaveIntent
        } else {
            self.save_evidence(Verdict::Pass)
        }
    }

    fn save_evidence(&mut self, verdict: Verdict) -> Effect {
        self.step = Step::SavingEvidence(verdict);
        Effect::SaveEvidence(verdict)
    }

    fn fail(&mut self, code: TroubleCode) -> Effect {
        self.step = Step::SavingFailure(code);
        Effect::SaveFailure { code, gives_place_back: self.holds_place }
    }

    fn empty(&mut self) -> Effect {
        *self = Self::new();
        Effect::Watch
    }
}
