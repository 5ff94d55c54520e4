//! The target's own flash routine, run on the target.
//!
//! Takes the routine from probe-rs' target files (CMSIS-Pack flash algorithm functions) and calls
//! it with as few transfers as the core's debug registers allow: a call costs about fifteen, so a
//! call programs as much as fits the buffer, and the next buffer is filled while the chip works.
//!
//! Debug registers: Armv7-M Architecture Reference Manual, section C1.6.

use std::time::{Duration, Instant};

use probe_rs::config::Target;
use probe_rs::flashing::FlashAlgorithm;
use probe_rs::{Core, MemoryInterface, Session};
use zeroize::Zeroizing;

use super::classify::classify;
use crate::backend::{Progress, Step};
use crate::chip::{Chip, ProbeProfile};
use crate::error::FlashError;
use crate::plan::{self, Burst, Need, Sector};

const DHCSR: u64 = 0xE000_EDF0;
const DCRSR: u64 = 0xE000_EDF4;
const DCRDR: u64 = 0xE000_EDF8;
const DFSR: u64 = 0xE000_ED30;
const DFSR_ALL: u32 = 0x1F;
const DHCSR_RUN: u32 = 0xA05F_0001; // DBGKEY, C_DEBUGEN
const S_REGRDY: u32 = 1 << 16;
const S_HALT: u32 = 1 << 17;
const S_LOCKUP: u32 = 1 << 19;
const DCRSR_WRITE: u32 = 1 << 16;

/// Core register numbers in DCRSR.
const R0: u32 = 0;
const R9: u32 = 9;
const SP: u32 = 13;
const LR: u32 = 14;
const PC: u32 = 15;

/// CMSIS-Pack: what Init and UnInit are told.
const FOR_ERASE: u32 = 1;
const FOR_PROGRAM: u32 = 2;

/// Init and UnInit have no time in the target file.
const INIT_WITHIN: Duration = Duration::from_secs(2);

/// The routine laid out in the target's RAM.
pub(super) struct Images {
    algorithm: FlashAlgorithm,
}

impl Images {
    /// Lays out the target's default routine for this profile.
    pub(super) fn assemble(
        target: &Target,
        chip: &Chip,
        profile: &ProbeProfile,
    ) -> Result<Self, FlashError> {
        let start = chip.flash_start();
        let unfit = |detail: &str| FlashError::Driver {
            during: Step::Identify,
            detail: format!("{detail} for {}", chip.name),
        };
        let fitting = || {
            target
                .flash_algorithms
                .iter()
                .filter(|raw| raw.flash_properties.address_range.contains(&start))
        };
        let mut raw = fitting()
            .find(|raw| raw.default)
            .or_else(|| fitting().next())
            .ok_or_else(|| unfit("no flash routine"))?
            .clone();
        if raw.transfer_encoding.unwrap_or_default() != Default::default() {
            return Err(unfit("the flash routine wants packed data"));
        }
        if profile.program_bytes_max != 0 {
            raw.flash_properties.page_size = profile.program_bytes_max;
        }
        let core = target.cores.first().ok_or_else(|| unfit("no core"))?;
        let mut algorithm = FlashAlgorithm::assemble_from_raw_with_core(&raw, &core.name, target)
            .map_err(|error| classify(&error, Step::Identify))?;
        if !profile.double_buffering {
            algorithm.page_buffers.truncate(1);
        }
        Ok(Self { algorithm })
    }
}

/// The routine, loaded and ready to be called. The core is halted between calls.
pub(super) struct Routine<'s> {
    core: Core<'s>,
    algorithm: &'s FlashAlgorithm,
    page_bytes: u64,
}

impl<'s> Routine<'s> {
    /// Puts the routine into the halted target's RAM and checks that it arrived.
    pub(super) fn load(
        session: &'s mut Session,
        images: &'s Images,
        chip: &Chip,
    ) -> Result<Self, FlashError> {
        let failed = |error| classify(&error, Step::Program);
        let algorithm = &images.algorithm;
        let mut core = session.core(0).map_err(failed)?;
        core.write_32(algorithm.load_address, &algorithm.instructions).map_err(failed)?;
        let mut arrived = vec![0; algorithm.instructions.len()];
        core.read_32(algorithm.load_address, &mut arrived).map_err(failed)?;
        if arrived != algorithm.instructions {
            return Err(FlashError::Driver {
                during: Step::Program,
                detail: format!("RAM of {} does not hold what was written", chip.name),
            });
        }
        Ok(Self { core, algorithm, page_bytes: u64::from(algorithm.flash_properties.page_size) })
    }

