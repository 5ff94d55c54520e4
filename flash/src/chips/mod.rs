//! The one table of qualified chips.
//!
//! A chip is flashed only with a row from here, whatever way leads to it. Numbers come from the
//! makers' manuals, named beside them. What a loader adds (ids of its own, page timing) stays with
//! its back end and points to a row.

mod esp32;
mod nordic;
mod rp2040;
mod stm32;

use crate::chip::{Chip, ProbeProfile, Reset};
use crate::port::PortKind;

pub use esp32::{ESP32, ESP32C3, ESP32S3};
pub use nordic::{NRF51822_XXAA, NRF52832_XXAA, NRF52832_XXAA_GXX};
pub(crate) use rp2040::CORE_0 as RP2040_CORE_0;
pub use rp2040::RP2040;
pub use stm32::{
    STM32F072RB, STM32F103C8, STM32F103CB, STM32F303CB, STM32F405RG, STM32G071RB, STM32G431RB,
    STM32L053R8, STM32L152RB, STM32L476RG, UID_PLACES, UidPlace,
};

/// Every qualified chip.
pub static CHIPS: &[&Chip] = &[
    &NRF52832_XXAA,
    &NRF52832_XXAA_GXX,
    &NRF51822_XXAA,
    &STM32F072RB,
    &STM32F103CB,
    &STM32F103C8,
    &STM32F303CB,
    &STM32F405RG,
    &STM32G071RB,
    &STM32G431RB,
    &STM32L053R8,
    &STM32L152RB,
    &STM32L476RG,
    &RP2040,
    &ESP32,
    &ESP32S3,
    &ESP32C3,
];

/// The row with this name, upper and lower case alike; an STM32's name may go on with package and
/// temperature (`Tx`, `T6`), which change nothing here.
pub fn chip(name: &str) -> Option<&'static Chip> {
    let named =
        |name: &str| CHIPS.iter().copied().find(|chip| chip.name.eq_ignore_ascii_case(name));
    named(name).or_else(|| {
        let (part, package) = name.split_at_checked(name.len().checked_sub(2)?)?;
        let package = package.as_bytes();
        let is_package = package[0].is_ascii_alphabetic()
            && (package[1].is_ascii_digit() || package[1].eq_ignore_ascii_case(&b'x'));
        named(part).filter(|chip| is_package && chip.name.starts_with("STM32"))
    })
}

/// A profile for all probes.
const fn any_probe(clock_khz: u32, program_bytes_max: u32, double_buffering: bool) -> ProbeProfile {
    let reset = Reset::Request;
    ProbeProfile { probe: None, clock_khz, double_buffering, program_bytes_max, reset }
}

/// The same for a chip whose firmware can turn its debug pins off, and whose debug port answers
/// while the reset pin is held.
const fn caught_by_pin(rest: ProbeProfile) -> ProbeProfile {
    ProbeProfile { reset: Reset::RequestOrPin, ..rest }
}

