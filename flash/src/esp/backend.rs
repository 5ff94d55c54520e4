//! One serial port and the ESP32 behind it, as a [`Backend`].

use std::time::Duration;

use super::line::{Fault, Line, ROM_BAUD};
use super::loader::{self, Told};
use super::profile::{self, Profile};
use super::program::{self, Visit, narrow};
use crate::backend::{
    Backend, Contact, Presence, ProgramReport, Progress, SelfTest, Step, UnlockApproval,
    VerifyReport, Via,
};
use crate::chip::Chip;
use crate::error::FlashError;
use crate::identity::{Identity, Uid};
use crate::listen::{Listener, hear};
use crate::plan::Plan;
use crate::uart::is_same_port;

/// One wait for the firmware's bytes.
const LISTEN_WAIT: Duration = Duration::from_millis(20);

/// How the chip comes into its loader and out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResetLines {
    /// DTR and RTS pull boot and reset pins where the port has such lines, as on development
    /// boards; a port without them is [`ResetLines::Fixture`]'s.
    #[default]
    OfThePort,
    /// The fixture holds the boot pin and resets the chip; the port's lines are left alone.
    Fixture,
}

/// An identified chip.
struct Known {
    line: Line,
    profile: &'static Profile,
    mac: [u8; 6],
    flash_bytes: u32,
}

impl Known {
    /// Whether the loader is still that of this visit.
    fn is_same(&mut self) -> Result<bool, Fault> {
        loader::is_marked(&mut self.line, self.profile, self.mac)
    }

    /// Whether flash has all of these bytes.
    fn holds(&self, what: &str, address: u64, bytes: u64) -> Result<(), FlashError> {
        match address.checked_add(bytes) {
            Some(end) if end <= u64::from(self.flash_bytes) => Ok(()),
            Some(_) | None => Err(FlashError::OutOfRange { what: what.to_owned(), address, bytes }),
        }
    }
}

/// How far the way to the chip is open.
enum State {
    /// The port is not open.
    Closed,
    /// The port is open; who is behind it is not known.
    Open(Line),
    /// The loader of an identified chip, until the visit ends.
    Identified(Box<Known>),
}

/// One serial port and the ROM loader of an ESP32 behind it.
pub struct EspBackend {
    path: String,
    baud: u32,
    reset: ResetLines,
    state: State,
    /// The chip of this visit turned out to be locked.
    locked: bool,
    /// The chip whose program was started: its loader is gone until the chip is reset.
    running: Option<Started>,
}

/// A chip that left its loader.
#[derive(Clone, Copy)]
struct Started {
    profile: &'static Profile,
    mac: [u8; 6],
}

impl EspBackend {
    /// Takes a serial port by its path and the rate for data (the loader is met at 115200 and
    /// told to change); opens nothing yet.
    pub fn new(path: impl Into<String>, baud: u32) -> Self {
        Self {
            path: path.into(),
            baud,
            reset: ResetLines::default(),
            state: State::Closed,
            locked: false,
            running: None,
        }
    }

    /// With other use of the port's reset lines.
    #[must_use]
    pub fn with_reset(self, reset: ResetLines) -> Self {
        Self { reset, ..self }
    }

