//! Bytes and halfwords: equal to the old one beside them, different, or without one.

use super::layout::{slots, weights};
use super::{Codec, Scene, Trail};
use crate::coder::{Coder, Kind};
use crate::model::{Mix, hashed, hashed_node, limit};

/// Entries of the memory of changed halfwords.
pub(super) const SWAPS: usize = 32;
const FLAG_RATE: i32 = 82;
const DIFFERENCE_RATE: i32 = 164;
const LITERAL_RATE: i32 = 120;

/// A halfword that changed, and by how much: offsets into a structure that grew come up again and
/// again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Swap {
    pub(super) key: u16,
    pub(super) change: u16,
}

impl Swap {
    pub(super) const NONE: Self = Self { key: 0, change: 0 };
}

/// What stands for a halfword in the memory of changes, and where it lives there: without the
/// registers, where an instruction has an offset beside them.
fn swap_key(half: u16, second: bool) -> (u16, usize) {
    let key = if second {
        half | 0xF000
    } else if (0x6000..0x9000).contains(&half) {
        half & 0xFFC0
    } else {
        half
    };
    (key, usize::from(hashed(u32::from(key), 5)) % SWAPS)
}

/// Which byte differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The lower byte of a halfword whose upper byte stayed.
    Low = 0,
    /// The upper byte of a halfword.
    High = 1,
    /// The lower byte of a halfword whose upper byte changed.
    LowOfChanged = 2,
    /// A single byte.
    Byte = 3,
}

/// What a flag is about.
struct Beside {
    /// The old byte, or the upper one of the old halfword.
    key: u8,
    /// The upper byte of the old halfword.
    opcode: u8,
    /// Its lower byte.
    other: u8,
    phase: u32,
    side: u32,
    class: u32,
}

