//! Making patches: alignment, address map, load address, trial of several ways, proof by decoding.
//!
//! Everything here decides; nothing here is part of the format. The same inputs give the same patch
//! on any machine: integers only, no hash order, no clock.

mod align;
mod plan;
mod suffix;

use crate::apply::apply;
use crate::coder::{Kind, Writer};
use crate::header::{Body, Digest, Header, IMAGE_BYTES_MAX};
use crate::isa::Isa;
use crate::walk::{Action, Codec, Nonsense, Scene, Stage};
use plan::Plan;

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
    let mut best = {
        let header = header(Body::Stored);
        let mut patch = header.bytes();
        patch.extend_from_slice(new);
        Made { patch, header, spent_bits: [0; 8] }
    };
    let mut done = 0;
    for isa in isas {
        progress(done, isas.len());
        done += 1;
        for plan in plan::plans(old, new, *isa) {
            let Ok((body, spent_bits)) = write(old, new, &plan) else { continue };
            let header = header(Body::Coded {
                isa: *isa,
                base: plan.base,
                map_entries: plan.map.len() as u16,
            });
            let mut patch = header.bytes();
            patch.extend_from_slice(&body);
            if patch.len() < best.patch.len() && apply(old, &patch).as_deref() == Ok(new) {
                best = Made { patch, header, spent_bits };
            }
        }
    }
    progress(done, isas.len());
    Ok(best)
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

fn write(old: &[u8], new: &[u8], plan: &Plan) -> Result<(Vec<u8>, [u64; 8]), Nonsense> {
    let mut scene = Writing { old, new, plan, cursor: 0 };
    let mut writer = Writer::new();
    let mut codec = Codec::new(plan.facts(old, new));
    while codec.stage != Stage::Done {
        codec.step(&mut writer, &mut scene)?;
    }
    let spent = writer.spent.map(|s| s >> 16);
    debug_assert_eq!(KINDS.len(), Kind::Variables as usize + 1);
    Ok((writer.finish(), spent))
}
