//! One chip: its parts, its resets, and what it is to the board around it.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use super::bus::{DBGMCU_CR, Spot};
use super::clocks::Clocks;
use super::double_word::DoubleWord;
use super::half_word::HalfWord;
use super::keys::Access;
use super::part::{ControllerKind, Part, UID_BYTES};
use super::sector::Sector;
use super::usart::Usart;
use crate::board::Setup;
use crate::cells::Cells;
use crate::flash_file::FlashFile;
use crate::jtag::Tap;
use crate::silicon::{BusFault, Disguise, Identity, Master, PRIVATE_BUS, Port, Silicon};
use crate::timing::Timing;

/// What RAM holds after power-up: noise would do, a pattern can be recognised.
const RAM_NOISE: u8 = 0xC5;

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
pub(super) enum Controller {
    DoubleWord(DoubleWord),
    HalfWord(HalfWord),
    Sector(Sector),
}

/// Everything behind the bus.
#[derive(Debug)]
pub struct Chip {
    pub(super) part: &'static Part,
    pub(super) cells: Cells,
    pub(super) controller: Controller,
    pub(super) clocks: Clocks,
    pub(super) usarts: Vec<Usart>,
    pub(super) ram: Vec<u8>,
    pub(super) uid: Option<[u8; UID_BYTES]>,
    pub(super) device_id: u32,
    pub(super) dbgmcu_cr: u32,
    /// The register that firmware takes the debug pins with.
    pub(super) debug_pins: u32,
    /// Bytes of flash that answer.
    pub(super) flash_bytes: u32,
    /// The boot loader's memory is at address 0 since the last reset, not flash.
    pub(super) loader_booted: bool,
    /// A debugger was seen since power-up: with read-out protection, flash is shut.
    pub(super) debugger_seen: bool,
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
            ControllerKind::HalfWord(layout) => Controller::HalfWord(HalfWord::new(part, layout)),
            ControllerKind::Sector(layout) => Controller::Sector(Sector::new(part, layout)),
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
            debug_pins: part.debug_pins.after_reset(),
            flash_bytes: part.flash_bytes(),
            loader_booted: false,
            debugger_seen: false,
        }
    }

    pub(super) fn level(&self) -> u8 {
        match &self.controller {
            Controller::DoubleWord(controller) => controller.level(),
            Controller::HalfWord(controller) => controller.level(),
            Controller::Sector(controller) => controller.level(),
        }
    }

    fn choose_boot(&mut self) {
        self.loader_booted = match &self.controller {
            Controller::DoubleWord(controller) => controller.boots_loader(),
            Controller::HalfWord(_) | Controller::Sector(_) => false,
        };
    }

    fn reset_peripherals(&mut self) {
        self.cells.abandon();
        self.clocks.reset();
        self.debug_pins = self.part.debug_pins.after_reset();
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
        let flash = self.part.flash_bytes() as usize;
        let options = self.part.options_place();
        if place < flash {
            self.part.page(place)
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
            Controller::Sector(controller) => controller.reset(&self.cells),
        }
        self.reset_peripherals();
    }

    fn reset(&mut self, _hard: bool) {
        match &mut self.controller {
            Controller::DoubleWord(controller) => controller.reset(&self.cells),
            Controller::HalfWord(controller) => controller.reset(&self.cells),
            Controller::Sector(controller) => controller.reset(&self.cells),
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
        let taken = self.part.debug_pins.taken(self.debug_pins);
        if taken || self.level() == 2 { Port::Silent } else { Port::Open }
    }

    fn taps(&self) -> &'static [Tap] {
        let taken = self.part.debug_pins.jtag_taken(self.debug_pins);
        if taken || self.level() == 2 { &[] } else { self.part.taps }
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
            Controller::Sector(controller) => controller.protect(level, &mut self.cells),
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
            Controller::HalfWord(controller) => controller.asks_for_reset(),
            Controller::Sector(_) => false,
        };
        asks || self.cells.ahead() || self.cells.power_lost()
    }

    fn take_reset_request(&mut self) -> bool {
        match &mut self.controller {
            Controller::DoubleWord(controller) => controller.take_reset_request(),
            Controller::HalfWord(controller) => controller.take_reset_request(),
            Controller::Sector(_) => false,
        }
    }
}
