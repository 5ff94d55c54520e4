//! The hub's book and the alarm: shares are disjoint, and low water is seen in time.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use crate::world::chip;
use activation::pool::{BookError, Cut, Marks, PoolBook, Stock, Water, water};
use activation::{Numbers, NumbersError};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn name(n: u8) -> [u8; 16] {
    [n; 16]
}

fn numbers(list: &[u32]) -> Numbers {
    list.iter().copied().collect()
}

#[test]
fn cuts_are_disjoint_and_come_from_what_was_imported() {
    let mut book = PoolBook::default();
    assert_eq!(book.import(5), Ok(0..5));
    let one = book.cut(name(1), [1; 32], 3).unwrap();
    let two = book.cut(name(2), [2; 32], 2).unwrap();
    assert_eq!((one.numbers, two.numbers), (Numbers::of(0..3), Numbers::of(3..5)));
    assert!(book.free().is_empty());
    assert_eq!(book.import(4), Ok(5..9));
    assert_eq!((book.imported(), book.free().count()), (9, 4));
    assert_eq!(book.cuts().len(), 2);
}

#[test]
fn what_would_lend_a_credential_twice_is_refused_and_changes_nothing() {
    let mut book = PoolBook::default();
    book.import(5).unwrap();
    book.cut(name(1), [1; 32], 3).unwrap();
    book.give_back(name(1), &numbers(&[1])).unwrap();
    let check = |change: &dyn Fn(&mut PoolBook) -> Result<(), BookError>, error| {
        let mut changed = book.clone();
        assert_eq!(change(&mut changed), Err(error));
        assert_eq!(changed, book);
    };
    check(&|book| book.cut(name(2), [2; 32], 0).map(drop), BookError::Nothing);
    check(&|book| book.cut(name(1), [2; 32], 1).map(drop), BookError::AllotmentUsed);
    let few = BookError::TooFew(NumbersError::TooFew { asked: 4, left: 3 });
    check(&|book| book.cut(name(2), [2; 32], 4).map(drop), few);
    check(&|book| book.give_back(name(9), &numbers(&[0])), BookError::UnknownAllotment);
    let beyond = BookError::BeyondCut { index: 3, count: 3 };
    check(&|book| book.give_back(name(1), &numbers(&[0, 3])), beyond);
    let twice = BookError::GivenBack(NumbersError::Twice { number: 1 });
    check(&|book| book.give_back(name(1), &numbers(&[0, 1])), twice);
    let relend = |number| {
        move |book: &mut PoolBook| book.relend(number, &chip(&[1]), name(7), [2; 32]).map(drop)
    };
    check(&relend(1), BookError::NeverLent { number: 1 });
    check(&relend(4), BookError::NeverLent { number: 4 });
    check(&relend(5), BookError::NeverLent { number: 5 });
    let used = |book: &mut PoolBook| book.relend(0, &chip(&[1]), name(1), [2; 32]).map(drop);
    check(&used, BookError::AllotmentUsed);
    check(&|book| book.import(u32::MAX - 4).map(drop), BookError::Full);
}

#[test]
fn a_bound_credential_is_lent_anew_for_its_chip_and_never_given_back() {
    let mut book = PoolBook::default();
    book.import(5).unwrap();
    book.cut(name(1), [1; 32], 3).unwrap();
    let cut = book.relend(2, &chip(&[1]), name(2), [2; 32]).unwrap();
    assert_eq!((cut.numbers.clone(), cut.only_for), (Numbers::of(2..3), Some(chip(&[1]))));
    assert_eq!(book.free(), &Numbers::of(3..5));
    let back = book.give_back(name(2), &numbers(&[0]));
    assert_eq!(back, Err(BookError::UnknownAllotment));
}

#[test]
fn a_stations_index_and_the_pools_number_name_the_same_credential() {
    let mut book = PoolBook::default();
    book.import(10).unwrap();
    book.cut(name(1), [1; 32], 4).unwrap();
    book.give_back(name(1), &numbers(&[1, 3])).unwrap();
    let cut = book.cut(name(2), [2; 32], 4).unwrap();
    assert_eq!(cut.numbers.ranges(), [1..2, 3..6]);
    let check = |index, number| assert_eq!(cut.number_of(index), number, "{index}");
    check(0, Some(1));
    check(1, Some(3));
    check(3, Some(5));
    check(4, None);
    for (index, number) in (0..).zip(cut.numbers.iter()) {
        assert_eq!(cut.index_of(number), Some(index));
    }
    assert_eq!((cut.index_of(2), cut.index_of(0), cut.index_of(6)), (None, None, None));
}

