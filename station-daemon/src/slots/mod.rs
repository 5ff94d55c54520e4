//! One thread per slot: looks for a board, runs what the visit says, shows the tile.
//!
//! Owns the [`Hand`] of its slot and the visit's state; asks the desk for everything the slots
//! share. Every wait has a deadline; a hung or dead worker ends its own visit and no other. Where
//! the worker says a board is and nothing answers, the tile says so; that is no visit.
//!
//! Promise: after three failures of the same cause in a row that speak of the slot, it takes no
//! further board until a person opens it.

mod claim;
mod loss;
mod sockets;
mod steps;
mod streak;
mod teller;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::api::view::SlotState;
use crate::config::SlotConfig;
use crate::desk::{DeskHandle, Look, Ring, Tile};
use crate::hands::HandConfig;
use crate::teach::SlotPorts;
use crate::trouble::{TroubleCode, chain};
use crate::visit::{Effect, Event, Step, Visit};

use claim::{Claim, Touch};
use loss::{Loss, Said};
use sockets::{Finding, Sockets};
use steps::{Bench, Seat};
use streak::Streak;

/// Pause between two looks into an empty slot.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// Pause between two looks whether the board is gone.
const GONE_PAUSE: Duration = Duration::from_millis(200);
/// Pause while the whole station waits for something.
const WAIT_PAUSE: Duration = Duration::from_millis(500);
/// Looks in a row that must agree before a board counts as seated.
const STEADY_LOOKS: u32 = 2;

/// What a slot's thread is told.
enum Word {
    Stop,
    Ring(Ring),
}

/// A running slot.
pub struct RunningSlot {
    number: u32,
    words: Arc<Sender<Word>>,
    thread: JoinHandle<()>,
}

impl RunningSlot {
    /// Starts the slot's thread.
    ///
    /// # Errors
    /// When the system gives no thread or does not tell where this program lies.
    pub fn start(config: SlotConfig, desk: DeskHandle) -> std::io::Result<Self> {
        let hand = HandConfig::new(config.number, first_port(&config))?;
        Self::start_with(config, desk, hand)
    }

    /// Starts the slot's thread with another program as worker.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start_with(
        config: SlotConfig,
        desk: DeskHandle,
        hand: HandConfig,
    ) -> std::io::Result<Self> {
        let number = config.number;
        let (words, told) = channel();
        let words = Arc::new(words);
        // The desk only borrows the way here: a slot nobody holds any more stops.
        let bell: Weak<Sender<Word>> = Arc::downgrade(&words);
        let bell = Box::new(move |ring| {
            if let Some(words) = bell.upgrade() {
                // A slot that ended answers nobody.
                drop(words.send(Word::Ring(ring)));
            }
        });
        desk.tell(move |desk| desk.hang_bell(number, bell));
        let thread =
            std::thread::Builder::new().name(format!("slot-{number}")).spawn(move || {
                Slot::new(config, desk, hand, told).run();
            })?;
        Ok(Self { number, words, thread })
    }

    /// Asks the slot to stop: at once between visits, otherwise after the running step. What a
    /// step leaves half done is ended at the next start, as after a power cut.
    pub fn stop(&self) {
        // A thread that ended already needs no asking.
        let _ = self.words.send(Word::Stop);
    }

    /// Waits for the thread's end.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!(slot = self.number, "the slot's thread panicked");
        }
    }
}

/// The port a slot's worker begins with; a slot without one starts no worker.
fn first_port(config: &SlotConfig) -> String {
    config.first_port().map(ToString::to_string).unwrap_or_default()
}

/// What a plug is for a moment while it is pushed in: not there, then not ours yet.
fn is_of_the_plug(code: TroubleCode) -> bool {
    matches!(code, TroubleCode::ProbeGone | TroubleCode::ProbeBusy | TroubleCode::PortForbidden)
}

