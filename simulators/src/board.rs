//! One board: probe, chip, supply and fixture, driven by requests, levers and time.
//!
//! Owns the order of things: what happens at power-up, at a reset, when the supply fails in the
//! middle of a word. Owns no socket and no clock: `now` is an argument everywhere, counted from
//! whenever the caller likes.
//!
//! Promise: after every call the flash file on disk holds what the chip holds.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use crate::bmp::{self, Answer, Refusal, Request};
use crate::circuit::Circuit;
use crate::control::{self, Lever};
use crate::counters::Counters;
use crate::cpu::Activity;
use crate::dap::{ApFault, Dap};
use crate::flash_file::FlashFile;
use crate::nrf52::{Approtect, Chip, Ficr, Nvmc, Revision, UICR_BASE};
use crate::swd::Wire;
use crate::timing::Timing;

const UICR_APPROTECT: u32 = UICR_BASE + 0x208;

/// What distinguishes one board from another.
#[derive(Debug)]
pub struct BoardConfig {
    /// DEVICEID as its bytes lie in memory.
    pub uid: [u8; 8],
    /// Silicon revision: decides how the chip locks.
    pub revision: Revision,
    /// Whether things take time.
    pub timing: Timing,
    /// Flash and UICR.
    pub cells: FlashFile,
    /// Whether the board starts in the fixture.
    pub seated: bool,
}

/// An answer of the probe, to be given after `delay`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Bytes for the wire.
    pub bytes: Vec<u8>,
    /// Transaction latency and flash that was still busy.
    pub delay: Duration,
}

