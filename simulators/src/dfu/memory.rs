//! The flash of a chip with a DFU loader, and its unique id.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

/// How cells take a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cells {
    /// A write can only clear bits (STM32F1, F2, F4).
    Bits,
    /// Double words with a checksum: one that is not blank takes only zeros (STM32L4, G0, G4).
    DoubleWords,
}

/// What kind of chip it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silicon {
    /// First address of flash.
    pub start: u32,
    /// Runs of pages: how many, and bytes each.
    pub pages: Vec<(u32, u32)>,
    /// How its cells take a write.
    pub cells: Cells,
    /// Where the unique id lies.
    pub uid_address: u32,
    /// The loader lets the unique id be read over USB.
    pub shows_uid: bool,
    /// Bytes of one block.
    pub transfer_bytes: u16,
    /// Erasing 16 KiB.
    pub erase_16k: Duration,
    /// Writing 4 bytes.
    pub write_word: Duration,
    /// Texts of further memories, each an alternate setting that refuses everything.
    pub further_memories: Vec<String>,
}

impl Silicon {
    /// STM32F405: 1 MiB in pages of 16, 64 and 128 KiB (data sheet DS8626: erases and writes at
    /// the fast end).
    pub fn stm32f405() -> Self {
        Self {
            start: 0x0800_0000,
            pages: vec![(4, 16 << 10), (1, 64 << 10), (7, 128 << 10)],
            cells: Cells::Bits,
            uid_address: 0x1FFF_7A10,
            shows_uid: true,
            transfer_bytes: 2048,
            erase_16k: Duration::from_millis(250),
            write_word: Duration::from_micros(16),
            further_memories: [
                "@Option Bytes  /0x1FFFC000/01*016 e",
                "@OTP Memory /0x1FFF7800/01*512 e,01*016 e",
                "@Device Feature/0xFFFF0000/01*004 e",
            ]
            .map(str::to_owned)
            .to_vec(),
        }
    }

    /// STM32L476: 1 MiB in pages of 2 KiB, double words with a checksum (data sheet DS10198).
    pub fn stm32l476() -> Self {
        Self {
            pages: vec![(512, 2 << 10)],
            cells: Cells::DoubleWords,
            uid_address: 0x1FFF_7590,
            erase_16k: Duration::from_millis(176),
            write_word: Duration::from_micros(41),
            further_memories: vec!["@Option Bytes  /0x1FFF7800/01*040 e".to_owned()],
            ..Self::stm32f405()
        }
    }

    /// Bytes of flash.
    pub fn bytes(&self) -> u32 {
        self.pages.iter().map(|(count, bytes)| count * bytes).sum()
    }

    /// The text of the flash's alternate setting.
    pub fn map_text(&self) -> String {
        let runs: Vec<String> = self
            .pages
            .iter()
            .map(|(count, bytes)| format!("{count:02}*{:03}Kg", bytes >> 10))
            .collect();
        format!("@Internal Flash  /0x{:08X}/{}", self.start, runs.join(","))
    }

    /// The page that holds this offset into flash.
    fn page(&self, offset: u32) -> Range<u32> {
        let mut start = 0;
        for (count, bytes) in &self.pages {
            let end = start + count * bytes;
            if offset < end {
                let page = start + (offset - start) / bytes * bytes;
                return page..page + bytes;
            }
            start = end;
        }
        start..start
    }
}

/// Flash and unique id of one chip; they outlive its power.
#[derive(Debug, Clone)]
pub struct Memory {
    silicon: Silicon,
    bytes: Vec<u8>,
    uid: [u8; 12],
    protected_pages: BTreeSet<u32>,
    stuck: BTreeMap<u32, u8>,
    /// Bytes that may still be programmed before the supply fails.
    cut_in: Option<u64>,
    /// Read protection level 1.
    pub(crate) locked: bool,
    /// Bytes programmed since the chip was made.
    pub(crate) programmed_bytes: u64,
    /// Pages erased since the chip was made; everything counts as one.
    pub(crate) erases: u64,
}

/// How an access ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Done,
    /// The chip has no such address.
    NoSuchAddress,
    /// The flash controller refused.
    Refused,
    /// The supply failed in the middle.
    PowerFailed,
}

impl Memory {
    /// Blank flash.
    pub fn new(silicon: Silicon, uid: [u8; 12]) -> Self {
        let bytes = vec![0xFF; usize::try_from(silicon.bytes()).unwrap_or(0)];
        Self {
            silicon,
            bytes,
            uid,
            protected_pages: BTreeSet::new(),
            stuck: BTreeMap::new(),
            cut_in: None,
            locked: false,
            programmed_bytes: 0,
            erases: 0,
        }
    }

    /// What kind of chip it is.
    pub fn silicon(&self) -> &Silicon {
        &self.silicon
    }

    /// All of flash, as a bench instrument sees it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Puts bytes into flash as the factory would; what lies outside is left out.
    pub fn put(&mut self, address: u32, bytes: &[u8]) {
        let start = usize::try_from(address.wrapping_sub(self.silicon.start)).unwrap_or(usize::MAX);
        let there = self.bytes.get_mut(start..).unwrap_or_default();
        there.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    }

    /// Sets the write protection of the page that holds `address`.
    pub fn write_protect(&mut self, address: u32) {
        if let Some(offset) = self.offset(address, 1) {
            self.protected_pages.insert(self.silicon.page(offset).start);
        }
    }

