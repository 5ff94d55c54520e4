//! Every order of events, of any length: the machine and a watcher of its promises are walked
//! together until no new pair of states appears.

use std::collections::{HashSet, VecDeque};

use super::*;

/// What an outside observer remembers of one visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Watcher {
    /// The decision said flash.
    may_reserve: bool,
    /// The decision said compare only.
    compare_only: bool,
    /// A reservation is asked for / is on disk / was ended by a saved record.
    reserve_asked: bool,
    reserved: bool,
    ended: bool,
    /// A record of the end was tried and the disk refused it.
    end_lost: bool,
    programmed: bool,
    block_matched: bool,
    self_tested: bool,
    intent_saved: bool,
    protected: bool,
    compared: bool,
    /// What was asked last, other than nothing.
    last: Option<Effect>,
}

const WORKS: [Work; 5] = [
    Work { code: CodeSource::New, self_test: true, protect: true },
    Work { code: CodeSource::New, self_test: true, protect: false },
    Work { code: CodeSource::Reserved, self_test: false, protect: true },
    Work { code: CodeSource::Adopted, self_test: false, protect: false },
    Work { code: CodeSource::NotActivated, self_test: true, protect: false },
];

fn alphabet() -> Vec<Event> {
    let mut events = vec![
        Event::BoardSeen,
        Event::Identified,
        Event::Decided(Decision::CompareOnly),
        Event::Decided(Decision::Refuse(TroubleCode::PortionFull)),
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
    events.extend(WORKS.map(|work| Event::Decided(Decision::Flash(work))));
    events
}

impl Watcher {
    fn see(&mut self, before: Visit, event: Event, effect: Effect, after: Visit) {
        let context = || format!("{before:?} on {event:?} gives {effect:?}, with {self:?}");
        match effect {
            Effect::Release(verdict) => {
                assert_eq!(event, Event::EvidenceSaved, "{}", context());
                assert_eq!(self.last, Some(Effect::SaveEvidence(verdict)), "{}", context());
            }
            Effect::Program => {
                assert_eq!(event, Event::Reserved, "{}", context());
                assert!(self.reserve_asked && !self.compare_only, "{}", context());
            }
            Effect::Reserve(_) => {
                assert!(
                    matches!(event, Event::Decided(Decision::Flash(_)))
                        && self.last == Some(Effect::Decide),
                    "{}",
                    context()
                );
            }
            Effect::Protect => assert_eq!(event, Event::IntentSaved, "{}", context()),
            Effect::SaveIntent => assert!(self.tested(before, event), "{}", context()),
            Effect::SaveEvidence(Verdict::Pass) => {
                assert!(self.tested(before, event), "{}", context());
                let work = before.work.expect("a pass without work");
                assert!(!work.protect || event == Event::Protected, "{}", context());
            }
            Effect::SaveEvidence(Verdict::SeenBefore) => {
                assert!(self.compare_only && event == Event::Compared, "{}", context());
            }
            Effect::SaveFailure { gives_place_back, .. } => {
                let holds = (self.reserved || (self.reserve_asked && event == Event::Reserved))
                    && !self.ended;
                assert_eq!(gives_place_back, holds, "{}", context());
            }
            Effect::Watch | Effect::Identify => {
                // A visit that took a place is never left without a record of its end, unless the
                // disk refused that record.
                assert!(!self.reserved || self.ended || self.end_lost, "{}", context());
            }
            Effect::Ignore => {
                let quiet = Visit { board_gone: after.board_gone, ..before };
                assert_eq!(quiet, after, "an ignored event changes nothing: {}", context());
            }
            Effect::Decide
            | Effect::CheckBlock
            | Effect::SelfTest
            | Effect::Compare
            | Effect::Reject(_) => {}
        }
        self.remember(before, event, effect);
    }

    fn tested(&self, before: Visit, event: Event) -> bool {
        let work = before.work.expect("written without work");
        let programmed = self.programmed || event == Event::Programmed;
        let matched = work.code == CodeSource::NotActivated
            || self.block_matched
            || event == Event::BlockMatched;
        let tested = !work.self_test || self.self_tested || event == Event::SelfTested;
        programmed && matched && tested
    }

    fn remember(&mut self, before: Visit, event: Event, effect: Effect) {
        if matches!(effect, Effect::Watch | Effect::Identify) {
            *self = Self { last: Some(effect), ..Self::default() };
            return;
        }
        if effect == Effect::Ignore {
            return;
        }
        match (self.last, event) {
            (Some(Effect::Decide), Event::Decided(Decision::Flash(_))) => self.may_reserve = true,
            (Some(Effect::Decide), Event::Decided(Decision::CompareOnly)) => {
                self.compare_only = true;
            }
            (Some(Effect::Reserve(_)), Event::Reserved) => self.reserved = true,
            (Some(Effect::Program), Event::Programmed) => self.programmed = true,
            (Some(Effect::CheckBlock), Event::BlockMatched) => self.block_matched = true,
            (Some(Effect::SelfTest), Event::SelfTested) => self.self_tested = true,
            (Some(Effect::SaveIntent), Event::IntentSaved) => self.intent_saved = true,
            (Some(Effect::Protect), Event::Protected) => self.protected = true,
            (Some(Effect::Compare), Event::Compared) => self.compared = true,
            (Some(Effect::SaveEvidence(_)), Event::EvidenceSaved)
            | (Some(Effect::SaveFailure { .. }), Event::FailureSaved) => self.ended = true,
            (_, _) => {}
        }
        if matches!(before.step(), Step::SavingFailure(_)) && matches!(event, Event::Failed(_)) {
            self.end_lost = true;
        }
        if matches!(effect, Effect::Reserve(_)) {
            self.reserve_asked = true;
        }
        self.last = Some(effect);
    }
}

#[test]
fn in_no_order_of_events_is_a_promise_broken() {
    let events = alphabet();
    let start = (Visit::new(), Watcher::default());
    let mut seen = HashSet::from([start]);
    let mut queue = VecDeque::from([start]);
    let mut steps = 0_u32;
    while let Some((visit, watcher)) = queue.pop_front() {
        for event in &events {
            let mut next = visit;
            let effect = next.on(*event);
            let mut watched = watcher;
            watched.see(visit, *event, effect, next);
            steps += 1;
            if seen.insert((next, watched)) {
                queue.push_back((next, watched));
            }
        }
    }
    println!("{} pairs of states, {steps} steps", seen.len());
    assert!(seen.len() > 100, "the walk must reach the whole machine, not {}", seen.len());
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
            Event::Reserved,
            Event::IntentSaved,
            Event::EvidenceSaved,
            Event::FailureSaved,
            Event::BoardGone,
        ] {
            way_out.on(event);
        }
        assert_eq!(way_out.on(Event::BoardSeen), Effect::Identify, "stuck from {visit:?}");
        for event in &events {
            let mut next = visit;
            next.on(*event);
            if seen.insert(next) {
                queue.push_back(next);
            }
        }
    }
}

