//! The debug access port: SW-DP and AHB-AP (0), at register level.
//!
//! Owns the port's registers and decides which access faults. Asks [`Target`] for everything
//! behind the access ports, a vendor's own ports included, so it can be tested without a chip.

use crate::silicon::Identity;

const CSW_RESET: u32 = 0x0300_0042;
const STICKY_ORUN: u32 = 1 << 1;
const STICKY_CMP: u32 = 1 << 4;
const STICKY_ERR: u32 = 1 << 5;
const ORUN_DETECT: u32 = 1;
/// Of an id: which of the chip's ports.
const INSTANCE: u32 = 0xF000_0000;
const DEBUG_POWER: u32 = 1 << 28;
const POWER_REQUESTS: u32 = DEBUG_POWER | 1 << 30;
/// TAR increments inside this many bytes and then wraps.
const TAR_WINDOW: u32 = 1024;

/// The access failed on the target side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApFault;

/// What lies behind the access ports.
pub trait Target {
    /// Who answers.
    fn identity(&self) -> &'static Identity;
    /// Whether the AHB access port refuses memory accesses.
    fn locked(&self) -> bool;
    /// Reads 1, 2 or 4 aligned bytes.
    ///
    /// # Errors
    /// [`ApFault`] when the bus answers with an error.
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), ApFault>;
    /// Writes 1, 2 or 4 aligned bytes.
    ///
    /// # Errors
    /// [`ApFault`] when the bus answers with an error.
    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), ApFault>;
    /// Reads a register of another access port.
    fn vendor_read(&mut self, ap: u8, register: u8) -> u32;
    /// Writes a register of another access port.
    fn vendor_write(&mut self, ap: u8, register: u8, value: u32);
    /// What follows comes through this debug port, of several.
    fn address(&mut self, _port: usize) {}
    /// The rescue port resets the chip.
    fn rescue(&mut self) {}
}

/// The registers of the port.
#[derive(Debug)]
pub struct Dap {
    ctrl: u32,
    sticky: u32,
    select: u32,
    rdbuff: u32,
    csw: u32,
    tar: u32,
    /// The debugger's request for power went away.
    power_fell: bool,
    /// What it is chosen by, of several; 0 where there is no choice.
    id: u32,
}

impl Default for Dap {
    fn default() -> Self {
        Self {
            ctrl: 0,
            sticky: 0,
            select: 0,
            rdbuff: 0,
            csw: CSW_RESET,
            tar: 0,
            power_fell: false,
            id: 0,
        }
    }
}

impl Dap {
    /// A port of several, which is chosen by this id.
    #[must_use]
    pub fn of(id: u32) -> Self {
        Self { id, ..Self::default() }
    }

    /// Whether an earlier fault waits to be cleared through ABORT.
    #[must_use]
    pub fn faulted(&self) -> bool {
        self.sticky & STICKY_ERR != 0
    }

    /// Whether the host promised a data phase after every answer.
    #[must_use]
    pub fn overrun_detect(&self) -> bool {
        self.ctrl & ORUN_DETECT != 0
    }

    /// Whether the request for debug power went away since the last call.
    pub(crate) fn take_power_down(&mut self) -> bool {
        std::mem::take(&mut self.power_fell)
    }

    /// Clears what ABORT would.
    pub fn clear_errors(&mut self) {
        self.sticky = 0;
    }

    /// Reads a debug port register.
    #[must_use]
    pub fn read_dp(&self, target: &impl Target, address: u8) -> u32 {
        match (address & 0xC, self.select & 0xF) {
            (0x0, _) => target.identity().dpidr,
            (0x4, 0) => self.ctrl | self.sticky | (self.ctrl & POWER_REQUESTS) << 1,
            // TARGETID and, of SWD version 2, DLPIDR.
            (0x4, 2) => self.id & !INSTANCE,
            (0x4, 3) => self.id & INSTANCE | u32::from(self.id != 0),
            (0xC, _) => self.rdbuff,
            _ => 0,
        }
    }

    /// Writes a debug port register.
    pub fn write_dp(&mut self, address: u8, value: u32) {
        match (address & 0xC, self.select & 0xF) {
            (0x0, _) => {
                for (bit, sticky) in
                    [(1 << 1, STICKY_CMP), (1 << 2, STICKY_ERR), (1 << 4, STICKY_ORUN)]
                {
                    if value & bit != 0 {
                        self.sticky &= !sticky;
                    }
                }
            }
            (0x4, 0) => {
                self.power_fell |= self.ctrl & !value & DEBUG_POWER != 0;
                self.ctrl = value & (POWER_REQUESTS | ORUN_DETECT | 0xF00);
            }
            (0x8, _) => self.select = value,
            _ => {}
        }
    }

    /// The access port and register an AP access by bit-level SWD means.
    #[must_use]
    pub fn selected(&self, address: u8) -> (u8, u8) {
        ((self.select >> 24) as u8, (self.select & 0xF0) as u8 | address & 0xC)
    }

