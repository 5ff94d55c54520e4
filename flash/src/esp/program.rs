//! One programming pass over a loader: survey, erase, write, compare.
//!
//! The chip hashes its own flash, so what is equal costs one question per 64 KiB. FLASH_BEGIN always
//! erases what it announces, blank or not, so a sector is either left alone or erased and written.
//! Sectors with bytes outside the plan are read first, so that they can be kept.

use std::ops::Range;
use std::time::{Duration, Instant};

use espflash::target::Chip as Target;
use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::line::{Fault, Line};
use super::loader::{self, BLOCK_BYTES, SECTOR_BYTES};
use crate::backend::{ProgramReport, Progress, Step, StepTimes, VerifyReport};
use crate::error::FlashError;
use crate::plan::{Difference, Plan};
use crate::uart::{Course, ms};

/// What is hashed, erased and announced at once: the flash's erase block.
const CHUNK_BYTES: u32 = 0x1_0000;
/// How often a stretch is begun anew before the fault stands.
const TRIES: u32 = 3;
/// Sectors that are read to count the bytes that differ; of further ones every byte counts.
const SECTORS_READ_MAX: u32 = 8;

/// Sectors side by side in one chunk, and what they shall hold.
struct Stretch {
    at: u32,
    wanted: Zeroizing<Vec<u8>>,
    /// One for each sector: it has to be written.
    due: Vec<bool>,
}

/// What a pass needs to know of the visit.
pub(super) struct Visit<'a> {
    pub(super) line: &'a mut Line,
    pub(super) target: Target,
    /// Asks whether the loader is still that of this visit.
    pub(super) is_same: &'a dyn Fn(&mut Line) -> Result<bool, Fault>,
}

/// Puts the plan on the chip and compares every byte of it.
pub(super) fn program(
    visit: &mut Visit<'_>,
    plan: &Plan<'_>,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<ProgramReport, FlashError> {
    let mut report = ProgramReport { verified_bytes: plan.bytes(), ..Default::default() };
    let mut times = StepTimes::default();

    let begun = Instant::now();
    let stretches = survey(visit.line, plan, on_progress)?;
    times.survey_ms = ms(begun);
    for due in stretches.iter().flat_map(|stretch| &stretch.due) {
        *if *due { &mut report.sectors_erased } else { &mut report.sectors_equal } += 1;
    }
    // With nothing to write, the survey has compared every byte already.
    if report.sectors_erased > 0 {
        let begun = Instant::now();
        let mut erasing = Duration::ZERO;
        report.written_bytes = write(visit, &stretches, &mut erasing, on_progress)?;
        times.erase_ms = u64::try_from(erasing.as_millis()).unwrap_or(u64::MAX);
        times.program_ms = ms(begun).saturating_sub(times.erase_ms);
        let whole: Vec<(u32, &[u8])> =
            stretches.iter().map(|stretch| (stretch.at, &stretch.wanted[..])).collect();
        times.verify_ms = compare(visit.line, &whole, on_progress)?;
    }
    report.times = times;
    Ok(report)
}

/// Compares the chip with the plan and writes nothing.
pub(super) fn verify(
    line: &mut Line,
    plan: &Plan<'_>,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport, FlashError> {
    let mut stretches = Vec::new();
    for range in plan.stretches() {
        let at = narrow(range.start);
        let bytes = fill_gaps(line, plan, at, length(&range))?;
        stretches.push((at, bytes));
    }
    let whole: Vec<(u32, &[u8])> = stretches.iter().map(|(at, bytes)| (*at, &bytes[..])).collect();
    let verify_ms = compare(line, &whole, on_progress)?;
    Ok(VerifyReport { verified_bytes: plan.bytes(), verify_ms })
}

/// What a stretch of words shall hold: the plan, and between its pieces what the chip has there.
fn fill_gaps(
    line: &mut Line,
    plan: &Plan<'_>,
    at: u32,
    bytes: usize,
) -> Result<Zeroizing<Vec<u8>>, FlashError> {
    let (mut wanted, mut other) = planned(plan, at, bytes);
    for place in (0..bytes).step_by(4) {
        let word = place..place + 4;
        if wanted[word.clone()] != other[word.clone()] {
            let read = loader::read(line, at + narrow(place as u64), &mut other[word.clone()]);
            read.map_err(|fault| fault.at(Step::Verify))?;
            plan.overlay(u64::from(at) + place as u64, &mut other[word.clone()]);
            wanted[word.clone()].copy_from_slice(&other[word]);
        }
    }
    Ok(wanted)
}