#[test]
fn a_good_unit_goes_through_every_step_in_the_order_of_the_design() {
    let mut visit = Visit::new();
    let effects: Vec<Effect> = [
        Event::BoardSeen,
        Event::Identified,
        Event::Decided(Decision::Flash(WORKS[0])),
        Event::Reserved,
        Event::Programmed,
        Event::BlockMatched,
        Event::SelfTested,
        Event::IntentSaved,
        Event::Protected,
        Event::EvidenceSaved,
        Event::BoardGone,
    ]
    .into_iter()
    .map(|event| visit.on(event))
    .collect();
    assert_eq!(
        effects,
        [
            Effect::Identify,
            Effect::Decide,
            Effect::Reserve(CodeSource::New),
            Effect::Program,
            Effect::CheckBlock,
            Effect::SelfTest,
            Effect::SaveIntent,
            Effect::Protect,
            Effect::SaveEvidence(Verdict::Pass),
            Effect::Release(Verdict::Pass),
            Effect::Watch,
        ]
    );
}

#[test]
fn a_unit_that_passed_before_is_compared_and_never_written() {
    let mut visit = Visit::new();
    for (event, effect) in [
        (Event::BoardSeen, Effect::Identify),
        (Event::Identified, Effect::Decide),
        (Event::Decided(Decision::CompareOnly), Effect::Compare),
        (Event::Compared, Effect::SaveEvidence(Verdict::SeenBefore)),
        (Event::EvidenceSaved, Effect::Release(Verdict::SeenBefore)),
    ] {
        assert_eq!(visit.on(event), effect);
    }
}

#[test]
fn a_board_pulled_while_it_is_written_fails_gives_its_place_back_and_may_be_seated_again() {
    let mut visit = Visit::new();
    for event in [
        Event::BoardSeen,
        Event::Identified,
        Event::Decided(Decision::Flash(WORKS[1])),
        Event::Reserved,
    ] {
        visit.on(event);
    }
    assert_eq!(
        visit.on(Event::BoardGone),
        Effect::SaveFailure { code: TroubleCode::BoardUnplugged, gives_place_back: true }
    );
    assert_eq!(visit.on(Event::FailureSaved), Effect::Reject(TroubleCode::BoardUnplugged));
    assert_eq!(visit.on(Event::BoardSeen), Effect::Identify);
}
