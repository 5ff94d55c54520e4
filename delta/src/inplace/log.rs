//! What survives a cut: two slots of checkpoints, used in turn, each followed by notes.
//!
//! ```text
//! slot = note (64 bytes) · what the walk remembers · seal · seal · touched pages (32 bytes each)
//! ```
//!
//! Everything is written once, in units, front to back, into freshly erased pages. A seal carries the
//! sum of all before it. Nothing is added to a slot after a cut: going on begins by writing the whole
//! of it into the other slot.
//!
//! A unit whose writing was cut may read as whole once and as torn later. Two seals tell: the second
//! is begun only when the first is safe, and a slot is acted upon only when the second is. So the
//! newest slot with a second seal counts; without any, the oldest with a first one, which may have
//! been acted upon while a younger one cannot have been. A torn note of a touched page is harmless
//! either way, because after a cut nothing is touched before the other slot says the same, safely.

use super::{Area, Geometry, InPlaceError, Nor};
use crate::apply::{FlashFault, Workspace};
use crate::walk::{Facts, Fields};

/// What flash is written in; every device's word is a part of it.
pub const UNIT: u32 = 32;
const NOTE_BYTES: u32 = 64;
/// What the walk remembers, rounded up to units.
const MEMORY_BYTES: u32 = 7296;
/// A checkpoint, without the notes of touched pages: one for each page of the ring.
pub const CHECKPOINT_BYTES: u32 = NOTE_BYTES + MEMORY_BYTES + 2 * UNIT;
/// Most bytes that a step writes beyond the end of a page.
pub(super) const SPILL_MAX: usize = 12;

const NOTE: u32 = u32::from_le_bytes(*b"FDn1");
const SEAL: u32 = u32::from_le_bytes(*b"FDs1");
const TOUCHED: u32 = u32::from_le_bytes(*b"FDt1");
/// In place of a page number: the update came to its end.
const COMPLETE: u32 = u32::MAX;

/// CRC-32 (ISO-HDLC), without a table.
pub(crate) struct Sum(u32);

impl Sum {
    pub(crate) fn new() -> Self {
        Self(!0)
    }

    pub(crate) fn add(&mut self, byte: u8) {
        self.0 ^= u32::from(byte);
        for _ in 0..8 {
            self.0 = self.0 >> 1 ^ (self.0 & 1).wrapping_neg() & 0xEDB8_8320;
        }
    }

    pub(crate) fn value(&self) -> u32 {
        !self.0
    }
}

/// Where an update stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    /// The page of the new image that is made next.
    pub(super) page: u32,
    /// Bit i: the old page `page` − 1 − i is in the ring, because it was overwritten.
    pub(super) kept: u32,
    /// Bit i: the old page `page` + i is in the ring, because it may be overwritten.
    pub(super) touched: u32,
    /// Pages of the old image that were not moved up yet; nothing is made before all are.
    pub(super) lower: u32,
    /// Bytes of the patch taken.
    pub(super) fed: u32,
    pub(super) patch_crc: u32,
    pub(super) new_digest: [u8; 16],
    /// The first bytes of the page, made already.
    pub(super) spill: [u8; SPILL_MAX],
    pub(super) spilt: u32,
}

impl Note {
    /// Nothing done yet.
    pub(super) fn of(patch_crc: u32, new_digest: [u8; 16]) -> Self {
        Self {
            page: 0,
            kept: 0,
            touched: 0,
            lower: 0,
            fed: 0,
            patch_crc,
            new_digest,
            spill: [0; SPILL_MAX],
            spilt: 0,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.page == COMPLETE
    }

    /// Whether what the walk remembers follows.
    fn has_memory(&self) -> bool {
        !self.is_complete() && self.lower == 0
    }

    /// The update came to its end.
    pub(super) fn complete(self) -> Self {
        Self { page: COMPLETE, ..self }
    }

    fn each<V: Fields>(&mut self, sequence: &mut u32, fields: &mut V) {
        let mut magic = NOTE;
        fields.word(&mut magic);
        fields.word(sequence);
        let Self { page, kept, touched, lower, fed, patch_crc, new_digest, spill, spilt } = self;
        for word in [page, kept, touched, lower, fed, patch_crc, spilt] {
            fields.word(word);
        }
        for byte in new_digest.iter_mut().chain(spill) {
            fields.byte(byte);
        }
        // Only a reader sees another number here.
        *sequence = if magic == NOTE { *sequence } else { 0 };
    }
}

fn memory<V: Fields>(work: &mut Workspace, fields: &mut V) {
    work.reader.each(fields);
    work.codec.each(fields);
}

/// Reads units.
struct In<'a, N> {
    nor: &'a mut N,
    at: u32,
    unit: [u8; UNIT as usize],
    used: usize,
    sum: Sum,
    fault: bool,
}