/// The planned bytes of a stretch over ones, and over zeros: they differ where nothing is planned.
fn planned(plan: &Plan<'_>, at: u32, bytes: usize) -> (Zeroizing<Vec<u8>>, Zeroizing<Vec<u8>>) {
    let over = |byte: u8| {
        let mut bytes = Zeroizing::new(vec![byte; bytes]);
        plan.overlay(u64::from(at), &mut bytes);
        bytes
    };
    (over(0xFF), over(0x00))
}

fn survey(
    line: &mut Line,
    plan: &Plan<'_>,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Stretch>, FlashError> {
    let ranges = chunks(&plan.sectors());
    let total = ranges.iter().map(|range| range.end - range.start).sum();
    let mut course = Course::new(on_progress, Step::Survey, total);
    let mut stretches = Vec::with_capacity(ranges.len());
    for range in ranges {
        let (at, bytes) = (narrow(range.start), length(&range));
        let (mut wanted, other) = planned(plan, at, bytes);
        for (index, other) in other.chunks(SECTOR_BYTES as usize).enumerate() {
            let place = index * SECTOR_BYTES as usize;
            let wanted = &mut wanted[place..place + other.len()];
            if wanted != other {
                let at = at + narrow(place as u64);
                keep(line, at, wanted).map_err(|fault| fault.at(Step::Survey))?;
                plan.overlay(u64::from(at), wanted);
            }
        }
        let due = look(line, at, &wanted).map_err(|fault| fault.at(Step::Survey))?;
        stretches.push(Stretch { at, wanted, due });
        course.on(range.end - range.start);
    }
    Ok(stretches)
}

/// Sectors joined where they touch, cut where a chunk ends.
fn chunks(sectors: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut chunks: Vec<Range<u64>> = Vec::new();
    for sector in sectors {
        match chunks.last_mut() {
            Some(last)
                if last.end == sector.start
                    && !sector.start.is_multiple_of(u64::from(CHUNK_BYTES)) =>
            {
                last.end = sector.end;
            }
            Some(_) | None => chunks.push(sector.clone()),
        }
    }
    chunks
}

/// What a sector holds; a blank one is not read byte by byte.
fn keep(line: &mut Line, at: u32, into: &mut [u8]) -> Result<(), Fault> {
    into.fill(0xFF);
    let blank: [u8; 16] = Md5::digest(&*into).into();
    if loader::md5(line, at, narrow(into.len() as u64))? == blank {
        return Ok(());
    }
    loader::read(line, at, into)
}

