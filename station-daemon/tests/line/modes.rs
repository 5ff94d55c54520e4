//! Every mode of activation over real visits: the same code for ever, nothing spent twice, and no
//! credential in the clear on any disk.

use activation::pool::check_receipt;
use activation::{Claim, Mode, check_mac_block, check_pool_block, check_stored_block};
use audit::Event;
use station_daemon::api::view::{Disposition, SlotState, StationView, TroubleCode};
use station_daemon::desk::{HubDesk, os_ms};
use sync::{ArrivedDocument, DocumentSink, JournalSource};

use super::lending::{code_of, key_of, loan, voids};
use super::paper::{BLOCK_AT, PRODUCT};
use super::process::on_disk;
use super::station::{Board, Keys, Station, enrol};
use super::{UIDS, World};

const CLAIM: Claim<'_> = Claim { product: PRODUCT, family: "nrf52", uid: &UIDS[0] };

/// A second station of the same hub, with a share of its own.
pub(crate) struct Neighbour {
    folder: tempfile::TempDir,
    keys: Keys,
}

impl Neighbour {
    pub(crate) fn of(world: &World) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let keys = enrol(folder.path(), &world.office, os_ms());
        Self { folder, keys }
    }

    /// Starts it with everything delivered.
    fn start(&self, world: &World, boards: &[&Board]) -> Station {
        self.start_in(world, 8, boards)
    }

    /// The same, with a share of this name.
    pub(crate) fn start_in(&self, world: &World, allotment: u8, boards: &[&Board]) -> Station {
        let plan = super::Plan { allotment, ..world.plan.clone() };
        let slots: Vec<_> = (1..).zip(boards).map(|(number, board)| board.slot(number)).collect();
        let station = Station::start(self.folder.path(), &slots);
        station.deliver(&world.office.send(&plan, &self.keys.hpke, self.keys.journal, os_ms()));
        station
    }
}

/// The block on a board, as long as its mode makes it.
pub(crate) fn block_on(board: &Board, mode: Mode) -> Vec<u8> {
    let bytes = match mode {
        Mode::Ed25519 | Mode::Stored => activation::BLOCK_BYTES,
        Mode::HmacSha256 => activation::MAC_BLOCK_BYTES,
        Mode::Pool => {
            let head = board.cells(BLOCK_AT, 8);
            activation::pool_block_bytes(&head).expect("a pool block")
        }
    };
    board.cells(BLOCK_AT, bytes)
}

fn reinsert(board: &Board, station: &Station, state: SlotState) -> Option<String> {
    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    board.pull("insert");
    station.wait_slot(1, state).code
}

/// The hub acknowledges everything.
fn acknowledge(world: &World, station: &Station) {
    let sink = HubDesk(station.desk.clone());
    let head = sink.head().expect("head");
    let note = sink.range(head.epoch, 0, 100_000, 100_000_000).expect("range").checkpoint;
    let cosigned = world.office.cosign(&note);
    sink.acknowledged(head.epoch, head.size, &cosigned).expect("acknowledged");
}

fn hand_over(station: &Station, (name, bytes): (String, Vec<u8>)) {
    let etag = release::Digest::of(&bytes).to_string();
    let sink = HubDesk(station.desk.clone());
    sink.store(vec![ArrivedDocument { name, etag, bytes }], Vec::new()).expect("taken");
}

fn credentials_left(world: &World) -> u32 {
    let raw = rusqlite::Connection::open(world.path().join("station.db")).expect("database");
    raw.query_row("SELECT count(*) FROM credential", [], |row| row.get(0)).expect("counted")
}

