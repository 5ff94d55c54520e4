//! The serial line between a station and one chip: rates, time on the wire, faults.
//!
//! Owns the loader's measured baud rate. A byte sent at another rate arrives as another byte; a
//! first byte faster than the loader can measure leaves it deaf. Told the time, never asks.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;

use super::chip::Chip;
use super::lever::Lever;
use super::machine::{Machine, SYNC};
use super::serve::{Arrival, Line};

/// Start, eight data bits, parity, stop.
const BITS_PER_BYTE: u64 = 11;
/// From Go to the first byte the program says.
const BOOT: Duration = Duration::from_millis(20);
/// The rate the program in flash speaks at.
const FIRMWARE_BAUD: u32 = 115_200;

/// Faults in one direction.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Fault {
    skip: u32,
    left: u32,
}

impl Fault {
    /// After `skip` bytes, the next `left` bytes are hit.
    pub(crate) fn new(left: u32, skip: u32) -> Self {
        Self { skip, left }
    }

    /// Whether this byte is hit.
    pub(crate) fn hits(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.left -= 1;
        true
    }
}

/// A byte on its way to the station.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) due: Duration,
    pub(crate) byte: u8,
    pub(crate) baud: u32,
    pub(crate) damaged: bool,
}

impl Sent {
    /// As a station listening at this rate receives it: bits that do not end where they should are
    /// no whole byte.
    pub(crate) fn at(self, baud: u32) -> Arrival {
        let byte = garbled(self.byte, self.baud, baud);
        Arrival { byte, damaged: self.damaged || !alike(self.baud, baud) }
    }
}

/// A chip with its wire.
#[derive(Debug)]
pub struct Wire {
    chip: Chip,
    machine: Machine,
    /// Factor on the time of bytes and of the chip; 0 = everything is instant.
    time_scale: f64,
    powered: bool,
    seated: bool,
    /// The adapter is gone.
    unplugged: bool,
    silent: bool,
    /// The rate the loader measured.
    baud: Option<u32>,
    noise: Fault,
    noise_in: Fault,
    damage: Fault,
    drop: Fault,
    says: String,
    /// When the line towards the chip, and towards the station, is free again.
    in_free: Duration,
    out_free: Duration,
    out: VecDeque<Sent>,
}

impl Wire {
    /// A seated, powered chip in its loader.
    #[must_use]
    pub fn new(chip: Chip, time_scale: f64) -> Self {
        Self {
            chip,
            machine: Machine::default(),
            time_scale,
            powered: true,
            seated: true,
            unplugged: false,
            silent: false,
            baud: None,
            noise: Fault::default(),
            noise_in: Fault::default(),
            damage: Fault::default(),
            drop: Fault::default(),
            says: String::new(),
            in_free: Duration::ZERO,
            out_free: Duration::ZERO,
            out: VecDeque::new(),
        }
    }

    fn take(&mut self, byte: u8, baud: u32) {
        let at = self.in_free;
        let byte = if self.noise_in.hits() { byte ^ 0x10 } else { byte };
        let byte = match self.baud {
            None => {
                self.baud = Some(baud);
                // Too fast to be measured: whatever it took for the rate, it was not SYNC.
                if baud > self.chip.model.baud_max { !SYNC } else { byte }
            }
            Some(measured) => garbled(byte, baud, measured),
        };
        let rate = self.baud.unwrap_or(baud);
        let outcome = self.machine.take(byte, &mut self.chip);
        if outcome.power_lost {
            self.power(false);
            return;
        }
        for (after, byte) in outcome.answers {
            let start = at + after.mul_f64(self.time_scale);
            self.send(byte, rate, start);
        }
        if self.machine.fresh() {
            self.baud = None;
        }
        if outcome.started && !self.says.is_empty() {
            let start = self.out_free.max(at) + BOOT;
            for byte in format!("{}\r\n", self.says).into_bytes() {
                self.send(byte, FIRMWARE_BAUD, start);
            }
        }
    }

    fn send(&mut self, byte: u8, baud: u32, start: Duration) {
        self.out_free = self.out_free.max(start) + self.byte_time(baud);
        if self.silent || self.drop.hits() {
            return;
        }
        let byte = if self.noise.hits() { byte ^ 0x04 } else { byte };
        let damaged = self.damage.hits();
        let byte = if damaged { byte ^ 0x02 } else { byte };
        self.out.push_back(Sent { due: self.out_free, byte, baud, damaged });
    }

