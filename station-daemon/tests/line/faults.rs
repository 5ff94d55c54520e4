//! What a cable, a board or a driver can do to one slot, and that the others go on.

use station_daemon::api::view::{SlotState, StationView, TroubleCode};
use station_daemon::desk::{Opened, os_ms};

use super::paper::Parcel;
use super::station::{Board, Station, enrol};
use super::{UIDS, World, block_of};

/// A lever for a cell that cannot hold what the image wants there.
pub(crate) fn stuck_cell(parcel: &Parcel) -> String {
    let (address, bytes) = &parcel.image[0];
    let at = bytes.iter().rposition(|byte| byte & 1 == 1).expect("a byte with that bit");
    format!("stuck {} 0", address + at as u64)
}

#[test]
fn what_is_wrong_with_a_board_is_named_and_the_next_slot_goes_on() {
    let world = World::new(|_| {});
    let check = |lever: &str, code: TroubleCode| {
        let (bad, good) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
        let folder = tempfile::tempdir().expect("folder");
        let keys = enrol(folder.path(), &world.office, os_ms());
        let station = Station::start(folder.path(), &[bad.slot(1), good.slot(2)]);
        let parcel = world.office.send(&world.plan, &keys.hpke, keys.journal, os_ms());
        station.deliver(&parcel);
        bad.pull(lever);
        bad.pull("insert");
        good.pull("insert");
        let failed = station.wait_slot(1, SlotState::Fail);
        assert_eq!(failed.trouble.map(|trouble| trouble.code), Some(code), "{lever}");
        station.wait_slot(2, SlotState::Pass);
        station.stop();
    };
    check("lock", TroubleCode::ChipLocked);
    check(&stuck_cell(&world.parcel()), TroubleCode::ReadBackDiffered);
}

#[test]
fn a_worker_that_hangs_is_replaced_while_the_other_slot_passes() {
    let world = World::new(|plan| plan.self_test = false);
    let (hung, good) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
    let station = Station::start(world.path(), &[hung.slot(1), good.slot(2)]);
    station.deliver(&world.parcel());
    station.wait_slot(1, SlotState::Empty);
    hung.pull("hang");
    good.pull("insert");
    station.wait_slot(2, SlotState::Pass);
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.trouble.map(|t| t.code), Some(TroubleCode::DriverHung));
    hung.pull("heal");
    station.wait_slot(1, SlotState::Empty);
    hung.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    station.stop();
}

#[test]
fn a_driver_that_hangs_in_the_middle_of_writing_costs_one_visit_and_no_code() {
    let world = World::new(|plan| {
        plan.self_test = false;
        plan.codes = 1;
    });
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    board.pull("slow 5");
    board.pull("insert");
    station.wait_slot(1, SlotState::Flashing);
    board.pull("hang");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.trouble.map(|t| t.code), Some(TroubleCode::DriverHung));
    board.pull("heal");
    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    board.pull("insert");
    let passed = station.wait_slot(1, SlotState::Pass);
    assert_eq!(passed.code, failed.code);
    station.stop();
}

#[test]
fn the_same_uid_in_two_slots_at_once_is_flashed_in_one_of_them_only() {
    let world = World::new(|plan| plan.self_test = false);
    let (first, second) = (Board::new(UIDS[0]), Board::new(UIDS[0]));
    let station = Station::start(world.path(), &[first.slot(1), second.slot(2)]);
    station.deliver(&world.parcel());
    first.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    second.pull("insert");
    let refused = station.wait_slot(2, SlotState::Fail);
    assert_eq!(refused.trouble.map(|t| t.code), Some(TroubleCode::UidDuplicate));
    assert!(block_of(&second).iter().all(|byte| *byte == 0xFF));
    station.stop();
}

#[test]
fn a_slot_that_fails_three_times_for_the_same_cause_takes_no_board_until_a_person_opens_it() {
    let world = World::new(|plan| plan.self_test = false);
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    let parcel = world.parcel();
    station.deliver(&parcel);
    board.pull(&stuck_cell(&parcel));
    for _ in 0..2 {
        board.pull("insert");
        station.wait_slot(1, SlotState::Fail);
        board.pull("remove");
        station.wait_slot(1, SlotState::Empty);
    }
    board.pull("insert");
    let closed = station.wait_slot(1, SlotState::Closed);
    assert_eq!(closed.trouble.map(|t| t.code), Some(TroubleCode::ReadBackDiffered));
    station.stop();

    // A restart is no person's act.
    let station = Station::start(world.path(), &[board.slot(1)]);
    let closed = station.wait_slot(1, SlotState::Closed);
    assert_eq!(closed.trouble.map(|t| t.code), Some(TroubleCode::ReadBackDiffered));
    assert_eq!(station.desk.look_into(1), Some(false));
    assert_eq!(station.desk.open_slot(2), Opened::NoSlot);
    board.pull("heal");
    assert_eq!(station.desk.open_slot(1), Opened::Now);
    station.wait_slot(1, SlotState::Pass);
    assert_eq!(station.desk.open_slot(1), Opened::Already);
    let doors: Vec<bool> = station
        .records()
        .iter()
        .filter_map(|record| {
            let closed = matches!(record.event, audit::Event::SlotClosed { slot: 1, .. });
            let opened = audit::Event::SlotOpened { slot: 1, operator: None };
            (closed || record.event == opened).then_some(!closed)
        })
        .collect();
    assert_eq!(doors, [false, true]);
    station.stop();

    let station = Station::start(world.path(), &[board.slot(1)]);
    station.wait_slot(1, SlotState::SeenBefore);
    station.stop();
}

