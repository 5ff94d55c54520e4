//! A board without sockets and without a clock, asked in the probe's own words.

#![allow(dead_code, reason = "every test file uses another part of it")]
#![allow(unreachable_pub, reason = "a module shared by test programs")]
#![allow(clippy::unwrap_used, reason = "only tests call this")]

use std::time::Duration;

use simulators::Board;

pub const NOW: Duration = Duration::ZERO;
pub const OK: &str = "&K0#";
pub const FAULT: &str = "&E403#";
pub const NO_ACKNOWLEDGE: &str = "&E4#";
pub const DHCSR: u32 = 0xE000_EDF0;

/// One request, without `!` and `#`; the whole answer.
pub fn ask(board: &mut Board, text: &str) -> String {
    String::from_utf8(board.probe(text.as_bytes(), NOW).unwrap().bytes).unwrap()
}

/// The word at an address that answers.
pub fn read(board: &mut Board, address: u32) -> u32 {
    let answer = ask(board, &format!("Am000023000052{address:08x}00000004"));
    let digits = answer.strip_prefix("&K").and_then(|rest| rest.strip_suffix('#')).unwrap();
    u32::from_str_radix(digits, 16).unwrap().swap_bytes()
}

/// Writes a word; the answer.
pub fn write(board: &mut Board, address: u32, value: u32) -> String {
    let data = hex::encode(value.to_le_bytes());
    ask(board, &format!("AM00002300005202{address:08x}00000004{data}"))
}
