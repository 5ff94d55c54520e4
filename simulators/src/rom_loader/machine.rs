//! The loader's command machine: bytes in, bytes out, each with its time.
//!
//! AN3155 rev. 14, section by section: 3.1 Get, 3.2 Get Version, 3.3 Get ID, 3.4 Read Memory, 3.5 Go,
//! 3.6 Write Memory, 3.7 Erase, 3.8 Extended Erase, 3.9 and 3.10 Write (Un)protect, 3.11 and 3.12
//! Readout (Un)protect. A frame that is not finished is waited for without end, as the ROM does.

use std::time::Duration;

use super::chip::{Chip, PowerLost};

/// "Yes".
pub const ACK: u8 = 0x79;
/// "No".
pub const NACK: u8 = 0x1F;
/// The byte whose bits give the loader the baud rate.
pub const SYNC: u8 = 0x7F;

/// What the loader waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// The first byte after reset.
    Sync,
    /// The first byte after reset was not [`SYNC`]: the rate it measured is nonsense, and only a
    /// reset helps.
    Deaf,
    /// A command byte.
    Command,
    /// The complement of this command byte.
    Complement(u8),
    /// Address and checksum for this command.
    Address(u8, Vec<u8>),
    /// The count of a read from this address, and its complement.
    ReadCount(u32, Vec<u8>),
    /// Count, bytes and checksum of a write to this address.
    WriteData(u32, Vec<u8>),
    /// Pages and checksum of 0x43.
    Erase(Vec<u8>),
    /// Pages and checksum of 0x44.
    ExtendedErase(Vec<u8>),
    /// Sectors and checksum of 0x63.
    WriteProtect(Vec<u8>),
    /// The program in flash has the chip.
    Running,
}

/// What came of one byte.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Bytes to send, each after this much time since the byte came.
    pub answers: Vec<(Duration, u8)>,
    /// The chip started the program in flash.
    pub started: bool,
    /// The supply failed while the loader was writing.
    pub power_lost: bool,
}

/// The loader of one chip.
#[derive(Debug)]
pub struct Machine {
    state: State,
    /// Commands refused on request.
    pub nacks_due: u32,
    /// Commands taken since the process started.
    pub commands: u64,
    /// Commands, addresses and frames answered with NACK.
    pub refused: u64,
}

impl Default for Machine {
    fn default() -> Self {
        Self { state: State::Sync, nacks_due: 0, commands: 0, refused: 0 }
    }
}

impl Machine {
    /// The chip was reset into system memory.
    pub fn reset(&mut self) {
        self.state = State::Sync;
    }

    /// Whether the loader knows its baud rate.
    #[must_use]
    pub fn synced(&self) -> bool {
        !matches!(self.state, State::Sync | State::Deaf | State::Running)
    }

    /// Whether it waits for its first byte.
    #[must_use]
    pub fn fresh(&self) -> bool {
        self.state == State::Sync
    }

    /// Whether the program in flash has the chip.
    #[must_use]
    pub fn running(&self) -> bool {
        self.state == State::Running
    }

