//! The emulated board: probe, chip, supply and fixture.
//!
//! Owns what happens at power-up and when the board is taken out, and the unique id that a debugger
//! reads: QEMU gives every chip the same one.

use std::io;
use std::time::Duration;

use super::core::Core;
use super::emulator::Emulator;
use super::map::{DEVICE_ID, PRIVATE_BUS, Place};
use crate::bmp;
use crate::board::{Reply, Wants};
use crate::control::{self, Lever};
use crate::cpu::{Activity, in_words};
use crate::dap::{ApFault, Dap, Target};
use crate::probe::{Fixture, Probe};
use crate::rom::ARM_ROM;
use crate::serve::Wired;
use crate::silicon::{CoreKind, Identity};

/// Time between two looks at a core that runs by itself.
const LOOK: Duration = Duration::from_millis(5);
/// Most bytes that one `dump-hex` answers.
const DUMP_BYTES_MAX: u32 = 0x4_0000;

/// The debug port says that it is the nRF52832's; the core is what QEMU has.
static IDENTITY: Identity = Identity {
    dpidr: 0x2BA0_1477,
    ap_idr: 0x2477_0011,
    rom_table: ARM_ROM | 3,
    core: CoreKind::M0Plus,
    cpuid: 0x410C_C200,
    breakpoint_control: 0x40,
    comparators: 4,
    interrupts: 32,
    vendor_debug: None,
};

/// A board with an emulated nRF51822.
#[derive(Debug)]
pub struct EmulatedBoard {
    chip: Chip,
    probe: Probe,
    looked: Duration,
}

/// The chip with its supply.
#[derive(Debug)]
struct Chip {
    emulator: Emulator,
    core: Core,
    uid: [u8; 8],
    seated: bool,
    supply: bool,
    alive: bool,
    pin_held: bool,
    printed: Vec<u8>,
}

impl EmulatedBoard {
    /// A board fresh from the factory: blank flash. A seated one powers up at once.
    ///
    /// # Errors
    /// QEMU cannot be started.
    pub fn start(uid: [u8; 8], seated: bool) -> io::Result<Self> {
        let chip = Chip {
            emulator: Emulator::start()?,
            core: Core::new(),
            uid,
            seated,
            supply: true,
            alive: false,
            pin_held: false,
            printed: Vec::new(),
        };
        let mut board = Self {
            chip,
            probe: Probe::new("Flashline emulated Black Magic Probe v3"),
            looked: Duration::ZERO,
        };
        board.chip.settle();
        Ok(board)
    }

    fn pull(&mut self, lever: &Lever) -> Result<String, String> {
        let chip = &mut self.chip;
        match lever {
            Lever::Power(on) => {
                chip.supply = *on;
                chip.settle();
            }
            Lever::Remove => {
                chip.seated = false;
                chip.settle();
            }
            Lever::Insert => {
                chip.seated = true;
                chip.settle();
            }
            Lever::Reset => chip.reset(),
            Lever::DumpHex { address, length } => {
                if *length > DUMP_BYTES_MAX || !Place::of(*address, *length as usize).is_memory() {
                    return Err("not inside flash, FICR, UICR or RAM".to_owned());
                }
                let mut bytes = vec![0; *length as usize];
                let read = chip.read_memory(*address, &mut bytes);
                return read.map(|()| hex::encode(bytes)).map_err(|_| "QEMU is gone".to_owned());
            }
            Lever::State => return Ok(chip.state().to_string()),
            Lever::Cut(_)
            | Lever::CutErase(_)
            | Lever::Load(_)
            | Lever::Stuck { .. }
            | Lever::NoErase(_)
            | Lever::Lock(_)
            | Lever::Disguise(_)
            | Lever::Flip(_)
            | Lever::Busy(_)
            | Lever::Unplug
            | Lever::Plug
            | Lever::Slow(_)
            | Lever::Hang(_)
            | Lever::Heal
            | Lever::Dump(_)
            | Lever::Counters => {
                return Err("the emulated board has only power, remove, insert, reset, dump-hex \
                            and state"
                    .to_owned());
            }
        }
        Ok(String::new())
    }

    fn after(&mut self) {
        if !self.chip.alive {
            self.probe.forget_target();
        }
    }
}

impl Wired for EmulatedBoard {
    fn probe(&mut self, text: &[u8], _: Duration) -> Option<Reply> {
        let answer = self.probe.answer(&mut self.chip, bmp::parse(text));
        self.after();
        Some(Reply { bytes: answer.encode(), delay: Duration::ZERO })
    }

    fn control(&mut self, line: &str, _: Duration) -> String {
        let answer = match control::parse(line) {
            Ok(lever) => self.pull(&lever),
            Err(error) => Err(error.to_string()),
        };
        self.after();
        control::answer(answer)
    }

    fn wants(&self, now: Duration) -> Wants {
        let due = self.looked + LOOK;
        if !self.chip.alive || self.chip.core.activity() != Activity::Running {
            Wants::Nothing
        } else if now >= due {
            Wants::Run
        } else {
            Wants::Until(due)
        }
    }

    fn run(&mut self, now: Duration) {
        self.looked = now;
        // What QEMU would not say was logged, and the core stands as locked up.
        let _ = self.chip.ask(|emulator, core| core.look(emulator));
        self.after();
    }

    fn take_uart(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.chip.printed);
        bytes.extend(self.chip.emulator.take_uart());
        bytes
    }
}

