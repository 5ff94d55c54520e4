//! References in copied bytes: predicted through the map, one decision each, spelt out if wrong.

use super::bytes::Part;
use super::layout::slots;
use super::{Codec, Facts, Scene};
use crate::coder::{Coder, Kind};
use crate::isa::{Isa, Reference, Variable, Window, xtensa};
use crate::model::limit;

/// Labels and literal pools nearer than this to the last one are expected to move with it.
const NEAR: u32 = 64;
/// Tables are looked for within so many right bytes of a change.
const WORD_POINTER_RUN: u32 = 32;

/// Context numbers of the decisions, after the four kinds of references from the old image.
mod kind {
    /// The fourth kind is free on AVR.
    pub(super) const WORD_POINTER: u8 = 3;
    pub(super) const FROM_NEW: u8 = 4;
    pub(super) const VARIABLE: u8 = 5;
    pub(super) const MAYBE_VARIABLE: u8 = 6;
    pub(super) const POINTER: u8 = 7;
}

/// A reference whose bytes are being spelt out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Missed {
    what: What,
    expected: Window,
    got: Window,
    /// How many there are; none if nothing is being spelt out.
    pub(super) bytes: u8,
    done: u8,
    /// Some byte so far was another than expected.
    differs: bool,
}

impl Missed {
    pub(super) const NONE: Self = Self {
        what: What::Pointer { word: 0 },
        expected: Window::new(0, 0),
        got: Window::new(0, 0),
        bytes: 0,
        done: 0,
        differs: false,
    };
}

#[derive(Clone, Copy, Debug)]
enum What {
    Pointer { word: u32 },
    Branch { found: Reference, at: u32 },
    WordPointer { word: u32 },
    Variable { found: Variable, at: u32 },
}

impl What {
    fn account(self) -> Kind {
        match self {
            Self::Branch { .. } => Kind::Branches,
            Self::Pointer { .. } | Self::WordPointer { .. } => Kind::Pointers,
            Self::Variable { .. } => Kind::Variables,
        }
    }
}

/// What is expected, before it is known to be right or wrong.
struct Guess {
    what: What,
    expected: Window,
    bytes: u8,
    /// Context number, below 8.
    kind: u8,
    /// The target was seen before.
    known: bool,
    /// Nothing is expected to change.
    same: bool,
    /// If wrong, the bytes are spelt out beside what was expected; otherwise it was only a try.
    firm: bool,
}

impl Codec {
    /// Where an old offset is expected to have gone, and whether that was seen before.
    fn went(&self, target: u32) -> (u32, bool) {
        if target >= self.now.facts.old_len {
            return (target, false);
        }
        if let Some(seen) = self.targets.find(target) {
            return (seen, true);
        }
        (target.wrapping_add(self.map.shift(target)), false)
    }

    /// What follows in the source, zeros past its end.
    fn window<S: Scene>(&self, scene: &mut S) -> Window {
        let mut bytes = Window::default();
        for (i, at) in (0..Window::BYTES).zip(self.now.source..self.source_end()) {
            bytes.fill(i, scene.source(at));
        }
        bytes
    }

    fn truth<S: Scene>(at: u32, scene: &mut S, bytes: u8) -> Window {
        let mut truth = Window::default();
        for i in 0..u32::from(bytes) {
            truth.fill(i, scene.truth(at + i));
        }
        truth
    }

