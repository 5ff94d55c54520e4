//! The RP2040 and the QSPI flash beside it: what a debugger and a flash routine need of both.
//!
//! Owns the bus, the serial interface to the flash (SSI), the flash's commands, and a boot ROM of our
//! own with the real one's table of functions (`rom/rom.s`). Owns no core and no debug port. Facts
//! are the RP2040 Datasheet's (2.6.3 flash, 2.8 boot ROM, 4.10 SSI) and the data sheet's of a Winbond
//! W25Q16JV.
//!
//! Promise: flash is reached only as on the board. Nothing reads through the window until somebody has
//! configured the SSI for it; a serial command reaches the flash only while its chip select is
//! driven; without write enable nothing is erased or programmed, and bits only go to 0.

mod chip;
mod serial_flash;
mod ssi;

pub use chip::{Chip, Config, FLASH_BYTES, UID_BYTES};

/// A second stage for test images: opens the window and starts what is at 0x10000100. 252 bytes and
/// their CRC-32, as the boot ROM wants them (2.8.1.3.1).
#[must_use]
pub fn boot2() -> Vec<u8> {
    let mut stage = include_bytes!("../../rom/boot2.bin").to_vec();
    stage.resize(252, 0);
    let sum = stage.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
            sum << 1 ^ if sum >> 31 == 1 { 0x04C1_1DB7 } else { 0 }
        })
    });
    stage.extend(sum.to_le_bytes());
    stage
}