    /// Reads an access port register; the value also stays in RDBUFF.
    ///
    /// # Errors
    /// [`ApFault`], which also stays sticky.
    pub fn read_ap(
        &mut self,
        target: &mut impl Target,
        ap: u8,
        register: u8,
    ) -> Result<u32, ApFault> {
        let value = match (ap, register) {
            (0, 0x00) => Ok(self.csw | u32::from(!target.locked()) << 6),
            (0, 0x04) => Ok(self.tar),
            (0, 0x0C) => self.data_read(target),
            (0, 0x10..=0x1C) => self.word(target, self.tar & !0xF | u32::from(register) & 0xC),
            (0, 0xF8) => Ok(target.identity().rom_table),
            (0, 0xFC) => Ok(target.identity().ap_idr),
            (0, _) => Ok(0),
            (ap, register) => Ok(target.vendor_read(ap, register)),
        };
        match value {
            Ok(value) => self.rdbuff = value,
            Err(ApFault) => self.sticky |= STICKY_ERR,
        }
        value
    }

    /// Writes an access port register.
    ///
    /// # Errors
    /// [`ApFault`], which also stays sticky.
    pub fn write_ap(
        &mut self,
        target: &mut impl Target,
        ap: u8,
        register: u8,
        value: u32,
    ) -> Result<(), ApFault> {
        let done = match (ap, register) {
            (0, 0x00) => {
                self.csw = value & !(1 << 6 | 1 << 7);
                Ok(())
            }
            (0, 0x04) => {
                self.tar = value;
                Ok(())
            }
            (0, 0x0C) => self.data_write(target, value),
            (0, 0x10..=0x1C) => {
                let address = self.tar & !0xF | u32::from(register) & 0xC;
                self.access(target, |target| target.write(address, &value.to_le_bytes()))
            }
            (0, _) => Ok(()),
            (ap, register) => {
                target.vendor_write(ap, register, value);
                Ok(())
            }
        };
        if done.is_err() {
            self.sticky |= STICKY_ERR;
        }
        done
    }

    /// Reads a block through the AHB access port, as a probe's memory command does.
    ///
    /// # Errors
    /// [`ApFault`] at the first access that fails.
    pub fn read_memory(
        &mut self,
        target: &mut impl Target,
        address: u32,
        bytes: &mut [u8],
    ) -> Result<(), ApFault> {
        let mut at = address;
        let mut rest = bytes;
        while !rest.is_empty() {
            let width = if at.is_multiple_of(4) && rest.len() >= 4 { 4 } else { 1 };
            let (now, later) = rest.split_at_mut(width);
            self.access(target, |target| target.read(at, now))?;
            at = at.wrapping_add(width as u32);
            rest = later;
        }
        Ok(())
    }

    /// Writes a block through the AHB access port in accesses of `width` bytes.
    ///
    /// # Errors
    /// [`ApFault`] at the first access that fails.
    pub fn write_memory(
        &mut self,
        target: &mut impl Target,
        address: u32,
        bytes: &[u8],
        width: usize,
    ) -> Result<(), ApFault> {
        let mut at = address;
        for part in bytes.chunks(width.clamp(1, 4)) {
            self.access(target, |target| target.write(at, part))?;
            at = at.wrapping_add(part.len() as u32);
        }
        Ok(())
    }

    fn access(
        &mut self,
        target: &mut impl Target,
        act: impl FnOnce(&mut dyn Memory) -> Result<(), ApFault>,
    ) -> Result<(), ApFault> {
        if target.locked() { Err(ApFault) } else { act(target) }
    }

    fn word(&mut self, target: &mut impl Target, address: u32) -> Result<u32, ApFault> {
        let mut bytes = [0; 4];
        self.access(target, |target| target.read(address & !3, &mut bytes))?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn data_read(&mut self, target: &mut impl Target) -> Result<u32, ApFault> {
        let width = self.width();
        let address = self.tar & !(width as u32 - 1);
        let lane = (address & 3) as usize;
        let mut bytes = [0; 4];
        let part = &mut bytes[lane..lane + width];
        self.access(target, |target| target.read(address, part))?;
        self.advance(width);
        Ok(u32::from_le_bytes(bytes))
    }

    fn data_write(&mut self, target: &mut impl Target, value: u32) -> Result<(), ApFault> {
        let width = self.width();
        let address = self.tar & !(width as u32 - 1);
        let lane = (address & 3) as usize;
        let bytes = value.to_le_bytes();
        self.access(target, |target| target.write(address, &bytes[lane..lane + width]))?;
        self.advance(width);
        Ok(())
    }

    fn width(&self) -> usize {
        match self.csw & 7 {
            0 => 1,
            1 => 2,
            _ => 4,
        }
    }

    fn advance(&mut self, width: usize) {
        if self.csw >> 4 & 3 != 0 {
            let next = self.tar.wrapping_add(width as u32) & (TAR_WINDOW - 1);
            self.tar = self.tar & !(TAR_WINDOW - 1) | next;
        }
    }
}

/// The memory half of a [`Target`], so that one closure can serve any target.
trait Memory {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), ApFault>;
    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), ApFault>;
}

impl<T: Target> Memory for T {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), ApFault> {
        Target::read(self, address, bytes)
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), ApFault> {
        Target::write(self, address, bytes)
    }
}
