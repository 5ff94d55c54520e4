//! The bytes for one memory of one chip: files in, sorted pieces out.
//!
//! Owns the reading of Intel HEX and raw files, the explicit leaving-out of ranges, and the check
//! that every byte has a memory to go to. Nothing is ever dropped without being counted.

use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::limits::{IMAGE_BYTES_MAX, INTEGER_MAX, SEGMENTS_MAX};
use crate::recipe::{Exclude, Memory};

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

/// How an image file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFormat {
    /// Intel HEX: the addresses are in the file.
    IntelHex,
    /// Raw bytes that begin at this address.
    Raw {
        /// Address of the first byte.
        address: u64,
    },
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

/// Why an image was refused.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not text.
    #[error("reading Intel HEX: the file is not text")]
    NotText,
    /// A damaged line.
    #[error("reading Intel HEX: line {line} is not a record")]
    BadRecord {
        /// Line number, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: ihex::ReaderError,
    },
    /// A record whose bytes would continue at the start of their 64 KiB page.
    #[error("reading Intel HEX: the record in line {line} runs over the end of its 64 KiB page")]
    RecordWraps {
        /// Line number, from 1.
        line: usize,
    },
    /// Records after the end record.
    #[error("reading Intel HEX: line {line} comes after the end record")]
    AfterEnd {
        /// Line number, from 1.
        line: usize,
    },
    /// No end record: the file is cut off.
    #[error("reading Intel HEX: the end record is missing, the file is cut off")]
    NoEnd,
    /// Two places in the file claim one address.
    #[error("reading an image: address {address:#010x} is given twice")]
    Overlap {
        /// The first address given twice.
        address: u64,
    },
    /// No bytes at all, or none left.
    #[error("reading an image: no bytes to flash")]
    Empty,
    /// More than an image may have.
    #[error("reading an image: more than {bytes_max} bytes")]
    TooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// More pieces than an image may have.
    #[error("reading an image: more than {segments_max} pieces")]
    TooManySegments {
        /// The limit.
        segments_max: usize,
    },
    /// Bytes for which the recipe's chip has no memory.
    #[error("placing an image: the chip has no memory at {address:#010x}")]
    OutOfRange {
        /// The first address outside.
        address: u64,
    },
}

/// Reads an image file into sorted, merged pieces that do not overlap.
///
/// # Errors
/// [`ImageError`] by kind of damage.
pub fn read_image(format: ImageFormat, file: &[u8]) -> Result<Vec<Segment>, ImageError> {
    let pieces = match format {
        ImageFormat::IntelHex => read_hex(file)?,
        ImageFormat::Raw { address } => {
            if address.checked_add(file.len() as u64).is_none_or(|end| end > INTEGER_MAX) {
                return Err(ImageError::OutOfRange { address });
            }
            vec![Segment { address, bytes: Zeroizing::new(file.to_vec()) }]
        }
    };
    merge(pieces)
}

fn read_hex(file: &[u8]) -> Result<Vec<Segment>, ImageError> {
    let text = std::str::from_utf8(file).map_err(|_| ImageError::NotText)?;
    let mut pieces: Vec<Segment> = Vec::new();
    let (mut base, mut ended) = (0u64, false);
    for (index, row) in text.lines().enumerate() {
        let (line, row) = (index + 1, row.trim());
        if row.is_empty() {
            continue;
        }
        if ended {
            return Err(ImageError::AfterEnd { line });
        }
        let record = ihex::Record::from_record_string(row)
            .map_err(|source| ImageError::BadRecord { line, source })?;
        match record {
            ihex::Record::Data { offset, value } => {
                let value = Zeroizing::new(value);
                if usize::from(offset) + value.len() > 0x1_0000 {
                    return Err(ImageError::RecordWraps { line });
                }
                append(&mut pieces, base + u64::from(offset), &value);
            }
            ihex::Record::ExtendedSegmentAddress(segment) => base = u64::from(segment) << 4,
            ihex::Record::ExtendedLinearAddress(upper) => base = u64::from(upper) << 16,
            // Where execution starts is the chip's business; it is not a byte to flash.
            ihex::Record::StartSegmentAddress { .. } | ihex::Record::StartLinearAddress(_) => {}
            ihex::Record::EndOfFile => ended = true,
        }
    }
    if ended { Ok(pieces) } else { Err(ImageError::NoEnd) }
}

/// Adds bytes to the last piece if they continue it, else as a new piece.
fn append(pieces: &mut Vec<Segment>, address: u64, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    match pieces.last_mut() {
        Some(last) if last.end() == address => last.bytes.extend_from_slice(bytes),
        _ => pieces.push(Segment { address, bytes: Zeroizing::new(bytes.to_vec()) }),
    }
}

fn merge(mut pieces: Vec<Segment>) -> Result<Vec<Segment>, ImageError> {
    pieces.sort_by_key(|piece| piece.address);
    let mut merged: Vec<Segment> = Vec::new();
    let mut bytes = 0u64;
    for piece in pieces {
        if let Some(last) = merged.last()
            && piece.address < last.end()
        {
            return Err(ImageError::Overlap { address: piece.address });
        }
        bytes += piece.bytes.len() as u64;
        append(&mut merged, piece.address, &piece.bytes);
    }
    checked(merged, bytes)
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
    let mut placed = Vec::with_capacity(segments.len());
    for segment in segments {
        let mut at = segment.address;
        while at < segment.end() {
            let home = memory
                .iter()
                .find(|memory| (memory.start..memory.end()).contains(&at))
                .ok_or(ImageError::OutOfRange { address: at })?;
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