impl Chip {
    /// Asks QEMU; one that is gone is replaced, and the question stays unanswered.
    fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut Emulator, &mut Core) -> io::Result<T>,
    ) -> Option<T> {
        let error = match question(&mut self.emulator, &mut self.core) {
            Ok(answer) => return Some(answer),
            Err(error) => error,
        };
        tracing::warn!(%error, "QEMU gave up: the core locked up");
        self.printed.extend(self.emulator.take_uart());
        match self.emulator.replace() {
            Ok(()) => self.core.emulator_replaced(),
            Err(error) => {
                tracing::error!(%error, "no other QEMU: the board is dead");
                self.supply = false;
                self.alive = false;
            }
        }
        None
    }

    /// Brings the chip to the state that supply and seat ask for.
    fn settle(&mut self) {
        let wanted = self.seated && self.supply;
        if wanted == self.alive {
            return;
        }
        self.alive = wanted;
        let held = self.pin_held;
        // A core that cannot be asked stands as locked up, powered or not.
        let _ = self.ask(|emulator, core| {
            if !wanted {
                return core.hold(emulator);
            }
            emulator.forget_ram()?;
            core.power_up(emulator)?;
            if held { core.hold(emulator) } else { Ok(()) }
        });
    }

    fn reset(&mut self) {
        if self.alive && !self.pin_held {
            let _ = self.ask(|emulator, core| core.reset(emulator));
        }
    }

    /// Reads memory as a debugger does: with this board's own unique id.
    fn read_memory(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), ApFault> {
        // A core that locks up meanwhile takes QEMU with it, not the memory.
        let read = self.ask(|emulator, _| emulator.bus.read(address, bytes));
        let read = read.or_else(|| self.ask(|emulator, _| emulator.bus.read(address, bytes)));
        read.ok_or(ApFault)?;
        for (at, byte) in (DEVICE_ID..).zip(self.uid) {
            let place = at.checked_sub(address).and_then(|offset| bytes.get_mut(offset as usize));
            if let Some(place) = place {
                *place = byte;
            }
        }
        Ok(())
    }

    fn state(&self) -> serde_json::Value {
        let activity = self.alive.then(|| self.core.activity());
        serde_json::json!({
            "seated": self.seated,
            "supply": self.supply,
            "powered": self.alive,
            "core": in_words(activity),
        })
    }
}

impl Fixture for Chip {
    fn powered(&self) -> bool {
        self.alive
    }

    fn answers(&self) -> bool {
        self.alive
    }

    fn is_lasting(&self, address: u32) -> bool {
        matches!(Place::of(address, 1), Place::Flash | Place::Information)
    }

    fn reset_pin(&mut self, asserted: bool) {
        let was_held = std::mem::replace(&mut self.pin_held, asserted);
        if self.alive && asserted {
            let _ = self.ask(|emulator, core| core.hold(emulator));
        } else if was_held {
            self.reset();
        }
    }

    fn read_block(&mut self, dap: &mut Dap, address: u32, bytes: &mut [u8]) -> Result<(), ApFault> {
        // A question to QEMU costs the same for a word as for a block.
        if Place::of(address, bytes.len()).is_memory() {
            self.read_memory(address, bytes)
        } else {
            dap.read_memory(self, address, bytes)
        }
    }

    fn write_block(
        &mut self,
        dap: &mut Dap,
        address: u32,
        data: &[u8],
        width: usize,
    ) -> Result<(), ApFault> {
        if Place::of(address, data.len()) == Place::Ram {
            self.ask(|emulator, _| emulator.bus.write(address, data)).ok_or(ApFault)
        } else {
            dap.write_memory(self, address, data, width)
        }
    }
}

impl Target for Chip {
    fn identity(&self) -> &'static Identity {
        &IDENTITY
    }

    fn locked(&self) -> bool {
        false
    }

    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), ApFault> {
        let place = Place::of(address, bytes.len());
        if place.is_memory() {
            return self.read_memory(address, bytes);
        }
        let register = address & !3;
        let word = if address >= PRIVATE_BUS {
            // A core that was lost while it was asked is asked again: it is locked up now.
            self.ask(|emulator, core| core.read(register, emulator))
                .or_else(|| self.ask(|emulator, core| core.read(register, emulator)))
        } else if place == Place::Peripheral {
            self.ask(|emulator, _| emulator.bus.read_word(register))
        } else {
            None
        };
        let word = word.ok_or(ApFault)?.to_le_bytes();
        let lane = (address & 3) as usize;
        bytes.copy_from_slice(word.get(lane..lane + bytes.len()).ok_or(ApFault)?);
        Ok(())
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), ApFault> {
        let word = bytes.try_into().ok().map(u32::from_le_bytes);
        let place = Place::of(address, bytes.len());
        match (place, word) {
            (Place::Ram, _) => self.ask(|emulator, _| emulator.bus.write(address, bytes)),
            (Place::Nowhere, Some(word)) if address >= PRIVATE_BUS => {
                let written = self.ask(|emulator, core| core.write(address, word, emulator));
                // What the write let go locked up: the write itself was done.
                written.or_else(|| self.alive.then_some(()))
            }
            (Place::Flash | Place::Information | Place::Peripheral, Some(word)) => {
                self.ask(|emulator, _| emulator.bus.write_word(address, word))
            }
            (Place::Flash | Place::Information | Place::Peripheral | Place::Nowhere, _) => None,
        }
        .ok_or(ApFault)
    }

    // The nRF51 has no second access port.
    fn vendor_read(&mut self, _: u8, _: u8) -> u32 {
        0
    }

    fn vendor_write(&mut self, _: u8, _: u8, _: u32) {}
}