#[test]
fn in_every_mode_a_blank_board_passes_and_is_seen_before_with_the_same_code_and_block() {
    for mode in Mode::ALL {
        let world = World::new(|plan| plan.mode = mode);
        let board = Board::new(UIDS[0]);
        let station = Station::start(world.path(), &[board.slot(1)]);
        station.deliver(&world.parcel());
        board.pull("insert");
        let passed = station.wait_slot(1, SlotState::Pass);
        let view = station.wait("the order", |view| view.order.is_some());
        assert_eq!(view.order.as_ref().map(|order| order.codes_short), Some(0), "{mode}");
        let block = block_on(&board, mode);
        let keys = [world.office.activation_key()];
        let code = match mode {
            Mode::Ed25519 => activation::code_for(PRODUCT, "nrf52", &UIDS[0]).to_string(),
            Mode::Stored => {
                check_stored_block(&block, &CLAIM, &keys).expect("its own").code().to_string()
            }
            Mode::HmacSha256 => {
                let secrets = [world.plan.mac_secret];
                check_mac_block(&block, &CLAIM, &secrets).expect("its own").code().to_string()
            }
            Mode::Pool => {
                let own = check_pool_block(&block, &CLAIM, &keys).expect("its own");
                let secret = own.columns().nth(1).expect("a second column");
                assert_eq!(secret.bytes, key_of(7000));
                own.code().to_owned()
            }
        };
        assert_eq!(passed.code.as_deref(), Some(code.as_str()), "{mode}");
        let again = reinsert(&board, &station, SlotState::SeenBefore);
        assert_eq!(again.as_deref(), Some(code.as_str()), "{mode}");
        assert_eq!(block_on(&board, mode), block, "{mode}");
        let reserved = station.records().into_iter().filter_map(|record| match record.event {
            Event::Reserved { mode, .. } => Some(mode),
            _ => None,
        });
        let word = (mode != Mode::Ed25519).then(|| mode.as_str().to_owned());
        assert_eq!(reserved.collect::<Vec<_>>(), [word], "reserved once");
        station.stop();
    }
}

#[test]
fn in_every_mode_a_board_that_another_station_made_is_adopted_and_nothing_is_spent() {
    for mode in Mode::ALL {
        let world = World::new(|plan| {
            plan.mode = mode;
            plan.self_test = false;
        });
        let board = Board::new(UIDS[0]);
        let neighbour = Neighbour::of(&world);
        let first = neighbour.start(&world, &[&board]);
        board.pull("insert");
        let made = first.wait_slot(1, SlotState::Pass);
        let block = block_on(&board, mode);
        first.stop();
        board.pull("remove");

        let station = Station::start(world.path(), &[board.slot(1)]);
        station.deliver(&world.parcel());
        board.pull("insert");
        let adopted = station.wait_slot(1, SlotState::Pass);
        assert_eq!(adopted.code, made.code, "{mode}");
        assert_eq!(block_on(&board, mode), block, "{mode}: not a byte changed");
        let events: Vec<_> = station.records().into_iter().map(|record| record.event).collect();
        assert!(events.iter().any(|event| matches!(event, Event::Adopted { .. })), "{mode}");
        assert!(!events.iter().any(|event| matches!(event, Event::Reserved { .. })), "{mode}");
        station.stop();
    }
}

#[test]
fn a_pool_board_cut_while_written_gets_its_credential_again_and_it_is_on_no_disk_in_the_clear() {
    let world = World::new(|plan| {
        plan.mode = Mode::Pool;
        plan.codes = 2;
        plan.self_test = false;
    });
    let (board, other) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
    let station = Station::start(world.path(), &[board.slot(1), other.slot(2)]);
    station.deliver(&world.parcel());
    board.pull("cut 300");
    board.pull("insert");
    let failed = station.wait_slot(1, SlotState::Fail);
    assert_eq!(failed.code, Some(code_of(7000)));
    acknowledge(&world, &station);
    assert_eq!(credentials_left(&world), 2, "reserved is not written");
    other.pull("insert");
    assert_eq!(station.wait_slot(2, SlotState::Pass).code, Some(code_of(7001)));
    board.pull("remove");
    board.pull("power on");
    board.pull("insert");
    assert_eq!(station.wait_slot(1, SlotState::Pass).code, Some(code_of(7000)));
    assert_eq!(credentials_left(&world), 2, "the hub does not know yet");
    acknowledge(&world, &station);
    assert_eq!(credentials_left(&world), 0);
    // What is gone here is compared with what the chip holds.
    assert_eq!(reinsert(&board, &station, SlotState::SeenBefore), Some(code_of(7000)));

    let events = station.records().into_iter().map(|record| record.event);
    let receipts: Vec<_> = events
        .filter_map(|event| match event {
            Event::Activated { uid, receipt, code, .. } => Some((uid, receipt?, code)),
            _ => None,
        })
        .collect();
    let keys = [world.office.activation_key()];
    for (uid, receipt, code) in &receipts {
        let claim = Claim { uid: &uid.0, ..CLAIM };
        let receipt = check_receipt(&receipt.0, &claim, &keys).expect("a receipt");
        assert_eq!(receipt.code(), code);
    }
    assert_eq!(receipts.len(), 2);
    station.stop();
    for number in [7000, 7001] {
        assert!(!on_disk(world.path(), &key_of(number)), "a credential in the clear");
        let text = hex::encode(key_of(number));
        assert!(!on_disk(world.path(), text.as_bytes()), "a credential in the clear, as text");
    }
}