    /// Takes one byte from the wire.
    pub fn take(&mut self, byte: u8, chip: &mut Chip) -> Outcome {
        match std::mem::replace(&mut self.state, State::Command) {
            State::Sync if byte == SYNC => self.answer(ACK),
            State::Sync | State::Deaf => {
                self.state = State::Deaf;
                Outcome::default()
            }
            State::Running => {
                self.state = State::Running;
                Outcome::default()
            }
            State::Command => {
                self.state = State::Complement(byte);
                Outcome::default()
            }
            State::Complement(command) if byte == !command => self.command(command, chip),
            State::Complement(_) => self.answer(NACK),
            State::Address(command, mut frame) => {
                frame.push(byte);
                if frame.len() < 5 {
                    self.state = State::Address(command, frame);
                    return Outcome::default();
                }
                let address = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
                self.address(command, address, xor(&frame) == 0, chip)
            }
            State::ReadCount(address, mut frame) => {
                frame.push(byte);
                let [count, complement] = frame[..] else {
                    self.state = State::ReadCount(address, frame);
                    return Outcome::default();
                };
                let bytes = u32::from(count) + 1;
                if count != !complement || !chip.readable(address, bytes) {
                    return self.answer(NACK);
                }
                let mut outcome = self.answer(ACK);
                let bytes = chip.read(address, bytes);
                outcome.answers.extend(bytes.into_iter().map(|byte| (Duration::ZERO, byte)));
                outcome
            }
            State::WriteData(address, mut frame) => {
                frame.push(byte);
                if frame.len() < usize::from(frame[0]) + 3 {
                    self.state = State::WriteData(address, frame);
                    return Outcome::default();
                }
                let bytes = &frame[1..frame.len() - 1];
                let step = chip.model.cells.unit_bytes().min(4);
                let fits = bytes.len() % step == 0 && chip.writable(address, bytes.len() as u32);
                if xor(&frame) != 0 || !fits {
                    return self.answer(NACK);
                }
                match chip.write(address, bytes) {
                    Ok(took) => self.answer_after(took, ACK),
                    Err(PowerLost) => Outcome { power_lost: true, ..Outcome::default() },
                }
            }
            State::Erase(mut frame) => {
                frame.push(byte);
                let wanted = if frame[0] == 0xFF { 2 } else { usize::from(frame[0]) + 3 };
                if frame.len() < wanted {
                    self.state = State::Erase(frame);
                    return Outcome::default();
                }
                if frame[0] == 0xFF {
                    return self.erase_all(frame[1] == 0, chip);
                }
                let pages = frame[1..frame.len() - 1].iter().map(|page| u32::from(*page)).collect();
                self.erase(xor(&frame) == 0, pages, chip)
            }
            State::ExtendedErase(mut frame) => {
                frame.push(byte);
                let count = frame.get(..2).map(|count| u16::from_be_bytes([count[0], count[1]]));
                let wanted = match count {
                    None => 3,
                    Some(0xFFF0..) => 3,
                    Some(count) => 2 + 2 * (usize::from(count) + 1) + 1,
                };
                if frame.len() < wanted {
                    self.state = State::ExtendedErase(frame);
                    return Outcome::default();
                }
                let sound = xor(&frame) == 0;
                match count {
                    Some(0xFFFF) => self.erase_all(sound, chip),
                    // Banks and reserved codes: this chip has one bank.
                    None | Some(0xFFF0..) => self.answer(NACK),
                    Some(_) => {
                        let pages = frame[2..frame.len() - 1]
                            .chunks(2)
                            .map(|page| u32::from(u16::from_be_bytes([page[0], page[1]])))
                            .collect();
                        self.erase(sound, pages, chip)
                    }
                }
            }
            State::WriteProtect(mut frame) => {
                frame.push(byte);
                if frame.len() < usize::from(frame[0]) + 3 {
                    self.state = State::WriteProtect(frame);
                    return Outcome::default();
                }
                if xor(&frame) != 0 {
                    return self.answer(NACK);
                }
                let pages = chip.model.protect_pages;
                for sector in &frame[1..frame.len() - 1] {
                    let first = usize::from(*sector) * pages;
                    chip.write_protected.iter_mut().skip(first).take(pages).for_each(|p| *p = true);
                }
                let outcome = self.answer(ACK);
                self.reset();
                outcome
            }
        }
    }

    fn command(&mut self, command: u8, chip: &mut Chip) -> Outcome {
        if !self.known(chip).contains(&command) || self.nacks_due > 0 {
            self.nacks_due = self.nacks_due.saturating_sub(1);
            return self.answer(NACK);
        }
        self.commands += 1;
        let open = matches!(command, 0x00 | 0x01 | 0x02 | 0x92);
        if chip.locked && !open {
            return self.answer(NACK);
        }
        let mut outcome = self.answer(ACK);
        let mut say = |bytes: &[u8]| {
            outcome.answers.extend(bytes.iter().map(|byte| (Duration::ZERO, *byte)));
        };
        match command {
            0x00 => {
                let known = self.known(chip);
                say(&[known.len() as u8, chip.model.version]);
                say(&known);
                say(&[ACK]);
            }
            0x01 => say(&[chip.model.version, 0, 0, ACK]),
            0x02 => {
                let [high, low] = chip.model.product_id.to_be_bytes();
                say(&[1, high, low, ACK]);
            }
            0x11 | 0x21 | 0x31 => self.state = State::Address(command, Vec::new()),
            0x43 => self.state = State::Erase(Vec::new()),
            0x44 => self.state = State::ExtendedErase(Vec::new()),
            0x63 => self.state = State::WriteProtect(Vec::new()),
            0x73 => {
                chip.write_protected.fill(false);
                say(&[ACK]);
                self.reset();
            }
            0x82 | 0x92 => {
                let took = chip.lock(command == 0x82);
                outcome.answers.push((took, ACK));
                self.reset();
            }
            _ => {}
        }
        outcome
    }

