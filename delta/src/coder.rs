//! The binary range coder: one adaptive decision at a time, no separate streams.
//!
//! [`Coder`] is what the model talks to; it reads decisions on a device and writes them on a host,
//! so one walk through the image serves both. The coder is the byte-wise carry-less-decoder form of
//! Martin's range coding (1979) in 32 bits, with the exact 32 × 16 product as split point: nothing
//! is lost to rounding on long runs of near-certain decisions.

use crate::walk::Fields;

/// What a decision is about; for accounting only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The address map that precedes the body.
    Map,
    /// Where covers end, where copies come from and how long they are.
    Copies,
    /// Whether a byte equals the old byte beside it.
    Flags,
    /// Bytes that differ from the old byte beside them.
    Differences,
    /// Bytes without an old byte beside them.
    Literals,
    /// Branch and call targets.
    Branches,
    /// Pointers into the image.
    Pointers,
    /// Pointers into RAM.
    Variables,
}

/// Codes one decision after another.
pub(crate) trait Coder {
    /// Codes `bit`, expected to be 1 with `p` of 65,536 (`1 ≤ p ≤ 65535`). A reader ignores `bit`
    /// and returns what it read; a writer returns `bit`.
    fn code(&mut self, p: u32, bit: bool, kind: Kind) -> bool;
}

const RENORM_BELOW: u32 = 1 << 24;
/// Input a step may take before it must find more: see [`Reader::ready`].
const STEP_BYTES_MAX: usize = 104;
const BUFFER_BYTES: usize = STEP_BYTES_MAX;

/// Reads decisions from bytes that arrive in any chunking.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    range: u32,
    code: u32,
    /// Bytes wanted before the first decision.
    opening: u8,
    head: u8,
    tail: u8,
    ended: bool,
    /// Zeros read past the end.
    past_end: u8,
    /// The byte read last before the end.
    last: u8,
    buffer: [u8; BUFFER_BYTES],
}

impl Reader {
    /// All zeros; [`begin`](Self::begin) makes it usable.
    pub(crate) const fn blank() -> Self {
        Self {
            range: 0,
            code: 0,
            opening: 0,
            head: 0,
            tail: 0,
            ended: false,
            past_end: 0,
            last: 0,
            buffer: [0; BUFFER_BYTES],
        }
    }

    /// Before the first byte.
    pub(crate) fn begin(&mut self) {
        let Self { range, code, opening, head, tail, ended, past_end, last, buffer: _ } = self;
        (*range, *code, *opening) = (u32::MAX, 0, 4);
        (*head, *tail, *ended, *past_end, *last) = (0, 0, false, 0, 0);
    }

    /// What was fed and not read yet.
    pub(crate) fn held(&self) -> &[u8] {
        self.buffer.get(usize::from(self.head)..usize::from(self.tail)).unwrap_or(&[])
    }

    /// Saves to, or loads from, `fields`.
    pub(crate) fn each<V: Fields>(&mut self, fields: &mut V) {
        let Self { range, code, opening, head, tail, ended, past_end, last, buffer } = self;
        fields.word(range);
        fields.word(code);
        fields.flag(ended);
        for byte in [opening, head, tail, past_end, last].into_iter().chain(buffer) {
            fields.byte(byte);
        }
    }

    /// Takes as much of `bytes` as fits; returns how much.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> usize {
        if self.head > 0 {
            let (head, tail) = (usize::from(self.head), usize::from(self.tail));
            for i in head..tail {
                let byte = self.buffer.get(i).copied().unwrap_or(0);
                if let Some(slot) = self.buffer.get_mut(i - head) {
                    *slot = byte;
                }
            }
            self.tail -= self.head;
            self.head = 0;
        }
        let mut taken = 0;
        for byte in bytes {
            let Some(slot) = self.buffer.get_mut(usize::from(self.tail)) else { break };
            *slot = *byte;
            self.tail += 1;
            taken += 1;
        }
        taken
    }

    /// No more bytes will come.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// Whether one more step can run without starving.
    pub(crate) fn ready(&self) -> bool {
        self.ended || usize::from(self.tail.saturating_sub(self.head)) >= STEP_BYTES_MAX
    }

    /// Whether more was read than a whole patch can lack: a writer leaves out at most four zeros.
    pub(crate) fn overran(&self) -> bool {
        self.past_end > 4
    }

    /// Whether there were bytes that a writer would not have written: unused ones, or zeros at the
    /// end that it leaves out.
    pub(crate) fn overfed(&self) -> bool {
        self.tail > self.head || (self.past_end < 4 && self.last == 0)
    }

    fn next(&mut self) -> u32 {
        if self.head < self.tail {
            let byte = self.buffer.get(usize::from(self.head)).copied().unwrap_or(0);
            self.head += 1;
            self.last = byte;
            u32::from(byte)
        } else {
            self.past_end = self.past_end.saturating_add(1);
            0
        }
    }
}