    fn byte_time(&self, baud: u32) -> Duration {
        let bits = Duration::from_nanos(BITS_PER_BYTE * 1_000_000_000 / u64::from(baud.max(1)));
        bits.mul_f64(self.time_scale)
    }

    fn alive(&self) -> bool {
        self.powered && self.seated
    }

    fn power(&mut self, on: bool) {
        self.powered = on;
        self.restart();
    }

    fn restart(&mut self) {
        self.machine.reset();
        self.baud = None;
        self.out.clear();
    }

    fn dump(&self, path: &std::path::Path) -> String {
        use std::io::Write;
        let bytes = self.chip.read(self.chip.flash().start, self.chip.model.flash_bytes());
        match std::fs::File::create(path).and_then(|mut file| file.write_all(&bytes)) {
            Ok(()) => format!("ok {}", bytes.len()),
            Err(error) => format!("error {error}"),
        }
    }
}

impl Line for Wire {
    fn receive(&mut self, bytes: &[u8], baud: u32, now: Duration) {
        for byte in bytes {
            self.in_free = self.in_free.max(now) + self.byte_time(baud);
            if self.alive() {
                self.take(*byte, baud);
            }
        }
    }

    fn arrived(&mut self, baud: u32, now: Duration) -> Vec<Arrival> {
        let mut bytes = Vec::new();
        while let Some(sent) = self.out.pop_front_if(|sent| sent.due <= now) {
            bytes.push(sent.at(baud));
        }
        bytes
    }

    fn next_due(&self) -> Option<Duration> {
        self.out.front().map(|sent| sent.due)
    }

    fn unplugged(&self) -> bool {
        self.unplugged
    }

    fn pull(&mut self, lever: Lever) -> String {
        match lever {
            Lever::Power(on) => self.power(on),
            Lever::Seated(seated) => {
                self.seated = seated;
                self.restart();
            }
            Lever::Unplug => self.unplugged = true,
            Lever::Reset => self.restart(),
            Lever::Lock => {
                self.chip.lock(true);
            }
            Lever::Cut(bytes) => self.chip.cut_in = Some(bytes),
            Lever::Stuck(address, bit) => {
                if !self.chip.stick(address, bit) {
                    return "error no such cell".to_owned();
                }
            }
            Lever::Flip(address, bit) => {
                if !self.chip.flip(address, bit) {
                    return "error no such cell".to_owned();
                }
            }
            Lever::Run => return "error this chip is started by Go".to_owned(),
            Lever::Silence => self.silent = true,
            Lever::Nack(count) => self.machine.nacks_due = count,
            Lever::Noise(left, skip) => self.noise = Fault::new(left, skip),
            Lever::NoiseIn(left, skip) => self.noise_in = Fault::new(left, skip),
            Lever::Damage(left, skip) => self.damage = Fault::new(left, skip),
            Lever::Drop(left, skip) => self.drop = Fault::new(left, skip),
            Lever::Baud(rate) => {
                self.restart();
                self.machine.take(SYNC, &mut self.chip);
                self.baud = Some(rate);
            }
            Lever::Says(text) => self.says = text,
            Lever::Heal => {
                self.chip.heal();
                self.machine.nacks_due = 0;
                self.silent = false;
                (self.noise, self.noise_in, self.damage, self.drop) = Default::default();
            }
            Lever::Dump(path) => return self.dump(&path),
            Lever::DumpHex(address, length) => {
                return if self.chip.readable(address, length) {
                    format!("ok {}", hex::encode(self.chip.read(address, length)))
                } else {
                    "error no such memory".to_owned()
                };
            }
            Lever::Counters => {
                let (chip, machine) = (&self.chip, &self.machine);
                let totals = json!({
                    "programmed_bytes": chip.programmed_bytes,
                    "kept_bytes": chip.kept_bytes,
                    "page_erases": chip.page_erases,
                    "mass_erases": chip.mass_erases,
                    "busy_ns": u64::try_from(chip.busy.as_nanos()).unwrap_or(u64::MAX),
                    "commands": machine.commands,
                    "refused": machine.refused,
                });
                return format!("ok {totals}");
            }
            Lever::State => {
                let state = json!({
                    "seated": self.seated,
                    "powered": self.powered,
                    "locked": self.chip.locked,
                    "synced": self.machine.synced(),
                    "running": self.machine.running(),
                    "baud": self.baud,
                });
                return format!("ok {state}");
            }
        }
        "ok".to_owned()
    }
}

/// Whether two rates are near enough for each other. UARTs bear about 4 %.
pub(crate) fn alike(sending: u32, listening: u32) -> bool {
    sending.abs_diff(listening) <= listening / 25
}

