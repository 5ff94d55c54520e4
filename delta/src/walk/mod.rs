//! One walk through the new image, front to back, the same for writer and reader.
//!
//! Owns the order of decisions and their contexts ([`Codec::step`]). The images, the writer's plan
//! and the output are behind [`Scene`]; the coded bits are behind [`Coder`]. A reader's step consumes
//! at most 104 bytes of patch, so a patch may arrive in any chunking.

mod bytes;
mod layout;
mod refer;
mod save;

use crate::coder::{Coder, Kind};
use crate::isa::{Isa, Reference};
use crate::map::{AddressMap, MAP_ENTRIES_MAX, TargetCache, VariableMap};
use crate::model::{Model, Number, limit};
use bytes::{SWAPS, Swap};
use layout::slots;
use refer::Missed;
pub(crate) use save::Fields;

/// What a walk sees. Positions in `source` count through the old image and on into the new one.
pub(crate) trait Scene {
    /// A byte of the old image (`at` below its length) or of the new one (already put).
    fn source(&mut self, at: u32) -> u8;
    /// Appends a byte to the new image.
    fn put(&mut self, byte: u8);
    /// Writer: the byte of the new image at `at`. Reader: anything.
    fn truth(&mut self, at: u32) -> u8;
    /// Writer: the map entry with this number. Reader: anything.
    fn map_entry(&mut self, number: u32) -> (u32, u32);
    /// Writer: what is done at new offset `at`. Reader: anything.
    fn plan(&mut self, at: u32) -> Action;
}

/// What is done at a place of the new image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// One literal unit.
    Literal,
    /// Copy `len` bytes from `source`.
    #[cfg_attr(not(feature = "make"), allow(dead_code, reason = "only a writer has a plan"))]
    Copy { source: u32, len: u32, exact: bool, aimed: bool },
}

/// What the header says about the images.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) isa: Isa,
    pub(crate) old_len: u32,
    pub(crate) new_len: u32,
    /// Load address, if flash pointers are predicted.
    pub(crate) base: Option<u32>,
    pub(crate) map_entries: u32,
}

impl Facts {
    /// Two empty images.
    pub(crate) const NOTHING: Self =
        Self { isa: Isa::None, old_len: 0, new_len: 0, base: None, map_entries: 0 };
}

/// The patch contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonsense;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Map { number: u32 },
    Between,
    Copy,
    Done,
}

/// Everything a walk remembers.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    now: Now,
    pub(crate) model: Model,
    map: AddressMap,
    targets: TargetCache,
    variables: VariableMap,
    /// Halfwords that changed lately.
    swaps: [Swap; SWAPS],
}

/// What every step looks at, in one piece: near the front of [`Codec`] it is in reach of short
/// instructions.
#[derive(Clone, Debug)]
struct Now {
    facts: Facts,
    stage: Stage,
    /// New bytes so far.
    at: u32,
    last_map: (u32, u32),
    /// The next map entry not yet reached, as (old, new).
    ahead: Option<(u32, u32)>,
    source: u32,
    left: u32,
    exact: bool,
    aimed: bool,
    /// Where the next instruction begins in the source, if they have no alignment.
    instruction: u32,
    /// Source minus new offset of the last copy from the old image, wrapping.
    diagonal: u32,
    actions: u8,
    /// Being spelt out; of no bytes if there is none. (Not an `Option`: a blank one is all zeros.)
    missed: Missed,
    /// A reference left to plain comparison, because it was expected to stay as it is; of no bytes if
    /// there is none.
    unsure: Reference,
    swap_results: u8,
    /// The last label and the last literal pool: old offset, and how far beside the map it went.
    nearby: [(u32, u32); 2],
    trail: Trail,
    /// Last two results by kind of reference.
    results: [u8; 8],
}

/// The recent past.
#[derive(Clone, Copy, Debug)]
struct Trail {
    /// Last new bytes, the latest lowest.
    bytes: u32,
    /// Recent flags, 1 = wrong.
    wrong: u8,
    /// Right bytes since the last wrong one.
    run: u32,
    /// The last difference.
    difference: u8,
    /// The next halfword is the second of a 32-bit instruction.
    second: bool,
    /// The last thing coded was a reference, predicted wrongly.
    missed: bool,
}

impl Trail {
    const NOTHING: Self =
        Self { bytes: 0, wrong: 0, run: 0, difference: 0, second: false, missed: false };
}

impl Now {
    /// Nothing walked yet.
    const NOTHING: Self = Self {
        facts: Facts::NOTHING,
        stage: Stage::Map { number: 0 },
        at: 0,
        last_map: (0, 0),
        ahead: None,
        source: 0,
        left: 0,
        exact: false,
        aimed: false,
        instruction: 0,
        diagonal: 0,
        actions: 0,
        missed: Missed::NONE,
        unsure: Reference::NONE,
        swap_results: 0,
        nearby: [(0, 0); 2],
        trail: Trail::NOTHING,
        results: [0; 8],
    };
}

