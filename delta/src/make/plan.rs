//! From an alignment to a plan: which copies become map entries, which are made in passing.

use super::align::{Floor, Piece, Prices, Seeds, Views, align};
use crate::isa::{Isa, Window, xtensa};
use crate::map::{AddressMap, MAP_ENTRIES_MAX};
use crate::walk::{Action, Facts};
use std::collections::BTreeMap;

/// Everything the writer decides.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) isa: Isa,
    /// Load address that explains most pointers.
    pub(crate) found: Option<u32>,
    /// The same, if the instruction set has use for it.
    pub(crate) base: Option<u32>,
    /// (old, new), in order of new offset.
    pub(crate) map: Vec<(u32, u32)>,
    /// By new offset.
    pub(crate) actions: Vec<(u32, Action)>,
}

impl Plan {
    pub(crate) fn facts(&self, old: &[u8], new: &[u8]) -> Facts {
        Facts {
            isa: self.isa,
            old_len: old.len() as u32,
            new_len: new.len() as u32,
            base: self.base,
            map_entries: self.map.len() as u32,
        }
    }
}

fn window(image: &[u8], at: usize) -> Window {
    let mut bytes = Window::default();
    for (i, byte) in (0..Window::BYTES).zip(image.iter().skip(at)) {
        bytes.fill(i, *byte);
    }
    bytes
}

fn word(image: &[u8], at: usize) -> u32 {
    window(image, at).low
}

/// The image with every field cleared that depends on where things stand. `span`: longest image.
fn masked(image: &[u8], isa: Isa, hard: bool, base: Option<u32>, span: usize) -> Vec<u8> {
    let mut out = image.to_vec();
    if isa == Isa::None {
        return out;
    }
    let mut at = 0;
    while at + 4 <= image.len() {
        if isa.has_word_pointers() && at % 4 == 0 {
            let word = word(image, at);
            let points =
                base.is_some_and(|b| ((word & !1).wrapping_sub(b) as usize) < span && word >= 0x40);
            if points || isa.variable(window(image, at), at as u32, true).is_some_and(|v| v.always)
            {
                out[at] = 0;
                out[at + 1] = 0;
                out[at + 2] &= 0xF0;
                at += 4;
                continue;
            }
        }
        match isa.mask(window(image, at), at as u32, hard) {
            Some((clear, len)) => {
                let len = len.min(image.len() - at);
                for (i, byte) in (0..).zip(&mut out[at..at + len]) {
                    *byte = clear.byte(i);
                }
                at += len;
            }
            None => at += 2,
        }
    }
    out
}

/// A plan from an alignment on images with fields cleared: more of them if `hard`, and pointers if
/// the load address is known.
pub(crate) fn plan(
    old: &[u8],
    new: &[u8],
    isa: Isa,
    hard: bool,
    base: Option<u32>,
    floor: Option<Floor>,
) -> Plan {
    let mut plans = plans(old, new, isa, hard, base, floor, &[Prices::GUESSED]);
    plans.pop().unwrap_or(Plan {
        isa,
        found: None,
        base: None,
        map: Vec::new(),
        actions: Vec::new(),
    })
}

/// As [`plan`], once for each list of prices.
pub(crate) fn plans(
    old: &[u8],
    new: &[u8],
    isa: Isa,
    hard: bool,
    base: Option<u32>,
    floor: Option<Floor>,
    prices: &[Prices],
) -> Vec<Plan> {
    let span = old.len().max(new.len());
    let (old_masked, new_masked) =
        (masked(old, isa, hard, base, span), masked(new, isa, hard, base, span));
    let text = [&old_masked[..], &new_masked].concat();
    let seeds = Seeds::new(&text, old.len());
    let views = Views { old, new, old_masked: &old_masked, new_masked: &new_masked, floor };
    let one = |prices| from_pieces(old, new, isa, &align(&views, &seeds, prices));
    prices.iter().map(one).collect()
}

