//! Supply, fixture, core and bus: what the access ports reach.
//!
//! Owns what happens at power-up, at a reset and when the supply fails in the middle of a word.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use crate::counters::Counters;
use crate::cpu::{self, Activity, Cpu};
use crate::dap::{ApFault, Target};
use crate::nrf52::{Chip, Master};

/// Instructions executed between two looks at the outside world.
const SLICE: u32 = 20_000;
/// First byte of the private peripheral bus.
const PRIVATE_BUS: u32 = 0xE000_0000;

/// One chip with its supply.
pub(crate) struct Circuit {
    pub(crate) chip: Rc<RefCell<Chip>>,
    pub(crate) cpu: Cpu,
    pub(crate) seated: bool,
    pub(crate) supply: bool,
    pub(crate) alive: bool,
    pub(crate) pin_held: bool,
    pub(crate) erasing_until: Duration,
    pub(crate) now: Duration,
    pub(crate) disk_trouble: Option<io::Error>,
}

impl Circuit {
    /// A chip that has not seen power yet.
    pub(crate) fn new(chip: Rc<RefCell<Chip>>, seated: bool) -> Self {
        Self {
            cpu: Cpu::new(Rc::clone(&chip)),
            chip,
            seated,
            supply: true,
            alive: false,
            pin_held: false,
            erasing_until: Duration::ZERO,
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
            if self.pin_held {
                self.cpu.hold();
            }
        } else if !wanted && self.alive {
            self.alive = false;
            self.cpu.hold();
        }
    }

    pub(crate) fn notice_power_loss(&mut self) {
        if self.chip.borrow_mut().nvmc.take_power_lost() {
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
        if self.pin_held {
            self.cpu.hold();
        }
    }

    pub(crate) fn reset_pin(&mut self, asserted: bool) {
        let was_held = std::mem::replace(&mut self.pin_held, asserted);
        if !self.alive {
            return;
        }
        if asserted {
            self.cpu.hold();
        } else if was_held {
            self.reset(true);
        }
    }

    pub(crate) fn run(&mut self) {
        if !self.alive || self.chip.borrow().nvmc.ahead() {
            return;
        }
        let executed = self.cpu.run(SLICE);
        self.counters(|counters| counters.instructions += u64::from(executed));
        self.notice_power_loss();
        self.notice_reset_request();
    }

    fn notice_reset_request(&mut self) {
        if self.cpu.take_reset_request() {
            self.reset(false);
        }
    }

    pub(crate) fn counters(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.chip.borrow_mut().nvmc.counters);
    }
}

impl Target for Circuit {
    fn locked(&self) -> bool {
        self.chip.borrow().approtect.locked()
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), ApFault> {
        if address >= PRIVATE_BUS {
            let register = address & !3;
            // A debugger polls this; the core gets on with its work while it does.
            if register == cpu::DHCSR && self.cpu.activity() == Activity::Running {
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
        let word = bytes.try_into().ok().map(u32::from_le_bytes);
        if address >= PRIVATE_BUS {
            self.cpu.write_debug(address, word.ok_or(ApFault)?);
            self.notice_reset_request();
            return Ok(());
        }
        let mut chip = self.chip.borrow_mut();
        match word {
            Some(word) if address.is_multiple_of(4) => {
                chip.write32(address, word, Master::Debugger)
            }
            Some(_) | None => chip.write_narrow(address, bytes),
        }
        .map_err(|_| ApFault)
    }

    fn control_reset(&mut self, asserted: bool) {
        if asserted {
            self.cpu.hold();
        } else {
            self.reset(false);
        }
    }

    fn control_erase_all(&mut self) {
        let mut chip = self.chip.borrow_mut();
        chip.nvmc.erase_all();
        chip.approtect.erased();
        self.erasing_until = chip.nvmc.busy_until();
    }

    fn control_erasing(&self) -> bool {
        self.now < self.erasing_until
    }
}