impl Codec {
    /// Ready to walk.
    #[cfg(feature = "make")]
    pub(crate) fn new(facts: Facts) -> Self {
        let mut codec = Self::blank();
        codec.begin(facts);
        codec
    }

    /// Mostly zeros, so that it is built where it stays. [`begin`](Self::begin) makes it usable.
    pub(crate) const fn blank() -> Self {
        Self {
            now: Now::NOTHING,
            model: Model::blank(),
            map: AddressMap::new(),
            targets: TargetCache::blank(),
            variables: VariableMap::new(),
            swaps: [Swap::NONE; SWAPS],
        }
    }

    /// Takes over what a header says, before the first step.
    pub(crate) fn begin(&mut self, facts: Facts) {
        // Field by field: a whole new value would stand on the stack first.
        let Self { now, model, map, targets, variables, swaps } = self;
        model.begin();
        map.begin();
        targets.begin();
        variables.begin();
        swaps.fill(Swap::NONE);
        *now = Now::NOTHING;
        now.facts = facts;
    }

    /// Whether the new image is whole.
    pub(crate) fn done(&self) -> bool {
        self.now.stage == Stage::Done
    }

    /// Codes the next thing.
    pub(crate) fn step<C: Coder, S: Scene>(
        &mut self,
        coder: &mut C,
        scene: &mut S,
    ) -> Result<(), Nonsense> {
        match self.now.stage {
            Stage::Map { number } => self.map_entry(coder, scene, number),
            Stage::Between => self.between(coder, scene),
            Stage::Copy => {
                self.copy(coder, scene);
                Ok(())
            }
            Stage::Done => Ok(()),
        }
    }

    fn map_entry<C: Coder, S: Scene>(
        &mut self,
        coder: &mut C,
        scene: &mut S,
        number: u32,
    ) -> Result<(), Nonsense> {
        if self.now.facts.map_entries > MAP_ENTRIES_MAX as u32 {
            return Err(Nonsense);
        }
        if number >= self.now.facts.map_entries {
            self.now.ahead = self.map.next_from(0);
            self.now.stage = Stage::Between;
            return Ok(());
        }
        let (old, new) = scene.map_entry(number);
        let (last_old, last_new) = self.now.last_map;
        let first = u32::from(number == 0);
        let gap = self.model.number(
            coder,
            Number::MapGap,
            new.wrapping_sub(last_new).wrapping_sub(1).wrapping_add(first) & 0xFF_FFFF,
            Kind::Map,
        );
        let new = last_new + gap + 1 - first;
        let turn = old.wrapping_sub(new).wrapping_sub(last_old.wrapping_sub(last_new));
        let turn = self.turn(coder, slots::MAP, Number::MapTurn, turn, Kind::Map);
        let old = new.wrapping_add(last_old.wrapping_sub(last_new)).wrapping_add(turn);
        if new >= self.now.facts.new_len || old >= self.now.facts.old_len {
            return Err(Nonsense);
        }
        self.map.add(old, new);
        self.now.last_map = (old, new);
        self.now.stage = Stage::Map { number: number + 1 };
        Ok(())
    }

    /// A signed change, wrapping: zero or not, sign, size.
    fn turn<C: Coder>(
        &mut self,
        coder: &mut C,
        slot: usize,
        number: Number,
        turn: u32,
        kind: Kind,
    ) -> u32 {
        let model = &mut self.model;
        if model.bit(coder, slot, limit::NUMBER, turn == 0, kind) {
            return 0;
        }
        let down = model.bit(coder, slot + 1, limit::NUMBER, (turn as i32) < 0, kind);
        let size = if down { turn.wrapping_neg() } else { turn };
        let size = model.number(coder, number, size.wrapping_sub(1) & 0xFF_FFFF, kind) + 1;
        if down { size.wrapping_neg() } else { size }
    }

