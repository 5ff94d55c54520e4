//! One programming pass over a loader: survey, erase, write, compare.
//!
//! A serial line carries about 11 bytes per millisecond, a page is erased in the time of 400 bytes:
//! a page that is planned whole is therefore read only until it differs and then erased, blank or
//! not. A page with bytes outside the plan is read whole, so that they can be kept.

use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use serialport::SerialPort;
use zeroize::Zeroizing;

use super::course::{Course, ms};
use super::frame::{BLOCK_BYTES, NACK};
use super::link::Fault;
use super::loader::Loader;
use super::profile::Profile;
use crate::backend::{ProgramReport, Progress, Step, StepTimes, VerifyReport};
use crate::chip::Chip;
use crate::error::FlashError;
use crate::plan::{Difference, Need, Plan};

/// The first look into a page.
const GLANCE_BYTES: usize = 16;
/// Writes begin and end at multiples of this.
const UNIT_BYTES: usize = 4;
/// Blank bytes inside a write that are cheaper to send along than to start another write for.
const GAP_BYTES_MAX: usize = 16;
/// Pages of one erase command; between two commands the caller hears of the progress.
const PAGES_PER_ERASE: usize = 32;

/// A page with what it shall hold and, once that matters, what it holds.
struct Page {
    range: Range<u64>,
    wanted: Zeroizing<Vec<u8>>,
    held: Zeroizing<Vec<u8>>,
    need: Need,
}

/// Puts the plan on the chip and compares every byte of it.
pub(super) fn program(
    loader: &mut Loader,
    profile: &Profile,
    plan: &Plan<'_>,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<ProgramReport, FlashError> {
    let mut report = ProgramReport { verified_bytes: plan.bytes(), ..Default::default() };
    let mut times = StepTimes::default();

    let begun = Instant::now();
    let pages = survey(loader, plan, on_progress)?;
    times.survey_ms = ms(begun);
    for page in &pages {
        *match page.need {
            Need::Nothing => &mut report.sectors_equal,
            Need::Writing => &mut report.sectors_blank,
            Need::Erasing => &mut report.sectors_erased,
        } += 1;
    }
    // With nothing to write, the survey has compared every byte already.
    if pages.iter().any(|page| page.need != Need::Nothing) {
        let begun = Instant::now();
        erase(loader, profile, &pages, on_progress)?;
        times.erase_ms = ms(begun);
        let begun = Instant::now();
        report.written_bytes = write(loader, &pages, on_progress)?;
        times.program_ms = ms(begun);
        times.verify_ms = compare(loader, plan, on_progress)?.verify_ms;
    }
    report.times = times;
    Ok(report)
}

fn survey(
    loader: &mut Loader,
    plan: &Plan<'_>,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Page>, FlashError> {
    let sectors = plan.sectors();
    let total = sectors.iter().map(|sector| sector.end - sector.start).sum();
    let mut course = Course::new(on_progress, Step::Survey, total);
    let mut pages = Vec::with_capacity(sectors.len());
    for range in sectors {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let mut wanted = Zeroizing::new(vec![0xFF; length]);
        plan.overlay(range.start, &mut wanted);
        let mut other = Zeroizing::new(vec![0x00; length]);
        plan.overlay(range.start, &mut other);
        let mut held = Zeroizing::new(vec![0xFF; length]);
        let need = if wanted == other {
            look(loader, range.start, &wanted)?
        } else {
            read(loader, range.start, &mut held, Step::Survey)?;
            wanted.copy_from_slice(&held);
            plan.overlay(range.start, &mut wanted);
            let need = judge(&held, &wanted);
            if need == Need::Erasing {
                held.fill(0xFF);
            }
            need
        };
        pages.push(Page { range, wanted, held, need });
        course.on(length as u64);
    }
    Ok(pages)
}

/// What a page needs that is planned whole; reads no further than to its first difference.
fn look(loader: &mut Loader, address: u64, wanted: &[u8]) -> Result<Need, FlashError> {
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    let mut done = 0;
    while done < wanted.len() {
        let size = if done == 0 { GLANCE_BYTES } else { BLOCK_BYTES };
        let size = size.min(wanted.len() - done);
        let wanted = &wanted[done..done + size];
        read(loader, address + done as u64, &mut block[..size], Step::Survey)?;
        if block[..size] != *wanted {
            return Ok(Need::Erasing);
        }
        done += size;
    }
    Ok(Need::Nothing)
}

