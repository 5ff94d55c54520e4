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
use crate::isa::{Isa, Window};
use crate::map::{AddressMap, MAP_ENTRIES_MAX, TargetCache, VariableMap};
use crate::model::{Model, Number};
use bytes::{SWAPS, Swap};
use layout::slots;
use refer::{Guess, Pending};
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

/// The patch contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonsense;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Map,
    Between,
    Copy,
    Done,
}

/// Everything a walk remembers.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Codec<C> {
    now: Now,
    pub(crate) model: Model<C>,
    map: AddressMap,
    targets: TargetCache,
    variables: VariableMap,
    /// Halfwords that changed lately.
    swaps: [Swap; SWAPS],
}

/// What every step looks at, in one piece and in this order: short instructions reach 32 bytes or
/// 32 words from the beginning.
#[derive(Clone, Debug)]
#[repr(C)]
struct Now {
    stage: Stage,
    isa: Isa,
    exact: bool,
    aimed: bool,
    /// Recent flags, 1 = wrong.
    wrong: u8,
    /// The last difference.
    difference: u8,
    /// The next halfword is the second of a 32-bit instruction.
    second: bool,
    /// The last thing coded was a reference, predicted wrongly.
    missed: bool,
    actions: u8,
    swap_results: u8,
    /// What [`Guess`] is good for.
    pending: Pending,
    /// Bytes of a reference spelt out so far.
    spelt: u8,
    /// Some of them was another than expected.
    differs: bool,
    out_len: u8,
    /// What the step put so far.
    out: [u8; Window::BYTES as usize],
    guess: Guess,
    /// New bytes so far.
    at: u32,
    source: u32,
    left: u32,
    old_len: u32,
    new_len: u32,
    /// Last new bytes, the latest lowest.
    past: u32,
    /// Right bytes since the last wrong one.
    run: u32,
    /// Source minus new offset of the last copy from the old image, wrapping.
    diagonal: u32,
    /// The next map entry not yet reached, as (old, new).
    ahead: (u32, u32),
    /// Where the next instruction begins in the source, if they have no alignment.
    instruction: u32,
    /// Load address, if pointers are predicted.
    base: Option<u32>,
    last_map: (u32, u32),
    map_entries: u32,
    /// The last label and the last literal pool: old offset, and how far beside the map it went.
    nearby: [(u32, u32); 2],
    /// Last two results by kind of reference.
    results: [u8; 8],
}

impl Now {
    /// Nothing walked yet: all zeros.
    const NOTHING: Self = Self {
        stage: Stage::Map,
        isa: Isa::None,
        exact: false,
        aimed: false,
        wrong: 0,
        difference: 0,
        second: false,
        missed: false,
        actions: 0,
        swap_results: 0,
        pending: Pending::Nothing,
        spelt: 0,
        differs: false,
        out_len: 0,
        out: [0; Window::BYTES as usize],
        guess: Guess::NONE,
        at: 0,
        source: 0,
        left: 0,
        old_len: 0,
        new_len: 0,
        past: 0,
        run: 0,
        diagonal: 0,
        ahead: (0, 0),
        instruction: 0,
        base: None,
        last_map: (0, 0),
        map_entries: 0,
        nearby: [(0, 0); 2],
        results: [0; 8],
    };
}

impl<C: Coder> Codec<C> {
    /// Ready to walk.
    #[cfg(feature = "make")]
    pub(crate) fn new(coder: C, facts: Facts) -> Self {
        let mut codec = Self::blank(coder);
        codec.begin(facts);
        codec
    }

