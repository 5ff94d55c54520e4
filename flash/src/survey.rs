//! What to ask a chip about its sectors when it answers in checksums, and what the answers mean.
//!
//! Pure. A sector is asked for as a whole (is it blank?) and for the planned parts of it (does it
//! hold them?); both are one question where the plan covers the sector.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::checksum::{Checksum, STRETCH_BYTES_MAX};
use crate::chip::Region;
use crate::plan::{Need, Plan};
use crate::sector::Sector;

/// Checksums of stretches, by their first address and length.
pub(crate) type Answers = BTreeMap<(u64, u64), u32>;

/// What the answers say about one sector.
pub(crate) enum Verdict {
    /// All that is needed is known.
    Known(Sector),
    /// It holds something else, and bytes outside the plan are to be kept: read it.
    Mixed,
}

/// The stretches to ask about for some sectors, in order and each once.
pub(crate) fn questions(plan: &Plan<'_>, sectors: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut asked: Vec<Range<u64>> = Vec::new();
    for sector in sectors {
        asked.extend(cut(sector));
        asked.extend(plan.parts(sector).iter().flat_map(|(part, _)| cut(part)));
    }
    asked.sort_by_key(|stretch| (stretch.start, stretch.end));
    asked.dedup();
    asked
}

/// The planned stretches and the checksums they shall have.
pub(crate) fn expected(plan: &Plan<'_>, checksum: &Checksum) -> Vec<(Range<u64>, u32)> {
    let sectors = plan.sectors();
    sectors.iter().flat_map(|sector| expected_in(plan, sector, checksum)).collect()
}

/// Judges a sector from the answers to [`questions`].
pub(crate) fn judge(
    plan: &Plan<'_>,
    region: &Region,
    sector: &Range<u64>,
    answers: &Answers,
    checksum: &Checksum,
) -> Verdict {
    let holds = |stretch: &Range<u64>, wanted: u32| answers.get(&key(stretch)) == Some(&wanted);
    if expected_in(plan, sector, checksum).iter().all(|(part, wanted)| holds(part, *wanted)) {
        return Verdict::Known(Sector::equal(region, sector.clone()));
    }
    let blank = cut(sector).all(|stretch| {
        let bytes = usize::try_from(stretch.end - stretch.start).unwrap_or(0);
        holds(&stretch, checksum.over(std::iter::repeat_n(region.erased, bytes)))
    });
    let whole = plan.parts(sector).iter().any(|(part, _)| part == sector);
    match (blank, whole) {
        (true, _) => Verdict::Known(Sector::blank(plan, region, sector.clone(), Need::Writing)),
        (false, true) => Verdict::Known(Sector::blank(plan, region, sector.clone(), Need::Erasing)),
        (false, false) => Verdict::Mixed,
    }
}

/// Whether a sector that was read is the one the chip computed its checksums from.
pub(crate) fn agrees(
    sector: &Range<u64>,
    read: &[u8],
    answers: &Answers,
    checksum: &Checksum,
) -> bool {
    cut(sector).all(|stretch| {
        let at = |address: u64| usize::try_from(address - sector.start).unwrap_or(usize::MAX);
        read.get(at(stretch.start)..at(stretch.end)).is_some_and(|bytes| {
            answers.get(&key(&stretch)) == Some(&checksum.over(bytes.iter().copied()))
        })
    })
}

/// A stretch as [`Answers`] names it.
pub(crate) fn key(stretch: &Range<u64>) -> (u64, u64) {
    (stretch.start, stretch.end - stretch.start)
}

fn expected_in(
    plan: &Plan<'_>,
    sector: &Range<u64>,
    checksum: &Checksum,
) -> Vec<(Range<u64>, u32)> {
    let mut wanted = Vec::new();
    for (part, pieces) in plan.parts(sector) {
        let mut bytes = pieces.iter().copied().flatten().copied();
        for stretch in cut(&part) {
            let length = usize::try_from(stretch.end - stretch.start).unwrap_or(0);
            wanted.push((stretch, checksum.over(bytes.by_ref().take(length))));
        }
    }
    wanted
}

