//! One chip, attached for one visit: what is said to it, and in which order.
//!
//! Owns the session from identification to the end of the visit. A failure here is told as the
//! driver tells it; [`Attached::look_again`] tells a board that is gone from one that refuses.

use std::time::{Duration, Instant};

use probe_rs::architecture::arm::{FullyQualifiedApAddress, dp};
use probe_rs::{Core, MemoryInterface, Session};

use super::classify::classify;
use super::core_state;
use super::held;
use super::readout;
use super::routine::Images;
use super::rtt;
use super::semihosting;
use crate::backend::{Progress, SelfTest, Step, Via};
use crate::checksum::Checksum;
use crate::chip::{Chip, EmptyCheck, Protect, Reset};
use crate::chips::RP2040_CORE_0;
use crate::error::FlashError;
use crate::listen::{Heard, Listener};

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

/// Where the self-test's line comes from.
enum Line {
    Uart(Listener),
    Rtt(rtt::Channel),
    Semihosting,
}

/// The session of a visit, the chip's profile, and its flash routine.
pub(super) struct Attached {
    pub(super) session: Session,
    pub(super) chip: &'static Chip,
    pub(super) reset: Reset,
    pub(super) images: Images,
    /// Drawn for this visit.
    pub(super) checksum: Checksum,
    /// Bytes that the flash beside the chip says it has.
    pub(super) external_bytes: Option<u64>,
}

impl Attached {
    /// Tells a board that is gone from one that answers but refused a transfer.
    pub(super) fn look_again(&mut self, during: Step, detail: String) -> FlashError {
        if self.is_there().is_err() {
            return FlashError::Silent { during, detail };
        }
        if self.is_protected() == Ok(true) {
            return FlashError::Locked;
        }
        FlashError::Driver { during, detail }
    }

    /// The debug port answers and still has the power-up acknowledges it gave at attach time; a
    /// board that lost its power in between has lost them.
    pub(super) fn is_still_there(&mut self) -> Result<(), FlashError> {
        let during = Step::Presence;
        let port = self.session.get_arm_interface().map_err(|error| classify(&error, during))?;
        let address = if self.chip.has_external_flash() {
            dp::DpAddress::Multidrop(RP2040_CORE_0)
        } else {
            dp::DpAddress::Default
        };
        let read = |port: &mut dyn probe_rs::architecture::arm::ArmDebugInterface, register| {
            port.read_raw_dp_register(address, register).map_err(|error| classify(&error, during))
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

    /// The same; a chip that may have taken its debug pins for something else is asked once more
    /// while its reset pin is held. Its power-up acknowledge is older than that.
    pub(super) fn is_there(&mut self) -> Result<(), FlashError> {
        match self.is_still_there() {
            Err(FlashError::Silent { during, .. }) if self.reset == Reset::RequestOrPin => {
                self.with_pin_held(during, Self::is_still_there)
            }
            answered => answered,
        }
    }

    /// Does something while the reset pin is held, and lets it go whatever comes of it.
    fn with_pin_held<T>(
        &mut self,
        during: Step,
        work: impl FnOnce(&mut Self) -> Result<T, FlashError>,
    ) -> Result<T, FlashError> {
        let failed = |error| classify(&error, during);
        let port = self.session.get_arm_interface().map_err(|error| classify(&error, during))?;
        held::hold(port).map_err(failed)?;
        let done = held::wake(port).map_err(failed).and_then(|()| work(self));
        let port = self.session.get_arm_interface().map_err(|error| classify(&error, during))?;
        let released = held::release(port).map_err(failed);
        done.and_then(|done| released.map(|()| done))
    }

    pub(super) fn is_protected(&mut self) -> Result<bool, FlashError> {
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
            Protect::Stm32Readout(readout) => self
                .session
                .core(0)
                .and_then(|mut core| readout::is_protected(&mut core, readout))
                .map_err(|error| classify(&error, Step::Protect)),
            Protect::None => Ok(false),
        }
    }

    /// Reads single words, each at its own address and all of them a second time.
    pub(super) fn read_twice(
        &mut self,
        places: &[u64],
        during: Step,
    ) -> Result<Vec<u32>, FlashError> {
        let mut core = self.core(during)?;
        let mut read = || -> Result<Vec<u32>, FlashError> {
            places
                .iter()
                .map(|place| core.read_word_32(*place).map_err(|error| classify(&error, during)))
                .collect()
        };
        let words = read()?;
        if words == read()? {
            return Ok(words);
        }
        let detail = "the chip's identity read differently the second time".to_owned();
        Err(FlashError::LineNoise { during, detail })
    }

    /// Reads words; flash behind a window is read with the core stopped and the window opened.
    pub(super) fn read_words(
        &mut self,
        address: u64,
        words: &mut [u32],
        during: Step,
    ) -> Result<(), FlashError> {
        let region = self.chip.region_of(address, words.len() as u64 * 4);
        if self.chip.has_external_flash() && region.is_some() {
            return self.read_through_window(address, words, during);
        }
        self.session
            .core(0)
            .and_then(|mut core| core.read_32(address, words))
            .map_err(|error| classify(&error, during))
    }

    /// Resets the chip and stops it before its first instruction.
    pub(super) fn halt(&mut self, during: Step) -> Result<(), FlashError> {
        let halted = self.core(during).and_then(|mut core| {
            core_state::forget_halts(&mut core)
                .and_then(|()| core.reset_and_halt(HALT_WITHIN))
                .map(drop)
                .map_err(|error| classify(&error, during))
        });
        match halted {
            Err(FlashError::Silent { .. }) if self.reset == Reset::RequestOrPin => self
                .with_pin_held(during, |attached| {
                    attached
                        .session
                        .get_arm_interface()
                        .map_err(|error| classify(&error, during))
                        .and_then(|port| held::catch(port, during))
                }),
            halted => halted,
        }
    }

    pub(super) fn run(&mut self) -> Result<(), FlashError> {
        let (empty_check, start) = (self.chip.empty_check, self.chip.flash_start());
        let mut core = self.core(Step::Reset)?;
        if let Some(EmptyCheck { register, bit }) = empty_check {
            core.read_word_32(start)
                .and_then(|first| match first {
                    u32::MAX => Ok(()),
                    _ => {
                        let word = core.read_word_32(register)?;
                        core.write_word_32(register, word & !bit)
                    }
                })
                .map_err(|error| classify(&error, Step::Reset))?;
        }
        let reset = core_state::forget_halts(&mut core)
            .and_then(|()| core.reset())
            .map_err(|error| classify(&error, Step::Reset));
        drop(core);
        match reset {
            // Firmware that takes the debug pins may do so before the driver has seen it run.
            Err(FlashError::Silent { .. }) if self.reset == Reset::RequestOrPin => {
                self.with_pin_held(Step::Reset, Self::is_still_there)
            }
            reset => reset,
        }
    }

    pub(super) fn core(&mut self, during: Step) -> Result<Core<'_>, FlashError> {
        self.session.core(0).map_err(|error| classify(&error, during))
    }