    /// Read protection level 1: nothing but setting the address pointer works.
    pub fn lock(&mut self) {
        self.locked = true;
    }

    /// That bit of that byte is 0 and stays 0.
    pub fn stick(&mut self, address: u32, bit: u8) {
        if let Some(offset) = self.offset(address, 1) {
            *self.stuck.entry(offset).or_insert(0) |= 1 << (bit & 7);
            self.settle(offset..offset + 1);
        }
    }

    /// After this many more programmed bytes the supply fails.
    pub fn cut_after(&mut self, bytes: u64) {
        self.cut_in = Some(bytes);
    }

    fn offset(&self, address: u32, bytes: u32) -> Option<u32> {
        let offset = address.checked_sub(self.silicon.start)?;
        (offset.checked_add(bytes)? <= self.silicon.bytes()).then_some(offset)
    }

    pub(crate) fn has(&self, address: u32) -> bool {
        self.offset(address, 1).is_some()
            || self.silicon.shows_uid && self.uid_offset(address, 1).is_some()
    }

    fn uid_offset(&self, address: u32, bytes: usize) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.silicon.uid_address)?).ok()?;
        (offset + bytes <= self.uid.len()).then_some(offset)
    }

    /// Bytes at an address; `None` if the chip does not have or show them all.
    pub(crate) fn read(&self, address: u32, count: usize) -> Option<Vec<u8>> {
        if let Some(offset) = self.offset(address, u32::try_from(count).ok()?) {
            let offset = usize::try_from(offset).ok()?;
            return Some(self.bytes[offset..offset + count].to_vec());
        }
        let offset = self.uid_offset(address, count).filter(|_| self.silicon.shows_uid)?;
        Some(self.uid[offset..offset + count].to_vec())
    }

    fn settle(&mut self, offsets: Range<u32>) {
        for (offset, mask) in self.stuck.range(offsets) {
            if let Some(byte) = usize::try_from(*offset).ok().and_then(|o| self.bytes.get_mut(o)) {
                *byte &= !mask;
            }
        }
    }

    pub(crate) fn erase_time(&self, address: u32) -> Duration {
        let page = self.offset(address, 1).map_or(0..0, |offset| self.silicon.page(offset));
        self.silicon.erase_16k.mul_f64(f64::from(page.end - page.start) / f64::from(16 << 10))
    }

    pub(crate) fn erase_all_time(&self) -> Duration {
        self.silicon.erase_16k.mul_f64(f64::from(self.silicon.bytes()) / f64::from(16 << 10))
    }

    pub(crate) fn write_time(&self, bytes: usize) -> Duration {
        self.silicon.write_word * u32::try_from(bytes.div_ceil(4)).unwrap_or(u32::MAX)
    }

    pub(crate) fn erase_page(&mut self, address: u32) -> Access {
        let Some(offset) = self.offset(address, 1) else { return Access::NoSuchAddress };
        let page = self.silicon.page(offset);
        if !self.protected_pages.contains(&page.start) {
            self.erases += 1;
            self.fill(page);
        }
        Access::Done
    }

    /// Erases every page whose first byte lies in the range.
    pub(crate) fn erase_where_pages_begin(&mut self, address: u32, bytes: usize) {
        let Some(first) = self.offset(address, 1) else { return };
        let end = first.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        let mut at = first;
        while at < end.min(self.silicon.bytes()) {
            let page = self.silicon.page(at);
            if page.start >= first {
                self.erases += 1;
                self.fill(page.clone());
            }
            at = page.end;
        }
    }

    pub(crate) fn erase_all(&mut self) {
        self.erases += 1;
        if self.protected_pages.is_empty() {
            self.fill(0..self.silicon.bytes());
        }
    }

    /// Taking read protection away erases everything, whatever was write-protected.
    pub(crate) fn unlock(&mut self) {
        self.protected_pages.clear();
        self.locked = false;
        self.erase_all();
    }

    fn fill(&mut self, offsets: Range<u32>) {
        for offset in offsets.clone() {
            if let Some(byte) = usize::try_from(offset).ok().and_then(|o| self.bytes.get_mut(o)) {
                *byte = 0xFF;
            }
        }
        self.settle(offsets);
    }

    pub(crate) fn write(&mut self, address: u32, bytes: &[u8]) -> Access {
        let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let Some(offset) = self.offset(address, count) else { return Access::NoSuchAddress };
        if self.protected_pages.contains(&self.silicon.page(offset).start) {
            return Access::Done;
        }
        let start = usize::try_from(offset).unwrap_or(0);
        for (index, byte) in bytes.iter().enumerate() {
            if self.cut_in == Some(0) {
                self.cut_in = None;
                return Access::PowerFailed;
            }
            let place = start + index;
            if self.silicon.cells == Cells::DoubleWords && place.is_multiple_of(8) {
                let held = &self.bytes[place..place + 8];
                let new = &bytes[index..bytes.len().min(index + 8)];
                let blank = held.iter().all(|byte| *byte == 0xFF);
                if !blank && new.iter().any(|byte| *byte != 0) {
                    return Access::Refused;
                }
            }
            self.bytes[place] &= byte;
            self.programmed_bytes += 1;
            self.cut_in = self.cut_in.map(|left| left - 1);
        }
        self.settle(offset..offset + count);
        Access::Done
    }

    /// The program at the start of flash has a stack in RAM, as any that runs has.
    pub(crate) fn holds_a_program(&self) -> bool {
        self.bytes.get(3) == Some(&0x20)
    }
}
