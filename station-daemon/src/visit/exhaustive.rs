//! Every order of events, of any length: the machine and a watcher of its promises are walked
//! together until no new pair of states appears, for units with one chip and with two.

use std::collections::{HashSet, VecDeque};

use super::*;

/// What an outside observer remembers of one visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Watcher {
    /// How many chips the unit has.
    chips: u8,
    identified: Seen,
    /// The decision said compare only.
    compare_only: bool,
    /// The approval's use was asked to be saved / is on disk, for these chips.
    unlock_of: ChipSet,
    unlock_saved: bool,
    /// A reservation is asked for / is on disk / was ended by a saved record.
    reserve_asked: bool,
    reserved: bool,
    ended: bool,
    /// A record of the end was tried and the disk refused it.
    end_lost: bool,
    programmed: Seen,
    block_matched: bool,
    self_tested: Seen,
    protected: Seen,
    compared: Seen,
    /// What was asked last, other than nothing.
    last: Option<Effect>,
}

/// The chips of which something was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Seen([bool; CHIPS as usize]);

impl Seen {
    fn note(&mut self, place: u8) {
        self.0[usize::from(place)] = true;
    }

    /// Whether it was seen of every chip in the set.
    fn of_all(self, chips: ChipSet) -> bool {
        (0..).zip(self.0).all(|(place, seen)| seen || !chips.holds(place))
    }
}

/// Most chips of a unit that is walked.
const CHIPS: u8 = 2;
const BOTH: ChipSet = ChipSet::FIRST.and(1);

const fn work(
    code: CodeSource,
    block: Option<u8>,
    self_test: ChipSet,
    protect: ChipSet,
) -> Decision {
    Decision::Flash(Work { code, block, self_test, protect })
}

/// Decisions that flash: for one chip, for two, and one that speaks of a chip there is not.
const FLASHES: [Decision; 7] = [
    work(CodeSource::New, Some(0), ChipSet::FIRST, ChipSet::FIRST),
    work(CodeSource::New, Some(0), ChipSet::FIRST, ChipSet::NONE),
    work(CodeSource::Reserved, Some(0), ChipSet::NONE, ChipSet::FIRST),
    work(CodeSource::NotActivated, None, ChipSet::FIRST, ChipSet::NONE),
    work(CodeSource::New, Some(1), BOTH, BOTH),
    work(CodeSource::Adopted, Some(1), ChipSet::FIRST, ChipSet::NONE.and(1)),
    work(CodeSource::NotActivated, None, ChipSet::NONE, ChipSet::NONE.and(7)),
];

fn alphabet() -> Vec<Event> {
    let mut events = vec![
        Event::BoardSeen { chips: 0 },
        Event::BoardSeen { chips: 1 },
        Event::BoardSeen { chips: 2 },
        Event::Identified,
        Event::UnlockSaved,
        Event::Unlocked,
        Event::Reserved,
        Event::Programmed,
        Event::BlockMatched,
        Event::SelfTested,
        Event::IntentSaved,
        Event::Protected,
        Event::Compared,
        Event::EvidenceSaved,
        Event::FailureSaved,
        Event::Failed(TroubleCode::ContactLost),
        Event::Failed(TroubleCode::DiskFull),
        Event::BoardGone,
    ];
    let refused = Decision::Refuse { code: TroubleCode::PortionFull, chip: None };
    let decisions = [
        Decision::CompareOnly,
        refused,
        Decision::Unlock(ChipSet::FIRST),
        Decision::Unlock(BOTH),
        Decision::Unlock(ChipSet::NONE),
    ];
    events.extend(decisions.into_iter().chain(FLASHES).map(Event::Decided));
    events
}

