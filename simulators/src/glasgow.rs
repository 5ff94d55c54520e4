//! A second probe in front of a board: the wire protocol of probe-rs' applet for the Glasgow
//! Interface Explorer, which drives single SWD transfers and therefore any debug port.
//!
//! Owns the packets (COBS, a target's number, then a stream of commands) and what each command does to
//! the wires. probe-rs 0.32 speaks it over TCP (`src/probe/glasgow/proto.rs`); its Black Magic driver
//! refuses chips with several debug ports. The real applet answers in order, like this one.

use crate::multidrop::Drops;
use crate::probe::Fixture;

const ROOT: u8 = 0;
const SWD: u8 = 1;
const IDENTIFIER: &[u8] = b"probe-rs,v01";
/// The clock that divisors divide.
const REFERENCE_HZ: u32 = 48_000_000;

const IDENTIFY: u8 = 0x00;
const GET_REFERENCE: u8 = 0x10;
const GET_DIVISOR: u8 = 0x11;
const SET_DIVISOR: u8 = 0x12;
const ASSERT_RESET: u8 = 0x20;
const CLEAR_RESET: u8 = 0x21;

const SEQUENCE: u8 = 0x20;
const SEQUENCE_BITS: u8 = 0x1F;
const NO_DATA: u8 = 0x10;
const NOBODY: u8 = 0x20;
const ACK_OK: u64 = 0b001;

/// Why a packet means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbled;

/// The probe.
#[derive(Debug)]
pub struct Glasgow {
    drops: Drops,
    targets: &'static [u32],
    divisor: u16,
    /// Commands of each stream that are not whole yet.
    pending: [Vec<u8>; 2],
}

impl Glasgow {
    /// A probe in front of a chip with these debug ports.
    #[must_use]
    pub fn new(targets: &'static [u32]) -> Self {
        let pending = [Vec::new(), Vec::new()];
        Self { drops: Drops::new(targets), targets, divisor: 0, pending }
    }

    /// The target lost its power: its debug ports start anew.
    pub fn forget_target(&mut self) {
        self.drops = Drops::new(self.targets);
    }

    /// Carries out one packet, without the zero that ends it; the answers, each with its zero.
    ///
    /// # Errors
    /// [`Garbled`] for what is no packet or names no stream.
    pub fn answer(
        &mut self,
        fixture: &mut impl Fixture,
        packet: &[u8],
    ) -> Result<Vec<u8>, Garbled> {
        let packet = cobs::decode_vec(packet).map_err(|_| Garbled)?;
        let (&stream, commands) = packet.split_first().ok_or(Garbled)?;
        let pending = self.pending.get_mut(usize::from(stream)).ok_or(Garbled)?;
        pending.extend(commands);
        let mut commands = std::mem::take(pending);
        let mut answer = vec![stream];
        let mut used = 0;
        while let Some(length) = whole(stream, &commands[used..]) {
            let command = &commands[used..used + length];
            match stream {
                ROOT => self.root(fixture, command, &mut answer),
                _ => self.swd(fixture, command, &mut answer),
            }
            used += length;
        }
        commands.drain(..used);
        self.pending[usize::from(stream)] = commands;
        if answer.len() == 1 {
            return Ok(Vec::new());
        }
        let mut encoded = cobs::encode_vec(&answer);
        encoded.push(0);
        Ok(encoded)
    }

    fn root(&mut self, fixture: &mut impl Fixture, command: &[u8], answer: &mut Vec<u8>) {
        match command[0] {
            IDENTIFY => answer.extend(IDENTIFIER),
            GET_REFERENCE => answer.extend(REFERENCE_HZ.to_le_bytes()),
            GET_DIVISOR => answer.extend(self.divisor.to_le_bytes()),
            SET_DIVISOR => self.divisor = u16::from_le_bytes([command[1], command[2]]),
            ASSERT_RESET => fixture.reset_pin(true),
            CLEAR_RESET => fixture.reset_pin(false),
            _ => {}
        }
    }

    fn swd<F: Fixture>(&mut self, fixture: &mut F, command: &[u8], answer: &mut Vec<u8>) {
        let mut target = fixture.answers().then_some(fixture);
        let word = || {
            let bytes = command.get(1..5).and_then(|bytes| bytes.try_into().ok());
            u64::from(bytes.map_or(0, u32::from_le_bytes))
        };
        if command[0] & SEQUENCE != 0 {
            let count = match command[0] & SEQUENCE_BITS {
                0 => 32,
                count => u32::from(count),
            };
            self.drops.drive(word(), count, target);
            return;
        }
        // Start, APnDP, RnW, A[2:3], their parity, stop, park.
        let fields = u64::from(command[0] & 0xF);
        let request = 1 | fields << 1 | u64::from(fields.count_ones() & 1) << 5 | 1 << 7;
        self.drops.drive(request, 8, target.as_deref_mut());
        let acknowledge = self.drops.sample(3);
        let reads = command[0] & 2 != 0;
        match acknowledge {
            ACK_OK if reads => {
                let value = self.drops.sample(33);
                answer.push(ACK_OK as u8);
                answer.extend((value as u32).to_le_bytes());
            }
            ACK_OK => {
                let parity = u64::from(word().count_ones() & 1);
                self.drops.drive(word() | parity << 32, 33, target);
                answer.push(NO_DATA | ACK_OK as u8);
            }
            0b010 | 0b100 => answer.push(NO_DATA | acknowledge as u8),
            _ => answer.push(NOBODY),
        }
    }
}

/// Bytes of the command that a stream begins with, if all of them are there.
fn whole(stream: u8, commands: &[u8]) -> Option<usize> {
    let first = *commands.first()?;
    let length = match (stream, first) {
        (ROOT, SET_DIVISOR) => 3,
        (ROOT, _) => 1,
        (SWD, _) if first & SEQUENCE != 0 || first & 2 == 0 => 5,
        _ => 1,
    };
    (commands.len() >= length).then_some(length)
}
