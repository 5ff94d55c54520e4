//! One serial port and the chip behind it, as a [`Backend`].

use std::path::Path;
use std::time::Duration;

use super::frame::{BLOCK_BYTES, Command};
use super::link::Fault;
use super::loader::{Loader, Restart};
use super::profile::{self, Profile, Signature};
use super::program;
use super::twice::alike;
use crate::backend::{
    Backend, Contact, Presence, ProgramReport, Progress, SelfTest, Step, UnlockApproval,
    VerifyReport, Via,
};
use crate::chip::Chip;
use crate::error::FlashError;
use crate::identity::Identity;
use crate::listen::{Listener, hear};
use crate::plan::Plan;

/// One wait for the firmware's bytes.
const LISTEN_WAIT: Duration = Duration::from_millis(20);

/// How far the way to the chip is open.
enum Line {
    /// The port is not open.
    Closed,
    /// The port is open; who is behind it is not known.
    Open(Loader),
    /// The loader of an identified chip, until the visit ends.
    Identified(Loader, &'static Profile),
}

/// One serial port and the ROM loader behind it.
pub struct UartBackend {
    path: String,
    baud: u32,
    line: Line,
    /// The chip of this visit turned out to be locked.
    locked: bool,
    /// The program in flash was started: the loader is gone until the chip is reset.
    running: bool,
}

impl UartBackend {
    /// Takes a serial port by its path and the rate to speak at (up to 115200 is what every loader
    /// understands); opens nothing yet.
    pub fn new(path: impl Into<String>, baud: u32) -> Self {
        Self { path: path.into(), baud, line: Line::Closed, locked: false, running: false }
    }

    fn open(&mut self) -> Result<Loader, FlashError> {
        self.running = false;
        match std::mem::replace(&mut self.line, Line::Closed) {
            Line::Open(loader) | Line::Identified(loader, _) => Ok(loader),
            Line::Closed => Loader::open(&self.path, self.baud),
        }
    }

    fn identified(&mut self, wanted: Step) -> Result<(&mut Loader, &'static Profile), FlashError> {
        match &mut self.line {
            Line::Identified(loader, profile) => Ok((loader, profile)),
            Line::Closed | Line::Open(_) if self.locked => Err(FlashError::Locked),
            Line::Closed | Line::Open(_) => Err(FlashError::NotIdentified { wanted }),
        }
    }

    /// Ends a step: a board that fell silent or a port that broke ends the visit.
    fn settle<T>(&mut self, result: Result<T, FlashError>) -> Result<T, FlashError> {
        if let Err(FlashError::ProbeLost { .. } | FlashError::Silent { .. }) = &result {
            self.line = Line::Closed;
        }
        result
    }

    /// Who is behind an open loader.
    fn who(loader: &mut Loader, profile: &Profile) -> Result<Identity, FlashError> {
        let failed = |fault: Fault| fault.at(Step::Identify);
        check_product(loader, profile, Step::Identify)?;
        let family = profile.chip.family.to_owned();
        let (product_id, flash_size_at, flash_kib) = profile.part();
        let mut signature = SignatureBytes::new(profile);
        // Where the size is hidden, any word tells whether the chip is locked.
        let first = match profile.signature {
            Signature::InWords | Signature::InBlocks => flash_size_at,
            Signature::Hidden => program::narrow(profile.chip.flash_start()),
        };
        let mut size = [0; 2];
        match signature.read(loader, first, &mut size) {
            Ok(()) => {}
            Err(Fault::Nack { to }) if to == Command::ReadMemory.name() => {
                return Ok(Identity {
                    family,
                    part: String::new(),
                    uid: None,
                    weak: None,
                    locked: true,
                });
            }
            Err(fault) => return Err(failed(fault)),
        }
        if profile.signature == Signature::Hidden {
            let (part, weak) = (profile::product(product_id), Some(format!("{product_id:#05x}")));
            return Ok(Identity { family, part, uid: None, weak, locked: false });
        }
        let kib = u16::from_le_bytes(size);
        if kib < flash_kib {
            return Err(FlashError::WrongChip {
                wanted: format!("{} with {flash_kib} KiB of flash", profile.chip.name),
                found: format!("{}, {kib} KiB of flash", profile::product(product_id)),
            });
        }
        let mut words = Vec::new();
        for address in profile.chip.uid.words() {
            let mut word = [0; 4];
            signature.read(loader, program::narrow(address), &mut word).map_err(failed)?;
            words.push(u32::from_le_bytes(word));
        }
        let uid = profile.chip.uid.judge(&words)?;
        let part = format!("{}, {kib} KiB", profile::product(product_id));
        Ok(Identity { family, part, uid: Some(uid), weak: None, locked: false })
    }

