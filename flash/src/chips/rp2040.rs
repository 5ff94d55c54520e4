//! Raspberry Pi's RP2040.

use super::{any_probe, j_link};
use crate::chip::{BackEnd, Chip, Proof, Protect, Region, RegionKind, Segment, Verified, Way};
use crate::identity::{PartReader, UidReader};

/// RP2040 Datasheet, 2.6.3 "Flash": external QSPI flash behind the XIP window, 16 MiB of it; the
/// routine erases 4 KiB (flash command 0x20) and writes pages of 256 bytes. How much flash a board
/// carries is not known to the chip.
pub static RP2040: Chip = Chip {
    name: "RP2040",
    family: "rp2040",
    regions: &[Region {
        kind: RegionKind::Code,
        start: 0x1000_0000,
        bytes: 0x100_0000,
        segments: &[Segment { sectors: 4096, sector_bytes: 0x1000 }],
        write_bytes: 256,
        erased: 0xFF,
    }],
    ram: (0x2000_0000, 0x4_2000),
    uid: UidReader::ExternalFlash,
    part: PartReader::Rp2040,
    protect: Protect::None,
    cache: None,
    empty_check: None,
    probes: &[j_link(any_probe(4000, 0, false)), any_probe(4000, 0, false)],
    ways: &[Way { back_end: BackEnd::Probe, proof: Proof::Unproven, verified: Verified::ReadBack }],
};
