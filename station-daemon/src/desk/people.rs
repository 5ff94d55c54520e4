//! Who is at the station: badges, PINs, and whose leave an act needs.
//!
//! Owns the roster in force, the session and the attempts at PINs; the rules are in
//! [`crate::people`]. A PIN is compared on the thread of who entered it
//! ([`DeskHandle::enter_pin`]), so that no slot waits for it, and between two turns of the desk: the
//! first counts the attempt and journals it, the second says what came of it.
//!
//! A station whose lease never named a roster keeps no people: nobody badges in, acts need no role,
//! and their records carry no number (0 where one must stand). Once a roster was named there is no
//! way back: without the roster in force nobody comes in.

use std::sync::Arc;

use audit::Event;
use release::{Operator, Pin, PinPolicy, Role, Roster};
use serde::{Deserialize, Serialize};

use super::{Desk, DeskHandle, Enrolled};
use crate::api::view::{ActAnswer, OperatorView, PeopleView, ScanAnswer, ScanKind};
use crate::people::throttle::{ATTEMPTS_MAX, Attempts, Throttle, Wait};
use crate::people::{BadgeRefusal, Session, Turn, digits_min, hub_is_away_too_long, may_work};
use crate::shelf::Taken;
use crate::store::{Commit, Store, StoreError};
use crate::trouble::{TroubleCode, chain};

/// Setting that holds the roster in force, as it was signed.
const ROSTER: &str = "roster";
/// Setting that holds what is known about rosters for ever.
const SEEN: &str = "roster_seen";
/// Setting that holds the number of who is in.
const IN: &str = "operator_in";
/// Setting that holds the station time of the last time the hub signed.
pub(crate) const HUB_HEARD: &str = "hub_heard";
/// How often what is left of waits is kept.
const KEEP_WAITS_MS: i64 = 60_000;
/// How often it is kept that the hub was heard.
const KEEP_HEARD_MS: i64 = 10 * 60 * 1000;

/// What outlives every roster: no older version counts again, and the policy of the last lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// The newest version taken or named by a lease; 0: no people are kept.
    version: u64,
    policy: PinPolicy,
}

/// The people's part of the desk.
#[derive(Default)]
pub(super) struct Staff {
    roster: Option<Arc<Roster>>,
    /// The roster in force as it was signed: judged again when the lease keys change.
    document: Vec<u8>,
    seen: Seen,
    session: Option<Session>,
    throttle: Throttle,
    heard_ms: Option<i64>,
    heard_kept_ms: Option<i64>,
    waits_kept_steady_ms: i64,
    /// The roster that came was not taken, or none came.
    refused: bool,
}

/// What came of a roster among the documents.
pub(super) struct RosterTaken {
    seen: Seen,
    roster: Option<(Arc<Roster>, Vec<u8>)>,
    /// The one in force does not verify any more: its lease key was retired.
    drop_held: bool,
    refused: bool,
}

/// Why a person may not do what they ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonRefusal {
    /// Nobody is in.
    NobodyIn,
    /// The badge is nobody's of this line, or its owner may not work here now.
    Badge(BadgeRefusal),
    /// The roster that the lease names is not here, or was not signed for this station.
    NoRoster,
    /// The operator has no PIN.
    NoPin,
    /// Not digits, or fewer than the lease asks for.
    PinTooShort,
    /// The PIN is not right.
    PinWrong,
    /// After wrong PINs, another may not be tried yet.
    Waits,
    /// After too many wrong PINs, none may be tried for long.
    Locked,
    /// It takes a lead whose PIN was proven.
    LeadNeeded,
    /// It takes somebody of IT whose PIN was proven.
    ItNeeded,
    /// The hub has been away for so long that rights beyond a worker's are over.
    HubAway,
}

