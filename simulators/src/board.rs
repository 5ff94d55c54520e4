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
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use crate::bmp::{self, Request};
use crate::circuit::Circuit;
use crate::control::{self, Lever};
use crate::counters::Counters;
use crate::cpu::{Activity, in_words};
use crate::flash_file::FlashFile;
use crate::glasgow::Glasgow;
use crate::nrf52::{Approtect, Chip, Ficr, Nvmc, Revision};
use crate::probe::Probe;
use crate::silicon::{SharedSilicon, Silicon};
use crate::timing::Timing;

/// What distinguishes one board with an nRF52832 from another.
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

/// Any board: its chip and what surrounds it.
#[derive(Debug)]
pub struct Setup {
    /// The chip.
    pub chip: SharedSilicon,
    /// Whether things take time; the chip was told the same.
    pub timing: Timing,
    /// Whether the board starts in the fixture.
    pub seated: bool,
}

impl From<BoardConfig> for Setup {
    fn from(config: BoardConfig) -> Self {
        let chip = Rc::new(RefCell::new(Chip::new(
            Nvmc::new(config.cells, config.timing),
            Ficr::new(config.uid, config.revision.variant()),
            Approtect::new(config.revision),
        )));
        Self { chip, timing: config.timing, seated: config.seated }
    }
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

/// Whether the probe's host can reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plug {
    /// It takes one client.
    In,
    /// Another program holds it.
    Busy,
    /// It is not there.
    Out,
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
    probe: Probe,
    /// The other probe, in front of the same chip.
    glasgow: Glasgow,
    plug: Plug,
    hang: Hang,
    slow: Duration,
    timing: Timing,
}

impl Board {
    /// A board; seated ones power up at once.
    #[must_use]
    pub fn new(setup: impl Into<Setup>) -> Self {
        let setup = setup.into();
        let targets = setup.chip.borrow().targets();
        let mut board = Self {
            glasgow: Glasgow::new(targets),
            circuit: Circuit::new(setup.chip, setup.seated),
            probe: Probe::new("Flashline simulated Black Magic Probe v3"),
            plug: Plug::In,
            hang: Hang::No,
            slow: Duration::ZERO,
            timing: setup.timing,
        };
        board.circuit.settle();
        board
    }

    /// Whether the probe can be reached.
    #[must_use]
    pub fn plug(&self) -> Plug {
        self.plug
    }

    /// Handles the text between `!` and `#`. `None` while the probe hangs: ask again later.
    pub fn probe(&mut self, text: &[u8], now: Duration) -> Option<Reply> {
        self.at(now);
        if self.hang != Hang::No {
            return None;
        }
        self.circuit.counters(|counters| counters.probe_transactions += 1);
        (self.circuit.chooses, self.circuit.port) = (false, 0);
        let request = bmp::parse(text);
        let wait = match &request {
            Ok(request) if self.touches_flash(request) => {
                self.circuit.chip.borrow().cells().busy_until().saturating_sub(now)
            }
            Ok(_) | Err(_) => Duration::ZERO,
        };
        let answer = self.probe.answer(&mut self.circuit, request);
        self.after();
        Some(Reply { bytes: answer.encode(), delay: self.timing.latency + self.slow + wait })
    }

    /// Handles one packet of the other probe's protocol, without the zero that ends it. `None` while
    /// the probe hangs: ask again later. A packet that means nothing has no answer.
    pub fn glasgow(&mut self, packet: &[u8], now: Duration) -> Option<Reply> {
        self.at(now);
        if self.hang != Hang::No {
            return None;
        }
        self.circuit.counters(|counters| counters.probe_transactions += 1);
        self.circuit.chooses = true;
        let bytes = self.glasgow.answer(&mut self.circuit, packet).unwrap_or_else(|error| {
            tracing::debug!(?error, "a packet of no meaning");
            Vec::new()
        });
        self.after();
        Some(Reply { bytes, delay: self.timing.latency + self.slow })
    }

    /// Handles one line of the control port; the answer has no line end.
    pub fn control(&mut self, line: &str, now: Duration) -> String {
        self.at(now);
        let answer = match control::parse(line) {
            Ok(lever) => self.pull(lever),
            Err(error) => Err(error.to_string()),
        };
        self.after();
        control::answer(answer)
    }

