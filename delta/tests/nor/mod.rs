//! NOR flash that loses power: pages are erased, units of 32 bytes are written once, and a cut may
//! fall before, into the middle of, or after any erase or write.
//!
//! What a cut left is weak: it may read as anything, differently each time, or fail to be read.
//! Reading the patch never fails. Every rule that flash has is checked: a unit is written only once
//! after an erase that came to its end.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]
#![allow(clippy::unwrap_used, reason = "a test's own flash")]

use delta::apply::{FlashFault, Workspace};
use delta::inplace::{Area, Geometry, InPlaceError, Nor, UNIT, slots_pages, update};

const UNIT_BYTES: usize = UNIT as usize;

/// How an operation is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It never began.
    Before,
    /// It began: some bits changed.
    Middle,
    /// It came to its end, and nobody heard of it.
    After,
}

/// Every way.
pub const CUTS: [Cut; 3] = [Cut::Before, Cut::Middle, Cut::After];

/// A unit of flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    /// Erased, to the end.
    Erased,
    /// Written once.
    Written,
    /// An erase or a write of it was cut: reads as it likes.
    Weak,
}

/// The flash of a device.
#[derive(Clone)]
pub struct Chip {
    pub geometry: Geometry,
    areas: [Vec<u8>; 3],
    cells: [Vec<Cell>; 3],
    patch: Vec<u8>,
    /// Erases of each page.
    erases: [Vec<u32>; 3],
    /// Operations so far.
    pub operations: u64,
    /// Every write, if wanted: number, area and place.
    pub trace: Option<Vec<(u64, Area, u32)>>,
    /// The operation that is cut, and how.
    cut: Option<(u64, Cut)>,
    dice: u64,
}

impl Chip {
    /// A device with an old image and a patch; `ring_pages` in its ring.
    pub fn new(old: &[u8], patch: &[u8], new_len: usize, page_bytes: u32, ring_pages: u32) -> Self {
        let image_pages = (old.len().max(new_len) as u32).div_ceil(page_bytes).max(1);
        let geometry = Geometry {
            page_bytes,
            image_pages,
            ring_pages,
            slots_pages: slots_pages(page_bytes, ring_pages),
            patch_bytes: patch.len() as u32,
        };
        let pages = [image_pages, ring_pages, geometry.slots_pages].map(|pages| pages as usize);
        let page = page_bytes as usize;
        let mut areas = pages.map(|pages| vec![0xA5; pages * page]);
        areas[0][..old.len()].copy_from_slice(old);
        Self {
            geometry,
            areas,
            // Nothing may be written before it was erased.
            cells: pages.map(|pages| vec![Cell::Written; pages * page / UNIT_BYTES]),
            patch: patch.to_vec(),
            erases: pages.map(|pages| vec![0; pages]),
            operations: 0,
            trace: None,
            cut: None,
            dice: 1,
        }
    }

    /// Cuts the operation with this number.
    pub fn cut_at(&mut self, operation: u64, cut: Cut, seed: u64) {
        self.cut = Some((operation, cut));
        self.dice = seed | 1;
    }

    /// Whether the cut came.
    pub fn was_cut(&self) -> bool {
        self.cut.is_some_and(|(at, _)| self.operations > at)
    }

    /// What the image's area holds.
    pub fn image(&self) -> &[u8] {
        &self.areas[0]
    }

    /// Replaces the patch.
    pub fn stage(&mut self, patch: &[u8]) {
        self.patch = patch.to_vec();
        self.geometry.patch_bytes = patch.len() as u32;
    }

    /// Most erases of a page, by area.
    pub fn most_erases(&self) -> [u32; 3] {
        [0, 1, 2].map(|area: usize| self.erases[area].iter().copied().max().unwrap_or(0))
    }

    /// Erases of each page of the image.
    pub fn image_erases(&self) -> &[u32] {
        &self.erases[0]
    }

    /// Runs an update until its end or the cut.
    pub fn run(&mut self, work: &mut Workspace) -> Result<u32, InPlaceError> {
        let mut page = vec![0; self.geometry.page_bytes as usize];
        let geometry = self.geometry;
        update(&geometry, self, &mut page, work)
    }

    /// Power comes back.
    pub fn power_up(&mut self) {
        self.cut = None;
    }

