//! What a sector needs so that it holds what is wanted, and the bursts that give it that.
//!
//! Pure: it is told what the chip holds, by its bytes or by their checksums, and never asks.
//! Buffers that hold image bytes are wiped.

use std::ops::Range;

use zeroize::Zeroizing;

use crate::chip::Region;
use crate::plan::{Need, Plan};

/// Blank bytes inside a burst that are cheaper to send along than to start another burst for; only
/// where blank bytes may be written again later.
const GAP_BYTES_MAX: usize = 256;
/// The first burst is short, so that the chip begins early; each one after it is four times as long.
const FIRST_BURST_BYTES: usize = 1024;

/// A sector with what it holds and what it shall hold.
pub(crate) struct Sector {
    /// Where it is.
    pub(crate) range: Range<u64>,
    /// What it shall hold, bytes outside the plan as they are; empty if it needs nothing.
    wanted: Zeroizing<Vec<u8>>,
    /// What it holds when writing begins: as read, or blank.
    held: Zeroizing<Vec<u8>>,
    /// Bytes of one write.
    unit: usize,
    /// What a blank byte reads as.
    erased: u8,
    /// What it needs.
    pub(crate) need: Need,
}

impl Sector {
    /// Judges a sector from what was read in it.
    pub(crate) fn judge(plan: &Plan<'_>, region: &Region, address: u64, read: &[u8]) -> Self {
        let (unit, erased) = (region.write_bytes as usize, region.erased);
        let mut wanted = Zeroizing::new(read.to_vec());
        plan.overlay(address, &mut wanted);
        let mut held = Zeroizing::new(read.to_vec());
        let mut need = Need::Nothing;
        for (held, wanted) in read.chunks(unit).zip(wanted.chunks(unit)) {
            if held != wanted {
                need = Need::Writing;
                if held.iter().any(|byte| *byte != erased) {
                    need = Need::Erasing;
                    break;
                }
            }
        }
        if need == Need::Erasing {
            held.fill(erased);
        }
        let range = address..address + read.len() as u64;
        Self { range, wanted, held, unit, erased, need }
    }

    /// A sector that holds what is wanted.
    pub(crate) fn equal(region: &Region, range: Range<u64>) -> Self {
        let (unit, erased) = (region.write_bytes as usize, region.erased);
        let none = || Zeroizing::new(Vec::new());
        Self { range, wanted: none(), held: none(), unit, erased, need: Need::Nothing }
    }

    /// A sector that is blank, or of which no byte is kept.
    pub(crate) fn blank(plan: &Plan<'_>, region: &Region, range: Range<u64>, need: Need) -> Self {
        let (unit, erased) = (region.write_bytes as usize, region.erased);
        let bytes = usize::try_from(range.end - range.start).unwrap_or(0);
        let held = Zeroizing::new(vec![erased; bytes]);
        let mut wanted = held.clone();
        plan.overlay(range.start, &mut wanted);
        Self { range, wanted, held, unit, erased, need }
    }

    /// How many bytes it has.
    pub(crate) fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }
}

/// Bytes for one call of the flash routine: whole units at a unit's address.
pub(crate) struct Burst {
    /// First address.
    pub(crate) address: u64,
    /// The bytes.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

/// Cuts the units that change into bursts of at most `bytes_max` bytes, across sectors.
pub(crate) fn bursts(sectors: &[Sector], bytes_max: usize) -> Vec<Burst> {
    let mut done: Vec<Burst> = Vec::new();
    let mut open: Option<Burst> = None;
    let mut gap = 0;
    for sector in sectors.iter().filter(|sector| sector.need != Need::Nothing) {
        let gap_max = if sector.unit <= 4 { GAP_BYTES_MAX } else { 0 };
        let units = sector.wanted.chunks(sector.unit).zip(sector.held.chunks(sector.unit));
        for (index, (wanted, held)) in units.enumerate() {
            let address = sector.range.start + (sector.unit * index) as u64;
            let blank = wanted.iter().all(|byte| *byte == sector.erased);
            let ramp = FIRST_BURST_BYTES << (2 * done.len().min(8));
            let room = bytes_max.min(ramp.max(sector.unit));
            let goes_on = open.as_ref().is_some_and(|burst| {
                let next = burst.address + (burst.bytes.len() + gap) as u64;
                let fits = burst.bytes.len() + gap + wanted.len() <= room;
                next == address && fits && (wanted != held || (blank && gap < gap_max))
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
            burst.bytes.extend(std::iter::repeat_n(sector.erased, gap));
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
    use crate::chips::{NRF52832_XXAA, STM32G071RB, STM32L053R8};
    use crate::plan::Piece;

    fn nrf52() -> &'static crate::Chip {
        &NRF52832_XXAA
    }

    fn code() -> &'static Region {
        &NRF52832_XXAA.regions[0]
    }

    fn piece<'a>(name: &'a str, address: u64, bytes: &'a [u8]) -> Piece<'a> {
        Piece { name, address, bytes }
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
            let sector = Sector::judge(&plan, code(), 0x1000, &read);
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
        image[0x600..0x610].fill(0xFF); // short blank: sent along
        let plan = Plan::new(nrf52(), [piece("a", 0, &image)]).expect("plan");
        let blank = vec![0xFF; 0x1000];
        let sectors: Vec<Sector> = plan
            .sectors()
            .iter()
            .map(|sector| Sector::judge(&plan, code(), sector.start, &blank))
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
        let cut = [(0, 0x400), (0x400, 0x1000), (0x1400, 0x400), (0x2000, 0x1000)];
        check(0x4000, &cut);
        check(0x1000, &cut);
        let (one, two, three) = ((0, 0x400), (0x400, 0x800), (0xC00, 0x800));
        check(0x800, &[one, two, three, (0x1400, 0x400), (0x2000, 0x800), (0x2800, 0x800)]);
    }

    #[test]
    fn a_unit_that_is_not_blank_is_never_written_again_and_blank_may_read_zero() {
        let check = |chip: &'static crate::Chip, held: &[(usize, u8)], written: &[(u64, usize)]| {
            let region = &chip.regions[0];
            let image = [0x11; 4];
            let plan = Plan::new(chip, [piece("a", region.start + 0x104, &image)]).expect("plan");
            let range = plan.sectors()[0].clone();
            let mut read = vec![region.erased; usize::try_from(range.end - range.start).unwrap()];
            for (place, byte) in held {
                read[*place] = *byte;
            }
            let sector = Sector::judge(&plan, region, range.start, &read);
            let found: Vec<(u64, usize)> = bursts(&[sector], 0x400)
                .iter()
                .map(|burst| (burst.address - range.start, burst.bytes.len()))
                .collect();
            assert_eq!(found, written, "{} {held:x?}", chip.name);
        };
        // Double words: the planned half goes with the other half; a word kept there costs an erase
        // and is written again, and so is one that a neighbour holds.
        check(&STM32G071RB, &[], &[(0x100, 8)]);
        check(&STM32G071RB, &[(0x100, 7)], &[(0x100, 8)]);
        check(&STM32G071RB, &[(0x110, 7)], &[(0x100, 8)]);
        check(&STM32G071RB, &[(0x104, 7), (0x110, 7)], &[(0x100, 8), (0x110, 8)]);
        // Half pages of 64 bytes in pages of 128, blank is zero: 0x104 is the third page's start.
        check(&STM32L053R8, &[], &[(0, 64)]);
        check(&STM32L053R8, &[(0x40, 9)], &[(0, 64)]);
        check(&STM32L053R8, &[(0x00, 9), (0x40, 9)], &[(0, 128)]);
    }
}
