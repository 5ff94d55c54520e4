//! Is there a board behind the probe?
//!
//! probe-rs' own attach gives an unpowered board five tries of a second each. This asks once, with
//! the same driver and the same wire sequence, before anything is attached: two line resets and a
//! read of DPIDR.

use probe_rs::architecture::arm::dp::{DPIDR, DpAddress, DpRegister};
use probe_rs::architecture::arm::sequences::ArmDebugSequence;
use probe_rs::architecture::arm::{ArmDebugInterface, ArmError, DapProbe, RegisterAddress};
use probe_rs::probe::{Probe, WireProtocol};

use super::classify::{classify, contained};
use crate::backend::Step;
use crate::chips::RP2040_CORE_0;
use crate::error::FlashError;

/// ADIv5.2, section B4.3.3 "Connection and line reset sequence": more than 50 cycles high, and at
/// least two low when a read follows.
const LINE_RESET_BITS: u8 = 51;
const LINE_RESET_AND_IDLE_BITS: u8 = 54;
const LINE_RESET: u64 = 0x0007_FFFF_FFFF_FFFF;
/// ADIv5.2, section B5.2.1 "Switching from JTAG to SWD operation".
const JTAG_TO_SWD_BITS: u8 = 16;
const JTAG_TO_SWD: u64 = 0xE79E;
/// ADIv5.2, section B5.2.2 "Switching from SWD to JTAG operation", then the TAP's own reset.
const SWD_TO_JTAG_BITS: u8 = 16;
const SWD_TO_JTAG: u64 = 0xE73C;
const TEST_LOGIC_RESET_BITS: u8 = 6;
const TEST_LOGIC_RESET: u64 = 0x3F;
/// ADIv5.2, section B5.3.4 "Switching from Dormant state to SWD": the selection alert, then four
/// cycles low and the code of SWD.
const ALERT: u128 = 0x19BC_0EA2_E3DD_AFE9_8685_2D95_6209_F392;
const ACTIVATION_BITS: u8 = 12;
const ACTIVATION: u64 = 0x1A0;
/// ADIv5.2, section B4.3.4 "Target selection": a write of TARGETSEL.
const SELECT_BITS: u8 = 48;
const SELECT_REQUEST: u64 = 0x99;

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

fn ask(probe: Probe, during: Step) -> Result<(Probe, Found), FlashError> {
    let (probe, found) = ask_for(probe, DpAddress::Default, during)?;
    if matches!(found, Found::Port) || probe.protocol() == Some(WireProtocol::Jtag) {
        return Ok((probe, found));
    }
    // Several debug ports on one pair of wires: none answers before it is chosen. A probe that
    // cannot choose does not ask.
    let (probe, chosen) = ask_for(probe, DpAddress::Multidrop(RP2040_CORE_0), during)?;
    Ok((probe, if let Found::Port = chosen { chosen } else { found }))
}

fn ask_for(
    mut probe: Probe,
    debug_port: DpAddress,
    during: Step,
) -> Result<(Probe, Found), FlashError> {
    if let Err(error) = probe.attach_to_unspecified() {
        let silence = silent_chain(&probe, classify(&error, during))?;
        return Ok((probe, silence));
    }
    let mut port = probe
        .try_into_arm_debug_interface(std::sync::Arc::new(AskOnce))
        .map_err(|(_, error)| classify(&error, during))?;
    let asked = port.select_debug_port(debug_port);
    let probe = port.close();
    match asked {
        Ok(()) => Ok((probe, Found::Port)),
        Err(error) => {
            let fact = classify(&error, during);
            let chooses = matches!(debug_port, DpAddress::Multidrop(_));
            if let FlashError::Silent { detail, .. } = fact {
                return Ok((probe, Found::Silence(detail)));
            }
            if let (true, FlashError::Driver { detail, .. }) = (chooses, &fact) {
                return Ok((probe, Found::Silence(detail.clone())));
            }
            Err(fact)
        }
    }
}

/// By JTAG the driver looks for devices in the chain first: what it says when it finds none is
/// silence.
pub(super) fn silent_chain(probe: &Probe, fact: FlashError) -> Result<Found, FlashError> {
    match (probe.protocol(), fact) {
        (Some(WireProtocol::Jtag), FlashError::Driver { detail, .. }) => Ok(Found::Silence(detail)),
        (_, fact) => Err(fact),
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
        if interface.active_protocol() == Some(WireProtocol::Jtag) {
            interface.swj_sequence(SWD_TO_JTAG_BITS, SWD_TO_JTAG)?;
            interface.swj_sequence(TEST_LOGIC_RESET_BITS, TEST_LOGIC_RESET)?;
            interface.jtag_sequence(1, false, 1)?;
            interface.configure_jtag(false)?;
            return Ok(());
        }
        if let DpAddress::Multidrop(_) = dp {
            interface.swj_sequence(8, 0xFF)?;
            interface.swj_sequence(64, ALERT as u64)?;
            interface.swj_sequence(64, (ALERT >> 64) as u64)?;
            interface.swj_sequence(ACTIVATION_BITS, ACTIVATION)?;
        } else {
            interface.swj_sequence(JTAG_TO_SWD_BITS, JTAG_TO_SWD)?;
        }
        self.debug_port_connect(interface, dp)
    }

    fn debug_port_connect(
        &self,
        interface: &mut dyn DapProbe,
        dp: DpAddress,
    ) -> Result<(), ArmError> {
        if interface.active_protocol() == Some(WireProtocol::Jtag) {
            return Ok(());
        }
        interface.swj_sequence(LINE_RESET_AND_IDLE_BITS, LINE_RESET)?;
        if let DpAddress::Multidrop(target) = dp {
            // Nobody acknowledges: the write, five cycles, the id and its parity, two idle cycles.
            let parity = u64::from(target.count_ones() & 1);
            let bits = SELECT_REQUEST | 0x1F << 8 | u64::from(target) << 13 | parity << 45;
            interface.swj_sequence(SELECT_BITS, bits)?;
        }
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