fn from_pieces(old: &[u8], new: &[u8], isa: Isa, pieces: &[Piece]) -> Plan {
    let old_len = old.len() as u32;
    let mut copies: Vec<(u32, u32, u32)> = Vec::new();
    for piece in pieces {
        if let Some(source) = piece.source {
            copies.push((piece.at, source, piece.len));
        }
    }
    // Map entries: the longest copies from the old image whose old ranges do not overlap.
    let mut by_len: Vec<usize> =
        (0..copies.len()).filter(|i| copies[*i].1 < old_len && copies[*i].2 >= 24).collect();
    by_len.sort_by_key(|i| (u32::MAX - copies[*i].2, copies[*i].0));
    let mut taken: BTreeMap<u32, u32> = BTreeMap::new();
    let mut in_map = vec![false; copies.len()];
    let mut count = 0;
    for i in by_len {
        let (_, source, len) = copies[i];
        let clash = taken.range(..source + len).next_back().is_some_and(|(_, end)| *end > source);
        if clash || count == MAP_ENTRIES_MAX {
            continue;
        }
        taken.insert(source, source + len);
        in_map[i] = true;
        count += 1;
    }
    let map: Vec<(u32, u32)> = copies
        .iter()
        .zip(&in_map)
        .filter(|(_, m)| **m)
        .map(|((at, source, _), _)| (*source, *at))
        .collect();
    let mut address_map = AddressMap::new();
    for (o, n) in &map {
        address_map.add(*o, *n);
    }
    let found = find_base(old, new, &copies, &map);
    let base = found.filter(|_| isa.has_word_pointers());
    // A literal halfword must not swallow the start of a copy.
    let mut end = 0;
    for (i, (at, source, len)) in copies.iter_mut().enumerate() {
        if isa.has_halves() && !in_map[i] && *at % 2 == 1 && end < *at {
            *at += 1;
            *source += 1;
            *len -= 1;
        }
        end = *at + *len;
    }
    let actions = copies
        .iter()
        .zip(&in_map)
        .filter(|((_, _, len), _)| *len > 0)
        .map(|((at, source, len), in_map)| {
            let exact = !in_map && {
                (0..*len).all(|i| {
                    let s = source + i;
                    let byte =
                        if s < old_len { old[s as usize] } else { new[(s - old_len) as usize] };
                    byte == new[(at + i) as usize]
                })
            };
            let aimed = match isa {
                Isa::None => false,
                Isa::Xtensa => worth_aiming(old, new, &address_map, (*at, *source, *len)),
                Isa::Thumb | Isa::Avr | Isa::RiscV | Isa::Tc32 => true,
            };
            (*at, Action::Copy { source: *source, len: *len, exact, aimed })
        })
        .collect();
    Plan { isa, found, base, map, actions }
}

/// Whether predicting Xtensa's references gets more of them right than copying does: only then is a
/// copy likely to be code, in step from its first byte.
fn worth_aiming(old: &[u8], new: &[u8], map: &AddressMap, copy: (u32, u32, u32)) -> bool {
    let (at, source, len) = copy;
    let (mut right, mut same, mut done) = (0, 0, 0);
    while source as usize + 3 <= old.len() && done + 3 <= len {
        let bytes = window(old, (source + done) as usize);
        if let Some(found) = Isa::Xtensa.find(bytes, source + done) {
            let target = if (found.target as usize) < old.len() {
                found.target.wrapping_add(map.shift(found.target))
            } else {
                found.target
            };
            let truth = window(new, (at + done) as usize).low << 8;
            let expected = Isa::Xtensa.aim(bytes, at + done, target);
            right += u32::from(expected.is_some_and(|e| e.low << 8 == truth));
            same += u32::from(bytes.low << 8 == truth);
        }
        done += xtensa::instruction_bytes(bytes.byte(0));
    }
    right >= same
}

/// How many bytes of changed references an instruction set explains in a plan that knows none: what
/// it predicts through the plan's map, and came out so.
pub(crate) fn explained(old: &[u8], new: &[u8], plain: &Plan, isa: Isa) -> u64 {
    let mut map = AddressMap::new();
    for (o, n) in &plain.map {
        map.add(*o, *n);
    }
    let mut bytes_right = 0;
    for (at, action) in &plain.actions {
        let Action::Copy { source, len, .. } = *action else { continue };
        if source as usize >= old.len() {
            continue;
        }
        let mut done = 0;
        while done + 4 <= len {
            let (from, to) = (source + done, at + done);
            let bytes = window(old, from as usize);
            let step = match isa {
                Isa::Xtensa => xtensa::instruction_bytes(bytes.byte(0)),
                Isa::None | Isa::Thumb | Isa::Avr | Isa::RiscV | Isa::Tc32 => 2,
            };
            done += step;
            let now = window(new, to as usize);
            if now == bytes {
                continue;
            }
            let Some(found) = isa.find(bytes, from) else { continue };
            let changed = (0..u32::from(found.bytes)).any(|i| now.byte(i) != bytes.byte(i));
            if !changed || found.target as usize >= old.len() {
                continue;
            }
            let target = found.target.wrapping_add(map.shift(found.target));
            let right = isa.aim(bytes, to, target).is_some_and(|expected| {
                (0..u32::from(found.bytes)).all(|i| now.byte(i) == expected.byte(i))
            });
            bytes_right += u64::from(right) * u64::from(found.bytes);
        }
    }
    bytes_right
}

