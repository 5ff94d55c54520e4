//! The desk: one thread that owns everything the slots share.
//!
//! Owns the store, the journal, the shelf, the clock, the chosen order, who is in which slot, and
//! the view. Slots, postman and API hand it work ([`DeskHandle::ask`]) and wait for the answer, so
//! that two slots can never take the same place, code or index. Owns no board and no socket.
//!
//! Promise: whatever an answer says was recorded is on the disk when it leaves here.

mod approvals;
mod blocks;
mod closures;
mod credentials;
mod custody;
mod dispositions;
mod endings;
mod evidence;
mod facts;
mod handover;
mod hub;
mod looks;
mod orders;
mod pace;
mod people;
mod places;
mod ports;
mod quarantine;
mod rejects;
mod retention;
mod scans;
mod show;
mod stick;
mod teach;
mod units;
mod visits;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use audit::Event;
use protocol::KeyProtection;
use release::Digest;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{oneshot, watch};

use crate::api::view::{HubState, StationView};
use crate::clock::{Clock, Reading, SavedTime};
use crate::enrolment::Membership;
use crate::journal::{Journal, JournalError};
use crate::keys::{KeyError, StationKeys, StationSecret};
use crate::shelf::Shelf;
use crate::store::{Commit, Store, StoreError};
use crate::trouble::{Trouble, TroubleCode, chain};
use crate::witness::Witness;

pub use approvals::NotApproved;
pub use closures::Opened;
pub use dispositions::NotDisposed;
pub use evidence::Evidence;
pub use hub::HubDesk;
pub use looks::{Bell, LOOK_ANSWER_MAX, Look, Ring};
pub(crate) use people::HUB_HEARD;
pub use people::PersonRefusal;
pub(crate) use quarantine::sent;
pub use show::{Tile, halted_view};
pub use stick::{Incoming, NoStick, Outgoing};
pub use visits::{Brief, ChipBrief, Found, Task};

/// Requests that may wait; with this many slots and one postman it is never reached.
const QUEUE: usize = 256;
/// How often the desk looks at the time by itself: lease end, ages on the view.
const TICK: Duration = Duration::from_secs(1);
/// Setting that holds the saved time.
pub(crate) const CLOCK: &str = "clock";

type Work = Box<dyn FnOnce(&mut Desk) + Send>;

/// A way to the desk, for any thread.
#[derive(Clone)]
pub struct DeskHandle {
    work: SyncSender<Work>,
}

/// The desk's running thread.
pub struct DeskThread {
    thread: std::thread::JoinHandle<()>,
    ended: oneshot::Receiver<()>,
}

impl DeskThread {
    /// Done when the thread has ended, in order or not.
    pub async fn ended(&mut self) {
        // Nobody sends: the sender is dropped, which is the word.
        let _ = (&mut self.ended).await;
    }

    /// Waits for the end; whether it was in order.
    #[must_use]
    pub fn join(self) -> bool {
        self.thread.join().is_ok()
    }
}

/// The desk's thread ended; the daemon ends with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the station's desk is closed")]
pub struct DeskClosed;

impl DeskHandle {
    /// Has the desk do `work` and waits for what it says. Blocks; not for async code.
    ///
    /// # Errors
    /// [`DeskClosed`] while the daemon ends.
    pub fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> T + Send + 'static,
    ) -> Result<T, DeskClosed> {
        let (reply, answer) = sync_channel(1);
        let work: Work = Box::new(move |desk| {
            // Nobody waits any more: the answer is of no use.
            drop(reply.send(work(desk)));
        });
        self.work.send(work).map_err(|_| DeskClosed)?;
        answer.recv().map_err(|_| DeskClosed)
    }

    /// Has the desk do `work` without waiting.
    pub fn tell(&self, work: impl FnOnce(&mut Desk) + Send + 'static) {
        // A closed desk has nothing left to show.
        drop(self.work.send(Box::new(work)));
    }
}

/// What only an enrolled station has.
struct Enrolled {
    membership: Membership,
    keys: StationKeys,
    journal: Journal,
    shelf: Shelf,
}

