//! The Cortex-M0 as a debugger sees it: run, halt, step, registers, breakpoints, vector catch,
//! lockup.
//!
//! Owns the debug registers at and above 0xE000_0000, which QEMU does not model, and says them in
//! the stub's words. Two things QEMU does otherwise than a chip are put right here: a BKPT that a
//! debugger left at the return address halts (QEMU would raise a HardFault), and a core that cannot
//! execute locks up (QEMU would abort).
//!
//! Limits: MSP, PSP, PRIMASK and CONTROL are not in the stub; MSP is answered with the stack pointer
//! in use, the others with 0. Sleep does not show. A BKPT halts only at the return address.

use std::io;

use super::emulator::Emulator;
use super::gdb::{PC, SP, XPSR};
use super::map::{Place, RAM_BASE, RAM_BYTES};
use crate::cpu::Activity;
use crate::debug_registers::{
    AIRCR, C_DEBUGEN, C_HALT, C_STEP, CONTROLS, CPUID, DCRDR, DCRSR, DEMCR, DFSR, DFSR_BKPT,
    DFSR_HALTED, DFSR_VCATCH, DHCSR, FP_COMP0, FP_CTRL, S_HALT, S_LOCKUP, S_REGRDY, S_RESET_ST,
    VC_CORERESET,
};

const COMPARATORS: usize = 4;
const HARD_FAULT_VECTOR: u32 = 0x0C;
const THUMB: u32 = 1 << 24;
const ERASED_INSTRUCTION: u16 = 0xFFFF;

/// The core's debug registers.
#[derive(Debug)]
pub(super) struct Core {
    activity: Activity,
    controls: u32,
    demcr: u32,
    dfsr: u32,
    dcrdr: u32,
    reset_seen: bool,
    breakpoints_on: bool,
    comparators: [u32; COMPARATORS],
    /// Stops planted for as long as the core runs.
    planted: Vec<u32>,
    /// Where a HardFault would lead that no handler takes.
    abyss: Option<u32>,
}

impl Core {
    /// A core without power.
    pub(super) fn new() -> Self {
        Self {
            activity: Activity::InReset,
            controls: 0,
            demcr: 0,
            dfsr: 0,
            dcrdr: 0,
            reset_seen: true,
            breakpoints_on: false,
            comparators: [0; COMPARATORS],
            planted: Vec::new(),
            abyss: None,
        }
    }

    /// What the core is doing, as far as it was looked at.
    pub(super) fn activity(&self) -> Activity {
        self.activity
    }

    /// Power-up: the debug registers have forgotten, the firmware starts.
    pub(super) fn power_up(&mut self, chip: &mut Emulator) -> io::Result<()> {
        *self = Self::new();
        self.reset(chip)
    }

    /// The reset pin is held, or the supply is gone.
    pub(super) fn hold(&mut self, chip: &mut Emulator) -> io::Result<()> {
        self.stand(chip)?;
        self.activity = Activity::InReset;
        self.reset_seen = true;
        Ok(())
    }

    /// Leaves reset: runs, or is caught before the first instruction.
    pub(super) fn reset(&mut self, chip: &mut Emulator) -> io::Result<()> {
        self.stand(chip)?;
        chip.stub.reset()?;
        self.reset_seen = true;
        if self.debugged() && self.demcr & VC_CORERESET != 0 {
            self.halt(DFSR_VCATCH);
            Ok(())
        } else {
            self.controls &= !(C_HALT | C_STEP);
            self.resume(chip)
        }
    }

    /// QEMU aborted and was replaced: that is how it says that the core locked up.
    pub(super) fn emulator_replaced(&mut self) {
        self.planted.clear();
        self.abyss = None;
        if self.activity == Activity::Running {
            self.activity = Activity::LockedUp;
        }
    }

    /// Notices a core that stopped by itself.
    pub(super) fn look(&mut self, chip: &mut Emulator) -> io::Result<()> {
        if self.activity != Activity::Running || !chip.stub.has_stopped()? {
            return Ok(());
        }
        let pc = chip.stub.register(PC)?;
        if self.abyss == Some(pc) {
            self.activity = Activity::LockedUp;
        } else {
            self.halt(DFSR_BKPT);
        }
        self.uproot(chip)
    }

