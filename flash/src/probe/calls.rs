//! Calls of functions in the chip's RAM, posted ahead into the mailbox of the program there
//! ([`super::resident`]): the chip goes from one to the next without waiting for the probe.
//!
//! Owns the core while the program runs, the deadline of every call, and what a call that fails or
//! never ends means.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use probe_rs::flashing::FlashAlgorithm;
use probe_rs::{Core, MemoryInterface};

use super::classify::classify;
use super::core_state::{
    DCRDR, DCRSR, DCRSR_WRITE, DHCSR, DHCSR_RUN, LR, PC, R0, R9, S_HALT, S_LOCKUP, S_REGRDY, SP,
    stuck, word,
};
use super::resident::{Resident, SLOTS};
use crate::backend::{Progress, Step};
use crate::error::FlashError;

/// Time for the program to begin and to end.
const TURN_WITHIN: Duration = Duration::from_secs(2);
/// Between two looks at a chip that has another call waiting behind the running one.
const LOOK_PAUSE: Duration = Duration::from_millis(4);
/// The core's own state is looked at every so many looks at the mailbox.
const LOOKS_PER_STATE: u32 = 8;

/// What a posted call does, as errors name it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Doing {
    Init,
    UnInit,
    Erase { address: u64 },
    Write { address: u64, bytes: u64 },
    Checksum,
}

/// A call that was posted and is not known to be done.
pub(super) struct Call {
    pub(super) doing: Doing,
    /// The time it has once it runs.
    pub(super) within: Duration,
    /// What it adds to the progress of its step.
    pub(super) bytes: u64,
}

/// How far a step is.
pub(super) struct Course<'p> {
    on_progress: &'p mut dyn FnMut(Progress),
    at: Progress,
}

impl<'p> Course<'p> {
    pub(super) fn begin(
        step: Step,
        total_bytes: u64,
        on_progress: &'p mut dyn FnMut(Progress),
    ) -> Self {
        let at = Progress { step, done_bytes: 0, total_bytes };
        on_progress(at);
        Self { on_progress, at }
    }

    fn advance(&mut self, bytes: u64) {
        if bytes > 0 {
            self.at.done_bytes += bytes;
            (self.on_progress)(self.at);
        }
    }
}

/// The program in the chip's RAM, taking calls until [`Calls::end`].
pub(super) struct Calls<'s> {
    core: Core<'s>,
    resident: Resident,
    waiting: VecDeque<Call>,
    /// Number of the last call posted.
    posted: u32,
    /// Since when the first of `waiting` is running.
    since: Instant,
    looks: u32,
}

impl<'s> Calls<'s> {
    /// Starts the program that lies in the halted chip's RAM.
    pub(super) fn begin(
        core: Core<'s>,
        algorithm: &FlashAlgorithm,
        resident: Resident,
        during: Step,
    ) -> Result<Self, FlashError> {
        let (waiting, since) = (VecDeque::new(), Instant::now());
        let mut calls = Self { core, resident, waiting, posted: 0, since, looks: 0 };
        calls.start(algorithm, during)?;
        Ok(calls)
    }

