//! Where things went: the address map, the memory of calls and pointers, the memory of variables.
//!
//! All three only predict. A wrong answer costs bits, never correctness, as long as both sides give
//! the same one.

use crate::walk::Fields;

/// Two numbers of three bytes each, which hold every offset: images are shorter than 16 MiB.
type Pair = [u8; 6];

const NO_PAIR: Pair = [0; 6];

// Four functions for three tables, not inlined: the same few instructions again and again were a
// tenth of the decoder on a Cortex-M0.

/// The pair at `at`; zeros past the end.
#[inline(never)]
fn get(pairs: &[Pair], at: usize) -> (u32, u32) {
    let [a, b, c, d, e, f] = pairs.get(at).copied().unwrap_or(NO_PAIR);
    (u32::from_le_bytes([a, b, c, 0]), u32::from_le_bytes([d, e, f, 0]))
}

#[inline(never)]
fn put(pairs: &mut [Pair], at: usize, (key, value): (u32, u32)) {
    if let Some(pair) = pairs.get_mut(at) {
        let ([a, b, c, _], [d, e, f, _]) = (key.to_le_bytes(), value.to_le_bytes());
        *pair = [a, b, c, d, e, f];
    }
}

/// How many of the first `len` pairs, which are in order of key, have a key up to `key`.
#[inline(never)]
fn upto(pairs: &[Pair], len: usize, key: u32) -> usize {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = (low + high) / 2;
        if get(pairs, middle).0 <= key {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

fn each<V: Fields>(pairs: &mut [Pair], fields: &mut V) {
    for byte in pairs.iter_mut().flatten() {
        fields.byte(byte);
    }
}

/// Puts a pair at `at`; those from there to `len` go one place up.
#[inline(never)]
fn insert(pairs: &mut [Pair], len: usize, at: usize, pair: (u32, u32)) {
    let mut i = len;
    while i > at {
        let below = get(pairs, i - 1);
        put(pairs, i, below);
        i -= 1;
    }
    put(pairs, at, pair);
}

/// Most entries the address map can have.
pub const MAP_ENTRIES_MAX: usize = 192;

/// Old offset → new offset, piecewise shifted. Entries are kept in order of old offset.
#[derive(Clone, Debug)]
pub(crate) struct AddressMap {
    entries: [Pair; MAP_ENTRIES_MAX],
    len: u16,
}

impl AddressMap {
    pub(crate) const fn new() -> Self {
        Self { entries: [NO_PAIR; MAP_ENTRIES_MAX], len: 0 }
    }

    /// Forgets everything.
    pub(crate) fn begin(&mut self) {
        self.len = 0;
    }

    /// Saves to, or loads from, `fields`.
    pub(crate) fn each<V: Fields>(&mut self, fields: &mut V) {
        each(&mut self.entries, fields);
        fields.half(&mut self.len);
    }

    /// Adds "from `old` on, things went to `new`". A full map forgets it.
    pub(crate) fn add(&mut self, old: u32, new: u32) {
        let len = usize::from(self.len);
        if len < MAP_ENTRIES_MAX {
            let at = upto(&self.entries, len, old);
            insert(&mut self.entries, len, at, (old, new));
            self.len += 1;
        }
    }

    /// New minus old offset for an old offset, wrapping.
    pub(crate) fn shift(&self, old: u32) -> u32 {
        match upto(&self.entries, usize::from(self.len), old) {
            0 => 0,
            above => {
                let (start, new) = get(&self.entries, above - 1);
                new.wrapping_sub(start)
            }
        }
    }

    /// The first entry whose new offset is at or after `new`, as (old, new).
    pub(crate) fn next_from(&self, new: u32) -> Option<(u32, u32)> {
        let mut nearest = None;
        let mut limit = u32::MAX;
        for i in 0..usize::from(self.len) {
            let entry = get(&self.entries, i);
            if entry.1 >= new && entry.1 < limit {
                limit = entry.1;
                nearest = Some(entry);
            }
        }
        nearest
    }
}

/// Entries of [`TargetCache`]; a power of two.
const CACHE_ENTRIES: usize = 32;

/// Where single targets went, as far as the body has shown it.
#[derive(Clone, Debug)]
pub(crate) struct TargetCache {
    entries: [Pair; CACHE_ENTRIES],
}

impl TargetCache {
    /// All zeros; [`begin`](Self::begin) makes it usable.
    pub(crate) const fn blank() -> Self {
        Self { entries: [NO_PAIR; CACHE_ENTRIES] }
    }

    /// Forgets everything.
    pub(crate) fn begin(&mut self) {
        self.entries.fill([0xFF, 0xFF, 0xFF, 0, 0, 0]);
    }

    /// Saves to, or loads from, `fields`.
    pub(crate) fn each<V: Fields>(&mut self, fields: &mut V) {
        each(&mut self.entries, fields);
    }

    fn at(old: u32) -> usize {
        (old.wrapping_mul(0x9E37_79B1) >> 27) as usize % CACHE_ENTRIES
    }

    pub(crate) fn find(&self, old: u32) -> Option<u32> {
        let (key, value) = get(&self.entries, Self::at(old));
        (key == old).then_some(value)
    }

    pub(crate) fn keep(&mut self, old: u32, new: u32) {
        if old < 0xFF_FFFF && new <= 0xFF_FFFF {
            put(&mut self.entries, Self::at(old), (old, new));
        }
    }
}

/// Most entries of [`VariableMap`].
const VARIABLES_MAX: usize = 48;

/// RAM address → where the variable went: a staircase learnt as it is decoded, because a linker
/// moves variables in blocks.
#[derive(Clone, Debug)]
pub(crate) struct VariableMap {
    /// (address − window start, shift as 24-bit two's complement), sorted.
    entries: [Pair; VARIABLES_MAX],
    len: u8,
    /// Who goes next when full.
    victim: u8,
}

impl VariableMap {
    pub(crate) const fn new() -> Self {
        Self { entries: [NO_PAIR; VARIABLES_MAX], len: 0, victim: 0 }
    }

    /// Forgets everything.
    pub(crate) fn begin(&mut self) {
        self.len = 0;
        self.victim = 0;
    }

    /// Saves to, or loads from, `fields`.
    pub(crate) fn each<V: Fields>(&mut self, fields: &mut V) {
        each(&mut self.entries, fields);
        fields.byte(&mut self.len);
        fields.byte(&mut self.victim);
    }

    fn above(&self, address: u32) -> usize {
        upto(&self.entries, usize::from(self.len), address)
    }

    /// The shift of the greatest known address not above `address`, and whether it is that address.
    pub(crate) fn shift(&self, address: u32) -> (u32, bool) {
        match self.above(address) {
            0 => (0, false),
            above => {
                let (key, shift) = get(&self.entries, above - 1);
                (((shift << 8) as i32 >> 8) as u32, key == address)
            }
        }
    }

    pub(crate) fn keep(&mut self, address: u32, shift: u32) {
        let (known, exact) = self.shift(address);
        if known == shift {
            return;
        }
        let mut at = self.above(address);
        if exact {
            put(&mut self.entries, at.wrapping_sub(1), (address, shift));
            return;
        }
        let mut len = usize::from(self.len);
        if len == VARIABLES_MAX {
            let victim = usize::from(self.victim);
            let next = victim + 37;
            self.victim = if next < VARIABLES_MAX { next } else { next - VARIABLES_MAX } as u8;
            for i in victim..VARIABLES_MAX - 1 {
                let next = get(&self.entries, i + 1);
                put(&mut self.entries, i, next);
            }
            len -= 1;
            if at > victim {
                at -= 1;
            }
        }
        insert(&mut self.entries, len, at, (address, shift));
        self.len = len as u8 + 1;
    }
}