/// What a page needs whose every byte is known.
fn judge(held: &[u8], wanted: &[u8]) -> Need {
    let mut need = Need::Nothing;
    for (held, wanted) in held.chunks(UNIT_BYTES).zip(wanted.chunks(UNIT_BYTES)) {
        if held != wanted {
            if held.iter().any(|byte| *byte != 0xFF) {
                return Need::Erasing;
            }
            need = Need::Writing;
        }
    }
    need
}

fn erase(
    loader: &mut Loader,
    profile: &Profile,
    pages: &[Page],
    on_progress: &mut dyn FnMut(Progress),
) -> Result<(), FlashError> {
    let due: Vec<&Page> = pages.iter().filter(|page| page.need == Need::Erasing).collect();
    let total = due.iter().map(|page| page.range.end - page.range.start).sum();
    let mut course = Course::new(on_progress, Step::Erase, total);
    for due in due.chunks(PAGES_PER_ERASE) {
        let numbers: Vec<u16> =
            due.iter().filter_map(|page| number(profile.chip, page.range.start)).collect();
        loader.erase(&numbers, profile.page_erase_max).map_err(|fault| {
            if let Fault::Nack { .. } = fault {
                FlashError::EraseFailed { address: due[0].range.start, code: u32::from(NACK) }
            } else {
                fault.at(Step::Erase)
            }
        })?;
        course.on(due.iter().map(|page| page.range.end - page.range.start).sum());
    }
    Ok(())
}

/// The loader's number of the page at `address`: pages are counted over all code regions.
fn number(chip: &Chip, address: u64) -> Option<u16> {
    let mut first = 0;
    for region in chip.regions {
        if (region.start..region.end()).contains(&address) {
            let within = region.sectors().position(|sector| sector.contains(&address))?;
            return u16::try_from(first + within).ok();
        }
        first += region.sectors().count();
    }
    None
}

fn write(
    loader: &mut Loader,
    pages: &[Page],
    on_progress: &mut dyn FnMut(Progress),
) -> Result<u64, FlashError> {
    let due: Vec<(&Page, Vec<Range<usize>>)> = pages
        .iter()
        .filter(|page| page.need != Need::Nothing)
        .map(|page| (page, blocks(&page.held, &page.wanted)))
        .collect();
    let total = due.iter().flat_map(|(_, blocks)| blocks).map(|block| block.len() as u64).sum();
    let mut course = Course::new(on_progress, Step::Program, total);
    for (page, blocks) in due {
        for block in blocks {
            let address = page.range.start + block.start as u64;
            let bytes = block.len() as u64;
            loader.write(narrow(address), &page.wanted[block]).map_err(|fault| {
                if let Fault::Nack { .. } = fault {
                    FlashError::WriteFailed { address, bytes, code: u32::from(NACK) }
                } else {
                    fault.at(Step::Program)
                }
            })?;
            course.on(bytes);
        }
    }
    Ok(total)
}

/// The writes that turn `held` into `wanted`: none crosses a block of 256 bytes, none touches a
/// unit that is written already, long blanks are left out.
fn blocks(held: &[u8], wanted: &[u8]) -> Vec<Range<usize>> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    for at in (0..wanted.len()).step_by(UNIT_BYTES) {
        let unit = at..(at + UNIT_BYTES).min(wanted.len());
        if held[unit.clone()] == wanted[unit.clone()] {
            continue;
        }
        match blocks.last_mut() {
            Some(last)
                if at / BLOCK_BYTES == last.start / BLOCK_BYTES
                    && at - last.end <= GAP_BYTES_MAX
                    && held[last.end..at].iter().all(|byte| *byte == 0xFF) =>
            {
                last.end = unit.end;
            }
            Some(_) | None => blocks.push(unit),
        }
    }
    blocks
}

