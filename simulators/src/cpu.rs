//! A Cortex-M as a debugger sees it: run, halt, step, registers, breakpoints, vector catch,
//! lockup.
//!
//! Owns the interpreter and the debug registers at and above 0xE000_0000. The interpreter knows
//! neither reset nor debug: a reset is a fresh interpreter on the same bus, a halt is not stepping.
//!
//! Limits: no FPU, no peripheral interrupts (a sleeping core sleeps until a reset or a debugger),
//! no watchpoints.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use armagnac::core::{Emulator, Event, Irq, Processor};
use armagnac::registers::RegisterIndex;

use crate::debug_registers::{
    AIRCR, C_DEBUGEN, C_HALT, C_STEP, CONTROLS, CPUID, DCRDR, DCRSR, DEMCR, DFSR, DFSR_BKPT,
    DFSR_HALTED, DFSR_VCATCH, DHCSR, FP_COMP0, FP_CTRL, S_HALT, S_LOCKUP, S_REGRDY, S_RESET_ST,
    S_RETIRE_ST, S_SLEEP, VC_CORERESET, VC_HARDERR, VTOR,
};
use crate::decode::RememberingDecoder;
use crate::silicon::{Identity, SharedSilicon, vendor_window, window};

const LOCKUP_PC: u32 = 0xFFFF_FFFE;

/// What the core is doing, for `state`; `None` without power.
#[must_use]
pub fn in_words(activity: Option<Activity>) -> &'static str {
    match activity {
        None => "off",
        Some(Activity::InReset) => "in_reset",
        Some(Activity::Running) => "running",
        Some(Activity::Sleeping) => "sleeping",
        Some(Activity::Halted) => "halted",
        Some(Activity::LockedUp) => "locked_up",
    }
}

/// What the core is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// The reset pin is held.
    InReset,
    /// Executing.
    Running,
    /// Waiting in WFI, WFE or a branch to itself.
    Sleeping,
    /// Halted by a debugger.
    Halted,
    /// A fault inside the fault handler.
    LockedUp,
}

/// The core.
pub struct Cpu {
    identity: &'static Identity,
    processor: Processor,
    chip: SharedSilicon,
    asleep: Rc<Cell<bool>>,
    activity: Activity,
    controls: u32,
    demcr: u32,
    dfsr: u32,
    dcrdr: u32,
    vtor: u32,
    reset_seen: bool,
    retired_seen: bool,
    breakpoints_on: bool,
    comparators: Vec<u32>,
    reset_requested: bool,
}

impl Cpu {
    /// A core held in reset.
    #[must_use]
    pub fn new(chip: SharedSilicon) -> Self {
        let asleep = Rc::new(Cell::new(false));
        let identity = chip.borrow().identity();
        let mut processor = fresh(&chip);
        let decoder = RememberingDecoder::new(identity.core.version(), Rc::clone(&asleep));
        processor.instruction_decoder = Box::new(decoder);
        Self {
            identity,
            processor,
            chip,
            asleep,
            activity: Activity::InReset,
            controls: 0,
            demcr: 0,
            dfsr: 0,
            dcrdr: 0,
            vtor: 0,
            reset_seen: true,
            retired_seen: false,
            breakpoints_on: false,
            comparators: vec![0; identity.comparators],
            reset_requested: false,
        }
    }

    /// What the core is doing.
    #[must_use]
    pub fn activity(&self) -> Activity {
        self.activity
    }

    /// Power-up: the debug registers forget too.
    pub fn power_up(&mut self) {
        self.controls = 0;
        self.demcr = 0;
        self.dfsr = 0;
        self.breakpoints_on = false;
        self.comparators.fill(0);
        self.reset();
    }

    /// Holds the core in reset.
    pub fn hold(&mut self) {
        self.activity = Activity::InReset;
        self.reset_seen = true;
    }

    /// Leaves reset: stack pointer and entry from the vector table, or caught there.
    pub fn reset(&mut self) {
        let mut processor = fresh(&self.chip);
        std::mem::swap(&mut processor.instruction_decoder, &mut self.processor.instruction_decoder);
        self.processor = processor;
        self.vtor = 0;
        self.reset_seen = true;
        self.reset_requested = false;
        self.asleep.set(false);
        let stack = self.processor.read_u32le_iface(0).unwrap_or(0);
        let entry = self.processor.read_u32le_iface(4).unwrap_or(0);
        self.processor.registers.msp = stack & !3;
        self.processor.registers.lr = 0xFFFF_FFFF;
        self.processor.registers.psr.set_t(entry & 1 == 1);
        self.processor.set_pc(entry & !1);
        if self.controls & C_DEBUGEN != 0 && self.demcr & VC_CORERESET != 0 {
            self.halt(DFSR_VCATCH);
        } else {
            self.controls &= !(C_HALT | C_STEP);
            self.activity = Activity::Running;
        }
    }

