//! What one part number fixes.

use std::ops::Range;
use std::time::Duration;

use super::clocks::ClockLayout;
use super::debug_pins::DebugPins;
use super::layout::{DoubleWordLayout, HalfWordLayout, SectorLayout};
use super::usart::UsartLayout;
use crate::cells::Correction;
use crate::jtag::Tap;
use crate::rom::RomTable;
use crate::silicon::Identity;

/// First address of flash.
pub(super) const FLASH_BASE: u32 = 0x0800_0000;
/// First address of RAM.
pub(super) const RAM_BASE: u32 = 0x2000_0000;
/// Bytes of the unique id.
pub(super) const UID_BYTES: usize = 12;

/// A part: its memory map, its identifications and its times.
#[derive(Debug)]
pub struct Part {
    /// The name that probe-rs has for it.
    pub name: &'static str,
    /// KiB of flash.
    pub flash_kib: u32,
    /// Bytes of one erase page; of the first sector where sectors differ.
    pub page_bytes: u32,
    /// Bytes of RAM at 0x2000_0000.
    pub ram_bytes: u32,
    /// First address of the 96-bit unique id.
    pub uid_at: u32,
    /// Address of the 16-bit flash size in KiB.
    pub flash_size_at: u32,
    /// Address of DBGMCU_IDCODE.
    pub dbgmcu_at: u32,
    /// DEV_ID, the low 12 bits of DBGMCU_IDCODE.
    pub device_id: u32,
    /// REV_ID, the high 16 bits.
    pub revision_id: u32,
    pub(super) identity: Identity,
    /// Its test access ports from TDI to TDO; none where it has SWD only.
    pub(super) taps: &'static [Tap],
    pub(super) rom_table: RomTable,
    /// The boot loader's memory.
    pub(super) system: Range<u32>,
    /// The factory's data: unique id, flash size.
    pub(super) engineering: Range<u32>,
    /// One-time programmable, empty where there is none.
    pub(super) otp: Range<u32>,
    pub(super) options: Range<u32>,
    /// The option bytes of a second bank, which lie behind the first in the cells.
    pub(super) options_2: Range<u32>,
    /// More RAM on the code bus.
    pub(super) code_ram: Range<u32>,
    /// First address and first address behind, per bus.
    pub(super) peripherals: &'static [(u32, u32)],
    /// Address of the flash controller.
    pub(super) flash_at: u32,
    pub(super) controller: ControllerKind,
    /// What firmware takes the debug pins with.
    pub(super) debug_pins: DebugPins,
    pub(super) clocks: ClockLayout,
    pub(super) usart_layout: UsartLayout,
    pub(super) usarts: &'static [UsartAt],
    pub(super) times: Times,
}

/// Which flash controller, with what differs between parts that have it.
#[derive(Debug)]
pub(super) enum ControllerKind {
    DoubleWord(DoubleWordLayout),
    HalfWord(HalfWordLayout),
    Sector(SectorLayout),
}

/// Where a transmitter is and which bit of which clock register feeds it.
#[derive(Debug)]
pub(super) struct UsartAt {
    pub(super) base: u32,
    pub(super) enable: (u32, u32),
}

/// The data sheet's typical times.
#[derive(Debug)]
pub(super) struct Times {
    /// One unit of programming: a double word, a word or a half-word.
    pub(super) program: Duration,
    pub(super) page_erase: Duration,
    pub(super) mass_erase: Duration,
}

impl Part {
    /// Bytes of flash.
    #[must_use]
    pub fn flash_bytes(&self) -> u32 {
        self.flash_kib * 1024
    }

    /// What the cells hold when the part leaves the factory: blank flash, blank OTP area, option
    /// bytes without any protection.
    #[must_use]
    pub fn factory(&self) -> Vec<u8> {
        let mut cells = vec![0xFF; (self.flash_bytes() + self.otp_bytes()) as usize];
        match &self.controller {
            ControllerKind::DoubleWord(layout) => {
                cells.extend(layout.factory_options(self.options_bytes()));
            }
            ControllerKind::HalfWord(layout) => cells.extend(layout.factory_options()),
            ControllerKind::Sector(layout) => {
                cells.extend(layout.factory_options(self.options_bytes()));
            }
        }
        cells
    }

    /// The cells of flash that are erased together with the one at `place`.
    pub(super) fn page(&self, place: usize) -> Range<usize> {
        let page = self.page_bytes as usize;
        let start = place / page * page;
        match &self.controller {
            ControllerKind::Sector(layout) => layout.sector(place).unwrap_or(start..start + page),
            ControllerKind::DoubleWord(_) | ControllerKind::HalfWord(_) => start..start + page,
        }
    }

    pub(super) fn otp_bytes(&self) -> u32 {
        self.otp.end - self.otp.start
    }

    /// Offset of the first option byte in the cells.
    pub(super) fn options_place(&self) -> usize {
        (self.flash_bytes() + self.otp_bytes()) as usize
    }

    /// Where in the cells an address lies, with `flash_bytes` of flash fitted.
    pub(super) fn place(&self, address: u32, flash_bytes: u32) -> Option<usize> {
        if (FLASH_BASE..FLASH_BASE + flash_bytes).contains(&address) {
            return Some((address - FLASH_BASE) as usize);
        }
        if self.otp.contains(&address) {
            return Some((self.flash_bytes() + address - self.otp.start) as usize);
        }
        let options = self.options_place();
        if self.options.contains(&address) {
            return Some(options + (address - self.options.start) as usize);
        }
        let second = options + self.options.len();
        let at = |address| (address - self.options_2.start) as usize;
        self.options_2.contains(&address).then(|| second + at(address))
    }

    /// Bytes of all option bytes.
    pub(super) fn options_bytes(&self) -> usize {
        self.options.len() + self.options_2.len()
    }

    /// Where in the RAM's bytes an address lies.
    pub(super) fn ram_place(&self, address: u32) -> Option<usize> {
        if (RAM_BASE..RAM_BASE + self.ram_bytes).contains(&address) {
            return Some((address - RAM_BASE) as usize);
        }
        let at = || (self.ram_bytes + address - self.code_ram.start) as usize;
        self.code_ram.contains(&address).then(at)
    }

    pub(super) fn correction(&self) -> Correction {
        match self.controller {
            ControllerKind::DoubleWord(_) => Correction::DoubleWord,
            ControllerKind::HalfWord(_) | ControllerKind::Sector(_) => Correction::None,
        }
    }
}