#[test]
fn with_the_pool_empty_a_new_board_is_refused_and_one_that_has_its_credential_is_not() {
    let world = World::new(|plan| {
        plan.mode = Mode::Pool;
        plan.codes = 1;
        plan.self_test = false;
    });
    let (board, other) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
    let station = Station::start(world.path(), &[board.slot(1), other.slot(2)]);
    station.deliver(&world.parcel());
    board.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    other.pull("insert");
    let refused = station.wait_slot(2, SlotState::Fail);
    assert_eq!(refused.trouble.map(|t| t.code), Some(TroubleCode::QuotaEmpty));
    let short = |view: &StationView| view.order.as_ref().map(|order| order.codes_short);
    station.wait("nine boards without a code", |view| short(view) == Some(9));
    assert!(other.cells(0, 4096).iter().all(|byte| *byte == 0xFF));
    reinsert(&board, &station, SlotState::SeenBefore);
    station.stop();
}

#[test]
fn a_credential_bound_elsewhere_is_written_by_the_station_it_is_lent_to_for_that_chip_alone() {
    let world = World::new(|plan| {
        plan.mode = Mode::Pool;
        plan.self_test = false;
    });
    let (board, other) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
    let station = Station::start(world.path(), &[other.slot(1), board.slot(2)]);
    station.deliver(&world.parcel());
    let plan = super::Plan { allotment: 9, codes: 1, ..world.plan.clone() };
    let certificate = world.office.certificate(&plan, world.keys.journal);
    let only = activation::pool::OnlyFor { family: "nrf52".to_owned(), uid: UIDS[0].to_vec() };
    let relent = loan(&world.office, certificate, 8000, 1, Some(only), &world.keys.hpke);
    hand_over(&station, relent);
    other.pull("insert");
    assert_eq!(station.wait_slot(1, SlotState::Pass).code, Some(code_of(7000)));
    board.pull("insert");
    assert_eq!(station.wait_slot(2, SlotState::Pass).code, Some(code_of(8000)));
    station.stop();
}

#[test]
fn a_board_that_holds_another_credential_than_the_one_bound_to_it_is_a_conflict_and_not_written() {
    let world = World::new(|plan| {
        plan.mode = Mode::Pool;
        plan.self_test = false;
    });
    // One chip: as it left this station, and after somebody wiped it and the next station, which
    // knew nothing, gave it a second credential.
    let (board, wiped) = (Board::new(UIDS[0]), Board::new(UIDS[0]));
    let neighbour = Neighbour::of(&world);
    let next = neighbour.start(&world, &[&wiped]);
    wiped.pull("insert");
    assert_eq!(next.wait_slot(1, SlotState::Pass).code, Some(code_of(8000)));
    next.stop();
    wiped.pull("remove");

    let station = Station::start(world.path(), &[board.slot(1), wiped.slot(2)]);
    station.deliver(&world.parcel());
    board.pull("insert");
    assert_eq!(station.wait_slot(1, SlotState::Pass).code, Some(code_of(7000)));
    board.pull("remove");
    station.wait_slot(1, SlotState::Empty);
    wiped.pull("insert");
    let refused = station.wait_slot(2, SlotState::Fail);
    assert_eq!(refused.trouble.map(|t| t.code), Some(TroubleCode::CredentialConflict));
    station.stop();
}

