//! One emulated chip that survives its emulator.
//!
//! Owns the QEMU process and its replacement. QEMU ends itself when a core locks up; the chip then
//! continues in a fresh QEMU with the flash it had when its firmware was last let go.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use super::gdb::Stub;
use super::map::{
    FLASH_BYTES, NVMC_CONFIG, NVMC_ERASE, NVMC_ERASE_ALL, NVMC_WRITE, RAM_BASE, RAM_BYTES,
};
use super::process::{Process, Wires};
use super::qtest::Bus;

/// Most UART bytes taken at once.
const UART_BYTES_MAX: usize = 4096;

/// QEMU and the wires to it.
#[derive(Debug)]
pub(super) struct Emulator {
    pub(super) bus: Bus,
    pub(super) stub: Stub,
    uart: UnixStream,
    flash: Vec<u8>,
    // Last: the wires go first, then the process.
    _process: Process,
}

impl Emulator {
    /// A chip fresh from the factory: flash all ones, the core standing.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub(super) fn start() -> io::Result<Self> {
        Self::with_flash(vec![0xFF; FLASH_BYTES as usize])
    }

    fn with_flash(flash: Vec<u8>) -> io::Result<Self> {
        let (process, Wires { qtest, gdb, uart }) = Process::start()?;
        let mut bus = Bus::new(qtest);
        // QEMU's flash is born zero.
        bus.write_word(NVMC_CONFIG, NVMC_ERASE)?;
        bus.write_word(NVMC_ERASE_ALL, 1)?;
        if flash.iter().any(|byte| *byte != 0xFF) {
            bus.write_word(NVMC_CONFIG, NVMC_WRITE)?;
            bus.write(0, &flash)?;
        }
        bus.write_word(NVMC_CONFIG, 0)?;
        let stub = Stub::new(gdb)?;
        Ok(Self { bus, stub, uart, flash, _process: process })
    }

    /// Notes the flash as what the chip would hold if its firmware locked up.
    ///
    /// # Errors
    /// QEMU is gone.
    pub(super) fn note_flash(&mut self) -> io::Result<()> {
        self.bus.read(0, &mut self.flash)
    }

    /// A fresh QEMU with the noted flash, in place of one that ended itself.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub(super) fn replace(&mut self) -> io::Result<()> {
        *self = Self::with_flash(std::mem::take(&mut self.flash))?;
        self.stub.reset()
    }

    /// RAM forgets.
    ///
    /// # Errors
    /// QEMU is gone.
    pub(super) fn forget_ram(&mut self) -> io::Result<()> {
        self.bus.fill(RAM_BASE, RAM_BYTES, 0)
    }

    /// What the firmware printed since the last call.
    pub(super) fn take_uart(&mut self) -> Vec<u8> {
        let mut bytes = vec![0; UART_BYTES_MAX];
        // Nothing to read and a QEMU that is gone both mean: nothing was printed.
        let count = self.uart.read(&mut bytes).unwrap_or(0);
        bytes.truncate(count);
        bytes
    }
}
