//! One bus, two masters: what the core and a debugger find at each address.

use std::cell::RefCell;
use std::rc::Rc;

use armagnac::memory::{
    Env, MemoryAccessError, MemoryInterface, MemoryReadResult, MemoryWriteResult,
};

use super::nvmc::Programmed;
use super::uart::Dma;
use super::{
    Approtect, CODE_RAM_BASE, FICR_BASE, FLASH_BYTES, Ficr, Nvmc, PERIPHERAL_BASE, PERIPHERAL_END,
    RAM_BASE, RAM_BYTES, UICR_BASE, Uart,
};

/// What RAM holds after power-up: noise would do, a pattern can be recognised.
const RAM_NOISE: u8 = 0xC5;
const APPROTECT_DISABLE: u32 = 0x4000_0558;
const UICR_APPROTECT: u32 = UICR_BASE + 0x208;
const CLOCK_EVENTS: [(u32, u32); 2] = [(0x4000_0000, 0x4000_0100), (0x4000_0008, 0x4000_0104)];

/// Who drives the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Master {
    /// The Cortex-M4.
    Core,
    /// The AHB access port.
    Debugger,
}

/// The bus answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusFault;

/// Everything behind the bus.
#[derive(Debug)]
pub struct Chip {
    /// Flash, UICR and their controller.
    pub nvmc: Nvmc,
    /// The transmitter.
    pub uart: Uart,
    /// The lock.
    pub approtect: Approtect,
    ficr: Ficr,
    ram: Vec<u8>,
    clock_events: [bool; 2],
}

impl Chip {
    /// A chip without power.
    #[must_use]
    pub fn new(nvmc: Nvmc, ficr: Ficr, approtect: Approtect) -> Self {
        Self {
            nvmc,
            uart: Uart::default(),
            approtect,
            ficr,
            ram: vec![RAM_NOISE; RAM_BYTES as usize],
            clock_events: [false; 2],
        }
    }

    /// Power-up: RAM is forgotten, everything resets.
    pub fn power_up(&mut self) {
        self.ram.fill(RAM_NOISE);
        self.reset(true);
    }

    /// A reset; `hard` for power-up and the reset pin.
    pub fn reset(&mut self, hard: bool) {
        self.nvmc.reset();
        self.uart.reset();
        self.clock_events = [false; 2];
        let word = self.nvmc.word(UICR_APPROTECT).unwrap_or(0);
        self.approtect.reset(word, hard);
    }

