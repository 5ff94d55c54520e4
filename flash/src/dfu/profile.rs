//! What the DFU back end has to know about a chip beyond its memory map.
//!
//! The ROM loader tells its flash and its USB ids, not its part number. Unique ids: the reference
//! manual's chapter "Device electronic signature", "Unique device ID register (96 bits)". Whether
//! a ROM loader lets that area be read over USB differs between loaders and is proven on no real
//! chip here: a loader that refuses leaves the identity weak.

use crate::chip::Proof;

/// ST's loader in ROM.
const ST_LOADER: (u16, u16) = (0x0483, 0xDF11);

/// A chip that can be reached over USB DFU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DfuProfile {
    /// The chip's name in recipes: [`crate::Chip::name`].
    pub chip: &'static str,
    /// idVendor and idProduct of its loader.
    pub loader: (u16, u16),
    /// First address of its program flash: what starts, and where the memory is recognised.
    pub flash_start: u64,
    /// Where its 12-byte unique id lies.
    pub uid_address: u64,
    /// What this profile has been proven against.
    pub proof: Proof,
}

/// Every profile.
pub static DFU_PROFILES: &[DfuProfile] = &[
    // RM0090: 0x1FFF7A10. Pages of 16, 64 and 128 KiB.
    DfuProfile {
        chip: "STM32F405RGTx",
        loader: ST_LOADER,
        flash_start: 0x0800_0000,
        uid_address: 0x1FFF_7A10,
        proof: Proof::Unproven,
    },
    // RM0351: 0x1FFF7590. Pages of 2 KiB.
    DfuProfile {
        chip: "STM32L476RGTx",
        loader: ST_LOADER,
        flash_start: 0x0800_0000,
        uid_address: 0x1FFF_7590,
        proof: Proof::Unproven,
    },
    // RM0091: 0x1FFFF7AC. Pages of 2 KiB.
    DfuProfile {
        chip: "STM32F072RBTx",
        loader: ST_LOADER,
        flash_start: 0x0800_0000,
        uid_address: 0x1FFF_F7AC,
        proof: Proof::Unproven,
    },
];

/// The profile for a chip with this name, upper and lower case alike.
pub fn profile(chip: &str) -> Option<&'static DfuProfile> {
    DFU_PROFILES.iter().find(|profile| profile.chip.eq_ignore_ascii_case(chip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_lists_every_dfu_profile_as_proven_as_it_is() {
        let readme = include_str!("../../README.md");
        for profile in DFU_PROFILES {
            let row = format!("| USB DFU | `{}` |", profile.chip);
            let row = readme.lines().find(|line| line.starts_with(&row));
            let row = row.unwrap_or_else(|| panic!("no row for {}", profile.chip));
            assert_eq!(profile.proof, Proof::Unproven);
            assert!(row.ends_with("| unproven: the simulated loader only |"), "{row}");
            assert!(row.contains(&format!("0x{:08X}", profile.uid_address)), "{row}");
        }
        assert_eq!(readme.matches("| USB DFU | `").count(), DFU_PROFILES.len());
    }

    #[test]
    fn a_profile_is_found_in_any_case() {
        assert_eq!(profile("stm32f405rgtX").map(|p| p.uid_address), Some(0x1FFF_7A10));
        assert!(profile("STM32F405").is_none());
    }
}
