//! The flash controller of G0, G4 and L4: double words with error correction.
//!
//! Owns keys, status bits, option bytes and the rules: a double word is programmed once, by two
//! word writes, low address first; a second time only to all zeros. RM0444 §3.3 to §3.7, RM0440
//! §3.3 to §3.7, RM0351 §3.3 to §3.7.

use super::keys::{Access, Keyhole};
use super::layout::{DoubleWordLayout, write_option};
use super::part::Part;
use crate::cells::Cells;
use crate::silicon::BusFault;

const ACR: u32 = 0x00;
const KEYR: u32 = 0x08;
const OPTKEYR: u32 = 0x0C;
const SR: u32 = 0x10;
const CR: u32 = 0x14;

const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];
const OPTION_KEYS: [u32; 2] = [0x0819_2A3B, 0x4C5D_6E7F];

const EOP: u32 = 1 << 0;
const PROGERR: u32 = 1 << 3;
const WRPERR: u32 = 1 << 4;
const PGAERR: u32 = 1 << 5;
const SIZERR: u32 = 1 << 6;
const PGSERR: u32 = 1 << 7;
const MISERR: u32 = 1 << 8;
const FASTERR: u32 = 1 << 9;
const OPTVERR: u32 = 1 << 15;
const BSY: u32 = 1 << 16;
const CFGBSY: u32 = 1 << 18;
/// Errors that must be cleared before anything else is programmed or erased.
const BLOCKING: u32 = PROGERR | WRPERR | PGAERR | SIZERR | PGSERR | MISERR | FASTERR;
const CLEARABLE: u32 = BLOCKING | EOP | OPTVERR | 1 << 1 | 1 << 14;

const PG: u32 = 1 << 0;
const PER: u32 = 1 << 1;
const MER1: u32 = 1 << 2;
const PNB_SHIFT: u32 = 3;
const STRT: u32 = 1 << 16;
const OPTSTRT: u32 = 1 << 17;
const EOPIE: u32 = 1 << 24;
const OBL_LAUNCH: u32 = 1 << 27;
const OPTLOCK: u32 = 1 << 30;
const LOCK: u32 = 1 << 31;

/// The EMPTY bit of FLASH_ACR.
const EMPTY: u32 = 1 << 16;

const LEVEL_0: u8 = 0xAA;
const LEVEL_2: u8 = 0xCC;
/// What level 1 is programmed as here; any other value but the two above means the same.
const LEVEL_1: u8 = 0xBB;

/// The controller.
#[derive(Debug)]
pub(super) struct DoubleWord {
    part: &'static Part,
    layout: &'static DoubleWordLayout,
    acr: u32,
    sr: u32,
    cr: u32,
    lock: Keyhole,
    option_lock: Keyhole,
    /// The option registers, in the order of the layout.
    options: Vec<u32>,
    /// The low word of a double word, and its address.
    half: Option<(u32, u32)>,
    /// Read-out protection in force: as loaded, not as written.
    level: u8,
    reload: bool,
    reset_requested: bool,
}

impl DoubleWord {
    pub(super) fn new(part: &'static Part, layout: &'static DoubleWordLayout) -> Self {
        Self {
            part,
            layout,
            acr: layout.acr,
            sr: 0,
            cr: 0,
            lock: Keyhole::Locked,
            option_lock: Keyhole::Locked,
            options: vec![0; layout.options.len()],
            half: None,
            level: 0,
            reload: true,
            reset_requested: false,
        }
    }

    /// Read-out protection in force.
    pub(super) fn level(&self) -> u8 {
        self.level
    }

    /// Power-up loads the option bytes.
    pub(super) fn power_up(&mut self, cells: &Cells) {
        self.reload = true;
        self.reset(cells);
    }

    /// Any reset; only power-up and OBL_LAUNCH load the option bytes.
    pub(super) fn reset(&mut self, cells: &Cells) {
        self.acr = self.layout.acr | self.acr & EMPTY;
        self.sr = 0;
        self.cr = 0;
        self.lock = Keyhole::Locked;
        self.option_lock = Keyhole::Locked;
        self.half = None;
        if std::mem::take(&mut self.reload) {
            self.load_options(cells);
        }
    }

    fn load_options(&mut self, cells: &Cells) {
        let base = self.part.options_place();
        for (index, &(_, at, _)) in self.layout.options.iter().enumerate() {
            let (value, complement) =
                (cells.word(base + at as usize), cells.word(base + at as usize + 4));
            // A word whose complement does not fit counts as erased.
            self.options[index] = if value == !complement { value } else { 0xFFFF_FFFF };
            if value != !complement {
                self.sr |= OPTVERR;
            }
        }
        self.level = match self.options[0] as u8 {
            LEVEL_0 => 0,
            LEVEL_2 => 2,
            _ => 1,
        };
        let empty = self.layout.empty_check && cells.word(0) == 0xFFFF_FFFF;
        self.acr = self.acr & !EMPTY | if empty { EMPTY } else { 0 };
    }

