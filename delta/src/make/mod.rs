//! Making patches: alignment, address map, load address, trial of several ways, proof by decoding.
//!
//! Everything here decides; nothing here is part of the format. The same inputs give the same patch
//! on any machine: integers only, no hash order, no clock.

mod account;
mod align;
mod plan;
mod suffix;
#[cfg(feature = "train")]
pub mod train;

use crate::apply::{Apply, Flash, FlashFault, InMemory, Room, Workspace};
use crate::coder::Writer;
use crate::digest::Digest;
use crate::header::{
    Body, Header, IMAGE_BYTES_MAX, InPlace, PAGE_BITS_MAX, PAGE_BITS_MIN, REACH_MAX,
};
use crate::inplace::log::Sum;
use crate::isa::Isa;
use crate::walk::{Action, Codec, Nonsense, Scene};
pub use account::spent_bits;
use align::Floor;
use plan::{Plan, explained, plan};

/// What to make.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// The instruction set; `None` tries all and keeps the smallest patch.
    pub isa: Option<Isa>,
    /// For updating in place.
    pub in_place: Option<Pages>,
    /// Most trials at once, each on a core of its own; 0 is as 1. The patch does not depend on it.
    pub threads: usize,
    /// Most bytes of memory to use, as [`memory_bytes`] counts; `None` is no limit.
    pub memory_bytes_max: Option<u64>,
}

/// What a device that updates in place has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// Bytes of a page: a power of two from 256 to 8 MiB.
    pub page_bytes: u32,
    /// Pages of the ring, 1 to 16. One of them gives the room between two checkpoints.
    pub ring_pages: u32,
    /// Pages there are beyond the longer image: with them the old image may be moved up further.
    pub spare_pages: u32,
}

/// A patch that was applied once already and gave the new image.
#[derive(Clone, Debug)]
pub struct Made {
    /// The patch.
    pub patch: Vec<u8>,
    /// Its header.
    pub header: Header,
    /// Bits by kind of decision, in the order of [`KINDS`].
    pub spent_bits: [u64; 8],
    /// Trials that ran at once.
    pub threads: usize,
}

/// Names of the kinds of decisions.
pub const KINDS: [&str; 8] =
    ["map", "copies", "flags", "differences", "literals", "branches", "pointers", "variables"];

/// Why no patch was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// An image is too long for the format.
    #[error("an image has {0} bytes, the format ends at {IMAGE_BYTES_MAX}")]
    TooLong(usize),
    /// Pages or a ring that the format does not have.
    #[error(
        "the format has pages of 256 bytes to 8 MiB, powers of two, and rings of 1 to 16 pages, not \
         {ring_pages} pages of {page_bytes} bytes"
    )]
    Pages {
        /// Bytes of a page.
        page_bytes: u32,
        /// Pages of the ring.
        ring_pages: u32,
    },
    /// One trial alone takes more memory than allowed.
    #[error("making takes {needed} bytes of memory, {allowed} are allowed")]
    Memory {
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        allowed: u64,
    },
}

/// Memory that making takes with so many trials at once, in bytes: a bound that is rarely reached.
pub const fn memory_bytes(old_len: usize, new_len: usize, threads: usize) -> u64 {
    let both = old_len as u64 + new_len as u64;
    let trial = both * TRIAL_BYTES_PER_BYTE + align::NODES_BYTES_MAX;
    2 * both + trial * if threads == 0 { 1 } else { threads as u64 }
}

/// The suffix array's neighbours and ranks in both images (32), masked images twice (2), and the
/// recursion's share (6), for each byte of both images.
const TRIAL_BYTES_PER_BYTE: u64 = 40;

impl Pages {
    fn floor(self) -> Result<Floor, MakeError> {
        let Self { page_bytes, ring_pages, spare_pages: _ } = self;
        let bits = page_bytes.trailing_zeros() as u8;
        let fits = page_bytes.is_power_of_two()
            && (PAGE_BITS_MIN..=PAGE_BITS_MAX).contains(&bits)
            && (1..=u32::from(REACH_MAX) + 1).contains(&ring_pages);
        if !fits {
            return Err(MakeError::Pages { page_bytes, ring_pages });
        }
        Ok(Floor { page_bytes: page_bytes as usize, reach: ring_pages as usize - 1, lift: 0 })
    }

