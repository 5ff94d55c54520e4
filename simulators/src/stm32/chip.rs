//! One bus, two masters: what the core and a debugger find at each address.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use super::clocks::{self, Clocks};
use super::double_word::{self, Access, DoubleWord};
use super::half_word::{self, HalfWord};
use super::part::{ControllerKind, FLASH_BASE, Part, RAM_BASE, UID_BYTES};
use super::usart::Usart;
use crate::board::Setup;
use crate::cells::Cells;
use crate::flash_file::FlashFile;
use crate::silicon::{BusFault, Disguise, Identity, Master, PRIVATE_BUS, Port, Silicon};
use crate::timing::Timing;

/// What RAM holds after power-up: noise would do, a pattern can be recognised.
const RAM_NOISE: u8 = 0xC5;
/// The boot loader's vector table, and its code: a branch to itself. ST's code is not here.
const LOADER_ENTRY: u32 = 8;
const LOADER_CODE: u32 = 0xE7FE_E7FE;
const DBGMCU_CR: u32 = 4;

/// What distinguishes one board with an STM32 from another.
#[derive(Debug)]
pub struct Config {
    /// Which part.
    pub part: &'static Part,
    /// The 96-bit unique id as its bytes lie in memory.
    pub uid: [u8; UID_BYTES],
    /// Whether things take time.
    pub timing: Timing,
    /// Flash, OTP area, option bytes; [`Part::factory`] is what a new chip holds.
    pub cells: FlashFile,
    /// Whether the board starts in the fixture.
    pub seated: bool,
}

impl From<Config> for Setup {
    fn from(config: Config) -> Self {
        let (timing, seated) = (config.timing, config.seated);
        Self { chip: Rc::new(RefCell::new(Chip::new(config))), timing, seated }
    }
}

#[derive(Debug)]
enum Controller {
    DoubleWord(DoubleWord),
    HalfWord(HalfWord),
}

/// Everything behind the bus.
#[derive(Debug)]
pub struct Chip {
    part: &'static Part,
    cells: Cells,
    controller: Controller,
    clocks: Clocks,
    usarts: Vec<Usart>,
    ram: Vec<u8>,
    uid: Option<[u8; UID_BYTES]>,
    device_id: u32,
    dbgmcu_cr: u32,
    /// Bytes of flash that answer.
    flash_bytes: u32,
    /// The boot loader's memory is at address 0 since the last reset, not flash.
    loader_booted: bool,
    /// A debugger was seen since power-up: with read-out protection, flash is shut.
    debugger_seen: bool,
}

