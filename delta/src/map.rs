//! Where things went: the address map, the memory of calls and pointers, the memory of variables.
//!
//! All three only predict. A wrong answer costs bits, never correctness, as long as both sides give
//! the same one.

/// Three bytes hold every offset: images are shorter than 16 MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct U24([u8; 3]);

impl U24 {
    fn new(value: u32) -> Self {
        let [a, b, c, _] = value.to_le_bytes();
        Self([a, b, c])
    }

    fn get(self) -> u32 {
        let [a, b, c] = self.0;
        u32::from_le_bytes([a, b, c, 0])
    }
}

/// Most entries the address map can have.
pub const MAP_ENTRIES_MAX: usize = 192;

/// Old offset → new offset, piecewise shifted. Entries are kept in order of old offset.
#[derive(Clone, Debug)]
pub(crate) struct AddressMap {
    entries: [(U24, U24); MAP_ENTRIES_MAX],
    len: u16,
}

impl AddressMap {
    pub(crate) const fn new() -> Self {
        Self { entries: [(U24([0; 3]), U24([0; 3])); MAP_ENTRIES_MAX], len: 0 }
    }

    /// Forgets everything.
    pub(crate) fn begin(&mut self) {
        self.len = 0;
    }

    /// Adds "from `old` on, things went to `new`". A full map forgets it.
    pub(crate) fn add(&mut self, old: u32, new: u32) {
        let len = usize::from(self.len);
        if len >= MAP_ENTRIES_MAX {
            return;
        }
        let mut at = len;
        while at > 0 {
            let below = self.entry(at - 1);
            if below.0 <= old {
                break;
            }
            self.put(at, below);
            at -= 1;
        }
        self.put(at, (old, new));
        self.len += 1;
    }

    fn entry(&self, at: usize) -> (u32, u32) {
        self.entries.get(at).map_or((0, 0), |(old, new)| (old.get(), new.get()))
    }

    fn put(&mut self, at: usize, (old, new): (u32, u32)) {
        if let Some(slot) = self.entries.get_mut(at) {
            *slot = (U24::new(old), U24::new(new));
        }
    }

    /// New minus old offset for an old offset, wrapping.
    pub(crate) fn shift(&self, old: u32) -> u32 {
        let used = self.entries.get(..usize::from(self.len)).unwrap_or(&[]);
        let above = used.partition_point(|(start, _)| start.get() <= old);
        if above == 0 {
            return 0;
        }
        let (start, new) = self.entry(above - 1);
        new.wrapping_sub(start)
    }

    /// The first entry whose new offset is at or after `new`, as (old, new).
    pub(crate) fn next_from(&self, new: u32) -> Option<(u32, u32)> {
        let used = self.entries.get(..usize::from(self.len)).unwrap_or(&[]);
        used.iter()
            .map(|(o, n)| (o.get(), n.get()))
            .filter(|(_, n)| *n >= new)
            .min_by_key(|(_, n)| *n)
    }
}

/// Entries of [`TargetCache`]; a power of two.
const CACHE_ENTRIES: usize = 32;

/// Where single targets went, as far as the body has shown it.
#[derive(Clone, Debug)]
pub(crate) struct TargetCache {
    entries: [(U24, U24); CACHE_ENTRIES],
}

impl TargetCache {
    /// All zeros; [`begin`](Self::begin) makes it usable.
    pub(crate) const fn blank() -> Self {
        Self { entries: [(U24([0; 3]), U24([0; 3])); CACHE_ENTRIES] }
    }

    /// Forgets everything.
    pub(crate) fn begin(&mut self) {
        self.entries.fill((U24([0xFF; 3]), U24([0; 3])));
    }

    fn at(old: u32) -> usize {
        (old.wrapping_mul(0x9E37_79B1) >> 27) as usize % CACHE_ENTRIES
    }

    pub(crate) fn find(&self, old: u32) -> Option<u32> {
        let (key, value) = self.entries[Self::at(old)];
        (key.get() == old).then_some(value.get())
    }

    pub(crate) fn keep(&mut self, old: u32, new: u32) {
        if old < 0xFF_FFFF && new <= 0xFF_FFFF {
            self.entries[Self::at(old)] = (U24::new(old), U24::new(new));
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
    entries: [(U24, U24); VARIABLES_MAX],
    len: u8,
    /// Who goes next when full.
    victim: u8,
}

impl VariableMap {
    pub(crate) const fn new() -> Self {
        Self { entries: [(U24([0; 3]), U24([0; 3])); VARIABLES_MAX], len: 0, victim: 0 }
    }

    /// Forgets everything.
    pub(crate) fn begin(&mut self) {
        self.len = 0;
        self.victim = 0;
    }

    fn above(&self, address: u32) -> usize {
        let used = self.entries.get(..usize::from(self.len)).unwrap_or(&[]);
        used.partition_point(|(key, _)| key.get() <= address)
    }

    fn entry(&self, at: usize) -> (u32, u32) {
        self.entries
            .get(at)
            .map_or((0, 0), |(key, shift)| (key.get(), ((shift.get() << 8) as i32 >> 8) as u32))
    }

    /// The shift of the greatest known address not above `address`, and whether it is that address.
    pub(crate) fn shift(&self, address: u32) -> (u32, bool) {
        match self.above(address) {
            0 => (0, false),
            above => {
                let (key, shift) = self.entry(above - 1);
                (shift, key == address)
            }
        }
    }

    pub(crate) fn keep(&mut self, address: u32, shift: u32) {
        let (known, exact) = self.shift(address);
        if known == shift {
            return;
        }
        let above = self.above(address);
        if exact {
            self.put(above.wrapping_sub(1), (address, shift));
            return;
        }
        let mut at = above;
        if usize::from(self.len) == VARIABLES_MAX {
            let victim = usize::from(self.victim);
            self.victim = ((victim + 37) % VARIABLES_MAX) as u8;
            for i in victim..VARIABLES_MAX - 1 {
                let next = self.entry(i + 1);
                self.put(i, next);
            }
            self.len -= 1;
            if at > victim {
                at -= 1;
            }
        }
        let mut i = usize::from(self.len);
        while i > at {
            let below = self.entry(i - 1);
            self.put(i, below);
            i -= 1;
        }
        self.put(at, (address, shift));
        self.len += 1;
    }

    fn put(&mut self, at: usize, (key, shift): (u32, u32)) {
        if let Some(slot) = self.entries.get_mut(at) {
            *slot = (U24::new(key), U24::new(shift));
        }
    }
}
