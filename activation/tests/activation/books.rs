//! The books: places, indices, and what the hub makes of everything that was recorded.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use crate::world::chip;
use activation::books::{
    Activation, Fact, Finding, Indices, IndicesError, Places, PlacesError, Register, lend_indices,
};
use activation::{Chip, Numbers, NumbersError};
use std::collections::{BTreeMap, BTreeSet};

#[test]
fn in_no_order_of_boards_are_more_begun_than_the_portion_has() {
    let mut swept = 0;
    let mut stack = vec![(Places::new(2, 0, 0).unwrap(), 0)];
    while let Some((places, depth)) = stack.pop() {
        swept += 1;
        assert!(places.passed() + places.in_work() + places.left() == 2);
        if depth == 8 {
            continue;
        }
        let full = places.left() == 0;
        let idle = places.in_work() == 0;
        assert_eq!(places.take().is_err(), full);
        assert_eq!(places.pass() == Err(PlacesError::NothingInWork), idle);
        assert_eq!(places.fail() == Err(PlacesError::NothingInWork), idle);
        let next = [places.take(), places.pass(), places.fail()];
        stack.extend(next.into_iter().flatten().map(|places| (places, depth + 1)));
    }
    assert_eq!(swept, 127);
}

#[test]
fn places_that_cannot_be_are_refused() {
    let impossible = PlacesError::Impossible { size: 2, passed: 1, in_work: 2 };
    assert_eq!(Places::new(2, 1, 2), Err(impossible));
    assert!(Places::new(u32::MAX, u32::MAX, 1).is_err());
    let places = Places::new(4, 1, 2).unwrap();
    assert_eq!(places.resize(3).unwrap().left(), 0);
    assert_eq!(places.resize(2), Err(PlacesError::Begun { size: 2, begun: 3 }));
    let full = PlacesError::Full { size: 3, passed: 1, in_work: 2 };
    assert_eq!(places.resize(3).unwrap().take(), Err(full));
}

#[test]
fn portions_of_an_allotment_are_disjoint_stretches() {
    let mut free = Numbers::of(0..10);
    assert_eq!(lend_indices(&mut free, 4), Ok(0..4));
    assert_eq!(lend_indices(&mut free, 3), Ok(4..7));
    assert_eq!(lend_indices(&mut free, 4), Err(NumbersError::TooFew { asked: 4, left: 3 }));
    assert_eq!(lend_indices(&mut free, 3), Ok(7..10));
    assert_eq!(lend_indices(&mut free, 1), Err(NumbersError::TooFew { asked: 1, left: 0 }));
    let mut apart: Numbers = [0, 1, 5, 6, 7].into_iter().collect();
    assert_eq!(lend_indices(&mut apart, 3), Ok(5..8));
    assert_eq!(lend_indices(&mut apart, 3), Err(NumbersError::TooFew { asked: 3, left: 2 }));
}

#[test]
fn the_same_chip_has_the_same_index_and_no_index_two_chips() {
    let mut indices = Indices::new(5..8);
    let mut given = BTreeMap::new();
    // Every order of ten requests by four chips: base 4 digits.
    for order in 0..4_u32.pow(6) {
        let mut indices = indices.clone();
        let mut given = BTreeMap::new();
        for place in 0..6 {
            let uid = (order / 4_u32.pow(place) % 4) as u8;
            match indices.give(&chip(&[uid])) {
                Ok(index) => assert_eq!(*given.entry(uid).or_insert(index), index),
                Err(error) => {
                    assert_eq!(error, IndicesError::Spent { count: 3 });
                    assert!(given.len() == 3 && !given.contains_key(&uid));
                }
            }
        }
        let distinct: BTreeSet<u32> = given.values().copied().collect();
        assert_eq!(distinct.len(), given.len());
        assert!(distinct.iter().all(|index| (5..8).contains(index)));
        assert_eq!(indices.left() as usize, 3 - given.len());
    }
    for uid in [1, 2] {
        given.insert(uid, indices.give(&chip(&[uid])).unwrap());
    }
    assert_eq!(given, BTreeMap::from([(1, 5), (2, 6)]));
}

