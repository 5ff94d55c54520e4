//! What a reader gathers from a file, record by record, and where in the file each byte stood.
//!
//! Owns the sorting, the merging and the refusal of bytes given twice. Readers push records in any
//! order; nothing is dropped.

use std::fmt;

use zeroize::Zeroizing;

use super::{ImageError, Segment};
use crate::limits::{IMAGE_BYTES_MAX, IMAGE_RECORDS_MAX, INTEGER_MAX, SEGMENTS_MAX};

/// Where in an image file something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A line of a text file, from 1.
    Line(usize),
    /// A byte of a binary file, from 0.
    Offset(u64),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Offset(offset) => write!(f, "offset {offset:#x}"),
        }
    }
}

#[derive(Clone, Copy)]
struct Record {
    address: u64,
    /// Where the bytes begin in [`Pieces::bytes`].
    start: usize,
    bytes: usize,
    origin: Origin,
}

impl Record {
    const fn end(&self) -> u64 {
        self.address + self.bytes as u64
    }
}

/// The records of a file, in the order in which they were found.
pub(super) struct Pieces {
    bytes: Zeroizing<Vec<u8>>,
    records: Vec<Record>,
    /// Taken with the first record.
    room: usize,
}

/// Which record of the file gave which address.
pub(super) struct Origins(Vec<Record>);

impl Pieces {
    /// No records yet. Room for as many bytes as the file can hold, so that no copy is left behind
    /// by growing.
    pub(super) fn with_room_for(bytes: usize) -> Self {
        let room = bytes.min(usize::try_from(IMAGE_BYTES_MAX).unwrap_or(usize::MAX));
        Self { bytes: Zeroizing::new(Vec::new()), records: Vec::new(), room }
    }

    /// Adds a record; one without bytes adds nothing.
    pub(super) fn push(
        &mut self,
        address: u64,
        bytes: &[u8],
        origin: Origin,
    ) -> Result<(), ImageError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if address.checked_add(bytes.len() as u64).is_none_or(|end| end > INTEGER_MAX) {
            return Err(ImageError::OutOfRange { address, origin: Some(origin) });
        }
        if (self.bytes.len() + bytes.len()) as u64 > IMAGE_BYTES_MAX {
            return Err(ImageError::TooLarge { bytes_max: IMAGE_BYTES_MAX });
        }
        if self.records.len() == IMAGE_RECORDS_MAX {
            return Err(ImageError::TooManyRecords { records_max: IMAGE_RECORDS_MAX });
        }
        if self.records.is_empty() {
            self.bytes.reserve_exact(self.room);
        }
        self.records.push(Record { address, start: self.bytes.len(), bytes: bytes.len(), origin });
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The records as sorted, merged pieces that do not overlap.
    pub(super) fn finish(mut self) -> Result<(Vec<Segment>, Origins), ImageError> {
        // Stable: of two records at one address the one that stands first in the file stays first.
        self.records.sort_by_key(|record| record.address);
        for pair in self.records.windows(2) {
            if pair[1].address < pair[0].end() {
                let (earlier, later) = (pair[0].origin, pair[1].origin);
                return Err(ImageError::Overlap {
                    address: pair[1].address,
                    origin: later.max(earlier),
                    earlier: later.min(earlier),
                });
            }
        }
        if self.records.is_empty() {
            return Err(ImageError::Empty);
        }
        let runs = || self.records.chunk_by(|a, b| a.end() == b.address);
        if runs().nth(SEGMENTS_MAX).is_some() {
            return Err(ImageError::TooManySegments { segments_max: SEGMENTS_MAX });
        }
        let mut segments = Vec::new();
        for run in runs() {
            let total = run.iter().map(|record| record.bytes).sum();
            let mut bytes = Zeroizing::new(Vec::with_capacity(total));
            for record in run {
                let end = record.start + record.bytes;
                bytes.extend_from_slice(self.bytes.get(record.start..end).unwrap_or_default());
            }
            segments.extend(run.first().map(|first| Segment { address: first.address, bytes }));
        }
        Ok((segments, Origins(self.records)))
    }
}

impl Origins {
    /// Where in the file the byte for an address stands; none if the file has no such byte.
    pub(super) fn of(&self, address: u64) -> Option<Origin> {
        let after = self.0.partition_point(|record| record.address <= address);
        let record = self.0.get(after.checked_sub(1)?)?;
        if address >= record.end() {
            return None;
        }
        Some(match record.origin {
            Origin::Line(line) => Origin::Line(line),
            Origin::Offset(offset) => Origin::Offset(offset + (address - record.address)),
        })
    }
}
