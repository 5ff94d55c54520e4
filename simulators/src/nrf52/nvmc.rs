//! The non-volatile memory controller with the flash and UICR behind it.
//!
//! Owns what flash refuses, and the levers that make flash fail: a power cut after a number of
//! programmed words, cells stuck at 0. Counts words, erases and nominal busy time.

use std::time::Duration;

use super::{FLASH_BYTES, UICR_BASE, UICR_END};
use crate::counters::Counters;
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
    cells: FlashFile,
    config: u32,
    timing: Timing,
    now: Duration,
    busy_until: Duration,
    stuck: Vec<(usize, u8)>,
    words_until_cut: Option<u64>,
    power_lost: bool,
    /// Totals of the whole board.
    pub counters: Counters,
}

impl Nvmc {
    /// A controller over `cells`.
    #[must_use]
    pub fn new(cells: FlashFile, timing: Timing) -> Self {
        Self {
            cells,
            config: 0,
            timing,
            now: Duration::ZERO,
            busy_until: Duration::ZERO,
            stuck: Vec::new(),
            words_until_cut: None,
            power_lost: false,
            counters: Counters::default(),
        }
    }

    /// Any reset: read only again.
    pub fn reset(&mut self) {
        self.config = 0;
        self.busy_until = self.now;
    }

    /// The board's time, since it started.
    pub fn set_now(&mut self, now: Duration) {
        self.now = now;
    }

    /// When the running flash operation ends.
    #[must_use]
    pub fn busy_until(&self) -> Duration {
        self.busy_until
    }

    /// Whether the core should stop and let the clock catch up.
    #[must_use]
    pub fn ahead(&self) -> bool {
        self.busy_until > self.now + timing::SLACK
    }

    /// The bytes: flash, then UICR.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.cells.bytes()
    }

    /// The cells themselves, for the levers.
    pub fn cells(&mut self) -> &mut FlashFile {
        &mut self.cells
    }

    /// Offset in the cells of a flash or UICR address.
    #[must_use]
    pub fn offset(address: u32) -> Option<usize> {
        if address < FLASH_BYTES {
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
        Self::offset(address & !3).map(|at| self.cells.word(at))
    }

    /// Reads a controller register. Only a debugger ever sees the controller busy: the core is
    /// stalled instead, by whoever runs it.
    #[must_use]
    pub fn read(&self, offset: u32, by_debugger: bool) -> u32 {
        match offset {
            READY => u32::from(!by_debugger || self.now >= self.busy_until),
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
                self.fill(FLASH_BYTES as usize..self.cells.bytes().len());
                self.counters.page_erases += 1;
                self.spend(timing::PAGE_ERASE);
            }
            _ => {}
        }
    }

    /// Programs one word: a 0 stays 0.
    pub fn program(&mut self, address: u32, value: u32) -> Programmed {
        let Some(at) = Self::offset(address) else {
            self.counters.refused += 1;
            return Programmed::Refused;
        };
        if self.config != WRITE_ENABLE {
            self.counters.refused += 1;
            return Programmed::Refused;
        }
        match &mut self.words_until_cut {
            Some(0) => {
                self.words_until_cut = None;
                self.power_lost = true;
                return Programmed::PowerLost;
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let old = self.cells.word(at);
        if old & value != value {
            self.counters.words_with_lost_bits += 1;
        }
        self.cells.set_word(at, old & value);
        self.counters.programmed_words += 1;
        if address >= UICR_BASE {
            self.counters.uicr_words += 1;
        }
        self.spend(timing::WORD);
        Programmed::Done
    }

    /// Erases flash and UICR, as the control access port does without asking for an enable.
    pub fn erase_all(&mut self) {
        self.fill(0..self.cells.bytes().len());
        self.counters.mass_erases += 1;
        self.spend(timing::MASS_ERASE);
    }

    /// Makes the bit at `address` read 0 for good. `false` when there is no such cell.
    pub fn stick(&mut self, address: u32, bit: u8) -> bool {
        let Some(at) = Self::offset(address).filter(|_| bit < 8) else { return false };
        self.stuck.push((at, bit));
        self.cells.clear_bit(at, bit);
        true
    }

    /// Cells erase normally again and no cut is due.
    pub fn heal(&mut self) {
        self.stuck.clear();
        self.words_until_cut = None;
    }

    /// The power goes away before programming word number `words` + 1 from here.
    pub fn cut_after(&mut self, words: u64) {
        self.words_until_cut = Some(words);
    }

    /// Whether a cut happened since the last call.
    pub fn take_power_lost(&mut self) -> bool {
        std::mem::take(&mut self.power_lost)
    }

    /// Whether a cut happened that nobody has acted on.
    #[must_use]
    pub fn power_lost(&self) -> bool {
        self.power_lost
    }

    fn may_erase(&mut self) -> bool {
        let may = self.config == ERASE_ENABLE;
        if !may {
            self.counters.refused += 1;
        }
        may
    }

    fn erase_page(&mut self, address: u32) {
        if !self.may_erase() {
            return;
        }
        if address >= FLASH_BYTES {
            self.counters.refused += 1;
            return;
        }
        let start = (address & !(PAGE_BYTES - 1)) as usize;
        self.fill(start..start + PAGE_BYTES as usize);
        self.counters.page_erases += 1;
        self.spend(timing::PAGE_ERASE);
    }

    fn fill(&mut self, range: std::ops::Range<usize>) {
        self.cells.fill(range.clone(), 0xFF);
        for &(at, bit) in self.stuck.iter().filter(|(at, _)| range.contains(at)) {
            self.cells.clear_bit(at, bit);
        }
    }

    fn spend(&mut self, nominal: Duration) {
        self.counters.busy_ns += nominal.as_nanos() as u64;
        let wall = self.timing.wall(nominal);
        if !wall.is_zero() {
            self.busy_until = self.busy_until.max(self.now) + wall;
        }
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(nvmc.counters.words_with_lost_bits, 1);
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
        assert_eq!(nvmc.counters.refused, 5);
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
        assert_eq!(nvmc.counters.page_erases, 0);
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
        nvmc.cut_after(2);
        assert_eq!(nvmc.program(0, 0), Programmed::Done);
        assert_eq!(nvmc.program(4, 0), Programmed::Done);
        assert_eq!(nvmc.program(8, 0), Programmed::PowerLost);
        assert_eq!(nvmc.word(8), Some(0xFFFF_FFFF));
        assert!(nvmc.take_power_lost());
    }

    #[test]
    fn a_stuck_cell_survives_erases_until_it_is_healed_and_erased() {
        let mut nvmc = nvmc();
        assert!(nvmc.stick(0x1001, 4));
        assert!(!nvmc.stick(0x2000_0000, 0));
        nvmc.write(CONFIG, ERASE_ENABLE);
        nvmc.write(ERASE_PAGE, 0x1000);
        assert_eq!(nvmc.word(0x1000), Some(0xFFFF_EFFF));
        nvmc.heal();
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
        assert_eq!(off.counters.busy_ns, 202_500);
        assert_eq!(off.read(READY, true), 1);
        assert_eq!(real.busy_until(), Duration::from_nanos(202_500));
        assert_eq!((real.read(READY, true), real.read(READY, false)), (0, 1));
        real.set_now(Duration::from_micros(203));
        assert_eq!(real.read(READY, true), 1);
    }
}