impl PersonRefusal {
    /// Stable word for a screen to translate.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NobodyIn => "badge_first",
            Self::Badge(BadgeRefusal::Unknown) => "badge_unknown",
            Self::Badge(BadgeRefusal::Ended) => "badge_ended",
            Self::Badge(BadgeRefusal::Disabled) => "badge_disabled",
            Self::NoRoster => "no_roster",
            Self::NoPin => "no_pin",
            Self::PinTooShort => "pin_too_short",
            Self::PinWrong => "pin_wrong",
            Self::Waits => "pin_waits",
            Self::Locked => "pin_locked",
            Self::LeadNeeded => "lead_needed",
            Self::ItNeeded => "it_needed",
            Self::HubAway => "hub_away",
        }
    }
}

/// Whose leave an act has: an operator's number, or nobody's where no people are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leave(Option<u32>);

impl Leave {
    /// The number, for records where it may be absent.
    pub(super) const fn operator(self) -> Option<u32> {
        self.0
    }

    /// The number, for records where one must stand.
    pub(super) fn number(self) -> u32 {
        self.0.unwrap_or(0)
    }
}

/// A PIN that was counted and is about to be compared.
struct Check {
    roster: Arc<Roster>,
    operator: u32,
    attempts: Attempts,
}

impl ActAnswer {
    /// Done.
    #[must_use]
    pub fn done(word: &str) -> Self {
        Self { accepted: true, word: word.to_owned(), wait_s: None, code: None }
    }

    /// Not done, for a person's sake.
    #[must_use]
    pub fn refused(refusal: PersonRefusal) -> Self {
        let code = Some(TroubleCode::from(refusal));
        Self { accepted: false, word: refusal.word().to_owned(), wait_s: None, code }
    }

    /// Not done, because it could not be recorded.
    #[must_use]
    pub fn not_recorded(code: Option<TroubleCode>) -> Self {
        Self { accepted: false, word: "not_recorded".to_owned(), wait_s: None, code }
    }

    fn waits(wait: Wait) -> Self {
        let refusal = if wait.locked { PersonRefusal::Locked } else { PersonRefusal::Waits };
        Self { wait_s: Some(seconds_up(wait.wait_ms)), ..Self::refused(refusal) }
    }
}

/// A wait in whole seconds; one that has begun counts.
fn seconds_up(ms: i64) -> u32 {
    u32::try_from(ms.max(0).saturating_add(999) / 1000).unwrap_or(u32::MAX)
}

fn decoded<T: for<'de> Deserialize<'de>>(
    commit: &Commit<'_>,
    name: &str,
) -> Result<Option<T>, StoreError> {
    let Some(bytes) = commit.setting(name)? else { return Ok(None) };
    let damaged = |error| StoreError::Damaged { what: format!("{name}: {error}") };
    serde_json::from_slice(&bytes).map(Some).map_err(damaged)
}

fn put(commit: &Commit<'_>, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
    let damaged = |error| StoreError::Damaged { what: format!("{name}: {error}") };
    commit.put_setting(name, &serde_json::to_vec(value).map_err(damaged)?)
}

impl Staff {
    /// As the store left it, at steady time `steady_ms`. A roster that no longer verifies is not
    /// in force.
    ///
    /// # Errors
    /// As the store says.
    pub(super) fn load(
        store: &mut Store,
        enrolled: Option<&Enrolled>,
        steady_ms: i64,
    ) -> Result<Self, StoreError> {
        let (seen, document, attempts, heard_ms) = store.read(|commit| {
            let seen: Option<Seen> = decoded(commit, SEEN)?;
            let heard_ms: Option<i64> = decoded(commit, HUB_HEARD)?;
            let document = commit.setting(ROSTER)?;
            Ok::<_, StoreError>((seen, document, commit.attempts()?, heard_ms))
        })?;
        let mut staff = Self {
            seen: seen.unwrap_or_default(),
            throttle: Throttle::load(&attempts, steady_ms),
            heard_ms,
            heard_kept_ms: heard_ms,
            waits_kept_steady_ms: steady_ms,
            ..Self::default()
        };
        if let (Some(enrolled), Some(document)) = (enrolled, document) {
            let (shelf, key) = (&enrolled.shelf, enrolled.keys.hpke());
            match shelf.judge_roster(None, &document, key, staff.seen.version) {
                Some(Ok(roster)) => {
                    staff.roster = Some(Arc::new(roster));
                    staff.document = document;
                }
                Some(Err(error)) => {
                    tracing::error!(error = %chain(&error), "the stored roster is not in force");
                }
                None => {}
            }
        }
        staff.refused = staff.kept() && staff.roster.is_none();
        Ok(staff)
    }

