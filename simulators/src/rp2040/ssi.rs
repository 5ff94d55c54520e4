//! The synchronous serial interface between chip and flash, and the pin that selects the flash.
//!
//! RP2040 Datasheet, 4.10.13 "List of Registers" of the SSI; 2.19.6.2 of IO_QSPI.

use std::collections::VecDeque;

use super::serial_flash::SerialFlash;
use crate::cells::Cells;

const CTRLR0: u32 = 0x00;
const SSIENR: u32 = 0x08;
const SER: u32 = 0x10;
const SR: u32 = 0x28;
const DR0: u32 = 0x60;
const SPI_CTRLR0: u32 = 0xF4;
/// Transmit FIFO not full, transmit FIFO empty; receive FIFO not empty.
const SR_CAN_SEND: u32 = 1 << 1 | 1 << 2;
const SR_HAS_RECEIVED: u32 = 1 << 3;
/// Depth of either FIFO.
const FIFO: usize = 16;

/// CTRLR0: bits per frame less one, and the mode of transfer.
const DFS_AT: u32 = 16;
const TMOD_AT: u32 = 8;
const BOTH_WAYS: u32 = 0;
const EEPROM_READ: u32 = 3;
/// SPI_CTRLR0 of a serial read: command 0x03, eight bits of it, 24 of address.
const SERIAL_READ: u32 = 3 << 24 | 2 << 8 | 6 << 2;
const SERIAL_READ_BITS: u32 = 0xFF00_033C;

/// IO_QSPI: GPIO_QSPI_SS_CTRL, whose OUTOVER drives the pin, and the functions of all six pins.
const SS_CTRL: u32 = 0x0C;
const OUTOVER_AT: u32 = 8;
const DRIVEN_LOW: u32 = 2;
const FUNCTION: u32 = 0x1F;
const PINS: usize = 6;

/// Interface and pins.
#[derive(Debug)]
pub(super) struct Ssi {
    control: u32,
    spi_control: u32,
    slaves: u32,
    enabled: bool,
    received: VecDeque<u8>,
    /// IO_QSPI's control registers.
    pins: [u32; PINS],
}

impl Ssi {
    /// As a reset leaves it.
    pub(super) fn new() -> Self {
        Self {
            control: 0,
            spi_control: 0x0300_0000,
            slaves: 0,
            enabled: false,
            received: VecDeque::new(),
            pins: [FUNCTION; PINS],
        }
    }

    fn connected(&self) -> bool {
        self.pins.iter().all(|pin| pin & FUNCTION == 0)
    }

    fn selected(&self) -> bool {
        self.pins[(SS_CTRL / 8) as usize] >> OUTOVER_AT & 3 == DRIVEN_LOW
    }

    fn frame(&self) -> u32 {
        (self.control >> DFS_AT & 0x1F) + 1
    }

    fn mode(&self) -> u32 {
        self.control >> TMOD_AT & 3
    }

    /// Whether a read through the window reaches the flash.
    pub(super) fn is_window(&self) -> bool {
        self.enabled
            && self.connected()
            && self.pins[(SS_CTRL / 8) as usize] >> OUTOVER_AT & 3 == 0
            && self.mode() == EEPROM_READ
            && self.frame() == 32
            && self.spi_control & SERIAL_READ_BITS == SERIAL_READ
    }

    pub(super) fn read(&mut self, offset: u32) -> u32 {
        match offset {
            CTRLR0 => self.control,
            SSIENR => u32::from(self.enabled),
            SER => self.slaves,
            SR => SR_CAN_SEND | if self.received.is_empty() { 0 } else { SR_HAS_RECEIVED },
            DR0 => self.received.pop_front().map_or(0, u32::from),
            SPI_CTRLR0 => self.spi_control,
            _ => 0,
        }
    }

    pub(super) fn write(
        &mut self,
        offset: u32,
        value: u32,
        flash: &mut SerialFlash,
        cells: &mut Cells,
    ) {
        match offset {
            SSIENR => {
                self.enabled = value & 1 == 1;
                self.received.clear();
            }
            // While it is enabled its configuration cannot be written (4.10.13).
            CTRLR0 | SPI_CTRLR0 if self.enabled => cells.counters.refused += 1,
            CTRLR0 => self.control = value,
            SER => self.slaves = value,
            SPI_CTRLR0 => self.spi_control = value,
            DR0 => self.send(value, flash, cells),
            _ => {}
        }
    }

    fn send(&mut self, value: u32, flash: &mut SerialFlash, cells: &mut Cells) {
        let speaks = self.enabled
            && self.connected()
            && self.slaves & 1 == 1
            && self.mode() == BOTH_WAYS
            && self.frame() == 8;
        if !speaks {
            cells.counters.refused += 1;
            return;
        }
        let byte = flash.exchange(value as u8, cells);
        if self.received.len() < FIFO {
            self.received.push_back(byte);
        }
        if !self.selected() {
            // The interface's own chip select goes up when nothing more waits to be sent.
            flash.deselect(cells);
        }
    }

    pub(super) fn read_pin(&self, offset: u32) -> u32 {
        let pin = self.pins.get((offset / 8) as usize);
        pin.copied().filter(|_| offset & 4 != 0).unwrap_or(0)
    }

    pub(super) fn write_pin(
        &mut self,
        offset: u32,
        value: u32,
        flash: &mut SerialFlash,
        cells: &mut Cells,
    ) {
        let was_selected = self.selected();
        if let Some(pin) = self.pins.get_mut((offset / 8) as usize)
            && offset & 4 != 0
        {
            *pin = value;
        }
        if was_selected && !self.selected() {
            flash.deselect(cells);
        }
    }
}
