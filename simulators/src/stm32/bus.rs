//! The memory map: what the core and a debugger find at each address.

use super::chip::{Chip, Controller};
use super::keys::Access;
use super::part::{FLASH_BASE, RAM_BASE, UID_BYTES};
use crate::silicon::{BusFault, Master};

/// The boot loader's vector table, and its code: a branch to itself. ST's code is not here.
const LOADER_ENTRY: u32 = 8;
const LOADER_CODE: u32 = 0xE7FE_E7FE;
/// Offset of DBGMCU_CR from DBGMCU_IDCODE.
pub(super) const DBGMCU_CR: u32 = 4;

/// Where an access goes.
pub(super) enum Spot {
    Ram(usize),
    /// Offset in the cells.
    Flash(usize),
    /// Offset in the cells: OTP area, option bytes.
    Other(usize),
    System(u32),
    Engineering(u32),
    Register(u32),
    Nothing,
}

impl Chip {
    pub(super) fn access(&self) -> Access {
        if self.level() > 0 && (self.debugger_seen || self.loader_booted) {
            Access::Shut
        } else {
            Access::Free
        }
    }

    pub(super) fn spot(&self, address: u32) -> Spot {
        let part = self.part;
        let address = match address {
            0..FLASH_BASE if self.loader_booted => part.system.start.wrapping_add(address),
            0..FLASH_BASE => FLASH_BASE + address,
            _ => address,
        };
        if let Some(at) = part.ram_place(address) {
            return Spot::Ram(at);
        }
        if let Some(place) = part.place(address, self.flash_bytes) {
            let flash = place < part.flash_bytes() as usize;
            return if flash { Spot::Flash(place) } else { Spot::Other(place) };
        }
        if part.system.contains(&address) {
            return Spot::System(address - part.system.start);
        }
        if part.engineering.contains(&address) {
            return Spot::Engineering(address);
        }
        if part.peripherals.iter().any(|(start, end)| (*start..*end).contains(&address)) {
            return Spot::Register(address);
        }
        Spot::Nothing
    }

    pub(super) fn engineering_byte(&self, address: u32) -> Result<u8, BusFault> {
        let part = self.part;
        if let Some(at) = address.checked_sub(part.uid_at).filter(|at| *at < UID_BYTES as u32) {
            return self.uid.map(|uid| uid[at as usize]).ok_or(BusFault);
        }
        let kib = (self.flash_bytes / 1024).to_le_bytes();
        match address.wrapping_sub(part.flash_size_at) {
            at @ 0..=1 => Ok(kib[at as usize]),
            _ => Ok(0xFF),
        }
    }

    pub(super) fn loader_word(&self, offset: u32) -> u32 {
        match offset & !3 {
            0 => RAM_BASE + self.part.ram_bytes,
            4 => self.part.system.start + LOADER_ENTRY + 1,
            LOADER_ENTRY => LOADER_CODE,
            _ => 0,
        }
    }

    pub(super) fn read_register(&mut self, address: u32, by: Master) -> u32 {
        let debugger = by == Master::Debugger;
        if let Some(offset) = block(address, self.part.flash_at) {
            return match &self.controller {
                Controller::DoubleWord(controller) => {
                    controller.read(offset, &self.cells, debugger)
                }
                Controller::HalfWord(controller) => controller.read(offset, &self.cells, debugger),
                Controller::Sector(controller) => controller.read(offset, &self.cells, debugger),
            };
        }
        if let Some(offset) = block(address, self.part.clocks.at) {
            return self.clocks.read(offset);
        }
        if address & !7 == self.part.dbgmcu_at {
            return self.debug_register(address);
        }
        if address == self.part.debug_pins.register() {
            return self.debug_pins;
        }
        self.fed_usart(address).map_or(0, |(index, offset)| self.usarts[index].read(offset))
    }