    /// Whether people are kept here.
    pub(super) const fn kept(&self) -> bool {
        self.seen.version > 0
    }

    /// The operator who is in, as the roster in force has them.
    fn operator(&self) -> Option<&Operator> {
        let session = self.session.as_ref()?;
        self.roster.as_ref()?.operator(session.operator)
    }

    /// Judges the roster that came with a set of documents; nothing is changed yet.
    pub(super) fn judge(
        &self,
        enrolled: &Enrolled,
        taken: &Taken,
        arrived: Option<&[u8]>,
    ) -> (RosterTaken, Option<Event>) {
        let mut seen = self.seen.clone();
        if let Some(lease) = enrolled.shelf.lease_to_come(taken) {
            seen.version = seen.version.max(lease.roster_version);
            seen.policy = lease.pin_policy.clone();
        }
        let (shelf, key) = (&enrolled.shelf, enrolled.keys.hpke());
        let judged = arrived.filter(|bytes| !bytes.is_empty()).and_then(|bytes| {
            Some((bytes, shelf.judge_roster(Some(taken), bytes, key, seen.version)?))
        });
        let mut event = None;
        let (roster, refused) = match judged {
            Some((bytes, Ok(roster))) => {
                let held = self.roster.as_ref().map(|held| held.version());
                if held != Some(roster.version()) {
                    event = Some(Event::RosterTaken {
                        version: roster.version(),
                        roster_sha256: audit::Digest::of(bytes),
                        operators: u32::try_from(roster.operators().len()).unwrap_or(u32::MAX),
                    });
                }
                seen.version = seen.version.max(roster.version());
                (Some((Arc::new(roster), bytes.to_vec())), false)
            }
            Some((_, Err(error))) => {
                tracing::warn!(error = %chain(&error), "the roster was not taken");
                (None, true)
            }
            None => (None, false),
        };
        let drop_held = roster.is_none() && self.roster.is_some() && {
            let again = shelf.judge_roster(Some(taken), &self.document, key, 0);
            matches!(again, Some(Err(_)))
        };
        // One that is older than the lease asks for counts no more, whatever came.
        let current = roster.as_ref().map(|(roster, _)| roster.version());
        let held = self.roster.as_ref().filter(|_| !drop_held).map(|roster| roster.version());
        let lacks = seen.version > 0 && current.or(held).is_none_or(|has| has < seen.version);
        (RosterTaken { seen, roster, drop_held, refused: refused || lacks }, event)
    }

    /// Puts what was judged into a commit.
    ///
    /// # Errors
    /// As the store says.
    pub(super) fn keep(taken: &RosterTaken, commit: &Commit<'_>) -> Result<(), StoreError> {
        if taken.seen.version > 0 {
            put(commit, SEEN, &taken.seen)?;
        }
        match &taken.roster {
            Some((_, document)) => commit.put_setting(ROSTER, document),
            None if taken.drop_held => commit.drop_setting(ROSTER),
            None => Ok(()),
        }
    }

    /// Takes what was committed.
    pub(super) fn accept(&mut self, taken: RosterTaken) {
        self.seen = taken.seen;
        if let Some((roster, document)) = taken.roster {
            self.roster = Some(roster);
            self.document = document;
        } else if taken.drop_held {
            tracing::warn!("the roster in force was signed by a key that counts no more");
            self.roster = None;
        }
        if self.roster.as_ref().is_some_and(|roster| roster.version() < self.seen.version) {
            self.roster = None;
        }
        self.refused = taken.refused;
    }