proptest! {
    #[test]
    fn whatever_is_cut_and_given_back_no_credential_is_lent_twice(
        steps in prop::collection::vec((any::<bool>(), 1..20_u32, any::<u8>()), 1..40),
    ) {
        let mut book = PoolBook::default();
        for (at, (import, count, pick)) in steps.into_iter().enumerate() {
            if import {
                book.import(count).unwrap();
            } else if pick % 3 == 0 {
                let names: Vec<_> = book.cuts().keys().copied().collect();
                if let Some(&name) = names.get(usize::from(pick) % names.len().max(1)) {
                    let _ = book.give_back(name, &numbers(&[count % 7]));
                }
            } else {
                let _ = book.cut(name(at as u8), [0; 32], count);
            }
            let lent = |cut: &Cut| {
                let mut numbers = cut.numbers.clone();
                numbers.remove(&cut.given_back).unwrap();
                numbers
            };
            let mut held = book.free().clone();
            for cut in book.cuts().values() {
                // Putting a number in twice is an error: this is the promise.
                held.put(&lent(cut)).unwrap();
            }
            prop_assert_eq!(held, Numbers::of(0..book.imported()));
            let restored = PoolBook::restore(book.imported(), book.cuts().values().cloned());
            prop_assert_eq!(restored.as_ref(), Ok(&book));
        }
    }

    #[test]
    fn a_set_of_numbers_is_what_a_set_of_numbers_is(
        steps in prop::collection::vec((0..4_u8, 0..40_u32, 0..12_u32), 1..30),
    ) {
        let (mut set, mut model) = (Numbers::default(), BTreeSet::new());
        for (step, start, count) in steps {
            let range: BTreeSet<u32> = (start..start + count).collect();
            let before = set.clone();
            match step {
                0 => {
                    let put = set.put(&Numbers::of(start..start + count));
                    let clash = model.intersection(&range).min().copied();
                    prop_assert_eq!(put, clash.map_or(Ok(()), |n| Err(NumbersError::Twice { number: n })));
                    if clash.is_none() { model.extend(range) }
                }
                1 => {
                    let removed = set.remove(&Numbers::of(start..start + count));
                    prop_assert_eq!(removed.is_ok(), range.is_subset(&model));
                    if removed.is_ok() { model.retain(|n| !range.contains(n)) }
                }
                2 => {
                    let taken = set.take(count);
                    if count as usize > model.len() {
                        let left = model.len() as u32;
                        prop_assert_eq!(taken, Err(NumbersError::TooFew { asked: count, left }));
                    } else {
                        let lowest: Vec<u32> = model.iter().take(count as usize).copied().collect();
                        prop_assert_eq!(taken.unwrap().iter().collect::<Vec<_>>(), lowest.clone());
                        model.retain(|n| !lowest.contains(n));
                    }
                }
                _ => {
                    prop_assert_eq!(model.iter().copied().collect::<Numbers>(), set.clone());
                    prop_assert_eq!(set.contains(start), model.contains(&start));
                }
            }
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.count() as usize, model.len());
            let apart = set.ranges().windows(2).all(|pair| pair[0].end < pair[1].start);
            prop_assert!(apart, "{:?} after {:?}", set, before);
        }
    }

    #[test]
    fn fewer_left_or_a_faster_pace_never_look_better(
        left in 0..1000_u64, spent in 0..1000_u64, over_days in 0..30_u32,
        few in 0..500_u64, days in 0..60_u32, less in 0..1000_u64, more in 0..1000_u64,
    ) {
        let marks = Marks { few, days };
        let now = water(Stock { left, spent, over_days }, marks);
        let worse = Stock { left: left.saturating_sub(less), spent: spent + more, over_days };
        prop_assert!(water(worse, marks) <= now);
        prop_assert_eq!(now == Water::Empty, left == 0);
    }
}

#[test]
fn low_water_is_few_left_or_few_days_left() {
    let marks = Marks { few: 100, days: 7 };
    let check = |left, spent, over_days, expected| {
        assert_eq!(water(Stock { left, spent, over_days }, marks), expected, "{left} {spent}");
    };
    check(0, 0, 0, Water::Empty);
    check(1, 0, 0, Water::Low);
    check(100, 0, 0, Water::Low);
    check(101, 0, 0, Water::Enough);
    check(101, 0, 14, Water::Enough);
    // 1000 in 10 days: 700 last exactly seven days.
    check(700, 1000, 10, Water::Low);
    check(701, 1000, 10, Water::Enough);
    check(u64::MAX, u64::MAX, 7, Water::Low);
    check(u64::MAX, u64::MAX, 8, Water::Enough);
    let never = Marks { few: 0, days: 0 };
    assert_eq!(water(Stock { left: 1, spent: 1000, over_days: 1 }, never), Water::Enough);
    let days = |left, spent, over_days| Stock { left, spent, over_days }.days_left();
    assert_eq!((days(700, 1000, 10), days(699, 1000, 10)), (Some(7), Some(6)));
    assert_eq!((days(5, 0, 10), days(5, 1, 0), days(u64::MAX, 1, 9)), (None, None, Some(u64::MAX)));
}