/// Whether flash is all ones in `from..to`: words by the chip's hash, odd ends by reading them.
pub(super) fn is_blank(line: &mut Line, from: u32, to: u32) -> Result<bool, Fault> {
    let words = from.next_multiple_of(4).min(to)..(to & !3).max(from.next_multiple_of(4)).min(to);
    for odd in [from..words.start, words.end..to] {
        let mut bytes = vec![0xFF; odd.len()];
        if !bytes.is_empty() {
            loader::read_any(line, odd.start, &mut bytes)?;
        }
        if bytes.iter().any(|byte| *byte != 0xFF) {
            return Ok(false);
        }
    }
    let blank = vec![0xFF; words.len()];
    for (at, blank) in cut(words.start, &blank, CHUNK_BYTES) {
        if !loader::holds(line, at, blank)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Which sectors of a stretch have to be written.
fn look(line: &mut Line, at: u32, wanted: &[u8]) -> Result<Vec<bool>, Fault> {
    let sectors = || wanted.chunks(SECTOR_BYTES as usize);
    let is_blank = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0xFF);
    let digest = |bytes: &[u8]| -> [u8; 16] { Md5::digest(bytes).into() };
    let held = loader::md5(line, at, narrow(wanted.len() as u64))?;
    if held == digest(wanted) {
        return Ok(sectors().map(|_| false).collect());
    }
    if held == digest(&vec![0xFF; wanted.len()]) {
        return Ok(sectors().map(|sector| !is_blank(sector)).collect());
    }
    let mut due = Vec::new();
    for (index, sector) in sectors().enumerate() {
        let at = at + narrow(index as u64) * SECTOR_BYTES;
        due.push(loader::md5(line, at, narrow(sector.len() as u64))? != digest(sector));
    }
    Ok(due)
}

fn write(
    visit: &mut Visit<'_>,
    stretches: &[Stretch],
    erasing: &mut Duration,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<u64, FlashError> {
    let runs: Vec<(u32, &[u8])> = stretches.iter().flat_map(runs).collect();
    let total = runs.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let mut course = Course::new(on_progress, Step::Program, total);
    for (at, bytes) in runs {
        write_run(visit, at, bytes, erasing, &mut course)?;
    }
    Ok(total)
}

/// Sectors of a stretch that have to be written, touching ones joined.
fn runs(stretch: &Stretch) -> Vec<(u32, &[u8])> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (index, due) in stretch.due.iter().enumerate() {
        let start = index * SECTOR_BYTES as usize;
        let end = (start + SECTOR_BYTES as usize).min(stretch.wanted.len());
        match runs.last_mut() {
            Some(last) if *due && last.end == start => last.end = end,
            Some(_) | None if *due => runs.push(start..end),
            Some(_) | None => {}
        }
    }
    let place = |run: Range<usize>| (stretch.at + narrow(run.start as u64), &stretch.wanted[run]);
    runs.into_iter().map(place).collect()
}

/// Erases and writes. After a fault the sector it happened in is begun anew: whether the loader
/// took the last block is not known.
fn write_run(
    visit: &mut Visit<'_>,
    at: u32,
    bytes: &[u8],
    erasing: &mut Duration,
    course: &mut Course<'_>,
) -> Result<(), FlashError> {
    let (mut from, mut furthest, mut stuck_at, mut tries) = (0, 0, None, 0);
    loop {
        let (reached, step, fault) =
            match write_from(visit, at, bytes, from, erasing, course, &mut furthest) {
                Ok(()) => return Ok(()),
                Err(stopped) => stopped,
            };
        if stuck_at.replace(reached).is_none_or(|before| before < reached) {
            tries = 0;
        }
        tries += 1;
        let address = u64::from(at) + reached as u64;
        match step_back(visit, &fault) {
            Ok(()) if tries < TRIES => {
                tracing::debug!(%fault, address, "begun anew");
                from = reached - reached % SECTOR_BYTES as usize;
            }
            Ok(()) => {
                return Err(match (fault, step) {
                    (Fault::Refused { code, .. }, Step::Erase) => {
                        FlashError::EraseFailed { address, code: u32::from(code) }
                    }
                    (Fault::Refused { code, .. }, _) => FlashError::WriteFailed {
                        address,
                        bytes: BLOCK_BYTES.min(bytes.len() - reached) as u64,
                        code: u32::from(code),
                    },
                    (fault, step) => fault.at(step),
                });
            }
            Err(fault) => return Err(fault.at(step)),
        }
    }
}

/// Where it stopped, at what, and why.
type Stopped = (usize, Step, Fault);

fn write_from(
    visit: &mut Visit<'_>,
    at: u32,
    bytes: &[u8],
    from: usize,
    erasing: &mut Duration,
    course: &mut Course<'_>,
    furthest: &mut usize,
) -> Result<(), Stopped> {
    let begun = Instant::now();
    let (start, length) = (at + narrow(from as u64), narrow((bytes.len() - from) as u64));
    let erased = loader::begin(visit.line, visit.target, start, length);
    *erasing += begun.elapsed();
    erased.map_err(|fault| (from, Step::Erase, fault))?;
    for (sequence, block) in (0..).zip(bytes[from..].chunks(BLOCK_BYTES)) {
        let place = from + sequence as usize * BLOCK_BYTES;
        loader::data(visit.line, sequence, block).map_err(|fault| (place, Step::Program, fault))?;
        let end = place + block.len();
        if end > *furthest {
            course.on((end - *furthest) as u64);
            *furthest = end;
        }
    }
    Ok(())
}

/// Brings the loader back to where it expects a request; the fault that stands if it does not.
fn step_back(visit: &mut Visit<'_>, fault: &Fault) -> Result<(), Fault> {
    if let Fault::Lost { .. } = fault {
        return Err(fault.clone());
    }
    match (visit.line.sync(), fault) {
        (Ok(()), _) => {}
        (Err(Fault::Silence { .. }), silence @ Fault::Silence { .. }) => {
            return Err(silence.clone());
        }
        (Err(worse), _) => return Err(worse),
    }
    if (visit.is_same)(visit.line)? { Ok(()) } else { Err(Fault::Restarted) }
}

/// Compares every byte; milliseconds. Stretches begin and end at words.
fn compare(
    line: &mut Line,
    stretches: &[(u32, &[u8])],
    on_progress: &mut dyn FnMut(Progress),
) -> Result<u64, FlashError> {
    let begun = Instant::now();
    let total = stretches.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let mut course = Course::new(on_progress, Step::Verify, total);
    let mut found = Found::default();
    for (at, bytes) in stretches {
        for (at, bytes) in cut(*at, bytes, CHUNK_BYTES) {
            let failed = |fault: Fault| fault.at(Step::Verify);
            if !loader::holds(line, at, bytes).map_err(failed)? {
                for (at, bytes) in cut(at, bytes, SECTOR_BYTES) {
                    found.look(line, at, bytes).map_err(failed)?;
                }
            }
            course.on(bytes.len() as u64);
        }
    }
    match found.difference {
        None => Ok(ms(begun)),
        Some(Difference { address, bytes, wanted, found }) => {
            Err(FlashError::VerifyDiffered { address, bytes, wanted, found })
        }
    }
}

/// Pieces that end where multiples of `every` are.
fn cut(at: u32, bytes: &[u8], every: u32) -> impl Iterator<Item = (u32, &[u8])> {
    let (mut at, mut rest) = (at, bytes);
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.len().min((every - at % every) as usize));
        let here = at;
        (at, rest) = (at.wrapping_add(narrow(piece.len() as u64)), after);
        (!piece.is_empty()).then_some((here, piece))
    })
}

