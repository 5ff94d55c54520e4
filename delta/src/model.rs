//! The adaptive model: counters, mixers and number codes, all in fixed arrays of 16-bit words.
//!
//! Owns every probability. Knows nothing of images, covers or instruction sets: it is given context
//! numbers and codes bits, bytes and numbers in them. Logistic mixing follows Mahoney's PAQ (2005),
//! adaptive Exp-Golomb numbers are older. It starts from [`prior`](crate::prior), learnt once from
//! public firmware.

use crate::coder::{Coder, Kind};
use crate::logistic::{squash, stretch};
use crate::prior;
use crate::walk::Fields;

/// Adaptation rate by state, of 65,536: about 1 / (observations + 1.6).
const RATE: [u16; 16] = [
    40960, 25206, 18204, 14247, 11703, 8623, 6827, 4819, 3724, 2560, 1951, 1321, 999, 672, 506, 339,
];
/// A state is left when these bits of the dither are all zero: 1, 1, 2, 2, 4, … observations.
const STAY: [u16; 16] = [0, 0, 0, 0, 1, 1, 3, 3, 7, 7, 15, 15, 31, 31, 63, 63];

/// One counter: probability of a 1 in the upper 12 bits, state in the lower 4.
pub(crate) type Slot = u16;

fn chance(slot: Slot) -> u32 {
    u32::from(slot & 0xFFF0) + 8
}

fn learn(slot: &mut Slot, bit: bool, limit: u16, dither: &mut u16) {
    *dither = dither.wrapping_mul(25_173).wrapping_add(13_849);
    let state = *slot & 15;
    let rate = i32::from(RATE.get(usize::from(state)).copied().unwrap_or(0));
    let p = i32::from(*slot & 0xFFF0);
    let aim = if bit { 65_535 } else { 0 };
    let step = ((aim - p - 8) * (rate >> 1)) >> 15;
    let p = (p + step + i32::from(*dither >> 12)).clamp(0, 65_535) as u16 & 0xFFF0;
    let stay = STAY.get(usize::from(state)).copied().unwrap_or(0);
    let leave = state < limit && (*dither >> 4) & stay == 0;
    *slot = p | (state + u16::from(leave));
}

/// Counter states at which adaptation stops slowing down.
pub(crate) mod limit {
    pub(crate) const FLAG: u16 = 13;
    pub(crate) const LITERAL: u16 = 13;
    pub(crate) const DIFFERENCE: u16 = 10;
    pub(crate) const REFERENCE: u16 = 13;
    pub(crate) const NUMBER: u16 = 10;
}

/// Slots in the shared slab.
pub(crate) const SLAB: usize = 1988;
/// Weights of all mixers.
pub(crate) const WEIGHTS: usize = 314;
/// Number codes, see [`Number`].
pub(crate) const NUMBERS: usize = 6;
/// Counters of a number code: 24 for the length, three for each length up to 11.
pub(crate) const NUMBER_SLOTS: usize = 24 + 12 * 3;

/// Every adaptive number of the codec.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) slab: [Slot; SLAB],
    pub(crate) weights: [i16; WEIGHTS],
    pub(crate) numbers: [[Slot; NUMBER_SLOTS]; NUMBERS],
    dither: u16,
    #[cfg(feature = "train")]
    pub(crate) seen: Seen,
}

/// What training wants to know of a walk.
#[cfg(feature = "train")]
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Zeros and ones by counter, the first hundred: the slab, then the number codes.
    pub(crate) bits: Vec<[u16; 2]>,
    /// Uses of each weight.
    pub(crate) visits: Vec<u32>,
}

#[cfg(feature = "train")]
impl Seen {
    fn new() -> Self {
        Self { bits: vec![[0; 2]; SLAB + NUMBERS * NUMBER_SLOTS], visits: vec![0; WEIGHTS] }
    }

    fn bit(&mut self, at: usize, bit: bool) {
        if let Some(seen) = self.bits.get_mut(at)
            && seen.iter().sum::<u16>() < 100
        {
            seen[usize::from(bit)] += 1;
        }
    }
}

/// Which number a number code is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    MapGap,
    MapTurn,
    Tail,
    Turn,
    Back,
    Length,
}

/// Most counters that are mixed.
const INPUTS_MAX: usize = 6;
/// A weight of one is 4096.
const WEIGHT_MAX: i32 = 8 * 4096 - 1;

/// Where in the slab things live, and how the mixer treats them.
pub(crate) struct Mix<'a> {
    /// Slab indices, at most six.
    pub(crate) slots: &'a [u16],
    /// First of as many weights.
    pub(crate) weights: usize,
    /// Learning rate, 4096 = 1.
    pub(crate) rate: i32,
    pub(crate) limit: u16,
}

impl Model {
    /// All zeros: built where it stays. [`begin`](Self::begin) makes it usable.
    pub(crate) const fn blank() -> Self {
        Self {
            slab: [0; SLAB],
            weights: [0; WEIGHTS],
            numbers: [[0; NUMBER_SLOTS]; NUMBERS],
            dither: 0,
            #[cfg(feature = "train")]
            seen: Seen { bits: Vec::new(), visits: Vec::new() },
        }
    }

