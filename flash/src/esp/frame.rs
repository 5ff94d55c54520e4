//! Packets of Espressif's "Serial Protocol", pure: SLIP, requests, what an answer means.

use espflash::command::Command;
use zeroize::Zeroizing;

/// Begins and ends a packet.
const END: u8 = 0xC0;
const ESCAPE: u8 = 0xDB;
const ESCAPED_END: u8 = 0xDC;
const ESCAPED_ESCAPE: u8 = 0xDD;
/// Direction, command, size, value or checksum.
const HEADER_BYTES: usize = 8;
/// What a ROM puts behind the data of an answer: status, error, two bytes without a meaning.
const STATUS_BYTES: usize = 4;
/// The longest packet that is taken: the longest answer of a ROM has 76 bytes.
const PACKET_BYTES_MAX: usize = 512;
/// READ_FLASH_SLOW. espflash 4.7 sends two words more than Espressif's own tool, hence our own.
pub(super) const READ_FLASH_SLOW: u8 = 0x0E;
/// Most bytes of one READ_FLASH_SLOW; its answer always has that many.
pub const READ_BYTES: usize = 64;

/// Takes bytes and gives packets.
#[derive(Debug, Default)]
pub struct Receiver {
    packet: Vec<u8>,
    inside: bool,
    escaped: bool,
    broken: bool,
}

impl Receiver {
    /// Takes one byte; a packet that it ended, without its escapes. Bytes between packets and
    /// packets that are broken or too long are dropped.
    pub fn take(&mut self, byte: u8) -> Option<Vec<u8>> {
        if byte == END {
            let whole = self.inside && !self.broken && !self.escaped && !self.packet.is_empty();
            let packet = std::mem::take(&mut self.packet);
            // An END may end one packet and begin the next.
            (self.inside, self.broken, self.escaped) = (true, false, false);
            return whole.then_some(packet);
        }
        if !self.inside || self.broken {
            return None;
        }
        let byte = match (std::mem::take(&mut self.escaped), byte) {
            (false, ESCAPE) => {
                self.escaped = true;
                return None;
            }
            (false, byte) => byte,
            (true, ESCAPED_END) => END,
            (true, ESCAPED_ESCAPE) => ESCAPE,
            (true, _) => {
                self.broken = true;
                return None;
            }
        };
        if self.packet.len() == PACKET_BYTES_MAX {
            self.broken = true;
            return None;
        }
        self.packet.push(byte);
        None
    }
}

/// An answer of a ROM loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The command that it answers.
    pub command: u8,
    /// A register's value; otherwise without a meaning.
    pub value: u32,
    /// The data before the status bytes.
    pub data: Vec<u8>,
    /// The ROM's error value, if it refused.
    pub error: Option<u8>,
}

impl Answer {
    /// Reads a packet; `None` unless direction, size and status are those of an answer.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (header, body) = packet.split_at_checked(HEADER_BYTES)?;
        let [direction, command, size_low, size_high, v0, v1, v2, v3] = *header else {
            return None;
        };
        let size = usize::from(u16::from_le_bytes([size_low, size_high]));
        let (data, status) = body.split_at_checked(body.len().checked_sub(STATUS_BYTES)?)?;
        let error = match status {
            [0, 0, ..] => None,
            [1, error, ..] => Some(*error),
            _ => return None,
        };
        (direction == 1 && size == body.len()).then(|| Self {
            command,
            value: u32::from_le_bytes([v0, v1, v2, v3]),
            data: data.to_vec(),
            error,
        })
    }

    /// The digest in the answer to SPI_FLASH_MD5: 32 hex digits.
    pub fn md5(&self) -> Option<[u8; 16]> {
        if self.data.len() != 32 {
            return None;
        }
        let mut digest = [0; 16];
        for (byte, digits) in digest.iter_mut().zip(self.data.chunks_exact(2)) {
            let digit = |at: usize| char::from(digits[at]).to_digit(16);
            *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
        }
        Some(digest)
    }

    /// The chip's id in the answer to GET_SECURITY_INFO, and whether secure download mode is on
    /// (bit 2 of the flags).
    pub fn security(&self) -> Option<(u32, bool)> {
        let word = |at: usize| {
            let bytes = self.data.get(at..at + 4)?;
            Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        Some((word(12)?, word(0)? & 1 << 2 != 0))
    }
}

/// A request as it goes onto the wire.
pub(super) fn request(command: &Command<'_>) -> Zeroizing<Vec<u8>> {
    // Reserved whole, so that no copy of image bytes is left behind by growing.
    let mut packet = Zeroizing::new(Vec::with_capacity(2048));
    match command.write(&mut *packet) {
        Ok(()) => slip(&packet),
        // Writing into memory does not fail.
        Err(_) => Zeroizing::new(Vec::new()),
    }
}

/// READ_FLASH_SLOW of up to [`READ_BYTES`].
pub(super) fn slow_read(offset: u32, bytes: u32) -> Zeroizing<Vec<u8>> {
    let mut packet = vec![0, READ_FLASH_SLOW, 8, 0, 0, 0, 0, 0];
    packet.extend_from_slice(&offset.to_le_bytes());
    packet.extend_from_slice(&bytes.to_le_bytes());
    slip(&packet)
}