    /// Erases the sectors that need it.
    pub(super) fn erase(
        &mut self,
        sectors: &[Sector],
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FlashError> {
        let dirty: Vec<&Sector> = sectors.iter().filter(|s| s.need == Need::Erasing).collect();
        if dirty.is_empty() {
            return Ok(());
        }
        let step = Step::Erase;
        let total_bytes = dirty.iter().map(|sector| sector.bytes()).sum();
        let mut done_bytes = 0;
        on_progress(Progress { step, done_bytes, total_bytes });
        self.begin(FOR_ERASE, step)?;
        let within = self.algorithm.flash_properties.erase_sector_timeout;
        let within = Duration::from_millis(u64::from(within));
        for sector in dirty {
            let address = sector.address;
            self.start(self.algorithm.pc_erase_sector, &[word(address)], false, step)?;
            let code = self.finish(within, step)?;
            if code != 0 {
                return Err(FlashError::EraseFailed { address, code });
            }
            done_bytes += sector.bytes();
            on_progress(Progress { step, done_bytes, total_bytes });
        }
        self.end(FOR_ERASE, step)
    }

    /// Writes what changes and says how many bytes that were.
    pub(super) fn write(
        &mut self,
        sectors: &[Sector],
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<u64, FlashError> {
        let bursts = plan::bursts(sectors, usize::try_from(self.page_bytes).unwrap_or(0));
        let step = Step::Program;
        let total_bytes = bursts.iter().map(|burst| burst.bytes.len() as u64).sum();
        let Some(first) = bursts.first() else {
            return Ok(0);
        };
        let buffers = &self.algorithm.page_buffers;
        let mut done_bytes = 0;
        on_progress(Progress { step, done_bytes, total_bytes });
        self.begin(FOR_PROGRAM, step)?;
        self.fill(buffers[0], first)?;
        for (index, burst) in bursts.iter().enumerate() {
            let bytes = burst.bytes.len() as u64;
            let buffer = buffers[index % buffers.len()];
            let arguments = [word(burst.address), word(bytes), word(buffer)];
            self.start(self.algorithm.pc_program_page, &arguments, false, step)?;
            let next = bursts.get(index + 1);
            let next_buffer = buffers[(index + 1) % buffers.len()];
            if let (Some(next), true) = (next, buffers.len() > 1) {
                self.fill(next_buffer, next)?;
            }
            let code = self.finish(self.program_within(bytes), step)?;
            if code != 0 {
                let address = burst.address;
                return Err(FlashError::WriteFailed { address, bytes, code });
            }
            if let (Some(next), true) = (next, buffers.len() == 1) {
                self.fill(next_buffer, next)?;
            }
            done_bytes += bytes;
            on_progress(Progress { step, done_bytes, total_bytes });
        }
        self.end(FOR_PROGRAM, step)?;
        Ok(total_bytes)
    }

    /// The target file's time is for one of its own pages, which are 4 KiB or less.
    fn program_within(&self, bytes: u64) -> Duration {
        let per_page = u64::from(self.algorithm.flash_properties.program_page_timeout);
        Duration::from_millis(per_page * (1 + bytes / 1024))
    }

    fn fill(&mut self, buffer: u64, burst: &Burst) -> Result<(), FlashError> {
        let mut words = Zeroizing::new(Vec::with_capacity(burst.bytes.len() / 4));
        words.extend(
            burst.bytes.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])),
        );
        self.core.write_32(buffer, &words).map_err(|error| classify(&error, Step::Program))
    }

    fn begin(&mut self, operation: u32, step: Step) -> Result<(), FlashError> {
        let Some(init) = self.algorithm.pc_init else {
            return Ok(());
        };
        let start = word(self.algorithm.flash_properties.address_range.start);
        self.start(init, &[start, 0, operation], true, step)?;
        self.expect_zero("Init", step)
    }

    fn end(&mut self, operation: u32, step: Step) -> Result<(), FlashError> {
        let Some(uninit) = self.algorithm.pc_uninit else {
            return Ok(());
        };
        self.start(uninit, &[operation], false, step)?;
        self.expect_zero("UnInit", step)
    }

    fn expect_zero(&mut self, function: &str, during: Step) -> Result<(), FlashError> {
        match self.finish(INIT_WITHIN, during)? {
            0 => Ok(()),
            code => {
                let detail = format!("{function} of the flash routine answered {code}");
                Err(FlashError::Driver { during, detail })
            }
        }
    }

    /// Sets the registers and lets the core run.
    fn start(
        &mut self,
        function: u64,
        arguments: &[u32],
        first: bool,
        during: Step,
    ) -> Result<(), FlashError> {
        let algorithm = self.algorithm;
        let mut registers: Vec<(u32, u32)> = (R0..).zip(arguments.iter().copied()).collect();
        registers.push((PC, word(function) & !1));
        // Return to the breakpoint that stands in front of the routine, in Thumb state.
        registers.push((LR, word(algorithm.load_address) | 1));
        if first {
            registers.push((R9, word(algorithm.static_base)));
            registers.push((SP, word(algorithm.stack_top)));
        }
        let failed = |error| classify(&error, during);
        for (register, value) in registers {
            self.core.write_word_32(DCRDR, value).map_err(failed)?;
            self.core.write_word_32(DCRSR, DCRSR_WRITE | register).map_err(failed)?;
        }
        // A halted core takes a register in a few cycles, a transfer lasts hundreds: one look at
        // the end is enough to know that they all went through.
        self.wait_for_register(during)?;
        self.core.write_word_32(DHCSR, DHCSR_RUN).map_err(failed)
    }

    /// Waits until the routine is back at the breakpoint and fetches its answer.
    fn finish(&mut self, within: Duration, during: Step) -> Result<u32, FlashError> {
        let failed = |error| classify(&error, during);
        let begun = Instant::now();
        loop {
            let state = self.core.read_word_32(DHCSR).map_err(failed)?;
            if state & S_LOCKUP != 0 {
                return Err(stuck("the core locked up", during));
            }
            if state & S_HALT != 0 {
                break;
            }
            if begun.elapsed() > within {
                return Err(stuck("the flash routine did not come back", during));
            }
        }
        self.core.write_word_32(DCRSR, R0).map_err(failed)?;
        self.wait_for_register(during)?;
        self.core.read_word_32(DCRDR).map_err(failed)
    }

    fn wait_for_register(&mut self, during: Step) -> Result<(), FlashError> {
        let begun = Instant::now();
        loop {
            let state = self.core.read_word_32(DHCSR).map_err(|error| classify(&error, during))?;
            if state & S_REGRDY != 0 {
                return Ok(());
            }
            if begun.elapsed() > INIT_WITHIN {
                return Err(stuck("a core register stays busy", during));
            }
        }
    }
}

/// Forgets why the core halted before. A breakpoint remembered across a reset would make probe-rs
/// read the instruction under a program counter that the flashed image may set to any value.
pub(super) fn forget_halts(core: &mut Core<'_>) -> Result<(), probe_rs::Error> {
    core.write_word_32(DFSR, DFSR_ALL)
}

/// Fails if a core that should run has locked up or does not answer.
pub(super) fn check_running(core: &mut Core<'_>) -> Result<(), FlashError> {
    let during = Step::SelfTest;
    let state = core.read_word_32(DHCSR).map_err(|error| classify(&error, during))?;
    if state & S_LOCKUP != 0 {
        return Err(stuck("the firmware locked the core up", during));
    }
    Ok(())
}

fn stuck(detail: &str, during: Step) -> FlashError {
    FlashError::CoreStuck { during, detail: detail.to_owned() }
}

/// Addresses and lengths of a Cortex-M are 32 bits wide.
fn word(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
