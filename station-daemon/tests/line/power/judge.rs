//! What must hold after any cut, read from the files and the chips alone.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use activation::{Claim, Mode, check_mac_block, check_pool_block, check_stored_block};
use audit::{Digest, Event, Frontier, Origin, Record, SignedCheckpoint, leaf_hash};
use rusqlite::Connection;

use super::super::World;
use super::super::lending::{code_of, key_of};
use super::super::modes::block_on;
use super::super::paper::{BLOCK_AT, PRODUCT, STATION, TENANT};
use super::super::process::on_disk;
use super::super::station::Board;

/// As much flash as belongs to the block and to nothing else.
const BLOCK_PAGE_BYTES: usize = 4096;

/// What lies where a board's block belongs, whole or in part.
pub(crate) fn block_page(board: &Board) -> Vec<u8> {
    board.cells(BLOCK_AT, BLOCK_PAGE_BYTES)
}

/// Whether what is on a chip can become `wanted` without an erase: a cut leaves the rest erased, so
/// every bit that is 0 belongs to what was being written.
pub(crate) fn is_begun(cells: &[u8], wanted: &[u8]) -> bool {
    let wanted = wanted.iter().copied().chain(std::iter::repeat(0xFF));
    cells.iter().zip(wanted).all(|(cell, wanted)| cell & wanted == wanted)
}

/// What the log gives one chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    code: String,
    index: u32,
    /// The block's digest, where the record says it.
    block: Option<[u8; 32]>,
    /// What names its credential, where the record says it.
    credential: Option<[u8; 32]>,
}

impl Given {
    /// The same, with what another record says besides. Fails where they differ.
    fn and(&mut self, later: Self) {
        fn either(known: Option<[u8; 32]>, later: Option<[u8; 32]>) -> Option<[u8; 32]> {
            let differ = known.zip(later).is_some_and(|(known, later)| known != later);
            assert!(!differ, "one chip, one code");
            known.or(later)
        }
        assert_eq!((&self.code, self.index), (&later.code, later.index), "one chip, one code");
        self.block = either(self.block, later.block);
        self.credential = either(self.credential, later.credential);
    }
}