    /// Reads a register at or above 0xE000_0000.
    pub(super) fn read(&mut self, address: u32, chip: &mut Emulator) -> io::Result<u32> {
        Ok(match address {
            DHCSR => {
                self.look(chip)?;
                self.status()
            }
            DCRDR => self.dcrdr,
            DEMCR => self.demcr,
            DFSR => self.dfsr,
            AIRCR => 0xFA05_0000,
            CPUID => 0x410C_C200,
            FP_CTRL => (COMPARATORS as u32) << 4 | u32::from(self.breakpoints_on),
            _ => comparator(address).map_or(0, |index| self.comparators[index]),
        })
    }

    /// Writes a register at or above 0xE000_0000.
    pub(super) fn write(
        &mut self,
        address: u32,
        value: u32,
        chip: &mut Emulator,
    ) -> io::Result<()> {
        match address {
            DHCSR if value >> 16 == 0xA05F => return self.control(value, chip),
            DCRSR if self.activity != Activity::Running => return self.transfer(value, chip),
            AIRCR if value >> 16 == 0x05FA && value & 0b100 != 0 => {
                if self.activity != Activity::InReset {
                    return self.reset(chip);
                }
            }
            DCRDR => self.dcrdr = value,
            DEMCR => self.demcr = value,
            DFSR => self.dfsr &= !value,
            FP_CTRL if value & 2 != 0 => self.breakpoints_on = value & 1 == 1,
            _ => {
                if let Some(index) = comparator(address) {
                    self.comparators[index] = value;
                }
            }
        }
        Ok(())
    }

    fn debugged(&self) -> bool {
        self.controls & C_DEBUGEN != 0
    }

    fn status(&mut self) -> u32 {
        let mut value = self.controls | S_REGRDY;
        match self.activity {
            Activity::Halted => value |= S_HALT,
            Activity::LockedUp => value |= S_LOCKUP,
            Activity::InReset => self.reset_seen = true,
            Activity::Running | Activity::Sleeping => {}
        }
        if std::mem::take(&mut self.reset_seen) {
            value |= S_RESET_ST;
        }
        value
    }

    fn control(&mut self, value: u32, chip: &mut Emulator) -> io::Result<()> {
        self.look(chip)?;
        self.controls = value & CONTROLS;
        let halt = self.debugged() && value & C_HALT != 0;
        let step = self.debugged() && value & C_STEP != 0;
        match self.activity {
            Activity::InReset => Ok(()),
            Activity::Running | Activity::Sleeping | Activity::LockedUp if halt => {
                self.stand(chip)?;
                self.halt(DFSR_HALTED);
                Ok(())
            }
            Activity::Running | Activity::Sleeping | Activity::LockedUp => Ok(()),
            Activity::Halted if halt => Ok(()),
            Activity::Halted if step => self.step(chip),
            Activity::Halted => self.resume(chip),
        }
    }

    fn halt(&mut self, reason: u32) {
        self.activity = Activity::Halted;
        self.dfsr |= reason;
        self.controls |= C_HALT;
    }

    /// Makes QEMU's core stand still, whatever it is doing.
    fn stand(&mut self, chip: &mut Emulator) -> io::Result<()> {
        if self.activity == Activity::Running {
            chip.stub.interrupt()?;
            self.uproot(chip)?;
        }
        Ok(())
    }

    fn step(&mut self, chip: &mut Emulator) -> io::Result<()> {
        match self.next_instruction(chip)? {
            Next::Nothing => self.activity = Activity::LockedUp,
            Next::Break => self.halt(DFSR_BKPT),
            Next::Instruction { .. } => {
                chip.stub.step()?;
                self.halt(DFSR_HALTED);
            }
        }
        Ok(())
    }

    fn resume(&mut self, chip: &mut Emulator) -> io::Result<()> {
        match self.next_instruction(chip)? {
            Next::Nothing => self.activity = Activity::LockedUp,
            Next::Break => self.halt(DFSR_BKPT),
            Next::Instruction { place } => {
                // A flash routine that a debugger runs in RAM is watched over; firmware is not.
                if place == Place::Flash || !self.debugged() {
                    chip.note_flash()?;
                }
                self.plant(chip)?;
                chip.stub.resume()?;
                self.activity = Activity::Running;
            }
        }
        Ok(())
    }

