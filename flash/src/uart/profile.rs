//! What the STM32s' ROM loaders tell and need beyond the table of chips.
//!
//! Product ids are those of AN2606, section by section "Bootloader configuration"; they are the
//! chips' device ids. Page times are those of the data sheets, chapter "Memory characteristics".

use std::time::Duration;

use crate::chip::Chip;
use crate::chips::{STM32F072RB, STM32F103C8, STM32F103CB, STM32F303CB};
use crate::identity::{PartReader, device_name};

/// A chip that is flashed through its ROM loader.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// The chip.
    pub chip: &'static Chip,
    /// Longest erase of one page.
    pub page_erase_max: Duration,
}

impl Profile {
    /// What Get ID has to answer; where the flash size in KiB is, 16 bits; the least it may be.
    pub(super) fn part(&self) -> (u16, u32, u16) {
        match self.chip.part {
            PartReader::Stm32 { device, flash_size, flash_kib, .. } => {
                (device, flash_size, flash_kib)
            }
            // A test holds every profile to be an STM32.
            PartReader::NordicInfo { .. }
            | PartReader::NordicCodeSize { .. }
            | PartReader::Rp2040
            | PartReader::ByLoader => (u16::MAX, u32::MAX, u16::MAX),
        }
    }
}

/// Every chip that is flashed through its ROM loader.
pub static PROFILES: &[Profile] = &[
    Profile { chip: &STM32F072RB, page_erase_max: Duration::from_millis(40) },
    Profile { chip: &STM32F103CB, page_erase_max: Duration::from_millis(40) },
    Profile { chip: &STM32F103C8, page_erase_max: Duration::from_millis(40) },
    Profile { chip: &STM32F303CB, page_erase_max: Duration::from_millis(40) },
];

/// The profile with this chip name, upper and lower case alike.
pub fn profile(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.chip.name.eq_ignore_ascii_case(name))
}

/// A product id in words.
pub(super) fn product(id: u16) -> String {
    device_name(u32::from(id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::BackEnd;

    #[test]
    fn every_profile_is_an_stm32_of_the_table_that_fits_a_page_number() {
        for profile in PROFILES {
            let name = profile.chip.name;
            let region = &profile.chip.regions[0];
            let (_, _, flash_kib) = profile.part();
            assert_eq!(region.bytes, u64::from(flash_kib) * 1024, "{name}");
            assert!(region.sectors().count() <= 0x100, "{name}");
            assert_eq!(profile.chip.uid.words().len(), 3, "{name}");
            assert_eq!(self::profile(&name.to_lowercase()), Some(profile));
            assert!(std::ptr::eq(crate::chip(name).expect("a row"), profile.chip));
        }
        let with_uart = crate::CHIPS
            .iter()
            .filter(|chip| chip.way(BackEnd::Uart).is_some() && chip.family.starts_with("stm32"));
        assert_eq!(with_uart.count(), PROFILES.len());
    }
}
