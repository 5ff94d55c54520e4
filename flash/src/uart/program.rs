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
/// Blank bytes inside a write that are cheaper to send along than to start another write for; only
/// where blank bytes may be written again later.
const GAP_BYTES_MAX: usize = 16;
/// Larger units carry a checksum or are written whole.
const GAP_UNIT_BYTES_MAX: usize = 4;

/// A page with what it shall hold and, once that matters, what it holds.
struct Page {
    range: Range<u64>,
    wanted: Zeroizing<Vec<u8>>,
    held: Zeroizing<Vec<u8>>,
    need: Need,
    cells: Cells,
}

/// How flash is written.
#[derive(Clone, Copy)]
struct Cells {
    /// Writes begin and end at multiples of this.
    unit: usize,
    /// What a blank byte reads as.
    erased: u8,
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
        let cells = cells(plan.chip(), range.start);
        let erased = cells.erased;
        let mut wanted = Zeroizing::new(vec![erased; length]);
        plan.overlay(range.start, &mut wanted);
        let mut other = Zeroizing::new(vec![!erased; length]);
        plan.overlay(range.start, &mut other);
        let mut held = Zeroizing::new(vec![erased; length]);
        let need = if wanted == other {
            look(loader, range.start, &wanted, &mut course)?
        } else {
            let mut at = range.start;
            for block in held.chunks_mut(BLOCK_BYTES) {
                read(loader, at, block, Step::Survey)?;
                at += block.len() as u64;
                course.on(block.len() as u64);
            }
            wanted.copy_from_slice(&held);
            plan.overlay(range.start, &mut wanted);
            let need = judge(&held, &wanted, cells);
            if need == Need::Erasing {
                held.fill(erased);
            }
            need
        };
        pages.push(Page { range, wanted, held, need, cells });
    }
    Ok(pages)
}

/// How the flash at an address is written.
fn cells(chip: &Chip, address: u64) -> Cells {
    let region = chip.region_of(address, 1).unwrap_or(&chip.regions[0]);
    Cells { unit: region.write_bytes as usize, erased: region.erased }
}

/// What a page needs that is planned whole; reads no further than to its first difference.
fn look(
    loader: &mut Loader,
    address: u64,
    wanted: &[u8],
    course: &mut Course<'_>,
) -> Result<Need, FlashError> {
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    let length = wanted.len();
    let mut done = 0;
    while done < wanted.len() {
        let size = if done == 0 { GLANCE_BYTES } else { BLOCK_BYTES };
        let size = size.min(wanted.len() - done);
        let wanted = &wanted[done..done + size];
        read(loader, address + done as u64, &mut block[..size], Step::Survey)?;
        if block[..size] != *wanted {
            course.on((length - done) as u64);
            return Ok(Need::Erasing);
        }
        done += size;
        course.on(size as u64);
    }
    Ok(Need::Nothing)
}

