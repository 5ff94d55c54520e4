//! Several debug ports on one pair of wires: SWD version 2.
//!
//! Owns which of them listens. They wake from dormant state by the selection alert, a line reset
//! takes the choice back, TARGETSEL makes it anew, and the bits that follow are the chosen port's
//! ([`crate::swd::Wire`]). ADIv6.0, B5.3 "Dormant operation" and B4.3.4 "Target selection, SWD
//! protocol version 2". A chip with one debug port has no choice to make and no dormant state.

use crate::dap::{Dap, Target};
use crate::swd::{LINE_RESET_ONES, Wire};

/// The alert, first bit lowest, and the code behind four more cycles that chooses SWD.
const ALERT: u128 = 0x19BC_0EA2_E3DD_AFE9_8685_2D95_6209_F392;
const ACTIVATION: u32 = 0x1A0;
const ACTIVATION_BITS: u32 = 12;
/// A write of TARGETSEL, first bit lowest; five cycles that nobody drives; 32 bits and their parity.
const SELECT_REQUEST: u64 = 0x99;
const SELECT_DATA_AT: u32 = 8 + 5;
const SELECT_BITS: u32 = SELECT_DATA_AT + 33;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Only the alert is understood; the last 128 bits.
    Dormant(u128),
    /// The alert was there: the activation code so far, and its bits.
    Alerted(u32, u32),
    /// Nobody listens until a line reset.
    Deaf,
    /// Waits for TARGETSEL: the bits of it so far, and how many.
    Choosing(u64, u32),
    /// This port listens.
    Chosen(usize),
}

/// All debug ports of a chip.
#[derive(Debug)]
pub struct Drops {
    /// Their ids, as TARGETSEL names them; none where there is one port and no choice.
    targets: &'static [u32],
    state: State,
    ones: u32,
    wire: Wire,
    daps: Vec<Dap>,
}

impl Drops {
    /// The ports of a chip that has just got its power.
    #[must_use]
    pub fn new(targets: &'static [u32]) -> Self {
        let state = if targets.is_empty() { State::Chosen(0) } else { State::Dormant(0) };
        Self { targets, state, ones: 0, wire: Wire::default(), daps: ports(targets) }
    }

    /// The probe drives `count` bits, least significant first. `target` is `None` without power.
    pub fn drive<T: Target>(&mut self, bits: u64, count: u32, mut target: Option<&mut T>) {
        let Some(target) = &mut target else {
            *self = Self::new(self.targets);
            return;
        };
        self.wire.forget_answer();
        for index in 0..count {
            self.bit(bits >> index & 1 == 1, *target);
        }
    }

    /// The probe samples `count` bits, least significant first; nobody drives: ones.
    pub fn sample(&mut self, count: u32) -> u64 {
        self.wire.sample(count)
    }

    fn bit(&mut self, bit: bool, target: &mut impl Target) {
        self.ones = if bit { self.ones + 1 } else { 0 };
        let several = !self.targets.is_empty();
        let awake = !matches!(self.state, State::Dormant(_) | State::Alerted(..));
        if several && awake && self.ones >= LINE_RESET_ONES {
            self.state = State::Choosing(0, 0);
            return;
        }
        self.state = match self.state {
            State::Dormant(last) => match last >> 1 | u128::from(bit) << 127 {
                ALERT => State::Alerted(0, 0),
                last => State::Dormant(last),
            },
            State::Alerted(code, bits) => match (code | u32::from(bit) << bits, bits + 1) {
                (ACTIVATION, ACTIVATION_BITS) => State::Deaf,
                (_, ACTIVATION_BITS) => State::Dormant(0),
                (code, bits) => State::Alerted(code, bits),
            },
            State::Deaf => State::Deaf,
            // Idle cycles before the request.
            State::Choosing(_, 0) if !bit => State::Choosing(0, 0),
            State::Choosing(bits, count) => self.choose(bits | u64::from(bit) << count, count + 1),
            State::Chosen(port) => {
                target.address(port);
                self.wire.bit(bit, &mut self.daps[port], target);
                self.after(port, target)
            }
        };
    }

    fn choose(&mut self, bits: u64, count: u32) -> State {
        if count == 8 && bits != SELECT_REQUEST {
            return State::Deaf;
        }
        if count < SELECT_BITS {
            return State::Choosing(bits, count);
        }
        let data = bits >> SELECT_DATA_AT;
        let (id, parity) = (data as u32, (data >> 32) as u32 & 1);
        let chosen = self.targets.iter().position(|target| *target == id);
        match chosen.filter(|_| parity == id.count_ones() & 1) {
            Some(port) => {
                self.wire = Wire::after_line_reset();
                State::Chosen(port)
            }
            None => State::Deaf,
        }
    }

    /// A rescue port whose power-up request goes away resets the chip, debug ports and all.
    fn after(&mut self, port: usize, target: &mut impl Target) -> State {
        let is_rescue = self.targets.get(port).is_some_and(|target| target >> 28 == 0xF);
        if is_rescue && self.daps[port].take_power_down() {
            target.rescue();
            self.daps = ports(self.targets);
        }
        State::Chosen(port)
    }
}

fn ports(targets: &[u32]) -> Vec<Dap> {
    match targets {
        [] => vec![Dap::default()],
        targets => targets.iter().map(|target| Dap::of(*target)).collect(),
    }
}