    /// Pages by which the old image is moved up first, for a plan made as if nothing were lost: the
    /// fewest with which hardly more copies are lost than with all the room there is, and whether that
    /// surely makes the patch smaller.
    fn lift(self, free: &Plan, old_len: usize, new_len: usize) -> (usize, bool) {
        let pages = |bytes: usize| bytes.div_ceil(self.page_bytes as usize);
        let room = pages(new_len).max(pages(old_len)) - pages(old_len) + self.spare_pages as usize;
        let room = room.min(LIFT_MAX);
        // Bytes that a lift of so many pages is the first to save.
        let mut saved = vec![0_u64; room + 1];
        let mut total = 0;
        for (at, action) in &free.actions {
            let Action::Copy { source, len, .. } = *action else { continue };
            if source as usize >= old_len {
                continue;
            }
            let page = |offset: u32| (offset / self.page_bytes) as usize;
            let behind = page(*at).saturating_sub(page(source) + self.ring_pages as usize - 1);
            total += u64::from(len);
            if let Some(saved) = saved.get_mut(behind) {
                *saved += u64::from(len);
            }
        }
        let gain: u64 = saved.iter().skip(1).sum();
        let mut rest = gain;
        let fewest = saved.iter().skip(1).position(|saved| {
            rest -= saved;
            rest * LIFT_REST_PART <= total
        });
        let fewest = fewest.filter(|_| gain > 0).map_or(0, |fewest| fewest + 1);
        (fewest, gain * LIFT_SURE_PART > total)
    }
}

/// A lift is one byte in the patch.
const LIFT_MAX: usize = 255;
/// A lift may leave this part of all bytes that are copied, which a larger one would save.
const LIFT_REST_PART: u64 = 10_000;
/// A lift that saves more than this part need not be compared.
const LIFT_SURE_PART: u64 = 200;
/// A lift must make the patch smaller by more than this part: every page is erased once more for it.
const LIFT_GAIN_PART: usize = 50;