#[test]
fn indices_read_from_the_disk_leave_gaps_alone() {
    let mut indices = Indices::new(5..9);
    indices.restore(chip(&[2]), 7).unwrap();
    let check = |uid: u8, index, error| {
        assert_eq!(indices.clone().restore(chip(&[uid]), index), Err(error));
    };
    check(2, 8, IndicesError::Twice { index: 8 });
    check(3, 7, IndicesError::Twice { index: 7 });
    check(3, 4, IndicesError::Outside { index: 4 });
    check(3, 9, IndicesError::Outside { index: 9 });
    assert_eq!(indices.give(&chip(&[3])), Ok(8));
    assert_eq!(indices.give(&chip(&[4])), Err(IndicesError::Spent { count: 4 }));
    assert_eq!(indices.give(&chip(&[2])), Ok(7));
}

const A: [u8; 32] = [0xA; 32];
const B: [u8; 32] = [0xB; 32];

fn activation(code: &str, allotment: u8, index: u32) -> Activation {
    Activation { code: code.into(), allotment: [allotment; 16], index }
}

fn activated(station: [u8; 32], uid: u8, activation: &Activation) -> Fact {
    Fact::Activated { station, chip: chip(&[uid]), activation: activation.clone() }
}

fn passed(station: [u8; 32], uid: u8) -> Fact {
    Fact::Passed { station, chip: chip(&[uid]) }
}

fn scrapped(station: Option<[u8; 32]>, uid: u8) -> Fact {
    Fact::Scrapped { station, chip: chip(&[uid]) }
}

fn replaced(station: [u8; 32], serial: &str, old: u8, new: u8) -> Fact {
    let (old, new) = (chip(&[old]), chip(&[new]));
    Fact::ChipReplaced { station: Some(station), serial: serial.into(), old, new }
}

/// Records all but the last fact, and checks what the last one finds.
#[track_caller]
fn check(facts: &[Fact], findings: &[Finding]) -> Register {
    let mut register = Register::default();
    let mut last = Vec::new();
    for fact in facts {
        last = register.record(fact);
    }
    assert_eq!(last, findings, "{facts:#?}");
    register
}

#[test]
fn of_two_credentials_for_one_chip_the_first_recorded_is_kept_and_the_second_void() {
    let (kept, voided) = (activation("K", 1, 0), activation("V", 2, 0));
    let second =
        Finding::SecondCredential { chip: chip(&[1]), kept: kept.clone(), voided: voided.clone() };
    let facts = [activated(A, 1, &kept), activated(B, 1, &voided)];
    let register = check(&facts, &[second]);
    assert_eq!(register.live_code(&chip(&[1])), Some("K"));
    assert_eq!(register.unit(&chip(&[1])).unwrap().voided_codes, ["V"]);
    // The void credential is not free for another chip either.
    let on_another = [&facts[..], &[activated(B, 2, &voided)]].concat();
    let two = Finding::CodeOnTwoChips { code: "V".into(), first: chip(&[1]), second: chip(&[2]) };
    let register = check(&on_another, &[two]);
    assert_eq!(register.live_code(&chip(&[2])), None);
}

#[test]
fn one_credential_on_two_chips_names_the_board_to_pull() {
    let one = activation("K", 1, 0);
    let two = Finding::CodeOnTwoChips { code: "K".into(), first: chip(&[1]), second: chip(&[2]) };
    let register = check(&[activated(A, 1, &one), activated(B, 2, &one)], &[two]);
    assert_eq!(register.live_code(&chip(&[1])), Some("K"));
    assert_eq!(register.live_code(&chip(&[2])), None);
}

