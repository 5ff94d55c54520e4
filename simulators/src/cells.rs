//! Non-volatile cells of any chip, and what goes wrong with them.
//!
//! Owns the bytes, the busy time that erasing and programming cost, the totals, and the levers: a
//! power cut after a number of words, cells stuck at 0, pages that do not erase. Which writes are
//! allowed at all is the flash controller's business.

use std::io;
use std::ops::Range;
use std::time::Duration;

use crate::counters::Counters;
use crate::flash_file::FlashFile;
use crate::timing::{self, Timing};

/// Bytes that share one error correction code, on chips that have one.
const ECC_BYTES: usize = 8;

/// Whether cells are guarded by an error correction code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Correction {
    /// What a cell holds is what is read.
    None,
    /// One wrong bit in eight bytes is put right when they are read, two are not.
    DoubleWord,
}

/// The cells of one chip.
#[derive(Debug)]
pub struct Cells {
    file: FlashFile,
    correction: Correction,
    timing: Timing,
    now: Duration,
    busy_until: Duration,
    stuck: Vec<(usize, u8)>,
    unerasable: Vec<Range<usize>>,
    words_until_cut: Option<u64>,
    erases_until_cut: Option<u64>,
    power_lost: bool,
    /// Totals of the whole board.
    pub counters: Counters,
}

impl Cells {
    /// The cells in `file`.
    #[must_use]
    pub fn new(file: FlashFile, correction: Correction, timing: Timing) -> Self {
        Self {
            file,
            correction,
            timing,
            now: Duration::ZERO,
            busy_until: Duration::ZERO,
            stuck: Vec::new(),
            unerasable: Vec::new(),
            words_until_cut: None,
            erases_until_cut: None,
            power_lost: false,
            counters: Counters::default(),
        }
    }

    /// The board's time, since it started.
    pub fn set_now(&mut self, now: Duration) {
        self.now = now;
    }

    /// The board's time, as last told.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// When the running operation ends.
    #[must_use]
    pub fn busy_until(&self) -> Duration {
        self.busy_until
    }

