//! Visits with everything real but the copper: desk, worker processes, the probe-rs driver and
//! simulated boards that run the demo firmware.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test picks out the events it is about")]

mod clocks;
mod desk;
mod erasure;
mod faults;
mod forged;
mod lending;
mod marker;
mod modes;
mod paper;
mod people;
mod pins;
mod ports;
mod power;
mod process;
mod scanners;
mod station;
#[cfg(feature = "guest")]
mod tpm;
mod units;
#[cfg(feature = "umockdev")]
mod usb;
mod zoo;

use std::path::Path;

use paper::{BLOCK_AT, Office, Parcel, Plan};
use process::{Daemon, limit_files, on_disk};
use station::{Board, Keys, Station, enrol};
use station_daemon::api::view::{SlotState, TroubleCode};
use station_daemon::desk::{HubDesk, os_ms};
use sync::JournalSource;

pub(crate) const UIDS: [[u8; 8]; 2] = [[1, 2, 3, 4, 5, 6, 7, 8], [9, 2, 3, 4, 5, 6, 7, 0xA1]];

pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) office: Office,
    pub(crate) keys: Keys,
    pub(crate) plan: Plan,
}

impl World {
    pub(crate) fn new(change: impl FnOnce(&mut Plan)) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let now_ms = os_ms();
        let office = Office::open(now_ms);
        let keys = enrol(folder.path(), &office, now_ms);
        let mut plan = Plan::good(now_ms);
        change(&mut plan);
        Self { folder, office, keys, plan }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn parcel(&self) -> Parcel {
        self.office.send(&self.plan, &self.keys.hpke, self.keys.journal, os_ms())
    }
}

fn assert_holds_image(board: &Board, parcel: &Parcel) {
    for (address, bytes) in &parcel.image {
        assert_eq!(&board.cells(*address, bytes.len()), bytes, "image at {address:#x}");
    }
}

pub(crate) fn block_of(board: &Board) -> Vec<u8> {
    board.cells(BLOCK_AT, activation::BLOCK_BYTES)
}

#[test]
fn a_fresh_board_passes_and_a_re_inserted_one_is_seen_before_with_the_same_code() {
    let world = World::new(|_| {});
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    let parcel = world.parcel();
    station.deliver(&parcel);
    station.wait_slot(1, SlotState::Empty);

    board.pull("insert");
    let passed = station.wait_slot(1, SlotState::Pass);
    assert_holds_image(&board, &parcel);
    let block = block_of(&board);
    let code = activation::code_for("demo-lamp", "nrf52", &UIDS[0]).to_string();
    assert_eq!(passed.code.as_deref(), Some(code.as_str()));
    assert_eq!(passed.uid_tail.as_deref(), Some("0708"));
    let order = station
        .wait("one passed", |view| view.order.as_ref().is_some_and(|order| order.passed == 1));
    let order = order.order.as_ref().expect("order");
    assert_eq!((order.number.as_str(), order.quantity, order.in_work), ("4711", 10, 0));
    assert_eq!(
        station.visit_events(),
        [
            "contact",
            "identified",
            "reserved",
            "programming",
            "verified",
            "activated",
            "self_tested",
            "passed"
        ]
    );

    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    board.pull("insert");
    let seen = station.wait_slot(1, SlotState::SeenBefore);
    assert_eq!(seen.code, passed.code);
    assert_eq!(block_of(&board), block);
    assert_eq!(
        station.visit_events()[8..],
        ["removed", "contact", "identified", "verified", "seen_before"]
    );
    station.stop();
}

#[test]
fn a_board_pulled_while_it_is_written_fails_and_passes_later_with_the_code_reserved_for_it() {
    let world = World::new(|plan| plan.codes = 1);
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    board.pull("cut 300");
    board.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    let trouble = failed.trouble.expect("a trouble");
    assert_eq!(trouble.code, TroubleCode::BoardUnplugged);
    let order = station.wait("the place given back", |view| {
        view.order.as_ref().is_some_and(|order| order.in_work == 0)
    });
    assert_eq!(order.order.as_ref().map(|order| order.passed), Some(0));

    board.pull("remove");
    board.pull("power on");
    board.pull("insert");
    let passed = station.wait_slot(1, SlotState::Pass);
    assert_eq!(passed.code, failed.code, "the only code of the allotment is this chip's");
    station.stop();
}

