//! The exact set of bytes one programming pass puts on a chip.
//!
//! Owns the layout: pieces sorted and checked against the chip and each other, the sectors they
//! touch, what each sector needs (nothing, writing, or an erase first), and the bursts handed to
//! the flash routine. Pure: it is told what the chip holds and never asks.
//!
//! Promise: a byte outside the plan is wanted as it is. Buffers that hold image bytes are wiped.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::chip::Chip;
use crate::error::FlashError;

/// Blank bytes inside a burst that are cheaper to send along than to start another burst for.
const GAP_BYTES_MAX: usize = 256;

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

/// What a sector needs so that it holds what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: it holds it already.
    Nothing,
    /// Writing: every word that changes is blank.
    Writing,
    /// An erase, then writing.
    Erasing,
}

/// A sector with what it holds and what it shall hold.
pub(crate) struct Sector {
    /// First address.
    pub(crate) address: u64,
    /// What it shall hold, bytes outside the plan as they are.
    wanted: Zeroizing<Vec<u8>>,
    /// What it holds when writing begins: as read, or all 0xFF once it is erased.
    held: Zeroizing<Vec<u8>>,
    /// What it needs.
    pub(crate) need: Need,
}

impl Sector {
    /// Judges a sector from what was read in it.
    pub(crate) fn judge(plan: &Plan<'_>, address: u64, read: &[u8]) -> Self {
        let mut wanted = Zeroizing::new(read.to_vec());
        plan.overlay(address, &mut wanted);
        let mut held = Zeroizing::new(read.to_vec());
        let mut need = Need::Nothing;
        for (held, wanted) in read.chunks(4).zip(wanted.chunks(4)) {
            if held != wanted {
                need = Need::Writing;
                if held.iter().any(|byte| *byte != 0xFF) {
                    need = Need::Erasing;
                    break;
                }
            }
        }
        if need == Need::Erasing {
            held.fill(0xFF);
        }
        Self { address, wanted, held, need }
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.wanted.len() as u64
    }
}

/// Bytes for one call of the flash routine: whole words at a word address.
pub(crate) struct Burst {
    /// First address.
    pub(crate) address: u64,
    /// The bytes.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

/// Cuts the words that change into bursts of at most `bytes_max` bytes, across sectors.
pub(crate) fn bursts(sectors: &[Sector], bytes_max: usize) -> Vec<Burst> {
    let mut done: Vec<Burst> = Vec::new();
    let mut open: Option<Burst> = None;
    let mut gap = 0;
    for sector in sectors.iter().filter(|sector| sector.need != Need::Nothing) {
        let words = sector.wanted.chunks(4).zip(sector.held.chunks(4));
        for (index, (wanted, held)) in words.enumerate() {
            let address = sector.address + 4 * index as u64;
            let blank = wanted.iter().all(|byte| *byte == 0xFF);
            let goes_on = open.as_ref().is_some_and(|burst| {
                let next = burst.address + (burst.bytes.len() + gap) as u64;
                let room = burst.bytes.len() + gap + wanted.len() <= bytes_max;
                next == address && room && (wanted != held || (blank && gap < GAP_BYTES_MAX))
            });
            if !goes_on {
                done.extend(open.take());
                gap = 0;
            }
            if wanted == held {
                gap += if open.is_some() { wanted.len() } else { 0 };
                continue;
            }
            let burst = open.get_or_insert_with(|| Burst {
                address,
                // Reserved whole, so that no copy of image bytes is left behind by growing.
                bytes: Zeroizing::new(Vec::with_capacity(bytes_max)),
            });
            burst.bytes.extend(std::iter::repeat_n(0xFF, gap));
            burst.bytes.extend_from_slice(wanted);
            gap = 0;
        }
    }
    done.extend(open);
    done
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

    #[test]
    fn a_sector_is_left_alone_written_or_erased_according_to_what_it_holds() {
        let image = [0x11, 0x22, 0x33, 0x44, 0xFF, 0xFF, 0xFF, 0xFF];
        let plan = Plan::new(nrf52(), [piece("a", 0x1004, &image)]).expect("plan");
        let check = |holds: &[(usize, u8)], need: Need, written: &[(u64, usize)]| {
            let mut read = vec![0xFF; 0x1000];
            for (place, byte) in holds {
                read[*place] = *byte;
            }
            let sector = Sector::judge(&plan, 0x1000, &read);
            assert_eq!(sector.need, need, "{holds:x?}");
            let found: Vec<(u64, usize)> = bursts(&[sector], 0x4000)
                .iter()
                .map(|burst| (burst.address, burst.bytes.len()))
                .collect();
            assert_eq!(found, written, "{holds:x?}");
        };
        check(&[], Need::Writing, &[(0x1004, 4)]);
        check(&[(4, 0x11), (5, 0x22), (6, 0x33), (7, 0x44)], Need::Nothing, &[]);
        // A word that holds part of the image is not written twice: the sector is erased.
        check(&[(4, 0x11)], Need::Erasing, &[(0x1004, 4)]);
        check(&[(4, 0x10)], Need::Erasing, &[(0x1004, 4)]);
        // A neighbour outside the plan is kept: untouched without an erase, rewritten after one.
        check(&[(0, 0xAB)], Need::Writing, &[(0x1004, 4)]);
        check(&[(0, 0xAB), (4, 0)], Need::Erasing, &[(0x1000, 8)]);
        // Planned blank bytes over written ones need the erase too.
        check(&[(4, 0x11), (5, 0x22), (6, 0x33), (7, 0x44), (9, 0)], Need::Erasing, &[(0x1004, 4)]);
        check(&[(4, 0), (0xFFC, 7)], Need::Erasing, &[(0x1004, 4), (0x1FFC, 4)]);
    }

    #[test]
    fn bursts_run_across_sectors_skip_long_blanks_and_respect_the_buffer() {
        let mut image = vec![0x5A; 0x3000];
        image[0x1800..0x2000].fill(0xFF); // long blank: two bursts
        image[0x400..0x410].fill(0xFF); // short blank: sent along
        let plan = Plan::new(nrf52(), [piece("a", 0, &image)]).expect("plan");
        let blank = vec![0xFF; 0x1000];
        let sectors: Vec<Sector> = plan
            .sectors()
            .iter()
            .map(|sector| Sector::judge(&plan, sector.start, &blank))
            .collect();
        let check = |bytes_max: usize, wanted: &[(u64, usize)]| {
            let cut = bursts(&sectors, bytes_max);
            let found: Vec<(u64, usize)> =
                cut.iter().map(|burst| (burst.address, burst.bytes.len())).collect();
            assert_eq!(found, wanted, "{bytes_max:#x}");
            let mut memory = vec![0xFF; 0x3000];
            for burst in &cut {
                let start = usize::try_from(burst.address).expect("small");
                memory[start..start + burst.bytes.len()].copy_from_slice(&burst.bytes);
            }
            assert!(memory == image, "{bytes_max:#x}: the bursts do not make the image");
        };
        check(0x4000, &[(0, 0x1800), (0x2000, 0x1000)]);
        check(0x1000, &[(0, 0x1000), (0x1000, 0x800), (0x2000, 0x1000)]);
    }
}
