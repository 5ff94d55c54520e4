//! What can go wrong between a slot and its board, as facts.
//!
//! Closed and serialisable: an error crosses from the slot's worker process to the daemon
//! unchanged. It says what was attempted and what was found; who is to blame and what to do about
//! it is decided by the station. `detail` is the driver's own chain of words, for the log.

use serde::{Deserialize, Serialize};

use crate::backend::Step;
use crate::damage::Damage;

/// A failed operation on a board or on the probe that leads to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum FlashError {
    /// The board did not answer: pulled out, unpowered, or its wires are open.
    #[error("the board stopped answering ({during})")]
    Silent {
        /// What was being done.
        during: Step,
        /// The driver's words.
        detail: String,
    },
    /// The link to the probe broke while it was in use.
    #[error("the probe was lost ({during})")]
    ProbeLost {
        /// What was being done.
        during: Step,
        /// The driver's words.
        detail: String,
    },
    /// No probe answers to the selector.
    #[error("no probe answers to {selector}")]
    ProbeMissing {
        /// The selector as configured.
        selector: String,
        /// The driver's words.
        detail: String,
    },
    /// Another program has the probe or the port.
    #[error("{what} is used by another program")]
    ProbeBusy {
        /// The probe or port.
        what: String,
        /// The driver's words.
        detail: String,
    },
    /// The selector cannot be read.
    #[error("{selector} is not a probe selector")]
    SelectorInvalid {
        /// The selector as configured.
        selector: String,
    },
    /// The probe does not speak the wire protocol that its selector names.
    #[error("{selector} does not speak {wire}")]
    WireUnsupported {
        /// The selector as configured.
        selector: String,
        /// The wire protocol.
        wire: String,
        /// The driver's words.
        detail: String,
    },
    /// The operating system refuses the probe or the port.
    #[error("no permission to use {what}")]
    PermissionDenied {
        /// The probe or port.
        what: String,
        /// The driver's words.
        detail: String,
    },
    /// The chip is read-protected; it can only be erased whole.
    #[error("the chip is locked")]
    Locked,
    /// Another chip than the recipe wants.
    #[error("wrong chip: wanted {wanted}, found {found}")]
    WrongChip {
        /// What the profile expects.
        wanted: String,
        /// What the chip says it is.
        found: String,
    },
    /// The chip's unique id cannot be one.
    #[error("the chip's UID {uid} is not plausible")]
    UidImplausible {
        /// The bytes read, upper-case hex.
        uid: String,
    },
    /// There is no qualified profile for this chip name.
    #[error("no profile for chip {chip}")]
    UnknownChip {
        /// The name asked for.
        chip: String,
    },
    /// A step that needs an identified chip was asked for before [`Step::Identify`].
    #[error("the chip was not identified before this step ({wanted})")]
    NotIdentified {
        /// The step asked for.
        wanted: Step,
    },
    /// Bytes for memory the chip does not have.
    #[error("{what}: {bytes} bytes at {address:#010x} are outside the chip's memory")]
    OutOfRange {
        /// Name of the piece.
        what: String,
        /// First address.
        address: u64,
        /// Length in bytes.
        bytes: u64,
    },
    /// Two pieces want the same address.
    #[error("{first} and {second} both want {address:#010x}")]
    Overlap {
        /// Name of the lower piece.
        first: String,
        /// Name of the upper piece.
        second: String,
        /// First address both want.
        address: u64,
    },
    /// The flash routine refused to erase a sector.
    #[error("the sector at {address:#010x} could not be erased")]
    EraseFailed {
        /// First address of the sector.
        address: u64,
        /// The routine's answer.
        code: u32,
    },
    /// The flash routine refused to write.
    #[error("{bytes} bytes at {address:#010x} could not be written")]
    WriteFailed {
        /// First address.
        address: u64,
        /// Length in bytes.
        bytes: u64,
        /// The routine's answer.
        code: u32,
    },
    /// The core locked up, or a routine on it did not come back in its time.
    #[error("the core got stuck ({during})")]
    CoreStuck {
        /// What was being done.
        during: Step,
        /// What was seen.
        detail: String,
    },
    /// The chip does not hold the planned bytes.
    #[error("read-back differs at {address:#010x}: {bytes} bytes in all")]
    VerifyDiffered {
        /// First address that differs.
        address: u64,
        /// How many bytes differ in the whole plan.
        bytes: u64,
        /// The byte planned at `address`.
        wanted: u8,
        /// The byte read there.
        found: u8,
    },
    /// The self-test's channel could not be opened.
    #[error("could not listen on {endpoint}")]
    ListenFailed {
        /// The channel as the job named it.
        endpoint: String,
        /// The operating system's words.
        detail: String,
    },
    /// The firmware said nothing at all in its time.
    #[error("no self-test line within {within_ms} ms")]
    SelfTestSilent {
        /// The line the recipe wants.
        expected: String,
        /// The time it had, in milliseconds.
        within_ms: u64,
    },
    /// The firmware spoke, but not the expected line.
    #[error("the self-test line was not heard within {within_ms} ms")]
    SelfTestDiffered {
        /// The line the recipe wants.
        expected: String,
        /// The last line heard.
        heard: String,
        /// The time it had, in milliseconds.
        within_ms: u64,
    },
    /// The lock was written but the chip does not confirm it.
    #[error("the chip does not confirm its protection")]
    NotProtected {
        /// What was read instead.
        detail: String,
    },
    /// The profile knows no way to do this on this chip.
    #[error("{chip} has no {step} in its profile")]
    Unsupported {
        /// The chip.
        chip: String,
        /// The step asked for.
        step: Step,
    },
    /// Bits change on their way, or what came was no answer, also when asked again: noise, a loose
    /// wire, or on a serial line something else than the loader that talks.
    #[error("the line is disturbed ({during})")]
    LineNoise {
        /// What was being done.
        during: Step,
        /// What came in place of which answer.
        detail: String,
    },
    /// Bytes come damaged over the serial line, also when asked again, and the system says how.
    #[error("bytes come damaged, {damage} ({during})")]
    LineDamaged {
        /// What was being done.
        during: Step,
        /// How.
        damage: Damage,
        /// Which answer was damaged.
        detail: String,
    },
    /// Something answers on the serial line, but at no known rate does it make sense.
    #[error("nothing that answers makes sense at {tried:?} symbols per second ({during})")]
    WrongBaud {
        /// What was being done.
        during: Step,
        /// The rates tried.
        tried: Vec<u32>,
    },
    /// The loader refused a command (NACK), also when asked again.
    #[error("the loader refused ({during})")]
    Refused {
        /// What was being done.
        during: Step,
        /// Which command, and the loader's own error where it tells one.
        detail: String,
    },
    /// Anything else the driver reports.
    #[error("the driver reported a failure ({during})")]
    Driver {
        /// What was being done.
        during: Step,
        /// The driver's words.
        detail: String,
    },
}

/// The chain of an error's own words, outermost first.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !words.ends_with(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        next = cause.source();
    }
    words
}