    fn open(&mut self) -> Result<Line, FlashError> {
        self.running = None;
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(line) => Ok(line),
            State::Identified(known) => Ok(known.line),
            State::Closed => Line::open(&self.path),
        }
    }

    fn identified(&mut self, wanted: Step) -> Result<&mut Known, FlashError> {
        match &mut self.state {
            State::Identified(known) => Ok(known),
            State::Closed | State::Open(_) if self.locked => Err(FlashError::Locked),
            State::Closed | State::Open(_) => Err(FlashError::NotIdentified { wanted }),
        }
    }

    /// Ends a step. A loader that refuses may be one that was reset: it has forgotten the flash. A
    /// board that fell silent or a port that broke ends the visit.
    fn settle<T>(&mut self, result: Result<T, FlashError>) -> Result<T, FlashError> {
        let result = match (result, &mut self.state) {
            (Err(FlashError::Refused { during, detail }), State::Identified(known)) => {
                match known.is_same() {
                    Ok(true) => Err(FlashError::Refused { during, detail }),
                    Ok(false) => Err(Fault::Restarted.at(during)),
                    Err(fault) => Err(fault.at(during)),
                }
            }
            (result, _) => result,
        };
        if let Err(FlashError::ProbeLost { .. } | FlashError::Silent { .. }) = &result {
            self.state = State::Closed;
        }
        result
    }

    /// Pulls the chip into its loader, if the port can.
    fn pull(&self, mut line: Line) -> Result<(Line, bool), Fault> {
        if self.reset == ResetLines::Fixture || !line.has_reset_lines() {
            return Ok((line, false));
        }
        let mut line = line.reset_into_loader()?;
        line.set_baud(ROM_BAUD)?;
        Ok((line, true))
    }

    /// One quick look at the rates a loader may have here.
    fn look(&self, mut line: Line) -> Result<(Line, Contact), Fault> {
        let mut rates = vec![line.baud()];
        rates.extend([ROM_BAUD, self.baud].into_iter().filter(|baud| *baud != line.baud()));
        rates.dedup();
        for baud in rates {
            if line.baud() != baud {
                line.set_baud(baud)?;
            }
            match line.knock() {
                // What it is that speaks there, identify says.
                Ok(())
                | Err(
                    Fault::Noise { .. }
                    | Fault::Damaged { .. }
                    | Fault::Unsteady { .. }
                    | Fault::Refused { .. },
                ) => {
                    return Ok((line, Contact::Board));
                }
                Err(Fault::Silence { .. } | Fault::Restarted) => {}
                Err(lost @ Fault::Lost { .. }) => return Err(lost),
            }
        }
        let (mut line, pulled) = self.pull(line)?;
        if pulled && line.knock().is_ok() {
            return Ok((line, Contact::Board));
        }
        Ok((line, Contact::Nothing))
    }

    /// Who is behind an open port.
    fn who(
        &self,
        line: Line,
        profile: &'static Profile,
    ) -> Result<(Identity, Option<Known>), FlashError> {
        let failed = |fault: Fault| fault.at(Step::Identify);
        let mut line = line;
        match line.sync_at_any_rate(self.baud) {
            Ok(()) => {}
            Err(lost @ Fault::Lost { .. }) => return Err(failed(lost)),
            Err(fault) => {
                let (pulled, can) = self.pull(line).map_err(failed)?;
                if !can {
                    return Err(failed(fault));
                }
                line = pulled;
                line.sync().map_err(failed)?;
            }
        }
        let family = profile.chip.family.to_owned();
        let name = profile.chip.name;
        let (revision, mac) = match loader::who(&mut line, profile).map_err(failed)? {
            Told::Another(found) => {
                return Err(FlashError::WrongChip { wanted: name.to_owned(), found });
            }
            Told::Locked => {
                let part = String::new();
                let identity = Identity { family, part, uid: None, weak: None, locked: true };
                return Ok((identity, None));
            }
            Told::Open { revision, mac } => (revision, mac),
        };
        let uid = uid(mac)?;
        let attached = loader::attach(&mut line, profile.target).map_err(failed)?;
        let flash_bytes = attached.ok_or_else(|| FlashError::Refused {
            during: Step::Identify,
            detail: "the flash chip did not tell its size".to_owned(),
        })?;
        loader::change_baud(&mut line, profile.target, self.baud).map_err(failed)?;
        loader::mark(&mut line, profile, mac).map_err(failed)?;
        let part =
            format!("{name} revision {}.{}, {} MiB", revision.0, revision.1, flash_bytes >> 20);
        let identity = Identity { family, part, uid: Some(uid), weak: None, locked: false };
        Ok((identity, Some(Known { line, profile, mac, flash_bytes })))
    }

    /// The port pulls chips into their loader by itself.
    fn pulls(&mut self) -> bool {
        match &mut self.state {
            State::Open(line) => self.reset == ResetLines::OfThePort && line.has_reset_lines(),
            State::Closed | State::Identified(_) => false,
        }
    }

    /// Whether the chip whose program was started is still there: only its loader can tell, so its
    /// program ends here. A look for contact would find the same board as if it were a new one.
    fn fetch_back(&mut self, started: Started) -> Result<Presence, FlashError> {
        let line = self.open()?;
        let (line, _) = self.pull(line).map_err(|fault| fault.at(Step::Presence))?;
        match self.who(line, started.profile) {
            Ok((_, Some(known))) if known.mac == started.mac => {
                self.state = State::Identified(Box::new(known));
                Ok(Presence::Still)
            }
            Err(lost @ FlashError::ProbeLost { .. }) => Err(lost),
            // Nothing answers, or another board does: the next visit begins anew.
            Ok(_) | Err(_) => Ok(Presence::Gone),
        }
    }

    /// Starts the program in flash and gives the port.
    fn go(&mut self, during: Step) -> Result<Line, FlashError> {
        self.identified(during)?;
        let State::Identified(mut known) = std::mem::replace(&mut self.state, State::Closed) else {
            return Err(FlashError::NotIdentified { wanted: during });
        };
        let started = Started { profile: known.profile, mac: known.mac };
        let gone = (|| {
            if self.reset == ResetLines::OfThePort && known.line.has_reset_lines() {
                return known.line.reset_into_program();
            }
            loader::unmark(&mut known.line, known.profile)?;
            loader::run(&mut known.line, known.profile.target)?;
            Ok(known.line)
        })();
        self.running = gone.is_ok().then_some(started);
        gone.map_err(|fault| fault.at(during))
    }
}

