//! Units with two chips behind two probes, and boards that are erased on a lead's approval.

use audit::Event;
use simulators::nrf52::Revision;
use station_daemon::api::view::{Approval, SlotState, TroubleCode};
use station_daemon::config::SlotConfig;
use station_daemon::desk::NotApproved;

use super::paper::{RADIO_AT, radio_image};
use super::station::{Board, Station};
use super::{UIDS, World, assert_holds_image, block_of};

/// The chip by which the unit is known, and its radio.
struct Unit {
    main: Board,
    radio: Board,
}

impl Unit {
    fn new() -> Self {
        Self { main: Board::new(UIDS[0]), radio: Board::new(UIDS[1]) }
    }

    fn slot(&self) -> SlotConfig {
        let mut slot = self.main.slot(1);
        let radio = self.radio.slot(1).ports.remove(0);
        slot.chips.insert("radio".to_owned(), radio);
        slot
    }

    fn pull(&self, lever: &str) {
        self.radio.pull(lever);
        self.main.pull(lever);
    }

    fn radio_is_blank(&self) -> bool {
        self.radio.cells(RADIO_AT, 64).iter().all(|byte| *byte == 0xFF)
    }
}

fn named(station: &Station) -> Vec<(String, Option<String>)> {
    station
        .records()
        .into_iter()
        .filter_map(|record| match record.event {
            Event::Identified { chip, uid, .. } => {
                Some((format!("identified {}", hex::encode_upper(uid?.0)), chip))
            }
            Event::Programming { chip, .. } => Some(("programming".to_owned(), chip)),
            Event::Verified { chip, .. } => Some(("verified".to_owned(), chip)),
            Event::SelfTested { chip, .. } => Some(("self_tested".to_owned(), chip)),
            Event::Failed { chip, trouble, .. } => Some((format!("failed {trouble}"), chip)),
            Event::Passed { uid, .. } => {
                Some((format!("passed {}", hex::encode_upper(uid?.0)), None))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_unit_with_two_chips_passes_in_one_visit_and_is_known_by_the_activated_one() {
    let world = World::new(|plan| plan.radio = true);
    let unit = Unit::new();
    let station = Station::start(world.path(), &[unit.slot()]);
    let parcel = world.parcel();
    station.deliver(&parcel);
    unit.pull("insert");
    let passed = station.wait_slot(1, SlotState::Pass);
    assert_eq!(passed.uid_tail.as_deref(), Some("0708"));
    assert_holds_image(&unit.main, &parcel);
    let net = radio_image();
    assert_eq!(unit.radio.cells(RADIO_AT, net.len()), net);
    assert!(block_of(&unit.radio).iter().all(|byte| *byte == 0xFF), "one chip, one code");
    let (main, radio) = (Some("main".to_owned()), Some("radio".to_owned()));
    let uid = |board: usize| hex::encode_upper(UIDS[board]);
    let wanted = [
        (format!("identified {}", uid(1)), radio.clone()),
        (format!("identified {}", uid(0)), main.clone()),
        ("programming".to_owned(), radio.clone()),
        ("programming".to_owned(), main.clone()),
        ("verified".to_owned(), radio),
        ("verified".to_owned(), main.clone()),
        ("self_tested".to_owned(), main),
        (format!("passed {}", uid(0)), None),
    ];
    assert_eq!(named(&station), wanted);

    unit.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    unit.pull("insert");
    let seen = station.wait_slot(1, SlotState::SeenBefore);
    assert_eq!(seen.code, passed.code);
    station.stop();
}

#[test]
fn a_unit_fails_with_the_chip_that_failed_and_nothing_of_it_is_called_good() {
    let check = |spoil: &dyn Fn(&Unit), code: TroubleCode, chip: &str| {
        let world = World::new(|plan| {
            plan.radio = true;
            plan.self_test = false;
        });
        let unit = Unit::new();
        let station = Station::start(world.path(), &[unit.slot()]);
        station.deliver(&world.parcel());
        spoil(&unit);
        unit.pull("insert");
        let failed = station.wait_slot(1, SlotState::Fail);
        let trouble = failed.trouble.expect("a trouble");
        assert_eq!((trouble.code, trouble.chip.as_deref()), (code, Some(chip)));
        let records = named(&station);
        let end = (format!("failed {}", code.text()), Some(chip.to_owned()));
        assert_eq!(records.last(), Some(&end), "{records:?}");
        let good = |(word, _): &(String, _)| word == "verified" || word.starts_with("passed");
        assert!(!records.iter().any(good), "{records:?}");
        let order = station.wait("the place given back", |view| {
            view.order.as_ref().is_some_and(|order| order.in_work == 0)
        });
        assert_eq!(order.order.as_ref().map(|order| order.passed), Some(0));
        // The radio is flashed first: it is written only where it was not what failed.
        assert_eq!(unit.radio_is_blank(), code != TroubleCode::ReadBackDiffered || chip == "radio");
        station.stop();
    };
    let stuck = |board: &Board, at: u64| drop(board.pull(&format!("stuck {at} 0")));
    check(&|unit| stuck(&unit.main, 0x104), TroubleCode::ReadBackDiffered, "main");
    check(&|unit| drop(unit.radio.pull("lock")), TroubleCode::ChipLocked, "radio");
    check(&|unit| drop(unit.radio.pull("power off")), TroubleCode::NoContact, "radio");
}

#[test]
fn a_slot_that_does_not_reach_every_chip_of_the_unit_says_so() {
    let world = World::new(|plan| plan.radio = true);
    let unit = Unit::new();
    // Both chips would be looked for behind the one probe.
    let station = Station::start(world.path(), &[unit.main.slot(1)]);
    station.deliver(&world.parcel());
    unit.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.trouble.map(|trouble| trouble.code), Some(TroubleCode::PortMissing));
    assert!(station.visit_events().is_empty(), "it waits; that is no visit");
    station.stop();
}

#[test]
fn a_locked_board_is_erased_once_on_a_leads_recorded_approval() {
    let world = World::new(|plan| plan.self_test = false);
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    let parcel = world.parcel();
    station.deliver(&parcel);
    board.pull("lock");
    board.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.trouble.map(|t| t.code), Some(TroubleCode::ChipLocked));

    let given = station.desk.ask(|desk| desk.approve_unlock(7, 12));
    assert_eq!(given, Ok(Err(NotApproved::NoSuchSlot)));
    let given = station.desk.ask(|desk| desk.approve_unlock(1, 12));
    assert_eq!(given, Ok(Ok(())));
    let shown = [Approval::Unlock { slot: 1, by: 12 }];
    station.wait("the approval shown", |view| view.approvals == shown);
    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    board.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    assert_holds_image(&board, &parcel);
    station.wait("the approval used up", |view| view.approvals.is_empty());
    let events = station.visit_events();
    let second = events.iter().position(|name| name == "removed").expect("two visits");
    assert_eq!(
        events[second + 1..],
        [
            "contact",
            "unlocking",
            "identified",
            "reserved",
            "programming",
            "verified",
            "activated",
            "passed"
        ]
    );

    // Locked again, and no approval: it is refused as before.
    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    board.pull("lock");
    board.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.trouble.map(|t| t.code), Some(TroubleCode::ChipLocked));
    station.stop();
}

#[test]
fn an_approval_to_erase_is_for_one_board_and_lapses_with_one_that_is_not_locked() {
    let world = World::new(|plan| plan.self_test = false);
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    let given = station.desk.ask(|desk| desk.approve_unlock(1, 12));
    assert_eq!(given, Ok(Ok(())));
    board.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    station.wait("the approval gone", |view| view.approvals.is_empty());
    assert!(station.visit_events().contains(&"unlock_lapsed".to_owned()));
    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    board.pull("lock");
    board.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.trouble.map(|t| t.code), Some(TroubleCode::ChipLocked));
    station.stop();
}

