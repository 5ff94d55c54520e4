//! The serial line between a station and one chip: rates, time on the wire, faults.
//!
//! The loader measures its rate from the first SYNC, and CHANGE_BAUDRATE sets it anew. A byte sent
//! at another rate arrives as another byte. Told the time, never asks.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use super::boot;
use super::chip::Chip;
use super::frame::{self, Receiver};
use super::rom::{Next, Rom};
use crate::rom_loader::lever::Lever;
use crate::rom_loader::serve::{Arrival, Line, Served, serve_line};
use crate::rom_loader::wire::{Fault, Sent, garbled};

/// Start, eight data bits, stop.
const BITS_PER_BYTE: u64 = 10;
/// The rate of everything that is said before the first SYNC, and by the program in flash.
const CONSOLE_BAUD: u32 = 115_200;
/// From reset to the first byte.
const BOOT: Duration = Duration::from_millis(20);
/// Above this the loader cannot measure the rate of a SYNC.
const MEASURED_MAX: u32 = 1_000_000;

/// What to serve.
#[derive(Debug)]
pub struct Settings {
    /// The chip.
    pub chip: Chip,
    /// Where the levers listen; port 0 picks one.
    pub control: SocketAddr,
    /// Factor on the time of bytes and of the chip; 0 = everything is instant.
    pub time_scale: f64,
}

/// Starts a loader on a pseudo-terminal.
///
/// # Errors
/// No pseudo-terminal, or the control port cannot be listened on.
pub fn serve(settings: Settings) -> io::Result<Served> {
    serve_line(Wire::new(settings.chip, settings.time_scale), settings.control)
}

/// A chip with its wire.
#[derive(Debug)]
pub struct Wire {
    chip: Chip,
    rom: Rom,
    receiver: Receiver,
    time_scale: f64,
    powered: bool,
    seated: bool,
    unplugged: bool,
    silent: bool,
    /// The program in flash has the chip.
    running: bool,
    /// The loader's rate, once it is known.
    rate: Option<u32>,
    noise: Fault,
    noise_in: Fault,
    damage: Fault,
    drop: Fault,
    /// When the line towards the chip, and towards the station, is free again.
    in_free: Duration,
    out_free: Duration,
    out: VecDeque<Sent>,
    /// The chip was reset and its first lines are not yet on the wire.
    greets: bool,
}

impl Wire {
    /// A seated, powered chip that has been in its loader for a while.
    #[must_use]
    pub fn new(chip: Chip, time_scale: f64) -> Self {
        Self {
            chip,
            rom: Rom::default(),
            receiver: Receiver::default(),
            time_scale,
            powered: true,
            seated: true,
            unplugged: false,
            silent: false,
            running: false,
            rate: None,
            noise: Fault::default(),
            noise_in: Fault::default(),
            damage: Fault::default(),
            drop: Fault::default(),
            in_free: Duration::ZERO,
            out_free: Duration::ZERO,
            out: VecDeque::new(),
            greets: false,
        }
    }

    fn take(&mut self, byte: u8, baud: u32) {
        let at = self.in_free;
        let byte = if self.noise_in.hits() { byte ^ 0x10 } else { byte };
        let byte = match self.rate {
            None if baud <= MEASURED_MAX => byte,
            None => !byte,
            Some(rate) => garbled(byte, baud, rate),
        };
        let Some(packet) = self.receiver.take(byte) else { return };
        let rate = self.rate.unwrap_or(baud);
        let outcome = match frame::request(&packet) {
            Some(request) => self.rom.take(&request, &mut self.chip, rate),
            None => self.rom.misfit(&packet),
        };
        if outcome.next == Next::PowerLost {
            self.powered = false;
            self.restart(false, at);
            return;
        }
        if outcome.synced {
            self.rate = Some(rate);
        }
        for (after, packet) in outcome.answers {
            let start = at + after.mul_f64(self.time_scale);
            for byte in packet {
                self.send(byte, rate, start);
            }
        }
        if outcome.baud.is_some() {
            self.rate = outcome.baud;
        }
        match outcome.next {
            Next::Stay | Next::PowerLost => {}
            Next::Restart => self.restart(false, at),
            Next::Run => self.restart(true, at),
        }
    }

