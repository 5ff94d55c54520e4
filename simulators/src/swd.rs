//! The SWD wire, bit by bit, from the target's side.
//!
//! The probe drives bits out and samples bits in; it owns the turnaround clocks, so they never
//! reach this side. A target that is lost (bad request, no power) lets the pull-up answer with
//! ones until it sees a line reset.

use std::collections::VecDeque;

use crate::dap::{Dap, Target};

/// Ones in a row that bring a lost target back.
pub(crate) const LINE_RESET_ONES: u32 = 50;
const ACK_OK: u32 = 1;
const ACK_FAULT: u32 = 4;
const DPIDR_READ: u8 = 0x0;
const CTRL_STAT: u8 = 0x4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Only a line reset is understood.
    Lost,
    /// Waiting for a start bit.
    Idle,
    /// Collecting the eight request bits.
    Request { bits: u8, count: u8 },
    /// Collecting 32 data bits and parity for a write that was acknowledged, or that is dropped.
    Data { request: Request, bits: u64, count: u8, taken: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request {
    access_port: bool,
    read: bool,
    address: u8,
}

/// The slave's state.
#[derive(Debug)]
pub struct Wire {
    phase: Phase,
    ones: u32,
    answer: VecDeque<bool>,
    fresh_from_reset: bool,
    posted: u32,
}

impl Default for Wire {
    fn default() -> Self {
        Self {
            phase: Phase::Lost,
            ones: 0,
            answer: VecDeque::new(),
            fresh_from_reset: false,
            posted: 0,
        }
    }
}

impl Wire {
    /// The probe drives `count` bits, least significant first. `target` is `None` without power.
    pub fn drive<T: Target>(
        &mut self,
        bits: u64,
        count: u32,
        dap: &mut Dap,
        mut target: Option<&mut T>,
    ) {
        self.answer.clear();
        for index in 0..count {
            let bit = bits >> index & 1 == 1;
            match &mut target {
                Some(target) => self.bit(bit, dap, *target),
                None => *self = Self::default(),
            }
        }
    }

    /// A target that was just chosen: it waits for its identification to be read.
    pub(crate) fn after_line_reset() -> Self {
        Self { phase: Phase::Idle, fresh_from_reset: true, ..Self::default() }
    }

    /// Whatever was not sampled is gone.
    pub(crate) fn forget_answer(&mut self) {
        self.answer.clear();
    }

    /// The probe samples `count` bits, least significant first.
    pub fn sample(&mut self, count: u32) -> u64 {
        (0..count).fold(0, |value, index| {
            value | u64::from(self.answer.pop_front().unwrap_or(true)) << index
        })
    }

    pub(crate) fn bit(&mut self, bit: bool, dap: &mut Dap, target: &mut impl Target) {
        self.ones = if bit { self.ones + 1 } else { 0 };
        if self.ones >= LINE_RESET_ONES {
            self.phase = Phase::Idle;
            self.fresh_from_reset = true;
            return;
        }
        match self.phase {
            Phase::Lost => {}
            Phase::Idle => {
                if bit {
                    self.phase = Phase::Request { bits: 1, count: 1 };
                }
            }
            Phase::Request { bits, count } => {
                let bits = bits | u8::from(bit) << count;
                self.phase = if count == 7 {
                    self.request(bits, dap, target)
                } else {
                    Phase::Request { bits, count: count + 1 }
                };
            }
            Phase::Data { request, bits, count, taken } => {
                let bits = bits | u64::from(bit) << count;
                self.phase = if count == 32 {
                    self.data(request, bits, taken, dap, target)
                } else {
                    Phase::Data { request, bits, count: count + 1, taken }
                };
            }
        }
    }

    fn request(&mut self, bits: u8, dap: &mut Dap, target: &mut impl Target) -> Phase {
        let parity = (bits >> 1 & 0xF).count_ones() as u8 & 1;
        let well_formed = bits >> 5 & 1 == parity && bits >> 6 & 1 == 0 && bits >> 7 & 1 == 1;
        if !well_formed {
            return Phase::Lost;
        }
        let request = Request {
            access_port: bits & 2 != 0,
            read: bits & 4 != 0,
            address: (bits >> 3 & 3) << 2,
        };
        let is_identification =
            !request.access_port && request.read && request.address == DPIDR_READ;
        if self.fresh_from_reset && !is_identification {
            return Phase::Lost;
        }
        self.fresh_from_reset = false;
        let always_answered = !request.access_port
            && match (request.read, request.address) {
                (true, DPIDR_READ | CTRL_STAT) | (false, 0x0) => true,
                (true | false, _) => false,
            };
        if dap.faulted() && !always_answered {
            self.push(u64::from(ACK_FAULT), 3);
            return if request.read || !dap.overrun_detect() {
                Phase::Idle
            } else {
                Phase::Data { request, bits: 0, count: 0, taken: false }
            };
        }
        self.push(u64::from(ACK_OK), 3);
        if !request.read {
            return Phase::Data { request, bits: 0, count: 0, taken: true };
        }
        let value = if request.access_port {
            // AP reads are posted: this answer carries the result of the one before.
            let previous = self.posted;
            let (ap, register) = dap.selected(request.address);
            self.posted = dap.read_ap(target, ap, register).unwrap_or(0);
            previous
        } else {
            let value = dap.read_dp(target, request.address);
            if request.address == 0xC {
                self.posted = value;
            }
            value
        };
        self.push(u64::from(value), 32);
        self.push(u64::from(value.count_ones() & 1), 1);
        Phase::Idle
    }

    fn data(
        &mut self,
        request: Request,
        bits: u64,
        taken: bool,
        dap: &mut Dap,
        target: &mut impl Target,
    ) -> Phase {
        let value = bits as u32;
        let parity_holds = value.count_ones() & 1 == (bits >> 32) as u32 & 1;
        if taken && parity_holds {
            if request.access_port {
                let (ap, register) = dap.selected(request.address);
                // A fault stays sticky in the port and answers the next request.
                let _ = dap.write_ap(target, ap, register, value);
            } else {
                dap.write_dp(request.address, value);
            }
        }
        Phase::Idle
    }

    fn push(&mut self, value: u64, count: u32) {
        self.answer.extend((0..count).map(|index| value >> index & 1 == 1));
    }
}
