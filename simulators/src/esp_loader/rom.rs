//! The loader's commands: a request in, answers out, each with its time.
//!
//! Names and numbers of the commands are those of Espressif's "Serial Protocol", tables "Supported
//! by Stub Loader and ROM Loader" and "Supported by ROM Loader Only".

use std::time::Duration;

use super::chip::{CRYSTAL, Chip};
use super::flash::{PowerLost, SECTOR_BYTES};
use super::frame::{self, Request};

/// The data of SYNC: four bytes, then the pattern that the UART measures.
const SYNC_BYTES: usize = 36;
/// What a ROM answers to SYNC; stubs answer 0.
const SYNC_VALUE: u32 = 0x2012_0707;
/// SYNC is answered this often.
const SYNC_ANSWERS: usize = 8;
/// Most bytes of one slow read, and always that many in the answer.
const READ_BYTES: u32 = 64;
/// The data of a data packet begins after four words.
const DATA_HEADER_BYTES: usize = 16;

/// "Received message is invalid": parameters or the length field.
pub const INVALID: u8 = 0x05;
/// "Failed to act on received message".
pub const FAILED: u8 = 0x06;
/// "Invalid CRC in message".
pub const BAD_CHECKSUM: u8 = 0x07;
/// "Flash write error": the block reads back with another checksum.
pub const WRITE_FAILED: u8 = 0x08;
/// "Flash read length error".
pub const READ_TOO_LONG: u8 = 0x0A;

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Packets to send, each after this much time since the request came.
    pub answers: Vec<(Duration, Vec<u8>)>,
    /// The rate from the next byte on.
    pub baud: Option<u32>,
    /// The request was SYNC: its pattern has set the rate.
    pub synced: bool,
    /// What the chip does next.
    pub next: Next,
}

/// What the chip does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Next {
    /// It waits for a request.
    #[default]
    Stay,
    /// It starts what is in flash.
    Run,
    /// It resets itself. The boot pin is still held, so it is its loader again.
    Restart,
    /// The supply failed.
    PowerLost,
}

/// A download that was announced.
#[derive(Debug)]
struct Download {
    at: u32,
    sequence: u32,
    blocks: u32,
    block_bytes: u32,
}

/// The loader of one chip.
#[derive(Debug, Default)]
pub struct Rom {
    attached: bool,
    /// Bytes of flash that SPI_SET_PARAMS told.
    flash_bytes: Option<u32>,
    download: Option<Download>,
    /// Secure download mode: the eFuse is burnt, flash can be written and nothing be read.
    pub secure_download: bool,
    /// Requests refused on request.
    pub nacks_due: u32,
    /// Requests done.
    pub commands: u64,
    /// Requests refused.
    pub refused: u64,
}

/// Value, data and time of an answer; or the error.
type Done = Result<(u32, Vec<u8>, Duration), u8>;

impl Rom {
    /// The chip was reset: nothing is attached or announced.
    pub fn reset(&mut self) {
        self.attached = false;
        self.flash_bytes = None;
        self.download = None;
    }

    /// A packet that is no request is refused if it says what it wanted to be.
    pub fn misfit(&mut self, packet: &[u8]) -> Outcome {
        match packet {
            [0, command, _, _, _, _, _, _, ..] => self.settle(*command, Err(INVALID)),
            _ => Outcome::default(),
        }
    }

