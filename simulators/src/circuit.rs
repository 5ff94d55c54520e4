//! Supply, fixture, core and bus of an interpreted chip: what the access ports reach.
//!
//! Owns what happens at power-up, at a reset and when the supply fails in the middle of a word.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::counters::Counters;
use crate::cpu::{Activity, Cpu};
use crate::dap::{ApFault, Target};
use crate::debug_registers::DHCSR;
use crate::jtag::Tap;
use crate::probe::Fixture;
use crate::silicon::{Effect, Identity, Master, PRIVATE_BUS, Port, SharedSilicon};

/// SIO.CPUID of an RP2040: the number of the core that asks.
const CORE_NUMBER: u32 = 0xD000_0000;
/// Instructions executed between two looks at the outside world.
const SLICE: u32 = 20_000;

/// One chip with its supply.
pub(crate) struct Circuit {
    pub(crate) chip: SharedSilicon,
    pub(crate) cpu: Cpu,
    /// A second core, which nothing launches: it never executes, and a debugger sees it stand.
    second: Option<Cpu>,
    /// Through which debug port what follows comes.
    pub(crate) port: usize,
    /// The probe that asks can choose between debug ports.
    pub(crate) chooses: bool,
    pub(crate) seated: bool,
    pub(crate) supply: bool,
    pub(crate) alive: bool,
    pub(crate) pin_held: bool,
    pub(crate) now: Duration,
    pub(crate) disk_trouble: Option<io::Error>,
}

impl Circuit {
    /// A chip that has not seen power yet.
    pub(crate) fn new(chip: SharedSilicon, seated: bool) -> Self {
        let several = chip.borrow().targets().len() > 1;
        Self {
            cpu: Cpu::new(Rc::clone(&chip)),
            second: several.then(|| Cpu::new(Rc::clone(&chip))),
            port: 0,
            chooses: false,
            chip,
            seated,
            supply: true,
            alive: false,
            pin_held: false,
            now: Duration::ZERO,
            disk_trouble: None,
        }
    }

    /// Brings the chip to the state that supply and seat ask for.
    pub(crate) fn settle(&mut self) {
        let wanted = self.seated && self.supply;
        if wanted && !self.alive {
            self.alive = true;
            self.counters(|counters| counters.power_ons += 1);
            self.chip.borrow_mut().power_up();
            self.cpu.power_up();
            if let Some(second) = &mut self.second {
                second.power_up();
            }
            if self.pin_held {
                self.cpu.hold();
            }
        } else if !wanted && self.alive {
            self.alive = false;
            self.cpu.hold();
        }
    }

    pub(crate) fn notice_power_loss(&mut self) {
        if self.chip.borrow_mut().cells_mut().take_power_lost() {
            self.supply = false;
            self.settle();
        }
    }

    pub(crate) fn reset(&mut self, hard: bool) {
        if !self.alive {
            return;
        }
        self.counters(|counters| counters.resets += 1);
        self.chip.borrow_mut().reset(hard);
        self.cpu.reset();
        if let Some(second) = &mut self.second {
            second.reset();
        }
        if self.pin_held {
            self.cpu.hold();
        }
    }

    pub(crate) fn run(&mut self) {
        if !self.alive || self.chip.borrow().cells().ahead() {
            return;
        }
        let executed = self.cpu.run(SLICE);
        self.counters(|counters| counters.instructions += u64::from(executed));
        self.notice_power_loss();
        self.notice_reset_request();
    }

    fn notice_reset_request(&mut self) {
        let by_chip = self.chip.borrow_mut().take_reset_request();
        let by_second = self.second.as_mut().is_some_and(Cpu::take_reset_request);
        if self.cpu.take_reset_request() || by_second || by_chip {
            self.reset(false);
        }
    }

    pub(crate) fn counters(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.chip.borrow_mut().cells_mut().counters);
    }
}

impl Fixture for Circuit {
    fn powered(&self) -> bool {
        self.alive
    }

