//! One programming pass over an attached chip: what it holds, what is erased and written, and the
//! comparison of every planned byte afterwards.
//!
//! A chip that answers in checksums is asked twice (before and after) and read only where an answer
//! differs; any other is read.

use std::ops::Range;
use std::time::Instant;

use probe_rs::{Core, MemoryInterface};
use zeroize::Zeroizing;

use super::attached::{Attached, ms};
use super::classify::classify;
use super::routine::Routine;
use crate::backend::{ProgramReport, Progress, Step, StepTimes, VerifyReport};
use crate::checksum::Checksum;
use crate::chip::{BackEnd, Region, Verified};
use crate::error::FlashError;
use crate::plan::{self, Difference, Need, Plan};
use crate::sector::Sector;
use crate::survey::{self, Answers, Verdict};

/// Bytes per block read: 64 full answers of a Black Magic Probe (504 bytes each).
const READ_BLOCK_BYTES: u64 = 64 * 504;

impl Attached {
    /// Puts the plan on the chip and compares it.
    pub(super) fn program(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<ProgramReport, FlashError> {
        let begun = Instant::now();
        self.check_external_flash(plan)?;
        self.halt(Step::Survey)?;
        self.with_routine(Step::Survey, |pass| {
            let sectors = pass.survey(plan, on_progress)?;
            let count = |need| {
                u32::try_from(sectors.iter().filter(|s| s.need == need).count()).unwrap_or(u32::MAX)
            };
            let mut report = ProgramReport {
                sectors_equal: count(Need::Nothing),
                sectors_blank: count(Need::Writing),
                sectors_erased: count(Need::Erasing),
                written_bytes: 0,
                verified_bytes: plan.bytes(),
                times: StepTimes { survey_ms: ms(begun), ..StepTimes::default() },
            };
            if sectors.iter().all(|sector| sector.need == Need::Nothing) {
                // The survey has just compared every byte of the plan, and nothing was written.
                return Ok(report);
            }
            let begun = Instant::now();
            pass.routine.erase(&sectors, on_progress)?;
            report.times.erase_ms = ms(begun);
            let begun = Instant::now();
            report.written_bytes = pass.routine.write(&sectors, on_progress)?;
            report.times.program_ms = ms(begun);
            report.times.verify_ms = pass.compare(plan, on_progress)?.verify_ms;
            Ok(report)
        })
    }

    /// Compares the chip with the plan and writes nothing.
    pub(super) fn verify(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport, FlashError> {
        self.halt(Step::Verify)?;
        self.with_routine(Step::Verify, |pass| pass.compare(plan, on_progress))
    }

    /// What the chip reads of its own flash must be what is in it; a reset turns the cache on again.
    fn turn_cache_off(&mut self, during: Step) -> Result<(), FlashError> {
        let Some(cache) = self.chip.cache else {
            return Ok(());
        };
        let mut core = self.core(during)?;
        core.read_word_32(cache.register)
            .and_then(|word| core.write_word_32(cache.register, word & !cache.on))
            .map_err(|error| classify(&error, during))
    }

    /// Runs `work` with the routine in the halted chip's RAM; the core is halted afterwards.
    fn with_routine<T>(
        &mut self,
        during: Step,
        work: impl FnOnce(&mut Pass<'_, '_>) -> Result<T, FlashError>,
    ) -> Result<T, FlashError> {
        self.turn_cache_off(during)?;
        let Self { session, chip, images, checksum, .. } = self;
        let by_checksum =
            chip.way(BackEnd::Probe).is_some_and(|way| way.verified == Verified::CrcOnTarget);
        let mut routine = Routine::load(session, images, chip, during)?;
        if chip.has_external_flash() {
            routine.open_window(during)?;
        }
        let by_checksum = (by_checksum && routine.jobs_max() > 0).then_some(&*checksum);
        let mut pass = Pass { routine, checksum: by_checksum };
        let done = work(&mut pass);
        match done {
            // With the link gone, nothing more is said to it.
            Err(FlashError::Silent { .. } | FlashError::ProbeLost { .. }) => done,
            Err(_) => {
                // The first failure is what happened; a core that cannot be stopped changes nothing.
                if let Err(error) = pass.routine.leave(during) {
                    tracing::debug!(%error, "the flash routine was left as it is");
                }
                done
            }
            Ok(_) => pass.routine.leave(during).and(done),
        }
    }
}

/// The routine of a pass, and how the chip is asked what it holds.
struct Pass<'s, 'c> {
    routine: Routine<'s>,
    /// By checksums, where the chip can.
    checksum: Option<&'c Checksum>,
}

impl Pass<'_, '_> {
    /// What every sector of the plan needs.
    fn survey(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Sector>, FlashError> {
        let step = Step::Survey;
        let spans = plan.sectors();
        let Some(checksum) = self.checksum else {
            let stretches = plan::join(spans.iter().cloned());
            let mut held = blank_copies(&spans);
            read(self.routine.core(), step, &stretches, on_progress, &mut |address, block| {
                keep(&spans, &mut held, address, block);
            })?;
            return Ok(spans
                .iter()
                .zip(&held)
                .filter_map(|(span, held)| {
                    Some(Sector::judge(plan, region(plan, span)?, span.start, held))
                })
                .collect());
        };
        let asked = survey::questions(plan, &spans);
        let answers = self.routine.checksums(step, &asked, checksum, on_progress)?;
        let mut sectors = Vec::with_capacity(spans.len());
        for span in &spans {
            let Some(region) = region(plan, span) else {
                continue;
            };
            sectors.push(match survey::judge(plan, region, span, &answers, checksum) {
                Verdict::Known(sector) => sector,
                Verdict::Mixed => {
                    let held = self.read_sector(span, &answers, checksum)?;
                    Sector::judge(plan, region, span.start, &held)
                }
            });
        }
        Ok(sectors)
    }

    /// Reads a sector whose other bytes are kept: what is read is what will be written back, so it
    /// must be what the chip itself found there.
    fn read_sector(
        &mut self,
        span: &Range<u64>,
        answers: &Answers,
        checksum: &Checksum,
    ) -> Result<Zeroizing<Vec<u8>>, FlashError> {
        let spans = std::slice::from_ref(span);
        for _ in 0..2 {
            let mut held = blank_copies(spans);
            let keep = &mut |address, block: &[u8]| keep(spans, &mut held, address, block);
            read(self.routine.core(), Step::Survey, spans, &mut |_| (), keep)?;
            if let Some(held) = held.pop()
                && survey::agrees(span, &held, answers, checksum)
            {
                return Ok(held);
            }
        }
        let detail = format!("the sector at {:#010x} read otherwise than it is", span.start);
        Err(FlashError::LineNoise { during: Step::Survey, detail })
    }

    /// Compares every planned byte. A stretch whose checksum differs is read, so that the first
    /// byte that differs is named.
    fn compare(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport, FlashError> {
        let begun = Instant::now();
        let done = || VerifyReport { verified_bytes: plan.bytes(), verify_ms: ms(begun) };
        let Some(checksum) = self.checksum else {
            self.differences(plan, &plan.stretches(), on_progress)?;
            return Ok(done());
        };
        let expected = survey::expected(plan, checksum);
        let mut suspects: Vec<Range<u64>> =
            expected.iter().map(|(stretch, _)| stretch.clone()).collect();
        // Asked once more, a stretch that only a disturbed transfer made look wrong is right.
        for _ in 0..2 {
            let answers = self.routine.checksums(Step::Verify, &suspects, checksum, on_progress)?;
            suspects = expected
                .iter()
                .filter(|(stretch, wanted)| {
                    answers.get(&survey::key(stretch)).is_some_and(|found| found != wanted)
                })
                .map(|(stretch, _)| stretch.clone())
                .collect();
            if suspects.is_empty() {
                return Ok(done());
            }
            let words = suspects.iter().map(|s| (s.start & !3)..((s.end + 3) & !3));
            self.differences(plan, &plan::join(words), on_progress)?;
        }
        let (first, count) = (suspects[0].start, suspects.len());
        Err(FlashError::LineNoise {
            during: Step::Verify,
            detail: format!(
                "{count} stretches, the first at {first:#010x}, read as planned but not for the chip itself"
            ),
        })
    }

    /// Reads stretches and fails at the first byte that is not as planned.
    fn differences(
        &mut self,
        plan: &Plan<'_>,
        stretches: &[Range<u64>],
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FlashError> {
        let mut look = || -> Result<Option<Difference>, FlashError> {
            let mut differences: Option<Difference> = None;
            let core = self.routine.core();
            read(core, Step::Verify, stretches, on_progress, &mut |address, block| {
                if let Some(found) = plan.compare(address, block) {
                    let first = differences.get_or_insert(Difference { bytes: 0, ..found });
                    first.bytes += found.bytes;
                }
            })?;
            Ok(differences)
        };
        let Some(first) = look()? else {
            return Ok(());
        };
        // A flipped bit on the wire is not one in the chip: what differs is read once more.
        match look()? {
            Some(Difference { address, bytes, wanted, found }) => {
                Err(FlashError::VerifyDiffered { address, bytes, wanted, found })
            }
            None => Err(FlashError::LineNoise {
                during: Step::Verify,
                detail: format!(
                    "{} bytes from {:#010x} read wrong once and right once",
                    first.bytes, first.address
                ),
            }),
        }
    }
}

fn region<'p>(plan: &'p Plan<'_>, span: &Range<u64>) -> Option<&'p Region> {
    plan.chip().region_of(span.start, span.end - span.start)
}

fn blank_copies(spans: &[Range<u64>]) -> Vec<Zeroizing<Vec<u8>>> {
    spans
        .iter()
        .map(|span| Zeroizing::new(vec![0; usize::try_from(span.end - span.start).unwrap_or(0)]))
        .collect()
}

/// Puts a block that was read into the copies of the sectors it belongs to.
fn keep(spans: &[Range<u64>], held: &mut [Zeroizing<Vec<u8>>], address: u64, block: &[u8]) {
    let end = address + block.len() as u64;
    for (span, held) in spans.iter().zip(held) {
        let (from, to) = (span.start.max(address), span.end.min(end));
        if from < to {
            let at = |from: u64, base: u64| usize::try_from(from - base).unwrap_or(0);
            held[at(from, span.start)..at(to, span.start)]
                .copy_from_slice(&block[at(from, address)..at(to, address)]);
        }
    }
}

/// Reads stretches in blocks and hands each block on with its address.
fn read(
    core: &mut Core<'_>,
    step: Step,
    stretches: &[Range<u64>],
    on_progress: &mut dyn FnMut(Progress),
    on_block: &mut dyn FnMut(u64, &[u8]),
) -> Result<(), FlashError> {
    let total_bytes = stretches.iter().map(|stretch| stretch.end - stretch.start).sum();
    let mut done_bytes = 0;
    on_progress(Progress { step, done_bytes, total_bytes });
    for stretch in stretches {
        let mut address = stretch.start;
        while address < stretch.end {
            let bytes = READ_BLOCK_BYTES.min(stretch.end - address);
            let count = usize::try_from(bytes / 4).unwrap_or(0);
            let mut words = Zeroizing::new(vec![0u32; count]);
            core.read_32(address, &mut words).map_err(|error| classify(&error, step))?;
            let block = Zeroizing::new(
                words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>(),
            );
            on_block(address, &block);
            address += bytes;
            done_bytes += bytes;
            on_progress(Progress { step, done_bytes, total_bytes });
        }
    }
    Ok(())
}
