//! What it costs the hub to take 100,000 records that a station brings after an outage: verified,
//! cosigned, stored and folded into units, over mutual TLS, against plain inserts of the same rows.
//!
//! Is given an empty folder on the disk to be measured; prints a line of JSON for each case.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, run by hand or xtask")]
#![allow(dead_code, reason = "the tests' hub and station are shared, and more than is needed here")]

#[path = "../tests/hub/desk.rs"]
mod desk;
#[path = "../tests/hub/factory.rs"]
mod factory;

use std::path::{Path, PathBuf};
use std::time::Instant;

use audit::{BlockState, Checkpoint, Digest, Event, Frontier, HexBytes, leaf_hash};
use factory::{Factory, Station, json};
use protocol::{JournalAck, JournalPush};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, Statement, TransactionTrait};

const RECORDS: usize = 100_000;
/// What a postman sends at once.
const RANGE: usize = 1024;
/// Parameters of a row; SQLite takes 32,766 in a statement.
const COLUMNS: usize = 6;
const ROWS_PER_INSERT: usize = 500;
const TABLE: &str = "CREATE TABLE journal_records (id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id BIGINT NOT NULL, station_id BIGINT NOT NULL, epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL, leaf BLOB NOT NULL, text TEXT NOT NULL,
    UNIQUE (station_id, epoch, seq))";

/// What a station calls its own count of codes of mode *hmac-sha256*: one that needs no portion.
fn mac_allotment(journal_key: &[u8; 32]) -> Vec<u8> {
    let domain = b"flashline mac allotment v1\n".as_slice();
    Digest::of(&[domain, journal_key, b"demo-lamp"].concat()).0[..16].to_vec()
}

fn visit(number: u32, allotment: &[u8]) -> Vec<Event> {
    let (slot, visit) = (number % 8 + 1, format!("{number:016x}"));
    let v = || visit.clone();
    let uid = HexBytes([&[0xC0; 4], number.to_be_bytes().as_slice()].concat());
    let (order, product, family) = ("WO-4711", "demo-lamp", "nrf52");
    let code = format!("ABCD-EFGH-{:04}-{:04}-0", number / 10_000 % 10_000, number % 10_000);
    let digest = Digest([7; 32]);
    vec![
        Event::Contact { slot, visit: v() },
        Event::Identified {
            slot,
            visit: v(),
            family: family.into(),
            part: "nRF52832_xxAA".into(),
            uid: Some(uid.clone()),
            weak: None,
            found: BlockState::Blank,
            chip: None,
        },
        Event::Reserved {
            slot,
            visit: v(),
            order: order.into(),
            product: product.into(),
            family: family.into(),
            uid: uid.clone(),
            code: code.clone(),
            allotment: HexBytes(allotment.to_vec()),
            index: number,
            block_sha256: Some(digest),
            mode: None,
            credential: None,
        },
        Event::Programming {
            slot,
            visit: v(),
            release: digest,
            channel: "production".into(),
            bytes: 250_000,
            unproven: None,
            chip: None,
        },
        Event::Verified { slot, visit: v(), release: digest, digest, chip: None },
        Event::Activated {
            slot,
            visit: v(),
            uid: uid.clone(),
            code: code.clone(),
            block_sha256: digest,
            receipt: None,
        },
        Event::SelfTested {
            slot,
            visit: v(),
            line: "FLASHLINE demo-lamp 1.0.0 activation=valid".into(),
            chip: None,
        },
        Event::Passed {
            slot,
            visit: v(),
            order: order.into(),
            product: product.into(),
            family: family.into(),
            uid: Some(uid),
            weak: None,
            code,
            release: digest,
            took_ms: 9000,
        },
        Event::Removed { slot, visit: visit.clone() },
    ]
}

/// The pushes of a whole backlog, packed as a postman packs them.
fn packed(station: &Station) -> Vec<Vec<u8>> {
    let mut frontier = Frontier::new();
    let mut pushes = Vec::new();
    for (range, records) in station.records.chunks(RANGE).enumerate() {
        for record in records {
            frontier.append(record.as_bytes());
        }
        let head = Checkpoint::of(station.origin(), &frontier).sign(&station.keys.journal);
        let push = JournalPush {
            from: (range * RANGE) as u64,
            records: records.to_vec(),
            checkpoint: head.to_string(),
        };
        let plain = serde_json::to_vec(&push).unwrap();
        pushes.push(zstd::encode_all(plain.as_slice(), 3).unwrap());
    }
    pushes
}