/// A station's records as they lie on the disk.
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    /// Places held, from the store.
    pub(crate) places: u32,
    /// Units by UID in hex, and their state.
    pub(crate) units: BTreeMap<String, String>,
    /// Blocks by UID in hex; empty in mode *pool*, where none is kept.
    blocks: BTreeMap<String, Vec<u8>>,
    /// How its units are activated.
    mode: Mode,
    /// The number of the pool's first credential that the station has.
    first_credential: u32,
    product_key: [u8; 32],
    mac_secret: [u8; 32],
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
        Self {
            events,
            places: places.expect("places"),
            units,
            blocks,
            mode: world.plan.mode,
            first_credential: u32::from(world.plan.allotment) * 1000,
            product_key: world.office.activation_key(),
            mac_secret: world.plan.mac_secret,
        }
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

    /// What the log gives each UID.
    ///
    /// Fails where one UID was given two codes, or two UIDs share one.
    pub(crate) fn codes(&self) -> BTreeMap<Vec<u8>, Given> {
        let mut codes: BTreeMap<Vec<u8>, Given> = BTreeMap::new();
        for event in &self.events {
            let (uid, given) = match event {
                Event::Reserved { uid, code, index, block_sha256, credential, .. } => {
                    let block = block_sha256.as_ref().map(|digest| digest.0);
                    let credential = credential.as_ref().map(|digest| digest.0);
                    (uid, Given { code: code.clone(), index: *index, block, credential })
                }
                Event::Adopted { uid, code, index, block_sha256, .. } => {
                    let block = Some(block_sha256.0);
                    (uid, Given { code: code.clone(), index: *index, block, credential: None })
                }
                _ => continue,
            };
            match codes.entry(uid.0.clone()) {
                Entry::Vacant(fresh) => {
                    fresh.insert(given);
                }
                Entry::Occupied(mut known) => known.get_mut().and(given),
            }
        }
        let indices: BTreeSet<u32> = codes.values().map(|given| given.index).collect();
        let texts: BTreeSet<&str> = codes.values().map(|given| given.code.as_str()).collect();
        assert_eq!((indices.len(), texts.len()), (codes.len(), codes.len()), "a code on two chips");
        codes
    }

    /// What lies on a chip where the block belongs was reserved for it, word for word, before.
    ///
    /// The block of a pool's credential is made for its one write and kept nowhere: what was begun
    /// is compared with what was finished, by [`is_begun`].
    pub(crate) fn knows_block_on(&self, board: &Board, uid: [u8; 8]) {
        let cells = block_page(board);
        if cells.iter().all(|byte| *byte == 0xFF) {
            return;
        }
        let given = self.codes().remove(uid.as_slice()).expect("a chip with an unrecorded block");
        if self.mode == Mode::Pool {
            assert!(given.credential.is_some() || given.block.is_some(), "{given:?}");
            return;
        }
        let block = self.blocks.get(&hex::encode_upper(uid));
        let block = block.unwrap_or_else(|| panic!("a chip with an unrecorded block"));
        assert!(is_begun(&cells, block), "the block on the chip is another one");
        assert_eq!(given.block, Some(Digest::of(block).0));
    }

    /// A unit that passed: once, with the code that belongs to it, whole on its chip.
    pub(crate) fn passed_whole(&self, board: &Board, uid: [u8; 8]) {
        self.passed_with(uid, &block_on(board, self.mode));
    }

    /// A unit that passed: once, with the code that belongs to it, proven by `block`.
    pub(crate) fn passed_with(&self, uid: [u8; 8], block: &[u8]) {
        assert_eq!(self.passes(&uid), 1, "passed once");
        assert_eq!(self.units.get(&hex::encode_upper(uid)).map(String::as_str), Some("passed"));
        let given = self.codes().remove(uid.as_slice()).expect("a code");
        let digest = Digest::of(block);
        let written = self.events.iter().any(|event| {
            matches!(event, Event::Activated { uid: id, block_sha256, .. }
                if id.0 == uid && *block_sha256 == digest)
        });
        assert!(written || given.block == Some(digest.0), "the block on the chip");
        let claim = Claim { product: PRODUCT, family: "nrf52", uid: &uid };
        let keys = [self.product_key];
        let code = match self.mode {
            Mode::Ed25519 => activation::code_for(PRODUCT, "nrf52", &uid).to_string(),
            Mode::Stored => {
                check_stored_block(block, &claim, &keys).expect("its own").code().to_string()
            }
            Mode::HmacSha256 => {
                let own = check_mac_block(block, &claim, &[self.mac_secret]).expect("its own");
                own.code().to_string()
            }
            Mode::Pool => {
                let own = check_pool_block(block, &claim, &keys).expect("its own");
                let number = self.first_credential + given.index;
                let secret = own.columns().nth(1).expect("a second column");
                assert_eq!(
                    (own.code(), secret.bytes),
                    (code_of(number).as_str(), &key_of(number)[..])
                );
                code_of(number)
            }
        };
        assert_eq!(given.code, code);
        if self.mode != Mode::Pool {
            assert_eq!(self.blocks.get(&hex::encode_upper(uid)).map(Vec::as_slice), Some(block));
        }
    }
}

/// Nothing by which codes are made lies in the clear in a station's folder.
pub(crate) fn keeps_secrets(folder: &Path, world: &World) {
    let secrets = match world.plan.mode {
        Mode::Ed25519 | Mode::Stored => Vec::new(),
        Mode::HmacSha256 => vec![world.plan.mac_secret.to_vec()],
        Mode::Pool => {
            let first = u32::from(world.plan.allotment) * 1000;
            (first..first + world.plan.codes).map(|number| key_of(number).to_vec()).collect()
        }
    };
    assert!(!secrets.iter().any(|secret| on_disk(folder, secret)), "a secret in the clear");
}