/// The same for SEGGER's J-Links, which lose pages when two buffers are in use (probe-rs issue
/// 3775, open in 0.32).
const fn j_link(rest: ProbeProfile) -> ProbeProfile {
    ProbeProfile { probe: Some(PortKind::JLink), double_buffering: false, ..rest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chip::{BackEnd, Proof, Verified};
    use crate::error::FlashError;
    use crate::identity::{UidReader, UidVector};

    #[test]
    fn a_row_is_found_by_its_name_in_any_case_and_by_no_other() {
        assert_eq!(chip("nrf52832_XXaa").map(|c| c.family), Some("nrf52"));
        assert_eq!(chip("STM32F405RGTx").map(|c| c.name), Some("STM32F405RG"));
        assert_eq!(chip("stm32f103cbt6").map(|c| c.name), Some("STM32F103CB"));
        let gxx = chip("nRF52832_xxAA_Gxx").expect("a row");
        assert_eq!((gxx.target(), gxx.arrives_locked), ("nRF52832_xxAA", true));
        assert_eq!((NRF52832_XXAA.target(), NRF52832_XXAA.arrives_locked), (gxx.target(), false));
        for unknown in ["nRF52832", "nRF52832_xxAATx", "STM32F405R", "STM32F405RG-x", "", "x", "é"]
        {
            assert!(chip(unknown).is_none(), "{unknown}");
        }
        let mut names: Vec<String> = CHIPS.iter().map(|chip| chip.name.to_lowercase()).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), CHIPS.len());
    }

    #[test]
    fn a_region_holds_a_range_only_if_it_holds_all_of_it() {
        let check = |address, bytes, held: bool| {
            let region = NRF52832_XXAA.region_of(address, bytes);
            assert_eq!(region.is_some(), held, "{address:#x}+{bytes}");
        };
        check(0, 1, true);
        check(0x7_FFFF, 1, true);
        check(0x7_FFFF, 2, false);
        check(0x8_0000, 1, false);
        check(0x1000_1208, 4, true);
        check(0x1000_13FD, 4, false);
        check(u64::MAX, 2, false);
        check(0x2000_0000, 4, false);
    }

    #[test]
    fn the_sectors_of_every_region_are_whole_ordered_and_cover_it() {
        for chip in CHIPS {
            for region in chip.regions {
                let mut next = region.start;
                for sector in region.sectors() {
                    assert_eq!(sector.start, next, "{}", chip.name);
                    let unit = u64::from(region.write_bytes);
                    assert!(unit >= 4 && (sector.end - sector.start) % unit == 0, "{}", chip.name);
                    next = sector.end;
                }
                assert_eq!(next, region.end(), "{}", chip.name);
            }
        }
        let f405: Vec<u64> = STM32F405RG.regions[0].sectors().map(|s| s.end - s.start).collect();
        assert_eq!(f405[..6], [0x4000, 0x4000, 0x4000, 0x4000, 0x1_0000, 0x2_0000]);
        assert_eq!(f405.len(), 12);
    }

    #[test]
    fn a_j_link_never_gets_two_buffers() {
        for chip in CHIPS.iter().filter(|chip| chip.way(BackEnd::Probe).is_some()) {
            let profile = chip
                .probe(PortKind::of_probe((0x1366, 0x0101)))
                .expect("every probe has a profile");
            assert!(!profile.double_buffering, "{}", chip.name);
            assert!(chip.probe(PortKind::BlackMagicTcp).is_some(), "{}", chip.name);
        }
        assert!(NRF52832_XXAA.probe(PortKind::CmsisDap).is_some_and(|p| p.double_buffering));
    }

    #[test]
    fn the_readme_lists_every_way_as_proven_and_as_compared_as_it_is() {
        let readme = include_str!("../../README.md");
        let mut ways = 0;
        for chip in CHIPS {
            for way in chip.ways {
                ways += 1;
                let compared = match way.verified {
                    Verified::CrcOnTarget => "CRC-32 by the chip",
                    Verified::ReadBack => "full read-back",
                    Verified::Md5OnTarget => "MD5 by the chip",
                };
                let proof = match way.proof {
                    Proof::SimulatedBoard => "simulated board",
                    Proof::EmulatedChip => "QEMU `microbit`",
                    Proof::Unproven => "unproven",
                };
                let (name, family) = (chip.name, chip.family);
                let row =
                    format!("| {} | `{name}` | `{family}` | {compared} | {proof} |", way.back_end);
                assert!(readme.lines().any(|line| line == row), "no row {row}");
            }
        }
        let rows = readme.lines().filter(|line| {
            [BackEnd::Probe, BackEnd::Dfu, BackEnd::Uart]
                .iter()
                .any(|back_end| line.starts_with(&format!("| {back_end} | `")))
        });
        assert_eq!(rows.count(), ways);
    }

    #[test]
    fn the_readme_lists_every_unique_id_and_which_are_unproven() {
        let readme = include_str!("../../README.md");
        for place in UID_PLACES {
            let row =
                readme.lines().find(|line| line.starts_with(&format!("| `{}` | ", place.family)));
            let row = row.unwrap_or_else(|| panic!("no row for {}", place.family));
            let proof = if place.vector.is_some() { "| public dump |" } else { "| unproven |" };
            assert!(row.ends_with(proof), "{row}");
            assert!(row.contains(&format!("0x{:08X}", place.words[0])), "{row}");
        }
    }

    #[test]
    fn the_unique_ids_of_public_dumps_are_taken_and_the_empty_ones_refused() {
        for chip in CHIPS {
            if let Some(UidVector { words, source }) = chip.uid.vector() {
                if !chip.has_external_flash() {
                    assert_eq!(words.len(), chip.uid.words().len(), "{source}");
                }
                let uid = chip.uid.judge(words).expect(source);
                assert_eq!(uid.as_bytes().len(), 4 * words.len(), "{source}");
            }
        }
        let shown = |chip: &Chip| {
            let vector = chip.uid.vector().expect("a public dump");
            chip.uid.judge(vector.words).expect(vector.source).to_string()
        };
        // As the sources print the bytes, or as the makers' own tools derive a serial number.
        assert_eq!(shown(&NRF51822_XXAA), "39C2313D0FC93412");
        assert_eq!(shown(&STM32L053R8), "3139510E3631353415002E00");
        assert_eq!(shown(&RP2040), "E6605481DB865D37");
        for chip in CHIPS.iter().filter(|chip| chip.family.starts_with("stm32")) {
            // The manuals call seven bytes the lot number in ASCII; STM32F1's do not.
            let Some(vector) = chip.uid.vector().filter(|_| chip.family != "stm32f1") else {
                continue;
            };
            let bytes = chip.uid.judge(vector.words).expect(vector.source);
            let lot = match chip.family {
                "stm32l0" | "stm32l1" => [&bytes.as_bytes()[..3], &bytes.as_bytes()[4..8]].concat(),
                _ => bytes.as_bytes()[5..].to_vec(),
            };
            let is_text = lot
                .iter()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
            assert!(is_text, "{}: {lot:?}", vector.source);
        }
        // ST Community 411456, the first of them, byte by byte.
        let reader = UidReader::Stm32(UID_PLACES[0]);
        let refused = FlashError::UidImplausible { uid: "FFFF8A07FFFFFFFFFFFFFFFF".to_owned() };
        assert_eq!(reader.judge(&[0x078A_FFFF, u32::MAX, u32::MAX]), Err(refused));
        assert!(reader.judge(&[0; 3]).is_err());
    }

    #[test]
    fn a_chip_whose_unique_id_no_public_dump_backs_is_unproven_on_every_way() {
        let unbacked: Vec<&Chip> =
            CHIPS.iter().copied().filter(|chip| chip.uid.vector().is_none()).collect();
        for way in unbacked.iter().flat_map(|chip| chip.ways) {
            assert_eq!(way.proof, Proof::Unproven);
        }
        assert!(unbacked.contains(&&STM32G431RB) && !unbacked.contains(&&RP2040));
    }
}