    /// The trouble of the whole station, if people are its reason.
    pub(super) fn trouble(&self) -> Option<TroubleCode> {
        (self.kept() && self.refused).then_some(TroubleCode::RosterRefused)
    }
}

impl DeskHandle {
    /// Proves the operator who is in by their PIN. Blocks for two journal writes and the some 30
    /// milliseconds that comparing takes by design; not for async code.
    #[must_use]
    pub fn enter_pin(&self, entered: &str) -> ActAnswer {
        let pin = Pin::read(entered);
        let pin_digits = pin.as_ref().map_or(0, Pin::digits);
        let begun = self.ask(move |desk| desk.begin_pin(pin_digits));
        let check = match begun {
            Ok(Ok(check)) => check,
            Ok(Err(answer)) => return answer,
            Err(_) => return ActAnswer::not_recorded(None),
        };
        let right = pin.is_ok_and(|pin| check.is_right(&pin));
        self.ask(move |desk| desk.end_pin(&check, right))
            .unwrap_or_else(|_| ActAnswer::not_recorded(None))
    }
}

impl Check {
    fn is_right(&self, pin: &Pin) -> bool {
        let verifier = self.roster.operator(self.operator).and_then(|one| one.pin.as_ref());
        let Some(verifier) = verifier else { return false };
        match self.roster.pepper().proves(self.operator, pin, verifier) {
            Ok(right) => right,
            Err(error) => {
                tracing::error!(error = %chain(&error), "a PIN could not be compared");
                false
            }
        }
    }
}

impl Desk {
    /// Somebody shows a badge: the text behind `OP:`. A second person's badge takes the place of
    /// the first's, and both are journalled.
    pub(super) fn badge_in(&mut self, badge: &str) -> ScanAnswer {
        let answer = |accepted, word: &str| ScanAnswer::to(ScanKind::Operator, accepted, word);
        if !self.staff.kept() {
            return answer(false, "not_used_here");
        }
        let refused = |refusal: PersonRefusal| ScanAnswer {
            code: Some(TroubleCode::from(refusal)),
            ..answer(false, refusal.word())
        };
        let Some(roster) = self.staff.roster.clone() else {
            return refused(PersonRefusal::NoRoster);
        };
        let found = roster.operator_of_badge(badge.trim());
        let may = found.map_or(Err(BadgeRefusal::Unknown), |one| may_work(one, self.now_ms()));
        let operator = match (found, may) {
            (Some(operator), Ok(())) => operator,
            (_, may) => {
                let refusal = may.err().unwrap_or(BadgeRefusal::Unknown);
                let operator = found.map(|operator| operator.number);
                let event = Event::BadgeRefused { operator, why: refusal.word().to_owned() };
                return match self.record(vec![event], |_| Ok(())) {
                    Ok(()) => refused(PersonRefusal::Badge(refusal)),
                    Err(_) => answer(false, "not_recorded"),
                };
            }
        };
        let steady_ms = self.steady_ms();
        if let Some(session) = &mut self.staff.session
            && session.operator == operator.number
        {
            session.acted(steady_ms);
            return answer(true, "already_in");
        }
        let (number, mut events) = (operator.number, Vec::new());
        let left = self.staff.session.map(|session| session.operator);
        if let Some(operator) = left {
            events.push(Event::OperatorOut { operator, why: Some("replaced".to_owned()) });
        }
        events.push(Event::OperatorIn {
            operator: number,
            role: Role::Worker.as_str().to_owned(),
            proof: Some("badge".to_owned()),
        });
        let session = Session::by_badge(operator, steady_ms);
        match self.record(events, |commit| put(commit, IN, &number)) {
            Ok(()) => {
                self.staff.session = Some(session);
                if left.is_none() {
                    // A shift begins.
                    self.check_sockets();
                }
                answer(true, if left.is_some() { "badge_replaced" } else { "badged_in" })
            }
            Err(_) => answer(false, "not_recorded"),
        }
    }

