//! The back end for debug probes: SWD through probe-rs.
//!
//! Owns one probe, attached once for a whole visit, and the order of what is said to the chip. The
//! target's own flash routine from probe-rs' target files does the erasing and writing
//! ([`routine`]); probe-rs' loader is not used, because it erases blank sectors, rewrites equal
//! ones, and tells no address when a comparison fails.
//!
//! Leaves deadlines to the caller: a probe that stops answering blocks the call for ever.

mod classify;
mod presence;
mod routine;
mod selector;

use std::time::{Duration, Instant};

use probe_rs::architecture::arm::{FullyQualifiedApAddress, dp};
use probe_rs::config::{Registry, TargetSelector};
use probe_rs::probe::blackmagic::BlackMagicProbeFactory;
use probe_rs::probe::list::Lister;
use probe_rs::probe::{Probe, ProbeFactory, WireProtocol};
use probe_rs::{Core, MemoryInterface, Permissions, Session};

use crate::backend::{
    Backend, Contact, Presence, ProgramReport, Progress, SelfTest, Step, StepTimes, UnlockApproval,
    VerifyReport, Via,
};
use crate::chip::{Chip, Protect};
use crate::error::{FlashError, chain};
use crate::identity::{Identity, Uid};
use crate::listen::{Heard, Listener};
use crate::plan::{self, Difference, Need, Plan, Sector};
use classify::classify;
use routine::{Images, Routine};

pub use selector::ProbeSelector;

/// Bytes per block read: 64 full answers of a Black Magic Probe (504 bytes each).
const READ_BLOCK_BYTES: u64 = 64 * 504;

/// Time for a core to stop after reset.
const HALT_WITHIN: Duration = Duration::from_millis(500);

/// CTRL-AP of the nRF52: product specification, chapter "Debug and trace", "CTRL-AP - Control
/// access port": RESET 0x000, APPROTECTSTATUS 0x00C (bit 0 clear = protected).
const CTRL_AP: u8 = 1;
const CTRL_AP_RESET: u64 = 0x00;
const CTRL_AP_APPROTECTSTATUS: u64 = 0x0C;

/// UICR.APPROTECT (chapter "UICR") and the NVMC (chapter "NVMC") of the nRF52.
const UICR_APPROTECT: u64 = 0x1000_1208;
const APPROTECT_ENABLED: u32 = 0xFFFF_FF00;
const NVMC_READY: u64 = 0x4001_E400;
const NVMC_CONFIG: u64 = 0x4001_E504;
const NVMC_CONFIG_WRITE: u32 = 1;

/// nRESET among the pins of a probe (CMSIS-DAP, command DAP_SWJ_Pins).
const RESET_PIN: u32 = 1 << 7;

/// How far the way to the chip is open.
enum Link {
    /// No probe open.
    Closed,
    /// The probe is open, nothing is attached.
    Open(Probe),
    /// Attached to an identified chip, until the visit ends.
    Attached(Box<Attached>),
}

struct Attached {
    session: Session,
    chip: &'static Chip,
    images: Images,
}

