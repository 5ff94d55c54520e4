//! What the loader's commands act on: one STM32's memories.
//!
//! Figures: RM0008 and the STM32F103x8/xB data sheet, RM0316 and the STM32F303xB/xC data sheet,
//! RM0091 and the STM32F072x8/xB data sheet; the loader's product id, version, RAM and memory from
//! AN2606. Times are the data sheets' typical ones.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

/// First address of flash on every STM32.
pub const FLASH: u32 = 0x0800_0000;
/// First address of RAM on every STM32.
pub const RAM: u32 = 0x2000_0000;
/// The option bytes of F0, F1 and F3.
pub const OPTIONS: Range<u32> = 0x1FFF_F800..0x1FFF_F810;

/// Programming one half-word.
pub const HALF_WORD: Duration = Duration::from_nanos(52_500);
/// Erasing one page.
pub const PAGE_ERASE: Duration = Duration::from_millis(20);
/// Erasing all of flash.
pub const MASS_ERASE: Duration = Duration::from_millis(20);

/// A chip this room can be.
#[derive(Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name on the command line.
    pub name: &'static str,
    /// What Get ID answers.
    pub product_id: u16,
    /// What Get answers as the protocol's version, one digit per nibble.
    pub version: u8,
    /// Bytes of flash.
    pub flash_bytes: u32,
    /// Bytes of one erase page.
    pub page_bytes: u32,
    /// Bytes of RAM; the loader keeps the first `ram_kept` for itself.
    pub ram_bytes: u32,
    /// Bytes of RAM the loader uses and does not let write.
    pub ram_kept: u32,
    /// The loader's own memory; the signature below lies in it.
    pub system: Range<u32>,
    /// Where the 96 bits of the unique id are.
    pub uid_at: u32,
    /// Where the flash size in KiB is, 16 bits.
    pub flash_size_at: u32,
    /// The option byte that leaves the chip open to reading; its complement stands beside it.
    pub open: u8,
    /// Erase is 0x44 with two bytes per page, not 0x43 with one.
    pub erase_extended: bool,
    /// Above this the loader cannot measure the rate of the first byte.
    pub baud_max: u32,
}

/// Every chip this room can be.
pub static MODELS: &[Model] = &[
    Model {
        name: "stm32f103",
        product_id: 0x410,
        version: 0x22,
        flash_bytes: 0x2_0000,
        page_bytes: 0x400,
        ram_bytes: 0x5000,
        ram_kept: 0x200,
        system: 0x1FFF_F000..0x1FFF_F800,
        uid_at: 0x1FFF_F7E8,
        flash_size_at: 0x1FFF_F7E0,
        open: 0xA5,
        erase_extended: false,
        baud_max: 115_200,
    },
    Model {
        name: "stm32f103x8",
        product_id: 0x410,
        version: 0x22,
        flash_bytes: 0x1_0000,
        page_bytes: 0x400,
        ram_bytes: 0x5000,
        ram_kept: 0x200,
        system: 0x1FFF_F000..0x1FFF_F800,
        uid_at: 0x1FFF_F7E8,
        flash_size_at: 0x1FFF_F7E0,
        open: 0xA5,
        erase_extended: false,
        baud_max: 115_200,
    },
    Model {
        name: "stm32f303",
        product_id: 0x422,
        version: 0x31,
        flash_bytes: 0x2_0000,
        page_bytes: 0x800,
        ram_bytes: 0x8000,
        ram_kept: 0x1400,
        system: 0x1FFF_D800..0x1FFF_F800,
        uid_at: 0x1FFF_F7AC,
        flash_size_at: 0x1FFF_F7CC,
        open: 0xAA,
        erase_extended: true,
        baud_max: 115_200,
    },
    Model {
        name: "stm32f072",
        product_id: 0x448,
        version: 0x31,
        flash_bytes: 0x2_0000,
        page_bytes: 0x800,
        ram_bytes: 0x4000,
        ram_kept: 0x1800,
        system: 0x1FFF_C800..0x1FFF_F800,
        uid_at: 0x1FFF_F7AC,
        flash_size_at: 0x1FFF_F7CC,
        open: 0xAA,
        erase_extended: true,
        baud_max: 115_200,
    },
];

