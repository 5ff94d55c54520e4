//! The STM32s that are flashed through their ROM loaders, and what the loaders tell about others.
//!
//! Product ids are those of AN2606, section by section "Bootloader configuration". Addresses of the
//! unique id and of the flash size are those of the reference manuals' chapter "Device electronic
//! signature".

use std::time::Duration;

use crate::chip::{Chip, Proof, Protect, Region, RegionKind};
use crate::error::FlashError;
use crate::identity::{PartReader, Uid, UidReader};

/// Product ids and what they stand for.
pub static PRODUCTS: &[(u16, &str)] = &[
    (0x410, "STM32F10xxx medium-density"),
    (0x411, "STM32F2xxxx"),
    (0x412, "STM32F10xxx low-density"),
    (0x413, "STM32F405xx/407xx/415xx/417xx"),
    (0x414, "STM32F10xxx high-density"),
    (0x415, "STM32L475xx/476xx/486xx"),
    (0x416, "STM32L1xxx6/8/B"),
    (0x417, "STM32L05xxx/06xxx"),
    (0x418, "STM32F105xx/107xx"),
    (0x419, "STM32F42xxx/43xxx"),
    (0x420, "STM32F100xx medium-density value line"),
    (0x421, "STM32F446xx"),
    (0x422, "STM32F302xB(C)/303xB(C)/358xx"),
    (0x423, "STM32F401xB(C)"),
    (0x425, "STM32L031xx/041xx"),
    (0x428, "STM32F100xx high-density value line"),
    (0x430, "STM32F10xxx XL-density"),
    (0x431, "STM32F411xx"),
    (0x432, "STM32F373xx/378xx"),
    (0x433, "STM32F401xD(E)"),
    (0x435, "STM32L43xxx/44xxx"),
    (0x438, "STM32F303x4(6,8)/334xx/328xx"),
    (0x440, "STM32F051xx/030x8"),
    (0x442, "STM32F091xx/098xx/030xC"),
    (0x444, "STM32F03xx4/6"),
    (0x445, "STM32F04xxx/070x6"),
    (0x448, "STM32F071xx/072xx/070xB"),
    (0x460, "STM32G07xxx/08xxx"),
    (0x466, "STM32G03xxx/04xxx"),
    (0x468, "STM32G431xx/441xx"),
    (0x469, "STM32G47xxx/48xxx"),
];