    /// What the standing core would do next. QEMU must not try what leads nowhere.
    fn next_instruction(&self, chip: &mut Emulator) -> io::Result<Next> {
        let pc = chip.stub.register(PC)?;
        let stack = chip.stub.register(SP)?;
        let place = Place::of(pc, 2);
        let stack_works = stack > RAM_BASE && stack <= RAM_BASE + RAM_BYTES;
        if chip.stub.register(XPSR)? & THUMB == 0 || !place.is_executable() || !stack_works {
            return Ok(Next::Nothing);
        }
        Ok(match instruction(chip, pc)? {
            ERASED_INSTRUCTION => Next::Nothing,
            word if is_breakpoint(word) && self.debugged() => Next::Break,
            _ => Next::Instruction { place },
        })
    }

    fn plant(&mut self, chip: &mut Emulator) -> io::Result<()> {
        let mut stops = Vec::new();
        if self.debugged() {
            let back = chip.stub.register(14)? & !1;
            if Place::of(back, 2).is_executable() && is_breakpoint(instruction(chip, back)?) {
                stops.push(back);
            }
            if self.breakpoints_on {
                stops.extend(self.comparators.iter().flat_map(|value| watched(*value)));
            }
        }
        let handler = chip.bus.read_word(HARD_FAULT_VECTOR)?;
        let entry = handler & !1;
        let handled = handler & 1 == 1
            && Place::of(entry, 2).is_executable()
            && instruction(chip, entry)? != ERASED_INSTRUCTION;
        self.abyss = (!handled).then_some(entry);
        stops.extend(self.abyss);
        stops.sort_unstable();
        stops.dedup();
        for address in &stops {
            chip.stub.plant(*address)?;
        }
        self.planted = stops;
        Ok(())
    }

    fn uproot(&mut self, chip: &mut Emulator) -> io::Result<()> {
        for address in std::mem::take(&mut self.planted) {
            chip.stub.uproot(address)?;
        }
        Ok(())
    }

    fn transfer(&mut self, request: u32, chip: &mut Emulator) -> io::Result<()> {
        let write = request & 1 << 16 != 0;
        let register = match request & 0x7F {
            number @ 0..=PC => Some(number),
            16 => Some(XPSR),
            17 => Some(SP),
            _ => None,
        };
        match (register, write) {
            (Some(PC), true) => chip.stub.set_register(PC, self.dcrdr & !1)?,
            (Some(number), true) => chip.stub.set_register(number, self.dcrdr)?,
            (Some(number), false) => self.dcrdr = chip.stub.register(number)?,
            (None, true) => {}
            (None, false) => self.dcrdr = 0,
        }
        Ok(())
    }
}

/// What a standing core would do next.
enum Next {
    /// Lock up.
    Nothing,
    /// Halt for the debugger.
    Break,
    /// Execute.
    Instruction { place: Place },
}

fn instruction(chip: &mut Emulator, address: u32) -> io::Result<u16> {
    let mut bytes = [0; 2];
    chip.bus.read(address, &mut bytes)?;
    Ok(u16::from_le_bytes(bytes))
}

fn is_breakpoint(instruction: u16) -> bool {
    instruction >> 8 == 0xBE
}

fn comparator(address: u32) -> Option<usize> {
    let index = address.checked_sub(FP_COMP0)? as usize / 4;
    (index < COMPARATORS).then_some(index)
}

/// The instructions that a breakpoint comparator matches.
fn watched(value: u32) -> impl Iterator<Item = u32> {
    let address = value & 0x1FFF_FFFC;
    let enabled = value & 1;
    let halves = [(1, address), (2, address + 2)];
    halves
        .into_iter()
        .filter(move |(half, _)| enabled == 1 && value >> 30 & half != 0)
        .map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparator_matches_the_halves_it_names_and_none_when_it_is_off() {
        let check = |value, addresses: &[u32]| {
            assert_eq!(watched(value).collect::<Vec<u32>>(), addresses, "{value:#x}");
        };
        check(0x0000_0000, &[]);
        check(0x4000_1000, &[]);
        check(0x4000_1001, &[0x1000]);
        check(0x8000_1001, &[0x1002]);
        check(0xC000_1001, &[0x1000, 0x1002]);
        check(0x0000_1001, &[]);
    }
}
