//! The target's own flash routine, run on the target.
//!
//! Takes the routine from probe-rs' target files (CMSIS-Pack flash algorithm functions) and has it
//! called by our own program beside it ([`super::resident`]): calls are posted ahead into a mailbox
//! in RAM, so that the flash never waits for the probe. One call costs one transfer.

use std::ops::Range;
use std::time::Duration;

use probe_rs::config::Target;
use probe_rs::flashing::FlashAlgorithm;
use probe_rs::{Core, MemoryInterface, Session};
use zeroize::Zeroizing;

use super::calls::{Call, Calls, Course, Doing};
use super::classify::classify;
use super::core_state::word;
use super::resident::{JOB_BYTES, Resident, TABLE_BYTES};
use crate::backend::{Progress, Step};
use crate::checksum::Checksum;
use crate::chip::{Chip, ProbeProfile};
use crate::error::FlashError;
use crate::plan::Need;
use crate::sector::{self, Burst, Sector};
use crate::survey::{self, Answers};

/// CMSIS-Pack: what Init and UnInit are told.
const FOR_ERASE: u32 = 1;
const FOR_PROGRAM: u32 = 2;

/// Init and UnInit have no time in the target file.
const INIT_WITHIN: Duration = Duration::from_secs(2);
/// The checksum of one call, and the time it has: a core at 1 MHz takes a third of it.
const CHECKSUM_BYTES: u64 = 64 * 1024;
const CHECKSUM_WITHIN: Duration = Duration::from_secs(3);

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

/// The routine in the chip's RAM, taking calls until [`Routine::leave`].
pub(super) struct Routine<'s> {
    calls: Calls<'s>,
    images: &'s Images,
    page_bytes: u64,
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
        let calls = Calls::begin(core, algorithm, images.resident, during)?;
        let page_bytes = u64::from(algorithm.flash_properties.page_size);
        Ok(Self { calls, images, page_bytes })
    }

    /// Ends the program; the core is halted afterwards.
    pub(super) fn leave(self, during: Step) -> Result<(), FlashError> {
        self.calls.end(during)
    }

    /// The core, for reading memory between two calls.
    pub(super) fn core(&mut self) -> &mut Core<'s> {
        self.calls.core()
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
            self.calls.post(function, [word(address), 0, 0, 0], call, &mut course)?;
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
            while self.calls.writes() >= buffers.len() {
                self.calls.await_one(&mut course)?;
            }
            self.fill(buffer, burst)?;
            let (address, bytes) = (burst.address, burst.bytes.len() as u64);
            let doing = Doing::Write { address, bytes };
            let call = Call { doing, within: self.program_within(bytes), bytes };
            let arguments = [word(address), word(bytes), word(buffer), 0];
            self.calls.post(images.algorithm.pc_program_page, arguments, call, &mut course)?;
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
            self.calls.core().write_32(jobs_at, &jobs).map_err(failed)?;
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
                self.calls.post(images.resident.checksum, arguments, call, &mut course)?;
                first += count;
            }
            self.calls.await_all(&mut course)?;
            let mut done = vec![0; jobs.len()];
            self.calls.core().read_32(jobs_at, &mut done).map_err(failed)?;
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
        self.calls.core().write_32(buffer, &words).map_err(|error| classify(&error, Step::Program))
    }

    /// The routine's Init and UnInit leave the flash beside the chip readable through its window,
    /// which a reset closes.
    pub(super) fn open_window(&mut self, during: Step) -> Result<(), FlashError> {
        self.between(during, |_| Ok(()))
    }

    /// Does something between Init and UnInit: nobody but who does it speaks to the flash.
    pub(super) fn between<T>(
        &mut self,
        during: Step,
        work: impl FnOnce(&mut Core<'s>) -> Result<T, FlashError>,
    ) -> Result<T, FlashError> {
        let silent: &mut dyn FnMut(Progress) = &mut |_| ();
        let mut course = Course::begin(during, 0, silent);
        self.begin(FOR_PROGRAM, &mut course)?;
        self.calls.await_all(&mut course)?;
        let done = work(self.calls.core())?;
        self.end(FOR_PROGRAM, &mut course)?;
        Ok(done)
    }

    fn begin(&mut self, operation: u32, course: &mut Course<'_>) -> Result<(), FlashError> {
        let Some(init) = self.images.algorithm.pc_init else {
            return Ok(());
        };
        let start = word(self.images.algorithm.flash_properties.address_range.start);
        let call = Call { doing: Doing::Init, within: INIT_WITHIN, bytes: 0 };
        self.calls.post(init, [start, 0, operation, 0], call, course)
    }

    fn end(&mut self, operation: u32, course: &mut Course<'_>) -> Result<(), FlashError> {
        if let Some(uninit) = self.images.algorithm.pc_uninit {
            let call = Call { doing: Doing::UnInit, within: INIT_WITHIN, bytes: 0 };
            self.calls.post(uninit, [operation, 0, 0, 0], call, course)?;
        }
        self.calls.await_all(course)
    }
}