    /// What happens next without a request.
    #[must_use]
    pub fn wants(&self, now: Duration) -> Wants {
        let core = if self.circuit.alive && self.circuit.cpu.activity() == Activity::Running {
            let busy_until = self.circuit.chip.borrow().cells().busy_until();
            if busy_until > now + crate::timing::SLACK {
                // Woken before the flash is done: it must not stand still because a thread of this
                // machine wakes late.
                Wants::Until(busy_until - crate::timing::SLACK / 2)
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
        let bytes = self.circuit.chip.borrow_mut().take_uart();
        if !bytes.is_empty() {
            self.circuit.counters(|counters| counters.uart_bytes += bytes.len() as u64);
        }
        bytes
    }

    /// Totals so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.circuit.chip.borrow().cells().counters.clone()
    }

    /// What the core is doing; `None` without power.
    #[must_use]
    pub fn activity(&self) -> Option<Activity> {
        self.circuit.alive.then(|| self.circuit.cpu.activity())
    }

    fn at(&mut self, now: Duration) {
        self.circuit.now = now;
        self.circuit.chip.borrow_mut().cells_mut().set_now(now);
        if let Hang::Until(end) = self.hang
            && now >= end
        {
            self.hang = Hang::No;
        }
    }

    fn touches_flash(&self, request: &Request) -> bool {
        if let Request::ReadMemory { address, .. } | Request::WriteMemory { address, .. } = request
        {
            self.circuit.chip.borrow().place(*address).is_some()
        } else {
            false
        }
    }

    fn after(&mut self) {
        self.circuit.notice_power_loss();
        if !self.circuit.alive {
            self.probe.forget_target();
            self.glasgow.forget_target();
        }
        let flushed = self.circuit.chip.borrow_mut().cells_mut().flush();
        if let Err(error) = flushed {
            tracing::error!(%error, "the flash file cannot be written");
            self.circuit.disk_trouble = Some(error);
        }
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
            Lever::Cut(words) => circuit.chip.borrow_mut().cells_mut().cut_after(words),
            Lever::CutErase(erases) => {
                circuit.chip.borrow_mut().cells_mut().cut_after_erases(erases);
            }
            Lever::Stuck { address, bit } => {
                let mut chip = circuit.chip.borrow_mut();
                let place = chip.place(address).ok_or_else(|| no_cell(address))?;
                chip.cells_mut().stick(place, bit);
            }
            Lever::NoErase(address) => {
                let mut chip = circuit.chip.borrow_mut();
                let place = chip.place(address).ok_or_else(|| no_cell(address))?;
                let page = chip.page(place);
                chip.cells_mut().make_unerasable(page);
            }
            Lever::Lock(level) => {
                circuit.chip.borrow_mut().protect(level)?;
                circuit.reset(true);
            }
            Lever::Disguise(disguise) => circuit.chip.borrow_mut().disguise(disguise)?,
            Lever::Flip(slips) => self.probe.set_slips(Some(slips)),
            Lever::Busy(true) => self.plug = Plug::Busy,
            Lever::Unplug => self.plug = Plug::Out,
            Lever::Busy(false) | Lever::Plug => self.plug = Plug::In,
            Lever::Reset => circuit.reset(true),
            Lever::Slow(time) => self.slow = time,
            Lever::Hang(None) => self.hang = Hang::ForEver,
            Lever::Hang(Some(time)) => self.hang = Hang::Until(circuit.now + time),
            Lever::Heal => {
                self.hang = Hang::No;
                self.slow = Duration::ZERO;
                self.plug = Plug::In;
                self.probe.set_slips(None);
                circuit.chip.borrow_mut().cells_mut().heal();
            }
            Lever::Dump(path) => {
                let chip = circuit.chip.borrow();
                let bytes = chip.cells().bytes();
                File::create(&path)
                    .and_then(|mut file| file.write_all(bytes))
                    .map_err(|error| format!("writing {}: {error}", path.display()))?;
                return Ok(bytes.len().to_string());
            }
            Lever::Load(path) => {
                let bytes = std::fs::read(&path)
                    .map_err(|error| format!("reading {}: {error}", path.display()))?;
                let loaded = circuit.chip.borrow_mut().cells_mut().load(&bytes);
                loaded.map_err(|own| {
                    format!("{} has {} bytes, the chip {own}", path.display(), bytes.len())
                })?;
                // What a chip holds when it powers up decides whether it is locked.
                circuit.reset(true);
            }
            Lever::DumpHex { address, length } => {
                let chip = circuit.chip.borrow();
                let range =
                    cells_of(&*chip, address, length).ok_or("not inside one area of cells")?;
                return Ok(hex::encode(&chip.cells().bytes()[range]));
            }
            Lever::Counters => {
                let counters = circuit.chip.borrow().cells().counters.clone();
                return serde_json::to_string(&counters).map_err(|error| error.to_string());
            }
            Lever::State => return Ok(self.state().to_string()),
        }
        Ok(String::new())
    }

    fn state(&self) -> serde_json::Value {
        serde_json::json!({
            "seated": self.circuit.seated,
            "supply": self.circuit.supply,
            "powered": self.circuit.alive,
            "core": in_words(self.activity()),
            "locked": self.circuit.chip.borrow().locked(),
            "hanging": self.hang != Hang::No,
            "disk_trouble": self.circuit.disk_trouble.as_ref().map(io::Error::to_string),
        })
    }
}

fn no_cell(address: u32) -> String {
    format!("{address:#010x} is not in flash or in another area of cells")
}

/// The cells of a range that lies in one area.
fn cells_of(chip: &dyn Silicon, address: u32, length: u32) -> Option<Range<usize>> {
    let last = address.checked_add(length.checked_sub(1)?)?;
    let (start, end) = (chip.place(address)?, chip.place(last)?);
    (end.checked_sub(start) == Some((last - address) as usize)).then_some(start..end + 1)
}
