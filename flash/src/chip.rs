//! What the station must know about a chip beyond its flash algorithm: the shape of a row of
//! [`crate::CHIPS`].
//!
//! Owns the words of the table and the arithmetic of sectors; the rows with their numbers are in
//! [`crate::chips`].

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::identity::{PartReader, UidReader};
use crate::port::PortKind;

/// How the name of a chip ends whose maker changed its silicon and tells the build codes apart.
const BUILD_CODE_GXX: &str = "_Gxx";

/// What a stretch of non-volatile memory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegionKind {
    /// Program flash.
    Code,
    /// Configuration words, erased together (UICR).
    Configuration,
}

/// Neighbouring sectors of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// How many sectors.
    pub sectors: u32,
    /// Bytes that one erase clears.
    pub sector_bytes: u32,
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
    /// Its sectors, lowest address first; the last one may reach beyond `bytes`.
    pub segments: &'static [Segment],
    /// Bytes that one write takes, at a multiple of as many: a unit that is not erased is not
    /// written again (double words with ECC, half pages).
    pub write_bytes: u32,
    /// What an erased byte reads as.
    pub erased: u8,
}

impl Region {
    /// One past the last address.
    pub fn end(&self) -> u64 {
        self.start + self.bytes
    }

    /// The sectors with the bytes that exist in them, lowest address first.
    pub fn sectors(&self) -> impl Iterator<Item = Range<u64>> + use<> {
        let region = *self;
        let mut start = region.start;
        region
            .segments
            .iter()
            .flat_map(|segment| {
                std::iter::repeat_n(u64::from(segment.sector_bytes), segment.sectors as usize)
            })
            .map(move |bytes| {
                let sector = start..(start + bytes).min(region.end());
                start += bytes;
                sector
            })
            .take_while(|sector| !sector.is_empty())
    }
}

/// How the chip is locked against reading by the debug probe. ROM loaders have their own commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protect {
    /// nRF52: UICR.APPROTECT is written through the NVMC, confirmed by CTRL-AP.APPROTECTSTATUS.
    NordicApprotect,
    /// STM32: read-out protection level 1 through the option bytes. Level 2 is never set.
    Stm32Readout(Readout),
    /// No way in this row.
    None,
}

/// A chip that starts its loader as long as it believes its flash empty, and looks at that only when
/// it is powered up: the belief is corrected after the first image is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptyCheck {
    /// The register with the belief.
    pub register: u64,
    /// Its bit.
    pub bit: u32,
}

/// How an STM32's flash controller takes its read-out protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readout {
    /// F0, F1, F3: option bytes written as half words.
    HalfWords {
        /// The byte that means level 0.
        open: u8,
        /// Lowest bit of the user options in FLASH_OBR.
        user_at: u32,
    },
    /// G0, G4, L4: option registers.
    DoubleWords,
    /// F4: FLASH_OPTCR.
    ControlRegister,
}

/// A cache between flash and core that could show old bytes to the chip's own checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlashCache {
    /// The register with its switches (FLASH_ACR).
    pub register: u64,
    /// The switches, which a reset turns on.
    pub on: u32,
}

/// The kinds of transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackEnd {
    /// A debug probe: SWD through probe-rs.
    Probe,
    /// USB DFU: the chip's own loader.
    Dfu,
    /// A serial ROM loader.
    Uart,
}

impl fmt::Display for BackEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Probe => "SWD through probe-rs",
            Self::Dfu => "USB DFU",
            Self::Uart => "serial ROM loader",
        })
    }
}

/// What a way onto a chip has been proven against.
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

/// How every planned byte is compared after writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verified {
    /// CRC-32 of each stretch, computed by the chip; a stretch that differs is read back.
    CrcOnTarget,
    /// Every byte is read back.
    ReadBack,
    /// MD5 of each image, computed by the chip's loader.
    Md5OnTarget,
}

/// One way onto a chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    /// Through what.
    pub back_end: BackEnd,
    /// What it has been proven against.
    pub proof: Proof,
    /// How it verifies.
    pub verified: Verified,
}

/// How a chip is stopped before its first instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reset {
    /// By request through its debug port (AIRCR.SYSRESETREQ), with the core's vector catch.
    Request,
    /// The same; a chip whose debug port is silent is caught by its reset pin, which brings back
    /// debug pins that firmware took for something else. It loses what it was doing: a board that
    /// runs such firmware is reset whenever somebody looks whether it is still there.
    RequestOrPin,
}

/// How one kind of probe talks to one chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeProfile {
    /// Which probes; none for all that no other profile of the chip names.
    pub probe: Option<PortKind>,
    /// SWD clock in kHz for probes that can set it.
    pub clock_khz: u32,
    /// Fill the next buffer while the chip programs the last one.
    pub double_buffering: bool,
    /// Most bytes one call of the flash routine programs; 0 = the target file's page size.
    pub program_bytes_max: u32,
    /// How the chip is stopped.
    pub reset: Reset,
}

/// A qualified chip.
#[derive(Debug, PartialEq, Eq)]
pub struct Chip {
    /// The name in recipes.
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
    /// How a probe locks it.
    pub protect: Protect,
    /// A cache to be turned off before the chip reads its own flash.
    pub cache: Option<FlashCache>,
    /// What keeps a chip that was delivered empty from starting its first image.
    pub empty_check: Option<EmptyCheck>,
    /// Fresh chips arrive locked: to erase a locked one whole needs nobody's leave.
    pub arrives_locked: bool,
    /// How each kind of probe talks to it; empty if probes do not.
    pub probes: &'static [ProbeProfile],
    /// The ways onto it.
    pub ways: &'static [Way],
}

impl Chip {
    /// The region that holds all of `bytes` bytes at `address`.
    pub fn region_of(&self, address: u64, bytes: u64) -> Option<&Region> {
        self.regions
            .iter()
            .find(|region| region.start <= address && bytes <= region.end().saturating_sub(address))
    }

    /// The name in probe-rs' target files, which know no build codes.
    pub fn target(&self) -> &'static str {
        self.name.strip_suffix(BUILD_CODE_GXX).unwrap_or(self.name)
    }

    /// First address of its program flash.
    pub fn flash_start(&self) -> u64 {
        self.regions.first().map_or(0, |region| region.start)
    }

    /// Whether its program flash is another chip, seen through a window that somebody has to open.
    pub fn has_external_flash(&self) -> bool {
        matches!(self.uid, UidReader::ExternalFlash(_))
    }

    /// The way through `back_end`, if there is one.
    pub fn way(&self, back_end: BackEnd) -> Option<&'static Way> {
        self.ways.iter().find(|way| way.back_end == back_end)
    }

    /// How a probe of this kind talks to it.
    pub fn probe(&self, kind: PortKind) -> Option<&'static ProbeProfile> {
        let of = |wanted| self.probes.iter().find(|profile| profile.probe == wanted);
        of(Some(kind)).or_else(|| of(None))
    }
}
