//! The back end for serial ports with an ESP32 behind them: Espressif's ROM loaders.
//!
//! [`EspBackend`] is one serial port and the chip behind it; [`frame`] the protocol's packets, pure;
//! [`PROFILES`] the chips. What a chip is made of (ids, registers, eFuses, the requests' layout, the
//! reset sequences) comes from the `espflash` library; the conversation is our own, because every
//! wait in it has to end, a disturbed answer is asked for again, and what was found out has to be
//! named. espflash's own connection waits ten seconds for a silent chip and panics on an answer that
//! lost a byte.
//!
//! The ROM is spoken to, not a program loaded into RAM: nothing of other people's runs on the chip.
//!
//! Leaves to others: holding the boot pin where the port has no lines for it (the fixture's).
//!
//! Promises: every planned byte is compared by the chip's own MD5 after writing; bytes outside the
//! plan keep their value; no eFuse is ever written.

mod backend;
pub mod frame;
mod line;
mod loader;
mod profile;
mod program;

pub use backend::{EspBackend, ResetLines};
pub use line::Fault;
pub use profile::{PROFILES, Profile, profile};