/// Compares every planned byte. A block that differs is read again: the protocol has no checksum on
/// the way back, and a flipped bit on the wire is not one in the chip.
pub(super) fn compare(
    loader: &mut Loader,
    plan: &Plan<'_>,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport, FlashError> {
    let begun = Instant::now();
    let stretches = plan.stretches();
    let total = stretches.iter().map(|stretch| stretch.end - stretch.start).sum();
    let mut course = Course::new(on_progress, Step::Verify, total);
    let mut difference: Option<Difference> = None;
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    for stretch in stretches {
        let mut address = stretch.start;
        while address < stretch.end {
            let size = (stretch.end - address).min(BLOCK_BYTES as u64);
            let block = &mut block[..usize::try_from(size).unwrap_or(BLOCK_BYTES)];
            read(loader, address, block, Step::Verify)?;
            if plan.compare(address, block).is_some() {
                read(loader, address, block, Step::Verify)?;
            }
            if let Some(found) = plan.compare(address, block) {
                let first = difference.get_or_insert(Difference { bytes: 0, ..found });
                first.bytes += found.bytes;
            }
            address += size;
            course.on(size);
        }
    }
    match difference {
        None => Ok(VerifyReport { verified_bytes: plan.bytes(), verify_ms: ms(begun) }),
        Some(Difference { address, bytes, wanted, found }) => {
            Err(FlashError::VerifyDiffered { address, bytes, wanted, found })
        }
    }
}

/// Reads any number of bytes.
pub(super) fn read(
    loader: &mut Loader,
    address: u64,
    into: &mut [u8],
    during: Step,
) -> Result<(), FlashError> {
    for (index, block) in into.chunks_mut(BLOCK_BYTES).enumerate() {
        let at = narrow(address + (index * BLOCK_BYTES) as u64);
        loader.read(at, block).map_err(|fault| fault.at(during))?;
    }
    Ok(())
}

/// Bytes of a running program; none within `wait` is 0.
pub(super) fn listen(
    port: &mut dyn SerialPort,
    block: &mut [u8],
    wait: Duration,
) -> Result<usize, Fault> {
    let lost = |detail: String| Fault::Lost { detail };
    port.set_timeout(wait).map_err(|error| lost(error.to_string()))?;
    match port.read(block) {
        Ok(count) => Ok(count),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(0),
        Err(error) => Err(lost(error.to_string())),
    }
}

/// An address of a 32-bit chip; regions end below 4 GiB.
pub(super) fn narrow(address: u64) -> u32 {
    u32::try_from(address).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uart::profile;

    #[test]
    fn writes_leave_out_blanks_and_what_is_written_already() {
        /// From, to, what the bytes there are.
        type Part = (usize, usize, u8);
        let check = |held: &[Part], wanted: &[Part], cut: &[(usize, usize)]| {
            let fill = |parts: &[Part], mut memory: Vec<u8>| {
                parts.iter().for_each(|(from, to, byte)| memory[*from..*to].fill(*byte));
                memory
            };
            let held = fill(held, vec![0xFF; 1024]);
            let wanted = fill(wanted, held.clone());
            let found: Vec<(usize, usize)> =
                blocks(&held, &wanted).iter().map(|block| (block.start, block.end)).collect();
            assert_eq!(found, cut);
        };
        check(&[], &[], &[]);
        check(&[], &[(0, 1024, 1)], &[(0, 256), (256, 512), (512, 768), (768, 1024)]);
        check(&[], &[(6, 7, 1)], &[(4, 8)]);
        check(&[], &[(0, 8, 1), (20, 24, 1)], &[(0, 24)]);
        check(&[], &[(0, 8, 1), (40, 44, 1)], &[(0, 8), (40, 44)]);
        check(&[(8, 12, 7)], &[(0, 8, 1), (12, 16, 1)], &[(0, 8), (12, 16)]);
        check(&[], &[(252, 260, 1)], &[(252, 256), (256, 260)]);
    }

    #[test]
    fn a_page_needs_nothing_a_write_or_an_erase() {
        let check = |held: &[u8], wanted: &[u8], need: Need| {
            assert_eq!(judge(held, wanted), need, "{held:x?} {wanted:x?}");
        };
        check(&[1; 8], &[1; 8], Need::Nothing);
        check(&[0xFF; 8], &[1; 8], Need::Writing);
        check(&[1, 1, 1, 1, 0xFF, 0xFF, 0xFF, 0xFF], &[1; 8], Need::Writing);
        check(&[0xFF, 0xFF, 0xFF, 1], &[0, 0xFF, 0xFF, 1], Need::Erasing);
        check(&[1; 8], &[2; 8], Need::Erasing);
    }

    #[test]
    fn pages_are_numbered_from_the_start_of_flash() {
        let chip = profile("STM32F303CB").expect("profile").chip;
        let check = |address: u64, page: Option<u16>| assert_eq!(number(chip, address), page);
        check(0x0800_0000, Some(0));
        check(0x0800_0800, Some(1));
        check(0x0801_F800, Some(63));
        check(0x0802_0000, None);
        check(0, None);
    }
}
