//! A board loses its power at any word it programs and in any erase.

use std::sync::atomic::{AtomicUsize, Ordering};

use station_daemon::api::view::SlotState;
use station_daemon::trouble::TroubleCode;

use super::super::station::{Board, Station};
use super::judge::Log;
use super::small::{Counted, Visit, renew};
use super::uid_of;

/// Slots of the one station on which the cuts are tried side by side.
const SLOTS: u32 = 8;

/// Cuts every board of a visit's size at every point of it, sets it in again, and judges.
fn sweep(visit: &Visit) -> usize {
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
                    let block = super::super::block_of(board);
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
        assert_eq!(log.passes(&uid), 1, "{lever}");
        assert_eq!(log.blocks.get(&hex::encode_upper(uid)), Some(&block), "{lever}");
    }
    println!(
        "boards cut at {} points: before each of {} words, in each of {} erases; {}",
        levers.len(),
        counted.programmed_words,
        counted.page_erases,
        visit.name
    );
    levers.len()
}

fn cut_and_set_in_again(station: &Station, board: &Board, slot: u32, lever: &str) {
    board.pull(lever);
    board.pull("insert");
    let failed = station.wait_slot(slot, SlotState::Fail);
    let trouble = failed.trouble.map(|trouble| trouble.code);
    assert_eq!(trouble, Some(TroubleCode::BoardUnplugged), "{lever}");
    board.pull("remove");
    board.pull("power on");
    board.pull("insert");
    let passed = station.wait_slot(slot, SlotState::Pass);
    assert!(passed.code.is_some());
    assert_eq!(passed.code, failed.code, "{lever}");
}

/// Words of a visit of [`Visit::small`] with a block and a lock; and its two erases.
const fn points(page_bytes: usize) -> usize {
    2 * page_bytes / 4 + activation::BLOCK_BYTES / 4 + 1 + 2
}

#[test]
fn a_board_cut_before_any_word_or_in_any_erase_passes_later_with_its_one_code() {
    assert_eq!(sweep(&Visit::small(112, true, true)), points(112));
}

#[cfg(feature = "deep")]
mod deep {
    use super::*;

    #[test]
    fn a_board_cut_anywhere_in_a_visit_of_four_hundred_words_passes_later_with_its_one_code() {
        assert_eq!(sweep(&Visit::small(640, true, true)), points(640));
    }
}