    /// Reads an aligned word.
    ///
    /// # Errors
    /// [`BusFault`] where nothing answers.
    pub fn read32(&mut self, address: u32, by: Master) -> Result<u32, BusFault> {
        if let Some(at) = ram_offset(address) {
            let bytes = &self.ram[at & !3..];
            return Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        if let Some(word) = self.nvmc.word(address) {
            return Ok(word);
        }
        match address {
            FICR_BASE..UICR_BASE => Ok(self.ficr.word(address - FICR_BASE)),
            PERIPHERAL_BASE..PERIPHERAL_END => Ok(self.read_peripheral(address & !3, by)),
            _ => Err(BusFault),
        }
    }

    /// Writes an aligned word.
    ///
    /// # Errors
    /// [`BusFault`] where nothing answers and where flash refuses.
    pub fn write32(&mut self, address: u32, value: u32, by: Master) -> Result<(), BusFault> {
        if let Some(at) = ram_offset(address) {
            let at = at & !3;
            self.ram[at..at + 4].copy_from_slice(&value.to_le_bytes());
            return Ok(());
        }
        match address {
            PERIPHERAL_BASE..PERIPHERAL_END => {
                self.write_peripheral(address, value, by);
                Ok(())
            }
            _ => match self.nvmc.program(address, value) {
                Programmed::Done | Programmed::PowerLost => Ok(()),
                Programmed::Refused => Err(BusFault),
            },
        }
    }

    /// Reads `bytes.len()` bytes (1 or 2) inside one word.
    ///
    /// # Errors
    /// [`BusFault`] where nothing answers.
    pub fn read_narrow(
        &mut self,
        address: u32,
        bytes: &mut [u8],
        by: Master,
    ) -> Result<(), BusFault> {
        // Most reads are instruction fetches: straight from flash or RAM.
        let (memory, at) = match ram_offset(address) {
            Some(at) => (&self.ram[..], at),
            None if address < FLASH_BYTES => (self.nvmc.bytes(), address as usize),
            None => {
                let word = self.read32(address & !3, by)?.to_le_bytes();
                let at = (address & 3) as usize;
                let part = word.get(at..at + bytes.len()).ok_or(BusFault)?;
                bytes.copy_from_slice(part);
                return Ok(());
            }
        };
        bytes.copy_from_slice(memory.get(at..at + bytes.len()).ok_or(BusFault)?);
        Ok(())
    }

    /// Writes 1 or 2 bytes. Only RAM takes less than a word: flash and peripherals refuse.
    ///
    /// # Errors
    /// [`BusFault`] anywhere but in RAM.
    pub fn write_narrow(&mut self, address: u32, bytes: &[u8]) -> Result<(), BusFault> {
        let Some(at) = ram_offset(address) else {
            if Nvmc::offset(address).is_some() {
                self.nvmc.counters.refused += 1;
            }
            return Err(BusFault);
        };
        self.ram.get_mut(at..at + bytes.len()).ok_or(BusFault)?.copy_from_slice(bytes);
        Ok(())
    }

    fn read_peripheral(&mut self, address: u32, by: Master) -> u32 {
        let (base, offset) = (address & !0xFFF, address & 0xFFF);
        if address == APPROTECT_DISABLE {
            return self.approtect.read_disable();
        }
        for (index, (_, event)) in CLOCK_EVENTS.iter().enumerate() {
            if *event == address {
                return u32::from(self.clock_events[index]);
            }
        }
        match base {
            super::nvmc::BASE => self.nvmc.read(offset, by == Master::Debugger),
            super::uart::BASE => self.uart.read(offset),
            _ => 0,
        }
    }

    fn write_peripheral(&mut self, address: u32, value: u32, by: Master) {
        let (base, offset) = (address & !0xFFF, address & 0xFFF);
        if address == APPROTECT_DISABLE && by == Master::Core {
            self.approtect.write_disable(value);
        }
        for (index, (task, event)) in CLOCK_EVENTS.iter().enumerate() {
            if *task == address && value == 1 {
                self.clock_events[index] = true;
            } else if *event == address {
                self.clock_events[index] = value != 0;
            }
        }
        match base {
            super::nvmc::BASE => self.nvmc.write(offset, value),
            super::uart::BASE => {
                if let Dma::Fetch { address, length } = self.uart.write(offset, value) {
                    let bytes = ram_offset(address)
                        .and_then(|at| self.ram.get(at..at + length as usize))
                        .unwrap_or(&[])
                        .to_vec();
                    self.uart.send(&bytes);
                }
            }
            _ => {}
        }
    }
}

fn ram_offset(address: u32) -> Option<usize> {
    match address & !(RAM_BYTES - 1) {
        RAM_BASE | CODE_RAM_BASE => Some((address & (RAM_BYTES - 1)) as usize),
        _ => None,
    }
}

/// The core's view of the chip.
#[derive(Debug)]
struct Window {
    chip: Rc<RefCell<Chip>>,
}

/// The chip's bus as one region for the interpreter's map, which searches and updates every region
/// at every instruction.
pub fn window(chip: &Rc<RefCell<Chip>>) -> (u32, Rc<RefCell<dyn MemoryInterface>>) {
    (0, Rc::new(RefCell::new(Window { chip: Rc::clone(chip) })))
}

impl MemoryInterface for Window {
    fn read_u8(&mut self, address: u32, _: &mut Env) -> MemoryReadResult<u8> {
        let mut byte = [0];
        self.chip.borrow_mut().read_narrow(address, &mut byte, Master::Core).map_err(denied)?;
        Ok(byte[0])
    }

    fn write_u8(&mut self, address: u32, value: u8, _: &mut Env) -> MemoryWriteResult {
        self.chip.borrow_mut().write_narrow(address, &[value]).map_err(denied)
    }

    fn read_u16le(&mut self, address: u32, _: &mut Env) -> MemoryReadResult<u16> {
        let mut bytes = [0; 2];
        self.chip.borrow_mut().read_narrow(address, &mut bytes, Master::Core).map_err(denied)?;
        Ok(u16::from_le_bytes(bytes))
    }

    fn write_u16le(&mut self, address: u32, value: u16, _: &mut Env) -> MemoryWriteResult {
        self.chip.borrow_mut().write_narrow(address, &value.to_le_bytes()).map_err(denied)
    }

    fn read_u32le(&mut self, address: u32, _: &mut Env) -> MemoryReadResult<u32> {
        self.chip.borrow_mut().read32(address, Master::Core).map_err(denied)
    }

    fn write_u32le(&mut self, address: u32, value: u32, _: &mut Env) -> MemoryWriteResult {
        self.chip.borrow_mut().write32(address, value, Master::Core).map_err(denied)
    }

    fn size(&self) -> u32 {
        PERIPHERAL_END
    }
}

fn denied(_: BusFault) -> MemoryAccessError {
    MemoryAccessError::HardwareError
}
