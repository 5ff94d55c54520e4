//! References in copied bytes: predicted through the map, one decision each, spelt out if wrong.

use super::bytes::Part;
use super::layout::slots;
use super::{Codec, Now, Scene};
use crate::coder::{Coder, Kind};
use crate::isa::{Isa, Window, xtensa};

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

/// What a guess was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Branch,
    Pointer,
    Variable,
    WordPointer,
}

impl Sort {
    fn account(self) -> Kind {
        match self {
            Self::Branch => Kind::Branches,
            Self::Pointer | Self::WordPointer => Kind::Pointers,
            Self::Variable => Kind::Variables,
        }
    }
}

/// What the last guess is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pending {
    Nothing,
    /// It was wrong: its bytes are being spelt out.
    Spelling,
    /// A branch left to plain comparison: where it goes is looked at when its bytes are known.
    Unsure,
}

/// A reference and what is expected of it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Guess {
    sort: Sort,
    /// Length in bytes.
    bytes: u8,
    /// Context number, below 8.
    kind: u8,
    /// The kind by which a branch was found.
    found: u8,
    /// The target was seen before.
    known: bool,
    /// Nothing is expected to change.
    same: bool,
    /// If wrong, the bytes are spelt out beside what was expected; otherwise it was only a try.
    firm: bool,
    /// Target or RAM address in the old image.
    key: u32,
    /// Where it begins in the new image.
    at: u32,
    /// The bytes; while they are spelt out, those that came already, then those expected.
    expected: Window,
}

impl Guess {
    pub(super) const NONE: Self = Self {
        sort: Sort::Branch,
        bytes: 0,
        kind: 0,
        found: 0,
        known: false,
        same: false,
        firm: false,
        key: 0,
        at: 0,
        expected: Window::new(0, 0),
    };
}

impl<C: Coder> Codec<C> {
    /// Where an old offset is expected to have gone, and whether that was seen before.
    fn went(&self, target: u32) -> (u32, bool) {
        if target >= self.now.old_len {
            return (target, false);
        }
        if let Some(seen) = self.targets.find(target) {
            return (seen, true);
        }
        (target.wrapping_add(self.map.shift(target)), false)
    }

    /// The `wanted` bytes that follow in the source, zeros past its end.
    pub(super) fn window<S: Scene>(&self, scene: &mut S, wanted: u32) -> Window {
        let mut bytes = Window::default();
        for (i, at) in (0..wanted).zip(self.now.source..self.source_end()) {
            bytes.set(i, scene.source(at));
        }
        bytes
    }

    /// Tries to predict a whole reference; false if there is none here.
    // Not inlined: a device's stack is deepest where there is none, below `flag` and `difference`.
    #[inline(never)]
    pub(super) fn reference<S: Scene>(&mut self, scene: &mut S, bytes: Window) -> bool {
        self.now.guess.at = self.now.at;
        let guessed = self.pointer(bytes)
            || self.variable(bytes)
            || self.branch(bytes)
            || self.word_pointer(bytes);
        guessed && self.expect(scene)
    }

    /// Whether there are so many bytes left to copy here, from the old image.
    fn in_old(&self, bytes: u32) -> bool {
        self.now.left >= bytes && self.now.source < self.now.old_len
    }

    /// Remembers what is expected instead of `bytes`; false if that is nothing new and need not be
    /// said.
    fn expects(&mut self, bytes: Window, expected: Window) -> bool {
        let guess = &mut self.now.guess;
        guess.expected = expected;
        guess.same = expected == bytes;
        guess.firm || !guess.same
    }

    /// An aligned word of the old image that lies inside it.
    fn pointer(&mut self, bytes: Window) -> bool {
        let Now { isa, base, at, old_len, .. } = self.now;
        let Some(base) = base else { return false };
        let word = bytes.low;
        let target = (word & !1).wrapping_sub(base);
        if !isa.has_word_pointers()
            || at & 3 != 0
            || !self.in_old(4)
            || target >= old_len
            || word < 0x40
        {
            return false;
        }
        let (to, known) = self.went(target);
        let guess = &mut self.now.guess;
        (guess.sort, guess.kind, guess.bytes) = (Sort::Pointer, kind::POINTER, 4);
        (guess.key, guess.known, guess.firm) = (target, known, true);
        self.expects(bytes, Window { low: word.wrapping_add(to.wrapping_sub(target)), ..bytes })
    }

