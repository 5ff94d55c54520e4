//! Whole visits by JTAG: the driver scans the chain for its test access ports and reaches the debug
//! port through them; everything behind that is the same as by SWD.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod bench;

use bench::{Board, STM32_UID, firmware_that_writes, firmware_with_rtt_at, noise, program_on};
use flash::probe::ProbeBackend;
use flash::{Backend, Chip, Contact, FlashError, Presence, SelfTest, Step, UnlockApproval, Via};

const START: u64 = 0x0800_0000;
const RTT_AT: u32 = 0x2000_3000;
/// The modelled parts with JTAG: an M0 has SWD only.
const PARTS: [&str; 5] =
    ["STM32F103CB", "STM32F303CB", "STM32F405RG", "STM32L476RG", "STM32G431RB"];

fn chip(name: &str) -> &'static Chip {
    flash::chip(name).unwrap()
}

fn identified(board: &Board, name: &str) -> ProbeBackend {
    let mut backend = board.jtag_backend();
    assert_eq!(backend.contact().unwrap(), Contact::Board, "{name}");
    let identity = backend.identify(chip(name)).unwrap();
    assert_eq!(identity.uid.unwrap().as_bytes(), STM32_UID, "{name}");
    assert!(!identity.locked, "{name}");
    backend
}

#[test]
fn a_blank_board_is_written_says_its_line_is_locked_and_opens_by_an_approved_erase() {
    for name in PARTS {
        let board = Board::stm32(name);
        let mut backend = identified(&board, name);
        let mut image = firmware_with_rtt_at(RTT_AT, "FLASHLINE by JTAG");
        image.extend(noise(0x2A31, 1));
        let report = program_on(&mut backend, chip(name), &[(START, &image)]).0.unwrap();
        assert_eq!((report.sectors_equal, report.sectors_erased), (0, 0), "{name}");
        assert_eq!(report.verified_bytes, image.len() as u64, "{name}");
        assert!(board.cells(START, image.len()) == image, "{name}");
        let via = Via::Rtt { control_block: None };
        let test = SelfTest { via, expect: "FLASHLINE".to_owned(), within_ms: 5000 };
        let line = backend.self_test(&test, &mut |_| ()).unwrap();
        assert_eq!(line, "FLASHLINE by JTAG", "{name}");
        backend.protect().unwrap();
        assert_eq!(backend.presence().unwrap(), Presence::Still, "{name}");
        drop(backend);

        let mut backend = board.jtag_backend();
        assert!(backend.identify(chip(name)).unwrap().locked, "{name}");
        backend.unlock(chip(name), &UnlockApproval { record: "7/23".to_owned() }).unwrap();
        drop(backend);
        let mut backend = identified(&board, name);
        assert!(backend.is_blank(START, 0x400).unwrap(), "{name}");
    }
}

#[test]
fn what_one_wire_wrote_the_other_finds_equal() {
    for name in PARTS {
        let board = Board::stm32(name);
        let image = noise(0x1800, 2);
        let mut by_swd = board.backend();
        by_swd.identify(chip(name)).unwrap();
        program_on(&mut by_swd, chip(name), &[(START, &image)]).0.unwrap();
        drop(by_swd);

        let report = program_on(&mut identified(&board, name), chip(name), &[(START, &image)]);
        assert_eq!(report.0.unwrap().written_bytes, 0, "{name}");

        let mut by_swd = board.backend();
        by_swd.identify(chip(name)).unwrap();
        let report = program_on(&mut by_swd, chip(name), &[(START, &image)]).0.unwrap();
        assert_eq!(report.written_bytes, 0, "{name}");
    }
}

#[test]
fn an_empty_slot_an_unpowered_board_and_a_chip_without_jtag_are_nothing() {
    let check = |board: &Board, what: &str| {
        assert_eq!(board.jtag_backend().contact().unwrap(), Contact::Nothing, "{what}");
        let error = board.jtag_backend().identify(chip("STM32F405RG")).unwrap_err();
        assert!(matches!(error, FlashError::Silent { .. }), "{what}: {error:?}");
        assert_eq!(board.counter("programmed_words"), 0, "{what}");
    };
    let board = Board::stm32("STM32F405RG");
    board.pull("remove");
    check(&board, "empty");
    board.pull("insert");
    board.pull("power off");
    check(&board, "without power");
    check(&Board::stm32("STM32G071RB"), "a Cortex-M0+");
    check(&Board::stm32("STM32F072RB"), "a Cortex-M0");
    check(&Board::new(), "an nRF52832");
}

