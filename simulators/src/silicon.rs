//! What a board needs to know about the chip soldered to it.
//!
//! Owns the one shape that every modelled chip has: a bus with two masters, cells, a debug port
//! that may be shut, and disguises for tests about the wrong chip. Leaves the core to
//! [`crate::cpu`] and the debug port's registers to [`crate::dap`], which ask the chip who it is.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use armagnac::core::{ArmVersion, Config};
use armagnac::memory::{
    Env, MemoryAccessError, MemoryInterface, MemoryReadResult, MemoryWriteResult,
};

use crate::cells::Cells;
use crate::jtag::Tap;

/// Who drives the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Master {
    /// The core.
    Core,
    /// The AHB access port.
    Debugger,
}

/// The bus answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusFault;

/// Which core a chip has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CoreKind {
    /// Cortex-M0+ (ARMv6-M).
    M0Plus,
    /// Cortex-M3 (ARMv7-M).
    M3,
    /// Cortex-M4 (ARMv7E-M); its FPU is not modelled.
    M4,
}

impl CoreKind {
    /// The architecture, in the interpreter's words.
    #[must_use]
    pub fn version(self) -> ArmVersion {
        match self {
            Self::M0Plus => ArmVersion::V6M,
            Self::M3 => ArmVersion::V7M,
            Self::M4 => ArmVersion::V7EM,
        }
    }

    /// The interpreter's configuration.
    #[must_use]
    pub fn config(self) -> Config {
        match self {
            Self::M0Plus => Config::v6m(),
            Self::M3 => Config::v7m(),
            Self::M4 => Config::v7em(),
        }
    }
}

/// What the debug logic of a chip answers about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// SW-DP identification.
    pub dpidr: u32,
    /// Identification of the AHB access port.
    pub ap_idr: u32,
    /// Where the access port says its ROM table is.
    pub rom_table: u32,
    /// Which core.
    pub core: CoreKind,
    /// CPUID.
    pub cpuid: u32,
    /// FP_CTRL (BP_CTRL on ARMv6-M) without its enable bit.
    pub breakpoint_control: u32,
    /// Hardware breakpoints.
    pub comparators: usize,
    /// Peripheral interrupts.
    pub interrupts: usize,
    /// Where on the private peripheral bus the vendor's debug registers are, if the core reads them.
    pub vendor_debug: Option<u32>,
}

/// How far a debugger gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// To everything; the chip's bus refuses by itself what it refuses.
    Open,
    /// Not through the AHB access port.
    Locked,
    /// Nowhere: the debug port does not answer at all.
    Silent,
}

/// What a write to a vendor's access port asks of the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing outside the chip.
    Nothing,
    /// The core is held in reset.
    Hold,
    /// The core leaves reset.
    Reset,
}

/// Looks of another chip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disguise {
    /// Another unique id, in memory order.
    Uid(Vec<u8>),
    /// The unique id's addresses answer with a bus error.
    UidUnreadable,
    /// Another part number (DBGMCU device id, or FICR.INFO.PART).
    Part(u32),
    /// This much flash in KiB: the size register says so, and the rest does not answer.
    FlashKib(u32),
}

/// A chip, without its core.
pub trait Silicon: fmt::Debug {
    /// Who it is to a debugger.
    fn identity(&self) -> &'static Identity;
    /// The ids of its debug ports, where it has several: one per core, in order, then a rescue port.
    fn targets(&self) -> &'static [u32] {
        &[]
    }
    /// The rescue port resets it.
    fn rescue(&mut self) {}
    /// Its non-volatile cells.
    fn cells(&self) -> &Cells;
    /// Its non-volatile cells, for the levers.
    fn cells_mut(&mut self) -> &mut Cells;
    /// Where in the cells an address lies.
    fn place(&self, address: u32) -> Option<usize>;
    /// The cells that are erased together with the one at `place`.
    fn page(&self, place: usize) -> Range<usize>;
    /// Power-up: everything volatile is forgotten.
    fn power_up(&mut self);
    /// A reset; `hard` for power-up and the reset pin.
    fn reset(&mut self, hard: bool);
    /// Reads an aligned word below the private peripheral bus.
    ///
    /// # Errors
    /// [`BusFault`] where nothing answers.
    fn read32(&mut self, address: u32, by: Master) -> Result<u32, BusFault>;
    /// Writes an aligned word below the private peripheral bus.
    ///
    /// # Errors
    /// [`BusFault`] where nothing answers and where the chip refuses.
    fn write32(&mut self, address: u32, value: u32, by: Master) -> Result<(), BusFault>;
    /// Reads 1 or 2 bytes inside one word.
    ///
    /// # Errors
    /// [`BusFault`] where nothing answers.
    fn read_narrow(&mut self, address: u32, bytes: &mut [u8], by: Master) -> Result<(), BusFault>;
    /// Writes 1 or 2 bytes inside one word.
    ///
    /// # Errors
    /// [`BusFault`] where nothing answers and where the chip refuses.
    fn write_narrow(&mut self, address: u32, bytes: &[u8], by: Master) -> Result<(), BusFault>;
    /// A word at or above 0xE000_0000 that is not the core's: identification, vendor debug logic.
    fn private_read(&mut self, address: u32) -> u32;
    /// A write there.
    fn private_write(&mut self, _address: u32, _value: u32) {}
    /// How far a debugger gets right now.
    fn port(&self) -> Port;
    /// Its test access ports from TDI to TDO, the debug port's last; none where the chip has SWD
    /// only, and while firmware has the pins for something else.
    fn taps(&self) -> &'static [Tap] {
        &[]
    }
    /// Whether read-out protection is in force, for `state`.
    fn locked(&self) -> bool;
    /// A debugger used the AHB access port.
    fn debugged(&mut self) {}
    /// Reads an access port that is not the AHB's.
    fn vendor_read(&mut self, _ap: u8, _register: u8) -> u32 {
        0
    }
    /// Writes an access port that is not the AHB's.
    fn vendor_write(&mut self, _ap: u8, _register: u8, _value: u32) -> Effect {
        Effect::Nothing
    }
    /// Programs read-out protection of this level; it takes effect at the reset that follows.
    ///
    /// # Errors
    /// A sentence when the chip has no such level.
    fn protect(&mut self, level: u8) -> Result<(), String>;
    /// Makes the chip look like another one.
    ///
    /// # Errors
    /// A sentence when it cannot.
    fn disguise(&mut self, disguise: Disguise) -> Result<(), String>;
    /// Bytes the UART sent since the last call.
    fn take_uart(&mut self) -> Vec<u8>;
    /// Whether the core should stop executing: flash needs time, the power is gone, or the chip
    /// asks for a reset. Asked after every instruction.
    fn pauses_core(&self) -> bool {
        let cells = self.cells();
        cells.ahead() || cells.power_lost()
    }
    /// Whether the chip itself asked for a reset since the last call.
    fn take_reset_request(&mut self) -> bool {
        false
    }
}

