//! The flash chip beside an RP2040: it holds the board's unique id and says how large it is.
//!
//! The chip's interface to it (SSI: RP2040 Datasheet, 4.10.13) is written and read through the debug
//! port, register by register, as pico-sdk's `flash_do_cmd` does on the core. The flash routine's Init
//! has brought both into the state for that (boot ROM functions `IF` and `EX`, 2.8.3.1.3), its UnInit
//! opens the window again; then a reset starts the board's own program anew.

use std::time::{Duration, Instant};

use probe_rs::{Core, MemoryInterface};

use super::attached::Attached;
use super::classify::classify;
use super::core_state::stuck;
use super::routine::Routine;
use crate::backend::Step;
use crate::error::FlashError;
use crate::identity::Uid;
use crate::plan::Plan;

const SSI_SR: u64 = 0x1800_0028;
/// Receive FIFO not empty.
const SR_RFNE: u32 = 1 << 3;
const SSI_DR0: u64 = 0x1800_0060;
/// IO_QSPI, GPIO_QSPI_SS_CTRL (2.19.6.2): OUTOVER drives the flash's chip select.
const SS_CTRL: u64 = 0x4001_800C;
const OUTOVER: u32 = 3 << 8;
const DRIVEN_LOW: u32 = 2 << 8;
const DRIVEN_HIGH: u32 = 3 << 8;

/// Entries of the interface's FIFOs: a command with its answer is shorter than that.
const FIFO: usize = 16;
/// The whole command takes microseconds.
const ANSWER_WITHIN: Duration = Duration::from_millis(200);

/// Commands as every maker of serial flash has them: unique id after four bytes of nothing, and
/// JEDEC's maker, type and size as a power of two.
const UNIQUE_ID: u8 = 0x4B;
const UNIQUE_ID_AT: usize = 1 + 4;
const UNIQUE_ID_BYTES: usize = 8;
const JEDEC_ID: u8 = 0x9F;
const SIZE_AT: usize = 3;
/// 64 KiB to 16 MiB, all that three bytes of address reach.
const SIZES: std::ops::RangeInclusive<u8> = 16..=24;

impl Attached {
    /// The part with the size of its flash, and the unique id. The board's program starts anew.
    pub(super) fn ask_external_flash(
        &mut self,
        part: String,
    ) -> Result<(String, Option<Uid>), FlashError> {
        let during = Step::Identify;
        self.halt(during)?;
        let mut routine = Routine::load(&mut self.session, &self.images, self.chip, during)?;
        let told = routine.between(during, |core| {
            let mut ask = |code, bytes| {
                let first = command(core, code, bytes, during)?;
                // A code is bound to these bytes for ever: they are read twice.
                if first == command(core, code, bytes, during)? {
                    return Ok(first);
                }
                let detail = "the flash answered differently the second time".to_owned();
                Err(FlashError::LineNoise { during, detail })
            };
            let jedec = ask(JEDEC_ID, SIZE_AT + 1)?;
            Ok((jedec[SIZE_AT], ask(UNIQUE_ID, UNIQUE_ID_AT + UNIQUE_ID_BYTES)?))
        });
        let left = routine.leave(during);
        let (size, uid) = told.and_then(|told| left.map(|()| told))?;
        self.external_bytes = SIZES.contains(&size).then(|| 1 << size);
        self.run()?;
        let uid = Uid::new(uid[UNIQUE_ID_AT..].to_vec())?;
        let part = match self.external_bytes {
            Some(bytes) => format!("{part}, {} KiB", bytes / 1024),
            None => part,
        };
        Ok((part, Some(uid)))
    }

    /// Refuses a plan that the flash found is too small for.
    pub(super) fn check_external_flash(&self, plan: &Plan<'_>) -> Result<(), FlashError> {
        let Some(bytes) = self.external_bytes else { return Ok(()) };
        let start = self.chip.flash_start();
        let end = plan.sectors().iter().map(|span| span.end - start).max().unwrap_or(0);
        if end <= bytes {
            return Ok(());
        }
        let name = self.chip.name;
        Err(FlashError::WrongChip {
            wanted: format!("{name} with {} KiB of flash", end.div_ceil(1024)),
            found: format!("{name} with {} KiB of flash", bytes / 1024),
        })
    }

    /// Stops the core, opens the window and reads through it.
    pub(super) fn read_through_window(
        &mut self,
        address: u64,
        words: &mut [u32],
        during: Step,
    ) -> Result<(), FlashError> {
        self.halt(during)?;
        let mut routine = Routine::load(&mut self.session, &self.images, self.chip, during)?;
        routine.open_window(during)?;
        let read = routine.core().read_32(address, words).map_err(|error| classify(&error, during));
        let left = routine.leave(during);
        read.and(left)
    }
}

/// Sends a command and as many bytes of nothing as its answer has; the whole answer.
fn command(
    core: &mut Core<'_>,
    code: u8,
    bytes: usize,
    during: Step,
) -> Result<Vec<u8>, FlashError> {
    let failed = |error| classify(&error, during);
    let pin = core.read_word_32(SS_CTRL).map_err(failed)? & !OUTOVER;
    for _ in 0..FIFO {
        if core.read_word_32(SSI_SR).map_err(failed)? & SR_RFNE == 0 {
            break;
        }
        core.read_word_32(SSI_DR0).map_err(failed)?;
    }
    core.write_word_32(SS_CTRL, pin | DRIVEN_LOW).map_err(failed)?;
    let sent = std::iter::once(code).chain(std::iter::repeat(0)).take(bytes.min(FIFO));
    for byte in sent {
        core.write_word_32(SSI_DR0, u32::from(byte)).map_err(failed)?;
    }
    let mut answer = Vec::with_capacity(bytes);
    let begun = Instant::now();
    while answer.len() < bytes.min(FIFO) {
        if core.read_word_32(SSI_SR).map_err(failed)? & SR_RFNE != 0 {
            answer.push(core.read_word_32(SSI_DR0).map_err(failed)? as u8);
        } else if begun.elapsed() > ANSWER_WITHIN {
            return Err(stuck("the interface to the flash does not answer", during));
        }
    }
    core.write_word_32(SS_CTRL, pin | DRIVEN_HIGH).map_err(failed)?;
    Ok(answer)
}
