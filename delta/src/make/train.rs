//! Learning what the model starts from: `src/prior.rs`, written by `delta train`.
//!
//! Every counter gets the beginning (probability and state) under which all training pairs together
//! would have been cheapest, by the likelihood of a beta-binomial; every weight the damped mean of
//! where it ended. Several pairs of one product count as about one. Floats are fine here: what comes
//! out is committed, not computed again.

use super::align::Prices;
use super::plan::{Plan, plan, plans};
use super::{write, write_with};
use crate::isa::Isa;
use crate::model::{Model, NUMBER_SLOTS, NUMBERS, SLAB, WEIGHTS};
use crate::walk::Codec;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A pair of images to learn from.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Its name.
    pub name: String,
    /// Pairs of one product share this.
    pub product: String,
    old: Vec<u8>,
    new: Vec<u8>,
    plan: Plan,
    /// Whether small fields were cleared too for its plan.
    hard: bool,
    /// The load address its plan was made with.
    base: Option<u32>,
}

/// A price of the alignment, 3/4, once and 4/3 as large: bytes of the body of each pair.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Its name.
    pub price: &'static str,
    /// By pair, in their order.
    pub bytes: Vec<[usize; 3]>,
}

/// What the model starts from.
#[derive(Clone, Debug)]
pub struct Prior {
    slots: Vec<u16>,
    weights: Vec<i16>,
}

/// What one walk left behind.
struct Walk<'a> {
    product: &'a str,
    bits: Vec<[u16; 2]>,
    visits: Vec<u32>,
    weights: Vec<i16>,
}

/// Observations that the states 0 to 10 of a counter stand for.
const COUNTS: [f64; 11] = [0.6, 1.6, 2.6, 3.6, 4.6, 6.6, 8.6, 12.6, 16.6, 24.6, 32.6];
/// Every weight before anything was learnt: about 0.32.
const FIRST_WEIGHT: i16 = 1300;

impl Pair {
    /// Aligns two images with the instruction set that gives the smallest patch.
    pub fn new(name: &str, product: &str, old: Vec<u8>, new: Vec<u8>) -> Option<Self> {
        let sized =
            |hard: bool, plan: Plan| Some((write(&old, &new, &plan).ok()?.0.len(), hard, plan));
        let plain = plan(&old, &new, Isa::None, true, None, None);
        let base = plain.found;
        let tried = Isa::ALL.iter().flat_map(|isa| {
            [true, false].map(|hard| (hard, plan(&old, &new, *isa, hard, base, None)))
        });
        let sizes = tried.filter_map(|(hard, plan)| sized(hard, plan));
        let (_, hard, plan) = sizes.min_by_key(|(bytes, ..)| *bytes)?;
        let (name, product) = (name.to_owned(), product.to_owned());
        Some(Self { name, product, old, new, plan, hard, base })
    }

    /// Bytes of the body of its patch for each list of prices.
    fn aligned_bytes(&self, prices: &[Prices]) -> Vec<usize> {
        let Self { old, new, plan, hard, base, .. } = self;
        let plans = plans(old, new, plan.isa, *hard, *base, None, prices);
        let bytes = |plan: &Plan| write(old, new, plan).map_or(usize::MAX, |(body, _)| body.len());
        plans.iter().map(bytes).collect()
    }

    /// Bytes of the body of its patch under a prior.
    pub fn body_bytes(&self, prior: &Prior) -> Option<usize> {
        let mut codec = Codec::new(self.plan.facts(&self.old, &self.new));
        prior.give(&mut codec.model);
        write_with(&mut codec, &self.old, &self.new, &self.plan).ok().map(|(body, _)| body.len())
    }

    fn walk(&self, prior: &Prior) -> Option<Walk<'_>> {
        let mut codec = Codec::new(self.plan.facts(&self.old, &self.new));
        prior.give(&mut codec.model);
        write_with(&mut codec, &self.old, &self.new, &self.plan).ok()?;
        let Model { seen, weights, .. } = codec.model;
        Some(Walk {
            product: &self.product,
            bits: seen.bits,
            visits: seen.visits,
            weights: weights.to_vec(),
        })
    }
}

