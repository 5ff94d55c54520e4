//! The STM32s' flash controllers, register by register: requests in, answers out, no sockets and no
//! clock.

#![allow(clippy::unwrap_used, reason = "only tests call the functions between them")]

#[path = "bench/wire.rs"]
mod wire;

use std::time::Duration;

use simulators::cpu::Activity;
use simulators::flash_file::FlashFile;
use simulators::timing::Timing;
use simulators::{Board, stm32};
use wire::{DHCSR, FAULT, NO_ACKNOWLEDGE, NOW, OK, ask, read, write};

const FLASH: u32 = 0x0800_0000;
const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];
const OPTION_KEYS: [u32; 2] = [0x0819_2A3B, 0x4C5D_6E7F];

/// Registers of the G0's and L4's controller.
mod g0 {
    pub(super) const ACR: u32 = 0x4002_2000;
    pub(super) const KEYR: u32 = 0x4002_2008;
    pub(super) const OPTKEYR: u32 = 0x4002_200C;
    pub(super) const SR: u32 = 0x4002_2010;
    pub(super) const CR: u32 = 0x4002_2014;
    pub(super) const OPTR: u32 = 0x4002_2020;
    pub(super) const WRP1AR: u32 = 0x4002_202C;
    pub(super) const PROGERR: u32 = 1 << 3;
    pub(super) const WRPERR: u32 = 1 << 4;
    pub(super) const PGAERR: u32 = 1 << 5;
    pub(super) const SIZERR: u32 = 1 << 6;
    pub(super) const PGSERR: u32 = 1 << 7;
}

/// Registers of the F1's controller.
mod f1 {
    pub(super) const KEYR: u32 = 0x4002_2004;
    pub(super) const OPTKEYR: u32 = 0x4002_2008;
    pub(super) const SR: u32 = 0x4002_200C;
    pub(super) const CR: u32 = 0x4002_2010;
    pub(super) const AR: u32 = 0x4002_2014;
    pub(super) const OBR: u32 = 0x4002_201C;
    pub(super) const WRPR: u32 = 0x4002_2020;
}

fn board(name: &str) -> Board {
    board_with(name, Timing::OFF)
}

fn board_with(name: &str, timing: Timing) -> Board {
    let part = stm32::part(name).unwrap();
    let cells = FlashFile::blank(part.factory());
    Board::new(stm32::Config { part, uid: [7; 12], timing, cells, seated: true })
}

fn write_half(board: &mut Board, address: u32, value: u16) -> String {
    let data = hex::encode(value.to_le_bytes());
    ask(board, &format!("AM00002300005101{address:08x}00000002{data}"))
}

fn write_byte(board: &mut Board, address: u32, value: u8) -> String {
    ask(board, &format!("AM00002300005000{address:08x}00000001{value:02x}"))
}

fn turn(board: &mut Board, keyhole: u32, keys: [u32; 2]) {
    for key in keys {
        assert_eq!(write(board, keyhole, key), OK);
    }
}

#[test]
fn g0_flash_takes_whole_double_words_once_and_says_what_else_it_refuses() {
    let mut board = board("STM32G071RB");
    let board = &mut board;
    let errors = |board: &mut Board| read(board, g0::SR) & 0xC3FB;
    // Locked: CR does not move.
    write(board, g0::CR, 1);
    assert_eq!(read(board, g0::CR), 0xC000_0000);
    turn(board, g0::KEYR, KEYS);
    assert_eq!(read(board, g0::CR), 0x4000_0000);
    // Not enabled.
    write(board, FLASH, 0);
    assert_eq!(errors(board), g0::PGSERR);
    // An error blocks everything until it is cleared.
    write(board, g0::CR, 1);
    write(board, FLASH, 0);
    assert_eq!(errors(board), g0::PGSERR);
    write(board, g0::SR, 0xC3FB);
    assert_eq!(errors(board), 0);
    // Half a double word is not there yet.
    write(board, FLASH, 0x1111_1111);
    assert_eq!(read(board, g0::SR) & 1 << 18, 1 << 18, "CFGBSY");
    assert_eq!(read(board, FLASH), 0xFFFF_FFFF);
    write(board, FLASH + 4, 0x2222_2222);
    assert_eq!(read(board, g0::SR), 0);
    assert_eq!([read(board, FLASH), read(board, FLASH + 4)], [0x1111_1111, 0x2222_2222]);
    let check = |board: &mut Board, writes: &[(u32, u32)], error: u32| {
        for (address, value) in writes {
            write(board, *address, *value);
        }
        assert_eq!(errors(board), error, "{writes:x?}");
        write(board, g0::SR, 0xC3FB);
    };
    check(board, &[(FLASH, 0x1111_1111), (FLASH + 4, 0x2222_2222)], g0::PROGERR);
    check(board, &[(FLASH + 8, 1), (FLASH + 16, 2)], g0::PGAERR);
    check(board, &[(FLASH + 12, 1)], g0::PGAERR);
    assert_eq!(read(board, FLASH + 8), 0xFFFF_FFFF);
    check(board, &[(FLASH, 0), (FLASH + 4, 0)], 0);
    assert_eq!([read(board, FLASH), read(board, FLASH + 4)], [0, 0], "zeros may be written over");
    write_half(board, FLASH + 8, 0);
    check(board, &[], g0::SIZERR);
    write_byte(board, FLASH + 8, 0);
    check(board, &[], g0::SIZERR);
    assert_eq!(read(board, FLASH + 8), 0xFFFF_FFFF);
}