/// Makes a patch; `progress` hears of each trial: how many are done, of how many.
///
/// # Errors
///
/// When an image is longer than [`IMAGE_BYTES_MAX`], or the wish is beyond the format or the memory.
pub fn make(
    old: &[u8],
    new: &[u8],
    wish: &Wish,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Made, MakeError> {
    for image in [old, new] {
        if image.len() > IMAGE_BYTES_MAX as usize {
            return Err(MakeError::TooLong(image.len()));
        }
    }
    let floor = wish.in_place.map(Pages::floor).transpose()?;
    let threads = threads(old.len(), new.len(), wish)?;
    let (Some(floor), Some(pages)) = (floor, wish.in_place) else {
        return Ok(make_with(old, new, wish, None, threads, progress));
    };
    let free = plan(old, new, Isa::None, true, None, None);
    let (lift, surely) = pages.lift(&free, old.len(), new.len());
    let mut with =
        |lift| make_with(old, new, wish, Some(Floor { lift, ..floor }), threads, progress);
    let made = with(lift);
    if lift == 0 || surely {
        return Ok(made);
    }
    let flat = with(0);
    let gains = made.patch.len() + flat.patch.len() / LIFT_GAIN_PART < flat.patch.len();
    Ok(if gains { made } else { flat })
}

fn make_with(
    old: &[u8],
    new: &[u8],
    wish: &Wish,
    floor: Option<Floor>,
    threads: usize,
    progress: &mut dyn FnMut(usize, usize),
) -> Made {
    let isas: &[Isa] = match &wish.isa {
        Some(isa) => core::slice::from_ref(isa),
        None => &Isa::ALL,
    };
    let making = Making {
        old,
        new,
        floor,
        old_digest: Digest::of(old),
        new_digest: Digest::of(new),
        threads,
    };
    // Plain bytes first, for the load address; then the likely instruction sets; then the best with
    // fewer fields cleared, and with the address its own copies give.
    let steps = isas.len().min(2 + LIKELY) + 3;
    progress(0, steps);
    let plain = plan(old, new, Isa::None, true, None, floor);
    progress(1, steps);
    let isas = likely(old, new, &plain, isas);
    let trials: Vec<Trial> = isas.iter().map(|isa| (*isa, true, plain.found)).collect();
    let mut tried = making.run(&trials, Some(&plain), progress, steps);
    tried.sort_by_key(|(made, _)| made.patch.len());
    let mut again: Vec<Trial> = Vec::new();
    for (_, first) in tried.iter().filter(|(_, plan)| plan.isa != Isa::None).take(1) {
        again.push((first.isa, false, first.base));
        if first.base != plain.found {
            again.push((first.isa, true, first.base));
        }
    }
    let mut candidates: Vec<Made> = tried.into_iter().map(|(made, _)| made).collect();
    let more = making.run(&again, None, &mut |_, _| {}, steps);
    candidates.extend(more.into_iter().map(|(made, _)| made));
    progress(steps - 1, steps);
    let stored = making.patch(Body::Stored, new, [0; 8]);
    candidates.sort_by_key(|made| made.patch.len());
    candidates.retain(|made| made.patch.len() < stored.patch.len());
    let proven = candidates.into_iter().find(|made| making.proves(&made.patch));
    progress(steps, steps);
    proven.unwrap_or(stored)
}

/// The instruction sets worth a trial: none at all, those that explain most, and the one with the
/// fewest patterns, which costs least where code only moved.
fn likely(old: &[u8], new: &[u8], plain: &Plan, isas: &[Isa]) -> Vec<Isa> {
    if isas.len() <= 2 + LIKELY {
        return isas.to_vec();
    }
    let mut ranked: Vec<(u64, Isa)> = isas
        .iter()
        .filter(|isa| **isa != Isa::None)
        .map(|isa| (explained(old, new, plain, *isa), *isa))
        .collect();
    ranked.sort_by_key(|(bytes, isa)| (u64::MAX - bytes, isa.number()));
    let mut likely = vec![Isa::None];
    likely.extend(ranked.into_iter().map(|(_, isa)| isa).take(LIKELY));
    if !likely.contains(&Isa::Tc32) && isas.contains(&Isa::Tc32) {
        likely.push(Isa::Tc32);
    }
    likely
}

/// Instruction sets tried beside none: the second catches what the first guess got wrong.
const LIKELY: usize = 2;

/// How many trials run at once.
fn threads(old_len: usize, new_len: usize, wish: &Wish) -> Result<usize, MakeError> {
    let wanted = wish.threads.max(1);
    let Some(allowed) = wish.memory_bytes_max else { return Ok(wanted) };
    let fits = |threads: &usize| memory_bytes(old_len, new_len, *threads) <= allowed;
    (1..=wanted).rev().find(fits).ok_or_else(|| {
        let needed = memory_bytes(old_len, new_len, 1);
        MakeError::Memory { needed, allowed }
    })
}

/// An instruction set, whether small fields are cleared too, a load address.
type Trial = (Isa, bool, Option<u32>);

/// What all trials share.
struct Making<'a> {
    old: &'a [u8],
    new: &'a [u8],
    floor: Option<Floor>,
    old_digest: Digest,
    new_digest: Digest,
    threads: usize,
}