    /// Mostly zeros, so that it is built where it stays. [`begin`](Self::begin) makes it usable.
    pub(crate) const fn blank(coder: C) -> Self {
        Self {
            now: Now::NOTHING,
            model: Model::blank(coder),
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
        let Facts { isa, old_len, new_len, base, map_entries } = facts;
        (now.isa, now.old_len, now.new_len) = (isa, old_len, new_len);
        (now.base, now.map_entries) = (base, map_entries);
    }

    /// Whether the new image is whole.
    pub(crate) fn done(&self) -> bool {
        self.now.stage == Stage::Done
    }

    /// Codes the next thing, and puts the bytes that came of it.
    pub(crate) fn step<S: Scene>(&mut self, scene: &mut S) -> Result<(), Nonsense> {
        match self.now.stage {
            Stage::Map => self.map_entry(scene)?,
            Stage::Between => self.between(scene)?,
            Stage::Copy => self.copy(scene),
            Stage::Done => {}
        }
        for byte in self.now.out.iter().take(usize::from(self.now.out_len)) {
            scene.put(*byte);
        }
        self.now.out_len = 0;
        Ok(())
    }

    // These two spare every caller the way to the model.
    #[inline(never)]
    fn bit(&mut self, slot: usize, bit: bool, kind: Kind) -> bool {
        self.model.bit(slot, bit, kind)
    }

    #[inline(never)]
    fn number(&mut self, which: Number, value: u32, kind: Kind) -> u32 {
        self.model.number(which, value, kind)
    }

    fn map_entry<S: Scene>(&mut self, scene: &mut S) -> Result<(), Nonsense> {
        let number = self.map.len();
        // A full map is the end, whatever the header says.
        if number >= self.now.map_entries.min(MAP_ENTRIES_MAX as u32) {
            self.now.ahead = self.map.next_from(0);
            self.now.stage = Stage::Between;
            return Ok(());
        }
        let (old, new) = scene.map_entry(number);
        let (last_old, last_new) = self.now.last_map;
        let first = u32::from(number == 0);
        let gap = self.number(
            Number::MapGap,
            new.wrapping_sub(last_new).wrapping_sub(1).wrapping_add(first) & 0xFF_FFFF,
            Kind::Map,
        );
        let new = last_new + gap + 1 - first;
        let turn = old.wrapping_sub(new).wrapping_sub(last_old.wrapping_sub(last_new));
        let turn = self.turn(slots::MAP, Number::MapTurn, turn, Kind::Map);
        let old = new.wrapping_add(last_old.wrapping_sub(last_new)).wrapping_add(turn);
        if new >= self.now.new_len || old >= self.now.old_len {
            return Err(Nonsense);
        }
        self.map.add(old, new);
        self.now.last_map = (old, new);
        Ok(())
    }

    /// A signed change, wrapping: zero or not, sign, size.
    fn turn(&mut self, slot: usize, number: Number, turn: u32, kind: Kind) -> u32 {
        if self.bit(slot, turn == 0, kind) {
            return 0;
        }
        let down = self.bit(slot + 1, (turn as i32) < 0, kind);
        let size = if down { turn.wrapping_neg() } else { turn };
        let size = self.number(number, size.wrapping_sub(1) & 0xFF_FFFF, kind) + 1;
        if down { size.wrapping_neg() } else { size }
    }

    fn between<S: Scene>(&mut self, scene: &mut S) -> Result<(), Nonsense> {
        if self.now.at >= self.now.new_len {
            self.now.stage = Stage::Done;
            return Ok(());
        }
        let limit = self.now.ahead.1.min(self.now.new_len);
        if self.now.at == limit {
            return self.cover(scene);
        }
        if limit < self.now.at {
            return Err(Nonsense);
        }
        let room = limit - self.now.at;
        let action = scene.plan(self.now.at);
        let copies = matches!(action, Action::Copy { .. });
        let slot = slots::ACTION + usize::from(self.now.actions & 3);
        let copies = self.bit(slot, copies, Kind::Copies);
        self.now.actions = self.now.actions << 1 | u8::from(copies);
        if !copies {
            self.literals(scene, room);
            return Ok(());
        }
        let (source, len, exact, aimed) = match action {
            Action::Copy { source, len, exact, aimed } => (source, len, exact, aimed),
            Action::Literal => (0, 1, false, false),
        };
        let old_len = self.now.old_len;
        let from_new = self.bit(slots::COPY, source >= old_len, Kind::Copies);
        let source = if from_new {
            let back = (old_len + self.now.at).wrapping_sub(source).wrapping_sub(1) & 0xFF_FFFF;
            let back = self.number(Number::Back, back, Kind::Copies) + 1;
            if back > self.now.at {
                return Err(Nonsense);
            }
            old_len + self.now.at - back
        } else {
            let expected = self.now.at.wrapping_add(self.now.diagonal);
            let turn = source.wrapping_sub(expected);
            let turn = self.turn(slots::COPY + 2, Number::Turn, turn, Kind::Copies);
            let source = expected.wrapping_add(turn);
            if source >= old_len {
                return Err(Nonsense);
            }
            self.now.diagonal = source.wrapping_sub(self.now.at);
            source
        };
        let len = self.number(Number::Length, len.wrapping_sub(1), Kind::Copies) + 1;
        if len > room || (!from_new && len > old_len - source) {
            return Err(Nonsense);
        }
        let exact = self.bit(slots::COPY + 4, exact, Kind::Copies);
        self.begin_copy(source, len, exact, aimed);
        Ok(())
    }

    fn begin_copy(&mut self, source: u32, len: u32, exact: bool, aimed: bool) {
        self.now.source = source;
        self.now.instruction = source;
        self.now.left = len;
        self.now.exact = exact;
        self.now.aimed =
            !exact && self.now.isa != Isa::None && self.bit(slots::COPY + 5, aimed, Kind::Copies);
        self.now.stage = if len == 0 { Stage::Between } else { Stage::Copy };
    }

    /// A map entry is reached: the copy it announced.
    fn cover<S: Scene>(&mut self, scene: &mut S) -> Result<(), Nonsense> {
        let (old, _) = self.now.ahead;
        self.now.ahead = self.map.next_from(self.now.at + 1);
        let end = self.now.ahead.1.min(self.now.new_len);
        let room = (end - self.now.at).min(self.now.old_len - old);
        let (len, aimed) = match scene.plan(self.now.at) {
            Action::Copy { len, aimed, .. } => (len, aimed),
            Action::Literal => (0, false),
        };
        let tail = room.wrapping_sub(len) & 0xFF_FFFF;
        let tail = self.number(Number::Tail, tail, Kind::Copies);
        if tail > room {
            return Err(Nonsense);
        }
        self.now.diagonal = old.wrapping_sub(self.now.at);
        self.begin_copy(old, room - tail, false, aimed);
        Ok(())
    }

    fn copy<S: Scene>(&mut self, scene: &mut S) {
        let wanted = if self.now.aimed { Window::BYTES } else { 2 };
        let bytes = self.window(scene, wanted);
        if self.now.exact {
            let byte = bytes.byte(0);
            self.put(byte);
            self.now.run = self.now.run.saturating_add(1);
        } else if self.now.pending == Pending::Spelling {
            self.spell(scene);
        } else if !self.now.aimed || !self.reference(scene, bytes) {
            let halves = self.now.isa.has_halves()
                && (self.now.at | self.now.source) & 1 == 0
                && self.now.left >= 2
                && self.now.source + 1 < self.source_end();
            if halves {
                self.half(scene, bytes.low);
                self.learn_unsure();
            } else {
                self.byte(scene, bytes.low);
            }
            self.now.pending = Pending::Nothing;
        }
        if self.now.left == 0 {
            self.now.pending = Pending::Nothing;
            self.now.stage = Stage::Between;
        }
    }

    /// One past the last byte that a copy from here may look at, counted as `source` is.
    fn source_end(&self) -> u32 {
        let Now { old_len, .. } = self.now;
        if self.now.source < old_len { old_len } else { old_len + self.now.at }
    }

    /// Bytes are put after the step: until then, what it looks at does not change.
    fn put(&mut self, byte: u8) {
        let now = &mut self.now;
        if let Some(slot) = now.out.get_mut(usize::from(now.out_len)) {
            *slot = byte;
        }
        now.out_len += 1;
        now.past = now.past << 8 | u32::from(byte);
        if now.at & 1 != 0 {
            now.second = !now.second && byte >= 0xE8;
        }
        now.at += 1;
        // Means nothing after a literal: a copy begins with a source of its own.
        now.source = now.source.wrapping_add(1);
        now.left = now.left.saturating_sub(1);
    }
}