    fn go(&mut self, during: Step) -> Result<Loader, FlashError> {
        let (loader, profile) = self.identified(during)?;
        let start = program::narrow(profile.chip.regions[0].start);
        let gone = loader.go(start).map_err(|fault| fault.at(during));
        self.settle(gone)?;
        let loader = self.open()?;
        self.running = true;
        Ok(loader)
    }
}

impl Backend for UartBackend {
    fn contact(&mut self) -> Result<Contact, FlashError> {
        if let Line::Identified(..) = self.line {
            return Ok(match self.presence()? {
                Presence::Still => Contact::Board,
                Presence::Gone => Contact::Nothing,
            });
        }
        self.locked = false;
        let mut loader = self.open()?;
        let found = match loader.knock() {
            Ok(Restart::No | Restart::Yes) => Contact::Board,
            Err(Fault::Silence { .. }) => Contact::Nothing,
            // Something is there; identify says what is wrong with it.
            Err(Fault::Noise { .. } | Fault::Damaged { .. }) => Contact::Board,
            Err(fault) => return Err(fault.at(Step::Contact)),
        };
        self.line = Line::Open(loader);
        Ok(found)
    }

    fn identify(&mut self, chip: &'static Chip) -> Result<Identity, FlashError> {
        self.locked = false;
        let profile = profile::profile(chip.name)
            .ok_or_else(|| FlashError::UnknownChip { chip: chip.name.to_owned() })?;
        let mut loader = self.open()?;
        let identity = match loader.sync().map_err(|fault| fault.at(Step::Identify)) {
            Ok(_) => Self::who(&mut loader, profile),
            Err(error) => Err(error),
        };
        self.line = Line::Open(loader);
        let identity = self.settle(identity)?;
        self.locked = identity.locked;
        if !identity.locked {
            let loader = self.open()?;
            self.line = Line::Identified(loader, profile);
        }
        Ok(identity)
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), FlashError> {
        let read = self
            .identified(Step::Read)
            .and_then(|(loader, _)| program::read(loader, address, into, Step::Read));
        self.settle(read)
    }