#[test]
fn another_part_behind_the_chain_is_the_same_refusal_as_by_swd() {
    let check = |name: &str, lever: &str, says: &str| {
        let board = Board::stm32(name);
        board.pull(lever);
        for mut backend in [board.jtag_backend(), board.backend()] {
            let error = backend.identify(chip(name)).unwrap_err();
            let FlashError::WrongChip { found, .. } = &error else {
                panic!("{name} {lever}: {error:?}");
            };
            assert_eq!(found, says, "{name} {lever}");
        }
        assert_eq!(board.counter("programmed_words"), 0);
    };
    check("STM32F103CB", "part 0x414", "STM32F10xxx high-density (0x414)");
    check("STM32F405RG", "part 0x419", "STM32F42xxx/43xxx (0x419)");
    check("STM32L476RG", "part 0x435", "STM32L43xxx/44xxx (0x435)");
    let f4 = "STM32F405xx/407xx/415xx/417xx (0x413) with 512 KiB of flash";
    check("STM32F405RG", "flash-kib 512", f4);
}

#[test]
fn firmware_that_took_the_pins_of_jtag_is_caught_by_the_reset_pin() {
    // AFIO_MAPR.SWJ_CFG = 2: SWD stays, JTAG goes. GPIOA_MODER: PA15, which is JTDI, is an input.
    let cases: [(&str, &[(u32, u32)]); 2] = [
        ("STM32F103CB", &[(0x4002_1018, 1), (0x4001_0004, 2 << 24)]),
        ("STM32F405RG", &[(0x4002_3830, 1), (0x4002_0000, 0x2800_0000)]),
    ];
    for (name, writes) in cases {
        let board = Board::stm32(name);
        let image = firmware_that_writes(writes);
        let mut backend = identified(&board, name);
        program_on(&mut backend, chip(name), &[(START, &image)]).0.unwrap();
        backend.reset_and_run().unwrap();
        drop(backend);
        let resets = board.counter("resets");
        assert_eq!(board.backend().contact().unwrap(), Contact::Board, "{name}: by SWD");
        assert_eq!(board.counter("resets"), resets, "{name}: SWD needs no reset pin");

        let mut backend = identified(&board, name);
        assert!(board.counter("resets") > resets, "{name}");
        let other = noise(0x900, 3);
        program_on(&mut backend, chip(name), &[(START, &other)]).0.unwrap();
        assert!(board.cells(START, other.len()) == other, "{name}");
    }
}

#[test]
fn power_lost_while_writing_is_a_silence_and_the_next_visit_repairs_the_board() {
    for name in PARTS {
        let image = noise(0x1800, 4);
        let board = Board::stm32(name);
        let mut backend = identified(&board, name);
        board.pull("cut 119");
        let error = program_on(&mut backend, chip(name), &[(START, &image)]).0.unwrap_err();
        let silent = matches!(&error, FlashError::Silent { during: Step::Program, .. });
        assert!(silent, "{name}: {error:?}");
        assert_eq!(backend.contact().unwrap(), Contact::Nothing, "{name}");
        for lever in ["remove", "heal", "insert", "power on"] {
            board.pull(lever);
        }
        drop(backend);
        let mut backend = identified(&board, name);
        program_on(&mut backend, chip(name), &[(START, &image)]).0.unwrap();
        assert!(board.cells(START, image.len()) == image, "{name}");
    }
}

#[test]
fn a_board_that_is_pulled_is_gone() {
    for name in PARTS {
        let board = Board::stm32(name);
        let mut backend = identified(&board, name);
        program_on(&mut backend, chip(name), &[(START, &noise(0x400, 5))]).0.unwrap();
        backend.reset_and_run().unwrap();
        assert_eq!(backend.presence().unwrap(), Presence::Still, "{name}");
        board.pull("remove");
        assert_eq!(backend.presence().unwrap(), Presence::Gone, "{name}");
        assert_eq!(backend.contact().unwrap(), Contact::Nothing, "{name}");
        board.pull("insert");
        assert_eq!(backend.contact().unwrap(), Contact::Board, "{name}");
    }
}