    /// Tries to predict a whole reference; false if there is none here.
    // Not inlined: a device's stack is deepest where there is none, below `flag` and `difference`.
    #[inline(never)]
    pub(super) fn reference<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S) -> bool {
        let bytes = self.window(scene);
        let guess = self
            .pointer(bytes)
            .or_else(|| self.variable(bytes))
            .or_else(|| self.branch(bytes))
            .or_else(|| self.word_pointer(bytes));
        let Some(guess) = guess else { return false };
        self.expect(coder, scene, guess)
    }

    /// An aligned word of the old image that lies inside it.
    fn pointer(&self, bytes: Window) -> Option<Guess> {
        let Facts { isa, old_len, base, .. } = self.now.facts;
        let may = isa.has_word_pointers()
            && self.now.at.is_multiple_of(4)
            && self.now.left >= 4
            && self.now.source < old_len;
        let base = base.filter(|_| may)?;
        let word = bytes.low;
        let target = (word & !1).wrapping_sub(base);
        if target >= old_len || word < 0x40 {
            return None;
        }
        let (to, known) = self.went(target);
        let moved = word.wrapping_add(to.wrapping_sub(target));
        let expected = Window { low: moved, ..bytes };
        let (what, same) = (What::Pointer { word }, expected == bytes);
        Some(Guess { what, expected, bytes: 4, kind: kind::POINTER, known, same, firm: true })
    }

    /// A RAM address in the old image.
    fn variable(&self, bytes: Window) -> Option<Guess> {
        let Facts { isa, old_len, .. } = self.now.facts;
        let found = isa
            .variable(bytes, self.now.source, self.now.at.is_multiple_of(4))
            .filter(|found| self.now.source < old_len && u32::from(found.bytes) <= self.now.left)?;
        let (shift, known) = self.variables.shift(found.address);
        if shift == 0 && !found.always {
            return None;
        }
        Some(Guess {
            what: What::Variable { found, at: self.now.at },
            expected: isa.move_variable(bytes, found.address.wrapping_add(shift)),
            bytes: found.bytes,
            kind: if found.always { kind::VARIABLE } else { kind::MAYBE_VARIABLE },
            known,
            same: shift == 0,
            firm: found.always,
        })
    }

    /// A branch, a call, or a load from a literal pool.
    fn branch(&mut self, bytes: Window) -> Option<Guess> {
        let Facts { isa, old_len, .. } = self.now.facts;
        if cfg!(feature = "thumb") && isa == Isa::Thumb && self.now.trail.second {
            return None;
        }
        if cfg!(feature = "xtensa") && isa == Isa::Xtensa {
            if self.now.source < self.now.instruction {
                return None;
            }
            self.now.instruction = self.now.source + xtensa::instruction_bytes(bytes.byte(0));
        }
        let from_old = self.now.source < old_len;
        let place = if from_old { self.now.source } else { self.now.source - old_len };
        let found =
            isa.find(bytes, place).filter(|found| u32::from(found.bytes) <= self.now.left)?;
        let (mut target, mut known) = (found.target, false);
        if from_old {
            (target, known) = self.went(found.target);
            if !known && let Some(nearby) = self.now.nearby.get(self.neighbour(found)) {
                let (last, beside) = *nearby;
                if last.wrapping_sub(found.target).wrapping_add(NEAR) < 2 * NEAR {
                    target = target.wrapping_add(beside);
                }
            }
        }
        let expected = isa.aim(bytes, self.now.at, target)?;
        let same = expected == bytes;
        if same && !found.always {
            self.now.unsure = found;
            return None;
        }
        let what = What::Branch { found, at: self.now.at };
        let kind = if from_old { found.kind & 3 } else { kind::FROM_NEW };
        Some(Guess { what, expected, bytes: found.bytes, kind, known, same, firm: found.always })
    }

    /// AVR: a 16-bit word address in a table. Any two bytes could be one, so it is tried only near a
    /// change, or after another one.
    fn word_pointer(&self, bytes: Window) -> Option<Guess> {
        let Facts { isa, old_len, .. } = self.now.facts;
        let right = self.now.results[usize::from(kind::WORD_POINTER)] & 1 == 0;
        let may = cfg!(feature = "avr")
            && isa == Isa::Avr
            && self.now.left >= 2
            && self.now.source < old_len
            && (right || self.now.trail.run < WORD_POINTER_RUN);
        let word = bytes.low & 0xFFFF;
        if !may || word * 2 >= old_len {
            return None;
        }
        let (to, known) = self.went(word * 2);
        let expected = Window { low: bytes.low & 0xFFFF_0000 | to >> 1 & 0xFFFF, ..bytes };
        if expected == bytes {
            return None;
        }
        let what = What::WordPointer { word };
        Some(Guess {
            what,
            expected,
            bytes: 2,
            kind: kind::WORD_POINTER,
            known,
            same: false,
            firm: false,
        })
    }

    /// Which of [`Codec::nearby`] a reference belongs to; past the end if none.
    fn neighbour(&self, found: Reference) -> usize {
        match (self.now.facts.isa, found.kind) {
            (Isa::Thumb, 2) => 0,
            (Isa::Thumb, 3) => 1,
            _ => usize::MAX,
        }
    }

    /// Whether the guess is right; false if it is not and was only a try.
    fn expect<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S, guess: Guess) -> bool {
        let Guess { what, expected, bytes, kind, known, same, firm } = guess;
        let results = &mut self.now.results[usize::from(kind) % 8];
        let context = usize::from(kind % 8) << 5
            | usize::from(*results & 3) << 3
            | usize::from(known) << 2
            | usize::from(same) << 1
            | usize::from(self.now.trail.missed);
        let truth = Self::truth(self.now.at, scene, bytes);
        let right = (0..u32::from(bytes)).all(|i| truth.byte(i) == expected.byte(i));
        let slot = slots::REFERENCE + context;
        let right = self.model.bit(coder, slot, limit::REFERENCE, right, what.account());
        *results = *results << 1 | u8::from(!right);
        if !right && !firm {
            if let What::Branch { found, .. } = what {
                self.now.unsure = found;
            }
            return false;
        }
        self.now.trail.missed = !right;
        self.now.trail.wrong = self.now.trail.wrong << 1 | u8::from(!right);
        if right {
            for i in 0..u32::from(bytes) {
                self.put(scene, expected.byte(i), false);
            }
            self.now.trail.run = self.now.trail.run.saturating_add(u32::from(bytes));
            self.learn_target(what, expected);
        } else {
            self.now.trail.run = 0;
            self.now.missed = Missed { what, expected, bytes, ..Missed::NONE };
        }
        true
    }

    /// A byte of a reference that was predicted wrongly.
    pub(super) fn spell<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S) {
        let missed = self.now.missed;
        let i = u32::from(missed.done) % Window::BYTES;
        let expected = missed.expected.byte(i);
        let kind = missed.what.account();
        let truth = scene.truth(self.now.at);
        let slot = slots::SPELT
            + (kind as usize - Kind::Branches as usize) * 8
            + i.min(3) as usize * 2
            + usize::from(missed.differs);
        let same = self.model.bit(coder, slot, limit::REFERENCE, truth == expected, kind);
        let byte = if same {
            expected
        } else {
            self.difference(coder, Part::Byte, expected, 0, truth, kind)
        };
        self.put(scene, byte, false);
        let missed = &mut self.now.missed;
        missed.got.fill(i, byte);
        missed.differs |= byte != expected;
        missed.done += 1;
        if missed.done >= missed.bytes {
            let Missed { what, got, .. } = *missed;
            missed.bytes = 0;
            self.learn_target(what, got);
        }
    }

    /// A two-byte reference that was expected to stay turned out otherwise: remember where it went.
    pub(super) fn learn_unsure(&mut self, at: u32) {
        let found = self.now.unsure;
        self.now.unsure.bytes = 0;
        if found.bytes != 2 {
            return;
        }
        let half = (self.now.trail.bytes as u16).swap_bytes();
        if let Some(now) = self.now.facts.isa.find(Window::new(u32::from(half), 0), at)
            && now.kind == found.kind
        {
            if self.now.trail.wrong & 1 != 0 {
                self.targets.keep(found.target, now.target);
            }
            self.keep_nearby(found, now.target);
        }
    }

    fn keep_nearby(&mut self, found: Reference, to: u32) {
        let mapped = found.target.wrapping_add(self.map.shift(found.target));
        let neighbour = self.neighbour(found);
        if let Some(nearby) = self.now.nearby.get_mut(neighbour) {
            *nearby = (found.target, to.wrapping_sub(mapped));
        }
    }

    /// A reference's new bytes are known: remember where it went.
    fn learn_target(&mut self, what: What, got: Window) {
        let Facts { isa, old_len, base, .. } = self.now.facts;
        match what {
            What::Branch { found, at } => {
                if found.target < old_len
                    && let Some(now) = isa.find(got, at)
                    && now.kind == found.kind
                {
                    self.targets.keep(found.target, now.target);
                    self.keep_nearby(found, now.target);
                }
            }
            What::Pointer { word } => {
                if let Some(base) = base {
                    let target = (word & !1).wrapping_sub(base);
                    let moved = got.low.wrapping_sub(word);
                    self.targets.keep(target, target.wrapping_add(moved));
                }
            }
            What::WordPointer { word } => {
                self.targets.keep(word * 2, (got.low & 0xFFFF) * 2);
            }
            What::Variable { found, at } => {
                if let Some(now) = isa.variable(got, at, true) {
                    let shift = now.address.wrapping_sub(found.address);
                    if shift.wrapping_add(0x2_0000) < 0x4_0000 {
                        self.variables.keep(found.address, shift);
                    }
                }
            }
        }
    }
}
