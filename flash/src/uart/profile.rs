//! What the STM32s' ROM loaders tell and need beyond the table of chips.
//!
//! Product ids are those of AN2606, section by section "Bootloader configuration"; they are the
//! chips' device ids. Page times are those of the data sheets, chapter "Memory characteristics".

use std::time::Duration;

use crate::chip::Chip;
use crate::chips::{
    STM32F072RB, STM32F103C8, STM32F103CB, STM32F303CB, STM32F405RG, STM32G071RB, STM32L053R8,
    STM32L476RG,
};
use crate::identity::{PartReader, device_name};

/// How a loader lets the device electronic signature (unique id, flash size) be read: what is known
/// about it stands with the unique ids of the table of chips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// Like any other memory.
    InWords,
    /// Only in whole blocks of 256 bytes at a multiple of as many.
    InBlocks,
    /// Not at all: such a chip has a weak identity, and its flash size is not known.
    Hidden,
}

/// A chip that is flashed through its ROM loader.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// The chip.
    pub chip: &'static Chip,
    /// Longest erase of one page.
    pub page_erase_max: Duration,
    /// How its signature is read.
    pub signature: Signature,
}

/// Longest silence of one erase command: between two the caller hears of the progress.
const ERASE_COMMAND_MAX: Duration = Duration::from_secs(2);
/// Most pages of one erase command.
const PAGES_PER_ERASE_MAX: usize = 32;

const fn fast(chip: &'static Chip, page_erase_max_ms: u64) -> Profile {
    let page_erase_max = Duration::from_millis(page_erase_max_ms);
    Profile { chip, page_erase_max, signature: Signature::InWords }
}

impl Profile {
    /// How many pages one erase command may name.
    pub(super) fn pages_per_erase(&self) -> usize {
        let fit = ERASE_COMMAND_MAX.as_millis() / self.page_erase_max.as_millis().max(1);
        usize::try_from(fit).unwrap_or(1).clamp(1, PAGES_PER_ERASE_MAX)
    }

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
    fast(&STM32F072RB, 40),
    fast(&STM32F103CB, 40),
    fast(&STM32F103C8, 40),
    fast(&STM32F303CB, 40),
    // 128 KiB at the lowest supply.
    Profile { signature: Signature::InBlocks, ..fast(&STM32F405RG, 4000) },
    fast(&STM32G071RB, 40),
    Profile { signature: Signature::InBlocks, ..fast(&STM32L053R8, 4) },
    Profile { signature: Signature::Hidden, ..fast(&STM32L476RG, 25) },
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
    fn an_erase_command_is_short_enough_to_hear_of() {
        let check = |name: &str, pages: usize| {
            assert_eq!(profile(name).expect("a profile").pages_per_erase(), pages, "{name}");
        };
        check("STM32F103CB", 32);
        check("STM32F405RG", 1);
        check("STM32L053R8", 32);
    }

    #[test]
    fn every_profile_is_an_stm32_of_the_table_that_fits_a_page_number() {
        for profile in PROFILES {
            let name = profile.chip.name;
            let region = &profile.chip.regions[0];
            let (_, _, flash_kib) = profile.part();
            assert_eq!(region.bytes, u64::from(flash_kib) * 1024, "{name}");
            assert!(region.sectors().count() < 0xFFF0, "{name}");
            let words = profile.chip.uid.words();
            let block = |address: u64| address & !0xFF;
            assert!(words.iter().all(|word| block(*word) == block(words[0])), "{name}");
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
