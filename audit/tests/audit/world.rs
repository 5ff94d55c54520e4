//! A station with a short journal: what most tests start from.

use audit::{BlockState, HexBytes, leaf_hash};
use audit::{Checkpoint, Cosigner, Event, Frontier, Hash, Origin, Record, SignedCheckpoint};
use ring::signature::{Ed25519KeyPair, KeyPair};

pub(crate) const HUB: &str = "flashline/acme/hub";
pub(crate) const EPOCH: u32 = 3;
/// 2026-11-20T12:00:00Z.
pub(crate) const NOON_MS: i64 = 1_795_176_000_000;

pub(crate) fn origin() -> Origin {
    Origin::new("acme", "line-1", EPOCH).unwrap()
}

/// The key whose seed is SHA-256 of `words`.
pub(crate) fn key(words: &str) -> Ed25519KeyPair {
    let seed = ring::digest::digest(&ring::digest::SHA256, words.as_bytes());
    Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).unwrap()
}

pub(crate) fn public_of(key: &Ed25519KeyPair) -> [u8; 32] {
    key.public_key().as_ref().try_into().unwrap()
}

pub(crate) fn station_key() -> Ed25519KeyPair {
    key("flashline demo journal key, not a secret")
}

pub(crate) fn hub_key() -> Ed25519KeyPair {
    key("flashline demo hub key, not a secret")
}

pub(crate) fn cosigner() -> Cosigner {
    Cosigner { name: HUB.into(), key: public_of(&hub_key()) }
}

/// Record `seq`, in words of visit `visit`.
pub(crate) fn record(seq: u64, visit: &str) -> Vec<u8> {
    let uid = HexBytes(vec![1, 2, 3, 4, 5, 6, 7, 8]);
    let (slot, visit) = (1, visit.to_owned());
    let event = match seq % 3 {
        0 => Event::Contact { slot, visit },
        1 => Event::Identified {
            slot,
            visit,
            family: "nrf52".into(),
            part: "nRF52832_xxAA".into(),
            uid: Some(uid),
            weak: None,
            found: BlockState::Blank,
            chip: None,
        },
        _ => Event::Removed { slot, visit },
    };
    Record { epoch: EPOCH, seq, at_ms: NOON_MS + seq as i64, event }.encode().unwrap()
}

/// `count` records of one station.
pub(crate) fn records(count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|seq| record(seq, "v-1")).collect()
}

pub(crate) fn leaves_of(records: &[Vec<u8>]) -> Vec<Hash> {
    records.iter().map(|record| leaf_hash(record)).collect()
}

pub(crate) fn frontier_of(records: &[Vec<u8>]) -> Frontier {
    let mut frontier = Frontier::new();
    for record in records {
        frontier.append(record);
    }
    frontier
}

pub(crate) fn head_of(records: &[Vec<u8>]) -> SignedCheckpoint {
    Checkpoint::of(origin(), &frontier_of(records)).sign(&station_key())
}