/// Where an access goes.
enum Spot {
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
    /// A chip without power.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let part = config.part;
        let controller = match &part.controller {
            ControllerKind::DoubleWord(layout) => {
                Controller::DoubleWord(DoubleWord::new(part, layout))
            }
            ControllerKind::HalfWord => Controller::HalfWord(HalfWord::new(part)),
        };
        Self {
            part,
            cells: Cells::new(config.cells, part.correction(), config.timing),
            controller,
            clocks: Clocks::new(&part.clocks),
            usarts: part.usarts.iter().map(|_| Usart::new(part.usart_layout)).collect(),
            ram: vec![RAM_NOISE; part.ram_bytes as usize + part.code_ram.len()],
            uid: Some(config.uid),
            device_id: part.device_id,
            dbgmcu_cr: 0,
            flash_bytes: part.flash_bytes(),
            loader_booted: false,
            debugger_seen: false,
        }
    }

    fn level(&self) -> u8 {
        match &self.controller {
            Controller::DoubleWord(controller) => controller.level(),
            Controller::HalfWord(controller) => controller.level(),
        }
    }

    fn access(&self) -> Access {
        if self.level() > 0 && (self.debugger_seen || self.loader_booted) {
            Access::Shut
        } else {
            Access::Free
        }
    }

    fn spot(&self, address: u32) -> Spot {
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

    fn engineering_byte(&self, address: u32) -> Result<u8, BusFault> {
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

    fn loader_word(&self, offset: u32) -> u32 {
        match offset & !3 {
            0 => RAM_BASE + self.part.ram_bytes,
            4 => self.part.system.start + LOADER_ENTRY + 1,
            LOADER_ENTRY => LOADER_CODE,
            _ => 0,
        }
    }

    fn read_register(&mut self, address: u32, by: Master) -> u32 {
        let debugger = by == Master::Debugger;
        if let Some(offset) = block(address, double_word::BASE) {
            return match &self.controller {
                Controller::DoubleWord(controller) => {
                    controller.read(offset, &self.cells, debugger)
                }
                Controller::HalfWord(controller) => controller.read(offset, &self.cells, debugger),
            };
        }
        if let Some(offset) = block(address, clocks::BASE) {
            return self.clocks.read(offset);
        }
        if address & !7 == self.part.dbgmcu_at {
            return self.debug_register(address);
        }
        self.fed_usart(address).map_or(0, |(index, offset)| self.usarts[index].read(offset))
    }

    fn write_register(&mut self, address: u32, value: u32) -> Result<(), BusFault> {
        let access = self.access();
        if let Some(offset) = block(address, half_word::BASE) {
            let cells = &mut self.cells;
            return match &mut self.controller {
                Controller::DoubleWord(controller) => {
                    controller.write(offset, value, cells, access)
                }
                Controller::HalfWord(controller) => controller.write(offset, value, cells, access),
            };
        }
        if let Some(offset) = block(address, clocks::BASE) {
            self.clocks.write(offset, value);
        } else if address == self.part.dbgmcu_at + DBGMCU_CR {
            self.dbgmcu_cr = value;
        } else if let Some((index, offset)) = self.fed_usart(address) {
            self.usarts[index].write(offset, value);
        }
        Ok(())
    }

    fn fed_usart(&self, address: u32) -> Option<(usize, u32)> {
        self.part.usarts.iter().enumerate().find_map(|(index, usart)| {
            let offset = block(address, usart.base)?;
            self.clocks.feeds(usart.enable).then_some((index, offset))
        })
    }

    fn debug_register(&self, address: u32) -> u32 {
        match address - self.part.dbgmcu_at {
            0 => self.part.revision_id << 16 | self.device_id,
            DBGMCU_CR => self.dbgmcu_cr,
            _ => 0,
        }
    }

    fn program_word(&mut self, address: u32, place: usize, value: u32) -> Result<(), BusFault> {
        match &mut self.controller {
            Controller::DoubleWord(controller) => {
                controller.program(address, place, value, &mut self.cells);
                Ok(())
            }
            Controller::HalfWord(_) => {
                self.cells.counters.refused += 1;
                Err(BusFault)
            }
        }
    }

    fn program_narrow(&mut self, place: usize, bytes: &[u8]) -> Result<(), BusFault> {
        match (&mut self.controller, bytes) {
            (Controller::DoubleWord(controller), _) => {
                controller.program_narrow(&mut self.cells);
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

    fn choose_boot(&mut self) {
        self.loader_booted = match &self.controller {
            Controller::DoubleWord(controller) => controller.boots_loader(),
            Controller::HalfWord(_) => false,
        };
    }

    fn reset_peripherals(&mut self) {
        self.cells.abandon();
        self.clocks.reset();
        for usart in &mut self.usarts {
            usart.reset();
        }
        self.choose_boot();
    }
}

impl Silicon for Chip {
    fn identity(&self) -> &'static Identity {
        &self.part.identity
    }

    fn cells(&self) -> &Cells {
        &self.cells
    }

    fn cells_mut(&mut self) -> &mut Cells {
        &mut self.cells
    }

    fn place(&self, address: u32) -> Option<usize> {
        self.part.place(address, self.flash_bytes)
    }

    fn page(&self, place: usize) -> Range<usize> {
        let (flash, page) = (self.part.flash_bytes() as usize, self.part.page_bytes as usize);
        let options = self.part.options_place();
        if place < flash {
            let start = place / page * page;
            start..start + page
        } else if place < options {
            flash..options
        } else {
            options..self.cells.bytes().len()
        }
    }

    fn power_up(&mut self) {
        self.ram.fill(RAM_NOISE);
        self.debugger_seen = false;
        self.dbgmcu_cr = 0;
        match &mut self.controller {
            Controller::DoubleWord(controller) => controller.power_up(&self.cells),
            Controller::HalfWord(controller) => controller.reset(&self.cells),
        }
        self.reset_peripherals();
    }

    fn reset(&mut self, _hard: bool) {
        match &mut self.controller {
            Controller::DoubleWord(controller) => controller.reset(&self.cells),
            Controller::HalfWord(controller) => controller.reset(&self.cells),
        }
        self.reset_peripherals();
    }

    fn read32(&mut self, address: u32, by: Master) -> Result<u32, BusFault> {
        let mut bytes = [0; 4];
        match self.spot(address & !3) {
            Spot::Register(address) => return Ok(self.read_register(address, by)),
            Spot::System(offset) => return Ok(self.loader_word(offset)),
            spot @ (Spot::Ram(_)
            | Spot::Flash(_)
            | Spot::Other(_)
            | Spot::Engineering(_)
            | Spot::Nothing) => self.read_spot(&spot, &mut bytes)?,
        }
        Ok(u32::from_le_bytes(bytes))
    }

    fn write32(&mut self, address: u32, value: u32, _: Master) -> Result<(), BusFault> {
        match self.spot(address) {
            Spot::Ram(at) => {
                let at = at & !3;
                self.ram[at..at + 4].copy_from_slice(&value.to_le_bytes());
                Ok(())
            }
            Spot::Flash(_) if self.access() == Access::Shut => Err(BusFault),
            Spot::Flash(place) => self.program_word(address & !3, place & !3, value),
            Spot::Other(place) if place < self.part.options_place() => {
                self.program_word(address & !3, place & !3, value)
            }
            Spot::Register(address) => self.write_register(address & !3, value),
            Spot::Other(_) | Spot::System(_) | Spot::Engineering(_) | Spot::Nothing => {
                self.cells.counters.refused += 1;
                Err(BusFault)
            }
        }
    }

    fn read_narrow(&mut self, address: u32, bytes: &mut [u8], by: Master) -> Result<(), BusFault> {
        match self.spot(address) {
            spot @ (Spot::Ram(_) | Spot::Flash(_) | Spot::Other(_) | Spot::Engineering(_)) => {
                self.read_spot(&spot, bytes)
            }
            Spot::System(_) | Spot::Register(_) | Spot::Nothing => {
                let word = self.read32(address & !3, by)?.to_le_bytes();
                let lane = (address & 3) as usize;
                bytes.copy_from_slice(word.get(lane..lane + bytes.len()).ok_or(BusFault)?);
                Ok(())
            }
        }
    }

    fn write_narrow(&mut self, address: u32, bytes: &[u8], _: Master) -> Result<(), BusFault> {
        match self.spot(address) {
            Spot::Ram(at) => {
                self.ram.get_mut(at..at + bytes.len()).ok_or(BusFault)?.copy_from_slice(bytes);
                Ok(())
            }
            Spot::Flash(_) if self.access() == Access::Shut => Err(BusFault),
            Spot::Flash(place) | Spot::Other(place) => self.program_narrow(place, bytes),
            Spot::Register(address) if address.is_multiple_of(4) => {
                // A peripheral register takes the value that is on the low lanes.
                let mut word = [0; 4];
                word[..bytes.len()].copy_from_slice(bytes);
                self.write_register(address, u32::from_le_bytes(word))
            }
            Spot::Register(_) | Spot::System(_) | Spot::Engineering(_) | Spot::Nothing => {
                self.cells.counters.refused += 1;
                Err(BusFault)
            }
        }
    }

    fn private_read(&mut self, address: u32) -> u32 {
        if self.part.dbgmcu_at >= PRIVATE_BUS && address & !7 == self.part.dbgmcu_at {
            return self.debug_register(address);
        }
        self.part.rom_table.word(self.part.identity.core, address)
    }

    fn private_write(&mut self, address: u32, value: u32) {
        if self.part.dbgmcu_at >= PRIVATE_BUS && address == self.part.dbgmcu_at + DBGMCU_CR {
            self.dbgmcu_cr = value;
        }
    }

    fn port(&self) -> Port {
        if self.level() == 2 { Port::Silent } else { Port::Open }
    }

    fn locked(&self) -> bool {
        self.level() > 0
    }

    fn debugged(&mut self) {
        self.debugger_seen = true;
    }

    fn protect(&mut self, level: u8) -> Result<(), String> {
        match &mut self.controller {
            Controller::DoubleWord(controller) => controller.protect(level, &mut self.cells),
            Controller::HalfWord(controller) => controller.protect(level, &mut self.cells),
        }
    }

    fn disguise(&mut self, disguise: Disguise) -> Result<(), String> {
        match disguise {
            Disguise::Uid(uid) => {
                let uid = uid.try_into().map_err(|_| format!("the id has {UID_BYTES} bytes"))?;
                self.uid = Some(uid);
            }
            Disguise::UidUnreadable => self.uid = None,
            Disguise::Part(part) if part < 0x1000 => self.device_id = part,
            Disguise::Part(_) => return Err("a device id has 12 bits".to_owned()),
            Disguise::FlashKib(kib) => {
                self.flash_bytes = kib.saturating_mul(1024).min(self.part.flash_bytes());
            }
        }
        Ok(())
    }

    fn take_uart(&mut self) -> Vec<u8> {
        self.usarts.iter_mut().flat_map(Usart::take).collect()
    }

    fn pauses_core(&self) -> bool {
        let asks = match &self.controller {
            Controller::DoubleWord(controller) => controller.asks_for_reset(),
            Controller::HalfWord(_) => false,
        };
        asks || self.cells.ahead() || self.cells.power_lost()
    }

    fn take_reset_request(&mut self) -> bool {
        match &mut self.controller {
            Controller::DoubleWord(controller) => controller.take_reset_request(),
            Controller::HalfWord(_) => false,
        }
    }
}

impl Chip {
    /// Reads memory that bytes can be read from.
    fn read_spot(&self, spot: &Spot, bytes: &mut [u8]) -> Result<(), BusFault> {
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