    /// Whether a debugger or the firmware asked for a reset since the last call.
    pub fn take_reset_request(&mut self) -> bool {
        std::mem::take(&mut self.reset_requested)
    }

    /// Executes up to `limit` instructions, less when the core stops running, the flash needs
    /// time, the power goes away or a byte leaves on the UART. Returns how many were executed.
    pub fn run(&mut self, limit: u32) -> u32 {
        let mut executed = 0;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            while executed < limit && self.activity == Activity::Running {
                self.step();
                executed += 1;
                if self.reset_requested || self.chip.borrow().pauses_core() {
                    break;
                }
            }
        }));
        if outcome.is_err() {
            // The interpreter gives up on what it does not implement; the chip cannot go on either.
            tracing::warn!(pc = self.processor.pc(), "the interpreter cannot execute this");
            self.lock_up();
        }
        if self.firmware_asked_for_reset() {
            self.reset_requested = true;
        }
        executed
    }

    /// Reads a register at or above 0xE000_0000.
    pub fn read_debug(&mut self, address: u32) -> u32 {
        match address {
            DHCSR => self.read_dhcsr(),
            DCRDR => self.dcrdr,
            DEMCR => self.demcr,
            DFSR => self.dfsr,
            AIRCR => 0xFA05_0000,
            VTOR => self.vtor,
            CPUID => self.identity.cpuid,
            FP_CTRL => self.identity.breakpoint_control | u32::from(self.breakpoints_on),
            _ => match self.comparator(address) {
                Some(index) => self.comparators[index],
                None => self.chip.borrow_mut().private_read(address),
            },
        }
    }

    /// Writes a register at or above 0xE000_0000.
    pub fn write_debug(&mut self, address: u32, value: u32) {
        match address {
            DHCSR if value >> 16 == 0xA05F => self.write_dhcsr(value),
            DCRSR => self.transfer_register(value),
            DCRDR => self.dcrdr = value,
            DEMCR => self.demcr = value,
            DFSR => self.dfsr &= !value,
            AIRCR if value >> 16 == 0x05FA && value & 0b101 != 0 => self.reset_requested = true,
            VTOR => {
                self.vtor = value & !0x7F;
                // Aligned by the mask above, which is all the interpreter asks.
                let _ = self.processor.write_u32le_iface(VTOR, self.vtor);
            }
            FP_CTRL if value & 2 != 0 => self.breakpoints_on = value & 1 == 1,
            _ => match self.comparator(address) {
                Some(index) => self.comparators[index] = value,
                None => self.chip.borrow_mut().private_write(address, value),
            },
        }
    }

    fn comparator(&self, address: u32) -> Option<usize> {
        let index = address.checked_sub(FP_COMP0)? as usize / 4;
        (index < self.comparators.len()).then_some(index)
    }

    fn read_dhcsr(&mut self) -> u32 {
        let mut value = self.controls | S_REGRDY;
        match self.activity {
            Activity::Halted => value |= S_HALT,
            Activity::Sleeping => value |= S_SLEEP,
            Activity::LockedUp => value |= S_LOCKUP,
            Activity::InReset => self.reset_seen = true,
            Activity::Running => {}
        }
        if std::mem::take(&mut self.reset_seen) {
            value |= S_RESET_ST;
        }
        if std::mem::take(&mut self.retired_seen) {
            value |= S_RETIRE_ST;
        }
        value
    }

    fn write_dhcsr(&mut self, value: u32) {
        self.controls = value & CONTROLS;
        let debug = value & C_DEBUGEN != 0;
        let halt = debug && value & C_HALT != 0;
        match self.activity {
            Activity::InReset => {}
            Activity::Running | Activity::Sleeping | Activity::LockedUp => {
                if halt {
                    self.halt(DFSR_HALTED);
                }
            }
            Activity::Halted => {
                if halt {
                    return;
                }
                self.activity = Activity::Running;
                self.asleep.set(false);
                if debug && value & C_STEP != 0 {
                    self.run(1);
                    if self.activity != Activity::LockedUp {
                        self.halt(DFSR_HALTED);
                    }
                }
            }
        }
    }

    fn halt(&mut self, reason: u32) {
        self.activity = Activity::Halted;
        self.dfsr |= reason;
        self.controls |= C_HALT;
        self.asleep.set(false);
    }

    fn lock_up(&mut self) {
        self.processor.set_pc(LOCKUP_PC);
        self.processor.registers.psr.set_exception_number(Irq::HardFault.number());
        self.activity = Activity::LockedUp;
    }

    fn step(&mut self) {
        let pc = self.processor.pc();
        if !self.processor.registers.psr.t() {
            self.fault(pc);
            return;
        }
        if self.breakpoints_on && self.controls & C_DEBUGEN != 0 && self.breaks_at(pc) {
            self.halt(DFSR_BKPT);
            return;
        }
        match self.processor.next_event() {
            Ok(Event::Instruction { .. }) => {
                self.retired_seen = true;
                if self.asleep.get() {
                    self.asleep.set(false);
                    self.activity = Activity::Sleeping;
                }
            }
            Ok(Event::Break(_)) => {
                // The interpreter reports the break before the instruction that made it.
                let _ = self.processor.next_event();
                self.processor.set_pc(pc);
                if self.controls & C_DEBUGEN != 0 {
                    self.halt(DFSR_BKPT);
                } else {
                    self.fault(pc);
                }
            }
            Ok(Event::Reset) => {
                let _ = self.processor.next_event();
                self.reset_requested = true;
            }
            Ok(Event::DebugHint(_) | Event::Hook { .. }) => {
                let _ = self.processor.next_event();
            }
            Err(error) => {
                tracing::debug!(pc, ?error, "fault");
                self.fault(pc);
            }
        }
    }

    /// Everything the core cannot do becomes a HardFault; a fault inside that handler locks up.
    fn fault(&mut self, pc: u32) {
        self.processor.set_pc(pc);
        if self.controls & C_DEBUGEN != 0 && self.demcr & VC_HARDERR != 0 {
            self.halt(DFSR_VCATCH);
            return;
        }
        let active = self.processor.registers.psr.exception_number();
        let handler = self.processor.read_u32le_iface(self.vtor + 12).unwrap_or(0);
        let stack = self.processor.sp();
        let stack_works = stack.checked_sub(0x20).is_some_and(|bottom| {
            self.processor.read_u32le_iface(bottom).is_ok()
                && self.processor.read_u32le_iface(stack - 4).is_ok()
        });
        let nested = active == Irq::HardFault.number() || active == Irq::Nmi.number();
        if nested || handler & 1 == 0 || handler == 0xFFFF_FFFF || !stack_works {
            self.lock_up();
        } else {
            self.processor.registers.psr.set_t(true);
            self.processor.request_interrupt(Irq::HardFault);
        }
    }

    fn breaks_at(&self, pc: u32) -> bool {
        self.comparators.iter().any(|value| {
            let address = value & 0x1FFF_FFFC;
            value & 1 == 1
                && match value >> 30 {
                    1 => address == pc,
                    2 => address + 2 == pc,
                    3 => address == pc & !3,
                    _ => false,
                }
        })
    }

    fn firmware_asked_for_reset(&mut self) -> bool {
        self.processor.read_u32le_iface(AIRCR).is_ok_and(|value| value & 0b100 != 0)
    }

    fn transfer_register(&mut self, request: u32) {
        let write = request & (1 << 16) != 0;
        let registers = &mut self.processor.registers;
        let index = match request & 0x7F {
            selector @ 0..=14 => RegisterIndex::new_main(selector),
            15 => RegisterIndex::Pc,
            16 => RegisterIndex::Xpsr,
            17 => RegisterIndex::Msp,
            18 => RegisterIndex::Psp,
            20 => {
                if write {
                    let [primask, _, faultmask, control] = self.dcrdr.to_le_bytes();
                    registers.set(RegisterIndex::Primask, u32::from(primask));
                    registers.set(RegisterIndex::FaultMask, u32::from(faultmask));
                    registers.set(RegisterIndex::Control, u32::from(control));
                } else {
                    self.dcrdr = u32::from(registers.primask.pm())
                        | u32::from(registers.faultmask.pm()) << 16
                        | registers.control.read() << 24;
                }
                return;
            }
            _ => {
                if !write {
                    self.dcrdr = 0;
                }
                return;
            }
        };
        if write {
            let value = if index == RegisterIndex::Pc { self.dcrdr & !1 } else { self.dcrdr };
            registers.set(index, value);
        } else {
            self.dcrdr =
                if index == RegisterIndex::Xpsr { registers.psr.get() } else { registers[index] };
        }
    }
}

fn fresh(chip: &SharedSilicon) -> Processor {
    let identity = chip.borrow().identity();
    let config = identity.core.config().external_exceptions(identity.interrupts);
    let mut processor = Processor::new(config);
    for (base, region) in [Some(window(chip)), vendor_window(chip)].into_iter().flatten() {
        processor.map_iface(base, region).unwrap_or_else(|_| {
            unreachable!("the chip's bus ends below the private bus, and there is one more block")
        });
    }
    processor
}
