//! Whole visits to boards with an RP2040, whose flash and unique id are in another chip, through the
//! unmodified probe-rs driver: several debug ports on one pair of wires, a boot ROM, a window that
//! somebody has to open.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod bench;

use bench::{Board, RP2040_UID, firmware_with_rtt_at, noise, plan_on, program_on};
use flash::probe::ProbeBackend;
use flash::{Backend, Chip, Contact, FlashError, Presence, SelfTest, Step, Via};

const START: u64 = 0x1000_0000;
const RTT_AT: u32 = 0x2002_0000;

fn rp2040() -> &'static Chip {
    flash::chip("RP2040").unwrap()
}

fn backend(board: &Board) -> ProbeBackend {
    ProbeBackend::new(board.glasgow_selector().parse().unwrap())
}

fn identified(board: &Board) -> ProbeBackend {
    let mut backend = backend(board);
    assert_eq!(backend.contact().unwrap(), Contact::Board);
    let identity = backend.identify(rp2040()).unwrap();
    assert_eq!(identity.uid.unwrap().as_bytes(), RP2040_UID);
    assert_eq!((identity.family.as_str(), identity.locked), ("rp2040", false));
    assert_eq!(identity.part, "RP2040 B2, 2048 KiB");
    backend
}

/// A second stage and firmware that puts `line` into RAM behind it.
fn firmware(line: &str) -> Vec<u8> {
    let mut program = firmware_with_rtt_at(RTT_AT, line);
    // It runs where it lies: entry, and where its text is copied from.
    program[4..8].copy_from_slice(&0x1000_0109_u32.to_le_bytes());
    program[0x1C..0x20].copy_from_slice(&0x1000_0128_u32.to_le_bytes());
    [simulators::rp2040::boot2(), program].concat()
}

#[test]
fn a_blank_board_is_written_starts_through_its_second_stage_and_says_its_line() {
    let board = Board::rp2040();
    let mut backend = identified(&board);
    let mut image = firmware("FLASHLINE on an RP2040");
    image.extend(noise(0x1234, 1));
    let block = noise(300, 2);
    let pieces: [(u64, &[u8]); 2] = [(START, &image), (START + 0x1F_F000, &block)];
    let report = program_on(&mut backend, rp2040(), &pieces).0.unwrap();
    assert_eq!((report.sectors_equal, report.sectors_erased), (0, 0));
    assert_eq!(report.verified_bytes, (image.len() + block.len()) as u64);
    for (at, bytes) in pieces {
        assert!(board.cells(at, bytes.len()) == bytes, "{at:#x}");
    }
    for counter in ["page_erases", "mass_erases", "refused", "words_with_lost_bits"] {
        assert_eq!(board.counter(counter), 0, "{counter}");
    }
    let via = Via::Rtt { control_block: Some(u64::from(RTT_AT)) };
    let test = SelfTest { via, expect: "FLASHLINE".to_owned(), within_ms: 20_000 };
    assert_eq!(backend.self_test(&test, &mut |_| ()).unwrap(), "FLASHLINE on an RP2040");
    assert_eq!(backend.presence().unwrap(), Presence::Still);
    board.pull("remove");
    assert_eq!(backend.presence().unwrap(), Presence::Gone);
    assert_eq!(backend.contact().unwrap(), Contact::Nothing);
}

#[test]
fn a_board_that_runs_its_program_is_identified_and_runs_it_again() {
    let board = Board::rp2040();
    let mut backend = identified(&board);
    let image = firmware("FLASHLINE once more");
    program_on(&mut backend, rp2040(), &[(START, &image)]).0.unwrap();
    backend.reset_and_run().unwrap();
    drop(backend);
    // The flash is in the middle of the program's own reads when it is asked.
    let mut backend = identified(&board);
    let via = Via::Rtt { control_block: Some(u64::from(RTT_AT)) };
    let test = SelfTest { via, expect: "FLASHLINE".to_owned(), within_ms: 20_000 };
    assert_eq!(backend.self_test(&test, &mut |_| ()).unwrap(), "FLASHLINE once more");
}

#[test]
fn the_same_image_again_writes_nothing_and_another_one_erases_what_differs() {
    let board = Board::rp2040();
    let old = noise(0x2800, 3);
    let mut backend = identified(&board);
    assert!(backend.is_blank(START, 0x3000).unwrap());
    program_on(&mut backend, rp2040(), &[(START, &old)]).0.unwrap();
    let words = board.counter("programmed_words");
    drop(backend);

    let mut backend = identified(&board);
    let report = program_on(&mut backend, rp2040(), &[(START, &old)]).0.unwrap();
    assert_eq!((report.written_bytes, report.sectors_blank), (0, 0));
    assert_eq!(board.counter("programmed_words"), words);
    let verified = backend.verify(&plan_on(rp2040(), &[(START, &old)]), &mut |_| ()).unwrap();
    assert_eq!(verified.verified_bytes, 0x2800);

    // One byte in the second sector, and a piece in the third that keeps what is around it.
    let mut new = old.clone();
    new[0x1005] ^= 0x5A;
    let patch = noise(21, 4);
    new[0x2009..0x2009 + 21].copy_from_slice(&patch);
    let pieces: [(u64, &[u8]); 2] = [(START, &new[..0x2000]), (START + 0x2009, &patch)];
    let report = program_on(&mut backend, rp2040(), &pieces).0.unwrap();
    assert_eq!((report.sectors_equal, report.sectors_erased), (1, 2));
    assert!(board.cells(START, new.len()) == new);
    assert_eq!((board.counter("page_erases"), board.counter("refused")), (2, 0));
}