    /// The core, for memory that no call is using.
    pub(super) fn core(&mut self) -> &mut Core<'s> {
        &mut self.core
    }

    /// Ends the program; the core halts at the breakpoint in front of the routine.
    pub(super) fn end(mut self, during: Step) -> Result<(), FlashError> {
        self.write_slot(0, [0; 4], during)?;
        let begun = Instant::now();
        while self.state(during)? & S_HALT == 0 {
            if begun.elapsed() > TURN_WITHIN {
                return Err(stuck("the flash routine did not come back", during));
            }
        }
        Ok(())
    }

    /// Posts a call behind those that wait; waits itself while the mailbox is full.
    pub(super) fn post(
        &mut self,
        function: u64,
        arguments: [u32; 4],
        call: Call,
        course: &mut Course<'_>,
    ) -> Result<(), FlashError> {
        while self.waiting.len() >= SLOTS as usize {
            self.await_one(course)?;
        }
        // Thumb state.
        self.write_slot(word(function) | 1, arguments, course.at.step)?;
        if self.waiting.is_empty() {
            self.since = Instant::now();
        }
        self.waiting.push_back(call);
        Ok(())
    }

    /// One transfer; the number comes last, and with it the call is posted.
    fn write_slot(
        &mut self,
        function: u32,
        [a, b, c, d]: [u32; 4],
        during: Step,
    ) -> Result<(), FlashError> {
        self.posted += 1;
        let slot = self.resident.slot(self.posted);
        let words = [function, a, b, c, d, self.posted];
        self.core.write_32(slot, &words).map_err(|error| classify(&error, during))
    }

    /// How many of the calls that wait are writes.
    pub(super) fn writes(&self) -> usize {
        self.waiting.iter().filter(|call| matches!(call.doing, Doing::Write { .. })).count()
    }

    /// Waits until every posted call is done.
    pub(super) fn await_all(&mut self, course: &mut Course<'_>) -> Result<(), FlashError> {
        while !self.waiting.is_empty() {
            self.await_one(course)?;
        }
        Ok(())
    }

    /// Waits until at least the first of the posted calls is done.
    pub(super) fn await_one(&mut self, course: &mut Course<'_>) -> Result<(), FlashError> {
        let during = course.at.step;
        let waiting = self.waiting.len();
        while self.waiting.len() == waiting && waiting > 0 {
            let mut head = [0; 2];
            self.core
                .read_32(self.resident.mailbox, &mut head)
                .map_err(|error| classify(&error, during))?;
            let [done, code] = head;
            let known = self.posted - u32::try_from(waiting).unwrap_or(0);
            let newly = done.wrapping_sub(known) as usize;
            if newly > waiting {
                let detail = format!("{done} of {} calls are said to be done", self.posted);
                return Err(FlashError::LineNoise { during, detail });
            }
            for call in self.waiting.drain(..newly) {
                course.advance(call.bytes);
                self.since = Instant::now();
            }
            let Some(running) = self.waiting.front() else {
                break;
            };
            if code != 0 {
                return Err(refused(running.doing, code, during));
            }
            if newly > 0 {
                break;
            }
            let is_late = self.since.elapsed() > running.within;
            self.looks = self.looks.wrapping_add(1);
            if is_late || self.looks.is_multiple_of(LOOKS_PER_STATE) {
                let state = self.state(during)?;
                if state & S_LOCKUP != 0 {
                    return Err(stuck("the core locked up", during));
                }
                // It may have failed since the mailbox was read.
                if state & S_HALT != 0 {
                    return self.why_halted(during);
                }
                if is_late {
                    return Err(stuck("the flash routine did not come back", during));
                }
            }
            if waiting > 1 {
                pause();
            }
        }
        Ok(())
    }

    /// The program ended by itself: a call failed, or something else stopped the core.
    fn why_halted(&mut self, during: Step) -> Result<(), FlashError> {
        let mut head = [0; 2];
        self.core
            .read_32(self.resident.mailbox, &mut head)
            .map_err(|error| classify(&error, during))?;
        match (self.waiting.front(), head[1]) {
            (_, 0) | (None, _) => Err(stuck("the core halted in the flash routine", during)),
            (Some(running), code) => Err(refused(running.doing, code, during)),
        }
    }

    /// Sets the registers and lets the core run into the program.
    fn start(&mut self, algorithm: &FlashAlgorithm, during: Step) -> Result<(), FlashError> {
        let failed = |error| classify(&error, during);
        let resident = self.resident;
        let registers = [
            (R0, word(resident.mailbox)),
            (R9, word(algorithm.static_base)),
            (SP, word(algorithm.stack_top)),
            // Return to the breakpoint that stands in front of the routine, in Thumb state.
            (LR, word(algorithm.load_address) | 1),
            (PC, word(resident.serve) & !1),
        ];
        for (register, value) in registers {
            self.core.write_word_32(DCRDR, value).map_err(failed)?;
            self.core.write_word_32(DCRSR, DCRSR_WRITE | register).map_err(failed)?;
        }
        // A halted core takes a register in a few cycles, a transfer lasts hundreds: one look at
        // the end is enough to know that they all went through.
        let begun = Instant::now();
        while self.state(during)? & S_REGRDY == 0 {
            if begun.elapsed() > TURN_WITHIN {
                return Err(stuck("a core register stays busy", during));
            }
        }
        self.core.write_word_32(DHCSR, DHCSR_RUN).map_err(failed)
    }

    fn state(&mut self, during: Step) -> Result<u32, FlashError> {
        self.core.read_word_32(DHCSR).map_err(|error| classify(&error, during))
    }
}

/// A call that answered something else than 0.
fn refused(doing: Doing, code: u32, during: Step) -> FlashError {
    let function = match doing {
        Doing::Erase { address } => return FlashError::EraseFailed { address, code },
        Doing::Write { address, bytes } => {
            return FlashError::WriteFailed { address, bytes, code };
        }
        Doing::Init => "Init",
        Doing::UnInit => "UnInit",
        Doing::Checksum => "the checksum",
    };
    let detail = format!("{function} of the flash routine answered {code}");
    FlashError::Driver { during, detail }
}

#[allow(clippy::disallowed_methods, reason = "the chip works; every look costs a transfer")]
fn pause() {
    std::thread::sleep(LOOK_PAUSE);
}