    fn address(&mut self, command: u8, address: u32, sound: bool, chip: &Chip) -> Outcome {
        let served = match command {
            0x31 => chip.writable(address, 1),
            _ => chip.addressable(address),
        };
        if !sound || !served {
            return self.answer(NACK);
        }
        let mut outcome = self.answer(ACK);
        match command {
            0x11 => self.state = State::ReadCount(address, Vec::new()),
            0x31 => self.state = State::WriteData(address, Vec::new()),
            _ => {
                self.state = State::Running;
                outcome.started = chip.runs(address);
            }
        }
        outcome
    }

    fn erase_all(&mut self, sound: bool, chip: &mut Chip) -> Outcome {
        if !sound || !chip.model.mass_erase {
            return self.answer(NACK);
        }
        let took = chip.erase_all();
        self.answer_after(took, ACK)
    }

    fn erase(&mut self, sound: bool, pages: Vec<u32>, chip: &mut Chip) -> Outcome {
        let count = chip.write_protected.len() as u32;
        if !sound || pages.iter().any(|page| *page >= count) {
            return self.answer(NACK);
        }
        let took = pages.into_iter().map(|page| chip.erase_page(page)).sum();
        self.answer_after(took, ACK)
    }

    fn known(&self, chip: &Chip) -> Vec<u8> {
        let erase = if chip.model.erase_extended { 0x44 } else { 0x43 };
        vec![0x00, 0x01, 0x02, 0x11, 0x21, 0x31, erase, 0x63, 0x73, 0x82, 0x92]
    }

    fn answer(&mut self, byte: u8) -> Outcome {
        self.answer_after(Duration::ZERO, byte)
    }

    fn answer_after(&mut self, time: Duration, byte: u8) -> Outcome {
        self.refused += u64::from(byte == NACK);
        Outcome { answers: vec![(time, byte)], ..Outcome::default() }
    }
}

