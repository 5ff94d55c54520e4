//! The bytes for one memory of one chip: files in, sorted pieces out.
//!
//! One file per format reads; here the pieces are merged, ranges are left out in so many words, and
//! every byte is checked to have a memory to go to. Nothing is ever dropped without being counted,
//! and every refusal names the line or the offset in the file. No file makes a reader panic, and
//! none takes more memory than a small multiple of its size.

mod arm;
mod dfu;
mod elf;
mod esp;
mod facts;
mod fields;
mod format;
mod hex;
mod mcuboot;
mod pieces;
mod srec;
mod uf2;

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use arm::ArmCore;
pub use dfu::DfuError;
pub use elf::ElfError;
pub use esp::EspError;
use facts::Found;
pub use facts::{ChipClaim, Facts};
pub use format::{FormatName, ImageFormat, UnknownFormat, detect};
pub use hex::HexError;
pub use mcuboot::{HashSeen, Mcuboot, McubootError, McubootFault, Tlv, begins_with_mcuboot};
pub use pieces::Origin;
use pieces::Origins;
pub use srec::{SrecError, SrecFault};
pub use uf2::{Uf2Error, Uf2Fault};

use crate::limits::{IMAGE_BYTES_MAX, IMAGE_FILE_BYTES_MAX, SEGMENTS_MAX};
use crate::names::{Label, Name};
use crate::recipe::{ChipRecipe, Exclude, Memory};

/// One contiguous piece of an image. The bytes are erased when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    /// Address of the first byte.
    pub address: u64,
    /// The plain bytes.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl Segment {
    /// The address after the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.address + self.bytes.len() as u64
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({:#010x}..{:#010x})", self.address, self.end())
    }
}

/// A signed range that is not flashed, and how many bytes of an image it kept out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// First address of the range.
    pub start: u64,
    /// Address after the range.
    pub end: u64,
    /// Bytes of the image that lay in it.
    pub bytes: u64,
}

/// An image file as it was read: the pieces, and what the file says of itself.
pub struct ReadImage {
    /// The pieces, sorted, merged, not overlapping.
    pub segments: Vec<Segment>,
    /// What the file says of itself.
    pub facts: Facts,
    /// For which chip the file says it is.
    pub chip: Option<ChipClaim>,
    origins: Origins,
}

/// Why an image was refused.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Intel HEX.
    #[error(transparent)]
    Hex(#[from] HexError),
    /// SREC.
    #[error(transparent)]
    Srec(#[from] SrecError),
    /// ELF.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// UF2.
    #[error(transparent)]
    Uf2(#[from] Uf2Error),
    /// ESP image.
    #[error(transparent)]
    Esp(#[from] EspError),
    /// `.dfu`.
    #[error(transparent)]
    Dfu(#[from] DfuError),
    /// An MCUboot image inside.
    #[error(transparent)]
    Mcuboot(#[from] McubootError),
    /// None of the formats with addresses, and no address given.
    #[error(
        "recognising an image: not Intel HEX, SREC, ELF, UF2, an ESP image or .dfu; raw bytes need @ADDRESS"
    )]
    Unrecognised,
    /// An address for a file that has its own.
    #[error(
        "placing an image: the file is {format} and has addresses of its own; leave @ADDRESS out or add format=raw"
    )]
    AddressGiven {
        /// What the file is.
        format: FormatName,
    },
    /// No address for a file that has none.
    #[error("placing an image: the file is {format} and needs @ADDRESS")]
    AddressNeeded {
        /// What the file is.
        format: FormatName,
    },
    /// The file is for another chip than the recipe.
    #[error("placing an image: the file is for {claim}, the recipe for {chip} of {family}")]
    WrongFamily {
        /// What the file says.
        claim: ChipClaim,
        /// The recipe's family.
        family: Name,
        /// The recipe's chip.
        chip: Label,
    },
    /// Two places in the file claim one address.
    #[error(
        "reading an image: address {address:#010x} is given twice, at {earlier} and again at {origin}"
    )]
    Overlap {
        /// The first address given twice.
        address: u64,
        /// Where the second record stands that claims it.
        origin: Origin,
        /// Where the first one stands.
        earlier: Origin,
    },
    /// No bytes at all, or none left.
    #[error("reading an image: no bytes to flash")]
    Empty,
    /// A file larger than any we read.
    #[error("reading an image: the file is larger than {bytes_max} bytes")]
    FileTooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// More than an image may have.
    #[error("reading an image: more than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// More records than a file may have.
    #[error("reading an image: more than {records_max} records")]
    TooManyRecords {
        /// The limit.
        records_max: usize,
    },
    /// More pieces than an image may have.
    #[error("reading an image: more than {segments_max} pieces")]
    TooManySegments {
        /// The limit.
        segments_max: usize,
    },
    /// Bytes for which the recipe's chip has no memory.
    #[error("placing an image: the chip has no memory at {address:#010x}{}", Place(*origin))]
    OutOfRange {
        /// The first address outside.
        address: u64,
        /// Where in the file its byte stands, if the file is known.
        origin: Option<Origin>,
    },
}

/// Where in the file, in brackets.
struct Place(Option<Origin>);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(origin) => write!(f, " (the file's {origin})"),
            None => Ok(()),
        }
    }
}

