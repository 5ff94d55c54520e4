//! The non-volatile memory controller with the flash and UICR behind it.
//!
//! Owns what flash refuses. What wears and fails is [`Cells`]' business.

use super::{FLASH_BYTES, UICR_BASE, UICR_END};
use crate::cells::{Cells, Correction};
use crate::flash_file::FlashFile;
use crate::timing::{self, Timing};

/// Bytes of one erase page.
pub const PAGE_BYTES: u32 = 4096;
/// Address of the controller.
pub(crate) const BASE: u32 = 0x4001_E000;

const READY: u32 = 0x400;
const CONFIG: u32 = 0x504;
const ERASE_PAGE: u32 = 0x508;
const ERASE_ALL: u32 = 0x50C;
const ERASE_UICR: u32 = 0x514;

const WRITE_ENABLE: u32 = 1;
const ERASE_ENABLE: u32 = 2;

/// What became of a word offered to the flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Programmed {
    /// The cells hold the AND of old and new.
    Done,
    /// The NVMC was not enabled for writing, or the address is not flash.
    Refused,
    /// The power went away before this word.
    PowerLost,
}

/// Flash, UICR and their controller.
#[derive(Debug)]
pub struct Nvmc {
    /// The cells, for the levers.
    pub cells: Cells,
    config: u32,
    flash_bytes: u32,
}

impl Nvmc {
    /// A controller over the bytes in `file`.
    #[must_use]
    pub fn new(file: FlashFile, timing: Timing) -> Self {
        Self {
            cells: Cells::new(file, Correction::None, timing),
            config: 0,
            flash_bytes: FLASH_BYTES,
        }
    }

    /// Any reset: read only again.
    pub fn reset(&mut self) {
        self.config = 0;
        self.cells.abandon();
    }

    /// Makes the chip one with less flash: the rest does not answer any more.
    pub fn fit(&mut self, flash_bytes: u32) {
        self.flash_bytes = flash_bytes.min(FLASH_BYTES);
    }

    /// Bytes of flash that answer.
    #[must_use]
    pub fn flash_bytes(&self) -> u32 {
        self.flash_bytes
    }

    /// Offset in the cells of a flash or UICR address.
    #[must_use]
    pub fn offset(&self, address: u32) -> Option<usize> {
        if address < self.flash_bytes {
            Some(address as usize)
        } else if (UICR_BASE..UICR_END).contains(&address) {
            Some((FLASH_BYTES + (address - UICR_BASE)) as usize)
        } else {
            None
        }
    }

    /// The aligned word at a flash or UICR address.
    #[must_use]
    pub fn word(&self, address: u32) -> Option<u32> {
        self.offset(address & !3).map(|at| self.cells.word(at))
    }

    /// Reads a controller register. Only a debugger ever sees the controller busy: the core is
    /// stalled instead, by whoever runs it.
    #[must_use]
    pub fn read(&self, offset: u32, by_debugger: bool) -> u32 {
        match offset {
            READY => u32::from(!by_debugger || !self.cells.busy()),
            CONFIG => self.config,
            _ => 0,
        }
    }

    /// Writes a controller register.
    pub fn write(&mut self, offset: u32, value: u32) {
        match offset {
            CONFIG => self.config = value & 3,
            ERASE_PAGE => self.erase_page(value),
            ERASE_ALL if value & 1 == 1 && self.may_erase() => self.erase_all(),
            ERASE_UICR if value & 1 == 1 && self.may_erase() => {
                self.cells
                    .erase_page(FLASH_BYTES as usize..self.cells.bytes().len(), timing::PAGE_ERASE);
            }
            _ => {}
        }
    }

    /// Programs one word: a 0 stays 0.
    pub fn program(&mut self, address: u32, value: u32) -> Programmed {
        let Some(at) = self.offset(address) else {
            self.cells.counters.refused += 1;
            return Programmed::Refused;
        };
        if self.config != WRITE_ENABLE {
            self.cells.counters.refused += 1;
            return Programmed::Refused;
        }
        if !self.cells.allow_word() {
            return Programmed::PowerLost;
        }
        let old = self.cells.word(at);
        if old & value != value {
            self.cells.counters.words_with_lost_bits += 1;
        }
        self.cells.set(at, &(old & value).to_le_bytes());
        self.cells.counters.programmed_words += 1;
        if address >= UICR_BASE {
            self.cells.counters.uicr_words += 1;
        }
        self.cells.spend(timing::WORD);
        Programmed::Done
    }

    /// Erases flash and UICR, as the control access port does without asking for an enable.
    pub fn erase_all(&mut self) {
        self.cells.erase_all(0..self.cells.bytes().len(), timing::MASS_ERASE);
    }

    fn may_erase(&mut self) -> bool {
        let may = self.config == ERASE_ENABLE;
        if !may {
            self.cells.counters.refused += 1;
        }
        may
    }