    /// A RAM address in the old image.
    fn variable(&mut self, bytes: Window) -> bool {
        let Now { isa, at, source, .. } = self.now;
        let Some(found) = isa.variable(bytes, source, at & 3 == 0) else { return false };
        if !self.in_old(u32::from(found.bytes)) {
            return false;
        }
        let (shift, known) = self.variables.shift(found.address);
        let guess = &mut self.now.guess;
        guess.kind = if found.always { kind::VARIABLE } else { kind::MAYBE_VARIABLE };
        (guess.sort, guess.bytes) = (Sort::Variable, found.bytes);
        (guess.key, guess.known, guess.firm) = (found.address, known, found.always);
        self.expects(bytes, isa.move_variable(bytes, found.address.wrapping_add(shift)))
    }

    /// A branch, a call, or a load from a literal pool.
    fn branch(&mut self, bytes: Window) -> bool {
        let Now { isa, at, source, old_len, left, .. } = self.now;
        if cfg!(feature = "thumb") && isa == Isa::Thumb && self.now.second {
            return false;
        }
        if cfg!(feature = "xtensa") && isa == Isa::Xtensa {
            if source < self.now.instruction {
                return false;
            }
            self.now.instruction = source + xtensa::instruction_bytes(bytes.byte(0));
        }
        let from_old = source < old_len;
        let place = if from_old { source } else { source - old_len };
        let Some(found) = isa.find(bytes, place) else { return false };
        if u32::from(found.bytes) > left {
            return false;
        }
        let (mut target, mut known) = (found.target, false);
        if from_old {
            (target, known) = self.went(found.target);
            if !known
                && let Some((last, beside)) = self.nearby(found.kind)
                && last.wrapping_sub(found.target).wrapping_add(NEAR) < 2 * NEAR
            {
                target = target.wrapping_add(*beside);
            }
        }
        let Some(expected) = isa.aim(bytes, at, target) else { return false };
        let guess = &mut self.now.guess;
        guess.kind = if from_old { found.kind & 3 } else { kind::FROM_NEW };
        (guess.sort, guess.bytes, guess.found) = (Sort::Branch, found.bytes, found.kind);
        (guess.key, guess.known, guess.firm) = (found.target, known, found.always);
        let guessed = self.expects(bytes, expected);
        if !guessed {
            self.now.pending = Pending::Unsure;
        }
        guessed
    }

    /// AVR: a 16-bit word address in a table. Any two bytes could be one, so it is tried only near a
    /// change, or after another one.
    fn word_pointer(&mut self, bytes: Window) -> bool {
        let Now { isa, old_len, run, results, .. } = self.now;
        let target = (bytes.low & 0xFFFF) * 2;
        let right = results[usize::from(kind::WORD_POINTER)] & 1 == 0;
        if !cfg!(feature = "avr")
            || isa != Isa::Avr
            || self.now.pending == Pending::Unsure
            || !self.in_old(2)
            || target >= old_len
            || !(right || run < WORD_POINTER_RUN)
        {
            return false;
        }
        let (to, known) = self.went(target);
        let low = bytes.low & 0xFFFF_0000 | to >> 1 & 0xFFFF;
        if low == bytes.low {
            return false;
        }
        let guess = &mut self.now.guess;
        (guess.sort, guess.kind, guess.bytes) = (Sort::WordPointer, kind::WORD_POINTER, 2);
        (guess.key, guess.known, guess.firm) = (target, known, false);
        self.expects(bytes, Window { low, ..bytes })
    }

    /// The last reference like one of this kind, if they move together.
    fn nearby(&mut self, kind: u8) -> Option<&mut (u32, u32)> {
        if self.now.isa != Isa::Thumb {
            return None;
        }
        self.now.nearby.get_mut(usize::from(kind).wrapping_sub(2))
    }