    /// Takes one request while the UART runs at `baud`.
    pub fn take(&mut self, request: &Request, chip: &mut Chip, baud: u32) -> Outcome {
        if self.nacks_due > 0 {
            self.nacks_due -= 1;
            return self.settle(request.command, Err(FAILED));
        }
        let reads = matches!(request.command, 0x09 | 0x0A | 0x0E | 0x13);
        if self.secure_download && reads {
            return self.settle(request.command, Err(INVALID));
        }
        let word = |index| request.word(index).ok_or(INVALID);
        let nothing = || Ok((0, Vec::new(), Duration::ZERO));
        let done = match request.command {
            0x02 => self.begin(request, chip),
            0x03 => match self.data(request, chip) {
                Ok(done) => done,
                Err(PowerLost) => return Outcome { next: Next::PowerLost, ..Outcome::default() },
            },
            0x04 => return self.end(request),
            0x08 => return self.sync(request),
            0x09 => word(3).and_then(|_| {
                let [at, value, mask] = [word(0)?, word(1)?, word(2)?];
                if at % 4 != 0 {
                    return Err(INVALID);
                }
                chip.write(at, value, mask);
                nothing()
            }),
            0x0A => word(0).and_then(|at| match at % 4 {
                0 => Ok((chip.read(at, baud), Vec::new(), Duration::ZERO)),
                _ => Err(INVALID),
            }),
            0x0B => word(5).and_then(|_| {
                self.flash_bytes = Some(word(1)?);
                nothing()
            }),
            0x0D => word(1).and_then(|_| {
                self.attached = true;
                nothing()
            }),
            0x0E => self.read(request, chip),
            0x0F => return self.change_baud(request, chip),
            0x13 => self.md5(request, chip),
            0x14 if chip.model.tells_security => {
                let mut data = vec![0; 12];
                data[0] = u8::from(self.secure_download) << 2;
                data.extend_from_slice(&u32::from(chip.model.chip_id).to_le_bytes());
                data.extend_from_slice(&[0; 4]);
                Ok((0, data, Duration::ZERO))
            }
            // MEM_BEGIN, MEM_END, MEM_DATA: there is no core to run what would be loaded.
            0x05..=0x07 => Err(FAILED),
            _ => Err(INVALID),
        };
        self.settle(request.command, done)
    }

    fn settle(&mut self, command: u8, done: Done) -> Outcome {
        let (after, packet) = match done {
            Ok((value, data, after)) => {
                self.commands += 1;
                (after, frame::answer(command, value, &data, 0))
            }
            Err(error) => {
                self.refused += 1;
                (Duration::ZERO, frame::answer(command, 0, &[], error))
            }
        };
        Outcome { answers: vec![(after, packet)], ..Outcome::default() }
    }

    fn sync(&mut self, request: &Request) -> Outcome {
        let pattern = request.data.get(4..SYNC_BYTES).unwrap_or(&[]);
        let sound = request.data.len() == SYNC_BYTES
            && request.data[..4] == [0x07, 0x07, 0x12, 0x20]
            && pattern.iter().all(|byte| *byte == 0x55);
        if !sound {
            return self.settle(request.command, Err(INVALID));
        }
        self.commands += 1;
        let packet = frame::answer(request.command, SYNC_VALUE, &[], 0);
        let answers = vec![(Duration::ZERO, packet); SYNC_ANSWERS];
        Outcome { answers, synced: true, ..Outcome::default() }
    }

    fn change_baud(&mut self, request: &Request, chip: &Chip) -> Outcome {
        let told = request.word(1).and(request.word(0));
        let told = told.filter(|baud| (300..=5_000_000).contains(baud));
        let done = told.map(|_| (0, Vec::new(), Duration::ZERO)).ok_or(INVALID);
        let measured = u64::from(chip.model.measured_crystal.unwrap_or(CRYSTAL));
        let real = |baud| u64::from(baud) * u64::from(CRYSTAL) / measured;
        let baud = told.and_then(|baud| u32::try_from(real(baud)).ok());
        Outcome { baud, ..self.settle(request.command, done) }
    }

    /// Bytes that flash commands may name.
    fn bound(&self, chip: &Chip) -> u32 {
        self.flash_bytes.map_or(chip.flash.bytes(), |told| told.min(chip.flash.bytes()))
    }

    fn within(&self, chip: &Chip, offset: u32, bytes: u32) -> bool {
        offset.checked_add(bytes).is_some_and(|end| end <= self.bound(chip))
    }