#[test]
fn a_release_for_another_chip_a_damaged_one_and_a_withdrawn_one_are_never_written() {
    let now_ms = os_ms();
    let check = |change: &dyn Fn(&mut Plan), damage: bool, code: TroubleCode| {
        let world = World::new(|plan| change(plan));
        let board = Board::new(UIDS[0]);
        let station = Station::start(world.path(), &[board.slot(1)]);
        let mut parcel = world.parcel();
        if damage {
            for chunk in parcel.chunks.values_mut() {
                chunk[100] ^= 1;
            }
        }
        station.deliver(&parcel);
        board.pull("insert");
        let failed = station.wait_slot(1, SlotState::Fail);
        assert_eq!(failed.trouble.map(|trouble| trouble.code), Some(code));
        assert!(board.cells(0, 4096).iter().all(|byte| *byte == 0xFF), "{code:?}");
        station.stop();
    };
    check(&|plan| plan.chip = "nRF51822_xxAA", false, TroubleCode::WrongChip);
    check(&|plan| plan.chip = "nRF52840_xxAA", false, TroubleCode::ChipNotSupported);
    check(&|_| {}, true, TroubleCode::ReleaseDamaged);
    check(&|plan| plan.allow_simulated = false, false, TroubleCode::ReleaseNotTrusted);
    check(&|plan| plan.withdrawn = true, false, TroubleCode::ReleaseWithdrawn);
    check(&|plan| plan.lease_ends_ms = now_ms - 1, false, TroubleCode::LeaseOver);
}

#[test]
fn documents_signed_by_another_root_change_nothing() {
    let world = World::new(|_| {});
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    let stranger = Office::stranger(os_ms());
    let parcel = stranger.send(&world.plan, &world.keys.hpke, world.keys.journal, os_ms());
    station.deliver(&parcel);
    station.wait("the trouble", |view| {
        view.trouble.as_ref().is_some_and(|t| t.code == TroubleCode::ReleaseNotTrusted)
    });
    board.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.trouble.map(|t| t.code), Some(TroubleCode::ReleaseNotTrusted));
    // The right ones arrive: the board that waited is flashed without being touched.
    station.deliver(&world.parcel());
    station.wait_slot(1, SlotState::Pass);
    station.stop();
}

#[test]
fn a_full_portion_refuses_the_next_board_and_recognises_the_ones_it_made() {
    let world = World::new(|plan| {
        plan.quantity = 1;
        plan.self_test = false;
    });
    let (first, second) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
    let station = Station::start(world.path(), &[first.slot(1), second.slot(2)]);
    station.deliver(&world.parcel());
    first.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    second.pull("insert");
    let refused = station.wait_slot(2, SlotState::Fail);
    assert_eq!(refused.trouble.map(|t| t.code), Some(TroubleCode::PortionFull));
    assert!(block_of(&second).iter().all(|byte| *byte == 0xFF));
    first.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    first.pull("insert");
    station.wait_slot(1, SlotState::SeenBefore);
    station.stop();
}

#[test]
fn the_hubs_word_counts_only_signed_and_one_that_holds_more_than_the_station_stops_it() {
    let world = World::new(|_| {});
    stocked(&world);
    let saved = tempfile::tempdir().expect("folder");
    let (file, copy) = (world.path().join("station.db"), saved.path().join("station.db"));
    std::fs::copy(&file, &copy).expect("copied");

    let station = Station::start(world.path(), &[]);
    let sink = HubDesk(station.desk.clone());
    let head = sink.head().expect("head");
    let note = sink.range(head.epoch, 0, 1000, 1_000_000).expect("range").checkpoint;
    let stranger = Office::open(os_ms());
    assert!(sink.acknowledged(head.epoch, head.size, &note).is_err(), "not cosigned");
    assert!(sink.acknowledged(head.epoch, head.size, &stranger.cosign(&note)).is_err());
    let unsynced = u32::try_from(head.size).expect("few");
    station.wait("all unsynced", |view| view.hub.unsynced == unsynced);
    sink.acknowledged(head.epoch, head.size, &world.office.cosign(&note)).expect("acknowledged");
    let view = station.wait("all synced", |view| view.hub.unsynced == 0);
    assert!(view.trouble.is_none(), "{view:?}");
    station.stop();

    // The disk is set back to the day before, with everything that is remembered on it; the hub
    // still holds what was written since.
    std::fs::copy(&copy, &file).expect("restored");
    std::fs::remove_file(file.with_extension("head")).expect("forgotten");
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    let sink = HubDesk(station.desk.clone());
    station.wait("the view", |view| view.seq > 0 && view.trouble.is_none());
    sink.acknowledged(head.epoch, head.size, &world.office.cosign(&note)).expect("heard");
    let set_back = |code| code == Some(TroubleCode::JournalSetBack);
    station.wait("the station's trouble", |view| set_back(view.trouble.as_ref().map(|t| t.code)));
    board.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert!(set_back(failed.trouble.map(|trouble| trouble.code)));
    assert!(board.cells(0, 4096).iter().all(|byte| *byte == 0xFF));
    station.stop();
}

#[test]
fn an_edited_or_cut_journal_is_noticed_at_the_next_start() {
    let check = |what: &str, sql: &str| {
        let world = World::new(|_| {});
        stocked(&world);
        let file = world.path().join("station.db");
        let raw = rusqlite::Connection::open(&file).expect("database");
        assert!(raw.execute(sql, []).expect(what) > 0, "{what}");
        drop(raw);
        let mut daemon = Daemon::start(world.path(), &[]);
        let mut screen = daemon.screen();
        screen.wait(what, |view| {
            view.trouble.as_ref().is_some_and(|t| t.code == TroubleCode::StoreDamaged)
        });
        daemon.terminate();
    };
    check("the tail cut off", "DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)");
    check("one in the middle gone", "DELETE FROM journal WHERE seq = 1");
    check(
        "a record edited",
        "UPDATE journal SET record = CAST(replace(CAST(record AS TEXT), '1', '2') AS BLOB)
         WHERE seq = 1",
    );
    check("the head gone", "DELETE FROM checkpoint");
}