#[test]
fn a_void_unit_is_refused_everywhere_and_an_older_or_strange_statement_takes_nothing_back() {
    let world = World::new(|plan| plan.self_test = false);
    let (board, other) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
    let station = Station::start(world.path(), &[board.slot(1), other.slot(2)]);
    station.deliver(&world.parcel());
    let stranger = super::Office::stranger(os_ms());
    hand_over(&station, voids(&stranger, 9, &[UIDS[1]]));
    hand_over(&station, voids(&world.office, 5, &[UIDS[0]]));
    hand_over(&station, voids(&world.office, 4, &[]));
    board.pull("insert");
    let refused = station.wait_slot(1, SlotState::Fail);
    assert_eq!(refused.trouble.map(|t| t.code), Some(TroubleCode::UnitVoided));
    assert!(board.cells(0, 4096).iter().all(|byte| *byte == 0xFF));
    other.pull("insert");
    station.wait_slot(2, SlotState::Pass);
    station.stop();
}

#[test]
fn the_credential_of_a_unit_that_is_void_is_erased_before_anybody_acknowledged_it() {
    let world = World::new(|plan| {
        plan.mode = Mode::Pool;
        plan.codes = 3;
        plan.self_test = false;
    });
    let (board, other) = (Board::new(UIDS[0]), Board::new(UIDS[1]));
    let station = Station::start(world.path(), &[board.slot(1), other.slot(2)]);
    station.deliver(&world.parcel());
    for (slot, board) in [(1, &board), (2, &other)] {
        board.pull("insert");
        station.wait_slot(slot, SlotState::Pass);
    }
    let sealed: Vec<Vec<u8>> = {
        let raw = rusqlite::Connection::open(world.path().join("station.db")).expect("database");
        let mut rows = raw.prepare("SELECT sealed FROM credential ORDER BY number").expect("rows");
        let rows = rows.query_map([], |row| row.get(0)).expect("rows");
        rows.collect::<Result<_, _>>().expect("rows")
    };
    assert_eq!(sealed.len(), 3);
    // One at the hub, one here.
    hand_over(&station, voids(&world.office, 1, &[UIDS[0]]));
    assert_eq!(credentials_left(&world), 2);
    let second = station.wait_slot(2, SlotState::Pass).code.expect("a code");
    let scrap = Disposition::Scrap { product: PRODUCT.to_owned(), code: second };
    station.desk.ask(move |desk| desk.dispose(&scrap)).expect("the desk").expect("scrapped");
    assert_eq!(credentials_left(&world), 1);
    station.stop();
    let left = sealed.iter().filter(|sealed| on_disk(world.path(), sealed)).count();
    assert_eq!(left, 1, "traces of erased credentials");
}

#[test]
fn without_the_secret_that_the_recipe_names_no_block_is_made() {
    let world = World::new(|plan| {
        plan.mode = Mode::HmacSha256;
        plan.self_test = false;
    });
    let board = Board::new(UIDS[0]);
    let station = Station::start(world.path(), &[board.slot(1)]);
    let mut parcel = world.parcel();
    let name = format!("mac-secret/{PRODUCT}");
    let right = parcel.documents.remove(&name).expect("the secret");
    let wrong = super::lending::mac_secret(&world.office, &[1; 32], &world.keys.hpke);
    parcel.documents.extend([wrong]);
    station.deliver(&parcel);
    board.pull("insert");
    let refused = station.wait_slot(1, SlotState::Fail);
    assert_eq!(refused.trouble.map(|t| t.code), Some(TroubleCode::QuotaEmpty));
    hand_over(&station, (name, right));
    reinsert(&board, &station, SlotState::Pass);
    station.stop();
    assert!(!on_disk(world.path(), &world.plan.mac_secret), "the secret in the clear");
}