#[test]
fn another_chip_and_a_flash_that_is_too_small_are_refused_before_anything_is_written() {
    let board = Board::rp2040();
    board.pull("part 0x20004927");
    let error = backend(&board).identify(rp2040()).unwrap_err();
    assert!(matches!(error, FlashError::WrongChip { .. }), "{error:?}");

    let board = Board::rp2040();
    board.pull("flash-kib 64");
    let mut backend = backend(&board);
    assert_eq!(backend.identify(rp2040()).unwrap().part, "RP2040 B2, 64 KiB");
    let image = noise(0x200, 5);
    let error = program_on(&mut backend, rp2040(), &[(START + 0x1_0000, &image)]).0.unwrap_err();
    let FlashError::WrongChip { found, .. } = error else { panic!("{error:?}") };
    assert_eq!(found, "RP2040 with 64 KiB of flash");
    assert_eq!(board.counter("programmed_words"), 0);
    program_on(&mut backend, rp2040(), &[(START + 0xF000, &image)]).0.unwrap();
}

#[test]
fn a_flash_without_a_unique_id_or_with_one_that_cannot_be_one_is_refused() {
    let board = Board::rp2040();
    for (lever, uid) in
        [("uid unreadable", "FFFFFFFFFFFFFFFF"), ("uid 0000000000000000", "0000000000000000")]
    {
        board.pull(lever);
        let error = backend(&board).identify(rp2040()).unwrap_err();
        assert_eq!(error, FlashError::UidImplausible { uid: uid.to_owned() }, "{lever}");
    }
}

#[test]
fn power_lost_while_writing_is_a_silence_and_the_next_visit_repairs_the_board() {
    let image = noise(0x1800, 6);
    for cut in [1, 0x77, 0x400] {
        let board = Board::rp2040();
        let mut backend = identified(&board);
        board.pull(&format!("cut {cut}"));
        let error = program_on(&mut backend, rp2040(), &[(START, &image)]).0.unwrap_err();
        assert!(
            matches!(&error, FlashError::Silent { during: Step::Program, .. }),
            "cut {cut}: {error:?}"
        );
        assert_eq!(backend.contact().unwrap(), Contact::Nothing, "cut {cut}");
        board.pull("heal");
        board.pull("power on");
        drop(backend);
        let mut backend = identified(&board);
        program_on(&mut backend, rp2040(), &[(START, &image)]).0.unwrap();
        assert!(board.cells(START, image.len()) == image, "cut {cut}");
    }
}

#[test]
fn a_stuck_cell_is_named_by_its_address() {
    let board = Board::rp2040();
    let mut backend = identified(&board);
    board.pull(&format!("stuck {} 3", START + 0x805));
    let image = vec![0xA8; 0x1000];
    let error = program_on(&mut backend, rp2040(), &[(START, &image)]).0.unwrap_err();
    let address = START + 0x805;
    let wanted = FlashError::VerifyDiffered { address, bytes: 1, wanted: 0xA8, found: 0xA0 };
    assert_eq!(error, wanted);
}

#[test]
fn a_probe_that_cannot_choose_between_debug_ports_finds_nobody() {
    // A Black Magic Probe, as probe-rs 0.32 drives it.
    let board = Board::rp2040();
    assert_eq!(board.backend().contact().unwrap(), Contact::Nothing);
}

#[test]
fn a_probe_that_does_not_speak_jtag_says_so() {
    let board = Board::stm32("STM32F405RG");
    let selector = format!("{}+jtag", board.glasgow_selector());
    let error = ProbeBackend::new(selector.parse().unwrap()).contact().unwrap_err();
    let refused = matches!(&error, FlashError::WireUnsupported { wire, .. } if wire == "JTAG");
    assert!(refused, "{error:?}");
}

#[test]
fn the_other_probe_does_whole_visits_to_a_chip_with_one_debug_port_too() {
    let board = Board::stm32("STM32F072RB");
    let chip = flash::chip("STM32F072RB").unwrap();
    let mut backend = backend(&board);
    assert_eq!(backend.contact().unwrap(), Contact::Board);
    assert!(backend.identify(chip).unwrap().uid.is_some());
    let image = noise(0x1234, 7);
    program_on(&mut backend, chip, &[(0x0800_0000, &image)]).0.unwrap();
    assert!(board.cells(0x0800_0000, image.len()) == image);
    backend.reset_and_run().unwrap();
    assert_eq!(backend.presence().unwrap(), Presence::Still);
}
