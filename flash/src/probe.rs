//! The back end for debug probes: SWD through probe-rs.
//!
//! Owns one probe, attached once for a whole visit, and the order of what is said to the chip. The
//! target's own flash routine from probe-rs' target files does the erasing and writing
//! ([`routine`]); probe-rs' loader is not used, because it erases blank sectors, rewrites equal
//! ones, and tells no address when a comparison fails.
//!
//! Leaves deadlines to the caller: a probe that stops answering blocks the call for ever.

mod attached;
mod calls;
mod classify;
mod core_state;
mod external_flash;
mod held;
mod pass;
mod presence;
mod readout;
mod resident;
mod routine;
mod rtt;
mod selector;
mod semihosting;
mod server;

use std::time::{Duration, Instant};

use probe_rs::config::{Registry, TargetSelector};
use probe_rs::probe::blackmagic::BlackMagicProbeFactory;
use probe_rs::probe::list::Lister;
use probe_rs::probe::{Probe, ProbeFactory};
use probe_rs::{Permissions, Session};
use zeroize::Zeroizing;

use crate::backend::{
    Backend, Contact, Presence, ProgramReport, Progress, SelfTest, Step, UnlockApproval,
    VerifyReport,
};
use crate::checksum::Checksum;
use crate::chip::{Chip, ProbeProfile, Protect, Reset};
use crate::error::{FlashError, chain};
use crate::identity::Identity;
use crate::plan::Plan;
use attached::Attached;
use classify::classify;
use routine::Images;

pub use selector::ProbeSelector;

/// A board that was seen so lately is attached to without another look. Should it be gone, the
/// driver's own tries take five seconds instead of a moment.
const SEEN_FOR: Duration = Duration::from_secs(1);

/// How far the way to the chip is open.
enum Link {
    /// No probe open.
    Closed,
    /// The probe is open, nothing is attached.
    Open(Probe),
    /// Attached to an identified chip, until the visit ends.
    Attached(Box<Attached>),
}

/// One probe and the board behind it.
pub struct ProbeBackend {
    selector: ProbeSelector,
    registry: Registry,
    link: Link,
    /// When a debug port last answered behind the open probe.
    seen: Option<Instant>,
    /// The chip of this visit turned out to be locked.
    locked: bool,
}

impl ProbeBackend {
    /// Takes a probe; loads the target files (once, about 20 ms) and opens nothing yet.
    pub fn new(selector: ProbeSelector) -> Self {
        Self {
            selector,
            registry: Registry::from_builtin_families(),
            link: Link::Closed,
            seen: None,
            locked: false,
        }
    }

    /// The open probe, opening it if need be.
    fn open(&mut self) -> Result<Probe, FlashError> {
        if let Link::Open(probe) = std::mem::replace(&mut self.link, Link::Closed) {
            return Ok(probe);
        }
        let selector = self.selector.driver();
        let opened = if self.selector.is_black_magic() {
            BlackMagicProbeFactory.open(selector).map(Probe::from_specific_probe)
        } else {
            Lister::new().open(selector.clone())
        };
        let mut probe = opened.map_err(|error| classify::opening(&error, &self.selector))?;
        probe
            .select_protocol(self.selector.wire())
            .map_err(|error| classify::choosing(&error, &self.selector))?;
        Ok(probe)
    }

    fn attach(
        &mut self,
        chip: &'static Chip,
        permissions: Permissions,
        during: Step,
    ) -> Result<Session, FlashError> {
        let profile = self.profile(chip)?;
        let probe = self.open()?;
        // What was there a moment ago is not asked again.
        let is_seen = self.seen.take().is_some_and(|seen| seen.elapsed() < SEEN_FOR);
        let mut probe = if is_seen {
            probe
        } else {
            let (probe, found) = presence::look(probe, during)?;
            let (probe, found) = match (found, profile.reset) {
                (presence::Found::Silence(_), Reset::RequestOrPin) => {
                    held::look(probe, held::Then::Catch, during)?
                }
                (found, Reset::Request | Reset::RequestOrPin) => (probe, found),
            };
            if let presence::Found::Silence(detail) = found {
                self.link = Link::Open(probe);
                return Err(FlashError::Silent { during, detail });
            }
            probe
        };
        // A probe that cannot set its clock runs at its own.
        if let Err(error) = probe.set_speed(profile.clock_khz) {
            tracing::debug!(error = %chain(&error), "the probe keeps its clock");
        }
        let target = self
            .registry
            .get_target_by_name(chip.target())
            .map_err(|error| classify(&error, during))?;
        let target = TargetSelector::Specified(target);
        classify::contained(during, || {
            probe
                .attach_with_registry(target, permissions, &self.registry)
                .map_err(|error| classify(&error, during))
        })
    }