/// An enrolled folder with everything delivered, as a station that worked before has it.
pub(crate) fn stocked(world: &World) -> Parcel {
    let station = Station::start(world.path(), &[]);
    let parcel = world.parcel();
    station.deliver(&parcel);
    station.stop();
    parcel
}

fn events(world: &World) -> Vec<audit::Event> {
    let station = Station::start(world.path(), &[]);
    let records = station.records();
    station.stop();
    records.into_iter().map(|record| record.event).collect()
}

#[test]
fn the_program_flashes_without_its_hub_stops_when_told_and_leaves_no_firmware_on_the_disk() {
    let world = World::new(|_| {});
    let parcel = stocked(&world);
    let board = Board::new(UIDS[0]);
    let mut daemon = Daemon::start(world.path(), &[board.slot(1)]);
    let mut screen = daemon.screen();
    screen.wait_slot(1, SlotState::Empty);
    board.pull("insert");
    let view = screen.wait_slot(1, SlotState::Pass);
    assert!(view.hub.unsynced > 0, "{view:?}");
    daemon.terminate();
    assert_holds_image(&board, &parcel);
    let last = events(&world);
    let stopped = |event: &audit::Event| matches!(event, audit::Event::StationStopped {});
    assert!(last.iter().filter(|event| stopped(event)).count() >= 2, "{last:?}");
    let marker = &parcel.image[0].1[64..128];
    assert!(!on_disk(world.path(), marker), "plain firmware on the disk");
}

#[test]
fn a_station_killed_in_the_middle_of_a_visit_finishes_it_with_the_same_code() {
    let world = World::new(|plan| {
        plan.codes = 1;
        plan.self_test = false;
    });
    let parcel = stocked(&world);
    let board = Board::new(UIDS[0]);
    let mut daemon = Daemon::start(world.path(), &[board.slot(1)]);
    let mut screen = daemon.screen();
    screen.wait_slot(1, SlotState::Empty);
    board.pull("slow 5");
    board.pull("insert");
    screen.wait_slot(1, SlotState::Flashing);
    daemon.kill();
    assert!(!on_disk(world.path(), &parcel.image[0].1[64..128]), "plain firmware on the disk");

    board.pull("heal");
    let mut daemon = Daemon::start(world.path(), &[board.slot(1)]);
    let mut screen = daemon.screen();
    let view = screen.wait_slot(1, SlotState::Pass);
    let order = view.order.expect("order");
    assert_eq!((order.passed, order.in_work), (1, 0));
    daemon.terminate();
    assert_holds_image(&board, &parcel);
    let reserved: Vec<(u32, String)> = events(&world)
        .into_iter()
        .filter_map(|event| {
            let audit::Event::Reserved { index, code, .. } = event else { return None };
            Some((index, code))
        })
        .collect();
    assert_eq!(reserved.len(), 2, "{reserved:?}");
    assert_eq!(reserved[0], reserved[1], "one chip, one code");
}

#[test]
fn with_the_disk_full_nothing_is_written_to_a_board_and_with_room_again_it_passes() {
    let world = World::new(|plan| plan.self_test = false);
    stocked(&world);
    let (first, second) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
    let mut daemon = Daemon::start(world.path(), &[first.slot(1), second.slot(2)]);
    let mut screen = daemon.screen();
    screen.wait_slot(1, SlotState::Empty);
    first.pull("insert");
    screen.wait_slot(1, SlotState::Pass);
    limit_files(daemon.pid(), "0");
    second.pull("insert");
    let view = screen.wait_slot(2, SlotState::Fail);
    let slot = view.slots.iter().find(|slot| slot.number == 2).expect("slot");
    let code = slot.trouble.as_ref().map(|trouble| trouble.code);
    assert_eq!(code, Some(TroubleCode::DiskFull));
    screen.wait("the station's trouble", |view| {
        view.trouble.as_ref().is_some_and(|trouble| trouble.code == TroubleCode::DiskFull)
    });
    assert!(second.cells(0, 4096).iter().all(|byte| *byte == 0xFF));
    limit_files(daemon.pid(), "unlimited");
    second.pull("remove");
    screen.wait_slot(2, SlotState::Empty);
    second.pull("insert");
    screen.wait_slot(2, SlotState::Pass);
    screen.wait("room again", |view| {
        view.trouble.as_ref().is_none_or(|trouble| trouble.code != TroubleCode::DiskFull)
    });
    daemon.terminate();
    let passed = |event: &audit::Event| matches!(event, audit::Event::Passed { .. });
    assert_eq!(events(&world).iter().filter(|event| passed(event)).count(), 2);
}
