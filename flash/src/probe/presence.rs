//! Is there a board behind the probe?
//!
//! probe-rs' own attach gives an unpowered board five tries of a second each. This asks once, with
//! the same driver and the same wire sequence, before anything is attached: two line resets and a
//! read of DPIDR.

use probe_rs::architecture::arm::dp::{DPIDR, DpAddress, DpRegister};
use probe_rs::architecture::arm::sequences::ArmDebugSequence;
use probe_rs::architecture::arm::{ArmDebugInterface, ArmError, DapProbe, RegisterAddress};
use probe_rs::probe::Probe;

use super::classify::{classify, contained};
use crate::backend::Step;
use crate::error::FlashError;

/// ADIv5.2, section B4.3.3 "Connection and line reset sequence": more than 50 cycles high, and at
/// least two low when a read follows.
const LINE_RESET_BITS: u8 = 51;
const LINE_RESET_AND_IDLE_BITS: u8 = 54;
const LINE_RESET: u64 = 0x0007_FFFF_FFFF_FFFF;
/// ADIv5.2, section B5.2.1 "Switching from JTAG to SWD operation".
const JTAG_TO_SWD_BITS: u8 = 16;
const JTAG_TO_SWD: u64 = 0xE79E;

/// What a look found.
pub(super) enum Found {
    /// A debug port answered.
    Port,
    /// Nothing answered; the driver's words.
    Silence(String),
}

/// Looks once, in a few milliseconds, and gives the probe back.
pub(super) fn look(probe: Probe, during: Step) -> Result<(Probe, Found), FlashError> {
    contained(during, || ask(probe, during))
}

fn ask(mut probe: Probe, during: Step) -> Result<(Probe, Found), FlashError> {
    probe.attach_to_unspecified().map_err(|error| classify(&error, during))?;
    let mut port = probe
        .try_into_arm_debug_interface(std::sync::Arc::new(AskOnce))
        .map_err(|(_, error)| classify(&error, during))?;
    let asked = port.select_debug_port(DpAddress::Default);
    let probe = port.close();
    match asked {
        Ok(()) => Ok((probe, Found::Port)),
        Err(error) => {
            let fact = classify(&error, during);
            if let FlashError::Silent { detail, .. } = fact {
                Ok((probe, Found::Silence(detail)))
            } else {
                Err(fact)
            }
        }
    }
}

/// Puts the debug port behind an open link back to the beginning of its conversation.
pub(super) fn line_reset(port: &mut dyn ArmDebugInterface) -> Result<(), ArmError> {
    port.swj_sequence(LINE_RESET_AND_IDLE_BITS, LINE_RESET)?;
    Ok(())
}

/// Asks for the debug port's identification once, where probe-rs' own sequence asks for seconds.
#[derive(Debug)]
pub(super) struct AskOnce;

impl ArmDebugSequence for AskOnce {
    fn debug_port_setup(
        &self,
        interface: &mut dyn DapProbe,
        dp: DpAddress,
    ) -> Result<(), ArmError> {
        interface.swj_sequence(LINE_RESET_BITS, LINE_RESET)?;
        interface.swj_sequence(JTAG_TO_SWD_BITS, JTAG_TO_SWD)?;
        self.debug_port_connect(interface, dp)
    }

    fn debug_port_connect(
        &self,
        interface: &mut dyn DapProbe,
        _dp: DpAddress,
    ) -> Result<(), ArmError> {
        interface.swj_sequence(LINE_RESET_AND_IDLE_BITS, LINE_RESET)?;
        interface
            .raw_read_register(RegisterAddress::DpRegister(DPIDR::ADDRESS))
            .map(drop)
            .map_err(|error| ArmError::NoTargetResponse { source: Box::new(error) })
    }

    /// The port keeps its power: a core that was just caught stays where it is.
    fn debug_port_stop(&self, _: &mut dyn DapProbe, _: DpAddress) -> Result<(), ArmError> {
        Ok(())
    }
}