/// Records per second that the hub takes.
async fn drained(folder: &Path, records: &mut Vec<String>) -> f64 {
    let own = tempfile::tempdir_in(folder).unwrap();
    let factory = Factory::in_folder(own, &["acme"]).await;
    let (_, _, mut station) = factory.set_up("acme").await;
    let allotment = mac_allotment(&station.keys.journal_public());
    for number in 0.. {
        if station.records.len() >= RECORDS {
            break;
        }
        visit(number, &allotment).into_iter().for_each(|event| station.record(event));
    }
    station.records.truncate(RECORDS);
    let pushes = packed(&station);
    let client = station.client();
    let url = format!("{}/v1/journal/1", client.base);
    let begun = Instant::now();
    let mut size = 0;
    for push in pushes {
        let request = client.http.post(&url).header("content-encoding", "zstd").body(push);
        let ack: JournalAck = json(&client.send(request).await);
        size = ack.size;
    }
    let took = begun.elapsed();
    assert_eq!(size, RECORDS as u64);
    *records = std::mem::take(&mut station.records);
    RECORDS as f64 / took.as_secs_f64()
}

/// Records per second through the hub's own driver, several rows a statement, a commit a range.
async fn inserted(file: PathBuf, records: &[String]) -> f64 {
    let mut options = ConnectOptions::new("sqlite://plain.db");
    options.max_connections(1).sqlx_logging(false).map_sqlx_sqlite_opts(move |sqlite| {
        sqlite
            .filename(&file)
            .create_if_missing(true)
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", "FULL")
    });
    let db = Database::connect(options).await.unwrap();
    db.execute_unprepared(TABLE).await.unwrap();
    let leaves: Vec<Vec<u8>> =
        records.iter().map(|record| leaf_hash(record.as_bytes()).to_vec()).collect();
    let begun = Instant::now();
    let mut seq = 0_i64;
    for (records, leaves) in records.chunks(RANGE).zip(leaves.chunks(RANGE)) {
        let transaction = db.begin().await.unwrap();
        for (records, leaves) in records.chunks(ROWS_PER_INSERT).zip(leaves.chunks(ROWS_PER_INSERT))
        {
            let row = format!("({})", ["?"; COLUMNS].join(","));
            let text = format!(
                "INSERT INTO journal_records (tenant_id, station_id, epoch, seq, leaf, text)
                 VALUES {}",
                vec![row; records.len()].join(",")
            );
            let mut values: Vec<sea_orm::Value> = Vec::with_capacity(records.len() * COLUMNS);
            for (record, leaf) in records.iter().zip(leaves) {
                values.extend([1_i64.into(), 1_i64.into(), 1_i64.into(), seq.into()]);
                values.extend([leaf.clone().into(), record.clone().into()]);
                seq += 1;
            }
            let backend = db.get_database_backend();
            let statement = Statement::from_sql_and_values(backend, text, values);
            transaction.execute_raw(statement).await.unwrap();
        }
        transaction.commit().await.unwrap();
    }
    RECORDS as f64 / begun.elapsed().as_secs_f64()
}

/// Records per second through `SQLite`'s own interface, a row a statement, a commit a range.
fn bare(file: &Path, records: &[String]) -> f64 {
    let mut db = rusqlite::Connection::open(file).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    db.execute_batch(TABLE).unwrap();
    let leaves: Vec<_> = records.iter().map(|record| leaf_hash(record.as_bytes())).collect();
    let begun = Instant::now();
    let mut seq = 0_i64;
    for (records, leaves) in records.chunks(RANGE).zip(leaves.chunks(RANGE)) {
        let transaction = db.transaction().unwrap();
        {
            let mut insert = transaction
                .prepare_cached(
                    "INSERT INTO journal_records (tenant_id, station_id, epoch, seq, leaf, text)
                     VALUES (1, 1, 1, ?1, ?2, ?3)",
                )
                .unwrap();
            for (record, leaf) in records.iter().zip(leaves) {
                insert.execute(rusqlite::params![seq, leaf, record]).unwrap();
                seq += 1;
            }
        }
        transaction.commit().unwrap();
    }
    RECORDS as f64 / begun.elapsed().as_secs_f64()
}

#[tokio::main]
async fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("an empty folder"));
    let mut records = Vec::new();
    let ours = drained(&folder, &mut records).await;
    let peer = inserted(folder.join("plain.db"), &records).await;
    let file = folder.join("bare.db");
    let bare = tokio::task::spawn_blocking(move || bare(&file, &records)).await.unwrap();
    let unit = "records/s";
    let pair = serde_json::json!({
        "case": "drain_100k_vs_plain_insert", "ours": ours, "peer": peer, "unit": unit,
    });
    println!("{pair}");
    println!("{}", serde_json::json!({ "case": "drain_100k", "value": ours, "unit": unit }));
    println!(
        "{}",
        serde_json::json!({ "case": "bare_sqlite_insert", "value": bare, "unit": unit })
    );
}
