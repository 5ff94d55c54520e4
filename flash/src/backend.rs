//! What a slot can do to the board in it.
//!
//! One blocking trait for every transport. Owns the words (steps, progress, reports); the back ends
//! own the wires. Calls follow the visit: contact, identify, program, self-test, protect, presence.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::chip::Chip;
use crate::error::FlashError;
use crate::identity::Identity;
use crate::plan::Plan;

/// Part of a visit that touches the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Looking for a board.
    Contact,
    /// Attaching and reading who the chip is.
    Identify,
    /// Reading memory for the caller.
    Read,
    /// Reading what the chip already holds: blank, equal or to be erased.
    Survey,
    /// Erasing sectors.
    Erase,
    /// Writing.
    Program,
    /// Comparing what reads back with the plan.
    Verify,
    /// Resetting and letting the firmware run.
    Reset,
    /// Waiting for the firmware's line.
    SelfTest,
    /// Locking the chip.
    Protect,
    /// Erasing a locked chip whole.
    Unlock,
    /// Looking whether the board is gone.
    Presence,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contact => "contact",
            Self::Identify => "identify",
            Self::Read => "read",
            Self::Survey => "survey",
            Self::Erase => "erase",
            Self::Program => "program",
            Self::Verify => "verify",
            Self::Reset => "reset",
            Self::SelfTest => "self-test",
            Self::Protect => "protect",
            Self::Unlock => "unlock",
            Self::Presence => "presence",
        })
    }
}

/// How far a step is. Every event also shows that the driver is alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The running step.
    pub step: Step,
    /// Bytes done in this step; milliseconds for [`Step::SelfTest`].
    pub done_bytes: u64,
    /// Bytes this step will do in all; milliseconds for [`Step::SelfTest`].
    pub total_bytes: u64,
}

/// Is there something in the slot?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contact {
    /// A debug port answers.
    Board,
    /// The probe works, nothing answers behind it.
    Nothing,
}

/// Is the board of this visit still there?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It still answers and was not without power in between.
    Still,
    /// It was pulled out or lost its power since the last step.
    Gone,
}

/// Wall time spent in the parts of one programming pass, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTimes {
    /// Reading what was there.
    pub survey_ms: u64,
    /// Erasing.
    pub erase_ms: u64,
    /// Writing, with the loading of the flash routine.
    pub program_ms: u64,
    /// Reading back and comparing.
    pub verify_ms: u64,
}

/// What one programming pass did. It exists only if every planned byte read back as planned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramReport {
    /// Sectors that already held their bytes and were left alone.
    pub sectors_equal: u32,
    /// Sectors written without an erase, because the words were blank.
    pub sectors_blank: u32,
    /// Sectors erased first.
    pub sectors_erased: u32,
    /// Bytes handed to the flash routine.
    pub written_bytes: u64,
    /// Bytes compared; always all bytes of the plan.
    pub verified_bytes: u64,
    /// Where the time went.
    pub times: StepTimes,
}

/// A comparison that found no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Bytes compared; always all bytes of the plan.
    pub verified_bytes: u64,
    /// Wall time, in milliseconds.
    pub verify_ms: u64,
}

/// Where the firmware's self-test line comes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "via", rename_all = "snake_case")]
pub enum Via {
    /// A UART: `tcp:HOST:PORT` of a simulated board, or the path of a serial port.
    Uart {
        /// `tcp:HOST:PORT`, or a device path.
        endpoint: String,
        /// Symbols per second; ignored over TCP.
        baud: u32,
    },
    /// RTT up-channel 0 through the probe.
    Rtt {
        /// Address of the control block, if the recipe knows it; otherwise RAM is scanned.
        control_block: Option<u64>,
    },
    /// The console of Arm semihosting, through the probe.
    Semihosting,
}

/// A line the firmware has to say after reset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelfTest {
    /// The channel.
    pub via: Via,
    /// Text that one line must contain.
    pub expect: String,
    /// Time from reset to that line, in milliseconds.
    pub within_ms: u64,
}