fn slip(packet: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut wire = Zeroizing::new(Vec::with_capacity(2 * packet.len() + 2));
    wire.push(END);
    for byte in packet {
        match *byte {
            END => wire.extend_from_slice(&[ESCAPE, ESCAPED_END]),
            ESCAPE => wire.extend_from_slice(&[ESCAPE, ESCAPED_ESCAPE]),
            byte => wire.push(byte),
        }
    }
    wire.push(END);
    wire
}

/// The ROM's error values, in words.
pub(super) fn error(code: u8) -> &'static str {
    match code {
        0x05 => "the message is invalid",
        0x06 => "it could not be done",
        0x07 => "the message's checksum is wrong",
        0x08 => "flash reads back with another checksum",
        0x09 => "flash could not be read",
        0x0A => "the read is too long",
        0x0B => "the compressed data is wrong",
        _ => "an error without a name",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packets(wire: &[u8]) -> Vec<Vec<u8>> {
        let mut receiver = Receiver::default();
        wire.iter().filter_map(|byte| receiver.take(*byte)).collect()
    }

    #[test]
    fn requests_are_the_ones_the_documentation_draws() {
        let check = |command: Command<'_>, wire: &str| {
            assert_eq!(hex::encode(&*request(&command)), wire);
        };
        check(Command::ReadReg { address: 0x4000_1000 }, "c0000a04000000000000100040c0");
        let begin = Command::FlashBegin {
            size: 0x1000,
            blocks: 4,
            block_size: 0x400,
            offset: 0x8000,
            supports_encryption: false,
        };
        check(
            begin,
            "c000021000000000000010000004000000000400000080000 0c0".replace(' ', "").as_str(),
        );
        // 0xC0 and 0xDB in the data are escaped, and the checksum begins with 0xEF.
        let data =
            Command::FlashData { data: &[0xC0, 0xDB], pad_to: 2, pad_byte: 0xFF, sequence: 1 };
        check(
            data,
            "c000031200f4000000020000000100000000000000000000 00dbdcdbddc0"
                .replace(' ', "")
                .as_str(),
        );
        assert_eq!(hex::encode(&*slow_read(0x100, 64)), "c0000e0800000000000001000040000000c0");
    }

    #[test]
    fn an_answer_is_taken_only_if_all_of_it_fits() {
        let check = |packet: &[u8], wanted: Option<(u8, u32, &[u8], Option<u8>)>| {
            let found = Answer::parse(packet);
            let found = found.as_ref().map(|a| (a.command, a.value, &a.data[..], a.error));
            assert_eq!(found, wanted, "{packet:02x?}");
        };
        check(&[1, 0x0A, 4, 0, 1, 2, 3, 4, 0, 0, 0, 0], Some((0x0A, 0x0403_0201, &[], None)));
        check(&[1, 3, 4, 0, 0, 0, 0, 0, 1, 7, 0, 0], Some((3, 0, &[], Some(7))));
        check(&[1, 3, 6, 0, 0, 0, 0, 0, 8, 9, 0, 0, 0, 0], Some((3, 0, &[8, 9], None)));
        check(&[0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0], None);
        check(&[1, 3, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0], None);
        check(&[1, 3, 4, 0, 0, 0, 0, 0, 2, 0, 0, 0], None);
        check(&[1, 3, 4, 0, 0, 0, 0, 0, 0, 7, 0, 0], None);
        check(&[1, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0], None);
        check(&[1, 3, 0, 0], None);
    }

    #[test]
    fn digests_and_chip_ids_are_read_only_where_they_are() {
        let answer =
            |data: &[u8]| Answer { command: 0, value: 0, data: data.to_vec(), error: None };
        let digest = answer(b"900150983cd24fb0d6963f7d28e17f72").md5().expect("a digest");
        assert_eq!(hex::encode(digest), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(answer(b"900150983cd24fb0d6963f7d28e17f7").md5(), None);
        assert_eq!(answer(b"x00150983cd24fb0d6963f7d28e17f72").md5(), None);
        let mut info = [0; 20];
        (info[0], info[12]) = (4, 5);
        assert_eq!(answer(&info).security(), Some((5, true)));
        assert_eq!(answer(&info[..12]).security(), None);
    }

    proptest! {
        #[test]
        fn whatever_the_line_says_packets_are_short_and_nothing_panics(
            wire in proptest::collection::vec(any::<u8>(), 0..2000),
        ) {
            for packet in packets(&wire) {
                prop_assert!(!packet.is_empty() && packet.len() <= PACKET_BYTES_MAX);
                if let Some(answer) = Answer::parse(&packet) {
                    prop_assert_eq!(answer.data.len() + HEADER_BYTES + STATUS_BYTES, packet.len());
                    let _ = (answer.md5(), answer.security());
                }
            }
        }

        #[test]
        fn what_is_sent_comes_out_whole_between_whatever_noise(
            packet in proptest::collection::vec(any::<u8>(), 1..400),
            noise in proptest::collection::vec(any::<u8>(), 0..50),
        ) {
            let wire = [&noise[..], &slip(&packet), &noise].concat();
            prop_assert!(packets(&wire).contains(&packet));
        }
    }
}