#[test]
fn one_code_paid_for_twice_and_one_index_used_twice_are_shown() {
    let (first, second) = (activation("K", 1, 0), activation("K", 2, 5));
    let facts = [activated(A, 1, &first), activated(B, 1, &second)];
    let chip_one = chip(&[1]);
    check(&facts, &[Finding::SpentTwice { chip: chip_one, first: first.clone(), second }]);
    let copied = activation("L", 1, 0);
    let reused = Finding::IndexOnTwoChips {
        allotment: [1; 16],
        index: 0,
        first: chip(&[1]),
        second: chip(&[2]),
    };
    let register = check(&[activated(A, 1, &first), activated(A, 2, &copied)], &[reused]);
    // Each has the code of its own UID; which of them is the copy, a person finds out.
    assert_eq!(register.live_code(&chip(&[1])), Some("K"));
    assert_eq!(register.live_code(&chip(&[2])), Some("L"));
    check(&[activated(A, 1, &first), activated(A, 1, &first)], &[]);
}

#[test]
fn a_void_and_another_stations_pass_name_the_board_to_pull_in_either_order() {
    let pull = |passed_at| [Finding::PullBoard { chip: chip(&[1]), passed_at }];
    check(&[passed(B, 1), scrapped(Some(A), 1)], &pull(B));
    check(&[scrapped(Some(A), 1), passed(B, 1)], &pull(B));
    check(&[scrapped(None, 1), passed(B, 1)], &pull(B));
    // Whoever scraps the board that passed before his eyes has it in his hands.
    check(&[passed(A, 1), scrapped(Some(A), 1)], &[]);
    check(&[passed(A, 1), scrapped(None, 1)], &[]);
    check(&[passed(B, 1), scrapped(Some(A), 1), scrapped(Some(A), 1)], &[]);
    check(&[passed(B, 1), replaced(A, "S1", 1, 2)], &pull(B));
    check(&[replaced(A, "S1", 1, 2), passed(B, 1)], &pull(B));
}

#[test]
fn a_scrapped_chip_has_no_code_and_its_use_is_shown() {
    let one = activation("K", 1, 0);
    let facts = [activated(A, 1, &one), scrapped(Some(A), 1)];
    let register = check(&facts, &[]);
    assert_eq!(register.live_code(&chip(&[1])), None);
    let again = [&facts[..], &[activated(B, 1, &one)]].concat();
    let register = check(&again, &[Finding::VoidInUse { chip: chip(&[1]), station: B }]);
    assert_eq!(register.live_code(&chip(&[1])), None);
    let unit = register.unit(&chip(&[1])).unwrap();
    assert_eq!(unit.activation.as_ref(), Some(&one), "voided, not deleted");
}

#[test]
fn a_replaced_chip_is_void_and_one_serial_links_old_and_new() {
    let (one, two) = (activation("K", 1, 0), activation("L", 1, 1));
    let facts =
        [activated(A, 1, &one), passed(A, 1), replaced(A, "S1", 1, 2), activated(A, 2, &two)];
    let register = check(&facts, &[]);
    assert_eq!(register.live_code(&chip(&[1])), None);
    assert_eq!(register.live_code(&chip(&[2])), Some("L"));
    for uid in [1, 2] {
        assert_eq!(register.unit(&chip(&[uid])).unwrap().serial.as_deref(), Some("S1"));
    }
    let register = check(
        &[replaced(A, "S1", 1, 2), replaced(A, "S2", 2, 3)],
        &[Finding::SecondSerial { chip: chip(&[2]), kept: "S1".into(), refused: "S2".into() }],
    );
    assert!(register.unit(&chip(&[2])).unwrap().void);
    let itself = Finding::ReplacedByItself { chip: chip(&[1]), serial: "S1".into() };
    let register = check(&[replaced(A, "S1", 1, 1)], &[itself]);
    assert_eq!(register.chips().count(), 0);
}

#[test]
fn a_reworked_unit_keeps_its_code_and_spends_nothing() {
    let one = activation("K", 1, 0);
    let facts = [activated(A, 1, &one), passed(A, 1), activated(B, 1, &one), passed(B, 1)];
    let register = check(&facts, &[]);
    assert_eq!(register.live_code(&chip(&[1])), Some("K"));
    assert_eq!(register.unit(&chip(&[1])).unwrap().passed_at, Some(A));
}

/// What has been true of a chip at any time.
#[derive(Clone, Default)]
struct Past {
    code: Option<String>,
    void: bool,
    passed: bool,
    pulled: bool,
}