impl Codec {
    /// A byte beside an old one.
    pub(super) fn byte<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S) {
        let old = scene.source(self.now.source);
        let neighbour = self.now.source ^ 1;
        let neighbour = if neighbour < self.source_end() { scene.source(neighbour) } else { 0 };
        let side = self.now.source & 1;
        let (opcode, other) = if side == 0 { (neighbour, old) } else { (old, neighbour) };
        let class = class(self.now.trail.run);
        let beside = Beside { key: old, opcode, other, phase: self.now.at & 3, side, class };
        let truth = scene.truth(self.now.at);
        let right = self.flag(coder, &beside, truth == old);
        let byte = if right {
            old
        } else {
            self.difference(coder, Part::Byte, old, opcode, truth, Kind::Differences)
        };
        self.compared(right, 1);
        self.put(scene, byte, false);
    }

    /// A halfword beside an old one.
    pub(super) fn half<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S) {
        let (low, high) = (scene.source(self.now.source), scene.source(self.now.source + 1));
        let (true_low, true_high) = (scene.truth(self.now.at), scene.truth(self.now.at + 1));
        let old = u16::from_le_bytes([low, high]);
        let truth = u16::from_le_bytes([true_low, true_high]);
        let second = u32::from(self.now.trail.second);

        let (key, home) = swap_key(old, self.now.trail.second);
        let swap = self.swaps[home];
        if swap.key == key && swap.change != 0 {
            let guess = old.wrapping_add(swap.change);
            let slot = slots::SWAP + usize::from(self.now.swap_results & 7) * 2 + second as usize;
            let hit = self.model.bit(coder, slot, limit::REFERENCE, truth == guess, Kind::Flags);
            self.now.swap_results = self.now.swap_results << 1 | u8::from(hit);
            if hit {
                self.compared(true, 2);
                self.put_half(scene, guess);
                return;
            }
            self.swaps[home] = Swap::NONE;
        }

        let beside = Beside {
            key: high,
            opcode: high,
            other: low,
            phase: second << 1 | self.now.at >> 1 & 1,
            side: second,
            class: class(self.now.trail.run >> 1),
        };
        let right = self.flag(coder, &beside, truth == old);
        self.compared(right, 2);
        if right {
            self.put_half(scene, old);
            return;
        }
        let slot = slots::HIGH + usize::from(high >> 3) * 2 + second as usize;
        let same_high =
            self.model.bit(coder, slot, limit::REFERENCE, true_high == high, Kind::Flags);
        let new_high = if same_high {
            high
        } else {
            self.difference(coder, Part::High, high, high, true_high, Kind::Differences)
        };
        let slot = slots::LOW + usize::from(high >> 5) * 2 + second as usize;
        let same_low = !same_high
            && self.model.bit(coder, slot, limit::REFERENCE, true_low == low, Kind::Flags);
        let new_low = if same_low {
            low
        } else {
            let part = if same_high { Part::Low } else { Part::LowOfChanged };
            self.difference(coder, part, low, new_high, true_low, Kind::Differences)
        };
        let new = u16::from_le_bytes([new_low, new_high]);
        self.swaps[home] = Swap { key, change: new.wrapping_sub(old) };
        self.put_half(scene, new);
    }

    /// Whether something equals the old one.
    fn flag<C: Coder>(&mut self, coder: &mut C, beside: &Beside, right: bool) -> bool {
        let Beside { key, opcode, other, phase, side, class } = *beside;
        let (key, opcode) = (u32::from(key), u32::from(opcode));
        let wrong = u32::from(self.now.trail.wrong);
        let last = self.now.trail.bytes & 0xFF;
        let contexts = [
            1 << 24 | (wrong & 63) << 2 | phase,
            2 << 24 | key << 8 | (wrong & 3) << 2 | phase,
            3 << 24 | opcode << 8 | class.min(7) << 2 | side << 1 | wrong & 1,
            4 << 24 | opcode << 8 | u32::from(other),
            5 << 24 | last << 8 | opcode,
        ];
        let [first, rest @ ..] = slots::FLAG;
        let mut slots = [first + ((wrong & 15) << 4 | class) as u16; 6];
        for ((slot, table), context) in slots.iter_mut().skip(1).zip(rest).zip(contexts) {
            *slot = table + hashed(context, slots::FLAG_BITS);
        }
        let weights = weights::FLAG + class as usize * 6;
        let mix = Mix { slots: &slots, weights, rate: FLAG_RATE, limit: limit::FLAG };
        self.model.mixed(coder, &mix, right, Kind::Flags)
    }

    /// Remembers a flag.
    fn compared(&mut self, right: bool, bytes: u32) {
        let trail = &mut self.now.trail;
        trail.missed = false;
        trail.wrong = trail.wrong << 1 | u8::from(!right);
        trail.run = if right { trail.run.saturating_add(bytes) } else { 0 };
    }

    /// A byte known to differ from `old`.
    pub(super) fn difference<C: Coder>(
        &mut self,
        coder: &mut C,
        part: Part,
        old: u8,
        opcode: u8,
        truth: u8,
        kind: Kind,
    ) -> u8 {
        let (old_bits, opcode) = (u32::from(old), u32::from(opcode));
        let contexts = [
            0,
            1 << 24 | u32::from(self.now.trail.difference),
            2 << 24 | old_bits,
            3 << 24 | (part as u32) << 8 | opcode >> 3,
            4 << 24 | (part as u32) << 16 | opcode << 8 | old_bits >> 6,
        ];
        let delta = truth.wrapping_sub(old);
        let mut node = 1_u32;
        for i in (0..8).rev() {
            let mut slots = slots::DIFFERENCE;
            for (slot, context) in slots.iter_mut().zip(contexts) {
                *slot += hashed_node(context, node, slots::DIFFERENCE_BITS);
            }
            let weights = weights::DIFFERENCE + ((part as usize & 1) * 8 + i) * 5;
            let mix =
                Mix { slots: &slots, weights, rate: DIFFERENCE_RATE, limit: limit::DIFFERENCE };
            let bit = self.model.mixed(coder, &mix, delta >> i & 1 != 0, kind);
            node = node << 1 | u32::from(bit);
        }
        self.now.trail.difference = node as u8;
        old.wrapping_add(node as u8)
    }

    /// A unit without an old one beside it: a halfword, upper byte first, where the instruction set
    /// has them; else a byte.
    pub(super) fn literals<C: Coder, S: Scene>(&mut self, coder: &mut C, scene: &mut S, room: u32) {
        let [l2, h2, l1, h1] = self.now.trail.bytes.to_be_bytes().map(u32::from);
        if self.now.facts.isa.has_halves() && self.now.at.is_multiple_of(2) && room >= 2 {
            let (low, high) = (scene.truth(self.now.at), scene.truth(self.now.at + 1));
            let second = u32::from(self.now.trail.second);
            let contexts = [
                second,
                second << 8 | h1,
                h2 << 8 | h1,
                l1 << 8 | h1,
                h2 << 16 | l2 << 8 | h1,
                self.now.at >> 1 & 1,
            ];
            let high = self.literal(coder, high, 0, contexts);
            let h = u32::from(high);
            let contexts = [
                second << 5 | h >> 3,
                second << 8 | h,
                l1 << 8 | h,
                h1 << 8 | h,
                h1 << 16 | l1 << 8 | h,
                l2 << 16 | h2 << 8 | h,
            ];
            let low = self.literal(coder, low, 1, contexts);
            self.put(scene, low, true);
            self.put(scene, high, true);
        } else {
            let side = self.now.at & 1;
            let contexts = [
                side,
                h1 << 1 | side,
                l1 << 8 | h1,
                l1 << 1 | side,
                h2 << 16 | l1 << 8 | h1,
                self.now.at & 3,
            ];
            let truth = scene.truth(self.now.at);
            let byte = self.literal(coder, truth, 2, contexts);
            self.put(scene, byte, true);
        }
        let Trail { run, wrong, .. } = &mut self.now.trail;
        *run = 0;
        *wrong = *wrong << 1 | 1;
    }

    /// A byte; `part`: 0 the upper of a halfword, 1 the lower, 2 alone.
    fn literal<C: Coder>(&mut self, coder: &mut C, truth: u8, part: u32, contexts: [u32; 6]) -> u8 {
        let mut node = 1_u32;
        for i in (0..8).rev() {
            let mut slots = slots::LITERAL;
            for (n, (slot, context)) in (0..).zip(slots.iter_mut().zip(contexts)) {
                let context = (context << 2 | part) << 3 | n;
                *slot += hashed_node(context, node, slots::LITERAL_BITS);
            }
            let weights = weights::LITERAL + (part as usize * 8 + i) * 6;
            let mix = Mix { slots: &slots, weights, rate: LITERAL_RATE, limit: limit::LITERAL };
            let bit = self.model.mixed(coder, &mix, truth >> i & 1 != 0, Kind::Literals);
            node = node << 1 | u32::from(bit);
        }
        node as u8
    }

    fn put_half<S: Scene>(&mut self, scene: &mut S, half: u16) {
        for byte in half.to_le_bytes() {
            self.put(scene, byte, false);
        }
    }
}

/// The bit length of a run, at most 14.
fn class(run: u32) -> u32 {
    (32 - run.leading_zeros()).min(14)
}
