//! The flash controller of the F4: sectors of different sizes, programmed in the width that CR
//! names.
//!
//! Owns keys, status bits, options and the rules: bits only go to 0, whatever was there; an access
//! of another width than PSIZE is PGPERR, one without PG is PGSERR, neither changes anything.
//! RM0090 §3.6 to §3.9.

use super::keys::{Access, Keyhole};
use super::layout::{SectorLayout, write_optcr};
use super::part::Part;
use crate::cells::Cells;
use crate::silicon::BusFault;
use std::time::Duration;

const ACR: u32 = 0x00;
const KEYR: u32 = 0x04;
const OPTKEYR: u32 = 0x08;
const SR: u32 = 0x0C;
const CR: u32 = 0x10;
const OPTCR: u32 = 0x14;

const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];
const OPTION_KEYS: [u32; 2] = [0x0819_2A3B, 0x4C5D_6E7F];

const EOP: u32 = 1 << 0;
const WRPERR: u32 = 1 << 4;
const PGPERR: u32 = 1 << 6;
const PGSERR: u32 = 1 << 7;
const BSY: u32 = 1 << 16;
const CLEARABLE: u32 = EOP | 1 << 1 | WRPERR | 1 << 5 | PGPERR | PGSERR;

const PG: u32 = 1 << 0;
const SER: u32 = 1 << 1;
const MER: u32 = 1 << 2;
const SNB_SHIFT: u32 = 3;
const PSIZE_SHIFT: u32 = 8;
const STRT: u32 = 1 << 16;
const EOPIE: u32 = 1 << 24;
const LOCK: u32 = 1 << 31;

const OPTLOCK: u32 = 1 << 0;
const OPTSTRT: u32 = 1 << 1;
const LEVEL_0: u8 = 0xAA;
const LEVEL_2: u8 = 0xCC;
/// What level 1 is programmed as here; any other value but the two above means the same.
const LEVEL_1: u8 = 0x55;

/// The controller.
#[derive(Debug)]
pub(super) struct Sector {
    part: &'static Part,
    layout: &'static SectorLayout,
    acr: u32,
    sr: u32,
    cr: u32,
    optcr: u32,
    lock: Keyhole,
    option_lock: Keyhole,
    /// Read-out protection in force: as loaded, not as written.
    level: u8,
    /// Write protection in force; a 0 protects its sector.
    not_protected: u32,
}

impl Sector {
    pub(super) fn new(part: &'static Part, layout: &'static SectorLayout) -> Self {
        Self {
            part,
            layout,
            acr: 0,
            sr: 0,
            cr: 0,
            optcr: 0,
            lock: Keyhole::Locked,
            option_lock: Keyhole::Locked,
            level: 0,
            not_protected: 0xFFF,
        }
    }

    /// Read-out protection in force.
    pub(super) fn level(&self) -> u8 {
        self.level
    }

    /// Any reset loads the options.
    pub(super) fn reset(&mut self, cells: &Cells) {
        *self = Self::new(self.part, self.layout);
        let base = self.part.options_place();
        let [user, rdp, ..] = cells.word(base).to_le_bytes();
        self.not_protected = cells.word(base + 8) & 0xFFF;
        self.optcr = u32::from(user & 0xEC) | u32::from(rdp) << 8 | self.not_protected << 16;
        self.level = match rdp {
            LEVEL_0 => 0,
            LEVEL_2 => 2,
            _ => 1,
        };
    }

    /// The lever: the RDP byte programmed, loaded at the next reset.
    pub(super) fn protect(&mut self, level: u8, cells: &mut Cells) -> Result<(), String> {
        if self.level == 2 {
            return Err("level 2 is for ever".to_owned());
        }
        let rdp = match level {
            1 => LEVEL_1,
            2 => LEVEL_2,
            _ => return Err("this part has two levels of read-out protection, 1 and 2".to_owned()),
        };
        cells.set(self.part.options_place() + 1, &[rdp]);
        Ok(())
    }

