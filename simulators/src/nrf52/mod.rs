//! The nRF52832: memories and peripherals as the core and a debugger see them on the bus.
//!
//! Owns addresses: which region an access falls into and how wide it may be. Owns no core, and of
//! the access ports only the one that is Nordic's own.

mod approtect;
mod bus;
mod control_ap;
mod ficr;
mod nvmc;
mod uart;

pub use approtect::{Approtect, Revision};
pub use bus::Chip;
pub use ficr::Ficr;
pub use nvmc::{Nvmc, PAGE_BYTES};
pub use uart::Uart;

/// Flash, from address 0.
pub const FLASH_BYTES: u32 = crate::flash_file::FLASH_BYTES as u32;
/// Data RAM.
pub const RAM_BASE: u32 = 0x2000_0000;
/// The same RAM on the code bus.
pub const CODE_RAM_BASE: u32 = 0x0080_0000;
/// Bytes of RAM.
pub const RAM_BYTES: u32 = 64 * 1024;
/// Factory information: read only.
pub const FICR_BASE: u32 = 0x1000_0000;
/// User information configuration: flash-like.
pub const UICR_BASE: u32 = 0x1000_1000;
/// First address behind the UICR.
pub const UICR_END: u32 = 0x1000_2000;
/// First APB peripheral.
pub const PERIPHERAL_BASE: u32 = 0x4000_0000;
/// First address behind the APB peripherals.
pub const PERIPHERAL_END: u32 = 0x4002_0000;
