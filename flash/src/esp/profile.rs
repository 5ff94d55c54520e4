//! What the ESP32s' loaders need beyond the table of chips.

use espflash::target::Chip as Target;

use crate::chip::Chip;
use crate::chips::{ESP32, ESP32C3, ESP32S3};

/// A chip that is flashed through its ROM loader.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// The chip.
    pub chip: &'static Chip,
    /// espflash's name for it: registers, eFuses, ids.
    pub(super) target: Target,
    /// A register that keeps what is written until the chip is reset or loses its power, and that
    /// neither ROM nor ESP-IDF use: RTC_CNTL_STORE0 (ESP-IDF, `soc/rtc_cntl_reg.h`; technical
    /// reference manuals, chapter "Low-Power Management").
    pub(super) store_at: u32,
}

/// Every ESP32 that is flashed through its ROM loader.
pub static PROFILES: &[Profile] = &[
    Profile { chip: &ESP32, target: Target::Esp32, store_at: 0x3FF4_804C },
    Profile { chip: &ESP32S3, target: Target::Esp32s3, store_at: 0x6000_8050 },
    Profile { chip: &ESP32C3, target: Target::Esp32c3, store_at: 0x6000_8050 },
];

/// The profile with this chip name, upper and lower case alike.
pub fn profile(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.chip.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::BackEnd;
    use crate::identity::UidReader;

    #[test]
    fn every_esp32_of_the_table_has_a_profile_and_the_other_way_round() {
        let rows = crate::CHIPS.iter().filter(|chip| chip.uid == UidReader::EfuseMac);
        for chip in rows.clone() {
            let profile = profile(chip.name).expect(chip.name);
            assert!(std::ptr::eq(profile.chip, *chip));
            assert!(chip.way(BackEnd::Uart).is_some(), "{}", chip.name);
            assert_eq!(profile.target.to_string(), chip.name);
            assert!(matches!(profile.target, Target::Esp32 | Target::Esp32c3 | Target::Esp32s3));
        }
        assert_eq!(rows.count(), PROFILES.len());
    }
}