    fn roll(&mut self) -> u64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.dice >> 33
    }

    /// Whether this operation happens: not at all, halfway or whole; and whether it is heard of.
    fn begin(&mut self) -> (Option<Cut>, bool) {
        let number = self.operations;
        self.operations += 1;
        match self.cut {
            Some((at, _)) if number > at => (Some(Cut::Before), false),
            Some((at, cut)) if number == at => (Some(cut), false),
            _ => (None, true),
        }
    }

    /// How far the cut operation came: hardly begun, almost done, or halfway with each bit as it
    /// likes.
    fn extent(&mut self) -> Option<u8> {
        [Some(0), Some(0xFF), None][(self.roll() % 3) as usize]
    }

    /// Leaves a unit between what it was and what it was to be, and weak.
    fn tear(&mut self, area: usize, unit: usize, to: &[u8], extent: Option<u8>) {
        for (i, to) in to.iter().enumerate() {
            let done = extent.unwrap_or_else(|| self.roll() as u8);
            let byte = &mut self.areas[area][unit * UNIT_BYTES + i];
            *byte = *byte & !done | to & done;
        }
        self.cells[area][unit] = Cell::Weak;
    }
}

fn index(area: Area) -> usize {
    match area {
        Area::Image => 0,
        Area::Ring => 1,
        Area::Slots => 2,
        Area::Patch => panic!("the patch is read only"),
    }
}

impl Nor for Chip {
    fn read(&mut self, area: Area, at: u32, into: &mut [u8]) -> Result<(), FlashFault> {
        let (start, end) = (at as usize, at as usize + into.len());
        if area == Area::Patch {
            into.copy_from_slice(self.patch.get(start..end).ok_or(FlashFault)?);
            return Ok(());
        }
        let area = index(area);
        into.copy_from_slice(self.areas[area].get(start..end).ok_or(FlashFault)?);
        let weak = |at: usize| self.cells[area][at / UNIT_BYTES] == Cell::Weak;
        if !(start..end).any(weak) {
            return Ok(());
        }
        match self.roll() % 8 {
            // As if nothing had happened.
            0..4 => {}
            // Memory with error correction gives up on what it cannot read.
            4 => return Err(FlashFault),
            _ => {
                for (i, byte) in into.iter_mut().enumerate() {
                    if self.cells[area][(start + i) / UNIT_BYTES] == Cell::Weak
                        && self.roll().is_multiple_of(8)
                    {
                        *byte ^= 1 << (self.roll() % 8);
                    }
                }
            }
        }
        Ok(())
    }

    fn erase(&mut self, area: Area, page: u32) -> Result<(), FlashFault> {
        let (happens, heard) = self.begin();
        let area = index(area);
        let extent = self.extent();
        let units = self.geometry.page_bytes as usize / UNIT_BYTES;
        let first = page as usize * units;
        if happens != Some(Cut::Before) {
            self.erases[area][page as usize] += 1;
        }
        for unit in first..first + units {
            match happens {
                Some(Cut::Before) => {}
                Some(Cut::Middle) => self.tear(area, unit, &[0xFF; UNIT_BYTES], extent),
                Some(Cut::After) | None => {
                    self.areas[area][unit * UNIT_BYTES..][..UNIT_BYTES].fill(0xFF);
                    self.cells[area][unit] = Cell::Erased;
                }
            }
        }
        if heard { Ok(()) } else { Err(FlashFault) }
    }

    fn program(&mut self, area: Area, at: u32, bytes: &[u8]) -> Result<(), FlashFault> {
        assert_eq!(bytes.len() % UNIT_BYTES, 0, "whole units");
        assert_eq!(at as usize % UNIT_BYTES, 0, "at a unit");
        if let Some(trace) = &mut self.trace {
            trace.push((self.operations, area, at));
        }
        let (happens, heard) = self.begin();
        let area = index(area);
        let extent = self.extent();
        for (unit, bytes) in (at as usize / UNIT_BYTES..).zip(bytes.chunks(UNIT_BYTES)) {
            match happens {
                Some(Cut::Before) => {}
                Some(Cut::Middle) => self.tear(area, unit, bytes, extent),
                Some(Cut::After) | None => {
                    assert_eq!(self.cells[area][unit], Cell::Erased, "{area} unit {unit}");
                    self.areas[area][unit * UNIT_BYTES..][..UNIT_BYTES].copy_from_slice(bytes);
                    self.cells[area][unit] = Cell::Written;
                }
            }
        }
        if heard { Ok(()) } else { Err(FlashFault) }
    }
}