/// Tries every price of the alignment smaller and larger on every pair.
pub fn prices(pairs: &[Pair]) -> Vec<Tried> {
    let (less, more) = (Prices::beside(3, 4), Prices::beside(4, 3));
    let variants: Vec<Prices> =
        [Prices::GUESSED].into_iter().chain(less.iter().chain(&more).map(|(_, p)| *p)).collect();
    let sizes: Vec<Vec<usize>> = pairs.iter().map(|pair| pair.aligned_bytes(&variants)).collect();
    let of = |(i, (price, _)): (usize, &(&'static str, Prices))| Tried {
        price,
        bytes: sizes.iter().map(|s| [s[1 + i], s[0], s[1 + less.len() + i]]).collect(),
    };
    less.iter().enumerate().map(of).collect()
}

impl Prior {
    /// Nothing learnt.
    pub fn flat() -> Self {
        Self {
            slots: vec![0x8000; SLAB + NUMBERS * NUMBER_SLOTS],
            weights: vec![FIRST_WEIGHT; WEIGHTS],
        }
    }

    fn give(&self, model: &mut Model) {
        let (slab, numbers) = self.slots.split_at(SLAB);
        model.slab.copy_from_slice(slab);
        for (code, slots) in model.numbers.iter_mut().zip(numbers.chunks(NUMBER_SLOTS)) {
            code.copy_from_slice(slots);
        }
        model.weights.copy_from_slice(&self.weights);
    }

    /// Learns from pairs, `rounds` times over, because what counters learn depends on the weights.
    pub fn learn(pairs: &[&Pair], rounds: usize) -> Self {
        let mut prior = Self::flat();
        for _ in 0..rounds {
            let walks: Vec<Walk<'_>> = pairs.iter().filter_map(|pair| pair.walk(&prior)).collect();
            let mut per_product: BTreeMap<&str, f64> = BTreeMap::new();
            for walk in &walks {
                *per_product.entry(walk.product).or_default() += 1.0;
            }
            let share = |walk: &Walk<'_>| 1.0 / per_product[walk.product].sqrt();
            for at in 0..prior.slots.len() {
                let seen: Vec<[f64; 3]> = walks
                    .iter()
                    .map(|w| [f64::from(w.bits[at][1]), f64::from(w.bits[at][0]), share(w)])
                    .filter(|[ones, zeros, _]| ones + zeros > 0.0)
                    .collect();
                prior.slots[at] = beginning(&seen);
            }
            for at in 0..WEIGHTS {
                let (mut sum, mut total) = (f64::from(prior.weights[at]) * 0.5, 0.5);
                for walk in &walks {
                    let visits = f64::from(walk.visits[at]);
                    let trust = visits / (visits + 200.0) * share(walk);
                    sum += trust * f64::from(walk.weights[at]);
                    total += trust;
                }
                prior.weights[at] = (sum / total).round() as i16;
            }
        }
        prior
    }

    /// The source text of `src/prior.rs`.
    pub fn source(&self) -> String {
        let mut text = String::from(
            "//! What the model starts from: learnt from public firmware by `delta train`, normative, see\n\
             //! `FORMAT.md`.\n\nuse crate::model;\n\n/// The shared slab.\n",
        );
        let (slab, numbers) = self.slots.split_at(SLAB);
        let rows = |text: &mut String, values: &[String], indent: &str| {
            for row in values.chunks(14) {
                let _ = writeln!(text, "{indent}{},", row.join(", "));
            }
        };
        let words = |slots: &[u16]| slots.iter().map(|s| format!("{s}")).collect::<Vec<_>>();
        text += "#[rustfmt::skip]\npub(crate) const SLAB: [u16; model::SLAB] = [\n";
        rows(&mut text, &words(slab), "    ");
        text += "];\n\n/// The number codes.\n#[rustfmt::skip]\n";
        text += "pub(crate) const NUMBERS: [[u16; model::NUMBER_SLOTS]; model::NUMBERS] = [\n";
        for code in numbers.chunks(NUMBER_SLOTS) {
            text += "    [\n";
            rows(&mut text, &words(code), "        ");
            text += "    ],\n";
        }
        text += "];\n\n/// The weights.\n#[rustfmt::skip]\n";
        text += "pub(crate) const WEIGHTS: [i16; model::WEIGHTS] = [\n";
        let weights: Vec<String> = self.weights.iter().map(|w| format!("{w}")).collect();
        rows(&mut text, &weights, "    ");
        text += "];\n";
        text
    }
}

/// The counter from which these observations (ones, zeros, share) are cheapest.
fn beginning(seen: &[[f64; 3]]) -> u16 {
    if seen.is_empty() {
        return 0x8000;
    }
    let (mut ones_sum, mut total) = (0.02, 0.04);
    for [ones, zeros, share] in seen {
        let damped = share / (ones + zeros + 8.0);
        ones_sum += damped * ones;
        total += damped * (ones + zeros);
    }
    let mean: f64 = ones_sum / total;
    let middle = (mean / (1.0 - mean)).ln();
    let mut best = (f64::MIN, 0.5, 0_u16);
    for beside in [-1.2, -0.6, -0.3, 0.0, 0.3, 0.6, 1.2] {
        let p = (1.0 / (1.0 + (-middle - beside).exp())).clamp(0.0008, 0.9992);
        for (state, count) in (0..).zip(COUNTS) {
            let (a, b) = (p * count, (1.0 - p) * count);
            let mut fit = 0.5 * likelihood(0.5, 0.5, a, b) - 0.05 * f64::from(state);
            for [ones, zeros, share] in seen {
                fit += share * likelihood(*ones, *zeros, a, b);
            }
            if fit > best.0 {
                best = (fit, p, state);
            }
        }
    }
    ((best.1 * 65_536.0) as u16 & 0xFFF0) | best.2
}

/// Logarithm of a beta-binomial, without the binomial.
fn likelihood(ones: f64, zeros: f64, a: f64, b: f64) -> f64 {
    ln_gamma(a + ones) - ln_gamma(a) + ln_gamma(b + zeros) - ln_gamma(b) + ln_gamma(a + b)
        - ln_gamma(a + b + ones + zeros)
}

/// Lanczos' approximation of ln Γ(x), x > 0.
fn ln_gamma(x: f64) -> f64 {
    const TERMS: [f64; 6] = [
        76.180_091_729_471_46,
        -86.505_320_329_416_77,
        24.014_098_240_830_91,
        -1.231_739_572_450_155,
        0.120_865_097_386_617_9e-2,
        -0.539_523_938_495_3e-5,
    ];
    let top = x + 5.5;
    let mut series = 1.000_000_000_190_015;
    let mut at = x;
    for term in TERMS {
        at += 1.0;
        series += term / at;
    }
    (x + 0.5) * top.ln() - top + (2.506_628_274_631_000_5 * series / x).ln()
}
