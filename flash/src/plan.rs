//! The exact set of bytes one programming pass puts on a chip.
//!
//! Owns the layout: pieces sorted and checked against the chip and each other, the sectors they
//! touch, and the comparison with what was read. Pure.
//!
//! Promise: a byte outside the plan is wanted as it is.

use std::ops::Range;

use crate::chip::Chip;
use crate::error::FlashError;

/// Bytes for one place, with the name that errors use.
#[derive(Clone, Copy)]
pub struct Piece<'a> {
    /// What it is ("application", "activation block").
    pub name: &'a str,
    /// First address.
    pub address: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl Piece<'_> {
    fn end(&self) -> u64 {
        self.address + self.bytes.len() as u64
    }
}

/// Pieces that fit the chip and each other, lowest address first.
pub struct Plan<'a> {
    chip: &'static Chip,
    pieces: Vec<Piece<'a>>,
}

/// Where a read-back differs from the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// First address that differs.
    pub address: u64,
    /// How many bytes differ.
    pub bytes: u64,
    /// The byte planned at `address`.
    pub wanted: u8,
    /// The byte read there.
    pub found: u8,
}

impl<'a> Plan<'a> {
    /// Checks the pieces and puts them in order; empty pieces are dropped.
    ///
    /// # Errors
    /// [`FlashError::OutOfRange`] for a piece that no single region of the chip holds,
    /// [`FlashError::Overlap`] for two pieces that want the same address.
    pub fn new(
        chip: &'static Chip,
        pieces: impl IntoIterator<Item = Piece<'a>>,
    ) -> Result<Self, FlashError> {
        let mut pieces: Vec<Piece<'a>> =
            pieces.into_iter().filter(|piece| !piece.bytes.is_empty()).collect();
        for piece in &pieces {
            if chip.region_of(piece.address, piece.bytes.len() as u64).is_none() {
                return Err(FlashError::OutOfRange {
                    what: piece.name.to_owned(),
                    address: piece.address,
                    bytes: piece.bytes.len() as u64,
                });
            }
        }
        pieces.sort_by_key(|piece| piece.address);
        for pair in pieces.windows(2) {
            if pair[1].address < pair[0].end() {
                return Err(FlashError::Overlap {
                    first: pair[0].name.to_owned(),
                    second: pair[1].name.to_owned(),
                    address: pair[1].address,
                });
            }
        }
        Ok(Self { chip, pieces })
    }