struct Slot {
    desk: DeskHandle,
    bench: Bench,
    visit: Visit,
    streak: Streak,
    told: Receiver<Word>,
    steady: u32,
    /// Looks asked for and not answered yet.
    asked: Vec<Look>,
    claim: Claim,
    /// A lead let the locked board in it be erased.
    again: bool,
    /// The ports it is to have from the next board on.
    ports: Option<Box<SlotPorts>>,
    sockets: Sockets,
    /// Why the slot could not be looked into, since it could not: logged once, shown all the time.
    blind: Option<TroubleCode>,
}

/// Whether the slot goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Go {
    On,
    Stop,
}

impl Slot {
    fn new(
        config: SlotConfig,
        desk: DeskHandle,
        hand_config: HandConfig,
        told: Receiver<Word>,
    ) -> Self {
        Self {
            bench: Bench::new(config, desk.clone(), hand_config),
            desk,
            visit: Visit::new(),
            streak: Streak::default(),
            told,
            steady: 0,
            asked: Vec::new(),
            claim: Claim::default(),
            again: false,
            ports: None,
            sockets: Sockets::default(),
            blind: None,
        }
    }

    fn number(&self) -> u32 {
        self.bench.number()
    }

    fn run(&mut self) {
        let slot = self.number();
        if let Ok(Some(code)) = self.desk.ask(move |desk| desk.closed(slot)) {
            self.streak = Streak::restored(code);
        }
        let mut effect = Effect::Watch;
        loop {
            let next = match effect {
                Effect::Watch => self.watch(),
                Effect::Release(_) | Effect::Reject(_) => self.wait_until_gone(effect),
                Effect::Ignore
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
                | Effect::SaveFailure { .. } => Some(self.bench.perform(effect)),
            };
            let Some(event) = next else { return };
            tracing::debug!(slot = self.number(), ?event, "happened");
            effect = self.visit.on(event);
            self.count(effect);
            if effect == Effect::Ignore && self.visit.step() == Step::Empty {
                effect = Effect::Watch;
            }
            if self.pause(Duration::ZERO) == Go::Stop {
                return;
            }
        }
    }

    /// Keeps the streak of failures and closes the slot when it is over.
    fn count(&mut self, effect: Effect) {
        match effect {
            Effect::Release(_) => self.streak.good(),
            Effect::Reject(code) => self.streak.bad(code),
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
            | Effect::Ignore => {}
        }
    }

    /// Waits for a board; `None` when the slot is to stop.
    fn watch(&mut self) -> Option<Event> {
        let slot = self.number();
        self.desk.tell(move |desk| desk.leave(slot));
        self.steady = 0;
        // A touch from before the visit is not about what lies here now.
        self.asked.clear();
        self.claim.over();
        self.again = false;
        let mut held = true;
        loop {
            if let Some(code) = self.streak.closed()
                && self.close(code) == Go::Stop
            {
                return None;
            }
            if let Some(ports) = self.ports.take() {
                let SlotPorts { config, taught, lists } = *ports;
                self.bench.use_ports(config);
                self.sockets.are(taught, lists);
                self.blind = None;
            }
            if let Some(code) = self.is_not_wired() {
                self.steady = 0;
                self.asked.drain(..).for_each(|look| look.answer(false));
                self.show(Tile::with_trouble(SlotState::Fail, code));
                if self.pause(WAIT_PAUSE) == Go::Stop {
                    return None;
                }
                continue;
            }
            held = held && matches!(self.desk.ask(move |desk| desk.is_held(slot)), Ok(true));
            if held {
                self.asked.drain(..).for_each(|look| look.answer(false));
                self.show(Tile::with_trouble(SlotState::Fail, TroubleCode::RejectWaits));
                if self.pause(GONE_PAUSE) == Go::Stop {
                    return None;
                }
                continue;
            }
            let wanted = self.wants_look();
            let look = self.bench.turn_to_order().and_then(|()| self.bench.look());
            if look.is_ok() {
                self.blind = None;
            }
            self.answer(wanted, look.as_ref().ok().copied());
            let pause = match look {
                Ok(false) => {
                    self.steady = 0;
                    let claimed = self.claim.stands(Instant::now());
                    self.show(if claimed { Tile::unanswered() } else { Tile::empty() });
                    LOOK_PAUSE
                }
                Ok(true) => {
                    self.steady += 1;
                    self.show(Tile::of(SlotState::Contact));
                    if self.steady >= STEADY_LOOKS {
                        match self.bench.take_brief() {
                            Ok(chips) => {
                                self.desk.tell(move |desk| desk.arrive(slot));
                                return Some(Event::BoardSeen { chips });
                            }
                            Err(code) => {
                                self.show(Tile::with_trouble(SlotState::Fail, code));
                                WAIT_PAUSE
                            }
                        }
                    } else {
                        LOOK_PAUSE
                    }
                }
                Err(error) => {
                    let code = TroubleCode::from(&error);
                    self.steady = 0;
                    let again = self.blind.replace(code) == Some(code);
                    if !again {
                        tracing::warn!(slot, code = code.text(), error = %chain(&error), "no look");
                    }
                    if again || !is_of_the_plug(code) {
                        self.show(Tile::with_trouble(SlotState::Fail, code));
                        WAIT_PAUSE
                    } else {
                        LOOK_PAUSE
                    }
                }
            };
            if self.pause(pause) == Go::Stop {
                return None;
            }
        }
    }

