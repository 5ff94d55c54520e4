//! What the DFU back end has to know about a chip beyond the table of chips and its memory map.
//!
//! The ROM loader tells its flash and its USB ids, not its part number. ST's AN3156 (revision 17,
//! table 1) names the series F0, F4 and L4 among those whose loader speaks DFU; the ids and the form
//! of the memory maps are those of `dfu-util` listings that people published (`map.rs`). From
//! memory, and looked up nowhere: that a block has 2048 bytes (the device says so itself), and that
//! the loaders of these very parts have a USB port. Whether a ROM loader lets the unique id be read
//! over USB differs between loaders and is proven on no real chip here: a loader that refuses leaves
//! the identity weak.

use crate::chip::Chip;
use crate::chips::{STM32F072RB, STM32F405RG, STM32L476RG};

/// ST's loader in ROM.
const ST_LOADER: (u16, u16) = (0x0483, 0xDF11);

/// A chip that can be reached over USB DFU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DfuProfile {
    /// The chip. What starts is its first flash address; there the memory is recognised.
    pub chip: &'static Chip,
    /// idVendor and idProduct of its loader.
    pub loader: (u16, u16),
}

/// Every profile.
pub static DFU_PROFILES: &[DfuProfile] = &[
    DfuProfile { chip: &STM32F405RG, loader: ST_LOADER },
    DfuProfile { chip: &STM32L476RG, loader: ST_LOADER },
    DfuProfile { chip: &STM32F072RB, loader: ST_LOADER },
];

/// The profile for a chip with this name, upper and lower case alike.
pub fn profile(chip: &str) -> Option<&'static DfuProfile> {
    DFU_PROFILES.iter().find(|profile| profile.chip.name.eq_ignore_ascii_case(chip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::BackEnd;

    #[test]
    fn the_profiles_are_the_chips_that_have_a_way_over_dfu() {
        let with_dfu = crate::CHIPS.iter().filter(|chip| chip.way(BackEnd::Dfu).is_some());
        assert_eq!(with_dfu.count(), DFU_PROFILES.len());
        for profile in DFU_PROFILES {
            assert!(profile.chip.way(BackEnd::Dfu).is_some(), "{}", profile.chip.name);
            assert_eq!(profile.chip.uid.words().len(), 3, "{}", profile.chip.name);
        }
    }

    #[test]
    fn a_profile_is_found_in_any_case() {
        assert_eq!(profile("stm32f405rG").map(|p| p.chip.family), Some("stm32f4"));
        assert!(profile("STM32F405").is_none());
    }
}