    /// The chip starts anew: with what is in flash, or with its loader.
    fn restart(&mut self, runs: bool, at: Duration) {
        self.rom.reset();
        self.chip.restart();
        self.receiver = Receiver::default();
        self.rate = None;
        self.running = runs;
        self.greets = false;
        if self.alive() {
            let lines = if runs {
                boot::says(self.chip.model, &self.chip.flash)
            } else {
                self.chip.model.banners[0].to_owned()
            };
            let start = self.out_free.max(at) + BOOT;
            for byte in lines.into_bytes() {
                self.send(byte, CONSOLE_BAUD, start);
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

    /// Pulls the reset pin or the supply; what was on its way is gone, and the first lines wait
    /// until the time is known.
    fn interrupt(&mut self, runs: bool) {
        self.out.clear();
        self.rom.reset();
        self.chip.restart();
        self.receiver = Receiver::default();
        self.rate = None;
        self.running = runs;
        self.greets = self.alive();
    }

    fn dump(&self, path: &std::path::Path) -> String {
        use std::io::Write;
        let bytes = self.chip.flash.read(0, self.chip.flash.bytes());
        match std::fs::File::create(path).and_then(|mut file| file.write_all(bytes)) {
            Ok(()) => format!("ok {}", bytes.len()),
            Err(error) => format!("error {error}"),
        }
    }
}

impl Line for Wire {
    fn receive(&mut self, bytes: &[u8], baud: u32, now: Duration) {
        for byte in bytes {
            self.in_free = self.in_free.max(now) + self.byte_time(baud);
            if self.alive() && !self.running {
                self.take(*byte, baud);
            }
        }
    }

    fn arrived(&mut self, baud: u32, now: Duration) -> Vec<Arrival> {
        if self.greets {
            self.restart(self.running, now);
        }
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
            Lever::Power(on) => {
                self.powered = on;
                self.interrupt(false);
            }
            Lever::Seated(seated) => {
                self.seated = seated;
                self.interrupt(false);
            }
            Lever::Unplug => self.unplugged = true,
            Lever::Reset => self.interrupt(false),
            Lever::Run => self.interrupt(true),
            Lever::Lock if self.chip.model.tells_security => self.rom.secure_download = true,
            Lever::Lock => return "error this chip has no secure download mode".to_owned(),
            Lever::Says(_) => return "error this chip says what its flash holds".to_owned(),
            Lever::Cut(bytes) => self.chip.flash.cut_in = Some(bytes),
            Lever::Stuck(address, bit) => {
                if !self.chip.flash.stick(address, bit) {
                    return "error no such cell".to_owned();
                }
            }
            Lever::Flip(address, bit) => {
                if !self.chip.flash.flip(address, bit) {
                    return "error no such cell".to_owned();
                }
            }
            Lever::Silence => self.silent = true,
            Lever::Nack(count) => self.rom.nacks_due = count,
            Lever::Noise(left, skip) => self.noise = Fault::new(left, skip),
            Lever::NoiseIn(left, skip) => self.noise_in = Fault::new(left, skip),
            Lever::Damage(left, skip) => self.damage = Fault::new(left, skip),
            Lever::Drop(left, skip) => self.drop = Fault::new(left, skip),
            Lever::Baud(rate) => {
                self.interrupt(false);
                self.greets = false;
                self.rate = Some(rate);
            }
            Lever::Heal => {
                self.chip.flash.heal();
                self.rom.nacks_due = 0;
                self.silent = false;
                (self.noise, self.noise_in, self.damage, self.drop) = Default::default();
            }
            Lever::Dump(path) => return self.dump(&path),
            Lever::DumpHex(address, length) => {
                return if self.chip.flash.holds(address, length) {
                    format!("ok {}", hex::encode(self.chip.flash.read(address, length)))
                } else {
                    "error no such memory".to_owned()
                };
            }
            Lever::Counters => {
                let flash = &self.chip.flash;
                let totals = json!({
                    "programmed_bytes": flash.programmed_bytes,
                    "kept_bytes": flash.kept_bytes,
                    "sector_erases": flash.sector_erases,
                    "busy_ns": u64::try_from(flash.busy.as_nanos()).unwrap_or(u64::MAX),
                    "commands": self.rom.commands,
                    "refused": self.rom.refused,
                });
                return format!("ok {totals}");
            }
            Lever::State => {
                let state = json!({
                    "seated": self.seated,
                    "powered": self.powered,
                    "synced": self.rate.is_some(),
                    "running": self.running,
                    "baud": self.rate,
                });
                return format!("ok {state}");
            }
        }
        "ok".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::chip::model;
    use super::super::frame::slip;
    use super::*;

    const LATER: Duration = Duration::from_secs(60);

    fn wire(time_scale: f64) -> Wire {
        let mac = [2, 0, 0, 0, 0, 1];
        Wire::new(Chip::new(model("esp32c3").unwrap(), mac, 0x2_0000, None).unwrap(), time_scale)
    }

    fn sync() -> Vec<u8> {
        let mut packet = vec![0, 0x08, 36, 0, 0, 0, 0, 0, 0x07, 0x07, 0x12, 0x20];
        packet.extend([0x55; 32]);
        slip(&packet)
    }

    fn request(command: u8, words: &[u32]) -> Vec<u8> {
        let mut packet = vec![0, command, (words.len() * 4) as u8, 0, 0, 0, 0, 0];
        packet.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        slip(&packet)
    }

    fn ask(wire: &mut Wire, bytes: &[u8], baud: u32) -> Vec<u8> {
        wire.receive(bytes, baud, Duration::ZERO);
        hear(wire, baud)
    }

    /// Everything that is due, and what a chip says that was reset meanwhile.
    fn hear(wire: &mut Wire, baud: u32) -> Vec<u8> {
        let mut heard = wire.arrived(baud, LATER);
        heard.extend(wire.arrived(baud, LATER + BOOT));
        let heard: Vec<u8> = heard.into_iter().map(|arrival| arrival.byte).collect();
        heard
    }

    #[test]
    fn the_first_sync_sets_the_rate_and_change_baudrate_another() {
        let mut wire = wire(0.0);
        assert!(ask(&mut wire, &sync(), 2_000_000).is_empty());
        let heard = ask(&mut wire, &sync(), 230_400);
        assert_eq!(heard.iter().filter(|byte| **byte == frame::END).count(), 16);
        assert!(ask(&mut wire, &sync(), 115_200).is_empty());
        let read = request(0x0A, &[0x4000_1000]);
        assert_eq!(ask(&mut wire, &read, 230_400).len(), 14);
        assert_eq!(ask(&mut wire, &request(0x0F, &[921_600, 0]), 230_400).len(), 14);
        assert!(ask(&mut wire, &read, 230_400).is_empty());
        assert_eq!(ask(&mut wire, &read, 921_600).len(), 14);
        wire.pull(Lever::Reset);
        assert!(!ask(&mut wire, &[], CONSOLE_BAUD).is_empty());
        assert!(!ask(&mut wire, &sync(), 115_200).is_empty());
    }

    #[test]
    fn bytes_take_their_time_on_the_wire_and_the_flash_its_own() {
        let mut wire = wire(1.0);
        let byte = Duration::from_nanos(10_000_000_000 / 115_200);
        let attach = request(0x0D, &[0, 0]);
        wire.receive(&attach, 115_200, Duration::ZERO);
        let sent = byte * attach.len() as u32;
        assert_eq!(wire.next_due(), Some(sent + byte));
        assert_eq!(wire.arrived(115_200, sent + 14 * byte).len(), 14);
        let begin = request(0x02, &[0x1000, 1, 4, 0, 0]);
        let later = Duration::from_secs(1);
        wire.receive(&begin, 115_200, later);
        let erased = later + byte * begin.len() as u32 + super::super::flash::SECTOR_ERASE;
        assert_eq!(wire.next_due(), Some(erased + byte));
    }

    #[test]
    fn a_chip_that_was_without_power_greets_and_has_forgotten_its_rate_and_registers() {
        let mut wire = wire(0.0);
        ask(&mut wire, &sync(), 115_200);
        ask(&mut wire, &request(0x09, &[0x6000_8050, 7, u32::MAX, 0]), 115_200);
        wire.pull(Lever::Power(false));
        assert!(ask(&mut wire, &sync(), 115_200).is_empty());
        wire.pull(Lever::Power(true));
        let heard = hear(&mut wire, 115_200);
        assert!(heard.ends_with(b"waiting for download\r\n"));
        assert!(wire.pull(Lever::State).contains("\"synced\":false"));
        let answer = ask(&mut wire, &request(0x0A, &[0x6000_8050]), 115_200);
        assert_eq!(answer[5..9], [0, 0, 0, 0]);
    }

    #[test]
    fn what_runs_does_not_answer_and_says_what_flash_holds() {
        let mut wire = wire(0.0);
        let heard = ask(&mut wire, &request(0x04, &[1]), 115_200);
        assert!(heard.ends_with(b"invalid header: 0xffffffff\r\n"));
        assert!(ask(&mut wire, &sync(), 115_200).is_empty());
        wire.pull(Lever::Reset);
        assert!(hear(&mut wire, 115_200).ends_with(b"waiting for download\r\n"));
    }
}
