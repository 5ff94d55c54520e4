//! The reset pin: a chip whose debug port is silent is held in reset and caught as it leaves it.
//!
//! Firmware may take the debug pins for something else, or put the chip to sleep before a probe can
//! speak to it. A reset gives the pins back, and while the pin is held nothing takes them again.
//! probe-rs 0.32 arms the catch of the reset before it turns debugging on, so that no core stops
//! (`Session::attach_arm_debug_interface`); here C_DEBUGEN comes first, then VC_CORERESET, then the
//! pin is let go (Armv7-M Architecture Reference Manual, section C1.6, "DEMCR": without C_DEBUGEN
//! no vector is caught).

use std::sync::Arc;
use std::time::{Duration, Instant};

use probe_rs::architecture::arm::dp::{DPIDR, DpAddress, DpRegister};
use probe_rs::architecture::arm::{ArmDebugInterface, ArmError, FullyQualifiedApAddress};
use probe_rs::probe::Probe;

use super::classify::{classify, contained};
use super::core_state::{DEMCR, DHCSR, DHCSR_RUN, S_HALT, VC_CORERESET, stuck};
use super::presence::{AskOnce, Found, line_reset, silent_chain};
use crate::backend::Step;
use crate::error::FlashError;

/// nRESET among the pins of a probe (CMSIS-DAP, command DAP_SWJ_Pins).
const RESET_PIN: u32 = 1 << 7;
/// Time for a core to stop once its pin is let go; a capacitor on the pin takes some of it.
const HALT_WITHIN: Duration = Duration::from_millis(500);

/// What is done with a chip that answers while its pin is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It is let go and runs.
    Run,
    /// It is stopped before its first instruction.
    Catch,
}

/// Holds the pin and asks for a debug port. A probe that has no such pin finds silence.
pub(super) fn look(
    mut probe: Probe,
    then: Then,
    during: Step,
) -> Result<(Probe, Found), FlashError> {
    if let Err(error) = probe.target_reset_assert() {
        let fact = classify(&error, during);
        if let FlashError::Driver { detail, .. } = fact {
            return Ok((probe, Found::Silence(detail)));
        }
        return Err(fact);
    }
    contained(during, || ask(probe, then, during))
}

fn ask(mut probe: Probe, then: Then, during: Step) -> Result<(Probe, Found), FlashError> {
    if let Err(error) = probe.attach_to_unspecified() {
        let silence = silent_chain(&probe, classify(&error, during));
        probe.target_reset_deassert().map_err(|error| classify(&error, during))?;
        return silence.map(|silence| (probe, silence));
    }
    let mut port = probe
        .try_into_arm_debug_interface(Arc::new(AskOnce))
        .map_err(|(_, error)| classify(&error, during))?;
    let asked = port.select_debug_port(DpAddress::Default);
    let done = match asked {
        Ok(()) if then == Then::Catch => catch(&mut *port, during),
        Ok(()) => Ok(()),
        Err(error) => Err(classify(&error, during)),
    };
    let released = release(&mut *port).map_err(|error| classify(&error, during));
    let probe = port.close();
    if let Err(FlashError::Silent { detail, .. }) = done {
        return released.map(|()| (probe, Found::Silence(detail)));
    }
    done.and(released).map(|()| (probe, Found::Port))
}

/// Pulls the pin low.
pub(super) fn hold(port: &mut dyn ArmDebugInterface) -> Result<(), ArmError> {
    port.swj_pins(0, RESET_PIN, 0)?;
    Ok(())
}

/// Finds the debug port again whose pins were gone: it waits for the beginning of a conversation.
pub(super) fn wake(port: &mut dyn ArmDebugInterface) -> Result<(), ArmError> {
    line_reset(port)?;
    port.read_raw_dp_register(DpAddress::Default, DPIDR::ADDRESS)?;
    Ok(())
}

/// Lets the pin go.
pub(super) fn release(port: &mut dyn ArmDebugInterface) -> Result<(), ArmError> {
    port.swj_pins(RESET_PIN, RESET_PIN, 0)?;
    Ok(())
}

/// Stops a chip whose pin is held before its first instruction, and lets the pin go.
pub(super) fn catch(port: &mut dyn ArmDebugInterface, during: Step) -> Result<(), FlashError> {
    let failed = |error: ArmError| classify(&error, during);
    let core = FullyQualifiedApAddress::v1_with_default_dp(0);
    let mut memory = port.memory_interface(&core).map_err(failed)?;
    memory.write_word_32(DHCSR, DHCSR_RUN).map_err(failed)?;
    memory.write_word_32(DEMCR, VC_CORERESET).map_err(failed)?;
    memory.flush().map_err(failed)?;
    drop(memory);
    release(port).map_err(failed)?;
    let mut memory = port.memory_interface(&core).map_err(failed)?;
    let begun = Instant::now();
    while memory.read_word_32(DHCSR).map_err(failed)? & S_HALT == 0 {
        if begun.elapsed() > HALT_WITHIN {
            return Err(stuck("the core did not stop as it left reset", during));
        }
    }
    memory.write_word_32(DEMCR, 0).map_err(failed)
}