impl Watcher {
    fn see(&mut self, before: Visit, event: Event, effect: Effect, after: Visit) {
        if effect != Effect::Ignore {
            self.note_done(before, event);
        }
        let context = || format!("{before:?} on {event:?} gives {effect:?}, with {self:?}");
        let all = ChipSet::all(self.chips);
        match effect {
            Effect::Release(verdict) => {
                assert_eq!(event, Event::EvidenceSaved, "{}", context());
                assert_eq!(self.last, Some(Effect::SaveEvidence(verdict)), "{}", context());
            }
            Effect::Decide => assert!(self.identified.of_all(all), "{}", context()),
            Effect::Unlock(place) => {
                assert!(self.unlock_saved && self.unlock_of.holds(place), "{}", context());
            }
            Effect::Program(place) => {
                assert!(self.reserved && !self.compare_only && place < self.chips, "{}", context());
                // The chips before it are done, as far as the recipe asks.
                assert!(self.done(before, ChipSet::all(place)), "{}", context());
            }
            Effect::Reserve(_) => {
                assert!(
                    matches!(event, Event::Decided(Decision::Flash(work)) if work.fits(all))
                        && self.last == Some(Effect::Decide),
                    "{}",
                    context()
                );
            }
            Effect::SaveIntent => assert!(self.done(before, all), "{}", context()),
            Effect::Protect(_) => {
                let saved = event == Event::IntentSaved || event == Event::Protected;
                assert!(saved && self.done(before, all), "{}", context());
            }
            Effect::SaveEvidence(Verdict::Pass) => {
                assert!(self.reserved && self.done(before, all), "{}", context());
                let work = before.work.expect("a pass without work");
                assert!(self.protected.of_all(work.protect), "{}", context());
            }
            Effect::SaveEvidence(Verdict::SeenBefore) => {
                assert!(self.compare_only && self.compared.of_all(all), "{}", context());
                assert!(!self.reserved, "{}", context());
            }
            Effect::SaveFailure { gives_place_back, .. } => {
                assert_eq!(gives_place_back, self.reserved && !self.ended, "{}", context());
            }
            Effect::Watch => {
                // A visit that took a place is never left without a record of its end, unless the
                // disk refused that record.
                assert!(!self.reserved || self.ended || self.end_lost, "{}", context());
            }
            Effect::Identify(place) => {
                let anew = matches!(event, Event::BoardSeen { .. });
                assert!(!self.reserved || self.ended || self.end_lost, "{}", context());
                assert!(place == 0 || !anew, "{}", context());
            }
            Effect::Ignore => {
                let quiet = Visit { board_gone: after.board_gone, ..before };
                assert_eq!(quiet, after, "an ignored event changes nothing: {}", context());
            }
            Effect::SaveUnlock
            | Effect::CheckBlock(_)
            | Effect::SelfTest(_)
            | Effect::Compare(_)
            | Effect::Reject(_) => {}
        }
        self.remember(event, effect);
    }

    /// Whether these chips were flashed and proven as the decision asks.
    fn done(&self, before: Visit, chips: ChipSet) -> bool {
        let work = before.work.expect("written without work");
        let tested = |place| !work.self_test.holds(place) || self.self_tested.0[usize::from(place)];
        let matched = |place| work.block != Some(place) || self.block_matched;
        self.programmed.of_all(chips)
            && (0..self.chips)
                .filter(|place| chips.holds(*place))
                .all(|place| tested(place) && matched(place))
    }

    /// What an event proves, as the answer to what was asked last.
    fn note_done(&mut self, before: Visit, event: Event) {
        match (self.last, event) {
            (Some(Effect::Identify(place)), Event::Identified) => self.identified.note(place),
            (Some(Effect::SaveUnlock), Event::UnlockSaved) => self.unlock_saved = true,
            (Some(Effect::Decide), Event::Decided(Decision::CompareOnly)) => {
                self.compare_only = true;
            }
            (Some(Effect::Decide), Event::Decided(Decision::Unlock(chips))) => {
                self.unlock_of = chips;
            }
            (Some(Effect::Reserve(_)), Event::Reserved) => self.reserved = true,
            (Some(Effect::Program(place)), Event::Programmed) => self.programmed.note(place),
            (Some(Effect::CheckBlock(_)), Event::BlockMatched) => self.block_matched = true,
            (Some(Effect::SelfTest(place)), Event::SelfTested) => self.self_tested.note(place),
            (Some(Effect::Protect(place)), Event::Protected) => self.protected.note(place),
            (Some(Effect::Compare(place)), Event::Compared) => self.compared.note(place),
            (Some(Effect::SaveEvidence(_)), Event::EvidenceSaved)
            | (Some(Effect::SaveFailure { .. }), Event::FailureSaved) => self.ended = true,
            (_, _) => {}
        }
        if matches!(before.step(), Step::SavingFailure(_)) && matches!(event, Event::Failed(_)) {
            self.end_lost = true;
        }
    }

