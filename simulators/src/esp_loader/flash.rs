//! SPI NOR flash: what its cells hold, how long it is busy.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use md5::{Digest, Md5};

/// Bytes of one erase sector.
pub const SECTOR_BYTES: u32 = 0x1000;
/// Bytes of one erase block.
pub const BLOCK_BYTES: u32 = 0x1_0000;
/// Bytes that one page program takes.
pub const PAGE_BYTES: u32 = 0x100;

/// Programming one page; W25Q32JV, typical.
pub const PAGE_PROGRAM: Duration = Duration::from_micros(400);
/// Erasing one sector; W25Q32JV, typical.
pub const SECTOR_ERASE: Duration = Duration::from_millis(45);
/// Erasing one block of 64 KiB; W25Q32JV, typical.
pub const BLOCK_ERASE: Duration = Duration::from_millis(150);
/// Reading and hashing one KiB on the chip: 40 MHz single SPI carries 5 bytes per microsecond.
pub const HASH_KIB: Duration = Duration::from_micros(400);

/// The supply failed in the middle of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerLost;

/// One flash chip.
#[derive(Debug)]
pub struct Flash {
    cells: Vec<u8>,
    file: Option<File>,
    stuck: Vec<(u32, u8)>,
    /// Bytes until the supply fails.
    pub cut_in: Option<u64>,
    /// Bytes programmed since the process started.
    pub programmed_bytes: u64,
    /// Bytes that could not become what was written, because a bit was 0 already or is stuck.
    pub kept_bytes: u64,
    /// Sectors erased, alone or in a block.
    pub sector_erases: u64,
    /// Nominal time of all erases and page programs.
    pub busy: Duration,
}