#[test]
fn chips_that_arrive_locked_are_opened_without_a_lead_where_the_recipe_names_them() {
    let check = |chip: &'static str, revision: Revision, opened: Option<&[Option<u32>]>| {
        let world = World::new(|plan| {
            plan.chip = chip;
            plan.self_test = false;
        });
        let board = Board::of(UIDS[0], revision);
        let station = Station::start(world.path(), &[board.slot(1)]);
        let parcel = world.parcel();
        station.deliver(&parcel);
        board.pull("insert");
        let state = if opened.is_some() { SlotState::Pass } else { SlotState::Fail };
        let tile = station.wait_slot(1, state);
        if opened.is_some() {
            assert_holds_image(&board, &parcel);
        } else {
            let code = tile.trouble.map(|trouble| trouble.code);
            assert_eq!(code, Some(TroubleCode::ChipLocked), "{chip} {revision:?}");
        }
        let unlocked: Vec<Option<u32>> = station
            .records()
            .into_iter()
            .filter_map(|record| match record.event {
                Event::Unlocking { operator, .. } => Some(operator),
                _ => None,
            })
            .collect();
        assert_eq!(unlocked, opened.unwrap_or_default(), "{chip} {revision:?}");
        station.stop();
    };
    check("nRF52832_xxAA_Gxx", Revision::Three, Some(&[None]));
    // Silicon from before is met open.
    check("nRF52832_xxAA_Gxx", Revision::Old, Some(&[]));
    // A recipe for chips that arrive open meets a locked one.
    check("nRF52832_xxAA", Revision::Three, None);
}