    /// Whether the next reset starts the boot loader instead of flash.
    pub(super) fn boots_loader(&self) -> bool {
        let by_option = self.layout.boot_select.is_some_and(|(select, start_flash)| {
            self.options[0] & select != 0 && self.options[0] & start_flash == 0
        });
        by_option || self.acr & EMPTY != 0
    }

    pub(super) fn asks_for_reset(&self) -> bool {
        self.reset_requested
    }

    pub(super) fn take_reset_request(&mut self) -> bool {
        std::mem::take(&mut self.reset_requested)
    }

    /// The lever: option bytes with this level, loaded at the next reset.
    pub(super) fn protect(&mut self, level: u8, cells: &mut Cells) -> Result<(), String> {
        let rdp = match level {
            1 => LEVEL_1,
            2 => LEVEL_2,
            _ => return Err("read-out protection has the levels 1 and 2".to_owned()),
        };
        if self.level == 2 {
            return Err("level 2 is for ever".to_owned());
        }
        let base = self.part.options_place();
        let value = cells.word(base) & !0xFF | u32::from(rdp);
        let mut bytes = [0; 8];
        write_option(&mut bytes, 0, value);
        cells.set(base, &bytes);
        self.reload = true;
        Ok(())
    }

    pub(super) fn read(&self, offset: u32, cells: &Cells, by_debugger: bool) -> u32 {
        match offset {
            ACR => self.acr,
            // The core never sees the controller busy: it stands still meanwhile.
            SR => {
                let busy = if by_debugger && cells.busy() { BSY } else { 0 };
                let half = self.layout.says_half_written && self.half.is_some();
                self.sr | busy | if half { CFGBSY } else { 0 }
            }
            CR => {
                let lock = if self.lock.open() { 0 } else { LOCK };
                self.cr | lock | if self.option_lock.open() { 0 } else { OPTLOCK }
            }
            _ => self.option(offset).map_or(0, |index| self.options[index]),
        }
    }

    pub(super) fn write(
        &mut self,
        offset: u32,
        value: u32,
        cells: &mut Cells,
        access: Access,
    ) -> Result<(), BusFault> {
        match offset {
            ACR => self.acr = value,
            KEYR => self.lock.turn(value, KEYS)?,
            OPTKEYR if self.lock.open() => self.option_lock.turn(value, OPTION_KEYS)?,
            SR => self.sr &= !(value & CLEARABLE),
            CR if self.lock.open() => self.control(value, cells, access),
            CR => cells.counters.refused += 1,
            _ => {
                if let Some(index) = self.option(offset)
                    && self.option_lock.open()
                {
                    self.options[index] = value;
                }
            }
        }
        Ok(())
    }

    fn option(&self, offset: u32) -> Option<usize> {
        self.layout.options.iter().position(|(register, _, _)| *register == offset)
    }

    fn control(&mut self, value: u32, cells: &mut Cells, access: Access) {
        if value & OPTLOCK != 0 || value & LOCK != 0 {
            self.option_lock = Keyhole::Locked;
        }
        if value & LOCK != 0 {
            self.lock = Keyhole::Locked;
        }
        self.cr = value & !(STRT | OPTSTRT | OBL_LAUNCH | LOCK | OPTLOCK);
        if value & PG == 0 {
            self.half = None;
        }
        if value & STRT != 0 {
            self.start(cells, access);
        }
        if value & OPTSTRT != 0 && self.option_lock.open() {
            self.store_options(cells);
        }
        if value & OBL_LAUNCH != 0 && self.option_lock.open() {
            self.reload = true;
            self.reset_requested = true;
        }
    }

    fn start(&mut self, cells: &mut Cells, access: Access) {
        let done = if self.sr & BLOCKING != 0 {
            Err(PGSERR)
        } else if access == Access::Shut {
            Err(WRPERR)
        } else if self.cr & PER != 0 {
            self.erase_page(cells)
        } else if self.cr & (MER1 | self.layout.mass_erase_2) != 0 {
            self.erase_banks(cells)
        } else {
            Err(PGSERR)
        };
        self.finish(done, cells);
    }