    /// Nothing seen yet.
    pub(crate) fn begin(&mut self) {
        static SLAB_PRIOR: [Slot; SLAB] = prior::SLAB;
        static WEIGHTS_PRIOR: [i16; WEIGHTS] = prior::WEIGHTS;
        static NUMBERS_PRIOR: [[Slot; NUMBER_SLOTS]; NUMBERS] = prior::NUMBERS;
        self.slab.copy_from_slice(&SLAB_PRIOR);
        self.weights.copy_from_slice(&WEIGHTS_PRIOR);
        self.numbers.copy_from_slice(&NUMBERS_PRIOR);
        self.dither = 1;
        #[cfg(feature = "train")]
        {
            self.seen = Seen::new();
        }
    }

    /// Saves to, or loads from, `fields`.
    pub(crate) fn each<V: Fields>(&mut self, fields: &mut V) {
        let Self { slab, weights, numbers, dither, .. } = self;
        let numbers = numbers.iter_mut().flatten();
        for counter in slab.iter_mut().chain(numbers).chain([dither]) {
            fields.half(counter);
        }
        for weight in weights {
            let mut bits = *weight as u16;
            fields.half(&mut bits);
            *weight = bits as i16;
        }
    }

    /// One decision by one counter.
    pub(crate) fn bit<C: Coder>(
        &mut self,
        coder: &mut C,
        slot: usize,
        limit: u16,
        bit: bool,
        kind: Kind,
    ) -> bool {
        let Some(counter) = self.slab.get_mut(slot) else { return false };
        let bit = coder.code(chance(*counter), bit, kind);
        learn(counter, bit, limit, &mut self.dither);
        #[cfg(feature = "train")]
        self.seen.bit(slot, bit);
        bit
    }

    /// One decision by some counters and a mixer.
    pub(crate) fn mixed<C: Coder>(
        &mut self,
        coder: &mut C,
        mix: &Mix<'_>,
        bit: bool,
        kind: Kind,
    ) -> bool {
        let mut inputs = [0_i32; INPUTS_MAX];
        let mut sum = 0_i32;
        // No `%` where the divisor is no power of two: small cores divide in a library.
        let Some(weights) = self.weights.get_mut(mix.weights..) else { return false };
        for ((input, slot), weight) in inputs.iter_mut().zip(mix.slots).zip(&*weights) {
            *input = stretch(chance(self.slab.get(usize::from(*slot)).copied().unwrap_or(0)));
            sum += *input * i32::from(*weight);
        }
        let p = squash(sum >> 12);
        let bit = coder.code(p, bit, kind);
        let error = if bit { 65_536 - p as i32 } else { -(p as i32) };
        for ((input, slot), weight) in inputs.iter().zip(mix.slots).zip(weights) {
            let step = (((input * error) >> 10) * mix.rate + (1 << 13)) >> 14;
            *weight = (i32::from(*weight) + step).clamp(-WEIGHT_MAX, WEIGHT_MAX) as i16;
            if let Some(counter) = self.slab.get_mut(usize::from(*slot)) {
                learn(counter, bit, mix.limit, &mut self.dither);
            }
        }
        #[cfg(feature = "train")]
        for (i, slot) in mix.slots.iter().enumerate() {
            self.seen.bit(usize::from(*slot), bit);
            self.seen.visits[mix.weights + i] += 1;
        }
        bit
    }

    /// A number below 2^24 − 1: adaptive Exp-Golomb.
    pub(crate) fn number<C: Coder>(
        &mut self,
        coder: &mut C,
        which: Number,
        value: u32,
        kind: Kind,
    ) -> u32 {
        let which = which as usize;
        let target = value + 1;
        let size = 31 - target.max(1).leading_zeros();
        let mut k = 0;
        while k < 23 && self.number_bit(coder, which, k as usize, size > k, kind) {
            k += 1;
        }
        let mut got = 1;
        for i in (0..k).rev() {
            let bit = target >> i & 1 != 0;
            let bit = if k - i <= 2 {
                let node = if k - i == 1 { 0 } else { (got & 1) as usize + 1 };
                let at = 24 + (k as usize).min(11) * 3 + node;
                self.number_bit(coder, which, at, bit, kind)
            } else {
                coder.code(32_768, bit, kind)
            };
            got = got << 1 | u32::from(bit);
        }
        got - 1
    }

    fn number_bit<C: Coder>(
        &mut self,
        coder: &mut C,
        which: usize,
        at: usize,
        bit: bool,
        kind: Kind,
    ) -> bool {
        let Some(slot) = self.numbers.get_mut(which).and_then(|code| code.get_mut(at)) else {
            return false;
        };
        let bit = coder.code(chance(*slot), bit, kind);
        learn(slot, bit, limit::NUMBER, &mut self.dither);
        #[cfg(feature = "train")]
        self.seen.bit(SLAB + which * NUMBER_SLOTS + at, bit);
        bit
    }
}

/// As [`hashed`], for a node of the binary tree of a byte.
pub(crate) fn hashed_node(context: u32, node: u32, bits: u32) -> u16 {
    hashed(context.wrapping_mul(0x85EB_CA6B) ^ node.wrapping_mul(0xC2B2_AE35), bits)
}

/// A slab index of `bits` bits, at most 16, for a context.
pub(crate) fn hashed(context: u32, bits: u32) -> u16 {
    (context.wrapping_mul(0x9E37_79B1) >> (32 - bits)) as u16
}
