//! The steps of a visit, done with the hand or asked of the desk.
//!
//! Owns the deadlines of the hand's work and what it gathers for the record. Leaves the order of
//! the steps to the visit.

use std::time::{Duration, Instant};

use audit::Step as RecordStep;
use flash::{Chip, FlashError, Progress, Step};

use crate::api::view::SlotState;
use crate::config::SlotConfig;
use crate::desk::{Brief, Desk, DeskHandle, Evidence, Found, Task, Tile};
use crate::hands::{Answer, Hand, HandConfig, HandError, Job};
use crate::trouble::{TroubleCode, chain};
use crate::visit::{Decision, Effect, Event, Verdict};

/// Longest silence of the worker in a step before it is killed.
const IDENTIFY_SILENCE_MAX: Duration = Duration::from_secs(6);
const READ_SILENCE_MAX: Duration = Duration::from_secs(5);
const PROGRAM_SILENCE_MAX: Duration = Duration::from_secs(10);
const PROTECT_SILENCE_MAX: Duration = Duration::from_secs(10);
const LOOK_SILENCE_MAX: Duration = Duration::from_secs(4);
/// A self-test may be silent for its own time and this much more.
const SELF_TEST_GRACE: Duration = Duration::from_secs(5);
/// How often a fresh contact may fail to identify before it is a trouble.
const IDENTIFY_TRIES: u32 = 3;
/// Time between two questions which chip is to come.
const ORDER_PAUSE: Duration = Duration::from_secs(1);
/// Shortest time between two progress tiles.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);

/// One slot's workplace: the hand, and what this visit has gathered.
pub(super) struct Bench {
    config: SlotConfig,
    desk: DeskHandle,
    hand_config: HandConfig,
    hand: Option<Hand>,
    brief: Option<Brief>,
    found: Option<Found>,
    task: Option<Task>,
    evidence: Evidence,
    failed_in: RecordStep,
    /// Workers started when this visit's chip was identified: a later one knows nothing of it.
    identified_by: Option<u32>,
    /// When it was last asked which chip is to come.
    asked_order: Option<Instant>,
}

/// Whether the board of a visit is where it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seat {
    /// It is, as far as anybody can tell.
    Taken,
    /// It is out.
    Free,
    /// There is no way to tell: its program runs, and only its loader would answer here.
    Untold,
}

/// A step that did not succeed.
enum Miss {
    Trouble(TroubleCode),
    BoardGone,
}