    fn begin(&mut self, request: &Request, chip: &mut Chip) -> Done {
        self.download = None;
        if request.data.len() != chip.model.begin_bytes {
            return Err(INVALID);
        }
        let [bytes, blocks, block_bytes, at] =
            [0, 1, 2, 3].map(|index| request.word(index).unwrap_or(0));
        if request.word(4).unwrap_or(0) != 0 || (blocks > 0 && block_bytes == 0) {
            return Err(INVALID);
        }
        let fits = self.within(chip, at, bytes) && at.is_multiple_of(SECTOR_BYTES);
        if !self.attached || !fits {
            return Err(FAILED);
        }
        let took = chip.flash.erase(at, bytes);
        self.download = Some(Download { at, sequence: 0, blocks, block_bytes });
        Ok((0, Vec::new(), took))
    }

    fn data(&mut self, request: &Request, chip: &mut Chip) -> Result<Done, PowerLost> {
        let Some(download) = &self.download else { return Ok(Err(INVALID)) };
        let Some(bytes) = request.data.get(DATA_HEADER_BYTES..) else { return Ok(Err(INVALID)) };
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let (at, sequence) = (download.at, download.sequence);
        let announced = request.word(0) == Some(length)
            && request.word(1) == Some(sequence)
            && sequence < download.blocks
            && (1..=download.block_bytes).contains(&length);
        if !announced {
            return Ok(Err(INVALID));
        }
        if request.checksum != u32::from(frame::checksum(bytes)) {
            return Ok(Err(BAD_CHECKSUM));
        }
        if !self.within(chip, at, length) {
            return Ok(Err(FAILED));
        }
        let took = chip.flash.program(at, bytes)?;
        if frame::checksum(chip.flash.read(at, length)) != frame::checksum(bytes) {
            return Ok(Err(WRITE_FAILED));
        }
        if let Some(download) = &mut self.download {
            download.at += length;
            download.sequence += 1;
        }
        Ok(Ok((0, Vec::new(), took)))
    }

    fn end(&mut self, request: &Request) -> Outcome {
        let flag = request.word(0).filter(|flag| *flag < 2);
        let done = flag.map(|_| (0, Vec::new(), Duration::ZERO)).ok_or(INVALID);
        let next = match flag {
            Some(0) => Next::Restart,
            Some(_) => Next::Run,
            None => Next::Stay,
        };
        Outcome { next, ..self.settle(request.command, done) }
    }

    fn read(&mut self, request: &Request, chip: &Chip) -> Done {
        let (Some(at), Some(bytes)) = (request.word(0), request.word(1)) else {
            return Err(INVALID);
        };
        if bytes > READ_BYTES {
            return Err(READ_TOO_LONG);
        }
        if !self.attached || !self.within(chip, at, bytes) {
            return Err(FAILED);
        }
        let mut data = chip.flash.read(at, bytes).to_vec();
        data.resize(READ_BYTES as usize, 0);
        Ok((0, data, Duration::ZERO))
    }

    fn md5(&mut self, request: &Request, chip: &Chip) -> Done {
        let (Some(at), Some(bytes), Some(_)) = (request.word(0), request.word(1), request.word(3))
        else {
            return Err(INVALID);
        };
        if !at.is_multiple_of(4) || !bytes.is_multiple_of(4) {
            return Err(INVALID);
        }
        if !self.attached || !self.within(chip, at, bytes) {
            return Err(FAILED);
        }
        let (hash, took) = chip.flash.md5(at, bytes);
        Ok((0, hex::encode(hash).into_bytes(), took))
    }
}

#[cfg(test)]
mod tests {
    use super::super::chip::{MODELS, model};
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    struct Bench {
        rom: Rom,
        chip: Chip,
    }

    impl Bench {
        fn new(name: &str) -> Self {
            let chip = Chip::new(model(name).unwrap(), MAC, 0x2_0000, None).unwrap();
            Self { rom: Rom::default(), chip }
        }

        fn attached(name: &str) -> Self {
            let mut bench = Self::new(name);
            assert_eq!(bench.ask(0x0D, &[0, 0], &[]), 0);
            bench
        }

        fn request(&mut self, command: u8, words: &[u32], data: &[u8], checksum: u32) -> Outcome {
            let words = words.iter().flat_map(|word| word.to_le_bytes());
            let data = words.chain(data.iter().copied()).collect();
            self.rom.take(&Request { command, checksum, data }, &mut self.chip, 115_200)
        }

