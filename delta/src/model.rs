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

fn learn(slab: &mut [Slot; COUNTERS], slot: usize, bit: bool, dither: &mut u16) {
    let Some(counter) = slab.get_mut(slot) else { return };
    *dither = dither.wrapping_mul(25_173).wrapping_add(13_849);
    let state = *counter & 15;
    let rate = i32::from(RATE[usize::from(state)]);
    let p = i32::from(*counter & 0xFFF0);
    let aim = if bit { 65_535 } else { 0 };
    let step = ((aim - p - 8) * (rate >> 1)) >> 15;
    let p = (p + step + i32::from(*dither >> 12)).clamp(0, 65_535) as u16 & 0xFFF0;
    let stay = STAY[usize::from(state)];
    let leave = state < limit(slot) && (*dither >> 4) & stay == 0;
    *counter = p | (state + u16::from(leave));
}

/// The state at which a counter's adaptation stops slowing down: sooner for differences, actions,
/// copies and numbers.
fn limit(slot: usize) -> u16 {
    let sooner = slot.wrapping_sub(DIFFERENCES.start) < DIFFERENCES.end - DIFFERENCES.start
        || slot >= SOONER_FROM;
    if sooner { 10 } else { 13 }
}

/// Counters of differences.
pub(crate) const DIFFERENCES: core::ops::Range<usize> = 896..1216;
/// First counter of actions, the map, copies and numbers.
pub(crate) const SOONER_FROM: usize = 1976;

/// Counters of everything but number codes, the first in the slab.
pub(crate) const SLAB: usize = 1988;
/// Weights of all mixers.
pub(crate) const WEIGHTS: usize = 314;
/// Number codes, see [`Number`].
pub(crate) const NUMBERS: usize = 6;
/// Counters of a number code: 24 for the length, three for each length up to 11.
pub(crate) const NUMBER_SLOTS: usize = 24 + 12 * 3;
/// All counters: those of the number codes come last.
pub(crate) const COUNTERS: usize = SLAB + NUMBERS * NUMBER_SLOTS;

/// Every adaptive number of the codec.
#[derive(Clone, Debug)]
#[repr(C)]
pub(crate) struct Model<C> {
    pub(crate) coder: C,
    pub(crate) slab: [Slot; COUNTERS],
    pub(crate) weights: [i16; WEIGHTS],
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
        Self { bits: vec![[0; 2]; COUNTERS], visits: vec![0; WEIGHTS] }
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
pub(crate) const INPUTS_MAX: usize = 6;
/// Counters of a table of [`Model::tree`], as a power of two.
const TREE_BITS: u32 = 6;
/// A weight of one is 4096.
const WEIGHT_MAX: i32 = 8 * 4096 - 1;

/// What is mixed, and how the mixer learns.
pub(crate) struct Mix {
    /// Counters, or what [`Model::tree`] makes them from.
    pub(crate) inputs: [u32; INPUTS_MAX],
    /// How many there are.
    pub(crate) count: usize,
    /// First of as many weights.
    pub(crate) weights: usize,
    /// Learning rate, 4096 = 1.
    pub(crate) rate: i32,
}

impl<C: Coder> Model<C> {
    /// All zeros: built where it stays. [`begin`](Self::begin) makes it usable.
    pub(crate) const fn blank(coder: C) -> Self {
        Self {
            coder,
            slab: [0; COUNTERS],
            weights: [0; WEIGHTS],
            dither: 0,
            #[cfg(feature = "train")]
            seen: Seen { bits: Vec::new(), visits: Vec::new() },
        }
    }

    /// Nothing seen yet.
    pub(crate) fn begin(&mut self) {
        static PRIOR: [Slot; COUNTERS] = joined();
        static WEIGHTS_PRIOR: [i16; WEIGHTS] = prior::WEIGHTS;
        self.slab.copy_from_slice(&PRIOR);
        self.weights.copy_from_slice(&WEIGHTS_PRIOR);
        self.dither = 1;
        #[cfg(feature = "train")]
        {
            self.seen = Seen::new();
        }
    }

    /// Saves to, or loads from, `fields`.
    pub(crate) fn each<V: Fields>(&mut self, fields: &mut V) {
        let Self { slab, weights, dither, .. } = self;
        for counter in slab.iter_mut().chain([dither]) {
            fields.half(counter);
        }
        for weight in weights {
            let mut bits = *weight as u16;
            fields.half(&mut bits);
            *weight = bits as i16;
        }
    }

