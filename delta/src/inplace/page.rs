//! One page of the new image after another: made in memory, then put where the old one stood.

use super::log::{Log, Note, SPILL_MAX, UNIT, written};
use super::{Area, Geometry, InPlaceError, Nor, digest};
use crate::apply::{FlashFault, Workspace};
use crate::header::{Body, Header, InPlace};
use crate::walk::{Action, Facts, Scene};

/// An update on its way.
pub(super) struct Rewriting<'a, N> {
    header: &'a Header,
    /// Bytes of the patch before its body.
    body_at: u32,
    /// Pages between two checkpoints.
    pause: u32,
    work: &'a mut Workspace,
    log: Log,
    sight: Sight<'a, N>,
}

/// What a step sees: old bytes in place or in the ring, new ones in flash or in memory.
struct Sight<'a, N> {
    geometry: Geometry,
    /// Bytes of a page as a power of two: small cores divide in a library.
    page_bits: u32,
    nor: &'a mut N,
    page: &'a mut [u8],
    old_len: u32,
    /// Of the last checkpoint; `page` and `fed` there.
    note: Note,
    /// The page being made, how much of it is, and what went beyond its end.
    number: u32,
    filled: u32,
    spill: [u8; SPILL_MAX],
    fed: u32,
    reach: u32,
    /// Bytes by which the old image was moved up.
    lift: u32,
    fault: Option<InPlaceError>,
}

/// What became of a page.
#[derive(PartialEq, Eq)]
enum Put {
    /// It is where it belongs.
    Done,
    /// It changed, and the last checkpoint is too far behind: take one first.
    TooFar,
}

impl<'a, N: Nor> Rewriting<'a, N> {
    pub(super) fn new(
        geometry: &Geometry,
        header: &'a Header,
        in_place: InPlace,
        body_at: u32,
        nor: &'a mut N,
        page: &'a mut [u8],
        work: &'a mut Workspace,
    ) -> Self {
        let reach = u32::from(in_place.reach);
        Self {
            header,
            body_at,
            pause: geometry.ring_pages.saturating_sub(reach).max(1),
            work,
            log: Log::NEW,
            sight: Sight {
                geometry: *geometry,
                page_bits: geometry.page_bytes.trailing_zeros() % 32,
                nor,
                page,
                old_len: header.old_len,
                note: Note::of(in_place.patch_crc, header.new_digest.0),
                number: 0,
                filled: 0,
                spill: [0; SPILL_MAX],
                fed: body_at,
                reach,
                lift: u32::from(in_place.lift) * geometry.page_bytes,
                fault: None,
            },
        }
    }

    /// Writes the first checkpoint.
    pub(super) fn begin(&mut self, log: Log) -> Result<(), InPlaceError> {
        self.log = log;
        let Sight { note, old_len, lift, geometry, page_bits, .. } = &mut self.sight;
        note.fed = self.body_at;
        note.lower =
            if *lift == 0 { 0 } else { (*old_len + geometry.page_bytes - 1) >> *page_bits };
        self.checkpoint()?;
        self.lift()?;
        self.restore()
    }

    /// Goes back to a checkpoint, and writes it again: what a cut left may be weak.
    pub(super) fn resume(&mut self, log: Log, note: &Note) -> Result<(), InPlaceError> {
        self.log = log;
        self.sight.note = *note;
        if note.lower > 0 {
            self.checkpoint()?;
            self.lift()?;
            return self.restore();
        }
        self.restore()?;
        self.checkpoint()
    }

    /// Moves the old image up, from its end. What a page held is overwritten only when the page that
    /// many places below it moves, and by then a note says that it is where it was to go.
    fn lift(&mut self) -> Result<(), InPlaceError> {
        let pages = self.sight.lift >> self.sight.page_bits;
        while self.sight.note.lower > 0 {
            let lower = self.sight.note.lower;
            let next = lower.saturating_sub(pages);
            for page in (next..lower).rev() {
                self.sight.copy(page, Area::Image, page + pages)?;
            }
            self.sight.note.lower = next;
            self.checkpoint()?;
        }
        Ok(())
    }

    /// To the end.
    pub(super) fn finish(&mut self) -> Result<(), InPlaceError> {
        loop {
            let last = self.make_page()?;
            if self.put_page()? == Put::TooFar {
                self.catch_up()?;
                continue;
            }
            self.turn();
            if last && self.sight.filled == 0 {
                break;
            }
            let behind = self.sight.number - self.sight.note.page;
            if self.sight.note.touched != 0 && behind >= self.pause {
                self.advance_note();
                self.checkpoint()?;
            }
        }
        let Header { new_len, new_digest, .. } = *self.header;
        if digest(self.sight.nor, new_len)? != new_digest {
            return Err(InPlaceError::NewDigest);
        }
        let Self { log, sight, work, .. } = self;
        log.write(&sight.geometry, sight.nor, &sight.note.complete(), work)
    }

