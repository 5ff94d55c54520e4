//! How long an append to the journal takes, against the bare insert of the same row.
//!
//! Ours is what the desk does for every record: written as canonical JSON, hashed into the tree,
//! the new head signed, and one commit that holds the record, the head and the time. The peer is
//! SQLite with the same settings: the same row, inserted and committed. Both run in turns, one
//! append each, on files in the folder that is given.

#![allow(clippy::print_stdout, reason = "one JSON object for who measures")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use audit::{Digest, Event, HexBytes, Record, leaf_hash};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rusqlite::{Connection, params};
use station_daemon::clock::SavedTime;
use station_daemon::journal::Journal;
use station_daemon::store::{Store, StoreError};

/// Appends of each before anything is measured, and measured ones.
const WARM_UP: u64 = 50;
const APPENDS: u64 = 1000;
const AT_MS: i64 = 1_750_000_000_000;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).context("give a folder")?;
    let mut ours = Ours::open(&folder.join("ours.db"))?;
    let mut peer = Peer::open(&folder.join("peer.db"))?;
    let (mut our_times, mut peer_times) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + APPENDS {
        let begun = Instant::now();
        ours.append(number)?;
        our_times.push(begun.elapsed());
        // What the peer inserts is made outside the measured time.
        let record = record_of(number).encode()?;
        let leaf = leaf_hash(&record);
        let begun = Instant::now();
        peer.append(number, &record, &leaf)?;
        peer_times.push(begun.elapsed());
    }
    let line = serde_json::json!({
        "case": "journal_append_vs_sqlite_insert",
        "ours": median_us(&mut our_times),
        "peer": median_us(&mut peer_times),
        "unit": "us",
    });
    println!("{line}");
    Ok(())
}

/// The middle one of the measured times, in microseconds.
fn median_us(times: &mut Vec<Duration>) -> f64 {
    let mut measured = times.split_off(usize::try_from(WARM_UP).unwrap_or(0));
    measured.sort();
    measured.get(measured.len() / 2).map_or(f64::NAN, |time| time.as_secs_f64() * 1e6)
}

/// The record of a unit that passed: the longest of a visit.
fn event_of(number: u64) -> Event {
    Event::Passed {
        slot: 1,
        visit: format!("{number:016x}"),
        order: "WO-4711".to_owned(),
        product: "demo-lamp".to_owned(),
        family: "nrf52".to_owned(),
        uid: Some(HexBytes(number.to_be_bytes().to_vec())),
        weak: None,
        code: "0123456789ABCDEFG".to_owned(),
        release: Digest([7; 32]),
        took_ms: 10_000,
    }
}

fn record_of(number: u64) -> Record {
    Record { epoch: 1, seq: number, at_ms: AT_MS, event: event_of(number) }
}

struct Ours {
    store: Store,
    journal: Journal,
}

impl Ours {
    fn open(path: &Path) -> Result<Self> {
        let mut store = Store::open(path)?;
        let random = ring::rand::SystemRandom::new();
        let pair = Ed25519KeyPair::generate_pkcs8(&random)
            .and_then(|bytes| Ok(Ed25519KeyPair::from_pkcs8(bytes.as_ref())?))
            .ok()
            .context("making a key")?;
        let public = pair.public_key().as_ref().try_into().context("reading the key")?;
        let journal = Journal::open(&mut store, "acme", "l1-s1", Arc::new(pair), public)?;
        Ok(Self { store, journal })
    }

    fn append(&mut self, number: u64) -> Result<()> {
        let draft = self.journal.draft(AT_MS, vec![event_of(number)])?;
        let saved =
            serde_json::to_vec(&SavedTime { station_ms: AT_MS, os_ms: AT_MS, jumped: false })?;
        self.store.commit(|commit| {
            self.journal.keep(&draft, commit)?;
            commit.put_setting("clock", &saved)?;
            Ok::<_, StoreError>(())
        })?;
        self.journal.accept(draft);
        Ok(())
    }
}

struct Peer {
    connection: Connection,
}

impl Peer {
    fn open(path: &Path) -> Result<Self> {
        let connection = Connection::open(path).context("opening SQLite")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "secure_delete", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.execute_batch(
            "CREATE TABLE journal (
                epoch  INTEGER NOT NULL,
                seq    INTEGER NOT NULL,
                at_ms  INTEGER NOT NULL,
                record BLOB NOT NULL,
                leaf   BLOB NOT NULL,
                PRIMARY KEY (epoch, seq)
            ) STRICT, WITHOUT ROWID",
        )?;
        Ok(Self { connection })
    }

    fn append(&mut self, number: u64, record: &[u8], leaf: &[u8]) -> Result<()> {
        let transaction = self.connection.transaction()?;
        transaction
            .prepare_cached(
                "INSERT INTO journal (epoch, seq, at_ms, record, leaf) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![1, i64::try_from(number)?, AT_MS, record, leaf])?;
        Ok(transaction.commit()?)
    }
}