#[test]
fn in_no_order_of_records_is_a_code_live_twice_or_a_wrong_board_unseen() {
    let (k, l, m) = (activation("K", 1, 0), activation("L", 1, 1), activation("M", 2, 0));
    let mut facts = Vec::new();
    for (uid, station) in [(1, A), (1, B), (2, B)] {
        facts.extend([&k, &l, &m].map(|given| activated(station, uid, given)));
    }
    facts.extend([passed(A, 1), passed(B, 1), passed(B, 2)]);
    facts.extend([scrapped(Some(A), 1), scrapped(None, 2)]);
    facts.extend([replaced(A, "S1", 1, 2), replaced(B, "S2", 2, 1)]);
    let mut swept = 0_usize;
    let mut stack = vec![(Register::default(), [Past::default(), Past::default()], 0)];
    while let Some((register, past, depth)) = stack.pop() {
        swept += 1;
        if depth == 4 {
            continue;
        }
        for fact in &facts {
            let (mut register, mut past) = (register.clone(), past.clone());
            let before = register.clone();
            let findings = register.record(fact);
            for (uid, past) in (1..).zip(&mut past) {
                judge(&register, &chip(&[uid]), past, fact, &before, &findings);
            }
            let live: Vec<&str> =
                register.chips().filter_map(|(chip, _)| register.live_code(chip)).collect();
            let distinct: BTreeSet<&str> = live.iter().copied().collect();
            assert_eq!(distinct.len(), live.len(), "a code is live on two chips after {fact:?}");
            // The same record again finds nothing new to do.
            let again = register.clone();
            register.record(fact);
            assert_eq!(register, again, "{fact:?}");
            stack.push((register, past, depth + 1));
        }
    }
    assert_eq!(swept, (0..=4).map(|depth| facts.len().pow(depth)).sum::<usize>());
}

fn judge(
    register: &Register,
    chip: &Chip,
    past: &mut Past,
    fact: &Fact,
    before: &Register,
    findings: &[Finding],
) {
    let Some(unit) = register.unit(chip) else { return };
    let code = unit.activation.as_ref().map(|activation| activation.code.clone());
    assert!(past.code.is_none() || past.code == code, "{chip}: its code changed with {fact:?}");
    assert!(!past.void || unit.void, "{chip}: void was undone by {fact:?}");
    assert!(!unit.void || register.live_code(chip).is_none(), "{chip}: void and live");
    let was_void = before.unit(chip).is_some_and(|unit| unit.void);
    let pulls = findings.iter().any(
        |finding| matches!(finding, Finding::PullBoard { chip: pulled, .. } if pulled == chip),
    );
    match fact {
        Fact::Passed { station, chip: board } if board == chip => {
            let first = before.unit(chip).and_then(|unit| unit.passed_at) != Some(*station);
            assert_eq!(pulls, was_void && first, "{chip}: {fact:?}");
            past.passed = true;
        }
        Fact::Activated { chip: board, activation, .. } if board == chip => {
            let own = code.as_ref() == Some(&activation.code);
            let shown = !findings.is_empty() || unit.voided_codes.contains(&activation.code);
            assert!(own || shown, "{chip}: {fact:?} was lost");
            let in_use = findings.iter().any(|f| matches!(f, Finding::VoidInUse { .. }));
            assert_eq!(in_use, was_void, "{chip}: {fact:?}");
        }
        Fact::Scrapped { station, chip: board }
        | Fact::ChipReplaced { station, old: board, .. }
            if board == chip =>
        {
            let passed_at = unit.passed_at;
            let elsewhere = station.is_some() && passed_at.is_some() && *station != passed_at;
            assert_eq!(pulls, elsewhere && !was_void, "{chip}: {fact:?}");
            assert!(unit.void);
        }
        Fact::Activated { .. }
        | Fact::Passed { .. }
        | Fact::Scrapped { .. }
        | Fact::ChipReplaced { .. } => {
            assert!(!pulls, "{chip}: {fact:?} is about another board");
        }
    }
    past.pulled |= pulls;
    past.code = code;
    past.void = unit.void;
}