    pub(super) fn read(&self, offset: u32, cells: &Cells, by_debugger: bool) -> u32 {
        match offset {
            ACR => self.acr,
            // The core never sees the controller busy: it stands still meanwhile.
            SR => self.sr | if by_debugger && cells.busy() { BSY } else { 0 },
            CR => self.cr | if self.lock.open() { 0 } else { LOCK },
            OPTCR => self.optcr | if self.option_lock.open() { 0 } else { OPTLOCK },
            _ => 0,
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
            OPTKEYR => self.option_lock.turn(value, OPTION_KEYS)?,
            SR => self.sr &= !(value & CLEARABLE),
            CR if self.lock.open() => self.control(value, cells, access),
            OPTCR if self.option_lock.open() => self.options(value, cells),
            CR | OPTCR => cells.counters.refused += 1,
            _ => {}
        }
        Ok(())
    }

    fn control(&mut self, value: u32, cells: &mut Cells, access: Access) {
        self.cr = value & !(STRT | LOCK);
        if value & LOCK != 0 {
            self.lock = Keyhole::Locked;
        }
        if value & STRT != 0 {
            let done = self.start(cells, access);
            self.finish(done, cells);
        }
    }

    fn start(&self, cells: &mut Cells, access: Access) -> Result<(), u32> {
        if access == Access::Shut {
            return Err(WRPERR);
        }
        if self.cr & MER != 0 {
            if self.not_protected != 0xFFF {
                return Err(WRPERR);
            }
            self.mass_erase(cells);
        } else if self.cr & SER != 0 {
            let number = self.cr >> SNB_SHIFT & 0xF;
            let Some(sector) = self.layout.all().nth(number as usize) else { return Err(PGSERR) };
            if self.not_protected >> number & 1 == 0 {
                return Err(WRPERR);
            }
            let kib = (sector.len() / 1024) as u32;
            let ms =
                self.layout.erase_ms.iter().find(|(of, _)| *of == kib).map_or(0, |(_, ms)| *ms);
            cells.erase_page(sector, Duration::from_millis(ms));
        }
        Ok(())
    }

    fn mass_erase(&self, cells: &mut Cells) {
        cells.erase_all(0..self.part.flash_bytes() as usize, self.part.times.mass_erase);
    }

    /// The options go into their sector at once and are in force after the next reset.
    fn options(&mut self, value: u32, cells: &mut Cells) {
        self.optcr = value & 0x0FFF_FFEC;
        if value & OPTLOCK != 0 {
            self.option_lock = Keyhole::Locked;
        }
        if value & OPTSTRT == 0 {
            return;
        }
        if self.level == 2 {
            self.sr |= WRPERR;
            cells.counters.refused += 1;
            return;
        }
        if self.level == 1 && self.optcr.to_le_bytes()[1] == LEVEL_0 {
            self.mass_erase(cells);
        }
        let mut bytes = vec![0xFF; self.part.options_bytes()];
        write_optcr(&mut bytes, self.optcr);
        cells.set(self.part.options_place(), &bytes);
        cells.spend(self.part.times.page_erase);
        self.finish(Ok(()), cells);
    }

    /// Bytes written to flash or to the OTP area at offset `place` in the cells, 1, 2 or 4.
    pub(super) fn program(&mut self, place: usize, bytes: &[u8], cells: &mut Cells) {
        let done = self.program_cells(place, bytes, cells);
        self.finish(done, cells);
    }

    fn program_cells(&self, place: usize, bytes: &[u8], cells: &mut Cells) -> Result<(), u32> {
        if self.cr & PG == 0 {
            return Err(PGSERR);
        }
        if bytes.len() != 1 << (self.cr >> PSIZE_SHIFT & 3) {
            return Err(PGPERR);
        }
        let sector = self.layout.all().position(|sector| sector.contains(&place));
        if sector.is_some_and(|number| self.not_protected >> number & 1 == 0) {
            return Err(WRPERR);
        }
        // Power cuts are counted in words; the rest of one is as good as its beginning.
        if place.is_multiple_of(4) {
            if !cells.allow_word() {
                return Ok(());
            }
            cells.counters.programmed_words += 1;
        }
        let held = &cells.bytes()[place..place + bytes.len()];
        let result: Vec<u8> = held.iter().zip(bytes).map(|(held, byte)| held & byte).collect();
        if result != bytes {
            cells.counters.words_with_lost_bits += 1;
        }
        cells.set(place, &result);
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
