//! Boards whose firmware takes the debug pins for something else: the debug port is silent from a
//! few microseconds after every reset, and only the reset pin brings it back.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod bench;

use bench::{Board, STM32_UID, firmware_that_writes, noise, program_on};
use flash::probe::ProbeBackend;
use flash::{Backend, Chip, Contact, FlashError, Presence, SelfTest, Step, UnlockApproval, Via};

const START: u64 = 0x0800_0000;

/// A part, the register writes that take its debug pins, those that switch its USART2 on, and that
/// USART's data register.
type Case = (&'static str, &'static [(u32, u32)], &'static [(u32, u32)], u32);

const CASES: [Case; 4] = [
    // RCC_APB2ENR.AFIOEN, AFIO_MAPR.SWJ_CFG = 4; RCC_APB1ENR.USART2EN, USART_CR1: UE, TE.
    (
        "STM32F103CB",
        &[(0x4002_1018, 1), (0x4001_0004, 4 << 24)],
        &[(0x4002_101C, 1 << 17), (0x4000_440C, 1 << 13 | 1 << 3)],
        0x4000_4404,
    ),
    // RCC_IOPENR.GPIOAEN, GPIOA_MODER: PA13 and PA14 analog; RCC_APBENR1.USART2EN, USART_CR1.
    (
        "STM32G071RB",
        &[(0x4002_1034, 1), (0x5000_0000, 0xFFFF_FFFF)],
        &[(0x4002_103C, 1 << 17), (0x4000_4400, 1 | 1 << 3)],
        0x4000_4428,
    ),
    // RCC_AHBENR.IOPAEN, GPIOA_MODER: outputs.
    (
        "STM32F072RB",
        &[(0x4002_1014, 1 << 17), (0x4800_0000, 0x1400_0000)],
        &[(0x4002_101C, 1 << 17), (0x4000_4400, 1 | 1 << 3)],
        0x4000_4428,
    ),
    // RCC_AHB1ENR.GPIOAEN, GPIOA_MODER: inputs.
    (
        "STM32F405RG",
        &[(0x4002_3830, 1), (0x4002_0000, 0)],
        &[(0x4002_3840, 1 << 17), (0x4000_440C, 1 << 13 | 1 << 3)],
        0x4000_4404,
    ),
];

/// Firmware that takes the debug pins and then says `line`.
fn firmware_that_says(case: &Case, line: &str) -> Vec<u8> {
    let (_, take, open, data) = case;
    let said = line.bytes().chain(*b"\n").map(|byte| (*data, u32::from(byte)));
    firmware_that_writes(&take.iter().chain(*open).copied().chain(said).collect::<Vec<_>>())
}

fn chip(name: &str) -> &'static Chip {
    flash::chip(name).unwrap()
}

fn identified(board: &Board, name: &str) -> ProbeBackend {
    let mut backend = board.backend();
    assert_eq!(backend.contact().unwrap(), Contact::Board, "{name}");
    let identity = backend.identify(chip(name)).unwrap();
    assert_eq!(identity.uid.unwrap().as_bytes(), STM32_UID, "{name}");
    backend
}

/// A board that runs such firmware, from a visit that has ended.
fn board_with(case: &Case) -> Board {
    let board = Board::stm32(case.0);
    let image = firmware_that_writes(case.1);
    let mut backend = identified(&board, case.0);
    program_on(&mut backend, chip(case.0), &[(START, &image)]).0.unwrap();
    backend.reset_and_run().unwrap();
    assert_eq!(backend.presence().unwrap(), Presence::Still, "{}", case.0);
    board
}

#[test]
fn a_chip_whose_firmware_took_the_debug_pins_is_caught_by_its_reset_pin_and_flashed() {
    for case in &CASES {
        let name = case.0;
        let board = board_with(case);
        // The driver's own attach finds nobody, however often it asks.
        let state: serde_json::Value = serde_json::from_str(&board.pull("state")).unwrap();
        assert_eq!(state["powered"], true, "{name}");
        let mut backend = identified(&board, name);
        let image = noise(0x1200, 8);
        let report = program_on(&mut backend, chip(name), &[(START, &image)]).0.unwrap();
        assert!(report.sectors_erased > 0, "{name}");
        assert!(board.cells(START, image.len()) == image, "{name}");
        assert_eq!(backend.presence().unwrap(), Presence::Still, "{name}");
    }
}

#[test]
fn a_board_that_runs_such_firmware_is_still_there_until_it_is_pulled() {
    for case in &CASES {
        let board = board_with(case);
        let mut backend = identified(&board, case.0);
        backend.reset_and_run().unwrap();
        for _ in 0..3 {
            assert_eq!(backend.presence().unwrap(), Presence::Still, "{}", case.0);
        }
        board.pull("remove");
        assert_eq!(backend.presence().unwrap(), Presence::Gone, "{}", case.0);
        assert_eq!(backend.contact().unwrap(), Contact::Nothing, "{}", case.0);
        board.pull("insert");
        assert_eq!(backend.contact().unwrap(), Contact::Board, "{}", case.0);
    }
}

#[test]
fn a_board_without_power_for_a_moment_is_gone_although_its_debug_port_comes_back() {
    for case in &CASES {
        let board = board_with(case);
        let mut backend = identified(&board, case.0);
        backend.reset_and_run().unwrap();
        board.pull("power off");
        board.pull("power on");
        assert_eq!(backend.presence().unwrap(), Presence::Gone, "{}", case.0);
    }
}

#[test]
fn its_self_test_is_heard_over_its_uart_and_it_can_be_locked_and_opened() {
    for case in &CASES {
        let name = case.0;
        let board = Board::stm32(name);
        let mut backend = identified(&board, name);
        let image = firmware_that_says(case, "FLASHLINE without pins");
        program_on(&mut backend, chip(name), &[(START, &image)]).0.unwrap();
        let via =
            Via::Uart { endpoint: format!("tcp:{}", board.served.addresses.uart), baud: 115_200 };
        let test = SelfTest { via, expect: "FLASHLINE".to_owned(), within_ms: 20_000 };
        let line = backend.self_test(&test, &mut |_| ()).unwrap();
        assert_eq!(line, "FLASHLINE without pins", "{name}");
        assert_eq!(backend.presence().unwrap(), Presence::Still, "{name}");
        backend.protect().unwrap();
        drop(backend);

        let mut backend = board.backend();
        assert!(backend.identify(chip(name)).unwrap().locked, "{name}");
        let approval = UnlockApproval { record: "7/22".to_owned() };
        backend.unlock(chip(name), &approval).unwrap();
        assert_eq!(board.counter("mass_erases"), 1, "{name}");
        drop(backend);
        let mut backend = identified(&board, name);
        assert!(backend.is_blank(START, 0x400).unwrap(), "{name}");
    }
}

#[test]
fn a_chip_without_a_profile_for_its_pin_stays_silent() {
    // The debug pins of an nRF52 are nobody else's: its profile leaves the reset pin alone.
    let board = Board::new();
    board.pull("power off");
    let error = board.backend().identify(bench::nrf52()).unwrap_err();
    assert!(matches!(error, FlashError::Silent { during: Step::Identify, .. }), "{error:?}");
    assert_eq!(board.counter("resets"), 0);
}
