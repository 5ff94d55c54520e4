//! The board at its edges, in process: requests in, answers out, no sockets and no clock.

#![allow(clippy::unwrap_used, reason = "only tests call the functions between them")]

#[path = "bench/wire.rs"]
mod wire;

use std::time::Duration;

use simulators::cpu::Activity;
use simulators::flash_file::FlashFile;
use simulators::nrf52::Revision;
use simulators::timing::Timing;
use simulators::{Board, BoardConfig, Wants};
use wire::{DHCSR, FAULT, NO_ACKNOWLEDGE, NOW, ask, read, write};

const DEMCR: u32 = 0xE000_EDFC;
const AIRCR: u32 = 0xE000_ED0C;
const CONFIG: u32 = 0x4001_E504;

fn board() -> Board {
    board_of(Revision::Old, Timing::OFF)
}

fn board_of(revision: Revision, timing: Timing) -> Board {
    let cells = FlashFile::in_memory();
    Board::new(BoardConfig { uid: [1, 2, 3, 4, 5, 6, 7, 8], revision, timing, cells, seated: true })
}

fn run_until(board: &mut Board, wanted: Activity) {
    while board.activity() != Some(wanted) {
        assert_eq!(board.wants(NOW), Wants::Run, "waiting for {wanted:?}");
        board.run(NOW);
    }
}

/// Puts halfwords into flash as a program with its stack at the end of RAM.
fn program(board: &mut Board, code: &[u16]) {
    assert_eq!(write(board, CONFIG, 1), "&K0#");
    write(board, 0, 0x2001_0000);
    write(board, 4, 0x0000_0101);
    for (at, pair) in (0x100..).step_by(4).zip(code.chunks(2)) {
        let low = u32::from(pair[0]);
        let high = pair.get(1).map_or(0xBF00, |half| u32::from(*half));
        write(board, at, high << 16 | low);
    }
    write(board, CONFIG, 0);
}

fn reset(board: &mut Board) {
    write(board, AIRCR, 0x05FA_0004);
}

#[test]
fn the_bit_level_wire_answers_after_a_line_reset_and_only_then() {
    let mut board = board();
    let dpidr_request = "So08a5";
    ask(&mut board, dpidr_request);
    assert_eq!(ask(&mut board, "Si03"), "&K7#", "lost before a line reset");
    let line_reset = |board: &mut Board| {
        ask(board, "So20ffffffff");
        ask(board, "So167ffff");
    };
    line_reset(&mut board);
    ask(&mut board, dpidr_request);
    assert_eq!(ask(&mut board, "Si03"), "&K1#");
    assert_eq!(ask(&mut board, "Si20"), "&K2ba01477#");
    assert_eq!(ask(&mut board, "Si01"), "&K0#", "even parity of 0x2BA01477");
    // A request with a wrong parity bit loses the target until the next line reset.
    ask(&mut board, "So0885");
    assert_eq!(ask(&mut board, "Si03"), "&K7#");
    line_reset(&mut board);
    ask(&mut board, dpidr_request);
    assert_eq!(ask(&mut board, "Si03"), "&K1#");
    board.control("power off", NOW);
    ask(&mut board, dpidr_request);
    assert_eq!(ask(&mut board, "Si20"), "&Kffffffff#", "the pull-up answers for a dead target");
}

#[test]
fn a_debugger_cannot_write_flash_past_the_controller_either() {
    let mut board = board();
    assert_eq!(write(&mut board, 0x1000, 0), FAULT);
    assert_eq!(read(&mut board, 0x1000), 0xFFFF_FFFF);
    write(&mut board, CONFIG, 1);
    assert_eq!(write(&mut board, 0x1000, 0xFFFF_0000), "&K0#");
    assert_eq!(write(&mut board, 0x1000, 0x0000_FFFF), "&K0#");
    assert_eq!(read(&mut board, 0x1000), 0, "a write never sets a bit");
    // Bytes are refused even when writing is enabled.
    assert_eq!(ask(&mut board, "AM0000230000520000002000000000015a"), FAULT);
    assert_eq!(write(&mut board, 0x1000_0060, 0), FAULT, "FICR is read only");
    assert_eq!(read(&mut board, 0x1000_0060), 0x0403_0201);
}

