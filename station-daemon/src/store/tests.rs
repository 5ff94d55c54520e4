//! The store against restarts, torn files, files from the future and a full disk.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn open(folder: &Path) -> Store {
    Store::open(&folder.join("station.db")).expect("opens")
}

fn row(seq: u64, text: &str) -> JournalRow {
    JournalRow { seq, record: text.as_bytes().to_vec(), leaf: audit::leaf_hash(text.as_bytes()) }
}

fn append(store: &mut Store, seq: u64, text: &str) -> Result<(), StoreError> {
    store.commit(|commit| {
        commit.append_record(1, 1000, &row(seq, text))?;
        commit.put_setting("last", text.as_bytes())
    })
}

fn texts(store: &mut Store) -> Vec<String> {
    let rows = store.read(|commit| commit.records(1, 0, 1000)).expect("records");
    rows.into_iter().map(|row| String::from_utf8(row.record).expect("text")).collect()
}

fn unit(uid: &str) -> UnitKey {
    UnitKey { product: "lamp".to_owned(), family: "nrf52".to_owned(), uid: uid.to_owned() }
}

fn reservation(number: u32) -> Reservation {
    Reservation {
        code: "AAAA-BBBB-CCCC-DDDD-E".to_owned(),
        allotment: [7; 16],
        number,
        mode: activation::Mode::Ed25519,
        block: vec![1, 2, 3],
        block_sha256: Some([3; 32]),
    }
}

#[test]
fn a_closed_slot_keeps_its_first_reason_and_a_port_belongs_to_the_slot_that_was_taught_it_last() {
    let folder = tempfile::tempdir().expect("folder");
    let mut store = open(folder.path());
    let done: Result<_, StoreError> = store.commit(|commit| {
        commit.close_slot(2, "F-13")?;
        commit.close_slot(2, "F-19")?;
        commit.close_slot(1, "F-11")?;
        commit.open_slot(1)?;
        commit.teach_port(1, "usb:1-2")?;
        commit.teach_port(1, "usb:1-3")?;
        commit.teach_port(2, "usb:1-2")?;
        commit.teach_port(3, "usb:1-4")?;
        commit.forget_ports(3)
    });
    done.expect("commit");
    drop(store);
    let (closed, taught) = open(folder.path())
        .read(|commit| Ok::<_, StoreError>((commit.closed_slots()?, commit.taught_ports()?)))
        .expect("read");
    assert_eq!(closed, [(2, "F-13".to_owned())]);
    assert_eq!(taught, [(1, "usb:1-3".to_owned()), (2, "usb:1-2".to_owned())]);
}

#[test]
fn what_was_committed_is_there_after_a_restart_and_what_failed_is_not() {
    let folder = tempfile::tempdir().expect("folder");
    let mut store = open(folder.path());
    append(&mut store, 0, "zero").expect("commit");
    let refused: Result<(), StoreError> = store.commit(|commit| {
        commit.append_record(1, 1000, &row(1, "one"))?;
        Err(StoreError::Damaged { what: "on purpose".to_owned() })
    });
    assert!(refused.is_err());
    assert!(append(&mut store, 0, "a second record under the same number").is_err());
    drop(store);
    let mut store = open(folder.path());
    assert_eq!(texts(&mut store), ["zero"]);
    let last = store.read(|commit| commit.setting("last")).expect("setting");
    assert_eq!(last.as_deref(), Some(b"zero".as_slice()));
}

/// Copies the database as a power cut leaves it, the write-ahead log cut to `wal_bytes`.
fn copy_torn(from: &Path, to: &Path, wal_bytes: usize) {
    for name in ["station.db", "station.db-wal"] {
        let mut bytes = fs::read(from.join(name)).expect("file");
        if name.ends_with("-wal") {
            bytes.truncate(wal_bytes);
        }
        let mut file = fs::File::create(to.join(name)).expect("copy");
        std::io::Write::write_all(&mut file, &bytes).expect("copy");
    }
}

#[test]
fn a_log_torn_at_any_place_opens_with_whole_commits_only() {
    let folder = tempfile::tempdir().expect("folder");
    let mut store = open(folder.path());
    for seq in 0..6 {
        append(&mut store, seq, &format!("record {seq}")).expect("commit");
    }
    let wal_bytes = fs::metadata(folder.path().join("station.db-wal")).expect("log").len();
    let wal_bytes = usize::try_from(wal_bytes).expect("small");
    let (mut shortest, mut longest) = (usize::MAX, 0);
    for cut in (0..=wal_bytes).step_by(1031).chain([wal_bytes]) {
        let torn = tempfile::tempdir().expect("folder");
        copy_torn(folder.path(), torn.path(), cut);
        let mut store = open(torn.path());
        let found = texts(&mut store);
        let expected: Vec<String> = (0..found.len()).map(|seq| format!("record {seq}")).collect();
        assert_eq!(found, expected, "cut at {cut}");
        let last = store.read(|commit| commit.setting("last")).expect("setting");
        assert_eq!(last, expected.last().map(|text| text.as_bytes().to_vec()), "cut at {cut}");
        shortest = shortest.min(found.len());
        longest = longest.max(found.len());
    }
    assert_eq!((shortest, longest), (0, 6));
}

