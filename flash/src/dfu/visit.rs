//! One identified device: what is read, erased, written and compared, page by page.
//!
//! Owns the order; the pages are the device's own. A page that holds its bytes is left alone, a
//! page that is blank is written without an erase, every other page is erased and rewritten with
//! the bytes outside the plan as they were. Blank means the whole page: on chips with checked
//! double words nothing is written twice without an erase.

use std::ops::Range;
use std::time::Duration;

use zeroize::Zeroizing;

use super::error::{DfuError, Doing};
use super::map::MemoryMap;
use super::talk::Talk;
use super::wire::{Sighting, Transport, Waiter};
use crate::backend::{ProgramReport, Progress, Step, StepTimes, VerifyReport};
use crate::chip::Chip;
use crate::error::FlashError;
use crate::plan::{Difference, Need, Plan};

/// Bytes read between two signs of life.
const READ_BYTES: usize = 16 * 1024;
/// Written bytes begin and end on these: the widest unit of flash of the families known here.
const UNIT_BYTES: usize = 8;

/// The conversation, the chip's profile, and its memory.
pub(super) struct Visit<T> {
    pub(super) talk: Talk<T>,
    pub(super) chip: &'static Chip,
    pub(super) flash_start: u64,
    pub(super) map: MemoryMap,
    pub(super) sighting: Sighting,
}

/// A page with what it shall hold.
struct Page {
    range: Range<u64>,
    wanted: Zeroizing<Vec<u8>>,
    need: Need,
}

impl Page {
    fn judge(plan: &Plan<'_>, range: Range<u64>, held: &[u8]) -> Self {
        let mut wanted = Zeroizing::new(held.to_vec());
        plan.overlay(range.start, &mut wanted);
        let need = if *wanted == *held {
            Need::Nothing
        } else if held.iter().all(|byte| *byte == 0xFF) {
            Need::Writing
        } else {
            Need::Erasing
        };
        Self { range, wanted, need }
    }

    /// What is not blank in it, on unit boundaries.
    fn filled(&self) -> Range<usize> {
        let not_blank = |byte: &u8| *byte != 0xFF;
        let first = self.wanted.iter().position(not_blank).unwrap_or(0);
        let end = self.wanted.iter().rposition(not_blank).map_or(0, |last| last + 1);
        let first = first / UNIT_BYTES * UNIT_BYTES;
        first.min(end)..end.next_multiple_of(UNIT_BYTES).min(self.wanted.len())
    }
}

/// Bytes that follow each other across pages.
struct Run {
    address: u64,
    bytes: Zeroizing<Vec<u8>>,
}

fn runs(pages: &[Page]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let room: usize = pages.iter().map(|page| page.wanted.len()).sum();
    for page in pages.iter().filter(|page| page.need != Need::Nothing) {
        let filled = page.filled();
        if filled.is_empty() {
            continue;
        }
        let address = page.range.start + filled.start as u64;
        let bytes = &page.wanted[filled];
        match runs.last_mut() {
            Some(run) if run.address + run.bytes.len() as u64 == address => {
                run.bytes.extend_from_slice(bytes);
            }
            Some(_) | None => {
                // Reserved whole, so that no copy of image bytes is left behind by growing.
                let mut all = Zeroizing::new(Vec::with_capacity(room));
                all.extend_from_slice(bytes);
                runs.push(Run { address, bytes: all });
            }
        }
    }
    runs
}

pub(super) fn ms(time: &mut dyn Waiter, since: Duration) -> u64 {
    u64::try_from(time.now().saturating_sub(since).as_millis()).unwrap_or(u64::MAX)
}

/// What a step of a visit ends with: DFU's own failure, or a fact about the bytes.
pub(super) enum Trouble {
    Dfu(DfuError, Step),
    Fact(FlashError),
}

impl<T: Transport> Visit<T> {
    fn pages(&self, plan: &Plan<'_>) -> Result<Vec<Range<u64>>, DfuError> {
        let mut pages: Vec<Range<u64>> = Vec::new();
        for stretch in plan.stretches() {
            let (at, bytes) = (stretch.start, stretch.end - stretch.start);
            let doing = Doing::Download { address: at, bytes };
            let not_there = |address| DfuError::NotAllowed { doing, address };
            for (page, access) in self.map.pages(stretch).map_err(not_there)? {
                if !(access.readable && access.erasable && access.writable) {
                    return Err(not_there(page.start.max(at)));
                }
                if pages.last() != Some(&page) {
                    pages.push(page);
                }
            }
        }
        Ok(pages)
    }