fn xor(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rom_loader::models::model;

    fn talk(machine: &mut Machine, chip: &mut Chip, bytes: &[u8]) -> Vec<u8> {
        bytes
            .iter()
            .flat_map(|byte| machine.take(*byte, chip).answers)
            .map(|(_, byte)| byte)
            .collect()
    }

    fn synced(name: &str) -> (Machine, Chip) {
        let uid = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let mut chip = Chip::new(model(name).unwrap(), uid, None).unwrap();
        let mut machine = Machine::default();
        assert_eq!(talk(&mut machine, &mut chip, &[SYNC]), [ACK]);
        (machine, chip)
    }

    #[test]
    fn every_command_answers_as_the_application_note_draws_it() {
        let check = |name: &str, asks: &[&[u8]], wanted: &[u8]| {
            let (mut machine, mut chip) = synced(name);
            let heard: Vec<u8> =
                asks.iter().flat_map(|ask| talk(&mut machine, &mut chip, ask)).collect();
            assert_eq!(heard, wanted, "{name} {asks:02x?}");
        };
        let read = [0x11, 0xEE];
        let write = [0x31, 0xCE];
        let base = [0x08, 0, 0, 0, 0x08];
        check("stm32f103", &[&[0x02, 0xFD]], &[ACK, 1, 0x04, 0x10, ACK]);
        check("stm32f303", &[&[0x02, 0xFD]], &[ACK, 1, 0x04, 0x22, ACK]);
        check("stm32f103", &[&[0x01, 0xFE]], &[ACK, 0x22, 0, 0, ACK]);
        check(
            "stm32f303",
            &[&[0x00, 0xFF]],
            &[ACK, 11, 0x31, 0, 1, 2, 0x11, 0x21, 0x31, 0x44, 0x63, 0x73, 0x82, 0x92, ACK],
        );
        check("stm32f103", &[&read, &base, &[1, 0xFE]], &[ACK, ACK, ACK, 0xFF, 0xFF]);
        check("stm32f103", &[&write, &base, &[1, 0xAB, 0xCD, 0x67]], &[ACK, ACK, ACK]);
        check("stm32f103", &[&[0x43, 0xBC], &[0xFF, 0]], &[ACK, ACK]);
        check("stm32f103", &[&[0x43, 0xBC], &[1, 0, 5, 4]], &[ACK, ACK]);
        check("stm32f303", &[&[0x44, 0xBB], &[0xFF, 0xFF, 0]], &[ACK, ACK]);
        check("stm32f303", &[&[0x44, 0xBB], &[0, 0, 0, 5, 5]], &[ACK, ACK]);
        check("stm32f103", &[&[0x82, 0x7D]], &[ACK, ACK]);
    }

    #[test]
    fn what_the_rom_refuses_is_refused() {
        let check = |name: &str, asks: &[&[u8]], wanted: &[u8]| {
            let (mut machine, mut chip) = synced(name);
            let heard: Vec<u8> =
                asks.iter().flat_map(|ask| talk(&mut machine, &mut chip, ask)).collect();
            assert_eq!(heard, wanted, "{name} {asks:02x?}");
            assert_eq!((chip.programmed_bytes, chip.page_erases, chip.mass_erases), (0, 0, 0));
        };
        check("stm32f103", &[&[0x02, 0x02]], &[NACK]);
        check("stm32f103", &[&[0x44, 0xBB]], &[NACK]);
        check("stm32f303", &[&[0x43, 0xBC]], &[NACK]);
        check("stm32f103", &[&[0x11, 0xEE], &[0x08, 0, 0, 0, 0x09]], &[ACK, NACK]);
        check("stm32f103", &[&[0x11, 0xEE], &[0x40, 0, 0, 0, 0x40]], &[ACK, NACK]);
        let base = [0x08, 0, 0, 0, 0x08];
        check("stm32f103", &[&[0x11, 0xEE], &base, &[3, 3]], &[ACK, ACK, NACK]);
        check("stm32f103", &[&[0x31, 0xCE], &base, &[1, 0xAB, 0xCD, 0x66]], &[ACK, ACK, NACK]);
        check("stm32f103", &[&[0x31, 0xCE], &[0x1F, 0xFF, 0xF0, 0, 0x10]], &[ACK, NACK]);
        check("stm32f103", &[&[0x43, 0xBC], &[0, 200, 200]], &[ACK, NACK]);
        check("stm32f103", &[&[0x43, 0xBC], &[0, 2, 3]], &[ACK, NACK]);
        check("stm32f303", &[&[0x44, 0xBB], &[0xFF, 0xFE, 1]], &[ACK, NACK]);
        check("stm32f103", &[&[SYNC, SYNC]], &[NACK]);
        // A signature that is given in whole blocks, one that is not given, no erase of everything.
        let f405_uid = [0x1F, 0xFF, 0x7A, 0x10, 0x8A];
        check("stm32f405", &[&[0x11, 0xEE], &f405_uid, &[11, 0xF4]], &[ACK, ACK, NACK]);
        let l476_uid = [0x1F, 0xFF, 0x75, 0x90, 0x05];
        check("stm32l476", &[&[0x11, 0xEE], &l476_uid], &[ACK, NACK]);
        check("stm32l053", &[&[0x44, 0xBB], &[0xFF, 0xFF, 0]], &[ACK, NACK]);
        check("stm32f405", &[&[0x44, 0xBB], &[0, 0, 0, 12, 12]], &[ACK, NACK]);
    }

    #[test]
    fn a_locked_chip_tells_its_id_and_nothing_else() {
        let (mut machine, mut chip) = synced("stm32f103");
        chip.lock(true);
        for command in [0x11_u8, 0x21, 0x31, 0x43, 0x63, 0x73, 0x82] {
            let heard = talk(&mut machine, &mut chip, &[command, !command]);
            assert_eq!(heard, [NACK], "{command:#04x}");
        }
        assert_eq!(talk(&mut machine, &mut chip, &[0x02, 0xFD]), [ACK, 1, 0x04, 0x10, ACK]);
        assert_eq!(talk(&mut machine, &mut chip, &[0x92, 0x6D]), [ACK, ACK]);
        assert!(!machine.synced(), "it resets");
    }

    #[test]
    fn a_first_byte_that_is_not_the_sync_byte_makes_it_deaf_until_reset() {
        let (mut machine, mut chip) = synced("stm32f103");
        machine.reset();
        assert!(talk(&mut machine, &mut chip, &[0x02, 0xFD, SYNC, SYNC]).is_empty());
        machine.reset();
        assert_eq!(talk(&mut machine, &mut chip, &[SYNC]), [ACK]);
    }
}
