//! Nordic's nRF51 and nRF52.

use super::{any_probe, j_link};
use crate::chip::{
    BackEnd, Chip, ProbeProfile, Proof, Protect, Region, RegionKind, Segment, Verified, Way,
};
use crate::identity::{PartReader, UidReader, UidVector};

// The nRF52's routine loops over any number of words; 16 KiB twice fits the 64 KiB of RAM.
const NRF52_PROBES: &[ProbeProfile] =
    &[j_link(any_probe(4000, 0x4000, true)), any_probe(4000, 0x4000, true)];
const NRF51_PROBES: &[ProbeProfile] = &[any_probe(4000, 0, false)];

/// nRF52832 Product Specification, chapters "Memory" and "UICR": 512 KiB in pages of 4 KiB; UICR is
/// cleared by one ERASEUICR; its last register is NFCPINS at offset 0x20C.
pub static NRF52832_XXAA: Chip = NRF52832;

/// The same of build codes Gxx (revision 3), whose access port is shut while UICR is erased: such
/// chips come from the maker locked (nRF52832 Product Specification, chapter "Access port
/// protection"). No locked chip tells its revision, so a recipe that expects this one names it.
pub static NRF52832_XXAA_GXX: Chip =
    Chip { name: "nRF52832_xxAA_Gxx", arrives_locked: true, ..NRF52832 };

const NRF52832: Chip = Chip {
    name: "nRF52832_xxAA",
    family: "nrf52",
    regions: &[
        Region {
            kind: RegionKind::Code,
            start: 0,
            bytes: 0x8_0000,
            segments: &[Segment { sectors: 128, sector_bytes: 0x1000 }],
            write_bytes: 4,
            erased: 0xFF,
        },
        Region {
            kind: RegionKind::Configuration,
            start: 0x1000_1000,
            bytes: 0x400,
            segments: &[Segment { sectors: 1, sector_bytes: 0x1000 }],
            write_bytes: 4,
            erased: 0xFF,
        },
    ],
    ram: (0x2000_0000, 0x1_0000),
    uid: UidReader::NordicDeviceId(UidVector {
        words: &[0xCE97_88BB, 0x0633_5B4C],
        source: "nRF52832 in a DWM1001C, a public bring-up record, BS6F3A, 2026-05-03",
    }),
    part: PartReader::NordicInfo { part: 0x52832, flash_kib: 512 },
    protect: Protect::NordicApprotect,
    cache: None,
    empty_check: None,
    arrives_locked: false,
    probes: NRF52_PROBES,
    ways: &[Way {
        back_end: BackEnd::Probe,
        proof: Proof::SimulatedBoard,
        verified: Verified::CrcOnTarget,
    }],
};

/// nRF51 Series Reference Manual, chapter "Memory": 256 KiB in pages of 1 KiB. UICR is not in the
/// target file's memory map: recipes name an exclude range for it.
pub static NRF51822_XXAA: Chip = Chip {
    name: "nRF51822_xxAA",
    family: "nrf51",
    regions: &[Region {
        kind: RegionKind::Code,
        start: 0,
        bytes: 0x4_0000,
        segments: &[Segment { sectors: 256, sector_bytes: 0x400 }],
        write_bytes: 4,
        erased: 0xFF,
    }],
    ram: (0x2000_0000, 0x4000),
    uid: UidReader::NordicDeviceId(UidVector {
        words: &[0x3D31_C239, 0x1234_C90F],
        source: "nRF51822 (HWID 0x1D), Nordic DevZone 529",
    }),
    part: PartReader::NordicCodeSize { flash_kib: 256 },
    protect: Protect::None,
    cache: None,
    empty_check: None,
    arrives_locked: false,
    probes: NRF51_PROBES,
    ways: &[Way {
        back_end: BackEnd::Probe,
        proof: Proof::EmulatedChip,
        verified: Verified::ReadBack,
    }],
};
