//! Hearing the firmware through the debugger: Arm semihosting, its console and nothing else.
//!
//! "Semihosting for AArch32 and AArch64" (Arm), sections 5 and 6: the firmware stops at BKPT 0xAB
//! with an operation in R0 and its parameter, or the address of a parameter block, in R1. What it
//! writes to any file is taken for console text; files, clocks and the command line are not
//! offered. The firmware chooses lengths and addresses, so that every read is bounded here.
//!
//! A firmware that says its line this way stops at its BKPT for good without a debugger.

use probe_rs::semihosting::SemihostingCommand;
use probe_rs::{BreakpointCause, Core, CoreStatus, HaltReason, MemoryInterface, RegisterId};

use super::classify::classify;
use crate::backend::Step;
use crate::error::FlashError;
use crate::listen::Heard;

const SYS_WRITEC: u32 = 0x03;

/// The console's handle; any other than 0 and -1 would do.
const CONSOLE: u32 = 1;
/// Most bytes taken from one call. A longer write is answered as written in part.
const TEXT_BYTES_MAX: u32 = 1024;

const R0: RegisterId = RegisterId(0);
const R1: RegisterId = RegisterId(1);

/// Takes what the firmware says if it has stopped to say it, and lets it run on.
///
/// # Errors
/// Whatever keeps the probe from reading the core, by [`classify`].
pub(super) fn hear(core: &mut Core<'_>, heard: &mut Heard) -> Result<(), FlashError> {
    answer_call(core, heard).map_err(|error| classify(&error, Step::SelfTest))
}

fn answer_call(core: &mut Core<'_>, heard: &mut Heard) -> Result<(), probe_rs::Error> {
    let CoreStatus::Halted(HaltReason::Breakpoint(BreakpointCause::Semihosting(call))) =
        core.status()?
    else {
        return Ok(());
    };
    let parameter: u32 = core.read_core_reg(R1)?;
    let answer = match call {
        // It has said everything and stays where it is.
        SemihostingCommand::ExitSuccess | SemihostingCommand::ExitError(_) => return Ok(()),
        SemihostingCommand::WriteConsole(_) => {
            // Here R0 still holds the operation.
            let operation: u32 = core.read_core_reg(R0)?;
            match operation {
                SYS_WRITEC => heard.take(&[core.read_word_8(u64::from(parameter))?]),
                _ => heard.take(&text_at(core, parameter)?),
            }
            None
        }
        SemihostingCommand::Write(_) => {
            let mut block = [0; 3];
            core.read_32(u64::from(parameter), &mut block)?;
            let [_handle, address, bytes] = block;
            let taken = bytes.min(TEXT_BYTES_MAX);
            let mut text = vec![0; taken as usize];
            core.read_8(u64::from(address), &mut text)?;
            heard.take(&text);
            Some(bytes - taken)
        }
        SemihostingCommand::Open(_) => Some(CONSOLE),
        SemihostingCommand::Close(_) => Some(0),
        // The driver has answered these with "failed" already.
        SemihostingCommand::GetCommandLine(_)
        | SemihostingCommand::Read(_)
        | SemihostingCommand::Seek(_)
        | SemihostingCommand::FileLength(_)
        | SemihostingCommand::Remove(_)
        | SemihostingCommand::Rename(_)
        | SemihostingCommand::Time(_)
        | SemihostingCommand::Errno(_)
        | SemihostingCommand::Unknown(_) => None,
    };
    if let Some(answer) = answer {
        core.write_core_reg(R0, answer)?;
    }
    core.run()
}

/// The text at `address` up to its zero byte, or as much of it as one call may say.
fn text_at(core: &mut Core<'_>, address: u32) -> Result<Vec<u8>, probe_rs::Error> {
    let mut text = Vec::new();
    while text.len() < TEXT_BYTES_MAX as usize {
        let mut block = [0; 32];
        core.read_8(u64::from(address) + text.len() as u64, &mut block)?;
        match block.iter().position(|byte| *byte == 0) {
            Some(end) => {
                text.extend_from_slice(&block[..end]);
                break;
            }
            None => text.extend_from_slice(&block),
        }
    }
    Ok(text)
}