    fn facts(&self) -> Option<Facts> {
        let Header { old_len, new_len, body, .. } = *self.header;
        let Body::Coded { isa, base, map_entries } = body else { return None };
        Some(Facts { isa, old_len, new_len, base, map_entries: u32::from(map_entries) })
    }

    /// To where the last checkpoint was taken.
    fn restore(&mut self) -> Result<(), InPlaceError> {
        let sight = &mut self.sight;
        sight.number = sight.note.page;
        sight.fed = sight.note.fed;
        sight.filled = sight.note.spilt;
        for (to, from) in sight.page.iter_mut().zip(sight.note.spill) {
            *to = from;
        }
        let (geometry, first) = (sight.geometry, sight.note.page == 0);
        match self.facts() {
            None => Ok(()),
            Some(facts) if first => {
                self.work.reader.begin();
                self.work.codec.begin(facts);
                Ok(())
            }
            Some(facts) => self.log.load(&geometry, self.sight.nor, facts, self.work),
        }
    }

    /// The state as it is becomes the one to go back to.
    fn advance_note(&mut self) {
        let sight = &mut self.sight;
        let (number, mut kept) = (sight.number, 0);
        for i in 0..sight.geometry.ring_pages.min(number) {
            kept |= u32::from(sight.is_kept(number - 1 - i)) << i;
        }
        for (to, from) in sight.note.spill.iter_mut().zip(&*sight.page) {
            *to = *from;
        }
        let Sight { note, fed, filled, .. } = sight;
        *note = Note { page: number, kept, touched: 0, fed: *fed, spilt: *filled, ..*note };
    }

    fn checkpoint(&mut self) -> Result<(), InPlaceError> {
        let Self { log, sight, work, .. } = self;
        log.write(&sight.geometry, sight.nor, &sight.note, work)
    }

    /// Takes a checkpoint at the beginning of the page just made. Everything since the last one was
    /// left as it stood, so that it comes out again.
    fn catch_up(&mut self) -> Result<(), InPlaceError> {
        let goal = self.sight.number;
        self.restore()?;
        while self.sight.number < goal {
            self.make_page()?;
            self.turn();
        }
        self.advance_note();
        self.checkpoint()
    }

    /// Makes the rest of the page in memory; returns whether the image ends in it, or in what went
    /// beyond it.
    fn make_page(&mut self) -> Result<bool, InPlaceError> {
        let Header { new_len, body, .. } = *self.header;
        let (page_bytes, patch_bytes) =
            (self.sight.geometry.page_bytes, self.sight.geometry.patch_bytes);
        if body == Body::Stored {
            let at = self.sight.number * page_bytes;
            let len = new_len.saturating_sub(at).min(page_bytes);
            if patch_bytes - self.body_at != new_len {
                return Err(InPlaceError::Damaged);
            }
            if let Some(page) = self.sight.page.get_mut(..len as usize) {
                self.sight.nor.read(Area::Patch, self.body_at + at, page)?;
            }
            self.sight.filled = len;
            return Ok(at + len == new_len);
        }
        let Self { work, sight, .. } = self;
        while !work.codec.done() && (sight.filled < page_bytes || !work.codec.pausable()) {
            if !work.reader.ready() {
                let mut piece = [0; UNIT as usize];
                let len = (patch_bytes - sight.fed).min(UNIT) as usize;
                let piece = piece.get_mut(..len).unwrap_or(&mut []);
                sight.nor.read(Area::Patch, sight.fed, piece)?;
                sight.fed += work.reader.feed(piece) as u32;
                if sight.fed == patch_bytes {
                    work.reader.end();
                }
                continue;
            }
            let step = work.codec.step(&mut work.reader, sight);
            if let Some(fault) = sight.fault {
                return Err(fault);
            }
            if step.is_err() || work.reader.overran() {
                return Err(InPlaceError::Damaged);
            }
        }
        if work.codec.done() && work.reader.overfed() {
            return Err(InPlaceError::Damaged);
        }
        Ok(work.codec.done())
    }