    /// Signs out who is in.
    pub fn badge_out(&mut self) -> ActAnswer {
        match self.sign_out("left") {
            Ok(true) => ActAnswer::done("signed_out"),
            Ok(false) => ActAnswer::done("nobody_in"),
            Err(code) => ActAnswer::not_recorded(Some(code)),
        }
    }

    /// Journals that who is in is out; whether anybody was.
    fn sign_out(&mut self, why: &str) -> Result<bool, TroubleCode> {
        let Some(session) = self.staff.session else { return Ok(false) };
        let out = Event::OperatorOut { operator: session.operator, why: Some(why.to_owned()) };
        self.record(vec![out], |commit| commit.drop_setting(IN))?;
        self.staff.session = None;
        Ok(true)
    }

    /// Journals at the start that whoever was in before the station stopped is not any more.
    pub(super) fn sign_out_left_in(&mut self) {
        let left: Result<Option<u32>, StoreError> = self.store.read(|commit| decoded(commit, IN));
        let Ok(Some(operator)) = left else { return };
        let out = Event::OperatorOut { operator, why: Some("restarted".to_owned()) };
        if let Err(code) = self.record(vec![out], |commit| commit.drop_setting(IN)) {
            tracing::warn!(code = code.text(), "a sign-out was not journalled");
        }
    }

    /// Counts and journals an attempt before the PIN is compared.
    fn begin_pin(&mut self, pin_digits: u8) -> Result<Check, ActAnswer> {
        let refused = |refusal| Err(ActAnswer::refused(refusal));
        let Some(roster) = self.staff.roster.clone() else {
            return refused(if self.staff.kept() {
                PersonRefusal::NoRoster
            } else {
                PersonRefusal::NobodyIn
            });
        };
        self.look_at_session();
        let Some(operator) = self.staff.operator().cloned() else {
            return refused(PersonRefusal::NobodyIn);
        };
        let Some(verifier) = operator.pin.as_ref().map(release::PinVerifier::digest) else {
            return refused(PersonRefusal::NoPin);
        };
        if pin_digits == 0 || pin_digits < digits_min(operator.role, &self.staff.seen.policy) {
            return refused(PersonRefusal::PinTooShort);
        }
        let steady_ms = self.steady_ms();
        let attempts = match self.staff.throttle.next(operator.number, &verifier, steady_ms) {
            Ok(attempts) => attempts,
            Err(wait) => return Err(ActAnswer::waits(wait)),
        };
        let event = Event::PinAttempt { operator: operator.number, attempt: attempts.attempts };
        self.record(vec![event], |commit| commit.put_attempts(&attempts))
            .map_err(|code| ActAnswer::not_recorded(Some(code)))?;
        self.staff.throttle.count(&attempts, steady_ms);
        Ok(Check { roster, operator: operator.number, attempts })
    }