    pub(super) fn write_register(&mut self, address: u32, value: u32) -> Result<(), BusFault> {
        let access = self.access();
        if let Some(offset) = block(address, self.part.flash_at) {
            let cells = &mut self.cells;
            return match &mut self.controller {
                Controller::DoubleWord(controller) => {
                    controller.write(offset, value, cells, access)
                }
                Controller::HalfWord(controller) => controller.write(offset, value, cells, access),
                Controller::Sector(controller) => controller.write(offset, value, cells, access),
            };
        }
        if let Some(offset) = block(address, self.part.clocks.at) {
            self.clocks.write(offset, value);
        } else if address == self.part.dbgmcu_at + DBGMCU_CR {
            self.dbgmcu_cr = value;
        } else if address == self.part.debug_pins.register() {
            if self.clocks.feeds(self.part.debug_pins.enable()) {
                self.debug_pins = value;
            }
        } else if let Some((index, offset)) = self.fed_usart(address) {
            self.usarts[index].write(offset, value);
        }
        Ok(())
    }

    pub(super) fn fed_usart(&self, address: u32) -> Option<(usize, u32)> {
        self.part.usarts.iter().enumerate().find_map(|(index, usart)| {
            let offset = block(address, usart.base)?;
            self.clocks.feeds(usart.enable).then_some((index, offset))
        })
    }

    pub(super) fn debug_register(&self, address: u32) -> u32 {
        match address - self.part.dbgmcu_at {
            0 => self.part.revision_id << 16 | self.device_id,
            DBGMCU_CR => self.dbgmcu_cr,
            _ => 0,
        }
    }

    pub(super) fn program_word(
        &mut self,
        address: u32,
        place: usize,
        value: u32,
    ) -> Result<(), BusFault> {
        match &mut self.controller {
            Controller::DoubleWord(controller) => {
                controller.program(address, place, value, &mut self.cells);
                Ok(())
            }
            Controller::Sector(controller) => {
                controller.program(place, &value.to_le_bytes(), &mut self.cells);
                Ok(())
            }
            Controller::HalfWord(_) => {
                self.cells.counters.refused += 1;
                Err(BusFault)
            }
        }
    }

    pub(super) fn program_narrow(&mut self, place: usize, bytes: &[u8]) -> Result<(), BusFault> {
        match (&mut self.controller, bytes) {
            (Controller::DoubleWord(controller), _) => {
                controller.program_narrow(&mut self.cells);
                Ok(())
            }
            (Controller::Sector(controller), _) => {
                controller.program(place, bytes, &mut self.cells);
                Ok(())
            }
            (Controller::HalfWord(controller), &[low, high]) if place.is_multiple_of(2) => {
                controller.program(place, u16::from_le_bytes([low, high]), &mut self.cells)
            }
            (Controller::HalfWord(_), _) => {
                self.cells.counters.refused += 1;
                Err(BusFault)
            }
        }
    }

    /// Reads memory that bytes can be read from.
    pub(super) fn read_spot(&self, spot: &Spot, bytes: &mut [u8]) -> Result<(), BusFault> {
        let found = match *spot {
            Spot::Ram(at) => self.ram.get(at..at + bytes.len()),
            Spot::Flash(_) if self.access() == Access::Shut => None,
            Spot::Flash(place) | Spot::Other(place) => {
                self.cells.bytes().get(place..place + bytes.len())
            }
            Spot::Engineering(address) => {
                for (at, byte) in (address..).zip(bytes) {
                    *byte = self.engineering_byte(at)?;
                }
                return Ok(());
            }
            Spot::System(_) | Spot::Register(_) | Spot::Nothing => None,
        };
        bytes.copy_from_slice(found.ok_or(BusFault)?);
        Ok(())
    }
}

/// Offset of an address in the 1 KiB block of a peripheral.
fn block(address: u32, base: u32) -> Option<u32> {
    address.checked_sub(base).filter(|offset| *offset < 0x400)
}