    fn program(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<ProgramReport, FlashError> {
        let done = self
            .identified(Step::Program)
            .and_then(|(loader, profile)| program::program(loader, profile, plan, on_progress));
        self.settle(done)
    }

    fn verify(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport, FlashError> {
        let done = self
            .identified(Step::Verify)
            .and_then(|(loader, _)| program::compare(loader, plan, on_progress));
        self.settle(done)
    }

    /// The loader's own port may be the firmware's too: it is then switched to 8N1 at the test's
    /// rate after Go was answered.
    fn self_test(
        &mut self,
        test: &SelfTest,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<String, FlashError> {
        let during = Step::SelfTest;
        let Via::Uart { endpoint, baud } = &test.via else {
            let chip = self.identified(during)?.1.chip.name.to_owned();
            return Err(FlashError::Unsupported { chip, step: during });
        };
        let lost = |fault: Fault| fault.at(during);
        // A channel of its own is opened before the start, so that not one byte after it is lost.
        let mut apart = match is_same_port(endpoint, &self.path) {
            true => None,
            false => Some(Listener::open(endpoint, *baud)?),
        };
        let loader = self.go(during)?;
        let mut own = match &apart {
            None => Some(loader.into_link().into_console(*baud).map_err(lost)?),
            Some(_) => {
                self.line = Line::Open(loader);
                None
            }
        };
        hear(test, on_progress, || match (&mut own, &mut apart) {
            (Some(port), _) => {
                let mut block = [0; 512];
                let count = program::listen(port.as_mut(), &mut block, LISTEN_WAIT);
                Ok(block[..count.map_err(lost)?].to_vec())
            }
            (None, Some(listener)) => listener.read_some(),
            (None, None) => Ok(Vec::new()),
        })
    }

    fn reset_and_run(&mut self) -> Result<(), FlashError> {
        let loader = self.go(Step::Reset)?;
        self.line = Line::Open(loader);
        Ok(())
    }

    fn protect(&mut self) -> Result<(), FlashError> {
        let during = Step::Protect;
        let (loader, profile) = self.identified(during)?;
        let mut byte = [0; 4];
        let start = program::narrow(profile.chip.regions[0].start);
        let confirmed = loader
            .readout_protect()
            .and_then(|()| loader.sync())
            .and_then(|_| loader.read(start, &mut byte));
        let done = match confirmed {
            Err(Fault::Nack { to }) if to == Command::ReadMemory.name() => Ok(()),
            Ok(()) => {
                Err(FlashError::NotProtected { detail: "flash can still be read".to_owned() })
            }
            Err(fault) => Err(fault.at(during)),
        };
        self.settle(done)?;
        let loader = self.open()?;
        self.line = Line::Open(loader);
        self.locked = true;
        Ok(())
    }

    fn unlock(&mut self, chip: &'static Chip, approval: &UnlockApproval) -> Result<(), FlashError> {
        let during = Step::Unlock;
        let profile = profile::profile(chip.name)
            .ok_or_else(|| FlashError::UnknownChip { chip: chip.name.to_owned() })?;
        let mut loader = self.open()?;
        loader.sync().map_err(|fault| fault.at(during))?;
        check_product(&mut loader, profile, during)?;
        tracing::warn!(record = %approval.record, "erasing a locked chip whole");
        let opened = loader.readout_unprotect().and_then(|()| loader.sync());
        opened.map_err(|fault| fault.at(during))?;
        self.line = Line::Open(loader);
        self.locked = false;
        Ok(())
    }

    fn presence(&mut self) -> Result<Presence, FlashError> {
        let during = Step::Presence;
        if self.running {
            let chip = "a chip that runs its program".to_owned();
            return Err(FlashError::Unsupported { chip, step: during });
        }
        let (mut loader, known) = match std::mem::replace(&mut self.line, Line::Closed) {
            Line::Identified(loader, profile) => (loader, Some(profile)),
            Line::Open(loader) => (loader, None),
            Line::Closed => (Loader::open(&self.path, self.baud)?, None),
        };
        match (loader.still_there(), known) {
            (Ok(Restart::No), Some(profile)) => {
                self.line = Line::Identified(loader, profile);
                Ok(Presence::Still)
            }
            (Ok(Restart::No | Restart::Yes), None) => {
                self.line = Line::Open(loader);
                Ok(Presence::Still)
            }
            // It was without power in between; the next visit begins with this loader.
            (Ok(Restart::Yes) | Err(Fault::Restarted | Fault::Silence { .. }), _) => {
                self.line = Line::Open(loader);
                Ok(Presence::Gone)
            }
            (Err(fault), _) => Err(fault.at(during)),
        }
    }
}

/// A chip's device electronic signature, read as its loader gives it.
struct SignatureBytes {
    how: Signature,
    /// The block read last, and where it begins.
    block: Option<(u32, [u8; BLOCK_BYTES])>,
}

impl SignatureBytes {
    fn new(profile: &Profile) -> Self {
        Self { how: profile.signature, block: None }
    }

    /// Fills `into`, a word or less, from `address`.
    fn read(&mut self, loader: &mut Loader, address: u32, into: &mut [u8]) -> Result<(), Fault> {
        if self.how != Signature::InBlocks {
            return read_alike(loader, address, into);
        }
        let start = address / BLOCK_BYTES as u32 * BLOCK_BYTES as u32;
        let block = match self.block {
            Some((at, block)) if at == start => block,
            Some(_) | None => {
                let mut block = [0; BLOCK_BYTES];
                read_alike(loader, start, &mut block)?;
                self.block = Some((start, block));
                block
            }
        };
        let from = (address - start) as usize;
        let bytes = block.get(from..from + into.len());
        into.copy_from_slice(bytes.ok_or(Fault::Malformed { what: "a word across two blocks" })?);
        Ok(())
    }
}

/// Reads until two answers are alike: they have no checksum.
fn read_alike(loader: &mut Loader, address: u32, into: &mut [u8]) -> Result<(), Fault> {
    let read = alike(|| {
        let mut bytes = vec![0; into.len()];
        loader.read(address, &mut bytes).map(|()| bytes)
    })?;
    into.copy_from_slice(&read.ok_or(Fault::Unsteady { to: "Read Memory" })?);
    Ok(())
}

fn check_product(loader: &mut Loader, profile: &Profile, during: Step) -> Result<(), FlashError> {
    let failed = |fault: Fault| fault.at(during);
    loader.get().map_err(failed)?;
    let found = alike(|| loader.product_id()).map_err(failed)?;
    let found = found.ok_or_else(|| failed(Fault::Unsteady { to: "Get ID" }))?;
    let (product_id, ..) = profile.part();
    if found == product_id {
        return Ok(());
    }
    Err(FlashError::WrongChip {
        wanted: profile::product(product_id),
        found: profile::product(found),
    })
}

/// Whether two paths lead to the same port.
pub(crate) fn is_same_port(endpoint: &str, path: &str) -> bool {
    let real = |name: &str| Path::new(name).canonicalize().ok();
    endpoint == path || real(endpoint).is_some_and(|one| Some(one) == real(path))
}