        /// The error of an answer, 0 for success.
        fn ask(&mut self, command: u8, words: &[u32], data: &[u8]) -> u8 {
            let outcome = self.request(command, words, data, u32::from(frame::checksum(data)));
            let packet = &outcome.answers[0].1;
            packet[packet.len() - 4]
        }
    }

    #[test]
    fn what_was_announced_is_written_and_hashed() {
        for model in MODELS {
            let mut bench = Bench::attached(model.name);
            let mut begin = vec![0x1000, 2, 8, 0x2000, 0];
            begin.truncate(model.begin_bytes / 4);
            assert_eq!(bench.ask(0x02, &begin, &[]), 0);
            assert_eq!(bench.ask(0x03, &[8, 0, 0, 0], b"onetwo 1"), 0);
            assert_eq!(bench.ask(0x03, &[4, 1, 0, 0], b"xyz."), 0);
            assert_eq!(bench.chip.flash.read(0x2000, 13), b"onetwo 1xyz.\xFF");
            let outcome = bench.request(0x13, &[0x2000, 12, 0, 0], &[], 0);
            let hash = hex::encode(bench.chip.flash.md5(0x2000, 12).0);
            assert!(outcome.answers[0].1.windows(32).any(|at| at == hash.as_bytes()));
            let outcome = bench.request(0x0E, &[0x2000, 8], &[], 0);
            assert!(outcome.answers[0].1.windows(8).any(|at| at == b"onetwo 1"));
        }
    }

    #[test]
    fn what_the_loader_refuses_is_refused_with_its_error_and_changes_nothing() {
        let check = |prepare: &[&[u32]], command: u8, words: &[u32], data: &[u8], error: u8| {
            let mut bench = Bench::attached("esp32c3");
            for words in prepare {
                assert_eq!(bench.ask(0x02, words, &[]), 0);
            }
            let erased = bench.chip.flash.sector_erases;
            assert_eq!(bench.ask(command, words, data), error, "{command:#x} {words:x?}");
            assert_eq!(bench.chip.flash.programmed_bytes, 0);
            assert_eq!(bench.chip.flash.sector_erases, erased);
        };
        let begun: &[&[u32]] = &[&[0x1000, 1, 4, 0, 0]];
        // Erases outside the flash, inside a sector, without a size of the packets; encryption.
        check(&[], 0x02, &[0x1000, 1, 4, 0x2_0000, 0], &[], FAILED);
        check(&[], 0x02, &[0x1001, 1, 4, 0x1_F000, 0], &[], FAILED);
        check(&[], 0x02, &[0x1000, 1, 4, 0x10, 0], &[], FAILED);
        check(&[], 0x02, &[0x1000, 1, 0, 0, 0], &[], INVALID);
        check(&[], 0x02, &[0x1000, 1, 4, 0], &[], INVALID);
        check(&[], 0x02, &[0x1000, 1, 4, 0, 1], &[], INVALID);
        // Data that nobody announced, too long, with another size, out of sequence.
        check(&[], 0x03, &[4, 0, 0, 0], &[1; 4], INVALID);
        check(begun, 0x03, &[5, 0, 0, 0], &[1; 5], INVALID);
        check(begun, 0x03, &[4, 0, 0, 0], &[1; 3], INVALID);
        check(begun, 0x03, &[4, 1, 0, 0], &[1; 4], INVALID);
        check(begun, 0x03, &[0, 0, 0, 0], &[], INVALID);
        check(begun, 0x03, &[4, 0, 0], &[], INVALID);
        // Registers at odd addresses, reads that are too long, hashes outside and of odd lengths.
        check(&[], 0x0A, &[2], &[], INVALID);
        check(&[], 0x09, &[0x10, 0, 0], &[], INVALID);
        check(&[], 0x0E, &[0, 65], &[], READ_TOO_LONG);
        check(&[], 0x0E, &[0x1_FFFF, 2], &[], FAILED);
        check(&[], 0x13, &[0x1_FFFC, 8, 0, 0], &[], FAILED);
        check(&[], 0x13, &[1, 4, 0, 0], &[], INVALID);
        check(&[], 0x13, &[0, 3, 0, 0], &[], INVALID);
        // Rates that are none; RAM; the stub's commands; another pattern than SYNC's.
        check(&[], 0x0F, &[0, 0], &[], INVALID);
        check(&[], 0x05, &[0, 0, 0, 0], &[], FAILED);
        check(&[], 0xD0, &[], &[], INVALID);
        check(&[], 0x08, &[0; 9], &[], INVALID);
        // What SPI_SET_PARAMS told is the end of flash.
        let mut bench = Bench::attached("esp32c3");
        assert_eq!(bench.ask(0x0B, &[0, 0x1_0000, 0, 0, 0, 0], &[]), 0);
        assert_eq!(bench.ask(0x13, &[0x1_0000, 4, 0, 0], &[]), FAILED);
    }

