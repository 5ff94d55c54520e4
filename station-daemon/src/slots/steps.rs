//! The steps of a visit, done with the hand or asked of the desk.
//!
//! Owns the deadlines of the hand's work and what it gathers for the record. Leaves the order of
//! the steps to the visit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use audit::Step as RecordStep;
use flash::{BackEnd, FlashError, Port};

use super::teller::Teller;
use crate::api::view::SlotState;
use crate::config::SlotConfig;
use crate::desk::{Brief, ChipBrief, Desk, DeskHandle, Evidence, Found, Task, Tile};
use crate::hands::{Answer, Hand, HandConfig, HandError, Job};
use crate::trouble::{TroubleCode, chain};
use crate::visit::{Decision, Effect, Event, Verdict};

/// Longest silence of the worker in a step before it is killed.
const IDENTIFY_SILENCE_MAX: Duration = Duration::from_secs(6);
const READ_SILENCE_MAX: Duration = Duration::from_secs(5);
const PROGRAM_SILENCE_MAX: Duration = Duration::from_secs(10);
const PROTECT_SILENCE_MAX: Duration = Duration::from_secs(10);
/// An erase-all of a large chip is silent as long as it takes.
const UNLOCK_SILENCE_MAX: Duration = Duration::from_secs(30);
const LOOK_SILENCE_MAX: Duration = Duration::from_secs(4);
/// A self-test may be silent for its own time and this much more.
const SELF_TEST_GRACE: Duration = Duration::from_secs(5);
/// How often a fresh contact may fail to identify before it is a trouble.
const IDENTIFY_TRIES: u32 = 3;
/// Time between two questions which chip is to come.
const ORDER_PAUSE: Duration = Duration::from_secs(1);