/// What a receiver at `listening` makes of a byte sent at `sending`.
pub(crate) fn garbled(byte: u8, sending: u32, listening: u32) -> u8 {
    if alike(sending, listening) {
        byte
    } else {
        // No pair of a byte and its complement stays one, and no ACK or NACK comes of the other.
        byte.wrapping_mul(5).wrapping_add(0x33)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rom_loader::machine::{ACK, NACK};
    use crate::rom_loader::models::model;

    fn wire(time_scale: f64) -> Wire {
        Wire::new(Chip::new(model("stm32f103").unwrap(), [3; 12], None).unwrap(), time_scale)
    }

    fn bytes_of(arrivals: Vec<Arrival>) -> Vec<u8> {
        arrivals.into_iter().map(|arrival| arrival.byte).collect()
    }

    fn ask(wire: &mut Wire, bytes: &[u8], baud: u32) -> Vec<u8> {
        wire.receive(bytes, baud, Duration::ZERO);
        bytes_of(wire.arrived(baud, Duration::from_secs(60)))
    }

    #[test]
    fn the_first_byte_sets_the_rate_and_other_rates_are_garbage_both_ways() {
        let mut wire = wire(0.0);
        assert_eq!(ask(&mut wire, &[SYNC], 57_600), [ACK]);
        assert_eq!(ask(&mut wire, &[SYNC, SYNC], 57_600), [NACK]);
        let heard = ask(&mut wire, &[SYNC, SYNC], 115_200);
        assert!(heard.len() == 1 && heard[0] != ACK && heard[0] != NACK, "{heard:02x?}");
        assert_eq!(ask(&mut wire, &[SYNC, SYNC], 57_600), [NACK]);
        wire.pull(Lever::Reset);
        assert_eq!(ask(&mut wire, &[SYNC], 9600), [ACK]);
        wire.pull(Lever::Reset);
        assert!(ask(&mut wire, &[SYNC, SYNC, SYNC], 460_800).is_empty());
    }

    #[test]
    fn bytes_take_their_time_on_the_wire_and_the_chip_its_own() {
        let mut wire = wire(1.0);
        let byte = Duration::from_nanos(11_000_000_000 / 115_200);
        wire.receive(&[SYNC], 115_200, Duration::ZERO);
        assert_eq!(wire.next_due(), Some(2 * byte));
        assert_eq!(bytes_of(wire.arrived(115_200, 2 * byte)), [ACK]);
        let later = Duration::from_secs(1);
        wire.receive(&[0x43, 0xBC, 0, 1, 1], 115_200, later);
        assert_eq!(bytes_of(wire.arrived(115_200, later + 3 * byte)), [ACK]);
        let due = wire.next_due().unwrap();
        assert_eq!(due, later + 6 * byte + wire.chip.model.erase_time);
    }

    #[test]
    fn a_byte_is_damaged_by_a_disturbance_and_by_a_receiver_at_another_rate() {
        let mut wire = wire(0.0);
        assert_eq!(ask(&mut wire, &[SYNC], 57_600), [ACK]);
        let mut check = |lever: Lever, baud: u32, damaged: &[bool]| {
            wire.pull(lever);
            wire.receive(&[0x02, 0xFD], 57_600, Duration::ZERO);
            let arrivals = wire.arrived(baud, Duration::from_secs(60));
            let found: Vec<bool> = arrivals.iter().map(|arrival| arrival.damaged).collect();
            assert_eq!(found, damaged);
        };
        check(Lever::Damage(2, 1), 57_600, &[false, true, true, false, false]);
        check(Lever::Heal, 57_600, &[false; 5]);
        check(Lever::Heal, 9600, &[true; 5]);
    }

    #[test]
    fn a_board_that_is_gone_says_nothing_and_comes_back_unsynced() {
        let mut wire = wire(0.0);
        assert_eq!(ask(&mut wire, &[SYNC], 9600), [ACK]);
        wire.pull(Lever::Seated(false));
        assert!(ask(&mut wire, &[SYNC, SYNC], 9600).is_empty());
        wire.pull(Lever::Seated(true));
        assert_eq!(ask(&mut wire, &[SYNC], 115_200), [ACK]);
    }

    #[test]
    fn after_readout_protection_the_loader_measures_its_rate_anew() {
        let mut wire = wire(0.0);
        assert_eq!(ask(&mut wire, &[SYNC, 0x82, 0x7D], 9600), [ACK, ACK, ACK]);
        assert_eq!(ask(&mut wire, &[SYNC], 115_200), [ACK]);
    }
}