#[test]
fn one_time_programmable_double_words_are_not_even_written_over_with_zeros() {
    for name in ["STM32G071RB", "STM32L476RG"] {
        let mut board = board(name);
        turn(&mut board, g0::KEYR, KEYS);
        write(&mut board, g0::CR, 1);
        for value in [0x55, 0] {
            write(&mut board, 0x1FFF_7000, value);
            write(&mut board, 0x1FFF_7004, value);
        }
        assert_eq!(read(&mut board, g0::SR) & g0::PROGERR, g0::PROGERR, "{name}");
        assert_eq!(read(&mut board, 0x1FFF_7000), 0x55, "{name}");
    }
}

#[test]
fn a_wrong_key_jams_the_lock_until_the_next_reset() {
    for (name, keyhole, control) in
        [("STM32G071RB", g0::KEYR, g0::CR), ("STM32F103CB", f1::KEYR, f1::CR)]
    {
        let mut board = board(name);
        let locked = read(&mut board, control);
        assert_eq!(write(&mut board, keyhole, KEYS[1]), FAULT);
        assert_eq!(write(&mut board, keyhole, KEYS[0]), FAULT);
        assert_eq!(read(&mut board, control), locked);
        board.control("reset", NOW);
        turn(&mut board, keyhole, KEYS);
        assert_ne!(read(&mut board, control), locked, "{name}");
    }
}

#[test]
fn option_bytes_count_when_they_are_loaded_not_when_they_are_written() {
    let mut board = board("STM32G071RB");
    let board = &mut board;
    turn(board, g0::KEYR, KEYS);
    write(board, g0::WRP1AR, 0x0001_0000);
    assert_eq!(read(board, g0::WRP1AR), 0x0000_00FF, "locked");
    turn(board, g0::OPTKEYR, OPTION_KEYS);
    // Pages 0 and 1 protected.
    write(board, g0::WRP1AR, 0x0001_0000);
    write(board, g0::CR, 1 << 17);
    assert_eq!(read(board, 0x1FFF_7818), 0x0001_0000);
    assert_eq!(read(board, 0x1FFF_781C), !0x0001_0000, "the complement");
    board.control("reset", NOW);
    turn(board, g0::KEYR, KEYS);
    turn(board, g0::OPTKEYR, OPTION_KEYS);
    write(board, g0::CR, 1 << 27);
    assert_eq!(read(board, g0::CR), 0xC000_0000, "OBL_LAUNCH is a reset");
    assert_eq!(read(board, g0::WRP1AR), 0x0001_0000);
    turn(board, g0::KEYR, KEYS);
    for (page, error) in [(0, g0::WRPERR), (1, g0::WRPERR), (2, 0)] {
        write(board, g0::CR, 1 << 1 | page << 3);
        write(board, g0::CR, 1 << 16 | 1 << 1 | page << 3);
        assert_eq!(read(board, g0::SR), error, "page {page}");
        write(board, g0::SR, 0xFFFF);
    }
    write(board, g0::CR, 1 << 16 | 1 << 2);
    assert_eq!(read(board, g0::SR), g0::WRPERR, "no mass erase with protected pages");
}

