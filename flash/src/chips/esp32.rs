//! Espressif's ESP32 family, through the serial ROM loader.
//!
//! Flash is external: its size is what the loader finds, the region here is what 24 address bits
//! reach. Addresses are offsets in that flash (ESP32 Technical Reference Manual, chapter "System and
//! Memory"; erase and page sizes are those of every SPI NOR flash Espressif supports).

use crate::chip::{BackEnd, Chip, Proof, Protect, Region, RegionKind, Segment, Verified, Way};
use crate::identity::{PartReader, UidReader};

const fn esp(name: &'static str, family: &'static str, ram: (u64, u64)) -> Chip {
    Chip {
        name,
        family,
        regions: &[Region {
            kind: RegionKind::Code,
            start: 0,
            bytes: 0x100_0000,
            segments: &[Segment { sectors: 4096, sector_bytes: 0x1000 }],
            write_bytes: 256,
            erased: 0xFF,
        }],
        ram,
        uid: UidReader::EfuseMac,
        part: PartReader::ByLoader,
        protect: Protect::None,
        cache: None,
        empty_check: None,
        arrives_locked: false,
        probes: &[],
        ways: &[Way {
            back_end: BackEnd::Uart,
            proof: Proof::Unproven,
            verified: Verified::Md5OnTarget,
        }],
    }
}

/// The first ESP32.
pub static ESP32: Chip = esp("esp32", "esp32", (0x3FFB_0000, 0x5_0000));
/// ESP32-S3.
pub static ESP32S3: Chip = esp("esp32s3", "esp32s3", (0x3FC8_8000, 0x7_8000));
/// ESP32-C3.
pub static ESP32C3: Chip = esp("esp32c3", "esp32c3", (0x3FC8_0000, 0x6_0000));