/// What was found to differ.
#[derive(Default)]
struct Found {
    difference: Option<Difference>,
    sectors_read: u32,
}

impl Found {
    /// Looks into a sector; its first difference needs the bytes themselves.
    fn look(&mut self, line: &mut Line, at: u32, wanted: &[u8]) -> Result<(), Fault> {
        if loader::holds(line, at, wanted)? {
            return Ok(());
        }
        self.sectors_read += 1;
        if self.sectors_read > SECTORS_READ_MAX {
            if let Some(difference) = &mut self.difference {
                difference.bytes += wanted.len() as u64;
            }
            return Ok(());
        }
        let mut held = Zeroizing::new(vec![0; wanted.len()]);
        loader::read(line, at, &mut held)?;
        for (place, (wanted, found)) in wanted.iter().zip(&*held).enumerate() {
            if wanted != found {
                let address = u64::from(at) + place as u64;
                let first = Difference { address, bytes: 0, wanted: *wanted, found: *found };
                self.difference.get_or_insert(first).bytes += 1;
            }
        }
        Ok(())
    }
}

/// An offset in a flash of at most 16 MiB.
pub(super) fn narrow(address: u64) -> u32 {
    u32::try_from(address).unwrap_or(u32::MAX)
}

fn length(range: &Range<u64>) -> usize {
    usize::try_from(range.end - range.start).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_are_joined_up_to_the_end_of_their_block() {
        let check = |sectors: &[u64], wanted: &[(u64, u64)]| {
            let sectors: Vec<Range<u64>> =
                sectors.iter().map(|start| *start..start + 0x1000).collect();
            let found: Vec<(u64, u64)> =
                chunks(&sectors).into_iter().map(|chunk| (chunk.start, chunk.end)).collect();
            assert_eq!(found, wanted);
        };
        check(&[], &[]);
        check(&[0, 0x1000, 0x3000], &[(0, 0x2000), (0x3000, 0x4000)]);
        check(&[0xF000, 0x1_0000, 0x1_1000], &[(0xF000, 0x1_0000), (0x1_0000, 0x1_2000)]);
    }

    #[test]
    fn only_sectors_that_are_due_are_written_and_touching_ones_together() {
        let check = |due: &[bool], wanted: &[(u32, usize)]| {
            let bytes = Zeroizing::new(vec![0; due.len() * 0x1000]);
            let stretch = Stretch { at: 0x8000, wanted: bytes, due: due.to_vec() };
            let found: Vec<(u32, usize)> =
                runs(&stretch).into_iter().map(|(at, bytes)| (at, bytes.len())).collect();
            assert_eq!(found, wanted, "{due:?}");
        };
        check(&[false, false], &[]);
        check(&[true, true], &[(0x8000, 0x2000)]);
        check(&[true, false, true], &[(0x8000, 0x1000), (0xA000, 0x1000)]);
        check(&[false, true, true, false], &[(0x9000, 0x2000)]);
    }

    #[test]
    fn pieces_end_where_sectors_do() {
        let bytes = [0; 0x2100];
        let found: Vec<(u32, usize)> =
            cut(0x1F80, &bytes, 0x1000).map(|(at, bytes)| (at, bytes.len())).collect();
        assert_eq!(found, [(0x1F80, 0x80), (0x2000, 0x1000), (0x3000, 0x1000), (0x4000, 0x80)]);
    }
}