    fn remember(&mut self, event: Event, effect: Effect) {
        if effect == Effect::Watch {
            *self = Self { last: Some(effect), ..Self::default() };
        } else if let (Effect::Identify(_), Event::BoardSeen { chips }) = (effect, event) {
            *self = Self { last: Some(effect), chips, ..Self::default() };
        } else if let (Effect::Identify(0), Event::Unlocked) = (effect, event) {
            // What was read before the erase counts no more.
            let chips = self.chips;
            *self = Self { last: Some(effect), chips, ..Self::default() };
        } else if effect != Effect::Ignore {
            self.last = Some(effect);
        }
    }
}

#[test]
fn in_no_order_of_events_is_a_promise_broken() {
    let events = alphabet();
    let start = (Visit::new(), Watcher::default());
    let mut seen = HashSet::from([start]);
    let mut queue = VecDeque::from([start]);
    let mut steps = 0_u32;
    let (mut passed, mut unlocked) = ([false; 3], false);
    while let Some((visit, watcher)) = queue.pop_front() {
        for event in &events {
            let mut next = visit;
            let effect = next.on(*event);
            let mut watched = watcher;
            watched.see(visit, *event, effect, next);
            steps += 1;
            if effect == Effect::Release(Verdict::Pass) {
                passed[usize::from(visit.chips)] = true;
            }
            unlocked |= *event == Event::Unlocked && matches!(effect, Effect::Identify(0));
            if seen.insert((next, watched)) {
                queue.push_back((next, watched));
            }
        }
    }
    println!("{} pairs of states, {steps} steps", seen.len());
    assert_eq!(passed, [false, true, true], "units of one and of two chips pass");
    assert!(unlocked && seen.len() > 200, "the walk must reach the whole machine: {}", seen.len());
}

#[test]
fn from_every_state_the_slot_becomes_free_again_when_the_board_leaves_and_the_disk_answers() {
    let events = alphabet();
    let mut seen = HashSet::from([Visit::new()]);
    let mut queue = VecDeque::from([Visit::new()]);
    while let Some(visit) = queue.pop_front() {
        let mut way_out = visit;
        for event in [
            Event::BoardGone,
            Event::Decided(Decision::CompareOnly),
            Event::UnlockSaved,
            Event::Reserved,
            Event::IntentSaved,
            Event::EvidenceSaved,
            Event::FailureSaved,
            Event::BoardGone,
        ] {
            way_out.on(event);
        }
        let next = way_out.on(Event::BoardSeen { chips: 1 });
        assert_eq!(next, Effect::Identify(0), "stuck from {visit:?}");
        for event in &events {
            let mut next = visit;
            next.on(*event);
            if seen.insert(next) {
                queue.push_back(next);
            }
        }
    }
}

fn check(events: &[(Event, Effect)]) {
    let mut visit = Visit::new();
    for (event, effect) in events {
        assert_eq!(visit.on(*event), *effect, "on {event:?}");
    }
}

#[test]
fn a_good_unit_goes_through_every_step_in_the_order_of_the_design() {
    check(&[
        (Event::BoardSeen { chips: 1 }, Effect::Identify(0)),
        (Event::Identified, Effect::Decide),
        (Event::Decided(FLASHES[0]), Effect::Reserve(CodeSource::New)),
        (Event::Reserved, Effect::Program(0)),
        (Event::Programmed, Effect::CheckBlock(0)),
        (Event::BlockMatched, Effect::SelfTest(0)),
        (Event::SelfTested, Effect::SaveIntent),
        (Event::IntentSaved, Effect::Protect(0)),
        (Event::Protected, Effect::SaveEvidence(Verdict::Pass)),
        (Event::EvidenceSaved, Effect::Release(Verdict::Pass)),
        (Event::BoardGone, Effect::Watch),
    ]);
}

