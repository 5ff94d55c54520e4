//! UART0 / UARTE0, transmit only.
//!
//! Both register layouts share one address: the old byte-wise TXD and the EasyDMA one. A byte is
//! out at once; flow control, baud rate and receiving are not modelled.

/// Address of the peripheral.
pub(crate) const BASE: u32 = 0x4000_2000;

const STARTTX: u32 = 0x008;
const STOPTX: u32 = 0x00C;
const TXDRDY: u32 = 0x11C;
const ENDTX: u32 = 0x120;
const TXSTARTED: u32 = 0x150;
const TXSTOPPED: u32 = 0x158;
const ENABLE: u32 = 0x500;
const PSEL_TXD: u32 = 0x50C;
const TXD: u32 = 0x51C;
const BAUDRATE: u32 = 0x524;
const TXD_PTR: u32 = 0x544;
const TXD_MAXCNT: u32 = 0x548;
const TXD_AMOUNT: u32 = 0x54C;

const AS_UART: u32 = 4;
const AS_UARTE: u32 = 8;

/// What a register write asks the chip to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dma {
    /// Nothing more.
    None,
    /// Fetch `length` bytes of RAM at `address` and give them to [`Uart::send`].
    Fetch {
        /// First byte.
        address: u32,
        /// Number of bytes.
        length: u32,
    },
}

/// The transmitter.
#[derive(Debug, Default)]
pub struct Uart {
    enable: u32,
    psel_txd: u32,
    baudrate: u32,
    pointer: u32,
    max_count: u32,
    amount: u32,
    started: bool,
    ready: bool,
    end: bool,
    tx_started: bool,
    tx_stopped: bool,
    out: Vec<u8>,
}

impl Uart {
    /// Back to the reset state; bytes already sent stay sent.
    pub fn reset(&mut self) {
        let out = std::mem::take(&mut self.out);
        *self = Self { psel_txd: 0xFFFF_FFFF, out, ..Self::default() };
    }

    /// Bytes sent since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }

    /// Whether bytes wait to be taken.
    #[must_use]
    pub fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    /// Reads the register at byte `offset`.
    #[must_use]
    pub fn read(&self, offset: u32) -> u32 {
        match offset {
            TXDRDY => u32::from(self.ready),
            ENDTX => u32::from(self.end),
            TXSTARTED => u32::from(self.tx_started),
            TXSTOPPED => u32::from(self.tx_stopped),
            ENABLE => self.enable,
            PSEL_TXD => self.psel_txd,
            BAUDRATE => self.baudrate,
            TXD_PTR => self.pointer,
            TXD_MAXCNT => self.max_count,
            TXD_AMOUNT => self.amount,
            _ => 0,
        }
    }

    /// Writes the register at byte `offset`.
    pub fn write(&mut self, offset: u32, value: u32) -> Dma {
        match offset {
            STARTTX if value == 1 && self.enable == AS_UART => self.started = true,
            STARTTX if value == 1 && self.enable == AS_UARTE => {
                self.tx_started = true;
                return Dma::Fetch { address: self.pointer, length: self.max_count };
            }
            STOPTX if value == 1 => {
                self.started = false;
                self.tx_stopped = true;
            }
            TXDRDY => self.ready = value != 0,
            ENDTX => self.end = value != 0,
            TXSTARTED => self.tx_started = value != 0,
            TXSTOPPED => self.tx_stopped = value != 0,
            ENABLE => self.enable = value & 0xF,
            PSEL_TXD => self.psel_txd = value,
            BAUDRATE => self.baudrate = value,
            TXD if self.started => {
                self.out.push(value as u8);
                self.ready = true;
            }
            TXD_PTR => self.pointer = value,
            TXD_MAXCNT => self.max_count = value & 0xFF,
            _ => {}
        }
        Dma::None
    }

    /// The bytes a [`Dma::Fetch`] found.
    pub fn send(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.amount = bytes.len() as u32;
        self.end = true;
        self.ready = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_leave_only_through_an_enabled_and_started_uart() {
        let mut uart = Uart::default();
        uart.write(TXD, u32::from(b'x'));
        uart.write(STARTTX, 1);
        uart.write(TXD, u32::from(b'x'));
        assert!(!uart.has_output());
        uart.write(ENABLE, AS_UART);
        uart.write(STARTTX, 1);
        uart.write(TXD, u32::from(b'a'));
        assert_eq!(uart.read(TXDRDY), 1);
        assert_eq!(uart.take(), b"a");
    }

    #[test]
    fn the_easy_dma_layout_names_the_bytes_to_fetch() {
        let mut uart = Uart::default();
        uart.write(ENABLE, AS_UARTE);
        uart.write(TXD_PTR, 0x2000_0100);
        uart.write(TXD_MAXCNT, 3);
        assert_eq!(uart.write(STARTTX, 1), Dma::Fetch { address: 0x2000_0100, length: 3 });
        uart.send(b"abc");
        assert_eq!((uart.read(ENDTX), uart.read(TXD_AMOUNT)), (1, 3));
        assert_eq!(uart.take(), b"abc");
    }
}
