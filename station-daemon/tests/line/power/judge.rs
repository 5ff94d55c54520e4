//! What must hold after any cut, read from the files and the chips alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use audit::{Digest, Event, Frontier, Origin, Record, SignedCheckpoint, leaf_hash};
use rusqlite::Connection;

use super::super::paper::{PRODUCT, STATION, TENANT};
use super::super::station::Board;
use super::super::{World, block_of};

/// A station's records as they lie on the disk.
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    /// Places held, from the store.
    pub(crate) places: u32,
    /// Units by UID in hex, and their state.
    pub(crate) units: BTreeMap<String, String>,
    /// Blocks by UID in hex.
    pub(crate) blocks: BTreeMap<String, Vec<u8>>,
}

impl Log {
    /// Reads a copy of a station's folder, as the next start would, and proves the log from its
    /// leaves to its signed head. Changes the copy as SQLite does when it recovers.
    pub(crate) fn read(folder: &Path, world: &World) -> Self {
        let store = Connection::open(folder.join("station.db")).expect("database");
        let sound: String =
            store.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
        assert_eq!(sound, "ok");
        let rows: Vec<(u64, Vec<u8>, Vec<u8>)> = store
            .prepare("SELECT seq, record, leaf FROM journal WHERE epoch = 1 ORDER BY seq")
            .and_then(|mut journal| {
                journal
                    .query_map([], |row| {
                        let seq: i64 = row.get(0)?;
                        Ok((seq.unsigned_abs(), row.get(1)?, row.get(2)?))
                    })?
                    .collect()
            })
            .expect("the journal");
        let mut tree = Frontier::new();
        let mut events = Vec::new();
        for (place, (seq, bytes, leaf)) in (0..).zip(rows) {
            assert_eq!(seq, place, "a record is gone");
            let hash = leaf_hash(&bytes);
            assert_eq!(leaf, hash, "record {seq} was edited");
            tree.append_hash(hash);
            let record = Record::decode(&bytes).expect("a record");
            assert_eq!((record.epoch, record.seq), (1, seq));
            events.push(record.event);
        }
        let note: String = store
            .query_row("SELECT note FROM checkpoint WHERE epoch = 1 AND cosigned = 0", [], |row| {
                row.get(0)
            })
            .expect("a head");
        let signed: SignedCheckpoint = note.parse().expect("a note");
        let origin = Origin::new(TENANT, STATION, 1).expect("an origin");
        let head = signed.verify(&origin, &world.keys.journal).expect("signed by the station");
        assert_eq!((head.size, head.root), (tree.size(), tree.root()), "the head is of this log");
        let places = store.query_row("SELECT count(*) FROM place", [], |row| row.get(0));
        let pairs = |sql: &str| -> BTreeMap<String, Vec<u8>> {
            let mut rows = store.prepare(sql).expect(sql);
            let rows = rows.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect(sql);
            rows.collect::<Result<_, _>>().expect(sql)
        };
        let units = pairs("SELECT uid, CAST(state AS BLOB) FROM unit");
        let units = units
            .into_iter()
            .map(|(uid, state)| (uid, String::from_utf8(state).expect("a word")))
            .collect();
        let blocks = pairs("SELECT uid, block FROM reservation");
        Self { events, places: places.expect("places"), units, blocks }
    }

    /// How often a unit passed.
    pub(crate) fn passes(&self, uid: &[u8]) -> usize {
        let passed =
            |event: &&Event| matches!(event, Event::Passed { uid: Some(id), .. } if id.0 == uid);
        self.events.iter().filter(passed).count()
    }

    /// Whether a write to a board was announced.
    pub(crate) fn announces_writing(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::Programming { .. }))
    }

    /// Whether the lock of a chip was announced, and whether it was confirmed.
    pub(crate) fn locking(&self) -> (bool, bool) {
        let any = |is: fn(&Event) -> bool| self.events.iter().any(is);
        (
            any(|event| matches!(event, Event::Locking { .. })),
            any(|event| matches!(event, Event::Locked { .. })),
        )
    }

    /// The code, index and block digest that the log gives each UID.
    ///
    /// Fails where one UID was given two, or two UIDs share one.
    pub(crate) fn codes(&self) -> BTreeMap<Vec<u8>, (String, u32, [u8; 32])> {
        let mut codes: BTreeMap<Vec<u8>, (String, u32, [u8; 32])> = BTreeMap::new();
        for event in &self.events {
            let (uid, code, index, block) = if let Event::Reserved {
                uid,
                code,
                index,
                block_sha256: Some(block),
                ..
            } = event
            {
                (uid, code, index, block)
            } else if let Event::Adopted { uid, code, index, block_sha256, .. } = event {
                (uid, code, index, block_sha256)
            } else {
                continue;
            };
            let given = (code.clone(), *index, block.0);
            let known = codes.entry(uid.0.clone()).or_insert_with(|| given.clone());
            assert_eq!(*known, given, "one chip, one code");
        }
        let indices: BTreeSet<u32> = codes.values().map(|(_, index, _)| *index).collect();
        let texts: BTreeSet<&str> = codes.values().map(|(code, _, _)| code.as_str()).collect();
        assert_eq!((indices.len(), texts.len()), (codes.len(), codes.len()), "a code on two chips");
        codes
    }

    /// What lies on a chip where the block belongs was reserved for it, word for word, before.
    pub(crate) fn knows_block_on(&self, board: &Board, uid: [u8; 8]) {
        let cells = block_of(board);
        if cells.iter().all(|byte| *byte == 0xFF) {
            return;
        }
        let block = self.blocks.get(&hex::encode_upper(uid));
        let block = block.unwrap_or_else(|| panic!("a chip with an unrecorded block"));
        // A cut leaves the rest erased: every bit that is 0 belongs to the block.
        let belongs = cells.iter().zip(block).all(|(cell, wanted)| cell & wanted == *wanted);
        assert!(belongs, "the block on the chip is another one");
        let (_, _, digest) = self.codes().remove(uid.as_slice()).expect("a record of the code");
        assert_eq!(digest, Digest::of(block).0);
    }

    /// A unit that passed: once, with the code that belongs to it, whole on its chip.
    pub(crate) fn passed_whole(&self, board: &Board, uid: [u8; 8]) {
        assert_eq!(self.passes(&uid), 1, "passed once");
        assert_eq!(self.units.get(&hex::encode_upper(uid)).map(String::as_str), Some("passed"));
        let (code, _, digest) = self.codes().remove(uid.as_slice()).expect("a code");
        assert_eq!(code, activation::code_for(PRODUCT, "nrf52", &uid).to_string());
        assert_eq!(digest, Digest::of(&block_of(board)).0, "the block on the chip");
    }
}
