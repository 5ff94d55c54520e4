//! A chain of test access ports (IEEE 1149.1), clock by clock, from the chip's side.
//!
//! Owns the controller's sixteen states and the shift registers between TDI and TDO. Of the
//! instructions there are IDCODE and BYPASS: a Black Magic Probe carries accesses of the debug port
//! out in its own firmware, asked for by request and not by bits, so no DPACC or APACC scan ever
//! comes this way.

/// A test access port, as a scan of its chain finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tap {
    /// What it captures after a reset: version, part, maker, and a one in bit 0.
    pub idcode: u32,
    /// Length of its instruction register.
    pub ir_bits: u32,
    /// Its IDCODE instruction.
    pub idcode_instruction: u32,
}

/// Bits of a data register that is not bypassed.
const IDCODE_BITS: u32 = 32;
/// IEEE 1149.1 section 7.1.1: the two bits nearest to TDO capture 01.
const CAPTURED_INSTRUCTION: u32 = 0b01;

/// Where the controller is (IEEE 1149.1, figure 6-1). All ports of a chain share TMS and TCK, so
/// they are all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Test-Logic-Reset.
    Reset,
    /// Run-Test/Idle.
    Idle,
    /// A step on the way through the data registers.
    Data(Step),
    /// A step on the way through the instruction registers.
    Instruction(Step),
}

/// The steps that both ways have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Select-Scan.
    Select,
    /// Capture.
    Capture,
    /// Shift.
    Shift,
    /// Exit1.
    Exit1,
    /// Pause.
    Pause,
    /// Exit2.
    Exit2,
    /// Update.
    Update,
}

impl State {
    /// The state after one rising edge of TCK.
    #[must_use]
    pub fn after(self, tms: bool) -> Self {
        match (self, tms) {
            (Self::Reset, true) | (Self::Instruction(Step::Select), true) => Self::Reset,
            (Self::Reset | Self::Idle, false) => Self::Idle,
            (Self::Idle, true) => Self::Data(Step::Select),
            (Self::Data(Step::Select), true) => Self::Instruction(Step::Select),
            (Self::Data(Step::Update) | Self::Instruction(Step::Update), true) => {
                Self::Data(Step::Select)
            }
            (Self::Data(Step::Update) | Self::Instruction(Step::Update), false) => Self::Idle,
            (Self::Data(step), tms) => Self::Data(step.after(tms)),
            (Self::Instruction(step), tms) => Self::Instruction(step.after(tms)),
        }
    }
}

impl Step {
    /// The next step of the same way. Select with TMS high and Update leave it and are not asked.
    fn after(self, tms: bool) -> Self {
        match (self, tms) {
            (Self::Select, _) => Self::Capture,
            (Self::Capture | Self::Shift | Self::Exit2, false) => Self::Shift,
            (Self::Capture | Self::Shift, true) => Self::Exit1,
            (Self::Exit1 | Self::Pause, false) => Self::Pause,
            (Self::Exit1 | Self::Exit2, true) | (Self::Update, _) => Self::Update,
            (Self::Pause, true) => Self::Exit2,
        }
    }
}

/// The registers of one port.
#[derive(Debug, Clone, Copy)]
struct Port {
    tap: Tap,
    instruction: u32,
    shifting: u32,
    bits: u32,
}

impl Port {
    fn new(tap: Tap) -> Self {
        Self { tap, instruction: tap.idcode_instruction, shifting: 0, bits: 1 }
    }

    fn capture_data(&mut self) {
        (self.shifting, self.bits) = if self.instruction == self.tap.idcode_instruction {
            (self.tap.idcode, IDCODE_BITS)
        } else {
            (0, 1)
        };
    }

    fn capture_instruction(&mut self) {
        (self.shifting, self.bits) = (CAPTURED_INSTRUCTION, self.tap.ir_bits);
    }

    /// Takes a bit in at TDI and gives the one at TDO.
    fn shift(&mut self, tdi: bool) -> bool {
        let tdo = self.shifting & 1 == 1;
        self.shifting = self.shifting >> 1 | u32::from(tdi) << (self.bits - 1);
        tdo
    }
}

/// The ports of one chip.
#[derive(Debug)]
pub struct Chain {
    state: State,
    /// From TDI to TDO.
    ports: Vec<Port>,
}