/// Cuts a range where a checksum may not be longer.
fn cut(range: &Range<u64>) -> impl Iterator<Item = Range<u64>> + use<> {
    let end = range.end;
    let step = usize::try_from(STRETCH_BYTES_MAX).unwrap_or(usize::MAX);
    (range.start..end).step_by(step).map(move |start| start..(start + STRETCH_BYTES_MAX).min(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chips::{NRF52832_XXAA, STM32F405RG};
    use crate::plan::Piece;

    fn checksum() -> Checksum {
        let mut next = 0x1234_5677u32;
        Checksum::draw(|| {
            next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            next
        })
    }

    fn answers(memory: &[u8], start: u64, asked: &[Range<u64>], checksum: &Checksum) -> Answers {
        let at = |address: u64| usize::try_from(address - start).expect("inside");
        asked
            .iter()
            .map(|s| (key(s), checksum.over(memory[at(s.start)..at(s.end)].iter().copied())))
            .collect()
    }

    #[test]
    fn a_sector_is_equal_blank_to_be_erased_or_to_be_read_as_its_checksums_say() {
        let checksum = checksum();
        let image = [0x3C; 0x1800];
        let plan = Plan::new(&NRF52832_XXAA, [Piece { name: "a", address: 0x1000, bytes: &image }])
            .expect("plan");
        let sectors = plan.sectors();
        let asked = questions(&plan, &sectors);
        assert_eq!(asked, [0x1000..0x2000, 0x2000..0x2800, 0x2000..0x3000]);
        let check = |fill: u8, change: &[(usize, u8)], wanted: [Option<Need>; 2]| {
            let mut memory = vec![fill; 0x2000];
            for (place, byte) in change {
                memory[*place] = *byte;
            }
            let answers = answers(&memory, 0x1000, &asked, &checksum);
            let found = [0, 1].map(|index| {
                let region = &NRF52832_XXAA.regions[0];
                match judge(&plan, region, &sectors[index], &answers, &checksum) {
                    Verdict::Known(sector) => Some(sector.need),
                    Verdict::Mixed => None,
                }
            });
            assert_eq!(found, wanted, "{fill:#x} {change:x?}");
        };
        check(0xFF, &[], [Some(Need::Writing); 2]);
        check(0x3C, &[], [Some(Need::Nothing); 2]);
        check(0x00, &[], [Some(Need::Erasing), None]);
        check(0x3C, &[(0x1FFF, 0)], [Some(Need::Nothing); 2]);
        check(0x3C, &[(0x17FF, 0), (0, 0)], [Some(Need::Erasing), None]);
        check(0xFF, &[(0x1FFF, 0)], [Some(Need::Writing), None]);
    }

    #[test]
    fn a_long_sector_is_asked_about_in_stretches_and_an_unasked_one_holds_nothing() {
        let checksum = checksum();
        let image = vec![0x77; 0x2_0000];
        let start = 0x0802_0000;
        let plan = Plan::new(&STM32F405RG, [Piece { name: "a", address: start, bytes: &image }])
            .expect("plan");
        let sectors = plan.sectors();
        assert!(sectors.len() == 1 && sectors[0] == (start..start + 0x2_0000));
        let asked = questions(&plan, &sectors);
        assert_eq!(asked.len(), 16);
        assert_eq!(expected(&plan, &checksum).len(), 16);
        let mut answers = answers(&image, start, &asked, &checksum);
        let region = &STM32F405RG.regions[0];
        let need = |answers: &Answers| match judge(&plan, region, &sectors[0], answers, &checksum) {
            Verdict::Known(sector) => sector.need,
            Verdict::Mixed => panic!("the plan covers the sector"),
        };
        assert_eq!(need(&answers), Need::Nothing);
        answers.remove(&(start + 0x1_E000, 0x2000));
        assert_eq!(need(&answers), Need::Erasing);
    }
}
