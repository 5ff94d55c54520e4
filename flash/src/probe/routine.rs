//! The target's own flash routine, run on the target.
//!
//! Takes the routine from probe-rs' target files (CMSIS-Pack flash algorithm functions) and has it
//! called by our own program beside it ([`super::resident`]): calls are posted ahead into a mailbox
//! in RAM, so that the flash never waits for the probe. One call costs one transfer.
//!
//! Debug registers: Armv7-M Architecture Reference Manual, section C1.6.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use probe_rs::config::Target;
use probe_rs::flashing::FlashAlgorithm;
use probe_rs::{Core, MemoryInterface, Session};
use zeroize::Zeroizing;

use super::classify::classify;
use super::resident::{JOB_BYTES, Resident, SLOTS, TABLE_BYTES};
use crate::backend::{Progress, Step};
use crate::checksum::Checksum;
use crate::chip::{Chip, ProbeProfile};
use crate::error::FlashError;
use crate::plan::Need;
use crate::sector::{self, Burst, Sector};
use crate::survey::{self, Answers};

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
/// The checksum of one call, and the time it has: a core at 1 MHz takes a third of it.
const CHECKSUM_BYTES: u64 = 64 * 1024;
const CHECKSUM_WITHIN: Duration = Duration::from_secs(3);
/// Between two looks at a chip that has another call waiting behind the running one.
const LOOK_PAUSE: Duration = Duration::from_millis(4);
/// The core's own state is looked at every so many looks at the mailbox.
const LOOKS_PER_STATE: u32 = 8;

/// The routine laid out in the target's RAM.
pub(super) struct Images {
    algorithm: FlashAlgorithm,
    resident: Resident,
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
        Resident::append(&mut raw);
        let core = target.cores.first().ok_or_else(|| unfit("no core"))?;
        let mut algorithm = FlashAlgorithm::assemble_from_raw_with_core(&raw, &core.name, target)
            .map_err(|error| classify(&error, Step::Identify))?;
        if !profile.double_buffering {
            algorithm.page_buffers.truncate(1);
        }
        let resident = Resident::find(&algorithm).ok_or_else(|| unfit("no room"))?;
        Ok(Self { algorithm, resident })
    }
}

/// What a posted call does, as errors name it.
#[derive(Debug, Clone, Copy)]
enum Doing {
    Init,
    UnInit,
    Erase { address: u64 },
    Write { address: u64, bytes: u64 },
    Checksum,
}

/// A call that was posted and is not known to be done.
struct Call {
    doing: Doing,
    /// The time it has once it runs.
    within: Duration,
    /// What it adds to the progress of its step.
    bytes: u64,
}

/// How far a step is.
struct Course<'p> {
    on_progress: &'p mut dyn FnMut(Progress),
    at: Progress,
}

impl<'p> Course<'p> {
    fn begin(step: Step, total_bytes: u64, on_progress: &'p mut dyn FnMut(Progress)) -> Self {
        let at = Progress { step, done_bytes: 0, total_bytes };
        on_progress(at);
        Self { on_progress, at }
    }

    fn advance(&mut self, bytes: u64) {
        if bytes > 0 {
            self.at.done_bytes += bytes;
            (self.on_progress)(self.at);
        }
    }
}

/// The routine in the chip's RAM, taking calls until [`Routine::leave`].
pub(super) struct Routine<'s> {
    core: Core<'s>,
    images: &'s Images,
    page_bytes: u64,
    calls: VecDeque<Call>,
    /// Number of the last call posted.
    posted: u32,
    /// Since when the first of `calls` is running.
    since: Instant,
    looks: u32,
}

impl<'s> Routine<'s> {
    /// Puts the routine into the halted target's RAM, checks that it arrived, and starts it.
    pub(super) fn load(
        session: &'s mut Session,
        images: &'s Images,
        chip: &Chip,
        during: Step,
    ) -> Result<Self, FlashError> {
        let failed = |error| classify(&error, during);
        let algorithm = &images.algorithm;
        let mut core = session.core(0).map_err(failed)?;
        core.write_32(algorithm.load_address, &algorithm.instructions).map_err(failed)?;
        let mut arrived = vec![0; algorithm.instructions.len()];
        core.read_32(algorithm.load_address, &mut arrived).map_err(failed)?;
        if arrived != algorithm.instructions {
            return Err(FlashError::LineNoise {
                during,
                detail: format!("RAM of {} does not hold what was written", chip.name),
            });
        }
        let mut routine = Self {
            core,
            images,
            page_bytes: u64::from(algorithm.flash_properties.page_size),
            calls: VecDeque::new(),
            posted: 0,
            since: Instant::now(),
            looks: 0,
        };
        routine.start(during)?;
        Ok(routine)
    }