impl Making<'_> {
    /// Runs trials, several at once; what they give is in their order. `plain` is the plan without
    /// instructions, if it is there already.
    fn run(
        &self,
        trials: &[Trial],
        plain: Option<&Plan>,
        progress: &mut dyn FnMut(usize, usize),
        steps: usize,
    ) -> Vec<(Made, Plan)> {
        let one = |(isa, hard, base): &Trial| {
            let plan = match plain {
                Some(plain) if *isa == Isa::None => plain.clone(),
                _ => plan(self.old, self.new, *isa, *hard, *base, self.floor),
            };
            self.coded(&plan).map(|made| (made, plan))
        };
        let mut done = Vec::new();
        for few in trials.chunks(self.threads) {
            if let [single] = few {
                done.push(one(single));
            } else {
                std::thread::scope(|scope| {
                    let one = &one;
                    let running: Vec<_> =
                        few.iter().map(|trial| scope.spawn(move || one(trial))).collect();
                    done.extend(running.into_iter().map(|trial| trial.join().ok().flatten()));
                });
            }
            progress(1 + done.len(), steps);
        }
        done.into_iter().flatten().collect()
    }

    fn coded(&self, plan: &Plan) -> Option<Made> {
        let (body, spent_bits) = write(self.old, self.new, plan).ok()?;
        let map_entries = plan.map.len() as u16;
        let kind = Body::Coded { isa: plan.isa, base: plan.base, map_entries };
        Some(self.patch(kind, &body, spent_bits))
    }

    fn patch(&self, kind: Body, body: &[u8], spent_bits: [u64; 8]) -> Made {
        let mut header = Header {
            old_len: self.old.len() as u32,
            new_len: self.new.len() as u32,
            old_digest: self.old_digest,
            new_digest: self.new_digest,
            body: kind,
            in_place: self.floor.map(|floor| InPlace {
                page_bits: floor.page_bytes.trailing_zeros() as u8,
                reach: floor.reach as u8,
                lift: floor.lift as u8,
                patch_crc: 0,
            }),
        };
        if let Some(in_place) = &mut header.in_place {
            let mut sum = Sum::new();
            let bytes = Header { in_place: Some(*in_place), ..header }.bytes();
            let summed = bytes.split_last_chunk::<4>().map_or(&[][..], |(summed, _)| summed);
            summed.iter().chain(body).for_each(|byte| sum.add(*byte));
            in_place.patch_crc = sum.value();
        }
        let mut patch = header.bytes();
        patch.extend_from_slice(body);
        Made { patch, header, spent_bits, threads: self.threads }
    }

    /// Whether a patch gives the new image, and reads nothing that an update in place lost.
    fn proves(&self, patch: &[u8]) -> bool {
        let page_bytes = self.floor.map_or(4096, |floor| floor.page_bytes);
        let mut flash =
            Losing { images: InMemory { old: self.old, new: Vec::new() }, floor: self.floor };
        let room = Room { old_len: self.old.len() as u32, new_len_max: IMAGE_BYTES_MAX };
        let (mut page, mut work) = (vec![0; page_bytes], Workspace::new());
        let mut apply = Apply::new(room, &mut page, &mut work);
        let done = apply.feed(patch, &mut flash).and_then(|()| apply.finish(&mut flash));
        done.is_ok() && flash.images.new == self.new
    }
}

/// Both images in memory, the old one lost page by page once the new one begins to be written.
struct Losing<'a> {
    images: InMemory<'a>,
    floor: Option<Floor>,
}

impl Flash for Losing<'_> {
    fn read_old(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        let written = self.images.new.len();
        let lost = |floor: Floor| written > 0 && !floor.has(at as usize, written);
        if self.floor.is_some_and(lost) {
            return Err(FlashFault);
        }
        self.images.read_old(at, into)
    }

    fn read_new(&mut self, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        self.images.read_new(at, into)
    }

    fn write_new(&mut self, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        self.images.write_new(at, bytes)
    }
}

/// What the walk writes from.
struct Writing<'a> {
    old: &'a [u8],
    new: &'a [u8],
    plan: &'a Plan,
    cursor: usize,
}

impl Scene for Writing<'_> {
    fn source(&mut self, at: u32) -> u8 {
        let at = at as usize;
        if at < self.old.len() { self.old[at] } else { self.new[at - self.old.len()] }
    }

    fn put(&mut self, _byte: u8) {}

    fn truth(&mut self, at: u32) -> u8 {
        self.new.get(at as usize).copied().unwrap_or(0)
    }

    fn map_entry(&mut self, number: u32) -> (u32, u32) {
        self.plan.map.get(number as usize).copied().unwrap_or((0, 0))
    }

    fn plan(&mut self, at: u32) -> Action {
        while self.plan.actions.get(self.cursor).is_some_and(|(start, _)| *start < at) {
            self.cursor += 1;
        }
        match self.plan.actions.get(self.cursor) {
            Some((start, action)) if *start == at => *action,
            _ => Action::Literal,
        }
    }
}

