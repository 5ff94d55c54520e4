//! Read-out protection of STM32s, set and taken away through the debug port.
//!
//! Owns the flash controllers' option sequences. Level 1 is set and, at the price of everything in
//! flash, left; level 2 is for ever and is written by nothing here. All other options keep what
//! they were loaded with. What is written takes effect at the reset that follows.
//!
//! Reference manuals, chapter "Embedded flash memory", sections on option bytes and read protection:
//! RM0008 with PM0075 (F1), RM0091 (F0), RM0316 (F3), RM0090 (F4), RM0444 (G0), RM0440 (G4), RM0351
//! (L4).

use std::time::{Duration, Instant};

use probe_rs::{Core, MemoryInterface};

use super::classify::classify;
use crate::backend::Step;
use crate::chip::Readout;
use crate::error::FlashError;

/// Time of a mass erase at most: 2 MiB of an STM32F4 at its lowest supply take 32 s.
const MASS_ERASE_WITHIN: Duration = Duration::from_secs(40);

const KEYS: [u32; 2] = [0x4567_0123, 0xCDEF_89AB];
const OPTION_KEYS: [u32; 2] = [0x0819_2A3B, 0x4C5D_6E7F];

/// What level 1 is written as: neither level 0 nor level 2 of any family.
const LEVEL_1: u32 = 0xBB;
/// Level 0 where it is not a word of the half-word families' own.
const LEVEL_0: u32 = 0xAA;

/// Flash controllers by kind: F0, F1, F3 and G0, G4, L4 at the first place, F4 at the second.
const FLASH: u64 = 0x4002_2000;
const FLASH_F4: u64 = 0x4002_3C00;

/// What to make of the protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Everything can be read and written.
    Open,
    /// Flash shows nothing to a debugger.
    One,
}

/// Whether flash is protected.
pub(super) fn is_protected(core: &mut Core<'_>, readout: Readout) -> Result<bool, probe_rs::Error> {
    Ok(match readout {
        Readout::HalfWords { .. } => {
            core.read_word_32(FLASH + half_words::OBR)? & half_words::RDPRT != 0
        }
        Readout::DoubleWords => core.read_word_32(FLASH + double_words::OPTR)? & 0xFF != LEVEL_0,
        Readout::ControlRegister => {
            core.read_word_32(FLASH_F4 + control_register::OPTCR)? >> 8 & 0xFF != LEVEL_0
        }
    })
}

/// Writes the level; it takes effect at the next reset. Taking level 1 away erases the chip whole.
pub(super) fn write(
    core: &mut Core<'_>,
    readout: Readout,
    level: Level,
    during: Step,
) -> Result<(), FlashError> {
    let failed = |error| classify(&error, during);
    let mut flash = Controller { core, base: FLASH, during };
    match readout {
        Readout::HalfWords { open, user_at } => half_words::write(&mut flash, open, user_at, level),
        Readout::DoubleWords => double_words::write(&mut flash, level),
        Readout::ControlRegister => {
            flash.base = FLASH_F4;
            control_register::write(&mut flash, level)
        }
    }
    .map_err(|stop| match stop {
        Stop::Link(error) => failed(error),
        Stop::Refused(status) => FlashError::Driver {
            during,
            detail: format!("the flash controller refuses the option bytes: {status:#010x}"),
        },
        Stop::Busy => {
            FlashError::CoreStuck { during, detail: "the flash controller stays busy".to_owned() }
        }
    })
}

/// Why a sequence ended.
enum Stop {
    Link(probe_rs::Error),
    /// Its status register.
    Refused(u32),
    Busy,
}

impl From<probe_rs::Error> for Stop {
    fn from(error: probe_rs::Error) -> Self {
        Self::Link(error)
    }
}

struct Controller<'c, 'p> {
    core: &'c mut Core<'p>,
    base: u64,
    during: Step,
}

impl Controller<'_, '_> {
    fn read(&mut self, offset: u64) -> Result<u32, Stop> {
        Ok(self.core.read_word_32(self.base + offset)?)
    }

    fn set(&mut self, offset: u64, value: u32) -> Result<(), Stop> {
        Ok(self.core.write_word_32(self.base + offset, value)?)
    }

    fn turn(&mut self, offset: u64, keys: [u32; 2]) -> Result<(), Stop> {
        keys.into_iter().try_for_each(|key| self.set(offset, key))
    }

    /// Waits for the controller and looks at its error bits.
    fn settle(&mut self, status: u64, busy: u32, errors: u32) -> Result<(), Stop> {
        let begun = Instant::now();
        loop {
            let state = self.read(status)?;
            if state & busy == 0 {
                return if state & errors == 0 { Ok(()) } else { Err(Stop::Refused(state)) };
            }
            if begun.elapsed() > MASS_ERASE_WITHIN {
                tracing::warn!(during = %self.during, "the flash controller stays busy");
                return Err(Stop::Busy);
            }
        }
    }
}

/// F0, F1, F3: eight option bytes with their complements, erased together, written one by one.
mod half_words {
    use super::{Controller, KEYS, LEVEL_1, Level, MemoryInterface, Stop};

    const KEYR: u64 = 0x04;
    const OPTKEYR: u64 = 0x08;
    const SR: u64 = 0x0C;
    const CR: u64 = 0x10;
    pub(super) const OBR: u64 = 0x1C;
    const WRPR: u64 = 0x20;
    pub(super) const RDPRT: u32 = 1 << 1;
    const BSY: u32 = 1;
    const PGERR: u32 = 1 << 2;
    const WRPRTERR: u32 = 1 << 4;
    const EOP: u32 = 1 << 5;
    const OPTPG: u32 = 1 << 4;
    const OPTER: u32 = 1 << 5;
    const STRT: u32 = 1 << 6;
    const LOCK: u32 = 1 << 7;
    const OPTWRE: u32 = 1 << 9;
    const OPTION_BYTES: u64 = 0x1FFF_F800;

