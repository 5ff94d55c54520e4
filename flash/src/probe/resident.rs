//! The program that stays in the chip's RAM while it is flashed (`targets/resident.s`): where its
//! functions are and how it is spoken to.
//!
//! It is appended to the target's own flash routine as two vendor functions of probe-rs' target
//! description, so that probe-rs lays out routine, program, mailbox, buffers and stack together.

use probe_rs::config::RawFlashAlgorithm;

/// The program, built by `targets/build.sh`.
const PROGRAM: &[u8] = include_bytes!("../../targets/resident.bin");
/// Offsets in it.
const SERVE: u64 = 0;
const CHECKSUM: u64 = 0x30;

/// Slots of the mailbox: that many calls may be posted ahead.
pub(super) const SLOTS: u32 = 4;
const SLOT_WORDS: u32 = 6;
const HEAD_WORDS: u32 = 2;
const MAILBOX_BYTES: usize = 4 * (HEAD_WORDS + SLOTS * SLOT_WORDS) as usize;

/// Room the checksum wants for its table, in bytes.
pub(super) const TABLE_BYTES: u64 = 1024;
/// Bytes of one job of the checksum.
pub(super) const JOB_BYTES: u64 = 8;

const SERVE_NAME: &str = "flashline_serve";
const CHECKSUM_NAME: &str = "flashline_checksum";
const MAILBOX_NAME: &str = "flashline_mailbox";

/// Where the parts of the program are in the chip's RAM.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resident {
    /// `serve(mailbox)`.
    pub(super) serve: u64,
    /// `checksum(jobs, count, table, polynomial)`.
    pub(super) checksum: u64,
    /// Calls done, then the answer of the one that failed.
    pub(super) mailbox: u64,
}

impl Resident {
    /// Appends program and mailbox to a flash routine.
    pub(super) fn append(raw: &mut RawFlashAlgorithm) {
        raw.instructions.resize(raw.instructions.len().next_multiple_of(4), 0);
        let base = raw.instructions.len() as u64;
        raw.instructions.extend_from_slice(PROGRAM);
        let mailbox = raw.instructions.len() as u64;
        raw.instructions.resize(raw.instructions.len() + MAILBOX_BYTES, 0);
        for (name, at) in
            [(SERVE_NAME, base + SERVE), (CHECKSUM_NAME, base + CHECKSUM), (MAILBOX_NAME, mailbox)]
        {
            raw.vendor_functions.insert(name.to_owned(), at);
        }
    }

    /// Finds the parts in the routine that probe-rs laid out.
    pub(super) fn find(laid_out: &probe_rs::flashing::FlashAlgorithm) -> Option<Self> {
        let at = |name| laid_out.vendor_functions.get(name).copied();
        Some(Self {
            serve: at(SERVE_NAME)?,
            checksum: at(CHECKSUM_NAME)?,
            mailbox: at(MAILBOX_NAME)?,
        })
    }

    /// The slot of the call with this number, which counts from 1.
    pub(super) fn slot(&self, number: u32) -> u64 {
        let slot = (number - 1) % SLOTS;
        self.mailbox + 4 * u64::from(HEAD_WORDS + slot * SLOT_WORDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_fills_whole_words_and_both_functions_begin_with_a_push() {
        assert_eq!(PROGRAM.len() % 4, 0);
        for at in [SERVE, CHECKSUM] {
            let at = usize::try_from(at).expect("small");
            assert_eq!(PROGRAM[at + 1], 0xB5, "{at:#x}");
        }
    }

    #[test]
    fn slots_follow_the_head_of_the_mailbox_and_come_round_again() {
        let resident = Resident { serve: 0, checksum: 0, mailbox: 0x100 };
        let slots: Vec<u64> = (1..=5).map(|number| resident.slot(number)).collect();
        assert_eq!(slots, [0x108, 0x120, 0x138, 0x150, 0x108]);
    }
}