    /// Whether the guess is right; false if it is not and was only a try.
    fn expect<S: Scene>(&mut self, scene: &mut S) -> bool {
        let Guess { sort, expected, bytes, kind, known, same, firm, at, .. } = self.now.guess;
        let kind = usize::from(kind & 7);
        let result = self.now.results[kind];
        let context = kind << 5
            | usize::from(result & 3) << 3
            | usize::from(known) << 2
            | usize::from(same) << 1
            | usize::from(self.now.missed);
        let right = (0..u32::from(bytes)).all(|i| scene.truth(at + i) == expected.byte(i));
        let slot = slots::REFERENCE + context;
        let right = self.bit(slot, right, sort.account());
        self.now.results[kind] = result << 1 | u8::from(!right);
        if !right && !firm {
            if sort == Sort::Branch {
                self.now.pending = Pending::Unsure;
            }
            return false;
        }
        self.now.missed = !right;
        self.now.wrong = self.now.wrong << 1 | u8::from(!right);
        if right {
            for i in 0..u32::from(bytes) {
                self.put(expected.byte(i));
            }
            self.now.run = self.now.run.saturating_add(u32::from(bytes));
            self.learn(expected);
        } else {
            self.now.run = 0;
            (self.now.pending, self.now.spelt, self.now.differs) = (Pending::Spelling, 0, false);
        }
        true
    }

    /// A byte of a reference that was predicted wrongly.
    pub(super) fn spell<S: Scene>(&mut self, scene: &mut S) {
        let Now { guess, spelt, differs, at, .. } = self.now;
        let i = u32::from(spelt) % Window::BYTES;
        let expected = guess.expected.byte(i);
        let kind = guess.sort.account();
        let truth = scene.truth(at);
        let slot = slots::SPELT
            + (kind as usize - Kind::Branches as usize) * 8
            + i.min(3) as usize * 2
            + usize::from(differs);
        let same = self.bit(slot, truth == expected, kind);
        let byte =
            if same { expected } else { self.difference(Part::Byte, expected, 0, truth, kind) };
        self.put(byte);
        self.now.guess.expected.set(i, byte);
        self.now.differs |= byte != expected;
        self.now.spelt += 1;
        if self.now.spelt >= guess.bytes {
            self.now.pending = Pending::Nothing;
            let got = self.now.guess.expected;
            self.learn(got);
        }
    }

    /// A two-byte reference that was left to plain comparison is known: remember where it went.
    pub(super) fn learn_unsure(&mut self) {
        if self.now.pending == Pending::Unsure && self.now.guess.bytes == 2 {
            let half = (self.now.past as u16).swap_bytes();
            self.learn(Window::new(u32::from(half), 0));
        }
    }

    /// A reference's new bytes are known: remember where it went.
    #[inline(never)]
    fn learn(&mut self, got: Window) {
        let Now { isa, old_len, base, wrong, pending, .. } = self.now;
        let Guess { sort, key, at, found, .. } = self.now.guess;
        let went = match sort {
            Sort::Branch => {
                let Some(now) = isa.find(got, at) else { return };
                if now.kind != found || key >= old_len {
                    return;
                }
                let mapped = key.wrapping_add(self.map.shift(key));
                if let Some(nearby) = self.nearby(found) {
                    *nearby = (key, now.target.wrapping_sub(mapped));
                }
                if pending == Pending::Unsure && wrong & 1 == 0 {
                    return;
                }
                now.target
            }
            Sort::Pointer => (got.low & !1).wrapping_sub(base.unwrap_or(0)),
            Sort::WordPointer => (got.low & 0xFFFF) * 2,
            Sort::Variable => {
                if let Some(now) = isa.variable(got, at, true) {
                    let shift = now.address.wrapping_sub(key);
                    if shift.wrapping_add(0x2_0000) < 0x4_0000 {
                        self.variables.keep(key, shift);
                    }
                }
                return;
            }
        };
        self.targets.keep(key, went);
    }
}
