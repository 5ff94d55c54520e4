//! One unit's visit to one slot: from contact to saved evidence.
//!
//! A unit has one or several chips; a step that touches one names its place in the order of
//! flashing. Every chip is identified before anything is decided, each is flashed and tested before
//! the next, and all locks come after the last test.
//!
//! Owns the order of the steps and the decision to stop. Owns no port, clock or disk: it is told
//! what happened ([`Event`]) and says what to do next ([`Effect`]), so that every order of events
//! can be tried without a board. What the decision itself is lives in [`decide`].
//!
//! Promises: [`Effect::Release`] answers [`Event::EvidenceSaved`] and nothing else, so a worker may
//! pull the board whenever the tile is green; [`Effect::Program`] answers [`Event::Reserved`] and
//! nothing else or the chip before, so no chip is written before the journal says so; a unit passes
//! only if every chip did; a failure gives the place in the portion back, and there is no effect
//! that gives a code back; a locked chip is erased only after [`Event::UnlockSaved`].

mod chips;
mod decide;
#[cfg(test)]
mod exhaustive;

pub use chips::{CHIPS_MAX, ChipSet};
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
    BoardSeen {
        /// How many chips the release has for it.
        chips: u8,
    },
    /// Family, part, UID and activation block of the chip were read.
    Identified,
    /// The decision about this unit.
    Decided(Decision),
    /// The use of the approval and the intent to erase are journalled and on disk.
    UnlockSaved,
    /// The locked chip was erased whole and is open.
    Unlocked,
    /// Place, code and the intent to write are journalled and on disk.
    Reserved,
    /// Every byte of the chip is written and read back the same.
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
    /// Read who the chip at this place is and what lies where its activation block belongs.
    Identify(u8),
    /// Ask for the decision about this unit.
    Decide,
    /// Journal that the approval is used and that locked chips are about to be erased, sync.
    SaveUnlock,
    /// Erase this locked chip whole.
    Unlock(u8),
    /// Take a place and a code, journal them with the intent to write, sync.
    Reserve(CodeSource),
    /// Write everything onto this chip and read it back.
    Program(u8),
    /// Read this chip's activation block back.
    CheckBlock(u8),
    /// Let this chip's firmware run and listen.
    SelfTest(u8),
    /// Save evidence so far and the intent to lock.
    SaveIntent,
    /// Lock this chip and see it confirmed.
    Protect(u8),
    /// Compare this chip without writing.
    Compare(u8),
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
    /// This chip is asked who it is.
    Identifying(u8),
    /// The decision is awaited.
    Deciding,
    /// The intent to erase is being saved.
    SavingUnlock,
    /// This chip is being erased whole.
    Unlocking(u8),
    /// Place and code are being journalled.
    Reserving,
    /// Bytes go onto this chip and are read back.
    Programming(u8),
    /// This chip's block is being compared.
    CheckingBlock(u8),
    /// This chip's line is awaited.
    Testing(u8),
    /// The intent to lock is being saved.
    SavingIntent,
    /// This chip is being locked.
    Protecting(u8),
    /// This chip is being compared without writing.
    Comparing(u8),
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
    /// How many chips the unit has.
    chips: u8,
    /// Those that are to be erased on the approval.
    locked: ChipSet,
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
        Self {
            step: Step::Empty,
            chips: 0,
            locked: ChipSet::NONE,
            work: None,
            holds_place: false,
            board_gone: false,
        }
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
            Event::BoardSeen { chips } => self.board_seen(chips),
            Event::BoardGone => self.board_left(),
            Event::Failed(code) => self.step_failed(code),
            Event::Decided(decision) => self.decided(decision),
            Event::Identified
            | Event::UnlockSaved
            | Event::Unlocked
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

    fn board_seen(&mut self, chips: u8) -> Effect {
        let free = match self.step {
            Step::Empty => true,
            // The unit that failed was taken out; this is the next one, or the same one re-seated.
            Step::Bad(_) => self.board_gone,
            Step::Identifying(_)
            | Step::Deciding
            | Step::SavingUnlock
            | Step::Unlocking(_)
            | Step::Reserving
            | Step::Programming(_)
            | Step::CheckingBlock(_)
            | Step::Testing(_)
            | Step::SavingIntent
            | Step::Protecting(_)
            | Step::Comparing(_)
            | Step::SavingEvidence(_)
            | Step::SavingFailure(_)
            | Step::Good(_) => false,
        };
        if !free || !(1..=CHIPS_MAX).contains(&chips) {
            return Effect::Ignore;
        }
        *self = Self { step: Step::Identifying(0), chips, ..Self::new() };
        Effect::Identify(0)
    }

    fn board_left(&mut self) -> Effect {
        match self.step {
            Step::Empty => Effect::Ignore,
            // Nothing was promised and nothing written yet.
            Step::Identifying(_) | Step::Good(_) => self.empty(),
            Step::Bad(_) if self.board_gone => Effect::Ignore,
            Step::Bad(_) => self.empty(),
            Step::Unlocking(_)
            | Step::Programming(_)
            | Step::CheckingBlock(_)
            | Step::Testing(_)
            | Step::Protecting(_)
            | Step::Comparing(_) => {
                self.board_gone = true;
                self.fail(TroubleCode::BoardUnplugged)
            }
            // The disk is busy with this visit; its answer comes first.
            Step::Deciding
            | Step::SavingUnlock
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
            Step::Identifying(_)
            | Step::Deciding
            | Step::SavingUnlock
            | Step::Unlocking(_)
            | Step::Reserving
            | Step::Programming(_)
            | Step::CheckingBlock(_)
            | Step::Testing(_)
            | Step::SavingIntent
            | Step::Protecting(_)
            | Step::Comparing(_)
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
        let own = ChipSet::all(self.chips);
        match decision {
            Decision::Flash(work) if work.fits(own) => {
                self.work = Some(work);
                self.step = Step::Reserving;
                Effect::Reserve(work.code)
            }
            Decision::Unlock(locked) if !locked.is_empty() && locked.is_within(own) => {
                self.locked = locked;
                self.step = Step::SavingUnlock;
                Effect::SaveUnlock
            }
            // A decision about chips that this unit has not.
            Decision::Flash(_) | Decision::Unlock(_) => self.fail(TroubleCode::Internal),
            Decision::CompareOnly => {
                self.step = Step::Comparing(0);
                Effect::Compare(0)
            }
            Decision::Refuse { code, .. } => self.fail(code),
        }
    }

    fn step_done(&mut self, event: Event) -> Effect {
        match (self.step, event) {
            (Step::Identifying(place), Event::Identified) => {
                if place + 1 < self.chips {
                    self.identify(place + 1)
                } else {
                    self.step = Step::Deciding;
                    Effect::Decide
                }
            }
            (Step::SavingUnlock, Event::UnlockSaved) => {
                if self.board_gone {
                    return self.fail(TroubleCode::BoardUnplugged);
                }
                self.unlock(0)
            }
            (Step::Unlocking(place), Event::Unlocked) => self.unlock(place + 1),
            (Step::Reserving, Event::Reserved) => {
                self.holds_place = true;
                if self.board_gone {
                    return self.fail(TroubleCode::BoardUnplugged);
                }
                self.program(0)
            }
            (Step::Programming(place), Event::Programmed) => {
                if self.work.is_some_and(|work| work.block == Some(place)) {
                    self.step = Step::CheckingBlock(place);
                    Effect::CheckBlock(place)
                } else {
                    self.after_block(place)
                }
            }
            (Step::CheckingBlock(place), Event::BlockMatched) => self.after_block(place),
            (Step::Testing(place), Event::SelfTested) => self.program(place + 1),
            (Step::SavingIntent, Event::IntentSaved) => {
                if self.board_gone {
                    return self.fail(TroubleCode::BoardUnplugged);
                }
                self.protect(0)
            }
            (Step::Protecting(place), Event::Protected) => self.protect(place + 1),
            (Step::Comparing(place), Event::Compared) => {
                if place + 1 < self.chips {
                    self.step = Step::Comparing(place + 1);
                    Effect::Compare(place + 1)
                } else {
                    self.save_evidence(Verdict::SeenBefore)
                }
            }
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

    fn identify(&mut self, place: u8) -> Effect {
        self.step = Step::Identifying(place);
        Effect::Identify(place)
    }

    /// Erases the next locked chip from `place` on; after the last one everything is read anew.
    fn unlock(&mut self, place: u8) -> Effect {
        match self.locked.from(place) {
            Some(place) => {
                self.step = Step::Unlocking(place);
                Effect::Unlock(place)
            }
            None => {
                self.locked = ChipSet::NONE;
                self.identify(0)
            }
        }
    }

    /// Flashes the chip at `place`; after the last one the locks follow.
    fn program(&mut self, place: u8) -> Effect {
        if place < self.chips {
            self.step = Step::Programming(place);
            return Effect::Program(place);
        }
        if self.work.is_some_and(|work| !work.protect.is_empty()) {
            self.step = Step::SavingIntent;
            Effect::SaveIntent
        } else {
            self.save_evidence(Verdict::Pass)
        }
    }

    fn after_block(&mut self, place: u8) -> Effect {
        if self.work.is_some_and(|work| work.self_test.holds(place)) {
            self.step = Step::Testing(place);
            Effect::SelfTest(place)
        } else {
            self.program(place + 1)
        }
    }

    /// Locks the next chip from `place` on that is to be locked.
    fn protect(&mut self, place: u8) -> Effect {
        match self.work.and_then(|work| work.protect.from(place)) {
            Some(place) => {
                self.step = Step::Protecting(place);
                Effect::Protect(place)
            }
            None => self.save_evidence(Verdict::Pass),
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