#[test]
fn a_complement_that_does_not_fit_protects_the_chip() {
    let part = stm32::part("STM32G071RB").unwrap();
    let mut factory = part.factory();
    let options = (part.flash_bytes() + 1024) as usize;
    factory[options + 4] ^= 1;
    let cells = FlashFile::blank(factory);
    let timing = Timing::OFF;
    let mut board = Board::new(stm32::Config { part, uid: [7; 12], timing, cells, seated: true });
    assert_eq!(read(&mut board, g0::SR) & 1 << 15, 1 << 15, "OPTVERR");
    assert_eq!(ask(&mut board, "Am0000230000520800000000000004"), FAULT);
}

#[test]
fn what_read_out_protection_hides_also_from_the_core_stays_hidden_until_power_up() {
    let mut board = board("STM32L476RG");
    let board = &mut board;
    // Stack, entry, wfi, branch back.
    let program = [0x2000_1000, FLASH + 9, 0xE7FD_BF30, 0xFFFF_FFFF];
    turn(board, g0::KEYR, KEYS);
    write(board, g0::CR, 1);
    for (at, word) in (FLASH..).step_by(4).zip(program) {
        write(board, at, word);
    }
    board.control("lock", NOW);
    let run = |board: &mut Board| {
        while board.activity() == Some(Activity::Running) {
            board.run(NOW);
        }
        board.activity()
    };
    assert_eq!(run(board), Some(Activity::LockedUp), "a debugger was there");
    board.control("power off", NOW);
    board.control("power on", NOW);
    assert_eq!(run(board), Some(Activity::Sleeping), "nobody is looking");
    read(board, DHCSR);
    board.control("reset", NOW);
    assert_eq!(run(board), Some(Activity::LockedUp));
}

#[test]
fn level_2_answers_nothing_and_its_option_bytes_never_change_again() {
    let mut board = board("STM32G071RB");
    board.control("lock 2", NOW);
    for request in ["Ad00ff0000", "Am0000230000520800000000000004"] {
        assert_eq!(ask(&mut board, request), NO_ACKNOWLEDGE);
    }
    board.control("power off", NOW);
    board.control("power on", NOW);
    assert_eq!(ask(&mut board, "Ad00ff0000"), NO_ACKNOWLEDGE);
    assert_eq!(ask(&mut board, "GV"), "&K3300#", "the supply is there");
}

#[test]
fn an_empty_g0_boots_its_loader_until_the_flag_is_cleared_or_loaded_anew() {
    let mut board = board("STM32G071RB");
    let board = &mut board;
    assert_eq!(read(board, g0::ACR) & 1 << 16, 1 << 16);
    assert_eq!(read(board, 0), 0x2000_9000, "the loader's vector table");
    turn(board, g0::KEYR, KEYS);
    write(board, g0::CR, 1);
    write(board, FLASH, 0x2000_1000);
    write(board, FLASH + 4, FLASH + 9);
    board.control("reset", NOW);
    assert_eq!(read(board, 0), 0x2000_9000, "a reset does not look again");
    let acr = read(board, g0::ACR);
    write(board, g0::ACR, acr & !(1 << 16));
    board.control("reset", NOW);
    assert_eq!(read(board, 0), 0x2000_1000);
    board.control("power off", NOW);
    board.control("power on", NOW);
    assert_eq!(read(board, 0), 0x2000_1000);
    assert_eq!(read(board, g0::OPTR), 0xFFFF_FEAA);
}

#[test]
fn l4_pages_are_counted_per_bank_and_a_mass_erase_is_one_banks() {
    let mut board = board("STM32L476RG");
    let board = &mut board;
    let marks = [FLASH, FLASH + 0x7F800, FLASH + 0x80000, FLASH + 0xFF800];
    let held = |board: &mut Board| marks.map(|at| read(board, at) == 0);
    turn(board, g0::KEYR, KEYS);
    write(board, g0::CR, 1);
    for at in marks {
        write(board, at, 0);
        write(board, at + 4, 0);
    }
    // Last page of bank 2.
    write(board, g0::CR, 1 << 16 | 1 << 11 | 255 << 3 | 1 << 1);
    assert_eq!(held(board), [true, true, true, false]);
    write(board, g0::CR, 1 << 16 | 1 << 2);
    assert_eq!(held(board), [false, false, true, false]);
    write(board, g0::CR, 1 << 16 | 1 << 15);
    assert_eq!(held(board), [false; 4]);
}