/// One slot's workplace: the hand, and what this visit has gathered.
pub(super) struct Bench {
    config: SlotConfig,
    desk: DeskHandle,
    hand_config: HandConfig,
    /// At the port of the chip by which units are known; what looks for a board.
    hand: Option<Hand>,
    /// At the ports of a unit's other chips, by their places.
    far: BTreeMap<u8, Hand>,
    brief: Option<Brief>,
    /// What follows is chip by chip, in the order of flashing.
    found: Vec<Found>,
    tasks: Vec<Task>,
    evidence: Vec<Evidence>,
    /// The record that holds the approval to erase.
    approval: Option<String>,
    failed_in: RecordStep,
    failed_at: Option<u8>,
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
            far: BTreeMap::new(),
            brief: None,
            found: Vec::new(),
            tasks: Vec::new(),
            evidence: Vec::new(),
            approval: None,
            failed_in: RecordStep::Contact,
            failed_at: None,
            identified_by: None,
            asked_order: None,
        }
    }

    pub(super) fn number(&self) -> u32 {
        self.config.number
    }

    /// Whether there is a port to look through.
    pub(super) fn has_port(&self) -> bool {
        self.config.first_port().is_some()
    }

    /// From now on the slot is reached through these ports: the workers let the old ones go.
    pub(super) fn use_ports(&mut self, config: SlotConfig) {
        if config == self.config {
            return;
        }
        (self.hand, self.identified_by, self.asked_order) = (None, None, None);
        self.far.clear();
        let port = config.first_port().map(ToString::to_string).unwrap_or_default();
        self.hand_config = HandConfig { port, chip: None, ..self.hand_config.clone() };
        self.config = config;
    }

    pub(super) fn show(&self, tile: Tile) {
        let slot = self.number();
        self.desk.tell(move |desk| desk.show(slot, tile));
    }

    /// Asks what to look for; a new visit begins with it. How many chips the unit has.
    pub(super) fn take_brief(&mut self) -> Result<u8, TroubleCode> {
        let config = self.config.clone();
        let brief = self.desk.ask(move |desk| desk.brief(&config));
        let brief = brief.map_err(|_| TroubleCode::Internal)??;
        let chips = u8::try_from(brief.chips.len()).map_err(|_| TroubleCode::Internal)?;
        self.evidence = vec![Evidence::default(); brief.chips.len()];
        self.brief = Some(brief);
        self.found.clear();
        self.tasks.clear();
        self.approval = None;
        self.failed_at = None;
        self.identified_by = None;
        Ok(chips)
    }

    /// Turns to the port through which the order's chip is flashed, and looks out for that chip. A
    /// slot without a choice asks nobody.
    pub(super) fn turn_to_order(&mut self) -> Result<(), HandError> {
        let is_serial = |port: &Port| port.back_end() == BackEnd::Uart;
        let choice = self.config.all_ports().count() > 1 || self.config.all_ports().any(is_serial);
        let due = self.asked_order.is_none_or(|asked| asked.elapsed() >= ORDER_PAUSE);
        if !choice || !due {
            return Ok(());
        }
        self.asked_order = Some(Instant::now());
        // Without an order, or while the station stops, the port in hand is as good as any.
        let config = self.config.clone();
        let expected = self.desk.ask(move |desk| desk.expected(&config)).ok().flatten();
        let Some((port, chip)) = expected else { return Ok(()) };
        let serial = is_serial(&port);
        self.turn_to(port)?;
        if !serial || self.hand.as_ref().and_then(Hand::expected) == Some(&chip) {
            return Ok(());
        }
        let answer = self.run(&Job::Expect { chip }, LOOK_SILENCE_MAX)?;
        if let Answer::Expecting = answer { Ok(()) } else { Err(unexpected(&answer)) }
    }

    /// Turns to a port.
    fn turn_to(&mut self, port: Port) -> Result<(), HandError> {
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
        let place = place_of(effect);
        let slot = self.number();
        let done = match effect {
            Effect::Identify(place) => self.identify(place).map(|()| Event::Identified),
            Effect::Decide => self.decide().map(Event::Decided),
            Effect::Reserve(source) => {
                let config = self.config.clone();
                self.ask(move |desk| desk.reserve(slot, source, &config)).map(|tasks| {
                    self.tasks = tasks;
                    Event::Reserved
                })
            }
            Effect::SaveUnlock => self.ask(move |desk| desk.save_unlock(slot)).map(|record| {
                self.approval = Some(record);
                Event::UnlockSaved
            }),
            Effect::Unlock(place) => self.unlock(place).map(|()| Event::Unlocked),
            Effect::Program(place) => self.program(place).map(|()| Event::Programmed),
            Effect::CheckBlock(place) => self.check_block(place).map(|()| Event::BlockMatched),
            Effect::SelfTest(place) => self.self_test(place).map(|()| Event::SelfTested),
            Effect::SaveIntent => {
                let evidence = self.evidence.clone();
                self.ask(move |desk| desk.save_intent(slot, &evidence)).map(|()| Event::IntentSaved)
            }
            Effect::Protect(place) => self.protect(place).map(|()| Event::Protected),
            Effect::Compare(place) => self.compare(place).map(|()| Event::Compared),
            Effect::SaveEvidence(verdict) => {
                let evidence = self.evidence.clone();
                self.ask(move |desk| desk.save_evidence(slot, verdict, &evidence))
                    .map(|()| Event::EvidenceSaved)
            }
            Effect::SaveFailure { code, .. } => {
                let (step, chip) = (self.failed_in, self.failed_chip());
                self.ask(move |desk| desk.save_failure(slot, code, step, chip))
                    .map(|()| Event::FailureSaved)
            }
            Effect::Watch | Effect::Release(_) | Effect::Reject(_) | Effect::Ignore => {
                Err(Miss::Trouble(TroubleCode::Internal))
            }
        };
        // A refusal is a failure of the decision, not of a step.
        if let Ok(Event::Decided(Decision::Refuse { chip, .. })) = done {
            (self.failed_in, self.failed_at) = (RecordStep::Decide, chip);
        }
        match done {
            Ok(event) => event,
            Err(miss) => {
                if let Some(step) = record_step(effect) {
                    (self.failed_in, self.failed_at) = (step, place);
                }
                match miss {
                    Miss::BoardGone => Event::BoardGone,
                    Miss::Trouble(code) => Event::Failed(code),
                }
            }
        }
    }

    /// What the recipe calls the chip that failed; nothing where the unit has one.
    pub(super) fn failed_chip(&self) -> Option<String> {
        let place = usize::from(self.failed_at?);
        self.brief.as_ref()?.chips.get(place)?.name.clone()
    }

    fn brief_of(&self, place: u8) -> Result<ChipBrief, Miss> {
        let chip = self.brief.as_ref().and_then(|brief| brief.chips.get(usize::from(place)));
        chip.cloned().ok_or(Miss::Trouble(TroubleCode::Internal))
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

    /// Whether the unit is known by the chip at this place.
    fn is_identity(&self, place: u8) -> bool {
        self.brief.as_ref().is_some_and(|brief| brief.identity == usize::from(place))
    }

    /// Does a job at the port of one of the unit's chips.
    fn run_at(&mut self, place: u8, job: &Job, silence_max: Duration) -> Result<Answer, HandError> {
        if self.is_identity(place) {
            return self.run(job, silence_max);
        }
        let mut teller = Teller::new(self.number(), &self.desk);
        let Some(hand) = self.far.get_mut(&place) else {
            return Err(no_hand(self.config.number));
        };
        hand.run(job, silence_max, &mut |progress| teller.tell(progress))
    }

    /// Puts a hand at the port of a chip, and lets go what it held there before.
    fn reach(&mut self, place: u8, port: Port) -> Result<(), HandError> {
        if self.is_identity(place) {
            return self.turn_to(port);
        }
        if !self.far.contains_key(&place) {
            let config = HandConfig { port: port.to_string(), ..self.hand_config.clone() };
            self.far.insert(place, Hand::spawn(config)?);
        }
        let answer = self.run_at(place, &Job::Take { port }, LOOK_SILENCE_MAX)?;
        if let Answer::Taken = answer { Ok(()) } else { Err(unexpected(&answer)) }
    }

    fn identify(&mut self, place: u8) -> Result<(), Miss> {
        let brief = self.brief_of(place)?;
        // The order may have changed since the board was seen.
        self.reach(place, brief.port).map_err(|error| self.miss(&error))?;
        let job = Job::Identify { chip: brief.chip };
        let mut tries = 1;
        let identity = loop {
            match self.run_at(place, &job, IDENTIFY_SILENCE_MAX) {
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
        if self.is_identity(place) {
            self.identified_by = self.hand.as_ref().map(Hand::starts);
        }
        let block = match brief.block {
            Some((address, bytes)) if !identity.locked => Some(self.read(place, address, bytes)?),
            Some(_) | None => None,
        };
        // After an erase everything is read anew.
        self.found.truncate(usize::from(place));
        self.found.push(Found { identity, block });
        Ok(())
    }

    fn unlock(&mut self, place: u8) -> Result<(), Miss> {
        let chip = self.brief_of(place)?.chip;
        let Some(record) = self.approval.clone() else {
            return Err(Miss::Trouble(TroubleCode::ChipLocked));
        };
        match self.run_at(place, &Job::Unlock { chip, record }, UNLOCK_SILENCE_MAX) {
            Ok(Answer::Unlocked) => Ok(()),
            Ok(other) => Err(self.miss(&unexpected(&other))),
            Err(error) => Err(self.miss(&error)),
        }
    }

    fn read(&mut self, place: u8, address: u64, bytes: u32) -> Result<Vec<u8>, Miss> {
        match self.run_at(place, &Job::Read { address, bytes }, READ_SILENCE_MAX) {
            Ok(Answer::Bytes(bytes)) => Ok(bytes),
            Ok(other) => Err(self.miss(&unexpected(&other))),
            Err(error) => Err(self.miss(&error)),
        }
    }

    fn decide(&mut self) -> Result<Decision, Miss> {
        let (slot, found) = (self.number(), self.found.clone());
        let decision = self.ask(move |desk| desk.decide(slot, &found))?;
        if decision == Decision::CompareOnly {
            let config = self.config.clone();
            self.tasks = self.ask(move |desk| desk.comparison(slot, &config))?;
        }
        Ok(decision)
    }

    fn task(&self, place: u8) -> Result<Task, Miss> {
        let task = self.tasks.get(usize::from(place)).cloned();
        task.ok_or(Miss::Trouble(TroubleCode::Internal))
    }

    /// What was proven of a chip, to add to.
    fn proof(&mut self, place: u8) -> Result<&mut Evidence, Miss> {
        let evidence = self.evidence.get_mut(usize::from(place));
        evidence.ok_or(Miss::Trouble(TroubleCode::Internal))
    }

    fn program(&mut self, place: u8) -> Result<(), Miss> {
        let Task { image, block, self_test } = self.task(place)?;
        // A loader that let the program run answers no read any more: the block comes first.
        let runs_now = self_test.is_none() && block.is_none();
        match self.run_at(place, &Job::Program { image, block }, PROGRAM_SILENCE_MAX) {
            Ok(Answer::Programmed(report)) => {
                tracing::info!(slot = self.number(), place, ?report, "programmed");
                self.proof(place)?.verified = true;
            }
            Ok(other) => return Err(self.miss(&unexpected(&other))),
            Err(error) => return Err(self.miss(&error)),
        }
        if runs_now { self.let_run(place) } else { Ok(()) }
    }

    fn compare(&mut self, place: u8) -> Result<(), Miss> {
        let Task { image, block, .. } = self.task(place)?;
        match self.run_at(place, &Job::Verify { image, block }, PROGRAM_SILENCE_MAX) {
            Ok(Answer::Verified(_)) => self.proof(place)?.verified = true,
            Ok(other) => return Err(self.miss(&unexpected(&other))),
            Err(error) => return Err(self.miss(&error)),
        }
        self.let_run(place)
    }

    /// The unit leaves the slot running what was put on it.
    fn let_run(&mut self, place: u8) -> Result<(), Miss> {
        match self.run_at(place, &Job::Run, READ_SILENCE_MAX) {
            Ok(Answer::Running) => Ok(()),
            Ok(other) => Err(self.miss(&unexpected(&other))),
            Err(error) => Err(self.miss(&error)),
        }
    }

    fn check_block(&mut self, place: u8) -> Result<(), Miss> {
        let Task { block: Some(block), self_test, .. } = self.task(place)? else {
            return Err(Miss::Trouble(TroubleCode::Internal));
        };
        let bytes = u32::try_from(block.bytes.len()).unwrap_or(u32::MAX);
        if self.read(place, block.address, bytes)? != block.bytes {
            return Err(Miss::Trouble(TroubleCode::ReadBackDiffered));
        }
        self.proof(place)?.activated = true;
        if self_test.is_none() { self.let_run(place) } else { Ok(()) }
    }

    fn self_test(&mut self, place: u8) -> Result<(), Miss> {
        let Some(test) = self.task(place)?.self_test else {
            return Err(Miss::Trouble(TroubleCode::Internal));
        };
        let silence_max = Duration::from_millis(test.within_ms) + SELF_TEST_GRACE;
        match self.run_at(place, &Job::SelfTest(test), silence_max) {
            Ok(Answer::SelfTested { line }) => {
                self.proof(place)?.line = Some(line);
                Ok(())
            }
            Ok(other) => Err(self.miss(&unexpected(&other))),
            Err(error) => Err(self.miss(&error)),
        }
    }

    fn protect(&mut self, place: u8) -> Result<(), Miss> {
        match self.run_at(place, &Job::Protect, PROTECT_SILENCE_MAX) {
            Ok(Answer::Protected) => {
                self.proof(place)?.locked = true;
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

/// What the tile says while an effect runs; `None`: what it said before.
fn state_of(effect: Effect) -> Option<SlotState> {
    match effect {
        Effect::Identify(_) | Effect::Decide | Effect::Reserve(_) => Some(SlotState::Reading),
        Effect::SaveUnlock | Effect::Unlock(_) | Effect::Program(_) => Some(SlotState::Flashing),
        Effect::Compare(_) => Some(SlotState::Verifying),
        Effect::CheckBlock(_) => Some(SlotState::Activating),
        Effect::SelfTest(_) => Some(SlotState::Testing),
        Effect::SaveIntent | Effect::Protect(_) | Effect::SaveEvidence(_) => {
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
        Effect::Identify(_) => Some(RecordStep::Identify),
        Effect::Decide => Some(RecordStep::Decide),
        Effect::Reserve(_) => Some(RecordStep::Reserve),
        Effect::Unlock(_) => Some(RecordStep::Unlock),
        Effect::Program(_) => Some(RecordStep::Program),
        Effect::Compare(_) => Some(RecordStep::Verify),
        Effect::CheckBlock(_) => Some(RecordStep::Activate),
        Effect::SelfTest(_) => Some(RecordStep::SelfTest),
        Effect::SaveUnlock | Effect::SaveIntent | Effect::SaveEvidence(_) => {
            Some(RecordStep::Record)
        }
        Effect::Protect(_) => Some(RecordStep::Protect),
        Effect::SaveFailure { .. }
        | Effect::Watch
        | Effect::Release(_)
        | Effect::Reject(_)
        | Effect::Ignore => None,
    }
}

/// The chip that an effect is about, by its place.
const fn place_of(effect: Effect) -> Option<u8> {
    match effect {
        Effect::Identify(place)
        | Effect::Unlock(place)
        | Effect::Program(place)
        | Effect::CheckBlock(place)
        | Effect::SelfTest(place)
        | Effect::Protect(place)
        | Effect::Compare(place) => Some(place),
        Effect::Watch
        | Effect::Decide
        | Effect::SaveUnlock
        | Effect::Reserve(_)
        | Effect::SaveIntent
        | Effect::SaveEvidence(_)
        | Effect::SaveFailure { .. }
        | Effect::Release(_)
        | Effect::Reject(_)
        | Effect::Ignore => None,
    }
}

/// The tile at the end of a visit; `chip` names the one that failed where the unit has several.
pub(super) fn tile_of_end(effect: Effect, chip: Option<String>) -> Tile {
    match effect {
        Effect::Release(Verdict::Pass) => Tile::of(SlotState::Pass),
        Effect::Release(Verdict::SeenBefore) => Tile::of(SlotState::SeenBefore),
        Effect::Reject(code) => Tile { chip, ..Tile::with_trouble(SlotState::Fail, code) },
        Effect::Watch
        | Effect::Identify(_)
        | Effect::Decide
        | Effect::SaveUnlock
        | Effect::Unlock(_)
        | Effect::Reserve(_)
        | Effect::Program(_)
        | Effect::CheckBlock(_)
        | Effect::SelfTest(_)
        | Effect::SaveIntent
        | Effect::Protect(_)
        | Effect::Compare(_)
        | Effect::SaveEvidence(_)
        | Effect::SaveFailure { .. }
        | Effect::Ignore => Tile::with_trouble(SlotState::Fail, TroubleCode::Internal),
    }
}

fn unexpected(answer: &Answer) -> HandError {
    if let Answer::Bytes(bytes) = answer {
        // They may be a credential's.
        let detail = format!("{} bytes read, as an answer to another job", bytes.len());
        return HandError::Garbled { detail };
    }
    HandError::Garbled { detail: format!("an answer to another job: {answer:?}") }
}

fn no_hand(slot: u32) -> HandError {
    HandError::Start { slot, source: std::io::ErrorKind::NotFound.into() }
}
