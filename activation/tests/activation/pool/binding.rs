//! Bindings: one chip, one credential, for ever; secrets out of their seal for one write only.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use crate::world::*;
use activation::pool::{
    Bound, BoundState, ChipBytes, Credential, Journalled, OpenCredential, OpenError, PoolConflict,
    PoolDecision, PoolFacts, PoolFound, SealedCredential, Share, ShareError, decide,
};
use activation::{Chip, IssueError, MacSecret, Refusal, check_pool_block};
use std::collections::BTreeMap;
use std::convert::Infallible;

/// The compiler's proof that a type lacks a trait: with it, `which` would be ambiguous.
macro_rules! never_implements {
    ($type:ty: $($never:path),+) => {
        const _: fn() = || {
            trait Ambiguous<Which> { fn which() {} }
            impl<T: ?Sized> Ambiguous<()> for T {}
            $({
                struct Has;
                impl<T: ?Sized + $never> Ambiguous<Has> for T {}
            })+
            let _ = <$type as Ambiguous<_>>::which;
        };
    };
}

never_implements!(Credential: Clone, serde::Serialize, AsRef<[u8]>);
never_implements!(Journalled: Clone, serde::Serialize);
never_implements!(OpenCredential<'static>: Clone, serde::Serialize, AsRef<[u8]>);
never_implements!(ChipBytes: Clone, serde::Serialize);
never_implements!(MacSecret: Clone, serde::Serialize);

#[test]
fn nothing_that_is_open_shows_its_secret() {
    let credential = credentials(&[ROW]).remove(0);
    assert_eq!(format!("{credential:?}"), "Credential { code: \"lamp-0007\", .. }");
    let (journalled, sealed, schema) = (journalled(7), sealed(7), schema());
    let open = journalled.open(&sealed, &schema, unsealed).unwrap();
    let shown = format!("{open:?}");
    assert!(!shown.contains("17, 34, 51") && shown.contains("number: 7"), "{shown}");
    let bytes = open.into_block(&world().allotment()).unwrap();
    assert_eq!(format!("{bytes:?}"), "ChipBytes(352 bytes)");
}

#[test]
fn a_credential_is_opened_only_for_the_number_and_under_the_seal_that_are_its_own() {
    let (schema, good) = (schema(), sealed(7));
    let open = |number, credential: &SealedCredential| {
        journalled(number).open(credential, &schema, unsealed).map(drop)
    };
    open(7, &good).unwrap();
    let other = open(8, &good).unwrap_err();
    assert!(matches!(other, OpenError::OtherNumber { reserved: 8, found: 7 }), "{other}");
    // A public column changed in the database: the seal was made for another credential.
    let json = serde_json::to_string(&good).unwrap();
    let renamed = json.replace(&hex::encode("lamp-0007"), &hex::encode("lamp-0008"));
    assert_ne!(json, renamed);
    let renamed = open(7, &serde_json::from_str(&renamed).unwrap()).unwrap_err();
    assert!(matches!(renamed, OpenError::Sealed { number: 7, source: OtherSeal }), "{renamed}");
    let odd = |change: &dyn Fn(&mut Vec<u8>)| {
        journalled(7)
            .open(&good, &schema, |sealed, bound| {
                let mut clear = unsealed(sealed, bound)?;
                change(&mut clear);
                Ok::<_, OtherSeal>(clear)
            })
            .map(drop)
    };
    odd(&|_| {}).unwrap();
    let check = |change: &dyn Fn(&mut Vec<u8>)| {
        let error = odd(change).unwrap_err();
        assert!(matches!(error, OpenError::OtherSchema { number: 7 }), "{error}");
    };
    check(&|clear| clear.truncate(17));
    check(&|clear| clear.push(0));
    check(&|clear| clear.clear());
    check(&|clear| clear[0] = 15);
    check(&|clear| *clear = vec![2, 0, 1, 2]);
}

#[test]
fn a_block_is_made_only_in_the_share_that_the_credential_was_reserved_in() {
    let world = world();
    let (schema, sealed, journalled) = (schema(), sealed(7), journalled(7));
    let certificate =
        world.product_key.certify(PRODUCT, [1; 16], QUOTA, public_of(&world.station_key));
    let (keys, key) = (&world.keys, world.station_key.clone());
    let other = activation::Allotment::take_up(certificate, PRODUCT, keys, key).unwrap();
    let open = journalled.open(&sealed, &schema, unsealed).unwrap();
    assert!(matches!(open.into_block(&other), Err(IssueError::OtherShare)));
    assert_eq!(journalled.receipt(&sealed, &schema, &other), Err(IssueError::OtherShare));
    let elsewhere = self::sealed(8);
    let receipt = journalled.receipt(&elsewhere, &schema, &world.allotment());
    assert_eq!(receipt, Err(IssueError::CredentialUnusable));
    assert_eq!(journalled.record(), RECORD);
}

#[test]
fn a_credential_goes_from_seal_to_seal_and_still_makes_the_same_columns() {
    let (good, schema, world) = (sealed(7), schema(), world());
    let doubled =
        |clear: &[u8], bound: &[u8; 32]| Ok::<_, OtherSeal>([bound, bound, clear].concat());
    let again = good.reseal(3, unsealed, doubled).unwrap();
    assert_eq!((again.number(), again.digest()), (3, good.digest()));
    assert_eq!(again.code(&schema), Some("lamp-0007"));
    let journalled = journalled(3);
    let twice = |sealed: &[u8], bound: &[u8; 32]| {
        unsealed(sealed, bound).and_then(|once| unsealed(&once, bound))
    };
    let open = journalled.open(&again, &schema, twice).unwrap();
    let bytes = open.into_block(&world.allotment()).unwrap();
    let block = check_pool_block(bytes.as_bytes(), &claim(), &world.keys).unwrap();
    assert_eq!((block.code(), block.index()), ("lamp-0007", 3));
    assert_eq!(block.columns().count(), 3);
    let failed = good.reseal(3, |_, _| Err(OtherSeal), doubled);
    assert_eq!(failed, Err(OtherSeal));
    let failed = credentials(&[ROW]).remove(0).seal(0, |_, _| Err(OtherSeal));
    assert_eq!(failed, Err(OtherSeal));
}

#[test]
fn a_sealed_credential_survives_json_and_unknown_fields_are_refused() {
    let good = sealed(7);
    let json = serde_json::to_string(&good).unwrap();
    assert_eq!(serde_json::from_str::<SealedCredential>(&json).unwrap(), good);
    for bad in [json.replace("number", "place"), json.replacen("61", "6g", 1), "{}".into()] {
        assert!(serde_json::from_str::<SealedCredential>(&bad).is_err(), "{bad}");
    }
    let seal = |_: &[u8], _: &[u8; 32]| Ok::<_, Infallible>(vec![]);
    let credential = credentials(&[ROW]).remove(0).seal(0, seal).unwrap();
    assert_eq!(credential.public(), [b"a1ZxLamp".to_vec(), b"lamp-0007".to_vec()]);
}

fn bound(uid: u8, state: BoundState, acknowledged: bool) -> Bound {
    Bound { chip: chip(&[uid]), state, acknowledged }
}

#[test]
fn a_chip_keeps_its_credential_through_every_order_of_calls() {
    // Three chips, two credentials, every sequence of five calls; what is true of `model` must be
    // true of the share, and no call may break the promise.
    #[derive(Clone, Copy, Debug)]
    enum Call {
        Bind(u8),
        Written(u8),
        Void(u8),
        Acknowledge(u8),
        Restart,
    }
    let chips = [1, 2, 3];
    let mut calls = vec![Call::Restart];
    for uid in chips {
        calls.extend([Call::Bind(uid), Call::Written(uid), Call::Void(uid)]);
    }
    calls.push(Call::Acknowledge(1));
    let mut swept = 0_u32;
    let mut stack = vec![(Share::new(ALLOTMENT, 2), BTreeMap::<u8, u32>::new(), 0)];
    while let Some((share, model, depth)) = stack.pop() {
        swept += 1;
        if depth == 5 {
            continue;
        }
        for &call in &calls {
            let (mut share, mut model) = (share.clone(), model.clone());
            match call {
                Call::Bind(uid) => match share.reserve(&chip(&[uid])) {
                    Ok(reservation) => {
                        let number = reservation.number();
                        assert_eq!(reservation.is_known(), model.contains_key(&uid));
                        let known = *model.entry(uid).or_insert(number);
                        assert_eq!(number, known, "{call:?}: a chip's credential changed");
                        share.bind(&reservation.journalled(RECORD)).unwrap();
                    }
                    Err(ShareError::Empty) => {
                        assert!(!model.contains_key(&uid) && model.len() == 2)
                    }
                    Err(ShareError::Void { number }) => assert_eq!(model.get(&uid), Some(&number)),
                    Err(other) => panic!("{call:?}: {other}"),
                },
                Call::Written(uid) => {
                    let written = share.written(&chip(&[uid]));
                    assert_eq!(written == Err(ShareError::NotBound), !model.contains_key(&uid));
                }
                Call::Void(uid) => {
                    let known = share.void(&chip(&[uid])).is_ok();
                    assert_eq!(known, model.contains_key(&uid));
                    let after = share.reserve(&chip(&[uid]));
                    assert_eq!(matches!(after, Err(ShareError::Void { .. })), known);
                }
                Call::Acknowledge(uid) => {
                    let known = share.acknowledged(&chip(&[uid])).is_ok();
                    assert_eq!(known, model.contains_key(&uid));
                }
                Call::Restart => {
                    let mut again = Share::new(ALLOTMENT, 2);
                    for (&number, bound) in share.bound() {
                        again.restore(number, bound.clone()).unwrap();
                    }
                    assert_eq!(again, share, "a share read from the disk is the share");
                }
            }
            let numbers: BTreeMap<_, _> =
                share.bound().iter().map(|(number, bound)| (bound.chip.uid[0], *number)).collect();
            assert_eq!(numbers, model, "{call:?}");
            assert_eq!(share.free().count() as usize, 2 - model.len());
            for number in share.to_erase() {
                let bound = &share.bound()[&number];
                assert!(bound.acknowledged && bound.state != BoundState::Reserved);
            }
            stack.push((share, model, depth + 1));
        }
    }
    assert_eq!(swept, (0..=5).map(|depth| 11_u32.pow(depth)).sum::<u32>());
}

#[test]
fn what_cannot_have_been_stored_is_not_restored() {
    let mut share = Share::new(ALLOTMENT, 2);
    share.restore(0, bound(1, BoundState::Written, true)).unwrap();
    let check = |number, bound: Bound, error: ShareError| {
        let mut share = share.clone();
        assert_eq!(share.restore(number, bound), Err(error));
    };
    let reserved = |uid| bound(uid, BoundState::Reserved, false);
    check(2, reserved(2), ShareError::BeyondCount { number: 2, count: 2 });
    check(0, reserved(2), ShareError::BoundElsewhere { number: 0, chip: chip(&[1]) });
    check(1, reserved(1), ShareError::ChipHasOne { number: 0 });
    check(0, reserved(1), ShareError::ChipHasOne { number: 0 });
    assert_eq!(share.to_erase(), [0]);
}

#[test]
fn a_reservation_of_another_share_or_a_number_taken_meanwhile_is_not_bound() {
    let mut share = Share::new(ALLOTMENT, 2);
    let stranger = Share::new([7; 16], 2).reserve(&chip(&[1])).unwrap().journalled(RECORD);
    assert_eq!(share.bind(&stranger), Err(ShareError::OtherShare));
    let (one, two) = (share.reserve(&chip(&[1])).unwrap(), share.reserve(&chip(&[2])).unwrap());
    assert_eq!((one.number(), two.number()), (0, 0));
    assert_eq!((one.allotment(), one.chip()), (ALLOTMENT, &chip(&[1])));
    share.bind(&one.journalled(RECORD)).unwrap();
    let taken = share.bind(&two.journalled(RECORD));
    assert_eq!(taken, Err(ShareError::BoundElsewhere { number: 0, chip: chip(&[1]) }));
}

#[test]
fn a_promised_credential_is_for_its_chip_alone() {
    let mut share = Share::new(ALLOTMENT, 2);
    share.promise(0, &chip(&[9])).unwrap();
    assert_eq!(share.free().count(), 1);
    assert_eq!(share.reserve(&chip(&[1])).unwrap().number(), 1);
    let promised = share.reserve(&chip(&[9])).unwrap();
    assert!(promised.is_known() && promised.number() == 0);
    share.bind(&promised.journalled(RECORD)).unwrap();
    let check = |number, uid: u8, error| {
        assert_eq!(share.clone().promise(number, &chip(&[uid])), Err(error));
    };
    check(0, 1, ShareError::BoundElsewhere { number: 0, chip: chip(&[9]) });
    check(1, 9, ShareError::ChipHasOne { number: 0 });
    check(2, 3, ShareError::BeyondCount { number: 2, count: 2 });
    share.promise(1, &chip(&[3])).unwrap();
    assert_eq!(share.reserve(&chip(&[4])).unwrap_err(), ShareError::Empty);
    let stolen = share.restore(1, bound(4, BoundState::Reserved, false));
    assert_eq!(stolen, Err(ShareError::BoundElsewhere { number: 1, chip: chip(&[3]) }));
    let second = share.restore(0, bound(3, BoundState::Reserved, false));
    assert!(second.is_err());
}

#[test]
fn chips_that_a_block_cannot_name_are_no_chips() {
    for (family, uid) in [("", &[1_u8][..]), ("nrf52", &[]), ("nrf52", &[0; 17])] {
        assert_eq!(Chip::new(family, uid), Err(Refusal::ClaimUnusable));
    }
    assert_eq!(chip(&UID).to_string(), "nrf52 0102030405060708");
}

#[test]
fn over_all_facts_nobody_gets_a_second_credential_and_differing_ones_stop_the_chip() {
    let codes = [None, Some("A"), Some("B")];
    let founds = [
        PoolFound::Blank,
        PoolFound::Foreign(Refusal::NotOurs),
        PoolFound::Valid("A"),
        PoolFound::Valid("B"),
    ];
    let mut swept = 0;
    for found in founds {
        for own in codes {
            for receipt in codes {
                for promised in codes {
                    for voided in [false, true] {
                        for left in [0, 1] {
                            let facts = PoolFacts { found, own, receipt, promised, voided, left };
                            judge(&facts);
                            swept += 1;
                        }
                    }
                }
            }
        }
    }
    assert_eq!(swept, 4 * 27 * 4);
}

fn judge(facts: &PoolFacts<'_>) {
    let held = if let PoolFound::Valid(code) = facts.found { Some(code) } else { None };
    let known: Vec<&str> =
        [held, facts.own, facts.promised, facts.receipt].into_iter().flatten().collect();
    let agree = known.windows(2).all(|pair| pair[0] == pair[1]);
    let expected = match (facts.voided, known.first(), agree) {
        (true, _, _) => PoolDecision::Voided,
        (false, None, _) if facts.left == 0 => PoolDecision::Empty,
        (false, None, _) => PoolDecision::TakeNew,
        (false, Some(&here), false) => {
            let there = if here == "A" { "B" } else { "A" };
            PoolDecision::Conflict(PoolConflict { here, there })
        }
        (false, Some(&code), true) if held.is_some() => PoolDecision::Adopt(code),
        (false, Some(&code), true) if facts.own.or(facts.promised).is_some() => {
            PoolDecision::Write(code)
        }
        (false, Some(&code), true) => PoolDecision::AskFor(code),
    };
    assert_eq!(decide(facts), expected, "{facts:?}");
}
