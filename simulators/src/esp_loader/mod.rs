//! An ESP32 in its ROM loader, behind a pseudo-terminal.
//!
//! Owns one chip that was started into download mode: its SPI flash ([`flash`]), eFuses and
//! registers ([`chip`]), the loader's packets ([`frame`]) and commands ([`rom`]), what it says when
//! it boots ([`boot`]) and the serial wire with its rate and faults ([`wire`]). The levers and the
//! process's front are those of [`crate::rom_loader`]. Everything but the front is told the time and
//! never reads a clock.
//!
//! Figures: Espressif's "Serial Protocol" (esptool documentation) for packets, commands and error
//! values; the technical reference manuals of ESP32 and ESP32-C3 for registers and eFuses; the
//! erase routine's checks from ESP-IDF's `esp_rom` patches; Winbond's W25Q32JV data sheet for times.
//!
//! Promises: the loader refuses what the real one refuses: a flash command before the flash is
//! attached, an erase that does not begin at a sector or ends outside the flash, data that nobody
//! announced, wrong sizes and checksums. Flash is NOR: a write only clears bits, and the loader reads
//! each block back and compares eight bits of it, as the ROM does. SPI_FLASH_MD5 is computed over
//! what really is in flash.
//!
//! Secure download mode is an eFuse: the lever `lock` burns it, and nothing takes it back.
//!
//! There is no core: downloads into RAM are refused, so esptool's and espflash's stubs cannot run
//! here. Where Espressif does not say what the ROM does (a repeated sequence number, MD5 of an odd
//! length), this one refuses.

pub mod boot;
pub mod chip;
pub mod flash;
pub mod frame;
pub mod rom;
pub mod wire;

pub use chip::{Chip, Model};
pub use wire::{Settings, Wire, serve};
