//! A serial port whose chip is known only when it is asked for: STM32 or ESP32.
//!
//! Owns the choice between [`UartBackend`] and [`EspBackend`]; everything else is theirs. The port is
//! the kind's of the chip that is to come, and from a [`Backend::identify`] on that chip's.
//!
//! An STM32's loader takes the first byte it hears for the measure of its rate: the greeting of an
//! ESP32 would leave it deaf until it is put in again, the other way round nothing happens. So where
//! nobody knows the chip, only an STM32 is looked for.

use crate::backend::{
    Backend, Contact, Presence, ProgramReport, Progress, SelfTest, UnlockApproval, VerifyReport,
};
use crate::chip::Chip;
use crate::error::FlashError;
use crate::esp::EspBackend;
use crate::identity::{Identity, UidReader};
use crate::plan::Plan;
use crate::uart::UartBackend;

/// Whose loader is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Stm32,
    Esp32,
}

impl Kind {
    fn of(chip: &Chip) -> Self {
        if chip.uid == UidReader::EfuseMac { Self::Esp32 } else { Self::Stm32 }
    }

    fn back_end(self, path: &str, baud: u32) -> Box<dyn Backend> {
        match self {
            Self::Stm32 => Box::new(UartBackend::new(path, baud)),
            Self::Esp32 => Box::new(EspBackend::new(path, baud)),
        }
    }
}

/// One serial port and the ROM loader behind it.
pub struct SerialBackend {
    path: String,
    baud: u32,
    /// What has the port now.
    present: Kind,
    inner: Box<dyn Backend>,
}

impl SerialBackend {
    /// Takes a serial port by its path and its rate, for the chip that is to come if that is known;
    /// opens nothing yet.
    pub fn new(path: impl Into<String>, baud: u32, chip: Option<&Chip>) -> Self {
        let path = path.into();
        let present = chip.map_or(Kind::Stm32, Kind::of);
        Self { inner: present.back_end(&path, baud), path, baud, present }
    }

    /// Gives the port to the other kind.
    fn becomes(&mut self, kind: Kind) -> &mut dyn Backend {
        if self.present != kind {
            // The port is open for one of them alone: the old one closes it before the new one looks.
            self.inner = kind.back_end(&self.path, self.baud);
            self.present = kind;
        }
        self.inner.as_mut()
    }
}

impl Backend for SerialBackend {
    fn contact(&mut self) -> Result<Contact, FlashError> {
        self.inner.contact()
    }

    fn identify(&mut self, chip: &'static Chip) -> Result<Identity, FlashError> {
        self.becomes(Kind::of(chip)).identify(chip)
    }

    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), FlashError> {
        self.inner.read(address, into)
    }

    fn is_blank(&mut self, address: u64, bytes: u64) -> Result<bool, FlashError> {
        self.inner.is_blank(address, bytes)
    }

    fn program(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<ProgramReport, FlashError> {
        self.inner.program(plan, on_progress)
    }

    fn verify(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport, FlashError> {
        self.inner.verify(plan, on_progress)
    }

    fn self_test(
        &mut self,
        test: &SelfTest,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<String, FlashError> {
        self.inner.self_test(test, on_progress)
    }

    fn reset_and_run(&mut self) -> Result<(), FlashError> {
        self.inner.reset_and_run()
    }

    fn protect(&mut self) -> Result<(), FlashError> {
        self.inner.protect()
    }

    fn unlock(&mut self, chip: &'static Chip, approval: &UnlockApproval) -> Result<(), FlashError> {
        self.becomes(Kind::of(chip)).unlock(chip, approval)
    }

    fn presence(&mut self) -> Result<Presence, FlashError> {
        self.inner.presence()
    }
}