    /// Whether an operation is running.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.now < self.busy_until
    }

    /// Whether the core should stop and let the clock catch up.
    #[must_use]
    pub fn ahead(&self) -> bool {
        self.busy_until > self.now + timing::SLACK
    }

    /// A reset ends whatever was running.
    pub fn abandon(&mut self) {
        self.busy_until = self.now;
    }

    /// All bytes, in the flash file's layout.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.file.bytes()
    }

    /// The little-endian word at offset `at`, rounded down to a multiple of 4.
    #[must_use]
    pub fn word(&self, at: usize) -> u32 {
        self.file.word(at & !3)
    }

    /// Whether the power stays for one more programmed word; `false` takes it away.
    pub fn allow_word(&mut self) -> bool {
        match &mut self.words_until_cut {
            Some(0) => {
                self.words_until_cut = None;
                self.power_lost = true;
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }

    /// Replaces bytes, whatever was there; stuck cells stay stuck. Costs no time.
    pub fn set(&mut self, at: usize, bytes: &[u8]) {
        self.file.set(at, bytes);
        self.hold_stuck(at..at + bytes.len());
    }

    /// All ones, except in pages that do not erase and in stuck cells. Costs no time.
    pub fn erase(&mut self, range: Range<usize>) {
        let kept: Vec<(usize, Vec<u8>)> = self
            .unerasable
            .iter()
            .map(|page| page.start.max(range.start)..page.end.min(range.end))
            .filter(|page| page.start < page.end)
            .map(|page| (page.start, self.file.bytes()[page].to_vec()))
            .collect();
        self.file.fill(range.clone(), 0xFF);
        for (at, bytes) in kept {
            self.file.set(at, &bytes);
        }
        self.hold_stuck(range);
    }

    /// Whether the power stays for one more erase; where it goes, the first half of `area` is
    /// erased and the rest is as it was.
    fn allow_erase(&mut self, area: &Range<usize>) -> bool {
        match &mut self.erases_until_cut {
            Some(0) => {
                self.erases_until_cut = None;
                self.power_lost = true;
                self.erase(area.start..area.start + area.len() / 2);
                false
            }
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }

    /// Erases a page, which takes `nominal`.
    pub fn erase_page(&mut self, page: Range<usize>, nominal: Duration) {
        if !self.allow_erase(&page) {
            return;
        }
        self.erase(page);
        self.counters.page_erases += 1;
        self.spend(nominal);
    }

    /// Erases all of an area, which takes `nominal`.
    pub fn erase_all(&mut self, area: Range<usize>, nominal: Duration) {
        if !self.allow_erase(&area) {
            return;
        }
        self.erase(area);
        self.counters.mass_erases += 1;
        self.spend(nominal);
    }

    /// Counts the chip's time, and makes it busy for as long as the timing says.
    pub fn spend(&mut self, nominal: Duration) {
        self.counters.busy_ns += nominal.as_nanos() as u64;
        let wall = self.timing.wall(nominal);
        if !wall.is_zero() {
            self.busy_until = self.busy_until.max(self.now) + wall;
        }
    }

    /// Makes a bit at offset `at` 0 for good. With error correction one such bit in eight bytes
    /// does not show.
    pub fn stick(&mut self, at: usize, bit: u8) {
        self.stuck.push((at, bit));
        self.hold_stuck(at..at + 1);
    }

    /// Makes the bytes of `page` keep their value when they are erased.
    pub fn make_unerasable(&mut self, page: Range<usize>) {
        self.unerasable.push(page);
    }

    /// The power goes away before programming word number `words` + 1 from here.
    pub fn cut_after(&mut self, words: u64) {
        self.words_until_cut = Some(words);
    }

    /// The power goes away in the middle of erase number `erases` + 1 from here.
    pub fn cut_after_erases(&mut self, erases: u64) {
        self.erases_until_cut = Some(erases);
    }

    /// Replaces every cell, as a chip with another past would hold them.
    ///
    /// # Errors
    /// The number of bytes this chip has, when `bytes` are not as many.
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let own = self.file.bytes().len();
        if bytes.len() != own {
            return Err(own);
        }
        self.set(0, bytes);
        Ok(())
    }

    /// Cells erase and program normally again and no cut is due.
    pub fn heal(&mut self) {
        self.stuck.clear();
        self.unerasable.clear();
        self.words_until_cut = None;
        self.erases_until_cut = None;
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

    /// Writes what changed to the file.
    ///
    /// # Errors
    /// The system's, for example a full disk.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn hold_stuck(&mut self, range: Range<usize>) {
        if self.stuck.is_empty() {
            return;
        }
        let group = match self.correction {
            Correction::None => 1,
            Correction::DoubleWord => ECC_BYTES,
        };
        let reach = range.start / group * group..range.end.next_multiple_of(group);
        let wrong: Vec<(usize, u8)> = self
            .stuck
            .iter()
            .filter(|(at, bit)| reach.contains(at) && self.file.bytes()[*at] >> bit & 1 == 1)
            .copied()
            .collect();
        for &(at, bit) in &wrong {
            let neighbours = wrong.iter().filter(|(other, _)| other / group == at / group).count();
            if self.correction == Correction::None || neighbours > 1 {
                self.file.clear_bit(at, bit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(correction: Correction) -> Cells {
        Cells::new(FlashFile::blank(vec![0xFF; 4096]), correction, Timing::OFF)
    }

    #[test]
    fn one_stuck_bit_in_eight_bytes_shows_only_without_error_correction_and_two_always() {
        let check = |correction, second: usize, shows: bool| {
            let mut cells = cells(correction);
            cells.stick(9, 3);
            cells.stick(second, 5);
            cells.set(8, &[0xFF; 8]);
            assert_eq!(cells.bytes()[9] == 0xFF, !shows, "{correction:?} {second}");
            cells.heal();
            cells.erase(0..4096);
            assert_eq!(cells.bytes(), [0xFF; 4096]);
        };
        check(Correction::None, 2000, true);
        check(Correction::DoubleWord, 2000, false);
        check(Correction::DoubleWord, 16, false);
        check(Correction::DoubleWord, 15, true);
        check(Correction::None, 15, true);
    }

    #[test]
    fn a_cut_in_an_erase_leaves_the_second_half_of_the_area_as_it_was() {
        let mut cells = cells(Correction::None);
        cells.set(0, &[1; 4096]);
        cells.cut_after_erases(1);
        cells.erase_page(0..1024, timing::PAGE_ERASE);
        assert!(!cells.take_power_lost());
        cells.erase_page(1024..2048, timing::PAGE_ERASE);
        assert!(cells.take_power_lost());
        assert_eq!(cells.bytes()[..1536], [0xFF; 1536]);
        assert_eq!(cells.bytes()[1536..], [1; 2560]);
        assert_eq!(cells.counters.page_erases, 1);
        cells.cut_after_erases(0);
        cells.erase_all(0..4096, timing::MASS_ERASE);
        assert!(cells.take_power_lost());
        assert_eq!((cells.bytes()[2047], cells.bytes()[2048]), (0xFF, 1));
        cells.cut_after_erases(0);
        cells.heal();
        cells.erase_all(0..4096, timing::MASS_ERASE);
        assert!(!cells.power_lost());
        assert_eq!(cells.bytes(), [0xFF; 4096]);
    }

    #[test]
    fn a_chip_is_loaded_whole_or_not_at_all() {
        let mut cells = cells(Correction::None);
        assert_eq!(cells.load(&[0; 4095]), Err(4096));
        assert_eq!(cells.bytes(), [0xFF; 4096]);
        assert_eq!(cells.load(&[7; 4096]), Ok(()));
        assert_eq!(cells.bytes(), [7; 4096]);
    }

    #[test]
    fn a_page_that_does_not_erase_keeps_its_bytes_through_every_erase_until_it_is_healed() {
        let mut cells = cells(Correction::None);
        cells.set(0, &[1; 4096]);
        cells.make_unerasable(1024..2048);
        for range in [1024..2048, 0..4096, 1000..1030] {
            cells.erase(range);
            assert_eq!(cells.bytes()[1024..2048], [1; 1024]);
        }
        assert_eq!(cells.bytes()[..1024], [0xFF; 1024]);
        cells.heal();
        cells.erase(1024..2048);
        assert_eq!(cells.bytes()[1024..2048], [0xFF; 1024]);
    }
}