/// The desk.
pub struct Desk {
    store: Store,
    /// What guards the station's keys: told to the hub.
    key_protection: KeyProtection,
    random: SystemRandom,
    clock: Clock,
    clocks: Clocks,
    enrolled: Option<Enrolled>,
    card_line: String,
    language: Option<String>,
    chosen: Option<String>,
    approvals: approvals::Approvals,
    staff: people::Staff,
    /// Chips of the last orders that wait for a lead's approval, by slot.
    unproven: BTreeMap<u32, (String, flash::BackEnd)>,
    closed_orders: BTreeSet<String>,
    visits: BTreeMap<u32, visits::OpenVisit>,
    tiles: BTreeMap<u32, show::Shown>,
    bells: BTreeMap<u32, Bell>,
    closed: BTreeMap<u32, TroubleCode>,
    hub: HubState,
    hub_trouble: Option<TroubleCode>,
    /// Stops reserving: the store cannot be trusted or written.
    halted: Option<Trouble>,
    /// The journal is not the one that was seen before: nothing is reserved.
    quarantined: Option<quarantine::Quarantine>,
    /// The epoch in which the hub holds another history.
    parted: Option<u32>,
    witness: Witness,
    /// Earlier epochs that a hub which was set back is to be offered again.
    offered_again: BTreeSet<u32>,
    retention: retention::Retention,
    rejects: rejects::Rejects,
    pace: pace::Pace,
    sound_level: u32,
    scans: scans::Scans,
    /// The hub has not said that it is recovering since it was last connected to.
    hub_was_whole: bool,
    nudge: Option<sync::Nudge>,
    time_nonce: Option<String>,
    /// The database's log may still hold keys that were erased.
    traces: bool,
    waiting_bytes: Option<hub::WaitingBytes>,
    closing: bool,
    view: watch::Sender<Arc<StationView>>,
}

/// Says what the machine's clocks show now.
pub type Clocks = Box<dyn Fn() -> Reading + Send>;

/// What the desk needs to begin.
pub struct DeskSetup {
    /// The open store.
    pub store: Store,
    /// The station secret.
    pub secret: StationSecret,
    /// Line shown before the hub said one.
    pub line: String,
    /// Language hint for the page.
    pub language: Option<String>,
    /// Slot numbers, for the view.
    pub slots: Vec<u32>,
    /// The machine's clocks; [`crate::platform::reading`] but in tests.
    pub clocks: Clocks,
}