    /// Looks for a board; one whose firmware took the debug pins is found by its reset pin, and
    /// only that says so (`seen` is for boards that answer by themselves).
    fn look(&mut self, during: Step) -> Result<presence::Found, FlashError> {
        let (probe, found) = presence::look(self.open()?, during)?;
        let (probe, found) = match found {
            presence::Found::Port => {
                self.seen = Some(Instant::now());
                (probe, presence::Found::Port)
            }
            presence::Found::Silence(_) => held::look(probe, held::Then::Run, during)?,
        };
        self.link = Link::Open(probe);
        Ok(found)
    }

    /// How this probe talks to the chip.
    fn profile(&self, chip: &'static Chip) -> Result<&'static ProbeProfile, FlashError> {
        chip.probe(self.selector.kind())
            .ok_or_else(|| FlashError::UnknownChip { chip: chip.name.to_owned() })
    }

    /// A locked chip is an answer.
    fn locked_or(
        &mut self,
        error: FlashError,
        chip: &'static Chip,
    ) -> Result<Identity, FlashError> {
        if error != FlashError::Locked {
            return Err(error);
        }
        self.locked = true;
        Ok(Identity {
            family: chip.family.to_owned(),
            part: String::new(),
            uid: None,
            weak: None,
            locked: true,
        })
    }

    /// Attaches and asks the chip who it is.
    fn ask_identity(&mut self, chip: &'static Chip) -> Result<Identity, FlashError> {
        let during = Step::Identify;
        if let Link::Attached(_) = self.link {
            self.link = Link::Closed;
        }
        self.locked = false;
        let session = match self.attach(chip, Permissions::new(), during) {
            Ok(session) => session,
            Err(error) => return self.locked_or(error, chip),
        };
        let checksum = Checksum::draw(random_words()?);
        let images = Images::assemble(session.target(), chip, self.profile(chip)?)?;
        let reset = self.profile(chip)?.reset;
        let external_bytes = None;
        let attached = Attached { session, chip, reset, images, checksum, external_bytes };
        self.link = Link::Attached(Box::new(attached));
        let read = self.attached(during).and_then(|attached| {
            // Other chips did not let themselves be attached to.
            if let Protect::Stm32Readout(_) = chip.protect
                && attached.is_protected()?
            {
                return Err(FlashError::Locked);
            }
            let (part, uid) = (chip.part.words(), chip.uid.words());
            // A code is bound to these bytes for ever: they are read twice.
            let words = attached.read_twice(&[part.as_slice(), uid.as_slice()].concat(), during)?;
            let (part, words) = words.split_at(part.len());
            let part = chip.part.judge(part)?;
            if chip.has_external_flash() {
                return attached.ask_external_flash(part);
            }
            if uid.is_empty() {
                return Ok((part, None));
            }
            Ok((part, Some(chip.uid.judge(words)?)))
        });
        let (part, uid) = match self.settle(read) {
            Ok(read) => read,
            Err(error) => {
                self.link = Link::Closed;
                return self.locked_or(error, chip);
            }
        };
        Ok(Identity { family: chip.family.to_owned(), part, uid, weak: None, locked: false })
    }

    /// Attaches anew to a chip that has just loaded its options and says whether it is protected.
    fn reattached(&mut self, chip: &'static Chip, during: Step) -> Result<bool, FlashError> {
        self.link = Link::Closed;
        let session = self.attach(chip, Permissions::new(), during)?;
        let images = Images::assemble(session.target(), chip, self.profile(chip)?)?;
        let checksum = Checksum::draw(random_words()?);
        let reset = self.profile(chip)?.reset;
        let mut attached =
            Attached { session, chip, reset, images, checksum, external_bytes: None };
        let protected = attached.is_protected();
        self.link = Link::Attached(Box::new(attached));
        protected
    }

    fn attached(&mut self, wanted: Step) -> Result<&mut Attached, FlashError> {
        match &mut self.link {
            Link::Attached(attached) => Ok(attached),
            Link::Closed | Link::Open(_) if self.locked => Err(FlashError::Locked),
            Link::Closed | Link::Open(_) => Err(FlashError::NotIdentified { wanted }),
        }
    }

    /// Ends a step: a silence is looked into once more, and a broken link is closed.
    fn settle<T>(&mut self, result: Result<T, FlashError>) -> Result<T, FlashError> {
        let error = match result {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let error = match (error, &mut self.link) {
            (FlashError::Silent { during, detail }, Link::Attached(attached)) => {
                attached.look_again(during, detail)
            }
            (error, _) => error,
        };
        if let FlashError::ProbeLost { .. } | FlashError::Silent { .. } = error {
            self.link = Link::Closed;
        }
        Err(error)
    }
}

impl Backend for ProbeBackend {
    fn contact(&mut self) -> Result<Contact, FlashError> {
        if let Link::Attached(_) = self.link {
            return Ok(match self.presence()? {
                Presence::Still => Contact::Board,
                Presence::Gone => Contact::Nothing,
            });
        }
        (self.locked, self.seen) = (false, None);
        let reused = matches!(self.link, Link::Open(_));
        let looked = match self.look(Step::Contact) {
            // The probe was replugged since the last look: that is no trouble, it is opened anew.
            Err(FlashError::ProbeLost { .. }) if reused => self.look(Step::Contact),
            looked => looked,
        };
        Ok(match looked? {
            presence::Found::Port => Contact::Board,
            presence::Found::Silence(_) => Contact::Nothing,
        })
    }

    fn identify(&mut self, chip: &'static Chip) -> Result<Identity, FlashError> {
        match self.ask_identity(chip) {
            // Firmware that takes the debug pins may do so between two questions; the driver then
            // fails, or panics over the answer it missed. From now on the port is silent from the
            // first question on, and the chip is caught by its reset pin.
            Err(FlashError::Silent { .. } | FlashError::ProbeLost { .. })
                if self.profile(chip)?.reset == Reset::RequestOrPin =>
            {
                self.ask_identity(chip)
            }
            answered => answered,
        }
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), FlashError> {
        let read = self.attached(Step::Read).and_then(|attached| {
            let first = address & !3;
            let end = (address + into.len() as u64 + 3) & !3;
            let skip = usize::try_from(address - first).unwrap_or(0);
            let count = usize::try_from((end - first) / 4).unwrap_or(0);
            let mut words = Zeroizing::new(vec![0u32; count]);
            attached.read_words(first, &mut words, Step::Read)?;
            let bytes = words.iter().flat_map(|word| word.to_le_bytes()).skip(skip);
            into.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
            Ok(())
        });
        self.settle(read)
    }

    fn program(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<ProgramReport, FlashError> {
        let done =
            self.attached(Step::Program).and_then(|attached| attached.program(plan, on_progress));
        self.settle(done)
    }

    fn verify(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport, FlashError> {
        let done =
            self.attached(Step::Verify).and_then(|attached| attached.verify(plan, on_progress));
        self.settle(done)
    }

    fn self_test(
        &mut self,
        test: &SelfTest,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<String, FlashError> {
        let done = self
            .attached(Step::SelfTest)
            .and_then(|attached| attached.self_test(test, on_progress));
        self.settle(done)
    }

    fn reset_and_run(&mut self) -> Result<(), FlashError> {
        let done = self.attached(Step::Reset).and_then(Attached::run);
        self.settle(done)
    }

    fn protect(&mut self) -> Result<(), FlashError> {
        let during = Step::Protect;
        let done = self.attached(during).and_then(|attached| {
            attached.protect()?;
            Ok((attached.chip, attached.chip.protect))
        });
        let (chip, protect) = self.settle(done)?;
        if let Protect::Stm32Readout(_) = protect
            && !self.reattached(chip, during)?
        {
            let detail = "the option bytes are written, the chip says level 0".to_owned();
            return Err(FlashError::NotProtected { detail });
        }
        Ok(())
    }

    fn unlock(&mut self, chip: &'static Chip, approval: &UnlockApproval) -> Result<(), FlashError> {
        if chip.protect == Protect::None {
            let chip = chip.name.to_owned();
            return Err(FlashError::Unsupported { chip, step: Step::Unlock });
        }
        let during = Step::Unlock;
        tracing::warn!(record = %approval.record, "erasing a locked chip whole");
        self.link = Link::Closed;
        let mut session = self.attach(chip, Permissions::new().allow_erase_all(), during)?;
        if let Protect::Stm32Readout(readout) = chip.protect {
            let mut core = session.core(0).map_err(|error| classify(&error, during))?;
            readout::write(&mut core, readout, readout::Level::Open, during)?;
            readout::reload(&mut core, readout);
            drop(core);
            drop(session);
            if self.reattached(chip, during)? {
                let detail =
                    "the chip is still protected after its options were written".to_owned();
                return Err(FlashError::Driver { during, detail });
            }
        }
        self.link = Link::Closed;
        self.locked = false;
        Ok(())
    }

    fn presence(&mut self) -> Result<Presence, FlashError> {
        self.seen = None;
        let still = match &mut self.link {
            Link::Attached(attached) => attached.is_there(),
            Link::Closed | Link::Open(_) => {
                return Ok(match self.look(Step::Presence)? {
                    presence::Found::Port => Presence::Still,
                    presence::Found::Silence(_) => Presence::Gone,
                });
            }
        };
        match still {
            Ok(()) => Ok(Presence::Still),
            Err(FlashError::Silent { .. }) => {
                self.link = Link::Closed;
                Ok(Presence::Gone)
            }
            Err(error) => {
                self.link = Link::Closed;
                Err(error)
            }
        }
    }
}

/// Words from the operating system's source of randomness.
fn random_words() -> Result<impl FnMut() -> u32, FlashError> {
    let mut pool = [0; 512];
    getrandom::fill(&mut pool).map_err(|error| FlashError::Driver {
        during: Step::Identify,
        detail: format!("no randomness: {error}"),
    })?;
    let mut at = 0;
    Ok(move || {
        let word = u32::from_le_bytes([pool[at], pool[at + 1], pool[at + 2], pool[at + 3]]);
        // Every 16th word serves, so the pool hardly ever comes round; when it does, other words
        // come out.
        pool[at] = pool[at].wrapping_add(7);
        at = (at + 4) % pool.len();
        word
    })
}
