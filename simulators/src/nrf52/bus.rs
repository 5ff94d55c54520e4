//! One bus, two masters: what the core and a debugger find at each address.

use std::ops::Range;

use super::control_ap::{CONTROL_AP, ControlAp};
use super::nvmc::Programmed;
use super::uart::Dma;
use super::{
    Approtect, CODE_RAM_BASE, FICR_BASE, Ficr, Nvmc, PAGE_BYTES, PERIPHERAL_BASE, PERIPHERAL_END,
    RAM_BASE, RAM_BYTES, UICR_BASE, Uart,
};
use crate::cells::Cells;
use crate::rom::{ARM_ENTRIES, ARM_ROM, RomTable};
use crate::silicon::{BusFault, CoreKind, Disguise, Effect, Identity, Master, Port, Silicon};

/// What RAM holds after power-up: noise would do, a pattern can be recognised.
const RAM_NOISE: u8 = 0xC5;
const APPROTECT_DISABLE: u32 = 0x4000_0558;
const UICR_APPROTECT: u32 = UICR_BASE + 0x208;
const CLOCK_EVENTS: [(u32, u32); 2] = [(0x4000_0000, 0x4000_0100), (0x4000_0008, 0x4000_0104)];

static IDENTITY: Identity = Identity {
    // DPv1, Arm.
    dpidr: 0x2BA0_1477,
    // AHB-AP of a Cortex-M4.
    ap_idr: 0x2477_0011,
    rom_table: ARM_ROM | 3,
    core: CoreKind::M4,
    cpuid: 0x410F_C241,
    breakpoint_control: 0x260,
    comparators: 6,
    interrupts: 39,
    vendor_debug: None,
};
static ROM_TABLE: RomTable =
    RomTable { base: ARM_ROM, vendor: [0x06, 0x40, 0x0C, 0, 0x02], entries: ARM_ENTRIES };

/// Everything behind the bus.
#[derive(Debug)]
pub struct Chip {
    /// Flash, UICR and their controller.
    pub nvmc: Nvmc,
    /// The transmitter.
    pub uart: Uart,
    /// The lock.
    pub approtect: Approtect,
    control_ap: ControlAp,
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
            control_ap: ControlAp::default(),
            ficr,
            ram: vec![RAM_NOISE; RAM_BYTES as usize],
            clock_events: [false; 2],
        }
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

impl Silicon for Chip {
    fn identity(&self) -> &'static Identity {
        &IDENTITY
    }

    fn cells(&self) -> &Cells {
        &self.nvmc.cells
    }

    fn cells_mut(&mut self) -> &mut Cells {
        &mut self.nvmc.cells
    }

    fn place(&self, address: u32) -> Option<usize> {
        self.nvmc.offset(address)
    }

    fn page(&self, place: usize) -> Range<usize> {
        let start = place / PAGE_BYTES as usize * PAGE_BYTES as usize;
        start..start + PAGE_BYTES as usize
    }

    fn power_up(&mut self) {
        self.control_ap = ControlAp::default();
        self.ram.fill(RAM_NOISE);
        self.reset(true);
    }

    fn reset(&mut self, hard: bool) {
        self.nvmc.reset();
        self.uart.reset();
        self.clock_events = [false; 2];
        let word = self.nvmc.word(UICR_APPROTECT).unwrap_or(0);
        self.approtect.reset(word, hard);
    }

    fn read32(&mut self, address: u32, by: Master) -> Result<u32, BusFault> {
        if let Some(at) = ram_offset(address) {
            let bytes = &self.ram[at & !3..];
            return Ok(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        }
        if let Some(word) = self.nvmc.word(address) {
            return Ok(word);
        }
        match address {
            FICR_BASE..UICR_BASE => self.ficr.word(address - FICR_BASE).ok_or(BusFault),
            PERIPHERAL_BASE..PERIPHERAL_END => Ok(self.read_peripheral(address & !3, by)),
            _ => Err(BusFault),
        }
    }

    fn write32(&mut self, address: u32, value: u32, by: Master) -> Result<(), BusFault> {
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

    fn read_narrow(&mut self, address: u32, bytes: &mut [u8], by: Master) -> Result<(), BusFault> {
        // Most reads are instruction fetches: straight from flash or RAM.
        let (memory, at) = match ram_offset(address) {
            Some(at) => (&self.ram[..], at),
            None if address < self.nvmc.flash_bytes() => {
                (self.nvmc.cells.bytes(), address as usize)
            }
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

    fn write_narrow(&mut self, address: u32, bytes: &[u8], _: Master) -> Result<(), BusFault> {
        // Only RAM takes less than a word: flash and peripherals refuse.
        let Some(at) = ram_offset(address) else {
            if self.nvmc.offset(address).is_some() {
                self.nvmc.cells.counters.refused += 1;
            }
            return Err(BusFault);
        };
        self.ram.get_mut(at..at + bytes.len()).ok_or(BusFault)?.copy_from_slice(bytes);
        Ok(())
    }

    fn private_read(&mut self, address: u32) -> u32 {
        ROM_TABLE.word(IDENTITY.core, address)
    }

    fn port(&self) -> Port {
        if self.approtect.locked() { Port::Locked } else { Port::Open }
    }

    fn locked(&self) -> bool {
        self.approtect.locked()
    }

    fn vendor_read(&mut self, ap: u8, register: u8) -> u32 {
        match ap {
            CONTROL_AP => self.control_ap.read(register, &self.approtect, &self.nvmc.cells),
            _ => 0,
        }
    }

    fn vendor_write(&mut self, ap: u8, register: u8, value: u32) -> Effect {
        match ap {
            CONTROL_AP => {
                self.control_ap.write(register, value, &mut self.approtect, &mut self.nvmc)
            }
            _ => Effect::Nothing,
        }
    }

    fn protect(&mut self, level: u8) -> Result<(), String> {
        if level != 1 {
            return Err("this chip has one level of protection, 1".to_owned());
        }
        let place = self.nvmc.offset(UICR_APPROTECT).unwrap_or_default();
        self.nvmc.cells.set(place, &0xFFFF_FF00_u32.to_le_bytes());
        Ok(())
    }

    fn disguise(&mut self, disguise: Disguise) -> Result<(), String> {
        match disguise {
            Disguise::Uid(uid) => {
                let uid = uid.try_into().map_err(|_| "DEVICEID has 8 bytes".to_owned())?;
                self.ficr.set_uid(Some(uid));
            }
            Disguise::UidUnreadable => self.ficr.set_uid(None),
            Disguise::Part(part) => self.ficr.set_part(part),
            Disguise::FlashKib(kib) => {
                let bytes = kib.saturating_mul(1024);
                self.nvmc.fit(bytes);
                self.ficr.set_flash(self.nvmc.flash_bytes());
            }
        }
        Ok(())
    }

    fn take_uart(&mut self) -> Vec<u8> {
        self.uart.take()
    }
}

fn ram_offset(address: u32) -> Option<usize> {
    match address & !(RAM_BYTES - 1) {
        RAM_BASE | CODE_RAM_BASE => Some((address & (RAM_BYTES - 1)) as usize),
        _ => None,
    }
}