#[test]
fn a_slot_that_closes_over_a_board_looks_at_it_anew_when_it_is_opened() {
    let world = World::new(|plan| plan.self_test = false);
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    board.pull("lock");
    for _ in 0..2 {
        board.pull("insert");
        station.wait_slot(1, SlotState::Fail);
        board.pull("remove");
        station.wait_slot(1, SlotState::Empty);
    }
    board.pull("insert");
    station.wait_slot(1, SlotState::Closed);
    assert_eq!(station.desk.open_slot(1), Opened::Now);
    let again = station.wait_slot(1, SlotState::Fail);
    assert_eq!(again.trouble.map(|t| t.code), Some(TroubleCode::ChipLocked));
    station.stop();
}

#[test]
fn a_board_put_back_without_power_after_it_was_lost_is_no_contact_once_it_is_touched() {
    let world = World::new(|plan| {
        plan.self_test = false;
        plan.codes = 1;
    });
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    board.pull("cut 300");
    board.pull("insert");
    let lost = station.wait_slot(1, SlotState::Fail);
    assert_eq!(lost.trouble.map(|t| t.code), Some(TroubleCode::BoardUnplugged));
    assert!(lost.can_look);

    // Back in its seat, and still nothing feeds it.
    board.pull("remove");
    board.pull("insert");
    let code = |view: &StationView| view.slots[0].trouble.as_ref().map(|trouble| trouble.code);
    for _ in 0..2 {
        assert_eq!(station.desk.look_into(1), Some(false));
        let view = station.wait("F-10", |view| code(view) == Some(TroubleCode::NoContact));
        assert!(view.slots[0].can_look && view.slots[0].visit.is_none(), "{view:?}");
        assert_eq!(station.desk.look_into(1), Some(false));
        station.wait_slot(1, SlotState::Empty);
    }
    assert_eq!(station.visit_events().last().map(String::as_str), Some("removed"));
    board.pull("power on");
    let passed = station.wait_slot(1, SlotState::Pass);
    assert_eq!(passed.code, lost.code);
    station.stop();
}

#[test]
fn a_board_without_power_is_an_empty_slot_until_its_power_comes_on() {
    let world = World::new(|plan| plan.self_test = false);
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    board.pull("power off");
    board.pull("insert");
    station.wait_slot(1, SlotState::Empty);
    board.pull("power on");
    station.wait_slot(1, SlotState::Pass);
    board.pull("power off");
    station.wait_slot(1, SlotState::Empty);
    station.stop();
}

#[test]
fn a_board_without_power_that_a_worker_points_at_is_no_contact_until_its_power_comes_on() {
    let world = World::new(|plan| plan.self_test = false);
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    board.pull("power off");
    board.pull("insert");
    assert!(station.wait_slot(1, SlotState::Empty).can_look);
    assert_eq!(station.desk.look_into(2), None, "no such slot");

    // Touched and touched again, more often than failures in a row would close a slot.
    for _ in 0..4 {
        assert_eq!(station.desk.look_into(1), Some(false));
        let claimed = station.wait_slot(1, SlotState::Fail);
        assert!(claimed.can_look && claimed.visit.is_none(), "{claimed:?}");
        let trouble = claimed.trouble.expect("a trouble");
        assert_eq!((trouble.code, trouble.slot), (TroubleCode::NoContact, Some(1)));
        assert_eq!(station.desk.look_into(1), Some(false));
        let cleared = station.wait_slot(1, SlotState::Empty);
        assert!(cleared.trouble.is_none(), "{cleared:?}");
    }
    assert_eq!(station.desk.look_into(1), Some(false));
    station.wait_slot(1, SlotState::Fail);
    assert!(station.visit_events().is_empty(), "nobody was here yet");

    board.pull("power on");
    let passed = station.wait_slot(1, SlotState::Pass);
    assert!(!passed.can_look && passed.trouble.is_none(), "{passed:?}");
    assert_eq!(station.desk.look_into(1), Some(true));
    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    station.stop();
}
