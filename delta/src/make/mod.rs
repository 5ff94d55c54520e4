//! Making patches: alignment, address map, load address, trial of several ways, proof by decoding.
//!
//! Everything here decides; nothing here is part of the format. The same inputs give the same patch
//! on any machine: integers only, no hash order, no clock.

mod align;
mod plan;
mod suffix;
#[cfg(feature = "train")]
pub mod train;

use crate::apply::apply;
use crate::coder::Writer;
use crate::header::{Body, Digest, Header, IMAGE_BYTES_MAX};
use crate::isa::Isa;
use crate::walk::{Action, Codec, Nonsense, Scene};
use plan::{Plan, plan};

/// What to make.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// The instruction set; `None` tries all and keeps the smallest patch.
    pub isa: Option<Isa>,
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
}

/// Makes a patch; `progress` hears of each trial: how many are done, of how many.
///
/// # Errors
///
/// When an image is longer than [`IMAGE_BYTES_MAX`].
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
    let isas: &[Isa] = match &wish.isa {
        Some(isa) => core::slice::from_ref(isa),
        None => &Isa::ALL,
    };
    let (old_digest, new_digest) = (Digest::of(old), Digest::of(new));
    let header = |body| Header {
        old_len: old.len() as u32,
        new_len: new.len() as u32,
        old_digest,
        new_digest,
        body,
    };
    let coded = |plan: &Plan| {
        let (body, spent_bits) = write(old, new, plan).ok()?;
        let header = header(Body::Coded {
            isa: plan.isa,
            base: plan.base,
            map_entries: plan.map.len() as u16,
        });
        let mut patch = header.bytes();
        patch.extend_from_slice(&body);
        Some(Made { patch, header, spent_bits })
    };
    // Plain bytes first, for the load address; then each instruction set; then the two best with
    // fewer fields cleared.
    let (steps, mut done) = (isas.len() + 3, 0);
    let mut step = || {
        progress(done, steps);
        done += 1;
    };
    step();
    let plain = plan(old, new, Isa::None, true, None);
    let mut plans: Vec<(Made, Plan)> = Vec::new();
    for isa in isas {
        step();
        let plan =
            if *isa == Isa::None { plain.clone() } else { plan(old, new, *isa, true, plain.found) };
        plans.extend(coded(&plan).map(|made| (made, plan)));
    }
    plans.sort_by_key(|(made, _)| made.patch.len());
    let mut candidates: Vec<Made> = plans.iter().map(|(made, _)| made.clone()).collect();
    for (_, first) in plans.iter().filter(|(_, plan)| plan.isa != Isa::None).take(2) {
        step();
        let base = first.base;
        candidates.extend(coded(&plan(old, new, first.isa, false, base)));
        if base != plain.found {
            candidates.extend(coded(&plan(old, new, first.isa, true, base)));
        }
    }
    let stored = {
        let header = header(Body::Stored);
        let mut patch = header.bytes();
        patch.extend_from_slice(new);
        Made { patch, header, spent_bits: [0; 8] }
    };
    candidates.sort_by_key(|made| made.patch.len());
    candidates.retain(|made| made.patch.len() < stored.patch.len());
    let proven = candidates.into_iter().find(|made| apply(old, &made.patch).as_deref() == Ok(new));
    progress(steps, steps);
    Ok(proven.unwrap_or(stored))
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
            };
            let patch = [header.bytes(), body].concat();
            assert_eq!(apply(&old, &patch).as_deref(), Ok(&new[..]), "seed {seed}, {isa:?}");
        }
    }
}
