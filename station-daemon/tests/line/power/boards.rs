//! A board loses its power at any word it programs and in any erase.

use std::sync::atomic::{AtomicUsize, Ordering};

use activation::Mode;
use station_daemon::api::view::SlotState;
use station_daemon::trouble::TroubleCode;

use super::super::modes::block_on;
use super::super::station::{Board, Station};
use super::judge::{Log, block_page, is_begun, keeps_secrets};
use super::small::{Counted, Visit, renew};
use super::uid_of;

/// Slots of the one station on which the cuts are tried side by side.
const SLOTS: u32 = 8;

/// Cuts every board of a visit's size at every point of it, sets it in again, and judges. Fails
/// where the points are not all words of a visit of twice `page_bytes`, and its erases.
fn sweep(visit: &Visit, page_bytes: usize) {
    // One visit uncut, to know how many points there are.
    let world = visit.world(1);
    let cells = world.path().join("before.cells");
    super::keep(&cells, &visit.before);
    let board = Board::new(uid_of(0));
    let station = Station::start(world.path(), &[board.slot(1)]);
    station.deliver(&world.parcel());
    renew(&board, uid_of(0), &cells);
    let before = Counted::of(&board);
    board.pull("insert");
    station.wait_slot(1, SlotState::Pass);
    let counted = Counted::of(&board).since(before);
    station.stop();
    assert_eq!(counted.mass_erases, 0, "{counted:?}");
    let block_bytes = block_on(&board, visit.mode()).len();
    let words = (0..counted.programmed_words).map(|word| format!("cut {word}"));
    let erases = (0..counted.page_erases).map(|erase| format!("cut-erase {erase}"));
    let levers: Vec<String> = words.chain(erases).collect();

    let units = u32::try_from(levers.len()).expect("few");
    let world = visit.world(units);
    let boards: Vec<Board> = (1..=SLOTS).map(|slot| Board::new(uid_of(slot))).collect();
    let slots: Vec<_> = (1..).zip(&boards).map(|(number, board)| board.slot(number)).collect();
    let station = Station::start(world.path(), &slots);
    station.deliver(&world.parcel());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for (slot, board) in (1..).zip(&boards) {
            let (station, next, levers, cells) = (&station, &next, &levers, &cells);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(lever) = levers.get(number) else { return };
                    let uid = uid_of(0x1000 + u32::try_from(number).expect("few"));
                    renew(board, uid, cells);
                    station.wait_slot(slot, SlotState::Empty);
                    cut_and_set_in_again(station, board, slot, lever);
                    assert!(visit.is_whole_on(board), "{lever}");
                    let block = block_on(board, visit.mode());
                    super::keep(&cells.with_file_name(format!("block-{number}")), &block);
                }
            });
        }
    });
    station.stop();
    let log = Log::read(world.path(), &world);
    assert_eq!((log.codes().len(), log.places), (levers.len(), 0));
    for (number, lever) in levers.iter().enumerate() {
        let uid = uid_of(0x1000 + u32::try_from(number).expect("few"));
        let block = std::fs::read(cells.with_file_name(format!("block-{number}"))).expect("block");
        println!("{lever}");
        log.passed_with(uid, &block);
    }
    keeps_secrets(world.path(), &world);
    println!(
        "boards cut at {} points: before each of {} words, in each of {} erases; {}",
        levers.len(),
        counted.programmed_words,
        counted.page_erases,
        visit.name
    );
    assert_eq!(levers.len(), points(page_bytes, block_bytes));
}

fn cut_and_set_in_again(station: &Station, board: &Board, slot: u32, lever: &str) {
    board.pull(lever);
    board.pull("insert");
    let failed = station.wait_slot(slot, SlotState::Fail);
    let trouble = failed.trouble.map(|trouble| trouble.code);
    assert_eq!(trouble, Some(TroubleCode::BoardUnplugged), "{lever}");
    let left = block_page(board);
    board.pull("remove");
    board.pull("power on");
    board.pull("insert");
    let passed = station.wait_slot(slot, SlotState::Pass);
    assert!(passed.code.is_some());
    assert_eq!(passed.code, failed.code, "{lever}");
    assert!(is_begun(&left, &block_page(board)), "{lever}: another block than was begun");
}

/// Words of a visit of [`Visit::small`] with a block and a lock; and its two erases.
const fn points(page_bytes: usize, block_bytes: usize) -> usize {
    2 * page_bytes / 4 + block_bytes.div_ceil(4) + 1 + 2
}

#[test]
fn a_board_cut_before_any_word_or_in_any_erase_passes_later_with_its_one_code() {
    sweep(&Visit::small(112, true, true), 112);
}

#[test]
fn a_board_cut_anywhere_gets_the_credential_of_the_pool_again_that_it_was_given() {
    sweep(&Visit::small_in(Mode::Pool, 112, true, true), 112);
}

#[test]
fn a_board_cut_anywhere_passes_later_with_the_code_that_is_stored_or_keyed() {
    sweep(&Visit::small_in(Mode::Stored, 112, true, true), 112);
    sweep(&Visit::small_in(Mode::HmacSha256, 112, true, true), 112);
}

#[cfg(feature = "deep")]
mod deep {
    use super::*;

    #[test]
    fn a_board_cut_anywhere_in_a_visit_of_four_hundred_words_passes_later_with_its_one_code() {
        for mode in Mode::ALL {
            sweep(&Visit::small_in(mode, 640, true, true), 640);
        }
    }
}
