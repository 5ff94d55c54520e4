//! The driver's errors as facts: the one place where probe-rs' error types are read.

use std::error::Error;
use std::io;

use probe_rs::architecture::arm::{ArmError, DapError};
use probe_rs::probe::{DebugProbeError, ProbeCreationError};

use super::ProbeSelector;
use crate::backend::Step;
use crate::error::{FlashError, chain};

/// The fact behind a driver's error.
pub(super) fn classify(error: &(dyn Error + 'static), during: Step) -> FlashError {
    let detail = chain(error);
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(fact) = fact_of(cause, during, &detail) {
            return fact;
        }
        next = cause.source();
    }
    FlashError::Driver { during, detail }
}

/// The fact behind a probe that does not open.
pub(super) fn opening(error: &DebugProbeError, selector: &ProbeSelector) -> FlashError {
    match classify(error, Step::Contact) {
        FlashError::PermissionDenied { detail, .. } => {
            FlashError::PermissionDenied { what: selector.to_string(), detail }
        }
        _ => FlashError::ProbeMissing { selector: selector.to_string(), detail: chain(error) },
    }
}

fn fact_of(cause: &(dyn Error + 'static), during: Step, detail: &str) -> Option<FlashError> {
    let detail = || detail.to_owned();
    let silent = || FlashError::Silent { during, detail: detail() };
    let lost = || FlashError::ProbeLost { during, detail: detail() };
    let stuck = || FlashError::CoreStuck { during, detail: detail() };
    if let Some(error) = cause.downcast_ref::<probe_rs::Error>() {
        return match error {
            probe_rs::Error::MissingPermissions(_) => Some(FlashError::Locked),
            probe_rs::Error::Timeout => Some(stuck()),
            _ => by_words(cause, &silent, &lost),
        };
    }
    if let Some(error) = cause.downcast_ref::<ArmError>() {
        return match error {
            ArmError::MissingPermissions(_) => Some(FlashError::Locked),
            // The silence may hide a broken link to the probe.
            ArmError::NoTargetResponse { source } => {
                Some(match classify(source.as_ref(), during) {
                    FlashError::ProbeLost { .. } => lost(),
                    _ => silent(),
                })
            }
            ArmError::Timeout => Some(stuck()),
            _ => by_words(cause, &silent, &lost),
        };
    }
    if let Some(error) = cause.downcast_ref::<DapError>() {
        return match error {
            DapError::NoAcknowledge | DapError::Protocol(_) | DapError::IncorrectParity => {
                Some(silent())
            }
            DapError::FaultResponse | DapError::WaitResponse => None,
        };
    }
    if let Some(error) = cause.downcast_ref::<DebugProbeError>() {
        return match error {
            DebugProbeError::TargetNotFound => Some(silent()),
            DebugProbeError::Timeout => Some(lost()),
            _ => by_words(cause, &silent, &lost),
        };
    }
    if let Some(ProbeCreationError::NotFound) = cause.downcast_ref::<ProbeCreationError>() {
        return Some(lost());
    }
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return Some(match error.kind() {
            io::ErrorKind::PermissionDenied => {
                FlashError::PermissionDenied { what: "the probe".to_owned(), detail: detail() }
            }
            _ => lost(),
        });
    }
    by_words(cause, &silent, &lost)
}

/// The Black Magic driver's own error type is private; its words are all there is to go by.
fn by_words(
    cause: &(dyn Error + 'static),
    silent: &dyn Fn() -> FlashError,
    lost: &dyn Fn() -> FlashError,
) -> Option<FlashError> {
    // Only the cause that carries no other is looked at: outer ones may repeat inner words.
    if cause.source().is_some() {
        return None;
    }
    let words = cause.to_string();
    if words.contains("Remote error with result") {
        Some(silent())
    } else if words.contains("Probe error ") {
        Some(lost())
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
        check(ArmError::Dap(DapError::NoAcknowledge).into(), "silent");
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