/// Where a family keeps its 96 bits.
#[derive(Debug, PartialEq, Eq)]
pub struct UidPlace {
    /// The family, lower case.
    pub family: &'static str,
    /// The addresses of the three words, lowest bits first.
    pub words: [u32; 3],
    /// The manual.
    pub manual: &'static str,
    /// A public dump of a real chip that this row was checked with: the words as read, and whose.
    pub dump: Option<([u32; 3], &'static str)>,
    /// What is known about reading it through the ROM loader.
    pub through_rom: &'static str,
}

/// The unique ids of the families, manual by manual. A row without a dump is unproven.
pub static UID_PLACES: &[UidPlace] = &[
    UidPlace {
        family: "stm32f0",
        words: [0x1FFF_F7AC, 0x1FFF_F7B0, 0x1FFF_F7B4],
        manual: "RM0091, Device electronic signature, Unique device ID register",
        dump: None,
        through_rom: "in system memory; not tried",
    },
    UidPlace {
        family: "stm32f1",
        words: [0x1FFF_F7E8, 0x1FFF_F7EC, 0x1FFF_F7F0],
        manual: "RM0008, 30.2 Unique device ID register",
        dump: None,
        through_rom: "in system memory; not tried",
    },
    UidPlace {
        family: "stm32f3",
        words: [0x1FFF_F7AC, 0x1FFF_F7B0, 0x1FFF_F7B4],
        manual: "RM0316, Device electronic signature, Unique device ID register",
        dump: Some((
            [0x0025_0023, 0x5732_5707, 0x2034_3634],
            "STM32F303CB number 1 of ST Community 477966, 2016-04-27",
        )),
        through_rom: "in system memory; not tried",
    },
    UidPlace {
        family: "stm32f4",
        words: [0x1FFF_7A10, 0x1FFF_7A14, 0x1FFF_7A18],
        manual: "RM0090, Device electronic signature, Unique device ID register",
        dump: None,
        through_rom: "behind system memory; not tried",
    },
    UidPlace {
        family: "stm32l0",
        words: [0x1FF8_0050, 0x1FF8_0054, 0x1FF8_0064],
        manual: "RM0367, Device electronic signature, Unique device ID registers",
        dump: None,
        through_rom: "behind system memory; not tried",
    },
    UidPlace {
        family: "stm32l1",
        words: [0x1FF8_0050, 0x1FF8_0054, 0x1FF8_0064],
        manual: "RM0038, Device electronic signature, Unique device ID registers (Cat. 1 and 2)",
        dump: None,
        through_rom: "behind system memory; not tried",
    },
    UidPlace {
        family: "stm32l4",
        words: [0x1FFF_7590, 0x1FFF_7594, 0x1FFF_7598],
        manual: "RM0394, Device electronic signature, Unique device ID register",
        dump: None,
        through_rom: "refused: ST Community 12293 reports NACK for 0x1FFF75E0 on 0x435",
    },
    UidPlace {
        family: "stm32g0",
        words: [0x1FFF_7590, 0x1FFF_7594, 0x1FFF_7598],
        manual: "RM0444, Device electronic signature, Unique device ID register",
        dump: None,
        through_rom: "behind system memory, as on stm32l4; not tried",
    },
    UidPlace {
        family: "stm32g4",
        words: [0x1FFF_7590, 0x1FFF_7594, 0x1FFF_7598],
        manual: "RM0440, Device electronic signature, Unique device ID register",
        dump: None,
        through_rom: "behind system memory, as on stm32l4; not tried",
    },
];

/// A chip that is flashed through its ROM loader.
#[derive(Debug, PartialEq, Eq)]
pub struct Profile {
    /// What every back end knows about a chip. `uid`, `part` and `protect` in it are the debug
    /// probe's readers and have no STM32 yet: this back end reads the fields below instead, and a
    /// probe that were given this chip would end in a wrong-chip error before it writes.
    pub chip: Chip,
    /// What Get ID has to answer.
    pub product_id: u16,
    /// Where the unique id is.
    pub uid: [u32; 3],
    /// Where the flash size in KiB is, 16 bits.
    pub flash_size_at: u32,
    /// Least flash in KiB.
    pub flash_kib: u16,
    /// Longest erase of one page.
    pub page_erase_max: Duration,
}

const fn stm32(
    name: &'static str,
    family: &'static str,
    regions: &'static [Region],
    ram: (u64, u64),
) -> Chip {
    Chip {
        name,
        family,
        regions,
        ram,
        uid: UidReader::NordicDeviceId,
        part: PartReader::NordicInfo { part: 0, flash_kib: u32::MAX },
        clock_khz: 1000,
        program_bytes_max: 256,
        double_buffering: false,
        protect: Protect::None,
        proof: Proof::Unproven,
    }
}

/// Every chip that is flashed through its ROM loader.
pub static PROFILES: &[Profile] = &[
    Profile {
        // STM32F103x8/xB data sheet, memory map and flash characteristics: 40 ms at most per page.
        chip: stm32(
            "STM32F103CB",
            "stm32f1",
            &[Region {
                kind: RegionKind::Code,
                start: 0x0800_0000,
                bytes: 0x2_0000,
                sector_bytes: 0x400,
            }],
            (0x2000_0000, 0x5000),
        ),
        product_id: 0x410,
        uid: UID_PLACES[1].words,
        flash_size_at: 0x1FFF_F7E0,
        flash_kib: 128,
        page_erase_max: Duration::from_millis(40),
    },
    Profile {
        chip: stm32(
            "STM32F103C8",
            "stm32f1",
            &[Region {
                kind: RegionKind::Code,
                start: 0x0800_0000,
                bytes: 0x1_0000,
                sector_bytes: 0x400,
            }],
            (0x2000_0000, 0x5000),
        ),
        product_id: 0x410,
        uid: UID_PLACES[1].words,
        flash_size_at: 0x1FFF_F7E0,
        flash_kib: 64,
        page_erase_max: Duration::from_millis(40),
    },
    Profile {
        // STM32F303xB/xC data sheet, the same two chapters.
        chip: stm32(
            "STM32F303CB",
            "stm32f3",
            &[Region {
                kind: RegionKind::Code,
                start: 0x0800_0000,
                bytes: 0x2_0000,
                sector_bytes: 0x800,
            }],
            (0x2000_0000, 0x8000),
        ),
        product_id: 0x422,
        uid: UID_PLACES[2].words,
        flash_size_at: 0x1FFF_F7CC,
        flash_kib: 128,
        page_erase_max: Duration::from_millis(40),
    },
];

/// The profile with this chip name, upper and lower case alike.
pub fn profile(name: &str) -> Option<&'static Profile> {
    PROFILES.iter().find(|profile| profile.chip.name.eq_ignore_ascii_case(name))
}

