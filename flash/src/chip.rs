//! The qualified chips: what the station must know about a chip beyond its flash algorithm.
//!
//! A chip is flashed only with a profile from this table. Numbers come from the makers' manuals,
//! named beside them.

use serde::{Deserialize, Serialize};

use crate::identity::{PartReader, UidReader};

/// What a stretch of non-volatile memory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionKind {
    /// Program flash.
    Code,
    /// Configuration words, erased together (UICR).
    Configuration,
}

/// A stretch of non-volatile memory that can be programmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// What it is for.
    pub kind: RegionKind,
    /// First address.
    pub start: u64,
    /// Bytes that exist and can be read and written.
    pub bytes: u64,
    /// Bytes that one erase clears.
    pub sector_bytes: u64,
}

impl Region {
    /// One past the last address.
    pub fn end(&self) -> u64 {
        self.start + self.bytes
    }
}

/// How the chip is locked against reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protect {
    /// nRF52: UICR.APPROTECT is written through the NVMC, confirmed by CTRL-AP.APPROTECTSTATUS.
    NordicApprotect,
    /// No way in this profile.
    None,
}

/// What the profile has been proven against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The whole visit runs in the tests against the simulated board.
    SimulatedBoard,
    /// The whole visit, less its lock, runs in the tests against QEMU's chip with a firmware of
    /// other people.
    EmulatedChip,
    /// Never run here; production needs a lead's approval.
    Unproven,
}

/// A qualified chip.
#[derive(Debug, PartialEq, Eq)]
pub struct Chip {
    /// The name in recipes and in probe-rs' target files.
    pub name: &'static str,
    /// The family: part of every chip's identity.
    pub family: &'static str,
    /// Memory that may be programmed.
    pub regions: &'static [Region],
    /// First address and bytes of the RAM in which an RTT control block is looked for.
    pub ram: (u64, u64),
    /// How the unique id is read.
    pub uid: UidReader,
    /// How the part is told from its siblings.
    pub part: PartReader,
    /// SWD clock in kHz for probes that can set it.
    pub clock_khz: u32,
    /// Most bytes one call of the flash routine programs; 0 = the target file's page size.
    pub program_bytes_max: u32,
    /// Fill the next buffer while the chip programs the last one.
    pub double_buffering: bool,
    /// How to lock it.
    pub protect: Protect,
    /// What this profile has been proven against.
    pub proof: Proof,
}

impl Chip {
    /// The region that holds all of `bytes` bytes at `address`.
    pub fn region_of(&self, address: u64, bytes: u64) -> Option<&Region> {
        self.regions
            .iter()
            .find(|region| region.start <= address && bytes <= region.end().saturating_sub(address))
    }
}

/// Every qualified chip.
pub static CHIPS: &[Chip] = &[
    Chip {
        name: "nRF52832_xxAA",
        family: "nrf52",
        // nRF52832 Product Specification, chapters "Memory" and "UICR": 512 KiB in pages of 4 KiB;
        // UICR is cleared by one ERASEUICR; its last register is NFCPINS at offset 0x20C.
        regions: &[
            Region { kind: RegionKind::Code, start: 0, bytes: 0x8_0000, sector_bytes: 0x1000 },
            Region {
                kind: RegionKind::Configuration,
                start: 0x1000_1000,
                bytes: 0x400,
                sector_bytes: 0x1000,
            },
        ],
        ram: (0x2000_0000, 0x1_0000),
        uid: UidReader::NordicDeviceId,
        part: PartReader::NordicInfo { part: 0x52832, flash_kib: 512 },
        clock_khz: 4000,
        // The routine loops over any number of words; 16 KiB twice fits the 64 KiB of RAM.
        program_bytes_max: 0x4000,
        double_buffering: true,
        protect: Protect::NordicApprotect,
        proof: Proof::SimulatedBoard,
    },
    Chip {
        name: "nRF51822_xxAA",
        family: "nrf51",
        // nRF51 Series Reference Manual, chapter "Memory": 256 KiB in pages of 1 KiB. UICR is not
        // in the target file's memory map: recipes name an exclude range for it.
        regions: &[Region {
            kind: RegionKind::Code,
            start: 0,
            bytes: 0x4_0000,
            sector_bytes: 0x400,
        }],
        ram: (0x2000_0000, 0x4000),
        uid: UidReader::NordicDeviceId,
        part: PartReader::NordicCodeSize { flash_kib: 256 },
        clock_khz: 4000,
        program_bytes_max: 0,
        double_buffering: false,
        protect: Protect::None,
        proof: Proof::EmulatedChip,
    },
];

/// The profile with this name, upper and lower case alike.
pub fn chip(name: &str) -> Option<&'static Chip> {
    CHIPS.iter().find(|chip| chip.name.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_found_by_its_name_in_any_case_and_by_no_other() {
        assert_eq!(chip("nrf52832_XXaa").map(|c| c.family), Some("nrf52"));
        assert!(chip("nRF52832").is_none());
    }

    #[test]
    fn a_region_holds_a_range_only_if_it_holds_all_of_it() {
        let chip = chip("nRF52832_xxAA").expect("profile");
        let check = |address, bytes, held: bool| {
            assert_eq!(chip.region_of(address, bytes).is_some(), held, "{address:#x}+{bytes}");
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
    fn the_readme_lists_every_profile_with_what_it_is_proven_against() {
        let readme = include_str!("../README.md");
        for chip in CHIPS {
            let proof = match chip.proof {
                Proof::SimulatedBoard => "simulated board",
                Proof::EmulatedChip => "QEMU `microbit`",
                Proof::Unproven => "unproven",
            };
            let row = format!("| `{}` | `{}` |", chip.name, chip.family);
            let row = readme.lines().find(|line| line.contains(&row));
            let row = row.unwrap_or_else(|| panic!("no row for {}", chip.name));
            assert!(row.ends_with(&format!("| {proof} |")), "{row}");
        }
        assert_eq!(readme.matches("| SWD through probe-rs").count(), CHIPS.len());
    }
}