/// A chip as the core, the access port and the levers share it.
pub type SharedSilicon = Rc<RefCell<dyn Silicon>>;

/// The chip's bus as one region for the interpreter's map, which searches and updates every region
/// at every instruction.
pub fn window(chip: &SharedSilicon) -> (u32, Rc<RefCell<dyn MemoryInterface>>) {
    (0, Rc::new(RefCell::new(Window { chip: Rc::clone(chip) })))
}

/// The vendor's debug registers as another region, where the core reads them.
pub fn vendor_window(chip: &SharedSilicon) -> Option<(u32, Rc<RefCell<dyn MemoryInterface>>)> {
    let base = chip.borrow().identity().vendor_debug?;
    Some((base, Rc::new(RefCell::new(VendorWindow { chip: Rc::clone(chip), base }))))
}

/// First byte of the private peripheral bus, which the interpreter and [`crate::cpu`] share.
pub const PRIVATE_BUS: u32 = 0xE000_0000;
const VENDOR_DEBUG_BYTES: u32 = 0x400;

/// The core's view of the chip.
#[derive(Debug)]
struct Window {
    chip: SharedSilicon,
}

impl MemoryInterface for Window {
    fn read_u8(&mut self, address: u32, _: &mut Env) -> MemoryReadResult<u8> {
        let mut byte = [0];
        self.chip.borrow_mut().read_narrow(address, &mut byte, Master::Core).map_err(denied)?;
        Ok(byte[0])
    }

    fn write_u8(&mut self, address: u32, value: u8, _: &mut Env) -> MemoryWriteResult {
        self.chip.borrow_mut().write_narrow(address, &[value], Master::Core).map_err(denied)
    }

    fn read_u16le(&mut self, address: u32, _: &mut Env) -> MemoryReadResult<u16> {
        let mut bytes = [0; 2];
        self.chip.borrow_mut().read_narrow(address, &mut bytes, Master::Core).map_err(denied)?;
        Ok(u16::from_le_bytes(bytes))
    }

    fn write_u16le(&mut self, address: u32, value: u16, _: &mut Env) -> MemoryWriteResult {
        let bytes = value.to_le_bytes();
        self.chip.borrow_mut().write_narrow(address, &bytes, Master::Core).map_err(denied)
    }

    fn read_u32le(&mut self, address: u32, _: &mut Env) -> MemoryReadResult<u32> {
        self.chip.borrow_mut().read32(address, Master::Core).map_err(denied)
    }

    fn write_u32le(&mut self, address: u32, value: u32, _: &mut Env) -> MemoryWriteResult {
        self.chip.borrow_mut().write32(address, value, Master::Core).map_err(denied)
    }

    fn size(&self) -> u32 {
        PRIVATE_BUS
    }
}

/// The core's view of the vendor's debug registers: words.
#[derive(Debug)]
struct VendorWindow {
    chip: SharedSilicon,
    base: u32,
}

impl MemoryInterface for VendorWindow {
    fn read_u32le(&mut self, address: u32, _: &mut Env) -> MemoryReadResult<u32> {
        Ok(self.chip.borrow_mut().private_read(self.base + address))
    }

    fn write_u32le(&mut self, address: u32, value: u32, _: &mut Env) -> MemoryWriteResult {
        self.chip.borrow_mut().private_write(self.base + address, value);
        Ok(())
    }

    fn size(&self) -> u32 {
        VENDOR_DEBUG_BYTES
    }
}

fn denied(_: BusFault) -> MemoryAccessError {
    MemoryAccessError::HardwareError
}
