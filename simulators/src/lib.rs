//! Boards that speak the real wire protocols from their own processes, with fault levers.
//!
//! Owns one simulated board: a Black Magic Probe soldered to an nRF52832 or an STM32 that executes
//! what was flashed into it. The unmodified `probe-rs` library and command line attach to it over TCP,
//! upload their own flash algorithm and run it, so erase, program, verify, timeouts and error
//! paths of a station under test are the production ones.
//!
//! Leaves everything about stations and hubs to others: a board knows no release, no order and no
//! activation. It is told the time and never reads a clock; only [`serve`] owns sockets, threads
//! and the wall clock.
//!
//! Promise: the board refuses what the chip refuses. A write never sets a 0 bit, nothing is
//! written without the write enable, nothing is erased without the erase enable, and a locked
//! chip opens only by losing what was in its flash.

pub mod bmp;
pub mod board;
pub mod cells;
mod circuit;
pub mod control;
pub mod counters;
pub mod cpu;
pub mod dap;
mod debug_registers;
pub mod decode;
pub mod dfu;
pub mod esp_loader;
pub mod flash_file;
pub mod glasgow;
mod host;
pub mod jtag;
pub mod line_pc;
pub mod multidrop;
pub mod nrf52;
pub mod probe;
pub mod qemu;
mod rom;
pub mod rom_loader;
pub mod rp2040;
pub mod scanner;
pub mod serve;
pub mod silicon;
pub mod stm32;
pub mod swd;
pub mod timing;
#[cfg(feature = "umockdev")]
pub mod usbfs;
pub mod vhci;

pub use board::{Board, BoardConfig, Plug, Reply, Setup, Wants};
pub use serve::{Addresses, Served, Wired, serve, serve_board};
