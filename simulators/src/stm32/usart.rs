//! A USART's transmitter. A byte is out at once; baud rate and receiving are not modelled.

/// Which registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UsartLayout {
    /// F1: SR, DR, BRR, CR1 at 0x0C.
    Old,
    /// G0, L4: CR1 at 0x00, ISR, TDR.
    New,
}

const TRANSMIT_ENABLE: u32 = 1 << 3;
/// TXE and TC: whatever was written is out.
const IDLE: u32 = 1 << 7 | 1 << 6;
/// TEACK.
const TRANSMIT_ACKNOWLEDGED: u32 = 1 << 21;
const REGISTERS: usize = 12;

impl UsartLayout {
    fn control(self) -> u32 {
        match self {
            Self::Old => 0x0C,
            Self::New => 0x00,
        }
    }

    fn enable(self) -> u32 {
        match self {
            Self::Old => 1 << 13,
            Self::New => 1 << 0,
        }
    }

    fn status(self) -> u32 {
        match self {
            Self::Old => 0x00,
            Self::New => 0x1C,
        }
    }

    fn data(self) -> u32 {
        match self {
            Self::Old => 0x04,
            Self::New => 0x28,
        }
    }
}

/// The transmitter.
#[derive(Debug)]
pub(super) struct Usart {
    layout: UsartLayout,
    registers: [u32; REGISTERS],
    out: Vec<u8>,
}

impl Usart {
    pub(super) fn new(layout: UsartLayout) -> Self {
        Self { layout, registers: [0; REGISTERS], out: Vec::new() }
    }

    /// Back to the reset state; bytes already sent stay sent.
    pub(super) fn reset(&mut self) {
        self.registers = [0; REGISTERS];
    }

    /// Bytes sent since the last call.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    pub(super) fn read(&self, offset: u32) -> u32 {
        if offset == self.layout.status() {
            let acknowledged = self.layout == UsartLayout::New && self.transmits();
            return IDLE | if acknowledged { TRANSMIT_ACKNOWLEDGED } else { 0 };
        }
        if offset == self.layout.data() {
            return 0;
        }
        self.registers.get(offset as usize / 4).copied().unwrap_or(0)
    }

    pub(super) fn write(&mut self, offset: u32, value: u32) {
        if offset == self.layout.data() {
            if self.transmits() {
                self.out.push(value as u8);
            }
        } else if let Some(register) = self.registers.get_mut(offset as usize / 4) {
            *register = value;
        }
    }

    fn transmits(&self) -> bool {
        let control = self.registers[self.layout.control() as usize / 4];
        let needed = self.layout.enable() | TRANSMIT_ENABLE;
        control & needed == needed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_only_through_an_enabled_transmitter() {
        for (layout, enabled) in [(UsartLayout::Old, 0x2008), (UsartLayout::New, 0x0009)] {
            let mut usart = Usart::new(layout);
            for control in [0, 0x0008, enabled & !0x0008, enabled] {
                usart.write(layout.control(), control);
                usart.write(layout.data(), u32::from(b'a'));
                let expected: &[u8] = if control == enabled { b"a" } else { b"" };
                assert_eq!(usart.take(), expected, "{layout:?} {control:#x}");
            }
            assert_eq!(usart.read(layout.status()) & IDLE, IDLE);
            usart.reset();
            usart.write(layout.data(), u32::from(b'b'));
            assert_eq!(usart.take(), b"");
        }
    }
}
