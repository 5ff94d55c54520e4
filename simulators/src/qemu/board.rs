//! The emulated board: probe, chip, supply and fixture.
//!
//! Owns what happens at power-up and when the board is taken out, and the unique id that a debugger
//! reads: QEMU gives every chip the same one.

use std::io;
use std::time::Duration;

use super::core::Core;
use super::emulator::Emulator;
use super::map::{DEVICE_ID, PRIVATE_BUS, Place};
use crate::bmp::{self, Answer, Refusal, Request};
use crate::board::{Reply, Wants};
use crate::control::{self, Lever};
use crate::cpu::Activity;
use crate::dap::{ApFault, Dap, Target};
use crate::serve::Wired;
use crate::swd::Wire;

/// Time between two looks at a core that runs by itself.
const LOOK: Duration = Duration::from_millis(5);
/// Most bytes that one `dump-hex` answers.
const DUMP_BYTES_MAX: u32 = 0x4_0000;

/// A board with an emulated nRF51822.
#[derive(Debug)]
pub struct EmulatedBoard {
    chip: Chip,
    dap: Dap,
    wire: Wire,
    speed_khz: u32,
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
            dap: Dap::default(),
            wire: Wire::default(),
            speed_khz: 4000,
            looked: Duration::ZERO,
        };
        board.chip.settle();
        Ok(board)
    }

    fn answer(&mut self, request: Request) -> Result<Answer, Refusal> {
        let Self { chip, dap, wire, .. } = self;
        let done = |result: Result<(), ApFault>| match result {
            Ok(()) => Ok(Answer::Value(0)),
            Err(ApFault) => Err(Refusal::Fault),
        };
        let answer = match request {
            Request::Handshake => Ok(Answer::Text("Flashline emulated Black Magic Probe v3")),
            Request::Version => Ok(Answer::version()),
            Request::Voltage => Ok(Answer::Value(if chip.alive { 0x3300 } else { 0 })),
            Request::GetSpeed => Ok(Answer::Value(self.speed_khz)),
            Request::SetSpeed(hertz) => {
                self.speed_khz = hertz / 1000;
                Ok(Answer::Value(0))
            }
            Request::Accept => Ok(Answer::Value(0)),
            Request::ResetPin(asserted) => {
                chip.reset_pin(asserted);
                Ok(Answer::Value(0))
            }
            Request::Out { bits, count, parity } => {
                let mut target = chip.alive.then_some(&mut *chip);
                wire.drive(u64::from(bits), count, dap, target.as_deref_mut());
                if parity {
                    wire.drive(u64::from(bits.count_ones() & 1), 1, dap, target);
                }
                Ok(Answer::Value(0))
            }
            Request::In { count, parity } => {
                let value = wire.sample(count) as u32;
                let odd = u64::from(value.count_ones() & 1);
                if parity && wire.sample(1) != odd {
                    Err(Refusal::Unrecognised)
                } else {
                    Ok(Answer::Value(value))
                }
            }
            _ if !chip.alive => Err(Refusal::NoAcknowledge),
            Request::ReadDp(address) | Request::RawDp { read: true, address, .. } => {
                Ok(Answer::Register(dap.read_dp(address)))
            }
            Request::RawDp { read: false, address, value } => {
                dap.write_dp(address, value);
                Ok(Answer::Value(0))
            }
            Request::ReadAp { ap, register } => {
                dap.read_ap(chip, ap, register).map(Answer::Register).map_err(|_| Refusal::Fault)
            }
            Request::WriteAp { ap, register, value } => {
                done(dap.write_ap(chip, ap, register, value))
            }
            Request::ReadMemory { ap: 0, address, length } => {
                let mut bytes = vec![0; length as usize];
                // A question to QEMU costs the same for a word as for a block.
                let read = if Place::of(address, bytes.len()).is_memory() {
                    chip.read_memory(address, &mut bytes)
                } else {
                    dap.read_memory(chip, address, &mut bytes)
                };
                read.map(|()| Answer::Bytes(bytes)).map_err(|_| Refusal::Fault)
            }
            Request::WriteMemory { ap: 0, address, width, data } => {
                done(if Place::of(address, data.len()) == Place::Ram {
                    chip.ask(|emulator, _| emulator.bus.write(address, &data)).ok_or(ApFault)
                } else {
                    dap.write_memory(chip, address, &data, width)
                })
            }
            Request::ReadMemory { .. } | Request::WriteMemory { .. } => Err(Refusal::Fault),
        };
        if answer.is_err() {
            // The probe's firmware clears the sticky bits before it reports.
            dap.clear_errors();
        }
        answer
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
            | Lever::Stuck { .. }
            | Lever::Lock
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
            self.dap = Dap::default();
            self.wire = Wire::default();
        }
    }
}

impl Wired for EmulatedBoard {
    fn probe(&mut self, text: &[u8], _: Duration) -> Option<Reply> {
        let answer = match bmp::parse(text) {
            Ok(request) => self.answer(request).unwrap_or_else(Answer::Refused),
            Err(refusal) => Answer::Refused(refusal),
        };
        self.after();
        Some(Reply { bytes: answer.encode(), delay: Duration::ZERO })
    }

    fn control(&mut self, line: &str, _: Duration) -> String {
        let answer = match control::parse(line) {
            Ok(lever) => self.pull(&lever),
            Err(error) => Err(error.to_string()),
        };
        self.after();
        match answer {
            Ok(text) if text.is_empty() => "ok".to_owned(),
            Ok(text) => format!("ok {text}"),
            Err(text) => format!("error {text}"),
        }
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

    fn reset_pin(&mut self, asserted: bool) {
        let was_held = std::mem::replace(&mut self.pin_held, asserted);
        if self.alive && asserted {
            let _ = self.ask(|emulator, core| core.hold(emulator));
        } else if was_held {
            self.reset();
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
        let core = match (self.alive, self.core.activity()) {
            (false, _) => "off",
            (true, Activity::InReset) => "in_reset",
            (true, Activity::Running) => "running",
            (true, Activity::Sleeping) => "sleeping",
            (true, Activity::Halted) => "halted",
            (true, Activity::LockedUp) => "locked_up",
        };
        serde_json::json!({
            "seated": self.seated,
            "supply": self.supply,
            "powered": self.alive,
            "core": core,
        })
    }
}

impl Target for Chip {
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

    // The nRF51 has no control access port: what is written there has no effect.
    fn control_reset(&mut self, _: bool) {}

    fn control_erase_all(&mut self) {}

    fn control_erasing(&self) -> bool {
        false
    }
}
