//! Addresses and bits of a Cortex-M's debug registers, as the architecture manuals (ARMv6-M,
//! ARMv7-M) number them. Names are the manuals'.

pub(crate) const DHCSR: u32 = 0xE000_EDF0;
pub(crate) const DCRSR: u32 = 0xE000_EDF4;
pub(crate) const DCRDR: u32 = 0xE000_EDF8;
pub(crate) const DEMCR: u32 = 0xE000_EDFC;
pub(crate) const DFSR: u32 = 0xE000_ED30;
pub(crate) const AIRCR: u32 = 0xE000_ED0C;
pub(crate) const VTOR: u32 = 0xE000_ED08;
pub(crate) const CPUID: u32 = 0xE000_ED00;
/// BP_CTRL on ARMv6-M.
pub(crate) const FP_CTRL: u32 = 0xE000_2000;
/// BP_COMP0 on ARMv6-M.
pub(crate) const FP_COMP0: u32 = 0xE000_2008;

pub(crate) const C_DEBUGEN: u32 = 1 << 0;
pub(crate) const C_HALT: u32 = 1 << 1;
pub(crate) const C_STEP: u32 = 1 << 2;
/// What of DHCSR a debugger writes.
pub(crate) const CONTROLS: u32 = 0xF;
pub(crate) const S_REGRDY: u32 = 1 << 16;
pub(crate) const S_HALT: u32 = 1 << 17;
pub(crate) const S_SLEEP: u32 = 1 << 18;
pub(crate) const S_LOCKUP: u32 = 1 << 19;
pub(crate) const S_RETIRE_ST: u32 = 1 << 24;
pub(crate) const S_RESET_ST: u32 = 1 << 25;

pub(crate) const DFSR_HALTED: u32 = 1 << 0;
pub(crate) const DFSR_BKPT: u32 = 1 << 1;
pub(crate) const DFSR_VCATCH: u32 = 1 << 3;

pub(crate) const VC_CORERESET: u32 = 1 << 0;
pub(crate) const VC_HARDERR: u32 = 1 << 10;
