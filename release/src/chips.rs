//! The memories of the chips we know: what a recipe's map is filled from when packing.
//!
//! The map is copied into the signed manifest, so that a station judges addresses by what R&D
//! signed, not by its own table. Sizes are the largest a part of that name has; where the flash is
//! a chip of its own (RP2040, ESP32) the map is what the chip can reach, and a recipe says less
//! where a board carries less.
//!
//! Sources, by family: nRF51 Series Reference Manual 3.0 and nRF52832/52833/52840 Product
//! Specifications, chapters "Memory" and "UICR"; STM32F0 RM0091 (chapter "Embedded flash memory"),
//! F1 RM0008 and PM0075, F3 RM0316, F4 RM0090, G0 RM0444, G4 RM0440, L0 RM0367, L1 RM0038,
//! L4 RM0351, with the size from each part's data sheet, "Device summary"; RP2040 Datasheet,
//! 2.6.3 "Flash" (XIP window from 0x10000000); ESP32, ESP32-S3 and ESP32-C3 Technical Reference
//! Manuals, chapter "System and Memory" (offsets in the SPI flash, 24 address bits).

use crate::names::Name;
use crate::recipe::Memory;

const KIB: u64 = 1024;
/// Where every STM32 has its main flash.
const STM32_FLASH: u64 = 0x0800_0000;
/// Where the RP2040 sees its external flash.
const XIP: u64 = 0x1000_0000;
/// What 24 address bits reach.
const SPI_FLASH_BYTES: u64 = 16 * 1024 * KIB;
/// A page of UICR, of which the first KiB holds registers.
const NRF52_UICR: Row = ("uicr", 0x1000_1000, KIB);

/// Name, start, bytes of a memory that a release may write.
type Row = (&'static str, u64, u64);

const fn stm32(kib: u64) -> Row {
    ("flash", STM32_FLASH, kib * KIB)
}

/// Chips by their probe-rs names (an STM32's without package and temperature), and their memories
/// by address. The nRF51's UICR is not among them: stations cannot program it, so a recipe has to
/// exclude it in so many words. Nor are option bytes, OTP and the L0's and L1's data EEPROM.
const CHIPS: &[(&str, &[Row])] = &[
    ("nRF51822_xxAA", &[("flash", 0, 256 * KIB)]),
    ("nRF51822_xxAB", &[("flash", 0, 128 * KIB)]),
    ("nRF51822_xxAC", &[("flash", 0, 256 * KIB)]),
    ("nRF52832_xxAA", &[("flash", 0, 512 * KIB), NRF52_UICR]),
    // Build codes Gxx: such chips arrive locked.
    ("nRF52832_xxAA_Gxx", &[("flash", 0, 512 * KIB), NRF52_UICR]),
    ("nRF52832_xxAB", &[("flash", 0, 256 * KIB), NRF52_UICR]),
    ("nRF52833_xxAA", &[("flash", 0, 512 * KIB), NRF52_UICR]),
    ("nRF52840_xxAA", &[("flash", 0, 1024 * KIB), NRF52_UICR]),
    ("STM32F072RB", &[stm32(128)]),
    ("STM32F103C8", &[stm32(64)]),
    ("STM32F103CB", &[stm32(128)]),
    ("STM32F303CB", &[stm32(128)]),
    ("STM32F405RG", &[stm32(1024)]),
    ("STM32F407VG", &[stm32(1024)]),
    ("STM32G071RB", &[stm32(128)]),
    ("STM32G431RB", &[stm32(128)]),
    ("STM32L053R8", &[stm32(64)]),
    ("STM32L072CB", &[stm32(128)]),
    ("STM32L152RB", &[stm32(128)]),
    ("STM32L152RE", &[stm32(512)]),
    ("STM32L476RG", &[stm32(1024)]),
    ("RP2040", &[("flash", XIP, SPI_FLASH_BYTES)]),
    ("esp32", &[("flash", 0, SPI_FLASH_BYTES)]),
    ("esp32s3", &[("flash", 0, SPI_FLASH_BYTES)]),
    ("esp32c3", &[("flash", 0, SPI_FLASH_BYTES)]),
];

/// The memories of a chip by its probe-rs name (case ignored; an STM32's may go on with package and
/// temperature, `Tx` or `T6`); none if the chip is not known here.
#[must_use]
pub fn memory_of(chip: &str) -> Option<Vec<Memory>> {
    let (_, memories) = row(chip).or_else(|| row(without_package(chip)?))?;
    memories
        .iter()
        .map(|&(name, start, bytes)| Some(Memory { name: Name::new(name).ok()?, start, bytes }))
        .collect()
}

fn row(chip: &str) -> Option<&'static (&'static str, &'static [Row])> {
    CHIPS.iter().find(|(name, _)| name.eq_ignore_ascii_case(chip))
}

/// `STM32F405RGTx` → `STM32F405RG`; none for what has no such ending.
fn without_package(chip: &str) -> Option<&str> {
    let (part, ending) = chip.split_at_checked(chip.len().checked_sub(2)?)?;
    let is_stm32 = part.get(..5)?.eq_ignore_ascii_case("stm32");
    let &[package, temperature] = ending.as_bytes() else { return None };
    let is_package = package.is_ascii_alphabetic()
        && (temperature.is_ascii_digit() || temperature.eq_ignore_ascii_case(&b'x'));
    (is_stm32 && is_package).then_some(part)
}

/// The names of the chips known here.
pub fn known() -> impl Iterator<Item = &'static str> {
    CHIPS.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chip_has_memories_in_order_without_overlap() {
        for chip in known() {
            let memories = memory_of(chip).unwrap();
            assert!(memories.windows(2).all(|pair| pair[0].end() <= pair[1].start), "{chip}");
        }
    }

    #[test]
    fn a_chip_is_found_in_any_case_and_an_stm32_with_its_package() {
        let flash = |chip: &str| memory_of(chip).map(|map| (map[0].start, map[0].bytes));
        assert_eq!(flash("nrf52832_XXAA"), Some((0, 512 * KIB)));
        assert_eq!(flash("STM32F405RGTx"), flash("STM32F405RG"));
        assert_eq!(flash("stm32f103cbt6"), Some((0x0800_0000, 128 * KIB)));
        assert_eq!(flash("rp2040"), Some((0x1000_0000, 16 * 1024 * KIB)));
        for unknown in ["Z80", "nRF52832_xxAATx", "STM32F405R", "STM32F405RG-x", "", "x", "éé"] {
            assert_eq!(flash(unknown), None, "{unknown}");
        }
    }
}
