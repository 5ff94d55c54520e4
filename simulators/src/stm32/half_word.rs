//! The flash controller (FPEC) of the F0, F1 and F3: half-words.
//!
//! Owns keys, status bits, option bytes and the rules: a half-word is programmed once, and a second
//! time only to zero; wider and narrower writes are bus errors. F1: PM0075, RM0008 §3.3.3. F0: RM0091
//! §3.2 and §3.3. F3: RM0316 §4.2 and §4.3. Option bytes are loaded at every system reset (RM0365
//! §5 says so in words; the F0's and F3's OBL_LAUNCH asks for such a reset).

use super::keys::{Access, Keyhole};
use super::layout::HalfWordLayout;
use super::part::{FLASH_BASE, Part};
use crate::cells::Cells;
use crate::silicon::BusFault;

const ACR: u32 = 0x00;
const KEYR: u32 = 0x04;
const OPTKEYR: u32 = 0x08;
const SR: u32 = 0x0C;
const CR: u32 = 0x10;
const AR: u32 = 0x14;
const OBR: u32 = 0x1C;
const WRPR: u32 = 0x20;

const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];

const BSY: u32 = 1 << 0;
const PGERR: u32 = 1 << 2;
const WRPRTERR: u32 = 1 << 4;
const EOP: u32 = 1 << 5;
const CLEARABLE: u32 = PGERR | WRPRTERR | EOP;

const PG: u32 = 1 << 0;
const PER: u32 = 1 << 1;
const MER: u32 = 1 << 2;
const OPTPG: u32 = 1 << 4;
const OPTER: u32 = 1 << 5;
const STRT: u32 = 1 << 6;
const LOCK: u32 = 1 << 7;
const OPTWRE: u32 = 1 << 9;

const OPTION_BYTES: usize = 16;
/// RDP of level 2, where there is one.
const LEVEL_2: u8 = 0xCC;

/// The controller.
#[derive(Debug)]
pub(super) struct HalfWord {
    part: &'static Part,
    layout: &'static HalfWordLayout,
    acr: u32,
    sr: u32,
    cr: u32,
    ar: u32,
    lock: Keyhole,
    option_lock: Keyhole,
    /// Option bytes as loaded: RDP, USER, data, write protection.
    loaded: [u8; OPTION_BYTES / 2],
    /// A complement did not fit.
    option_error: bool,
    /// Read-out protection in force.
    level: u8,
    reset_requested: bool,
}

impl HalfWord {
    pub(super) fn new(part: &'static Part, layout: &'static HalfWordLayout) -> Self {
        Self {
            part,
            layout,
            acr: 0,
            sr: 0,
            cr: 0,
            ar: 0,
            lock: Keyhole::Locked,
            option_lock: Keyhole::Locked,
            loaded: [0xFF; OPTION_BYTES / 2],
            option_error: false,
            level: 0,
            reset_requested: false,
        }
    }

    /// Read-out protection in force.
    pub(super) fn level(&self) -> u8 {
        self.level
    }

    /// OBL_LAUNCH was written.
    pub(super) fn asks_for_reset(&self) -> bool {
        self.reset_requested
    }

    pub(super) fn take_reset_request(&mut self) -> bool {
        std::mem::take(&mut self.reset_requested)
    }

    /// Any reset loads the option bytes.
    pub(super) fn reset(&mut self, cells: &Cells) {
        *self = Self { acr: 0x30, ..Self::new(self.part, self.layout) };
        let base = self.part.options_place();
        for index in 0..self.loaded.len() {
            let pair = &cells.bytes()[base + 2 * index..][..2];
            let fits = pair[0] == !pair[1];
            // An erased pair is a value too; any other misfit counts as erased.
            self.option_error |= !fits && pair != [0xFF, 0xFF];
            self.loaded[index] = if fits { pair[0] } else { 0xFF };
        }
        let open = self.layout.open;
        self.level = match cells.bytes()[base..base + 2] {
            [rdp, complement] if [rdp, complement] == [open, !open] => 0,
            [LEVEL_2, complement] if complement == !LEVEL_2 && self.layout.has_level_2 => 2,
            _ => 1,
        };
    }

    /// The lever: the RDP byte erased and programmed to 0, loaded at the next reset.
    pub(super) fn protect(&mut self, level: u8, cells: &mut Cells) -> Result<(), String> {
        if self.level == 2 {
            return Err("level 2 is for ever".to_owned());
        }
        let rdp = match level {
            1 => 0x00,
            2 if self.layout.has_level_2 => LEVEL_2,
            _ => return Err("this part has one level of read-out protection, 1".to_owned()),
        };
        cells.set(self.part.options_place(), &[rdp, !rdp]);
        Ok(())
    }