    /// Why there is nothing to look into: no port, or a socket that is not as it was taught.
    fn is_not_wired(&mut self) -> Option<TroubleCode> {
        if let Some(Finding { port, found, is_new }) = self.sockets.look() {
            if is_new {
                let slot = self.number();
                self.desk.tell(move |desk| desk.socket_differs(slot, &port, &found));
            }
            return Some(TroubleCode::SocketDiffers);
        }
        (!self.bench.has_port()).then_some(TroubleCode::PortMissing)
    }

    /// Whether the look to come was asked for. A touch that takes the word back asks for none.
    fn wants_look(&mut self) -> bool {
        let now = Instant::now();
        !self.asked.is_empty() && self.claim.touch(now) == Touch::Look
    }

    /// Answers who asked; `found` is what the look saw, `None` when it failed. What the worker
    /// sees and no probe does is shown, and neither a visit nor a failure of the slot.
    fn answer(&mut self, wanted: bool, found: Option<bool>) {
        match found {
            Some(false) if wanted => {
                tracing::info!(slot = self.number(), "a board is said to be here; none answers");
                self.claim.unanswered(Instant::now());
            }
            Some(false) => {}
            Some(true) | None => self.claim.over(),
        }
        for look in self.asked.drain(..) {
            look.answer(found == Some(true));
        }
    }

    /// Shows the end of the visit until the board is out; `None` when the slot is to stop.
    fn wait_until_gone(&mut self, effect: Effect) -> Option<Event> {
        let tile = steps::tile_of_end(effect, self.bench.failed_chip());
        if self.visit.board_gone() {
            return self.wait_for_next(tile);
        }
        self.show(tile);
        let locked = matches!(effect, Effect::Reject(TroubleCode::ChipLocked));
        let mut tells = true;
        loop {
            if self.pause(GONE_PAUSE) == Go::Stop {
                return None;
            }
            if std::mem::take(&mut self.again) && locked {
                // As if it had been taken out and put in again.
                self.visit = Visit::new();
                return Some(Event::BoardGone);
            }
            if let Some(code) = self.streak.closed() {
                return self.closed(code);
            }
            // What lies here is looked at anew, through the new ports.
            if self.ports.is_some() {
                return Some(Event::BoardGone);
            }
            match if tells { self.bench.seat() } else { Seat::Untold } {
                Seat::Taken => {}
                Seat::Free => return Some(Event::BoardGone),
                // A program that runs instead of its loader looks like no board. It stays good
                // until a loader answers: the next board, or this one started anew.
                Seat::Untold => {
                    tells = false;
                    if self.bench.look().unwrap_or(false) {
                        return Some(Event::BoardGone);
                    }
                }
            }
        }
    }