impl<'a, N: Nor> In<'a, N> {
    fn new(nor: &'a mut N, at: u32) -> Self {
        Self { nor, at, unit: [0; 32], used: 32, sum: Sum::new(), fault: false }
    }
}

impl<N: Nor> Fields for In<'_, N> {
    fn byte(&mut self, value: &mut u8) {
        if self.used == self.unit.len() {
            self.used = 0;
            self.fault |= self.nor.read(Area::Slots, self.at, &mut self.unit).is_err();
            self.at += UNIT;
        }
        *value = self.unit.get(self.used).copied().unwrap_or(0);
        self.used += 1;
        self.sum.add(*value);
    }
}

/// Writes units, and reads back that they were kept.
struct Out<'a, N> {
    nor: &'a mut N,
    at: u32,
    unit: [u8; UNIT as usize],
    used: usize,
    sum: Sum,
    result: Result<(), FlashFault>,
}

impl<'a, N: Nor> Out<'a, N> {
    fn new(nor: &'a mut N, at: u32) -> Self {
        Self { nor, at, unit: [0xFF; 32], used: 0, sum: Sum::new(), result: Ok(()) }
    }

    /// Fills the unit up and writes it.
    fn round(&mut self) {
        while self.used > 0 && self.result.is_ok() {
            self.byte(&mut 0xFF);
        }
    }
}

impl<N: Nor> Fields for Out<'_, N> {
    fn byte(&mut self, value: &mut u8) {
        self.sum.add(*value);
        if let Some(slot) = self.unit.get_mut(self.used) {
            *slot = *value;
        }
        self.used += 1;
        if self.used == self.unit.len() {
            if self.result.is_ok() {
                self.result = written(self.nor, Area::Slots, self.at, &self.unit);
            }
            self.used = 0;
            self.at += UNIT;
        }
    }
}

/// Writes whole units and reads them back.
pub(super) fn written<N: Nor>(
    nor: &mut N,
    area: Area,
    at: u32,
    bytes: &[u8],
) -> Result<(), FlashFault> {
    nor.program(area, at, bytes)?;
    let mut back = [0; UNIT as usize];
    for (at, piece) in (at..).step_by(UNIT as usize).zip(bytes.chunks(back.len())) {
        nor.read(area, at, &mut back)?;
        if back.get(..piece.len()) != Some(piece) {
            return Err(FlashFault);
        }
    }
    Ok(())
}

/// The slot in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Log {
    slot: u32,
    sequence: u32,
    /// Touched pages noted in it.
    notes: u32,
}

/// What a slot says.
struct Slot {
    log: Log,
    note: Note,
    /// 1 or 2.
    seals: u8,
}

impl Log {
    /// Before anything was written.
    pub(super) const NEW: Self = Self { slot: 1, sequence: 0, notes: 0 };

    /// The slot that counts, if any does.
    pub(super) fn open<N: Nor>(geometry: &Geometry, nor: &mut N) -> Option<(Self, Note)> {
        let (first, second) = (read(geometry, nor, 0), read(geometry, nor, 1));
        let chosen = match (first, second) {
            (Some(a), Some(b)) => {
                let a_newer = a.log.sequence > b.log.sequence;
                let both_or_none = a.seals == b.seals;
                let take_a = match (both_or_none, a.seals) {
                    (true, 2) => a_newer,
                    (true, _) => !a_newer,
                    (false, seals) => seals == 2,
                };
                if take_a { a } else { b }
            }
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return None,
        };
        let Slot { log, mut note, .. } = chosen;
        if note.is_complete() {
            return Some((log, note));
        }
        // Pages noted after the checkpoint.
        for i in 0..geometry.ring_pages {
            let at = base(geometry, log.slot) + CHECKPOINT_BYTES + UNIT * i;
            match stamp(nor, at, TOUCHED, log.sequence) {
                Some(page) if page.wrapping_sub(note.page) < 32 => {
                    note.touched |= 1 << (page - note.page);
                }
                _ => break,
            }
        }
        Some((log, note))
    }

    /// Writes a checkpoint into the other slot, which from then on counts.
    pub(super) fn write<N: Nor>(
        &mut self,
        geometry: &Geometry,
        nor: &mut N,
        note: &Note,
        work: &mut Workspace,
    ) -> Result<(), InPlaceError> {
        let (slot, mut sequence) = (self.slot ^ 1, self.sequence.wrapping_add(1));
        let pages = geometry.slots_pages / 2;
        for page in 0..pages {
            nor.erase(Area::Slots, slot * pages + page)?;
        }
        let mut out = Out::new(nor, base(geometry, slot));
        let mut note = *note;
        note.each(&mut sequence, &mut out);
        if note.has_memory() {
            memory(work, &mut out);
        }
        out.round();
        let (sum, result) = (out.sum.value(), out.result);
        result?;
        let seals = base(geometry, slot) + NOTE_BYTES + MEMORY_BYTES;
        for at in [seals, seals + UNIT] {
            put_stamp(nor, at, SEAL, sequence, sum)?;
        }
        *self = Self { slot, sequence, notes: 0 };
        Ok(())
    }

