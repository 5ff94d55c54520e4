//! Intel HEX: lines of `:`, length, offset, kind, data, checksum.
//!
//! Lengths, digits and checksums are judged by `ihex`; the addresses, the end and what follows it
//! here. A record that would wrap around its 64 KiB page is refused, since tools differ in what
//! they make of it.

use zeroize::Zeroizing;

use super::ImageError;
use super::facts::Found;
use super::pieces::{Origin, Pieces};

/// What is wrong with an Intel HEX file.
#[derive(Debug, thiserror::Error)]
pub enum HexError {
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
}

pub(super) fn read(file: &[u8]) -> Result<Found, ImageError> {
    let text = std::str::from_utf8(file).map_err(|_| HexError::NotText)?;
    let mut found = Found::of(Pieces::with_room_for(file.len() / 2));
    let (mut base, mut ended) = (0u64, false);
    for (index, row) in text.lines().enumerate() {
        let (line, row) = (index + 1, row.trim());
        if row.is_empty() {
            continue;
        }
        if ended {
            return Err(HexError::AfterEnd { line }.into());
        }
        let record = ihex::Record::from_record_string(row)
            .map_err(|source| HexError::BadRecord { line, source })?;
        match record {
            ihex::Record::Data { offset, value } => {
                let value = Zeroizing::new(value);
                if usize::from(offset) + value.len() > 0x1_0000 {
                    return Err(HexError::RecordWraps { line }.into());
                }
                found.pieces.push(base + u64::from(offset), &value, Origin::Line(line))?;
            }
            ihex::Record::ExtendedSegmentAddress(segment) => base = u64::from(segment) << 4,
            ihex::Record::ExtendedLinearAddress(upper) => base = u64::from(upper) << 16,
            // Where execution starts is the chip's business: shown, never flashed.
            ihex::Record::StartSegmentAddress { cs, ip } => {
                found.entry((u64::from(cs) << 4) + u64::from(ip));
            }
            ihex::Record::StartLinearAddress(address) => found.entry(u64::from(address)),
            ihex::Record::EndOfFile => ended = true,
        }
    }
    if ended { Ok(found) } else { Err(HexError::NoEnd.into()) }
}