/// A product id in words.
pub(super) fn product(id: u16) -> String {
    match PRODUCTS.iter().find(|(known, _)| *known == id) {
        Some((_, name)) => format!("{name} ({id:#05x})"),
        None => format!("product {id:#05x}"),
    }
}

/// Takes three words for a unique id.
///
/// Stricter than [`Uid::new`]: two of the words all ones or all zeros are a chip that was never
/// given its id, as the thirteen STM32F100 of ST Community 411456, of which some were alike.
pub(super) fn uid(words: [[u8; 4]; 3]) -> Result<Uid, FlashError> {
    let bytes = words.concat();
    let empty = words.iter().filter(|word| **word == [0xFF; 4] || **word == [0; 4]).count();
    if empty > 1 {
        let uid = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
        return Err(FlashError::UidImplausible { uid });
    }
    Uid::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unique_ids_of_public_dumps_are_taken_and_the_empty_ones_refused() {
        for place in UID_PLACES {
            if let Some((words, source)) = place.dump {
                let taken = uid(words.map(u32::to_le_bytes)).expect(source);
                assert_eq!(taken.as_bytes().len(), 12);
                assert_eq!(taken.as_bytes()[..4], words[0].to_le_bytes(), "{source}");
            }
        }
        // ST Community 411456, the first of them, byte by byte.
        let empty = [[0xFF, 0xFF, 0x8A, 0x07], [0xFF; 4], [0xFF; 4]];
        let refused = FlashError::UidImplausible { uid: "FFFF8A07FFFFFFFFFFFFFFFF".to_owned() };
        assert_eq!(uid(empty), Err(refused));
        assert!(uid([[0; 4]; 3]).is_err());
    }

    #[test]
    fn every_profile_agrees_with_the_tables_and_fits_a_page_number() {
        for profile in PROFILES {
            let name = profile.chip.name;
            let place = UID_PLACES.iter().find(|place| place.family == profile.chip.family);
            assert_eq!(place.map(|place| place.words), Some(profile.uid), "{name}");
            assert!(PRODUCTS.iter().any(|(id, _)| *id == profile.product_id), "{name}");
            let region = &profile.chip.regions[0];
            assert_eq!(region.bytes, u64::from(profile.flash_kib) * 1024, "{name}");
            assert!(region.bytes / region.sector_bytes <= 0x100, "{name}");
            assert_eq!(self::profile(&name.to_lowercase()), Some(profile));
        }
        let mut ids: Vec<u16> = PRODUCTS.iter().map(|(id, _)| *id).collect();
        ids.dedup();
        assert!(ids.len() == PRODUCTS.len() && ids.is_sorted());
    }

    #[test]
    fn the_readme_lists_every_profile_and_every_unproven_unique_id() {
        let readme = include_str!("../../README.md");
        for Profile { chip, .. } in PROFILES {
            let row = format!("| UART, STM32 ROM loader | `{}` | `{}` |", chip.name, chip.family);
            let row = readme.lines().find(|line| line.starts_with(&row));
            let row = row.unwrap_or_else(|| panic!("no row for {}", chip.name));
            assert!(row.ends_with("| unproven |") && chip.proof == Proof::Unproven, "{row}");
        }
        assert_eq!(readme.matches("| UART, STM32 ROM loader |").count(), PROFILES.len());
        for place in UID_PLACES {
            let row =
                readme.lines().find(|line| line.starts_with(&format!("| `{}` | ", place.family)));
            let row = row.unwrap_or_else(|| panic!("no row for {}", place.family));
            let proof = if place.dump.is_some() { "| public dump |" } else { "| unproven |" };
            assert!(row.ends_with(proof), "{row}");
            assert!(
                row.contains(&format!("{:#010X}", place.words[0]).replace("0X", "0x")),
                "{row}"
            );
        }
    }
}