    fn answers(&self) -> bool {
        let chip = self.chip.borrow();
        self.alive && chip.port() != Port::Silent && (self.chooses || chip.targets().is_empty())
    }

    fn taps(&self) -> &'static [Tap] {
        if self.alive { self.chip.borrow().taps() } else { &[] }
    }

    fn is_lasting(&self, address: u32) -> bool {
        self.chip.borrow().place(address).is_some()
    }

    fn reset_pin(&mut self, asserted: bool) {
        let was_held = std::mem::replace(&mut self.pin_held, asserted);
        if !self.alive {
            return;
        }
        if asserted {
            // Its peripherals are in reset with it; what firmware took the debug pins for, too.
            self.chip.borrow_mut().reset(true);
            self.cpu.hold();
        } else if was_held {
            self.reset(true);
        }
    }
}

impl Target for Circuit {
    fn identity(&self) -> &'static Identity {
        self.chip.borrow().identity()
    }

    fn locked(&self) -> bool {
        self.chip.borrow().port() != Port::Open
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), ApFault> {
        self.chip.borrow_mut().debugged();
        if let Some(second) = self.second.as_mut().filter(|_| self.port == 1) {
            let word = match address & !3 {
                CORE_NUMBER => Some(1_u32),
                register @ PRIVATE_BUS.. => Some(second.read_debug(register)),
                _ => None,
            };
            if let Some(word) = word {
                let lane = (address & 3) as usize;
                let word = word.to_le_bytes();
                bytes.copy_from_slice(word.get(lane..lane + bytes.len()).ok_or(ApFault)?);
                return Ok(());
            }
        }
        if address >= PRIVATE_BUS {
            let register = address & !3;
            // A debugger polls this; the core gets on with its work while it does.
            if register == DHCSR && self.cpu.activity() == Activity::Running {
                self.run();
            }
            let word = self.cpu.read_debug(register).to_le_bytes();
            let lane = (address & 3) as usize;
            let part = word.get(lane..lane + bytes.len()).ok_or(ApFault)?;
            bytes.copy_from_slice(part);
            return Ok(());
        }
        let mut chip = self.chip.borrow_mut();
        if let &mut [_, _, _, _] = bytes {
            let word = chip.read32(address, Master::Debugger).map_err(|_| ApFault)?;
            bytes.copy_from_slice(&word.to_le_bytes());
            return Ok(());
        }
        chip.read_narrow(address, bytes, Master::Debugger).map_err(|_| ApFault)
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), ApFault> {
        self.chip.borrow_mut().debugged();
        let word = bytes.try_into().ok().map(u32::from_le_bytes);
        if address >= PRIVATE_BUS {
            let core = match &mut self.second {
                Some(second) if self.port == 1 => second,
                Some(_) | None => &mut self.cpu,
            };
            core.write_debug(address, word.ok_or(ApFault)?);
            self.notice_reset_request();
            return Ok(());
        }
        let mut chip = self.chip.borrow_mut();
        let written = match word {
            Some(word) if address.is_multiple_of(4) => {
                chip.write32(address, word, Master::Debugger)
            }
            Some(_) | None => chip.write_narrow(address, bytes, Master::Debugger),
        };
        drop(chip);
        self.notice_reset_request();
        written.map_err(|_| ApFault)
    }

    fn vendor_read(&mut self, ap: u8, register: u8) -> u32 {
        self.chip.borrow_mut().vendor_read(ap, register)
    }

    fn vendor_write(&mut self, ap: u8, register: u8, value: u32) {
        let effect = self.chip.borrow_mut().vendor_write(ap, register, value);
        match effect {
            Effect::Nothing => {}
            Effect::Hold => self.cpu.hold(),
            Effect::Reset => self.reset(false),
        }
    }

    fn address(&mut self, port: usize) {
        self.port = port;
    }

    fn rescue(&mut self) {
        self.counters(|counters| counters.resets += 1);
        self.chip.borrow_mut().rescue();
        self.cpu.power_up();
        if let Some(second) = &mut self.second {
            second.power_up();
        }
    }
}