/// The body of a patch, and the bits it spent by kind.
fn write(old: &[u8], new: &[u8], plan: &Plan) -> Result<(Vec<u8>, [u64; 8]), Nonsense> {
    let mut codec = Codec::new(plan.facts(old, new));
    write_with(&mut codec, old, new, plan)
}

fn write_with(
    codec: &mut Codec,
    old: &[u8],
    new: &[u8],
    plan: &Plan,
) -> Result<(Vec<u8>, [u64; 8]), Nonsense> {
    let mut scene = Writing { old, new, plan, cursor: 0 };
    let mut writer = Writer::new();
    while !codec.done() {
        codec.step(&mut writer, &mut scene)?;
    }
    let spent = writer.spent.map(|spent| spent >> 16);
    Ok((writer.finish(), spent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::apply;

    /// A number below `sides`; the seed moves on.
    fn roll(seed: &mut u64, sides: u32) -> u32 {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if sides == 0 { 0 } else { (*seed >> 33) as u32 % sides }
    }

    /// A plan without sense: any copies from anywhere, any of them in the map.
    fn senseless(seed: &mut u64, isa: Isa, old_len: u32, new_len: u32) -> Plan {
        let base = (roll(seed, 3) > 0).then_some(0x0800_0000);
        let mut plan = Plan { isa, found: base, base, map: Vec::new(), actions: Vec::new() };
        let mut at = roll(seed, 9);
        while at < new_len {
            let from_new = at > 0 && roll(seed, 2) == 0;
            let reach = if roll(seed, 2) == 0 { at.min(4) } else { at };
            let back = 1 + roll(seed, reach);
            let source = if from_new { old_len + at - back.min(at) } else { roll(seed, old_len) };
            let room = if from_new { u32::MAX } else { old_len - source };
            let len = (1 + roll(seed, 60)).min(room).min(new_len - at);
            if !from_new && roll(seed, 4) == 0 && plan.map.len() < 100 {
                plan.map.push((source, at));
            }
            let copy = Action::Copy { source, len, exact: false, aimed: roll(seed, 4) > 0 };
            plan.actions.push((at, copy));
            at += len + if roll(seed, 2) == 0 { 0 } else { roll(seed, 20) };
        }
        plan
    }

    #[test]
    fn any_plan_comes_back_however_senseless() {
        for seed in 0..400_u64 {
            let mut dice = seed;
            let (old_len, new_len) = (1 + roll(&mut dice, 700), roll(&mut dice, 700));
            let alphabet = [[0x00, 0x20, 0xF0, 0xF8], [0x08, 0x48, 0xD0, 0x01]];
            let mut image = |len: u32| -> Vec<u8> {
                let kind = roll(&mut dice, 2) as usize;
                (0..len)
                    .map(|_| match roll(&mut dice, 3) {
                        0 => roll(&mut dice, 256) as u8,
                        _ => alphabet[kind][roll(&mut dice, 4) as usize],
                    })
                    .collect()
            };
            let (old, new) = (image(old_len), image(new_len));
            let isa = Isa::ALL[roll(&mut dice, Isa::ALL.len() as u32) as usize];
            let plan = senseless(&mut dice, isa, old_len, new_len);
            let (body, _) = write(&old, &new, &plan).expect("a plan within the images");
            let header = Header {
                old_len,
                new_len,
                old_digest: Digest::of(&old),
                new_digest: Digest::of(&new),
                body: Body::Coded { isa, base: plan.base, map_entries: plan.map.len() as u16 },
                in_place: None,
            };
            let patch = [header.bytes(), body].concat();
            assert_eq!(apply(&old, &patch).as_deref(), Ok(&new[..]), "seed {seed}, {isa:?}");
        }
    }
}