impl Chain {
    /// A chain after power-up, of these ports from TDI to TDO.
    #[must_use]
    pub fn new(taps: &[Tap]) -> Self {
        Self { state: State::Reset, ports: taps.iter().copied().map(Port::new).collect() }
    }

    /// Whether these are its ports.
    #[must_use]
    pub fn is_of(&self, taps: &[Tap]) -> bool {
        self.ports.iter().map(|port| &port.tap).eq(taps)
    }

    /// One clock; the level at TDO before it. A chain of nothing is an open wire: the pull-up
    /// answers.
    pub fn clock(&mut self, tms: bool, tdi: bool) -> bool {
        let tdo = match self.state {
            State::Data(Step::Shift) | State::Instruction(Step::Shift) if self.ports.is_empty() => {
                true
            }
            State::Data(Step::Shift) | State::Instruction(Step::Shift) => {
                self.ports.iter_mut().fold(tdi, |bit, port| port.shift(bit))
            }
            // TDO is not driven outside the two shift states.
            State::Data(_) | State::Instruction(_) | State::Reset | State::Idle => true,
        };
        for port in &mut self.ports {
            match self.state {
                State::Data(Step::Capture) => port.capture_data(),
                State::Instruction(Step::Capture) => port.capture_instruction(),
                State::Instruction(Step::Update) => port.instruction = port.shifting,
                State::Reset => port.instruction = port.tap.idcode_instruction,
                State::Data(_) | State::Instruction(_) | State::Idle => {}
            }
        }
        self.state = self.state.after(tms);
        tdo
    }

    /// Where the controllers are.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEAR_TDI: Tap = Tap { idcode: 0x1641_0041, ir_bits: 5, idcode_instruction: 0b00001 };
    const NEAR_TDO: Tap = Tap { idcode: 0x3BA0_0477, ir_bits: 4, idcode_instruction: 0b1110 };

    fn walk(chain: &mut Chain, tms: &str) {
        for bit in tms.chars() {
            chain.clock(bit == '1', true);
        }
    }

    fn scan(chain: &mut Chain, bits: impl IntoIterator<Item = bool>) -> u128 {
        let bits: Vec<bool> = bits.into_iter().collect();
        let last = bits.len() - 1;
        bits.iter().enumerate().fold(0, |value, (index, bit)| {
            value | u128::from(chain.clock(index == last, *bit)) << index
        })
    }

    #[test]
    fn five_clocks_with_tms_high_reset_the_controller_from_everywhere() {
        let mut seen = vec![State::Reset];
        let mut next = 0;
        while let Some(state) = seen.get(next).copied() {
            next += 1;
            let reset = (0..5).fold(state, |state, _| state.after(true));
            assert_eq!(reset, State::Reset, "{state:?}");
            for state in [state.after(false), state.after(true)] {
                if !seen.contains(&state) {
                    seen.push(state);
                }
            }
        }
        assert_eq!(seen.len(), 16, "{seen:?}");
    }

    #[test]
    fn after_a_reset_every_port_tells_its_id_the_one_at_tdo_first() {
        let mut chain = Chain::new(&[NEAR_TDI, NEAR_TDO]);
        walk(&mut chain, "11111" /* reset */);
        walk(&mut chain, "0100" /* to the data registers */);
        let ids = scan(&mut chain, [true; 96]);
        assert_eq!(ids as u32, NEAR_TDO.idcode);
        assert_eq!((ids >> 32) as u32, NEAR_TDI.idcode);
        assert_eq!((ids >> 64) as u32, u32::MAX, "what was put in comes out behind");
    }

    #[test]
    fn instructions_capture_one_and_a_bypassed_port_is_one_bit_long() {
        let mut chain = Chain::new(&[NEAR_TDI, NEAR_TDO]);
        walk(&mut chain, "11111");
        walk(&mut chain, "01100" /* to the instruction registers */);
        assert_eq!(scan(&mut chain, [true; 9]), 0b0_0001_0001);
        walk(&mut chain, "1" /* update: all ones is BYPASS */);
        walk(&mut chain, "100" /* to the data registers */);
        assert_eq!(scan(&mut chain, [true; 4]), 0b1100);
    }

    #[test]
    fn without_ports_the_pull_up_answers() {
        let mut chain = Chain::new(&[]);
        walk(&mut chain, "111110100");
        assert_eq!(chain.state(), State::Data(Step::Shift));
        assert_eq!(scan(&mut chain, [false; 64]), u128::from(u64::MAX));
    }
}