/// A MAC address that a factory may have given.
fn uid(mac: [u8; 6]) -> Result<Uid, FlashError> {
    // The lowest bit of the first byte makes an address a group's (IEEE 802).
    if mac[0] & 1 == 1 {
        let uid = mac.iter().map(|byte| format!("{byte:02X}")).collect();
        return Err(FlashError::UidImplausible { uid });
    }
    Uid::new(mac.to_vec())
}

impl Backend for EspBackend {
    fn contact(&mut self) -> Result<Contact, FlashError> {
        if let State::Identified(_) = self.state {
            return Ok(match self.presence()? {
                Presence::Still => Contact::Board,
                Presence::Gone => Contact::Nothing,
            });
        }
        self.locked = false;
        let line = self.open()?;
        let (line, found) = self.look(line).map_err(|fault| fault.at(Step::Contact))?;
        self.state = State::Open(line);
        Ok(found)
    }

    fn identify(&mut self, chip: &'static Chip) -> Result<Identity, FlashError> {
        self.locked = false;
        let profile = profile::profile(chip.name)
            .ok_or_else(|| FlashError::UnknownChip { chip: chip.name.to_owned() })?;
        let line = self.open()?;
        let (identity, known) = self.who(line, profile)?;
        self.locked = identity.locked;
        if let Some(known) = known {
            self.state = State::Identified(Box::new(known));
        }
        Ok(identity)
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), FlashError> {
        let known = self.identified(Step::Read)?;
        known.holds("a read", address, into.len() as u64)?;
        let read = loader::read_any(&mut known.line, narrow(address), into);
        self.settle(read.map_err(|fault| fault.at(Step::Read)))
    }

    fn is_blank(&mut self, address: u64, bytes: u64) -> Result<bool, FlashError> {
        let known = self.identified(Step::Read)?;
        known.holds("a blank check", address, bytes)?;
        let blank = program::is_blank(&mut known.line, narrow(address), narrow(address + bytes));
        self.settle(blank.map_err(|fault| fault.at(Step::Read)))
    }