    pub(super) fn write(
        flash: &mut Controller<'_, '_>,
        open: u8,
        user_at: u32,
        level: Level,
    ) -> Result<(), Stop> {
        // The bytes themselves cannot be read while the chip is protected; these registers can.
        let loaded = flash.read(OBR)?;
        let write_protection = flash.read(WRPR)?.to_le_bytes();
        let user = (loaded >> user_at) as u8;
        // Two data bytes follow the user options, on F1 after a gap.
        let data = loaded >> (user_at + 8);
        let data = [data as u8, (data >> 8) as u8];
        let rdp = match level {
            Level::Open => open,
            Level::One => LEVEL_1 as u8,
        };
        if flash.read(CR)? & LOCK != 0 {
            flash.turn(KEYR, KEYS)?;
        }
        if flash.read(CR)? & OPTWRE == 0 {
            flash.turn(OPTKEYR, KEYS)?;
        }
        flash.set(SR, PGERR | WRPRTERR | EOP)?;
        flash.set(CR, OPTWRE | OPTER)?;
        flash.set(CR, OPTWRE | OPTER | STRT)?;
        flash.settle(SR, BSY, WRPRTERR)?;
        flash.set(CR, OPTWRE | OPTPG)?;
        let [a, b, c, d] = write_protection;
        for (at, byte) in (0..).zip([rdp, user, data[0], data[1], a, b, c, d]) {
            // An erased pair reads as all ones already.
            if byte != 0xFF {
                let pair = u16::from_le_bytes([byte, !byte]);
                flash.core.write_word_16(OPTION_BYTES + 2 * at, pair)?;
                flash.settle(SR, BSY, PGERR | WRPRTERR)?;
            }
        }
        flash.set(CR, LOCK)
    }
}

/// G0, G4, L4: option registers that are stored together.
mod double_words {
    use super::{Controller, KEYS, LEVEL_0, LEVEL_1, Level, OPTION_KEYS, Stop};

    const KEYR: u64 = 0x08;
    const OPTKEYR: u64 = 0x0C;
    const SR: u64 = 0x10;
    const CR: u64 = 0x14;
    pub(super) const OPTR: u64 = 0x20;
    /// BSY1 and, on G0, CFGBSY.
    const BUSY: u32 = 1 << 16 | 1 << 18;
    /// OPERR, PROGERR, WRPERR, PGAERR, SIZERR, PGSERR; cleared by writing ones.
    const ERRORS: u32 = 1 << 1 | 0x1F << 3;
    const OPTSTRT: u32 = 1 << 17;
    const OPTLOCK: u32 = 1 << 30;
    const LOCK: u32 = 1 << 31;

    pub(super) fn write(flash: &mut Controller<'_, '_>, level: Level) -> Result<(), Stop> {
        let rdp = match level {
            Level::Open => LEVEL_0,
            Level::One => LEVEL_1,
        };
        flash.settle(SR, BUSY, 0)?;
        if flash.read(CR)? & LOCK != 0 {
            flash.turn(KEYR, KEYS)?;
        }
        if flash.read(CR)? & OPTLOCK != 0 {
            flash.turn(OPTKEYR, OPTION_KEYS)?;
        }
        flash.set(SR, ERRORS)?;
        let options = flash.read(OPTR)? & !0xFF | rdp;
        flash.set(OPTR, options)?;
        flash.set(CR, OPTSTRT)?;
        flash.settle(SR, BUSY, ERRORS)
    }

    /// OBL_LAUNCH: loads the options, which resets the chip.
    pub(super) const OBL_LAUNCH: u32 = 1 << 27;
    pub(super) const CONTROL: u64 = CR;
}

/// F4: one register with the options in it.
mod control_register {
    use super::{Controller, LEVEL_0, LEVEL_1, Level, OPTION_KEYS, Stop};

    const OPTKEYR: u64 = 0x08;
    const SR: u64 = 0x0C;
    pub(super) const OPTCR: u64 = 0x14;
    const BSY: u32 = 1 << 16;
    const OPTLOCK: u32 = 1;
    const OPTSTRT: u32 = 1 << 1;

    pub(super) fn write(flash: &mut Controller<'_, '_>, level: Level) -> Result<(), Stop> {
        let rdp = match level {
            Level::Open => LEVEL_0,
            Level::One => LEVEL_1,
        };
        flash.settle(SR, BSY, 0)?;
        if flash.read(OPTCR)? & OPTLOCK != 0 {
            flash.turn(OPTKEYR, OPTION_KEYS)?;
        }
        let options = flash.read(OPTCR)? & !(0xFF00 | OPTLOCK | OPTSTRT) | rdp << 8;
        flash.set(OPTCR, options)?;
        flash.set(OPTCR, options | OPTSTRT)?;
        flash.settle(SR, BSY, 0)
    }
}

/// Resets the chip so that it loads what was written. The link may break over it: what the chip
/// says when it is attached to again is what counts.
pub(super) fn reload(core: &mut Core<'_>, readout: Readout) {
    let told = match readout {
        Readout::DoubleWords => {
            core.write_word_32(FLASH + double_words::CONTROL, double_words::OBL_LAUNCH)
        }
        Readout::HalfWords { .. } | Readout::ControlRegister => core.reset(),
    };
    if let Err(error) = told {
        tracing::debug!(%error, "the chip went away while it loaded its options");
    }
}