    /// Ends the program; the core halts at the breakpoint in front of the routine.
    pub(super) fn leave(mut self, during: Step) -> Result<(), FlashError> {
        self.write_slot(0, [0; 4], during)?;
        let begun = Instant::now();
        while self.state(during)? & S_HALT == 0 {
            if begun.elapsed() > INIT_WITHIN {
                return Err(stuck("the flash routine did not come back", during));
            }
        }
        Ok(())
    }

    /// The core, for reading memory between two calls.
    pub(super) fn core(&mut self) -> &mut Core<'s> {
        &mut self.core
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
        let total_bytes = dirty.iter().map(|sector| sector.bytes()).sum();
        let mut course = Course::begin(Step::Erase, total_bytes, on_progress);
        self.begin(FOR_ERASE, &mut course)?;
        let within = self.images.algorithm.flash_properties.erase_sector_timeout;
        let within = Duration::from_millis(u64::from(within));
        for sector in dirty {
            let address = sector.range.start;
            let call = Call { doing: Doing::Erase { address }, within, bytes: sector.bytes() };
            let function = self.images.algorithm.pc_erase_sector;
            self.post(function, [word(address), 0, 0, 0], call, &mut course)?;
        }
        self.end(FOR_ERASE, &mut course)
    }

    /// Writes what changes and says how many bytes that were.
    pub(super) fn write(
        &mut self,
        sectors: &[Sector],
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<u64, FlashError> {
        let bursts = sector::bursts(sectors, usize::try_from(self.page_bytes).unwrap_or(0));
        if bursts.is_empty() {
            return Ok(0);
        }
        let total_bytes = bursts.iter().map(|burst| burst.bytes.len() as u64).sum();
        let mut course = Course::begin(Step::Program, total_bytes, on_progress);
        self.begin(FOR_PROGRAM, &mut course)?;
        let images = self.images;
        let buffers = &images.algorithm.page_buffers;
        for (index, burst) in bursts.iter().enumerate() {
            let buffer = buffers[index % buffers.len()];
            while self.writes() >= buffers.len() {
                self.await_one(&mut course)?;
            }
            self.fill(buffer, burst)?;
            let (address, bytes) = (burst.address, burst.bytes.len() as u64);
            let doing = Doing::Write { address, bytes };
            let call = Call { doing, within: self.program_within(bytes), bytes };
            let arguments = [word(address), word(bytes), word(buffer), 0];
            self.post(images.algorithm.pc_program_page, arguments, call, &mut course)?;
        }
        self.end(FOR_PROGRAM, &mut course)?;
        Ok(total_bytes)
    }

    /// Room for this many checksum jobs; 0 = the chip cannot be asked.
    pub(super) fn jobs_max(&self) -> usize {
        let buffers = self.images.algorithm.page_buffers.len() as u64;
        let room = (buffers * self.page_bytes).saturating_sub(TABLE_BYTES) / JOB_BYTES;
        usize::try_from(room).unwrap_or(0)
    }

    /// Has the chip compute the checksums of some stretches, in order.
    pub(super) fn checksums(
        &mut self,
        step: Step,
        stretches: &[Range<u64>],
        checksum: &Checksum,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Answers, FlashError> {
        let failed = |error| classify(&error, step);
        let total_bytes = stretches.iter().map(|stretch| stretch.end - stretch.start).sum();
        let mut course = Course::begin(step, total_bytes, on_progress);
        let images = self.images;
        let table = images.algorithm.page_buffers[0];
        let jobs_at = table + TABLE_BYTES;
        let mut answers = Answers::new();
        for batch in stretches.chunks(self.jobs_max().max(1)) {
            let jobs: Vec<u32> = batch
                .iter()
                .flat_map(|stretch| [word(stretch.start), word(stretch.end - stretch.start)])
                .collect();
            self.core.write_32(jobs_at, &jobs).map_err(failed)?;
            let mut first = 0;
            while first < batch.len() {
                let mut bytes = 0;
                let count = batch[first..]
                    .iter()
                    .take_while(|stretch| {
                        let fits = bytes < CHECKSUM_BYTES;
                        bytes += if fits { stretch.end - stretch.start } else { 0 };
                        fits
                    })
                    .count();
                let at = jobs_at + JOB_BYTES * first as u64;
                let arguments = [word(at), word(count as u64), word(table), checksum.reflected()];
                let call = Call { doing: Doing::Checksum, within: CHECKSUM_WITHIN, bytes };
                self.post(images.resident.checksum, arguments, call, &mut course)?;
                first += count;
            }
            self.await_all(&mut course)?;
            let mut done = vec![0; jobs.len()];
            self.core.read_32(jobs_at, &mut done).map_err(failed)?;
            answers.extend(
                batch
                    .iter()
                    .zip(done.chunks(2))
                    .map(|(stretch, job)| (survey::key(stretch), job[0])),
            );
        }
        Ok(answers)
    }

    /// The target file's time is for one of its own pages, which are 4 KiB or less.
    fn program_within(&self, bytes: u64) -> Duration {
        let per_page = self.images.algorithm.flash_properties.program_page_timeout;
        Duration::from_millis(u64::from(per_page) * (1 + bytes / 1024))
    }

    fn fill(&mut self, buffer: u64, burst: &Burst) -> Result<(), FlashError> {
        let mut words = Zeroizing::new(Vec::with_capacity(burst.bytes.len() / 4));
        words.extend(
            burst.bytes.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])),
        );
        self.core.write_32(buffer, &words).map_err(|error| classify(&error, Step::Program))
    }

    fn begin(&mut self, operation: u32, course: &mut Course<'_>) -> Result<(), FlashError> {
        let Some(init) = self.images.algorithm.pc_init else {
            return Ok(());
        };
        let start = word(self.images.algorithm.flash_properties.address_range.start);
        let call = Call { doing: Doing::Init, within: INIT_WITHIN, bytes: 0 };
        self.post(init, [start, 0, operation, 0], call, course)
    }

    fn end(&mut self, operation: u32, course: &mut Course<'_>) -> Result<(), FlashError> {
        if let Some(uninit) = self.images.algorithm.pc_uninit {
            let call = Call { doing: Doing::UnInit, within: INIT_WITHIN, bytes: 0 };
            self.post(uninit, [operation, 0, 0, 0], call, course)?;
        }
        self.await_all(course)
    }

    /// Posts a call behind those that wait; waits itself while the mailbox is full.
    fn post(
        &mut self,
        function: u64,
        arguments: [u32; 4],
        call: Call,
        course: &mut Course<'_>,
    ) -> Result<(), FlashError> {
        while self.calls.len() >= SLOTS as usize {
            self.await_one(course)?;
        }
        // Thumb state.
        self.write_slot(word(function) | 1, arguments, course.at.step)?;
        if self.calls.is_empty() {
            self.since = Instant::now();
        }
        self.calls.push_back(call);
        Ok(())
    }

    /// One transfer; the number comes last, and with it the call is posted.
    fn write_slot(
        &mut self,
        function: u32,
        [a, b, c, d]: [u32; 4],
        during: Step,
    ) -> Result<(), FlashError> {
        self.posted += 1;
        let slot = self.images.resident.slot(self.posted);
        let words = [function, a, b, c, d, self.posted];
        self.core.write_32(slot, &words).map_err(|error| classify(&error, during))
    }

    fn writes(&self) -> usize {
        self.calls.iter().filter(|call| matches!(call.doing, Doing::Write { .. })).count()
    }

    fn await_all(&mut self, course: &mut Course<'_>) -> Result<(), FlashError> {
        while !self.calls.is_empty() {
            self.await_one(course)?;
        }
        Ok(())
    }

    /// Waits until at least the first of the posted calls is done.
    fn await_one(&mut self, course: &mut Course<'_>) -> Result<(), FlashError> {
        let during = course.at.step;
        let waiting = self.calls.len();
        while self.calls.len() == waiting && waiting > 0 {
            let mut head = [0; 2];
            self.core
                .read_32(self.images.resident.mailbox, &mut head)
                .map_err(|error| classify(&error, during))?;
            let [done, code] = head;
            let known = self.posted - u32::try_from(waiting).unwrap_or(0);
            let newly = done.wrapping_sub(known) as usize;
            if newly > waiting {
                let detail = format!("{done} of {} calls are said to be done", self.posted);
                return Err(FlashError::Driver { during, detail });
            }
            for call in self.calls.drain(..newly) {
                course.advance(call.bytes);
                self.since = Instant::now();
            }
            let Some(running) = self.calls.front() else {
                break;
            };
            if code != 0 {
                return Err(refused(running.doing, code, during));
            }
            if newly > 0 {
                break;
            }
            let is_late = self.since.elapsed() > running.within;
            self.looks = self.looks.wrapping_add(1);
            if is_late || self.looks.is_multiple_of(LOOKS_PER_STATE) {
                let state = self.state(during)?;
                if state & S_LOCKUP != 0 {
                    return Err(stuck("the core locked up", during));
                }
                // It may have failed since the mailbox was read.
                if state & S_HALT != 0 {
                    return self.why_halted(during);
                }
                if is_late {
                    return Err(stuck("the flash routine did not come back", during));
                }
            }
            if waiting > 1 {
                pause();
            }
        }
        Ok(())
    }

    /// The program ended by itself: a call failed, or something else stopped the core.
    fn why_halted(&mut self, during: Step) -> Result<(), FlashError> {
        let mut head = [0; 2];
        self.core
            .read_32(self.images.resident.mailbox, &mut head)
            .map_err(|error| classify(&error, during))?;
        match (self.calls.front(), head[1]) {
            (_, 0) | (None, _) => Err(stuck("the core halted in the flash routine", during)),
            (Some(running), code) => Err(refused(running.doing, code, during)),
        }
    }

    /// Sets the registers and lets the core run into the program.
    fn start(&mut self, during: Step) -> Result<(), FlashError> {
        let failed = |error| classify(&error, during);
        let (algorithm, resident) = (&self.images.algorithm, self.images.resident);
        let registers = [
            (R0, word(resident.mailbox)),
            (R9, word(algorithm.static_base)),
            (SP, word(algorithm.stack_top)),
            // Return to the breakpoint that stands in front of the routine, in Thumb state.
            (LR, word(algorithm.load_address) | 1),
            (PC, word(resident.serve) & !1),
        ];
        for (register, value) in registers {
            self.core.write_word_32(DCRDR, value).map_err(failed)?;
            self.core.write_word_32(DCRSR, DCRSR_WRITE | register).map_err(failed)?;
        }
        // A halted core takes a register in a few cycles, a transfer lasts hundreds: one look at
        // the end is enough to know that they all went through.
        let begun = Instant::now();
        while self.state(during)? & S_REGRDY == 0 {
            if begun.elapsed() > INIT_WITHIN {
                return Err(stuck("a core register stays busy", during));
            }
        }
        self.core.write_word_32(DHCSR, DHCSR_RUN).map_err(failed)
    }

    fn state(&mut self, during: Step) -> Result<u32, FlashError> {
        self.core.read_word_32(DHCSR).map_err(|error| classify(&error, during))
    }
}

/// A call that answered something else than 0.
fn refused(doing: Doing, code: u32, during: Step) -> FlashError {
    let function = match doing {
        Doing::Erase { address } => return FlashError::EraseFailed { address, code },
        Doing::Write { address, bytes } => {
            return FlashError::WriteFailed { address, bytes, code };
        }
        Doing::Init => "Init",
        Doing::UnInit => "UnInit",
        Doing::Checksum => "the checksum",
    };
    let detail = format!("{function} of the flash routine answered {code}");
    FlashError::Driver { during, detail }
}

#[allow(clippy::disallowed_methods, reason = "the chip works; every look costs a transfer")]
fn pause() {
    std::thread::sleep(LOOK_PAUSE);
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
