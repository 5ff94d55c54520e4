//! One walk through the new image, front to back, the same for writer and reader.
//!
//! Owns the order of decisions and their contexts ([`Codec::step`]). The images, the writer's plan
//! and the output are behind [`Scene`]; the coded bits are behind [`Coder`]. A reader's step consumes
//! at most 104 bytes of patch, so a patch may arrive in any chunking.

use crate::coder::{Coder, Kind};
use crate::isa::{Isa, Reference, Variable, WINDOW};
use crate::map::{AddressMap, MAP_ENTRIES_MAX, TargetCache, VariableMap};
use crate::model::{Mix, Model, Number, hashed, limit};

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
pub(crate) enum Stage {
    Map { number: u32 },
    Between,
    Copy,
    Done,
}

/// A reference whose bytes are being spelt out.
#[derive(Clone, Copy, Debug)]
struct Missed {
    what: What,
    expected: [u8; WINDOW],
    got: [u8; WINDOW],
    bytes: u8,
    done: u8,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Branch { found: Reference, at: u32 },
    Pointer { word: u32 },
    Variable { found: Variable, at: u32 },
}

/// Everything a walk remembers.
#[derive(Clone, Debug)]
pub(crate) struct Codec {
    facts: Facts,
    model: Model,
    map: AddressMap,
    targets: TargetCache,
    variables: VariableMap,
    pub(crate) stage: Stage,
    /// New bytes so far.
    pub(crate) at: u32,
    last_map: (u32, u32),
    /// The next map entry not yet reached, as (old, new).
    ahead: Option<(u32, u32)>,
    source: u32,
    left: u32,
    exact: bool,
    aimed: bool,
    /// Source minus new offset of the last copy from the old image, wrapping.
    diagonal: u32,
    actions: u8,
    missed: Option<Missed>,
    trail: Trail,
    /// Last two results by kind of reference.
    results: [u8; 16],
}

/// The recent past.
#[derive(Clone, Copy, Debug, Default)]
struct Trail {
    /// Last new bytes, the latest lowest.
    bytes: u32,
    /// Recent flags, 1 = wrong.
    wrong: u8,
    /// Right bytes since the last wrong one.
    run: u32,
    d1: u8,
    d2: u8,
    /// Right bytes since the last difference.
    gap: u32,
    /// The next halfword is the second of a 32-bit instruction.
    second: bool,
    missed: bool,
}

mod slots {
    pub(super) const FLAG: [usize; 4] = [0, 256, 384, 512];
    pub(super) const DIFFERENCE: [usize; 5] = [640, 704, 768, 832, 896];
    pub(super) const DIFFERENCE_BITS: u32 = 6;
    pub(super) const LITERAL: [usize; 6] = [960, 1088, 1216, 1344, 1472, 1600];
    pub(super) const LITERAL_BITS: u32 = 7;
    pub(super) const REFERENCE: usize = 1728;
    pub(super) const SPELT: usize = 1984;
    pub(super) const ACTION: usize = 2008;
    pub(super) const MAP: usize = 2012;
    pub(super) const COPY: usize = 2016;
}

mod weights {
    pub(super) const FLAG: usize = 0;
    pub(super) const FLAG_SETS: usize = 16;
    pub(super) const DIFFERENCE: usize = FLAG + FLAG_SETS * 4;
    pub(super) const LITERAL: usize = DIFFERENCE + 80;
    pub(super) const END: usize = LITERAL + 6 * 24;
}

impl Codec {
    pub(crate) fn new(facts: Facts) -> Self {
        let mut model = Model::new();
        model.set_weights(weights::FLAG, weights::FLAG_SETS * 4, 1434);
        model.set_weights(weights::DIFFERENCE, 80, 1229);
        model.set_weights(weights::LITERAL, weights::END - weights::LITERAL, 1229);
        Self {
            facts,
            model,
            map: AddressMap::new(),
            targets: TargetCache::new(),
            variables: VariableMap::new(),
            stage: Stage::Map { number: 0 },
            at: 0,
            last_map: (0, 0),
            ahead: None,
            source: 0,
            left: 0,
            exact: false,
            aimed: false,
            diagonal: 0,
            actions: 0,
            missed: None,
            trail: Trail::default(),
            results: [0; 16],
        }
    }

    /// Takes over what a header says, before the first step.
    pub(crate) fn begin(&mut self, facts: Facts) {
        self.facts = facts;
    }

