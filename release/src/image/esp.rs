//! ESP image: what an ESP32's ROM loader and second-stage loader start (`esp_image_format.h`).
//!
//! The file goes into flash as it is, from the address that the packer gives; its segments name
//! where the loader copies them. Read to be checked and shown: header, segments, the XOR checksum
//! and the SHA-256 at the end. Bytes behind the image (a signature sector, further partitions of a
//! merged file) are flashed too and counted in the remarks.

use super::ImageError;
use super::facts::{ChipClaim, Found};
use super::fields::{le16, le32, part, text};
use super::pieces::{Origin, Pieces};
use crate::digest::Digest;

/// The first byte of an ESP image.
pub(super) const MAGIC: u8 = 0xE9;
const HEADER: usize = 24;
const SEGMENT_HEADER: usize = 8;
const SEGMENTS_MAX: u8 = 16;
const CHECKSUM_SEED: u8 = 0xEF;
const SHA256: usize = 32;
/// `esp_app_desc_t`, the first thing in an application's first segment.
const APP_MAGIC: u32 = 0xABCD_5432;
const APP_VERSION_AT: usize = 16;
const APP_NAME_AT: usize = 48;
const APP_TEXT: usize = 32;

/// What is wrong with an ESP image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EspError {
    /// Another first byte, or less than a header.
    #[error("reading an ESP image: no header")]
    NoHeader,
    /// None, or more than a loader takes.
    #[error("reading an ESP image: {segments} segments, 1 to 16 are allowed")]
    Segments {
        /// What the header says.
        segments: u8,
    },
    /// A segment that the file does not hold.
    #[error("reading an ESP image: segment {segment} at offset {offset:#x} runs over the end")]
    CutOff {
        /// Number of the segment, from 0.
        segment: u8,
        /// Where in the file its header should be.
        offset: usize,
    },
    /// Checksum or SHA-256 are missing.
    #[error("reading an ESP image: the file ends before the checksum and SHA-256")]
    NoEnd,
    /// A damaged byte in a segment.
    #[error(
        "reading an ESP image: the checksum at offset {offset:#x} is {found:02x} and must be {needed:02x}"
    )]
    Checksum {
        /// Where in the file it stands.
        offset: usize,
        /// What stands there.
        found: u8,
        /// What the segments give.
        needed: u8,
    },
    /// A damaged byte anywhere.
    #[error("reading an ESP image: the SHA-256 at offset {offset:#x} is of other bytes")]
    Sha256 {
        /// Where in the file it stands.
        offset: usize,
    },
}

pub(super) fn read(address: u64, file: &[u8]) -> Result<Found, ImageError> {
    let mut found = Found::of(Pieces::with_room_for(file.len()));
    found.pieces.push(address, file, Origin::Offset(0))?;
    let end = look(file, &mut found)?;
    let behind = file.len().saturating_sub(end);
    if behind > 0 {
        found.remark(format!("{behind} bytes behind the ESP image are flashed too"));
    }
    Ok(found)
}

/// Checks the image at the file's start and gives the offset after it.
fn look(file: &[u8], found: &mut Found) -> Result<usize, EspError> {
    let header = part(file, 0, HEADER).ok_or(EspError::NoHeader)?;
    let &[MAGIC, segments, ..] = header else { return Err(EspError::NoHeader) };
    if !(1..=SEGMENTS_MAX).contains(&segments) {
        return Err(EspError::Segments { segments });
    }
    let entry = le32(header, 4).ok_or(EspError::NoHeader)?;
    let chip = le16(header, 12).ok_or(EspError::NoHeader)?;
    let hashed = header.last() == Some(&1);
    found.entry(u64::from(entry));
    found.claim(ChipClaim::EspChip(chip));

    let (mut at, mut checksum) = (HEADER, CHECKSUM_SEED);
    for segment in 0..segments {
        let cut_off = EspError::CutOff { segment, offset: at };
        let load = le32(file, at).ok_or(cut_off)?;
        let bytes = le32(file, at + 4).and_then(|bytes| usize::try_from(bytes).ok());
        let data = bytes.and_then(|bytes| part(file, at + SEGMENT_HEADER, bytes)).ok_or(cut_off)?;
        checksum = data.iter().fold(checksum, |sum, byte| sum ^ byte);
        found.remark(format!("segment {segment} for {load:#010x}, {} bytes", data.len()));
        if segment == 0 && le32(data, 0) == Some(APP_MAGIC) {
            let field = |at| text(part(data, at, APP_TEXT).unwrap_or_default());
            let (name, version) = (field(APP_NAME_AT), field(APP_VERSION_AT));
            found.remark(format!("application {name:?} version {version:?}"));
        }
        at += SEGMENT_HEADER + data.len();
    }
    // The checksum is the last byte of the next 16.
    let offset = at | 0xF;
    let &there = file.get(offset).ok_or(EspError::NoEnd)?;
    if there != checksum {
        return Err(EspError::Checksum { offset, found: there, needed: checksum });
    }
    let end = offset + 1;
    if !hashed {
        found.remark("checksum good, no SHA-256 in the file".to_owned());
        return Ok(end);
    }
    let sha256 = part(file, end, SHA256).ok_or(EspError::NoEnd)?;
    let body = part(file, 0, end).ok_or(EspError::NoEnd)?;
    if Digest::of(body).as_bytes() != sha256 {
        return Err(EspError::Sha256 { offset: end });
    }
    found.remark("checksum and SHA-256 good".to_owned());
    Ok(end + SHA256)
}