/// Changed words looked at for the load address.
const PAIRS_MAX: usize = 4096;

/// The load address that explains most changed words, if any explains enough.
///
/// A changed word is explained by the addresses that put it into a stretch of the map whose shift is
/// its change: an interval for each such stretch. The address in most intervals is looked for.
fn find_base(
    old: &[u8],
    new: &[u8],
    copies: &[(u32, u32, u32)],
    map: &[(u32, u32)],
) -> Option<u32> {
    let mut pairs = Vec::new();
    for (at, source, len) in copies {
        if *source as usize >= old.len() {
            continue;
        }
        let mut n = (*at + 3) & !3;
        while n + 4 <= at + len {
            let w = word(old, (source + (n - at)) as usize);
            let v = word(new, n as usize);
            if w != v && w.abs_diff(v) < 0x40000 && (0x100..0x9000_0000).contains(&w) {
                pairs.push((w, v));
            }
            n += 4;
        }
    }
    // Enough to tell; more would only take time.
    let every = pairs.len().div_ceil(PAIRS_MAX).max(1);
    let pairs: Vec<(u32, u32)> = pairs.into_iter().step_by(every).collect();
    let mut tops: BTreeMap<u32, usize> = BTreeMap::new();
    for (w, _) in &pairs {
        *tops.entry(w >> 20).or_default() += 1;
    }
    let mut tops: Vec<(u32, usize)> = tops.into_iter().collect();
    tops.sort_by_key(|(top, count)| (usize::MAX - count, *top));
    let (firsts, lasts) = explaining(&pairs, map, old.len() as u32);
    let step: usize = if pairs.len() < 4000 { 0x80 } else { 0x1000 };
    let mut best: Option<(usize, u32)> = None;
    for (top, _) in tops.into_iter().take(6) {
        let start = i64::from(top << 20) - ((old.len() as i64 + 0xFFF) & !0xFFF);
        let end = (i64::from(top) + 1) << 20;
        for base in (start.max(0)..end).step_by(step) {
            let base = i64::from(base as u32);
            let begun = firsts.partition_point(|first| *first <= base);
            let score = begun - lasts.partition_point(|last| *last < base);
            if best.is_none_or(|(s, _)| score > s) {
                best = Some((score, base as u32));
            }
        }
    }
    best.filter(|(score, _)| *score >= 8).map(|(_, base)| base)
}

/// The first and the last addresses of all intervals that explain a changed word, each in order.
fn explaining(pairs: &[(u32, u32)], map: &[(u32, u32)], old_len: u32) -> (Vec<i64>, Vec<i64>) {
    let mut starts = map.to_vec();
    starts.sort_by_key(|(old, _)| *old);
    let ends = starts.iter().skip(1).map(|(old, _)| *old).chain([old_len]);
    // Stretches of the old image, by how far they moved.
    let mut moved: BTreeMap<u32, Vec<(u32, u32)>> = BTreeMap::new();
    for ((old, new), end) in starts.iter().zip(ends) {
        if old < &end && old != new {
            moved.entry(new.wrapping_sub(*old)).or_default().push((*old, end));
        }
    }
    let (mut firsts, mut lasts) = (Vec::new(), Vec::new());
    for (w, v) in pairs {
        for (old, end) in moved.get(&v.wrapping_sub(*w)).into_iter().flatten() {
            let word = i64::from(w & !1);
            firsts.push(word - i64::from(*end) + 1);
            lasts.push(word - i64::from(*old));
        }
    }
    firsts.sort_unstable();
    lasts.sort_unstable();
    (firsts, lasts)
}