    /// Codes the next thing.
    pub(crate) fn step<C: Coder, S: Scene>(
        &mut self,
        coder: &mut C,
        scene: &mut S,
    ) -> Result<(), Nonsense> {
        match self.stage {
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
        if self.facts.map_entries > MAP_ENTRIES_MAX as u32 {
            return Err(Nonsense);
        }
        if number >= self.facts.map_entries {
            self.ahead = self.map.next_from(0);
            self.stage = Stage::Between;
            return Ok(());
        }
        let (old, new) = scene.map_entry(number);
        let (last_old, last_new) = self.last_map;
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
        if new >= self.facts.new_len || old >= self.facts.old_len {
            return Err(Nonsense);
        }
        self.map.add(old, new);
        self.last_map = (old, new);
        self.stage = Stage::Map { number: number + 1 };
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
        if self.at >= self.facts.new_len {
            self.stage = Stage::Done;
            return Ok(());
        }
        let limit = self.ahead.map_or(self.facts.new_len, |(_, new)| new);
        if self.at == limit {
            return self.cover(coder, scene);
        }
        if limit < self.at {
            return Err(Nonsense);
        }
        let room = limit - self.at;
        let action = scene.plan(self.at);
        let copies = matches!(action, Action::Copy { .. });
        let slot = slots::ACTION + usize::from(self.actions & 3);
        let copies = self.model.bit(coder, slot, limit::NUMBER, copies, Kind::Copies);
        self.actions = self.actions << 1 | u8::from(copies);
        if !copies {
            self.literals(coder, scene, room);
            return Ok(());
        }
        let (source, len, exact, aimed) = match action {
            Action::Copy { source, len, exact, aimed } => (source, len, exact, aimed),
            Action::Literal => (0, 1, false, false),
        };
        let Facts { old_len, .. } = self.facts;
        let from_new =
            self.model.bit(coder, slots::COPY, limit::NUMBER, source >= old_len, Kind::Copies);
        let source = if from_new {
            let back = (old_len + self.at).wrapping_sub(source).wrapping_sub(1) & 0xFF_FFFF;
            let back = self.model.number(coder, Number::Back, back, Kind::Copies) + 1;
            if back > self.at {
                return Err(Nonsense);
            }
            old_len + self.at - back
        } else {
            let expected = self.at.wrapping_add(self.diagonal);
            let turn = source.wrapping_sub(expected);
            let turn = self.turn(coder, slots::COPY + 2, Number::Turn, turn, Kind::Copies);
            let source = expected.wrapping_add(turn);
            if source >= old_len {
                return Err(Nonsense);
            }
            self.diagonal = source.wrapping_sub(self.at);
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
        self.source = source;
        self.left = len;
        self.exact = exact;
        self.aimed = !exact
            && self.facts.isa != Isa::None
            && self.model.bit(coder, slots::COPY + 5, limit::NUMBER, aimed, Kind::Copies);
        self.stage = if len == 0 { Stage::Between } else { Stage::Copy };
    }

    /// A map entry is reached: the copy it announced.
    fn cover<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S) -> Result<(), Nonsense> {
        let Some((old, _)) = self.ahead else { return Err(Nonsense) };
        self.ahead = self.map.next_from(self.at + 1);
        let end = self.ahead.map_or(self.facts.new_len, |(_, new)| new);
        let room = (end - self.at).min(self.facts.old_len - old);
        let (len, aimed) = match scene.plan(self.at) {
            Action::Copy { len, aimed, .. } => (len, aimed),
            Action::Literal => (0, false),
        };
        let tail = room.wrapping_sub(len) & 0xFF_FFFF;
        let tail = self.model.number(coder, Number::Tail, tail, Kind::Copies);
        if tail > room {
            return Err(Nonsense);
        }
        self.diagonal = old.wrapping_sub(self.at);
        self.begin_copy(coder, old, room - tail, false, aimed);
        Ok(())
    }

    fn copy<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S) {
        if self.exact {
            let byte = scene.source(self.source);
            self.put(scene, byte, false);
            self.trail.run = self.trail.run.saturating_add(1);
        } else if self.missed.is_some() {
            self.spell(coder, scene);
        } else if !self.aimed || !self.reference(coder, scene) {
            self.compared(coder, scene);
        }
        if self.left == 0 {
            self.missed = None;
            self.stage = Stage::Between;
        }
    }

    fn window<S: Scene>(&self, scene: &mut S) -> [u8; WINDOW] {
        let end = if self.source < self.facts.old_len {
            self.facts.old_len
        } else {
            self.facts.old_len + self.at
        };
        let mut bytes = [0; WINDOW];
        for (i, byte) in bytes.iter_mut().enumerate() {
            let at = self.source + i as u32;
            if at < end {
                *byte = scene.source(at);
            }
        }
        bytes
    }