    /// Says what came of a PIN that was compared.
    fn end_pin(&mut self, check: &Check, right: bool) -> ActAnswer {
        let Check { operator, attempts, .. } = check;
        if !right {
            if attempts.attempts >= ATTEMPTS_MAX {
                let (operator, attempts) = (*operator, attempts.attempts);
                let locked = Event::OperatorLocked { operator, attempts };
                if let Err(code) = self.record(vec![locked], |_| Ok(())) {
                    return ActAnswer::not_recorded(Some(code));
                }
                tracing::warn!(operator, "locked after wrong PINs");
            }
            let wait = self.staff.throttle.wait(*operator, &attempts.verifier, self.steady_ms());
            return match wait {
                Some(wait) if wait.locked => ActAnswer::waits(wait),
                Some(wait) => ActAnswer {
                    wait_s: Some(seconds_up(wait.wait_ms)),
                    ..ActAnswer::refused(PersonRefusal::PinWrong)
                },
                None => ActAnswer::refused(PersonRefusal::PinWrong),
            };
        }
        let Some(session) = self.staff.session.filter(|session| session.operator == *operator)
        else {
            // Somebody else came in meanwhile; the attempt stays counted.
            return ActAnswer::refused(PersonRefusal::NobodyIn);
        };
        let away = self.hub_away();
        let proven = session.with(!away || session.role == Role::Worker);
        let event = Event::OperatorIn {
            operator: *operator,
            role: proven.rights().as_str().to_owned(),
            proof: Some("badge_and_pin".to_owned()),
        };
        if let Err(code) = self.record(vec![event], |commit| commit.forget_attempts(*operator)) {
            return ActAnswer::not_recorded(Some(code));
        }
        self.staff.throttle.forget(*operator);
        self.staff.session = Some(proven);
        self.person_acted();
        if proven.proven {
            ActAnswer::done("pin_right")
        } else {
            ActAnswer::refused(PersonRefusal::HubAway)
        }
    }

    fn hub_away(&self) -> bool {
        hub_is_away_too_long(self.staff.heard_ms, self.now_ms(), &self.staff.seen.policy)
    }

    /// Something was touched, scanned or put in: whoever is in is not idle.
    pub(super) fn person_acted(&mut self) {
        let steady_ms = self.steady_ms();
        if let Some(session) = &mut self.staff.session {
            session.acted(steady_ms);
        }
    }

    /// Looks whether the session goes on, and journals its end or that of its rights.
    fn look_at_session(&mut self) {
        let Some(session) = self.staff.session else { return };
        let (now_ms, steady_ms, away) = (self.now_ms(), self.steady_ms(), self.hub_away());
        match session.turn(self.staff.operator(), now_ms, steady_ms, away) {
            Turn::Stays => {}
            Turn::Out(why) => {
                // Out also when it cannot be written: rights never outlive their reason.
                if let Err(code) = self.sign_out(why) {
                    tracing::warn!(code = code.text(), "a sign-out was not journalled");
                    self.staff.session = None;
                }
            }
            Turn::Lowered(why) => {
                self.staff.session = Some(session.with(false));
                let (operator, why) = (session.operator, why.to_owned());
                let ended = Event::RightsEnded { operator, why };
                if let Err(code) = self.record(vec![ended], |_| Ok(())) {
                    tracing::warn!(code = code.text(), "the end of rights was not journalled");
                }
            }
        }
    }

    /// The people's turn of the desk's clock.
    pub(super) fn tick_people(&mut self) {
        self.look_at_session();
        let steady_ms = self.steady_ms();
        if steady_ms.saturating_sub(self.staff.waits_kept_steady_ms) < KEEP_WAITS_MS {
            return;
        }
        self.staff.waits_kept_steady_ms = steady_ms;
        let running = self.staff.throttle.running(steady_ms);
        if running.is_empty() {
            return;
        }
        let kept = self
            .store
            .commit(|commit| running.iter().try_for_each(|attempts| commit.put_attempts(attempts)));
        if let Err(error) = kept {
            let code = self.store_failed(&error);
            tracing::warn!(code = code.text(), "the waits after wrong PINs were not kept");
        }
    }

    /// The hub signed its time: the days without it begin anew.
    ///
    /// # Errors
    /// When it could not be kept.
    pub(super) fn hub_heard(&mut self, hub_ms: i64) -> Result<(), TroubleCode> {
        self.staff.heard_ms = Some(hub_ms);
        let kept = self.staff.heard_kept_ms;
        if kept.is_some_and(|kept| (0..KEEP_HEARD_MS).contains(&hub_ms.saturating_sub(kept))) {
            return Ok(());
        }
        let done = self.store.commit(|commit| put(commit, HUB_HEARD, &hub_ms));
        done.map_err(|error: StoreError| self.store_failed(&error))?;
        self.staff.heard_kept_ms = Some(hub_ms);
        Ok(())
    }

