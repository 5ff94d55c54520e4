//! One identified device: what is read, erased, written and compared, page by page.
//!
//! Owns the order; the pages are the device's own. A page that holds its bytes is left alone, a
//! page that is blank is written without an erase, every other page is erased and rewritten with
//! the bytes outside the plan as they were. Blank means the whole page: on chips with checked
//! double words nothing is written twice without an erase.

use std::ops::{ControlFlow, Range};
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

/// Starting an upload anew costs as much as reading so many bytes on.
const SKIP_BYTES_LEAST: u64 = 8 * 1024;
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

/// A page as far as it was read.
struct Look {
    range: Range<u64>,
    /// Every byte of it is planned.
    whole: bool,
    held: Zeroizing<Vec<u8>>,
    differs: bool,
    filled: bool,
}

impl Look {
    fn new(plan: &Plan<'_>, range: Range<u64>) -> Self {
        let bytes = usize::try_from(range.end - range.start).unwrap_or(0);
        let whole = plan
            .stretches()
            .iter()
            .any(|planned| planned.start <= range.start && planned.end >= range.end);
        let held = Zeroizing::new(Vec::with_capacity(bytes));
        Self { range, whole, held, differs: false, filled: false }
    }

    fn left_bytes(&self) -> u64 {
        self.range.end - self.range.start - self.held.len() as u64
    }

    /// Takes what belongs to this page from the front of `bytes`; answers the rest.
    fn take<'b>(&mut self, plan: &Plan<'_>, bytes: &'b [u8]) -> &'b [u8] {
        let left = usize::try_from(self.left_bytes()).unwrap_or(usize::MAX);
        let (now, rest) = bytes.split_at(left.min(bytes.len()));
        self.differs |= plan.compare(self.range.start + self.held.len() as u64, now).is_some();
        self.filled |= now.iter().any(|byte| *byte != 0xFF);
        self.held.extend_from_slice(now);
        rest
    }

    /// The rest of the page does not matter any more.
    fn is_decided(&self) -> bool {
        self.whole && self.differs && self.filled
    }

    fn judge(mut self, plan: &Plan<'_>) -> Page {
        let need = match (self.differs, self.filled) {
            (false, _) => Need::Nothing,
            (true, false) => Need::Writing,
            (true, true) => Need::Erasing,
        };
        // What was not read is planned.
        let bytes = usize::try_from(self.range.end - self.range.start).unwrap_or(0);
        self.held.resize(bytes, 0xFF);
        plan.overlay(self.range.start, &mut self.held);
        Page { range: self.range, wanted: self.held, need }
    }
}

impl Page {
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

    /// Reads what the pages hold. Of a page that is planned whole only as much as shows that it has
    /// to be erased: pages that follow each other are one upload as far as possible.
    fn survey(
        &mut self,
        plan: &Plan<'_>,
        time: &mut dyn Waiter,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Page>, DfuError> {
        let step = Step::Survey;
        let mut looks: Vec<Look> =
            self.pages(plan)?.into_iter().map(|range| Look::new(plan, range)).collect();
        let total_bytes = looks.iter().map(|look| look.range.end - look.range.start).sum();
        let mut done_bytes = 0;
        on_progress(Progress { step, done_bytes, total_bytes });
        let mut first = 0;
        while let Some(look) = looks.get(first) {
            let start = look.range.start;
            let end = looks[first..].iter().fold(start, |end, next| {
                if next.range.start == end { next.range.end } else { end }
            });
            self.talk.upload(start, end - start, time, &mut |_, block| {
                done_bytes += block.len() as u64;
                let mut rest = block;
                while let Some(look) = looks.get_mut(first).filter(|_| !rest.is_empty()) {
                    rest = look.take(plan, rest);
                    if look.left_bytes() == 0 {
                        first += 1;
                    }
                }
                let skipped = looks.get(first).filter(|look| look.is_decided());
                let skipped = skipped.map_or(0, Look::left_bytes);
                let skips = skipped > SKIP_BYTES_LEAST;
                if skips {
                    done_bytes += skipped;
                    first += 1;
                }
                on_progress(Progress { step, done_bytes, total_bytes });
                if skips { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        Ok(looks.into_iter().map(|look| look.judge(plan)).collect())
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
            let bytes = stretch.end - stretch.start;
            self.talk
                .upload(stretch.start, bytes, time, &mut |address, block| {
                    if let Some(found) = plan.compare(address, block) {
                        differences.get_or_insert(Difference { bytes: 0, ..found }).bytes +=
                            found.bytes;
                    }
                    done_bytes += block.len() as u64;
                    on_progress(Progress { step, done_bytes, total_bytes });
                    ControlFlow::Continue(())
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