#[test]
fn of_two_chips_one_is_done_before_the_next_and_both_are_locked_at_the_end() {
    check(&[
        (Event::BoardSeen { chips: 2 }, Effect::Identify(0)),
        (Event::Identified, Effect::Identify(1)),
        (Event::Identified, Effect::Decide),
        (Event::Decided(FLASHES[4]), Effect::Reserve(CodeSource::New)),
        (Event::Reserved, Effect::Program(0)),
        (Event::Programmed, Effect::SelfTest(0)),
        (Event::SelfTested, Effect::Program(1)),
        (Event::Programmed, Effect::CheckBlock(1)),
        (Event::BlockMatched, Effect::SelfTest(1)),
        (Event::SelfTested, Effect::SaveIntent),
        (Event::IntentSaved, Effect::Protect(0)),
        (Event::Protected, Effect::Protect(1)),
        (Event::Protected, Effect::SaveEvidence(Verdict::Pass)),
        (Event::EvidenceSaved, Effect::Release(Verdict::Pass)),
    ]);
}

#[test]
fn a_second_chip_that_fails_takes_the_first_with_it() {
    let code = TroubleCode::ReadBackDiffered;
    check(&[
        (Event::BoardSeen { chips: 2 }, Effect::Identify(0)),
        (Event::Identified, Effect::Identify(1)),
        (Event::Identified, Effect::Decide),
        (Event::Decided(FLASHES[5]), Effect::Reserve(CodeSource::Adopted)),
        (Event::Reserved, Effect::Program(0)),
        (Event::Programmed, Effect::SelfTest(0)),
        (Event::SelfTested, Effect::Program(1)),
        (Event::Failed(code), Effect::SaveFailure { code, gives_place_back: true }),
        (Event::FailureSaved, Effect::Reject(code)),
    ]);
}

#[test]
fn locked_chips_are_erased_after_the_record_of_it_and_then_read_anew() {
    check(&[
        (Event::BoardSeen { chips: 2 }, Effect::Identify(0)),
        (Event::Identified, Effect::Identify(1)),
        (Event::Identified, Effect::Decide),
        (Event::Decided(Decision::Unlock(BOTH)), Effect::SaveUnlock),
        (Event::UnlockSaved, Effect::Unlock(0)),
        (Event::Unlocked, Effect::Unlock(1)),
        (Event::Unlocked, Effect::Identify(0)),
        (Event::Identified, Effect::Identify(1)),
        (Event::Identified, Effect::Decide),
    ]);
}

#[test]
fn a_unit_that_passed_before_is_compared_and_never_written() {
    check(&[
        (Event::BoardSeen { chips: 2 }, Effect::Identify(0)),
        (Event::Identified, Effect::Identify(1)),
        (Event::Identified, Effect::Decide),
        (Event::Decided(Decision::CompareOnly), Effect::Compare(0)),
        (Event::Compared, Effect::Compare(1)),
        (Event::Compared, Effect::SaveEvidence(Verdict::SeenBefore)),
        (Event::EvidenceSaved, Effect::Release(Verdict::SeenBefore)),
    ]);
}

#[test]
fn a_board_pulled_while_it_is_written_fails_gives_its_place_back_and_may_be_seated_again() {
    let code = TroubleCode::BoardUnplugged;
    check(&[
        (Event::BoardSeen { chips: 1 }, Effect::Identify(0)),
        (Event::Identified, Effect::Decide),
        (Event::Decided(FLASHES[1]), Effect::Reserve(CodeSource::New)),
        (Event::Reserved, Effect::Program(0)),
        (Event::BoardGone, Effect::SaveFailure { code, gives_place_back: true }),
        (Event::FailureSaved, Effect::Reject(code)),
        (Event::BoardSeen { chips: 1 }, Effect::Identify(0)),
    ]);
}
