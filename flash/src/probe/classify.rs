//! The driver's errors as facts: the one place where probe-rs' error types are read.

#![allow(
    clippy::wildcard_enum_match_arm,
    reason = "the driver's enums are large and grow; what is not named here is no known cause"
)]

use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use probe_rs::architecture::arm::{ArmError, DapError};
use probe_rs::probe::{DebugProbeError, ProbeCreationError};

use super::{ProbeSelector, server};
use crate::backend::Step;
use crate::error::{FlashError, chain};

/// The fact behind a driver's error.
pub(super) fn classify(error: &(dyn Error + 'static), during: Step) -> FlashError {
    let detail = chain(error);
    match cause_of(error) {
        Some(Cause::Silent) => FlashError::Silent { during, detail },
        Some(Cause::Lost) => FlashError::ProbeLost { during, detail },
        Some(Cause::Stuck) => FlashError::CoreStuck { during, detail },
        Some(Cause::Locked) => FlashError::Locked,
        Some(Cause::Denied) => {
            FlashError::PermissionDenied { what: "the probe".to_owned(), detail }
        }
        Some(Cause::Busy) => FlashError::ProbeBusy { what: "the probe".to_owned(), detail },
        Some(Cause::Disturbed) => FlashError::LineNoise { during, detail },
        None => FlashError::Driver { during, detail },
    }
}

/// The fact behind a probe that does not open.
pub(super) fn opening(error: &DebugProbeError, selector: &ProbeSelector) -> FlashError {
    // Over the network: somebody took the call and hung up. A probe serves one program at a time.
    let hung_up = selector.is_tcp()
        && matches!(
            error,
            DebugProbeError::ProbeCouldNotBeCreated(ProbeCreationError::CouldNotOpen)
        );
    let address = selector.address();
    let (selector, detail) = (selector.to_string(), chain(error));
    match cause_of(error) {
        _ if hung_up => match server::refusal(address.unwrap_or_default()) {
            server::Refusal::Busy => FlashError::ProbeBusy { what: selector, detail },
            server::Refusal::Missing => FlashError::ProbeMissing { selector, detail },
        },
        Some(Cause::Denied) => FlashError::PermissionDenied { what: selector, detail },
        Some(Cause::Busy) => FlashError::ProbeBusy { what: selector, detail },
        Some(Cause::Silent | Cause::Lost | Cause::Stuck | Cause::Locked | Cause::Disturbed)
        | None => FlashError::ProbeMissing { selector, detail },
    }
}

/// The fact behind a probe that does not take the wire protocol its selector names.
pub(super) fn choosing(error: &DebugProbeError, selector: &ProbeSelector) -> FlashError {
    let fact = classify(error, Step::Contact);
    if let FlashError::ProbeLost { .. } | FlashError::PermissionDenied { .. } = fact {
        return fact;
    }
    let (wire, detail) = (selector.wire().to_string(), chain(error));
    FlashError::WireUnsupported { selector: selector.to_string(), wire, detail }
}

/// Runs a part of the driver that panics where it should fail: probe-rs 0.32 unwraps answers of a
/// Black Magic Probe whose link has broken (`probe/blackmagic/mod.rs`, `arm.rs`). What `work` owns
/// is dropped. Goes when the driver reports these as errors.
pub(super) fn contained<T>(
    during: Step,
    work: impl FnOnce() -> Result<T, FlashError>,
) -> Result<T, FlashError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let detail = "the driver panicked".to_owned();
        Err(FlashError::ProbeLost { during, detail })
    })
}

/// What an error of the driver comes down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Silent,
    Lost,
    Stuck,
    Locked,
    Denied,
    Busy,
    Disturbed,
}