/// One probe and the board behind it.
pub struct ProbeBackend {
    selector: ProbeSelector,
    registry: Registry,
    link: Link,
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
            .select_protocol(WireProtocol::Swd)
            .map_err(|error| classify(&error, Step::Contact))?;
        Ok(probe)
    }

    fn attach(
        &mut self,
        chip: &'static Chip,
        permissions: Permissions,
        during: Step,
    ) -> Result<Session, FlashError> {
        let probe = self.open()?;
        let (probe, found) = presence::look(probe, during)?;
        let mut probe = match found {
            presence::Found::Port => probe,
            presence::Found::Silence(detail) => {
                self.link = Link::Open(probe);
                return Err(FlashError::Silent { during, detail });
            }
        };
        // A probe that cannot set its clock runs at its own.
        if let Err(error) = probe.set_speed(chip.clock_khz) {
            tracing::debug!(error = %chain(&error), "the probe keeps its clock");
        }
        let target = self
            .registry
            .get_target_by_name(chip.name)
            .map_err(|error| classify(&error, during))?;
        let target = TargetSelector::Specified(target);
        classify::contained(during, || {
            probe
                .attach_with_registry(target, permissions, &self.registry)
                .map_err(|error| classify(&error, during))
        })
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

impl Attached {
    /// Tells a board that is gone from one that answers but refused a transfer.
    fn look_again(&mut self, during: Step, detail: String) -> FlashError {
        if self.is_still_there().is_err() {
            return FlashError::Silent { during, detail };
        }
        if self.is_protected() == Ok(true) {
            return FlashError::Locked;
        }
        FlashError::Driver { during, detail }
    }

    /// The debug port answers and still has the power-up acknowledges it gave at attach time; a
    /// board that lost its power in between has lost them.
    fn is_still_there(&mut self) -> Result<(), FlashError> {
        let during = Step::Presence;
        let port = self.session.get_arm_interface().map_err(|error| classify(&error, during))?;
        let read = |port: &mut dyn probe_rs::architecture::arm::ArmDebugInterface, register| {
            port.read_raw_dp_register(dp::DpAddress::Default, register)
                .map_err(|error| classify(&error, during))
        };
        read(port, <dp::DPIDR as dp::DpRegister>::ADDRESS)?;
        let control = dp::Ctrl(read(port, <dp::Ctrl as dp::DpRegister>::ADDRESS)?);
        if control.cdbgpwrupack() {
            Ok(())
        } else {
            let detail = "the debug port was without power".to_owned();
            Err(FlashError::Silent { during, detail })
        }
    }

    fn is_protected(&mut self) -> Result<bool, FlashError> {
        match self.chip.protect {
            Protect::NordicApprotect => {
                let ap = FullyQualifiedApAddress::v1_with_default_dp(CTRL_AP);
                let status = self
                    .session
                    .get_arm_interface()
                    .and_then(|port| port.read_raw_ap_register(&ap, CTRL_AP_APPROTECTSTATUS))
                    .map_err(|error| classify(&error, Step::Protect))?;
                Ok(status & 1 == 0)
            }
            Protect::None => Ok(false),
        }
    }

    fn read_words(
        &mut self,
        address: u64,
        words: &mut [u32],
        during: Step,
    ) -> Result<(), FlashError> {
        self.session
            .core(0)
            .and_then(|mut core| core.read_32(address, words))
            .map_err(|error| classify(&error, during))
    }

    /// Resets the chip and stops it before its first instruction.
    fn halt(&mut self, during: Step) -> Result<(), FlashError> {
        let mut core = self.core(during)?;
        routine::forget_halts(&mut core)
            .and_then(|()| core.reset_and_halt(HALT_WITHIN))
            .map(drop)
            .map_err(|error| classify(&error, during))
    }

    fn run(&mut self) -> Result<(), FlashError> {
        let mut core = self.core(Step::Reset)?;
        routine::forget_halts(&mut core)
            .and_then(|()| core.reset())
            .map_err(|error| classify(&error, Step::Reset))
    }

    fn core(&mut self, during: Step) -> Result<Core<'_>, FlashError> {
        self.session.core(0).map_err(|error| classify(&error, during))
    }

    /// Reads stretches in blocks and hands each block on with its address.
    fn read_stretches(
        &mut self,
        step: Step,
        stretches: &[std::ops::Range<u64>],
        on_progress: &mut dyn FnMut(Progress),
        on_block: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<(), FlashError> {
        let total_bytes = stretches.iter().map(|stretch| stretch.end - stretch.start).sum();
        let mut done_bytes = 0;
        on_progress(Progress { step, done_bytes, total_bytes });
        let failed = |error| classify(&error, step);
        let mut core = self.session.core(0).map_err(failed)?;
        for stretch in stretches {
            let mut address = stretch.start;
            while address < stretch.end {
                let bytes = READ_BLOCK_BYTES.min(stretch.end - address);
                let count = usize::try_from(bytes / 4).unwrap_or(0);
                let mut words = zeroize::Zeroizing::new(vec![0u32; count]);
                core.read_32(address, &mut words).map_err(failed)?;
                let block = zeroize::Zeroizing::new(
                    words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>(),
                );
                on_block(address, &block);
                address += bytes;
                done_bytes += bytes;
                on_progress(Progress { step, done_bytes, total_bytes });
            }
        }
        Ok(())
    }

    fn survey(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<Vec<Sector>, FlashError> {
        let spans = plan.sectors();
        let mut held: Vec<zeroize::Zeroizing<Vec<u8>>> = Vec::new();
        for span in &spans {
            let bytes = usize::try_from(span.end - span.start).unwrap_or(0);
            held.push(zeroize::Zeroizing::new(vec![0; bytes]));
        }
        let stretches = plan::join(spans.iter().cloned());
        self.read_stretches(Step::Survey, &stretches, on_progress, &mut |address, block| {
            let end = address + block.len() as u64;
            for (span, held) in spans.iter().zip(&mut held) {
                let (from, to) = (span.start.max(address), span.end.min(end));
                if from < to {
                    let at = |from: u64, base: u64| usize::try_from(from - base).unwrap_or(0);
                    held[at(from, span.start)..at(to, span.start)]
                        .copy_from_slice(&block[at(from, address)..at(to, address)]);
                }
            }
        })?;
        Ok(spans
            .iter()
            .zip(&held)
            .map(|(span, held)| Sector::judge(plan, span.start, held))
            .collect())
    }

    fn compare(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport, FlashError> {
        let begun = Instant::now();
        let mut differences: Option<Difference> = None;
        self.read_stretches(
            Step::Verify,
            &plan.stretches(),
            on_progress,
            &mut |address, block| {
                if let Some(found) = plan.compare(address, block) {
                    differences.get_or_insert(Difference { bytes: 0, ..found }).bytes +=
                        found.bytes;
                }
            },
        )?;
        match differences {
            Some(Difference { address, bytes, wanted, found }) => {
                Err(FlashError::VerifyDiffered { address, bytes, wanted, found })
            }
            None => Ok(VerifyReport { verified_bytes: plan.bytes(), verify_ms: ms(begun) }),
        }
    }

    fn program(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<ProgramReport, FlashError> {
        let mut times = StepTimes::default();
        let begun = Instant::now();
        self.halt(Step::Survey)?;
        let sectors = self.survey(plan, on_progress)?;
        times.survey_ms = ms(begun);

        let count = |need| {
            u32::try_from(sectors.iter().filter(|s| s.need == need).count()).unwrap_or(u32::MAX)
        };
        let mut report = ProgramReport {
            sectors_equal: count(Need::Nothing),
            sectors_blank: count(Need::Writing),
            sectors_erased: count(Need::Erasing),
            written_bytes: 0,
            verified_bytes: plan.bytes(),
            times,
        };
        if sectors.iter().all(|sector| sector.need == Need::Nothing) {
            // The survey has just compared every byte of the plan, and nothing was written since.
            return Ok(report);
        }

        let mut routine = Routine::load(&mut self.session, &self.images, self.chip)?;
        let begun = Instant::now();
        routine.erase(&sectors, on_progress)?;
        report.times.erase_ms = ms(begun);
        let begun = Instant::now();
        report.written_bytes = routine.write(&sectors, on_progress)?;
        report.times.program_ms = ms(begun);
        drop(routine);

        report.times.verify_ms = self.compare(plan, on_progress)?.verify_ms;
        Ok(report)
    }

    fn self_test(
        &mut self,
        test: &SelfTest,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<String, FlashError> {
        // Opened before the reset, so that not one byte after it is lost.
        let mut listener = match &test.via {
            Via::Uart { endpoint, baud } => Some(Listener::open(endpoint, *baud)?),
            Via::Rtt { .. } => None,
        };
        self.run()?;
        let begun = Instant::now();
        let within = Duration::from_millis(test.within_ms);
        let mut heard = Heard::default();
        let failed = |error| classify(&error, Step::SelfTest);
        let mut core = self.session.core(0).map_err(failed)?;
        let mut rtt = None;
        loop {
            match (&mut listener, &test.via) {
                (Some(listener), _) => heard.take(&listener.read_some()?),
                (None, Via::Rtt { control_block }) => {
                    routine::read_rtt(&mut core, &mut rtt, *control_block, &mut heard);
                }
                (None, Via::Uart { .. }) => {}
            }
            if let Some(line) = heard.line_with(&test.expect) {
                return Ok(line);
            }
            if begun.elapsed() >= within {
                let (expected, within_ms) = (test.expect.clone(), test.within_ms);
                return Err(match heard.last() {
                    Some(heard) => FlashError::SelfTestDiffered { expected, heard, within_ms },
                    None => FlashError::SelfTestSilent { expected, within_ms },
                });
            }
            // Shows that the board is still there, and only then that the step goes on.
            routine::check_running(&mut core)?;
            on_progress(Progress {
                step: Step::SelfTest,
                done_bytes: ms(begun),
                total_bytes: test.within_ms,
            });
        }
    }

    fn protect(&mut self) -> Result<(), FlashError> {
        let during = Step::Protect;
        let failed = |error| classify(&error, during);
        match self.chip.protect {
            Protect::None => {
                let chip = self.chip.name.to_owned();
                return Err(FlashError::Unsupported { chip, step: during });
            }
            Protect::NordicApprotect => {
                let mut core = self.session.core(0).map_err(failed)?;
                core.halt(HALT_WITHIN).map_err(failed)?;
                core.write_word_32(NVMC_CONFIG, NVMC_CONFIG_WRITE).map_err(failed)?;
                core.write_word_32(UICR_APPROTECT, APPROTECT_ENABLED).map_err(failed)?;
                let begun = Instant::now();
                while core.read_word_32(NVMC_READY).map_err(failed)? & 1 == 0 {
                    if begun.elapsed() > HALT_WITHIN {
                        let detail = "the flash controller stays busy".to_owned();
                        return Err(FlashError::CoreStuck { during, detail });
                    }
                }
                core.write_word_32(NVMC_CONFIG, 0).map_err(failed)?;
                let word = core.read_word_32(UICR_APPROTECT).map_err(failed)?;
                if word & 0xFF != 0 {
                    let detail = format!("UICR.APPROTECT reads {word:#010x}");
                    return Err(FlashError::NotProtected { detail });
                }
                drop(core);
                let ap = FullyQualifiedApAddress::v1_with_default_dp(CTRL_AP);
                let port = self.session.get_arm_interface().map_err(|e| classify(&e, during))?;
                for value in [1, 0] {
                    port.write_raw_ap_register(&ap, CTRL_AP_RESET, value)
                        .map_err(|error| classify(&error, during))?;
                }
            }
        }
        if self.is_protected()? {
            return Ok(());
        }
        // A chip that was erased whole in this visit stays open until a harder reset than that.
        self.pulse_reset_pin(during)?;
        if self.is_protected()? {
            return Ok(());
        }
        let detail = "CTRL-AP.APPROTECTSTATUS says unprotected".to_owned();
        Err(FlashError::NotProtected { detail })
    }

    fn pulse_reset_pin(&mut self, during: Step) -> Result<(), FlashError> {
        let port = self.session.get_arm_interface().map_err(|error| classify(&error, during))?;
        for level in [0, RESET_PIN] {
            port.swj_pins(level, RESET_PIN, 0).map_err(|error| classify(&error, during))?;
        }
        Ok(())
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
        self.locked = false;
        let reused = matches!(self.link, Link::Open(_));
        let looked = presence::look(self.open()?, Step::Contact);
        let (probe, found) = match looked {
            // The probe was replugged since the last look: that is no trouble, it is opened anew.
            Err(FlashError::ProbeLost { .. }) if reused => {
                presence::look(self.open()?, Step::Contact)?
            }
            looked => looked?,
        };
        self.link = Link::Open(probe);
        Ok(match found {
            presence::Found::Port => Contact::Board,
            presence::Found::Silence(_) => Contact::Nothing,
        })
    }

    fn identify(&mut self, chip: &'static Chip) -> Result<Identity, FlashError> {
        let during = Step::Identify;
        if let Link::Attached(_) = self.link {
            self.link = Link::Closed;
        }
        self.locked = false;
        let session = match self.attach(chip, Permissions::new(), during) {
            Ok(session) => session,
            Err(FlashError::Locked) => {
                self.locked = true;
                return Ok(Identity {
                    family: chip.family.to_owned(),
                    part: String::new(),
                    uid: None,
                    locked: true,
                });
            }
            Err(error) => return Err(error),
        };
        let images = Images::assemble(session.target(), chip)?;
        self.link = Link::Attached(Box::new(Attached { session, chip, images }));
        let read = self.attached(during).and_then(|attached| {
            let (address, count) = chip.part.place();
            let mut words = vec![0; count];
            attached.read_words(address, &mut words, during)?;
            let part = chip.part.judge(&words)?;
            let (address, bytes) = chip.uid.place();
            let mut words = vec![0; bytes.div_ceil(4)];
            attached.read_words(address, &mut words, during)?;
            let mut uid: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            uid.truncate(bytes);
            Ok((part, Uid::new(uid)?))
        });
        let (part, uid) = self.settle(read).inspect_err(|_| self.link = Link::Closed)?;
        Ok(Identity { family: chip.family.to_owned(), part, uid: Some(uid), locked: false })
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), FlashError> {
        let read = self.attached(Step::Read).and_then(|attached| {
            let first = address & !3;
            let end = (address + into.len() as u64 + 3) & !3;
            let skip = usize::try_from(address - first).unwrap_or(0);
            let count = usize::try_from((end - first) / 4).unwrap_or(0);
            let mut words = zeroize::Zeroizing::new(vec![0u32; count]);
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
        let done = self.attached(Step::Verify).and_then(|attached| {
            attached.halt(Step::Verify)?;
            attached.compare(plan, on_progress)
        });
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
        let done = self.attached(Step::Protect).and_then(Attached::protect);
        self.settle(done)
    }

    fn unlock(&mut self, chip: &'static Chip, approval: &UnlockApproval) -> Result<(), FlashError> {
        if chip.protect == Protect::None {
            let chip = chip.name.to_owned();
            return Err(FlashError::Unsupported { chip, step: Step::Unlock });
        }
        tracing::warn!(record = %approval.record, "erasing a locked chip whole");
        self.link = Link::Closed;
        let session = self.attach(chip, Permissions::new().allow_erase_all(), Step::Unlock)?;
        drop(session);
        self.locked = false;
        Ok(())
    }

    fn presence(&mut self) -> Result<Presence, FlashError> {
        let still = match &mut self.link {
            Link::Attached(attached) => attached.is_still_there(),
            Link::Closed | Link::Open(_) => {
                let (probe, found) = presence::look(self.open()?, Step::Presence)?;
                self.link = Link::Open(probe);
                return Ok(match found {
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

fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