    #[test]
    fn flash_that_is_not_attached_or_keeps_a_bit_and_a_wrong_checksum_are_told_apart() {
        let mut bench = Bench::new("esp32");
        assert_eq!(bench.ask(0x02, &[0x1000, 1, 4, 0], &[]), FAILED);
        assert_eq!(bench.ask(0x14, &[], &[]), INVALID);
        assert_eq!(bench.ask(0x0D, &[0, 0], &[]), 0);
        bench.chip.flash.stick(2, 0);
        assert_eq!(bench.ask(0x02, &[0x1000, 2, 4, 0], &[]), 0);
        let wrong = bench.request(0x03, &[4, 0, 0, 0], &[1; 4], 0).answers[0].1.clone();
        assert_eq!(wrong[wrong.len() - 4], BAD_CHECKSUM);
        assert_eq!(bench.chip.flash.programmed_bytes, 0);
        assert_eq!(bench.ask(0x03, &[4, 0, 0, 0], &[1; 4]), WRITE_FAILED);
        bench.chip.flash.cut_in = Some(1);
        let cut = bench.request(0x03, &[4, 0, 0, 0], &[1; 4], u32::from(frame::checksum(&[1; 4])));
        assert_eq!((cut.next, cut.answers.len()), (Next::PowerLost, 0));
    }

    #[test]
    fn in_secure_download_mode_flash_is_written_and_nothing_is_read() {
        let mut bench = Bench::attached("esp32c3");
        bench.rom.secure_download = true;
        for (command, words) in
            [(0x0A, &[0x4000_1000][..]), (0x09, &[0x10, 0, 0, 0]), (0x0E, &[0, 4]), (0x13, &[0; 4])]
        {
            assert_eq!(bench.ask(command, words, &[]), INVALID, "{command:#x}");
        }
        assert_eq!(bench.ask(0x02, &[0x1000, 1, 4, 0, 0], &[]), 0);
        assert_eq!(bench.ask(0x03, &[4, 0, 0, 0], &[1; 4]), 0);
        let info = bench.request(0x14, &[], &[], 0).answers[0].1.clone();
        assert_eq!(info[9], 4);
    }

    #[test]
    fn sync_is_answered_eight_times_and_the_end_runs_or_restarts_the_chip() {
        let mut bench = Bench::new("esp32c3");
        let mut sync = vec![0x07, 0x07, 0x12, 0x20];
        sync.resize(SYNC_BYTES, 0x55);
        let outcome = bench.request(0x08, &[], &sync, 0);
        assert!(outcome.synced && outcome.answers.len() == 8);
        assert_eq!(bench.request(0x04, &[0], &[], 0).next, Next::Restart);
        assert_eq!(bench.request(0x04, &[1], &[], 0).next, Next::Run);
        assert_eq!(bench.request(0x04, &[2], &[], 0).next, Next::Stay);
        assert_eq!(bench.request(0x0F, &[921_600, 0], &[], 0).baud, Some(921_600));
        // The first ESP32 believes that its crystal is faster than it is.
        let mut bench = Bench::new("esp32");
        assert_eq!(bench.request(0x0F, &[979_281, 0], &[], 0).baud, Some(921_600));
    }
}