    /// Whether boards may be flashed as far as people go: somebody is in, or none are kept.
    pub(super) fn somebody_is_in(&self) -> Result<(), TroubleCode> {
        if self.staff.kept() && self.staff.session.is_none() {
            return Err(TroubleCode::from(PersonRefusal::NobodyIn));
        }
        Ok(())
    }

    /// Whose leave an act of anybody has.
    ///
    /// # Errors
    /// [`PersonRefusal::NobodyIn`].
    pub(super) fn leave_of_anybody(&mut self) -> Result<Leave, PersonRefusal> {
        self.leave_of(&[Role::Worker, Role::Lead, Role::It], PersonRefusal::NobodyIn)
    }

    /// Whose leave a lead's act has.
    ///
    /// # Errors
    /// [`PersonRefusal::NobodyIn`], [`PersonRefusal::LeadNeeded`], [`PersonRefusal::HubAway`].
    pub(super) fn leave_of_lead(&mut self) -> Result<Leave, PersonRefusal> {
        self.leave_of(&[Role::Lead], PersonRefusal::LeadNeeded)
    }

    /// Whose leave an act of IT has; `or_lead`: a lead's will do.
    ///
    /// # Errors
    /// [`PersonRefusal::NobodyIn`], [`PersonRefusal::ItNeeded`], [`PersonRefusal::HubAway`].
    fn leave_of_it(&mut self, or_lead: bool) -> Result<Leave, PersonRefusal> {
        let roles: &[Role] = if or_lead { &[Role::It, Role::Lead] } else { &[Role::It] };
        self.leave_of(roles, PersonRefusal::ItNeeded)
    }

    /// Whether this station may be set up by who is in.
    ///
    /// # Errors
    /// As for [`PersonRefusal`].
    pub fn may_set_up(&mut self) -> Result<(), PersonRefusal> {
        self.leave_of_it(false).map(drop)
    }

    /// Whether who is in may see how fit the station is.
    ///
    /// # Errors
    /// As for [`PersonRefusal`].
    pub fn may_look_over(&mut self) -> Result<(), PersonRefusal> {
        self.leave_of_it(true).map(drop)
    }

    /// The number of the lead or IT person who has a stick carried; 0 where no people are kept.
    ///
    /// # Errors
    /// As for [`PersonRefusal`].
    pub fn who_carries(&mut self) -> Result<u32, PersonRefusal> {
        self.leave_of_it(true).map(|leave| leave.number())
    }

    fn leave_of(&mut self, roles: &[Role], refusal: PersonRefusal) -> Result<Leave, PersonRefusal> {
        if !self.staff.kept() {
            return Ok(Leave(None));
        }
        self.look_at_session();
        let Some(session) = self.staff.session else { return Err(PersonRefusal::NobodyIn) };
        if !roles.contains(&session.rights()) {
            let would = roles.contains(&session.role);
            return Err(if would && self.hub_away() { PersonRefusal::HubAway } else { refusal });
        }
        self.person_acted();
        Ok(Leave(Some(session.operator)))
    }

    /// As a screen shows it.
    pub(super) fn people_view(&self) -> PeopleView {
        let operator = self.staff.session.as_ref().map(|session| {
            let pin = self.staff.operator().and_then(|operator| operator.pin.as_ref());
            let wait = pin.and_then(|pin| {
                self.staff.throttle.wait(session.operator, &pin.digest(), self.steady_ms())
            });
            OperatorView {
                number: session.operator,
                role: session.role.into(),
                rights: session.rights().into(),
                has_pin: pin.is_some(),
                pin_digits_min: digits_min(session.role, &self.staff.seen.policy).into(),
                wait_s: wait.map(|wait| seconds_up(wait.wait_ms)),
                locked: wait.is_some_and(|wait| wait.locked),
                hub_away: session.role != Role::Worker && self.hub_away(),
            }
        });
        PeopleView { kept: self.staff.kept(), operator }
    }
}