impl Flash {
    /// A blank chip of `bytes`; `file` keeps the cells and is created blank.
    ///
    /// # Errors
    /// The file cannot be read or has another length.
    pub fn new(bytes: u32, file: Option<&Path>) -> io::Result<Self> {
        let mut cells = Vec::new();
        let file = match file {
            Some(path) => {
                let mut file = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .open(path)?;
                file.read_to_end(&mut cells)?;
                Some(file)
            }
            None => None,
        };
        let blank = cells.is_empty();
        if blank {
            cells = vec![0xFF; bytes as usize];
        }
        if cells.len() != bytes as usize {
            let text = format!("the flash file has {} bytes, not {bytes}", cells.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let flash = Self {
            cells,
            file,
            stuck: Vec::new(),
            cut_in: None,
            programmed_bytes: 0,
            kept_bytes: 0,
            sector_erases: 0,
            busy: Duration::ZERO,
        };
        if blank {
            flash.store(0..bytes as usize);
        }
        Ok(flash)
    }

    /// Bytes of the chip.
    #[must_use]
    pub fn bytes(&self) -> u32 {
        u32::try_from(self.cells.len()).unwrap_or(u32::MAX)
    }

    /// Whether all of `bytes` bytes at `offset` exist.
    #[must_use]
    pub fn holds(&self, offset: u32, bytes: u32) -> bool {
        offset.checked_add(bytes).is_some_and(|end| end <= self.bytes())
    }

    /// What lies at `offset`; the caller asked [`Flash::holds`].
    #[must_use]
    pub fn read(&self, offset: u32, bytes: u32) -> &[u8] {
        &self.cells[offset as usize..(offset + bytes) as usize]
    }

    /// MD5 over what really lies there, and the time the chip takes for it.
    #[must_use]
    pub fn md5(&self, offset: u32, bytes: u32) -> ([u8; 16], Duration) {
        let digest = Md5::digest(self.read(offset, bytes));
        (digest.into(), HASH_KIB * bytes.div_ceil(1024))
    }

    /// Erases every sector that `bytes` bytes from the start of a sector touch: whole blocks where
    /// they fit, single sectors elsewhere.
    pub fn erase(&mut self, offset: u32, bytes: u32) -> Duration {
        let before = self.busy;
        let end = offset + bytes.next_multiple_of(SECTOR_BYTES);
        let mut at = offset;
        while at < end {
            let block = at.is_multiple_of(BLOCK_BYTES) && end - at >= BLOCK_BYTES;
            let size = if block { BLOCK_BYTES } else { SECTOR_BYTES };
            let range = at as usize..(at + size) as usize;
            self.cells[range.clone()].fill(0xFF);
            self.hold_stuck(range.clone());
            self.store(range);
            self.sector_erases += u64::from(size / SECTOR_BYTES);
            self.busy += if block { BLOCK_ERASE } else { SECTOR_ERASE };
            at += size;
        }
        self.busy - before
    }

    /// Programs bytes: bits that are 1 become what is written, bits that are 0 stay 0.
    ///
    /// # Errors
    /// [`PowerLost`] when a cut was due; what was programmed before stays.
    pub fn program(&mut self, offset: u32, bytes: &[u8]) -> Result<Duration, PowerLost> {
        let before = self.busy;
        let start = offset as usize;
        for (cell, wanted) in (start..).zip(bytes) {
            if let Some(left) = &mut self.cut_in {
                if *left == 0 {
                    self.cut_in = None;
                    self.store(start..cell);
                    return Err(PowerLost);
                }
                *left -= 1;
            }
            self.programmed_bytes += 1;
            self.cells[cell] &= wanted;
            self.hold_stuck(cell..cell + 1);
            self.kept_bytes += u64::from(self.cells[cell] != *wanted);
        }
        let end = start + bytes.len();
        let pages = end.div_ceil(PAGE_BYTES as usize) - start / PAGE_BYTES as usize;
        self.busy += PAGE_PROGRAM * u32::try_from(pages).unwrap_or(u32::MAX);
        self.store(start..end);
        Ok(self.busy - before)
    }

    /// Flips one bit of what lies there, as a cell that aged; false if there is no such cell.
    pub fn flip(&mut self, offset: u32, bit: u8) -> bool {
        let there = self.holds(offset, 1);
        if there {
            self.cells[offset as usize] ^= 1 << bit;
            self.store(offset as usize..offset as usize + 1);
        }
        there
    }

    /// A cell that is 0 and stays 0; false if there is no such cell.
    pub fn stick(&mut self, offset: u32, bit: u8) -> bool {
        let there = self.holds(offset, 1);
        if there {
            self.stuck.push((offset, bit));
            self.hold_stuck(offset as usize..offset as usize + 1);
        }
        there
    }

    /// No stuck cells, no cut due; bits already lost need an erase.
    pub fn heal(&mut self) {
        self.stuck.clear();
        self.cut_in = None;
    }

    fn hold_stuck(&mut self, range: Range<usize>) {
        for (offset, bit) in &self.stuck {
            if range.contains(&(*offset as usize)) {
                self.cells[*offset as usize] &= !(1 << bit);
            }
        }
    }

    fn store(&self, range: Range<usize>) {
        if let Some(file) = &self.file
            && let Err(error) = file.write_all_at(&self.cells[range.clone()], range.start as u64)
        {
            tracing::error!(%error, "the flash file could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flash() -> Flash {
        Flash::new(0x4_0000, None).unwrap()
    }

    #[test]
    fn a_write_only_clears_bits_until_the_sector_is_erased() {
        let mut flash = flash();
        let mut check = |write: u8, holds: u8| {
            flash.program(0x1004, &[write]).unwrap();
            assert_eq!(flash.read(0x1004, 1), [holds], "{write:#x}");
        };
        check(0xF0, 0xF0);
        check(0x0F, 0x00);
        assert_eq!(flash.kept_bytes, 1);
        flash.erase(0x1000, 1);
        assert_eq!(flash.read(0x1004, 1), [0xFF]);
    }

    #[test]
    fn whole_blocks_are_erased_as_blocks_and_the_rest_as_sectors() {
        let check = |offset: u32, bytes: u32, sectors: u64, took: Duration| {
            let mut flash = flash();
            assert_eq!(flash.erase(offset, bytes), took, "{offset:#x}+{bytes:#x}");
            assert_eq!(flash.sector_erases, sectors, "{offset:#x}+{bytes:#x}");
        };
        check(0, 1, 1, SECTOR_ERASE);
        check(0, 0x1_0000, 16, BLOCK_ERASE);
        check(0xF000, 0x1_1001, 18, SECTOR_ERASE * 2 + BLOCK_ERASE);
        check(0x1000, 0x1_0000, 16, SECTOR_ERASE * 16);
        check(0x1000, 0, 0, Duration::ZERO);
    }

    #[test]
    fn a_stuck_cell_stays_zero_and_a_cut_keeps_what_was_written_before() {
        let mut flash = flash();
        assert!(flash.stick(0x10, 3) && !flash.stick(0x4_0000, 0));
        flash.erase(0, 0x1000);
        assert_eq!(flash.read(0x10, 1), [0xF7]);
        flash.cut_in = Some(2);
        assert_eq!(flash.program(0x20, &[1, 2, 3]), Err(PowerLost));
        assert_eq!(flash.read(0x20, 3), [1, 2, 0xFF]);
        flash.heal();
        flash.erase(0, 0x1000);
        assert_eq!(flash.read(0x10, 1), [0xFF]);
    }

    #[test]
    fn the_hash_is_the_one_of_what_lies_in_flash() {
        let mut flash = flash();
        flash.program(0x100, b"abc").unwrap();
        let hash = hex::encode(flash.md5(0x100, 3).0);
        // RFC 1321, appendix A.5.
        assert_eq!(hash, "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn what_was_written_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chip.flash");
        Flash::new(0x2000, Some(&path)).unwrap().program(0x1800, &[9, 8]).unwrap();
        assert_eq!(Flash::new(0x2000, Some(&path)).unwrap().read(0x1800, 3), [9, 8, 0xFF]);
        assert!(Flash::new(0x3000, Some(&path)).is_err());
    }
}