    fn erase_page(&mut self, address: u32) {
        if !self.may_erase() {
            return;
        }
        if address >= self.flash_bytes {
            self.cells.counters.refused += 1;
            return;
        }
        let start = (address & !(PAGE_BYTES - 1)) as usize;
        self.cells.erase_page(start..start + PAGE_BYTES as usize, timing::PAGE_ERASE);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn nvmc() -> Nvmc {
        Nvmc::new(FlashFile::in_memory(), Timing::OFF)
    }

    #[test]
    fn a_write_clears_bits_and_never_sets_one() {
        let mut nvmc = nvmc();
        nvmc.write(CONFIG, WRITE_ENABLE);
        assert_eq!(nvmc.program(0x100, 0x0F0F_0F0F), Programmed::Done);
        assert_eq!(nvmc.program(0x100, 0xFFFF_00FF), Programmed::Done);
        assert_eq!(nvmc.word(0x100), Some(0x0F0F_000F));
        assert_eq!(nvmc.cells.counters.words_with_lost_bits, 1);
    }

    #[test]
    fn nothing_is_written_or_erased_without_its_enable() {
        let mut nvmc = nvmc();
        assert_eq!(nvmc.program(0, 0), Programmed::Refused);
        nvmc.write(CONFIG, ERASE_ENABLE);
        assert_eq!(nvmc.program(0, 0), Programmed::Refused);
        nvmc.write(CONFIG, WRITE_ENABLE);
        assert_eq!(nvmc.program(0, 0), Programmed::Done);
        for (register, value) in [(ERASE_PAGE, 0), (ERASE_ALL, 1), (ERASE_UICR, 1)] {
            nvmc.write(register, value);
        }
        assert_eq!(nvmc.word(0), Some(0));
        assert_eq!(nvmc.cells.counters.refused, 5);
        nvmc.write(CONFIG, ERASE_ENABLE);
        nvmc.write(ERASE_PAGE, 0);
        assert_eq!(nvmc.word(0), Some(0xFFFF_FFFF));
    }

    #[test]
    fn addresses_that_are_no_flash_are_refused() {
        let mut nvmc = nvmc();
        nvmc.write(CONFIG, WRITE_ENABLE);
        for address in [FLASH_BYTES, 0x1000_0060, UICR_END, 0x2000_0000] {
            assert_eq!(nvmc.program(address, 0), Programmed::Refused, "{address:#x}");
        }
        nvmc.write(CONFIG, ERASE_ENABLE);
        nvmc.write(ERASE_PAGE, UICR_BASE);
        assert_eq!(nvmc.cells.counters.page_erases, 0);
    }

    #[test]
    fn a_page_erase_touches_its_page_only_and_a_mass_erase_the_uicr_too() {
        let mut nvmc = nvmc();
        nvmc.write(CONFIG, WRITE_ENABLE);
        for address in [0x0FFC, 0x1000, 0x1FFC, 0x2000, UICR_BASE + 0x80] {
            nvmc.program(address, 0);
        }
        nvmc.write(CONFIG, ERASE_ENABLE);
        nvmc.write(ERASE_PAGE, 0x1234);
        let words = |nvmc: &Nvmc| {
            [0x0FFC, 0x1000, 0x1FFC, 0x2000, UICR_BASE + 0x80].map(|at| nvmc.word(at) == Some(0))
        };
        assert_eq!(words(&nvmc), [true, false, false, true, true]);
        nvmc.write(ERASE_UICR, 1);
        assert_eq!(words(&nvmc), [true, false, false, true, false]);
        nvmc.write(ERASE_ALL, 1);
        assert_eq!(words(&nvmc), [false; 5]);
    }

    #[test]
    fn the_power_goes_away_after_exactly_the_asked_number_of_words() {
        let mut nvmc = nvmc();
        nvmc.write(CONFIG, WRITE_ENABLE);
        nvmc.cells.cut_after(2);
        assert_eq!(nvmc.program(0, 0), Programmed::Done);
        assert_eq!(nvmc.program(4, 0), Programmed::Done);
        assert_eq!(nvmc.program(8, 0), Programmed::PowerLost);
        assert_eq!(nvmc.word(8), Some(0xFFFF_FFFF));
        assert!(nvmc.cells.take_power_lost());
    }

    #[test]
    fn a_stuck_cell_survives_erases_until_it_is_healed_and_erased() {
        let mut nvmc = nvmc();
        nvmc.cells.stick(0x1001, 4);
        nvmc.write(CONFIG, ERASE_ENABLE);
        nvmc.write(ERASE_PAGE, 0x1000);
        assert_eq!(nvmc.word(0x1000), Some(0xFFFF_EFFF));
        nvmc.cells.heal();
        assert_eq!(nvmc.word(0x1000), Some(0xFFFF_EFFF));
        nvmc.write(ERASE_PAGE, 0x1000);
        assert_eq!(nvmc.word(0x1000), Some(0xFFFF_FFFF));
    }

    #[test]
    fn busy_time_is_counted_exactly_and_waited_for_only_when_timing_is_real() {
        let mut off = nvmc();
        let mut real = Nvmc::new(FlashFile::in_memory(), Timing::REAL);
        for nvmc in [&mut off, &mut real] {
            nvmc.write(CONFIG, WRITE_ENABLE);
            for word in 0..3 {
                nvmc.program(4 * word, 0);
            }
        }
        assert_eq!(off.cells.counters.busy_ns, 202_500);
        assert_eq!(off.read(READY, true), 1);
        assert_eq!(real.cells.busy_until(), Duration::from_nanos(202_500));
        assert_eq!((real.read(READY, true), real.read(READY, false)), (0, 1));
        real.cells.set_now(Duration::from_micros(203));
        assert_eq!(real.read(READY, true), 1);
    }
}
