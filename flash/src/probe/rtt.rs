//! Hearing the firmware through the probe: SEGGER's Real Time Transfer, up-channel 0.
//!
//! RAM survives a reset, and with it what the firmware of the last run said; that is made
//! unfindable before the reset, so that an old line never passes a new board.

use probe_rs::Core;
use probe_rs::rtt::{self, Rtt, ScanRegion};

use super::classify::classify;
use crate::backend::Step;
use crate::chip::Chip;
use crate::error::FlashError;
use crate::listen::Heard;

/// Where the control block is looked for, and the channel once it is found.
pub(super) struct Channel {
    place: ScanRegion,
    found: Option<Rtt>,
}

impl Channel {
    /// Forgets what an earlier run left in the halted chip's RAM.
    pub(super) fn open(
        core: &mut Core<'_>,
        chip: &Chip,
        control_block: Option<u64>,
    ) -> Result<Self, FlashError> {
        let (start, bytes) = chip.ram;
        let ram = ScanRegion::range(start..start + bytes);
        Rtt::clear_control_block(core, &ram).map_err(|error| classify(&error, Step::SelfTest))?;
        let place = control_block.map_or(ram, ScanRegion::Exact);
        Ok(Self { place, found: None })
    }

    /// Takes what the running firmware has said.
    ///
    /// # Errors
    /// [`FlashError::ProbeLost`]: nothing more would be heard.
    pub(super) fn read(
        &mut self,
        core: &mut Core<'_>,
        heard: &mut Heard,
    ) -> Result<(), FlashError> {
        if self.found.is_none() {
            match Rtt::attach_region(core, &self.place) {
                Ok(found) => self.found = Some(found),
                Err(error) => return not_yet(&error),
            }
        }
        let Some(channel) = self.found.as_mut().and_then(|rtt| rtt.up_channels().first_mut())
        else {
            return Ok(());
        };
        let mut block = [0; 1024];
        match channel.read(core, &mut block) {
            Ok(count) => {
                heard.take(&block[..count]);
                Ok(())
            }
            Err(error) => {
                // Caught while the firmware sets the block up: look for it again.
                self.found = None;
                not_yet(&error)
            }
        }
    }
}

/// Tells a control block that is not there yet, or only half, from a probe that is gone. A silent
/// board is not told here: a pointer of a half-made block may lead anywhere.
fn not_yet(error: &rtt::Error) -> Result<(), FlashError> {
    let fact = classify(error, Step::SelfTest);
    if let FlashError::ProbeLost { .. } = fact { Err(fact) } else { Ok(()) }
}
