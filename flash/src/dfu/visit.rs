//! One identified device: what is read, erased, written and compared, page by page.
//!
//! Owns the order; the pages are the device's own. A page that holds its bytes is left alone, a
//! page that is blank is written without an erase, every other page is erased and rewritten with
//! the bytes outside the plan as they were. Blank means the whole page: on chips with checked
//! double words nothing is written twice without an erase.

use std::collections::BTreeSet;
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

/// Written bytes begin and end on these: the widest unit of flash of the families known here.
const UNIT_BYTES: usize = 8;
/// A page of so many bytes is glanced at before its first block is read: that it has to be erased
/// shows in its first bytes, and where it has not to be, the glance is one transfer more.
const GLANCED_PAGE_BYTES: u64 = 16 << 10;

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
    /// What was read of it, erased where nothing was.
    held: Zeroizing<Vec<u8>>,
    differs: bool,
    filled: bool,
}

impl Look {
    fn new(range: Range<u64>) -> Self {
        let bytes = usize::try_from(range.end - range.start).unwrap_or(0);
        Self { range, held: Zeroizing::new(vec![0xFF; bytes]), differs: false, filled: false }
    }

    /// Takes what belongs to this page out of the block at `at`.
    fn take(&mut self, plan: &Plan<'_>, at: u64, block: &[u8]) {
        let end = at.saturating_add(block.len() as u64);
        let (from, to) = (at.max(self.range.start), end.min(self.range.end));
        let place = |address: u64, base: u64| usize::try_from(address - base).unwrap_or(0);
        let part = &block[place(from, at)..place(to, at)];
        let start = self.range.start;
        self.held[place(from, start)..place(to, start)].copy_from_slice(part);
        self.differs |= plan.compare(from, part).is_some();
        self.filled |= part.iter().any(|byte| *byte != 0xFF);
    }

    /// How many bytes from `at` on, which lies in this page or before it, do not matter any more:
    /// the page has to be erased, and they are planned.
    fn needless_bytes(&self, plan: &Plan<'_>, at: u64) -> u64 {
        if !(self.differs && self.filled && self.range.contains(&at)) {
            return 0;
        }
        let planned = plan.stretches().into_iter().find(|planned| planned.contains(&at));
        planned.map_or(0, |planned| planned.end.min(self.range.end) - at)
    }

    fn judge(mut self, plan: &Plan<'_>) -> Page {
        let need = match (self.differs, self.filled) {
            (false, _) => Need::Nothing,
            (true, false) => Need::Writing,
            (true, true) => Need::Erasing,
        };
        // What was not read is planned.
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

    /// Reads what the pages hold, and no more of it than decides what has to be done: once a page
    /// has to be erased, only what has to be kept. Pages that follow each other are one upload.
    fn survey(
        &mut self,
        plan: &Plan<'_>,
        time: &mut dyn Waiter,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Page>, DfuError> {
        let step = Step::Survey;
        let mut looks: Vec<Look> = self.pages(plan)?.into_iter().map(Look::new).collect();
        let total_bytes = looks.iter().map(|look| look.range.end - look.range.start).sum();
        let mut before = 0;
        on_progress(Progress { step, done_bytes: before, total_bytes });
        let mut first = 0;
        while first < looks.len() {
            let start = looks[first].range.start;
            let mut last = first;
            while looks.get(last + 1).is_some_and(|next| next.range.start == looks[last].range.end)
            {
                last += 1;
            }
            let bytes = looks[last].range.end - start;
            let mut page = first;
            let long: BTreeSet<u64> = looks[first..=last]
                .iter()
                .filter(|look| look.range.end - look.range.start >= GLANCED_PAGE_BYTES)
                .map(|look| look.range.start)
                .collect();
            let glances = |at| long.contains(&at);
            self.talk.upload(start, bytes, time, &glances, &mut |at, block| {
                let end = at + block.len() as u64;
                while looks[page].range.end <= at {
                    page += 1;
                }
                for look in looks[page..=last].iter_mut().take_while(|look| look.range.start < end)
                {
                    look.take(plan, at, block);
                }
                let skipped = looks[page..=last]
                    .iter()
                    .find(|look| look.range.end > end)
                    .map_or(0, |look| look.needless_bytes(plan, end));
                on_progress(Progress { step, done_bytes: before + (end - start), total_bytes });
                skipped
            })?;
            first = last + 1;
            before += bytes;
            on_progress(Progress { step, done_bytes: before, total_bytes });
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
        self.talk.make_ready(time).map_err(dfu)?;
        let stretches = plan.stretches();
        let total_bytes = stretches.iter().map(|stretch| stretch.end - stretch.start).sum();
        let mut done_bytes = 0;
        let mut differences: Option<Difference> = None;
        on_progress(Progress { step, done_bytes, total_bytes });
        for stretch in stretches {
            let bytes = stretch.end - stretch.start;
            self.talk
                .upload(stretch.start, bytes, time, &|_| false, &mut |address, block| {
                    if let Some(found) = plan.compare(address, block) {
                        differences.get_or_insert(Difference { bytes: 0, ..found }).bytes +=
                            found.bytes;
                    }
                    done_bytes += block.len() as u64;
                    on_progress(Progress { step, done_bytes, total_bytes });
                    0
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
        self.talk.make_ready(time).map_err(at(Step::Survey))?;
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
        let mut sent_bytes = 0;
        on_progress(Progress { step, done_bytes, total_bytes });
        for run in &runs {
            sent_bytes += self.talk.download(run.address, &run.bytes, time, &mut |bytes| {
                done_bytes += bytes;
                on_progress(Progress { step, done_bytes, total_bytes });
            })?;
        }
        Ok(sent_bytes)
    }
}