#[test]
fn nothing_lives_outside_the_memory_map() {
    let mut board = board();
    for address in [0x0008_0000_u32, 0x0090_0000, 0x2001_0000, 0x5000_0000] {
        let request = format!("Am000023000052{address:08x}00000004");
        assert_eq!(ask(&mut board, &request), FAULT, "{address:#010x}");
    }
    assert_eq!(write(&mut board, 0x2000_FFFC, 0x1234_5678), "&K0#");
    assert_eq!(read(&mut board, 0x0080_FFFC), 0x1234_5678, "one RAM, two addresses");
}

#[test]
fn a_blank_chip_locks_up_after_reset_and_a_debugger_can_still_halt_it() {
    let mut board = board();
    run_until(&mut board, Activity::LockedUp);
    assert_eq!(board.wants(NOW), Wants::Nothing);
    assert_eq!(read(&mut board, DHCSR) & 1 << 19, 1 << 19);
    write(&mut board, DHCSR, 0xA05F_0003);
    assert_eq!(board.activity(), Some(Activity::Halted));
    write(&mut board, DHCSR, 0xA05F_0001);
    run_until(&mut board, Activity::LockedUp);
}

#[test]
fn the_reset_flag_is_seen_once_and_the_vector_catch_needs_halting_debug() {
    let mut board = board();
    program(&mut board, &[0xE7FE]);
    write(&mut board, DEMCR, 1);
    reset(&mut board);
    assert_ne!(read(&mut board, DHCSR) & 1 << 25, 0);
    assert_eq!(read(&mut board, DHCSR) & 1 << 25, 0);
    run_until(&mut board, Activity::Sleeping);
    write(&mut board, DHCSR, 0xA05F_0001);
    reset(&mut board);
    assert_eq!(board.activity(), Some(Activity::Halted));
    assert_eq!(read(&mut board, 0xE000_ED30), 1 << 3, "DFSR says vector catch");
}

#[test]
fn a_core_in_wfi_costs_nothing_and_says_that_it_sleeps() {
    let mut board = board();
    program(&mut board, &[0xBF30, 0xE7FD]);
    reset(&mut board);
    run_until(&mut board, Activity::Sleeping);
    assert_eq!(board.wants(NOW), Wants::Nothing);
    assert_ne!(read(&mut board, DHCSR) & 1 << 18, 0);
}

#[test]
fn a_breakpoint_instruction_halts_under_debug_and_faults_without() {
    let mut board = board();
    program(&mut board, &[0xBF00, 0xBE00]);
    write(&mut board, DHCSR, 0xA05F_0001);
    reset(&mut board);
    run_until(&mut board, Activity::Halted);
    assert_eq!(read(&mut board, 0xE000_ED30) & 2, 2, "DFSR says breakpoint");
    write(&mut board, 0xE000_EDF4, 15);
    assert_eq!(read(&mut board, 0xE000_EDF8), 0x102, "on the instruction, not behind it");
    write(&mut board, DHCSR, 0xA05F_0000);
    reset(&mut board);
    run_until(&mut board, Activity::LockedUp);
}

#[test]
fn a_hardware_breakpoint_halts_before_its_instruction() {
    let mut board = board();
    program(&mut board, &[0xBF00, 0xBF00, 0xBF00, 0xE7FE]);
    write(&mut board, DHCSR, 0xA05F_0001);
    write(&mut board, 0xE000_2000, 3);
    write(&mut board, 0xE000_2008, 0x4000_0105);
    reset(&mut board);
    run_until(&mut board, Activity::Halted);
    write(&mut board, 0xE000_EDF4, 15);
    assert_eq!(read(&mut board, 0xE000_EDF8), 0x104);
}

