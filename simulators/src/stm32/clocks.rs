//! Reset and clock control: oscillators that are ready as soon as they are switched on, and the
//! bits that give a peripheral its clock.

const REGISTERS: usize = 256;
const CONTROL: u32 = 0x00;

/// What differs between families.
#[derive(Debug)]
pub(super) struct ClockLayout {
    /// Address of the block.
    pub(super) at: u32,
    /// Registers that are not 0 after a reset.
    pub(super) after_reset: &'static [(u32, u32)],
    /// In the control register: an oscillator's switch and its ready bit.
    pub(super) oscillators: &'static [(u32, u32)],
    /// The configuration register.
    pub(super) configuration: u32,
    /// In it: the bits that choose the system clock, and how far up they are answered.
    pub(super) choice: (u32, u32),
}

/// The registers.
#[derive(Debug)]
pub(super) struct Clocks {
    layout: &'static ClockLayout,
    registers: [u32; REGISTERS],
}

impl Clocks {
    pub(super) fn new(layout: &'static ClockLayout) -> Self {
        let mut clocks = Self { layout, registers: [0; REGISTERS] };
        clocks.reset();
        clocks
    }

    pub(super) fn reset(&mut self) {
        self.registers = [0; REGISTERS];
        for &(offset, value) in self.layout.after_reset {
            self.registers[offset as usize / 4] = value;
        }
    }

    pub(super) fn read(&self, offset: u32) -> u32 {
        let value = self.registers.get(offset as usize / 4).copied().unwrap_or(0);
        if offset == CONTROL {
            return self.layout.oscillators.iter().fold(value, |value, (switch, ready)| {
                let on = value >> switch & 1;
                value & !(1 << ready) | on << ready
            });
        }
        if offset == self.layout.configuration {
            let (mask, up) = self.layout.choice;
            return value & !(mask << up) | (value & mask) << up;
        }
        value
    }

    pub(super) fn write(&mut self, offset: u32, value: u32) {
        if let Some(register) = self.registers.get_mut(offset as usize / 4) {
            *register = value;
        }
    }

    /// Whether the peripheral behind this register and bit has its clock.
    pub(super) fn feeds(&self, enable: (u32, u32)) -> bool {
        let (offset, bit) = enable;
        self.registers[offset as usize / 4] >> bit & 1 == 1
    }
}
