//! A board whose core, flash controller and UART were written by others: QEMU's `microbit`.
//!
//! Owns the bridge between the Black Magic Probe protocol and one QEMU process: memory goes through
//! QEMU's qtest protocol, the core through its gdb stub, and the debug registers that QEMU does not
//! have are kept here. Leaves instructions, flash cells, interrupts and peripherals to QEMU, which
//! is the point: a second opinion on everything [`crate::nrf52`] and [`crate::cpu`] believe.
//!
//! Promise: no firmware, and no lack of one, ends the board. Where QEMU would abort (a core that
//! locks up), the bridge says `S_LOCKUP`.

mod board;
mod core;
mod emulator;
mod gdb;
mod map;
mod process;
mod qtest;

pub use board::EmulatedBoard;