    /// One decision by one counter.
    pub(crate) fn bit(&mut self, slot: usize, bit: bool, kind: Kind) -> bool {
        let chance = chance(self.slab.get(slot).copied().unwrap_or(0));
        let bit = self.coder.code(chance, bit, kind);
        learn(&mut self.slab, slot, bit, &mut self.dither);
        #[cfg(feature = "train")]
        self.seen.bit(slot, bit);
        bit
    }

    /// One decision by some counters and a mixer.
    pub(crate) fn mixed(&mut self, mix: &Mix, bit: bool, kind: Kind) -> bool {
        let mut stretched = [0_i32; INPUTS_MAX];
        let mut sum = 0_i32;
        // No `%` where the divisor is no power of two: small cores divide in a library.
        let Some(weights) = self.weights.get_mut(mix.weights..) else { return false };
        let Some(slots) = mix.inputs.get(..mix.count) else { return false };
        for ((x, slot), weight) in stretched.iter_mut().zip(slots).zip(&*weights) {
            *x = stretch(chance(self.slab.get(*slot as usize).copied().unwrap_or(0)));
            sum += *x * i32::from(*weight);
        }
        let p = squash(sum >> 12);
        let bit = self.coder.code(p, bit, kind);
        let error = if bit { 65_536 - p as i32 } else { -(p as i32) };
        for ((x, slot), weight) in stretched.iter().zip(slots).zip(weights) {
            let step = (((x * error) >> 10) * mix.rate + (1 << 13)) >> 14;
            *weight = (i32::from(*weight) + step).clamp(-WEIGHT_MAX, WEIGHT_MAX) as i16;
            learn(&mut self.slab, *slot as usize, bit, &mut self.dither);
        }
        #[cfg(feature = "train")]
        for (i, slot) in slots.iter().enumerate() {
            self.seen.bit(*slot as usize, bit);
            self.seen.visits[mix.weights + i] += 1;
        }
        bit
    }

    /// A byte, from its top bit down: eight mixed decisions, each with weights of its own, input j of
    /// context j and of the bits above it, in a table of 64 counters from `first` + 64·j on.
    #[inline(never)]
    pub(crate) fn tree(&mut self, contexts: &Mix, first: u32, truth: u8, kind: Kind) -> u8 {
        let mut node = 1_u32;
        for i in (0..8).rev() {
            let mut mix = Mix { weights: contexts.weights + i * contexts.count, ..*contexts };
            let mut table = first;
            for input in &mut mix.inputs {
                *input = table + hashed_node(*input, node, TREE_BITS);
                table += 1 << TREE_BITS;
            }
            let bit = self.mixed(&mix, truth >> i & 1 != 0, kind);
            node = node << 1 | u32::from(bit);
        }
        node as u8
    }

    /// A number below 2^24 − 1: adaptive Exp-Golomb.
    pub(crate) fn number(&mut self, which: Number, value: u32, kind: Kind) -> u32 {
        let first = SLAB + which as usize * NUMBER_SLOTS;
        let target = value + 1;
        let mut k = 0;
        while k < 23 && self.bit(first + k, target >> k > 1, kind) {
            k += 1;
        }
        let mut got = 1;
        for i in (0..k).rev() {
            let bit = target >> i & 1 != 0;
            let bit = if k - i <= 2 {
                let node = if k - i == 1 { 0 } else { (got & 1) as usize + 1 };
                let slot = first + 24 + k.min(11) * 3 + node;
                self.bit(slot, bit, kind)
            } else {
                self.coder.code(32_768, bit, kind)
            };
            got = got << 1 | u32::from(bit);
        }
        got - 1
    }
}

/// All counters of the prior.
const fn joined() -> [Slot; COUNTERS] {
    let mut all = [0; COUNTERS];
    let mut i = 0;
    while i < COUNTERS {
        all[i] = if i < SLAB {
            prior::SLAB[i]
        } else {
            prior::NUMBERS[(i - SLAB) / NUMBER_SLOTS][(i - SLAB) % NUMBER_SLOTS]
        };
        i += 1;
    }
    all
}

/// As [`hashed`], for a node of the binary tree of a byte.
pub(crate) fn hashed_node(context: u32, node: u32, bits: u32) -> u32 {
    hashed(context.wrapping_mul(0x85EB_CA6B) ^ node.wrapping_mul(0xC2B2_AE35), bits)
}

/// A slab index of `bits` bits, at most 16, for a context.
pub(crate) fn hashed(context: u32, bits: u32) -> u32 {
    context.wrapping_mul(0x9E37_79B1) >> (32 - bits)
}