    pub(super) fn read(&self, offset: u32, cells: &Cells, by_debugger: bool) -> u32 {
        match offset {
            ACR => self.acr,
            // The core never sees the controller busy: it stands still meanwhile.
            SR => self.sr | if by_debugger && cells.busy() { BSY } else { 0 },
            CR => {
                let lock = if self.lock.open() { 0 } else { LOCK };
                self.cr | lock | if self.option_lock.open() { OPTWRE } else { 0 }
            }
            AR => self.ar,
            OBR => {
                let [_, user, data0, data1, ..] = self.loaded;
                let (layout, at) = (self.layout, self.layout.user_at);
                // RDPRT: 1 is level 1, 3 is level 2.
                u32::from(self.option_error)
                    | [0b00, 0b01, 0b11][usize::from(self.level)] << 1
                    | u32::from(user & layout.user_mask) << at
                    | layout.obr_ones
                    | u32::from(data0) << (at + 8)
                    | u32::from(data1) << (at + 16)
            }
            WRPR => {
                let [_, _, _, _, a, b, c, d] = self.loaded;
                u32::from_le_bytes([a, b, c, d])
            }
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
            OPTKEYR if self.lock.open() => self.option_lock.turn(value, KEYS)?,
            SR => self.sr &= !(value & CLEARABLE),
            CR if self.lock.open() => self.control(value, cells, access),
            CR => cells.counters.refused += 1,
            AR => self.ar = value,
            _ => {}
        }
        Ok(())
    }

    fn control(&mut self, value: u32, cells: &mut Cells, access: Access) {
        self.cr = value & !(STRT | LOCK | OPTWRE | self.layout.load);
        if value & self.layout.load != 0 {
            self.reset_requested = true;
        }
        if value & OPTWRE == 0 {
            self.option_lock = Keyhole::Locked;
        }
        if value & LOCK != 0 {
            self.lock = Keyhole::Locked;
            self.option_lock = Keyhole::Locked;
        }
        if value & STRT != 0 {
            let done = self.start(cells, access);
            self.finish(done, cells);
        }
    }

    fn start(&self, cells: &mut Cells, access: Access) -> Result<(), u32> {
        if self.cr & OPTER != 0 {
            if !self.option_lock.open() {
                return Err(WRPRTERR);
            }
            let base = self.part.options_place();
            cells.erase_page(base..base + OPTION_BYTES, self.part.times.page_erase);
            return Ok(());
        }
        if access == Access::Shut {
            return Err(WRPRTERR);
        }
        let pages = self.part.flash_bytes() / self.part.page_bytes;
        if self.cr & MER != 0 {
            if (0..pages).any(|page| self.protects(page)) {
                return Err(WRPRTERR);
            }
            self.mass_erase(cells);
        } else if self.cr & PER != 0 {
            let page = self.ar.wrapping_sub(FLASH_BASE) / self.part.page_bytes;
            if page >= pages || self.protects(page) {
                return Err(WRPRTERR);
            }
            let bytes = self.part.page_bytes as usize;
            let start = page as usize * bytes;
            cells.erase_page(start..start + bytes, self.part.times.page_erase);
        }
        Ok(())
    }

    fn mass_erase(&self, cells: &mut Cells) {
        cells.erase_all(0..self.part.flash_bytes() as usize, self.part.times.mass_erase);
    }

    fn protects(&self, page: u32) -> bool {
        let group = (page / self.layout.pages_per_bit).min(31);
        let byte = self.loaded[4 + group as usize / 8];
        byte >> (group % 8) & 1 == 0
            || self.level > 0 && page < self.layout.pages_protected_with_rdp
    }

    /// A half-word written to flash or to the option bytes, which is offset `place` in the cells.
    pub(super) fn program(
        &mut self,
        place: usize,
        value: u16,
        cells: &mut Cells,
    ) -> Result<(), BusFault> {
        let base = self.part.options_place();
        let done = if place >= base {
            if self.cr & OPTPG == 0 || !self.option_lock.open() {
                cells.counters.refused += 1;
                return Err(BusFault);
            }
            self.program_option(place, value, cells)
        } else {
            if self.cr & PG == 0 {
                cells.counters.refused += 1;
                return Err(BusFault);
            }
            self.program_flash(place, value, cells)
        };
        self.finish(done, cells);
        Ok(())
    }

    fn program_option(&self, place: usize, value: u16, cells: &mut Cells) -> Result<(), u32> {
        if cells.bytes()[place..place + 2] != [0xFF, 0xFF] {
            return Err(PGERR);
        }
        let byte = value as u8;
        if place == self.part.options_place() && self.level == 1 && byte == self.layout.open {
            self.mass_erase(cells);
        }
        cells.set(place, &[byte, !byte]);
        cells.spend(self.part.times.program);
        Ok(())
    }

    fn program_flash(&self, place: usize, value: u16, cells: &mut Cells) -> Result<(), u32> {
        if self.protects(place as u32 / self.part.page_bytes) {
            return Err(WRPRTERR);
        }
        let held = [cells.bytes()[place], cells.bytes()[place + 1]];
        if held != [0xFF, 0xFF] && value != 0 {
            if held != value.to_le_bytes() {
                cells.counters.words_with_lost_bits += 1;
            }
            return Err(PGERR);
        }
        // Power cuts are counted in words; the second half of one is as good as the first.
        if place.is_multiple_of(4) {
            if !cells.allow_word() {
                return Ok(());
            }
            cells.counters.programmed_words += 1;
        }
        cells.set(place, &value.to_le_bytes());
        cells.spend(self.part.times.program);
        Ok(())
    }

    fn finish(&mut self, done: Result<(), u32>, cells: &mut Cells) {
        match done {
            Ok(()) => self.sr |= EOP,
            Err(error) => {
                self.sr |= error;
                cells.counters.refused += 1;
            }
        }
    }
}