/// What a page needs whose every byte is known.
fn judge(held: &[u8], wanted: &[u8], Cells { unit, erased }: Cells) -> Need {
    let mut need = Need::Nothing;
    for (held, wanted) in held.chunks(unit).zip(wanted.chunks(unit)) {
        if held != wanted {
            if held.iter().any(|byte| *byte != erased) {
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
    for due in due.chunks(profile.pages_per_erase()) {
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
        .map(|page| (page, blocks(&page.held, &page.wanted, page.cells)))
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
fn blocks(held: &[u8], wanted: &[u8], cells: Cells) -> Vec<Range<usize>> {
    let mut blocks: Vec<Range<usize>> = Vec::new();
    let gap_max = if cells.unit <= GAP_UNIT_BYTES_MAX { GAP_BYTES_MAX } else { 0 };
    for at in (0..wanted.len()).step_by(cells.unit) {
        let unit = at..(at + cells.unit).min(wanted.len());
        if held[unit.clone()] == wanted[unit.clone()] {
            continue;
        }
        match blocks.last_mut() {
            Some(last)
                if at / BLOCK_BYTES == last.start / BLOCK_BYTES
                    && at - last.end <= gap_max
                    && held[last.end..at].iter().all(|byte| *byte == cells.erased) =>
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
        let check_in = |cells: Cells, held: &[Part], wanted: &[Part], cut: &[(usize, usize)]| {
            let fill = |parts: &[Part], mut memory: Vec<u8>| {
                parts.iter().for_each(|(from, to, byte)| memory[*from..*to].fill(*byte));
                memory
            };
            let held = fill(held, vec![cells.erased; 1024]);
            let wanted = fill(wanted, held.clone());
            let found = blocks(&held, &wanted, cells);
            let found: Vec<(usize, usize)> =
                found.iter().map(|block| (block.start, block.end)).collect();
            assert_eq!(found, cut);
        };
        let check = |held: &[Part], wanted: &[Part], cut: &[(usize, usize)]| {
            check_in(Cells { unit: 4, erased: 0xFF }, held, wanted, cut);
        };
        check(&[], &[], &[]);
        check(&[], &[(0, 1024, 1)], &[(0, 256), (256, 512), (512, 768), (768, 1024)]);
        check(&[], &[(6, 7, 1)], &[(4, 8)]);
        check(&[], &[(0, 8, 1), (20, 24, 1)], &[(0, 24)]);
        check(&[], &[(0, 8, 1), (40, 44, 1)], &[(0, 8), (40, 44)]);
        check(&[(8, 12, 7)], &[(0, 8, 1), (12, 16, 1)], &[(0, 8), (12, 16)]);
        check(&[], &[(252, 260, 1)], &[(252, 256), (256, 260)]);
        // Double words with a checksum go whole, and a blank one is left blank.
        let double = Cells { unit: 8, erased: 0xFF };
        check_in(double, &[], &[(4, 8, 1), (16, 24, 1)], &[(0, 8), (16, 24)]);
        // Half pages of flash that reads zero when blank.
        let half_pages = Cells { unit: 64, erased: 0 };
        check_in(half_pages, &[], &[(4, 8, 1), (120, 124, 0xFF)], &[(0, 128)]);
    }

    #[test]
    fn a_page_needs_nothing_a_write_or_an_erase() {
        let check_in = |cells: Cells, held: &[u8], wanted: &[u8], need: Need| {
            assert_eq!(judge(held, wanted, cells), need, "{held:x?} {wanted:x?}");
        };
        let check = |held: &[u8], wanted: &[u8], need: Need| {
            check_in(Cells { unit: 4, erased: 0xFF }, held, wanted, need);
        };
        check(&[1; 8], &[1; 8], Need::Nothing);
        check(&[0xFF; 8], &[1; 8], Need::Writing);
        check(&[1, 1, 1, 1, 0xFF, 0xFF, 0xFF, 0xFF], &[1; 8], Need::Writing);
        check(&[0xFF, 0xFF, 0xFF, 1], &[0, 0xFF, 0xFF, 1], Need::Erasing);
        check(&[1; 8], &[2; 8], Need::Erasing);
        let double = Cells { unit: 8, erased: 0xFF };
        check_in(double, &[1, 1, 1, 1, 0xFF, 0xFF, 0xFF, 0xFF], &[1; 8], Need::Erasing);
        check_in(Cells { unit: 4, erased: 0 }, &[0; 8], &[1; 8], Need::Writing);
        check_in(Cells { unit: 4, erased: 0 }, &[0xFF; 8], &[1; 8], Need::Erasing);
    }

    #[test]
    fn pages_are_numbered_from_the_start_of_flash() {
        let check = |name: &str, address: u64, page: Option<u16>| {
            let chip = profile(name).expect("profile").chip;
            assert_eq!(number(chip, address), page, "{name} {address:#x}");
        };
        check("STM32F303CB", 0x0800_0000, Some(0));
        check("STM32F303CB", 0x0800_0800, Some(1));
        check("STM32F303CB", 0x0801_F800, Some(63));
        check("STM32F303CB", 0x0802_0000, None);
        check("STM32F303CB", 0, None);
        check("STM32F405RG", 0x0801_0000, Some(4));
        check("STM32F405RG", 0x080E_0000, Some(11));
        check("STM32L053R8", 0x0800_FF80, Some(511));
    }
}