/// A decision to erase a locked chip whole. Making one is the caller's statement that a lead
/// approved it or that the chip's profile says fresh chips arrive locked, and that it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnlockApproval {
    /// The record that holds the approval.
    pub record: String,
}

/// A way onto a chip. Every call blocks; a caller that cannot wait runs it in a process it may kill.
pub trait Backend {
    /// Looks for a board without attaching; cheap enough to repeat several times a second.
    ///
    /// # Errors
    /// Only about the probe; an empty slot is [`Contact::Nothing`].
    fn contact(&mut self) -> Result<Contact, FlashError>;

    /// Attaches for the whole visit and reads who the chip is. A locked chip is an answer
    /// ([`Identity::locked`]), not an error.
    ///
    /// # Errors
    /// [`FlashError::WrongChip`], [`FlashError::UidImplausible`], [`FlashError::Silent`], probe errors.
    fn identify(&mut self, chip: &'static Chip) -> Result<Identity, FlashError>;

    /// Fills `into` from the chip's memory at `address`.
    ///
    /// # Errors
    /// [`FlashError::NotIdentified`], [`FlashError::Silent`], probe errors.
    fn read(&mut self, address: u64, into: &mut [u8]) -> Result<(), FlashError>;

    /// Says whether `bytes` bytes from `address` are all erased (0xFF).
    ///
    /// # Errors
    /// As [`Backend::read`].
    fn is_blank(&mut self, address: u64, bytes: u64) -> Result<bool, FlashError> {
        let mut block = vec![0; usize::try_from(bytes.min(16 * 1024)).unwrap_or(16 * 1024)];
        let mut done = 0;
        while done < bytes {
            let now = block.len().min(usize::try_from(bytes - done).unwrap_or(usize::MAX));
            self.read(address + done, &mut block[..now])?;
            if block[..now].iter().any(|byte| *byte != 0xFF) {
                return Ok(false);
            }
            done += now as u64;
        }
        Ok(true)
    }

    /// Puts the plan on the chip in one pass and compares every byte of it afterwards.
    ///
    /// # Errors
    /// [`FlashError::VerifyDiffered`] with the address; [`FlashError::Silent`] when the board goes
    /// away; erase, write and probe errors.
    fn program(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<ProgramReport, FlashError>;

    /// Compares the chip with the plan and writes nothing.
    ///
    /// # Errors
    /// [`FlashError::VerifyDiffered`] with the address and the count.
    fn verify(
        &mut self,
        plan: &Plan<'_>,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<VerifyReport, FlashError>;

    /// Opens the channel, resets the chip, and waits for the line. Returns the line.
    ///
    /// # Errors
    /// [`FlashError::SelfTestSilent`], [`FlashError::SelfTestDiffered`], [`FlashError::ListenFailed`].
    fn self_test(
        &mut self,
        test: &SelfTest,
        on_progress: &mut dyn FnMut(Progress),
    ) -> Result<String, FlashError>;

    /// Resets the chip and lets the firmware run.
    ///
    /// # Errors
    /// [`FlashError::Silent`], probe errors.
    fn reset_and_run(&mut self) -> Result<(), FlashError>;

    /// Locks the chip for ever (until an erase-all) and confirms it. Ends the attachment.
    ///
    /// # Errors
    /// [`FlashError::NotProtected`], [`FlashError::Unsupported`], probe errors.
    fn protect(&mut self) -> Result<(), FlashError>;

    /// Erases a locked chip whole so that it can be attached to again. Everything on it is lost.
    ///
    /// # Errors
    /// [`FlashError::Unsupported`], probe errors.
    fn unlock(&mut self, chip: &'static Chip, approval: &UnlockApproval) -> Result<(), FlashError>;

    /// Looks whether the board of this visit is still there; ends the attachment if it is not.
    ///
    /// # Errors
    /// Only about the probe.
    fn presence(&mut self) -> Result<Presence, FlashError>;
}