    /// Loads what the walk remembered.
    pub(super) fn load<N: Nor>(
        &self,
        geometry: &Geometry,
        nor: &mut N,
        facts: Facts,
        work: &mut Workspace,
    ) -> Result<(), InPlaceError> {
        let mut from = In::new(nor, base(geometry, self.slot) + NOTE_BYTES);
        work.reader.each(&mut from);
        work.codec.load(facts, &mut from);
        if from.fault { Err(FlashFault.into()) } else { Ok(()) }
    }

    /// Notes that a page of the image may be overwritten from now on.
    pub(super) fn touch<N: Nor>(
        &mut self,
        geometry: &Geometry,
        nor: &mut N,
        page: u32,
    ) -> Result<(), InPlaceError> {
        let at = base(geometry, self.slot) + CHECKPOINT_BYTES + UNIT * self.notes;
        put_stamp(nor, at, TOUCHED, self.sequence, page)?;
        self.notes += 1;
        Ok(())
    }
}

/// Where a slot begins.
fn base(geometry: &Geometry, slot: u32) -> u32 {
    slot * (geometry.slots_pages / 2) * geometry.page_bytes
}

/// Reads a slot; `None` if it is not whole.
fn read<N: Nor>(geometry: &Geometry, nor: &mut N, slot: u32) -> Option<Slot> {
    let begin = base(geometry, slot);
    let mut from = In::new(nor, begin);
    let mut note = Note::of(0, [0; 16]);
    let mut sequence = 0;
    note.each(&mut sequence, &mut from);
    if sequence == 0 {
        return None;
    }
    let rest = if note.has_memory() { NOTE_BYTES + MEMORY_BYTES } else { NOTE_BYTES };
    // Up to the end of the unit in which the note or the memory ends.
    while !from.fault && (from.at < begin + rest || from.used < from.unit.len()) {
        from.byte(&mut 0);
    }
    let (sum, fault) = (from.sum.value(), from.fault);
    let seals = begin + NOTE_BYTES + MEMORY_BYTES;
    let [first, second] = [seals, seals + UNIT].map(|at| stamp(nor, at, SEAL, sequence));
    if fault || (first != Some(sum) && second != Some(sum)) {
        return None;
    }
    let seals = if second == Some(sum) { 2 } else { 1 };
    Some(Slot { log: Log { slot, sequence, notes: 0 }, note, seals })
}

/// A unit of three words and their sum.
fn put_stamp<N: Nor>(
    nor: &mut N,
    at: u32,
    magic: u32,
    sequence: u32,
    value: u32,
) -> Result<(), FlashFault> {
    let mut out = Out::new(nor, at);
    for mut word in [magic, sequence, value] {
        out.word(&mut word);
    }
    let mut sum = out.sum.value();
    out.word(&mut sum);
    out.round();
    out.result
}

/// The value in a stamp, if it is one.
fn stamp<N: Nor>(nor: &mut N, at: u32, magic: u32, sequence: u32) -> Option<u32> {
    let mut from = In::new(nor, at);
    let [mut a, mut b, mut value, mut sum] = [0; 4];
    for word in [&mut a, &mut b, &mut value] {
        from.word(word);
    }
    let wanted = from.sum.value();
    from.word(&mut sum);
    (!from.fault && (a, b, sum) == (magic, sequence, wanted)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting(u32);

    impl Fields for Counting {
        fn byte(&mut self, _value: &mut u8) {
            self.0 += 1;
        }
    }

    #[test]
    fn a_note_and_what_a_walk_remembers_have_the_room_that_the_layout_gives_them() {
        let mut count = Counting(0);
        Note::of(0, [0; 16]).each(&mut 1, &mut count);
        assert_eq!(count.0, NOTE_BYTES);
        let mut count = Counting(0);
        memory(&mut Workspace::new(), &mut count);
        assert_eq!(count.0.next_multiple_of(UNIT), MEMORY_BYTES);
    }

    #[test]
    fn the_sum_is_the_crc_that_everybody_knows() {
        let mut sum = Sum::new();
        for byte in b"123456789" {
            sum.add(*byte);
        }
        assert_eq!(sum.value(), 0xCBF4_3926);
    }
}