    fn between<C: Coder, S: Scene>(
        &mut self,
        coder: &mut C,
        scene: &mut S,
    ) -> Result<(), Nonsense> {
        if self.now.at >= self.now.facts.new_len {
            self.now.stage = Stage::Done;
            return Ok(());
        }
        let limit = self.now.ahead.map_or(self.now.facts.new_len, |(_, new)| new);
        if self.now.at == limit {
            return self.cover(coder, scene);
        }
        if limit < self.now.at {
            return Err(Nonsense);
        }
        let room = limit - self.now.at;
        let action = scene.plan(self.now.at);
        let copies = matches!(action, Action::Copy { .. });
        let slot = slots::ACTION + usize::from(self.now.actions & 3);
        let copies = self.model.bit(coder, slot, limit::NUMBER, copies, Kind::Copies);
        self.now.actions = self.now.actions << 1 | u8::from(copies);
        if !copies {
            self.literals(coder, scene, room);
            return Ok(());
        }
        let (source, len, exact, aimed) = match action {
            Action::Copy { source, len, exact, aimed } => (source, len, exact, aimed),
            Action::Literal => (0, 1, false, false),
        };
        let Facts { old_len, .. } = self.now.facts;
        let from_new =
            self.model.bit(coder, slots::COPY, limit::NUMBER, source >= old_len, Kind::Copies);
        let source = if from_new {
            let back = (old_len + self.now.at).wrapping_sub(source).wrapping_sub(1) & 0xFF_FFFF;
            let back = self.model.number(coder, Number::Back, back, Kind::Copies) + 1;
            if back > self.now.at {
                return Err(Nonsense);
            }
            old_len + self.now.at - back
        } else {
            let expected = self.now.at.wrapping_add(self.now.diagonal);
            let turn = source.wrapping_sub(expected);
            let turn = self.turn(coder, slots::COPY + 2, Number::Turn, turn, Kind::Copies);
            let source = expected.wrapping_add(turn);
            if source >= old_len {
                return Err(Nonsense);
            }
            self.now.diagonal = source.wrapping_sub(self.now.at);
            source
        };
        let len = self.model.number(coder, Number::Length, len.wrapping_sub(1), Kind::Copies) + 1;
        if len > room || (!from_new && len > old_len - source) {
            return Err(Nonsense);
        }
        let exact = self.model.bit(coder, slots::COPY + 4, limit::NUMBER, exact, Kind::Copies);
        self.begin_copy(coder, source, len, exact, aimed);
        Ok(())
    }

    fn begin_copy<C: Coder>(
        &mut self,
        coder: &mut C,
        source: u32,
        len: u32,
        exact: bool,
        aimed: bool,
    ) {
        self.now.source = source;
        self.now.instruction = source;
        self.now.left = len;
        self.now.exact = exact;
        self.now.aimed = !exact
            && self.now.facts.isa != Isa::None
            && self.model.bit(coder, slots::COPY + 5, limit::NUMBER, aimed, Kind::Copies);
        self.now.stage = if len == 0 { Stage::Between } else { Stage::Copy };
    }

    /// A map entry is reached: the copy it announced.
    fn cover<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S) -> Result<(), Nonsense> {
        let Some((old, _)) = self.now.ahead else { return Err(Nonsense) };
        self.now.ahead = self.map.next_from(self.now.at + 1);
        let end = self.now.ahead.map_or(self.now.facts.new_len, |(_, new)| new);
        let room = (end - self.now.at).min(self.now.facts.old_len - old);
        let (len, aimed) = match scene.plan(self.now.at) {
            Action::Copy { len, aimed, .. } => (len, aimed),
            Action::Literal => (0, false),
        };
        let tail = room.wrapping_sub(len) & 0xFF_FFFF;
        let tail = self.model.number(coder, Number::Tail, tail, Kind::Copies);
        if tail > room {
            return Err(Nonsense);
        }
        self.now.diagonal = old.wrapping_sub(self.now.at);
        self.begin_copy(coder, old, room - tail, false, aimed);
        Ok(())
    }

    fn copy<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S) {
        self.now.unsure.bytes = 0;
        if self.now.exact {
            let byte = scene.source(self.now.source);
            self.put(scene, byte, false);
            self.now.trail.run = self.now.trail.run.saturating_add(1);
        } else if self.now.missed.bytes != 0 {
            self.spell(coder, scene);
        } else if !self.now.aimed || !self.reference(coder, scene) {
            let halves = self.now.facts.isa.has_halves()
                && (self.now.at | self.now.source) & 1 == 0
                && self.now.left >= 2
                && self.now.source + 1 < self.source_end();
            if halves {
                let before = self.now.at;
                self.half(coder, scene);
                self.learn_unsure(before);
            } else {
                self.byte(coder, scene);
            }
        }
        if self.now.left == 0 {
            self.now.missed.bytes = 0;
            self.now.stage = Stage::Between;
        }
    }

    /// One past the last byte that a copy from here may look at, counted as `source` is.
    fn source_end(&self) -> u32 {
        let Facts { old_len, .. } = self.now.facts;
        if self.now.source < old_len { old_len } else { old_len + self.now.at }
    }

    fn put<S: Scene>(&mut self, scene: &mut S, byte: u8, literal: bool) {
        scene.put(byte);
        let trail = &mut self.now.trail;
        trail.bytes = trail.bytes << 8 | u32::from(byte);
        if self.now.at & 1 == 1 {
            trail.second = !trail.second && byte >> 3 >= 0x1D;
        }
        self.now.at += 1;
        if !literal {
            self.now.source += 1;
            self.now.left = self.now.left.saturating_sub(1);
        }
    }
}