#[test]
fn f1_flash_takes_half_words_once_and_nothing_wider_or_narrower() {
    let mut board = board("STM32F103CB");
    let board = &mut board;
    assert_eq!(write_half(board, FLASH, 0), FAULT, "not enabled");
    turn(board, f1::KEYR, KEYS);
    write(board, f1::CR, 1);
    assert_eq!(write(board, FLASH, 0x1234_5678), FAULT, "a word");
    assert_eq!(write_byte(board, FLASH, 0x12), FAULT, "a byte");
    assert_eq!(write_half(board, FLASH, 0x5678), OK);
    assert_eq!(read(board, f1::SR), 1 << 5, "EOP");
    write(board, f1::SR, 1 << 5);
    assert_eq!(write_half(board, FLASH, 0x5670), OK);
    assert_eq!(read(board, f1::SR), 1 << 2, "PGERR");
    write(board, f1::SR, 1 << 2);
    assert_eq!(read(board, FLASH), 0xFFFF_5678);
    write_half(board, FLASH, 0);
    assert_eq!(read(board, FLASH), 0xFFFF_0000, "zero may be written over");
    // Page 3, and a page that is not there.
    write_half(board, FLASH + 0xC00, 1);
    for (address, status) in [(FLASH + 0xC10, 1 << 5), (FLASH + 0x2_0000, 1 << 4)] {
        write(board, f1::SR, 0x34);
        write(board, f1::CR, 1 << 1);
        write(board, f1::AR, address);
        write(board, f1::CR, 1 << 6 | 1 << 1);
        assert_eq!(read(board, f1::SR), status, "{address:#x}");
    }
    assert_eq!(read(board, FLASH + 0xC00), 0xFFFF_FFFF);
}

#[test]
fn f1_option_bytes_have_their_own_lock_and_are_loaded_at_every_reset() {
    let mut board = board("STM32F103CB");
    let board = &mut board;
    assert_eq!(read(board, f1::OBR), 0x03FF_FFFC);
    assert_eq!(read(board, f1::WRPR), 0xFFFF_FFFF);
    turn(board, f1::KEYR, KEYS);
    write(board, f1::CR, 1 << 4);
    assert_eq!(write_half(board, 0x1FFF_F808, 0xFE), FAULT, "the second lock");
    turn(board, f1::OPTKEYR, KEYS);
    write(board, f1::CR, 1 << 9 | 1 << 5);
    write(board, f1::CR, 1 << 9 | 1 << 6 | 1 << 5);
    write(board, f1::CR, 1 << 9 | 1 << 4);
    assert_eq!(write_half(board, 0x1FFF_F800, 0xA5), OK);
    assert_eq!(write_half(board, 0x1FFF_F808, 0xFD), OK);
    assert_eq!(read(board, 0x1FFF_F808), 0xFFFF_02FD, "with its complement");
    assert_eq!(read(board, f1::WRPR), 0xFFFF_FFFF, "not loaded yet");
    board.control("reset", NOW);
    assert_eq!(read(board, f1::WRPR), 0xFFFF_FFFD);
    turn(board, f1::KEYR, KEYS);
    write(board, f1::CR, 1);
    // Pages 4 to 7 are protected, page 8 is not.
    for (page, status) in [(4, 1 << 4), (7, 1 << 4), (8, 1 << 5)] {
        write(board, f1::SR, 0x34);
        write_half(board, FLASH + page * 1024, 0x1234);
        assert_eq!(read(board, f1::SR), status, "page {page}");
    }
}

#[test]
fn a_debugger_sees_the_controller_busy_and_flash_reads_wait_for_it() {
    let timing = Timing { latency: Duration::ZERO, ..Timing::REAL };
    let check = |name, keyhole, control, status, erase: &[u32], busy: u32, time: Duration| {
        let mut board = board_with(name, timing);
        turn(&mut board, keyhole, KEYS);
        for value in erase {
            write(&mut board, control, *value);
        }
        assert_eq!(read(&mut board, status) & busy, busy, "{name}");
        let reply = board.probe(b"Am0000230000520800000000000004", NOW).unwrap();
        assert_eq!(reply.delay, time, "{name}");
        let later = time + Duration::from_micros(1);
        let reply = board.probe(b"Am0000230000520800000000000004", later).unwrap();
        assert_eq!(reply.delay, Duration::ZERO, "{name}");
    };
    let g0 = Duration::from_millis(22);
    check("STM32G071RB", g0::KEYR, g0::CR, g0::SR, &[1 << 16 | 1 << 1], 1 << 16, g0);
    let f1 = Duration::from_millis(20);
    check("STM32F103CB", f1::KEYR, f1::CR, f1::SR, &[1 << 2, 1 << 6 | 1 << 2], 1, f1);
}
