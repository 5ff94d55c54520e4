//! A serial port over USB (CDC-ACM): it remembers its control lines and its line coding. Behind it is
//! an [`Echo`], or another [`FarEnd`].
//!
//! Ids of an STM32's virtual port, so that no rule for a known adapter meets it by accident.

use std::collections::VecDeque;
use std::time::Duration;

use super::gadget::{Gadget, Outcome};
use crate::dfu::Setup;

const DATA: u8 = 1;

/// The lines a host drives (USB PSTN 1.2, table 18).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lines {
    /// DTR.
    pub data_terminal_ready: bool,
    /// RTS.
    pub request_to_send: bool,
}

/// What is at the far end of a serial port.
pub trait FarEnd: Send + 'static {
    /// The host drives the lines.
    fn drive(&mut self, lines: Lines);

    /// Bytes from the host, sent at this rate.
    fn take(&mut self, bytes: &[u8], baud: u32);

    /// At most `bytes_max` bytes for a host that listens at this rate; `None` if there are none.
    fn give(&mut self, bytes_max: usize, baud: u32) -> Option<Vec<u8>>;
}

/// A far end that says what it hears.
#[derive(Debug, Clone, Default)]
pub struct Echo(VecDeque<u8>);

impl FarEnd for Echo {
    fn drive(&mut self, _lines: Lines) {}

    fn take(&mut self, bytes: &[u8], _baud: u32) {
        self.0.extend(bytes);
    }

    fn give(&mut self, bytes_max: usize, _baud: u32) -> Option<Vec<u8>> {
        let count = self.0.len().min(bytes_max);
        (count > 0).then(|| self.0.drain(..count).collect())
    }
}

/// The port, as a device on USB.
#[derive(Debug, Clone)]
pub struct Modem<F = Echo> {
    ids: (u16, u16),
    serial: String,
    far: F,
    coding: [u8; 7],
    lines: Vec<Lines>,
    powered: bool,
    enumerations: u32,
}

impl Modem {
    /// A port with these USB ids and this serial number, and an echo behind it.
    pub fn new(ids: (u16, u16), serial: &str) -> Self {
        Self::before(ids, serial, Echo::default())
    }
}

impl<F: FarEnd> Modem<F> {
    /// The same with something else behind it.
    pub fn before(ids: (u16, u16), serial: &str, far: F) -> Self {
        Self {
            ids,
            serial: serial.to_owned(),
            far,
            coding: [0x00, 0xC2, 0x01, 0x00, 0, 0, 8],
            lines: Vec::new(),
            powered: true,
            enumerations: 0,
        }
    }

    /// What is behind it.
    pub fn far(&mut self) -> &mut F {
        &mut self.far
    }

    /// Every state the host has put the lines into, in order.
    pub fn lines(&self) -> &[Lines] {
        &self.lines
    }

    /// Symbols per second that the host has asked for.
    pub fn baud(&self) -> u32 {
        u32::from_le_bytes([self.coding[0], self.coding[1], self.coding[2], self.coding[3]])
    }

    /// Device descriptor of a CDC device (USB CDC 1.2, 4.1).
    fn head(&self) -> Vec<u8> {
        let mut whole = vec![18, 1, 0x00, 0x02, 2, 0, 0, 64];
        let words = [self.ids.0, self.ids.1, 0x0100];
        whole.extend(words.into_iter().flat_map(u16::to_le_bytes));
        whole.extend([1, 2, 3, 1]);
        whole
    }

    /// One communication interface with its functional descriptors, one data interface (USB PSTN
    /// 1.2, 5.3).
    fn configuration() -> Vec<u8> {
        let mut body = vec![9, 4, 0, 0, 1, 2, 2, 1, 0];
        body.extend([5, 0x24, 0, 0x20, 0x01]);
        body.extend([5, 0x24, 1, 0, 1]);
        body.extend([4, 0x24, 2, 0x02]);
        body.extend([5, 0x24, 6, 0, 1]);
        body.extend([7, 5, 0x82, 3, 8, 0, 16]);
        body.extend([9, 4, 1, 0, 2, 0x0A, 0, 0, 0]);
        body.extend([7, 5, DATA, 2, 64, 0, 0]);
        body.extend([7, 5, 0x80 | DATA, 2, 64, 0, 0]);
        let total = u16::try_from(9 + body.len()).unwrap_or(u16::MAX).to_le_bytes();
        let mut whole = vec![9, 2, total[0], total[1], 2, 1, 0, 0xC0, 50];
        whole.extend(body);
        whole
    }

    fn describe(&self, value: u16) -> Option<Vec<u8>> {
        let [index, kind] = value.to_le_bytes();
        let text = |text: &str| {
            let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            let mut whole = vec![u8::try_from(units.len() + 2).unwrap_or(u8::MAX), 3];
            whole.extend(units);
            whole
        };
        match (kind, index) {
            (1, 0) => Some(self.head()),
            (2, 0) => Some(Self::configuration()),
            (3, 0) => Some(vec![4, 3, 0x09, 0x04]),
            (3, 1) => Some(text("Simulated")),
            (3, 2) => Some(text("Serial port")),
            (3, 3) => Some(text(&self.serial)),
            _ => None,
        }
    }
}

impl<F: FarEnd> Gadget for Modem<F> {
    fn is_on_the_bus(&self) -> bool {
        self.powered
    }

    fn enumerations(&self) -> u32 {
        self.enumerations
    }

    fn power(&mut self, on: bool) {
        self.powered = on;
        self.enumerations += u32::from(on);
    }

    fn control(&mut self, setup: Setup, out: &[u8], _now: Duration) -> Outcome {
        match (setup.kind, setup.request) {
            (0x80, 6) => match self.describe(setup.value) {
                Some(mut bytes) => {
                    bytes.truncate(setup.length.into());
                    Outcome::Done(bytes)
                }
                None => Outcome::Stall,
            },
            // SET_LINE_CODING, GET_LINE_CODING, SET_CONTROL_LINE_STATE.
            (0x21, 0x20) => match out.try_into() {
                Ok(coding) => {
                    self.coding = coding;
                    Outcome::Done(Vec::new())
                }
                Err(_) => Outcome::Stall,
            },
            (0xA1, 0x21) => Outcome::Done(self.coding.to_vec()),
            (0x21, 0x22) => {
                let (data_terminal_ready, request_to_send) =
                    (setup.value & 1 != 0, setup.value & 2 != 0);
                let lines = Lines { data_terminal_ready, request_to_send };
                self.lines.push(lines);
                self.far.drive(lines);
                Outcome::Done(Vec::new())
            }
            _ => Outcome::Stall,
        }
    }

    fn select(&mut self, _alternate: u8) {}

    fn take(&mut self, endpoint: u8, bytes: &[u8]) {
        if endpoint == DATA {
            self.far.take(bytes, self.baud());
        }
    }

    fn give(&mut self, endpoint: u8, bytes_max: usize) -> Option<Vec<u8>> {
        let baud = self.baud();
        if endpoint == DATA { self.far.give(bytes_max, baud) } else { None }
    }
}