    fn erase_page(&self, cells: &mut Cells) -> Result<(), u32> {
        let number = self.cr >> PNB_SHIFT & (self.layout.bank_pages - 1);
        let second = self.cr & self.layout.bank_select != 0;
        let page = number + if second { self.layout.bank_pages } else { 0 };
        if self.protects(page) {
            return Err(WRPERR);
        }
        let bytes = self.part.page_bytes as usize;
        let start = page as usize * bytes;
        cells.erase_page(start..start + bytes, self.part.times.page_erase);
        Ok(())
    }

    fn erase_banks(&self, cells: &mut Cells) -> Result<(), u32> {
        let pages = self.part.flash_bytes() / self.part.page_bytes;
        if (0..pages).any(|page| self.protects(page)) {
            return Err(WRPERR);
        }
        let bank = (self.layout.bank_pages * self.part.page_bytes) as usize;
        for (bit, start) in [(MER1, 0), (self.layout.mass_erase_2, bank)] {
            if bit != 0 && self.cr & bit != 0 {
                cells.erase(start..start + bank);
            }
        }
        cells.counters.mass_erases += 1;
        cells.spend(self.part.times.mass_erase);
        Ok(())
    }

    fn protects(&self, page: u32) -> bool {
        self.layout.write_protection.iter().any(|protection| {
            let Some(index) = self.option(protection.register) else { return false };
            let word = self.options[index];
            let (first, last) = (word & 0xFF, word >> 16 & 0xFF);
            page.checked_sub(protection.first_page)
                .is_some_and(|page| (first..=last).contains(&page))
        })
    }

    fn store_options(&mut self, cells: &mut Cells) {
        if self.sr & BLOCKING != 0 || self.level == 2 {
            self.sr |= if self.level == 2 { WRPERR } else { PGSERR };
            cells.counters.refused += 1;
            return;
        }
        if self.level == 1 && self.options[0] as u8 == LEVEL_0 {
            cells.erase_all(0..self.part.flash_bytes() as usize, self.part.times.mass_erase);
        }
        let base = self.part.options_place();
        cells.erase(base..base + self.part.options_bytes());
        cells.spend(self.part.times.page_erase);
        for (index, &(_, at, _)) in self.layout.options.iter().enumerate() {
            let mut bytes = [0; 8];
            write_option(&mut bytes, 0, self.options[index]);
            cells.set(base + at as usize, &bytes);
            cells.spend(self.part.times.program);
        }
        self.finish(Ok(()), cells);
    }

    /// A word written to flash or OTP at `address`, which is offset `place` in the cells.
    pub(super) fn program(&mut self, address: u32, place: usize, value: u32, cells: &mut Cells) {
        if self.cr & PG == 0 || self.sr & BLOCKING != 0 {
            return self.finish(Err(PGSERR), cells);
        }
        match self.half.take() {
            None if address.is_multiple_of(8) => self.half = Some((address, value)),
            Some((low, first)) if low + 4 == address => {
                let done = self.program_double_word(place - 4, [first, value], cells);
                self.finish(done, cells);
            }
            None | Some(_) => self.finish(Err(PGAERR), cells),
        }
    }

    /// A byte or a half-word written to flash.
    pub(super) fn program_narrow(&mut self, cells: &mut Cells) {
        self.half = None;
        let error = if self.cr & PG == 0 { PGSERR } else { SIZERR };
        self.finish(Err(error), cells);
    }

    fn program_double_word(
        &self,
        place: usize,
        words: [u32; 2],
        cells: &mut Cells,
    ) -> Result<(), u32> {
        let in_flash = place < self.part.flash_bytes() as usize;
        if in_flash && self.protects(place as u32 / self.part.page_bytes) {
            return Err(WRPERR);
        }
        let held = [cells.word(place), cells.word(place + 4)];
        let blank = held == [0xFFFF_FFFF; 2];
        let zeros_over_flash = in_flash && words == [0; 2];
        if !blank && !zeros_over_flash {
            if held != words {
                cells.counters.words_with_lost_bits += 2;
            }
            return Err(PROGERR);
        }
        if !cells.allow_word() || !cells.allow_word() {
            return Ok(());
        }
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&words[0].to_le_bytes());
        bytes[4..].copy_from_slice(&words[1].to_le_bytes());
        cells.set(place, &bytes);
        cells.counters.programmed_words += 2;
        cells.spend(self.part.times.program);
        Ok(())
    }

    fn finish(&mut self, done: Result<(), u32>, cells: &mut Cells) {
        match done {
            Ok(()) if self.cr & EOPIE != 0 => self.sr |= EOP,
            Ok(()) => {}
            Err(error) => {
                self.sr |= error;
                cells.counters.refused += 1;
            }
        }
    }
}
