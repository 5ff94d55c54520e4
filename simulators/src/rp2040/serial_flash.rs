//! A serial NOR flash as a W25Q16JV: commands in, bytes out, one byte at a time.
//!
//! Owns the command in progress, write enable and the unique id. W25Q16JV data sheet, 8.1.2
//! "Instruction Set Table": 02 page program, 03 read, 04/06 write disable and enable, 05 status, 20/52/D8
//! erase of 4, 32 and 64 KiB, 4B unique id, 60/C7 chip erase, 9F JEDEC id. What it does not know it
//! does not answer.

use std::time::Duration;

use super::chip::{FLASH_BYTES, UID_BYTES};
use crate::cells::Cells;

/// Data sheet, 9.6 "AC Electrical Characteristics", typical.
const PAGE_PROGRAM: Duration = Duration::from_micros(400);
const SECTOR_ERASE: Duration = Duration::from_millis(45);
const CHIP_ERASE: Duration = Duration::from_secs(5);
/// Bytes of one program command; more go round within the page.
const PAGE_BYTES: usize = 256;
const BUSY: u8 = 1;
const WRITE_ENABLED: u8 = 1 << 1;

/// The flash's side of the wires.
#[derive(Debug)]
pub(super) struct SerialFlash {
    /// The unique id, first byte as it comes; a flash without one does not answer.
    pub(super) uid: Option<[u8; UID_BYTES]>,
    /// Bytes that are there, a power of two; addresses above go round.
    pub(super) bytes: usize,
    /// Bytes since chip select, the command first.
    command: Vec<u8>,
    write_enabled: bool,
}

impl SerialFlash {
    pub(super) fn new(uid: [u8; UID_BYTES]) -> Self {
        Self { uid: Some(uid), bytes: FLASH_BYTES, command: Vec::new(), write_enabled: false }
    }

    /// Its supply came back.
    pub(super) fn power_up(&mut self) {
        self.command.clear();
        self.write_enabled = false;
    }

    /// The bytes' place of an address.
    pub(super) fn place(&self, address: u32) -> usize {
        address as usize % self.bytes
    }

    /// One byte in while chip select is low; the byte out.
    pub(super) fn exchange(&mut self, byte: u8, cells: &Cells) -> u8 {
        self.command.push(byte);
        let at = self.command.len() - 1;
        if cells.busy() && self.command[0] != 0x05 {
            return 0xFF;
        }
        match (self.command[0], at) {
            (0x05, 1..) => {
                u8::from(cells.busy()) * BUSY + u8::from(self.write_enabled) * WRITE_ENABLED
            }
            (0x03, 4..) => cells.bytes()[self.place(self.address() + (at as u32 - 4))],
            // Four bytes that mean nothing, then the id, again and again.
            (0x4B, 5..) => self.uid.map_or(0xFF, |uid| uid[(at - 5) % UID_BYTES]),
            // Winbond, and the size as a power of two.
            (0x9F, 1) => 0xEF,
            (0x9F, 2) => 0x40,
            (0x9F, 3) => self.bytes.trailing_zeros() as u8,
            _ => 0xFF,
        }
    }

    /// Chip select goes high: what was commanded is done.
    pub(super) fn deselect(&mut self, cells: &mut Cells) {
        let command = std::mem::take(&mut self.command);
        let Some(&code) = command.first() else { return };
        if cells.busy() {
            cells.counters.refused += u64::from(code != 0x05);
            return;
        }
        match code {
            0x06 => self.write_enabled = true,
            0x04 => self.write_enabled = false,
            0x02 | 0x20 | 0x52 | 0xD8 | 0x60 | 0xC7 => {
                if !std::mem::take(&mut self.write_enabled) {
                    cells.counters.refused += 1;
                    return;
                }
                self.command = command;
                self.change(code, cells);
                self.command.clear();
            }
            _ => {}
        }
    }

    fn address(&self) -> u32 {
        self.command.iter().skip(1).take(3).fold(0, |address, byte| address << 8 | u32::from(*byte))
    }

    fn change(&self, code: u8, cells: &mut Cells) {
        let place = self.place(self.address());
        match (code, self.command.len()) {
            (0x60 | 0xC7, 1) => cells.erase_all(0..self.bytes, CHIP_ERASE),
            (0x20 | 0x52 | 0xD8, 4) => {
                let (bytes, sectors) = match code {
                    0x20 => (0x1000, 1),
                    0x52 => (0x8000, 3),
                    _ => (0x1_0000, 4),
                };
                let start = place / bytes * bytes;
                cells.erase_page(start..start + bytes, SECTOR_ERASE * sectors);
            }
            (0x02, 5..) => self.program(place, cells),
            _ => cells.counters.refused += 1,
        }
    }

    fn program(&self, place: usize, cells: &mut Cells) {
        let page = place / PAGE_BYTES * PAGE_BYTES;
        let mut held = cells.bytes()[page..page + PAGE_BYTES].to_vec();
        for (at, byte) in self.command[4..].iter().enumerate() {
            let at = (place - page + at) % PAGE_BYTES;
            // Power cuts are counted in words; the rest of one is as good as its beginning.
            if at.is_multiple_of(4) {
                if !cells.allow_word() {
                    break;
                }
                cells.counters.programmed_words += 1;
            }
            if held[at] & byte != *byte {
                cells.counters.words_with_lost_bits += 1;
            }
            held[at] &= byte;
        }
        cells.set(page, &held);
        cells.spend(PAGE_PROGRAM);
    }
}