    fn truth<S: Scene>(&self, scene: &mut S, bytes: u8) -> [u8; WINDOW] {
        let mut truth = [0; WINDOW];
        for (i, byte) in truth.iter_mut().enumerate().take(usize::from(bytes)) {
            *byte = scene.truth(self.at + i as u32);
        }
        truth
    }

    /// Tries to predict a whole reference; false if there is none here.
    fn reference<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S) -> bool {
        let Facts { isa, old_len, base, .. } = self.facts;
        let from_old = self.source < old_len;
        let place = if from_old { self.source } else { self.source - old_len };
        let bytes = self.window(scene);
        let aligned = self.at.is_multiple_of(4);
        if isa.has_word_pointers()
            && aligned
            && self.left >= 4
            && from_old
            && let Some(base) = base
        {
            let [a, b, c, d, ..] = bytes;
            let word = u32::from_le_bytes([a, b, c, d]);
            let target = (word & !1).wrapping_sub(base);
            if target < old_len && word >= 0x40 {
                let known = self.targets.find(target);
                let to = known.unwrap_or_else(|| target.wrapping_add(self.map.shift(target)));
                let mut expected = bytes;
                for (e, v) in
                    expected.iter_mut().zip((to.wrapping_add(base) | word & 1).to_le_bytes())
                {
                    *e = v;
                }
                let same = expected == bytes;
                let what = What::Pointer { word };
                let guess = Missed { what, expected, got: [0; WINDOW], bytes: 4, done: 0 };
                self.expect(coder, scene, guess, 7, known.is_some(), same, Kind::Pointers);
                return true;
            }
        }
        if from_old
            && let Some(found) = isa.variable(bytes, place, aligned)
            && u32::from(found.bytes) <= self.left
        {
            let (shift, exact) = self.variables.shift(found.address);
            if found.always || shift != 0 {
                let expected = isa.move_variable(bytes, found.address.wrapping_add(shift));
                let what = What::Variable { found, at: self.at };
                let guess =
                    Missed { what, expected, got: [0; WINDOW], bytes: found.bytes, done: 0 };
                let kind = if found.always { 5 } else { 6 };
                self.expect(coder, scene, guess, kind, exact, shift == 0, Kind::Variables);
                return true;
            }
        }
        if let Some(found) = isa.find(bytes, place)
            && u32::from(found.bytes) <= self.left
        {
            let known = if from_old { self.targets.find(found.target) } else { None };
            let target = match known {
                Some(target) => target,
                None if from_old && found.target < old_len => {
                    found.target.wrapping_add(self.map.shift(found.target))
                }
                None => found.target,
            };
            let Some(expected) = isa.aim(bytes, self.at, target) else { return false };
            let same = expected == bytes;
            if same && !found.always {
                return false;
            }
            let what = What::Branch { found, at: self.at };
            let kind = if from_old { found.kind & 3 } else { 4 };
            self.expect(
                coder,
                scene,
                Missed { what, expected, got: [0; WINDOW], bytes: found.bytes, done: 0 },
                kind,
                known.is_some(),
                same,
                Kind::Branches,
            );
            return true;
        }
        false
    }

    #[allow(clippy::too_many_arguments, reason = "one decision, its contexts")]
    fn expect<C: Coder, S: Scene>(
        &mut self,
        coder: &mut C,
        scene: &mut S,
        mut guess: Missed,
        kind: u8,
        known: bool,
        same: bool,
        account: Kind,
    ) {
        let truth = self.truth(scene, guess.bytes);
        let results = &mut self.results[usize::from(kind) % 16];
        let context = usize::from(kind) << 5
            | usize::from(*results & 3) << 3
            | usize::from(known) << 2
            | usize::from(same) << 1
            | usize::from(self.trail.missed);
        let used = usize::from(guess.bytes);
        let right = truth.get(..used) == guess.expected.get(..used);
        let right = self.model.bit(
            coder,
            slots::REFERENCE + context % 256,
            limit::REFERENCE,
            right,
            account,
        );
        *results = *results << 1 | u8::from(!right);
        self.trail.missed = !right;
        if right {
            for byte in guess.expected.iter().take(used) {
                self.put(scene, *byte, false);
            }
            self.trail.run = self.trail.run.saturating_add(u32::from(guess.bytes));
            self.trail.wrong <<= 1;
            guess.got = guess.expected;
            self.learn_target(&guess);
        } else {
            self.trail.run = 0;
            self.trail.wrong = self.trail.wrong << 1 | 1;
            self.missed = Some(guess);
        }
    }

    /// A byte of a reference that was predicted wrongly.
    fn spell<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S) {
        let Some(mut missed) = self.missed else { return };
        let i = usize::from(missed.done) % WINDOW;
        let expected = missed.expected[i];
        let kind = match missed.what {
            What::Branch { .. } => Kind::Branches,
            What::Pointer { .. } => Kind::Pointers,
            What::Variable { .. } => Kind::Variables,
        };
        let any_wrong = missed.got.get(..i) != missed.expected.get(..i);
        let truth = scene.truth(self.at);
        let slot = slots::SPELT
            + (kind as usize - Kind::Branches as usize) * 8
            + i.min(3) * 2
            + usize::from(any_wrong);
        let same = self.model.bit(coder, slot, limit::REFERENCE, truth == expected, kind);
        let byte = if same { expected } else { self.difference(coder, expected, truth, kind) };
        self.put(scene, byte, false);
        missed.got[i] = byte;
        missed.done += 1;
        self.missed = Some(missed);
        if missed.done >= missed.bytes {
            self.learn_target(&missed);
            self.missed = None;
        }
    }

    /// A reference's new bytes are known: remember where it went.
    fn learn_target(&mut self, seen: &Missed) {
        let Facts { isa, old_len, base, .. } = self.facts;
        let [a, b, c, d, ..] = seen.got;
        let got = u32::from_le_bytes([a, b, c, d]);
        match seen.what {
            What::Branch { found, at } => {
                if found.bytes == 4
                    && found.target < old_len
                    && let Some(now) = isa.find(seen.got, at)
                    && now.kind == found.kind
                {
                    self.targets.keep(found.target, now.target);
                }
            }
            What::Pointer { word } => {
                if let Some(base) = base {
                    self.targets
                        .keep((word & !1).wrapping_sub(base), (got & !1).wrapping_sub(base));
                }
            }
            What::Variable { found, at } => {
                if let Some(now) = isa.variable(seen.got, at, true) {
                    let shift = now.address.wrapping_sub(found.address);
                    if shift.wrapping_add(0x2_0000) < 0x4_0000 {
                        self.variables.keep(found.address, shift);
                    }
                }
            }
        }
    }

    /// A byte beside an old one: equal or not, and how different.
    fn compared<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S) {
        let old = scene.source(self.source);
        let beside = self.source ^ 1;
        let end = if self.source < self.facts.old_len {
            self.facts.old_len
        } else {
            self.facts.old_len + self.at
        };
        let beside = if beside < end { scene.source(beside) } else { 0 };
        let Trail { wrong, run, .. } = self.trail;
        let class = (32 - run.leading_zeros()).min(14);
        let wrong = u32::from(wrong);
        let phase = self.at & 3;
        // The byte with the opcode, in a little-endian halfword instruction.
        let opcode = if self.source & 1 == 0 { beside } else { old };
        let contexts = [
            (wrong & 15) << 4 | class,
            hashed((wrong & 63) << 2 | phase, 7) as u32,
            hashed(u32::from(old) << 8 | (wrong & 3) << 2 | phase | 0x1_0000, 7) as u32,
            hashed(
                u32::from(opcode) << 8
                    | (class.min(7)) << 2
                    | (self.source & 1) << 1
                    | wrong & 1
                    | 0x2_0000,
                7,
            ) as u32,
        ];
        let mut mix = Mix {
            slots: slots::FLAG,
            weights: weights::FLAG + (class as usize) * 4,
            rate: 41,
            limit: limit::FLAG,
        };
        for (slot, context) in mix.slots.iter_mut().zip(contexts) {
            *slot += context as usize & 255;
        }
        let truth = scene.truth(self.at);
        let right = self.model.mixed(coder, &mix, truth == old, Kind::Flags);
        if right {
            self.trail.run = self.trail.run.saturating_add(1);
            self.trail.gap = self.trail.gap.saturating_add(1);
            self.trail.wrong <<= 1;
            self.put(scene, old, false);
        } else {
            let byte = self.difference(coder, old, truth, Kind::Differences);
            self.trail.run = 0;
            self.trail.wrong = self.trail.wrong << 1 | 1;
            self.put(scene, byte, false);
        }
        self.trail.missed = false;
    }

    /// A byte known to differ from `old`.
    fn difference<C: Coder>(&mut self, coder: &mut C, old: u8, truth: u8, kind: Kind) -> u8 {
        let Trail { d1, d2, gap, .. } = self.trail;
        let (d1, d2, near) = (u32::from(d1), u32::from(d2), gap.min(7));
        let contexts = [
            0,
            d1 << 8 | 0x10_0000,
            d2 << 16 | d1 << 8 | 0x2000_0000,
            u32::from(old) << 8 | 0x30_0000,
            d1 << 12 | near << 8 | 0x4000_0000,
        ];
        let delta = truth.wrapping_sub(old);
        let mut node = 1_u32;
        for i in (0..8).rev() {
            let mut mix = Mix {
                slots: slots::DIFFERENCE,
                weights: weights::DIFFERENCE + (usize::from(gap > 0) * 8 + i) * 5,
                rate: 82,
                limit: limit::DIFFERENCE,
            };
            for (slot, context) in mix.slots.iter_mut().zip(contexts) {
                *slot += hashed((context + node).wrapping_mul(0x2545_F491), slots::DIFFERENCE_BITS);
            }
            let bit = self.model.mixed(coder, &mix, delta >> i & 1 != 0, kind);
            node = node << 1 | u32::from(bit);
        }
        let delta = node as u8;
        self.trail.d2 = self.trail.d1;
        self.trail.d1 = delta;
        self.trail.gap = 0;
        old.wrapping_add(delta)
    }

    /// A unit without an old one beside it: a halfword, upper byte first, where the instruction set
    /// has them; else a byte.
    fn literals<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S, room: u32) {
        let past = self.trail.bytes;
        let (l1, h1, l2, h2) = (past >> 8 & 0xFF, past & 0xFF, past >> 24, past >> 16 & 0xFF);
        if self.facts.isa == Isa::Thumb && self.at.is_multiple_of(2) && room >= 2 {
            let low = scene.truth(self.at);
            let high = scene.truth(self.at + 1);
            let second = u32::from(self.trail.second);
            let high = self.literal(
                coder,
                high,
                0,
                [
                    second,
                    second << 8 | h1,
                    h2 << 8 | h1,
                    l1 << 8 | h1,
                    h2 << 16 | l2 << 8 | h1,
                    self.at & 2,
                ],
            );
            let h = u32::from(high);
            let low = self.literal(
                coder,
                low,
                1,
                [
                    h >> 3 | second << 5,
                    second << 8 | h,
                    l1 << 8 | h,
                    h1 << 8 | h,
                    h1 << 16 | l1 << 8 | h,
                    l2 << 16 | h2 << 8 | h,
                ],
            );
            self.put(scene, low, true);
            self.put(scene, high, true);
        } else {
            let truth = scene.truth(self.at);
            let phase = self.at & 1;
            let (c1, c2, c3) = (h1, l1, h2);
            let byte = self.literal(
                coder,
                truth,
                2,
                [
                    phase,
                    c1 << 1 | phase,
                    c2 << 8 | c1,
                    c2 << 1 | phase,
                    c3 << 16 | c2 << 8 | c1,
                    self.at & 3,
                ],
            );
            self.put(scene, byte, true);
        }
        self.trail.run = 0;
        self.trail.wrong = self.trail.wrong << 1 | 1;
    }

    fn literal<C: Coder>(&mut self, coder: &mut C, truth: u8, part: u32, contexts: [u32; 6]) -> u8 {
        let mut node = 1_u32;
        for i in (0..8).rev() {
            let mut mix = Mix {
                slots: slots::LITERAL,
                weights: weights::LITERAL + (part as usize * 8 + i) * 6,
                rate: 82,
                limit: limit::LITERAL,
            };
            for (n, (slot, context)) in mix.slots.iter_mut().zip(contexts).enumerate() {
                let context = (context << 2 | part) << 3 | n as u32;
                let context = context.wrapping_mul(0x85EB_CA6B) ^ node.wrapping_mul(0xC2B2_AE35);
                *slot += hashed(context, slots::LITERAL_BITS);
            }
            let bit = self.model.mixed(coder, &mix, truth >> i & 1 != 0, Kind::Literals);
            node = node << 1 | u32::from(bit);
        }
        node as u8
    }

    fn put<S: Scene>(&mut self, scene: &mut S, byte: u8, literal: bool) {
        scene.put(byte);
        let trail = &mut self.trail;
        trail.bytes = trail.bytes << 8 | u32::from(byte);
        if self.at & 1 == 1 {
            trail.second = !trail.second && byte >> 3 >= 0x1D;
        }
        self.at += 1;
        if !literal {
            self.source += 1;
            self.left = self.left.saturating_sub(1);
        }
    }
}