    /// Reads `range` in blocks of at most [`READ_BYTES`].
    pub(super) fn read(
        &mut self,
        range: Range<u64>,
        time: &mut dyn Waiter,
        on_block: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<(), DfuError> {
        let mut block = Zeroizing::new(vec![0; READ_BYTES]);
        let mut at = range.start;
        while at < range.end {
            let now = usize::try_from(range.end - at).unwrap_or(READ_BYTES).min(READ_BYTES);
            self.talk.upload(at, &mut block[..now], time, &mut |_| {})?;
            on_block(at, &block[..now]);
            at += now as u64;
        }
        Ok(())
    }

    fn survey(
        &mut self,
        plan: &Plan<'_>,
        time: &mut dyn Waiter,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Page>, DfuError> {
        let step = Step::Survey;
        let ranges = self.pages(plan)?;
        let total_bytes = ranges.iter().map(|page| page.end - page.start).sum();
        let mut done_bytes = 0;
        on_progress(Progress { step, done_bytes, total_bytes });
        let mut pages = Vec::new();
        for range in ranges {
            let bytes = usize::try_from(range.end - range.start).unwrap_or(0);
            let mut held = Zeroizing::new(Vec::with_capacity(bytes));
            self.read(range.clone(), time, &mut |_, block| {
                held.extend_from_slice(block);
                done_bytes += block.len() as u64;
                on_progress(Progress { step, done_bytes, total_bytes });
            })?;
            pages.push(Page::judge(plan, range, &held));
        }
        Ok(pages)
    }

    pub(super) fn compare(
        &mut self,
        plan: &Plan<'_>,
        time: &mut dyn Waiter,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport, Trouble> {
        let step = Step::Verify;
        let dfu = |error| Trouble::Dfu(error, step);
        let begun = time.now();
        self.talk.settle(time).map_err(dfu)?;
        let stretches = plan.stretches();
        let total_bytes = stretches.iter().map(|stretch| stretch.end - stretch.start).sum();
        let mut done_bytes = 0;
        let mut differences: Option<Difference> = None;
        on_progress(Progress { step, done_bytes, total_bytes });
        for stretch in stretches {
            self.read(stretch, time, &mut |address, block| {
                if let Some(found) = plan.compare(address, block) {
                    differences.get_or_insert(Difference { bytes: 0, ..found }).bytes +=
                        found.bytes;
                }
                done_bytes += block.len() as u64;
                on_progress(Progress { step, done_bytes, total_bytes });
            })
            .map_err(dfu)?;
        }
        match differences {
            Some(Difference { address, bytes, wanted, found }) => {
                let fact = FlashError::VerifyDiffered { address, bytes, wanted, found };
                Err(Trouble::Fact(fact))
            }
            None => Ok(VerifyReport { verified_bytes: plan.bytes(), verify_ms: ms(time, begun) }),
        }
    }

    pub(super) fn program(
        &mut self,
        plan: &Plan<'_>,
        time: &mut dyn Waiter,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<ProgramReport, Trouble> {
        let at = |step| move |error| Trouble::Dfu(error, step);
        let begun = time.now();
        self.talk.settle(time).map_err(at(Step::Survey))?;
        let pages = self.survey(plan, time, on_progress).map_err(at(Step::Survey))?;
        let count = |need| {
            u32::try_from(pages.iter().filter(|page| page.need == need).count()).unwrap_or(u32::MAX)
        };
        let mut report = ProgramReport {
            sectors_equal: count(Need::Nothing),
            sectors_blank: count(Need::Writing),
            sectors_erased: count(Need::Erasing),
            written_bytes: 0,
            verified_bytes: plan.bytes(),
            times: StepTimes { survey_ms: ms(time, begun), ..StepTimes::default() },
        };
        if pages.iter().all(|page| page.need == Need::Nothing) {
            // The survey has just compared every byte of the plan, and nothing was written since.
            return Ok(report);
        }

        let begun = time.now();
        self.erase(&pages, time, on_progress).map_err(at(Step::Erase))?;
        report.times.erase_ms = ms(time, begun);
        let begun = time.now();
        report.written_bytes = self.write(&pages, time, on_progress).map_err(at(Step::Program))?;
        report.times.program_ms = ms(time, begun);
        report.times.verify_ms = self.compare(plan, time, on_progress)?.verify_ms;
        Ok(report)
    }

    fn erase(
        &mut self,
        pages: &[Page],
        time: &mut dyn Waiter,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<(), DfuError> {
        let step = Step::Erase;
        let due = || pages.iter().filter(|page| page.need == Need::Erasing);
        let total_bytes = due().map(|page| page.wanted.len() as u64).sum();
        let mut done_bytes = 0;
        on_progress(Progress { step, done_bytes, total_bytes });
        for page in due() {
            self.talk.erase_page(page.range.start, time)?;
            done_bytes += page.wanted.len() as u64;
            on_progress(Progress { step, done_bytes, total_bytes });
        }
        Ok(())
    }

    fn write(
        &mut self,
        pages: &[Page],
        time: &mut dyn Waiter,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<u64, DfuError> {
        let step = Step::Program;
        let runs = runs(pages);
        let total_bytes = runs.iter().map(|run| run.bytes.len() as u64).sum();
        let mut done_bytes = 0;
        on_progress(Progress { step, done_bytes, total_bytes });
        for run in &runs {
            self.talk.download(run.address, &run.bytes, time, &mut |bytes| {
                done_bytes += bytes;
                on_progress(Progress { step, done_bytes, total_bytes });
            })?;
        }
        Ok(total_bytes)
    }
}