/// The first error in the chain that tells a cause.
fn cause_of(error: &(dyn Error + 'static)) -> Option<Cause> {
    let mut next = Some(error);
    while let Some(error) = next {
        let cause = told_by(error);
        if cause.is_some() {
            return cause;
        }
        next = error.source();
    }
    None
}

fn told_by(error: &(dyn Error + 'static)) -> Option<Cause> {
    let told = if let Some(error) = error.downcast_ref::<probe_rs::Error>() {
        match error {
            probe_rs::Error::MissingPermissions(_) => Some(Cause::Locked),
            probe_rs::Error::Timeout => Some(Cause::Stuck),
            _ => None,
        }
    } else if let Some(error) = error.downcast_ref::<ArmError>() {
        match error {
            ArmError::MissingPermissions(_) => Some(Cause::Locked),
            // The silence may hide a broken link to the probe.
            ArmError::NoTargetResponse { source } => Some(match cause_of(source.as_ref()) {
                Some(Cause::Lost) => Cause::Lost,
                _ => Cause::Silent,
            }),
            ArmError::Timeout => Some(Cause::Stuck),
            _ => None,
        }
    } else if let Some(error) = error.downcast_ref::<DapError>() {
        match error {
            DapError::NoAcknowledge | DapError::Protocol(_) => Some(Cause::Silent),
            DapError::IncorrectParity => Some(Cause::Disturbed),
            DapError::FaultResponse | DapError::WaitResponse => None,
        }
    } else if let Some(error) = error.downcast_ref::<DebugProbeError>() {
        match error {
            DebugProbeError::TargetNotFound => Some(Cause::Silent),
            DebugProbeError::Timeout => Some(Cause::Lost),
            _ => None,
        }
    } else if let Some(ProbeCreationError::NotFound) = error.downcast_ref() {
        Some(Cause::Lost)
    } else {
        error.downcast_ref::<io::Error>().map(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => Cause::Denied,
            io::ErrorKind::ResourceBusy => Cause::Busy,
            _ => Cause::Lost,
        })
    };
    told.or_else(|| told_by_words(error))
}

/// How a Black Magic Probe says that an answer of the chip had a wrong parity bit: exception 1 of
/// its SWD layer, remote error kind 4.
const WRONG_PARITY: u64 = 0x104;

/// The Black Magic driver's own error type is private; its words are all there is to go by.
fn told_by_words(error: &(dyn Error + 'static)) -> Option<Cause> {
    // Only the innermost error is looked at: outer ones may repeat inner words.
    if error.source().is_some() {
        return None;
    }
    let words = error.to_string();
    if let Some((_, result)) = words.split_once("Remote error with result ") {
        Some(match u64::from_str_radix(result.trim(), 16) {
            Ok(WRONG_PARITY) => Cause::Disturbed,
            Ok(_) | Err(_) => Cause::Silent,
        })
    } else if words.contains("Probe error ") {
        Some(Cause::Lost)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drivers_errors_become_facts() {
        let check = |error: probe_rs::Error, wanted: &str| {
            let fact = classify(&error, Step::Program);
            let json = serde_json::to_value(&fact).expect("serialisable");
            assert_eq!(json["error"], wanted, "{error:?} became {fact:?}");
        };
        let io = |kind| probe_rs::Error::Probe(DebugProbeError::Usb(io::Error::new(kind, "x")));
        check(io(io::ErrorKind::BrokenPipe), "probe_lost");
        check(io(io::ErrorKind::PermissionDenied), "permission_denied");
        check(io(io::ErrorKind::ResourceBusy), "probe_busy");
        check(ArmError::Dap(DapError::NoAcknowledge).into(), "silent");
        check(ArmError::Dap(DapError::IncorrectParity).into(), "line_noise");
        check(ArmError::Dap(DapError::FaultResponse).into(), "driver");
        check(
            ArmError::NoTargetResponse { source: Box::new(ArmError::Dap(DapError::NoAcknowledge)) }
                .into(),
            "silent",
        );
        check(ArmError::MissingPermissions("erase_all".into()).into(), "locked");
        check(ArmError::Timeout.into(), "core_stuck");
        check(probe_rs::Error::Other("odd".into()), "driver");
    }
}