/// What the board would do if left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// Nothing: only a request changes anything.
    Nothing,
    /// Execute: call [`Board::run`].
    Run,
    /// Nothing before this time.
    Until(Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hang {
    No,
    Until(Duration),
    ForEver,
}

/// The board.
pub struct Board {
    circuit: Circuit,
    dap: Dap,
    wire: Wire,
    hang: Hang,
    slow: Duration,
    speed_khz: u32,
    timing: Timing,
}

impl Board {
    /// A board; seated ones power up at once.
    #[must_use]
    pub fn new(config: BoardConfig) -> Self {
        let chip = Rc::new(RefCell::new(Chip::new(
            Nvmc::new(config.cells, config.timing),
            Ficr::new(config.uid, config.revision.variant()),
            Approtect::new(config.revision),
        )));
        let mut board = Self {
            circuit: Circuit::new(chip, config.seated),
            dap: Dap::default(),
            wire: Wire::default(),
            hang: Hang::No,
            slow: Duration::ZERO,
            speed_khz: 4000,
            timing: config.timing,
        };
        board.circuit.settle();
        board
    }

    /// Handles the text between `!` and `#`. `None` while the probe hangs: ask again later.
    pub fn probe(&mut self, text: &[u8], now: Duration) -> Option<Reply> {
        self.at(now);
        if self.hang != Hang::No {
            return None;
        }
        self.circuit.counters(|counters| counters.probe_transactions += 1);
        let mut wait = Duration::ZERO;
        let answer = match bmp::parse(text) {
            Ok(request) => {
                if touches_flash(&request) {
                    let ready = self.circuit.chip.borrow().nvmc.busy_until();
                    wait = ready.saturating_sub(now);
                }
                self.answer(request).unwrap_or_else(Answer::Refused)
            }
            Err(refusal) => Answer::Refused(refusal),
        };
        self.after();
        Some(Reply { bytes: answer.encode(), delay: self.timing.latency + self.slow + wait })
    }

    /// Handles one line of the control port; the answer has no line end.
    pub fn control(&mut self, line: &str, now: Duration) -> String {
        self.at(now);
        let answer = match control::parse(line) {
            Ok(lever) => self.pull(lever),
            Err(error) => Err(error.to_string()),
        };
        self.after();
        match answer {
            Ok(text) if text.is_empty() => "ok".to_owned(),
            Ok(text) => format!("ok {text}"),
            Err(text) => format!("error {text}"),
        }
    }

    /// What happens next without a request.
    #[must_use]
    pub fn wants(&self, now: Duration) -> Wants {
        let core = if self.circuit.alive && self.circuit.cpu.activity() == Activity::Running {
            let busy_until = self.circuit.chip.borrow().nvmc.busy_until();
            if busy_until > now + crate::timing::SLACK {
                Wants::Until(busy_until)
            } else {
                Wants::Run
            }
        } else {
            Wants::Nothing
        };
        match (core, self.hang) {
            (Wants::Nothing, Hang::Until(end)) => Wants::Until(end),
            (Wants::Until(busy), Hang::Until(end)) => Wants::Until(busy.min(end)),
            (wants, Hang::No | Hang::Until(_) | Hang::ForEver) => wants,
        }
    }

    /// Lets the core execute for a slice, if it runs.
    pub fn run(&mut self, now: Duration) {
        self.at(now);
        self.circuit.run();
        self.after();
    }

    /// Bytes the UART sent since the last call.
    pub fn take_uart(&mut self) -> Vec<u8> {
        let bytes = self.circuit.chip.borrow_mut().uart.take();
        if !bytes.is_empty() {
            self.circuit.counters(|counters| counters.uart_bytes += bytes.len() as u64);
        }
        bytes
    }

    /// Totals so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.circuit.chip.borrow().nvmc.counters.clone()
    }

    /// What the core is doing; `None` without power.
    #[must_use]
    pub fn activity(&self) -> Option<Activity> {
        self.circuit.alive.then(|| self.circuit.cpu.activity())
    }

    fn at(&mut self, now: Duration) {
        self.circuit.now = now;
        self.circuit.chip.borrow_mut().nvmc.set_now(now);
        if let Hang::Until(end) = self.hang
            && now >= end
        {
            self.hang = Hang::No;
        }
    }

    fn after(&mut self) {
        self.circuit.notice_power_loss();
        if !self.circuit.alive {
            self.dap = Dap::default();
            self.wire = Wire::default();
        }
        let flushed = self.circuit.chip.borrow_mut().nvmc.cells().flush();
        if let Err(error) = flushed {
            tracing::error!(%error, "the flash file cannot be written");
            self.circuit.disk_trouble = Some(error);
        }
    }

    fn answer(&mut self, request: Request) -> Result<Answer, Refusal> {
        let Self { circuit, dap, wire, .. } = self;
        let done = |result: Result<(), ApFault>| match result {
            Ok(()) => Ok(Answer::Value(0)),
            Err(ApFault) => Err(Refusal::Fault),
        };
        let answer = match request {
            Request::Handshake => Ok(Answer::Text("Flashline simulated Black Magic Probe v3")),
            Request::Version => Ok(Answer::version()),
            Request::Voltage => Ok(Answer::Value(if circuit.alive { 0x3300 } else { 0 })),
            Request::GetSpeed => Ok(Answer::Value(self.speed_khz)),
            Request::SetSpeed(hertz) => {
                self.speed_khz = hertz / 1000;
                Ok(Answer::Value(0))
            }
            Request::Accept => Ok(Answer::Value(0)),
            Request::ResetPin(asserted) => {
                circuit.reset_pin(asserted);
                Ok(Answer::Value(0))
            }
            Request::Out { bits, count, parity } => {
                let mut target = circuit.alive.then_some(&mut *circuit);
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
            _ if !circuit.alive => Err(Refusal::NoAcknowledge),
            Request::ReadDp(address) => Ok(Answer::Register(dap.read_dp(address))),
            Request::RawDp { read: true, address, .. } => {
                Ok(Answer::Register(dap.read_dp(address)))
            }
            Request::RawDp { read: false, address, value } => {
                dap.write_dp(address, value);
                Ok(Answer::Value(0))
            }
            Request::ReadAp { ap, register } => {
                dap.read_ap(circuit, ap, register).map(Answer::Register).map_err(|_| Refusal::Fault)
            }
            Request::WriteAp { ap, register, value } => {
                done(dap.write_ap(circuit, ap, register, value))
            }
            Request::ReadMemory { ap: 0, address, length } => {
                let mut bytes = vec![0; length as usize];
                let read = dap.read_memory(circuit, address, &mut bytes);
                read.map(|()| Answer::Bytes(bytes)).map_err(|_| Refusal::Fault)
            }
            Request::WriteMemory { ap: 0, address, width, data } => {
                done(dap.write_memory(circuit, address, &data, width))
            }
            Request::ReadMemory { .. } | Request::WriteMemory { .. } => Err(Refusal::Fault),
        };
        circuit.notice_power_loss();
        if answer.is_err() {
            // The probe's firmware clears the sticky bits before it reports.
            dap.clear_errors();
        }
        answer
    }

    fn pull(&mut self, lever: Lever) -> Result<String, String> {
        let circuit = &mut self.circuit;
        match lever {
            Lever::Power(on) => {
                circuit.supply = on;
                circuit.settle();
            }
            Lever::Remove => {
                circuit.seated = false;
                circuit.settle();
            }
            Lever::Insert => {
                circuit.seated = true;
                circuit.settle();
            }
            Lever::Cut(words) => circuit.chip.borrow_mut().nvmc.cut_after(words),
            Lever::Stuck { address, bit } => {
                if !circuit.chip.borrow_mut().nvmc.stick(address, bit) {
                    return Err(format!("{address:#010x} is not in flash or UICR"));
                }
            }
            Lever::Lock => {
                let at = Nvmc::offset(UICR_APPROTECT).unwrap_or_default();
                circuit.chip.borrow_mut().nvmc.cells().set_word(at, 0xFFFF_FF00);
                circuit.reset(true);
            }
            Lever::Reset => circuit.reset(true),
            Lever::Slow(time) => self.slow = time,
            Lever::Hang(None) => self.hang = Hang::ForEver,
            Lever::Hang(Some(time)) => self.hang = Hang::Until(circuit.now + time),
            Lever::Heal => {
                self.hang = Hang::No;
                self.slow = Duration::ZERO;
                circuit.chip.borrow_mut().nvmc.heal();
            }
            Lever::Dump(path) => {
                let mut chip = circuit.chip.borrow_mut();
                let bytes = chip.nvmc.cells().bytes();
                File::create(&path)
                    .and_then(|mut file| file.write_all(bytes))
                    .map_err(|error| format!("writing {}: {error}", path.display()))?;
                return Ok(bytes.len().to_string());
            }
            Lever::DumpHex { address, length } => {
                let mut chip = circuit.chip.borrow_mut();
                let range = cells_of(address, length).ok_or("not inside flash or UICR")?;
                let bytes = &chip.nvmc.cells().bytes()[range];
                return Ok(hex::encode(bytes));
            }
            Lever::Counters => {
                let counters = circuit.chip.borrow().nvmc.counters.clone();
                return serde_json::to_string(&counters).map_err(|error| error.to_string());
            }
            Lever::State => return Ok(self.state().to_string()),
        }
        Ok(String::new())
    }

    fn state(&self) -> serde_json::Value {
        let core = match self.activity() {
            None => "off",
            Some(Activity::InReset) => "in_reset",
            Some(Activity::Running) => "running",
            Some(Activity::Sleeping) => "sleeping",
            Some(Activity::Halted) => "halted",
            Some(Activity::LockedUp) => "locked_up",
        };
        serde_json::json!({
            "seated": self.circuit.seated,
            "supply": self.circuit.supply,
            "powered": self.circuit.alive,
            "core": core,
            "locked": self.circuit.chip.borrow().approtect.locked(),
            "hanging": self.hang != Hang::No,
            "disk_trouble": self.circuit.disk_trouble.as_ref().map(io::Error::to_string),
        })
    }
}

/// The cells of a range that lies in flash or in UICR, not across both.
fn cells_of(address: u32, length: u32) -> Option<std::ops::Range<usize>> {
    let last = address.checked_add(length.checked_sub(1)?)?;
    let (start, end) = (Nvmc::offset(address)?, Nvmc::offset(last)?);
    (end - start == (last - address) as usize).then_some(start..end + 1)
}

fn touches_flash(request: &Request) -> bool {
    if let Request::ReadMemory { address, .. } | Request::WriteMemory { address, .. } = request {
        Nvmc::offset(*address).is_some()
    } else {
        false
    }
}
