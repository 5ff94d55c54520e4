//! Checkpoints: what signatures prove, and that nothing else passes.

use crate::world::*;
use audit::{CheckpointError, Cosigner, Origin, OriginError, SignedCheckpoint};

#[test]
fn a_signed_head_verifies_for_its_journal_and_key_only() {
    let signed = head_of(&records(5));
    let key = public_of(&station_key());
    let head = signed.verify(&origin(), &key).unwrap();
    assert_eq!((head.size, head.root), (5, frontier_of(&records(5)).root()));
    assert_eq!(signed.claimed_origin().unwrap(), origin());

    let other_epoch = Origin::new("acme", "line-1", EPOCH + 1).unwrap();
    assert!(matches!(signed.verify(&other_epoch, &key), Err(CheckpointError::OtherJournal { .. })));
    let stranger = public_of(&crate::world::key("a stranger"));
    assert!(matches!(signed.verify(&origin(), &stranger), Err(CheckpointError::NotSigned { .. })));
}

#[test]
fn every_flipped_bit_of_a_checkpoint_is_refused() {
    let good = head_of(&records(5));
    let key = public_of(&station_key());
    let bytes = good.as_str().as_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.to_vec();
            bad[at] ^= 1 << bit;
            let Ok(text) = String::from_utf8(bad) else { continue };
            let verdict =
                text.parse::<SignedCheckpoint>().and_then(|signed| signed.verify(&origin(), &key));
            assert!(verdict.is_err(), "byte {at} bit {bit}: {text}");
        }
    }
}

#[test]
fn every_flipped_bit_of_a_cosigned_checkpoint_is_refused_by_who_asks_for_both() {
    let good = head_of(&records(5)).cosign(HUB, &hub_key(), 1_795_176_001).unwrap();
    let key = public_of(&station_key());
    let both = |signed: SignedCheckpoint| signed.verify_cosigned(&origin(), &key, &cosigner());
    assert_eq!(both(good.clone()).unwrap().seen_s, 1_795_176_001);
    let bytes = good.as_str().as_bytes();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bad = bytes.to_vec();
            bad[at] ^= 1 << bit;
            let Ok(text) = String::from_utf8(bad) else { continue };
            let verdict = text.parse::<SignedCheckpoint>().and_then(both);
            assert!(verdict.is_err(), "byte {at} bit {bit}: {text}");
        }
    }
}

#[test]
fn a_cosignature_needs_the_cosigners_name_and_key_and_leaves_the_head_alone() {
    let signed = head_of(&records(5));
    let cosigned = signed.cosign(HUB, &hub_key(), 7).unwrap();
    let key = public_of(&station_key());
    assert_eq!(cosigned.verify(&origin(), &key), signed.verify(&origin(), &key));
    let check = |signed: &SignedCheckpoint, cosigner: &Cosigner, seen_s: Option<u64>| {
        let verdict = signed.verify_cosigned(&origin(), &key, cosigner);
        match (verdict, seen_s) {
            (Ok(cosigned), Some(seen_s)) => assert_eq!(cosigned.seen_s, seen_s),
            (Err(CheckpointError::NotCosigned { .. }), None) => {}
            (verdict, _) => panic!("{verdict:?}"),
        }
    };
    check(&cosigned, &cosigner(), Some(7));
    check(&signed, &cosigner(), None);
    check(&cosigned, &Cosigner { name: "elsewhere".into(), ..cosigner() }, None);
    let stranger = public_of(&crate::world::key("a stranger"));
    check(&cosigned, &Cosigner { key: stranger, ..cosigner() }, None);
    // A station cannot pass its own signature off as a cosignature.
    check(&signed, &Cosigner { name: origin().to_string(), key }, None);

    let later = cosigned.cosign(HUB, &hub_key(), 8).unwrap();
    check(&later, &cosigner(), Some(8));
    assert_eq!(later.as_str().lines().count(), cosigned.as_str().lines().count());
    let witness = later.cosign("witness.example/w1", &crate::world::key("a witness"), 9).unwrap();
    check(&witness, &cosigner(), Some(8));
    for bad_name in ["", "a b", "a+b", "a\u{a0}b", "a\nb"] {
        assert!(signed.cosign(bad_name, &hub_key(), 7).is_err(), "{bad_name:?}");
    }
}

#[test]
fn a_good_and_a_bad_line_by_the_same_key_are_refused_together() {
    let (five, six) = (head_of(&records(5)), head_of(&records(6)));
    let key = public_of(&station_key());
    let foreign_line = six.as_str().lines().last().unwrap();
    let mixed = format!("{}{foreign_line}\n", five.as_str());
    let mixed: SignedCheckpoint = mixed.parse().unwrap();
    assert!(matches!(mixed.verify(&origin(), &key), Err(CheckpointError::NotSigned { .. })));
}

#[test]
fn heads_with_other_lines_are_refused_even_when_signed() {
    let good = head_of(&records(5));
    let (text, line) = good.as_str().split_once("\n\n").unwrap();
    let check = |text: String| {
        let verdict = format!("{text}\n\n{line}").parse::<SignedCheckpoint>();
        assert!(verdict.is_err(), "{text}");
    };
    check(format!("{text}\nextension"));
    check(text.replace("\n5\n", "\n05\n"));
    check(text.replace("\n5\n", "\n+5\n"));
    check(text.replace("\n5\n", "\n-5\n"));
    check(text.replace("\n5\n", "\n18446744073709551616\n"));
    check(text.replace('=', ""));
    check(text.replace("flashline/", "other/"));
    check(text.replace("/3", "/03"));
    check(text.lines().take(2).collect::<Vec<_>>().join("\n"));
    check(String::new());
}

#[test]
fn origins_are_read_strictly() {
    let check = |text: &str, refused: Option<OriginError>| {
        let read = text.parse::<Origin>();
        assert_eq!(read.clone().err(), refused, "{text:?}");
        if let Ok(origin) = read {
            assert_eq!(origin.to_string(), text);
        }
    };
    check("flashline/acme/line-1/0", None);
    check("flashline/a.b_c/X/4294967295", None);
    check("flashline/acme/line-1", Some(OriginError::Form));
    check("flashline/acme/line-1/0/", Some(OriginError::Form));
    check("flushline/acme/line-1/0", Some(OriginError::Form));
    check("flashline//line-1/0", Some(OriginError::Name));
    check("flashline/acme/line 1/0", Some(OriginError::Name));
    check("flashline/acme/line+1/0", Some(OriginError::Name));
    check("flashline/açme/line-1/0", Some(OriginError::Name));
    check(&format!("flashline/{}/line-1/0", "a".repeat(64)), Some(OriginError::Name));
    check("flashline/acme/line-1/", Some(OriginError::Epoch));
    check("flashline/acme/line-1/+1", Some(OriginError::Epoch));
    check("flashline/acme/line-1/01", Some(OriginError::Epoch));
    check("flashline/acme/line-1/4294967296", Some(OriginError::Epoch));
}