#[test]
fn a_file_from_newer_software_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("folder");
    drop(open(folder.path()));
    let path: PathBuf = folder.path().join("station.db");
    let raw = Connection::open(&path).expect("raw");
    raw.pragma_update(None, "user_version", 999).expect("newer");
    raw.execute_batch("CREATE TABLE from_the_future (a)").expect("newer");
    raw.pragma_update(None, "wal_checkpoint", "TRUNCATE").ok();
    drop(raw);
    let before = fs::read(&path).expect("file");
    let refused = Store::open(&path).map(|_| ());
    assert!(matches!(refused, Err(StoreError::Newer { found: 999, .. })), "{refused:?}");
    assert_eq!(fs::read(&path).expect("file"), before);
}

#[test]
fn a_file_that_is_no_sound_database_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("station.db");
    let mut store = open(folder.path());
    for seq in 0..200 {
        append(&mut store, seq, &"x".repeat(500)).expect("commit");
    }
    drop(store);
    let whole = fs::read(&path).expect("file");
    let write = |bytes: &[u8]| {
        let mut file = fs::File::create(&path).expect("file");
        std::io::Write::write_all(&mut file, bytes).expect("written");
    };
    write(b"this is not a database, it is a sentence of some length");
    assert!(matches!(Store::open(&path), Err(StoreError::Damaged { .. })));
    let mut torn = whole.clone();
    let middle = whole.len() / 2 / 4096 * 4096;
    torn[middle..middle + 4096].fill(0xA5);
    write(&torn);
    assert!(matches!(Store::open(&path), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_full_disk_loses_nothing_and_commits_go_on_when_there_is_room() {
    let folder = tempfile::tempdir().expect("folder");
    let mut store = open(folder.path());
    append(&mut store, 0, "zero").expect("commit");
    let limit = |store: &Store, pages: u32| {
        store.connection.pragma_update(None, "max_page_count", pages).expect("limit");
    };
    let used: u32 =
        store.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("pages");
    limit(&store, used);
    let big = "y".repeat(100_000);
    let full = append(&mut store, 1, &big);
    assert!(matches!(full, Err(StoreError::Full(_))), "{full:?}");
    assert_eq!(texts(&mut store), ["zero"]);
    limit(&store, 1_000_000);
    append(&mut store, 1, &big).expect("room again");
    assert_eq!(texts(&mut store).len(), 2);
}

#[test]
fn no_chip_gets_a_second_code_and_no_index_a_second_chip() {
    let folder = tempfile::tempdir().expect("folder");
    let mut store = open(folder.path());
    let mut bind = |uid: &str, number: u32| {
        store.commit(|commit| commit.put_reservation(&unit(uid), &reservation(number))).is_ok()
    };
    assert!(bind("01", 0));
    assert!(!bind("01", 1), "a second code for one chip");
    assert!(!bind("02", 0), "one index for two chips");
    assert!(bind("02", 1));
    let next = |store: &mut Store, from| {
        store.read(|commit| commit.next_number(&[7; 16], from)).expect("next")
    };
    assert_eq!(next(&mut store, 0), 2);
    assert_eq!(next(&mut store, 50), 50);
}

#[test]
fn places_count_until_they_are_given_back_and_the_first_pass_keeps_its_time() {
    let folder = tempfile::tempdir().expect("folder");
    let mut store = open(folder.path());
    let state = |state, passed_ms| UnitRow {
        state,
        order_number: "4711".to_owned(),
        release: "1.0.0".to_owned(),
        passed_ms,
    };
    let place =
        Place { slot: 1, visit: "v".to_owned(), order_number: "4711".to_owned(), unit: unit("01") };
    store
        .commit(|commit| {
            commit.take_place(&place)?;
            commit.put_unit(&unit("01"), &state(UnitState::InWork, None))
        })
        .expect("taken");
    assert!(store.commit(|commit| commit.take_place(&place)).is_err(), "one place per slot");
    let held = store.read(|commit| commit.places()).expect("places");
    assert_eq!(held, [place]);
    for passed_ms in [5, 9] {
        store
            .commit(|commit| {
                commit.put_unit(&unit("01"), &state(UnitState::Passed, Some(passed_ms)))?;
                commit.give_place_back(1)
            })
            .expect("passed");
    }
    let row = store.read(|commit| commit.unit(&unit("01"))).expect("unit").expect("known");
    assert_eq!(row.passed_ms, Some(5));
    assert_eq!(store.read(|commit| commit.passed_count("4711")).expect("count"), 1);
    assert!(store.read(|commit| commit.places()).expect("places").is_empty());
}