    /// The chip this plan was checked for.
    pub fn chip(&self) -> &'static Chip {
        self.chip
    }

    /// How many bytes the plan holds.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes.len() as u64).sum()
    }

    /// The sectors the plan touches: first address and the bytes that exist in it, in order.
    pub(crate) fn sectors(&self) -> Vec<Range<u64>> {
        let mut sectors: Vec<Range<u64>> = Vec::new();
        for piece in &self.pieces {
            let Some(region) = self.chip.region_of(piece.address, piece.bytes.len() as u64) else {
                continue;
            };
            for sector in region.sectors() {
                let is_touched = piece.address < sector.end && sector.start < piece.end();
                if is_touched && sectors.last().is_none_or(|known| known.start < sector.start) {
                    sectors.push(sector);
                }
            }
        }
        sectors
    }

    /// Word-aligned stretches that hold every planned byte, touching ones joined, in order.
    pub(crate) fn stretches(&self) -> Vec<Range<u64>> {
        join(self.pieces.iter().map(|piece| (piece.address & !3)..((piece.end() + 3) & !3)))
    }

    /// Lays the planned bytes over `into`, which stands for the chip's memory from `address`.
    pub(crate) fn overlay(&self, address: u64, into: &mut [u8]) {
        for (place, bytes) in self.within(address, into.len()) {
            into[place..place + bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Compares the planned bytes with what was read from `address`.
    pub fn compare(&self, address: u64, read: &[u8]) -> Option<Difference> {
        let mut difference: Option<Difference> = None;
        for (place, wanted) in self.within(address, read.len()) {
            let found = &read[place..place + wanted.len()];
            if found == wanted {
                continue;
            }
            for (offset, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                if wanted != found {
                    difference
                        .get_or_insert(Difference {
                            address: address + (place + offset) as u64,
                            bytes: 0,
                            wanted: *wanted,
                            found: *found,
                        })
                        .bytes += 1;
                }
            }
        }
        difference
    }

    /// The planned stretches inside a range, touching pieces joined, with their bytes.
    pub(crate) fn parts(&self, range: &Range<u64>) -> Vec<(Range<u64>, Vec<&'a [u8]>)> {
        let mut parts: Vec<(Range<u64>, Vec<&'a [u8]>)> = Vec::new();
        for (place, bytes) in self.within(range.start, offset(range.end - range.start)) {
            let start = range.start + place as u64;
            let end = start + bytes.len() as u64;
            match parts.last_mut() {
                Some((last, known)) if last.end == start => {
                    last.end = end;
                    known.push(bytes);
                }
                Some(_) | None => parts.push((start..end, vec![bytes])),
            }
        }
        parts
    }

    /// The parts of the pieces inside `length` bytes from `address`, as (offset, bytes).
    fn within(&self, address: u64, length: usize) -> impl Iterator<Item = (usize, &'a [u8])> {
        let end = address + length as u64;
        self.pieces.iter().filter_map(move |piece| {
            let from = piece.address.max(address);
            let to = piece.end().min(end);
            (from < to).then(|| {
                let skip = offset(from - piece.address);
                (offset(from - address), &piece.bytes[skip..skip + offset(to - from)])
            })
        })
    }
}

/// A difference of two addresses inside one buffer; buffers are far smaller than `usize`.
fn offset(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Joins stretches that touch or overlap; they come in order.
pub(crate) fn join(stretches: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for stretch in stretches {
        match joined.last_mut() {
            Some(last) if stretch.start <= last.end => last.end = last.end.max(stretch.end),
            Some(_) | None => joined.push(stretch),
        }
    }
    joined
}

/// What a sector needs so that it holds what is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: it holds it already.
    Nothing,
    /// Writing: every unit that changes is blank.
    Writing,
    /// An erase, then writing.
    Erasing,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chips::chip;

    fn nrf52() -> &'static Chip {
        chip("nRF52832_xxAA").expect("profile")
    }

    fn piece<'a>(name: &'a str, address: u64, bytes: &'a [u8]) -> Piece<'a> {
        Piece { name, address, bytes }
    }

    #[test]
    fn pieces_outside_the_chip_or_over_each_other_are_refused_by_name_and_address() {
        let check = |pieces: &[(&str, u64, usize)], wanted: Option<&str>| {
            let bytes = vec![1; 0x9_0000];
            let plan = Plan::new(
                nrf52(),
                pieces
                    .iter()
                    .map(|(name, address, length)| piece(name, *address, &bytes[..*length])),
            );
            let found = plan.err().map(|error| {
                if let FlashError::OutOfRange { what, address, .. } = error {
                    format!("{what} out {address:#x}")
                } else if let FlashError::Overlap { first, second, address } = error {
                    format!("{first} over {second} {address:#x}")
                } else {
                    panic!("{error}")
                }
            });
            assert_eq!(found.as_deref(), wanted, "{pieces:?}");
        };
        check(&[("a", 0, 16), ("b", 16, 16)], None);
        check(&[("b", 0x7_FFFF, 1), ("a", 0x1000_1080, 4)], None);
        check(&[("a", 0x7_FFFF, 2)], Some("a out 0x7ffff"));
        check(&[("a", 0x2000_0000, 4)], Some("a out 0x20000000"));
        check(&[("a", u64::MAX, 1)], Some("a out 0xffffffffffffffff"));
        check(&[("b", 15, 4), ("a", 0, 16)], Some("a over b 0xf"));
        check(&[("a", 0, 0), ("b", 0x9000_0000, 0)], None);
    }

    #[test]
    fn touched_sectors_are_named_once_and_cut_to_what_exists() {
        let bytes = vec![0; 0x2000];
        let plan = Plan::new(
            nrf52(),
            [
                piece("uicr", 0x1000_1080, &bytes[..4]),
                piece("image", 0xFF0, &bytes[..0x1020]),
                piece("tail", 0x2010, &bytes[..8]),
            ],
        )
        .expect("plan");
        assert_eq!(
            plan.sectors(),
            [0..0x1000, 0x1000..0x2000, 0x2000..0x3000, 0x1000_1000..0x1000_1400]
        );
        assert_eq!(plan.stretches(), [0xFF0..0x2018, 0x1000_1080..0x1000_1084]);
        assert_eq!(plan.bytes(), 0x1020 + 8 + 4);
    }

    #[test]
    fn a_difference_names_the_first_address_and_counts_all_bytes() {
        let image: Vec<u8> = (0..64).collect();
        let plan = Plan::new(
            nrf52(),
            [piece("a", 0x100, &image[..32]), piece("b", 0x130, &image[32..48])],
        )
        .expect("plan");
        let mut read = vec![0xEE; 0x80];
        plan.overlay(0xF0, &mut read);
        assert_eq!(plan.compare(0xF0, &read), None);
        read[0] = 0; // outside the plan
        read[0x30 + 1] = 0; // between the pieces
        assert_eq!(plan.compare(0xF0, &read), None);
        read[0x10 + 7] = 0xAA;
        read[0x40] ^= 1;
        assert_eq!(
            plan.compare(0xF0, &read),
            Some(Difference { address: 0x107, bytes: 2, wanted: 7, found: 0xAA })
        );
    }
}
