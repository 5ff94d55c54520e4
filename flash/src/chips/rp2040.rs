//! Raspberry Pi's RP2040.

use super::{any_probe, j_link};
use crate::chip::{BackEnd, Chip, Proof, Protect, Region, RegionKind, Segment, Verified, Way};
use crate::identity::{PartReader, UidReader, UidVector};

/// The SWD id of core 0, as TARGETSEL takes it (RP2040 Datasheet, 2.3.4.1).
pub(crate) const CORE_0: u32 = 0x0100_2927;

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
    uid: UidReader::ExternalFlash(UidVector {
        words: &[0x8154_60E6, 0x375D_86DB],
        source: "Raspberry Pi Pico, board 1 of rp2040_hal issue 53, 2023-12-29",
    }),
    part: PartReader::Rp2040,
    protect: Protect::None,
    cache: None,
    empty_check: None,
    arrives_locked: false,
    probes: &[j_link(any_probe(4000, 0, false)), any_probe(4000, 0, false)],
    ways: &[Way {
        back_end: BackEnd::Probe,
        proof: Proof::SimulatedBoard,
        verified: Verified::ReadBack,
    }],
};