/// Why the desk does not open.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The store.
    #[error("opening the station's records")]
    Store(#[from] StoreError),
    /// The keys.
    #[error("opening the station's keys")]
    Keys(#[from] KeyError),
    /// The journal.
    #[error("opening the journal")]
    Journal(#[from] JournalError),
    /// The pinned root.
    #[error("opening the pinned root")]
    Root(#[source] release::TrustError),
}

impl Desk {
    /// Opens everything and ends what a power cut left open.
    ///
    /// # Errors
    /// [`DeskError`]; the caller shows it as a trouble.
    pub fn open(setup: DeskSetup) -> Result<(Self, watch::Receiver<Arc<StationView>>), DeskError> {
        let DeskSetup { mut store, secret, line, language, slots, clocks } = setup;
        let begun = Instant::now();
        let key_protection = secret.protection();
        let witness = Witness::beside(store.path());
        let (saved, chosen, approvals, membership, closed, (closed_orders, quarantined, rejects)) =
            store.read(|commit| {
                let saved = commit.setting(CLOCK)?;
                let saved: Option<SavedTime> =
                    saved.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                let chosen = commit.setting(orders::CHOSEN)?;
                let chosen = chosen.and_then(|bytes| String::from_utf8(bytes).ok());
                let closed = commit.closed_slots()?;
                let approvals = approvals::Approvals::load(commit)?;
                let membership = Membership::load(commit)?;
                let rejects = rejects::Rejects::load(commit)?;
                let also = (commit.closed_orders()?, Self::load_quarantine(commit)?, rejects);
                Ok::<_, StoreError>((saved, chosen, approvals, membership, closed, also))
            })?;
        let closed = closed.iter().map(|(slot, text)| (*slot, closures::code_of(text))).collect();
        let now = clocks();
        let clock = Clock::start(saved, now);
        let now_ms = clock.now_ms(now);
        let enrolled = match membership {
            None => None,
            Some(membership) => {
                let keys = StationKeys::load(&mut store, &secret)?;
                let journal = Journal::open(
                    &mut store,
                    &membership.tenant,
                    &membership.station,
                    keys.journal(),
                    keys.journal_public(),
                )?;
                let pin = membership.pinned_root().map_err(DeskError::Root)?;
                let key: Digest = keys.hpke_public().digest();
                let shelf = Shelf::open(&mut store, pin, key, now_ms)?;
                Some(Enrolled { membership, keys, journal, shelf })
            }
        };
        let pace = store.read(|commit| pace::Pace::load(commit, now_ms))?;
        let staff = people::Staff::load(&mut store, enrolled.as_ref(), now.awake_ms)?;
        let (view, receiver) = watch::channel(Arc::new(show::starting_view()));
        let mut desk = Self {
            store,
            key_protection,
            random: SystemRandom::new(),
            clock,
            clocks,
            hub: if enrolled.is_some() { HubState::Connecting } else { HubState::NotEnrolled },
            enrolled,
            card_line: line,
            language,
            chosen,
            approvals,
            staff,
            unproven: BTreeMap::new(),
            closed_orders: closed_orders.into_iter().collect(),
            visits: BTreeMap::new(),
            tiles: slots.into_iter().map(|number| (number, show::Shown::empty(begun))).collect(),
            bells: BTreeMap::new(),
            closed,
            hub_trouble: None,
            halted: None,
            quarantined,
            parted: None,
            witness,
            offered_again: BTreeSet::new(),
            retention: retention::Retention::default(),
            rejects,
            pace,
            sound_level: 0,
            scans: scans::Scans::default(),
            hub_was_whole: true,
            nudge: None,
            time_nonce: None,
            // A power cut may have come between the erasure and the emptying of the log.
            traces: true,
            waiting_bytes: None,
            closing: false,
            view,
        };
        desk.compare_with_memory();
        desk.begin();
        desk.publish();
        Ok((desk, receiver))
    }

    /// What a screen shows the pace against, and how loud it is, in percent.
    pub fn show_with(&mut self, takt_s: Option<u32>, sound_level: u32) {
        (self.pace.takt_s, self.sound_level) = (takt_s, sound_level);
        self.publish();
    }

    /// Journals the start and gives back the places a power cut left taken; the codes reserved in
    /// them stay with their chips.
    fn begin(&mut self) {
        let build = env!("CARGO_PKG_VERSION").to_owned();
        if self.record(vec![Event::StationStarted { build }], |_| Ok(())).is_ok() {
            self.close_left_open(None);
            self.sign_out_left_in();
        }
    }

    /// Ends the desk's thread after the work at hand.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// Runs until [`Desk::close`] was told or every [`DeskHandle`] is gone.
    fn run(mut self, work: &Receiver<Work>) {
        // By the clock and not by idleness: a busy desk looks at the time as well.
        let mut next_tick = Instant::now() + TICK;
        while !self.closing {
            match work.recv_timeout(next_tick.saturating_duration_since(Instant::now())) {
                Ok(work) => {
                    self.look_at_clocks();
                    work(&mut self);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if Instant::now() >= next_tick {
                self.tick();
                next_tick = Instant::now() + TICK;
            }
            self.publish();
        }
        let stopped = self.record(vec![Event::StationStopped {}], |_| Ok(()));
        if let Err(code) = stopped {
            tracing::warn!(code = code.text(), "the stop was not journalled");
        }
    }

    /// Starts the desk's thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(self) -> std::io::Result<(DeskHandle, DeskThread)> {
        let (sender, receiver) = sync_channel(QUEUE);
        let (alive, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("desk".to_owned()).spawn(move || {
            // Dropped when the thread ends, in order or by a panic.
            let _alive: oneshot::Sender<()> = alive;
            self.run(&receiver);
        })?;
        Ok((DeskHandle { work: sender }, DeskThread { thread, ended }))
    }

    /// Counts what the machine slept, and says so when a clock jumped farther than is believed.
    fn look_at_clocks(&mut self) {
        let now = (self.clocks)();
        if self.clock.look(now) {
            let Reading { os_ms, .. } = now;
            tracing::warn!(os_ms, station_ms = self.now_ms(), "a clock jumped and is not believed");
        }
    }

    fn tick(&mut self) {
        self.tick_people();
        self.look_at_clocks();
        self.let_old_records_go();
        let now_ms = self.now_ms();
        let Some(enrolled) = &mut self.enrolled else { return };
        enrolled.shelf.end_lease(now_ms);
        self.erase();
    }

    /// Brings onto the disk what the shelf has let go, and its journalling; again at the next tick
    /// where that failed.
    fn erase(&mut self) {
        let Some(enrolled) = &self.enrolled else { return };
        let events = enrolled.shelf.to_erase().to_vec();
        if !events.is_empty() {
            match self.record(events, Shelf::erase_lease) {
                Ok(()) => {
                    if let Some(enrolled) = &mut self.enrolled {
                        enrolled.shelf.erased();
                    }
                    self.traces = true;
                }
                Err(code) => {
                    tracing::warn!(code = code.text(), "an erasure was not journalled");
                }
            }
        }
        if self.traces {
            match self.store.forget_erased() {
                Ok(done) => self.traces = !done,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "erased keys are still in the log file");
                }
            }
        }
    }

    /// Station time, milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms((self.clocks)())
    }

    /// Milliseconds this machine has been awake: what nobody sets and what never runs back.
    pub(super) fn steady_ms(&self) -> i64 {
        (self.clocks)().awake_ms
    }

    /// One commit: the records of `events`, the signed head, the saved time, and `also`. Before
    /// enrolment there is no journal and nothing to record.
    fn record<T>(
        &mut self,
        events: Vec<Event>,
        also: impl FnOnce(&Commit<'_>) -> Result<T, StoreError>,
    ) -> Result<T, TroubleCode> {
        let now_ms = self.now_ms();
        let saved = self.clock.saved((self.clocks)());
        let saved = serde_json::to_vec(&saved).map_err(|_| TroubleCode::Internal)?;
        let ended = self.ended(&events, now_ms);
        let rejects = self.rejects.among(&events, now_ms);
        let drafted = match &self.enrolled {
            Some(enrolled) => match enrolled.journal.draft(now_ms, events) {
                Ok(draft) => Some(draft),
                Err(error) => {
                    tracing::error!(error = %chain(&error), "a record cannot be written");
                    return Err(TroubleCode::Internal);
                }
            },
            None => None,
        };
        let journal = self.enrolled.as_ref().map(|enrolled| &enrolled.journal);
        let committed = self.store.commit(|commit| {
            if let (Some(journal), Some(draft)) = (journal, &drafted) {
                journal.keep(draft, commit)?;
            }
            commit.put_setting(CLOCK, &saved)?;
            // Before `also`, which gives the place back that names the order.
            for ended in &ended {
                commit.end_visit(ended)?;
            }
            for reject in &rejects {
                commit.put_reject(reject)?;
            }
            also(commit)
        });
        match committed {
            Ok(done) => {
                if let (Some(enrolled), Some(draft)) = (&mut self.enrolled, drafted) {
                    let note = draft.note().to_owned();
                    enrolled.journal.accept(draft);
                    self.note_head(&note);
                }
                self.rejects.wait(rejects);
                self.pace.ended(&ended);
                self.room_again();
                if let Some(nudge) = &self.nudge {
                    nudge.now();
                }
                Ok(done)
            }
            Err(error) => Err(self.store_failed(&error)),
        }
    }

    /// A store that failed is said to the whole station; a full disk may have room again later.
    fn store_failed(&mut self, error: &StoreError) -> TroubleCode {
        let code = TroubleCode::from(error);
        let incident = self.incident();
        tracing::error!(%incident, code = code.text(), error = %chain(error), "a commit failed");
        if code != TroubleCode::Internal && self.halted.as_ref().is_none_or(|t| t.code != code) {
            self.halted = Some(Trouble::of(code, None, incident));
        }
        code
    }

    fn room_again(&mut self) {
        if self.halted.as_ref().is_some_and(|trouble| trouble.code == TroubleCode::DiskFull) {
            self.halted = None;
        }
    }

    /// A number that finds a failure in log and journal: six hexadecimal digits.
    fn incident(&self) -> String {
        let mut bytes = [0; 3];
        // Without randomness the number is worth less, the failure is not.
        let _ = self.random.fill(&mut bytes);
        hex::encode_upper(bytes)
    }
}

/// The operating system's clock, milliseconds since the Unix epoch.
#[must_use]
pub fn os_ms() -> i64 {
    crate::platform::reading().os_ms
}
