//! What the hub makes of the ranges that stations send.

use crate::world::*;
use audit::{
    Append, AppendError, Branch, Checkpoint, Extension, Origin, SignedCheckpoint, verify_append,
    verify_branch,
};

/// The hub holds `held` and gets `sent[from..]` with `signed`.
fn judge(
    held: &[Vec<u8>],
    from: usize,
    sent: &[Vec<u8>],
    signed: &SignedCheckpoint,
) -> Result<Append, AppendError> {
    let held_leaves = leaves_of(&held[from.min(held.len())..]);
    let key = public_of(&station_key());
    let records = &sent[from.min(sent.len())..];
    verify_append(&origin(), &key, &frontier_of(held), &held_leaves, from as u64, records, signed)
}

#[test]
fn every_range_of_one_history_is_extended_known_or_a_gap() {
    let all = records(12);
    for held in 0..=12 {
        for from in 0..=12 {
            for to in from..=12 {
                let verdict = judge(&all[..held], from, &all[..to], &head_of(&all[..to])).unwrap();
                let expected = if from > held {
                    Append::Gap { expected: held as u64 }
                } else if to <= held {
                    Append::AlreadyHave
                } else {
                    Append::Extends(Extension {
                        checkpoint: Checkpoint::of(origin(), &frontier_of(&all[..to])),
                        frontier: frontier_of(&all[..to]),
                        held: held - from,
                        leaves: leaves_of(&all[held..to]),
                    })
                };
                assert_eq!(verdict, expected, "held {held}, sent {from}..{to}");
            }
        }
    }
}

#[test]
fn every_rewritten_record_is_found_and_named_when_the_whole_journal_is_sent() {
    let held = records(9);
    for at in 0..9 {
        for length in at + 1..=11 {
            let mut other = records(length as u64);
            other[at] = record(at as u64, "v-2");
            let signed = head_of(&other);
            let verdict = judge(&held, 0, &other, &signed).unwrap();
            assert_eq!(verdict, Append::Fork { at: at as u64 }, "{at} of {length}");
            // A shorter range shows that something is wrong, and is never taken.
            for from in 1..=length.min(9) {
                let verdict = judge(&held, from, &other, &signed).unwrap();
                let hidden = length < 9 && from > at;
                let expected = if hidden { Append::AlreadyHave } else { Append::Disagrees };
                assert_eq!(verdict, expected, "{at} of {length} from {from}");
            }
        }
    }
}

#[test]
fn a_range_that_begins_no_later_than_where_the_histories_part_proves_the_branch() {
    let held = records(9);
    let key = public_of(&station_key());
    for at in 0..9_usize {
        for length in at + 1..=12 {
            let mut other = records(length as u64);
            other[at] = record(at as u64, "v-2");
            let signed = head_of(&other);
            for from in 0..=length {
                let sent = &other[from..];
                let leaves = leaves_of(&held);
                let found = verify_branch(&origin(), &key, &leaves, from as u64, sent, &signed);
                let expected = (from <= at).then(|| Branch {
                    at: at as u64,
                    checkpoint: Checkpoint::of(origin(), &frontier_of(&other)),
                    frontier: frontier_of(&other),
                    shared: at - from,
                    leaves: leaves_of(&other[at..]),
                });
                assert_eq!(found.unwrap(), expected, "{at} of {length} from {from}");
            }
        }
    }
    // What continues or repeats the history held is no branch.
    let all = records(12);
    for (from, to) in [(0, 9), (3, 7), (9, 12), (0, 12), (10, 12)] {
        let (sent, signed) = (&all[from..to], head_of(&all[..to]));
        let found =
            verify_branch(&origin(), &key, &leaves_of(&held), from as u64, sent, &signed).unwrap();
        assert_eq!(found, None, "{from}..{to}");
    }
    let by_stranger = Checkpoint::of(origin(), &frontier_of(&all)).sign(&key_of_a_stranger());
    let refused = verify_branch(&origin(), &key, &leaves_of(&held), 0, &all, &by_stranger);
    assert!(matches!(refused, Err(AppendError::Checkpoint(_))));
}

fn key_of_a_stranger() -> ring::signature::Ed25519KeyPair {
    key("a stranger")
}

#[test]
fn records_reordered_dropped_edited_or_added_on_the_way_are_refused() {
    let (held, all) = (records(3), records(8));
    let signed = head_of(&all);
    let check = |what: &str, tampered: Vec<Vec<u8>>| {
        for from in [0, 3] {
            let verdict = judge(&held, from, &tampered, &signed);
            let taken = matches!(verdict, Ok(Append::Extends(_) | Append::AlreadyHave));
            assert!(!taken, "{what} from {from}: {verdict:?}");
        }
    };
    for at in 3..8 {
        let mut dropped = all.clone();
        dropped.remove(at);
        check("dropped", dropped);
        let mut edited = all.clone();
        edited[at] = record(at as u64, "v-9");
        check("edited", edited);
        let mut doubled = all.clone();
        doubled.insert(at, all[at].clone());
        check("doubled", doubled);
        for other in 3..at {
            let mut swapped = all.clone();
            swapped.swap(at, other);
            check("swapped", swapped);
        }
    }
    let mut added = all.clone();
    added.push(record(8, "v-1"));
    check("added", added);
    for at in 0..all[5].len() {
        let mut flipped = all.clone();
        flipped[5][at] ^= 1;
        check("flipped", flipped);
    }
}

#[test]
fn refusals_say_what_is_wrong() {
    let (all, none) = (records(4), Vec::<Vec<u8>>::new());
    let signed = head_of(&all);

    let mut edited = all.clone();
    edited[2] = record(2, "v-9");
    assert!(matches!(judge(&none, 0, &edited, &signed), Err(AppendError::NotTheSignedRecords)));
    let mut swapped = all.clone();
    swapped.swap(1, 2);
    assert!(matches!(
        judge(&none, 0, &swapped, &signed),
        Err(AppendError::Misplaced { seq: 1, found_seq: 2, epoch: EPOCH, found_epoch: EPOCH })
    ));
    let mut garbled = all.clone();
    garbled[3] = b"{}".to_vec();
    assert!(matches!(judge(&none, 0, &garbled, &signed), Err(AppendError::Record { seq: 3, .. })));
    assert!(matches!(
        judge(&none, 0, &all[..3], &signed),
        Err(AppendError::SizeDiffers { signed: 4, sent: 3 })
    ));
    let other_epoch = Origin::new("acme", "line-1", 4).unwrap();
    let elsewhere = Checkpoint::of(other_epoch.clone(), &frontier_of(&all)).sign(&station_key());
    assert!(matches!(judge(&none, 0, &all, &elsewhere), Err(AppendError::Checkpoint(_))));
    let by_stranger = Checkpoint::of(origin(), &frontier_of(&all)).sign(&key("a stranger"));
    assert!(matches!(judge(&none, 0, &all, &by_stranger), Err(AppendError::Checkpoint(_))));

    let key = public_of(&station_key());
    let held = frontier_of(&all[..2]);
    assert!(matches!(
        verify_append(&origin(), &key, &held, &[], 0, &all, &signed),
        Err(AppendError::HeldNotGiven { from: 0 })
    ));
    assert!(matches!(
        verify_append(&other_epoch, &key, &held, &[], 2, &all[2..], &elsewhere),
        Err(AppendError::Misplaced { epoch: 4, found_epoch: EPOCH, .. })
    ));
}