    /// Erasing and writing alternate, and both are told as [`Step::Program`].
    fn program(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<ProgramReport, FlashError> {
        let known = self.identified(Step::Program)?;
        fits(plan, known)?;
        let Known { line, profile, mac, .. } = known;
        let (profile, mac) = (*profile, *mac);
        let is_same = |line: &mut Line| loader::is_marked(line, profile, mac);
        let mut visit = Visit { line, target: profile.target, is_same: &is_same };
        let done = program::program(&mut visit, plan, on_progress);
        self.settle(done)
    }

    /// Of more than eight sectors that differ, all bytes of the further ones count as different.
    fn verify(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport, FlashError> {
        let known = self.identified(Step::Verify)?;
        fits(plan, known)?;
        let done = program::verify(&mut known.line, plan, on_progress);
        self.settle(done)
    }

    /// The loader's own port may be the firmware's too.
    fn self_test(
        &mut self,
        test: &SelfTest,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<String, FlashError> {
        let during = Step::SelfTest;
        let chip = self.identified(during)?.profile.chip.name;
        let Via::Uart { endpoint, baud } = &test.via else {
            return Err(FlashError::Unsupported { chip: chip.to_owned(), step: during });
        };
        // A channel of its own is opened before the start, so that not one byte after it is lost.
        let mut apart = match is_same_port(endpoint, &self.path) {
            true => None,
            false => Some(Listener::open(endpoint, *baud)?),
        };
        let mut line = self.go(during)?;
        if apart.is_none() {
            line.set_baud(*baud).map_err(|fault| fault.at(during))?;
        }
        let heard = hear(test, on_progress, || match &mut apart {
            Some(listener) => listener.read_some(),
            None => line.listen(LISTEN_WAIT).map_err(|fault| fault.at(during)),
        });
        self.state = State::Open(line);
        heard
    }

    fn reset_and_run(&mut self) -> Result<(), FlashError> {
        let line = self.go(Step::Reset)?;
        self.state = State::Open(line);
        Ok(())
    }

    /// Flash encryption and secure boot burn eFuses with keys that nobody here holds.
    fn protect(&mut self) -> Result<(), FlashError> {
        let chip = self.identified(Step::Protect)?.profile.chip.name.to_owned();
        Err(FlashError::Unsupported { chip, step: Step::Protect })
    }

    /// Secure download mode is an eFuse: nothing takes it back.
    fn unlock(&mut self, chip: &'static Chip, _: &UnlockApproval) -> Result<(), FlashError> {
        Err(FlashError::Unsupported { chip: chip.name.to_owned(), step: Step::Unlock })
    }

    fn presence(&mut self) -> Result<Presence, FlashError> {
        let during = Step::Presence;
        if let Some(started) = self.running {
            if self.pulls() {
                return self.fetch_back(started);
            }
            let chip = "a chip that runs its program".to_owned();
            return Err(FlashError::Unsupported { chip, step: during });
        }
        if let State::Identified(known) = &mut self.state {
            match known.is_same() {
                Ok(true) => return Ok(Presence::Still),
                // It was without power in between; the next visit begins with its new loader.
                Ok(false) | Err(Fault::Silence { .. } | Fault::Restarted) => {}
                Err(fault) => return self.settle(Err(fault.at(during))),
            }
            let line = self.open()?;
            self.state = State::Open(line);
            return Ok(Presence::Gone);
        }
        let line = self.open()?;
        let (line, found) = self.look(line).map_err(|fault| fault.at(during))?;
        self.state = State::Open(line);
        Ok(match found {
            Contact::Board => Presence::Still,
            Contact::Nothing => Presence::Gone,
        })
    }
}

/// Whether the flash that was found is large enough for the plan.
fn fits(plan: &Plan<'_>, known: &Known) -> Result<(), FlashError> {
    let end = plan.stretches().last().map_or(0, |stretch| stretch.end);
    if end <= u64::from(known.flash_bytes) {
        return Ok(());
    }
    let name = known.profile.chip.name;
    let mib = end.div_ceil(1 << 20).next_power_of_two();
    Err(FlashError::WrongChip {
        wanted: format!("{name} with {mib} MiB of flash"),
        found: format!("{name} with {} MiB of flash", known.flash_bytes >> 20),
    })
}
