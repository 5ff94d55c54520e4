//! What the loader's commands act on: one STM32's memories.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use super::models::{Cells, FLASH, Model, RAM, Signature};

/// Most bytes of one read.
const BLOCK_BYTES: u32 = 256;

/// One chip.
#[derive(Debug)]
pub struct Chip {
    /// What it is.
    pub model: &'static Model,
    uid: [u8; 12],
    /// Flash, then the option bytes, as they lie in the file.
    cells: Vec<u8>,
    ram: Vec<u8>,
    file: Option<File>,
    stuck: Vec<(u32, u8)>,
    /// Readout protection is on.
    pub locked: bool,
    /// Pages whose writes and erases have no effect.
    pub write_protected: Vec<bool>,
    /// Bytes to be programmed until the supply fails.
    pub cut_in: Option<u64>,
    /// Bytes programmed since the process started.
    pub programmed_bytes: u64,
    /// Bytes of units that were not erased and therefore kept.
    pub kept_bytes: u64,
    /// Pages erased.
    pub page_erases: u64,
    /// Erases of everything.
    pub mass_erases: u64,
    /// Nominal time of all erases and writes.
    pub busy: Duration,
}

/// The supply failed in the middle of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerLost;

impl Chip {
    /// A blank chip; `file` holds flash and option bytes and is created blank.
    ///
    /// # Errors
    /// The file cannot be read or has another length.
    pub fn new(model: &'static Model, uid: [u8; 12], file: Option<&Path>) -> io::Result<Self> {
        let flash_bytes = model.flash_bytes() as usize;
        let bytes = flash_bytes + model.options.len();
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
            cells = vec![model.cells.erased(); bytes];
            cells[flash_bytes] = model.open;
            cells[flash_bytes + 1] = !model.open;
        }
        if cells.len() != bytes {
            let text = format!("the flash file has {} bytes, not {bytes}", cells.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let chip = Self {
            model,
            uid,
            locked: cells[flash_bytes] != model.open,
            cells,
            ram: vec![0; model.ram_bytes as usize],
            file,
            stuck: Vec::new(),
            write_protected: vec![false; model.page_count() as usize],
            cut_in: None,
            programmed_bytes: 0,
            kept_bytes: 0,
            page_erases: 0,
            mass_erases: 0,
            busy: Duration::ZERO,
        };
        if blank {
            chip.store(0..bytes);
        }
        Ok(chip)
    }

    /// Whether the loader reads from all of `length` bytes at `address`.
    #[must_use]
    pub fn readable(&self, address: u32, length: u32) -> bool {
        if let Signature::InBlock(start) = self.model.signature
            && address == start
            && length == BLOCK_BYTES
        {
            return true;
        }
        self.ranges().iter().any(|range| holds(range, address, length))
    }

    /// Whether the loader takes this address for a read; how much may be read comes later.
    #[must_use]
    pub fn addressable(&self, address: u32) -> bool {
        let block = match self.model.signature {
            Signature::InBlock(start) => start..start + BLOCK_BYTES,
            Signature::InWords | Signature::Hidden => 0..0,
        };
        block.contains(&address) || self.readable(address, 1)
    }

    fn ranges(&self) -> [Range<u32>; 4] {
        let (system, options) = (self.model.system.clone(), self.model.options.clone());
        [self.flash(), RAM..RAM + self.model.ram_bytes, system, options]
    }

    /// Whether the loader writes to all of `length` bytes at `address`.
    #[must_use]
    pub fn writable(&self, address: u32, length: u32) -> bool {
        let ram = RAM + self.model.ram_kept..RAM + self.model.ram_bytes;
        [self.flash(), ram, self.model.options.clone()]
            .iter()
            .any(|range| holds(range, address, length))
    }

    /// Bytes for one read that [`Chip::readable`] allows.
    #[must_use]
    pub fn read(&self, address: u32, length: u32) -> Vec<u8> {
        (address..address + length).map(|at| self.byte(at)).collect()
    }

    fn byte(&self, at: u32) -> u8 {
        if let Some(cell) = self.cell(at) {
            return self.cells[cell];
        }
        if let Some(place) = at.checked_sub(RAM) {
            return self.ram.get(place as usize).copied().unwrap_or(0);
        }
        for (word, start) in self.model.uid_at.into_iter().enumerate() {
            if let Some(place @ 0..=3) = at.checked_sub(start) {
                return self.uid[4 * word + place as usize];
            }
        }
        let size = ((self.model.flash_bytes() / 1024) as u16).to_le_bytes();
        match at.checked_sub(self.model.flash_size_at) {
            Some(place @ 0..=1) => size[place as usize],
            // The loader's own code: anything that is neither blank nor the same everywhere.
            Some(_) | None => (at.wrapping_mul(0x9E37_79B1) >> 24) as u8,
        }
    }

    /// Programs bytes at a unit's address; the last unit is filled up with ones, as the loader does
    /// it. Units that are not erased keep their value, unless all zeros are written.
    ///
    /// # Errors
    /// [`PowerLost`] when a cut was due; what was programmed before stays.
    pub fn write(&mut self, address: u32, bytes: &[u8]) -> Result<Duration, PowerLost> {
        let before = self.busy;
        let unit = self.model.cells.unit_bytes();
        let mut at = address;
        for part in bytes.chunks(unit) {
            let start = at;
            at += part.len() as u32;
            let Some(cell) = self.cell(start) else {
                let place = (start - RAM) as usize;
                self.ram[place..place + part.len()].copy_from_slice(part);
                continue;
            };
            if let Some(left) = &mut self.cut_in {
                let Some(rest) = left.checked_sub(part.len() as u64) else {
                    self.cut_in = None;
                    return Err(PowerLost);
                };
                *left = rest;
            }
            self.programmed_bytes += part.len() as u64;
            self.busy += self.model.write_time;
            let place = start.wrapping_sub(FLASH);
            let page = self.model.page_of(place) as usize;
            let protected =
                self.flash().contains(&start) && self.write_protected.get(page) == Some(&true);
            let cells = self.model.cells;
            let held = &mut self.cells[cell..cell + part.len()];
            let is_erased = held.iter().all(|byte| *byte == cells.erased());
            let zeros = part.iter().all(|byte| *byte == 0);
            match cells {
                _ if protected => self.kept_bytes += part.len() as u64,
                Cells::Bits => held.iter_mut().zip(part).for_each(|(held, byte)| *held &= byte),
                Cells::HalfWords | Cells::DoubleWords | Cells::ZeroWords if is_erased => {
                    held.copy_from_slice(part);
                }
                Cells::HalfWords | Cells::DoubleWords if zeros => held.fill(0),
                Cells::HalfWords | Cells::DoubleWords | Cells::ZeroWords => {
                    self.kept_bytes += part.len() as u64;
                }
            }
            self.hold_stuck(cell..cell + part.len());
        }
        if let Some(cell) = self.cell(address) {
            self.store(cell..cell + bytes.len());
        }
        Ok(self.busy - before)
    }

    /// Erases one page; a page that is write-protected stays.
    pub fn erase_page(&mut self, page: u32) -> Duration {
        let range = self.model.page(page);
        let times = (range.end - range.start) / self.model.pages[0].1;
        if !self.write_protected[page as usize] {
            self.fill(range.start as usize..range.end as usize);
        }
        self.page_erases += 1;
        let took = self.model.erase_time * times;
        self.busy += took;
        took
    }

    /// Erases all of flash.
    pub fn erase_all(&mut self) -> Duration {
        self.fill(0..self.model.flash_bytes() as usize);
        self.mass_erases += 1;
        self.busy += self.model.erase_time;
        self.model.erase_time
    }

    /// Switches readout protection on, or off at the price of everything in flash.
    pub fn lock(&mut self, locked: bool) -> Duration {
        let options = self.model.flash_bytes() as usize;
        let took = if self.locked && !locked { self.erase_all() } else { Duration::ZERO };
        self.locked = locked;
        let byte = if locked { 0x00 } else { self.model.open };
        self.cells[options..options + 2].copy_from_slice(&[byte, !byte]);
        self.store(options..options + 2);
        self.busy += self.model.erase_time;
        took + self.model.erase_time
    }

    /// A cell that is 0 and stays 0; false if there is no such cell.
    pub fn stick(&mut self, address: u32, bit: u8) -> bool {
        let Some(cell) = self.cell(address) else { return false };
        self.stuck.push((address, bit));
        self.hold_stuck(cell..cell + 1);
        true
    }

    /// A bit of a flash cell turns over, as in a cell that aged; false if there is no such cell.
    pub fn flip(&mut self, address: u32, bit: u8) -> bool {
        let Some(cell) = self.cell(address) else { return false };
        self.cells[cell] ^= 1 << bit;
        self.store(cell..cell + 1);
        true
    }

    /// No stuck cells; bits already lost need an erase.
    pub fn heal(&mut self) {
        self.stuck.clear();
        self.cut_in = None;
    }

    /// Whether the vector table at `address` could start a program.
    #[must_use]
    pub fn runs(&self, address: u32) -> bool {
        if !self.readable(address, 8) {
            return false;
        }
        let word = |at| {
            u32::from_le_bytes([
                self.byte(at),
                self.byte(at + 1),
                self.byte(at + 2),
                self.byte(at + 3),
            ])
        };
        let (stack, entry) = (word(address), word(address + 4));
        (RAM..=RAM + self.model.ram_bytes).contains(&stack)
            && entry & 1 == 1
            && self.flash().contains(&(entry & !1))
    }

    /// Where flash is.
    #[must_use]
    pub fn flash(&self) -> Range<u32> {
        FLASH..FLASH + self.model.flash_bytes()
    }

    fn cell(&self, at: u32) -> Option<usize> {
        if self.flash().contains(&at) {
            return Some((at - FLASH) as usize);
        }
        let options = &self.model.options;
        let place = || (self.model.flash_bytes() + (at - options.start)) as usize;
        options.contains(&at).then(place)
    }

    fn fill(&mut self, range: Range<usize>) {
        self.cells[range.clone()].fill(self.model.cells.erased());
        self.hold_stuck(range.clone());
        self.store(range);
    }

    fn hold_stuck(&mut self, range: Range<usize>) {
        for (address, bit) in self.stuck.clone() {
            if let Some(cell) = self.cell(address).filter(|cell| range.contains(cell)) {
                self.cells[cell] &= !(1 << bit);
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

fn holds(range: &Range<u32>, address: u32, length: u32) -> bool {
    address >= range.start && address.checked_add(length).is_some_and(|end| end <= range.end)
}

#[cfg(test)]
mod tests {
    use super::super::models::model;
    use super::*;

    fn chip_of(name: &str) -> Chip {
        let uid = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        Chip::new(model(name).unwrap(), uid, None).unwrap()
    }

    fn chip() -> Chip {
        chip_of("stm32f103")
    }

    #[test]
    fn a_half_word_that_is_not_erased_keeps_its_value_unless_zeros_are_written() {
        let mut chip = chip();
        let check = |chip: &mut Chip, write: [u8; 2], holds: [u8; 2]| {
            chip.write(FLASH + 4, &write).unwrap();
            assert_eq!(chip.read(FLASH + 4, 2), holds, "{write:x?}");
        };
        check(&mut chip, [0x12, 0x34], [0x12, 0x34]);
        check(&mut chip, [0x10, 0x34], [0x12, 0x34]);
        check(&mut chip, [0, 0], [0, 0]);
        assert_eq!(chip.kept_bytes, 2);
        chip.erase_page(0);
        check(&mut chip, [0x10, 0x34], [0x10, 0x34]);
    }

    #[test]
    fn a_unit_that_is_not_erased_takes_what_its_kind_of_cell_takes() {
        let check = |name: &str, writes: [u8; 2], holds: u8, kept: u64| {
            let mut chip = chip_of(name);
            for byte in writes {
                chip.write(FLASH + 8, &[byte; 8]).unwrap();
            }
            assert_eq!(chip.read(FLASH + 8, 8), [holds; 8], "{name} {writes:x?}");
            assert_eq!(chip.kept_bytes, kept, "{name} {writes:x?}");
            chip.erase_page(0);
            assert_eq!(chip.read(FLASH + 8, 1), [chip.model.cells.erased()], "{name}");
        };
        check("stm32f405", [0x33, 0x55], 0x11, 0);
        check("stm32g071", [0x33, 0x11], 0x33, 8);
        check("stm32g071", [0x33, 0x00], 0x00, 0);
        check("stm32l053", [0x33, 0x55], 0x33, 8);
        check("stm32l053", [0x00, 0x55], 0x55, 0);
    }

    #[test]
    fn a_signature_is_read_as_the_chips_loader_lets_it() {
        let check = |name: &str, at: u32, length: u32, given: bool| {
            assert_eq!(chip_of(name).readable(at, length), given, "{name} {at:#x}+{length}");
        };
        check("stm32f103", 0x1FFF_F7E8, 12, true);
        check("stm32g071", 0x1FFF_7590, 4, true);
        check("stm32f405", 0x1FFF_7A10, 12, false);
        check("stm32f405", 0x1FFF_7A00, 256, true);
        check("stm32f405", 0x1FFF_7A10, 256, false);
        check("stm32l053", 0x1FF8_0050, 4, false);
        check("stm32l053", 0x1FF8_0000, 256, true);
        check("stm32l476", 0x1FFF_7590, 4, false);
        check("stm32l476", 0x1FFF_7500, 256, false);
        let block = chip_of("stm32l053").read(0x1FF8_0000, 256);
        assert_eq!(block[0x50..0x58], [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(block[0x64..0x68], [9, 10, 11, 12]);
        assert_eq!(block[0x7C..0x7E], [64, 0]);
    }

    #[test]
    fn opening_a_locked_chip_costs_everything_in_flash() {
        let mut chip = chip();
        chip.write(FLASH, &[1, 2]).unwrap();
        chip.lock(true);
        assert_eq!(chip.read(FLASH, 2), [1, 2]);
        chip.lock(false);
        assert_eq!(chip.read(FLASH, 2), [0xFF, 0xFF]);
    }

    #[test]
    fn what_was_written_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chip.flash");
        let model = model("stm32f303").unwrap();
        let mut chip = Chip::new(model, [1; 12], Some(&path)).unwrap();
        chip.write(FLASH + 0x100, &[9, 8]).unwrap();
        chip.lock(true);
        drop(chip);
        let chip = Chip::new(model, [1; 12], Some(&path)).unwrap();
        assert_eq!(chip.read(FLASH + 0x100, 2), [9, 8]);
        assert!(chip.locked);
    }
}
