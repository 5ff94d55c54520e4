//! The memories of the chips we know: what a recipe's map is filled from when packing.
//!
//! Taken from the vendors' product specifications. The map is copied into the signed manifest, so
//! that a station judges addresses by what R&D signed, not by its own table.

use crate::names::Name;
use crate::recipe::Memory;

const KIB: u64 = 1024;

/// Name, start, bytes of a memory that a release may write.
type Row = (&'static str, u64, u64);

/// Chips by their probe-rs names, and their memories by address. The nRF51's UICR is not among
/// them: stations cannot program it, so a recipe has to exclude it in so many words.
const CHIPS: &[(&str, &[Row])] = &[
    ("nRF51822_xxAA", &[("flash", 0, 256 * KIB)]),
    ("nRF51822_xxAB", &[("flash", 0, 128 * KIB)]),
    ("nRF51822_xxAC", &[("flash", 0, 256 * KIB)]),
    ("nRF52832_xxAA", &[("flash", 0, 512 * KIB), ("uicr", 0x1000_1000, KIB)]),
    ("nRF52832_xxAB", &[("flash", 0, 256 * KIB), ("uicr", 0x1000_1000, KIB)]),
    ("nRF52833_xxAA", &[("flash", 0, 512 * KIB), ("uicr", 0x1000_1000, KIB)]),
    ("nRF52840_xxAA", &[("flash", 0, 1024 * KIB), ("uicr", 0x1000_1000, KIB)]),
    ("STM32F103C8", &[("flash", 0x0800_0000, 64 * KIB)]),
    ("STM32F103CB", &[("flash", 0x0800_0000, 128 * KIB)]),
    ("STM32F407VG", &[("flash", 0x0800_0000, 1024 * KIB)]),
    ("STM32G071RB", &[("flash", 0x0800_0000, 128 * KIB)]),
    ("STM32L072CB", &[("flash", 0x0800_0000, 128 * KIB), ("eeprom", 0x0808_0000, 6 * KIB)]),
];

/// The memories of a chip by its probe-rs name (case ignored); none if the chip is not known here.
#[must_use]
pub fn memory_of(chip: &str) -> Option<Vec<Memory>> {
    let (_, memories) = CHIPS.iter().find(|(name, _)| name.eq_ignore_ascii_case(chip))?;
    memories
        .iter()
        .map(|&(name, start, bytes)| Some(Memory { name: Name::new(name).ok()?, start, bytes }))
        .collect()
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
        assert!(memory_of("nrf52832_XXAA").is_some());
        assert!(memory_of("Z80").is_none());
    }
}