impl Bench {
    pub(super) fn new(config: SlotConfig, desk: DeskHandle, hand_config: HandConfig) -> Self {
        Self {
            config,
            desk,
            hand_config,
            hand: None,
            brief: None,
            found: None,
            task: None,
            evidence: Evidence::default(),
            failed_in: RecordStep::Contact,
            identified_by: None,
            asked_order: None,
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.config.number
    }

    pub(super) fn show(&self, tile: Tile) {
        let slot = self.number();
        self.desk.tell(move |desk| desk.show(slot, tile));
    }

    /// Asks what to look for; a new visit begins with it.
    pub(super) fn take_brief(&mut self) -> Result<(), TroubleCode> {
        let config = self.config.clone();
        let brief = self.desk.ask(move |desk| desk.brief(&config));
        let brief = brief.map_err(|_| TroubleCode::Internal)??;
        self.brief = Some(brief);
        self.found = None;
        self.task = None;
        self.evidence = Evidence::default();
        self.identified_by = None;
        Ok(())
    }

    /// Turns to the port through which the order's chip is flashed. A slot without a choice asks
    /// nobody.
    pub(super) fn turn_to_order(&mut self) -> Result<(), HandError> {
        let due = self.asked_order.is_none_or(|asked| asked.elapsed() >= ORDER_PAUSE);
        if self.config.ports.len() < 2 || !due {
            return Ok(());
        }
        self.asked_order = Some(Instant::now());
        // Without an order, or while the station stops, the port in hand is as good as any.
        let chip = self.desk.ask(|desk| desk.expected_chip()).ok().flatten();
        match chip.as_deref().and_then(flash::chip) {
            Some(chip) => self.turn_to(chip),
            None => Ok(()),
        }
    }

    /// Turns to the port through which `chip` is flashed; stays where it is if there is none.
    fn turn_to(&mut self, chip: &'static Chip) -> Result<(), HandError> {
        let Some(port) = self.config.port_for(chip, None).cloned() else { return Ok(()) };
        if self.hand.as_ref().is_some_and(|hand| hand.port() == port.to_string()) {
            return Ok(());
        }
        let answer = self.run(&Job::Take { port }, LOOK_SILENCE_MAX)?;
        if let Answer::Taken = answer { Ok(()) } else { Err(unexpected(&answer)) }
    }

    /// Whether something makes contact.
    pub(super) fn look(&mut self) -> Result<bool, HandError> {
        let answer = self.run(&Job::Contact, LOOK_SILENCE_MAX)?;
        if let Answer::Contact { board } = answer { Ok(board) } else { Err(unexpected(&answer)) }
    }

    /// Whether the board of this visit is out. A worker that cannot tell says no.
    pub(super) fn board_gone(&mut self) -> bool {
        self.seat() == Seat::Free
    }

    /// Whether the board of this visit is in its seat.
    pub(super) fn seat(&mut self) -> Seat {
        let starts = self.hand.as_ref().map(Hand::starts);
        let gone = if self.identified_by.is_some() && self.identified_by == starts {
            match self.run(&Job::Absent, LOOK_SILENCE_MAX) {
                Ok(Answer::Absent { gone }) => Ok(gone),
                Ok(other) => Err(unexpected(&other)),
                Err(error) => Err(error),
            }
        } else {
            self.look().map(|board| !board)
        };
        match gone {
            Ok(true) => Seat::Free,
            Ok(false) => Seat::Taken,
            Err(HandError::Flash(FlashError::Unsupported { .. })) => Seat::Untold,
            Err(error) => {
                tracing::debug!(slot = self.number(), error = %chain(&error), "cannot tell");
                Seat::Taken
            }
        }
    }

    /// Does what an effect says, and tells what happened.
    pub(super) fn perform(&mut self, effect: Effect) -> Event {
        if let Some(state) = state_of(effect) {
            self.show(Tile::of(state));
        }
        let slot = self.number();
        let done = match effect {
            Effect::Identify => self.identify().map(|()| Event::Identified),
            Effect::Decide => self.decide().map(Event::Decided),
            Effect::Reserve(source) => {
                let config = self.config.clone();
                self.ask(move |desk| desk.reserve(slot, source, &config)).map(|task| {
                    self.task = Some(task);
                    Event::Reserved
                })
            }
            Effect::Program => self.program().map(|()| Event::Programmed),
            Effect::CheckBlock => self.check_block().map(|()| Event::BlockMatched),
            Effect::SelfTest => self.self_test().map(|()| Event::SelfTested),
            Effect::SaveIntent => {
                let evidence = self.evidence.clone();
                self.ask(move |desk| desk.save_intent(slot, &evidence)).map(|()| Event::IntentSaved)
            }
            Effect::Protect => self.protect().map(|()| Event::Protected),
            Effect::Compare => self.compare().map(|()| Event::Compared),
            Effect::SaveEvidence(verdict) => {
                let evidence = self.evidence.clone();
                self.ask(move |desk| desk.save_evidence(slot, verdict, &evidence))
                    .map(|()| Event::EvidenceSaved)
            }
            Effect::SaveFailure { code, .. } => {
                let step = self.failed_in;
                self.ask(move |desk| desk.save_failure(slot, code, step))
                    .map(|()| Event::FailureSaved)
            }
            Effect::Watch | Effect::Release(_) | Effect::Reject(_) | Effect::Ignore => {
                Err(Miss::Trouble(TroubleCode::Internal))
            }
        };
        // A refusal is a failure of the decision, not of a step.
        if matches!(done, Ok(Event::Decided(Decision::Refuse(_)))) {
            self.failed_in = RecordStep::Decide;
        }
        match done {
            Ok(event) => event,
            Err(miss) => {
                if let Some(step) = record_step(effect) {
                    self.failed_in = step;
                }
                match miss {
                    Miss::BoardGone => Event::BoardGone,
                    Miss::Trouble(code) => Event::Failed(code),
                }
            }
        }
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> Result<T, TroubleCode> + Send + 'static,
    ) -> Result<T, Miss> {
        match self.desk.ask(work) {
            Ok(answer) => answer.map_err(Miss::Trouble),
            Err(_) => Err(Miss::Trouble(TroubleCode::Internal)),
        }
    }

    fn run(&mut self, job: &Job, silence_max: Duration) -> Result<Answer, HandError> {
        let teller = Teller::new(self.number(), &self.desk);
        if self.hand.is_none() {
            self.hand = Some(Hand::spawn(self.hand_config.clone())?);
        }
        let Some(hand) = &mut self.hand else { return Err(no_hand(self.config.number)) };
        let mut teller = teller;
        hand.run(job, silence_max, &mut |progress| teller.tell(progress))
    }

    fn identify(&mut self) -> Result<(), Miss> {
        let Some(brief) = self.brief.clone() else {
            return Err(Miss::Trouble(TroubleCode::Internal));
        };
        // The order may have changed since the board was seen.
        if let Some(chip) = flash::chip(&brief.chip) {
            self.turn_to(chip).map_err(|error| self.miss(&error))?;
        }
        let job = Job::Identify { chip: brief.chip };
        let mut tries = 1;
        let identity = loop {
            match self.run(&job, IDENTIFY_SILENCE_MAX) {
                Ok(Answer::Identity(identity)) => break identity,
                Ok(other) => return Err(self.miss(&unexpected(&other))),
                Err(error) => {
                    let code = TroubleCode::from(&error);
                    let again = matches!(
                        code,
                        TroubleCode::NoContact | TroubleCode::ContactLost | TroubleCode::ProbeGone
                    );
                    if !again || tries >= IDENTIFY_TRIES {
                        return Err(self.miss(&error));
                    }
                    tries += 1;
                    if !self.look().unwrap_or(true) {
                        return Err(Miss::BoardGone);
                    }
                }
            }
        };
        self.identified_by = self.hand.as_ref().map(Hand::starts);
        let block = match brief.block {
            Some((address, bytes)) if !identity.locked => Some(self.read(address, bytes)?),
            Some(_) | None => None,
        };
        self.found = Some(Found { identity, block });
        Ok(())
    }

    fn read(&mut self, address: u64, bytes: u32) -> Result<Vec<u8>, Miss> {
        match self.run(&Job::Read { address, bytes }, READ_SILENCE_MAX) {
            Ok(Answer::Bytes(bytes)) => Ok(bytes),
            Ok(other) => Err(self.miss(&unexpected(&other))),
            Err(error) => Err(self.miss(&error)),
        }
    }

    fn decide(&mut self) -> Result<Decision, Miss> {
        let Some(found) = self.found.clone() else {
            return Err(Miss::Trouble(TroubleCode::Internal));
        };
        let slot = self.number();
        let decision = self.ask(move |desk| desk.decide(slot, found))?;
        if decision == Decision::CompareOnly {
            let config = self.config.clone();
            self.task = Some(self.ask(move |desk| desk.comparison(slot, &config))?);
        }
        Ok(decision)
    }

    fn task(&self) -> Result<Task, Miss> {
        self.task.clone().ok_or(Miss::Trouble(TroubleCode::Internal))
    }

    fn program(&mut self) -> Result<(), Miss> {
        let Task { image, block, self_test } = self.task()?;
        match self.run(&Job::Program { image, block }, PROGRAM_SILENCE_MAX) {
            Ok(Answer::Programmed(report)) => {
                tracing::info!(slot = self.number(), ?report, "programmed");
                self.evidence.verified = true;
            }
            Ok(other) => return Err(self.miss(&unexpected(&other))),
            Err(error) => return Err(self.miss(&error)),
        }
        if self_test.is_none() { self.let_run() } else { Ok(()) }
    }

    fn compare(&mut self) -> Result<(), Miss> {
        let Task { image, block, .. } = self.task()?;
        match self.run(&Job::Verify { image, block }, PROGRAM_SILENCE_MAX) {
            Ok(Answer::Verified(_)) => self.evidence.verified = true,
            Ok(other) => return Err(self.miss(&unexpected(&other))),
            Err(error) => return Err(self.miss(&error)),
        }
        self.let_run()
    }

    /// The unit leaves the slot running what was put on it.
    fn let_run(&mut self) -> Result<(), Miss> {
        match self.run(&Job::Run, READ_SILENCE_MAX) {
            Ok(Answer::Running) => Ok(()),
            Ok(other) => Err(self.miss(&unexpected(&other))),
            Err(error) => Err(self.miss(&error)),
        }
    }

    fn check_block(&mut self) -> Result<(), Miss> {
        let Some(block) = self.task()?.block else {
            return Err(Miss::Trouble(TroubleCode::Internal));
        };
        let bytes = u32::try_from(block.bytes.len()).unwrap_or(u32::MAX);
        if self.read(block.address, bytes)? == block.bytes {
            self.evidence.activated = true;
            Ok(())
        } else {
            Err(Miss::Trouble(TroubleCode::ReadBackDiffered))
        }
    }

    fn self_test(&mut self) -> Result<(), Miss> {
        let Some(test) = self.task()?.self_test else {
            return Err(Miss::Trouble(TroubleCode::Internal));
        };
        let silence_max = Duration::from_millis(test.within_ms) + SELF_TEST_GRACE;
        match self.run(&Job::SelfTest(test), silence_max) {
            Ok(Answer::SelfTested { line }) => {
                self.evidence.line = Some(line);
                Ok(())
            }
            Ok(other) => Err(self.miss(&unexpected(&other))),
            Err(error) => Err(self.miss(&error)),
        }
    }

    fn protect(&mut self) -> Result<(), Miss> {
        match self.run(&Job::Protect, PROTECT_SILENCE_MAX) {
            Ok(Answer::Protected) => {
                self.evidence.locked = true;
                Ok(())
            }
            Ok(other) => Err(self.miss(&unexpected(&other))),
            Err(error) => Err(self.miss(&error)),
        }
    }

    /// Logs a failure, and finds out whether it is only that the board was taken out.
    fn miss(&mut self, error: &HandError) -> Miss {
        let code = TroubleCode::from(error);
        tracing::warn!(slot = self.number(), code = code.text(), error = %chain(error), "no success");
        // A fresh worker, or one that cannot work at all, has no word on this board.
        let knows = !matches!(
            code,
            TroubleCode::DriverHung | TroubleCode::WorkerCrashed | TroubleCode::Internal
        );
        let board_is_out = knows && self.board_gone();
        if board_is_out { Miss::BoardGone } else { Miss::Trouble(code) }
    }
}

/// Turns the worker's progress into tiles, not more than a screen can use.
struct Teller {
    slot: u32,
    desk: DeskHandle,
    step: Option<Step>,
    begun: Instant,
    told: Option<Instant>,
}

impl Teller {
    fn new(slot: u32, desk: &DeskHandle) -> Self {
        Self { slot, desk: desk.clone(), step: None, begun: Instant::now(), told: None }
    }