/// Reads an image file and what it says of itself.
///
/// # Errors
/// [`ImageError`] by kind of damage, with the line or the offset.
pub fn read(format: ImageFormat, file: &[u8]) -> Result<ReadImage, ImageError> {
    if file.len() as u64 > IMAGE_FILE_BYTES_MAX {
        return Err(ImageError::FileTooLarge { bytes_max: IMAGE_FILE_BYTES_MAX });
    }
    let found = match format {
        ImageFormat::IntelHex => hex::read(file)?,
        ImageFormat::Srec => srec::read(file)?,
        ImageFormat::Elf => elf::read(file)?,
        ImageFormat::Uf2 => uf2::read(file)?,
        ImageFormat::Raw { address } => {
            let mut found = Found::of(pieces::Pieces::with_room_for(file.len()));
            found.pieces.push(address, file, Origin::Offset(0))?;
            found
        }
        ImageFormat::Esp { address } => esp::read(address, file)?,
        ImageFormat::Dfu { address } => dfu::read(address, file)?,
    };
    let Found { pieces, entry_points, chip, remarks } = found;
    let (segments, origins) = pieces.finish()?;
    let mcuboot = mcuboot::look(&segments)?;
    let facts = Facts { format: format.name(), entry_points, mcuboot, remarks };
    Ok(ReadImage { segments, facts, chip, origins })
}

/// Reads an image file into sorted, merged pieces that do not overlap.
///
/// # Errors
/// [`ImageError`] by kind of damage, with the line or the offset.
pub fn read_image(format: ImageFormat, file: &[u8]) -> Result<Vec<Segment>, ImageError> {
    Ok(read(format, file)?.segments)
}

impl ReadImage {
    /// The pieces as a chip's recipe places them, and what its excluded ranges kept out.
    ///
    /// # Errors
    /// [`ImageError::WrongFamily`] for a file of another chip, [`ImageError::OutOfRange`] with the
    /// line or the offset, [`ImageError::Empty`] when nothing is left.
    pub fn for_chip(self, recipe: &ChipRecipe) -> Result<(Vec<Segment>, Vec<LeftOut>), ImageError> {
        if let Some(claim) = self.chip
            && claim.fits(recipe.family.as_str(), recipe.chip.as_str()) == Some(false)
        {
            let (family, chip) = (recipe.family.clone(), recipe.chip.clone());
            return Err(ImageError::WrongFamily { claim, family, chip });
        }
        let (kept, left_out) = leave_out(self.segments, &recipe.exclude)?;
        let placed = place_from(kept, &recipe.memory, |address| self.origins.of(address))?;
        Ok((placed, left_out))
    }
}

fn checked(segments: Vec<Segment>, bytes: u64) -> Result<Vec<Segment>, ImageError> {
    if bytes == 0 {
        return Err(ImageError::Empty);
    }
    if bytes > IMAGE_BYTES_MAX {
        return Err(ImageError::TooLarge { bytes_max: IMAGE_BYTES_MAX });
    }
    if segments.len() > SEGMENTS_MAX {
        return Err(ImageError::TooManySegments { segments_max: SEGMENTS_MAX });
    }
    Ok(segments)
}

/// Takes the excluded ranges out and counts what was in each; a range that held nothing is
/// reported too, with 0 bytes.
///
/// # Errors
/// [`ImageError::Empty`] when nothing is left.
pub fn leave_out(
    segments: Vec<Segment>,
    excludes: &[Exclude],
) -> Result<(Vec<Segment>, Vec<LeftOut>), ImageError> {
    let mut left: Vec<LeftOut> = excludes
        .iter()
        .map(|range| LeftOut { start: range.start, end: range.end, bytes: 0 })
        .collect();
    let mut kept = segments;
    for range in &mut left {
        let mut next = Vec::with_capacity(kept.len() + 1);
        for segment in kept {
            let from = range.start.clamp(segment.address, segment.end());
            let to = range.end.clamp(from, segment.end());
            range.bytes += to - from;
            for (start, end) in [(segment.address, from), (to, segment.end())] {
                next.extend(slice(&segment, start, end));
            }
        }
        kept = next;
    }
    let bytes = kept.iter().map(|segment| segment.bytes.len() as u64).sum();
    Ok((checked(kept, bytes)?, left))
}

/// Splits the pieces at memory borders, so that each lies in one memory.
///
/// # Errors
/// [`ImageError::OutOfRange`] with the first address that no memory holds.
pub fn place(segments: Vec<Segment>, memory: &[Memory]) -> Result<Vec<Segment>, ImageError> {
    place_from(segments, memory, |_| None)
}

fn place_from(
    segments: Vec<Segment>,
    memory: &[Memory],
    origin: impl Fn(u64) -> Option<Origin>,
) -> Result<Vec<Segment>, ImageError> {
    let mut placed = Vec::with_capacity(segments.len());
    for segment in segments {
        let mut at = segment.address;
        while at < segment.end() {
            let home = memory
                .iter()
                .find(|memory| (memory.start..memory.end()).contains(&at))
                .ok_or(ImageError::OutOfRange { address: at, origin: origin(at) })?;
            let end = home.end().min(segment.end());
            placed.extend(slice(&segment, at, end));
            at = end;
        }
    }
    let bytes = placed.iter().map(|segment| segment.bytes.len() as u64).sum();
    checked(placed, bytes)
}

/// The part of a piece between two addresses that lie in it; none if it is empty.
fn slice(segment: &Segment, start: u64, end: u64) -> Option<Segment> {
    let index = |address: u64| usize::try_from(address - segment.address).ok();
    let bytes = segment.bytes.get(index(start)?..index(end)?)?;
    (!bytes.is_empty()).then(|| Segment { address: start, bytes: Zeroizing::new(bytes.to_vec()) })
}
