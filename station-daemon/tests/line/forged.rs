//! Codes that nobody certified, more of them than were certified, and one that two boards have: each
//! is refused in its own words, and nothing is written.

use activation::Mode;
use station_daemon::api::view::{SlotState, TroubleCode};

use super::modes::Neighbour;
use super::station::{Board, Station};
use super::{UIDS, World};

/// Sets a board in and says why it was refused; nothing was written to it.
fn refused(station: &Station, board: &Board, slot: u32) -> Option<TroubleCode> {
    let changes = || {
        let counters: serde_json::Value =
            serde_json::from_str(&board.pull("counters")).expect("counters");
        ["programmed_words", "page_erases", "mass_erases"].map(|name| counters[name].clone())
    };
    let before = changes();
    board.pull("insert");
    let failed = station.wait_slot(slot, SlotState::Fail);
    assert_eq!(changes(), before, "something was written");
    failed.trouble.map(|trouble| trouble.code)
}

#[test]
fn an_allotment_that_r_and_d_did_not_certify_activates_nothing_in_any_mode() {
    for mode in [Mode::Ed25519, Mode::Stored, Mode::Pool] {
        let world = World::new(|plan| {
            plan.mode = mode;
            plan.forged = true;
            plan.self_test = false;
        });
        let board = Board::new(UIDS[0]);
        let station = Station::start(world.path(), &[board.slot(1)]);
        station.deliver(&world.parcel());
        let trouble = refused(&station, &board, 1);
        assert_eq!(trouble, Some(TroubleCode::AllotmentNotTrusted), "{mode}");
        station.stop();
    }
}

#[test]
fn no_code_beyond_the_certified_quota_is_made_however_many_the_hub_promises() {
    let world = World::new(|plan| {
        plan.certified = Some(1);
        plan.self_test = false;
    });
    let (board, other) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
    let station = Station::start(world.path(), &[board.slot(1), other.slot(2)]);
    station.deliver(&world.parcel());
    board.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    assert_eq!(refused(&station, &other, 2), Some(TroubleCode::QuotaExceeded));
    station.stop();
}

#[test]
fn a_board_whose_code_has_the_number_of_another_boards_is_refused_and_the_line_goes_on() {
    let world = World::new(|plan| plan.self_test = false);
    let (board, copied) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
    // Whoever copied the allotment spends it from the beginning, as this station does.
    let neighbour = Neighbour::of(&world);
    let elsewhere = neighbour.start_in(&world, world.plan.allotment, &[&copied]);
    copied.pull("insert");
    elsewhere.wait_slot(1, SlotState::Pass);
    elsewhere.stop();
    copied.pull("remove");

    let station = Station::start(world.path(), &[board.slot(1), copied.slot(2)]);
    station.deliver(&world.parcel());
    board.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    assert_eq!(refused(&station, &copied, 2), Some(TroubleCode::IndexTaken));
    let view = station.wait("the station", |_| true);
    assert!(view.trouble.is_none(), "{:?}", view.trouble);
    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    board.pull("insert");
    station.wait_slot(1, SlotState::SeenBefore);
    station.stop();
}