/// The model with this name.
#[must_use]
pub fn model(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

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
    /// Half-words until the supply fails.
    pub cut_in: Option<u64>,
    /// Half-words programmed since the process started.
    pub half_words: u64,
    /// Half-words that were not erased and therefore kept.
    pub kept_half_words: u64,
    /// Pages erased.
    pub page_erases: u64,
    /// Erases of everything.
    pub mass_erases: u64,
    /// Nominal time of all erases and programmed half-words.
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
        let bytes = model.flash_bytes as usize + OPTIONS.len();
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
            cells = vec![0xFF; bytes];
            cells[model.flash_bytes as usize] = model.open;
            cells[model.flash_bytes as usize + 1] = !model.open;
        }
        if cells.len() != bytes {
            let text = format!("the flash file has {} bytes, not {bytes}", cells.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let chip = Self {
            model,
            uid,
            locked: cells[model.flash_bytes as usize] != model.open,
            cells,
            ram: vec![0; model.ram_bytes as usize],
            file,
            stuck: Vec::new(),
            write_protected: vec![false; (model.flash_bytes / model.page_bytes) as usize],
            cut_in: None,
            half_words: 0,
            kept_half_words: 0,
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
        let ranges =
            [self.flash(), RAM..RAM + self.model.ram_bytes, self.model.system.clone(), OPTIONS];
        ranges.iter().any(|range| holds(range, address, length))
    }

    /// Whether the loader writes to all of `length` bytes at `address`.
    #[must_use]
    pub fn writable(&self, address: u32, length: u32) -> bool {
        let ram = RAM + self.model.ram_kept..RAM + self.model.ram_bytes;
        [self.flash(), ram, OPTIONS].iter().any(|range| holds(range, address, length))
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
        if let Some(place) = at.checked_sub(self.model.uid_at).filter(|place| *place < 12) {
            return self.uid[place as usize];
        }
        let size = ((self.model.flash_bytes / 1024) as u16).to_le_bytes();
        match at.checked_sub(self.model.flash_size_at) {
            Some(place @ 0..=1) => size[place as usize],
            // The loader's own code: anything that is neither blank nor the same everywhere.
            Some(_) | None => (at.wrapping_mul(0x9E37_79B1) >> 24) as u8,
        }
    }

    /// Programs bytes at an even address. Half-words that are not erased keep their value, unless
    /// all zeros are written.
    ///
    /// # Errors
    /// [`PowerLost`] when a cut was due; what was programmed before stays.
    pub fn write(&mut self, address: u32, bytes: &[u8]) -> Result<Duration, PowerLost> {
        let before = self.busy;
        for (offset, pair) in bytes.chunks(2).enumerate() {
            let at = address + 2 * offset as u32;
            let Some(cell) = self.cell(at) else {
                let place = (at - RAM) as usize;
                self.ram[place..place + pair.len()].copy_from_slice(pair);
                continue;
            };
            if let Some(left) = &mut self.cut_in {
                if *left == 0 {
                    self.cut_in = None;
                    return Err(PowerLost);
                }
                *left -= 1;
            }
            self.half_words += 1;
            self.busy += HALF_WORD;
            let held = &mut self.cells[cell..cell + pair.len()];
            let page = (at.wrapping_sub(FLASH) / self.model.page_bytes) as usize;
            let protected = self.write_protected.get(page).copied().unwrap_or(false);
            let zeros = pair.iter().all(|byte| *byte == 0);
            if protected || (held.iter().any(|byte| *byte != 0xFF) && !zeros) {
                self.kept_half_words += 1;
                continue;
            }
            held.copy_from_slice(pair);
            self.hold_stuck(cell..cell + pair.len());
        }
        if let Some(cell) = self.cell(address) {
            self.store(cell..cell + bytes.len());
        }
        Ok(self.busy - before)
    }

    /// Erases one page; a page that is write-protected stays.
    pub fn erase_page(&mut self, page: u32) -> Duration {
        if !self.write_protected[page as usize] {
            let start = (page * self.model.page_bytes) as usize;
            self.fill(start..start + self.model.page_bytes as usize);
        }
        self.page_erases += 1;
        self.busy += PAGE_ERASE;
        PAGE_ERASE
    }

    /// Erases all of flash.
    pub fn erase_all(&mut self) -> Duration {
        self.fill(0..self.model.flash_bytes as usize);
        self.mass_erases += 1;
        self.busy += MASS_ERASE;
        MASS_ERASE
    }

    /// Switches readout protection on, or off at the price of everything in flash.
    pub fn lock(&mut self, locked: bool) -> Duration {
        let options = self.model.flash_bytes as usize;
        let took = if self.locked && !locked { self.erase_all() } else { Duration::ZERO };
        self.locked = locked;
        let byte = if locked { 0x00 } else { self.model.open };
        self.cells[options..options + 2].copy_from_slice(&[byte, !byte]);
        self.store(options..options + 2);
        self.busy += PAGE_ERASE;
        took + PAGE_ERASE
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
        FLASH..FLASH + self.model.flash_bytes
    }

    fn cell(&self, at: u32) -> Option<usize> {
        if self.flash().contains(&at) {
            return Some((at - FLASH) as usize);
        }
        OPTIONS.contains(&at).then(|| (self.model.flash_bytes + (at - OPTIONS.start)) as usize)
    }

    fn fill(&mut self, range: Range<usize>) {
        self.cells[range.clone()].fill(0xFF);
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
    use super::*;

    fn chip() -> Chip {
        Chip::new(model("stm32f103").unwrap(), [7; 12], None).unwrap()
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
        assert_eq!(chip.kept_half_words, 1);
        chip.erase_page(0);
        check(&mut chip, [0x10, 0x34], [0x10, 0x34]);
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
