//! Packets on the wire: SLIP (RFC 1055 with an END at both ends) and what the loader puts into it.

/// Begins and ends a packet.
pub const END: u8 = 0xC0;
const ESCAPE: u8 = 0xDB;
const ESCAPED_END: u8 = 0xDC;
const ESCAPED_ESCAPE: u8 = 0xDD;
/// The longest packet the loader has room for: the largest block that is announced, its header and
/// the packet's own.
pub const PACKET_BYTES_MAX: usize = 0x4000 + 24;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The command.
    pub command: u8,
    /// The checksum field; only data commands use it.
    pub checksum: u32,
    /// The data.
    pub data: Vec<u8>,
}

impl Request {
    /// The 32-bit word at a place in the data.
    #[must_use]
    pub fn word(&self, index: usize) -> Option<u32> {
        let bytes = self.data.get(index * 4..index * 4 + 4)?;
        Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }
}

/// Takes bytes and gives packets.
#[derive(Debug, Default)]
pub struct Receiver {
    packet: Vec<u8>,
    inside: bool,
    escaped: bool,
    broken: bool,
}

impl Receiver {
    /// Takes one byte; a packet that it ended, without its escapes. What is broken is dropped up to
    /// the next END, as the loader does.
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

/// Reads a packet as a request; `None` if it is not one.
#[must_use]
pub fn request(packet: &[u8]) -> Option<Request> {
    let (header, data) = packet.split_at_checked(8)?;
    let size = usize::from(u16::from_le_bytes([header[2], header[3]]));
    let checksum = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    (header[0] == 0 && data.len() == size).then(|| Request {
        command: header[1],
        checksum,
        data: data.to_vec(),
    })
}

/// An answer as it goes onto the wire. `error` is 0 for success.
#[must_use]
pub fn answer(command: u8, value: u32, data: &[u8], error: u8) -> Vec<u8> {
    let size = u16::try_from(data.len() + 4).unwrap_or(u16::MAX);
    let mut packet = vec![1, command];
    packet.extend_from_slice(&size.to_le_bytes());
    packet.extend_from_slice(&value.to_le_bytes());
    packet.extend_from_slice(data);
    packet.extend_from_slice(&[u8::from(error != 0), error, 0, 0]);
    slip(&packet)
}

/// A packet between two ENDs, with its escapes.
#[must_use]
pub fn slip(packet: &[u8]) -> Vec<u8> {
    let mut wire = vec![END];
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

/// The checksum of data commands: all bytes and a seed, exclusive or.
#[must_use]
pub fn checksum(data: &[u8]) -> u8 {
    data.iter().fold(0xEF, |sum, byte| sum ^ byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_as_they_went_in_whatever_is_between_them() {
        let check = |wire: &[u8], packets: &[&[u8]]| {
            let mut receiver = Receiver::default();
            let found: Vec<Vec<u8>> = wire.iter().filter_map(|byte| receiver.take(*byte)).collect();
            assert_eq!(found, packets, "{wire:02x?}");
        };
        check(&slip(&[1, END, 2, ESCAPE, 3]), &[&[1, END, 2, ESCAPE, 3]]);
        check(b"noise\xC0\x01\xC0noise\xC0\x02\xC0", &[&[1], b"noise", &[2]]);
        check(&[END, 1, END, 2, END], &[&[1], &[2]]);
        check(&[END, END, END, 7, END], &[&[7]]);
        check(&[END, 1, ESCAPE, 5, 6, END, 8, END], &[&[8]]);
        check(&[END, 1, ESCAPE, END, 8, END], &[&[8]]);
        check(&[1, 2, 3], &[]);
        let mut long = vec![END];
        long.extend(vec![5; PACKET_BYTES_MAX + 1]);
        long.extend([END, 9, END]);
        check(&long, &[&[9]]);
    }

    #[test]
    fn a_request_has_a_direction_and_a_size_that_fits() {
        let check = |packet: &[u8], wanted: Option<(u8, u32, &[u8])>| {
            let found = request(packet);
            let found = found.as_ref().map(|one| (one.command, one.checksum, &one.data[..]));
            assert_eq!(found, wanted, "{packet:02x?}");
        };
        check(&[0, 0x0A, 4, 0, 1, 0, 0, 0, 5, 6, 7, 8], Some((0x0A, 1, &[5, 6, 7, 8])));
        check(&[1, 0x0A, 4, 0, 0, 0, 0, 0, 5, 6, 7, 8], None);
        check(&[0, 0x0A, 5, 0, 0, 0, 0, 0, 5, 6, 7, 8], None);
        check(&[0, 0x0A, 0, 0, 0, 0, 0], None);
    }

    #[test]
    fn an_answer_is_the_one_the_documentation_draws() {
        assert_eq!(
            answer(0x0A, 0x1234_5678, &[], 0),
            [END, 1, 0x0A, 4, 0, 0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0, END]
        );
        assert_eq!(answer(0x03, 0, &[], 7), [END, 1, 3, 4, 0, 0, 0, 0, 0, 1, 7, 0, 0, END]);
        assert_eq!(checksum(&[0xEF]), 0);
    }
}