impl Coder for Reader {
    fn code(&mut self, p: u32, _bit: bool, _kind: Kind) -> bool {
        while self.opening > 0 {
            self.code = self.code << 8 | self.next();
            self.opening -= 1;
        }
        let bound = split(self.range, p);
        let bit = self.code < bound;
        if bit {
            self.range = bound;
        } else {
            self.code -= bound;
            self.range -= bound;
        }
        while self.range < RENORM_BELOW {
            self.range <<= 8;
            self.code = self.code << 8 | self.next();
        }
        bit
    }
}

/// The part of `range` that stands for 1.
fn split(range: u32, p: u32) -> u32 {
    // The 48-bit product in halves: `p` has 16 bits, and small cores multiply 32 by 32 bits to 32.
    (range >> 16) * p + (((range & 0xFFFF) * p) >> 16)
}

/// Writes decisions.
#[cfg(feature = "make")]
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    low: u64,
    range: u32,
    bytes: Vec<u8>,
    /// Cost so far by [`Kind`], in 1/65,536 bit.
    pub(crate) spent: [u64; 8],
}

#[cfg(feature = "make")]
impl Writer {
    pub(crate) fn new() -> Self {
        Self { low: 0, range: u32::MAX, bytes: Vec::new(), spent: [0; 8] }
    }

    fn carry(&mut self) {
        if self.low >> 32 != 0 {
            self.low &= 0xFFFF_FFFF;
            for byte in self.bytes.iter_mut().rev() {
                *byte = byte.wrapping_add(1);
                if *byte != 0 {
                    break;
                }
            }
        }
    }

    /// The bytes: the shortest tail that still falls into the last range, without trailing zeros
    /// among the last four bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        let top = self.low + u64::from(self.range) - 1;
        let mut value = top;
        for zeros in (0..=32).rev() {
            let rounded = top >> zeros << zeros;
            if rounded >= self.low {
                value = rounded;
                break;
            }
        }
        self.low = value;
        self.carry();
        self.bytes.extend_from_slice(&(self.low as u32).to_be_bytes());
        for _ in 0..4 {
            if self.bytes.last() == Some(&0) {
                self.bytes.pop();
            }
        }
        self.bytes
    }
}

#[cfg(feature = "make")]
impl Coder for Writer {
    fn code(&mut self, p: u32, bit: bool, kind: Kind) -> bool {
        let chance = if bit { p } else { 65_536 - p };
        self.spent[kind as usize] += u64::from(price(chance));
        let bound = split(self.range, p);
        if bit {
            self.range = bound;
        } else {
            self.low += u64::from(bound);
            self.range -= bound;
            self.carry();
        }
        while self.range < RENORM_BELOW {
            self.bytes.push((self.low >> 24) as u8);
            self.low = self.low << 8 & 0xFFFF_FFFF;
            self.range <<= 8;
        }
        bit
    }
}

/// `-log2(chance / 65536)` in 1/65,536 bit; approximate, for accounting.
#[cfg(feature = "make")]
pub(crate) fn price(chance: u32) -> u32 {
    let chance = chance.clamp(1, 65_535);
    let top = 31 - chance.leading_zeros();
    // One Newton-free step: log2 of the mantissa by its chord and a parabola.
    let x = (u64::from(chance) << (16 - top)) - 65_536;
    let bend = x * (65_536 - x) / 65_536 * 22_500 / 65_536;
    (16 << 16) - (top << 16) - (x + bend) as u32
}

#[cfg(all(test, feature = "make"))]
mod tests {
    use super::*;

    #[test]
    fn any_decisions_at_any_probability_come_back_in_any_chunking() {
        for seed in 1..200_u64 {
            let mut x = seed;
            let mut next = move || {
                x = x
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (x >> 33) as u32
            };
            let script: Vec<(u32, bool)> = (0..seed * 7)
                .map(|_| {
                    let p = match next() % 4 {
                        0 => 1,
                        1 => 65_535,
                        _ => next() % 65_535 + 1,
                    };
                    (p, next() % 65_536 < p)
                })
                .collect();
            let mut writer = Writer::new();
            for (p, bit) in &script {
                writer.code(*p, *bit, Kind::Map);
            }
            let bytes = writer.finish();
            let mut reader = Reader::blank();
            reader.begin();
            let mut at = 0;
            for (p, bit) in &script {
                while !reader.ready() {
                    let upto = (at + 1 + next() as usize % 9).min(bytes.len());
                    at += reader.feed(&bytes[at..upto]);
                    if at == bytes.len() {
                        reader.end();
                    }
                }
                assert_eq!(reader.code(*p, false, Kind::Map), *bit, "seed {seed}");
            }
            assert!(!reader.overran(), "seed {seed}");
        }
    }
}