    /// The board left during the visit: the tile says so until the next one is there. One that was
    /// put back and does not answer looks the same: where nothing comes for long, or the worker
    /// touches the tile, it says that nothing answers, until the next touch.
    fn wait_for_next(&mut self, tile: Tile) -> Option<Event> {
        let slot = self.number();
        if matches!(self.desk.ask(move |desk| desk.is_held(slot)), Ok(true)) {
            return Some(Event::BoardGone);
        }
        self.show(Tile { can_look: true, ..tile });
        let mut loss = Loss::begun(Instant::now());
        self.asked.clear();
        loop {
            if self.pause(GONE_PAUSE) == Go::Stop {
                return None;
            }
            if let Some(code) = self.streak.closed() {
                return self.closed(code);
            }
            if self.ports.is_some() {
                return Some(Event::BoardGone);
            }
            let look = self.bench.look();
            let touched = !self.asked.is_empty();
            for asked in self.asked.drain(..) {
                asked.answer(matches!(look, Ok(true)));
            }
            if matches!(look, Ok(true)) {
                self.steady += 1;
                if self.steady >= STEADY_LOOKS
                    && let Ok(chips) = self.bench.take_brief()
                {
                    self.steady = 0;
                    self.desk.tell(move |desk| {
                        desk.leave(slot);
                        desk.arrive(slot);
                    });
                    return Some(Event::BoardSeen { chips });
                }
                continue;
            }
            self.steady = 0;
            if let Some(said) = loss.unanswered(touched, Instant::now()) {
                self.desk.tell(move |desk| desk.leave(slot));
                self.show(match said {
                    Said::NothingAnswers => Tile::unanswered(),
                    Said::NoBoard => Tile::empty(),
                });
            }
        }
    }

    /// Closes the slot after a visit. Opened again, it watches for a board, as if empty: the one
    /// that lies in it is looked at anew.
    fn closed(&mut self, code: TroubleCode) -> Option<Event> {
        if self.close(code) == Go::Stop {
            return None;
        }
        self.visit = Visit::new();
        Some(Event::BoardGone)
    }

    /// A closed slot looks at no board until a person opens it.
    fn close(&mut self, code: TroubleCode) -> Go {
        let slot = self.number();
        tracing::error!(slot, code = code.text(), "slot closed");
        self.desk.tell(move |desk| {
            desk.slot_closed(slot, code);
            desk.show(slot, Tile::with_trouble(SlotState::Closed, code));
        });
        loop {
            match self.told.recv() {
                Ok(Word::Ring(Ring::Look(look))) => look.answer(false),
                Ok(Word::Ring(Ring::Open)) => {
                    self.streak = Streak::default();
                    return Go::On;
                }
                Ok(Word::Ring(Ring::Again)) => {}
                Ok(Word::Ring(Ring::Ports(ports))) => self.ports = Some(ports),
                Ok(Word::Ring(Ring::Check)) => self.sockets.check(),
                Ok(Word::Stop) | Err(_) => return Go::Stop,
            }
        }
    }

    fn show(&self, tile: Tile) {
        self.bench.show(tile);
    }

    /// Waits, less long when a look is asked for.
    fn pause(&mut self, time: Duration) -> Go {
        match self.told.recv_timeout(time) {
            Ok(Word::Stop) | Err(RecvTimeoutError::Disconnected) => Go::Stop,
            Ok(Word::Ring(Ring::Look(look))) => {
                self.asked.push(look);
                Go::On
            }
            Ok(Word::Ring(Ring::Ports(ports))) => {
                self.ports = Some(ports);
                Go::On
            }
            Ok(Word::Ring(Ring::Check)) => {
                self.sockets.check();
                Go::On
            }
            // Only a closed slot can be opened.
            Ok(Word::Ring(Ring::Open)) => Go::On,
            Ok(Word::Ring(Ring::Again)) => {
                self.again = true;
                Go::On
            }
            Err(RecvTimeoutError::Timeout) => Go::On,
        }
    }
}