    fn tell(&mut self, progress: Progress) {
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

/// What the tile says while an effect runs; `None`: what it said before.
fn state_of(effect: Effect) -> Option<SlotState> {
    match effect {
        Effect::Identify | Effect::Decide | Effect::Reserve(_) => Some(SlotState::Reading),
        Effect::Program => Some(SlotState::Flashing),
        Effect::Compare => Some(SlotState::Verifying),
        Effect::CheckBlock => Some(SlotState::Activating),
        Effect::SelfTest => Some(SlotState::Testing),
        Effect::SaveIntent | Effect::Protect | Effect::SaveEvidence(_) => {
            Some(SlotState::Recording)
        }
        Effect::SaveFailure { .. }
        | Effect::Watch
        | Effect::Release(_)
        | Effect::Reject(_)
        | Effect::Ignore => None,
    }
}

/// The step a failed effect is recorded under; `None`: the one that failed before.
fn record_step(effect: Effect) -> Option<RecordStep> {
    match effect {
        Effect::Identify => Some(RecordStep::Identify),
        Effect::Decide => Some(RecordStep::Decide),
        Effect::Reserve(_) => Some(RecordStep::Reserve),
        Effect::Program => Some(RecordStep::Program),
        Effect::Compare => Some(RecordStep::Verify),
        Effect::CheckBlock => Some(RecordStep::Activate),
        Effect::SelfTest => Some(RecordStep::SelfTest),
        Effect::SaveIntent | Effect::SaveEvidence(_) => Some(RecordStep::Record),
        Effect::Protect => Some(RecordStep::Protect),
        Effect::SaveFailure { .. }
        | Effect::Watch
        | Effect::Release(_)
        | Effect::Reject(_)
        | Effect::Ignore => None,
    }
}

/// The tile at the end of a visit.
pub(super) fn tile_of_end(effect: Effect) -> Tile {
    match effect {
        Effect::Release(Verdict::Pass) => Tile::of(SlotState::Pass),
        Effect::Release(Verdict::SeenBefore) => Tile::of(SlotState::SeenBefore),
        Effect::Reject(code) => Tile::with_trouble(SlotState::Fail, code),
        Effect::Watch
        | Effect::Identify
        | Effect::Decide
        | Effect::Reserve(_)
        | Effect::Program
        | Effect::CheckBlock
        | Effect::SelfTest
        | Effect::SaveIntent
        | Effect::Protect
        | Effect::Compare
        | Effect::SaveEvidence(_)
        | Effect::SaveFailure { .. }
        | Effect::Ignore => Tile::with_trouble(SlotState::Fail, TroubleCode::Internal),
    }
}

fn unexpected(answer: &Answer) -> HandError {
    HandError::Garbled { detail: format!("an answer to another job: {answer:?}") }
}

fn no_hand(slot: u32) -> HandError {
    HandError::Start { slot, source: std::io::ErrorKind::NotFound.into() }
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