    /// Puts the page where it belongs, after what stands there is safe.
    fn put_page(&mut self) -> Result<Put, InPlaceError> {
        let Self { sight, log, pause, .. } = self;
        let (number, page_bytes) = (sight.number, sight.geometry.page_bytes);
        let at = number * page_bytes;
        let len = sight.filled.min(page_bytes) as usize;
        let behind = number - sight.note.page;
        if sight.is_touched(number) {
            // A page behind another touched one was written to its end.
            if sight.note.touched >> behind > 1 && sight.same(at, len)? {
                return Ok(Put::Done);
            }
        } else {
            if sight.same(at, len)? {
                return Ok(Put::Done);
            }
            if behind >= *pause {
                return Ok(Put::TooFar);
            }
            if (sight.lift..sight.lift + sight.old_len).contains(&at) {
                sight.copy(number, Area::Ring, sight.ring_at(number))?;
            }
            log.touch(&sight.geometry, sight.nor, number)?;
            sight.note.touched |= 1 << behind;
        }
        sight.nor.erase(Area::Image, number)?;
        if let Some(rest) = sight.page.get_mut(len..) {
            rest.fill(0xFF);
        }
        let units = len.next_multiple_of(UNIT as usize);
        if let Some(page) = sight.page.get(..units) {
            for (at, unit) in (at..).step_by(UNIT as usize).zip(page.chunks(UNIT as usize)) {
                if unit.iter().any(|byte| *byte != 0xFF) {
                    written(sight.nor, Area::Image, at, unit)?;
                }
            }
        }
        Ok(Put::Done)
    }

    /// On to the next page.
    fn turn(&mut self) {
        let sight = &mut self.sight;
        for (to, from) in sight.page.iter_mut().zip(sight.spill) {
            *to = from;
        }
        sight.filled = sight.filled.saturating_sub(sight.geometry.page_bytes);
        sight.number += 1;
    }
}

impl<N: Nor> Sight<'_, N> {
    /// Whether an old page may be overwritten, and what was there is in the ring.
    fn is_touched(&self, page: u32) -> bool {
        let after = page.wrapping_sub(self.note.page);
        after < 32 && self.note.touched >> after & 1 != 0
    }

    fn is_kept(&self, page: u32) -> bool {
        let before = self.note.page.wrapping_sub(page).wrapping_sub(1);
        self.is_touched(page) || (before < 32 && self.note.kept >> before & 1 != 0)
    }

    /// Where an old page's bytes are.
    fn ring_at(&self, page: u32) -> u32 {
        page.checked_rem(self.geometry.ring_pages).unwrap_or(0)
    }

    /// Whether flash holds what was made.
    fn same(&mut self, at: u32, len: usize) -> Result<bool, FlashFault> {
        let mut piece = [0; UNIT as usize];
        let Some(made) = self.page.get(..len) else { return Ok(false) };
        for (at, made) in (at..).step_by(UNIT as usize).zip(made.chunks(UNIT as usize)) {
            let piece = piece.get_mut(..made.len()).unwrap_or(&mut []);
            self.nor.read(Area::Image, at, piece)?;
            if piece != made {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Copies a page of the image.
    fn copy(&mut self, page: u32, area: Area, into: u32) -> Result<(), FlashFault> {
        let page_bytes = self.geometry.page_bytes;
        self.nor.erase(area, into)?;
        let mut piece = [0; UNIT as usize];
        for i in (0..page_bytes).step_by(UNIT as usize) {
            self.nor.read(Area::Image, page * page_bytes + i, &mut piece)?;
            if piece.iter().any(|byte| *byte != 0xFF) {
                written(self.nor, area, into * page_bytes + i, &piece)?;
            }
        }
        Ok(())
    }
}

impl<N: Nor> Scene for Sight<'_, N> {
    fn source(&mut self, at: u32) -> u8 {
        let page_bytes = self.geometry.page_bytes;
        let mut byte = [0];
        let read = if at < self.old_len {
            let at = at + self.lift;
            let page = at >> self.page_bits;
            if page + self.reach < self.number {
                self.fault = Some(InPlaceError::Damaged);
                return 0;
            }
            if self.is_kept(page) {
                let at = self.ring_at(page) * page_bytes + (at & (page_bytes - 1));
                self.nor.read(Area::Ring, at, &mut byte)
            } else {
                self.nor.read(Area::Image, at, &mut byte)
            }
        } else {
            let at = at - self.old_len;
            let start = self.number * page_bytes;
            if at >= start {
                let at = at - start;
                let beyond = at.wrapping_sub(page_bytes) as usize;
                let found = self.page.get(at as usize).or_else(|| self.spill.get(beyond));
                return found.copied().unwrap_or(0);
            }
            self.nor.read(Area::Image, at, &mut byte)
        };
        if let Err(fault) = read {
            self.fault = Some(fault.into());
        }
        let [byte] = byte;
        byte
    }

    fn put(&mut self, byte: u8) {
        let at = self.filled as usize;
        let beyond = at.wrapping_sub(self.geometry.page_bytes as usize);
        let slot = match self.page.get_mut(at) {
            Some(slot) => Some(slot),
            None => self.spill.get_mut(beyond),
        };
        match slot {
            Some(slot) => *slot = byte,
            None => self.fault = Some(InPlaceError::Damaged),
        }
        self.filled += 1;
    }

    fn truth(&mut self, _at: u32) -> u8 {
        0
    }

    fn map_entry(&mut self, _number: u32) -> (u32, u32) {
        (0, 0)
    }

    fn plan(&mut self, _at: u32) -> Action {
        Action::Literal
    }
}