    pub(super) fn self_test(
        &mut self,
        test: &SelfTest,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<String, FlashError> {
        // Opened before the reset, so that not one byte after it is lost.
        let mut channel = match &test.via {
            Via::Uart { endpoint, baud } => Line::Uart(Listener::open(endpoint, *baud)?),
            Via::Rtt { control_block } => {
                self.halt(Step::SelfTest)?;
                let chip = self.chip;
                let mut core = self.core(Step::SelfTest)?;
                Line::Rtt(rtt::Channel::open(&mut core, chip, *control_block)?)
            }
            Via::Semihosting => Line::Semihosting,
        };
        self.run()?;
        let begun = Instant::now();
        let within = Duration::from_millis(test.within_ms);
        let mut heard = Heard::default();
        // Firmware that took the debug pins is heard over its UART all the same.
        let may_be_silent = self.reset == Reset::RequestOrPin && matches!(channel, Line::Uart(_));
        let mut core = match self.core(Step::SelfTest) {
            Err(FlashError::Silent { .. }) if may_be_silent => None,
            core => Some(core?),
        };
        loop {
            match (&mut channel, &mut core) {
                (Line::Uart(listener), _) => heard.take(&listener.read_some()?),
                (Line::Rtt(channel), Some(core)) => channel.read(core, &mut heard)?,
                (Line::Semihosting, Some(core)) => semihosting::hear(core, &mut heard)?,
                (Line::Rtt(_) | Line::Semihosting, None) => {}
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
            match core.as_mut().map(core_state::check_running) {
                Some(Err(FlashError::Silent { .. })) if may_be_silent => core = None,
                Some(running) => running?,
                None => {}
            }
            on_progress(Progress {
                step: Step::SelfTest,
                done_bytes: ms(begun),
                total_bytes: test.within_ms,
            });
        }
    }

    pub(super) fn protect(&mut self) -> Result<(), FlashError> {
        let during = Step::Protect;
        let failed = |error| classify(&error, during);
        match self.chip.protect {
            Protect::None => {
                let chip = self.chip.name.to_owned();
                return Err(FlashError::Unsupported { chip, step: during });
            }
            Protect::Stm32Readout(readout) => {
                // What it loads is confirmed by who attaches again.
                self.halt(during)?;
                let mut core = self.core(during)?;
                readout::write(&mut core, readout, readout::Level::One, during)?;
                readout::reload(&mut core, readout);
                return Ok(());
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

    pub(super) fn pulse_reset_pin(&mut self, during: Step) -> Result<(), FlashError> {
        let port = self.session.get_arm_interface().map_err(|error| classify(&error, during))?;
        held::hold(port)
            .and_then(|()| held::release(port))
            .map_err(|error| classify(&error, during))
    }
}

pub(super) fn ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