#[test]
fn ap_reads_on_the_wire_are_posted_and_a_locked_port_faults_until_abort() {
    let mut board = board();
    board.control("lock", NOW);
    ask(&mut board, "So20ffffffff");
    ask(&mut board, "So167ffff");
    ask(&mut board, "So08a5");
    ask(&mut board, "Si03");
    ask(&mut board, "Si20");
    ask(&mut board, "Si01");
    let acknowledge = |board: &mut Board, request: &str| {
        ask(board, request);
        ask(board, "Si03")
    };
    // Read AP register 0xC (DRW) of AP 0: the port is locked, so the next request sees the fault.
    assert_eq!(acknowledge(&mut board, "So089f"), "&K1#");
    ask(&mut board, "Si20");
    ask(&mut board, "Si01");
    assert_eq!(acknowledge(&mut board, "So08bd"), "&K4#", "RDBUFF while sticky");
    // ABORT clears it.
    assert_eq!(acknowledge(&mut board, "So0881"), "&K1#");
    ask(&mut board, "So201e");
    ask(&mut board, "So010");
    assert_eq!(acknowledge(&mut board, "So08bd"), "&K1#");
}

#[test]
fn the_control_access_port_tells_and_clears_the_lock() {
    let mut board = board();
    assert_eq!(ask(&mut board, "Aa000101fc"), "&K00008802#");
    assert_eq!(ask(&mut board, "Aa0001010c"), "&K01000000#");
    board.control("lock", NOW);
    assert_eq!(ask(&mut board, "Aa0001010c"), "&K00000000#");
    assert_eq!(ask(&mut board, "Am0000230000520000000000000004"), FAULT);
    ask(&mut board, "AA0001010401000000");
    assert_eq!(ask(&mut board, "Aa00010108"), "&K00000000#", "erase done");
    assert_eq!(read(&mut board, 0x1000_1208), 0xFFFF_FFFF);
}

#[test]
fn an_unpowered_board_acknowledges_nothing() {
    let mut board = board();
    board.control("power off", NOW);
    for request in ["Ad00ff0000", "Aa000101fc", "Am0000230000520000000000000004"] {
        assert_eq!(ask(&mut board, request), NO_ACKNOWLEDGE, "{request}");
    }
    assert_eq!(ask(&mut board, "HC"), "&K3#", "the probe itself is alive");
    assert_eq!(ask(&mut board, "GV"), "&K0#");
}

#[test]
fn a_debugger_sees_the_controller_busy_and_flash_reads_wait_for_it() {
    let mut board = board_of(Revision::Old, Timing { latency: Duration::ZERO, ..Timing::REAL });
    write(&mut board, CONFIG, 2);
    write(&mut board, 0x4001_E508, 0x1000);
    assert_eq!(read(&mut board, 0x4001_E400), 0, "busy");
    let reply = board.probe(b"Am0000230000520000100000000004", NOW).unwrap();
    assert_eq!(reply.delay, Duration::from_micros(89_700));
    let later = Duration::from_millis(90);
    let reply = board.probe(b"Am0000230000524001e40000000004", later).unwrap();
    assert_eq!((reply.bytes, reply.delay), (b"&K01000000#".to_vec(), Duration::ZERO));
}

#[test]
fn the_reset_pin_holds_the_core_until_it_is_released() {
    let mut board = board();
    program(&mut board, &[0xBF30, 0xE7FD]);
    ask(&mut board, "GZ1");
    assert_eq!(board.activity(), Some(Activity::InReset));
    assert_eq!(board.wants(NOW), Wants::Nothing);
    ask(&mut board, "GZ0");
    run_until(&mut board, Activity::Sleeping);
}

#[test]
fn firmware_that_resets_itself_starts_again_and_does_not_stop_the_board() {
    let mut board = board();
    // ldr r0,[pc,#4]; ldr r1,[pc,#8]; str r1,[r0]; b .; AIRCR; key | SYSRESETREQ
    program(&mut board, &[0x4801, 0x4902, 0x6001, 0xE7FE, 0xED0C, 0xE000, 0x0004, 0x05FA]);
    reset(&mut board);
    let before = board.counters().resets;
    for _ in 0..3 {
        board.run(NOW);
    }
    assert_eq!(board.counters().resets, before + 3);
}
