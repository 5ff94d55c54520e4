//! The core's debug registers: is it running, halted or locked up?
//!
//! Armv7-M Architecture Reference Manual, section C1.6.

use probe_rs::{Core, MemoryInterface};

use super::classify::classify;
use crate::backend::Step;
use crate::error::FlashError;

pub(super) const DHCSR: u64 = 0xE000_EDF0;
pub(super) const DCRSR: u64 = 0xE000_EDF4;
pub(super) const DCRDR: u64 = 0xE000_EDF8;
pub(super) const DEMCR: u64 = 0xE000_EDFC;
const DFSR: u64 = 0xE000_ED30;
const DFSR_ALL: u32 = 0x1F;
pub(super) const DHCSR_RUN: u32 = 0xA05F_0001; // DBGKEY, C_DEBUGEN
pub(super) const VC_CORERESET: u32 = 1 << 0;
pub(super) const S_REGRDY: u32 = 1 << 16;
pub(super) const S_HALT: u32 = 1 << 17;
pub(super) const S_LOCKUP: u32 = 1 << 19;
pub(super) const DCRSR_WRITE: u32 = 1 << 16;

/// Core register numbers in DCRSR.
pub(super) const R0: u32 = 0;
pub(super) const R9: u32 = 9;
pub(super) const SP: u32 = 13;
pub(super) const LR: u32 = 14;
pub(super) const PC: u32 = 15;

/// Forgets why the core halted before. A breakpoint remembered across a reset would make probe-rs
/// read the instruction under a program counter that the flashed image may set to any value.
pub(super) fn forget_halts(core: &mut Core<'_>) -> Result<(), probe_rs::Error> {
    core.write_word_32(DFSR, DFSR_ALL)
}

/// Fails if a core that should run has locked up or does not answer.
pub(super) fn check_running(core: &mut Core<'_>) -> Result<(), FlashError> {
    let during = Step::SelfTest;
    let state = core.read_word_32(DHCSR).map_err(|error| classify(&error, during))?;
    if state & S_LOCKUP != 0 {
        return Err(stuck("the firmware locked the core up", during));
    }
    Ok(())
}

/// A core that does not do what it was told.
pub(super) fn stuck(detail: &str, during: Step) -> FlashError {
    FlashError::CoreStuck { during, detail: detail.to_owned() }
}

/// Addresses and lengths of a Cortex-M are 32 bits wide.
pub(super) fn word(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
